"""CarefLoss and the objectives that a configuration names."""

import math
from types import SimpleNamespace

import exact_terms
import pytest
import torch
import torch.nn.functional as F
from entmax import EntmaxBisectLoss
from small_batch import CONF, REGS, reg

from caref import CarefLoss
from caref.errors import UserError
from caref.objectives.definition import Term
from caref.objectives.objective import build
from caref.objectives.reduction import reduce, totals


def test_the_paper_objective_is_the_weighted_sum_of_exact_means(batch):
    terms = CarefLoss(alpha=1.5, beta=0.5, lambda_sced=0.3, lambda_kl=0.2)(batch.logits, batch.labels)
    counted = batch.labels != -100
    rows = [
        exact_terms.small(row.tolist(), label.item(), 1.5, 0.5)
        for row, label in zip(batch.logits[counted].detach(), batch.labels[counted], strict=True)
    ]
    mean = {name: float(sum(row[name] for row in rows) / len(rows)) for name in ("ce", "sced", "kl")}
    for name, expected in mean.items():
        assert getattr(terms, name).item() == pytest.approx(expected, rel=1e-12)
        assert not getattr(terms, name).requires_grad
    assert terms.loss.shape == ()
    assert terms.loss.item() == pytest.approx(mean["ce"] + 0.3 * mean["sced"] + 0.2 * mean["kl"], rel=1e-12)
    assert torch.autograd.gradcheck(lambda z: CarefLoss(1.5, 0.5)(z, batch.labels).loss, batch.logits)


def test_ignored_positions_do_not_count_whatever_they_hold(batch):
    loss = CarefLoss(ignore_index=-1)
    labels = batch.labels.clone()
    ignored = labels == -100
    labels[ignored] = -1
    clean = loss(batch.logits[~ignored], labels[~ignored])

    spoilt = batch.logits.detach().masked_fill(ignored.unsqueeze(-1), math.nan).requires_grad_()
    terms = loss(spoilt, labels)
    terms.loss.backward()
    torch.testing.assert_close(terms.loss, clean.loss)
    assert (spoilt.grad[ignored] == 0).all() and spoilt.grad.isfinite().all()


@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 3), (2, 2, 2)])
def test_any_leading_shape(shape):
    torch.manual_seed(0)
    logits, labels = torch.randn(*shape, 11), torch.randint(11, shape)
    flat = CarefLoss()(logits.reshape(-1, 11), labels.reshape(-1))
    torch.testing.assert_close(CarefLoss()(logits, labels).loss, flat.loss)


