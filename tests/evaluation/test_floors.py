"""Floors on images whose order is known."""

from pathlib import Path

import numpy as np
import pytest

from anogan.config import Config, InputConfig
from anogan.data.dataset import Item, ScanSet
from anogan.evaluation.floors import _unexplained, floors
from anogan.io import write_png

CONFIG = Config(input=InputConfig(size=32))


def flat(folder: Path, name: str, level: int, label: int) -> Item:
    write_png(folder / f"{name}.png", np.full((20, 20), level, np.uint8))
    return Item(folder / f"{name}.png", name, label)


def rows(scans: ScanSet, scores: list[float]) -> list[dict[str, object]]:
    return [{"file": str(item.path), "score": score} for item, score in zip(scans, scores, strict=True)]


def test_floors_by_hand(tmp_path: Path) -> None:
    train = ScanSet("train", tuple(flat(tmp_path, f"t{level}", level, 0) for level in (100, 110, 120)))
    # Distance to training: healthy 1 and 5, abnormal 20, 3 and 40; all abnormal images are darker.
    test = ScanSet(
        "test",
        (
            flat(tmp_path, "h101", 101, 0),
            flat(tmp_path, "h125", 125, 0),
            *(flat(tmp_path, f"a{level}", level, 1) for level in (80, 97, 60)),
        ),
    )
    scores = rows(test, [0.0, 1.0, 2.0, 3.0, 4.0])
    nearest, components, forest, statistic = floors(train, test, CONFIG, scores)
    assert nearest.auroc.value == pytest.approx(5 / 6)
    assert nearest.difference.value == pytest.approx(1 / 6)
    assert components.name.startswith("principal components")
    assert forest.name.startswith("isolation forest")
    assert statistic.name == "best single statistic: low mean"
    assert statistic.auroc.value == pytest.approx(1.0)
    assert statistic.difference.value == pytest.approx(0.0)


def test_only_images_that_were_scored_count(tmp_path: Path) -> None:
    train = ScanSet("train", tuple(flat(tmp_path, f"t{level}", level, 0) for level in (100, 101)))
    test = ScanSet("test", tuple(flat(tmp_path, f"{k}", level, k % 2) for k, level in enumerate((100, 50, 101, 49, 0))))
    scored = ScanSet("test", test.items[:4])
    assert floors(train, test, CONFIG, rows(scored, [0, 1, 0, 1]))[0].auroc.value == 1.0
    assert floors(ScanSet("train", ()), test, CONFIG, rows(scored, [0, 1, 0, 1])) == []


def test_what_the_components_of_the_training_images_cannot_draw(tmp_path: Path) -> None:
    """Training images are shades of one pattern; a shade far off is drawn by it, another pattern is not."""
    generator = np.random.default_rng(0)
    memory = generator.normal(size=(30, 1)) * np.linspace(-1, 1, 50) + 1e-3 * generator.normal(size=(30, 50))
    shade, other = 3 * np.linspace(-1, 1, 50), np.where(np.arange(50) % 2, 1.0, -1.0)
    left = _unexplained(memory, np.stack([shade, other]))
    assert left[0] < 0.5
    assert left[1] == pytest.approx(50, rel=0.05)


def test_classical_peers_find_a_pattern_that_training_images_have_not(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)

    def drawn(name: str, label: int) -> Item:
        pixels = generator.integers(90, 110, (16, 16)).astype(np.uint8)
        pixels[:, :8] += 60 * np.uint8(label)
        write_png(tmp_path / f"{name}.png", pixels)
        return Item(tmp_path / f"{name}.png", name, label)

    train = ScanSet("train", tuple(drawn(f"t{k}", 0) for k in range(30)))
    test = ScanSet("test", tuple(drawn(f"{k}", k % 2) for k in range(16)))
    found = {floor.name: floor.auroc.value for floor in floors(train, test, CONFIG, rows(test, [0.0] * 16))}
    assert found["principal components, raw pixels"] == 1.0
    assert found["isolation forest, raw pixels"] == 1.0
