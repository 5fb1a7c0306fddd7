"""Registers and spills of the fused kernels, compiled for a card that need not be here.

    python benchmarks/registers.py                        # the kernels as they are, for compute capability 9.0 (H200)
    python benchmarks/registers.py --arch 80 --dtype fp32
    python benchmarks/registers.py --blocks downsample    # other block sizes: which are worth measuring on a card

Needs Triton (`pip install triton`, for Linux), no card: the operators are called on the CPU's maps, and each launch is
compiled as it would be for a card, to machine code, in place of being run. Exits 1 if a kernel does not compile.

What a thread cannot keep in its 255 registers it spills to memory ("spilled", bytes a thread, counted by NVIDIA's
cuobjdump). "Warps" is how many of the 64 that a multiprocessor can hold its 65,536 registers are enough for.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from resample import DTYPES, OPERATORS, blocks, inputs, results

from mattecli.ops import fused

CHANNELS = 64
REGISTERS = 65_536  # of a multiprocessor
WARPS = 64  # that it can hold


class Use(NamedTuple):
    """What a compiled kernel needs."""

    kernel: str
    registers: int  # of a thread
    spilled: int  # bytes of a thread
    warps: int  # of a block
    code: int  # bytes

    @property
    def resident(self) -> int:
        """Warps that a multiprocessor's registers are enough for, in whole blocks."""
        return min(WARPS // self.warps, REGISTERS // (32 * self.registers * self.warps)) * self.warps


@contextmanager
def compiling(arch: int) -> Iterator[list[Use]]:
    """Within it the kernels are compiled for a card of that compute capability, and not run; gives what they need."""
    if os.environ.get("TRITON_INTERPRET") == "1":
        sys.exit("TRITON_INTERPRET=1 leaves nothing to compile; unset it")
    from triton.backends.compiler import GPUTarget
    from triton.runtime import driver

    from mattecli.ops import fused_kernels

    class Card:
        """As much of a driver as compiling asks for."""

        def get_current_target(self) -> GPUTarget:
            return GPUTarget("cuda", arch, 32)

        def get_current_device(self) -> int:
            return 0

        def get_current_stream(self, _device: int) -> int:
            return 0

    uses: list[Use] = []
    launchers = {name: getattr(fused_kernels, name).run for name in fused.BLOCKS}

    def compiled(name: str, *args: Any, **options: Any) -> None:
        kernel = launchers[name](*args, **options | {"warmup": True})
        uses.append(_needs(name, kernel.asm["cubin"], options["num_warps"]))

    driver.set_active(Card())
    try:
        for name in launchers:
            getattr(fused_kernels, name).run = lambda *args, _name=name, **options: compiled(_name, *args, **options)
        yield uses
    finally:
        for name, run in launchers.items():
            getattr(fused_kernels, name).run = run


def _needs(name: str, code: bytes, warps: int) -> Use:
    import triton

    dump = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "kernel.cubin")
        file.write_bytes(code)
        said = subprocess.run([dump, "--dump-resource-usage", file], capture_output=True, text=True, check=True).stdout
    found = re.search(r"REG:(\d+) STACK:(\d+)", said)
    assert found, said
    return Use(name, int(found[1]), int(found[2]), warps, len(code))


@torch.no_grad()
def launch(operator: str, dtype: torch.dtype) -> None:
    """Start an operator's kernels, its gradients' included."""
    values, name = inputs(operator, 1, CHANNELS, 16, dtype, "cpu"), operator.split()[0]
    grads = [torch.ones_like(out) for out in results(getattr(fused, name), values)]
    if name == "correlate":
        fused.correlate_gradients(*grads, *values)
    else:
        fused.resampling_gradients(name, *grads, *values)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", type=int, default=90, help="compute capability, as 90 for 9.0")
    parser.add_argument("--dtype", choices=DTYPES, nargs="+", default=["bf16"])
    parser.add_argument("--blocks", nargs="+", metavar="KERNEL", default=[], help="compare block sizes of these")
    options = parser.parse_args()
    print("| kernel | type | block | registers | spilled | warps | code |\n|---|---|---|---:|---:|---:|---:|")
    for dtype in options.dtype:
        if not options.blocks:
            for operator in OPERATORS:
                with compiling(options.arch) as uses:
                    launch(operator, DTYPES[dtype])
                for use in dict.fromkeys(uses):  # a kernel that starts twice is one row
                    show(use, operator, dtype)
        for kernel in options.blocks:
            operator, standing = kernel.partition("_")[0], fused.BLOCKS[kernel]
            for block in [standing, *blocks(kernel)]:
                fused.BLOCKS[kernel] = block
                with compiling(options.arch) as uses:
                    launch(operator, DTYPES[dtype])
                show(next(use for use in uses if use.kernel == kernel), operator, dtype)
            fused.BLOCKS[kernel] = standing


def show(use: Use, operator: str, dtype: str) -> None:
    """A row of the table."""
    name = use.kernel + (" (unshared)" if operator.endswith("unshared") else "")
    block = "×".join(str(side) for side in fused.BLOCKS[use.kernel])
    print(
        f"| {name} | {dtype} | {block} | {use.registers} | {use.spilled} | {use.resident} | {use.code:,} |", flush=True
    )


if __name__ == "__main__":
    main()
