"""One photo, from its files to its outcome."""
