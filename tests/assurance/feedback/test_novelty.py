"""The novelty gate, on numbers worked out by hand."""

import numpy as np
import pytest
import torch

from anogan.assurance.feedback.novelty import UNKNOWN, Gate, choose


def gate(rate: float = 0.1) -> Gate:
    """Of 19 calibration images with patches at 0.05, 0.10 ... 1.00 from the bank, 95 % below 0.9525."""
    distances = np.tile(np.arange(1, 21) / 20, (19, 1)).reshape(19, 4, 5)
    return Gate.fit(torch.arange(19.0)[:, None, None].expand(19, 5, 5), distances, rate)


def test_the_limits_come_from_the_calibration_images() -> None:
    found = gate()
    assert found.usual == pytest.approx(0.95, abs=0.03)
    assert found.extreme == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("discriminator", "farthest", "words"),
    [
        (10.0, 1.2, ""),
        (17.0, 1.2, ""),  # one of 19 is as high or higher: p = 3 / 20
        (18.0, 1.2, "the discriminator alone would flag it (p = 0.1)"),
        (99.0, 1.2, "the discriminator alone would flag it (p = 0.05)"),
        (float("nan"), 1.2, "the discriminator alone would flag it"),
        (10.0, 1.5, ""),
        (10.0, 1.51, "a place in it is 1.51 from anything healthy, where 1.5 is extreme; look at it again"),
        (10.0, float("nan"), "from anything healthy"),
        (10.0, 0.9, "there is nothing new in it"),
    ],
)
def test_an_image_is_refused_with_a_reason(discriminator: float, farthest: float, words: str) -> None:
    refusal = gate().refusal(torch.full((5, 5), discriminator), np.array([[0.1, farthest]]))
    assert refusal.startswith(words) or words in refusal
    assert bool(refusal) == bool(words)


def test_a_place_that_always_looks_odd_hides_no_other() -> None:
    """Each calibration image shows 9 at one place; one that shows 5 elsewhere would pass by its largest value."""
    maps = torch.arange(19.0)[:, None, None].expand(19, 5, 5) / 100
    maps = maps + 9 * torch.eye(25).view(25, 5, 5)[0]
    found = Gate.fit(maps, np.array([[0.1, 1.0]] * 19), 0.1)
    odd = maps[3] + 5 * torch.eye(25).view(25, 5, 5)[7]
    assert found.refusal(odd, np.array([[0.1, 1.2]])).startswith("the discriminator alone would flag it (p = 0.05)")
    assert found.refusal(maps[3], np.array([[0.1, 1.2]])) == ""


def bank(size: int = 40) -> torch.Tensor:
    return torch.zeros(size, 2)


def test_what_two_people_show_enters_and_what_one_shows_does_not() -> None:
    patches = torch.tensor([[3.0, 0.0], [3.2, 0.0], [0.0, 3.0], [0.0, 3.1], [0.5, 0.0]])
    assert choose(patches, [1, 2, 3, 3, 1], bank(), 1.0) == [1]  # 3.0 is covered by 3.2; of (0, 3) one person tells
    assert choose(patches, [1, 2, 3, 4, 1], bank(), 1.0) == [1, 3]
    assert choose(patches, [1, 1, 3, 3, 1], bank(), 1.0) == []


def test_an_image_of_nobody_known_is_no_witness_but_may_enter_where_two_persons_show_the_same() -> None:
    """It may be of the one person who shows the same, but not of both where there are two."""
    patches = torch.tensor([[3.0, 0.0], [3.2, 0.0]])
    assert choose(patches, [1, UNKNOWN], bank(), 1.0) == []
    assert choose(patches, [UNKNOWN, UNKNOWN], bank(), 1.0) == []
    assert choose(torch.tensor([[3.0, 0.0], [3.1, 0.0], [3.2, 0.0]]), [1, 2, UNKNOWN], bank(), 1.0) == [2]


def test_a_healthy_patch_is_no_witness() -> None:
    """A lesion at 1.2 lies within 1.0 of another person's healthy patch at 0.5, which proves nothing."""
    assert choose(torch.tensor([[1.2, 0.0], [0.5, 0.0]]), [1, 2], bank(), 1.0) == []


def test_what_a_refused_image_shows_does_not_enter_from_another() -> None:
    patches, owners = torch.tensor([[3.0, 0.0], [3.2, 0.0], [0.0, 3.0], [0.0, 3.1]]), [1, 2, 3, 4]
    assert choose(patches, owners, bank(), 1.0, torch.tensor([[3.0, 0.9], [0.0, 0.5]])) == [3]
    healthy = torch.tensor([[0.9, 0.0]])  # of a refused image
    assert choose(patches, owners, bank(), 1.0, healthy) == [1, 3]
    assert choose(patches, owners, bank(), 1.0, torch.tensor([[3.0, 0.0], [0.0, 3.0]])) == []


def test_there_is_little_room() -> None:
    patches = torch.tensor([[10.0 * k + shift, 0.0] for k in range(1, 9) for shift in (0, 0.1)])
    owners = [1, 2] * 8
    assert len(choose(patches, owners, bank(40), 1.0)) == 2
    assert len(choose(patches, owners, bank(100), 1.0)) == 5
    assert choose(patches, owners, bank(19), 1.0) == []
    assert choose(torch.zeros(0, 2), [], bank(), 1.0) == []
    assert choose(torch.zeros(3, 2), [1, 2, 3], bank(), 1.0) == []
