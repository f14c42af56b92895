"""Greedy generation for many prompts, in batches of like length."""

from collections.abc import Callable, Sequence

import torch
from transformers import GenerationConfig

from caref.data.batches import Encoded, pad


@torch.inference_mode()
def generate(
    model,
    backbone,
    examples: Sequence[Encoded],
    batch_size: int,
    max_new_tokens: int,
    on_batch: Callable[[int], None] = lambda done: None,
) -> list[str]:
    """What the model writes for every example, greedily, in the order of the examples.

    Args:
        model: the trained model, on its device.
        backbone: its tokenizer and kind.
        examples: only their prompts are read.
        batch_size: prompts at a time; the longest come first, so that what does not fit shows at once.
        max_new_tokens: where a generation is cut.
        on_batch: is told how many more examples are done.

    Returns:
        The texts without special tokens, trimmed.
    """
    tokenizer = backbone.tokenizer
    config = backbone.model.config
    greedy = GenerationConfig(
        do_sample=False,
        num_beams=1,
        max_new_tokens=max_new_tokens,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=config.decoder_start_token_id if backbone.encoder_decoder else None,
    )
    model.eval()
    by_length = sorted(range(len(examples)), key=lambda place: -len(examples[place].prompt))
    texts = [""] * len(examples)
    for begin in range(0, len(by_length), batch_size):
        places = by_length[begin : begin + batch_size]
        prompts = [examples[place].prompt for place in places]
        left = not backbone.encoder_decoder  # a decoder-only model goes on where its prompt ends
        inputs = pad(prompts, tokenizer.pad_token_id, left).to(backbone.device)
        mask = pad([[1] * len(prompt) for prompt in prompts], 0, left).to(backbone.device)
        with backbone.autocast():
            written = model.generate(input_ids=inputs, attention_mask=mask, generation_config=greedy)
        if left:
            written = written[:, inputs.shape[1] :]
        for place, text in zip(
            places, tokenizer.batch_decode(written, skip_special_tokens=True), strict=True
        ):
            texts[place] = text.strip()
        on_batch(len(places))
    return texts
