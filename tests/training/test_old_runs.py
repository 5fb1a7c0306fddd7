"""Runs that version 0.1.0 began: `tests/data/run_0.1.0` is a toy run, stopped after 3 of 6 steps."""

import shutil
from pathlib import Path

import torch

from mattecli.training.config import TrainConfig, read_config
from mattecli.training.log import read_log
from mattecli.training.loop import train
from tests.support.toy import toy_config, toy_loader, toy_network

OLD = Path(__file__).parents[1] / "data" / "run_0.1.0"


def settings(folder: Path) -> TrainConfig:
    return toy_config(folder, optimizer__name="muon")


def test_the_settings_that_an_old_run_kept_are_read(tmp_path: Path) -> None:
    shutil.copytree(OLD, tmp_path / "run")
    assert read_config(tmp_path / "run" / "config.toml") == settings(tmp_path / "run")


def test_an_old_run_goes_on_from_its_state_to_the_weights_of_an_uninterrupted_one(tmp_path: Path) -> None:
    shutil.copytree(OLD, tmp_path / "old")
    for name, resume, seed in (("old", True, 9), ("new", False, 0)):  # the weights of the old run are in its state
        ending = train(
            settings(tmp_path / name),
            network=toy_network(seed),
            loader=toy_loader,
            device=torch.device("cpu"),
            resume=resume,
            curves=False,
        )
        assert ending == "finished"
    states = [torch.load(tmp_path / name / "state.pt", weights_only=True) for name in ("old", "new")]
    assert [state["position"]["step"] for state in states] == [6, 6]
    assert states[0]["position"].keys() == states[1]["position"].keys()
    for part in ("network", "average"):
        for name, tensor in states[1][part].items():
            # The batch norm takes this bias out again: its gradient is what is rounded, and AdamW enlarges that.
            noise = 3 * settings(tmp_path).optimizer.lr if name in ("0.bias", "1.running_mean") else 1e-4
            torch.testing.assert_close(states[0][part][name], tensor, rtol=1e-3, atol=noise)


def test_the_log_of_a_new_run_has_the_keys_of_an_old_one(tmp_path: Path) -> None:
    train(settings(tmp_path), network=toy_network(), loader=toy_loader, device=torch.device("cpu"), curves=False)
    old, new = ({line["kind"]: line for line in read_log(path / "log.jsonl")} for path in (OLD, tmp_path))
    assert new.keys() == old.keys() == {"session", "step", "saved"}
    for kind, line in old.items():
        assert list(new[kind]) == list(line)
    config = old["session"]["config"] | {"run": old["session"]["config"]["run"] | {"folder": str(tmp_path)}}
    logged = new["session"]["config"]
    assert logged.keys() == config.keys()
    added = {
        "run": {"dropout": 0.5},
        "data": {
            **dict.fromkeys(("solid", "between", "near_by_channel", "own_light", "things_behind", "opaque"), 0.0),
            "photo_weights": {},
        },
        "loss": {"soft": 1.0, "overshoot": 1.0, "mean": "pictures"},
    }  # since 0.1.0
    assert logged == config | {table: config[table] | keys for table, keys in added.items()}
