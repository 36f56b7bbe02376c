"""What the process runs on: greenlets and threads, TLS, files that only one hub may use."""
