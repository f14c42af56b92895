"""What evidence costs: attributions a second beside inseq and captum, and what it adds to the time of a split.

    python benchmarks/evidence.py [--part attributions | split] [--examples 16] [--eval-size 350] [--epochs 2]

Attributions: Flan-T5-small's shape on real e-SNLI ($CAREF_DATA), the same model, texts and threads for all. inseq is
given the texts one at a time and `--batch` at a time, and the faster counts; captum, which knows no texts, a plain
function of one text's embeddings. All explain the first token of the right choice, and `whole choice` all its tokens,
each of which inseq attributes by itself. The words' scores of the run that is timed have to agree, or it fails.

Split: one of FEB's size is trained `--epochs` epochs, told for the paper's 50, and writes; then it is asked for
evidence=quick and evidence=full as they stand. SmolLM2-135M, as it runs where nothing is said of precision, for quick
alone. Limits: 10x inseq; quick a quarter of the split's time, full twice its training and generation.

Times are of the processor, not the clock: with one thread, what else runs has little part in them.
"""

import argparse
import os
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from figures import Figure, told
from omegaconf import DictConfig
from workloads import SMOLLM2, T5_SMALL, Workload

from caref.data.prompts import SEPARATOR
from caref.evidence.attribution import input_x_gradient, saliency
from caref.evidence.choices import Asked
from caref.evidence.reading import Question, Reading, question, summed_by_word
from caref.models.backbones import Backbone
from caref.running import jobs, trials
from caref.running.workbench import Workbench

PAPER = 50  # epochs
OURS = {"saliency": saliency, "input x gradient": input_x_gradient}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("attributions", "split"), help="one of them only")
    parser.add_argument("--examples", type=int, default=16)
    parser.add_argument("--batch", type=int, default=8, help="texts that inseq is given at a time, beside one")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--eval-size", type=int, default=350)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    sizes = (
        f"train.epochs={asked.epochs}",
        f"dataset.eval_size={asked.eval_size}",
        "evaluation.max_new_tokens=32",
        "dry_run=true",
    )
    print(f"{asked.threads} threads; PyTorch {torch.__version__}; seconds of the processor")
    figures = []
    if asked.part != "split":
        figures += attributions(asked, T5_SMALL.job(*sizes))
    if asked.part != "attributions":
        figures += split(T5_SMALL, ("quick", "full"), asked.epochs, sizes)
        figures += split(SMOLLM2, ("quick",), asked.epochs, (*sizes, "train.precision=auto"))
    told(figures)


def spent(work: Callable, *arguments) -> tuple[float, object]:
    """Seconds of the processor that something takes, and what it comes to."""
    began = time.process_time()
    found = work(*arguments)
    return time.process_time() - began, found


def attributions(asked: argparse.Namespace, job: DictConfig) -> list[Figure]:
    bench = Workbench(job, saved=Path(os.devnull))
    backbone = bench.backbone
    backbone.model.eval().requires_grad_(False)  # as inseq has it too
    examples = jobs.plan(job).sampler(0).evaluation[: asked.examples]
    whole = [question(job.dataset.name, example, backbone) for example in examples]
    first = [
        replace(one, asked=Asked(one.asked.prompt, tuple(own[:1] for own in one.asked.continuations))) for one in whole
    ]
    return [
        *beside(asked, backbone, "saliency", first, True),
        *beside(asked, backbone, "input x gradient", first, True),
        *beside(asked, backbone, "input x gradient", whole, False),
    ]


def beside(asked: argparse.Namespace, backbone: Backbone, what: str, questions: list, first: bool) -> list[Figure]:
    """An attribution of the right choices, or of their first tokens, and what the libraries make of the same.

    Raises:
        AssertionError: their words' scores are not ours.
    """
    labels = [one.example.label for one in questions]

    def by_us(some: Sequence[Question]) -> list[np.ndarray]:
        reading = Reading(backbone.model, backbone, [some])
        return OURS[what].attribute(reading, [labels[: len(some)]])[0]

    by_us(questions[:2])  # libraries are loaded
    seconds, ours = spent(by_us, questions)
    others = {
        f"inseq, {size} at a time": spent(by_inseq, backbone, what, questions, first, size) for size in (1, asked.batch)
    }
    fastest = min(others, key=lambda name: others[name][0])
    if first:
        others["captum, 1 at a time"] = spent(by_captum, backbone, what, questions)
    for name, (_, theirs) in others.items():
        for own, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(own, other, rtol=1e-3, atol=1e-5, err_msg=f"{what}: {name}")
    rate = f"{what}, {'first token' if first else 'whole choice'}: {len(questions) / seconds:.1f} a second"
    return [
        Figure(
            what=rate,
            seconds=seconds,
            baseline=f"{name}: {len(questions) / taken:.2f} a second",
            faster=taken / seconds,
            least=10 if name == fastest else None,
        )
        for name, (taken, _) in others.items()
    ]


