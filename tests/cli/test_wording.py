"""The library names parameters, the command line its options; one error in both words."""

from pathlib import Path

import numpy as np
import pytest

import mattecli
from mattecli.cli.wording import as_options, outcome_in_options
from mattecli.work.outcome import Done, Job
from tests.conftest import RunMatte
from tests.support.batches import write_photo, write_trimap


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("`tile` must be auto or off, not 10", "--tile must be auto or off, not 10"),
        ("are allowed by `max_memory`; use `tile=auto`", "are allowed by --max-memory; use --tile auto"),
        ("a.png exists already; use `overwrite=True`", "a.png exists already; use --overwrite"),
        ("`backend=onnx` needs it; `pip install onnxruntime`", "--backend onnx needs it; `pip install onnxruntime`"),
        ("tile=10.jpg is not an image; check `nvidia-smi`", "tile=10.jpg is not an image; check `nvidia-smi`"),
    ],
)
def test_parameters_in_backticks_become_options(message: str, shown: str) -> None:
    assert as_options(message) == shown


def test_notes_of_a_folder_name_its_options() -> None:
    done = Done(Job("a.png", "a.png", "a.png", {}), {}, 1.0, ("mark certain parts with `core` and `garbage`",))
    assert outcome_in_options(done).to_json()["note"] == "mark certain parts with --cores and --garbages"
    assert as_options(done.notes[0]) == "mark certain parts with --core and --garbage"


@pytest.mark.parametrize(
    ("option", "value", "library", "shown", "code"),
    [
        ("tile", "96", None, None, 0),
        (
            "tile",
            "100",
            "`tile` must be auto, off or a multiple of 16",
            "error: --tile must be auto, off or a multi",
            2,
        ),
        ("device", "tpu", "`device` must be auto, cpu, cuda or", "error: --device must be auto, cpu, cuda or", 2),
        ("max_memory", "1M", "allowed by `max_memory`; raise `max_", "allowed by --max-memory; raise --max-m", 5),
    ],
)
def test_an_error_of_the_library_names_parameters_and_the_same_on_the_command_line_options(
    run_matte: RunMatte, tmp_path: Path, option: str, value: str, library: str | None, shown: str | None, code: int
) -> None:
    photo, trimap = write_photo(tmp_path / "a.png"), write_trimap(tmp_path / "t.png")
    arguments = ["-t", trimap, f"--{option.replace('_', '-')}", value]
    ended, _, err = run_matte("predict", photo, *arguments)
    assert ended == code
    options = {option: {"1M": 2**20, "96": 96, "100": 100}.get(value, value)}
    if library is None or shown is None:
        mattecli.load_model(**options).predict(photo, trimap)
        return
    assert shown in err
    with pytest.raises(mattecli.MatteError) as caught:
        mattecli.load_model(**options).predict(photo, trimap)
    assert library in str(caught.value)
    assert "--" not in str(caught.value)


def test_an_output_that_exists_is_refused_in_both_words(run_matte: RunMatte, tmp_path: Path) -> None:
    photo, trimap = write_photo(tmp_path / "a.png"), write_trimap(tmp_path / "t.png")
    code, _, err = run_matte("predict", photo, "-t", trimap, "-o", trimap.with_name("a.png"))
    assert (code, "is an input" in err) == (3, True)
    (tmp_path / "o.png").write_bytes(b"there")
    code, _, err = run_matte("predict", photo, "-t", trimap, "-o", tmp_path / "o.png")
    assert (code, "exists already; name another output or use --overwrite" in err) == (3, True)
    with pytest.raises(mattecli.InputError, match="exists already; name another output or use `overwrite=True`"):
        mattecli.write_alpha(tmp_path / "o.png", np.ones((4, 4), np.float32))
