"""`matte serve`: mattes over HTTP."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from mattecli.cli.options import ModelOptions, ReadChoices, parse_memory, whole_number
from mattecli.cli.terminal import Terminal
from mattecli.cli.ui import check_server
from mattecli.errors import InputError


@dataclass(frozen=True, kw_only=True)
class ServeChoices:
    """Where the server is, and how much it takes on."""

    host: Annotated[
        str,
        typer.Option("--host", metavar="ADDRESS", help="Address to listen at; 0.0.0.0 for all, which needs a token."),
    ] = "127.0.0.1"
    port: Annotated[
        int, typer.Option("--port", parser=whole_number(0, 65535), metavar="N", help="Port; 0 takes a free one.")
    ] = 8000
    token_file: Annotated[
        str | None,
        typer.Option(
            "--token-file",
            metavar="FILE",
            help="A file with the token that each request must bring as `Authorization: Bearer TOKEN`.",
        ),
    ] = None
    queue: Annotated[
        int,
        typer.Option(
            "--queue",
            parser=whole_number(0, 1000),
            metavar="N",
            help="How many requests wait behind the one that is carried out; others are told when to ask again.",
        ),
    ] = 4
    max_upload: Annotated[
        int,
        typer.Option(
            "--max-upload",
            parser=parse_memory,
            metavar="SIZE",
            help="Refuse requests of more bytes than this, such as 64M.",
            show_default="256M",
        ),
    ] = 256 * 2**20


def serve(
    *,
    choices: ServeChoices,
    model: ModelOptions,
    reading: ReadChoices,
    terminal: Terminal,
) -> None:
    """Make mattes for other programs over HTTP.

    POST /v1/matte takes a photo as `image`, with a `trimap`, a `mask` or a `box`,
    and answers with the picture. /docs describes it. A request is refused with
    the sentence that the command line would print. SIGTERM ends the server when
    the requests that it took on are answered. Needs `pip install "mattecli\\[ui]"`.

    \b
    Examples:
      matte serve
      matte serve --host 0.0.0.0 --port 8000 --token-file token.txt
      curl -F image=@a.jpg -F trimap=@t.png localhost:8000/v1/matte > alpha.png
    """
    check_server("matte serve")
    token = None if choices.token_file is None else _token(choices.token_file)

    from mattecli.server.run import ApiOptions, serve_api
    from mattecli.system.threads import use_threads

    use_threads(model.threads)
    options = ApiOptions(
        host=choices.host,
        port=choices.port,
        token=token,
        queue=choices.queue,
        most_bytes=choices.max_upload,
        reading=reading.read_options(model),
        run=model.run_options(),
    )
    serve_api(options=options, on_ready=lambda address: terminal.data(address + "\n"), log=terminal.say)


def _token(file: str) -> str:
    """The token in a file: its one line. Raises InputError."""
    try:
        content = Path(file).read_bytes()
        marked = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # by `>` of an older PowerShell
        token = content.decode("utf-16" if marked else "utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise InputError(f"{file} cannot be read ({reason}); write the token into it, in one line") from error
    if len(token) < 16 or not token.isascii() or any(letter.isspace() for letter in token):
        raise InputError(f"{file} must hold one line with a token of 16 letters or more, without spaces")
    return token
