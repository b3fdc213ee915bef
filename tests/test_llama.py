"""`llmsys.llama` against transformers' Llama, and what a model promises whoever wrote it."""

from __future__ import annotations

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from transformers import DynamicCache

from benchmarks.training import transformers_llama
from llmsys.llama import (
    PUBLISHED,
    Config,
    KVCache,
    Llama,
    RMSNorm,
    RopeScaling,
    choose,
    from_transformers,
    generate,
    rope_frequencies,
    rotate,
    rotation,
    swiglu_hidden,
)

# 36 positions turn past the old context of 16, so that all three bands of the scaling are in use.
SCALED = RopeScaling(factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_positions=16)
CONFIGS = {
    "multi-head": Config(97, 48, 3, 4, hidden_dim=80, max_positions=64),
    "grouped": Config(97, 48, 3, 6, 2, hidden_dim=80, rope_theta=500000.0, max_positions=64, tied=False),
    "multi-query": Config(97, 48, 2, 6, 1, hidden_dim=80, norm_eps=1e-3, max_positions=64),
    "llama3 scaling": Config(97, 96, 2, 3, hidden_dim=80, rope_theta=100.0, max_positions=64, rope_scaling=SCALED),
}


@pytest.fixture(autouse=True)
def one_thread():
    """Small tensors on two busy cores are slower with two threads than with one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=CONFIGS)
def config(request) -> Config:
    return CONFIGS[request.param]


@pytest.fixture
def pair(config):
    """transformers' model and ours with its weights; scaled up, so that attention is far from uniform."""
    torch.manual_seed(1)
    theirs = transformers_llama(config)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.mul_(5 if parameter.ndim == 2 else 1).add_(0.1 * torch.randn_like(parameter))
    return theirs, from_transformers(theirs.state_dict(), config)


def draw(config: Config, *shape: int) -> torch.Tensor:
    return torch.randint(config.vocab_size, shape, generator=torch.Generator().manual_seed(2))


def test_logits_and_gradients_are_those_of_transformers(config, pair):
    theirs, ours = pair
    tokens, targets = draw(config, 2, 3, 36)
    expected = theirs(input_ids=tokens).logits
    torch.testing.assert_close(ours(tokens), expected, rtol=1e-5, atol=1e-5 * expected.abs().max().item())
    F.cross_entropy(expected.flatten(0, 1), targets.flatten()).backward()
    ours(tokens, targets).backward()
    wanted = from_transformers({name: p.grad for name, p in theirs.named_parameters()}, config)
    for (name, parameter), grad in zip(ours.named_parameters(), wanted.parameters(), strict=True):
        torch.testing.assert_close(
            parameter.grad, grad.data, rtol=1e-4, atol=1e-5 * grad.abs().max().item(), msg=lambda m, n=name: f"{n}: {m}"
        )


@torch.no_grad()
def test_a_cache_changes_nothing_here_and_there(config, pair):
    theirs, ours = pair
    tokens = draw(config, 2, 36)
    whole = ours(tokens)
    cache, their_cache = KVCache(config, batch=2, length=40), DynamicCache(config=theirs.config)
    begin = 0
    for count in (7, 1, 1, 12, 15):  # a prompt, two steps, and two pieces at once behind a filled cache
        piece = tokens[:, begin : begin + count]
        logits = ours(piece, cache=cache)
        expected = theirs(input_ids=piece, cache=their_cache).logits
        tolerance = 1e-5 * whole.abs().max().item()
        torch.testing.assert_close(logits, whole[:, begin : begin + count], rtol=1e-5, atol=tolerance)
        torch.testing.assert_close(logits, expected, rtol=1e-5, atol=tolerance)
        begin += count
        assert len(cache) == begin


def test_greedy_text_is_that_of_transformers(config, pair):
    theirs, ours = pair
    prompt = draw(config, 2, 9)
    theirs.generation_config.eos_token_id = theirs.generation_config.pad_token_id = None
    expected = theirs.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=20, do_sample=False)
    torch.testing.assert_close(generate(ours, prompt, 20), expected)


def test_bf16_follows_transformers_far_from_the_start():
    config = Config(97, 64, 2, 2, hidden_dim=96, max_positions=2048)
    torch.manual_seed(3)
    theirs = transformers_llama(config).bfloat16()
    ours = from_transformers(theirs.state_dict(), config)
    assert ours.embedding.weight.dtype == torch.bfloat16
    tokens = draw(config, 1, 1200)
    exact = from_transformers({n: p.float() for n, p in theirs.state_dict().items()}, config)(tokens)
    error = (ours(tokens).float() - exact).abs().max()
    their_error = (theirs(input_ids=tokens).logits.float() - exact).abs().max()
    assert error <= 1.5 * their_error  # both round to 8 bits; a table in bf16 would be wrong by radians at 1200


def test_frequencies_are_those_of_transformers(config, pair):
    theirs, _ = pair
    torch.testing.assert_close(rope_frequencies(config), theirs.model.rotary_emb.inv_freq, rtol=1e-6, atol=0)


