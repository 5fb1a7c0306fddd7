"""A process that is ours is set up, once, and what its user has chosen stays."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


def run_ours(code: str, **environment: str) -> list[str]:
    """What a fresh interpreter prints that has called `prepare_process`."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OPENCV_", "GOMP_", "OMP_WAIT"))}
    prepared = "from mattecli.system.process import prepare_process; prepare_process()\n" + code
    done = subprocess.run(
        [sys.executable, "-c", prepared], env={**clean, **environment}, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_opencv_is_silent_unless_the_user_wants_its_messages() -> None:
    code = "import cv2; print(cv2.utils.logging.getLogLevel())"
    assert run_ours(code) == ["0"]
    assert run_ours("import cv2\n" + code, OPENCV_LOG_LEVEL="ERROR") == ["2"]


def test_opencv_that_is_loaded_already_becomes_silent_too() -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OPENCV_")}
    code = (
        "import cv2; from mattecli.system.process import prepare_process; prepare_process(); "
        "print(cv2.utils.logging.getLogLevel())"
    )
    done = subprocess.run([sys.executable, "-c", code], env=clean, capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"


def test_pillow_reads_large_photos_and_a_higher_limit_of_somebody_elses_stays(tmp_path: Path) -> None:
    code = (
        "import PIL.Image; from mattecli.imaging.read import read_size\n"
        "PIL.Image.new('1', (12500, 8001)).save('large.png')\n"
        "print(*read_size('large.png'), PIL.Image.MAX_IMAGE_PIXELS)\n"
        "PIL.Image.MAX_IMAGE_PIXELS = 2**40\n"
        "print(*read_size('large.png'), PIL.Image.MAX_IMAGE_PIXELS)\n"
    )
    found = run_ours(f"import os; os.chdir({str(tmp_path)!r})\n{code}")
    assert found == ["12500", "8001", str(500_000_000), "12500", "8001", str(2**40)]


def test_waiting_threads_soon_sleep_unless_the_user_chose_how_they_wait() -> None:
    code = "import os; print(os.environ.get('GOMP_SPINCOUNT'))"
    assert run_ours(code) == ["5000"]
    assert run_ours(code, GOMP_SPINCOUNT="20000") == ["20000"]
    assert run_ours(code, OMP_WAIT_POLICY="active") == ["None"]


def test_a_process_that_ends_looks_for_no_garbage() -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GOMP_")}
    code = (
        "import atexit, gc; atexit.register(lambda: print(gc.get_freeze_count() > 0)); print(gc.get_freeze_count()); "
        "from mattecli.system.process import prepare_process; prepare_process(); print(gc.get_freeze_count())"
    )
    done = subprocess.run([sys.executable, "-c", code], env=clean, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "0", "True"]


def test_a_process_that_ends_is_silent_although_its_garbage_stays() -> None:
    pytest.importorskip("OpenImageIO")
    code = "from mattecli.system.process import prepare_process; prepare_process(); import OpenImageIO"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout + done.stderr == ""


def test_a_large_import_is_not_searched_for_garbage_in_a_process_of_our_own() -> None:
    code = (
        "import gc; from mattecli.system.process import large_import\n"
        "with large_import(): print(gc.isenabled())\n"
        "print(gc.isenabled()); gc.disable()\n"
        "with large_import(): pass\n"
        "print(gc.isenabled())\n"
    )
    assert run_ours(code) == ["False", "True", "False"]
    guest = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert guest.stdout.split() == ["True", "True", "False"]


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's heap is Linux's")
def test_freed_memory_is_kept_for_the_next_maps_only_where_a_network_asks_for_it() -> None:
    code = (
        "import sys; from mattecli.system import memory, process\n"
        "def kept():\n"
        "    before = memory.held_bytes(); block = bytearray(b'x') * 200_000_000; del block\n"
        "    return memory.held_bytes() - before > 100_000_000\n"
        "print(kept()); process.keep_freed_memory(); print(kept())\n"
    )
    assert run_ours(code) == ["False", "True"]
