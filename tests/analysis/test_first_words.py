"""The words that an attribution puts first, counted by hand."""

import csv
import gzip
import io

import pytest

from caref.analysis.first_words import MOST
from caref.report import findings, markdown, spreadsheets
from caref.report.html import page
from caref.results import evidence

A = [
    ({"words": ["A", "dog", "barks."]}, [0.6, 0.3, 0.1]),
    ({"words": ["Two", "(dogs)", "a"]}, [0.2, -0.2, 0.6]),  # `a` again, whatever its case
    ({"words": ["Dogs!", "sleep"]}, [0.5, 0.5001]),
    ({"words": ["one"]}, [0.4]),  # nothing to put first
    ({"words": ["all", "alike"]}, [0.0, 0.0]),
]
B = [({"words": ["Dogs", "a"]}, [3.0, 3.5])]  # sums other than 1


def of(found, asked, *splits):
    scores = {"erasure.lime.comprehensiveness": 0.1}
    report, root = found(("esnli", {}, [scores] * len(splits)))
    (cell,) = report.evidence.held
    for split, rows in enumerate(splits):
        kept = [{**row, "id": str(place), "scores": {"lime": own}} for place, (row, own) in enumerate(rows)]
        evidence.write_split(root / cell.line.cell.signature, asked, {"split": split, "scores": scores}, kept)
    folder = evidence.folder_of(root / cell.line.cell.signature, asked)
    return folder, lambda: findings.gather([cell.line.cell], results_dir=root)


def test_a_word_is_counted_where_it_is_first_and_its_share_is_over_all_texts(found, asked):
    folder, again = of(found, asked, A, B)
    report = again()
    words = {one.word: (one.first, one.texts, round(one.share, 4)) for one in report.first_words}
    assert words == {"a": (3, 4, round((0.6 + 0.6 + 3.5 / 6.5) / 4, 4)), "sleep": (1, 4, round(0.5 / 4, 4))}
    told = "a 3, sleep 1 of 4"
    assert f"| {told} |" in markdown.document(report) and told in page.document(report, folder.parents[2])
    (row, _) = csv.DictReader(io.StringIO(spreadsheets.files(report)["evidence_words.csv"]))
    assert (row["word"], row["first"], row["texts"], row["attribution"]) == ("a", "3", "4", "lime")


def test_the_most_frequent_are_listed(found, asked):
    rows = [({"words": [f"word{n % 15}", "other"]}, [1.0, 0.0]) for n in range(40)]
    _, again = of(found, asked, rows)
    words = again().first_words
    assert len(words) == MOST and [one.first for one in words] == [3] * MOST


@pytest.mark.parametrize(
    "rows",
    [
        b"cut",
        gzip.compress(b'{"words": ["a", "dog"], "scores": {"lime": [1.0]}}\n'),
        gzip.compress(b'{"words": ["a", "dog"], "scores": {"lime": [1.0, "high"]}}\n'),
        gzip.compress(b'{"words": ["a", "dog"], "scores": [1.0, 0.5]}\n'),
        gzip.compress(b'{"words": "a"}\n'),
    ],
)
def test_rows_that_cannot_be_read_are_named_and_the_others_count(found, asked, rows):
    folder, again = of(found, asked, A, B)
    (folder / "001.jsonl.gz").write_bytes(rows)
    report = again()
    assert [one.texts for one in report.first_words] == [3, 3]
    assert any("left out of the first words" in note and "001.jsonl.gz" in note for note in report.notes())
