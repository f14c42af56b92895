"""Demo data: the project's own examples in the form of the four datasets, for machines without any release.

They stand for no real data. All of them come in contrast sets: examples that share everything but the words that
decide, in which every answer is right equally often. So whoever sees only half of the input, the hypothesis or the
choices, knows nothing of the answer. Explanations say what is true in a small hand-made world.
"""

import functools
from dataclasses import replace
from random import Random

from caref.data.demo import comve, esnli, questions
from caref.data.examples import Example
from caref.errors import UserError

_CONTRAST_SETS = {
    "cos_e": questions.contrast_set,
    "cos_e_v1.11": questions.contrast_set,
    "ecqa": questions.contrast_set,
    "comve": comve.contrast_set,
    "esnli": esnli.contrast_set,
}
# Examples a split; each number is a multiple of every contrast set's size.
_SIZES = {"train": 1500, "validation": 480, "test": 480}


def generate(dataset: str, split: str) -> tuple[Example, ...]:
    """The demo examples of one split of a dataset: the same on every machine, in the same order.

    Args:
        dataset: cos_e, cos_e_v1.11, ecqa, comve or esnli.
        split: train, validation or test.

    Raises:
        UserError: for any other dataset or split.
    """
    if dataset not in _CONTRAST_SETS:
        raise UserError(f"dataset={dataset}: the demo source has {', '.join(_CONTRAST_SETS)}")
    if split not in _SIZES:
        raise UserError(f"split {split!r}: the demo source has {', '.join(_SIZES)}")
    return _splits(dataset)[split]


@functools.cache
def _splits(dataset: str) -> dict[str, tuple[Example, ...]]:
    """All splits of a dataset; they are drawn together so that none repeats a text of another."""
    splits, used = {}, set()
    for split, size in _SIZES.items():
        draw = Random(f"{dataset} {split}")
        examples = []
        while len(examples) < size:
            drawn = _CONTRAST_SETS[dataset](dataset, split, draw)
            # Hypotheses recur, as in e-SNLI: there are fewer ways to put something in general words.
            texts = {text for e in drawn for field, text in e.fields.items() if field != "hypothesis"}
            if used.isdisjoint(texts):
                used |= texts
                examples += drawn
        draw.shuffle(examples)
        splits[split] = tuple(replace(e, id=f"demo-{dataset}-{split}-{i:04}") for i, e in enumerate(examples))
    return splits
