"""ComVE (SemEval-2020 task 4, Wang et al. 2020): which of two sentences is against common sense, and why."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

from caref.data import feb
from caref.data.examples import Example
from caref.data.files import Row, by_id, read_csv
from caref.data.releases import Layout, Record, ReleaseFile, Unusable

SOURCE = "explain what is more nonsensical? \\n choice1: {sent0} choice2: {sent1}"
LOWERCASE = True
# FEB's training list has every statement three times, once with each of its explanations: 30,000 rows.
FEB = feb.Rule(feb.chosen_by_class, rows={"train": 10_000, "validation": 997}, explanations=3)

_EXPLANATIONS = ("explanation1", "explanation2", "explanation3")


def read_release(sentences: Path, answers: Path, explanations: Path) -> Iterator[Record]:
    """Sentences (subtask A), which one is nonsensical (0 or 1), and three reasons why (subtask C), by id."""
    nonsensical = by_id(read_csv(answers, ("id", "answer"), header=False), "id")
    reasons = by_id(read_csv(explanations, ("id", *_EXPLANATIONS), header=False), "id")
    for id, row in by_id(read_csv(sentences, ("id", "sent0", "sent1")), "id").items():
        if id not in nonsensical:
            yield Unusable("no answer")
            continue
        answer = nonsensical[id].text("answer")
        if answer not in ("0", "1"):
            raise nonsensical[id].refusal(f"the answer is {answer!r}, not 0 or 1")
        said = [reasons[id].text(column).strip() for column in _EXPLANATIONS] if id in reasons else []
        if not any(said):
            yield Unusable("no explanation", int(answer))
            continue
        fields = {"sent0": row.text("sent0").strip(), "sent1": row.text("sent1").strip()}
        yield Example(id, fields, ("choice1", "choice2"), int(answer), tuple(filter(None, said)))


def read_hub(rows: Iterable[Row]) -> Iterator[Record]:
    """The hub has no copy that we could confirm, so there is none to read."""
    raise NotImplementedError("ComVE has no hub copy: HUB is None")


# Where the files are in the repository, and what they are called in one folder: the release has the names of
# the dev and test answers twice. (Two spaces in "Training  Data" are the release's.)
_FILES = {
    "train": {
        "Training  Data/subtaskA_data_all.csv": "subtaskA_data_all.csv",
        "Training  Data/subtaskA_answers_all.csv": "subtaskA_answers_all.csv",
        "Training  Data/subtaskC_answers_all.csv": "subtaskC_answers_all.csv",
    },
    "validation": {
        "Dev Data/subtaskA_dev_data.csv": "subtaskA_dev_data.csv",
        "Dev Data/subtaskA_gold_answers.csv": "subtaskA_dev_gold_answers.csv",
        "Dev Data/subtaskC_gold_answers.csv": "subtaskC_dev_gold_answers.csv",
    },
    "test": {
        "Test Data/subtaskA_test_data.csv": "subtaskA_test_data.csv",
        "Test Data/subtaskA_gold_answers.csv": "subtaskA_test_gold_answers.csv",
        "Test Data/subtaskC_gold_answers.csv": "subtaskC_test_gold_answers.csv",
    },
}

LAYOUTS = (
    Layout({split: tuple(files.values()) for split, files in _FILES.items()}, read_release),
    Layout({split: tuple(files) for split, files in _FILES.items()}, read_release),
    Layout({split: tuple(f"ALL data/{file}" for file in files) for split, files in _FILES.items()}, read_release),
)

_BLOBS = {
    "subtaskA_answers_all.csv": "9f39798db0f8f6c62f491e2f8045ba140d0144c7",
    "subtaskA_data_all.csv": "301baf295bbdcf882932ffe2d9677ab70657596d",
    "subtaskA_dev_data.csv": "4916d89cfabdd1c6b77f203287469a236e1542c3",
    "subtaskA_dev_gold_answers.csv": "21a9237b34d603140dc1df4ad55b5b4240a4991c",
    "subtaskA_test_data.csv": "3771c7acfab5a4c3339a20a1a6839a02a00a5a10",
    "subtaskA_test_gold_answers.csv": "b2ba8a2e2b56c27734c11187199866141f6c01dc",
    "subtaskC_answers_all.csv": "f097373de59e2610604bb3ce39d03ec76478ac0a",
    "subtaskC_dev_gold_answers.csv": "30af273825538f08faceaea67f1d10aa0d46d896",
    "subtaskC_test_gold_answers.csv": "942fd357d8997cb097f57482d72c4fd5d7ad99a3",
}
_AT = (
    "https://raw.githubusercontent.com/wangcunxiang/SemEval2020-Task4-Commonsense-Validation-and-Explanation/"
    "c55b1a9e6cb66997675f85073e17a9522cf38c2c"
)
RELEASE = tuple(
    ReleaseFile(f"{_AT}/{quote(f'ALL data/{there}')}", here, _BLOBS[here])
    for files in _FILES.values()
    for there, here in files.items()
)

HUB = None
