"""Writes the network as an ONNX file that agrees with PyTorch."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

from mattecli.errors import DeviceError, InputError, UsageError
from mattecli.onnx.check import Difference, check
from mattecli.onnx.whole import Options, build
from mattecli.system.files import check_target, whole_file
from mattecli.weights import Checkpoint


def export_onnx(
    checkpoint: Checkpoint,
    path: str | Path,
    *,
    options: Options | None = None,
    overwrite: bool = False,
    compare: bool = True,
    on_compared: Callable[[Difference], None] = lambda _: None,
) -> None:
    """Write the checkpoint's network; with `compare`, check the file against PyTorch before it gets its name.

    Raises UsageError for wrong options, WeightsError for the checkpoint, InputError for the output, DeviceError when
    PyTorch is needed and not installed, MatteError when the file's alpha differs from PyTorch's. After an error no new
    file is left, and an old one is unchanged.
    """
    options = options or Options()
    options.check()
    path = Path(path)
    if checkpoint.exported:
        raise UsageError(f"{checkpoint.path} is an exported file already; export the checkpoint it was made from")
    check_target(path, overwrite=overwrite, inputs=[checkpoint.path])
    if compare and importlib.util.find_spec("torch") is None:
        raise DeviceError("the check of the file needs PyTorch, which is missing; install it or use `compare=False`")
    model = build(checkpoint, options)
    try:
        with whole_file(path, overwrite=overwrite) as file:
            file.write(model.SerializeToString(deterministic=True))
            if compare:
                file.flush()
                check(Path(file.name), checkpoint, options, name=path.name, on_done=on_compared)
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}); choose a writable folder with room") from error
