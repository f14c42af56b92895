"""What one job loads once for all its splits, when the first of them needs it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial

from omegaconf import DictConfig, OmegaConf

from caref.data.examples import Example
from caref.data.prompts import text
from caref.data.shortening import shortened
from caref.data.splits import Split
from caref.models import contents


class Loaded:
    """Device, model, scorer, objective and tokens of a job.

    Args:
        job: the composed, valid configuration.
        content: marks of what its models are, see `caref.models.contents`: hub ids are read at these commits. Without
            them, at their newest.
        classes: how many choices an example has, for a model that is a classifier.
    """

    def __init__(self, job: DictConfig, content: Mapping[str, str | None] | None = None, classes: int | None = None):
        self.job, self._content = job, content or {}
        self._classes = classes if job.model.kind == "classifier" else None
        self._encoded: dict[int, tuple[Example, object]] = {}
        self._read: dict[int, tuple[Example, Example]] = {}  # as drawn, and as the model reads it
        self._cut: set[int] = set()  # ids of those read that lack the end of a text

    @cached_property
    def device(self):
        import torch

        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    @cached_property
    def dtype(self):
        from caref import training

        return training.precision(self.job.train.precision, self.device)

    @property
    def answers_only(self) -> bool:
        """Whether the model is to answer and to explain nothing."""
        return self.job.dataset.target == "answer"

    @cached_property
    def scorer(self):
        from caref.evaluation.bertscore import Scorer

        wanted = self.job.bertscore
        settings = {"scorer": wanted, "content": self._content.get("bertscore")}
        commit = self.commit("bertscore")
        return _kept(
            "scorer", settings, lambda: Scorer(wanted.model, wanted.layer, device=self.device, revision=commit)
        )

    @cached_property
    def backbone(self):
        from caref.models import backbones

        commit = self.commit("model")
        model = OmegaConf.merge(self.job.model, {"revision": commit}) if commit else self.job.model
        wanted = {"model": model, "content": dict(self._content), "dtype": str(self.dtype)}
        wanted["classes"] = self._classes
        load = partial(backbones.load, model, device=self.device, dtype=self.dtype, classes=self._classes)
        return _kept("backbone", wanted, load)

    @cached_property
    def objective(self):
        from caref.objectives import objective

        return objective.build(self.job.reg)

    def commit(self, what: str) -> str | None:
        """Of a part of the job that is a model: the hub's commit, None where it comes from elsewhere."""
        return contents.commit(self._content.get(what) or "")

    def read(self, split: Split) -> Split:
        """A split as drawn, with its texts as the model reads them: at most dataset.max_tokens long.

        Raises:
            UserError: an example cannot be shortened so far.
        """
        if self.job.dataset.max_tokens is None:
            return split
        sides = (tuple(map(self._shortened, side)) for side in (split.train, split.evaluation))
        return replace(split, **dict(zip(("train", "evaluation"), sides, strict=True)))

    def cut(self, examples: Sequence[Example]) -> int:
        """How many of these, as `read` gives them, lack the end of a text."""
        return sum(id(example) in self._cut for example in examples)

    def _shortened(self, example: Example) -> Example:
        from caref.data.batches import for_backbone

        def length(one: Example) -> int:
            return len(for_backbone(one, text(self.job.dataset.name, one, self.answers_only), self.backbone).prompt)

        if id(example) not in self._read:
            self._read[id(example)] = example, shortened(example, self.job.dataset.max_tokens, length)
            if (short := self._read[id(example)][1]) is not example:
                self._cut.add(id(short))
        return self._read[id(example)][1]

    def tokens(self, examples: Sequence[Example]) -> list:
        """The examples in tokens, each tokenised once however many splits draw it."""
        from caref.data.batches import for_backbone
        from caref.evidence.reading import askable

        tokens = []
        for example in examples:
            if id(example) not in self._encoded:  # of one that is kept beside its tokens, and so has its id for good
                written = text(self.job.dataset.name, example, self.answers_only)
                encoded = for_backbone(example, written, self.backbone)
                if self.objective.asks:
                    named = self.job.dataset.name
                    encoded = askable(named, example, encoded, self.backbone.tokenizer, self.answers_only)
                self._encoded[id(example)] = example, encoded
            tokens.append(self._encoded[id(example)][1])
        return tokens


_loaded: dict[str, tuple[dict, object]] = {}


def _kept(what: str, settings: Mapping, load: Callable[[], object]) -> object:
    """What the job before loaded in this process, where it asked for the same, as a sweep's cells do; else loaded."""
    wanted = OmegaConf.to_container(OmegaConf.create(settings), resolve=True)
    if what not in _loaded or _loaded[what][0] != wanted:
        _loaded.pop(what, None)  # first, since there may be no room for two
        _loaded[what] = wanted, load()
    return _loaded[what][1]
