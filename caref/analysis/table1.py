"""Table 1 out of a results folder: which cell stands in which row and column, and what may be averaged.

One table holds cells of one setup: the same model, training, evaluation, BERTScore model, sizes and length of
inputs, and either real or demo data. Within a column all cells rest on the same examples, so that rows can be compared
split by split.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from caref.analysis import paper
from caref.analysis.labels import answers_only, distinguishing, settings
from caref.analysis.summary import Summary, of_fewer, on_floor, refusal, scores, source, summarise, trainable_percent
from caref.results.configuration import known
from caref.results.published import is_published
from caref.results.samples import samples
from caref.results.store import Cell

AVERAGE = "average"
COLUMNS = (*paper.DATASETS, AVERAGE)


@dataclass
class Table:
    """The cells of one setup by row and dataset; places without data are absent, refused ones named."""

    title: str
    demo: bool
    not_comparable: str | None  # why the paper's numbers do not stand beside; None where they do
    departures: list[str]  # from the paper's protocol
    cells: dict[tuple[str, str], Cell] = field(default_factory=dict)
    refused: dict[tuple[str, str], str] = field(default_factory=dict)

    def scores(self, row: str, metric: str, column: str) -> dict[int, float]:
        """A metric by split; for the average, over the splits that all four datasets have."""
        if column != AVERAGE:
            cell = self.cells.get((row, column))
            return scores(cell.records, metric) if cell else {}
        each = [self.scores(row, metric, dataset) for dataset in paper.DATASETS]
        whole = [split for split in each[0] if all(split in one for one in each)]
        return {split: sum(one[split] for one in each) / len(each) for split in whole}

    def summary(self, row: str, metric: str, column: str) -> Summary | None:
        """What is printed; the average is the mean of the four datasets' means, its n their smallest."""
        if column != AVERAGE:
            return summarise(self.scores(row, metric, column).values())
        each = [self.summary(row, metric, dataset) for dataset in paper.DATASETS]
        if not all(each):
            return None
        spread = summarise(self.scores(row, metric, AVERAGE).values())
        mean = summarise(one.mean for one in each).mean
        return Summary(mean, spread.std if spread else float("nan"), min(one.n for one in each))

    def beside_nbert(self, row: str, metric: str, column: str) -> tuple[Summary | None, str]:
        """A summary, and where it is of other splits than accuracy and nBERT, of how many."""
        found, whole = (self.summary(row, name, column) for name in (metric, "accuracy"))
        return found, of_fewer(found, whole and whole.n) if found else ""

    def best(self, section: str, metric: str, column: str) -> float | None:
        """The highest mean of a section's column; None of fewer than two rows, or not all on the same splits."""
        rows = [row.name for row in paper.rows() if row.section == section]
        found = {row: one.mean for row in rows if (one := self.summary(row, metric, column))}
        datasets = paper.DATASETS if column == AVERAGE else [column]
        splits = {tuple(tuple(self.scores(row, metric, dataset)) for dataset in datasets) for row in found}
        return max(found.values()) if len(found) > 1 and len(splits) == 1 else None

    def trainable_percent(self, row: str) -> float | None:
        found = [self.cells[row, dataset] for dataset in paper.DATASETS if (row, dataset) in self.cells]
        return trainable_percent(found[0]) if found else None

    def has(self, row: str) -> bool:
        """Whether some place of a row holds data."""
        return any((row, dataset) in self.cells for dataset in paper.DATASETS)

    def on_floor(self, row: str, dataset: str) -> bool:
        """See `summary.on_floor`."""
        return on_floor(*(self.summary(row, metric, dataset) for metric in ("similarity", "floor")))

    def filled(self) -> int:
        """How many of the distinct places of the table hold data."""
        return len(self.cells)


def tables(cells: list[Cell]) -> list[Table]:
    """One table a setup that has at least one cell in a row of the paper's table, whose models explain.

    First those that may be compared with the paper, then other real data, then demo; those nearer to the
    paper's protocol first, then the fuller.
    """
    setups: dict[str, list[Cell]] = {}
    for cell in cells:
        if not cell.records or is_published(cell) or answers_only(cell.config["dataset"]) or not known(cell.config):
            continue
        if paper.row_name(cell.config) and cell.config["dataset"]["name"] in paper.DATASETS:
            setups.setdefault(_setup(cell), []).append(cell)
    built = [(_order(table), key, table) for key, group in setups.items() for table in _tables_of(group)]
    ordered = [table for _, _, table in sorted(built, key=lambda one: one[:2])]
    _name(ordered)
    return ordered


