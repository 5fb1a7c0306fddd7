"""Scores a folder of mattes, or a model, against true alphas.

A benchmark is a folder of trimaps and a folder of true alphas. Every trimap is one image to score. A prediction that is
missing or broken is a failure with a name, so that no mean leaves out an image unseen. Files belong together when they
have the same name without suffix.

Composition-1k has one true alpha `NAME.png` for the composites `NAME_0.png` to `NAME_19.png`. So a trimap without a
truth of its own name takes the truth whose name is left when `_` and the number are cut off.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, astuple, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mattecli.errors import InputError, MatteError, UsageError
from mattecli.evaluation.metrics import Scores, quantise, score
from mattecli.imaging import image
from mattecli.imaging.options import ReadOptions
from mattecli.imaging.read import read_alpha, read_image
from mattecli.imaging.view import network_view
from mattecli.system.folders import by_stem, natural, pictures_in, some
from mattecli.trimaps.check import unknown
from mattecli.trimaps.pairs import read_trimap
from mattecli.work.job import find_matte, read_inputs, write_outputs
from mattecli.work.outcome import Job
from mattecli.work.outputs import OutputOptions

if TYPE_CHECKING:
    from mattecli.inference.model import Model

SUFFIXES = image.SUFFIXES | {".exr", ".npy"}


@dataclass(frozen=True)
class Case:
    """One image to score: its trimap, its true alpha, and the prediction or the photo to make one from."""

    name: str
    truth: Path
    trimap: Path
    prediction: Path | None = None
    photo: Path | None = None

    def files(self) -> list[Path]:
        """The files that are read."""
        return [path for path in (self.truth, self.trimap, self.prediction, self.photo) if path is not None]


@dataclass(frozen=True)
class Scored:
    """An image with its errors, in the units of papers."""

    name: str
    scores: Scores


@dataclass(frozen=True)
class Unscored:
    """An image without a score, and why; `cause` is the exception that led to it, if any."""

    name: str
    reason: str
    cause: Exception | None = field(default=None, compare=False)


@dataclass(frozen=True)
class CaseList:
    """What there is to score; `failed` has no pair of files, `unused` are predictions without a trimap."""

    cases: tuple[Case, ...]
    failed: tuple[Unscored, ...] = ()
    unused: tuple[Path, ...] = ()

    def files(self) -> list[Path]:
        """The users' files, none of which may be written to."""
        return [path for case in self.cases for path in case.files()] + list(self.unused)


@dataclass(frozen=True, eq=False)
class Pictures:
    """The arrays of one scored image: uint8 (H, W); the photo is (H, W, 3) in sRGB."""

    prediction: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    trimap: NDArray[np.uint8]
    photo: NDArray[Any] | None = None


@dataclass(frozen=True)
class Evaluation:
    """The scores of a benchmark, images in the order of their names."""

    images: tuple[Scored, ...]
    failed: tuple[Unscored, ...] = ()
    unused: tuple[Path, ...] = ()

    @property
    def total(self) -> int:
        """How many images the benchmark has."""
        return len(self.images) + len(self.failed)

    @property
    def mean_of_scored(self) -> Scores | None:
        """The mean over the images that have a score. It is the benchmark's figure only if none failed."""
        if not self.images:
            return None
        columns = zip(*(astuple(image.scores) for image in self.images), strict=True)
        return Scores(*(math.fsum(column) / len(self.images) for column in columns))

    @property
    def mean(self) -> Scores | None:
        """The benchmark's figure; None if an image failed, since a mean over fewer images is not comparable."""
        return None if self.failed else self.mean_of_scored

    def as_json(self) -> dict[str, Any]:
        """Plain numbers and strings for `json.dumps`."""
        mean, of_scored = self.mean, self.mean_of_scored
        return {
            "images": [{"name": image.name, **asdict(image.scores)} for image in self.images],
            "failed": [{"name": failed.name, "reason": failed.reason} for failed in self.failed],
            "unused": [str(path) for path in self.unused],
            "total": self.total,
            "mean": asdict(mean) if mean else None,
            "mean_of_scored": asdict(of_scored) if of_scored else None,
        }


