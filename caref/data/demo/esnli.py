"""Demo premises and hypotheses in the form of e-SNLI.

A contrast set has two independent aspects of one scene, each in two states. Each of its four premises shows one
state, each of its four hypotheses claims one. Twelve of the pairs are taken, so that every premise and every
hypothesis comes once with each label: neither tells anything without the other.
"""

from dataclasses import dataclass
from random import Random

from caref.data.demo.english import being, sentence, unmark
from caref.data.demo.scenes import GARMENTS, INDEPENDENT, OPEN, STATES, relation
from caref.data.examples import Example

LABELS = ("entailment", "neutral", "contradiction")


@dataclass(frozen=True)
class Person:
    """Someone in a scene (or several): as premises, hypotheses and explanations name them."""

    seen: str
    known: tuple[str, ...]  # what follows from it
    meant: str
    pronoun: str


def persons(table: str, pronoun: str, looks: tuple[str, ...] = ("",)) -> tuple[Person, ...]:
    """The entries of a table of lines `seen: meant: known; known; ...`, with each of the looks."""
    rows = [line.split(": ") for line in table.strip().splitlines()]
    return tuple(
        Person(seen + look, tuple(known.split("; ")), meant, pronoun) for seen, meant, known in rows for look in looks
    )


WOMEN = """
a woman: the woman: a woman; a person; someone
a young woman: the woman: a woman; a person; somebody
an elderly woman: the woman: a woman; an old person; someone
a tall woman: the woman: a woman; an adult; a person
a little girl: the girl: a girl; a child; somebody
a teenage girl: the girl: a girl; a teenager; a person
"""
MEN = """
a man: the man: a man; a person; someone
a young man: the man: a man; a person; somebody
an elderly man: the man: a man; an old person; someone
a tall man: the man: a man; an adult; a person
a little boy: the boy: a boy; a child; somebody
a teenage boy: the boy: a boy; a teenager; a person
"""
SEVERAL = """
two women: the women: two women; two people; some people
two elderly men: the men: two men; two old people; some people
two little girls: the girls: two girls; two children; some children
two teenage boys: the boys: two boys; two teenagers; some people
two sisters: the sisters: two sisters; two people; some people
three soldiers: the soldiers: three soldiers; three people; some people
"""
_LOOKS = ("", " with freckles", " with curly hair", " with red hair", " with a suntan")
ONE = persons(WOMEN, "she", (*_LOOKS, " with long braids", " with a ponytail")) + persons(MEN, "he", _LOOKS)
MANY = persons(SEVERAL, "they", _LOOKS)
# What several people can be told to share; the rest is told of one.
SHARED = {"place", "setting", "weather", "mood"}

FORMS = {
    "he": {"he": "he", "his": "his", "self": "himself", "is_": "is"},
    "she": {"he": "she", "his": "her", "self": "herself", "is_": "is"},
    "they": {"he": "they", "his": "their", "self": "themselves", "is_": "are"},
}

PREMISES = (
    "{who} {is_} {sight}.",
    "{who} {is_} {sight}, as a photo shows.",
    "in this picture, {who} {is_} {sight}.",
    "there {is_} {who} who {is_} {sight}.",
)
HYPOTHESES = ("{who} {is_} [{claim}].", "{who} {is_} [{claim}].", "there {is_} {who} who {is_} [{claim}].")

# sight, why: what the premise shows, and why its claims follow; truth: a claim that does follow;
# claim: what the hypothesis says; who: the person; open: what is not known about the person.
EXPLANATIONS = {
    "entailment": (
        "{why}.",
        "{why}, so {who} must be {claim}.",
        "if {who} {is_} {sight}, then {he} {is_} {claim}.",
        "to be {sight} is to be {claim}.",
        "{who} {is_} {claim}, for {why}.",
        "one cannot be {sight} without {being_claim}.",
    ),
    "neutral": (
        "{being_sight} does not mean that {he} {is_} {claim}.",
        "we only know that {who} {is_} {sight}, not {open}.",
        "{who} may or may not be {claim}; nothing is said about it.",
        "not everyone who is {sight} is {claim}.",
        "the premise does not tell us {open}.",
        "{who} could be {sight} without {being_claim}.",
    ),
    "contradiction": (
        "{who} cannot be {sight} and {claim} at the same time.",
        "if {who} {is_} {sight}, then {he} {is_} not {claim}.",
        "{why}, so {who} {is_} not {claim}.",
        "{who} {is_} either {sight} or {claim}, not both.",
        "{being_sight} rules out {being_claim}.",
        "someone {sight} is {truth}, not {claim}.",
    ),
}


def contrast_set(dataset: str, split: str, draw: Random) -> tuple[Example, ...]:
    """Twelve examples, four of each label; they have no ids yet."""
    aspects = [draw.choice(list(GARMENTS)) if aspect == "clothes" else aspect for aspect in draw.choice(INDEPENDENT)]
    states = [state for aspect in aspects for state in draw.sample(STATES[aspect], 2)]
    person = draw.choice(MANY if set(aspects) <= SHARED and draw.random() < 0.5 else ONE)
    form = FORMS[person.pronoun]
    known = draw.choice(person.known)
    sights = [draw.choice(state.sights) for state in states]
    claims = [draw.choice(state.claims) for state in states]
    premise_form, hypothesis_form = draw.choice(PREMISES), draw.choice(HYPOTHESES)

    def example(shown: int, claimed: int) -> Example:
        label = relation(states[shown], states[claimed])
        sight, why = (text.format(**form) for text in sights[shown])
        told = form | {"sight": sight, "why": why, "truth": claims[shown], "claim": claims[claimed]}
        # Where the premise is silent, it is the hypothesis that brings in what decides.
        mark = sight if label == "neutral" else f"[{sight}]"
        premise = premise_form.format(**told | {"who": person.seen, "sight": mark})
        hypothesis = hypothesis_form.format(**told, who=known)
        premise, in_premise = unmark("premise", sentence(premise))
        hypothesis, in_hypothesis = unmark("hypothesis", sentence(hypothesis))
        told |= {"being_sight": being(sight), "being_claim": being(claims[claimed])}
        told |= {"who": person.meant, "open": OPEN[states[claimed].aspect].format(**form)}
        wordings = draw.sample(EXPLANATIONS[label], 1 if split == "train" else 3)  # as many as in the release
        return Example(
            "",
            {"premise": premise, "hypothesis": hypothesis},
            LABELS,
            LABELS.index(label),
            tuple(sentence(wording.format(**told)) for wording in wordings),
            in_premise + in_hypothesis,
        )

    # Each state with itself, with the other state of its aspect, and with one of the other aspect.
    return tuple(example(i, i ^ step) for step in (0, 1, 2) for i in range(4))
