"""Mattes against the truth."""
