"""The 60 few-shot splits, one a seed of FEB, and `dataset.sampling=balanced`: class-balanced, disjoint, from any file.

Balanced, an example's place in a split follows from the seed and from its own text, by SHA-256. No random generator is
asked, so neither the order of a file nor the version of Python or of a library changes a split.
"""

import hashlib
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from heapq import nsmallest

from caref.data.examples import Example, fingerprint
from caref.errors import UserError

# fmt: off
SEEDS = (
    7004, 3639, 6290, 9428, 7056, 4864, 4273, 7632, 2689, 8219, 4523, 2175, 7356, 8975, 51,
    4199, 4182, 1331, 2796, 6341, 7009, 1111, 1967, 1319, 741, 7740, 1335, 9933, 6339, 3112,
    1349, 8483, 2348, 834, 6895, 4823, 2913, 9962, 178, 2147, 8160, 1936, 9991, 6924, 6595,
    5358, 2638, 6227, 8384, 2769, 4512, 2051, 4779, 2498, 176, 9599, 1181, 5320, 588, 4791,
)  # FEB's, in its order
# fmt: on


@dataclass(frozen=True)
class Protocol:
    """Whether a split is FEB's own, and if not, why.

    Args:
        sampling: how it was drawn, feb or balanced.
        reasons: what keeps every split of the job from being FEB's own, in words; empty where nothing does.
        replaced: of each side (train, evaluation) how many rows that FEB draws could not be used and were replaced,
            by the reason.
    """

    sampling: str
    reasons: tuple[str, ...] = ()
    replaced: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @property
    def own(self) -> bool:
        return not self.reasons and not self.replaced

    def record(self) -> dict:
        """What a split's record holds of it."""
        reasons = list(self.reasons)
        replaced = {side: dict(counts) for side, counts in self.replaced.items()}
        return {"sampling": self.sampling, "own": self.own, "reasons": reasons, "replaced": replaced}


BALANCED = Protocol("balanced", ("dataset.sampling=balanced",))


@dataclass(frozen=True)
class Split:
    """The examples that one seed chose, each side in a fixed order."""

    index: int
    seed: int
    train: tuple[Example, ...]
    evaluation: tuple[Example, ...]
    protocol: Protocol = BALANCED


def same_text(example: Example) -> str:
    """What makes two examples the same: their texts, whatever the case, spacing and way to encode a character.

    Unicode's NFKC_Casefold, as far as a text can show it, and without white space: two copies of a release differ
    in how accents are composed, in invisible characters, and in spaces around punctuation.
    """
    return "\n".join(_visible(example.fields[name]) for name in sorted(example.fields))


def _visible(text: str) -> str:
    if not text.isascii():
        text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
        text = "".join(character for character in text if unicodedata.category(character) != "Cf")
    return "".join(text.casefold().split())


def sampler(
    train: Iterable[Example],
    evaluation: Iterable[Example],
    train_size: int = 48,
    eval_size: int = 350,
    key: Callable[[Example], str] = same_text,
) -> Callable[[int], Split]:
    """A function from a split's index (0 to 59) to its balanced split; what all splits share is computed once.

    Both sides are balanced to within one over the position of the right choice; which classes take the
    remainder follows from the seed. Of examples with the same `key` at most one is chosen, on one side.

    Raises:
        UserError: on calling the function, where a class has too few examples for train_size or eval_size.
    """
    train_pool, eval_pool = _pool(train, key), _pool(evaluation, key)

    def split(index: int) -> Split:
        seed = SEEDS[index]
        chosen = _choose(train_pool, f"{seed} train", train_size, "dataset.train_size", taken=())
        held = _choose(eval_pool, f"{seed} evaluation", eval_size, "dataset.eval_size", taken=set(chosen))
        return Split(index, seed, tuple(chosen.values()), tuple(held.values()))

    return split


def draw(
    train: Iterable[Example],
    evaluation: Iterable[Example],
    index: int,
    train_size: int = 48,
    eval_size: int = 350,
    key: Callable[[Example], str] = same_text,
) -> Split:
    """One split; see `sampler`, which is the better choice for more than one."""
    return sampler(train, evaluation, train_size, eval_size, key)(index)


def parse(expression: str) -> tuple[int, ...]:
    """The indices that `splits=` names, each once and in order: 0:60, 3, "0,4,7" or 0:60:2.

    Raises:
        UserError: the expression is none of these, is empty, or leaves 0 to 59.
    """

    def refuse(reason: str) -> UserError:
        last = len(SEEDS) - 1
        return UserError(f"splits={expression}: {reason}; write 0:{last + 1}, 3, 0,4,7 or 0:60:2, within 0 to {last}")

    chosen: set[int] = set()
    for part in str(expression).strip("[]").split(","):
        numbers = [number.strip() for number in part.split(":")]
        if len(numbers) > 3 or not all(number.isascii() and number.isdigit() and len(number) < 5 for number in numbers):
            raise refuse(f"{part.strip()!r} is not a split or a range of splits")
        values = [int(number) for number in numbers]
        if len(values) == 3 and values[2] == 0:
            raise refuse("a range cannot advance by 0")
        indices = range(values[0], values[0] + 1) if len(values) == 1 else range(*values)
        if not indices:
            raise refuse(f"the range {part.strip()} is empty")
        if indices[-1] >= len(SEEDS):
            raise refuse(f"there is no split {indices[-1]}")
        chosen.update(indices)
    return tuple(sorted(chosen))


def _pool(examples: Iterable[Example], key: Callable[[Example], str]) -> list[dict[bytes, Example]]:
    """For each class its distinct examples, by the digest of what makes each one itself."""
    distinct: dict[bytes, Example] = {}
    classes = 0
    for example in examples:
        classes = max(classes, len(example.choices))
        identity = hashlib.sha256(key(example).encode()).digest()
        twin = distinct.get(identity)
        # of examples with the same text one stands for all: the same one in whatever order they are read
        if twin is None or fingerprint([example]) < fingerprint([twin]):
            distinct[identity] = example
    pool = [{} for _ in range(classes)]
    for identity, example in distinct.items():
        pool[example.label][identity] = example
    return pool


def _choose(
    pool: list[dict[bytes, Example]], salt: str, size: int, option: str, taken: Collection[bytes]
) -> dict[bytes, Example]:
    """The `size` examples of a pool that rank first in their classes, in order of rank, by identity."""

    def rank(identity: bytes) -> bytes:
        return hashlib.sha256(prefix + identity).digest()

    prefix = salt.encode() + b" "
    available = [len(members) - sum(identity in members for identity in taken) for members in pool]
    share, remainder = divmod(size, len(pool) or 1)
    larger = sorted(range(len(pool)), key=lambda label: rank(b"class %d" % label))[:remainder]
    wanted = [share + (label in larger) for label in range(len(pool))]
    if not pool or any(map(int.__gt__, wanted, available)):
        raise UserError(
            f"{option}={size}: too little data; the distinct examples by right choice "
            f"are {' + '.join(map(str, available)) or 'none'}, enough for {len(pool) * min(available, default=0)}"
        )
    chosen: list[tuple[bytes, bytes, Example]] = []
    for members, count in zip(pool, wanted, strict=True):
        ranked = ((rank(identity), identity) for identity in members if identity not in taken)
        chosen += ((place, identity, members[identity]) for place, identity in nsmallest(count, ranked))
    chosen.sort(key=lambda choice: choice[0])
    return {identity: example for _, identity, example in chosen}
