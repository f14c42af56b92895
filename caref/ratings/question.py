"""What raters are asked, and what they see of an input."""

import re
import string
from collections.abc import Mapping
from dataclasses import dataclass

from caref.data.releases import dataset_module


@dataclass(frozen=True)
class Question:
    """One question about an explanation; `name` is its column in a sheet."""

    name: str
    text: str
    answers: tuple[str, ...]


# The paper's question and answers, after FEB's human evaluation (Marasovic et al. 2022).
JUSTIFIES = Question("rating", "Does the explanation justify the answer?", ("yes", "weak yes", "weak no", "no"))
SCORES = {"yes": 1.0, "weak yes": 2 / 3, "weak no": 1 / 3, "no": 0.0}
REASONS = (
    Question("reasons_true", "Is each reason true?", ("yes", "no")),
    Question("reasons_relevant", "Is each reason relevant?", ("yes", "no")),
)
SKIPS = ("I cannot understand the input", "The answer is wrong", "The text upsets me", "Another reason")

_TASKS = {
    "esnli": "Given the premise, is the hypothesis true (entailment), false (contradiction), or neither (neutral)?",
    "comve": "Which of the two statements is against common sense?",
}
_LABELS = {"sent0": "choice1", "sent1": "choice2"}
_ORDER = ("premise", "hypothesis")


def task(dataset: str) -> str:
    """What the input asks, where its own words do not say so."""
    return _TASKS.get(dataset, "")


def fields(dataset: str, source: str, choices: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """The parts of a source text as (label, text), without the prompt around them.

    They are found by the dataset's own template; a text that does not fit it is shown whole.
    """
    module = dataset_module(dataset)
    written = str.lower if module.LOWERCASE else str
    letters = zip(string.ascii_uppercase, choices, strict=False)
    listed = written(" ".join(f"({letter}) {choice}" for letter, choice in letters))
    pattern = ""
    for literal, field, _, _ in string.Formatter().parse(module.SOURCE):
        pattern += re.escape(written(literal))
        if field == "choices":
            pattern += f"(?P<choices>{re.escape(listed)})"
        elif field:
            pattern += f"(?P<{field}>.*?)"
    found = re.fullmatch(pattern, source, flags=re.DOTALL)
    if found is None:
        return (("input", shown(source)),)
    texts: Mapping[str, str] = found.groupdict()
    names = sorted(texts, key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER))
    return tuple((_LABELS.get(name, name), shown(texts[name])) for name in names)


def shown(text: str) -> str:
    """A text on one line, white space of any kind and length as one space."""
    return " ".join(text.split())


def blinded(explanation: str) -> str:
    """An explanation as every rater sees it, whoever wrote it.

    In lower case, as models are taught to write and as nBERT compares: capitals would tell people's explanations
    from models', and a model that was trained little from one that was trained much.
    """
    return shown(explanation.lower())
