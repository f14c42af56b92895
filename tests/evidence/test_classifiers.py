"""An encoder with a head: a third kind of backbone, whose answer is a class."""

import pytest
import torch
from torch.nn import functional

from caref import CarefLoss
from caref.data.batches import IGNORED, collate, for_backbone
from caref.data.demo import generate as demo
from caref.data.prompts import text
from caref.errors import UserError
from caref.evaluation.generate import generate
from caref.evidence import attention_rows, choices
from caref.evidence.gradients import Batch
from caref.evidence.reading import Reading, question
from caref.models import backbones, modules
from caref.models.budget import budgets
from caref.models.packed import packed_part
from caref.models.trained import load_trained, trained_part
from caref.objectives import objective
from caref.running import company

EXAMPLES = demo("esnli", "validation")[:6]
VARIANTS = ("base", "aqkv", "laq", "aq", "lora_r4", "adalora", "dora", "ia3")
HEAD = 3 * 32 + 3  # tiny_classifier's: three classes of 32 numbers, and their biases


@pytest.fixture
def classifier(configured):
    """A function: a classifier of three classes."""

    def load(name: str = "tiny_classifier", *overrides: str) -> backbones.Backbone:
        return backbones.load(configured(f"model={name}", *overrides).model, classes=3)

    return load


@pytest.fixture(scope="module")
def peft(configured):
    small = ("peft.init_r=6", "peft.target_r=2", "peft.interval=1")
    return lambda choice: configured(f"peft={choice}", *(small if choice == "adalora" else ())).peft


def tokens(backbone) -> list:
    return [for_backbone(example, text("esnli", example, answer_only=True), backbone) for example in EXAMPLES]


def plain_logits(backbone, encoded) -> torch.Tensor:
    """(C,) of one example by itself, by transformers' own model class."""
    inputs = torch.tensor([encoded.prompt])
    with torch.no_grad():
        return type(backbone.model).forward(backbone.model, input_ids=inputs).logits[0]


def steps(backbone, part, count: int = 3) -> None:
    """Some real AdamW steps on all examples."""
    optimizer = torch.optim.AdamW(part.parameters, lr=1e-2)
    part.model.train()
    for step in range(1, count + 1):
        batch = collate(tokens(backbone), backbone)
        logits = part.model(**batch.inputs, use_cache=False).logits
        loss = functional.cross_entropy(logits.flatten(0, 1), batch.labels.flatten())
        if (extra := part.extra_loss()) is not None:
            loss = loss + extra
        loss.backward()
        optimizer.step()
        part.after_step(step)
        optimizer.zero_grad()


