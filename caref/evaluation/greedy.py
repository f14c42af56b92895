"""The loop that `generate` of transformers decodes by on a CPU: greedy, and rows that have ended leave the batch.

Of a row it computes what transformers' own loop computes, which keeps every row until the last one ends.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from transformers import Cache, DynamicCache, EncoderDecoderCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

# Rows leave when they are this share of the batch: that copies what is kept of the others.
_LEAVING = 1 / 8


def rows_leave(splits: int = 1) -> Callable[..., Tensor]:
    """What `generate` takes as `custom_generate`, for a batch of as many splits, equally many rows of each.

    Where the model keeps something of the prompts that rows cannot be taken out of, or a processor of its logits may
    know rows by their number, none leaves before the last.
    """

    def decode(model, input_ids: Tensor, logits_processor, stopping_criteria, generation_config, **kept: Any) -> Tensor:
        """(B, T), prompts or what a decoder starts with -> (B, T + W), with what is written, filled up with padding.

        Args:
            kept: what `generate` has prepared for the model, and goes on with from token to token.
        """
        pad = generation_config.pad_token_id
        count, columns = len(input_ids), list(input_ids.unbind(1))
        rows, writes = torch.arange(count), torch.ones(count, dtype=torch.bool)
        first = True
        while writes.any():
            stay = _staying(writes, splits)
            if len(stay) <= (1 - _LEAVING) * len(rows) and not logits_processor and _in_rows(kept, len(rows)):
                rows, writes, input_ids, kept = rows[stay], writes[stay], input_ids[stay], _of(kept, stay)
            asked = model.prepare_inputs_for_generation(
                input_ids, next_sequence_length=None if first else 1, is_first_iteration=first, **kept
            )
            output = model(**asked, return_dict=True)
            kept = model._update_model_kwargs_for_generation(output, kept, model.config.is_encoder_decoder)
            scores = output.logits[:, -1]
            if logits_processor:
                scores = logits_processor(input_ids, scores.float())
            likeliest = scores.argmax(-1).masked_fill(~writes, pad)
            columns.append(input_ids.new_full((count,), pad).index_copy(0, rows, likeliest))
            input_ids = torch.cat([input_ids, likeliest.unsqueeze(1)], dim=1)
            writes = writes & ~stopping_criteria(input_ids, None)
            first = False
        return torch.stack(columns, dim=1)

    return decode


def _staying(writes: Tensor, splits: int) -> Tensor:
    """Places of the rows that still write, and of as many others as keep the splits' rows equally many."""
    by_split = writes.view(splits, -1)
    most = int(by_split.sum(1).max())
    chosen = by_split.int().argsort(dim=1, descending=True, stable=True)[:, :most].sort(dim=1).values
    return (chosen + torch.arange(splits).unsqueeze(1) * by_split.shape[1]).flatten()


def _in_rows(kept: Any, rows: int) -> bool:
    """Whether all that is kept from token to token has the batch's rows as its first dimension, or none of them."""
    match kept:
        case Tensor():
            return kept.dim() > 0 and len(kept) == rows
        case EncoderDecoderCache():
            return _in_rows((kept.self_attention_cache, kept.cross_attention_cache), rows)
        case DynamicCache():
            return all(
                type(layer) in (DynamicLayer, DynamicSlidingWindowLayer)
                and (not layer.is_initialized or len(layer.keys) == rows)
                for layer in kept.layers
            )
        case Mapping():
            return all(_in_rows(one, rows) for one in kept.values())
        case tuple() | list():
            return all(_in_rows(one, rows) for one in kept)
        case _:
            return kept is None or isinstance(kept, (bool, int, float, str))


def _of(kept: Any, stay: Tensor) -> Any:
    """What is kept of these rows."""
    match kept:
        case Tensor():
            return kept[stay]
        case Cache():
            kept.batch_select_indices(stay)
            return kept
        case Mapping():
            return type(kept)(**{name: _of(one, stay) for name, one in kept.items()})
        case tuple() | list():
            return type(kept)(_of(one, stay) for one in kept)
        case _:
            return kept
