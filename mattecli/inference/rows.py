"""Matting with rows in and rows out, for engines that send work to other processes and machines."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mattecli.errors import InputError, MatteError
from mattecli.imaging.decoding import Source
from mattecli.imaging.image import Image
from mattecli.inference.model import predict_alpha
from mattecli.inference.plan import Tile, plan

if TYPE_CHECKING:
    from mattecli.inference.backend import Backend
    from mattecli.inference.tiling import Plan
from mattecli.trimaps.pairs import read_pair, source_name

Row = dict[str, Any]


class Predictor:
    """A function from rows to rows that can be pickled: only its options travel, the weights are loaded where it runs.

    A row holds `image` and `trimap`, each a path or the bytes of a file; whatever else it holds is handed on. The row
    that comes back has `alpha`, float32 (H, W) in [0, 1], and `error`: one of the two is None. Errors that mean no file
    could be matted (WeightsError, a missing device) are raised, at the first row.

        ray.data.from_items(rows).map(mattecli.Predictor, fn_constructor_kwargs={"device": "cuda"}, concurrency=2)

    `weights`, `backend`, `device`, `provider` and `precision` as for `load_backend`, `tile` and `max_memory` (bytes) as
    for `predict_alpha`, `snap` as for `read_trimap`.
    """

    def __init__(
        self,
        weights: str | Path | None = None,
        *,
        backend: str = "auto",
        device: str = "auto",
        provider: str | None = None,
        precision: str = "auto",
        tile: Tile = "auto",
        max_memory: int | None = None,
        snap: int = 0,
    ) -> None:
        self.weights, self.backend, self.precision = weights, backend, precision
        self.device, self.provider = device, provider
        self.tile, self.max_memory, self.snap = tile, max_memory, snap
        self._loading = threading.Lock()
        self._backend: Backend | None = None

    def load(self) -> Backend:
        """The network with its weights, loaded at the first call and then kept."""
        with self._loading:
            if self._backend is None:
                from mattecli.inference.backend import load_backend

                self._backend = load_backend(
                    self.weights,
                    backend=self.backend,
                    device=self.device,
                    provider=self.provider,
                    precision=self.precision,
                )
            return self._backend

    def alpha(
        self, photo: Image, trimap: NDArray[np.uint8], *, name: str = "the image"
    ) -> tuple[NDArray[np.float32], int | str]:
        """The alpha, float32 (H, W), of a photo and a trimap that are read already, and the tile it was made in ("off"
        for the whole at once). Errors are `predict_alpha`'s; `name` stands in them.
        """
        plans: list[Plan] = []
        if ((trimap != 0) & (trimap != 255)).any():
            height, width = trimap.shape
            plan(height, width, self.load(), tile=self.tile, max_memory=self.max_memory, name=name)
        alpha = predict_alpha(
            photo.pixels,
            trimap,
            self.load(),
            tile=self.tile,
            max_memory=self.max_memory,
            on_plan=plans.append,
        )
        return alpha, "off" if not plans or plans[-1].whole else plans[-1].tile

    def __call__(self, row: Row) -> Row:
        """The row with `alpha` and `error`."""
        self.load()  # without a network no row can be matted: its errors are the run's
        try:
            image = _source(row, "image")
            photo, trimap = read_pair(image, _source(row, "trimap"), snap=self.snap)
            alpha, _ = self.alpha(photo, trimap, name=source_name(image, "the image"))
        except MatteError as error:
            return {**row, "alpha": None, "error": str(error)}
        return {**row, "alpha": alpha, "error": None}

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_loading", "_backend")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._loading = threading.Lock()
        self._backend = None


def _source(row: Row, key: str) -> Source:
    value = row.get(key)
    if isinstance(value, (str, Path, bytes)) and value != "-":
        return value
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    raise InputError(f"the row's {key!r} is {type(value).__name__}; give the path of a file, or its bytes")
