"""Runs the network on a photo and its trimap, in tiles."""
