"""Rows of a dataset on the Hugging Face hub; refused within seconds where the hub is out of reach."""

import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from urllib.parse import quote

from caref.data.files import Row
from caref.data.releases import Hub
from caref.errors import UserError

TIMEOUT = 5  # seconds to wait for the hub's first answer


def rows(hub: Hub, split: str) -> Iterator[Row]:
    """The rows of one split.

    The revision's commit is looked up first and everything is read at that commit. With HF_HUB_OFFLINE=1 the
    copy in the local cache is read.

    Raises:
        UserError: the hub is out of reach, or does not have it.
    """
    offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
    revision = hub.revision if offline else _commit(hub)
    import datasets

    try:
        table = datasets.load_dataset(hub.id, hub.config, split=split, revision=revision)
    except Exception as error:  # whatever the hub's libraries raise, it is the hub's copy that cannot be had
        raise UserError(f"source=hub: {hub.id} cannot be loaded ({error}); use source=files") from None
    number = 0
    for batch in table.iter(batch_size=1000):  # a row at a time takes many times as long
        for cells in zip(*batch.values(), strict=True):
            yield Row(f"{hub.id} ({split}), row {number}", dict(zip(batch, cells, strict=True)))
            number += 1


def _commit(hub: Hub) -> str:
    """The commit that the revision stands for now.

    Asked once and without the hub library's retries, which take half a minute where there is no network.
    """
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    address = f"{endpoint}/api/datasets/{hub.id}/revision/{quote(hub.revision, safe='')}"
    try:
        with urllib.request.urlopen(address, timeout=TIMEOUT) as answer:
            return json.load(answer)["sha"]
    except urllib.error.HTTPError as error:
        raise UserError(f"source=hub: {address} answers {error.code} {error.reason}; use source=files") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = getattr(error, "reason", error)
        raise UserError(
            f"source=hub: {endpoint} cannot be reached ({reason}); use source=files source.root=DIR, "
            "or HF_HUB_OFFLINE=1 for a copy in the local cache"
        ) from None
