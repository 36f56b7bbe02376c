"""Rules about money and rights, decided without I/O, a clock or threads of their own."""
