"""The decoding process: it may die, hang or be shared by threads, and no reader notices."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import psutil
import pytest

from mattecli.errors import InputError
from mattecli.imaging.read import read_image
from mattecli.imaging.reading import apart, child
from mattecli.imaging.reading.oiio_child import _link
from tests.imaging.test_read import noise
from tests.imaging.test_read_tiff import write

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are sent here")


def decoder() -> psutil.Process:
    """The process that decodes for this one."""
    return next(found for found in psutil.Process().children() if any("oiio_child" in word for word in found.cmdline()))


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    write(tmp_path / "photo.tif", noise(20, 30, 3, depth=16), compression="lzw")
    return tmp_path / "photo.tif"


def test_one_process_serves_all_files_and_a_new_one_after_it_died(photo: Path) -> None:
    expected = read_image(photo).pixels.copy()
    first = decoder()
    read_image(photo)
    assert decoder().pid == first.pid
    first.kill()
    first.wait()
    assert np.array_equal(read_image(photo).pixels, expected)
    assert decoder().pid != first.pid


def test_a_decoder_that_hangs_is_ended_and_the_next_file_is_read(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = read_image(photo).pixels.copy()
    os.kill(decoder().pid, signal.SIGSTOP)
    monkeypatch.setattr(child, "PATIENCE", 0.3)
    with pytest.raises(InputError, match=r"photo\.tif is .* \(decoding made no progress for 0 seconds\); export"):
        read_image(photo)
    monkeypatch.undo()
    assert np.array_equal(read_image(photo).pixels, expected)


def test_a_large_file_is_read_after_a_small_one(tmp_path: Path, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file has a limit of its own for the addresses of the process."""
    large = np.zeros((5000, 6000, 3), np.uint16)
    large[-1, -1] = 7
    assert large.nbytes > 2**27
    monkeypatch.setattr(apart, "SLACK", 2**27)
    write(tmp_path / "large.tif", large, compression="lzw")
    read_image(photo)
    pixels = read_image(tmp_path / "large.tif").pixels
    assert pixels.shape == large.shape
    assert pixels[-1, -1].tolist() == [7, 7, 7]


def test_threads_share_it(tmp_path: Path) -> None:
    pictures = [noise(20 + k, 30, 3, depth=16, seed=k) for k in range(8)]
    for k, pixels in enumerate(pictures):
        write(tmp_path / f"{k}.tif", pixels, compression="lzw")
    wrong: list[int] = []

    def read(own: int) -> None:
        for k in range(own, own + 20):
            equal = np.array_equal(read_image(tmp_path / f"{k % 8}.tif").pixels, pictures[k % 8])
            wrong.extend([] if equal else [k])

    threads = [threading.Thread(target=read, args=(own,)) for own in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("end", ["SIGKILL", "normal"])
def test_nothing_is_left_when_the_reading_process_ends(photo: Path, tmp_path: Path, end: str) -> None:
    code = """
import os, sys, psutil
from pathlib import Path
from mattecli.imaging.read import read_image
image = read_image(sys.argv[1])
assert (read_image(Path(sys.argv[1]).read_bytes()).pixels == image.pixels).all()
print(psutil.Process().children()[0].pid, flush=True)
if sys.argv[2] == "SIGKILL":
    os.kill(os.getpid(), 9)
"""
    own = tmp_path / "temporary"
    own.mkdir()
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, photo, end],
        env={**os.environ, "TMPDIR": str(own)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    decoding = int(done.stdout)
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(decoding).wait(20)
    assert not list(own.iterdir())  # the decoding process removes what it made


def test_a_name_that_openimageio_would_take_for_a_command_is_a_name(tmp_path: Path) -> None:
    pixels = noise(5, 6, 3, depth=16)
    for name in ("x.null?RES=4x4", "a.exr", "no suffix", "é\udcff.tif" if sys.platform == "linux" else "é.tif"):
        write(tmp_path / "photo.tif", pixels, compression="lzw")
        (tmp_path / "photo.tif").rename(tmp_path / name)
        assert np.array_equal(read_image(tmp_path / name).pixels, pixels), name


def test_where_descriptors_share_their_position_the_file_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "given").write_bytes(b"content")
    monkeypatch.setattr(sys, "platform", "darwin")
    with (tmp_path / "given").open("rb") as held:
        held.seek(3)
        link = _link({"suffix": "tif", "source": None}, [0, held.fileno()], tmp_path)
    assert (Path(link).is_symlink(), Path(link).read_bytes()) == (False, b"content")
