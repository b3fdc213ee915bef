"""The pretrained Llama: read as transformers reads the same file, and able to answer. Skipped where never fetched."""

from __future__ import annotations

import shutil

import pytest
import torch
from transformers import AutoTokenizer, LlamaForCausalLM
from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

from benchmarks.training import transformers_llama
from llmsys import smollm2
from llmsys.corpus import Missing
from llmsys.llama import PUBLISHED, Config, Llama, generate

fetched = pytest.mark.skipif(smollm2.path() is None, reason="SmolLM2 was not fetched here: llmsys fetch-data smollm2")

TEXTS = (
    "The capital of France is Paris.",
    "In 1905, 3 papers\n\n  changed   physics; it's 100% true.",
    "Größe → 漢字 🙂 naïve\ttabs",
    "def f(x):\n    return x ** 2\n",
    "<|im_start|>user\nHello<|im_end|>\n",
    "",
)


@pytest.fixture(scope="module")
def model() -> Llama:
    return smollm2.model()


@pytest.fixture(scope="module")
def theirs() -> LlamaForCausalLM:
    """transformers' model with the weights as transformers itself reads them from the file."""
    model = transformers_llama(PUBLISHED["SmolLM2 135M"])
    read = load_gguf_checkpoint(str(smollm2.path()), return_tensors=True, model_to_load=model)
    missing, unexpected = model.load_state_dict(read["tensors"], strict=False)
    assert (missing, unexpected) == (["lm_head.weight"], [])  # the head is the embedding
    return model


@fetched
@torch.no_grad()
def test_logits_are_those_of_transformers(model, theirs):
    tokens = torch.tensor([smollm2.tokenizer().encode(smollm2.chat("Why is the sky blue?")).ids])
    expected = theirs(input_ids=tokens).logits
    logits = model(tokens)
    assert (logits - expected).abs().max() < 1e-3
    assert expected.abs().max() > 10


@fetched
def test_text_becomes_the_tokens_of_transformers_and_text_again(tmp_path):
    shutil.copyfile(smollm2.path(), tmp_path / "it.gguf")
    ours, theirs = smollm2.tokenizer(), AutoTokenizer.from_pretrained(tmp_path, gguf_file="it.gguf")
    for text in TEXTS:
        assert ours.encode(text).ids == theirs(text).input_ids, text
        assert ours.decode(ours.encode(text).ids, skip_special_tokens=False) == text
    said = [{"role": "user", "content": "Who are you?"}]
    expected = theirs.apply_chat_template(said, tokenize=False, add_generation_prompt=True)
    assert smollm2.chat("Who are you?") == expected


@fetched
def test_it_answers(model):
    tokens = smollm2.tokenizer()
    prompt = torch.tensor([tokens.encode(smollm2.chat("What is the capital of France?")).ids])
    answer = generate(model, prompt, 20, stop=smollm2.END)[0, prompt.shape[1] :].tolist()
    assert tokens.decode(answer) == "The capital of France is Paris."
    assert answer[-1] == smollm2.END


@fetched
def test_its_sizes_and_weights(model):
    assert Config(**smollm2.config()) == PUBLISHED["SmolLM2 135M"] == model.config
    weights = smollm2.tensors()
    assert len(weights) == 2 + 9 * 30
    assert sum(w.numel() for w in weights.values()) == model.config.parameters()
    assert {w.dtype for w in weights.values()} == {torch.float32}
    torch.testing.assert_close(weights["blk.3.attn_v.weight"], model.blocks[3].attention.value.weight.data)
    stored, turned = weights["blk.3.attn_k.weight"], model.blocks[3].attention.key.weight.data
    for head in range(3):  # neighbours in the file stand half a head apart in ours
        for i in (0, 1, 31):
            torch.testing.assert_close(stored[64 * head + 2 * i], turned[64 * head + i])
            torch.testing.assert_close(stored[64 * head + 2 * i + 1], turned[64 * head + i + 32])


def test_where_it_was_never_fetched(tmp_path, monkeypatch):
    monkeypatch.setenv("LLMSYS_DATA", str(tmp_path))
    assert smollm2.path() is None
    for read in (smollm2.config, smollm2.tensors, smollm2.model, smollm2.tokenizer):
        with pytest.raises(Missing, match=r"^SmolLM2 is not on this machine; .* llmsys fetch-data smollm2$"):
            read()
