"""Demo questions in the form of CoS-E (3 choices) and ECQA (5 choices).

A contrast set asks one question about as many cues as there are choices: the same words around the cue, the
same choices in the same order, each of them right once.
"""

from random import Random

from caref.data.demo.english import NAMES, a, sentence, unmark
from caref.data.demo.world import Kind, contrast
from caref.data.examples import Example

CHOICES = {"cos_e": 3, "cos_e_v1.11": 5, "ecqa": 5}

# noun: what kind of answer is wanted; the [cue] is what decides.
QUESTIONS = {
    "place": (
        "Where should {name} go to [{cue}]?",
        "{name} wants to [{cue}]. Which place is the right one?",
        "If {name} would like to [{cue}], where does {he} have to go?",
        "{name} left home to [{cue}]. Where was {he} going?",
        "{name} asked a stranger where to [{cue}]. Which place did the stranger name?",
        "It is Saturday, and {name} is planning to [{cue}]. Where will {he} be?",
    ),
    "job": (
        "Who could {name} ask to [{cue}]?",
        "{name} is paid to [{cue}]. What is {he}?",
        "For a school project, {name} watched somebody [{cue}]. Who was it?",
        "When {name} grows up, {he} wants to [{cue}]. What does {he} want to be?",
        "{name} read a story about someone whose work was to [{cue}]. Who was it about?",
        "Whose job is it to [{cue}], {name} wondered. What is the answer?",
    ),
    "use": (
        "What would {name} use to [{cue}]?",
        "{name} needs to [{cue}]. Which {noun} will help?",
        "Which {noun} does {name} need to [{cue}]?",
        "{name} was asked what people use to [{cue}]. What should {he} answer?",
        "Without a certain {noun}, {name} would not be able to [{cue}]. Which {noun} is it?",
        "In a film {name} watched, {a_noun} was used to [{cue}]. Which {noun} was it?",
    ),
    "material": (
        "What is [{cue}] usually made of, {name} wondered. What is the answer?",
        "{name} drew [{cue}]. What would the real thing be made of?",
        "{name} saw how [{cue}] was made. Which material was used?",
        "What would {name} expect [{cue}] to be made of?",
        "In a museum of materials, {name} was shown [{cue}] as an example. Which material was it an example of?",
    ),
    "trait": (
        "{name} is thinking of {a_noun} that [{cue}]. What is it?",
        "Which {noun} [{cue}], {name} asked. What is the answer?",
        "{name} drew a picture of {a_noun} that [{cue}]. What did {he} draw?",
        "In a riddle that {name} made up, {a_noun} [{cue}]. What is it?",
        "{name} has to name {a_noun} that [{cue}]. What should {he} say?",
        "On the quiz, {name} was asked which of these [{cue}]. What should {he} have answered?",
    ),
}

# x: the right answer with its article, x_is: what one is or does.
REASONS = {
    "place": (
        "{x} {x_is}, so that is where to {cue}",
        "{x} is the place to {cue}, as it {x_is}",
        "people go to {x} to {cue}, since it {x_is}",
        "to {cue}, one needs a place that {x_is}, which is {x}",
        "{x} {x_is}; anyone can {cue} there",
    ),
    "job": (
        "{x} {x_is}, and part of that is to {cue}",
        "{x} is someone who {x_is}, so this is the person to {cue}",
        "to {cue} is the work of {x}, who {x_is}",
        "someone who {x_is} knows how to {cue}, and that is {x}",
        "of these, {x} is the one who {x_is}, and so the one to {cue}",
    ),
    "use": (
        "{x} {x_is}, which makes it possible to {cue}",
        "{x} is used to {cue}, as it {x_is}",
        "since {x} {x_is}, people use it to {cue}",
        "to {cue}, one needs something that {x_is}, which is {x}",
        "with {x}, which {x_is}, one can {cue}",
    ),
    "material": (
        "{x} {x_is}, which is why it is right for {cue}",
        "{cue} is made of {x}, as {x} {x_is}",
        "since {x} {x_is}, it is used for {cue}",
        "what {cue} needs is a material that {x_is}, which is {x}",
    ),
    "trait": (
        "{x} {x_is}, and it {cue}",
        "{x} {cue}; it {x_is}",
        "of these, only {x}, which {x_is}, {cue}",
        "what {cue} is {x}, which {x_is}",
        "it is {x}, which {x_is}, that {cue}",
    ),
}

# w, w_is and v, v_is: two of the wrong answers.
CONTRASTS = {
    "place": (
        "{w} {w_is}, so nobody goes there to {cue}.",
        "{w} {w_is} and {v} {v_is}, so neither is the place to {cue}.",
        "This cannot be done at {w}, which {w_is}, nor at {v}.",
        "{w}, on the other hand, {w_is}.",
    ),
    "job": (
        "{w} {w_is}, and that is a different kind of work.",
        "{w} {w_is} and {v} {v_is}, so neither has learned to {cue}.",
        "Nobody calls {w} to {cue}, for {w} {w_is}.",
        "{w}, on the other hand, {w_is}.",
    ),
    "use": (
        "{w} {w_is}, which is no help here.",
        "{w} {w_is} and {v} {v_is}, so neither is made to {cue}.",
        "Nobody uses {w} to {cue}, as it {w_is}.",
        "{w}, on the other hand, {w_is}.",
    ),
    "material": (
        "{w} {w_is}, so it is not what {cue} is made of.",
        "{w} {w_is} and {v} {v_is}, so neither would do for {cue}.",
        "Nobody makes {cue} out of {w}, which {w_is}.",
        "{w}, on the other hand, {w_is}.",
    ),
    "trait": (
        "{w} {w_is}, so it is not the answer.",
        "{w} {w_is} and {v} {v_is}, so neither of them fits.",
        "This is not true of {w}, which {w_is}, nor of {v}.",
        "{w}, on the other hand, {w_is}.",
    ),
}


def named(kind: Kind, form: str) -> str:
    """The kind as a sentence names it: with an article, unless it is a material."""
    return kind.name if form == "material" else a(kind.name)


def contrast_set(dataset: str, split: str, draw: Random) -> tuple[Example, ...]:
    """As many examples as the dataset has choices; they have no ids yet."""
    group, pairs = contrast(draw, split, CHOICES[dataset])
    question = draw.choice(QUESTIONS[group.form])
    name, he = draw.choice(NAMES)
    choices = tuple(kind.name for kind, _ in pairs)
    examples = []
    for label, (kind, cue) in enumerate(pairs):
        text = question.format(name=name, he=he, cue=cue, noun=group.noun, a_noun=a(group.noun))
        plain, rationale = unmark("question", sentence(text))
        wrong = draw.sample([other for other, _ in pairs if other is not kind], 2)
        told = {"cue": cue, "x": named(kind, group.form), "x_is": kind.about}
        for letter, other in zip("wv", wrong, strict=True):
            told |= {letter: named(other, group.form), f"{letter}_is": other.about}
        explanation = sentence(draw.choice(REASONS[group.form]).format(**told)) + "."
        if dataset == "ecqa":  # whose explanations also say why other choices are wrong
            explanation += " " + sentence(draw.choice(CONTRASTS[group.form]).format(**told))
        examples.append(Example("", {"question": plain}, choices, label, (explanation,), rationale))
    return tuple(examples)
