"""What the demo's world knows about things: what is true of which.

A table has an entry for each kind of thing: a line `name: what one is or does`, then indented lines with
the cues, apart by semicolons, that point to this kind and to no other of the same group. A cue that several
kinds of a group list is true of all of them.
"""

from dataclasses import dataclass
from random import Random

from caref.data.demo import nature, places, things

# Which cues of a kind, by position modulo 4, each split asks about: what is asked in one is never asked in another.
CUES = {"train": (0, 1), "validation": (2,), "test": (3,)}


@dataclass(frozen=True)
class Kind:
    """A kind of thing, what one is or does (third person), and its cues."""

    name: str
    about: str
    cues: tuple[str, ...]

    def asked(self, split: str) -> tuple[str, ...]:
        """The cues that a split may ask about."""
        return tuple(cue for i, cue in enumerate(self.cues) if i % 4 in CUES[split])


@dataclass(frozen=True)
class Group:
    """Kinds that can be told apart by cues of one form.

    `form` is how thing and cue go together in a sentence: "place" (go to the THING to CUE), "job" (a THING's
    work is to CUE), "use" (use a THING to CUE), "material" (CUE is made of THING), "trait" (a THING CUE).
    """

    form: str
    noun: str  # what each of the kinds is
    kinds: tuple[Kind, ...]


def kinds(table: str) -> tuple[Kind, ...]:
    """The entries of a table."""
    found = []
    for line in table.strip().splitlines():
        if line.startswith(" "):
            found[-1][2].extend(cue.strip() for cue in line.split(";") if cue.strip())
        else:
            name, about = line.split(": ")
            found.append((name, about, []))
    return tuple(Kind(name, about, tuple(cues)) for name, about, cues in found)


GROUPS = (
    Group("place", "place", kinds(places.PLACES)),
    Group("job", "person", kinds(places.JOBS)),
    Group("use", "object", kinds(things.TOOLS)),
    Group("use", "object", kinds(things.HOUSEHOLD)),
    Group("use", "vehicle", kinds(things.VEHICLES)),
    Group("material", "material", kinds(things.MATERIALS)),
    Group("trait", "animal", kinds(nature.ANIMALS)),
    Group("trait", "food", kinds(nature.FOODS)),
    Group("trait", "thing", kinds(nature.SIZES)),
)


def holds(kind: Kind, cue: str) -> bool:
    """Whether the cue is true of the kind."""
    return cue in kind.cues


def contrast(draw: Random, split: str, size: int) -> tuple[Group, tuple[tuple[Kind, str], ...]]:
    """Draw `size` kinds of one group, each with a cue that is true of it and of no other among them."""
    (group,) = draw.choices(GROUPS, weights=[len(group.kinds) for group in GROUPS])
    while True:
        pairs = tuple((kind, draw.choice(kind.asked(split))) for kind in draw.sample(group.kinds, size))
        if all(holds(kind, cue) == (kind is owner) for owner, cue in pairs for kind, _ in pairs):
            return group, pairs
