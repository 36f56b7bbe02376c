"""What the guards keep, on every store: values and protocols."""
