"""Words that a model lists when it is asked for them: how a list is read, what is asked, and lists that never come."""

from contextlib import contextmanager

import numpy as np
import pytest
import torch
from additive import made
from sklearn.metrics import f1_score

from caref.data.examples import Example, Span
from caref.evidence import prompted
from caref.evidence.attribution import prompting, prompting_top, prompting_top_untrained, prompting_untrained
from caref.evidence.measures import alignment, erasure
from caref.evidence.reading import Reading, question
from caref.models.packed import packed_part

CHOICES = ("entailment", "neutral", "contradiction")
PAIR = Example("1", {"premise": "A dog, old as the DOG", "hypothesis": "Is it old?"}, CHOICES, 0, ("x",))


@pytest.mark.parametrize(
    ("written", "count", "named"),
    [
        ("dog | OLD", 10, "dog, DOG old old?"),
        ("old|dog", 3, "old? old dog,"),  # in the order listed, and each's places in their order
        ("old|dog", 1, "old?"),
        ("“dog”, | nothing", 10, "dog, DOG"),
        ("the dog", 10, "the dog, DOG"),  # listed by spaces
        ("dog | dog", 10, "dog, DOG"),
        ("old as | it", 2, "old? old"),
        ("dogs | oldest", 10, ""),
        ("", 10, ""),
        (" | , |", 10, ""),
    ],
)
def test_a_list_stands_for_the_words_of_the_input_that_it_holds(written, count, named, backbone):
    one = question("esnli", PAIR, backbone("tiny_t5"))
    found = prompted.told(one, written, count)[: len(one.words)]
    assert sorted(one.words[place].text for place in np.flatnonzero(found)) == sorted(named.split())


FIELDS = {"premise": "A man is walking the dog", "hypothesis": "The man sits"}
WALK = Example("2", FIELDS, CHOICES, 2, ("x",), (Span("premise", 21, 24), Span("hypothesis", 8, 12)))  # dog, sits
PROSE = "contradiction because the man is not walking and sitting at a time"


@pytest.mark.parametrize(
    ("written", "count", "named", "lacking"),
    [
        (PROSE, None, "", 0),  # what a trained model writes to whatever it is asked
        (PROSE, 20, "", 0),
        ("the man sits", None, "", 0),  # nothing parts a sentence from a list
        ("the man sits", 2, "", 0),
        ("man sits", 3, "man man sits", 0),
        ("sits", None, "sits", 0),
        ("contradiction", None, "", 1),
        ("dog | purple | banana | kite", None, "dog", 3),
        ("Purple | purple, | sitting", None, "", 2),  # each once, and as it stands
        ("the dog | because it", None, "the The dog", 2),
        ("purple | dog | kite | sits", 1, "dog", 1),  # with the last word asked for a list is at its end
        ("|", None, "", 0),
    ],
)
def test_a_text_that_is_no_list_names_nothing_and_words_that_are_not_there_are_counted(
    written, count, named, lacking, backbone
):
    one = question("esnli", WALK, backbone("tiny_t5"))
    found = prompted.told(one, written, count)
    assert len(found) == len(one.words) + lacking and found[len(one.words) :].all()
    assert sorted(one.words[place].text for place in np.flatnonzero(found[: len(one.words)])) == sorted(named.split())


@pytest.mark.parametrize("name", ("prompting", "prompting_untrained"))
def test_words_that_are_not_there_count_in_precision_and_remove_nothing(name, backbone, monkeypatch):
    backbone, texts = backbone("tiny_t5"), ["dog | purple | banana | kite", PROSE, "man | sits | kite"]
    monkeypatch.setattr(prompted, "side_by_side", lambda *asked: [texts])
    few = [question("esnli", WALK, backbone) for _ in texts]
    reading = Reading(backbone.model, backbone, [few], attributions=(name,), dataset="esnli", untrained=as_it_is)
    marked = [float(word.marked) for word in few[0].words]
    assert [few[0].words[place].text for place in np.flatnonzero(marked)] == ["sits", "dog"]
    named = [[word.text in own for word in few[0].words] for own in (("dog",), (), ("man", "sits"))]
    scores = [
        f1_score([*marked, *[0] * wrong], [*own, *[1] * wrong], zero_division=0)
        for own, wrong in zip(named, (3, 0, 1), strict=True)
    ]
    (aligned,), (erased,) = alignment.measure(reading), erasure.measure(reading)
    assert aligned[f"{name}.f1"] == pytest.approx(np.mean(scores))
    assert aligned[f"{name}.named"] == pytest.approx(100 * 2 / 3)
    # Spans named: "dog" of 4, none, and "man sits" of "man sits", "man" and "kite"; marked: 2 each.
    precision, recall = np.mean([1 / 4, 1 / 3]), np.mean([1 / 2, 0, 1 / 2])
    assert aligned[f"{name}.iou_f1"] == pytest.approx(2 * precision * recall / (precision + recall))
    assert erased[f"{name}.n"] == 2 and erased[f"{name}.words"] == pytest.approx((1 + 3) / 2)
    assert [len(own) for own in reading.word_scores(name)[0]] == [len(few[0].words)] * 3


@contextmanager
def as_it_is():
    yield None


def test_what_is_asked_names_the_answer_and_how_many_words():
    assert "The answer is choice 1." in prompting.request(made(0, 10), "choice 1")
    assert "List the 3 words" in prompting_top.request(made(0, 10, marked=(1, 4, 5)), "a")
    assert "List the 2 words" in prompting_top.request(made(0, 10), "a")
    assert "List the one word " in prompting_top.request(made(0, 5), "a")


