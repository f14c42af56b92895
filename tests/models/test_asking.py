"""What an objective asks the model: probabilities as evidence computes them, and queries and keys of every family."""

from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from caref.data.batches import for_backbone, mask_token
from caref.data.demo import generate
from caref.data.prompts import text
from caref.evidence.choices import Asked, by_token, tree
from caref.evidence.reading import askable
from caref.models import backbones
from caref.models.asking import Asking, beside
from caref.models.packed import packed_part
from caref.models.queries_and_keys import Projected, attention, sites
from caref.objectives import objective

MODELS = ("tiny_t5", "tiny_bart", "tiny_llama", "tiny_gpt2", "tiny_classifier")
CLASSES = 5
EXACT = torch.float64
SEEDS = (7004, 3639)


@pytest.fixture(scope="module")
def loaded(composed):
    """A function: a tiny backbone, its weights moved so that what it says is no tie, and an objective that asks it."""

    def load(model: str, *overrides: str, dtype=EXACT):
        job = composed(f"model={model}", "reg=ivra", "peft=lora_r4", *overrides)
        backbone = backbones.load(job.model, dtype=dtype, classes=CLASSES if model == "tiny_classifier" else None)
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for parameter in backbone.model.parameters():
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator, dtype=EXACT))
        return backbone, job, objective.build(job.reg)

    return load


def examples_of(backbone, dataset="comve", count=3, begin=0):
    return [
        askable(dataset, one, for_backbone(one, text(dataset, one), backbone), backbone.tokenizer)
        for one in generate(dataset, "validation")[begin : begin + count]
    ]


def asking_of(backbone, job, of, examples, splits=1):
    return Asking(backbone.model, backbone, beside(backbone, job.peft, of, splits), examples, splits)


def as_evidence(backbone, examples, prompts=None, batch_size=1) -> np.ndarray:
    asked = [
        Asked(prompt or one.prompt, one.choices)
        for one, prompt in zip(examples, prompts or [None] * len(examples), strict=True)
    ]
    (tokens,) = by_token(backbone.model, backbone, [asked], batch_size)
    return np.array([tree(*one) for one in zip(asked, tokens, strict=True)])


def erased(backbone, example, gone) -> tuple[int, ...]:
    prompt = list(example.prompt)
    for word in gone:
        for token in example.words[word]:
            prompt[token] = mask_token(backbone.tokenizer, "", "")
    return tuple(prompt)


