"""The reference solution of week 3's `transformer` computes what transformers' GPT-2 computes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from autograder.source import read_lesson

transformers = pytest.importorskip("transformers")

LESSON = Path(__file__).parent.parent / "solutions" / "week03_transformer" / "transformer.py"
NAMES = {
    "wte": "tokens",
    "wpe": "positions",
    "ln_f": "norm",
    "ln_1": "norm1",
    "ln_2": "norm2",
    "attn.c_attn": "attn.qkv",
    "attn.c_proj": "attn.proj",
    "mlp.c_fc": "ff.up",
    "mlp.c_proj": "ff.down",
}


@pytest.fixture(scope="module")
def lesson():
    """What a reader has who solved the lesson: its given cells and the reference answers."""
    namespace: dict = {}
    for cell in read_lesson(LESSON).cells:
        if cell.kind in ("given", "exercise"):
            exec(compile(cell.source, f"{LESSON}:{cell.line}", "exec"), namespace)
    return SimpleNamespace(**namespace)


@pytest.fixture
def pair(lesson):
    """Our GPT and transformers' GPT-2 with the same random weights, biases and norms among them."""
    torch.manual_seed(0)
    theirs = transformers.GPT2LMHeadModel(
        transformers.GPT2Config(vocab_size=101, n_positions=24, n_embd=48, n_layer=3, n_head=4)
    ).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    ours = lesson.GPT(lesson.GPTConfig(vocab_size=101, positions=24, dim=48, layers=3, heads=4))
    missing, unexpected = ours.load_state_dict(translated(theirs.state_dict()), strict=False)
    assert (missing, unexpected) == (["head.weight"], [])  # which is tokens.weight
    return ours, theirs


def translated(state_dict):
    weights = {}
    for name, tensor in state_dict.items():
        if name == "lm_head.weight":
            continue
        path, kind = name.removeprefix("transformer.").rsplit(".", 1)
        layer = ""
        if path.startswith("h."):
            _, number, path = path.split(".", 2)
            layer = f"blocks.{number}."
        if kind == "weight" and ".c_" in f".{path}":  # Conv1D stores (inputs, outputs)
            tensor = tensor.T
        weights[f"{layer}{NAMES[path]}.{kind}"] = tensor
    return weights


def test_same_logits(pair):
    ours, theirs = pair
    for n in (1, 7, 24):
        tokens = torch.randint(101, (3, n))
        with torch.no_grad():
            torch.testing.assert_close(ours(tokens), theirs(tokens).logits, atol=1e-5, rtol=1e-5)


def test_same_loss_and_gradients(pair):
    """transformers shifts the labels itself, ours come shifted; -100 is ignored by both."""
    ours, theirs = pair
    tokens = torch.randint(101, (3, 20))
    labels = tokens.clone()
    labels[0, 5:9] = -100
    labels[2, :11] = -100
    loss = ours(tokens[:, :-1], labels[:, 1:])
    other = theirs(tokens, labels=labels).loss
    torch.testing.assert_close(loss, other, atol=1e-5, rtol=1e-5)
    loss.backward()
    other.backward()
    gradients = translated({name: p.grad for name, p in theirs.named_parameters()})
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name], atol=1e-5, rtol=1e-4, msg=name)


def test_same_number_of_parameters(lesson, pair):
    ours, theirs = pair
    count = lesson.count_parameters(lesson.GPTConfig(vocab_size=101, positions=24, dim=48, layers=3, heads=4))
    assert count == sum(p.numel() for p in theirs.parameters()) == sum(p.numel() for p in ours.parameters())
