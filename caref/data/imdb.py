"""IMDb reviews (Maas et al. 2011), those that Kaushik et al. 2020 chose for counterfactual ones: is a film liked?

Nobody explains, and nobody marked words.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from caref.data.examples import Example
from caref.data.files import read_csv
from caref.data.releases import Layout, Record, ReleaseFile

SOURCE = "imdb review: {review}"
LOWERCASE = False
EXPLAINED = False

_LABELS = {"Negative": "negative", "Positive": "positive"}


def read_release(path: Path) -> Iterator[Record]:
    """A file of reviews, in which `<br />` is the end of a line."""
    for number, row in enumerate(read_csv(path, ("Sentiment", "Text"), delimiter="\t")):
        label = row.text("Sentiment")
        if label not in _LABELS:
            raise row.refusal(f"Sentiment is {label!r}, not one of {', '.join(_LABELS)}")
        review = re.sub(r"\s*<br\s*/?>\s*", "\n", row.text("Text")).strip()
        if not review:
            raise row.refusal("Text is empty")
        yield Example(str(number), {"review": review}, tuple(_LABELS.values()), list(_LABELS).index(label), ())


LAYOUTS = (Layout({"train": ("train.tsv",), "validation": ("dev.tsv",), "test": ("test.tsv",)}, read_release),)

_AT = "https://raw.githubusercontent.com/acmi-lab/counterfactually-augmented-data"
_COMMIT = "24d94ba4fccde76af36b051d5ca8acb9d5b8f084"
_BLOBS = {
    "train.tsv": "fe4c24bb8f89919dc2a7784697f1fed254f6e643",
    "dev.tsv": "fc74d83fc2a580514b4ebeb0b51bcd7dd24d0cfa",
    "test.tsv": "9b74de75bc5fc0acbc02c436921073461407045c",
}
RELEASE = tuple(ReleaseFile(f"{_AT}/{_COMMIT}/sentiment/orig/{path}", path, blob) for path, blob in _BLOBS.items())

HUB = None
