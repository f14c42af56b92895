"""Claims of the literature on faithfulness, each tested on the evidence of every cell as the paper's are on its table.

A claim holds of a cell where each of its parts does: the difference over splits is as claimed, in the mean and by
ranks, and Holm's p over the claim's parts is below 5%. Each attribution is a part of its own: the best of several,
chosen by the score that is reported, would be no finding. A claim whose scores a cell does not have is not asked of it.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from caref.analysis.claims import outcome, verdict
from caref.analysis.evidence_compared import Held, Question
from caref.analysis.significance import Comparison, Difference, corrected, paired
from caref.analysis.summary import common_means, scores
from caref.results.evidence_names import CONTROLS, Name

ANY = "*"  # stands for each attribution that ranks words and is no control
_OF_A_RANKING = {"erasure.*.tau", "alignment.*.auc"}  # what an attribution that names a set of words does not have
NAMED_BY_THE_MODEL = {
    "prompting": "asked for as many as it likes",
    "prompting_top": "asked for so many",
    "prompting_untrained": "asked before its training for as many as it likes",
    "prompting_top_untrained": "asked before its training for so many",
    "explanation_words": "not asked: those that its explanation repeats",
}
OVER = {"erasure.*.flips_over_random", "erasure.*.flips_over_content"}  # which are of examples with a named word
_LEAST_EPOCHS = 3  # of which a correlation is told


@dataclass(frozen=True)
class Claim:
    """`left` is above `right`, a score or a number.

    Attributes:
        over_epochs: `left` rises with `right` instead: Pearson's r over a training's epochs, one of each split, is
            above 0. A p of one training's epochs would be worth nothing: they are no independent observations.
        below: it is below, or falls, instead.
        of_low_accuracy: of a split count those epochs alone, the end among them, at which its model is no more
            accurate than the most frequent answer; their mean is one observation.
    """

    source: str
    text: str
    left: str
    right: str | float = 0.0
    over_epochs: bool = False
    below: bool = False
    of_low_accuracy: bool = False


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
        for words, how in NAMED_BY_THE_MODEL.items()
    ),
    Claim(
        _FAYYAZ,
        "The words that people marked move the answer more than any attribution's",
        "erasure.human.flips_over_random",
        "erasure.*.flips_over_random_marked",
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
    *(
        Claim(
            _FAYYAZ,
            f"The words that a model itself names agree with people the less, the more accurate the model "
            f"({NAMED_BY_THE_MODEL[words]})",
            f"alignment.{words}.f1",
            "calibration.choice_accuracy",
            over_epochs=True,
            below=True,
        )
        for words in ("prompting", "prompting_top")
    ),
    Claim(
        _FAYYAZ,
        "Attributions are the more faithful, the more accurate the model",
        "erasure.*.flips",
        "calibration.choice_accuracy",
        over_epochs=True,
    ),
    *(
        Claim(
            _FAYYAZ,
            f"A model no more accurate than the most frequent answer changes less than 5 % of answers without {gone}",
            f"erasure.{words}.flips",
            5.0,
            below=True,
            of_low_accuracy=True,
        )
        for words, gone in ((ANY, "an attribution's words"), ("human", "people's words"), ("all", "any word"))
    ),
    Claim(
        _FAYYAZ,
        "A model no more accurate than the most frequent answer gives one answer in more than 80 % of examples",
        "calibration.most_predicted",
        80.0,
        of_low_accuracy=True,
    ),
    Claim(
        "Huang et al., Madsen et al.",
        "The words that an explanation repeats move the answer, more than random words do",
        "erasure.explanation_words.flips_over_random",
    ),
    Claim(
        "Huang et al., Madsen et al.",
        "The words that an explanation repeats move the answer, more than random words that it could repeat",
        "erasure.explanation_words.flips_over_content",
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
    asked = [one for one in _asked(claim, held) if one[3] or not (claim.over_epochs or claim.of_low_accuracy)]
    sides = [(right, left) if claim.below else (left, right) for *_, left, right in asked]
    differences = [Comparison("", "", "", "", "", paired(*both)) for both in sides]
    told = not claim.over_epochs and claim.right != 0
    parts = tuple(
        Part(*names, outcome(one.difference), mean, against if told else None, one.difference)
        for (*names, left, right), one in zip(asked, corrected(differences), strict=True)
        for mean, against in [common_means(left, right)]
    )
    return Verdict(claim, held, verdict({part.outcome for part in parts}), parts)


_Asked = tuple[str, Name, Name | None, Mapping[int, float], Mapping[int, float]]


def _asked(claim: Claim, held: Held) -> Iterable[_Asked]:
    """Each part, with what is held against what by split."""
    records = held.found.records
    for attribution, left, right in _names(claim, held):
        if claim.over_epochs:
            found = {split: correlation(one.get("by_epoch", {}), left.raw, right.raw) for split, one in records.items()}
            own = {split: r for split, r in found.items() if r is not None}
        elif claim.of_low_accuracy:
            found = {split: _mean_where_low(one, left.raw) for split, one in records.items()}
            own = {split: mean for split, mean in found.items() if mean is not None}
        else:
            own = _of_all(records, left)
        if claim.over_epochs or right is None:
            other = dict.fromkeys(own, 0.0 if claim.over_epochs else float(claim.right))
        else:
            other = _of_all(records, right)
        yield attribution, left, right, own, other


def _of_all(records: Mapping[int, Mapping], name: Name) -> dict[int, float]:
    """A score by split; of words that a model itself names, how much they move its answer in all examples.

    Where a model names no word it moves no answer, and counts so: attributions, which always name some, are asked
    about the same examples.
    """
    if name.key not in OVER or name.attribution not in NAMED_BY_THE_MODEL:
        return scores(records, name.raw)
    found = {}
    for split, record in records.items():
        if named := record["scores"].get(f"erasure.{name.attribution}.n"):
            found[split] = record["scores"][name.raw] * named / record["examples"]
        elif named is not None:
            found[split] = 0.0
    return found


def _mean_where_low(record: Mapping, name: str) -> float | None:
    epochs = list(record.get("by_epoch", {}).values())
    if record["scores"] not in epochs:
        epochs.append(record["scores"])
    pairs = [
        (one.get("calibration.choice_accuracy"), one.get("calibration.zero_rate"), one.get(name)) for one in epochs
    ]
    low = [value for accuracy, zero, value in pairs if None not in (accuracy, zero, value) and accuracy <= zero]
    return sum(low) / len(low) if low else None


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
    sides = claim.left, claim.right if isinstance(claim.right, str) else ""
    for attribution in ranking if ANY in "".join(sides) else [""]:
        left, right = (name.replace(ANY, attribution) for name in sides)
        if left in known and (not right or right in known):
            yield attribution, known[left], known[right] if right else None
