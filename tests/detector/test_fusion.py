import torch

from anogan.detector.fusion import COMPONENTS, Fusion, _standard_error, component_scores
from anogan.gan.losses import top_mean


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
    fusion = Fusion.fit(healthy, healthy, fakes, 0.01)
    standardized = fusion.standardize(healthy)
    scores = component_scores(standardized)
    torch.testing.assert_close(scores.mean(0), torch.zeros(len(COMPONENTS)), atol=1e-4, rtol=0)
    torch.testing.assert_close(scores.std(0), torch.ones(len(COMPONENTS)), atol=1e-4, rtol=0)


def test_the_score_of_a_component_is_the_mean_of_its_top_four_percent() -> None:
    maps = torch.arange(200.0).view(1, 2, 10, 10)
    torch.testing.assert_close(component_scores(maps), torch.tensor([[97.5, 197.5]]))


def test_a_place_is_not_judged_by_what_is_usual_there() -> None:
    """What all healthy images show at a place stays in the map: the offset is one number for each component."""
    healthy, fakes = make_maps(("discriminator",))
    healthy[..., :4] += 0.2
    fusion = Fusion.fit(healthy, healthy, fakes, 0.01)
    by_hand = healthy[..., :4].mean() - healthy[..., 4:].mean()
    standardized = fusion.standardize(healthy) * fusion.scale[:, None, None]
    torch.testing.assert_close(standardized[..., :4].mean() - standardized[..., 4:].mean(), by_hand, atol=1e-4, rtol=0)


def test_what_tells_places_apart_rather_than_images_gets_no_say_by_it() -> None:
    healthy, fakes = make_maps(("discriminator",))
    border = torch.zeros(16, 16)
    border[:, :8] = 50.0
    healthy[:, 0] += border
    scale = Fusion.fit(healthy, healthy, fakes, 0.01).scale
    torch.testing.assert_close(scale[0], torch.tensor(25.0), atol=0.5, rtol=0)
    assert scale[1:].max() < 1


def weights(seeing: tuple[str, ...], n: int = 100) -> dict[str, float]:
    healthy, fakes = make_maps(seeing, n=n)
    found = Fusion.fit(healthy, healthy, fakes, 0.01).weights
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


def test_an_image_is_as_odd_as_the_odder_of_focal_and_diffuse() -> None:
    healthy, fakes = make_maps(("discriminator",))
    fusion = Fusion.fit(healthy, healthy, fakes, 0.01)
    k = COMPONENTS.index("discriminator")

    def scores(maps: torch.Tensor) -> torch.Tensor:
        standardized = fusion.standardize(maps)
        return fusion.score(standardized, fusion.fuse(standardized))

    assert abs(float(scores(healthy).mean())) < 0.7  # the larger of two standard scores
    focal, diffuse = healthy.clone(), healthy.clone()
    focal[:, k, 4:6, 4:6] += 5
    diffuse[:, k] += 0.3  # nowhere striking, everywhere there
    for odd in (focal, diffuse):
        assert (scores(odd) > scores(healthy).quantile(0.95)).float().mean() > 0.8
    struck = fusion.fuse(fusion.standardize(diffuse)), fusion.fuse(fusion.standardize(healthy))
    assert (top_mean(struck[0], 0.01) > top_mean(struck[1], 0.01).quantile(0.95)).float().mean() < 0.8


def test_without_the_discriminator_nothing_is_diffuse() -> None:
    healthy, fakes = make_maps(("discriminator",))
    others = torch.tensor([float(name == "gaussian") for name in COMPONENTS])
    fusion = Fusion.fit(healthy, healthy, fakes, 0.01).weigh(others, healthy, healthy)
    standardized = fusion.standardize(healthy)
    scores = fusion.score(standardized, fusion.fuse(standardized))
    torch.testing.assert_close(scores.mean(), torch.tensor(0.0), atol=1e-4, rtol=0)
    torch.testing.assert_close(scores.std(), torch.tensor(1.0), atol=1e-4, rtol=0)
