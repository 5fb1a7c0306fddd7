"""Matting for row engines such as Ray Data, Spark and Daft."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mattecli.errors import DeviceError, InputError
from mattecli.imaging.reading.open import Source
from mattecli.inference.model import Model
from mattecli.inference.options import RunOptions
from mattecli.trimaps.pairs import read_pair, source_name

if TYPE_CHECKING:
    from mattecli.inference.backend import Backend

Row = dict[str, Any]


class Predictor:
    """A function from rows to rows that can be pickled: only its options travel, the weights are loaded where it runs.

    A row holds `image` and `trimap`, each a path or the bytes of a file; whatever else it holds is handed on. The row
    that comes back has `alpha`, float32 (H, W) in [0, 1], and `error`: one of the two is None. Errors that mean no file
    could be matted are raised: UsageError here or at the first row, WeightsError and a missing device at the first row.
    A device that fails later is the row's error, because one photo may have brought it about.

        ray.data.from_items(rows).map(mattecli.Predictor, fn_constructor_kwargs={"device": "cuda"}, concurrency=2)

    The options are those of `RunOptions`.
    """

    def __init__(self, weights: str | Path | None = None, **options: Any) -> None:
        self.model = Model(RunOptions(weights=weights, **options))

    def load(self) -> Backend:
        """The network with its weights, loaded at the first call and then kept."""
        return self.model.backend

    def __call__(self, row: Row) -> Row:
        """The row with `alpha` and `error`."""
        self.model.load()  # without a network no row can be matted: its errors are the run's
        try:
            image = _source(row, "image")
            options = self.model.options
            trimap = _source(row, "trimap")
            pair = read_pair(image, trimap, snap=options.snap, exposure=options.network_exposure)
            alpha = self.model.predict(pair.view, pair.trimap, name=source_name(image, "the image"))
        except (InputError, DeviceError) as error:
            return {**row, "alpha": None, "error": str(error)}
        return {**row, "alpha": alpha, "error": None}


def _source(row: Row, key: str) -> Source:
    value = row.get(key)
    if isinstance(value, (str, Path, bytes)) and value != "-":
        return value
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    raise InputError(f"the row's {key!r} is {type(value).__name__}; give the path of a file, or its bytes")
