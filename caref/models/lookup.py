"""Whether a model reads embeddings as it reads tokens."""

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import torch

from caref.errors import UserError
from caref.models import reach

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from caref.models.backbones import Backbone

_alike: "WeakKeyDictionary[torch.nn.Module, bool]" = WeakKeyDictionary()
_CLOSE = 1e-3  # of the largest logit; the same numbers are computed either way


def check(model: "PreTrainedModel", backbone: "Backbone", who: str, splits: int = 1) -> None:
    """Refuse a model that does something to its embeddings only where it looks them up itself, as Pegasus scales them.

    What is erased from embeddings, or differentiated by them, would be of another text than the one that is read. Found
    once a model, by passing one text through it both ways.

    Args:
        model: in evaluation mode.
        backbone: what it was made of, for what it computes under.
        who: the key or the part that gives it embeddings.
        splits: how many models lie in this one.

    Raises:
        UserError: naming the model's family and `who`.
    """
    if model not in _alike:
        text = reach.a_text(model, splits)
        with torch.no_grad(), backbone.autocast():
            of_tokens = model(**text, use_cache=False).logits
            embeddings = model.get_input_embeddings()(text.pop("input_ids"))
            of_embeddings = model(inputs_embeds=embeddings, **text, use_cache=False).logits
        _alike[model] = bool((of_tokens - of_embeddings).abs().max() <= _CLOSE * of_tokens.abs().max())
    if not _alike[model]:
        raise UserError(
            f"{who}: {model.config.model_type} changes its embeddings between looking them up and reading them, and "
            "reads others that it is given; choose another model"
        )
