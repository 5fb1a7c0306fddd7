from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from mattecli.errors import UsageError
from mattecli.network.a2u import A2UNet
from mattecli.network.checkpoint import save_a2u
from mattecli.training.build import build_feed, build_network
from mattecli.training.config import RunConfig, TrainConfig
from mattecli.training.data.config import DataConfig


def cache_of(config: TrainConfig) -> Any:
    return build_feed(config, torch.device("cpu")).args[0].config.cache  # type: ignore[attr-defined]


def test_workers_share_a_cache_in_the_runs_folder_when_none_is_named(tmp_path: Path) -> None:
    config = TrainConfig(run=RunConfig(folder=tmp_path / "run"), workers=2)
    assert cache_of(config) == str(tmp_path / "run" / "cache")
    assert cache_of(replace(config, data=DataConfig(cache=str(tmp_path / "own")))) == str(tmp_path / "own")
    assert cache_of(replace(config, workers=0)) == ""


def test_the_configured_upsampling_is_built() -> None:
    network = build_network(TrainConfig(run=RunConfig(upsampling="bilinear", variant="unshared")))
    assert (network.upsampling, network.shared) == ("bilinear", False)


def test_a_start_with_another_upsampling_is_refused(tmp_path: Path) -> None:
    save_a2u(A2UNet(upsampling="nearest"), tmp_path / "start.safetensors")
    config = TrainConfig(run=RunConfig(start=tmp_path / "start.safetensors"))
    with pytest.raises(UsageError, match=r'start\.safetensors has nearest upsampling; set upsampling = "nearest"'):
        build_network(config)
    assert build_network(replace(config, run=replace(config.run, upsampling="nearest"))).upsampling == "nearest"
