"""Runs a batch on a Ray cluster.

Only paths and outcomes travel. Each worker decodes its photos itself, so that profiles, orientation and 16 bits are
kept. It loads the weights once, and writes its outputs and its file of the journal. All machines must see the folders
under the same paths. Ray starts a worker again that died, and gives out its photos once more. The photos that it had
finished are in the journal and are not made twice.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mattecli.batch.engine import run_jobs
from mattecli.batch.worker import BatchOptions, Worker
from mattecli.compositing.delivery import rooted_space
from mattecli.errors import DeviceError, MatteError, UsageError, WeightsError
from mattecli.system.process import prepare_process
from mattecli.trimaps.auto import rooted_model
from mattecli.work.making import Making
from mattecli.work.outcome import Done, Failed, Job, Outcome, Skipped

PHOTOS_A_TASK = 8  # what a worker is given at a time, so that it can read ahead; a dead worker's share begins anew

Rows = dict[str, NDArray[Any]]


def run_on_ray(
    jobs: Sequence[Job],
    worker: Worker,
    *,
    on_done: Callable[[Outcome], None],
    on_load: Callable[[str], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    address: str | None = None,
    workers: int | None = None,
) -> None:
    """As `run_jobs`, on the Ray cluster at `address`; by default this machine's cluster, else a new one here.

    `worker` only finds out what is done already. `workers` is the number of processes, by default one for each GPU or
    machine. Each takes a GPU where the device is one (with the device auto, where the cluster has any), else its share
    of the cluster's processors.

    Raises DeviceError where Ray is missing or cannot be reached, and what loading the network raises in a worker.
    """
    todo = []
    for job in jobs:
        outcome = _outcome_before(job, worker)
        if outcome is None:
            todo.append(job)
        else:
            on_done(outcome)
    if not todo or should_stop():
        return
    ray = _connect(address)
    options = _absolute(worker.options)
    count, resources = _share(ray, _wanted(options), workers)
    rows = [{"job": json.dumps(asdict(_rooted(job)))} for job in todo]
    tasks = max(1, -(-len(rows) // PHOTOS_A_TASK))
    results = ray.data.from_items(rows, override_num_blocks=max(min(tasks, 10_000), count)).map_batches(
        RayWorker,
        fn_constructor_args=(options,),
        batch_size=PHOTOS_A_TASK,
        compute=ray.data.ActorPoolStrategy(size=count),
        **resources,
    )
    loaded = False
    for row in results.iter_rows():
        outcome = _unpack(row["outcome"])
        if isinstance(outcome, Skipped):  # finished by a worker that died before it could tell
            outcome = Done(outcome.job, outcome.facts, outcome.facts.get("seconds", 0.0))
        if isinstance(outcome, Done) and "device" in outcome.facts and not loaded and on_load is not None:
            loaded = True
            on_load(f"{outcome.facts['device']}, {count} Ray workers")
        on_done(outcome)
        if should_stop():
            break  # Ray then ends the workers; what they had finished is in the journal


class RayWorker:
    """What one process of the cluster runs: a callable from jobs to their outcomes, both as JSON."""

    def __init__(self, options: BatchOptions) -> None:
        prepare_process()
        self._options = options
        self._worker: Worker | None = None

    def __call__(self, rows: Rows) -> Rows:
        """The outcomes of these jobs, in the order in which they end."""
        jobs = [Job.of(json.loads(text)) for text in rows["job"]]
        outcomes: list[str] = []
        try:
            if self._worker is None:
                self._worker = Worker(self._options)
            run_jobs(jobs, self._worker, on_done=lambda outcome: outcomes.append(_pack(outcome)))
        except MatteError as error:  # Ray would wrap it, and start the worker again and again
            outcomes = [json.dumps({"error": type(error).__name__, "message": str(error)})]
        return {"outcome": np.array(outcomes, dtype=object)}


def _pack(outcome: Outcome) -> str:
    return json.dumps({"status": outcome.status, **asdict(outcome)})


def _unpack(text: str) -> Outcome:
    """The outcome that was packed. Raises the error that ended the worker."""
    fields = json.loads(text)
    if "error" in fields:
        kinds = {kind.__name__: kind for kind in (WeightsError, DeviceError, UsageError)}
        raise kinds.get(fields["error"], MatteError)(fields["message"])
    status = fields.pop("status")
    if status == Failed.status:
        return Failed(**fields)
    job = Job.of(fields.pop("job"))
    if status == Skipped.status:
        return Skipped(job, **fields)
    return Done(job, **{**fields, "notes": tuple(fields["notes"])})


def _outcome_before(job: Job, worker: Worker) -> Outcome | None:
    """The outcome of a job that is done or cannot be; None for one to do."""
    try:
        state = worker.todo(job)
    except Exception as error:
        return Failed.of(job, error)
    return state if isinstance(state, Skipped) else None


def _connect(address: str | None) -> Any:
    """The ray module, connected."""
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise DeviceError('--engine ray needs Ray, which is not installed; pip install "mattecli[ray]"') from error
    if address is not None:
        _knock(address)
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    try:
        if not ray.is_initialized():
            with _own_end():
                if address is None and "RAY_ADDRESS" not in os.environ:
                    ray.init(include_dashboard=False, **quiet)
                else:
                    ray.init(address=address or "auto", **quiet)
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        where = f"the Ray cluster at {address}" if address else "a Ray cluster"
        raise DeviceError(f"{where} cannot be reached ({error}); check --ray-address and `ray status`") from error
    logging.getLogger("ray.data").setLevel(logging.ERROR)  # else it prints the plan of each run at length
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    return ray


@contextmanager
def _own_end() -> Iterator[None]:
    """Keep what SIGTERM does: Ray would have it end the process at once, without a report."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if before is not None and threading.current_thread() is threading.main_thread():  # elsewhere Ray sets none
            signal.signal(signal.SIGTERM, before)


