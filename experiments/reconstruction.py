"""The paper's toy experiment: the same small encoder-decoder, with each pair of operators, reconstructs its input.

    python experiments/reconstruction.py [--seeds 3] [--steps 300] [--widths 16 16] [--middle 16] [--lr 3e-3]
        [--data FILE] [--plot FILE.png] [--keep DIR] [--only NAME …]

The network halves a grey picture once for each of the widths and doubles it as often. It has no shortcuts except what
an operator passes on (places, indices, kernels). The pictures are shapes, letters and textures made here (32×32);
`--data` takes the file `train-images-idx3-ubyte.gz` of Fashion-MNIST. The table has mean ± standard deviation of each
figure over the seeds, on pictures that were not trained on. A seed sets weights, pictures and their order, and is the
same for all operators. `--keep` saves each network before and after training, for toy_kernels.py.
"""

from __future__ import annotations

import argparse
import gzip
import math
import statistics
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor, nn

from experiments.upsamplers import PAIRS
from mattecli.training.plots import save_figure

TRAINED, TESTED = 2048, 512


class Autoencoder(nn.Module):
    """Convolutions around pairs of down- and upsampling, one pair for each of `widths` (channels)."""

    def __init__(self, pair: str, widths: Sequence[int] = (16, 16), middle: int = 16) -> None:
        super().__init__()
        last = widths[-1]
        self.encoder = nn.ModuleList(layer(before, width) for before, width in pairwise([1, *widths]))
        self.pairs = nn.ModuleList(PAIRS[pair](width) for width in widths)
        self.middle = layer(last, last) if middle == last else nn.Sequential(layer(last, middle), layer(middle, last))
        self.decoder = nn.ModuleList(layer(width, after) for width, after in pairwise(reversed(widths)))
        self.decoder.append(nn.Conv2d(widths[0], 1, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, H, W), H and W multiples of 2 to the number of pairs."""
        kept = []
        for convolve, pair in zip(self.encoder, self.pairs, strict=True):
            x, state = pair.down(convolve(x))
            kept.append(state)
        x = self.middle(x)
        for convolve, pair in zip(self.decoder, reversed(self.pairs), strict=True):
            x = convolve(pair.up(x, kept.pop()))
        return x


def layer(inputs: int, outputs: int) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())


# Pictures


def drawn(count: int, rng: np.random.Generator) -> Tensor:
    """Pictures (count, 1, 32, 32) in [0, 1], drawn four times as large and averaged."""
    return torch.from_numpy(np.stack([picture(rng) for _ in range(count)]))[:, None]


def picture(rng: np.random.Generator, size: int = 32) -> NDArray[np.float32]:
    """A textured ground with some shapes, letters and lines on it."""
    large = 4 * size
    y, x = np.mgrid[:large, :large].astype(np.float32) / large
    angle, waves = rng.uniform(0, math.pi), rng.uniform(1, 10)
    stripes = np.sin(2 * math.pi * waves * (x * math.cos(angle) + y * math.sin(angle)))
    image = (255 * (rng.uniform(0.25, 0.75) + rng.uniform(0, 0.25) * stripes)).astype(np.uint8)
    for _ in range(rng.integers(2, 6)):
        grey, place = int(rng.integers(256)), tuple(int(v) for v in rng.integers(0, large, 2))
        kind = rng.integers(4)
        if kind == 0:
            axes = tuple(int(v) for v in rng.integers(4, large // 3, 2))
            cv2.ellipse(image, place, axes, float(rng.uniform(0, 180)), 0, 360, grey, -1)
        elif kind == 1:
            corners = rng.integers(0, large, (rng.integers(3, 6), 1, 2)).astype(np.int32)
            cv2.fillPoly(image, [corners], grey)
        elif kind == 2:
            letter = chr(rng.integers(ord("A"), ord("z") + 1))
            cv2.putText(image, letter, place, cv2.FONT_HERSHEY_DUPLEX, float(rng.uniform(1, 4)), grey, 6)
        else:
            end = tuple(int(v) for v in rng.integers(0, large, 2))
            cv2.line(image, place, end, grey, int(rng.integers(1, 10)))
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def read_idx(path: Path) -> Tensor:
    """Pictures (N, 1, H, W) in [0, 1] of a file in MNIST's format, gzipped or not."""
    content = path.read_bytes()
    content = gzip.decompress(content) if path.suffix == ".gz" else content
    magic, count, height, width = np.frombuffer(content[:16], ">u4")
    if magic != 0x803 or len(content) != 16 + count * height * width:
        raise SystemExit(f"{path} is not a file of pictures in MNIST's format")
    pixels = np.frombuffer(content, np.uint8, offset=16).reshape(count, 1, height, width)
    return torch.from_numpy(pixels.astype(np.float32) / 255)


# Training and figures


class Figures(NamedTuple):
    """The results of a run."""

    psnr: float
    ssim: float
    mse: float
    mae: float
    seconds: float


def divided(data: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """The pictures to train on and those to test on."""
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))
    return data[order[TESTED : TESTED + TRAINED]], data[order[:TESTED]]


