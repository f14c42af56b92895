"""Simulatability: the student's steps and answers by an independent computation, packed as alone, without a trace."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from caref.data.demo import generate as demo
from caref.errors import UserError
from caref.evidence.measures import simulatability
from caref.evidence.reading import Reading, question
from caref.models import backbones
from caref.models.packed import packed_part

SEEDS = (7004, 3639)
RATE, STEPS = 0.5, 4  # so that four steps are seen
TAUGHT = 12  # more than a step's batch holds: which are in which is seen


@pytest.fixture
def loaded(configured):
    """A function: a tiny backbone of some classes or none, moved so that what it says is no tie."""

    def load(model: str) -> backbones.Backbone:
        classes = 3 if model == "tiny_classifier" else None
        backbone = backbones.load(configured(f"model={model}").model, classes=classes)
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for parameter in backbone.model.parameters():
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
        return backbone

    return load


def questions(backbone, split: int = 0, count: int = 12) -> list:
    drawn = demo("esnli", "validation")[count * split : count * (split + 1)]
    return [question("esnli", one, backbone, seed=1000 * split + place) for place, one in enumerate(drawn)]


def moved(part) -> None:
    """As if it had been trained."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in part.parameters:
            one = parameter[0] if parameter.dim() and len(part.twins.places) else parameter
            parameter.add_(0.3 * torch.randn(one.shape, generator=generator))


def by_hand(backbone, peft, asked, labels, shares) -> list[int]:
    """A student of a classifier, example by example: its own forward, attention's projections, plain SGD."""
    measure = simulatability
    draw = lambda nth: np.array([np.random.default_rng((one.seed, nth, 1)).random() for one in asked])  # noqa: E731
    first = np.argsort(draw(0))
    taught, others = sorted(first[:TAUGHT]), sorted(first[TAUGHT:])
    layers, heads, width = 2, 4, 8
    with packed_part(backbone, peft, [SEEDS[0]], 10) as part:
        module = {
            name: torch.ones(shape, requires_grad=True)
            for name, shape in (
                ("queries", (layers, heads, width)),
                ("keys", (layers, heads, width)),
                ("heads", (layers, heads)),
                ("layers", (layers,)),
            )
        }
        module["temperature"] = torch.tensor(0.02).log().requires_grad_()
        learns = [*part.parameters, *module.values()]
        kept = {}
        for layer in range(layers):
            attention = part.model.get_submodule(f"bert.encoder.layer.{layer}.attention.self")
            for name in ("query", "key"):
                getattr(attention, name).register_forward_hook(
                    lambda _, args, output, key=(layer, name): kept.__setitem__(key, output[0])
                )

        def loss_of(place: int) -> torch.Tensor:
            one = asked[place]
            logits = part.model(input_ids=torch.tensor([one.asked.prompt])).logits[0, 0]
            scores = 0
            for layer in range(layers):
                per_head = []
                for head in range(heads):
                    cut = slice(width * head, width * (head + 1))
                    query = (kept[layer, "query"][:, cut] * module["queries"][layer, head]).softmax(-1)
                    key = (kept[layer, "key"][:, cut] * module["keys"][layer, head]).softmax(-1)
                    per_head.append(query.mean(0) @ key.T)
                scores = scores + module["layers"].softmax(0)[layer] * (
                    module["heads"][layer].softmax(0) @ torch.stack(per_head)
                )
            tokens = [token for word in one.words for token in word.tokens]
            log_own = (scores[tokens] / module["temperature"].exp()).log_softmax(-1)
            given = [share / len(word.tokens) for share, word in zip(shares[place], one.words, strict=True)
                     for _ in word.tokens]  # fmt: skip
            apart = functional.kl_div(log_own, torch.tensor(given, dtype=torch.float32), reduction="sum")
            return functional.cross_entropy(logits, torch.tensor(labels[place])) + measure.WEIGHT * apart

        part.model.eval()
        stream = [place for nth in range(1, 40) for place in sorted(taught, key=lambda p, u=None, n=nth: draw(n)[p])]
        for step in range(STEPS):
            batch = stream[measure.BATCH * step : measure.BATCH * (step + 1)]
            loss = sum(loss_of(place) for place in batch) / measure.BATCH
            gradients = torch.autograd.grad(loss, learns)
            with torch.no_grad():
                for weight, gradient in zip(learns, gradients, strict=True):
                    weight -= RATE * gradient
        with torch.no_grad():
            return [
                part.model(input_ids=torch.tensor([asked[place].asked.prompt])).logits[0, 0].tolist()
                for place in others
            ]


