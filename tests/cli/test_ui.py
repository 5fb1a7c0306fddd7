from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from importlib import util
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import numpy as np
import PIL.Image
import psutil
import pytest

from tests.conftest import RunMatte
from tests.support.fresh import modules_after, start_fresh


def photo(folder: Path) -> Path:
    PIL.Image.fromarray(np.zeros((40, 50, 3), np.uint8)).save(folder / "photo.png")
    return folder / "photo.png"


def started(*arguments: object, state: Path) -> tuple[subprocess.Popen[bytes], str]:
    process = start_fresh(
        "ui",
        *arguments,
        "--no-browser",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "XDG_STATE_HOME": str(state)},
    )
    assert process.stdout is not None
    return process, process.stdout.readline().decode().strip()


def opener_for(address: str) -> urllib.request.OpenerDirector:
    """What a browser does first: it opens the address and keeps the cookie."""
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    assert status(opener, address.split("?")[0]) == 403
    assert status(opener, address) == 200
    return opener


def status(opener: urllib.request.OpenerDirector, address: str) -> int:
    try:
        with opener.open(address) as answer:
            return int(answer.status)
    except HTTPError as error:
        error.close()
        return error.code


def test_the_page_is_served_until_a_signal_ends_it_with_a_stream_open(tmp_path: Path) -> None:
    process, address = started(photo(tmp_path), state=tmp_path / "state")
    try:
        sockets = psutil.Process(process.pid).net_connections("inet")
        assert {one.laddr.ip for one in sockets if one.status == psutil.CONN_LISTEN} == {"127.0.0.1"}
        opener = opener_for(address)
        root = address.split("?")[0]
        with opener.open(root + "app/session") as answer:
            session: dict[str, Any] = json.load(answer)
        assert [shown["name"] for shown in session["photos"]] == ["photo.png"]
        with opener.open(root + "app/events?tab=one") as stream:
            assert stream.readline() == b": open\n"
            process.send_signal(signal.SIGTERM)
            assert b'"closing"' in stream.read()
        assert process.wait(20) == 143
        assert process.stderr is not None
        assert address.split("=")[1].encode() not in process.stderr.read()
    finally:
        process.kill()
        process.communicate()
    assert list((tmp_path / "state" / "mattecli").iterdir())


def test_the_page_answers_while_its_browser_is_waited_for(tmp_path: Path) -> None:
    browser, asked = tmp_path / "browser", tmp_path / "asked"
    script = f'echo "$1" > {asked}; while [ -e {browser} ]; do sleep 0.1; done'
    browser.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    browser.chmod(0o755)
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state"), "BROWSER": f"{browser} %s"}
    process = start_fresh("ui", photo(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    try:
        assert process.stdout is not None
        address = process.stdout.readline().decode().strip()
        with urllib.request.build_opener(urllib.request.HTTPCookieProcessor()).open(address, timeout=30) as answer:
            assert answer.status == 200
        end = time.monotonic() + 30
        while not asked.exists() or not asked.read_text(encoding="utf-8").endswith("\n"):
            assert time.monotonic() < end
            time.sleep(0.05)
        given = asked.read_text(encoding="utf-8").strip()
        opener_for(given)
        assert status(urllib.request.build_opener(), given) == 403, "whoever sees it in the list of processes"
        opener_for(address)
    finally:
        browser.unlink()
        process.kill()
        process.communicate()


def test_a_missing_package_is_one_plain_sentence(
    run_matte: RunMatte, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(util, "find_spec", lambda name: asked.append(name))
    code, _, err = run_matte("ui", photo(tmp_path), "--no-browser")
    assert code == 5
    assert err.strip().endswith(
        '`matte ui` needs FastAPI, uvicorn, python-multipart, which are not installed; pip install "mattecli[ui]"'
    )
    assert asked == ["fastapi", "uvicorn", "python_multipart"]


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["missing.jpg"], 3, "missing.jpg does not exist"),
        (["PHOTO", "--trimap", "PHOTO", "--mask", "PHOTO"], 2, "give one of them"),
        (["FOLDER", "--trimap", "PHOTO"], 2, "is for one photo"),
        (["EMPTY"], 3, "has no pictures"),
        (["PHOTO", "--port", "70000"], 2, "--port must be a whole number from 0 to 65535"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    run_matte: RunMatte,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    sentence: str,
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    path = photo(tmp_path)
    (tmp_path / "empty").mkdir()
    names = {"PHOTO": path, "FOLDER": tmp_path, "EMPTY": tmp_path / "empty"}
    found, _, err = run_matte("ui", *[names.get(argument, argument) for argument in arguments])
    assert found == code
    assert sentence in err


def test_a_port_that_is_taken_is_named(run_matte: RunMatte, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, _, err = run_matte("ui", photo(tmp_path), "--port", taken.getsockname()[1], "--no-browser")
    assert code == 3
    assert "name another one with --port" in err


@pytest.mark.parametrize("command", [["--help"], ["ui", "--help"], ["predict", "missing.png"]])
def test_other_commands_do_not_load_the_server(command: list[str]) -> None:
    loaded = modules_after(*command)
    assert "mattecli" in loaded
    assert loaded & {"fastapi", "starlette", "uvicorn"} == set()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "no photo is named"),
        (["--worst", "3"], "add --report"),
        (["photo.png", "--report", "run.jsonl"], "both name photos"),
        (["--report", "missing.jsonl"], "cannot be read"),
    ],
)
def test_photos_are_named_or_those_of_a_report(
    arguments: list[str], sentence: str, run_matte: RunMatte, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    photo(tmp_path)
    code, out, err = run_matte("ui", *arguments, "--no-browser")
    assert (code, out) == (2 if "missing" not in sentence and "read" not in sentence else 3, "")
    assert sentence in err
