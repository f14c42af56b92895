"""What was made offline is uploaded once, and nothing is lost where that fails."""

import pytest
from told import UNREACHABLE, held

from caref.errors import UserError
from caref.tracking import offline
from caref.tracking.__main__ import sync


def test_sync_lists_what_waits_and_hands_it_to_wandb(tell, cell, command):
    tell(0, 1)
    ended = command("-m", "caref.tracking", "sync", str(cell.parent), "--dry-run")
    assert ended.returncode == 0
    assert ended.stdout == f"{cell.parent}: 3 runs of 1 signatures to upload\n"
    assert ended.stderr.count(".wandb") == 3 and "Would sync 3 run(s)" in ended.stderr


def test_sync_without_a_network_says_so_in_one_line_and_loses_nothing(tell, cell, command):
    tell(0)
    before = held(cell)
    ended = command("-m", "caref.tracking", "sync", str(cell.parent), **UNREACHABLE)
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: http://127.0.0.1:9: cannot be reached") and ended.stderr.count("\n") == 1
    assert held(cell) == before and len(offline.pending(cell / "wandb")) == 2


def test_sync_leaves_out_what_it_has_uploaded(tell, cell, capsys):
    tell(0)
    for run in offline.pending(cell / "wandb"):
        (log,) = run.glob("*.wandb")
        log.with_suffix(".wandb.synced").touch()  # as wandb marks it
    assert sync(cell.parent, []) == 0
    assert "0 runs" in capsys.readouterr().out


def test_sync_of_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UserError, match="no such results folder"):
        sync(tmp_path / "none", [])


def test_an_option_before_the_folder_is_told_of(tell, cell, command):
    """Its value was taken for the folder."""
    tell(1)
    ended = command("-m", "caref.tracking", "sync", "--project", "mine", str(cell.parent))
    assert ended.returncode == 2
    assert f"{cell.parent}: the results folder stands before the options" in ended.stderr
