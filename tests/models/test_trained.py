"""A split trains exactly its own parameters, and leaves the backbone as it was, bit for bit."""

import re

import peft as peft_library
import pytest
import torch

from caref.config.schema import Peft
from caref.errors import UserError
from caref.models import backbones
from caref.models.trained import load_trained, trained_part

# What each sparse variant trains, written down from the models' own parameter names.
SPARSE = {
    ("tiny_t5", "base"): r".*",
    ("tiny_t5", "dec"): r"decoder\..*",
    ("tiny_t5", "aqkv"): r"(en|de)coder\.block\.\d\.layer\.0\.SelfAttention\.[qkv]\.weight",
    ("tiny_t5", "laq"): r"(en|de)coder\.block\.\d\.layer\.0\.SelfAttention\.q\.weight|.*layer_norm\.weight",
    ("tiny_t5", "aq"): r"(en|de)coder\.block\.\d\.layer\.0\.SelfAttention\.q\.weight",
    ("tiny_llama", "base"): r".*",
    ("tiny_llama", "aqkv"): r"model\.layers\.\d\.self_attn\.[qkv]_proj\.weight",
    ("tiny_llama", "laq"): r"model\.layers\.\d\.self_attn\.q_proj\.weight|model\..*norm\.weight",
    ("tiny_llama", "aq"): r"model\.layers\.\d\.self_attn\.q_proj\.weight",
    ("tiny_bart", "base"): r".*",
    ("tiny_bart", "dec"): r"model\.decoder\..*",
    ("tiny_bart", "aqkv"): r"model\.(en|de)coder\.layers\.\d\.self_attn\.[qkv]_proj\.(weight|bias)",
    (
        "tiny_bart",
        "laq",
    ): r"model\.(en|de)coder\.layers\.\d\.self_attn\.q_proj\.(weight|bias)|.*norm(_embedding)?\.weight",
    ("tiny_bart", "aq"): r"model\.(en|de)coder\.layers\.\d\.self_attn\.q_proj\.(weight|bias)",
    ("tiny_gpt2", "base"): r".*",
}
ADAPTERS = [
    (model, choice)
    for model in ("tiny_t5", "tiny_llama", "tiny_bart", "tiny_gpt2")
    for choice in ("lora_r4", "dora", "adalora", "ia3", "prefix")
]
EVERY = [*SPARSE, *ADAPTERS]
PRECISIONS = (torch.float32, torch.bfloat16)
SAVED = [(model, choice, torch.float32) for model, choice in EVERY] + [
    ("tiny_llama", choice, torch.bfloat16) for choice in ("aq", "laq", "lora_r4", "adalora", "prefix")
]
CUT = {torch.float32: 1e-4, torch.bfloat16: 0.1}


def bits(model) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(left: torch.Tensor, right: torch.Tensor) -> bool:
    return left.dtype == right.dtype and torch.equal(left, right)


@pytest.mark.parametrize("dtype", PRECISIONS, ids=("fp32", "bf16"))
@pytest.mark.parametrize(("model", "choice"), SPARSE)
def test_a_sparse_variant_trains_exactly_its_parameters(model, choice, dtype, backbone, peft, train):
    backbone = backbone(model, dtype)
    before = bits(backbone.model)
    names = [name for name, _ in backbone.model.named_parameters()]
    with trained_part(backbone, peft(choice), seed=7004, total_steps=4) as part:
        train(backbone, part)
        moved = {name for name in names if not torch.equal(part.model.get_parameter(name).to(dtype), before[name])}
        assert {parameter.dtype for parameter in part.parameters} == {torch.float32}
    assert all(same(tensor, before[name]) for name, tensor in backbone.model.state_dict().items())
    assert moved == {name for name in names if re.fullmatch(SPARSE[model, choice], name)}
    assert part.counts.trainable == sum(before[name].numel() for name in moved)


@pytest.mark.parametrize("dtype", PRECISIONS, ids=("fp32", "bf16"))
@pytest.mark.parametrize(("model", "choice"), ADAPTERS)
def test_an_adapter_trains_itself_and_no_weight_of_the_model(model, choice, dtype, backbone, peft, train):
    backbone = backbone(model, dtype)
    own = dict(backbone.model.named_parameters())
    before = bits(backbone.model)
    with trained_part(backbone, peft(choice), seed=7004, total_steps=4) as part:
        first = [parameter.detach().clone() for parameter in part.parameters]
        train(backbone, part)
        moved = [not torch.equal(now, then) for now, then in zip(part.parameters, first, strict=True)]
        assert {parameter.dtype for parameter in part.parameters} == {torch.float32}
        assert all(same(parameter, before[name]) for name, parameter in own.items())
    assert all(same(tensor, before[name]) for name, tensor in backbone.model.state_dict().items())
    # What AdaLoRA has left no rank stands still.
    assert all(moved) or (choice == "adalora" and any(moved))
    assert part.counts.trainable == sum(parameter.numel() for parameter in first)
    assert part.counts.total == part.counts.trainable + sum(parameter.numel() for parameter in own.values())


