"""Losses of faithfulness: their formulas by hand, finite for sparsemax's zeros, gradients where they are promised."""

import itertools
import math

import numpy as np
import pytest
import torch
from entmax import sparsemax, sparsemax_loss
from scipy.spatial.distance import jensenshannon
from torch import tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from caref.objectives import faithfulness


def log(rows) -> torch.Tensor:
    return tensor(rows, dtype=torch.float64).log()


@pytest.mark.parametrize("words", (0, 1, 2, 7, 8, 21, 25, 50, 250))
def test_sizes_are_the_thresholds_shares_as_erasure_takes_them(words):
    from caref.evidence.measures.erasure import PERCENT, share

    assert faithfulness.PERCENT == PERCENT
    (found,) = faithfulness.sizes(tensor([words])).tolist()
    assert found == [share(words, percent) for percent in PERCENT]


def test_the_top_words_are_those_that_erasure_takes():
    from caref.evidence.measures import erasure

    scores = tensor([[0.2, 0.0, 0.5, 0.2, 0.1, 0.0], [0.0, 0.0, 1.0, 0.0, 9.0, 9.0]])
    present = tensor([[True] * 6, [True] * 4 + [False] * 2])
    counts = tensor([[1, 2, 6], [1, 2, 4]])
    chosen = faithfulness.top(scores, present, counts)
    for row, of_row in enumerate(counts.tolist()):
        ranks = present[row].nonzero().flatten().tolist()
        for place, count in enumerate(of_row):
            expected = erasure.top(ranks, scores[row].numpy(), count)
            assert tuple(chosen[row, place].nonzero().flatten().tolist()) == expected


def test_straight_through_has_the_hard_choices_value_and_a_gradient():
    scores = tensor([[0.1, 0.4, 0.3, 0.2], [0.0, 0.0, 1.0, 0.0]], dtype=torch.float64, requires_grad=True)
    present = torch.ones(2, 4, dtype=torch.bool)
    hard = faithfulness.top(scores, present, tensor([[1, 2], [1, 3]]))
    assert not hard.requires_grad
    soft = faithfulness.straight_through(hard, scores, slope=0.1)
    torch.testing.assert_close(soft, hard, atol=1e-15, rtol=0)
    soft[0, 1].sum().backward()
    slopes = [math.exp(-x) / (1 + math.exp(-x)) ** 2 / 0.1 for x in (-2.0, 1.0, 0.0, -1.0)]  # from the second, 0.3
    np.testing.assert_allclose(scores.grad[0], slopes)


def test_margins_are_their_formulas_by_hand():
    whole = log([[0.7, 0.2, 0.1], [0.3, 0.6, 0.1]])
    choice = tensor([0, 1])
    changed = log([[[0.1, 0.8, 0.1], [0.6, 0.3, 0.1]], [[0.2, 0.7, 0.1], [0.9, 0.05, 0.05]]])
    comp = faithfulness.comprehensiveness(whole, changed, choice, margin=1.0)
    # CE(x) - CE(x without): -ln .7 + ln .1 = -1.946, below -1; -ln .7 + ln .6; -ln .6 + ln .7; -ln .6 + ln .05 below -1
    np.testing.assert_allclose(comp, [[0, 1 + math.log(0.6 / 0.7)], [1 + math.log(0.7 / 0.6), 0]], atol=1e-12)
    suff = faithfulness.sufficiency(whole, changed, choice, margin=0.1)
    # CE(words) - CE(x): ln 7; ln(.7 / .6); ln(.6 / .7) = -.154, below -.1; ln 12
    np.testing.assert_allclose(suff, 0.1 + np.array([[math.log(7), math.log(7 / 6)], [-0.1, math.log(12)]]), atol=1e-12)
    mae = faithfulness.sufficiency(whole, changed, choice, "mae")
    np.testing.assert_allclose(mae, [[math.log(7), math.log(7 / 6)], [math.log(7 / 6), math.log(12)]], atol=1e-12)
    divergence = faithfulness.sufficiency(whole, changed, choice, "kl")
    expected = [[(np.exp(m) * (m - x)).sum() for m in of] for of, x in zip(changed.numpy(), whole.numpy(), strict=True)]
    np.testing.assert_allclose(divergence, expected, atol=1e-12)
    assert (divergence >= 0).all()


def test_a_choice_that_is_not_there_moves_no_divergence():
    with_it = torch.cat([log([[0.7, 0.3]]), tensor([[-1e9]], dtype=torch.float64)], dim=1)
    changed = torch.cat([log([[[0.4, 0.6]]]), tensor([[[-1e9]]], dtype=torch.float64)], dim=2)
    expected = 0.4 * math.log(0.4 / 0.7) + 0.6 * math.log(0.6 / 0.3)
    assert faithfulness.sufficiency(with_it, changed, tensor([0]), "kl").item() == pytest.approx(expected)


def test_jensen_shannon_is_scipys_and_finite_with_its_gradient_at_zeros():
    one = tensor([[0.5, 0.5, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.25] * 4], dtype=torch.float64, requires_grad=True)
    other = tensor([[0.0, 0.2, 0.8, 0.0], [0.0, 0.0, 0.0, 1.0], [0.25] * 4], dtype=torch.float64)
    found = faithfulness.jensen_shannon(one, other)
    expected = [jensenshannon(p, q) ** 2 for p, q in zip(one.detach().numpy(), other.numpy(), strict=True)]
    np.testing.assert_allclose(found.detach(), expected, atol=1e-12)
    assert found[1].item() == pytest.approx(math.log(2))
    found.sum().backward()
    assert torch.isfinite(one.grad).all()


