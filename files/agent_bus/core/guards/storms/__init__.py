"""The storm guard: what it counts, how it decides, and what it withholds."""
