import torch
from torch import nn

from anogan.config import InversionConfig
from anogan.gan.inversion import invert


class Plane(nn.Module):
    """A generator whose inversion is known: the latent is the image's two pixels."""

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return z.view(-1, 1, 1, 2)


class Guess(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1) + 0.3


def squared(x: torch.Tensor, reconstruction: torch.Tensor) -> torch.Tensor:
    return (x - reconstruction).square().mean((1, 2, 3))


IMAGES = torch.tensor([[0.1, -0.4], [0.5, 0.2], [-0.7, 0.0]]).view(3, 1, 1, 2)


def test_without_steps_the_guess_stands() -> None:
    found = invert(IMAGES, Plane(), Guess(), squared, InversionConfig())
    torch.testing.assert_close(found.latent, IMAGES.flatten(1) + 0.3)
    assert found.restarts is None


def test_refinement_finds_the_latent() -> None:
    found = invert(IMAGES, Plane(), Guess(), squared, InversionConfig(steps=200, learning_rate=0.05, patience=50))
    torch.testing.assert_close(found.latent, IMAGES.flatten(1), atol=0.02, rtol=0)
    torch.testing.assert_close(found.reconstruction, IMAGES, atol=0.02, rtol=0)


def test_refinement_never_ends_above_its_start_and_its_best_never_rises() -> None:
    """A learning rate far too large: the steps overshoot, the best latent seen is kept."""
    history: list[torch.Tensor] = []
    config = InversionConfig(steps=20, learning_rate=5.0, patience=20)
    found = invert(IMAGES, Plane(), Guess(), squared, config, callback=lambda step, best: history.append(best))
    assert (squared(IMAGES, found.reconstruction) <= squared(IMAGES, IMAGES + 0.3) + 1e-7).all()
    assert all((later <= earlier).all() for earlier, later in zip(history, history[1:], strict=False))


def test_early_exit() -> None:
    """Nothing can be gained: it stops after `patience` further steps instead of running all 500."""
    steps: list[int] = []
    config = InversionConfig(steps=500, patience=3)
    invert(
        IMAGES,
        Plane(),
        Guess(),
        lambda x, reconstruction: (reconstruction * 0).sum((1, 2, 3)) + 1,
        config,
        callback=lambda step, best: steps.append(step),
    )
    assert steps == [0, 1, 2, 3]


def test_restarts_end_apart_and_do_not_depend_on_the_batch() -> None:
    config = InversionConfig(steps=3, restarts=4)
    together = invert(IMAGES, Plane(), Guess(), squared, config)
    alone = invert(IMAGES[1:2], Plane(), Guess(), squared, config)
    assert together.restarts is not None
    assert alone.restarts is not None
    assert together.restarts.shape == (4, len(IMAGES), together.latent.shape[1])
    assert (together.restarts.std(0) > 0).all()
    torch.testing.assert_close(together.restarts[:, 1:2], alone.restarts)
    torch.testing.assert_close(together.restarts.sub(together.latent).abs().amin(0), torch.zeros_like(together.latent))
    torch.testing.assert_close(together.latent[1:2], alone.latent)
