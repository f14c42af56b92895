"""Which words an attribution puts first: a few words in every text say that it explains no text."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import punctuation

from caref.analysis.evidence_compared import Evidence, Held
from caref.results import evidence, store

MOST = 10  # words of an attribution


@dataclass(frozen=True)
class FirstWord:
    """A word that an attribution puts first, whatever its case and the punctuation around it.

    Attributes:
        mark: of the question.
        first: in how many texts it has the highest score, the earlier of two that are equal.
        texts: how many there are whose words do not all score alike.
        share: its mean share of the sum of |scores| in them, in [0, 1].
    """

    held: Held
    mark: str
    attribution: str
    word: str
    first: int
    texts: int
    share: float


def first_words(found: Evidence, results_dir: Path) -> tuple[list[FirstWord], list[str]]:
    """Of each cell, question and attribution those that are first most often; and what could not be read."""
    told, amiss = [], []
    for question in found.questions:
        for held in question.held:
            folder = results_dir / held.line.cell.signature / "evidence" / question.mark
            rows = []
            for split in sorted(held.found.records):
                try:
                    rows += [_scored(row) for row in evidence.read_rows(folder, split)]
                except (store.Damaged, store.Unreadable, FileNotFoundError) as error:
                    amiss.append(f"left out of the first words: {error}")
                except (KeyError, ValueError, TypeError, AttributeError) as error:
                    amiss.append(f"left out of the first words: {folder / f'{split:03d}.jsonl.gz'}: {error!r}")
            told += [
                FirstWord(held, question.mark, name, *one)
                for name in held.attributions
                for one in _most([(words, scores[name]) for words, scores in rows if name in scores])
            ]
    return told, amiss


def _scored(row: dict) -> tuple[list[str], dict[str, list[float]]]:
    words = [word.casefold().strip(punctuation) for word in row["words"]]
    scores = {name: [float(score) for score in own] for name, own in row["scores"].items()}
    for name, own in scores.items():
        if len(own) != len(words):
            raise ValueError(f"{name} has {len(own)} scores of {len(words)} words")
    return words, scores


def _most(texts: Sequence[tuple[Sequence[str], Sequence[float]]]) -> Iterator[tuple[str, int, int, float]]:
    first, mass = Counter(), Counter()
    ranked = [(words, scores) for words, scores in texts if len(set(scores)) > 1]
    for words, scores in ranked:
        total = sum(map(abs, scores))
        first[words[max(range(len(scores)), key=scores.__getitem__)]] += 1
        for word, score in zip(words, scores, strict=True):
            mass[word] += abs(score) / total
    for word in sorted(first, key=lambda word: (-first[word], -mass[word], word))[:MOST]:
        yield word, first[word], len(ranked), mass[word] / len(ranked)
