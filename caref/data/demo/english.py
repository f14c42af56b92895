"""Small rules of English, and the marks that say which words of a text decide."""

import re

from caref.data.examples import Span

# (name, pronoun)
NAMES = tuple(
    (name, pronoun)
    for pronoun, names in {
        "she": "Anna Maria Grace Leah Nora Ruth Sofia Tessa Wendy Zoe Carmen Hannah Ingrid Julia Yasmin Priya",
        "he": "Ben Carl David Felix Henry Ivan Jack Leo Marco Oscar Paul Sam Tom Victor Omar Kenji",
    }.items()
    for name in names.split()
)


def a(noun: str) -> str:
    """The noun with its indefinite article; right for every noun of the demo's world."""
    return f"{'an' if noun[0].lower() in 'aeiou' else 'a'} {noun}"


def being(state: str) -> str:
    """What comes after "is" as the subject of a sentence: reading stays reading, tall becomes being tall."""
    return state if state.split()[0].endswith("ing") else f"being {state}"


def sentence(text: str) -> str:
    """The text with a capital at its beginning, also where that lies inside a mark."""
    return re.sub(r"[a-z]", lambda first: first[0].upper(), text, count=1) if not text[0].isupper() else text


def unmark(field: str, text: str) -> tuple[str, tuple[Span, ...]]:
    """Take the [marks] out of a text and say which characters of the field they were around."""
    plain, spans = "", []
    for i, part in enumerate(re.split(r"[\[\]]", text)):
        if i % 2:
            spans.append(Span(field, len(plain), len(plain) + len(part)))
        plain += part
    return plain, tuple(spans)
