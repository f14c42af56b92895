"""Words that a model lists when it is asked for them: how a list is read, what is asked, and lists that never come."""

import numpy as np
import pytest
import torch
from additive import made

from caref.data.examples import Example
from caref.evidence import prompted
from caref.evidence.attribution import prompting, prompting_top
from caref.evidence.measures import alignment, erasure
from caref.evidence.reading import Reading, question

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
