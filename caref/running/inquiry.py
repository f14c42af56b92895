"""What evidence asks of the models of a few splits, at the end of their training or amid it."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING

from omegaconf import OmegaConf

from caref.data.splits import Split
from caref.errors import SplitFailed
from caref.running import lent, provenance
from caref.running.loaded import Loaded

if TYPE_CHECKING:
    from caref.data.batches import Encoded
    from caref.evidence.probe import Evidence
    from caref.models.packed import PackedPart


class Inquiry(Loaded):
    """What a job loads, and the questions that its evidence asks."""

    @property
    def teaches(self) -> bool:
        """Whether evidence asks for students of the models."""
        from caref.evidence.probe import teaches

        return teaches(self.job.evidence.measures)

    def part(self, splits: Sequence[Split], total_steps: int) -> "AbstractContextManager[PackedPart]":
        """What these splits train, put on the backbone, see `packed_part`; beside it what evidence asks for.

        Raises:
            UserError: as `packed_part` and `lent.modules` do.
        """
        from caref.models.packed import packed_part

        asked, module = self.job.evidence, None
        if asked.measures and asked.module is not None:
            module = lent.modules(asked.module, self.backbone, self.job.peft, [split.index for split in splits])
        seeds = [split.seed for split in splits]
        return packed_part(self.backbone, self.job.peft, seeds, total_steps, self.objective, self.teaches, module)

    def evidence(
        self,
        part,
        splits: Sequence[Split],
        generations: Sequence[Mapping[int, str]],
        batch_size: int,
        began: float | None = None,
    ) -> "list[Evidence]":
        """Of each split, with what it took and on what.

        Args:
            generations: of each split's examples, by their places; those that are looked at are enough.
            batch_size: questions of each split at a time.
            began: when the work on it did, where that was earlier.
        """
        from caref.evaluation.parse import parse
        from caref.evidence.probe import chosen, probe

        began = time.monotonic() if began is None else began
        asked = OmegaConf.to_container(self.job.evidence)
        parsed = [
            {place: parse(texts[place], self.answers_only) for place in chosen(split, asked["examples"])}
            for split, texts in zip(splits, generations, strict=True)
        ]
        found = probe(
            *(part.model, self.backbone, self.job.dataset.name, splits, parsed, asked),
            *(batch_size, self.job.evaluation.max_new_tokens, self.answers_only, part.explains, part.untrained),
            pupil=part.pupil,
        )
        seconds = {"evidence": (time.monotonic() - began) / len(splits)}
        run = provenance.of(self.device, self.dtype, seconds, len(splits))
        marks = [{"module": lent.digest(asked["module"], split.index)} if part.lent else {} for split in splits]
        return [replace(one, run=run | mark) for one, mark in zip(found, marks, strict=True)]

    def prompts(self, splits: Sequence[Split]) -> "dict[tuple[str, str], list[Encoded]]":
        """What evidence lets the models write after beside the examples themselves, see `caref.evidence.probe`."""
        from caref.evidence.probe import prompts

        asked = OmegaConf.to_container(self.job.evidence)
        return prompts(self.backbone, self.job.dataset.name, splits, asked, self.answers_only)

    def evidence_amid(
        self, part, splits: Sequence[Split], evaluation: Sequence[Sequence], batch_size: int
    ) -> "list[Evidence]":
        """Of each split, amid its training: its model writes for the examples that are looked at."""
        from caref.evaluation.generate import side_by_side
        from caref.evidence.probe import chosen

        began = time.monotonic()
        places = [chosen(split, self.job.evidence.examples) for split in splits]
        prompts = [[own[place] for place in few] for own, few in zip(evaluation, places, strict=True)]
        texts = side_by_side(part.model, self.backbone, prompts, batch_size, self.job.evaluation.max_new_tokens)
        written = [dict(zip(*pair, strict=True)) for pair in zip(places, texts, strict=True)]
        return self.evidence(part, splits, written, batch_size, began)

    def with_epochs(
        self, by_epoch: "Mapping[int, Sequence[Evidence | SplitFailed]]", final: "Sequence[Evidence | SplitFailed]"
    ) -> "Sequence[Evidence | SplitFailed]":
        """The final evidence of each split with the scores at the epochs asked for, and the time of all; or nothing."""
        for found in (*by_epoch.values(), final):
            if isinstance(found[0], SplitFailed):
                return found
        taken = [
            sum(found[place].run["seconds"]["evidence"] for found in (*by_epoch.values(), final))
            for place in range(len(final))
        ]
        if self.job.train.epochs in self.job.evidence.epochs:
            by_epoch = {**by_epoch, self.job.train.epochs: final}
        return [
            replace(
                one,
                by_epoch={str(epoch): found[place].scores for epoch, found in by_epoch.items()},
                run=one.run | {"seconds": {"evidence": taken[place]}},
            )
            for place, one in enumerate(final)
        ]


def had(
    splits: Sequence[Split], ask: "Callable[[int], list[Evidence]]", batch_size: int, say: Callable[[str], None]
) -> "list[Evidence] | list[SplitFailed]":
    """What is asked of some splits; where it goes wrong for one alone, why. Of several each is asked alone, then.

    Args:
        ask: takes how many questions of each split to ask at a time: fewer, where memory is short, for the training is
            behind it.
        batch_size: as many at first.
        say: is told when they become fewer.
    """
    while True:
        try:
            return ask(batch_size)
        except Exception as error:
            from caref.running import memory

            if batch_size == 1 or not memory.short(error):
                if len(splits) > 1:
                    raise
                told = f"its evidence could not be had: {type(error).__name__}: {error}"
                return [SplitFailed(f"its record is kept; {told}")]
        batch_size //= 2  # by now what the error held of the device's memory is free
        say(f"evidence: not enough memory; going on with {batch_size} questions of a split at a time")
