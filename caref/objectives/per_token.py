"""Every per-position value that an objective is made of, from logits and labels."""

from dataclasses import dataclass

from torch import Tensor

from caref.objectives import divergences


@dataclass(frozen=True)
class PerToken:
    """One value a position, shaped like the labels and 0 where they are ignored. Differentiable."""

    ce: Tensor  # cross-entropy against the label
    uniform: Tensor  # cross-entropy against the uniform distribution
    entropy: Tensor
    kl: Tensor  # KL to the uniform distribution
    sced: Tensor | None  # None where no alpha and beta were given


def per_token(
    logits: Tensor,
    labels: Tensor,
    *,
    alpha: float | None = None,
    beta: float | None = None,
    ignore_index: int = -100,
) -> PerToken:
    """The terms of every position, before any mean.

    Args:
        logits: (..., V), float64, or any other float dtype computed in float32.
        labels: (...), int64, aligned with the logits; `ignore_index` where nothing is to be predicted.
        alpha, beta: SCED's exponents; without them SCED is left out.

    Raises:
        ValueError: shapes that do not fit, or a label that is no word of the vocabulary.
    """
    counted = _counted(logits, labels, ignore_index)
    # Rows are chosen first: whatever an ignored row holds, NaN included, it adds nothing and gets gradient 0.
    log_p, log_q = divergences.log_probabilities(logits[counted])

    def spread(values: Tensor) -> Tensor:
        return values.new_zeros(labels.shape).masked_scatter(counted, values)

    return PerToken(
        ce=spread(-log_p.gather(-1, labels[counted].unsqueeze(-1)).squeeze(-1)),
        uniform=spread(divergences.cross_entropy_to_uniform(log_p)),
        entropy=spread(divergences.entropy(log_p)),
        kl=spread(divergences.kl_to_uniform(log_p)),
        sced=None if alpha is None else spread(divergences.sced(log_p, log_q, alpha, beta)),
    )


def _counted(logits: Tensor, labels: Tensor, ignore_index: int) -> Tensor:
    """(...) bool: where there is something to predict, once logits and labels are found to fit."""
    if logits.shape[:-1] != labels.shape:
        raise ValueError(
            f"logits {tuple(logits.shape)} and labels {tuple(labels.shape)} do not fit: "
            "labels must have the logits' shape without its last dimension"
        )
    counted = labels != ignore_index
    out_of_range = counted & ((labels < 0) | (labels >= logits.shape[-1]))
    if out_of_range.any():
        word = labels[out_of_range][0].item()
        raise ValueError(f"label {word} is outside the vocabulary of {logits.shape[-1]} words")
    return counted
