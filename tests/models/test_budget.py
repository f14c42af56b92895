"""Budgets: the paper's eight figures, the models of conf/, and what they lack."""

import os
from pathlib import Path

import pytest

from caref import budget
from caref.errors import UserError
from caref.models.budget import budgets

ROOT = Path(__file__).parents[2]

FLAN_T5_LARGE = {
    "base": (783_150_080, "100.00"),
    "dec": (409_019_904, "52.23"),
    "aqkv": (150_994_944, "19.28"),
    "laq": (50_456_576, "6.44"),
    "aq": (50_331_648, "6.43"),
    "lora_r4": (4_571_136, "0.58"),
    "lora_r128": (146_276_352, "15.74"),
    "adalora": (36_582_912, "4.46"),
}


def counted(model: str, *pefts: str) -> dict:
    return budgets(*budget.composed(model, pefts))


def test_flan_t5_large_has_the_papers_eight_figures():
    found = counted("flan_t5_large", *FLAN_T5_LARGE)
    assert {c: (counts.trainable, f"{counts.percent:.2f}") for c, counts in found.items()} == FLAN_T5_LARGE
    assert {found[choice].total for choice in ("base", "dec", "aqkv", "laq", "aq")} == {783_150_080}


@pytest.mark.parametrize(
    ("model", "total", "aq"),
    [
        ("flan_t5_small", 76_961_152, 16 * 512 * 384),
        ("flan_t5_base", 247_577_856, 24 * 768 * 768),
        ("smollm2_135m", 134_515_008, 9_953_280),
        ("bart_base", 139_420_416, 12 * (768 * 768 + 768)),
        ("tiny_t5", 74_368, 4 * 32 * 32),
        ("tiny_llama", 43_168, 2 * 32 * 32),
    ],
)
def test_other_models(model, total, aq):
    counts = counted(model, "aq")["aq"]
    assert (counts.trainable, counts.total) == (aq, total)


@pytest.mark.parametrize(
    ("model", "reg", "told"),
    [
        ("flan_t5_large", "ivra", "IvRA: 49,560 weights beside each variant, on cross attention, and a temperature"),
        ("smollm2_135m", "ivra", "IvRA: 23,340 weights beside each variant, on self-attention, and a temperature"),
        ("electra_base", "ivra", "IvRA: 18,588 weights beside each variant, on encoder attention, and a temperature"),
        ("smollm2_135m", "smat", "SMaT: 270 weights beside each variant, on self-attention"),
        ("tiny_t5", "sced", None),
    ],
)
def test_the_module_that_a_regulariser_trains_beside_the_model_is_counted(model, reg, told, capsys):
    budget.main([model, "--peft", "aq", "--reg", reg])
    lines = capsys.readouterr().out.splitlines()
    assert told in lines if told else not any("beside" in line for line in lines)


def test_what_a_model_lacks_is_refused_by_name():
    found = counted("gpt2", "base", "dec", "aqkv", "laq", "aq", "lora_r4")
    assert found["base"].trainable == 124_439_808
    # c_attn, c_proj, c_fc and the feed-forward c_proj of 12 layers
    assert found["lora_r4"].trainable == 12 * 4 * ((768 + 2304) + (768 + 768) + 2 * (768 + 3072))
    assert all("c_attn" in str(found[choice]) for choice in ("aqkv", "laq", "aq"))
    assert isinstance(found["dec"], UserError) and "decoder only" in str(found["dec"])


def test_every_choice_is_listed_in_the_papers_order():
    _, pefts = budget.composed("tiny_t5")
    assert set(pefts) == {file.stem for file in (ROOT / "conf" / "peft").glob("*.yaml")}
    assert list(pefts)[:8] == list(FLAN_T5_LARGE)


def test_a_folder_is_counted_by_its_configuration_alone(backbone, tmp_path):
    backbone("tiny_t5").model.config.save_pretrained(tmp_path)
    assert counted(str(tmp_path), "aq") == counted("tiny_t5", "aq")


def test_the_command_prints_a_table_from_any_folder(command, tmp_path):
    done = command("-m", "caref.budget", "tiny_gpt2", "--peft", "lora_r4", "aq", cwd=tmp_path, PYTHONPATH=str(ROOT))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[3].split() == ["LoRA", "r=4", "peft=lora_r4", "4,096", "107,392", "3.81"]
    assert lines[-1].startswith("aq: refused: gpt2 fuses q, k and v")


def test_what_does_not_exist_is_refused_in_one_line(command):
    offline = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": os.devnull}
    for arguments, told in (
        (["tiny_t5", "--peft", "lora"], "--peft lora: must be some of base, dec, aqkv"),
        (["./no_such"], "MODEL=./no_such: no such folder"),
        (["flan_t5"], "MODEL=flan_t5: not in the local cache, and the hub is out of reach"),
        (["flan_t5"], "conf/model offers bart_base, electra_base, flan_t5_base"),
    ):
        done = command("-m", "caref.budget", *arguments, **offline)
        assert done.returncode == 2 and done.stdout == ""
        assert told in done.stderr and len(done.stderr.splitlines()) == 1
