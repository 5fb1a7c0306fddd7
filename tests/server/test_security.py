from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from mattecli.server.security import SMALL_BODY
from tests.server.web import PORT, Page, ask, page_for


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    PIL.Image.fromarray(np.zeros((40, 50, 3), np.uint8)).save(tmp_path / "photo.png")
    page = page_for(tmp_path / "photo.png", folder=tmp_path)
    yield page
    page.close()


def test_the_address_of_the_terminal_gives_the_cookie_and_leaves_the_address_bar(page: Page) -> None:
    answer = ask(page.app, "GET", f"/?token={page.tokens.start}", headers={"host": f"localhost:{PORT}"})
    assert (answer.status, answer.headers["location"]) == (303, "/")
    assert answer.headers["set-cookie"] == f"matte_{PORT}={page.tokens.cookie}; HttpOnly; SameSite=Strict; Path=/"
    assert page.tokens.start not in str(page.get("/"))


def test_the_address_that_a_browser_is_started_with_counts_once(page: Page) -> None:
    target, headers = f"/?token={page.tokens.once}", {"host": f"localhost:{PORT}"}
    answers = [ask(page.app, "GET", target, headers=headers) for _ in range(2)]
    assert [answer.status for answer in answers] == [303, 403]
    assert "set-cookie" not in answers[1].headers
    assert ask(page.app, "GET", target, headers=page.headers).status == 303  # its own browser may come again
    assert ask(page.app, "GET", f"/?token={page.tokens.start}", headers=headers).status == 303


def test_the_page_holds_the_token_of_writes_and_may_load_nothing_from_elsewhere(page: Page) -> None:
    answer = page.get("/")
    assert answer.body.decode() == f'<meta name="matte-token" content="{page.tokens.write}">'
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "127.0.0.1.evil.example", "evil.example:8765", "127.0.0.1@evil", "10.0.0.1:8765", ""),
        *("[fe80::1]:8765", "[::1", "::1", "127.0.0.1:", "127.1", "localhost.evil.example", "128.0.0.1", "0.0.0.0"),
    ],
)
def test_another_host_is_refused(page: Page, host: str) -> None:
    answer = ask(page.app, "GET", "/app/session", headers={**page.headers, "host": host, "origin": f"http://{host}"})
    assert answer.status == 403
    assert "Host" in answer.error


@pytest.mark.parametrize("host", ["localhost:8765", "127.0.0.1:1234", "[::1]:8765", "LOCALHOST", "127.0.0.2:80"])
def test_each_name_of_this_machine_is_let_in_at_any_port(page: Page, host: str) -> None:
    headers = {**page.headers, "host": host, "origin": f"http://{host.lower()}"}
    assert ask(page.app, "GET", "/app/session", headers=headers).status == 200


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "http://127.0.0.1:3000", "https://127.0.0.1:8765", "http://localhost:8765", "null", ""],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_another_origin_is_refused_and_so_is_another_port(page: Page, origin: str, method: str) -> None:
    answer = ask(page.app, method, "/app/session", headers={**page.headers, "origin": origin})
    assert answer.status == 403
    assert "another page" in answer.error


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_request_that_the_browser_says_comes_from_another_site_is_refused(page: Page, site: str) -> None:
    headers = {key: value for key, value in page.headers.items() if key != "origin"}
    assert ask(page.app, "GET", "/app/session", headers=headers).status == 200
    assert ask(page.app, "GET", "/app/session", headers={**headers, "sec-fetch-site": site}).status == 403


@pytest.mark.parametrize("cookie", ["", "matte_8765=wrong", "matte_8765=", "matte_1=TOKEN", "TOKEN"])
@pytest.mark.parametrize("target", ["/", "/app/session", "/app/events?tab=a", "/app/health", "/static/view/tiles.js"])
def test_nothing_is_read_without_the_cookie(page: Page, cookie: str, target: str) -> None:
    headers = {**page.headers, "cookie": cookie.replace("TOKEN", page.tokens.cookie)}
    answer = ask(page.app, "GET", target, headers=headers)
    assert answer.status == 403
    assert "cookie" in answer.error


@pytest.mark.parametrize("token", [None, "", "wrong", "start", "cookie"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_is_changed_without_the_header_token(page: Page, token: str | None, method: str) -> None:
    word = page.word
    headers = {**page.headers, "x-matte-token": getattr(page.tokens, token or "", token)}
    if token is None:
        del headers["x-matte-token"]
    answer = ask(page.app, method, f"/app/photos/{word}/open", headers=headers, chunks=[b'{"tab": "one"}', b""])
    assert answer.status == 403
    assert "X-Matte-Token" in answer.error
    assert page.get(f"/app/photos/{word}/tiles/photo/0/0/0").status == 404  # it was not opened


def test_a_wrong_token_at_the_start_is_refused_even_with_the_cookie(page: Page) -> None:
    answer = ask(page.app, "GET", "/?token=wrong", headers=page.headers)
    assert answer.status == 403
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "target",
    [
        "/static/../secret.txt",
        "/static/..%2fsecret.txt",
        "/static//etc/passwd",
        "/static/view/../../secret.txt",
        "/app/photos/../photo.png/tiles/photo/0/0/0",
        "/app/photos/photo.png/tiles/photo/0/0/0",
        "/app/photos/%2Fetc%2Fpasswd/tiles/photo/0/0/0",
        "/photo.png",
    ],
)
def test_paths_name_no_files(page: Page, target: str) -> None:
    answer = page.get(target)
    assert answer.status == 404
    assert b"not to be read" not in answer.body


def test_a_body_that_says_it_is_too_long_is_refused_before_it_is_read(page: Page) -> None:
    read = []

    def chunks() -> Iterator[bytes]:
        read.append(1)
        yield b""

    headers = {**page.headers, "content-length": str(10 * 2**30)}
    answer = ask(page.app, "PUT", f"/app/photos/{page.word}/base", headers=headers, chunks=chunks())
    assert (answer.status, read) == (413, [])
    assert ask(page.app, "POST", "/app/session", headers={**page.headers, "content-length": "-1"}).status == 413


def test_a_chunked_body_that_is_too_long_is_refused_while_it_arrives(page: Page) -> None:
    sent = 0

    def chunks() -> Iterator[bytes]:
        nonlocal sent
        while True:
            sent += 2**16
            yield b" " * 2**16

    headers = {**page.headers, "content-type": "application/json"}
    answer = ask(page.app, "POST", f"/app/photos/{page.word}/operations", headers=headers, chunks=chunks())
    assert answer.status == 413
    assert SMALL_BODY < sent <= SMALL_BODY + 2**17
    assert str(SMALL_BODY) in answer.error


def test_a_socket_of_the_web_is_refused(page: Page) -> None:
    import asyncio

    sent = []

    async def send(message: object) -> None:
        sent.append(message)

    async def receive() -> dict[str, str]:
        return {"type": "websocket.connect"}

    asyncio.run(page.app({"type": "websocket", "path": "/", "headers": []}, receive, send))  # type: ignore[arg-type]
    assert sent == [{"type": "websocket.close", "code": 1008}]
