"""Paints until it is killed: `python -m tests.server.paint_on JOURNAL`. Prints each number that was acknowledged."""

from __future__ import annotations

import sys
from itertools import count
from pathlib import Path

import numpy as np

from mattecli.server.journal import Journal
from mattecli.server.labels import Labels
from mattecli.server.operation import Operation
from mattecli.server.painting import Painting

SIDE = 600


def opened(path: Path) -> tuple[Painting, Labels]:
    """What was painted in that journal."""
    labels = Labels(SIDE, SIDE)
    return Painting(labels, Journal(path, facts={"photo": "a"})), labels


def step(labels: Labels, number: int) -> Operation:
    """What operation `number` does: always the same."""
    random = np.random.default_rng(number)
    if number % 7 == 0:
        return labels.undo()
    if number % 7 == 1 and labels.history.redoable:
        return labels.redo()
    return labels.stroke(random.uniform((0, 0, 1), (SIDE, SIDE, 60), (4, 3)), (0, 128, 255)[number % 3])


if __name__ == "__main__":
    painting, _ = opened(Path(sys.argv[1]))
    for number in count(painting.sequence + 1):
        painting.do(number, lambda labels: step(labels, number))  # noqa: B023 - it is called at once
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()
