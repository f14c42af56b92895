"""Lines as people type them: what was meant runs, or one line says what to type instead, and nothing is left behind."""

import re

import pytest

QUICK = ("model=tiny_t5", "source=demo", "splits=0", "dataset.eval_size=6", "train.epochs=1", "dry_run=true")

REFUSED = {
    # a key that nothing reads, however it is written
    "+train.epoch=9": "train.epoch: there is no such key; did you mean train.epochs?",
    "++train.seed=4": "train.seed: there is no such key",
    "+reg.gamma=1": "reg.gamma: there is no such key",
    "reg=none +reg.alpha=1": "reg.alpha: .* has no such key; reg=entmax, .*reg=sced, .*have it",
    "reg=none reg.alpha=1": "reg.alpha: reg=none has no such key; reg=entmax, .*reg=sced, .*have it",
    "+foo.bar=1": "foo: there is no such key",
    "+hydra.job.foo=1": "hydra.job.foo: there is no such key",
    "lr=1e-3": "did you mean train.lr?",
    "+experiment=table1": r"did you mean \+experiments=",
    "experiments=table1": r"did you mean \+experiments=table1?",
    "-m hydra.sweeper.shards=abc": "hydra.sweeper.shards=abc: must be a whole number or null",
    "-m +hydra.sweeper.foo=1": "hydra.sweeper.foo: there is no such key",
    "-m reg=none,sced +reg.gamma=1": "reg.gamma: there is no such key",
    "reg=ivra reg.alpha=1.5": "reg.alpha=1.5: lambda_sced=0 gives SCED no weight; leave it out",
    "-m reg.lambda_sced=0,0.1 reg.beta=2": "reg.lambda_sced=0: reg.beta=2.0: lambda_sced=0 gives SCED no weight",
    "alpha=2": r"alpha: there is no such key; did you mean reg.alpha\?",
    "reg=none peft=lora_r4 alpha=2": r"alpha: there is no such key; did you mean peft.alpha\?",
    "-m +experiments=rq1 +experiments=rq2": r"experiments: chosen twice; write \+experiments=\[a,b\] once",
    "peft=[aq,lora_r4]": "peft: a job has one; -m peft=aq,lora_r4, without brackets, makes a sweep over several",
    "-m +sweeps=wandb_alpha_beta": r".*`wandb sweep sweeps/wandb_alpha_beta.yaml`; .* -m \+sweeps=alpha_beta",
    # a value of the wrong kind
    "train.epochs=abc": "train.epochs=abc: must be a whole number",
    "train.lr=": "train.lr=: must be a number",
    "train.save=maybe": "train.save=maybe: must be true or false",
    "peft.projections=q": r"peft.projections=q: must be a list such as \[a,b\]",
    "peft.projections=[x]": "peft.projections=.*must be some of q, k, v, o",
    "peft=1": "peft=1: choose one of adalora, aq,",
    "train=1": "train=1: must be keys, such as train.epochs=",
    "train.epochs=" + "9" * 5000: "train.epochs=9+...9+: must be a whole number",
    "splits='" + "9" * 5000 + "'": "is not a split or a range of splits",
    "train.lr=${nope}": "train.lr: Interpolation key 'nope' not found",
    "model.path=": "model.path=: has no value",
    "results_dir=": "results_dir=: has no value; give it one, a folder",
    # what Hydra cannot read
    "results_dir=a=b": "results_dir=a=b: .* write \"results_dir='a=b'\"",
    "results_dir=/data/é": "results_dir=/data/é: .* write \"results_dir='/data/é'\"",
    "source.root=~/data": "source.root=~/data: .* write \"source.root='~/data'\"",
    "reg.alpha=1,": "reg.alpha=1,: must be a number; it ends in a comma",
    "train.lr = 1": "train.lr: .*without spaces around the =",
    # a sweep without -m, and what it changes as a whole
    "reg.alpha=1,2": "reg.alpha=1,2: several values make a sweep, which needs -m",
    "+experiments=table1": r"needs -m: python run.py -m \+experiments=table1",
    "+sweeps=feb_shards": r"needs -m: python run.py -m \+sweeps=feb_shards",
    "hydra/launcher=slurm_a40": "needs -m: python run.py -m hydra/launcher=slurm_a40",
    "-m +sweeps=alpha_beta,feb_shards": r"\+sweeps=feb_shards: holds for the whole sweep; .*\+sweeps=\[a,b\]",
    "hydra.job.chdir=true": "hydra.job.chdir=true: a job runs where it is typed",
    "-m hydra.job.chdir=true reg.alpha=1,2": "hydra.job.chdir=true: a job runs where it is typed",
    "-m reg=none,sced reg.alpha=1,2": "reg.alpha: reg=none has no such key; .*hydra.sweeper.lacking=drop",
    "-m peft=aq,lora_r4 peft.r=8": "peft.r: peft=aq has no such key; .*peft=lora_r4 have it; .*lacking=drop",
    "-m tracker=none,wandb tracker.project=x": "tracker.project: tracker=none has no such key; tracker=wandb has it",
    "-m reg.alpha=glob(*)": r"reg.alpha=glob\(\*\): stands for nothing; list the values",
    "-m dataset=esnli,ecqa dataset=comve": "dataset: given twice, and swept; give all its values at once",
    "-m reg.alpha=1,2 reg.alpha=3,4": "reg.alpha: given twice, and swept",
    "-m +experiments=rq1,rq2 +experiments=rq3": "experiments: given twice, and swept",
    "-m hydra.sweeper.lacking=skp": "hydra.sweeper.lacking=skp: must be one of refuse, drop, skip",
    "-m reg=none reg.alpha=1 hydra.sweeper.lacking=skip": "leaves no cell",
    # a project that W&B refuses
    "tracker=wandb tracker.project=a/b": "tracker.project=a/b: W&B takes none of",
}


