import shlex
from pathlib import Path

import pytest
import typer

from mattecli.cli import app
from tests.contract.golden import documented_commands

COMMANDS = (Path(__file__).parent / "commands_0.1.0.txt").read_text(encoding="utf-8").splitlines()
FOR_THE_SHELL = set("{$*")  # and for f-strings


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


def test_every_command_line_in_the_documents_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("catalogue.toml").write_text("", encoding="utf-8")  # presets are read with the command line
    commands = [command for command in documented_commands() if not FOR_THE_SHELL & set(command)]
    assert len(commands) > 40
    for command in commands:
        try:
            parse(command.replace("\\", "/"))
        except Exception as error:
            if type(error).__name__ != "MissingParameter":  # a sentence may quote a part of a command line
                raise


def test_an_unknown_option_is_not_understood() -> None:
    with pytest.raises(Exception, match="No such option"):
        parse("matte predict photo.jpg --trimap t.png --no-such-option")
