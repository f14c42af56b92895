"""Texts that are too long lose whole words at their end, no more than they must, and the marks on them."""

import pytest

from caref.data.demo import generate
from caref.data.examples import Example, Span
from caref.data.prompts import text
from caref.data.shortening import shortened
from caref.errors import UserError


def length(example: Example) -> int:
    """Letters of the source: a tokenizer's that knows single letters only."""
    return len(text("esnli", example).source)


@pytest.mark.parametrize("most", range(60, 200, 7))
def test_as_many_words_of_the_longest_field_are_kept_as_fit(most):
    for example in generate("esnli", "validation")[:20]:
        found = shortened(example, most, length) if fits(example, most) else None
        if length(example) <= most:
            assert found is example
            continue
        field = max(example.fields, key=lambda name: len(example.fields[name]))
        words = example.fields[field].split()
        by_count = {n: length(with_field(example, field, " ".join(words[:n]))) for n in range(1, len(words) + 1)}
        kept = max((n for n, letters in by_count.items() if letters <= most), default=0)
        if not kept:
            with pytest.raises(UserError, match=rf"dataset.max_tokens={most}: {example.id} takes more"):
                shortened(example, most, length)
            continue
        assert found.fields == {**example.fields, field: found.fields[field]}
        assert found.fields[field].split() == words[:kept] and length(found) == by_count[kept] <= most
        left = [one for one in example.rationale if one.field != field or one.end <= len(found.fields[field])]
        assert [one for one in found.rationale if one in left] == left
        assert all(one.end <= len(found.fields[one.field]) for one in found.rationale)


def fits(example: Example, most: int) -> bool:
    field = max(example.fields, key=lambda name: len(example.fields[name]))
    return length(with_field(example, field, example.fields[field].split()[0])) <= most


def with_field(example: Example, field: str, value: str) -> Example:
    return Example(example.id, {**example.fields, field: value}, example.choices, example.label, example.explanations)


def test_a_mark_that_the_cut_crosses_ends_there_and_one_beyond_it_goes():
    marks = (Span("hypothesis", 0, 2), Span("premise", 0, 3), Span("premise", 4, 11), Span("premise", 12, 16))
    example = Example("1", {"premise": "one two three four", "hypothesis": "is it"}, ("a", "b"), 0, ("x",), marks)
    found = shortened(example, length(example) - len(" three four"), length)
    assert found.fields["premise"] == "one two"
    assert found.rationale == (Span("hypothesis", 0, 2), Span("premise", 0, 3), Span("premise", 4, 7))


def test_where_a_word_more_is_a_token_less_what_is_kept_fits():
    example = Example("1", {"premise": "a b c d e", "hypothesis": "x"}, ("a", "b"), 0, ())
    tokens = {1: 3, 2: 9, 3: 5, 4: 6, 5: 9}  # by words of the premise
    found = shortened(example, 6, lambda one: tokens[len(one.fields["premise"].split())])
    assert tokens[len(found.fields["premise"].split())] <= 6
