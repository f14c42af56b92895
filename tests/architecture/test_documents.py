"""README and --help name every choice of conf/ and no other."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GROUPS = ("model", "peft", "dataset", "reg", "source", "bertscore", "evidence", "tracker")
HELP = (ROOT / "conf" / "hydra" / "help" / "caref.yaml").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")


def choices(group: str) -> set[str]:
    return {path.stem for path in (ROOT / "conf" / group).glob("*.yaml")}


@pytest.mark.parametrize("group", GROUPS)
def test_every_choice_is_told(group):
    (row,) = re.findall(rf"^\| `{group}` \| (.*) \|$", README, re.M)
    named = set(re.findall(r"`([\w.]+)`", row))
    assert choices(group) <= named
    assert {name for name in named if "." not in name or name in choices(group)} == choices(group)
    told = re.search(rf"^  {group} +(.*(?:\n {{12,}}.*)*)", HELP, re.M)[1]
    assert choices(group) <= set(re.findall(r"[\w.]+", told))


@pytest.mark.parametrize("folder", ("experiments", "sweeps"))
def test_every_experiment_and_sweep_is_in_the_help(folder):
    files = {path.stem for path in (ROOT / folder).glob("*.yaml") if not path.stem.startswith("wandb")}
    told = re.search(rf"^  \+{folder} \(with -m\) +(.*(?:\n {{12,}}.*)*)", HELP, re.M)[1]
    assert files == set(re.findall(r"[\w.]+", told))


def test_every_path_that_the_documents_name_is_there():
    for document in ("README.md", "ARCHITECTURE.md"):
        named = re.findall(
            r"`((?:docs|tests|conf|caref|benchmarks|experiments|sweeps)/[\w./]*)`", (ROOT / document).read_text()
        )
        kinds = ("NAME", "METHOD", "TERM")
        missing = [path for path in named if not any(kind in path for kind in kinds) and not (ROOT / path).exists()]
        assert not missing, f"{document}: {missing}"