def test_a_student_is_what_a_loop_makes_of_it(loaded, peft):
    backbone = loaded("tiny_classifier")
    asked = questions(backbone, count=5 * TAUGHT)
    told = []
    with packed_part(backbone, peft("lora_r4"), [SEEDS[0]], 10, teaching=True) as part:
        moved(part)
        reading = Reading(part.model, backbone, [asked], attributions=["saliency"], pupil=part.pupil,
                          student_lr=RATE, student_steps=STEPS)  # fmt: skip
        (labels,) = reading.predicted()
        own = reading.log_p_of
        reading.log_p_of = lambda asked: told.append(own(asked)) or told[-1]  # what students are asked is kept
        (scores,) = simulatability.measure(reading)
        shares = [values / values.sum() for values in reading.word_scores("saliency")[0]]
    expected = torch.tensor(by_hand(backbone, peft("lora_r4"), asked, labels.tolist(), shares)).log_softmax(-1)
    torch.testing.assert_close(torch.tensor(told[2][0]), expected, rtol=1e-3, atol=1e-4)
    first = np.argsort([np.random.default_rng((one.seed, 0, 1)).random() for one in asked])
    others, usual = labels[sorted(first[TAUGHT:])], np.bincount(labels[first[:TAUGHT]]).argmax()
    assert scores["n"] == 4 * TAUGHT and scores["taught"] == TAUGHT
    assert scores["most_frequent"] == 100 * (others == usual).mean()
    assert scores["saliency.sim"] == pytest.approx(100 * (expected.argmax(-1).numpy() == others).mean())
    assert not torch.allclose(torch.tensor(told[1][0]), torch.tensor(told[2][0]), atol=1e-3)
    assert not torch.allclose(torch.tensor(told[0][0]), torch.tensor(told[1][0]), atol=1e-3)


@pytest.mark.parametrize("model", ("tiny_classifier", "tiny_t5", "tiny_llama"))
def test_packed_students_foresee_as_each_alone_and_the_model_stays(loaded, peft, model):
    backbone, own = loaded(model), peft("aq")
    asked = [questions(backbone, split) for split in range(2)]

    def measured(seeds, splits):
        with packed_part(backbone, own, seeds, 10, teaching=True) as part:
            moved(part)
            before = [weight.detach().clone() for weight in part.parameters]
            found = simulatability.measure(
                Reading(
                    part.model,
                    backbone,
                    splits,
                    attributions=["random", "attention"],
                    pupil=part.pupil,
                    student_lr=0.1,
                    student_steps=3,
                )
            )
            assert all(torch.equal(*pair) for pair in zip(before, part.parameters, strict=True))
            assert all(weight.grad is None for weight in part.parameters)
            return found

    together = measured(SEEDS, asked)
    for place, seed in enumerate(SEEDS):
        (alone,) = measured([seed], [asked[place]])
        assert together[place] == pytest.approx(alone) and alone["taught"] == 2 and alone["n"] == 10


def test_what_keeps_its_attention_to_itself_is_refused_in_one_line(loaded, peft):
    backbone = loaded("tiny_t5")
    with (
        pytest.raises(UserError, match=r"^evidence.measures=simulatability: its student explains by attention"),
        packed_part(backbone, peft("prefix"), [SEEDS[0]], 10, teaching=True),
    ):
        pass


def test_a_student_whose_answers_are_no_numbers_is_an_error_and_no_score(loaded, peft):
    backbone = loaded("tiny_classifier")
    with packed_part(backbone, peft("base"), [SEEDS[0]], 10, teaching=True) as part:
        moved(part)
        asked = dict(attributions=["random"], pupil=part.pupil, student_lr=1e8, student_steps=50)
        with pytest.raises(
            ValueError, match=r"^evidence\.student_lr=100000000\.0: a student came to answers that are no num"
        ):
            simulatability.measure(Reading(part.model, backbone, [questions(backbone)], **asked))
