"""Finds a photo's subject with a model of rembg.

rembg is another project, and the weights of its models are other people's. It is the extra `mattecli[auto]`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from mattecli.errors import DeviceError, InputError, UsageError, WeightsError
from mattecli.imaging.image import to_depth

if TYPE_CHECKING:
    from types import ModuleType

DEFAULT = "birefnet-general-lite"
NOTHING, EVERYTHING = 0.0005, 0.99  # shares of a photo below and above which no subject was found

_OTHER_WAYS = "or mark the subject with `box` or `scribbles`, or give a mask"


@dataclass(frozen=True)
class Weights:
    """What is known of a model's weights: the licence as their authors state it, and the size of the file."""

    licence: str
    size: str


# BiRefNet's author states MIT for all weights (github.com/ZhengPeng7/BiRefNet/issues/316); one of the data sets has
# terms of its own (issue 306 there). U²-Net's author states Apache-2.0 (github.com/xuebinqin/U-2-Net/issues/208).
# DIS has a licence for its code alone (github.com/xuebinqin/DIS/issues/150).
_MIT, _APACHE = "MIT", "Apache-2.0"
MODELS = {
    DEFAULT: Weights(_MIT, "224 MB"),
    "birefnet-general": Weights(_MIT, "973 MB"),
    "birefnet-portrait": Weights(_MIT, "973 MB"),
    "u2net": Weights(_APACHE, "176 MB"),
    "u2net_human_seg": Weights(_APACHE, "176 MB"),
    "u2netp": Weights(_APACHE, "5 MB"),
    "isnet-general-use": Weights("not stated by its authors", "179 MB"),
    "bria-rmbg": Weights("CC BY-NC 4.0, not for commercial use", "about 1 GB"),
}
CUSTOM = ("u2net_custom", "dis_custom")  # rembg's sessions for a file of one's own, as `u2net_custom=FILE`


def never(_: str) -> bool:
    """The answer of those who must not download."""
    return False


class SubjectFinder:
    """A model of rembg, loaded. It runs on the CPU, one photo at a time; calls from several threads wait."""

    def __init__(self, name: str, session: Any) -> None:
        self.name = name
        self._session = session
        self._one_at_a_time = threading.Lock()

    def find(self, photo: NDArray[Any], *, name: str = "the photo") -> NDArray[np.uint8]:
        """A soft mask of the subject, (H, W), of a photo: RGB (H, W, 3) of uint8, uint16 or floats in [0, 1].

        Raises `InputError`, which names `name`, where the model finds nothing or takes the whole photo. Raises
        `DeviceError` where it cannot run.
        """
        picture = PIL.Image.fromarray(to_depth(photo, 8))
        try:
            # rembg stretches what the model gives to 0…1, which divides by zero where all of it is equal.
            with self._one_at_a_time, np.errstate(all="ignore"):
                masks = self._session.predict(picture)
        except Exception as error:
            raise DeviceError(f"{self.name} failed on {name} ({_first_line(error)})") from error
        mask = np.max([np.asarray(one.convert("L")) for one in masks], axis=0)
        share = np.count_nonzero(mask >= 128) / mask.size
        if share < NOTHING or share > EVERYTHING:
            what = "found no subject in" if share < NOTHING else "took everything for the subject in"
            raise InputError(f"{self.name} {what} {name}; try another `auto_model`, {_OTHER_WAYS}")
        return np.asarray(mask, np.uint8)


def check_model(model: str) -> str:
    """The model's name. Raises `UsageError` for one that is not known here."""
    kind, _, file = model.partition("=")
    if model in MODELS or (kind in CUSTOM and file):
        return model
    raise UsageError(
        f"`auto_model` must be one of {', '.join(MODELS)}, or {CUSTOM[0]}=FILE or {CUSTOM[1]}=FILE, not {model}"
    )


def open_model(model: str = DEFAULT) -> SubjectFinder:
    """Load a model of rembg, by its name there, or as `u2net_custom=FILE` (or `dis_custom=FILE`) from an ONNX file.

    Nothing is downloaded; see `fetch_model`. The last model that was loaded is kept. Raises what `fetch_model` does,
    and `WeightsError` for weights that cannot be opened.
    """
    fetch_model(model)
    return _opened(model)


def fetch_model(model: str, *, may_download: Callable[[str], bool] = never) -> None:
    """See that a model's weights are on this machine.

    If not, `may_download` is called with their name, size and licence in a sentence, and says whether rembg may fetch
    them. Raises `UsageError` for a name that is not known, `DeviceError` without rembg, and `WeightsError` for weights
    that are missing or cannot be fetched.
    """
    check_model(model)
    if model not in MODELS:
        kind, _, file = model.partition("=")
        if not Path(file).expanduser().is_file():
            raise WeightsError(f"{file} does not exist; name the ONNX file of a model after {kind}=")
    session = _session_class(model.partition("=")[0])
    if model not in MODELS:
        return
    if session.resolve_existing(f"{model}.onnx") is not None:
        return
    weights = MODELS[model]
    if not may_download(f"{model} is a model of rembg: {weights.size}, licence: {weights.licence}"):
        raise WeightsError(
            f"the weights of {model} ({weights.size}, licence: {weights.licence}) are not on this machine; fetch them "
            f"once with `matte trimap PHOTO --auto --auto-model {model} --download`, {_OTHER_WAYS}"
        )
    try:
        session.download_models()
    except Exception as error:
        # What requests says of a network is several lines of addresses.
        why = _first_line(error) if isinstance(error, ValueError) else type(error).__name__
        raise WeightsError(
            f"the weights of {model} could not be fetched ({why}); check the network, {_OTHER_WAYS}"
        ) from error


@lru_cache(maxsize=1)
def _opened(model: str) -> SubjectFinder:
    kind, _, file = model.partition("=")
    chosen: dict[str, Any] = {"model_path": file} if file else {}
    make = _rembg().new_session
    try:
        session = make(kind, providers=["CPUExecutionProvider"], **chosen)
    except ValueError as error:
        home = _session_class(kind).rembg_home()
        raise WeightsError(f"rembg opens {file} only in its own folder {home}; copy it there") from error
    except Exception as error:
        raise WeightsError(
            f"the weights of {model} cannot be opened ({_first_line(error)}); remove the file, and fetch it again"
        ) from error
    return SubjectFinder(kind if file else model, session)


def _session_class(name: str) -> Any:
    _rembg()
    from rembg.sessions import sessions

    if name not in sessions:
        raise DeviceError(f"this version of rembg does not know {name}; pip install --upgrade 'mattecli[auto]'")
    return sessions[name]


def _rembg() -> ModuleType:
    """The package; its first import takes a minute, since it compiles what another package of its own needs."""
    try:
        import rembg
    except ImportError as error:
        raise DeviceError(
            f"`auto` needs rembg, which is not installed; pip install 'mattecli[auto]', {_OTHER_WAYS}"
        ) from error
    return cast("ModuleType", rembg)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
