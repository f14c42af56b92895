"""A generation falls apart into answer and explanation as the protocol says, and the targets we train on fall back."""

import pytest
from published import published

from caref.data import sources
from caref.data.prompts import text
from caref.evaluation.parse import Parsed, parse, same_answer


@pytest.mark.parametrize(
    ("generation", "answer", "explanation"),
    [
        ("entailment because a dog is an animal", "entailment", "a dog is an animal"),
        ("choice1 because it is wet because it rains", "choice1", "it is wet"),
        ("choice1 because it is because", "choice1", "it is because"),
        ("  neutral  because   nobody\nknows ", "neutral", "nobody knows"),
        ("neutral\nbecause\nnobody knows", "neutral", "nobody knows"),
        ("neutral because because it is", "neutral", "because it is"),
        ("neutral because  because it is", "neutral", ""),
        ("entailment, because it is", "entailment,", "it is"),
    ],
)
def test_the_first_two_separators_part_answer_and_explanation(generation, answer, explanation):
    assert parse(generation) == Parsed(answer, explanation, broken=False)


@pytest.mark.parametrize(
    "generation",
    [
        *("", "   ", "entailment", "neutral becauseof it", "neutral Because it is", "neutral because, it is"),
        *("entailment because", "entailment because ", "because it rains", "because"),
    ],
)
def test_without_the_separator_all_of_it_is_the_answer(generation):
    assert parse(generation) == Parsed(generation.strip(), "", broken=True)


def test_every_published_generation_gets_the_verdict_it_was_published_with(data_root):
    found = published(data_root)
    assert (len(found), sum(one.considered_correct for one in found)) == (5743, 1699)
    for one in found:
        parsed = parse(one.generation)
        assert same_answer(parsed.answer, one.example.answer) == one.considered_correct, one
        assert parsed.broken == one.broken, one
    assert sum(one.broken for one in found) == 339


@pytest.mark.parametrize(
    ("answer", "gold", "same"),
    [
        ("Entailment", "entailment", True),
        (" STRASSE ", "straße", True),
        ("new  york", "New York", True),
        ("entailment.", "entailment", False),
        ("", "entailment", False),
        ("choice1", "choice2", False),
    ],
)
def test_answers_are_compared_case_folded_and_trimmed(answer, gold, same):
    assert same_answer(answer, gold) is same


@pytest.mark.parametrize(
    ("dataset", "split"), [("cos_e", "validation"), ("ecqa", "test"), ("comve", "test"), ("esnli", "validation")]
)
def test_every_real_target_reads_back_as_its_gold_answer_and_explanation(data_root, dataset, split):
    examples = sources.load(dataset, split, "files", str(data_root)).examples
    for example in examples:
        parsed = parse(text(dataset, example).target)
        assert same_answer(parsed.answer, example.answer)
        assert parsed.explanation.split() == example.explanations[0].lower().partition(" because ")[0].split()
        assert not parsed.broken


def test_of_a_model_that_answers_only_the_whole_text_is_the_answer():
    assert parse(" neutral\n", answer_only=True) == Parsed("neutral", "", broken=False)
    assert parse("neutral because it is", answer_only=True).answer == "neutral because it is"
