"""The report of a batch, one JSON line per photo."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from mattecli.errors import InputError
from mattecli.evaluation.attention import reasons_in_words
from mattecli.system.files import check_target, remedy_of, whole_file
from mattecli.work.outcome import Done, Failed, Outcome, Skipped

STATUSES = (Done.status, Skipped.status, Failed.status)

_BEGINNINGS = ('{"name": ', '{"summary": ')  # of the lines

ReportLine = dict[str, Any]
_Photo = tuple[str, str]  # its file and its name, which tells two lines of a manifest apart

COLUMNS = ("image", "trimap", "background", "score", "reasons")  # of the list of photos that need a look


class Report:
    """Counts the outcomes of a run, writes them to a file as they come, and knows when too many photos have failed.

    `total` is the number of photos. More than `limit` failures are too many; None means no limit.
    """

    def __init__(self, path: Path | None = None, *, total: int, limit: int | None = None) -> None:
        self.total, self.limit = total, limit
        self.counts: Counter[str] = Counter()
        self.interrupted = False
        self.signal: int = signal.SIGINT  # that interrupted
        self.disk_full = False  # as a photo has found out
        self._started = time.perf_counter()
        self._file = open_report(path) if path is not None else None

    def add(self, outcome: Outcome) -> None:
        """Count an outcome and write its line."""
        self.counts[outcome.status] += 1
        self.disk_full |= isinstance(outcome, Failed) and outcome.disk_full
        self._put(outcome.to_json())

    @property
    def too_many_failures(self) -> bool:
        """Whether more photos have failed than may fail."""
        return self.limit is not None and self.counts[Failed.status] > self.limit

    @property
    def must_stop(self) -> bool:
        """Whether no further photo is to be begun."""
        return self.disk_full or self.too_many_failures

    @property
    def exit_code(self) -> int:
        """130 when interrupted, 143 when terminated, 1 when any photo failed, else 0."""
        return 128 + self.signal if self.interrupted else 1 if self.counts[Failed.status] else 0

    def summary(self) -> ReportLine:
        """The last line: how many photos there are, how many of each status, and how many were not begun."""
        counts = {status: self.counts[status] for status in STATUSES}
        seconds = time.perf_counter() - self._started
        return {
            "summary": {
                "total": self.total,
                **counts,
                "left": self.total - sum(counts.values()),
                "seconds": round(seconds, 3),
                "interrupted": self.interrupted,
            }
        }

    def close(self) -> None:
        """Write the summary and close the file."""
        if self._file is not None:
            self._put(self.summary())
        if self._file is not None:
            self._file.close()
            self._file = None

    def _put(self, line: ReportLine) -> None:
        if self._file is None:
            return
        try:
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()  # so that a run that is killed leaves what it knew
        except OSError as error:
            file, self._file = self._file, None  # nothing more goes into it, so closing does not fail again
            with suppress(OSError):
                file.close()
            raise InputError(f"{file.name} cannot be written ({error.strerror}); {remedy_of(error)}") from error


@dataclass(frozen=True)
class Run:
    """A report that was read: a line for each photo, and the summary where the run came to its end."""

    lines: list[ReportLine] = field(default_factory=list)
    summary: ReportLine | None = None

    def count(self, status: str) -> int:
        """How many photos have this status."""
        return sum(line["status"] == status for line in self.lines)

    @property
    def stopped(self) -> bool:
        """Whether the run did not come to its end: killed, interrupted, or stopped after too many failures."""
        return self.summary is None or bool(self.summary.get("interrupted")) or self.left > 0

    @property
    def left(self) -> int:
        """How many photos were not begun, as far as that is known."""
        return int((self.summary or {}).get("left", 0))

    def failed_images(self) -> list[str]:
        """The photos to try again, as absolute paths."""
        return [line["image"] for line in self.lines if line["status"] == "failed"]


def open_report(path: Path) -> IO[str]:
    """An empty file for a report. An older report is replaced, since a resumed run reports all photos again.

    Raises InputError for a file that cannot be written, and for one that is not a report.
    """
    check_report(path)
    try:
        return path.open("w", encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}); name another file with --report") from error


def check_report(path: Path) -> None:
    """Raise InputError for a file that cannot become a report, or is there and is not one. Makes nothing."""
    if not os.path.exists(path):
        check_target(path, overwrite=True, remedy="name another file with --report")
    elif path.stat().st_size:
        try:
            read_report(path)
        except InputError as error:
            raise InputError(f"{path} exists already and is not a report; name another file with --report") from error


def read_report(path: Path) -> Run:
    """Read a report. A last line that was cut off, as when the run was killed, is left out; it may be the only one.

    Raises InputError.
    """
    try:
        texts = path.read_text(encoding="utf-8").split("\n")  # what follows the last line's end is empty, or cut off
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check its name") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a report of `matte batch` (not UTF-8); name one made with --report") from error
    lines: list[ReportLine] = []
    summary = None
    for number, text in enumerate(texts, start=1):
        line = _parsed(text)
        if line is None and number == len(texts) and (lines or summary or not text or text.startswith(_BEGINNINGS)):
            break
        if line is not None and isinstance(line.get("summary"), dict):
            summary = line["summary"]
        elif line is not None and line.get("status") in STATUSES and isinstance(line.get("image"), str):
            lines.append(line)
        else:
            raise InputError(f"{path} line {number} is not a line of a report; name a file that --report made")
    if not any(texts):
        raise InputError(f"{path} is not a report of `matte batch`; name a file that --report made")
    return Run(lines, summary)


def merge(runs: Sequence[Run]) -> Run:
    """One report from several. Of an image that is in several reports under one name, the last report counts.

    Seconds are added up, so they are the time of all machines. The merged report is interrupted if any report is, but
    for one whose run a later report resumes; `left` likewise adds up the photos that were not begun.
    """
    kept: dict[_Photo, list[ReportLine]] = {}  # a manifest may list an image several times
    for run in runs:
        kept |= _by_photo(run)
    last = [run for number, run in enumerate(runs) if not any(_resumes(later, run) for later in runs[number + 1 :])]
    merged = Run([line for lines in kept.values() for line in lines])
    left = sum(run.left for run in last)
    return Run(
        merged.lines,
        {
            "total": len(merged.lines) + left,
            **{status: merged.count(status) for status in STATUSES},
            **({"left": left} if left else {}),
            "seconds": round(sum((run.summary or {}).get("seconds", 0.0) for run in runs), 3),
            "interrupted": any(run.summary is None or bool(run.summary.get("interrupted")) for run in last),
        },
    )


def _by_photo(run: Run) -> dict[_Photo, list[ReportLine]]:
    photos: dict[_Photo, list[ReportLine]] = {}
    for line in run.lines:
        photos.setdefault((line["image"], str(line.get("name"))), []).append(line)
    return photos


def _resumes(later: Run, run: Run) -> bool:
    """Whether a report is of the same photos as one of a stopped run, and not only of those that had failed there."""
    if not run.stopped or len(later.lines) + later.left < len(run.lines) + run.left:
        return False
    before, after = _by_photo(run), _by_photo(later)
    if not (before and before.keys() <= after.keys()):
        return False
    return len(after) > len(before) or run.count(Failed.status) < len(run.lines)


def attention_of(line: ReportLine) -> float:
    """The attention score of a photo: from 0 to 1, and -1 where the report has none."""
    found = line.get("attention")
    return float(found["score"]) if isinstance(found, dict) else -1.0


def worst_lines(run: Run, number: int) -> list[ReportLine]:
    """The lines of the photos that need a look most, at most `number`, the worst first.

    Photos with score 0 are left out, and those whose alpha was approved when the run met them.
    """
    lines = (line for line in run.lines if attention_of(line) > 0 and line.get("approved") is not True)
    return sorted(lines, key=attention_of, reverse=True)[:number]


def worst(run: Run, number: int) -> list[dict[str, str]]:
    """The photos of `worst_lines` as lines of a manifest with COLUMNS.

    The trimap is empty where none was read: where it was made, or an alpha was given.
    """
    return [
        {
            "image": line["image"],
            "trimap": line.get("trimap", ""),
            "background": line.get("background", ""),
            "score": f"{attention_of(line):.2f}",
            "reasons": reasons_in_words(line["attention"]),
        }
        for line in worst_lines(run, number)
    ]


def write_run(target: Path, run: Run, *, overwrite: bool = False) -> None:
    """Write a report whole or not at all. Raises InputError."""
    try:
        with whole_file(target, overwrite=overwrite) as handle:
            for line in [*run.lines, {"summary": run.summary}]:
                handle.write(json.dumps(line).encode() + b"\n")
    except FileExistsError as error:
        raise InputError(f"{target} exists already; name another file or use `overwrite=True`") from error
    except OSError as error:
        raise InputError(f"{target} cannot be written ({error.strerror}); name another file or folder") from error


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        line = json.loads(text)
    except ValueError:
        return None
    return line if isinstance(line, dict) else None
