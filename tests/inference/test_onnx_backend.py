"""The ONNX Runtime backend against the network in float64, whole and in tiles."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from onnxruntime.capi._pybind_state import EPFail

from mattecli.errors import DeviceError, OutOfMemoryError, UsageError
from mattecli.inference import onnx_backend, tiling
from mattecli.inference.backend import load_backend
from mattecli.inference.model import predict_alpha
from mattecli.inference.onnx_backend import OnnxBackend
from mattecli.network.checkpoint import load_a2u, save_a2u
from mattecli.onnx import sessions as providers
from mattecli.onnx.sessions import PROVIDERS, choose_provider
from mattecli.onnx.stages import stage_model
from mattecli.weights import Checkpoint, find_checkpoint
from tests.inference.test_tiling import scene, whole
from tests.support.pictures import disc, noise
from tests.support.reference import seeded_network

ROOT = Path(__file__).parents[2]
POOL = stage_model("pool", {"bilinear0.bconv_U.1.weight": np.zeros((1, 64, 1, 1), np.float32)})


@cache
def backend() -> OnnxBackend:
    return OnnxBackend(find_checkpoint(), device="cpu")


@pytest.mark.parametrize("tile", [64, 96, 512])
def test_tiles_give_the_whole_networks_alpha(tile: int) -> None:
    picture = scene(160, 208, 0.02)
    expected = whole(load_a2u(find_checkpoint().path).double(), picture)
    for keep in (0, 2):
        found = tiling.run(backend(), picture, picture.unknown(), tile=tile, keep=keep)
        assert np.abs(found - expected)[picture.unknown()].max() < 1e-4


@pytest.mark.parametrize("shared", [True, False])
def test_both_variants_run_with_seeded_weights(shared: bool, tmp_path: Path) -> None:
    net = seeded_network(5, shared=shared)
    save_a2u(net, tmp_path / "seeded.safetensors", dtype=torch.float32)
    ours = OnnxBackend(Checkpoint(tmp_path / "seeded.safetensors"), device="cpu")
    picture = scene(80, 112, 0.1, seed=1)
    expected = whole(net.double(), picture)
    found = tiling.run(ours, picture, picture.unknown(), tile=64)
    assert np.abs(found - expected)[picture.unknown()].max() < 1e-4 * max(1.0, float(np.abs(expected).max()))


def test_the_two_backends_agree_on_a_photo() -> None:
    rng = np.random.default_rng(2)
    image, trimap = rng.integers(0, 65536, (50, 70, 3), dtype=np.uint16), rng.choice([0, 90, 255], (50, 70))
    trimap = trimap.astype(np.uint8)
    theirs = predict_alpha(image, trimap, load_backend(backend="torch", device="cpu"))
    assert np.abs(predict_alpha(image, trimap, backend()) - theirs).max() < 1e-4


def test_auto_takes_what_fits_the_wishes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_backend(device="cpu").name == "torch"
    assert load_backend(provider="cpu").name == "onnx"
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "torch" else object())
    assert load_backend(device="cpu").name == "onnx"
    with pytest.raises(DeviceError, match="`backend=torch` needs the package torch, which is not installed"):
        load_backend(backend="torch")


def test_contradictions_are_usage_errors() -> None:
    with pytest.raises(UsageError, match="`provider=cpu` is for ONNX Runtime, not for `backend=torch`"):
        load_backend(backend="torch", provider="cpu")
    with pytest.raises(UsageError, match="`backend` must be auto, torch or onnx, not jax"):
        load_backend(backend="jax")
    with pytest.raises(UsageError, match="`provider=cuda` does not run on `device=cpu`"):
        choose_provider("cpu", "cuda")
    with pytest.raises(UsageError, match="`provider=openvino` does not run on `device=cuda`"):
        choose_provider("cuda", "openvino")
    with pytest.raises(UsageError, match=r"`provider` must be one of .*, not rocm"):
        choose_provider("auto", "rocm")
    with pytest.raises(UsageError, match=r"`device` must be .*, not tpu"):
        choose_provider("tpu", None)
    with pytest.raises(UsageError, match=r"computes in fp32; use `backend=torch` for bf16$"):
        load_backend(backend="onnx", precision="bf16")
    with pytest.raises(UsageError, match=r"use `backend=torch` for bf16, without `provider`$"):
        load_backend(provider="cpu", precision="bf16")


def test_a_provider_that_is_not_in_this_build_is_named_with_its_remedy() -> None:
    absent = next(name for name in PROVIDERS if name not in providers.available())
    with pytest.raises(DeviceError, match=rf"{PROVIDERS[absent]} cannot be used: this build .* does not have it; "):
        choose_provider("auto", absent)
    assert all("remove other onnxruntime packages, then" in providers.remedy(name) for name in ("openvino", "directml"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA card is here")
def test_cuda_never_falls_back_to_the_cpu_in_silence(capfd: pytest.CaptureFixture[str]) -> None:
    for device, provider in (("cuda", None), ("auto", "cuda")):
        with pytest.raises(DeviceError, match=r"CUDAExecutionProvider cannot be used: .+; "):
            choose_provider(device, provider)
    assert choose_provider("auto", None).device == "cpu"
    assert capfd.readouterr().out == ""


def test_a_session_on_another_provider_than_asked_for_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    disabled: list[bool] = []

    class Session:
        def __init__(self, *_: object, enable_fallback: int = 1, **__: object) -> None:
            assert enable_fallback == 0

        def disable_fallback(self) -> None:
            disabled.append(True)

        def get_providers(self) -> list[str]:
            return ["CPUExecutionProvider"]

    monkeypatch.setattr(providers.ort, "InferenceSession", Session)
    with pytest.raises(DeviceError, match="took CPUExecutionProvider in place of CUDAExecutionProvider"):
        providers.open_session(b"", providers.Provider("CUDAExecutionProvider", "cuda:0"))
    assert disabled


def test_a_provider_that_does_not_start_is_an_error_with_its_reason(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    reason = "CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version"

    def create(session: Any, wanted: list[Any], *_: object) -> None:
        session._fallback_providers = ["CPUExecutionProvider"]
        if wanted != session._fallback_providers:
            raise RuntimeError(f"/src/cuda_call.cc:121 CudaCall(int) /src/cuda_call.cc:114 {reason} ; GPU=0 ; file=a\n")
        session._providers = wanted

    monkeypatch.setattr(providers.ort.InferenceSession, "_create_inference_session", create)
    with pytest.raises(DeviceError, match=re.escape(f"failed opening a session on cuda:0 ({reason}); see")):
        providers.open_session(b"", providers._make("cuda", "0"))
    assert capfd.readouterr().out == ""


def test_a_provider_that_fails_in_a_run_does_not_hand_it_to_the_cpu(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    session = providers.open_session(POOL.SerializeToString(), choose_provider("cpu", None))

    class Failing:
        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

        def run(self, *_: object) -> None:
            raise EPFail("the card is gone")

    real = session._sess
    monkeypatch.setattr(session, "_sess", Failing())
    feeds = {entry.name: np.ones([6] * len(entry.shape), np.float32) for entry in session.get_inputs()}
    with pytest.raises(EPFail, match="the card is gone"):
        session.run(None, feeds)
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("bad shape", "bad shape"),
        ("", "RuntimeError"),
        (
            "/src/state.cc:729 void ort::Register(Options&, const ort::Map&) Please install TensorRT libraries.\n",
            "Please install TensorRT libraries",
        ),
        (
            "[ONNXRuntimeError] : 1 : FAIL : CUDNN failure 4: CUDNN_STATUS ; GPU=0 ; file=a",
            "CUDNN failure 4: CUDNN_STATUS",
        ),
    ],
)
def test_a_reason_is_one_line_without_places_in_the_source(said: str, reason: str) -> None:
    assert providers._reason(RuntimeError(said)) == reason


def test_float32_is_float32_on_cuda() -> None:
    assert providers._make("cuda", "1").options == {
        "device_id": "1",
        "use_tf32": "0",
        "arena_extend_strategy": "kSameAsRequested",
    }


def test_sessions_opened_in_threads_leave_stdout_alone() -> None:
    before = sys.stdout
    model = POOL.SerializeToString()
    with ThreadPoolExecutor(4) as pool:
        sessions = list(pool.map(lambda _: providers.open_session(model, choose_provider("cpu", None)), range(16)))
    assert len(sessions) == 16
    assert sys.stdout is before


def test_sessions_take_the_threads_that_are_asked_for() -> None:
    model = POOL.SerializeToString()
    session = providers.open_session(model, choose_provider("cpu", None), threads=5)
    assert session.get_session_options().intra_op_num_threads == 5


@pytest.mark.parametrize(("threads", "expected"), [(5, "5"), (None, "3")])
def test_openvino_takes_the_threads_that_are_asked_for(
    threads: int | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []

    class Session:
        def __init__(self, *_: object, providers: list[Any], **__: object) -> None:
            given.append(providers)

        def disable_fallback(self) -> None: ...

        def get_providers(self) -> list[str]:
            return [name for name, _ in given[0]]

    monkeypatch.setattr(providers.ort, "InferenceSession", Session)
    monkeypatch.setattr(providers, "default_threads", lambda: 3)
    providers.open_session(b"", providers._make("openvino", "0"), threads=threads)
    assert given == [[("OpenVINOExecutionProvider", {"num_of_threads": expected}), ("CPUExecutionProvider", {})]]


@pytest.mark.parametrize(
    "said",
    [
        "Failed to allocate memory for requested buffer",
        "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0",
        "CUDNN failure 4002: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED ; GPU=0",
    ],
)
def test_memory_that_runs_out_is_told_from_other_failures(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Session:
        def __init__(self, message: str) -> None:
            self.message = message

        def get_inputs(self) -> list[object]:
            return []

        def run(self, *_: object) -> None:
            raise RuntimeError(self.message)

    sessions = [Session(said), Session("bad shape")]
    monkeypatch.setattr(onnx_backend, "open_session", lambda *_, **__: sessions.pop(0))
    ours = OnnxBackend(find_checkpoint(), device="cpu")
    with pytest.raises(OutOfMemoryError, match="the memory ran out in layer0 on cpu"):
        ours.run("layer0")
    with pytest.raises(DeviceError, match=r"ONNX Runtime failed in layer1 on cpu \(bad shape\)"):
        ours.run("layer1")
    assert not sessions


def test_memory_that_runs_out_in_numpy_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "large").touch()
    os.truncate(tmp_path / "large", 2**40)  # a hole: it takes no room on the disk
    large = np.memmap(tmp_path / "large", np.float16, "r+")
    photo = np.broadcast_to(np.zeros((1, 1, 3), np.uint8), (2**22, 2**22, 3))
    stages = {
        "a map": lambda: backend().empty(64, 2**24, 2**24),
        "a zero map": lambda: backend().empty(64, 2**24, 2**24, zero=True),
        "an array": lambda: backend().array(large),
        "a stage's input": lambda: backend().run("layer0", large),
        "the photo": lambda: backend().run("normalise", photo, photo[..., 0], np.ones(4), np.zeros(4)),
    }
    for run in stages.values():
        with pytest.raises(OutOfMemoryError, match="the memory ran out"):
            run()


@pytest.mark.parametrize("provider", [name for name in PROVIDERS if name != "cpu"])
def test_other_providers_give_the_same_alpha(provider: str) -> None:
    if (reason := providers.why_not(provider)) is not None:
        pytest.skip(f"{PROVIDERS[provider]}: {reason}")
    ours = OnnxBackend(find_checkpoint(), provider=provider)
    assert ours.device != "cpu"
    picture = scene(96, 128, 0.1)
    found = tiling.run(ours, picture, picture.unknown(), tile=64)
    expected = tiling.run(backend(), picture, picture.unknown(), tile=64)
    assert np.abs(found - expected)[picture.unknown()].max() < 1e-4


def without_torch(*arguments: object) -> subprocess.CompletedProcess[str]:
    """`matte` where PyTorch is not installed."""
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import importlib.util; real = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *a: None if name == 'torch' else real(name, *a)\n"
        "from mattecli.cli import main; main()"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False
    )


def test_a_photo_is_matted_without_torch(tmp_path: Path) -> None:
    photo, trimap = ROOT / "examples" / "portrait.jpg", ROOT / "examples" / "portrait_trimap.png"
    done = without_torch("predict", photo, "-t", trimap, "-o", tmp_path / "a.png", "--json")
    assert done.returncode == 0, done.stderr
    assert '"backend": "onnx"' in done.stdout
    assert (tmp_path / "a.png").is_file()


@pytest.mark.parametrize(
    "command",
    [
        "batch PHOTOS OUT -t TRIMAPS --report OUT.jsonl",
        "report REPORT",
        "evaluate ALPHAS --alpha ALPHAS --trimaps TRIMAPS",
        "composite PHOTO ALPHA -b red -o OUT.png",
        "trimap ALPHA -o OUT.png",
        "export-onnx OUT.onnx --no-check",
        "doctor",
    ],
)
def test_other_commands_run_without_torch(tmp_path: Path, command: str) -> None:
    folders = {name: tmp_path / name.lower() for name in ("PHOTOS", "TRIMAPS", "ALPHAS")}
    for folder in folders.values():
        folder.mkdir()
    alpha = disc(40, 48, radius=12, softness=6)
    places = {**folders, "PHOTO": folders["PHOTOS"] / "a.png", "ALPHA": folders["ALPHAS"] / "a.png"}
    PIL.Image.fromarray(noise(0, 40, 48)).save(places["PHOTO"])
    PIL.Image.fromarray(alpha).save(places["ALPHA"])
    trimap = np.where((alpha > 0) & (alpha < 255), np.uint8(128), alpha)
    PIL.Image.fromarray(trimap).save(folders["TRIMAPS"] / "a.png")
    places["REPORT"] = tmp_path / "run.jsonl"
    line = {"name": "a.png", "image": str(places["PHOTO"]), "status": "failed", "reason": "it failed"}
    places["REPORT"].write_text(json.dumps(line) + "\n", encoding="utf-8")
    places["OUT"] = tmp_path / "out"
    words = [re.sub("^[A-Z]+", lambda found: str(places[found[0]]), word) for word in command.split()]
    done = without_torch(*words)
    assert done.returncode == 0, done.stderr


def test_what_needs_torch_says_so(tmp_path: Path) -> None:
    done = without_torch("export-onnx", tmp_path / "a.onnx")
    assert (done.returncode, "needs PyTorch" in done.stderr, "--no-check" in done.stderr) == (5, True, True)
    done = without_torch("weights", "verify")
    assert (done.returncode, done.stderr.count("\n")) == (5, 1)
    assert "this needs PyTorch, which is not installed; `pip install torch`" in done.stderr