@pytest.mark.parametrize(("model", "choice"), EVERY)
def test_after_a_split_the_backbone_is_as_before(model, choice, backbone, peft, train, generate):
    backbone = backbone(model)
    tensors, attributes = bits(backbone.model), dict(vars(backbone.model))
    modules = {name: id(module) for name, module in backbone.model.named_modules()}
    parameters = {name: id(parameter) for name, parameter in backbone.model.named_parameters(remove_duplicate=False)}
    with trained_part(backbone, peft(choice), seed=7004, total_steps=4) as part:
        train(backbone, part, lr=0.1)
        generate(backbone, part.model)
    now = backbone.model.state_dict()
    assert now.keys() == tensors.keys() and all(same(now[name], tensors[name]) for name in tensors)
    assert {name: id(module) for name, module in backbone.model.named_modules()} == modules
    assert {n: id(p) for n, p in backbone.model.named_parameters(remove_duplicate=False)} == parameters
    assert all(parameter.requires_grad and parameter.grad is None for parameter in backbone.model.parameters())
    assert not any(module.training for module in backbone.model.modules())
    assert vars(backbone.model).keys() == attributes.keys()


@pytest.mark.parametrize(("model", "choice", "dtype"), SAVED)
def test_a_saved_part_generates_the_same_when_loaded_back(
    model, choice, dtype, backbone, peft, train, generate, tmp_path
):
    trained, fresh = backbone(model, dtype), backbone(model, dtype)
    with trained_part(trained, peft(choice), seed=7004, total_steps=6) as part:
        train(trained, part, count=6, lr=0.1)
        part.save(tmp_path)
        tokens, logits = generate(trained, part.model)
    before = bits(fresh.model)
    with load_trained(fresh, tmp_path) as loaded:
        again, equal = generate(fresh, loaded)
    untrained = generate(fresh, fresh.model)[1]
    assert torch.equal(again, tokens)
    # AdaLoRA is saved cut to its ranks, so its sums are taken in another order.
    assert torch.equal(equal, logits) or (choice == "adalora" and torch.allclose(equal, logits, atol=CUT[dtype]))
    assert (equal - untrained).abs().max() > 1e-5
    assert all(same(tensor, before[name]) for name, tensor in fresh.model.state_dict().items())


@pytest.mark.parametrize("choice", ("aq", "lora_r4", "prefix"))
def test_an_error_inside_a_split_leaves_no_trace_either(choice, backbone, peft, train):
    backbone = backbone("tiny_t5")
    before = bits(backbone.model)
    with (
        pytest.raises(ZeroDivisionError),
        trained_part(backbone, peft(choice), seed=7004, total_steps=4) as part,
    ):
        train(backbone, part)
        raise ZeroDivisionError
    assert all(same(tensor, before[name]) for name, tensor in backbone.model.state_dict().items())
    assert all(parameter.requires_grad for parameter in backbone.model.parameters())


@pytest.mark.parametrize("choice", ("lora_r4", "dora", "adalora", "ia3", "prefix"))
def test_an_adapter_starts_from_its_split_seed_alone(choice, backbone, peft):
    backbone = backbone("tiny_llama")

    def start(seed: int, noise: int) -> list[torch.Tensor]:
        torch.manual_seed(noise)
        state = torch.get_rng_state()
        with trained_part(backbone, peft(choice), seed, total_steps=4) as part:
            assert torch.equal(torch.get_rng_state(), state)  # nor does it disturb the global state
            return [parameter.detach().clone() for parameter in part.parameters]

    first, again, other = start(7004, 1), start(7004, 2), start(3639, 1)
    assert all(torch.equal(left, right) for left, right in zip(first, again, strict=True))
    assert choice == "ia3" or any(not torch.equal(left, right) for left, right in zip(first, other, strict=True))


def test_a_tied_weight_is_trained_in_both_its_places(backbone, peft, train):
    backbone = backbone("tiny_gpt2")
    with trained_part(backbone, peft("base"), seed=7004, total_steps=4) as part:
        train(backbone, part)
        assert part.model.lm_head.weight is part.model.transformer.wte.weight
        assert len(part.parameters) == len(list(part.model.parameters()))


@pytest.mark.parametrize("choice", ("base", "aq", "lora_r4"))
def test_a_bfloat16_backbone_computes_in_bfloat16_whatever_is_trained(choice, backbone, peft, texts):
    backbone = backbone("tiny_llama", torch.bfloat16)
    with trained_part(backbone, peft(choice), seed=7004, total_steps=4) as part, backbone.autocast():
        assert part.model(input_ids=texts[0]).logits.dtype is torch.bfloat16


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing")
def test_adapters_are_saved_in_pefts_own_format(backbone, peft, train, generate, tmp_path):
    trained, other = backbone("tiny_t5"), backbone("tiny_t5")
    with trained_part(trained, peft("lora_r4"), seed=7004, total_steps=4) as part:
        train(trained, part, lr=0.1)
        part.save(tmp_path)
        _, logits = generate(trained, part.model)
    loaded = peft_library.PeftModel.from_pretrained(other.model, tmp_path)
    assert torch.equal(generate(other, loaded)[1], logits)


