"""The statistics: against scipy, against counting by hand, on planted effects and on none."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from caref.analysis.significance import (
    LEAST_SPLITS,
    Comparison,
    corrected,
    effect,
    families,
    holm,
    interval,
    paired,
    signed_rank,
)
from caref.analysis.table1 import tables


def by_split(values) -> dict[int, float]:
    return dict(enumerate(map(float, values)))


def test_p_is_the_share_of_all_sign_patterns_at_least_as_far_out():
    differences = [0.7, -0.2, 1.1, 0.4, 0.9, -0.6, 1.3, 0.3, 0.8, 1.7, -0.1, 0.5]
    ranks = stats.rankdata(np.abs(differences))
    total = ranks.sum()
    seen = min(ranks[np.array(differences) > 0].sum(), ranks[np.array(differences) < 0].sum())
    sums = [ranks[np.array(signs)].sum() for signs in itertools.product([False, True], repeat=12)]
    expected = sum(min(one, total - one) <= seen for one in sums) / len(sums)
    assert signed_rank(differences) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("n", [13, 50, 60, 200])
def test_p_is_scipys_exact_one_where_no_two_differences_are_alike(n):
    draw = np.random.default_rng(0).normal(0.3, 1, n)
    assert signed_rank(list(draw)) == pytest.approx(stats.wilcoxon(draw, method="exact").pvalue, rel=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_equal_splits_are_ranked_and_take_no_side(seed):
    """Pratt's rule, with ties: the share of all signs of those that differ that are as far out, counted one by one."""
    draw = np.round(np.random.default_rng(seed).normal(0.3, 0.6, 14), 0 if seed % 2 else 1)
    zeros = int((draw == 0).sum())
    kept = stats.rankdata(np.abs(draw))[draw != 0]
    signs = np.array(list(itertools.product([-1, 1], repeat=len(kept))))
    seen = abs(np.sign(draw[draw != 0]) @ kept)
    expected = np.mean(np.abs(signs @ kept) >= seen - 1e-9)
    found = paired(by_split(draw), by_split(np.zeros(14)))
    assert found.equal == zeros and found.p == pytest.approx(expected, rel=1e-9)


def test_a_few_splits_that_differ_among_many_that_do_not_are_no_normal_sample():
    assert signed_rank([0.0] * 56 + [1.0, 2.0, 3.0, 4.0]) == 2 / 2**4


def test_many_pairs_of_ratings_are_scipys():
    draw = np.round(np.random.default_rng(1).normal(0.1, 1, 500))
    assert signed_rank(list(draw)) == stats.wilcoxon(draw, zero_method="pratt").pvalue


def test_nothing_is_clear_where_the_mean_is_on_another_side_than_the_ranks():
    """Fifty-four splits gain a point, six collapse."""
    gains = dict(enumerate([*np.random.default_rng(0).uniform(0.5, 1.5, 54), *[-20.0] * 6]))
    none = dict.fromkeys(gains, 0.0)
    for sides, clear in (((gains, none), 0), ((none, gains), 0)):
        (asked,) = corrected([Comparison("", "", "", "", "", paired(*sides))])
        assert asked.difference.significant and asked.difference.clear == clear
        assert asked.difference.undecided == "mean and ranks are on different sides"
    up = dict(enumerate(np.random.default_rng(0).uniform(0.5, 1.5, 60)))
    for sides, clear in (((up, none), 1), ((none, up), -1)):
        (asked,) = corrected([Comparison("", "", "", "", "", paired(*sides))])
        assert asked.difference.clear == clear


def test_no_difference_at_all_is_p_one_and_effect_zero():
    found = paired(by_split(range(20)), by_split(range(20)))
    assert (found.p, found.effect, found.mean, found.low, found.high, found.equal) == (1.0, 0.0, 0.0, 0.0, 0.0, 20)


def test_effect_is_the_share_of_ranks_for_less_the_share_against():
    assert effect([1.0, 2.0, -3.0]) == pytest.approx((1 + 2 - 3) / 6)
    assert effect([1.0, 2.0, 3.0]) == 1.0 and effect([-1.0, -2.0]) == -1.0


