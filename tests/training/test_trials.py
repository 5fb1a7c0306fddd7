"""What the runs of `experiments/trials.py` train on."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from experiments.trials import _one_then_other
from mattecli.training.loop import BatchLoader


def numbered(name: str) -> BatchLoader:
    """Batches of the numbers of their samples, with the name of the loader."""

    def loader(*, start: int, first: int, batch: Any, size_of: Any, rank: int, world_size: int) -> Iterator[Any]:
        for k in itertools.count(start):
            mine = first + rank * batch(k)
            yield {name: torch.arange(mine, mine + batch(k))}
            first += world_size * batch(k)

    return loader


@pytest.mark.parametrize(
    ("start", "first", "expected"),
    [
        (0, 0, [("one", 1), ("one", 3), ("one", 6), ("other", 10), ("other", 14)]),
        (2, 4, [("one", 6), ("other", 10), ("other", 14)]),  # resumed before the other data
        (4, 12, [("other", 14)]),  # and after they came
    ],
)
def test_the_other_data_go_on_with_the_next_sample(start: int, first: int, expected: list[tuple[str, int]]) -> None:
    loader = _one_then_other(numbered("one"), numbered("other"), 3)
    batches = loader(
        start=start,
        first=first,
        batch=lambda k: 1 if k < 2 else 2,
        size_of=lambda _: 16,
        rank=1,
        world_size=2,
    )
    found = [
        (name, int(numbers[0])) for batch in itertools.islice(batches, len(expected)) for name, numbers in batch.items()
    ]
    assert found == expected
