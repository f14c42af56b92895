"""The objective in a step that torch.compile compiles: the numbers of the plain step, and one break of the graph."""

import warnings
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from caref import CarefLoss
from caref.objectives import objective

OBJECTIVE = objective.build({"term": "sced", "alpha": 1.5, "beta": 1.0, "lambda_sced": 0.3, "lambda_kl": 0.1})
LOSSES = {
    "CarefLoss": CarefLoss(alpha=1.5, lambda_sced=0.3),
    "Objective": lambda logits, labels: OBJECTIVE(SimpleNamespace(logits=logits), labels),
}


@pytest.fixture
def step():
    """A function: a step of training by a loss, a head, hidden states, (2, 5, 8), and labels, some ignored."""
    torch.manual_seed(1)
    head, hidden, labels = nn.Linear(8, 40), torch.randn(2, 5, 8), torch.randint(40, (2, 5))
    labels[0, :2] = -100

    def made(loss):
        return lambda labels: 2 * loss(head(hidden).tanh() * 4, labels).loss, head, labels

    torch.compiler.reset()
    yield made
    torch.compiler.reset()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("backend", ("eager", "aot_eager"))
def test_loss_and_gradients_are_those_of_the_plain_step(step, loss, backend):
    plain, head, labels = step(LOSSES[loss])
    found = []
    for run in (plain, torch.compile(plain, backend=backend)):
        head.zero_grad()
        value = run(labels)
        value.backward()
        found.append((value.detach(), head.weight.grad.clone(), head.bias.grad.clone()))
    torch.testing.assert_close(found[1], found[0], rtol=1e-6, atol=1e-7)


def test_the_graph_breaks_once_and_nothing_is_warned_of(step):
    plain, _, labels = step(CarefLoss())
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        explained = torch._dynamo.explain(plain)(labels)
    assert (explained.graph_count, explained.graph_break_count) == (2, 1)
    assert not [warning for warning in told if "ynamo" in str(warning.message)]


def test_what_is_wrong_is_told_as_in_a_plain_step(step):
    plain, _, labels = step(CarefLoss())
    compiled = torch.compile(plain, backend="eager")
    with pytest.raises(ValueError, match="the batch has no target token"):
        compiled(torch.full_like(labels, -100))
    with pytest.raises(ValueError, match="label 40 is outside the vocabulary of 40 words"):
        compiled(torch.full_like(labels, 40))
