from pathlib import Path

import torch

from anogan.data.dataset import open_dataset
from anogan.detector import Detector
from anogan.detector.reference import BANDS, DIMENSIONS, PatchBank, PositionGaussian, embed, make_projection, spectrum
from anogan.gan.blur import gaussian_blur

NOTHING = torch.zeros(1, 1, 1, 1)  # is changed by rounding


def test_gaussian_distance_grows_in_both_directions() -> None:
    torch.manual_seed(0)
    healthy = torch.randn(500, 4, 3, 3)
    gaussian = PositionGaussian.fit(healthy, NOTHING)
    at_mean = gaussian.distance(gaussian.mean.permute(2, 0, 1)[None])
    torch.testing.assert_close(at_mean, torch.zeros(1, 3, 3))
    up, down = gaussian.distance(torch.full((1, 4, 3, 3), 3.0)), gaussian.distance(torch.full((1, 4, 3, 3), -3.0))
    # nearly white features: the distance of (3, 3, 3, 3) is about 6
    assert (up - 6).abs().max() < 0.8
    assert (down - 6).abs().max() < 0.8


def test_gaussian_stands_constant_places() -> None:
    healthy = torch.randn(50, 4, 2, 2)
    healthy[:, :, 0, 0] = 0.0
    distance = PositionGaussian.fit(healthy, NOTHING).distance(healthy)
    assert torch.isfinite(distance).all()


def test_bank_knows_its_own_patches() -> None:
    torch.manual_seed(0)
    healthy = torch.randn(4, 6, 5, 5)
    bank = PatchBank.fit(healthy, 1000, 0)
    assert bank.bank.shape == (100, 6)
    # cdist's matrix form leaves rounding of the order of the square root of the machine precision
    assert bank.distance(healthy).max() < 5e-3
    far = bank.distance(torch.full((1, 6, 5, 5), 10.0))
    assert far.min() > 10


def test_the_coreset_keeps_the_outliers() -> None:
    """Farthest-point sampling keeps both of two far clusters even when one has a single member."""
    torch.manual_seed(0)
    healthy = 0.01 * torch.randn(10, 2, 4, 4)
    healthy[3, :, 2, 2] = 50
    bank = PatchBank.fit(healthy, 12, 0)
    assert bank.bank.shape == (12, 2)
    assert (bank.bank > 40).all(1).sum() == 1


def test_projection_balances_the_levels() -> None:
    torch.manual_seed(0)
    loud, quiet = 100 * torch.randn(64, 8, 8, 8), torch.randn(64, 8, 4, 4)
    projection = make_projection([loud, quiet], [NOTHING, NOTHING], 0)
    assert projection.shape == (16, DIMENSIONS)
    parts = [(loud.var(0).sum(0).mean(), projection[:8]), (quiet.var(0).sum(0).mean(), projection[8:])]
    energies = [float(variance / 8 * rows.square().sum()) for variance, rows in parts]
    assert 0.5 < energies[0] / energies[1] < 2
    assert embed([loud, quiet], 8, projection).shape == (64, DIMENSIONS, 8, 8)


def test_the_spectrum_finds_too_smooth_as_odd_as_too_rough() -> None:
    generator = torch.Generator().manual_seed(0)
    healthy = gaussian_blur(torch.randn(60, 1, 32, 32, generator=generator), 0.7)
    model = PositionGaussian.fit(spectrum(healthy[:50]), NOTHING)
    query = healthy[50:]
    smooth, rough = query.clone(), query.clone()
    smooth[:, :, :16, :16] = gaussian_blur(query, 1.5)[:, :, :16, :16]
    rough[:, :, :16, :16] += 0.5 * torch.randn(10, 1, 16, 16, generator=generator)
    usual, of_smooth, of_rough = (model.distance(spectrum(x)) for x in (query, smooth, rough))
    for odd in (of_smooth, of_rough):
        assert odd[:, 2:12, 2:12].mean() > 1.5 * usual[:, 2:12, 2:12].mean()
        assert odd[:, 24:, 24:].mean() < 1.1 * usual[:, 24:, 24:].mean()


def test_the_spectrum_of_a_wave_is_in_its_band() -> None:
    """The pass band of the differences of Gaussians falls with the octave: a finer wave has its peak earlier."""
    axis = torch.arange(64.0)
    peaks = []
    for period in (3, 6, 12):
        wave = 0.5 * torch.sin(2 * torch.pi * axis / period).expand(1, 1, 64, 64)
        bands = spectrum(wave)[0, :, 8:24, 8:24].mean((1, 2))
        assert bands.shape == (BANDS,)
        peaks.append(int(bands.argmax()))
    assert peaks == sorted(set(peaks))
    assert spectrum(torch.rand(2, 3, 128, 128)).shape == (2, BANDS, 32, 32)


def test_the_bank_knows_which_image_each_patch_comes_from() -> None:
    torch.manual_seed(0)
    healthy = torch.arange(20.0)[:, None, None, None] + 0.1 * torch.rand(20, 3, 4, 4)
    for size in (30, 1000):  # a coreset, and all patches
        bank = PatchBank.fit(healthy, size, 0)
        assert bank.origin is not None
        assert torch.equal(bank.bank.floor(), bank.origin[:, None].float().expand(-1, 3))
        left = bank.without([3, 7])
        assert left.origin is not None
        kept = (bank.origin != 3) & (bank.origin != 7)
        assert torch.equal(left.bank, bank.bank[kept])
        assert torch.equal(left.origin, bank.origin[kept])
        assert (~kept).any()


def test_the_bank_of_a_detector_holds_patches_of_the_images_it_names(
    tiny_folder: Path, tiny_detector: Detector
) -> None:
    config, reference = tiny_detector.config, tiny_detector.reference
    train = open_dataset(tiny_folder, config).train
    rest, _ = train.split_by_subject(config.training.holdout, config.training.seed)
    images = torch.from_numpy(rest.load(config)[0])
    assert reference.bank.origin is not None
    for image in reference.bank.origin.unique().tolist()[:5]:
        with torch.no_grad():
            features = tiny_detector.networks.discriminator.features(images[image : image + 1])
        embedded = embed(features, reference.gaussian.mean.shape[0], reference.projection)
        own = PatchBank(embedded.permute(0, 2, 3, 1).reshape(-1, embedded.shape[1]))
        patches = reference.bank.bank[reference.bank.origin == image]
        assert own.distance(patches.T[None, :, :, None]).max() < 1e-2 * patches.norm(dim=1).max()


def test_the_nearest_patch_names_the_image_it_comes_from() -> None:
    bank = PatchBank(torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]]), torch.tensor([5, 7, 9], dtype=torch.int32))
    embedded = torch.tensor([[[[1.0, 8.0], [9.0, 0.0]], [[0.0, 1.0], [0.0, 6.0]]]])  # (1, 2, 2, 2)
    assert bank.nearest(embedded).tolist() == [[[5, 7], [7, 9]]]
