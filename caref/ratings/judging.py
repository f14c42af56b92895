"""From answers to what they say: scores, agreement, differences between systems, automatic scores against people."""

import itertools
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace

from caref.analysis.labels import dataset_label
from caref.analysis.significance import holm, interval, paired
from caref.ratings import agreement
from caref.ratings.answers import Answers, Judged, score
from caref.ratings.question import JUSTIFIES, REASONS
from caref.report.judgement import Agreement, Contrast, Correlation, Judgement, Score

_LEAST_ITEMS = 10  # below, a correlation says nothing


def judge(answers: Answers) -> Judgement:
    """Everything that `agree` reports."""
    groups: dict[tuple[str, ...], list[Judged]] = {}
    for one in sorted(answers.judged, key=lambda one: (one.dataset, one.kind)):  # cells before gold
        groups.setdefault((one.dataset, one.kind, one.cell, one.system), []).append(one)
    raters = {rater for item in answers.given.values() for rater in item}
    return Judgement(
        demo=any(one.demo for one in answers.judged),
        raters=len(raters),
        scores=[found for group in groups.values() if (found := _score(group, answers))],
        agreement=_agreement(answers),
        contrasts=_contrasts(list(groups.values()), answers),
        correlations=_correlations(answers),
        notes=list(answers.notes),
    )


def rated(one: Judged, answers: Answers) -> dict[str, float]:
    """Each rater's score of something judged; 0 from all who rate where there was no explanation."""
    if not one.item:
        return {rater: 0.0 for item in answers.given.values() for rater in item}
    return {rater: score(answer) for rater, answer in answers.given[one.item].items()}


def _mean(values) -> float:
    values = list(values)
    return math.fsum(values) / len(values)


def _means(group: Sequence[Judged], answers: Answers) -> dict[str, float]:
    """By input, the mean over raters, and over what was judged of it more than once; unrated inputs are left out."""
    by_input: dict[str, list[float]] = {}
    for one in group:
        if found := rated(one, answers):
            by_input.setdefault(one.input, []).append(_mean(found.values()))
    return {source: _mean(means) for source, means in by_input.items()}


def _score(group: Sequence[Judged], answers: Answers) -> Score | None:
    # an item is what was judged once: FEB shows an input again, in another set of ten
    items = [list(found.values()) for one in group if (found := rated(one, answers))]
    if not items:
        return None
    means = list(map(_mean, items))
    first, mean = group[0], _mean(means)
    asked = [one for one in group if one.item]
    low, high = interval(means) if len(means) > 1 else (None, None)
    reasons = {}
    for question in REASONS:
        told = [list(answers.reasons.get((one.item, question.name), {}).values()) for one in asked]
        if told := list(filter(None, told)):
            unexplained = [["no"]] * (len(group) - len(asked))
            reasons[question.name] = 100 * _mean(item.count("yes") / len(item) for item in told + unexplained)
    return Score(
        dataset=dataset_label(first.dataset),
        system=first.system,
        cell=first.cell,
        kind=first.kind,
        n=len(means),
        ratings=sum(len(answers.given[one.item]) for one in asked),
        unexplained=sum(not one.item for one in group),
        mean=mean,
        se=math.sqrt(math.fsum((m - mean) ** 2 for m in means) / (len(means) - 1) / len(means))
        if len(means) > 1
        else None,
        low=low,
        high=high,
        shares=[100 * _mean(item.count(score(answer)) / len(item) for item in items) for answer in JUSTIFIES.answers],
        reasons=reasons,
    )


def _agreement(answers: Answers) -> list[Agreement]:
    panels: dict[str, dict[str, Mapping[str, str]]] = {}
    for one in answers.judged:
        if one.item:
            panels.setdefault(one.panel, {})[one.item] = answers.given[one.item]
    named = {name: dataset_label(name) for name in panels}
    found = [agreement.panel(named[name], list(items.values())) for name, items in panels.items()]
    if len(panels) > 1 and answers.persons:
        found.append(agreement.panel("all", [answer for items in panels.values() for answer in items.values()]))
    return found


