"""Preset files: options in TOML that `--preset` gives a command."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperOption

from mattecli.cli.command import built, sentence
from mattecli.errors import InputError, UsageError

DELIVER = "deliver"  # the name of the tables that describe files to deliver
_NOT_IN_PRESETS = ("preset", "help")
_FILES = re.compile(r"FILE|DIR|REPORT|CONFIG|BACKGROUND|PLATE")
# What an option's value always is where it is a path. Others, such as NAME|FILE, may stand for something else.
_ALWAYS_FILES = {"FILE", "DIR", "PATTERN", "REPORT", "CONFIG"}
_SUFFIX = re.compile(r"[^()#]*\.[A-Za-z]\w{0,11}")


@dataclass(frozen=True)
class Preset:
    """A preset that was read: its file and its `[[deliver]]` tables. Its options have become the command's defaults.

    `options` are these, as they are typed, and `report` is the file that it gives --report.
    """

    path: Path
    deliver: tuple[dict[str, Any], ...] = ()
    options: frozenset[str] = frozenset()
    report: Path | None = None


def _load(ctx: typer.Context, value: Any) -> Preset | None:
    """Read the preset and make its options the defaults of the command line. Raises InputError and UsageError."""
    if value is None or ctx.resilient_parsing:
        return None
    path = Path(value)
    tables = _read(path)
    options = _options_of(ctx.command)
    values = dict(_values(path, ctx, tables, options))
    ctx.default_map = {**(ctx.default_map or {}), **values}
    deliver = tables.get(DELIVER, [])
    if not isinstance(deliver, list) or not all(isinstance(table, dict) for table in deliver):
        raise UsageError(f"{path}: deliver must be tables [[deliver]], with two brackets")
    names = frozenset(f"--{name.replace('_', '-')}" for name in values)
    return Preset(path, tuple(deliver), names, Path(values["report"]) if "report" in values else None)


def typed(given: Mapping[str, bool], preset: Preset | None) -> list[str]:
    """Those of the given options that the preset does not have: a preset is made for several commands and runs."""
    elsewhere = frozenset() if preset is None else preset.options
    return [name for name, value in given.items() if value and name not in elsewhere]


PresetOption = Annotated[
    Preset | None,
    typer.Option(
        "--preset",
        metavar="FILE",
        is_eager=True,
        parser=Path,
        callback=_load,
        help="TOML file with options by their long names, and with \\[\\[deliver]] tables. The command line wins.",
    ),
]


def _read(path: Path) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check its name") from error
    except ValueError as error:  # not UTF-8, or not TOML
        raise InputError(f"{path} is not TOML in UTF-8 ({error}); see docs/presets.md") from error


def _options_of(command: Any) -> dict[str, TyperOption]:
    """The options of a command by their long names."""
    return {
        name.removeprefix("--"): param
        for param in command.params
        if isinstance(param, TyperOption)
        for name in param.opts
        if name.startswith("--") and name.removeprefix("--") not in _NOT_IN_PRESETS
    }


def _values(
    path: Path, ctx: typer.Context, tables: Mapping[str, Any], options: Mapping[str, TyperOption]
) -> Iterator[tuple[str, Any]]:
    """The parameters of this command and their values; those of the command's own table come last, so that they win."""
    group = ctx.parent.command if ctx.parent is not None else ctx.command
    others = {name: one for name, one in getattr(group, "commands", {}).items() if name != ctx.command.name}
    own = ctx.command.name or ""
    sections = [("", tables), (own, tables.get(own, {}))]
    for section, table in sections:
        where = f"{path}: [{section}]" if section else f"{path}:"
        if not isinstance(table, dict):
            raise UsageError(f"{path}: {section} must be a table [{section}], not a value")
        for key, value in table.items():
            if not section and (key in (DELIVER, own) or (key in others and isinstance(value, dict))):
                continue
            if key not in options:
                raise UsageError(_unknown(where, key, own, options, others))
            yield str(options[key].name), _checked(where, key, value, options[key], ctx, path.parent)


def _unknown(where: str, key: str, own: str, options: Mapping[str, TyperOption], others: Mapping[str, Any]) -> str:
    if key == DELIVER:
        return f"{where} deliver is not an option; write [[deliver]], which stands in no table"
    elsewhere = [name for name, command in others.items() if key in _options_of(built(command))]
    if elsewhere:
        return (
            f"{where} {key} is an option of `matte {elsewhere[0]}`, not of `matte {own}`; put it into a table "
            f"[{elsewhere[0]}]"
        )
    near = get_close_matches(key.lower().replace("_", "-").removeprefix("no-"), [*options, DELIVER], n=1)
    guess = f"did you mean {near[0]}?" if near else f"`matte {own} --help` lists the options"
    return f"{where} {key} is not an option; {guess}"


def _checked(where: str, key: str, value: Any, option: TyperOption, ctx: typer.Context, folder: Path) -> Any:
    """The value as the option takes it, with paths that start at the preset's folder. Raises UsageError."""
    if option.is_flag:
        if not isinstance(value, bool):
            raise UsageError(f"{where} {key} must be true or false, not {value!r}")
        return value
    if isinstance(value, list) and not option.multiple:
        value = ",".join(map(str, value))  # what = ["alpha", "cutout"]
    if isinstance(value, (bool, dict)):
        raise UsageError(f"{where} {key} must be a text or a number, not {value!r}")
    values = [_rooted(one, option, folder) for one in (value if isinstance(value, list) else [value])]
    given = values if option.multiple else values[0]
    try:
        option.process_value(ctx, given)
    except typer.BadParameter as error:
        raise UsageError(f"{where} {sentence(error).removeprefix('--')}") from error
    return given


def _rooted(value: Any, option: TyperOption, folder: Path) -> str:
    """The value as text; a relative path starts at the folder."""
    text = str(value)
    name, equals, file = text.partition("=")
    if equals and Path(name).name == name and "NAME=FILE" in (option.metavar or "").split("|"):
        return f"{name}={folder / file}"
    if text == "-" or not text or not _names_file(text, option, folder):
        return text
    return str(folder / text)


def _names_file(text: str, option: TyperOption, folder: Path) -> bool:
    """Whether the value is a path. Where a word or a colour may stand too, it exists, has a suffix or is a pattern."""
    metavar = option.metavar or ""
    if not _FILES.search(metavar):
        return False
    if set(metavar.split("|")) <= _ALWAYS_FILES:
        return True
    from mattecli.system.files import is_there

    return "{" in text or _SUFFIX.fullmatch(text) is not None or is_there(folder / text)
