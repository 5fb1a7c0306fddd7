"""One photo of a batch: what the command's tests cannot reach."""

from __future__ import annotations

import os
import shutil
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from mattecli.batch.pairing import find_jobs
from mattecli.batch.worker import BatchOptions, ReadJob, Todo, Worker
from mattecli.compositing.rendition import Rendition
from mattecli.errors import InputError, WeightsError
from mattecli.imaging.choices import Kind
from mattecli.imaging.colour.icc import ADOBE_PROFILE, P3_PROFILE
from mattecli.imaging.image import Image
from mattecli.imaging.read import read_image
from mattecli.imaging.write import write_image
from mattecli.inference.options import RunOptions
from mattecli.system import files
from mattecli.system.files import hidden_beside
from mattecli.weights import find_checkpoint
from mattecli.work.job import Matte
from mattecli.work.making import Making
from mattecli.work.outcome import Done, Job, Skipped
from mattecli.work.outputs import OutputOptions
from tests.imaging.test_read import profile

Folders = tuple[Path, Path, Path]


def read(worker: Worker, job: Job) -> ReadJob:
    todo = worker.prepare(job)
    assert isinstance(todo, Todo)
    return worker.read(todo)


def write(worker: Worker, item: ReadJob) -> Done | Skipped:
    matte = Matte(item.inputs, np.zeros(item.inputs.trimap.shape, np.float32), "off", 0.1)
    outcome = worker.write(item.todo, matte)
    worker.journal.close()
    return outcome


def worker_for(out: Path, *, run: dict[str, Any] | None = None, **outputs: Any) -> Worker:
    return Worker(BatchOptions(out=out, run=RunOptions(**(run or {})), outputs=OutputOptions(**outputs)))


def test_a_photo_that_another_process_has_just_done_is_not_a_failure(folders: Folders) -> None:
    photos, trimaps, out = folders
    job = find_jobs(photos, out, trimaps=str(trimaps)).jobs[0]
    ours, other = worker_for(out), worker_for(out)
    item = read(ours, job)
    assert isinstance(write(other, read(other, job)), Done)
    assert isinstance(write(ours, item), Skipped)
    assert isinstance(ours.prepare(job), Skipped)


def test_a_file_that_somebody_else_wrote_meanwhile_is_left_alone(folders: Folders) -> None:
    photos, trimaps, out = folders
    job = find_jobs(photos, out, trimaps=str(trimaps)).jobs[0]
    worker = worker_for(out)
    item = read(worker, job)
    Path(job.outputs["alpha"]).write_bytes(b"retouched")
    with pytest.raises(InputError, match="exists already"):
        write(worker, item)
    assert Path(job.outputs["alpha"]).read_bytes() == b"retouched"


