"""Folders of photos: resumable batches, also on several machines."""
