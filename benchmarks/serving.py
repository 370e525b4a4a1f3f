"""Load on the API: nothing lost, no 5xx, how fast, and what sharing batches brings; then the same with SIGKILL.

    python benchmarks/serving.py RUN                      # 8 clients for 2 minutes, batches on and off side by side
    python benchmarks/serving.py RUN --seconds 20 --photos FOLDER

Two servers of one run, one with batches and one without, take turns of a few seconds, so that whatever else the machine
does meets both; their figures are reported side by side, and as a ratio. Then the first server is killed twice while
the clients go on. At the end every screening that was answered with 201 is asked for again, with its heat map, and what
was not passed is looked for on the review desk. Writes results/serving.md.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
from PIL import Image

from anogan.api.keys import Keys
from anogan.api.tables import open_tables
from anogan.cli.console import free_port
from anogan.config import load_config
from anogan.review import Query, open_desk
from anogan.storage.checkpoint import write_text

RESULTS = Path(__file__).parent / "results" / "serving.md"
TURN = 5.0  # seconds


@dataclass
class Load:
    """What clients saw: seconds of each answer, its status, and the screenings that were accepted."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    accepted: dict[str, str] = field(default_factory=dict)  # id: decision
    unanswered: int = 0  # while the server was down
    time: float = 0.0

    @property
    def throughput(self) -> float:
        """Screenings a second."""
        return len(self.accepted) / self.time

    def percentile(self, share: float) -> float:
        """Return a percentile of the seconds to answer."""
        return float(np.percentile(self.seconds, share)) if self.seconds else float("nan")

    def __str__(self) -> str:
        statuses = ", ".join(f"{count} x {status}" for status, count in sorted(self.statuses.items()))
        return (
            f"{len(self.accepted)} screenings in {self.time:.0f} s: {self.throughput:.1f} a second, "
            f"median {1000 * self.percentile(50):.0f} ms, p99 {1000 * self.percentile(99):.0f} ms ({statuses})"
        )


class Server:
    """`anogan serve` in a process of its own."""

    def __init__(self, run: Path, folder: Path, batch: int) -> None:
        folder.mkdir()
        self.database, self.folder, self.port = folder / "desk.db", folder, 0
        self.command = [
            *(sys.executable, "-m", "anogan", "serve", str(run), "--batch", str(batch)),
            *("--database", str(self.database), "--store", str(folder / "store")),
        ]
        self.key = Keys(open_tables(str(self.database))).create("load", rate="1000000/minute")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.port = self.port or free_port(8700)  # killed and started again, it is where it was
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen([*self.command, "--port", str(self.port)], stdout=log, stderr=log)
        for _ in range(1200):
            if self.process.poll() is not None:
                raise SystemExit(f"the server stopped: {(self.folder / 'log').read_text()[-2000:]}")
            try:
                if httpx.get(f"http://127.0.0.1:{self.port}/readyz").status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.1)
        raise SystemExit("the server does not answer")

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Stop it."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait()
            self.process = None

    def client(self) -> httpx.Client:
        """Return a client with its key."""
        headers = {"Authorization": f"Bearer {self.key}"}
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", headers=headers, timeout=60)

    def load(self, photos: Sequence[bytes], clients: int, seconds: float, load: Load) -> None:
        """Have clients send photos one after another, as fast as they are answered."""
        until, lock, started = time.monotonic() + seconds, threading.Lock(), time.monotonic()

        def work(seed: int) -> None:
            choice = random.Random(f"{seed} {started}")
            with self.client() as client:
                while time.monotonic() < until:
                    begun = time.monotonic()
                    headers = {"Idempotency-Key": f"{choice.getrandbits(128):x}"}
                    photo, answer = choice.choice(photos), None
                    while answer is None and time.monotonic() < until + 60:
                        try:  # again with the same key when the server is gone: it is one screening
                            answer = client.post("/v1/screenings", files={"image": photo}, headers=headers)
                        except httpx.TransportError:
                            with lock:
                                load.unanswered += 1
                            time.sleep(0.2)
                    if answer is None:
                        return
                    with lock:
                        load.seconds.append(time.monotonic() - begun)
                        load.statuses[answer.status_code] += 1
                        if answer.status_code == 201:
                            load.accepted[answer.json()["id"]] = answer.json()["decision"]

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        load.time += time.monotonic() - started

    def lost(self, load: Load) -> list[str]:
        """Return the accepted screenings that are gone, have no heat map, or are missing on the desk or there twice."""
        desk = open_desk(str(self.database))
        cases: Counter[str] = Counter()
        after = None
        while True:
            page = desk.page(Query(), after, size=1000)
            cases.update(case.key for case in page.cases)
            if (after := page.after) is None:
                break
        gone = []
        with self.client() as client:
            for number, decision in load.accepted.items():
                found = client.get(f"/v1/screenings/{number}")
                whole = found.status_code == 200 and found.json()["decision"] == decision
                if whole and found.json()["heat_map"]:
                    whole = client.get(found.json()["heat_map"]).status_code == 200
                if not whole or cases[f"screening {number}"] != (decision != "pass"):
                    gone.append(number)
        return gone


