"""One split as a researcher writes it with transformers, the baseline of cell.py: no code of CAREF's is called.

    python benchmarks/conventional.py SPLIT.json SCORES.json

A process of its own loads the model, trains with transformers.Trainer under the objective composed of PyTorch
operations, generates in padded batches in the order of the file, and calls bert_score once. SPLIT.json holds what
cell.py writes: model folder, names of the trained parameters, (source, target) pairs in the order of training, epoch
after epoch, gold answers and explanations, settings. With "one_by_one" it evaluates as FEB's code does, from which the
paper's comes: a `generate` call an example and a BERTScore call an explanation.
"""

import json
import sys

import torch
from bert_score import score
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    DataCollatorForSeq2Seq,
    Trainer,
    TrainingArguments,
    set_seed,
)


def objective(logits, labels, alpha=2.0, beta=1.0, lambda_sced=0.1, lambda_kl=0.1):
    """Cross-entropy + SCED + KL to uniform, as one writes it down."""
    kept = labels != -100
    logits, labels = logits[kept], labels[kept]
    probabilities = logits.softmax(-1)
    weighed = probabilities * (probabilities * logits.shape[-1]).log()
    sced = (weighed.abs() ** alpha * (1 - probabilities) ** beta).sum(-1).mean()
    kl = weighed.sum(-1).mean()
    return nn.functional.cross_entropy(logits, labels) + lambda_sced * sced + lambda_kl * kl


def encoded(tokenizer, source, target, encoder_decoder):
    """A training row; a decoder-only model reads source, newline and target, and is taught the target."""
    if encoder_decoder:
        return {**tokenizer(source), "labels": [*tokenizer(target).input_ids, *ending(tokenizer, target)]}
    prompt = tokenizer(source + "\n").input_ids
    answer = [*tokenizer(target, add_special_tokens=False).input_ids, tokenizer.eos_token_id]
    return {
        "input_ids": prompt + answer,
        "attention_mask": [1] * (len(prompt) + len(answer)),
        "labels": [-100] * len(prompt) + answer,
    }


def ending(tokenizer, target):
    """The end-of-sequence token, where the tokenizer does not add it by itself."""
    return [] if tokenizer(target).input_ids[-1:] == [tokenizer.eos_token_id] else [tokenizer.eos_token_id]


def trained(model, tokenizer, split, encoder_decoder):
    rows = [encoded(tokenizer, source, target, encoder_decoder) for source, target in split["train"]]
    arguments = TrainingArguments(
        output_dir=split["scratch"],
        per_device_train_batch_size=split["batch_size"],
        num_train_epochs=1,
        train_sampling_strategy="sequential",  # the file has every epoch's order
        learning_rate=split["lr"],
        warmup_steps=split["warmup_steps"],
        weight_decay=split["weight_decay"],
        lr_scheduler_type="linear",
        max_grad_norm=1.0,
        seed=split["seed"],
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        logging_strategy="no",
        use_cpu=not torch.cuda.is_available(),
        bf16=split["bf16"],
        remove_unused_columns=False,
    )

    def loss(outputs, labels, num_items_in_batch=None):
        if encoder_decoder:
            return objective(outputs.logits.float(), labels)
        return objective(outputs.logits[:, :-1].float(), labels[:, 1:])

    tokenizer.padding_side = "right"
    collator = DataCollatorForSeq2Seq(tokenizer, model=model)
    Trainer(model, arguments, train_dataset=rows, data_collator=collator, compute_loss_func=loss).train()
    return model.eval()


def written(model, tokenizer, split, encoder_decoder):
    tokenizer.padding_side = "right" if encoder_decoder else "left"
    sources = [source if encoder_decoder else source + "\n" for source, _, _ in split["evaluation"]]
    rows = 1 if split["one_by_one"] else split["evaluation_batch_size"]
    texts = []
    for begin in range(0, len(sources), rows):
        inputs = tokenizer(sources[begin : begin + rows], padding=True, return_tensors="pt").to(model.device)
        with torch.no_grad(), torch.autocast(model.device.type, torch.bfloat16, enabled=split["bf16"]):
            tokens = model.generate(**inputs, max_new_tokens=split["max_new_tokens"], do_sample=False, num_beams=1)
        if not encoder_decoder:
            tokens = tokens[:, inputs["input_ids"].shape[1] :]
        tokens = tokens.masked_fill(tokens >= len(tokenizer), tokenizer.pad_token_id)  # random weights write others too
        texts += tokenizer.batch_decode(tokens, skip_special_tokens=True)
    return texts


def f1(explanations, golds, split):
    """Of each explanation the best F1 against its gold ones, in percent."""
    model = {"model_type": split["bertscore_model"], "num_layers": split["bertscore_layer"]}
    if not explanations:
        return []
    if not split["one_by_one"]:
        return [100 * value for value in score(explanations, golds, **model)[2].tolist()]
    return [
        100 * max(score([explanation], [gold], **model)[2].item() for gold in group)
        for explanation, group in zip(explanations, golds, strict=True)
    ]


def main(split_file: str, scores_file: str) -> None:
    with open(split_file) as file:
        split = json.load(file)
    set_seed(split["seed"])
    tokenizer = AutoTokenizer.from_pretrained(split["model"])
    encoder_decoder = AutoConfig.from_pretrained(split["model"]).is_encoder_decoder
    family = AutoModelForSeq2SeqLM if encoder_decoder else AutoModelForCausalLM
    model = family.from_pretrained(split["model"])
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in split["trained"])
    trained(model, tokenizer, split, encoder_decoder)

    right, explanations, golds = 0, [], []
    texts = written(model, tokenizer, split, encoder_decoder)
    for text, (_, gold, gold_explanations) in zip(texts, split["evaluation"], strict=True):
        answer, *after = " ".join(text.split()).split(" because ")
        explanation = after[0] if after else "UNK"
        if answer.strip().casefold() == gold.casefold():
            right += 1
            if explanation.strip():
                explanations.append(explanation.lower())
                golds.append([one.lower() for one in gold_explanations])
    count = len(split["evaluation"])
    nbert = sum(f1(explanations, golds, split)) / count
    with open(scores_file, "w") as file:
        json.dump({"accuracy": 100 * right / count, "nbert": nbert}, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
