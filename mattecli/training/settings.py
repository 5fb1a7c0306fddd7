"""The base of all tables of settings, checked by pydantic."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo
from pydantic_core import ErrorDetails, PydanticCustomError

from mattecli.errors import UsageError

_HUGE = 2**53  # limits above this are named only to those who exceed them


class Settings(BaseModel):
    """One table of a train.toml.

    Values are checked when a table is made, and a table never changes. Making one by its class raises pydantic's
    ValidationError; `validated` and `replace` raise UsageError with one sentence instead.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    table_name: ClassVar[str] = ""  # how the table is called in the file
    names_in_file: ClassVar[Mapping[str, str]] = {}  # of settings that the file has in another table

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some settings changed; raise UsageError for an unknown setting or a wrong value."""
        values = {name: getattr(self, name) for name in type(self).model_fields}
        return validated(type(self), values | changes)


T = TypeVar("T", bound=Settings)


def validated(table: type[T], values: Mapping[str, Any], *, file: Path | None = None) -> T:
    """Make a table of settings from its values, which may hold other tables.

    With a `file`, relative paths start at its folder, `~` is the user's home and errors name it. Raises UsageError for
    the first wrong value or unknown key.
    """
    try:
        return table.model_validate(dict(values), context=file.parent if file else None)
    except ValidationError as error:
        where = f"{file}: " if file else ""
        raise UsageError(where + _sentence(table, error.errors(include_url=False)[0])) from error


def rule(sentence: str) -> PydanticCustomError:
    """An error to raise in a validator: a whole sentence about several settings."""
    return PydanticCustomError("rule", "{sentence}", {"sentence": sentence})


def fault(text: str) -> PydanticCustomError:
    """An error to raise in a validator of one setting: what follows on "KEY is VALUE but"."""
    return PydanticCustomError("fault", "{text}", {"text": text})


def _tuple(value: Any) -> Any:
    """A list of TOML as a tuple."""
    return tuple(value) if isinstance(value, list) else value


def _tuple_or_one(value: Any) -> Any:
    """A list of TOML as a tuple; a single value stands for a list of one."""
    return value if isinstance(value, tuple) else tuple(value) if isinstance(value, list) else (value,)


def _path(value: Any, info: ValidationInfo) -> Any:
    if not isinstance(value, (str, Path)):
        return value
    if info.context is None:
        return Path(value)
    try:
        return Path(info.context) / Path(value).expanduser()
    except RuntimeError:
        raise fault("there is no such home folder; write the whole path") from None


def _folder_name(value: Any, info: ValidationInfo) -> Any:
    return value if value == "" else str(path) if isinstance(path := _path(value, info), Path) else value


Pair = BeforeValidator(_tuple)  # marks a tuple of fixed length
Several = BeforeValidator(_tuple_or_one)  # marks a tuple of any length
FilePath = Annotated[Path, BeforeValidator(_path)]
FolderName = Annotated[str, BeforeValidator(_folder_name)]  # a path as text; "": none
Share = Annotated[float, Field(ge=0, le=1)]
ShareBelowOne = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1, le=2**63 - 1)]  # TOML's own limit, which Python's reader does not hold


def _sentence(table: type[Settings], error: ErrorDetails) -> str:
    """One error of pydantic's as a sentence: key, value and what it must be."""
    place, kind = error["loc"], error["type"]
    if kind == "rule":
        return error["msg"]
    if kind == "missing":  # a tuple is too short
        place = place[:-1]
    key = _key(table, place)
    if kind == "extra_forbidden":
        known = _node(table, place[:-1]).get("properties", {})
        return f"{key} is not a key of a train.toml; known here are {', '.join(known)}"
    value = _shown(error["input"])
    if kind == "fault":
        return f"{key} is {value} but {error['msg']}"
    node = _node(table, place)
    expected = _description(node, exceeded=kind == "less_than_equal")
    if kind == "finite_number":
        expected = expected.replace("a number", "a finite number")
    remedy = "change it"
    if "properties" in node:
        remedy = f"write [[{key.partition('[')[0]}]]" if "[" in key else f"write [{key}]"
    return f"{key} is {value} but must be {expected}; {remedy}"


def _key(table: type[Settings], place: tuple[int | str, ...]) -> str:
    names = [table.names_in_file.get(str(place[0]), place[0]), *place[1:]] if place else []
    text = table.table_name
    for name in names:
        text += f"[{name}]" if isinstance(name, int) else f".{name}" if text else name
    return text


def _node(table: type[Settings], place: tuple[int | str, ...]) -> Mapping[str, Any]:
    """The part of the table's JSON schema that describes the setting at this place."""
    schema = table.model_json_schema()

    def resolved(node: Any) -> Any:
        node = next((kind for kind in node["anyOf"] if kind.get("type") != "null"), {}) if "anyOf" in node else node
        return schema["$defs"][node["$ref"].rpartition("/")[2]] if "$ref" in node else node

    node = schema
    for name in place:
        if isinstance(name, int):
            node = node["prefixItems"][name] if "prefixItems" in node else node["items"]
        else:
            node = node.get("properties", {}).get(name) or node["additionalProperties"]
        node = resolved(node)
    return node


def _description(node: Mapping[str, Any], *, exceeded: bool = False) -> str:
    """What a part of a JSON schema allows, in words."""
    if "enum" in node:
        return f"one of {', '.join(map(_shown, node['enum']))}"
    kind = node.get("type")
    if kind in ("integer", "number"):
        noun = "a whole number" if kind == "integer" else "a number"
        if "multipleOf" in node:
            noun = f"a multiple of {node['multipleOf']}"
        return noun + _limits(node, exceeded=exceeded)
    if kind == "array":
        if "prefixItems" in node:
            return f"a list of {len(node['prefixItems'])} values"
        if "minItems" in node:
            return f"a list with at least {node['minItems']} value"
        return "a list of tables" if "$ref" in node["items"] else "a list"
    if kind == "string":
        return "a path in quotes" if node.get("format") == "path" else "text in quotes"
    return {"boolean": "true or false", "object": "a table"}[str(kind)]


def _limits(node: Mapping[str, Any], *, exceeded: bool) -> str:
    least, most = node.get("minimum"), node.get("maximum")
    above, below = node.get("exclusiveMinimum"), node.get("exclusiveMaximum")
    if most is not None and most > _HUGE and not exceeded:
        most = None
    if above is not None:
        return f" above {_shown(above)}" + (f" and up to {_shown(most)}" if most is not None else "")
    if least is None:
        return ""
    if below is not None:
        return f" from {_shown(least)} to below {_shown(below)}"
    return f" from {_shown(least)} to {_shown(most)}" if most is not None else f" of {_shown(least)} or more"


def _shown(value: Any) -> str:
    """A value as TOML writes it, cut to a readable length."""
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, (Mapping, BaseModel)):
        return "a table"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}…"
