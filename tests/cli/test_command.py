"""Groups of options, plain help, and usage errors of one sentence."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from mattecli.cli import app
from mattecli.cli.command import Command, Group, _words, expanded
from tests.conftest import RunMatte

COMMANDS = [
    ["predict"],
    ["batch"],
    ["report"],
    ["composite"],
    ["trimap"],
    ["ui"],
    ["serve"],
    ["evaluate"],
    ["train"],
    ["train-samples"],
    ["export-onnx"],
    ["doctor"],
    ["weights", "list"],
    ["weights", "show"],
    ["weights", "verify"],
    ["weights", "convert"],
]


def test_all_commands_are_looked_at_here() -> None:
    group = typer.main.get_command(app)
    names = [[name] for name in group.commands if name != "weights"]  # type: ignore[attr-defined]
    names += [["weights", name] for name in group.commands["weights"].commands]  # type: ignore[attr-defined]
    assert names == COMMANDS


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_has_an_example_and_no_names_of_python_types(run_matte: RunMatte, command: list[str]) -> None:
    code, out, _ = run_matte(*command, "--help")
    assert code == 0
    assert f"matte {' '.join(command)} " in re.sub(r"Usage: [^\n]*", "", out) or command == ["doctor"]
    assert "Example" in out
    assert not re.search(r"<\w+>|<=|\{[A-Z]", out), out
    assert re.search(r"Usage: matte [\w -]+ \[OPTIONS\][^{}]*\n", out), out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["predict", "a.png", "-t", "b.png", "--bits", "9"], "--bits must be 8, 16 or float, not 9"),
        (["predict", "a.png", "-t", "b.png", "--snap", "101"], "--snap must be a whole number from 0 to 100, not 101"),
        (["predict", "a.png", "-t", "b.png", "--backend", "tf"], "--backend must be auto, torch or onnx, not 'tf'"),
        (["predict", "a.png", "-t", "b.png", "--fit", "fill"], "--fit must be cover, contain, stretch or tile"),
        (["predict", "a.png", "-t", "b.png", "--tile", "100"], "--tile must be auto, off or a multiple of 16 from 64"),
        (["predict", "a.png", "-t", "b.png", "--max-memory", "x"], "--max-memory must be an amount of memory such as"),
        (["predict", "a.png", "-t", "b.png", "--what", "hair"], "--what must list alpha, cutout, foreground"),
        (["predict", "a.png", "--trimap"], "Option '--trimap' requires an argument"),
        (["predict", "a.png", "--no-such"], "No such option: --no-such"),
        (["predict"], "IMAGE is missing; see `matte predict --help`"),
        (["trimap", "m.png", "--low", "2"], "--low must be a number from 0 to 1, not 2"),
        (
            ["trimap", "m.png", "--erode", "-1"],
            "--erode must be 0 or more pixels, or per cent of the diagonal such as 0.5%, not -1",
        ),
        (["batch", "a", "b", "--shard", "5/4"], "--shard must be 1/4 to 4/4 for four machines, not 5/4"),
        (["batch", "a", "b", "--max-failures", "101%"], "--max-failures must be a number or a percentage, such as 20"),
        (["batch", "a", "b", "--workers", "0"], "--workers must be a whole number from 1 up, not 0"),
        (["export-onnx", "a.onnx", "--size", "720"], "--size must be height and width, such as 720,1280, not 720"),
        (["export-onnx", "a.onnx", "--opset", "new"], "--opset must be a valid integer"),
        (["evaluate"], "--alpha is missing; see `matte evaluate --help`"),
        (
            ["predict", "a", "-t", "b", "--device", "gpu"],
            "--device must be auto, cpu, cuda or cuda:N, not gpu; write cuda",
        ),
        (
            ["evaluate", "--alpha", "a", "--trimaps", "b", "--device", "cuda:x"],
            "--device must be auto, cpu, cuda or cuda",
        ),
        (["train", "a.toml", "--device", "GPU"], "--device must be auto, cpu, cuda or cuda:N, not GPU; write cuda"),
        (["predikt"], "No such command 'predikt'. Did you mean 'predict'?"),
        (["--no-such"], "No such option: --no-such; see `matte --help`"),
    ],
)
def test_what_the_parser_refuses_is_one_sentence_that_names_it(
    run_matte: RunMatte, arguments: list[str], sentence: str
) -> None:
    code, out, err = run_matte(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {sentence}")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["composite", "", "a.png", "-b", "white"], "PHOTO"),
        (["composite", "p.png", "a.png", "-b", ""], "--background"),
        (["batch", "", "out", "-t", "t"], "IMAGES"),
        (["predict", "p.png", "-t", "t.png", "--out-dir="], "--out-dir"),
        (["ui", "a.png", ""], "PHOTO|FOLDER"),
        (["weights", "verify", ""], "NAME|FILE"),
        (["trimap", "m.png", ""], "OUT"),
    ],
)
def test_an_empty_name_is_refused(run_matte: RunMatte, arguments: list[str], name: str) -> None:
    code, out, err = run_matte(*arguments)
    assert (code, out) == (2, "")
    assert err == f"error: {name} is empty; give it a value (a variable of the shell may be unset)\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["composite", "a", "b", "-b", "red", "-o", "c", "-o", "d"],
            "--output is given twice but takes one value; give",
        ),
        (
            ["predict", "a", "-t", "b", "--what", "alpha", "--what", "cutout", "--out-dir", "c"],
            "--what is given twice but takes one value; list the outputs with commas, such as --what alpha,cutout",
        ),
        (["predict", "a", "-ta", "-t", "b", "--trimap", "c"], "--trimap is given 3 times but takes one value"),
        (
            ["batch", "a", "b", "--shard", "1/2", "--shard", "2/2"],
            "--shard is given twice but takes one value; give it",
        ),
        (["trimap", "a", "--erode", "1", "--erode", "2"], "--erode is given twice but takes one value; give it once"),
        (["weights", "list", "--quiet", "--verbose"], "--quiet and --verbose contradict each other; leave one of them"),
        (["predict", "a", "-t", "b", "-qv"], "--quiet and --verbose contradict each other; leave one of them out"),
        (["export-onnx", "a.onnx", "--check", "--no-check"], "--check and --no-check contradict each other; leave one"),
        (
            ["batch", "a", "--manifest", "b.csv", "--no-recursive"],
            "--no-recursive is for a folder of photos, and a man",
        ),
        (["batch", "a", "b", "-t", "c", "-b", "-"], "a batch cannot read its background from standard input; name a"),
    ],
)
def test_options_that_would_be_dropped_without_a_word_are_refused(
    run_matte: RunMatte, arguments: list[str], sentence: str
) -> None:
    code, out, err = run_matte(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {sentence}")
    assert err.count("\n") == 1


def test_a_flag_may_be_given_twice_and_options_of_many_values_several_times(
    run_matte: RunMatte, tmp_path: Path
) -> None:
    assert run_matte("weights", "list", "--json", "--json")[0] == 0
    many = ("train-samples", "-o", tmp_path / "a.png", "--kind", "hair", "--kind", "bodies", "--size", "1")
    assert run_matte(*many)[2].startswith("error: --size must be a whole number")


def test_a_missing_trimap_says_what_a_trimap_is_and_how_to_get_one(run_matte: RunMatte) -> None:
    code, _, err = run_matte("predict", "photo.jpg")
    assert code == 2
    assert "white where the foreground is sure" in err
    for way in ("`matte trimap mask.png --photo photo.jpg`", "--mask", "--box", "--scribbles"):
        assert way in err


def test_without_arguments_there_is_help(run_matte: RunMatte) -> None:
    for arguments in ([], ["weights"]):
        code, out, err = run_matte(*arguments)
        assert (code, err) == (2, "")
        assert "Usage: matte" in out


@pytest.mark.parametrize("arguments", [["--debug", "predict"], ["predict", "--bits", "9", "--debug"]])
def test_debug_shows_where_a_usage_error_came_from(run_matte: RunMatte, arguments: list[str]) -> None:
    assert "Traceback" in run_matte(*arguments)[2]


@dataclass(frozen=True, kw_only=True)
class Animal:
    """Two options."""

    legs: Annotated[int | None, typer.Option("--legs", parser=int)] = None
    tail: Annotated[bool, typer.Option("--tail")] = False


def test_the_fields_of_a_dataclass_become_options() -> None:
    seen: list[object] = []

    def count(name: Annotated[str, typer.Argument()], *, animal: Animal) -> None:
        seen.extend([name, animal])

    small = typer.Typer()
    small.command(cls=Command)(expanded(count))
    assert CliRunner().invoke(small, ["cat", "--legs", "4", "--tail"]).exit_code == 0
    assert seen == ["cat", Animal(legs=4, tail=True)]


@pytest.mark.parametrize(
    ("words", "completions"),
    [
        ("matte compo", ["composite"]),
        ("matte predict --no-bro", []),
        ("matte predict --cut", ["--cutout", "--cutout-for"]),
        ("matte weights ver", ["verify"]),
        ("matte weights convert --ha", ["--half"]),
    ],
)
def test_a_shell_completes_commands_and_their_options(
    words: str, completions: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
    found = CliRunner().invoke(app, [], prog_name="matte", env={"_MATTE_COMPLETE": "complete_bash"})
    assert found.output.split() == completions


def test_ctrl_c_at_a_question_ends_as_it_does_elsewhere() -> None:
    small = typer.Typer(cls=Group)
    small.command("ask")(lambda: typer.confirm("Really?"))
    small.command("other")(lambda: None)  # with one command alone there would be no group
    assert CliRunner().invoke(small, ["ask"], input="").exit_code == 130


def test_on_windows_a_word_that_is_a_file_is_not_taken_for_a_pattern(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    for name in ("photo1.jpg", "photo[1].jpg", "run-1.jsonl", "run-2.jsonl", "deep/er/run-3.jsonl"):
        (tmp_path / name).touch()
    monkeypatch.setenv("PLACE", "there")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["matte", "photo[1].jpg", "run-*.jsonl", "[x]", "deep/**/*.jsonl", "$PLACE/a"])
    with monkeypatch.context() as windows:
        windows.setattr(sys, "platform", "win32")
        own, given = _words(), (_words(["given"]), _words(args=["given"]))
    assert own == {
        "args": ["photo[1].jpg", "run-1.jsonl", "run-2.jsonl", "[x]", "deep/er/run-3.jsonl", "there/a"],
        "windows_expand_args": False,
    }
    assert given == ({}, {})
