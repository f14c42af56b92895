"""What the HTML page holds behind each cell: every split's scores, and the first predictions of one split.

Where a cell has evidence, the predictions are those of which it was taken, with their words and what each attribution
makes of them.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from caref.analysis.every_cell import Line
from caref.analysis.evidence_compared import Evidence, Held
from caref.analysis.labels import attribution_label
from caref.analysis.offered import offered
from caref.analysis.summary import ranges, scores
from caref.results import evidence, store
from caref.results.measures import MEASURES, PAIRS, held
from caref.results.published import SOURCE

# Predictions held in the page in all. About a kilobyte each, so the page stays below some ten megabytes.
MOST_PREDICTIONS = 4000
MOST_OF_A_CELL = 20
_KEPT = ("id", "source", "gold", "explanations", "generation", "answer", "explanation", "right", "broken", "nbert")


def of_a_cell(cells: int) -> int:
    """How many predictions of each cell the page holds, for a number of cells: 20, fewer beyond 200 cells."""
    return max(1, min(MOST_OF_A_CELL, MOST_PREDICTIONS // max(1, cells)))


def behind(lines: Sequence[Line], results_dir: Path, found: Evidence) -> str:
    """The page's data as JSON, safe inside a <script> element: measures, and cells by signature, splits in columns."""
    count = of_a_cell(len(lines))
    measures = [
        {"name": name, "label": one.label, "decimals": one.decimals, "drawn": PAIRS in one.where}
        for name, one in held(line.summaries for line in lines).items()
    ]
    asked: dict[str, Held] = {}
    for one in found.held:  # a cell's first question
        asked.setdefault(one.line.cell.signature, one)
    cells = {
        (name := line.cell.signature): _behind(line, results_dir / name, count)
        | _words(asked.get(name), results_dir, count)
        for line in lines
    }
    return json.dumps(
        {"measures": measures, "cells": cells}, ensure_ascii=False, separators=(",", ":"), sort_keys=True
    ).replace("<", "\\u003c")


def _behind(line: Line, folder: Path, count: int) -> dict:
    records = line.cell.records
    found = {metric: by_split for metric in MEASURES if (by_split := scores(records, metric))}
    columns = {
        metric: [round(by_split[split], 3) if split in by_split else None for split in sorted(records)]
        for metric, by_split in found.items()
    }
    first = min(records, default=None)
    predictions = None if first is None or line.published else _first_predictions(folder, first, count)
    return {
        "title": " · ".join(filter(None, [line.model, line.dataset, line.peft, line.reg, line.settings])),
        "source": line.source,
        "fingerprint": next((_data(record) for record in records.values()), ""),
        "splits": sorted(records),
        "seeds": [records[split].get("seed") for split in sorted(records)],
        "scores": columns,
        "failed": ranges(set(line.cell.failed) - set(records)),
        "notes": ([f"Refused: {line.refused}"] if line.refused else []) + line.warnings,
        "from": first,
        "predictions": predictions,
        "evaluated": None if first is None else records[first].get("counts", {}).get("evaluated"),
    }


def _data(record: Mapping) -> str:
    """Which data a record rests on; of a published one, whose it is and where it stands."""
    if origin := record.get(SOURCE):
        return f"{origin.get('by')}, {origin.get('file')}"
    return str(record.get("fingerprint", ""))[:12]


def _first_predictions(folder: Path, split: int, count: int) -> list[dict] | None:
    """The first predictions of a split, in its order; None where the file is missing or cannot be read."""
    try:
        found = store.read_predictions(folder, split, count)
    except (FileNotFoundError, store.Damaged, store.Unreadable):
        return None
    return [{key: one[key] for key in _KEPT if key in one} for one in found]


def _words(held: Held | None, results_dir: Path, count: int) -> dict:
    """The predictions of the first split with evidence that it was taken of, each with its words; nothing without."""
    if held is None:
        return {}
    cell, split = results_dir / held.line.cell.signature, min(held.found.records)
    folder = cell / "evidence" / held.found.mark
    try:
        evidence.read_split(folder, split)
        rows = evidence.read_rows(folder, split)
        predictions = {one.get("id"): one for one in store.read_predictions(cell, split)}
        found = [_with_words(predictions[row["id"]], row) for row in rows[:count]]
    except (FileNotFoundError, store.Damaged, store.Unreadable, KeyError, TypeError, ValueError):
        where = f"{cell.name}/evidence/{held.found.mark}/{split:03d}.jsonl.gz"
        return {"unshaded": f"The words cannot be shown: {where} is missing, damaged or not of these predictions."}
    asked = held.found.asked.get("attributions") or ()
    held_names = {name for one in found for name in one["words"]["scores"]}
    names = [*(name for name in asked if name in held_names), *sorted(held_names - set(asked))]
    shaded = {"attributions": [[name, attribution_label(name)] for name in names], "of": len(rows)}
    return {"from": split, "predictions": found, "shaded": shaded} if found else {}


def _with_words(prediction: Mapping, row: Mapping) -> dict:
    words = {key: row[key] for key in ("fields", "marked")} | {"text": row["words"]}
    words["scores"] = {name: _shares(scores) for name, scores in row["scores"].items()}
    choices, _ = offered(row, prediction)
    return {key: prediction[key] for key in _KEPT if key in prediction} | {
        "choices": choices,
        "words": words,
        "p": _probabilities(row["log_p"]),
    }


def _shares(scores: Sequence[float]) -> list[int]:
    """Scores in % of the example's largest, by size; signs stay."""
    most = max(map(abs, scores), default=0)
    return [round(100 * score / most) if most else 0 for score in scores]


def _probabilities(log_p: Sequence[float]) -> list[float]:
    p = [math.exp(one - max(log_p)) for one in log_p]
    return [round(one / math.fsum(p), 3) for one in p]
