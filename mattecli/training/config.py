"""The settings of a training run, as `train.toml` gives them.

An unknown key and a value of the wrong type or out of its range are errors that name the file and the key. Relative
paths start at the folder of the file that holds them, and `~` is the user's home.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import tomli_w
from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

from mattecli.errors import InputError, UsageError
from mattecli.spec import STRIDE
from mattecli.system.files import whole_file
from mattecli.training.data.config import DataConfig
from mattecli.training.settings import Count, FilePath, Pair, Settings, Several, Share, ShareBelowOne, rule, validated

CONFIG = "config.toml"  # the settings that the folder of a run keeps

_MANY = 4096
_BatchSize = Annotated[int, Field(ge=1, le=_MANY)]
_CropSize = Annotated[int, Field(ge=STRIDE, le=_MANY, multiple_of=STRIDE)]


class RunConfig(Settings):
    """What is trained, for how long, and where the run's files go."""

    table_name: ClassVar[str] = "run"

    folder: FilePath = Path("run")
    seed: Annotated[int, Field(ge=0, le=2**63 - 1 - _MANY)] = 0  # each process adds its rank
    steps: Count = 100_000
    minutes: PositiveFloat | None = None  # fit the schedule into this time, where steps do not end it sooner
    variant: Literal["shared", "unshared"] = "shared"
    upsampling: Literal["affinity", "nearest", "bilinear"] = "affinity"  # of the decoder; the others to compare with
    dropout: ShareBelowOne = 0.5  # share of ASPP's output that each step sets to 0
    start: FilePath | None = None  # a checkpoint to begin from; none: random weights
    log_every: Count = 20  # steps
    save_every: Count = 2000  # steps
    save_minutes: NonNegativeFloat = 10.0  # and at least this often
    bad_steps: Count = 20  # this many steps in a row without a finite gradient end the run


class CropStage(Settings):
    """Crops of one part of the run. With several sizes the batches take them in turn, the same way in a rerun."""

    table_name: ClassVar[str] = "crops"

    until: Annotated[float, Field(gt=0, le=1)] = 1.0  # share of the run
    size: Annotated[tuple[_CropSize, ...], Field(min_length=1), Several] = (512,)  # side, pixels
    batch: _BatchSize = 16  # pictures at once, for each process
    accumulate: _BatchSize = 1  # batches to a step, whose gradient is their mean

    @property
    def step_batch(self) -> int:
        """Pictures to a step, for each process."""
        return self.batch * self.accumulate


class OptimizerConfig(Settings):
    """The optimizer, and its learning rate over the run."""

    table_name: ClassVar[str] = "optimizer"

    name: Literal["adamw", "adam", "muon"] = "adamw"
    lr: PositiveFloat = 4e-4
    encoder_factor: NonNegativeFloat = 1.0  # layer0 to layer3 without their operators learn at lr times this
    decoder_factor: NonNegativeFloat = 1.0  # decoder, ASPP, shortcuts, operators and pred learn at lr times this
    betas: Annotated[tuple[ShareBelowOne, ShareBelowOne], Pair] = (0.9, 0.999)
    eps: PositiveFloat = 1e-8
    weight_decay: NonNegativeFloat = 0.01  # not on norms, biases and the operators' generators
    muon_lr: PositiveFloat = 0.02  # of the convolutions under muon; all else learns by AdamW at lr
    muon_momentum: ShareBelowOne = 0.95
    warmup: Annotated[int, Field(ge=0, le=2**63 - 1)] = 500  # steps
    schedule: Literal["cosine", "steps"] = "cosine"
    drops: Annotated[tuple[Share, ...], Several] = (2 / 3, 13 / 15)  # where `steps` multiplies by drop_factor
    drop_factor: Annotated[float, Field(gt=0, le=1)] = 0.1
    clip: NonNegativeFloat = 1.0  # largest norm of the gradient; 0: no clipping


class LossConfig(Settings):
    """Weights of the losses that `training/losses.py` defines."""

    table_name: ClassVar[str] = "loss"

    alpha: NonNegativeFloat = 1.0
    composition: NonNegativeFloat = 0.25
    laplacian: NonNegativeFloat = 0.5
    gradient: NonNegativeFloat = 0.0
    known: NonNegativeFloat = 0.0  # weight of the known pixels of the trimap; 0: only the unknown ones count
    soft: NonNegativeFloat = 1.0  # weight of the unknown pixels whose true alpha is neither 0 nor 1; the others have 1
    overshoot: NonNegativeFloat = 1.0  # factor of the part of a prediction below 0 or above 1, which inference clips
    mean: Literal["pictures", "pixels"] = "pictures"  # each picture counts alike, or each pixel of the batch
    charbonnier: NonNegativeFloat = 0.0  # ε of √(d² + ε²) in alpha and composition; 0: |d|

    @model_validator(mode="after")
    def _check_weights(self) -> LossConfig:
        if not any((self.alpha, self.composition, self.laplacian, self.gradient)):
            raise rule("loss needs a weight above 0; raise alpha, composition, laplacian or gradient")
        return self


