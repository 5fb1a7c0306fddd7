"""Examines this installation: versions, devices, providers, weights, memory, one matte."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from mattecli._version import __version__
from mattecli.errors import MatteError
from mattecli.system import memory

Verdict = Literal["ok", "note", "problem"]
# Packages that install the same module over each other. With two of them it is chance what works.
RIVALS = (
    ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-directml"),
    ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless"),
)
VERSIONS = ("torch", *RIVALS[0], "onnx", *RIVALS[1], "numpy", "pillow", "typer", "rich")


@dataclass(frozen=True)
class Finding:
    """One thing that was examined: what, what was found, and what to do about a problem."""

    subject: str
    text: str
    verdict: Verdict = "ok"


def examine() -> Iterator[Finding]:
    """Examine one thing after the other; the slow ones (devices, the matte) come last."""
    yield from _versions()
    yield from _rivals()
    yield Finding("memory", f"{memory.show_bytes(memory.free_bytes())} of RAM free")
    yield from _weights()
    yield from _guarded("PyTorch", _torch)
    yield from _guarded("ONNX Runtime", _providers)
    for backend in ("torch", "onnx"):
        if importlib.util.find_spec({"torch": "torch", "onnx": "onnxruntime"}[backend]) is not None:
            yield from _guarded(f"a matte with --backend {backend}", partial(time_matte, backend))


def example() -> tuple[Path, Path] | None:
    """The example's photo and trimap: in a clone beside the package, in a wheel inside it."""
    package = Path(__file__).parents[1]
    for folder in (package / "_examples", package.parent / "examples"):
        pair = folder / "portrait.jpg", folder / "portrait_trimap.png"
        if all(path.is_file() for path in pair):
            return pair
    return None


def _versions() -> Iterator[Finding]:
    yield Finding("mattecli", f"{__version__}, Python {platform.python_version()}, {platform.platform()}")
    found = {package: _version(package) for package in VERSIONS}
    yield Finding("packages", ", ".join(f"{package} {version}" for package, version in found.items() if version))


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _rivals() -> Iterator[Finding]:
    for family in RIVALS:
        installed = [package for package in family if _version(package)]
        if len(installed) > 1:
            names = " and ".join(installed)
            yield Finding(
                "packages",
                f"{names} install the same module over each other, so that CUDA or more may not work; "
                f"`pip uninstall {' '.join(installed)}`, then `pip install {installed[-1]}`",
                "problem",
            )


def _weights() -> Iterator[Finding]:
    from mattecli.weights import shipped

    try:
        for checkpoint in shipped():
            checkpoint.verify()
            yield Finding("weights", f"{checkpoint.name}, SHA-256 {checkpoint.sha256}")
    except MatteError as error:
        yield Finding("weights", str(error), "problem")


def _torch() -> Iterator[Finding]:
    if importlib.util.find_spec("torch") is None:
        yield Finding("PyTorch", "not installed: no training, and exports are not checked; ONNX Runtime mattes", "note")
        return
    import torch

    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(number)
            name = torch.cuda.get_device_name(number)
            yield Finding(f"cuda:{number}", f"{name}, {memory.show_bytes(free)} of {memory.show_bytes(total)} free")
    elif shutil.which("nvidia-smi"):
        build = f"is built without CUDA ({torch.__version__})" if torch.version.cuda is None else "cannot use the card"
        yield Finding(
            "PyTorch",
            f"there is an NVIDIA driver, but PyTorch {build}; install the CUDA build, see pytorch.org",
            "problem",
        )
    else:
        yield Finding("PyTorch", f"on the CPU, {torch.get_num_threads()} threads; no NVIDIA driver found")


def _providers() -> Iterator[Finding]:
    if importlib.util.find_spec("onnxruntime") is None:
        yield Finding("ONNX Runtime", "not installed: no --backend onnx", "note")
        return
    from mattecli.onnx.sessions import PROVIDERS, available, remedy, why_not

    for provider, name in PROVIDERS.items():
        if provider in available():
            reason = why_not(provider)
            text = "works" if reason is None else f"does not load: {reason}; {remedy(provider)}"
            yield Finding(f"{name} (--provider {provider})", text, "ok" if reason is None else "note")
    missing = [provider for provider in PROVIDERS if provider not in available()]
    if missing:
        yield Finding("ONNX Runtime", f"this build lacks {', '.join(missing)}", "note")


def _guarded(subject: str, look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """What `look` finds. Any exception is a finding too, since the doctor is there for broken installations."""
    try:
        yield from look()
    except Exception as error:
        yield Finding(subject, f"{type(error).__name__}: {error}; install it again", "problem")


def time_matte(backend: str) -> Iterator[Finding]:
    """One timed matte of the example, after one to warm up."""
    from mattecli.inference.model import Model
    from mattecli.inference.options import RunOptions
    from mattecli.work.job import find_matte, read_inputs
    from mattecli.work.outcome import Job

    subject = f"a matte with --backend {backend}"
    pair = example()
    if pair is None:
        yield Finding(subject, "the example's photo is missing; install mattecli again", "problem")
        return
    try:
        started = time.perf_counter()
        job = Job("example", str(pair[0]), str(pair[1]), outputs={})
        inputs = read_inputs(job)
        model = Model(RunOptions(backend=backend))
        find_matte(job, inputs, model)
        first = time.perf_counter() - started
        started = time.perf_counter()
        find_matte(job, inputs, model)
        again = time.perf_counter() - started
    except MatteError as error:
        yield Finding(subject, str(error), "problem")
        return
    width, height = inputs.photo.size
    megapixels = width * height / 1e6
    yield Finding(
        subject,
        f"{width}×{height} on {model.backend.device} in {again:.2f} s ({again / megapixels:.1f} s a megapixel); "
        f"the first, with loading, {first:.2f} s",
    )
