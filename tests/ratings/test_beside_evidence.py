"""Ratings against evidence: made with a known correlation, found as scipy finds it, and told where there is none."""

import csv
import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from caref.ratings.beside_evidence import of_row
from caref.results import evidence, store

QUESTION = {"name": "quick", "examples": None, "measures": ["coupling"], "attributions": ["lime"], "removal": "delete"}
LEVELS = ("no", "weak no", "weak yes", "yes")


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline="")))


def row(name: str, confidence: float, coupling: float) -> dict:
    """Evidence of an example whose right choice has this probability among three."""
    rest = math.log((1 - confidence) / 2)
    choices = [math.log(confidence), rest, rest]
    return {"id": name, "log_p": choices, "coupling": coupling, "words": ["a"], "scores": {"lime": [1.0]}}


def test_the_scores_of_an_example_by_hand():
    prediction = {"choices": ["yes", "no"], "gold": "no", "explanation": "The dog, not the cat, barks."}
    words = ["a", "dog", "barks", "at", "the", "cat"]
    scores = {"lime": [0.1, 0.9, 0.2, 0.8, 0.7, 0.3], "explanation_words": [0, 1, 1, 0, 0, 1]}
    found = of_row({"log_p": [-1.0, -0.5], "words": words, "scores": scores}, prediction)
    assert found["confidence"] == pytest.approx(1 / (1 + math.exp(-0.5)))
    # dog, barks and cat are repeated; lime's first three are dog, at, the
    assert found["lime named"] == pytest.approx(1 / 3)
    assert set(found) == {"confidence", "lime named"}
    silent = of_row(
        {"log_p": [0.0, 0.0], "coupling": -2.5, "words": words, "scores": scores}, prediction | {"explanation": "so"}
    )
    assert silent == {"confidence": 0.5, "coupling": -2.5}


@pytest.fixture
def rated(make_cell, ratings, tmp_path):
    """A study of 24 inputs of one cell, rated by two people, and what the evidence is to say of each input."""
    root = tmp_path / "results"
    cell = make_cell("first", overrides=("reg=sced",))
    ratings("sample", root, "--each", "24", "--raters", "2", "--no-checks", "--no-gold")
    random, said = np.random.default_rng(4), {}
    key = {one["item"]: one for one in rows(root / "ratings" / "key.csv")}
    levels = {item: int(random.integers(4)) for item in sorted(key)}
    for rater in (1, 2):
        path = root / "ratings" / f"rater-{rater}.csv"
        content = rows(path)
        for one in content:
            one["rating"] = LEVELS[min(3, max(0, levels[one["item"]] + int(random.integers(-1, 2))))]
            said.setdefault(one["item"], []).append(LEVELS.index(one["rating"]) / 3)
        with open(path, "w", newline="") as file:
            writer = csv.DictWriter(file, content[0].keys())
            writer.writeheader()
            writer.writerows(content)
    told = {item: (0.5 + 0.1 * levels[item] + 0.01 * random.random(), random.normal()) for item in sorted(key)}
    return root, cell, key, told, {item: np.mean(values) for item, values in said.items()}


def write_evidence(root: Path, cell: str, key, told, asked=QUESTION, splits=range(4)) -> None:
    """Evidence of every example of some splits; those that are rated say what `told` has of them."""
    for split in splits:
        of_input = {one["input"]: told[item] for item, one in key.items() if int(one["split"]) == split}
        lines = [
            row(one["id"], *of_input.get(one["source"], (0.4, 0.0)))
            | {"log_p": _turned(one, of_input.get(one["source"], (0.4, 0.0))[0])}
            for one in store.read_predictions(root / cell, split)
        ]
        evidence.write_split(root / cell, asked, {"split": split, "seed": split, "scores": {}}, lines)


def _turned(prediction: dict, confidence: float) -> list[float]:
    """Log-probabilities with the right choice where the prediction has it."""
    right = prediction["choices"].index(prediction["gold"])
    return [math.log(confidence if place == right else (1 - confidence) / 2) for place in range(3)]


def correlations(root: Path) -> dict[str, dict]:
    kept = json.loads((root / "ratings" / "agreement" / "judgement.json").read_text())
    return {one["measure"]: one for one in kept["correlations"]}


