import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from mattecli.system import memory
from mattecli.system.memory import Ceiling


def write(folder: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def test_a_containers_limit_counts(tmp_path: Path) -> None:
    write(
        tmp_path,
        {"memory.max": "1000000\n", "memory.current": "700000\n", "memory.stat": "anon 5\ninactive_file 50000\n"},
    )
    assert memory.free_bytes(tmp_path) == 350_000


def test_an_old_containers_limit_counts(tmp_path: Path) -> None:
    files = {"limit_in_bytes": "1000000", "usage_in_bytes": "400000", "stat": "cache 1\ntotal_inactive_file 2000\n"}
    write(tmp_path, {f"memory/memory.{name}": content for name, content in files.items()})
    assert memory.free_bytes(tmp_path) == 602_000


def test_the_limit_of_a_batch_jobs_own_group_counts_and_that_of_those_above_it(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("4:cpu,memory:/slurm/job\n0::/slice/job/step\n")
    none = {"memory.max": "max", "memory.current": "1", "memory.stat": "inactive_file 0"}
    job = {"memory.max": "1000000", "memory.current": "300000", "memory.stat": "inactive_file 0"}
    write(tmp_path / "slice/job/step", none)
    write(tmp_path / "slice/job", job)
    assert memory.free_bytes(tmp_path, own) == 700_000
    old = {"limit_in_bytes": "500000", "usage_in_bytes": "100000", "stat": "total_inactive_file 0"}
    write(tmp_path / "memory/slurm/job", {f"memory.{name}": content for name, content in old.items()})
    assert memory.free_bytes(tmp_path, own) == 400_000
    own.write_text("0::/../outside\n")  # as seen from within a container
    assert memory.free_bytes(tmp_path, own) > 1_000_000


def test_without_a_limit_the_machines_memory_counts(tmp_path: Path) -> None:
    write(tmp_path, {"memory.max": "max\n", "memory.current": "700000\n", "memory.stat": "inactive_file 50000\n"})
    assert memory.free_bytes(tmp_path) > 1_000_000
    assert memory.free_bytes(tmp_path / "missing") > 1_000_000


def test_a_runs_share_is_a_quarter_of_a_containers_limit_whatever_is_used(tmp_path: Path) -> None:
    files = {"memory.max": "1000000\n", "memory.current": "700000\n", "memory.stat": "inactive_file 0\n"}
    write(tmp_path, files)
    assert memory.share_bytes(tmp_path) == 250_000
    write(tmp_path, {**files, "memory.max": "max\n"})
    assert memory.share_bytes(tmp_path) == psutil.virtual_memory().total // 4


def test_a_group_over_its_limit_has_nothing_free(tmp_path: Path) -> None:
    write(tmp_path, {"memory.max": "100\n", "memory.current": "700\n", "memory.stat": "inactive_file 0\n"})
    assert memory.free_bytes(tmp_path) == 0


def test_peak_memory_grows_with_what_is_held() -> None:
    code = (
        "from mattecli.system.memory import peak_bytes; before = peak_bytes(); held = bytearray(b'x') * 200_000_000; "
        "print(peak_bytes() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    assert 150_000_000 < int(done.stdout) < 300_000_000


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("6G", 6 * 2**30),
        ("6GiB", 6 * 2**30),
        ("1.5g", 3 * 2**29),
        ("800M", 800 * 2**20),
        ("2kb", 2048),
        ("12345", 12345),
    ],
)
def test_sizes_are_read_as_people_write_them(text: str, count: int) -> None:
    assert memory.parse_bytes(text) == count


@pytest.mark.parametrize("text", ["", "G", "-1G", "0", "many", "nan", "inf"])
def test_text_that_is_not_a_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        memory.parse_bytes(text)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's heap is Linux's")
def test_freed_memory_can_be_given_back() -> None:
    code = (
        "from mattecli.system import memory, process; process.prepare_process(); process.keep_freed_memory(); "
        "before = memory.held_bytes(); "
        "blocks = [bytearray(b'x') * 1_000_000 for _ in range(100)]; last = bytearray(100); blocks.clear(); "
        "kept = memory.held_bytes() - before; memory.give_back_freed_memory(); "
        "print(kept > 80e6, memory.held_bytes() - before < 40e6)"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert out == "True True\n"


def _ceiling(monkeypatch: pytest.MonkeyPatch, *held: int) -> tuple[Ceiling, list[int]]:
    """A ceiling in a process that holds so many bytes, one after the other, and what it gives back (0: the heap)."""
    asked, done = iter(held), list[int]()
    monkeypatch.setattr(memory, "SLACK", 25)
    monkeypatch.setattr(memory, "held_bytes", lambda: next(asked))
    monkeypatch.setattr(memory, "give_back_freed_memory", lambda: done.append(0))
    return Ceiling(done.append), done


def test_nothing_is_given_back_below_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    ceiling, done = _ceiling(monkeypatch, 100)
    ceiling.enforce(100)
    assert done == []


def test_above_the_limit_little_is_given_back_where_that_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    ceiling, done = _ceiling(monkeypatch, 110, 75, 101, 76)
    ceiling.enforce(100)
    ceiling.enforce(100)
    assert done == [35, 26]


def test_and_all_where_it_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    ceiling, done = _ceiling(monkeypatch, 110, 105, 60, 101, 76)
    ceiling.enforce(100)
    ceiling.enforce(100)
    assert done == [35, sys.maxsize, 0, 26]


def test_where_others_hold_more_than_the_limit_it_is_not_tried_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    ceiling, done = _ceiling(monkeypatch, 500, 480, 460, 485, 486, 470)
    ceiling.enforce(100)
    assert done == [425, sys.maxsize, 0]
    ceiling.enforce(100)
    ceiling.enforce(100)
    assert done == [425, sys.maxsize, 0, 26]


def test_what_others_hold_is_looked_at_again_for_another_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    ceiling, done = _ceiling(monkeypatch, 500, 480, 460, 150, 90)
    ceiling.enforce(100)
    del done[:]
    ceiling.enforce(110)
    assert done == [65]


def test_freed_memory_is_given_back_before_too_little_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = [500]
    monkeypatch.setattr(memory, "free_bytes", lambda: 1000 - sum(kept))
    monkeypatch.setattr(memory, "give_back_freed_memory", kept.clear)
    assert memory.free_bytes_for(500) == 500
    assert memory.free_bytes_for(501) == 1000
    assert not kept


def test_memory_that_is_kept_for_later_maps_is_given_back_before_too_little_is_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept, asked = [500], list[int]()

    def release(size: int) -> None:
        asked.append(size)
        kept[0] -= size

    monkeypatch.setattr(memory, "free_bytes", lambda: 1000 - sum(kept))
    monkeypatch.setattr(memory, "give_back_freed_memory", lambda: None)
    monkeypatch.setattr(memory, "releasers", [release])
    assert memory.free_bytes_for(500) == 500
    assert memory.free_bytes_for(600) == 600
    assert asked == [100]


@pytest.mark.skipif(sys.platform != "linux", reason="the name is in Linux's /proc")
def test_the_peak_is_known_under_a_name_that_is_not_ascii() -> None:
    code = (
        "import ctypes; ctypes.CDLL(None).prctl(15, b'caf\\xe9')\n"  # PR_SET_NAME
        "from mattecli.system.memory import peak_bytes; print(peak_bytes() > 10**6)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "True\n", done.stderr