def _knock(address: str) -> None:
    """Raise DeviceError where nothing answers at host:port; Ray itself would wait minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdecimal():
        return  # one of Ray's own words, such as auto
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        raise DeviceError(
            f"the Ray cluster at {address} cannot be reached ({error.strerror or error}); check --ray-address and "
            "`ray status`"
        ) from error


def _wanted(options: BatchOptions) -> str:
    """The device that a worker will take, as far as --device or --provider say."""
    if options.run.provider is None:
        return options.run.device
    return "cuda" if options.run.provider in ("cuda", "tensorrt") else "cpu"


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


def _absolute(options: BatchOptions) -> BatchOptions:
    """The options with paths that hold in a process with another working directory."""
    weights = options.run.weights
    if weights is not None and os.path.isfile(weights):
        weights = os.path.abspath(weights)
    out = type(options.out)(os.path.abspath(options.out))
    made, renditions = options.outputs, options.outputs.renditions
    spaces = {
        name: replace(one, output_space=None if one.output_space is None else rooted_space(one.output_space))
        for name, one in renditions.items()
    }
    outputs = replace(made, output_space=rooted_space(made.output_space), renditions=spaces)
    return replace(options, out=out, run=replace(options.run, weights=weights), outputs=outputs)


def _rooted(job: Job) -> Job:
    return replace(
        job,
        image=os.path.abspath(job.image),
        trimap=os.path.abspath(job.trimap),
        outputs={kind: os.path.abspath(path) for kind, path in job.outputs.items()},
        background=None if job.background is None else _rooted_file(job.background),
        backgrounds={output: _rooted_file(behind) for output, behind in job.backgrounds.items()},
        known=None if job.known is None else os.path.abspath(job.known),
        making=None if job.making is None else _rooted_making(job.making),
    )


def _rooted_file(text: str) -> str:
    """A file's absolute path; a text that names no file, such as a colour, as it is."""
    return os.path.abspath(text) if os.path.isfile(text) else text


def _rooted_making(making: Making) -> Making:
    given = (making.strokes, making.core, making.garbage)
    strokes, core, garbage = [None if path is None else os.path.abspath(path) for path in given]
    model = None if making.model is None else rooted_model(making.model)
    return replace(making, strokes=strokes, core=core, garbage=garbage, model=model)
