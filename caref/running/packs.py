"""How many splits are trained side by side: as many as the job asks for, or as there is memory for; then fewer."""

import gc
from collections.abc import Callable

from caref.data.splits import Split
from caref.running import trials
from caref.running.workbench import Workbench

# Beyond these a batch keeps the device busy by itself (benchmarks/packed.py).
_MOST = 16
# Of the free memory, for what one split was measured to take; the rest is for what grows with a generation's length.
_SHARE = 0.6


class Packs:
    """The size of a job's packs.

    Args:
        bench: the job's.
        say: is told why splits run one by one, and when packs become smaller.
    """

    def __init__(self, bench: Workbench, say: Callable[[str], None]):
        self._bench, self._say = bench, say
        self._size: int | None = None

    def size(self, sample: Split) -> int:
        """How many splits to run side by side next.

        Args:
            sample: a split of the job, on which to measure what one takes.
        """
        if self._size is None:
            self._size = self._wanted(sample)
        return self._size

    def _wanted(self, sample: Split) -> int:
        from caref.models.packed import why_alone

        bench = self._bench
        asked = bench.job.pack
        # A CPU is busy with one split's batch: on the shape of Flan-T5-small packs were slower (docs/performance.md).
        if asked == 1 or (asked == "auto" and bench.device.type == "cpu"):
            return 1
        reason = why_alone(bench.backbone, bench.job.peft) or trials.why_alone(bench, sample)
        if reason is not None:
            self._say(f"splits run one by one: {reason}")
            return 1
        return self._fitting(sample) if asked == "auto" else asked

    def _fitting(self, sample: Split) -> int:
        from caref.running import memory

        device = self._bench.device
        try:
            taken = memory.peak(lambda: trials.rehearse(self._bench, sample), device)
        except Exception as error:
            if memory.short(error):
                return 1
            raise
        return max(1, min(_MOST, int(_SHARE * memory.free(device) / max(taken, 1))))

    def shrink(self, size: int, trouble: str | None) -> None:
        """Make packs half as large, where memory was short, and give back what is held; else run split by split.

        Args:
            size: of the pack that could not be run.
            trouble: what went wrong; None for want of memory.
        """
        self._size = size // 2 if trouble is None else 1
        why = "not enough memory" if trouble is None else trouble
        self._say(f"{size} splits side by side: {why}; going on with {self._size} at a time")
        gc.collect()
        if self._bench.device.type == "cuda":
            import torch

            torch.cuda.empty_cache()
