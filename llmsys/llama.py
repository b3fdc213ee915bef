"""Llama in one file, on PyTorch's own operators: the model that the course trains, splits, tunes and serves.

    config = Config(vocab_size=256, dim=128, layers=4, heads=4, kv_heads=2)
    model = Llama(config)
    loss = model(inputs, targets)                       # (batch, length) int64 each -> a number
    logits = model(inputs)                              # (batch, length, vocab_size)
    text = generate(model, prompt, count=100)           # (batch, length) -> (batch, length + 100), with a cache

Sources: Llama 1 (arXiv 2302.13971), Llama 3 (arXiv 2407.21783), RoPE (arXiv 2104.09864), RMSNorm (arXiv 1910.07467),
SwiGLU (arXiv 2002.05202), grouped-query attention (arXiv 2305.13245). Weights of transformers' LlamaForCausalLM fit.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Rotation = tuple[Tensor, Tensor]  # cosines and signed sines, (length, head_dim) each


@dataclass(frozen=True)
class RopeScaling:
    """How Llama 3.1 stretches its context: waves longer than the old context turn `factor` times slower."""

    factor: float = 8.0
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_max_positions: int = 8192


@dataclass(frozen=True)
class Config:
    """The sizes of a Llama.

    Attributes:
        vocab_size: tokens that exist.
        dim: the width of the residual stream.
        layers: blocks.
        heads: query heads; each is dim / heads wide, an even number.
        kv_heads: key and value heads, a divisor of `heads` (default: `heads`, which is multi-head attention).
        hidden_dim: the width inside the MLP (default: `swiglu_hidden(dim)`).
        rope_theta: the base of the rotary frequencies.
        norm_eps: added to the mean square in RMSNorm.
        max_positions: the longest sequence.
        tied: whether the head is the embedding's own matrix.
        rope_scaling: Llama 3.1's frequency scaling, or None.

    Raises:
        ValueError: sizes that do not fit together.
    """

    vocab_size: int
    dim: int
    layers: int
    heads: int
    kv_heads: int = None  # type: ignore[assignment]  # an int from __post_init__ on
    hidden_dim: int = None  # type: ignore[assignment]  # an int from __post_init__ on
    rope_theta: float = 10000.0
    norm_eps: float = 1e-5
    max_positions: int = 2048
    tied: bool = True
    rope_scaling: RopeScaling | None = None

    def __post_init__(self) -> None:
        if self.kv_heads is None:
            object.__setattr__(self, "kv_heads", self.heads)
        if self.hidden_dim is None:
            object.__setattr__(self, "hidden_dim", swiglu_hidden(self.dim))
        sizes = ("vocab_size", "dim", "layers", "heads", "kv_heads", "hidden_dim", "max_positions")
        for name in sizes:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, but must be at least 1")
        if self.dim % (2 * self.heads):
            raise ValueError(f"{self.heads} heads do not share a width of {self.dim} in even parts, which RoPE needs")
        if self.heads % self.kv_heads:
            raise ValueError(f"{self.heads} query heads can't share {self.kv_heads} key and value heads evenly")

    @property
    def head_dim(self) -> int:
        """The width of one head."""
        return self.dim // self.heads

    def parameters(self) -> int:
        """How many parameters the model has; a tied head counts once."""
        attention = 2 * self.dim * (self.heads + self.kv_heads) * self.head_dim
        block = attention + 3 * self.dim * self.hidden_dim + 2 * self.dim
        return self.vocab_size * self.dim * (1 if self.tied else 2) + self.layers * block + self.dim

    def cache_bytes(self, tokens: int = 1, element_size: int = 2) -> int:
        """Bytes of keys and values that `tokens` tokens of one sequence leave behind in all layers."""
        return 2 * self.layers * self.kv_heads * self.head_dim * element_size * tokens


def swiglu_hidden(dim: int, multiple_of: int = 256) -> int:
    """Two thirds of 4 dim, so that three matrices weigh as much as two of 4 dim, rounded up to `multiple_of`."""
    return -(-(8 * dim // 3) // multiple_of) * multiple_of


class RMSNorm(nn.Module):
    """Divide by the root of the mean square over the last axis, then scale each feature."""

    def __init__(self, dim: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, (x.shape[-1],), self.weight, self.eps)


def rope_frequencies(config: Config, device: torch.device | str | None = None) -> Tensor:
    """Radians per position of each pair of features, (head_dim / 2,) in fp32, scaled where the config says so."""
    exponents = torch.arange(0, config.head_dim, 2, dtype=torch.float32, device=device) / config.head_dim
    frequencies = config.rope_theta**-exponents
    if (scaling := config.rope_scaling) is None:
        return frequencies
    turns = frequencies * scaling.original_max_positions / (2 * math.pi)  # in the context it was trained with
    kept = (turns - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor)
    return torch.lerp(frequencies / scaling.factor, frequencies, kept.clamp(0, 1))


@torch.no_grad()
def rotation(config: Config, positions: Tensor) -> Rotation:
    """What `rotate` needs for `positions` (length,), in fp32 whatever the model's dtype: bf16 can't count to 300."""
    angles = torch.outer(positions.float(), rope_frequencies(config, positions.device))
    cos, sin = angles.cos(), angles.sin()
    return torch.cat((cos, cos), dim=-1), torch.cat((-sin, sin), dim=-1)


def rotate(x: Tensor, rotary: Rotation) -> Tensor:
    """Turn each pair (i, i + head_dim / 2) of (batch, heads, length, head_dim), as transformers pairs them."""
    cos, sin = (table.to(x.dtype) for table in rotary)
    partner = x.roll(x.shape[-1] // 2, dims=-1)
    return x * cos + partner * sin


class KVCache:
    """Room for the keys and values of `length` tokens of each sequence in all layers, filled from the left.

    It is for decoding: no gradient flows into what it holds.

    Args:
        config: of the model.
        batch: sequences.
        length: tokens that fit (default: `config.max_positions`).
        dtype, device: as the model's weights.
    """

    def __init__(
        self,
        config: Config,
        batch: int = 1,
        length: int | None = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
    ) -> None:
        shape = (
            config.layers,
            2,
            batch,
            config.kv_heads,
            config.max_positions if length is None else length,
            config.head_dim,
        )
        self.storage = torch.zeros(shape, dtype=dtype, device=device)
        self.used = 0

    def __len__(self) -> int:
        """Tokens held of each sequence."""
        return self.used

    @property
    def batch(self) -> int:
        """Sequences held."""
        return self.storage.shape[2]

    @property
    def room(self) -> int:
        """Tokens that fit, those held included."""
        return self.storage.shape[4]

    @property
    def nbytes(self) -> int:
        """Bytes of the room, used or not."""
        return self.storage.nbytes

    def extend(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Put (batch, kv_heads, new, head_dim) behind what one layer holds; returns all of its keys and values.

        `used` moves on when the whole model has run, since every layer writes at the same place.
        """
        end = self.used + key.shape[2]
        keys, values = self.storage[layer]
        keys[:, :, self.used : end] = key.detach()
        values[:, :, self.used : end] = value.detach()
        return keys[:, :, :end], values[:, :, :end]


