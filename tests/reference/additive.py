"""A model whose evidence is known."""

import numpy as np

from caref.data.examples import Example
from caref.evidence.choices import Asked
from caref.evidence.reading import Question, Reading
from caref.evidence.words import Word

RANKED = ("leave_one_out", "random")


def made(seed: int, words: int, choices: int = 3, marked: tuple[int, ...] = (), **written: str) -> Question:
    names = tuple(f"choice {n}" for n in range(choices))
    example = Example(str(seed), {"question": ""}, names, 0, ("a reason",))
    own = tuple(Word(f"w{n}", "question", (n,), n in marked) for n in range(words))
    return Question(example, Asked((), ((),) * choices), own, seed=seed, **written)


class Additive(Reading):
    """Every word present adds its own weight to each choice's logit."""

    def __init__(self, questions, temperature=1.0, attributions=RANKED, scale=1.0):
        super().__init__(None, None, [questions], attributions=attributions)
        self.temperature = temperature
        draw = np.random.default_rng(0)
        self.weights = [scale * draw.normal(size=(len(one.words), len(one.example.choices))) for one in questions]

    def logits(self, place, gone):
        present = np.ones(len(self.weights[place]), dtype=bool)
        present[list(gone)] = False
        return self.weights[place][present].sum(0) / self.temperature

    def log_p_without(self, removed):
        return [
            [np.array([self.logits(place, gone) for gone in variants]) for place, variants in enumerate(each)]
            for each in removed
        ]
