"""Every score that a record may hold, and how it is called, read and shown: a new one is one line here.

Those that stand somewhere beside nBERT are always told, with a dash where records lack them; of the others, those
that some record holds.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

TABLE1, SWEEP, PAIRS = "table1", "sweep", "pairs"  # beside its nBERT; a sweep's table; with against without


@dataclass(frozen=True)
class Measure:
    """How a score is called and printed.

    Attributes:
        label: what it is called.
        unit: "%", "words" ...; empty for a share or a ratio.
        decimals: with which it is printed.
        up: whether more of it is better; None where neither is.
        where: shown there too; every measure is in a job's table, in the lists of all cells and behind a cell.
        meaning: one line for whoever sees it first.
    """

    label: str
    unit: str
    decimals: int
    up: bool | None
    where: Collection[str]
    meaning: str

    def text(self, value: float) -> str:
        """A value; never "-0.00"."""
        return f"{round(value, self.decimals) + 0.0:.{self.decimals}f}"

    def change(self, value: float) -> str:
        """A difference with its sign; never "-0.00"."""
        return f"{round(value, self.decimals) + 0.0:+.{self.decimals}f}"

    @property
    def named(self) -> str:
        return f"{self.label} ({self.unit})" if self.unit else self.label


_LEADING = (TABLE1, SWEEP, PAIRS)
MEASURES: Mapping[str, Measure] = {
    "accuracy": Measure("accuracy", "%", 2, True, _LEADING, "right answers"),
    "nbert": Measure("nBERT", "×100", 2, True, _LEADING, "BERTScore of the explanation, 0 where the answer is wrong"),
    "nbert_strict": Measure("strict nBERT", "×100", 2, True, _LEADING, "nBERT with 0 for a missing explanation"),
    "similarity": Measure("similarity", "", 3, True, _LEADING, "nBERT over accuracy: explanations of right answers"),
    "broken": Measure("broken", "%", 2, False, _LEADING, "generations without an explanation"),
    "floor": Measure("floor of similarity", "", 3, None, (), "what a missing explanation scores"),
    "explanation_length": Measure("explanation length", "words", 1, None, (), "words of an explanation"),
    "distinct_1": Measure("distinct-1", "", 3, None, (), "share of different words in all explanations"),
    "distinct_2": Measure("distinct-2", "", 3, None, (), "share of different word pairs in all explanations"),
}


def shown(where: str) -> dict[str, Measure]:
    """The measures that stand in a place, in order."""
    return {name: measure for name, measure in MEASURES.items() if where in measure.where}


def held(found: Iterable[Collection[str]]) -> dict[str, Measure]:
    """Those measures that several cells are listed with, in order; `found` are the names that each cell has."""
    names = set().union(*found)
    return {name: measure for name, measure in MEASURES.items() if measure.where or name in names}
