"""What an objective asks the model beside its logits: how probable the choices are, also with words erased, and why.

The module that explains lies beside the model and is trained with it; see `caref.objectives.definition.Asking`.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from caref.data.batches import IGNORED, Encoded, attended, collate, mask_token
from caref.errors import UserError
from caref.models import heads, lookup
from caref.models.backbones import Backbone
from caref.models.continuations import after_encoder, after_shared_prompts, forks, held_to, of_classes
from caref.models.method import build
from caref.models.queries_and_keys import Layer, Projected, attention, sites
from caref.models.student import Lesson, Student, simulated
from caref.objectives import explainers
from caref.objectives.definition import Answered
from caref.objectives.explainers import Explainer, Heard

if TYPE_CHECKING:
    from caref.config.schema import Peft
    from caref.objectives.objective import Objective

WEIGHTS = "explainer.safetensors"
_TWICE = ("eager", "sdpa")  # attention that has second derivatives; sdpa in PyTorch's own MATH form
_ABSENT = -1e9  # the log-probability of a choice that an example does not have: finite, so that p log p is 0


@dataclass(frozen=True)
class Beside:
    """The module that an objective trains beside a model, for K splits, and the attention that it listens to."""

    explainer: Explainer
    layers: dict[str, list[Layer]]
    student: Student = field(default_factory=Student)

    def save(self, folder: Path | str, split: int) -> None:
        """Write one split's learned weights beside its trained part."""
        from safetensors.torch import save_file

        own = {name: weight[split].detach().contiguous() for name, weight in self.explainer.learned.items()}
        save_file(own, Path(folder) / WEIGHTS)

    def load(self, file: Path | str, split: int) -> bool:
        """Give one split the weights that `save` wrote; False where they are of other shapes, or of another module."""
        from safetensors.torch import load_file

        own, found = self.explainer.learned, load_file(file)
        if {name: weight.shape[1:] for name, weight in own.items()} != {name: one.shape for name, one in found.items()}:
            return False
        with torch.no_grad():
            for name, weight in own.items():
                weight[split].copy_(found[name])
        return True


def beside(backbone: Backbone, peft: "Peft", objective: "Objective | None", splits: int = 1) -> Beside | None:
    """The module that an objective trains beside a model, at its start; None where it trains none.

    Args:
        backbone: bare, nothing trained on it.

    Raises:
        UserError: the model has no attention that the objective could hear, or the variant hides it.
    """
    if objective is None or not objective.asks:
        return None
    computed = backbone.model.config._attn_implementation
    if objective.definition.differentiates_twice() and computed not in _TWICE:
        raise UserError(
            f"reg: differentiates attention twice, and {computed} attention can be only once; take another model"
        )
    if erased := objective.definition.erases():
        lookup.check(backbone.model, backbone, "reg.criteria")
        if erased == "mask":
            _mask_token(backbone)
    layers = audible(backbone, peft, objective.definition.site)
    return listening(backbone, layers, lambda shapes: objective.definition.explainer(shapes, splits))


def audible(backbone: Backbone, peft: "Peft", site: str | None) -> dict[str, list[Layer]]:
    """The attention of a site, as `sites` finds it, of a model whose prompts are its own."""
    if build(peft).method == "prefix":
        raise UserError(
            "reg: this regulariser reads a prompt once for all choices, and peft=prefix keeps its own tokens "
            "where the prompt would lie; choose another peft"
        )
    return sites(backbone.model, site)


def listening(backbone: Backbone, layers: dict[str, list[Layer]], explainer: "Callable[..., Explainer]") -> Beside:
    """A module at its start, and what it listens to.

    Args:
        explainer: of the shapes of these layers.
    """
    with torch.device(backbone.device):
        module = explainer({site: attention(of_site) for site, of_site in layers.items()})
    return Beside(module.to(torch.promote_types(backbone.dtype, torch.float32)), layers)


