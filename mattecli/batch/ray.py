"""The batch on a Ray cluster: the same jobs, outputs, record and report, by workers on other machines.

What travels are paths and lines of the report. Each worker decodes its photos itself (so that profiles, orientation and
16 bits survive), loads the weights once, and writes its outputs and its part of the record. All machines must see the
folders under the same paths. A worker that dies is started again by Ray and its photos are given out once more: those
that it had finished are in the record, and are not made twice.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mattecli.batch.engine import run_jobs
from mattecli.batch.jobs import Job
from mattecli.batch.work import Line, Settings, Worker
from mattecli.errors import DeviceError, MatteError, UsageError, WeightsError
from mattecli.system.process import prepare_process

PHOTOS_A_TASK = 8  # what a worker is given at a time, so that it can read ahead; a dead worker's share begins anew

Rows = dict[str, NDArray[Any]]


def run_on_ray(
    jobs: Sequence[Job],
    worker: Worker,
    *,
    on_done: Callable[[Line], None],
    on_load: Callable[[str], None] | None = None,
    stop: threading.Event | None = None,
    address: str | None = None,
    workers: int | None = None,
) -> None:
    """As `run_jobs`, on the cluster at `address`: by default the one this machine belongs to, else a new one here.

    `worker` only tells what is done already. Each of the `workers` takes a GPU where the device is one (and, with the
    device auto, where the cluster has any), else its share of the cluster's processors; by default there is one for
    each GPU or machine.

    Raises DeviceError where Ray is missing or cannot be reached, and what loading the network raises in a worker.
    """
    stop = stop or threading.Event()
    todo = []
    for job in jobs:
        state = _todo(job, worker)
        if state is None:
            todo.append(job)
        else:
            on_done(state)
    if not todo or stop.is_set():
        return
    ray = _connect(address)
    settings = _absolute(worker.settings)
    count, resources = _share(ray, _wanted(settings), workers)
    rows = [{"job": json.dumps(asdict(_rooted(job)))} for job in todo]
    tasks = max(1, -(-len(rows) // PHOTOS_A_TASK))
    results = ray.data.from_items(rows, override_num_blocks=max(min(tasks, 10_000), count)).map_batches(
        RayWorker,
        fn_constructor_args=(settings,),
        batch_size=PHOTOS_A_TASK,
        compute=ray.data.ActorPoolStrategy(size=count),
        **resources,
    )
    device = None
    for row in results.iter_rows():
        line = json.loads(row["line"])
        if error := line.get("fatal"):
            raise {"WeightsError": WeightsError, "DeviceError": DeviceError, "UsageError": UsageError}[error](
                line["reason"]
            )
        if device is None and on_load is not None and (device := line.get("device")):
            on_load(f"{device}, {count} Ray workers")
        if line["status"] == "skipped":  # finished by a worker that died before it could tell
            line["status"] = "done"
        on_done(line)
        if stop.is_set():
            break  # Ray then ends the workers; what they had finished is in the record


class RayWorker:
    """What one process of the cluster runs: a callable from batches of jobs to their lines, both as JSON."""

    def __init__(self, settings: Settings) -> None:
        prepare_process()
        self._settings = settings
        self._worker: Worker | None = None

    def __call__(self, rows: Rows) -> Rows:
        """The lines of these jobs, in the order in which they end."""
        jobs = [Job(**json.loads(text)) for text in rows["job"]]
        lines: list[Line] = []
        try:
            if self._worker is None:
                self._worker = Worker(self._settings)
                self._worker.load()
            run_jobs(jobs, self._worker, on_done=lines.append)
        except MatteError as error:  # Ray would wrap it, and start the worker again and again
            lines = [{"fatal": type(error).__name__, "reason": str(error)}]
        return {"line": np.array([json.dumps(line) for line in lines], dtype=object)}


def _todo(job: Job, worker: Worker) -> Line | None:
    """The line of a job that is done or cannot be; None for one to do."""
    from mattecli.batch.work import failure

    try:
        state = worker.todo(job)
    except Exception as error:
        return failure(job, error)
    return state if isinstance(state, dict) else None


def _connect(address: str | None) -> Any:
    """The ray module, connected."""
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise DeviceError("--engine ray needs Ray, which is not installed; pip install 'mattecli[ray]'") from error
    if address is not None:
        _knock(address)
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    try:
        if not ray.is_initialized():
            if address is None and "RAY_ADDRESS" not in os.environ:
                ray.init(include_dashboard=False, **quiet)
            else:
                ray.init(address=address or "auto", **quiet)
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        where = f"the Ray cluster at {address}" if address else "a Ray cluster"
        raise DeviceError(f"{where} cannot be reached ({error}); check --ray-address and `ray status`") from error
    logging.getLogger("ray.data").setLevel(logging.ERROR)  # it tells each run's plan at length
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    return ray


def _knock(address: str) -> None:
    """Raise DeviceError where nothing answers at host:port, for which Ray itself would wait minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdecimal():
        return  # a word of Ray's own, such as auto
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        raise DeviceError(
            f"the Ray cluster at {address} cannot be reached ({error.strerror or error}); check --ray-address and "
            "`ray status`"
        ) from error


def _wanted(settings: Settings) -> str:
    """The device that a worker will take, as far as --device or --provider say."""
    if settings.provider is None:
        return settings.device
    return "cuda" if settings.provider in ("cuda", "tensorrt") else "cpu"


def _share(ray: Any, device: str, workers: int | None) -> tuple[int, dict[str, float]]:
    """How many workers, and what each takes of the cluster."""
    has = ray.cluster_resources()
    gpus = int(has.get("GPU", 0))
    if device.startswith("cuda") or (device == "auto" and gpus):
        if not gpus:
            raise DeviceError(f"--device {device} cannot be used: the Ray cluster has no GPU; use --device cpu")
        return workers or gpus, {"num_gpus": min(1.0, gpus / workers) if workers else 1.0}
    count = workers or max(1, sum(node["Alive"] for node in ray.nodes()))
    return count, {"num_cpus": max(1, int(has.get("CPU", 1) // count))}


def _absolute(settings: Settings) -> Settings:
    """The settings with paths that hold in a process with another working directory."""
    weights = settings.weights
    if weights is not None and os.path.isfile(weights):
        weights = os.path.abspath(weights)
    return replace(settings, out=type(settings.out)(os.path.abspath(settings.out)), weights=weights)


def _rooted(job: Job) -> Job:
    background = job.background
    if background is not None and os.path.isfile(background):
        background = os.path.abspath(background)
    return replace(
        job,
        image=os.path.abspath(job.image),
        trimap=os.path.abspath(job.trimap),
        outputs={kind: os.path.abspath(path) for kind, path in job.outputs.items()},
        background=background,
    )
