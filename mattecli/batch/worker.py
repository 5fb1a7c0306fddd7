"""One photo of a batch: is it done, remaining steps, record."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from mattecli.batch.alphas import Alphas, file_state
from mattecli.batch.jobs import way_out
from mattecli.batch.journal import FOLDER, Journal, Record
from mattecli.batch.kept import KeptAlphas
from mattecli.batch.recipe import (
    digest,
    output_recipe,
)
from mattecli.compositing.delivery import KEEP, read_space
from mattecli.compositing.outputs import (
    check_output_file,
    check_output_format,
    is_picture,
    read_background,
)
from mattecli.errors import InputError, WeightsError
from mattecli.evaluation.attention import attention
from mattecli.imaging.choices import Kind
from mattecli.imaging.options import ReadOptions
from mattecli.inference.model import Model
from mattecli.inference.options import RunOptions
from mattecli.system.files import check_new, sweep
from mattecli.system.memory import peak_bytes
from mattecli.weights import find_checkpoint
from mattecli.work.job import (
    Background,
    Inputs,
    Matte,
    backend_facts,
    find_matte,
    job_size,
    read_finished,
    read_inputs,
    write_outputs,
)
from mattecli.work.outcome import Done, Job, Skipped
from mattecli.work.outputs import OutputOptions

State = tuple[int, ...] | str | None  # of a background's file


@dataclass(frozen=True, kw_only=True)
class BatchOptions:
    """What all photos of a batch have in common.

    `out` is the output folder, which also holds the journal. `overwrite` replaces files that no batch made. `redo`
    mattes again what is done. `content` compares inputs by what they hold, not by size and time of change. `keep_alpha`
    keeps each alpha in the output folder, for later runs with other outputs. Without `network` all alphas are given,
    and no weights are needed. With `settled` the run's precision was left to us: what was made in fp32 is as good.
    """

    out: Path
    run: RunOptions = field(default_factory=RunOptions)
    outputs: OutputOptions = field(default_factory=OutputOptions)
    reading: ReadOptions = field(default_factory=ReadOptions)
    overwrite: bool = False
    redo: bool = False
    content: bool = False
    keep_alpha: bool = False
    network: bool = True
    settled: bool = False


@dataclass(frozen=True)
class Todo:
    """A job that is not done: the outputs to write, and the digests of their inputs and recipes.

    `replaces` says of each output to write whether it replaces a file. `key` is that of the alpha, where it is kept.
    Digests are taken before the files are read, so that a file that changes meanwhile is read again by the next run.
    `size` is the photo's (width, height), `seconds` the time that went into finding this out.
    """

    job: Job
    replaces: dict[str, bool]
    inputs: dict[str, str]
    recipes: dict[str, str]
    key: str | None = None
    size: tuple[int, int] = (0, 0)
    seconds: float = 0.0

    @property
    def pixels(self) -> int:
        """How many pixels the photo has."""
        return self.size[0] * self.size[1]


@dataclass(frozen=True, eq=False)
class ReadJob:
    """A job to do, with its photo and trimap; and with its matte where the alpha was kept."""

    todo: Todo
    inputs: Inputs
    known: Matte | None = None


class Worker:
    """Does jobs step by step; each step may run in a thread of its own.

    There is one for each process. It finds the weights at once (WeightsError), and refuses a journal that is a link out
    of the output folder (InputError). The network is loaded by `load`. A MatteError of a step concerns that job alone,
    one of `load` concerns the whole batch.
    """

    def __init__(self, options: BatchOptions, *, model: Model | None = None) -> None:
        self.options = options
        self.checkpoint = find_checkpoint(options.run.weights) if options.network else None
        self.model = model or Model(options.run)
        for folder in (options.out / FOLDER, KeptAlphas(options.out).folder):
            if (how := way_out(folder, options.out)) is not None:
                raise InputError(f"{folder} {how}; remove the link")
        self.journal = Journal(options.out)
        self.alphas = Alphas(options, self.checkpoint, self.journal)
        self._backgrounds: dict[tuple[str, State], Background] = {}
        self._reading_background = threading.Lock()
        self._swept: set[str] = set()

    def load(self) -> None:
        """Load the network. Raises WeightsError, DeviceError or UsageError.

        Raises WeightsError, too, for weights that were replaced since recipes hashed them.
        """
        facts = backend_facts(self.model.backend)
        if self.checkpoint is not None and facts["weights"]["sha256"] != self.checkpoint.sha256:
            raise WeightsError(f"{self.checkpoint.path} was replaced during the run; run the same command again")
        self.journal.common = facts

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
        size = job_size(job, self.options.reading)
        if self.options.keep_alpha:
            self._sweep(str(self.alphas.kept.folder))
        return replace(todo, size=size, seconds=time.perf_counter() - started)

    def todo(self, job: Job) -> Todo | Skipped:
        """As `prepare`, but makes nothing and opens no picture."""
        made = self._made(job)
        inputs = self._inputs(job)
        replaces = {}
        for kind, (record, exists) in made.items():
            current = record is not None and record.inputs == inputs[kind] and self._is_good(record, kind, job)
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
            facts = {key: value for key, value in record.facts.items() if key not in ("kept", "kinds")}
            return Skipped(job, {**record.common, **facts, **self._own_kinds(), **self._kept_now(job)})
        recipes = {kind: self.recipe(kind, job) for kind in replaces}
        keeps = self.options.keep_alpha and not job.finished
        return Todo(job, replaces, inputs, recipes, self.alphas.key(job) if keeps else None)

    def check(self, todo: Todo) -> None:
        """Check the files to write as `prepare` does, but make nothing. Raises InputError."""
        for kind, output, asked in self._asked(todo):
            check_output_format(kind, output, **asked)
            check_new(Path(output), inputs=todo.job.inputs)

    def read(self, todo: Todo) -> ReadJob:
        """Decode the photo and its trimap, or take the alpha that was given or kept. Raises InputError.

        Raises it for an output space that does not fit the photo's depth, too, before the network runs.
        """
        read, outputs = self._read(todo), self.options.outputs
        for name in todo.replaces:
            if outputs.kind(name) != "alpha" and outputs.space(name) != KEEP:
                read_space(outputs.space(name), depth=read.inputs.photo.depth)
        return read

    def _read(self, todo: Todo) -> ReadJob:
        if todo.job.finished:
            given = read_finished(todo.job, reading=self.options.reading)
            given = replace(given, seconds=todo.seconds + given.seconds)
            return ReadJob(todo, given.inputs, given)
        if (known := self.alphas.load(todo.job, size=todo.size)) is not None:
            known = replace(known, seconds=todo.seconds + known.seconds)
            return ReadJob(todo, known.inputs, known)
        run = self.options.run
        inputs = read_inputs(todo.job, snap=run.snap, exposure=run.network_exposure, reading=self.options.reading)
        return ReadJob(todo, replace(inputs, seconds=todo.seconds + inputs.seconds))

    def matte(self, read: ReadJob) -> Matte:
        """Find the alpha, unless it is known. Raises DeviceError where the memory does not suffice."""
        if read.known is not None:
            self.options.outputs.check_photo(read.known.inputs.photo, read.todo.replaces, read.known.alpha)
            return read.known
        job = read.todo.job
        wanted = {kind: job.outputs[kind] for kind in read.todo.replaces}
        return find_matte(replace(job, outputs=wanted), read.inputs, self.model, options=self.options.outputs)

    def write(self, todo: Todo, matte: Matte) -> Done | Skipped:
        """Write and record what is to be written; Skipped where another process was faster. Raises InputError.

        With `keep_alpha` the alpha is kept first, since it took the longest.
        """
        started = time.perf_counter()
        job = todo.job
        if matte.attention is None:
            looked = attention(matte.inputs.photo.pixels, matte.alpha, matte.inputs.trimap)
            matte = replace(matte, attention=looked.to_json())
        if todo.key is not None and not matte.network:
            self.alphas.keep(todo.key, matte)
        self._check_inside(job)  # again: a link may have come since
        facts = self._facts(job, matte)
        notes = self._write_left(todo, matte, facts)
        if isinstance(notes, Skipped):
            return notes
        if self.options.redo and not job.finished:
            self.alphas.withdraw(job)
        seconds = matte.seconds + time.perf_counter() - started
        return Done(job, {**self.journal.common, **facts}, seconds, notes, peak_bytes())

    def _write_left(self, todo: Todo, matte: Matte, facts: dict[str, Any]) -> tuple[str, ...] | Skipped:
        """Write the outputs, but those that another process has just made; gives the notes."""
        try:
            return write_outputs(
                todo.job,
                matte,
                self.options.outputs,
                backgrounds=self._backgrounds_of(todo),
                replaces=todo.replaces,
                record=partial(self._recorder, todo, facts),
            )
        except InputError:
            again = self.todo(todo.job)
            if isinstance(again, Skipped):
                return again
            left = {kind: again.replaces[kind] for kind in todo.replaces if kind in again.replaces}
            if len(left) == len(todo.replaces):
                raise
        return self._write_left(replace(todo, replaces=left), matte, facts)

    def recipe(self, output: str, job: Job) -> str:
        """A digest of what makes an output, its input files aside."""
        return self._good(output, job)[0]

    def _is_good(self, record: Record, output: str, job: Job) -> bool:
        """Whether what was recorded is what this run would make. Records of 0.1.0 have no attention."""
        good = self._good(output, job)
        return record.recipe in (good if "attention" in record.facts else good + self._good(output, job, first=True))

    def _good(self, output: str, job: Job, *, first: bool = False) -> list[str]:
        """The recipes whose outputs are done: that of this run, and the same in fp32 where that will do."""
        options, reading = self.options.outputs, self.alphas.reading_words()
        return [
            output_recipe(output, job, options, alpha=words, reading=reading, first=first)
            for words in self.alphas.words(job)
        ]

    def _recorder(self, todo: Todo, facts: dict[str, Any], output: str) -> Callable[[BinaryIO], None]:
        return partial(
            self.journal.add,
            todo.job.outputs[output],
            recipe=todo.recipes[output],
            inputs=todo.inputs[output],
            facts=facts,
        )

    def _facts(self, job: Job, matte: Matte) -> dict[str, Any]:
        """What reports and the journal say of a photo: `placed` where the outputs have a frame of their own.

        `finished` says that edges or more were finished, `kinds` what outputs with names of their own are, and `kept`
        is the name of the alpha's file. `input_space` and `layer` are those that were asked for.
        """
        finishing, reading = self.options.outputs.finishing, self.options.reading
        said = {"finished": finishing.asked, "placed": finishing.placed}
        facts = {**matte.facts(), **{name: True for name, value in said.items() if value}}
        facts |= {} if reading.input_space == "auto" else {"input_space": reading.input_space}
        facts |= {} if reading.layer is None else {"layer": reading.layer}
        return facts | self._own_kinds() | self._kept_now(job)

    def _own_kinds(self) -> dict[str, dict[str, str]]:
        kinds = {name: str(made.kind) for name, made in self.options.outputs.renditions.items() if made.kind != name}
        return {"kinds": kinds} if kinds else {}

    def _kept_now(self, job: Job) -> dict[str, str]:
        kept = self.alphas.kept_key(job)
        return {} if kept is None else {"kept": kept}

    def _made(self, job: Job) -> dict[str, tuple[Record | None, bool]]:
        """For each output the record of how it was made, and whether there is such a file."""
        made: dict[str, tuple[Record | None, bool]] = {}
        for kind, output in job.outputs.items():
            record, exists = self.journal.made(output), os.path.lexists(output)
            if exists and record is None:  # perhaps another process has just made it
                self.journal.refresh()
                record = self.journal.made(output)
            made[kind] = record, exists
        return made

    def _inputs(self, job: Job) -> dict[str, str]:
        """For each output a digest of the files that it is made from."""
        approved = self.alphas.approval(job) is not None
        pair = digest([self._state(path) for path in ([job.image] if approved else job.sources)])
        inputs = dict.fromkeys(job.outputs, pair)
        for output in job.outputs:
            behind = job.behind(output) if self.options.outputs.kind(output) == "composite" else None
            if behind is not None and is_picture(behind):
                inputs[output] = digest([pair, self._state(behind)])
        return inputs

    def _state(self, path: str) -> list[int] | str:
        return file_state(path, content=self.options.content)

    def _check_outputs(self, todo: Todo) -> None:
        for kind, output, asked in self._asked(todo):
            try:
                os.makedirs(os.path.dirname(output) or ".", exist_ok=True)
            except OSError as error:
                raise InputError(
                    f"{output} cannot be written: its folder cannot be made ({error.strerror}); name another folder"
                ) from error
            # `todo` has settled what may be replaced
            check_output_file(kind, output, **asked, overwrite=True, inputs=todo.job.inputs)

    def _asked(self, todo: Todo) -> Iterator[tuple[Kind, str, dict[str, Any]]]:
        """The kind of each output to write, its file, and what decides whether the file can hold it."""
        job, options = todo.job, self.options.outputs
        for name in todo.replaces:
            asked = {
                "bits": options.alpha_bits(name),
                "files": options.write_options(name),
                "background": job.behind(name),
            }
            yield options.kind(name), job.outputs[name], asked

    def _check_inside(self, job: Job) -> None:
        for output in job.outputs.values():
            if (how := way_out(output, self.options.out)) is not None:
                raise InputError(f"{output} {how}; remove the link, or name another output")

    def _backgrounds_of(self, todo: Todo) -> dict[str, Background]:
        kind, job = self.options.outputs.kind, todo.job
        texts = {output: job.behind(output) for output in todo.replaces if kind(output) == "composite"}
        # Each state is taken before its file is read, so that a file replaced meanwhile is read again.
        keys = {text: (text, self._background_state(text)) for text in texts.values() if text is not None}
        with self._reading_background:
            known = self._backgrounds  # only those of the last photo: they may be large
            if not set(keys.values()) <= known.keys():
                read = partial(read_background, reading=self.options.reading)
                known = {key: known[key] if key in known else read(key[0]) for key in keys.values()}
                self._backgrounds = known
        return {output: known[keys[text]] for output, text in texts.items() if text is not None}

    def _background_state(self, text: str) -> State:
        """What changes with a background's file; None for a colour."""
        state = self._state(text) if is_picture(text) else None
        return tuple(state) if isinstance(state, list) else state

    def _sweep(self, folder: str) -> None:
        if folder not in self._swept:
            self._swept.add(folder)
            sweep(Path(folder))