class Asking:
    """A batch as questions; `caref.objectives.definition.Asking` says what it does.

    Args:
        model: the models of K splits in one, as `caref.models.packed` makes it.
        examples: K * B, those of each split one after the other, with their `words` and `choices`.
        splits: K.
        trained: what of the model is trained.
    """

    def __init__(
        self,
        model: nn.Module,
        backbone: Backbone,
        module: Beside,
        examples: Sequence[Encoded],
        splits: int,
        trained: Sequence[nn.Parameter] = (),
    ):
        self._model, self._backbone, self._module = model, backbone, module
        self._examples, self._trained, self.splits = examples, trained, splits
        self._width = max(len(example.choices) for example in examples)
        # What follows a prompt follows it at once.
        left = not (backbone.encoder_decoder or backbone.classifier)
        read = attended([example.prompt for example in examples], backbone.tokenizer.pad_token_id, left)
        self._ids, self._read = (read[name].to(backbone.device) for name in ("input_ids", "attention_mask"))
        self._word_of = _word_of(examples, self._ids.shape[1], left).to(backbone.device)
        sizes = torch.tensor([len(example.words) for example in examples])
        self.words = (torch.arange(max(1, int(sizes.max()))) < sizes.unsqueeze(-1)).to(backbone.device)
        there = [[place < len(example.choices) for place in range(self._width)] for example in examples]
        self._there = torch.tensor(there, device=backbone.device)
        length = max(len(choice) for example in examples for choice in example.choices)
        among = torch.stack([forks(self._filled(example), length) for example in examples])
        self._among = among.to(backbone.device)

    @property
    def ranked(self) -> Tensor:
        """(B, T) bool, the tokens of words."""
        return self._word_of >= 0

    @contextmanager
    def frozen(self, frozen: bool) -> Iterator[None]:
        training, moved = self._model.training, [one for one in self._trained if frozen and one.requires_grad]
        self._model.eval()
        for parameter in moved:
            parameter.requires_grad_(False)
        try:
            yield
        finally:
            for parameter in moved:
                parameter.requires_grad_(True)
            self._model.train(training)

    def read(self, states: bool = False) -> Answered:
        projected = {site: Projected(self._backbone.model, layers) for site, layers in self._module.layers.items()}
        with ExitStack() as listening:
            for one in projected.values():
                listening.enter_context(one.listening())
            log_p, output = self._answers(1, None, output_hidden_states=states)
        pooled = None
        if states:
            mean = torch.stack([layer.to(log_p.dtype) for layer in output.hidden_states[1:]]).mean(0)
            weights = self._read.to(mean) / self._read.sum(-1, keepdim=True)
            pooled = torch.einsum("btd,bt->bd", mean, weights)
        return Answered(log_p.squeeze(1), pooled, projected)

    def explained(self, answered: Answered, choice: Tensor) -> Tensor:
        return self._module.explainer(self._of_sites(answered, choice), self.ranked)

    def answer(self, choice: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C) log-probabilities of the choices, and (B, T) what r is the norm of, for a choice of each example."""
        answered = self.read()
        return answered.log_p, self._module.explainer.scores(self._of_sites(answered, choice))

    def simulated(self, norm: str, rate: float, weight: float) -> Tensor:
        def taught() -> tuple[Tensor, Tensor]:
            answered = self.read()
            choice = answered.log_p.detach().argmax(-1)
            return choice, self.explained(answered, choice)

        lesson = Lesson(taught, self.answer, self.ranked)
        module = self._module
        return simulated(module.student, self._model, module.explainer, self._trained, lesson, norm, rate, weight)

    def _of_sites(self, answered: Answered, choice: Tensor) -> dict[str, Heard]:
        return {site: self._heard(site, one, choice) for site, one in answered.heard.items()}

    def _heard(self, site: str, projected: Projected, choice: Tensor) -> Heard:
        rows = torch.arange(len(choice), device=choice.device)
        if site == "cross":  # every choice was written after a prompt of its own copy
            rows = rows * self._width + choice
            asking = (collate(self._pairs(1), self._backbone).labels != IGNORED)[rows]
        elif site == "self":
            asking = torch.zeros_like(self._read, dtype=torch.bool)
            asking[:, 0 if self._backbone.classifier else -1] = True  # what a classifier's head reads; what writes
        else:
            asking = self._read.bool()
        dtype = next(self._module.explainer.parameters()).dtype
        queries, keys = (
            torch.stack([layer[rows].to(dtype).transpose(1, 2) for layer in layers], dim=1)
            for layers in (projected.queries(), projected.keys())
        )
        return Heard(queries, keys, asking)

    def by_word(self, r: Tensor) -> Tensor:
        return explainers.by_word(r, self._word_of, self.words.shape[1])

    def over_tokens(self, shares: Tensor) -> Tensor:
        """(B, T): of (B, W), each word's share over its tokens in equal parts; `by_word` sums them again."""
        tokens = self.by_word(self.ranked.to(shares)).clamp_min(1)
        return (shares / tokens).gather(1, self._word_of.clamp_min(0)) * self.ranked

    def by_type(self, r: Tensor) -> Tensor:
        return explainers.by_word(self.by_word(r), *_types(self._examples, self.splits, self.words))

    def log_p(self, kept: Tensor, erased: str) -> Tensor:
        embed = self._model.get_input_embeddings()
        own = embed(self._ids).unsqueeze(1)
        place = self._word_of.clamp_min(0).unsqueeze(1).expand(-1, kept.shape[1], -1)
        gone = (1 - kept.gather(-1, place)) * (self._word_of >= 0).unsqueeze(1)
        other = embed(torch.tensor(_mask_token(self._backbone), device=own.device)) if erased == "mask" else 0
        embeddings = own + gone.unsqueeze(-1).to(own.dtype) * (other - own)
        return self._answers(kept.shape[1], embeddings.flatten(0, 1))[0]

    def _answers(self, variants: int, embeddings: Tensor | None, **options) -> tuple[Tensor, object]:
        """(B, V, C), and the output of whatever read the prompts."""
        if self._backbone.classifier:
            after = of_classes
        else:
            after = after_encoder if self._backbone.encoder_decoder else after_shared_prompts
        with self._backbone.autocast(), heads.precise(self._model):
            pairs = self._pairs(variants)
            read = after(self._model, self._backbone, pairs, self._width, embeddings=embeddings, **options)
        by_token = read.by_token.unflatten(0, (-1, variants, self._width))
        log_p = held_to(by_token, self._among.unsqueeze(1))
        return log_p.masked_fill(~self._there.unsqueeze(1), _ABSENT).log_softmax(-1), read.prompts

    def _pairs(self, variants: int) -> list[Encoded]:
        """Every prompt, `variants` times, with each of its choices; the first again where it has fewer than another."""
        return [
            Encoded(example.prompt, choice, 0)
            for example in self._examples
            for _ in range(variants)
            for choice in self._filled(example)
        ]

    def _filled(self, example: Encoded) -> tuple[tuple[int, ...], ...]:
        return (example.choices + example.choices[:1] * self._width)[: self._width]


