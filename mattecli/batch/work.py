"""One photo of a batch: whether it is done, from its files to arrays, to the alpha, to its outputs."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
import traceback
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mattecli.batch.jobs import Job
from mattecli.batch.journal import Journal, Record
from mattecli.compositing.foreground import estimate_foreground
from mattecli.compositing.outputs import (
    check_memory,
    check_product,
    parse_colour,
    photo_note,
    profile_note,
    read_background,
    write_product,
)
from mattecli.errors import InputError, MatteError
from mattecli.imaging.choices import Bits, Colour, Fit, Kind
from mattecli.imaging.image import Image
from mattecli.inference.plan import Tile
from mattecli.inference.rows import Predictor
from mattecli.system.files import sweep
from mattecli.system.memory import peak_bytes
from mattecli.trimaps.check import shares
from mattecli.trimaps.pairs import pair_size, read_pair, trimap_note
from mattecli.weights import find_checkpoint

RECIPE = 1  # to be raised when the same weights and options give other pixels than before

Line = dict[str, Any]


@dataclass(frozen=True)
class Settings:
    """The options of a batch, as the functions they are for take them.

    `overwrite` replaces files that no batch made; `redo` mattes again what is done. `content` compares inputs by what
    they hold, not by size and time of change.
    """

    out: Path
    kinds: tuple[Kind, ...] = ("alpha",)
    bits: Bits = 8
    snap: int = 0
    fit: Fit = "cover"
    linear: bool = False
    weights: str | None = None
    backend: str = "auto"
    device: str = "auto"
    provider: str | None = None
    precision: str = "auto"
    tile: Tile = "auto"
    max_memory: int | None = None
    overwrite: bool = False
    redo: bool = False
    content: bool = False


@dataclass(frozen=True)
class Pending:
    """A job that is to be done: for each product to write whether it replaces a file, and the digests of its inputs."""

    job: Job
    replaces: dict[Kind, bool]
    inputs: dict[Kind, str]
    pixels: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, eq=False)
class Loaded:
    """A job with its arrays, and the seconds it has taken so far."""

    pending: Pending
    photo: Image
    trimap: NDArray[np.uint8]
    unknown: float
    seconds: float


class Worker:
    """Does jobs step by step; each step may run in a thread of its own.

    Made once for each process. Finding the weights and their hash is done at once (WeightsError), the network is loaded
    at the first alpha. What the steps raise as MatteError is the job's failure alone, what `load` raises
    the batch's.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.checkpoint = find_checkpoint(settings.weights)
        self._weights = {"name": self.checkpoint.name, "sha256": self.checkpoint.sha256}
        self.predictor = Predictor(
            settings.weights,
            backend=settings.backend,
            device=settings.device,
            provider=settings.provider,
            precision=settings.precision,
            tile=settings.tile,
            max_memory=settings.max_memory,
            snap=settings.snap,
        )
        self.journal = Journal(settings.out)
        self._scenes: dict[str, Image | Colour | None] = {}
        self._scene_lock = threading.Lock()
        self._swept: set[str] = set()

    def load(self) -> None:
        """Load the network; raises WeightsError, DeviceError or UsageError, which concern the whole batch."""
        backend = self.predictor.load()
        self.journal.common = {
            "device": backend.device,
            "backend": backend.name,
            "precision": backend.precision,
            "weights": self._weights,
        }

    def prepare(self, job: Job) -> Pending | Line:
        """What of the job is to be done, with folders for it; the line of the report where nothing is."""
        started = time.perf_counter()
        for output in job.outputs.values():
            self._sweep(os.path.dirname(output))
        todo = self.todo(job)
        if isinstance(todo, dict):
            return todo
        self._check_outputs(job, todo.replaces)
        width, height = pair_size(job.image, job.trimap)
        return replace(todo, pixels=width * height, seconds=time.perf_counter() - started)

    def todo(self, job: Job) -> Pending | Line:
        """As `prepare`, but nothing is touched, and no picture opened."""
        made = self._made(job)
        inputs = self._inputs(job)
        replaces = {}
        for kind, (record, exists) in made.items():
            current = record is not None and (record.recipe, record.inputs) == (self.recipe(kind, job), inputs[kind])
            if current and not self.settings.redo:
                continue
            if exists and record is None and not self.settings.overwrite:
                raise InputError(
                    f"{job.outputs[kind]} exists already and was not made by a batch into this folder; move it away or "
                    "add --overwrite"
                )
            replaces[kind] = exists
        if not replaces:
            done = next(record for record, _ in made.values() if record is not None)
            return {**describe(job), "status": "skipped", **done.common, **done.facts}
        return Pending(job, replaces, inputs)

    def read(self, pending: Pending) -> Loaded:
        """Decode the photo and its trimap."""
        started = time.perf_counter()
        photo, trimap = read_pair(pending.job.image, pending.job.trimap, snap=self.settings.snap)
        unknown = shares(trimap)["unknown"]
        return Loaded(pending, photo, trimap, unknown, pending.seconds + time.perf_counter() - started)

    def matte(self, loaded: Loaded) -> tuple[NDArray[np.float32], Line]:
        """The alpha, and what the report says of it."""
        started = time.perf_counter()
        if set(loaded.pending.replaces) - {"alpha"}:
            check_memory(loaded.photo)  # before the run, which would be lost
        alpha, tile = self.predictor.alpha(loaded.photo, loaded.trimap, name=loaded.pending.job.image)
        width, height = loaded.photo.size
        facts = {
            "width": width,
            "height": height,
            "unknown": round(loaded.unknown, 6),
            "tile": tile,
            "seconds": round(loaded.seconds + time.perf_counter() - started, 3),
        }
        return alpha, facts

    def write(self, loaded: Loaded, alpha: NDArray[np.float32], facts: Line) -> Line:
        """Write what is to be written; the line of the report."""
        started = time.perf_counter()
        job, photo = loaded.pending.job, loaded.photo
        notes = [trimap_note(loaded.unknown, job.trimap), photo_note(photo, job.image)]
        scene = None
        if "composite" in loaded.pending.replaces and job.background is not None:
            scene = self._scene(job.background)
            if isinstance(scene, Image):
                notes.append(profile_note(photo, job.image, scene, job.background))
        try:
            self._write_products(loaded, alpha, scene, facts)
        except InputError:
            todo = self.todo(job)
            if isinstance(todo, dict):  # another process was faster
                return todo
            raise
        seconds = round(facts["seconds"] + time.perf_counter() - started, 3)
        note = "; ".join(note for note in notes if note)
        line = {**describe(job), "status": "done", **self.journal.common, **facts, "seconds": seconds}
        return {**line, **({"note": note} if note else {}), "peak_bytes": peak_bytes()}

    def _write_products(
        self, loaded: Loaded, alpha: NDArray[np.float32], scene: Image | Colour | None, facts: Line
    ) -> None:
        settings, job, photo = self.settings, loaded.pending.job, loaded.photo
        # A composite in linear light has colours of its own.
        shared = set(loaded.pending.replaces) - {"alpha", "composite" if settings.linear and scene is not None else ""}
        colours = estimate_foreground(photo.pixels, alpha) if shared else None
        for kind, replaces in loaded.pending.replaces.items():
            output = job.outputs[kind]
            record = partial(
                self.journal.add,
                output,
                recipe=self.recipe(kind, job),
                inputs=loaded.pending.inputs[kind],
                facts=facts,
            )
            write_product(
                kind,
                output,
                photo,
                alpha,
                foreground=colours if kind in shared else None,
                background=scene,
                fit=settings.fit,
                linear=settings.linear,
                bits=settings.bits,
                overwrite=replaces,
                ready=record,
            )

    def recipe(self, kind: Kind, job: Job) -> str:
        """A digest of what makes a product, its input files aside.

        Device, tile and memory are left out: where a matte is made does not make it another.
        """
        settings = self.settings
        parts: list[Any] = [RECIPE, kind, self.checkpoint.sha256, settings.precision, settings.snap]
        if kind == "alpha":
            parts.append(settings.bits)
        if kind == "composite":
            colour = job.background is None or not _is_file(job.background)
            linear = "colours estimated in light" if settings.linear else False
            parts += [settings.fit, linear, job.background if colour else "a picture"]
        return _digest(parts)

    def _made(self, job: Job) -> dict[Kind, tuple[Record | None, bool]]:
        """For each product the record of how it was made, and whether there is such a file."""
        made: dict[Kind, tuple[Record | None, bool]] = {}
        for kind, output in job.outputs.items():
            record, exists = self.journal.made(output), os.path.lexists(output)
            if exists and record is None:  # perhaps another process has just made it
                self.journal.refresh()
                record = self.journal.made(output)
            made[kind] = record, exists
        return made

    def _inputs(self, job: Job) -> dict[Kind, str]:
        """For each product a digest of the files it is made from."""
        files = [job.image, job.trimap]
        plain = _digest([self._state(path) for path in files])
        inputs = dict.fromkeys(job.outputs, plain)
        if "composite" in inputs and job.background is not None and _is_file(job.background):
            inputs["composite"] = _digest([plain, self._state(job.background)])
        return inputs

    def _state(self, path: str) -> list[int] | str:
        try:
            if self.settings.content:
                with open(path, "rb") as file:
                    return hashlib.file_digest(file, "sha256").hexdigest()
            stat = os.stat(path)
        except OSError as error:
            raise InputError(f"{path} cannot be read ({error.strerror}); check its name and its permissions") from error
        return [stat.st_size, stat.st_mtime_ns // 1000]

    def _check_outputs(self, job: Job, replaces: dict[Kind, bool]) -> None:
        for kind in replaces:
            output = job.outputs[kind]
            try:
                os.makedirs(os.path.dirname(output) or ".", exist_ok=True)
            except OSError as error:
                raise InputError(
                    f"{output} cannot be written: its folder cannot be made ({error.strerror}); name another folder"
                ) from error
            check_product(
                kind,
                output,
                bits=self.settings.bits,
                background=job.background,
                overwrite=True,  # what may be replaced is settled already
                inputs=[path for path in job.inputs if _is_file(path)],
            )

    def _scene(self, background: str) -> Image | Colour | None:
        with self._scene_lock:
            if background not in self._scenes:
                self._scenes = {background: read_background(background)}  # one: it may be large
            return self._scenes[background]

    def _sweep(self, folder: str) -> None:
        if folder not in self._swept:
            self._swept.add(folder)
            sweep(Path(folder))


def describe(job: Job) -> Line:
    """The part of a report's line that says which photo it is about."""
    outputs = {kind: os.path.abspath(output) for kind, output in job.outputs.items()}
    line: Line = {
        "name": job.name,
        "image": os.path.abspath(job.image),
        "trimap": os.path.abspath(job.trimap),
        "output": next(iter(outputs.values())) if len(outputs) == 1 else outputs,
    }
    if job.background is not None:
        line["background"] = os.path.abspath(job.background) if _is_file(job.background) else job.background
    return line


def failure(job: Job, error: Exception) -> Line:
    """The line of a photo that could not be matted; a bug, which must not cost the others, comes with its traceback."""
    line = {**describe(job), "status": "failed"}
    if isinstance(error, MatteError):
        return {**line, "reason": str(error)}
    if isinstance(error, MemoryError):
        return {**line, "reason": f"{job.image} needs more memory than there is; free some, or matte it alone"}
    return {
        **line,
        "reason": f"{job.image} met a bug in matte: {type(error).__name__}: {error}; please report it",
        "traceback": "".join(traceback.format_exception(error)),
    }


def _is_file(background: str) -> bool:
    return background.lower() != "transparent" and parse_colour(background) is None


def _digest(parts: list[Any]) -> str:
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=12).hexdigest()
