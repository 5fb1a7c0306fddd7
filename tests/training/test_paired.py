"""What `experiments/paired.py` says of two runs whose errors are known."""

import argparse
import json
from pathlib import Path

import pytest

from experiments import paired
from experiments.paired import (
    START,
    change,
    is_encoders,
    judge,
    read_judged,
    read_trials,
    run_config,
    table,
    with_fresh_decoder,
)
from mattecli.network.a2u import A2UNet
from mattecli.network.checkpoint import load_a2u
from mattecli.weights import find_checkpoint

TRIALS = Path(__file__).parents[2] / "experiments" / "paired.toml"


def options(tmp_path: Path) -> argparse.Namespace:
    return argparse.Namespace(
        start=tmp_path / "a.safetensors", photos=[], foregrounds=["cut"], cache=None, out=tmp_path
    )


def facts(crops: str, *errors: float) -> str:
    per_class = {name: list(errors) for name in ("all", "soft", "0", "1")}
    pixels = {name: [10] * len(errors) for name in per_class}
    parts = ["seen", "unseen"] * (len(errors) // 2)
    text = f'"error": {per_class}, "pixels": {pixels}, "part": {parts}'.replace("'", '"')
    return f'{{"crops": "{crops}", {text}}}'


def test_a_change_that_is_the_same_in_every_crop_is_certain() -> None:
    assert change([0.9, 1.8, 4.5], [1.0, 2.0, 5.0]) == "-10.0 [-10.0, -10.0]"


def test_a_change_of_one_crop_alone_is_not_told_from_none() -> None:
    figure, low, high = (float(part.strip("[],")) for part in change([1.0] * 19 + [2.0], [1.0] * 20).split())
    assert figure == 5.0
    assert low == 0.0
    assert high > 10


def test_no_variant_trains_on_what_is_held_out(tmp_path: Path) -> None:
    trials = read_trials(TRIALS)
    assert trials.kinds
    assert trials.groups
    changes = [variant.change for variant in trials.variants]
    changes.append({"data": {"kinds": dict.fromkeys(trials.kinds, 5.0), "groups": dict.fromkeys(trials.groups, 5.0)}})
    for tables in changes:
        data = run_config(trials, tables, options(tmp_path), tmp_path).data
        assert all(data.kinds[kind] == 0 for kind in trials.kinds)
        assert all(data.groups[group] == 0 for group in trials.groups)


def test_runs_are_compared_crop_by_crop_with_the_one_they_name(tmp_path: Path) -> None:
    (tmp_path / "judged").mkdir()
    (tmp_path / "judged/start.json").write_text(facts("a", 2.0, 4.0))
    (tmp_path / "judged/base.json").write_text(facts("a", 1.0, 4.0))
    text = table(read_judged(read_trials(TRIALS), tmp_path))
    assert "| base | start | 0.2500 | -16.7 [" in text
    assert "| -50.0 [-50.0, -50.0] | +0.0 [+0.0, +0.0] |" in text  # of the seen and the unseen kinds
    assert f"| {START} | {START} | 0.3000 |" in text


def test_errors_on_different_crops_are_not_compared(tmp_path: Path) -> None:
    (tmp_path / "judged").mkdir()
    (tmp_path / "judged/start.json").write_text(facts("a", 2.0, 4.0))
    (tmp_path / "judged/base.json").write_text(facts("b", 1.0, 4.0))
    with pytest.raises(SystemExit, match="different crops"):
        read_judged(read_trials(TRIALS), tmp_path)


def test_validations_on_different_folders_are_not_compared(tmp_path: Path) -> None:
    (tmp_path / "judged").mkdir()
    for name, folder in (("start", "v"), ("base", "w")):
        text = json.dumps(json.loads(facts("a", 2.0, 4.0)) | {"folder": folder, "validation": {"trimap": {"cat": 1.0}}})
        (tmp_path / f"judged/{name}.json").write_text(text)
    with pytest.raises(SystemExit, match="different validation folders"):
        read_judged(read_trials(TRIALS), tmp_path)


def test_what_other_weights_or_another_validation_folder_gave_is_judged_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def errors(*_: object) -> dict[str, object]:
        made.append("crops")
        return json.loads(facts("a", 2.0, 4.0))  # type: ignore[no-any-return]

    def validation(folder: Path, _: Path) -> dict[str, dict[str, float]]:
        made.append(folder.name)
        return {"trimap": {"cat": 1.0}}

    for name, stand_in in (("_crops", lambda *_: []), ("_errors", errors), ("_validation", validation)):
        monkeypatch.setattr(paired, name, stand_in)
    trials, given = read_trials(TRIALS), options(tmp_path)
    (tmp_path / "judged").mkdir()
    (tmp_path / "judged/start.json").write_text(facts("a", 1.0, 1.0))  # of a version that did not note the weights
    for weights, folder, expected in (
        (b"1", "v", ["crops", "v"]),
        (b"1", "v", []),
        (b"1", "w", ["w"]),
        (b"1", None, []),
        (b"2", "w", ["crops", "w"]),
    ):
        given.start.write_bytes(weights)
        given.validation, given.only = folder and tmp_path / folder, []
        made.clear()
        judge(trials, given)
        assert made == expected, (weights, folder)
    assert list(read_judged(trials, tmp_path)) == [START]


def test_fresh_decoders_share_the_encoder_of_the_start_and_their_random_weights(tmp_path: Path) -> None:
    trials = read_trials(TRIALS.with_name("decoders.toml"))
    given = options(tmp_path)
    given.start = find_checkpoint().path
    start = load_a2u(given.start).state_dict()
    networks = [with_fresh_decoder(run_config(trials, one.change, given, tmp_path)) for one in trials.variants]
    assert [network.upsampling for network in networks] == ["affinity", "nearest", "bilinear"]
    first = networks[0].state_dict()
    for network in networks:
        state = network.state_dict()
        names = [name for name in state if name in first]
        assert all(state[name].equal(start[name] if is_encoders(name) else first[name]) for name in names)
    learned = [name for name in first if name.startswith("decoder_layer1") and name.endswith("conv1.weight")]
    assert learned
    assert not any(first[name].equal(start[name]) for name in learned)
    assert sum(is_encoders(name) for name in first) > 100
    assert {name for name in A2UNet(upsampling="nearest").state_dict() if is_encoders(name)} == {
        name for name in first if is_encoders(name)
    }
