import torch
import torch.nn.functional as F

from anogan.gan.blur import gaussian_blur


def test_it_keeps_the_mean_and_constants() -> None:
    maps = torch.full((2, 16, 16), 3.0)
    torch.testing.assert_close(gaussian_blur(maps, 1.5), maps)
    spike = torch.zeros(1, 33, 33)
    spike[0, 16, 16] = 1
    smoothed = gaussian_blur(spike, 1.0)
    torch.testing.assert_close(smoothed.sum(), torch.tensor(1.0))
    # the center of a sampled Gaussian of sigma 1, cut at 3: (1 / 2.5059...)^2
    torch.testing.assert_close(smoothed[0, 16, 16], torch.tensor(0.15938), atol=2e-3, rtol=0)


def test_it_is_a_convolution_mirrored_at_the_border() -> None:
    x = torch.rand(2, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    weights = torch.exp(-0.5 * (torch.arange(-6, 7) / 2.0) ** 2)
    kernel = torch.outer(weights, weights).view(1, 1, 13, 13) / weights.sum() ** 2
    padded = F.pad(x, (6, 6, 6, 6), mode="reflect").flatten(0, 1)[:, None]
    torch.testing.assert_close(gaussian_blur(x, 2.0), F.conv2d(padded, kernel).view(2, 3, 20, 20))
