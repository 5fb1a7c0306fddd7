"""Files as version 0.1.0 writes them, for the tests that they go on working.

    python -m tests.contract.make_old_files      # with the code of 0.1.0 (b165a44); writes tests/data/v0.1.0 anew

New weights need it again for `batch/` and `onnx.json`: journals and exported files name the weights.

Paths in journals, reports and configurations begin with @ROOT@, for which a test puts in the folder that it has copied
them to; `batch/times.json` holds the files' times, for a journal knows its outputs by them. What the functions here
give is compared by the tests with what the program makes today.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import mattecli
from tests.contract.wrong_configs import ACCEPTED, TOY, WRONG

HERE = Path(__file__).parents[1]
OLD = HERE / "data" / "v0.1.0"
ROOT = "@ROOT@"
EXAMPLES = HERE.parent / "examples"

# Each is a batch of its own, `{}` the folder that all lie in. Together they have every word that a journal hashes.
BATCHES = {
    "plain": "{}/photos {}/plain -t {}/trimaps --what alpha,cutout,composite -b white --report {}/plain.jsonl",
    "by_content": "{}/photos {}/by_content -t {}/trimaps --compare content --what alpha,composite,foreground "
    "-b {}/background.png --fit contain --linear --bits 16 --snap 3 --precision fp32 --report {}/by_content.jsonl",
    "transparent": "{}/photos {}/transparent -t {}/trimaps -b transparent --name {{stem}}.png",
    "linear": "{}/photos {}/linear -t {}/trimaps -b #ff8000 --linear --name {{dir}}/{{name}}.tif",
    "csv": "{}/csv --manifest {}/pairs.csv --what composite,alpha --fit stretch",
    "jsonl": "{}/jsonl --manifest {}/pairs.jsonl --report {}/jsonl.jsonl",
    "shard_1": "{}/photos {}/shards -t {}/trimaps --shard 1/2 --report {}/shard_1.jsonl",
    "shard_2": "{}/photos {}/shards -t {}/trimaps --shard 2/2 --report {}/shard_2.jsonl",
}
EXPORTS = {"standard": [], "custom": ["--ops", "custom"], "pre_post": ["--pre-post"], "fp16": ["--fp16"]}
SESSIONS = 3  # of a toy run, each of one step; then the state is kept


def command(name: str, root: Path) -> list[str]:
    """The arguments of `matte` for one of the batches."""
    return ["batch", *(word.format(*[root] * word.count("{}")) for word in BATCHES[name].split())]


def patch_parts(patch: Callable[[object, str, object], None], *, feed: bool) -> None:
    """Put the tests' toy network, and with `feed` its samples, small ones, in place of the real ones.

    The only place of the old files' tests that knows a module inside the package.
    """
    from mattecli.training import build
    from tests.support.toy import toy_loader, toy_network

    def small(**asked: Any) -> Iterator[Any]:
        size = asked.pop("size_of")
        return toy_loader(**asked | {"batch": lambda _: 2, "size_of": lambda number: min(32, size(number))})

    patch(build, "build_network", lambda _: toy_network())
    if feed:
        patch(build, "build_loader", lambda *_: small)


def described(path: Path) -> dict[str, Any]:
    """What others rely on in an exported file: its facts, inputs, outputs, operators and named tensors."""
    import onnx

    model = onnx.load(str(path))
    kinds = {number: name for name, number in onnx.TensorProto.DataType.items()}

    def values(infos: Any) -> list[list[Any]]:
        types = [(info.name, info.type.tensor_type) for info in infos]
        return [[name, kinds[t.elem_type], [d.dim_param or d.dim_value for d in t.shape.dim]] for name, t in types]

    tensors = [t for t in model.graph.initializer if not t.name.startswith("constant_")]  # those have no names
    return {
        "producer": model.producer_name,
        "domain": model.domain,
        "ir_version": model.ir_version,
        "opsets": {entry.domain: entry.version for entry in model.opset_import},
        "graph": model.graph.name,
        "facts": {entry.key: entry.value for entry in model.metadata_props if entry.key != "tool"},
        "keys": sorted(entry.key for entry in model.metadata_props),
        "inputs": values(model.graph.input),
        "outputs": values(model.graph.output),
        "domains": sorted({node.domain for node in model.graph.node}),
        "functions": sorted(f"{f.domain}.{f.name}({', '.join(f.input)}) -> {len(f.output)}" for f in model.functions),
        "tensors": sorted(f"{t.name} {kinds[t.data_type]} {list(t.dims)}" for t in tensors),
    }


def schemas() -> list[str]:
    """The operators in `torch.ops.mattecli` as PyTorch writes them."""
    import torch

    import mattecli.ops  # noqa: F401 - registers them

    found = torch._C._jit_get_all_schemas()
    return sorted(str(schema) for schema in found if schema.name.startswith("mattecli::"))


def losses(folder: Path) -> dict[str, dict[str, float]]:
    """The losses in a run's log, by step."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    return {str(line["step"]): line["losses"] for line in lines if line["kind"] == "step"}


