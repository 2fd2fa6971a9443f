"""Compression over links of a known speed: ``python -m tests.bench.shaped``, as root, on Linux.

Two network namespaces, joined by a pair of virtual devices whose queues let through so many bits a second
(``tbf``); an end of a PAIR of sockets in each. Needs ``ip`` and ``tc``, of Debian's package iproute2. The
namespaces are gone when the program ends.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import zmq

import transport
from canning import Adaptive, Serializer

LINKS: Final = {"100Mbit/s": "100mbit", "1Gbit/s": "1gbit", "10Gbit/s": "10gbit"}
WAYS: Final = ("raw", "lz4", "zstd", "adaptive")
PEAK: Final = 1.03
"""What `Adaptive` may take of the better of sending as it is and compressing always."""
HERE: Final = ("canning-bench-a", "10.213.7.1")
THERE: Final = ("canning-bench-b", "10.213.7.2")
PORT: Final = 5555


def payloads(nbytes: int) -> dict[str, Any]:
    """Make what is sent: text, numbers, an image, and noise."""
    rng = np.random.default_rng(0)
    lines = (f"{n},{n % 97},{rng.normal():.4f},item {n % 1000}\n" for n in range(nbytes // 25))
    return {
        "text table": "".join(lines).encode()[:nbytes],
        "float weights": (rng.normal(size=nbytes // 4) * 0.02).astype(np.float32),
        "integers": rng.integers(0, 1000, nbytes // 8),
        "image": np.resize(photograph(), nbytes),
        "random bytes": rng.bytes(nbytes),
    }


def photograph() -> Any:
    """Give the pixels of the photograph that matplotlib ships."""
    from matplotlib.cbook import get_sample_data
    from PIL import Image

    with get_sample_data("grace_hopper.jpg", asfileobj=True) as file:  # type: ignore[union-attr]
        return np.asarray(Image.open(io.BytesIO(file.read())))


def command(*words: str) -> None:
    """Run a command; its error output goes into the error."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}: {done.stderr.strip()}")


@contextmanager
def shaped_link(rate: str) -> Iterator[None]:
    """Join two network namespaces by a link of a rate."""
    try:
        for name, _ in (HERE, THERE):
            command("ip", "netns", "add", name)
        peer = ("peer", "cb1", "netns", THERE[0])
        command("ip", "link", "add", "cb0", "netns", HERE[0], "type", "veth", *peer)
        for device, (name, address) in (("cb0", HERE), ("cb1", THERE)):
            inside = ("ip", "netns", "exec", name)
            command(*inside, "ip", "address", "add", f"{address}/24", "dev", device)
            command(*inside, "ip", "link", "set", device, "up")
            shape = ("rate", rate, "burst", "1mb", "latency", "50ms")
            command(*inside, "tc", "qdisc", "add", "dev", device, "root", "tbf", *shape)
        yield
    finally:
        for name, _ in (HERE, THERE):
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


def serve() -> None:
    """Answer to every message when it has been read."""
    with zmq.Context() as context, context.socket(zmq.PAIR) as socket:
        socket.bind(f"tcp://{THERE[1]}:{PORT}")
        while transport.recv(socket) is not None:
            transport.send(socket, True)


def measure(link: str, nbytes: int, rounds: int) -> dict[str, dict[str, float]]:
    """Send each payload in each way, by turns; the best time of each in seconds.

    In an order that changes: what came before has an effect on how the reader gets its memory. Always behind
    zstd, a message of 8 MB that was not compressed took 12 ms over 10 Gbit/s, and always
    behind another one 8.
    """
    order = random.Random(0)
    codecs = {"raw": None, "lz4": "lz4", "zstd": "zstd", "adaptive": Adaptive(link)}
    serializers = {way: Serializer(codec=codecs[way]) for way in WAYS}
    found = {}
    with zmq.Context() as context, context.socket(zmq.PAIR) as socket:
        socket.connect(f"tcp://{THERE[1]}:{PORT}")
        for name, payload in payloads(nbytes).items():
            times: dict[str, list[float]] = {way: [] for way in WAYS}
            turns = [way for _ in range(rounds) for way in order.sample(WAYS, len(WAYS))]
            for way in turns:
                start = time.perf_counter()
                transport.send(socket, payload, serializer=serializers[way], timeout=60)
                transport.recv(socket, timeout=60)
                times[way].append(time.perf_counter() - start)
            found[name] = {way: min(taken) for way, taken in times.items()}
        transport.send(socket, None, timeout=60)
    return found


def run(link: str, nbytes: int, rounds: int) -> dict[str, dict[str, float]]:
    """Measure over a link, in processes within its two ends."""
    python = (sys.executable, "-m", "tests.bench.shaped")
    with shaped_link(LINKS[link]):
        server = subprocess.Popen(["ip", "netns", "exec", THERE[0], *python, "--serve"])
        try:
            words = ["--measure", link, "--bytes", str(nbytes), "--rounds", str(rounds)]
            client = ["ip", "netns", "exec", HERE[0], *python, *words]
            done = subprocess.run(client, stdout=subprocess.PIPE, check=True, timeout=600)
            server.wait(10)
        finally:
            server.kill()
    found: dict[str, dict[str, float]] = json.loads(done.stdout)
    return found


def show(link: str, found: dict[str, dict[str, float]]) -> bool:
    """Print the times over a link; tell whether `Adaptive` is near the better one everywhere."""
    print(f"{link:14}", *(f"{way:>10}" for way in WAYS), f"{'of better':>10}")
    good = True
    for name, times in found.items():
        ratio = times["adaptive"] / min(times["raw"], times["lz4"], times["zstd"])
        good = good and ratio <= PEAK
        print(f"{name:14}", *(f"{times[way] * 1e3:8.1f}ms" for way in WAYS), f"{ratio:10.2f}")
    return good


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure over every link; 1 where `Adaptive` was slower somewhere than it may be."""
    parser = argparse.ArgumentParser("python -m tests.bench.shaped", description=__doc__.partition("\n")[0])
    parser.add_argument("--links", default=",".join(LINKS), help="default: %(default)s")
    parser.add_argument("--bytes", type=int, default=8_000_000, help="of a payload; default: %(default)s")
    parser.add_argument(
        "--rounds", type=int, default=5, help="of which the best counts; default: %(default)s"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the times, in seconds")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--measure", metavar="LINK", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.serve:
        serve()
        return 0
    if options.measure:
        json.dump(measure(options.measure, options.bytes, options.rounds), sys.stdout)
        return 0
    if not hasattr(os, "geteuid") or os.geteuid() or not shutil.which("ip") or not shutil.which("tc"):
        raise SystemExit("this needs root on Linux, and ip and tc: apt install iproute2")
    results = {link: run(link, options.bytes, options.rounds) for link in options.links.split(",")}
    good = [show(link, found) for link, found in results.items()]
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
