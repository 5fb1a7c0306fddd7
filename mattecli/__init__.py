"""Image matting with the A2U network: the alpha matte of a photo from a trimap."""

__version__ = "0.1.0"
