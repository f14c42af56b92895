"""The scores of a split are the protocol's, checked against the bert_score library and against sums by hand."""

import json
import random
from fractions import Fraction

import bert_score
import numpy as np
import pytest
from published import published

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
    # About the same as its golds, and none of them; without the separator, which would cut it.
    written = [example.fields[field].replace(" because ", " as ") for example in examples]
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


def test_of_answers_alone_accuracy_is_the_one_score():
    example = by_hand()
    scores, (right, wrong, longer) = score("esnli", [example] * 3, ["Entailment ", "neutral", "entailment as"], None)
    assert scores == {"accuracy": pytest.approx(100 / 3)}
    assert [line["right"] for line in (right, wrong, longer)] == [True, False, False]
    assert not {"nbert", "broken", "explanation", "explanations"} & set(right)


def test_case_makes_no_difference_and_the_best_gold_counts(scorer):
    example = by_hand("The sky is blue.", "A dog is an animal.")
    scores, _ = score("esnli", [example], ["Entailment because A DOG is an animal."], scorer)
    assert scores["nbert"] == pytest.approx(100, abs=1e-4)


def test_nbert_is_febs_formula_on_published_generations(data_root, scorer, minilm):
    """FEB's bertscore_correct_normalized read plainly: one explanation against one gold at a time, by the library."""
    found = published(data_root)
    right = [one for one in found if one.considered_correct and one.dataset == "comve"][:110]
    right += [one for one in found if one.considered_correct and one.dataset == "ecqa"][:50]
    chosen = [
        *right,
        *[one for one in found if not one.considered_correct][:20],
        *[one for one in found if one.broken][:20],
    ]
    generations = [one.generation for one in chosen]
    # Of the published, no right answer lacks its explanation, and what follows a second separator was not kept.
    for place in range(0, 160, 4):
        generations[place] = chosen[place].example.answer
        generations[place + 1] += " because it goes on because it does"
    library = bert_score.BERTScorer(model_type=minilm, num_layers=6, device="cpu")
    expected = []
    for one, generation in zip(chosen, generations, strict=True):
        parts = generation.strip().split(" because ")
        explanation = parts[1].strip() if len(parts) > 1 else "UNK"
        f1s = [library.score([explanation.lower()], [gold.lower()])[2].item() for gold in one.example.explanations]
        expected.append(max(f1s) * 100 if one.considered_correct else 0.0)
    assert len(chosen) == 200 and sum(f1 > 0 for f1 in expected) == 160
    for dataset in ("ecqa", "comve"):
        places = [place for place, one in enumerate(chosen) if one.dataset == dataset]
        scores, predictions = score(
            dataset, [chosen[place].example for place in places], [generations[place] for place in places], scorer
        )
        for place, line in zip(places, predictions, strict=True):
            assert line["nbert"] == pytest.approx(expected[place], abs=1e-4), chosen[place]
        assert scores["nbert"] == pytest.approx(np.mean([expected[place] for place in places]), abs=1e-4)


def test_a_right_answer_without_explanation_scores_the_floor_and_strictly_nothing(data_root, scorer):
    examples = sources.load("ecqa", "validation", "files", str(data_root)).examples[:40]
    scores, _ = score("ecqa", examples, [example.answer for example in examples], scorer)
    assert scores["accuracy"] == scores["broken"] == 100 and scores["nbert_strict"] == 0
    assert scores["nbert"] == pytest.approx(100 * scores["floor"]) and 0 < scores["floor"] < 0.6
    assert scores["similarity"] == pytest.approx(scores["floor"], abs=1e-12)
    golds = [f"{example.answer} because {example.explanations[0]}" for example in examples]
    explained, _ = score("ecqa", examples, golds, scorer)
    assert explained["floor"] == scores["floor"] and explained["similarity"] > 0.9
    assert explained["nbert_strict"] == explained["nbert"]


@pytest.mark.parametrize(
    ("generation", "right", "broken"),
    [
        ("entailment because  because it is", True, False),  # an explanation that is there, and empty
        ("entailment because", False, True),
        ("", False, True),
        ("neutral because a dog is an animal", False, False),
        ("entailment a dog is an animal", False, True),
    ],
)
def test_an_empty_explanation_or_a_wrong_answer_is_worth_nothing(scorer, generation, right, broken):
    scores, [prediction] = score("esnli", [by_hand("a dog is an animal")], [generation], scorer)
    assert (prediction["right"], prediction["broken"], prediction["nbert"]) == (right, broken, 0)
    assert (scores["accuracy"], scores["broken"], scores["nbert"]) == (100 * right, 100 * broken, 0)
    assert scores["nbert_strict"] == 0 and scores["similarity"] == (0 if right else None)


def test_the_floor_is_a_mean_over_all_examples_whatever_is_answered(scorer):
    examples = [by_hand("a dog is an animal"), by_hand("unk"), by_hand("they sleep")]
    floors = [score("esnli", [one], ["neutral"], scorer)[0]["floor"] for one in examples]
    assert floors[1] == pytest.approx(1) and len(set(floors)) == 3
    for generations in (["entailment"] * 3, ["neutral"] * 3, ["entailment", "neutral", "neutral because no"]):
        assert score("esnli", examples, generations, scorer)[0]["floor"] == pytest.approx(sum(floors) / 3)


def test_similarity_is_nbert_of_right_answers_alone(scorer):
    generations = ["entailment because a dog is an animal", "neutral because a dog is an animal", "entailment"]
    scores, predictions = score("esnli", [by_hand("a dog is an animal")] * 3, generations, scorer)
    exact, wrong, unexplained = (line["nbert"] for line in predictions)
    assert wrong == 0 and exact == pytest.approx(100, abs=1e-4) and unexplained == pytest.approx(100 * scores["floor"])
    assert scores["nbert"] == pytest.approx((exact + unexplained) / 3)
    assert scores["nbert_strict"] == pytest.approx(exact / 3)
    assert scores["similarity"] == pytest.approx((exact + unexplained) / 200)
    assert json.loads(json.dumps(scores, allow_nan=False)) == scores


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
    generations = ["entailment because the dog is The dog", "neutral because a dog", "entailment", "neutral"]
    scores, _ = score("esnli", [by_hand("x")] * 4, generations, scorer)
    assert scores["explanation_length"] == 7 / 4
    assert scores["distinct_1"] == 4 / 7  # the, dog, is, a
    assert scores["distinct_2"] == 4 / 5  # the dog, dog is, is the, a dog; "the dog" twice, none from text to text
    assert (scores["accuracy"], scores["broken"]) == (50, 50)


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
