"""Reads the lines of a manifest: CSV or JSON lines."""

from __future__ import annotations

import codecs
import csv
import io
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mattecli.errors import InputError
from mattecli.system.folders import some

COLUMNS = ("image", "trimap", "output", "background")
INPUTS = ("image", "trimap", "background")
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
TABLE_SUFFIXES = (".csv", ".tsv", ".tab")
_SHOWN = 80  # letters of a line or name in a message


@dataclass(frozen=True)
class Line:
    """A line of a manifest: its number from 1, its values for COLUMNS, and all its other columns."""

    number: int
    values: dict[str, str]
    extra: dict[str, str] = field(default_factory=dict)


def read_lines(manifest: Path) -> Iterator[Line]:
    """The lines that are not empty. Raises InputError.

    The suffix tells CSV from JSON lines; a file of another suffix is JSON lines if it starts with a brace. The header
    of a CSV file tells its separator, or a line `sep=;` before it does. Names of COLUMNS may be in any case. The text
    is UTF-8, or UTF-16 with its mark. Only the names of inputs that exist may hold other bytes.
    """
    text, fault = _text_of(manifest)
    suffix = manifest.suffix.lower()
    table = suffix in TABLE_SUFFIXES or (suffix not in JSON_SUFFIXES and not text.lstrip().startswith("{"))
    lines = _table_lines(text, manifest) if table else _json_lines(text, manifest)
    return lines if fault is None else _with_files_alone(lines, manifest, fault)


def _with_files_alone(lines: Iterator[Line], manifest: Path, fault: UnicodeDecodeError) -> Iterator[Line]:
    """The lines; raises the fault where anything but the name of a file that exists is not UTF-8."""
    error = InputError(f"{manifest} is not text in UTF-8 ({fault}); save it as CSV or JSON lines")
    try:
        for line in lines:
            for column, value in (line.values | line.extra).items():
                named = column in INPUTS and os.path.exists(manifest.parent / value)
                if not named and not (_is_text(column) and _is_text(value)):
                    raise error from fault
            yield line
    except InputError as other:
        raise error from other


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _text_of(manifest: Path) -> tuple[str, UnicodeDecodeError | None]:
    """The text, with other bytes than those of UTF-8 as Python has them in names of files, and the first of these."""
    try:
        content = manifest.read_bytes()
    except OSError as error:
        raise InputError(f"{manifest} cannot be read ({error.strerror}); check its name") from error
    marked = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # Excel's "Unicode text"
    try:
        return content.decode("utf-16" if marked else "utf-8-sig"), None
    except UnicodeDecodeError as error:
        if marked:
            raise InputError(f"{manifest} is not text in UTF-16 ({error}); save it as CSV or JSON lines") from error
        return content.decode("utf-8-sig", "surrogateescape"), error


def _table_lines(text: str, manifest: Path) -> Iterator[Line]:
    separator = _separator(text, manifest)
    spaced = f"{separator} " in _header(text)  # such as `image, trimap`
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=spaced, strict=True)
    header: list[str] | None = None
    try:
        for row in reader:
            if not any(value.strip() for value in row):
                continue
            if header is None and _excel_separator(separator.join(row)):
                continue
            row = [value.strip() for value in row] if spaced else row
            if header is None:
                header = [value.strip() for value in row]
                _check_columns(header, manifest)
                continue
            if any(value.strip() for value in row[len(header) :]):
                raise InputError(
                    f"{manifest} line {reader.line_num} has {len(row)} fields, but its first line names {len(header)} "
                    f"columns; put fields that hold {SEPARATORS[separator]} into quotes"
                )
            row += [""] * (len(header) - len(row))
            yield _line(reader.line_num, list(zip(header, row, strict=False)), manifest)
    except csv.Error as error:
        raise InputError(f"{manifest} line {reader.line_num} is not CSV ({error}); check its quotes") from error


def _separator(text: str, manifest: Path) -> str:
    """The separator that splits the header into the most names of COLUMNS; the comma where all are equal."""
    header = _first_line(text)
    if (told := _excel_separator(header)) is not None:
        return told
    found = {separator: _known(header.split(separator)) for separator in SEPARATORS}
    most = max(found.values())
    best = [separator for separator, number in found.items() if number == most]
    if most and len(best) > 1 and any(separator in header for separator in best):
        names = " and by ".join(SEPARATORS[separator] for separator in best)
        raise InputError(
            f"{manifest} can be split by {names}: its first line is {header[:_SHOWN]!r}; use one separator"
        )
    return best[0]


def _excel_separator(line: str) -> str | None:
    """The separator in a line such as `sep=;`, which Excel reads before the header."""
    told = line.strip("\r\n ").lower().removeprefix("sep=")
    return told if line.lower().startswith("sep=") and told in SEPARATORS else None


def _first_line(text: str) -> str:
    return next((line for line in io.StringIO(text, newline=None) if line.strip()), "")


def _header(text: str) -> str:
    """The line that names the columns: the first one, or the second where the first is for Excel."""
    lines = (line for line in io.StringIO(text, newline=None) if line.strip())
    return next((line for line in lines if _excel_separator(line) is None), "")


def _known(names: Sequence[str]) -> int:
    return sum(_key(name.strip().strip('"')) in COLUMNS for name in names)


def _check_columns(header: Sequence[str], manifest: Path) -> None:
    keys = Counter(_key(name) for name in header if name)
    twice = [key for key, number in keys.items() if number > 1]
    if twice:
        raise InputError(f"{manifest} has {keys[twice[0]]} columns {twice[0]!r}; give each column a name of its own")
    missing = [column for column in ("image", "trimap") if column not in keys]
    if missing:
        found = some([repr(name[:_SHOWN]) for name in header if name])
        raise InputError(
            f"{manifest} has no column {missing[0]}: its first line holds {found}; that line must name the columns "
            f"image and trimap, and may name output, background and others"
        )


def _json_lines(text: str, manifest: Path) -> Iterator[Line]:
    for number, line in enumerate(io.StringIO(text, newline=""), start=1):
        if line.strip():
            pairs = [(key, _plain(value)) for key, value in _object(line, manifest, number).items()]
            yield _line(number, pairs, manifest)


def _object(text: str, manifest: Path, number: int) -> dict[str, Any]:
    try:
        line = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else "too many brackets"
        raise InputError(f"{manifest} line {number} is not JSON ({reason}); write one object a line") from error
    if not isinstance(line, dict):
        raise InputError(f"{manifest} line {number} is not a JSON object; write one a line, with image and trimap")
    return line


def _plain(value: Any) -> str:
    """A value as text; lists, numbers and others as JSON writes them."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _line(number: int, pairs: Sequence[tuple[str, str]], manifest: Path) -> Line:
    line = Line(number, {})
    for name, value in pairs:
        if (key := _key(name)) in COLUMNS:
            if key in line.values:
                raise InputError(f"{manifest} line {number} has two keys {key!r}; leave one of them out")
            line.values[key] = value
        elif name:
            line.extra[name] = value
        elif value:
            raise InputError(
                f"{manifest} line {number} has {value[:_SHOWN]!r} in a column without a name; name it at the top"
            )
    return line


def _key(name: str) -> str:
    """The name if it is not in COLUMNS, else the column's own spelling."""
    lower = name.strip().lower()
    return lower if lower in COLUMNS else name
