"""SmolLM2-135M-Instruct, a small Llama that was trained on two trillion tokens and answers questions on two cores.

`llmsys fetch-data smollm2` brings it once: 98 MB in the GGUF format of llama.cpp, with its tokenizer inside (source:
Allal et al. 2025, arXiv 2502.02737; Apache-2.0). From then on everything here works offline:

    model, tokens = smollm2.model(), smollm2.tokenizer()
    prompt = torch.tensor([tokens.encode(smollm2.chat("What is the capital of France?")).ids])
    print(tokens.decode(generate(model, prompt, 30, stop=smollm2.END)[0, prompt.shape[1] :].tolist()))
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from llmsys import corpus
from llmsys.llama import Config, Llama, from_transformers

if TYPE_CHECKING:
    from gguf import GGUFReader
    from tokenizers import Tokenizer

END = 2  # <|im_end|>, the token that ends an answer
SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"  # what it was tuned with


def path() -> Path | None:
    """Where the model lies, or None where it was never fetched."""
    file = corpus.CARDS["smollm2"].path
    return file if file.is_file() else None


def config() -> dict[str, Any]:
    """Its sizes, in the words of `llmsys.llama.Config`: ``Config(**smollm2.config())``."""
    facts = {name: field.contents() for name, field in _open().fields.items() if name.startswith("llama.")}
    return {
        "vocab_size": facts["llama.vocab_size"],
        "dim": facts["llama.embedding_length"],
        "layers": facts["llama.block_count"],
        "heads": facts["llama.attention.head_count"],
        "kv_heads": facts["llama.attention.head_count_kv"],
        "hidden_dim": facts["llama.feed_forward_length"],
        "rope_theta": facts["llama.rope.freq_base"],
        "norm_eps": round(facts["llama.attention.layer_norm_rms_epsilon"], 9),  # stored in fp32
        "max_positions": facts["llama.context_length"],
        "tied": True,  # there is no output.weight in the file
    }


def tensors() -> dict[str, Tensor]:
    """Its weights by their GGUF names, dequantised to fp32, each (out, in); 538 MB, about 5 seconds.

    Per block i: blk.i.attn_norm, .attn_q, .attn_k, .attn_v, .attn_output, .ffn_norm, .ffn_gate, .ffn_up, .ffn_down;
    and token_embd, output_norm; each with ".weight" behind it. The rows of attn_q and attn_k still stand in the order
    of llama.cpp, whose RoPE turns neighbours (2i, 2i + 1) of each head.
    """
    from gguf import dequantize

    return {
        tensor.name: torch.from_numpy(np.array(dequantize(tensor.data, tensor.tensor_type), dtype=np.float32))
        for tensor in _open().tensors
    }


def model() -> Llama:
    """The model as an `llmsys.llama.Llama` in fp32."""
    sizes = Config(**config())
    names = {
        "attn_norm": "input_layernorm",
        "attn_q": "self_attn.q_proj",
        "attn_k": "self_attn.k_proj",
        "attn_v": "self_attn.v_proj",
        "attn_output": "self_attn.o_proj",
        "ffn_norm": "post_attention_layernorm",
        "ffn_gate": "mlp.gate_proj",
        "ffn_up": "mlp.up_proj",
        "ffn_down": "mlp.down_proj",
    }
    weights = {}
    for name, tensor in tensors().items():
        part = name.split(".")
        if part[0] == "token_embd":
            weights["model.embed_tokens.weight"] = tensor
        elif part[0] == "output_norm":
            weights["model.norm.weight"] = tensor
        else:
            if part[2] in ("attn_q", "attn_k"):
                tensor = _halves(tensor, sizes.head_dim)
            weights[f"model.layers.{part[1]}.{names[part[2]]}.weight"] = tensor
    return from_transformers(weights, sizes)


def tokenizer() -> Tokenizer:
    """Its tokenizer, rebuilt from the file: byte-level BPE, each digit a token of its own."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    fields = _open().fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    kinds = fields["tokenizer.ggml.token_type"].contents()
    merges = [tuple(pair.split(" ")) for pair in fields["tokenizer.ggml.merges"].contents()]
    made = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    made.decoder = decoders.ByteLevel()
    control = [token for token, kind in zip(tokens, kinds, strict=True) if kind == 3]
    made.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in control])
    return made


def chat(prompt: str) -> str:
    """A question as the model was tuned to see it: behind its system message, with the answer about to begin."""
    turns = (("system", SYSTEM), ("user", prompt))
    return "".join(f"<|im_start|>{who}\n{said}<|im_end|>\n" for who, said in turns) + "<|im_start|>assistant\n"


def _open() -> GGUFReader:
    file = path()
    if file is None:
        raise corpus.Missing("SmolLM2 is not on this machine; fetch it once: llmsys fetch-data smollm2")
    return _read(file)


@functools.lru_cache(maxsize=1)
def _read(file: Path) -> GGUFReader:
    from gguf import GGUFReader

    return GGUFReader(file)  # two seconds, most of them for the tokenizer's words


def _halves(weight: Tensor, head_dim: int) -> Tensor:
    """Rows (2i, 2i + 1) of each head to (i, i + head_dim / 2), which is what `llmsys.llama.rotate` turns."""
    return weight.view(-1, head_dim // 2, 2, weight.shape[1]).transpose(1, 2).reshape(weight.shape)
