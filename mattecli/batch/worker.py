"""One photo of a batch: is it done, remaining steps, record."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from mattecli.batch.approved import APPROVED, Approvals, place
from mattecli.batch.jobs import way_out
from mattecli.batch.journal import FOLDER, Approval, Journal, Record
from mattecli.batch.kept import KeptAlpha, KeptAlphas
from mattecli.batch.recipe import (
    alpha_recipe,
    approved_words,
    digest,
    given_words,
    network_words,
    output_recipe,
    reading_words,
)
from mattecli.compositing.outputs import check_memory, check_output_file, is_picture, read_background
from mattecli.errors import InputError
from mattecli.evaluation.attention import attention
from mattecli.imaging.options import ReadOptions
from mattecli.imaging.read import read_image
from mattecli.inference.model import Model
from mattecli.inference.options import RunOptions
from mattecli.system.files import sweep
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


@dataclass(frozen=True, kw_only=True)
class BatchOptions:
    """What all photos of a batch have in common.

    `out` is the output folder, which also holds the journal. `overwrite` replaces files that no batch made. `redo`
    mattes again what is done. `content` compares inputs by what they hold, not by size and time of change. `keep_alpha`
    keeps each alpha in the output folder, for later runs with other outputs. Without `network` all alphas are given,
    and no weights are needed. With `settled` the run's precision was left to us: what was made under `auto` in fp32, as
    by older versions, is as good.
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
    """A job that is not done: the outputs to write, and the digests of their inputs.

    `replaces` says of each output to write whether it replaces a file. `size` is the photo's (width, height), `seconds`
    the time that went into finding this out.
    """

    job: Job
    replaces: dict[str, bool]
    inputs: dict[str, str]
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
        self.kept = KeptAlphas(options.out)
        for folder in (options.out / FOLDER, self.kept.folder):
            if (how := way_out(folder, options.out)) is not None:
                raise InputError(f"{folder} {how}; remove the link")
        self.journal = Journal(options.out)
        self.approvals = Approvals(options.out, self.journal)
        self._backgrounds: dict[str, Background] = {}
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
        size = job_size(job, self.options.reading)
        if self.options.keep_alpha:
            self._sweep(str(self.kept.folder))
        return replace(todo, size=size, seconds=time.perf_counter() - started)

    def todo(self, job: Job) -> Todo | Skipped:
        """As `prepare`, but makes nothing and opens no picture."""
        made = self._made(job)
        inputs = self._inputs(job)
        replaces = {}
        for kind, (record, exists) in made.items():
            current = record is not None and record.inputs == inputs[kind] and record.recipe in self._good(kind, job)
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
        """Decode the photo and its trimap, or take the alpha that was given or kept. Raises InputError."""
        if todo.job.finished:
            given = read_finished(todo.job, reading=self.options.reading)
            given = replace(given, seconds=todo.seconds + given.seconds)
            return ReadJob(todo, given.inputs, given)
        if (known := self._known(todo)) is not None:
            return ReadJob(todo, known.inputs, known)
        run = self.options.run
        inputs = read_inputs(todo.job, snap=run.snap, exposure=run.network_exposure, reading=self.options.reading)
        return ReadJob(todo, replace(inputs, seconds=todo.seconds + inputs.seconds))

    def matte(self, read: ReadJob) -> Matte:
        """Find the alpha, unless it is known. Raises DeviceError where the memory does not suffice."""
        if read.known is not None:
            check_memory(read.known.inputs.photo)
            return read.known
        job = read.todo.job
        wanted = {kind: job.outputs[kind] for kind in read.todo.replaces}
        return find_matte(replace(job, outputs=wanted), read.inputs, self.model)

    def write(self, todo: Todo, matte: Matte) -> Done | Skipped:
        """Write and record what is to be written; Skipped where another process was faster. Raises InputError.

        With `keep_alpha` the alpha is kept first, since it took the longest.
        """
        started = time.perf_counter()
        job = todo.job
        if matte.attention is None:
            looked = attention(matte.inputs.photo.pixels, matte.alpha, matte.inputs.trimap)
            matte = replace(matte, attention=looked.to_json())
        if self.options.keep_alpha and not matte.network and not job.finished:
            self._keep(job, matte)
        if self.options.redo and not job.finished:
            self.approvals.withdraw(job.image, _partner(job))
        self._check_inside(job)  # again: a link may have come since
        facts = self._facts(job, matte)
        try:
            notes = write_outputs(
                job,
                matte,
                self.options.outputs,
                backgrounds=self._backgrounds_of(todo),
                replaces=todo.replaces,
                record=partial(self._recorder, todo, facts),
            )
        except InputError:
            again = self.todo(job)
            if isinstance(again, Skipped):
                return again
            raise
        seconds = matte.seconds + time.perf_counter() - started
        return Done(job, {**self.journal.common, **facts}, seconds, notes, peak_bytes())

    def recipe(self, output: str, job: Job) -> str:
        """A digest of what makes an output, its input files aside."""
        return output_recipe(
            output, job, self.options.outputs, alpha=self._alpha_words(job), reading=self._reading_words()
        )

    def _good(self, output: str, job: Job) -> list[str]:
        """The recipes whose outputs are done: that of this run, and the same in fp32 where `auto` stands for more."""
        options, reading = self.options.outputs, self._reading_words()
        return [
            output_recipe(output, job, options, alpha=words, reading=reading) for words in self._all_alpha_words(job)
        ]

    def alpha_key(self, job: Job) -> str:
        """A digest of what makes a job's alpha: network, options of reading, trimap and input files.

        How outputs are made of the alpha is left out. The places of the files, seen from the output folder, tell apart
        files of the same size and time. Raises InputError for a file that cannot be read.
        """
        return self._alpha_keys(job)[0]

    def _alpha_keys(self, job: Job) -> list[str]:
        """The keys of the alphas that will do for a job, its own first."""
        places = [place(path, self.options.out) for path in job.sources]
        states = [self._state(path) for path in job.sources]
        reading, files = self._reading_words(), [places, states]
        return [alpha_recipe(job, alpha=words, reading=reading, files=files) for words in self._network_words(job)]

    def alpha_keys(self, jobs: Iterable[Job]) -> set[str]:
        """The keys of these jobs' alphas; jobs whose files cannot be read are left out."""
        keys = set()
        for job in jobs:
            with suppress(InputError):
                keys.update(self._alpha_keys(job))
        return keys

    def _alpha_words(self, job: Job) -> list[Any]:
        return self._all_alpha_words(job)[0]

    def _all_alpha_words(self, job: Job) -> list[list[Any]]:
        """The words of the alphas that will do for a job: the approved one alone, or those of the network."""
        approval = self._approval(job)
        return self._network_words(job) if approval is None else [approved_words(approval.file or "")]

    def _network_words(self, job: Job) -> list[list[Any]]:
        """The words of the network's alphas that will do: of this run's, and of one made under `auto` in fp32."""
        if job.finished or self.checkpoint is None:
            return [given_words(job)]
        run, sha256 = self.options.run, self.checkpoint.sha256
        words = [network_words(sha256, run)]
        return [*words, network_words(sha256, run, precision="auto")] if self.options.settled else words

    def _reading_words(self) -> list[Any]:
        return reading_words(self.options.reading, exposure=self.options.run.network_exposure)

    def has_kept(self, job: Job) -> bool:
        """Whether the job's alpha was kept or approved, and will be taken."""
        return self._approval(job) is not None or self._kept_key(job) is not None

    def _approval(self, job: Job) -> Approval | None:
        """The approval of the job's alpha, which `redo` overrules."""
        return None if self.options.redo or job.finished else self.approvals.of(job.image, _partner(job))

    def _kept_key(self, job: Job) -> str | None:
        if self.options.redo or job.finished:
            return None
        return next((key for key in self._alpha_keys(job) if self.kept.has(key)), None)

    def _known(self, todo: Todo) -> Matte | None:
        """The matte of an alpha that was approved or kept; None where there is none, or a damaged one was kept."""
        started = time.perf_counter()
        approved = self._approval(todo.job) is not None
        kept = self._approved(todo) if approved else self._kept(todo)
        if kept is None:
            return None
        photo = read_image(todo.job.image, options=self.options.reading)
        seconds = todo.seconds + time.perf_counter() - started
        facts = kept.facts
        inputs = Inputs(photo, None, kept.trimap, facts["unknown"], seconds, tuple(facts["notes"]))
        network = {**facts["network"], APPROVED: True} if approved else facts["network"]
        return Matte(inputs, kept.alpha, facts["tile"], seconds, network, facts.get("attention"))

    def _approved(self, todo: Todo) -> KeptAlpha | None:
        return self.approvals.load(todo.job.image, _partner(todo.job), size=todo.size)

    def _kept(self, todo: Todo) -> KeptAlpha | None:
        key = self._kept_key(todo.job)
        return None if key is None else self.kept.load(key, size=todo.size)

    def _keep(self, job: Job, matte: Matte) -> None:
        inputs = matte.inputs
        facts = {
            "network": self.journal.common,
            "tile": matte.tile,
            "unknown": inputs.unknown,
            "notes": list(inputs.notes),
            "attention": matte.attention,
        }
        self.kept.save(self.alpha_key(job), matte.alpha, inputs.required_trimap, facts=facts)

    def _recorder(self, todo: Todo, facts: dict[str, Any], output: str) -> Callable[[BinaryIO], None]:
        return partial(
            self.journal.add,
            todo.job.outputs[output],
            recipe=self.recipe(output, todo.job),
            inputs=todo.inputs[output],
            facts=facts,
        )

    def _facts(self, job: Job, matte: Matte) -> dict[str, Any]:
        """What reports and the journal say of a photo: `placed` where the outputs have a frame of their own.

        `finished` says that edges or more were finished, and `kept` is the name of the alpha's file.
        """
        finishing = self.options.outputs.finishing
        said = {"finished": finishing.asked, "placed": finishing.placed}
        facts = {**matte.facts(), **{name: True for name, value in said.items() if value}}
        if not job.finished and self.kept.folder.is_dir():
            kept = next((key for key in self._alpha_keys(job) if self.kept.has(key)), None)
            facts |= {} if kept is None else {"kept": kept}
        return facts

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
        approved = self._approval(job) is not None
        pair = digest([self._state(path) for path in ([job.image] if approved else job.sources)])
        inputs = dict.fromkeys(job.outputs, pair)
        for output in job.outputs:
            behind = job.behind(output) if self.options.outputs.kind(output) == "composite" else None
            if behind is not None and is_picture(behind):
                inputs[output] = digest([pair, self._state(behind)])
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
        job, options = todo.job, self.options.outputs
        for name in todo.replaces:
            output = job.outputs[name]
            try:
                os.makedirs(os.path.dirname(output) or ".", exist_ok=True)
            except OSError as error:
                raise InputError(
                    f"{output} cannot be written: its folder cannot be made ({error.strerror}); name another folder"
                ) from error
            check_output_file(
                options.kind(name),
                output,
                bits=options.alpha_bits(name),
                files=options.write_options(name),
                background=job.behind(name),
                overwrite=True,  # `todo` has settled what may be replaced
                inputs=job.inputs,
            )

    def _check_inside(self, job: Job) -> None:
        for output in job.outputs.values():
            if (how := way_out(output, self.options.out)) is not None:
                raise InputError(f"{output} {how}; remove the link, or name another output")

    def _backgrounds_of(self, todo: Todo) -> dict[str, Background]:
        kind, job = self.options.outputs.kind, todo.job
        texts = {output: job.behind(output) for output in todo.replaces if kind(output) == "composite"}
        wanted = dict.fromkeys(text for text in texts.values() if text is not None)
        with self._reading_background:
            known = self._backgrounds  # only those of the last photo: they may be large
            if not wanted.keys() <= known.keys():
                known = {text: known[text] if text in known else read_background(text) for text in wanted}
                self._backgrounds = known
        return {output: known[text] for output, text in texts.items() if text is not None}

    def _sweep(self, folder: str) -> None:
        if folder not in self._swept:
            self._swept.add(folder)
            sweep(Path(folder))


def _partner(job: Job) -> str | None:
    """The trimap or mask of a job, if it has one."""
    return None if job.what is None else job.trimap
