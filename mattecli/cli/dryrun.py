"""What `matte batch --dry-run` shows: pairs, sizes, time and memory."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from mattecli.cli import terminal
from mattecli.errors import DeviceError, MatteError

if TYPE_CHECKING:
    from mattecli.batch.jobs import Job, Listing
    from mattecli.batch.work import Worker
    from mattecli.inference.backend import Backend


def show_plan(listing: Listing, worker: Worker, *, as_json: bool) -> int:
    """Print each pair and the whole; gives the exit code, 1 where a photo would fail."""
    from mattecli.system.memory import show_bytes

    lines = [_problem(problem.name, problem.image, problem.reason) for problem in listing.problems]
    lines += [_plan(job, worker) for job in listing.jobs]
    todo = _with_memory([line for line in lines if line["status"] == "to do"], worker)
    summary: dict[str, Any] = {
        "total": len(lines),
        **{status: sum(line["status"] == status for line in lines) for status in ("to do", "skipped", "failed")},
        "megapixels": round(sum(line["width"] * line["height"] for line in todo) / 1e6, 2),
    }
    if todo:
        summary |= _costs(todo, summary["megapixels"], worker)
    if as_json:
        for line in (*lines, {"summary": summary}):
            terminal.data(json.dumps(line) + "\n")
        return int(summary["failed"] > 0)
    for line in lines:
        terminal.data(_shown(line) + "\n")
    text = f"{summary['to do']} to do, {summary['skipped']} done already, {summary['failed']} would fail"
    if todo:
        text += (
            f"; {summary['megapixels']:g} megapixels, about {_duration(summary['seconds'])} on {summary['device']}, "
            f"at most {show_bytes(summary['peak_bytes'])} of {show_bytes(summary['free_bytes'])} free"
        )
    terminal.data(text + "\n")
    return int(summary["failed"] > 0)


def _problem(name: str, image: str, reason: str) -> dict[str, Any]:
    return {"name": name, "image": image, "status": "failed", "reason": reason}


def _plan(job: Job, worker: Worker) -> dict[str, Any]:
    from mattecli.batch.work import describe
    from mattecli.trimaps.pairs import pair_size

    try:
        if isinstance(worker.todo(job), dict):
            return {**describe(job), "status": "skipped"}
        width, height = pair_size(job.image, job.trimap)
    except MatteError as error:
        return {**describe(job), "status": "failed", "reason": str(error)}
    return {**describe(job), "status": "to do", "width": width, "height": height}


def _with_memory(todo: list[dict[str, Any]], worker: Worker) -> list[dict[str, Any]]:
    """Add to each line how its photo would be run; those that would not fit become failures and are left out."""
    from mattecli.inference.plan import plan

    settings = worker.settings
    if todo:
        worker.predictor.load()  # a device that is not there is the batch's error, not a photo's
    for line in todo:
        try:
            chosen = plan(
                line["height"],
                line["width"],
                worker.predictor.load(),
                tile=settings.tile,
                max_memory=settings.max_memory,
                name=line["image"],
            )
        except DeviceError as error:
            line |= {"status": "failed", "reason": str(error)}
        else:
            line |= {"tile": "off" if chosen.whole else chosen.tile, "peak_bytes": chosen.bytes}
    return [line for line in todo if line["status"] == "to do"]


def _costs(todo: list[dict[str, Any]], megapixels: float, worker: Worker) -> dict[str, Any]:

    backend = worker.predictor.load()
    return {
        "seconds": round(megapixels * seconds_a_megapixel(backend), 1),
        "peak_bytes": max(line["peak_bytes"] for line in todo),
        "free_bytes": backend.free_bytes(),
        "device": backend.device,
    }


def _shown(line: dict[str, Any]) -> str:
    from mattecli.cli.follow import printable
    from mattecli.system.memory import show_bytes

    if line["status"] == "failed":
        return printable(f"fails    {line['reason']}")
    outputs = line["output"].values() if isinstance(line["output"], dict) else [line["output"]]
    text = f"{line['image']} + {line['trimap']} → {', '.join(outputs)}"
    if line["status"] == "skipped":
        return printable(f"is done  {text}")
    how = "" if line["tile"] == "off" else f" in tiles of {line['tile']}"
    return printable(f"to do    {text}, {line['width']}×{line['height']}, {show_bytes(line['peak_bytes'])}{how}")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


TRIAL = 512  # side of the trial's picture, in pixels


def seconds_a_megapixel(backend: Backend) -> float:
    """What the network takes for a megapixel, from a made-up picture without known pixels; the second of two runs."""
    import numpy as np

    from mattecli.inference.model import predict_alpha

    photo = np.random.default_rng(0).integers(0, 256, (TRIAL, TRIAL, 3), np.uint8)
    trimap = np.full((TRIAL, TRIAL), 128, np.uint8)
    predict_alpha(photo, trimap, backend)
    started = time.perf_counter()
    predict_alpha(photo, trimap, backend)
    return (time.perf_counter() - started) / (TRIAL * TRIAL / 1e6)
