"""Runs one job, from a photo's files to its outcome.

A batch calls the steps one by one, each in a thread of its own, so that the network does not wait for the disk.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from mattecli.compositing.colours import ForegroundColours
from mattecli.compositing.delivery import Delivery, deliver
from mattecli.compositing.finishing import finish
from mattecli.compositing.outputs import (
    check_output_file,
    check_output_format,
    photo_note,
    read_background,
    write_output,
)
from mattecli.compositing.plates import odd_values
from mattecli.errors import InputError, UsageError
from mattecli.imaging.choices import Colour
from mattecli.imaging.image import Image
from mattecli.imaging.options import ReadOptions
from mattecli.imaging.pixels import as_float
from mattecli.imaging.read import read_alpha, read_image, read_size
from mattecli.imaging.reading.open import is_pipe, label
from mattecli.imaging.view import network_view
from mattecli.imaging.write import check_format, check_output, write_image
from mattecli.imaging.writing.encoding import Format, metadata_note
from mattecli.imaging.writing.layers import LAYERS
from mattecli.system.files import check_folder, check_new, is_folder, make_folder, same_file
from mattecli.system.memory import peak_bytes
from mattecli.trimaps.check import check_size, shares
from mattecli.trimaps.pairs import over_data_window, pair_size, read_pair, read_trimap, trimap_note
from mattecli.work.making import Making
from mattecli.work.outcome import Done, Job
from mattecli.work.outputs import OutputOptions

if TYPE_CHECKING:
    from mattecli.inference.backend import Backend
    from mattecli.inference.coarse import Draft
    from mattecli.inference.model import Model
    from mattecli.inference.plan import Plan
    from mattecli.inference.tiling import Progress


Background = Image | Colour | None  # None is transparent


@dataclass(frozen=True, eq=False)
class Inputs:
    """A photo and its trimap, uint8 (H, W) of 0, 128 and 255; the unknown share, and the seconds that reading took.

    An alpha that was given needs no trimap; both are None then.

    `view` is the photo in sRGB, (H, W, 3), as the network sees it; None where the alpha is known. `notes` say what is
    wrong with the trimap, or how it was made.
    """

    photo: Image
    view: NDArray[Any] | None
    trimap: NDArray[np.uint8] | None
    unknown: float | None
    seconds: float
    notes: tuple[str, ...] = ()

    @cached_property
    def odd(self) -> str | None:
        """How many of the photo's values are odd, counted once: see `odd_values`."""
        return odd_values(self.photo.pixels)

    @property
    def required_trimap(self) -> NDArray[np.uint8]:
        """The trimap. Raises ValueError where the alpha was given without one."""
        if self.trimap is None:
            raise ValueError("these inputs have no trimap, since their alpha was given")
        return self.trimap


@dataclass(frozen=True, eq=False)
class Matte:
    """Inputs with their alpha, float32 (H, W) in [0, 1]; the side of its tiles, and the seconds up to here.

    `network` are the facts of the network that found the alpha, where it was not this run's (`backend_facts`), and
    `attention` is what was found of how much the matte needs a look. `draft` says that a small copy was matted before.
    """

    inputs: Inputs
    alpha: NDArray[np.float32]
    tile: int | str | None  # "off" where one tile holds the whole image, None where the alpha was given
    seconds: float
    network: Mapping[str, Any] = field(default_factory=dict)
    attention: Mapping[str, Any] | None = None
    draft: bool = False

    def facts(self) -> dict[str, Any]:
        """What reports and the journal say of the matte."""
        width, height = self.inputs.photo.size
        unknown = self.inputs.unknown
        facts = {
            "width": width,
            "height": height,
            "unknown": None if unknown is None else round(unknown, 6),
            "tile": self.tile,
            "coarse_to_fine": self.draft or None,
            "seconds": round(self.seconds, 3),
            "attention": self.attention,
        }
        return {**self.network, **{key: value for key, value in facts.items() if value is not None}}


