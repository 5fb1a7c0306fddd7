"""Image matting with the A2U network: alpha mattes from trimaps.

    import mattecli

    model = mattecli.load_model()
    alpha = model.predict("photo.jpg", "photo_trimap.png")
    mattecli.write_alpha("photo_alpha.png", alpha)

Nothing heavy is imported before a name is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from mattecli._version import __version__ as __version__

_HOMES = {
    "Backend": "mattecli.inference.backend",
    "Colour": "mattecli.imaging.choices",
    "Depth": "mattecli.imaging.options",
    "DeviceError": "mattecli.errors",
    "Draft": "mattecli.inference.coarse",
    "Fit": "mattecli.imaging.choices",
    "Given": "mattecli.imaging.given",
    "Image": "mattecli.imaging.image",
    "InputError": "mattecli.errors",
    "MatteError": "mattecli.errors",
    "Model": "mattecli.inference.model",
    "Plan": "mattecli.inference.plan",
    "Predictor": "mattecli.inference.rows",
    "Progress": "mattecli.inference.tiling",
    "ReadOptions": "mattecli.imaging.options",
    "RunOptions": "mattecli.inference.options",
    "Scores": "mattecli.evaluation.metrics",
    "Tile": "mattecli.inference.plan",
    "UsageError": "mattecli.errors",
    "WeightsError": "mattecli.errors",
    "Width": "mattecli.trimaps.widths",
    "WriteOptions": "mattecli.imaging.options",
    "composite": "mattecli.compositing.composite",
    "cutout": "mattecli.compositing.composite",
    "drop_default_model": "mattecli.inference.model",
    "estimate_foreground": "mattecli.compositing.foreground",
    "fit_background": "mattecli.compositing.composite",
    "load_backend": "mattecli.inference.backend",
    "load_model": "mattecli.inference.model",
    "make_trimap": "mattecli.trimaps.make",
    "predict_alpha": "mattecli.inference.model",
    "read_alpha": "mattecli.imaging.read",
    "read_image": "mattecli.imaging.read",
    "read_trimap": "mattecli.trimaps.pairs",
    "score": "mattecli.evaluation.metrics",
    "write_alpha": "mattecli.imaging.write",
    "write_image": "mattecli.imaging.write",
}

if TYPE_CHECKING:
    from mattecli.compositing.composite import composite, cutout, fit_background
    from mattecli.compositing.foreground import estimate_foreground
    from mattecli.errors import DeviceError, InputError, MatteError, UsageError, WeightsError
    from mattecli.evaluation.metrics import Scores, score
    from mattecli.imaging.choices import Colour, Fit
    from mattecli.imaging.given import Given
    from mattecli.imaging.image import Image
    from mattecli.imaging.options import Depth, ReadOptions, WriteOptions
    from mattecli.imaging.read import read_alpha, read_image
    from mattecli.imaging.write import write_alpha, write_image
    from mattecli.inference.backend import Backend, load_backend
    from mattecli.inference.coarse import Draft
    from mattecli.inference.model import Model, drop_default_model, load_model, predict_alpha
    from mattecli.inference.options import RunOptions
    from mattecli.inference.plan import Plan, Tile
    from mattecli.inference.rows import Predictor
    from mattecli.inference.tiling import Progress
    from mattecli.trimaps.make import make_trimap
    from mattecli.trimaps.pairs import read_trimap
    from mattecli.trimaps.widths import Width

__all__ = [
    "Backend",
    "Colour",
    "Depth",
    "DeviceError",
    "Draft",
    "Fit",
    "Given",
    "Image",
    "InputError",
    "MatteError",
    "Model",
    "Plan",
    "Predictor",
    "Progress",
    "ReadOptions",
    "RunOptions",
    "Scores",
    "Tile",
    "UsageError",
    "WeightsError",
    "Width",
    "WriteOptions",
    "composite",
    "cutout",
    "drop_default_model",
    "estimate_foreground",
    "fit_background",
    "load_backend",
    "load_model",
    "make_trimap",
    "predict_alpha",
    "read_alpha",
    "read_image",
    "read_trimap",
    "score",
    "write_alpha",
    "write_image",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
