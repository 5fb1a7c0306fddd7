"""The HTTP API of `matte serve`: version 1."""

from __future__ import annotations

import io
import re
import tempfile
import time
import zipfile
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from html import escape
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from anyio import from_thread
from anyio.to_thread import current_default_thread_limiter
from fastapi import Depends, FastAPI, File, Form, Response, UploadFile
from fastapi import Request as Connection
from fastapi.responses import HTMLResponse

from mattecli._version import __version__
from mattecli.errors import InputError, UsageError
from mattecli.server.errors import add_errors
from mattecli.server.refusals import BusyError
from mattecli.server.requests import Request, Requests
from mattecli.server.security import App, Key, Limited, Message, Receive, Scope, Send, refuse

Log = Callable[[str], None]
MEDIA = {
    ".png": "image/png",
    ".tif": "image/tiff",
    ".jpg": "image/jpeg",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".jxl": "image/jxl",
    ".bmp": "image/bmp",
    ".exr": "image/x-exr",
    ".psd": "image/vnd.adobe.photoshop",
}
_MATTE = "/v1/matte"
_BYTES = "application/octet-stream"
_FIELDS = ("image", "trimap", "mask", "box", "what", "format", "background")
_PATIENCE = 30.0  # seconds without a byte after which a body is given up: its request keeps others from the queue
_LONGEST_NAME = 100  # bytes that are kept of the name of an upload


def api_app(
    requests: Requests, *, token: str | None, most_bytes: int, log: Log = lambda _: None, weights: str = ""
) -> App:
    """The whole application of `matte serve`. Without a token only this machine may ask; `log` gets a line a request.

    `most_bytes` is the most that a request may have, `weights` the name of the network's weights.
    """
    app = FastAPI(
        title="matte",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        lifespan=_threads(requests.most),
    )
    add_errors(app)
    _add_facts(app, weights)
    _add_matte(app, requests)
    limited = Limited(Places(app, requests), limit=lambda _: most_bytes, patience=_PATIENCE)
    return Logged(Key(limited, token=token, open_paths=("/v1/health",)), log)


def _threads(most: int) -> Callable[[FastAPI], Any]:
    """Has a thread for each request that is carried out or waits, and the usual number for what else is asked."""

    @asynccontextmanager
    async def run(_: FastAPI) -> AsyncIterator[None]:
        current_default_thread_limiter().total_tokens += most
        yield

    return run


def _add_facts(app: FastAPI, weights: str) -> None:
    @app.get("/v1/health", summary="Whether the server answers")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/v1/version", summary="The versions of matte and of the weights")
    async def version() -> dict[str, str]:
        return {"version": __version__, "weights": weights}

    @app.get("/docs", include_in_schema=False)
    def docs() -> HTMLResponse:
        return HTMLResponse(_page(app.openapi()))


async def _check_fields(connection: Connection) -> None:
    """Raise `UsageError` for a field of the form that there is not or that comes twice, rather than leave one out."""
    names = [name for name, _ in (await connection.form()).multi_items()]
    unknown = [name for name in names if name not in _FIELDS]
    if unknown:
        fields = f"{', '.join(_FIELDS[:-1])} and {_FIELDS[-1]}"
        raise UsageError(f"there is no field {unknown[0][:_LONGEST_NAME]!r}; the fields are {fields}")
    for name in _FIELDS:
        if names.count(name) > 1:
            raise UsageError(f"the field {name!r} comes {names.count(name)} times; send it once")


def _add_matte(app: FastAPI, requests: Requests) -> None:
    @app.post(
        _MATTE,
        summary="The matte of a photo, or what is made with it",
        response_class=Response,
        dependencies=[Depends(_check_fields)],
        responses={
            200: {"content": {_BYTES: {}}, "description": "The picture; a zip archive of several"},
            400: {"description": "What is wrong with the request, in a sentence"},
            401: {"description": "The token is missing or wrong"},
            408: {"description": "The rest of the request did not come"},
            413: {"description": "The request is too large"},
            429: {"description": "The queue is full; the header Retry-After says when to ask again"},
        },
    )
    def matte(
        connection: Connection,
        image: Annotated[UploadFile, File(description="The photo")],
        trimap: Annotated[UploadFile | None, File(description="White, black, and grey where unknown")] = None,
        mask: Annotated[UploadFile | None, File(description="A mask, a rough matte or a cut-out")] = None,
        box: Annotated[str | None, Form(max_length=100, description="X,Y,W,H in pixels or per cent")] = None,
        what: Annotated[
            str, Form(max_length=200, description="alpha, cutout, foreground, composite or layers, with commas")
        ] = "alpha",
        format: Annotated[str, Form(max_length=20, description="Such as png, png16, tif, webp")] = "png",  # noqa: A002
        background: Annotated[
            str | None, Form(max_length=64, description="Of a composite: a colour, or transparent")
        ] = None,
    ) -> Response:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            uploads = {"image": image, "trimap": trimap, "mask": mask}
            files = {kind: _stored(file, folder / kind) for kind, file in uploads.items() if file is not None}
            request = Request(
                **files,
                box=box,
                what=what,
                form=format,
                background=background,
                gone=lambda: from_thread.run(connection.is_disconnected),
            )
            made = folder / "made"
            made.mkdir()
            return _answer(requests.outputs(request, made))


