"""Tasks of lm-evaluation-harness on a model in a folder: what each item gave, as JSON on the last line of output.

    peer_lm_eval.py MODEL_FOLDER TASKS_FOLDER TASK...

Needs an environment with lm_eval (0.4.13), torch and transformers; nothing of this project is imported.
"""

import json
import sys

from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager

model, folder, *tasks = sys.argv[1:]
found = simple_evaluate(
    model="hf",
    model_args={"pretrained": model, "dtype": "float32"},
    tasks=tasks,
    task_manager=TaskManager(include_path=folder, include_defaults=False),
    log_samples=True,
    bootstrap_iters=0,
    batch_size=8,
    device="cpu",
)
told = {
    name: {
        "results": {key: value for key, value in found["results"][name].items() if isinstance(value, float)},
        "samples": [
            {
                "id": sample["doc"]["id"],
                "responses": [[float(one[0]), bool(one[1])] for one in sample["filtered_resps"]],
                **{metric: sample[metric] for metric in ("acc", "acc_norm") if metric in sample},
            }
            for sample in found["samples"][name]
        ],
    }
    for name in tasks
}
print(json.dumps(told))
