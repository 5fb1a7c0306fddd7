"""What the public functions take, row by row of the tables in docs/api.md, and the sentence that the rest gets."""

from __future__ import annotations

import inspect
import io
import pickle
import re
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from numpy.typing import NDArray

import mattecli
from mattecli.inference import arena
from mattecli.inference import model as model_module
from mattecli.weights import find_checkpoint

SIDE = 16
Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]

GREY = np.tile(np.linspace(0, 255, SIDE).astype(np.uint8), (SIDE, 1))
RGB = np.random.default_rng(0).integers(1, 255, (SIDE, SIDE, 3), dtype=np.uint8)
CODES = np.where(GREY < 80, 0, np.where(GREY > 170, 255, 128)).astype(np.uint8)
OPAQUE = np.ones((SIDE, SIDE), np.float32)
WHITE = np.ones((SIDE, SIDE, 3), np.float32)


def table(heading: str) -> dict[str, dict[str, str]]:
    """The rows of a table in docs/api.md, by their first cell: for each column the cell's text."""
    text = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
    lines = [
        line for line in text.partition(f"## {heading}\n")[2].partition("\n## ")[0].splitlines() if line[:1] == "|"
    ]
    head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in rows}


def sentence(cell: str) -> str | None:
    """The pattern of the sentence in a cell; None where there is none."""
    found = re.search("“(.*)”", cell)
    return None if found is None else ".*".join(map(re.escape, found[1].split("…"))) + "$"


# --- pictures, alphas, masks and trimaps ------------------------------------------------------------------------------

Form = Callable[[Bytes], list[tuple[Any, Bytes]]]  # what may be given for these values, and the values it stands for


def plain(form: Callable[[Bytes], Any]) -> Form:
    return lambda values: [(form(values), values)]


def file_of(values: Bytes) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.fromarray(values).save(buffer, "PNG")
    return buffer.getvalue()


def saved(values: Bytes) -> str:
    Path("given.png").write_bytes(file_of(values))
    return "given.png"


def with_alpha(values: Bytes, alpha: int) -> Bytes:
    opacity = np.full((SIDE, SIDE), 255, np.uint8)
    opacity[CODES == 0] = alpha
    return np.dstack([values, opacity])


def floats(values: Bytes) -> list[tuple[Any, Bytes]]:
    return [((values / 255).astype(kind), values) for kind in (np.float16, np.float32, np.float64, ">f4")]


def as_one_channel(values: Bytes) -> list[tuple[Any, Bytes]]:
    given = [values, values.astype(np.uint16) * 257, (values / 255).astype(np.float32)]
    return [(each[..., None], values) for each in given]


def pillow(values: Bytes) -> list[tuple[Any, Bytes]]:
    picture = PIL.Image.fromarray(values)
    turned = picture.transpose(PIL.Image.Transpose.ROTATE_180)
    turned.getexif()[0x0112] = 3
    return [(picture, values), (turned, values)]