def test_binary_noise_does_not_tell_equal_differences_apart():
    left, right = [91.4, 90.4, 80.7, 50.1], [90.0, 89.0, 79.3, 48.7]  # all 1.4, none exactly in binary
    found = paired(by_split(left * 3), by_split(right * 3))
    assert (found.low, found.high) == (1.4, 1.4)


def test_holm_by_hand():
    # sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1, each at least the one before
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0] and holm([]) == []


def test_the_interval_is_scipys_bca_and_near_the_textbooks():
    draw = list(np.random.default_rng(2).normal(0.5, 1, 60))
    low, high = interval(draw)
    margin = stats.t.ppf(0.975, 59) * np.std(draw, ddof=1) / math.sqrt(60)
    assert low == pytest.approx(np.mean(draw) - margin, abs=0.1)
    assert high == pytest.approx(np.mean(draw) + margin, abs=0.1)
    assert interval(draw) == (low, high)


def test_only_common_splits_count_whatever_their_order():
    left = {split: 80.0 + split for split in range(30)}
    right = {split: 79.0 + split for split in range(29, 9, -1)}
    found = paired(left, right)
    assert found.n == 20 and found.mean == pytest.approx(1.0)


@pytest.mark.parametrize(("n", "tested"), [(0, False), (1, False), (LEAST_SPLITS - 1, False), (LEAST_SPLITS, True)])
def test_too_few_splits_are_not_tested(n, tested):
    found = paired(by_split(np.arange(n) * 1.1 + 1), by_split(np.arange(n)))
    assert found.n == n and (found.p is not None) is tested


def test_the_least_number_of_splits_can_pass_a_family_of_a_hundred():
    assert signed_rank(list(range(1, LEAST_SPLITS + 1))) * 100 < 0.05
    assert signed_rank(list(range(1, LEAST_SPLITS))) * 100 > 0.05


def test_two_hundred_null_simulations_reject_at_the_nominal_rate():
    random = np.random.default_rng(3)
    splits, rejected, covered = random.normal(0, 2, 60), 0, 0
    for _ in range(200):  # two ways to train that differ by noise alone, on the same easy and hard splits
        left, right = (by_split(88 + splits + random.normal(0, 1, 60)) for _ in range(2))
        found = paired(left, right)
        rejected += found.p < 0.05
        covered += found.low <= 0 <= found.high
    few, many = stats.binom.ppf([0.0005, 0.9995], 200, 0.05)
    assert few <= rejected <= many
    assert few <= 200 - covered <= many + 3  # a bootstrap of 60 is a little short


def test_a_null_family_gives_a_false_alarm_in_one_case_in_twenty():
    random = np.random.default_rng(4)
    alarms = sum(min(holm([signed_rank(list(row)) for row in random.normal(size=(8, 30))])) < 0.05 for _ in range(200))
    assert alarms <= stats.binom.ppf(0.9995, 200, 0.05)


def test_a_planted_effect_is_found_and_nothing_beside_it(make_cell):
    random = np.random.default_rng(5)
    splits = random.normal(0, 2, 60)
    rows = {"CAREF-BASE": 0.0, "BASE": 0.0, "CAREF-AQ": 1.5, "AQ": 0.0}
    cells = [
        make_cell(row, dataset, list(85 + gain + splits + random.normal(0, 1, 60)))
        for row, gain in rows.items()
        for dataset in ("cos_e", "ecqa", "comve", "esnli")
    ]
    found = [one for one in families(tables(cells)[0]) if one.family == "RQ2"]
    assert len(found) == 2 * 2 * 5  # pairs, metrics, columns
    significant = {(one.left, one.column) for one in found if one.difference.p_holm < 0.05}
    assert {left for left, _ in significant} == {"CAREF-AQ"}
    assert {column for _, column in significant} == {"cos_e", "ecqa", "comve", "esnli", "average"}
    assert all(one.difference.low <= one.difference.mean <= one.difference.high for one in found)


def test_holm_spans_the_whole_question(make_cell):
    random = np.random.default_rng(6)
    cells = [make_cell(row, "ecqa", list(random.normal(85, 2, 20))) for row in ("CAREF-AQ", "AQ", "CAREF-BASE", "BASE")]
    found = [one.difference for one in families(tables(cells)[0]) if one.family == "RQ2"]
    assert [one.p_holm for one in found] == holm([one.p for one in found])
    assert len(found) == 4  # two pairs, two metrics, one dataset; no average
