"""Trimaps: made, read with their photo, and checked."""
