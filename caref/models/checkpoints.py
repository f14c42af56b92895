"""Where a model's files are: a hub repository, a folder, or a GGUF file, on disk or inside an installed wheel.

Imports neither torch nor transformers, so that a path that leads nowhere is refused before anything heavy is loaded.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from caref.errors import UserError
from caref.models import wheels

HUB_TIMEOUT = 5.0  # seconds to wait for the hub's first answer

_WITHOUT_HUB = {  # by the key that names the path
    "model.path": "model=smollm2_135m",
    "model.tokenizer": "model.tokenizer=byte",
    "bertscore.model": "bertscore=minilm",
    "MODEL": "smollm2_135m",
}
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


@dataclass(frozen=True)
class Folder:
    """A local folder in the layout of `save_pretrained`."""

    path: Path


@dataclass(frozen=True)
class Gguf:
    """One GGUF file, which holds configuration, tokenizer and (quantised) weights."""

    file: Path


@dataclass(frozen=True)
class Hub:
    """A hub repository; `cached` when the hub is out of reach and the local copy has to do."""

    id: str
    revision: str | None
    cached: bool
    commit: str | None = None  # what the revision stands for


def may_be_on_hub(path: str | None) -> bool:
    """Whether a path leads to the hub if anywhere: it is neither a wheel's, nor a GGUF file, nor a folder here."""
    elsewhere = path is None or path.startswith(wheels.PREFIX) or path.endswith(".gguf")
    return not elsewhere and not Path(path).expanduser().exists()


def locate(path: str, revision: str | None = None, key: str = "model.path") -> Folder | Gguf | Hub:
    """Find what `path` names: `wheel:PACKAGE/FILE.gguf`, a `.gguf` file, a folder, or else a hub id.

    The hub is asked once, for at most about `HUB_TIMEOUT` seconds: its client would retry for half a minute.

    Raises:
        UserError: naming `key`, when there is no such package, file, folder or repository, or the hub is out of
            reach and holds no local copy.
    """
    local = Path(wheels.resolve(path, key)).expanduser()
    if path.endswith(".gguf"):
        if not local.is_file():
            raise UserError(f"{key}={path}: no such GGUF file")
        return Gguf(local)
    if local.is_dir():
        if not (local / "config.json").is_file():
            raise UserError(f"{key}={path}: the folder has no config.json; name one written by save_pretrained")
        return Folder(local)
    if local.exists() or not _HUB_ID.fullmatch(path):
        raise UserError(f"{key}={path}: no such folder, and not a hub id (OWNER/NAME)")
    return _on_hub(path, revision, key)


def _on_hub(path: str, revision: str | None, key: str) -> Hub:
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        found = HfApi().model_info(path, revision=revision, timeout=HUB_TIMEOUT)
        return Hub(path, revision, cached=False, commit=found.sha)
    except RevisionNotFoundError:
        raise UserError(f"{key}={path}: the hub has no revision {revision} of it (model.revision)") from None
    except GatedRepoError:
        raise UserError(f"{key}={path}: the hub asks for access; request it there, then `hf auth login`") from None
    except RepositoryNotFoundError:
        raise UserError(f"{key}={path}: neither a folder nor a model on the hub") from None
    except Exception as error:  # the transport's own error classes change with the hub client
        kept = try_to_load_from_cache(path, "config.json", revision=revision)
        if isinstance(kept, str):
            return Hub(path, revision, cached=True, commit=Path(kept).parent.name)  # snapshots/<commit>/config.json
        raise UserError(
            f"{key}={path}: not in the local cache, and the hub is out of reach ({type(error).__name__}); "
            f"name a folder, or what needs no hub ({_WITHOUT_HUB[key]})"
        ) from None
