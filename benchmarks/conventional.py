"""One split the conventional way, the baseline of cell.py: nothing here is caref's but the formula of its objective.

    python benchmarks/conventional.py SPLIT.json ANSWERS.json

A process of its own loads the model, trains with transformers.Trainer under the objective composed of PyTorch
operations, generates example by example, and calls bert_score once an explanation. SPLIT.json holds what cell.py
writes: model folder, names of the trained parameters, (source, target) pairs, gold answers and explanations, settings.
"""

import json
import sys

import torch
from bert_score import score
from transformers import (
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
    return torch.nn.functional.cross_entropy(logits, labels) + lambda_sced * sced + lambda_kl * kl


def main(split_file: str, answers_file: str) -> None:
    with open(split_file) as file:
        split = json.load(file)
    set_seed(split["seed"])
    tokenizer = AutoTokenizer.from_pretrained(split["model"])
    model = AutoModelForSeq2SeqLM.from_pretrained(split["model"])
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in split["trained"])

    rows = []
    for source, target in split["train"]:
        rows.append({**tokenizer(source), "labels": tokenizer(target).input_ids})
    arguments = TrainingArguments(
        output_dir=split["scratch"],
        per_device_train_batch_size=split["batch_size"],
        num_train_epochs=split["epochs"],
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
        bf16=torch.cuda.is_available(),
        remove_unused_columns=False,
    )
    Trainer(
        model,
        arguments,
        train_dataset=rows,
        data_collator=DataCollatorForSeq2Seq(tokenizer, model=model),
        compute_loss_func=lambda outputs, labels, num_items_in_batch=None: objective(outputs.logits.float(), labels),
    ).train()

    model.eval()
    right, nbert = 0, 0.0
    for source, gold, explanations in split["evaluation"]:
        inputs = tokenizer(source, return_tensors="pt").to(model.device)
        with torch.no_grad():
            written = model.generate(**inputs, max_new_tokens=split["max_new_tokens"], do_sample=False, num_beams=1)
        tokens = [token for token in written[0].tolist() if token < len(tokenizer)]  # random weights write others too
        text = " ".join(tokenizer.decode(tokens, skip_special_tokens=True).split())
        answer, *written_after = text.split(" because ")
        explanation = written_after[0] if written_after else "UNK"
        if answer.strip().casefold() != gold.casefold():
            continue
        right += 1
        if explanation.strip():
            best = max(
                score(
                    [explanation.lower()],
                    [reference.lower()],
                    model_type=split["bertscore_model"],
                    num_layers=split["bertscore_layer"],
                )[2].item()
                for reference in explanations
            )
            nbert += 100 * best
    count = len(split["evaluation"])
    with open(answers_file, "w") as file:
        json.dump({"accuracy": 100 * right / count, "nbert": nbert / count}, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