def test_llama_3_1_scales_slow_waves_only():
    config = PUBLISHED["Llama 3.1 405B"]
    plain = config.rope_theta ** (-torch.arange(0, 128, 2, dtype=torch.float64) / 128)
    ratio = plain / rope_frequencies(config).double()
    wavelength = 2 * math.pi / plain
    torch.testing.assert_close(ratio[wavelength < 8192 / 4], torch.ones(int((wavelength < 2048).sum())).double())
    torch.testing.assert_close(ratio[wavelength > 8192], torch.full((int((wavelength > 8192).sum()),), 8.0).double())
    assert ratio.diff().min() > -1e-5


def test_rotation_knows_only_the_distance():
    config = Config(2, 64, 1, 1, max_positions=4096)
    q, k = torch.randn(2, 1, 1, 1, 64, generator=torch.Generator().manual_seed(0))

    def score(m: int, n: int) -> torch.Tensor:
        return (rotate(q, rotation(config, torch.tensor([m]))) * rotate(k, rotation(config, torch.tensor([n])))).sum()

    torch.testing.assert_close(score(5, 2), score(905, 902), rtol=1e-3, atol=1e-3)
    assert abs(score(5, 2) - score(2, 5)) > 0.1
    torch.testing.assert_close(score(0, 0), (q * k).sum())


def test_positions_are_exact_whatever_the_models_dtype():
    model = Llama(Config(11, 16, 1, 2)).bfloat16()
    cos, _ = rotation(model.config, torch.tensor([1001]))
    torch.testing.assert_close(cos[0, 0], torch.tensor(1001.0).cos())


def test_the_norm_sums_in_fp32():
    norm = RMSNorm(64).half()
    x = torch.full((1, 64), 300.0, dtype=torch.float16)  # its square is past the largest fp16
    torch.testing.assert_close(norm(x), torch.ones_like(x))


@torch.no_grad()
def test_the_future_is_not_seen(config, pair):
    _, ours = pair
    tokens = draw(config, 1, 12)
    changed = tokens.clone()
    changed[0, 8] = (tokens[0, 8] + 1) % config.vocab_size
    before, after = ours(tokens), ours(changed)
    torch.testing.assert_close(before[:, :8], after[:, :8])
    assert (before[:, 8:] - after[:, 8:]).abs().amax(-1).min() > 1e-3


def test_ignored_targets_count_neither_above_nor_below():
    model = Llama(Config(11, 16, 1, 2))
    tokens, targets = draw(model.config, 2, 2, 5)
    ignored = targets.clone()
    ignored[:, 3:] = -100
    torch.testing.assert_close(model(tokens, ignored), model(tokens[:, :3], targets[:, :3]))


def test_a_new_model_knows_nothing_and_its_weights_are_as_drawn():
    torch.manual_seed(0)
    config = Config(1000, 128, 8, 4, 2)
    model = Llama(config)
    tokens, targets = draw(config, 2, 4, 30)
    assert abs(model(tokens, targets).item() - math.log(1000)) < 0.2
    assert model.head.weight is model.embedding.weight
    assert Llama(Config(10, 8, 1, 2, tied=False)).head.weight is not model.embedding.weight
    deviations = {name: p.std().item() for name, p in model.named_parameters() if p.ndim == 2}
    for name, deviation in deviations.items():
        residual = name.endswith(("output.weight", "down.weight"))
        assert deviation == pytest.approx(0.02 / 4 if residual else 0.02, rel=0.05), name


