"""A training loop on one page: batches of text, AdamW with warm-up and cosine, and the loss in bits per byte."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

import torch
from rich.progress import track
from torch import Tensor, nn

Batch = tuple[Tensor, Tensor]


def batches(tokens: Tensor, batch: int, context: int, generator: torch.Generator | None = None) -> Iterator[Batch]:
    """Draw windows of text without end, each start equally likely.

    Args:
        tokens: (n,) int64, one long text; n is at least context + 1.
        batch: windows in a batch.
        context: tokens in a window.
        generator: where the draws come from (on the CPU); torch's global one when left out.

    Yields:
        (inputs, targets), both (batch, context) on the device of `tokens`; a target is the token after its input.

    Raises:
        ValueError: the text is shorter than one window and its last target. Raised by the call, not by the first batch.
    """
    if tokens.ndim != 1 or len(tokens) <= context:
        raise ValueError(f"a window of {context} tokens and its last target do not fit in {tuple(tokens.shape)} tokens")
    return _draw(tokens, batch, context, generator)


def _draw(tokens: Tensor, batch: int, context: int, generator: torch.Generator | None) -> Iterator[Batch]:
    steps = torch.arange(context + 1)
    while True:
        starts = torch.randint(len(tokens) - context, (batch, 1), generator=generator)
        windows = tokens[(starts + steps).to(tokens.device)]  # (batch, context + 1)
        yield windows[:, :-1], windows[:, 1:]


def learning_rate(step: int, steps: int, peak: float, warmup: int) -> float:
    """The rate of a step (counted from 0): up in a line to `peak`, then down a half cosine to a tenth of it."""
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - warmup)
    return peak * (0.1 + 0.9 * (1 + math.cos(math.pi * progress)) / 2)


def optimizer(model: nn.Module, lr: float, weight_decay: float = 0.1) -> torch.optim.AdamW:
    """AdamW with betas (0.9, 0.95); only matrices decay, not norms and biases."""
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=lr, betas=(0.9, 0.95), fused=True)


def fit(
    model: nn.Module,
    data: Iterable[Batch],
    steps: int,
    *,
    lr: float = 3e-3,
    warmup: int | None = None,
    weight_decay: float = 0.1,
    clip: float = 1.0,
    loss: Callable[[nn.Module, Tensor, Tensor], Tensor] | None = None,
    progress: str | None = "training",
) -> list[float]:
    """Train `model` in place for `steps` batches.

    Args:
        model: called as model(inputs, targets), which returns the mean loss, unless `loss` is given.
        data: batches of (inputs, targets), at least `steps` of them, such as `batches(...)`.
        lr: the peak of the learning rate; see `learning_rate`.
        warmup: steps up to the peak; a tenth of all steps when left out.
        weight_decay: of the matrices.
        clip: the largest global norm of a gradient; longer ones are shortened to it.
        loss: called as loss(model, inputs, targets) in place of the model.
        progress: the text beside the progress bar; None for no bar (a bar starts a thread, graded cells want none).

    Returns:
        The loss of each step, before its update, in nats per token.

    Raises:
        ValueError: the data ran out, or the loss is no finite number (the learning rate may be too high).
    """
    warmup = max(1, steps // 10) if warmup is None else warmup
    adamw = optimizer(model, lr, weight_decay)
    numbers = range(steps) if progress is None else track(range(steps), progress)
    losses: list[float] = []
    for step, (inputs, targets) in zip(numbers, data, strict=False):
        for group in adamw.param_groups:
            group["lr"] = learning_rate(step, steps, lr, warmup)
        value = model(inputs, targets) if loss is None else loss(model, inputs, targets)
        losses.append(value.item())
        if not math.isfinite(losses[-1]):
            raise ValueError(f"the loss of step {step} is {losses[-1]}; a lower learning rate than {lr} may help")
        adamw.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), clip)
        adamw.step()
    if len(losses) < steps:
        raise ValueError(f"the data ended after {len(losses)} of {steps} batches")
    return losses


@torch.no_grad()
def evaluate(model: nn.Module, tokens: Tensor, batch: int, context: int, limit: int | None = None) -> float:
    """The mean loss in nats per token over consecutive windows of a text, no window twice.

    The model is used in the mode it is in: call `model.eval()` first where it has dropout.

    Args:
        model: called as model(inputs, targets), which returns the mean loss.
        tokens: (n,) int64; what is left over after the last whole window is not used.
        batch: windows in a batch (the last batch may be smaller).
        context: tokens in a window.
        limit: stop after so many windows.

    Raises:
        ValueError: the text is shorter than one window and its last target.
    """
    count = min((len(tokens) - 1) // context, limit or len(tokens))
    if count < 1:
        raise ValueError(f"a window of {context} tokens and its last target do not fit in {len(tokens)} tokens")
    inputs = tokens[: count * context].view(count, context)
    targets = tokens[1 : count * context + 1].view(count, context)
    total = sum(model(x, y).item() * len(x) for x, y in zip(inputs.split(batch), targets.split(batch), strict=True))
    return total / count


def bits_per_byte(nats_per_token: float, tokens: int = 1, bytes: int = 1) -> float:
    """A loss that does not depend on the tokenizer: bits that the model needs for a byte of the text.

    Args:
        nats_per_token: the mean cross-entropy, as PyTorch gives it.
        tokens: how many tokens the text is.
        bytes: how many bytes of UTF-8 the same text is. Left out with `tokens`: a token is a byte.

    Raises:
        ValueError: `tokens` or `bytes` is not above 0.
    """
    if tokens <= 0 or bytes <= 0:
        raise ValueError(f"{tokens} tokens in {bytes} bytes is no text")
    return nats_per_token / math.log(2) * tokens / bytes
