"""One photo of a batch: is it done, remaining steps, record."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from mattecli.batch.jobs import way_out
from mattecli.batch.journal import FOLDER, Journal, Record
from mattecli.compositing.outputs import check_output_file, is_picture, read_background
from mattecli.errors import InputError
from mattecli.imaging.choices import Colour, Kind
from mattecli.imaging.image import Image
from mattecli.imaging.options import ReadOptions
from mattecli.inference.model import Model
from mattecli.inference.options import RunOptions
from mattecli.system.files import sweep
from mattecli.system.memory import peak_bytes
from mattecli.trimaps.pairs import pair_size
from mattecli.weights import find_checkpoint
from mattecli.work.job import Inputs, Matte, OutputOptions, backend_facts, find_matte, read_inputs, write_outputs
from mattecli.work.outcome import Done, Job, Skipped

RECIPE = 1  # to be raised when the same weights and options give other pixels than before


@dataclass(frozen=True, kw_only=True)
class BatchOptions:
    """What all photos of a batch have in common.

    `out` is the output folder, which also holds the journal. `overwrite` replaces files that no batch made. `redo`
    mattes again what is done. `content` compares inputs by what they hold, not by size and time of change.
    """

    out: Path
    run: RunOptions = field(default_factory=RunOptions)
    outputs: OutputOptions = field(default_factory=OutputOptions)
    reading: ReadOptions = field(default_factory=ReadOptions)
    overwrite: bool = False
    redo: bool = False
    content: bool = False


@dataclass(frozen=True)
class Todo:
    """A job that is not done: the outputs to write, and the digests of their inputs.

    `replaces` says of each output to write whether it replaces a file. `pixels` is the photo's size, `seconds` the time
    that went into finding this out.
    """

    job: Job
    replaces: dict[Kind, bool]
    inputs: dict[Kind, str]
    pixels: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, eq=False)
class ReadJob:
    """A job to do, with its photo and trimap."""

    todo: Todo
    inputs: Inputs


class Worker:
    """Does jobs step by step; each step may run in a thread of its own.

    There is one for each process. It finds the weights at once (WeightsError), and refuses a journal that is a link out
    of the output folder (InputError). The network is loaded by `load`. A MatteError of a step concerns that job alone,
    one of `load` concerns the whole batch.
    """

    def __init__(self, options: BatchOptions, *, model: Model | None = None) -> None:
        self.options = options
        self.checkpoint = find_checkpoint(options.run.weights)
        self.model = model or Model(options.run)
        if (how := way_out(options.out / FOLDER, options.out)) is not None:
            raise InputError(f"{options.out / FOLDER} {how}; remove the link")
        self.journal = Journal(options.out)
        self._backgrounds: dict[str, Image | Colour | None] = {}
        self._reading_background = threading.Lock()
        self._swept: set[str] = set()

    def load(self) -> None:
        """Load the network. Raises WeightsError, DeviceError or UsageError."""
        self.journal.common = backend_facts(self.model.backend)

    def prepare(self, job: Job) -> Todo | Skipped:
        """What is left to do of the job. Makes the folders for it, and checks its files. Raises InputError."""
        started = time.perf_counter()
        self._check_inside(job)
        for output in job.outputs.values():
            self._sweep(os.path.dirname(output))
        todo = self.todo(job)
        if isinstance(todo, Skipped):
            return todo
        self._check_outputs(todo)
        what = "trimap" if job.mask is None else "mask"
        width, height = pair_size(job.image, job.trimap, what=what, reading=self.options.reading)
        return replace(todo, pixels=width * height, seconds=time.perf_counter() - started)

    def todo(self, job: Job) -> Todo | Skipped:
        """As `prepare`, but makes nothing and opens no picture."""
        made = self._made(job)
        inputs = self._inputs(job)
        replaces = {}
        for kind, (record, exists) in made.items():
            current = record is not None and (record.recipe, record.inputs) == (self.recipe(kind, job), inputs[kind])
            if current and not self.options.redo:
                continue
            if exists and record is None and not self.options.overwrite:
                raise InputError(
                    f"{job.outputs[kind]} exists already and was not made by a batch into this folder; move it away or "
                    "add --overwrite"
                )
            replaces[kind] = exists
        if not replaces:
            record = next(record for record, _ in made.values() if record is not None)
            return Skipped(job, {**record.common, **record.facts})
        return Todo(job, replaces, inputs)

    def read(self, todo: Todo) -> ReadJob:
        """Decode the photo and its trimap. Raises InputError."""
        run = self.options.run
        inputs = read_inputs(todo.job, snap=run.snap, exposure=run.network_exposure, reading=self.options.reading)
        return ReadJob(todo, replace(inputs, seconds=todo.seconds + inputs.seconds))

    def matte(self, read: ReadJob) -> Matte:
        """Find the alpha. Raises DeviceError where the memory does not suffice."""
        job = read.todo.job
        wanted = {kind: job.outputs[kind] for kind in read.todo.replaces}
        return find_matte(replace(job, outputs=wanted), read.inputs, self.model)

    def write(self, todo: Todo, matte: Matte) -> Done | Skipped:
        """Write and record what is to be written; Skipped where another process was faster. Raises InputError."""
        started = time.perf_counter()
        job = todo.job
        self._check_inside(job)  # again: a link may have come since
        composite = "composite" in todo.replaces and job.background is not None
        background = self._background(str(job.background)) if composite else None
        try:
            notes = write_outputs(
                job,
                matte,
                self.options.outputs,
                background=background,
                replaces=todo.replaces,
                record=partial(self._recorder, todo, matte),
            )
        except InputError:
            again = self.todo(job)
            if isinstance(again, Skipped):
                return again
            raise
        seconds = matte.seconds + time.perf_counter() - started
        return Done(job, {**self.journal.common, **matte.facts()}, seconds, notes, peak_bytes())

    def recipe(self, kind: Kind, job: Job) -> str:
        """A digest of what makes an output, its input files aside.

        Device, tile and memory are left out: they do not change the output. The words below are hashed, so a change of
        one of them would make all folders of users be matted again.
        """
        run, outputs = self.options.run, self.options.outputs
        parts: list[Any] = [RECIPE, kind, self.checkpoint.sha256, run.precision, run.snap]
        if kind == "alpha":
            parts.append(outputs.alpha_bits)
        if kind == "composite":
            colour = job.background is None or not is_picture(job.background)
            linear = "colours estimated in light" if outputs.linear else False
            parts += [outputs.fit, linear, job.background if colour else "a picture"]
        if kind != "alpha":  # words that are hashed only where something was asked for, so that older folders stay done
            files = outputs.write_options(kind)
            parts += [[word, value] for word, value in (("depth", files.bits), ("quality", files.quality)) if value]
            parts += [] if files.metadata else ["without metadata"]
            parts += [] if files.premultiplied else ["straight"]
            parts += outputs.colours.words()
        # 0.1.0 refused --linear without a composite; beside one, cut-outs that it made stay done.
        if kind in ("cutout", "foreground", "layers") and outputs.linear and "composite" not in job.outputs:
            parts.append("colours estimated in light")
        if kind in ("cutout", "layers", "composite") and outputs.colours.cutout_for is not None:
            parts.append(["cutout for", outputs.colours.cutout_for])
        if self.options.reading.input_space != "auto":
            parts.append(["input space", self.options.reading.input_space])
        if self.options.reading.layer is not None:
            parts.append(["layer", self.options.reading.layer])
        if run.network_exposure:
            parts.append(["network exposure", run.network_exposure])
        if kind != "alpha" and outputs.output_space != "keep":
            parts.append(["output space", outputs.output_space])
        if job.mask is not None:
            parts += job.mask.recipe.words()
            parts += [job.mask.core is not None, job.mask.garbage is not None]
        return _digest(parts)

    def _recorder(self, todo: Todo, matte: Matte, kind: Kind) -> Callable[[BinaryIO], None]:
        return partial(
            self.journal.add,
            todo.job.outputs[kind],
            recipe=self.recipe(kind, todo.job),
            inputs=todo.inputs[kind],
            facts=matte.facts(),
        )

    def _made(self, job: Job) -> dict[Kind, tuple[Record | None, bool]]:
        """For each output the record of how it was made, and whether there is such a file."""
        made: dict[Kind, tuple[Record | None, bool]] = {}
        for kind, output in job.outputs.items():
            record, exists = self.journal.made(output), os.path.lexists(output)
            if exists and record is None:  # perhaps another process has just made it
                self.journal.refresh()
                record = self.journal.made(output)
            made[kind] = record, exists
        return made

    def _inputs(self, job: Job) -> dict[Kind, str]:
        """For each output a digest of the files that it is made from."""
        certain = [] if job.mask is None else job.mask.files
        pair = _digest([self._state(path) for path in (job.image, job.trimap, *certain)])
        inputs = dict.fromkeys(job.outputs, pair)
        if "composite" in inputs and job.background is not None and is_picture(job.background):
            inputs["composite"] = _digest([pair, self._state(job.background)])
        return inputs

    def _state(self, path: str) -> list[int] | str:
        """What would change if the file did: its SHA-256, or its size and its time of change in microseconds."""
        try:
            if self.options.content:
                with open(path, "rb") as file:
                    return hashlib.file_digest(file, "sha256").hexdigest()
            stat = os.stat(path)
        except OSError as error:
            raise InputError(f"{path} cannot be read ({error.strerror}); check its name and its permissions") from error
        return [stat.st_size, stat.st_mtime_ns // 1000]

    def _check_outputs(self, todo: Todo) -> None:
        job = todo.job
        for kind in todo.replaces:
            output = job.outputs[kind]
            try:
                os.makedirs(os.path.dirname(output) or ".", exist_ok=True)
            except OSError as error:
                raise InputError(
                    f"{output} cannot be written: its folder cannot be made ({error.strerror}); name another folder"
                ) from error
            check_output_file(
                kind,
                output,
                bits=self.options.outputs.alpha_bits,
                files=self.options.outputs.write_options(kind),
                background=job.background,
                overwrite=True,  # `todo` has settled what may be replaced
                inputs=job.inputs,
            )

    def _check_inside(self, job: Job) -> None:
        for output in job.outputs.values():
            if (how := way_out(output, self.options.out)) is not None:
                raise InputError(f"{output} {how}; remove the link, or name another output")

    def _background(self, background: str) -> Image | Colour | None:
        with self._reading_background:
            if background not in self._backgrounds:
                self._backgrounds = {background: read_background(background)}  # only the last one: it may be large
            return self._backgrounds[background]

    def _sweep(self, folder: str) -> None:
        if folder not in self._swept:
            self._swept.add(folder)
            sweep(Path(folder))


def _digest(parts: list[Any]) -> str:
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=12).hexdigest()
