"""Consistency, both readings, pair by pair in plain loops; hidden states against the model's own."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from additive import made
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from caref.evidence import hidden
from caref.evidence.measures import consistency
from caref.evidence.reading import Reading, drawn_order, question
from caref.evidence.words import Word


def drawn(sizes, seed=0, width=4):
    draw = np.random.default_rng(seed)
    asked = [made(place, size) for place, size in enumerate(sizes)]
    return asked, [draw.normal(size=size) for size in sizes], [draw.normal(size=(size, width)) for size in sizes]


def test_both_readings_by_hand():
    sizes = (5, 7, 4, 6, 5, 3, 8, 6, 4, 5, 9)  # a group of eight, and one of three
    asked, ranked, states = drawn(sizes)
    found = consistency.scores(asked, ranked, states)
    shares = [values / abs(values).sum() for values in ranked]
    rhos, apart, differ = [], [], []
    group = {place: nth // 8 for nth, place in enumerate(drawn_order(asked))}
    assert any(group[place] != place // 8 for place in range(11))  # else a split's own order would do
    for one in range(len(sizes)):
        for other in range(one + 1, len(sizes)):
            apart.append(np.sqrt(((states[one].mean(0) - states[other].mean(0)) ** 2).sum()))
            # words are called by their places, so the shorter of two is filled up with 0
            r, s = (np.pad(shares[place], (0, 9 - sizes[place])) for place in (one, other))
            differ.append(abs(r - s).sum())
            if group[one] == group[other]:
                pairs = [(a, b) for a in range(sizes[one]) for b in range(sizes[other])]
                h = [np.linalg.norm(states[one][a] - states[other][b]) for a, b in pairs]
                rhos.append(spearmanr(h, [abs(shares[one][a] - shares[other][b]) for a, b in pairs]).statistic)
    assert found["pairs"] == len(rhos) == 28 + 3 and found["examples"] == 11
    assert found["by_words"] == pytest.approx(np.mean(rhos), abs=1e-12)
    assert found["by_examples"] == pytest.approx(spearmanr(apart, differ).statistic, abs=1e-12)


def test_scores_that_follow_the_states_are_consistent_and_unrelated_ones_are_not():
    asked, ranked, _ = drawn((6,) * 16)
    like = [values[:, None] / abs(values).sum() for values in ranked]
    assert consistency.scores(asked, ranked, like)["by_words"] == pytest.approx(1)
    unrelated = consistency.scores(*drawn((20,) * 40))
    assert abs(unrelated["by_words"]) < 0.05 and abs(unrelated["by_examples"]) < 0.1


def test_words_are_one_type_whatever_their_case_and_punctuation():
    one, other = (
        replace(made(0, 3), words=tuple(Word(text, "question", (place,), False) for place, text in enumerate(texts)))
        for texts in (("Dog,", "a", "dog"), ("cat", "DOG.", "a"))
    )
    found = consistency.by_type([one, other], [np.array([0.2, 0.3, 0.5]), np.array([0.1, 0.6, 0.3])])
    np.testing.assert_allclose(found, [[0.3, 0, 0.7], [0.3, 0.1, 0.6]])  # a, cat, dog


@given(st.floats(0.01, 100))
def test_no_scale_moves_it(t):
    asked, ranked, states = drawn((5, 6, 7))
    plain, other = (consistency.scores(asked, [values / by for values in ranked], states) for by in (1.0, t))
    assert other == {name: pytest.approx(value) for name, value in plain.items()}


def test_what_does_not_exist_is_none_with_its_count():
    asked, ranked, states = drawn((5, 1))
    nothing = {"by_words": None, "pairs": 0, "by_examples": None, "examples": 0}
    assert consistency.scores(asked, [np.zeros(5), np.zeros(1)], states) == nothing
    assert consistency.scores(asked[:1], ranked[:1], states[:1]) == nothing | {"examples": 1}
    alike = [np.zeros((5, 4)), np.zeros((1, 4))]  # one hidden state for all
    assert consistency.scores(asked, ranked, alike) == nothing | {"examples": 2}


@pytest.mark.parametrize("model", ("tiny_t5", "tiny_bart", "tiny_llama", "tiny_gpt2", "mamba"))
def test_hidden_states_are_the_models_own(model, backbone, mamba, examples):
    backbone = mamba() if model == "mamba" else backbone(model)
    few = [question("esnli", one, backbone) for one in examples("esnli", 3)]
    (found,) = hidden.by_word(Reading(backbone.model, backbone, [few], batch_size=2))
    model = backbone.model.eval()
    for one, own in zip(few, found, strict=True):
        read = {"input_ids": torch.tensor([one.asked.prompt]), "output_hidden_states": True}
        with torch.no_grad():
            layers = (model.get_encoder() if backbone.encoder_decoder else model)(**read).hidden_states[1:]
        mean = torch.stack(layers).mean(0)[0]
        expected = [mean[list(word.tokens)].mean(0).numpy() for word in one.words]
        np.testing.assert_allclose(own, expected, rtol=1e-4, atol=1e-5)
