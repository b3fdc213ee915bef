"""The reference solution of week 4's `rope` computes what transformers' Llama computes."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from autograder.source import read_lesson
from llmsys import smollm2

transformers = pytest.importorskip("transformers")

LESSON = Path(__file__).parent.parent / "solutions" / "week04_llama" / "rope.py"
NAMES = {
    "embed_tokens": "embedding",
    "norm": "norm",
    "lm_head": "head",
    "input_layernorm": "attention_norm",
    "post_attention_layernorm": "mlp_norm",
    "q_proj": "attention.query",
    "k_proj": "attention.key",
    "v_proj": "attention.value",
    "o_proj": "attention.output",
    "gate_proj": "mlp.gate",
    "up_proj": "mlp.up",
    "down_proj": "mlp.down",
}


@pytest.fixture(scope="module")
def rope():
    """What a reader has who solved the lesson: its given cells and the reference answers."""
    namespace: dict = {}
    for cell in read_lesson(LESSON).cells:
        if cell.kind in ("given", "exercise"):
            exec(compile(cell.source, f"{LESSON}:{cell.line}", "exec"), namespace)
    return SimpleNamespace(**namespace)


def translated(state_dict):
    weights = {}
    for name, tensor in state_dict.items():
        parts = name.removesuffix(".weight").split(".")
        layer = f"blocks.{parts[2]}." if "layers" in parts else ""
        weights[f"{layer}{NAMES[parts[-1]]}.weight"] = tensor
    return weights


def pair(rope, heads, kv_heads, scaling=None, tied=False):
    """Our model and transformers', with the same random weights."""
    config = rope.Config(97, 64, 3, heads, kv_heads, 112, 5000.0, scaling, 1e-5, tied)
    rotary = {"rope_type": "default", "rope_theta": 5000.0}
    if scaling:
        rotary |= {
            "rope_type": "llama3",
            "factor": scaling.factor,
            "low_freq_factor": scaling.low_freq_factor,
            "high_freq_factor": scaling.high_freq_factor,
            "original_max_position_embeddings": scaling.original,
        }
    torch.manual_seed(0)
    theirs = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=97,
            hidden_size=64,
            intermediate_size=112,
            num_hidden_layers=3,
            num_attention_heads=heads,
            num_key_value_heads=kv_heads,
            max_position_embeddings=512,
            rms_norm_eps=1e-5,
            rope_parameters=rotary,
            tie_word_embeddings=tied,
            initializer_range=0.1,
        )
    ).eval()
    for name, parameter in theirs.named_parameters():
        if "norm" in name:
            torch.nn.init.normal_(parameter, mean=1.0, std=0.2)
    ours = rope.Llama(config)
    ours.load_state_dict(translated(theirs.state_dict()))
    return ours, theirs


@pytest.mark.parametrize(("heads", "kv_heads"), [(8, 8), (8, 2), (4, 1)])
@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("tied", [False, True])
def test_logits_equal_those_of_transformers(rope, heads, kv_heads, scaled, tied):
    scaling = rope.RopeScaling(factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0, original=64) if scaled else None
    ours, theirs = pair(rope, heads, kv_heads, scaling, tied)
    tokens = torch.randint(97, (2, 130))
    with torch.no_grad():
        wanted = theirs(tokens).logits
        cache = rope.KVCache(3)
        cached = torch.cat([ours(part, cache=cache) for part in tokens.split([100, 1, 1, 28], dim=1)], dim=1)
        whole = ours(tokens)
        loss = ours(tokens[:, :-1], tokens[:, 1:])
    assert wanted.abs().max() > 1
    # Logits of size 5 after three layers in fp32; angles at position 130 are rounded to 130 eps.
    torch.testing.assert_close(whole, wanted, rtol=0, atol=1e-5)
    torch.testing.assert_close(cached, wanted, rtol=0, atol=1e-5)
    torch.testing.assert_close(loss, theirs(tokens, labels=tokens).loss, rtol=1e-6, atol=0)


