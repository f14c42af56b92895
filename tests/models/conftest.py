"""Tiny backbones, peft configurations and a real training loop for the tests of models."""

from functools import cache

import pytest
import torch

from caref.models import backbones

TINY = ("tiny_t5", "tiny_llama", "tiny_bart", "tiny_gpt2")


@pytest.fixture(scope="session")
def configured(composed):
    """A function: the model and peft configurations that these overrides compose."""
    return cache(lambda *overrides: composed(*overrides))


@pytest.fixture
def backbone(configured):
    """A function: a tiny backbone, freshly drawn."""

    def load(name: str, dtype: torch.dtype = torch.float32) -> backbones.Backbone:
        return backbones.load(configured(f"model={name}").model, dtype=dtype)

    return load


@pytest.fixture(scope="session")
def peft(configured):
    """A function: a choice of conf/peft, AdaLoRA's ranks small enough for tiny models."""

    def choose(choice: str, *overrides: str):
        small = ("peft.init_r=6", "peft.target_r=2", "peft.interval=1") if choice == "adalora" else ()
        return configured(f"peft={choice}", *small, *overrides).peft

    return choose


@pytest.fixture(scope="session")
def texts() -> tuple[torch.Tensor, torch.Tensor]:
    """Four byte sequences of unequal length: ids and attention mask, (4, 12), padded on the right."""
    ids = torch.randint(3, 259, (4, 12), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    ids[0, 8:], mask[0, 8:] = 0, 0
    return ids, mask


@pytest.fixture(scope="session")
def train(texts):
    """A function: some real AdamW steps on a trained part, as caref.training takes them."""

    def steps(backbone, part, count: int = 4, lr: float = 1e-2) -> None:
        ids, mask = texts
        optimizer = torch.optim.AdamW(part.parameters, lr=lr)
        part.model.train()
        for step in range(1, count + 1):
            inputs = {"input_ids": ids, "attention_mask": mask}
            if backbone.encoder_decoder:
                inputs["decoder_input_ids"] = ids.roll(1, dims=1)
            with backbone.autocast():
                logits = part.model(**inputs, use_cache=False).logits
            loss = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), ids.flatten(), ignore_index=0)
            if (extra := part.extra_loss()) is not None:
                loss = loss + extra
            loss.backward()
            optimizer.step()
            part.after_step(step)
            optimizer.zero_grad()

    return steps


@pytest.fixture(scope="session")
def generate(texts):
    """A function: what a model writes greedily after the texts, (4, T), and the logits it chose from, (4, 6, V)."""

    def written(backbone, model) -> tuple[torch.Tensor, torch.Tensor]:
        ids, mask = texts
        if not backbone.encoder_decoder:
            ids, mask = ids.flip(1), mask.flip(1)  # padded on the left
        greedy = {"do_sample": False, "max_new_tokens": 6, "min_new_tokens": 6}
        told = {"output_logits": True, "return_dict_in_generate": True}
        model.eval()
        with torch.no_grad(), backbone.autocast():
            output = model.generate(input_ids=ids, attention_mask=mask, **greedy, **told)
        return output.sequences, torch.stack(output.logits, dim=1).float()

    return written
