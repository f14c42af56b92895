"""A model from its shape: the configuration, and the network it describes with random weights or with none."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from caref.config.schema import Model
from caref.errors import UserError
from caref.models import ties
from caref.models.checkpoints import Folder, Gguf, Hub, locate

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

RANDOM_WEIGHTS_SEED = 0
CLASSES = 3  # of a classifier whose parameters are counted: e-SNLI's

# What generation is to force, which transformers keeps apart from a configuration and would drop from one.
FORCED = ("forced_bos_token_id", "forced_eos_token_id", "forced_decoder_ids")
# Keys that every family takes, though not every configuration lists them.
_EVERYWHERE = {
    *FORCED,
    "tie_word_embeddings",
    "pad_token_id",
    "bos_token_id",
    "eos_token_id",
    "decoder_start_token_id",
}


def configuration(model: Model) -> "PreTrainedConfig":
    """The configuration of a model: spelt out in `model.config`, or else read at `model.path`; no weights are read.

    Raises:
        UserError: if there is neither, the path leads nowhere, or `model.config` names what its family does not know.
    """
    if model.config:
        return spelt_out(model.config)
    if model.path is None:
        raise UserError(
            "model.path: missing, and model.config is empty; name a hub id, a folder or wheel:PACKAGE/FILE.gguf, "
            "or spell out a shape in model.config"
        )
    return read(model)


def spelt_out(shape: Mapping[str, Any]) -> "PreTrainedConfig":
    """The transformers configuration of a shape: `model_type` and that family's own keys.

    Raises:
        UserError: if a key is unknown (transformers would take it silently) or a value is refused.
    """
    from huggingface_hub.errors import StrictDataclassError
    from transformers import CONFIG_MAPPING

    shape = dict(shape)
    family = shape.pop("model_type", None)
    if family not in CONFIG_MAPPING:
        raise UserError(
            f"model.config.model_type={family}: must be a transformers family, such as t5, llama, bart, gpt2"
        )
    known = CONFIG_MAPPING[family]
    unknown = sorted(shape.keys() - known().to_dict().keys() - known.attribute_map.keys() - _EVERYWHERE)
    if unknown:
        raise UserError(f"model.config.{unknown[0]}: {family} has no such key")
    try:
        return _as_asked(known(**shape), shape)
    except (ValueError, TypeError, StrictDataclassError) as error:
        raise UserError(f"model.config: {family} refuses it: {error}") from None


def read(model: Model) -> "PreTrainedConfig":
    """The configuration at `model.path`.

    Raises:
        UserError: if the path leads nowhere or holds no configuration that transformers can read.
    """
    from transformers import AutoConfig

    try:
        match locate(model.path, model.revision):
            case Folder(path):
                return AutoConfig.from_pretrained(path)
            case Gguf(file):
                config = AutoConfig.from_pretrained(file.parent, gguf_file=file.name)
                return clean(config)
            case Hub(id, revision, cached):
                return AutoConfig.from_pretrained(id, revision=revision, local_files_only=cached)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"model.path={model.path}: {error}") from None


def clean(config: "PreTrainedConfig") -> "PreTrainedConfig":
    """The same configuration without the mark of quantisation, which bars saving and misleads PEFT."""
    fields = config.to_dict()
    fields.pop("quantization_config", None)
    return type(config).from_dict(fields)


def set_dropout(config: "PreTrainedConfig", rate: float) -> None:
    """Set every dropout rate of the configuration and of those nested in it, wherever its family keeps them.

    LayerDrop, the rates of classification and summary heads and those of what sees or hears are left alone: they are no
    dropout of what a text is passed through.

    Raises:
        UserError: if the family has no dropout at all.
    """
    places = [(part, key) for part in _of_texts(config) for key in part.to_dict() if _is_dropout(key)]
    if not places:
        raise UserError(f"model.dropout={rate}: {config.model_type} has no dropout; leave it null")
    for part, key in places:
        setattr(part, key, rate)


def _of_texts(config: "PreTrainedConfig") -> "Iterator[PreTrainedConfig]":
    yield config
    for name in config.sub_configs:
        part = getattr(config, name, None)
        if part is not None and not any(sense in name for sense in ("vision", "image", "audio")):
            yield from _of_texts(part)


def _is_dropout(key: str) -> bool:
    others = ("layerdrop", "classifier", "summary")
    return ("dropout" in key or key.endswith(("_pdrop", "_drop"))) and not any(other in key for other in others)


def skeleton(model: Model, classes: int = CLASSES) -> "PreTrainedModel":
    """The network on the meta device: every parameter's name and shape, and no memory.

    Of a folder with weights, or of the hub's copy in the local cache, it ties what loading them ties.

    Raises:
        UserError: as `configuration` does, or the weights cannot be read.
    """
    config = configuration(model)
    if model.kind == "classifier":
        with torch.device("meta"):
            return classifier(config, classes)
    folder = None if model.config else ties.folder(config)
    kept = ties.kept(folder) if folder else {}
    with torch.device("meta"):
        if kept:
            network = _built(config)
            ties.untie(network, kept)
            return network
        if folder:
            config = _as_asked(config, json.loads((folder / "config.json").read_text(encoding="utf-8")))
        return assembled(config)


def with_random_weights(config: "PreTrainedConfig", classes: int | None = None) -> "PreTrainedModel":
    """The network as its family initialises it, from a seed of its own; the global random state is left as it was.

    Args:
        classes: of a classifier; None for a language model.
    """
    with own_seed():
        return assembled(config) if classes is None else classifier(config, classes)


@contextmanager
def own_seed() -> Iterator[None]:
    """In the block random weights are drawn from the seed of theirs; the global random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(RANDOM_WEIGHTS_SEED)
        yield


