"""Logits where there are labels alone: losses and gradients of the whole, whatever a family does around its head."""

import pytest
import torch
from families import DECODER, GEMMA, LLAMA_LIKE, SHAPES
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from caref import training
from caref.config.schema import Model
from caref.data.batches import Encoded, collate
from caref.evaluation.generate import side_by_side
from caref.evidence.choices import Asked, by_token
from caref.models import backbones, heads
from caref.models.packed import packed_part
from caref.objectives import objective
from caref.objectives.definition import Definition, Term

OBJECTIVE = objective.build({"term": "sced", "alpha": 2.0, "beta": 1.0, "lambda_sced": 0.1, "lambda_kl": 0.1})
EXAMPLES = [
    Encoded((5, 9, 17, 33, 65, 129, 20), (40, 41, 42, 1), 1),
    Encoded((7, 8, 9), (50, 51, 52, 53, 54, 55, 1), 2),
    Encoded((30, 31, 32, 33), (60, 61, 1), 1),
]
FAMILIES = SHAPES | {
    "gemma2": GEMMA | {"final_logit_softcapping": 0.5},
    "cohere": DECODER | LLAMA_LIKE | {"logit_scale": 3.0},
    "granite": DECODER | LLAMA_LIKE | {"logits_scaling": 0.2},
    "t5": SHAPES["mt5"] | {"tie_word_embeddings": True, "scale_decoder_outputs": True},
    "bart": SHAPES["mbart"] | {"decoder_start_token_id": 2},
}


def loaded(family: str, dtype: torch.dtype = torch.float32) -> backbones.Backbone:
    return backbones.load(
        Model(name=family, tokenizer="byte", config={"model_type": family} | FAMILIES[family]), dtype=dtype
    )


def loss_and_gradients(backbone, labelled_alone: bool):
    model = backbone.model
    batch = collate(EXAMPLES, backbone)
    labelled = batch.labelled if labelled_alone else None
    with backbone.autocast():
        if labelled_alone:
            with heads.given(model, heads.at(labelled, batch.labels.shape)):
                output = model(**batch.inputs, use_cache=False)
            assert output.logits.numel() == len(labelled) * output.logits.shape[-1]
        else:
            output = model(**batch.inputs, use_cache=False)
    terms = OBJECTIVE(output, batch.labels, labelled=labelled)
    model.zero_grad()
    terms.loss.backward()
    return terms, {name: one.grad.clone() for name, one in model.named_parameters() if one.grad is not None}


OTHERWISE = ("fsmt", "prophetnet")  # one has no layer for a head, the other predicts several words at a place


@pytest.mark.parametrize("family", [family for family in FAMILIES if family not in OTHERWISE])
def test_losses_and_gradients_are_those_of_all_logits(family):
    backbone = loaded(family)
    for parameter in backbone.model.parameters():
        parameter.requires_grad_(True)
    batch = collate(EXAMPLES, backbone)
    with torch.no_grad():
        assert heads.chooses(
            backbone.model, lambda: backbone.model(**batch.inputs, use_cache=False).logits, batch.labelled
        )
    whole, gradients = loss_and_gradients(backbone, labelled_alone=False)
    alone, others = loss_and_gradients(backbone, labelled_alone=True)
    torch.testing.assert_close(alone.loss, whole.loss, rtol=1e-6, atol=1e-6)
    for name, value in whole.named.items():
        torch.testing.assert_close(alone.named[name], value, rtol=1e-6, atol=1e-6)
    assert gradients.keys() == others.keys()
    largest = max(gradient.abs().max() for gradient in gradients.values())
    for name, gradient in gradients.items():
        torch.testing.assert_close(others[name], gradient, rtol=1e-4, atol=1e-5 * float(largest), msg=name)


@pytest.mark.parametrize("family", OTHERWISE)
def test_a_family_of_other_heads_is_found(family):
    backbone = loaded(family)
    batch = collate(EXAMPLES, backbone)
    with torch.no_grad():
        assert not heads.chooses(
            backbone.model, lambda: backbone.model(**batch.inputs, use_cache=False).logits, batch.labelled
        )


