"""Checkpoints to networks and back: the authors' pickles, plain state dicts and safetensors."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor
from torch.overrides import TorchFunctionMode

from mattecli.errors import InputError, WeightsError
from mattecli.network.a2u import A2UNet
from mattecli.network.blocks import Upsampling
from mattecli.system.files import whole_file
from mattecli.weights import folder

SHARED_OR_NOT = "bilinear0.bconv_U.1.weight"  # one row in the shared variant, one for each channel in the other
UPSAMPLING = "upsampling_taps"  # only in networks whose decoder does not upsample by affinity


def load_a2u(path: str | Path) -> A2UNet:
    """The network with the weights of a checkpoint, in float32 on the CPU and in evaluation mode.

    The file may be safetensors, a state dict saved by PyTorch, or such a dict wrapped under `state_dict` and prefixed
    `module.`, as the authors publish it. The variant is told by the tensors. Raises WeightsError when the file
    is missing, unreadable, would run code, or does not fit the network tensor by tensor.
    """
    state = read_state_dict(path)
    if SHARED_OR_NOT not in state:
        raise WeightsError(f"{path} holds no A2U network (no tensor {SHARED_OR_NOT}); point --weights at an A2U file")
    with _NoDraws():
        net = A2UNet(shared=state[SHARED_OR_NOT].shape[0] == 1, upsampling=_upsampling(path, state))
    _check_fit(path, net.state_dict(), state)
    net.load_state_dict({name: tensor.float() for name, tensor in state.items()}, strict=True)
    return net.eval()


class _NoDraws(TorchFunctionMode):
    """Leaves new parameters as they are: drawn ones would be replaced, and the host's random numbers moved on."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init" or func in (Tensor.normal_, Tensor.uniform_):
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return func(*args, **kwargs)


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint on the CPU, under the network's own names."""
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"{path} is not there; give a checkpoint's file (those in the box lie in {folder()})")
    try:
        state = _read_safetensors(path) if _is_safetensors(path) else _read_pickle(path)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror or error}); check its permissions") from error
    named = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    return {name: tensor for name, tensor in named.items() if not name.endswith("num_batches_tracked")}


def save_a2u(
    state: A2UNet | Mapping[str, Tensor],
    path: str | Path,
    *,
    dtype: torch.dtype = torch.float16,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write a network's tensors as safetensors, 16-bit unless told otherwise; atomic, same tensors give same bytes.

    Raises WeightsError when a value does not survive `dtype` (16-bit floats end at 65504), InputError when the file
    cannot be written.
    """
    path = Path(path)
    tensors = state.state_dict() if isinstance(state, A2UNet) else state
    stored = {name: tensor.detach().to("cpu", dtype).contiguous() for name, tensor in tensors.items()}
    for name, tensor in stored.items():
        if not bool(torch.isfinite(tensor).all()):
            raise WeightsError(f"{name} holds values that {dtype} cannot; write {path.name} with 32 bits")
    try:
        with whole_file(path) as file:
            file.write(save(stored, metadata=dict(metadata or {})))  # save_file would lock others out of the file
    except OSError as error:
        raise InputError(
            f"{path} cannot be written ({error.strerror}); choose a folder that is there, writable, and has room"
        ) from error


def _is_safetensors(path: Path) -> bool:
    """Tell by content, not by name: a header's length in 8 bytes, then JSON."""
    with path.open("rb") as file:
        start = file.read(9)
    return path.suffix == ".safetensors" or start[8:9] == b"{"


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} is damaged or no safetensors file ({error}); copy or download it again") from error


def _read_pickle(path: Path) -> dict[str, Tensor]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about old pickle protocols: what cannot be read is said below
            # The authors' tensors were on a GPU when they were saved; they must load where there is none.
            content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "weights_only" in str(error) or "Unsupported" in str(error):
            raise WeightsError(
                f"{path} would run code when loaded, so it was not; get the weights as .safetensors, or as a file that "
                "holds nothing but tensors"
            ) from error
        raise WeightsError(f"{path} is no checkpoint that PyTorch can read; copy or download it again") from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, AttributeError, TypeError, IndexError) as error:
        raise WeightsError(f"{path} is damaged or no checkpoint; copy or download it again") from error
    while isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise WeightsError(f"{path} holds no state dict; point --weights at a file of tensors by name")
    return dict(content)


def _upsampling(path: str | Path, state: Mapping[str, Tensor]) -> Upsampling:
    if UPSAMPLING not in state:
        return "affinity"
    found = tuple(state[UPSAMPLING].flatten().tolist())
    for name, taps in A2UNet.TAPS.items():
        if found == taps:
            return name
    raise WeightsError(f"{path} upsamples by {found}, which is not known; point --weights at an A2U file")


def _check_fit(path: str | Path, expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    """Say what does not fit before PyTorch says it in a hundred lines."""
    problems = [f"{name} is missing" for name in expected if name not in found]
    problems += [f"{name} is unknown" for name in found if name not in expected]
    problems += [
        f"{name} is {tuple(found[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in found and found[name].shape != tensor.shape
    ]
    problems += [
        f"{name} holds values that are not finite" for name in found if not bool(torch.isfinite(found[name]).all())
    ]
    if problems:
        more = f" and {len(problems) - 1} more like it" if len(problems) > 1 else ""
        raise WeightsError(f"{path} does not fit the A2U network: {problems[0]}{more}; point --weights at an A2U file")
