"""FEVER (Thorne et al. 2018) as ERASER has it (DeYoung et al. 2020): does an article support a claim, or refute it?

Nobody explains in words; people marked the sentences of the article that say so, which are the gold rationale.
"""

import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from caref.data.examples import Example, Span
from caref.data.files import Row, read_jsonl, read_text
from caref.data.releases import Layout, Record

SOURCE = "fever claim: {claim} document: {document}"
LOWERCASE = False
EXPLAINED = False

_LABELS = {"SUPPORTS": "supports", "REFUTES": "refutes"}


def read_release(path: Path) -> Iterator[Record]:
    """A file of claims, whose articles lie in the folder `docs` beside it, a file each."""
    articles = cache(lambda name: _Article(path.parent / "docs" / name))
    for row in read_jsonl(path):
        label = row.text("classification")
        if label not in _LABELS:
            raise row.refusal(f"classification is {label!r}, not one of {', '.join(_LABELS)}")
        (name,) = _names(row)
        if not (path.parent / "docs" / name).is_file():
            raise row.refusal(f"there is no article {name} in {path.parent / 'docs'}")
        article = articles(name)
        marked = {token for evidence in _evidence(row) for token in _tokens(evidence, name, article)}
        yield Example(
            row.text("annotation_id"),
            {"claim": row.text("query"), "document": article.text},
            tuple(_LABELS.values()),
            list(_LABELS).index(label),
            explanations=(),
            rationale=tuple(article.spans(marked)),
        )


class _Article:
    """An article: tokens apart by white space, a sentence a line."""

    def __init__(self, path: Path):
        self.text = read_text(path)
        self.places = [token.span() for token in re.finditer(r"\S+", self.text)]

    def tokens(self, start: int, end: int) -> str:
        return " ".join(self.text[begin:close] for begin, close in self.places[start:end])

    def spans(self, marked: Iterable[int]) -> Iterator[Span]:
        """One for each run of neighbouring tokens."""
        run: list[int] = []
        for token in [*sorted(marked), None]:
            if run and token != run[-1] + 1:
                yield Span("document", self.places[run[0]][0], self.places[run[-1]][1])
                run = []
            run.append(token)


def _names(row: Row) -> list[str]:
    names = row.list("docids")
    if len(names) != 1 or not isinstance(names[0], str):
        raise row.refusal(f"docids names {len(names)} articles, not one")
    return names


def _evidence(row: Row) -> Iterator[Row]:
    for group in row.list("evidences"):
        if not isinstance(group, list):
            raise row.refusal("evidences holds what is no list")
        yield from (Row(row.where, {"evidences": one}) for one in group)


def _tokens(row: Row, name: str, article: _Article) -> range:
    """The tokens that one piece of evidence marks."""
    start, end = row.value("evidences", "start_token"), row.value("evidences", "end_token")
    if row.text("evidences", "docid") != name:
        raise row.refusal(f"evidence of another article than {name}")
    if not (isinstance(start, int) and isinstance(end, int) and 0 <= start < end <= len(article.places)):
        raise row.refusal(f"evidence at tokens {start} to {end}; {name} has {len(article.places)}")
    if article.tokens(start, end) != row.text("evidences", "text"):
        raise row.refusal(f"tokens {start} to {end} of {name} are not the evidence's text")
    return range(start, end)


LAYOUTS = (Layout({"train": ("train.jsonl",), "validation": ("val.jsonl",), "test": ("test.jsonl",)}, read_release),)
RELEASE = ()
ELSEWHERE = "ERASER's fever (www.eraserbenchmark.com: train.jsonl, val.jsonl, test.jsonl, docs/)"
HUB = None
