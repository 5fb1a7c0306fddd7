"""The log of a run: log.jsonl, one JSON object a line, told apart by `kind`: session, step, validation, saved."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mattecli.errors import InputError
from mattecli.files import sweep, whole_file
from mattecli.training.curves import draw_curves

Line = dict[str, Any]

LOG = "log.jsonl"


class Journal:
    """Writes the log in the folder of the run and shows each line to `report`; one that is no `writer` does neither."""

    def __init__(self, folder: Path, *, writer: bool, report: Callable[[Line], None]) -> None:
        self.folder, self.writer, self.report = folder, writer, report
        self._path = folder / LOG

    def open(self, step: int) -> None:
        """Make the folder; leave out of an older log what is later than `step`, which is done again.

        Raises InputError when the folder cannot be written.
        """
        if not self.writer:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            sweep(self.folder)
            kept = (
                [line for line in read_log(self._path) if line["step"] <= step] if step and self._path.exists() else []
            )
            with whole_file(self._path) as file:
                file.writelines(f"{json.dumps(line)}\n".encode() for line in kept)
        except OSError as error:
            raise InputError(f"{self.folder} cannot be written ({error}); choose another folder by --run") from error

    def tell(self, line: Line) -> None:
        """Add a line; dataclasses and paths in it become what JSON knows."""
        if not self.writer:
            return
        line = _plain(line)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self.report(line)

    def draw(self) -> None:
        """Draw the curves of the whole log."""
        if self.writer:
            draw_curves(read_log(self._path), self.folder / "curves.png")


def read_log(path: Path) -> list[Line]:
    """The lines of a log.jsonl; a last line that was cut off by a crash is left out."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return lines


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return str(value) if isinstance(value, Path) else value
