"""What a command would run and how long that would take, told from the results folder; nothing is run or written.

Left is what a run would work on: a damaged record, and a finished split without the evidence asked, count as left.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from statistics import fmean

from caref.analysis.labels import answers_only, apart, dataset_label, peft_label, reg_label
from caref.errors import UserError
from caref.results import evidence, store
from caref.results.records import numbered
from caref.running import cards, finished
from caref.running.plans import Plan

_RECORDS = 5  # how many a time is the mean of

# Where a cell has no record to take a split's time from, cells that differ from it in these parts serve, nearest first.
_MAY_DIFFER = (("reg",), ("reg", "peft"), ("reg", "peft", "dataset", "fingerprint"))


def told(plans: Sequence[Plan]) -> str:
    """One line a cell: its signature, splits done and left, hours left, what it is; then the sums.

    Hours are those of one device, by the times in the records of this cell or the nearest like it; "?" where there
    are none. On which device those were taken is told; where it is a known card, so are the bounds of others' hours.

    Raises:
        UserError: where the results folder cannot be read.
    """
    try:
        return _told(plans)
    except store.Unreadable as error:
        results_dir = plans[0].values["results_dir"]
        raise UserError(f"results_dir={results_dir}: {error}; mend it, or choose another folder") from None


def _told(plans: Sequence[Plan]) -> str:
    wanted: dict[str, set[int]] = defaultdict(set)
    missing: dict[str, set[int]] = defaultdict(set)
    work: dict[str, list[tuple[Plan, int]]] = defaultdict(list)
    for plan in plans:
        left = finished.left(plan)
        wanted[plan.signature].update(plan.indices)
        missing[plan.signature].update(left)
        work[plan.signature].append((plan, len(left)))
    cells = {plan.signature: plan for plan in plans}
    seconds = Times(cells, {signature: store.finished(plan.cell) for signature, plan in cells.items()})
    rows, total, untold, unlooked = [], 0.0, 0, 0
    for signature, name in zip(cells, _names(list(cells.values())), strict=True):
        left = len(missing[signature])
        one, needed = seconds.of(signature) if left else 0.0, 0.0
        for plan, runs in work[signature] if one is not None else ():  # each question trains its splits once
            looks = seconds.of_evidence(plan) if runs else 0.0
            unlooked += runs if looks is None else 0
            needed += runs * (one + (looks or 0.0)) / 3600
        hours = "?" if one is None else f"{needed:.1f}"
        total, untold = (total, untold + left) if one is None else (total + needed, untold)
        done = "?" if cells[signature].unknown else len(wanted[signature]) - left
        rows.append(f"{signature}  {done:>5}  {left:5}  {hours:>7}  {name}")
    splits = sum(map(len, wanted.values()))
    left = sum(map(len, missing.values()))
    summary = f"{_count(len(cells), 'cell')}, {_count(splits, 'split')}: {splits - left:,} done, {left:,} left"
    if left > untold:
        summary += f", about {total:.1f} hours of one device"
        if seconds.devices:
            summary += f", as timed on {'; '.join(dict.fromkeys(device for device, _ in seconds.devices))}"
    if untold:
        summary += f"; no record tells how long {'they take' if untold == left else f'{untold:,} of them take'}"
    if unlooked:
        summary += f"; without what evidence takes for {unlooked:,} of them, which no record tells"
    summary += _elsewhere(total, list(seconds.devices))
    for unknown in dict.fromkeys(plan.unknown for plan in plans if plan.unknown):
        summary += f"\nnot known here, so that neither signature nor what is done can be told: {unknown}"
    head = f"{'signature':12}  {'done':>5}  {'left':>5}  {'hours':>7}  cell"
    return "\n".join([head, *rows, summary])


def _elsewhere(hours: float, timed: Sequence[tuple[str, str]]) -> str:
    """Between which hours it would take on other cards, each by the bounds that hold whatever was timed."""
    measured = [(cards.known(device), precision) for device, precision in timed]
    if not hours or not measured or not all(card and precision in cards.PRECISIONS for card, precision in measured):
        return ""
    told = []
    for name, other in cards.PLANNED.items():
        factors = [cards.bounds(card, other, precision) for card, precision in measured]
        low, high = min(low for low, _ in factors), max(high for _, high in factors)
        if low < high:
            told.append(f"{hours * low:.1f} to {hours * high:.1f} on an {name}")
    return f"; by data sheets {', '.join(told)}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' if number != 1 else ''}"


class Times:
    """How long a split takes.

    Attributes:
        devices: which the times were taken on, so far, each with the precision computed in.
    """

    def __init__(self, cells: Mapping[str, Plan], finished: Mapping[str, set[int]]):
        self._cells, self._finished = cells, finished
        self.devices: dict[tuple[str, str], None] = {}

    def of(self, signature: str) -> float | None:
        """Seconds a split of this cell takes to train, write and score; None where no record tells."""
        return self._nearest(signature, self._recorded)

    def of_evidence(self, plan: Plan) -> float | None:
        """Seconds more that the evidence asked of a split takes; 0 where none is asked, None where no record tells."""
        asked = plan.values["evidence"]
        if not asked["measures"]:
            return 0.0
        return self._nearest(
            plan.signature, lambda like: self._looked(evidence.folder_of(self._cells[like].cell, asked))
        )

    def _nearest(self, signature: str, recorded: Callable[[str], list[float]]) -> float | None:
        if own := recorded(signature):
            return fmean(own)
        for parts in _MAY_DIFFER:
            times: list[float] = []
            for like in self._alike(parts)[_key(self._cells[signature], parts)]:
                times += recorded(like)
                if len(times) >= _RECORDS:
                    break
            if times:
                return fmean(times)
        return None

    @cache  # noqa: B019 - lives as long as one forecast
    def _alike(self, parts: tuple[str, ...]) -> Mapping[str, list[str]]:
        """The cells that have records, by all but these parts of their configuration."""
        groups = defaultdict(list)
        for signature, plan in self._cells.items():
            if self._finished[signature]:
                groups[_key(plan, parts)].append(signature)
        return groups

    @cache  # noqa: B019
    def _recorded(self, signature: str) -> list[float]:
        times = []
        for split in sorted(self._finished[signature])[-_RECORDS:]:
            try:
                record = store.read_record(self._cells[signature].cell, split)
            except (store.Damaged, store.Unreadable):
                continue
            if record and record["run"]["seconds"]:
                times.append(sum(record["run"]["seconds"].values()))
                self._timed(record["run"])
        return times

    @cache  # noqa: B019
    def _looked(self, folder: Path) -> list[float]:
        times = []
        for split in numbered(folder)[-_RECORDS:]:
            try:
                record = evidence.read_split(folder, split)
            except (store.Damaged, store.Unreadable):
                continue
            if record and (seconds := record["run"]["seconds"].get("evidence")):
                times.append(seconds)
                self._timed(record["run"])
        return times

    def _timed(self, run: Mapping) -> None:
        if device := run.get("device"):
            self.devices[str(device), str(run.get("precision"))] = None


def _key(plan: Plan, without: Sequence[str]) -> str:
    return json.dumps({part: value for part, value in plan.description.items() if part not in without}, sort_keys=True)


def _names(plans: Sequence[Plan]) -> list[str]:
    """What each cell is, with whatever else tells it from the model's others."""
    models = defaultdict(list)
    for position, plan in enumerate(plans):
        models[plan.description["model"]["name"]].append(position)
    names = {}
    for model, positions in models.items():
        described = [plans[position].description for position in positions]
        for position, values, differing in zip(positions, described, apart(described), strict=True):
            reg = reg_label(values["reg"]).replace("–", "no regulariser")
            what = (
                model,
                dataset_label(values["dataset"]["name"], answers_only(values["dataset"])),
                peft_label(values["peft"]),
                reg,
            )
            names[position] = ", ".join([*what, *differing])
    return [names[position] for position in range(len(plans))]
