"""What the demo data promises of its size, its truth and its English; its leaks: test_demo_leaks.py."""

import re
from collections import Counter, defaultdict

import pytest

from caref.data import splits
from caref.data.demo import esnli, generate, world
from caref.data.demo.scenes import STATES
from caref.data.examples import fingerprint
from caref.errors import UserError

DATASETS = ("cos_e", "ecqa", "comve", "esnli")
SPLITS = ("train", "validation", "test")

each_dataset = pytest.mark.parametrize("dataset", DATASETS)


def everything(dataset):
    return [example for split in SPLITS for example in generate(dataset, split)]


def source(example):
    return (*example.fields.values(), *example.choices)


def marked(example, field):
    """The words of a field that are marked as deciding."""
    text = example.fields[field]
    return [text[span.start : span.end] for span in example.rationale if span.field == field]


# Content


@pytest.mark.parametrize(
    ("dataset", "expected"),
    [
        ("cos_e", "d2fbbbc963ae2a642aa0288a447e049ccb8aeaa1bccb327df18e76c02e30fb57"),
        ("ecqa", "108a63ae40419e8c76d4a1a30c16bdb3645b99baddb5a2efdd64fd73ea7aba77"),
        ("comve", "fc5c75150a2afcdc8eb79ff26064067868cfdd94136f43b6c9397ef4f9e90560"),
        ("esnli", "14731434ac6ec7cc18fb8fa2a69d1244f1cb837286e883c5084f086cfa9a7345"),
    ],
)
def test_is_the_same_on_every_machine(dataset, expected):
    assert fingerprint(everything(dataset)) == expected


@each_dataset
def test_is_large_enough_for_many_splits(dataset):
    sizes = {split: len(generate(dataset, split)) for split in SPLITS}
    assert sum(sizes.values()) >= 2000
    assert sizes["train"] >= 1400
    assert min(sizes["validation"], sizes["test"]) >= 400


@each_dataset
def test_no_example_comes_twice(dataset):
    examples = everything(dataset)
    assert len({source(example) for example in examples}) == len(examples)
    # Splits tell examples apart by their texts alone, choices aside.
    assert len({splits.same_text(example) for example in examples}) == len(examples)
    assert len({example.id for example in examples}) == len(examples)
    assert all(example.id.startswith(f"demo-{dataset}-") for example in examples)


@each_dataset
def test_splits_share_no_text(dataset):
    fields = {"esnli": ["premise"], "comve": ["sent0", "sent1"]}.get(dataset, ["question"])
    texts = [{e.fields[field] for e in generate(dataset, split) for field in fields} for split in SPLITS]
    assert sum(map(len, texts)) == len(set.union(*texts))


@pytest.mark.parametrize("dataset", ["cos_e", "ecqa", "comve"])
def test_no_split_asks_about_what_another_asks(dataset):
    """So a model that does well on validation has not merely learned the training facts by heart."""
    field = "sent0" if dataset == "comve" else "question"
    known = {cue.casefold() for group in world.GROUPS for kind in group.kinds for cue in kind.cues}
    asked = [
        {words.casefold() for e in generate(dataset, split) for words in marked(e, field)} & known for split in SPLITS
    ]
    assert min(map(len, asked)) >= 80
    assert sum(map(len, asked)) == len(set.union(*asked))


@each_dataset
def test_has_the_schema_of_its_dataset(dataset):
    fields, choices = {
        "cos_e": (["question"], 3),
        "ecqa": (["question"], 5),
        "comve": (["sent0", "sent1"], ("choice1", "choice2")),
        "esnli": (["premise", "hypothesis"], ("entailment", "neutral", "contradiction")),
    }[dataset]
    for example in everything(dataset):
        assert list(example.fields) == fields
        assert len(set(example.choices)) == choices if isinstance(choices, int) else example.choices == choices
        assert example.label in range(len(example.choices))


@each_dataset
@pytest.mark.parametrize("split", SPLITS)
def test_answers_are_balanced(dataset, split):
    counts = Counter(example.label for example in generate(dataset, split))
    assert len(counts) == len(generate(dataset, split)[0].choices)
    assert max(counts.values()) == min(counts.values())


@each_dataset
def test_every_feb_split_can_be_drawn(dataset):
    split_of = splits.sampler(generate(dataset, "train"), generate(dataset, "validation"))
    for index in range(0, 60, 10):
        split = split_of(index)
        for side, size in ((split.train, 48), (split.evaluation, 350)):
            counts = Counter(example.label for example in side)
            assert len(side) == size
            assert max(counts.values()) - min(counts.values()) <= 1


@pytest.mark.parametrize(("dataset", "split"), [("cose", "train"), ("esnli", "dev"), ("", "train"), ("ecqa", "")])
def test_refuses_what_it_does_not_have(dataset, split):
    with pytest.raises(UserError, match="the demo source has"):
        generate(dataset, split)


# Truth in the world


@pytest.mark.parametrize("dataset", ["cos_e", "ecqa"])
def test_a_question_has_one_right_answer(dataset):
    for example in everything(dataset):
        (cue,) = marked(example, "question")
        groups = [
            kinds
            for group in world.GROUPS
            if (kinds := {kind.name: kind for kind in group.kinds}) and set(example.choices) <= set(kinds)
        ]
        right = {
            choice
            for kinds in groups
            for choice in example.choices
            if cue.casefold() in [known.casefold() for known in kinds[choice].cues]
        }
        assert right == {example.answer}, example


