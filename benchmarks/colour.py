"""How well the network's view holds for other colour spaces, and which coverage the network's alpha is.

    python benchmarks/colour.py spaces DATASET [--trimaps trimap] [--only GT13] [--weights FILE] [--precision bf16]
    python benchmarks/colour.py gamut FOREGROUNDS PHOTOS [--count 20]
    python benchmarks/colour.py coverage FOREGROUNDS PHOTOS [--count 20]
    python benchmarks/colour.py precision

`spaces` converts the photos of a dataset (folders image/, alpha/, trimap/, trimap2/) to other spaces with other tools,
LittleCMS at 8 bits and OpenImageIO in floats, and compares the SAD of their alphas with that of the photos as they are.
`gamut` puts cut-outs with true alpha over photos, in wide-gamut values and in light with highlights, so that a tenth of
the unknown or more is outside of sRGB, and compares ways to bring that into range. `coverage` mixes in light and looks
which coverage the network finds. `precision` compares conversions with LittleCMS and with the formulas in float64, and
takes the seconds for 50 megapixels. Each prints a Markdown table; docs/colour.md says what follows from it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from light import in_light
from numpy.typing import NDArray

from mattecli.compositing.composite import fit_background
from mattecli.evaluation.evaluate import find_cases
from mattecli.evaluation.metrics import quantise, score
from mattecli.imaging.colour import convert, decode_srgb, encode_srgb, linear, space_named, to_profile
from mattecli.imaging.colour.curves import SRGB_CURVE
from mattecli.imaging.colour.encodings import MatrixEncoding, encoding_of
from mattecli.imaging.colour.tone import Tone, tone_of
from mattecli.imaging.image import Image
from mattecli.imaging.read import read_alpha, read_image
from mattecli.imaging.space import SRGB, Space
from mattecli.imaging.view import network_view
from mattecli.inference.model import load_model
from mattecli.system.process import prepare_process
from mattecli.trimaps.check import unknown
from mattecli.trimaps.make import make_trimap
from mattecli.trimaps.pairs import read_trimap

Floats = NDArray[np.float32]
SIDE = 512  # of the composites
SCREEN = np.array([0.2, 1.6, 0.3], np.float32)


def main() -> None:
    """Print the table that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(required=True)
    spaces = parts.add_parser("spaces")
    spaces.add_argument("dataset", type=Path, help="folder with image/, alpha/ and folders of trimaps")
    spaces.add_argument("--only", help="the name of one picture, without suffix")
    spaces.add_argument("--trimaps", action="append", metavar="NAME", help="default: trimap and trimap2")
    spaces.set_defaults(run=by_space)
    for name, function in (("gamut", out_of_gamut), ("coverage", coverages)):
        part = parts.add_parser(name)
        part.add_argument("foregrounds", type=Path, help="folder with RGBA cut-outs named render_*.webp")
        part.add_argument("photos", type=Path, help="folder of backgrounds")
        part.add_argument("--count", type=int, default=20)
        part.set_defaults(run=function)

    parts.add_parser("precision").set_defaults(run=precision)
    for part in parts.choices.values():
        part.add_argument("--weights", help="a bundled checkpoint or a file")
        part.add_argument("--precision", default="auto")
    options = parser.parse_args()
    prepare_process()
    options.run(options)


def row(*cells: Any) -> None:
    """Print a row of a table, floats with two digits."""
    print(
        "| " + " | ".join(f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in cells) + " |", flush=True
    )


# --- photos in other spaces -------------------------------------------------------------------------------------------


def by_space(options: argparse.Namespace) -> None:
    """SAD of the same photos in several spaces."""
    model = load_model(options.weights, precision=options.precision)
    names = ("sRGB", "AdobeRGB", "ProPhoto", "linear")
    row("trimaps", "picture", *names)
    print("|---|---|" + "--:|" * len(names))
    sums: list[list[float]] = []
    for trimaps in options.trimaps or ("trimap", "trimap2"):
        for case in find_cases(
            options.dataset / "alpha", options.dataset / trimaps, photos=options.dataset / "image"
        ).cases:
            if case.photo is None or options.only not in (None, case.name):
                continue
            trimap, truth = read_trimap(case.trimap), quantise(read_alpha(case.truth))
            pictures = elsewhere(read_image(case.photo))
            sads = [score(quantise(model.predict(network_view(p), trimap)), truth, trimap).sad for p in pictures]
            row(trimaps, case.name, *sads)
            sums.append(sads)
    means = np.mean(sums, axis=0)
    row("mean", "", *map(float, means))
    row("against sRGB", "", *(f"{value / means[0] - 1:+.2%}" for value in means))


def elsewhere(photo: Image) -> list[Image]:
    """The photo, and its conversions to AdobeRGB, ProPhoto (LittleCMS, 8 bits) and linear light (OpenImageIO, 16)."""
    made = [photo]
    for name in ("adobergb", "prophoto"):
        icc = space_named(name).icc
        pixels = to_profile(photo.pixels, photo.icc, icc)
        assert pixels is not None
        made.append(Image(pixels, icc))
    import OpenImageIO as oiio  # noqa: N813

    buffer = oiio.ImageBuf(np.ascontiguousarray(photo.pixels.astype(np.float32) / 255))
    light = oiio.ImageBufAlgo.colorconvert(buffer, "srgb_rec709_scene", "lin_rec709_scene").get_pixels(oiio.FLOAT)
    made.append(Image(np.rint(np.clip(light, 0, 1) * 65535).astype(np.uint16), linear().icc))
    return made


