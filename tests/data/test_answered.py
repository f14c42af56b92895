"""The datasets that nobody explained: read as their files have them, and refused where those are bad."""

import json
from collections import Counter
from pathlib import Path

import pytest

from caref.data import prompts, releases, sampling
from caref.data.sources import load
from caref.data.splits import SEEDS, same_text
from caref.errors import UserError

ARTICLE = "Rome is a city .\nIt lies in Italy ."
CLAIM = {
    "annotation_id": "1",
    "classification": "SUPPORTS",
    "docids": ["Rome"],
    "evidences": [[{"docid": "Rome", "start_token": 5, "end_token": 10, "text": "It lies in Italy ."}]],
    "query": "Rome is in Italy.",
}


@pytest.fixture(scope="module")
def fever(data_root):
    """A function: a split's examples, the source's rows, and the source's articles by name."""

    def read(split: str, file: str):
        rows = [json.loads(line) for line in (data_root / "fever" / file).read_text("utf-8").splitlines()]
        articles = {
            name: (data_root / "fever" / "docs" / name).read_text("utf-8") for row in rows for name in row["docids"]
        }
        return load("fever", split, "files", str(data_root)).examples, rows, articles

    return read


@pytest.mark.parametrize(("split", "file", "count"), [("validation", "val.jsonl", 6122), ("test", "test.jsonl", 6111)])
def test_fever_is_what_its_files_say(fever, split, file, count):
    examples, rows, articles = fever(split, file)
    assert len(examples) == len(rows) == count
    assert Counter(one.answer for one in examples) == Counter(row["classification"].lower() for row in rows)
    for one, row in zip(examples, rows, strict=True):
        (name,) = row["docids"]
        assert (one.id, one.answer) == (row["annotation_id"], row["classification"].lower())
        assert one.fields == {"claim": row["query"], "document": articles[name]} and one.explanations == ()


def test_the_marked_tokens_are_those_of_the_source(fever):
    """Token by token, of the source's offsets and of the example's spans, and again in the text that a model reads."""
    examples, rows, articles = fever("validation", "val.jsonl")
    for one, row in zip(examples, rows, strict=True):
        tokens = articles[row["docids"][0]].split()
        wanted = set()
        for evidence in (piece for group in row["evidences"] for piece in group):
            assert " ".join(tokens[evidence["start_token"] : evidence["end_token"]]) == evidence["text"]
            wanted |= set(range(evidence["start_token"], evidence["end_token"]))
        marked = [one.fields["document"][span.start : span.end].split() for span in one.rationale]
        assert [token for run in marked for token in run] == [tokens[place] for place in sorted(wanted)]
        before = [len(one.fields["document"][: span.start].split()) for span in one.rationale]
        assert {place + n for place, run in zip(before, marked, strict=True) for n in range(len(run))} == wanted
        source = prompts.text("fever", one).source
        shown = [source[start:end].split() for start, end in prompts.rationale("fever", one)]
        assert shown == marked


def test_imdb_is_what_its_files_say(data_root):
    for split, file, count in (("train", "train.tsv", 1707), ("validation", "dev.tsv", 245), ("test", "test.tsv", 488)):
        examples = load("imdb", split, "files", str(data_root)).examples
        lines = (data_root / "imdb" / file).read_text("utf-8").splitlines()[1:]
        assert len(examples) == len(lines) == count
        for one, line in zip(examples, lines, strict=True):
            label, review = line.split("\t")
            if review.startswith('"'):
                review = review[1:-1].replace('""', '"')
            assert one.answer == label.lower() and one.rationale == () and one.explanations == ()
            assert "<br" not in one.fields["review"]
            assert one.fields["review"].split() == review.replace("<br />", " ").split()


def test_their_splits_are_balanced_disjoint_and_of_the_60_seeds(data_root):
    dataset = {"name": "imdb", "sampling": "balanced", "train_split": "train", "eval_split": "test"}
    drawn = sampling.pool(dataset | {"train_size": 48, "eval_size": 350, "target": "answer"}, "files", str(data_root))
    splits = [drawn.split(index) for index in (0, 1, 59)]
    assert [one.seed for one in splits] == [SEEDS[0], SEEDS[1], SEEDS[59]]
    for one in splits:
        assert Counter(example.answer for example in one.train) == {"negative": 24, "positive": 24}
        assert Counter(example.answer for example in one.evaluation) == {"negative": 175, "positive": 175}
        assert not {same_text(example) for example in one.train} & {same_text(example) for example in one.evaluation}
    assert len({frozenset(example.id for example in one.train) for one in splits}) == 3


@pytest.mark.parametrize("dataset", ("fever", "imdb"))
def test_what_they_lack_is_refused_by_name(dataset):
    wanted = {"name": dataset, "sampling": "balanced", "target": "answer", "train_size": 4, "eval_size": 4}
    wanted |= {"train_split": "train", "eval_split": "test"}
    for changed, source, told in (
        ({"sampling": "feb"}, "files", f"dataset.sampling=feb: FEB has no samples of {dataset}"),
        ({"target": "answer_and_explanation"}, "files", "dataset.target=answer_and_explanation: nobody explained"),
        ({}, "demo", f"dataset={dataset}: the demo source has cos_e"),
        ({}, "hub", f"source=hub: the hub has no copy of {dataset}"),
    ):
        with pytest.raises(UserError, match=told) as refusal:
            sampling.pool(wanted | changed, source, None)
        assert "\n" not in str(refusal.value)


