"""Texts with one more word: an adjective or adverb of ours, put between two words of a field."""

from dataclasses import dataclass, replace

import numpy as np

from caref.data.examples import Example
from caref.evidence.attribution.explanation_words import content_words

A_QUESTION = 4  # insertions, dealt over the fields

WORDS = tuple(
    word
    for line in (
        "abandoned ancient angry anxious awful awkward bitter blind bold boring brave broad bright broken bumpy",
        "calm careless cheap cheerful clever clumsy coarse cosy crisp crooked cruel curious curly dainty damp",
        "daring dizzy dry dull dusty eager elderly elegant empty enormous exotic faint famous fancy fierce filthy",
        "firm flat foolish fragile frail frozen funny gentle giant gloomy graceful grateful greedy grumpy",
        "handsome harsh hasty hollow honest humble hungry idle jealous jolly lazy lonely loud loyal lucky mighty",
        "modest muddy narrow nasty neat nervous noisy odd patient peculiar playful polite proud puzzled quaint",
        "quiet rare reckless rotten rough rude rusty sacred secret selfish shabby shiny shy silent silly sleepy",
        "slender slim smooth sour spare spotless steep sticky stiff strange stubborn sturdy sudden swift tame",
        "tender thick thirsty thorough tidy timid tiny tired tough tricky ugly unusual vague vast vivid weak",
        "weary wicked wild wise witty wobbly worried actively barely blindly briefly calmly carefully cleverly",
        "daily deeply eagerly elegantly fairly firmly gladly gracefully hardly hastily honestly kindly lazily",
        "lightly loudly madly mostly nearly neatly nervously nicely oddly openly partly patiently politely",
        "promptly proudly quickly quietly rarely recently roughly sadly safely secretly seldom sharply shyly",
        "silently slowly smoothly softly sternly strangely suddenly sweetly swiftly tightly usually warmly weakly",
        "wildly wisely",
    )
    for word in line.split()
)


@dataclass(frozen=True)
class Inserted:
    """An example with a word more, and the word."""

    example: Example
    word: str


def inserted(example: Example, seed: int, count: int = A_QUESTION) -> list[Inserted]:
    """An example with one more word, `count` times, each time another word; dealt over its fields of two words or more.

    A word is put behind any word of a field but the last. It occurs neither in the example's fields and choices nor in
    its gold explanations, so that an explanation holds it because the input does. Fewer where no field has two words.
    """
    draw = np.random.default_rng((seed, count))
    texts = (*example.fields.values(), *example.choices, *example.explanations)
    held = set().union(*(content_words(text) for text in texts))
    free = [word for word in WORDS if word not in held]
    fields = [name for name, text in example.fields.items() if len(text.split()) > 1]
    if not fields:
        return []
    found = []
    for number, place in enumerate(draw.permutation(len(free))[:count]):
        field = fields[number % len(fields)]
        words = example.fields[field].split()
        at = int(draw.integers(1, len(words)))
        text = " ".join([*words[:at], free[place], *words[at:]])
        # Marks lie elsewhere now; nobody asks for them here.
        changed = replace(example, fields={**example.fields, field: text}, rationale=())
        found.append(Inserted(changed, free[place]))
    return found
