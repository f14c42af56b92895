"""Words of the fields, their tokens, and prompts without some of them."""

import pytest

from caref.data.batches import encode, mask_token
from caref.data.examples import Example, Span
from caref.data.prompts import text
from caref.errors import UserError
from caref.evidence.words import token_spans, without, words_of

PAIR = Example(
    "1",
    {"premise": "A naïve  man’s dog, sleeping.", "hypothesis": "The dog is unhappiness."},
    ("entailment", "neutral", "contradiction"),
    0,
    ("it is",),
    (Span("premise", 16, 18), Span("hypothesis", 4, 7)),
)


def read(backbone, example=PAIR, dataset="esnli"):
    prompt = encode(text(dataset, example), backbone.tokenizer, backbone.encoder_decoder).prompt
    return prompt, words_of(dataset, example, prompt, backbone.tokenizer)


@pytest.mark.parametrize("model", ("tiny_t5", "tiny_llama", "smollm2_135m"))
def test_words_are_those_of_the_fields_and_hold_their_own_characters(model, backbone):
    backbone = backbone(model)
    prompt, words = read(backbone)
    source = text("esnli", PAIR).source
    fields = " ".join(PAIR.fields["hypothesis"].split()) + " " + " ".join(PAIR.fields["premise"].split())
    assert [word.text for word in words] == fields.split()
    assert "hypothesis:" in source and not any("hypothesis:" in word.text for word in words)
    for word in words:
        assert backbone.tokenizer.decode([prompt[place] for place in word.tokens]).strip() == word.text
    positions = [position for word in words for position in word.tokens]
    assert positions == sorted(set(positions)) and 0 not in positions


def test_a_mark_that_touches_a_word_marks_it(backbone):
    _, words = read(backbone("tiny_t5"))
    assert {(word.field, word.text) for word in words if word.marked} == {("premise", "dog,"), ("hypothesis", "dog")}


@pytest.mark.parametrize("model", ("tiny_t5", "tiny_llama"))
def test_deleting_is_what_deleting_in_the_text_gives(model, backbone):
    """A tokenizer of bytes leaves the spaces of a deleted word; taken with the word, the texts are one."""
    backbone = backbone(model)
    prompt, words = read(backbone)
    for place, word in enumerate(words):
        left = backbone.tokenizer.decode(without(prompt, words, [place]), skip_special_tokens=True)
        whole = backbone.tokenizer.decode(prompt, skip_special_tokens=True)
        begin = len(backbone.tokenizer.decode(prompt[: word.tokens[0]], skip_special_tokens=True))
        assert left == whole[:begin] + whole[begin + len(word.text) :]


def test_without_any_word_the_template_is_left(backbone):
    backbone = backbone("smollm2_135m")
    prompt, words = read(backbone)
    left = backbone.tokenizer.decode(without(prompt, words, range(len(words))))
    assert left.split() == ["explain", "nli", "hypothesis:", "premise:"]
    masked = without(prompt, words, range(len(words)), mask_token(backbone.tokenizer, "", ""))
    assert len(masked) == len(without(prompt, words, range(len(words)))) + len(words)


def test_a_mask_takes_one_token_a_word_and_leaves_the_others_where_they_are(backbone):
    backbone = backbone("tiny_t5")
    prompt, words = read(backbone)
    mask = mask_token(backbone.tokenizer, "", "")
    assert backbone.tokenizer.decode([mask]) == "<extra_id_0>"
    masked = without(prompt, words, [1], mask)
    first = words[1].tokens[0]
    assert masked == (*prompt[:first], mask, *prompt[words[1].tokens[-1] + 1 :])


def test_a_tokenizer_that_does_not_tell_where_its_tokens_lie_is_refused():
    class Slow:
        is_fast = False

    with pytest.raises(UserError, match="Slow does not tell where its tokens lie"):
        token_spans("a text", [1, 2], Slow())


def test_empty_fields_have_no_words(backbone):
    empty = Example("2", {"premise": "", "hypothesis": " "}, PAIR.choices, 0, ("x",))
    _, words = read(backbone("tiny_t5"), empty)
    assert words == ()
