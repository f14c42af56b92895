"""PEFT's own options: passed on as they are, refused in one line before PEFT is loaded, never without effect."""

import dataclasses
import json

import pytest
import torch
from peft import AdaLoraConfig, IA3Config, LoHaConfig, LoraConfig, PrefixTuningConfig

from caref.config import schema
from caref.config.signature import described, signature
from caref.config.validation import validate
from caref.data.batches import Encoded
from caref.errors import UserError
from caref.models import options
from caref.models.method import build
from caref.models.packed import why_alone as why_never
from caref.models.trained import load_trained, trained_part
from caref.objectives import objective
from caref.running import company, jobs

OBJECTIVE = objective.build({"term": "sced", "alpha": 2.0, "beta": 1.0, "lambda_sced": 0.1, "lambda_kl": 0.1})
TRAIN = [Encoded((9, 8, 7, 6 + n), (5, 4, 3 + n, 1), answer_length=2) for n in range(4)]
SMALL = ("model=tiny_t5", "source=demo", "bertscore=minilm", "dataset=comve", "dataset.eval_size=4", "splits=0:2")
SMALL += ("dataset.train_size=6", "train.epochs=1", "train.lr=0.01", "train.precision=fp32")
SMALL += ("evaluation.max_new_tokens=4", "pack=2")


@pytest.mark.parametrize(
    ("tuner", "theirs"),
    [
        ("lora", LoraConfig),
        ("adalora", AdaLoraConfig),
        ("ia3", IA3Config),
        ("prefix_tuning", PrefixTuningConfig),
        ("loha", LoHaConfig),
    ],
)
def test_the_fields_that_are_read_are_those_of_pefts_class(tuner, theirs):
    assert set(options._fields(tuner)) == {one.name for one in dataclasses.fields(theirs)}


def test_rslora_scales_by_the_root_of_the_rank(backbone, peft):
    model = backbone("tiny_llama")
    scales = {}
    for line in ((), ("peft.options.use_rslora=true",)):
        with trained_part(model, peft("lora_r4", *line), seed=1, total_steps=2) as part:
            found = {one.scaling["default"] for one in part.model.modules() if "default" in getattr(one, "lora_A", ())}
            scales[bool(line)] = found
    assert scales == {False: {8 / 4}, True: {8 / 4**0.5}}


def test_a_pattern_of_ranks_is_kept_saved_and_loaded_back(backbone, peft, train, generate, tmp_path):
    model = backbone("tiny_t5")
    chosen = peft("lora_r4", "peft.options.rank_pattern.q=2", "peft.options.use_rslora=true")
    with trained_part(model, chosen, seed=1, total_steps=4) as part:
        ranks = {name.split(".")[-4]: len(one) for name, one in part.model.named_parameters() if "lora_A" in name}
        train(model, part)
        written = generate(model, part.model)
        part.save(tmp_path)
    assert ranks["q"] == 2 and set(ranks.values()) == {2, 4}
    assert json.loads((tmp_path / "adapter_config.json").read_text())["use_rslora"] is True
    with load_trained(model, tmp_path) as loaded:
        assert all(torch.equal(*both) for both in zip(generate(model, loaded), written, strict=True))


@pytest.mark.parametrize(
    "line",
    (
        "use_rslora=true",
        "init_lora_weights=gaussian",
        "init_lora_weights=orthogonal",
        "init_lora_weights=false",
        "init_lora_weights=mica",
        "lora_bias=true",
        "rank_pattern.q=2",
        "alpha_pattern.q=3",
        "exclude_modules=[k,v]",
    ),
)
@pytest.mark.parametrize("model", ("tiny_t5", "tiny_llama"))
def test_a_pack_keeps_to_an_option_or_says_why_not(model, line, backbone, peft):
    name = line.partition("=")[0].partition(".")[0]
    line = line.replace(".q=", ".q_proj=") if model == "tiny_llama" else line
    line = line.replace("[k,v]", "[k_proj,v_proj]") if model == "tiny_llama" else line
    loaded, chosen = backbone(model), peft("lora_r4", f"peft.options.{line}")
    before = {key: tensor.clone() for key, tensor in loaded.model.state_dict().items()}
    assert not company.idle(loaded, build(chosen), OBJECTIVE, TRAIN, 7004, name)
    assert why_never(loaded, chosen) is None
    assert company.why_alone(loaded, chosen, OBJECTIVE, TRAIN, 7004) is None
    assert all(torch.equal(before[key], tensor) for key, tensor in loaded.model.state_dict().items())


def test_what_has_not_been_tried_side_by_side_runs_one_by_one(backbone, peft):
    reason = why_never(backbone("tiny_t5"), peft("lora_r4", "peft.options.velora_config.num_groups=2"))
    assert reason == "it has not been tried side by side: peft.options.velora_config"


