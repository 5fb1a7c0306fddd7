"""`matte batch` writes nothing outside its output folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mattecli.batch import worker as worker_module
from mattecli.batch.worker import BatchOptions, Worker
from mattecli.errors import InputError
from mattecli.work.outcome import Job
from tests.conftest import RunMatte
from tests.support.batches import make_folders, outputs_in

Folders = tuple[Path, Path, Path]


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return make_folders(tmp_path)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder that no batch may write into."""
    (tmp_path / "elsewhere").mkdir()
    return tmp_path / "elsewhere"


def write_manifest(tmp_path: Path, *outputs: str) -> Path:
    manifest = tmp_path / "pairs.jsonl"
    names = ("a", "b", "sub/c")
    rows = [
        {"image": f"photos/{name}.png", "trimap": f"trimaps/{name}.png", "output": output}
        for name, output in zip(names, outputs, strict=False)
    ]
    manifest.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return manifest


@pytest.mark.parametrize("more", [[], ["--dry-run"], ["--shard", "1/2"], ["--shard", "2/2"], ["--overwrite"]])
@pytest.mark.parametrize("output", ["../elsewhere/x.png", "ABSOLUTE", "link/x.png", "x.png"])
def test_a_manifest_that_leads_out_is_refused_before_anything_is_made(
    folders: Folders, elsewhere: Path, run_matte: RunMatte, tmp_path: Path, output: str, more: list[str]
) -> None:
    out = folders[2]
    if output == "link/x.png":
        out.mkdir()
        (out / "link").symlink_to(elsewhere)
    if output == "x.png":
        out.mkdir()
        (out / "x.png").symlink_to(elsewhere / "x.png")
    there = out.exists()
    output = output.replace("ABSOLUTE", str(elsewhere / "x.png"))
    manifest = write_manifest(tmp_path, "fine.png", output)
    code, stdout, err = run_matte("batch", out, "--manifest", manifest, *more)
    assert (code, stdout) == (3, "")
    assert err.startswith(f"error: {manifest} line 2: the output {output} leads out of the output folder {out}")
    assert err.count("\n") == 1
    assert list(elsewhere.iterdir()) == []
    assert out.exists() == there
    assert not there or [path.name for path in out.iterdir()] in (["link"], ["x.png"])


def test_a_batch_that_is_resumed_looks_again(
    folders: Folders, elsewhere: Path, run_matte: RunMatte, tmp_path: Path
) -> None:
    out = folders[2]
    command = ("batch", out, "--manifest", write_manifest(tmp_path, "one/x.png", "two.png"))
    assert run_matte(*command)[0] == 0
    made = (out / "one/x.png").read_bytes()
    (out / "one/x.png").rename(elsewhere / "x.png")
    (out / "one").rmdir()
    (out / "one").symlink_to(elsewhere)
    for more in ((), ("--redo",), ("--dry-run",)):
        code, _, err = run_matte(*command, *more)
        assert code == 3
        assert f"leads out of the output folder {out} through a link to {elsewhere / 'x.png'}" in err
    assert (elsewhere / "x.png").read_bytes() == made


@pytest.mark.parametrize("more", [[], ["--dry-run"], ["--shard", "1/2"], ["--shard", "2/2"]])
@pytest.mark.parametrize("what", ["folder", "file", "journal"])
def test_links_in_the_output_folder_of_a_folder_lead_nowhere(
    folders: Folders, elsewhere: Path, run_matte: RunMatte, what: str, more: list[str]
) -> None:
    photos, trimaps, out = folders
    out.mkdir()
    (elsewhere / "c.png").write_bytes(b"not ours")
    name = {"folder": "sub", "file": "a_alpha.png", "journal": ".matte"}[what]
    (out / name).symlink_to(elsewhere / "c.png" if what == "file" else elsewhere)
    code, _, err = run_matte("batch", photos, out, "-t", trimaps, "--overwrite", *more)
    assert code == 3
    assert f"{out / name}" in err
    assert "leads out of the output folder" in err
    assert "through a link to" in err
    assert "remove the link" in err
    assert [path.read_bytes() for path in elsewhere.iterdir()] == [b"not ours"]
    assert [path.name for path in out.iterdir()] == [name]


