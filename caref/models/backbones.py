"""Backbones: a pretrained (or random) language model with its tokenizer, loaded once a job."""

import functools
import json
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from omegaconf import DictConfig, OmegaConf

from caref.config.schema import Model
from caref.errors import UserError
from caref.models import modules, shapes, starts
from caref.models.checkpoints import Folder, Gguf, Hub, locate

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

BYTE = "byte"  # the name of ByT5's tokenizer, which needs no file


@dataclass(frozen=True)
class Backbone:
    """A language model in evaluation mode and the tokenizer of its texts.

    Attributes:
        start: what an encoder-decoder's decoder reads before the first token that it writes; of others nothing.
        decoder_mask: whether the decoder has to be told that its start is no padding.
    """

    name: str
    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase"
    dtype: torch.dtype = torch.float32  # of its own weights, whatever a split puts in their places
    start: tuple[int, ...] = ()
    decoder_mask: bool = False

    @property
    def encoder_decoder(self) -> bool:
        return self.model.config.is_encoder_decoder

    @property
    def classifier(self) -> bool:
        """Whether it chooses an answer, by one row of logits over the classes, and writes nothing."""
        return modules.classifies(self.model)

    @property
    def device(self) -> torch.device:
        return self.model.device

    def autocast(self) -> AbstractContextManager:
        """What a bfloat16 backbone computes under, in training and in generation, since trained parts are float32.

        It changes nothing for a float32 backbone.
        """
        mixed = self.dtype is torch.bfloat16
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=mixed)


def load(
    model: DictConfig | Model,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    classes: int | None = None,
) -> Backbone:
    """Load a model and its tokenizer from the hub, a folder or a GGUF file, or draw random weights for its shape.

    Args:
        model: `path`, `revision`, `tokenizer`, `dropout` and `config`, as `caref.config.schema.Model` describes them.
            Random weights come from a fixed seed: the same on each machine with the same libraries.
        dtype: float32 or bfloat16 of the weights.
        classes: of a classifier, how many there are. Its head is drawn from the seed of random weights, and its logits
            are (B, 1, classes): those of a text of one token.

    Raises:
        UserError: if a path leads nowhere, the hub is out of reach, files are damaged, the vocabulary is too small
            for the tokenizer, the family cannot compute in `dtype`, or nothing says how its decoder starts.

    Example:
        >>> backbone = load(Model(name="tiny", tokenizer="byte", config={
        ...     "model_type": "llama", "vocab_size": 384, "hidden_size": 32, "intermediate_size": 64,
        ...     "num_hidden_layers": 2, "num_attention_heads": 4}))
        >>> backbone.encoder_decoder
        False
    """
    model = typed(model)
    if (model.kind == "classifier") != (classes is not None):
        raise ValueError(f"model.kind={model.kind} with classes={classes}: a classifier has some, a generator none")
    if model.path is None:
        config = shapes.configuration(model)
        _prepare(config, model, dtype)
        network = shapes.with_random_weights(config, classes).to(dtype)
        for key in shapes.FORCED if classes is None else ():
            setattr(network.generation_config, key, model.config.get(key))
        tokenizer = _tokenizer(model, None)
    else:
        files = _files(model.path, model.revision, "model.path")
        network = _pretrained(model, files, dtype, classes)
        tokenizer = _tokenizer(model, files)
    if classes is not None:
        network.forward = _of_one_token(network.forward)
    start = starts.start_tokens(network, tokenizer) if network.config.is_encoder_decoder else ()
    _fit(network, tokenizer, model)
    _in_one_operation(network)
    network = network.to(device).eval()
    mask = bool(start) and starts.hides_its_start(network, start, tokenizer.pad_token_id)
    return Backbone(model.name, network, tokenizer, dtype, start, mask)


def typed(model: DictConfig | Model) -> Model:
    """The model's configuration as its dataclass, from Hydra's node or from the dataclass itself."""
    return Model(**OmegaConf.to_container(model, resolve=True)) if isinstance(model, DictConfig) else model


def _prepare(config: "PreTrainedConfig", model: Model, dtype: torch.dtype) -> None:
    if dtype is torch.float16 and "t5" in config.model_type:
        raise UserError(f"train.precision: {config.model_type} overflows to NaN in float16; take bf16 or fp32")
    if model.dropout is not None:
        shapes.set_dropout(config, model.dropout)


def _of_one_token(forward: Callable) -> Callable:
    """A classifier's forward with logits (B, 1, C), those of a text of one token, as whoever reads logits expects.

    Not by a hook: AdaLoRA calls the forward itself.
    """

    @functools.wraps(forward)
    def of_one_token(*args, **kwargs):
        output = forward(*args, **kwargs)
        output.logits = output.logits.unsqueeze(1)
        return output

    return of_one_token