@pytest.mark.parametrize(
    ("choice", "line", "told"),
    (
        ("lora_r4", "use_rsloar=true", "use_rsloar: PEFT's configuration of lora has no such field"),
        ("lora_r4", "use_rslora=abc", "use_rslora=abc: PEFT takes bool"),
        ("lora_r4", "use_rslora=1", "use_rslora=1: PEFT takes bool"),
        ("lora_r4", "r=8", "r=8: this is peft.r here"),
        ("lora_r4", "target_modules=[q]", "target_modules=['q']: no choice of a job's; leave it out"),
        ("lora_r4", "modules_to_save=[lm_head]", "modules_to_save=['lm_head']: no choice of a job's"),
        ("lora_r4", "bias=some", "bias=some: PEFT takes Literal['none', 'all', 'lora_only']"),
        ("lora_r4", "eva_config.rho=2", "eva_config={'rho': 2}: PEFT takes Optional[EvaConfig]"),
        ("dora", "init_lora_weights=pissa", "init_lora_weights=pissa: it rewrites the model's own weights"),
        ("adalora", "deltaT=3", "deltaT=3: this is peft.interval here"),
        ("adalora", "beta1=1.5", "beta1=1.5: must be above 0 and below 1"),
        ("ia3", "feedforward_modules=[wo]", "feedforward_modules=['wo']: no choice of a job's"),
        ("prefix", "num_virtual_tokens=3", "num_virtual_tokens=3: this is peft.tokens here"),
    ),
)
def test_what_cannot_be_is_refused_by_its_key(choice, line, told, composed):
    with pytest.raises(UserError) as refused:
        validate(composed(f"peft={choice}", f"peft.options.{line}"))
    assert str(refused.value).startswith(f"peft.options.{told}") and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("choice", "line", "told"),
    (
        ("lora_r4", "alpha_pattern.no_such=3", "peft.options.alpha_pattern: with LoRA r=4 on t5 it changes nothing"),
        ("lora_r4", "use_rslora=false", "peft.options.use_rslora: with LoRA r=4 on t5 it changes nothing"),
        ("adalora", "use_rslora=true", "peft.options.use_rslora: with AdaLoRA on t5 it changes nothing"),
        ("lora_r4", "use_dora=true", "peft.options.use_dora=true: this is peft.dora here"),
    ),
)
def test_an_option_without_effect_makes_no_cell_of_its_own(choice, line, told, composed, tmp_path):
    small = ("peft.init_r=6", "peft.target_r=2", "train.epochs=9") if choice == "adalora" else ()
    with pytest.raises(UserError) as refused:
        jobs.run(composed(*SMALL, *small, f"peft={choice}", f"peft.options.{line}", f"results_dir={tmp_path}"))
    assert str(refused.value).startswith(told)
    assert not list(tmp_path.glob("*/splits/*"))


def test_rates_that_decide_which_ranks_fall_are_taken(composed, tmp_path):
    """They change neither what is trained at first nor its first gradients."""
    line = ("peft=adalora", "peft.init_r=6", "peft.target_r=2", "train.epochs=9", "splits=0")
    cells = [
        jobs.plan(job).cell
        for rate in (0.85, 0.1)
        if jobs.run(job := composed(*SMALL, *line, f"peft.options.beta1={rate}", f"results_dir={tmp_path}"))
    ]
    assert cells[0] != cells[1] and len(list(tmp_path.glob("*/splits/000.json"))) == 2


def test_what_would_train_the_models_own_weights_is_refused_and_leaves_no_trace(backbone, peft):
    bart = backbone("tiny_bart")
    before = [name for name, _ in bart.model.named_modules()]
    with (
        pytest.raises(UserError, match=r"it would train .*bias, the model's own, too"),
        trained_part(bart, peft("lora_r4", "peft.options.bias=all"), seed=1, total_steps=2),
    ):
        pass
    assert [name for name, _ in bart.model.named_modules()] == before


def test_a_cell_is_what_its_options_are_and_without_any_what_it_always_was(composed):
    def cell(*line):
        description = described(schema.plain(composed("peft=lora_r4", *line)), "data", {})
        return signature(description), description["peft"]

    mark, told = cell()
    assert "options" not in told
    assert signature(described(schema.plain(composed("peft=lora_r4")), "data", {}) | {"peft": told}) == mark
    marks = {mark, *(cell(f"peft.options.use_rslora={value}")[0] for value in ("true", "false"))}
    assert len(marks) == 3
    assert cell("peft.options.use_rslora=true")[1]["options"] == {"use_rslora": True}


def test_it_runs_from_the_command_line_in_a_sweep_too(command, tmp_path):
    line = ["run.py", "-m", *SMALL, "peft=lora_r4,ia3", "peft.options.use_rslora=true", "hydra.sweeper.lacking=drop"]
    done = command(*line, f"results_dir={tmp_path / 'results'}")
    assert (
        done.returncode == 2 and "peft.options.use_rslora: PEFT's configuration of ia3 has no such field" in done.stderr
    )
    one = command(*line[:1], *line[2:-3], "peft=lora_r4", "peft.options.use_rslora=true", f"results_dir={tmp_path}")
    assert one.returncode == 0, one.stderr
    lacking = command("run.py", *SMALL, "peft=aq", "peft.options.use_rslora=true", f"results_dir={tmp_path}")
    assert lacking.returncode == 2 and len(lacking.stderr.splitlines()) == 1
    assert "peft.options.use_rslora: " in lacking.stderr and "peft=lora_r4" in lacking.stderr
