"""`matte serve` under load: 100 requests by 8 clients, with a queue of 4.

    python benchmarks/serve.py [PHOTO TRIMAP] [--requests N] [--clients N] [--queue N]
    python benchmarks/serve.py [PHOTO TRIMAP] --rate [--turns 10] [--each 5]

Starts the server in a process of its own, and asks for the same alpha again and again. A client that is told to come
again waits as long as Retry-After says. All alphas must have the same bytes. The table has the requests that were
answered and refused, the seconds of an answer (median, 95th percentile), photos a minute, the peak memory of the
server, and how much its memory has grown between the 20th request and the last.

--rate compares the server with the network alone: `Model.predict` with the same photo and trimap in memory, in the same
precision, in a process of its own. Both work in turns, so that other programs disturb both alike. Two clients ask the
server, so that it always has a request. The processor's time of both is compared, too.
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
    parser.add_argument("--rate", action="store_true")
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--each", type=int, default=5)
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bare:
        bare(options.photo, options.trimap, options.each)
        return
    command = [sys.executable, "-m", "mattecli", "serve", "--port", "0", "--queue", str(options.queue)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        if options.rate:
            compare(address, server.pid, options)
            return
        load = Load(f"{address}/v1/matte", body_of(options.photo, options.trimap), server.pid, options.requests)
        load.print(load.run(options.clients))
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


def compare(address: str, server: int, options: argparse.Namespace) -> None:
    """Print the seconds of a photo in the server and in the network alone, and the ratio of both rates."""
    words = [str(options.photo), str(options.trimap), "--bare", "--each", str(options.each)]
    command = [sys.executable, __file__, *words]
    network = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    body = body_of(options.photo, options.trimap)
    asked = f"{address}/v1/matte"
    try:
        Load(asked, body, server, 2).run(2)
        seconds: dict[str, list[float]] = {"server": [], "network": []}
        processor: dict[str, list[float]] = {"server": [], "network": []}
        for turn in range(options.turns):
            order = ("server", "network") if turn % 2 else ("network", "server")
            for which in order:
                pid = server if which == "server" else network.pid
                before = used(pid)
                if which == "server":
                    seconds[which].append(Load(asked, body, server, options.each).run(2))
                else:
                    assert network.stdin is not None
                    assert network.stdout is not None
                    print("go", file=network.stdin, flush=True)
                    seconds[which].append(float(network.stdout.readline()))
                processor[which].append(used(pid) - before)
    finally:
        network.kill()
        network.wait()
    photos = options.turns * options.each
    print("| | s a photo | s of the processor a photo |\n| --- | --: | --: |")
    for which in seconds:
        print(f"| {which} | {sum(seconds[which]) / photos:.3f} | {sum(processor[which]) / photos:.3f} |")
    ratios = [one / other for one, other in zip(seconds["network"], seconds["server"], strict=True)]
    print(
        f"\nrate of the server to that of the network: {sum(seconds['network']) / sum(seconds['server']):.3f} "
        f"(median of the turns {statistics.median(ratios):.3f}); by the processor's time "
        f"{sum(processor['network']) / sum(processor['server']):.3f}"
    )


def used(pid: int) -> float:
    """The seconds of the processor that a process has taken."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def bare(photo: Path, trimap: Path, each: int) -> None:
    """Matte the photo so many times for each line of standard input, and print the seconds."""
    from mattecli.system.process import prepare_process

    prepare_process()
    from mattecli.imaging.read import read_image
    from mattecli.inference.model import Model
    from mattecli.inference.options import RunOptions
    from mattecli.inference.precision import settle_precision
    from mattecli.system.threads import use_threads
    from mattecli.trimaps.pairs import read_trimap

    use_threads(None)
    model = Model(settle_precision(RunOptions(), eight_bits=True))
    pixels, labels = read_image(photo).pixels, read_trimap(trimap)
    model.predict(pixels, labels)
    for _ in sys.stdin:
        began = time.perf_counter()
        for _ in range(each):
            model.predict(pixels, labels)
        print(time.perf_counter() - began, flush=True)


class Load:
    """Requests that clients share, and what became of them."""

    def __init__(self, address: str, body: bytes, server: int, requests: int) -> None:
        self.address, self.body, self.server = address, body, psutil.Process(server)
        self.left, self.lock = requests, threading.Lock()
        self.seconds: list[float] = []
        self.memory: list[int] = []
        self.digests: set[str] = set()
        self.refused = 0

    def run(self, clients: int) -> float:
        """Send all requests by so many clients at a time; gives the seconds."""
        began = time.perf_counter()
        threads = [threading.Thread(target=self.client) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return time.perf_counter() - began

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
        early = self.memory[min(19, len(self.memory) - 1)]
        ordered = sorted(self.seconds)
        print("| answered | refused for now | median s | 95 % s | photos a minute | peak memory | growth |")
        print("| --- | --- | --- | --- | --- | --- | --- |")
        print(
            f"| {len(ordered)} | {self.refused} | {statistics.median(ordered):.1f} | "
            f"{ordered[int(0.95 * (len(ordered) - 1))]:.1f} | {60 * len(ordered) / seconds:.0f} | "
            f"{max(self.memory) / 2**20:.0f} MiB | {(self.memory[-1] - early) / early:+.1%} |"
        )


if __name__ == "__main__":
    main()
