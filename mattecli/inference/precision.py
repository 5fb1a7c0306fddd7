"""Which arithmetic `auto` takes.

The processor and the outputs decide. That needs no PyTorch, since a batch with nothing to do does not import it.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from dataclasses import replace
from functools import cache
from pathlib import Path

from mattecli.inference.options import RunOptions

# What Linux calls the instructions that make bf16 faster than fp32 (see benchmarks/README.md).
_FLAGS = {"amx_bf16", "avx512_bf16"}
_PROCESSORS = Path("/proc/cpuinfo")
_DRIVERS = (  # NVIDIA's, that of Windows' Linux, and AMD's
    Path("/proc/driver/nvidia/version"),
    Path("/dev/dxg"),
    Path("/dev/kfd"),
)


def settle_precision(options: RunOptions, *, eight_bits: bool) -> RunOptions:
    """The options with the precision that `auto` takes, if that is not fp32, which `auto` is for every backend.

    `eight_bits` says that no output shows more than 8 bits. Then it is bf16 on a processor that has bf16 in hardware.
    Its difference from fp32 is stated in the README. Cards and ONNX Runtime compute in fp32.
    """
    if options.precision != "auto" or not eight_bits or not has_bf16():
        return options
    exported = Path(options.weights or "").suffix.lower() == ".onnx"
    elsewhere = options.backend == "onnx" or options.provider is not None or exported
    if elsewhere or importlib.util.find_spec("torch") is None:
        return options
    on_cpu = options.device == "cpu" or (options.device == "auto" and not may_have_card())
    return replace(options, precision="bf16") if on_cpu else options


@cache
def has_bf16(processors: Path = _PROCESSORS) -> bool:
    """Whether this machine's processor computes faster in bf16 than in fp32. `processors` is what Linux says of it."""
    try:
        text = processors.read_text(encoding="utf-8", errors="replace")
    except OSError:  # not Linux
        return False
    lines = [line for line in text.splitlines() if line.startswith("flags")]
    return bool(lines) and all(not _FLAGS.isdisjoint(line.split()) for line in lines)


@cache
def may_have_card() -> bool:
    """Whether `device=auto` might take a card: there is a driver, and PyTorch is not a build for processors alone."""
    if importlib.metadata.version("torch").endswith("+cpu"):
        return False
    return any(driver.exists() for driver in _DRIVERS)
