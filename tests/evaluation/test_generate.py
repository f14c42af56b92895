"""What a model writes is text, whatever its random weights write."""

from caref.data.batches import encode
from caref.data.prompts import Text
from caref.evaluation.generate import generate
from caref.models import backbones


def test_what_is_no_token_of_the_tokenizer_says_nothing(composed):
    backbone = backbones.load(composed("model=tiny_t5", "model.config.vocab_size=3000").model)
    tokenizer = backbone.tokenizer
    example = encode(Text("explain this", "that", {}), tokenizer, True)
    inputs = tokenizer("explain this", return_tensors="pt")
    written = backbone.model.generate(**inputs, max_new_tokens=40, do_sample=False)[0].tolist()
    assert any(token >= len(tokenizer) for token in written)
    known = [token for token in written if token < len(tokenizer)]
    (told,) = generate(backbone.model, backbone, [example], batch_size=1, max_new_tokens=40)
    assert told == tokenizer.decode(known, skip_special_tokens=True).strip()
