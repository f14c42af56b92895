"""How far a job is: a bar for a person at a terminal, one line a split for a log file."""

import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta

from tqdm import tqdm

_SHOWN = {"accuracy": "accuracy", "nbert": "nBERT"}


class Progress:
    """Tells of one job's splits.

    Args:
        title: what the job is called in every line.
        total: how many splits the job is asked for.
        records: of those that an earlier run finished.
    """

    def __init__(self, title: str, total: int, records: Sequence[Mapping]):
        self._title, self._total = title, total
        self._records = list(records)
        self._left = total - len(self._records)
        self._worked: list[float] = []  # seconds, of the splits finished here
        self._bar: tqdm | None = None
        self._began, self._side_by_side = time.monotonic(), 1

    def begin(self, phase: str, total: int, done: int = 0) -> None:
        """A stretch of `total` steps begins, `train` or `generate`, or goes on where some are done."""
        self.end()
        told, silent = f"{self._title}  {phase}", not sys.stderr.isatty()
        self._bar = tqdm(total=total, desc=told, leave=False, initial=done, disable=silent)

    def step(self, terms: Mapping[str, float] | None = None, count: int = 1) -> None:
        """`count` more steps are done; `terms` are shown beside the bar."""
        if terms:
            self._bar.set_postfix({name: f"{value:.3g}" for name, value in terms.items()}, refresh=False)
        self._bar.update(count)

    def end(self) -> None:
        """The stretch is over."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def start(self, splits: int = 1) -> None:
        """The work on some splits side by side begins."""
        self._began, self._side_by_side = time.monotonic(), splits

    def finished(self, record: Mapping, worked: bool = True) -> None:
        """A split's record is there, by work done here or by another process meanwhile."""
        self.end()
        self._records.append(record)
        self._left -= 1
        if worked:
            self._worked.append((time.monotonic() - self._began) / self._side_by_side)
        self.say(self._running())

    def failed(self, split: int, error: str) -> None:
        """A split could not be finished."""
        self.end()
        self._left -= 1
        self.say(f"split {split} failed: {error}")

    def _running(self) -> str:
        parts = [f"{len(self._records)}/{self._total} splits"]
        for score, name in _SHOWN.items():
            values = [record["scores"][score] for record in self._records if score in record["scores"]]
            if values:
                parts.append(f"{name} {statistics.fmean(values):.2f} ± {statistics.pstdev(values):.2f}")
        if self._worked and self._left:
            left = statistics.fmean(self._worked) * self._left
            parts.append(f"{timedelta(seconds=round(left))} left")
        return "  ".join(parts)

    def say(self, line: str) -> None:
        """A line of the log, that no bar runs into."""
        tqdm.write(f"{self._title}  {line}", file=sys.stderr)
        sys.stderr.flush()
