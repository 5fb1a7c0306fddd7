"""How much of the old background stays in the colours of hair and fur, on renders whose true colours are known.

    python benchmarks/hair.py FOREGROUNDS --photos DIR [--count 8] [--precision bf16] [--cache ALPHAS]
    python benchmarks/hair.py FOREGROUNDS --photos DIR --remedies [--cache ALPHAS]
    python benchmarks/hair.py FOREGROUNDS --photos DIR --composites
    python benchmarks/hair.py FOREGROUNDS --pictures OUT

FOREGROUNDS holds straight RGBA renders named render_hair_*.webp and render_fur_*.webp: alpha is coverage, the colours
are true. Each is put over a bright, a dark and a photographic background (with --photos), and its colours are estimated
again. The leak of a pixel is

    ρ = ⟨F̂ − F, B − F⟩ / |B − F|²        in display values, over pixels with |B − F| > 0.25

It is 0 where the colour is right, 1 where it is the old background, negative where too much was taken away. The leak of
a band of alpha is the same quotient with both products summed over its pixels. Without --remedies the table changes one
factor at a time: how the picture was mixed, which alpha the estimate gets, the file's format, and the solver. With
--remedies it has estimators to choose from. --composites has the error of composites over white, black and a strong
colour: the mean difference of display values from the true composite in light. What follows is in hair.md.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.compositing.composite import fit_background
from mattecli.compositing.foreground import estimate_foreground
from mattecli.imaging.colour import decode_srgb, encode_srgb
from mattecli.imaging.read import read_image
from mattecli.inference.model import Model, load_model
from mattecli.system.process import prepare_process
from mattecli.trimaps.make import make_trimap
from mattecli.weights import find_checkpoint

Floats = NDArray[np.float32]
Solver = Callable[[Floats, Floats, Floats], Floats]  # (image, alpha, true background) to F, all in display values

BANDS = ((0.02, 0.1), (0.1, 0.3), (0.3, 0.6), (0.6, 0.98))
GOAL = (0.1, 0.5)
GROUNDS = {"bright": 0.906, "dark": 0.05}  # 0.8 and 0.004 of white in light


@dataclass(frozen=True, eq=False)
class Scene:
    """A foreground and background in display values, the true alpha, and how they are mixed and stored."""

    over: Floats
    under: Floats
    truth: Floats
    image: Floats
    alpha: Floats


def scene(file: Path, ground: Floats | float, *, mixed: str = "light", jpeg: bool = False) -> Scene:
    """A render over a background, 8 bits; the alpha is the true one."""
    pixels = read_image(file, keep_alpha=True).pixels
    over, truth = pixels[..., :3].astype(np.float32) / 255, pixels[..., 3].astype(np.float32) / 255
    under = np.full_like(over, ground) if isinstance(ground, float) else ground
    image = np.rint(mix(over, under, truth[..., None], mixed) * 255).clip(0, 255).astype(np.uint8)
    if jpeg:  # OpenCV's default is 4:2:0
        data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
        image = np.asarray(cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB))
    return Scene(over, under, truth, image.astype(np.float32) / 255, truth)


def mix(over: Floats, under: Floats, share: Floats, how: str) -> Floats:
    """Light mixed, display values mixed, or the mean of both."""
    light = encode_srgb(share * decode_srgb(over) + (1 - share) * decode_srgb(under))
    display = share * over + (1 - share) * under
    return {"light": light, "display": display, "half-way": (light + display) / 2}[how]


def scenes(options: argparse.Namespace) -> list[tuple[Path, str, Floats | float]]:
    """The renders with the grounds they are put over: the same ones each time."""
    files = sorted(p for kind in ("hair", "fur") for p in options.foregrounds.glob(f"render_{kind}_*.webp"))
    files = [files[i * len(files) // options.count] for i in range(options.count)]
    photos = sorted(options.photos.glob("*.jpg")) if options.photos else []
    rng = np.random.default_rng(0)
    listed: list[tuple[Path, str, Floats | float]] = []
    for file in files:
        listed += [(file, name, level) for name, level in GROUNDS.items()]
        if photos:
            height, width = read_image(file).pixels.shape[:2]
            photo = read_image(photos[int(rng.integers(len(photos)))]).pixels
            listed.append((file, "photo", fit_background(photo, width, height).astype(np.float32) / 255))
    return listed


def with_network(scene: Scene, model: Model, cache: Path | None, weights: str) -> Scene:
    """The same with the alpha that the network finds for a trimap of the truth; kept in the cache."""
    image = np.rint(scene.image * 255).astype(np.uint8)
    trimap = make_trimap(scene.truth, erode=4, dilate=8)
    if cache is None:
        return replace(scene, alpha=model.predict(image, trimap))
    key = hashlib.sha256(image.tobytes() + trimap.tobytes() + weights.encode()).hexdigest()
    file = cache / f"{key[:32]}.npy"
    if not file.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with file.with_suffix(".part").open("wb") as stream:
            np.save(stream, model.predict(image, trimap))
        file.with_suffix(".part").replace(file)
    return replace(scene, alpha=np.load(file))


# --- estimators -------------------------------------------------------------------------------------------------------


def display(image: Floats, alpha: Floats, _: Floats) -> Floats:
    """In display values, as 0.1.0 did."""
    return estimate_foreground(image, alpha, linear=False)


def light(image: Floats, alpha: Floats, _: Floats) -> Floats:
    """In light."""
    return estimate_foreground(image, alpha, linear=True)


def long(
    image: Floats, alpha: Floats, under: Floats, *, clip: bool = True, known: bool = False, both: bool = False
) -> Floats:
    """200 more Jacobi steps at full size after `display`: clipped or not, or with the true background.

    With `both` the smoothness of F between two pixels has their alphas as a factor, and that of B one minus these.
    """
    f, b = estimate_foreground(image, alpha, linear=False), under
    if not known:
        b = estimate_foreground(image, 1 - alpha, linear=False)
    weights = [0.001 + 0.1 * np.abs(alpha - moved(alpha, step)) for step in STEPS]
    of_f = of_b = weights
    if both:
        of_f = [w * (alpha * moved(alpha, step) + 0.01) for w, step in zip(weights, STEPS, strict=True)]
        of_b = [w * ((1 - alpha) * moved(1 - alpha, step) + 0.01) for w, step in zip(weights, STEPS, strict=True)]
    ff, fb, bb = alpha**2 + sum(of_f), alpha * (1 - alpha), (1 - alpha) ** 2 + sum(of_b)
    scale = 1 / (ff * bb - fb * fb)
    planes = np.moveaxis(image, 2, 0)
    padded_f, padded_b = (np.pad(np.moveaxis(c, 2, 0), ((0, 0), (1, 1), (1, 1)), mode="edge") for c in (f, b))
    f, b = padded_f[:, 1:-1, 1:-1], padded_b[:, 1:-1, 1:-1]
    data_f, data_b = alpha * planes, (1 - alpha) * planes
    low, high = (0.0, 1.0) if clip else (-np.inf, np.inf)
    for _ in range(200):
        pull_f = pulled(data_f, of_f, padded_f)
        if known:
            np.clip((pull_f - fb * b) / ff, low, high, out=f)
            continue
        pull_b = pulled(data_b, of_b, padded_b)
        np.clip(scale * (bb * pull_f - fb * pull_b), low, high, out=f)
        np.clip(scale * (ff * pull_b - fb * pull_f), low, high, out=b)
    return np.asarray(np.where(alpha[..., None] == 1, image, np.moveaxis(f, 0, 2)), np.float32)


STEPS = ((1, 0), (-1, 0), (0, 1), (0, -1))


def moved(picture: Floats, step: tuple[int, int]) -> Floats:
    """The neighbour of each pixel (H, W) in one direction; at the rims the pixel itself."""
    return neighbour(np.pad(picture, 1, mode="edge"), step)


def neighbour(padded: Floats, step: tuple[int, int]) -> Floats:
    """The same of a picture (…, H + 2, W + 2) that has its rims already."""
    height, width = padded.shape[-2:]
    return padded[..., 1 + step[0] : height - 1 + step[0], 1 + step[1] : width - 1 + step[1]]


def pulled(data: Floats, weights: list[Floats], padded: Floats) -> Floats:
    """What data (3, H, W) and the four neighbours pull a colour toward, not divided by the sum of the weights."""
    result = data.copy()
    for weight, step in zip(weights, STEPS, strict=True):
        result += weight * neighbour(padded, step)
    return result


def drawn(image: Floats, alpha: Floats, under: Floats, *, luminance: float, chroma: float) -> Floats:
    """In light; then faint pixels go toward solid hair nearby, the share being λ / (λ + α²)."""
    colours = decode_srgb(light(image, alpha, under))
    solid, weights = None, (alpha**20)[..., None]
    for sigma in (36, 12, 4):
        near = cv2.GaussianBlur(weights, (0, 0), sigma)[..., None]
        mean = cv2.GaussianBlur(weights * colours, (0, 0), sigma) / np.maximum(near, 1e-12)
        solid = mean if solid is None else solid + near / (near + 1e-3) * (mean - solid)
    assert solid is not None
    apart = colours - solid
    grey = (apart @ np.array([0.2126, 0.7152, 0.0722], np.float32))[..., None]
    info = (alpha**2)[..., None]
    toward = solid + info / (info + luminance) * grey + info / (info + chroma) * (apart - grey)
    return encode_srgb(np.where(alpha[..., None] == 1, colours, toward).clip(0, 1))


def blurred_truth(sigma: float, truth: Floats, over: Floats) -> Floats:
    """The true colours without their detail, for a floor: no smooth estimate can do better."""
    weights = truth[..., None]
    near = np.maximum(cv2.GaussianBlur(truth, (0, 0), sigma), 1e-9)[..., None]
    return encode_srgb((cv2.GaussianBlur(weights * decode_srgb(over), (0, 0), sigma) / near).clip(0, 1))


# --- measures ---------------------------------------------------------------------------------------------------------


def leaks(colours: Floats, s: Scene) -> list[float]:
    """The leak of each band; then that of GOAL, its mean |ρ| by pixel, and |F̂ − F| there."""
    apart = s.under - s.over
    squares = (apart**2).sum(axis=2)
    products = ((colours - s.over) * apart).sum(axis=2)
    far, figures = squares > 0.25**2, []
    for low, high in (*BANDS, GOAL):
        band = far & (s.truth >= low) & (s.truth < high)
        enough = band.sum() > 100
        figures.append(float(products[band].sum() / squares[band].sum()) if enough else np.nan)
    by_pixel = np.abs(products[band] / squares[band]).mean() if enough else np.nan
    return [*figures, float(by_pixel), float(np.abs(colours - s.over)[band].mean()) if enough else np.nan]


def report(name: str, cases: list[tuple[str, Scene]], solve: Solver | None) -> None:
    """A row of the table; without a solver it is the floor."""
    found: dict[str, list[list[float]]] = {}
    for number, (ground, s) in enumerate(cases, 1):
        colours = blurred_truth(2, s.truth, s.over) if solve is None else solve(s.image, s.alpha, s.under)
        found.setdefault(ground, []).append(leaks(colours, s))
        print(f"\r{name}: {number} of {len(cases)}", end="\n" if number == len(cases) else "", file=sys.stderr)
    cells = [f"{value:+.2f}" for ground in GROUNDS for value in np.nanmean(found[ground], axis=0)[: len(BANDS)]]
    every = np.array([row for rows in found.values() for row in rows])
    cells += [f"{np.nanmean(np.abs(every[:, len(BANDS)])):.3f}"]
    cells += [f"{value:.3f}" for value in np.nanmean(every[:, len(BANDS) + 1 :], axis=0)]
    print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def header() -> None:
    """The table's head."""
    names = [f"{ground} {low}-{high}" for ground in GROUNDS for low, high in BANDS]
    low, high = GOAL
    names += [f"\\|ρ\\| {low}-{high}", "by pixel", "\\|F̂ − F\\|"]
    print("| | " + " | ".join(names) + " |\n|---|" + "--:|" * len(names))


