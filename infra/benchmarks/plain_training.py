"""A plain `transformers` training on the shards of a dataset: no line of this project is imported here.

    python plain_training.py --shards DIR --tokenizer tokenizer.json --evaluation texts.jsonl --seeds 1 2 3

A fresh LlamaForCausalLM, AdamW, a cosine schedule; documents in the shards' order, each closed by the end mark,
cut into sequences that every seed shuffles anew; one pass. Prints one JSON object: the loss on the evaluation
texts (JSONL with `text` and `group`; the mean over groups, evenly spaced sequences of each) for each seed, in nats
per token. Fails where the shards hold fewer tokens than asked for: runs of unequal length must not be compared.
"""

import argparse
import json
import math
import time
from collections import defaultdict
from pathlib import Path

import pyarrow.parquet as pq
import torch
from tokenizers import Tokenizer
from transformers import LlamaConfig, LlamaForCausalLM, get_cosine_schedule_with_warmup, set_seed

END_MARK = "<|endoftext|>"


def sequences(tokenizer: Tokenizer, texts: list[str], length: int) -> torch.Tensor:
    """[n, length] token ids of the texts one after the other."""
    end = tokenizer.token_to_id(END_MARK)
    ids = [token for one in tokenizer.encode_batch(texts) for token in (*one.ids, *([] if end is None else [end]))]
    count = len(ids) // length
    return torch.tensor(ids[: count * length]).reshape(count, length)


def model_of(arguments: argparse.Namespace, vocabulary: int) -> LlamaForCausalLM:
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=arguments.width,
        intermediate_size=arguments.hidden,
        num_hidden_layers=arguments.layers,
        num_attention_heads=arguments.heads,
        num_key_value_heads=arguments.heads,
        max_position_embeddings=arguments.sequence,
        tie_word_embeddings=True,
    )
    return LlamaForCausalLM(config)


def train(model: LlamaForCausalLM, data: torch.Tensor, arguments: argparse.Namespace, seed: int) -> None:
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))
    steps = arguments.tokens // (arguments.sequence * arguments.batch)
    optimizer = torch.optim.AdamW(model.parameters(), lr=arguments.rate, betas=(0.9, 0.95), weight_decay=0.1)
    schedule = get_cosine_schedule_with_warmup(optimizer, steps // 20, steps)
    model.train()
    for step in range(steps):
        batch = data[order[step * arguments.batch : (step + 1) * arguments.batch]]
        model(input_ids=batch, labels=batch).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()


@torch.no_grad()
def loss_on(model: LlamaForCausalLM, groups: dict[str, torch.Tensor]) -> float:
    model.eval()
    means = []
    for data in groups.values():
        losses = [model(input_ids=batch, labels=batch).loss.item() * len(batch) for batch in torch.split(data, 32)]
        means.append(math.fsum(losses) / len(data))
    return math.fsum(means) / len(means)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--shards", type=Path, required=True, help="folder of Parquet files with a column `text`")
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--evaluation", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    parser.add_argument("--tokens", type=int, required=True, help="trained on, at most one pass")
    parser.add_argument("--windows", type=int, default=300, help="sequences evaluated of each group")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--hidden", type=int, default=176)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--sequence", type=int, default=128)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rate", type=float, default=3e-3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer = Tokenizer.from_file(str(arguments.tokenizer))
    texts = [
        text for path in sorted(arguments.shards.glob("*.parquet")) for text in pq.read_table(path)["text"].to_pylist()
    ]
    data = sequences(tokenizer, texts, arguments.sequence)
    if data.numel() < arguments.tokens - arguments.sequence:
        parser.error(f"{arguments.shards} holds {data.numel()} tokens, --tokens asks for {arguments.tokens}")
    by_group = defaultdict(list)
    for line in arguments.evaluation.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        by_group[row["group"]].append(row["text"])
    groups = {}
    for name, found in sorted(by_group.items()):
        every = sequences(tokenizer, found, arguments.sequence)
        groups[name] = every[:: -(-len(every) // arguments.windows)]
    losses, started = [], time.perf_counter()
    for seed in arguments.seeds:
        set_seed(seed)
        model = model_of(arguments, tokenizer.get_vocab_size())
        train(model, data, arguments, seed)
        losses.append(loss_on(model, groups))
    told = {
        "losses": losses,
        "seeds": arguments.seeds,
        "documents": len(texts),
        "tokens": data.numel(),
        "evaluated_tokens": sum(group.numel() for group in groups.values()),
        "parameters": model.num_parameters(),
        "seconds": round(time.perf_counter() - started, 1),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
