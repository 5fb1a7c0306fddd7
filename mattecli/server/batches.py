"""Photos of a batch that need a hand, and their approval."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mattecli.batch.approved import Approvals, folder_of, partner_of
from mattecli.batch.jobs import way_out
from mattecli.batch.journal import FOLDER, Journal
from mattecli.batch.kept import ALPHAS, KeptAlpha, KeptAlphas
from mattecli.batch.report import ReportLine, read_report, worst_lines
from mattecli.errors import InputError
from mattecli.geometry import Box
from mattecli.imaging.choices import Bits
from mattecli.imaging.options import ReadOptions
from mattecli.imaging.read import read_alpha, read_values
from mattecli.server.mattes import GIVEN, Found
from mattecli.server.photo import Photo, painted
from mattecli.server.start import Start
from mattecli.trimaps.check import shares
from mattecli.work.job import Inputs, Matte, write_outputs
from mattecli.work.outcome import Job
from mattecli.work.outputs import OutputOptions


class Batch:
    """The `number` photos of a report that need a hand most, the worst first. Safe to use from threads.

    `snap` is as in `read_trimap`, `reading` as in `Start`. Raises InputError for a report that cannot be read or names
    no such photo.
    """

    def __init__(self, report: Path, number: int, *, snap: int = 0, reading: ReadOptions | None = None) -> None:
        self.name = report.name
        journals: dict[Path, Journal] = {}
        limits = (reading or ReadOptions()).limits
        self._entries: dict[Path, _Entry] = {}
        for line in worst_lines(read_report(report), number):
            out = folder_of(line)
            if out is not None and out not in journals:
                journals[out] = Journal(out)
            journal = None if out is None else journals[out]
            # One is enough for each photo.
            self._entries.setdefault(Path(line["image"]), _Entry(line, out, journal, limits))
        self._journals = list(journals.values())
        if not self._entries:
            raise InputError(f"{report} names no photo that needs a hand; see `matte report {report} --worst {number}`")
        self.photos = list(self._entries)
        self.starts: dict[Path, Start] = {
            path: start for path, entry in self._entries.items() if (start := entry.start(snap)) is not None
        }

    def approved(self, path: Path) -> bool:
        """Whether the alpha of a photo is approved."""
        return self._entries[path].approved

    def check(self, path: Path) -> None:
        """Raise InputError where a photo's alpha cannot be approved."""
        self._entries[path].check()

    def deep(self, path: Path) -> bool:
        """Whether the batch's alpha shows more than 8 bits."""
        return self._entries[path].bits != 8

    def approve(self, photo: Photo, found: Found, trimap: NDArray[np.uint8]) -> list[Path]:
        """Approve an exact matte of a photo, made from that trimap; gives the files that were written anew.

        The batch's alpha is written where the batch has it. What the batch has finished is for its next run. Raises
        InputError.
        """
        return self._entries[photo.path].approve(photo, found, trimap)

    def close(self) -> None:
        """Close the journals."""
        for journal in self._journals:
            journal.close()


@dataclass(frozen=True, eq=False)
class _Entry:
    """A photo's line in the report, and the output folder with its journal, if it is there."""

    line: ReportLine
    out: Path | None
    journal: Journal | None
    limits: ReadOptions

    @property
    def image(self) -> Path:
        return Path(self.line["image"])

    @property
    def partner(self) -> str | None:
        return partner_of(self.line)

    @property
    def approvals(self) -> Approvals | None:
        return None if self.out is None or self.journal is None else Approvals(self.out, self.journal)

    @property
    def approved(self) -> bool:
        approvals = self.approvals
        return approvals is not None and approvals.of(self.image, self.partner) is not None

    @property
    def alpha(self) -> Path | None:
        """The alpha that the batch wrote, as the network found it; None where it wrote none, or finished it."""
        outputs = self.line.get("output")
        if self.line.get("finished") or self.line.get("placed") or outputs is None:
            return None
        if isinstance(outputs, dict):
            return Path(outputs["alpha"]) if "alpha" in outputs else None
        if "product" in self.line:
            return Path(outputs) if self.line["product"] == "alpha" else None
        with suppress(InputError):  # not a picture, or gone
            values = read_values(Path(outputs), options=self.limits)
            return Path(outputs) if values.ndim == 2 else None  # a report of an older version
        return None

    @property
    def kept(self) -> Path | None:
        """The file of the alpha that the batch kept."""
        name = self.line.get("kept")
        path = None if self.out is None or name is None else self.out / FOLDER / ALPHAS / f"{name}.npz"
        return path if path is not None and path.is_file() else None

    @property
    def bits(self) -> Bits:
        """The depth of the batch's alpha."""
        alpha = self.alpha
        if alpha is None or not alpha.is_file():
            return 8
        dtype = read_values(alpha, options=self.limits).dtype
        return "float" if dtype.kind == "f" else 16 if dtype == np.uint16 else 8

    def start(self, snap: int) -> BatchStart | None:
        """What the paint of the photo begins with."""
        files: list[tuple[Any, Callable[[], Path | None]]] = [
            ("kept", lambda: self.kept),
            ("trimap", lambda: self._file("trimap")),
            ("mask", lambda: self._file("mask")),
            ("matte", lambda: self.alpha),
        ]
        for what, find in files:
            if (file := find()) is not None and file.is_file():
                return BatchStart(what, file, snap, reading=self.limits, entry=self)
        return None

    def _file(self, key: str) -> Path | None:
        return Path(self.line[key]) if key in self.line else None

    def check(self) -> None:
        """See `Batch.check`."""
        name = self.image.name
        if self.out is None:
            raise InputError(f"the outputs of {name} are gone, so nothing can be approved; run the batch again")
        if "alpha" in self.line:
            raise InputError(f"{name} was composited from an alpha that was given; change that file instead")
        alpha = self.alpha
        if alpha is None or self.journal is None:
            return
        if (how := way_out(alpha, self.out)) is not None:
            raise InputError(f"{alpha.name} {how}; remove the link")
        self.journal.refresh()
        if os.path.lexists(alpha) and self.journal.made(alpha) is None:
            raise InputError(f"{alpha.name} was changed since the batch made it; move it away, or run the batch again")

    def approve(self, photo: Photo, found: Found, trimap: NDArray[np.uint8]) -> list[Path]:
        """See `Batch.approve`."""
        self.check()
        journal, approvals = self.journal, self.approvals
        if journal is None or approvals is None:
            raise AssertionError("an approval without a journal")
        inputs = Inputs(photo.image, None, trimap, shares(trimap)["unknown"], 0.0)
        matte = Matte(inputs, found.alpha, found.tile, 0.0, draft=found.draft)
        partner = None if self.partner is None else Path(self.partner)
        facts: dict[str, Any] = {
            "network": {} if found.precision is None else {"precision": found.precision},
            "tile": found.tile,
            "unknown": inputs.unknown,
            "notes": [],
            "attention": None,
            "coarse_to_fine": found.draft,
        }
        alpha, bits = self.alpha, self.bits  # before the approval, as this may fail
        approvals.add(photo.path, partner, found.alpha, trimap, facts=facts)
        if alpha is None:
            return []
        job = Job(photo.path.name, str(photo.path), str(photo.path), {"alpha": str(alpha)})
        write_outputs(
            job,
            matte,
            OutputOptions(bits=bits),
            backgrounds={},
            replaces={"alpha": True},
            record=partial(_recorder, journal, alpha, matte.facts()),
        )
        return [alpha]


