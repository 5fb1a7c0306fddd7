"""Writes the network as an ONNX file that agrees with PyTorch."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

from mattecli.errors import DeviceError, InputError, UsageError
from mattecli.onnx.check import Difference, check
from mattecli.onnx.whole import Options, build
from mattecli.system.files import check_target, whole_file
from mattecli.system.process import load_package
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
    the check needs PyTorch and it is not installed or does not load, MatteError when the file's alpha differs from
    PyTorch's. After an error no new file is left, and an old one is unchanged.
    """
    options = options or Options()
    options.check()
    path = Path(path)
    if checkpoint.exported:
        raise UsageError(f"{checkpoint.path} is an exported file already; export the checkpoint it was made from")
    check_target(path, overwrite=overwrite, inputs=[checkpoint.path])
    if compare:
        _load_for_check()
    model = build(checkpoint, options)
    try:
        with whole_file(path, overwrite=overwrite) as file:
            file.write(model.SerializeToString(deterministic=True))
            file.flush()
            if compare:
                try:
                    check(Path(file.name), checkpoint, options, name=path.name, on_done=on_compared)
                except OSError as error:  # a library's, and no fault of the output
                    raise DeviceError(
                        f"{path} cannot be checked ({error}); try again or use `compare=False`"
                    ) from error
    except FileExistsError as error:
        raise InputError(f"{path} exists already; name another output or use `overwrite=True`") from error
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}); choose a writable folder with room") from error


def _load_for_check() -> None:
    """Import what `check` needs; raises DeviceError where that is not possible."""
    for package, name in (("torch", "PyTorch"), ("onnxruntime", "ONNX Runtime")):
        if importlib.util.find_spec(package) is None:
            raise DeviceError(
                f"the check of the file needs {name}, which is missing; install it or use `compare=False`"
            )
        load_package(package, remedy="install it again or use `compare=False`")
