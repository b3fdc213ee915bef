"""The training loop: what it draws, what it does in a step, and that a model learns by it."""

from __future__ import annotations

import math
import threading
from collections import Counter
from itertools import islice, pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from llmsys import corpus, train
from llmsys.llama import Config, Llama


@pytest.fixture(autouse=True)
def one_thread():
    """Small tensors on two busy cores are slower with two threads than with one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_batches_are_windows_and_what_comes_next():
    tokens = torch.arange(100, 150)
    for inputs, targets in islice(train.batches(tokens, 4, 7, seeded()), 20):
        assert inputs.shape == targets.shape == (4, 7)
        assert inputs.dtype == torch.int64
        torch.testing.assert_close(targets, inputs + 1)
        torch.testing.assert_close(inputs - inputs[:, :1], torch.arange(7).expand(4, 7))


def test_every_window_is_equally_likely_the_first_and_last_too():
    tokens = torch.arange(9)
    starts = torch.cat([inputs[:, 0] for inputs, _ in islice(train.batches(tokens, 1000, 4, seeded()), 10)])
    counts = torch.bincount(starts, minlength=6)  # 5 windows of 4 and a target fit in 9
    assert counts.nonzero().flatten().tolist() == [0, 1, 2, 3, 4]
    assert (counts[:5] - 2000).abs().max() < 6 * math.sqrt(2000)


def test_a_seed_says_which_batches():
    tokens = torch.randint(50, (500,))
    first, again, other = (next(train.batches(tokens, 3, 8, seeded(s)))[0] for s in (1, 1, 2))
    torch.testing.assert_close(first, again)
    assert not torch.equal(first, other)


def test_a_text_that_is_too_short_is_refused_at_once():
    assert next(train.batches(torch.arange(5), 2, 4))[0].tolist() == [[0, 1, 2, 3]] * 2
    with pytest.raises(ValueError, match="a window of 5 tokens and its last target do not fit"):
        train.batches(torch.arange(5), 2, 5)
    with pytest.raises(ValueError, match="do not fit"):
        train.evaluate(nn.Identity(), torch.arange(5), 2, 5)


def test_the_rate_goes_up_in_a_line_and_down_a_cosine():
    rates = [train.learning_rate(step, 110, 2.0, 10) for step in range(110)]
    assert rates[:10] == pytest.approx([0.2 * (i + 1) for i in range(10)])
    assert rates[10] == 2.0
    assert rates[60] == pytest.approx((2.0 + 0.2) / 2)  # half way down from the peak to a tenth of it
    assert rates[-1] == pytest.approx(0.2, rel=0.01)
    assert train.learning_rate(0, 1, 2.0, 0) == 2.0


class Small(nn.Module):
    """A model with a matrix, a vector and a weight that is not trained."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.norm = nn.Embedding(11, 6), nn.LayerNorm(6)
        self.frozen = nn.Parameter(torch.ones(6, 6), requires_grad=False)

    def forward(self, tokens: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        logits = self.norm(self.embedding(tokens)) @ self.embedding.weight.T
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def test_a_run_is_what_torch_does_step_by_step():
    torch.manual_seed(0)
    model, oracle = Small(), Small()
    oracle.load_state_dict(model.state_dict())
    data = list(islice(train.batches(torch.randint(11, (200,)), 3, 8, seeded()), 12))
    losses = train.fit(model, data, 12, lr=0.05, warmup=4, weight_decay=0.5, clip=0.3, progress=None)

    matrices, vectors = [oracle.embedding.weight], [oracle.norm.weight, oracle.norm.bias]
    groups = [{"params": matrices, "weight_decay": 0.5}, {"params": vectors, "weight_decay": 0.0}]
    adamw = torch.optim.AdamW(groups, lr=0.05, betas=(0.9, 0.95))

    def shape(step: int) -> float:
        return (step + 1) / 4 if step < 4 else 0.1 + 0.45 * (1 + math.cos(math.pi * (step - 4) / 8))

    schedule = torch.optim.lr_scheduler.LambdaLR(adamw, shape)
    expected, clipped = [], 0
    for inputs, targets in data:
        loss = oracle(inputs, targets)
        expected.append(loss.item())
        adamw.zero_grad()
        loss.backward()
        norm = math.sqrt(sum(p.grad.square().sum().item() for p in matrices + vectors))
        clipped += norm > 0.3
        for p in matrices + vectors:
            p.grad *= min(1.0, 0.3 / norm)
        adamw.step()
        schedule.step()
    assert clipped
    assert losses == pytest.approx(expected, rel=1e-5)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter, oracle.get_parameter(name), rtol=1e-5, atol=1e-6)
    assert model.frozen.eq(1).all()


