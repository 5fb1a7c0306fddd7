from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path

import pytest

import mattecli
from mattecli import errors
from mattecli.cli.exit_codes import exit_code

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "onnxruntime", "onnx", "cv2", "numba", "pymatting", "skimage", "numpy", "PIL", "rich", "jinja2"}
# What `--help` may load besides Python's own library: the rooms' light modules, Typer, and what Typer needs.
OF_TYPER = {
    *("typer", "shellingham", "rich", "pygments", "markdown_it", "mdurl", "attr"),
    *("annotated_doc", "annotated_types", "typing_extensions", "typing_inspection", "pydantic", "pydantic_core"),
}
LIGHT = {
    *(
        "_version",
        "errors",
        "imaging",
        "imaging.choices",
        "imaging.options",
        "imaging.products",
        "compositing",
        "compositing.finishing",
        "compositing.outputs",
    ),
    *("system", "system.process", "inference", "inference.options"),
}


def modules_of(code: str) -> set[str]:
    """The modules that a fresh interpreter loads to run `code`, beyond those that it starts with."""
    report = (
        f"import sys\nold = set(sys.modules)\ntry:\n    {code}\nfinally:\n    print(); print(*(set(sys.modules) - old))"
    )
    output = subprocess.run([sys.executable, "-c", report], stdout=subprocess.PIPE, text=True, check=False).stdout
    return set(output.splitlines()[-1].split())


def roots(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


@pytest.mark.parametrize("command", ["", "predict", "batch", "train", "weights convert"])
def test_help_loads_the_command_line_and_nothing_that_computes(command: str) -> None:
    run = f"sys.argv = ['matte', *{command.split()!r}, '--help']; from mattecli.cli import main; main()"
    loaded = modules_of(run)
    own = {name.removeprefix("mattecli.") for name in loaded if name.startswith("mattecli.")}
    assert {name for name in own if name.partition(".")[0] != "cli"} <= LIGHT
    others = {name for name in roots(loaded) - sys.stdlib_module_names if not name.startswith("_sysconfigdata")}
    assert {"mattecli", "typer"} <= others <= OF_TYPER | {"mattecli"}


def test_package_imports_nothing_heavy() -> None:
    loaded = modules_of("import mattecli")
    assert "mattecli" in loaded
    assert roots(loaded) & HEAVY == set()


def test_public_names_are_what_can_be_had() -> None:
    assert list(mattecli.__all__) == sorted(mattecli._HOMES)
    for name in mattecli.__all__:
        value, home = getattr(mattecli, name), mattecli._HOMES[name]
        assert value is getattr(sys.modules[home], name)
        if isinstance(value, type) or inspect.isfunction(value):
            assert value.__module__.startswith(home), name
    assert set(dir(mattecli)) >= set(mattecli.__all__)


def test_every_error_has_its_exit_code() -> None:
    codes = {name: exit_code(kind("")) for name, kind in vars(errors).items() if name.endswith("Error")}
    assert codes == {
        "MatteError": 1,
        "UsageError": 2,
        "InputError": 3,
        "WeightsError": 4,
        "DeviceError": 5,
        "OutOfMemoryError": 5,
    }


def test_exactly_one_onnxruntime_is_asked_for_on_every_platform() -> None:
    from packaging.requirements import Requirement

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [Requirement(line) for line in project["dependencies"] if line.startswith("onnxruntime")]
    platforms = [("x86_64", "linux"), ("aarch64", "linux"), ("AMD64", "win32"), ("ARM64", "win32"), ("arm64", "darwin")]
    for machine, system in [*platforms, ("x86_64", "darwin")]:
        environment = {"platform_machine": machine, "sys_platform": system}
        names = [r.name for r in wanted if r.marker is not None and r.marker.evaluate(environment)]
        gpu = (machine, system) in (("x86_64", "linux"), ("AMD64", "win32"))
        assert names == ["onnxruntime-gpu" if gpu else "onnxruntime"], environment


def test_what_an_install_without_pytorch_names_is_what_the_package_needs() -> None:
    page = (ROOT / "docs" / "onnx.md").read_text(encoding="utf-8").partition("## Without PyTorch")[2]
    lines = re.findall(r"^    pip install -c constraints\.txt (.+)$", page, re.MULTILINE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {re.split(r"[<>=\[; ]", entry)[0] for entry in project["dependencies"]}
    assert set(" ".join(lines).split()) == needed - {"torch", "pydantic", "tomli-w", "onnxruntime-gpu"}


def test_every_package_that_the_project_names_is_pinned() -> None:
    pinned = set(re.findall(r"^([\w.-]+)==", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    entries = chain(project["dependencies"], *project["optional-dependencies"].values())
    named = {re.split(r"[<>=\[; ]", entry)[0] for entry in entries} - {"mattecli"}
    assert {one.lower().replace("_", "-") for one in named} <= {one.lower().replace("_", "-") for one in pinned}


def test_module_runs_as_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mattecli", "--version"], stdout=subprocess.PIPE, text=True, check=True
    )
    assert done.stdout == f"matte {mattecli.__version__}\n"


def test_text_that_an_ascii_output_cannot_show_does_not_end_the_run() -> None:
    code = "from mattecli.cli import main; import sys; sys.argv = ['matte', 'weights', 'show']; main()"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False)
    assert found.returncode == 0, found.stderr
    assert b"\\u" in found.stdout
