"""What `matte batch --dry-run` shows: pairs, sizes, time and memory."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from mattecli.cli.folder_run import warn_of_unkept
from mattecli.cli.terminal import Terminal, printable
from mattecli.cli.wording import as_options
from mattecli.errors import DeviceError, MatteError

if TYPE_CHECKING:
    from mattecli.batch.jobs import JobList
    from mattecli.batch.worker import Worker
    from mattecli.inference.model import Model
    from mattecli.work.outcome import Failed, Job

_KNOWN = ("kept", "approved")  # alphas that are taken; keys of lines
TRIAL = 512  # side of the picture that is timed, in pixels


def show_plan(jobs: JobList, worker: Worker, terminal: Terminal, *, as_json: bool) -> int:
    """Print each pair and the sum; gives the exit code, 1 where a photo would fail."""
    from mattecli.system.memory import show_bytes

    lines = [_failed(failed) for failed in jobs.failed]
    lines += [_plan(job, worker) for job in jobs.jobs]
    found = [line for line in lines if line["status"] == "to do" and _needs_no_network(line)]
    todo = _with_memory([line for line in lines if line["status"] == "to do" and not _needs_no_network(line)], worker)
    summary: dict[str, Any] = {
        "total": len(lines),
        **{status: sum(line["status"] == status for line in lines) for status in ("to do", "skipped", "failed")},
        "megapixels": round(sum(line["width"] * line["height"] for line in (*todo, *found)) / 1e6, 2),
    }
    taken = {what: sum(what in line for line in found) for what in _KNOWN}
    summary |= {what: number for what, number in taken.items() if number}
    if worker.options.keep_alpha:
        summary["kept_bytes"] = sum(line.get("kept_bytes", 0) for line in todo)
    warn_of_unkept(terminal, sum(line.get("kept") is False for line in lines))
    if todo:
        summary |= _costs(todo, worker)
    for line in lines:
        if line["status"] == "failed":
            line["reason"] = as_options(line["reason"])
    if as_json:
        for line in (*lines, {"summary": summary}):
            terminal.data(json.dumps(line) + "\n")
        return int(summary["failed"] > 0)
    for line in lines:
        terminal.data(_shown(line) + "\n")
    text = f"{summary['to do']} to do, {summary['skipped']} done already, {summary['failed']} would fail"
    for what, number in taken.items():
        text += f"; {number} {what} alpha{'s are' if number > 1 else ' is'} taken" if number else ""
    if todo and worker.options.keep_alpha:
        text += f"; keeping the other alphas takes at most {show_bytes(summary['kept_bytes'])} of disk"
    if todo:
        text += (
            f"; {summary['megapixels']:g} megapixels, about {_duration(summary['seconds'])} on {summary['device']}, "
            f"at most {show_bytes(summary['peak_bytes'])} of {show_bytes(summary['free_bytes'])} free"
        )
    terminal.data(text + "\n")
    return int(summary["failed"] > 0)


def _failed(failed: Failed) -> dict[str, Any]:
    line: dict[str, Any] = {"name": failed.name, "image": failed.image, "status": "failed", "reason": failed.reason}
    return {**line, "extra": dict(failed.extra)} if failed.extra else line


def _plan(job: Job, worker: Worker) -> dict[str, Any]:
    from mattecli.work.job import job_size
    from mattecli.work.outcome import Skipped, describe

    try:
        todo = worker.todo(job)
        if isinstance(todo, Skipped):
            unkept = {"kept": False} if worker.alphas.lacks(job) else {}
            return {**describe(job), "status": "skipped", **unkept}
        worker.check(todo)
        width, height = job_size(job, worker.options.reading)
        line = {**describe(job), "status": "to do", "width": width, "height": height}
        if worker.alphas.approval(job) is not None:
            line["approved"] = True
        elif worker.alphas.has(job):
            line["kept"] = True
        elif worker.options.keep_alpha:
            line["kept_bytes"] = _bytes_to_keep(job, worker, width * height)
    except MatteError as error:
        return {**describe(job), "status": "failed", "reason": str(error)}
    return line


def _needs_no_network(line: dict[str, Any]) -> bool:
    """Whether the alpha was kept or approved, or is given."""
    return "alpha" in line or any(what in line for what in _KNOWN)


def _bytes_to_keep(job: Job, worker: Worker, pixels: int) -> int:
    """How large the job's kept alpha can become. Where the trimap is still to be made, every pixel may be unknown."""
    from mattecli.batch.kept import BYTES, bytes_at_most
    from mattecli.trimaps.pairs import read_trimap
    from mattecli.work.making import Making

    if job.making not in (None, Making()):
        return pixels * BYTES
    return bytes_at_most(read_trimap(job.trimap, snap=worker.options.run.snap, reading=worker.options.reading))


def _with_memory(todo: list[dict[str, Any]], worker: Worker) -> list[dict[str, Any]]:
    """Add to each line how its photo would be run. Those that would not fit become failures and are left out."""
    if todo:
        worker.model.load()  # a device that is missing is an error of the whole batch
    for line in todo:
        try:
            chosen = worker.model.plan(line["height"], line["width"], name=line["image"])
        except DeviceError as error:
            line |= {"status": "failed", "reason": str(error)}
        else:
            line |= {"tile": chosen.label, "peak_bytes": chosen.bytes}
    return [line for line in todo if line["status"] == "to do"]


def _costs(todo: list[dict[str, Any]], worker: Worker) -> dict[str, Any]:
    backend = worker.model.backend
    megapixels = sum(line["width"] * line["height"] for line in todo) / 1e6
    return {
        "seconds": round(megapixels * seconds_a_megapixel(worker.model), 1),
        "peak_bytes": max(line["peak_bytes"] for line in todo),
        "free_bytes": backend.free_bytes(),
        "device": backend.device,
    }


def _shown(line: dict[str, Any]) -> str:
    from mattecli.system.memory import show_bytes

    if line["status"] == "failed":
        return printable(f"fails    {line['reason']}")
    outputs = line["output"].values() if isinstance(line["output"], dict) else [line["output"]]
    partner = line.get("trimap") or line.get("mask") or line.get("alpha")
    pair = f"{line['image']} + {partner}" if partner else line["image"]
    text = f"{pair} → {', '.join(outputs)}"
    if line["status"] == "skipped":
        return printable(f"is done  {text}")
    if what := next((what for what in _KNOWN if what in line), None):
        return printable(f"to do    {text}, {line['width']}×{line['height']}, with its {what} alpha")
    if "tile" not in line:
        return printable(f"to do    {text}, {line['width']}×{line['height']}")
    how = "" if line["tile"] == "off" else f" in tiles of {line['tile']}"
    return printable(f"to do    {text}, {line['width']}×{line['height']}, {show_bytes(line['peak_bytes'])}{how}")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


def seconds_a_megapixel(model: Model) -> float:
    """What the network takes for a megapixel: the second of two runs over noise without known pixels."""
    import numpy as np

    from mattecli.inference.model import Model

    trial = Model(backend=model.backend)  # in any tiles and memory: only the photos must keep to the options
    photo = np.random.default_rng(0).integers(0, 256, (TRIAL, TRIAL, 3), np.uint8)
    trimap = np.full((TRIAL, TRIAL), 128, np.uint8)
    trial.predict(photo, trimap)
    started = time.perf_counter()
    trial.predict(photo, trimap)
    return (time.perf_counter() - started) / (TRIAL * TRIAL / 1e6)
