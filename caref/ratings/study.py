"""What is shown to raters, in which order, and what of it is kept from them.

Screens, their codes and every rater's order follow from the texts, the seed and the rater alone: swapping two
cells, or renaming them, changes no byte of a page or a sheet. Only the key knows which cell wrote what.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from caref.analysis.every_cell import Line
from caref.ratings.question import JUSTIFIES, blinded, fields, task
from caref.ratings.sampling import Drawn, labels, rank

_SCREENS_A_CHECK = 15
_LEAST_CHECKS = 2


@dataclass(frozen=True)
class Screen:
    """One explanation to judge: a row of a sheet, a screen of a page."""

    code: str
    dataset: str
    source: str
    fields: tuple[tuple[str, str], ...]
    answer: str
    explanation: str
    expected: str = ""  # the answer that a check asks for

    @property
    def task(self) -> str:
        return task(self.dataset)


@dataclass(frozen=True)
class Entry:
    """One row of the key: who wrote what is behind a screen, or what a check expects.

    Args:
        item: the screen's code; "" where the cell gave no explanation, so that nobody was asked.
        kind: cell, gold or check.
        cell: signature; "" unless kind is cell.
        system: what the cell is called; "gold" or "check".
        source: hub, files or demo.
        input: the source text.
        expected: a check's right answer.
        scores: the prediction's own numbers, nbert among them.
    """

    item: str
    kind: str
    dataset: str
    cell: str
    system: str
    source: str
    split: int
    input: str
    expected: str
    scores: Mapping[str, float]


@dataclass(frozen=True)
class Study:
    """Screens and key; `code` binds the sheets to their key."""

    code: str
    seed: int
    screens: tuple[Screen, ...]
    entries: tuple[Entry, ...]

    def order(self, rater: str) -> list[Screen]:
        """A rater's screens: a dataset after the other, the explanations of one input far apart.

        A dataset is gone through once for every explanation of an input, in two halves that keep their sides: between
        two explanations of the same input lie at least half of the dataset's inputs.
        """
        datasets = sorted({screen.dataset for screen in self.screens}, key=lambda name: rank(self.seed, rater, name))
        return [screen for dataset in datasets for screen in self._of_dataset(dataset, rater)]

    def _of_dataset(self, dataset: str, rater: str) -> list[Screen]:
        by_input: dict[str, list[Screen]] = {}
        for screen in self.screens:
            if screen.dataset == dataset and not screen.expected:
                by_input.setdefault(screen.source, []).append(screen)
        inputs = sorted(by_input, key=lambda source: rank(self.seed, rater, "half", source))
        halves = inputs[: math.ceil(len(inputs) / 2)], inputs[math.ceil(len(inputs) / 2) :]
        versions = {
            source: sorted(found, key=lambda screen: rank(self.seed, rater, screen.code))
            for source, found in by_input.items()
        }
        ordered = [
            versions[source][turn]
            for turn in range(max(map(len, versions.values()), default=0))
            for half in halves
            for source in sorted(half, key=lambda source, turn=turn: rank(self.seed, rater, turn, source))
            if turn < len(versions[source])
        ]
        for screen in self.screens:
            if screen.dataset == dataset and screen.expected:
                place = int.from_bytes(rank(self.seed, rater, "check", screen.code)[:8]) % (len(ordered) + 1)
                ordered.insert(place, screen)
        return ordered


def compose(drawn: Sequence[Drawn], cells: Mapping[str, Sequence[Line]], seed: int, gold: bool, checks: bool) -> Study:
    """The study of some drawn inputs. Explanations of an input that read the same are one screen.

    Args:
        drawn: inputs of one or more datasets.
        cells: the compared cells of each dataset.
        gold: show the first gold explanation of each input too.
        checks: add screens that ask for one answer, one for every 15, at least 2.
    """
    named = {signature: name for group in cells.values() for signature, name in labels(group).items()}
    written: list[tuple[Drawn, str, str, str]] = []  # input, kind, signature, explanation as shown
    for one in drawn:
        for signature, prediction in one.predictions.items():
            broken = prediction["broken"] or not prediction["explanation"].strip()
            written.append((one, "cell", signature, "" if broken else blinded(prediction["explanation"])))
        if gold:
            written.append((one, "gold", "", blinded(one.any["explanations"][0])))
    contents = {(one.dataset, one.source, text, ""): one for one, _, _, text in written if text}
    if checks:
        contents |= _checks(drawn, len(contents), seed)
    mixed = sorted(contents, key=lambda content: rank(seed, "code", *content))
    screens = {
        content: Screen(
            f"i{number:0{len(str(len(mixed)))}d}",
            content[0],
            content[1],
            fields(content[0], content[1], tuple(contents[content].any["choices"])),
            contents[content].any["gold"],
            content[2],
            content[3],
        )
        for number, content in enumerate(mixed, start=1)
    }
    entries = [
        Entry(
            item=screens[one.dataset, one.source, text, ""].code if text else "",
            kind=kind,
            dataset=one.dataset,
            cell=signature,
            system=named[signature] if signature else "gold",
            source=_origin(cells[one.dataset]),
            split=one.split,
            input=one.source,
            expected="",
            scores=_numbers(one.predictions[signature]) if signature else {},
        )
        for one, kind, signature, text in written
    ]
    entries += [
        Entry(screen.code, "check", screen.dataset, "", "check", "", -1, screen.source, screen.expected, {})
        for screen in screens.values()
        if screen.expected
    ]
    # codes begin with a letter: spreadsheets take 007 and 12e5 for numbers
    code = "s" + hashlib.sha256(json.dumps([seed, mixed], ensure_ascii=False).encode()).hexdigest()[:10]
    return Study(code, seed, tuple(screens.values()), tuple(entries))


def _checks(drawn: Sequence[Drawn], screens: int, seed: int) -> dict[tuple[str, str, str, str], Drawn]:
    """Screens that say which answer to choose, the four in turn, beside inputs that the seed picks."""
    count = max(_LEAST_CHECKS, screens // _SCREENS_A_CHECK)
    beside = sorted(drawn, key=lambda one: rank(seed, "beside", one.source))
    answers = sorted(JUSTIFIES.answers, key=lambda answer: rank(seed, "answer", answer))
    found = {}
    for number in range(count):
        one, answer = beside[number % len(beside)], answers[number % len(answers)]
        text = f"this is a check that you read everything: please choose “{answer}” here."
        found[one.dataset, one.source, text, answer] = one
    return found


def _origin(cells: Sequence[Line]) -> str:
    return " + ".join(sorted({line.source for line in cells}))


def _numbers(prediction: Mapping) -> dict[str, float]:
    return {
        key: float(value)
        for key, value in sorted(prediction.items())
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }
