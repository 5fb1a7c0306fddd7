"""Commands for Typer: option groups as dataclasses, plain help and errors."""

from __future__ import annotations

import dataclasses
import functools
import glob
import inspect
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from typing import Annotated, Any, get_args, get_type_hints

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption
from typer.models import OptionInfo

from mattecli.errors import UsageError


def add_command(app: typer.Typer, command: Callable[..., None], *, name: str | None = None) -> None:
    """Add a command to an app. Its options are built when it runs: `matte --help` needs those of no command.

    The command is a function as `expanded` takes it. Its name is that of the function where none is given.
    """

    def later() -> None: ...

    later.__name__, later.__doc__ = command.__name__, command.__doc__
    later.command = command  # type: ignore[attr-defined]
    app.command(name, cls=_Later)(later)


def expanded(command: Callable[..., None]) -> Callable[..., None]:
    """The command with an option for each field of those parameters that are dataclasses.

    The fields are annotated as Typer's options are. A class variable `panel` names the group in `--help`. A method
    `check_together` raises UsageError for options of the group that contradict each other.
    """
    groups: dict[str, type[Any]] = {}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        if dataclasses.is_dataclass(parameter.annotation) and isinstance(parameter.annotation, type):
            groups[parameter.name] = parameter.annotation
            parameters += _options(parameter.annotation)
        else:
            parameters.append(_option(parameter.name, parameter.annotation, parameter.default))

    def run(**values: Any) -> None:
        for name, group in groups.items():
            values[name] = group(**{field.name: values.pop(field.name) for field in dataclasses.fields(group)})
            if hasattr(group, "check_together"):
                values[name].check_together()
        command(**values)

    functools.update_wrapper(run, command)
    del run.__wrapped__  # type: ignore[attr-defined]  # Typer is to read the signature below
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _options(group: type[Any]) -> Iterator[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    for field in dataclasses.fields(group):
        default = inspect.Parameter.empty if field.default is dataclasses.MISSING else field.default
        yield _option(field.name, hints[field.name], default, panel=getattr(group, "panel", None))


def _option(name: str, annotation: Any, default: Any, *, panel: str | None = None) -> inspect.Parameter:
    kind, *extras = get_args(annotation)
    (info,) = map(copy, extras)
    if info.parser is not None:
        kind = Any  # Typer refuses unions, and the parser decides anyway
    info.readable = False  # Typer must not refuse files: we do, with other exit codes and remedies
    if panel is not None and isinstance(info, OptionInfo):
        info.rich_help_panel = panel
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, info])


# What to do instead of giving an option twice; others are just to be given once.
_INSTEAD = {
    "--what": "list the outputs with commas, such as --what alpha,cutout",
}


class Command(TyperCommand):
    """A command whose help names no Python types: neither `<bool>` nor `<str>`, and no braces in the usage line.

    An option that takes one value may be given once. Typer would take the last and drop the others without a word.
    """

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters, made plain."""
        return _plain(super().get_params(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line. Raises UsageError for an option that is given twice, and for empty values."""
        if not ctx.resilient_parsing:
            values, _, given = self.make_parser(ctx).parse_args(list(args))
            _check_once(given, args)
            _check_full(values, given)
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """`[OPTIONS] IMAGE`; an argument that may be left out is in brackets."""
        return [piece.replace("{", "").replace("}", "") for piece in super().collect_usage_pieces(ctx)]