@pytest.mark.parametrize("line", REFUSED, ids=lambda line: line[:60])
def test_refused_in_one_line_that_says_what_to_type(command, tmp_path, line):
    done = command("run.py", *QUICK, *line.split(), cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert re.fullmatch(f"error: (.*)({REFUSED[line]}).*\n", done.stderr), done.stderr[:1000]
    assert done.stdout == "" and not list(tmp_path.iterdir())


def test_the_quoting_that_a_refusal_offers_works(command, tmp_path):
    """As a shell hands it on: the quotes inside arrive, those around do not."""
    done = command("run.py", *QUICK, "results_dir='é=1'", "tracker=wandb", "tracker.project='a=b'", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


RUN = {  # a line, and the last line of what it would run
    "splits=0,4,7": "1 cell, 3 splits:",
    "splits=[0,4,7]": "1 cell, 3 splits:",
    "splits='0,4,7'": "1 cell, 3 splits:",
    "-m splits=0,4,7 reg.alpha=1,2": "2 cells, 6 splits:",
    "-m +experiments=rq1,rq2": "28 cells, 28 splits:",
    "-m +experiments=[rq1,rq2]": "28 cells, 28 splits:",
    "-m +experiments=rq1,rq2 +sweeps=alpha_beta": "43 cells, 43 splits:",  # 35 of rq1 with the grid, 8 more of rq2
    "-m +sweeps=alpha_beta +experiments=rq2": "31 cells, 31 splits:",  # whichever grid comes first
    "-m +experiments=rq1 +sweeps=alpha_beta,objective": "164 cells, 164 splits:",
    "-m +experiments=rq1,rq2 +sweeps=feb_shards": "28 cells, 28 splits:",
    "-m +experiments=faithfulness": "8 cells, 8 splits:",
    "-m peft=lora_r4,lora_r128 peft.r=8": "2 cells, 2 splits:",
    "-m train.lr=1e-3 train.lr=1e-4,1e-5": "2 cells, 2 splits:",
    "-m reg=none,sced reg.alpha=1,2 hydra.sweeper.lacking=drop": "3 cells, 3 splits:",
    "-m reg=none,sced reg.alpha=1,2 hydra.sweeper.lacking=skip": "2 cells, 2 splits:",
    "-m +experiments=rq3 dataset=ecqa peft.r=8 hydra.sweeper.lacking=drop": "4 cells, 4 splits:",
}


@pytest.mark.parametrize("line", RUN)
def test_what_was_meant_is_what_runs(command, tmp_path, line):
    done = command("run.py", *QUICK, *line.split(), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith(RUN[line]), done.stdout
    assert not list(tmp_path.iterdir())


def test_each_of_several_experiments_is_run_under_its_own_settings(command, tmp_path):
    own = tmp_path / "home" / "caref" / "experiments" / "mine.yaml"
    own.parent.mkdir(parents=True)
    own.write_text(
        "# @package _global_\ntrain:\n  epochs: 3\nhydra:\n  sweeper:\n    grids:\n      mine: {peft: laq}\n"
    )
    line = ("-m", "+experiments=rq2,mine", "dataset=esnli")
    quick = [one for one in QUICK if not one.startswith("train.epochs")]
    done = command("run.py", *quick, *line, cwd=tmp_path, XDG_CONFIG_HOME=str(tmp_path / "home"))
    assert done.returncode == 0, done.stderr
    (mine,) = (row for row in done.stdout.splitlines() if "LAQ" in row)
    assert "train.epochs=3" in mine, mine
    assert done.stdout.splitlines()[-1].startswith("5 cells, 5 splits:")


@pytest.mark.parametrize("sweep", [(), ("-m", "reg.alpha=1,2")], ids=["job", "sweep"])
def test_a_dry_run_where_nothing_can_be_read_is_refused_in_one_line(command, tmp_path, sweep):
    blocked = tmp_path / "results"
    blocked.write_text("no folder")
    done = command("run.py", *QUICK, *sweep, cwd=tmp_path)
    assert done.returncode == 2 and done.stdout == "", done.stderr
    assert re.fullmatch("error: results_dir=results: results/.*: cannot be read .*; mend it.*\n", done.stderr)
    blocked.unlink()
    signature = command("run.py", *QUICK, cwd=tmp_path).stdout.splitlines()[1].split()[0]
    (blocked / signature).mkdir(parents=True)
    (blocked / signature / "splits").write_text("no folder")
    done = command("run.py", *QUICK, *sweep, cwd=tmp_path)
    assert done.returncode == 2 and f"{signature}/splits: cannot be read" in done.stderr, done.stderr


def test_a_dry_run_of_another_sweeper_is_refused_and_trains_nothing(command, tmp_path):
    done = command("run.py", "-m", *QUICK, "hydra/sweeper=basic", cwd=tmp_path)
    assert done.returncode == 2
    assert re.fullmatch("error: dry_run=true: hydra/sweeper=basic cannot tell .*\n", done.stderr), done.stderr
    assert not (tmp_path / "results").exists()


def test_home_is_meant_by_a_tilde_wherever_a_path_is_given(command, tmp_path):
    home = tmp_path / "home"
    (home / "data").mkdir(parents=True)
    line = ("source=files", "source.root='~/data'", "results_dir='~/mine'")
    done = command("run.py", *QUICK, *line, cwd=tmp_path, HOME=str(home))
    assert f"{home}/data" in done.stderr, done.stderr
    run = [one for one in QUICK if one != "dry_run=true"]
    done = command("run.py", *run, "results_dir='~/mine'", "evaluation.max_new_tokens=4", cwd=tmp_path, HOME=str(home))
    assert done.returncode == 0, done.stderr
    assert len(list(home.glob("mine/*/splits/000.json"))) == 1
    assert not (tmp_path / "~").exists()
