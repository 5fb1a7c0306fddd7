"""Arrays to files: encoders, and what formats can hold."""
