from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mattecli.errors import DeviceError, InputError, OutOfMemoryError, UsageError, WeightsError
from mattecli.geometry import Box
from mattecli.imaging.image import Image
from mattecli.imaging.metadata import Metadata, Windows
from mattecli.inference import arena, torch_backend
from mattecli.inference.costs import Costs
from mattecli.inference.model import Model, predict_alpha
from mattecli.inference.options import RunOptions
from mattecli.inference.plan import Plan, Tile, plan
from mattecli.inference.torch_backend import TorchBackend
from mattecli.network.checkpoint import save_a2u
from mattecli.network.inputs import Picture, network_input
from mattecli.weights import Checkpoint, find_checkpoint
from tests.support.memory import free_memory
from tests.support.reference import Case, cases, seeded_network

PIPELINES = [case for case in cases() if case.kind == "pipeline"]


class Fake:
    """What the planning asks of a backend; it runs nothing."""

    precision = "fp32"
    checkpoint = Checkpoint(Path("fake.safetensors"))
    costs = Costs(4, 2**20, 1000, (2**30, 60), 0, 1000, (512, 256, 64))

    def __init__(self, *, free: int = 2**40, device: str = "cpu", name: str = "fake") -> None:
        self.free, self.device, self.name = free, device, name

    def free_bytes(self) -> int:
        return self.free


