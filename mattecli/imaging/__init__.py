"""Pictures: files to arrays and back, colour profiles, depths."""