def _pretrained(model: Model, files: "_Files", dtype: torch.dtype, classes: int | None) -> "PreTrainedModel":
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

    path, options = files
    try:
        config = AutoConfig.from_pretrained(path, **options)
        _prepare(config, model, dtype)
        if classes is not None:
            return _with_head(path, config, dtype, classes, options)
        shapes.refuse_encoder(config)
        family = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
        return _whole(
            lambda: family.from_pretrained(path, config=config, dtype=dtype, output_loading_info=True, **options)
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise UserError(f"model.path={model.path}: cannot be loaded: {error}") from None


def _whole(load: Callable[[], tuple["PreTrainedModel", dict]]) -> "PreTrainedModel":
    """A model of which nothing is drawn: what files lack may be computed, as sinusoidal positions are.

    Raises:
        ValueError: naming what would be drawn.
    """
    network, told = load()
    if lacking := sorted(told["missing_keys"]):
        once, again = network.state_dict(), load()[0].state_dict()
        if drawn := [name for name in lacking if not torch.equal(once[name], again[name])]:
            raise ValueError(f"its files lack {drawn[0]}, which would be random")
    return network


def _with_head(
    path: str, config: "PreTrainedConfig", dtype: torch.dtype, classes: int, options: dict
) -> "PreTrainedModel":
    """A pretrained encoder with a head of its own, which files have not.

    Raises:
        ValueError: if they lack more than that.
    """
    from transformers import AutoModelForSequenceClassification
    from transformers.utils import logging

    shapes.as_classifier(config, classes)
    level = logging.get_verbosity()
    logging.set_verbosity_error()  # of the head that files lack
    try:
        with shapes.own_seed():
            network, told = AutoModelForSequenceClassification.from_pretrained(
                path, config=config, dtype=dtype, output_loading_info=True, **options
            )
    finally:
        logging.set_verbosity(level)
    head = tuple(f"{part}." for part in modules.head(network))
    if lacking := sorted(name for name in told["missing_keys"] if not name.startswith(head)):
        raise ValueError(f"its files lack {lacking[0]}, without which it does not classify")
    return network


def _tokenizer(model: Model, files: "_Files | None") -> "PreTrainedTokenizerBase":
    from transformers import AutoTokenizer, ByT5Tokenizer

    if model.tokenizer == BYTE:
        return ByT5Tokenizer()
    if model.tokenizer is not None:
        files = _files(model.tokenizer, None, "model.tokenizer")
    elif files is None:
        raise UserError(
            "model.tokenizer: missing, and model.path names no files to take it from; tokenizer=byte needs none"
        )
    path, options = files
    try:
        return AutoTokenizer.from_pretrained(path, **options)
    except (OSError, ValueError, KeyError) as error:
        named = f"model.tokenizer={model.tokenizer}" if model.tokenizer else f"model.path={model.path}"
        raise UserError(f"{named}: holds no tokenizer that can be read: {error}") from None


_Files = tuple[str, dict[str, object]]  # what `from_pretrained` is to be called with


def _files(path: str, revision: str | None, key: str) -> _Files:
    match locate(path, revision, key):
        case Folder(folder):
            return str(folder), {}
        case Gguf(file):
            from caref.models.gguf import unpacked

            return str(unpacked(file)), {}
        case Hub(id, revision, cached):
            return id, {"revision": revision, "local_files_only": cached}


def _in_one_operation(network: "PreTrainedModel") -> None:
    """Compute `gelu_new`, T5's activation, by PyTorch's one operation for what transformers writes in eight."""
    from transformers.activations import NewGELUActivation

    for module in network.modules():
        for name, child in module.named_children():
            if type(child) is NewGELUActivation:
                setattr(module, name, torch.nn.GELU(approximate="tanh"))


def _fit(network: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", model: Model) -> None:
    """Make model and tokenizer agree on tokens, end and padding, and decoding greedy but for the special tokens."""
    from transformers import GenerationConfig

    named = f"model.tokenizer={model.tokenizer or model.path}"
    vocabulary = network.get_input_embeddings().num_embeddings
    if len(tokenizer) > vocabulary and not _cut(tokenizer, vocabulary, named):
        raise UserError(
            f"{named}: its {len(tokenizer)} tokens do not fit the model's vocabulary of {vocabulary} (vocab_size)"
        )
    if tokenizer.eos_token is None and not modules.classifies(network):
        end = network.generation_config.eos_token_id
        if not isinstance(end, int) or not 0 <= end < len(tokenizer):
            raise UserError(
                f"{named}: has no end token, and {network.config.model_type} names no one token of it "
                f"(eos_token_id={end}); give the tokenizer its eos_token"
            )
        tokenizer.eos_token = tokenizer.convert_ids_to_tokens(end)
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is None:
            raise UserError(f"{named}: has neither a padding nor an end token")
        tokenizer.pad_token = tokenizer.eos_token
    network.config.pad_token_id = tokenizer.pad_token_id
    if modules.classifies(network):
        return
    # Beams, sampling, n-gram blocking and forced tokens of a checkpoint would leak into what is said to be greedy
    # decoding; what a checkpoint forces at the start is `Backbone.start`.
    own = network.generation_config
    special = ("bos_token_id", "eos_token_id", "decoder_start_token_id")
    network.generation_config = GenerationConfig(
        pad_token_id=tokenizer.pad_token_id, **{key: getattr(own, key, None) for key in special}
    )


def _cut(tokenizer: "PreTrainedTokenizerBase", vocabulary: int, named: str) -> bool:
    """Whether all tokens beyond the vocabulary are special ones of no use here, an image's say; they are taken off.

    A text that spells one is then read as any other text; a token that was added to be read is not taken off.
    """
    if not tokenizer.is_fast:
        return False
    beyond = [token for place, token in tokenizer.added_tokens_decoder.items() if place >= vocabulary]
    used = {getattr(tokenizer, name) for name in type(tokenizer).SPECIAL_TOKENS_ATTRIBUTES}
    if len(tokenizer) - len(beyond) > vocabulary or any(not one.special or one.content in used for one in beyond):
        return False
    described = json.loads(tokenizer.backend_tokenizer.to_str())
    described["added_tokens"] = [token for token in described["added_tokens"] if token["id"] < vocabulary]
    tokenizer._tokenizer = type(tokenizer.backend_tokenizer).from_str(json.dumps(described))
    told = ", ".join(token.content for token in beyond)
    warnings.warn(f"{named}: the model has no row for {told}; where a text spells it, letters are read", stacklevel=2)
    return True