@pytest.fixture
def raw(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """What the runs give, one after the other: a constant alpha, or an error; afterwards all must be used up."""
    values: list[Any] = []

    def run(_: Fake, source: Picture, unknown: NDArray[np.bool_], **choices: Any) -> NDArray[np.float32]:
        value = values.pop(0)
        if isinstance(value, Exception):
            raise value
        return np.full((source.height, source.width), value, np.float32)

    monkeypatch.setattr("mattecli.inference.tiling.run", run)
    yield values
    assert not values


def picture(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def backends(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int], TorchBackend]:
    folder = tmp_path_factory.mktemp("seeded")
    found = {}
    for case in PIPELINES:
        path = folder / f"{case.variant}{case.seed}.safetensors"
        if not path.exists():
            import torch

            save_a2u(seeded_network(case.seed, shared=case.variant == "shared"), path, dtype=torch.float32)
        found[case.variant, case.seed] = TorchBackend(Checkpoint(path), device="cpu")
    return found


@pytest.mark.parametrize("case", PIPELINES, ids=str)
def test_alpha_is_the_authors_alpha(case: Case, backends: dict[tuple[str, int], TorchBackend]) -> None:
    assert case.image is not None
    assert case.trimap is not None
    assert case.alpha is not None
    alpha = predict_alpha(case.image, case.trimap, backends[case.variant, case.seed])
    # The authors truncate where we round, hence up to one grey level.
    assert np.abs(np.rint(255 * alpha) - case.alpha.astype(float)).max() <= 1


@pytest.mark.parametrize("case", PIPELINES, ids=str)
def test_network_input_is_the_authors_input(case: Case) -> None:
    assert case.image is not None
    assert case.trimap is not None
    assert np.abs(network_input(case.image, case.trimap) - case.x[0]).max() < 1e-6


def test_known_pixels_keep_the_trimaps_value_and_unknown_ones_are_clipped(raw: list[Any]) -> None:
    trimap = np.array([[0, 128, 255, 77]] * 3, np.uint8)
    raw += [0.25, 1.5, -3]
    assert predict_alpha(picture(3, 4), trimap, Fake())[0].tolist() == [0, 0.25, 1, 0.25]
    assert predict_alpha(picture(3, 4), trimap, Fake())[0].tolist() == [0, 1, 1, 1]
    assert predict_alpha(picture(3, 4), trimap, Fake())[0].tolist() == [0, 0, 1, 0]


def test_a_trimap_without_unknown_pixels_needs_no_run(raw: list[Any]) -> None:
    trimap = np.array([[0, 255], [255, 0]], np.uint8)
    assert raw == []  # the first run would find nothing to give
    assert predict_alpha(picture(2, 2), trimap, Fake(free=0)).tolist() == [[0, 1], [1, 0]]


def test_a_trimap_of_a_plates_display_window_is_brought_to_its_data_window() -> None:
    plate = Image(picture(5, 6), metadata=Metadata(windows=Windows(data=(-1, -2, 6, 5), display=(0, 0, 3, 2))))
    shown = np.array([[0, 0, 255], [255, 255, 0]], np.uint8)
    whole = np.pad(shown, ((2, 1), (1, 2)), mode="edge")
    for trimap in (shown, whole):
        np.testing.assert_array_equal(predict_alpha(plate, trimap, Fake()), whole / 255)
    with pytest.raises(InputError, match="the trimap is 3×2 but the image is 5×5"):
        predict_alpha(replace(plate, pixels=plate.pixels[:, 1:]), shown, Fake())


def test_padding_mirrors_up_to_a_multiple_of_16_without_the_edge() -> None:
    x = network_input(picture(18, 20), np.full((18, 20), 128, np.uint8))
    assert x.shape == (4, 32, 32)
    assert np.array_equal(x[:, 18], x[:, 16])  # row 17 is the edge
    assert np.array_equal(x[:, :, 20], x[:, :, 18])


def test_16_bit_and_float_photos_are_read_at_their_own_scale() -> None:
    trimap = np.full((16, 16), 128, np.uint8)
    eight = picture(16, 16)
    x = network_input(eight, trimap)
    assert np.allclose(network_input(eight.astype(np.uint16) * 257, trimap), x, atol=1e-6)
    assert np.allclose(network_input((eight / 255).astype(np.float32), trimap), x, atol=1e-6)


@pytest.mark.parametrize(
    ("image", "trimap", "words"),
    [
        (picture(4, 4), np.zeros((4, 5), np.uint8), "the trimap is 5×4 but the image is 4×4"),
        (picture(4, 4)[..., :2], np.zeros((4, 4), np.uint8), r"the image has shape \(4, 4, 2\); give RGB"),
        (picture(4, 4).astype(np.int64), np.zeros((4, 4), np.uint8), "the image is of type int64; give uint8"),
        (picture(4, 4), np.zeros((4, 4), np.int64), "the trimap is of type int64; give uint8"),
        (
            picture(4, 4).astype(np.float32),
            np.zeros((4, 4), np.uint8),
            r"values from .* to 2\d\d; give floats in \[0, 1\]",
        ),
        (np.full((4, 4, 3), np.nan, np.float32), np.zeros((4, 4), np.uint8), "from nan to nan"),
    ],
)
def test_arrays_that_do_not_fit_are_named(image: NDArray[np.uint8], trimap: NDArray[np.uint8], words: str) -> None:
    with pytest.raises(InputError, match=words):
        predict_alpha(image, trimap, Fake())


@pytest.mark.parametrize("kind", [np.uint16, np.float32])
def test_another_machines_byte_order_and_locked_arrays_change_nothing(
    kind: type, recwarn: pytest.WarningsRecorder
) -> None:
    image = (picture(37, 53) / (255 if kind is np.float32 else 1)).astype(kind)
    trimap = np.full((37, 53), 128, np.uint8)
    backend = TorchBackend(find_checkpoint(), device="cpu")
    alpha = predict_alpha(image, trimap, backend)
    assert np.ptp(alpha) > 0
    foreign = image.astype(image.dtype.newbyteorder())
    for array in (foreign, trimap):
        array.flags.writeable = False
    assert np.array_equal(predict_alpha(foreign, trimap, backend), alpha)
    assert not recwarn.list


def test_windows_of_the_padded_picture_are_cut_from_it_without_a_copy_of_the_whole() -> None:
    image, trimap = picture(37, 53), np.random.default_rng(0).integers(0, 256, (37, 53), dtype=np.uint8)
    source = Picture(image, trimap)
    whole = network_input(image, trimap)
    assert (source.height, source.width) == whole.shape[1:] == (48, 64)
    for box in (Box(0, 48, 0, 64), Box(3, 20, 7, 30), Box(30, 48, 40, 64), Box(40, 41, 60, 61)):
        rgb, codes, scale, shift = source.get(box)
        planes = np.concatenate([rgb, codes[..., None]], axis=2) * scale + shift
        assert np.allclose(planes.transpose(2, 0, 1), whole[:, box.slices[0], box.slices[1]], atol=1e-6)


def test_auto_takes_the_best_tile_that_fits() -> None:
    size = 4000, 6000
    best = plan(*size, Fake())
    assert (best.tile, best.whole) == (512, False)
    assert best.bytes <= 2**30 + 60 * 4000 * 6000
    assert best.keep == 0  # more would break that bound, which a limit of one's own replaces
    assert plan(*size, Fake(), max_memory=2**40).keep == 2
    assert plan(*size, Fake(free=best.bytes - 1)).tile == 256
    assert plan(300, 200, Fake()).whole


def test_a_run_takes_its_share_of_the_memory_if_as_much_stays_free() -> None:
    size = 2000, 3000
    usual = plan(*size, Fake())
    kept = plan(*size, Fake(), max_memory=2**40)
    assert usual.keep < kept.keep == 2
    assert kept.bytes > 2**30 + 60 * 2000 * 3000

    def shared(*, share: int, free: int) -> Plan:
        fake = Fake(free=free)
        fake.costs = replace(Fake.costs, share_bytes=share)
        return plan(*size, fake)

    assert shared(share=kept.bytes, free=2 * kept.bytes) == kept
    assert shared(share=kept.bytes, free=2 * kept.bytes - 2) != kept
    assert shared(share=kept.bytes - 1, free=2**40) != kept
    assert shared(share=kept.bytes, free=usual.bytes) == usual  # the usual budget stays, however little is free


@pytest.mark.parametrize("tile", ["auto", "off"])
def test_freed_memory_that_the_process_keeps_is_given_back_before_a_worse_plan_or_a_refusal(
    tile: Tile, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_back = []
    fake = Fake()
    best = plan(300, 400, fake, tile=tile)

    def give_back() -> None:
        given_back.append(fake.free)
        fake.free = best.bytes

    monkeypatch.setattr("mattecli.system.memory.give_back_freed_memory", give_back)
    fake.free = best.bytes - 1
    assert plan(300, 400, fake, tile=tile) == best
    assert plan(300, 400, fake, tile=tile) == best  # what fits is not given back, for the run takes it again
    assert given_back == [best.bytes - 1]
    limited = plan(300, 400, fake, max_memory=best.bytes // 2)
    assert limited.bytes <= best.bytes // 2
    assert len(given_back) == 1  # it would not help


def test_a_card_that_is_full_is_not_helped_by_the_hosts_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    given_back: list[int] = []
    monkeypatch.setattr("mattecli.system.memory.give_back_freed_memory", lambda: given_back.append(1))
    card = Fake(device="cuda:0 (a card)")
    card.costs = replace(Fake.costs, apart=True)
    roomy = plan(4000, 6000, card)
    card.free = 300 * 2**20
    with free_memory(2**40):
        assert plan(4000, 6000, card) != roomy
    assert not given_back
    with free_memory(0), pytest.raises(DeviceError, match="are free there"):
        plan(4000, 6000, card)
    assert given_back


def test_a_tile_that_is_set_is_taken_or_refused() -> None:
    assert plan(4000, 6000, Fake(), tile=256).tile == 256
    assert plan(4000, 6000, Fake(), tile="off").whole
    with pytest.raises(DeviceError, match=r"at once on cpu, but only 2\.0 GiB are free; use `tile=auto`"):
        plan(4000, 6000, Fake(free=2**31), tile="off")
    for side in (32, 100, -64, 64.0, "foo"):
        with pytest.raises(UsageError, match=f"`tile` must be auto, off or a multiple of 16 from 64 up, not {side}"):
            plan(4000, 6000, Fake(), tile=side)  # type: ignore[arg-type]


def test_maps_go_to_the_hosts_memory_where_a_card_has_too_little(monkeypatch: pytest.MonkeyPatch) -> None:
    held = 0
    monkeypatch.setattr(arena.shared, "spare_bytes", lambda: held)
    small = Fake(free=300 * 2**20, device="cuda:0 (a card)")
    with pytest.raises(DeviceError, match="but only 300 MiB are free"):
        plan(4000, 6000, small)  # as OpenVINO, whose maps lie in the same memory
    small.costs = replace(Fake.costs, apart=True)
    with free_memory(2**34):
        chosen = plan(4000, 6000, small)
    assert chosen.host
    assert chosen.bytes <= small.free
    told = r"take about \d.* of the computer's memory instead, but only \d.* are free there"
    with free_memory(chosen.host_bytes - 1), pytest.raises(DeviceError, match=told):
        plan(4000, 6000, small)
    held = 1  # by maps that are gone
    with free_memory(chosen.host_bytes - 1):
        assert plan(4000, 6000, small).host
    held = 0
    with pytest.raises(DeviceError, match="in tiles of 64 on cpu, but only 300 MiB are free"):
        plan(4000, 6000, Fake(free=300 * 2**20))


@pytest.mark.parametrize("value_bytes", [2, 4])
@pytest.mark.parametrize("megapixels", [1, 2, 12, 50, 100, 500])
def test_a_card_gets_large_tiles_in_8_gib_and_keeps_the_maps_of_100_megapixels(
    megapixels: int, value_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = Fake(device="cuda:0 (a card)")
    card.costs = torch_backend.costs("cuda", value_bytes)
    side = round((megapixels * 1e6) ** 0.5)
    monkeypatch.setattr("mattecli.system.memory.free_bytes", lambda: 2**40)
    chosen = plan(side, side, card)
    assert chosen.bytes <= 8 * 2**30
    assert chosen.tile >= 512
    assert chosen.whole == (megapixels <= 2)
    assert chosen.host == (megapixels > 100)
    assert not plan(side, side, card, max_memory=2**40).host


def test_a_picture_too_large_for_the_memory_is_refused_before_the_run(raw: list[Any]) -> None:
    with pytest.raises(
        DeviceError,
        match=r"photo\.jpg has 100×50 pixels, .* about \d+ MiB in tiles of 64 on cpu, but only 1 MiB are free",
    ):
        plan(50, 100, Fake(free=2**20), name="photo.jpg")
    with pytest.raises(DeviceError, match="are free"):
        predict_alpha(picture(50, 100), np.full((50, 100), 128, np.uint8), Fake(free=2**20))
    assert raw == []
    with pytest.raises(DeviceError, match=r"3 MiB are allowed by `max_memory`; raise `max_memory`$"):
        plan(50, 100, Fake(), max_memory=3 * 2**20)
    with pytest.raises(DeviceError, match=r"3 MiB are free; free memory or use a device with more$"):
        plan(50, 100, Fake(free=3 * 2**20), max_memory=4 * 2**20)


def test_an_exhausted_device_is_tried_again_with_half_the_tile_on_auto_only(raw: list[Any]) -> None:
    image, trimap = picture(1000, 1000), np.full((1000, 1000), 128, np.uint8)
    exhausted, plans = OutOfMemoryError("cuda:0 ran out of memory"), []
    raw += [exhausted, exhausted, 0.5]
    predict_alpha(image, trimap, Fake(), on_plan=plans.append)
    assert [each.tile for each in plans] == [512, 256, 128]
    raw += [exhausted]
    with pytest.raises(
        DeviceError, match="cuda:0 ran out of memory at 1008×1008 pixels in tiles of 512; use `tile=auto`"
    ):
        predict_alpha(image, trimap, Fake(), tile=512)
    raw += [exhausted] * 4
    with pytest.raises(DeviceError, match=r"in tiles of 64; free some of it$"):
        predict_alpha(image, trimap, Fake())
    raw += [exhausted] * 4
    with pytest.raises(DeviceError, match=r"in tiles of 64; free some of it or use `device=cpu`$"):
        predict_alpha(image, trimap, Fake(device="cuda:0 (a card)"))
    raw += [exhausted] * 4
    with pytest.raises(DeviceError, match=r"free some of it or use `device=cpu`, without `provider`$"):
        predict_alpha(image, trimap, Fake(device="cuda:0", name="onnx"))


def test_a_card_too_full_for_the_smallest_tile_gets_a_run_with_maps_in_the_hosts_memory(raw: list[Any]) -> None:
    image, trimap = picture(2000, 2000), np.full((2000, 2000), 128, np.uint8)
    exhausted, plans = OutOfMemoryError("cuda:0 ran out of memory"), list[Plan]()
    card = Fake(device="cuda:0 (a card)")
    card.costs = replace(Fake.costs, apart=True)
    with free_memory(2**34):
        raw += [exhausted] * 5 + [0.5]
        predict_alpha(image, trimap, card, on_plan=plans.append)
        assert [(each.tile, each.host) for each in plans] == [
            *((tile, False) for tile in (512, 256, 128, 64)),
            *((tile, True) for tile in (256, 128)),
        ]
        assert plans[4].bytes < plans[3].bytes
    with free_memory(1000):
        raw += [exhausted] * 4
        with pytest.raises(DeviceError, match=r"in tiles of 64; free some of it or use `device=cpu`$"):
            predict_alpha(image, trimap, card)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    ("precision", "device", "remedy"),
    [
        ("fp16", "cuda:0 (a card)", "use `precision=fp32`"),
        ("bf16", "cpu", "use `precision=fp32`"),
        ("fp32", "cuda:0 (a card)", "use `device=cpu`"),
        ("fp32", "tensorrt:0", "use `device=cpu`, without `provider`"),
        ("fp32", "cpu", "use other weights"),
    ],
)
def test_an_alpha_that_is_not_finite_is_an_error_and_never_written(
    value: float, precision: str, device: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "onnx" if device == "tensorrt:0" else "torch"
    fake, trimap = Fake(device=device, name=name), np.full((50, 100), 128, np.uint8)
    fake.precision = precision
    trimap[10:] = 255
    found = np.full((64, 112), 0.5, np.float32)
    monkeypatch.setattr("mattecli.inference.tiling.run", lambda *_, **__: found)
    found[20, 20] = value  # known, so that nobody sees it
    assert predict_alpha(picture(50, 100), trimap, fake).max() == 1
    found[3, 5] = value
    where = rf"{precision} on {re.escape(device)}"
    told = rf"the alpha of the image is not finite at 1 of its unknown pixels, in {where}; {remedy}$"
    with pytest.raises(DeviceError, match=told):
        predict_alpha(picture(50, 100), trimap, fake)


def test_a_model_that_has_begun_imports_pytorch_while_other_work_goes_on_and_then_runs() -> None:
    code = (
        "import sys, threading, numpy as np; from mattecli.inference.model import Model\n"
        "model = Model(); model.begin(); print('import torch' in [thread.name for thread in threading.enumerate()])\n"
        "trimap = np.full((32, 48), 128, np.uint8)\n"
        "print(model.predict(np.zeros((32, 48, 3), np.uint8), trimap).shape == trimap.shape)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]


def test_a_model_that_begins_refuses_missing_weights_at_once() -> None:
    with pytest.raises(WeightsError, match="nowhere is neither a file nor a bundled checkpoint"):
        Model(RunOptions(weights="nowhere")).begin()
