"""Simulatability's student: its pilot's gradient is the finite difference, its step is plain SGD, the model stays."""

import pytest
import torch

from caref.data.batches import for_backbone
from caref.data.demo import generate
from caref.data.prompts import text
from caref.errors import UserError
from caref.evidence.reading import askable
from caref.models import backbones
from caref.models.asking import Asking, beside
from caref.models.packed import packed_part
from caref.models.student import Student
from caref.objectives import faithfulness, objective

RATE, WEIGHT = 0.05, 5.0


def loaded(composed, model: str, *overrides: str):
    """A tiny backbone in float64, its weights moved so that what it says is no tie, and an objective that asks it."""
    job = composed(f"model={model}", "reg=ivra", "reg.criteria=[sim]", "peft=lora_r4", *overrides)
    backbone = backbones.load(job.model, dtype=torch.float64, classes=2 if model == "tiny_classifier" else None)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in backbone.model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return backbone, job, objective.build(job.reg)


def batches_of(backbone, count: int) -> list:
    drawn = generate("comve", "validation")[: 2 * count]
    tokens = [
        askable("comve", one, for_backbone(one, text("comve", one), backbone), backbone.tokenizer) for one in drawn
    ]
    return [tokens[place : place + 2] for place in range(0, len(tokens), 2)]


def asked(part, backbone, examples) -> Asking:
    return Asking(part.model, backbone, part.beside, examples, 1, part.parameters)


def simulated(part, backbone, batches, norm="softmax") -> torch.Tensor:
    """What a new student comes to at the last of these batches."""
    part.beside.student.__init__()
    for examples in batches:
        asking = asked(part, backbone, examples)
        with asking.frozen(True):
            values = asking.simulated(norm, RATE, WEIGHT)
    return values


@pytest.mark.parametrize("norm", ("softmax", "sparsemax"))
@pytest.mark.parametrize(
    "model", ("tiny_gpt2", "tiny_bart", "tiny_classifier")
)  # whose norms are not float32 whatever they are given
def test_the_gradient_through_the_students_step_is_the_finite_difference(model, norm, composed):
    backbone, job, of = loaded(composed, model, f"reg.norm={norm}", "reg.temperature=0.05")
    batches = batches_of(backbone, 2)
    with packed_part(backbone, job.peft, [7004], 100, of) as part:
        learned = list(part.explaining.values())
        gradients = torch.autograd.grad(simulated(part, backbone, batches, norm).mean(), learned)
        generator = torch.Generator().manual_seed(2)
        way = [torch.randn(weight.shape, generator=generator, dtype=torch.float64) for weight in learned]
        start = [weight.detach().clone() for weight in learned]
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                for weight, own, direction in zip(learned, start, way, strict=True):
                    weight.copy_(own + sign * 1e-5 * direction)
            # The student starts from the module's own start, not from where the teacher's weights have gone.
            part.beside.student.__init__()
            with torch.no_grad():
                moved = [weight.clone() for weight in learned]
                for weight, own in zip(learned, start, strict=True):
                    weight.copy_(own)
            first = asked(part, backbone, batches[0])
            with first.frozen(True):
                first.simulated(norm, RATE, WEIGHT)
            with torch.no_grad():
                for weight, own in zip(learned, moved, strict=True):
                    weight.copy_(own)
            second = asked(part, backbone, batches[1])
            with second.frozen(True):
                values.append(second.simulated(norm, RATE, WEIGHT).mean().item())
        expected = sum((gradient * direction).sum() for gradient, direction in zip(gradients, way, strict=True)).item()
        assert (values[0] - values[1]) / 2e-5 == pytest.approx(expected, rel=1e-3)
        assert abs(expected) > 1e-9


def test_its_real_step_is_sgd_on_what_it_was_taught_and_the_model_stays(composed):
    backbone, job, of = loaded(composed, "tiny_llama")
    batches = batches_of(backbone, 3)
    with packed_part(backbone, job.peft, [7004], 100, of) as part:
        before = [parameter.detach().clone() for parameter in part.parameters]
        assert not simulated(part, backbone, batches[:1]).any()
        simulated(part, backbone, batches)
        student: Student = part.beside.student
        first = asked(part, backbone, batches[0])
        answered = first.read()
        choice = answered.log_p.detach().argmax(-1)
        heard = first._of_sites(answered, choice)
        ranked = first._word_of >= 0
        r = part.beside.explainer(heard, ranked).detach()
        apart = faithfulness.explained_apart("softmax", part.beside.explainer.scores(heard), r, ranked)
        loss = (WEIGHT * apart - answered.log_p[[0, 1], choice]).mean()
        gradients = torch.autograd.grad(loss, part.parameters)
        names = {id(parameter): name for name, parameter in part.model.named_parameters()}
        for parameter, gradient in zip(part.parameters, gradients, strict=True):
            stepped = student.weights[f"model.{names[id(parameter)]}"]
            torch.testing.assert_close(stepped, parameter - RATE * gradient)
        assert any(gradient.any() for gradient in gradients)
        assert all(torch.equal(own, parameter) for own, parameter in zip(before, part.parameters, strict=True))
        assert all(parameter.grad is None for parameter in part.parameters)


def test_attention_that_has_no_second_derivative_is_refused_in_one_line(composed):
    backbone, job, of = loaded(composed, "tiny_llama")
    backbone.model.set_attn_implementation("flex_attention")
    with pytest.raises(
        UserError, match="differentiates attention twice, and flex_attention attention can be only once"
    ):
        beside(backbone, job.peft, of)
