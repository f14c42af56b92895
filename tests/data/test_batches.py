"""From examples to batches: their order, what is predicted of each, and smaller batches of the same rows."""

from types import SimpleNamespace

import pytest
import torch

from caref.data.batches import IGNORED, Encoded, collate, shuffled

EXAMPLES = [Encoded((9,) * n, (*range(20, 20 + 2 * n), 1), answer_length=n) for n in range(1, 8)]
BOTH = pytest.mark.parametrize("encoder_decoder", (True, False))


def backbone(encoder_decoder: bool):
    tokenizer = SimpleNamespace(pad_token_id=0)
    start = (0,) if encoder_decoder else ()
    device = torch.device("cpu")
    return SimpleNamespace(
        tokenizer=tokenizer,
        encoder_decoder=encoder_decoder,
        classifier=False,
        start=start,
        decoder_mask=False,
        device=device,
    )


def test_every_epoch_is_all_examples_in_an_order_of_its_own_that_the_seed_decides():
    batches = list(shuffled(EXAMPLES, 3, 4, seed=7))
    assert [len(batch) for batch in batches] == [3, 3, 1] * 4
    epochs = [[one for batch in batches[begin : begin + 3] for one in batch] for begin in range(0, 12, 3)]
    assert all(sorted(map(id, epoch)) == sorted(map(id, EXAMPLES)) for epoch in epochs)
    assert len({tuple(map(id, epoch)) for epoch in epochs}) == 4
    torch.manual_seed(1)
    assert list(shuffled(EXAMPLES, 3, 4, seed=7)) == batches != list(shuffled(EXAMPLES, 3, 4, seed=8))


@BOTH
def test_labels_are_the_target_and_answer_labels_its_first_tokens(encoder_decoder):
    batch = collate(EXAMPLES[:3], backbone(encoder_decoder))
    for row, example in enumerate(EXAMPLES[:3]):
        told = batch.labels[row][batch.labels[row] != IGNORED].tolist()
        answer = batch.answer_labels[row][batch.answer_labels[row] != IGNORED].tolist()
        assert told == [*example.target] and answer == [*example.target[: example.answer_length]]
        read = batch.inputs["decoder_input_ids" if encoder_decoder else "input_ids"][row]
        before = 0 if encoder_decoder else len(example.prompt) - 1
        place = before + len(told) - 1  # where the end of the text is predicted, its last word is read
        assert batch.labels[row, place] == example.target[-1] and read[place] == example.target[-2]


@BOTH
@pytest.mark.parametrize("parts", (1, 2, 3, 9))
def test_the_parts_of_a_batch_are_its_rows_and_equally_many_of_each_split(encoder_decoder, parts):
    batch = collate(EXAMPLES[:6], backbone(encoder_decoder))  # two splits of three
    found = list(batch.parts(parts, splits=2))
    assert len(found) == min(parts, 3)
    rows = [
        [split * 3 + row for split in (0, 1) for row in range(first, first + len(part.labels) // 2)]
        for first, part in found
    ]
    assert sorted(row for own in rows for row in own) == list(range(6))
    for own, (_, part) in zip(rows, found, strict=True):
        for name, tensor in batch.inputs.items():
            assert torch.equal(part.inputs[name], tensor[own])
        assert torch.equal(part.labels, batch.labels[own]) and torch.equal(part.answer_labels, batch.answer_labels[own])
        assert part.labelled.tolist() == (part.labels.flatten() != IGNORED).nonzero().flatten().tolist()
