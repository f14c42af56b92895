"""GGUF files as ordinary models: de-quantised once, then kept in the user's cache as a plain folder."""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

import torch

from caref.errors import UserError
from caref.models.shapes import assembled, clean


def unpacked(file: Path) -> Path:
    """A folder with the file's tokenizer and its weights in float32, in the layout of `save_pretrained`.

    The first call de-quantises (SmolLM2-135M: about ten seconds and 540 MB of disk); later ones, in any process, find
    the folder by the file's content and the version of transformers. Safe with several processes at once: each
    writes a folder of its own, and the first one to finish names it.

    Raises:
        UserError: if the file cannot be read as a language model, or the cache cannot be written.
    """
    import transformers

    with file.open("rb") as stream:
        content = hashlib.file_digest(stream, "sha256").hexdigest()
    folder = cache() / f"{file.stem}-{content[:16]}-transformers-{transformers.__version__}"
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = tempfile.mkdtemp(dir=folder.parent, prefix=f".{file.stem}-")
        try:
            _unpack(file, Path(made))
            os.rename(made, folder)
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            if not folder.is_dir():  # another process may have been first; then there is nothing left to do
                raise
    except OSError as error:
        raise UserError(
            f"{folder.parent}: cannot keep {file.name} here ({error.strerror or error}); "
            "set XDG_CACHE_HOME to a folder with room for its weights in float32"
        ) from None
    return folder


def cache() -> Path:
    """The folder of unpacked models: `$XDG_CACHE_HOME/caref/models`, by default under `~/.cache`."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "caref" / "models"


def _unpack(file: Path, folder: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
        quantised = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name)
    except (OSError, ValueError, KeyError, AttributeError, ImportError) as error:
        raise UserError(f"{file}: cannot be read as a GGUF language model: {error}") from None
    with torch.device("meta"):
        plain = assembled(clean(quantised.config))
    plain.load_state_dict(quantised.state_dict(), assign=True)
    plain.generation_config = quantised.generation_config
    plain.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