def test_a_batch_asks_for_one_class_an_example(classifier):
    backbone = classifier()
    batch = collate(tokens(backbone), backbone)
    assert backbone.classifier and not backbone.encoder_decoder
    assert batch.labels.tolist() == batch.answer_labels.tolist() == [[example.label] for example in EXAMPLES]
    assert set(batch.inputs) == {"input_ids", "attention_mask"} and IGNORED not in batch.labels
    logits = backbone.model(**batch.inputs).logits
    assert logits.shape == (len(EXAMPLES), 1, 3)
    for row, encoded in zip(logits, tokens(backbone), strict=True):
        torch.testing.assert_close(row[0], plain_logits(backbone, encoded), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("term", ("cross_entropy", "sced"))
def test_an_objective_over_classes_is_that_of_their_logits(classifier, term):
    backbone = classifier()
    batch = collate(tokens(backbone), backbone)
    output = backbone.model(**batch.inputs)
    terms = objective.build({"name": term, "term": term})(output, batch.labels, batch.answer_labels)
    labels = torch.tensor([example.label for example in EXAMPLES])
    expected = CarefLoss()(output.logits[:, 0], labels)
    torch.testing.assert_close(terms.named["ce"], functional.cross_entropy(output.logits[:, 0], labels))
    if term == "sced":
        torch.testing.assert_close(terms.loss, expected.loss)
        p = output.logits[:, 0].double().softmax(-1)
        by_hand = ((p * (3 * p).log()).abs() ** 2 * (1 - p)).sum(-1).mean()
        torch.testing.assert_close(terms.named["sced"].double(), by_hand, rtol=1e-5, atol=1e-7)


def test_its_answer_is_the_most_probable_class_and_its_probabilities_are_the_softmax(classifier):
    backbone = classifier()
    encoded = tokens(backbone)
    logits = torch.stack([plain_logits(backbone, one) for one in encoded])
    told = generate(backbone.model, backbone, encoded, batch_size=4, max_new_tokens=1)
    assert told == [example.choices[place] for example, place in zip(EXAMPLES, logits.argmax(-1).tolist(), strict=True)]
    asked = [question("esnli", example, backbone, answers_only=True).asked for example in EXAMPLES]
    (found,) = choices.log_probabilities(backbone.model, backbone, [asked], batch_size=4)
    torch.testing.assert_close(torch.tensor(found), logits.log_softmax(-1), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("choice", VARIANTS)
def test_every_variant_trains_the_head_too_and_leaves_the_backbone_as_it_was(classifier, peft, choice):
    backbone = classifier()
    before = {name: tensor.clone() for name, tensor in backbone.model.state_dict().items()}
    first = generate(backbone.model, backbone, tokens(backbone), 6, 1)
    with trained_part(backbone, peft(choice), seed=7004, total_steps=100) as part:
        named = dict(part.model.named_parameters())
        trained = [name for name, parameter in named.items() if parameter.requires_grad]
        heads = [named[name].clone() for name in trained if "classifier" in name]
        assert sum(head.numel() for head in heads) == HEAD
        assert part.counts.trainable == sum(named[name].numel() for name in trained)
        steps(backbone, part)
        after = [
            parameter for name, parameter in part.model.named_parameters() if name in trained and "classifier" in name
        ]
        assert all(not torch.equal(one, other) for one, other in zip(heads, after, strict=True))
    assert backbone.model.state_dict().keys() == before.keys()
    assert all(torch.equal(tensor, before[name]) for name, tensor in backbone.model.state_dict().items())
    assert generate(backbone.model, backbone, tokens(backbone), 6, 1) == first


def test_what_is_trained_is_counted_by_hand(configured, peft):
    found = budgets(
        backbones.typed(configured("model=tiny_classifier").model), {c: peft(c) for c in ("aq", "lora_r4", "base")}
    )
    assert found["aq"].trainable == 2 * (32 * 32 + 32) + HEAD
    # q, k, v, o and the pooler: 32 x 32; the two of the feed-forward layer: 32 x 64
    lora = 2 * (4 * 4 * (32 + 32) + 2 * 4 * (32 + 64)) + 4 * (32 + 32)
    assert found["lora_r4"].trainable == lora + HEAD
    assert found["lora_r4"].total == found["base"].total + lora
    assert found["base"].trainable == found["base"].total


@pytest.mark.parametrize("choice", ("aq", "laq", "lora_r4", "ia3"))
def test_splits_side_by_side_are_what_they_are_alone(classifier, configured, peft, choice):
    backbone = classifier()
    minimised = objective.build(configured("reg=sced").reg)
    assert company.why_alone(backbone, peft(choice), minimised, tokens(backbone), seed=7004) is None
    alone = []
    for seed in (7004, 3639):
        with packed_part(backbone, peft(choice), [seed], 100) as part:
            alone.append(generate(part.model, backbone, tokens(backbone), 6, 1))
    with packed_part(backbone, peft(choice), [7004, 3639], 100) as part:
        from caref.evaluation.generate import side_by_side

        assert side_by_side(part.model, backbone, [tokens(backbone)] * 2, 4, 1) == alone


@pytest.mark.parametrize("choice", ("aq", "lora_r4", "adalora"))
def test_a_part_that_was_saved_answers_as_it_did(classifier, peft, choice, tmp_path):
    backbone = classifier()
    asked = [question("esnli", example, backbone, answers_only=True).asked for example in EXAMPLES]
    with trained_part(backbone, peft(choice), seed=7004, total_steps=100) as part:
        steps(backbone, part)
        expected = choices.log_probabilities(part.model, backbone, [asked], 6)
        part.save(tmp_path)
    with load_trained(backbone, tmp_path) as model:
        found = choices.log_probabilities(model, backbone, [asked], 6)
    torch.testing.assert_close(torch.tensor(found), torch.tensor(expected), atol=1e-6, rtol=1e-5)


def test_minilm_has_its_files_body_and_the_same_head_every_time(classifier, minilm):
    from safetensors.torch import load_file

    state = torch.get_rng_state()
    one, other = classifier("minilm_classifier"), classifier("minilm_classifier")
    assert torch.equal(torch.get_rng_state(), state)
    files, own = load_file(f"{minilm}/model.safetensors"), one.model.state_dict()
    shared = [name for name in files if f"bert.{name}" in own]
    assert len(shared) > 100 and all(torch.equal(own[f"bert.{name}"], files[name]) for name in shared)
    assert set(own) - {f"bert.{name}" for name in shared} == {"classifier.weight", "classifier.bias"}
    assert all(torch.equal(own[name], tensor) for name, tensor in other.model.state_dict().items())
    assert modules.head(one.model) == ["classifier"]


def test_gradients_and_attention_are_of_the_class(classifier):
    """Against autograd on transformers' own model, and against its attention's first row."""
    backbone = classifier()
    asked = [question("esnli", example, backbone, answers_only=True) for example in EXAMPLES]
    reading = Reading(backbone.model, backbone, [asked])
    labels = [example.label for example in EXAMPLES]
    batch = Batch(reading, asked, labels)
    gradients = batch.gradients(batch.embeddings)
    with attention_rows.told(backbone.model):
        rows = attention_rows.attended(batch)
    backbone.model.set_attn_implementation("eager")
    for place, (one, label) in enumerate(zip(asked, labels, strict=True)):
        embeddings = backbone.model.get_input_embeddings()(torch.tensor([one.asked.prompt])).detach().requires_grad_()
        output = type(backbone.model).forward(backbone.model, inputs_embeds=embeddings, output_attentions=True)
        (expected,) = torch.autograd.grad(output.logits.log_softmax(-1)[0, label], embeddings)
        length = len(one.asked.prompt)
        torch.testing.assert_close(gradients[place, :length], expected[0], atol=1e-6, rtol=1e-3)
        assert not gradients[place, length:].any()
        first = torch.stack([layer[0, :, 0].mean(0) for layer in output.attentions])
        torch.testing.assert_close(rows[:, place, :length], first, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (("model=tiny_llama", "model.kind=classifier"), "model.kind=classifier: llama is no encoder alone"),
        (("model=tiny_t5", "model.kind=classifier"), "model.kind=classifier: t5 is no encoder alone"),
        (("model=tiny_bart", "model.kind=classifier"), "model.kind=classifier: bart is no encoder alone"),
    ],
)
def test_what_is_no_encoder_is_refused(configured, overrides, told):
    with pytest.raises(UserError, match=told):
        backbones.load(configured(*overrides).model, classes=3)


@pytest.mark.parametrize(
    ("model", "choice", "told"),
    [
        ("tiny_classifier", "dec", r"peft \(DEC\): bert is an encoder only"),
        ("tiny_classifier", "prefix", r"peft \(prefix tuning\): bert keeps no keys and values"),
        ("electra_base", "ia3", r"peft \(\(IA\)\^3\): PEFT does not know which modules of electra"),
    ],
)
def test_a_variant_that_it_does_not_have_is_refused_by_name(configured, peft, model, choice, told):
    refused = budgets(backbones.typed(configured(f"model={model}").model), {choice: peft(choice)})[choice]
    assert isinstance(refused, UserError)
    with pytest.raises(UserError, match=told):
        raise refused


def test_electras_shape_is_the_papers(configured, peft):
    """ELECTRA-base: 110 million; its head is a layer of 768 x 768 and the classes."""
    found = budgets(backbones.typed(configured("model=electra_base").model), {c: peft(c) for c in ("base", "aq")})
    head = 768 * 768 + 768 + 3 * 768 + 3
    assert found["aq"].trainable == 12 * (768 * 768 + 768) + head
    assert 108e6 < found["base"].total < 111e6
