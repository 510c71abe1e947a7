"""Measures the server: throughput against the model alone, latency, memory, a full queue, slow clients.

The clients are threads of this process and the server is another process (`captioner serve`). Both share the machine's
cores, as when a program on the same machine sends the pictures.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import io
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

CLIENTS, HONEST, SLOW = 32, 8, 50
LOOK_SECONDS = 0.25  # between two measurements of the memory, which rises and falls with every batch


class Server:
    """A running `captioner serve`."""

    def __init__(self, process: subprocess.Popen[str], port: int, files: Path) -> None:
        self.process, self.port, self.files = process, port, files

    def post(self, picture: bytes, connection: http.client.HTTPConnection | None = None) -> int:
        """Send a picture; return the status."""
        own = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            own.request("POST", "/caption", picture, {"Content-Type": "image/jpeg"})
            answer = own.getresponse()
            answer.read()
            return answer.status
        finally:
            if connection is None:
                own.close()

    def resident(self) -> int:
        """Return the resident memory in bytes."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    @contextlib.contextmanager
    def watched(self) -> Iterator[list[int]]:
        """Append the resident memory to a list at regular times."""
        looks: list[int] = []
        stop = threading.Event()

        def look() -> None:
            while not stop.wait(LOOK_SECONDS):
                looks.append(self.resident())

        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield looks
        finally:
            stop.set()
            thread.join()


@contextlib.contextmanager
def serving(model: Path, *options: str) -> Iterator[Server]:
    """Start the server, wait until it is ready, end it with SIGTERM."""
    with tempfile.TemporaryDirectory() as files:
        command = [sys.executable, "-m", "captioner", "serve", "--model", str(model), "--port", "0", *options]
        environment = {**os.environ, "TMPDIR": files}
        with (
            open(os.devnull, "w") as nowhere,  # noqa: PTH123
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=nowhere, text=True, env=environment) as process,
        ):
            try:
                assert process.stdout is not None
                found = re.search(r"http://127\.0\.0\.1:(\d+)", process.stdout.readline())
                if not found:
                    sys.exit("captioner serve did not start; run it by hand to see why")
                server = Server(process, int(found[1]), Path(files))
                while not is_ready(server.port):
                    time.sleep(0.2)
                yield server
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(120)


def is_ready(port: int) -> bool:
    with contextlib.suppress(OSError):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    return False


