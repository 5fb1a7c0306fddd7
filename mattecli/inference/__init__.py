"""From a photo and its trimap to the alpha, on any backend, in tiles."""