COLOUR, ONE = True, False  # whether a row's form has three channels
FORMS: dict[str, tuple[bool, Form]] = {
    "`uint8` (H, W, 3)": (COLOUR, plain(lambda values: values)),
    "`uint8` (H, W)": (ONE, plain(lambda values: values)),
    "`uint16` (H, W, 3)": (COLOUR, plain(lambda values: values.astype(np.uint16) * 257)),
    "`uint16` (H, W)": (ONE, plain(lambda values: values.astype(np.uint16) * 257)),
    "floats (H, W, 3) in [0, 1]": (COLOUR, floats),
    "floats (H, W) in [0, 1]": (ONE, floats),
    "(H, W, 1) of these types": (ONE, as_one_channel),
    "`bool` (H, W)": (ONE, lambda values: [(values > 127, np.where(values > 127, 255, 0).astype(np.uint8))]),
    "`uint8` (H, W) of 0, 1 and 2": (ONE, lambda values: [(values // 127, values // 127)]),
    "RGBA (H, W, 4), opaque": (COLOUR, plain(lambda values: with_alpha(values, 255))),
    "RGBA (H, W, 4), transparent in places": (COLOUR, plain(lambda values: with_alpha(values, 0))),
    "floats outside of [0, 1]": (ONE, lambda values: [(values.astype(np.float32), values), (values * np.nan, values)]),
    "other types of array": (ONE, plain(lambda values: values.astype(np.int64))),
    "other shapes of array": (ONE, lambda values: [(np.dstack([values] * 2), values), (values[:0], values)]),
    "a PIL image": (COLOUR, pillow),
    "a file's name, `str` or `Path`": (COLOUR, lambda values: [(saved(values), values), (Path(saved(values)), values)]),
    "a file's `bytes`": (COLOUR, plain(file_of)),
    "a `mattecli.Image`": (COLOUR, plain(mattecli.Image)),
    "anything else": (ONE, plain(lambda values: values.tolist())),
}
GIVEN = table("Pictures, alphas, masks and trimaps")


@pytest.fixture(scope="module")
def model() -> mattecli.Model:
    """One for all rows, since loading takes longest."""
    return mattecli.load_model(device="cpu")


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def each_given(row: str, values: Bytes) -> list[tuple[Any, Bytes]]:
    """What the row's form makes of grey values."""
    colour, form = FORMS[row]
    return form(np.dstack([values] * 3) if colour else values)


def fitted(background: Any) -> NDArray[Any]:
    """The pixels that `fit_background` gives: an array's as one, all else's in an `Image`."""
    result = mattecli.fit_background(background, SIDE, 2 * SIDE)
    assert isinstance(result, np.ndarray) == isinstance(background, np.ndarray)
    return result if isinstance(result, np.ndarray) else result.pixels


def check(cell: str, call: Callable[[Any], Any], given: Any, expected: Any) -> None:
    """That a call gives these values, or is refused with the cell's sentence."""
    pattern = sentence(cell)
    if pattern is None:
        np.testing.assert_allclose(call(given), expected, atol=2e-3)
        return
    with pytest.raises(mattecli.InputError, match=pattern) as caught:
        call(given)
    assert isinstance(caught.value, ValueError)


def test_the_table_has_a_row_for_each_form() -> None:
    assert list(GIVEN) == list(FORMS)


@pytest.mark.parametrize("row", FORMS)
def test_what_is_given_as_a_picture(row: str, in_folder: Path, model: mattecli.Model) -> None:
    colour, form = FORMS[row]
    for given, values in form(RGB if colour else GREY):
        expected = values if values.ndim == 3 else np.dstack([values] * 3)
        alpha = model.predict(expected, CODES)
        for call, result in (
            (lambda given: mattecli.estimate_foreground(given, OPAQUE), expected / 255),
            (lambda given: mattecli.composite(given, OPAQUE, (0, 0, 0)), expected / 255),
            (lambda given: mattecli.composite(RGB, OPAQUE * 0, given), expected / 255),
            (lambda given: mattecli.cutout(given, OPAQUE)[..., :3], expected / 255),
            (lambda given: mattecli.cutout(RGB, OPAQUE, foreground=given)[..., :3], expected / 255),
            (lambda given: fitted(given).shape, (2 * SIDE, SIDE, 3)),
            (lambda given: model.predict(given, CODES), alpha),
            (lambda given: mattecli.predict_alpha(given, CODES, model), alpha),
        ):
            check(GIVEN[row]["as a picture"], call, given, result)


@pytest.mark.parametrize("row", FORMS)
def test_what_is_given_as_an_alpha(row: str, in_folder: Path) -> None:
    def written(given: Any) -> Floats:
        mattecli.write_alpha("alpha.tif", given, bits="float", overwrite=True)
        return mattecli.read_alpha("alpha.tif")

    for given, values in each_given(row, GREY):
        expected = (values if values.ndim == 2 else values[..., 0]) / 255
        for call, result in (
            (lambda given: mattecli.cutout(RGB, given)[..., 3], expected),
            (lambda given: mattecli.composite(WHITE, given, (0, 0, 0))[..., 0], expected),
            (lambda given: mattecli.estimate_foreground(RGB, given).shape, RGB.shape),
            (written, expected),
        ):
            check(GIVEN[row]["as an alpha"], call, given, result)


@pytest.mark.parametrize("row", FORMS)
def test_what_is_given_as_a_mask(row: str, in_folder: Path) -> None:
    for given, values in each_given(row, GREY):
        share = (values if values.ndim == 2 else values[..., 0]) / 255
        expected = np.where(share >= 0.95, 255, np.where(share <= 0.05, 0, 128))
        check(GIVEN[row]["as a mask"], lambda given: mattecli.make_trimap(given, erode=0, dilate=0), given, expected)


@pytest.mark.parametrize("row", FORMS)
def test_what_is_given_as_a_trimap(row: str, in_folder: Path, model: mattecli.Model) -> None:
    for given, values in each_given(row, CODES):
        codes = values if values.ndim == 2 else values[..., 0].copy()
        expected = model.predict(RGB, codes) if sentence(GIVEN[row]["as a trimap"]) is None else None
        for call in (
            lambda given: model.predict(RGB, given),
            lambda given: mattecli.predict_alpha(RGB, given, model),
        ):
            check(GIVEN[row]["as a trimap"], call, given, expected)


def test_a_pil_image_that_is_given_stays_as_it_is() -> None:
    picture = PIL.Image.fromarray(RGB)
    picture.getexif()[0x0112] = 6
    mattecli.estimate_foreground(picture, OPAQUE)
    assert picture.getexif()[0x0112] == 6
    assert np.array_equal(np.asarray(picture), RGB)


def test_a_truncated_file_behind_a_pil_image_is_one_sentence() -> None:
    picture = PIL.Image.open(io.BytesIO(file_of(RGB)[:500]))
    with pytest.raises(mattecli.InputError, match="the image is truncated or damaged"):
        mattecli.estimate_foreground(picture, OPAQUE)


def test_a_damaged_trimap_is_refused_and_snap_mends_it(model: mattecli.Model) -> None:
    trimap = np.full((SIDE, SIDE), 128, np.uint8)
    trimap[:, :7], trimap[:, 9:] = 3, 252
    with pytest.raises(mattecli.InputError, match="the trimap has 224 values just off black and white"):
        model.predict(RGB, trimap)
    mended = np.full((SIDE, SIDE), 128, np.uint8)
    mended[:, :7], mended[:, 9:] = 0, 255
    snapping = mattecli.Model(mattecli.RunOptions(snap=10), backend=model.backend)
    np.testing.assert_array_equal(snapping.predict(RGB, trimap), model.predict(RGB, mended))


def test_files_are_named_in_messages(in_folder: Path, model: mattecli.Model) -> None:
    PIL.Image.fromarray(RGB).save("photo.png")
    PIL.Image.fromarray(CODES[:8]).save("trimap.png")
    with pytest.raises(mattecli.InputError, match=r"trimap\.png is 16×8 but photo\.png is 16×16"):
        model.predict("photo.png", "trimap.png")


def test_bytes_go_by_the_name_of_their_parameter(model: mattecli.Model) -> None:
    with pytest.raises(mattecli.InputError, match=r"^the image is truncated or damaged"):
        model.predict(file_of(RGB)[:500], CODES)
    with pytest.raises(mattecli.InputError, match=r"^cat is truncated or damaged"):
        model.predict(file_of(RGB)[:500], CODES, name="cat")
    with pytest.raises(mattecli.InputError, match=r"^the trimap is empty"):
        model.predict(RGB, b"")
    with pytest.raises(mattecli.InputError, match=r"^the alpha is a colour picture"):
        mattecli.cutout(RGB, file_of(RGB))
    with pytest.raises(mattecli.InputError, match=r"^the picture in memory is not an image"):
        mattecli.read_image(b"nothing")
    with pytest.raises(mattecli.InputError, match=r"^cat is not an image"):
        mattecli.read_image(b"nothing", name="cat")


@pytest.mark.parametrize("read", [mattecli.read_image, mattecli.read_alpha, mattecli.read_trimap])
def test_a_name_stands_in_messages_in_place_of_the_files_own(read: Callable[..., object], tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "half.png").write_bytes(file_of(RGB)[:500])
    for file in ("gone.png", "empty.png", "half.png", "", "long" * 100):
        with pytest.raises(mattecli.InputError, match=r"^cat\.png ") as caught:
            read(tmp_path / file, name="cat.png")
        assert str(tmp_path) not in str(caught.value)


# --- functions --------------------------------------------------------------------------------------------------------

SMALL = np.zeros((8, 8), np.uint8)
REFUSED: dict[str, Callable[[], object]] = {
    "load_model": lambda: mattecli.load_model("gone.pth"),
    "Model.predict": lambda: mattecli.Model().predict(RGB, SMALL),
    "predict_alpha": lambda: mattecli.predict_alpha(RGB, CODES, "a2u_shared"),  # type: ignore[arg-type]
    "load_backend": lambda: mattecli.load_backend(backend="jax"),
    "read_image": lambda: mattecli.read_image([]),  # type: ignore[arg-type]
    "read_alpha": lambda: mattecli.read_alpha([]),  # type: ignore[arg-type]
    "read_trimap": lambda: mattecli.read_trimap([]),  # type: ignore[arg-type]
    "write_image": lambda: mattecli.write_image("a.xyz", RGB),
    "write_alpha": lambda: mattecli.write_alpha("a.png", OPAQUE, bits=12),  # type: ignore[arg-type]
    "make_trimap": lambda: mattecli.make_trimap(GREY, erode=-1, dilate=0),
    "estimate_foreground": lambda: mattecli.estimate_foreground(RGB, SMALL),
    "composite": lambda: mattecli.composite(RGB, OPAQUE, SMALL),
    "cutout": lambda: mattecli.cutout(RGB, SMALL),
    "fit_background": lambda: mattecli.fit_background(RGB, 8, 8, fit="fill"),  # type: ignore[call-overload]
    "score": lambda: mattecli.score(GREY, GREY, SMALL),
}
OF_PARAMETERS = {"Colour", "Depth", "Fit", "Given", "Progress", "Tile", "Width"}  # which are not classes
FOREIGN = {"Any", "Callable", "Image", "NDArray", "None", "PIL", "Path"}
WRITTEN_OUT = {"Floats", "Note", "Quality", "Ready", "Source", "Statistics"}  # short, or only for the server
FUNCTIONS = {row.strip("`"): cells for row, cells in table("Functions").items()}


def test_the_table_has_a_row_for_each_public_function() -> None:
    public = {name for name in mattecli.__all__ if inspect.isfunction(getattr(mattecli, name))}
    assert set(FUNCTIONS) == public | {"Model.predict"}


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if not name.startswith("load_")])
def test_the_table_names_what_each_function_takes_by_name_alone(name: str) -> None:
    function = mattecli.Model.predict if name == "Model.predict" else getattr(mattecli, name)
    parameters = inspect.signature(function).parameters.values()
    alone = {each.name for each in parameters if each.kind is inspect.Parameter.KEYWORD_ONLY}
    assert alone <= set(re.findall(r"`([a-z_]+)`", FUNCTIONS[name]["and by name"]))


def test_the_table_has_a_row_for_each_public_class() -> None:
    values = {name: getattr(mattecli, name) for name in mattecli.__all__}
    classes = {name for name, value in values.items() if isinstance(value, type) and not issubclass(value, Exception)}
    assert {row.strip("`") for row in table("Classes")} == classes


def test_metadata_stays_out_of_a_file_if_that_is_asked_for(in_folder: Path) -> None:
    exif = PIL.Image.Exif()
    exif[0x010F] = "a camera"
    PIL.Image.fromarray(RGB).save("photo.jpg", exif=exif)
    photo = mattecli.read_image("photo.jpg", options=mattecli.ReadOptions(max_pixels=SIDE * SIDE))
    mattecli.write_image("with.png", photo)
    mattecli.write_image("without.png", photo, options=mattecli.WriteOptions(metadata=False))
    assert mattecli.read_image("with.png").metadata.exif
    assert not mattecli.read_image("without.png").metadata.exif


@pytest.mark.parametrize("name", FUNCTIONS)
def test_each_function_refuses_with_its_sentence(name: str) -> None:
    pattern = sentence(FUNCTIONS[name]["refuses, for example"])
    if pattern is None:
        assert name not in REFUSED
        return
    with pytest.raises(ValueError, match=f"^{pattern}") as caught:
        REFUSED[name]()
    assert isinstance(caught.value, mattecli.MatteError)


def test_what_is_exported_is_what_all_lists() -> None:
    exported = {name for name in dir(mattecli) if not name.startswith("_")}
    assert exported == set(mattecli.__all__)
    assert list(mattecli.__all__) == sorted(mattecli.__all__)
    for name in set(mattecli.__all__) - OF_PARAMETERS:
        assert getattr(mattecli, name).__name__ == name


def test_the_types_of_public_parameters_have_public_names() -> None:
    takers = [getattr(mattecli, name) for name in FUNCTIONS if "." not in name]
    takers += [mattecli.Model.predict, mattecli.Model.draft, mattecli.Model.plan]
    takers += [mattecli.RunOptions, mattecli.ReadOptions, mattecli.WriteOptions]
    types = " ".join(str(kind) for taker in takers for kind in inspect.get_annotations(taker).values())
    taken = set(re.findall(r"\b[A-Z]\w+", types)) - FOREIGN - WRITTEN_OUT
    assert taken <= set(mattecli.__all__)
    assert taken >= OF_PARAMETERS


@pytest.mark.parametrize(
    ("kind", "plain_kind"),
    [
        (mattecli.InputError, ValueError),
        (mattecli.UsageError, ValueError),
        (mattecli.WeightsError, ValueError),
        (mattecli.DeviceError, RuntimeError),
    ],
)
def test_errors_are_pythons_own_too_and_travel_between_processes(kind: type[Exception], plain_kind: type) -> None:
    error = pickle.loads(pickle.dumps(kind("the fact; the remedy")))
    assert isinstance(error, plain_kind)
    assert isinstance(error, mattecli.MatteError)
    assert str(error) == "the fact; the remedy"


# --- models -----------------------------------------------------------------------------------------------------------


def test_predict_alpha_takes_a_model_or_a_backend_in_third_place_or_by_name(model: mattecli.Model) -> None:
    expected = model.predict(RGB, CODES)
    for alpha in (
        mattecli.predict_alpha(RGB, CODES, model),
        mattecli.predict_alpha(RGB, CODES, model.backend),
        mattecli.predict_alpha(RGB, CODES, model=model),
        mattecli.predict_alpha(RGB, CODES, backend=model.backend),
        mattecli.predict_alpha(RGB, CODES, model, tile=64),
    ):
        np.testing.assert_allclose(alpha, expected, atol=1e-4)
    with pytest.raises(mattecli.UsageError, match="`model` and `backend` are both given"):
        mattecli.predict_alpha(RGB, CODES, model, backend=model.backend)
    with pytest.raises(mattecli.DeviceError, match="are allowed by `max_memory`"):
        mattecli.predict_alpha(RGB, CODES, model, max_memory=2**20)


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("threads", -1, "`threads` must be a whole number from 1 up, not -1"),
        ("threads", 2.5, "`threads` must be a whole number from 1 up, not 2.5"),
        ("device", torch.device("cpu"), "`device` must be the text auto, cpu, cuda or cuda:N, not device"),
        ("max_memory", "4G", "`max_memory` must be a number of bytes above 0, not '4G'"),
        ("max_memory", -5, "`max_memory` must be a number of bytes above 0, not -5"),
        ("tile", 100, "`tile` must be auto, off or a multiple of 16 from 64 up, not 100"),
        ("tile", "large", "`tile` must be auto, off or a multiple of 16 from 64 up, not large"),
        ("snap", 300, "`snap` must be a whole number from 0 to 100, not 300"),
        ("snap", -3, "`snap` must be a whole number from 0 to 100, not -3"),
        ("snap", 1.5, "`snap` must be a whole number from 0 to 100, not 1.5"),
    ],
)
def test_options_that_cannot_be_meant_are_refused_when_a_model_is_loaded(option: str, value: Any, said: str) -> None:
    for backend in ("torch", "onnx"):
        with pytest.raises(mattecli.UsageError, match=f"^{re.escape(said)}"):
            mattecli.load_model(backend=backend, **{option: value})


