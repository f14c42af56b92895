"""The floor of nBERT: what a right answer scores that explains nothing, and which cells stand on it.

By FEB's rule a missing explanation is compared as the text "unk", and BERTScore gives any text something. nBERT
over accuracy (similarity) shows it: it cannot fall below that floor for want of explanations.
"""

from collections.abc import Iterable

from caref.analysis import paper
from caref.analysis.every_cell import Line
from caref.analysis.summary import NEAR, on_floor

_UNEXPLAINED = "AdaLoRA"  # the row of the paper that does not explain
# nBERT over accuracy of SparseFit's published AdaLoRA runs, which hardly vary over their 60 seeds; roberta-large.
_OF_UNK = "0.813 on ECQA, 0.837 on ComVE, 0.833 on e-SNLI"


def marked(line: Line) -> bool:
    """`on_floor` of a cell."""
    return on_floor(line.summaries.get("similarity"), line.summaries.get("floor"))


def explained(lines: Iterable[Line]) -> list[str]:
    """What a reader of nBERT must know, in a few sentences each: the rule, the floor here, the paper's own row."""
    lines = list(lines)
    return [
        "A right answer without any explanation does not score 0. FEB's rule compares a missing explanation as the "
        'text "unk", and BERTScore gives any text something: that is the floor of nBERT. Similarity (nBERT over '
        "accuracy) is what explanations of right answers score; strict nBERT counts a missing one as 0; broken is "
        "the share of generations without one.",
        _here(lines),
        _papers(),
    ]


def _here(lines: list[Line]) -> str:
    floors: dict[str, dict[str, list[float]]] = {}
    for line in lines:
        if floor := line.summaries.get("floor"):
            scorer = line.cell.config["bertscore"]
            model = f"{str(scorer.get('model')).removeprefix('wheel:').split('/')[0]}, layer {scorer.get('layer')}"
            floors.setdefault(model, {}).setdefault(line.data, []).append(floor.mean)
    if not floors:
        why = "they were made before it was kept, or elsewhere, or by models that only answer"
        return f"No record here holds the floor: {why}."
    told = "; ".join(
        f"with {model}: " + ", ".join(f"{_span(values, 3)} on {name}" for name, values in sorted(of.items()))
        for model, of in sorted(floors.items())
    )
    on = sum(map(marked, lines))
    told_of = sum({"similarity", "floor"} <= line.summaries.keys() for line in lines)
    of = f"Of {told_of} cell{'s' * (told_of != 1)} {on or 'none'}"
    marks = f"{of} {'have' if on > 1 else 'has'} a similarity within {NEAR} of it"
    reading = ": as far as nBERT can tell, nothing is explained there" if on else ""
    return f'What "unk" scores against the gold explanations evaluated here, {told}. {marks}{reading}.'


def _papers() -> str:
    others = [
        paper.similarity(name, dataset)
        for name in {row.name for row in paper.rows()} - {_UNEXPLAINED}
        for dataset in paper.DATASETS
    ]
    row = ", ".join(f"{paper.similarity(_UNEXPLAINED, name):.3f} on {label}" for name, label in paper.DATASETS.items())
    return (
        f"{_UNEXPLAINED}'s row of the paper's Table 1 sits on that floor, but for ComVE: its nBERT over accuracy is "
        f'{row}, where the other rows have {_span(others, 2)}; "unk" by roberta-large is worth {_OF_UNK} '
        "(published runs of SparseFit's AdaLoRA, constant over 60 seeds). Its low nBERT says little of how it explains."
    )


def _span(values: Iterable[float], decimals: int) -> str:
    least, most = (f"{bound:.{decimals}f}" for bound in (min(values), max(values)))
    return least if least == most else f"{least} to {most}"