def _contrasts(groups: Sequence[Sequence[Judged]], answers: Answers) -> list[Contrast]:
    """Every two cells of a dataset, and every cell against the gold explanations beside it: two families for Holm."""
    found = []
    for left, right in itertools.combinations(groups, 2):
        kinds = left[0].kind, right[0].kind
        together = left[0].panel == right[0].panel
        if left[0].dataset != right[0].dataset or kinds == ("gold", "gold") or ("gold" in kinds and not together):
            continue
        if kinds[0] == "gold":
            left, right = right, left
        family = "against gold" if "gold" in kinds else "between cells"
        found.append(_contrast(family, left, right, answers))
    found.sort(key=lambda one: one.family != "between cells")
    for family in {one.family for one in found}:
        places = [place for place, one in enumerate(found) if one.family == family and one.p is not None]
        for place, p in zip(places, holm([found[place].p for place in places]), strict=True):
            found[place] = replace(found[place], p_holm=p)
    return found


def _contrast(family: str, left: Sequence[Judged], right: Sequence[Judged], answers: Answers) -> Contrast:
    difference = paired(_means(left, answers), _means(right, answers))
    estimate, error, p, note = _mixed(left, right, answers)
    return Contrast(
        family=family,
        dataset=dataset_label(left[0].dataset),
        left=left[0].system,
        right=right[0].system,
        n=difference.n,
        mean=difference.mean,
        low=difference.low,
        high=difference.high,
        p=difference.p,
        p_holm=None,
        effect=difference.effect,
        mixed=estimate,
        mixed_se=error,
        mixed_p=p,
        mixed_note=note,
    )


def _mixed(left: Sequence[Judged], right: Sequence[Judged], answers: Answers):
    """score ~ system + (1 | rater) + (1 | input), fitted by REML: estimate, standard error, p, why there is none."""
    if not answers.persons:
        return None, None, None, "raters are not told apart"
    rows = [
        (float(side), rater, one.input, value)
        for side, group in ((1, left), (0, right))
        for one in group
        for rater, value in rated(one, answers).items()
    ]
    sides, raters, inputs = ({row[place] for row in rows} for place in range(3))
    if len(sides) < 2 or len(raters) < 2 or len(inputs) < 2 or len({row[3] for row in rows}) < 2:
        return None, None, None, "too little varies"
    import pandas
    from statsmodels.regression.mixed_linear_model import MixedLM

    data = pandas.DataFrame(rows, columns=["left", "rater", "input", "score"])
    blocks = {"rater": "0 + C(rater)", "input": "0 + C(input)"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a variance at 0 is on the edge of its range: fine for the difference
        try:
            fit = MixedLM.from_formula("score ~ left", data, groups=[1] * len(data), vc_formula=blocks).fit(
                method=["lbfgs", "powell"]
            )
        except (ValueError, ArithmeticError) as error:  # numpy's LinAlgError is a ValueError
            return None, None, None, f"not fitted: {error}"
    figures = [float(of["left"]) for of in (fit.params, fit.bse, fit.pvalues)]
    if not fit.converged or not all(map(math.isfinite, figures)):
        return None, None, None, "did not converge"
    return *figures, ""


def _correlations(answers: Answers) -> list[Correlation]:
    """Each automatic score against the mean rating, by dataset, over the explanations of all cells."""
    found = []
    cells = [one for one in answers.judged if one.kind == "cell" and one.item]
    for dataset in dict.fromkeys(one.dataset for one in cells):
        for measure in sorted({name for one in cells if one.dataset == dataset for name in one.scores}):
            by_input: dict[str, list[tuple[float, float]]] = {}
            seen = set()
            for one in cells:
                values = rated(one, answers)
                if one.dataset == dataset and measure in one.scores and values and one.item not in seen:
                    seen.add(one.item)  # two cells that wrote the same are one item
                    by_input.setdefault(one.input, []).append((one.scores[measure], _mean(values.values())))
            found.append(_correlation(dataset, measure, list(by_input.values())))
    return found


def _correlation(dataset: str, measure: str, blocks: Sequence[Sequence[tuple[float, float]]]) -> Correlation:
    pairs = list(itertools.chain.from_iterable(blocks))
    rho, low, high = None, None, None
    if len(pairs) >= _LEAST_ITEMS:
        rho = _rho(pairs)
        low, high = agreement.interval(
            _rho, range(len(blocks)), lambda drawn: [pair for place in drawn for pair in blocks[place]]
        )
    return Correlation(dataset_label(dataset), measure, len(pairs), rho, low, high)


def _rho(pairs: Sequence[tuple[float, float]]) -> float | None:
    return agreement.correlation(*zip(*pairs, strict=True))
