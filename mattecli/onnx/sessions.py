"""Sessions of ONNX Runtime, and which execution provider they take."""

from __future__ import annotations

import contextlib
import ctypes
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import onnxruntime as ort
from onnx import TensorProto, helper

from mattecli.errors import DeviceError, MatteError, OutOfMemoryError, UsageError
from mattecli.system.threads import default_threads

# The names of --provider, and the names in ONNX Runtime.
PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
}
REMEDIES = {
    "cuda": "`pip install onnxruntime-gpu[cuda,cudnn]` brings CUDA's libraries; remove other onnxruntime packages",
    "tensorrt": "install TensorRT's libraries; remove other onnxruntime packages than onnxruntime-gpu",
    "openvino": "remove other onnxruntime packages, then `pip install onnxruntime-openvino`",
    "coreml": "run on macOS, where onnxruntime includes it",
    "directml": "on Windows remove other onnxruntime packages, then `pip install onnxruntime-directml`",
}
_FULL = (
    *("bad_alloc", "bad allocation", "failed to allocate", "out of memory", "available memory of"),
    *("alloc_failed", "allocation_failed"),  # of cuBLAS and cuDNN
)
_SEE_DOCTOR = "; see `matte doctor`"


@dataclass(frozen=True)
class Provider:
    """A provider with its options; `device` is its name in messages, such as "cpu" or "cuda:0"."""

    name: str
    device: str
    options: dict[str, str] = field(default_factory=dict)


def choose_provider(device: str, provider: str | None) -> Provider:
    """The provider for `--device` (auto, cpu or cuda[:N]) and `--provider` (a key of PROVIDERS).

    auto takes CUDA where it works, else the CPU. Raises UsageError when the two contradict each other, DeviceError when
    the chosen provider cannot be used.
    """
    match = re.fullmatch(r"auto|cpu|cuda(?::(\d+))?", device)
    if match is None:
        raise UsageError(f"`device` must be auto, cpu, cuda or cuda:N, not {device}")
    number = match[1] or "0"
    if provider is None:
        if device == "auto":
            cuda = _make("cuda", number)
            return cuda if why_not("cuda") is None else _make("cpu", number)
        provider = "cpu" if device == "cpu" else "cuda"
    if provider not in PROVIDERS:
        raise UsageError(f"`provider` must be one of {', '.join(PROVIDERS)}, not {provider}")
    fitting = {"auto": tuple(PROVIDERS), "cpu": ("cpu",)}.get(device, ("cuda", "tensorrt"))
    if provider not in fitting:
        raise UsageError(f"`provider={provider}` does not run on `device={device}`; give only one of the two")
    reason = why_not(provider, number)
    if reason is not None:
        raise DeviceError(
            f"ONNX Runtime's {PROVIDERS[provider]} cannot be used: {reason}; {remedy(provider)} (see `matte doctor`)"
        )
    return _make(provider, number)


