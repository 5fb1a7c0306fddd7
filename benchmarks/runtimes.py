"""PyTorch, ONNX Runtime and OpenVINO on the same network: do they agree, how fast are they, what memory do they take?

    python benchmarks/runtimes.py --agree     # both variants, bundled and random weights, 16×16 to 1920×1072, batches
    python benchmarks/runtimes.py             # seconds a megapixel and peak memory of `predict`, by backend
    python benchmarks/runtimes.py --whole     # the exported file at once: standard, custom, fp16, fixed; OpenVINO
    python benchmarks/runtimes.py --memory    # ONNX Runtime's peak by tile, against the estimate
    python benchmarks/runtimes.py --start-up  # import and load, by backend
    python benchmarks/runtimes.py --web DIR   # ONNX Runtime Web in Node; DIR is where `npm install onnxruntime-web` ran

The runtimes are timed in turn in one run, so that their ratio means something on a noisy machine. OpenVINO is left out
where it is not installed (`pip install openvino`).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from mattecli.inference.backend import load_backend
from mattecli.inference.model import predict_alpha
from mattecli.onnx.whole import Options, build
from mattecli.system.memory import peak_bytes
from mattecli.system.process import keep_freed_memory, prepare_process
from mattecli.weights import Checkpoint, find_checkpoint

SIZES = [(1, 16, 16), (3, 16, 48), (5, 48, 80), (1, 176, 208), (1, 512, 512), (1, 1072, 1920)]  # batch, height, width
Array = NDArray[Any]


def main() -> None:
    """Print the table that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agree", action="store_true")
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--start-up", action="store_true")
    parser.add_argument("--web", type=Path)
    parser.add_argument("--megapixels", type=float, default=2.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--tile", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        one(arguments.one, arguments.megapixels, arguments.repeats, tile=arguments.tile)
    elif arguments.agree:
        agree()
    elif arguments.whole:
        whole(arguments.megapixels, arguments.repeats)
    elif arguments.web:
        web(arguments.web)
    elif arguments.memory:
        memory()
    elif arguments.start_up:
        start_up(arguments.repeats)
    else:
        predict(arguments.megapixels, arguments.repeats)


# Do they agree?


def agree() -> None:
    """The largest difference of ONNX Runtime and OpenVINO from PyTorch in float64, as a part of the largest alpha."""
    import torch

    from mattecli.network.checkpoint import load_a2u

    print(f"{'weights':<18} {'batch × size':<14} ONNX Runtime   custom ops   OpenVINO")
    for name, checkpoint in networks():
        net = load_a2u(checkpoint.path).double()
        standard, custom = (build(checkpoint, Options(ops=ops)).SerializeToString() for ops in ("standard", "custom"))
        runs = [runtime(standard), runtime(custom), openvino(standard)]
        for batch, height, width in SIZES:
            x = np.random.default_rng(height).standard_normal((batch, 4, height, width)).astype(np.float32)
            with torch.inference_mode():
                expected = net(torch.from_numpy(x).double()).numpy()
            found = [None if run is None else np.abs(run(x) - expected).max() / np.abs(expected).max() for run in runs]
            cells = ["     -  " if value is None else f"{value:8.1e}" for value in found]
            print(
                f"{name:<18} {f'{batch} × {width}×{height}':<14} {cells[0]:<14} {cells[1]:<12} {cells[2]}", flush=True
            )


def networks() -> list[tuple[str, Checkpoint]]:
    """The bundled weights and random ones of both variants."""
    import torch

    from mattecli.network.a2u import A2UNet
    from mattecli.network.checkpoint import save_a2u

    found = [("bundled", find_checkpoint())]
    folder = Path(tempfile.mkdtemp())
    for shared in (True, False):
        torch.manual_seed(1)
        name = f"random, {'shared' if shared else 'unshared'}"
        save_a2u(A2UNet(shared=shared), folder / f"{name}.safetensors", dtype=torch.float32)
        found.append((name, Checkpoint(folder / f"{name}.safetensors")))
    return found


def runtime(model: bytes) -> Callable[[Array], Array]:
    """The model on ONNX Runtime."""
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])  # as others would run it
    name = session.get_inputs()[0].name
    return lambda x: session.run(None, {name: x})[0]


def openvino(model: bytes, *, exact: bool = True) -> Callable[[Array], Array] | None:
    """The model on OpenVINO, in float32 unless told otherwise; None where it is not installed."""
    if importlib.util.find_spec("openvino") is None:
        return None
    import openvino as ov

    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        file.write(model)
        file.flush()
        compiled = ov.Core().compile_model(file.name, "CPU", {"INFERENCE_PRECISION_HINT": "f32"} if exact else {})
    return lambda x: compiled([x])[0]


def web(folder: Path) -> None:
    """ONNX Runtime Web, as in a browser, beside ONNX Runtime."""
    model = build(find_checkpoint(), Options()).SerializeToString()
    run = runtime(model)
    with tempfile.TemporaryDirectory() as work:
        files = [Path(work) / name for name in ("a2u.onnx", "input.f32", "alpha.f32")]
        files[0].write_bytes(model)
        for shape in SIZES[:4]:
            x = np.random.default_rng(0).standard_normal((shape[0], 4, *shape[1:])).astype(np.float32)
            x.tofile(files[1])
            script = Path(__file__).with_name("web.mjs").resolve()
            command = ["node", script, files[0], files[1], *shape, files[2]]
            subprocess.run([str(part) for part in command], check=True, cwd=folder)
            found, expected = np.fromfile(files[2], np.float32), run(x)
            error = np.abs(found - expected.ravel()).max() / np.abs(expected).max()
            print(f"{shape[0]} × {shape[2]}×{shape[1]}: off by {error:.1e}")


