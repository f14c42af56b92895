"""Demo pairs of statements in the form of ComVE: which of the two is against common sense?

Two things and two cues, each true of one of the things, give four statements: two sensible, two nonsensical, so
that every word is in as many of the one as of the other. A contrast set pairs them off in a ring, each statement
once as the first and once as the second of a pair with one of its neighbors.
"""

from random import Random

from caref.data.demo.english import NAMES, sentence, unmark
from caref.data.demo.questions import named
from caref.data.demo.world import contrast, holds
from caref.data.examples import Example

# x: the thing with its article, thing: without.
STATEMENTS = {
    "place": (
        "{name} went to the [{thing}] to [{cue}].",
        "You can [{cue}] at the [{thing}].",
        "People who want to [{cue}] go to the [{thing}].",
        "On the way home, {name} stopped at the [{thing}] to [{cue}].",
        "{name} is at the [{thing}] to [{cue}].",
        "{name} took a bus to the nearest [{thing}] in order to [{cue}].",
    ),
    "job": (
        "It is the job of [{x}] to [{cue}].",
        "{name} is [{x}] and has to [{cue}] today.",
        "The [{thing}] was late because {he} had to [{cue}] first.",
        "{name} became [{x}] and learned how to [{cue}].",
        "As [{x}], {name} often has to [{cue}].",
        "{name} watched the [{thing}] [{cue}].",
    ),
    "use": (
        "{name} used [{x}] to [{cue}].",
        "You can use [{x}] to [{cue}].",
        "{name} borrowed [{x}] to [{cue}].",
        "To [{cue}], {name} needs [{x}].",
        "People use [{x}] when they want to [{cue}].",
        "With [{x}], {name} was able to [{cue}].",
    ),
    "material": (
        "[{cue}] is usually made of [{thing}].",
        "[{thing}] is just right for [{cue}].",
        "{name} looked at [{cue}] made of [{thing}].",
        "In that workshop, [{thing}] is turned into [{cue}].",
        "{name} learned how [{cue}] is made out of [{thing}].",
    ),
    "trait": (
        "[{x}] [{cue}].",
        "Everyone knows that [{x}] [{cue}].",
        "{name} read that [{x}] [{cue}].",
        "The children learned that [{x}] [{cue}].",
        "{name} told us that [{x}] [{cue}].",
        "It is a fact that [{x}] [{cue}].",
    ),
}

# x, x_is: what the cue is true of; w, w_is: what the nonsensical statement says it of.
EXPLANATIONS = {
    "place": (
        "{w} {w_is}, so nobody goes there to {cue}.",
        "{x}, not {w}, is the place to {cue}.",
        "You cannot {cue} at {w}.",
        "To {cue}, you have to go to {x}, which {x_is}.",
        "{w} {w_is}, while {x} {x_is}.",
        "It makes no sense to look for a chance to {cue} at {w}.",
    ),
    "job": (
        "{w} {w_is}, so it is not {w}'s job to {cue}.",
        "To {cue} is the work of {x}, not of {w}.",
        "{w} is not trained to {cue}.",
        "It takes {x} to {cue}, for {x} {x_is}.",
        "{w} {w_is}, while {x} {x_is}.",
        "Nobody would ask {w} to {cue}.",
    ),
    "use": (
        "{w} {w_is}, which does not help to {cue}.",
        "You need {x}, not {w}, to {cue}.",
        "{w} cannot be used to {cue}.",
        "To {cue}, people use {x}, as it {x_is}.",
        "{w} {w_is}, while {x} {x_is}.",
        "Nobody could {cue} with {w}.",
    ),
    "material": (
        "{w} {w_is}, so it would be useless for {cue}.",
        "{cue} is made of {x}, not of {w}.",
        "Nobody can make {cue} out of {w}.",
        "What {cue} needs is {x}, which {x_is}.",
        "{w} {w_is}, while {x} {x_is}.",
        "There is no {w} in {cue}.",
    ),
    "trait": (
        "{w} {w_is}; it is {x} that {cue}.",
        "It is {x}, not {w}, that {cue}.",
        "Nobody has ever heard of {w} that {cue}.",
        "{x}, which {x_is}, {cue}.",
        "{w} {w_is}, while {x} {x_is}.",
        "What {cue} is certainly not {w}.",
    ),
}


def contrast_set(dataset: str, split: str, draw: Random) -> tuple[Example, ...]:
    """Four examples, two of each label; they have no ids yet."""
    group, ((kind, cue), (other, other_cue)) = contrast(draw, split, 2)
    form = draw.choice(STATEMENTS[group.form])
    name, he = draw.choice(NAMES)
    ring = [(kind, cue), (other, cue), (other, other_cue), (kind, other_cue)]
    if draw.random() < 0.5:
        ring.reverse()
    examples = []
    for i in range(4):
        pair = (ring[i - 1], ring[i])
        fields, rationale = {}, ()
        for field, (thing, said) in zip(("sent0", "sent1"), pair, strict=True):
            text = form.format(name=name, he=he, thing=thing.name, x=named(thing, group.form), cue=said)
            fields[field], spans = unmark(field, sentence(text))
            rationale += spans
        (label,) = (i for i, (thing, said) in enumerate(pair) if not holds(thing, said))
        wrong, said = pair[label]
        right = kind if holds(kind, said) else other
        told = {
            "cue": said,
            "x": named(right, group.form),
            "x_is": right.about,
            "w": named(wrong, group.form),
            "w_is": wrong.about,
        }
        explanations = tuple(sentence(wording.format(**told)) for wording in draw.sample(EXPLANATIONS[group.form], 3))
        examples.append(Example("", fields, ("choice1", "choice2"), label, explanations, rationale))
    return tuple(examples)
