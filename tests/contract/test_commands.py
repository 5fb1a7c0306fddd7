import re
import shlex
from pathlib import Path

import pytest
import typer

from mattecli.cli import app
from tests.contract import golden

COMMANDS = (Path(__file__).parent / "commands_0.1.0.txt").read_text(encoding="utf-8").splitlines()
PARTS = {  # of command lines, which sentences quote
    "matte batch --dry-run",
    "matte composite --keep-colours",
    "matte composite PHOTOS/ ALPHAS/",
    "matte trimap --check",
}


def parse(command: str) -> None:
    """Read a command line as `matte` does, without running it; raises a usage error where it is not understood."""
    name, *words = shlex.split(command)[1:]
    group = typer.main.get_command(app)
    with group.make_context("matte", [], resilient_parsing=True) as context:
        while (found := group.get_command(context, name)) is not None and hasattr(found, "commands"):
            group, (name, *words) = found, words
        assert found is not None, f"there is no command {name}"
        found.make_context(name, words, parent=context)


@pytest.mark.parametrize("command", COMMANDS)
def test_command_lines_of_0_1_0_are_still_understood(command: str) -> None:
    parse(command)


def filled(command: str) -> str:
    """A command line of a document with words in place of variables of the shell, of make and of f-strings."""
    command = re.sub(r"\$\(?\w+\)?", "3", command.replace("\\", "/"))
    return re.sub(r"\{(?!dir\}|stem\})[^}]*\}", "x", command)  # {dir} and {stem} are placeholders of --trimaps


def test_the_documents_are_searched_for_every_command() -> None:
    assert set(golden.COMMANDS) == set(typer.main.get_command(app).commands)


def test_every_command_line_in_the_documents_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("catalogue.toml").write_text("", encoding="utf-8")  # presets are read with the command line
    commands = golden.documented_commands()
    assert {command.split()[1] for command in commands} >= {"predict", "batch", "ui", "serve", "train"}
    assert len(commands) > 60
    assert set(commands) >= PARTS
    for command in commands:
        try:
            parse(filled(command))
        except Exception as error:
            if type(error).__name__ != "MissingParameter" or command not in PARTS:
                raise AssertionError(f"{command}: {error}") from error


def test_an_unknown_option_is_not_understood() -> None:
    with pytest.raises(Exception, match="No such option"):
        parse("matte predict photo.jpg --trimap t.png --no-such-option")