def test_jensen_shannons_gradient_is_the_formulas_where_nothing_is_zero():
    generator = torch.Generator().manual_seed(0)
    p, q = torch.rand(2, 5, generator=generator, dtype=torch.float64).softmax(-1)
    assert torch.autograd.gradcheck(faithfulness.jensen_shannon, (p.requires_grad_(), q.requires_grad_()))


def sparse(rows: int = 6, places: int = 9) -> torch.Tensor:
    scores = torch.randn(rows, places, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    return scores.mul(3).requires_grad_()


def test_consistency_is_the_mean_over_pairs_of_each_split():
    scores, states = sparse(), torch.randn(6, 4, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    r = sparsemax(scores, -1)
    found = faithfulness.consistency(r, states, groups=2, eps=0.01)
    for split in range(2):
        pairs = [
            jensenshannon(*r[[i, j]].detach().numpy()) ** 2 / (np.linalg.norm(states[i] - states[j]) + 0.01)
            for i, j in itertools.combinations(range(3 * split, 3 * split + 3), 2)
        ]
        assert found[3 * split : 3 * split + 3].tolist() == pytest.approx([np.mean(pairs)] * 3)
    found.sum().backward()
    assert torch.isfinite(scores.grad).all() and scores.grad.any()
    assert not faithfulness.consistency(r, states, groups=6).any()
    alike = faithfulness.consistency(r[:2], states[[0, 0]].clone().requires_grad_())
    assert torch.isfinite(alike).all()


def test_clustering_is_the_mean_of_alike_less_the_mean_of_others():
    r, choice = sparsemax(sparse(), -1).detach(), tensor([0, 0, 1, 0, 0, 0])
    found = faithfulness.clustering(r, choice, groups=2)
    apart = ((r[:, None] - r[None]) ** 2).sum(-1).numpy()
    by_hand = [apart[0, 1] - apart[0, 2], apart[1, 0] - apart[1, 2], -(apart[2, 0] + apart[2, 1]) / 2]
    by_hand += [(apart[i, 3:].sum()) / 2 for i in range(3, 6)]
    np.testing.assert_allclose(found, by_hand, atol=1e-12)


def test_a_students_explanation_is_as_far_as_the_norms_own_loss_says():
    scores, present = sparse(4, 5), torch.ones(4, 5, dtype=torch.bool)
    labels = tensor([0, 4, 2, 2])
    one_hot = torch.eye(5, dtype=torch.float64)[labels]
    sparse_loss = faithfulness.explained_apart("sparsemax", scores, one_hot, present)
    torch.testing.assert_close(sparse_loss, sparsemax_loss(scores, labels, k=None))
    soft_loss = faithfulness.explained_apart("softmax", scores, one_hot, present)
    torch.testing.assert_close(soft_loss, torch.nn.functional.cross_entropy(scores, labels, reduction="none"))
    for norm, of in (("softmax", lambda s: s.softmax(-1)), ("sparsemax", lambda s: sparsemax(s, -1))):
        same = faithfulness.explained_apart(norm, scores, of(scores), present)
        torch.testing.assert_close(same, torch.zeros_like(same), atol=1e-12, rtol=0)
    half = present.clone()
    half[:, 3:] = False
    assert torch.isfinite(faithfulness.explained_apart("sparsemax", scores, sparsemax(scores[:, :3], -1).detach() @
                                                       torch.eye(3, 5, dtype=torch.float64), half)).all()  # fmt: skip


def after_pilot(teacher: torch.Tensor, weights: torch.Tensor, rate: float = 0.3) -> torch.Tensor:
    """A student of two parameters on batch B, after one step on batch A with its teacher's explanation."""
    a, b = tensor([[1.0, -0.5], [0.2, 0.9]]).double(), tensor([[-0.3, 0.8], [1.1, 0.4]]).double()

    def loss(student, batch, labels):
        logits = torch.stack([batch @ student, -(batch @ student)], dim=1)
        return torch.nn.functional.cross_entropy(logits, labels)

    scores = a * weights  # the student's explanation of batch A: two tokens an example
    r = (teacher * a).softmax(-1)
    apart = faithfulness.explained_apart("softmax", scores, r, torch.ones(2, 2, dtype=torch.bool)).mean()
    inner = loss(weights, a, tensor([0, 1])) + 5 * apart
    stepped = faithfulness.piloted({"weights": weights}, inner, rate)
    return loss(stepped["weights"], b, tensor([1, 1]))


def test_the_pilots_gradient_is_the_finite_difference():
    weights = tensor([0.3, -0.7], dtype=torch.float64, requires_grad=True)
    teacher = tensor([0.4, 1.2], dtype=torch.float64, requires_grad=True)
    (found,) = torch.autograd.grad(after_pilot(teacher, weights), teacher)
    for place in range(2):
        step = torch.zeros(2, dtype=torch.float64)
        step[place] = 1e-6
        ahead, behind = (after_pilot((teacher + sign * step).detach(), weights).item() for sign in (1, -1))
        assert found[place].item() == pytest.approx((ahead - behind) / 2e-6, rel=1e-6)
    assert found.abs().min() > 1e-4


def test_a_pilot_needs_an_attention_that_has_second_derivatives():
    weight = torch.randn(4, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    tokens = torch.randn(1, 2, 3, 4, generator=torch.Generator().manual_seed(1))

    def gradient():
        loss = scaled_dot_product_attention(tokens @ weight, tokens, tokens @ weight).square().sum()
        return torch.autograd.grad(faithfulness.piloted({"w": weight}, loss, 0.1)["w"].square().sum(), weight)

    with sdpa_kernel(SDPBackend.MATH):
        assert torch.isfinite(gradient()[0]).all()
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION), pytest.raises(RuntimeError, match="derivative"):
        gradient()
