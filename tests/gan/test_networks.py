import pytest
import torch

from anogan.gan.networks import Discriminator, Encoder, Generator, bounded


@pytest.mark.parametrize(("channels", "size"), [(1, 32), (3, 64), (1, 96), (1, 128), (1, 192), (1, 256), (1, 512)])
def test_shapes(channels: int, size: int) -> None:
    x = torch.rand(2, channels, size, size)
    discriminator = Discriminator(channels, size, 8)
    judged = discriminator(x)
    assert judged.image.shape == (2,)
    assert judged.pixels.shape == (2, size, size)
    finest = {32: 16, 64: 32, 96: 48, 128: 32, 192: 48, 256: 32, 512: 32}[size]
    assert [f.shape[-1] for f in judged.features] == [finest // k for k in (1, 2, 4, 4, 2)]
    z = Encoder(channels, size, 8, 5)(x)
    assert z.shape == (2, 5)
    image = Generator(channels, size, 8, 5)(z)
    assert image.shape == x.shape


def test_judging_only_the_image_gives_the_same_logit() -> None:
    discriminator = Discriminator(1, 32, 8)
    x = torch.rand(3, 1, 32, 32)
    torch.testing.assert_close(discriminator.judge_image(x), discriminator(x).image)


def test_features_alone_are_those_of_a_judgment() -> None:
    torch.manual_seed(0)
    discriminator = Discriminator(1, 32, 8)
    x = torch.rand(3, 1, 32, 32)
    alone, judged = discriminator.features(x), discriminator(x).features
    assert len(alone) == len(judged)
    for level, other in zip(alone, judged, strict=True):
        torch.testing.assert_close(level, other)


def test_pixel_logits_stay_in_place() -> None:
    """A change in one corner moves the logits there more than in the opposite corner."""
    torch.manual_seed(0)
    discriminator = Discriminator(1, 64, 8)
    x = torch.zeros(1, 1, 64, 64)
    changed = x.clone()
    changed[:, :, 4:12, 4:12] = 1
    moved = (discriminator(changed).pixels - discriminator(x).pixels).abs()[0]
    assert moved[:16, :16].mean() > 3 * moved[48:, 48:].mean()


def test_images_of_a_batch_do_not_influence_each_other() -> None:
    torch.manual_seed(0)
    discriminator = Discriminator(1, 32, 8)
    x = torch.rand(4, 1, 32, 32)
    torch.testing.assert_close(discriminator(x).pixels[:1], discriminator(x[:1]).pixels)


def test_bounded_lets_only_the_way_back_in_pass() -> None:
    x = torch.tensor([-3.0, -3.0, -0.5, 0.5, 3.0, 3.0], requires_grad=True)
    y = bounded(x)
    assert y.tolist() == [-1, -1, -0.5, 0.5, 1, 1]
    y.backward(torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0, -1.0]))  # descent goes against it
    assert x.grad is not None
    assert x.grad.tolist() == [0, -1, 1, -1, 1, 0]


def test_a_generator_far_off_still_has_a_gradient() -> None:
    """With tanh, one that the game drove to black everywhere could never come back."""
    torch.manual_seed(0)
    generator = Generator(1, 32, 8, 5)
    torch.nn.init.constant_(generator.output.bias, -20.0)
    images = generator(torch.randn(4, 5))
    assert (images == -1).all()
    (images - 0.5).abs().mean().backward()
    assert generator.output.bias.grad is not None
    assert generator.output.bias.grad.abs() > 0.5
