"""Mattes and proposals that the page asks for."""

from __future__ import annotations

import itertools
import secrets
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mattecli.errors import InputError, UsageError
from mattecli.geometry import Box
from mattecli.inference.options import RunOptions
from mattecli.inference.precision import settle_precision
from mattecli.server.dispatcher import Dispatcher
from mattecli.server.labels import BARE, Labels
from mattecli.server.mattes import Found
from mattecli.server.photo import Photo
from mattecli.server.raster import covered, stroke_spans
from mattecli.server.sessions import Sessions
from mattecli.server.shared import Shared
from mattecli.server.tasks import (
    Cancelled,
    Failed,
    Matted,
    MatteTask,
    Progressed,
    ProposalTask,
    Proposed,
    Reply,
    Source,
    Task,
    bug_of,
)
from mattecli.server.windows import window_of
from mattecli.server.worker import serve
from mattecli.system.files import as_text
from mattecli.trimaps.check import UNKNOWN

Tell = Callable[..., None]
_CANCELLED = "it was cancelled, or a newer one took its place"


@dataclass(eq=False)
class _Going:
    """A task that is going on: its photo stays open, and its shared files stay."""

    task: Task
    photo: Photo
    stack: ExitStack
    share: float = 0.0
    left: float | None = None
    out: Shared | None = None
    known: Shared | None = None
    then: list[Callable[[Found | str], None]] = field(default_factory=list)


