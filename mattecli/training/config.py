"""What a training run is told: `train.toml` as frozen dataclasses, each key with a default.

A key that is not known and a value of the wrong type are errors that name the key and the file. Relative paths are
relative to the file that holds them.
"""

from __future__ import annotations

import dataclasses
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from mattecli.errors import InputError, UsageError
from mattecli.training.dataconfig import DataConfig

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What is trained, for how long, and where the run's files go."""

    folder: Path = Path("run")
    seed: int = 0
    steps: int = 100_000
    minutes: float | None = None  # fit the schedule into this time, whatever step it reaches
    variant: Literal["shared", "unshared"] = "shared"
    upsampling: Literal["affinity", "nearest", "bilinear"] = "affinity"  # of the decoder; the others to compare with
    start: Path | None = None  # a checkpoint to begin from; none: random weights
    log_every: int = 20  # steps
    save_every: int = 2000  # steps
    save_minutes: float = 10.0  # and at least this often
    bad_steps: int = 20  # so many steps running without a finite gradient end the run


@dataclass(frozen=True, kw_only=True)
class CropStage:
    """Crops of one part of the run; of several sizes, each batch takes one by its number, so a rerun takes the same."""

    until: float = 1.0  # share of the run
    size: tuple[int, ...] = (512,)
    batch: int = 16  # pictures for each process


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """The step taken on the gradient, and its size over the run."""

    name: Literal["adamw", "adam", "muon"] = "adamw"
    lr: float = 4e-4
    encoder_factor: float = 1.0  # layer0 to layer3 without their operators take lr times this
    decoder_factor: float = 1.0  # decoder, ASPP, shortcuts, operators and pred take lr times this
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.01  # not on norms, biases and the operators' generators
    muon_lr: float = 0.02  # for the convolutions under muon; lr holds for the rest, which AdamW takes
    muon_momentum: float = 0.95
    warmup: int = 500  # steps
    schedule: Literal["cosine", "steps"] = "cosine"
    drops: tuple[float, ...] = (2 / 3, 13 / 15)  # shares of the run where `steps` multiplies by drop_factor
    drop_factor: float = 0.1
    clip: float = 1.0  # largest norm of the gradient; 0: none


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """Weights of the losses, which `training/losses.py` defines."""

    alpha: float = 1.0
    composition: float = 0.25
    laplacian: float = 0.5
    gradient: float = 0.0
    known: float = 0.0  # weight of the pixels that the trimap knows; 0: the loss is over the unknown ones
    charbonnier: float = 0.0  # eps of sqrt(d² + eps²) in alpha and composition; 0: |d|


@dataclass(frozen=True, kw_only=True)
class EmaConfig:
    """The moving average of the weights, which is what gets judged and shipped; decay 0: the weights themselves."""

    decay: float = 0.9995


@dataclass(frozen=True, kw_only=True)
class NormsConfig:
    """Batch norm uses its running statistics, and leaves them, in this last share of the run."""

    freeze: float = 0.2


@dataclass(frozen=True, kw_only=True)
class ValidationConfig:
    """A folder with image/, alpha/ and one or more trimap*/ of whole pictures paired by name; none: no validation."""

    folder: Path | None = None
    every: int = 2000  # steps
    at_start: bool = True


@dataclass(frozen=True, kw_only=True)
class PrecisionConfig:
    """How the network computes; losses, weights and averages are float32 in any case."""

    dtype: Literal["bf16", "fp32"] = "bf16"
    channels_last: bool = True
    compile: bool = False


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """All tables of a train.toml."""

    run: RunConfig = field(default_factory=RunConfig)
    data: DataConfig = field(default_factory=DataConfig)
    workers: int = 0  # processes that make samples; in the file this key stands in [data]
    crops: tuple[CropStage, ...] = (CropStage(),)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    ema: EmaConfig = field(default_factory=EmaConfig)
    norms: NormsConfig = field(default_factory=NormsConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    precision: PrecisionConfig = field(default_factory=PrecisionConfig)


def read_config(path: str | Path) -> TrainConfig:
    """The run that a TOML file describes.

    Raises InputError when the file cannot be read, UsageError when it is no TOML, names an unknown key, gives a value
    of the wrong type or out of its range; the message names the key and the file.
    """
    path = Path(path)
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error}); name a train.toml, such as examples/train.toml") from error
    try:
        tables = tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is no TOML: {error}; mend that line") from error
    return config_of(tables, path)


def config_of(tables: Mapping[str, Any], path: Path) -> TrainConfig:
    """The run that the tables of a train.toml describe, read from or standing for the file `path`; errors as above."""
    tables = dict(tables)
    if "workers" in tables:
        raise UsageError(f"{path}: workers is no table of a train.toml; write it under [data]")
    data = dict(tables["data"]) if isinstance(tables.get("data"), dict) else {}
    if "workers" in data:  # stands with the data for the user, but is no property of a sample
        tables["workers"] = data.pop("workers")
        tables["data"] = data
    config = _Reader(path).table(TrainConfig, tables, "")
    _check_ranges(config, path)
    return dataclasses.replace(config, data=_from_folder(config.data, path.parent))


