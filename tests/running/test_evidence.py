"""Evidence with a job and added later: it changes no record, and what is no question is refused."""

import pytest
from small_evidence import ASKED, SMALL, material, of_cell, of_evidence, small_run  # noqa: F401 - the last is a fixture

from caref.analysis import evidence_compared
from caref.config import schema
from caref.errors import UserError
from caref.results import evidence
from caref.running import jobs

FEW = ("evidence.examples=4",)
MAMBA = (
    "model=tiny_llama",
    "model.config.model_type=mamba",
    *(f"~model.config.{key}" for key in ("max_position_embeddings", "num_attention_heads", "num_key_value_heads")),
    "peft=base",
)


def test_it_changes_neither_signature_nor_record_and_added_later_it_is_the_same(run):
    plain, _ = run("splits=0:3", results="plain")
    at_once, _ = run("splits=0:3", *ASKED, results="at_once")
    assert plain.name == at_once.name
    assert material(plain) == material(at_once) and not (plain / "evidence").exists()
    before = of_cell(plain)
    later, asked = run("splits=0:3", *ASKED, results="plain")
    assert later == plain and of_cell(plain) == before
    assert of_evidence(plain) == of_evidence(at_once)
    assert sorted(evidence.of_cell(plain)[0].records) == [0, 1, 2]
    assert {"calibration.ece", "erasure.saliency.tau", "alignment.saliency.f1", "mention.phi"} <= set(
        evidence.read_split(evidence.folder_of(plain, asked), 0)["scores"]
    )


def test_a_packs_evidence_is_kept_split_by_split(run):
    alone, _ = run("splits=0:3", *ASKED, "pack=1", results="alone")
    packed, _ = run("splits=0:3", *ASKED, "pack=3", results="packed")
    assert material(alone) == material(packed)
    ours, theirs = (evidence.of_cell(cell)[0].records for cell in (alone, packed))
    for split in range(3):
        for name, value in ours[split]["scores"].items():
            expected = None if value is None else pytest.approx(value, rel=1e-3, abs=1e-3)
            assert theirs[split]["scores"][name] == expected, name


@pytest.mark.parametrize(
    ("model", "peft"), [("tiny_t5", "aq"), ("tiny_llama", "aq"), ("tiny_gpt2", "lora_r4"), ("tiny_bart", "base")]
)
def test_whatever_is_asked_comes_out_in_bfloat16_too(model, peft, run):
    """What a job chooses by itself where the processor has it: weights in bfloat16, what is trained in float32.

    An adapter of PEFT's takes either; a projection that is trained itself takes float32's alone.
    """
    cell, asked = run(f"model={model}", f"peft={peft}", "splits=0", "train.precision=bf16", "evidence=full", *FEW)
    scores = evidence.read_split(evidence.folder_of(cell, asked), 0)["scores"]
    for name in (
        *("calibration.ece", "erasure.attention.tau", "erasure.leave_one_out.comprehensiveness"),
        "consistency.saliency.by_words",
    ):
        assert scores[name] is not None, name


def test_another_question_is_kept_beside_the_first(run):
    cell, _ = run("splits=0", *ASKED)
    run("splits=0", "evidence=quick")
    found = {tuple(one.asked["measures"]): one for one in evidence.of_cell(cell)}
    assert set(found) == {
        ("calibration", "coupling"),
        ("calibration", "coupling", "agreement", "mention", "erasure", "alignment", "consistency", "skewness"),
    }


def test_how_students_learn_is_another_question_unless_it_is_the_usual(composed):
    """What was asked before students' rate and steps were keys is the question it was."""
    question = lambda *line: schema.plain(composed("evidence.measures=[simulatability]", *line))["evidence"]  # noqa: E731
    usual = question()
    before = {key: value for key, value in usual.items() if not key.startswith("student_")}
    others = [question("evidence.student_lr=0.1"), question("evidence.student_steps=5")]
    assert evidence.mark(before) == evidence.mark(usual)
    assert len({evidence.mark(one) for one in (usual, *others)}) == 3
    titles = [evidence_compared.Question(evidence.mark(one), evidence.described(one), [], []).title for one in others]
    assert ", student lr 0.1; question" in titles[0] and ", student steps 5; question" in titles[1]


def test_what_cannot_be_had_is_refused_before_any_training(run, tmp_path):
    with pytest.raises(UserError, match="no attention that could be read"):
        run(*MAMBA, "splits=0", "evidence=full")
    assert not list(tmp_path.glob("results/*/splits/*"))
    cell, _ = run(*MAMBA, "splits=0", *ASKED)
    assert evidence.of_cell(cell)[0].records[0]["scores"]["erasure.saliency.flips"] is not None


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (
            ["evidence=quick", "evidence.measures=[calibratoin]"],
            "there is no calibratoin; choose of agreement, alignment, calibration",
        ),
        (["evidence=full", "evidence.attributions=[shap]"], "there is no shap; choose of attention"),
        (["evidence.attributions=[saliency]"], "no measure looks at them"),
        (["evidence=full", "evidence.removal=hide"], "evidence.removal=hide: must be one of delete, mask"),
        (["evidence=full", "evidence.examples=0"], "evidence.examples=0: must be at least 1"),
        (["evidence=quick", "evidence.epochs=[0,2]"], "evidence.epochs=[0, 2]: there is no epoch 2: 0 is before the"),
        (["evidence=quick", "evidence.epochs=[-1]"], "there is no epoch -1"),
        (["evidence=quick", "evidence.epochs=[1,0,1]"], "must ascend, each once: [0, 1]"),
        (["evidence.epochs=[0]"], "nothing is measured then; choose evidence=quick"),
        (["evidence=quick", "evidence.student_lr=0.1"], "evidence.student_lr=0.1: simulatability alone reads it"),
        (["evidence.student_steps=5"], "evidence.student_steps=5: simulatability alone reads it"),
        (["evidence.measures=[simulatability]", "evidence.student_lr=0"], "evidence.student_lr=0.0: must be above 0"),
        (["evidence.measures=[simulatability]", "evidence.student_steps=0"], "must be at least 1"),
    ],
)
def test_what_is_no_question_is_refused(composed, overrides, told):
    with pytest.raises(UserError) as refusal:
        jobs.plan(composed(*SMALL, *overrides))
    assert told in str(refusal.value)
