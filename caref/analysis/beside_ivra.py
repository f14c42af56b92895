"""What the authors of IvRA print of ELECTRA (Xie et al. 2024, Tables 1 and 8), beside evidence of ELECTRA here.

The numbers are in ivra_paper.csv beside this file: means over 5 runs, shares of 1; "esnli" there is SNLI. SQuAD, whose
answers are spans, and the plausibility of film reviews, which are not among the datasets here, are left out.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

from caref.analysis.every_cell import titles
from caref.analysis.evidence_compared import Evidence, Held, Question
from caref.analysis.grid import Grid
from caref.analysis.labels import answers_only, attribution_label
from caref.results.evidence_names import Name

TITLE = "IvRA's own numbers beside ours"
NOTE = (
    "The paper's: ELECTRA (of which size it does not say) and its module trained together, on whole training sets, at "
    "the best iteration by what is reported. Ours: at the end of a training on a split's few examples, the module "
    'beside a model that it leaves alone unless the cell says "joint", by the readings of docs/ivra.md. A module of '
    "IvRA stands here where it was trained for the measured criterion alone, SMaT's where it was for simulatability, "
    "attributions that nobody trains where the model was trained by cross-entropy alone. Attention is that of the "
    "first token, which the head reads; whose it is in the paper is not said. Mean ± deviation (n splits)."
)
# By the measure, the score of an attribution that it is here, and the criterion that a module is trained for by.
SCORES = {"sim": "simulatability.*.sim", "comp": "erasure.*.comprehensiveness", "cons": "consistency.*.by_words"}


@dataclass(frozen=True)
class Beside:
    """One number of the paper's and the score of a cell that it stands beside.

    printed: in the score's unit.
    """

    question: Question
    held: Held
    name: Name
    printed: float


@cache
def _printed() -> dict[tuple[str, str, str, str], float]:
    with open(Path(__file__).with_name("ivra_paper.csv"), encoding="utf-8", newline="") as file:
        keys = ("measure", "dataset", "attribution", "norm")
        return {tuple(line[key] for key in keys): float(line["mean"]) for line in csv.DictReader(file)}


def beside(evidence: Evidence) -> list[Beside]:
    """Every score here that the paper prints a number of, question by question."""
    return [
        Beside(question, held, name, printed)
        for question in evidence.questions
        for held in question.held
        if _comparable(held)
        for name in held.names
        if (printed := _of(name, held.line.cell.config)) is not None
        and not (name.attribution == "ivra" and question.asked.get("module"))  # another cell's
    ]


def _comparable(held: Held) -> bool:
    """Whether it is of an ELECTRA that only answers, on data that is not made up."""
    config = held.line.cell.config
    model = PurePosixPath(str(config["model"].get("path"))).name.lower()
    return model.startswith("electra") and answers_only(config["dataset"]) and not held.line.demo


def _of(name: Name, config: Mapping) -> float | None:
    """The paper's number of a cell's score; None where it prints none."""
    measure = next((one for one, key in SCORES.items() if key == name.key), None)
    method, norm, reg = name.attribution, "", config["reg"]
    if method == "ivra":
        method, norm = reg["term"], reg.get("norm", "") if reg["term"] == "ivra" else ""
        criteria = ["sim" if method == "smat" else measure]
        own = reg.get("selection", "all") == "all" and reg.get("reading", "mixture") == "mixture"
        if reg.get("criteria") != criteria or not own or reg["lambda_sced"] or reg["lambda_kl"]:
            return None
    elif reg["term"] != "cross_entropy":
        return None
    found = _printed().get((str(measure), config["dataset"]["name"], method, norm))
    return found if found is None or name.score.unit != "%" else 100 * found


def grid(evidence: Evidence, only_demo: bool) -> Grid | None:
    """A line each; None where there is none."""
    found = beside(evidence)
    called = titles((one.held.line for one in found), only_demo)
    body = [
        [title, attribution_label(one.name.attribution), one.name.score.head, one.question.mark, *_figures(one)]
        for one, title in zip(found, called, strict=True)
    ]
    return Grid(TITLE, NOTE, ["", "of", "", "question", "ours", "paper"], body, 4) if body else None


def _figures(one: Beside) -> list[str]:
    score, ours = one.name.score, one.held.summary(one.name.raw)
    told = f"{score.text(ours.mean)} ± {score.text(ours.std)} ({ours.n})" if ours else "– (0)"
    return [told, score.text(one.printed)]