def side_by_side(servers: Sequence[Server], photos: Sequence[bytes], clients: int, seconds: float) -> list[Load]:
    """Load servers in turns, each for `seconds` in all."""
    loads = [Load() for _ in servers]
    for turn in range(max(1, round(seconds / TURN))):
        order = list(zip(servers, loads, strict=True))
        for server, load in order if turn % 2 == 0 else order[::-1]:
            server.load(photos, clients, min(TURN, seconds), load)
    return loads


def killed(server: Server, photos: Sequence[bytes], clients: int, seconds: float, kills: int = 2) -> Load:
    """Load a server that is killed on the way and started again."""
    load = Load()
    loading = threading.Thread(target=server.load, args=(photos, clients, seconds, load))
    loading.start()
    for _ in range(kills):
        time.sleep(seconds / (kills + 1))
        server.stop(signal.SIGKILL)
        server.start()
    loading.join()
    return load


def read_photos(folder: Path | None, side: int) -> list[bytes]:
    """Return the bytes of the PNG and JPEG files in a folder, or made-up JPEGs."""
    if folder is not None:
        found = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in (".png", ".jpg", ".jpeg")]
        return [path.read_bytes() for path in found[:200]]
    from anogan.data.synthetic import write_tiny

    photos = []
    with tempfile.TemporaryDirectory() as name:
        write_tiny(Path(name), n_healthy=12, n_abnormal=4, size=64, seed=7)
        for path in sorted(Path(name).glob("*/*.png")):
            if path.parent.name != "masks":
                buffer = io.BytesIO()
                Image.open(path).convert("RGB").resize((side, side)).save(buffer, "JPEG", quality=92)
                photos.append(buffer.getvalue())
    return photos


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a calibrated run folder")
    parser.add_argument("--seconds", type=float, default=120, help="of load on each server")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--photos", type=Path, help="a folder with photos; without it they are made up")
    parser.add_argument("--side", type=int, default=600, help="pixels of a side of the made-up photos")
    options = parser.parse_args()
    photos = read_photos(options.photos, options.side)
    lines = [
        f"{len(photos)} photos, {options.clients} clients, profile `{load_config(options.run / 'profile.toml').name}`, "
        f"{os.cpu_count()} cores"
    ]
    faults = 0
    with tempfile.TemporaryDirectory() as name:
        servers = [Server(options.run, Path(name) / f"batch-{batch}", batch) for batch in (16, 1)]
        try:
            for server in servers:
                server.start()
            loads = side_by_side(servers, photos, options.clients, options.seconds)
            for words, server, load in zip(("shared batches", "one by one"), servers, loads, strict=True):
                lost = server.lost(load)
                faults += len(lost) + sum(count for status, count in load.statuses.items() if status >= 500)
                lines.append(f"{words}: {load}, {len(lost)} lost")
            shared, single = loads
            lines.append(
                f"shared batches against one by one: {shared.throughput / single.throughput:.2f} x the throughput, "
                f"{shared.percentile(99) / single.percentile(99):.2f} x the p99"
            )
            load = killed(servers[0], photos, options.clients, options.seconds)
            lost = servers[0].lost(load)
            faults += len(lost)
            lines.append(f"killed twice: {load}, {load.unanswered} asked again, {len(lost)} lost")
        finally:
            for server in servers:
                server.stop()
    text = "# Load on the API\n\nMade by `python benchmarks/serving.py RUN`.\n\n" + "".join(f"- {x}\n" for x in lines)
    write_text(RESULTS, text)
    print(text)
    if faults:
        raise SystemExit(f"{faults} screenings lost or answered with 5xx")


if __name__ == "__main__":
    main()
