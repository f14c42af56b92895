"""Rows of logits that are hard on an implementation: (name, logits)."""

import math

import torch


def hard_rows(size: int) -> dict[str, torch.Tensor]:
    """Rows (size,) in float64, exact in float32 as well; bfloat16 rounds them to rows as hard."""
    generator = torch.Generator().manual_seed(size)
    noise = torch.randn(size, generator=generator, dtype=torch.float64).float().double()
    rows = {
        "uniform": torch.zeros(size, dtype=torch.float64),
        "near uniform": noise / 1024,
        "ordinary": noise,
        "peaked": noise * 8,
        "thousands": noise.clamp(-4, 4) * 2500,
        "two peaks": torch.full((size,), -1e4, dtype=torch.float64).index_fill(0, torch.tensor([0, size - 1]), 1e4),
    }
    # One probability closer and closer to 1: to the last bit of a float, and far beyond it.
    for gap in (10, 20, 40, 100, 1000, 20000):
        rows[f"{gap} above the rest"] = (noise / 4).index_fill(0, torch.tensor(size // 2), gap)
    return rows


def masked_rows(size: int) -> dict[str, torch.Tensor]:
    """Rows with words masked out, whose probability is exactly 0; in the last, one word's is exactly 1."""
    some = torch.linspace(-2, 2, size, dtype=torch.float64)
    some[::2] = -math.inf
    one = torch.full((size,), -math.inf, dtype=torch.float64)
    one[size // 2] = 3.0
    return {"half masked": some, "all but one masked": one}
