"""The words that the model lists, as many as it likes, asked as it was before training for the trained one's answer."""

from caref.evidence import prompted
from caref.evidence.attribution import prompting

prompts = prompting.prompts  # the same requests


def attribute(reading, labels):
    """Word scores by split and question: 1 where listed, else 0; see `prompted.told`."""
    return prompted.by_untrained(reading, labels, prompting)
