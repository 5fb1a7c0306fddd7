from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import threading
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from mattecli.cli.serve import _token
from tests.conftest import RunMatte
from tests.support.fresh import start_fresh
from tests.support.pictures import disc, noise


def form(folder: Path) -> urllib.request.Request:
    alpha = disc(600, 800, radius=220, softness=150)
    PIL.Image.fromarray(noise(1, 600, 800)).save(folder / "cat.png")
    trimap = np.where((alpha > 0) & (alpha < 255), np.uint8(128), alpha)
    PIL.Image.fromarray(trimap).save(folder / "cat_trimap.png")
    parts = []
    for key, name in (("image", "cat.png"), ("trimap", "cat_trimap.png")):
        head = f'--x\r\nContent-Disposition: form-data; name="{key}"; filename="{name}"\r\n\r\n'
        parts.append(head.encode() + (folder / name).read_bytes() + b"\r\n")
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    return urllib.request.Request("http://nowhere/", b"".join(parts) + b"--x--\r\n", headers)


def test_a_request_that_was_taken_on_is_answered_after_the_signal(tmp_path: Path) -> None:
    process = start_fresh(
        "serve",
        *("--port", "0", "--device", "cpu"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    answers: list[Any] = []
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        address = process.stdout.readline().decode().strip()
        with urllib.request.urlopen(f"{address}/v1/version") as answer:
            assert json.load(answer)["weights"]
        request = form(tmp_path)
        request.full_url = f"{address}/v1/matte"

        def send() -> None:
            with urllib.request.urlopen(request) as answer:
                answers.append((answer.status, answer.read()))

        thread = threading.Thread(target=send)
        thread.start()
        assert b"/v1/version 200" in process.stderr.readline()
        thread.join(0.5)  # the upload is over, and the network takes longer
        process.send_signal(signal.SIGTERM)
        thread.join(120)
        assert process.wait(60) == 143
        ((status, body),) = answers
        assert status == 200
        assert PIL.Image.open(io.BytesIO(body)).size == (800, 600)
        assert b"POST /v1/matte 200" in process.stderr.read()
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--host", "0.0.0.0"], 2, "can be reached by others, so a token is needed; give --token-file"),
        (["--token-file", "missing.txt"], 3, "missing.txt cannot be read"),
        (["--token-file", "SHORT"], 3, "16 letters"),
        (["--queue", "-1"], 2, "--queue must be a whole number from 0 to 1000"),
        (["--max-upload", "much"], 2, "--max-upload must be an amount of memory"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    run_matte: RunMatte, tmp_path: Path, arguments: list[str], code: int, sentence: str
) -> None:
    short = tmp_path / "short.txt"
    short.write_text("abc\n", encoding="utf-8")
    found, _, err = run_matte("serve", *[{"SHORT": short}.get(argument, argument) for argument in arguments])
    assert found == code, err
    assert sentence in err


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_token_is_read_as_the_shells_of_windows_write_it(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "token.txt"
    file.write_text("0123456789abcdef\n", encoding=encoding)
    assert _token(str(file)) == "0123456789abcdef"
