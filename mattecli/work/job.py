"""Runs one job, from a photo's files to its outcome.

A batch calls the steps one by one, each in a thread of its own, so that the network does not wait for the disk.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from mattecli.compositing.colours import ColourOptions, ForegroundColours
from mattecli.compositing.delivery import KEEP, deliver
from mattecli.compositing.outputs import (
    check_memory,
    check_output_file,
    photo_note,
    read_background,
    write_output,
)
from mattecli.compositing.plates import odd_values
from mattecli.imaging.choices import Bits, Colour, Fit, Kind
from mattecli.imaging.image import Image
from mattecli.imaging.options import Depth, ReadOptions, WriteOptions
from mattecli.imaging.read import read_image
from mattecli.imaging.view import network_view
from mattecli.imaging.write import check_format, check_output, write_image
from mattecli.imaging.writing.layers import LAYERS
from mattecli.system.memory import peak_bytes
from mattecli.trimaps.check import shares
from mattecli.trimaps.pairs import read_pair, trimap_note
from mattecli.work.outcome import Done, Job

if TYPE_CHECKING:
    from mattecli.inference.backend import Backend
    from mattecli.inference.model import Model
    from mattecli.inference.plan import Plan
    from mattecli.inference.tiling import Progress


READ = ReadOptions()


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """How outputs are made.

    `bits` is the depth of the alpha. `fit` says how a background picture is brought to the photo's size. `linear`
    estimates colours and mixes composites in linear light. `colours`
    says what else is done to colours. `output_space` is the colour space of the other outputs: keep (the photo's own),
    srgb, p3, or the file of an ICC profile. `depths` are those that formats of outputs settle; `files` says how files
    are written.
    """

    bits: Bits = 8
    fit: Fit = "cover"
    linear: bool = False
    colours: ColourOptions = field(default_factory=ColourOptions)
    output_space: str = KEEP
    depths: Mapping[Kind, Depth] = field(default_factory=dict)
    files: WriteOptions = field(default_factory=WriteOptions)

    @property
    def alpha_bits(self) -> Depth:
        """The depth of the alpha."""
        return self.depths.get("alpha", self.bits)

    def write_options(self, kind: Kind) -> WriteOptions:
        """How the file of an output other than the alpha is written."""
        return replace(self.files, bits=self.depths.get(kind))


@dataclass(frozen=True, eq=False)
class Inputs:
    """A photo and its trimap, uint8 (H, W) of 0, 128 and 255; the unknown share, and the seconds that reading took.

    `view` is the photo in sRGB, (H, W, 3), as the network sees it. `notes` say what is wrong with the trimap, or how it
    was made.
    """

    photo: Image
    view: NDArray[Any]
    trimap: NDArray[np.uint8]
    unknown: float
    seconds: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Matte:
    """Inputs with their alpha, float32 (H, W) in [0, 1]; the side of its tiles, and the seconds up to here."""

    inputs: Inputs
    alpha: NDArray[np.float32]
    tile: int | str  # "off" where one tile holds the whole image
    seconds: float

    def facts(self) -> dict[str, Any]:
        """What reports and the journal say of the matte."""
        width, height = self.inputs.photo.size
        return {
            "width": width,
            "height": height,
            "unknown": round(self.inputs.unknown, 6),
            "tile": self.tile,
            "seconds": round(self.seconds, 3),
        }


def run_job(
    job: Job,
    model: Model,
    *,
    options: OutputOptions | None = None,
    reading: ReadOptions | None = None,
    overwrite: bool = False,
    save_trimap: str | None = None,
    make_trimap: Callable[[Image, Model], NDArray[np.uint8]] | None = None,
    on_note: Callable[[str], None] | None = None,
    on_load: Callable[[Backend], None] | None = None,
    on_plan: Callable[[Plan], None] | None = None,
    progress: Progress | None = None,
) -> Done:
    """Read a photo and its trimap, matte it, and write its outputs, the alpha first.

    All that can be refused is refused before the network is loaded. `make_trimap` gives the trimap, uint8 (H, W) of 0,
    128 and 255; then the job's trimap is only the file that it is made from. `save_trimap` names a file for the trimap.
    `on_note` is called with what the user should know, as soon as it is known. `on_load` is called with the network's
    backend, `on_plan` and `progress` as `predict_alpha` calls them. Raises InputError, WeightsError, DeviceError and
    UsageError.
    """
    options = options or OutputOptions()
    started = time.perf_counter()
    check_outputs(job, options, overwrite=overwrite)
    if save_trimap is not None:
        check_output(save_trimap, overwrite=overwrite, bits=8, inputs=job.inputs)
    exposure = model.options.network_exposure
    if make_trimap is None:
        inputs = read_inputs(job, snap=model.options.snap, exposure=exposure, reading=reading)
    else:
        inputs = _made(job, model, make_trimap, exposure=exposure, reading=reading or ReadOptions())
    if save_trimap is not None:
        write_image(save_trimap, Image(inputs.trimap), overwrite=overwrite)
    background = None if job.background is None else read_background(job.background)
    if on_note is not None:
        for note in find_notes(job, inputs, options):
            on_note(note)
    matte = find_matte(job, inputs, model, on_load=on_load, on_plan=on_plan, progress=progress)
    replaces = dict.fromkeys(job.outputs, overwrite)
    notes = write_outputs(job, matte, options, background=background, replaces=replaces)
    facts = {**backend_facts(model.backend), **matte.facts()}
    return Done(job, facts, time.perf_counter() - started, notes, peak_bytes())


def check_outputs(job: Job, options: OutputOptions, *, overwrite: bool = False) -> None:
    """Raise InputError, before any heavy work, for a file that cannot be written or cannot hold its output."""
    for kind, output in job.outputs.items():
        check_output_file(
            kind,
            output,
            bits=options.alpha_bits,
            background=job.background,
            overwrite=overwrite,
            inputs=job.inputs,
            files=options.write_options(kind),
        )


def read_inputs(job: Job, *, snap: int = 0, exposure: float = 0.0, reading: ReadOptions | None = None) -> Inputs:
    """Read and check the photo and its trimap, or make the trimap from its mask.

    The network's view of the photo is brighter by `exposure` stops; see `read_pair` and `network_view`. Raises
    InputError, and UsageError for an unknown colour space.
    """
    started = time.perf_counter()
    notes: list[str] = []
    if job.mask is None:
        photo, trimap = read_pair(job.image, job.trimap, snap=snap, reading=reading, on_note=notes.append)
        view = network_view(photo, exposure=exposure)
    else:
        photo = read_image(job.image, options=reading or ReadOptions())
        view = network_view(photo, exposure=exposure)
        trimap = job.mask.recipe.make(
            job.trimap,
            photo=view,
            core=job.mask.core,
            garbage=job.mask.garbage,
            name=job.trimap,
            on_note=notes.append,
        )
    return Inputs(photo, view, trimap, shares(trimap)["unknown"], time.perf_counter() - started, tuple(notes))


def _made(
    job: Job,
    model: Model,
    make_trimap: Callable[[Image, Model], NDArray[np.uint8]],
    *,
    exposure: float,
    reading: ReadOptions,
) -> Inputs:
    """Read the photo and make its trimap."""
    started = time.perf_counter()
    photo = read_image(job.image, options=reading)
    trimap = make_trimap(photo, model)
    view = network_view(photo, exposure=exposure)
    return Inputs(photo, view, trimap, shares(trimap)["unknown"], time.perf_counter() - started)


def find_matte(
    job: Job,
    inputs: Inputs,
    model: Model,
    *,
    on_load: Callable[[Backend], None] | None = None,
    on_plan: Callable[[Plan], None] | None = None,
    progress: Progress | None = None,
) -> Matte:
    """Run the network; see `run_job`. Raises DeviceError where the memory is too small for it or for the outputs."""
    started = time.perf_counter()
    if set(job.outputs) - {"alpha"}:
        check_memory(inputs.photo)  # before the run, whose work would be lost
    if on_load is not None:
        on_load(model.backend)
    plans: list[Plan] = []

    def note_plan(chosen: Plan) -> None:
        plans.append(chosen)
        if on_plan is not None:
            on_plan(chosen)

    alpha = model.predict(inputs.view, inputs.trimap, name=job.image, on_plan=note_plan, progress=progress)
    tile = plans[-1].label if plans else "off"
    return Matte(inputs, alpha, tile, inputs.seconds + time.perf_counter() - started)


def write_outputs(
    job: Job,
    matte: Matte,
    options: OutputOptions,
    *,
    background: Image | Colour | None,
    replaces: Mapping[Kind, bool],
    record: Callable[[Kind], Callable[[BinaryIO], None]] | None = None,
) -> tuple[str, ...]:
    """Make and write the outputs that `replaces` names, the alpha first, since it took the longest; gives the notes.

    `replaces` says of each output whether its file may replace another. `record` gives for a kind what is called with
    the finished file before it takes its name. Outputs in one colour space share one estimate of the foreground's
    colours. Raises InputError and DeviceError.
    """
    colours = ForegroundColours(options.colours, linear=options.linear)
    for kind in sorted(replaces, key=lambda kind: kind != "alpha"):
        write_output(
            kind,
            job.outputs[kind],
            matte.inputs.photo,
            matte.alpha,
            colours=colours,
            background=background,
            fit=options.fit,
            linear=options.linear,
            bits=options.alpha_bits,
            files=options.write_options(kind),
            output_space=options.output_space,
            overwrite=replaces[kind],
            ready=None if record is None else record(kind),
        )
    return find_notes(job, matte.inputs, options, kinds=replaces)


def find_notes(
    job: Job, inputs: Inputs, options: OutputOptions, *, kinds: Iterable[Kind] | None = None
) -> tuple[str, ...]:
    """What the user should know of a photo, its trimap, and those of its outputs."""
    notes = [*inputs.notes, trimap_note(inputs.unknown, job.trimap), photo_note(inputs.photo, job.image)]
    notes += inputs.photo.notes
    if odd := odd_values(inputs.photo.pixels):
        notes.append(f"{job.image} has odd values ({odd}); they stay as they are where alpha is 1")
    for kind in job.outputs if kinds is None else kinds:
        if kind != "alpha":
            form = LAYERS if kind == "layers" else check_format(job.outputs[kind])
            notes.append(deliver(inputs.photo, form, output_space=options.output_space).note)
    return tuple(dict.fromkeys(note for note in notes if note))


def backend_facts(backend: Backend) -> dict[str, Any]:
    """What reports, the journal and `--json` say of the network that ran."""
    return {
        "device": backend.device,
        "backend": backend.name,
        "precision": backend.precision,
        "weights": {"name": backend.checkpoint.name, "sha256": backend.checkpoint.sha256},
    }
