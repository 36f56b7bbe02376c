"""Values and rules without input and output, threads or a clock of their own."""