def factors(listed: list[tuple[Path, str, Floats | float]], network: Callable[[Scene], Scene]) -> None:
    """One factor at a time."""
    base = [(name, scene(file, ground)) for file, name, ground in listed]
    report("mixed in light, true alpha, PNG, estimated in display values", base, display)
    for how in ("display", "half-way"):
        report(f"mixed {how}", [(name, scene(file, ground, mixed=how)) for file, name, ground in listed], display)
    report("alpha × 1.2", [(name, replace(s, alpha=np.minimum(1.2 * s.truth, 1))) for name, s in base], display)
    report("the network's alpha", [(name, network(s)) for name, s in base], display)
    report("JPEG 4:2:0", [(name, scene(file, ground, jpeg=True)) for file, name, ground in listed], display)
    report("200 steps at full size", base, long)
    report("the same, not clipped", base, partial(long, clip=False))
    report("the same, with the true background", base, partial(long, known=True))
    report("estimated in light", base, light)


def remedies(listed: list[tuple[Path, str, Floats | float]], network: Callable[[Scene], Scene]) -> None:
    """The estimators, for true alphas and the network's, mixed in light."""
    base = [(name, scene(file, ground)) for file, name, ground in listed]
    report("floor: the truth blurred by 2 px", base, None)
    for what, cases in (("true alpha", base), ("network's alpha", [(name, network(s)) for name, s in base])):
        report(f"{what}: display values", cases, display)
        report(f"{what}: light", cases, light)
        for luminance, chroma in DRAWN:
            solve = partial(drawn, luminance=luminance, chroma=chroma)
            report(f"{what}: light, drawn to solid hair, {luminance:g} and {chroma:g}", cases, solve)
        report(f"{what}: light, 200 steps", cases, in_light(long))
        report(f"{what}: light, 200 steps, clipped at the end", cases, in_light(partial(long, clip=False)))
        report(f"{what}: light, 200 steps, smoothness by both alphas", cases, in_light(partial(long, both=True)))
        report(f"{what}: light, 200 steps, true background", cases, in_light(partial(long, known=True)))


