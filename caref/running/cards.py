"""Between which bounds a time that was measured on one graphics card lies on another, by their data sheets."""

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Card:
    """Peaks of NVIDIA's data sheets, of dense matrices.

    Attributes:
        bfloat16: TFLOP/s.
        float32: TFLOP/s; not TF32's, which PyTorch does not use unless told to.
        memory: GB/s.
    """

    bfloat16: float
    float32: float
    memory: float


# By the words of the names that drivers give them; the first whose words a name has.
_KNOWN: Mapping[tuple[str, ...], Card] = {
    ("A40",): Card(149.7, 37.4, 696),
    ("A100", "40GB"): Card(312, 19.5, 1555),
    ("A100", "PCIe"): Card(312, 19.5, 1935),
    ("A100",): Card(312, 19.5, 2039),
    ("H100", "PCIe"): Card(756, 51, 2000),
    ("H100", "NVL"): Card(835, 60, 3900),
    ("H100",): Card(989, 67, 3350),
    ("H200", "NVL"): Card(835, 60, 4800),
    ("H200",): Card(989, 67, 4800),
}
PRECISIONS = ("bfloat16", "float32")
PLANNED = {"A40": _KNOWN["A40",], "A100 80 GB": _KNOWN["A100",], "H100": _KNOWN["H100",]}


def known(device: str) -> Card | None:
    """The card that a driver calls so ("NVIDIA A100-SXM4-80GB"); None of any other device, a slice of one too."""
    words = set(re.split(r"[\s-]+", device))
    if "MIG" in words:
        return None
    return next((card for names, card in _KNOWN.items() if words.issuperset(names)), None)


def bounds(measured: Card, other: Card, precision: str) -> tuple[float, float]:
    """The least and the greatest factor by which a time changes from one card to the other.

    A kernel waits for arithmetic, for memory or for its launch; each scales by its own ratio, launches not at all. So a
    sum of many lies between the least and the greatest of the three, where both cards come as near to their peaks, on
    like hosts. Of small batches much is launches, and the hours are nearer to those measured than to the other bound.

    Args:
        precision: one of `PRECISIONS`, what is multiplied. Of bfloat16 a small part is left out: evaluation's head and
            BERTScore multiply in float32 still.
    """
    ratios = [1.0, getattr(measured, precision) / getattr(other, precision), measured.memory / other.memory]
    return min(ratios), max(ratios)