@pytest.mark.parametrize("model", MODELS)
def test_choices_are_as_probable_as_evidence_says_whole_and_with_words_masked(model, loaded):
    backbone, job, of = loaded(model)
    examples = examples_of(backbone)
    asking = asking_of(backbone, job, of, examples)
    with torch.no_grad():
        np.testing.assert_allclose(asking.read().log_p, as_evidence(backbone, examples), rtol=1e-5, atol=1e-7)
        kept = asking.words.double().unsqueeze(1).repeat(1, 2, 1)
        kept[:, 0, 1] = 0
        kept[:, 1, ::2] = 0
        found = asking.log_p(kept, "mask")
    for variant in range(2):
        gone = [
            [word for word in range(len(one.words)) if not kept[row, variant, word]] for row, one in enumerate(examples)
        ]
        prompts = [erased(backbone, one, of_one) for one, of_one in zip(examples, gone, strict=True)]
        expected = as_evidence(backbone, examples, prompts)
        np.testing.assert_allclose(found[:, variant], expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("model", MODELS)
def test_an_examples_explanation_is_the_same_in_any_batch_and_0_beside_words(model, loaded):
    backbone, job, of = loaded(model, "reg.temperature=0.001")
    examples = examples_of(backbone, "ecqa", 4)
    with torch.no_grad():
        asking = asking_of(backbone, job, of, examples)
        answered = asking.read()
        choice = answered.log_p.argmax(-1)
        r = asking.explained(answered, choice)
        torch.testing.assert_close(r.sum(1), torch.ones(4, dtype=EXACT))
        torch.testing.assert_close(asking.by_word(r).sum(1), torch.ones(4, dtype=EXACT))
        for row, one in enumerate(examples):
            alone = asking_of(backbone, job, of, [one])
            answered = alone.read()
            own = alone.explained(answered, choice[row : row + 1])
            of_words = sorted(token for word in one.words for token in word)
            assert not np.delete(own[0].numpy(), of_words).any()
            words = len(one.words)
            torch.testing.assert_close(asking.by_word(r)[row, :words], alone.by_word(own)[0], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("model", "site", "heads"),
    [
        ("tiny_t5", "cross", (4, 4)),
        ("tiny_t5", "encoder", (4, 4)),
        ("tiny_bart", "cross", (4, 4)),
        ("tiny_bart", "encoder", (4, 4)),
        ("tiny_llama", "self", (4, 2)),
        ("tiny_gpt2", "self", (4, 4)),
        ("tiny_classifier", "encoder", (4, 4)),
        ("tiny_classifier", "self", (4, 4)),
    ],
)
def test_queries_and_keys_are_those_of_the_models_own_attention(model, site, heads, loaded):
    """By what attention makes of them: softmax(q k') is the attention that the model tells."""
    backbone, _, _ = loaded(model)
    layers = sites(backbone.model, site)[site]
    shape = attention(layers)
    assert (shape.heads, shape.key_heads, shape.layers, shape.width) == (*heads, 2, 8)
    projected = Projected(backbone.model, layers)
    backbone.model.set_attn_implementation("eager")
    ids = torch.tensor([[5, 6, 7, 8, 9], [10, 11, 12, 13, 14]])
    inputs = {"decoder_input_ids": ids[:, :3]} if backbone.encoder_decoder else {}
    with torch.no_grad(), projected.listening():
        output = backbone.model(input_ids=ids, output_attentions=True, use_cache=False, **inputs)
    told = {"cross": "cross_attentions", "encoder": "encoder_attentions", "self": "attentions"}[site]
    told = "attentions" if backbone.classifier else told
    for layer in range(2):
        queries, keys = projected.queries()[layer].transpose(1, 2), projected.keys()[layer].transpose(1, 2)
        keys = keys.repeat_interleave(heads[0] // heads[1], dim=1)
        assert queries.shape == (2, 4, 3 if site == "cross" else 5, 8) and keys.shape == (2, 4, 5, 8)
        logits = shape.scale * queries @ keys.mT
        known = output[told][layer]
        if model == "tiny_t5" and site == "encoder":
            continue  # which adds a bias of positions: shapes alone
        if (
            site == "self" and not backbone.classifier
        ):  # causal; of Llama's, which rotates, the first position alone is as without
            known, logits = (known[:, :, :1, :1], logits[:, :, :1, :1]) if model == "tiny_llama" else (
                known, logits.masked_fill(torch.ones(5, 5).triu(1).bool(), -torch.inf))  # fmt: skip
        torch.testing.assert_close(logits.softmax(-1).to(known.dtype), known, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model", MODELS)
def test_frozen_no_gradient_reaches_the_model_and_joint_it_does(model, loaded):
    backbone, job, of = loaded(model)
    examples = examples_of(backbone)
    with packed_part(backbone, job.peft, [7004], 1, of) as part:
        part.model.train()
        for frozen in (True, False):
            asking = Asking(part.model, backbone, part.beside, examples, 1, part.parameters)
            with asking.frozen(frozen):
                assert not part.model.training
                answered = asking.read()
                r = asking.by_word(asking.explained(answered, answered.log_p.argmax(-1)))
                asking.log_p(1 - r.unsqueeze(1), "mask").square().sum().backward()
            assert part.model.training and all(parameter.requires_grad for parameter in part.parameters)
            assert all((parameter.grad is None) == frozen for parameter in part.parameters)
            learned = part.explaining
            site = "encoder" if backbone.classifier else "cross" if backbone.encoder_decoder else "self"
            assert learned.keys() == {*(f"{site}_{of}" for of in ("queries", "keys", "heads", "layers")),
                                      "log_temperature"}  # fmt: skip
            assert all(weight.grad.any() and torch.isfinite(weight.grad).all() for weight in learned.values())


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("scope", ("module", "joint"))
def test_packed_splits_have_the_terms_and_gradients_that_each_has_alone(model, scope, loaded):
    from caref.training import terms_of

    criteria = ("reg.criteria=[comp,suff,cons]", "reg.temperature=0.0005", "reg.norm=sparsemax")
    backbone, job, of = loaded(model, f"reg.scope={scope}", *criteria)
    sides = [examples_of(backbone), examples_of(backbone, begin=3)]

    def first_step(examples, seeds):
        with packed_part(backbone, job.peft, seeds, 1, of) as part:
            terms = terms_of(part, backbone, of, examples, splits=len(seeds))
            terms.loss.sum().backward()
            trained = {**dict(zip(part.names, part.parameters, strict=True)), **part.explaining}
            return terms.named, {name: weight.grad for name, weight in trained.items()}

    together, gradients = first_step(sides[0] + sides[1], SEEDS)
    for place, (side, seed) in enumerate(zip(sides, SEEDS, strict=True)):
        alone, own = first_step(side, [seed])
        for name, value in alone.items():
            torch.testing.assert_close(together[name][place : place + 1], value, rtol=1e-5, atol=1e-8, msg=name)
        for name, gradient in own.items():
            other = gradients[name][place].view_as(gradient)
            torch.testing.assert_close(other, gradient, rtol=1e-3, atol=1e-6, msg=name)


def test_consistency_is_a_mean_over_pairs_whatever_the_batch(loaded):
    """By scipy's Jensen-Shannon distance, squared, of the batch's own r and states."""
    from scipy.spatial.distance import jensenshannon

    from caref.training import terms_of

    backbone, job, of = loaded("tiny_t5", "reg.criteria=[cons]")
    for count in (2, 4):
        examples = examples_of(backbone, count=count)
        with packed_part(backbone, job.peft, [7004], 1, of) as part:
            logged = terms_of(part, backbone, of, examples).named["cons"].item()
            asked = Asking(part.model, backbone, part.beside, examples, 1)
            with torch.no_grad(), asked.frozen(True):
                answered = asked.read(states=True)
                r = asked.by_type(asked.explained(answered, answered.log_p.argmax(-1))).numpy()
        states = answered.states.numpy()
        pairs = [
            jensenshannon(r[one], r[other]) ** 2 / (np.linalg.norm(states[one] - states[other]) + 1e-3)
            for one, other in combinations(range(count), 2)
        ]
        assert logged == pytest.approx(np.mean(pairs), rel=1e-5)


def test_hard_and_straight_through_are_the_same_number_and_hard_gives_the_module_nothing(loaded):
    from caref.training import terms_of

    found = {}
    for choosing in ("straight_through", "hard"):
        backbone, job, of = loaded("tiny_t5", "reg.criteria=[comp,suff]", "reg.scope=joint", f"reg.choosing={choosing}")
        with packed_part(backbone, job.peft, [7004], 1, of) as part:
            terms = terms_of(part, backbone, of, examples_of(backbone))
            terms.loss.sum().backward()
            gradients = [weight.grad for weight in part.explaining.values()]
            found[choosing] = terms.named, gradients, [parameter.grad for parameter in part.parameters]
    for name in ("comp", "suff"):
        torch.testing.assert_close(found["hard"][0][name], found["straight_through"][0][name])
    assert all(gradient is None or not gradient.any() for gradient in found["hard"][1])
    assert all(gradient.any() for gradient in found["straight_through"][1])
    assert all(gradient is not None for gradient in found["hard"][2])


@pytest.mark.parametrize("form", ("consistency=cluster", "alignment=positions", "sufficiency=kl", "sufficiency=mae",
                                  "erased=zero", "reading=joint", "selection=head"))  # fmt: skip
def test_every_form_is_finite_with_its_gradient(form, loaded):
    from caref.training import terms_of

    backbone, job, of = loaded("tiny_llama", "reg.criteria=[comp,suff,cons]", "reg.norm=sparsemax", f"reg.{form}")
    with packed_part(backbone, job.peft, [7004], 1, of) as part:
        terms = terms_of(part, backbone, of, examples_of(backbone))
        terms.loss.sum().backward()
        assert all(torch.isfinite(value).all() for value in terms.named.values())
        assert all(torch.isfinite(weight.grad).all() for weight in part.explaining.values() if weight.grad is not None)
        assert any(weight.grad is not None and weight.grad.any() for weight in part.explaining.values())


def test_an_objective_that_asks_says_so_where_it_is_given_logits_alone(composed):
    of = objective.build(composed("reg=ivra").reg)
    with pytest.raises(ValueError, match="asks the model more"):
        of(SimpleNamespace(logits=torch.randn(2, 3, 5)), torch.ones(2, 3, dtype=torch.int64))


@pytest.mark.parametrize("model", MODELS)
def test_in_bfloat16_too_probabilities_are_those_that_evidence_computes(loaded, model):
    """Logits in float32: a margin of 0.1 nats is less than bfloat16's steps at large logits."""
    backbone, job, of = loaded(model, dtype=torch.bfloat16)
    examples = examples_of(backbone)
    with torch.no_grad():
        (backbone.model.get_output_embeddings() or backbone.model.classifier).weight.mul_(30)
        found = asking_of(backbone, job, of, examples).read().log_p
    expected = as_evidence(backbone, examples, batch_size=len(examples))
    assert np.abs(expected).max() > 5
    assert found.double().numpy()[:, : expected.shape[1]] == pytest.approx(expected, abs=1e-4)
