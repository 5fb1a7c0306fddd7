"""The `[[deliver]]` tables of presets: several files of a photo."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast, get_args

from mattecli.cli.output_options import check_output_space, parse_quality
from mattecli.cli.presets import Preset
from mattecli.compositing.rendition import Rendition
from mattecli.errors import UsageError
from mattecli.imaging.choices import Kind
from mattecli.imaging.options import Quality
from mattecli.imaging.products import FILE_FORMATS, LOSSY

_KEYS = ("name", "what", "format", "size", "quality", "max-bytes", "output-space", "file")
_BRACES = ("{dir}", "{stem}", "{name}", "{what}")


def deliveries_of(
    preset: Preset | None, *, backgrounds: Sequence[str], elsewhere: bool = False
) -> dict[str, Rendition]:
    """The deliveries of a preset by name. Without `what`, they are composites over backgrounds, else cut-outs.

    With `elsewhere` the backgrounds may be named elsewhere, as in a manifest.

    Raises UsageError, which names the table and the key, and InputError for the file of a colour profile.
    """
    from mattecli.batch.jobs import with_suffix

    made: dict[str, Rendition] = {}
    files: set[str] = set()
    over = bool(backgrounds) or elsewhere
    clear = any(background.lower() == "transparent" for background in backgrounds)
    if preset is None:
        return made
    for number, table in enumerate(preset.deliver, 1):
        where = f"{preset.path}: [[deliver]] {number}"
        one = _delivery(table, where, preset.path.parent, "composite" if over else "cutout")
        if one.kind == "composite" and not over:
            raise UsageError(f"{where}: {one.name} is a composite, which needs a background; add -b, or change what")
        if one.name in get_args(Kind) and one.name != one.kind:
            raise UsageError(f"{where}: a {one.kind} is called {one.name}, which is another kind; give it another name")
        if one.name.casefold() in {name.casefold() for name in made}:  # not every disk tells capitals apart
            raise UsageError(f"{where}: {one.name} is the name of an earlier delivery; give it a name of its own")
        _check_format(one, where, clear=clear)
        file = None if one.pattern is None or "{what}" in one.pattern else with_suffix(one.pattern, one.suffix)
        if file is not None and file.casefold() in files:
            raise UsageError(f"{where}: {one.name} has the file of an earlier delivery, {file}; give it another")
        files |= set() if file is None else {file.casefold()}
        made[one.name] = one
    return made


def _check_format(one: Rendition, where: str, *, clear: bool) -> None:
    if (one.kind == "cutout" or (clear and one.kind == "composite")) and one.suffix in (".jpg", ".bmp"):
        raise UsageError(f"{where}: {one.name} is a cut-out, and {one.suffix} has no transparency; take webp or png")
    if one.kind == "alpha" and (one.suffix == ".jpg" or one.quality is not None or one.max_bytes is not None):
        raise UsageError(f"{where}: {one.name} is an alpha, which is never lossy; take png or tif, without quality")
    if one.suffix not in LOSSY and (one.quality is not None or one.max_bytes is not None):
        raise UsageError(f"{where}: quality and max-bytes are for jpg, webp, avif and jxl, not for {one.suffix}")
    if one.quality == "lossless" and (one.suffix == ".jpg" or one.max_bytes is not None):
        raise UsageError(f"{where}: quality lossless contradicts {'jpg' if one.suffix == '.jpg' else 'max-bytes'}")


def _delivery(table: Mapping[str, Any], where: str, folder: Path, otherwise: Kind) -> Rendition:
    for key in table:
        if key not in _KEYS:
            near = get_close_matches(key.lower().replace("_", "-"), _KEYS, n=1)
            guess = f"did you mean {near[0]}?" if near else f"the keys are {', '.join(_KEYS)}"
            raise UsageError(f"{where}: {key} is not a key of a delivery; {guess}")
    form = FILE_FORMATS[_of(table, "format", _format, "png", where)]
    kind: Kind = _of(table, "what", _kind, otherwise, where)
    space = _of(table, "output-space", str, None, where)
    if space is not None:
        space = str(folder / space) if Path(space).suffix.lower() in (".icc", ".icm") else space
        check_output_space(space)
    return Rendition(
        name=_of(table, "name", _name, kind, where),
        kind=kind,
        suffix=form.suffix,
        bits=form.bits,
        size=_of(table, "size", _size, None, where),
        quality=_of(table, "quality", _quality, None, where),
        max_bytes=_of(table, "max-bytes", _bytes, None, where),
        output_space=space,
        pattern=_of(table, "file", _pattern, None, where),
    )


def _of(table: Mapping[str, Any], key: str, parse: Callable[[Any], Any], otherwise: Any, where: str) -> Any:
    if key not in table:
        return otherwise
    try:
        return parse(table[key])
    except ValueError as error:
        raise UsageError(f"{where}: {key} {error}") from error


def _format(value: Any) -> str:
    name = str(value).lower()
    if name not in FILE_FORMATS or name == "psd":
        raise ValueError(f"must be one of {', '.join(key for key in FILE_FORMATS if key != 'psd')}, not {value}")
    return name


def _kind(value: Any) -> Kind:
    kinds = [kind for kind in get_args(Kind) if kind != "layers"]
    if value not in kinds:
        raise ValueError(f"must be {', '.join(kinds[:-1])} or {kinds[-1]}, not {value}")
    return cast(Kind, value)


def _name(value: Any) -> str:
    if re.fullmatch(r"[\w-]+", str(value)) is None:
        raise ValueError(f"must be a word, such as web, not {value!r}; name the file with file = '{{stem}}_web'")
    return str(value)


def _size(value: Any) -> tuple[int, int]:
    found = re.fullmatch(r"(\d+)(?:\s*[x×]\s*(\d+))?", str(value).strip())
    sides = () if found is None else (int(found[1]), int(found[2] or found[1]))
    if not sides or min(sides) < 1 or isinstance(value, bool):
        raise ValueError(f"must be the longest side in pixels, such as 2000, or a box such as '1600x1200', not {value}")
    return sides


def _quality(value: Any) -> Quality:
    return parse_quality(value)


def _bytes(value: Any) -> int:
    from mattecli.system.memory import parse_bytes

    try:
        return parse_bytes(str(value))
    except ValueError:
        raise ValueError(f"must be a number of bytes, such as 300000 or '300K', not {value}") from None


def _pattern(value: Any) -> str:
    if not isinstance(value, str) or ("{stem}" not in value and "{name}" not in value):
        raise ValueError(f"must hold {{stem}} or {{name}}, such as 'web/{{dir}}/{{stem}}', not {value}")
    if unknown := [braces for braces in re.findall(r"\{\w*\}", value) if braces not in _BRACES]:
        raise ValueError(f"has {unknown[0]}, which has no meaning; use {', '.join(_BRACES)}")
    if Path(value).is_absolute() or ".." in Path(value).parts:
        raise ValueError(f"must lie below the output folder, not {value}")
    return value
