"""One split or several side by side, from batches to trained weights: a plain loop."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain

import torch
from torch.optim.lr_scheduler import LambdaLR

from caref.config.schema import Train
from caref.data.batches import Batch, Encoded, collate, shuffled
from caref.errors import SplitFailed, UserError
from caref.kernels.dropout import own_masks
from caref.kernels.masks import Hashes
from caref.models import heads
from caref.models.asking import Asking
from caref.models.backbones import Backbone
from caref.models.packed import PackedPart, drops_layers
from caref.objectives.objective import Objective
from caref.objectives.reduction import Terms, Totals, totals

_NORM = "gradient norm"


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


def linear(warmup_steps: int, total: int) -> Callable[[int], float]:
    """The share of the learning rate at each step: linear warm-up from 0 to 1, then linear decay to 0 at `total`.

    transformers has the same, but imports all of PEFT along with it, also for a job that uses no adapter.
    """

    def share(step: int) -> float:
        if step < warmup_steps:
            return step / warmup_steps
        return (total - step) / (total - warmup_steps)

    return share


def fit(
    part: PackedPart,
    backbone: Backbone,
    objective: Objective,
    splits: Sequence[Sequence[Encoded]],
    settings: Train,
    seeds: Sequence[int],
    on_step: Callable[[list[Mapping[str, float]]], None] = lambda terms: None,
    on_epoch: Callable[[int], None] = lambda done: None,
) -> list[dict[str, float] | SplitFailed]:
    """Train the parts of K splits: AdamW, linear warm-up and decay, clipped gradients, each split as if alone.

    Their batches lie one after the other in one batch. Each split has its own order of examples, its own dropout
    masks, its own loss and its own gradient norm; the schedule and AdamW, which treats every weight by itself, are
    the same for all. A split whose loss or gradient is not finite stands still from then on, and the others go on.

    Args:
        part: of as many splits; its model is trained in place.
        splits: the training examples of each, equally many.
        seeds: of each split's order of examples and of its dropout.
        on_step: is told each split's terms after every step.
        on_epoch: is told how many epochs are done, 0 at the start, as long as no split has failed. It may ask the model
            for whatever it likes without moving the training.

    Returns:
        Of each split every term's mean over the last epoch and the loss's, or why it failed: the step and the terms
        at which its loss, or its gradient, was not finite.
    """
    (count,) = {len(examples) for examples in splits}  # or else their schedules differ
    an_epoch, total = (steps(count, settings.batch_size, epochs) for epochs in (1, settings.epochs))
    # What is trained beside the model has a rate and a gradient norm of its own: the model is none the wiser.
    sides = [{"params": part.parameters}]
    if part.explaining:
        own = {"lr": objective.definition.module_lr, "weight_decay": objective.definition.module_decay}
        sides.append({"params": list(part.explaining.values()), **own})
    optimizer = torch.optim.AdamW(
        sides, lr=settings.lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=settings.weight_decay, fused=True
    )
    schedule = LambdaLR(optimizer, linear(warmup(settings.warmup_steps, total), total))
    labelled_alone = objective.by_position and _computes_labelled_alone(part, backbone, splits)
    torch.manual_seed(seeds[0])  # for whatever a model draws beside dropout
    part.model.train()
    orders = [
        shuffled(examples, settings.batch_size, settings.epochs, seed)
        for examples, seed in zip(splits, seeds, strict=True)
    ]
    history: list[list[dict[str, float]]] = []
    failed: dict[int, SplitFailed] = {}
    with own_masks(seeds, backbone.device) as masks, recomputing(backbone, settings, masks):
        with undisturbed(part.model):
            on_epoch(0)
        for step, drawn in enumerate(zip(*orders, strict=True), start=1):
            examples = list(chain.from_iterable(drawn))
            terms = backward(part, backbone, objective, examples, settings, masks, len(splits), labelled_alone)
            norms = [clip(side["params"], settings.max_grad_norm, len(splits)) for side in sides]
            history.append(_by_split({**terms, _NORM: sum(norms).to(terms["loss"])}))
            for place, values in enumerate(history[-1]):
                norm = values.pop(_NORM)
                if place not in failed and not (math.isfinite(values["loss"]) and math.isfinite(norm)):
                    told = ", ".join(f"{name} {value:.4g}" for name, value in {**values, _NORM: norm}.items())
                    failed[place] = SplitFailed(f"step {step} of {total}: {told}; a lower train.lr may help")
            if len(failed) == len(splits):
                break
            for side in sides:
                for parameter in side["params"] if failed else ():
                    if parameter.grad is not None:
                        parameter.grad[list(failed)] = 0
            optimizer.step()
            schedule.step()
            part.after_step(step)
            optimizer.zero_grad(set_to_none=True)
            on_step(history[-1])
            if step % an_epoch == 0 and not failed:
                with undisturbed(part.model):
                    on_epoch(step // an_epoch)
    last = history[-an_epoch:]
    return [failed.get(place) or _means([values[place] for values in last]) for place in range(len(splits))]


@contextmanager
def undisturbed(model: torch.nn.Module) -> Iterator[None]:
    """After the block the model's modules are in the modes they were in, and PyTorch's generators where they were."""
    modes = {module: module.training for module in model.modules()}
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        yield
    for module, mode in modes.items():
        module.training = mode


@torch.no_grad()
def _computes_labelled_alone(part: PackedPart, backbone: Backbone, splits: Sequence[Sequence[Encoded]]) -> bool:
    """Whether logits can be computed where there are labels and nowhere else; tried on two examples of each split."""
    part.model.eval()
    batch = collate(list(chain.from_iterable(examples[:2] for examples in splits)), backbone)
    with backbone.autocast():
        return heads.chooses(part.model, lambda: part.model(**batch.inputs, use_cache=False).logits, batch.labelled)


def terms_of(
    part: PackedPart,
    backbone: Backbone,
    objective: Objective,
    examples: Sequence[Encoded],
    supervise: str = "joint",
    splits: int = 1,
    labelled_alone: bool = False,
    batch: Batch | None = None,
    whole: Totals | None = None,
) -> Terms:
    """The objective of one batch: loss and terms, one a split.

    Args:
        examples: those of each split one after the other, equally many.
        supervise: as `caref.config.schema.Train` has it.
        labelled_alone: compute logits where there are labels and nowhere else.
        batch: these examples in tensors, or a part of them; None to make it.
        whole: what the means are over, where the batch is a part.
    """
    batch = batch or collate(examples, backbone)
    labelled = batch.labelled if labelled_alone else None
    with backbone.autocast(), heads.given(part.model, heads.at(labelled, batch.labels.shape)):
        output = part.model(**batch.inputs, use_cache=False)
    questions = None
    if objective.asks:
        questions = Asking(part.model, backbone, part.beside, examples, splits, part.parameters)
    answer_labels = batch.answer_labels if supervise == "answer" else None
    return objective(output, batch.labels, answer_labels, splits, labelled, questions, whole)


def backward(
    part: PackedPart,
    backbone: Backbone,
    objective: Objective,
    examples: Sequence[Encoded],
    settings: Train,
    masks: Hashes,
    splits: int = 1,
    labelled_alone: bool = False,
) -> dict[str, torch.Tensor]:
    """Add the gradients of a step's batch to those of the part's parameters, in as many parts as the settings say.

    What is counted and what is dropped is the whole batch's, so the sums are the same but for their rounding.

    Args:
        examples, splits, labelled_alone: as `terms_of` takes them.
        masks: of the block of `own_masks` that this is called in.

    Returns:
        The loss and every term of the objective by name, (K,) each.
    """
    batch, whole = collate(examples, backbone), None
    if settings.gradient_accumulation > 1:
        whole = totals(batch.labels, batch.answer_labels if settings.supervise == "answer" else None, groups=splits)
    sums: dict[str, torch.Tensor] = {}
    masks.begin_step()
    for row, rows in batch.parts(settings.gradient_accumulation, splits):
        masks.begin_part(row)
        terms = terms_of(
            part, backbone, objective, examples, settings.supervise, splits, labelled_alone, batch=rows, whole=whole
        )
        extra = part.extra_loss() if row == 0 else None
        loss = terms.loss if extra is None else terms.loss + extra
        if loss.requires_grad or not drops_layers(backbone):  # a step without any trained layer trains nothing
            loss.sum().backward()
        for name, value in {"loss": loss.detach(), **terms.named}.items():
            sums[name] = sums[name] + value if name in sums else value
    return sums


@contextmanager
def recomputing(backbone: Backbone, settings: Train, masks: Hashes) -> Iterator[None]:
    """In the block layers are computed again in the backward pass, where the settings say so, and dropped out alike.

    Raises:
        UserError: the family cannot.
    """
    if not settings.gradient_checkpointing:
        yield
        return
    model = backbone.model
    try:
        model.activation_checkpointing_enable({"use_reentrant": False, "context_fn": masks.replayed})
    except ValueError:
        told = f"transformers cannot compute the layers of {model.config.model_type} again; leave it out"
        raise UserError(f"train.gradient_checkpointing=true: {told}") from None
    try:
        yield
    finally:
        model.activation_checkpointing_disable()


def clip(parameters: Sequence[torch.nn.Parameter], max_norm: float, splits: int) -> torch.Tensor:
    """Scale each split's gradients so that their common norm is at most `max_norm`.

    Args:
        parameters: (K, ...) each; where K = 1, without that dimension.
        splits: K.

    Returns:
        (K,): the norms before.
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not gradients:
        return torch.zeros(splits, device=parameters[0].device if parameters else None)
    norms = torch.stack([gradient.reshape(splits, -1).norm(dim=1) for gradient in gradients]).norm(dim=0)
    factors = (max_norm / (norms + 1e-6)).clamp(max=1)
    for gradient in gradients:
        gradient.mul_(factors.view(-1, *[1] * (gradient.dim() - 1)))
    return norms


def _by_split(terms: Mapping[str, torch.Tensor]) -> list[dict[str, float]]:
    """(K,) values by name -> K mappings; one copy from the device, which training waits for."""
    values = torch.stack(list(terms.values()), dim=1).tolist()
    return [dict(zip(terms, row, strict=True)) for row in values]


def _means(values: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: math.fsum(one[name] for one in values) / len(values) for name in values[0]}
