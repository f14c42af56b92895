"""Words that a model lists when it is asked for them: how a list is read, what is asked, and lists that never come."""

import numpy as np
import pytest
import torch
from additive import made

from caref.data.examples import Example
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
    found = prompted.told(one, written, count)
    assert sorted(one.words[place].text for place in np.flatnonzero(found)) == sorted(named.split())


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
