"""An example knows its answer, and a fingerprint notices any change of content."""

from dataclasses import replace

from caref.data.examples import Example, Span, fingerprint, fingerprint_of_sides

EXAMPLE = Example("1", {"b": "two", "a": "one"}, ("x", "y"), 1, ("why", "because"), (Span("a", 0, 3),))


def test_answer_is_the_right_choice():
    assert EXAMPLE.answer == "y"


def test_fingerprint_is_the_same_on_every_machine():
    assert fingerprint([EXAMPLE]) == "c5124ca5dbc95c901649ce49fea5a11a16e4f0426dba5d4ca2b60e92b25415d1"


def test_fingerprint_does_not_see_the_order_of_fields():
    assert fingerprint([replace(EXAMPLE, fields={"a": "one", "b": "two"})]) == fingerprint([EXAMPLE])


def test_fingerprint_sees_every_change():
    changes = [
        {"id": "2"},
        {"fields": {"a": "one", "b": "Two"}},
        {"choices": ("x", "z")},
        {"label": 0},
        {"explanations": ("why because",)},
        {"explanations": ("because", "why")},
        {"rationale": ()},
        {"rationale": (Span("a", 0, 2),)},
    ]
    seen = {fingerprint([replace(EXAMPLE, **change)]) for change in changes}
    seen |= {fingerprint([EXAMPLE]), fingerprint([EXAMPLE, EXAMPLE]), fingerprint([])}
    assert len(seen) == len(changes) + 3


def test_the_fingerprint_of_both_sides_sees_the_rows_order_where_it_counts_and_the_sides_always():
    one, two, three = (replace(EXAMPLE, id=id) for id in "123")
    unordered = fingerprint_of_sides([one, two], [three], ordered=False)
    assert unordered == fingerprint_of_sides([two, one, two], [three], ordered=False)
    ordered = fingerprint_of_sides([one, two], [three], ordered=True)
    assert ordered != fingerprint_of_sides([two, one], [three], ordered=True)
    assert ordered != fingerprint_of_sides([one, two, two], [three], ordered=True)
    for counts in (True, False):
        seen = {
            fingerprint_of_sides(*sides, ordered=counts)
            for sides in ([[one, two], [three]], [[one], [two, three]], [[three], [one, two]], [[one, two, three], []])
        }
        assert len(seen) == 4
