"""The Ray engine, on a local cluster that the tests start; skipped where Ray is not installed."""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mattecli
from mattecli.batch.engine import run_jobs
from mattecli.batch.pairing import find_jobs
from mattecli.batch.ray import _absolute, _connect, _rooted, run_on_ray
from mattecli.batch.worker import BatchOptions, Worker
from mattecli.compositing.rendition import Rendition
from mattecli.errors import WeightsError
from mattecli.inference.options import RunOptions
from mattecli.work.making import Making
from mattecli.work.outcome import Done, Failed, Job, Outcome, Skipped
from mattecli.work.outputs import OutputOptions
from tests.conftest import RunMatte
from tests.support.batches import SIDE, lines_of, make_folders, outputs_in

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'mattecli[ray]'")
pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Two processors on this machine; its token and its files in a folder of the test."""
    token = tmp_path_factory.mktemp("ray") / "token"
    token.write_text(secrets.token_hex(32))  # else Ray makes one in the user's home
    os.environ["RAY_AUTH_TOKEN_PATH"] = str(token)
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=100 * 2**20)
    yield ray
    ray.shutdown()
    del os.environ["RAY_AUTH_TOKEN_PATH"]


def test_two_workers_of_which_one_is_killed_lose_nothing(cluster: Any, tmp_path: Path) -> None:
    names = [f"{n}.png" for n in range(60)]
    photos, trimaps, out = make_folders(tmp_path, names)
    (photos / "7.png").write_bytes(b"no picture")
    listed = find_jobs(photos, out, trimaps=str(trimaps))
    outcomes: list[Outcome] = []
    killed: list[int] = []

    def on_done(outcome: Outcome) -> None:
        outcomes.append(outcome)
        if len(outcomes) == 3:
            victim = next(iter(_workers()))
            os.kill(victim, signal.SIGKILL)
            killed.append(len(outputs_in(out)))

    out.mkdir()
    worker = Worker(BatchOptions(out=out, run=RunOptions(device="cpu")))
    run_on_ray(listed.jobs, worker, on_done=on_done, workers=2)
    assert killed[0] < 59  # there was something left to do
    assert sorted(outcome.name for outcome in outcomes) == sorted(names)
    (failed,) = (outcome for outcome in outcomes if not isinstance(outcome, Done))
    assert isinstance(failed, Failed)
    assert (failed.name, "7.png is not an image that can be read" in failed.reason) == ("7.png", True)
    assert outputs_in(out) == {f"{n}_alpha.png" for n in range(60) if n != 7}

    again: list[Outcome] = []
    run_jobs(
        listed.jobs, Worker(BatchOptions(out=out, run=RunOptions(device="cpu"))), on_done=again.append
    )  # one record for both engines
    assert sum(isinstance(outcome, Skipped) for outcome in again) == 59


def test_the_command_makes_the_same_files_as_without_ray(cluster: Any, tmp_path: Path, run_matte: RunMatte) -> None:
    photos, trimaps, out = make_folders(tmp_path, ["a.png", "sub/b.png"])
    command = ("batch", photos, out, "-t", trimaps, "--device", "cpu", "--report", tmp_path / "run.jsonl")
    code, _, err = run_matte(*command, "--engine", "ray", "--workers", 2)
    assert (code, "device: cpu, 2 Ray workers" in err, "2 done" in err) == (0, True, True), err
    assert lines_of(tmp_path / "run.jsonl")["a.png"]["device"] == "cpu"
    assert "0 done, 2 skipped" in run_matte(*command)[2]
    alone = tmp_path / "alone"
    code, _, err = run_matte("batch", photos, alone, "-t", trimaps, "--device", "cpu")
    assert code == 0, err
    assert outputs_in(alone) == outputs_in(out) == {"a_alpha.png", "sub/b_alpha.png"}
    for name in outputs_in(alone):
        assert (out / name).read_bytes() == (alone / name).read_bytes(), name


def test_weights_that_no_worker_can_load_end_the_run(cluster: Any, tmp_path: Path) -> None:
    photos, trimaps, out = make_folders(tmp_path, ["a.png"])
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(b"no weights")
    worker = Worker(BatchOptions(out=out, run=RunOptions(device="cpu", weights=str(weights))))
    jobs = find_jobs(photos, out, trimaps=str(trimaps)).jobs
    with pytest.raises(WeightsError, match=r"weights.safetensors"):
        run_on_ray(jobs, worker, on_done=print, workers=1)


def test_a_predictor_maps_a_dataset_of_paths_and_bytes(cluster: Any, tmp_path: Path) -> None:
    photos, trimaps, _ = make_folders(tmp_path, ["a.png"])
    rows = [{"image": str(photos / "a.png"), "trimap": str(trimaps / "a.png"), "id": 0}]
    rows += [{"image": str(photos / "gone.png"), "trimap": str(trimaps / "a.png"), "id": 1}]
    made = ray.data.from_items(rows).map(
        mattecli.Predictor, fn_constructor_kwargs={"device": "cpu"}, compute=ray.data.ActorPoolStrategy(size=1)
    )
    found = {row["id"]: row for row in made.take_all()}
    assert np.asarray(found[0]["alpha"]).shape == (SIDE, SIDE)
    assert found[0]["error"] is None
    assert found[1]["alpha"] is None
    assert "gone.png does not exist" in found[1]["error"]


def _workers() -> set[int]:
    """The processes that matte, as Ray names them."""
    import psutil

    return {
        process.pid
        for process in psutil.Process().children(recursive=True)
        if any("MapWorker" in part for part in process.cmdline())
    }


def test_what_sigterm_does_stays_when_ray_is_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **_: signal.signal(signal.SIGTERM, signal.SIG_IGN))  # as Ray's own does
    _connect(None)
    after = signal.signal(signal.SIGTERM, before)
    assert after == before


def test_files_of_options_hold_in_another_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("press.icc", "model.onnx", "keep", "p3"):  # the last two are spaces, whatever lies there
        Path(name).touch()
    rendition = Rendition(name="web", kind="cutout", output_space="press.icc")
    outputs = OutputOptions(output_space="press.icc", renditions={"web": rendition})
    options = _absolute(BatchOptions(out=Path("out"), outputs=outputs))
    assert options.outputs.output_space == str(tmp_path / "press.icc")
    assert options.outputs.space("web") == str(tmp_path / "press.icc")
    assert _absolute(BatchOptions(out=Path("out"))).outputs.output_space == "keep"
    p3 = _absolute(BatchOptions(out=Path("out"), outputs=OutputOptions(output_space="p3")))
    assert p3.outputs.output_space == "p3"
    models = {"model.onnx": str(tmp_path / "model.onnx"), "u2net=model.onnx": f"u2net={tmp_path / 'model.onnx'}"}
    for given, rooted in {**models, "u2net": "u2net"}.items():
        made = _rooted(Job("a", "a.png", "a.png", {}, making=Making(model=given))).making
        assert made is not None
        assert made.model == rooted
