"""The version number, read by the build and the package."""

__version__ = "0.2.0.dev0"
