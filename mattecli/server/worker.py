"""The worker process: runs the network, one task after another.

It is a process of its own, so strokes never wait for it, and it can be killed, which gives its memory back. It ends
when its parent does.
"""

from __future__ import annotations

import os
import signal
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.errors import MatteError
from mattecli.geometry import Box
from mattecli.inference.coarse import Draft, wide
from mattecli.inference.model import Model
from mattecli.inference.options import RunOptions
from mattecli.inference.plan import Plan, Tile
from mattecli.inference.tiling import Statistics
from mattecli.server.distance import measured
from mattecli.server.models import Models
from mattecli.server.pauses import Pauses, Signals
from mattecli.server.tasks import (
    Cancelled,
    Failed,
    Matted,
    MatteTask,
    Progressed,
    ProposalTask,
    Proposed,
    Reply,
    Task,
    bug_of,
)
from mattecli.server.windows import MARGIN, share_done, usual_error
from mattecli.system.process import prepare_process
from mattecli.system.threads import use_threads
from mattecli.trimaps.auto import open_model
from mattecli.trimaps.check import unknown
from mattecli.trimaps.clean import near
from mattecli.trimaps.keying import key_trimap
from mattecli.trimaps.recipe import MaskRecipe
from mattecli.trimaps.segmentation import CALIBRATED_FOR, OTHER_WEIGHTS, prepare_photo, segment
from mattecli.trimaps.sources import parse_key
from mattecli.trimaps.strokes import stroke_cores
from mattecli.work.job import backend_facts

_NICE = 5  # below the server, so that strokes come first
_OFTEN = 0.1  # seconds between two reports of progress
_PHOTOS = 2  # whose statistics are kept
_ANEW = 32  # so many pixels around a change the network decides anew what a draft had decided


@dataclass(frozen=True, eq=False)
class _Run:
    """What an exact run leaves for previews: its statistics, and what its draft decided, if it had one."""

    statistics: Statistics
    decided: _Decided | None


@dataclass(frozen=True, eq=False)
class _Decided:
    """What the draft of a photo decided of its trimap (H, W). `base` is what lay under the paint."""

    trimap: NDArray[np.uint8]
    draft: Draft
    base: int

    def holds(self, trimap: NDArray[np.uint8], box: Box, base: int) -> NDArray[np.bool_]:
        """Where in a box of a later trimap (H, W) it still says something.

        Near labels that changed since it says nothing, and the network decides anew. On another base it says nothing
        at all.
        """
        if base != self.base:
            return np.zeros((box.height, box.width), np.bool_)
        around = box.grow(_ANEW).clip(*trimap.shape)
        changed = near(trimap[around.slices] != self.trimap[around.slices], _ANEW)
        return ~changed[box.within(around).slices]


class _Ended(Exception):  # noqa: N818 - it is not an error
    """The task was cancelled."""


