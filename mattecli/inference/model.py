"""From a photo and its trimap to the alpha matte."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mattecli.errors import DeviceError, InputError, OutOfMemoryError
from mattecli.imaging.pixels import check_range
from mattecli.inference import tiling
from mattecli.inference.backend import Backend, load_backend
from mattecli.inference.options import RunOptions
from mattecli.inference.plan import SMALLEST_TILE, Tile, plan
from mattecli.inference.tiling import Plan, Progress, estimate
from mattecli.network.inputs import FULL_SCALE, Picture
from mattecli.spec import STRIDE


class Model:
    """The network with its weights: the one thing that runs.

    Nothing is loaded before it is needed. A pickled model takes its options along, not its weights, and loads anew
    where it runs. Several threads may load and use one model.
    """

    def __init__(self, options: RunOptions | None = None, *, backend: Backend | None = None) -> None:
        self.options = options or RunOptions()
        self._loading = threading.Lock()
        self._backend = backend

    @property
    def backend(self) -> Backend:
        """What runs the network; loaded at the first call. Raises WeightsError, DeviceError or UsageError."""
        with self._loading:
            if self._backend is None:
                options = self.options
                self._backend = load_backend(
                    options.weights,
                    backend=options.backend,
                    device=options.device,
                    provider=options.provider,
                    precision=options.precision,
                )
            return self._backend

    def load(self) -> Model:
        """Load the network now, so that its errors come now."""
        _ = self.backend
        return self

    def plan(self, height: int, width: int, *, name: str = "the image") -> Plan:
        """How an image of that size will be run; see `mattecli.inference.plan.plan`."""
        options = self.options
        return plan(height, width, self.backend, tile=options.tile, max_memory=options.max_memory, name=name)

    def predict(
        self,
        image: NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.float32],
        trimap: NDArray[np.uint8],
        *,
        name: str = "the image",
        on_plan: Callable[[Plan], None] | None = None,
        progress: Progress | None = None,
    ) -> NDArray[np.float32]:
        """The alpha matte of a photo, float32 (H, W) in [0, 1]; see `predict_alpha`."""
        _check(image, trimap)
        picture = Picture(image, trimap)
        unknown = picture.unknown()
        if not unknown.any():
            return np.asarray(trimap == 255, np.float32)
        height, width = trimap.shape
        backend = self.backend
        chosen = self.plan(height, width, name=name)
        raw = None
        while raw is None:
            if on_plan is not None:
                on_plan(chosen)
            try:
                raw = tiling.run(
                    backend, picture, unknown, tile=chosen.tile, keep=chosen.keep, host=chosen.host, progress=progress
                )
            except OutOfMemoryError as error:
                chosen = _smaller(chosen, picture, backend, self.options.tile, error)
        alpha = np.ascontiguousarray(raw[:height, :width], np.float32)
        np.clip(alpha, 0, 1, out=alpha)
        for known, value in ((0, 0), (255, 1)):
            np.copyto(alpha, value, where=trimap == known)
        return alpha

    def __getstate__(self) -> dict[str, Any]:
        return {"options": self.options}

    def __setstate__(self, state: dict[str, Any]) -> None:
        Model.__init__(self, state["options"])


def load_model(
    weights: str | Path | None = None,
    *,
    backend: str = "auto",
    device: str = "auto",
    provider: str | None = None,
    precision: str = "auto",
    tile: Tile = "auto",
    max_memory: int | None = None,
) -> Model:
    """The model that runs with these options, loaded; `RunOptions` says what they mean.

    Raises WeightsError, DeviceError or UsageError.
    """
    options = RunOptions(
        weights=weights,
        backend=backend,
        device=device,
        provider=provider,
        precision=precision,
        tile=tile,
        max_memory=max_memory,
    )
    return Model(options).load()


def predict_alpha(
    image: NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.float32],
    trimap: NDArray[np.uint8],
    backend: Backend,
    *,
    tile: Tile = "auto",
    max_memory: int | None = None,
    name: str = "the image",
    on_plan: Callable[[Plan], None] | None = None,
    progress: Progress | None = None,
) -> NDArray[np.float32]:
    """The alpha matte of a photo, float32 (H, W) in [0, 1].

    `image` is RGB (H, W, 3) in uint8, uint16 or float32 in [0, 1]; `trimap` uint8 (H, W), 0 for background, 255 for
    foreground, anything else unknown. Known pixels get the trimap's value exactly. A trimap without unknown pixels is
    its own matte and needs no run.

    The network runs in tiles, which changes nothing but time and memory: see `plan`, whose `tile`, `max_memory` and
    `name` these are. `on_plan` is called with what is about to run; should the device run out of memory all the same,
    an `auto` tile is halved and `on_plan` called again. `progress` is called with the pass, its tiles done and all of
    them.

    Raises InputError when shapes, types or floats' range do not fit, DeviceError when the memory does not suffice.
    """
    model = Model(RunOptions(tile=tile, max_memory=max_memory), backend=backend)
    return model.predict(image, trimap, name=name, on_plan=on_plan, progress=progress)


def _smaller(chosen: Plan, picture: Picture, backend: Backend, tile: Tile, error: OutOfMemoryError) -> Plan:
    """The next plan to try after the device ran out of memory."""
    half = chosen.tile // 2 // STRIDE * STRIDE
    if tile != "auto" or half < SMALLEST_TILE:
        remedy = "free some of it or use --device cpu" if tile == "auto" else "use --tile auto or a smaller one"
        raise DeviceError(
            f"{error} at {picture.width}×{picture.height} pixels in tiles of {chosen.tile}; {remedy}"
        ) from error
    return estimate(backend, picture.height, picture.width, tile=half, host=chosen.host)


def _check(image: NDArray[np.generic], trimap: NDArray[np.uint8]) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype.name not in FULL_SCALE:
        raise InputError(
            f"the image is {image.shape} of {image.dtype}; give (H, W, 3) RGB as uint8, uint16 or float32 in [0, 1]"
        )
    check_range(image, "the image")
    if trimap.ndim != 2 or trimap.dtype != np.uint8:
        raise InputError(f"the trimap is {trimap.shape} of {trimap.dtype}; give (H, W) as uint8")
    if image.shape[:2] != trimap.shape:
        sizes = [f"{array.shape[1]}×{array.shape[0]}" for array in (trimap, image)]
        raise InputError(
            f"the trimap is {sizes[0]} but the image is {sizes[1]}; make the trimap at the image's full size"
        )
