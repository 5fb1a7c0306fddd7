from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import mattecli
from mattecli import errors
from mattecli.cli import exit_code

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "onnxruntime", "onnx", "cv2", "numba", "pymatting", "skimage", "numpy", "PIL", "rich"}


def imported_by(code: str) -> set[str]:
    """The top-level modules a fresh interpreter has loaded after running `code`."""
    report = f"import sys\ntry:\n    {code}\nfinally:\n    print('\\n' + ' '.join(sys.modules))"
    output = subprocess.run([sys.executable, "-c", report], stdout=subprocess.PIPE, text=True, check=False).stdout
    return {name.partition(".")[0] for name in output.splitlines()[-1].split()}


def test_help_imports_nothing_heavy() -> None:
    run = "sys.argv = ['matte', '--help']; from mattecli.cli import main; main()"
    assert imported_by(run) & (HEAVY - {"rich"}) == set()  # rich draws the help itself


def test_package_imports_nothing_heavy() -> None:
    assert imported_by("import mattecli") & HEAVY == set()


def test_public_names_are_what_can_be_had() -> None:
    assert list(mattecli.__all__) == sorted(mattecli._HOMES)
    for name in mattecli.__all__:
        assert getattr(mattecli, name).__module__.startswith(mattecli._HOMES[name]), name
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


def test_module_runs_as_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mattecli", "--version"], stdout=subprocess.PIPE, text=True, check=True
    )
    assert done.stdout == f"matte {mattecli.__version__}\n"


def test_output_into_a_file_of_few_characters_ends_no_run() -> None:
    code = "from mattecli.cli import main; import sys; sys.argv = ['matte', 'weights', 'show']; main()"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False)
    assert found.returncode == 0, found.stderr
    assert b"\\u" in found.stdout
