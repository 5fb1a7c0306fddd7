"""From a photo and its trimap to the alpha matte."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mattecli.errors import DeviceError, OutOfMemoryError, UsageError
from mattecli.imaging.given import Given, given_name, given_photo
from mattecli.imaging.view import check_exposure, network_view
from mattecli.inference import arena, tiling
from mattecli.inference.backend import Backend, begin_import, load_backend
from mattecli.inference.coarse import Draft, draft
from mattecli.inference.options import RunOptions
from mattecli.inference.plan import SMALLEST_TILE, Plan, Tile, check_limit, check_tile, estimate, plan, plan_on_host
from mattecli.inference.tiling import Progress, Statistics
from mattecli.network.inputs import Picture
from mattecli.spec import STRIDE
from mattecli.trimaps.check import check_size, check_snap
from mattecli.trimaps.pairs import given_trimap, over_data_window
from mattecli.weights import find_checkpoint


class Model:
    """The network with its weights: the one thing that runs.

    Nothing is loaded before it is needed. A pickled model takes its options along, not its weights, and loads anew
    where it runs; one that was given a backend cannot be pickled. Several threads may load and use one model.

    Raises UsageError for a `snap`, `tile`, `max_memory` or `network_exposure` that cannot be meant.
    """

    def __init__(self, options: RunOptions | None = None, *, backend: Backend | None = None) -> None:
        self.options = options or RunOptions()
        check_snap(self.options.snap)
        check_tile(self.options.tile)
        check_limit(self.options.max_memory)
        check_exposure(self.options.network_exposure)
        self._loading = threading.Lock()
        self._backend = backend
        self._given = backend is not None

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
                    threads=options.threads,
                )
            return self._backend

    def begin(self) -> None:
        """Begin to load in a thread, if nothing is loaded yet: the import of PyTorch takes the longest of it.

        Raises WeightsError for weights that are missing or damaged; `backend` raises all other errors.
        """
        if self._backend is None:
            checkpoint = find_checkpoint(self.options.weights)
            begin_import(self.options.backend, exported=checkpoint.exported, provider=self.options.provider)

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
        image: Given,
        trimap: Given,
        *,
        name: str = "the image",
        on_plan: Callable[[Plan], None] | None = None,
        on_draft: Callable[[Draft], None] | None = None,
        progress: Progress | None = None,
        statistics: Statistics | None = None,
    ) -> NDArray[np.float32]:
        """The alpha matte of a photo, float32 (H, W) in [0, 1].

        `image` is RGB (H, W, 3) or grey (H, W), of uint8, uint16 or floats in [0, 1]. An array is sRGB, and the
        network sees it as it is. Anything else it sees in sRGB, whatever its own colour space is, and brighter by the
        option `network_exposure` (`network_view`). `trimap` (H, W) is 0 for background, 255 for foreground, and unknown
        everywhere else. Both may also be a PIL image, a file's name or bytes, or other kinds of array: see docs/api.md.
        The pixels of an OpenEXR plate are those of its data window; a trimap of the display window's size is extended
        at its edges, or cut, to that, and the alpha has that size. Known pixels get the trimap's value exactly. A
        trimap without unknown pixels is its own matte and needs no run.

        The network runs in tiles, which changes nothing but time and memory: see `plan`. `name` stands in messages.
        `on_plan` is called with what is about to run; should the device run out of memory all the same, an `auto` tile
        is halved, in the end maps go to the host's memory, and `on_plan` is called again. `progress` is called with the
        pass, its tiles done and all of them; `mattecli.inference.tiling.PASSES` has the passes in their order. What
        `progress` raises ends the run and reaches the caller: that is the way to cancel one.

        With the option `coarse_to_fine` the network runs on what a `draft` leaves unknown, whose coarse structure then
        corrects the alpha. `on_draft` is called if a copy was matted for that. With `statistics`, those of
        `tiling.run`, the network runs on the trimap as it is.

        Raises InputError for an image or a trimap that cannot be used, DeviceError when the memory does not suffice,
        and what `backend` raises where the model is not loaded yet.
        """
        name = given_name(image, name)
        options = self.options
        photo, codes = _checked(image, trimap, name=name, snap=options.snap, exposure=options.network_exposure)
        found = Draft(codes) if statistics is not None else self._draft(photo, codes, name, progress)
        if found.alpha is not None and on_draft is not None:
            on_draft(found)
        return found.corrected(self._matte(photo, found.trimap, name, on_plan, progress, statistics))

    def draft(self, image: Given, trimap: Given, *, name: str = "the image", progress: Progress | None = None) -> Draft:
        """What the matte of a small copy says; without the option `coarse_to_fine` only the trimap as it is.

        `progress` is called as at the start of a run while the copy is matted. Arguments and errors are those of
        `predict`.
        """
        name = given_name(image, name)
        options = self.options
        photo, codes = _checked(image, trimap, name=name, snap=options.snap, exposure=options.network_exposure)
        return self._draft(photo, codes, name, progress)

    def _draft(self, photo: NDArray[Any], codes: NDArray[np.uint8], name: str, progress: Progress | None) -> Draft:
        if not self.options.coarse_to_fine:
            return Draft(codes)

        def still(*_: object) -> None:
            if progress is not None:
                progress(tiling.PASSES[0], 0, 1)

        def matte(small: NDArray[Any], known: NDArray[np.uint8]) -> NDArray[np.float32]:
            self.plan(*codes.shape, name=name)  # what would be refused at full size is refused before the copy is run
            # Tiles of its own choice, so that the option `tile` does not change what the copy decides.
            return self._matte(small, known, name, None, still, tile="auto")

        return draft(photo, codes, matte)

    def _matte(
        self,
        photo: NDArray[Any],
        codes: NDArray[np.uint8],
        name: str,
        on_plan: Callable[[Plan], None] | None,
        progress: Progress | None,
        statistics: Statistics | None = None,
        tile: Tile | None = None,
    ) -> NDArray[np.float32]:
        picture = Picture(photo, codes)
        unknown = picture.unknown()
        if not unknown.any():
            return np.asarray(codes == 255, np.float32)
        height, width = codes.shape
        backend = self.backend
        tile = self.options.tile if tile is None else tile
        chosen = plan(height, width, backend, tile=tile, max_memory=self.options.max_memory, name=name)
        raw = None
        while raw is None:
            if on_plan is not None:
                on_plan(chosen)
            try:
                raw = tiling.run(
                    backend,
                    picture,
                    unknown,
                    tile=chosen.tile,
                    keep=chosen.keep,
                    host=chosen.host,
                    progress=progress,
                    statistics=statistics,
                )
            except OutOfMemoryError as error:
                chosen = _smaller(chosen, picture, backend, tile, error)
        alpha = np.ascontiguousarray(raw[:height, :width], np.float32)
        _check_finite(alpha, unknown[:height, :width], backend, name)
        np.clip(alpha, 0, 1, out=alpha)
        for known, value in ((0, 0), (255, 1)):
            np.copyto(alpha, value, where=codes == known)
        return alpha

    def __getstate__(self) -> dict[str, Any]:
        if self._given:
            raise UsageError("a Model that was given a backend cannot be pickled; make it with load_model instead")
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
    snap: int = 0,
    threads: int | None = None,
    coarse_to_fine: bool = True,
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
        snap=snap,
        threads=threads,
        coarse_to_fine=coarse_to_fine,
    )
    return Model(options).load()


_default: Model | None = None
_choosing = threading.Lock()


def default_model() -> Model:
    """The model that `predict_alpha` runs where none is given: `load_model()`, once a process, for all threads."""
    global _default
    with _choosing:
        if _default is None:
            _default = Model()
        return _default


def drop_default_model() -> None:
    """Let go of the default model and the memory that it takes; the next `predict_alpha` loads it again.

    The memory that maps of any model's runs on the CPU took, and that is kept for later runs, is given back, too.
    A card's memory is free for PyTorch then; other programs get it after `torch.cuda.empty_cache()`.
    """
    global _default
    with _choosing:
        _default = None
    arena.shared.give_back()  # what its maps took is kept for those of other runs


def predict_alpha(
    image: Given,
    trimap: Given,
    model: Model | Backend | None = None,
    *,
    backend: Backend | None = None,
    tile: Tile | None = None,
    max_memory: int | None = None,
    name: str = "the image",
    on_plan: Callable[[Plan], None] | None = None,
    progress: Progress | None = None,
) -> NDArray[np.float32]:
    """The alpha matte of a photo, float32 (H, W) in [0, 1]: `Model.predict` as a function, which says what it takes.

    `model` is what `load_model` gives, or a backend, which may also be named `backend`. A backend runs on the full size
    alone, never from coarse to fine. Without either it is the default model, which is loaded at the first call and kept
    (`drop_default_model` lets go of it). `tile` and `max_memory` take the place of the model's own.

    Raises UsageError for a model and a backend at once, and what `Model.predict` raises.
    """
    chosen = _chosen(model, backend)
    if tile is not None or max_memory is not None:
        options = dataclasses.replace(
            chosen.options,
            tile=chosen.options.tile if tile is None else tile,
            max_memory=chosen.options.max_memory if max_memory is None else max_memory,
        )
        chosen = Model(options, backend=chosen.backend)
    return chosen.predict(image, trimap, name=name, on_plan=on_plan, progress=progress)


def _chosen(model: Model | Backend | None, backend: Backend | None) -> Model:
    if model is not None and backend is not None:
        raise UsageError("`model` and `backend` are both given; give one of the two")
    runs = backend if model is None else model
    if runs is None:
        return default_model()
    if isinstance(runs, Model):
        return runs
    if not hasattr(runs, "free_bytes"):
        name = "backend" if model is None else "model"
        raise UsageError(f"`{name}` is a {type(runs).__name__}; give what load_model or load_backend returns")
    return Model(RunOptions(coarse_to_fine=False), backend=runs)


def _smaller(chosen: Plan, picture: Picture, backend: Backend, tile: Tile, error: OutOfMemoryError) -> Plan:
    """The next plan to try after the device ran out of memory."""
    half = chosen.tile // 2 // STRIDE * STRIDE
    if tile == "auto" and half < SMALLEST_TILE and not chosen.host:
        on_host = plan_on_host(backend, picture.height, picture.width, below=chosen.bytes)
        if on_host is not None:
            return on_host
    if tile != "auto" or half < SMALLEST_TILE:
        remedy = "free some of it" if backend.device == "cpu" else f"free some of it or {_to_cpu(backend)}"
        remedy = remedy if tile == "auto" else "use `tile=auto` or a smaller one"
        raise DeviceError(
            f"{error} at {picture.width}×{picture.height} pixels in tiles of {chosen.tile}; {remedy}"
        ) from error
    return estimate(backend, picture.height, picture.width, tile=half, host=chosen.host)


def _check_finite(alpha: NDArray[np.float32], unknown: NDArray[np.bool_], backend: Backend, name: str) -> None:
    """Raise DeviceError if the alpha of an unknown pixel is infinite or no number."""
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(alpha.sum()):  # one fast pass, which a value that is not finite always shows in
            return
    count = np.count_nonzero(unknown & ~np.isfinite(alpha))
    if not count:
        return
    remedy = "use `precision=fp32`"
    if backend.precision == "fp32":
        remedy = "use other weights" if backend.device == "cpu" else _to_cpu(backend)
    raise DeviceError(
        f"the alpha of {name} is not finite at {count} of its unknown pixels, in {backend.precision} on "
        f"{backend.device}; {remedy}"
    )


def _to_cpu(backend: Backend) -> str:
    """The remedy that takes a run to the CPU; ONNX Runtime may be there by `provider`, which that would contradict."""
    return "use `device=cpu`, without `provider`" if backend.name == "onnx" else "use `device=cpu`"


def _checked(
    image: Given, trimap: Given, *, name: str, snap: int, exposure: float
) -> tuple[NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.float32], NDArray[np.uint8]]:
    """The arrays of a photo (H, W, 3) and its trimap (H, W), of the types that the network's input knows."""
    picture, codes = given_photo(image, name), given_trimap(trimap, snap=snap)
    photo = network_view(picture, exposure=0.0 if isinstance(image, np.ndarray) else exposure)
    # OpenCV, which makes the copy of a large photo, takes the bytes of another order as they stand.
    photo = photo.astype(np.float32 if photo.dtype.kind == "f" else photo.dtype.newbyteorder("="), copy=False)
    windows = picture.metadata.windows
    if windows is not None and windows.data[2:] == picture.size:
        codes = over_data_window(codes, windows)
    sizes = [(array.shape[1], array.shape[0]) for array in (codes, photo)]
    check_size(*sizes, name=given_name(trimap, "the trimap"), image_name=name)
    return photo, codes
