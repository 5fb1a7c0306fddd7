"""Trimaps: making, reading and checking them."""
