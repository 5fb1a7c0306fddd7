from pathlib import Path

import pytest

from mattecli.system import threads
from tests.system.test_memory import write


def test_threads_follow_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert threads.default_threads() == 3


@pytest.mark.parametrize(("cores", "quota", "expected"), [(1, None, 1), (10**6, 1, 1)])
def test_threads_are_as_many_as_cores_and_no_more_than_the_quota(
    monkeypatch: pytest.MonkeyPatch, cores: int, quota: int | None, expected: int
) -> None:
    asked = []

    def physical(*, logical: bool) -> int:
        asked.append(logical)
        return cores

    monkeypatch.setenv("OMP_NUM_THREADS", "")
    monkeypatch.setattr(threads.psutil, "cpu_count", physical)
    monkeypatch.setattr(threads, "cpu_quota", lambda: quota)
    assert threads.default_threads() == expected
    assert asked == [False]


@pytest.mark.parametrize(("text", "cores"), [("max 100000", None), ("150000 100000", 2), ("10000 100000", 1)])
def test_a_containers_quota_is_rounded_up_to_whole_cores(tmp_path: Path, text: str, cores: int | None) -> None:
    write(tmp_path, {"cpu.max": f"{text}\n"})
    assert threads.cpu_quota(tmp_path, tmp_path / "missing") == cores


def test_the_quota_of_a_group_above_counts(tmp_path: Path) -> None:
    (tmp_path / "own").write_text("4:cpu,cpuacct:/slurm/job\n0::/slice/job/step\n")
    write(tmp_path / "slice/job", {"cpu.max": "400000 100000"})
    assert threads.cpu_quota(tmp_path, tmp_path / "own") == 4
    write(tmp_path / "cpu/slurm", {"cpu.cfs_quota_us": "300000", "cpu.cfs_period_us": "100000"})
    write(tmp_path / "cpu", {"cpu.cfs_quota_us": "-1", "cpu.cfs_period_us": "100000"})
    assert threads.cpu_quota(tmp_path, tmp_path / "own") == 3


def test_a_chosen_number_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    cv2 = pytest.importorskip("cv2")
    before = cv2.getNumThreads()
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    try:
        threads.use_threads(2)
        assert (threads.thread_count(), cv2.getNumThreads()) == (2, 2)
    finally:
        threads.use_threads(None)
        cv2.setNumThreads(before)
    assert threads.thread_count() == 3
