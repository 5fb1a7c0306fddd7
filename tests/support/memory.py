"""Too little memory, for tests of what is refused then."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from mattecli.system import memory


@contextmanager
def free_memory(free_bytes: int) -> Iterator[None]:
    """Inside, that much memory seems to be free. Fails if nobody asked how much is free."""
    asked: list[int] = []

    def free(*_: object) -> int:
        asked.append(free_bytes)
        return free_bytes

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "free_bytes", free)
        yield
    assert asked, "nobody asked how much memory is free"
