"""The rules that ARCHITECTURE.md states of the code: which way imports run, and what stays others' own."""

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in ROOT.glob("caref/**/*.py")}


def floors() -> list[set[str]]:
    """The rooms of each floor, from the top, as ARCHITECTURE.md lists them."""
    listed = (ROOT / "ARCHITECTURE.md").read_text("utf-8").split("\n\n")[2]
    without_remarks = re.sub(r"\([^)]*\)", "", listed)
    return [
        {name.removesuffix(".py") for name in re.findall(r"(\w+)(?:/|\.py)(?=\s|$)", line.replace("caref/", " "))}
        for line in without_remarks.splitlines()[1:]
    ]


FLOOR = {room: place for place, rooms in enumerate(floors()) for room in rooms}


def imported(module: str) -> set[str]:
    """The modules of caref that a module imports, at its top or within a function."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}: imports are absolute"
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name for name in inside if _file(name)} or {node.module}
    return {file for name in found if (file := _file(name))}


def _file(name: str) -> str | None:
    return next((module for module in (name, f"{name}.__init__") if module in MODULES), None)


def room(module: str) -> str:
    return module.split(".")[1]


def test_every_room_is_on_the_page():
    assert {room(module) for module in MODULES} - {"__init__"} <= set(FLOOR)


@pytest.mark.parametrize("module", sorted(MODULES.keys() - {"caref.__init__"}))
def test_imports_run_downward(module):
    upward = [
        other
        for other in imported(module)
        if room(other) != room(module) and not FLOOR[room(other)] > FLOOR[room(module)]
    ]
    assert not upward, f"{module} imports {', '.join(upward)}"


def test_no_circle_of_imports():
    TopologicalSorter({module: imported(module) for module in MODULES}).prepare()


def test_no_function_of_transformers_is_replaced():
    """Neither by setting an attribute of one of its modules or classes, nor by registering another attention."""
    for module, path in MODULES.items():
        tree = ast.parse(path.read_text("utf-8"))
        theirs = {
            alias.asname or alias.name.partition(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
            if (getattr(node, "module", None) or alias.name).partition(".")[0] in ("transformers", "peft", "torch")
        }
        for node in ast.walk(tree):
            targets = node.targets if isinstance(node, ast.Assign) else []
            for target in targets:
                base = target
                while isinstance(base, ast.Attribute):
                    base = base.value
                replaces = isinstance(target, ast.Attribute) and isinstance(base, ast.Name) and base.id in theirs
                assert not replaces, f"{module}, line {node.lineno}: {ast.unparse(node)}"
        assert not re.search(r"AttentionInterface|AttentionMaskInterface|ALL_ATTENTION_FUNCTIONS", path.read_text())


def test_composing_validating_and_listing_kinds_load_no_torch():
    code = """
import sys
from caref import composition
from caref.config import signature, validation
composition.register(); composition.groups()
heavy = {"torch", "transformers", "peft", "scipy", "numpy"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_the_loss_alone_needs_torch_and_nothing_of_a_jobs_configuration():
    code = """
import sys
for name in ("hydra", "omegaconf", "transformers", "peft", "scipy", "entmax"):
    sys.modules[name] = None
import torch
from caref import CarefLoss
CarefLoss()(torch.randn(2, 5), torch.tensor([1, 2])).loss
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
