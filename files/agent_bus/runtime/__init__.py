"""What the process runs on: greenlets and threads, TLS, the instance lock, the log."""
