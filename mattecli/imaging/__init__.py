"""Image files to arrays and back, with profiles and depths."""
