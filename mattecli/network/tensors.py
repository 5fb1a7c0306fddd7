"""Checkpoint tensors in NumPy or PyTorch: check them, fold norms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from mattecli.errors import WeightsError
from mattecli.spec import EPS, VARIANT, Shapes

T = TypeVar("T")


def own_names(tensors: Mapping[str, T]) -> dict[str, T]:
    """A checkpoint's tensors by the network's own names, without those of DataParallel and of batch norms' counts."""
    named = {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    return {name: tensor for name, tensor in named.items() if not name.endswith("num_batches_tracked")}


def is_shared(path: str | Path, tensors: Mapping[str, Any]) -> bool:
    """Whether a checkpoint's predictors share one kernel between all channels; the tensors' shapes tell.

    Raises WeightsError when the file at `path` is not a checkpoint of the A2U network.
    """
    if VARIANT not in tensors:
        raise WeightsError(f"{path} holds no A2U network (no tensor {VARIANT}); point `weights` at an A2U file")
    return bool(tensors[VARIANT].shape[0] == 1)


def check_fit(
    path: str | Path, expected: Shapes, tensors: Mapping[str, Any], *, is_finite: Callable[[Any], bool]
) -> None:
    """Check names, shapes and values of a checkpoint's tensors.

    Raises WeightsError that names the file, the first problem and how many more there are.
    """
    problems = [f"{name} is missing" for name in expected if name not in tensors]
    problems += [f"{name} is unknown" for name in tensors if name not in expected]
    problems += [
        f"{name} is {tuple(tensors[name].shape)} instead of {shape}"
        for name, shape in expected.items()
        if name in tensors and tuple(tensors[name].shape) != shape
    ]
    problems += [
        f"{name} holds values that are not finite" for name, tensor in tensors.items() if not is_finite(tensor)
    ]
    if problems:
        more = f" and {len(problems) - 1} more like it" if len(problems) > 1 else ""
        raise WeightsError(f"{path} does not fit the A2U network: {problems[0]}{more}; point `weights` at an A2U file")


def fold_norm(weight: Any, gamma: Any, beta: Any, mean: Any, variance: Any) -> tuple[Any, Any]:
    """Weight and bias of a convolution that also does the batch norm after it.

    `weight` is (C, …, k, k), the norm's four arrays are (C,). Give float64, so that float32 results are rounded once.
    """
    factor = (abs(gamma) + EPS) / (variance + EPS) ** 0.5  # InPlace-ABN scales by |γ| + ε, which is never zero
    return weight * factor[:, None, None, None], beta - mean * factor
