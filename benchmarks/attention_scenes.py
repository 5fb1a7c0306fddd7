"""Mattes with known errors for `attention.py`: foregrounds over photographs, products, and faults that are planted.

    python benchmarks/attention_scenes.py FOREGROUNDS PHOTOS OUT --part fit
    python benchmarks/attention_scenes.py FOREGROUNDS PHOTOS OUT --part judge
    python benchmarks/attention_scenes.py FOREGROUNDS PHOTOS OUT --part products [--count 200] [--first 0]

Each scene gives a matte by the network, and others with a planted fault. OUT/PART gets an archive for each, with the
photo, the alpha, its truth and its trimap; archives that are there are kept, so a run that was stopped goes on. No part
shares a foreground or a photograph with another. `attention.py fit` takes the part `fit` and of `judge` the kinds that
it names in `MORE`, which it does not judge:

- fit: rendered hair, fur, gauze and feathers, every second file, each twice, and 24 drawn products;
- judge: the other files of these kinds, further rendered kinds (fringes, nets, plumes, grass), and foregrounds that
  the code of the training samples draws, with seeds of its own;
- products: clean products that `catalogue.py` draws, at half their size, and a planted fault in every fourth one.

The faults NARROW and SMEAR are planted in `judge` and `products` only: a fit meets them in the kinds of `MORE`. The
pictures that validate the network are never used.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from catalogue import product
from numpy.typing import NDArray

from mattecli.imaging.colour import decode_srgb, encode_srgb
from mattecli.imaging.image import to_depth
from mattecli.imaging.read import read_image
from mattecli.inference.model import Model
from mattecli.inference.options import RunOptions
from mattecli.system.process import prepare_process
from mattecli.training.data.foregrounds import draw_parameters, make_foreground
from mattecli.training.data.random import Draw
from mattecli.trimaps.make import make_trimap

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Fault = Callable[[Bytes, Floats, Floats, np.random.Generator], tuple[Bytes, Floats | None]]

SIDE = 480  # of scenes over photographs, the longer one
FITTED = ("hair", "fur", "gauze", "feather")
RENDERED = (*FITTED, "fringe", "net", "plume", "grass")
DRAWN = (
    "long_hair",
    "plush",
    "foliage",
    "flower",
    "lace",
    "veil",
    "glass",
    "shape",
    "wheel",
    "chain",
    "defocus",
    "twigs",
)
DRAWN_EACH = 5
FIRST_SEED = 250_000  # of drawn foregrounds; training counts from 0
FITTED_PRODUCTS = range(1000, 1024)


@dataclass(frozen=True, eq=False)
class Scene:
    """A photo (H, W, 3), its true alpha (H, W), how far its trimap's band reaches inwards and outwards, and faults."""

    name: str
    photo: Bytes
    truth: Floats
    band: tuple[int, int]
    faults: tuple[Fault, ...]
    seed: int


# --- scenes -----------------------------------------------------------------------------------------------------------


