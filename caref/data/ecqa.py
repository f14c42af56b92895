"""ECQA (Aggarwal et al. 2021): CommonsenseQA v1.11 questions with five choices, and why the right one is right.

The explanation is the question's positive properties, joined: FEB's choice. The release's free text (taskB) argues
against the wrong choices too.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from caref.data import feb
from caref.data.cos_e import lettered_choices
from caref.data.examples import Example
from caref.data.files import Row, by_id, read_csv, read_jsonl, read_lines
from caref.data.releases import Hub, Layout, Record, ReleaseFile, Unusable

SOURCE = "explain {question} \\n {choices}"
LOWERCASE = True
# Rows stand in the order of author_split, which both layouts keep.
FEB = feb.Rule(feb.sampled, rows={"train": 7_598, "validation": 1_090})

_CHOICES = tuple(f"q_op{number}" for number in range(1, 6))


def read_joined(path: Path) -> Iterator[Record]:
    """The csv that the release's own script writes: questions and explanations joined."""
    return read_hub(read_csv(path, ("q_no", "q_text", *_CHOICES, "q_ans", "taskA_pos")))


def read_raw(explanations: Path, ids: Path, *questions: Path) -> Iterator[Record]:
    """The release as it is downloaded: explanations, the ids of a split, and CommonsenseQA's questions."""
    told = (row for row in read_jsonl(explanations) if "positives" in row.cells)
    given = by_id((Row(row.where, {key: row.value(key) for key in ("id", "positives")}) for row in told), "id")
    asked = by_id((row for path in questions for row in read_jsonl(path)), "id")
    for id in read_lines(ids):
        if id not in asked:
            yield Unusable("no such question in CommonsenseQA")
            continue
        row = asked[id]
        letters, choices = lettered_choices(row)
        key = row.text("answerKey")
        if key not in letters:
            raise row.refusal(f"answerKey is {key!r}, not one of {', '.join(letters)}")
        positives = given[id].list("positives") if id in given else []
        yield _example(id, row.text("question", "stem"), choices, choices[letters.index(key)], positives)


def read_hub(rows: Iterable[Row]) -> Iterator[Record]:
    """Joined rows, from the hub or from a csv; they give the answer as a text, and a positive property a line."""
    for row in rows:
        choices = [row.text(column).strip() for column in _CHOICES]
        positives = row.text("taskA_pos").split("\n")
        yield _example(row.text("q_no"), row.text("q_text"), choices, row.text("q_ans").strip(), positives)


def _example(id: str, question: str, choices: list[str], answer: str, positives: Sequence[str]) -> Record:
    if answer not in choices:
        return Unusable("the answer is none of the choices")
    # a few questions offer the answer twice; the first stands for both, whichever file it is read from
    label = choices.index(answer)
    if not any(map(str.strip, positives)):
        return Unusable("no explanation", label)
    return Example(id, {"question": question.strip()}, tuple(choices), label, (joined(positives),))


def joined(positives: Sequence[str]) -> str:
    """Properties as FEB makes one text of them: empty ones leave a period of their own."""
    return (". ".join(map(str.strip, positives)) + ".").replace("..", ".")


_IDS = {"train": "train", "validation": "val", "test": "test"}


def _raw_layout(questions: str) -> Layout:
    files = (f"{questions}train_rand_split.jsonl", f"{questions}dev_rand_split.jsonl")
    return Layout(
        {split: ("ecqa.jsonl", f"author_split/{ids}_ids.txt", *files) for split, ids in _IDS.items()},
        read_raw,
    )


LAYOUTS = (
    _raw_layout("cqa/"),
    _raw_layout(""),
    Layout({split: (f"cqa_data_{ids}.csv",) for split, ids in _IDS.items()}, read_joined),
)

_AT = "https://raw.githubusercontent.com/dair-iitd/ECQA-Dataset/2ba8f0d3cf64ba5beb4605808ee1285c895af50d"
_BLOBS = {
    "ecqa.jsonl": "512d121fd9105b0dd7c07d160f275da60d38405c",
    "author_split/train_ids.txt": "858517e3f3986e45b212bd1ee89900952b98a390",
    "author_split/val_ids.txt": "f4d7179e6ca8a03b8b5e33bc42ec74ab32b05e05",
    "author_split/test_ids.txt": "9b48bd50647c22cab2a7bcbf450b90f88ad4dea6",
}
_CQA = "https://s3.amazonaws.com/commensenseqa"
RELEASE = (
    *(ReleaseFile(f"{_AT}/{path}", path, blob) for path, blob in _BLOBS.items()),
    ReleaseFile(f"{_CQA}/train_rand_split.jsonl", "cqa/train_rand_split.jsonl", lines=9741),
    ReleaseFile(f"{_CQA}/dev_rand_split.jsonl", "cqa/dev_rand_split.jsonl", lines=1221),
)

HUB = Hub("tasksource/ecqa")
