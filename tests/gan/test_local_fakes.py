import pytest
import torch

import anogan.gan.local_fakes
from anogan.config import LocalFakesConfig
from anogan.gan.local_fakes import DIFFUSE, LOCAL, UNSEEN, blobs, local_fakes

VISIBLE = 0.15  # these images are smooth: a blur changes them little
CONFIG = LocalFakesConfig(visible=VISIBLE)


def normal_images(n: int = 16, channels: int = 3, size: int = 32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(n, channels, 8, 8, generator=generator) * 1.6 - 0.8
    return torch.nn.functional.interpolate(coarse, size=(size, size), mode="bilinear")


@pytest.mark.parametrize("kind", [*LOCAL, *DIFFUSE, *UNSEEN])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_kind_changes_only_what_its_mask_admits(kind: str, channels: int) -> None:
    torch.manual_seed(1)
    x = normal_images(channels=channels)
    fakes, mask = local_fakes(x, LocalFakesConfig(layers=1, visible=VISIBLE), (kind,))
    assert fakes.shape == x.shape
    assert mask.shape == (16, 32, 32)
    assert fakes.abs().max() <= 1 + 1e-5
    assert 0 <= mask.min() <= mask.max() <= 1
    assert mask.sum() > 0
    change = (fakes - x).abs().mean(1)
    assert change[mask > 0.5].mean() > VISIBLE
    assert change[mask == 0].mean() < VISIBLE / 3
    smoothed = torch.nn.functional.avg_pool2d(change, 3, stride=1, padding=1)
    assert smoothed[mask == 0].max() < 2 * VISIBLE


def test_the_original_is_left_alone_and_a_seed_repeats() -> None:
    x = normal_images()
    before = x.clone()
    torch.manual_seed(2)
    first = local_fakes(x, CONFIG)
    torch.manual_seed(2)
    second = local_fakes(x, CONFIG)
    assert torch.equal(x, before)
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


@pytest.mark.parametrize("kind", [*LOCAL, *DIFFUSE])
def test_a_cut_out_object_keeps_its_outline(kind: str) -> None:
    """Discs on black: the disc changes, but black neither spreads into it nor gives way to it."""
    torch.manual_seed(3)
    axis = torch.linspace(-1, 1, 32)
    disc = axis[:, None] ** 2 + axis**2 < 0.7
    x = torch.where(disc, normal_images().clamp_min(-0.5), torch.tensor(-1.0))
    fakes, mask = local_fakes(x, LocalFakesConfig(cut_out=True, visible=VISIBLE), (kind,))
    black = fakes.amax(1) <= -0.9
    assert torch.equal(black, ~disc.expand_as(black))
    assert torch.equal(fakes.masked_select(~disc), x.masked_select(~disc))
    assert mask.sum() > 0
    assert mask.masked_select(~disc).max() == 0


def test_what_is_never_taught_is_made_only_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(x: torch.Tensor) -> torch.Tensor:
        raise AssertionError

    for family in ("UNSEEN_LOCAL", "UNSEEN_DIFFUSE"):
        kinds = getattr(anogan.gan.local_fakes, family)
        monkeypatch.setattr(anogan.gan.local_fakes, family, dict.fromkeys(kinds, refuse))
    for _ in range(5):
        local_fakes(normal_images(64), CONFIG)
    with pytest.raises(AssertionError):
        local_fakes(normal_images(), CONFIG, ("fill",))


def test_a_patch_of_identical_images_is_no_fake() -> None:
    """Flat images: whatever place another one is taken from, nothing changes, so nothing may be marked."""
    x = torch.full((8, 1, 32, 32), 0.25)
    fakes, mask = local_fakes(x, CONFIG, ("patch",))
    torch.testing.assert_close(fakes, x)
    assert mask.max() == 0


def test_blobs_respect_their_size() -> None:
    torch.manual_seed(0)
    like = torch.zeros(1)
    small = (blobs(200, 64, 0.1, 0.12, like) > 0.5).float().mean()
    large = (blobs(200, 64, 0.5, 0.6, like) > 0.5).float().mean()
    assert small < 0.03
    assert 0.08 < large < 0.5


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown kind"):
        local_fakes(normal_images(), CONFIG, ("unheard of",))
