"""Digests of what the command line makes, to compare two commits on one machine.

    python -m tests.contract.golden -o before.json          # on the one
    python -m tests.contract.golden --against before.json   # on the other: names what differs, exit code 1
    python -m tests.contract.golden --commands              # the command lines that the documents show

Everything goes through `python -m mattecli`, so that no name inside the package matters. Digests differ between
machines and versions of libraries, hence none is committed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
import onnx

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples"
DOCUMENTS = (
    *("README.md", "CONTRIBUTING.md", "Makefile", ".ci/run", "docs/*.md", "benchmarks/*.md", "weights/*.md"),
    *("experiments/*.md", "examples/*.toml"),
)
COMMANDS = (
    *("predict", "batch", "report", "composite", "trimap", "evaluate", "ui", "serve"),
    *("train", "train-samples", "export-onnx", "weights", "doctor"),
)
SIZES = {"small": (97, 133), "wide": (240, 417), "large": (448, 320)}  # height, width of the seeded pictures


def draw_pictures(folder: Path) -> None:
    """For each size NAME.png and NAME_trimap.png, and a few photos and cut-outs to train with, from seeded noise."""
    for seed, (name, (height, width)) in enumerate(SIZES.items()):
        y, x = np.mgrid[:height, :width]
        away = np.hypot(y - height / 2, x - width / 2)
        radius = min(height, width) / 3
        alpha = np.clip((radius - away) / 12 + 0.5, 0, 1)[..., None]
        picture = alpha * _noise(seed, height, width) + (1 - alpha) * _noise(seed + 10, height, width)
        trimap = np.where(away < radius - 15, 255, np.where(away > radius + 15, 0, 128))
        cv2.imwrite(str(folder / f"{name}.png"), np.round(picture).astype(np.uint8))
        cv2.imwrite(str(folder / f"{name}_trimap.png"), trimap.astype(np.uint8))
        _write(folder / "photos" / f"{name}.png", _noise(seed + 20, height, width))
        _write(folder / "cutouts" / f"cat_{seed}.png", np.dstack([_noise(seed + 30, height, width), alpha * 255]))


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of what each file holds that is made in `folder`, by its name: of pixels, not of their compression."""
    draw_pictures(folder)
    photos = {name: (folder / f"{name}.png", folder / f"{name}_trimap.png") for name in SIZES}
    photos["portrait"] = (EXAMPLE / "portrait.jpg", EXAMPLE / "portrait_trimap.png")
    made: list[Path] = []

    def run(*arguments: str | Path, output: str) -> Path:
        made.append(folder / output)
        command = [sys.executable, "-m", "mattecli", *map(str, arguments), "-o", output, "--quiet"]
        subprocess.run(command, cwd=folder, check=True)
        return made[-1]

    for name, (photo, trimap) in photos.items():
        predict = ("predict", photo, "--trimap", trimap, "--precision", "fp32", "--device", "cpu")
        for backend in ("torch", "onnx"):
            for tile in ("off", "128"):
                run(*predict, "--backend", backend, "--tile", tile, output=f"{name}_{backend}_{tile}.png")
        alpha = run(*predict, "--bits", "16", output=f"{name}_alpha16.png")
        run(*predict, "--cutout", output=f"{name}_cutout.png")
        over = ("-b", EXAMPLE / "background.jpg")
        run("composite", photo, alpha, *over, "--linear", output=f"{name}_linear.png")
        run("composite", photo, alpha, *over, "--fit", "contain", output=f"{name}_contained.png")
        run("trimap", folder / f"{name}_cutout.png", "--erode", "3", "--dilate", "9", output=f"{name}_made_trimap.png")
    data = ("--photos", "photos", "--foregrounds", "cutouts")
    run("train-samples", "--count", "10", "--size", "96", "--seed", "7", output="samples_procedural.png")
    run("train-samples", *data, "--count", "10", "--size", "128", "--seed", "8", output="samples_mixed.png")
    made.remove(graph := _export(folder, "a2u.onnx", made))
    made.remove(half := _export(folder, "a2u_half.onnx", made, "--fp16", "--pre-post"))
    result = {path.name: _pixel_digest(path) for path in made}
    return result | {path.name: _graph_digest(path) for path in (graph, half)}


def _pixel_digest(path: Path) -> str:
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    return hashlib.sha256(f"{pixels.dtype} {pixels.shape}".encode() + pixels.tobytes()).hexdigest()


def documented_commands(root: Path = ROOT) -> list[str]:
    """Every `matte …` command line in the documents and in the examples of `--help`, without what the shell does."""
    texts = [path.read_text(encoding="utf-8") for pattern in DOCUMENTS for path in sorted(root.glob(pattern))]
    texts += [path.read_text(encoding="utf-8") for path in sorted((root / "mattecli" / "cli").glob("*.py"))]
    found = []
    for text in texts:
        joined = re.sub(r"\\\n\s*", "", text)
        for line in re.findall(rf"\bmatte (?:{'|'.join(COMMANDS)})(?![\w-])[^\n`]*", joined):
            command = re.split(r"\s+#|\s[|>]\s|  +|…|\"\"\"", line.replace("\\|", "|"))[0]
            command = re.sub(r"(?<=\S)[.,;:)]+$", "", command.rstrip())
            if len(command.split()) > 2:
                found.append(command)
    return list(dict.fromkeys(found))


def _export(folder: Path, name: str, made: list[Path], *options: str) -> Path:
    subprocess.run([sys.executable, "-m", "mattecli", "export-onnx", name, *options, "--quiet"], cwd=folder, check=True)
    made.append(folder / name)
    return made[-1]


def _graph_digest(path: Path) -> str:
    """The digest of an exported file, whatever version of the program is noted in it."""
    model = onnx.load(str(path))
    model.producer_version = ""
    for entry in model.metadata_props:
        if entry.key == "tool":
            entry.value = ""
    return hashlib.sha256(model.SerializeToString(deterministic=True)).hexdigest()


def _noise(seed: int, height: int, width: int) -> np.ndarray:
    grid = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)


def _write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(path), np.round(pixels).astype(np.uint8))


def main() -> None:
    parser = argparse.ArgumentParser(description="Digests of what the command line makes.")
    parser.add_argument("-o", "--output", type=Path, help="write the digests here")
    parser.add_argument("--against", type=Path, help="compare with the digests in this file")
    parser.add_argument("--commands", action="store_true", help="list the command lines of the documents instead")
    options = parser.parse_args()
    if options.commands:
        print("\n".join(documented_commands()))
        return
    with tempfile.TemporaryDirectory() as folder:
        result = digests(Path(folder))
    if options.output:
        options.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if options.against:
        before = json.loads(options.against.read_text(encoding="utf-8"))
        differing = [name for name in before if result.get(name) != before[name]]
        print(f"{len(before) - len(differing)} of {len(before)} are equal")
        print("\n".join(f"differs: {name}" for name in differing))
        sys.exit(bool(differing))
    if not options.output:
        print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