class Attention(nn.Module):
    """Causal attention whose query heads share key and value heads in consecutive groups."""

    def __init__(self, config: Config, layer: int) -> None:
        super().__init__()
        self.config, self.layer = config, layer
        kv_dim = config.kv_heads * config.head_dim
        self.query = nn.Linear(config.dim, config.dim, bias=False)
        self.key = nn.Linear(config.dim, kv_dim, bias=False)
        self.value = nn.Linear(config.dim, kv_dim, bias=False)
        self.output = nn.Linear(config.dim, config.dim, bias=False)

    def forward(self, x: Tensor, rotary: Rotation, cache: KVCache | None = None) -> Tensor:
        batch, length, _ = x.shape
        q, k, v = (
            project(x).view(batch, length, -1, self.config.head_dim).transpose(1, 2)  # (batch, heads, length, head_dim)
            for project in (self.query, self.key, self.value)
        )
        q, k = rotate(q, rotary), rotate(k, rotary)
        mask, seen = None, 0
        if cache is not None:
            seen = len(cache)
            k, v = cache.extend(self.layer, k, v)
            if seen and length > 1:
                mask = torch.ones(length, seen + length, dtype=torch.bool, device=x.device).tril(seen)
        causal = length > 1 and seen == 0
        grouped = self.config.kv_heads != self.config.heads
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal, enable_gqa=grouped)
        return self.output(y.transpose(1, 2).flatten(2))  # (batch, length, dim)