@pytest.mark.parametrize("choice", ("aq", "lora_r4"))
def test_a_part_of_another_model_is_refused(choice, backbone, peft, tmp_path):
    llama, t5 = backbone("tiny_llama"), backbone("tiny_t5")
    with trained_part(llama, peft(choice), seed=7004, total_steps=4) as part:
        part.save(tmp_path)
    with pytest.raises(UserError, match=re.escape(str(tmp_path))), load_trained(t5, tmp_path):
        pass


@pytest.mark.parametrize("choice", ("aq", "lora_r4"))
@pytest.mark.parametrize("other", ("weights", "depth"))
def test_a_part_of_a_model_with_other_weights_or_more_layers_is_refused(
    choice, other, backbone, configured, peft, tmp_path
):
    """Names and shapes of all that was saved are there."""
    with trained_part(backbone("tiny_llama"), peft(choice), seed=7004, total_steps=4) as part:
        part.save(tmp_path)
    if other == "weights":
        strange = backbone("tiny_llama")
        with torch.no_grad():
            strange.model.model.layers[1].mlp.up_proj.weight.mul_(1.5)
    else:
        deeper = configured("model=tiny_llama", "model.config.num_hidden_layers=4").model
        strange = backbones.load(deeper)
    with pytest.raises(UserError, match="was trained on tiny Llama"), load_trained(strange, tmp_path):
        pass
    with load_trained(backbone("tiny_llama", torch.bfloat16), tmp_path):
        pass
    (tmp_path / "model.json").unlink()  # as parts were saved once
    with load_trained(strange, tmp_path):
        pass


@pytest.mark.parametrize("choice", ("lora_r4", "ia3", "adalora", "aq"))
def test_a_classifiers_head_is_trained_and_kept_in_float32(choice, configured, peft, texts, tmp_path):
    def fresh():
        return backbones.load(configured("model=tiny_classifier").model, dtype=torch.bfloat16, classes=3)

    ids, mask = texts
    trained, labels = fresh(), torch.tensor([0, 1, 2, 0])
    with trained_part(trained, peft(choice), seed=7004, total_steps=6) as part:
        assert {parameter.dtype for parameter in part.parameters} == {torch.float32}
        optimizer = torch.optim.AdamW(part.parameters, lr=3e-5)
        for step in range(1, 7):
            with trained.autocast():
                logits = part.model(input_ids=ids, attention_mask=mask).logits
            torch.nn.functional.cross_entropy(logits.squeeze(1).float(), labels).backward()
            optimizer.step()
            part.after_step(step)
            optimizer.zero_grad()
        part.save(tmp_path)
        head = [parameter.detach().clone() for parameter in part.parameters]
        with torch.no_grad(), trained.autocast():
            told = part.model.eval()(input_ids=ids, attention_mask=mask).logits
    other = fresh()
    with load_trained(other, tmp_path) as loaded, torch.no_grad(), other.autocast():
        again = loaded(input_ids=ids, attention_mask=mask).logits
        found = [parameter.detach() for name, parameter in loaded.named_parameters() if "classifier" in name]
    assert torch.equal(again, told) or (choice == "adalora" and torch.allclose(again, told, atol=CUT[torch.bfloat16]))
    trained_head = [one for one in head if one.shape[0] == 3 or one.shape == (3,)]
    assert trained_head and all(any(same(one, kept) for kept in found) for one in trained_head)


def test_a_folder_without_a_part_is_refused(backbone, tmp_path):
    with pytest.raises(UserError, match="holds no trained part"), load_trained(backbone("tiny_t5"), tmp_path):
        pass


def test_damaged_weights_are_refused(backbone, peft, tmp_path):
    backbone = backbone("tiny_t5")
    for choice, file in (
        ("aq", "trained.safetensors"),
        ("lora_r4", "adapter_model.safetensors"),
        ("aq", "model.json"),
        ("lora_r4", "model.json"),
    ):
        folder = tmp_path / f"{choice} {file}"
        with trained_part(backbone, peft(choice), seed=7004, total_steps=4) as part:
            part.save(folder)
        content = (folder / file).read_bytes()
        (folder / file).write_bytes(content[: max(len(content) - 100, 3)])
        with pytest.raises(UserError, match=re.escape(str(folder))), load_trained(backbone, folder):
            pass


def test_an_unknown_method_is_refused(backbone):
    with (
        pytest.raises(
            UserError, match=r"peft\.method=sparse: there is no such choice; choose one of adalora, decoder, full"
        ),
        trained_part(backbone("tiny_t5"), Peft(name="x", method="sparse"), 7004, 4),
    ):
        pass
