"""Training speed of `llmsys.llama`, of transformers' Llama with the same weights, and of a plain GPT of torch modules.

The three take turns within one run, so that whatever else the machine does meets all of them alike; a ratio is the
median over the rounds of the ratios within a round. Where other programs compete for the processor, the ratio by CPU
time with one thread is the steadier one. A step is forward, loss, backward, clipping and AdamW.

    python benchmarks/training.py                    two sizes, as JSON
    python benchmarks/training.py --rounds 15 --threads 1
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from typing import Annotated, Any

import torch
import torch.nn.functional as F
import transformers
import typer
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

from llmsys import train
from llmsys.llama import Config, from_transformers

SIZES = {  # name -> config, batch, context
    "lesson": (Config(256, 128, 4, 4, 2, 352, max_positions=256), 8, 128),
    "larger": (Config(4096, 384, 6, 6, 2, 1024, max_positions=512), 4, 256),
}


def main(
    rounds: Annotated[int, typer.Option(help="turns of each model, two at least")] = 9,
    seconds: Annotated[float, typer.Option(help="how long a turn is, about")] = 1.5,
    threads: Annotated[int, typer.Option(help="of torch; 0 for its own choice")] = 0,
) -> None:
    """Measure and print JSON."""
    if threads:
        torch.set_num_threads(threads)
    report: dict[str, Any] = {
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "machine": platform.machine(),
        "cpus": len(os.sched_getaffinity(0)),
        "threads": torch.get_num_threads(),
        "load_average_at_start": round(os.getloadavg()[0], 2),
        "rounds": rounds,
    }
    for name, (config, batch, context) in SIZES.items():
        report[name] = measure(config, batch, context, rounds, seconds)
    print(json.dumps(report, indent=2))


def measure(config: Config, batch: int, context: int, rounds: int, seconds: float) -> dict[str, Any]:
    """Tokens per second of the three models on the same batches."""
    torch.manual_seed(0)
    theirs = transformers_llama(config)
    ours = from_transformers(theirs.state_dict(), config)
    models = {"llmsys": ours, "transformers": theirs, "gpt": GPT(config)}
    tokens = torch.randint(config.vocab_size, (100_000,))
    inputs, targets = next(train.batches(tokens, batch, context))
    torch.testing.assert_close(loss_of(theirs, inputs, targets), ours(inputs, targets), rtol=1e-5, atol=0)

    steps = {name: step_of(model, inputs, targets) for name, model in models.items()}
    for step in steps.values():  # the first step allocates, and says how many fill a turn
        step()
    started = time.perf_counter()
    steps["llmsys"]()
    count = max(1, round(seconds / (time.perf_counter() - started)))
    wall: dict[str, list[float]] = {name: [] for name in models}
    cpu: dict[str, list[float]] = {name: [] for name in models}
    names = list(models)
    for turn in range(rounds):
        for name in names[turn % 3 :] + names[: turn % 3]:
            wall_started, cpu_started = time.perf_counter(), time.process_time()
            for _ in range(count):
                steps[name]()
            wall[name].append(time.perf_counter() - wall_started)
            cpu[name].append(time.process_time() - cpu_started)
    tokens_in_a_turn = count * batch * context
    return {
        "parameters": {name: sum(p.numel() for p in model.parameters()) for name, model in models.items()},
        "batch": batch,
        "context": context,
        "steps_in_a_turn": count,
        "tokens_per_second": {name: round(tokens_in_a_turn / statistics.median(wall[name])) for name in models},
        "llmsys_over_transformers": ratio(wall["transformers"], wall["llmsys"]),
        "llmsys_over_transformers_by_cpu_time": ratio(cpu["transformers"], cpu["llmsys"]),
        "llmsys_over_gpt": ratio(wall["gpt"], wall["llmsys"]),
        "llmsys_over_gpt_by_cpu_time": ratio(cpu["gpt"], cpu["llmsys"]),
    }


def ratio(theirs: list[float], ours: list[float]) -> dict[str, float]:
    """How many times as fast ours is: the median over the rounds, and the middle half of them."""
    quarters = statistics.quantiles((a / b for a, b in zip(theirs, ours, strict=True)), n=4)
    return dict(zip(("lower_quartile", "median", "upper_quartile"), (round(q, 3) for q in quarters), strict=True))


def step_of(model: nn.Module, inputs: Tensor, targets: Tensor) -> Callable[[], None]:
    """One training step as a call; what `train.fit` does for a batch."""
    adamw = train.optimizer(model, lr=1e-4)

    def step() -> None:
        loss = loss_of(model, inputs, targets)
        adamw.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adamw.step()
        loss.item()

    return step


def loss_of(model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    """The mean cross-entropy; transformers' own loss shifts the targets, which here they are already."""
    if isinstance(model, LlamaForCausalLM):
        logits = model(input_ids=inputs, use_cache=False).logits
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())
    return model(inputs, targets)


def transformers_llama(config: Config) -> LlamaForCausalLM:
    """transformers' Llama of this size with weights drawn its own way, on the same attention kernel."""
    rope: dict[str, Any] = {"rope_type": "default", "rope_theta": config.rope_theta}
    if (scaling := config.rope_scaling) is not None:
        rope |= {
            "rope_type": "llama3",
            "factor": scaling.factor,
            "low_freq_factor": scaling.low_freq_factor,
            "high_freq_factor": scaling.high_freq_factor,
            "original_max_position_embeddings": scaling.original_max_positions,
        }
    theirs = LlamaConfig(
        vocab_size=config.vocab_size,
        hidden_size=config.dim,
        intermediate_size=config.hidden_dim,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.kv_heads,
        max_position_embeddings=config.max_positions,
        rms_norm_eps=config.norm_eps,
        rope_parameters=rope,
        tie_word_embeddings=config.tied,
        attn_implementation="sdpa",
    )
    return LlamaForCausalLM(theirs)


class GPT(nn.Module):
    """GPT-2's layout from torch's modules, of the same depth and width: LayerNorm, GELU, learned positions, biases."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.tokens = nn.Embedding(config.vocab_size, config.dim)
        self.positions = nn.Embedding(config.max_positions, config.dim)
        self.blocks = nn.ModuleList(GPTBlock(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.dim)

    def forward(self, tokens: Tensor, targets: Tensor) -> Tensor:
        x = self.tokens(tokens) + self.positions(torch.arange(tokens.shape[1], device=tokens.device))
        for block in self.blocks:
            x = block(x)
        logits = F.linear(self.norm(x), self.tokens.weight)  # the head is the embedding
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


class GPTBlock(nn.Module):
    """Pre-norm attention and MLP."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.heads = config.heads
        self.norms = nn.ModuleList(nn.LayerNorm(config.dim) for _ in range(2))
        self.qkv, self.output = nn.Linear(config.dim, 3 * config.dim), nn.Linear(config.dim, config.dim)
        self.mlp = nn.Sequential(
            nn.Linear(config.dim, 4 * config.dim), nn.GELU(), nn.Linear(4 * config.dim, config.dim)
        )

    def forward(self, x: Tensor) -> Tensor:
        batch, length, dim = x.shape
        heads = self.qkv(self.norms[0](x)).view(batch, length, 3, self.heads, dim // self.heads)
        q, k, v = heads.permute(2, 0, 3, 1, 4)  # (batch, heads, length, head_dim) each
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.output(y.transpose(1, 2).reshape(batch, length, dim))
        return x + self.mlp(self.norms[1](x))


if __name__ == "__main__":
    typer.run(main)
