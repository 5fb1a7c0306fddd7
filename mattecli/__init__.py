"""Image matting with the A2U network: the alpha matte of a photo from a trimap.

    import mattecli

    photo = mattecli.read_image("photo.jpg")
    trimap = mattecli.read_trimap("photo_trimap.png")
    alpha = mattecli.predict_alpha(photo.pixels, trimap, mattecli.load_backend())
    mattecli.write_alpha("photo_alpha.png", alpha)

Nothing heavy is imported before a name is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

_HOMES = {
    "Backend": "mattecli.backends",
    "DeviceError": "mattecli.errors",
    "Image": "mattecli.image",
    "InputError": "mattecli.errors",
    "MatteError": "mattecli.errors",
    "Predictor": "mattecli.predictor",
    "Scores": "mattecli.metrics",
    "UsageError": "mattecli.errors",
    "WeightsError": "mattecli.errors",
    "composite": "mattecli.compositing",
    "cutout": "mattecli.compositing",
    "estimate_foreground": "mattecli.compositing",
    "fit_background": "mattecli.compositing",
    "load_backend": "mattecli.backends",
    "make_trimap": "mattecli.trimap",
    "predict_alpha": "mattecli.matting",
    "read_alpha": "mattecli.image",
    "read_image": "mattecli.image",
    "read_trimap": "mattecli.image",
    "score": "mattecli.metrics",
    "write_alpha": "mattecli.image",
    "write_image": "mattecli.image",
}

if TYPE_CHECKING:
    from mattecli.backends import Backend, load_backend
    from mattecli.compositing import composite, cutout, estimate_foreground, fit_background
    from mattecli.errors import DeviceError, InputError, MatteError, UsageError, WeightsError
    from mattecli.image import Image, read_alpha, read_image, read_trimap, write_alpha, write_image
    from mattecli.matting import predict_alpha
    from mattecli.metrics import Scores, score
    from mattecli.predictor import Predictor
    from mattecli.trimap import make_trimap

__all__ = [
    "Backend",
    "DeviceError",
    "Image",
    "InputError",
    "MatteError",
    "Predictor",
    "Scores",
    "UsageError",
    "WeightsError",
    "composite",
    "cutout",
    "estimate_foreground",
    "fit_background",
    "load_backend",
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