@pytest.mark.parametrize("name", REGS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_the_gradient_is_not_differentiated_again_in_silence(name, dtype):
    logits = torch.randn(2, 3, 8, dtype=dtype, requires_grad=True)
    loss = build(reg(name))(SimpleNamespace(logits=logits), torch.ones(2, 3).long()).loss
    (gradient,) = torch.autograd.grad(loss, logits, create_graph=True)
    with pytest.raises(RuntimeError, match="cannot be differentiated a second time"):
        (gradient.square().sum() + logits.sum()).backward()


def test_float32_and_bfloat16_are_float64_within_their_rounding(batch):
    exact = CarefLoss()(batch.logits, batch.labels)
    single = CarefLoss()(batch.logits.float(), batch.labels)
    torch.testing.assert_close(single.loss.double(), exact.loss, rtol=1e-6, atol=0)
    # On the same logits, bfloat16 is computed in float32.
    logits = batch.logits.bfloat16()
    half, single = CarefLoss()(logits, batch.labels), CarefLoss()(logits.float(), batch.labels)
    assert half.loss.dtype == torch.float32 and torch.equal(half.loss, single.loss)


@pytest.mark.parametrize("name", REGS)
def test_every_choice_of_the_configuration_trains(batch, name):
    objective = build(reg(name))
    terms = objective(batch, batch.labels)
    assert terms.loss.shape == () and not any(value.requires_grad for value in terms.named.values())
    expected = F.cross_entropy(batch.logits.flatten(0, 1), batch.labels.flatten())
    torch.testing.assert_close(terms.named["ce"], expected)
    terms.loss.backward()
    assert batch.logits.grad.abs().sum() > 0
    assert (batch.logits.grad[batch.labels == -100] == 0).all()


@pytest.mark.parametrize("name", REGS)
def test_packed_splits_have_the_losses_they_have_alone(batch, name):
    objective = build(reg(name))
    packed = objective(batch, batch.labels, batch.answers, groups=2)
    for split in range(2):
        rows = slice(2 * split, 2 * split + 2)
        alone = objective(SimpleNamespace(logits=batch.logits[rows]), batch.labels[rows], batch.answers[rows])
        torch.testing.assert_close(packed.loss[split], alone.loss)
        for term, value in alone.named.items():
            torch.testing.assert_close(packed.named[term][split], value)


@pytest.mark.parametrize("groups", (None, 2))
@pytest.mark.parametrize("name", ("sced", "kl", "entropy", "label_smoothing", "entmax", "none"))
def test_logits_of_labelled_positions_alone_have_the_losses_of_all(batch, name, groups):
    objective = build(reg(name))
    assert objective.by_position
    labelled = (batch.labels.flatten() != -100).nonzero().squeeze(-1)
    alone = SimpleNamespace(logits=batch.logits.flatten(0, 1)[labelled].unsqueeze(0))
    whole = objective(batch, batch.labels, batch.answers, groups=groups)
    chosen = objective(alone, batch.labels, batch.answers, groups=groups, labelled=labelled)
    torch.testing.assert_close(chosen.loss, whole.loss, rtol=0, atol=1e-12)
    torch.testing.assert_close(chosen.named, whole.named, rtol=0, atol=1e-12)
    (gradient,) = torch.autograd.grad(whole.loss.sum(), batch.logits)
    torch.testing.assert_close(torch.autograd.grad(chosen.loss.sum(), batch.logits)[0], gradient, rtol=0, atol=1e-12)


def test_supervising_the_answer_alone_leaves_regularisers_on_all_positions(batch):
    objective = build(reg("sced"))
    joint, answer = objective(batch, batch.labels), objective(batch, batch.labels, batch.answers)
    expected = F.cross_entropy(batch.logits.flatten(0, 1), batch.answers.flatten())
    torch.testing.assert_close(answer.named["ce"], expected)
    torch.testing.assert_close(answer.named["sced"], joint.named["sced"])
    torch.testing.assert_close(answer.loss - joint.loss, answer.named["ce"] - joint.named["ce"])


@pytest.mark.parametrize("name", REGS)
def test_whatever_the_objective_only_what_teaches_the_label_is_counted_on_the_answer(batch, name):
    joint, answer = build(reg(name))(batch, batch.labels), build(reg(name))(batch, batch.labels, batch.answers)
    for term, value in answer.named.items():
        assert torch.allclose(value, joint.named[term]) == (term not in ("ce", "entmax")), term


def test_label_smoothing_is_pytorchs(batch):
    terms = build(reg("label_smoothing", "reg.smoothing=0.3"))(batch, batch.labels)
    expected = F.cross_entropy(batch.logits.flatten(0, 1), batch.labels.flatten(), label_smoothing=0.3)
    torch.testing.assert_close(terms.loss, expected)


def test_the_entropy_penalty_rewards_entropy(batch):
    terms = build(reg("entropy", "reg.lambda_entropy=0.4"))(batch, batch.labels)
    counted = batch.labels != -100
    expected = torch.distributions.Categorical(logits=batch.logits[counted]).entropy().mean()
    torch.testing.assert_close(terms.named["entropy"], expected.detach())
    torch.testing.assert_close(terms.loss.detach(), terms.named["ce"] - 0.4 * expected.detach())


def test_kl_alone_is_the_paper_objective_without_sced(batch):
    terms = build(reg("kl", "reg.lambda_kl=0.7"))(batch, batch.labels)
    torch.testing.assert_close(terms.loss, CarefLoss(lambda_sced=0, lambda_kl=0.7)(batch.logits, batch.labels).loss)


@pytest.mark.parametrize("alpha", [1.01, 1.2, 1.5, 2.0, 3.0])
def test_entmax_is_the_bisection_of_the_library(batch, alpha):
    terms = build(reg("entmax", f"reg.alpha={alpha}"))(batch, batch.labels)
    counted = batch.labels != -100
    expected = EntmaxBisectLoss(alpha, n_iter=100)(batch.logits[counted], batch.labels[counted])
    torch.testing.assert_close(terms.loss, expected, rtol=1e-9, atol=1e-9)
    (grad,) = torch.autograd.grad(terms.loss, batch.logits, retain_graph=True)
    (exact,) = torch.autograd.grad(expected, batch.logits)
    torch.testing.assert_close(grad, exact, rtol=1e-7, atol=1e-9)


def test_entmax_tends_to_cross_entropy(batch):
    terms = build(reg("entmax", "reg.alpha=1.001"))(batch, batch.labels)
    assert terms.loss.item() == pytest.approx(terms.named["ce"].item(), rel=2e-3)
    with pytest.raises(UserError, match=r"reg.alpha=1.*at least 1.001"):
        build({"term": "entmax", "alpha": 1.0})


def test_an_unknown_objective_is_refused_with_the_choices():
    with pytest.raises(UserError, match=r"reg.term=focal: .*cross_entropy, entmax, entropy, .*kl_uniform"):
        build({"name": "focal", "term": "focal"})


def test_the_public_name_needs_no_torch_until_used():
    import subprocess
    import sys

    code = "import caref, sys; assert 'torch' not in sys.modules; caref.CarefLoss; assert 'torch' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=CONF.parent)


def test_a_term_of_examples_is_their_mean_whole_in_splits_and_in_parts(batch):
    values = torch.tensor([1.0, 2.0, 4.0, 9.0], dtype=torch.float64)
    of_examples = {"own": Term(values, 2.0)}
    assert reduce(of_examples, batch.labels).loss.item() == 2 * 4.0
    assert reduce(of_examples, batch.labels, groups=2).loss.tolist() == [2 * 1.5, 2 * 6.5]
    whole = totals(batch.labels, groups=2)
    halves = [
        reduce({"own": Term(values[[n, n + 2]], 2.0)}, batch.labels[[n, n + 2]], groups=2, count=whole) for n in (0, 1)
    ]
    assert sum(half.loss for half in halves).tolist() == [2 * 1.5, 2 * 6.5]


def test_parts_of_a_batch_add_up_to_the_whole_where_only_the_answer_is_supervised(batch):
    objective, places = build(reg("sced")), ([0, 2], [1, 3])
    whole = totals(batch.labels, batch.answers, groups=2)
    parts = [
        objective(SimpleNamespace(logits=batch.logits[rows]), batch.labels[rows], batch.answers[rows], 2, whole=whole)
        for rows in places
    ]
    expected = objective(batch, batch.labels, batch.answers, groups=2)
    torch.testing.assert_close(sum(part.loss for part in parts), expected.loss)
    for name, value in expected.named.items():
        torch.testing.assert_close(sum(part.named[name] for part in parts), value)