def by_inseq(backbone: Backbone, what: str, questions: Sequence[Question], first: bool, size: int) -> list[np.ndarray]:
    """(words,) of each question by inseq's gradients of the probability, over it: those of its logarithm."""
    import inseq

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = inseq.load_model(backbone.model, what.replace(" ", "_"), tokenizer=backbone.tokenizer)
        sources = [backbone.tokenizer.decode(one.asked.prompt) for one in questions]
        targets = [one.example.answer + " because" for one in questions]
        outputs = model.attribute(
            sources,
            targets,
            step_scores=["probability"],
            attr_pos_end=2 if first else None,
            batch_size=size,
            show_progress=False,
        )
    found = []
    for one, output in zip(questions, outputs, strict=True):
        count, tokens = len(one.asked.prompt), len(one.asked.continuations[one.example.label])
        slopes = output.source_attributions[:count, :tokens] / output.step_scores["probability"][:tokens, None]
        of_tokens = slopes.norm(dim=-1) if what == "saliency" else slopes.sum(-1)
        found.append(summed_by_word(one, of_tokens.sum(1).numpy()))
    return found


def by_captum(backbone: Backbone, what: str, questions: Sequence[Question]) -> list[np.ndarray]:
    """(words,) of each question by captum, of the log-probability of the choice's first token."""
    import captum.attr

    method = {"saliency": captum.attr.Saliency, "input x gradient": captum.attr.InputXGradient}[what]
    model, found = backbone.model, []
    start = torch.tensor([[model.config.decoder_start_token_id]])
    for one in questions:
        (token,) = one.asked.continuations[one.example.label]

        def log_p(embeddings, token=token):
            return model(inputs_embeds=embeddings, decoder_input_ids=start).logits[:, -1].log_softmax(-1)[:, token]

        embeddings = model.get_input_embeddings()(torch.tensor([one.asked.prompt])).detach().requires_grad_()
        slopes = method(log_p).attribute(embeddings)[0].detach()
        found.append(summed_by_word(one, (slopes.norm(dim=-1) if what == "saliency" else slopes.sum(-1)).numpy()))
    return found


def split(workload: Workload, names: Sequence[str], epochs: int, sizes: Sequence[str]) -> list[Figure]:
    from caref import training
    from caref.evaluation.generate import side_by_side
    from caref.evaluation.scores import score
    from caref.models.packed import packed_part

    job = workload.job(*sizes)
    drawn = jobs.plan(job).sampler(0)
    bench = Workbench(job, saved=Path(os.devnull))
    trials.set_up(bench)
    trials.rehearse(bench, drawn)  # what is to be compiled is
    train, evaluation = [bench.tokens(drawn.train)], [bench.tokens(drawn.evaluation)]
    steps = training.steps(len(drawn.train), job.train.batch_size, job.train.epochs)
    rows, tokens = job.evaluation.batch_size, job.evaluation.max_new_tokens
    # Random weights write nothing that could be asked about: evidence is asked of the gold texts.
    gold = [one.answer + SEPARATOR + one.explanations[0] for one in drawn.evaluation]
    with packed_part(bench.backbone, job.peft, [drawn.seed], steps) as part:
        settings = bench.objective, train, job.train, [drawn.seed]
        trained, _ = spent(training.fit, part, bench.backbone, *settings)
        trained *= PAPER / epochs
        wrote, (texts,) = spent(side_by_side, part.model, bench.backbone, evaluation, rows, tokens)
        scored, _ = spent(score, job.dataset.name, drawn.evaluation, texts, bench.scorer)
        print(f"{workload.told}: a split: training {trained:.0f} s ({PAPER} epochs, told from {epochs}), ", end="")
        print(f"generating {wrote:.0f} s, scoring {scored:.0f} s", flush=True)
        taken = {}
        for name in names:
            bench.job = workload.job(*sizes, f"evidence={name}")
            taken[name], _ = spent(bench.evidence, part, [drawn], [gold], rows)
            print(f"evidence={name} {taken[name]:.0f} s", flush=True)
    bounds = {"quick": (trained + wrote + scored, 4), "full": (trained + wrote, 0.5)}
    return [
        Figure(
            what=f"evidence={name}, added to a split, {workload.model}",
            seconds=taken[name],
            baseline=f"{'the split' if name == 'quick' else 'its training and generation'}: {base:.0f} s",
            faster=base / taken[name],
            least=least,
        )
        for name, (base, least) in bounds.items()
        if name in names
    ]


if __name__ == "__main__":
    main()
