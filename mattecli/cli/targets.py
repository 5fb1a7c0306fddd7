"""Where outputs go: `-o`, `--out-dir`, and a file for each `-b`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from mattecli.compositing.outputs import background_word, parse_colour
from mattecli.errors import InputError, UsageError

if TYPE_CHECKING:
    from mattecli.compositing.rendition import Rendition
    from mattecli.imaging.choices import Kind
    from mattecli.imaging.options import Depth

BACKGROUND = typer.Option(  # `matte composite` cannot do without, other commands can
    "--background",
    "-b",
    metavar="BACKGROUND",
    help='Background of the composite: a picture\'s file, a colour such as "#00b140" or white, or transparent; for a '
    "folder of photos also a folder or a pattern with one for each. Several -b make a composite for each, with its "
    "name in the file's.",
)
OutputFolder = Annotated[
    Path | None,
    typer.Option("--out-dir", metavar="DIR", help="Folder for the outputs; it is made if it does not exist."),
]


def output_file(text: str, *, default: str | bool = True) -> Any:
    """The option `-o`, with this help and this default as `--help` shows it."""
    return typer.Option("--output", "-o", metavar="FILE", help=text, show_default=default)


@dataclass(frozen=True)
class Composites:
    """The outputs of a command by name, those with settings of their own, and the backgrounds of several composites."""

    names: tuple[str, ...]
    renditions: Mapping[str, Rendition]
    backgrounds: Mapping[str, str]

    @property
    def kinds(self) -> list[Kind]:
        """The kind of each output."""
        made = self.renditions
        return [made[name].kind if name in made else cast("Kind", name) for name in self.names]


def over_each(
    names: Iterable[str],
    renditions: Mapping[str, Rendition],
    backgrounds: Sequence[str],
    *,
    suffix: str | None = None,
    bits: Depth | None = None,
) -> Composites:
    """The outputs with a composite for each of several backgrounds, such as `composite_beach`.

    `suffix` and `bits` are those of composites that are not renditions already. One background changes nothing.
    Raises UsageError for backgrounds, and outputs, of one name.
    """
    from mattecli.compositing.rendition import Rendition

    names = tuple(names)
    if len(backgrounds) < 2:
        return Composites(names, renditions, {})
    words = words_of(backgrounds)
    made: dict[str, Rendition | None] = {}
    behind: dict[str, str] = {}
    for name in names:
        one = renditions.get(name)
        if (name if one is None else one.kind) != "composite":
            made[name] = one
            continue
        one = one or Rendition(name=name, kind="composite", suffix=suffix, bits=bits)
        for word, background in words.items():
            own = f"{name}_{word}"
            if own in made or own in names:
                raise UsageError(f"two outputs are called {own}; give the background or the delivery another name")
            pattern = None if one.pattern is None else _with_word(one.pattern, word)
            made[own] = replace(one, name=own, pattern=pattern)
            behind[own] = background
    return Composites(tuple(made), {name: one for name, one in made.items() if one is not None}, behind)


def words_of(backgrounds: Sequence[str]) -> dict[str, str]:
    """Backgrounds by what they are called in the names of files. Raises UsageError where two are called the same."""
    words = {background_word(background): background for background in backgrounds}
    if len({word.casefold() for word in words}) < len(backgrounds):  # not every disk tells capitals apart
        raise UsageError("two backgrounds have the same name, and so would their files; run the command for each")
    return words


def _with_word(pattern: str, word: str) -> str:
    from mattecli.batch.jobs import with_suffix

    return pattern if "{what}" in pattern else f"{with_suffix(pattern, '')}_{word}"  # the rendition has the suffix


def different(backgrounds: Sequence[str] | None) -> tuple[str, ...]:
    """The backgrounds that were given, each once."""
    return tuple(dict.fromkeys(backgrounds or ()))


def check_places(backgrounds: Sequence[str], *, manifest: bool = False) -> None:
    """Raise UsageError for a folder of backgrounds, with one for each photo, beside other ones or a manifest."""
    from mattecli.batch.pairing import is_place

    places = [text for text in backgrounds if is_place(text)]
    if places and len(backgrounds) > 1:
        raise UsageError(f"{places[0]} has a background for each photo, so give no other -b beside it")
    if places and manifest:
        raise UsageError(
            f"{places[0]} has a background for each photo of a folder, and a manifest names them in its column "
            "background; give -b a picture or a colour"
        )


def check_fit(backgrounds: Sequence[str], *, fit: str) -> None:
    """Raise UsageError for a fit without an effect over these backgrounds; none means that no composite is made."""
    if fit == "cover":
        return
    colours = [text for text in backgrounds if text.lower() != "transparent" and parse_colour(text) is not None]
    if len(backgrounds) > len(colours) + sum(text.lower() == "transparent" for text in backgrounds):
        return  # one is a picture
    if colours:
        raise UsageError(f"--fit {fit} is for a background picture, and {colours[0]} is a colour; leave it out")
    raise UsageError(
        f"--fit {fit} would do nothing, because no background is put under the foreground; add -b with a picture, or "
        "leave it out"
    )


def files_of(
    names: Mapping[str, str],
    photo: str,
    *,
    output: str | None,
    folder: Path | None,
    backgrounds: Sequence[str] = (),
    lister: str = "the command makes",
) -> dict[str, str]:
    """The file of each output: the one that -o names, or its name in --out-dir, else beside the photo.

    `names` are the files' names by output. `lister` begins the sentence that refuses -o for several. Raises UsageError
    for options that do not go together.
    """
    if folder is not None and output is not None:
        raise UsageError("-o names one file and --out-dir a folder; give one of them")
    if len(backgrounds) > 1 and folder is None:
        if output is not None:
            raise UsageError("-o names one file, and several backgrounds need --out-dir, where each gets its own")
        raise UsageError("several backgrounds need --out-dir, where each gets a file of its own; add it")
    if output is not None and len(names) > 1:
        raise UsageError(f"{lister} {len(names)} outputs but -o names one file; give --out-dir DIR instead")
    if output is not None:
        return {next(iter(names)): output}
    if photo == "-":
        raise UsageError("the photo comes from standard input, which gives the output no name; add -o FILE or -o -")
    folder = Path(photo).parent if folder is None else folder
    return {name: str(folder / file) for name, file in names.items()}


def check_in_folder(outputs: Iterable[str | Path], folder: Path) -> None:
    """Raise InputError, before anything is made, for an output that a link in the folder leads out of it."""
    from mattecli.batch.jobs import way_out

    for output in outputs:
        if (how := way_out(output, folder)) is not None:
            raise InputError(f"{output} {how}; remove the link, or name another folder")


def check_streams(sources: Sequence[str | None], targets: Iterable[str], *, as_json: bool, ask: str = "") -> None:
    """Raise UsageError where two files would be standard input, or where a file and `--json` would be standard output.

    `ask` says what to do about the first.
    """
    if sources.count("-") > 1:
        raise UsageError(f"standard input can be read only once; {ask}")
    if as_json and "-" in targets:
        raise UsageError("-o - and --json both write to standard output; name a file with -o")
