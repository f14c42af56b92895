"""With against without the regulariser: cells that differ in nothing else, compared split by split."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from caref.analysis import power
from caref.analysis.every_cell import Line
from caref.analysis.significance import LEAST_SPLITS, Comparison, Difference, corrected, interval, paired
from caref.analysis.summary import fingerprints, scores
from caref.objectives.explained import READ_BY
from caref.results.measures import MEASURES, PAIRS, Measure, shown

MOST_SHOWN = 4  # pairs that a report opens with; the others fold away
_LEADING = ("nbert", "accuracy")  # the measure of the paper's claim, and of a report's first line; without it the next


@dataclass(frozen=True)
class Change:
    """One measure of a pair, over the splits that both cells have."""

    metric: str
    measure: Measure
    splits: tuple[tuple[int, float, float], ...]  # split, without, with
    difference: Difference  # with less without; Holm's p over the pairs of a report, measure by measure

    @property
    def without(self) -> float:
        return sum(without for _, without, _ in self.splits) / len(self.splits)

    @property
    def regularised(self) -> float:
        return sum(regularised for *_, regularised in self.splits) / len(self.splits)

    @property
    def better(self) -> int:
        """In how many splits the regularised model is better; of a measure where less is better, has less."""
        sign = 1 if self.measure.up else -1
        return sum(sign * (regularised - without) > 0 for _, without, regularised in self.splits)

    @property
    def outcome(self) -> str:
        """ "better", "worse", "undecided" or "untested", as the paired test has it."""
        if self.difference.p_holm is None:
            return "untested"
        if not self.difference.clear:
            return "undecided"
        return "better" if (self.difference.clear > 0) == bool(self.measure.up) else "worse"

    @cached_property
    def bounds(self) -> tuple[float, float] | None:
        """95% interval of the mean difference; None where it is not tested."""
        if self.difference.p_holm is None:
            return None
        return interval([round(after - before, 9) for _, before, after in self.splits])

    @property
    def said(self) -> str:
        """ "+2.31 on average, better on 2 of 2 splits; too few for a test, 12 are needed"."""
        found, measure = self.difference, self.measure
        told = f"{measure.change(found.mean)} on average, better on {self.better} of {_splits(found.n)}"
        if found.p_holm is None:
            return f"{told}; too few for a test, {LEAST_SPLITS} are needed{power.told(found, measure.text)}"
        low, high = map(measure.change, self.bounds)
        p = f"95% interval {low} to {high}, Holm's p {'<0.001' if found.p_holm < 0.001 else f'{found.p_holm:.3f}'}"
        reading = {"better": "a clear gain", "worse": "a clear loss"}.get(self.outcome, found.undecided)
        return f"{told}; {reading} ({p}){power.told(found, measure.text)}"


@dataclass(frozen=True)
class Pair:
    """Two cells that differ in the regulariser alone, or in what a module is trained to explain by."""

    without: Line
    regularised: Line
    changes: Mapping[str, Change]  # by measure; those that both cells have on at least one common split

    @property
    def title(self) -> str:
        """ "CoS-E · BASE · SmolLM2-135M"; demo data is called so."""
        line = self.regularised
        return " · ".join(filter(None, [line.data, line.peft, line.model, line.settings]))

    @property
    def demo(self) -> bool:
        return self.without.demo or self.regularised.demo

    @property
    def of_module(self) -> bool:
        """Whether it holds a trained module against the untrained one."""
        return not is_without(self.without)

    @property
    def one_model(self) -> bool:
        """Whether the modules alone differ: both models are the same, bit for bit."""
        return self.of_module and not _reaches_the_model(self.regularised.cell.config["reg"])

    @property
    def sides(self) -> tuple[str, str]:
        """What `without` and `regularised` are called beside each other."""
        return ("untrained", "trained") if self.of_module else ("without", "with")

    @property
    def leading(self) -> Change | None:
        return next((self.changes[metric] for metric in _LEADING if metric in self.changes), None)


def pairs(lines: Iterable[Line]) -> list[Pair]:
    """Every regularised cell beside the one without, in the order of the lines; none that share no split.

    A cell whose model is the plain one, whatever module is beside it, is not regularised.
    """
    by_rest: dict[str, list[Line]] = {}
    for line in lines:
        if line.known and not line.refused and not line.published:
            by_rest.setdefault(rest(line), []).append(line)
    found = [
        (without, line)
        for group in by_rest.values()
        for without in group
        if is_without(without)
        for line in group
        if not model_is_plain(line) and without.cell.records.keys() & line.cell.records.keys()
    ]
    changes: dict[tuple[int, str], Change] = {}
    for metric in shown(PAIRS):
        by_split = [[scores(line.cell.records, metric) for line in both] for both in found]
        for number, one in enumerate(tested([changed(metric, MEASURES[metric], *both) for both in by_split])):
            if one.splits:
                changes[number, metric] = one
    return [
        Pair(*both, {metric: changes[number, metric] for metric in shown(PAIRS) if (number, metric) in changes})
        for number, both in enumerate(found)
    ]


def is_without(line: Line) -> bool:
    return line.cell.config["reg"]["term"] == "cross_entropy"


def model_is_plain(line: Line) -> bool:
    """Whether the model is that of cross-entropy alone, bit for bit, be there a module beside it or none."""
    reg = line.cell.config["reg"]
    weightless = (
        ("criteria" in reg or reg["term"] == "sced") and not reg.get("lambda_sced") and not reg.get("lambda_kl")
    )
    return is_without(line) or (weightless and not _reaches_the_model(reg))


def _reaches_the_model(reg: Mapping) -> bool:
    """Whether criteria train the model too: with scope joint, all but simulatability."""
    return reg.get("scope") == "joint" and not set(reg["criteria"]) <= {"sim"}


def modules(lines: Iterable[Line]) -> list[Pair]:
    """Every module that is trained to explain beside the same one as it starts (reg.criteria=[]).

    No score of the record is compared: unless criteria reach it, the model is the same (`Pair.one_model`).
    """
    by_rest: dict[str, list[Line]] = {}
    for line in lines:
        reg = line.cell.config["reg"]
        if line.known and "criteria" in reg and not line.refused:
            own = {key: value for key, value in reg.items() if key not in {"name", "criteria", *READ_BY}}
            by_rest.setdefault(json.dumps([rest(line), own], sort_keys=True, default=str), []).append(line)
    return [
        Pair(untrained, line, {})
        for group in by_rest.values()
        for untrained in group
        if not untrained.cell.config["reg"]["criteria"]
        for line in group
        if line.cell.config["reg"]["criteria"]
    ]


def rest(line: Line) -> str:
    """Everything of a cell but its regulariser and what cannot change a number."""
    parts = {part: _material(part, value) for part, value in line.cell.config.items() if part != "reg"}
    return json.dumps([parts, fingerprints(line.cell)], sort_keys=True, default=str)


def _material(part: str, value: object) -> object:
    """A part of a configuration without the name it was given (a dataset's says which it is) and what is saved."""
    silent = {"train": {"save"}, "dataset": set()}.get(part, {"name"})
    return {key: one for key, one in value.items() if key not in silent} if isinstance(value, Mapping) else value


def changed(
    metric: str, measure: Measure, before: Mapping[int, float], after: Mapping[int, float], test: bool = True
) -> Change:
    """What a measure came to, from its scores by split without and with the regulariser; not corrected yet."""
    splits = tuple((split, before[split], after[split]) for split in sorted(before.keys() & after.keys()))
    return Change(metric, measure, splits, paired(after, before, bounds=False, test=test))


def tested(changes: Sequence[Change]) -> list[Change]:
    """The same with Holm's p over all of them."""
    asked = [Comparison("", "", "", one.metric, "", one.difference) for one in changes]
    return [replace(one, difference=test.difference) for one, test in zip(changes, corrected(asked), strict=True)]


def headline(found: Sequence[Pair]) -> str:
    """What the pairs come to, in one line that can stand above a report."""
    foremost = _foremost(found)
    leading = [change for _, change in foremost]
    if not leading:
        return "What the records say"
    one_kind = len({pair.regularised.cell.config["reg"]["term"] for pair, _ in foremost}) == 1
    regularised = f"With {'the' if one_kind else 'a'} regulariser"
    measure = MEASURES[leading[0].metric]
    name = measure.label
    if len(leading) == 1:
        mean = measure.change(leading[0].difference.mean)
        way = "the same" if not float(mean) else f"{mean.lstrip('+-')} {'higher' if float(mean) > 0 else 'lower'}"
        return f"{regularised}, {name} is {way} on {_splits(leading[0].difference.n)}"
    up = [one for one in leading if one.difference.mean > 0]
    clear = sum(one.outcome == "better" for one in leading), sum(one.outcome == "worse" for one in leading)
    tested = any(one.outcome != "untested" for one in leading)
    told = f"{regularised}, {name} is higher in {len(up)} of {len(leading)} pairs of cells"
    return f"{told}; clearly higher in {clear[0]}, clearly lower in {clear[1]}" if tested else told


def caution(found: Sequence[Pair]) -> str:
    """What the headline rests on: which cells, how many splits, and whether any of it is tested."""
    leading = _foremost(found)
    if not leading:
        return ""
    if len(leading) == 1:
        pair, change = leading[0]
        return f"{pair.title}, {pair.regularised.reg}: {change.said}."
    counts = sorted({change.difference.n for _, change in leading})
    n = _splits(counts[0]) if len(counts) == 1 else f"{counts[0]} to {_splits(counts[-1])}"
    measure = MEASURES[leading[0][1].metric]
    each = ", ".join(
        f"{measure.change(change.difference.mean)} for {pair.title}, {pair.regularised.reg}" for pair, change in leading
    )
    named = f"{each}. " if len(leading) <= 3 else ""
    untested = sum(change.outcome == "untested" for _, change in leading)
    few = f"; {untested} of {len(leading)} rest on too few for a test, {LEAST_SPLITS} are needed" if untested else ""
    return f"{named}Compared split by split, on {n} each{few}."


def _foremost(found: Sequence[Pair]) -> list[tuple[Pair, Change]]:
    """The pairs that can be told of by one measure, with their change of it: nBERT, where any of them has it.

    Those on demo data only where there are no others.
    """
    real = [pair for pair in found if not pair.demo]
    leading = [(pair, pair.leading) for pair in real or found if pair.leading]
    metric = next((metric for metric in _LEADING if any(one.metric == metric for _, one in leading)), None)
    return [(pair, change) for pair, change in leading if change.metric == metric]


def _splits(n: int) -> str:
    return f"{n} split{'s' * (n != 1)}"