def test_one_of_two_statements_is_true():
    true = {
        frozenset((words.casefold(), cue.casefold()))
        for group in world.GROUPS
        for kind in group.kinds
        for cue in kind.cues
        for words in (kind.name, f"a {kind.name}", f"an {kind.name}")
    }
    for example in everything("comve"):
        holds = [frozenset(map(str.casefold, marked(example, field))) in true for field in ("sent0", "sent1")]
        assert holds == [example.answer != "choice1", example.answer != "choice2"], example


def test_labels_follow_from_what_is_seen_and_claimed():
    sights, claims = defaultdict(set), defaultdict(set)
    for states in STATES.values():
        for state in states:
            for form in esnli.FORMS.values():
                for sight, _ in state.sights:
                    sights[sight.format(**form)].add((state.aspect, state.claims))
            for claim in state.claims:
                claims[claim].add((state.aspect, state.claims))
    for example in everything("esnli"):
        (claim,) = marked(example, "hypothesis")
        premise = example.fields["premise"].removesuffix(".").removesuffix(", as a photo shows")
        sight = max((sight for sight in sights if premise.endswith(f" {sight}")), key=len)
        ((seen,), (claimed,)) = sights[sight], claims[claim]
        same_aspect = seen[0] == claimed[0]
        expected = "entailment" if seen == claimed else "contradiction" if same_aspect else "neutral"
        assert example.answer == expected, example
        assert marked(example, "premise") == ([] if expected == "neutral" else [sight])


@pytest.mark.parametrize("dataset", ["cos_e", "ecqa"])
def test_a_question_does_not_name_its_answer(dataset):
    for example in everything(dataset):
        asked = set(re.findall(r"\w+", example.fields["question"].lower()))
        for choice in example.choices:
            assert not set(choice.lower().split()) <= asked, example


# English


def texts_of(dataset):
    for example in everything(dataset):
        yield from example.fields.values()
        yield from example.explanations


@each_dataset
def test_texts_are_sentences(dataset):
    for text in texts_of(dataset):
        assert re.match(r"[A-Z]", text), text
        assert re.search(r"\w[.?]$", text), text
        assert not re.search(r"  |[\[\]{}_]| [,.;?]|[,.;]{2}", text), text
        assert not re.search(r"\b(\w+) \1\b", text), text


@each_dataset
def test_articles_agree(dataset):
    for text in texts_of(dataset):
        for article, word in re.findall(r"\b([Aa]n?) (\w+)", text):
            vowel = word[0].lower() in "aeiou" and not re.match(r"(?i)uni|use|eu|one|once", word)
            assert (article.lower() == "an") == (vowel or word.lower() in ("hour", "honest", "heir")), text


@each_dataset
def test_persons_and_verbs_agree(dataset):
    for text in texts_of(dataset):
        wrong = r"(?<!should )(?<!does )\b(he|she|it) (are|have|were)\b|\bthey (is|has|was)\b|\bbeing \w+ing\b"
        assert not re.search(wrong, text.lower()), text


# Explanations


@each_dataset
def test_has_as_many_explanations_as_its_dataset(dataset):
    expected = {"comve": (3, 3, 3), "esnli": (1, 3, 3)}.get(dataset, (1, 1, 1))
    for split, number in zip(SPLITS, expected, strict=True):
        for example in generate(dataset, split):
            assert len(set(example.explanations)) == len(example.explanations) == number


@each_dataset
def test_an_explanation_can_be_told_from_the_answer(dataset):
    """The word that parts them in a target text comes in neither."""
    for example in everything(dataset):
        assert not any(" because " in text for text in (*example.choices, *example.explanations))


@pytest.mark.parametrize("dataset", ["cos_e", "ecqa"])
def test_an_explanation_names_the_answer_and_what_is_known_of_it(dataset):
    """In ECQA, also what is known of a wrong choice."""
    about = defaultdict(set)
    for group in world.GROUPS:
        for kind in group.kinds:
            about[kind.name].add(kind.about.casefold())
    for example in everything(dataset):
        (explanation,) = (text.casefold() for text in example.explanations)
        assert example.answer in explanation, example
        assert any(said in explanation for said in about[example.answer]), example
        wrong = set.union(*(about[choice] for choice in example.choices if choice != example.answer))
        assert any(said in explanation for said in wrong) == (dataset == "ecqa"), example


@each_dataset
def test_explanations_are_worded_in_many_ways(dataset):
    """The words that remain when all that is said of one fact is taken out."""
    known = {kind.name for group in world.GROUPS for kind in group.kinds}
    known |= {about for group in world.GROUPS for kind in group.kinds for about in (kind.about, *kind.cues)}
    for states in STATES.values():
        for state in states:
            known |= {text.format(**form) for form in esnli.FORMS.values() for pair in state.sights for text in pair}
            known |= set(state.claims)
    fact = re.compile("|".join(re.escape(text.casefold()) for text in sorted(known, key=len, reverse=True)))
    wordings = Counter(
        fact.sub("_", text.casefold()) for example in everything(dataset) for text in example.explanations
    )
    assert sum(count >= 10 for count in wordings.values()) >= 15
    assert max(wordings.values()) < sum(wordings.values()) / 5
