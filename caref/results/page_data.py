"""What the HTML page holds behind each cell: every split's scores, and the first predictions of one split."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from caref.results import store
from caref.results.every_cell import Line
from caref.results.measures import MEASURES, PAIRS, held
from caref.results.published import SOURCE
from caref.results.summary import ranges, scores

# Predictions held in the page in all. About a kilobyte each, so the page stays below some ten megabytes.
MOST_PREDICTIONS = 4000
MOST_OF_A_CELL = 20
_KEPT = ("id", "source", "gold", "explanations", "generation", "answer", "explanation", "right", "broken", "nbert")


def of_a_cell(cells: int) -> int:
    """How many predictions of each cell the page holds, for a number of cells: 20, fewer beyond 200 cells."""
    return max(1, min(MOST_OF_A_CELL, MOST_PREDICTIONS // max(1, cells)))


def behind(lines: Sequence[Line], results_dir: Path) -> str:
    """The page's data as JSON, safe inside a <script> element: measures, and cells by signature, splits in columns."""
    count = of_a_cell(len(lines))
    measures = [
        {"name": name, "label": one.label, "decimals": one.decimals, "drawn": PAIRS in one.where}
        for name, one in held(line.summaries for line in lines).items()
    ]
    cells = {line.cell.signature: _behind(line, results_dir / line.cell.signature, count) for line in lines}
    found = {"measures": measures, "cells": cells}
    return json.dumps(found, ensure_ascii=False, separators=(",", ":"), sort_keys=True).replace("<", "\\u003c")


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
