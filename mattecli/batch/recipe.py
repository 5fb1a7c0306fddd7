"""Recipes: digests of what makes an output or an alpha.

The words below are hashed and stored, so a change of one of them would have all folders of users made again. What came
later is hashed only where it is asked for, so that older folders stay done.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from mattecli.compositing.delivery import space_word
from mattecli.compositing.outputs import is_picture
from mattecli.imaging.options import ReadOptions
from mattecli.inference.options import RunOptions
from mattecli.work.outcome import Job
from mattecli.work.outputs import OutputOptions

RECIPE = 1  # to be raised when the same weights and options give other pixels than before
FP32_WORDS = ("auto", "fp32")  # both are stored for alphas in fp32


def output_recipe(
    output: str, job: Job, outputs: OutputOptions, *, alpha: list[Any], reading: list[Any], first: bool = False
) -> str:
    """A digest of what makes an output, its input files aside.

    `alpha` and `reading` are the words of the network, or of a given alpha, and of reading. Device, tile and memory are
    left out: they do not change the output. With `first` it is that of 0.1.0, whose cut-outs and foregrounds beside a
    composite had display values in spite of --linear. Raises InputError for a colour profile that cannot be read.
    """
    kind = outputs.kind(output)
    parts: list[Any] = [RECIPE, kind, *alpha]
    if kind == "alpha":
        parts.append(outputs.alpha_bits(output))
    if kind == "composite":
        behind = job.behind(output)
        colour = behind is None or not is_picture(behind)
        linear = "colours estimated in light" if outputs.linear else False
        parts += [outputs.fit, linear, behind if colour else "a picture"]
    if kind != "alpha":
        files = outputs.write_options(output)
        parts += [[word, value] for word, value in (("depth", files.bits), ("quality", files.quality)) if value]
        parts += [] if files.metadata else ["without metadata"]
        parts += [] if files.premultiplied else ["straight"]
        parts += outputs.colours.words()
    beside = first and any(outputs.kind(name) == "composite" for name in job.outputs)
    if kind in ("cutout", "foreground", "layers") and outputs.linear and not beside:
        parts.append("colours estimated in light")
    if kind in ("cutout", "layers", "composite") and outputs.colours.cutout_for is not None:
        parts.append(["cutout for", outputs.colours.cutout_for])
    if kind == "composite" and outputs.around is not None:
        parts.append(["around", outputs.around])
    if outputs.finishing.asked:
        parts.append(["finishing", sorted(outputs.finishing.given().items())])
    parts += reading
    if (made := outputs.renditions.get(output)) is not None:
        parts += made.words()
    if kind != "alpha" and outputs.output_space != "keep":
        parts.append(["output space", space_word(outputs.output_space)])
    return digest(parts + _making_words(job))


def alpha_recipe(job: Job, *, alpha: list[Any], reading: list[Any], files: list[Any]) -> str:
    """A digest of what makes an alpha; `files` tell its input files. The options of outputs do not count."""
    return digest(["a kept alpha", RECIPE, *alpha, *reading, *_making_words(job), *files])


def network_words(sha256: str, run: RunOptions, *, precision: str | None = None) -> list[Any]:
    """What recipes hash of the network; `precision` takes the place of the run's.

    The word "auto" stands for fp32 that nobody asked for, as in 0.1.0, and "bf16" for bf16, asked for or not. What is
    recorded under "auto" or "fp32" counts for both. From coarse to fine, the default, has no word, so that what 0.1.0
    made at full size alone stays done.
    """
    return [sha256, precision or run.precision, run.snap, *([] if run.coarse_to_fine else ["full size only"])]


def given_words(job: Job) -> list[Any]:
    """What recipes hash in place of the network, where the alpha is given."""
    return ["a given alpha", job.known is not None]


def approved_words(file: str) -> list[Any]:
    """What recipes hash in place of the network, where a person approved the alpha in this file."""
    return ["an approved alpha", file]


def reading_words(reading: ReadOptions, *, exposure: float) -> list[Any]:
    """What recipes hash of how the photo is read, and of the exposure that the network sees."""
    parts: list[Any] = [] if reading.input_space == "auto" else [["input space", reading.input_space]]
    parts += [] if reading.layer is None else [["layer", reading.layer]]
    return parts + ([["network exposure", exposure]] if exposure else [])


def _making_words(job: Job) -> list[Any]:
    """What recipes hash of how the trimap is made, where it is not simply read."""
    return [] if job.making is None else job.making.words()


def digest(parts: list[Any]) -> str:
    """A digest of values that JSON can hold."""
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=12).hexdigest()
