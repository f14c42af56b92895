"""Show a few examples of a split as the model sees them: `python -m caref.data esnli --source demo --split 0`."""

import argparse
import os
import shutil
import string
import sys
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from caref.data import prompts, releases, sampling, splits
from caref.data.examples import Example
from caref.data.splits import Protocol
from caref.errors import UserError, reported

_CONF = Path(__file__).parents[2] / "conf" / "dataset"
_LABEL_WIDTH = 13  # of the column that says what a line is


@reported()
def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and print."""
    parser = argparse.ArgumentParser(
        prog="python -m caref.data", description="Show a few examples of a split as the model sees them."
    )
    parser.add_argument("dataset", help=", ".join(releases.names()))
    parser.add_argument("--source", default="auto", help="auto, files, hub or demo (default: auto)")
    parser.add_argument("--root", help="folder of the releases (default: $CAREF_DATA, else data)")
    parser.add_argument("--split", default="0", help="which of the 60 splits (default: 0)")
    parser.add_argument(
        "--sampling",
        choices=("feb", "balanced"),
        help="FEB's samples or balanced ones (default: feb, where it has any)",
    )
    parser.add_argument(
        "--target",
        choices=("answer_and_explanation", "answer"),
        help="what the model is to write (default: answer_and_explanation, where there is one)",
    )
    parser.add_argument("--train-split", default="train", help="train, validation or test (default: train)")
    parser.add_argument("--eval-split", help="likewise (default: as conf/dataset has it, mostly validation)")
    parser.add_argument("--train-size", type=int, default=48, help="training examples (default: 48)")
    parser.add_argument("--eval-size", type=int, default=350, help="evaluated examples (default: 350)")
    parser.add_argument("--number", type=int, default=3, help="how many examples to show (default: 3)")
    options = parser.parse_args(arguments)
    show(options)


def show(options: argparse.Namespace) -> None:
    """Print where the examples come from, how many there are, and the first of the split.

    Raises:
        UserError: the split or the data cannot be had.
    """
    indices = splits.parse(options.split)
    if len(indices) != 1:
        raise UserError(f"--split {options.split}: name one split, 0 to {len(splits.SEEDS) - 1}")
    for option, least in (("train_size", 1), ("eval_size", 1), ("number", 0)):
        if getattr(options, option) < least:
            raise UserError(f"--{option.replace('_', '-')} {getattr(options, option)}: must be at least {least}")
    root = options.root
    if root is None and options.source in ("auto", "files"):
        root = os.environ.get("CAREF_DATA", "data")
    explained = releases.explained(options.dataset)
    options.sampling = options.sampling or ("feb" if explained else "balanced")
    options.eval_split = options.eval_split or _configured(options.dataset).get("eval_split", "validation")
    options.target = options.target or ("answer_and_explanation" if explained else "answer")
    keys = ("sampling", "target", "train_split", "eval_split", "train_size", "eval_size")
    dataset = {"name": options.dataset} | {key: getattr(options, key) for key in keys}
    pool = sampling.pool(dataset, options.source, root)
    split = pool.split(indices[0])

    print(f"{options.dataset} · split {split.index} (seed {split.seed}) · source {pool.source}\n")
    _print_line("samples", _standing(split.protocol))
    _print_side("train on", pool.rows["train"], split.train)
    _print_side("evaluate on", pool.rows["evaluation"], split.evaluation)
    for number, example in enumerate(split.train[: options.number], 1):
        print(f"\n─── training example {number} of {len(split.train)} · {example.id}")
        _print_example(options.dataset, example, options.target == "answer")


def _configured(dataset: str) -> Mapping:
    """What conf/ says of a dataset, which a job has where its line says nothing else."""
    return yaml.safe_load((_CONF / f"{dataset}.yaml").read_text())


def _standing(protocol: Protocol) -> str:
    if protocol.own:
        return "FEB's own"
    replaced = [
        f"{count} drawn row{'s' if count > 1 else ''} of {side} replaced, {reason}"
        for side, counts in protocol.replaced.items()
        for reason, count in counts.items()
    ]
    return f"not FEB's own: {'; '.join([*protocol.reasons, *replaced])}"


def _print_side(role: str, rows: Mapping, chosen: Sequence[Example]) -> None:
    one_for_all = len({example.choices for example in chosen}) == 1
    counts = Counter(example.label for example in chosen)
    names = chosen[0].choices if one_for_all else [f"({letter})" for letter in string.ascii_uppercase]
    balance = ", ".join(f"{counts[label]} {names[label]}" for label in sorted(counts))
    dropped = ", ".join(f"{count:,} {reason}" for reason, count in rows["dropped"].items())
    usable = rows["rows"] - sum(rows["dropped"].values())
    read = f"{usable:,} usable, " + (f"dropped: {dropped}" if dropped else "none dropped")
    _print_line(role, f"{len(chosen)} of {rows['split']}: {balance}; {read}")


def _print_example(dataset: str, example: Example, answer_only: bool) -> None:
    text = prompts.text(dataset, example, answer_only)
    _print_line("source", _marked(text.source, prompts.rationale(dataset, example)))
    _print_line("target", text.target)
    for explanation in () if answer_only else example.explanations[1:]:
        _print_line("also gold", explanation.lower())
    if not example.rationale:
        _print_line("rationale", "nobody marked words of this one")


def _marked(source: str, rationale: Sequence[tuple[int, int]]) -> str:
    """The source with its rationale between brackets, in bold where that can be shown."""
    start, end = ("\x1b[1m[", "]\x1b[0m") if sys.stdout.isatty() else ("[", "]")
    marked, reached = "", 0
    for first, last in rationale:
        if first >= reached:  # marks of two people may overlap
            marked += source[reached:first] + start + source[first:last] + end
            reached = last
    return marked + source[reached:]


def _print_line(label: str, text: str) -> None:
    width = max(shutil.get_terminal_size((100, 24)).columns, 40)
    indent = " " * _LABEL_WIDTH
    body = textwrap.fill(text, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
    print(f"{label:<{_LABEL_WIDTH}}{body[_LABEL_WIDTH:]}")


if __name__ == "__main__":
    main()