def test_the_same_options_are_refused_where_they_are_given_otherwise(model: mattecli.Model) -> None:
    with pytest.raises(mattecli.UsageError, match="`max_memory` must be a number of bytes above 0, not 0"):
        mattecli.predict_alpha(RGB, CODES, model, max_memory=0)
    with pytest.raises(mattecli.UsageError, match="`tile` must be auto, off or a multiple of 16 from 64 up, not 100"):
        mattecli.Predictor(tile=100)
    with pytest.raises(mattecli.UsageError, match="`snap` must be a whole number from 0 to 100, not 101"):
        mattecli.read_trimap(file_of(CODES), snap=101)
    with pytest.raises(mattecli.UsageError, match="`threads` must be a whole number from 1 up, not 0"):
        mattecli.load_backend(threads=0)


@pytest.mark.parametrize("stops", ["2", 2000, -11, float("nan"), None])
def test_an_exposure_that_cannot_be_meant_is_refused_when_a_model_is_made(stops: Any) -> None:
    with pytest.raises(mattecli.UsageError, match=f"^`network_exposure` must be .* from -10 to 10, not {stops!r}$"):
        mattecli.Model(mattecli.RunOptions(network_exposure=stops))


def test_what_is_no_backend_is_named_as_it_was_given() -> None:
    with pytest.raises(mattecli.UsageError, match=r"^`backend` is a str; give what load_model or load_backend returns"):
        mattecli.predict_alpha(RGB, CODES, backend="onnx")  # type: ignore[arg-type]


