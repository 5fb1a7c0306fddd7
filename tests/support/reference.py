"""The authors' network as numbers: seeded weights, inputs, and the outputs of their code in float64.

As a script it prints the table of errors in CONTRIBUTING.md.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mattecli.network.a2u import A2UNet
from mattecli.network.fold import fold_norms

FOLDER = Path(__file__).parents[1] / "data" / "reference"


@dataclass(frozen=True)
class Case:
    """An input and the output of the authors' network; with picture, trimap and alpha if it starts from a picture."""

    number: int
    kind: str  # "raw" or "pipeline"
    variant: str
    seed: int
    x: NDArray[np.float64]  # (B, 4, H, W)
    expected: NDArray[np.float64]  # (B, 1, H, W), or cropped to the picture
    image: NDArray[np.uint8] | None = None
    trimap: NDArray[np.uint8] | None = None
    alpha: NDArray[np.uint8] | None = None

    def __str__(self) -> str:
        return f"{self.number}-{self.kind}-{self.variant}"

    def network(self) -> A2UNet:
        """The network with this case's seeded weights."""
        return seeded_network(self.seed, shared=self.variant == "shared")

    def error(self, net: torch.nn.Module, dtype: torch.dtype) -> float:
        """The largest error of the output, divided by the expected output's standard deviation."""
        x = torch.tensor(self.x, dtype=dtype).contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            out = net.to(dtype=dtype)(x).double().numpy()
        height, width = self.expected.shape[-2:]
        out = out[..., :height, :width].reshape(self.expected.shape)
        return float(np.abs(out - self.expected).max() / self.expected.std())


def cases() -> Iterator[Case]:
    """All reference cases."""
    arrays = np.load(FOLDER / "network_cases.npz")
    for row in json.loads((FOLDER / "network_cases.json").read_text()):
        n, common = row["case"], (row["kind"], row["variant"], row["weights_seed"])
        if row["kind"] == "raw":
            yield Case(n, *common, x=arrays[f"{n}_x"], expected=arrays[f"{n}_y"].astype(np.float64))
        else:
            image, trimap = arrays[f"{n}_image"], arrays[f"{n}_trimap"]
            yield Case(
                n,
                *common,
                x=exact_input(image, trimap)[None],
                expected=arrays[f"{n}_raw"].astype(np.float64),
                image=image,
                trimap=trimap,
                alpha=arrays[f"{n}_alpha"],
            )


def exact_input(image: NDArray[np.uint8], trimap: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The network's input in float64, computed without the package's own `network_input`, which is float32."""
    rgb = (image / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    known = np.where(trimap == 255, 255, np.where(trimap == 0, 0, 128)) / 255
    planes = np.concatenate([rgb, known[..., None]], axis=2).transpose(2, 0, 1)
    height, width = trimap.shape
    return np.pad(planes, ((0, 0), (0, -height % 16), (0, -width % 16)), mode="reflect")


def seeded_network(seed: int, *, shared: bool) -> A2UNet:
    """The network with the reference's seeded weights, in evaluation mode."""
    net = A2UNet(shared=shared)
    net.load_state_dict({name: _seeded(seed, name, tuple(tensor.shape)) for name, tensor in net.state_dict().items()})
    return net.eval()


def _seeded(seed: int, name: str, shape: tuple[int, ...]) -> Tensor:
    """A tensor of the reference's weights; its name and the seed determine it."""
    g = np.random.Generator(np.random.PCG64([seed, zlib.crc32(name.encode())]))
    n = g.standard_normal(shape)
    if name.endswith("running_mean"):
        value = 0.1 * n
    elif name.endswith("running_var"):
        value = g.uniform(0.5, 1.5, shape)
    elif name == "pred.1.weight":
        value = 0.05 + 0.1 * np.abs(n)
    elif name == "pred.0.1.bias":
        value = 0.3 + 0.1 * n
    elif name.endswith("weight") and len(shape) == 1:
        value = (1 + 0.3 * n) * np.where(g.random(shape) < 0.1, -1, 1)
    elif name.endswith("weight"):
        value = n * np.sqrt(0.7 / np.prod(shape[1:]))
    else:
        value = 0.1 * n
    return torch.from_numpy(np.asarray(value, np.float32))


def main() -> None:
    """Print the largest error of every case: float64, float32, and float32 with the norms folded."""
    print(f"{'case':<22}{'size':>12}{'float64':>12}{'float32':>12}{'folded':>12}")
    for case in cases():
        net = case.network()
        errors = [
            case.error(net, torch.float64),
            case.error(net.float(), torch.float32),
            case.error(fold_norms(net.float()), torch.float32),
        ]
        size = "×".join(map(str, case.x.shape[2:]))
        print(f"{case!s:<22}{size:>12}" + "".join(f"{error:12.1e}" for error in errors))


if __name__ == "__main__":
    main()