def run_job(
    job: Job,
    model: Model,
    *,
    options: OutputOptions | None = None,
    reading: ReadOptions | None = None,
    overwrite: bool = False,
    save_trimap: str | None = None,
    folders: Collection[Path] = (),
    make_trimap: Callable[[Image, Model], NDArray[np.uint8]] | None = None,
    lint: bool = True,
    on_note: Callable[[str], None] | None = None,
    on_load: Callable[[Backend], None] | None = None,
    on_plan: Callable[[Plan], None] | None = None,
    progress: Progress | None = None,
) -> Done:
    """Read a photo and its trimap, matte it, and write its outputs, the alpha first.

    All that can be refused is refused before the network is loaded. `make_trimap` gives the trimap, uint8 (H, W) of 0,
    128 and 255; then the job's trimap is only the file that it is made from. `save_trimap` names a file for the trimap.
    `folders`, of outputs, are made where they are missing, once all was read. Without `lint` nothing is noted of what
    is odd in a trimap, which takes a tenth of the network's time.
    `on_note` is called with what the user should know, as soon as it is known. `on_load` is called with the network's
    backend, `on_plan` and `progress` as `predict_alpha` calls them. Raises InputError, WeightsError, DeviceError and
    UsageError.
    """
    options = options or OutputOptions()
    started = time.perf_counter()
    check_outputs(job, options, overwrite=overwrite, folders=folders, save_trimap=save_trimap)
    if make_trimap is None and job.what is not None and not any(is_pipe(path) for path in job.sources):
        job_size(job, reading)  # files that do not fit are refused at once, not after an import
    model.begin()
    exposure = model.options.network_exposure
    find = None if make_trimap is None else lambda photo: make_trimap(photo, model)
    snap = model.options.snap
    inputs = read_inputs(job, snap=snap, exposure=exposure, reading=reading, find=find, lint=lint)
    behind = read_backgrounds(job, job.outputs, options, reading=reading)
    for folder in folders:
        make_folder(folder)
    if save_trimap is not None:
        like = inputs.photo
        trimap = Image(inputs.required_trimap, resolution=like.resolution, metadata=like.metadata.geometry)
        write_image(save_trimap, trimap, overwrite=overwrite)
    known = find_notes(job, inputs, options, backgrounds=behind)
    if on_note is not None:
        for note in known:
            on_note(note)
    matte = find_matte(job, inputs, model, options=options, on_load=on_load, on_plan=on_plan, progress=progress)
    replaces = dict.fromkeys(job.outputs, overwrite)
    notes = write_outputs(job, matte, options, backgrounds=behind, replaces=replaces)
    if on_note is not None:
        for note in notes:
            if note not in known:
                on_note(note)
    facts = {**backend_facts(model.backend), **matte.facts()}
    return Done(job, facts, time.perf_counter() - started, notes, peak_bytes())


def check_outputs(
    job: Job,
    options: OutputOptions,
    *,
    overwrite: bool = False,
    folders: Collection[Path] = (),
    save_trimap: str | None = None,
) -> None:
    """Raise InputError, before any heavy work, for a file that cannot be written or cannot hold its output.

    `folders` may still have to be made. `save_trimap` is a file for the trimap. Makes nothing. Raises UsageError for
    outputs that cannot be finished as asked, and for two that would be one file.
    """
    if (reason := job.doubled()) is not None:
        raise UsageError(reason)
    options.finishing.check_kinds(options.kind(name) for name in job.outputs)
    for folder in folders:
        check_folder(folder)
    to_make = [Path(os.path.abspath(folder)) for folder in folders]
    missing = {above for folder in to_make for above in (folder, *folder.parents) if not is_folder(above)}
    for name, output in job.outputs.items():
        bits, behind, files = options.alpha_bits(name), job.behind(name), options.write_options(name)
        if Path(os.path.abspath(output)).parent in missing:
            check_output_format(options.kind(name), output, bits=bits, background=behind, files=files)
            check_new(Path(output), inputs=job.inputs)
            continue
        check_output_file(
            options.kind(name),
            output,
            bits=bits,
            background=behind,
            overwrite=overwrite,
            inputs=job.inputs,
            files=files,
        )
    if save_trimap is None:
        return
    if Path(os.path.abspath(save_trimap)).parent in missing:
        check_format(save_trimap, bits=8)
    else:
        check_output(save_trimap, overwrite=overwrite, bits=8, inputs=job.inputs)
    if any(same_file(save_trimap, output) for output in job.outputs.values() if output != "-"):
        raise InputError(f"{save_trimap} would be the trimap and an output; give each a name of its own")


def read_backgrounds(
    job: Job, outputs: Iterable[str], options: OutputOptions, *, reading: ReadOptions | None = None
) -> dict[str, Background]:
    """The backgrounds of those outputs that are composites, each read once. Raises UsageError and InputError."""
    texts = {name: job.behind(name) for name in outputs if options.kind(name) == "composite"}
    wanted = dict.fromkeys(text for text in texts.values() if text is not None)
    read = {text: read_background(text, reading=reading) for text in wanted}
    return {name: read[text] for name, text in texts.items() if text is not None}


