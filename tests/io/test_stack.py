"""The slices of a series in its case folder, read back one by one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from anogan.io.stack import open_stack, write_stack
from anogan.scan import Result, Scan, Series, SeriesResult

RANGE = (1.0, 5.0)


def volume(shape: tuple[int, ...] = (4, 6), slices: int = 3) -> tuple[Series, SeriesResult]:
    scans = tuple(Scan(np.full(shape, place / 10, np.float32), f"{place}.dcm") for place in range(slices))
    healthy = np.full(shape, 0.5, np.float32)
    said = tuple(
        Result(scan.source, "scored", score=1.0, anomaly_map=np.full(shape[:2], float(place)), reconstruction=healthy)
        for place, scan in enumerate(scans)
    )
    blank = Result("0.dcm", "not scored", "0.dcm: is blank")
    return Series(scans, "study"), SeriesResult("study", "scored", "", slices=(blank, *said[1:]), top=(2,))


def test_each_slice_comes_back_with_its_own_map(tmp_path: Path) -> None:
    write_stack(tmp_path, *volume(), RANGE)
    stack = open_stack(tmp_path, RANGE)
    assert stack is not None
    assert stack.count == 3
    first, second, third = (stack.read(number) for number in (1, 2, 3))
    assert set(first) == {"image"}, "what was not scored has no map"
    assert set(second) == {"image", "anomaly_map"}, "only a top slice has its reconstruction"
    assert [int(one["image"][0, 0]) for one in (first, second, third)] == [0, 26, 51]  # 255 / 10 and 255 / 5, rounded
    assert second["anomaly_map"] == pytest.approx(np.full((4, 6), 1.0))
    assert third["anomaly_map"] == pytest.approx(np.full((4, 6), 2.0), abs=4 / 255 / 2)
    assert third["reconstruction"].tolist() == [[128] * 6] * 4


def test_without_a_scale_there_are_images_alone(tmp_path: Path) -> None:
    write_stack(tmp_path, *volume(), RANGE)
    stack = open_stack(tmp_path, None)
    assert stack is not None
    assert set(stack.read(3)) == {"image"}


@pytest.mark.parametrize(("shape", "kept"), [((40, 60), (20, 30)), ((40, 60, 3), (20, 30, 3)), ((20, 30), (20, 30))])
def test_what_is_too_large_is_kept_smaller(tmp_path: Path, shape: tuple[int, ...], kept: tuple[int, ...]) -> None:
    write_stack(tmp_path, *volume(shape), RANGE, most=3 * 20 * 30)
    stack = open_stack(tmp_path, RANGE)
    assert stack is not None
    found = stack.read(3)
    assert found["image"].shape == found["reconstruction"].shape == kept
    assert found["anomaly_map"].shape == kept[:2]


def test_faults_are_a_sentence(tmp_path: Path) -> None:
    assert open_stack(tmp_path, RANGE) is None
    write_stack(tmp_path, *volume(), RANGE)
    stack, path = open_stack(tmp_path, RANGE), tmp_path / "slices.npz"
    assert stack is not None
    with pytest.raises(ValueError, match="slice 4: expected 1 to 3"):
        stack.read(4)
    path.write_bytes(path.read_bytes()[:80])
    with pytest.raises(ValueError, match=r"slices.npz: is damaged; score the series again"):
        stack.read(1)
    with pytest.raises(ValueError, match=r"slices.npz: is damaged; score the series again"):
        open_stack(tmp_path, RANGE)


def test_a_slice_that_says_it_is_encrypted_is_damaged(tmp_path: Path) -> None:
    write_stack(tmp_path, *volume(), RANGE)
    path = tmp_path / "slices.npz"
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1  # one bit in the directory of the archive
    path.write_bytes(data)
    stack = open_stack(tmp_path, RANGE)
    assert stack is not None
    with pytest.raises(ValueError, match=r"slices.npz: is damaged; score the series again$"):
        stack.read(1)
