"""What a training run is told: `train.toml` as frozen dataclasses, each key with a default.

A key that is not known and a value of the wrong type or out of its range are errors that name the key and the file.
Relative paths are relative to the file that holds them, and `~` is the user's home.
"""

from __future__ import annotations

import dataclasses
import math
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from mattecli.errors import InputError, UsageError
from mattecli.training.data.config import FOLDERS, DataConfig
from mattecli.training.ranges import check_ranges

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
    batch: int = 16  # pictures at once, for each process
    accumulate: int = 1  # batches to a step: the gradient is their mean

    @property
    def step_batch(self) -> int:
        """Pictures to a step, for each process."""
        return self.batch * self.accumulate


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
    check_ranges(config, path)
    return config


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
        if cls is DataConfig:  # whose folders are plain text
            values |= {key: self.folders(values[key], prefix + key) for key in FOLDERS if values.get(key)}
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
            return self._from_here(self._need(str, value, name), name)
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            self._check_size(value, name)
            value = float(value)
        self._need(kind, value, name)
        if isinstance(value, int):
            self._check_size(value, name)
        if isinstance(value, float) and not math.isfinite(value):
            raise UsageError(f"{self.path}: {name} is {value} but must be a finite number; mend that key")
        return value

    def _check_size(self, value: int, name: str) -> None:
        if abs(value) >= 2**63:  # TOML's own limit, which Python's reader does not hold
            raise UsageError(f"{self.path}: {name} has more than 64 bits; mend that key")

    def folders(self, names: str | tuple[str, ...], name: str) -> str | tuple[str, ...]:
        if isinstance(names, str):
            return str(self._from_here(names, name))
        return tuple(str(self._from_here(one, name)) for one in names)

    def _from_here(self, text: str, name: str) -> Path:
        """A path as seen from the file's folder."""
        try:
            return self.path.parent / Path(text).expanduser()
        except RuntimeError as error:
            raise UsageError(
                f"{self.path}: {name} is {text!r}, but there is no such home; write the path out"
            ) from error

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
