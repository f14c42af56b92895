"""Every per-position value that an objective is made of, from logits and labels."""

from dataclasses import dataclass

import torch
from torch import Tensor

from caref.kernels import row_terms
from caref.kernels.pointers import holds_its_numbers
from caref.objectives import divergences


@dataclass(frozen=True)
class PerToken:
    """One value a position, shaped like the labels and 0 where they are ignored. Differentiable."""

    ce: Tensor  # cross-entropy against the label
    uniform: Tensor  # cross-entropy against the uniform distribution
    entropy: Tensor
    kl: Tensor  # KL to the uniform distribution
    sced: Tensor  # 0 where no alpha and beta were given


def per_token(
    logits: Tensor,
    labels: Tensor,
    *,
    alpha: float | None = None,
    beta: float | None = None,
    ignore_index: int = -100,
) -> PerToken:
    """The terms of every position, before any mean.

    float64 is computed by `reference`; every other dtype by the fused kernels, in float32, to its rounding. What keeps
    its numbers elsewhere than in its memory (a DTensor) is computed by `reference` too, as far as PyTorch can.

    Args:
        logits: (..., V), any float dtype, V >= 2.
        labels: (...), whole numbers, aligned with the logits; `ignore_index` where nothing is to be predicted.
        alpha, beta: SCED's exponents; without them SCED is left out.

    Raises:
        ValueError: shapes that do not fit, or a label that is no word of the vocabulary. (On CUDA, where looking
            would stall the device, such a label makes its position's cross-entropy NaN instead.)
        TypeError: logits or labels of another kind of number, or on two devices.
    """
    labels = class_indices(labels)
    _check(logits, labels, ignore_index)
    if logits.dtype == torch.float64 or not (holds_its_numbers(logits) and holds_its_numbers(labels)):
        return reference(logits, labels, alpha=alpha, beta=beta, ignore_index=ignore_index)
    if logits.dtype not in (torch.float32, torch.bfloat16):
        logits = logits.float()
    rows = logits.reshape(labels.numel(), logits.shape[-1])
    values = row_terms.row_terms(rows, labels.reshape(-1), alpha, beta, ignore_index)
    return PerToken(*values.reshape(len(values), *labels.shape).unbind(0))


def per_token_from_hidden(
    hidden: Tensor,
    weight: Tensor,
    labels: Tensor,
    *,
    alpha: float | None = None,
    beta: float | None = None,
    ignore_index: int = -100,
) -> PerToken:
    """`per_token` of the logits hidden @ weight.T, without ever holding all of them.

    Args:
        hidden: (..., D), float32 or bfloat16: the last hidden states, scaled as the model scales them.
        weight: (V, D), the output matrix, in the same dtype. Gradients flow to whichever of the two asks for one.
        labels: (...), whole numbers.
    """
    labels = class_indices(labels)
    _check(hidden[..., :1].expand(*hidden.shape[:-1], len(weight)), labels, ignore_index)
    rows = hidden.reshape(labels.numel(), hidden.shape[-1])
    values = row_terms.linear_row_terms(rows, weight, labels.reshape(-1), alpha, beta, ignore_index)
    return PerToken(*values.reshape(len(values), *labels.shape).unbind(0))


def reference(
    logits: Tensor,
    labels: Tensor,
    *,
    alpha: float | None = None,
    beta: float | None = None,
    ignore_index: int = -100,
) -> PerToken:
    """What `per_token` computes, by the definitions of `divergences` and autograd: to read and to compare with."""
    counted = labels != ignore_index
    # Rows are chosen first: whatever an ignored row holds, NaN included, it adds nothing and gets gradient 0.
    log_p, log_q = divergences.log_probabilities(logits[counted])
    ce = -log_p.gather(-1, labels[counted].unsqueeze(-1)).squeeze(-1)
    sced = torch.zeros_like(ce) if alpha is None else divergences.sced(log_p, log_q, alpha, beta)

    def spread(values: Tensor) -> Tensor:
        return values.new_zeros(labels.shape).masked_scatter(counted, values)

    return PerToken(
        ce=spread(ce),
        uniform=spread(divergences.cross_entropy_to_uniform(log_p)),
        entropy=spread(divergences.entropy(log_p)),
        kl=spread(divergences.kl_to_uniform(log_p)),
        sced=spread(sced),
    )


def class_indices(labels: Tensor) -> Tensor:
    """Labels as int64, from whole numbers of any width.

    Raises:
        TypeError: they are no whole numbers.
    """
    if labels.dtype == torch.bool or labels.is_floating_point() or labels.is_complex():
        raise TypeError(f"expected labels of dtype int64, but got {str(labels.dtype).removeprefix('torch.')}")
    return labels.long()


def _check(logits: Tensor, labels: Tensor, ignore_index: int) -> None:
    if logits.shape[:-1] != labels.shape:
        raise ValueError(
            f"logits {tuple(logits.shape)} and labels {tuple(labels.shape)} do not fit: "
            "labels must have the logits' shape without its last dimension"
        )
    if not logits.is_floating_point():
        raise TypeError(f"expected logits of a floating dtype, but got {str(logits.dtype).removeprefix('torch.')}")
    if logits.device != labels.device:
        raise TypeError(f"expected all tensors on one device, but labels are on {labels.device}, not {logits.device}")
    if logits.shape[-1] < 2:
        raise ValueError("a vocabulary needs two words at least")
    if labels.is_cuda:
        return
    out_of_range = (labels != ignore_index) & ((labels < 0) | (labels >= logits.shape[-1]))
    if out_of_range.any():
        word = labels[out_of_range][0].item()
        raise ValueError(f"label {word} is outside the vocabulary of {logits.shape[-1]} words")