def find_cases(truths: Path, trimaps: Path, *, predictions: Path | None = None, photos: Path | None = None) -> CaseList:
    """Pair the files of a benchmark's folders by name, without their subfolders.

    The name of a truth or prediction may end in `_alpha` and that of a trimap in `_trimap`, as `matte predict` names
    them. Photos are required where there are no predictions.

    Raises InputError for a folder that is missing, empty or has pictures in subfolders, for two files of one name, for
    a trimap that two truths fit, and when no trimap has a truth.
    """
    truth_of = _by_name(truths, ending="_alpha")
    trimap_of = _by_name(trimaps, ending="_trimap")
    sources = {
        "prediction": _by_name(predictions, ending="_alpha", may_be_empty=True) if predictions else {},
        "photo": _by_name(photos, ending="") if photos else {},
    }
    required, folder = ("prediction", predictions) if predictions else ("photo", photos)
    pairs = _truth_names(truth_of.keys(), trimap_of.keys())
    if not any(pairs.values()):
        raise InputError(f"no trimap in {trimaps} has the name of a truth in {truths}; check the two folders")
    cases, failed = [], []
    for name, truth_name in pairs.items():
        files = {kind: found.get(name) for kind, found in sources.items()}
        if truth_name is None:
            failed.append(Unscored(name, f"{trimap_of[name]} has no truth in {truths}; add it or take the trimap out"))
        elif files[required] is None:
            failed.append(Unscored(name, f"{folder} has no {required} of this name; add it and run again"))
        else:
            cases.append(Case(name, truth_of[truth_name], trimap_of[name], files["prediction"], files["photo"]))
    failed += [
        Unscored(name, f"{truth_of[name]} has no trimap in {trimaps}; add it or take the truth out")
        for name in truth_of.keys() - set(pairs.values())
    ]
    unused = [path for name, path in sources["prediction"].items() if name not in pairs]
    return CaseList(
        tuple(sorted(cases, key=lambda case: natural(case.name))),
        tuple(sorted(failed, key=lambda failure: natural(failure.name))),
        tuple(sorted(unused, key=lambda path: natural(path.name))),
    )


def evaluate(
    listed: CaseList,
    *,
    model: Model | None = None,
    snap: int = 0,
    reading: ReadOptions | None = None,
    save: Path | None = None,
    overwrite: bool = False,
    workers: int = 1,
    look: Callable[[Scored, Pictures], None] | None = None,
    on_done: Callable[[Scored | Unscored], None] | None = None,
) -> Evaluation:
    """Score every case, `workers` at a time. An image that cannot be scored is a failure and does not stop the run.

    The prediction of a case is read if it has one, else `model` makes it from the photo. `save` is an existing folder
    that keeps the alphas of the model as 8-bit PNG files, which give the same scores. `snap` is for trimaps that went
    through JPEG, see `mattecli.trimaps.check.from_values`. `reading` says how photos are read, and its limits hold for
    all files.

    `look` is called with the arrays of each scored image before they are dropped, in the worker's thread. `on_done` is
    called in the caller's thread, in the order of the cases.
    """

    def work(case: Case) -> Scored | Unscored:
        try:
            pictures = _load(case, model, snap=snap, reading=reading, save=save, overwrite=overwrite)
            scored = Scored(case.name, score(pictures.prediction, pictures.truth, pictures.trimap))
            if look is not None:
                look(scored, pictures)
        except MatteError as error:
            return Unscored(case.name, str(error), error)
        except MemoryError as error:
            return Unscored(case.name, "it needs more memory than there is; free some, or score it alone", error)
        except Exception as error:  # a bug must not cost the other images their scores
            return Unscored(case.name, f"a bug in matte: {type(error).__name__}: {error}; please report it", error)
        return scored

    outcomes = []
    pool = ThreadPoolExecutor(workers)
    try:
        for outcome in pool.map(work, listed.cases):
            outcomes.append(outcome)
            if on_done is not None:
                on_done(outcome)
    finally:
        pool.shutdown(cancel_futures=True)
    failed = [*listed.failed, *(outcome for outcome in outcomes if isinstance(outcome, Unscored))]
    return Evaluation(
        tuple(outcome for outcome in outcomes if isinstance(outcome, Scored)),
        tuple(sorted(failed, key=lambda failure: natural(failure.name))),
        listed.unused,
    )


