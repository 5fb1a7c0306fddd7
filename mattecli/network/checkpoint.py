"""Read and write checkpoints: pickles, state dicts and safetensors."""

from __future__ import annotations

import pickle
import struct
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
from mattecli.network.tensors import check_fit, is_shared, own_names
from mattecli.spec import TAPS, tensor_shapes
from mattecli.system.content import names_in_pickle, pickle_in
from mattecli.system.files import whole_file
from mattecli.weights import check_content

# What PyTorch raises for damaged files.
_DAMAGED = (
    *(RuntimeError, EOFError, OSError, ValueError, KeyError, AttributeError, TypeError, IndexError, AssertionError),
    struct.error,
)


def load_a2u(path: str | Path) -> A2UNet:
    """The network with the weights of a checkpoint, in float32 on the CPU and in evaluation mode.

    The file may be safetensors, a state dict saved by PyTorch, or such a dict under the key `state_dict` with `module.`
    before its names, as the authors publish it. The tensors tell the variant. Raises WeightsError when the file is
    missing, cannot be read, would run code, or has a tensor that does not fit the network.
    """
    state = read_state_dict(path)
    shared, upsampling = is_shared(path, state), _upsampling(path, state)
    shapes = tensor_shapes(shared=shared, up_kernels=upsampling == "affinity")
    check_fit(path, shapes, state, is_finite=lambda tensor: bool(torch.isfinite(tensor).all()))
    with _NoDraws():
        net = A2UNet(shared=shared, upsampling=upsampling)
    net.load_state_dict({name: tensor.float() for name, tensor in state.items()}, strict=True, assign=True)
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
    """The tensors of a checkpoint on the CPU, by the network's own names; raises WeightsError."""
    path = Path(path)
    if not path.is_file():
        raise WeightsError(
            f"{path} is not there; give the path of a checkpoint (`matte weights list` shows the bundled ones)"
        )
    check_content(path)
    try:
        state = _read_safetensors(path) if _is_safetensors(path) else _read_pickle(path)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror or error}); check its permissions") from error
    return own_names(state)


def save_a2u(
    state: A2UNet | Mapping[str, Tensor],
    path: str | Path,
    *,
    dtype: torch.dtype = torch.float16,
    metadata: Mapping[str, str] | None = None,
    overwrite: bool = True,
) -> None:
    """Write a network's tensors as safetensors, in 16 bits by default. The same tensors give the same bytes.

    Raises WeightsError when a value does not survive `dtype` (16-bit floats end at 65504), InputError when the file
    cannot be written.
    """
    path = Path(path)
    tensors = state.state_dict() if isinstance(state, A2UNet) else state
    stored = {name: tensor.detach().to("cpu", dtype).contiguous() for name, tensor in tensors.items()}
    for name, tensor in stored.items():
        if not bool(torch.isfinite(tensor).all()):
            raise WeightsError(f"{name} holds values that {dtype} cannot hold; write {path.name} with 32 bits")
    try:
        with whole_file(path, overwrite=overwrite) as file:
            file.write(save(stored, metadata=dict(metadata or {})))  # save_file writes a file that others may not read
    except FileExistsError as error:
        raise InputError(f"{path} exists already; name another output or use `overwrite=True`") from error
    except OSError as error:
        raise InputError(
            f"{path} cannot be written ({error.strerror}); choose a folder that is there, writable, and has room"
        ) from error


def _is_safetensors(path: Path) -> bool:
    """Tell by content rather than by name: the header's length in 8 bytes, then JSON."""
    with path.open("rb") as file:
        start = file.read(9)
    return path.suffix == ".safetensors" or start[8:9] == b"{"


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} is damaged or not safetensors ({error}); copy or download it again") from error


def _read_pickle(path: Path) -> dict[str, Tensor]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about old pickle protocols; the errors below say what cannot be read
            # The authors saved tensors that were on a GPU; they must load without one.
            content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if _would_run_code(path, error):
            raise WeightsError(
                f"{path} would run code when loaded, so it was not loaded; get the weights as .safetensors, or as a "
                "file that holds only tensors"
            ) from error
        raise WeightsError(f"{path} is damaged or not a checkpoint; copy or download it again") from error
    except _DAMAGED as error:
        raise WeightsError(f"{path} is damaged or not a checkpoint; copy or download it again") from error
    while isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise WeightsError(f"{path} holds no state dict; point `weights` at a file of named tensors")
    return {name: tensor.detach() for name, tensor in content.items()}  # some files hold a network's parameters


def _would_run_code(path: Path, error: pickle.UnpicklingError) -> bool:
    """Whether PyTorch refused a function or class, and not bytes that are something else than a pickle."""
    names = names_in_pickle(pickle_in(path))
    refused = any(word in str(error) for word in ("GLOBAL", "reduce", "new object", "build"))
    return any(not name.startswith(("torch.", "collections.")) for name in names) or (refused and bool(names))


def _upsampling(path: str | Path, state: Mapping[str, Tensor]) -> Upsampling:
    if TAPS not in state:
        return "affinity"
    found = tuple(state[TAPS].flatten().tolist())
    for name, taps in A2UNet.TAPS.items():
        if found == taps:
            return name
    raise WeightsError(f"{path} upsamples by the weights {found}, which are unknown; point `weights` at an A2U file")
