"""The modules that explain: a distribution over words' tokens, what loops over heads and layers give."""

import itertools

import numpy as np
import pytest
import torch
from entmax import sparsemax

from caref.objectives.explainers import Attention, HeadMixture, Heard, InterpretableAttention, by_word

B, T, ASKING = 3, 7, 5
GROUPED = Attention(layers=2, heads=6, key_heads=2, width=4, scale=0.5)
PLAIN = Attention(layers=3, heads=2, key_heads=2, width=8)
CHOICES = list(itertools.product(("softmax", "sparsemax"), ("mixture", "joint")))


def heard(of: Attention, rows: int = B, seed: int = 0, spread: float = 2.0) -> Heard:
    generator = torch.Generator().manual_seed(seed)
    queries = torch.randn(rows, of.layers, of.heads, ASKING, of.width, generator=generator).double() * spread
    keys = torch.randn(rows, of.layers, of.key_heads, T, of.width, generator=generator).double() * spread
    asking = torch.ones(rows, ASKING, dtype=torch.bool)
    asking[0, 3:] = False
    return Heard(queries, keys, asking)


def ranked(rows: int = B) -> torch.Tensor:
    found = torch.ones(rows, T, dtype=torch.bool)
    found[:, 0] = False
    found[0, 4:] = False
    return found


def moved(module: torch.nn.Module) -> torch.nn.Module:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.5 * torch.randn(parameter.shape, generator=generator))
    return module.double()


def normed(norm: str, values) -> np.ndarray:
    values = torch.as_tensor(np.array(values))
    return (values.softmax(-1) if norm == "softmax" else sparsemax(values, -1)).numpy()


def by_loops(module: InterpretableAttention, sites: dict, row: int, ranks: list[int]) -> np.ndarray:
    """r over the ranked tokens of one row, from the formulas: a loop over layers, heads, queries and tokens."""
    weights = {name: weight[0].detach().numpy() for name, weight in module.weights.items()}
    norm, layers, etas = module.norm, [], []
    for site, one in sites.items():
        for layer in range(one.queries.shape[1]):
            heads = []
            for head in range(one.queries.shape[2]):
                key_head = head * one.keys.shape[2] // one.queries.shape[2]
                of_queries = weights[f"{site}_queries"][layer, head]
                of_keys = weights[f"{site}_keys"][layer, key_head]
                queries = [
                    normed(norm, of_queries * one.queries[row, layer, head, place].numpy())
                    for place in range(ASKING)
                    if one.asking[row, place]
                ]
                keys = [normed(norm, of_keys * one.keys[row, layer, key_head, token].numpy()) for token in ranks]
                heads.append([np.mean([query @ key for query in queries]) for key in keys])
            layers.append((np.array(heads), weights[f"{site}_heads"][layer]))
            etas.append(weights[f"{site}_layers"][layer])
    if module.reading == "mixture":
        mixed = [normed(norm, of_heads) @ psi for psi, of_heads in layers]
        return normed(norm, normed(norm, etas) @ np.array(mixed) / np.exp(weights["log_temperature"]))
    jointly = []
    for psi, of_heads in layers:
        standard = (psi - psi.mean(1, keepdims=True)) / np.maximum(psi.std(1, keepdims=True), 1e-12)
        scores = of_heads[:, None] * standard
        jointly.append(normed(norm, scores.flatten()).reshape(scores.shape).sum(0))
    scores = np.array(etas)[:, None] * np.array(jointly)
    return normed(norm, scores.flatten()).reshape(scores.shape).sum(0)


@pytest.mark.parametrize(("norm", "reading"), CHOICES)
def test_it_is_what_the_formulas_give_token_by_token(norm, reading):
    shapes = {"cross": GROUPED, "encoder": PLAIN}
    sites = {name: heard(of, seed=place) for place, (name, of) in enumerate(shapes.items())}
    module = moved(InterpretableAttention(shapes, norm=norm, reading=reading, temperature=0.1))
    r = module(sites, ranked()).detach().numpy()
    for row in range(B):
        ranks = ranked()[row].nonzero().flatten().tolist()
        np.testing.assert_allclose(r[row, ranks], by_loops(module, sites, row, ranks), atol=1e-9)


@pytest.mark.parametrize("of", (GROUPED, PLAIN))
@pytest.mark.parametrize(("norm", "reading"), CHOICES)
def test_it_is_a_distribution_over_what_is_ranked(norm, reading, of):
    where = ranked()
    where[2] = False  # a text without a word
    module = moved(InterpretableAttention({"self": of}, norm=norm, reading=reading))
    r = module({"self": heard(of)}, where)
    assert (r >= 0).all() and not r[~where].any()
    torch.testing.assert_close(r.sum(1), torch.tensor([1.0, 1.0, 0.0]).double())
    r.square().sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in module.parameters())


@pytest.mark.parametrize("norm", ("softmax", "sparsemax"))
def test_smats_is_the_weighted_mean_of_attentions_logits(norm):
    one, where = heard(GROUPED), ranked()
    module = moved(HeadMixture({"self": GROUPED}, norm=norm))
    shares = normed("sparsemax", module.weights["heads"][0].detach().numpy())
    r = module({"self": one}, where).detach()
    assert not r[~where].any()
    for row in range(B):
        keys = one.keys[row].repeat_interleave(3, dim=1)
        logits = 0.5 * (one.queries[row] @ keys.mT)[:, :, one.asking[row]].mean(2).flatten(0, 1).numpy()
        ranks = where[row].nonzero().flatten()
        np.testing.assert_allclose(r[row, ranks], normed(norm, shares @ logits[:, ranks]), atol=1e-9)


@pytest.mark.parametrize("make", (InterpretableAttention, HeadMixture))
def test_each_split_has_its_own_weights(make):
    packed = moved(make({"self": GROUPED}, splits=2))
    both, where = heard(GROUPED, rows=4), ranked(4)
    r = packed({"self": both}, where)
    for split, rows in enumerate((slice(0, 2), slice(2, 4))):
        alone = make({"self": GROUPED}).double()
        with torch.no_grad():
            for name, weight in alone.weights.items():
                weight.copy_(packed.weights[name][split : split + 1])
        own = alone({"self": Heard(both.queries[rows], both.keys[rows], both.asking[rows])}, where[rows])
        torch.testing.assert_close(r[rows], own)


@pytest.mark.parametrize(("selection", "learned"), (("feature", 64), ("head", 12), ("layer", 2), ("all", 64 + 12 + 2)))
def test_what_is_selected_is_learned_and_nothing_else(selection, learned):
    module = InterpretableAttention({"self": GROUPED}, selection=selection, reading="joint")
    assert module.count == learned
    assert InterpretableAttention({"self": GROUPED}, selection=selection).count == learned + 1  # the temperature


def test_a_words_score_is_the_sum_of_its_tokens():
    r = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.5, 0.0, 0.25, 0.25]])
    word_of = torch.tensor([[-1, 0, 0, 1], [2, 1, -1, 2]])
    expected = torch.tensor([[0.5, 0.4, 0.0], [0.0, 0.0, 0.75]])
    torch.testing.assert_close(by_word(r, word_of, 3), expected)
