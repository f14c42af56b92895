"""From what a model wrote to its answer and its explanation."""

from dataclasses import dataclass

from caref.data.prompts import SEPARATOR, normalised

MISSING = "UNK"  # the explanation that nBERT compares where there is none


@dataclass(frozen=True)
class Parsed:
    """A generation taken apart; `broken` where it lacks the separator that belongs there, and its explanation then
    empty."""

    answer: str
    explanation: str
    broken: bool


def parse(generation: str, answer_only: bool = False) -> Parsed:
    """Take a generation apart at ` because `: the answer before it, the explanation up to the next one or the end.

    Without the separator the generation is broken: its whole text is the answer, and it has no explanation. Line
    breaks are spaces, and the text is trimmed before it is cut, so a separator at either end is none: `entailment
    because` is an answer of two words, and a wrong one. Between two separators that follow each other with two
    spaces (`neutral because  because it`) the explanation is there and empty. An answer that itself holds the
    separator cannot be read back; no choice of the datasets does.

    Protocol: FEB (Marasovic et al. 2022), whose code does just this.

    Args:
        answer_only: the model learnt to write nothing but the answer: the whole text is the answer.
    """
    written = generation.replace("\n", " ").strip()
    if answer_only:
        return Parsed(written, "", broken=False)
    answer, *explanations = written.split(SEPARATOR)
    if not explanations:
        return Parsed(answer, "", broken=True)
    return Parsed(answer.strip(), explanations[0].strip(), broken=False)


def same_answer(answer: str, gold: str) -> bool:
    """Whether an answer is the gold one, as they are compared."""
    return normalised(answer) == normalised(gold)