def job_size(job: Job, reading: ReadOptions | None = None) -> tuple[int, int]:
    """Width and height of a job's photo, from the headers of its files. Raises `InputError` if they do not fit."""
    if job.what is None:
        return read_size(job.image, options=reading or ReadOptions())
    resize = None if job.making is None or job.what != "trimap" else job.making.resize
    return pair_size(job.image, job.trimap, what=job.what, reading=reading, resize=resize)


def read_inputs(
    job: Job,
    *,
    snap: int = 0,
    exposure: float = 0.0,
    reading: ReadOptions | None = None,
    find: Callable[[Image], NDArray[np.uint8]] | None = None,
    lint: bool = True,
) -> Inputs:
    """Read and check the photo and its trimap, or make the trimap as the job says.

    `find` makes it of the photo in place of that; what the job says is certain wins over it. Without `lint` nothing is
    noted of a trimap that is read. The network's view of the
    photo is brighter by `exposure` stops; see `read_pair` and `network_view`. Raises InputError, UsageError for an
    unknown colour space, and what `Making.make` and `find` raise.
    """
    started = time.perf_counter()
    notes: list[str] = []
    making = job.making or Making()
    trimap_name, photo_name = label(job.trimap), label(job.image)
    options = reading or ReadOptions()
    overrule = partial(making.overrule, name=trimap_name, photo_name=photo_name, reading=options, on_note=notes.append)
    if find is None and not (making.of_mask or making.of_photo):
        photo, trimap, view = read_pair(
            job.image,
            job.trimap,
            snap=snap,
            reading=reading,
            exposure=exposure,
            resize=None if job.making is None else making.resize,
            overrule=overrule,
            on_note=notes.append if lint else None,
        )
    else:
        photo = read_image(job.image, options=options)
        view = network_view(photo, exposure=exposure)
        if find is None:
            trimap = making.make(photo, view, mask=job.trimap, name=photo_name, reading=options, on_note=notes.append)
        else:
            trimap = find(photo)
        if not making.of_mask:
            trimap = overrule(trimap, photo)
    return Inputs(photo, view, trimap, shares(trimap)["unknown"], time.perf_counter() - started, tuple(notes))


def read_finished(job: Job, *, reading: ReadOptions | None = None) -> Matte:
    """Read a photo with its alpha, and the trimap that says what is certain, if there is one. Raises InputError.

    For an OpenEXR plate both may have the size of its display window, as in `read_pair`.
    """
    started = time.perf_counter()
    options = reading or ReadOptions()
    photo = read_image(job.image, options=options)
    alpha = as_float(read_alpha(job.trimap, options=options.limits))
    known = None if job.known is None else read_trimap(job.known, reading=options.limits)
    windows = photo.metadata.windows
    alpha = over_data_window(alpha, windows)
    if known is not None:
        known = over_data_window(known, windows)
    photo_name = label(job.image)
    check_size(
        (alpha.shape[1], alpha.shape[0]), photo.size, name=label(job.trimap), image_name=photo_name, what="alpha"
    )
    if known is not None:
        check_size((known.shape[1], known.shape[0]), photo.size, name=label(str(job.known)), image_name=photo_name)
    seconds = time.perf_counter() - started
    return Matte(Inputs(photo, None, known, None, seconds), alpha, None, seconds)


def find_matte(
    job: Job,
    inputs: Inputs,
    model: Model,
    *,
    options: OutputOptions | None = None,
    on_load: Callable[[Backend], None] | None = None,
    on_plan: Callable[[Plan], None] | None = None,
    progress: Progress | None = None,
) -> Matte:
    """Run the network; see `run_job`. `options` are those of the outputs.

    Raises DeviceError where the memory is too small for it or for the outputs, and UsageError for lengths of edges that
    are too long for the photo.
    """
    started = time.perf_counter()
    (options or OutputOptions()).check_photo(inputs.photo, job.outputs, inputs.trimap)  # before the run
    if on_load is not None:
        on_load(model.backend)
    plans: list[Plan] = []

    def note_plan(chosen: Plan) -> None:
        plans.append(chosen)
        if on_plan is not None:
            on_plan(chosen)

    if inputs.view is None:
        raise ValueError("these inputs were read for a known alpha, without the network's view of the photo")
    drafts: list[Draft] = []
    alpha = model.predict(
        inputs.view,
        inputs.required_trimap,
        name=label(job.image),
        on_plan=note_plan,
        on_draft=drafts.append,
        progress=progress,
    )
    tile = plans[-1].label if plans else "off"
    return Matte(inputs, alpha, tile, inputs.seconds + time.perf_counter() - started, draft=bool(drafts))


