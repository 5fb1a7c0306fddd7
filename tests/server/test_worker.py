from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mattecli.geometry import Box
from mattecli.inference import coarse
from mattecli.inference.model import Model
from mattecli.inference.tiling import PASSES, Statistics
from mattecli.server import worker
from mattecli.server.pauses import Signals
from mattecli.server.shared import Shared
from mattecli.server.tasks import Cancelled, Failed, Matted, MatteTask, Progressed, ProposalTask, Proposed
from mattecli.server.tiles import Index, unpack
from mattecli.server.windows import MARGIN, MOST_PIXELS, share_done, usual_error, window_of
from mattecli.server.worker import Worker
from tests.support.pictures import disc, noise

HEIGHT, WIDTH = 320, 384
WHOLE = Box(0, HEIGHT, 0, WIDTH)


def picture() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A photo of a disc before noise, and its trimap."""
    alpha = disc(HEIGHT, WIDTH, radius=90, softness=30)
    share = alpha[..., None] / 255
    photo = np.round(share * (250, 200, 40) + (1 - share) * noise(1, HEIGHT, WIDTH) * 0.5).astype(np.uint8)
    return photo, np.where((alpha > 0) & (alpha < 255), np.uint8(128), alpha)


class Asked:
    """A worker, with what it sends and the photo that is asked for."""

    def __init__(self, model: Model, folder: Path) -> None:
        self.sent: list[Any] = []
        self.cancelled, self.held = SimpleNamespace(value=0), SimpleNamespace(value=0.0)
        self.worker = Worker(model, self.sent.append, Signals(self.cancelled, self.held))
        self.model, self.folder = model, folder
        self.photo, self.trimap = picture()
        self.numbers, self.base = 0, 0

    def share(self, array: NDArray[Any]) -> Any:
        return Shared.of(array, folder=self.folder).place

    def matte(self, kind: Any = "exact", box: Box = WHOLE, level: int = 0) -> tuple[Any, Any]:
        """The reply, and the alpha."""
        self.numbers += 1
        size = (-(-box.height // 2**level), -(-box.width // 2**level))
        out = Shared(size, np.float32, folder=self.folder)
        task = MatteTask(
            number=self.numbers,
            photo="a",
            name="photo.png",
            content="c",
            kind=kind,
            sequence=1,
            view=self.share(self.photo),
            trimap=self.share(self.trimap),
            out=out.place,
            box=box,
            level=level,
            base=self.base,
        )
        return self.worker.reply(task), out.array

    def propose(self, source: Any, **places: Any) -> Any:
        view = self.share(self.photo)
        return self.worker.reply(
            ProposalTask(number=7, photo="a", name="photo.png", word="w", source=source, view=view, **places)
        )


@pytest.fixture
def asked(shipped_model: Model, tmp_path: Path) -> Asked:
    return Asked(shipped_model, tmp_path)


def unknown_difference(one: NDArray[Any], other: NDArray[Any], trimap: NDArray[np.uint8]) -> float:
    return float(np.abs(one - other)[trimap == 128].mean())


def test_an_exact_run_is_that_of_the_model(asked: Asked, shipped_model: Model) -> None:
    reply, alpha = asked.matte()
    assert isinstance(reply, Matted)
    assert np.array_equal(alpha, shipped_model.predict(asked.photo, asked.trimap))
    assert reply.facts["weights"]


def test_a_preview_with_the_statistics_of_the_exact_run_is_closer_than_a_plain_crop(asked: Asked) -> None:
    part = Box(16, 160, 80, 240)
    crop, alpha_of_crop = asked.matte("preview", part)
    _, exact = asked.matte()
    window, alpha_of_window = asked.matte("preview", part)
    known = asked.trimap[part.slices]
    plain, near = (unknown_difference(alpha, exact[part.slices], known) for alpha in (alpha_of_crop, alpha_of_window))
    assert near < 0.002 < plain
    assert window.error < crop.error


@pytest.fixture
def coarsely(shipped_model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """A worker that decides much of a wide unknown part on a copy."""
    monkeypatch.setattr(coarse, "LARGE", 50_000)
    monkeypatch.setattr(coarse, "COPY", 30_000)
    monkeypatch.setattr(worker, "_ANEW", 4)
    monkeypatch.setattr(coarse, "REACH", 4.0)
    monkeypatch.setattr(coarse, "WIDE", 0.0)
    monkeypatch.setattr(coarse, "DEEP", 4.0)
    monkeypatch.setattr(coarse, "RISE", 4.0)
    model = Model(replace(shipped_model.options, coarse_to_fine=True), backend=shipped_model.backend)
    asked = Asked(model, tmp_path)
    asked.trimap[40:280, 60:330] = np.where(asked.trimap[40:280, 60:330] == 255, 255, 128)
    return asked


def test_a_preview_keeps_what_the_exact_run_settled_on_a_copy(coarsely: Asked) -> None:
    asked = coarsely
    _, exact = asked.matte()
    draft = asked.model.draft(asked.photo, asked.trimap)
    settled = (draft.trimap != 128) & (asked.trimap == 128)
    fine = asked.model.predict(asked.photo, draft.trimap, statistics=Statistics())
    part = Box(64, 192, 64, 224)
    assert coarsely.matte("preview", part)[0].error == usual_error(0, statistics=True)
    assert settled[part.slices].any()
    assert unknown_difference(fine[part.slices], exact[part.slices], asked.trimap[part.slices]) > 0.005
    _, window = asked.matte("preview", part)
    assert np.array_equal(window[settled[part.slices]], exact[part.slices][settled[part.slices]])
    assert unknown_difference(window, exact[part.slices], asked.trimap[part.slices]) < 0.002
    asked.trimap[part.slices] = 255  # a stroke over it
    assert (asked.matte("preview", part)[1] == 1).all()


def test_a_preview_decides_anew_around_a_stroke_and_on_another_base(coarsely: Asked) -> None:
    asked = coarsely
    part = Box(64, 192, 64, 224)
    assert asked.matte("preview", part)[0].error == usual_error(1, statistics=False)  # as of another size
    asked.matte()
    settled = (asked.model.draft(asked.photo, asked.trimap).trimap == 0) & (asked.trimap == 128)
    y, x = np.argwhere(settled[:160, :200])[-1]
    asked.trimap[y - 3 : y + 4, x - 3 : x + 4] = 255  # a stroke over what the copy took for background
    painted = np.zeros(asked.trimap.shape, np.uint8)
    painted[y - 3 : y + 4, x - 3 : x + 4] = 1
    beside, far = (cv2.dilate(painted, np.ones((side, side), np.uint8)) == 1 for side in (5, 9))
    reply, window = asked.matte("preview", part)
    assert reply.error == usual_error(0, statistics=False)
    beside = (settled & beside & (painted == 0))[part.slices]
    assert beside.any()
    assert (window[beside] > 0).any()
    assert not window[(settled & ~far)[part.slices]].any()
    asked.base = 1
    reply, window = asked.matte("preview", part)
    assert reply.error == usual_error(1, statistics=False)
    assert (window[(settled & ~far)[part.slices]] > 0).any()


def test_a_preview_at_half_the_size_is_that_of_a_copy(asked: Asked, shipped_model: Model) -> None:
    reply, alpha = asked.matte("preview", level=1)
    assert isinstance(reply, Matted)
    size = WIDTH // 2, HEIGHT // 2
    small, known = (cv2.resize(one, size, interpolation=cv2.INTER_AREA) for one in (asked.photo, asked.trimap))
    known = np.where((known == 0) | (known == 255), known, np.uint8(128))
    assert np.array_equal(alpha, shipped_model.predict(small, known))
    _, exact = asked.matte()
    half = cv2.resize(exact, (WIDTH // 2, HEIGHT // 2), interpolation=cv2.INTER_AREA)
    assert np.abs(alpha - half).mean() < 0.05


def test_a_cancelled_task_ends_at_its_next_tile(asked: Asked) -> None:
    asked.cancelled.value = 1
    assert isinstance(asked.matte()[0], Cancelled)
    assert isinstance(asked.matte()[0], Matted)  # the next one has another number
    asked.cancelled.value = 7
    assert isinstance(asked.propose("box", box=(90, 60, 200, 200)), Cancelled)


def test_a_run_pauses_while_a_pointer_is_down_and_its_time_is_without_pauses(asked: Asked) -> None:
    began = time.monotonic()
    asked.held.value = began + 1.5
    reply, _ = asked.matte()
    took = time.monotonic() - began
    assert isinstance(reply, Matted)
    assert took >= 1.5
    assert reply.seconds <= took - 1.4
    first = next(reply for _, reply in asked.sent if isinstance(reply, Progressed))
    assert first.seconds <= took - 1.4


def test_a_run_that_pauses_can_be_cancelled(asked: Asked) -> None:
    asked.held.value = time.monotonic() + 60

    class Ends:
        """Zero until it was asked for often, as if the task were cancelled meanwhile."""

        asked = 0

        @property
        def value(self) -> int:
            self.asked += 1
            return int(self.asked > 5)

    signals = Signals(Ends(), asked.held)
    asked.worker = Worker(asked.model, asked.sent.append, signals)
    began = time.monotonic()
    assert isinstance(asked.matte()[0], Cancelled)
    assert time.monotonic() - began < 50


def test_progress_grows_up_to_the_end(asked: Asked) -> None:
    asked.matte()
    shares = [reply.share for _, reply in asked.sent if isinstance(reply, Progressed)]
    assert shares == sorted(shares)
    assert 0 <= shares[0] < shares[-1] <= 1
    assert share_done(PASSES[0], 0, 4) == 0
    assert share_done(PASSES[-1], 4, 4) == pytest.approx(1, abs=1e-3)


def proposed(reply: Any) -> NDArray[np.uint8]:
    """The trimap of a proposal without a band."""
    assert isinstance(reply, Proposed), reply
    trimap = np.empty((HEIGHT, WIDTH), np.uint8)
    for index, packed in reply.base.tiles.items():
        box = reply.base.grid.box(Index(*index))
        distance = unpack(packed, np.dtype(np.int16), (box.height, box.width))
        trimap[box.slices] = np.select([distance > 0, distance < 0], [255, 0], 128)
    return trimap


def test_a_box_and_strokes_give_a_trimap_that_knows_the_subject(asked: Asked) -> None:
    strokes = np.full((HEIGHT, WIDTH), 128, np.uint8)
    strokes[140:180, 150:230] = 255
    trimap = proposed(asked.propose("box", box=(90, 60, 204, 200), strokes=asked.share(strokes)))
    assert (trimap[150:170, 170:210] == 255).all()
    assert (trimap[:30] == 0).all()
    assert (trimap == 128).any()


def test_a_matte_gives_a_trimap_with_a_band_around_its_edge(asked: Asked) -> None:
    _, alpha = asked.matte()
    trimap = proposed(asked.propose("matte", matte=asked.share(np.asarray(alpha))))
    assert trimap[HEIGHT // 2, WIDTH // 2] == 255
    assert trimap[0, 0] == 0
    assert (trimap[(alpha > 0.2) & (alpha < 0.8)] == 128).all()


def test_a_trimap_is_measured_as_it_is(asked: Asked) -> None:
    assert np.array_equal(proposed(asked.propose("trimap", trimap=asked.share(asked.trimap))), asked.trimap)


def test_what_cannot_be_proposed_is_a_sentence(asked: Asked) -> None:
    reply = asked.propose("key", colour="green")
    assert isinstance(reply, Failed)
    assert "photo.png" in reply.sentence


@pytest.mark.parametrize("size", [(600, 800), (3000, 4000), (9000, 11_000)])
def test_a_window_holds_what_is_shown_in_few_pixels_and_whole_strides(size: tuple[int, int]) -> None:
    shown = Box(101, size[0] - 97, 55, size[1])
    box, level = window_of(shown, *size)
    assert box.top <= shown.top < shown.bottom <= box.bottom <= size[0]
    assert (box.top % (16 << level), box.left % (16 << level)) == (0, 0)
    assert shown.height * shown.width / 4**level <= MOST_PIXELS * 1.01
    assert level == 0 or shown.height * shown.width / 4 ** (level - 1) > MOST_PIXELS


def test_a_preview_has_the_margin_that_a_draft_looks_at() -> None:
    side = 16_000  # of 256 megapixels
    found = coarse.Draft(np.broadcast_to(np.uint8(128), (side, side)), np.zeros((1000, 1000), np.float32))
    assert found.reach <= MARGIN
