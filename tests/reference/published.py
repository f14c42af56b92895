"""What the authors of SparseFit published of their models: generations, gold answers and explanations, verdicts."""

from dataclasses import dataclass
from pathlib import Path

from caref.data.examples import Example

# In a folder's files, what parts several gold explanations; ECQA has one.
_GOLDS = {"ecqa_generations": ("ecqa", None), "sensemaking_full_generations": ("comve", "[SEP]")}


@dataclass(frozen=True)
class Published:
    """One evaluated example; `generation` is put back from the two parts that FEB's code wrote down."""

    dataset: str
    example: Example
    generation: str
    broken: bool
    considered_correct: bool


def published(data_root: Path) -> list[Published]:
    """Every generation with a verdict; the last of one file is cut off and has none."""
    root = data_root / "published" / "sparsefit" / "generations"
    return [
        found
        for folder, (dataset, parting) in _GOLDS.items()
        for file in sorted((root / folder).iterdir())
        for block in file.read_text(encoding="utf-8").split("\n\n")
        if (found := _published(block, dataset, parting))
    ]


def _published(block: str, dataset: str, parting: str | None) -> Published | None:
    lines = block.split("\n")
    if len(lines) != 4:
        return None
    predicted, asked, correct, considered = lines
    answer, bar, explanation = predicted.removeprefix("Predicted: ").partition(" | ")
    gold, _, golds = correct.removeprefix("Correct: ").partition(" | ")
    fields = {"question": asked}
    if dataset == "comve":
        first, _, second = asked.removeprefix("choice1: ").partition(" choice2: ")
        fields = {"sent0": first, "sent1": second}
    example = Example(asked, fields, (gold, "another"), 0, tuple(golds.split(parting) if parting else [golds]))
    generation = f"{answer} because {explanation}" if bar else answer
    return Published(dataset, example, generation, not bar, considered == "Considered Correct: True")
