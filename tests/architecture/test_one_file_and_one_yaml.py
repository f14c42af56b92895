"""What ARCHITECTURE.md says: a dataset, a regulariser, a peft choice is one file and one YAML, and then it runs."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

ROOT = Path(__file__).parents[2]
RUN = ("run.py", "caref", "conf", "experiments", "sweeps", "hydra_plugins")
SMALL = ("splits=0", "dataset.train_size=8", "dataset.eval_size=6", "train.epochs=1", "evaluation.max_new_tokens=4")

DATASET = '''
    """Weather: does a person need an umbrella, and why."""

    import json

    from caref.data.examples import Example
    from caref.data.releases import Layout

    SOURCE = "explain weather: {sky}"
    LOWERCASE = False


    def read_release(path):
        for number, line in enumerate(path.read_text("utf-8").splitlines()):
            row = json.loads(line)
            label = ("yes", "no").index(row["umbrella"])
            yield Example(str(number), {"sky": row["sky"]}, ("yes", "no"), label, (row["why"],))


    LAYOUTS = (Layout({"train": ("train.jsonl",), "validation": ("dev.jsonl",)}, read_release),)
    RELEASE = ()
    HUB = None
'''
REGULARISER = '''
    """Cross-entropy with Gini's concentration of the prediction."""

    from dataclasses import dataclass

    from caref.config.ranges import at_least
    from caref.objectives.definition import Definition, Predicted, Term


    @dataclass
    class Gini(Definition):
        """Cross-entropy + lambda_gini * sum_v P_v ** 2."""

        term: str = "gini"
        lambda_gini: float = 0.1

        def __post_init__(self):
            at_least(0, lambda_gini=self.lambda_gini)

        def terms(self, predicted: Predicted) -> dict[str, Term]:
            concentration = predicted.logits.float().softmax(-1).square().sum(-1)
            return {
                "ce": Term(predicted.per_token().ce, 1.0, supervised=True),
                "gini": Term(concentration, self.lambda_gini),
            }
'''
SPARSE = '''
    """The last norm alone."""

    from dataclasses import dataclass

    from caref.models import modules
    from caref.models.method import Sparse


    @dataclass
    class LastNorm(Sparse):
        """The weight of the last layer norm."""

        method: str = "last_norm"

        def parameters(self, model):
            return [f"{modules.norms(model)[-1]}.weight"]
'''
ADAPTER = '''
    """LoHa (Hyeon-Woo et al. 2022), by PEFT."""

    from dataclasses import dataclass

    from caref.config.ranges import at_least
    from caref.models import modules
    from caref.models.method import Adapter


    @dataclass
    class LoHa(Adapter):
        """A Hadamard product of two low-rank updates of every linear layer."""

        method: str = "loha"
        r: int = 2

        def __post_init__(self):
            at_least(1, r=self.r)

        def why_alone(self):
            return "the toy has not been tried side by side"

        def configuration(self, model, total_steps):
            from peft import LoHaConfig

            return LoHaConfig(task_type=modules.task(model), target_modules=modules.linears(model), r=self.r)
'''
# (the file, what is in it, its YAML, what is in that)
ADDED = {
    "dataset=weather": ("caref/data/weather.py", DATASET, "dataset", "name: weather"),
    "reg=gini": ("caref/objectives/terms/gini.py", REGULARISER, "gini", "name: Gini"),
    "peft=last_norm": ("caref/models/methods/last_norm.py", SPARSE, "last_norm", "name: last norm"),
    "peft=loha": ("caref/models/methods/loha.py", ADAPTER, "loha", "name: LoHa"),
}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of what run.py is made of, with every toy's two files added and nothing else touched."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in RUN:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, copy / name)
    for choice, (path, code, kind, content) in ADDED.items():
        group, _, name = choice.partition("=")
        (copy / path).write_text(dedent(code))
        schema = f"/schema/{group}@_here_: {kind}"
        (copy / "conf" / group / f"{name}.yaml").write_text(f"defaults:\n  - {schema}\n  - _self_\n\n{content}\n")
    for file, size in (("train.jsonl", 24), ("dev.jsonl", 16)):
        skies = (f"{'dark' if number % 2 else 'blue'} over {file[0]}{number}" for number in range(size))
        rows = ({"sky": sky, "umbrella": "yes" if "dark" in sky else "no", "why": f"it is {sky}"} for sky in skies)
        (copy / "data" / "weather").mkdir(parents=True, exist_ok=True)
        (copy / "data" / "weather" / file).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return copy


def run(checkout: Path, *line: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *line], cwd=checkout, capture_output=True, text=True, timeout=600, check=False
    )


@pytest.mark.parametrize("model", ("tiny_t5", "tiny_llama"))
@pytest.mark.parametrize("choice", ADDED)
def test_it_runs_from_data_to_record(checkout, choice, model):
    source = ("source=files", "source.root=data") if choice.startswith("dataset") else ("source=demo",)
    results = f"results_{model}_{choice}"
    done = run(checkout, "run.py", f"model={model}", *SMALL, *source, choice, f"results_dir='{results}'")
    assert done.returncode == 0, done.stderr
    (path,) = (checkout / results).glob("*/splits/000.json")
    record = json.loads(path.read_text())
    assert record["counts"]["evaluated"] == 6
    if choice == "reg=gini":
        assert 0 < record["training"]["gini"] < 1
        loss = record["training"]["ce"] + 0.1 * record["training"]["gini"]
        assert record["training"]["loss"] == pytest.approx(loss, rel=1e-3)
    if choice == "peft=last_norm":
        assert record["counts"]["trainable"] == 32


def test_the_other_commands_know_it(checkout):
    told = run(checkout, "-m", "caref.data", "weather", "--source", "files", "--root", "data", "--train-size", "8",
               "--eval-size", "6")  # fmt: skip
    assert told.returncode == 0 and "explain weather: " in told.stdout, told.stderr
    budget = run(checkout, "-m", "caref.budget", "tiny_t5")
    assert "last norm" in budget.stdout and "LoHa" in budget.stdout, budget.stderr
    refused = run(checkout, "run.py", "model=tiny_t5", "source=demo", "reg=gini", "reg.lambda_gini=-1")
    assert refused.returncode == 2
    assert refused.stderr == "error: reg.lambda_gini=-1.0: must be at least 0\n"
    misspelt = run(checkout, "run.py", "reg=gini", "reg.lamda_gini=1")
    assert misspelt.returncode == 2 and "did you mean reg.lambda_gini?" in misspelt.stderr


def test_a_file_that_is_no_kind_is_named(checkout):
    path = checkout / "caref" / "objectives" / "terms" / "empty.py"
    path.write_text('"""Nothing yet."""\n')
    try:
        done = run(checkout, "run.py", "--help")
    finally:
        path.unlink()
    assert done.returncode and "empty.py: defines 0 dataclasses of Reg" in done.stderr
