"""A disk that is full, for tests of what a failed write leaves behind."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def full_disk(free_bytes: int = 1000) -> Iterator[None]:
    """Inside, writing a file beyond `free_bytes` fails, as on a full disk, by the system's own limit on file sizes."""
    import resource  # not on Windows

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (free_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