class _Later(TyperCommand):
    """Stands for a command in its group until it runs, and then has it built."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """The context of the command itself, which Typer runs then."""
        return built(self).make_context(info_name, args, parent, **extra)


def built(command: Any) -> Any:
    """The command itself, with its options, where `command` is what stands for it in its group."""
    if not isinstance(command, _Later):
        return command
    alone = typer.Typer(add_completion=False, rich_markup_mode=command.rich_markup_mode)
    alone.command(command.name, cls=Command)(expanded(command.callback.command))  # type: ignore[union-attr]
    return typer.main.get_command(alone)


def _words(args: Sequence[str] | None = None, **_: Any) -> dict[str, Any]:
    """The command line's words on Windows, where programs replace patterns, variables and `~`. Nothing elsewhere.

    A word that is a file itself stays, such as `photo[1].jpg`; Typer would replace it by `photo1.jpg`.
    """
    if args is None and sys.platform == "win32":
        from mattecli.system.files import is_there

        words: list[str] = []
        for word in sys.argv[1:]:
            if is_there(word):
                words.append(word)
            else:
                meant = os.path.expandvars(os.path.expanduser(word))  # noqa: PTH111 - it may be a pattern
                words += sorted(glob.glob(meant, recursive=True)) or [meant]  # noqa: PTH207 - it may be absolute
        return {"args": words, "windows_expand_args": False}
    return {}


class Group(TyperGroup):
    """Commands whose usage errors are raised as our UsageError, so that they are shown as all errors are."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters, made plain."""
        return _plain(super().get_params(ctx))

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run the command line and exit. Raises UsageError."""
        try:
            code = super().main(*args, **{**extra, **_words(*args, **extra), "standalone_mode": False})
        except typer.Abort:  # Ctrl-C or Ctrl-D at a question
            sys.exit(128 + signal.SIGINT)
        except typer.TyperException as error:
            if not error.format_message():  # a command without arguments, whose help has been shown
                sys.exit(error.exit_code)
            raise UsageError(sentence(error)) from error
        sys.stdout.flush()  # here, where it may still fail: a disk may be full
        sys.exit(code or 0)


def _check_once(given: list[Any], args: list[str]) -> None:
    for option, number in Counter(param for param in given if isinstance(param, TyperOption)).items():
        name = option.opts[0]
        if number == 1 or option.multiple or option.count:
            continue
        if not option.is_flag:
            times = "twice" if number == 2 else f"{number} times"
            raise UsageError(f"{name} is given {times} but takes one value; {_INSTEAD.get(name, 'give it once')}")
        if {*option.opts} & {*args} and {*option.secondary_opts} & {*args}:
            raise UsageError(f"{name} and {option.secondary_opts[0]} contradict each other; leave one of them out")


def _check_full(values: dict[str, Any], given: list[Any]) -> None:
    """Raise UsageError for an empty value, which as the name of a file or folder would be the current folder."""
    for param in given:
        value = values.get(param.name)
        if "" in (value if isinstance(value, (list, tuple)) else [value]):
            name = param.opts[0] if isinstance(param, TyperOption) else param.metavar or param.human_readable_name
            raise UsageError(f"{name} is empty; give it a value (a variable of the shell may be unset)")


def _plain(params: list[Any]) -> list[Any]:
    for param in params:
        if isinstance(param, TyperOption) and param.is_flag and param.metavar is None:
            param.metavar = ""
        elif isinstance(param, TyperArgument):
            param.display_type_rich = lambda ctx: None  # type: ignore[method-assign]  # noqa: ARG005
    return params


def sentence(error: typer.TyperException) -> str:
    """A usage error of Typer in one sentence that names the option and says where help is."""
    context, parameter = getattr(error, "ctx", None), getattr(error, "param", None)
    remedy = f"; see `{context.command_path} --help`" if context is not None else ""
    if parameter is None:
        message = error.format_message().rstrip(".")
        return message if message.endswith("?") else message + remedy
    name = parameter.opts[0] if isinstance(parameter, TyperOption) else parameter.display_name_raw
    message = error.message.removeprefix("Value error, ").rstrip(".").replace("Input should be", "must be")
    if not message:
        return f"{name} is missing{remedy}"
    if found := re.fullmatch(r"(.+) is not one of (.+)", message):
        *others, last = found[2].replace("'", "").split(", ")
        message = f"must be {' or '.join(filter(None, [', '.join(others), last]))}, not {found[1]}"
    return f"{name} {message}" if message.startswith("must") else f"{name}: {message}"