DRAWN = ((0.02, 0.1), (0.05, 0.2), (0.2, 0.2), (0.1, 1.0))  # λ of luminance and of chroma


NEW = {"white": (1.0, 1.0, 1.0), "black": (0.0, 0.0, 0.0), "red": (0.8, 0.05, 0.3)}
WAYS: dict[str, tuple[Solver, str]] = {
    "display values, both": (display, "display"),
    "light, both": (light, "light"),
    "estimated in light, mixed in display values": (light, "display"),
}


def composites(listed: list[tuple[Path, str, Floats | float]], network: Callable[[Scene], Scene]) -> None:
    """Errors of composites, for pixels with 0.02 < α < 0.98."""
    print("| alpha | photographed over | put over | " + " | ".join(WAYS) + " |\n|---|---|---|" + "--:|" * len(WAYS))
    base = [(name, scene(file, ground)) for file, name, ground in listed]
    for what, cases in (("true", base), ("the network's", [(name, network(s)) for name, s in base])):
        found: dict[tuple[str, str], list[list[float]]] = {}
        for ground, s in cases:
            soft = (s.truth > 0.02) & (s.truth < 0.98)
            colours = {way: solve(s.image, s.alpha, s.under) for way, (solve, _) in WAYS.items()}
            for name, new in NEW.items():
                under = np.broadcast_to(np.float32(new), s.over.shape)
                right = mix(s.over, under, s.truth[..., None], "light")
                mixed = [mix(colours[way], under, s.alpha[..., None], how) for way, (_, how) in WAYS.items()]
                found.setdefault((ground, name), []).append([float(np.abs(m - right)[soft].mean()) for m in mixed])
        for (ground, name), errors in sorted(found.items()):
            print(f"| {what} | {ground} | {name} | " + " | ".join(f"{e:.3f}" for e in np.mean(errors, axis=0)) + " |")


