"""Training for a criterion improves it on texts that were not trained on, over the module as it starts."""

import pytest
import torch

from caref import training
from caref.data.batches import encode
from caref.data.demo import generate
from caref.data.prompts import text
from caref.evidence.reading import askable
from caref.models import backbones
from caref.models.packed import packed_part
from caref.objectives import objective

SIZE = 24


@pytest.mark.long
@pytest.mark.parametrize("criterion", ("comp", "suff", "cons"))
def test_a_criterion_improves_on_held_out_texts(criterion, composed):
    """Of a random model that stands still: what it answers depends on some words and bytes more than on others."""
    job = composed("model=tiny_t5", "peft=lora_r4", "reg=ivra", f"reg.criteria=[{criterion}]", "train.epochs=20",
                   "train.batch_size=8", "train.lr=1e-9", "train.warmup_steps=5")  # fmt: skip
    backbone = backbones.load(job.model)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in backbone.model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    of = objective.build(job.reg)
    learnt, held_out = (
        [
            askable("comve", one, encode(text("comve", one), backbone.tokenizer, True), backbone.tokenizer)
            for one in generate("comve", side)[:SIZE]
        ]
        for side in ("train", "validation")
    )
    with packed_part(backbone, job.peft, [7004], 60, of) as part:

        @torch.no_grad()
        def loss() -> float:
            part.model.eval()
            return training.terms_of(part, backbone, of, held_out).named[criterion].item()

        before = loss()
        training.fit(part, backbone, of, [learnt], job.train, [7004])
        assert loss() < 0.99 * before
