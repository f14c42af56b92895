"""A job is composed as typed, refused in one line where it cannot run, and known by what can change its numbers."""

import json
from copy import deepcopy
from pathlib import Path

import pytest

from caref.config import schema
from caref.config.signature import described, signature
from caref.config.validation import validate
from caref.errors import UserError

CONF = Path(__file__).parents[2] / "conf"
GROUPS = ("model", "peft", "dataset", "reg", "source", "bertscore")
CHOICES = [(group, file.stem) for group in GROUPS for file in sorted((CONF / group).glob("*.yaml"))]


@pytest.mark.parametrize(("group", "choice"), CHOICES)
def test_every_choice_of_every_group_composes_into_a_valid_job(composed, group, choice):
    job = composed(f"{group}={choice}")
    if job.model.kind == "classifier":  # which explains nothing, as the default job would have it
        job.dataset.target = "answer"
    validate(job)
    assert job[group].get("name", job[group].get("model"))


def test_the_default_job_is_the_papers(composed):
    job = composed()
    assert (job.model.path, job.peft.projections, job.reg.term) == ("google/flan-t5-large", ["q"], "sced")
    assert (job.reg.alpha, job.reg.beta, job.reg.lambda_sced, job.reg.lambda_kl) == (2.0, 1.0, 0.1, 0.1)
    train = job.train
    assert (train.epochs, train.lr, train.batch_size, train.warmup_steps) == (50, 3e-5, 4, 500)
    assert (train.weight_decay, train.max_grad_norm, job.splits) == (0.01, 1.0, "0:60")
    assert (job.dataset.train_size, job.dataset.eval_size) == (48, 350)
    assert (job.bertscore.model, job.bertscore.layer) == ("roberta-large", 17)


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["reg.alpha=0.5"], "reg.alpha=0.5"),
        (["reg.alpha=nan"], "reg.alpha=nan"),
        (["reg.beta=-1"], "reg.beta=-1"),
        (["reg.lambda_sced=-0.1"], "reg.lambda_sced=-0.1"),
        (["reg.lambda_kl=-0.1"], "reg.lambda_kl=-0.1"),
        (["reg=entmax", "reg.alpha=1"], "reg.alpha=1"),
        (["reg=label_smoothing", "reg.smoothing=1"], "reg.smoothing=1"),
        (["train.lr=0"], "train.lr=0"),
        (["train.lr=inf"], "train.lr=inf"),
        (["train.epochs=0"], "train.epochs=0"),
        (["train.batch_size=0"], "train.batch_size=0"),
        (["train.precision=fp16"], "float16"),
        (["train.precision=fp8"], "train.precision=fp8"),
        (["train.supervise=both"], "train.supervise=both"),
        (["dataset.train_split=dev"], "dataset.train_split=dev"),
        (["dataset.target=label"], "dataset.target=label: must be one of answer_and_explanation, answer"),
        (["source=demo", "source.root=here"], "source.root=here"),
        (["reg=ivra", "reg.criteria=[comp,sim,comp]"], "reg.criteria=['comp', 'sim', 'comp']: names comp twice"),
        (["peft.projections=[q,q]"], "peft.projections=['q', 'q']: names q twice"),
        (["evidence=quick", "evidence.measures=[erasure,erasure]"], "'erasure']: names erasure twice"),
        (["evidence=quick", "evidence.attributions=[random,lime,random]"], "'random']: names random twice"),
        (["peft=lora_r4", "peft.r=0"], "peft.r=0"),
        (["peft=adalora", "peft.target_r=64"], "peft.target_r=64"),
        (["peft=adalora", "peft.warmup=0.6", "peft.settle=0.5"], "peft.warmup=0.6"),
        (["peft.scope=encoder"], "peft.scope=encoder"),
        (["model.dropout=1.0"], "model.dropout=1.0"),
        (["tracker=wandb", "tracker.tags=[[a,b]]"], "tracker.tags"),
    ],
)
def test_a_value_out_of_its_range_is_refused_by_its_key(composed, overrides, told):
    with pytest.raises(UserError) as refusal:
        validate(composed(*overrides))
    assert told in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_name_is_refused_where_wandb_would_refuse_it_at_the_end(composed):
    wandb = pytest.importorskip("wandb")
    tracked = composed("tracker=wandb")
    for key, setting, names in (
        ("project", "project", [f"a{letter}b" for letter in map(chr, range(32, 127))] + ["p" * 128, "p" * 129]),
        ("tags", "run_tags", [["t" * 64], ["t" * 65], ["a/b"]]),
    ):
        for name in names:
            job = deepcopy(tracked)
            job.tracker[key] = name
            assert refuses(lambda name=name, setting=setting: wandb.Settings(**{setting: name})) == refuses(
                lambda job=job: validate(job)
            ), name


