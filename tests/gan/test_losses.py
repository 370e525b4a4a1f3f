import math

import torch

from anogan.gan import losses


def test_relativistic_losses_by_hand() -> None:
    real, generated = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 0.0])
    expected = torch.tensor([math.log(1 + math.exp(-2)), math.log(2)])
    torch.testing.assert_close(losses.discriminator_loss(real, generated), expected)
    torch.testing.assert_close(losses.generator_loss(generated, real), expected)


def test_gradient_penalty_of_a_plane_is_its_squared_slope() -> None:
    """For D(x) = a . x the squared gradient norm is |a|^2, whatever the step."""
    torch.manual_seed(0)
    slope = torch.randn(1, 1, 8, 8)

    def judge(x: torch.Tensor) -> torch.Tensor:
        return (x * slope).sum((1, 2, 3))

    x = torch.rand(20000, 1, 8, 8)
    estimate = losses.gradient_penalty(judge, x, judge(x)).mean()
    torch.testing.assert_close(estimate, slope.square().sum(), rtol=0.05, atol=0)


def test_pixel_loss_is_plain_cross_entropy_without_fakes() -> None:
    logits = torch.zeros(2, 4, 4)
    torch.testing.assert_close(losses.pixel_loss(logits, torch.zeros(2, 4, 4)), torch.full((2,), math.log(2)))


def test_pixel_loss_weighs_a_rare_fake_by_the_square_root() -> None:
    """One fake pixel of 100: its weight is sqrt(0.99 / 0.011), all losses are log 2."""
    target = torch.zeros(1, 10, 10)
    target[0, 0, 0] = 1
    weight = math.sqrt(0.99 / 0.011)
    expected = math.log(2) * (99 + weight) / 100
    torch.testing.assert_close(losses.pixel_loss(torch.zeros(1, 10, 10), target), torch.tensor([expected]))


def test_residuals_vanish_only_for_equal_images() -> None:
    x = torch.rand(2, 3, 8, 8)
    assert losses.pixel_residual(x, x).abs().max() == 0
    shifted = x.clone()
    shifted[:, :, 2, 3] += 0.6
    residual = losses.pixel_residual(x, shifted)
    torch.testing.assert_close(residual[:, 2, 3], torch.full((2,), 0.6))
    assert residual.sum() < 1.2001
    features = [torch.rand(2, 4, 8, 8), torch.rand(2, 4, 4, 4)]
    assert losses.feature_residual(features, features, 8).abs().max() == 0
    assert losses.feature_residual(features, [f + 1 for f in features], 8).min() > 0


def test_a_feature_residual_does_not_depend_on_the_rest_of_the_batch() -> None:
    generator = torch.Generator().manual_seed(0)
    features = [torch.rand(4, 3, 8, 8, generator=generator) * torch.tensor([1.0, 5, 20, 100]).view(4, 1, 1, 1)]
    others = [level + 0.1 for level in features]
    together = losses.feature_residual(features, others, 8)
    alone = losses.feature_residual([level[:1] for level in features], [level[:1] for level in others], 8)
    torch.testing.assert_close(together[:1], alone)