class MLP(nn.Module):
    """SwiGLU: SiLU of one projection opens or closes the features of another."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.gate = nn.Linear(config.dim, config.hidden_dim, bias=False)
        self.up = nn.Linear(config.dim, config.hidden_dim, bias=False)
        self.down = nn.Linear(config.hidden_dim, config.dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.silu(self.gate(x)) * self.up(x))


class Block(nn.Module):
    """Attention and MLP, each behind its own norm and beside a residual path that nothing touches."""

    def __init__(self, config: Config, layer: int) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(config.dim, config.norm_eps)
        self.attention = Attention(config, layer)
        self.mlp_norm = RMSNorm(config.dim, config.norm_eps)
        self.mlp = MLP(config)

    def forward(self, x: Tensor, rotary: Rotation, cache: KVCache | None = None) -> Tensor:
        x = x + self.attention(self.attention_norm(x), rotary, cache)
        return x + self.mlp(self.mlp_norm(x))


class Llama(nn.Module):
    """The whole model: `Llama(config)(tokens)` gives logits, with `targets` the loss."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.dim)
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.layers))
        self.norm = RMSNorm(config.dim, config.norm_eps)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        if config.tied:
            self.head.weight = self.embedding.weight
        self.reset()

    def reset(self) -> None:
        """Draw the weights: std 0.02, and less where 2 x layers of them add up in the residual stream (GPT-2)."""
        for name, parameter in self.named_parameters():
            if name.endswith("norm.weight"):
                nn.init.ones_(parameter)
            else:
                residual = name.endswith(("attention.output.weight", "mlp.down.weight"))
                nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * self.config.layers) if residual else 0.02)

    def forward(self, tokens: Tensor, targets: Tensor | None = None, cache: KVCache | None = None) -> Tensor:
        """Logits for the token after each, or the loss.

        Args:
            tokens: (batch, length) int64.
            targets: (batch, length) int64, already shifted: targets[:, t] follows tokens[:, t]. -100 is left out.
            cache: what came before `tokens`; they are appended to it.

        Returns:
            (batch, length, vocab_size) logits in the dtype of the weights; with `targets` their mean cross-entropy in
            nats, computed in fp32.

        Raises:
            ValueError: not (batch, length), longer than `max_positions` or the cache's room, or another batch than its.
        """
        if tokens.ndim != 2:
            raise ValueError(f"tokens have shape {tuple(tokens.shape)}, but must be (batch, length)")
        start = 0 if cache is None else len(cache)
        end = start + tokens.shape[1]
        if cache is not None and cache.batch != tokens.shape[0]:
            raise ValueError(f"the cache holds {cache.batch} sequences, but {tokens.shape[0]} came")
        limit = self.config.max_positions if cache is None else min(self.config.max_positions, cache.room)
        if end > limit:
            raise ValueError(f"{end} tokens are more than the {limit} that fit")
        rotary = rotation(self.config, torch.arange(start, end, device=tokens.device))
        x = self.embedding(tokens)  # (batch, length, dim)
        for block in self.blocks:
            x = block(x, rotary, cache)
        if cache is not None:
            cache.used = end
        logits = self.head(self.norm(x))  # (batch, length, vocab_size)
        if targets is None:
            return logits
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), ignore_index=-100)


@torch.no_grad()
def generate(
    model: Llama,
    tokens: Tensor,
    count: int,
    temperature: float = 0.0,
    top_k: int | None = None,
    generator: torch.Generator | None = None,
    stop: int | None = None,
) -> Tensor:
    """Go on with a text: the prompt runs through the model once, then one token at a time against a cache.

    Args:
        tokens: (batch, length) int64 prompts, all of one length, at least one token.
        count: new tokens of each sequence, at most.
        temperature: 0 takes the likeliest token, 1 samples from the model's distribution.
        top_k: sample from the k likeliest tokens only.
        generator: of the samples; on the device of `tokens`.
        stop: a token that ends a sequence; what follows it is `stop` again, and all end when all have ended.

    Returns:
        (batch, length + count) int64, or shorter where every sequence came to `stop`.

    Raises:
        ValueError: an empty prompt, a negative temperature, or more tokens than `max_positions`.
    """
    if tokens.ndim != 2 or tokens.shape[1] < 1:
        raise ValueError(f"the prompt has shape {tuple(tokens.shape)}, but must be (batch, at least 1)")
    if temperature < 0 or (top_k is not None and top_k < 1):
        raise ValueError(f"can't sample with temperature {temperature} and top_k {top_k}")
    batch, length = tokens.shape
    if length + count > model.config.max_positions:
        raise ValueError(f"{length} + {count} tokens are more than the {model.config.max_positions} that fit")
    weight = model.embedding.weight
    cache = KVCache(model.config, batch, length + count, weight.dtype, weight.device)
    ended = torch.zeros(batch, 1, dtype=torch.bool, device=tokens.device)
    new = tokens
    for _ in range(count):
        logits = model(new, cache=cache)[:, -1]  # (batch, vocab_size)
        new = choose(logits, temperature, top_k, generator)  # (batch, 1)
        if stop is not None:
            new = new.masked_fill(ended, stop)
            ended |= new == stop
        tokens = torch.cat((tokens, new), dim=1)
        if stop is not None and ended.all():
            break
    return tokens


