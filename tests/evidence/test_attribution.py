"""Attributions: what inseq and captum find, complete where promised, alike in packs, of words and of nothing else."""

import importlib

import numpy as np
import pytest
import torch
from additive import made

from caref.errors import UserError
from caref.evidence.attribution import lime, random
from caref.evidence.attribution.integrated_gradients import integrated, masked
from caref.evidence.gradients import Batch
from caref.evidence.leads import lead
from caref.evidence.reading import Reading, drawn_order, question
from caref.models.packed import packed_part

SEEDS = (7004, 3639)
MODELS = ("tiny_t5", "tiny_bart", "tiny_llama", "tiny_gpt2")
ALL = (
    *("attention", "attention_last", "saliency", "input_x_gradient", "input_x_gradient_norm", "integrated_gradients"),
    *("leave_one_out", "lime", "explanation_words", "human", "random"),
)
EXACT = torch.float64


def shaken(backbone):
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in backbone.model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64).to(parameter))
    return backbone


def reading_of(backbone, examples, dataset="esnli", **options):
    questions = [
        question(dataset, example, backbone, explanation=example.explanations[0], seed=place)
        for place, example in enumerate(examples)
    ]
    return Reading(backbone.model, backbone, [questions], **options)


@pytest.fixture
def few_samples(monkeypatch):
    monkeypatch.setattr(lime, "SAMPLES", 12)
    monkeypatch.setattr(lime.drawn, "__defaults__", (12,))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", ALL)
def test_every_word_of_the_fields_has_a_score_and_nothing_else_has(name, model, backbone, examples, few_samples):
    reading = reading_of(backbone(model), examples("esnli", 3), batch_size=2)
    (scores,) = reading.word_scores(name)
    for one, own in zip(reading.splits[0], scores, strict=True):
        assert own.shape == (len(one.words),) and np.isfinite(own).all()
        assert name in ("explanation_words", "human") or own.any()


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", ALL)
def test_neither_batch_nor_company_moves_a_score(name, model, backbone, examples, few_samples):
    few = examples("esnli", 4)
    backbone = shaken(backbone(model, dtype=EXACT))
    (one,) = reading_of(backbone, few, batch_size=4).word_scores(name)
    (alone,) = reading_of(backbone, few, batch_size=1).word_scores(name)
    for own, other in zip(one, alone, strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-6, atol=1e-8)  # some families' softmax is float32


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", ALL)
def test_packed_splits_have_the_scores_that_each_has_alone(name, model, backbone, peft, examples, few_samples):
    backbone, peft = shaken(backbone(model, dtype=EXACT)), peft("lora_r4")
    few = examples("esnli", 5)
    sides = [reading_of(backbone, part).splits[0] for part in (few[:3], few[2:])]

    def move(parameter, place):
        generator = torch.Generator().manual_seed(SEEDS[place])
        parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator, dtype=EXACT))

    with packed_part(backbone, peft, SEEDS, total_steps=1) as part:
        with torch.no_grad():
            for stacked in part.parameters:
                for place in range(2):
                    move(stacked[place], place)
        packed = Reading(part.model, backbone, sides, batch_size=2).word_scores(name)
    for place, seed in enumerate(SEEDS):
        with packed_part(backbone, peft, [seed], total_steps=1) as part:
            with torch.no_grad():
                for parameter in part.parameters:
                    move(parameter, place)
            (alone,) = Reading(part.model, backbone, [sides[place]], batch_size=3).word_scores(name)
        for own, other in zip(packed[place], alone, strict=True):
            np.testing.assert_allclose(own, other, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("model", MODELS)
def test_gradients_are_finite_differences(model, backbone, examples):
    backbone = shaken(backbone(model, dtype=EXACT))
    reading = reading_of(backbone, examples("esnli", 2))
    batch = Batch(reading, reading.splits[0], [0, 2])
    gradients = batch.gradients(batch.embeddings)
    generator = torch.Generator().manual_seed(0)
    # T5's and Llama's norms are float32 whatever they are given, which small steps would drown in.
    step, within = (1e-3, 1e-2) if model in ("tiny_t5", "tiny_llama") else (1e-6, 1e-6)
    for _ in range(5):
        way = torch.randn(batch.embeddings.shape, generator=generator, dtype=EXACT)
        with torch.no_grad():
            ahead, behind = (batch.log_p(batch.embeddings + sign * step * way) for sign in (1, -1))
        torch.testing.assert_close(
            (ahead - behind) / (2 * step), (gradients * way).sum((1, 2)), rtol=within, atol=within
        )


@pytest.mark.parametrize("model", MODELS)
def test_integrated_gradients_add_up_to_what_the_words_change(model, backbone, examples):
    backbone = backbone(model, dtype=EXACT)
    reading = reading_of(backbone, examples("esnli", 3))
    batch = Batch(reading, reading.splits[0], [0, 1, 2])
    with torch.no_grad():
        expected = batch.log_p(batch.embeddings) - batch.log_p(masked(batch))
    found = integrated(batch, steps=50)
    torch.testing.assert_close(found.sum(1), expected, rtol=1e-3, atol=1e-3)
    assert not found[~batch.rankable].any()


@pytest.mark.parametrize("model", MODELS)
def test_leaving_one_out_is_reading_the_text_without_it(model, backbone, examples):
    backbone = shaken(backbone(model, dtype=EXACT))
    reading = reading_of(backbone, examples("comve", 2), "comve")
    (scores,) = reading.word_scores("leave_one_out")
    whole = reading.log_p()[0]
    for place, one in enumerate(reading.splits[0]):
        label = int(whole[place].argmax())
        for word in range(len(one.words)):
            only = Reading(backbone.model, backbone, [[one]])
            ((table,),) = only.log_p_without([[[[word]]]])
            assert scores[place][word] == pytest.approx(lead(whole[place], label) - lead(table[0], label), abs=1e-9)


def test_lime_finds_a_linear_model_exactly():
    weights = np.random.default_rng(0).normal(size=9)
    present = lime.drawn(9, seed=3, samples=200)
    np.testing.assert_allclose(lime.fitted(present, present @ weights + 0.7), weights, atol=1e-10)
    assert present[0].all() and not present[1:].all(1).any()
    gone = (~present[1:]).sum(1)
    assert set(gone) == set(range(1, 10))


def test_lime_finds_a_linear_model_exactly_however_long_the_text():
    weights = np.random.default_rng(1).normal(size=600)
    present = lime.drawn(600, seed=3)
    np.testing.assert_allclose(lime.fitted(present, present @ weights), weights, atol=1e-8)


def test_questions_drawn_are_no_first_ones_and_not_by_what_random_words_are_drawn_by():
    asked = [made(seed, 12) for seed in range(2000)]
    order = drawn_order(asked)
    assert sorted(order) == list(range(2000)) and abs(np.mean(order[:400]) - 1000) < 100
    (scores,) = random.attribute(Reading(None, None, [asked]), None)
    assert np.mean([scores[place][0] for place in order[:400]]) == pytest.approx(0.5, abs=0.06)
    assert (drawn_order(asked, 1) != order).any()


def test_a_model_without_attention_says_so(mamba, examples):
    with pytest.raises(UserError, match="no attention that could be read"):
        reading_of(mamba(), examples("esnli", 2)).word_scores("attention")
    (scores,) = reading_of(mamba(), examples("esnli", 2)).word_scores("saliency")
    assert all(own.any() for own in scores)


@pytest.mark.parametrize("name", ALL)
def test_each_is_one_file_with_one_function(name):
    assert callable(importlib.import_module(f"caref.evidence.attribution.{name}").attribute)
