import torch

from anogan.scoring import COMPONENTS, Fusion, _standard_error, top_mean


def test_top_mean_by_hand() -> None:
    maps = torch.arange(100.0).view(1, 10, 10)
    assert top_mean(maps, 0.01).item() == 99
    assert top_mean(maps, 0.03).item() == 98
    assert top_mean(maps, 1.0).item() == 49.5
    assert top_mean(maps, 1e-9).item() == 99  # at least one pixel


def make_maps(seeing: tuple[str, ...], seed: int = 0, n: int = 100) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Component maps of healthy images and of one kind of fake, which only the components named notice."""
    generator = torch.Generator().manual_seed(seed)
    healthy, fakes = (torch.randn(n, len(COMPONENTS), 16, 16, generator=generator) for _ in range(2))
    for name in seeing:
        fakes[:, COMPONENTS.index(name), 4:8, 4:8] += 1.3
    return healthy, [fakes]


def test_healthy_scores_are_standard() -> None:
    healthy, fakes = make_maps(("discriminator",))
    fusion = Fusion.fit(healthy, fakes, 0.01)
    standardized = fusion.standardize(healthy)
    for k in range(len(COMPONENTS)):
        scores = top_mean(standardized[:, k], 0.01)
        torch.testing.assert_close(scores.mean(), torch.tensor(0.0), atol=1e-4, rtol=0)
        torch.testing.assert_close(scores.std(), torch.tensor(1.0), atol=1e-4, rtol=0)


def weights(seeing: tuple[str, ...], n: int = 100) -> dict[str, float]:
    found = Fusion.fit(*make_maps(seeing, n=n), 0.01).weights
    assert torch.isclose(found.sum(), torch.tensor(1.0))
    return {name: round(float(weight), 3) for name, weight in zip(COMPONENTS, found, strict=True)}


SECOND = ("feature_residual", "gaussian", "neighbors", "spectrum")


def test_a_second_opinion_that_sees_what_the_discriminator_sees_gets_half() -> None:
    assert weights(("discriminator", *SECOND)) == {"discriminator": 0.5, "residual": 0, **dict.fromkeys(SECOND, 0.125)}


def test_a_blind_second_opinion_gets_little() -> None:
    found = weights(("discriminator",), n=300)
    assert found["discriminator"] >= 0.8
    assert found["residual"] == 0


def test_few_images_cannot_speak_against_it() -> None:
    assert weights(("discriminator",), n=4)["discriminator"] == 0.5


def test_a_residual_has_to_earn_its_part() -> None:
    assert weights(("discriminator", "residual", *SECOND))["residual"] == 0.15
    assert weights(("discriminator", *SECOND))["residual"] == 0


def test_the_standard_error_of_a_table_that_depends_on_one_side_only() -> None:
    values = torch.arange(40.0)
    by_hand = float(values.std(correction=0)) / 40**0.5  # of the mean of 40 independent values
    assert abs(_standard_error(values.expand(40, 40)) / by_hand - 1) < 0.1
    assert _standard_error(torch.ones(40, 40)) < 1e-6