def open_session(model: bytes, provider: Provider, *, threads: int | None = None) -> ort.InferenceSession:
    """A session that runs on the provider, with so many threads or `default_threads`.

    Raises DeviceError when ONNX Runtime took another provider or cannot open the model, OutOfMemoryError when memory is
    too small. A provider that fails later raises its error, too: the session never moves to the CPU by itself.
    """
    options = ort.SessionOptions()
    options.log_severity_level = 4  # its exceptions say what it would log
    options.intra_op_num_threads = threads or default_threads()
    # Stages take turns: threads of one that spin for more work would slow down the next.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if provider.device == "cpu":
        options.enable_cpu_mem_arena = False  # or each stage would keep its own peak
    options.enable_mem_pattern = False  # windows differ in size
    chosen = dict(provider.options)
    if provider.name == PROVIDERS["openvino"]:  # it has threads of its own
        chosen["num_of_threads"] = str(options.intra_op_num_threads)
    wanted = [(provider.name, chosen)]
    if provider.device != "cpu":
        wanted.append((PROVIDERS["cpu"], {}))  # for operators that the provider does not have
    with translated(f"opening a session on {provider.device}"):
        # With a fallback it would print errors to standard output and go on with the CPU.
        session = ort.InferenceSession(model, options, providers=wanted, enable_fallback=0)
    session.disable_fallback()  # the documented way, which covers runs only
    if session.get_providers()[0] != provider.name:
        raise DeviceError(f"ONNX Runtime took {session.get_providers()[0]} in place of {provider.name}{_SEE_DOCTOR}")
    return session


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Raise ONNX Runtime's errors as ours. It does not export their classes, so their text tells them apart."""
    try:
        yield
    except MatteError:
        raise
    except Exception as error:
        if any(sign in str(error).lower() for sign in _FULL):
            raise OutOfMemoryError(f"the memory ran out {doing}") from error
        raise DeviceError(f"ONNX Runtime failed {doing} ({_reason(error)}){_SEE_DOCTOR}") from error


def _reason(error: Exception) -> str:
    """What an error of ONNX Runtime says, in one line and without the places in its source that stand around it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    of_card = re.search(r"\b\w+ failure \d+: [^;]*[^;\s]", lines[0])  # CUDA, CUDNN, CUBLAS
    place = re.compile(r"^\S+\.(?:cc|h):\d+ \w.*?\(.*?\)(?: const)? (?=[A-Z])")  # a file, a line and a function
    return of_card[0] if of_card else place.sub("", lines[0]).rstrip(".")


def available() -> list[str]:
    """The providers in this build of ONNX Runtime; they may still fail to load."""
    built = ort.get_available_providers()
    return [provider for provider, name in PROVIDERS.items() if name in built]


def why_not(provider: str, number: str = "0") -> str | None:
    """Why a provider cannot be used here; None if it can. A session on it must open."""
    if provider not in available():
        return "this build of ONNX Runtime does not have it"
    if provider in ("cuda", "tensorrt"):
        _preload()
        reason = _library(provider)
        if reason is not None:
            return reason
    tensor = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "nothing",
        [tensor("x", TensorProto.FLOAT, [1])],
        [tensor("y", TensorProto.FLOAT, [1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    try:
        open_session(model.SerializeToString(), _make(provider, number))
    except DeviceError as error:
        return str(error).removesuffix(_SEE_DOCTOR)
    return None


def remedy(provider: str) -> str:
    """How to make a provider usable."""
    return REMEDIES.get(provider, "install onnxruntime again")


@cache
def _preload() -> None:
    """Load CUDA's libraries that PyTorch or NVIDIA's packages brought; `why_not` finds out which are missing."""
    with contextlib.redirect_stdout(io.StringIO()):  # it prints what it does not find
        ort.preload_dlls()


def _library(provider: str) -> str | None:
    """Why the system cannot load a provider's library; ONNX Runtime only logs that."""
    pattern = f"*onnxruntime_providers_{provider}.*"
    for path in (Path(ort.__file__).parent / "capi").glob(pattern):
        try:
            ctypes.CDLL(str(path), winmode=0)  # with the folders of PATH on Windows, as ONNX Runtime loads it
        except OSError as error:
            missing, _, _ = str(error).partition(": ")
            return f"{missing} is missing" if "No such file" in str(error) else str(error)
    return None


def _make(provider: str, number: str) -> Provider:
    options: dict[str, dict[str, str]] = {
        # no TF32, so that fp32 is exact; memory grows by what is needed instead of doubling
        "cuda": {"device_id": number, "use_tf32": "0", "arena_extend_strategy": "kSameAsRequested"},
        "tensorrt": {"device_id": number},
    }
    named = {"cuda": f"cuda:{number}", "tensorrt": f"tensorrt:{number}"}
    return Provider(PROVIDERS[provider], named.get(provider, provider), options.get(provider, {}))
