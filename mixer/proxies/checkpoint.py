"""A proxy as a folder that `transformers` loads, tokeniser and all."""

from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.tokens import load_tokenizer

if TYPE_CHECKING:
    from mixer.proxies.model import Llama


def write_checkpoint(folder: Path, model: "Llama", tokenizer: bytes) -> None:
    """What `AutoModelForCausalLM` and `AutoTokenizer` read; `tokenizer` is the pools' tokenizer.json."""
    from transformers import PreTrainedTokenizerFast  # 5 s

    from mixer.proxies.model import to_transformers

    ours = load_tokenizer(tokenizer)
    end = ours.library.id_to_token(ours.end_of_text)
    to_transformers(model, end_of_text=ours.end_of_text).save_pretrained(str(folder))
    theirs = PreTrainedTokenizerFast(
        tokenizer_object=ours.library, eos_token=end, model_max_length=model.proxy.sequence
    )
    theirs.save_pretrained(str(folder))
