from datetime import timedelta
from typing import Any

import pytest
import torch
import torch.distributed as dist

from mattecli.training.distributed import joined_ranks


def test_the_others_wait_for_hours_while_the_first_process_validates(monkeypatch: pytest.MonkeyPatch) -> None:
    patience: list[timedelta] = []

    def join(*_: Any, timeout: timedelta = timedelta(minutes=10), **__: Any) -> None:
        patience.append(timeout)

    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(dist, "init_process_group", join)
    monkeypatch.setattr(dist, "new_group", join)
    monkeypatch.setattr(dist, "get_rank", lambda: 1)
    monkeypatch.setattr(dist, "destroy_process_group", lambda: None)
    with joined_ranks(torch.device("cpu")) as ranks:
        assert (ranks.rank, ranks.world) == (1, 2)
    assert len(patience) == 2
    assert min(patience) >= timedelta(hours=6)
