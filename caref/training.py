"""One split, from batches to trained weights: a plain loop."""

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch.nn.utils import clip_grad_norm_
from transformers import get_linear_schedule_with_warmup

from caref.data.batches import Encoded, collate, shuffled
from caref.errors import SplitFailed


def precision(choice: str, device: torch.device) -> torch.dtype:
    """What the frozen weights are kept in and matrix products are computed in; what is trained stays in float32.

    Args:
        choice: fp32, bf16, or auto: bf16 where the device multiplies in it, else fp32.
    """
    if choice == "auto":
        choice = "bf16" if _computes_in_bf16(device) else "fp32"
    return {"bf16": torch.bfloat16, "fp32": torch.float32}[choice]


def _computes_in_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def steps(examples: int, batch_size: int, epochs: int) -> int:
    """Optimiser steps of a training."""
    return math.ceil(examples / batch_size) * epochs


def warmup(requested: int, total: int) -> int:
    """Warm-up steps: as requested, but at most five sixths of the run (the paper's share: 500 of 600)."""
    return min(requested, total * 5 // 6)


def fit(
    part,
    backbone,
    objective,
    examples: Sequence[Encoded],
    settings,
    seed: int,
    on_step: Callable[[int, Mapping[str, float]], None] = lambda step, terms: None,
) -> dict[str, float]:
    """Train one split's trainable part: AdamW, linear warm-up and decay, clipped gradients.

    Args:
        part: of `caref.models.trained.trained_part`; its model is trained in place.
        backbone: the model's tokenizer and kind.
        objective: of `caref.objectives`; called with the model's output, labels and the answer's labels.
        examples: the split's training examples in tokens.
        settings: the configuration's `train`.
        seed: of the order of examples and of dropout.
        on_step: is told each step and its terms.

    Returns:
        Every term's mean over the last epoch, and the loss's.

    Raises:
        SplitFailed: where the loss is not finite, with the step and the terms.
    """
    total = steps(len(examples), settings.batch_size, settings.epochs)
    optimizer = torch.optim.AdamW(
        part.parameters, lr=settings.lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=settings.weight_decay
    )
    schedule = get_linear_schedule_with_warmup(optimizer, warmup(settings.warmup_steps, total), total)
    requested = {f"output_{need}": True for need in objective.needs}
    torch.manual_seed(seed)
    part.model.train()
    history: list[dict[str, float]] = []
    for step, drawn in enumerate(shuffled(examples, settings.batch_size, settings.epochs, seed), start=1):
        batch = collate(drawn, backbone)
        with backbone.autocast():
            output = part.model(**batch.inputs, **requested, use_cache=False)
        answer_labels = batch.answer_labels if settings.supervise == "answer" else None
        terms = objective(output, batch.labels, answer_labels)
        extra = part.extra_loss()
        loss = terms.loss if extra is None else terms.loss + extra
        values = {"loss": loss.item()} | {name: term.item() for name, term in terms.named.items()}
        if not math.isfinite(values["loss"]):
            told = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
            raise SplitFailed(f"step {step} of {total}: {told}; a lower train.lr may help")
        loss.backward()
        clip_grad_norm_(part.parameters, settings.max_grad_norm)
        optimizer.step()
        schedule.step()
        part.after_step(step)
        optimizer.zero_grad(set_to_none=True)
        history.append(values)
        on_step(step, values)
    last = history[-steps(len(examples), settings.batch_size, 1) :]
    return {name: math.fsum(values[name] for values in last) / len(last) for name in last[0]}
