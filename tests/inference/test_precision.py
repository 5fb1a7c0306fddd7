"""Which arithmetic `auto` takes."""

from pathlib import Path
from typing import Any

import pytest

from mattecli.inference import precision
from mattecli.inference.options import RunOptions
from mattecli.inference.precision import has_bf16, may_have_card, settle_precision


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (["flags\t\t: fpu sse avx512f avx512_bf16"], True),
        (["flags\t\t: fpu amx_bf16 amx_tile", "flags\t\t: fpu amx_bf16 amx_tile"], True),
        (["flags\t\t: fpu sse avx512f"], False),
        (["flags\t\t: fpu avx512_bf16", "flags\t\t: fpu sse"], False),
        (["Features\t: fp asimd bf16"], False),
    ],
    ids=["AVX512", "AMX", "neither", "one core of two", "not x86"],
)
def test_a_processor_says_in_its_flags_whether_it_computes_in_bf16(
    tmp_path: Path, lines: list[str], found: bool
) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text("processor\t: 0\n" + "\n".join(lines) + "\n", encoding="utf-8")
    assert has_bf16(file) is found


def test_where_the_system_says_nothing_of_its_processors_there_is_no_bf16(tmp_path: Path) -> None:
    assert has_bf16(tmp_path / "missing") is False


@pytest.mark.parametrize(
    ("build", "driver", "found"),
    [
        ("2.13.0", "/proc/driver/nvidia/version", True),
        ("2.13.0+rocm7.2", "/dev/kfd", True),
        ("2.13.0", "/dev/dxg", True),
        ("2.13.0", "/dev/null", False),
        ("2.13.0+cpu", "/dev/kfd", False),
    ],
)
def test_a_driver_of_a_card_tells_that_there_may_be_one(
    build: str, driver: str, found: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision.importlib.metadata, "version", lambda _: build)
    monkeypatch.setattr(precision.Path, "exists", lambda path: str(path) == driver)
    may_have_card.cache_clear()
    assert may_have_card() is found
    may_have_card.cache_clear()


@pytest.mark.parametrize(
    ("run", "eight_bits", "bf16", "card", "expected"),
    [
        ({}, True, True, False, "bf16"),
        ({}, False, True, False, "auto"),
        ({}, True, False, False, "auto"),
        ({}, True, True, True, "auto"),
        ({"device": "cpu"}, True, True, True, "bf16"),
        ({"device": "cuda"}, True, True, True, "auto"),
        ({"backend": "torch"}, True, True, False, "bf16"),
        ({"backend": "onnx"}, True, True, False, "auto"),
        ({"provider": "cpu"}, True, True, False, "auto"),
        ({"weights": "a2u.onnx"}, True, True, False, "auto"),
        ({"precision": "fp32"}, True, True, False, "fp32"),
        ({"precision": "bf16"}, False, False, True, "bf16"),
    ],
)
def test_auto_takes_bf16_on_a_processor_that_has_it_for_outputs_of_8_bits_alone(
    run: dict[str, Any], eight_bits: bool, bf16: bool, card: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "has_bf16", lambda: bf16)
    monkeypatch.setattr(precision, "may_have_card", lambda: card)
    options = RunOptions(**run, snap=3)
    settled = settle_precision(options, eight_bits=eight_bits)
    assert (settled.precision, settled.snap, settled.device) == (expected, 3, options.device)
