"""The ranges of a training configuration's values, and what they must be among themselves."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mattecli.errors import UsageError

if TYPE_CHECKING:
    from mattecli.training.config import TrainConfig

STRIDE = 16  # of the network

_MANY = 4096
_AT_LEAST: dict[str, tuple[float, float]] = {  # smallest and largest value
    "run.seed": (0, 2**63 - 1 - _MANY),  # each process adds its rank
    "run.steps": (1, math.inf),
    "run.log_every": (1, math.inf),
    "run.save_every": (1, math.inf),
    "run.save_minutes": (0, math.inf),
    "run.bad_steps": (1, math.inf),
    "workers": (0, 1024),
    "crops.batch": (1, _MANY),
    "crops.accumulate": (1, _MANY),
    "optimizer.encoder_factor": (0, math.inf),
    "optimizer.decoder_factor": (0, math.inf),
    "optimizer.weight_decay": (0, math.inf),
    "optimizer.warmup": (0, math.inf),
    "optimizer.drops": (0, 1),
    "optimizer.clip": (0, math.inf),
    "loss.alpha": (0, math.inf),
    "loss.composition": (0, math.inf),
    "loss.laplacian": (0, math.inf),
    "loss.gradient": (0, math.inf),
    "loss.known": (0, math.inf),
    "loss.charbonnier": (0, math.inf),
    "norms.freeze": (0, 1),
    "validation.every": (1, math.inf),
}
_ABOVE_0: dict[str, float] = {  # largest value
    "run.minutes": math.inf,
    "crops.until": 1,
    "optimizer.lr": math.inf,
    "optimizer.muon_lr": math.inf,
    "optimizer.eps": math.inf,
    "optimizer.drop_factor": 1,
}
_BELOW_1 = ("optimizer.betas", "optimizer.muon_momentum", "ema.decay")  # and 0 or more


def check_ranges(config: TrainConfig, path: Path) -> None:
    """Raise UsageError, with the key and the file `path`, for a value that training cannot work with."""
    for key, value in _values(config):
        fault = _fault(key.partition("[")[0] + key.partition("]")[2], value)
        if fault:
            name = f"data.{key}" if key == "workers" else key
            raise UsageError(f"{path}: {name} is {value} but must be {fault}; mend that key")
    for holds, rule in _rules(config):
        if not holds:
            raise UsageError(f"{path}: {rule}")


def _values(config: TrainConfig) -> Iterator[tuple[str, Any]]:
    """Every number of the tables but the data's, which looks after its own: `table.key` and its value."""
    tables = {name: getattr(config, name) for name in ("run", "optimizer", "loss", "ema", "norms", "validation")}
    tables |= {f"crops[{number}]": stage for number, stage in enumerate(config.crops)}
    yield "workers", config.workers
    for name, table in tables.items():
        for key, value in vars(table).items():
            for one in value if isinstance(value, tuple) else (value,):
                yield f"{name}.{key}", one


def _fault(key: str, value: Any) -> str | None:
    """What the value must be and is not."""
    if value is None:
        return None
    if key in _AT_LEAST:
        least, most = _AT_LEAST[key]
        if not least <= value <= most:
            return f"{least} or more" if most == math.inf else f"from {least} to {most}"
    if key in _ABOVE_0 and not 0 < value <= _ABOVE_0[key]:
        return "above 0" if _ABOVE_0[key] == math.inf else f"above 0 and no more than {_ABOVE_0[key]}"
    if key in _BELOW_1 and not 0 <= value < 1:
        return "0 or more and below 1"
    return None


def _rules(config: TrainConfig) -> Iterator[tuple[bool, str]]:
    shares = [stage.until for stage in config.crops]
    begins = [0.0, *shares]
    frozen = 1 - config.norms.freeze
    yield bool(shares), "crops needs one stage or more; write [[crops]]"
    rising = all(until > begin for begin, until in zip(begins, shares, strict=False))
    yield rising and shares[-1] == 1.0, "crops' until must rise and end at 1.0; mend them"
    yield (
        all(s.size and all(0 < size <= _MANY and size % STRIDE == 0 for size in s.size) for s in config.crops),
        f"crops.size must be multiples of {STRIDE}, the network's stride, up to {_MANY}; mend that key",
    )
    yield (
        all(s.batch > 1 or begin >= frozen for s, begin in zip(config.crops, begins, strict=False)),
        "crops.batch must be 2 or more as long as norms are not frozen, for one norm sees one value a picture; raise "
        "it, or freeze in [norms]",
    )
    loss = config.loss
    yield max(loss.alpha, loss.composition, loss.laplacian, loss.gradient) > 0, "loss needs a weight above 0; raise one"
