"""Robustness under noise, one text at a time by the model itself; by hand; and what no temperature may move."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from caref.data.prompts import SEPARATOR
from caref.evidence.choices import DEFINITIONS
from caref.evidence.measures import robustness
from caref.evidence.reading import Reading, question

WRITTEN = (("entailment", "a dog is a dog"), ("neutral", ""), ("contradiction", "it is so"), ("neutral", "not said"))


def asked_of(backbone, examples):
    few = zip(examples("esnli", 4), WRITTEN, strict=True)
    return [question("esnli", one, backbone, *told, seed=7 + place) for place, (one, told) in enumerate(few)]


@torch.no_grad()
def by_hand(backbone, one, target, level) -> list[float]:
    """log p of each token of a target | source with noise, without padding."""
    model, embed, target = backbone.model, backbone.model.get_input_embeddings(), torch.tensor(target)
    read = embed(torch.tensor([one.asked.prompt]))
    noise = np.random.default_rng((one.seed, read.shape[1])).standard_normal(read.shape[1:])
    read = read + torch.from_numpy(noise) * np.sqrt(level * (read**2).mean().item())
    if backbone.encoder_decoder:
        before = torch.tensor([[model.config.decoder_start_token_id, *target[:-1]]])
        logits = model(inputs_embeds=read, decoder_input_ids=before).logits[0]
    else:
        whole = torch.cat([read, embed(target[:-1]).unsqueeze(0)], dim=1)
        logits = model(inputs_embeds=whole).logits[0, read.shape[1] - 1 :]
    return logits.log_softmax(-1).gather(-1, target.unsqueeze(-1)).squeeze(-1).tolist()


@pytest.mark.parametrize("choices", ("tree", "sequence"))
@pytest.mark.parametrize("model", ("tiny_t5", "tiny_llama", "tiny_gpt2"))
def test_it_is_what_each_text_alone_comes_to_under_its_noise(model, choices, backbone, examples):
    backbone = backbone(model, dtype=torch.float64)
    asked, tokenizer = asked_of(backbone, examples), backbone.tokenizer
    (found,) = robustness.measure(Reading(backbone.model, backbone, [asked], batch_size=3, choices=choices))
    assert found["n"] == 4 and found["explained_n"] == 3
    tokens = {
        level: [[by_hand(backbone, one, told, level) for told in one.asked.continuations] for one in asked]
        for level in (0.0, 0.1, 1.0)
    }
    told_by = DEFINITIONS[choices]
    tables = {
        level: np.array([told_by(one.asked, each) for one, each in zip(asked, of_level, strict=True)])
        for level, of_level in tokens.items()
    }
    for level in (0.1, 1.0):
        kept = tables[level].argmax(-1) == tables[0.0].argmax(-1)
        assert found[f"kept.{level:g}"] == pytest.approx(100 * kept.mean())
        right = tables[level].argmax(-1) == [one.example.label for one in asked]
        assert found[f"accuracy.{level:g}"] == pytest.approx(100 * right.mean())
        drops, leads = [], []
        for place in (0, 2, 3):
            one, (answer, explanation) = asked[place], WRITTEN[place]
            own = one.example.choices.index(answer)
            text = answer + SEPARATOR + explanation
            whole = [*tokenizer(text, add_special_tokens=False).input_ids, tokenizer.eos_token_id]
            told = len(one.asked.continuations[own])
            after = [sum(by_hand(backbone, one, whole, at)) - sum(tokens[at][place][own]) for at in (0.0, level)]
            drops.append((after[1] - after[0]) / (len(whole) - told))
            label = tables[0.0][place].argmax()
            ahead = [tables[at][place, label] - np.delete(tables[at][place], label).max() for at in (0.0, level)]
            leads.append(ahead[1] - ahead[0])
        assert found[f"explanation.{level:g}"] == pytest.approx(np.mean(drops), abs=1e-5)
        assert found[f"joint.{level:g}"] == pytest.approx(spearmanr(drops, leads).statistic, abs=1e-9)


@pytest.fixture(scope="module")
def of_t5(backbone, examples):
    """Questions, and the tokenizer that they are in."""
    backbone = backbone("tiny_t5")
    return asked_of(backbone, examples), backbone.tokenizer


@given(st.floats(0.05, 20))
def test_no_temperature_of_the_choices_moves_what_is_kept_or_falls_together(of_t5, t):
    asked, tokenizer = of_t5
    draw, own = np.random.default_rng(3), (0, None, 2, 1)  # the answers, where there is an explanation
    plain, flat = ({level: [] for level in (0.0, *robustness.LEVELS)} for _ in range(2))
    for level in plain:
        for answer in own:
            choices, explanation = draw.normal(size=3), draw.normal()
            for found, by in ((plain, 1.0), (flat, t)):  # the explanation's own probability stays
                told = [] if answer is None else [explanation]
                found[level].append(np.array([*choices / by, *told]))
    one, other = (robustness.scores(asked, found, tokenizer) for found in (plain, flat))
    assert other == {name: pytest.approx(value, abs=1e-9) for name, value in one.items()}


@pytest.mark.parametrize("model", ("tiny_t5", "tiny_llama"))
def test_noise_is_of_the_size_asked_and_on_the_prompt_alone(model, backbone, examples):
    backbone = backbone(model)
    asked = asked_of(backbone, examples)
    for one in asked:
        embeddings = backbone.model.get_input_embeddings()(torch.tensor([[*one.asked.prompt, 5, 5, 5]])).detach()
        count = len(one.asked.prompt)
        found = robustness.noise(embeddings, [one], 0.3)
        share = found[0, :count].square().mean() / embeddings[0, :count].square().mean()
        assert share.item() == pytest.approx(0.3, rel=0.15)
        assert not found[0, count:].any()


def test_without_explanations_answers_are_told_alone(backbone, examples):
    backbone = backbone("tiny_t5")
    asked = [question("esnli", one, backbone, "entailment") for one in examples("esnli", 3)]
    (found,) = robustness.measure(Reading(backbone.model, backbone, [asked]))
    assert found["n"] == 3 and found["explained_n"] == 0
    for level in ("0.01", "0.03", "0.1", "0.3", "1"):
        assert found[f"kept.{level}"] is not None
        assert found[f"explanation.{level}"] is found[f"joint.{level}"] is None
