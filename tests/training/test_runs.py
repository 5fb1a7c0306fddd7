import json
from pathlib import Path

import pytest

from experiments.runs import Seen, validations


def test_pixels_are_counted_over_all_sizes_that_take_turns(tmp_path: Path) -> None:
    step = {"kind": "step", "step": 20, "batch": 4, "size": 480, "crops_per_second": 2.0}
    lines = [
        step | {"pixels_per_second": 320**2 + 480**2},  # half of the crops each
        {"kind": "validation", "step": 20, "figures": [{"sad": 3.0}, {"sad": 4.0}]},
    ]
    (tmp_path / "log.jsonl").write_text("\n".join(map(json.dumps, lines)), "utf-8")
    (found,), seen = validations(tmp_path, Seen(100, 1.0))
    assert seen.crops == found.crops == 180
    assert seen.megapixels == pytest.approx(1 + 40 * (320**2 + 480**2) / 1e6)
    assert (found.tight, found.loose, found.mean) == ("3.000", "4.000", 3.5)