def test_what_takes_arrays_alone_says_so() -> None:
    with pytest.raises(mattecli.InputError, match=r"^the picture is a list; give a NumPy array"):
        mattecli.Image([[0]])  # type: ignore[arg-type]
    grey: list[Any] = [GREY] * 3
    for place, name in enumerate(("prediction", "truth", "trimap")):
        for given in (GREY.tolist(), PIL.Image.fromarray(GREY)):
            with pytest.raises(mattecli.InputError, match=f"^the {name} is a .*; give a NumPy array"):
                mattecli.score(*grey[:place], given, *grey[place + 1 :])


def test_numbers_of_numpy_are_numbers(model: mattecli.Model) -> None:
    options = mattecli.RunOptions(tile=np.int64(64), max_memory=np.int64(2**40), snap=np.uint8(5))  # type: ignore[arg-type]
    alpha = mattecli.Model(options, backend=model.backend).predict(RGB, CODES)
    np.testing.assert_allclose(alpha, model.predict(RGB, CODES), atol=1e-4)
    assert mattecli.load_backend(device="cpu", threads=np.int64(1)).device == "cpu"  # type: ignore[arg-type]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps blocks for later maps")
def test_the_memory_of_the_default_models_maps_is_given_back_when_it_is_dropped() -> None:
    mattecli.predict_alpha(RGB, CODES)
    assert arena.shared.spare_bytes() > 0
    mattecli.drop_default_model()
    assert arena.shared.spare_bytes() == 0


