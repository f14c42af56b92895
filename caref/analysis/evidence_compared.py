"""What the cells of a results folder hold as evidence, question by question, and how the regulariser moves it.

Scores stand side by side only where the same was asked of both cells: of as many examples, the same attributions and
measures, words removed the same way, computed by the same edition. The mark of the question says all of that.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from caref.analysis.every_cell import Line
from caref.analysis.summary import Summary, ranges, scores, summarise
from caref.analysis.with_without import Change, Pair, changed, modules, tested
from caref.results import evidence
from caref.results.evidence import Found
from caref.results.evidence_names import CONTROLS, Name, named

_STUDENTS = ("student_lr", "student_steps")  # told where they are not the usual ones
_OF_THE_MODULE = "ivra"  # the attribution that reads it


@dataclass(frozen=True)
class Held:
    """The evidence of one cell on one question."""

    line: Line
    found: Found

    @property
    def n(self) -> int:
        """Splits that it was taken of."""
        return len(self.found.records)

    @cached_property
    def names(self) -> list[Name]:
        """Of all its scores, also of those that exist in no split, in the order in which they are shown."""
        attributions = self.found.asked.get("attributions") or ()
        raw = {name for record in self.found.records.values() for name in record["scores"]}
        return sorted((named(name, attributions) for name in raw), key=lambda name: (name.order, name.raw))

    def summary(self, name: str) -> Summary | None:
        """Mean and deviation over the splits in which a score exists; None where it does in none."""
        return summarise(scores(self.found.records, name).values())

    @property
    def attributions(self) -> list[str]:
        """Those that it has scores of, as they were asked for."""
        asked = self.found.asked.get("attributions") or ()
        held = dict.fromkeys(name.attribution for name in self.names if name.attribution)
        return sorted(held, key=lambda one: (asked.index(one) if one in asked else len(asked), one))


@dataclass(frozen=True)
class Shift:
    """How the regulariser, or training a module to explain, moves the evidence of a pair of cells.

    Over the splits that both have evidence of. Of two modules beside one model, scores of the module alone and those of
    random words: no other can differ.
    """

    pair: Pair
    without: Held
    regularised: Held
    changes: Mapping[Name, Change]

    @property
    def title(self) -> str:
        against = f" against {self.without.line.reg}" if self.pair.of_module else ""
        return f"{self.pair.title}: {self.regularised.line.reg}{against}"


@dataclass(frozen=True)
class Question:
    """What was asked, and of which cells.

    Attributes:
        mark: the same for the same question.
        asked: as asked.yaml has it; empty where that is not known.
    """

    mark: str
    asked: Mapping
    held: list[Held]
    shifts: list[Shift]

    @property
    def title(self) -> str:
        """ "100 examples a split, removed words deleted; question 03a452fa"."""
        if not self.asked:
            return f"question {self.mark}, which its folder does not tell"
        examples = f"{self.asked['examples']} examples a split" if self.asked.get("examples") else "all examples"
        removal = {"delete": "deleted", "mask": "masked"}.get(str(self.asked.get("removal")), "removed")
        other = f", not as computed today: {before}" if (before := evidence.outdated(self.asked)) else ""
        choices = "" if self.asked.get("choices") == "tree" else ", choices by all their tokens"
        module = f", modules of cell {lent}" if (lent := self.asked.get("module")) else ""
        students = "".join(f", {key.replace('_', ' ')} {self.asked[key]}" for key in _STUDENTS if key in self.asked)
        return f"{examples}, removed words {removal}{choices}{module}{students}; question {self.mark}{other}"


@dataclass(frozen=True)
class Evidence:
    """All questions; `notes` are by signature, on what is damaged, unread or left out."""

    questions: list[Question] = field(default_factory=list)
    notes: Mapping[str, list[str]] = field(default_factory=dict)

    @property
    def held(self) -> list[Held]:
        return [held for question in self.questions for held in question.held]

    @property
    def shifts(self) -> list[Shift]:
        return [shift for question in self.questions for shift in question.shifts]


def gather(lines: Iterable[Line], pairs: Sequence[Pair], results_dir: Path) -> Evidence:
    """Read the evidence of all cells that may be averaged, and compare pairs; Holm's correction is over all tests."""
    lines = list(lines)
    pairs = [*pairs, *modules(lines)]
    notes: dict[str, list[str]] = {}
    by_mark: dict[str, list[Held]] = {}
    for line in lines:
        for found in evidence.of_cell(results_dir / line.cell.signature):
            told = notes.setdefault(line.cell.signature, [])
            told += [f"evidence damaged and left out: {damage}" for damage in found.damaged] + found.unread
            lacking = sorted(found.records.keys() - line.cell.records.keys())
            if lacking:
                told.append(f"evidence {found.mark} of splits {ranges(lacking)} left out: no record of the split")
            records = {split: record for split, record in found.records.items() if split not in lacking}
            if records and not line.refused:
                by_mark.setdefault(found.mark, []).append(Held(line, replace(found, records=records)))
    questions = [_question(mark, held, pairs) for mark, held in by_mark.items()]
    questions.sort(key=lambda one: (bool(evidence.outdated(one.asked)), -len(one.held), one.mark))
    return Evidence(_corrected(questions), {signature: told for signature, told in notes.items() if told})


def _question(mark: str, held: list[Held], pairs: Sequence[Pair]) -> Question:
    asked = next((one.found.asked for one in held if one.found.asked), {})
    held = [replace(one, found=replace(one.found, asked=asked)) for one in held]
    by_cell = {one.line.cell.signature: one for one in held}
    both = [(pair, *(by_cell.get(line.cell.signature) for line in (pair.without, pair.regularised))) for pair in pairs]
    of_modules = _OF_THE_MODULE in (asked.get("attributions") or ()) and not asked.get("module")  # their own, that is
    both = [(pair, *sides) for pair, *sides in both if all(sides) and (of_modules or not pair.one_model)]
    return Question(mark, asked, held, [_shift(*one) for one in both])


def _shift(pair: Pair, without: Held, regularised: Held) -> Shift:
    theirs = {name.raw for name in regularised.names}
    changes = {
        name: changed(
            name.raw,
            name.score,
            *(scores(held.found.records, name.raw) for held in (without, regularised)),
            test=name.tested,
        )
        for name in without.names
        if name.raw in theirs and (not pair.one_model or name.attribution in (_OF_THE_MODULE, *CONTROLS))
    }
    return Shift(pair, without, regularised, changes)


def _corrected(questions: Sequence[Question]) -> list[Question]:
    shifts = [shift for one in questions for shift in one.shifts]
    found = iter(tested([change for shift in shifts for name, change in shift.changes.items() if name.tested]))

    def with_p(shift: Shift) -> Shift:
        return replace(
            shift, changes={name: next(found) if name.tested else one for name, one in shift.changes.items()}
        )

    return [replace(one, shifts=[with_p(shift) for shift in one.shifts]) for one in questions]
