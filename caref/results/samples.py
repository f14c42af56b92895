"""What a cell's splits are samples of: FEB's own or not, and why not; how many rows its files hold and lack."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Samples:
    """In words, from the records of a cell.

    Attributes:
        label: "FEB's own", "FEB's own in 2 of 60", "not FEB's own", "balanced"; "not recorded" by older versions.
        reasons: what keeps splits from being FEB's own; none where nothing does or nobody recorded it.
        rows: of each side how many rows its file holds, and how many of them were dropped for which reason; "" where
            nobody recorded it.
    """

    label: str
    reasons: tuple[str, ...]
    rows: str

    @property
    def why(self) -> str:
        return "; ".join(self.reasons)

    @property
    def standing(self) -> str:
        """The label, and why."""
        return f"{self.label}: {self.why}" if self.why else self.label

    def lines(self) -> list[str]:
        """What a run prints."""
        return [f"samples: {self.standing}", f"rows: {self.rows}"]


def samples(records: Mapping[int, Mapping]) -> Samples:
    """What the records say of their samples.

    Args:
        records: of one cell, by split index.
    """
    told = [record["protocol"] for record in records.values() if "protocol" in record]
    rows = next((record["rows"] for record in records.values() if "rows" in record), {})
    own = sum(one["own"] for one in told)
    if not told:
        label = "not recorded"
    elif own == len(records):
        label = "FEB's own"
    elif own:
        label = f"FEB's own in {own} of {len(records)}"
    else:
        label = "balanced" if all(one["sampling"] == "balanced" for one in told) else "not FEB's own"
    reasons = dict.fromkeys(reason for one in told for reason in one["reasons"])
    why = [reason for reason in reasons if not (label == "balanced" and reason == "dataset.sampling=balanced")]
    return Samples(label, (*why, *_replaced(told)), "; ".join(map(_side, rows.values())))


def _replaced(protocols: list[Mapping]) -> list[str]:
    """How many drawn rows could not be used, of each side and in how many splits."""
    counts: dict[str, Counter[str]] = {}
    splits: Counter[str] = Counter()
    for one in protocols:
        for side, reasons in one["replaced"].items():
            counts.setdefault(side, Counter()).update(reasons)
            splits[side] += 1
    told = []
    for side, found in counts.items():
        rows, times = f"{found.total():,} drawn row", f"{splits[side]} split"
        rows += "s" if found.total() > 1 else ""
        times += "s" if splits[side] > 1 else ""
        told.append(f"{rows} of {side} replaced in {times} ({', '.join(found)})")
    return told


def _side(side: Mapping) -> str:
    dropped = ", ".join(f"{count:,} dropped ({reason})" for reason, count in side["dropped"].items())
    return f"{side['split']} {side['rows']:,}, {dropped or 'none dropped'}"
