"""How well the light of a screen is removed from foreground colours, and what it costs colours without any.

    python benchmarks/despill.py FOREGROUNDS [--count 12]

Benefit: renders (render_*.webp, true colours F in light) get spill by this formula and are put before the screen S:

    F' = F + g · (F + 0.05) · S        g = 2 · G(1 − α), G a Gaussian of 3 % of the diagonal

Colours are reflectances, 0.05 is the sheen of all things, and G(1 − α) is how much screen a place sees. All is mixed
in light, with 8 bits and the true alpha. The first table has the mean error of chroma (a, b of OKLab, times 100) and
|ΔY| in light, times 100, of the estimated colours and after despilling, over pixels with α > 0.1 and g > 0.05. Its last
column is the ΔE2000 that despilling does to the same renders without spill.

Harm: discs without spill before the screen, in the 24 colours of the ColorChecker, four skins, blond, yellow, cyan and
a green garment; and white around brown. The second table has ΔE2000 (Sharma et al. 2005) between estimated colours
before and after despilling, over pixels with α > 0.1. The next line is the greatest difference of the change between
neighbours across the contour, on a grey disc with spill, beside the greatest change.

Plate: the third table compares the estimate with (I − (1 − α) · S)/α for the true screen S, from α = 0.1 on and fully
from 0.5 on. It does so with the true alpha, and with alphas that are up to 0.1 lower or higher where α = 0.5.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mattecli.compositing.despill import Despill, despilled
from mattecli.compositing.foreground import estimate_foreground
from mattecli.imaging.colour import decode_srgb, encode_srgb
from mattecli.imaging.read import read_image
from mattecli.system.process import prepare_process

Floats = NDArray[np.float32]
SCREENS = {"green": "#00b140", "dark green": "#1d7a35", "blue": "#0047bb"}
HEAD = "| screen | chroma, estimate | despilled | ratio | \\|ΔY\\|, estimate | despilled | harm |\n|---|" + "--:|" * 6
# sRGB of the ColorChecker (X-Rite's values), then skins, blond, yellow, cyan, and a green garment.
CHECKER = [
    "735244",
    "c29682",
    "627a9d",
    "576c43",
    "8580b1",
    "67bdaa",
    "d67e2c",
    "505ba6",
    "c15a63",
    "5e3c6c",
    "9dbc40",
    "e0a32e",
    "383d96",
    "469449",
    "af363c",
    "e7c71f",
    "bb5695",
    "0885a1",
    "f3f3f2",
    "c8c8c8",
    "a0a0a0",
    "7a7a79",
    "555555",
    "343434",
]
OTHERS = {
    "skin 1": "f1c9b0", "skin 2": "d8a17e", "skin 3": "9b6a4a", "skin 4": "4a2f23",
    "blond": "c9a66b", "yellow": "f2d600", "cyan": "00b7c7", "green garment": "3d8b4a",
    "white around brown": "6b4530",
}  # fmt: skip


def light_of(text: str) -> Floats:
    """A hexadecimal colour of sRGB in light."""
    return decode_srgb(np.array([int(text.strip("#")[i : i + 2], 16) for i in (0, 2, 4)], np.float32) / 255)


def photographed(colours: Floats, alpha: Floats, screen: Floats) -> Floats:
    """The 8-bit photo of colours in light before a screen, in display values."""
    share = alpha[..., None]
    return np.rint(encode_srgb((share * colours + (1 - share) * screen).clip(0, 1)) * 255) / np.float32(255)


def seen_screen(alpha: Floats) -> Floats:
    """g of the formula."""
    sigma = 0.03 * float(np.hypot(*alpha.shape))
    return np.asarray(2 * cv2.GaussianBlur(1 - alpha, (0, 0), sigma), np.float32)


def spilled(colours: Floats, alpha: Floats, screen: Floats) -> Floats:
    """F' of the formula."""
    return colours + seen_screen(alpha)[..., None] * (colours + np.float32(0.05)) * screen


def oklab(light: Floats) -> Floats:
    """OKLab of light with the primaries of sRGB (Ottosson 2020)."""
    to_lms = [[0.4122215, 0.5363325, 0.0514460], [0.2119035, 0.6806995, 0.1073970], [0.0883025, 0.2817188, 0.6299787]]
    to_lab = [
        [0.2104543, 0.7936178, -0.0040720],
        [1.9779985, -2.4285922, 0.4505937],
        [0.0259040, 0.7827718, -0.8086758],
    ]
    return np.asarray(np.cbrt(light.clip(0) @ np.array(to_lms).T) @ np.array(to_lab).T, np.float32)


