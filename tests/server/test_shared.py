from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mattecli.errors import InputError
from mattecli.server import shared as module
from mattecli.server.shared import Place, Shared
from mattecli.system.files import sweep

CHILD = (
    "import sys\n"
    "from mattecli.server.shared import Place\n"
    "array = Place(sys.argv[1], (3, 4), '<f4').array(writable=True)\n"
    "array[1, 2] += 5\n"
)


@pytest.mark.parametrize("platform", [sys.platform, "another"])
def test_another_process_reads_and_writes_the_array(
    platform: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.sys, "platform", platform)
    shared = Shared.of(np.full((3, 4), 2, np.float32), folder=tmp_path)
    subprocess.run([sys.executable, "-c", CHILD, shared.place.path], check=True)
    assert shared.array[1, 2] == 7
    held = shared.array
    shared.close()
    assert held[1, 2] == 7
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match="cannot be opened"):
        shared.place.array()


def test_what_a_killed_process_left_on_the_disk_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.sys, "platform", "another")
    place: Place = Shared((2, 2), np.uint8, folder=tmp_path).place
    assert sweep(tmp_path) == 0  # its process lives
    parts = Path(place.path).name.split("-")
    Path(place.path).rename(tmp_path / "-".join([*parts[:2], "999999999", *parts[3:]]))
    assert sweep(tmp_path) == 1


def test_a_file_that_cannot_be_removed_while_it_is_mapped_is_removed_with_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.sys, "platform", "another")
    first, second = (Shared((2, 2), np.uint8, folder=tmp_path) for _ in range(2))
    with monkeypatch.context() as windows:
        windows.setattr(Path, "unlink", lambda *_, **__: (_ for _ in ()).throw(PermissionError("it is mapped")))
        first.close()
    assert len(list(tmp_path.iterdir())) == 2
    second.close()
    assert list(tmp_path.iterdir()) == []
