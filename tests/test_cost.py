"""What a large image costs in memory while it is judged and drawn: bytes a pixel, whatever its size."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from anogan.detector import noise
from anogan.results import heatmap, pictures
from anogan.scan import OnDemand, Result, Scan

HEIGHT, WIDTH = 1500, 1000
PIXELS = np.random.default_rng(0).random((HEIGHT, WIDTH, 3), np.float32)
MAP = np.random.default_rng(1).normal(1, 2, (HEIGHT, WIDTH)).astype(np.float32)


def bytes_a_pixel(work: Callable[[], object]) -> float:
    tracemalloc.start()
    try:
        kept = work()
        del kept
        return tracemalloc.get_traced_memory()[1] / (HEIGHT * WIDTH)
    finally:
        tracemalloc.stop()


def packed(folder: Path) -> None:
    maps = OnDemand(dict.fromkeys("0123456", MAP.copy))
    result = Result("a", "scored", score=1.0, anomaly_map=MAP, component_maps=maps)
    pictures.write_maps(folder, Scan(PIXELS, "a"), result)


def test_the_noise_at_native_resolution() -> None:
    assert bytes_a_pixel(lambda: noise.residues(PIXELS)) < 40


def test_a_heat_map() -> None:
    assert bytes_a_pixel(lambda: heatmap.overlay(PIXELS, MAP, (0.0, 3.0))) < 20


def test_maps_are_packed_one_by_one(tmp_path: Path) -> None:
    assert bytes_a_pixel(lambda: packed(tmp_path)) < 38
    with np.load(tmp_path / "maps.npz") as file:
        assert file["image"].tolist() == (PIXELS * 255).round().astype(np.uint8).tolist()
        assert all(np.array_equal(file[f"component_{number}"], MAP.astype(np.float16)) for number in range(7))


def test_strips_leave_no_seam() -> None:
    whole = heatmap.overlay(PIXELS, MAP, (0.0, 3.0))
    rows = [heatmap.overlay(PIXELS[row : row + 1], MAP[row : row + 1], (0.0, 3.0)) for row in range(HEIGHT)]
    assert np.array_equal(whole, np.concatenate(rows))


def test_a_map_is_made_when_it_is_asked_for() -> None:
    asked = []

    def made() -> np.ndarray:
        asked.append(1)
        return MAP

    maps = OnDemand({"one": made, "two": made})
    assert (list(maps), len(maps), "one" in list(maps), asked) == (["one", "two"], 2, True, [])
    assert maps["two"] is MAP and len(asked) == 1
    with pytest.raises(KeyError):
        maps["three"]