def write_outputs(
    job: Job,
    matte: Matte,
    options: OutputOptions,
    *,
    backgrounds: Mapping[str, Background],
    replaces: Mapping[str, bool],
    record: Callable[[str], Callable[[BinaryIO], None]] | None = None,
) -> tuple[str, ...]:
    """Make and write the outputs that `replaces` names, the alpha first, since it took the longest; gives the notes.

    `backgrounds` are those of the composites by output; one that is not there is transparent. `replaces` says of each
    output whether its file may replace another. `record` gives for an output what is called
    with the finished file before it takes its name. Outputs in one colour space share one estimate of the foreground's
    colours, and are made one after the other. Raises InputError and DeviceError.
    """
    colours = ForegroundColours(options.colours, linear=options.linear)
    photo, finishing = matte.inputs.photo, options.finishing
    finished = finish(photo, matte.alpha, finishing, trimap=matte.inputs.trimap, name=label(job.image))
    for name in _in_turn(job, photo, options, replaces):
        kind, made = options.kind(name), options.renditions.get(name)
        write_output(
            kind,
            job.outputs[name],
            photo,
            matte.alpha,
            colours=colours,
            finished=finished if finishing.asked else None,
            background=backgrounds.get(name),
            fit=options.fit,
            around=options.around,
            linear=options.linear,
            bits=options.alpha_bits(name),
            files=options.write_options(name),
            output_space=options.space(name),
            size=None if made is None else made.size,
            max_bytes=None if made is None else made.max_bytes,
            overwrite=replaces[name],
            ready=None if record is None else record(name),
        )
    return (
        *find_notes(job, matte.inputs, options, kinds=replaces, backgrounds=backgrounds),
        *finished.notes,
        *colours.notes,
    )


def _in_turn(job: Job, photo: Image, options: OutputOptions, names: Iterable[str]) -> Iterator[str]:
    """The alphas first, then the outputs that share an estimate of colours, one after the other."""
    pictures = []
    for name in names:
        if options.kind(name) == "alpha":
            yield name
        else:
            pictures.append(name)
    groups: dict[Any, list[str]] = {}
    for name in pictures:
        groups.setdefault(_delivery(job, photo, options, name)[1].estimate(photo), []).append(name)
    for group in groups.values():
        yield from group


def _delivery(job: Job, photo: Image, options: OutputOptions, name: str) -> tuple[Format, Delivery]:
    """The format of the file of an output other than an alpha, and how it is made for it."""
    form = LAYERS if options.kind(name) == "layers" else check_format(job.outputs[name])
    bits = options.write_options(name).bits
    return form, deliver(photo, form, output_space=options.space(name), bits=bits)


def find_notes(
    job: Job,
    inputs: Inputs,
    options: OutputOptions,
    *,
    backgrounds: Mapping[str, Background],
    kinds: Iterable[str] | None = None,
) -> tuple[str, ...]:
    """What the user should know of a photo, its trimap and backgrounds, and those of its outputs."""
    trimap = None if inputs.unknown is None else trimap_note(inputs.unknown, label(job.trimap))
    notes = [*inputs.notes, trimap, photo_note(inputs.photo, label(job.image))]
    notes += inputs.photo.notes
    notes += [note for behind in backgrounds.values() if isinstance(behind, Image) for note in behind.notes]
    if inputs.odd:
        notes.append(f"{label(job.image)} has odd values ({inputs.odd}); they stay as they are where alpha is 1")
    for name in job.outputs if kinds is None else kinds:
        if options.kind(name) != "alpha":
            form, delivery = _delivery(job, inputs.photo, options, name)
            notes.append(delivery.note)
            notes.append(metadata_note(form, inputs.photo.metadata) if options.files.metadata else None)
    return tuple(dict.fromkeys(note for note in notes if note))


def backend_facts(backend: Backend) -> dict[str, Any]:
    """What reports, the journal and `--json` say of the network that ran."""
    return {
        "device": backend.device,
        "backend": backend.name,
        "precision": backend.precision,
        "weights": {"name": backend.checkpoint.name, "sha256": backend.checkpoint.sha256},
    }
