"""Cut-outs, composites and foreground colours, from a photo and its alpha."""
