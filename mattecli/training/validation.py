"""Validation on whole pictures, by SAD, MSE, Grad and Conn."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mattecli.errors import DeviceError, InputError
from mattecli.evaluation.metrics import Scores, score
from mattecli.imaging.image import SUFFIXES
from mattecli.imaging.read import read_alpha, read_image, read_size
from mattecli.imaging.view import network_view
from mattecli.inference.torch_backend import FIXED_BYTES, TILE_VALUES, ran_out_of_memory, true_fp32
from mattecli.network.inputs import network_input
from mattecli.spec import STRIDE
from mattecli.system.files import is_folder, stat_of
from mattecli.system.folders import pictures_in
from mattecli.system.memory import free_bytes, show_bytes
from mattecli.training.data.sources import by_name
from mattecli.trimaps.check import check_size, unknown
from mattecli.trimaps.pairs import read_trimap

_PENDING = 32  # pictures that may wait for their figures at once


@dataclass(frozen=True)
class Figures:
    """Means over the pictures with one folder of trimaps, in the papers' units."""

    trimaps: str  # the folder's name
    sad: float
    mse: float
    grad: float
    conn: float


@dataclass(frozen=True)
class Row:
    """One picture of a sample sheet."""

    photo: NDArray[np.uint8]  # (H, W, 3)
    trimap: NDArray[np.uint8]  # (H, W)
    alpha: NDArray[np.float32]  # (H, W) in [0, 1]
    truth: NDArray[np.float32]  # (H, W) in [0, 1]


@dataclass(frozen=True)
class ValidationResult:
    """The figures for each folder of trimaps, and some crops to look at."""

    figures: tuple[Figures, ...]
    rows: tuple[Row, ...]

    @property
    def sad(self) -> float:
        """The mean SAD over all folders of trimaps. The best checkpoint has the lowest."""
        return float(np.mean([figures.sad for figures in self.figures]))


class ValidationSet:
    """The pictures of a folder with `image/`, `alpha/` and one or more `trimap…/`, paired by name without suffix.

    Raises InputError at once for a folder or a partner that is missing, two pictures of one name, sizes that differ,
    and a trimap without unknown pixels, which leaves nothing to score.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.images = _pictures(self.folder / "image")
        self.alphas = _pictures(self.folder / "alpha")
        folders = sorted(path for path in self.folder.glob("trimap*") if path.is_dir() and path.name[0] != ".")
        if not folders:
            raise InputError(f"{self.folder} has no trimap folder; put trimaps named like the photos into its trimap/")
        self.trimaps = {path.name: _pictures(path) for path in folders}
        for name, image in self.images.items():
            for partner, files in [("alpha", self.alphas), *self.trimaps.items()]:
                if name not in files:
                    raise InputError(f"{image} has no {partner}/{name}; add it, or remove the photo from the folder")
        with ThreadPoolExecutor() as pool:
            self._sizes = dict(zip(self.images, pool.map(self._checked_size, self.images), strict=True))
        self.fingerprint = self._fingerprint()

    def check_memory(self, device: torch.device) -> None:
        """Raise DeviceError for a picture that does not fit into the free memory as a whole.

        Call it before training, which takes memory and keeps what it has freed.
        """
        name = max(self._sizes, key=lambda name: math.prod(self._sizes[name]))
        width, height = self._sizes[name]
        pixels = math.prod(side + -side % STRIDE for side in (width, height))
        needed = FIXED_BYTES[device.type] + 4 * TILE_VALUES * pixels  # 4 bytes to a float32
        free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else free_bytes()
        if needed > free:
            raise DeviceError(
                f"{self.images[name]} has {width}×{height} pixels, which take about {show_bytes(needed)} in a "
                f"validation, but only {show_bytes(free)} are free on {device}; shrink it with its alpha and trimaps, "
                f"or take it out of {self.folder}"
            )

    def _fingerprint(self) -> str:
        """A digest of the names and lengths of the files, which is the same where the folder is moved."""
        files = (path for folder in (self.images, self.alphas, *self.trimaps.values()) for path in folder.values())
        lines = (f"{path.parent.name}/{path.name} {stat_of(path).st_size}\n" for path in files)
        return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()

    def _checked_size(self, name: str) -> tuple[int, int]:
        """Width and height of a photo whose partners fit it."""
        size = read_size(self.images[name])
        for files in (self.alphas, *self.trimaps.values()):
            file, photo = str(files[name]), str(self.images[name])
            check_size(read_size(files[name]), size, name=file, image_name=photo, what="trimap or alpha")
        for files in self.trimaps.values():
            trimap = read_trimap(files[name])
            if not unknown(trimap).any():
                raise InputError(
                    f"{files[name]} has no unknown pixel, so there is nothing to score; paint soft edges grey, or "
                    "remove the picture from the folder"
                )
        return size

    def validate(
        self,
        network: nn.Module,
        device: torch.device,
        *,
        rows: int = 4,
        should_stop: Callable[[], bool] = lambda: False,
        channels_last: bool = True,
    ) -> ValidationResult | None:
        """Run the network (in evaluation mode) in float32 over all pictures. None: `should_stop` said so.

        `rows` pictures give a crop for the sample sheet. Raises InputError for a picture that cannot be read, and
        DeviceError for one that does not fit into the device's memory.
        """
        found: dict[str, list[Future[Scores]]] = {name: [] for name in self.trimaps}
        crops: list[Row] = []
        shown = set(list(self.images)[:: max(1, len(self.images) // rows)][:rows]) if rows else set()
        pool = ThreadPoolExecutor()  # the figures take longer than a GPU takes for the alpha
        try:
            for name in self.images:
                image = network_view(read_image(self.images[name]))
                truth = read_alpha(self.alphas[name])
                for kind, files in self.trimaps.items():
                    if should_stop():
                        return None
                    trimap = read_trimap(files[name])
                    alpha = self._alpha(name, network, image, trimap, device, channels_last=channels_last)
                    _wait_for_room(found)
                    found[kind].append(pool.submit(score, alpha, truth, trimap))
                    if name in shown and kind == next(iter(self.trimaps)):
                        crops.append(_crop(image, trimap, alpha, truth))
            return ValidationResult(tuple(_means(kind, futures) for kind, futures in found.items()), tuple(crops))
        finally:
            pool.shutdown(cancel_futures=True)  # nobody asks for figures that are left

    def _alpha(self, name: str, *arguments: Any, channels_last: bool) -> NDArray[np.float32]:
        try:
            return predict(*arguments, channels_last=channels_last)
        except RuntimeError as error:
            if not ran_out_of_memory(error):
                raise
            width, height = self._sizes[name]
            raise DeviceError(
                f"the memory ran out in validating {self.images[name]}, {width}×{height} pixels; shrink it with its "
                f"alpha and trimaps, take it out of {self.folder}, or lower batch or size in [[crops]]"
            ) from error


def predict(
    network: nn.Module,
    image: NDArray[np.generic],
    trimap: NDArray[np.uint8],
    device: torch.device,
    *,
    channels_last: bool = True,
) -> NDArray[np.float32]:
    """Alpha (H, W) in [0, 1] as users get it: mirrored to the stride, clipped, known pixels from the trimap.

    In true float32, as `matte evaluate` runs it, whatever the run has switched on for training.
    """
    height, width = trimap.shape
    planes = torch.from_numpy(network_input(image, trimap))[None].to(device)  # (1, 4, H', W')
    if channels_last:
        planes = planes.contiguous(memory_format=torch.channels_last)
    with torch.inference_mode(), true_fp32():
        raw = network(planes)[0, 0, :height, :width].float().cpu().numpy()
    return keep_known(raw, trimap)


def keep_known(raw: NDArray[np.float32], trimap: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The network's output as an alpha: clipped to [0, 1], and the trimap's own value where that is known."""
    known = np.where(unknown(trimap), raw.clip(0, 1), trimap == 255)
    return np.asarray(known, np.float32)