def test_the_job_as_typed_asks_for_what_there_is(composed):
    for dataset in ("fever", "imdb"):
        job = composed(f"dataset={dataset}")
        assert not releases.explained(dataset)
        assert (job.dataset.sampling, job.dataset.target) == ("balanced", "answer")


def refusal(root: Path, dataset: str, files: dict[str, str]) -> str:
    for name, content in files.items():
        path = root / dataset / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, "utf-8")
    with pytest.raises(UserError) as error:
        load(dataset, "validation", "files", str(root))
    assert "\n" not in str(error.value)
    return str(error.value).replace(str(root), "ROOT")


def with_evidence(**changes) -> dict:
    return CLAIM | {"evidences": [[CLAIM["evidences"][0][0] | changes]]}


@pytest.mark.parametrize(
    ("claim", "told"),
    [
        (
            CLAIM | {"classification": "NOT ENOUGH INFO"},
            "classification is 'NOT ENOUGH INFO', not one of SUPPORTS, REFUTES",
        ),
        (CLAIM | {"docids": ["Paris"]}, "there is no article Paris in ROOT/fever/docs"),
        (CLAIM | {"docids": ["Rome", "Italy"]}, "docids names 2 articles, not one"),
        (CLAIM | {"query": 3}, "query is no text"),
        ({key: value for key, value in CLAIM.items() if key != "evidences"}, "evidences is missing"),
        (CLAIM | {"evidences": ["Rome"]}, "evidences holds what is no list"),
        (with_evidence(end_token=11), "evidence at tokens 5 to 11; Rome has 10"),
        (with_evidence(start_token=-1), "evidence at tokens -1 to 10; Rome has 10"),
        (with_evidence(start_token="5"), "evidence at tokens 5 to 10; Rome has 10"),
        (with_evidence(start_token=4), "tokens 4 to 10 of Rome are not the evidence's text"),
        (with_evidence(docid="Paris"), "evidence of another article than Rome"),
    ],
)
def test_a_bad_claim_is_refused_by_its_line(tmp_path, claim, told):
    lines = json.dumps(CLAIM) + "\n" + json.dumps(claim) + "\n"
    assert (
        refusal(tmp_path, "fever", {"docs/Rome": ARTICLE, "val.jsonl": lines})
        == f"ROOT/fever/val.jsonl, line 2: {told}"
    )


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("Neutral\tIt is.", "line 3: Sentiment is 'Neutral', not one of Negative, Positive"),
        ("Positive", "line 3: 1 cells where 2 belong"),
        ("Positive\ta\tb", "line 3: 3 cells where 2 belong"),
        ("Positive\t<br /><br />", "line 3: Text is empty"),
        ('Positive\t"It is.', "line 3: a quote is never closed"),
    ],
)
def test_a_bad_review_is_refused_by_its_line(tmp_path, line, told):
    content = f"Sentiment\tText\nNegative\tIt is not.\n{line}\n"
    assert refusal(tmp_path, "imdb", {"dev.tsv": content}).startswith(f"ROOT/imdb/dev.tsv, {told}")


def test_a_missing_release_is_told_with_where_it_is(tmp_path, command):
    (tmp_path / "fever").mkdir()
    with pytest.raises(UserError, match=r"fever's train split needs train.jsonl; put ERASER's fever .*docs/\) into "):
        load("fever", "train", "files", str(tmp_path))
    with pytest.raises(UserError, match=r"python -m caref.download imdb --root .* fetches the release"):
        load("imdb", "train", "files", str(tmp_path))
    done = command("-m", "caref.download", "fever", "--root", str(tmp_path))
    assert done.returncode == 2 and done.stderr.startswith("error: fever: nothing that could be verified to fetch; put")


@pytest.mark.parametrize("dataset", ("fever", "imdb"))
def test_a_model_learns_to_answer_it(composed, data_root, tmp_path, dataset):
    from caref.results import store
    from caref.running import jobs

    chosen = ["source=files", f"source.root={data_root}", "dataset.train_split=test", "dataset.eval_split=validation"]
    chosen += ["dataset.train_size=4", "dataset.eval_size=4", "train.epochs=1", "evaluation.max_new_tokens=4"]
    job = composed("model=tiny_t5", f"dataset={dataset}", f"results_dir={tmp_path}", "splits=0", *chosen)
    records = jobs.run(job)
    assert set(records[0]["scores"]) == {"accuracy"} and records[0]["protocol"]["sampling"] == "balanced"
    first = store.read_predictions(jobs.plan(job).cell, 0)[0]
    assert first["gold"] in first["choices"] and first["source"].startswith(f"{dataset} ")