# How fast, how large?


def photo(megapixels: float) -> tuple[Array, Array]:
    """A made-up photo of that size with 15 % unknown pixels around a shape."""
    height = round((megapixels * 1e6 * 9 / 16) ** 0.5)
    width = round(height * 16 / 9)
    rows, columns = np.mgrid[:height, :width]
    distance = np.hypot((rows / height - 0.5) * 1.2, columns / width - 0.5)
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    band = np.abs(distance - 0.3)
    trimap = np.where(band <= np.quantile(band, 0.15), 128, np.where(distance < 0.3, 255, 0)).astype(np.uint8)
    return image, trimap


def predict(megapixels: float, repeats: int) -> None:
    """Each backend in a process of its own, for its peak memory."""
    print(f"{megapixels:g} megapixels, 15 % unknown, fp32, best of {repeats}:")
    for name in ("torch", "onnx"):
        show(name, megapixels, "--repeats", str(repeats))


def memory() -> None:
    """ONNX Runtime at several sizes and tiles."""
    for megapixels in (0.1, 1, 4):
        for tile in (64, 128, 256, 512):
            show("onnx", megapixels, "--repeats", "1", "--tile", str(tile))


def show(name: str, megapixels: float, *options: str) -> None:
    """A line of the table, from a process of its own."""
    command = [sys.executable, __file__, "--one", name, "--megapixels", str(megapixels), *options]
    facts = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    print(
        f"{name:<6} {megapixels:g} megapixels, tile {facts['tile']}: {facts['seconds'] / megapixels:.2f} s/MP, "
        f"peak {facts['peak'] / 2**20:.0f} MiB (estimate {facts['estimate'] / 2**20:.0f})",
        flush=True,
    )


def one(name: str, megapixels: float, repeats: int, *, tile: int | None) -> None:
    """`predict` by one backend, as a line of JSON."""
    image, trimap = photo(megapixels)
    backend = load_backend(backend=name, device="cpu")
    plans: list[Any] = []

    def run() -> None:
        predict_alpha(image, trimap, backend, tile=tile or "auto", on_plan=plans.append)

    best = min(timed(run) for _ in range(repeats))
    facts = {"seconds": best, "peak": peak_bytes(), "estimate": plans[-1].bytes, "tile": plans[-1].label}
    print(json.dumps(facts))


def whole(megapixels: float, repeats: int) -> None:
    """The exported file at once, without tiles, beside PyTorch's plain network."""
    import torch

    from mattecli.network.checkpoint import load_a2u

    height = round((megapixels * 1e6 * 9 / 16) ** 0.5) // 16 * 16
    width = round(height * 16 / 9) // 16 * 16
    x = np.random.default_rng(0).standard_normal((1, 4, height, width)).astype(np.float32)
    size = height * width / 1e6
    keep_freed_memory()  # as `predict` does; it serves PyTorch, while ONNX Runtime's sessions keep their own
    checkpoint = find_checkpoint()
    net = load_a2u(checkpoint.path)
    for parameter in net.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)

    def plain(x: Array) -> Array:
        with torch.inference_mode():
            return net(torch.from_numpy(x).to(memory_format=torch.channels_last)).numpy()  # type: ignore[no-any-return]

    def models() -> Iterator[tuple[str, Callable[[Array], Array] | None]]:
        yield "PyTorch (channels-last)", plain
        for label, options in (
            ("standard", Options()),
            ("custom", Options(ops="custom")),
            ("fp16", Options(fp16=True)),
            ("fixed size", Options(size=(height, width))),
        ):
            model = build(checkpoint, options).SerializeToString()
            yield f"ONNX Runtime {ort.__version__}, {label}", runtime(model)
            if label in ("standard", "fixed size"):
                yield f"OpenVINO f32, {label}", openvino(model)
                yield f"OpenVINO in bf16, {label}", openvino(model, exact=False)

    expected = plain(x)
    print(f"{width}×{height}, whole, best of {repeats}:")
    for label, run in models():  # one at a time: each holds some gigabytes
        if run is not None:
            error = np.abs(run(x) - expected).max() / np.abs(expected).max()
            best = min(timed(lambda run=run: run(x)) for _ in range(repeats))  # type: ignore[misc]
            print(f"{label:<36} {best / size:6.2f} s a megapixel, off by {error:.1e}", flush=True)


def timed(action: Callable[[], object]) -> float:
    """Seconds."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def start_up(repeats: int) -> None:
    """A fresh process that imports, loads the weights and mattes 64×64 pixels."""
    code = (
        "import numpy as np, mattecli; b = mattecli.load_backend(backend={!r}, device='cpu'); "
        "mattecli.predict_alpha(np.zeros((64, 64, 3), np.uint8), np.full((64, 64), 128, np.uint8), b)"
    )
    for name in ("torch", "onnx"):
        command = [sys.executable, "-c", code.format(name)]
        best = min(timed(lambda: subprocess.run(command, check=True)) for _ in range(repeats))  # noqa: B023
        print(f"{name:<6} {best:.2f} s from nothing to a first alpha")


if __name__ == "__main__":
    prepare_process()
    main()