def _from_folder(data: DataConfig, folder: Path) -> DataConfig:
    """The data's folders, which are plain text there, relative to the folder of the file."""
    return dataclasses.replace(
        data,
        photos=tuple(str(folder / path) for path in data.photos),
        foregrounds=tuple(str(folder / path) for path in data.foregrounds),
        own=tuple(str(folder / path) for path in data.own),
        cache=str(folder / data.cache) if data.cache else "",
    )


class _Reader:
    """TOML values to the types that dataclasses declare."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def table(self, cls: type[T], table: Any, name: str) -> T:
        if not isinstance(table, dict):
            raise UsageError(f"{self.path}: {name} is {_kind(table)} but must be a table; write [{name}]")
        types_ = typing.get_type_hints(cls)
        known = [f.name for f in dataclasses.fields(typing.cast(Any, cls)) if f.init]
        prefix = f"{name}." if name else ""
        for key in table:
            if key not in known:
                raise UsageError(f"{self.path}: {prefix}{key} is no key of a train.toml; known are {', '.join(known)}")
        values = {key: self.value(types_[key], value, prefix + key) for key, value in table.items()}
        try:
            return cls(**values)
        except UsageError as error:  # a table that checks its own ranges doesn't know the file
            raise UsageError(f"{self.path}: {error}") from error

    def value(self, kind: Any, value: Any, name: str) -> Any:
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if origin in (typing.Union, types.UnionType):
            kinds = [k for k in arguments if k is not type(None)]
            return self._first_that_fits(kinds, value, name)
        if origin is Literal:
            if value not in arguments:
                raise UsageError(
                    f"{self.path}: {name} is {value!r} but must be one of {', '.join(map(repr, arguments))}"
                )
            return value
        if origin in (tuple, list):
            return self._sequence(origin, arguments, value, name)
        if origin in (dict, Mapping):
            return {
                key: self.value(arguments[1], v, f"{name}.{key}") for key, v in self._need(dict, value, name).items()
            }
        if dataclasses.is_dataclass(kind):
            return self.table(typing.cast(Any, kind), value, name)
        if kind is Path:
            return self.path.parent / Path(self._need(str, value, name)).expanduser()
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        return self._need(kind, value, name)

    def _first_that_fits(self, kinds: list[Any], value: Any, name: str) -> Any:
        for kind in kinds[:-1]:
            try:
                return self.value(kind, value, name)
            except UsageError:
                continue  # the last kind tells the user what is wrong
        return self.value(kinds[-1], value, name)

    def _sequence(self, origin: type, arguments: tuple[Any, ...], value: Any, name: str) -> Any:
        if origin is list or arguments[-1] is Ellipsis:
            values = value if isinstance(value, list) else [value]  # one size is a list of one
            return origin(self.value(arguments[0], v, f"{name}[{n}]") for n, v in enumerate(values))
        if len(self._need(list, value, name)) != len(arguments):
            raise UsageError(f"{self.path}: {name} has {len(value)} values but must have {len(arguments)}")
        return tuple(self.value(k, v, f"{name}[{n}]") for n, (k, v) in enumerate(zip(arguments, value, strict=True)))

    def _need(self, kind: Any, value: Any, name: str) -> Any:
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise UsageError(
                f"{self.path}: {name} is {_kind(value)} but must be {_NAMES.get(kind, kind)}; mend that key"
            )
        return value


_NAMES: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "a table",
    Path: "a path",
}


def _kind(value: object) -> str:
    return _NAMES.get(type(value), type(value).__name__)


def _check_ranges(config: TrainConfig, path: Path) -> None:
    shares = [stage.until for stage in config.crops]
    begins = [0.0, *shares]
    rules = [
        (config.run.steps > 0, "run.steps must be 1 or more"),
        (config.run.minutes is None or config.run.minutes > 0, "run.minutes must be more than 0"),
        (
            min(config.run.log_every, config.run.save_every, config.run.bad_steps) > 0,
            "run's intervals must be 1 or more",
        ),
        (config.workers >= 0, "data.workers must be 0 or more"),
        (bool(shares), "crops needs one stage or more"),
        (shares == sorted(shares) and shares[-1:] == [1.0], "crops' until must rise and end at 1.0"),
        (all(stage.batch > 0 for stage in config.crops), "crops.batch must be 1 or more"),
        (
            all(s.size and all(size > 0 and size % 16 == 0 for size in s.size) for s in config.crops),
            "crops.size must be multiples of 16, the network's stride",
        ),
        (
            all(
                s.batch > 1 or begin >= 1 - config.norms.freeze for s, begin in zip(config.crops, begins, strict=False)
            ),
            "crops.batch must be 2 or more as long as norms are not frozen: one norm sees one value a picture",
        ),
        (config.optimizer.lr > 0 and config.optimizer.warmup >= 0, "optimizer.lr must be positive, warmup 0 or more"),
        (config.optimizer.clip >= 0, "optimizer.clip must be 0 (none) or more"),
        (0 <= config.ema.decay < 1, "ema.decay must be in [0, 1)"),
        (0 <= config.norms.freeze <= 1, "norms.freeze must be a share in [0, 1]"),
        (config.validation.every > 0, "validation.every must be 1 or more"),
        (
            max(config.loss.alpha, config.loss.composition, config.loss.laplacian, config.loss.gradient) > 0,
            "loss needs a weight above 0",
        ),
    ]
    for holds, rule in rules:
        if not holds:
            raise UsageError(f"{path}: {rule}")