def _pictures(folder: Path) -> dict[str, Path]:
    """Picture files by name without suffix, sorted."""
    if not is_folder(folder):
        raise InputError(f"{folder} does not exist; a validation folder holds image/, trimap/ and alpha/")
    files = by_name(pictures_in(folder, SUFFIXES), folder)
    if not files:
        raise InputError(f"{folder} holds no pictures; put some there or leave [validation] folder out")
    return files


def _wait_for_room(found: Mapping[str, Sequence[Future[Scores]]]) -> None:
    """Wait until so few pictures are without their figures that memory holds another."""
    pending = [future for futures in found.values() for future in futures if not future.done()]
    if len(pending) >= _PENDING:
        wait(pending, return_when=FIRST_COMPLETED)


def _means(kind: str, futures: Sequence[Future[Scores]]) -> Figures:
    scores = [future.result() for future in futures]
    means = {name: float(np.mean([getattr(s, name) for s in scores])) for name in ("sad", "mse", "grad", "conn")}
    return Figures(kind, **means)


def _crop(
    image: NDArray[np.generic],
    trimap: NDArray[np.uint8],
    alpha: NDArray[np.float32],
    truth: NDArray[np.float32],
    side: int = 320,
) -> Row:
    """The crop around the middle of the picture's soft pixels."""
    height, width = trimap.shape
    soft = np.argwhere((truth > 0.1) & (truth < 0.9) & unknown(trimap))
    centre = soft[len(soft) // 2] if len(soft) else np.array([height // 2, width // 2])
    top = int(np.clip(centre[0] - side // 2, 0, max(0, height - side)))
    left = int(np.clip(centre[1] - side // 2, 0, max(0, width - side)))
    window = np.s_[top : top + side, left : left + side]
    scale = {"uint8": 1.0, "uint16": 255 / 65535}.get(image.dtype.name, 255.0)
    photo = np.rint(image[window].astype(np.float32) * scale).astype(np.uint8)
    return Row(photo, trimap[window], alpha[window], truth[window])
