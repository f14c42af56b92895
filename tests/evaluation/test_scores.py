"""The scores of a split are the protocol's, checked against the bert_score library and against sums by hand."""

import random
from fractions import Fraction

import bert_score
import pytest

from caref.data import sources
from caref.data.examples import Example
from caref.data.prompts import text
from caref.evaluation.bertscore import Scorer
from caref.evaluation.scores import distinct, score


@pytest.fixture(scope="module")
def scorer(minilm, tmp_path_factory):
    return Scorer(minilm, 6, cache=tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def comve(data_root):
    return sources.load("comve", "test", "files", str(data_root)).examples


def by_hand(*explanations: str) -> Example:
    fields = {"premise": "A dog runs.", "hypothesis": "An animal moves."}
    return Example("e1", fields, ("entailment", "neutral", "contradiction"), 0, explanations)


@pytest.mark.parametrize(
    ("dataset", "split", "field"), [("comve", "test", "sent0"), ("esnli", "validation", "hypothesis")]
)
def test_nbert_is_the_librarys_best_f1_over_the_golds_and_0_for_wrong_answers(
    data_root, scorer, minilm, dataset, split, field
):
    examples = sources.load(dataset, split, "files", str(data_root)).examples[:100]
    assert all(len(example.explanations) == 3 for example in examples)
    written = [example.fields[field] for example in examples]  # about the same as its golds, and none of them
    wrong = [place % 5 == 0 for place in range(100)]
    generations = [
        f"{'nonsense' if wrong[place] else example.answer.upper()} because {written[place]}"
        for place, example in enumerate(examples)
    ]
    scores, predictions = score(dataset, examples, generations, scorer)
    _, _, expected = bert_score.score(
        [text.lower() for text in written],
        [[gold.lower() for gold in example.explanations] for example in examples],
        model_type=minilm,
        num_layers=6,
        device="cpu",
    )
    for prediction, f1, is_wrong in zip(predictions, expected.tolist(), wrong, strict=True):
        assert prediction["nbert"] == (0 if is_wrong else pytest.approx(100 * f1, abs=1e-4))  # 1e-6 of F1
    assert scores["accuracy"] == 80
    assert scores["nbert"] == pytest.approx(sum(line["nbert"] for line in predictions) / 100, abs=1e-9)
    assert 20 < scores["nbert"] < 80


def test_case_makes_no_difference_and_the_best_gold_counts(scorer):
    example = by_hand("The sky is blue.", "A dog is an animal.")
    scores, _ = score("esnli", [example], ["Entailment because A DOG is an animal."], scorer)
    assert scores["nbert"] == pytest.approx(100, abs=1e-4)


@pytest.mark.parametrize(
    ("generation", "right", "broken"),
    [
        ("entailment because", True, False),
        ("entailment", True, True),
        ("", False, True),
        ("neutral because a dog is an animal", False, False),
        ("entailment a dog is an animal", False, True),
    ],
)
def test_no_explanation_or_no_right_answer_is_worth_nothing(scorer, generation, right, broken):
    scores, [prediction] = score("esnli", [by_hand("a dog is an animal")], [generation], scorer)
    assert (prediction["right"], prediction["broken"], prediction["nbert"]) == (right, broken, 0)
    assert (scores["accuracy"], scores["broken"], scores["nbert"]) == (100 * right, 100 * broken, 0)


def test_a_prediction_holds_all_that_was_asked_and_written(comve, scorer):
    example = comve[0]
    generation = f"{example.answer} because nobody does that"
    _, [prediction] = score("comve", [example], [generation], scorer)
    assert prediction == {
        "id": example.id,
        "source": text("comve", example).source,
        "choices": ["choice1", "choice2"],
        "gold": example.answer,
        "explanations": list(example.explanations),
        "generation": generation,
        "answer": example.answer,
        "explanation": "nobody does that",
        "right": True,
        "broken": False,
        "nbert": prediction["nbert"],
    }
    assert 0 < prediction["nbert"] < 100


def test_length_and_distinct_n_by_hand(scorer):
    generations = ["entailment because the dog is The dog", "neutral because a dog", "entailment", "neutral because"]
    scores, _ = score("esnli", [by_hand("x")] * 4, generations, scorer)
    assert scores["explanation_length"] == 7 / 4
    assert scores["distinct_1"] == 4 / 7  # the, dog, is, a
    assert scores["distinct_2"] == 4 / 5  # the dog, dog is, is the, a dog; "the dog" twice, none from text to text
    assert (scores["accuracy"], scores["broken"]) == (50, 25)


def test_distinct_n_falls_as_a_model_repeats_itself(comve):
    explanations = [example.explanations[0] for example in comve[:50]]
    for n in (1, 2):
        assert distinct([explanations[0]] * 50, n) < 0.1 < distinct(explanations, n) <= 1
    assert distinct(["one two three"], 2) == 1
    assert distinct(["", "one"], 2) == 0
    assert distinct([], 1) == 0


def test_means_are_exactly_rounded_and_in_no_order(comve, scorer):
    generations = [f"{example.answer} because {example.fields['sent1']}" for example in comve[:30]]
    generations[7] = "nothing"
    scores, predictions = score("comve", comve[:30], generations, scorer)
    assert scores["accuracy"] == pytest.approx(100 * 29 / 30, abs=1e-12)
    assert scores["nbert"] == float(sum(Fraction(line["nbert"]) for line in predictions)) / 30
    order = random.Random(0).sample(range(30), 30)
    again, shuffled = score("comve", [comve[at] for at in order], [generations[at] for at in order], scorer)
    assert again == scores
    assert shuffled == [predictions[at] for at in order]


def test_every_example_needs_its_generation(comve, scorer):
    with pytest.raises(ValueError, match="shorter"):
        score("comve", comve[:2], ["choice1 because it is"], scorer)
    with pytest.raises(ValueError, match="no scores"):
        score("comve", [], [], scorer)