def serve(connection: Connection, signals: Signals, options: RunOptions) -> None:
    """Carry out tasks as they come, until the connection is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all processes of a terminal; the parent decides
    prepare_process()
    use_threads(options.threads)
    worker = Worker(Model(options), connection.send, signals)
    with suppress(MatteError):  # the first task says it again
        worker.load()
    with suppress(AttributeError, OSError):  # not on every system
        os.nice(_NICE)  # only now, so that the first task is not late
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            connection.send((0, None))  # ready for the next
            task: Task = connection.recv()
            connection.send((task.number, worker.reply(task)))


class Worker:
    """Carries out tasks with a model; `send` is called with numbers of tasks and their progress."""

    def __init__(self, model: Model, send: Callable[[tuple[int, Reply]], None], signals: Signals) -> None:
        self._model, self._send, self._signals = model, send, signals
        self._models = Models(model)
        self._kept: OrderedDict[tuple[str, str], _Run] = OrderedDict()

    def load(self) -> None:
        """Load what proposals and the mattes of most photos need."""
        self._model.load()
        self._models.settled(eight_bits=True).load()

    def reply(self, task: Task) -> Reply:
        """Carry out a task. Errors are replies, too."""
        try:
            if isinstance(task, MatteTask):
                return self._matte(task)
            return self._propose(task)
        except _Ended:
            return Cancelled()
        except MatteError as error:
            return Failed(str(error))
        except MemoryError:
            return Failed(f"{task.name} needs more memory than there is; close other programs, or give more")
        except Exception as error:
            return Failed(bug_of(task, error))

    def _check(self, task: Task) -> None:
        if self._signals.cancelled.value == task.number:
            raise _Ended

    # Mattes

    def _matte(self, task: MatteTask) -> Reply:
        model = self._models.of(task.precision).load()  # its time is not that of the run
        began, plans, last, pauses = time.perf_counter(), list[Plan](), [0.0], Pauses(self._signals)

        def progress(label: str, done: int, total: int) -> None:
            self._check(task)
            pauses.rest(lambda: self._check(task))
            now = time.perf_counter()
            if now - last[0] >= _OFTEN:
                last[0] = now
                seconds = now - began - pauses.seconds
                self._send((task.number, Progressed(share_done(label, done, total), seconds)))

        self._check(task)
        view, trimap, out = task.view.array(), task.trimap.array(), task.out.array(writable=True)
        if task.kind == "exact":
            statistics = Statistics()
            draft = model.draft(view, trimap, name=task.name, progress=progress)
            found = model.predict(
                view, draft.trimap, name=task.name, on_plan=plans.append, progress=progress, statistics=statistics
            )
            found = draft.corrected(found)
            self._keep(task, statistics, trimap, draft)
            error = 0.0
        else:
            found, error = self._window(task, model, view, trimap, plans.append, progress)
        out[...] = found
        tile: Tile = "off" if not plans or plans[-1].whole else plans[-1].tile
        facts: dict[str, Any] = {}
        if task.kind == "exact":
            facts = {**backend_facts(model.backend), "coarse_to_fine": draft.alpha is not None}
        return Matted(time.perf_counter() - began - pauses.seconds, tile, error, facts)

    def _window(
        self,
        task: MatteTask,
        model: Model,
        view: NDArray[Any],
        trimap: NDArray[np.uint8],
        on_plan: Callable[[Plan], None],
        progress: Callable[[str, int, int], None],
    ) -> tuple[NDArray[np.float32], float]:
        """The alpha of a window at its level, and its usual error.

        At full size it is run with the statistics of the photo's last exact run, if there was one, and with what that
        run's draft had decided.
        """
        scale = 2**task.level
        box = task.box.grow(MARGIN * scale).clip(*trimap.shape)
        photo, known = _halved(view[box.slices], task.level), _labels_halved(trimap[box.slices], task.level)
        kept = self._kept.get((task.content, task.precision)) if task.level == 0 else None
        decided = kept.decided if kept is not None else None
        holds = np.zeros(known.shape, np.bool_)  # where the draft still says something
        if decided is not None:
            holds = decided.holds(trimap, box, task.base)
            known = np.where(unknown(known) & holds, decided.draft.trimap[box.slices], known)
        statistics = Statistics(kept.statistics if kept is not None else {})
        alpha = model.predict(photo, known, name=task.name, on_plan=on_plan, progress=progress, statistics=statistics)
        if decided is not None:
            alpha = np.where(holds, decided.draft.corrected(alpha, part=box, trimap=known), alpha)
        inner = Box(*(side // scale for side in task.box.within(box)))
        inner = Box(inner.top, inner.top + task.out.shape[0], inner.left, inner.left + task.out.shape[1])
        same = kept is not None and (decided is None or bool(holds.all()))
        apart = not same and task.level == 0 and not holds.any()  # asked first: `wide` looks at the whole trimap
        copied = apart and model.options.coarse_to_fine and wide(trimap)
        return alpha[inner.slices], usual_error(task.level, statistics=same, copied=copied)

    def _keep(self, task: MatteTask, statistics: Statistics, trimap: NDArray[np.uint8], draft: Draft) -> None:
        if statistics or draft.alpha is not None:  # neither where nothing was unknown
            key = task.content, task.precision
            decided = None if draft.alpha is None else _Decided(np.array(trimap), draft, task.base)
            self._kept[key] = _Run(statistics, decided)
            self._kept.move_to_end(key)
            while len(self._kept) > _PHOTOS:
                self._kept.popitem(last=False)

    # Proposals

    def _propose(self, task: ProposalTask) -> Reply:
        notes: list[str] = []
        trimap = self._trimap(task, notes.append)
        self._check(task)
        base = measured(trimap)
        self._check(task)
        return Proposed(base, tuple(notes))

    def _trimap(self, task: ProposalTask, on_note: Callable[[str], None]) -> NDArray[np.uint8]:
        view = task.view.array()
        if task.trimap is not None:
            return np.array(task.trimap.array())
        if task.source == "key":
            trimap, findings = key_trimap(view, colour=parse_key(task.colour or "auto"), name=task.name)
            for finding in findings[1:]:
                on_note(finding)
            return trimap
        if task.source == "matte" and task.matte is not None:
            return self._of_mask(np.array(task.matte.array()), view, task, on_note)
        if task.source == "auto":
            return self._of_mask(open_model().find(view, name=task.name), view, task, on_note)
        if not self._model.backend.checkpoint.sha256.startswith(CALIBRATED_FOR):
            on_note(OTHER_WEIGHTS)
        strokes = None if task.strokes is None else stroke_cores(np.array(task.strokes.array()))
        return segment(
            prepare_photo(view),
            strokes,
            box=task.box,
            matte=lambda small, known: self._model.predict(
                small, known, name=task.name, progress=lambda *_: self._check(task)
            ),
            check=lambda: self._check(task),
        )

    def _of_mask(
        self, mask: NDArray[Any], view: NDArray[Any], task: ProposalTask, on_note: Callable[[str], None]
    ) -> NDArray[np.uint8]:
        self._check(task)
        return MaskRecipe().make(mask, photo=view, name=task.name, on_note=on_note)


def _halved(pixels: NDArray[Any], level: int) -> NDArray[Any]:
    """A part of a photo at a level."""
    if level == 0:
        return np.ascontiguousarray(pixels)
    size = (-(-pixels.shape[1] // 2**level), -(-pixels.shape[0] // 2**level))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))


def _labels_halved(trimap: NDArray[np.uint8], level: int) -> NDArray[np.uint8]:
    """A part of a trimap at a level. What is not all foreground or all background is unknown."""
    if level == 0:
        return np.ascontiguousarray(trimap)
    small = _halved(trimap, level)
    return np.where((small == 0) | (small == 255), small, np.uint8(128))