class Runs:
    """Has mattes and proposals made, and tells the page of them by `tell`, as `Events.send` does."""

    def __init__(
        self, sessions: Sessions, tell: Tell, options: RunOptions, *, target: Callable[..., None] = serve
    ) -> None:
        self._sessions, self._tell, self._options = sessions, tell, options
        self._numbers = itertools.count(time.time_ns() // 1_000_000)  # a page knows those of servers before this one
        self._lock = threading.Lock()
        self._going: dict[int, _Going] = {}
        self._ended: dict[str, dict[str, dict[str, Any]]] = {}  # by photo and event: those that a page may have missed
        self._rate: float | None = None  # seconds a pixel, of the last run
        self._dispatcher = Dispatcher(options, self._on_reply, target=target)

    def estimate(self, height: int, width: int) -> float | None:
        """The seconds that an exact run of a photo of that size may take; None before the first run."""
        return None if self._rate is None else round(self._rate * height * width, 1)

    def matte(
        self,
        word: str,
        kind: Literal["preview", "exact"],
        *,
        box: Sequence[int] | None = None,
        deep: bool = False,
        then: Callable[[Found | str], None] | None = None,
    ) -> int:
        """Have a matte made of the labels as they are now, and give the number of the run.

        `box` (left, top, right, bottom) is the part that a preview covers. A preview of a whole small photo is an exact
        run. With `deep` it is for more than 8 bits. `then` is called in the end with the matte, or with why there is
        none; such a run gives way to no preview. An exact run of the same labels that is going on is not made again:
        its number is given, and its end is waited for.
        """
        with ExitStack() as stack:
            photo = stack.enter_context(self._sessions.using(word))
            trimap, sequence, base = photo.snapshot()
            where, level = _place(photo, kind, box)
            whole = level == 0 and where == Box(0, photo.height, 0, photo.width)
            precision = self.precision(photo, deep=deep)
            kind = "exact" if whole else kind
            if kind == "exact" and (same := self._joined(word, sequence, precision, then)) is not None:
                self._dispatcher.cancel(lambda task: task.photo == word and _is_preview(task))  # as for a new run
                return same
            size = (-(-where.height // 2**level), -(-where.width // 2**level))
            view = photo.view().place
            with ExitStack() as begun:
                known = Shared.of(trimap, folder=photo.folder)
                begun.callback(known.close)
                out = Shared(size, np.float32, folder=photo.folder)
                begun.pop_all()
            number = next(self._numbers)
            task = MatteTask(
                number=number,
                photo=word,
                name=photo.path.name,
                content=photo.digest,
                kind=kind,
                sequence=sequence,
                view=view,
                trimap=known.place,
                out=out.place,
                box=where,
                level=level,
                base=base,
                precision=precision,
                pinned=then is not None,
            )
            self._submit(_Going(task, photo, stack.pop_all(), out=out, known=known, then=[then] if then else []))
        return number

    def _joined(
        self, word: str, sequence: int, precision: str, then: Callable[[Found | str], None] | None
    ) -> int | None:
        """The exact run of these labels that is going on, whose end `then` now waits for, too; None without one."""
        with self._lock:
            for number, going in self._going.items():
                task = going.task
                if not isinstance(task, MatteTask) or task.kind != "exact":
                    continue
                if (task.photo, task.sequence, task.precision) != (word, sequence, precision):
                    continue
                if self._dispatcher.keep(number, pinned=then is not None):
                    going.then += [then] if then else []
                    return number
        return None

    def precision(self, photo: Photo, *, deep: bool = False) -> str:
        """The precision of a photo's mattes: that of the command line for outputs of 8 bits, or with `deep` of more.

        A deeper photo has deeper outputs.
        """
        return settle_precision(self._options, eight_bits=photo.pixels.facts()["bits"] == 8 and not deep).precision

    def going(self, word: str) -> dict[str, Any]:
        """What goes on for a photo, for a page that opens it: its run and proposal, and how the last ones ended.

        Of several runs it is the newest exact one, or else the newest. `ended` are the events that told of ends.
        """
        found: dict[str, Any] = {"run": None, "proposing": None}
        with self._lock:
            for number, going in sorted(self._going.items(), key=_by_worth):
                task = going.task
                if task.photo != word:
                    continue
                if isinstance(task, MatteTask):
                    found["run"] = {"run": number, "kind": task.kind, "share": going.share, "left": going.left}
                else:
                    found["proposing"] = task.word
            return {**found, "ended": list(self._ended.get(word, {}).values())}

    def warm(self) -> None:
        """Start the worker process, if it does not run."""
        self._dispatcher.warm()

    def cancel(self, word: str, run: int) -> bool:
        """End a run. False where it is not going on."""
        return self._dispatcher.cancel(lambda task: task.photo == word and task.number == run)

    def hold(self, down: bool) -> None:
        """Have runs pause while a pointer is down on the page; see `Dispatcher.hold`."""
        self._dispatcher.hold(down)

    def end(self, word: str) -> None:
        """End all that is going on for a photo."""
        self._dispatcher.cancel(lambda task: task.photo == word)

    def propose(
        self,
        word: str,
        source: Source,
        *,
        box: Sequence[float] | None = None,
        strokes: Sequence[tuple[Sequence[Sequence[float]], int]] | None = None,
        colour: str | None = None,
        trimap: NDArray[np.uint8] | None = None,
    ) -> str:
        """Have a trimap proposed, and give its word. See `ProposalTask`; `box` is left, top, right and bottom.

        Strokes are those that are given, or else the paint. Raises `UsageError` for a proposal without what it needs.
        """
        with ExitStack() as stack:
            photo = stack.enter_context(self._sessions.using(word))
            places: dict[str, Any] = {}
            if source in ("box", "strokes"):
                marks = photo.painting.read(lambda labels: marked(labels, strokes))
                places["strokes"] = None if (marks == UNKNOWN).all() else self._shared(stack, photo, marks)
                if box is None and places["strokes"] is None:
                    raise UsageError("a proposal needs a box around the subject, or strokes; give one")
            if source == "matte":
                exact = photo.mattes.exact
                if exact is None:
                    raise UsageError("there is no exact matte yet that a band could be made from; make one first")
                places["matte"] = self._shared(stack, photo, exact.alpha)
            if trimap is not None:
                places["trimap"] = self._shared(stack, photo, trimap)
            name = secrets.token_urlsafe(9)
            task = ProposalTask(
                number=next(self._numbers),
                photo=word,
                name=photo.path.name,
                word=name,
                source=source,
                view=photo.view().place,
                box=None if box is None else (box[0], box[1], box[2] - box[0], box[3] - box[1]),
                colour=colour,
                **places,
            )
            self._submit(_Going(task, photo, stack.pop_all()))
        return name

    def close(self) -> None:
        """End everything."""
        self._dispatcher.close()

    def _shared(self, stack: ExitStack, photo: Photo, array: NDArray[Any]) -> Any:
        shared = Shared.of(array, folder=photo.folder)
        stack.callback(shared.close)
        return shared.place

    def _submit(self, going: _Going) -> None:
        with self._lock:
            self._going[going.task.number] = going
        self._dispatcher.submit(going.task)

    def _tell_end(self, task: Task, kind: str, **facts: Any) -> None:
        """Tell of the end of a task, and keep it for a page that does not hear of it."""
        if "error" in facts:
            facts["error"] = as_text(facts["error"])
        with self._lock:
            del self._going[task.number]
            self._ended.setdefault(task.photo, {})[kind] = {"type": kind, "photo": task.photo, **facts}
        self._tell(kind, task.photo, **facts)

    def _on_reply(self, task: Task, reply: Reply) -> None:
        if isinstance(reply, Progressed):
            left = None if reply.share < 0.05 else round(reply.seconds * (1 - reply.share) / reply.share, 1)
            with self._lock:
                going = self._going[task.number]
                going.share, going.left = round(reply.share, 3), left
            if isinstance(task, MatteTask):
                self._tell("progress", task.photo, run=task.number, share=going.share, left=left)
            return
        with self._lock:
            going = self._going[task.number]
        with going.stack:
            try:
                self._end(task, reply, going)
            except Exception as error:
                self._break(task, going, error)

    def _end(self, task: Task, reply: Reply, going: _Going) -> None:
        if isinstance(task, MatteTask):
            self._matted(task, reply, going)
        else:
            self._proposed(task, reply, going)

    def _break(self, task: Task, going: _Going, error: Exception) -> None:
        """End a task whose result could not be taken, and tell so."""
        traceback.print_exc()
        with self._lock:
            if task.number not in self._going:  # its end is told already
                return
        failed = Failed(bug_of(task, error))
        self._end(task, failed, going)

    def _matted(self, task: MatteTask, reply: Reply, going: _Going) -> None:
        photo, out, known = going.photo, going.out, going.known
        if out is None or known is None:
            raise AssertionError("a matte has no place")
        if not isinstance(reply, Matted):
            out.close()
            known.close()
            why = reply.sentence if isinstance(reply, Failed) else _CANCELLED
            cancelled = isinstance(reply, Cancelled)
            self._tell_end(task, "failed", run=task.number, error=why, cancelled=cancelled)
            for then in going.then:
                then(why)
            return
        pixels = out.array.shape[0] * out.array.shape[1]
        self._rate = reply.seconds / pixels
        found = Found(
            run=task.number,
            kind=task.kind,
            sequence=task.sequence,
            box=task.box,
            alpha=out.array,
            level=task.level,
            error=reply.error,
            tile=reply.tile,
            precision=reply.facts.get("precision"),
            draft=reply.facts.get("coarse_to_fine", False),
            trimap=known.array,
        )

        def drop() -> None:
            out.close()
            known.close()

        if not photo.mattes.keep(found, on_drop=drop):
            self._tell_end(task, "failed", run=task.number, error=_CANCELLED, cancelled=True)
            return
        estimate = {"exact": self.estimate(photo.height, photo.width)}
        self._tell_end(task, "matte", matte=found.to_json(), estimate=estimate)
        for then in going.then:
            then(found)

    def _proposed(self, task: ProposalTask, reply: Reply, going: _Going) -> None:
        if isinstance(reply, Proposed):
            going.photo.propose(task.word, reply.base)
            self._tell_end(task, "proposal", proposal=task.word, inside=0, outside=0, notes=list(reply.notes))
            return
        why = reply.sentence if isinstance(reply, Failed) else _CANCELLED
        cancelled = isinstance(reply, Cancelled)
        self._tell_end(task, "proposal", proposal=task.word, error=why, cancelled=cancelled)


def marked(labels: Labels, strokes: Sequence[tuple[Sequence[Sequence[float]], int]] | None = None) -> NDArray[np.uint8]:
    """What is certain by strokes, or by the paint, uint8 (H, W) of 0, 128 and 255."""
    grid = labels.grid
    marks = np.full((grid.height, grid.width), UNKNOWN, np.uint8)
    if strokes is None:
        for index in grid:
            tile = labels.paint[index]
            marks[grid.box(index).slices] = np.where(tile == BARE, np.uint8(UNKNOWN), tile)
        return marks
    for points, label in strokes:
        for index, mask in covered(stroke_spans(np.array(points, np.float64), grid), grid):
            marks[grid.box(index).slices][mask] = label
    return marks


def _is_preview(task: Task) -> bool:
    return isinstance(task, MatteTask) and task.kind == "preview"


def _by_worth(item: tuple[int, _Going]) -> tuple[bool, int]:
    number, going = item
    return isinstance(going.task, MatteTask) and going.task.kind == "exact", number


def _place(photo: Photo, kind: str, box: Sequence[int] | None) -> tuple[Box, int]:
    """The box of a run, and its level."""
    whole = Box(0, photo.height, 0, photo.width)
    if kind == "exact":
        return whole, 0
    wanted = whole if box is None else Box(box[1], box[3], box[0], box[2]).clip(photo.height, photo.width)
    if wanted.height <= 0 or wanted.width <= 0:
        raise InputError("the part to preview does not lie in the photo; give its left, top, right and bottom")
    return window_of(wanted, photo.height, photo.width)
