"""One photo from its files to its outcome."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mattecli.compositing.colours import ColourOptions
from mattecli.compositing.despill import Despill
from mattecli.compositing.finishing import Finishing
from mattecli.compositing.foreground import estimate_foreground
from mattecli.compositing.rendition import Rendition
from mattecli.errors import DeviceError, InputError, UsageError, WeightsError
from mattecli.imaging.choices import Kind
from mattecli.imaging.colour import space_named
from mattecli.imaging.image import Image
from mattecli.imaging.read import read_alpha, read_image
from mattecli.imaging.write import write_image
from mattecli.inference.model import Model
from mattecli.inference.options import RunOptions
from mattecli.trimaps.recipe import MaskRecipe
from mattecli.work import job as jobs
from mattecli.work.job import Inputs, Matte, run_job, write_outputs
from mattecli.work.making import Making
from mattecli.work.outcome import Job
from mattecli.work.outputs import OutputOptions
from tests.support.batches import SIDE, write_photo, write_trimap
from tests.support.memory import free_memory

KINDS: tuple[Kind, ...] = ("composite", "cutout", "foreground", "alpha")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    return write_photo(tmp_path / "photo.png")


@pytest.fixture
def trimap(tmp_path: Path) -> Path:
    return write_trimap(tmp_path / "trimap.png")


def job_of(photo: Path, trimap: Path, *kinds: Kind, background: str | None = None) -> Job:
    return Job(
        "photo", str(photo), str(trimap), {kind: str(photo.parent / f"{kind}.png") for kind in kinds}, background
    )


class Unloadable(Model):
    """A model whose weights are missing: what is refused before is refused without a network."""

    @property
    def backend(self) -> Any:
        raise WeightsError("the weights are missing")


def test_all_outputs_are_written_and_the_facts_are_gathered(photo: Path, trimap: Path, shipped_model: Model) -> None:
    job = job_of(photo, trimap, *KINDS, background="#00b140")
    plans: list[Any] = []
    devices: list[str] = []
    done = run_job(job, shipped_model, on_load=lambda backend: devices.append(backend.device), on_plan=plans.append)
    assert all(Path(output).is_file() for output in job.outputs.values())
    assert (devices, len(plans), done.notes) == (["cpu"], 1, ())
    assert {key: done.facts[key] for key in ("width", "height", "unknown", "tile", "device", "precision")} == {
        "width": SIDE,
        "height": SIDE,
        "unknown": 0.375,
        "tile": "off",
        "device": "cpu",
        "precision": "fp32",
    }
    assert done.facts["weights"]["name"] == "a2u_shared"
    assert done.seconds > 0
    alpha = read_alpha(job.outputs["alpha"])
    assert np.array_equal(read_image(job.outputs["cutout"], keep_alpha=True).pixels[..., 3], np.rint(alpha * 255))
    assert (read_image(job.outputs["composite"]).pixels[alpha == 0] == (0x00, 0xB1, 0x40)).all()


def test_linear_is_for_the_colours_of_all_outputs(photo: Path, trimap: Path, shipped_model: Model) -> None:
    kinds: tuple[Kind, ...] = ("cutout", "foreground", "composite")
    made: dict[bool, list[bytes]] = {}
    for linear in (False, True):
        job = job_of(photo, trimap, *kinds, background="white")
        run_job(job, shipped_model, options=OutputOptions(linear=linear), overwrite=True)
        made[linear] = [Path(job.outputs[kind]).read_bytes() for kind in kinds]
    assert all(light != display for light, display in zip(made[True], made[False], strict=True))
    alone = job_of(photo, trimap, "composite", background="white")
    run_job(alone, shipped_model, options=OutputOptions(linear=True), overwrite=True)
    assert Path(alone.outputs["composite"]).read_bytes() == made[True][2]


def test_the_alpha_is_safe_before_anything_else_is_made(
    photo: Path, trimap: Path, shipped_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[list[str]] = []

    def fail(*_: object) -> None:
        written.append([path.name for path in photo.parent.iterdir()])
        raise MemoryError

    monkeypatch.setattr(jobs.ForegroundColours, "of", fail)
    with pytest.raises(MemoryError):
        run_job(job_of(photo, trimap, "cutout", "alpha"), shipped_model)
    assert sorted(written[0]) == ["alpha.png", "photo.png", "trimap.png"]


def test_what_can_be_refused_is_refused_without_a_network(photo: Path, trimap: Path, tmp_path: Path) -> None:
    (tmp_path / "alpha.png").write_bytes(b"mine")
    model = Unloadable(RunOptions())
    with pytest.raises(InputError, match=r"alpha.png exists already"):
        run_job(job_of(photo, trimap, "alpha"), model)
    with pytest.raises(InputError, match=r"photo.png is an input"):
        run_job(Job("photo", str(photo), str(trimap), {"alpha": str(photo)}), model, overwrite=True)
    with pytest.raises(InputError, match=r"gone.png"):
        run_job(job_of(tmp_path / "gone.png", trimap, "cutout"), model)
    with pytest.raises(InputError, match=r"beach.png"):
        run_job(job_of(photo, trimap, "composite", background=str(tmp_path / "beach.png")), model)
    with pytest.raises(WeightsError):
        run_job(job_of(photo, trimap, "cutout"), model)
    assert (tmp_path / "alpha.png").read_bytes() == b"mine"


def test_a_mask_of_another_size_is_refused_before_it_is_decoded(photo: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "mask.png", Image(np.zeros((SIDE, 2 * SIDE), np.uint8)))
    content = bytearray((tmp_path / "mask.png").read_bytes())
    at = content.index(b"IDAT")
    length = int.from_bytes(content[at - 4 : at])
    content[at + 4 : at + 4 + length] = bytes(length)  # pixels that cannot be decoded
    (tmp_path / "mask.png").write_bytes(content)
    job = replace(job_of(photo, tmp_path / "mask.png", "alpha"), making=Making(recipe=MaskRecipe()))
    with pytest.raises(InputError, match=rf"mask\.png is {2 * SIDE}×{SIDE} but .* make the mask from the photo"):
        run_job(job, Unloadable(RunOptions()))


def test_too_little_memory_for_an_output_is_found_before_the_network_is_loaded(photo: Path, trimap: Path) -> None:
    too_little = pytest.raises(DeviceError, match=r"putting .* together takes")
    with free_memory(8 * SIDE * SIDE), too_little:  # enough to read it
        run_job(job_of(photo, trimap, "cutout"), Unloadable(RunOptions()))


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("cutout", {"finishing": Finishing(spread=2)}, "putting"),
        ("cutout", {"finishing": Finishing(crop="subject")}, "putting"),
        ("cutout", {"colours": ColourOptions(despill=Despill(screen="green"))}, "putting"),
        ("cutout", {"linear": True}, "putting"),
        ("alpha", {"finishing": Finishing(choke=2)}, "finishing"),
    ],
)
def test_memory_for_finishing_and_colours_is_counted_before_the_network_is_loaded(
    photo: Path, trimap: Path, kind: str, options: dict[str, Any], words: str
) -> None:
    too_little = pytest.raises(DeviceError, match=rf"{words} .* takes")
    with free_memory(22 * SIDE * SIDE), too_little:  # enough for a plain cut-out, and to read
        run_job(job_of(photo, trimap, kind), Unloadable(RunOptions()), options=OutputOptions(**options))


def test_outputs_of_one_space_share_an_estimate_whatever_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def counted(*given: Any, **options: Any) -> Any:
        calls.append(given)
        return estimate_foreground(*given, **options)

    monkeypatch.setattr("mattecli.compositing.colours.estimate_foreground", counted)
    made = {"web": "srgb", "print": None, "small": "srgb", "proof": None}
    outputs = {name: str(tmp_path / f"{name}.png") for name in made}
    renditions = {
        name: Rendition(name=name, kind="cutout", output_space=space, bits=16 if name == "proof" else 8)
        for name, space in made.items()
    }
    wide = Image(np.full((20, 30, 3), 90, np.uint8), space_named("adobergb").icc)
    matte = Matte(Inputs(wide, None, None, None, 0.0), np.full((20, 30), 0.5, np.float32), None, 0.0)
    options = OutputOptions(renditions=renditions)
    job = Job("a.png", "a.png", "t.png", outputs)
    write_outputs(job, matte, options, backgrounds={}, replaces=dict.fromkeys(outputs, False))
    assert len(calls) == 2
    assert all(Path(file).is_file() for file in outputs.values())


def test_a_length_that_is_too_long_for_the_photo_is_found_before_the_network_is_loaded(
    tmp_path: Path, trimap: Path
) -> None:
    write_image(tmp_path / "wide.png", Image(np.zeros((90, 400, 3), np.uint8)))
    write_image(tmp_path / "known.png", Image(np.full((90, 400), 128, np.uint8)))
    options = OutputOptions(finishing=Finishing(feather="90%"))
    with pytest.raises(UsageError, match="`feather` must be at most 200 pixels, not 369"):
        run_job(
            job_of(tmp_path / "wide.png", tmp_path / "known.png", "alpha"), Unloadable(RunOptions()), options=options
        )


def test_notes_come_as_soon_as_they_are_known_and_again_with_the_outcome(
    photo: Path, tmp_path: Path, shipped_model: Model
) -> None:
    known = tmp_path / "known.png"
    write_image(known, Image(np.full((SIDE, SIDE), 255, np.uint8)))
    notes: list[str] = []

    def on_load(_: object) -> None:
        notes.append("loaded")

    done = run_job(job_of(photo, known, "alpha"), shipped_model, on_note=notes.append, on_load=on_load)
    assert "known.png has no unknown pixels" in notes[0]
    assert (notes[1:], done.notes) == (["loaded"], (notes[0],))
    assert done.facts["tile"] == "off"
    assert (read_alpha(photo.with_name("alpha.png")) == 1).all()


def test_snap_is_the_models(photo: Path, tmp_path: Path, shipped_model: Model) -> None:
    pixels = read_image(write_trimap(tmp_path / "lossy.png")).pixels[..., 0]
    pixels[pixels == 0] = 3
    write_image(tmp_path / "lossy.png", Image(pixels), overwrite=True)
    job = job_of(photo, tmp_path / "lossy.png", "alpha")
    snapping = Model(RunOptions(device="cpu", snap=4), backend=shipped_model.backend)
    assert run_job(job, snapping).facts["unknown"] == 0.375


def test_odd_values_are_counted_once(
    photo: Path, trimap: Path, shipped_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[int] = []

    def counting(pixels: Any) -> str:
        counted.append(pixels.size)
        return "1 infinite"

    monkeypatch.setattr(jobs, "odd_values", counting)
    notes: list[str] = []
    done = run_job(job_of(photo, trimap, "alpha"), shipped_model, on_note=notes.append)
    assert counted == [SIDE * SIDE * 3]
    assert [note for note in done.notes if "odd values (1 infinite)" in note] == notes


@pytest.mark.parametrize(
    ("image", "output", "options", "eight"),
    [
        ("a.png", {"alpha": "a.png"}, {}, True),
        ("a.png", {"alpha": "-"}, {}, True),
        ("a.jpg", {"alpha": "a.png"}, {"bits": 16}, False),
        ("a.jpg", {"alpha": "a.exr"}, {}, False),
        ("a.jpg", {"alpha": "a.npy"}, {}, False),
        ("a.jpg", {"cutout": "a.png"}, {}, True),
        ("a.png", {"cutout": "a.png"}, {}, False),
        ("a.png", {"cutout": "a.webp"}, {}, True),
        ("a.png", {"cutout": "a.avif"}, {}, True),
        ("a.png", {"cutout": "a.png"}, {"depths": {"cutout": 8}}, True),
        ("a.jpg", {"cutout": "a.png"}, {"depths": {"cutout": 16}}, False),
        ("a.jpg", {"alpha": "a.png", "composite": "b.exr"}, {}, False),
        ("a.png", {"small": "a.png"}, {"renditions": {"small": Rendition(name="small", kind="alpha")}}, True),
    ],
)
def test_an_output_shows_8_bits_unless_its_format_or_its_photo_may_hold_more(
    image: str, output: dict[str, str], options: dict[str, Any], eight: bool
) -> None:
    assert OutputOptions(**options).show_8_bits(Job("a", image, "t.png", output)) is eight


def test_without_the_linter_only_its_note_is_missing(photo: Path, trimap: Path, shipped_model: Model) -> None:
    without_foreground = np.full((SIDE, SIDE), 128, np.uint8)  # of which the linter warns
    without_foreground[:, :9] = 0
    write_image(trimap, Image(without_foreground), overwrite=True)
    notes: dict[bool, list[str]] = {True: [], False: []}
    made = {}
    for lint, found in notes.items():
        run_job(job_of(photo, trimap, "alpha"), shipped_model, lint=lint, overwrite=True, on_note=found.append)
        made[lint] = (photo.parent / "alpha.png").read_bytes()
    assert made[True] == made[False]
    assert len(notes[True]) == 1
    assert notes[False] == []


def test_the_foreground_is_estimated_once_for_all_outputs_of_a_photo(
    photo: Path, trimap: Path, shipped_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []

    def counting(*args: Any, **options: Any) -> Any:
        calls.append(options)
        return estimate_foreground(*args, **options)

    monkeypatch.setattr("mattecli.compositing.colours.estimate_foreground", counting)
    run_job(job_of(photo, trimap, *KINDS, background="red"), shipped_model)
    assert len(calls) == 1
