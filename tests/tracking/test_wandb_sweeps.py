"""W&B's own sweeps make lines that run, and its reports show what a table needs."""

import json
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf
from told import SIGNATURE, final, held, one, record

from caref.config.validation import validate
from caref.tracking.comparison import comparison

ROOT = Path(__file__).parents[2]


def test_the_child_of_a_sweeps_agent_gives_the_sweep_its_summary_alone(tell, cell, monkeypatch):
    monkeypatch.setenv("WANDB_SWEEP_ID", "sweep123")
    monkeypatch.setenv("WANDB_RUN_ID", "agent456")
    monkeypatch.setenv("WANDB_PROJECT", "of-the-sweep")
    tell(0)
    runs = held(cell)
    assert runs.keys() == {f"{SIGNATURE}-000", "agent456"}
    assert one(runs["agent456"], "run")["sweep_id"] == "sweep123"
    assert "sweep_id" not in one(runs[f"{SIGNATURE}-000"], "run")
    assert {one(records, "run")["project"] for records in runs.values()} == {"of-the-sweep"}
    assert final(runs["agent456"])["nbert/mean"] == record(0)["scores"]["nbert"]


@pytest.mark.parametrize("path", sorted((ROOT / "sweeps").glob("wandb_*.yaml")), ids=lambda path: path.stem)
def test_a_wandb_sweep_file_makes_lines_that_run(path, composed):
    from wandb.sdk.launch.sweeps import utils

    sweep = utils.load_sweep_config(str(path))
    assert (ROOT / sweep["program"]).exists() and sweep["metric"] == {"name": "nbert/mean", "goal": "maximize"}
    ranges = [values.get("values") or [values["min"], values["max"]] for values in sweep["parameters"].values()]
    fixed = [part for part in utils.create_sweep_command(sweep["command"]) if "$" not in part]
    for chosen in ([choices[end] for choices in ranges] for end in (0, -1)):
        args = {key: {"value": value} for key, value in zip(sweep["parameters"], chosen, strict=True)}
        job = composed(*fixed, *utils.create_sweep_command_args({"args": args})["args_no_hyphens"])
        validate(job)
        assert (job.tracker.name, job.tracker.mode) == ("wandb", "online")
        assert all(OmegaConf.select(job, key) == pytest.approx(args[key]["value"]) for key in args)


def test_the_alpha_beta_sweep_is_the_grid_of_the_sensitivity_figure():
    parameters = yaml.safe_load((ROOT / "sweeps" / "wandb_alpha_beta.yaml").read_text())["parameters"]
    assert parameters == {"reg.alpha": {"values": [1, 1.5, 2, 2.5]}, "reg.beta": {"values": [0, 0.5, 1, 2]}}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # wandb_workspaces' own
def test_the_comparison_shows_each_signatures_mean_and_its_splits():
    report = json.loads(comparison("caref", "somebody")._to_model().spec.model_dump_json(by_alias=True))
    grids = [block["metadata"] for block in report["blocks"] if block["type"] == "panel-grid"]
    shown = json.dumps([grid["panelBankSectionConfig"]["panels"] for grid in grids])
    assert all(f'"{name}"' in shown for name in ("nbert/mean", "accuracy/mean", "nbert/std", "splits", "train/sced"))
    assert "predictions" in shown and "summary:trainable_percent" in shown
    filters = [grid["runSets"][0]["filters"]["filters"][0] for grid in grids]
    assert [(one["key"]["name"], one["value"]) for one in filters] == [
        ("kind", "summary"),
        ("kind", "split"),
        ("kind", "split"),
    ]
