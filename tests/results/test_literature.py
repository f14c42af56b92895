"""Claims of the literature on a cell's evidence: each method by itself, paired, corrected, and only what was asked."""

import numpy as np
import pytest

from caref.results import evidence, evidence_compared, evidence_grids, literature
from caref.results.claims import NOT_ENOUGH, NOT_SUPPORTED, SUPPORTED
from caref.results.every_cell import lines
from caref.results.significance import holm, signed_rank

from .conftest import TINY

ASKED = {
    "examples": 12,
    "attributions": ["saliency", "leave_one_out", "explanation_words", "human", "random"],
    "measures": ["erasure", "alignment"],
}
RANKING = "saliency", "leave_one_out", "random"
OVER_RANDOM = "erasure.{}.flips_over_random"


@pytest.fixture
def question(make_cell, written):
    """A function: the question of one cell whose evidence holds these scores by split, and by epoch."""

    def make(scores, by_epoch=None):
        n = len(next(iter(scores.values())))
        cell = make_cell("AQ", "esnli", [50.0] * n, model=TINY)
        root = written([cell])
        for split in range(n):
            own = {name: float(values[split]) for name, values in scores.items()}
            own |= {f"erasure.{name}.tau": 0.5 for name in RANKING}  # which sets of words do not have
            record = {"split": split, "scores": own} | ({"by_epoch": by_epoch[split]} if by_epoch else {})
            evidence.write_split(root / cell.signature, ASKED, record, [])
        (found,) = evidence_compared.gather(lines([cell]), [], root).questions
        return found

    return make


def of_claim(found, start: str):
    (one,) = (one for one in literature.tested(found) if one.claim.text.startswith(start))
    return one


def test_each_attribution_is_a_part_and_controls_and_sets_are_none(question):
    random = np.random.default_rng(0)
    means = {"saliency": 20, "leave_one_out": 0, "random": 30, "explanation_words": 40, "human": 50}
    scores = {OVER_RANDOM.format(name): random.normal(mean, 3, 16) for name, mean in means.items()}
    found = of_claim(question(scores), "Attributions name words that move the answer")
    assert {part.attribution for part in found.parts} == {"saliency", "leave_one_out"}
    ps = holm([signed_rank(scores[part.left.raw].round(9)) for part in found.parts])
    assert [part.difference.p_holm for part in found.parts] == pytest.approx(ps)
    assert {part.attribution: part.outcome for part in found.parts} == {
        "saliency": "holds",
        "leave_one_out": "undecided",
    }
    assert found.verdict == NOT_SUPPORTED


def test_attributions_are_held_against_people_and_against_the_explanations_words(question):
    random = np.random.default_rng(1)
    means = {"saliency": 20, "leave_one_out": 30, "explanation_words": 0, "human": 25}
    scores = {OVER_RANDOM.format(name): random.normal(mean, 1, 16) for name, mean in means.items()}
    found = question(scores)
    repeated = of_claim(found, "After fine-tuning")  # of prompted words there are no scores
    assert repeated.verdict == SUPPORTED and "its explanation repeats" in repeated.claim.text
    people = of_claim(found, "The words that people marked")
    assert {part.attribution: part.outcome for part in people.parts} == {"saliency": "holds", "leave_one_out": "fails"}
    part = next(part for part in people.parts if part.attribution == "saliency")
    assert (part.left.attribution, part.right.attribution) == ("human", "saliency")
    assert part.difference.mean == pytest.approx(np.mean(scores[part.left.raw] - scores[part.right.raw]))
    assert part.left_mean == pytest.approx(scores[part.left.raw].mean())


def test_what_a_cell_has_no_scores_of_is_not_asked_and_few_splits_are_not_tested(question):
    found = literature.tested(question({"mention.phi": [0.5] * 11}))
    assert [(one.claim.left, one.verdict) for one in found] == [("mention.phi", NOT_ENOUGH)]
    (one,) = literature.tested(question({"mention.phi": [0.5] * 12}))
    assert one.verdict == SUPPORTED


def test_over_epochs_the_correlation_of_each_split_is_one_observation(question):
    random = np.random.default_rng(2)
    by_epoch = [
        {
            str(epoch): {
                "calibration.choice_accuracy": 10.0 * epoch + noise,
                "alignment.saliency.f1": 0.1 * epoch,
                "erasure.saliency.flips": -epoch if epoch else None,
            }
            for epoch, noise in enumerate(random.normal(0, 8, 5))
        }
        for _ in range(13)
    ]
    scores = {"alignment.saliency.f1": [0.4] * 13, "calibration.choice_accuracy": [40.0] * 13}
    found = question(scores | {"erasure.saliency.flips": [1.0] * 13}, by_epoch)
    rises = of_claim(found, "Attributions agree with people the more")
    rs = [
        np.corrcoef(
            *zip(*[(e["calibration.choice_accuracy"], e["alignment.saliency.f1"]) for e in one.values()], strict=True)
        )[0, 1]
        for one in by_epoch
    ]
    (part,) = rises.parts
    assert part.difference.mean == pytest.approx(np.mean(rs)) and part.outcome == "holds"
    (falls,) = of_claim(found, "Attributions are the more faithful").parts
    assert falls.outcome == "fails" and falls.difference.n == 13  # the epoch without a score is left out


@pytest.mark.parametrize(
    "by_epoch",
    [
        {},
        {"0": {"a": 1.0, "b": 2.0}, "1": {"a": 2.0, "b": 3.0}},
        {str(epoch): {"a": 1.0, "b": float(epoch)} for epoch in range(5)},
        {str(epoch): {"a": float(epoch), "b": None} for epoch in range(5)},
    ],
)
def test_of_too_few_epochs_or_of_a_score_that_never_moves_there_is_no_correlation(by_epoch):
    assert literature.correlation(by_epoch, "a", "b") is None


def test_the_tables_say_what_was_held_against_what_and_how_it_came_out(question):
    found = question({OVER_RANDOM.format("saliency"): [3.0] * 12 + [2.0], OVER_RANDOM.format("human"): [1.0] * 13})
    grids = evidence_grids.claims(found, ["the cell"])
    assert [grid.title.rpartition(": ")[2] for grid in grids] == [
        "supported in 1 of 1 cell",
        "supported in 0 of 1 cell",
    ]
    assert grids[0].body[0][:2] == ["the cell", "saliency"] and grids[0].body[0][-1] == "holds"
    assert grids[1].body[0][2:5] == ["1.00", "2.92", "-1.92"] and grids[1].body[0][-1] == "the other way"
