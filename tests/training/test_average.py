from pathlib import Path

import pytest
import torch
from torch import nn

from benchmarks.average import main
from mattecli.network.a2u import A2UNet
from mattecli.network.checkpoint import load_a2u, read_state_dict, save_a2u
from mattecli.training.average import Average, FiniteBuffers


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3))


def test_the_average_moves_by_the_rest_of_its_decay() -> None:
    net = network()
    average = Average(net)
    before = [value.clone() for value in average.network.state_dict().values()]
    with torch.no_grad():
        for value in (*net.parameters(), net[1].running_mean, net[1].running_var):
            value.add_(1)
    average.update(decay=0.75, step=10**6)
    changed = [name for name in net.state_dict() if not name.endswith("num_batches_tracked")]
    for name, old in zip(net.state_dict(), before, strict=True):
        expected = old + 0.25 if name in changed else old
        torch.testing.assert_close(average.network.state_dict()[name], expected)


def test_early_averages_forget_the_random_start() -> None:
    net = network()
    average = Average(net)
    with torch.no_grad():
        net[0].weight.fill_(1)
    average.update(decay=0.999, step=1)  # keeps 2/11
    start = network()[0].weight
    torch.testing.assert_close(average.network[0].weight, 2 / 11 * start + 9 / 11, rtol=1e-5, atol=1e-6)


def test_only_buffers_that_are_not_finite_get_the_values_that_were_kept() -> None:
    net = network()
    buffers = FiniteBuffers(net)
    net[1].running_mean.fill_(0.5)
    buffers.keep()
    net[1].running_mean[1] = float("nan")
    net[1].running_var.fill_(7.0)
    buffers.restore()
    assert net[1].running_mean.tolist() == [0.5] * 3
    assert net[1].running_var.tolist() == [7.0] * 3


def test_checkpoints_are_averaged_where_they_upsample_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = {}
    for seed, name in enumerate(("nearest", "other", "bilinear")):
        paths[name] = tmp_path / f"{name}.safetensors"
        torch.manual_seed(seed)
        save_a2u(A2UNet(upsampling="bilinear" if name == "bilinear" else "nearest"), paths[name])
    mean = tmp_path / "mean.safetensors"
    one, other = (read_state_dict(paths[name])["short3.0.weight"].double() for name in ("nearest", "other"))
    for shares, share in (([], 0.5), (["--shares", "1", "3"], 0.75)):
        monkeypatch.setattr("sys.argv", ["average.py", *map(str, (mean, paths["nearest"], paths["other"])), *shares])
        main()
        assert load_a2u(mean).upsampling == "nearest"
        found = read_state_dict(mean)["short3.0.weight"].double()
        torch.testing.assert_close(found, (1 - share) * one + share * other, rtol=2e-3, atol=1e-4)
        mean.unlink()
    monkeypatch.setattr("sys.argv", ["average.py", *map(str, (mean, paths["nearest"], paths["bilinear"]))])
    with pytest.raises(SystemExit):
        main()
    assert "differ in variant or upsampling" in capsys.readouterr().err
    assert not mean.exists()