def benefit(options: argparse.Namespace) -> None:
    """The first table."""
    files = sorted(options.foregrounds.glob("render_*.webp"))
    files = [files[i * len(files) // options.count] for i in range(options.count)]
    print(HEAD)
    for name, text in SCREENS.items():
        screen, found = light_of(text), []
        how = Despill(screen="auto")
        for file in files:
            rgba = read_image(file, keep_alpha=True).pixels.astype(np.float32) / 255
            truth, alpha = decode_srgb(rgba[..., :3]), rgba[..., 3]
            photo = photographed(spilled(truth, alpha, screen), alpha, screen)
            estimate = decode_srgb(estimate_foreground(photo, alpha, linear=True))
            clean = despilled(estimate, alpha, screen, how=how)
            plain = decode_srgb(estimate_foreground(photographed(truth, alpha, screen), alpha, linear=True))
            row = figures(truth, alpha, (estimate, clean), (plain, despilled(plain, alpha, screen, how=how)))
            found.append(row)
            if options.each:
                show(file.stem, row)
        show(name, np.mean(found, axis=0).tolist())


Pair = tuple[Floats, Floats]  # before and after despilling


def figures(truth: Floats, alpha: Floats, spilled: Pair, plain: Pair) -> list[float]:
    """Chroma and |ΔY| before and after despilling colours with spill, and what it does to colours without."""
    where, row = (alpha > 0.1) & (seen_screen(alpha) > 0.05), []
    for colours in spilled:
        apart = (oklab(colours) - oklab(truth))[where]
        grey = ((colours - truth) @ np.array([0.2126, 0.7152, 0.0722]))[where]
        row += [100 * float(np.linalg.norm(apart[:, 1:], axis=1).mean()), 100 * float(np.abs(grey).mean())]
    return [*row, float(delta_e2000(*(lab(colours[where]) for colours in plain)).mean())]


def plate(options: argparse.Namespace) -> None:
    """The third table."""
    files = sorted(options.foregrounds.glob("render_*.webp"))
    files = [files[i * len(files) // options.count] for i in range(options.count)]
    print("\n" + HEAD)
    for name in ("green", "blue"):
        screen, how = light_of(SCREENS[name]), Despill(screen="auto")
        for error in (0.0, -0.1, 0.1):
            found: dict[str, list[list[float]]] = {"estimate": [], "plate": []}
            for file in files:
                rgba = read_image(file, keep_alpha=True).pixels.astype(np.float32) / 255
                truth, true = decode_srgb(rgba[..., :3]), rgba[..., 3]
                alpha = np.clip(true + error * 4 * true * (1 - true), 0, 1).astype(np.float32)
                pairs: dict[str, list[Pair]] = {"estimate": [], "plate": []}
                for colours in (spilled(truth, true, screen), truth):
                    photo = photographed(colours, true, screen)
                    estimate = decode_srgb(estimate_foreground(photo, alpha, linear=True))
                    share = np.clip((alpha - 0.1) / 0.4, 0, 1)[..., None]
                    own = np.maximum(decode_srgb(photo) - (1 - alpha[..., None]) * screen, 0)
                    other = estimate + share * (own / np.maximum(alpha[..., None], 0.05) - estimate)
                    for way, made in (("estimate", estimate), ("plate", other.astype(np.float32))):
                        pairs[way].append((made, despilled(made, alpha, screen, how=how)))
                for way, (with_spill, plain) in pairs.items():
                    found[way].append(figures(truth, true, with_spill, plain))
            for way, rows in found.items():
                show(f"{name}, {way}, α {error:+.1f}", np.mean(rows, axis=0).tolist())


def show(name: str, figures: list[float]) -> None:
    """A row of the first table."""
    before, before_y, after, after_y, harmed = figures
    cells = (before, after, after / before, before_y, after_y, harmed)
    print(f"| {name} | " + " | ".join(f"{cell:.2f}" for cell in cells) + " |", flush=True)


def harm() -> None:
    """The second table."""
    y, x = np.mgrid[:240, :240].astype(np.float32) - 119.5
    alpha = np.clip((90 - np.hypot(y, x)) / 4 + 0.5, 0, 1).astype(np.float32)
    patches = {f"patch {i + 1}": text for i, text in enumerate(CHECKER)} | OTHERS
    print("\n| screen | mean ΔE2000 | 95th percentile | the worst patches |\n|---|--:|--:|---|")
    for name, text in SCREENS.items():
        screen, changes = light_of(text), {}
        for patch, colour in patches.items():
            colours = np.broadcast_to(light_of(colour), (240, 240, 3))
            if patch == "white around brown":
                colours = np.where((np.hypot(y, x) < 60)[..., None], colours, np.float32(0.9))
            photo = photographed(colours, alpha, screen)
            estimate = decode_srgb(estimate_foreground(photo, alpha, linear=True))
            clean = despilled(estimate, alpha, screen, how=Despill(screen="auto"))
            where = alpha > 0.1
            changes[patch] = delta_e2000(lab(estimate[where]), lab(clean[where]))
        every = np.concatenate(list(changes.values()))
        worst = sorted(changes, key=lambda patch: -changes[patch].mean())[:3]
        told = ", ".join(f"{patch} {changes[patch].mean():.2f}" for patch in worst)
        print(f"| {name} | {every.mean():.2f} | {np.percentile(every, 95):.2f} | {told} |")
    screen = light_of(SCREENS["green"])
    grey = spilled(np.full((240, 240, 3), 0.3, np.float32), alpha, screen)
    clean = despilled(grey, alpha, screen, how=Despill(screen="auto"))
    change = np.abs(grey - clean).max(axis=2)[120, :120][alpha[120, :120] > 0]
    step = np.abs(np.diff(change)).max()
    print(f"\nGreatest difference between neighbours {step:.4f}, greatest change {change.max():.4f}")


def lab(light: Floats) -> NDArray[np.float64]:
    """CIELAB (D65) of light with the primaries of sRGB."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    ratio = light.astype(np.float64).clip(0) @ to_xyz.T / to_xyz.sum(axis=1)
    f = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


def delta_e2000(one: NDArray[np.float64], two: NDArray[np.float64]) -> NDArray[np.float64]:
    """CIEDE2000 of pairs of CIELAB colours (N, 3), by Sharma, Wu and Dalal (2005)."""
    (l1, a1, b1), (l2, a2, b2) = one.T, two.T
    mean_c = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    g = 0.5 * (1 - np.sqrt(mean_c**7 / (mean_c**7 + 25.0**7)))
    a1, a2 = (1 + g) * a1, (1 + g) * a2
    c1, c2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1, h2 = np.degrees(np.arctan2(b1, a1)) % 360, np.degrees(np.arctan2(b2, a2)) % 360
    grey = c1 * c2 == 0
    dh = np.where(grey, 0, (h2 - h1 + 180) % 360 - 180)
    big_h = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(dh / 2))
    mean_l, mean_c = (l1 + l2) / 2, (c1 + c2) / 2
    mean_h = np.where(grey, h1 + h2, np.where(np.abs(h1 - h2) <= 180, (h1 + h2) / 2, ((h1 + h2 + 360) / 2) % 360))
    t = 1 - 0.17 * np.cos(np.radians(mean_h - 30)) + 0.24 * np.cos(np.radians(2 * mean_h))
    t += 0.32 * np.cos(np.radians(3 * mean_h + 6)) - 0.20 * np.cos(np.radians(4 * mean_h - 63))
    s_l = 1 + 0.015 * (mean_l - 50) ** 2 / np.sqrt(20 + (mean_l - 50) ** 2)
    s_c, s_h = 1 + 0.045 * mean_c, 1 + 0.015 * mean_c * t
    turn = 60 * np.exp(-(((mean_h - 275) / 25) ** 2))
    r = -2 * np.sqrt(mean_c**7 / (mean_c**7 + 25.0**7)) * np.sin(np.radians(turn))
    x, y, z = (l2 - l1) / s_l, (c2 - c1) / s_c, big_h / s_h
    return np.asarray(np.sqrt(x * x + y * y + z * z + r * y * z))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("foregrounds", type=Path, help="folder with RGBA renders named render_*.webp")
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--each", action="store_true", help="a line for each render, too")
    options = parser.parse_args()
    benefit(options)
    harm()
    plate(options)


if __name__ == "__main__":
    prepare_process()
    main()
