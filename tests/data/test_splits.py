"""The 60 splits: balanced, disjoint, and the same wherever they are drawn."""

import csv
import hashlib
import time
import unicodedata
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from caref.data.examples import Example, fingerprint
from caref.data.sources import load
from caref.data.splits import SEEDS, Split, draw, parse, same_text, sampler
from caref.errors import UserError

# Where the train part is not among the shared data, training examples come from test.
SIDES = {
    "esnli": ("test", "validation"),
    "ecqa": ("test", "validation"),
    "comve": ("train", "validation"),
    "cos_e": ("train", "validation"),
}
DRAWN = {
    "esnli": "0ab54d3046a3375a05e42f3774ed3cab258f2ac02d7a7cc8bf91279ca70f2f2d",
    "ecqa": "cb227650148971672b632769ccc23fcae3d7449dfcb4c89abacb394590475b58",
    "comve": "06b80dea2f5e516a9e6897319052bea57af395e6cbd6c01a8063f2fa2f7ced3f",
    "cos_e": "62608b0f4ea63a50a790e2e3c9ff1f57270132b985a49627ae6dc469af8eacc5",
}
# SparseFit's order of FEB's seeds, which the splits had before they had FEB's: it differs from the 28th on.
EARLIER_ORDER = (
    *SEEDS[:27],
    *(9991, 6924, 6595, 5358, 2638, 6227, 8384, 2769, 9933, 6339, 3112, 1349, 8483, 2348, 834, 6895, 4823, 2913, 9962),
    *(178, 2147, 8160, 1936),
    *SEEDS[50:],
)


def made(count: int, classes: int = 3, start: int = 0) -> list[Example]:
    choices = tuple(f"choice {n}" for n in range(classes))
    return [
        Example(f"id{n}", {"question": f"question {n}?"}, choices, n % classes, (f"reason {n}",))
        for n in range(start, start + count)
    ]


def digest(splits) -> str:
    """Of the samples by seed, in the order of the seeds that the digests above were taken in."""
    by_seed = {split.seed: split for split in splits}
    ordered = [by_seed[seed] for seed in EARLIER_ORDER]
    content = [f"{at} {fingerprint(one.train)} {fingerprint(one.evaluation)}" for at, one in enumerate(ordered)]
    return hashlib.sha256("\n".join(content).encode()).hexdigest()


def even(counts: Counter, classes: int) -> bool:
    return max(counts[label] for label in range(classes)) - min(counts[label] for label in range(classes)) <= 1


def test_seeds_are_febs():
    assert len(SEEDS) == len(set(SEEDS)) == 60
    assert (SEEDS[0], SEEDS[14], SEEDS[40], SEEDS[59]) == (7004, 51, 8160, 4791)
    assert sum(SEEDS) == 278038 and set(EARLIER_ORDER) == set(SEEDS)


def with_free_text(split: Split, folder: Path) -> Split:
    said = {}
    for name in ("val", "test"):
        with (folder / f"cqa_data_{name}.csv").open(encoding="utf-8", newline="") as file:
            said |= {row["q_no"]: row["taskB"].strip() for row in csv.DictReader(file)}
    train, evaluation = (
        tuple(replace(example, explanations=(said[example.id],)) for example in side)
        for side in (split.train, split.evaluation)
    )
    return replace(split, train=train, evaluation=evaluation)


@pytest.mark.parametrize("dataset", SIDES)
def test_sixty_splits_of_the_real_data(data_root, dataset):
    train, evaluation = (load(dataset, side, "files", str(data_root)).examples for side in SIDES[dataset])
    split_of = sampler(train, evaluation)
    splits = [split_of(index) for index in range(60)]
    classes = len(train[0].choices)
    for split in splits:
        assert (len(split.train), len(split.evaluation)) == (48, 350)
        assert even(Counter(example.label for example in split.train), classes)
        assert even(Counter(example.label for example in split.evaluation), classes)
        texts = [same_text(example) for example in (*split.train, *split.evaluation)]
        assert len(set(texts)) == 398
    assert len({fingerprint(split.train) for split in splits}) == 60
    if dataset == "ecqa":  # its digest was taken when the explanations were taskB's
        splits = [with_free_text(split, data_root / "ecqa") for split in splits]
    # the same on every machine, with every version of Python, today and next year
    assert digest(splits) == DRAWN[dataset]


def test_febs_balance_by_label(data_root):
    train, evaluation = (load("esnli", side, "files", str(data_root)).examples for side in SIDES["esnli"])
    split = draw(train, evaluation, 7)
    assert Counter(example.answer for example in split.train) == dict.fromkeys(train[0].choices, 16)


def test_order_of_the_file_changes_nothing():
    train, evaluation = made(300), made(900, start=1000)
    assert draw(train, evaluation, 4) == draw(train[::-1], evaluation[::-1], 4)


def test_one_split_is_the_same_alone_and_among_others():
    train, evaluation = made(300), made(900, start=1000)
    split_of = sampler(train, evaluation)
    assert [split_of(index) for index in (5, 3, 3)] == [draw(train, evaluation, index) for index in (5, 3, 3)]


def test_a_larger_training_set_holds_the_smaller():
    train, evaluation = made(300), made(900, start=1000)
    small, large = (draw(train, evaluation, 0, train_size=size).train for size in (24, 48))
    assert set(small_id.id for small_id in small) < set(large_id.id for large_id in large)


