"""CoS-E v1.0 (Rajani et al. 2019): CommonsenseQA v1.0 questions with three choices, explained by people.

Each explanation comes with the part of the question that its writer marked, kept as the gold rationale.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from caref.data import feb
from caref.data.examples import Example, Span
from caref.data.files import Row, by_id, read_jsonl
from caref.data.releases import Hub, Layout, Record, ReleaseFile, Unusable

SOURCE = "explain {question} \\n {choices}"
LOWERCASE = True
# Not in FEB's paper: by its code, as SparseFit and CAREF run it.
FEB = feb.Rule(feb.shuffled, rows={"train": 7_610, "validation": 950})


def read_release(questions: Path, explanations: Path) -> Iterator[Record]:
    """Questions and their explanations, joined by id, in the order of the explanations: the hub's and FEB's."""
    asked = by_id(read_jsonl(questions), "id")
    given: dict[str, list[Row]] = defaultdict(list)
    for row in read_jsonl(explanations):
        given[row.text("id")].append(row)
    for id in dict.fromkeys([*given, *asked]):
        if id not in asked:
            yield Unusable("no such question in CommonsenseQA")
            continue
        row, rows = asked[id], given.get(id, [])
        letters, choices = lettered_choices(row)
        key = row.text("answerKey")
        if key not in letters:
            raise row.refusal(f"answerKey is {key!r}, not one of {', '.join(letters)}")
        yield _example(
            id,
            row.text("question", "stem"),
            choices,
            letters.index(key),
            [explanation.text("explanation", "open-ended") for explanation in rows],
            [explanation.text("explanation", "selected") for explanation in rows],
        )


def read_hub(rows: Iterable[Row]) -> Iterator[Record]:
    """The hub's rows, which give the answer as a text."""
    for row in rows:
        choices = [choice.strip() for choice in row.list("choices")]
        answer = row.text("answer").strip()
        if answer not in choices:
            yield Unusable("the answer is none of the choices")
            continue
        yield _example(
            row.text("id"),
            row.text("question"),
            choices,
            choices.index(answer),
            [row.text("abstractive_explanation")],
            [row.text("extractive_explanation")],
        )


def lettered_choices(row: Row) -> tuple[list[str], list[str]]:
    """The letters and the texts of a CommonsenseQA question's choices, in order of letter."""
    pairs = row.list("question", "choices")
    choices = sorted((Row(row.where, pair) for pair in pairs), key=lambda choice: choice.text("label"))
    return [choice.text("label") for choice in choices], [choice.text("text").strip() for choice in choices]


def marked_span(question: str, selected: str) -> Span | None:
    """Where in the question the text lies that a person marked; None where it is not of the question.

    The marks were taken off a page that read "Question: ... Answer Choices: ...", so they may carry a part of
    these headings, and they have lost spaces: neither these nor the case of letters are compared. A quotation
    mark came out as a backslash.
    """
    selected = selected.replace("\\", '"')
    content = re.sub(r"^\s*(Task)?\s*Question\s*:?", "", selected)
    content = re.sub(r"Answer\s*Choices:.*", "", content, flags=re.S)
    places = [place for place, character in enumerate(question) if not character.isspace()]
    text = [question[place].lower() for place in places]
    for mark in (selected, content, content.lstrip(" :")):
        wanted = [character.lower() for character in mark if not character.isspace()]
        starts = [n for n in range(len(text) - len(wanted) + 1) if text[n : n + len(wanted)] == wanted]
        if wanted and starts:
            spans = [Span("question", places[n], places[n + len(wanted) - 1] + 1) for n in starts]
            return next((span for span in spans if _whole_words(question, span)), spans[0])
    return None


def _whole_words(text: str, span: Span) -> bool:
    before, after = text[span.start - 1 : span.start], text[span.end : span.end + 1]
    return not before.isalnum() and not after.isalnum()


def _example(
    id: str,
    question: str,
    choices: Sequence[str],
    label: int,
    explanations: Iterable[str],
    selected: Iterable[str],
) -> Example | Unusable:
    said = tuple(explanation.strip() for explanation in explanations if explanation.strip())
    if not said:
        return Unusable("no explanation", label)
    question = question.strip()
    spans = {span for mark in selected if (span := marked_span(question, mark))}
    rationale = tuple(sorted(spans, key=lambda span: (span.start, span.end)))
    return Example(id, {"question": question}, tuple(choices), label, said, rationale)


LAYOUTS = (
    Layout(
        {
            "train": ("train_rand_split.jsonl", "cose_train_v1.0.jsonl"),
            "validation": ("dev_rand_split.jsonl", "cose_dev_v1.0.jsonl"),
        },
        read_release,
    ),
)

_AT = "https://raw.githubusercontent.com/salesforce/cos-e/fd0cafcc3e30fd24e3e1742934e8fcbf677315c9/data/v1.0"
_BLOBS = {
    "train_rand_split.jsonl": "42662a881516263ed9671f1ee10a3d494760e276",
    "dev_rand_split.jsonl": "157db5e434ee9a467757f2c929fa34ffd00ea0e8",
    "cose_train_v1.0.jsonl": "3fa7ddb72dddc8ff7e94b4853f7908f9a85e727f",
    "cose_dev_v1.0.jsonl": "e1af042d161d664f12e0be36e99f736643aa05d9",
}
RELEASE = tuple(ReleaseFile(f"{_AT}/{path}", path, blob) for path, blob in _BLOBS.items())

HUB = Hub("Salesforce/cos_e", "v1.0")
