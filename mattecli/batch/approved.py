"""Alphas that a person approved, which later runs only finish.

A line of the journal says that the alpha of a photo is approved, and which file of `.matte/approved/` holds it, in the
form of kept alphas. The line belongs to the photo and to its trimap or mask, by their places seen from the output
folder. It counts as long as the photo's content stays what it was.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mattecli.batch.journal import FOLDER, Approval, Journal
from mattecli.batch.kept import KeptAlpha, KeptAlphas
from mattecli.batch.recipe import digest
from mattecli.batch.report import ReportLine, Run
from mattecli.errors import InputError
from mattecli.system.files import content_digest, stat_of, sweep
from mattecli.trimaps.check import unknown

APPROVED = "approved"  # the folder's name, in the journal's folder; and the key in facts


class Approvals:
    """The approved alphas of an output folder. `partner` is always the photo's trimap or mask, if it has one."""

    def __init__(self, out: Path, journal: Journal) -> None:
        self._out, self._journal = out, journal
        self._files = KeptAlphas(out, name=APPROVED)

    def of(self, image: str | Path, partner: str | Path | None) -> Approval | None:
        """The approval of a photo; None where there is none, or where the photo changed since."""
        approval = self._journal.approval(self._key(image, partner))
        return approval if approval is not None and _same(Path(image), approval.photo) else None

    def load(self, image: str | Path, partner: str | Path | None, *, size: tuple[int, int]) -> KeptAlpha | None:
        """The approved alpha of a photo of that (width, height); None where there is none.

        Raises InputError where its file is missing or damaged.
        """
        approval = self.of(image, partner)
        found = self._load(approval, size)
        if approval is not None and found is None:  # a newer approval may have replaced its file since we read
            self._journal.refresh()
            approval = self.of(image, partner)
            found = self._load(approval, size)
        if approval is not None and found is None:
            raise InputError(
                f"the approved alpha of {image} is missing or damaged ({self._files.folder / str(approval.file)}.npz); "
                "approve it again, or add --redo"
            )
        return found

    def _load(self, approval: Approval | None, size: tuple[int, int]) -> KeptAlpha | None:
        return None if approval is None else self._files.load(str(approval.file), size=size)

    def add(
        self,
        image: Path,
        partner: Path | None,
        alpha: NDArray[np.float32],
        trimap: NDArray[np.uint8],
        *,
        facts: Mapping[str, Any],
    ) -> None:
        """Approve an alpha, float32 (H, W), made from that trimap, whose values known pixels get. Raises InputError."""
        known = ~unknown(trimap)
        settled = np.where(known, trimap / np.float32(255), alpha).astype(np.float32)
        key = self._key(image, partner)
        now, older = self._journal.next_time(key), self._journal.approval(key)
        file = digest([key, now])
        sweep(self._files.folder)
        self._files.save(file, settled, trimap, facts=facts)
        self._journal.approve(key, Approval(file, now, _state(image)))
        if older is not None and older.file is not None:
            self._files.remove(older.file)

    def withdraw(self, image: str | Path, partner: str | Path | None) -> None:
        """Approve nothing of this photo any more."""
        key = self._key(image, partner)
        now, older = self._journal.next_time(key), self._journal.approval(key)
        if older is not None and older.file is not None:
            self._journal.approve(key, Approval(None, now, {}))
            self._files.remove(older.file)

    def _key(self, image: str | Path, partner: str | Path | None) -> str:
        places = [place(str(path), self._out) for path in (image, partner) if path is not None]
        return "\n".join(places)


def place(path: str, out: Path) -> str:
    """Where a file is, seen from the output folder; its absolute path where there is no way, as between drives."""
    try:
        return Path(os.path.relpath(path, out)).as_posix()
    except ValueError:
        return os.path.abspath(path)


def partner_of(line: ReportLine) -> str | None:
    """The trimap or mask of a photo in a report."""
    return line.get("trimap") or line.get("mask")


def folder_of(line: ReportLine) -> Path | None:
    """The output folder of the batch that made a photo's outputs; None where they are gone, or were never made."""
    outputs = line.get("output")
    first = next(iter(outputs.values()), None) if isinstance(outputs, dict) else outputs
    above = [] if first is None else Path(first).parents
    return next((folder for folder in above if (folder / FOLDER).is_dir()), None)


def count_approved(run: Run) -> int:
    """How many photos of a report are approved, in that run or since."""
    known: dict[Path, Approvals] = {}
    count = 0
    for line in run.lines:
        approved = line.get(APPROVED) is True
        if not approved and (out := folder_of(line)) is not None:
            if out not in known:
                known[out] = Approvals(out, Journal(out))
            approved = known[out].of(line["image"], partner_of(line)) is not None
        count += approved
    return count


def _state(image: Path) -> dict[str, Any]:
    """What tells a photo from a changed one. Raises InputError."""
    stat = stat_of(image)
    return {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "sha256": content_digest(image)}


def _same(image: Path, known: Mapping[str, Any]) -> bool:
    """Whether a photo is what it was: by size and time, or else by its content."""
    with suppress(OSError):
        stat = image.stat()
        if stat.st_size != known.get("size"):
            return False
        return stat.st_mtime_ns == known.get("mtime_ns") or _state(image)["sha256"] == known.get("sha256")
    return False
