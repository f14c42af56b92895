"""What a budget counts is what a job has: heads of their own and shared ones, whatever the family and the files."""

import json

import pytest
import torch
from families import SHAPES

from caref import budget
from caref.config.schema import Model
from caref.errors import UserError
from caref.models import backbones, shapes
from caref.models.budget import budgets

TYING = ("mt5", "umt5", "t5", "longt5", "switch_transformers", "opt", "mbart", "falcon", "gemma3", "mamba")
T5 = SHAPES["mt5"]


def described(family: str, **changed) -> Model:
    shape = {"model_type": family} | SHAPES.get(family, T5) | changed
    return Model(name=family, tokenizer="byte", config=shape)


def checkpoint(folder, family: str, head: str, form: str = "safetensors", **changed):
    """A folder with a small checkpoint: its head `apart`, `shared`, or there `twice` with the same numbers."""
    network = shapes.with_random_weights(shapes.configuration(described(family, **changed)))
    name = next(name for name in network.all_tied_weights_keys if "head" in name)
    network.save_pretrained(folder, max_shard_size="20kB" if form == "shards" else "5GB")
    tensors = network.state_dict()
    embedding = tensors[network.all_tied_weights_keys[name]]
    if head == "shared":
        del tensors[name]
    else:
        tensors[name] = embedding.clone() + (head == "apart") * (torch.arange(len(embedding)) == 300).unsqueeze(1)
    written(folder, tensors, form)
    return embedding.numel()


def written(folder, tensors: dict, form: str) -> None:
    from safetensors.torch import save_file

    for file in (*folder.glob("*.safetensors"), *folder.glob("*.index.json")):
        file.unlink()
    tensors = {key: tensor.clone().contiguous() for key, tensor in tensors.items()}
    if form == "bin":
        torch.save(tensors, folder / "pytorch_model.bin")
    elif form == "shards":
        half = len(tensors) // 2
        parts = {
            "model-00001-of-00002.safetensors": list(tensors)[:half],
            "model-00002-of-00002.safetensors": list(tensors)[half:],
        }
        for file, names in parts.items():
            save_file({name: tensors[name] for name in names}, folder / file, metadata={"format": "pt"})
        index = {"metadata": {}, "weight_map": {name: file for file, names in parts.items() for name in names}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    else:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def of_budget(path) -> int:
    return budgets(*budget.composed(str(path), ["base"]))["base"].total


def of_job(path) -> int:
    loaded = backbones.load(Model(name="x", path=str(path), tokenizer="byte"))
    return sum(parameter.numel() for parameter in loaded.model.parameters())


@pytest.mark.parametrize("head", ("apart", "shared", "twice"))
@pytest.mark.parametrize("family", TYING)
def test_a_folder_is_counted_as_it_is_loaded(family, head, tmp_path):
    checkpoint(tmp_path, family, head)
    assert of_budget(tmp_path) == of_job(tmp_path)


@pytest.mark.parametrize("form", ("shards", "bin"))
@pytest.mark.parametrize("head", ("apart", "shared", "twice"))
def test_shards_and_pickled_weights_are_looked_into(head, form, tmp_path):
    checkpoint(tmp_path, "mt5", head, form)
    assert of_budget(tmp_path) == of_job(tmp_path)


@pytest.mark.parametrize("family", ("mt5", "umt5", "t5"))
def test_a_head_of_its_own_is_one_matrix_more(family, tmp_path):
    one = checkpoint(tmp_path / "shared", family, "shared")
    checkpoint(tmp_path / "apart", family, "apart")
    assert one == 384 * 32
    assert of_budget(tmp_path / "apart") - of_budget(tmp_path / "shared") == one


@pytest.mark.parametrize("family", ("mt5", "umt5", "t5"))
def test_what_the_configuration_claims_is_nothing_beside_the_weights(family, tmp_path):
    checkpoint(tmp_path, family, "shared")
    described = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(described | {"tie_word_embeddings": False}))
    assert of_budget(tmp_path) == of_job(tmp_path)


@pytest.mark.parametrize("family", ("mt5", "umt5", "t5"))
def test_without_weights_the_configuration_says_it(family, tmp_path):
    checkpoint(tmp_path, family, "shared")
    (tmp_path / "model.safetensors").unlink()
    described = json.loads((tmp_path / "config.json").read_text())
    described.pop("scale_decoder_outputs", None)  # which the hub's do not have
    found = {}
    for tied in (True, False):
        (tmp_path / "config.json").write_text(json.dumps(described | {"tie_word_embeddings": tied}))
        found[tied] = of_budget(tmp_path)
    assert found[False] - found[True] == 384 * 32


@pytest.mark.parametrize("family", ("mt5", "umt5"))
def test_a_random_model_has_the_head_that_its_shape_asks_for(family):
    for tied in (True, False):
        shape = described(family, tie_word_embeddings=tied)
        drawn = backbones.load(shape).model
        assert (drawn.lm_head.weight is drawn.shared.weight) == tied
        counted = budgets(shape, budget.composed("tiny_t5", ["base"])[1])["base"]
        assert counted.total == sum(parameter.numel() for parameter in drawn.parameters())


def test_damaged_weights_are_refused_in_one_line(tmp_path):
    checkpoint(tmp_path, "mt5", "apart")
    (tmp_path / "model.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(UserError, match="its weights cannot be read") as refused:
        of_budget(tmp_path)
    assert "\n" not in str(refused.value)