def _recorder(journal: Journal, alpha: Path, facts: Mapping[str, Any], _: str) -> Any:
    """Records the alpha as one that the next run makes anew, which may finish it."""
    return partial(journal.add, alpha, recipe="approved", inputs="", facts={**facts, "approved": True})


@dataclass(frozen=True)
class BatchStart(Start):
    """The trimap of a batch, and the batch's alpha as the first matte; or what was approved."""

    entry: _Entry = field(kw_only=True)

    def changed(self, _: Photo) -> bool:
        """Never: the paint goes on where it was, whatever the next run of the batch makes."""
        return False

    def lay(self, photo: Photo) -> None:
        """Lay the trimap under the paint of a photo that has none, and give it its first matte."""
        approved = self._approved(photo)
        if photo.state.facts.get("start") is None and not photo.painting.read(painted):
            if approved is None:
                super().lay(photo)
            else:
                self._lay(photo, approved.trimap, "approved")
                photo.state.note(approved=photo.painting.read(painted))
        if photo.mattes.last is None:
            self._give(photo, approved)

    def digest(self) -> str:
        """As of `Start`; an alpha that may be approved over stays what it was."""
        return "the alpha of a batch" if self.what == "matte" else super().digest()

    def trimap(self, photo: Photo) -> NDArray[np.uint8]:
        """As of `Start`; that of a kept alpha is in its file."""
        if self.what != "kept":
            return super().trimap(photo)
        kept = self._kept(photo)
        if kept is None:
            raise InputError(f"{self.file} is damaged or of another photo; run the batch again with --redo")
        return kept.trimap

    def _approved(self, photo: Photo) -> KeptAlpha | None:
        approvals = self.entry.approvals
        if approvals is None:
            return None
        with suppress(InputError):  # damaged: it can be approved again here
            return approvals.load(photo.path, self.entry.partner, size=(photo.width, photo.height))
        return None

    def _kept(self, photo: Photo) -> KeptAlpha | None:
        if self.entry.kept is None or self.entry.out is None:
            return None
        return KeptAlphas(self.entry.out).load(self.entry.kept.stem, size=(photo.width, photo.height))

    def _give(self, photo: Photo, approved: KeptAlpha | None) -> None:
        """Give the photo the approved alpha, or that of the batch, as made from the labels that it belongs to."""
        facts = photo.state.facts
        if approved is None and not self._is_laid(facts):
            return  # the alpha belongs to another trimap
        sequence = facts.get("laid" if approved is None else "approved")
        alpha = self._alpha(photo) if approved is None else approved.alpha
        if sequence is None or alpha is None or alpha.shape != (photo.height, photo.width):
            return
        photo.mattes.keep(
            Found(
                run=GIVEN,
                kind="exact",
                sequence=sequence,
                box=Box(0, photo.height, 0, photo.width),
                alpha=alpha,
                precision=self.entry.line.get("precision"),
                draft=self.entry.line.get("coarse_to_fine", False),
                given=True,
            )
        )

    def _is_laid(self, facts: Mapping[str, Any]) -> bool:
        """Whether the trimap that is the batch's now was laid."""
        with suppress(InputError):  # it is gone
            return bool(facts.get("start") == self.digest())
        return False

    def _alpha(self, photo: Photo) -> NDArray[np.float32] | None:
        kept, alpha = self._kept(photo), self.entry.alpha
        if kept is not None:
            return kept.alpha
        return None if alpha is None or not alpha.is_file() else read_alpha(alpha, options=self.entry.limits)
