"""AdaLoRA's ranks really fall, and prefixes really go before every layer's keys and values."""

import json
from itertools import pairwise

import pytest
import torch

from caref.config.schema import Model
from caref.errors import UserError
from caref.models import shapes
from caref.models.backbones import Backbone
from caref.models.methods.adalora import AdaLora
from caref.models.methods.ia3 import Ia3
from caref.models.methods.prefix import Prefix
from caref.models.trained import count, load_trained, trained_part

FAMILIES = ("tiny_t5", "tiny_llama", "tiny_bart", "tiny_gpt2")


def ranks(part) -> list[int]:
    """Non-zero singular values of each adapted matrix."""
    return [int(p.count_nonzero()) for name, p in part.model.named_parameters() if "lora_E" in name]


@pytest.mark.parametrize("family", FAMILIES)
def test_ranks_fall_from_the_first_to_the_target(family, backbone, peft, texts):
    backbone, (ids, mask), steps = backbone(family), texts, 30
    seen = []
    with trained_part(backbone, peft("adalora"), seed=7004, total_steps=steps) as part:
        optimizer = torch.optim.AdamW(part.parameters, lr=1e-2)
        for step in range(1, steps + 1):
            labels = {"decoder_input_ids": ids} if backbone.encoder_decoder else {}
            logits = part.model(input_ids=ids, attention_mask=mask, **labels).logits
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids.flatten()) + part.extra_loss()
            loss.backward()
            optimizer.step()
            part.after_step(step)
            optimizer.zero_grad()
            seen.append(sum(ranks(part)))
        modules = len(ranks(part))
        spread = set(ranks(part))
    assert seen[2] == 6 * modules  # tinit: a tenth of the steps
    assert all(later <= earlier for earlier, later in pairwise(seen))
    assert 6 * modules > seen[11] > 2 * modules  # it falls gradually
    assert seen[20] == seen[-1] == 2 * modules  # tfinal: the last three tenths
    assert len(spread) > 1  # and more where it matters less


def test_the_saved_ranks_are_those_that_are_left(backbone, peft, train, tmp_path):
    backbone = backbone("tiny_llama")
    with trained_part(backbone, peft("adalora"), seed=7004, total_steps=10) as part:
        train(backbone, part, count=10)
        left = ranks(part)
        part.save(tmp_path)
    with load_trained(backbone, tmp_path) as loaded:
        kept = [len(p) for name, p in loaded.named_parameters() if "lora_E" in name]
    assert kept == left
    assert sum(map(sum, json.loads((tmp_path / "adapter_config.json").read_text())["rank_pattern"].values())) == sum(
        left
    )


def test_orthogonality_is_what_peft_adds_to_its_own_loss(backbone, peft, texts):
    backbone, (ids, _) = backbone("tiny_llama"), texts
    with trained_part(backbone, peft("adalora"), seed=7004, total_steps=4) as part:
        with_term = part.model(input_ids=ids, labels=ids).loss
        without = part.model.base_model.model(input_ids=ids, labels=ids).loss
        term = part.extra_loss()
    assert torch.allclose(with_term - without, term, atol=1e-5)
    assert term.item() > 0


@pytest.mark.parametrize("steps", (2, 3, 7))
def test_a_run_of_a_few_steps_still_reaches_the_target(steps, backbone, peft, train):
    backbone = backbone("tiny_llama")
    with trained_part(backbone, peft("adalora"), seed=7004, total_steps=steps) as part:
        train(backbone, part, count=steps)
        assert sum(ranks(part)) <= 2 * len(ranks(part))


def test_schedules_without_a_fall_are_refused(backbone):
    for steps, settle in ((1, 0.3), (10, 0.9)):
        with (
            pytest.raises(UserError, match=rf"peft \(AdaLoRA\): a run of {steps} steps.* is too short"),
            trained_part(backbone("tiny_llama"), AdaLora("AdaLoRA", warmup=0.0, settle=settle), 7004, steps),
        ):
            pass
    for changed, told in (
        ({"init_r": 4, "target_r": 4}, r"target_r=4: must be below peft\.init_r=4"),
        ({"warmup": 0.6, "settle": 0.4}, r"warmup=0\.6: with peft\.settle=0\.4"),
    ):
        with pytest.raises(ValueError, match=told):
            AdaLora("AdaLoRA", **changed)


def test_methods_without_ranks_add_nothing_to_the_loss(backbone, peft):
    for choice in ("aq", "lora_r4", "ia3", "prefix"):
        with trained_part(backbone("tiny_llama"), peft(choice), seed=7004, total_steps=4) as part:
            assert part.extra_loss() is None


@pytest.mark.parametrize("layers", (2, 3))
@pytest.mark.parametrize("family", FAMILIES)
def test_every_number_of_a_prefix_is_used(family, layers, configured, peft, texts):
    config = dict(configured(f"model={family}").model.config)
    config |= {key: layers for key in config if key in ("num_layers", "num_hidden_layers", "decoder_layers", "n_layer")}
    ids, mask = texts
    backbone = Backbone(family, shapes.with_random_weights(shapes.spelt_out(config)).eval(), tokenizer=None)
    with trained_part(backbone, peft("prefix"), seed=7004, total_steps=4) as part:
        labels = {"decoder_input_ids": ids} if backbone.encoder_decoder else {}
        part.model(input_ids=ids, attention_mask=mask, use_cache=False, **labels).logits.square().sum().backward()
        (prefix,) = part.parameters
        assert prefix.grad.count_nonzero() == prefix.numel()


@pytest.mark.parametrize("family", FAMILIES)
def test_generation_sees_the_prefix_that_training_saw(family, backbone, peft, texts):
    backbone, (ids, mask) = backbone(family), texts
    if not backbone.encoder_decoder:
        ids, mask = ids[1:], mask[1:]
    greedy = {"do_sample": False, "max_new_tokens": 6, "min_new_tokens": 6}
    with trained_part(backbone, peft("prefix"), seed=7004, total_steps=4) as part, torch.no_grad():
        part.model.eval()
        written = part.model.generate(
            input_ids=ids, attention_mask=mask, output_logits=True, return_dict_in_generate=True, **greedy
        )
        read = written.sequences[:, :-1]
        inputs = (
            {"input_ids": ids, "attention_mask": mask, "decoder_input_ids": read}
            if backbone.encoder_decoder
            else {"input_ids": read}
        )
        forced = part.model(**inputs, use_cache=False).logits[:, -6:]
        plain = backbone.model(**inputs, use_cache=False).logits[:, -6:]
    assert torch.allclose(torch.stack(written.logits, dim=1), forced, atol=1e-4)
    assert not torch.allclose(plain, forced, atol=1e-2)


def test_a_prefix_is_sized_by_the_decoder(configured):
    uneven = {"d_model": 48, "d_kv": 8, "num_heads": 4, "num_layers": 3, "num_decoder_layers": 2}
    shape = dict(configured("model=tiny_t5").model.config) | uneven
    network = shapes.skeleton(Model(name="x", config=shape))
    assert count(network, Prefix("prefix", tokens=5)).trainable == 5 * 2 * 2 * 4 * 8


def test_what_peft_does_not_know_is_refused():
    mamba = shapes.skeleton(Model("x", config={"model_type": "mamba", "hidden_size": 32, "num_hidden_layers": 2}))
    with pytest.raises(UserError, match=r"peft \(prefix\): mamba keeps no keys and values"):
        count(mamba, Prefix("prefix"))
    with pytest.raises(UserError, match=r"peft \(IA3\): PEFT does not know which modules of mamba"):
        count(mamba, Ia3("IA3"))
