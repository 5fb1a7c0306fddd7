"""Jobs, and what became of them: done, skipped or failed."""

from __future__ import annotations

import os
import traceback as tracebacks
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from mattecli.compositing.outputs import is_picture
from mattecli.errors import MatteError
from mattecli.work.making import Making


@dataclass(frozen=True, slots=True)
class Job:
    """One photo with its trimap, and a file for each output that is to be made of it.

    `name` stands for the photo in reports; in a batch it is the photo's path below the folder, with slashes.
    `background` is a picture's file, a colour or `transparent`; composites need one. `backgrounds` are those of outputs
    that have one of their own, by the output's name. `making` says how the trimap is
    made, if it is not simply read: the file `trimap` is then perhaps a mask, or the photo itself. With `finished` that
    file is the alpha itself, and `known` may be a trimap that says what is certain. `extra` are a manifest's other
    columns, for the report.
    """

    name: str
    image: str
    trimap: str
    outputs: dict[str, str]
    background: str | None = None
    extra: Mapping[str, str] = field(default_factory=dict)
    making: Making | None = None
    finished: bool = False
    known: str | None = None
    backgrounds: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Job:
        """The same from `dataclasses.asdict`."""
        making = fields["making"]
        return cls(**{**fields, "making": None if making is None else Making.of(making)})

    @property
    def what(self) -> str | None:
        """What the file `trimap` is: a trimap, a mask or an alpha; None where it is only the photo again."""
        if self.finished:
            return "alpha"
        if self.making is None:
            return "trimap"
        return None if self.making.of_photo else self.making.what

    @property
    def sources(self) -> list[str]:
        """The files that the alpha is made from, and those that say what is certain."""
        pair = [self.image] if self.what is None else [self.image, self.trimap]
        certain = [] if self.making is None else self.making.files
        return [*pair, *certain, *([] if self.known is None else [self.known])]

    @property
    def inputs(self) -> list[str]:
        """The files that the job reads."""
        behind = dict.fromkeys([self.background, *self.backgrounds.values()])
        return [*self.sources, *(text for text in behind if text is not None and is_picture(text))]

    def doubled(self) -> str | None:
        """Two outputs that would be one file, in a sentence; None if there are none. Not every disk knows capitals."""
        names: dict[str, str] = {}
        for name, output in self.outputs.items():
            first = names.setdefault(os.path.normpath(output).casefold(), name)
            if first != name:
                return f"{output} would be both {first} and {name}; give one of them a file of another name"
        return None

    def behind(self, output: str) -> str | None:
        """The background of an output, should it be a composite."""
        return self.backgrounds.get(output, self.background)


@dataclass(frozen=True)
class Done:
    """A photo whose outputs were written.

    `facts` say what was matted and how, with the keys of reports: width, height, unknown, tile, device, backend,
    precision and weights. `seconds` is the time it took, `notes` what the user should know of it, and `peak_bytes` the
    most memory that the process had held by then.
    """

    status: ClassVar[str] = "done"
    job: Job
    facts: Mapping[str, Any]
    seconds: float
    notes: tuple[str, ...] = ()
    peak_bytes: int | None = None

    @property
    def name(self) -> str:
        """The photo's name in reports."""
        return self.job.name

    def to_json(self) -> dict[str, Any]:
        """The photo's line in a report."""
        line = {**describe(self.job), "status": self.status, **self.facts, "seconds": round(self.seconds, 3)}
        if self.notes:
            line["note"] = "; ".join(self.notes)
        if self.peak_bytes is not None:
            line["peak_bytes"] = self.peak_bytes
        return line


@dataclass(frozen=True)
class Skipped:
    """A photo whose outputs were there already; `facts` are those of the run that made them."""

    status: ClassVar[str] = "skipped"
    job: Job
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The photo's name in reports."""
        return self.job.name

    def to_json(self) -> dict[str, Any]:
        """The photo's line in a report."""
        return {**describe(self.job), "status": self.status, **self.facts}


@dataclass(frozen=True)
class Failed:
    """A photo that could not be matted, and why; `traceback` only where a bug was the reason.

    `what` says what the file `trimap` is, as in a Job. Without `outputs` the photo never became a job: its trimap
    was missing, for example. `disk_full` says that its outputs found no room, as those of other photos would not.
    """

    status: ClassVar[str] = "failed"
    name: str
    image: str
    reason: str
    trimap: str | None = None
    outputs: Mapping[str, str] = field(default_factory=dict)
    background: str | None = None
    traceback: str | None = None
    extra: Mapping[str, str] = field(default_factory=dict)
    what: str | None = "trimap"
    backgrounds: Mapping[str, str] = field(default_factory=dict)
    disk_full: bool = False

    @classmethod
    def of(cls, job: Job, error: Exception) -> Failed:
        """The outcome of a job that raised `error`. An error that is not a MatteError is a bug in mattecli."""
        traceback = None
        if isinstance(error, MatteError):
            reason = str(error)
        elif isinstance(error, MemoryError):
            reason = f"{job.image} needs more memory than there is; free some, or matte it alone"
        else:
            reason = f"{job.image} met a bug in matte: {type(error).__name__}: {error}; please report it"
            traceback = "".join(tracebacks.format_exception(error))
        trimap = None if job.what is None else job.trimap
        outputs, background = job.outputs, job.background
        return cls(
            job.name, job.image, reason, trimap, outputs, background, traceback, job.extra, job.what, job.backgrounds
        )

    def to_json(self) -> dict[str, Any]:
        """The photo's line in a report."""
        line = {**_describe(self), "status": self.status, "reason": self.reason}
        return line if self.traceback is None else {**line, "traceback": self.traceback}


Outcome = Done | Skipped | Failed


def describe(job: Job) -> dict[str, Any]:
    """The part of a report's line that says which photo it is about, with absolute paths."""
    return _describe(job)


def _describe(photo: Job | Failed) -> dict[str, Any]:
    line: dict[str, Any] = {"name": photo.name, "image": os.path.abspath(photo.image)}
    if photo.trimap is not None and photo.what is not None:
        line[photo.what] = os.path.abspath(photo.trimap)
    if photo.outputs:
        outputs = {kind: os.path.abspath(output) for kind, output in photo.outputs.items()}
        line["output"] = next(iter(outputs.values())) if len(outputs) == 1 else outputs
        if len(outputs) == 1:
            line["product"] = next(iter(outputs))
    if photo.background is not None:
        line["background"] = _absolute(photo.background)
    if photo.backgrounds:
        line["backgrounds"] = {output: _absolute(behind) for output, behind in photo.backgrounds.items()}
    if photo.extra:
        line["extra"] = dict(photo.extra)
    return line


def _absolute(background: str) -> str:
    return os.path.abspath(background) if is_picture(background) else background
