"""What decides in the demo data: the words marked as the rationale, and never half of an input alone."""

import re
from collections import Counter, defaultdict

import numpy as np
import pytest
from scipy.sparse import hstack
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from caref.data.demo import generate

SPLITS = ("train", "validation", "test")
MARGIN = 0.04  # how far from chance a classifier that must know nothing may score, on 960 examples


def everything(dataset):
    return [example for split in SPLITS for example in generate(dataset, split)]


def masked(example, field):
    text = example.fields[field]
    for span in sorted(example.rationale, key=lambda span: -span.start):
        if span.field == field:
            text = f"{text[: span.start]}___{text[span.end :]}"
    return text


# Half of an input tells nothing


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize(
    ("dataset", "half"),
    [
        ("esnli", lambda e: e.fields["hypothesis"]),
        ("esnli", lambda e: e.fields["premise"]),
        ("ecqa", lambda e: e.choices),
        ("cos_e", lambda e: e.choices),
    ],
    ids=["hypothesis", "premise", "ecqa choices", "cos_e choices"],
)
def test_half_of_an_input_goes_with_every_label_equally_often(dataset, half, split):
    """No function of the half, however clever, is right more often than chance."""
    labels = defaultdict(Counter)
    for example in generate(dataset, split):
        labels[half(example)][example.label] += 1
    for counts in labels.values():
        assert len(counts) == len(generate(dataset, split)[0].choices)
        assert len(set(counts.values())) == 1


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("field", ["sent0", "sent1"])
def test_every_word_is_in_as_many_nonsensical_as_sensible_statements(field, split):
    counts = defaultdict(Counter)
    for example in generate("comve", split):
        counts[example.label].update(re.findall(r"\w+", example.fields[field].lower()))
    assert counts[0] == counts[1]


def accuracy(train, test, texts):
    """Of a bag-of-words classifier: words and pairs of words, a vocabulary for each of the texts."""
    columns, held = [], []
    for i in range(len(texts(train[0]))):
        bag = CountVectorizer(ngram_range=(1, 2))
        columns.append(bag.fit_transform([texts(e)[i] for e in train]))
        held.append(bag.transform([texts(e)[i] for e in test]))
    model = LogisticRegression(max_iter=1000).fit(hstack(columns), [e.label for e in train])
    return model.score(hstack(held), [e.label for e in test])


def choice_accuracy(train, test):
    """Of a classifier that scores each choice by its words and its place, and takes the best."""
    bag = CountVectorizer(ngram_range=(1, 2))

    def features(examples, words):
        places = np.tile(np.eye(len(examples[0].choices)), (len(examples), 1))
        return hstack([words([choice for e in examples for choice in e.choices]), places])

    right = [i == e.label for e in train for i in range(len(e.choices))]
    model = LogisticRegression(max_iter=1000).fit(features(train, bag.fit_transform), right)
    scores = model.decision_function(features(test, bag.transform)).reshape(len(test), -1)
    return np.mean(scores.argmax(1) == [e.label for e in test])


def half_seen(dataset):
    train, test = generate(dataset, "train"), generate(dataset, "validation") + generate(dataset, "test")
    return {
        "esnli": lambda: accuracy(train, test, lambda e: [e.fields["hypothesis"]]),
        "comve": lambda: accuracy(train, test, lambda e: [e.fields["sent0"]]),
    }.get(dataset, lambda: choice_accuracy(train, test))()


@pytest.mark.parametrize(("dataset", "chance"), [("cos_e", 1 / 3), ("ecqa", 1 / 5), ("comve", 1 / 2), ("esnli", 1 / 3)])
def test_a_classifier_that_sees_half_of_the_input_stays_at_chance(dataset, chance):
    assert half_seen(dataset) == pytest.approx(chance, abs=MARGIN)


def test_the_words_of_both_statements_tell_nothing_either():
    train, test = generate("comve", "train"), generate("comve", "validation") + generate("comve", "test")
    assert accuracy(train, test, lambda e: [e.fields["sent0"], e.fields["sent1"]]) == pytest.approx(1 / 2, abs=MARGIN)


def test_the_classifier_would_find_a_leak():
    """A word that betrays one label in every fourth example is enough to be seen."""
    train, test = generate("esnli", "train"), generate("esnli", "validation") + generate("esnli", "test")

    def leaking(example):
        leak = example.label == 2 and int(example.id[-4:]) % 4 == 0
        return [example.fields["hypothesis"] + leak * " Nobody"]

    assert accuracy(train, test, leaking) > 1 / 3 + MARGIN


# The marked words decide


@pytest.mark.parametrize("dataset", ["cos_e", "ecqa", "comve", "esnli"])
def test_marks_are_whole_words_of_their_field(dataset):
    for example in everything(dataset):
        assert example.rationale
        for span in example.rationale:
            text = example.fields[span.field]
            assert 0 <= span.start < span.end <= len(text)
            assert re.fullmatch(r"\w.*\w", text[span.start : span.end])
            assert not re.search(r"\w$", text[: span.start])
            assert not re.search(r"^\w", text[span.end :])
        places = [(list(example.fields).index(span.field), span.start) for span in example.rationale]
        assert places == sorted(places)


@pytest.mark.parametrize("dataset", ["cos_e", "ecqa", "esnli"])
@pytest.mark.parametrize("split", SPLITS)
def test_without_the_marked_words_every_answer_is_equally_right(dataset, split):
    answers = defaultdict(Counter)
    for example in generate(dataset, split):
        if dataset == "esnli":
            rest = (example.fields["premise"], masked(example, "hypothesis"))
        else:
            rest = (masked(example, "question"), example.choices)
        answers[rest][example.label] += 1
    for counts in answers.values():
        assert len(counts) == len(generate(dataset, split)[0].choices)
        assert len(set(counts.values())) == 1


def test_without_the_marked_words_two_statements_are_the_same():
    for example in everything("comve"):
        assert masked(example, "sent0") == masked(example, "sent1")
