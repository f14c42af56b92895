"""How a decoder starts: what it reads before the first token that it writes, the same in training and generation."""

import inspect
from typing import TYPE_CHECKING

import torch

from caref.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def start_tokens(network: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase") -> tuple[int, ...]:
    """What an encoder-decoder's checkpoint has before every text: its start token and the tokens that it forces.

    Taken from the generation's configuration, else the model's, else the decoder's, else the tokenizer's; where none
    names a start token it is the beginning of a sequence, as generation has it.

    Raises:
        UserError: nothing of this is defined.
    """
    config = network.config
    sources = (network.generation_config, config, getattr(config, "decoder", None))

    def first(key: str):
        return next((found for source in sources if (found := getattr(source, key, None)) is not None), None)

    start = first("decoder_start_token_id")
    if start is None:
        start = first("bos_token_id") if first("bos_token_id") is not None else tokenizer.bos_token_id
    if not isinstance(start, int):
        raise UserError(
            f"model.config.decoder_start_token_id={start}: neither {config.model_type} nor its tokenizer defines the "
            "one token that the decoder starts with; give it"
        )
    forced = {place: token for place, token in first("forced_decoder_ids") or () if token is not None}
    if first("forced_bos_token_id") is not None:
        forced[1] = first("forced_bos_token_id")
    tokens = [start]
    while len(tokens) in forced:
        tokens.append(forced[len(tokens)])
    return tuple(tokens)


@torch.no_grad()
def hides_its_start(network: "PreTrainedModel", tokens: tuple[int, ...], padding: int) -> bool:
    """Whether a decoder takes its own start for padding, unless it is told its mask: found by trying.

    It can be so only where the start token is the padding token.
    """
    if padding not in tokens or "decoder_attention_mask" not in inspect.signature(network.forward).parameters:
        return False
    source = torch.tensor([[padding + 1]], device=network.device)
    read = torch.tensor([[*tokens, padding + 1]], device=network.device)
    inputs = {"input_ids": source, "attention_mask": torch.ones_like(source), "decoder_input_ids": read}
    with torch.autocast(network.device.type, dtype=torch.bfloat16, enabled=network.dtype is torch.bfloat16):
        untold = network(**inputs, use_cache=False).logits
        told = network(**inputs, decoder_attention_mask=torch.ones_like(read), use_cache=False).logits
    return not torch.allclose(untold, told, rtol=1e-3, atol=1e-5)
