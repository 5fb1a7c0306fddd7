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

from mattecli.errors import DeviceError, InputError, MatteError, UsageError, WeightsError
from mattecli.imaging.image import to_depth
from mattecli.system.files import content_digest

if TYPE_CHECKING:
    from types import ModuleType

DEFAULT = "birefnet-general-lite"
NOTHING, EVERYTHING = 0.0005, 0.99  # shares of a photo below and above which no subject was found

_OTHER_WAYS = "or mark the subject with a box or strokes, or give a mask"


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
_BY_SIDE = {320: "u2net_custom", 1024: "dis_custom"}  # the one for a file alone, by the side of its input


def never(_: str) -> bool:
    """The answer of those who must not download."""
    return False


class SubjectFinder:
    """A model of rembg, loaded. It runs on the CPU, one photo at a time; calls from several threads wait."""

    def __init__(self, name: str, session: Any) -> None:
        self.name = name
        self._session = session
        self._answers = _Answers(session.inner_session)
        session.inner_session = self._answers
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
                share = self._answers.share
        except Exception as error:
            raise DeviceError(f"{self.name} failed on {name} ({_first_line(error)})") from error
        if share < NOTHING or share > EVERYTHING:
            what = "found no subject in" if share < NOTHING else "took everything for the subject in"
            raise InputError(f"{self.name} {what} {name}; try another `auto_model`, {_OTHER_WAYS}")
        return np.asarray(np.max([np.asarray(one.convert("L")) for one in masks], axis=0), np.uint8)


class _Answers:
    """An ONNX session that remembers the share of pixels that its last answer takes for the subject.

    The masks that rembg makes of an answer do not tell: rembg stretches even an answer of 0.01 and less to 0…1.
    """

    def __init__(self, session: Any) -> None:
        self._session = session
        self.share = 0.0

    def run(self, *args: Any) -> list[NDArray[Any]]:
        found: list[NDArray[Any]] = self._session.run(*args)
        # Some models answer with probabilities, others with their log odds.
        even = 0.5 if found[0].min() >= 0 and found[0].max() <= 1 else 0.0
        self.share = float(np.mean(found[0] > even))
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


def check_model(model: str) -> str:
    """The model's name. Raises `UsageError` for one that is not known here."""
    kind, file = _kind_and_file(model)
    if (file and (kind in ("", *CUSTOM) or kind in MODELS)) or model in MODELS:
        return model
    raise UsageError(
        f"`auto_model` must be one of {', '.join(MODELS)}, an ONNX file such as model.onnx, or NAME=FILE with one of "
        f"these names, {CUSTOM[0]} or {CUSTOM[1]}, not {model}"
    )


def _kind_and_file(model: str) -> tuple[str, str]:
    """The name of a rembg session and a file, as `model` has them; either may be empty."""
    kind, equals, file = model.partition("=")
    if equals and (kind in CUSTOM or kind in MODELS):
        return kind, file
    if equals and Path(kind).name == kind:
        return model, ""  # a mistyped name rather than a file
    return ("", model) if model.lower().endswith(".onnx") else (model, "")


def model_word(model: str) -> str:
    """What tells a model from others: its name, or the content of its file. Raises InputError."""
    kind, file = _kind_and_file(model)
    return f"{kind}={content_digest(Path(file).expanduser())}" if file else model


def rooted_model(model: str) -> str:
    """The model with the absolute path of its file, if it has one."""
    kind, file = _kind_and_file(model)
    path = str(Path(file).expanduser().absolute())
    return (f"{kind}={path}" if kind else path) if file else model


def open_model(model: str = DEFAULT) -> SubjectFinder:
    """Load a model: one of rembg's by its name, or an ONNX file that may lie anywhere.

    `NAME=FILE` runs the file in rembg's session NAME, which knows how to prepare a photo for it. For `FILE` alone, the
    size of the model's input decides: `u2net_custom` for 320², `dis_custom` for 1024².

    Nothing is downloaded; see `fetch_model`. The last model that was loaded is kept. Raises what `fetch_model` does,
    and `WeightsError` for weights that cannot be opened.
    """
    fetch_model(model)
    return _opened(model, model_word(model))


def fetch_model(model: str, *, may_download: Callable[[str], bool] = never) -> None:
    """See that a model's weights are on this machine.

    If not, `may_download` is called with their name, size and licence in a sentence, and says whether rembg may fetch
    them. Raises `UsageError` for a name that is not known, `DeviceError` without rembg, and `WeightsError` for weights
    that are missing or cannot be fetched.
    """
    kind, file = _kind_and_file(check_model(model))
    if file:
        if not Path(file).expanduser().is_file():
            raise WeightsError(f"{file} does not exist; give `auto_model` the ONNX file of a model")
        _session_class(kind or CUSTOM[0])
        return
    session = _session_class(model)
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
def _opened(model: str, _word: str) -> SubjectFinder:  # opened anew where the word tells of another file
    kind, file = _kind_and_file(model)
    try:
        if file:
            return SubjectFinder(Path(file).name, _session_of(kind, str(Path(file).expanduser())))
        return SubjectFinder(model, _rembg().new_session(model, providers=["CPUExecutionProvider"]))
    except MatteError:
        raise
    except Exception as error:
        remedy = "give the ONNX file of a model" if file else "remove the file, and fetch it again"
        what = file or f"the weights of {model}"
        raise WeightsError(f"{what} cannot be opened ({_first_line(error)}); {remedy}") from error


def _session_of(kind: str, file: str) -> Any:
    """A session of rembg for a file anywhere. rembg's own custom sessions open files in rembg's folder only."""

    class OfFile(_session_class(kind or CUSTOM[0])):  # type: ignore[misc]
        @classmethod
        def download_models(cls, *_: Any, **__: Any) -> str:
            return file

    session = OfFile(kind, None, providers=["CPUExecutionProvider"], model_path=file)
    if kind:
        return session
    side = session.inner_session.get_inputs()[0].shape[-1]
    if side not in _BY_SIDE:
        raise WeightsError(
            f"{file} takes pictures of {side}² pixels, so it is not clear how to prepare a photo for it; give "
            f"`auto_model` as NAME={file}, with the name of the model that it comes from"
        )
    return session if _BY_SIDE[side] == CUSTOM[0] else _session_of(_BY_SIDE[side], file)


def _session_class(name: str) -> Any:
    _rembg()
    from rembg.sessions import sessions

    if name not in sessions:
        raise DeviceError(f"this version of rembg does not know {name}; pip install --upgrade rembg")
    return sessions[name]


def _rembg() -> ModuleType:
    """The package; its first import takes a minute, since it compiles what another package of its own needs."""
    try:
        import rembg
    except ImportError as error:
        raise DeviceError(
            f'`auto` needs rembg, which is not installed; pip install "mattecli[auto]", {_OTHER_WAYS}'
        ) from error
    return cast("ModuleType", rembg)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
