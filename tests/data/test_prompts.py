"""The texts that a model reads and writes are FEB's, and the gold never shows in the source."""

from dataclasses import replace

import pytest

from caref.data import prompts
from caref.data.examples import Example, Span
from caref.data.sources import load

ESNLI = Example(
    "e",
    {"premise": "A Man sleeps.", "hypothesis": "Nobody IS awake."},
    ("entailment", "neutral", "contradiction"),
    1,
    ("Others may be AWAKE.", "Second"),
    (Span("hypothesis", 0, 6), Span("premise", 2, 5)),
)
COMVE = Example("c", {"sent0": "He drinks Milk.", "sent1": "He drinks APPLE."}, ("choice1", "choice2"), 1, ("No.",))
QUESTION = Example("q", {"question": "Where is Rome?"}, ("In Italy", "Paris", "mars"), 0, ("Rome is Italian.",))


def test_esnli_keeps_its_case_and_puts_the_hypothesis_first():
    text = prompts.text("esnli", ESNLI)
    assert text.source == "explain nli hypothesis: Nobody IS awake. premise: A Man sleeps."
    assert text.target == "neutral because others may be awake."


def test_comve_is_lower_cased_and_holds_a_backslash_and_an_n():
    text = prompts.text("comve", COMVE)
    assert text.source == (
        "explain what is more nonsensical? " + chr(92) + "n choice1: he drinks milk. choice2: he drinks apple."
    )
    assert text.target == "choice2 because no."


def test_the_answer_alone_has_the_same_source():
    whole, answer = prompts.text("esnli", ESNLI), prompts.text("esnli", ESNLI, answer_only=True)
    assert answer.target == "neutral"
    assert (answer.source, answer.offsets) == (whole.source, whole.offsets)
    assert prompts.text("esnli", replace(ESNLI, explanations=())) == answer


@pytest.mark.parametrize("dataset", ["ecqa", "cos_e"])
def test_a_question_is_lower_cased_and_lists_its_choices(dataset):
    text = prompts.text(dataset, QUESTION)
    assert text.source == "explain where is rome? " + chr(92) + "n (a) in italy (b) paris (c) mars"
    assert text.target == "in italy because rome is italian."


@pytest.mark.parametrize(
    ("dataset", "example"), [("esnli", ESNLI), ("comve", COMVE), ("ecqa", QUESTION), ("cos_e", QUESTION)]
)
def test_offsets_say_where_each_field_lies(dataset, example):
    text = prompts.text(dataset, example)
    found = {field: text.source[start:end] for field, (start, end) in text.offsets.items()}
    assert found == {
        field: content if dataset == "esnli" else content.lower() for field, content in example.fields.items()
    }


def test_offsets_hold_where_lower_case_is_longer():
    question = "İs İstanbul in Türkiye or ΣΑΣ?"
    span = Span("question", question.index("Türkiye"), question.index("Türkiye") + 7)
    example = replace(QUESTION, fields={"question": question}, rationale=(span,))
    text = prompts.text("ecqa", example)
    start, end = text.offsets["question"]
    assert len(question.lower()) > len(question)
    assert text.source[start:end] == question.lower()
    assert [text.source[start:end] for start, end in prompts.rationale("ecqa", example)] == ["türkiye"]


def test_rationale_is_found_in_the_source_in_its_order():
    source = prompts.text("esnli", ESNLI).source
    assert [source[start:end] for start, end in prompts.rationale("esnli", ESNLI)] == ["Nobody", "Man"]


def test_texts_with_braces_are_taken_as_they_are():
    example = replace(QUESTION, fields={"question": "What is {choices} or {0}?"})
    assert prompts.text("ecqa", example).source.startswith("explain what is {choices} or {0}? ")


@pytest.mark.parametrize(
    ("dataset", "split"), [("esnli", "test"), ("comve", "train"), ("ecqa", "validation"), ("cos_e", "train")]
)
def test_source_never_tells_the_gold(data_root, dataset, split):
    examples = load(dataset, split, "files", str(data_root)).examples[:1000]
    assert len(examples) == 1000
    for example in examples:
        source = prompts.text(dataset, example).source
        for label in range(len(example.choices)):
            changed = replace(example, label=label, explanations=("unheard-of words",), rationale=())
            text = prompts.text(dataset, changed)
            assert text.source == source
            assert text.target == f"{example.choices[label].lower()} because unheard-of words"


def test_answers_are_compared_without_case_and_margins():
    assert prompts.normalised(" In ITALY\n") == prompts.normalised("in italy")


def test_rationale_is_found_where_white_space_was_collapsed():
    premise, hypothesis = "A  man\tin\u00a0 red   runs", "Somebody   IS  awake"
    spans = tuple(
        Span(field, content.index(word), content.index(word) + len(word))
        for field, content, word in (
            ("hypothesis", hypothesis, "Somebody"),
            ("hypothesis", hypothesis, "IS  awake"),
            ("premise", premise, "man"),
            ("premise", premise, "red   runs"),
        )
    )
    example = replace(ESNLI, fields={"premise": premise, "hypothesis": hypothesis}, rationale=spans)
    source = prompts.text("esnli", example).source
    assert source == "explain nli hypothesis: Somebody IS awake premise: A man in red runs"
    found = [source[start:end] for start, end in prompts.rationale("esnli", example)]
    assert found == ["Somebody", "IS awake", "man", "red runs"]