@pytest.mark.parametrize("family", ("t5", "gemma2", "cohere"))
def test_in_bfloat16_it_is_seen_that_they_agree(family):
    backbone = loaded(family, torch.bfloat16)
    batch = collate(EXAMPLES, backbone)
    with torch.no_grad(), backbone.autocast():
        assert heads.chooses(
            backbone.model, lambda: backbone.model(**batch.inputs, use_cache=False).logits, batch.labelled
        )


class Gini(Definition):
    """Cross-entropy of a definition that says nothing of positions."""

    def terms(self, predicted):
        return {"ce": Term(predicted.per_token().ce, 1.0, supervised=True)}


class Odd(nn.Module):
    """A model whose logits are not its head's alone."""

    def __init__(self, after, head=None):
        super().__init__()
        self.words, self.head, self.after = nn.Embedding(40, 8), head or nn.Linear(8, 40), after

    def get_output_embeddings(self):
        return self.head

    def forward(self, ids):
        return self.after(self.head(self.words(ids)))


@pytest.mark.parametrize(
    "after",
    (
        lambda logits: logits - logits.mean((0, 1), keepdim=True),  # all positions in each
        lambda logits: logits.transpose(0, 1),
        lambda logits: torch.cat([logits, logits], dim=1),
        lambda logits: logits + torch.arange(logits.shape[1]).unsqueeze(-1),  # by position
    ),
)
def test_a_model_whose_logits_would_differ_is_found(after):
    ids = torch.arange(12).view(2, 6)
    model = Odd(after)
    with torch.no_grad():
        assert not heads.chooses(model, lambda: model(ids), torch.tensor([1, 3, 8]))
    assert not model.head._forward_pre_hooks


@pytest.mark.parametrize("model", ("tiny_t5", "tiny_llama"))
def test_a_training_computes_logits_where_labels_are_and_no_others(model, backbone, composed):
    backbone, job = backbone(model), composed(f"model={model}", "peft=aq", "train.epochs=2", "train.batch_size=2")
    rows: list[int] = []
    for term in ("sced", "gini"):  # what a definition does not say it can do is not asked of it
        definition = OBJECTIVE.definition if term == "sced" else Gini()
        with packed_part(backbone, job.peft, [1, 2], total_steps=4) as part:
            hook = backbone.model.get_output_embeddings().register_forward_hook(
                lambda *given: rows.append(given[-1].shape[:-1].numel())
            )
            training.fit(part, backbone, objective.Objective(definition), [EXAMPLES[:2]] * 2, job.train, [1, 2])
            hook.remove()
    labelled, places = 2 * (4 + 7), 4 * collate(EXAMPLES[:2], backbone).labels.shape[1]
    assert rows == [places, labelled, labelled, labelled, places, places]


