"""What no text reaches is found, left out of what is trained and counted, and said; the budget and the job agree."""

import json

import pytest
import torch
from families import SHAPES

from caref import budget
from caref.config.schema import Model
from caref.errors import UserError
from caref.models import backbones, method, reach, shapes
from caref.models.budget import left_out
from caref.models.trained import count, trained_part

CHOICES = ("base", "aq", "lora_r4", "adalora", "ia3")
LOST = {"gemma3": "model.vision_tower", "t5gemma2": "model.encoder.vision_tower", "led": "query_global"}


def described(family: str) -> Model:
    return Model(name=family, tokenizer="byte", config={"model_type": family} | SHAPES[family])


@pytest.mark.parametrize("family", SHAPES)
def test_the_budget_without_weights_and_the_job_agree_and_all_that_is_trained_gets_a_gradient(family, peft):
    skeleton, backbone = shapes.skeleton(described(family)), backbones.load(described(family))
    assert reach.unreached(skeleton) == reach.unreached(backbone.model)
    assert (family in LOST) == bool(reach.unreached(backbone.model))
    tensors = {name: tensor.clone() for name, tensor in backbone.model.state_dict().items()}
    ids = torch.arange(5, 69).view(4, 16)
    inputs = {"input_ids": ids} | ({"decoder_input_ids": ids[:, :5]} if backbone.encoder_decoder else {})
    for choice in CHOICES:
        try:
            counts = count(skeleton, peft(choice))
        except UserError as refused:
            with pytest.raises(UserError) as again, trained_part(backbone, peft(choice), 7004, 10):
                pass
            assert str(again.value) == str(refused)
            continue
        with trained_part(backbone, peft(choice), 7004, 10) as part:
            assert part.counts == counts
            part.model.train()
            part.model(**inputs, use_cache=False).logits.square().mean().backward()
            named = {name: one for name, one in part.model.named_parameters() if one.requires_grad}
            without = [name for name, one in named.items() if one.grad is None and ".expert_" not in name]
            assert not without, without
            part.after_step(1)  # AdaLoRA reads every gradient
    assert all(torch.equal(tensors[name], tensor) for name, tensor in backbone.model.state_dict().items())


@pytest.mark.parametrize("family", LOST)
def test_what_no_text_reaches_is_said_in_one_line(family):
    told = reach.told(backbones.load(described(family)).model)
    assert told.startswith("not trained, since no text reaches it: ") and LOST[family] in told and "\n" not in told
    assert reach.told(backbones.load(described("mt5")).model) is None


def test_experts_are_adapted_by_lora_and_said_to_be_left_out_by_others(peft):
    pefts = {choice: peft(choice) for choice in ("lora_r4", "dora", "adalora", "ia3", "prefix", "aq")}
    lines = left_out(described("mixtral"), pefts)
    assert [line.partition(":")[0] for line in lines] == ["dora", "adalora", "ia3"]
    assert all("experts" in line and "gate_up_proj" in line for line in lines)
    backbone = backbones.load(described("mixtral"))
    with trained_part(backbone, peft("lora_r4"), 7004, 10) as part:
        assert any(".experts." in name for name, one in part.model.named_parameters() if one.requires_grad)
    assert method.build(peft("lora_r4", "peft.dropout=0.1")).left_out(backbone.model)


def test_the_budget_command_says_it(tmp_path, command):
    shapes.spelt_out({"model_type": "gemma3"} | SHAPES["gemma3"]).save_pretrained(tmp_path)
    done = command("-m", "caref.budget", str(tmp_path), "--peft", "base", "aq")
    assert done.returncode == 0, done.stderr
    assert "not trained, since no text reaches it: model.vision_tower" in done.stdout
    assert budget.composed("tiny_t5")


def saved_config(folder) -> str:
    return (folder / "adapter_config.json").read_text()


@pytest.mark.parametrize("choice", ("lora_r4", "adalora", "ia3", "prefix"))
def test_a_saved_adapter_names_no_path_of_its_writer_and_is_the_same_each_time(choice, peft, tmp_path):
    whole = backbones.load(described("mt5"))
    whole.model.save_pretrained(tmp_path / "base")
    for time in ("first", "second"):
        backbone = backbones.load(Model(name="x", path=str(tmp_path / "base"), tokenizer="byte"))
        with trained_part(backbone, peft(choice), 7004, 10) as part:
            part.save(tmp_path / time)
    texts = [file.read_text() for file in (tmp_path / "first").iterdir() if file.suffix in (".json", ".md")]
    assert len(texts) == 3 and not any(str(tmp_path) in text for text in texts)
    assert saved_config(tmp_path / "first") == saved_config(tmp_path / "second")
    values = json.loads(saved_config(tmp_path / "first"))
    assert values["base_model_name_or_path"] is None
    for key in ("target_modules", "feedforward_modules"):
        assert values.get(key) is None or values[key] == sorted(values[key])
    told = (tmp_path / "first" / "README.md").read_text()
    assert ("Plain PEFT cannot" in told) == (choice == "prefix")
