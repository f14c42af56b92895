"""The words of the input that the model's own explanation repeats: its free text read as a rationale.

A word is repeated where the explanation holds it as a whole word, whatever the case and the punctuation around it.
Words that any text holds (articles, pronouns, forms of be, ...) count for nothing.
"""

import re

import numpy as np

OF_EXPLANATIONS = True  # where nothing is explained there is none of it

COMMON = frozenset(  # words that any text holds
    word
    for line in (
        "a an and are as at be because been being but by can could did do does for from had has have he her him his i",
        "if in into is it its may me my no nor not of off on one or our out she should so some such than that the",
        "their them then there these they this those to too up us very was we were what when where which while who",
        "will with would you your",
    )
    for word in line.split()
)


def attribute(reading, labels):
    """Word scores by split and question: 1 where repeated, else 0; see `Reading.word_scores`."""
    return [[repeated(one) for one in questions] for questions in reading.splits]


def repeated(question) -> np.ndarray:
    """(words,): 1.0 for each word of a question that its explanation repeats."""
    held = content_words(question.explanation)
    return np.array([float(bool(content_words(word.text) & held)) for word in question.words])


def nameable(question) -> list[int]:
    """Places of the words that it names if the explanation repeats them; the others it never names."""
    return [place for place in question.rankable if content_words(question.words[place].text)]


def content_words(text: str) -> set[str]:
    """The words of a text, case-folded, without punctuation and without those that any text holds."""
    return set(re.findall(r"\w+(?:['’-]\w+)*", text.casefold())) - COMMON
