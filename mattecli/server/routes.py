"""The routes of the page: FastAPI on top of the sessions."""

from __future__ import annotations

import mimetypes
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import numpy as np
from fastapi import Depends, FastAPI, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from mattecli._version import __version__
from mattecli.imaging.options import ReadOptions
from mattecli.server.bodies import Chosen, Matting, Opening, Operated, Pointer, Proposing, Saved, Tiles
from mattecli.server.errors import add_errors
from mattecli.server.events import Events
from mattecli.server.findings import findings
from mattecli.server.finish import PRODUCTS, Finish, Product
from mattecli.server.operate import operate
from mattecli.server.packs import PackedTile, pack
from mattecli.server.refusals import MissingError, StaleError
from mattecli.server.runs import Runs
from mattecli.server.saving import Saving
from mattecli.server.security import SMALL_BODY, App, Guard, Scope, Tokens
from mattecli.server.sessions import Sessions
from mattecli.server.start import trimap_from
from mattecli.server.tiles import Index
from mattecli.system.files import as_text

STATIC = Path(__file__).parent / "static"
_META = '<meta name="matte-token" content="">'
_UPLOAD = 512 * 2**20  # bytes of a mask or matte that is dropped on the page
_BYTES = "application/octet-stream"
# Not from `mimetypes`: what the registry of Windows says may be wrong.
_KINDS = {".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_FOREVER = "private, max-age=31536000, immutable"
_SHORTLY = "private, max-age=300"

_OF_MATTES = ("alpha", "finished", "colours")

Tab = Annotated[str | None, Header(alias="X-Matte-Tab", max_length=64)]


def page_app(
    sessions: Sessions,
    events: Events,
    runs: Runs,
    saving: Saving,
    *,
    port: int,
    tokens: Tokens,
    static: Path = STATIC,
    **facts: Any,
) -> App:
    """The whole application of `matte ui`, with its guard. `facts` are told the page as they are."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=_lifespan(sessions, runs, saving))
    add_errors(app)
    _add_files(app, static, tokens)
    _add_health(app, sessions)
    _add_photos(app, sessions, events, runs, saving, facts)
    _add_painting(app, sessions)
    _add_runs(app, sessions, runs)
    _add_saving(app, sessions, saving)

    @app.get("/app/events")
    async def streamed(tab: Annotated[str, Query(max_length=64)]) -> Response:
        sessions.hear(tab)
        return events.stream(tab)

    return Guard(app, port=port, tokens=tokens, limit=_limit)


def _lifespan(sessions: Sessions, runs: Runs, saving: Saving) -> Callable[[FastAPI], Any]:
    @asynccontextmanager
    async def run(_: FastAPI) -> AsyncIterator[None]:
        yield
        runs.close()
        saving.close()  # a file that is being written needs its photo
        sessions.close_all()

    return run


def _limit(scope: Scope) -> int:
    return _UPLOAD if scope["method"] == "PUT" else SMALL_BODY


def _add_files(app: FastAPI, static: Path, tokens: Tokens) -> None:
    """The page itself: only files that were there at the start, by their names."""
    files = {path.relative_to(static).as_posix(): path for path in static.rglob("*") if path.is_file()}

    @app.get("/")
    def index() -> Response:
        page = _file(files, "index.html").read_text(encoding="utf-8")
        filled = page.replace(_META, _META.replace('content=""', f'content="{tokens.write}"'))
        return Response(filled, media_type="text/html; charset=utf-8")

    @app.get("/static/{name:path}")
    def static_file(name: str) -> Response:
        path = _file(files, name)
        kind = _KINDS.get(path.suffix)
        return Response(
            path.read_bytes(),
            media_type=kind or mimetypes.guess_type(path.name)[0] or _BYTES,
            headers={"Cache-Control": "no-cache"},
        )


def _add_health(app: FastAPI, sessions: Sessions) -> None:
    @app.get("/app/health")
    def health(tab: Tab = None) -> dict[str, str]:
        sessions.hear(tab)  # a hidden tab has no stream of events, and keeps its photo by this
        return {"status": "ok", "version": __version__}


def _file(files: dict[str, Path], name: str) -> Path:
    if name not in files:
        raise MissingError("there is nothing at this address")
    return files[name]


def _add_photos(
    app: FastAPI, sessions: Sessions, events: Events, runs: Runs, saving: Saving, facts: dict[str, Any]
) -> None:
    def heard(tab: Tab = None) -> None:
        sessions.hear(tab)

    @app.get("/app/session", dependencies=[Depends(heard)])
    def session() -> dict[str, Any]:
        can = {"auto": find_spec("rembg") is not None, "writeTrimapOnly": True}
        known = {"version": __version__, "photos": sessions.listing(), "saves": saving.all_going()}
        return {**known, "products": PRODUCTS, "can": can, **facts}

    @app.get("/app/photos/{word}/thumbnail")
    def thumbnail(word: str) -> Response:
        headers = {"Cache-Control": _SHORTLY}
        return Response(sessions.thumbnail(word), media_type="image/jpeg", headers=headers)

    @app.post("/app/photos/{word}/open")
    def opened(word: str, body: Opening) -> dict[str, Any]:
        runs.warm()
        found = sessions.open(word, body.tab, take=body.take)
        if body.take and not found["readonly"]:
            events.send("taken", word, tab=body.tab)
        run, save = runs.going(word), saving.going(word)
        going = {**run, **save, "ended": run["ended"] + save["ended"]}
        return {**found, "estimate": {"exact": runs.estimate(found["height"], found["width"])}, "going": going}

    @app.post("/app/photos/{word}/close")
    def closed(word: str, body: Opening) -> dict[str, Any]:
        sessions.close(word, body.tab)
        return {}


def _add_painting(app: FastAPI, sessions: Sessions) -> None:
    @app.get("/app/photos/{word}/tiles/{layer}/{level}/{row}/{column}")
    def tile(
        word: str,
        layer: str,
        level: int,
        row: int,
        column: int,
        revision: int = 0,
        exposure: Annotated[float, Query(ge=-10, le=10)] = 0.0,
    ) -> Response:
        with sessions.using(word) as photo:
            index = Index(row, column)
            pixels, found = photo.tile(layer, level, index, revision=revision, exposure=exposure)
            made = PackedTile(layer, level, index, found, pixels)
            headers = {"X-Tile": " ".join(map(str, made.shape)), "X-Revision": str(found)}
            headers["Cache-Control"] = _FOREVER if found == revision else "no-store"
            return Response(made.data, media_type=_BYTES, headers=headers)

    @app.post("/app/photos/{word}/tiles")
    def tiles(word: str, body: Tiles) -> Response:
        with sessions.using(word) as photo:
            made, options = [], body.finish.output_options()
            for layer, level, row, column in body.tiles:
                index = Index(row, column)
                run = body.revision
                if layer in _OF_MATTES and not run and (last := photo.mattes.last) is not None:
                    run = last.run
                pixels, revision = photo.tile(
                    layer, level, index, revision=run, exposure=body.exposure, options=options
                )
                made.append(PackedTile(layer, level, index, revision, pixels))
            return Response(pack(made), media_type=_BYTES)

    @app.post("/app/photos/{word}/operations")
    def operations(word: str, body: Operated, tab: Tab = None) -> Response:
        with sessions.using(word, tab=tab, write=True) as photo:
            packed = operate(photo, body, tab=tab)
            photo.note_painted()
            return Response(packed, media_type=_BYTES)


def _add_runs(app: FastAPI, sessions: Sessions, runs: Runs) -> None:
    @app.post("/app/pointer")
    def pointer(body: Pointer) -> dict[str, str]:
        runs.hold(body.down)
        return {}

    @app.post("/app/photos/{word}/proposals", status_code=202)
    def proposals(word: str, body: Proposing, tab: Tab = None) -> dict[str, str]:
        with sessions.using(word, tab=tab, write=True):
            strokes = None if body.strokes is None else [(stroke.points, stroke.label) for stroke in body.strokes]
            source = body.source or ("box" if body.box is not None else "strokes")
            return {"proposal": runs.propose(word, source, box=body.box, strokes=strokes, colour=body.colour)}

    @app.put("/app/photos/{word}/base", status_code=202)
    async def base(word: str, request: Request, tab: Tab = None) -> dict[str, str]:
        content = await request.body()

        def proposed() -> dict[str, str]:
            with sessions.using(word, tab=tab, write=True) as photo:
                most = 4 * photo.height * photo.width  # another size is named; a bomb is not decoded
                trimap = trimap_from(content, photo, options=ReadOptions(max_pixels=most))
                return {"proposal": runs.propose(word, "trimap", trimap=trimap)}

        return await run_in_threadpool(proposed)

    @app.post("/app/photos/{word}/mattes", status_code=202)
    def mattes(word: str, body: Matting, tab: Tab = None) -> dict[str, int]:
        with sessions.using(word, tab=tab, write=True):
            return {"run": runs.matte(word, body.kind, box=body.box)}

    @app.delete("/app/photos/{word}/mattes/{run}")
    def cancelled(word: str, run: int, tab: Tab = None) -> dict[str, bool]:
        with sessions.using(word, tab=tab, write=True, left=True):  # a tab ends its run also after it left the photo
            return {"cancelled": runs.cancel(word, run)}


def _add_saving(app: FastAPI, sessions: Sessions, saving: Saving) -> None:
    @app.get("/app/photos/{word}/findings")
    def found(word: str) -> dict[str, Any]:
        with sessions.using(word) as photo:
            exact = photo.mattes.exact
            if exact is None:
                raise StaleError("there is no exact matte yet; make it first")
            trimap = photo.snapshot().trimap if exact.trimap is None else exact.trimap
            places = findings(np.asarray(exact.alpha), trimap)
            return {"sequence": exact.sequence, "findings": [place.to_json() for place in places]}

    @app.post("/app/photos/{word}/save", status_code=202)
    def save(word: str, body: Saved, tab: Tab = None) -> dict[str, Any]:
        with sessions.using(word, tab=tab, write=True):
            name, run = saving.save(word, body.products, body, overwrite=body.overwrite)
            return {"save": name, "run": run}

    @app.get("/app/photos/{word}/download/{product}")
    def download(word: str, product: Product, finish: Annotated[Finish, Query()]) -> Response:
        name, content = saving.download(word, product, finish)
        disposition = f"attachment; filename*=UTF-8''{quote(name, safe='')}"
        return Response(content, media_type="image/png", headers={"Content-Disposition": disposition})

    @app.get("/app/photos/{word}/command")
    def command(word: str, chosen: Annotated[Chosen, Query()]) -> dict[str, str]:
        return {"command": as_text(saving.command(word, chosen.kinds(), chosen))}