def test_the_network_s_exposure_is_for_all_that_is_not_an_array(model: mattecli.Model) -> None:
    bright = mattecli.Model(mattecli.RunOptions(network_exposure=2), backend=model.backend)
    plain = model.predict(RGB, CODES)
    np.testing.assert_array_equal(bright.predict(RGB, CODES), plain)
    for given in (PIL.Image.fromarray(RGB), mattecli.Image(RGB), file_of(RGB)):
        assert np.abs(bright.predict(given, CODES) - plain).max() > 1e-3


def test_the_default_model_is_loaded_once_for_all_threads_until_it_is_dropped(
    model: mattecli.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = []

    def load(*_: object, **__: object) -> object:
        loaded.append(1)
        return model.backend

    monkeypatch.setattr(model_module, "load_backend", load)
    mattecli.drop_default_model()
    alphas: list[Floats] = []
    threads = [threading.Thread(target=lambda: alphas.append(mattecli.predict_alpha(RGB, CODES))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loaded) == 1
    assert len(alphas) == 8
    for alpha in alphas:
        np.testing.assert_array_equal(alpha, model.predict(RGB, CODES))
    mattecli.drop_default_model()
    mattecli.predict_alpha(RGB, CODES)
    assert len(loaded) == 2
    mattecli.drop_default_model()


def test_a_model_travels_with_its_options_and_one_of_a_foreign_backend_does_not(model: mattecli.Model) -> None:
    options = mattecli.RunOptions(weights=find_checkpoint().path, device="cpu", tile=64)
    travelled = pickle.loads(pickle.dumps(mattecli.Model(options)))
    assert travelled.options == options
    np.testing.assert_allclose(travelled.predict(RGB, CODES), model.predict(RGB, CODES), atol=1e-4)
    assert pickle.loads(pickle.dumps(model)).options == model.options
    with pytest.raises(mattecli.UsageError, match="was given a backend cannot be pickled; make it with load_model"):
        pickle.dumps(mattecli.Model(backend=model.backend))


def test_names_of_0_1_0_go_on_working(in_folder: Path) -> None:
    import mattecli.ops

    Path("photo.png").write_bytes(file_of(RGB))
    Path("trimap.png").write_bytes(file_of(CODES))
    backend = mattecli.load_backend(backend="torch", device="cpu")
    expected = mattecli.predict_alpha(RGB, CODES, backend)
    row = mattecli.Predictor(backend="torch", device="cpu")({"image": "photo.png", "trimap": "trimap.png"})
    np.testing.assert_array_equal(row["alpha"], expected)
    assert hasattr(mattecli.Backend, "run")
    assert mattecli.ops.KernelPredictor.__name__ == "KernelPredictor"


def test_the_first_example_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(__file__).parents[2]
    code = re.findall(r"```python\n(.*?)```", (root / "docs" / "api.md").read_text(encoding="utf-8"), re.DOTALL)[0]
    with PIL.Image.open(root / "examples" / "portrait.jpg") as portrait:
        portrait.reduce(4).save(tmp_path / "photo.jpg", quality=95)
        size = portrait.reduce(4).size
    with PIL.Image.open(root / "examples" / "portrait_mask.png") as mask:
        trimap = mattecli.make_trimap(mask.resize(size))
    PIL.Image.fromarray(trimap).save(tmp_path / "photo_trimap.png")
    with PIL.Image.open(root / "examples" / "background.jpg") as background:
        background.reduce(4).save(tmp_path / "beach.jpg")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "docs/api.md", "exec"), {})
    with PIL.Image.open("photo_alpha.png") as alpha, PIL.Image.open("cutout.png") as cutout:
        assert (alpha.size, cutout.size, cutout.mode) == (size, size, "RGBA")
    with PIL.Image.open("composite.jpg") as composite:
        assert composite.size == size