def _load(
    case: Case, model: Model | None, *, snap: int, reading: ReadOptions | None, save: Path | None, overwrite: bool
) -> Pictures:
    """The arrays to score. Raises InputError where they do not fit together, and what the model raises."""
    options = reading or ReadOptions()
    truth = quantise(read_alpha(case.truth, options=options.limits))
    if case.prediction is not None:
        return _read(case, case.prediction, truth, snap, options)
    if case.photo is None or model is None:
        raise UsageError(f"{case.name} has no prediction; give one, or a photo and a model to make it from")
    outputs: dict[str, str] = {} if save is None else {"alpha": str(save / f"{case.name}.png")}
    job = Job(case.name, str(case.photo), str(case.trimap), outputs)
    inputs = read_inputs(job, snap=snap, reading=reading, exposure=model.options.network_exposure, lint=False)
    _require_trimap(case, inputs.required_trimap, truth)
    _require_size(case.photo, inputs.photo.pixels, case.truth, truth, "give the photo at its full size")
    matte = find_matte(job, inputs, model)
    write_outputs(job, matte, OutputOptions(), backgrounds={}, replaces=dict.fromkeys(outputs, overwrite))
    brightened = model.options.network_exposure != 0  # for the network, and not for those who look
    view = network_view(inputs.photo) if brightened else inputs.view
    return Pictures(quantise(matte.alpha), truth, inputs.required_trimap, view)


def _read(case: Case, file: Path, truth: NDArray[np.uint8], snap: int, reading: ReadOptions) -> Pictures:
    """The arrays of a case whose prediction is a file."""
    trimap = read_trimap(case.trimap, snap=snap, reading=reading.limits)
    _require_trimap(case, trimap, truth)
    photo = None
    if case.photo is not None:
        with suppress(MatteError):  # it is only looked at, so a damaged one or one of another size is left out
            shown = network_view(read_image(case.photo, options=reading))
            _require_size(case.photo, shown, case.truth, truth, "give the photo at its full size")
            photo = shown
    prediction = quantise(read_alpha(file, options=reading.limits))
    _require_size(file, prediction, case.truth, truth, "make the prediction at the photo's full size")
    return Pictures(prediction, truth, trimap, photo)


def _require_trimap(case: Case, trimap: NDArray[np.uint8], truth: NDArray[np.uint8]) -> None:
    _require_size(case.trimap, trimap, case.truth, truth, "the trimap belongs to another image")
    if not unknown(trimap).any():
        raise InputError(f"{case.trimap} has no unknown pixel, so there is nothing to score; take it out of the set")


def _require_size(path: Path, pixels: NDArray[Any], truth: Path, matte: NDArray[Any], remedy: str) -> None:
    if pixels.shape[:2] != matte.shape:
        own, true = (f"{array.shape[1]}×{array.shape[0]}" for array in (pixels, matte))
        raise InputError(f"{path} is {own} but {truth} is {true}; {remedy}")


def _by_name(folder: Path, *, ending: str, may_be_empty: bool = False) -> dict[str, Path]:
    """The folder's image files by name without suffix and `ending`."""
    files = pictures_in(folder, SUFFIXES)
    below = (path.relative_to(folder) for path in folder.glob("*/**/*") if path.suffix.lower() in SUFFIXES)
    if deeper := next((path for path in below if not any(part[0] == "." for part in path.parts)), None):
        raise InputError(
            f"{folder} has pictures in subfolders ({deeper}), which are not scored; evaluate one folder after the other"
        )
    if not files and not may_be_empty:
        raise InputError(f"{folder} holds no image files; check the folder")
    named = by_stem(files, ending=ending)
    double = [" and ".join(path.name for path in paths) for paths in named.values() if len(paths) > 1]
    if double:
        raise InputError(f"{folder} has several files of one name: {some(double)}; keep one of each")
    return {name: paths[0] for name, paths in named.items()}


def _truth_names(truths: Set[str], trimaps: Set[str]) -> dict[str, str | None]:
    """For each trimap the name of its truth, where there is one."""
    with_composites = {base for name in trimaps if (base := _composite_of(name)) in truths and name not in truths}
    pairs: dict[str, str | None] = {}
    ambiguous = []
    for name in trimaps:
        base = _composite_of(name)
        own = name if name in truths else None
        if own is None or base not in truths:
            pairs[name] = own or (base if base in truths else None)
        elif own in with_composites:  # `x_1` has its own `x_1_0`, …: so this is composite 1 of `x`
            pairs[name] = base
        elif base in trimaps:  # `x` has a trimap of its own name, hence no composites
            pairs[name] = own
        else:
            ambiguous.append(f"{name} ({base} or {own})")
    if ambiguous:
        raise InputError(f"trimaps that two truths fit: {some(sorted(ambiguous))}; rename the files")
    return pairs


def _composite_of(name: str) -> str | None:
    """`NAME` for `NAME_7`."""
    match = re.fullmatch(r"(.+)_\d+", name)
    return match[1] if match else None
