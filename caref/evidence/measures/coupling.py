"""Answer coupling: does the explanation depend on the answer it is to explain?

Of the explanation e that a model wrote for its answer y: log p(e | x, y) - max over other choices c of log p(e | x, c).
An explanation that would come as readily after another answer explains none. It is the pointwise mutual information
of explanation and answer up to what does not depend on y; above 0 is necessary for faithfulness, not sufficient.
"""

import numpy as np

from caref.data.prompts import SEPARATOR, normalised
from caref.evidence.choices import Asked, log_probabilities
from caref.evidence.reading import Question, Reading

OF_EXPLANATIONS = True  # where nothing is explained there is none of it


def measure(reading: Reading) -> list[dict[str, float | None]]:
    """The scores of each split; None where no example has an explanation of one of its choices.

    Returns:
        coupling: mean over examples, in nats. coupled: % above 0. coupling_n: how many examples have both, an answer
        that is a choice and an explanation. `Reading.by_example` is left each example's own coupling.
    """
    tokenizer = reading.backbone.tokenizer
    places = [[place for place, one in enumerate(split) if answered(one) is not None] for split in reading.splits]
    asked = [
        [explained(split[place], tokenizer) for place in own] or [split[0].asked]  # a pack has rows of every split
        for split, own in zip(reading.splits, places, strict=True)
    ]
    whole = log_probabilities(reading.model, reading.backbone, asked, reading.batch_size)
    before = reading.summed_log_p()  # so that what is left is the explanation's
    found, by_example = [], []
    for split, own in enumerate(places):
        couplings = []
        for row, place in zip(whole[split], own, strict=False):
            after = np.array(row) - before[split][place][: len(row)]
            own_answer = answered(reading.splits[split][place])
            couplings.append(after[own_answer] - np.delete(after, own_answer).max())
        of_place = dict(zip(own, map(float, couplings), strict=True))
        by_example.append([of_place.get(place) for place in range(len(reading.splits[split]))])
        found.append(
            {
                "coupling": float(np.mean(couplings)) if couplings else None,
                "coupled": 100 * float(np.mean(np.array(couplings) > 0)) if couplings else None,
                "coupling_n": float(len(couplings)),
            }
        )
    reading.by_example["coupling"] = by_example
    return found


def answered(question: Question) -> int | None:
    """Which choice was written, where there is an explanation of it."""
    choices = [normalised(choice) for choice in question.example.choices]
    answer = normalised(question.answer)
    return choices.index(answer) if question.explanation and answer in choices else None


def explained(question: Question, tokenizer) -> Asked:
    """Its prompt, and after each choice the explanation."""
    end = (tokenizer.eos_token_id,)
    written = (
        (*tokenizer(choice + SEPARATOR + question.explanation, add_special_tokens=False).input_ids, *end)
        for choice in question.example.choices
    )
    return Asked(question.asked.prompt, tuple(written))
