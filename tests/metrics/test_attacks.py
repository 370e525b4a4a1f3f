"""Numbers worked out by hand, and pyeer as an oracle: it calls an attack genuine, and a bona fide one an impostor."""

import numpy as np
import pytest
from pyeer.eer_stats import calculate_roc, get_eer_values

from anogan import metrics

BONA_FIDE = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
ATTACK = np.array([3.5, 4.5, 6.0, 7.0])


def test_apcer_names_the_worst_species_first() -> None:
    species = {"morph": np.array([5.0, 6.0]), "print": np.array([1.0, 5.0, 9.0, 2.0]), "replay": np.array([3.9, 4.0])}
    found = metrics.apcer(species, 4.0)  # a score of 4 is flagged
    assert list(found) == ["print", "replay", "morph"]
    assert [share.value for share in found.values()] == [2 / 4, 1 / 2, 0]
    assert found["print"] == metrics.binomial(2, 4)
    assert metrics.apcer({"print": ATTACK}, 4.0)["print"].value == 1 / 4


def test_bpcer_counts_at_the_threshold() -> None:
    assert metrics.bpcer(BONA_FIDE, 4.0) == metrics.binomial(2, 5)


def test_equal_error_rate_by_hand() -> None:
    # threshold 4.5: one attack of four missed, one bona fide (5) of five flagged: sum 0.45
    # threshold 4.0: one missed, two flagged: sum 0.65; the rates cross between the two
    assert metrics.d_eer(BONA_FIDE, ATTACK) == pytest.approx(0.45 / 2, abs=1e-9)
    assert metrics.d_eer(BONA_FIDE, BONA_FIDE + 9) == 0
    assert metrics.d_eer(BONA_FIDE, BONA_FIDE - 9) == 1


def test_bpcer_at_apcer_by_hand() -> None:
    assert metrics.bpcer_at_apcer(BONA_FIDE, ATTACK, 0.25) == 1 / 5
    assert metrics.bpcer_at_apcer(BONA_FIDE, ATTACK, 0.1) == 2 / 5  # at 3.5, where no attack is missed
    assert metrics.bpcer_at_apcer(BONA_FIDE, ATTACK, 1.0) == 0


@pytest.mark.parametrize("seed", range(8))
def test_errors_agree_with_pyeer(seed: int) -> None:
    rng = np.random.default_rng(seed)
    bona_fide, attack = np.round(rng.normal(0, 1, 150), 1), np.round(rng.normal(1.5, 1, 90), 1)
    threshold, flagged, missed = calculate_roc(attack, bona_fide)
    assert metrics.d_eer(bona_fide, attack) == pytest.approx(get_eer_values(flagged, missed)[3], abs=1e-9)
    for row in range(0, len(threshold), 7):
        assert metrics.bpcer(bona_fide, threshold[row]).value == pytest.approx(flagged[row], abs=1e-9)
        assert metrics.apcer({"all": attack}, threshold[row])["all"].value == pytest.approx(missed[row], abs=1e-9)
    # pyeer takes the threshold whose APCER is nearest to the wanted one; ours never exceeds it.
    for apcer in (0.10, 0.05, 0.01):
        assert metrics.bpcer_at_apcer(bona_fide, attack, apcer) == pytest.approx(
            flagged[missed <= apcer].min(), abs=1e-9
        )


def test_det_curve_agrees_with_pyeer() -> None:
    rng = np.random.default_rng(1)
    bona_fide, attack = np.round(rng.normal(0, 1, 150), 1), np.round(rng.normal(1.5, 1, 90), 1)
    found = metrics.det_curve(np.repeat([0, 1], [150, 90]), np.concatenate([bona_fide, attack]))
    threshold, flagged, missed = calculate_roc(attack, bona_fide)
    rows = np.searchsorted(threshold, found.threshold[1:])  # above the highest score pyeer has no row
    assert found.false_alarm_rate[1:] == pytest.approx(flagged[rows], abs=1e-9)
    assert found.miss_rate[1:] == pytest.approx(missed[rows], abs=1e-9)


def test_what_holds_no_attack_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one attack species"):
        metrics.apcer({}, 1.0)
    with pytest.raises(ValueError, match="apcer of print: expected at least one score"):
        metrics.apcer({"print": np.array([])}, 1.0)
    with pytest.raises(ValueError, match="bpcer: expected at least one score, and finite ones"):
        metrics.bpcer(np.array([np.nan]), 1.0)
    with pytest.raises(ValueError, match="apcer: expected a number between 0 and 1, got 10"):
        metrics.bpcer_at_apcer(BONA_FIDE, ATTACK, 10)
