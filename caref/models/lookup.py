"""Whether a model reads embeddings as it reads tokens."""

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import torch

from caref.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_alike: "WeakKeyDictionary[torch.nn.Module, bool]" = WeakKeyDictionary()
_CLOSE = 1e-3  # of the largest logit; the same numbers are computed either way


def check(model: "PreTrainedModel", who: str, splits: int = 1) -> None:
    """Refuse a model that does something to its embeddings only where it looks them up itself, as Pegasus scales them.

    What is erased from embeddings, or differentiated by them, would be of another text than the one that is read. Found
    once a model, by passing one text through it both ways.

    Args:
        who: the key or the part that gives it embeddings.
        splits: how many models lie in this one.

    Raises:
        UserError: naming the model's family and `who`.
    """
    if model not in _alike:
        training = model.training
        model.eval()
        with torch.no_grad():
            lookup = model.get_input_embeddings()
            words = torch.arange(3, 11, device=model.device) % lookup.num_embeddings
            ids = words.repeat(splits, 1)
            written = {"decoder_input_ids": ids[:, :5]} if model.config.is_encoder_decoder else {}
            of_ids = model(input_ids=ids, use_cache=False, **written).logits
            of_embeddings = model(inputs_embeds=lookup(ids), use_cache=False, **written).logits
        model.train(training)
        _alike[model] = bool((of_ids - of_embeddings).abs().max() <= _CLOSE * of_ids.abs().max())
    if not _alike[model]:
        raise UserError(
            f"{who}: {model.config.model_type} changes its embeddings between looking them up and reading them, and "
            "reads others that it is given; choose another model"
        )
