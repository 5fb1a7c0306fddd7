"""Errors of the server as JSON of one sentence."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from mattecli.errors import DeviceError, MatteError, WeightsError
from mattecli.server.refusals import DiskError, GoneError, MissingError, OrderError, ReadOnlyError, StaleError
from mattecli.system.files import as_text, remedy_of

_STATUSES: dict[type[MatteError], int] = {
    MissingError: 404,
    ReadOnlyError: 403,
    OrderError: 409,
    StaleError: 409,
    GoneError: 499,  # for the log: nobody reads it
    DeviceError: 500,
    DiskError: 500,
    WeightsError: 500,
}


def add_errors(app: FastAPI) -> None:
    """Have an application answer with sentences: `{"error": …}`."""

    @app.exception_handler(MatteError)
    async def sentence(_: Request, error: MatteError) -> Response:
        facts: dict[str, Any] = {"error": as_text(str(error)).replace("`", "")}
        if isinstance(error, OrderError):
            facts["expected"] = error.expected
        status = next((status for kind, status in _STATUSES.items() if isinstance(error, kind)), 400)
        return JSONResponse(facts, status)

    @app.exception_handler(RequestValidationError)
    async def malformed(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"] if part != "body")
        return JSONResponse({"error": f"{place or 'the request'}: {first['msg']}"}, 400)

    @app.exception_handler(MemoryError)
    @app.exception_handler(OSError)
    async def failed(_: Request, error: MemoryError | OSError) -> Response:
        if isinstance(error, MemoryError):
            return JSONResponse({"error": "this needs more memory than there is; take a smaller photo"}, 500)
        sentence = f"a file of the server cannot be read or written ({error.strerror or error}); {remedy_of(error)}"
        return JSONResponse({"error": sentence}, 500)

    @app.exception_handler(HTTPException)
    async def other(request: Request, error: HTTPException) -> Response:
        if isinstance(error.__cause__, MemoryError | OSError):  # met while the request was read
            return await failed(request, error.__cause__)
        said = {404: "there is nothing at this address", 405: "this address does not take that method"}
        sentence = said.get(error.status_code, str(error.detail))
        return JSONResponse({"error": sentence}, error.status_code, headers=error.headers)
