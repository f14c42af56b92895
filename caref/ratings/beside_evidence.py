"""What a model's evidence says of each explanation that people rate, to be set against their ratings.

The key names cell, split and input of an item; the split's predictions name the example, and its evidence has a row
for that example where it was one of those asked for. Every rated answer is right, so the gold choice is the answer.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from caref.analysis.offered import offered
from caref.errors import UserError
from caref.evidence.attribution import SETS
from caref.evidence.attribution.explanation_words import content_words
from caref.ratings.answers import Answers
from caref.results import evidence, store

_UNRANKED = (*SETS, "random")  # no ranking of the words by what moves the model


def added(answers: Answers, results_dir: Path) -> Answers:
    """The same answers with each item's evidence among its automatic scores, and in the notes what has none.

    Scores, of a question's mark where cells hold evidence of several:
        confidence: the answer's probability among the choices, 0 to 1.
        coupling: how much likelier the explanation is after the answer than after any other choice, in nats.
        ATTRIBUTION named: of as many words as the explanation repeats of the input, the share that the attribution
            ranks highest, 0 to 1; of explanations that repeat a word.

    Raises:
        UserError: where there is no such folder.
    """
    if not results_dir.is_dir():
        raise UserError(f"--results {results_dir}: no such folder; name the one that `sample` drew from")
    cells = {one.cell for one in answers.judged if one.cell}
    held = {cell: evidence.of_cell(results_dir / cell) for cell in sorted(cells)}
    several = len({found.mark for of in held.values() for found in of}) > 1
    notes = [f"evidence, left out: {line}" for of in held.values() for found in of for line in found.damaged]
    notes += [f"evidence, left out: {line}" for of in held.values() for found in of for line in found.unread]
    by_place: dict[tuple[str, int], dict[str, dict[str, float]]] = {}
    judged = []
    for one in answers.judged:
        place = one.cell, one.split
        if one.cell and one.item and place not in by_place:
            by_place[place], amiss = _by_input(results_dir / one.cell, one.split, held[one.cell], several)
            notes += amiss
        judged.append(replace(one, scores={**one.scores, **by_place.get(place, {}).get(one.input, {})}))
    asked = [one for one in answers.judged if one.cell and one.item]
    lacking = sum(one.input not in by_place[one.cell, one.split] for one in asked)
    if lacking:
        notes.append(
            f"{lacking} of {len(asked)} rated explanations have no evidence; run.py with evidence=full "
            "evidence.examples=null adds it to all"
        )
    return replace(answers, judged=tuple(judged), notes=(*answers.notes, *notes))


def _by_input(
    cell: Path, split: int, held: Sequence[evidence.Found], several: bool
) -> tuple[dict[str, dict[str, float]], list[str]]:
    """Scores by input of the split's examples that have any, and what could not be read."""
    scored: dict[str, dict[str, float]] = {}
    try:
        predictions = {line.get("id"): line for line in reversed(store.read_predictions(cell, split))}
        for found in (found for found in held if split in found.records):
            folder = cell / "evidence" / found.mark
            if evidence.read_split(folder, split) is None:
                continue
            for row in evidence.read_rows(folder, split):
                try:
                    prediction = predictions[row["id"]]
                    own = of_row(row, prediction)
                except (KeyError, ValueError, TypeError) as error:
                    raise store.Damaged(f"{folder / f'{split:03d}.jsonl.gz'}: {error!r} of its predictions") from None
                named = {f"{name} ({found.mark})": value for name, value in own.items()} if several else own
                scored.setdefault(prediction["source"], {}).update(named)
    except FileNotFoundError:
        return {}, []
    except (store.Damaged, store.Unreadable) as error:
        return {}, [f"evidence, left out: {error}"]
    return scored, []


def of_row(row: Mapping, prediction: Mapping) -> dict[str, float]:
    """The scores of one example that is answered rightly; see `added`.

    Args:
        row: of evidence: log p of each choice, words, and each attribution's scores of them.
        prediction: of the same example.
    """
    weights = [math.exp(value - max(row["log_p"])) for value in row["log_p"]]
    _, right = offered(row, prediction)
    found = {"confidence": weights[right] / math.fsum(weights)}
    if row.get("coupling") is not None:
        found["coupling"] = row["coupling"]
    held = content_words(prediction["explanation"])
    repeated = {place for place, word in enumerate(row["words"]) if content_words(word) & held}
    for name, scores in row["scores"].items():
        if repeated and name not in _UNRANKED:
            ranked = sorted(range(len(scores)), key=lambda place, own=scores: (-own[place], place))
            found[f"{name} named"] = len(repeated & set(ranked[: len(repeated)])) / len(repeated)
    return found
