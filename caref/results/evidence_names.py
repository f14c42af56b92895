"""A score's name in a file of evidence, taken apart: which measure, which attribution, which right answer."""

from collections.abc import Collection
from dataclasses import dataclass

from caref.results.evidence_scores import SCORES, Score
from caref.results.measures import PAIRS

CONTROLS = ("random",)  # attributions that others are held against: their difference answers no question
_RANKS = {key: rank for rank, key in enumerate(SCORES)}


@dataclass(frozen=True)
class Name:
    """A score's name, taken apart.

    Attributes:
        raw: as the file holds it, "alignment.saliency.f1.neutral".
        key: without attribution and answer, "alignment.*.f1.*".
        attribution: "saliency"; empty where it is none's.
        answer: "neutral"; empty where it is of all right answers.
    """

    raw: str
    key: str
    attribution: str = ""
    answer: str = ""

    @property
    def measure(self) -> str:
        return self.raw.partition(".")[0]

    @property
    def score(self) -> Score:
        """How it is shown: as listed, or by its own name, of which neither direction nor anything else is known."""
        known = SCORES.get(self.key)
        if known is None:
            return Score(self.key, "", 3, None, (), "not in the project's list of scores")
        if not self.answer:
            return known
        return Score(**{**vars(known), "label": f"{known.label}, {self.answer}"})

    @property
    def listed(self) -> bool:
        return self.key in SCORES

    @property
    def tested(self) -> bool:
        """Whether its difference with against without the regulariser is tested; tau of leave-one-out is always 1."""
        own = self.attribution in CONTROLS or (self.key == "erasure.*.tau" and self.attribution == "leave_one_out")
        return PAIRS in self.score.where and not own

    @property
    def order(self) -> tuple:
        return _RANKS.get(self.key, len(_RANKS)), self.key, self.answer


def named(raw: str, attributions: Collection[str] = ()) -> Name:
    """A score's name, taken apart.

    Args:
        raw: as the file holds it.
        attributions: those that were asked for, which tell one in a name that is not listed.
    """
    if raw in SCORES:
        return Name(raw, raw)
    measure, *rest = raw.split(".", 3)
    if len(rest) == 3 and (key := f"{measure}.*.{rest[1]}.*") in SCORES:
        return Name(raw, key, rest[0], rest[2])
    if len(rest) > 1 and ((f"{measure}.*.{rest[1]}" in SCORES and len(rest) == 2) or rest[0] in attributions):
        return Name(raw, ".".join([measure, "*", *rest[1:]]), rest[0])
    return Name(raw, raw)
