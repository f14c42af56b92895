"""Every cell of a results folder in one line each, whether it fits a row of the paper's table or not."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from caref.analysis.labels import answers_only, apart, dataset_label, peft_label, reg_label
from caref.analysis.paper import DATASETS
from caref.analysis.summary import (
    Summary,
    fingerprints,
    refusal,
    scores,
    source,
    summarise,
    trainable_percent,
    warnings,
)
from caref.results import configuration
from caref.results.measures import MEASURES
from caref.results.published import SOURCE, model_label
from caref.results.samples import Samples, samples
from caref.results.store import Cell


@dataclass(frozen=True)
class Line:
    """One cell: what it is, what it rests on, what came out; no summaries where it is refused or empty."""

    cell: Cell
    model: str
    dataset: str
    peft: str
    reg: str
    settings: str  # what else tells it from the model's other cells
    source: str
    n: int
    trainable_percent: float | None
    summaries: dict[str, Summary]
    refused: str | None
    warnings: list[str]
    samples: Samples

    @property
    def published(self) -> bool:
        """Whether these are others' scores."""
        return self.source == SOURCE

    @property
    def demo(self) -> bool:
        """Whether any of it rests on data that the project made itself."""
        return "demo" in self.source

    @property
    def data(self) -> str:
        """Its dataset; demo data is called so."""
        return f"{self.dataset} (demo)" if self.demo else self.dataset

    @property
    def known(self) -> bool:
        """Whether its configuration says what it is; what it does not say, it cannot share with another cell."""
        return configuration.known(self.cell.config)


def lines(cells: Iterable[Cell]) -> list[Line]:
    """The cells grouped by model, then dataset (in the paper's order), peft and reg."""
    by_model: dict[str, list[Cell]] = {}
    for cell in cells:
        by_model.setdefault(model_label(cell), []).append(cell)
    return [line for model in sorted(by_model) for line in _of_model(by_model[model])]


def _of_model(cells: list[Cell]) -> list[Line]:
    differing = apart(cell.config for cell in cells)
    found = [_line(cell, ", ".join(one)) for cell, one in zip(cells, differing, strict=True)]
    order = list(DATASETS)
    return sorted(
        found,
        key=lambda line: (
            order.index(name) if (name := line.cell.config["dataset"]["name"]) in order else len(order),
            line.dataset,
            line.peft,
            line.reg,
            line.settings,
            line.cell.signature,
        ),
    )


def _line(cell: Cell, differing: str) -> Line:
    refused = refusal(cell)
    found = {} if refused else {metric: summarise(scores(cell.records, metric).values()) for metric in MEASURES}
    return Line(
        cell=cell,
        model=model_label(cell),
        dataset=dataset_label(cell.config["dataset"]["name"], answers_only(cell.config["dataset"])),
        peft=peft_label(cell.config["peft"]),
        reg=reg_label(cell.config["reg"]),
        settings=differing,
        source=source(cell),
        n=len(cell.records),
        trainable_percent=trainable_percent(cell),
        summaries={metric: summary for metric, summary in found.items() if summary},
        refused=refused,
        warnings=warnings(cell),
        samples=samples(cell.records),
    )


def standings(lines: Iterable[Line]) -> list[str]:
    """Whose samples the cells rest on and what their files hold, a line for all that say the same."""
    cells: dict[tuple[str, Samples], int] = {}
    for line in lines:
        if line.samples.rows:
            cells[line.dataset, line.samples] = cells.get((line.dataset, line.samples), 0) + 1
    return [
        f"{dataset} ({count} cell{'s' if count > 1 else ''}): {found.standing}. Rows: {found.rows}."
        for (dataset, found), count in cells.items()
    ]


def best(lines: Iterable[Line]) -> set[tuple[str, str]]:
    """The (signature, measure) that no other cell of the same model beats on the same data and splits; none alone."""
    groups: dict[tuple, dict[str, float]] = {}
    for line in (line for line in lines if line.known):
        for metric, summary in line.summaries.items():
            alike = metric, _judged_on(line), tuple(scores(line.cell.records, metric))
            groups.setdefault(alike, {})[line.cell.signature] = summary.mean
    found = set()
    for (metric, *_), means in groups.items():
        up = MEASURES[metric].up
        if up is not None and len(set(means.values())) > 1:
            bound = max(means.values()) if up else min(means.values())
            found |= {(signature, metric) for signature, mean in means.items() if mean == bound}
    return found


def _judged_on(line: Line) -> str:
    """What cells must share for one to be better than another: model, examples, their drawing, and nBERT's scorer."""
    asked = [line.cell.config.get(part) for part in ("dataset", "bertscore")]
    return json.dumps([line.model, line.source, fingerprints(line.cell), asked], sort_keys=True, default=str)


def titles(lines: Iterable[Line], only_demo: bool) -> list[str]:
    """What each cell is called beside these others: its model only where there are several."""
    lines = list(lines)
    several = len({line.model for line in lines}) > 1
    return [
        " · ".join(
            filter(
                None,
                [
                    line.dataset if only_demo else line.data,
                    line.peft,
                    "no regulariser" if line.reg == "–" else line.reg,
                    line.model if several else "",
                    line.settings,
                ],
            )
        )
        for line in lines
    ]
