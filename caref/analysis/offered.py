"""Which choices the probabilities that evidence keeps of an example are of."""

from collections.abc import Mapping

from caref.data.prompts import normalised, offered_once


def offered(row: Mapping, prediction: Mapping) -> tuple[list[str], int]:
    """The choices that a row's probabilities are of, in their order, and which one is right.

    What an example offers twice is asked about once; rows of before it was have both.

    Args:
        prediction: of the same example.

    Raises:
        KeyError, ValueError, TypeError: it is not.
    """
    choices = prediction["choices"]
    if len(row["log_p"]) != len(choices):
        choices = list(offered_once(choices).values())
    if len(row["log_p"]) != len(choices):
        raise ValueError(f"{len(row['log_p'])} probabilities of {len(choices)} choices")
    return choices, [normalised(choice) for choice in choices].index(normalised(prediction["gold"]))