def _order(table: Table) -> tuple:
    # which split and which samples are a column's own matter
    of_the_setup = [line for line in table.departures if "_split " not in line and "'s samples: " not in line]
    return (table.demo, table.not_comparable is not None, len(of_the_setup), -table.filled())


def _setup(cell: Cell) -> str:
    config = cell.config
    content = config.get("content")  # where it is known, names and places say nothing more
    named = ("path", "revision", "tokenizer") if content else ()
    parts = {part: _material(config[part], named) for part in ("model", "train", "evaluation", "bertscore")}
    if content:
        parts["bertscore"] = {"model": content.get("bertscore"), "layer": config["bertscore"].get("layer")}
        parts["content"] = content
    shared = {key: config["dataset"].get(key) for key in ("train_size", "eval_size", "sampling", "max_tokens")}
    return json.dumps([_is_demo(cell), parts, shared], sort_keys=True)


def _material(part: Mapping, named: tuple[str, ...]) -> dict:
    return {key: value for key, value in part.items() if key not in ("save", *named)}


def _is_demo(cell: Cell) -> bool:
    return any(record.get("source") == "demo" for record in cell.records.values())


def _examples(cell: Cell) -> str:
    """What a column's cells must share: which of the dataset's examples they were trained and judged on."""
    dataset = cell.config["dataset"]
    first = cell.records[min(cell.records)]
    return json.dumps([dataset.get("train_split"), dataset.get("eval_split"), first.get("fingerprint")])


def _tables_of(group: list[Cell]) -> list[Table]:
    """The table of one setup; a dataset run on several sets of examples takes as many, the fullest first."""
    by_column: dict[str, dict[str, list[Cell]]] = {}
    for cell in group:
        by_column.setdefault(cell.config["dataset"]["name"], {}).setdefault(_examples(cell), []).append(cell)
    ranked = {
        dataset: [sets[key] for key in sorted(sets, key=lambda key, sets=sets: (-_records(sets[key]), key))]
        for dataset, sets in by_column.items()
    }
    return [
        _table([cell for sets in ranked.values() if level < len(sets) for cell in sets[level]])
        for level in range(max(map(len, ranked.values())))
    ]


def _records(cells: list[Cell]) -> int:
    return sum(len(cell.records) for cell in cells)


def _table(group: list[Cell]) -> Table:
    first = group[0]
    reasons = {paper.why_not_comparable(cell.config, source(cell)) for cell in group}
    departures = sorted({line for cell in group for line in (*paper.departures(cell.config), *_other_samples(cell))})
    table = Table(
        title=first.config["model"]["name"],
        demo=_is_demo(first),
        not_comparable=next(iter(sorted(filter(None, reasons))), None),
        departures=departures,
    )
    places: dict[tuple[str, str], list[Cell]] = {}
    for cell in group:
        places.setdefault((paper.row_name(cell.config), cell.config["dataset"]["name"]), []).append(cell)
    for place, found in places.items():
        if len(found) > 1:
            signatures = ", ".join(cell.signature for cell in found)
            table.refused[place] = f"{len(found)} cells fit here, none is chosen: {signatures}"
        elif reason := refusal(found[0]):
            table.refused[place] = reason
        else:
            table.cells[place] = found[0]
    return table


def _other_samples(cell: Cell) -> list[str]:
    """Why a cell's samples are not FEB's, which are the paper's; nothing where its configuration alone tells."""
    found = samples(cell.records)
    name = paper.DATASETS[cell.config["dataset"]["name"]]
    return [f"{name}'s samples: {reason}" for reason in found.reasons if not reason.startswith("dataset.")]


def _name(ordered: list[Table]) -> None:
    """Title each table by its model and data, and by what tells it from another of the same."""
    for table in ordered:
        table.title += ", demo data" if table.demo else ", real data"
    for title in {table.title for table in ordered}:
        alike = [table for table in ordered if table.title == title]
        flat = [_told_by(table) for table in alike]
        for number, (table, differing) in enumerate(zip(alike, distinguishing(flat), strict=True), start=1):
            if len(alike) > 1:
                table.title += f" ({', '.join(differing) or f'set {number} of the examples'})"


def _told_by(table: Table) -> dict[str, object]:
    for cell in table.cells.values():
        parts = ("model", "train", "evaluation", "bertscore", "dataset", "content")
        flat = settings({part: cell.config[part] for part in parts if part in cell.config})
        return {key: value for key, value in flat.items() if key != "train.save"}
    return {}
