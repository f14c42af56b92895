"""CoS-E v1.11 (Rajani et al. 2019): CommonsenseQA v1.11 questions with five choices, explained by people.

Two texts of its writers say nothing of their questions: "Rivers flow trough valleys." and "This word is Most relavant"
are 6.6 % of the training explanations and 13.4 % of the others. They are kept, as the release has them.
"""

from caref.data import feb
from caref.data.cos_e import LOWERCASE, SOURCE, read_hub, read_release
from caref.data.releases import Hub, Layout, ReleaseFile

__all__ = ["FEB", "HUB", "LAYOUTS", "LOWERCASE", "NAME", "RELEASE", "SOURCE", "read_hub"]

NAME = "cos_e_v1.11"  # no module can be called that
FEB = feb.Rule(feb.shuffled, rows={"train": 9_741, "validation": 1_221}, instead="CoS-E v1.0")


def _layout(questions: str) -> Layout:
    return Layout(
        {
            "train": (f"{questions}train_rand_split.jsonl", "cose_train_v1.11.jsonl"),
            "validation": (f"{questions}dev_rand_split.jsonl", "cose_dev_v1.11.jsonl"),
        },
        read_release,
    )


LAYOUTS = (_layout(""), _layout("../ecqa/cqa/"))  # the questions are ECQA's too

_AT = "https://raw.githubusercontent.com/salesforce/cos-e/fd0cafcc3e30fd24e3e1742934e8fcbf677315c9/data/v1.11"
_CQA = "https://s3.amazonaws.com/commensenseqa"
RELEASE = (
    ReleaseFile(f"{_AT}/cose_train_v1.11.jsonl", "cose_train_v1.11.jsonl", "714e5e85ce33d2459118bdfb6d37903c330e829f"),
    ReleaseFile(f"{_AT}/cose_dev_v1.11.jsonl", "cose_dev_v1.11.jsonl", "070d482cfb9073f0ec4c0eb9b8cb77133883783c"),
    ReleaseFile(f"{_CQA}/train_rand_split.jsonl", "train_rand_split.jsonl", lines=9741),
    ReleaseFile(f"{_CQA}/dev_rand_split.jsonl", "dev_rand_split.jsonl", lines=1221),
)

HUB = Hub("Salesforce/cos_e", "v1.11")