def load(
    server: Server, pictures: Sequence[bytes], clients: int, requests: int
) -> tuple[float, list[float], Counter[int]]:
    """Send requests from several clients at once; return the seconds, each latency and the statuses."""
    lock, left = threading.Lock(), iter(range(requests))
    latencies: list[float] = []
    statuses: Counter[int] = Counter()

    def work(_number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
        while True:
            with lock:
                index = next(left, None)
            if index is None:
                break
            began = time.perf_counter()
            status = server.post(pictures[index % len(pictures)], connection)
            elapsed = time.perf_counter() - began
            with lock:
                latencies.append(elapsed)
                statuses[status] += 1
        connection.close()

    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as threads:
        list(threads.map(work, range(clients)))
    return time.perf_counter() - began, latencies, statuses


def model_alone(model: Path, pictures: Sequence[bytes], batch: int, seconds: float) -> tuple[float, float]:
    """Return the pictures per second of the model alone on prepared pictures, and of decoding followed by the model.

    Like the server, it uses onnxruntime if the model has a graph, and Keras otherwise.
    """
    import captioner
    from captioner.export.fast import has_graph

    captioned = captioner.load(model, fast=has_graph(model))
    prepared = [captioned.prepare(picture) for picture in pictures[:batch]]

    def rate(work: Callable[[], object]) -> float:
        work()
        began, count = time.perf_counter(), 0
        while time.perf_counter() - began < seconds:
            work()
            count += batch
        return count / (time.perf_counter() - began)

    alone = rate(lambda: captioned.caption_prepared(prepared))
    return alone, rate(lambda: captioned.caption_batch(pictures[:batch]))


def some_pictures(folder: Path | None, count: int = 64) -> list[bytes]:
    """Return JPEGs: those of a folder, or noise in the shape of a small phone picture."""
    if folder is not None:
        from captioner.images.listing import list_images

        return [path.read_bytes() for path in list(list_images(folder).values())[:count]]
    rng = np.random.default_rng(0)
    pictures = []
    for _ in range(count):
        file = io.BytesIO()
        blocks = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        blocks.resize((640, 480), Image.Resampling.BICUBIC).save(file, "JPEG", quality=85)
        pictures.append(file.getvalue())
    return pictures


def slow_loris(server: Server, stop: threading.Event) -> None:
    """Hold connections that send a byte now and then."""
    held: list[socket.socket] = []
    while not stop.is_set():
        while len(held) < SLOW:
            connection = socket.create_connection(("127.0.0.1", server.port))
            connection.sendall(
                b"POST /caption HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: 9999\r\n\r\n"
            )
            held.append(connection)
        for connection in list(held):
            try:
                connection.sendall(b"x")
            except OSError:
                held.remove(connection)
        stop.wait(0.5)
    for connection in held:
        connection.close()


def percentile(latencies: Sequence[float], share: float) -> float:
    return float(np.quantile(latencies, share))


def growth_of(looks: Sequence[int]) -> tuple[float, float]:
    """Return the growth of memory from the second fifth to the last in per cent: of the mean and of the largest value.

    The first fifth is left out because libraries fill their pools then.
    """
    fifth = len(looks) // 5
    second, last = (np.array(part) for part in (looks[fifth : 2 * fifth], looks[-fifth:]))
    return 100 * (last.mean() / second.mean() - 1), 100 * (last.max() / second.max() - 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="a run folder, or a .keras file")
    parser.add_argument("--pictures", type=Path, help="a folder of pictures (default: random pictures)")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument(
        "--requests", type=int, default=5000, help="requests of the long test; the short tests have at most 400"
    )
    parser.add_argument("--seconds", type=float, default=15.0, help="seconds for the model alone")
    options = parser.parse_args()
    few = min(400, options.requests)
    pictures = some_pictures(options.pictures)
    alone, with_decoding = model_alone(options.model, pictures, options.batch, options.seconds)
    print(
        f"model alone, batches of {options.batch}: {alone:.1f} pictures/s; decoding in turn {with_decoding:.1f}",
        flush=True,
    )
    with serving(options.model, "--batch", str(options.batch)) as server:
        load(server, pictures, CLIENTS, 4 * CLIENTS)  # every batch size and thread has been used once
        _, single, _ = load(server, pictures, 1, 50)
        usual = percentile(single, 0.5)
        with server.watched() as looks:
            seconds, latencies, statuses = load(server, pictures, CLIENTS, options.requests)
        rate = options.requests / seconds
        p99 = percentile(latencies, 0.99)
        print(f"{CLIENTS} clients: {rate:.1f} pictures/s, {rate / alone:.2f} of the model alone (goal 0.9)", flush=True)
        median = percentile(latencies, 0.5)
        print(f"latency: one client {1000 * usual:.0f} ms; {CLIENTS} clients: median {1000 * median:.0f} ms")
        print(f"p99 {1000 * p99:.0f} ms: {p99 / usual:.1f} times one client's (goal 5)")
        mean, largest = growth_of(looks)
        left = len(list(server.files.rglob("*")))
        print(
            f"{options.requests} requests: {dict(statuses)}; memory from the second fifth to the last:"
            f" mean {mean:+.1f} %, largest {largest:+.1f} % (goal 5); {left} files left",
            flush=True,
        )
        seconds, latencies, _ = load(server, pictures, HONEST, few)
        honest = few / seconds
        p99 = percentile(latencies, 0.99)
        print(f"{HONEST} clients: p99 {1000 * p99:.0f} ms, {p99 / usual:.1f} times one client's", flush=True)
        stop = threading.Event()
        loris = threading.Thread(target=slow_loris, args=(server, stop))
        loris.start()
        time.sleep(1)
        seconds, _, statuses = load(server, pictures, HONEST, few)
        stop.set()
        loris.join()
        print(
            f"{HONEST} clients: {honest:.1f} pictures/s; beside {SLOW} slow ones {few / seconds:.1f}:"
            f" {few / seconds / honest:.2f} (goal 0.8), {dict(statuses)}",
            flush=True,
        )
    with serving(options.model, "--batch", str(options.batch), "--queue", "32") as server:
        _, _, statuses = load(server, pictures, 200, 1000)
        lost = 1000 - sum(statuses.values())
        print(f"200 clients, a queue of 32: {dict(statuses)}, {lost} lost (goal: 200 and 503 only)")


if __name__ == "__main__":
    main()
