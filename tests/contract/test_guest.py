"""The library is a guest: importing and using it changes nothing in the process of its host.

Each test runs a host of its own: a fresh interpreter, in which nobody has called `main()` or `prepare_process()`.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"

# The packages come first: what they do to the process when they are imported is their own affair.
WATCH = """
import logging, os, random, signal, sys, warnings
import cv2, numpy as np, onnx, onnxruntime, OpenImageIO, PIL.Image, PIL.ImageCms, psutil, tifffile, torch
from pathlib import Path

PIL.Image.init()
random.seed(5), np.random.seed(6), torch.manual_seed(7)


def plain(value):
    return value.tobytes() if isinstance(value, np.ndarray) else value


def flags():
    backends = torch.backends
    yield from (backends.cudnn.allow_tf32, backends.cudnn.benchmark, backends.cudnn.deterministic)
    yield from (backends.cudnn.enabled, backends.cuda.matmul.allow_tf32, backends.mkldnn.enabled)
    yield from (torch.get_float32_matmul_precision(), torch.are_deterministic_algorithms_enabled())
    yield from (torch.get_num_threads(), torch.get_num_interop_threads(), torch.get_default_dtype())
    yield from (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.get_default_device())


def state():
    loggers = {name: logger for name, logger in logging.root.manager.loggerDict.items()}
    return {
        "environment": dict(os.environ),
        "pixel limit": PIL.Image.MAX_IMAGE_PIXELS,
        "truncated images": PIL.ImageFile.LOAD_TRUNCATED_IMAGES,
        "formats of Pillow": sorted(PIL.Image.OPEN),
        "log level of OpenCV": cv2.utils.logging.getLogLevel(),
        "threads of OpenCV": (cv2.getNumThreads(), cv2.useOptimized()),
        "root logger": (list(logging.root.handlers), logging.root.level, logging.root.disabled),
        "loggers": {
            name: (list(logger.handlers), logger.level, logger.propagate)
            for name, logger in loggers.items()
            if isinstance(logger, logging.Logger)
        },
        "warning filters": list(warnings.filters),
        "signal handlers": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "flags of PyTorch": list(flags()),
        "random numbers": (random.getstate(), [plain(part) for part in np.random.get_state()]),
        "random numbers of PyTorch": torch.get_rng_state().tolist(),
        "errors of NumPy": np.geterr(),
        "current folder": os.getcwd(),
        "hooks": (sys.excepthook, sys.displayhook, sys.unraisablehook),
    }


before = state()
sys_path = list(sys.path)
"""
COMPARE = """
after = state()
known = before["loggers"]
after["loggers"] = {name: kept for name, kept in after["loggers"].items() if name in known or kept != ([], 0, True)}
changed = {name: (before[name], after[name]) for name in before if before[name] != after[name]}
assert not changed, changed
assert sys.path == sys_path
"""
USE = """
import mattecli

folder, examples = Path(sys.argv[1]), Path(sys.argv[2])
photo = mattecli.read_image(examples / "portrait.jpg")
trimap = mattecli.read_trimap(examples / "portrait_trimap.png")
image, known = photo.pixels[230:294, 236:316], trimap[230:294, 236:316]
for backend in ("torch", "onnx"):
    model = mattecli.load_model(backend=backend, device="cpu")
    alpha = model.predict(image, known)
    assert ((alpha > 0) & (alpha < 1)).any()
colours = mattecli.estimate_foreground(image, alpha)
picture = mattecli.composite(colours, alpha, mattecli.fit_background(photo.pixels, 80, 64))
mattecli.write_alpha(folder / "alpha.png", alpha, bits=16)
mattecli.write_alpha(folder / "alpha.tif", alpha, bits="float")
mattecli.write_image(folder / "cutout.webp", mattecli.cutout(image, alpha))
mattecli.write_image(folder / "composite.jpg", picture)
for name in ("alpha.png", "alpha.tif"):
    mattecli.read_alpha(folder / name)
mattecli.score(alpha, alpha, known)
mattecli.make_trimap(alpha, erode=2, dilate=2)
for name, source in (("alpha.exr", b"\\x76\\x2f\\x31\\x01" + bytes(60)), ("gone.png", folder / "gone.png")):
    try:
        mattecli.read_image(source)
    except mattecli.InputError:
        pass
    else:
        raise AssertionError(name)
mattecli.write_alpha(folder / "alpha.exr", alpha)
"""


def run_host(code: str, *arguments: str | Path) -> str:
    """What a host that runs this code prints."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OPENCV_")}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], env=clean, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_every_part_of_the_library_changes_nothing_in_its_host() -> None:
    everything = """
import importlib, pkgutil
import mattecli
for found in pkgutil.walk_packages(mattecli.__path__, "mattecli."):
    if not found.name.startswith("mattecli.cli") and not found.name.endswith("__main__"):
        importlib.import_module(found.name)
"""
    run_host(WATCH + everything + COMPARE)