def choose(logits: Tensor, temperature: float, top_k: int | None, generator: torch.Generator | None = None) -> Tensor:
    """One token for each row of (batch, vocab_size) logits, (batch, 1): the likeliest, or a sample."""
    if temperature == 0:
        return logits.argmax(dim=-1, keepdim=True)
    logits = logits.float() / temperature
    if top_k is not None and top_k < logits.shape[-1]:
        logits, indices = logits.topk(top_k, dim=-1)
        return indices.gather(1, torch.multinomial(logits.softmax(dim=-1), 1, generator=generator))
    return torch.multinomial(logits.softmax(dim=-1), 1, generator=generator)


_NAMES = {  # transformers' names -> ours
    r"model\.embed_tokens": "embedding",
    r"model\.layers\.(\d+)\.input_layernorm": r"blocks.\1.attention_norm",
    r"model\.layers\.(\d+)\.post_attention_layernorm": r"blocks.\1.mlp_norm",
    r"model\.layers\.(\d+)\.self_attn\.q_proj": r"blocks.\1.attention.query",
    r"model\.layers\.(\d+)\.self_attn\.k_proj": r"blocks.\1.attention.key",
    r"model\.layers\.(\d+)\.self_attn\.v_proj": r"blocks.\1.attention.value",
    r"model\.layers\.(\d+)\.self_attn\.o_proj": r"blocks.\1.attention.output",
    r"model\.layers\.(\d+)\.mlp\.(gate|up|down)_proj": r"blocks.\1.mlp.\2",
    r"model\.norm": "norm",
    r"lm_head": "head",
}


def from_transformers(state_dict: Mapping[str, Tensor], config: Config) -> Llama:
    """A Llama with the weights of a transformers `LlamaForCausalLM.state_dict()`, in their dtype.

    Both pair features for RoPE as (i, i + head_dim / 2), so nothing is permuted. Meta's own checkpoints and GGUF files
    pair (2i, 2i + 1): their query and key rows have to be reordered first.

    Raises:
        ValueError: a weight is missing, left over or of another shape than `config` says.
    """
    weights = {_our_name(name): tensor for name, tensor in state_dict.items()}
    if config.tied and "embedding.weight" in weights:
        weights["head.weight"] = weights["embedding.weight"]
    with torch.device("meta"):
        model = Llama(config)
    wanted = {name: tensor.shape for name, tensor in model.state_dict().items()}
    for name in sorted(wanted.keys() | weights.keys()):
        if name not in weights:
            raise ValueError(f"the state dict has no weights for {name}")
        if name not in wanted:
            raise ValueError(f"the state dict has weights for {name}, which the config has no place for")
        if wanted[name] != weights[name].shape:
            raise ValueError(f"{name} is {tuple(weights[name].shape)}, but must be {tuple(wanted[name])}")
    model.load_state_dict({name: tensor.detach().clone() for name, tensor in weights.items()}, assign=True)
    if config.tied:
        model.head.weight = model.embedding.weight
    return model


def _our_name(name: str) -> str:
    for theirs, ours in _NAMES.items():
        if match := re.fullmatch(rf"{theirs}\.weight", name):
            return match.expand(ours) + ".weight"
    raise ValueError(f"{name!r} is no weight of a Llama")


# Sizes from Llama 1's Table 2 (arXiv 2302.13971), Llama 3's Table 3 (arXiv 2407.21783) and SmolLM2's own file. The
# papers do not give norm_eps.
PUBLISHED = {
    "Llama 1 7B": Config(32000, 4096, 32, 32, tied=False),
    "Llama 1 13B": Config(32000, 5120, 40, 40, tied=False),
    "Llama 1 33B": Config(32000, 6656, 60, 52, tied=False),
    "Llama 1 65B": Config(32000, 8192, 80, 64, tied=False),
    "Llama 3 8B": Config(128256, 4096, 32, 32, 8, 14336, 500000.0, max_positions=8192, tied=False),
    "Llama 3 70B": Config(128256, 8192, 80, 64, 8, 28672, 500000.0, max_positions=8192, tied=False),
    "Llama 3.1 405B": Config(
        128256, 16384, 126, 128, 8, 53248, 500000.0, max_positions=131072, tied=False, rope_scaling=RopeScaling()
    ),
    "SmolLM2 135M": Config(49152, 576, 30, 9, 3, 1536, 100000.0, max_positions=8192),
}
