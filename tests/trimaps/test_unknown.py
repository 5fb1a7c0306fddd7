"""What counts as unknown in a trimap."""

import numpy as np
import torch

from mattecli.trimaps.check import unknown


def test_every_value_but_0_and_255_is_unknown() -> None:
    values = np.arange(256, dtype=np.uint8)
    assert np.flatnonzero(~unknown(values)).tolist() == [0, 255]
    assert unknown(values).dtype == bool


def test_tensors_are_told_by_the_same_values() -> None:
    values = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(unknown(values), torch.from_numpy(unknown(values.numpy())))