def test_reading_predicting_and_writing_change_nothing_and_load_nothing_for_training(tmp_path: Path) -> None:
    loaded = "print(', '.join({'pydantic', 'matplotlib'} & set(sys.modules)))\n"
    assert run_host(WATCH + USE + COMPARE + loaded, tmp_path, EXAMPLES) == "\n"
    assert {path.name for path in tmp_path.iterdir()} >= {"alpha.png", "alpha.tif", "cutout.webp", "composite.jpg"}


@pytest.mark.parametrize("name", ["large.png", "large.tif"])
def test_a_photo_beyond_the_limit_that_pillow_has_in_the_host_is_refused_by_name(tmp_path: Path, name: str) -> None:
    if name.endswith("png"):
        PIL.Image.fromarray(np.zeros((30, 40), np.uint8)).save(tmp_path / name)
    else:
        import tifffile

        tifffile.imwrite(tmp_path / name, np.zeros((30, 40), np.uint16))
    code = """
import sys, PIL.Image, mattecli
for limit in (599, 1199, 1200):  # Pillow raises beyond twice its limit, and warns beyond it
    PIL.Image.MAX_IMAGE_PIXELS = limit
    try:
        print(mattecli.read_image(sys.argv[1]).size)
    except mattecli.InputError as error:
        print(error)
"""
    refused = f"{tmp_path / name} has more than {{}} pixels; raise PIL.Image.MAX_IMAGE_PIXELS if you trust the file"
    assert run_host(code, tmp_path / name).splitlines() == [refused.format(599), refused.format(1199), "(40, 30)"]


def test_a_host_without_a_limit_reads_what_opencv_could_too(tmp_path: Path) -> None:
    code = """
import sys, PIL.Image, mattecli.imaging.read as read
PIL.Image.MAX_IMAGE_PIXELS = None
print(read.read_size(sys.argv[1]), PIL.Image.MAX_IMAGE_PIXELS)
"""
    PIL.Image.new("1", (12500, 8001)).save(tmp_path / "large.png")
    assert run_host(code, tmp_path / "large.png") == "(12500, 8001) None\n"


@pytest.mark.parametrize("backend", ["torch", "onnx"])
def test_the_hosts_heap_gives_back_what_it_frees(backend: str) -> None:
    code = """
import sys, psutil, mattecli
mattecli.load_backend(backend=sys.argv[1], device="cpu")
before = psutil.Process().memory_info().rss
block = bytearray(b"x") * 200_000_000
del block
assert psutil.Process().memory_info().rss - before < 50_000_000
"""
    run_host(code, backend)


def test_the_hosts_autocast_and_its_default_device_change_nothing_in_a_run() -> None:
    code = """
import numpy as np, torch, mattecli
image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
trimap = np.full((48, 64), 128, np.uint8)

def alpha():
    return mattecli.load_model(backend="torch", device="cpu").predict(image, trimap)

with torch.device("meta"):  # first, because some tensors are made once
    first = alpha()
expected = alpha()
assert 0 < expected.mean() < 1
assert np.array_equal(first, expected)
for dtype in (torch.bfloat16, torch.float16):
    with torch.autocast("cpu", dtype=dtype):
        assert np.array_equal(alpha(), expected)
        assert torch.is_autocast_enabled("cpu")
"""
    run_host(code)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork, which makes one host into several")
def test_a_run_on_cuda_puts_pytorchs_switches_of_tf32_back_however_the_host_has_set_them() -> None:
    code = """
import os
import torch
from mattecli.inference.torch_backend import true_fp32
cudnn, matmul, mkldnn = torch.backends.cudnn, torch.backends.cuda.matmul, torch.backends.mkldnn

def switch(read):
    try:
        return read()
    except RuntimeError:  # the host mixes PyTorch's older and newer switches
        return "mixed"

def switches():
    newer = [cudnn.conv, cudnn.rnn, matmul] if hasattr(matmul, "fp32_precision") else []
    older = [switch(lambda: cudnn.allow_tf32), switch(lambda: matmul.allow_tf32)]
    return older + [each.fp32_precision for each in newer]

def levels():
    parts = [mkldnn.matmul, mkldnn.conv] if hasattr(mkldnn, "matmul") else []
    return [switch(torch.get_float32_matmul_precision), *(part.fp32_precision for part in parts)]

def check(choice):
    exec(choice)
    before = switches() + levels()
    with true_fp32(), true_fp32():
        assert set(switches()) <= {False, "ieee"}, switches()
    assert switches() + levels() == before, (before, switches() + levels())

older = ["pass", "matmul.allow_tf32 = True"]
older += [f"torch.set_float32_matmul_precision('{level}')" for level in ("highest", "high", "medium")]
newer = ["matmul.fp32_precision = 'tf32'", "cudnn.conv.fp32_precision = 'ieee'"]
if hasattr(mkldnn, "matmul"):
    newer += ["mkldnn.matmul.fp32_precision = 'bf16'", "torch.backends.fp32_precision = 'tf32'"]
    newer += [older[-1] + "; " + choice for choice in newer]
    newer += [older[-1] + "; mkldnn.matmul.fp32_precision = 'ieee'"]
for choice in older + newer:
    child = os.fork()  # a host whose switches nobody has touched
    if child == 0:
        check(choice)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, choice
    print(choice)
"""
    assert len(run_host(code).splitlines()) >= 7
