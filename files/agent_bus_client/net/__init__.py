"""HTTP over TCP and TLS with one deadline for a whole exchange; knows no hub."""
