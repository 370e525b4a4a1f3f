"""An API over a detector that anybody can work out by hand: the score of a photo is the mean of its pixels."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from anogan.api.app import Settings, create_app
from anogan.api.keys import Keys
from anogan.api.screening import Screener
from anogan.api.tables import open_tables
from anogan.detector.calibration import Calibration
from anogan.errors import Code
from anogan.review.cases import NewCase
from anogan.scan import Result, Scan

CALIBRATION = Calibration.fit(np.arange(1, 20) / 20, 0.05)  # 0.05 to 0.95: flagged above 0.95, p = 1 / 20


@dataclass
class MeanDetector:
    calibration: Calibration | None = CALIBRATION
    map_range: tuple[float, float] = (0.0, 1.0)
    batches: list[int] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        return {"name": "mean", "hash": "0" * 16}

    def inspect_many(self, scans: list[Scan], batch: int, examples: bool) -> Iterator[Result]:
        self.batches.append(len(scans))
        for scan in scans:
            score = float(scan.pixels.mean())
            if min(scan.pixels.shape[:2]) < 4:
                yield Result(scan.source, "not scored", reason=f"{scan.source}: no face was found")
                continue
            p_value, flagged, reason, code = None, None, "", Code.OTHER
            if self.calibration is not None:
                p_value, flagged, reason, code = self.calibration.decide(score, scan.group)
            yield Result(
                scan.source,
                "scored",
                reason,
                score,
                p_value,
                flagged,
                anomaly_map=np.full(scan.pixels.shape[:2], score, np.float32),
                components={"discriminator": score, "spectrum": 0.0},
                code=code,
            )


class MemoryDesk:
    """A review desk that may be down."""

    def __init__(self) -> None:
        self.cases: dict[str, NewCase] = {}
        self.down = False

    def add(self, case: NewCase) -> int:
        if self.down:
            raise ValueError("the desk is down")
        self.cases.setdefault(case.key, case)
        return len(self.cases)

    def withdraw(self, key: str, settled: bool = False) -> bool:
        if self.down:
            raise ValueError("the desk is down")
        if settled and key in self.cases:
            return False  # nobody decides here
        self.cases.pop(key, None)
        return True


def photo(value: int = 0, side: int = 8, kind: str = "PNG", **options: Any) -> bytes:
    """Return a gray photo in the bytes of a file."""
    buffer = io.BytesIO()
    Image.fromarray(np.full((side, side), value, np.uint8)).save(buffer, kind, **options)
    return buffer.getvalue()


def texture(seed: int, side: int = 64) -> bytes:
    """Return a photo of something, gray, in the bytes of a file."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC).save(buffer, "PNG")
    return buffer.getvalue()


def figures(api: SimpleNamespace) -> str:
    """Return what Prometheus is told."""
    key = api.keys.create("operations", ["metrics", "admin"])
    return str(api.client.get("/metrics", headers={"Authorization": f"Bearer {key}"}).text)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., SimpleNamespace]]:
    """Return a function that starts the API and returns its parts; the same folder is served again after it."""
    opened: list[TestClient] = []

    def start(
        detector: Any = None, settings: Settings | None = None, desk: Any = None, database: str = ""
    ) -> SimpleNamespace:
        detector, desk = detector or MeanDetector(), desk or MemoryDesk()
        engine = open_tables(database or str(tmp_path / "desk.db"))
        keys = Keys(engine)
        screener = Screener(tmp_path, detector, engine, tmp_path / "store", desk)
        app = create_app(screener, keys, settings or Settings(hosts=("testserver",), wait=0.0))
        client = TestClient(app, raise_server_exceptions=False)
        client.__enter__()
        opened.append(client)
        client.headers["Authorization"] = f"Bearer {keys.create('tests', rate='100000/minute')}"

        def send(
            data: bytes | None = None,
            reference: str | None = None,
            idempotency: str = "",
            group: str | None = None,
            **more: Any,
        ) -> Any:
            fields = {k: v for k, v in (("reference", reference), ("group", group)) if v is not None}
            headers = {"Idempotency-Key": idempotency} if idempotency else {}
            files = {"image": ("anybody.png", photo() if data is None else data)}
            return client.post("/v1/screenings", files=files, data=fields, headers=headers | more)

        return SimpleNamespace(
            client=client, send=send, desk=desk, keys=keys, screener=screener, detector=detector, app=app,
            store=tmp_path / "store", stop=lambda: (opened.remove(client), client.__exit__()),
        )  # fmt: skip

    yield start
    for client in opened:
        client.__exit__()
