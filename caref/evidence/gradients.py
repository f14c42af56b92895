"""How the log-probability of a choice moves with the embeddings of the prompt."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from caref.data.batches import IGNORED, Encoded, collate
from caref.evidence.choices import side_by_side
from caref.evidence.reading import Question, Reading, summed_by_word
from caref.models import heads, lookup
from caref.models.continuations import log_p_by_token, summed_log_p


def by_word(
    reading: Reading, labels: Sequence[Sequence[int]], score: Callable[[Tensor, Tensor], Tensor]
) -> list[list[np.ndarray]]:
    """Word scores from what `score` makes of embeddings and their gradients.

    Args:
        labels: by split and question, the choice that is explained.
        score: (embeddings (B, T, D), gradients (B, T, D)) -> (B, T).
    """
    return by_word_of(reading, labels, lambda batch: score(batch.embeddings, batch.gradients(batch.embeddings)))


def by_word_of(
    reading: Reading, labels: Sequence[Sequence[int]], score: "Callable[[Batch], Tensor]"
) -> list[list[np.ndarray]]:
    """Word scores from what `score` makes of a batch: (B, T), a number a token.

    Args:
        labels: by split and question, the choice that is explained.
    """
    found = [[None] * len(questions) for questions in reading.splits]
    with heads.precise(reading.model):  # around those of each call, whose heads it spares another copy
        for rows in side_by_side(reading.splits, reading.batch_size, length=lambda one: len(one.asked.prompt)):
            questions = [reading.splits[split][place] for split, place in rows]
            chosen = [labels[split][place] for split, place in rows]
            scores = score(Batch(reading, questions, chosen)).double().cpu().numpy()
            for (split, place), question, own in zip(rows, questions, scores, strict=True):
                found[split][place] = summed_by_word(question, own)
    return found


class Batch:
    """Some questions, each with one choice, padded on the right.

    Attributes:
        embeddings: (B, T, D) of what is read; the prompt's tokens come first.
        rankable: (B, T) bool: the tokens of the questions' words.
    """

    def __init__(self, reading: Reading, questions: Sequence[Question], chosen: Sequence[int]):
        self._reading = reading
        backbone = reading.backbone
        lookup.check(reading.model, backbone, "evidence.attributions", len(reading.splits))
        self.tokenizer = backbone.tokenizer
        targets = [one.asked.continuations[label] for one, label in zip(questions, chosen, strict=True)]
        pairs = zip((one.asked.prompt for one in questions), targets, strict=True)
        batch = collate([Encoded(prompt, target, 0) for prompt, target in pairs], backbone)
        self.labels, self._inputs = batch.labels, batch.inputs
        self.ids = self._inputs.pop("input_ids")
        rankable = torch.zeros(self.ids.shape, dtype=torch.bool)
        for row, one in enumerate(questions):
            rankable[row, [position for word in one.words for position in word.tokens]] = True
        self.rankable = rankable.to(backbone.device)
        self.embeddings = self.embedded(self.ids)

    @torch.no_grad()
    def embedded(self, tokens: Tensor | int) -> Tensor:
        """(..., D): what a model reads for these tokens, before it adds positions."""
        tokens = torch.as_tensor(tokens, device=self._reading.backbone.device)
        return self._reading.model.get_input_embeddings()(tokens).detach()

    @property
    def writes(self) -> Tensor:
        """(B, T'), of the positions that logits are for: 1 where a token of the choice is written, else 0."""
        return (self.labels != IGNORED).float()

    def read(self, embeddings: Tensor | None = None, **options):
        """The model's output on this batch; with other embeddings than its own, where they are given."""
        model, backbone = self._reading.model, self._reading.backbone
        embeddings = self.embeddings if embeddings is None else embeddings
        with backbone.autocast(), heads.precise(model):
            return model(inputs_embeds=embeddings, **self._inputs, **options, use_cache=False)

    def log_p(self, embeddings: Tensor) -> Tensor:
        """(B,): log p of each choice, were these the embeddings of what is read."""
        return summed_log_p(self.read(embeddings).logits, self.labels)

    def log_p_by_token(self, embeddings: Tensor) -> list[list[float]]:
        """The same, of each token of each choice."""
        found = log_p_by_token(self.read(embeddings).logits, self.labels)
        return [row[written].tolist() for row, written in zip(found, self.labels != IGNORED, strict=True)]

    def gradients(self, embeddings: Tensor) -> Tensor:
        """(B, T, D): of `log_p` by the embeddings; no gradient goes to any weight."""
        self._reading.model.eval()
        with torch.enable_grad():
            at = embeddings.detach().requires_grad_()
            (gradients,) = torch.autograd.grad(self.log_p(at).sum(), at)
        return gradients
