"""From what a model wrote to its answer and its explanation."""

from dataclasses import dataclass

from caref.data.prompts import SEPARATOR, normalised


@dataclass(frozen=True)
class Parsed:
    """A generation taken apart; `broken` where it has no separator."""

    answer: str
    explanation: str
    broken: bool


def parse(generation: str) -> Parsed:
    """Take a generation apart at its first ` because `: the answer before it, the explanation after it.

    Without the separator the generation is broken: its whole text is the answer and its explanation is empty.
    White space of any kind and length reads as one space, and the ends of the text as the separator's own spaces,
    since whether a tokenizer keeps those says nothing about the model: `entailment because` is the answer
    `entailment` with nothing to explain it. An answer that itself holds the separator cannot be read back; no
    choice of the datasets does. Protocol: FEB (Marasovic et al. 2022).
    """
    answer, separator, explanation = f" {_spaced(generation)} ".partition(SEPARATOR)
    return Parsed(answer.strip(), explanation.strip(), broken=not separator)


def same_answer(answer: str, gold: str) -> bool:
    """Whether an answer is the gold one: case-folded, trimmed, white space of any kind and length as one space."""
    return normalised(_spaced(answer)) == normalised(_spaced(gold))


def _spaced(text: str) -> str:
    return " ".join(text.split())
