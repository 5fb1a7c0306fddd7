"""Names of outputs, and the parts of a batch."""

from __future__ import annotations

from pathlib import Path

import pytest

from mattecli.batch.jobs import JobList, check_pattern, outputs_of
from mattecli.errors import UsageError
from mattecli.work.outcome import Failed, Job


def listed(count: int) -> JobList:
    jobs = [Job(f"d/{n}.jpg", f"/in/d/{n}.jpg", "t", {"alpha": f"/out/{n}"}) for n in range(count)]
    return JobList(jobs, [Failed("bad.jpg", "/in/bad.jpg", "why")], ["left.png"])


def test_shards_split_a_folder_without_rest_or_overlap() -> None:
    whole = listed(500)
    parts = [whole.shard(number, 4) for number in range(1, 5)]
    names = [job.name for part in parts for job in part.jobs]
    assert sorted(names) == sorted(job.name for job in whole.jobs)
    assert min(len(part.jobs) for part in parts) > 90
    assert [len(part.failed) for part in parts].count(1) == 1
    assert [part.unused for part in parts] == [["left.png"], [], [], []]


def test_a_shard_depends_on_the_name_alone_in_any_unicode_form() -> None:
    # Known answers: machines that disagree on them would matte some photos twice and others never.
    names = ["a.jpg", "sub/b.jpg", "café.jpg", "cafe\N{COMBINING ACUTE ACCENT}.jpg", "raw\udcff.jpg"]
    whole = JobList([Job(name, name, "t", {}) for name in names])
    owners = {job.name: number for number in range(1, 6) for job in whole.shard(number, 5).jobs}
    assert [owners[name] for name in names] == [5, 4, 5, 5, 1]


def test_only_keeps_what_is_named() -> None:
    part = listed(3).only(["/in/d/1.jpg", "/in/bad.jpg"])
    assert [job.name for job in part.jobs] == ["d/1.jpg"]
    assert [failed.name for failed in part.failed] == ["bad.jpg"]


@pytest.mark.parametrize("below", [True, False])
def test_of_a_failed_folder_the_photos_below_it_are_kept_if_asked(tmp_path: Path, *, below: bool) -> None:
    jobs = [Job(name, str(tmp_path / name), "t", {}) for name in ("sub/a.jpg", "sub/b/c.jpg", "d.jpg")]
    (tmp_path / "sub").mkdir()
    part = JobList(jobs).only([str(tmp_path / "sub")], below=below)
    assert [job.name for job in part.jobs] == (["sub/a.jpg", "sub/b/c.jpg"] if below else [])


def test_output_names_follow_the_pattern() -> None:
    out = Path("out")
    assert outputs_of("sub/cat.jpg", out, ["alpha"], "{dir}/{stem}_{what}.png") == {"alpha": "out/sub/cat_alpha.png"}
    assert outputs_of("cat.jpg", out, ["cutout"], "{what}/{name}.webp") == {"cutout": "out/cutout/cat.jpg.webp"}


@pytest.mark.parametrize(
    ("name", "pattern", "output"),
    [
        ("cat.jpg", "{stem}", "cat.webp"),
        ("cat.jpg", "{stem}.png", "cat.webp"),
        ("cat.jpg", "{name}", "cat.webp"),
        ("cat.png.jpg", "{stem}", "cat.png.webp"),
        ("cat.v2.jpg", "{stem}", "cat.v2.webp"),
    ],
)
def test_a_format_replaces_the_suffix_of_the_pattern_not_one_in_the_photos_name(
    name: str, pattern: str, output: str
) -> None:
    assert outputs_of(name, Path(), ["cutout"], pattern, suffixes={"cutout": ".webp"}) == {"cutout": output}


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("{dir}/alpha.png", "gives every photo the same output"),
        ("{dir}/{stem}.png", "gives alpha and cutout the same file"),
        ("../{stem}_{what}.png", "leads out of the output folder"),
        ("/{stem}_{what}.png", "leads out of the output folder"),
        ("{stem}_{kind}.png", "has {kind}, which has no meaning"),
    ],
)
def test_patterns_that_cannot_work_are_refused(pattern: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        check_pattern(pattern, ["alpha", "cutout"])
