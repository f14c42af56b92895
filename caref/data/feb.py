"""FEB's own drawing (Marasovic et al. 2022): which rows of a release a seed chooses, as their code chooses them.

Each dataset's module says its rule, `FEB = Rule(...)`, with one of the four functions below or one of its own. Rows are
counted as the release has them, those that cannot be used included; nothing is taken out, so a text can come twice.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from caref.errors import UserError


@dataclass(frozen=True)
class Side:
    """What a rule sees of the training or of the evaluated side.

    Args:
        labels: (N,) of each row the position of its right choice, -1 where that is not known.
        classes: how many choices there are.
        size: how many rows are asked for; a rule that draws by class takes size // classes of each.
        option: the key that says so, for refusals.
    """

    labels: np.ndarray
    classes: int
    size: int
    option: str

    def each(self) -> Iterator[tuple[np.ndarray, int]]:
        """Of each class its rows, in their order, and how many of them are asked for.

        Raises:
            UserError: a class has fewer, or not even one is asked for.
        """
        share = self.size // self.classes
        members = [np.flatnonzero(self.labels == label) for label in range(self.classes)]
        if not share:
            raise UserError(
                f"{self.option}={self.size}: FEB draws as many of each of {self.classes} classes; "
                f"at least {self.classes}, or dataset.sampling=balanced"
            )
        if share > (least := min(map(len, members))):
            counts = " + ".join(f"{len(rows):,}" for rows in members)
            raise UserError(
                f"{self.option}={self.size}: too little data; the rows by right choice are {counts}, "
                f"enough for {self.classes * least:,}"
            )
        return ((rows, share) for rows in members)

    def all(self) -> int:
        """How many rows there are.

        Raises:
            UserError: fewer than are asked for.
        """
        if self.size > len(self.labels):
            raise UserError(f"{self.option}={self.size}: too little data; there are {len(self.labels):,} rows")
        return len(self.labels)


@dataclass(frozen=True)
class Rule:
    """How FEB draws a dataset's samples.

    Args:
        draw: from a seed and both sides, training first, to each side's rows in order.
        rows: how many rows each split has that FEB draws from, in a release that is whole.
        explanations: how often a training row stands in FEB's list, one after another, each time with the next of its
            explanations alone; 1 where a row is one row and keeps all.
        instead: what FEB draws from in the place of this release, where the rule is borrowed; None where it is not.
    """

    draw: Callable[[int, Sequence[Side]], list[Sequence[int]]]
    rows: Mapping[str, int] = field(default_factory=dict)
    explanations: int = 1
    instead: str | None = None


def shuffled_by_class(seed: int, sides: Sequence[Side]) -> list[Sequence[int]]:
    """NumPy's generator seeded once; on each side each class in turn is shuffled, and its first rows are taken."""
    generator = np.random.RandomState(seed)
    return [np.concatenate([rows[_shuffled(generator, len(rows))[:k]] for rows, k in side.each()]) for side in sides]


def shuffled(seed: int, sides: Sequence[Side]) -> list[Sequence[int]]:
    """NumPy's generator seeded once; each side is shuffled, and its first rows are taken, whatever their class."""
    generator = np.random.RandomState(seed)
    return [_shuffled(generator, side.all())[: side.size] for side in sides]


def chosen_by_class(seed: int, sides: Sequence[Side]) -> list[Sequence[int]]:
    """NumPy's generator seeded once; on each side it chooses from each class in turn, without replacement."""
    generator = np.random.RandomState(seed)
    return [np.concatenate([generator.choice(rows, k, replace=False) for rows, k in side.each()]) for side in sides]


def sampled(seed: int, sides: Sequence[Side]) -> list[Sequence[int]]:
    """Python's generator seeded once; it samples each side, whatever a row's class."""
    generator = random.Random(seed)
    return [generator.sample(range(side.all()), side.size) for side in sides]


FOREIGN = Rule(shuffled_by_class, instead="other datasets")  # the rule of a dataset that FEB does not have


def _shuffled(generator: np.random.RandomState, length: int) -> np.ndarray:
    """The order in which the library `datasets` shuffles where it is given no seed.

    It seeds a generator of its own with the word that the global one is at, and then moves that one on.
    """
    _, words, at, *_ = generator.get_state()
    order = np.random.default_rng(words[at] if at < len(words) else words[0]).permutation(length)
    generator.random_sample()
    return order
