"""Whether what a job reads and writes fits a model whose positions are counted, before anything is trained."""

from collections.abc import Iterator, Mapping, Sequence

from torch import nn

from caref.data.batches import Encoded, collate
from caref.errors import UserError
from caref.evaluation.generate import generate
from caref.models import reach
from caref.models.backbones import Backbone
from caref.models.trained import TrainedPart


def check(
    backbone: Backbone,
    examples: Sequence[Encoded],
    asked: Sequence[Encoded],
    written: int,
    prefix: int,
    choices: Sequence[Encoded] = (),
    further: Mapping[tuple[str, str], Sequence[Encoded]] | None = None,
) -> None:
    """Refuse what is longer than a learnt table of positions, as BART, GPT-2 and OPT have one.

    Args:
        examples: to train on.
        asked: to generate for.
        written: tokens of a generation, at most.
        prefix: virtual tokens before every layer's own, which take positions too.
        choices: whose probability is asked, also with what is written for another choice after them.
        further: what else is generated for, by the key and the name that ask for it.

    Raises:
        UserError: naming the longest example and the key.
    """
    for part, limit in limits(backbone).items():
        fits = f"{backbone.model.config.model_type} has {limit} positions" + (f" in its {part}" if part else "")
        fits += f", of which the prefix takes {prefix} (peft.tokens)" if prefix and part != "encoder" else ""
        room = limit if part == "encoder" else limit - prefix
        for key, told, length, example in _lengths(backbone, part, examples, asked, written, choices, further or {}):
            if length > room:
                begun = backbone.tokenizer.decode(example.prompt[:12], skip_special_tokens=True).strip()
                mend = "; ask for less, or" if key.startswith("evidence.") else ";" * (key == "dataset.name")
                mend += " dataset.max_tokens shortens inputs (dataset.sampling=balanced)" * bool(mend)
                raise UserError(
                    f"{key}: {told} of the example that begins {begun!r} takes {length} tokens, but {fits}{mend}"
                )


def check_prefix(part: TrainedPart, backbone: Backbone, subject: str) -> None:
    """Refuse a prefix that a model cannot be given, found by reading and writing a few tokens with it.

    Raises:
        UserError: naming `subject`.
    """
    few = [Encoded((3, 4, 5), (6, 7), 1)]
    try:
        with backbone.autocast():
            part.model(**collate(few, backbone).inputs, use_cache=False)
        generate(part.model, backbone, few, 1, 2)
    except Exception as error:
        told = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise UserError(f"{subject}: {backbone.model.config.model_type} cannot be given a prefix: {told}") from None


def _lengths(
    backbone: Backbone,
    part: str,
    examples: Sequence[Encoded],
    asked: Sequence[Encoded],
    written: int,
    choices: Sequence[Encoded],
    further: Mapping[tuple[str, str], Sequence[Encoded]],
) -> Iterator[tuple[str, str, int, Encoded]]:
    """The key, what is read, its tokens and the example, of the longest of each; the last token written is not read."""
    both = [*examples, *asked]
    longest = max(both, key=lambda one: len(one.prompt))
    start = len(backbone.start)
    most = {asks: max(prompts, key=lambda one: len(one.prompt)) for asks, prompts in further.items() if prompts}
    if part == "encoder" or backbone.classifier:
        yield "dataset.name", "the source", len(longest.prompt), longest
        for (key, name), prompt in most.items():
            yield key, f"what {name} asks", len(prompt.prompt), prompt
        return
    own = 0 if backbone.encoder_decoder else 1  # a decoder alone reads the prompt too
    target = max(examples, key=lambda one: own * len(one.prompt) + len(one.target))
    yield "dataset.name", "the text", start + own * len(target.prompt) + len(target.target) - 1, target
    prompt = max(asked, key=lambda one: len(one.prompt))
    yield (
        f"evaluation.max_new_tokens={written}",
        "the generation",
        start + own * len(prompt.prompt) + written - 1,
        prompt,
    )
    if choices:
        read = max(choices, key=lambda one: own * len(one.prompt) + len(one.target))
        length = start + own * len(read.prompt) + len(read.target) + written - 1
        yield "evidence.measures", "a choice with an explanation", length, read
    for (key, name), prompt in most.items():
        length = start + own * len(prompt.prompt) + written - 1
        yield key, f"what {name} asks, and evaluation.max_new_tokens={written} after it,", length, prompt


def limits(backbone: Backbone) -> dict[str, int]:
    """Positions of an encoder and a decoder, or of the model ("") where it is one; nothing where any number will do.

    A table of positions is an embedding by that name whose rows are learnt, or looked up and never computed anew.
    """
    limits: dict[str, int] = {}
    called = reach.called(backbone.model)
    for path, module in backbone.model.named_modules():
        leaf = path.rpartition(".")[2]
        table = isinstance(module, nn.Embedding) and ("position" in leaf or leaf == "wpe")
        if table and path in called and "Sinusoidal" not in type(module).__name__:
            part = next((name for name in ("encoder", "decoder") if f".{name}." in f".{path}"), "")
            part = part if backbone.encoder_decoder else ""
            unread = 0 if module.padding_idx is None else module.padding_idx + 1  # where RoBERTa's positions begin
            rows = module.num_embeddings - (getattr(module, "offset", None) or unread)
            limits[part] = min(rows, limits.get(part, rows))
    return limits
