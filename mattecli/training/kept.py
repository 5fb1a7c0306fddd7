"""A run's configuration as the TOML file that its folder keeps."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mattecli.errors import InputError
from mattecli.system.files import whole_file
from mattecli.training.config import TrainConfig
from mattecli.training.data.config import FOLDERS

CONFIG = "config.toml"


def keep_config(config: TrainConfig, *, of: str) -> None:
    """Write all that a run was told into its folder, so that `read_config` reads the same there.

    The folder of the run is the file's own, the other paths are absolute. `of` names where the settings come from.
    Raises InputError when the file cannot be written.
    """
    path = config.run.folder / CONFIG
    try:
        with whole_file(path) as file:
            file.write("".join(f"{line}\n" for line in _lines(config, of)).encode())
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error}); choose another folder by --run") from error


def _lines(config: TrainConfig, of: str) -> Iterator[str]:
    yield f"# The settings of this run, from {_value(of)} and options; `matte train` reads them from here as well."
    for name in (field.name for field in dataclasses.fields(config)):
        table = getattr(config, name)
        if name == "crops":
            for stage in table:
                yield from ("", "[[crops]]", *_keys(vars(stage)))
        elif name == "run":
            yield from ("", "[run]", *_keys(vars(table) | {"folder": "."}))
        elif name == "data":
            folders = {key: _absolute(getattr(table, key)) for key in FOLDERS}
            yield from ("", "[data]", *_keys(vars(table) | folders | {"workers": config.workers}))
        elif dataclasses.is_dataclass(table):
            yield from ("", f"[{name}]", *_keys(vars(table)))


def _keys(table: Mapping[str, Any]) -> Iterator[str]:
    return (f"{key} = {_value(value)}" for key, value in table.items() if value is not None)


def _absolute(folders: str | tuple[str, ...]) -> str | tuple[str, ...]:
    if isinstance(folders, str):
        return str(Path(folders).absolute()) if folders else ""
    return tuple(str(Path(folder).absolute()) for folder in folders)


def _value(value: Any) -> str:
    if isinstance(value, Path):
        value = str(value.absolute())
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_value(key)} = {_value(one)}' for key, one in value.items())}}}"
    if isinstance(value, tuple):
        return f"[{', '.join(map(_value, value))}]"
    # TOML's strings, numbers, true and false are JSON's, but for DEL, which it wants escaped, and surrogates
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
