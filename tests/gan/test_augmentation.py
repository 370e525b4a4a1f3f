import torch

from anogan.config import AugmentationConfig
from anogan.gan.augmentation import augment, perturb

STILL = AugmentationConfig(shift=0, brightness=0, contrast=0, cutout=0)


def images() -> torch.Tensor:
    return torch.rand(64, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_nothing_allowed_changes_nothing() -> None:
    x = images()
    assert torch.equal(augment(x, STILL), x)
    torch.testing.assert_close(perturb(x, STILL), x)


def test_flips_and_turns_only_rearrange_pixels() -> None:
    torch.manual_seed(0)
    x = images()
    turned = augment(x, AugmentationConfig(flip_horizontal=True, flip_vertical=True, rotate=True))
    assert not torch.equal(turned, x)
    torch.testing.assert_close(turned.flatten(2).sort(-1).values, x.flatten(2).sort(-1).values)


def test_color_leaves_black_black() -> None:
    torch.manual_seed(0)
    x = images()
    x[:, :, :4] = -1
    colored = augment(x, AugmentationConfig(color=0.3))
    assert torch.equal(colored[:, :, :4], x[:, :, :4])
    ratio = (colored[0, :, 8] + 1) / (x[0, :, 8] + 1)
    assert ratio.min() > 0.69
    assert ratio.max() < 1.31


def test_perturbation_is_differentiable_and_bounded() -> None:
    torch.manual_seed(0)
    x = images().requires_grad_()
    config = AugmentationConfig(brightness=0.2, contrast=0, shift=0, cutout=0)
    perturbed = perturb(x, config)
    assert (perturbed - x).abs().max() <= 0.2 + 1e-6
    perturbed.sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, torch.ones_like(x))


def test_cutout_hides_at_most_its_square() -> None:
    torch.manual_seed(0)
    x = images() + 3  # no pixel is zero before
    hidden = (perturb(x, AugmentationConfig(shift=0, brightness=0, contrast=0, cutout=0.5)) == 0).all(1).sum((1, 2))
    assert 0 < hidden.max() <= 64
    assert (hidden == 0).any()
