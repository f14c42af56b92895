"""README and --help name every choice of conf/ and no other."""

import re
from pathlib import Path

import pytest
import yaml

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


@pytest.mark.parametrize(("key", "package"), [("measures", "measures"), ("attributions", "attribution")])
def test_everything_that_evidence_may_ask_is_told_and_what_full_asks(key, package):
    (row,) = re.findall(rf"^\| `evidence.{key}` \| (.*) \|$", README, re.M)
    of_full, by_name = (re.findall(r"`(\w+)`", part) for part in row.split("full"))
    files = {path.stem for path in (ROOT / "caref" / "evidence" / package).glob("[!_]*.py")}
    assert {*of_full, *by_name} == files and len(of_full) + len(by_name) == len(files)
    assert of_full == yaml.safe_load((ROOT / "conf" / "evidence" / "full.yaml").read_text("utf-8"))[key]
    told = re.search(rf"^  evidence\.{key} +(.*(?:\n {{25}}.*)*)", HELP, re.M)[1]
    assert re.findall(r"\w+", re.sub(r"\(.*?\)", "", told)) == of_full + by_name


def test_no_python_file_is_longer_than_the_rules_say():
    most = int(re.search(r"No Python file over (\d+) lines", (ROOT / "ARCHITECTURE.md").read_text("utf-8"))[1])
    files = [path for part in ("caref", "tests", "benchmarks", "hydra_plugins") for path in (ROOT / part).rglob("*.py")]
    assert len(files) > 300
    assert [str(path) for path in files if len(path.read_text("utf-8").splitlines()) > most] == []


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
