"""CarefLoss inside a real transformers.Trainer."""

import pytest
import torch
from torch.utils.data import Dataset

from caref import CarefLoss

LENGTHS = (3, 9, 5, 7, 4, 8, 6, 2)


class Sequences(Dataset):
    """Eight source and target sequences of different lengths over 40 words."""

    def __len__(self):
        return len(LENGTHS)

    def __getitem__(self, index):
        words = torch.randint(2, 40, (LENGTHS[index],), generator=torch.Generator().manual_seed(index))
        return {"words": words}


def tiny_t5():
    from transformers import T5Config, T5ForConditionalGeneration

    shape = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2, "dropout_rate": 0.0}
    model = T5ForConditionalGeneration(T5Config(vocab_size=40, decoder_start_token_id=0, pad_token_id=0, **shape))

    def collate(examples):
        words = torch.nn.utils.rnn.pad_sequence([e["words"] for e in examples], batch_first=True)
        labels = words.masked_fill(words == 0, -100)
        # What DataCollatorForSeq2Seq does; the Trainer keeps the labels from the model.
        return {
            "input_ids": words,
            "attention_mask": words.ne(0).long(),
            "decoder_input_ids": model.prepare_decoder_input_ids_from_labels(labels=labels),
            "labels": labels,
        }

    return model, collate


def tiny_llama():
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=40, pad_token_id=0, **shape))

    def collate(examples):
        words = torch.nn.utils.rnn.pad_sequence([e["words"] for e in examples], batch_first=True)
        labels = words.masked_fill(words == 0, -100)
        return {"input_ids": words, "attention_mask": words.ne(0).long(), "labels": labels}

    return model, collate


def train(build_model, folder, examples=None, **arguments):
    from transformers import Trainer, TrainingArguments

    torch.manual_seed(0)
    model, collate = build_model()
    trainer = Trainer(
        model,
        TrainingArguments(
            output_dir=str(folder),
            use_cpu=True,
            remove_unused_columns=False,
            report_to=[],
            disable_tqdm=True,
            logging_steps=1,
            save_strategy="no",
            max_grad_norm=0.0,
            lr_scheduler_type="constant",
            **arguments,
        ),
        train_dataset=examples or Sequences(),
        data_collator=collate,
        compute_loss_func=CarefLoss().for_trainer(model),
    )
    trainer.train()
    return model, [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


@pytest.mark.parametrize("build_model", [tiny_t5, tiny_llama])
def test_a_trainer_learns_with_it(build_model, tmp_path):
    _, losses = train(build_model, tmp_path, per_device_train_batch_size=4, max_steps=30, learning_rate=3e-2)
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize("build_model", [tiny_t5, tiny_llama])
def test_the_first_loss_is_the_model_own_cross_entropy_where_nothing_regularises(build_model):
    torch.manual_seed(0)
    model, collate = build_model()
    batch = collate([Sequences()[i] for i in range(4)])
    output = model(**batch)
    loss = CarefLoss(lambda_sced=0, lambda_kl=0).for_trainer(model)(output, batch["labels"])
    torch.testing.assert_close(loss, output.loss)


@pytest.mark.parametrize("build_model", [tiny_t5, tiny_llama])
def test_accumulated_gradients_equal_one_large_batch(build_model, tmp_path):
    large, large_losses = train(
        build_model, tmp_path, per_device_train_batch_size=8, max_steps=2, learning_rate=0.1, optim="sgd"
    )
    parts, part_losses = train(
        build_model,
        tmp_path,
        per_device_train_batch_size=2,
        gradient_accumulation_steps=4,
        max_steps=2,
        learning_rate=0.1,
        optim="sgd",
    )
    assert part_losses == pytest.approx(large_losses, rel=1e-4)
    for (name, ours), theirs in zip(parts.named_parameters(), large.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize("dtype", [torch.int32, torch.int16])
def test_labels_of_another_width_train_the_same(dtype, tmp_path):
    def narrow():
        model, collate = tiny_t5()

        def narrowed(examples):
            batch = collate(examples)
            return {**batch, "labels": batch["labels"].to(dtype)}

        return model, narrowed

    steps = {"per_device_train_batch_size": 8, "max_steps": 2, "learning_rate": 0.1, "optim": "sgd"}
    (wide, losses), (other, other_losses) = (train(build, tmp_path, **steps) for build in (tiny_t5, narrow))
    assert losses == other_losses
    assert all(map(torch.equal, wide.parameters(), other.parameters()))


class Untargeted(Sequences):
    """The same, and half of the examples have no target."""

    def __getitem__(self, index):
        words = super().__getitem__(index)["words"]
        return {"words": torch.zeros_like(words) if index % 2 else words}


@pytest.mark.parametrize("build_model", [tiny_t5, tiny_llama])
def test_a_part_of_a_step_without_a_target_adds_nothing_to_it(build_model, tmp_path):
    steps = {"max_steps": 2, "learning_rate": 0.1, "optim": "sgd"}
    large, losses = train(build_model, tmp_path, Untargeted(), per_device_train_batch_size=8, **steps)
    parts, part_losses = train(
        build_model, tmp_path, Untargeted(), per_device_train_batch_size=1, gradient_accumulation_steps=8, **steps
    )
    assert part_losses == pytest.approx(losses, rel=1e-4)
    for ours, theirs in zip(parts.parameters(), large.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_a_label_that_the_trainer_would_count_is_not_ignored():
    model, _ = tiny_t5()
    with pytest.raises(ValueError, match="ignore_index=-1: a Trainer counts every label but -100"):
        CarefLoss(ignore_index=-1).for_trainer(model)


def test_a_count_that_several_gpus_of_one_process_share_is_their_sum():
    """The Trainer then gives each GPU its share, a row each: (GPUs, 1)."""
    logits, labels = torch.randn(2, 4, 9), torch.tensor([[1, 2, -100, 3], [4, 5, 6, -100]])
    compute = CarefLoss().for_trainer(tiny_t5()[0])
    whole = CarefLoss()(logits, labels, count=10).loss
    assert compute({"logits": logits}, labels, torch.tensor(5).unsqueeze(0).expand(2, -1)) == whole
    with pytest.raises(ValueError, match=r"count of shape \(2,\): must be one number"):
        CarefLoss()(logits, labels, count=torch.tensor([5, 5]))
