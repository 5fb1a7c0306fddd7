"""`matte serve` under load: 100 requests by 8 clients, with a queue of 4.

    python benchmarks/serve.py [PHOTO TRIMAP] [--requests N] [--clients N] [--queue N]

Starts the server in a process of its own, and asks for the same alpha again and again. A client that is told to come
again waits as long as Retry-After says. All alphas must have the same bytes. The table has the requests that were
answered and refused, the seconds of an answer (median, 95th percentile), photos a minute, the peak memory of the
server, and how much its memory has grown between the tenth request and the last.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil

EXAMPLES = Path(__file__).parents[1] / "examples"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path, nargs="?", default=EXAMPLES / "portrait.jpg")
    parser.add_argument("trimap", type=Path, nargs="?", default=EXAMPLES / "portrait_trimap.png")
    parser.add_argument("--requests", type=int, default=100)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--queue", type=int, default=4)
    options = parser.parse_args()
    command = [sys.executable, "-m", "mattecli", "serve", "--port", "0", "--queue", str(options.queue)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        load = Load(f"{address}/v1/matte", body_of(options.photo, options.trimap), server.pid, options.requests)
        began = time.perf_counter()
        clients = [threading.Thread(target=load.client) for _ in range(options.clients)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        load.print(time.perf_counter() - began)
    finally:
        server.terminate()
        server.wait()


def body_of(photo: Path, trimap: Path) -> bytes:
    """A multipart form of the two files."""
    parts = []
    for key, path in (("image", photo), ("trimap", trimap)):
        head = f'--x\r\nContent-Disposition: form-data; name="{key}"; filename="{path.name}"\r\n\r\n'
        parts.append(head.encode() + path.read_bytes() + b"\r\n")
    return b"".join(parts) + b"--x--\r\n"


class Load:
    """Requests that clients share, and what became of them."""

    def __init__(self, address: str, body: bytes, server: int, requests: int) -> None:
        self.address, self.body, self.server = address, body, psutil.Process(server)
        self.left, self.lock = requests, threading.Lock()
        self.seconds: list[float] = []
        self.memory: list[int] = []
        self.digests: set[str] = set()
        self.refused = 0

    def client(self) -> None:
        """Send requests until none is left."""
        while True:
            with self.lock:
                if not self.left:
                    return
                self.left -= 1
            self.ask()

    def ask(self) -> None:
        """Send one request until it is answered."""
        while True:
            headers = {"Content-Type": "multipart/form-data; boundary=x"}
            request = urllib.request.Request(self.address, self.body, headers)
            began = time.perf_counter()
            try:
                with urllib.request.urlopen(request) as answer:
                    digest = hashlib.sha256(answer.read()).hexdigest()
            except urllib.error.HTTPError as error:
                if error.code != 429:
                    raise
                with self.lock:
                    self.refused += 1
                time.sleep(float(error.headers["Retry-After"]))
                continue
            with self.lock:
                self.seconds.append(time.perf_counter() - began)
                self.memory.append(self.server.memory_info().rss)
                self.digests.add(digest)
            return

    def print(self, seconds: float) -> None:
        """The table."""
        assert len(self.digests) == 1, "alphas differ"
        tenth = self.memory[min(9, len(self.memory) - 1)]
        ordered = sorted(self.seconds)
        print("| answered | refused for now | median s | 95 % s | photos a minute | peak memory | growth |")
        print("| --- | --- | --- | --- | --- | --- | --- |")
        print(
            f"| {len(ordered)} | {self.refused} | {statistics.median(ordered):.1f} | "
            f"{ordered[int(0.95 * (len(ordered) - 1))]:.1f} | {60 * len(ordered) / seconds:.0f} | "
            f"{max(self.memory) / 2**20:.0f} MB | {(self.memory[-1] - tenth) / tenth:+.1%} |"
        )


if __name__ == "__main__":
    main()
