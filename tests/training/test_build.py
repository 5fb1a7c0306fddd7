from pathlib import Path

import pytest
import torch

from mattecli.errors import UsageError
from mattecli.network.a2u import A2UNet
from mattecli.network.blocks import Upsampling
from mattecli.network.checkpoint import save_a2u
from mattecli.training.build import build_loader, build_network
from mattecli.training.config import RunConfig, TrainConfig
from mattecli.training.data.config import DataConfig


def folders_after_building(config: TrainConfig, root: Path) -> list[str]:
    build_loader(config.replace(run=RunConfig(folder=root / "run")), torch.device("cpu"))
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def test_workers_share_a_cache_in_the_folder_of_the_run_when_none_is_named(tmp_path: Path) -> None:
    config = TrainConfig(workers=2)
    assert folders_after_building(config, tmp_path / "a") == ["run", "run/cache"]
    named = config.replace(data=DataConfig(cache=str(tmp_path / "b" / "own")))
    assert folders_after_building(named, tmp_path / "b") == ["own"]
    assert folders_after_building(config.replace(workers=0), tmp_path / "c") == []


def test_the_configured_upsampling_is_built() -> None:
    network = build_network(TrainConfig(run=RunConfig(upsampling="bilinear", variant="unshared")))
    assert (network.upsampling, network.shared) == ("bilinear", False)


@pytest.mark.parametrize("has_start", [False, True])
def test_the_configured_dropout_is_trained_with(tmp_path: Path, has_start: bool) -> None:
    save_a2u(A2UNet(), tmp_path / "start.safetensors")
    run = RunConfig(start=tmp_path / "start.safetensors" if has_start else None)
    picture = torch.rand(1, 4, 32, 32, generator=torch.Generator().manual_seed(0))

    def differ(run: RunConfig) -> bool:
        network = build_network(TrainConfig(run=run)).eval()  # norms as they are, for a batch of one
        network.dconv_pp.dropout.train()
        with torch.no_grad():
            return not torch.equal(network(picture), network(picture))

    assert differ(run)
    assert not differ(run.replace(dropout=0.0))


def test_a_start_with_another_upsampling_is_refused(tmp_path: Path) -> None:
    save_a2u(A2UNet(upsampling="nearest"), tmp_path / "start.safetensors")
    config = TrainConfig(run=RunConfig(start=tmp_path / "start.safetensors"))
    with pytest.raises(UsageError, match=r'start\.safetensors has nearest upsampling; set upsampling = "nearest"'):
        build_network(config)
    assert build_network(config.replace(run=config.run.replace(upsampling="nearest"))).upsampling == "nearest"


@pytest.mark.parametrize("upsampling", ["affinity", "bilinear"])
def test_an_unshared_network_starts_as_the_shared_one_it_begins_from(tmp_path: Path, upsampling: Upsampling) -> None:
    torch.manual_seed(5)
    start = A2UNet(upsampling=upsampling)
    save_a2u(start, tmp_path / "start.safetensors", dtype=torch.float32)
    config = TrainConfig(run=RunConfig(start=tmp_path / "start.safetensors", variant="unshared", upsampling=upsampling))
    network = build_network(config)
    picture = torch.rand(1, 4, 48, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, found = start.eval()(picture), network.eval()(picture)
        assert torch.allclose(found, expected, rtol=1e-5, atol=1e-6)
        assert not network.shared
        network.get_parameter("bilinear0.bconv_U.1.bias")[3] += 1  # each channel has a copy of its own
        assert not torch.allclose(network(picture), expected, rtol=1e-5, atol=1e-6)
