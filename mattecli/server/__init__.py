"""The page for painting trimaps: labels, journal and tiles."""