def refuses(act) -> bool:
    try:
        act()
    except Exception:
        return True
    return False


def mark(job, data: str = "data", content: dict | None = None) -> str:
    return signature(described(schema.plain(job), data, content or {}))


def test_what_cannot_change_a_number_is_not_in_the_signature(composed):
    base = mark(composed())
    for same in (
        "splits=3",
        "results_dir=elsewhere",
        "source.root=elsewhere",
        "source=files",
        "train.save=true",
        "peft.name=other",
        "model.config.d_model=8",
    ):
        assert mark(composed(same)) == base, same


def test_what_can_change_a_number_is_in_the_signature(composed):
    variations = [
        "reg.alpha=1.5", "reg=none", "peft=laq", "peft.scope=decoder", "model=flan_t5_base", "model.dropout=0",
        "dataset=ecqa", "dataset.eval_size=20", "dataset.max_tokens=64",
        "dataset.train_split=test", "train.lr=1e-4", "train.epochs=1",
        "train.precision=fp32", "train.supervise=answer", "dataset.target=answer", "evaluation.max_new_tokens=32",
        "bertscore=minilm",
    ]  # fmt: skip
    marks = {mark(composed()), mark(composed(), "other data")}
    marks |= {mark(composed(variation)) for variation in variations}
    assert len(marks) == len(variations) + 2


def test_a_key_that_came_later_leaves_the_cells_that_were_there_what_they_were(composed):
    """Signatures of two jobs as the version before dataset.target had them."""
    single = "train.precision=fp32"
    assert mark(composed(single)) == "e9a6755830c4"
    assert mark(composed(single, "model=tiny_llama", "peft=lora_r4", "reg=none", "dataset=comve")) == "c0b0194e67fc"
    assert "target" not in described(schema.plain(composed()), "data", {})["dataset"]


def test_cells_whose_logits_were_bfloat16_are_others(composed):
    """In float32 nothing changed; what may be bfloat16 had, before its logits were float32, the mark 692678c247e4."""
    assert mark(composed()) != "692678c247e4"
    assert mark(composed("train.precision=bf16")) != mark(composed())


def test_of_answers_alone_bertscore_is_no_part(composed):
    answers = composed("dataset.target=answer")
    other = composed("dataset.target=answer", "bertscore=minilm")
    content = {"model": "files:1", "tokenizer": None}
    assert mark(answers) == mark(other) != mark(composed())
    assert mark(answers, content=content) == mark(other, content=content | {"bertscore": "files:1"})


def test_a_model_is_what_its_content_is_and_not_where_it_lies(composed):
    here, there = composed("model.path=here"), composed("model.path=there/./here", "model.revision=main")
    content = {"model": "files:1", "tokenizer": None, "bertscore": "hub:1"}
    assert mark(here, content=content) == mark(there, content=content)
    assert mark(here, content=content) == mark(composed("model.path=here", "bertscore.model=there"), content=content)
    assert mark(here, content={}) != mark(there, content={})  # where nothing tells what they are
    told, elsewhere = content | {"tokenizer": "files:3"}, composed("model.path=there", "model.tokenizer=b")
    assert mark(composed("model.path=here", "model.tokenizer=a"), content=told) == mark(elsewhere, content=told)
    others = [content | {what: "files:2"} for what in content]
    assert len({mark(here, content=one) for one in (content, *others)}) == 4


def test_a_signature_does_not_depend_on_the_order_in_which_keys_are_written(composed):
    description = described(schema.plain(composed()), "data", {})

    def turned(value):
        return {key: turned(value[key]) for key in reversed(value)} if isinstance(value, dict) else value

    assert json.dumps(turned(description)) != json.dumps(description)
    assert signature(turned(description)) == signature(description)


def test_the_signature_of_a_random_model_follows_its_shape(composed):
    tiny = composed("model=tiny_t5")
    wider = composed("model=tiny_t5", "model.config.d_ff=48")
    assert json.dumps(dict(tiny.model.config)) != json.dumps(dict(wider.model.config))
    assert mark(tiny) != mark(wider)


def test_criteria_are_the_same_objective_in_whatever_order(composed):
    def of(criteria):
        values = validate(composed("reg=ivra", f"reg.criteria=[{criteria}]"))
        return signature(described(values, "f" * 64, {})), values["reg"]["criteria"]

    assert of("cons,suff,sim,comp") == of("sim,comp,suff,cons") and of("cons,sim")[1] == ["sim", "cons"]
