"""The tables of the report's section on evidence, for Markdown and HTML alike."""

from collections.abc import Mapping, Sequence

from caref.analysis import power
from caref.analysis.claims import NOT_ENOUGH, SUPPORTED, p_value
from caref.analysis.evidence_compared import Evidence, Held, Question, Shift
from caref.analysis.first_words import FirstWord
from caref.analysis.grid import Grid
from caref.analysis.labels import attribution_label
from caref.analysis.literature import ANY, NAMED_BY_THE_MODEL, OVER, Claim, Part, Verdict, tested
from caref.analysis.significance import LEAST_SPLITS
from caref.analysis.with_without import Change
from caref.results.evidence_names import CONTROLS, Name, named

TITLE, CLAIMS = "Evidence", "Claims of the literature"
TOLD = (
    "Are the answers calibrated, and do explanations rest on what the answers rest on? Mean ± population standard "
    "deviation (n splits in which the score exists); a dash: it exists in none. ↑ higher is better, ↓ lower.",
    "† A temperature moves it. SCED flattens probabilities, as a temperature does: COMP, SUFF, log-odds drop, ECE, "
    "NLL, Brier and confidence move with it by arithmetic, whatever explanations are worth. A change in them alone "
    "says nothing of faithfulness.",
    "No temperature moves flips, flips less random, τ with leave-one-out, COMP and SUFF matched, ECE and NLL tempered, "
    "phi-CCT and disagreement, for a given order of the words: with more than two choices an order by gradients of "
    "log p may itself move a little. Read faithfulness off these.",
    "A choice of several tokens is as probable as the token at which it parts from the others (evidence.choices=tree). "
    "Where all its tokens' log p were summed (sequence), what a flat distribution leaves to tokens of no choice counts "
    "against long choices: such evidence of a model trained with SCED tells of its flatness. "
    "Disagreement, summed, tells how far the two part.",
    "With against without, and a module trained to explain against one that is not: paired over the splits of one "
    "seed, two-sided Wilcoxon signed-rank p (Pratt's rule), corrected by Holm over all tests of this section; 95% BCa "
    "bootstrap interval of the mean difference, which is of each by itself. Scores without p are shown, not tested. "
    f"Fewer than {LEAST_SPLITS} common splits are not tested. Of two modules beside one model only their own scores "
    "are. Detectable: the smallest true difference that so many splits, and 60, would show in this family of tests.",
    "First most often: the words with the highest score in most texts, and in how many. An attribution that puts the "
    "same words first in most texts explains none of them, whatever else it scores.",
    f"{CLAIMS}: each attribution is a part of its own, since the best of several, chosen by the score that is "
    "reported, is no finding. A claim is supported in a cell when each part of it holds (Holm's p over them below 5%).",
)
_FIRST = "first most often"
_MEASURES = {"coupling": "answer coupling", "mention": "mention of inserted words", "skewness": "words"}
_ONE_MODEL = " Both explain one model: only the module's scores can differ; random words are the control."


def shift(found: Shift) -> Grid:
    """One pair of cells: every score that is tested, that a temperature moves, or that the list does not know.

    Of a module also those of random words: training it must not make the model brittle.
    """
    rows = [
        (name, change) for name, change in found.changes.items() if name.tested or _beside(name, found.pair.of_module)
    ]
    common = len(found.without.found.records.keys() & found.regularised.found.records.keys())
    return Grid(
        found.title,
        f"{common} splits in common.{_ONE_MODEL * found.pair.one_model}",
        ["", "of", *found.pair.sides, "change", "95% interval", "p (Holm)", "better on", *power.HEAD],
        [_changed(name, change) for name, change in rows],
        2,
        [change.outcome if change.splits else "" for _, change in rows],
    )


def _beside(name: Name, controls: bool) -> bool:
    return not name.listed or (bool(name.score.moved) and (controls or name.attribution not in CONTROLS))


def _changed(name: Name, change: Change) -> list[str]:
    head = [name.score.head, attribution_label(name.attribution)]
    if not change.splits:
        return [*head, "–", "–", "– (0)", *[""] * 5]
    measure, found = name.score, change.difference
    told = [measure.text(change.without), measure.text(change.regularised), f"{measure.change(found.mean)} ({found.n})"]
    tests = ["", "too few splits" if name.tested else ""]
    if change.bounds:
        tests = [" to ".join(map(measure.change, change.bounds)), p_value(found.p_holm)]
    better = "" if measure.up is None else f"{change.better} of {found.n}"
    return [*head, *told, *tests, better, *power.shown(found, measure.text)]


def attributions(held: Held, title: str, first: Sequence[FirstWord] = ()) -> Grid | None:
    """One cell: its attributions, a line each; None where it has none.

    Args:
        first: what attributions put first, of this cell and others.
    """
    own = [one for one in first if one.held is held]
    names = {(name.key, name.answer): name for name in held.names if name.attribution}
    raw = {(name.attribution, name.key, name.answer): name for name in held.names}
    body = [
        [
            attribution_label(one),
            *(_figure(held, raw.get((one, *column))) for column in names),
            *([_put_first([word for word in own if word.attribution == one])] if own else []),
        ]
        for one in held.attributions
    ]
    head = ["attribution", *(name.score.head for name in names.values()), *([_FIRST] if own else [])]
    return Grid(title, "", head, body, 1) if body else None


