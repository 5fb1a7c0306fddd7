"""One request of the HTTP API: from uploaded files to outputs."""

from __future__ import annotations

import math
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mattecli.errors import MatteError, UsageError
from mattecli.imaging.image import Image
from mattecli.imaging.options import ReadOptions
from mattecli.imaging.products import FILE_FORMATS, check_over, depths, parse_products, suffixes
from mattecli.imaging.view import network_view
from mattecli.inference.model import Model
from mattecli.server.finish import Finish
from mattecli.server.models import Models
from mattecli.server.refusals import BusyError, DiskError, GoneError
from mattecli.system.files import met_full_disk
from mattecli.trimaps.recipe import MaskRecipe
from mattecli.trimaps.segmentation import prepare_photo, segment
from mattecli.trimaps.strokes import parse_box
from mattecli.work.job import run_job
from mattecli.work.making import Making
from mattecli.work.outcome import Job
from mattecli.work.outputs import OutputOptions

_REMEMBERED = 20  # requests whose time tells how long the next ones take


@dataclass(frozen=True, kw_only=True)
class Request:
    """Uploaded files and what is to be made of them. `what` and `box` are as on the command line.

    `form` is the format of products that name none. `background` is a colour or `transparent`. `gone` says whether the
    client waits for the answer no longer.
    """

    image: Path
    trimap: Path | None = None
    mask: Path | None = None
    box: str | None = None
    what: str = "alpha"
    form: str = "png"
    background: str | None = None
    gone: Callable[[], bool] = field(default=lambda: False, compare=False)

    def check(self) -> None:
        """Raise `UsageError` for values that cannot be meant, before anything is read."""
        given = [name for name in ("trimap", "mask", "box") if getattr(self, name) is not None]
        if not given:
            raise UsageError("nothing says where the subject is; send a trimap, a mask or a box")
        if len(given) > 1:
            raise UsageError(f"{' and '.join(given)} each make a whole trimap; send one of them")
        if self.form not in FILE_FORMATS:
            raise UsageError(f"format must be one of {', '.join(FILE_FORMATS)}, not {self.form!r}")
        try:
            products = parse_products(self._what())
            check_over(products, self.background)
        except ValueError as error:
            raise UsageError(f"what {error}") from error
        if ("composite" in products) != (self.background is not None):
            raise UsageError("a composite needs both: composite in what, and its background")
        if self.background is not None:
            Finish(background=self.background).over()

    def _what(self) -> str:
        """The products, each with its format. A format that cannot hold a product is refused by name."""
        kinds = [part.strip() for part in self.what.split(",")]
        return ",".join(kind if ":" in kind or kind == "layers" else f"{kind}:{self.form}" for kind in kinds)

    def job(self, folder: Path) -> tuple[Job, OutputOptions]:
        """The job that makes its outputs in a folder, and how."""
        products = parse_products(self._what())
        endings = suffixes(products)
        outputs: dict[str, str] = {kind: str(folder / f"{self.image.stem}_{kind}{endings[kind]}") for kind in products}
        source = self.trimap or self.mask or self.image
        making = Making(recipe=MaskRecipe()) if self.mask is not None else None
        job = Job(self.image.name, str(self.image), str(source), outputs, self.background, making=making)
        return job, OutputOptions(depths=depths(products))


class Requests:
    """Carries out requests with one model, one at a time; up to `queue` others wait. Safe to use from threads."""

    def __init__(self, model: Model, *, queue: int = 4, reading: ReadOptions | None = None) -> None:
        self._models = Models(model)
        self.most = queue + 1  # requests that are carried out or wait
        self._reading = reading or ReadOptions()
        self._one, self._counting = threading.Lock(), threading.Lock()
        self._taken = 0
        self._seconds: deque[float] = deque(maxlen=_REMEMBERED)

    def load(self) -> None:
        """Load what most requests need, so that errors come now."""
        self._models.settled(eight_bits=True).load()

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place in the queue. Raises `BusyError` where it is full."""
        with self._counting:
            if self._taken >= self.most:
                usual = sum(self._seconds) / len(self._seconds) if self._seconds else 1.0
                raise BusyError(
                    f"{self._taken} requests are carried out or wait, which is all that this server takes on; ask "
                    "again later",
                    after=max(1, math.ceil(usual * self._taken)),
                )
            self._taken += 1
        try:
            yield
        finally:
            with self._counting:
                self._taken -= 1

    def outputs(self, request: Request, folder: Path) -> list[Path]:
        """The files that were made of a request, in a folder that exists. Waits for the requests before it.

        Raises `GoneError` where the client has gone meanwhile, `DiskError` where the disk is full, and what `run_job`
        raises; names of files stand in the messages without their folders.
        """
        request.check()
        with self._one:
            if request.gone():
                raise GoneError("the client has gone")
            began = time.perf_counter()
            job, options = request.job(folder)
            # As on the command line: a trimap that the network helps to find is made in fp32, and its alpha is, too.
            model = self._models.settled(eight_bits=request.box is None and options.show_8_bits(job))
            try:
                run_job(
                    job,
                    model,
                    options=options,
                    reading=self._reading,
                    lint=False,  # there is nobody to read notes
                    make_trimap=None if request.box is None else lambda photo, _: self._boxed(photo, request),
                )
            except MatteError as error:
                kind = DiskError if met_full_disk(error) else type(error)
                raise kind(_bare(str(error), request.image.parent.parent)) from error
            self._seconds.append(time.perf_counter() - began)
        return [Path(output) for output in job.outputs.values()]

    def _boxed(self, photo: Image, request: Request) -> NDArray[np.uint8]:
        """The trimap of a photo from a box, as `matte predict --box` makes it."""
        return segment(
            prepare_photo(network_view(photo, exposure=self._models.own.options.network_exposure)),
            box=parse_box(request.box or "", photo.size),
            matte=lambda small, known: self._models.own.predict(small, known, name=request.image.name),
        )


def _bare(message: str, folder: Path) -> str:
    """A message without the folders of the server."""
    return re.sub(re.escape(str(folder)) + r"[\\/](?:image|trimap|mask)?[\\/]?", "", message)