def classifier(config: "PreTrainedConfig", classes: int) -> "PreTrainedModel":
    """An encoder of this configuration with a head of one output a class.

    Raises:
        UserError: if the family is no encoder.
    """
    from transformers import AutoModelForSequenceClassification

    as_classifier(config, classes)
    return AutoModelForSequenceClassification.from_config(config)


def refuse_encoder(config: "PreTrainedConfig") -> None:
    """Refuse to write with an encoder alone, which would be trained with what comes next before its eyes.

    Raises:
        UserError: if the family is one, and this configuration of it no decoder.
    """
    from transformers import MODEL_FOR_MASKED_LM_MAPPING

    both_ways = not config.is_encoder_decoder and not getattr(config, "is_decoder", False)
    if both_ways and type(config) in MODEL_FOR_MASKED_LM_MAPPING:
        raise UserError(f"model.kind=generator: {config.model_type} is an encoder; use model.kind=classifier")


def as_classifier(config: "PreTrainedConfig", classes: int) -> None:
    """Give a configuration as many classes.

    Raises:
        UserError: if the family is no encoder, one that transformers can put a head on.
    """
    from transformers import (
        MODEL_FOR_MASKED_LM_MAPPING,
        MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    )

    known = {*MODEL_FOR_MASKED_LM_MAPPING.keys()} & {*MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING.keys()}
    if config.is_encoder_decoder or type(config) not in known:
        told = f"{config.model_type} is no encoder alone, as bert, electra, roberta are"
        raise UserError(f"model.kind=classifier: {told}; use model.kind=generator")
    config.num_labels = classes


def assembled(config: "PreTrainedConfig") -> "PreTrainedModel":
    """A language model of this configuration, its output head untied where the configuration asks for that.

    Raises:
        UserError: if the family has no language model.
    """
    network = _built(config)
    # transformers 5 ties every T5 built from its configuration, and remembers a checkpoint's `tie_word_embeddings:
    # false` (Flan-T5's) only as `scale_decoder_outputs: false`.
    if not getattr(config, "scale_decoder_outputs", True) and "lm_head.weight" in network.all_tied_weights_keys:
        ties.part_with(network, "lm_head.weight")
        nn.init.normal_(network.lm_head.weight, std=config.d_model**-0.5)
    return network


def _built(config: "PreTrainedConfig") -> "PreTrainedModel":
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    refuse_encoder(config)
    family = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    try:
        return family.from_config(config)
    except ValueError:
        raise UserError(
            f"model.config.model_type={config.model_type}: transformers has no language model of it"
        ) from None


def _as_asked(config: "PreTrainedConfig", shape: Mapping[str, Any]) -> "PreTrainedConfig":
    """With T5's mark of a head of its own where the shape asks for one and the family, mT5 or UMT5, would forget it."""
    asked = shape.get("tie_word_embeddings") is False
    if asked and config.tie_word_embeddings and not hasattr(config, "scale_decoder_outputs"):
        config.scale_decoder_outputs = False
    return config