def run(pair: str, seed: int, options: argparse.Namespace, data: Tensor) -> tuple[Figures, int]:
    """Train with one seed. Gives the figures on pictures left out, and the number of parameters of the operators."""
    torch.manual_seed(seed)
    network = Autoencoder(pair, options.widths, options.middle)
    keep(options, network, pair, seed, "before")
    trained, tested = divided(data, seed)
    optimizer = torch.optim.Adam(network.parameters(), lr=options.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, options.steps)
    generator = torch.Generator().manual_seed(seed)
    started = time.perf_counter()
    for _ in range(options.steps):
        x = trained[torch.randint(len(trained), (16,), generator=generator)]
        loss = (network(x) - x).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    seconds = time.perf_counter() - started
    keep(options, network, pair, seed, "after")
    network.eval()
    with torch.no_grad():
        found = torch.cat([network(part) for part in tested.split(64)]).clamp(0, 1)
    squares = (found - tested).square().mean((1, 2, 3))
    parameters = sum(parameter.numel() for parameter in network.pairs.parameters())
    psnr = float((-10 * torch.log10(squares.clamp(min=1e-10))).mean())
    mae = float((found - tested).abs().mean())
    return Figures(psnr, ssim(found, tested), float(squares.mean()), mae, seconds), parameters


def keep(options: argparse.Namespace, network: Autoencoder, pair: str, seed: int, when: str) -> None:
    """Save a network to the folder of --keep."""
    if options.keep:
        options.keep.mkdir(parents=True, exist_ok=True)
        kept = {"widths": options.widths, "middle": options.middle, "state": network.state_dict()}
        torch.save(kept, options.keep / f"{pair}, {seed}, {when}.pt")


def load(folder: Path, pair: str, seed: int, when: str) -> Autoencoder:
    """A network that `keep` saved, ready to be evaluated."""
    kept = torch.load(folder / f"{pair}, {seed}, {when}.pt")
    network = Autoencoder(pair, kept["widths"], kept["middle"])
    network.load_state_dict(kept["state"])
    return network.eval()


def ssim(a: Tensor, b: Tensor) -> float:
    """Mean structural similarity over 7×7 windows, with the constants for values in [0, 1] (Wang 2004)."""
    mean_a, mean_b = F.avg_pool2d(a, 7, 1), F.avg_pool2d(b, 7, 1)
    var_a, var_b = F.avg_pool2d(a * a, 7, 1) - mean_a**2, F.avg_pool2d(b * b, 7, 1) - mean_b**2
    covariance = F.avg_pool2d(a * b, 7, 1) - mean_a * mean_b
    brightness = (2 * mean_a * mean_b + 1e-4) / (mean_a**2 + mean_b**2 + 1e-4)
    return float((brightness * (2 * covariance + 9e-4) / (var_a + var_b + 9e-4)).mean())


def show(values: list[float], digits: int) -> str:
    """Mean ± standard deviation."""
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.{digits}f} ± {spread:.{digits}f}"


def plot(results: dict[str, list[Figures]], path: Path) -> None:
    """PSNR of each operator as a bar, with a dot for each seed."""
    names = list(results)
    means = [statistics.mean(figures.psnr for figures in runs) for runs in results.values()]
    low = min(figures.psnr for runs in results.values() for figures in runs) - 1
    figure = Figure(figsize=(8.4, 0.6 + 0.32 * len(names)), layout="constrained")
    axes = figure.add_subplot()
    colours = ["tab:blue" if name.startswith("A2U") else "lightgrey" for name in names]
    axes.barh(names, means, color=colours)
    for row, (mean, runs) in enumerate(zip(means, results.values(), strict=True)):
        seeds = [run.psnr for run in runs]
        axes.plot(seeds, [row] * len(seeds), "o", color="black", markersize=3)
        axes.annotate(f"{mean:.2f}", (max(mean, *seeds), row), xytext=(6, 0), textcoords="offset points", va="center")
    axes.set_xlim(low, max(max(run.psnr for run in runs) for runs in results.values()) + 1)
    axes.invert_yaxis()
    axes.set_title(f"PSNR in dB; bars begin at {low:.1f}", fontsize="medium")
    save_figure(figure, path)


def main() -> None:
    """Train all, print the table, draw the plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--widths", type=int, nargs="+", default=[16, 16], help="channels at each level")
    parser.add_argument("--middle", type=int, default=16, help="channels at the smallest size")
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--keep", type=Path, metavar="DIR")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--only", nargs="+", choices=PAIRS, default=list(PAIRS), metavar="NAME")
    options = parser.parse_args()
    data = read_idx(options.data) if options.data else drawn(TRAINED + TESTED, np.random.default_rng(0))
    print("| operators | PSNR, dB | SSIM | MSE · 10³ | MAE · 10² | parameters | seconds |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    results = {}
    for name in options.only:
        runs = [run(name, seed, options, data) for seed in range(options.seeds)]
        figures = results[name] = [one for one, _ in runs]
        print(
            f"| {name} | {show([f.psnr for f in figures], 2)} | {show([f.ssim for f in figures], 4)} "
            f"| {show([1e3 * f.mse for f in figures], 2)} | {show([100 * f.mae for f in figures], 2)} "
            f"| {runs[0][1]:,} | {show([f.seconds for f in figures], 0)} |",
            flush=True,
        )
    if options.plot:
        plot(results, options.plot)


if __name__ == "__main__":
    main()
