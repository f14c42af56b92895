"""Agreement of answer and explanation against gradients taken one text at a time, and CC-SHAP's arithmetic in numpy."""

from itertools import permutations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cosine

from caref.data.prompts import SEPARATOR
from caref.evidence.measures import agreement
from caref.evidence.reading import Reading, question


def by_hand(backbone, one, choice: str) -> list[np.ndarray]:
    """(words,) input x gradient of log p(choice and separator | source) and of log p(explanation, end | both)."""
    tokenizer, model = backbone.tokenizer, backbone.model
    told = tokenizer(choice + " because", add_special_tokens=False).input_ids
    text = choice + SEPARATOR + one.explanation
    target = torch.tensor([*tokenizer(text, add_special_tokens=False).input_ids, tokenizer.eos_token_id])
    assert target[: len(told)].tolist() == told
    embed = model.get_input_embeddings()
    found = []
    for part in (slice(0, len(told)), slice(len(told), None)):
        at = embed(torch.tensor([one.asked.prompt])).detach().requires_grad_()
        if backbone.encoder_decoder:
            read = torch.tensor([[model.config.decoder_start_token_id, *target[:-1]]])
            logits = model(inputs_embeds=at, decoder_input_ids=read).logits[0]
        else:
            whole = torch.cat([at, embed(target[:-1]).detach().unsqueeze(0)], dim=1)
            logits = model(inputs_embeds=whole).logits[0, at.shape[1] - 1 :]
        log_p = logits.log_softmax(-1).gather(-1, target.unsqueeze(-1)).squeeze(-1)[part].sum()
        (gradient,) = torch.autograd.grad(log_p, at)
        tokens = (at * gradient).sum(-1)[0].detach().numpy()
        found.append(np.array([tokens[list(word.tokens)].sum() for word in one.words]))
    return found


@pytest.mark.parametrize("model", ("tiny_t5", "tiny_bart", "tiny_llama", "tiny_gpt2"))
def test_it_is_the_cosine_of_what_the_answer_and_the_explanation_rest_on(model, backbone, examples):
    backbone = backbone(model, dtype=torch.float64)
    few = examples("esnli", 4)
    written = [
        ("entailment", few[0].explanations[0]),
        ("Neutral", "a dog is an animal"),
        ("neither of them", "a dog"),
        ("contradiction", ""),
    ]
    asked = [question("esnli", one, backbone, *told) for one, told in zip(few, written, strict=True)]
    (found,) = agreement.measure(Reading(backbone.model, backbone, [asked], batch_size=3))
    expected = []
    for one, choice in zip(asked[:2], ("entailment", "neutral"), strict=True):
        shares = [phi / abs(phi).sum() for phi in by_hand(backbone, one, choice)]
        expected.append(1 - cosine(*shares))
    within = 1e-4 if model in ("tiny_t5", "tiny_llama") else 1e-6  # some families' norms are float32 whatever they get
    assert found["cosine"] == pytest.approx(np.mean(expected), abs=within)
    assert found["n"] == 2


def test_chance_is_the_mean_over_all_orders():
    draw = np.random.default_rng(0)
    one, other = draw.normal(size=5) + 0.5, draw.normal(size=5) - 0.2
    orders = [agreement.cosine(one, np.array(order)) for order in permutations(other)]
    assert agreement.chance(one, other) == pytest.approx(np.mean(orders), abs=1e-12)


def test_what_answer_and_explanation_share_and_oppose_and_no_scale():
    one = np.array([1.0, -2.0, 0.5])
    assert agreement.scores([(one, 7 * one)])["cosine"] == pytest.approx(1)
    assert agreement.scores([(one, -one / 9)])["cosine"] == pytest.approx(-1)


def test_without_an_explanation_or_a_word_that_counts_there_is_none(backbone, examples):
    backbone = backbone("tiny_t5")
    asked = [question("esnli", one, backbone, "entailment") for one in examples("esnli", 2)]
    nothing = {"cosine": None, "over_chance": None, "n": 0}
    assert agreement.measure(Reading(backbone.model, backbone, [asked])) == [nothing]
    assert agreement.scores([(np.zeros(3), np.ones(3))]) == nothing