def test_each_score_is_correlated_with_what_people_said_as_scipy_does(rated, ratings):
    root, cell, key, told, means = rated
    write_evidence(root, cell, key, told)
    done = ratings("agree", *sorted((root / "ratings").glob("rater-*.csv")))
    assert "Automatic scores against ratings" in done.stdout and "have no evidence" not in done.stdout
    found, items = correlations(root), sorted(key)
    for place, measure in enumerate(("confidence", "coupling")):
        expected = spearmanr([told[item][place] for item in items], [round(means[item], 9) for item in items])
        one = found[measure]
        assert one["n"] == 24 and one["rho"] == pytest.approx(expected.statistic, abs=1e-9)
        assert -1 <= one["low"] < one["rho"] < one["high"] <= 1 and f"{one['rho']:.3f}" in done.stdout
    assert found["confidence"]["low"] > 0.3 and "nbert" in found  # planted, and well away from none


def test_without_evidence_it_is_said_how_to_add_it_and_nothing_is_made_up(rated, ratings):
    root, cell, key, told, _ = rated
    sheets = sorted((root / "ratings").glob("rater-*.csv"))
    assert "24 of 24 rated explanations have no evidence" in ratings("agree", *sheets).stdout
    assert set(correlations(root)) == {"nbert"}
    write_evidence(root, cell, key, told, splits=[0])
    of_split = sum(one["split"] == "0" for one in key.values())
    assert f"{24 - of_split} of 24 rated explanations have no evidence" in ratings("agree", *sheets).stdout
    assert correlations(root)["confidence"]["n"] == of_split


def test_evidence_of_two_questions_is_told_apart_and_what_is_damaged_is_named(rated, ratings):
    root, cell, key, told, _ = rated
    sheets = sorted((root / "ratings").glob("rater-*.csv"))
    other = QUESTION | {"removal": "mask"}
    for asked in (QUESTION, other):
        write_evidence(root, cell, key, told, asked)
    ratings("agree", *sheets)
    marks = {evidence.mark(asked) for asked in (QUESTION, other)}
    assert {f"coupling ({mark})" for mark in marks} <= set(correlations(root))
    broken = evidence.folder_of(root / cell, other) / "000.jsonl.gz"
    broken.write_bytes(b"no")
    assert f"evidence, left out: {broken}" in ratings("agree", *sheets).stdout


def test_evidence_of_other_predictions_is_a_line_that_names_the_file(rated, ratings):
    root, cell, key, told, _ = rated
    write_evidence(root, cell, key, told)
    sheets = sorted((root / "ratings").glob("rater-*.csv"))
    folder = evidence.folder_of(root / cell, QUESTION)
    for split, change in ((0, {"id": "of another example"}), (1, {"log_p": [-0.7, -0.7]})):
        lines = [line | change for line in evidence.read_rows(folder, split)]
        evidence.write_split(root / cell, QUESTION, {"split": split, "seed": split, "scores": {}}, lines)
    done = ratings("agree", *sheets)
    for split, why in ((0, "KeyError('of another example')"), (1, "ValueError('2 probabilities of 3 choices')")):
        assert f"evidence, left out: {folder / f'{split:03d}.jsonl.gz'}: {why} of its predictions" in done.stdout
    assert correlations(root)["confidence"]["n"] == sum(int(one["split"]) > 1 for one in key.values())


def test_another_results_folder_is_named_or_refused(rated, ratings, tmp_path):
    root, cell, key, told, _ = rated
    write_evidence(root, cell, key, told)
    moved = (root / "ratings").rename(tmp_path / "ratings")
    sheets = sorted(moved.glob("rater-*.csv"))
    assert f"evidence: {tmp_path} holds none of these cells; --results" in ratings("agree", *sheets).stdout
    assert "coupling" not in json.dumps(
        json.loads((moved / "agreement" / "judgement.json").read_text())["correlations"]
    )
    ratings("agree", *sheets, "--results", root)
    assert "coupling" in (moved / "agreement" / "judgement.json").read_text()
    assert "no such folder" in ratings("agree", *sheets, "--results", tmp_path / "nowhere", code=2).stderr
    assert "--results" in ratings("agree", sheets[0], "--format", "feb", "--results", root, code=2).stderr