@pytest.mark.parametrize(("heads", "kv_heads"), [(8, 8), (8, 2)])
def test_generate_writes_what_transformers_writes(rope, heads, kv_heads):
    ours, theirs = pair(rope, heads, kv_heads)
    prompt = torch.randint(97, (2, 9))
    wanted = theirs.generate(
        prompt,
        attention_mask=torch.ones_like(prompt),
        max_new_tokens=20,
        do_sample=False,
        eos_token_id=None,
        pad_token_id=0,
    )
    assert rope.generate(ours, prompt, 20).equal(wanted)


def test_rotations_equal_those_of_transformers(rope):
    from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

    x, positions, frequencies = torch.randn(2, 3, 7, 16), torch.arange(40, 47), rope.rope_frequencies(16)
    angles = torch.outer(positions.float(), frequencies).repeat(1, 2)[None]
    wanted, _ = apply_rotary_pos_emb(x, x, angles.cos(), angles.sin())
    torch.testing.assert_close(rope.rotate_half(x, positions, frequencies), wanted)
    features = rope.interleaved_to_half(torch.arange(16), 1)
    halves = rope.rotate_half(x[..., features], positions, frequencies)
    torch.testing.assert_close(rope.rotate_complex(x, positions, frequencies)[..., features], halves)


@pytest.mark.parametrize(
    ("theta", "factor", "low", "high", "original"),
    [(500000.0, 8.0, 1.0, 4.0, 8192), (500000.0, 32.0, 1.0, 4.0, 8192), (10000.0, 4.0, 2.0, 3.0, 512)],
)
def test_llama_3_frequencies_equal_those_of_transformers(rope, theta, factor, low, high, original):
    from transformers.modeling_rope_utils import _compute_llama3_parameters

    config = transformers.LlamaConfig(
        hidden_size=256,
        num_attention_heads=2,
        max_position_embeddings=int(factor * original),
        rope_parameters={
            "rope_type": "llama3",
            "rope_theta": theta,
            "factor": factor,
            "low_freq_factor": low,
            "high_freq_factor": high,
            "original_max_position_embeddings": original,
        },
    )
    wanted, _ = _compute_llama3_parameters(config, torch.device("cpu"))
    ours = rope.llama3_frequencies(rope.rope_frequencies(128, theta), factor, low, high, original)
    torch.testing.assert_close(ours, wanted, rtol=1e-5, atol=0)


@pytest.mark.skipif(smollm2.path() is None, reason="fetched on request: llmsys fetch-data smollm2")
def test_real_weights_give_the_logits_of_transformers(rope):
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    file = str(smollm2.path())
    sizes = transformers.LlamaConfig(**load_gguf_checkpoint(file)["config"])
    theirs = transformers.LlamaForCausalLM(sizes).eval()
    read = load_gguf_checkpoint(file, return_tensors=True, model_to_load=theirs)["tensors"]  # rows in halves again
    missing, left_over = theirs.load_state_dict(read, strict=False)
    assert (missing, left_over) == (["lm_head.weight"], [])
    theirs.tie_weights()
    facts = smollm2.config()
    fields = {field.name for field in dataclasses.fields(rope.Config)}
    config = rope.Config(**{name: value for name, value in facts.items() if name in fields})
    ours = rope.Llama(config)
    ours.load_state_dict(rope.weights_from_gguf(smollm2.tensors(), config))
    tokens = torch.tensor([smollm2.tokenizer().encode(smollm2.chat("What is the capital of France?")).ids])
    with torch.no_grad():
        wanted, cache = theirs(tokens).logits, rope.KVCache(config.layers)
        cached = torch.cat([ours(part, cache=cache) for part in (tokens[:, :20], tokens[:, 20:])], dim=1)
        torch.testing.assert_close(ours(tokens), wanted, rtol=0, atol=1e-3)  # 30 layers, logits up to 30
        torch.testing.assert_close(cached, wanted, rtol=0, atol=1e-3)
