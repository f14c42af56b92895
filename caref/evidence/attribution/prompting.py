"""The words that the model lists when it is asked for those that decide, as many as it likes (PROMPT-UNBOUND)."""

from caref.evidence import prompted


def attribute(reading, labels):
    """Word scores by split and question: 1 where listed, else 0; see `prompted.told`."""
    return prompted.named(reading, labels, request, lambda question: None)


def prompts(reading):
    """What it asks, see `caref.evidence.probe.prompts`."""
    return prompted.prompts(reading, request)


def request(question, answer: str) -> str:
    return f"The answer is {answer}. List the words of the text that this answer rests on, separated by |."
