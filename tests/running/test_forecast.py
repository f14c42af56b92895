"""What a dry run tells of evidence: which splits lack it, and how long it takes."""

import pytest
from small_evidence import ASKED, SMALL, small_run  # noqa: F401 - the last is a fixture

from caref.results import evidence, records, store
from caref.running import finished, forecast, jobs


def test_a_split_without_its_evidence_is_left_to_do(run, composed, tmp_path):
    run("splits=0:2", *ASKED)
    job = composed(*SMALL, f"results_dir={tmp_path / 'results'}", "splits=0:3", *ASKED)
    assert finished.left(jobs.plan(job)) == [2]
    other = composed(*SMALL, f"results_dir={tmp_path / 'results'}", "splits=0:3", "evidence=quick")
    assert finished.left(jobs.plan(other)) == [0, 1, 2]


def test_a_forecast_holds_what_evidence_takes_or_says_that_nobody_knows(run, composed, tmp_path):
    cell, asked = run("splits=0:2", *ASKED)
    trained, looked = (
        [sum(read(folder, split)["run"]["seconds"].values()) for split in (0, 1)]
        for read, folder in ((store.read_record, cell), (evidence.read_split, evidence.folder_of(cell, asked)))
    )

    def told(*overrides: str) -> tuple[forecast.Times, jobs.Plan]:
        planned = jobs.plan(composed(*SMALL, f"results_dir={tmp_path / 'results'}", "splits=0:60", *overrides))
        times = forecast.Times({planned.signature: planned}, {planned.signature: store.finished(planned.cell)})
        line = forecast.told([planned]).splitlines()[-1]
        assert ("evidence takes for 60 of them, which no record tells" in line) == ("evidence=quick" in overrides)
        return times, planned

    for overrides, expected in ((ASKED, sum(looked) / 2), ((), 0.0), (("evidence=quick",), None)):
        times, planned = told(*overrides)
        assert times.of(planned.signature) == pytest.approx(sum(trained) / 2)
        assert times.of_evidence(planned) == (None if expected is None else pytest.approx(expected))


def test_a_forecast_counts_a_training_for_each_question(run, composed, tmp_path):
    cell, asked = run("splits=0", *ASKED)
    for folder in (cell / "splits", evidence.folder_of(cell, asked)):  # as if on a slow machine
        record = records.parse(folder / "000.json", (folder / "000.json").read_bytes())
        record["run"]["seconds"] = {"train": 720} if folder.name == "splits" else {"evidence": 360}
        (folder / "000.json").write_bytes(records.sealed(record))
    both = [
        jobs.plan(
            composed(*SMALL, f"results_dir={tmp_path / 'results'}", "splits=0:11", *ASKED, f"evidence.removal={one}")
        )
        for one in ("delete", "mask")
    ]
    told = forecast.told(both).splitlines()[-1]
    assert told.startswith(
        "1 cell, 11 splits: 0 done, 11 left, about 5.2 hours of one device"
    )  # 10 of 0.3 h, 11 of 0.2
    assert told.endswith("; without what evidence takes for 11 of them, which no record tells")
