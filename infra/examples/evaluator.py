"""An evaluator of one's own: each proxy of ours comes as a `transformers` folder, losses of any name go out.

    sirdar build -w ws --set 'search.evaluator=["python3", "/path/to/evaluator.py", "questions.jsonl"]'
    sirdar build -w ws --set search.objective=questions

The last argument is the folder; trial.json in it holds the trial, and `split`: `search`, or `final` for the last
comparison, which should be measured on other texts. Lower is better. Lines of the file: {"text": ..., "split": ...}.
"""

import json
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

questions, folder = Path(sys.argv[1]), Path(sys.argv[2])
split = json.loads((folder / "trial.json").read_text())["split"]
model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
losses = []
for line in questions.read_text().splitlines():
    item = json.loads(line)
    if item["split"] == split:
        ids = tokenizer(item["text"], return_tensors="pt", truncation=True).input_ids
        with torch.no_grad():
            losses.append(model(ids, labels=ids).loss.item())
print(json.dumps({"questions": sum(losses) / len(losses)}))
