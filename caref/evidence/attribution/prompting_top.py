"""The words that the model lists when it is asked for so many that decide (PROMPT-TOP-K).

As many as people marked, else a fifth of the words, as attributions that rank words are held to.
"""

from caref.evidence import prompted
from caref.evidence.measures.erasure import held_to


def attribute(reading, labels):
    """Word scores by split and question: 1 where listed, else 0; see `prompted.told`."""
    return prompted.named(reading, labels, request, held_to)


def prompts(reading):
    """What it asks, see `caref.evidence.probe.prompts`."""
    return prompted.prompts(reading, request)


def request(question, answer: str) -> str:
    count = held_to(question)
    words = f"{count} words" if count > 1 else "one word"
    return f"The answer is {answer}. List the {words} of the text that this answer rests on most, separated by |."