def composed(colour: Bytes, alpha: Bytes, behind: Path, rng: np.random.Generator) -> tuple[Bytes, Floats]:
    """A foreground, cropped to what it shows, over a photograph; mixed in light or in display values."""
    rows, columns = np.flatnonzero((alpha > 12).any(1)), np.flatnonzero((alpha > 12).any(0))
    window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    over, share = colour[window].astype(np.float32) / 255, alpha[window].astype(np.float32) / 255
    ground = to_depth(read_image(behind).pixels, 8)[..., :3]
    scale = SIDE / max(ground.shape[:2])
    ground = cv2.resize(ground, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    height, width = ground.shape[:2]
    scale = rng.uniform(0.75, 1.05) * min(height / share.shape[0], width / share.shape[1])
    size = max(8, round(share.shape[1] * scale)), max(8, round(share.shape[0] * scale))
    premultiplied = cv2.resize(over * share[..., None], size, interpolation=cv2.INTER_AREA)
    share = np.clip(cv2.resize(share, size, interpolation=cv2.INTER_AREA), 0, 1)
    over = premultiplied / np.maximum(share, 1e-4)[..., None]
    top = round((height - share.shape[0]) * rng.uniform(0.4, 1))  # most things stand low in their picture
    left = round((width - share.shape[1]) * rng.uniform(0, 1))
    truth, front = np.zeros((height, width), np.float32), np.zeros((height, width, 3), np.float32)
    y, x = max(top, 0), max(left, 0)
    inner = slice(y - top, y - top + height - y), slice(x - left, x - left + width - x)
    piece = share[inner]
    truth[y : y + piece.shape[0], x : x + piece.shape[1]] = piece
    front[y : y + piece.shape[0], x : x + piece.shape[1]] = over[inner]
    back, mix = ground.astype(np.float32) / 255, truth[..., None]
    if rng.random() < 0.5:
        mixed = encode_srgb(mix * decode_srgb(front.clip(0, 1)) + (1 - mix) * decode_srgb(back))
    else:
        mixed = mix * front + (1 - mix) * back
    grain = rng.normal(0, rng.uniform(0, 0.012), mixed.shape[:2])[..., None]
    return np.rint((mixed + grain).clip(0, 1) * 255).astype(np.uint8), truth


def over_photographs(options: argparse.Namespace) -> Iterator[Scene]:
    """The scenes of `fit` or `judge`, but for the products."""
    half = int(options.part == "judge")
    kinds = RENDERED if half else FITTED
    photos = sorted(options.photos.glob("*.jpg"))[half::2]
    files = [path for kind in kinds for path in _half(sorted(options.foregrounds.glob(f"render_{kind}_*.webp")), half)]
    times = 1 if half else 2
    numbers = iter(range(1_000_000))
    for path in files * times:
        number = next(numbers)
        pixels = to_depth(read_image(path, keep_alpha=True).pixels, 8)
        kind = path.stem.split("_")[1]
        yield _scene(f"{number:03d}_{kind}", pixels[..., :3], pixels[..., 3], photos, number, half)
    for kind in DRAWN * DRAWN_EACH if half else ():
        number = next(numbers)
        drawn = make_foreground(kind, draw_parameters(kind, Draw(FIRST_SEED + number)), 512)
        yield _scene(f"{number:03d}_drawn-{kind.replace('_', '-')}", drawn.colour, drawn.alpha, photos, number, half)


def _half(files: list[Path], half: int) -> list[Path]:
    """Even files for fitting, the others for judging; of kinds that are not fitted all are for judging."""
    fitted = bool(files) and files[0].stem.split("_")[1] in FITTED
    return files[half::2] if fitted else files


def _scene(name: str, colour: Bytes, alpha: Bytes, photos: list[Path], number: int, half: int) -> Scene:
    rng = np.random.default_rng((number, half))
    photo, truth = composed(colour, alpha, photos[int(rng.integers(len(photos)))], rng)
    widths = [max(1, round(float(np.hypot(*truth.shape)) * rng.uniform(0.004, 0.03))) for _ in range(2)]
    known = FAULTS if half == 0 else FAULTS + UNFITTED
    faults = tuple(known[(2 * number + turn) % len(known)] for turn in range(2))
    return Scene(name, photo, truth, (widths[0], widths[1]), faults, number)


def products(numbers: range, *, every: int) -> Iterator[Scene]:
    """Products as `catalogue.py` draws them, with its trimaps, at half the size; a fault in each `every`-th."""
    known = FAULTS + UNFITTED if every > 1 else FAULTS
    for number in numbers:
        photo, truth = (
            cv2.resize(layer, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for layer in product(number)
        )
        faults = (known[number // every % len(known)],) if number % every == 0 else ()
        yield Scene(f"{number:03d}_product", photo, np.clip(truth, 0, 1), (4, 5), faults, number)


# --- faults: each gives another trimap, and the alpha where the network is not to be run again ------------------------


def spot(alpha: Floats, rng: np.random.Generator, *, radius: float, where: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A disc around a random pixel of `where`; its radius is a share of the diagonal."""
    rows, columns = np.nonzero(where)
    if not len(rows):
        rows, columns = np.nonzero(np.ones_like(where))
    pick = int(rng.integers(len(rows)))
    y, x = np.ogrid[: alpha.shape[0], : alpha.shape[1]]
    size = radius * float(np.hypot(*alpha.shape)) * rng.uniform(0.7, 1.4)
    found: NDArray[np.bool_] = (y - rows[pick]) ** 2 + (x - columns[pick]) ** 2 <= size**2
    return found


def contour(truth: Floats) -> NDArray[np.bool_]:
    solid = (truth > 0.5).astype(np.uint8)
    return cv2.morphologyEx(solid, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0


def near(truth: Floats, *, inside: bool) -> NDArray[np.bool_]:
    """Pixels of one side, some way from the contour."""
    side = ((truth > 0.5) == inside).astype(np.uint8)
    away = cv2.distanceTransform(side, cv2.DIST_L2, 3) / float(np.hypot(*truth.shape))
    found: NDArray[np.bool_] = (away > 0.02) & (away < 0.08)
    return found


def bite(trimap: Bytes, alpha: Floats, truth: Floats, rng: np.random.Generator) -> tuple[Bytes, Floats | None]:
    """A piece of the subject is marked as certain background."""
    disc = spot(truth, rng, radius=0.035, where=contour(truth))
    return np.where(disc, 0, trimap).astype(np.uint8), None


def bulge(trimap: Bytes, alpha: Floats, truth: Floats, rng: np.random.Generator) -> tuple[Bytes, Floats | None]:
    """A piece of the background is marked as certain foreground."""
    disc = spot(truth, rng, radius=0.035, where=contour(truth))
    return np.where(disc, 255, trimap).astype(np.uint8), None


def shift(trimap: Bytes, alpha: Floats, truth: Floats, rng: np.random.Generator) -> tuple[Bytes, Floats | None]:
    """The trimap lies beside its photo."""
    reach = 0.02 * float(np.hypot(*truth.shape)) * rng.uniform(0.8, 1.6)
    angle = rng.uniform(0, 2 * np.pi)
    move = np.array([[1, 0, reach * np.cos(angle)], [0, 1, reach * np.sin(angle)]], np.float32)
    size = trimap.shape[1], trimap.shape[0]
    moved = cv2.warpAffine(trimap, move, size, flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.uint8), None


def haze(trimap: Bytes, alpha: Floats, truth: Floats, rng: np.random.Generator) -> tuple[Bytes, Floats | None]:
    """A grey cloud stays in the background, or eats into the foreground."""
    disc = spot(truth, rng, radius=0.05, where=near(truth, inside=bool(rng.integers(2))))
    soft = cv2.GaussianBlur(disc.astype(np.float32), (0, 0), 0.01 * float(np.hypot(*truth.shape)))
    level = np.float32(rng.uniform(0.3, 0.7))
    return np.where(soft > 0, 128, trimap).astype(np.uint8), alpha + soft * (level - alpha)


def island(trimap: Bytes, alpha: Floats, truth: Floats, rng: np.random.Generator) -> tuple[Bytes, Floats | None]:
    """A piece of the background is left standing."""
    disc = spot(truth, rng, radius=0.02, where=near(truth, inside=False))
    wide = cv2.dilate(disc.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    return np.where(wide, 128, trimap).astype(np.uint8), np.where(disc, np.float32(rng.uniform(0.6, 1)), alpha)


def hole(trimap: Bytes, alpha: Floats, truth: Floats, rng: np.random.Generator) -> tuple[Bytes, Floats | None]:
    """A piece of the foreground is lost."""
    disc = spot(truth, rng, radius=0.02, where=near(truth, inside=True))
    wide = cv2.dilate(disc.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    return np.where(wide, 128, trimap).astype(np.uint8), np.where(disc, np.float32(rng.uniform(0, 0.4)), alpha)


def narrow(trimap: Bytes, alpha: Floats, truth: Floats, rng: np.random.Generator) -> tuple[Bytes, Floats | None]:
    """The band is too narrow: half-covered pixels are called certain on one side."""
    side = bool(rng.integers(2))
    return np.where((truth > 0.1) & (truth < 0.9), 255 if side else 0, trimap).astype(np.uint8), None


def smear(trimap: Bytes, alpha: Floats, truth: Floats, rng: np.random.Generator) -> tuple[Bytes, Floats | None]:
    """The alpha lies beside its photo, as one that was scaled and scaled back may."""
    reach = round(0.006 * float(np.hypot(*truth.shape)) * rng.uniform(0.8, 1.6))
    moved = np.roll(alpha, (reach, reach), (0, 1))
    wide = cv2.dilate((trimap == 128).astype(np.uint8), np.ones((2 * reach + 1,) * 2, np.uint8)) > 0
    return np.where(wide, 128, trimap).astype(np.uint8), moved


FAULTS: tuple[Fault, ...] = (bite, haze, bulge, island, shift, hole)
UNFITTED: tuple[Fault, ...] = (narrow, smear)


# --- mattes -----------------------------------------------------------------------------------------------------------


def save(path: Path, photo: Bytes, alpha: Floats, truth: Floats, trimap: Bytes) -> None:
    """Write an archive; it appears whole or not at all."""
    half = path.with_suffix(".part")
    eighth = np.rint(truth * 255).astype(np.uint8)
    with half.open("wb") as stream:
        np.savez_compressed(stream, photo=photo, alpha=alpha.astype(np.float16), truth=eighth, trimap=trimap)
    half.replace(path)


def matte(scene: Scene, out: Path, model: Model) -> None:
    """The archives of a scene that are missing."""
    clean = out / f"{scene.name}_clean.npz"
    missing = [fault for fault in scene.faults if not (out / f"{scene.name}_{fault.__name__}.npz").exists()]
    trimap = make_trimap(scene.truth, erode=scene.band[0], dilate=scene.band[1])
    if not clean.exists():
        save(clean, scene.photo, model.predict(scene.photo, trimap), scene.truth, trimap)
    if not missing:
        return
    alpha = np.load(clean)["alpha"].astype(np.float32)
    for fault in missing:
        rng = np.random.default_rng((scene.seed, (*FAULTS, *UNFITTED).index(fault)))
        other, given = fault(trimap, alpha, scene.truth, rng)
        made = model.predict(scene.photo, other) if given is None else np.clip(given, 0, 1).astype(np.float32)
        save(out / f"{scene.name}_{fault.__name__}.npz", scene.photo, made, scene.truth, other)


def main() -> None:
    prepare_process()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("foregrounds", "photos", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--part", choices=("fit", "judge", "products"), required=True)
    parser.add_argument("--count", type=int, default=200, help="of products")
    parser.add_argument("--first", type=int, default=0, help="product, to share the work between processes")
    parser.add_argument("--precision", default="bf16")
    options = parser.parse_args()
    model = Model(RunOptions(device="cpu", precision=options.precision))
    out: Path = options.out / options.part
    out.mkdir(parents=True, exist_ok=True)
    numbers = range(options.first, options.first + options.count)
    scenes = products(numbers, every=4) if options.part == "products" else over_photographs(options)
    for scene in scenes:
        matte(scene, out, model)
        print(scene.name, scene.photo.shape, flush=True)
    if options.part == "fit":
        for scene in products(FITTED_PRODUCTS, every=1):
            matte(scene, out, model)
            print(scene.name, scene.photo.shape, flush=True)


if __name__ == "__main__":
    main()
