"""The proxy: a small Llama-architecture language model, the whole of it.

RMSNorm before each half block, rotary positions, SwiGLU, causal attention with as many key heads as query
heads; no biases, no dropout, no mask between documents. Input and output embeddings are **tied**: at width 64
and 2,048 entries the table is 131k of 232k parameters, and two tables would learn from the same few tokens.

Letters in names and comments: B sequences, S positions, W width, H heads, D head size (W / H), F hidden,
V vocabulary.
"""

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from mixer.proxies.size import hidden_size
from pipelines.search_settings import Proxy

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM

EPSILON = 1e-5
ROPE_BASE = 10_000.0
LOGITS_BYTES = {"cpu": 2 << 20, "cuda": 256 << 20}  # of logits at a time


class Llama(nn.Module):
    """Token ids [B, S] to logits [B, S, V]; S at most `proxy.sequence`. The same seed, the same weights."""

    cos_SD: Tensor
    sin_SD: Tensor

    def __init__(self, proxy: Proxy, vocabulary: int, *, seed: int = 0) -> None:
        super().__init__()
        self.proxy, self.vocabulary = proxy, vocabulary
        self.embedding = nn.Parameter(torch.empty(vocabulary, proxy.width))  # [V, W]
        self.blocks = nn.ModuleList(Block(proxy) for _ in range(proxy.layers))
        self.norm = nn.Parameter(torch.ones(proxy.width))  # [W]
        cos_SD, sin_SD = _rotations(proxy.sequence, proxy.width // proxy.heads)
        self.register_buffer("cos_SD", cos_SD, persistent=False)
        self.register_buffer("sin_SD", sin_SD, persistent=False)
        self._initialise(seed)

    def forward(self, ids_BS: Tensor) -> Tensor:
        return functional.linear(self.states(ids_BS), self.embedding)

    def states(self, ids_BS: Tensor) -> Tensor:
        """What the output matrix reads: [B, S, W]."""
        length = ids_BS.shape[1]
        x_BSW = functional.embedding(ids_BS, self.embedding)
        for block in self.blocks:
            x_BSW = block(x_BSW, self.cos_SD[:length], self.sin_SD[:length])
        return _normed(x_BSW, self.norm)

    def loss(self, ids_BS: Tensor, next_BS: Tensor) -> Tensor:
        """Sum over positions of -log p(next), nats; positions whose `next` is negative do not count.

        Logits are made in chunks that stay in the cache: at V = 2,048 on one core a step of 4,096 positions runs at
        38k tokens/s instead of 25k, one of 1,024 alike. No memory is saved, since backward keeps every chunk.
        """
        x_NW, next_N = self.states(ids_BS).flatten(0, 1), next_BS.flatten()
        rows = max(64, LOGITS_BYTES[x_NW.device.type] // (4 * self.vocabulary))
        total = x_NW.new_zeros((), dtype=torch.float32)
        for first in range(0, len(x_NW), rows):
            logits = functional.linear(x_NW[first : first + rows], self.embedding)
            following = next_N[first : first + rows]
            total = total + functional.cross_entropy(logits, following, ignore_index=-1, reduction="sum")
        return total

    @torch.no_grad()
    def _initialise(self, seed: int) -> None:
        """Normal, standard deviation sqrt(2 / 5W): the small init of Nguyen and Salazar (2019).

        Matrices that write into the stream get 1 / sqrt(2 layers) of it. 200k tokens at width 64, batch 4, end at
        4.97-5.21 nats for rates of 2e-3 to 8e-3 (two seeds); with 0.02 instead at 5.32-5.60 for 2e-3 to 5e-3 (one).
        """
        std = math.sqrt(2 / (5 * self.proxy.width))
        generator = torch.Generator().manual_seed(seed)
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                outward = 1 / math.sqrt(2 * self.proxy.layers) if "_out." in name else 1.0
                parameter.normal_(0.0, std * outward, generator=generator)


class Block(nn.Module):
    """Attention, then SwiGLU, each added to the stream [B, S, W]."""

    def __init__(self, proxy: Proxy) -> None:
        super().__init__()
        width, hidden = proxy.width, hidden_size(proxy)
        self.num_heads = proxy.heads
        self.attention_norm = nn.Parameter(torch.ones(width))
        self.qkv = nn.Linear(width, 3 * width, bias=False)  # rows: all of Q, all of K, all of V
        self.attention_out = nn.Linear(width, width, bias=False)
        self.mlp_norm = nn.Parameter(torch.ones(width))
        self.gate_up = nn.Linear(width, 2 * hidden, bias=False)  # rows: gate, then up
        self.mlp_out = nn.Linear(hidden, width, bias=False)

    def forward(self, x_BSW: Tensor, cos_SD: Tensor, sin_SD: Tensor) -> Tensor:
        x_BSW = x_BSW + self._attended(_normed(x_BSW, self.attention_norm), cos_SD, sin_SD)
        gate_BSF, up_BSF = self.gate_up(_normed(x_BSW, self.mlp_norm)).chunk(2, dim=-1)
        out_BSW: Tensor = self.mlp_out(functional.silu(gate_BSF) * up_BSF)
        return x_BSW + out_BSW

    def _attended(self, x_BSW: Tensor, cos_SD: Tensor, sin_SD: Tensor) -> Tensor:
        num_sequences, length, width = x_BSW.shape
        qkv_3BHSD = self.qkv(x_BSW).view(num_sequences, length, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        q_BHSD, k_BHSD = _rotated(qkv_3BHSD[:2], cos_SD, sin_SD).unbind()
        mixed_BHSD = functional.scaled_dot_product_attention(q_BHSD, k_BHSD, qkv_3BHSD[2], is_causal=True)
        mixed_BSW = mixed_BHSD.transpose(1, 2).reshape(num_sequences, length, width)
        out_BSW: Tensor = self.attention_out(mixed_BSW)
        return out_BSW


def to_transformers(model: Llama, *, end_of_text: int | None = None) -> "LlamaForCausalLM":
    """The same model as a `LlamaForCausalLM` (float32, CPU), with equal logits."""
    from transformers import LlamaConfig, LlamaForCausalLM  # 5 s

    proxy = model.proxy
    config = LlamaConfig(
        vocab_size=model.vocabulary,
        hidden_size=proxy.width,
        intermediate_size=hidden_size(proxy),
        num_hidden_layers=proxy.layers,
        num_attention_heads=proxy.heads,
        num_key_value_heads=proxy.heads,
        max_position_embeddings=proxy.sequence,
        rms_norm_eps=EPSILON,
        rope_parameters={"rope_type": "default", "rope_theta": ROPE_BASE},
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=end_of_text,
        pad_token_id=None,
    )
    twin = LlamaForCausalLM(config).float()
    twin.load_state_dict(_transformers_names(model), strict=True)
    return twin.train(model.training)


# ---------------------------------------------------------------------------------------------------------


def _normed(x: Tensor, weight: Tensor) -> Tensor:
    return functional.rms_norm(x, weight.shape, weight, EPSILON)


def _rotations(length: int, head_size: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines [S, D] of the rotary angles, second half equal to the first (Llama's layout)."""
    rates = ROPE_BASE ** (-torch.arange(0, head_size, 2, dtype=torch.float64) / head_size)
    angles_SD = torch.outer(torch.arange(length, dtype=torch.float64), rates).repeat(1, 2)
    return angles_SD.cos().float(), angles_SD.sin().float()


def _rotated(x: Tensor, cos_SD: Tensor, sin_SD: Tensor) -> Tensor:
    left, right = x.chunk(2, dim=-1)
    return x * cos_SD + torch.cat((-right, left), dim=-1) * sin_SD


def _transformers_names(model: Llama) -> dict[str, Tensor]:
    table = model.embedding.detach().cpu()
    named = {"model.embed_tokens.weight": table, "lm_head.weight": table, "model.norm.weight": model.norm}
    for number, block in enumerate(model.blocks):
        assert isinstance(block, Block)
        q, k, v = block.qkv.weight.chunk(3)
        gate, up = block.gate_up.weight.chunk(2)
        layer = {
            "input_layernorm": block.attention_norm,
            "self_attn.q_proj": q,
            "self_attn.k_proj": k,
            "self_attn.v_proj": v,
            "self_attn.o_proj": block.attention_out.weight,
            "post_attention_layernorm": block.mlp_norm,
            "mlp.gate_proj": gate,
            "mlp.up_proj": up,
            "mlp.down_proj": block.mlp_out.weight,
        }
        named |= {f"model.layers.{number}.{name}.weight": weight for name, weight in layer.items()}
    return {name: weight.detach().cpu().float() for name, weight in named.items()}