# --- composites -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Scene:
    """A foreground and background in display values from 0 to 1, with the true alpha and a trimap."""

    name: str
    over: Floats
    under: Floats
    alpha: Floats
    trimap: NDArray[np.uint8]


def scenes(foregrounds: Path, photos: Path, count: int) -> Iterator[Scene]:
    """Cut-outs over photos, the same ones each time."""
    cutouts, grounds = sorted(foregrounds.glob("render_*.webp")), sorted(photos.glob("*.jpg"))
    rng = np.random.default_rng(0)
    for number in range(count):
        file = cutouts[number * len(cutouts) // count]
        rgba = fitted(read_image(file, keep_alpha=True).pixels)
        alpha = rgba[..., 3].astype(np.float32) / 255
        ground = read_image(grounds[int(rng.integers(len(grounds)))]).pixels
        under = fit_background(ground, alpha.shape[1], alpha.shape[0]).astype(np.float32) / 255
        yield Scene(
            file.stem, rgba[..., :3].astype(np.float32) / 255, under, alpha, make_trimap(alpha, erode=4, dilate=8)
        )


def fitted(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A cut-out with sides of at most SIDE."""
    scale = min(1.0, SIDE / max(pixels.shape[:2]))
    size = (round(pixels.shape[1] * scale), round(pixels.shape[0] * scale))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))


def mix(over: Floats, under: Floats, alpha: Floats) -> Floats:
    return alpha[..., None] * over + (1 - alpha[..., None]) * under


# --- out of gamut -----------------------------------------------------------------------------------------------------

WAYS = ("clip", "desaturate", "and shoulder of light", "and both shoulders")


def out_of_gamut(options: argparse.Namespace) -> None:
    """SAD by the way that colours are brought into range."""
    model = load_model(options.weights, precision=options.precision)
    row("composite", "space", "unknown outside", *WAYS)
    print("|---|---|--:|" + "--:|" * len(WAYS))
    sums: dict[str, list[list[float]]] = {}
    for number, scene in enumerate(scenes(options.foregrounds, options.photos, options.count)):
        kind, image, outside = wide(scene) if number % 2 else bright(scene)
        truth, trimap = quantise(scene.alpha), scene.trimap
        sads = [score(quantise(model.predict(view, trimap)), truth, trimap).sad for view in views(image)]
        row(scene.name, kind, f"{outside:.0%}", *sads)
        sums.setdefault(kind, []).append(sads)
    for kind, sads in sums.items():
        row("mean", kind, "", *map(float, np.mean(sads, axis=0)))
    row("mean", "all", "", *map(float, np.mean([sads for each in sums.values() for sads in each], axis=0)))


def wide(scene: Scene) -> tuple[str, Image, float]:
    """Mixed in values of ProPhoto, with colours as pure as it takes for a tenth of the unknown outside of sRGB.

    Where pure colours do not suffice, all turns green step by step, as before a green screen.
    """
    space = space_named("prophoto")
    for strength in np.arange(0.2, 2.0, 0.1):
        over, under = (toward_wide(layer, space, min(float(strength), 1)) for layer in (scene.over, scene.under))
        green = max(float(strength) - 1, 0)
        over, under = ((1 - green) * layer + green * SCREEN * layer.mean() for layer in (over, under))
        pixels = np.rint(np.clip(mix(over, under, scene.alpha), 0, 1) * 65535).astype(np.uint16)
        outside = share_outside(Image(pixels, space.icc), scene.trimap)
        if outside >= 0.1:
            break
    return "ProPhoto", Image(pixels, space.icc), outside


def toward_wide(layer: Floats, space: Space, purity: float) -> Floats:
    """sRGB values in a wide space: as they look at purity 0, and taken for values of the wide space at 1."""
    same = convert(layer, SRGB, space, depth=32)
    return (1 - purity) * same + purity * layer


def bright(scene: Scene) -> tuple[str, Image, float]:
    """Mixed in light, as bright as it takes for a tenth of the unknown above white."""
    for stops in np.arange(0.5, 6, 0.5):
        pixels = mix(decode_srgb(scene.over), decode_srgb(scene.under), scene.alpha) * np.float32(2.0**stops)
        outside = share_outside(Image(pixels, linear().icc), scene.trimap)
        if outside >= 0.1:
            break
    return "linear", Image(pixels, linear().icc), outside


def share_outside(image: Image, trimap: NDArray[np.uint8]) -> float:
    """The share of the unknown pixels that sRGB cannot hold."""
    light = encoding_of(image.space).to_light(image.pixels)
    return float(((light < -1e-3) | (light > 1 + 1e-3)).any(axis=2)[unknown(trimap)].mean())


def views(image: Image) -> list[NDArray[Any]]:
    """The picture in sRGB by each of WAYS."""
    tone = tone_of([encoding_of(image.space).to_light(image.pixels)]) or Tone()
    tones = (None, Tone(), Tone(tone.brightest), tone)
    return [convert(image.pixels, image.space, SRGB, depth=16, tone=each) for each in tones]


# --- precision --------------------------------------------------------------------------------------------------------


def precision(_: argparse.Namespace) -> None:
    """The greatest differences of conversions, and the seconds for 50 megapixels."""
    row(
        "space",
        "view of 8 bits, LittleCMS (of 255)",
        "mean",
        "sRGB of 16 bits, float64 (of 65535)",
        "seconds of one core for 50 MP",
    )
    print("|---|--:|--:|--:|--:|")
    rng = np.random.default_rng(0)
    for name in ("adobergb", "prophoto", "p3", "linear"):
        space = space_named(name)
        colours = rng.random((700, 1000, 3)).astype(np.float32)
        eight = np.rint(convert(colours, SRGB, space, depth=32).clip(0, 1) * 255).astype(np.uint8)
        theirs = to_profile(eight, space.icc, None)
        assert theirs is not None
        ours = convert(eight.astype(np.uint16) * 257, space, SRGB, depth=16) / 257
        apart = np.abs(np.rint(ours) - theirs)
        codes = rng.integers(0, 65536, (700, 1000, 3), np.uint16)
        off = np.abs(convert(codes, space, SRGB, depth=16) - exact(codes, space)).max()
        row(name, f"{apart.max():.0f}", f"{apart.mean():.3f}", f"{off:.1f}", seconds(space))


def exact(codes: NDArray[np.uint16], space: Space) -> NDArray[np.float64]:
    """The same in sRGB by the formulas in float64, not rounded."""
    encoding = encoding_of(space)
    assert isinstance(encoding, MatrixEncoding)
    light = np.stack([curve.decode(codes[..., i] / 65535) for i, curve in enumerate(encoding.curves)], axis=2)
    matrix = np.linalg.solve(encoding_of(SRGB).matrix, encoding.matrix)  # type: ignore[attr-defined]
    if np.allclose(matrix, np.eye(3), atol=1e-4):
        matrix = np.eye(3)
    return np.asarray(65535 * SRGB_CURVE.encode(np.clip(light @ matrix.T, 0, 1)))


def seconds(space: Space) -> float:
    """Of one core, for the view of 50 megapixels of 16 bits; the best of three."""
    picture = np.random.default_rng(0).integers(0, 65536, (500, 700, 3)).astype(np.uint16)
    picture = cv2.resize(picture, (8660, 5774), interpolation=cv2.INTER_LINEAR)
    taken = []
    for _ in range(3):
        started = time.process_time()
        network_view(Image(picture, space.icc))
        taken.append(time.process_time() - started)
    return min(taken)


# --- coverage ---------------------------------------------------------------------------------------------------------


def coverages(options: argparse.Namespace) -> None:
    """The network's alpha for composites that were mixed in light and in display values, at true coverages."""
    model = load_model(options.weights, precision=options.precision)
    bands = ((0.1, 0.3), (0.3, 0.7), (0.7, 0.9))
    row("mixed in", "ground", *(f"α from {low} to {high}" for low, high in bands), "SAD", "SAD in light")
    print("|---|---|" + "--:|" * (len(bands) + 2))
    found: dict[tuple[str, str], list[list[float]]] = {}
    for scene in scenes(options.foregrounds, options.photos, options.count):
        for ground, level in (("white", 0.95), ("photo", None), ("black", 0.03)):
            under = scene.under if level is None else np.full_like(scene.under, level)
            for mixed_in in ("light", "display"):
                picture = mixed(scene.over, under, scene.alpha, in_light=mixed_in == "light")
                alpha = model.predict(picture, scene.trimap)
                inside = unknown(scene.trimap)
                biases = [
                    bias(alpha, scene.alpha, inside & (scene.alpha >= low) & (scene.alpha < high))
                    for low, high in bands
                ]
                sads = [
                    score(quantise(each), quantise(scene.alpha), scene.trimap).sad
                    for each in (alpha, in_light(picture, alpha))
                ]
                found.setdefault((mixed_in, ground), []).append([*biases, *sads])
    for (mixed_in, ground), rows in sorted(found.items()):
        *biases, sad, mended = map(float, np.nanmean(rows, axis=0))
        row(mixed_in, ground, *(f"{value:+.3f}" for value in biases), sad, mended)


def mixed(over: Floats, under: Floats, alpha: Floats, *, in_light: bool) -> NDArray[np.uint8]:
    """A composite of 8 bits."""
    values = encode_srgb(mix(decode_srgb(over), decode_srgb(under), alpha)) if in_light else mix(over, under, alpha)
    return np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)


def bias(alpha: Floats, truth: Floats, where: NDArray[np.bool_]) -> float:
    """The mean of alpha minus truth; nan where there are too few pixels."""
    return float((alpha - truth)[where].mean()) if where.sum() > 50 else float("nan")


if __name__ == "__main__":
    main()
