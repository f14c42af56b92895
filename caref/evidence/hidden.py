"""What a model makes of each word of its input: hidden states."""

import numpy as np
import torch

from caref.errors import UserError
from caref.evidence.choices import side_by_side
from caref.evidence.gradients import Batch
from caref.evidence.reading import Reading


def by_word(reading: Reading) -> list[list[np.ndarray]]:
    """By split and question, (words, D): mean over the layers and over a word's tokens; 0 of a word without tokens.

    Of an encoder-decoder they are the encoder's.

    Raises:
        UserError: the model tells no hidden states.
    """
    found = [[None] * len(questions) for questions in reading.splits]
    for rows in side_by_side(reading.splits, reading.batch_size, length=lambda one: len(one.asked.prompt)):
        questions = [reading.splits[split][place] for split, place in rows]
        states = of_tokens(Batch(reading, questions, [0] * len(questions))).cpu().numpy()
        for (split, place), one, own in zip(rows, questions, states, strict=True):
            means = [own[list(word.tokens)].mean(0) if word.tokens else np.zeros(own.shape[-1]) for word in one.words]
            found[split][place] = np.array(means).reshape(len(one.words), -1)
    return found


@torch.no_grad()
def of_tokens(batch: Batch) -> torch.Tensor:
    """(B, T, D) float32 or more precise: mean over the layers, of what is read; the prompt's tokens come first."""
    output = batch.read(output_hidden_states=True)
    layers = output.get("encoder_hidden_states") or output.get("hidden_states")
    if not layers:
        raise UserError("evidence.measures=consistency: this model tells no hidden states; leave it out")
    total = sum(layer.to(torch.promote_types(layer.dtype, torch.float32)) for layer in layers[1:])
    return total / (len(layers) - 1)
