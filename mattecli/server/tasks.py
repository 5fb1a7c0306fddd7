"""What the server asks of its worker process, and the replies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from mattecli.geometry import Box
from mattecli.inference.plan import Tile
from mattecli.server.distance import Base
from mattecli.server.shared import Place

Source = Literal["box", "strokes", "key", "auto", "matte", "trimap"]


@dataclass(frozen=True, kw_only=True)
class MatteTask:
    """A run of the network: on a whole photo, or on a window of it that is shown.

    `photo` is the photo's word, and `content` the hash of its bytes. `view` is (H, W, 3) in sRGB, `trimap` (H, W), and
    `out` float32, (h, w) of `box` at a level. `sequence` is the operation after which the trimap was taken,
    and `base` the one that laid what is under its paint. `precision` is that of the run.
    """

    number: int
    photo: str
    name: str
    content: str
    kind: Literal["preview", "exact"]
    sequence: int
    view: Place
    trimap: Place
    out: Place
    box: Box
    level: int = 0
    base: int = 0
    precision: str = "auto"
    pinned: bool = False  # no preview takes its place


@dataclass(frozen=True, kw_only=True)
class ProposalTask:
    """A trimap that is to be made from a photo's view and what the page says of it.

    `strokes` is uint8 (H, W): 255 and 0 where foreground and background are certain. `box` is x, y, width and height in
    pixels. `colour` is that of a screen. `matte` is an alpha, float32 (H, W), and `trimap` is taken as it is.
    """

    number: int
    photo: str
    name: str
    word: str
    source: Source
    view: Place
    strokes: Place | None = None
    box: tuple[float, float, float, float] | None = None
    colour: str | None = None
    matte: Place | None = None
    trimap: Place | None = None


Task = MatteTask | ProposalTask


@dataclass(frozen=True)
class Progressed:
    """The share of a task that is done, from 0 to 1, and the seconds since its start."""

    share: float
    seconds: float


@dataclass(frozen=True)
class Matted:
    """A matte is in its place. `tile` is the side of its tiles, `seconds` what the run took, `error` see `windows`."""

    seconds: float
    tile: Tile
    error: float
    facts: dict[str, Any]


@dataclass(frozen=True)
class Proposed:
    """A trimap, measured, and notes for the user."""

    base: Base
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Failed:
    """A task that ended with an error, as a sentence."""

    sentence: str


@dataclass(frozen=True)
class Cancelled:
    """A task that was ended early, or whose place a newer one took."""


Reply = Progressed | Matted | Proposed | Failed | Cancelled
LAST = (Matted, Proposed, Failed, Cancelled)


def bug_of(task: Task, error: Exception) -> str:
    """What is said of a task that an unexpected error has ended."""
    return f"{task.name} met a bug in matte: {type(error).__name__}: {error}; please report it"