class EmaConfig(Settings):
    """The moving average of the weights, which is validated and saved as ema.safetensors."""

    table_name: ClassVar[str] = "ema"

    decay: ShareBelowOne = 0.9995  # 0: no averaging. It grows to this: after s steps it is (1 + s) / (10 + s) at most


class NormsConfig(Settings):
    """When the batch norms stop learning their running statistics and use them instead."""

    table_name: ClassVar[str] = "norms"

    freeze: Share = 0.2  # last share of the run in which they are frozen

    @property
    def frozen_from(self) -> float:
        """The progress from which they are frozen; a little less than computed, because 1 − 0.7 gives more than 0.3."""
        return 1 - self.freeze - 1e-9


class ValidationConfig(Settings):
    """A folder with image/, alpha/ and one or more trimap*/ of whole pictures, paired by name. None: no validation."""

    table_name: ClassVar[str] = "validation"

    folder: FilePath | None = None
    every: Count = 2000  # steps
    at_start: bool = True


class PrecisionConfig(Settings):
    """How the network computes. Losses, weights and averages are float32 in any case."""

    table_name: ClassVar[str] = "precision"

    dtype: Literal["bf16", "fp32"] = "bf16"
    channels_last: bool = True
    compile: bool = False


class TrainConfig(Settings):
    """All tables of a train.toml."""

    names_in_file: ClassVar[Mapping[str, str]] = {"workers": "data.workers"}

    run: RunConfig = RunConfig()
    data: DataConfig = DataConfig()
    workers: Annotated[int, Field(ge=0, le=1024)] = 0  # processes that make samples
    crops: Annotated[tuple[CropStage, ...], Pair] = (CropStage(),)
    optimizer: OptimizerConfig = OptimizerConfig()
    loss: LossConfig = LossConfig()
    ema: EmaConfig = EmaConfig()
    norms: NormsConfig = NormsConfig()
    validation: ValidationConfig = ValidationConfig()
    precision: PrecisionConfig = PrecisionConfig()

    @model_validator(mode="after")
    def _check_crops(self) -> TrainConfig:
        if not self.crops:
            raise rule("crops needs one stage or more; write [[crops]]")
        bounds = [0.0, *(stage.until for stage in self.crops)]
        if bounds[-1] != 1.0 or any(end <= begin for begin, end in pairwise(bounds)):
            raise rule("until must rise from one [[crops]] to the next and end at 1.0; change it")
        if any(stage.batch == 1 and begin < self.norms.frozen_from for stage, begin in zip(self.crops, bounds)):  # noqa: B905
            raise rule(
                "crops.batch must be 2 or more while norms are not frozen, because a norm sees one value a picture; "
                "raise it, or raise freeze in [norms]"
            )
        return self


def read_config(path: str | Path) -> TrainConfig:
    """Read the settings of a run from a TOML file.

    Raises InputError for a file that cannot be read, and UsageError for one that is not TOML or holds an unknown key or
    a value of the wrong type or out of its range.
    """
    path = Path(path)
    try:
        content = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error}); name a train.toml, such as examples/train.toml") from error
    try:
        tables = tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not a TOML file: {error}; correct that line") from error
    return config_of(tables, path)


def config_of(tables: Mapping[str, Any], path: Path) -> TrainConfig:
    """Make the settings of a run from the tables of a train.toml.

    `path` is the file that they are from or stand for. Raises UsageError as `read_config` does.
    """
    tables = dict(tables)
    if "workers" in tables:
        raise UsageError(f"{path}: workers is not a table of a train.toml; write it under [data]")
    data = tables.get("data")
    if isinstance(data, dict) and "workers" in data:  # in the file beside the data, but it changes no sample
        tables |= {"workers": data["workers"], "data": {key: data[key] for key in data if key != "workers"}}
    return validated(TrainConfig, tables, file=path)


def write_config(config: TrainConfig, *, source: str) -> None:
    """Write all settings into the folder of the run, so that `read_config` reads the same there.

    The folder of the run becomes the file's own and other paths become absolute. `source` names where the settings are
    from. Raises InputError for a file that cannot be written.
    """
    path = config.run.folder / CONFIG
    start, validation = (p and p.absolute() for p in (config.run.start, config.validation.folder))
    lasting = config.replace(
        run=config.run.replace(folder=Path(), start=start),
        data=config.data.with_absolute_folders(),
        validation=config.validation.replace(folder=validation),
    )
    tables = lasting.model_dump(mode="json", exclude_none=True)
    tables["data"]["workers"] = tables.pop("workers")
    origin = json.dumps(source, ensure_ascii=False)
    head = f"# The settings of this run, from {origin} and options; `matte train` reads them from here as well.\n\n"
    try:
        with whole_file(path) as file:
            file.write((head + tomli_w.dumps(tables)).encode())
    except (OSError, UnicodeEncodeError) as error:
        raise InputError(f"{path} cannot be written ({error}); choose another folder with --run") from error
