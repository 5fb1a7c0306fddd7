from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mattecli.training.data.foregrounds import Foreground, draw_parameters, make_foreground
from mattecli.training.data.foregrounds.bodies import slim_things
from mattecli.training.data.foregrounds.mesh import wires
from mattecli.training.data.random import Draw, generator

SIZE = 160
PATTERNS = ("hexagon", "round", "slots", "diamond", "square")


def mesh(**changes: Any) -> Foreground:
    """A coarse mesh of thin wires, upright and in the middle, with nothing inside, changed as told."""
    plain = {"form": "basket", "pattern": "square", "period": 0.05, "wire": 0.2, "things": 0, "blur": 0.0, "bend": 0.0}
    upright = {
        "wide": 0.35,
        "taper": 0.0,
        "lean": 0.0,
        "tilt": 0.2,
        "far": 0.05,
        "top": 0.2,
        "bottom": 1.2,
        "rim": 0.02,
    }
    return make_foreground("mesh", draw_parameters("mesh", Draw(3)) | plain | upright | changes, SIZE)


def lightness(foreground: Foreground) -> float:
    """Mean of the colours where the alpha is full, 0 to 255."""
    return float(foreground.colour[foreground.alpha == 255].mean())


@pytest.mark.parametrize("pattern", PATTERNS)
def test_no_place_is_farther_than_half_a_period_from_a_wire(pattern: str) -> None:
    v, u = np.mgrid[0:6:0.01, 0:6:0.01].astype(np.float32)
    distance = wires(u, v, pattern)
    assert distance.min() == pytest.approx(0, abs=0.01)
    assert distance.max() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("form", ["basket", "screen", "screens"])
def test_wider_wires_leave_smaller_holes(form: str, pattern: str) -> None:
    thin, thick = (mesh(form=form, pattern=pattern, wire=wire).alpha for wire in (0.15, 0.5))
    assert np.all(thick.astype(int) >= thin.astype(int) - 2)
    assert 0 < thin.mean() < 0.9 * thick.mean() < 0.9 * 255


def test_a_screen_behind_another_covers_a_part_of_its_holes() -> None:
    one, two = mesh(form="screen").alpha.astype(int), mesh(form="screens").alpha.astype(int)
    assert np.all(two >= one - 2)
    holes = one == 0
    assert 0.1 < np.mean(two[holes] > 128) < 0.7


def test_the_back_wall_of_a_basket_is_seen_through_the_front_in_its_own_light() -> None:
    dark, bright = mesh(behind=0.25), mesh(behind=1.1)
    np.testing.assert_array_equal(dark.alpha, bright.alpha)
    assert lightness(dark) < lightness(bright) - 5


def test_things_lie_behind_the_front_wall_and_fill_holes() -> None:
    empty, full = mesh(), mesh(things=5)
    assert np.all(full.alpha.astype(int) >= empty.alpha.astype(int) - 2)
    filled: NDArray[np.bool_] = (full.alpha == 255) & (empty.alpha == 0)
    assert filled.mean() > 0.02


def test_a_basket_begins_with_a_closed_rim() -> None:
    alpha = mesh().alpha
    middle = alpha[:, SIZE // 2]
    assert middle.max() == 255
    assert alpha[0].max() == 0  # it begins below the top
    assert alpha[-1].max() > 0


def test_paper_may_stand_in_a_basket() -> None:
    parameters = {"things": 1, "inside": draw_parameters("mesh", Draw(1))["inside"]}
    pictures = [slim_things(generator(seed), parameters, 64, (), rows=(0.4, 0.6), slim=4.0) for seed in range(60)]
    white = [picture[picture[..., 3] == 1][:, :3].min(-1).max() > 0.8 for picture in pictures]
    assert 3 <= sum(white) < 30