def weights(path: Path) -> dict[str, list[float]]:
    """The tensors of a safetensors file, flat."""
    from safetensors.numpy import load_file

    return {name: tensor.astype(float).ravel().tolist() for name, tensor in load_file(path).items()}


def _matte(*arguments: object) -> tuple[int, str]:
    """The exit code and stderr of `matte ARGS…`, run in this process."""
    from mattecli.cli import main

    sys.argv = ["matte", *map(str, arguments)]
    err = io.StringIO()
    with contextlib.redirect_stderr(err):
        try:
            main()
            code = 0
        except SystemExit as exit_:
            code = int(exit_.code or 0)
    return code, err.getvalue()


def _write_inputs(root: Path) -> None:
    """Parts of the example with trimaps, one of them damaged, and two manifests."""
    pixels = mattecli.read_image(EXAMPLES / "portrait.jpg").pixels
    trimap = np.full((32, 32), 128, np.uint8)
    trimap[:, :10], trimap[:, -10:] = 0, 255
    for number, name in enumerate(("a.png", "b.png", "broken.png", "sub/c.png")):
        for folder, picture in (("photos", pixels[100 + 7 * number :, 300:][:32, :32]), ("trimaps", trimap)):
            (root / folder / name).parent.mkdir(parents=True, exist_ok=True)
            mattecli.write_image(root / folder / name, mattecli.Image(np.ascontiguousarray(picture)))
    broken = root / "photos" / "broken.png"
    broken.write_bytes(broken.read_bytes()[:400])
    mattecli.write_image(root / "background.png", mattecli.Image(np.ascontiguousarray(pixels[:20, :28])))
    (root / "pairs.csv").write_text(
        "image,trimap,output,background\n"
        "photos/a.png,trimaps/a.png,one/{stem}_{what}.png,black\n"
        "photos/b.png,trimaps/b.png,,background.png\n"
        "photos/sub/c.png,trimaps/sub/c.png,../elsewhere/{stem}_{what}.png,transparent\n"
    )
    lines = [{"image": f"photos/{name}", "trimap": f"trimaps/{name}"} for name in ("a.png", "broken.png", "gone.png")]
    (root / "pairs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for number, path in enumerate(sorted(path for path in root.rglob("*") if path.is_file())):
        os.utime(path, ns=((time := 1_700_000_000_000_000_000 + number * 10**9), time))


def _make_batches(root: Path) -> None:
    _write_inputs(root)
    endings = {}
    for name in BATCHES:
        code, err = _matte(*command(name, root))
        assert "done" in err, err
        endings[name] = {"code": code, "done": int(re.findall(r"(\d+) done, ", err)[0])}
    _matte("report", "merge", root / "shard_1.jsonl", root / "shard_2.jsonl", "-o", root / "merged.jsonl")
    files = sorted(path for path in root.rglob("*") if path.is_file())
    times = {path.relative_to(root).as_posix(): path.stat().st_mtime_ns for path in files}
    (root / "times.json").write_text(json.dumps(times, indent=0) + "\n")
    (root / "endings.json").write_text(json.dumps(endings, indent=1) + "\n")
    for path in root.rglob("*.jsonl"):
        path.write_text(path.read_text().replace(str(root), ROOT))


def _make_configs(root: Path) -> None:
    """Configurations with what the run's folder keeps of them, and wrong ones with what is said of them."""
    wrong = []
    for code, key, text in WRONG:
        path = root / "train.toml"
        path.write_text(text, encoding="latin-1")
        found, err = _matte("train", path, "--run", root / "run", "--device", "cpu", "--pause-after", 0)
        assert (found, "error: " in err) == (code, True), (text, found, err)
        said = err.replace(str(root), ROOT).replace(str(HERE.parent), "@REPOSITORY@")
        wrong.append({"toml": text, "code": code, "key": key, "said": said.splitlines()})
    (root / "wrong.json").write_text(json.dumps(wrong, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    patch_parts(setattr, feed=True)
    os.environ["HOME"] = str(root / "home")
    shutil.copytree(OLD / "batch" / "photos", root / "validation" / "image", ignore=lambda *_: ["broken.png", "sub"])
    for name in ("alpha", "trimap"):
        shutil.copytree(OLD / "batch" / "trimaps", root / "validation" / name, ignore=lambda *_: ["broken.png", "sub"])
    accepted = dict(ACCEPTED)
    for name in ("train", "paper"):
        accepted[f"example_{name}"] = (EXAMPLES / f"{name}.toml").read_text()
    for name, text in accepted.items():
        (root / f"{name}.toml").write_text(text)
        code, err = _matte("train", root / f"{name}.toml", "--run", root / name, "--device", "cpu", "--pause-after", 0)
        assert code == 0, err
        (root / f"{name}.kept.toml").write_text((root / name / "config.toml").read_text().replace(str(root), ROOT))
        shutil.rmtree(root / name)
    for name in ("train.toml", "run", "home"):
        path = root / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _make_runs(root: Path) -> None:
    """For two optimizers a toy run that was paused, and what an uninterrupted one comes to."""
    patch_parts(setattr, feed=True)
    expected = {}
    for name in ("adamw", "muon"):
        folders = root / "whole", root / name
        for folder in folders:
            folder.with_suffix(".toml").write_text(TOY.format(folder=folder.name, optimizer=name))
        _matte("train", folders[0].with_suffix(".toml"), "--device", "cpu")
        expected[name] = {"losses": losses(folders[0]), "ema": weights(folders[0] / "ema.safetensors")}
        for _ in range(SESSIONS):
            code, err = _matte("train", f"{folders[1]}.toml", "--device", "cpu", "--pause-after", 0, "--resume")
            assert "paused" in err, (code, err)
        for made in ("curves.png", "samples", "../whole", "../whole.toml", f"../{name}.toml"):
            path = folders[1] / made
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        for kept in (folders[1] / "config.toml", folders[1] / "log.jsonl"):
            kept.write_text(kept.read_text().replace(str(root), ROOT))
    (root / "expected.json").write_text(json.dumps(expected) + "\n")


def _make_export(root: Path) -> None:
    found = {}
    for name, options in EXPORTS.items():
        _matte("export-onnx", root / f"{name}.onnx", "--no-check", *options)
        found[name] = described(root / f"{name}.onnx")
        (root / f"{name}.onnx").unlink()
    (root / "onnx.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (root / "schemas.txt").write_text("\n".join(schemas()) + "\n")


def main() -> None:
    assert mattecli.__version__ == "0.1.0", "these files are to stay as 0.1.0 wrote them"
    shutil.rmtree(OLD, ignore_errors=True)
    for name, make in (
        ("batch", _make_batches),
        ("configs", _make_configs),
        ("training", _make_runs),
        ("", _make_export),
    ):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder).resolve()
            make(root)
            shutil.copytree(root, OLD / name, dirs_exist_ok=True)


if __name__ == "__main__":
    main()