def test_a_loss_of_ones_own_stands_in_for_the_models():
    torch.manual_seed(0)
    model, twin = nn.Linear(3, 4), nn.Linear(3, 4)
    twin.load_state_dict(model.state_dict())
    data = [(torch.randn(5, 3), torch.randint(4, (5,))) for _ in range(3)]

    def loss(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(model(x), y)

    assert train.fit(model, data, 3, loss=loss, progress=None)[0] == loss(twin, *data[0]).item()


def test_a_model_learns_to_tell_stories():
    torch.manual_seed(0)
    text = "\n".join(corpus.stories(400))
    pairs, firsts = Counter(pairwise(text)), Counter(text[:-1])
    knows_pairs = -sum(n * math.log(n / firsts[a]) for (a, _), n in pairs.items()) / (len(text) - 1)

    tokens = corpus.byte_tokens(text)
    model = Llama(Config(256, 64, 2, 2, hidden_dim=128))
    before = train.evaluate(model, tokens, 8, 64, limit=8)
    threads = threading.active_count()
    losses = train.fit(model, train.batches(tokens, 8, 64, seeded()), 400, lr=1e-2, progress=None)
    assert threading.active_count() == threads  # a progress bar would have started one
    assert len(losses) == 400
    assert abs(losses[0] - math.log(256)) < 0.3
    assert abs(before - math.log(256)) < 0.3
    # Better than the best that a look at the last byte alone allows, 2.1 nats.
    assert train.evaluate(model, tokens, 8, 64, limit=8) < knows_pairs - 0.3


def test_a_bar_shows_the_way(capsys):
    train.fit(Small(), train.batches(torch.randint(11, (99,)), 2, 4), 3, progress="learning")
    assert "learning" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"steps": 4}, "the data ended after 2 of 4 batches"),
        ({"steps": 2, "loss": lambda m, x, y: m(x, y) * math.nan}, "the loss of step 0 is nan"),
    ],
)
def test_what_can_not_go_on_says_so(wrong, said):
    model = Small()
    before = model.embedding.weight.clone()
    data = list(islice(train.batches(torch.randint(11, (99,)), 2, 4), 2))
    with pytest.raises(ValueError, match=said):
        train.fit(model, data, progress=None, **wrong)
    if "loss" in wrong:
        torch.testing.assert_close(model.embedding.weight, before)


def test_evaluation_reads_each_window_once():
    torch.manual_seed(0)
    model, tokens = Small(), torch.randint(11, (52,))
    windows = [(tokens[i : i + 7][None], tokens[i + 1 : i + 8][None]) for i in range(0, 49, 7)]
    each = [model(x, y).item() for x, y in windows]
    assert train.evaluate(model, tokens, 4, 7) == pytest.approx(sum(each) / 7)
    assert train.evaluate(model, tokens, 4, 7, limit=2) == pytest.approx(sum(each[:2]) / 2)


def test_bits_per_byte():
    assert train.bits_per_byte(math.log(256)) == pytest.approx(8)
    assert train.bits_per_byte(math.log(4), tokens=10, bytes=40) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="0 bytes is no text"):
        train.bits_per_byte(1.0, 3, 0)
