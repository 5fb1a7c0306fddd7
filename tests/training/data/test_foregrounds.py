import hashlib
import json

import cv2
import numpy as np
import pytest

from mattecli.training.data.foregrounds import DEFAULT_WEIGHTS, KINDS, Foreground, draw_parameters, make_foreground
from mattecli.training.data.random import Draw

SIZE = 160


def drawn(kind: str, sample: int = 0) -> dict:
    return draw_parameters(kind, Draw(1, sample))


def made(kind: str, sample: int = 0, size: int = SIZE, **options) -> Foreground:
    return make_foreground(kind, drawn(kind, sample), size, **options)


def photo() -> np.ndarray:
    x, y = np.meshgrid(np.arange(200), np.arange(150))
    return np.stack([x, y, (x * 7 + y * 3) % 256], -1).astype(np.uint8)


def test_kinds_are_sorted_and_hold_what_matting_is_about() -> None:
    assert list(KINDS) == sorted(set(KINDS))
    assert {"hair", "fur", "feathers", "foliage", "net", "lace", "web", "dandelion", "veil", "glass"} <= set(KINDS)
    assert {"bubbles", "smoke", "text", "motion", "defocus", "shape"} <= set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_foreground_is_a_picture_with_soft_and_clear_parts(kind: str) -> None:
    foreground = made(kind)
    assert foreground.kind == kind
    assert foreground.colour.dtype == foreground.alpha.dtype == np.uint8
    assert foreground.colour.shape == (SIZE, SIZE, 3)
    assert foreground.alpha.shape == (SIZE, SIZE)
    assert np.mean((foreground.alpha > 0) & (foreground.alpha < 255)) > 0.003
    assert 0.005 < foreground.alpha.mean() / 255 < 0.995
    assert foreground.colour.std() > 0.5


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_arguments_make_the_same_pixels(kind: str) -> None:
    first, second = made(kind, 3, 96, photos=[photo()]), made(kind, 3, 96, photos=[photo()])
    assert np.array_equal(first.colour, second.colour)
    assert np.array_equal(first.alpha, second.alpha)
    assert first.solid == second.solid


@pytest.mark.parametrize("kind", KINDS)
def test_another_sample_is_another_picture(kind: str) -> None:
    assert not np.array_equal(made(kind, 3, 96).alpha, made(kind, 4, 96).alpha)


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_survive_json(kind: str) -> None:
    parameters = drawn(kind, 5)
    again = json.loads(json.dumps(parameters))
    assert again == parameters
    assert isinstance(parameters["seed"], int)
    assert np.array_equal(make_foreground(kind, again, 64).alpha, make_foreground(kind, parameters, 64).alpha)


def digest_of(kinds: list[str]) -> str:
    digest = hashlib.sha256()
    for kind in kinds:
        for sample in range(64):
            digest.update(json.dumps([kind, drawn(kind, sample)], sort_keys=True).encode())
    return digest.hexdigest()


def test_drawn_parameters_are_equal_on_every_machine() -> None:
    old = [kind for kind in KINDS if DEFAULT_WEIGHTS[kind]]
    assert digest_of(old) == "b7a2db6fa5bea60a041b21acbc94cb28b34ad91f33d9ac25c35ce4156997eca0"
    later = [kind for kind in KINDS if not DEFAULT_WEIGHTS[kind]]
    assert digest_of(later) == "75624d5ba0eb0c6c27ead15617e2ef0cbc05e804096ea359e6294e4996b7af78"


@pytest.mark.parametrize("kind", KINDS)
def test_solid_foregrounds_hold_full_alpha(kind: str) -> None:
    for sample in range(3):
        foreground = made(kind, sample, 96)
        if foreground.solid:
            assert np.mean(foreground.alpha == 255) >= 0.005


def test_smoke_and_bubbles_are_never_solid_and_hair_is() -> None:
    assert not any(made(kind, sample, 64).solid for kind in ("smoke", "bubbles") for sample in range(8))
    assert all(made("hair", sample, 96).solid for sample in range(8))


@pytest.mark.parametrize("kind", KINDS)
def test_colour_goes_on_smoothly_where_alpha_ends(kind: str) -> None:
    foreground = made(kind, 1)
    outside = foreground.alpha == 0
    if outside.mean() < 0.02:
        pytest.skip("this sample fills its frame")
    # Away from the edge nothing may jump; a black or white filling would jump at the edge, to the thing's own colours.
    deep = cv2.erode(outside.astype(np.uint8), np.ones((9, 9))) > 0
    colour = foreground.colour.astype(np.float32)
    steps = np.abs(np.diff(colour, axis=1)).max(2)
    if deep.any():
        assert np.percentile(steps[deep[:, 1:]], 99) < 12
    across = outside[:, 1:] != outside[:, :-1]
    assert np.median(steps[across]) < 40


def test_photographs_lend_their_colours() -> None:
    parameters = drawn("shape", 0)
    parameters["looks"] = [look | {"source": "photo", "tie": 0.0, "relief": 0.0} for look in parameters["looks"]]
    parameters |= {"handles": 0, "sticks": 0, "blur": 0.0}
    green = np.zeros((50, 50, 3), np.uint8) + np.array([10, 200, 30], np.uint8)
    foreground = make_foreground("shape", parameters, 96, photos=[green])
    inside = foreground.colour[foreground.alpha == 255].astype(int)
    assert len(inside) > 100
    assert np.abs(inside - [10, 200, 30]).max() <= 4


def test_an_unknown_kind_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        draw_parameters("cheese", Draw(0))
