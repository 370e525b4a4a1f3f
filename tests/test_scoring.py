import torch

from anogan.scoring import Fusion, _shortest_good, smooth, top_mean


def test_top_mean_by_hand() -> None:
    maps = torch.arange(100.0).view(1, 10, 10)
    assert top_mean(maps, 0.01).item() == 99
    assert top_mean(maps, 0.03).item() == 98
    assert top_mean(maps, 1.0).item() == 49.5
    assert top_mean(maps, 1e-9).item() == 99  # at least one pixel


def test_smoothing_keeps_the_mean_and_constants() -> None:
    maps = torch.full((2, 16, 16), 3.0)
    torch.testing.assert_close(smooth(maps, 1.5), maps)
    spike = torch.zeros(1, 33, 33)
    spike[0, 16, 16] = 1
    smoothed = smooth(spike, 1.0)
    torch.testing.assert_close(smoothed.sum(), torch.tensor(1.0))
    # the center of a sampled Gaussian of sigma 1, cut at 3: (1 / 2.5059...)^2
    torch.testing.assert_close(smoothed[0, 16, 16], torch.tensor(0.15938), atol=2e-3, rtol=0)


def make_maps(seed: int) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Three components: one that sees the fakes, one that sees nothing, one that sees them upside down."""
    generator = torch.Generator().manual_seed(seed)
    healthy = torch.randn(40, 3, 16, 16, generator=generator)
    fakes = torch.randn(40, 3, 16, 16, generator=generator)
    fakes[:, 0, 4:8, 4:8] += 4
    fakes[:, 2, :, :] *= 0.3
    return healthy, [fakes]


def test_healthy_scores_are_standard() -> None:
    healthy, fakes = make_maps(0)
    fusion = Fusion.fit(healthy, fakes, 0.01)
    standardized = fusion.standardize(healthy)
    for k in range(3):
        scores = top_mean(standardized[:, k], 0.01)
        torch.testing.assert_close(scores.mean(), torch.tensor(0.0), atol=1e-4, rtol=0)
        torch.testing.assert_close(scores.std(), torch.tensor(1.0), atol=1e-4, rtol=0)


def test_the_fusion_is_not_worse_than_its_best_part_on_the_proxy() -> None:
    for seed in range(5):
        healthy, fakes = make_maps(seed)
        fusion = Fusion.fit(healthy, fakes, 0.01)
        assert torch.isclose(fusion.weights.sum(), torch.tensor(1.0))
        assert fusion.weights.argmax() == 0
        assert fusion.weights.min() >= 0

        def auroc(weights: torch.Tensor, fusion: Fusion = fusion, healthy=healthy, fakes=fakes) -> float:
            normal, odd = (
                top_mean(torch.einsum("nkhw,k->nhw", fusion.standardize(maps), weights), 0.01)
                for maps in (healthy, fakes[0])
            )
            return (odd[:, None] > normal).float().mean().item()

        parts = [auroc(torch.nn.functional.one_hot(torch.tensor(k), 3).float()) for k in range(3)]
        assert auroc(fusion.weights) >= max(parts) - 1e-6


def test_a_part_that_helps_by_luck_alone_is_left_out_and_one_that_helps_is_not() -> None:
    generator = torch.Generator().manual_seed(0)
    healthy = torch.randn(100, 2, 16, 16, generator=generator)
    lucky, helpful = (torch.randn(100, 2, 16, 16, generator=generator) for _ in range(2))
    lucky[:, 0, 4:8, 4:8] += 2  # the second component knows nothing of these
    helpful[:, 0, 4:8, 4:8] += 2
    helpful[:, 1, 4:8, 4:8] += 2
    assert Fusion.fit(healthy, [lucky], 0.01).weights.tolist() == [1, 0]
    assert Fusion.fit(healthy, [helpful], 0.01).weights.min() > 0.2


def test_of_a_path_the_shortest_within_a_standard_error_is_taken() -> None:
    poor, good, better = (torch.zeros(50, 50) for _ in range(3))
    poor[:25], good[:40], better[:39], better[40:42] = 1, 1, 1, 1  # means 0.5, 0.8 and 0.82
    # From good to better two images are won and one is lost: 0.02, with a standard error of sqrt(3) / 50 = 0.035.
    assert _shortest_good([poor, good, better]) == 1
    assert _shortest_good([good, poor, better]) == 0
    assert _shortest_good([poor, better, good]) == 1