def test_a_path_with_control_codes_is_shown_on_one_line(folders: Folders, run_matte: RunMatte, tmp_path: Path) -> None:
    err = run_matte("batch", folders[2], "--manifest", write_manifest(tmp_path, "../\x1b[31m\nx.png"))[2]
    assert r"the output ../\x1b[31m\nx.png leads out" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("pattern", ["{dir}./{stem}.png", ".{dir}/{stem}.png"])
def test_a_pattern_that_leads_out_for_a_photo_at_the_top_is_refused(
    folders: Folders, run_matte: RunMatte, tmp_path: Path, pattern: str
) -> None:
    photos, trimaps, out = folders
    code, _, err = run_matte("batch", photos, out, "-t", trimaps, "--name", pattern)
    assert code == 3
    assert f"{photos / 'a.png'}: its output {tmp_path / 'a.png'} leads out of the output folder {out}" in err
    assert not out.exists()


def test_odd_names_of_photos_stay_in_the_output_folder(tmp_path: Path, run_matte: RunMatte) -> None:
    names = ["~.png", "a..b.png", "{what}.png", "%2e%2e.png", "\\..\\x.png", "line\nbreak.png", "-o.png", "*.png"]
    photos, trimaps, out = make_folders(tmp_path, [*names, "x .. /x.png", "{dir}/x.png"])
    before = set(tmp_path.rglob("*"))
    code, _, err = run_matte("batch", photos, out, "-t", trimaps)
    assert code == 0, err
    assert {path for path in tmp_path.rglob("*") if path not in before and out not in (path, *path.parents)} == set()
    assert len(outputs_in(out)) == len(names) + 2


def test_an_output_folder_that_is_itself_a_link_is_written_into(
    folders: Folders, elsewhere: Path, run_matte: RunMatte
) -> None:
    photos, trimaps, out = folders
    out.symlink_to(elsewhere)
    assert run_matte("batch", photos, out, "-t", trimaps)[0] == 0
    assert outputs_in(elsewhere) == {"a_alpha.png", "b_alpha.png", "sub/c_alpha.png"}
    assert "3 skipped" in run_matte("batch", photos, elsewhere, "-t", trimaps)[2]


def test_a_link_that_comes_while_a_photo_is_matted_is_not_followed(
    folders: Folders, elsewhere: Path, run_matte: RunMatte, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos, trimaps, out = folders
    find_matte = worker_module.find_matte
    seen = []

    def swap(job: Job, *args: Any, **options: Any) -> Any:
        matte = find_matte(job, *args, **options)
        if job.name == "sub/c.png":
            seen.append(job.name)
            (out / "sub").rmdir()
            (out / "sub").symlink_to(elsewhere)
        return matte

    monkeypatch.setattr(worker_module, "find_matte", swap)
    code, _, err = run_matte("batch", photos, out, "-t", trimaps)
    assert (code, seen) == (1, ["sub/c.png"])
    assert f"{out / 'sub/c_alpha.png'} leads out of the output folder {out} through a link" in err
    assert list(elsewhere.iterdir()) == []


def test_a_job_that_leads_out_is_refused_by_the_worker_too(folders: Folders, elsewhere: Path) -> None:
    photos, trimaps, out = folders
    worker = Worker(BatchOptions(out=out))
    left = elsewhere / ".matte-00000000-1-0123456789abcdef.tmp"
    left.write_bytes(b"of another program")
    job = Job("a", str(photos / "a.png"), str(trimaps / "a.png"), {"alpha": str(elsewhere / "a.png")})
    with pytest.raises(InputError, match=r"a\.png leads out of the output folder"):
        worker.prepare(job)
    assert left.exists()
    assert not out.exists()