def _stored(upload: UploadFile, folder: Path) -> Path:
    """An uploaded file in a folder of its own, under the last part of its name as far as that is a plain one."""
    name = re.sub(r"[^\w.-]+", "_", re.split(r"[/\\]", upload.filename or "")[-1])
    name = name.encode()[-_LONGEST_NAME:].decode(errors="ignore").lstrip(".")
    folder.mkdir()
    path = folder / (name or folder.name)
    with path.open("wb") as file:
        while part := upload.file.read(2**20):
            file.write(part)
    if not path.stat().st_size:
        raise InputError(f"{path.name} is empty (0 bytes); send the {folder.name}'s content")
    return path


def _answer(paths: list[Path]) -> Response:
    """One picture as it is, several in a zip archive."""
    if len(paths) == 1:
        (path,) = paths
        headers = {"Content-Disposition": f'inline; filename="{path.name.encode("ascii", "replace").decode()}"'}
        return Response(path.read_bytes(), media_type=MEDIA.get(path.suffix, _BYTES), headers=headers)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:  # pictures are compressed already
        for path in paths:
            file.write(path, path.name)
    return Response(archive.getvalue(), media_type="application/zip")


def _page(schema: dict[str, Any]) -> str:
    """A plain page of the API that loads nothing from elsewhere."""
    parts = ["<!doctype html><html lang=en><meta charset=utf-8><title>matte</title><h1>matte: HTTP API</h1>"]
    for path, methods in schema["paths"].items():
        for method, what in methods.items():
            parts.append(f"<h2>{escape(method.upper())} {escape(path)}</h2><p>{escape(what.get('summary', ''))}.</p>")
            parts.append(_fields(schema, what))
            answers = (f"<li>{code}: {escape(found['description'])}" for code, found in what["responses"].items())
            parts.append(f"<p>Answers:<ul>{''.join(answers)}</ul>")
    parts.append('<p>For programs: <a href="/openapi.json">OpenAPI</a>.</html>')
    return "".join(parts)


def _fields(schema: dict[str, Any], what: dict[str, Any]) -> str:
    """The fields of a request's form."""
    content = what.get("requestBody", {}).get("content", {}).get("multipart/form-data")
    if content is None:
        return ""
    body = schema["components"]["schemas"][content["schema"]["$ref"].rpartition("/")[2]]
    needed = body.get("required", [])
    lines = [
        f"<li><b>{escape(name)}</b>{' (required)' if name in needed else ''}: {escape(field.get('description', ''))}"
        for name, field in body["properties"].items()
    ]
    return f"<p>Fields of the form (multipart/form-data):<ul>{''.join(lines)}</ul>"


class Places:
    """Gives each request for a matte its place in the queue before its body is read, and answers 429 without one.

    So no more bodies are stored than the queue is long. The place is free once the answer begins.
    """

    def __init__(self, app: App, requests: Requests) -> None:
        self._app, self._requests = app, requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http" or (scope["method"], scope["path"]) != ("POST", _MATTE):
            await self._app(scope, receive, send)
            return
        with ExitStack() as stack:
            try:
                stack.enter_context(self._requests.place())
            except BusyError as error:
                await refuse(send, 429, str(error), [(b"retry-after", str(error.after).encode())])
                return

            async def answered(message: Message) -> None:
                stack.close()  # a client that reads slowly keeps no place
                await send(message)

            await self._app(scope, receive, answered)


class Logged:
    """Logs a line for each request: who, what, the status, the bytes of the answer, and the seconds."""

    def __init__(self, app: App, log: Log) -> None:
        self._app, self._log = app, log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status, count = time.perf_counter(), 0, 0

        async def counted(message: Message) -> None:
            nonlocal status, count
            status = message.get("status", status)
            count += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, counted)
        finally:
            client = (scope.get("client") or ("unknown",))[0]
            seconds = time.perf_counter() - began
            path = quote(scope["path"])  # it may hold line breaks and control codes of terminals
            self._log(f"{client} {scope['method']} {path} {status} {count} bytes {seconds:.2f} s")
