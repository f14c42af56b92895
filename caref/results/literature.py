"""Claims of the literature on faithfulness, each tested on the evidence of every cell as the paper's are on its table.

A claim holds of a cell where each of its parts does: the mean difference over splits is above 0 and Holm's p over the
claim's parts is below 5%. Each attribution is a part of its own: the best of several, chosen by the score that is
reported, would be no finding. A claim whose scores a cell does not have is not asked of it.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from caref.results.claims import outcome, verdict
from caref.results.evidence_compared import Held, Question
from caref.results.evidence_scores import CONTROLS, Name
from caref.results.significance import Comparison, Difference, corrected, paired
from caref.results.summary import scores, summarise

ANY = "*"  # stands for each attribution that ranks words and is no control
_OF_A_RANKING = {"erasure.*.tau", "alignment.*.auc"}  # what an attribution that names a set of words does not have
_LEAST_EPOCHS = 3  # of which a correlation is told


@dataclass(frozen=True)
class Claim:
    """`left` is above `right`, which is 0 where it is empty.

    Attributes:
        over_epochs: `left` rises with `right` instead: Pearson's r over a training's epochs, one of each split, is
            above 0. A p of one training's epochs would be worth nothing: they are no independent observations.
    """

    source: str
    text: str
    left: str
    right: str = ""
    over_epochs: bool = False


_FAYYAZ = "Fayyaz et al."
CLAIMS = (
    Claim(
        _FAYYAZ,
        "Attributions name words that move the answer, more than random words do",
        "erasure.*.flips_over_random",
    ),
    *(
        Claim(
            _FAYYAZ,
            f"After fine-tuning, attributions are more faithful than the words that a model itself names ({how})",
            "erasure.*.flips_over_random",
            f"erasure.{words}.flips_over_random",
        )
        for words, how in (
            ("prompting", "asked for as many as it likes"),
            ("prompting_top", "asked for so many"),
            ("explanation_words", "not asked: those that its explanation repeats"),
        )
    ),
    Claim(
        _FAYYAZ,
        "The words that people marked move the answer more than any attribution's",
        "erasure.human.flips_over_random",
        "erasure.*.flips_over_random",
    ),
    Claim(
        _FAYYAZ,
        "Attributions name the words that people marked, beyond chance",
        "alignment.*.f1",
        "alignment.chance.f1",
    ),
    Claim(
        _FAYYAZ,
        "Attributions agree with people the more, the more accurate the model",
        "alignment.*.f1",
        "calibration.choice_accuracy",
        over_epochs=True,
    ),
    Claim(
        _FAYYAZ,
        "Attributions are the more faithful, the more accurate the model",
        "erasure.*.flips",
        "calibration.choice_accuracy",
        over_epochs=True,
    ),
    Claim(
        "Huang et al., Madsen et al.",
        "The words that an explanation repeats move the answer, more than random words do",
        "erasure.explanation_words.flips_over_random",
    ),
    Claim("Atanasova et al., Siegel et al.", "Explanations mention the words that move the answer", "mention.phi"),
)


@dataclass(frozen=True)
class Part:
    """One part of a claim of one cell; means over the splits that it rests on."""

    attribution: str  # which one it is about; empty where the claim is about none
    left: Name
    right: Name | None
    outcome: str  # "holds", "fails", "undecided", "untested"
    left_mean: float | None
    right_mean: float | None
    difference: Difference


@dataclass(frozen=True)
class Verdict:
    claim: Claim
    held: Held
    verdict: str
    parts: tuple[Part, ...]


def tested(question: Question) -> list[Verdict]:
    """Every claim of every cell that has the scores, claim by claim."""
    found = [_tested(claim, held) for claim in CLAIMS for held in question.held]
    return [one for one in found if one.parts]


def _tested(claim: Claim, held: Held) -> Verdict:
    asked = list(_over_epochs(claim, held) if claim.over_epochs else _over_splits(claim, held))
    differences = [Comparison("", "", "", "", "", paired(left, right)) for *_, left, right, _ in asked]
    parts = tuple(
        Part(*names, outcome(one.difference), *_means(left, right, means), one.difference)
        for (*names, left, right, means), one in zip(asked, corrected(differences), strict=True)
    )
    return Verdict(claim, held, verdict({part.outcome for part in parts}), parts)


_Asked = tuple[
    str, Name, Name | None, Mapping[int, float], Mapping[int, float], bool
]  # with whether the means say anything


def _over_splits(claim: Claim, held: Held) -> Iterable[_Asked]:
    for *names, right in _names(claim, held):
        own = scores(held.found.records, names[-1].raw)
        other = scores(held.found.records, right.raw) if right else dict.fromkeys(own, 0.0)
        yield *names, right, own, other, bool(right)


def _over_epochs(claim: Claim, held: Held) -> Iterable[_Asked]:
    for attribution, left, right in _names(claim, held):
        found = {
            split: r
            for split, record in held.found.records.items()
            if (r := correlation(record.get("by_epoch", {}), left.raw, right.raw)) is not None
        }
        if found:
            yield attribution, left, right, found, dict.fromkeys(found, 0.0), False


def correlation(by_epoch: Mapping[str, Mapping], one: str, other: str) -> float | None:
    """Pearson's r of two scores over the epochs of a training; None of fewer than three, or where one never moves."""
    pairs = [(scores_.get(one), scores_.get(other)) for scores_ in by_epoch.values()]
    pairs = [pair for pair in pairs if None not in pair]
    if len(pairs) < _LEAST_EPOCHS or any(len(set(column)) == 1 for column in zip(*pairs, strict=True)):
        return None
    from scipy.stats import pearsonr

    r = float(pearsonr(*zip(*pairs, strict=True)).statistic)
    return r if math.isfinite(r) else None


def _names(claim: Claim, held: Held) -> Iterable[tuple[str, Name, Name | None]]:
    """The scores of each part that the cell has."""
    known = {name.raw: name for name in held.names}
    ranking = {name.attribution for name in held.names if name.key in _OF_A_RANKING}
    ranking = [one for one in held.attributions if one in ranking and one not in CONTROLS]
    for attribution in ranking if ANY in claim.left + claim.right else [""]:
        left, right = (name.replace(ANY, attribution) for name in (claim.left, claim.right))
        if left in known and (not right or right in known):
            yield attribution, known[left], known[right] if right else None


def _means(left: Mapping[int, float], right: Mapping[int, float], told: bool) -> tuple[float | None, float | None]:
    both = left.keys() & right.keys()
    means = [summarise(side[split] for split in both) for side in (left, right)]
    return means[0] and means[0].mean, means[1].mean if told and means[1] else None