def _mask_token(backbone: Backbone) -> int:
    return mask_token(backbone.tokenizer, "reg.erased=mask", "use reg.erased=zero")


def _word_of(examples: Sequence[Encoded], width: int, left: bool) -> Tensor:
    """(B, T) int64: the word that each token of a padded prompt belongs to; -1 for those of none."""
    found = torch.full((len(examples), width), -1)
    for row, example in enumerate(examples):
        before = width - len(example.prompt) if left else 0
        for word, tokens in enumerate(example.words):
            found[row, [before + token for token in tokens]] = word
    return found


def _types(examples: Sequence[Encoded], splits: int, words: Tensor) -> tuple[Tensor, int]:
    """(B, W) int64, a number a word, that of all words of the same tokens in a split; and how many there are."""
    found = torch.full(words.shape, -1)
    rows, most = len(examples) // splits, 1
    for split in range(splits):
        numbers: dict[tuple[int, ...], int] = {}
        fresh = count()
        for row in range(split * rows, (split + 1) * rows):
            prompt = examples[row].prompt
            for word, tokens in enumerate(examples[row].words):
                key = tuple(prompt[token] for token in tokens)
                if key not in numbers:
                    numbers[key] = next(fresh)
                found[row, word] = numbers[key]
        most = max(most, len(numbers))
    return found.to(words.device), most