# Billions, as printed in the papers (arXiv 2302.13971, 2407.21783); SmolLM2's as counted from its file.
PAPERS = {
    "Llama 1 7B": "6.7",
    "Llama 1 13B": "13.0",
    "Llama 1 33B": "32.5",
    "Llama 1 65B": "65.2",
    "Llama 3 8B": "8.03",
    "Llama 3 70B": "70.55",
    "Llama 3.1 405B": "405.85",
    "SmolLM2 135M": "0.1345",
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_models_have_the_published_size(name):
    config = PUBLISHED[name]
    printed = PAPERS[name]
    last_digit = 10.0 ** -len(printed.split(".")[1])
    assert abs(config.parameters() / 1e9 - float(printed)) < last_digit  # 65.286 is printed as 65.2
    small = Config(**vars(config) | {"layers": 2})
    with torch.device("meta"):
        model = Llama(small)
    assert sum(p.numel() for p in model.parameters()) == small.parameters()


def test_published_widths_follow_the_rule():
    assert [swiglu_hidden(dim) for dim in (4096, 5120, 6656, 8192)] == [11008, 13824, 17920, 22016]


def test_a_token_of_llama_3_70b_leaves_320_kib():
    config = PUBLISHED["Llama 3 70B"]
    assert config.cache_bytes() == 320 * 1024
    small = Config(5, 64, 3, 4, 2)
    assert KVCache(small, 2, 7, torch.bfloat16).nbytes == 2 * small.cache_bytes(7)


def test_samples_follow_the_distribution():
    logits = torch.tensor([[2.0, 1.0, 0.0, -1.0]]).repeat(20000, 1)
    for temperature, top_k in ((1.0, None), (0.5, 3), (2.0, 2), (1.0, 9)):
        drawn = choose(logits, temperature, top_k, torch.Generator().manual_seed(0))
        assert drawn.shape == (20000, 1)
        kept = logits[0].clone() / temperature
        kept[top_k or 4 :] = -math.inf
        share = torch.bincount(drawn.flatten(), minlength=4) / 20000
        torch.testing.assert_close(share, kept.softmax(-1), rtol=0, atol=5 * 0.5 / math.sqrt(20000))
        assert share[top_k or 4 :].sum() == 0


def test_text_is_reproducible_and_ends_where_it_is_told():
    torch.manual_seed(0)
    model = Llama(Config(17, 32, 2, 4, 2, max_positions=64))
    prompt = draw(model.config, 3, 4)

    def text(**options: object) -> torch.Tensor:
        return generate(model, prompt, 30, 1.0, generator=torch.Generator().manual_seed(5), **options)  # type: ignore[arg-type]

    free = text()
    assert free.shape == (3, 34)
    torch.testing.assert_close(free, text())
    torch.testing.assert_close(free[:, :4], prompt)
    stop = int(free[0, 10])
    ended = text(stop=stop)
    for row, other in zip(ended, free, strict=True):
        first = next((i for i in range(4, len(row)) if row[i] == stop), len(row))
        torch.testing.assert_close(row[:first], other[:first])
        assert (row[first:] == stop).all()
    assert generate(model, prompt, 0).shape == (3, 4)


def test_training_goes_on_after_inference_mode_and_copies_do_not_share():
    torch.manual_seed(0)
    model = Llama(Config(17, 32, 1, 2))
    tokens = draw(model.config, 2, 6)
    with torch.inference_mode():
        model(tokens)
    twin = copy.deepcopy(model)
    assert twin.head.weight is twin.embedding.weight
    model(tokens, tokens).backward()
    assert model.embedding.weight.grad is not None
    assert twin.embedding.weight.grad is None


def test_weights_come_as_a_copy():
    theirs = transformers_llama(CONFIGS["multi-head"])
    ours = from_transformers(theirs.state_dict(), CONFIGS["multi-head"])
    before = theirs.model.norm.weight.clone()
    with torch.no_grad():
        ours.norm.weight.zero_()
    torch.testing.assert_close(theirs.model.norm.weight.data, before)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"heads": 5}, "5 heads do not share a width of 48 in even parts"),
        ({"heads": 16}, "16 heads do not share"),
        ({"kv_heads": 3}, "4 query heads can't share 3"),
        ({"layers": 0}, "layers is 0"),
        ({"kv_heads": 0}, "kv_heads is 0"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(change, said):
    with pytest.raises(ValueError, match=said):
        Config(**{"vocab_size": 97, "dim": 48, "layers": 3, "heads": 4} | change)


def test_bad_input_is_one_clear_line():
    config = Config(17, 32, 1, 2, max_positions=8)
    model = Llama(config)
    tokens = draw(config, 2, 5)
    for said, call in {
        "must be \\(batch, length\\)": lambda: model(tokens[0]),
        "9 tokens are more than the 8 that fit": lambda: model(draw(config, 1, 9)),
        "5 tokens are more than the 4 that fit": lambda: model(tokens, cache=KVCache(config, 2, 4)),
        "the cache holds 1 sequences, but 2 came": lambda: model(tokens, cache=KVCache(config)),
        "5 \\+ 4 tokens are more than the 8": lambda: generate(model, tokens, 4),
        "at least 1": lambda: generate(model, tokens[:, :0], 4),
        "temperature -1": lambda: generate(model, tokens, 1, -1),
        "top_k 0": lambda: generate(model, tokens, 1, 1.0, 0),
    }.items():
        with pytest.raises(ValueError, match=said):
            call()


def test_a_state_dict_that_does_not_fit_is_refused():
    config = CONFIGS["multi-head"]
    weights = transformers_llama(config).state_dict()
    name = "model.layers.1.mlp.up_proj.weight"
    for said, wrong in {
        "no weights for blocks.1.mlp.up.weight": {n: w for n, w in weights.items() if n != name},
        r"blocks.1.mlp.up.weight is \(80, 47\), but must be \(80, 48\)": weights | {name: weights[name][:, 1:]},
        "which the config has no place for": weights | {"model.layers.3.mlp.up_proj.weight": weights[name]},
        "'model.layers.0.self_attn.q_proj.bias' is no weight of a Llama": weights
        | {"model.layers.0.self_attn.q_proj.bias": torch.ones(48)},
    }.items():
        with pytest.raises(ValueError, match=said):
            from_transformers(wrong, config)
