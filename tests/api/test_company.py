"""A photo's score over HTTP is that of `inspect`, whoever else sends one meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from anogan import io
from anogan.detector import Detector


def test_alone_or_together(serve: Callable[..., SimpleNamespace], tiny_detector: Detector, tiny_folder: Path) -> None:
    files = sorted((tiny_folder / "healthy").iterdir())[:6] + sorted((tiny_folder / "abnormal").iterdir())[:3]
    own = [tiny_detector.inspect(io.read_scan(file)) for file in files]
    api = serve(detector=tiny_detector)
    alone = [api.send(file.read_bytes()).json() for file in files[:2]]
    with ThreadPoolExecutor(len(files)) as senders:
        together = [answer.json() for answer in senders.map(lambda file: api.send(file.read_bytes()), files)]
    for found, expected in zip([*alone, *together], [*own[:2], *own], strict=True):
        assert found["score"] == pytest.approx(expected.score, abs=1e-6)
        assert found["p_value"] == pytest.approx(expected.p_value, abs=1e-9)
