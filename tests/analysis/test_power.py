"""The smallest difference that splits can show: against simulations of the test itself, statsmodels, and by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
from made_up_cells import spread
from scipy.stats import wilcoxon
from statsmodels.stats.power import TTestPower

from caref.analysis import claims, power
from caref.analysis.every_cell import lines
from caref.analysis.power import detectable, standardised
from caref.analysis.significance import LEAST_SPLITS, paired
from caref.analysis.with_without import pairs
from caref.report import findings, markdown, spreadsheets

SIMULATED = 4000  # standard error of a power of 0.8: 0.006


@pytest.mark.parametrize("level", [0.05, 0.05 / 8, 0.05 / 40])
@pytest.mark.parametrize(("n", "within"), [(20, 0.03), (60, 0.03), (LEAST_SPLITS, 0.11)])
def test_the_test_finds_that_difference_in_four_simulations_of_five(n, within, level):
    draws = np.random.default_rng(11).normal(standardised(n, level), 1, (SIMULATED, n))
    found = np.mean(wilcoxon(draws, axis=1).pvalue < level)
    assert found == pytest.approx(power.POWER, abs=within)


@pytest.mark.parametrize(("n", "level"), [(12, 0.05), (24, 0.01), (60, 0.05 / 90), (200, 0.05)])
def test_it_is_statsmodels_paired_t_on_three_over_pi_of_the_splits(n, level):
    expected = TTestPower().solve_power(nobs=n * 3 / math.pi, alpha=level, power=0.8)
    assert standardised(n, level) == pytest.approx(expected, rel=1e-5)


def test_a_difference_is_told_in_the_deviation_of_the_paired_differences():
    random = np.random.default_rng(0)
    splits = random.normal(80, 5, 24)  # hard and easy splits: no part of what pairs leave
    left, right = (dict(enumerate(splits + random.normal(0, 1, 24))) for _ in range(2))
    found = paired(left, right)
    std = np.std([left[split] - right[split] for split in left], ddof=1)
    assert found.std == pytest.approx(std, rel=1e-6)
    assert detectable(found, 60) == pytest.approx(std * standardised(60, 0.05), rel=1e-6)
    assert detectable(found, 60) < detectable(found, 24) < detectable(replace(found, level=0.01), 24)


@pytest.mark.parametrize(
    ("n", "now", "later"), [(2, False, False), (5, False, False), (6, False, True), (12, True, True)]
)
def test_too_few_splits_show_nothing_and_tell_no_spread(n, now, later):
    found = paired(dict(enumerate(spread(80, 2, 1, n))), dict(enumerate(spread(80, 2, 2, n))))
    assert (detectable(found, n) is not None, detectable(found, 60) is not None) == (now, later)


def test_differences_without_a_spread_show_nothing():
    same = dict.fromkeys(range(20), 80.0)
    assert detectable(paired(same, same), 60) is None and power.told(paired(same, same), str) == ""


def test_where_no_difference_can_pass_the_family_none_is_detectable():
    """Of twelve splits the smallest p is 2 / 2^12: Holm over 103 tests never lets it pass."""
    found = paired(dict(enumerate(spread(80, 2, 1, 12))), dict(enumerate(spread(80, 2, 2, 12))))
    assert math.isfinite(detectable(replace(found, level=0.05 / 102), 12))
    crowded = replace(found, level=0.05 / 103)
    assert detectable(crowded, 12) == math.inf
    now, later = power.shown(crowded, "{:.2f}".format)
    assert now == "none" and float(later) == pytest.approx(detectable(crowded, 60), abs=0.005)
    assert power.told(crowded, "{:.2f}".format) == f"; detectable: none on 12 splits, {later} on 60 splits"


@pytest.fixture
def cells(make_cell):
    random = np.random.default_rng(5)
    splits = random.normal(80, 3, 24)
    rows = ("BASE", "CAREF-BASE", "AQ", "CAREF-AQ")
    return [make_cell(row, name, list(splits + random.normal(0, 1, 24))) for row in rows for name in ("ecqa", "esnli")]


def test_every_comparison_is_told_with_it(cells):
    found = findings.gather(cells)
    for pair in pairs(lines(cells)):
        change = pair.changes["nbert"]
        assert change.difference.level == 0.05 / 4  # of four pairs
        now, later = (detectable(change.difference, n) for n in (24, 60))
        assert change.said.endswith(f"; detectable: {now:.2f} on 24 splits, {later:.2f} on 60 splits")
    claim = next(one for one in found.setups[0].verdicts if "every dataset" in one.claim.text)
    told = [claims.sentence(part) for part in claim.parts if part.difference.n]
    assert len(told) == 4 and all("detectable: " in one and one.endswith("on 60 splits") for one in told)
    text = markdown.document(found)
    for one in found.setups[0].comparisons:
        assert f"| {detectable(one.difference, 24):.2f} | {detectable(one.difference, 60):.2f} |" in text
    rows = spreadsheets.files(found)["tests.csv"].splitlines()
    assert rows[0].endswith("level,detectable,detectable_on_60")
    assert f"{detectable(found.setups[0].comparisons[0].difference, 60)}" in rows[1]
