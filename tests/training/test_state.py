import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from mattecli.errors import InputError, WeightsError
from mattecli.network.a2u import A2UNet
from mattecli.network.checkpoint import load_a2u
from mattecli.system.files import hidden_beside
from mattecli.training.config import OptimizerConfig
from mattecli.training.distributed import Processes
from mattecli.training.log import RunLog
from mattecli.training.optimizers import Muon, Optimizers, orthogonal
from mattecli.training.state import RunState, check_new, load_state, save_state, save_weights
from tests.support.disk import full_disk
from tests.support.toy import toy_network

CPU = torch.device("cpu")


def parts(seed: int = 0, name: str = "adamw") -> dict[str, object]:
    network = toy_network(seed)
    return {
        "network": network,
        "average": toy_network(seed + 1),
        "optimizers": Optimizers(network, OptimizerConfig(name=name)),  # type: ignore[arg-type]
        "processes": Processes(),
        "device": CPU,
    }


def saved(tmp_path: Path) -> Path:
    path = tmp_path / "state.pt"
    save_state(path, run_state=RunState(step=7, crop_starts=[(0, 0), (5, 1)]), **parts())  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_a_state_comes_back_whole(tmp_path: Path, name: str) -> None:
    before, target = parts(name=name), parts(seed=5, name=name)
    for parameter in before["network"].parameters():  # type: ignore[attr-defined]
        parameter.grad = torch.rand_like(parameter)
    before["optimizers"].set_factor(1.0)  # type: ignore[attr-defined]
    before["optimizers"].step(bad=torch.zeros(()))  # type: ignore[attr-defined]
    path = tmp_path / "state.pt"
    save_state(path, run_state=RunState(step=7, crop_starts=[(0, 0), (5, 1)]), **before)  # type: ignore[arg-type]
    found, generators = load_state(path, **target)  # type: ignore[arg-type]
    assert (found.step, found.crop_starts, found.best) == (7, [(0, 0), (5, 1)], float("inf"))
    assert generators is not None
    for key in ("network", "average", "optimizers"):
        states = [kept[key].state_dict() for kept in (target, before)]  # type: ignore[attr-defined]
        torch.testing.assert_close(*states, rtol=0, atol=0)
    assert len(before["optimizers"].parts[0].state) > 0  # type: ignore[attr-defined]


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on the size of files there")
def test_a_failed_write_leaves_the_old_state(tmp_path: Path) -> None:
    path = saved(tmp_path)
    before = path.read_bytes()
    with full_disk(), pytest.raises(InputError, match=r"state\.pt cannot be written .*; free some space"):
        saved(tmp_path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["state.pt"]


def test_what_a_killed_process_left_of_a_state_is_swept_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("os.getpid", lambda: 2**30)  # a process that does not exist
        left = hidden_beside(tmp_path / "state.pt")
    left.write_bytes(b"half a state")
    RunLog(tmp_path, writer=True, report=lambda _: None).open(0)
    assert [path.name for path in tmp_path.iterdir()] == ["log.jsonl"]


def test_a_run_that_never_saved_is_begun_again_with_resume(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text('{"kind": "session"}\n')
    check_new(tmp_path, resume=True)
    with pytest.raises(InputError, match="; add --resume to begin it again, choose another folder"):
        check_new(tmp_path, resume=False)
    log.write_text('{"kind": "session"}\n{"kind": "saved"}\n')
    for resume in (False, True):
        with pytest.raises(InputError, match="resume it from; choose another folder"):
            check_new(tmp_path, resume=resume)


def test_a_damaged_state_is_a_weights_error(tmp_path: Path) -> None:
    path = saved(tmp_path)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(WeightsError, match="damaged"):
        load_state(path, **parts())  # type: ignore[arg-type]


def test_a_state_of_another_network_or_optimizer_is_a_weights_error(tmp_path: Path) -> None:
    path = saved(tmp_path)
    other = parts() | {"network": toy_network(norm=False)}
    with pytest.raises(WeightsError, match="another network"):
        load_state(path, **other)  # type: ignore[arg-type]
    with pytest.raises(WeightsError, match="another network or optimizer"):
        load_state(path, **parts(name="muon"))  # type: ignore[arg-type]


def test_a_state_of_another_upsampling_is_a_weights_error(tmp_path: Path) -> None:
    networks = {name: A2UNet(upsampling=name) for name in ("nearest", "bilinear")}  # type: ignore[arg-type]
    target = parts() | {"optimizers": Optimizers(networks["nearest"], OptimizerConfig())}
    path = tmp_path / "state.pt"
    save_state(path, run_state=RunState(), **target | {"network": networks["nearest"]})  # type: ignore[arg-type]
    load_state(path, **target | {"network": A2UNet(upsampling="nearest")})  # type: ignore[arg-type]
    with pytest.raises(WeightsError, match=r"another network .*\[1\.0, 0\.0\].*\[0\.75, 0\.25\]"):
        load_state(path, **target | {"network": networks["bilinear"]})  # type: ignore[arg-type]


def test_a_lower_learning_rate_counts_on_resuming(tmp_path: Path) -> None:
    target = parts()
    lower = Optimizers(target["network"], OptimizerConfig(lr=1e-5))  # type: ignore[arg-type]
    load_state(saved(tmp_path), **(target | {"optimizers": lower}))  # type: ignore[arg-type]
    lower.set_factor(1.0)
    assert {group["lr"] for group in lower.parts[0].param_groups} == {1e-5}


def test_light_weights_are_small_and_load_as_a_network(tmp_path: Path) -> None:
    network = A2UNet()
    save_weights(network.state_dict(), tmp_path / "ema.safetensors", step=3)
    assert (tmp_path / "ema.safetensors").stat().st_size < 16 * 2**20
    weight = load_a2u(tmp_path / "ema.safetensors").get_parameter("layer0.0.weight")
    torch.testing.assert_close(weight, network.get_parameter("layer0.0.weight"), rtol=1e-3, atol=1e-5)


def test_weights_beyond_float16_are_still_saved(tmp_path: Path) -> None:
    network = A2UNet()
    network.get_buffer("layer0.1.running_var").fill_(1e6)
    save_weights(network.state_dict(), tmp_path / "ema.safetensors", step=3)
    assert load_a2u(tmp_path / "ema.safetensors").get_buffer("layer0.1.running_var")[0] == pytest.approx(1e6, rel=0.01)


def test_rates_and_decay_go_to_the_right_parameters() -> None:
    network = A2UNet()
    config = OptimizerConfig(lr=1e-2, encoder_factor=0.01, weight_decay=0.1)
    groups = Optimizers(network, config).parts[0].param_groups
    found = {id(p): (group["lr"], group["weight_decay"]) for group in groups for p in group["params"]}
    expected = {
        "layer0.0.weight": (1e-4, 0.1),
        "layer0.1.weight": (1e-4, 0.0),
        "layer3_2.block1.convs.conv1.weight": (1e-4, 0.1),
        "layer2_1.bilinear.bconv_U.1.weight": (1e-2, 0.0),
        "bilinear0.bnu.0.weight": (1e-2, 0.0),
        "dconv_pp.aspp1.atrous_conv.0.weight": (1e-2, 0.1),
        "short0.0.weight": (1e-2, 0.1),
        "pred.1.weight": (1e-2, 0.1),
    }
    for name, settings in expected.items():
        assert found[id(network.get_parameter(name))] == pytest.approx(settings), name


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_a_resumed_run_takes_another_weight_decay(tmp_path: Path, name: str) -> None:
    path = tmp_path / "state.pt"
    for old, new in ((0.01, 0.0), (0.0, 0.02)):
        network = A2UNet()
        target: dict[str, Any] = parts() | {"network": network, "average": A2UNet()}
        before = Optimizers(network, OptimizerConfig(name=name, weight_decay=old))  # type: ignore[arg-type]
        save_state(path, run_state=RunState(), **target | {"optimizers": before})
        after = Optimizers(network, OptimizerConfig(name=name, weight_decay=new))  # type: ignore[arg-type]
        load_state(path, **target | {"optimizers": after})
        groups = [group for part in after.parts for group in part.param_groups]
        decays = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
        assert decays[id(network.get_parameter("layer3_2.block1.convs.conv1.weight"))] == new
        assert decays[id(network.get_parameter("layer0.1.weight"))] == 0


def test_muon_takes_each_parameter_once_and_leaves_edges_to_adam() -> None:
    network = A2UNet()
    parts = Optimizers(network, OptimizerConfig(name="muon")).parts
    taken = [[id(p) for group in part.param_groups for p in group["params"]] for part in parts]
    assert sorted(taken[0] + taken[1]) == sorted(id(p) for p in network.parameters())
    names = {id(p): name for name, p in network.named_parameters()}
    muons = {names[key] for key in taken[1]}
    assert "layer3_2.block1.convs.conv1.weight" in muons
    assert not muons & {"layer0.0.weight", "pred.1.weight", "short0.0.weight", "dconv_pp.aspp2.atrous_conv.0.weight"}


def test_muons_update_is_its_formula() -> None:
    """Nesterov's momentum, made orthogonal by the quintic iteration, scaled by √max(1, rows / columns)."""
    generator = torch.Generator().manual_seed(0)
    shape, lr, mu, decay = (24, 2, 3, 3), 0.1, 0.9, 0.5  # 24 rows, 18 columns
    start, *gradients = torch.randn(4, *shape, generator=generator)
    parameter = torch.nn.Parameter(start.clone())
    muon = Muon([{"params": [parameter], "lr": lr, "weight_decay": decay}], lr=lr, momentum=mu, bf16=False)
    weight, momentum = start.double(), torch.zeros(shape).double()
    for gradient in gradients:
        parameter.grad = gradient.clone()
        muon.step()
        momentum = mu * momentum + (1 - mu) * gradient.double()
        ahead = ((1 - mu) * gradient.double() + mu * momentum).flatten(1)
        u, s, v = torch.linalg.svd(ahead, full_matrices=False)
        s = s / ahead.norm()
        for _ in range(5):  # on the singular values alone, which is what the iteration does to a matrix
            s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
        update = (u @ s.diag() @ v) * (24 / 18) ** 0.5
        weight = weight * (1 - lr * decay) - lr * update.view(shape)
    torch.testing.assert_close(parameter.detach().double(), weight, rtol=1e-3, atol=1e-4)


def test_orthogonal_matrices_have_singular_values_near_one() -> None:
    matrices = torch.randn(2, 16, 40, generator=torch.Generator().manual_seed(0))
    for shaped in (matrices, matrices.transpose(1, 2)):
        values = torch.linalg.svdvals(orthogonal(shaped))
        assert values.min() > 0.6
        assert values.max() < 1.3


def test_a_state_of_another_format_is_named(tmp_path: Path) -> None:
    path = saved(tmp_path)
    content = torch.load(path, weights_only=True)
    torch.save({**content, "format": -1}, path)
    with pytest.raises(WeightsError, match="not a state that this version can resume"):
        load_state(path, **parts())  # type: ignore[arg-type]