@pytest.mark.parametrize("family", [family for family in FAMILIES if family not in OTHERWISE])
def test_precise_logits_are_float32s_of_the_same_hidden_states(family):
    backbone = loaded(family, torch.bfloat16)
    head, seen = backbone.model.get_output_embeddings(), {}
    keep = lambda module, args, output: seen.update(hidden=args[0], logits=output)  # noqa: E731
    inputs = collate(EXAMPLES, backbone).inputs
    with torch.no_grad(), backbone.autocast():
        rough = backbone.model(**inputs, use_cache=False).logits
        with heads.precise(backbone.model), head.register_forward_hook(keep):
            logits = backbone.model(**inputs, use_cache=False).logits
    bias = 0 if getattr(head, "bias", None) is None else head.bias.double()
    exact = seen["hidden"].double() @ head.weight.double().T + bias
    assert logits.dtype is torch.float32 and seen["logits"].dtype is torch.float32
    torch.testing.assert_close(seen["logits"].double(), exact, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(logits, rough.float(), rtol=3e-2, atol=3e-2 * float(rough.abs().max()))


def test_a_classifiers_logits_are_float32s_too(composed):
    backbone = backbones.load(composed("model=tiny_classifier").model, dtype=torch.bfloat16, classes=3)
    head, seen = backbone.model.classifier, {}
    with torch.no_grad():
        head.weight.mul_(1000)  # logits of some tens, as trained ones may be
    inputs = {"input_ids": torch.arange(5, 29).view(2, 12)}
    with torch.no_grad(), backbone.autocast(), heads.precise(backbone.model):
        hook = head.register_forward_pre_hook(lambda module, args: seen.update(hidden=args[0]))
        logits = backbone.model(**inputs).logits.squeeze(1)
        hook.remove()
    exact = seen["hidden"].double() @ head.weight.double().T + head.bias.double()
    assert logits.dtype is torch.float32 and float(logits.abs().max()) > 8
    torch.testing.assert_close(logits.double(), exact, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", (torch.float32, torch.float64))
def test_precise_logits_of_precise_models_are_the_same_bits(dtype):
    backbone = loaded("t5", dtype)
    inputs = collate(EXAMPLES, backbone).inputs
    with torch.no_grad():
        plain = backbone.model(**inputs).logits
        with heads.precise(backbone.model):
            assert torch.equal(backbone.model(**inputs).logits, plain)


class Copies(TorchDispatchMode):
    """How often something of the head's shape becomes float32."""

    def __init__(self, shape):
        super().__init__()
        self.shape, self.count = shape, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        if func.overloadpacket in (torch.ops.aten._to_copy, torch.ops.aten.to):  # the second in inference mode
            self.count += made.shape == self.shape and (args[0].dtype, made.dtype) == (torch.bfloat16, torch.float32)
        return made


@pytest.mark.parametrize("family", ("mt5", "mixtral"))
def test_a_head_is_copied_once_for_all_batches_of_a_pass(family):
    backbone = loaded(family, torch.bfloat16)
    splits = [EXAMPLES]
    questions = [[Asked(one.prompt, ((40, 1), (41, 1))) for one in EXAMPLES]]
    for read in (
        lambda size: side_by_side(backbone.model, backbone, splits, size, max_new_tokens=3),
        lambda size: by_token(backbone.model, backbone, questions, size),
    ):
        with Copies(backbone.model.get_output_embeddings().weight.shape) as copies:
            read(1)
        assert copies.count == 1


@pytest.mark.parametrize("family", ("mt5", "mixtral"))
def test_what_a_head_is_given_is_laid_out_as_a_whole(family):
    """Of a slice, as `logits_to_keep` leaves one, PyTorch's product in bfloat16 takes a hundred times as long."""
    backbone = loaded(family, torch.bfloat16)
    given = []
    backbone.model.get_output_embeddings().register_forward_hook(lambda module, args, output: given.append(args[0]))
    by_token(backbone.model, backbone, [[Asked(one.prompt, ((40, 1), (41, 1))) for one in EXAMPLES]], 3)
    side_by_side(backbone.model, backbone, [EXAMPLES], 3, max_new_tokens=3)
    assert len(given) >= 4
    assert all(hidden.is_contiguous() for hidden in given)


@pytest.mark.parametrize("splits", (1, 2))
def test_of_two_tokens_nearly_as_likely_the_likelier_is_written_in_bfloat16_too(composed, splits):
    job = composed("model=tiny_llama", "peft=base", "++model.config.tie_word_embeddings=false")
    backbone = backbones.load(job.model, dtype=torch.bfloat16)
    asked = Encoded(tuple(backbone.tokenizer("a question", add_special_tokens=False).input_ids), (), 0)
    few, more = (backbone.tokenizer(letter, add_special_tokens=False).input_ids[0] for letter in "ab")
    with packed_part(backbone, job.peft, list(range(splits)), total_steps=1) as part:
        head, seen = part.model.get_output_embeddings(), {}
        prompts = torch.tensor([asked.prompt] * splits)
        with torch.no_grad():
            with backbone.autocast(), head.register_forward_pre_hook(lambda module, args: seen.update(hidden=args[0])):
                part.model(input_ids=prompts)
            h = seen["hidden"][0, -1].float()
            (weight,) = head.parameters()
            weight.zero_()
            weight[..., few, :] = 40 * h / (h @ h)
            weight[..., more, :] = 40.02 * h / (h @ h)
            with backbone.autocast():
                rough = part.model(input_ids=prompts).logits[:, -1]
        assert torch.equal(rough[:, few], rough[:, more])  # bfloat16 cannot tell them apart
        texts = side_by_side(part.model, backbone, [[asked]] * splits, 1, max_new_tokens=1)
        (found, *_) = by_token(part.model, backbone, [[Asked(asked.prompt, ((few, 1), (more, 1)))]] * splits, 1)
    assert texts == [["b"]] * splits
    ((of_few, _), (of_more, _)) = found[0]
    assert of_more - of_few == pytest.approx(0.02, abs=0.005)
