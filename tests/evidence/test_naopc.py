"""Normalised AOPC against all orders of the words, one after the other."""

from itertools import permutations

import numpy as np
import pytest
from additive import Additive, made
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from caref.evidence.measures import naopc


def aopc_of(drop, order) -> float:
    """The mean of the drops as the words of an order go one by one; `drop` is given those gone."""
    return float(np.mean([drop(frozenset(order[: count + 1])) for count in range(len(order))]))


def test_the_bounds_are_those_of_all_orders():
    draw = np.random.default_rng(0)
    sets = naopc.subsets(range(5))
    assert len({frozenset(one) for one in sets}) == 32 and sets[0] == ()
    for _ in range(20):
        drops = {frozenset(one): draw.normal() if one else 0.0 for one in sets}
        every = [aopc_of(drops.__getitem__, order) for order in permutations(range(5))]
        table = np.array([drops[frozenset(one)] for one in sets])
        assert naopc.bounds(table) == (pytest.approx(min(every), abs=1e-12), pytest.approx(max(every), abs=1e-12))
        for order in ((0, 1, 2, 3, 4), (3, 1, 4, 0, 2)):
            assert naopc.aopc(table, order) == pytest.approx(aopc_of(drops.__getitem__, order), abs=1e-12)


def test_a_score_is_where_an_attributions_order_lies_between_them():
    reading = Additive([made(seed, 4 + seed % 3) for seed in range(6)])
    (scores,) = naopc.measure(reading)
    downwards, upwards = [], []
    for place, one in enumerate(reading.splits[0]):
        label = reading.predicted()[0][place]
        p = {
            frozenset(gone): softmax(reading.logits(place, gone))[label]
            for gone in map(naopc.subsets(one.rankable).__getitem__, range(2 ** len(one.rankable)))
        }
        aopcs = {
            order: aopc_of(lambda gone, p=p: p[frozenset()] - p[gone], order) for order in permutations(one.rankable)
        }
        ranked = reading.word_scores("leave_one_out")[0][place]
        order = tuple(sorted(one.rankable, key=lambda word: -ranked[word]))
        worst, best = min(aopcs.values()), max(aopcs.values())
        downwards.append((aopcs[order] - worst) / (best - worst))
        upwards.append((aopcs[order[::-1]] - worst) / (best - worst))
    assert scores["leave_one_out.comprehensiveness"] == pytest.approx(np.mean(downwards))
    assert scores["leave_one_out.sufficiency"] == pytest.approx(np.mean(upwards))
    assert scores["n"] == 6 and scores["words"] == pytest.approx(5)


def test_the_true_evidence_is_near_the_best_order_and_a_random_one_between():
    (scores,) = naopc.measure(Additive([made(seed, 7) for seed in range(60)]))
    assert scores["leave_one_out.comprehensiveness"] > 0.9 and scores["leave_one_out.sufficiency"] < 0.1
    assert 0.35 < scores["random.comprehensiveness"] < 0.65


@settings(max_examples=10, deadline=None)
@given(st.floats(0.05, 50))
def test_no_temperature_moves_what_is_matched(t):
    asked = [made(seed, 3 + seed % 4) for seed in range(12)]
    (plain,), (other,) = (naopc.measure(Additive(asked, temperature)) for temperature in (1.0, t))
    for name in plain:
        if name.endswith("_matched"):
            assert other[name] == pytest.approx(plain[name], abs=1e-6), name


def test_the_cost_is_bounded_and_what_is_left_out_shows():
    long, short, one = made(0, 13), made(1, 12), made(2, 1)
    assert sorted(naopc.few([long, one, short, made(3, 3)])) == [2, 3]
    many = [made(seed, 3 + seed % 11) for seed in range(200)]  # of 3 to 13 words
    few = naopc.few(many)
    assert 2**13 - 2**12 < sum(2 ** len(many[place].words) for place in few) <= 2**13
    assert max(few) > 150 and max(len(many[place].words) for place in few) == 12  # drawn, not the first
    (scores,) = naopc.measure(Additive([long, one]))
    assert scores["n"] == 0 and {value for key, value in scores.items() if key != "n"} == {None}


def test_orders_that_are_all_alike_tell_nothing():
    (scores,) = naopc.measure(Additive([made(0, 3), made(1, 3)], scale=0.0))
    assert scores["n"] == 0 and scores["leave_one_out.comprehensiveness"] is None
