"""What a job tries before it works on any split: what cannot be is refused, what does not go together is found."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import cache

from omegaconf import OmegaConf

from caref.data.prompts import SEPARATOR
from caref.data.splits import Split
from caref.errors import UserError
from caref.running import saving
from caref.running.workbench import Workbench

_WRITTEN = 8  # tokens that a rehearsal writes


def set_up(bench: Workbench, saves: Collection[int] = ()) -> None:
    """Load everything and put the trained part on once, so that what cannot be is refused before any split.

    Args:
        saves: the splits whose trained parts are to be kept.

    Raises:
        UserError: where the scorer, the model or what is to be trained of it cannot be had, or there is no room
            for what is to be kept.
    """
    if not bench.answers_only:
        from caref.evaluation import encoders

        commit = bench.commit("bertscore")
        encoders.check(bench.job.bertscore.model, bench.job.bertscore.layer, commit)  # before torch is imported

    from huggingface_hub.utils import disable_progress_bars
    from transformers.utils import logging

    from caref import training
    from caref.models.packed import packed_part
    from caref.running import lengths

    logging.disable_progress_bar()  # a job's own lines say how far it is
    disable_progress_bars()
    _ = bench.objective, None if bench.answers_only else bench.scorer
    total = training.steps(bench.job.dataset.train_size, bench.job.train.batch_size, bench.job.train.epochs)
    with packed_part(bench.backbone, bench.job.peft, [0], total, bench.objective) as part:
        saving.check_room(bench.saved, saves, part.counts.trainable)
        if bench.job.peft.method == "prefix":
            lengths.check_prefix(part.alone, bench.backbone, f"peft ({bench.job.peft.name})")


def left_out(bench: Workbench) -> list[str]:
    """Lines that say what of the model is not trained, and what is asked of it in vain, though one might think so."""
    from caref.evidence import probe
    from caref.models import method, reach

    chosen = method.build(bench.job.peft)
    lines = [reach.told(bench.backbone.model)]
    if isinstance(chosen, method.Adapter):
        lines.append(chosen.left_out(bench.backbone.model))
    if bench.answers_only and (vain := probe.of_explanations(bench.job.evidence)):
        lines.append(f"evidence: nothing is explained (dataset.target=answer), so there is no {', '.join(vain)}")
    return [line for line in lines if line]


def shortened(bench: Workbench, splits: Sequence[Split]) -> list[str]:
    """One line of how many examples lack the end of a text by dataset.max_tokens; nothing where it is not set."""
    if (most := bench.job.dataset.max_tokens) is None:
        return []
    examples = {id(one): one for split in splits for one in (*split.train, *split.evaluation)}
    return [
        f"dataset.max_tokens={most}: {bench.cut(list(examples.values()))} of {len(examples)} examples lose the end "
        "of their longest text, and what people marked there"
    ]


def check_lengths(bench: Workbench, splits: Sequence[Split]) -> None:
    """Refuse examples that are longer than the model's positions.

    Raises:
        UserError: naming the example and the key.
    """
    from caref.running import lengths

    if lengths.limits(bench.backbone):
        train = [one for split in splits for one in bench.tokens(split.train)]
        asked = [one for split in splits for one in bench.tokens(split.evaluation)]
        written, prefix = bench.job.evaluation.max_new_tokens, bench.job.peft.get("tokens", 0)
        choices, further = _choices(bench, splits, asked), bench.prompts(splits)
        lengths.check(bench.backbone, train, asked, written, prefix, choices, further)


def _choices(bench: Workbench, splits: Sequence[Split], asked: Sequence) -> list:
    """The prompt and the longest choice of each evaluated example, where evidence asks how probable they are."""
    from caref.data.batches import Encoded
    from caref.models.continuations import told_by

    if not bench.job.evidence.measures:
        return []
    evaluated = [example for split in splits for example in split.evaluation]
    told = cache(lambda choice: told_by(choice, bench.backbone.tokenizer, bench.answers_only))
    return [
        Encoded(one.prompt, max(map(told, example.choices), key=len), 0)
        for one, example in zip(asked, evaluated, strict=True)
    ]


def try_evidence(bench: Workbench, split: Split) -> None:
    """Ask one example for whatever evidence the job asks for, untrained: what cannot be had is refused by now.

    Raises:
        UserError: naming the key of evidence.
    """
    if bench.job.evidence.measures:
        few = replace(split, evaluation=split.evaluation[:1])
        with bench.part([few], 100) as part:
            written = split.evaluation[0].answer + ("" if bench.answers_only else SEPARATOR + "it is")
            bench.evidence(part, [few], [[written]], bench.job.evaluation.batch_size)


def check_steps(bench: Workbench, split: Split) -> None:
    """Refuse to compute a step in parts, or layers again, where that comes to other gradients than one pass.

    Raises:
        UserError: naming the key of train.
    """
    from caref.config.schema import Train
    from caref.running import company

    asked = OmegaConf.to_object(bench.job.train)
    for key in ("gradient_accumulation", "gradient_checkpointing"):
        settings = replace(Train(), supervise=asked.supervise, **{key: getattr(asked, key)})
        if settings == Train(supervise=asked.supervise):
            continue
        told = company.why_not(
            *(bench.backbone, bench.job.peft, bench.objective, bench.tokens(split.train), split.seed, settings)
        )
        if told is not None:
            called = f"{bench.job.peft.name} on {bench.backbone.model.config.model_type}"
            raise UserError(f"train.{key}={str(getattr(asked, key)).lower()}: {called}: {told}; leave it out")


def check_options(bench: Workbench, split: Split) -> None:
    """Refuse an option of PEFT's that changes nothing: it would make a cell of its own with the numbers of another.

    Raises:
        UserError: naming the option.
    """
    from caref.models import method
    from caref.running import company

    chosen = method.build(bench.job.peft)
    for option in getattr(chosen, "options", {}):
        asked = bench.backbone, chosen, bench.objective, bench.tokens(split.train), split.seed, option
        if option not in chosen.later and company.idle(*asked):
            told = f"with {chosen.name} on {bench.backbone.model.config.model_type} it changes nothing; leave it out"
            raise UserError(f"peft.options.{option}: {told}")


def rehearse(bench: Workbench, split: Split) -> None:
    """One step of training on the split's longest examples and the first words of its longest generations."""
    from caref import training
    from caref.evaluation.generate import generate
    from caref.models.packed import packed_part

    job = bench.job
    train = sorted(bench.tokens(split.train), key=lambda example: -len(example.prompt) - len(example.target))
    evaluation = sorted(bench.tokens(split.evaluation), key=lambda example: -len(example.prompt))
    settings = OmegaConf.merge(job.train, {"epochs": 1})
    with packed_part(bench.backbone, job.peft, [split.seed], 1, bench.objective) as part:
        training.fit(part, bench.backbone, bench.objective, [train[: job.train.batch_size]], settings, [split.seed])
        few = min(_WRITTEN, job.evaluation.max_new_tokens)
        longest = evaluation[: job.evaluation.batch_size]
        generate(part.model, bench.backbone, longest, job.evaluation.batch_size, few)


def why_alone(bench: Workbench, split: Split) -> str | None:
    """Why splits of this job cannot be trained side by side, found on one of them; None where they can."""
    from caref.running import company

    return company.why_alone(bench.backbone, bench.job.peft, bench.objective, bench.tokens(split.train), split.seed)