def test_twins_are_never_drawn_twice_whichever_file_they_come_from():
    pool = made(60)
    twins = [replace(e, id=f"twin {e.id}", fields={"question": f"  {e.fields['question'].upper()}"}) for e in pool]
    for index in range(20):
        split = draw([*pool, *twins], [*twins[::-1], *made(60, start=60)], index, 30, 60)
        texts = [same_text(example) for example in (*split.train, *split.evaluation)]
        assert len(set(texts)) == 90
        assert split == draw([*twins, *pool], [*made(60, start=60), *twins], index, 30, 60)


@pytest.mark.parametrize(
    "changed",
    [
        lambda text: unicodedata.normalize("NFC", text),
        lambda text: text.replace(" ", "\u00a0"),
        lambda text: text.replace(" ", "\u200b "),
        lambda text: f"\ufeff{text}".replace("?", " ?"),
        lambda text: text.replace("fi", "\ufb01").replace("1", "\uff11"),
        lambda text: text.upper(),
    ],
    ids=["composed", "no-break spaces", "invisible characters", "tokenised", "compatibility", "case"],
)
def test_a_text_is_the_same_however_its_characters_are_written(changed):
    def accented(example: Example, write) -> Example:
        text = unicodedata.normalize("NFD", f"Où finit l'été {example.fields['question']} Ça ?")
        return replace(example, fields={"question": write(text)})

    pool = made(120)
    plain, other = [accented(one, str) for one in pool], [accented(one, changed) for one in pool]
    assert all(one.fields != twin.fields for one, twin in zip(plain, other, strict=True))
    split = draw(plain, other, 0, 48, 72)
    assert {example.id for example in split.train}.isdisjoint(example.id for example in split.evaluation)


def test_the_same_examples_may_serve_both_sides_but_never_the_same_one():
    pool = made(120)
    split = draw(pool, pool, 0, 48, 72)
    assert {example.id for example in split.train}.isdisjoint(example.id for example in split.evaluation)


def test_every_example_is_as_likely_as_another():
    split_of = sampler(made(96), made(900, start=1000))
    drawn = Counter(example.id for index in range(60) for example in split_of(index).train)
    # 60 draws of one half: binomial with mean 30 and deviation 3.9
    assert len(drawn) == 96 and min(drawn.values()) > 10 and max(drawn.values()) < 50


def test_the_seed_decides_which_classes_take_the_remainder():
    split_of = sampler(made(300), made(1200, start=1000))
    larger = Counter()
    for index in range(60):
        counts = Counter(example.label for example in split_of(index).evaluation)
        larger.update(label for label in range(3) if counts[label] == 117)
    assert sum(larger.values()) == 120 and set(larger) == {0, 1, 2} and max(larger.values()) < 60


@pytest.mark.parametrize(
    ("sizes", "option", "allowed"),
    [((48, 350), "dataset.eval_size=350", 300), ((301, 30), "dataset.train_size=301", 300)],
)
def test_too_little_data_is_refused_by_the_option_and_what_there_is(sizes, option, allowed):
    with pytest.raises(UserError, match=rf"{option}: too little data.*100 \+ 100 \+ 100, enough for {allowed}"):
        draw(made(300), made(300, start=300), 0, *sizes)


def test_training_examples_are_not_counted_as_left_for_evaluation():
    pool = made(90)
    with pytest.raises(UserError, match=r"dataset.eval_size=60: .*enough for 42"):
        draw(pool, pool, 0, 48, 60)


def test_a_class_without_examples_is_too_little_data():
    lacking = [example for example in made(900) if example.label != 2]
    with pytest.raises(UserError, match=r"dataset.train_size=48.*300 \+ 300 \+ 0, enough for 0"):
        draw(lacking, made(900), 0)


def test_no_data_at_all_is_too_little():
    with pytest.raises(UserError, match=r"dataset.train_size=48.*none"):
        draw([], made(900), 0)


@pytest.mark.parametrize(
    ("expression", "indices"),
    [
        ("0:60", tuple(range(60))),
        ("3", (3,)),
        ("59", (59,)),
        ("0,4,7", (0, 4, 7)),
        ("7, 0,4,4", (0, 4, 7)),
        ("0:60:2", tuple(range(0, 60, 2))),
        ("0:3,10:12", (0, 1, 2, 10, 11)),
    ],
)
def test_splits_are_named_by_numbers_and_ranges(expression, indices):
    assert parse(expression) == indices


@pytest.mark.parametrize(
    "expression", ["60", "5:3", "abc", "", "0:61", "-1", "1:2:0", "0:60:-1", "1,,2", "1:", "1.5", "²", "0:1:2:3", "3:3"]
)
def test_what_names_no_split_is_refused(expression):
    with pytest.raises(UserError, match="splits=") as refusal:
        parse(expression)
    assert "\n" not in str(refusal.value)


def test_sixty_splits_of_a_large_release_are_quick():
    split_of = sampler(made(30_000), made(3_000, start=100_000))
    started = time.process_time()
    for index in range(60):
        split_of(index)
    assert time.process_time() - started < 10  # 30,000 a split; e-SNLI's 549,367 take about 0.4 s a split
