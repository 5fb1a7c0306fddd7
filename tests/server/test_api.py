from __future__ import annotations

import asyncio
import errno
import io
import os
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageFile
import pytest
from numpy.typing import NDArray

from mattecli.imaging.colour import linear
from mattecli.imaging.image import Image
from mattecli.imaging.options import ReadOptions
from mattecli.inference.model import Model
from mattecli.inference.options import RunOptions
from mattecli.server import api as module
from mattecli.server import requests
from mattecli.server.api import api_app
from mattecli.server.requests import Request, Requests
from mattecli.server.security import Limited, Receive, Send
from tests.conftest import RunMatte
from tests.server.web import Answer, ask, asking, running
from tests.support.pictures import disc, noise

SIZE = (128, 160)
HOST = {"host": "127.0.0.1:8000"}
TOKEN = "a token of many letters"


def png(pixels: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def picture() -> tuple[bytes, bytes, bytes]:
    """A photo, its trimap and a mask, as PNG."""
    alpha = disc(*SIZE, radius=40, softness=16)
    share = alpha[..., None] / 255
    photo = np.round(share * (250, 200, 40) + (1 - share) * noise(1, *SIZE) * 0.5).astype(np.uint8)
    trimap = np.where((alpha > 0) & (alpha < 255), np.uint8(128), alpha)
    return png(photo), png(trimap), png(np.where(alpha > 127, 255, 0).astype(np.uint8))


PHOTO, TRIMAP, MASK = picture()


def form(files: dict[str, tuple[str, bytes]], **fields: str) -> tuple[dict[str, str], list[bytes]]:
    """The headers and the body of a multipart form."""
    parts = [f'--x\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n'.encode() for k, v in fields.items()]
    for key, (name, content) in files.items():
        head = f'--x\r\nContent-Disposition: form-data; name="{key}"; filename="{name}"\r\n'
        parts.append(head.encode() + b"Content-Type: image/png\r\n\r\n" + content + b"\r\n")
    return {"content-type": "multipart/form-data; boundary=x"}, [b"".join(parts) + b"--x--\r\n", b""]


class Api:
    """A server's application, and the lines that it logged."""

    def __init__(self, model: Model, **options: Any) -> None:
        self.lines: list[str] = []
        reading = options.pop("reading", None)
        self.requests = Requests(model, queue=options.pop("queue", 4), reading=reading)
        known = {"token": None, "most_bytes": 10**6, "log": self.lines.append, "weights": "w"}
        self.app = api_app(self.requests, **{**known, **options})

    def matte(self, files: dict[str, tuple[str, bytes]], headers: dict[str, str] = HOST, **fields: str) -> Answer:
        own, chunks = form(files, **fields)
        return ask(self.app, "POST", "/v1/matte", headers={**headers, **own}, chunks=chunks)

    def get(self, target: str, headers: dict[str, str] = HOST) -> Answer:
        return ask(self.app, "GET", target, headers=headers)


@pytest.fixture
def api(shipped_model: Model) -> Api:
    return Api(shipped_model)


BOTH = {"image": ("cat.png", PHOTO), "trimap": ("cat_trimap.png", TRIMAP)}


def on_disk(folder: Path) -> tuple[Path, Path, Path]:
    paths = folder / "cat.png", folder / "cat_trimap.png", folder / "mask.png"
    for path, content in zip(paths, (PHOTO, TRIMAP, MASK), strict=True):
        path.write_bytes(content)
    return paths


@pytest.mark.parametrize("way", ["trimap", "mask", "box"])
def test_the_alpha_is_that_of_the_command_line(
    api: Api, way: str, tmp_path: Path, run_matte: RunMatte, networks_once: None
) -> None:
    photo, trimap, mask = on_disk(tmp_path)
    box = "25%,15%,50%,70%"
    options = {"trimap": ["--trimap", trimap], "mask": ["--mask", mask], "box": ["--box", box]}[way]
    code, _, err = run_matte("predict", photo, *options, "--device", "cpu", "-o", tmp_path / "alpha.png")
    assert code == 0, err
    files = {"trimap": {"trimap": ("t.png", TRIMAP)}, "mask": {"mask": ("m.png", MASK)}, "box": {}}[way]
    answer = api.matte({"image": ("cat.png", PHOTO), **files}, **({"box": box} if way == "box" else {}))
    assert (answer.status, answer.headers["content-type"]) == (200, "image/png"), answer.body
    assert answer.body == (tmp_path / "alpha.png").read_bytes()


def test_a_dark_plate_is_brightened_for_the_network_that_finds_a_box(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []
    plate = Image(np.full((20, 30, 3), 0.02, np.float32), linear().icc)
    monkeypatch.setattr(requests, "prepare_photo", lambda view: seen.append(float(view.mean())))
    monkeypatch.setattr(requests, "segment", lambda *_, **__: np.zeros((20, 30), np.uint8))
    monkeypatch.setattr(requests, "run_job", lambda *_, make_trimap, **__: make_trimap(plate, None))
    for stops in (0.0, 3.0):
        served = Requests(Model(RunOptions(network_exposure=stops)))
        served.outputs(Request(image=tmp_path / "cat.exr", box="1,1,5,5"), tmp_path)
    assert seen[1] > 2 * seen[0]


def test_several_products_come_as_a_zip_in_the_formats_that_are_named(api: Api) -> None:
    answer = api.matte(BOTH, what="alpha:png16,cutout,composite:jpg", format="webp", background="#00b140")
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        assert sorted(archive.namelist()) == ["cat_alpha.png", "cat_composite.jpg", "cat_cutout.webp"]
        pictures = {name: PIL.Image.open(io.BytesIO(archive.read(name))) for name in archive.namelist()}
    assert pictures["cat_alpha.png"].mode == "I;16"
    assert pictures["cat_cutout.webp"].mode == "RGBA"
    assert np.abs(np.array(pictures["cat_composite.jpg"].getpixel((2, 2))) - (0, 177, 64)).max() < 8


@pytest.mark.parametrize(
    ("files", "fields", "sentence"),
    [
        ({"image": ("cat.png", PHOTO)}, {}, "send a trimap, a mask or a box"),
        ({**BOTH, "mask": ("m.png", MASK)}, {}, "send one of them"),
        (BOTH, {"what": "shadow"}, "what must list"),
        (BOTH, {"what": "composite"}, "and its background"),
        (BOTH, {"what": "composite", "background": "/etc/passwd"}, "is not a colour"),
        (BOTH, {"what": "cutout:jpg"}, "no transparency"),
        (BOTH, {"format": "gif"}, "format must be one of"),
        ({"trimap": ("t.png", TRIMAP)}, {}, "image"),
        ({"image": ("cat.png", PHOTO)}, {"box": "1,2"}, "box must be X,Y,W,H"),
        ({"image": ("cat.png", b"nothing"), "trimap": ("t.png", TRIMAP)}, {}, "cat.png"),
        ({"image": ("cat.png", b""), "trimap": ("t.png", TRIMAP)}, {}, "cat.png is empty"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(
    api: Api, files: dict[str, tuple[str, bytes]], fields: dict[str, str], sentence: str
) -> None:
    answer = api.matte(files, **fields)
    assert answer.status == 400
    assert sentence in answer.error


def test_sizes_that_differ_have_the_sentence_of_the_command_line(api: Api, tmp_path: Path, run_matte: RunMatte) -> None:
    photo, _, _ = on_disk(tmp_path)
    small = png(np.full((50, 60), 128, np.uint8))
    (tmp_path / "small.png").write_bytes(small)
    _, _, err = run_matte("predict", photo, "--trimap", tmp_path / "small.png")
    answer = api.matte({"image": ("cat.png", PHOTO), "trimap": ("small.png", small)})
    assert answer.error == err.strip().removeprefix("error: ").replace(f"{tmp_path}/", "")


@pytest.mark.parametrize(
    "name", ["../../../etc/passwd", "a/b\\c.png", "", ".hidden", "x" * 300, "né .png", "写" * 100, "写真.png"]
)
def test_names_of_uploads_lead_nowhere(api: Api, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "uploads").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "uploads"))
    seen: list[Path] = []
    outputs = api.requests.outputs

    def watched(request: Request, folder: Path) -> list[Path]:
        assert request.trimap is not None
        seen.extend([request.image.resolve(), request.trimap.resolve()])
        return outputs(request, folder)

    monkeypatch.setattr(api.requests, "outputs", watched)
    answer = api.matte({"image": (name, PHOTO), "trimap": (name, TRIMAP)})
    assert answer.status == 200, answer.body
    assert [(path.parents[2], path.parent.name) for path in seen] == [
        (tmp_path / "uploads", "image"),
        (tmp_path / "uploads", "trimap"),
    ]


def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(
    shipped_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[str] = []
    load = PIL.ImageFile.ImageFile.load

    def watched(picture: PIL.ImageFile.ImageFile) -> Any:
        decoded.append(str(picture.format))
        return load(picture)

    monkeypatch.setattr(PIL.ImageFile.ImageFile, "load", watched)
    answer = Api(shipped_model, reading=ReadOptions(max_pixels=1000)).matte(BOTH)
    assert answer.status == 400
    assert "more than 1000 pixels" in answer.error
    assert decoded == []
    assert Api(shipped_model).matte(BOTH).status == 200
    assert "PNG" in decoded


def test_a_request_that_is_too_large_is_refused_while_it_arrives(shipped_model: Model) -> None:
    api = Api(shipped_model, most_bytes=2000)
    answer = api.matte({"image": ("cat.png", PHOTO * 3)})
    assert answer.status == 413
    assert api.lines[0].startswith("127.0.0.1 POST /v1/matte 413 ")


@pytest.mark.parametrize("given", [None, "", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Token {TOKEN}"])
def test_nothing_but_health_is_answered_without_the_token(shipped_model: Model, given: str | None) -> None:
    api = Api(shipped_model, token=TOKEN)
    headers = {"host": "matte.example", **({} if given is None else {"authorization": given})}
    assert api.matte(BOTH, headers=headers).status == 401
    for target in ("/v1/version", "/docs", "/openapi.json"):
        answer = api.get(target, headers)
        assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert api.get("/v1/health", headers).json == {"status": "ok"}
    assert api.get("/v1/version", {"authorization": f"bearer {TOKEN}"}).status == 200
    assert not any(TOKEN in line for line in api.lines)


@pytest.mark.parametrize("headers", [{"host": "evil.example"}, {**HOST, "origin": "http://evil.example"}])
def test_without_a_token_no_page_and_no_name_of_the_web_leads_here(api: Api, headers: dict[str, str]) -> None:
    assert api.matte(BOTH, headers=headers).status == 403


@pytest.mark.parametrize("host", ["127.0.0.2:8000", "[::1]:8000", "LocalHost:8000"])
def test_without_a_token_each_address_of_this_machine_alone_may_be_asked(api: Api, host: str) -> None:
    assert api.get("/v1/version", headers={"host": host}).status == 200


def test_a_full_queue_says_when_to_ask_again(shipped_model: Model) -> None:
    api = Api(shipped_model, queue=1)
    with api.requests.place(), api.requests.place():
        answer = api.matte(BOTH)
        assert answer.status == 429
        assert int(answer.headers["retry-after"]) >= 1
    assert api.matte(BOTH).status == 200


def test_requests_wait_for_each_other_and_all_are_answered(
    shipped_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = Api(shipped_model, queue=3)
    running: list[int] = []
    most: list[int] = []
    run = requests.run_job

    def counted(*given: Any, **options: Any) -> Any:
        running.append(1)
        most.append(len(running))
        time.sleep(0.05)  # time for others that do not wait
        try:
            return run(*given, **options)
        finally:
            running.pop()

    monkeypatch.setattr(requests, "run_job", counted)
    answers: list[Answer] = []
    threads = [threading.Thread(target=lambda: answers.append(api.matte(BOTH))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status for answer in answers] == [200] * 4
    assert len({answer.body for answer in answers}) == 1
    assert most == [1] * 4


def test_each_request_is_one_line_without_its_content(api: Api) -> None:
    api.get("/v1/version?token=secret")
    api.matte(BOTH)
    assert [line.rsplit(" ", 2)[0].split(" ")[:4] for line in api.lines] == [
        ["127.0.0.1", "GET", "/v1/version", "200"],
        ["127.0.0.1", "POST", "/v1/matte", "200"],
    ]
    assert "secret" not in "".join(api.lines)


@pytest.mark.parametrize("path", ["/%0A10.0.0.9%20POST%20/v1/matte%20200", "/%1B[2J", "/%C2%9B2J", "/%E2%80%AE"])
def test_an_address_forges_no_line_and_reaches_no_terminal(api: Api, path: str) -> None:
    assert api.get(path).status == 404
    (line,) = api.lines
    assert line.isprintable()
    assert line.split(" ")[3] == "404"


def test_the_page_of_the_api_names_its_fields_and_loads_nothing(api: Api) -> None:
    page = api.get("/docs").body.decode()
    for field in ("image", "(required)", "trimap", "mask", "box", "what", "format", "background", "429", "/v1/health"):
        assert field in page
    assert "http://" not in page
    assert "https://" not in page
    assert "<script" not in page
    assert "/v1/matte" in api.get("/openapi.json").json["paths"]
    assert api.get("/v1/version").json["weights"] == "w"


def test_other_addresses_are_not_found(api: Api) -> None:
    assert api.get("/").status == 404
    answer = api.get("/v1/matte")
    assert (answer.status, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (MemoryError(), "more memory than there is"),
        (OSError(errno.ENOSPC, "No space left on device", "/tmp/secret"), "(No space left on device); free some space"),
    ],
    ids=["memory", "disk"],
)
@pytest.mark.parametrize("where", ["storing", "matting", "receiving"])
def test_a_lack_of_memory_or_space_is_a_sentence(
    api: Api, error: Exception, sentence: str, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> Any:
        raise error

    of, name = {
        "storing": (module, "_stored"),
        "matting": (api.requests, "outputs"),
        "receiving": (tempfile.SpooledTemporaryFile, "write"),
    }[where]
    monkeypatch.setattr(of, name, fails)
    answer = api.matte(BOTH)
    assert (answer.status, answer.headers["content-type"]) == (500, "application/json")
    assert sentence in answer.error
    assert "secret" not in answer.error


def test_a_disk_that_is_full_when_outputs_are_written_is_no_fault_of_the_request(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    answer = api.matte(BOTH)
    assert (answer.status, answer.headers["content-type"]) == (500, "application/json")
    assert answer.error.startswith("made/cat_alpha.png cannot be written (No space left on device)")


def test_the_temporary_files_of_a_request_are_gone_after_it(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert api.matte(BOTH).status == 200
    assert api.matte({"image": ("cat.png", b"nothing")}).status == 400
    assert list(tmp_path.iterdir()) == []


def test_health_is_answered_while_the_whole_queue_waits(shipped_model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api(shipped_model, queue=59)
    waiting, go_on = threading.Semaphore(0), threading.Event()

    def outputs(_: Request, folder: Path, **__: Any) -> list[Path]:
        waiting.release()
        assert go_on.wait(60)
        (folder / "made.png").write_bytes(PHOTO)
        return [folder / "made.png"]

    monkeypatch.setattr(api.requests, "outputs", outputs)
    own, chunks = form(BOTH)

    async def asked() -> list[Answer]:
        async with running(api.app):
            matte = {"headers": {**HOST, **own}, "chunks": chunks}
            mattes = [asyncio.create_task(asking(api.app, "POST", "/v1/matte", **matte)) for _ in range(60)]
            health = await asyncio.wait_for(asking(api.app, "GET", "/v1/health", headers=HOST), 60)
            begun = await asyncio.to_thread(lambda: all(waiting.acquire(timeout=60) for _ in range(60)))
            go_on.set()
            assert begun
            return [health, *(await asyncio.gather(*mattes))]

    assert {answer.status for answer in asyncio.run(asked())} == {200}


def test_a_full_queue_reads_no_body(shipped_model: Model) -> None:
    api = Api(shipped_model, queue=0)
    own, _ = form(BOTH)
    read: list[int] = []

    def parts() -> Iterator[bytes]:
        for number in range(9):
            read.append(number)
            yield b"x" * 1000

    with api.requests.place():
        answer = ask(api.app, "POST", "/v1/matte", headers={**HOST, **own}, chunks=parts())
    assert (answer.status, read) == (429, [])


def test_a_body_that_does_not_go_on_is_given_up() -> None:
    async def app(_: Any, receive: Receive, __: Send) -> None:
        while (await receive())["type"] == "http.request":
            pass
        raise ConnectionError("the client has gone")

    async def stalls() -> dict[str, Any]:
        if not begun:
            begun.append(True)
            return {"type": "http.request", "body": b"x", "more_body": True}
        await asyncio.Event().wait()
        raise AssertionError("it never goes on")

    async def send(message: Any) -> None:
        sent.append(message)

    begun: list[bool] = []
    sent: list[Any] = []
    scope = {"type": "http", "method": "POST", "path": "/", "headers": []}
    asyncio.run(Limited(app, limit=lambda _: 100, patience=0.05)(scope, stalls, send))  # type: ignore[arg-type]
    assert (sent[0]["status"], (b"connection", b"close") in sent[0]["headers"]) == (408, True)
    assert b"nothing of the request came for 0.05 seconds" in sent[1]["body"]


def test_the_server_gives_such_a_body_up(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def stalls() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError("it never begins")

    async def send(message: Any) -> None:
        sent.append(message)

    assert module._PATIENCE == 30  # docs/serve.md says so
    monkeypatch.setattr(module, "_PATIENCE", 0.05)
    sent: list[Any] = []
    headers = [(b"host", b"127.0.0.1:8000"), (b"content-type", b"multipart/form-data; boundary=x")]
    scope = {"type": "http", "method": "POST", "path": "/v1/matte", "query_string": b"", "headers": headers}
    app = api_app(api.requests, token=None, most_bytes=10**6, log=api.lines.append, weights="w")
    asyncio.run(asyncio.wait_for(app({**scope, "app": app}, stalls, send), 30))  # type: ignore[arg-type]
    assert sent[0]["status"] == 408


def test_a_request_whose_client_has_gone_is_not_carried_out(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mattecli.server.requests.run_job", lambda *_, **__: 1 // 0)
    own, chunks = form(BOTH)
    answer = ask(api.app, "POST", "/v1/matte", headers={**HOST, **own}, chunks=[*chunks, None])
    assert answer.status == 499
    assert " 499 " in api.lines[0]


def test_a_field_that_there_is_not_is_refused_by_name(api: Api) -> None:
    answer = api.matte(BOTH, bits="16")
    assert answer.status == 400
    assert answer.error.startswith("there is no field 'bits'; the fields are image, trimap, mask, box, what, format")
    body = api.get("/openapi.json").json["components"]["schemas"]
    (fields,) = [schema["properties"] for name, schema in body.items() if name.startswith("Body")]
    assert all(name in answer.error for name in fields)


@pytest.mark.parametrize("name", ["image", "trimap", "box", "what"])
def test_a_field_that_comes_twice_is_refused(api: Api, name: str) -> None:
    whole = {"image": BOTH["image"]}, {"box": "0,0,9,9", "what": "alpha"}
    if name == "trimap":
        whole = BOTH, {}
    own, (body, end) = form(whole[0], **whole[1])
    files, fields = ({key: value for key, value in part.items() if key == name} for part in whole)
    again = form(files, **fields)[1][0].removesuffix(b"--x--\r\n")
    answer = ask(api.app, "POST", "/v1/matte", headers={**HOST, **own}, chunks=[again + body, end])
    assert (answer.status, answer.error) == (400, f"the field '{name}' comes 2 times; send it once")


def test_messages_lose_the_folder_of_the_server_on_windows_too() -> None:
    folder = Path("C:\\tmp\\x")
    assert requests._bare("C:\\tmp\\x\\image\\photo.jpg is damaged", folder) == "photo.jpg is damaged"