def _put_first(words: Sequence[FirstWord]) -> str:
    """ "a 417, an 27, the 26 of 480"; nothing of none."""
    told = ", ".join(f"{one.word or '·'} {one.first}" for one in words[:3])
    return f"{told} of {words[0].texts}" if words else ""


def cells(question: Question, titles: Sequence[str]) -> list[Grid]:
    """Scores that are no attribution's, a table a measure, a line a cell."""
    names = {name: None for held in question.held for name in held.names if not name.attribution}
    measures = dict.fromkeys(name.measure for name in sorted(names, key=lambda name: (name.order, name.raw)))
    return [_of_measure(question, measure, titles) for measure in measures]


def _of_measure(question: Question, measure: str, titles: Sequence[str]) -> Grid:
    own = [{name.raw: name for name in held.names} for held in question.held]
    names = {name for of_cell in own for name in of_cell.values() if not name.attribution and name.measure == measure}
    columns = sorted(names, key=lambda name: (name.order, name.raw))
    body = [
        [title, str(held.n), *(_figure(held, of_cell.get(name.raw)) for name in columns)]
        for held, of_cell, title in zip(question.held, own, titles, strict=True)
    ]
    head = ["", "splits", *(name.score.head for name in columns)]
    return Grid(_MEASURES.get(measure, measure).capitalize(), "", head, body, 1)


def _figure(held: Held, name: Name | None) -> str:
    """ "58.33 ± 1.20 (6)"; a dash where it exists in no split, nothing where it was not asked."""
    if name is None:
        return ""
    found, score = held.summary(name.raw), name.score
    return f"{score.text(found.mean)} ± {score.text(found.std)} ({found.n})" if found else "– (0)"


def claims(question: Question, titles: Sequence[str]) -> list[Grid]:
    """The claims of the literature, a table each, a line a part of it and a cell."""
    named = {held.line.cell.signature: title for held, title in zip(question.held, titles, strict=True)}
    by_claim: dict[Claim, list[Verdict]] = {}
    for one in tested(question):
        by_claim.setdefault(one.claim, []).append(one)
    return [_claim(claim, verdicts, named) for claim, verdicts in by_claim.items()]


def _claim(claim: Claim, verdicts: Sequence[Verdict], titles: Mapping[str, str]) -> Grid:
    supported = sum(one.verdict == SUPPORTED for one in verdicts)
    untested = sum(one.verdict == NOT_ENOUGH for one in verdicts)
    few = f", too few splits in {untested}" if untested else ""
    of = f"{len(verdicts)} cell{'s' * (len(verdicts) > 1)}"
    parts = [(titles[one.held.line.cell.signature], part) for one in verdicts for part in one.parts]
    sides = [_side(side) for side in (claim.left, claim.right)]
    left, right = ("r over epochs", "") if claim.over_epochs else sides
    way = "below" if claim.below else "above"
    note = f"{sides[0]} over {sides[1]}, epoch by epoch{': r below 0' * claim.below}."
    if not claim.over_epochs:
        note = f"{sides[0]} {way} {sides[1]}{', at epochs of such accuracy' * claim.of_low_accuracy}."
    if {over.replace(ANY, words) for words in NAMED_BY_THE_MODEL for over in OVER} & {claim.left, claim.right}:
        note += " Over all examples: where the model names no word, none moves its answer."
    return Grid(
        f"{claim.source}: {claim.text}: supported in {supported} of {of}{few}",
        note,
        ["", "of", left, right, "below by" if claim.below else "difference", "95% interval", "p (Holm)", "n", ""],
        [[title, *_part(part)] for title, part in parts],
        2,
        [{"holds": "better", "fails": "worse"}.get(part.outcome, "") for _, part in parts],
    )


def _side(side: str | float) -> str:
    return named(side.replace(ANY, "x"), ["x"]).score.label if isinstance(side, str) else f"{side:g}"


def _part(part: Part) -> list[str]:
    score, found = part.left.score, part.difference
    means = [score.text(mean) if mean is not None else "" for mean in (part.left_mean, part.right_mean)]
    tests = ["", ""]
    if found.p_holm is not None:
        tests = [f"{score.change(found.low)} to {score.change(found.high)}", p_value(found.p_holm)]
    change = "–" if found.mean is None else score.change(found.mean)
    readings = {"fails": "the other way", "undecided": found.undecided, "untested": "too few splits"}
    read = readings.get(part.outcome, part.outcome)
    return [attribution_label(part.attribution), *means, change, *tests, str(found.n), read]


def glossary(evidence: Evidence) -> list[str]:
    """What every score that is shown is, a line each."""
    names = sorted({name for held in evidence.held for name in held.names}, key=lambda name: (name.order, name.raw))
    return list(dict.fromkeys(name.score.told for name in names if not name.answer))