@torch.no_grad()
def by_hand(backbone, source: str, count: int) -> str:
    """What a model writes, token by token."""
    tokenizer, model = backbone.tokenizer, backbone.model
    prompt, written = tokenizer(source, return_tensors="pt").input_ids, [model.config.decoder_start_token_id]
    for _ in range(count):
        logits = model(input_ids=prompt, decoder_input_ids=torch.tensor([written])).logits[0, -1]
        written.append(int(logits.argmax()))
        if written[-1] == tokenizer.eos_token_id:
            break
    return tokenizer.decode(written, skip_special_tokens=True)


def test_the_model_is_asked_after_the_text_and_its_words_are_read(backbone, examples):
    backbone = backbone("tiny_t5")
    few = [question("esnli", one, backbone) for one in examples("esnli", 3)]
    reading = Reading(backbone.model, backbone, [few], batch_size=2, dataset="esnli", max_new_tokens=5)
    for module in (prompting, prompting_top):
        (found,) = module.attribute(reading, [[0, 1, 2]])
        for place, (one, own) in enumerate(zip(few, found, strict=True)):
            source = backbone.tokenizer.decode(one.asked.prompt, skip_special_tokens=True)
            written = by_hand(backbone, f"{source} {module.request(one, CHOICES[place])}", 5)
            np.testing.assert_array_equal(own, prompted.told(one, written, 99))


def test_lists_that_never_come_are_counted_and_are_no_score(backbone, examples):
    backbone = backbone("tiny_t5")
    few = [question("esnli", one, backbone) for one in examples("esnli", 3)]
    names = ("prompting", "prompting_top")
    reading = Reading(backbone.model, backbone, [few], attributions=names, dataset="esnli", max_new_tokens=5)
    (erased,), (aligned,) = erasure.measure(reading), alignment.measure(reading)
    for name in names:
        assert erased[f"{name}.n"] == aligned[f"{name}.named"] == 0 and aligned["n"] > 0
        assert erased[f"{name}.flips"] is erased[f"{name}.flips_over_random"] is aligned[f"{name}.f1"] is None
        assert f"{name}.tau" not in erased  # it ranks nothing


BOTH = ((prompting, prompting_untrained), (prompting_top, prompting_top_untrained))
MOVED = [("tiny_t5", choice, 1) for choice in ("base", "adalora", "prefix")] + [
    *(("tiny_t5", choice, count) for choice in ("aq", "lora_r4", "ia3") for count in (1, 2)),
    *(("tiny_llama", choice, count) for choice, count in (("prefix", 1), ("aqkv", 1), ("aqkv", 2), ("lora_r4", 2))),
]


def lists(monkeypatch) -> list[str]:
    """What the models write from here on: every answer of a list is kept as it was written."""
    written = []
    told = prompted.told
    monkeypatch.setattr(prompted, "told", lambda one, text, count: (written.append(text), told(one, text, count))[1])
    return written


@pytest.mark.parametrize(("model", "choice", "count"), MOVED)
def test_before_its_training_a_model_lists_what_the_bare_one_does(
    model, choice, count, backbone, peft, examples, monkeypatch
):
    backbone, written = backbone(model, dtype=torch.bfloat16 if choice == "aqkv" else torch.float32), lists(monkeypatch)
    splits = [[question("esnli", one, backbone) for one in examples("esnli", 3)] for _ in range(count)]
    labels = [[0, 1, 2]] * count

    def asked(model, module, untrained=None):
        written.clear()
        few = Reading(model, backbone, splits, 2, dataset="esnli", max_new_tokens=6, untrained=untrained)
        return [own.tolist() for of in module.attribute(few, labels) for own in of], list(written)

    before = {name: tensor.clone() for name, tensor in backbone.model.state_dict().items()}
    bare = [asked(backbone.model, module) for module, _ in BOTH]
    assert all(any(texts) for _, texts in bare)
    with packed_part(backbone, peft(choice), (7004, 3639)[:count], total_steps=200) as part:
        with torch.no_grad():
            for parameter in part.parameters:
                parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
        moved = [parameter.detach().clone() for parameter in part.parameters]
        gradients = [parameter.requires_grad for parameter in part.model.parameters()]
        trained = [asked(part.model, module) for module, _ in BOTH]
        assert trained != bare
        assert [asked(part.model, module, part.untrained) for _, module in BOTH] == bare
        assert [asked(part.model, module) for module, _ in BOTH] == trained  # its part is on again
        assert all(map(torch.equal, part.parameters, moved))
        assert [parameter.requires_grad for parameter in part.model.parameters()] == gradients
    assert all(torch.equal(tensor, before[name]) for name, tensor in backbone.model.state_dict().items())


def test_of_a_part_that_has_learnt_nothing_both_are_the_same(backbone, peft, examples, monkeypatch):
    backbone, written = backbone("tiny_t5"), lists(monkeypatch)
    few = [question("esnli", one, backbone) for one in examples("esnli", 3)]
    with packed_part(backbone, peft("lora_r4"), (7004,), total_steps=1) as part:
        reading = Reading(part.model, backbone, [few], dataset="esnli", max_new_tokens=6, untrained=part.untrained)
        for trained, untrained in BOTH:
            for module in (trained, untrained):
                module.attribute(reading, [[0, 1, 2]])
            assert written[:3] == written[3:] and any(written)
            written.clear()