def in_light(solve: Solver) -> Solver:
    """A solver for display values used on light."""
    return lambda image, alpha, under: encode_srgb(solve(decode_srgb(image), alpha, decode_srgb(under)).clip(0, 1))


def pictures(options: argparse.Namespace) -> None:
    """Hair over a bright background, put over white, black and a strong colour: truth, 0.1.0's way, today's."""
    options.pictures.mkdir(parents=True, exist_ok=True)
    for file, name, ground in scenes(options):
        s = scene(file, ground)
        rows = []
        for new in ((1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (0.8, 0.05, 0.3)):
            under, share = np.broadcast_to(np.float32(new), s.over.shape), s.truth[..., None]
            old_way = mix(display(s.image, s.truth, s.under), under, share, "display")
            rows.append(
                [
                    mix(s.over, under, share, "light"),
                    old_way,
                    mix(light(s.image, s.truth, s.under), under, share, "light"),
                ]
            )
        sheet = np.concatenate([np.concatenate([s.image, *row], axis=1) for row in rows])
        cv2.imwrite(str(options.pictures / f"{file.stem}_{name}.png"), np.rint(sheet[..., ::-1] * 255))


def main() -> None:
    """Print the table, or write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("foregrounds", type=Path)
    parser.add_argument("--photos", type=Path, help="folder of backgrounds")
    parser.add_argument("--count", type=int, default=8, help="of renders")
    parser.add_argument("--remedies", action="store_true")
    parser.add_argument("--composites", action="store_true")
    parser.add_argument("--pictures", type=Path, metavar="OUT")
    parser.add_argument("--weights", help="a bundled checkpoint or a file")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--cache", type=Path, metavar="ALPHAS", help="folder of alphas, kept between runs")
    options = parser.parse_args()
    if options.pictures:
        pictures(options)
        return
    model = load_model(options.weights, precision=options.precision)
    weights = f"{find_checkpoint(options.weights).sha256} {options.precision}"
    network = partial(with_network, model=model, cache=options.cache, weights=weights)
    if options.composites:
        composites(scenes(options), network)
        return
    header()
    (remedies if options.remedies else factors)(scenes(options), network)


if __name__ == "__main__":
    prepare_process()
    main()