def test_preparing_removes_what_dead_processes_left(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    photos, trimaps, out = folders
    job = find_jobs(photos, out, trimaps=str(trimaps)).jobs[2]
    output = Path(job.outputs["alpha"])
    output.parent.mkdir(parents=True)
    with monkeypatch.context() as patched:
        patched.setattr("os.getpid", lambda: 2**30)  # a process that does not exist
        left = hidden_beside(output)
    left.touch()
    worker_for(out).prepare(job)
    assert list(output.parent.iterdir()) == []


def test_only_the_outputs_that_an_option_is_for_are_made_anew(folders: Folders) -> None:
    photos, trimaps, out = folders
    kinds: tuple[Kind, ...] = ("alpha", "cutout", "composite")
    job = find_jobs(photos, out, trimaps=str(trimaps), kinds=kinds, background="red").jobs[0]
    worker = worker_for(out)
    write(worker, read(worker, job))
    for change, changed in [
        ({"bits": 16}, {"alpha"}),
        ({"linear": True}, {"cutout", "composite"}),
        ({"fit": "tile"}, {"composite"}),
        ({"output_space": "p3"}, {"cutout", "composite"}),
        ({"run": {"snap": 4}}, {"alpha", "cutout", "composite"}),
        ({"run": {"network_exposure": 1.5}}, {"alpha", "cutout", "composite"}),
        ({"run": {"coarse_to_fine": False}}, {"alpha", "cutout", "composite"}),
        ({"run": {"device": "cpu", "tile": 64, "max_memory": 2**30}}, set()),
    ]:
        todo = worker_for(out, **change).todo(job)  # type: ignore[arg-type]
        assert (set(todo.replaces) if isinstance(todo, Todo) else set()) == changed, change
    todo = worker.todo(replace(job, background="blue"))
    assert isinstance(todo, Todo)
    assert todo.replaces == {"composite": True}


def test_what_auto_made_in_fp32_stays_done_where_auto_takes_bf16_now(folders: Folders) -> None:
    photos, trimaps, out = folders
    job = find_jobs(photos, out, trimaps=str(trimaps)).jobs[0]
    before = worker_for(out)
    write(before, read(before, job))
    run = RunOptions(precision="bf16")
    assert isinstance(Worker(BatchOptions(out=out, run=run, settled=True)).todo(job), Skipped)
    assert isinstance(Worker(BatchOptions(out=out, run=run)).todo(job), Todo)


def test_what_auto_made_in_bf16_is_not_done_for_a_run_in_fp32(folders: Folders) -> None:
    photos, trimaps, out = folders
    job = find_jobs(photos, out, trimaps=str(trimaps)).jobs[0]
    before = Worker(BatchOptions(out=out, run=RunOptions(precision="bf16"), settled=True))
    write(before, read(before, job))
    assert isinstance(worker_for(out).todo(job), Todo)
    assert isinstance(worker_for(out, run={"precision": "bf16"}).todo(job), Skipped)


def test_an_alpha_that_was_kept_in_fp32_serves_a_run_for_which_auto_takes_bf16(folders: Folders) -> None:
    photos, trimaps, out = folders
    job = find_jobs(photos, out, trimaps=str(trimaps)).jobs[0]
    before = Worker(BatchOptions(out=out, keep_alpha=True))
    item = read(before, job)
    before.write(item.todo, Matte(item.inputs, item.inputs.required_trimap / np.float32(255), "off", 0.1))
    before.journal.close()
    run = RunOptions(precision="bf16")
    assert Worker(BatchOptions(out=out, run=run, settled=True)).alphas.has(job)
    later = Worker(BatchOptions(out=out, run=run, settled=True))
    assert before.alphas.keys([job])[0] <= later.alphas.keys([job])[0]
    assert not Worker(BatchOptions(out=out, run=run)).alphas.has(job)


# Computed by the code of 0.1.0. A digest that changes would have all photos of all users matted again.
@pytest.mark.parametrize(
    ("kind", "background", "options", "digest"),
    [
        ("alpha", "white", {}, "e9fff6f99bb4c721f35c7c03"),
        ("alpha", "white", {"bits": 16}, "df1b73c596c5a53d6d4b9d03"),
        ("alpha", "white", {"bits": "float"}, "36dfd20b9ffbaa5e65a153f3"),
        ("alpha", "white", {"run": {"snap": 7, "precision": "fp32"}}, "3a5cdfa0b401832519542937"),
        ("cutout", "white", {}, "947e9850144f584c048ec282"),
        ("foreground", "white", {}, "143d65dc8c6824b7e69c5b09"),
        ("foreground", None, {"run": {"precision": "bf16"}}, "864e28f3114b9a12fc6b7f83"),
        ("composite", "white", {}, "16400a26210180999506fb97"),
        ("composite", "white", {"linear": True}, "600acc8aa7f8ba2561ac0257"),
        ("composite", "beach.png", {"fit": "contain"}, "35fef1b3eb122278dfac299e"),
        (
            "composite",
            "beach.png",
            {"fit": "tile", "linear": True, "run": {"snap": 3, "precision": "fp16"}},
            "5ebb07c45b65bec1ba738db8",
        ),
        ("composite", "transparent", {}, "9b703d7d887e8cd70b50eae7"),
        ("composite", None, {}, "6f9953b520f27f011bee7559"),
    ],
)
def test_recipes_have_the_digests_of_0_1_0(
    tmp_path: Path, kind: Kind, background: str | None, options: dict[str, Any], digest: str
) -> None:
    assert find_checkpoint().sha256.startswith("b18f9e2abdc6"), "new weights have new recipes: compute them again"
    job = Job("a.png", "/in/a.png", "/in/t.png", {kind: "/out/a.png"}, background)
    assert worker_for(tmp_path, **options).recipe(kind, job) == digest


JOURNAL_0_1_0 = """\
{"device":"cpu","backend":"torch","precision":"fp32","weights":{"name":"a2u_shared","sha256":"b18f9e"}}
["a_alpha.png",6,1700000000123456789,"e9fff6f99bb4c721f35c7c03","2d92f9c6bb12fda2950f7ae6",\
{"width":32,"height":32,"unknown":0.375,"tile":"off","seconds":0.221}]
"""


def test_what_a_journal_of_0_1_0_calls_done_stays_done(tmp_path: Path) -> None:
    (tmp_path / "out/.matte").mkdir(parents=True)
    (tmp_path / "out/.matte/made-0123456789abcdef.jsonl").write_text(JOURNAL_0_1_0, encoding="utf-8")
    photo, trimap, output = tmp_path / "a.png", tmp_path / "t.png", tmp_path / "out/a_alpha.png"
    for path, content in ((photo, b"p" * 100), (trimap, b"t" * 50), (output, b"matted")):
        path.write_bytes(content)
        os.utime(path, ns=(1_700_000_000_123_456_789, 1_700_000_000_123_456_789))
    job = Job("a.png", str(photo), str(trimap), {"alpha": str(output)})
    outcome = worker_for(tmp_path / "out").todo(job)
    assert isinstance(outcome, Skipped)
    assert outcome.to_json() == {
        "name": "a.png",
        "image": str(photo),
        "trimap": str(trimap),
        "output": str(output),
        "product": "alpha",
        "status": "skipped",
        "device": "cpu",
        "backend": "torch",
        "precision": "fp32",
        "weights": {"name": "a2u_shared", "sha256": "b18f9e"},
        "width": 32,
        "height": 32,
        "unknown": 0.375,
        "tile": "off",
        "seconds": 0.221,
    }


def test_outputs_in_the_space_of_a_profile_are_made_anew_when_its_file_changes(folders: Folders) -> None:
    photos, trimaps, out = folders
    profile = out.parent / "press.icc"
    job = find_jobs(photos, out, trimaps=str(trimaps), kinds=("cutout",)).jobs[0]
    rendition = Rendition(name="cutout", kind="cutout", output_space=str(profile))
    for outputs in ({"output_space": str(profile)}, {"renditions": {"cutout": rendition}}):
        profile.write_bytes(P3_PROFILE)
        worker = worker_for(out, **outputs)
        write(worker, read(worker, job))
        assert isinstance(worker_for(out, **outputs).todo(job), Skipped)
        profile.write_bytes(ADOBE_PROFILE)
        assert isinstance(worker_for(out, **outputs).todo(job), Todo)


def test_a_profile_that_changes_while_a_photo_is_matted_has_it_made_anew(folders: Folders) -> None:
    photos, trimaps, out = folders
    profile = out.parent / "press.icc"
    profile.write_bytes(P3_PROFILE)
    job = find_jobs(photos, out, trimaps=str(trimaps), kinds=("cutout",)).jobs[0]
    worker = worker_for(out, output_space=str(profile))
    item = read(worker, job)
    profile.write_bytes(ADOBE_PROFILE)
    write(worker, item)
    assert isinstance(worker_for(out, output_space=str(profile)).todo(job), Todo)


def table_profile() -> bytes:
    """An RGB profile of tables: the lightness is the mean of the channels."""
    corners = b"".join(bytes([round(255 * at.bit_count() / 3), 128, 128]) for at in range(8))
    matrix = struct.pack(">9i", *(65536 * (at % 4 == 0) for at in range(9)))
    table = b"mft1" + bytes(4) + bytes([3, 3, 2, 0]) + matrix + 3 * bytes(range(256)) + corners + 3 * bytes(range(256))
    return profile(b"mntr", b"RGB ", b"Lab ", {b"A2B0": table})


def test_a_profile_of_tables_fails_a_deep_photo_before_the_network_runs(folders: Folders) -> None:
    photos, trimaps, out = folders
    press = out.parent / "press.icc"
    press.write_bytes(table_profile())
    write_image(photos / "a.png", Image(np.full((32, 32, 3), 40_000, np.uint16)), overwrite=True)
    jobs = find_jobs(photos, out, trimaps=str(trimaps), kinds=("alpha", "cutout")).jobs
    deep, shallow = (next(job for job in jobs if job.name == name) for name in ("a.png", "b.png"))
    rendition = Rendition(name="cutout", kind="cutout", output_space=str(press))
    for outputs in ({"output_space": str(press)}, {"renditions": {"cutout": rendition}}):
        worker = worker_for(out, **outputs)
        with pytest.raises(InputError, match=r"press\.icc is a profile of tables, which are converted with 8 bits"):
            read(worker, deep)
        assert read(worker, shallow).inputs.photo.depth == 8


def test_an_alpha_is_kept_for_the_files_that_it_was_made_from(folders: Folders) -> None:
    photos, trimaps, out = folders
    job = find_jobs(photos, out, trimaps=str(trimaps)).jobs[0]
    worker = Worker(BatchOptions(out=out, keep_alpha=True))
    item = read(worker, job)
    stat = Path(job.trimap).stat()
    os.utime(job.trimap, ns=(stat.st_atime_ns, stat.st_mtime_ns + 10**9))  # saved again meanwhile
    worker.write(item.todo, Matte(item.inputs, item.inputs.required_trimap / np.float32(255), "off", 0.1))
    worker.journal.close()
    assert not Worker(BatchOptions(out=out, keep_alpha=True)).alphas.has(job)


def test_what_outputs_with_names_of_their_own_are_is_reported(folders: Folders) -> None:
    photos, trimaps, out = folders
    job = find_jobs(photos, out, trimaps=str(trimaps), kinds=("alpha", "web"), background="red").jobs[0]
    renditions = {"web": Rendition(name="web", kind="composite"), "alpha": Rendition(name="alpha", kind="alpha")}
    worker = worker_for(out, renditions=renditions)
    done = write(worker, read(worker, job))
    assert done.to_json()["kinds"] == {"web": "composite"}
    again = worker_for(out, renditions=renditions).todo(job)
    assert isinstance(again, Skipped)
    assert again.to_json()["kinds"] == {"web": "composite"}


def test_what_a_later_run_added_is_reported_of_a_skipped_photo_too(folders: Folders) -> None:
    photos, trimaps, out = folders
    renditions = {"alpha": Rendition(name="alpha", kind="alpha")}
    worker = worker_for(out, renditions=renditions)
    write(worker, read(worker, find_jobs(photos, out, trimaps=str(trimaps)).jobs[0]))
    renditions["web"] = Rendition(name="web", kind="composite")
    job = find_jobs(photos, out, trimaps=str(trimaps), kinds=("alpha", "web"), background="red").jobs[0]
    worker = worker_for(out, renditions=renditions)
    item = read(worker, job)
    assert set(item.todo.replaces) == {"web"}
    write(worker, item)
    again = worker_for(out, renditions=renditions).todo(job)
    assert isinstance(again, Skipped)
    assert again.to_json()["kinds"] == {"web": "composite"}


def test_no_key_is_left_out_because_a_model_cannot_be_read(folders: Folders) -> None:
    photos, trimaps, out = folders
    job = find_jobs(photos, out, trimaps=str(trimaps)).jobs[0]
    making = Making(model=str(out / "gone.onnx"))
    with pytest.raises(InputError, match=r"gone\.onnx cannot be read"):  # or all kept alphas would be pruned
        worker_for(out).alphas.keys([replace(job, making=making)])
    keys, unreadable = worker_for(out).alphas.keys([job, replace(job, image="gone.png")])
    assert worker_for(out).alphas.key(job) in keys
    assert unreadable == [job.name]


def test_a_background_that_is_replaced_during_a_run_is_what_later_photos_get(folders: Folders) -> None:
    photos, trimaps, out = folders
    behind = out.parent / "behind.png"
    jobs = find_jobs(photos, out, trimaps=str(trimaps), kinds=("composite",), background=str(behind)).jobs
    worker = worker_for(out)
    for job, colour in zip(jobs[:2], (50, 200), strict=True):
        write_image(behind, Image(np.full((8, 8, 3), colour, np.uint8)), overwrite=True)
        os.utime(behind, (colour, colour))  # a clock may be too coarse to tell the two apart
        write(worker, read(worker, job))
        assert read_image(job.outputs["composite"]).pixels[0, 0].tolist() == [colour] * 3
        assert isinstance(worker_for(out).todo(job), Skipped)
    assert isinstance(worker_for(out).todo(jobs[0]), Todo)


def test_weights_that_are_replaced_after_they_were_hashed_end_the_run(folders: Folders) -> None:
    photos, trimaps, out = folders
    own = out.parent / "own.safetensors"
    shutil.copy(find_checkpoint().path, own)
    job = find_jobs(photos, out, trimaps=str(trimaps)).jobs[0]
    worker = worker_for(out, run={"weights": own, "device": "cpu"})
    assert isinstance(worker.todo(job), Todo)
    save_file(load_file(own), own, {"step": "2"})
    with pytest.raises(WeightsError, match=r"own\.safetensors was replaced during the run; run the same command again"):
        worker.load()
    worker_for(out, run={"weights": own, "device": "cpu"}).load()


@pytest.mark.parametrize("first", ["auto", "fp32"])
@pytest.mark.parametrize("second", ["auto", "fp32", "auto takes bf16", "bf16"])
def test_fp32_counts_wherever_it_will_do_whether_it_was_asked_for_or_not(
    folders: Folders, first: str, second: str
) -> None:
    photos, trimaps, out = folders
    job = find_jobs(photos, out, trimaps=str(trimaps)).jobs[0]
    before = Worker(BatchOptions(out=out, run=RunOptions(precision=first), keep_alpha=True))
    item = read(before, job)
    before.write(item.todo, Matte(item.inputs, item.inputs.required_trimap / np.float32(255), "off", 0.1))
    before.journal.close()
    run = RunOptions(precision=second.split()[-1])
    later = Worker(BatchOptions(out=out, run=run, settled=second == "auto takes bf16"))
    assert isinstance(later.todo(job), Todo if second == "bf16" else Skipped)
    assert later.alphas.has(job) is (second != "bf16")


def test_a_photo_of_whose_outputs_another_process_has_just_made_some_is_not_a_failure(folders: Folders) -> None:
    photos, trimaps, out = folders
    kinds: tuple[Kind, ...] = ("alpha", "cutout", "foreground")
    job = find_jobs(photos, out, trimaps=str(trimaps), kinds=kinds).jobs[0]
    ours, other = worker_for(out), worker_for(out)
    item = read(ours, job)
    for kind in ("alpha", "cutout"):  # the other one is at work on the rest
        part = replace(job, outputs={kind: job.outputs[kind]})
        assert isinstance(write(other, read(other, part)), Done)
    before = Path(job.outputs["alpha"]).stat().st_mtime_ns
    assert isinstance(write(ours, item), Done)
    assert Path(job.outputs["alpha"]).stat().st_mtime_ns == before
    assert isinstance(worker_for(out).todo(job), Skipped)


def test_contents_are_hashed_once_however_often_they_are_compared(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos, trimaps, out = folders
    job = find_jobs(photos, out, trimaps=str(trimaps)).jobs[0]
    opened: list[str] = []
    sha256_of = files.sha256_of
    monkeypatch.setattr(files, "sha256_of", lambda path: (opened.append(str(path)), sha256_of(path))[1])
    worker = Worker(BatchOptions(out=out, content=True, keep_alpha=True))
    item = read(worker, job)
    worker.write(item.todo, Matte(item.inputs, item.inputs.required_trimap / np.float32(255), "off", 0.1))
    worker.journal.close()
    assert isinstance(Worker(BatchOptions(out=out, content=True)).todo(job), Skipped)
    assert sorted(opened) == sorted(job.sources)
