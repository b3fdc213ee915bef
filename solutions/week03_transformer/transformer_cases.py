# %% [markdown]
# # Cases of `transformer`: wrong and alternative answers that prove its tests


# %% [markdown]
# ## sinusoidal


# %% misconception="sines first, then cosines" exercise="sinusoidal"
# Two halves are easier to write than two combs; much code (and RoPE, in one of its forms) does it so.
def sinusoidal(length, dim):
    if dim % 2:
        raise ValueError("dim must be even")
    positions = torch.arange(length, dtype=torch.float64)[:, None]
    frequencies = 10000.0 ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)
    return torch.cat((torch.sin(positions * frequencies), torch.cos(positions * frequencies)), -1).float()


# %% misconception="exponent i / dim" exercise="sinusoidal"
# The paper writes 2i; who loops over pairs with i forgets the 2.
def sinusoidal(length, dim):
    if dim % 2:
        raise ValueError("dim must be even")
    positions = torch.arange(length, dtype=torch.float64)[:, None]
    frequencies = 10000.0 ** (-torch.arange(dim // 2, dtype=torch.float64) / dim)
    table = torch.empty(length, dim)
    table[:, 0::2] = torch.sin(positions * frequencies)
    table[:, 1::2] = torch.cos(positions * frequencies)
    return table


# %% misconception="every column has its own frequency" exercise="sinusoidal"
# The column's number goes into the exponent, for cosines too: the pair is no clock hand any more.
def sinusoidal(length, dim):
    if dim % 2:
        raise ValueError("dim must be even")
    positions = torch.arange(length, dtype=torch.float64)[:, None]
    frequencies = 10000.0 ** (-torch.arange(dim, dtype=torch.float64) / dim)
    table = torch.empty(length, dim)
    table[:, 0::2] = torch.sin(positions * frequencies[0::2])
    table[:, 1::2] = torch.cos(positions * frequencies[1::2])
    return table


# %% misconception="positions from 1" exercise="sinusoidal"
# Sentences begin at word one.
def sinusoidal(length, dim):
    if dim % 2:
        raise ValueError("dim must be even")
    positions = torch.arange(1, length + 1, dtype=torch.float64)[:, None]
    frequencies = 10000.0 ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)
    table = torch.empty(length, dim)
    table[:, 0::2] = torch.sin(positions * frequencies)
    table[:, 1::2] = torch.cos(positions * frequencies)
    return table


# %% misconception="angles in float32" exercise="sinusoidal"
# float32 is the dtype of the result, so why compute in another? Near position 0 nothing shows.
def sinusoidal(length, dim):
    if dim % 2:
        raise ValueError("dim must be even")
    positions = torch.arange(length, dtype=torch.float32)[:, None]
    frequencies = 10000.0 ** (-torch.arange(0, dim, 2, dtype=torch.float32) / dim)
    table = torch.empty(length, dim)
    table[:, 0::2] = torch.sin(positions * frequencies)
    table[:, 1::2] = torch.cos(positions * frequencies)
    return table


# %% misconception="sine and cosine swapped" exercise="sinusoidal"
# cos(0) = 1 comes first in complex numbers: e^(ix) = cos x + i sin x.
def sinusoidal(length, dim):
    if dim % 2:
        raise ValueError("dim must be even")
    positions = torch.arange(length, dtype=torch.float64)[:, None]
    frequencies = 10000.0 ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)
    table = torch.empty(length, dim)
    table[:, 1::2] = torch.sin(positions * frequencies)
    table[:, 0::2] = torch.cos(positions * frequencies)
    return table


# %% misconception="float64 is returned" exercise="sinusoidal"
# Computed in float64 as told, and never rounded.
def sinusoidal(length, dim):
    if dim % 2:
        raise ValueError("dim must be even")
    positions = torch.arange(length, dtype=torch.float64)[:, None]
    frequencies = 10000.0 ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)
    table = torch.empty(length, dim, dtype=torch.float64)
    table[:, 0::2] = torch.sin(positions * frequencies)
    table[:, 1::2] = torch.cos(positions * frequencies)
    return table


# %% misconception="an odd width is rounded down" exercise="sinusoidal"
# The table just gets the pairs that fit, and a column of zeros.
def sinusoidal(length, dim):
    positions = torch.arange(length, dtype=torch.float64)[:, None]
    frequencies = 10000.0 ** (-torch.arange(0, dim - 1, 2, dtype=torch.float64) / dim)
    table = torch.zeros(length, dim)
    table[:, 0 : dim - dim % 2 : 2] = torch.sin(positions * frequencies)
    table[:, 1 : dim - dim % 2 : 2] = torch.cos(positions * frequencies)
    return table


# %% misconception="frequency rises with the column" exercise="sinusoidal"
# Divides where it should multiply: the exponent's sign.
def sinusoidal(length, dim):
    if dim % 2:
        raise ValueError("dim must be even")
    positions = torch.arange(length, dtype=torch.float64)[:, None]
    frequencies = 10000.0 ** (torch.arange(0, dim, 2, dtype=torch.float64) / dim)
    table = torch.empty(length, dim)
    table[:, 0::2] = torch.sin(positions * frequencies)
    table[:, 1::2] = torch.cos(positions * frequencies)
    return table


# %% misconception="base 1000" exercise="sinusoidal"
# A zero went missing.
def sinusoidal(length, dim):
    if dim % 2:
        raise ValueError("dim must be even")
    positions = torch.arange(length, dtype=torch.float64)[:, None]
    frequencies = 1000.0 ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)
    table = torch.empty(length, dim)
    table[:, 0::2] = torch.sin(positions * frequencies)
    table[:, 1::2] = torch.cos(positions * frequencies)
    return table


# %% alternative="exp of logarithms" exercise="sinusoidal"
# As in The Annotated Transformer, but in float64.
def sinusoidal(length, dim):
    if dim % 2:
        raise ValueError("dim must be even")
    positions = torch.arange(length, dtype=torch.float64)[:, None]
    frequencies = torch.exp(torch.arange(0, dim, 2, dtype=torch.float64) * (-math.log(10000.0) / dim))
    table = torch.empty(length, dim)
    table[:, 0::2] = torch.sin(positions * frequencies)
    table[:, 1::2] = torch.cos(positions * frequencies)
    return table


# %% alternative="plain loops" exercise="sinusoidal"
# The formula, entry by entry.
def sinusoidal(length, dim):
    if dim % 2 != 0:
        raise ValueError(dim)
    rows = [
        [f(p / 10000 ** (2 * i / dim)) for i in range(dim // 2) for f in (math.sin, math.cos)] for p in range(length)
    ]
    return torch.tensor(rows, dtype=torch.float32).reshape(length, dim)


# %% alternative="complex exponential" exercise="sinusoidal"
# A clock hand is a complex number; view_as_real gives cosine and sine.
def sinusoidal(length, dim):
    if dim % 2:
        raise ValueError("pairs")
    angles = np.arange(length)[:, None] / 10000.0 ** (np.arange(0, dim, 2) / dim)
    hands = np.exp(1j * angles)
    return torch.from_numpy(np.stack((hands.imag, hands.real), -1).reshape(length, dim)).to(torch.float32)


# %% misconception="odd dim is noticed in the loop only" exercise="sinusoidal"
# The pair that does not fit is met in the loop; without positions there is no loop to meet it.
def sinusoidal(length: int, dim: int) -> Float[Tensor, "length dim"]:
    table = torch.zeros(length, dim, dtype=torch.float32)
    for p in range(length):
        for i in range(0, dim, 2):
            if i + 1 >= dim:
                raise ValueError("dim is odd")
            angle = p / 10000 ** (i / dim)
            table[p, i] = math.sin(angle)
            table[p, i + 1] = math.cos(angle)
    return table


# %% misconception="integer division gives float32 exponents" exercise="sinusoidal"
# The positions are float64, but an integer tensor divided by an integer is float32: the frequencies have 24 bits.
def sinusoidal(length: int, dim: int) -> Float[Tensor, "length dim"]:
    if dim % 2 != 0:
        raise ValueError(f"dim must be even, not {dim}")
    frequency = 1.0 / 10000 ** (torch.arange(0, dim, 2) / dim)
    angles = torch.outer(torch.arange(length, dtype=torch.float64), frequency.double())
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1).float()


# %% misconception="max_len of 5000" exercise="sinusoidal"
# The tutorial's buffer has 5000 rows, of which the first are handed out.
def sinusoidal(length: int, dim: int, max_len: int = 5000) -> Float[Tensor, "length dim"]:
    if dim % 2:
        raise ValueError("dim must be even")
    position = torch.arange(max_len, dtype=torch.float64).unsqueeze(1)
    div_term = torch.exp(torch.arange(0, dim, 2, dtype=torch.float64) * (-math.log(10000.0) / dim))
    pe = torch.zeros(max_len, dim)
    pe[:, 0::2] = torch.sin(position * div_term)
    pe[:, 1::2] = torch.cos(position * div_term)
    return pe[:length]


# %% alternative="cosine as a shifted sine, numpy" exercise="sinusoidal"
# cos a = sin(a + pi / 2); in float64 the addition costs some 1e-12 at position 20,000.
def sinusoidal(length: int, dim: int) -> Float[Tensor, "length dim"]:
    if dim % 2:
        raise ValueError("dim must be an even number")
    column = np.arange(dim)
    angles = np.arange(length)[:, None] * np.power(10000.0, -(column // 2 * 2) / dim)[None, :]
    angles[:, 1::2] += np.pi / 2
    return torch.from_numpy(np.sin(angles).astype(np.float32))


# %% [markdown]
# ## attention


# %% misconception="not scaled" exercise="attention"
# The root looks like a detail.
def attention(q, k, v, mask=None):
    wide = torch.promote_types(q.dtype, torch.float32)
    scores = q.to(wide) @ k.to(wide).transpose(-2, -1)
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    top = scores.detach().amax(-1, keepdim=True).clamp(min=torch.finfo(wide).min)
    weights = torch.exp(scores - top)
    weights = weights / weights.sum(-1, keepdim=True).clamp(min=1)
    return (weights @ v.to(wide)).to(q.dtype)


# %% misconception="scaled by the width of v" exercise="attention"
# Any of the last axes seems to be d; they only differ where d_v does.
def attention(q, k, v, mask=None):
    wide = torch.promote_types(q.dtype, torch.float32)
    scores = q.to(wide) @ k.to(wide).transpose(-2, -1) / math.sqrt(v.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    top = scores.detach().amax(-1, keepdim=True).clamp(min=torch.finfo(wide).min)
    weights = torch.exp(scores - top)
    weights = weights / weights.sum(-1, keepdim=True).clamp(min=1)
    return (weights @ v.to(wide)).to(q.dtype)


# %% misconception="scaled by d" exercise="attention"
# The variance is d, so divide by d; but it is the standard deviation that one wants.
def attention(q, k, v, mask=None):
    wide = torch.promote_types(q.dtype, torch.float32)
    scores = q.to(wide) @ k.to(wide).transpose(-2, -1) / q.shape[-1]
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    top = scores.detach().amax(-1, keepdim=True).clamp(min=torch.finfo(wide).min)
    weights = torch.exp(scores - top)
    weights = weights / weights.sum(-1, keepdim=True).clamp(min=1)
    return (weights @ v.to(wide)).to(q.dtype)


# %% misconception="softmax over the queries" exercise="attention"
# Axis -2 is the queries; square matrices do not protest.
def attention(q, k, v, mask=None):
    wide = torch.promote_types(q.dtype, torch.float32)
    scores = q.to(wide) @ k.to(wide).transpose(-2, -1) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    top = scores.detach().amax(-2, keepdim=True).clamp(min=torch.finfo(wide).min)
    weights = torch.exp(scores - top)
    weights = weights / weights.sum(-2, keepdim=True).clamp(min=1)
    return (weights @ v.to(wide)).to(q.dtype)


# %% misconception="inverted mask" exercise="attention"
# nn.MultiheadAttention's True means hidden.
def attention(q, k, v, mask=None):
    wide = torch.promote_types(q.dtype, torch.float32)
    scores = q.to(wide) @ k.to(wide).transpose(-2, -1) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(mask, -math.inf)
    top = scores.detach().amax(-1, keepdim=True).clamp(min=torch.finfo(wide).min)
    weights = torch.exp(scores - top)
    weights = weights / weights.sum(-1, keepdim=True).clamp(min=1)
    return (weights @ v.to(wide)).to(q.dtype)


# %% misconception="minus a billion instead of minus infinity" exercise="attention"
# Avoids the NaN, as many implementations do; a row that sees nothing then sees everything.
def attention(q, k, v, mask=None):
    wide = torch.promote_types(q.dtype, torch.float32)
    scores = q.to(wide) @ k.to(wide).transpose(-2, -1) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -1e9)
    top = scores.detach().amax(-1, keepdim=True).clamp(min=torch.finfo(wide).min)
    weights = torch.exp(scores - top)
    weights = weights / weights.sum(-1, keepdim=True).clamp(min=1)
    return (weights @ v.to(wide)).to(q.dtype)


# %% misconception="mask after the softmax" exercise="attention"
# Weights of hidden keys are set to zero, and the rest no longer sums to one.
def attention(q, k, v, mask=None):
    wide = torch.promote_types(q.dtype, torch.float32)
    scores = q.to(wide) @ k.to(wide).transpose(-2, -1) / math.sqrt(q.shape[-1])
    top = scores.detach().amax(-1, keepdim=True).clamp(min=torch.finfo(wide).min)
    weights = torch.exp(scores - top)
    weights = weights / weights.sum(-1, keepdim=True).clamp(min=1)
    if mask is not None:
        weights = weights * mask
    return (weights @ v.to(wide)).to(q.dtype)


# %% misconception="NaN where nothing is seen" exercise="attention"
# The textbook softmax, minus infinity minus minus infinity.
def attention(q, k, v, mask=None):
    wide = torch.promote_types(q.dtype, torch.float32)
    scores = q.to(wide) @ k.to(wide).transpose(-2, -1) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    top = scores.detach().amax(-1, keepdim=True)
    weights = torch.exp(scores - top)
    weights = weights / weights.sum(-1, keepdim=True)
    return (weights @ v.to(wide)).to(q.dtype)


# %% misconception="added mask, NaN patched afterwards" exercise="attention"
# nan_to_num mends the value; the gradient of an added mask still carries 0 times NaN.
def attention(q, k, v, mask=None):
    wide = torch.promote_types(q.dtype, torch.float32)
    scores = q.to(wide) @ k.to(wide).transpose(-2, -1) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores + torch.zeros_like(mask, dtype=wide).masked_fill(~mask, -math.inf)
    top = scores.detach().amax(-1, keepdim=True)
    weights = torch.exp(scores - top)
    weights = weights / weights.sum(-1, keepdim=True)
    weights = weights.nan_to_num(0.0)
    return (weights @ v.to(wide)).to(q.dtype)


# %% alternative="NaN patched, where masked_fill stops the gradient" exercise="attention"
# The gradient of masked_fill is zero at every hidden score, so no NaN gets behind it.
def attention(q, k, v, mask=None):
    wide = torch.promote_types(q.dtype, torch.float32)
    scores = q.to(wide) @ k.to(wide).transpose(-2, -1) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    top = scores.detach().amax(-1, keepdim=True)
    weights = torch.exp(scores - top)
    weights = weights / weights.sum(-1, keepdim=True)
    weights = weights.nan_to_num(0.0)
    return (weights @ v.to(wide)).to(q.dtype)


# %% misconception="the maximum is not subtracted" exercise="attention"
# On paper it cancels.
def attention(q, k, v, mask=None):
    wide = torch.promote_types(q.dtype, torch.float32)
    scores = q.to(wide) @ k.to(wide).transpose(-2, -1) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    weights = torch.exp(scores)
    weights = weights / weights.sum(-1, keepdim=True).clamp(min=1e-30)
    return (weights @ v.to(wide)).to(q.dtype)


# %% misconception="one maximum for all" exercise="attention"
# Any constant cancels, so why not the largest score of all? Rows that lie far below underflow to 0 / 0.
def attention(q, k, v, mask=None):
    wide = torch.promote_types(q.dtype, torch.float32)
    scores = q.to(wide) @ k.to(wide).transpose(-2, -1) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    top = scores.detach().amax().clamp(min=torch.finfo(wide).min)
    weights = torch.exp(scores - top)
    weights = weights / weights.sum(-1, keepdim=True).clamp(min=1e-30)
    return (weights @ v.to(wide)).to(q.dtype)


# %% misconception="computed in the dtype of the inputs" exercise="attention"
# PyTorch has fp16 and bf16 arithmetic, so use it.
def attention(q, k, v, mask=None):
    wide = q.dtype
    scores = q.to(wide) @ k.to(wide).transpose(-2, -1) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    top = scores.detach().amax(-1, keepdim=True).clamp(min=torch.finfo(wide).min)
    weights = torch.exp(scores - top)
    weights = weights / weights.sum(-1, keepdim=True).clamp(min=1)
    return (weights @ v.to(wide)).to(q.dtype)


# %% misconception="scores in fp16, softmax in float32" exercise="attention"
# Only the softmax was said to be delicate; the product of queries and keys overflows before.
def attention(q, k, v, mask=None):
    wide = torch.promote_types(q.dtype, torch.float32)
    scores = (q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])).to(wide)
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    top = scores.detach().amax(-1, keepdim=True).clamp(min=torch.finfo(wide).min)
    weights = torch.exp(scores - top)
    weights = weights / weights.sum(-1, keepdim=True).clamp(min=1)
    return (weights @ v.to(wide)).to(q.dtype)


# %% misconception="weights rounded before the mean" exercise="attention"
# As many implementations do for speed: softmax in float32, cast back, then the product.
def attention(q, k, v, mask=None):
    wide = torch.promote_types(q.dtype, torch.float32)
    scores = q.to(wide) @ k.to(wide).transpose(-2, -1) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    top = scores.detach().amax(-1, keepdim=True).clamp(min=torch.finfo(wide).min)
    weights = torch.exp(scores - top)
    weights = weights / weights.sum(-1, keepdim=True).clamp(min=1)
    return weights.to(q.dtype) @ v


# %% misconception="float64 computed in float32" exercise="attention"
# float32 is the safe dtype, so everything is cast to it.
def attention(q, k, v, mask=None):
    wide = torch.float32
    scores = q.to(wide) @ k.to(wide).transpose(-2, -1) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    top = scores.detach().amax(-1, keepdim=True).clamp(min=torch.finfo(wide).min)
    weights = torch.exp(scores - top)
    weights = weights / weights.sum(-1, keepdim=True).clamp(min=1)
    return (weights @ v.to(wide)).to(q.dtype)


# %% misconception="float32 is returned" exercise="attention"
# Computed in float32 and not cast back.
def attention(q, k, v, mask=None):
    wide = torch.promote_types(q.dtype, torch.float32)
    scores = q.to(wide) @ k.to(wide).transpose(-2, -1) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    top = scores.detach().amax(-1, keepdim=True).clamp(min=torch.finfo(wide).min)
    weights = torch.exp(scores - top)
    weights = weights / weights.sum(-1, keepdim=True).clamp(min=1)
    return weights @ v.to(wide)


# %% misconception="torch's own" exercise="attention"
# One call that is right in nearly everything; the exercise asks for the arithmetic.
def attention(q, k, v, mask=None):
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)


# %% misconception="torch's softmax" exercise="attention"
# The half that looks solved already.
def attention(q, k, v, mask=None):
    wide = torch.promote_types(q.dtype, torch.float32)
    scores = q.to(wide) @ k.to(wide).transpose(-2, -1) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    weights = torch.softmax(scores, dim=-1)
    if mask is not None:
        weights = weights.masked_fill(~mask, 0.0)
    return (weights @ v.to(wide)).to(q.dtype)


# %% misconception="keys transposed with .T" exercise="attention"
# numpy's habit: all axes are turned round, not the last two.
def attention(q, k, v, mask=None):
    wide = torch.promote_types(q.dtype, torch.float32)
    scores = q.to(wide) @ k.to(wide).permute(*reversed(range(k.ndim))) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    top = scores.detach().amax(-1, keepdim=True).clamp(min=torch.finfo(wide).min)
    weights = torch.exp(scores - top)
    weights = weights / weights.sum(-1, keepdim=True).clamp(min=1)
    return (weights @ v.to(wide)).to(q.dtype)


# %% misconception="only two leading axes" exercise="attention"
# Unpacks batch and heads, which is what models have; the docstring promises any number.
def attention(q, k, v, mask=None):
    batch, heads, n = q.shape[0], q.shape[1], q.shape[-2]
    k, v = (t.reshape(batch, heads, -1, t.shape[-1]) for t in (k, v))
    q = q.reshape(batch, heads, n, -1)
    wide = torch.promote_types(q.dtype, torch.float32)
    scores = q.to(wide) @ k.to(wide).transpose(-2, -1) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    top = scores.detach().amax(-1, keepdim=True).clamp(min=torch.finfo(wide).min)
    weights = torch.exp(scores - top)
    weights = weights / weights.sum(-1, keepdim=True).clamp(min=1)
    return (weights @ v.to(wide)).to(q.dtype)


# %% alternative="einsum and the sum divided at the end" exercise="attention"
# The normaliser is one number a row, so it may wait.
def attention(q, k, v, mask=None):
    wide = torch.promote_types(q.dtype, torch.float32)
    scores = torch.einsum("...qd,...kd->...qk", q.to(wide), k.to(wide)) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    top = scores.detach().amax(-1, keepdim=True).clamp(min=torch.finfo(wide).min)
    weights = torch.exp(scores - top)
    total = weights.sum(-1, keepdim=True).clamp(min=1)
    return (torch.einsum("...qk,...kd->...qd", weights, v.to(wide)) / total).to(q.dtype)


# %% alternative="where, before and after" exercise="attention"
# Rows without keys get harmless scores first and zeros last, so no NaN ever arises; always in float64.
def attention(q, k, v, mask=None):
    scores = (q.double() / math.sqrt(q.shape[-1])) @ k.double().mT
    if mask is None:
        mask = torch.ones_like(scores, dtype=torch.bool)
    seen = mask.any(-1, keepdim=True)
    scores = torch.where(mask | ~seen, scores, -torch.inf)
    weights = (scores - torch.logsumexp(scores, -1, keepdim=True)).exp()
    return torch.where(seen, weights @ v.double(), 0.0).to(q.dtype)


# %% alternative="blocks of keys with a running maximum" exercise="attention"
# The recurrence of FlashAttention, one key at a time.
def attention(q, k, v, mask=None):
    wide = torch.promote_types(q.dtype, torch.float32)
    q_, k_, v_ = (t.to(wide) for t in (q, k, v))
    n_q, n_k = q.shape[-2], k.shape[-2]
    if mask is not None:
        mask = mask.expand(*q.shape[:-2], n_q, n_k)
    low = torch.finfo(wide).min
    top = q_.new_full((*q.shape[:-1], 1), low)
    total = torch.zeros_like(top)
    mix = q_.new_zeros(*q.shape[:-1], v.shape[-1])
    for j in range(n_k):
        score = (q_ * k_[..., j : j + 1, :]).sum(-1, keepdim=True) / math.sqrt(q.shape[-1])
        if mask is not None:
            score = score.masked_fill(~mask[..., j : j + 1], -torch.inf)
        new = torch.maximum(top, score.detach())
        shrink, weight = torch.exp(top - new), torch.exp(score - new)
        total = total * shrink + weight
        mix = mix * shrink + weight * v_[..., j : j + 1, :]
        top = new
    return (mix / total.clamp(min=1)).to(q.dtype)


# %% alternative="weights multiplied by the mask" exercise="attention"
# exp of the plain scores, less their masked maximum, times the mask.
def attention(q, k, v, mask=None):
    wide = torch.float64 if q.dtype == torch.float64 else torch.float32
    scores = torch.matmul(q.to(wide), k.to(wide).swapaxes(-1, -2)) * (q.size(-1) ** -0.5)
    mask = torch.ones((), dtype=torch.bool) if mask is None else mask
    hidden = torch.where(mask, scores, torch.finfo(wide).min)
    top = hidden.max(dim=-1, keepdim=True).values.detach()
    weights = torch.exp(hidden - top) * mask
    total = weights.sum(dim=-1, keepdim=True)
    total = torch.where(total == 0, torch.ones_like(total), total)
    return ((weights / total) @ v.to(wide)).to(q.dtype)


# %% misconception="torch._safe_softmax" exercise="attention"
# PyTorch has a softmax that gives zeros for rows without keys, under a private name.
def attention(q, k, v, mask=None):
    dtype = torch.promote_types(q.dtype, torch.float32)
    scores = q.to(dtype) @ k.to(dtype).mT / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return (torch._safe_softmax(scores, -1) @ v.to(dtype)).to(q.dtype)


# %% misconception="sum detached" exercise="attention"
# If the maximum may be a constant for autograd, why not the sum? The maximum cancels; the sum does not.
def attention(q, k, v, mask=None):
    dtype = torch.promote_types(q.dtype, torch.float32)
    scores = q.to(dtype) @ k.to(dtype).mT / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    with torch.no_grad():
        top = scores.amax(-1, keepdim=True).clamp(min=torch.finfo(dtype).min)
        total = torch.exp(scores - top).sum(-1, keepdim=True).clamp(min=1)
    return ((torch.exp(scores - top) / total) @ v.to(dtype)).to(q.dtype)


# %% misconception="the maximum of the masked keys too" exercise="attention"
# The mask comes last, so a hidden key with a large score pushes all visible weights to zero.
def attention(q, k, v, mask=None):
    dtype = torch.promote_types(q.dtype, torch.float32)
    scores = q.to(dtype) @ k.to(dtype).mT / math.sqrt(q.shape[-1])
    e = torch.exp(scores - scores.amax(-1, keepdim=True))
    if mask is not None:
        e = e * mask
    total = e.sum(-1, keepdim=True)
    e = e / total.masked_fill(total == 0, 1)
    return (e @ v.to(dtype)).to(q.dtype)


# %% misconception="leading axes flattened, mask with them" exercise="attention"
# bmm wants three axes; the mask is reshaped with the rest, where it should have been broadcast.
def attention(q, k, v, mask=None):
    dtype = torch.promote_types(q.dtype, torch.float32)
    lead, (n_q, d), n_k = q.shape[:-2], q.shape[-2:], k.shape[-2]
    q_ = q.reshape(-1, n_q, d).to(dtype)
    k_ = k.reshape(-1, n_k, d).to(dtype)
    v_ = v.reshape(-1, n_k, v.shape[-1]).to(dtype)
    scores = torch.bmm(q_, k_.transpose(1, 2)) / math.sqrt(d)
    if mask is not None:
        scores = scores.masked_fill(~mask.reshape(-1, n_q, n_k), -torch.inf)
    top = scores.amax(-1, keepdim=True).clamp(min=torch.finfo(dtype).min)
    e = torch.exp(scores - top)
    out = torch.bmm(e / e.sum(-1, keepdim=True).clamp(min=1), v_)
    return out.reshape(*lead, n_q, v.shape[-1]).to(q.dtype)


# %% alternative="nested functions, scale split over q and k" exercise="attention"
# Queries and keys are divided by the fourth root of d; rows that see nothing are opened, and zeroed at the end.
def attention(q, k, v, mask=None):
    wide = q.dtype if q.dtype == torch.float64 else torch.float32

    def own_softmax(s):
        s = s - s.max(dim=-1, keepdim=True).values.detach()
        e = s.exp()
        return e / e.sum(dim=-1, keepdim=True)

    root = q.shape[-1] ** 0.25
    scores = (q.to(wide) / root) @ (k.to(wide) / root).transpose(-1, -2)
    if mask is None:
        return (own_softmax(scores) @ v.to(wide)).to(q.dtype)
    sees = mask.any(dim=-1, keepdim=True)
    scores = scores.masked_fill(~(mask | ~sees), float("-inf"))
    return (own_softmax(scores).masked_fill(~sees, 0.0) @ v.to(wide)).to(q.dtype)


# %% [markdown]
# ## masks


# %% misconception="inverted causal mask" exercise="masks"
# True for what is to be hidden, as nn.Transformer has it.
def causal_mask(queries, keys, device=None):
    if queries > keys:
        raise ValueError("more queries than keys")
    position = torch.arange(keys - queries, keys, device=device)[:, None]
    return torch.arange(keys, device=device)[None, :] > position


def padding_mask(lengths, keys):
    return (torch.arange(keys, device=lengths.device) < lengths[:, None])[:, None, None, :]


# %% misconception="the queries are the first positions" exercise="masks"
# tril without an offset: right for squares, wrong as soon as keys are cached.
def causal_mask(queries, keys, device=None):
    if queries > keys:
        raise ValueError("more queries than keys")
    position = torch.arange(queries, device=device)[:, None]
    return torch.arange(keys, device=device)[None, :] <= position


def padding_mask(lengths, keys):
    return (torch.arange(keys, device=lengths.device) < lengths[:, None])[:, None, None, :]


# %% misconception="a token does not see itself" exercise="masks"
# The future begins at the next token, but 'before' was taken literally.
def causal_mask(queries, keys, device=None):
    if queries > keys:
        raise ValueError("more queries than keys")
    position = torch.arange(keys - queries, keys, device=device)[:, None]
    return torch.arange(keys, device=device)[None, :] < position


def padding_mask(lengths, keys):
    return (torch.arange(keys, device=lengths.device) < lengths[:, None])[:, None, None, :]


# %% misconception="transposed" exercise="masks"
# triu and tril look alike until one says which axis is the query.
def causal_mask(queries, keys, device=None):
    if queries > keys:
        raise ValueError("more queries than keys")
    position = torch.arange(keys - queries, keys, device=device)[:, None]
    return (torch.arange(keys, device=device)[None, :] <= position).mT.reshape(queries, keys)


def padding_mask(lengths, keys):
    return (torch.arange(keys, device=lengths.device) < lengths[:, None])[:, None, None, :]


# %% misconception="everything may be seen when there are fewer queries than keys" exercise="masks"
# While decoding, nothing lies in the future; right for one query only.
def causal_mask(queries, keys, device=None):
    if queries > keys:
        raise ValueError("more queries than keys")
    if queries < keys:
        return torch.ones(queries, keys, dtype=torch.bool, device=device)
    position = torch.arange(keys - queries, keys, device=device)[:, None]
    return torch.arange(keys, device=device)[None, :] <= position


def padding_mask(lengths, keys):
    return (torch.arange(keys, device=lengths.device) < lengths[:, None])[:, None, None, :]


# %% misconception="additive mask" exercise="masks"
# 0 and minus infinity, to be added to the scores.
def causal_mask(queries, keys, device=None):
    if queries > keys:
        raise ValueError("more queries than keys")
    position = torch.arange(keys - queries, keys, device=device)[:, None]
    seen = torch.arange(keys, device=device)[None, :] <= position
    return torch.zeros(queries, keys, device=device).masked_fill(~seen, -math.inf)


def padding_mask(lengths, keys):
    return (torch.arange(keys, device=lengths.device) < lengths[:, None])[:, None, None, :]


# %% misconception="more queries than keys are let through" exercise="masks"
# The formula gives something, rows of False.
def causal_mask(queries, keys, device=None):
    position = torch.arange(keys - queries, keys, device=device)[:, None]
    return torch.arange(keys, device=device)[None, :] <= position


def padding_mask(lengths, keys):
    return (torch.arange(keys, device=lengths.device) < lengths[:, None])[:, None, None, :]


# %% misconception="no device" exercise="masks"
# The parameter is left out; everything is on the CPU here.
def causal_mask(queries, keys):
    if queries > keys:
        raise ValueError("more queries than keys")
    position = torch.arange(keys - queries, keys)[:, None]
    return torch.arange(keys)[None, :] <= position


def padding_mask(lengths, keys):
    return (torch.arange(keys, device=lengths.device) < lengths[:, None])[:, None, None, :]


# %% misconception="inverted padding mask" exercise="masks"
# Named after the padding, so True where padding is: key_padding_mask in PyTorch.
def causal_mask(queries, keys, device=None):
    if queries > keys:
        raise ValueError("more queries than keys")
    position = torch.arange(keys - queries, keys, device=device)[:, None]
    return torch.arange(keys, device=device)[None, :] <= position


def padding_mask(lengths, keys):
    return (torch.arange(keys, device=lengths.device) >= lengths[:, None])[:, None, None, :]


# %% misconception="padding off by one" exercise="masks"
# Up to and including position `length`.
def causal_mask(queries, keys, device=None):
    if queries > keys:
        raise ValueError("more queries than keys")
    position = torch.arange(keys - queries, keys, device=device)[:, None]
    return torch.arange(keys, device=device)[None, :] <= position


def padding_mask(lengths, keys):
    return (torch.arange(keys, device=lengths.device) <= lengths[:, None])[:, None, None, :]


# %% misconception="padding mask of shape batch by keys" exercise="masks"
# The axes to broadcast over are missing: with as many sequences as queries it silently means something else.
def causal_mask(queries, keys, device=None):
    if queries > keys:
        raise ValueError("more queries than keys")
    position = torch.arange(keys - queries, keys, device=device)[:, None]
    return torch.arange(keys, device=device)[None, :] <= position


def padding_mask(lengths, keys):
    return torch.arange(keys, device=lengths.device) < lengths[:, None]


# %% misconception="padding hides the queries" exercise="masks"
# The filling's rows instead of its columns.
def causal_mask(queries, keys, device=None):
    if queries > keys:
        raise ValueError("more queries than keys")
    position = torch.arange(keys - queries, keys, device=device)[:, None]
    return torch.arange(keys, device=device)[None, :] <= position


def padding_mask(lengths, keys):
    return (torch.arange(keys, device=lengths.device) < lengths[:, None])[:, None, :, None]


# %% misconception="padding at the start" exercise="masks"
# Left-padded batches, as servers have them for generation.
def causal_mask(queries, keys, device=None):
    if queries > keys:
        raise ValueError("more queries than keys")
    position = torch.arange(keys - queries, keys, device=device)[:, None]
    return torch.arange(keys, device=device)[None, :] <= position


def padding_mask(lengths, keys):
    return (torch.arange(keys, device=lengths.device) >= keys - lengths[:, None])[:, None, None, :]


# %% alternative="tril with an offset" exercise="masks"
# The diagonal is moved to the right by what is cached.
def causal_mask(queries, keys, device=None):
    if queries > keys:
        raise ValueError("more queries than keys")
    return torch.ones((queries, keys), device=device).tril(diagonal=keys - queries).bool()


def padding_mask(lengths, keys):
    return (torch.arange(keys, device=lengths.device) < lengths[:, None])[:, None, None, :]


# %% alternative="lists" exercise="masks"
# Loops over pairs, then one tensor.
def causal_mask(queries, keys, device=None):
    if keys < queries:
        raise ValueError(f"{queries} > {keys}")
    rows = [[j <= keys - queries + i for j in range(keys)] for i in range(queries)]
    return torch.tensor(rows, dtype=torch.bool, device=device).reshape(queries, keys)


def padding_mask(lengths, keys):
    mask = torch.zeros(len(lengths), 1, 1, keys, dtype=torch.bool, device=lengths.device)
    for j in range(keys):
        mask[:, 0, 0, j] = lengths > j
    return mask


# %% alternative="last rows of the square" exercise="masks"
# The mask of all positions, of which decoding needs the end.
def causal_mask(queries, keys, device=None):
    if queries > keys:
        raise ValueError("more queries than keys")
    square = torch.triu(torch.ones(keys, keys, dtype=torch.bool, device=device), 1).logical_not()
    return square[keys - queries :]


def padding_mask(lengths, keys):
    return (torch.arange(keys, device=lengths.device) < lengths[:, None])[:, None, None, :]


# %% misconception="squeeze loses a batch of 1" exercise="masks"
# squeeze takes away every axis of length 1, the batch among them.
def causal_mask(queries, keys, device=None):
    if queries > keys:
        raise ValueError("more queries than keys")
    return torch.ones(queries, keys, dtype=torch.bool, device=device).tril(keys - queries)


def padding_mask(lengths, keys):
    mask = torch.arange(keys, device=lengths.device) < lengths.reshape(-1, 1)
    return mask.squeeze()[..., None, None, :] if len(lengths) > 1 else mask.squeeze()[:, None, None]


# %% misconception="slice of minus zero" exercise="masks"
# The filling is the last keys - length places; where that is 0, [-0:] means all of them.
def causal_mask(queries, keys, device=None):
    if queries > keys:
        raise ValueError("more queries than keys")
    return torch.ones(queries, keys, dtype=torch.bool, device=device).tril(keys - queries)


def padding_mask(lengths, keys):
    mask = torch.ones(len(lengths), 1, 1, keys, dtype=torch.bool, device=lengths.device)
    for b in range(len(lengths)):
        filling = keys - int(lengths[b])
        mask[b, :, :, -filling:] = False
    return mask


# %% alternative="row by row" exercise="masks"
# Slices of a mask that starts as False, one row at a time.
def causal_mask(queries, keys, device=None):
    if queries > keys:
        raise ValueError("more queries than keys")
    mask = torch.zeros((queries, keys), dtype=torch.bool, device=device)
    for i in range(queries):
        mask[i, : keys - queries + i + 1] = True
    return mask


def padding_mask(lengths, keys):
    mask = torch.zeros((lengths.shape[0], 1, 1, keys), dtype=torch.bool, device=lengths.device)
    for b, n in enumerate(lengths.tolist()):
        mask[b, 0, 0, :n] = True
    return mask


# %% [markdown]
# ## MultiHeadAttention


# %% misconception="packed as keys, queries, values" exercise="MultiHeadAttention"
# The order of the rows is a convention; k and q are easily swapped.
class MultiHeadAttention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        if dim % heads != 0:
            raise ValueError("dim must be a multiple of heads")
        self.dim, self.heads = dim, heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x, mask=None):
        b, n, d = x.shape
        k, q, v = self.qkv(x).split(self.dim, dim=-1)
        q = q.reshape(b, n, self.heads, d // self.heads).transpose(1, 2)
        k = k.reshape(b, n, self.heads, d // self.heads).transpose(1, 2)
        v = v.reshape(b, n, self.heads, d // self.heads).transpose(1, 2)
        out = attention(q, k, v, mask)
        return self.proj(out.transpose(1, 2).reshape(b, n, d))


# %% misconception="packed as values, keys, queries" exercise="MultiHeadAttention"
# Alphabetical order would be k, q, v; this is the reverse of the paper's.
class MultiHeadAttention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        if dim % heads != 0:
            raise ValueError("dim must be a multiple of heads")
        self.dim, self.heads = dim, heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x, mask=None):
        b, n, d = x.shape
        v, k, q = self.qkv(x).split(self.dim, dim=-1)
        q = q.reshape(b, n, self.heads, d // self.heads).transpose(1, 2)
        k = k.reshape(b, n, self.heads, d // self.heads).transpose(1, 2)
        v = v.reshape(b, n, self.heads, d // self.heads).transpose(1, 2)
        out = attention(q, k, v, mask)
        return self.proj(out.transpose(1, 2).reshape(b, n, d))


# %% misconception="q, k, v packed inside each head" exercise="MultiHeadAttention"
# GPT-NeoX and Megatron lay the rows out so: head 0's q, k, v, then head 1's.
class MultiHeadAttention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        if dim % heads != 0:
            raise ValueError("dim must be a multiple of heads")
        self.dim, self.heads = dim, heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x, mask=None):
        b, n, d = x.shape
        q, k, v = self.qkv(x).reshape(b, n, self.heads, 3, d // self.heads).permute(3, 0, 2, 1, 4)
        out = attention(q, k, v, mask)
        return self.proj(out.transpose(1, 2).reshape(b, n, d))


# %% misconception="view without transpose" exercise="MultiHeadAttention"
# (batch, heads, n, d_h) is the shape that attention wants, and reshape gives any shape.
class MultiHeadAttention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        if dim % heads != 0:
            raise ValueError("dim must be a multiple of heads")
        self.dim, self.heads = dim, heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x, mask=None):
        b, n, d = x.shape
        q, k, v = self.qkv(x).split(self.dim, dim=-1)
        q = q.reshape(b, self.heads, n, d // self.heads)
        k = k.reshape(b, self.heads, n, d // self.heads)
        v = v.reshape(b, self.heads, n, d // self.heads)
        out = attention(q, k, v, mask)
        return self.proj(out.reshape(b, n, d))


# %% misconception="merged without transposing back" exercise="MultiHeadAttention"
# The shape is right again, the columns are not.
class MultiHeadAttention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        if dim % heads != 0:
            raise ValueError("dim must be a multiple of heads")
        self.dim, self.heads = dim, heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x, mask=None):
        b, n, d = x.shape
        q, k, v = self.qkv(x).split(self.dim, dim=-1)
        q = q.reshape(b, n, self.heads, d // self.heads).transpose(1, 2)
        k = k.reshape(b, n, self.heads, d // self.heads).transpose(1, 2)
        v = v.reshape(b, n, self.heads, d // self.heads).transpose(1, 2)
        out = attention(q, k, v, mask)
        return self.proj(out.reshape(b, n, d))


# %% misconception="heads interleaved" exercise="MultiHeadAttention"
# The last axis is cut as (d_h, heads): column j goes to head j mod h.
class MultiHeadAttention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        if dim % heads != 0:
            raise ValueError("dim must be a multiple of heads")
        self.dim, self.heads = dim, heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x, mask=None):
        b, n, d = x.shape
        q, k, v = self.qkv(x).split(self.dim, dim=-1)
        q = q.reshape(b, n, d // self.heads, self.heads).permute(0, 3, 1, 2)
        k = k.reshape(b, n, d // self.heads, self.heads).permute(0, 3, 1, 2)
        v = v.reshape(b, n, d // self.heads, self.heads).permute(0, 3, 1, 2)
        out = attention(q, k, v, mask)
        return self.proj(out.permute(0, 2, 3, 1).reshape(b, n, d))


# %% misconception="heads not moved to the front" exercise="MultiHeadAttention"
# attention then runs over the heads of one token instead of over tokens.
class MultiHeadAttention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        if dim % heads != 0:
            raise ValueError("dim must be a multiple of heads")
        self.dim, self.heads = dim, heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x, mask=None):
        b, n, d = x.shape
        q, k, v = self.qkv(x).split(self.dim, dim=-1)
        q = q.reshape(b, n, self.heads, d // self.heads)
        k = k.reshape(b, n, self.heads, d // self.heads)
        v = v.reshape(b, n, self.heads, d // self.heads)
        out = attention(q, k, v)
        return self.proj(out.reshape(b, n, d))


# %% misconception="no output projection" exercise="MultiHeadAttention"
# It looks redundant after the merge. The parameter is there, but nobody multiplies by it.
class MultiHeadAttention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        if dim % heads != 0:
            raise ValueError("dim must be a multiple of heads")
        self.dim, self.heads = dim, heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x, mask=None):
        b, n, d = x.shape
        q, k, v = self.qkv(x).split(self.dim, dim=-1)
        q = q.reshape(b, n, self.heads, d // self.heads).transpose(1, 2)
        k = k.reshape(b, n, self.heads, d // self.heads).transpose(1, 2)
        v = v.reshape(b, n, self.heads, d // self.heads).transpose(1, 2)
        out = attention(q, k, v, mask)
        return out.transpose(1, 2).reshape(b, n, d)


# %% misconception="mask not handed on" exercise="MultiHeadAttention"
# A default of None hides that it is missing.
class MultiHeadAttention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        if dim % heads != 0:
            raise ValueError("dim must be a multiple of heads")
        self.dim, self.heads = dim, heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x, mask=None):
        b, n, d = x.shape
        q, k, v = self.qkv(x).split(self.dim, dim=-1)
        q = q.reshape(b, n, self.heads, d // self.heads).transpose(1, 2)
        k = k.reshape(b, n, self.heads, d // self.heads).transpose(1, 2)
        v = v.reshape(b, n, self.heads, d // self.heads).transpose(1, 2)
        out = attention(q, k, v)
        return self.proj(out.transpose(1, 2).reshape(b, n, d))


# %% misconception="mask inverted" exercise="MultiHeadAttention"
# nn.MultiheadAttention's convention.
class MultiHeadAttention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        if dim % heads != 0:
            raise ValueError("dim must be a multiple of heads")
        self.dim, self.heads = dim, heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x, mask=None):
        b, n, d = x.shape
        q, k, v = self.qkv(x).split(self.dim, dim=-1)
        q = q.reshape(b, n, self.heads, d // self.heads).transpose(1, 2)
        k = k.reshape(b, n, self.heads, d // self.heads).transpose(1, 2)
        v = v.reshape(b, n, self.heads, d // self.heads).transpose(1, 2)
        out = attention(q, k, v, None if mask is None else ~mask)
        return self.proj(out.transpose(1, 2).reshape(b, n, d))


# %% misconception="no biases" exercise="MultiHeadAttention"
# Newer models have none; GPT-2 does.
class MultiHeadAttention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        if dim % heads != 0:
            raise ValueError("dim must be a multiple of heads")
        self.dim, self.heads = dim, heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x, mask=None):
        b, n, d = x.shape
        q, k, v = self.qkv(x).split(self.dim, dim=-1)
        q = q.reshape(b, n, self.heads, d // self.heads).transpose(1, 2)
        k = k.reshape(b, n, self.heads, d // self.heads).transpose(1, 2)
        v = v.reshape(b, n, self.heads, d // self.heads).transpose(1, 2)
        out = attention(q, k, v, mask)
        return self.proj(out.transpose(1, 2).reshape(b, n, d))


# %% misconception="one head" exercise="MultiHeadAttention"
# The head's width is never used: all of d in one softmax.
class MultiHeadAttention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        if dim % heads != 0:
            raise ValueError("dim must be a multiple of heads")
        self.dim, self.heads = dim, 1
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x, mask=None):
        b, n, d = x.shape
        q, k, v = self.qkv(x).split(self.dim, dim=-1)
        q = q.reshape(b, n, self.heads, d // self.heads).transpose(1, 2)
        k = k.reshape(b, n, self.heads, d // self.heads).transpose(1, 2)
        v = v.reshape(b, n, self.heads, d // self.heads).transpose(1, 2)
        out = attention(q, k, v, mask)
        return self.proj(out.transpose(1, 2).reshape(b, n, d))


# %% misconception="any number of heads" exercise="MultiHeadAttention"
# The division rounds down, and fails much later with an error about shapes.
class MultiHeadAttention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.dim, self.heads = dim, heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x, mask=None):
        b, n, d = x.shape
        q, k, v = self.qkv(x).split(self.dim, dim=-1)
        q = q.reshape(b, n, self.heads, d // self.heads).transpose(1, 2)
        k = k.reshape(b, n, self.heads, d // self.heads).transpose(1, 2)
        v = v.reshape(b, n, self.heads, d // self.heads).transpose(1, 2)
        out = attention(q, k, v, mask)
        return self.proj(out.transpose(1, 2).reshape(b, n, d))


# %% misconception="softmax width of the whole model" exercise="MultiHeadAttention"
# Scales by sqrt(dim) on top of attention's own sqrt(d_h).
class MultiHeadAttention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        if dim % heads != 0:
            raise ValueError("dim must be a multiple of heads")
        self.dim, self.heads = dim, heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x, mask=None):
        b, n, d = x.shape
        q, k, v = self.qkv(x).split(self.dim, dim=-1)
        q = q.reshape(b, n, self.heads, d // self.heads).transpose(1, 2)
        k = k.reshape(b, n, self.heads, d // self.heads).transpose(1, 2)
        v = v.reshape(b, n, self.heads, d // self.heads).transpose(1, 2)
        out = attention(q / math.sqrt(self.heads), k, v, mask)
        return self.proj(out.transpose(1, 2).reshape(b, n, d))


# %% misconception="torch's module inside" exercise="MultiHeadAttention"
# The oracle itself, with other names.
class MultiHeadAttention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        if dim % heads:
            raise ValueError(heads)
        self.heads, self.qkv, self.proj = heads, nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x, mask=None):
        hidden = None
        if mask is not None:
            hidden = ~mask.expand(len(x), self.heads, *mask.shape[-2:]).flatten(0, 1)
        x = x.transpose(0, 1)
        return F.multi_head_attention_forward(
            x,
            x,
            x,
            x.shape[-1],
            self.heads,
            self.qkv.weight,
            self.qkv.bias,
            None,
            None,
            False,
            0.0,
            self.proj.weight,
            self.proj.bias,
            need_weights=False,
            attn_mask=hidden,
        )[0].transpose(0, 1)


# %% alternative="one permute" exercise="MultiHeadAttention"
# q, k and v are cut with the heads in one step.
class MultiHeadAttention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        if dim % heads != 0:
            raise ValueError("dim must be a multiple of heads")
        self.dim, self.heads = dim, heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x, mask=None):
        b, n, d = x.shape
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        out = attention(q, k, v, mask)
        return self.proj(out.transpose(1, 2).reshape(b, n, d))


# %% alternative="a loop over heads" exercise="MultiHeadAttention"
# Slow and obvious: slices of the weight, one head at a time.
class MultiHeadAttention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        if dim % heads:
            raise ValueError(f"{dim} % {heads}")
        self.width = dim // heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x, mask=None):
        dim, results = x.shape[-1], []
        for first in range(0, dim, self.width):
            rows = [slice(third * dim + first, third * dim + first + self.width) for third in range(3)]
            q, k, v = (F.linear(x, self.qkv.weight[r], self.qkv.bias[r]).unsqueeze(1) for r in rows)
            head = first // self.width
            own = mask if mask is None or mask.ndim < 3 or mask.shape[-3] == 1 else mask[..., head : head + 1, :, :]
            results.append(attention(q, k, v, own).squeeze(1))
        return self.proj(torch.cat(results, dim=-1))


# %% alternative="packed by hand, torch's fused kernel" exercise="MultiHeadAttention"
# The fused kernel takes the same mask and gives the same numbers.
class MultiHeadAttention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        if dim % heads > 0:
            raise ValueError("heads")
        self.heads = heads
        self.proj = nn.Linear(dim, dim)
        self.qkv = nn.Linear(dim, 3 * dim)

    def forward(self, x, mask=None):
        split = [t.unflatten(-1, (self.heads, -1)).transpose(-2, -3) for t in self.qkv(x).chunk(3, -1)]
        out = F.scaled_dot_product_attention(*split, attn_mask=mask)
        return self.proj(out.transpose(-2, -3).flatten(-2))


# %% misconception="one mask for all heads" exercise="MultiHeadAttention"
# Every mask so far was the same for all heads.
class MultiHeadAttention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        if dim % heads:
            raise ValueError(f"{dim} is not a multiple of {heads}")
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x, mask=None):
        b, n, dim = x.shape
        if mask is not None:
            while mask.ndim < 4:
                mask = mask[None]
            mask = mask[:, :1].expand(b, 1, n, n)
        q, k, v = (t.view(b, n, self.heads, -1).transpose(1, 2) for t in self.qkv(x).chunk(3, dim=-1))
        y = attention(q, k, v, mask).transpose(1, 2).reshape(b, n, dim)
        return self.proj(y)


# %% misconception="axis of heads found by its size" exercise="MultiHeadAttention"
# shape.index finds the batch axis where batch and heads are equal.
class MultiHeadAttention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        if dim % heads:
            raise ValueError(f"{dim} is not a multiple of {heads}")
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x, mask=None):
        b, n, dim = x.shape
        q, k, v = (t.reshape(b, n, self.heads, -1).transpose(1, 2) for t in self.qkv(x).chunk(3, -1))
        y = attention(q, k, v, mask)
        y = y.movedim(y.shape.index(self.heads), -2)
        return self.proj(y.reshape(b, n, dim))


# %% misconception="mask transposed" exercise="MultiHeadAttention"
# Rows and columns of the mask are swapped: a causal mask then shows the future alone.
class MultiHeadAttention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        if dim % heads:
            raise ValueError(f"{dim} is not a multiple of {heads}")
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x, mask=None):
        b, n, dim = x.shape
        q, k, v = (t.view(b, n, self.heads, -1).transpose(1, 2) for t in self.qkv(x).chunk(3, dim=-1))
        y = attention(q, k, v, None if mask is None else mask.transpose(-2, -1)).transpose(1, 2).reshape(b, n, dim)
        return self.proj(y)


# %% misconception="mask must have three axes" exercise="MultiHeadAttention"
# An axis of heads is put in at place 1, whether the mask has a batch axis or not.
class MultiHeadAttention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        if dim % heads:
            raise ValueError(f"{dim} is not a multiple of {heads}")
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x, mask=None):
        b, n, dim = x.shape
        q, k, v = (t.view(b, n, self.heads, -1).transpose(1, 2) for t in self.qkv(x).chunk(3, dim=-1))
        y = attention(q, k, v, None if mask is None else mask[:, None]).transpose(1, 2).reshape(b, n, dim)
        return self.proj(y)


# %% alternative="einsum over the packed weight" exercise="MultiHeadAttention"
# The weight as (3, heads, width, dim), the output projection as a sum over heads and their columns.
class MultiHeadAttention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        if dim % heads:
            raise ValueError(f"{dim} is not a multiple of {heads}")
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x, mask=None):
        h, dim = self.heads, x.shape[-1]
        weight, bias = self.qkv.weight.view(3, h, dim // h, dim), self.qkv.bias.view(3, h, 1, dim // h)
        q, k, v = torch.einsum("bnd,phed->pbhne", x, weight) + bias[:, None]
        mixed = attention(q, k, v, mask)
        return torch.einsum("bhne,dhe->bnd", mixed, self.proj.weight.view(dim, h, -1)) + self.proj.bias


# %% [markdown]
# ## layer_norm


# %% misconception="unbiased variance" exercise="layer_norm"
# torch.var divides by d - 1 unless told otherwise.
class LayerNormFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, eps):
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        mean = wide.mean(-1, keepdim=True)
        variance = wide.var(-1, keepdim=True)
        r = 1 / torch.sqrt(variance + eps)
        ctx.save_for_backward(x, weight, mean, r)
        return ((wide - mean) * r * weight.to(wide.dtype) + bias.to(wide.dtype)).to(x.dtype)

    @staticmethod
    def backward(ctx, grad):
        x, weight, mean, r = ctx.saved_tensors
        g, w = grad.to(r.dtype), weight.to(r.dtype)
        x_hat = (x.to(r.dtype) - mean) * r
        u = g * w
        dx = r * (u - u.mean(-1, keepdim=True) - x_hat * (u * x_hat).mean(-1, keepdim=True))
        axes = tuple(range(x.ndim - 1))
        dw = (g * x_hat).sum(axes) if axes else g * x_hat
        db = g.sum(axes) if axes else g
        return dx.to(x.dtype), dw.to(weight.dtype), db.to(weight.dtype), None


def layer_norm(x, weight, bias, eps=1e-5):
    return LayerNormFunction.apply(x, weight, bias, eps)


# %% misconception="eps outside of the root" exercise="layer_norm"
# Added to the standard deviation, as the original implementation of The Annotated Transformer has it.
class LayerNormFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, eps):
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        mean = wide.mean(-1, keepdim=True)
        variance = ((wide - mean) ** 2).mean(-1, keepdim=True)
        r = 1 / (torch.sqrt(variance) + eps)
        ctx.save_for_backward(x, weight, mean, r)
        return ((wide - mean) * r * weight.to(wide.dtype) + bias.to(wide.dtype)).to(x.dtype)

    @staticmethod
    def backward(ctx, grad):
        x, weight, mean, r = ctx.saved_tensors
        g, w = grad.to(r.dtype), weight.to(r.dtype)
        x_hat = (x.to(r.dtype) - mean) * r
        u = g * w
        dx = r * (u - u.mean(-1, keepdim=True) - x_hat * (u * x_hat).mean(-1, keepdim=True))
        axes = tuple(range(x.ndim - 1))
        dw = (g * x_hat).sum(axes) if axes else g * x_hat
        db = g.sum(axes) if axes else g
        return dx.to(x.dtype), dw.to(weight.dtype), db.to(weight.dtype), None


def layer_norm(x, weight, bias, eps=1e-5):
    return LayerNormFunction.apply(x, weight, bias, eps)


# %% misconception="mean of squares minus square of mean" exercise="layer_norm"
# One pass over the data instead of two, and no digits left where the mean is large.
class LayerNormFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, eps):
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        mean = wide.mean(-1, keepdim=True)
        variance = ((wide**2).mean(-1, keepdim=True) - mean**2).clamp(min=0)
        r = 1 / torch.sqrt(variance + eps)
        ctx.save_for_backward(x, weight, mean, r)
        return ((wide - mean) * r * weight.to(wide.dtype) + bias.to(wide.dtype)).to(x.dtype)

    @staticmethod
    def backward(ctx, grad):
        x, weight, mean, r = ctx.saved_tensors
        g, w = grad.to(r.dtype), weight.to(r.dtype)
        x_hat = (x.to(r.dtype) - mean) * r
        u = g * w
        dx = r * (u - u.mean(-1, keepdim=True) - x_hat * (u * x_hat).mean(-1, keepdim=True))
        axes = tuple(range(x.ndim - 1))
        dw = (g * x_hat).sum(axes) if axes else g * x_hat
        db = g.sum(axes) if axes else g
        return dx.to(x.dtype), dw.to(weight.dtype), db.to(weight.dtype), None


def layer_norm(x, weight, bias, eps=1e-5):
    return LayerNormFunction.apply(x, weight, bias, eps)


# %% misconception="the mean is not subtracted" exercise="layer_norm"
# RMSNorm's forward, with LayerNorm's gradient.
class LayerNormFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, eps):
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        mean = torch.zeros_like(wide[..., :1])
        variance = ((wide - mean) ** 2).mean(-1, keepdim=True)
        r = 1 / torch.sqrt(variance + eps)
        ctx.save_for_backward(x, weight, mean, r)
        return ((wide - mean) * r * weight.to(wide.dtype) + bias.to(wide.dtype)).to(x.dtype)

    @staticmethod
    def backward(ctx, grad):
        x, weight, mean, r = ctx.saved_tensors
        g, w = grad.to(r.dtype), weight.to(r.dtype)
        x_hat = (x.to(r.dtype) - mean) * r
        u = g * w
        dx = r * (u - u.mean(-1, keepdim=True) - x_hat * (u * x_hat).mean(-1, keepdim=True))
        axes = tuple(range(x.ndim - 1))
        dw = (g * x_hat).sum(axes) if axes else g * x_hat
        db = g.sum(axes) if axes else g
        return dx.to(x.dtype), dw.to(weight.dtype), db.to(weight.dtype), None


def layer_norm(x, weight, bias, eps=1e-5):
    return LayerNormFunction.apply(x, weight, bias, eps)


# %% misconception="mean treated as a constant" exercise="layer_norm"
# The gradient's first share only, and the last: what goes through the mean is missing.
class LayerNormFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, eps):
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        mean = wide.mean(-1, keepdim=True)
        variance = ((wide - mean) ** 2).mean(-1, keepdim=True)
        r = 1 / torch.sqrt(variance + eps)
        ctx.save_for_backward(x, weight, mean, r)
        return ((wide - mean) * r * weight.to(wide.dtype) + bias.to(wide.dtype)).to(x.dtype)

    @staticmethod
    def backward(ctx, grad):
        x, weight, mean, r = ctx.saved_tensors
        g, w = grad.to(r.dtype), weight.to(r.dtype)
        x_hat = (x.to(r.dtype) - mean) * r
        u = g * w
        dx = r * (u - x_hat * (u * x_hat).mean(-1, keepdim=True))
        axes = tuple(range(x.ndim - 1))
        dw = (g * x_hat).sum(axes) if axes else g * x_hat
        db = g.sum(axes) if axes else g
        return dx.to(x.dtype), dw.to(weight.dtype), db.to(weight.dtype), None


def layer_norm(x, weight, bias, eps=1e-5):
    return LayerNormFunction.apply(x, weight, bias, eps)


# %% misconception="variance treated as a constant" exercise="layer_norm"
# The standard deviation depends on x too.
class LayerNormFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, eps):
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        mean = wide.mean(-1, keepdim=True)
        variance = ((wide - mean) ** 2).mean(-1, keepdim=True)
        r = 1 / torch.sqrt(variance + eps)
        ctx.save_for_backward(x, weight, mean, r)
        return ((wide - mean) * r * weight.to(wide.dtype) + bias.to(wide.dtype)).to(x.dtype)

    @staticmethod
    def backward(ctx, grad):
        x, weight, mean, r = ctx.saved_tensors
        g, w = grad.to(r.dtype), weight.to(r.dtype)
        x_hat = (x.to(r.dtype) - mean) * r
        u = g * w
        dx = r * (u - u.mean(-1, keepdim=True))
        axes = tuple(range(x.ndim - 1))
        dw = (g * x_hat).sum(axes) if axes else g * x_hat
        db = g.sum(axes) if axes else g
        return dx.to(x.dtype), dw.to(weight.dtype), db.to(weight.dtype), None


def layer_norm(x, weight, bias, eps=1e-5):
    return LayerNormFunction.apply(x, weight, bias, eps)


# %% misconception="mean and variance treated as constants" exercise="layer_norm"
# A scale is a scale: the gradient is multiplied by w r.
class LayerNormFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, eps):
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        mean = wide.mean(-1, keepdim=True)
        variance = ((wide - mean) ** 2).mean(-1, keepdim=True)
        r = 1 / torch.sqrt(variance + eps)
        ctx.save_for_backward(x, weight, mean, r)
        return ((wide - mean) * r * weight.to(wide.dtype) + bias.to(wide.dtype)).to(x.dtype)

    @staticmethod
    def backward(ctx, grad):
        x, weight, mean, r = ctx.saved_tensors
        g, w = grad.to(r.dtype), weight.to(r.dtype)
        x_hat = (x.to(r.dtype) - mean) * r
        u = g * w
        dx = r * u
        axes = tuple(range(x.ndim - 1))
        dw = (g * x_hat).sum(axes) if axes else g * x_hat
        db = g.sum(axes) if axes else g
        return dx.to(x.dtype), dw.to(weight.dtype), db.to(weight.dtype), None


def layer_norm(x, weight, bias, eps=1e-5):
    return LayerNormFunction.apply(x, weight, bias, eps)


# %% misconception="weight left out of the gradient of x" exercise="layer_norm"
# The stretch comes last, so it is forgotten first.
class LayerNormFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, eps):
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        mean = wide.mean(-1, keepdim=True)
        variance = ((wide - mean) ** 2).mean(-1, keepdim=True)
        r = 1 / torch.sqrt(variance + eps)
        ctx.save_for_backward(x, weight, mean, r)
        return ((wide - mean) * r * weight.to(wide.dtype) + bias.to(wide.dtype)).to(x.dtype)

    @staticmethod
    def backward(ctx, grad):
        x, weight, mean, r = ctx.saved_tensors
        g = grad.to(r.dtype)
        x_hat = (x.to(r.dtype) - mean) * r
        u = g
        dx = r * (u - u.mean(-1, keepdim=True) - x_hat * (u * x_hat).mean(-1, keepdim=True))
        axes = tuple(range(x.ndim - 1))
        dw = (g * x_hat).sum(axes) if axes else g * x_hat
        db = g.sum(axes) if axes else g
        return dx.to(x.dtype), dw.to(weight.dtype), db.to(weight.dtype), None


def layer_norm(x, weight, bias, eps=1e-5):
    return LayerNormFunction.apply(x, weight, bias, eps)


# %% misconception="gradient of the weight from y" exercise="layer_norm"
# y is at hand; but the weight multiplies x_hat.
class LayerNormFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, eps):
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        mean = wide.mean(-1, keepdim=True)
        variance = ((wide - mean) ** 2).mean(-1, keepdim=True)
        r = 1 / torch.sqrt(variance + eps)
        ctx.save_for_backward(x, weight, mean, r)
        return ((wide - mean) * r * weight.to(wide.dtype) + bias.to(wide.dtype)).to(x.dtype)

    @staticmethod
    def backward(ctx, grad):
        x, weight, mean, r = ctx.saved_tensors
        g, w = grad.to(r.dtype), weight.to(r.dtype)
        x_hat = (x.to(r.dtype) - mean) * r
        u = g * w
        dx = r * (u - u.mean(-1, keepdim=True) - x_hat * (u * x_hat).mean(-1, keepdim=True))
        axes = tuple(range(x.ndim - 1))
        dw = (g * x_hat * w).sum(axes) if axes else g * x_hat * w
        db = g.sum(axes) if axes else g
        return dx.to(x.dtype), dw.to(weight.dtype), db.to(weight.dtype), None


def layer_norm(x, weight, bias, eps=1e-5):
    return LayerNormFunction.apply(x, weight, bias, eps)


# %% misconception="only the first axis is summed" exercise="layer_norm"
# With a batch of vectors there is one leading axis; with sequences two. Autograd adds up what is left over by itself,
# so the values are right; but it does so after the rounding, in bf16.
class LayerNormFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, eps):
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        mean = wide.mean(-1, keepdim=True)
        variance = ((wide - mean) ** 2).mean(-1, keepdim=True)
        r = 1 / torch.sqrt(variance + eps)
        ctx.save_for_backward(x, weight, mean, r)
        return ((wide - mean) * r * weight.to(wide.dtype) + bias.to(wide.dtype)).to(x.dtype)

    @staticmethod
    def backward(ctx, grad):
        x, weight, mean, r = ctx.saved_tensors
        g, w = grad.to(r.dtype), weight.to(r.dtype)
        x_hat = (x.to(r.dtype) - mean) * r
        u = g * w
        dx = r * (u - u.mean(-1, keepdim=True) - x_hat * (u * x_hat).mean(-1, keepdim=True))
        axes = (0,) if x.ndim > 1 else ()
        dw = (g * x_hat).sum(axes) if axes else g * x_hat
        db = g.sum(axes) if axes else g
        return dx.to(x.dtype), dw.to(weight.dtype), db.to(weight.dtype), None


def layer_norm(x, weight, bias, eps=1e-5):
    return LayerNormFunction.apply(x, weight, bias, eps)


# %% misconception="statistics in the dtype of the input" exercise="layer_norm"
# bf16 in, bf16 out, bf16 in between.
class LayerNormFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, eps):
        wide = x.to(x.dtype)
        mean = wide.mean(-1, keepdim=True)
        variance = ((wide - mean) ** 2).mean(-1, keepdim=True)
        r = 1 / torch.sqrt(variance + eps)
        ctx.save_for_backward(x, weight, mean, r)
        return ((wide - mean) * r * weight.to(wide.dtype) + bias.to(wide.dtype)).to(x.dtype)

    @staticmethod
    def backward(ctx, grad):
        x, weight, mean, r = ctx.saved_tensors
        g, w = grad.to(r.dtype), weight.to(r.dtype)
        x_hat = (x.to(r.dtype) - mean) * r
        u = g * w
        dx = r * (u - u.mean(-1, keepdim=True) - x_hat * (u * x_hat).mean(-1, keepdim=True))
        axes = tuple(range(x.ndim - 1))
        dw = (g * x_hat).sum(axes) if axes else g * x_hat
        db = g.sum(axes) if axes else g
        return dx.to(x.dtype), dw.to(weight.dtype), db.to(weight.dtype), None


def layer_norm(x, weight, bias, eps=1e-5):
    return LayerNormFunction.apply(x, weight, bias, eps)


# %% misconception="gradients of the parameters summed in bf16" exercise="layer_norm"
# The forward pass is careful, the sum over the rows is not.
class LayerNormFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, eps):
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        mean = wide.mean(-1, keepdim=True)
        variance = ((wide - mean) ** 2).mean(-1, keepdim=True)
        r = 1 / torch.sqrt(variance + eps)
        ctx.save_for_backward(x, weight, mean, r)
        return ((wide - mean) * r * weight.to(wide.dtype) + bias.to(wide.dtype)).to(x.dtype)

    @staticmethod
    def backward(ctx, grad):
        x, weight, mean, r = ctx.saved_tensors
        g, w = grad.to(r.dtype), weight.to(r.dtype)
        x_hat = (x.to(r.dtype) - mean) * r
        u = g * w
        dx = r * (u - u.mean(-1, keepdim=True) - x_hat * (u * x_hat).mean(-1, keepdim=True))
        axes = tuple(range(x.ndim - 1))
        dw = (grad * x_hat.to(grad.dtype)).sum(axes) if axes else g * x_hat
        db = g.sum(axes) if axes else g
        return dx.to(x.dtype), dw.to(weight.dtype), db.to(weight.dtype), None


def layer_norm(x, weight, bias, eps=1e-5):
    return LayerNormFunction.apply(x, weight, bias, eps)


# %% misconception="float32 is returned" exercise="layer_norm"
# Computed in float32 and left there.
class LayerNormFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, eps):
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        mean = wide.mean(-1, keepdim=True)
        variance = ((wide - mean) ** 2).mean(-1, keepdim=True)
        r = 1 / torch.sqrt(variance + eps)
        ctx.save_for_backward(x, weight, mean, r)
        return (wide - mean) * r * weight.to(wide.dtype) + bias.to(wide.dtype)

    @staticmethod
    def backward(ctx, grad):
        x, weight, mean, r = ctx.saved_tensors
        g, w = grad.to(r.dtype), weight.to(r.dtype)
        x_hat = (x.to(r.dtype) - mean) * r
        u = g * w
        dx = r * (u - u.mean(-1, keepdim=True) - x_hat * (u * x_hat).mean(-1, keepdim=True))
        axes = tuple(range(x.ndim - 1))
        dw = (g * x_hat).sum(axes) if axes else g * x_hat
        db = g.sum(axes) if axes else g
        return dx.to(x.dtype), dw.to(weight.dtype), db.to(weight.dtype), None


def layer_norm(x, weight, bias, eps=1e-5):
    return LayerNormFunction.apply(x, weight, bias, eps)


# %% misconception="x_hat is saved" exercise="layer_norm"
# Backward needs x_hat, so keep it: as many float32 numbers as x has.
class LayerNormFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, eps):
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        mean = wide.mean(-1, keepdim=True)
        variance = ((wide - mean) ** 2).mean(-1, keepdim=True)
        r = 1 / torch.sqrt(variance + eps)
        ctx.save_for_backward(x, weight, mean, r, (wide - mean) * r)
        return ((wide - mean) * r * weight.to(wide.dtype) + bias.to(wide.dtype)).to(x.dtype)

    @staticmethod
    def backward(ctx, grad):
        x, weight, _, r, x_hat = ctx.saved_tensors
        g, w = grad.to(r.dtype), weight.to(r.dtype)
        u = g * w
        dx = r * (u - u.mean(-1, keepdim=True) - x_hat * (u * x_hat).mean(-1, keepdim=True))
        axes = tuple(range(x.ndim - 1))
        dw = (g * x_hat).sum(axes) if axes else g * x_hat
        db = g.sum(axes) if axes else g
        return dx.to(x.dtype), dw.to(weight.dtype), db.to(weight.dtype), None


def layer_norm(x, weight, bias, eps=1e-5):
    return LayerNormFunction.apply(x, weight, bias, eps)


# %% misconception="x_hat is kept on ctx" exercise="layer_norm"
# An attribute does not look like a saved tensor, and holds the memory all the same.
class LayerNormFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, eps):
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        mean = wide.mean(-1, keepdim=True)
        variance = ((wide - mean) ** 2).mean(-1, keepdim=True)
        r = 1 / torch.sqrt(variance + eps)
        ctx.save_for_backward(x, weight, mean, r)
        ctx.x_hat = (wide - mean) * r
        return ((wide - mean) * r * weight.to(wide.dtype) + bias.to(wide.dtype)).to(x.dtype)

    @staticmethod
    def backward(ctx, grad):
        x, weight, _, r = ctx.saved_tensors
        g, w = grad.to(r.dtype), weight.to(r.dtype)
        x_hat = ctx.x_hat
        u = g * w
        dx = r * (u - u.mean(-1, keepdim=True) - x_hat * (u * x_hat).mean(-1, keepdim=True))
        axes = tuple(range(x.ndim - 1))
        dw = (g * x_hat).sum(axes) if axes else g * x_hat
        db = g.sum(axes) if axes else g
        return dx.to(x.dtype), dw.to(weight.dtype), db.to(weight.dtype), None


def layer_norm(x, weight, bias, eps=1e-5):
    return LayerNormFunction.apply(x, weight, bias, eps)


# %% misconception="float32 copy of x is saved" exercise="layer_norm"
# The widened x is at hand; for bf16 it is a new tensor, twice as large.
class LayerNormFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, eps):
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        mean = wide.mean(-1, keepdim=True)
        variance = ((wide - mean) ** 2).mean(-1, keepdim=True)
        r = 1 / torch.sqrt(variance + eps)
        ctx.save_for_backward(wide, weight, mean, r)
        return ((wide - mean) * r * weight.to(wide.dtype) + bias.to(wide.dtype)).to(x.dtype)

    @staticmethod
    def backward(ctx, grad):
        x, weight, mean, r = ctx.saved_tensors
        g, w = grad.to(r.dtype), weight.to(r.dtype)
        x_hat = (x.to(r.dtype) - mean) * r
        u = g * w
        dx = r * (u - u.mean(-1, keepdim=True) - x_hat * (u * x_hat).mean(-1, keepdim=True))
        axes = tuple(range(x.ndim - 1))
        dw = (g * x_hat).sum(axes) if axes else g * x_hat
        db = g.sum(axes) if axes else g
        return dx.to(weight.dtype), dw.to(weight.dtype), db.to(weight.dtype), None


def layer_norm(x, weight, bias, eps=1e-5):
    return LayerNormFunction.apply(x, weight, bias, eps)


# %% misconception="backward by autograd" exercise="layer_norm"
# Run forward again under enable_grad and let torch differentiate: right, and nothing learned.
class LayerNormFunction(torch.autograd.Function):
    @staticmethod
    def _plain(x, weight, bias, eps):
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        centred = wide - wide.mean(-1, keepdim=True)
        r = torch.rsqrt(centred.square().mean(-1, keepdim=True) + eps)
        return (centred * r * weight + bias).to(x.dtype)

    @staticmethod
    def forward(ctx, x, weight, bias, eps):
        ctx.save_for_backward(x, weight, bias)
        ctx.eps = eps
        return LayerNormFunction._plain(x, weight, bias, eps)

    @staticmethod
    def backward(ctx, grad):
        leaves = [t.detach().requires_grad_() for t in ctx.saved_tensors]
        with torch.enable_grad():
            y = LayerNormFunction._plain(*leaves, ctx.eps)
        return *torch.autograd.grad(y, leaves, grad), None


def layer_norm(x, weight, bias, eps=1e-5):
    return LayerNormFunction.apply(x, weight, bias, eps)


# %% misconception="torch's LayerNorm" exercise="layer_norm"
# F.layer_norm has a backward already.
class LayerNormFunction(torch.autograd.Function):
    pass


def layer_norm(x, weight, bias, eps=1e-5):
    return F.layer_norm(x, x.shape[-1:], weight, bias, eps)


# %% misconception="plain operations, no Function" exercise="layer_norm"
# Autograd differentiates it as it stands; it keeps several tensors of the size of x.
class LayerNormFunction(torch.autograd.Function):
    pass


def layer_norm(x, weight, bias, eps=1e-5):
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    centred = wide - wide.mean(-1, keepdim=True)
    r = torch.rsqrt(centred.square().mean(-1, keepdim=True) + eps)
    return (centred * r * weight + bias).to(x.dtype)


# %% alternative="var_mean, and the gradient as one formula over d" exercise="layer_norm"
# torch.var_mean with correction 0; sums instead of means.
class LayerNormFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, eps):
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        variance, mean = torch.var_mean(wide, -1, correction=0, keepdim=True)
        r = 1 / torch.sqrt(variance + eps)
        ctx.save_for_backward(x, weight, mean, r)
        return ((wide - mean) * r * weight.to(wide.dtype) + bias.to(wide.dtype)).to(x.dtype)

    @staticmethod
    def backward(ctx, grad):
        x, weight, mean, r = ctx.saved_tensors
        g, w = grad.to(r.dtype), weight.to(r.dtype)
        x_hat = (x.to(r.dtype) - mean) * r
        u = g * w
        d = x.shape[-1]
        dx = (d * u - u.sum(-1, keepdim=True) - x_hat * (u * x_hat).sum(-1, keepdim=True)) * (r / d)
        axes = tuple(range(x.ndim - 1))
        dw = (g * x_hat).sum(axes) if axes else g * x_hat
        db = g.sum(axes) if axes else g
        return dx.to(x.dtype), dw.to(weight.dtype), db.to(weight.dtype), None


def layer_norm(x, weight, bias, eps=1e-5):
    return LayerNormFunction.apply(x, weight, bias, eps)


# %% alternative="nothing saved but x and weight" exercise="layer_norm"
# The statistics are cheap, so backward computes them again; eps is a plain number on ctx.
def statistics(x, eps):
    wide = x.to(torch.float64 if x.dtype == torch.float64 else torch.float32)
    centred = wide - wide.mean(dim=-1, keepdim=True)
    return centred, centred.pow(2).mean(dim=-1, keepdim=True).add(eps).rsqrt()


class LayerNormFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, eps):
        centred, r = statistics(x, eps)
        ctx.eps = eps
        ctx.save_for_backward(x, weight)
        return torch.addcmul(bias.to(r.dtype), centred * r, weight.to(r.dtype)).to(x.dtype)

    @staticmethod
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        centred, r = statistics(x, ctx.eps)
        grad, hat = grad.to(r.dtype), centred * r
        through = grad * weight.to(r.dtype)
        gx = through - through.mean(-1, True) - hat * (through * hat).mean(-1, True)
        gw = torch.einsum("...d,...d->d", grad, hat)
        gb = torch.einsum("...d->d", grad)
        return (gx * r).to(x.dtype), gw.to(x.dtype), gb.to(x.dtype), None


def layer_norm(x, weight, bias, eps=1e-5):
    return LayerNormFunction.apply(x, weight, bias, eps)


# %% alternative="always in float64 inside" exercise="layer_norm"
# More than asked for; the statistics are stored as float32.
class LayerNormFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, eps):
        wide = x.double()
        mean = wide.mean(-1, keepdim=True)
        variance = ((wide - mean) ** 2).mean(-1, keepdim=True)
        r = 1 / torch.sqrt(variance + eps)
        ctx.save_for_backward(x, weight, *(t if x.dtype == torch.float64 else t.float() for t in (mean, r)))
        return ((wide - mean) * r * weight.to(wide.dtype) + bias.to(wide.dtype)).to(x.dtype)

    @staticmethod
    def backward(ctx, grad):
        x, weight, *rest = ctx.saved_tensors
        mean, r = (t.double() for t in rest)
        g, w = grad.to(r.dtype), weight.to(r.dtype)
        x_hat = (x.to(r.dtype) - mean) * r
        u = g * w
        dx = r * (u - u.mean(-1, keepdim=True) - x_hat * (u * x_hat).mean(-1, keepdim=True))
        axes = tuple(range(x.ndim - 1))
        dw = (g * x_hat).sum(axes) if axes else g * x_hat
        db = g.sum(axes) if axes else g
        return dx.to(x.dtype), dw.to(weight.dtype), db.to(weight.dtype), None


def layer_norm(x, weight, bias, eps=1e-5):
    return LayerNormFunction.apply(x, weight, bias, eps)


# %% misconception="flatten fails for one row" exercise="layer_norm"
# flatten(0, -2) of a tensor with one axis raises.
class LayerNormFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, eps):
        dtype = torch.promote_types(x.dtype, torch.float32)
        wide = x.to(dtype)
        mean = wide.mean(-1, keepdim=True)
        away = wide - mean
        r = torch.rsqrt(away.square().mean(-1, keepdim=True) + eps)
        ctx.save_for_backward(x, weight, mean, r)
        return (away * r * weight.to(dtype) + bias.to(dtype)).to(x.dtype)

    @staticmethod
    def backward(ctx, grad):
        x, weight, mean, r = ctx.saved_tensors
        g = grad.to(r.dtype)
        x_hat = (x.to(r.dtype) - mean) * r
        u = g * weight.to(r.dtype)
        x_grad = r * (u - u.mean(-1, keepdim=True) - x_hat * (u * x_hat).mean(-1, keepdim=True))
        w_grad = (g * x_hat).flatten(0, -2).sum(0)
        b_grad = g.flatten(0, -2).sum(0)
        return x_grad.to(x.dtype), w_grad.to(x.dtype), b_grad.to(x.dtype), None


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float = 1e-5) -> Tensor:
    return LayerNormFunction.apply(x, weight, bias, eps)


# %% misconception="backward with an eps of its own" exercise="layer_norm"
# r is computed again in backward, with the usual 1e-5.
class LayerNormFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, eps):
        dtype = torch.promote_types(x.dtype, torch.float32)
        wide = x.to(dtype)
        mean = wide.mean(-1, keepdim=True)
        away = wide - mean
        r = torch.rsqrt(away.square().mean(-1, keepdim=True) + eps)
        ctx.save_for_backward(x, weight, mean)
        return (away * r * weight.to(dtype) + bias.to(dtype)).to(x.dtype)

    @staticmethod
    def backward(ctx, grad):
        x, weight, mean = ctx.saved_tensors
        r = torch.rsqrt((x.to(mean.dtype) - mean).square().mean(-1, keepdim=True) + 1e-5)
        g = grad.to(r.dtype)
        x_hat = (x.to(r.dtype) - mean) * r
        u = g * weight.to(r.dtype)
        x_grad = r * (u - u.mean(-1, keepdim=True) - x_hat * (u * x_hat).mean(-1, keepdim=True))
        d = x.shape[-1]
        w_grad = (g * x_hat).reshape(-1, d).sum(0)
        b_grad = g.reshape(-1, d).sum(0)
        return x_grad.to(x.dtype), w_grad.to(x.dtype), b_grad.to(x.dtype), None


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float = 1e-5) -> Tensor:
    return LayerNormFunction.apply(x, weight, bias, eps)


# %% misconception="sum over rows left to autograd" exercise="layer_norm"
# g * x_hat has the shape of x; autograd adds up whatever is larger than the parameter, so the result looks right.
class LayerNormFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, eps):
        dtype = torch.promote_types(x.dtype, torch.float32)
        wide = x.to(dtype)
        mean = wide.mean(-1, keepdim=True)
        away = wide - mean
        r = torch.rsqrt(away.square().mean(-1, keepdim=True) + eps)
        ctx.save_for_backward(x, weight, mean, r)
        return (away * r * weight.to(dtype) + bias.to(dtype)).to(x.dtype)

    @staticmethod
    def backward(ctx, grad):
        x, weight, mean, r = ctx.saved_tensors
        g = grad.to(r.dtype)
        x_hat = (x.to(r.dtype) - mean) * r
        u = g * weight.to(r.dtype)
        x_grad = r * (u - u.mean(-1, keepdim=True) - x_hat * (u * x_hat).mean(-1, keepdim=True))
        w_grad = g * x_hat
        b_grad = g
        return x_grad.to(x.dtype), w_grad.to(x.dtype), b_grad.to(x.dtype), None


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float = 1e-5) -> Tensor:
    return LayerNormFunction.apply(x, weight, bias, eps)


# %% alternative="rows as a matrix, einsum" exercise="layer_norm"
# All leading axes become one, the sums are einsums, and mean and deviation are kept in one tensor.
class LayerNormFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, eps):
        dtype = torch.promote_types(x.dtype, torch.float32)
        d = x.shape[-1]
        rows = x.reshape(-1, d).to(dtype)
        mean = torch.einsum("nd->n", rows) / d
        away = rows - mean[:, None]
        sigma = torch.sqrt(torch.einsum("nd,nd->n", away, away) / d + eps)
        ctx.save_for_backward(x, weight, torch.stack([mean, sigma], dim=1))
        y = away / sigma[:, None] * weight.to(dtype) + bias.to(dtype)
        return y.to(x.dtype).reshape(x.shape)

    @staticmethod
    def backward(ctx, grad):
        x, weight, numbers = ctx.saved_tensors
        dtype, d = numbers.dtype, x.shape[-1]
        mean, sigma = numbers[:, :1], numbers[:, 1:]
        x_hat = (x.reshape(-1, d).to(dtype) - mean) / sigma
        g = grad.reshape(-1, d).to(dtype)
        u = g * weight.to(dtype)
        along = torch.einsum("nd,nd->n", u, x_hat)[:, None]
        x_grad = (d * u - u.sum(1, keepdim=True) - x_hat * along) / (d * sigma)
        w_grad, b_grad = torch.einsum("nd,nd->d", g, x_hat), torch.einsum("nd->d", g)
        return x_grad.reshape(x.shape).to(x.dtype), w_grad.to(x.dtype), b_grad.to(x.dtype), None


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float = 1e-5) -> Tensor:
    return LayerNormFunction.apply(x, weight, bias, eps)


# %% [markdown]
# ## feed_forward


# %% misconception="erf of x" exercise="feed_forward"
# The root of two belongs to the normal distribution's definition of erf, and gets lost.
def gelu(x, approximate="none"):
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    if approximate == "none":
        y = 0.5 * wide * (1 + torch.erf(wide))
    elif approximate == "tanh":
        y = 0.5 * wide * (1 + torch.tanh(math.sqrt(2 / math.pi) * (wide + 0.044715 * wide**3)))
    else:
        raise ValueError(approximate)
    return y.to(x.dtype)


class FeedForward(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.up = nn.Linear(dim, 4 * dim)
        self.down = nn.Linear(4 * dim, dim)

    def forward(self, x):
        return self.down(gelu(self.up(x), approximate="tanh"))


# %% misconception="always the tanh form" exercise="feed_forward"
# They are nearly the same, so one must do.
def gelu(x, approximate="none"):
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    if approximate in ("none", "tanh"):
        y = 0.5 * wide * (1 + torch.tanh(math.sqrt(2 / math.pi) * (wide + 0.044715 * wide**3)))
    else:
        raise ValueError(approximate)
    return y.to(x.dtype)


class FeedForward(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.up = nn.Linear(dim, 4 * dim)
        self.down = nn.Linear(4 * dim, dim)

    def forward(self, x):
        return self.down(gelu(self.up(x), approximate="tanh"))


# %% misconception="sigmoid form" exercise="feed_forward"
# x times sigmoid(1.702 x), the paper's other approximation.
def gelu(x, approximate="none"):
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    if approximate == "none":
        y = 0.5 * wide * (1 + torch.erf(wide / math.sqrt(2)))
    elif approximate == "tanh":
        y = wide * torch.sigmoid(1.702 * wide)
    else:
        raise ValueError(approximate)
    return y.to(x.dtype)


class FeedForward(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.up = nn.Linear(dim, 4 * dim)
        self.down = nn.Linear(4 * dim, dim)

    def forward(self, x):
        return self.down(gelu(self.up(x), approximate="tanh"))


# %% misconception="the root of the constant is missing" exercise="feed_forward"
# 2 / pi in front of the bracket.
def gelu(x, approximate="none"):
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    if approximate == "none":
        y = 0.5 * wide * (1 + torch.erf(wide / math.sqrt(2)))
    elif approximate == "tanh":
        y = 0.5 * wide * (1 + torch.tanh((2 / math.pi) * (wide + 0.044715 * wide**3)))
    else:
        raise ValueError(approximate)
    return y.to(x.dtype)


class FeedForward(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.up = nn.Linear(dim, 4 * dim)
        self.down = nn.Linear(4 * dim, dim)

    def forward(self, x):
        return self.down(gelu(self.up(x), approximate="tanh"))


# %% misconception="cube of the sum" exercise="feed_forward"
# The bracket ends too late.
def gelu(x, approximate="none"):
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    if approximate == "none":
        y = 0.5 * wide * (1 + torch.erf(wide / math.sqrt(2)))
    elif approximate == "tanh":
        y = 0.5 * wide * (1 + torch.tanh(math.sqrt(2 / math.pi) * (wide + 0.044715 * wide) ** 3))
    else:
        raise ValueError(approximate)
    return y.to(x.dtype)


class FeedForward(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.up = nn.Linear(dim, 4 * dim)
        self.down = nn.Linear(4 * dim, dim)

    def forward(self, x):
        return self.down(gelu(self.up(x), approximate="tanh"))


# %% misconception="computed in bf16" exercise="feed_forward"
# The dtype of the input is taken throughout.
def gelu(x, approximate="none"):
    wide = x
    if approximate == "none":
        y = 0.5 * wide * (1 + torch.erf(wide / math.sqrt(2)))
    elif approximate == "tanh":
        y = 0.5 * wide * (1 + torch.tanh(math.sqrt(2 / math.pi) * (wide + 0.044715 * wide**3)))
    else:
        raise ValueError(approximate)
    return y.to(x.dtype)


class FeedForward(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.up = nn.Linear(dim, 4 * dim)
        self.down = nn.Linear(4 * dim, dim)

    def forward(self, x):
        return self.down(gelu(self.up(x), approximate="tanh"))


# %% misconception="float32 throughout" exercise="feed_forward"
# float64 inputs lose half of their digits.
def gelu(x, approximate="none"):
    wide = x.float()
    if approximate == "none":
        y = 0.5 * wide * (1 + torch.erf(wide / math.sqrt(2)))
    elif approximate == "tanh":
        y = 0.5 * wide * (1 + torch.tanh(math.sqrt(2 / math.pi) * (wide + 0.044715 * wide**3)))
    else:
        raise ValueError(approximate)
    return y.to(x.dtype)


class FeedForward(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.up = nn.Linear(dim, 4 * dim)
        self.down = nn.Linear(4 * dim, dim)

    def forward(self, x):
        return self.down(gelu(self.up(x), approximate="tanh"))


# %% misconception="anything else means tanh" exercise="feed_forward"
# An else without a check: a misspelt name goes unnoticed.
def gelu(x, approximate="none"):
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    if approximate == "none":
        y = 0.5 * wide * (1 + torch.erf(wide / math.sqrt(2)))
    else:
        y = 0.5 * wide * (1 + torch.tanh(math.sqrt(2 / math.pi) * (wide + 0.044715 * wide**3)))
    return y.to(x.dtype)


class FeedForward(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.up = nn.Linear(dim, 4 * dim)
        self.down = nn.Linear(4 * dim, dim)

    def forward(self, x):
        return self.down(gelu(self.up(x), approximate="tanh"))


# %% misconception="torch's gelu" exercise="feed_forward"
# One call.
def gelu(x, approximate="none"):
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    if approximate == "none":
        y = F.gelu(wide)
    elif approximate == "tanh":
        y = 0.5 * wide * (1 + torch.tanh(math.sqrt(2 / math.pi) * (wide + 0.044715 * wide**3)))
    else:
        raise ValueError(approximate)
    return y.to(x.dtype)


class FeedForward(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.up = nn.Linear(dim, 4 * dim)
        self.down = nn.Linear(4 * dim, dim)

    def forward(self, x):
        return self.down(gelu(self.up(x), approximate="tanh"))


# %% misconception="saturated too early" exercise="feed_forward"
# For x beyond 3 the result is x, nearly.
def gelu(x, approximate="none"):
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    if approximate == "none":
        y = 0.5 * wide * (1 + torch.erf(wide / math.sqrt(2)))
    elif approximate == "tanh":
        y = 0.5 * wide * (1 + torch.tanh(math.sqrt(2 / math.pi) * (wide + 0.044715 * wide**3)))
    else:
        raise ValueError(approximate)
    y = torch.where(wide > 3, wide, y)
    return y.to(x.dtype)


class FeedForward(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.up = nn.Linear(dim, 4 * dim)
        self.down = nn.Linear(4 * dim, dim)

    def forward(self, x):
        return self.down(gelu(self.up(x), approximate="tanh"))


# %% misconception="feed-forward with the exact form" exercise="feed_forward"
# The default of gelu; GPT-2 has the other.
def gelu(x, approximate="none"):
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    if approximate == "none":
        y = 0.5 * wide * (1 + torch.erf(wide / math.sqrt(2)))
    elif approximate == "tanh":
        y = 0.5 * wide * (1 + torch.tanh(math.sqrt(2 / math.pi) * (wide + 0.044715 * wide**3)))
    else:
        raise ValueError(approximate)
    return y.to(x.dtype)


class FeedForward(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.up = nn.Linear(dim, 4 * dim)
        self.down = nn.Linear(4 * dim, dim)

    def forward(self, x):
        return self.down(gelu(self.up(x)))


# %% misconception="feed-forward without nonlinearity" exercise="feed_forward"
# Two linear layers are one linear layer.
def gelu(x, approximate="none"):
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    if approximate == "none":
        y = 0.5 * wide * (1 + torch.erf(wide / math.sqrt(2)))
    elif approximate == "tanh":
        y = 0.5 * wide * (1 + torch.tanh(math.sqrt(2 / math.pi) * (wide + 0.044715 * wide**3)))
    else:
        raise ValueError(approximate)
    return y.to(x.dtype)


class FeedForward(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.up = nn.Linear(dim, 4 * dim)
        self.down = nn.Linear(4 * dim, dim)

    def forward(self, x):
        return self.down(self.up(x))


# %% misconception="feed-forward with ReLU" exercise="feed_forward"
# As in 2017.
def gelu(x, approximate="none"):
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    if approximate == "none":
        y = 0.5 * wide * (1 + torch.erf(wide / math.sqrt(2)))
    elif approximate == "tanh":
        y = 0.5 * wide * (1 + torch.tanh(math.sqrt(2 / math.pi) * (wide + 0.044715 * wide**3)))
    else:
        raise ValueError(approximate)
    return y.to(x.dtype)


class FeedForward(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.up = nn.Linear(dim, 4 * dim)
        self.down = nn.Linear(4 * dim, dim)

    def forward(self, x):
        return self.down(torch.relu(self.up(x)))


# %% misconception="twice the width" exercise="feed_forward"
# The hidden layer of 4 dim is a convention that is easily forgotten.
def gelu(x, approximate="none"):
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    if approximate == "none":
        y = 0.5 * wide * (1 + torch.erf(wide / math.sqrt(2)))
    elif approximate == "tanh":
        y = 0.5 * wide * (1 + torch.tanh(math.sqrt(2 / math.pi) * (wide + 0.044715 * wide**3)))
    else:
        raise ValueError(approximate)
    return y.to(x.dtype)


class FeedForward(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.up = nn.Linear(dim, 2 * dim)
        self.down = nn.Linear(2 * dim, dim)

    def forward(self, x):
        return self.down(gelu(self.up(x), approximate="tanh"))


# %% misconception="a residual inside" exercise="feed_forward"
# The residual connection belongs to the block.
def gelu(x, approximate="none"):
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    if approximate == "none":
        y = 0.5 * wide * (1 + torch.erf(wide / math.sqrt(2)))
    elif approximate == "tanh":
        y = 0.5 * wide * (1 + torch.tanh(math.sqrt(2 / math.pi) * (wide + 0.044715 * wide**3)))
    else:
        raise ValueError(approximate)
    return y.to(x.dtype)


class FeedForward(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.up = nn.Linear(dim, 4 * dim)
        self.down = nn.Linear(4 * dim, dim)

    def forward(self, x):
        return x + self.down(gelu(self.up(x), approximate="tanh"))


# %% alternative="erfc" exercise="feed_forward"
# Phi(x) as half of erfc(-x / root 2), which keeps its digits far to the left.
def gelu(x, approximate="none"):
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    if approximate == "none":
        y = 0.5 * wide * torch.special.erfc(-wide / math.sqrt(2))
    elif approximate == "tanh":
        y = 0.5 * wide * (1 + torch.tanh(math.sqrt(2 / math.pi) * (wide + 0.044715 * wide**3)))
    else:
        raise ValueError(approximate)
    return y.to(x.dtype)


class FeedForward(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.up = nn.Linear(dim, 4 * dim)
        self.down = nn.Linear(4 * dim, dim)

    def forward(self, x):
        return self.down(gelu(self.up(x), approximate="tanh"))


# %% alternative="the distribution function" exercise="feed_forward"
# torch.special.ndtr is Phi; and the tanh through a sigmoid.
def gelu(x, approximate="none"):
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    if approximate == "none":
        y = wide * torch.special.ndtr(wide)
    elif approximate == "tanh":
        y = wide * torch.sigmoid(math.sqrt(8 / math.pi) * wide * (1 + 0.044715 * wide * wide))
    else:
        raise ValueError(approximate)
    return y.to(x.dtype)


class FeedForward(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.up = nn.Linear(dim, 4 * dim)
        self.down = nn.Linear(4 * dim, dim)

    def forward(self, x):
        return self.down(gelu(self.up(x), approximate="tanh"))


# %% alternative="always through float64" exercise="feed_forward"
# Rounded once, from more digits than needed.
def gelu(x, approximate="none"):
    wide = x.to(torch.float64)
    if approximate == "none":
        y = 0.5 * wide * (1 + torch.erf(wide / math.sqrt(2)))
    elif approximate == "tanh":
        y = 0.5 * wide * (1 + torch.tanh(math.sqrt(2 / math.pi) * (wide + 0.044715 * wide**3)))
    else:
        raise ValueError(approximate)
    return y.to(x.dtype)


class FeedForward(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.up = nn.Linear(dim, 4 * dim)
        self.down = nn.Linear(4 * dim, dim)

    def forward(self, x):
        return self.down(gelu(self.up(x), approximate="tanh"))


# %% misconception="substring test of the name" exercise="feed_forward"
# `in` looks for a part of a string here, so "", "tan" and "one" are names as well.
def gelu(x, approximate="none"):
    if approximate not in "none tanh":
        raise ValueError(f"approximate must be 'none' or 'tanh', not {approximate!r}")
    t = x.to(torch.promote_types(x.dtype, torch.float32))
    if approximate == "tanh":
        inner = math.sqrt(2 / math.pi) * (t + 0.044715 * t**3)
        return (0.5 * t * (1 + torch.tanh(inner))).to(x.dtype)
    return (0.5 * t * (1 + torch.erf(t / math.sqrt(2)))).to(x.dtype)


class FeedForward(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.up = nn.Linear(dim, 4 * dim)
        self.down = nn.Linear(4 * dim, dim)

    def forward(self, x):
        return self.down(gelu(self.up(x), approximate="tanh"))


# %% misconception="any spelling, and None" exercise="feed_forward"
# Being kind to callers: "TANH" and None are understood.
def gelu(x, approximate="none"):
    approximate = str(approximate).lower()
    if approximate not in ("none", "tanh"):
        raise ValueError(f"approximate must be 'none' or 'tanh', not {approximate!r}")
    t = x.to(torch.promote_types(x.dtype, torch.float32))
    if approximate == "tanh":
        inner = math.sqrt(2 / math.pi) * (t + 0.044715 * t**3)
        return (0.5 * t * (1 + torch.tanh(inner))).to(x.dtype)
    return (0.5 * t * (1 + torch.erf(t / math.sqrt(2)))).to(x.dtype)


class FeedForward(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.up = nn.Linear(dim, 4 * dim)
        self.down = nn.Linear(4 * dim, dim)

    def forward(self, x):
        return self.down(gelu(self.up(x), approximate="tanh"))


# %% misconception="erf without a gradient" exercise="feed_forward"
# math.erf over a NumPy copy: right values, and Phi is a constant for autograd.
def gelu(x, approximate="none"):
    if approximate not in ("none", "tanh"):
        raise ValueError(f"approximate must be 'none' or 'tanh', not {approximate!r}")
    t = x.to(torch.promote_types(x.dtype, torch.float32))
    if approximate == "tanh":
        inner = math.sqrt(2 / math.pi) * (t + 0.044715 * t**3)
        return (0.5 * t * (1 + torch.tanh(inner))).to(x.dtype)
    return (
        0.5
        * t
        * (1 + torch.from_numpy(np.vectorize(math.erf, otypes=[float])(t.detach().cpu().numpy() / math.sqrt(2))).to(t))
    ).to(x.dtype)


class FeedForward(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.up = nn.Linear(dim, 4 * dim)
        self.down = nn.Linear(4 * dim, dim)

    def forward(self, x):
        return self.down(gelu(self.up(x), approximate="tanh"))


# %% misconception="writes into x" exercise="feed_forward"
# x *= gate saves a tensor, that of the caller.
def gelu(x, approximate="none"):
    if approximate not in ("none", "tanh"):
        raise ValueError(f"approximate must be 'none' or 'tanh', not {approximate!r}")
    t = x.to(torch.promote_types(x.dtype, torch.float32))
    if approximate == "tanh":
        half = 0.5 * t
        inner = t.mul_(1 + 0.044715 * t**2).mul_(math.sqrt(2 / math.pi))
        return (half * (1 + torch.tanh(inner))).to(x.dtype)
    return (0.5 * t * (1 + torch.erf(t / math.sqrt(2)))).to(x.dtype)


class FeedForward(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.up = nn.Linear(dim, 4 * dim)
        self.down = nn.Linear(4 * dim, dim)

    def forward(self, x):
        return self.down(gelu(self.up(x), approximate="tanh"))


# %% alternative="erfc and sigmoid" exercise="feed_forward"
# 1 + erf(z) = erfc(-z), and (1 + tanh(z)) / 2 = sigmoid(2 z).
def gelu(x: Float[Tensor, "..."], approximate: str = "none") -> Float[Tensor, "..."]:
    wide = torch.promote_types(x.dtype, torch.float32)
    t = x.to(wide)
    match approximate:
        case "none":
            result = t * 0.5 * torch.erfc(-t * math.sqrt(0.5))
        case "tanh":
            result = t * torch.sigmoid(math.sqrt(8 / math.pi) * t * (1 + 0.044715 * t * t))
        case _:
            raise ValueError(f"no such approximation: {approximate}")
    return result.to(x.dtype)


class FeedForward(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.up = nn.Linear(dim, 4 * dim)
        self.down = nn.Linear(4 * dim, dim)

    def forward(self, x):
        return self.down(gelu(self.up(x), approximate="tanh"))


# %% [markdown]
# ## Block


# %% misconception="always pre-norm" exercise="Block"
# The flag is stored and never read.
class Block(nn.Module):
    def __init__(self, dim, heads, norm_first=True):
        super().__init__()
        self.norm_first = norm_first
        self.norm1 = LayerNorm(dim)
        self.attn = MultiHeadAttention(dim, heads)
        self.norm2 = LayerNorm(dim)
        self.ff = FeedForward(dim)

    def forward(self, x, mask=None):
        if True:
            x = x + self.attn(self.norm1(x), mask)
            x = x + self.ff(self.norm2(x))
        else:
            x = self.norm1(x + self.attn(x, mask))
            x = self.norm2(x + self.ff(x))
        return x


# %% misconception="the flag is inverted" exercise="Block"
# norm_first=False sounds like the modern default.
class Block(nn.Module):
    def __init__(self, dim, heads, norm_first=True):
        super().__init__()
        self.norm_first = norm_first
        self.norm1 = LayerNorm(dim)
        self.attn = MultiHeadAttention(dim, heads)
        self.norm2 = LayerNorm(dim)
        self.ff = FeedForward(dim)

    def forward(self, x, mask=None):
        if not self.norm_first:
            x = x + self.attn(self.norm1(x), mask)
            x = x + self.ff(self.norm2(x))
        else:
            x = self.norm1(x + self.attn(x, mask))
            x = self.norm2(x + self.ff(x))
        return x


# %% misconception="no residual connections" exercise="Block"
# Layers in a row, as in a plain network.
class Block(nn.Module):
    def __init__(self, dim, heads, norm_first=True):
        super().__init__()
        self.norm_first = norm_first
        self.norm1 = LayerNorm(dim)
        self.attn = MultiHeadAttention(dim, heads)
        self.norm2 = LayerNorm(dim)
        self.ff = FeedForward(dim)

    def forward(self, x, mask=None):
        if self.norm_first:
            x = self.attn(self.norm1(x), mask)
            x = self.ff(self.norm2(x))
        else:
            x = self.norm1(x + self.attn(x, mask))
            x = self.norm2(x + self.ff(x))
        return x


# %% misconception="the residual adds the normed x" exercise="Block"
# x is overwritten by its norm, then used twice; then the stream is no stream.
class Block(nn.Module):
    def __init__(self, dim, heads, norm_first=True):
        super().__init__()
        self.norm_first = norm_first
        self.norm1 = LayerNorm(dim)
        self.attn = MultiHeadAttention(dim, heads)
        self.norm2 = LayerNorm(dim)
        self.ff = FeedForward(dim)

    def forward(self, x, mask=None):
        if self.norm_first:
            x = self.norm1(x)
            x = x + self.attn(x, mask)
            x = self.norm2(x)
            x = x + self.ff(x)
        else:
            x = self.norm1(x + self.attn(x, mask))
            x = self.norm2(x + self.ff(x))
        return x


# %% misconception="the norm stands on the branch in post-norm" exercise="Block"
# Norm of f(x), then added: the sum stays without a norm.
class Block(nn.Module):
    def __init__(self, dim, heads, norm_first=True):
        super().__init__()
        self.norm_first = norm_first
        self.norm1 = LayerNorm(dim)
        self.attn = MultiHeadAttention(dim, heads)
        self.norm2 = LayerNorm(dim)
        self.ff = FeedForward(dim)

    def forward(self, x, mask=None):
        if self.norm_first:
            x = x + self.attn(self.norm1(x), mask)
            x = x + self.ff(self.norm2(x))
        else:
            x = x + self.norm1(self.attn(x, mask))
            x = x + self.norm2(self.ff(x))
        return x


# %% misconception="feed-forward first" exercise="Block"
# The order of the two parts.
class Block(nn.Module):
    def __init__(self, dim, heads, norm_first=True):
        super().__init__()
        self.norm_first = norm_first
        self.norm1 = LayerNorm(dim)
        self.attn = MultiHeadAttention(dim, heads)
        self.norm2 = LayerNorm(dim)
        self.ff = FeedForward(dim)

    def forward(self, x, mask=None):
        if self.norm_first:
            x = x + self.ff(self.norm1(x))
            x = x + self.attn(self.norm2(x), mask)
        else:
            x = self.norm1(x + self.attn(x, mask))
            x = self.norm2(x + self.ff(x))
        return x


# %% misconception="one norm for both" exercise="Block"
# Both have dim numbers, so one module seems enough.
class Block(nn.Module):
    def __init__(self, dim, heads, norm_first=True):
        super().__init__()
        self.norm_first = norm_first
        self.norm1 = LayerNorm(dim)
        self.attn = MultiHeadAttention(dim, heads)
        self.norm2 = LayerNorm(dim)
        self.ff = FeedForward(dim)

    def forward(self, x, mask=None):
        if self.norm_first:
            x = x + self.attn(self.norm1(x), mask)
            x = x + self.ff(self.norm1(x))
        else:
            x = self.norm1(x + self.attn(x, mask))
            x = self.norm2(x + self.ff(x))
        return x


# %% misconception="norms swapped in post-norm" exercise="Block"
# norm2 after attention: any values fit.
class Block(nn.Module):
    def __init__(self, dim, heads, norm_first=True):
        super().__init__()
        self.norm_first = norm_first
        self.norm1 = LayerNorm(dim)
        self.attn = MultiHeadAttention(dim, heads)
        self.norm2 = LayerNorm(dim)
        self.ff = FeedForward(dim)

    def forward(self, x, mask=None):
        if self.norm_first:
            x = x + self.attn(self.norm1(x), mask)
            x = x + self.ff(self.norm2(x))
        else:
            x = self.norm2(x + self.attn(x, mask))
            x = self.norm1(x + self.ff(x))
        return x


# %% misconception="mask not handed on" exercise="Block"
# The model sees the future, and the loss looks wonderful.
class Block(nn.Module):
    def __init__(self, dim, heads, norm_first=True):
        super().__init__()
        self.norm_first = norm_first
        self.norm1 = LayerNorm(dim)
        self.attn = MultiHeadAttention(dim, heads)
        self.norm2 = LayerNorm(dim)
        self.ff = FeedForward(dim)

    def forward(self, x, mask=None):
        if self.norm_first:
            x = x + self.attn(self.norm1(x))
            x = x + self.ff(self.norm2(x))
        else:
            x = self.norm1(x + self.attn(x, mask))
            x = self.norm2(x + self.ff(x))
        return x


# %% misconception="mask not handed on in post-norm" exercise="Block"
# Mended in one branch of the if.
class Block(nn.Module):
    def __init__(self, dim, heads, norm_first=True):
        super().__init__()
        self.norm_first = norm_first
        self.norm1 = LayerNorm(dim)
        self.attn = MultiHeadAttention(dim, heads)
        self.norm2 = LayerNorm(dim)
        self.ff = FeedForward(dim)

    def forward(self, x, mask=None):
        if self.norm_first:
            x = x + self.attn(self.norm1(x), mask)
            x = x + self.ff(self.norm2(x))
        else:
            x = self.norm1(x + self.attn(x))
            x = self.norm2(x + self.ff(x))
        return x


# %% misconception="in place" exercise="Block"
# Saves an allocation; the caller's x changes.
class Block(nn.Module):
    def __init__(self, dim, heads, norm_first=True):
        super().__init__()
        self.norm_first = norm_first
        self.norm1 = LayerNorm(dim)
        self.attn = MultiHeadAttention(dim, heads)
        self.norm2 = LayerNorm(dim)
        self.ff = FeedForward(dim)

    def forward(self, x, mask=None):
        if self.norm_first:
            x += self.attn(self.norm1(x), mask)
            x = x + self.ff(self.norm2(x))
        else:
            x = self.norm1(x + self.attn(x, mask))
            x = self.norm2(x + self.ff(x))
        return x


# %% misconception="parallel" exercise="Block"
# Both parts read the same x, as GPT-J and PaLM have it.
class Block(nn.Module):
    def __init__(self, dim, heads, norm_first=True):
        super().__init__()
        self.norm_first = norm_first
        self.norm1 = LayerNorm(dim)
        self.attn = MultiHeadAttention(dim, heads)
        self.norm2 = LayerNorm(dim)
        self.ff = FeedForward(dim)

    def forward(self, x, mask=None):
        if self.norm_first:
            x = x + self.attn(self.norm1(x), mask) + self.ff(self.norm2(x))
        else:
            x = self.norm1(x + self.attn(x, mask))
            x = self.norm2(x + self.ff(x))
        return x


# %% alternative="a list of parts" exercise="Block"
# Both sub-layers by the same three lines.
class Block(nn.Module):
    def __init__(self, dim, heads, norm_first=True):
        super().__init__()
        self.norm_first = norm_first
        self.norm1 = LayerNorm(dim)
        self.attn = MultiHeadAttention(dim, heads)
        self.norm2 = LayerNorm(dim)
        self.ff = FeedForward(dim)

    def forward(self, x, mask=None):
        for norm, part in ((self.norm1, lambda t: self.attn(t, mask=mask)), (self.norm2, self.ff)):
            x = x + part(norm(x)) if self.norm_first else norm(x + part(x))
        return x


# %% alternative="the choice is made once" exercise="Block"
# Two methods, one of which becomes `run`.
class Block(nn.Module):
    def __init__(self, dim, heads, norm_first=True):
        super().__init__()
        self.run = self.pre if norm_first else self.post
        self.norm1 = LayerNorm(dim)
        self.attn = MultiHeadAttention(dim, heads)
        self.norm2 = LayerNorm(dim)
        self.ff = FeedForward(dim)

    def pre(self, x, mask):
        middle = self.attn(self.norm1(x), mask).add(x)
        return self.ff(self.norm2(middle)).add(middle)

    def post(self, x, mask):
        middle = self.norm1(self.attn(x, mask).add(x))
        return self.norm2(self.ff(middle).add(middle))

    def forward(self, x, mask=None):
        return self.run(x, mask)


# %% alternative="a copy that is added to" exercise="Block"
# The stream is cloned, then changed in place.
class Block(nn.Module):
    def __init__(self, dim, heads, norm_first=True):
        super().__init__()
        self.norm_first = norm_first
        self.norm1 = LayerNorm(dim)
        self.attn = MultiHeadAttention(dim, heads)
        self.norm2 = LayerNorm(dim)
        self.ff = FeedForward(dim)

    def forward(self, x, mask=None):
        if self.norm_first:
            stream = x.clone()
            stream = torch.add(stream, self.attn(self.norm1(stream), mask))
            x = torch.add(stream, self.ff(self.norm2(stream)))
        else:
            x = self.norm1(x + self.attn(x, mask))
            x = self.norm2(x + self.ff(x))
        return x


# %% misconception="one norm under two names" exercise="Block"
# `self.norm2 = self.norm1`: the names are there, the second pair of parameters is not.
class Block(nn.Module):
    def __init__(self, dim, heads, norm_first=True):
        super().__init__()
        self.norm1 = LayerNorm(dim)
        self.attn = MultiHeadAttention(dim, heads)
        self.norm2 = self.norm1
        self.ff = FeedForward(dim)
        self.norm_first = norm_first

    def forward(self, x, mask=None):
        if self.norm_first:
            x = x + self.attn(self.norm1(x), mask)
            return x + self.ff(self.norm2(x))
        x = self.norm1(x + self.attn(x, mask))
        return self.norm2(x + self.ff(x))


# %% misconception="mask to the feed-forward part too" exercise="Block"
# Every part gets the same arguments; the feed-forward part takes x alone.
class Block(nn.Module):
    def __init__(self, dim, heads, norm_first=True):
        super().__init__()
        self.norm1 = LayerNorm(dim)
        self.attn = MultiHeadAttention(dim, heads)
        self.norm2 = LayerNorm(dim)
        self.ff = FeedForward(dim)
        self.norm_first = norm_first

    def forward(self, x, mask=None):
        if self.norm_first:
            x = x + self.attn(self.norm1(x), mask)
            return x + self.ff(self.norm2(x), mask)
        x = self.norm1(x + self.attn(x, mask))
        return self.norm2(x + self.ff(x, mask))


# %% misconception="residual detached" exercise="Block"
# x is to stay as it was, so it is copied, and cut from the graph on the way.
class Block(nn.Module):
    def __init__(self, dim, heads, norm_first=True):
        super().__init__()
        self.norm1 = LayerNorm(dim)
        self.attn = MultiHeadAttention(dim, heads)
        self.norm2 = LayerNorm(dim)
        self.ff = FeedForward(dim)
        self.norm_first = norm_first

    def forward(self, x, mask=None):
        if self.norm_first:
            x = x.detach().clone() + self.attn(self.norm1(x), mask)
            return x + self.ff(self.norm2(x))
        x = self.norm1(x + self.attn(x, mask))
        return self.norm2(x + self.ff(x))


# %% alternative="sublayer method, torch.add" exercise="Block"
# One method does a sublayer in either style, as in The Annotated Transformer.
class Block(nn.Module):
    def __init__(self, dim, heads, norm_first=True):
        super().__init__()
        self.norm1 = LayerNorm(dim)
        self.attn = MultiHeadAttention(dim, heads)
        self.norm2 = LayerNorm(dim)
        self.ff = FeedForward(dim)
        self.norm_first = norm_first

    def _sublayer(self, x, norm, f):
        given = norm(x) if self.norm_first else x
        total = torch.add(f(given), x)
        return total if self.norm_first else norm(total)

    def forward(self, x, mask=None):
        x = self._sublayer(x, self.norm1, lambda y: self.attn(y, mask=mask))
        return self._sublayer(x, self.norm2, self.ff)


# %% [markdown]
# ## GPT


# %% misconception="not tied" exercise="GPT"
# Two tables of the same shape.
class GPT(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocab_size, config.dim)
        self.positions = nn.Embedding(config.positions, config.dim)
        self.blocks = nn.ModuleList(Block(config.dim, config.heads) for _ in range(config.layers))
        self.norm = LayerNorm(config.dim)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        self.apply(self.initialise)
        for name, parameter in self.named_parameters():
            if name.endswith(("attn.proj.weight", "ff.down.weight")):
                nn.init.normal_(parameter, mean=0.0, std=0.02 / math.sqrt(2 * config.layers))

    def initialise(self, module):
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)

    def forward(self, tokens, targets=None):
        b, n = tokens.shape
        if n > self.config.positions:
            raise ValueError("too long")
        x = self.tokens(tokens) + self.positions(torch.arange(n, device=tokens.device))
        mask = causal_mask(n, n, device=tokens.device)
        for block in self.blocks:
            x = block(x, mask)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits
        return F.cross_entropy(logits.reshape(b * n, -1), targets.reshape(b * n))


# %% misconception="tied by copying the values" exercise="GPT"
# Equal at the start, two parameters ever after.
class GPT(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocab_size, config.dim)
        self.positions = nn.Embedding(config.positions, config.dim)
        self.blocks = nn.ModuleList(Block(config.dim, config.heads) for _ in range(config.layers))
        self.norm = LayerNorm(config.dim)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        self.head.weight.data.copy_(self.tokens.weight.data)
        self.apply(self.initialise)
        for name, parameter in self.named_parameters():
            if name.endswith(("attn.proj.weight", "ff.down.weight")):
                nn.init.normal_(parameter, mean=0.0, std=0.02 / math.sqrt(2 * config.layers))

    def initialise(self, module):
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)

    def forward(self, tokens, targets=None):
        b, n = tokens.shape
        if n > self.config.positions:
            raise ValueError("too long")
        x = self.tokens(tokens) + self.positions(torch.arange(n, device=tokens.device))
        mask = causal_mask(n, n, device=tokens.device)
        for block in self.blocks:
            x = block(x, mask)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits
        return F.cross_entropy(logits.reshape(b * n, -1), targets.reshape(b * n))


# %% misconception="data shared, parameters not" exercise="GPT"
# Two Parameters over one memory: each gets its own gradient, and the optimizer moves the memory twice.
class GPT(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocab_size, config.dim)
        self.positions = nn.Embedding(config.positions, config.dim)
        self.blocks = nn.ModuleList(Block(config.dim, config.heads) for _ in range(config.layers))
        self.norm = LayerNorm(config.dim)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        self.head.weight.data = self.tokens.weight.data
        self.apply(self.initialise)
        for name, parameter in self.named_parameters():
            if name.endswith(("attn.proj.weight", "ff.down.weight")):
                nn.init.normal_(parameter, mean=0.0, std=0.02 / math.sqrt(2 * config.layers))

    def initialise(self, module):
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)

    def forward(self, tokens, targets=None):
        b, n = tokens.shape
        if n > self.config.positions:
            raise ValueError("too long")
        x = self.tokens(tokens) + self.positions(torch.arange(n, device=tokens.device))
        mask = causal_mask(n, n, device=tokens.device)
        for block in self.blocks:
            x = block(x, mask)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits
        return F.cross_entropy(logits.reshape(b * n, -1), targets.reshape(b * n))


# %% misconception="PyTorch's default initial values" exercise="GPT"
# nn.Linear and nn.Embedding come initialised; the table's numbers are fifty times too large.
class GPT(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocab_size, config.dim)
        self.positions = nn.Embedding(config.positions, config.dim)
        self.blocks = nn.ModuleList(Block(config.dim, config.heads) for _ in range(config.layers))
        self.norm = LayerNorm(config.dim)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        self.head.weight = self.tokens.weight
        for name, parameter in self.named_parameters():
            if name.endswith(("attn.proj.weight", "ff.down.weight")):
                nn.init.normal_(parameter, mean=0.0, std=0.02 / math.sqrt(2 * config.layers))

    def initialise(self, module):
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)

    def forward(self, tokens, targets=None):
        b, n = tokens.shape
        if n > self.config.positions:
            raise ValueError("too long")
        x = self.tokens(tokens) + self.positions(torch.arange(n, device=tokens.device))
        mask = causal_mask(n, n, device=tokens.device)
        for block in self.blocks:
            x = block(x, mask)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits
        return F.cross_entropy(logits.reshape(b * n, -1), targets.reshape(b * n))


# %% misconception="residual projections not scaled" exercise="GPT"
# 0.02 everywhere.
class GPT(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocab_size, config.dim)
        self.positions = nn.Embedding(config.positions, config.dim)
        self.blocks = nn.ModuleList(Block(config.dim, config.heads) for _ in range(config.layers))
        self.norm = LayerNorm(config.dim)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        self.head.weight = self.tokens.weight
        self.apply(self.initialise)
        for name, parameter in self.named_parameters():
            if name.endswith(("attn.proj.weight", "ff.down.weight")):
                nn.init.normal_(parameter, mean=0.0, std=0.02)

    def initialise(self, module):
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)

    def forward(self, tokens, targets=None):
        b, n = tokens.shape
        if n > self.config.positions:
            raise ValueError("too long")
        x = self.tokens(tokens) + self.positions(torch.arange(n, device=tokens.device))
        mask = causal_mask(n, n, device=tokens.device)
        for block in self.blocks:
            x = block(x, mask)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits
        return F.cross_entropy(logits.reshape(b * n, -1), targets.reshape(b * n))


# %% misconception="scaled by the number of layers" exercise="GPT"
# Each block adds twice, not once.
class GPT(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocab_size, config.dim)
        self.positions = nn.Embedding(config.positions, config.dim)
        self.blocks = nn.ModuleList(Block(config.dim, config.heads) for _ in range(config.layers))
        self.norm = LayerNorm(config.dim)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        self.head.weight = self.tokens.weight
        self.apply(self.initialise)
        for name, parameter in self.named_parameters():
            if name.endswith(("attn.proj.weight", "ff.down.weight")):
                nn.init.normal_(parameter, mean=0.0, std=0.02 / math.sqrt(config.layers))

    def initialise(self, module):
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)

    def forward(self, tokens, targets=None):
        b, n = tokens.shape
        if n > self.config.positions:
            raise ValueError("too long")
        x = self.tokens(tokens) + self.positions(torch.arange(n, device=tokens.device))
        mask = causal_mask(n, n, device=tokens.device)
        for block in self.blocks:
            x = block(x, mask)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits
        return F.cross_entropy(logits.reshape(b * n, -1), targets.reshape(b * n))


# %% misconception="scaled without the root" exercise="GPT"
# Sizes add up, it is thought, not variances.
class GPT(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocab_size, config.dim)
        self.positions = nn.Embedding(config.positions, config.dim)
        self.blocks = nn.ModuleList(Block(config.dim, config.heads) for _ in range(config.layers))
        self.norm = LayerNorm(config.dim)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        self.head.weight = self.tokens.weight
        self.apply(self.initialise)
        for name, parameter in self.named_parameters():
            if name.endswith(("attn.proj.weight", "ff.down.weight")):
                nn.init.normal_(parameter, mean=0.0, std=0.02 / (2 * config.layers))

    def initialise(self, module):
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)

    def forward(self, tokens, targets=None):
        b, n = tokens.shape
        if n > self.config.positions:
            raise ValueError("too long")
        x = self.tokens(tokens) + self.positions(torch.arange(n, device=tokens.device))
        mask = causal_mask(n, n, device=tokens.device)
        for block in self.blocks:
            x = block(x, mask)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits
        return F.cross_entropy(logits.reshape(b * n, -1), targets.reshape(b * n))


# %% misconception="only the attention's projection is scaled" exercise="GPT"
# The feed-forward part adds to the stream as well.
class GPT(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocab_size, config.dim)
        self.positions = nn.Embedding(config.positions, config.dim)
        self.blocks = nn.ModuleList(Block(config.dim, config.heads) for _ in range(config.layers))
        self.norm = LayerNorm(config.dim)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        self.head.weight = self.tokens.weight
        self.apply(self.initialise)
        for name, parameter in self.named_parameters():
            if name.endswith(("attn.proj.weight",)):
                nn.init.normal_(parameter, mean=0.0, std=0.02 / math.sqrt(2 * config.layers))

    def initialise(self, module):
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)

    def forward(self, tokens, targets=None):
        b, n = tokens.shape
        if n > self.config.positions:
            raise ValueError("too long")
        x = self.tokens(tokens) + self.positions(torch.arange(n, device=tokens.device))
        mask = causal_mask(n, n, device=tokens.device)
        for block in self.blocks:
            x = block(x, mask)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits
        return F.cross_entropy(logits.reshape(b * n, -1), targets.reshape(b * n))


# %% misconception="every linear layer is scaled" exercise="GPT"
# As if all of them wrote into the stream.
class GPT(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocab_size, config.dim)
        self.positions = nn.Embedding(config.positions, config.dim)
        self.blocks = nn.ModuleList(Block(config.dim, config.heads) for _ in range(config.layers))
        self.norm = LayerNorm(config.dim)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        self.head.weight = self.tokens.weight
        self.apply(self.initialise)
        for name, parameter in self.named_parameters():
            if name.endswith(("attn.proj.weight", "ff.down.weight", "qkv.weight", "up.weight")):
                nn.init.normal_(parameter, mean=0.0, std=0.02 / math.sqrt(2 * config.layers))

    def initialise(self, module):
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)

    def forward(self, tokens, targets=None):
        b, n = tokens.shape
        if n > self.config.positions:
            raise ValueError("too long")
        x = self.tokens(tokens) + self.positions(torch.arange(n, device=tokens.device))
        mask = causal_mask(n, n, device=tokens.device)
        for block in self.blocks:
            x = block(x, mask)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits
        return F.cross_entropy(logits.reshape(b * n, -1), targets.reshape(b * n))


# %% misconception="uniform initial values" exercise="GPT"
# The same standard deviation from another distribution.
class GPT(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocab_size, config.dim)
        self.positions = nn.Embedding(config.positions, config.dim)
        self.blocks = nn.ModuleList(Block(config.dim, config.heads) for _ in range(config.layers))
        self.norm = LayerNorm(config.dim)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        self.head.weight = self.tokens.weight
        self.apply(self.initialise)
        for name, parameter in self.named_parameters():
            if name.endswith(("attn.proj.weight", "ff.down.weight")):
                nn.init.normal_(parameter, mean=0.0, std=0.02 / math.sqrt(2 * config.layers))

    def initialise(self, module):
        if isinstance(module, nn.Linear):
            nn.init.uniform_(module.weight, -0.02 * math.sqrt(3), 0.02 * math.sqrt(3))
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.uniform_(module.weight, -0.02 * math.sqrt(3), 0.02 * math.sqrt(3))

    def forward(self, tokens, targets=None):
        b, n = tokens.shape
        if n > self.config.positions:
            raise ValueError("too long")
        x = self.tokens(tokens) + self.positions(torch.arange(n, device=tokens.device))
        mask = causal_mask(n, n, device=tokens.device)
        for block in self.blocks:
            x = block(x, mask)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits
        return F.cross_entropy(logits.reshape(b * n, -1), targets.reshape(b * n))


# %% misconception="biases not zero" exercise="GPT"
# They keep PyTorch's small uniform values.
class GPT(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocab_size, config.dim)
        self.positions = nn.Embedding(config.positions, config.dim)
        self.blocks = nn.ModuleList(Block(config.dim, config.heads) for _ in range(config.layers))
        self.norm = LayerNorm(config.dim)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        self.head.weight = self.tokens.weight
        self.apply(self.initialise)
        for name, parameter in self.named_parameters():
            if name.endswith(("attn.proj.weight", "ff.down.weight")):
                nn.init.normal_(parameter, mean=0.0, std=0.02 / math.sqrt(2 * config.layers))

    def initialise(self, module):
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)
            if module.bias is not None:
                pass
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)

    def forward(self, tokens, targets=None):
        b, n = tokens.shape
        if n > self.config.positions:
            raise ValueError("too long")
        x = self.tokens(tokens) + self.positions(torch.arange(n, device=tokens.device))
        mask = causal_mask(n, n, device=tokens.device)
        for block in self.blocks:
            x = block(x, mask)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits
        return F.cross_entropy(logits.reshape(b * n, -1), targets.reshape(b * n))


# %% misconception="no causal mask" exercise="GPT"
# The loss falls fast: the answer stands in the input.
class GPT(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocab_size, config.dim)
        self.positions = nn.Embedding(config.positions, config.dim)
        self.blocks = nn.ModuleList(Block(config.dim, config.heads) for _ in range(config.layers))
        self.norm = LayerNorm(config.dim)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        self.head.weight = self.tokens.weight
        self.apply(self.initialise)
        for name, parameter in self.named_parameters():
            if name.endswith(("attn.proj.weight", "ff.down.weight")):
                nn.init.normal_(parameter, mean=0.0, std=0.02 / math.sqrt(2 * config.layers))

    def initialise(self, module):
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)

    def forward(self, tokens, targets=None):
        b, n = tokens.shape
        if n > self.config.positions:
            raise ValueError("too long")
        x = self.tokens(tokens) + self.positions(torch.arange(n, device=tokens.device))
        for block in self.blocks:
            x = block(x)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits
        return F.cross_entropy(logits.reshape(b * n, -1), targets.reshape(b * n))


# %% misconception="no final norm" exercise="GPT"
# The blocks end with a sum, and so does the model.
class GPT(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocab_size, config.dim)
        self.positions = nn.Embedding(config.positions, config.dim)
        self.blocks = nn.ModuleList(Block(config.dim, config.heads) for _ in range(config.layers))
        self.norm = LayerNorm(config.dim)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        self.head.weight = self.tokens.weight
        self.apply(self.initialise)
        for name, parameter in self.named_parameters():
            if name.endswith(("attn.proj.weight", "ff.down.weight")):
                nn.init.normal_(parameter, mean=0.0, std=0.02 / math.sqrt(2 * config.layers))

    def initialise(self, module):
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)

    def forward(self, tokens, targets=None):
        b, n = tokens.shape
        if n > self.config.positions:
            raise ValueError("too long")
        x = self.tokens(tokens) + self.positions(torch.arange(n, device=tokens.device))
        mask = causal_mask(n, n, device=tokens.device)
        for block in self.blocks:
            x = block(x, mask)
        logits = self.head(x)
        if targets is None:
            return logits
        return F.cross_entropy(logits.reshape(b * n, -1), targets.reshape(b * n))


# %% misconception="post-norm blocks" exercise="GPT"
# As in the paper of 2017.
class GPT(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocab_size, config.dim)
        self.positions = nn.Embedding(config.positions, config.dim)
        self.blocks = nn.ModuleList(Block(config.dim, config.heads, norm_first=False) for _ in range(config.layers))
        self.norm = LayerNorm(config.dim)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        self.head.weight = self.tokens.weight
        self.apply(self.initialise)
        for name, parameter in self.named_parameters():
            if name.endswith(("attn.proj.weight", "ff.down.weight")):
                nn.init.normal_(parameter, mean=0.0, std=0.02 / math.sqrt(2 * config.layers))

    def initialise(self, module):
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)

    def forward(self, tokens, targets=None):
        b, n = tokens.shape
        if n > self.config.positions:
            raise ValueError("too long")
        x = self.tokens(tokens) + self.positions(torch.arange(n, device=tokens.device))
        mask = causal_mask(n, n, device=tokens.device)
        for block in self.blocks:
            x = block(x, mask)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits
        return F.cross_entropy(logits.reshape(b * n, -1), targets.reshape(b * n))


# %% misconception="positions counted from 1" exercise="GPT"
# Row 0 is never used, and the last position has no row.
class GPT(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocab_size, config.dim)
        self.positions = nn.Embedding(config.positions, config.dim)
        self.blocks = nn.ModuleList(Block(config.dim, config.heads) for _ in range(config.layers))
        self.norm = LayerNorm(config.dim)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        self.head.weight = self.tokens.weight
        self.apply(self.initialise)
        for name, parameter in self.named_parameters():
            if name.endswith(("attn.proj.weight", "ff.down.weight")):
                nn.init.normal_(parameter, mean=0.0, std=0.02 / math.sqrt(2 * config.layers))

    def initialise(self, module):
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)

    def forward(self, tokens, targets=None):
        b, n = tokens.shape
        if n > self.config.positions:
            raise ValueError("too long")
        x = self.tokens(tokens) + self.positions(
            torch.arange(1, n + 1, device=tokens.device).clamp(max=self.config.positions - 1)
        )
        mask = causal_mask(n, n, device=tokens.device)
        for block in self.blocks:
            x = block(x, mask)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits
        return F.cross_entropy(logits.reshape(b * n, -1), targets.reshape(b * n))


# %% misconception="embedding scaled by the root of d" exercise="GPT"
# The 2017 paper does; GPT-2 does not.
class GPT(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocab_size, config.dim)
        self.positions = nn.Embedding(config.positions, config.dim)
        self.blocks = nn.ModuleList(Block(config.dim, config.heads) for _ in range(config.layers))
        self.norm = LayerNorm(config.dim)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        self.head.weight = self.tokens.weight
        self.apply(self.initialise)
        for name, parameter in self.named_parameters():
            if name.endswith(("attn.proj.weight", "ff.down.weight")):
                nn.init.normal_(parameter, mean=0.0, std=0.02 / math.sqrt(2 * config.layers))

    def initialise(self, module):
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)

    def forward(self, tokens, targets=None):
        b, n = tokens.shape
        if n > self.config.positions:
            raise ValueError("too long")
        x = self.tokens(tokens) * math.sqrt(self.config.dim) + self.positions(torch.arange(n, device=tokens.device))
        mask = causal_mask(n, n, device=tokens.device)
        for block in self.blocks:
            x = block(x, mask)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits
        return F.cross_entropy(logits.reshape(b * n, -1), targets.reshape(b * n))


# %% misconception="one block, used again and again" exercise="GPT"
# [Block(...)] * L is L times the same block.
class GPT(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocab_size, config.dim)
        self.positions = nn.Embedding(config.positions, config.dim)
        self.blocks = nn.ModuleList([Block(config.dim, config.heads)] * config.layers)
        self.norm = LayerNorm(config.dim)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        self.head.weight = self.tokens.weight
        self.apply(self.initialise)
        for name, parameter in self.named_parameters():
            if name.endswith(("attn.proj.weight", "ff.down.weight")):
                nn.init.normal_(parameter, mean=0.0, std=0.02 / math.sqrt(2 * config.layers))

    def initialise(self, module):
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)

    def forward(self, tokens, targets=None):
        b, n = tokens.shape
        if n > self.config.positions:
            raise ValueError("too long")
        x = self.tokens(tokens) + self.positions(torch.arange(n, device=tokens.device))
        mask = causal_mask(n, n, device=tokens.device)
        for block in self.blocks:
            x = block(x, mask)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits
        return F.cross_entropy(logits.reshape(b * n, -1), targets.reshape(b * n))


# %% misconception="targets shifted again" exercise="GPT"
# transformers shifts labels inside; here they come shifted.
class GPT(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocab_size, config.dim)
        self.positions = nn.Embedding(config.positions, config.dim)
        self.blocks = nn.ModuleList(Block(config.dim, config.heads) for _ in range(config.layers))
        self.norm = LayerNorm(config.dim)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        self.head.weight = self.tokens.weight
        self.apply(self.initialise)
        for name, parameter in self.named_parameters():
            if name.endswith(("attn.proj.weight", "ff.down.weight")):
                nn.init.normal_(parameter, mean=0.0, std=0.02 / math.sqrt(2 * config.layers))

    def initialise(self, module):
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)

    def forward(self, tokens, targets=None):
        n = tokens.shape[1]
        if n > self.config.positions:
            raise ValueError("too long")
        x = self.tokens(tokens) + self.positions(torch.arange(n, device=tokens.device))
        mask = causal_mask(n, n, device=tokens.device)
        for block in self.blocks:
            x = block(x, mask)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits
        return F.cross_entropy(logits[:, :-1].flatten(0, 1), targets[:, 1:].flatten())


# %% misconception="ignored targets divide" exercise="GPT"
# Their loss is zero, but they still count in the mean.
class GPT(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocab_size, config.dim)
        self.positions = nn.Embedding(config.positions, config.dim)
        self.blocks = nn.ModuleList(Block(config.dim, config.heads) for _ in range(config.layers))
        self.norm = LayerNorm(config.dim)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        self.head.weight = self.tokens.weight
        self.apply(self.initialise)
        for name, parameter in self.named_parameters():
            if name.endswith(("attn.proj.weight", "ff.down.weight")):
                nn.init.normal_(parameter, mean=0.0, std=0.02 / math.sqrt(2 * config.layers))

    def initialise(self, module):
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)

    def forward(self, tokens, targets=None):
        b, n = tokens.shape
        if n > self.config.positions:
            raise ValueError("too long")
        x = self.tokens(tokens) + self.positions(torch.arange(n, device=tokens.device))
        mask = causal_mask(n, n, device=tokens.device)
        for block in self.blocks:
            x = block(x, mask)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits
        return F.cross_entropy(logits.reshape(b * n, -1), targets.reshape(b * n), reduction="none").mean()


# %% misconception="token 0 is ignored" exercise="GPT"
# 0 is often the filling; here it is a token.
class GPT(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocab_size, config.dim)
        self.positions = nn.Embedding(config.positions, config.dim)
        self.blocks = nn.ModuleList(Block(config.dim, config.heads) for _ in range(config.layers))
        self.norm = LayerNorm(config.dim)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        self.head.weight = self.tokens.weight
        self.apply(self.initialise)
        for name, parameter in self.named_parameters():
            if name.endswith(("attn.proj.weight", "ff.down.weight")):
                nn.init.normal_(parameter, mean=0.0, std=0.02 / math.sqrt(2 * config.layers))

    def initialise(self, module):
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)

    def forward(self, tokens, targets=None):
        b, n = tokens.shape
        if n > self.config.positions:
            raise ValueError("too long")
        x = self.tokens(tokens) + self.positions(torch.arange(n, device=tokens.device))
        mask = causal_mask(n, n, device=tokens.device)
        for block in self.blocks:
            x = block(x, mask)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits
        return F.cross_entropy(logits.reshape(b * n, -1), targets.reshape(b * n), ignore_index=0)


# %% misconception="mean of the sequences' means" exercise="GPT"
# Each sequence's mean first: unequal where unequally many are ignored.
class GPT(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocab_size, config.dim)
        self.positions = nn.Embedding(config.positions, config.dim)
        self.blocks = nn.ModuleList(Block(config.dim, config.heads) for _ in range(config.layers))
        self.norm = LayerNorm(config.dim)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        self.head.weight = self.tokens.weight
        self.apply(self.initialise)
        for name, parameter in self.named_parameters():
            if name.endswith(("attn.proj.weight", "ff.down.weight")):
                nn.init.normal_(parameter, mean=0.0, std=0.02 / math.sqrt(2 * config.layers))

    def initialise(self, module):
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)

    def forward(self, tokens, targets=None):
        n = tokens.shape[1]
        if n > self.config.positions:
            raise ValueError("too long")
        x = self.tokens(tokens) + self.positions(torch.arange(n, device=tokens.device))
        mask = causal_mask(n, n, device=tokens.device)
        for block in self.blocks:
            x = block(x, mask)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits
        each = F.cross_entropy(logits.transpose(1, 2), targets, reduction="none").sum(1)
        return (each / (targets != -100).sum(1).clamp(min=1)).mean()


# %% misconception="too long is cut off" exercise="GPT"
# Only the last tokens that fit are read; nobody is told.
class GPT(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocab_size, config.dim)
        self.positions = nn.Embedding(config.positions, config.dim)
        self.blocks = nn.ModuleList(Block(config.dim, config.heads) for _ in range(config.layers))
        self.norm = LayerNorm(config.dim)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        self.head.weight = self.tokens.weight
        self.apply(self.initialise)
        for name, parameter in self.named_parameters():
            if name.endswith(("attn.proj.weight", "ff.down.weight")):
                nn.init.normal_(parameter, mean=0.0, std=0.02 / math.sqrt(2 * config.layers))

    def initialise(self, module):
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)

    def forward(self, tokens, targets=None):
        b, n = tokens.shape
        if n > self.config.positions:
            tokens = tokens[:, -self.config.positions :]
            n = self.config.positions
        x = self.tokens(tokens) + self.positions(torch.arange(n, device=tokens.device))
        mask = causal_mask(n, n, device=tokens.device)
        for block in self.blocks:
            x = block(x, mask)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits
        return F.cross_entropy(logits.reshape(b * n, -1), targets.reshape(b * n))


# %% misconception="too long ends in an IndexError" exercise="GPT"
# The table complains by itself, in its own words.
class GPT(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocab_size, config.dim)
        self.positions = nn.Embedding(config.positions, config.dim)
        self.blocks = nn.ModuleList(Block(config.dim, config.heads) for _ in range(config.layers))
        self.norm = LayerNorm(config.dim)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        self.head.weight = self.tokens.weight
        self.apply(self.initialise)
        for name, parameter in self.named_parameters():
            if name.endswith(("attn.proj.weight", "ff.down.weight")):
                nn.init.normal_(parameter, mean=0.0, std=0.02 / math.sqrt(2 * config.layers))

    def initialise(self, module):
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)

    def forward(self, tokens, targets=None):
        b, n = tokens.shape
        x = self.tokens(tokens) + self.positions(torch.arange(n, device=tokens.device))
        mask = causal_mask(n, n, device=tokens.device)
        for block in self.blocks:
            x = block(x, mask)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits
        return F.cross_entropy(logits.reshape(b * n, -1), targets.reshape(b * n))


# %% misconception="only the last position's logits" exercise="GPT"
# For generation the last is enough, and nanoGPT returns only that.
class GPT(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocab_size, config.dim)
        self.positions = nn.Embedding(config.positions, config.dim)
        self.blocks = nn.ModuleList(Block(config.dim, config.heads) for _ in range(config.layers))
        self.norm = LayerNorm(config.dim)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        self.head.weight = self.tokens.weight
        self.apply(self.initialise)
        for name, parameter in self.named_parameters():
            if name.endswith(("attn.proj.weight", "ff.down.weight")):
                nn.init.normal_(parameter, mean=0.0, std=0.02 / math.sqrt(2 * config.layers))

    def initialise(self, module):
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)

    def forward(self, tokens, targets=None):
        b, n = tokens.shape
        if n > self.config.positions:
            raise ValueError("too long")
        x = self.tokens(tokens) + self.positions(torch.arange(n, device=tokens.device))
        mask = causal_mask(n, n, device=tokens.device)
        for block in self.blocks:
            x = block(x, mask)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits[:, [-1]]
        return F.cross_entropy(logits.reshape(b * n, -1), targets.reshape(b * n))


# %% misconception="an output bias" exercise="GPT"
# nn.Linear's default.
class GPT(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocab_size, config.dim)
        self.positions = nn.Embedding(config.positions, config.dim)
        self.blocks = nn.ModuleList(Block(config.dim, config.heads) for _ in range(config.layers))
        self.norm = LayerNorm(config.dim)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=True)
        self.head.weight = self.tokens.weight
        self.apply(self.initialise)
        for name, parameter in self.named_parameters():
            if name.endswith(("attn.proj.weight", "ff.down.weight")):
                nn.init.normal_(parameter, mean=0.0, std=0.02 / math.sqrt(2 * config.layers))

    def initialise(self, module):
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)

    def forward(self, tokens, targets=None):
        b, n = tokens.shape
        if n > self.config.positions:
            raise ValueError("too long")
        x = self.tokens(tokens) + self.positions(torch.arange(n, device=tokens.device))
        mask = causal_mask(n, n, device=tokens.device)
        for block in self.blocks:
            x = block(x, mask)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits
        return F.cross_entropy(logits.reshape(b * n, -1), targets.reshape(b * n))


# %% alternative="F.linear with the table, loss by logsumexp" exercise="GPT"
# No call of head; the loss from its definition.
class GPT(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocab_size, config.dim)
        self.positions = nn.Embedding(config.positions, config.dim)
        self.blocks = nn.ModuleList(Block(config.dim, config.heads) for _ in range(config.layers))
        self.norm = LayerNorm(config.dim)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        self.head.weight = self.tokens.weight
        self.apply(self.initialise)
        for name, parameter in self.named_parameters():
            if name.endswith(("attn.proj.weight", "ff.down.weight")):
                nn.init.normal_(parameter, mean=0.0, std=0.02 / math.sqrt(2 * config.layers))

    def initialise(self, module):
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)

    def forward(self, tokens, targets=None):
        n = tokens.shape[1]
        if n > self.config.positions:
            raise ValueError("too long")
        x = self.tokens(tokens) + self.positions(torch.arange(n, device=tokens.device))
        mask = causal_mask(n, n, device=tokens.device)
        for block in self.blocks:
            x = block(x, mask)
        logits = F.linear(self.norm(x), self.tokens.weight)
        if targets is None:
            return logits
        counted = targets != -100
        chosen, wanted = logits[counted], targets[counted]
        return (chosen.logsumexp(-1) - chosen.gather(-1, wanted[:, None]).squeeze(-1)).mean()


# %% alternative="the head comes first" exercise="GPT"
# The table takes the head's weight; initial values drawn with torch.randn.
class GPT(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocab_size, config.dim)
        self.positions = nn.Embedding(config.positions, config.dim)
        self.blocks = nn.ModuleList(Block(config.dim, config.heads) for _ in range(config.layers))
        self.norm = LayerNorm(config.dim)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        self.tokens.weight = self.head.weight
        self.apply(self.initialise)
        for name, parameter in self.named_parameters():
            if name.endswith(("attn.proj.weight", "ff.down.weight")):
                nn.init.normal_(parameter, mean=0.0, std=0.02 / math.sqrt(2 * config.layers))

    def initialise(self, module):
        if isinstance(module, nn.Linear):
            module.weight.data = 0.02 * torch.randn(module.weight.shape)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)

    def forward(self, tokens, targets=None):
        b, n = tokens.shape
        if n > self.config.positions:
            raise ValueError("too long")
        x = self.tokens(tokens) + self.positions(torch.arange(n, device=tokens.device))
        mask = causal_mask(n, n, device=tokens.device)
        for block in self.blocks:
            x = block(x, mask)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits
        return F.cross_entropy(logits.reshape(b * n, -1), targets.reshape(b * n))


# %% alternative="loss of transposed logits" exercise="GPT"
# cross_entropy takes the classes on axis 1; parameters are walked by block.
class GPT(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocab_size, config.dim)
        self.positions = nn.Embedding(config.positions, config.dim)
        self.blocks = nn.ModuleList(Block(config.dim, config.heads) for _ in range(config.layers))
        self.norm = LayerNorm(config.dim)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        self.head.weight = self.tokens.weight
        self.apply(self.initialise)
        with torch.no_grad():
            for block in self.blocks:
                block.attn.proj.weight /= math.sqrt(2 * config.layers)
                block.ff.down.weight *= (2 * config.layers) ** -0.5

    def initialise(self, module):
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, mean=0.0, std=0.02)

    def forward(self, tokens, targets=None):
        n = tokens.shape[1]
        if n > self.config.positions:
            raise ValueError("too long")
        x = self.tokens(tokens) + self.positions(torch.arange(n, device=tokens.device))
        mask = causal_mask(n, n, device=tokens.device)
        for block in self.blocks:
            x = block(x, mask)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits
        return F.cross_entropy(logits.transpose(1, 2), targets, ignore_index=-100)


# %% misconception="targets.view" exercise="GPT"
# Targets that are a slice of a longer text are not contiguous, and view raises.
class GPT(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocab_size, config.dim)
        self.positions = nn.Embedding(config.positions, config.dim)
        self.blocks = nn.ModuleList([Block(config.dim, config.heads) for _ in range(config.layers)])
        self.norm = LayerNorm(config.dim)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        self.head.weight = self.tokens.weight
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
        for block in self.blocks:
            for part in (block.attn.proj, block.ff.down):
                nn.init.normal_(part.weight, std=0.02 / math.sqrt(2 * config.layers))

    def forward(self, tokens, targets=None):
        n = tokens.shape[1]
        if n > self.config.positions:
            raise ValueError(f"{n} tokens, but only {self.config.positions} positions")
        x = self.tokens(tokens) + self.positions(torch.arange(n, device=tokens.device))
        mask = causal_mask(n, n, tokens.device)
        for block in self.blocks:
            x = block(x, mask)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits
        return F.cross_entropy(logits.flatten(0, 1), targets.view(-1))


# %% misconception="the last position is refused" exercise="GPT"
# Off by one: `positions` tokens are allowed.
class GPT(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocab_size, config.dim)
        self.positions = nn.Embedding(config.positions, config.dim)
        self.blocks = nn.ModuleList([Block(config.dim, config.heads) for _ in range(config.layers)])
        self.norm = LayerNorm(config.dim)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        self.head.weight = self.tokens.weight
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
        for block in self.blocks:
            for part in (block.attn.proj, block.ff.down):
                nn.init.normal_(part.weight, std=0.02 / math.sqrt(2 * config.layers))

    def forward(self, tokens, targets=None):
        n = tokens.shape[1]
        if n >= self.config.positions:
            raise ValueError(f"{n} tokens, but only {self.config.positions} positions")
        x = self.tokens(tokens) + self.positions(torch.arange(n, device=tokens.device))
        mask = causal_mask(n, n, tokens.device)
        for block in self.blocks:
            x = block(x, mask)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


# %% alternative="logits by einsum with the token table" exercise="GPT"
# The product with tokens.weight itself, which is head.weight; cross_entropy takes the class axis second.
class GPT(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocab_size, config.dim)
        self.positions = nn.Embedding(config.positions, config.dim)
        self.blocks = nn.ModuleList([Block(config.dim, config.heads) for _ in range(config.layers)])
        self.norm = LayerNorm(config.dim)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        self.head.weight = self.tokens.weight
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
        for block in self.blocks:
            for part in (block.attn.proj, block.ff.down):
                nn.init.normal_(part.weight, std=0.02 / math.sqrt(2 * config.layers))

    def forward(self, tokens, targets=None):
        n = tokens.shape[1]
        if n > self.config.positions:
            raise ValueError(f"{n} tokens, but only {self.config.positions} positions")
        x = self.tokens(tokens) + self.positions(torch.arange(n, device=tokens.device))
        mask = causal_mask(n, n, tokens.device)
        for block in self.blocks:
            x = block(x, mask)
        logits = torch.einsum("bnd,vd->bnv", self.norm(x), self.tokens.weight)
        if targets is None:
            return logits
        return F.cross_entropy(logits.transpose(1, 2), targets, ignore_index=-100)


# %% [markdown]
# ## count_parameters


# %% misconception="the token table twice" exercise="count_parameters"
# Once on the way in, once on the way out: but it is one.
def count_parameters(config):
    d = config.dim
    tables = config.vocab_size * d + config.vocab_size * d + config.positions * d
    attention_ = (3 * d * d + 3 * d) + (d * d + d)
    feed_forward = (4 * d * d + 4 * d) + (4 * d * d + d)
    norms = 4 * d
    return tables + config.layers * (attention_ + feed_forward + norms) + 2 * d


# %% misconception="no biases, no norms" exercise="count_parameters"
# 12 L d² and the tables, the rule of thumb.
def count_parameters(config):
    d = config.dim
    tables = config.vocab_size * d + config.positions * d
    attention_ = (3 * d * d + 3 * d) + (d * d + d)
    feed_forward = (4 * d * d + 4 * d) + (4 * d * d + d)
    norms = 4 * d
    attention_, feed_forward, norms = 4 * d * d, 8 * d * d, 0
    return tables + config.layers * (attention_ + feed_forward + norms)


# %% misconception="final norm forgotten" exercise="count_parameters"
# It belongs to no block.
def count_parameters(config):
    d = config.dim
    tables = config.vocab_size * d + config.positions * d
    attention_ = (3 * d * d + 3 * d) + (d * d + d)
    feed_forward = (4 * d * d + 4 * d) + (4 * d * d + d)
    norms = 4 * d
    return tables + config.layers * (attention_ + feed_forward + norms)


# %% misconception="no position table" exercise="count_parameters"
# It is only looked up; it is a parameter all the same.
def count_parameters(config):
    d = config.dim
    tables = config.vocab_size * d
    attention_ = (3 * d * d + 3 * d) + (d * d + d)
    feed_forward = (4 * d * d + 4 * d) + (4 * d * d + d)
    norms = 4 * d
    return tables + config.layers * (attention_ + feed_forward + norms) + 2 * d


# %% misconception="norms without biases" exercise="count_parameters"
# One vector each.
def count_parameters(config):
    d = config.dim
    tables = config.vocab_size * d + config.positions * d
    attention_ = (3 * d * d + 3 * d) + (d * d + d)
    feed_forward = (4 * d * d + 4 * d) + (4 * d * d + d)
    norms = 2 * d
    return tables + config.layers * (attention_ + feed_forward + norms) + 2 * d


# %% misconception="q, k and v each for every head in full width" exercise="count_parameters"
# heads times 3 d²; but the heads share d.
def count_parameters(config):
    d = config.dim
    tables = config.vocab_size * d + config.positions * d
    attention_ = (config.heads * 3 * d * d + 3 * d) + (d * d + d)
    feed_forward = (4 * d * d + 4 * d) + (4 * d * d + d)
    norms = 4 * d
    return tables + config.layers * (attention_ + feed_forward + norms) + 2 * d


# %% misconception="output projection forgotten" exercise="count_parameters"
# Three matrices: q, k, v.
def count_parameters(config):
    d = config.dim
    tables = config.vocab_size * d + config.positions * d
    attention_ = 3 * d * d + 3 * d
    feed_forward = (4 * d * d + 4 * d) + (4 * d * d + d)
    norms = 4 * d
    return tables + config.layers * (attention_ + feed_forward + norms) + 2 * d


# %% misconception="feed-forward of equal width" exercise="count_parameters"
# As if the hidden layer were as wide as the model.
def count_parameters(config):
    d = config.dim
    tables = config.vocab_size * d + config.positions * d
    attention_ = (3 * d * d + 3 * d) + (d * d + d)
    feed_forward = 2 * (d * d + d)
    norms = 4 * d
    return tables + config.layers * (attention_ + feed_forward + norms) + 2 * d


# %% misconception="an output bias" exercise="count_parameters"
# V numbers more.
def count_parameters(config):
    d = config.dim
    tables = config.vocab_size * d + config.positions * d
    attention_ = (3 * d * d + 3 * d) + (d * d + d)
    feed_forward = (4 * d * d + 4 * d) + (4 * d * d + d)
    norms = 4 * d
    return tables + config.layers * (attention_ + feed_forward + norms) + 2 * d + config.vocab_size


# %% misconception="a float" exercise="count_parameters"
# Divides somewhere, and 2**53 is far away.
def count_parameters(config):
    d = config.dim
    tables = config.vocab_size * d + config.positions * d
    attention_ = (3 * d * d + 3 * d) + (d * d + d)
    feed_forward = (4 * d * d + 4 * d) + (4 * d * d + d)
    norms = 4 * d
    return float(tables + config.layers * (attention_ + feed_forward + norms) + 2 * d)


# %% misconception="builds the model" exercise="count_parameters"
# sum(p.numel() ...) cannot be wrong; it needs 700 GB for GPT-3.
def count_parameters(config):
    return sum(p.numel() for p in GPT(config).parameters())


# %% alternative="Megatron's formula" exercise="count_parameters"
# 12 l h² (1 + 13 / (12 h) + (V + s) / (12 l h)) of arXiv 2104.04473, in integers, and the final norm.
def count_parameters(config):
    h, l = config.dim, config.layers
    return 12 * l * h * h + 13 * l * h + (config.vocab_size + config.positions) * h + 2 * h


# %% alternative="a sum over shapes" exercise="count_parameters"
# Every parameter's shape, as state_dict would list them.
def count_parameters(config):
    d = config.dim
    block = [(3 * d, d), (3 * d,), (d, d), (d,), (4 * d, d), (4 * d,), (d, 4 * d), (d,), (d,), (d,), (d,), (d,)]
    shapes = [(config.vocab_size, d), (config.positions, d), *(block * config.layers), (d,), (d,)]
    return sum(math.prod(shape) for shape in shapes)


# %% alternative="factored" exercise="count_parameters"
# d taken out of the bracket.
def count_parameters(config):
    return config.dim * (config.vocab_size + config.positions + 2 + config.layers * (12 * config.dim + 13))


# %% misconception="through floats" exercise="count_parameters"
# Megatron's formula as it is printed, with a quotient: 53 bits.
def count_parameters(config: GPTConfig) -> int:
    V, P, d, L = config.vocab_size, config.positions, config.dim, config.layers
    n = (V + P) * d + 12.0 * L * d**2 * (1 + 13 / (12 * d)) + 2 * d
    return round(n)


# %% misconception="numpy int64" exercise="count_parameters"
# np.prod wraps above 2^63 without a word, and its result is no int.
def count_parameters(config: GPTConfig) -> int:
    V, P, d, L = config.vocab_size, config.positions, config.dim, config.layers
    shapes = [(V, d), (P, d), (d,), (d,)]
    layer = [(3 * d, d), (3 * d,), (d, d), (d,), (4 * d, d), (4 * d,), (d, 4 * d), (d,), (d,), (d,), (d,), (d,)]
    return np.sum([np.prod(s, dtype=np.int64) for s in shapes]) + np.int64(L) * np.sum(
        [np.prod(s, dtype=np.int64) for s in layer]
    )


# %% alternative="a function of rows and columns, layer by layer" exercise="count_parameters"
# (inside + 1) * outside for a linear layer, summed over the layers.
def count_parameters(config: GPTConfig) -> int:
    V, P, d, L = config.vocab_size, config.positions, config.dim, config.layers

    def linear(inside, outside):
        return (inside + 1) * outside

    total = V * d + P * d
    for _ in range(L):
        total += linear(d, 3 * d) + linear(d, d) + linear(d, 4 * d) + linear(4 * d, d) + 2 * (d + d)
    return total + (d + d)


# %% [markdown]
# ## flops_per_token


# %% misconception="forward only" exercise="flops_per_token"
# 2N is what one pass costs; training goes back as well.
def flops_per_token(config, context):
    n = count_parameters(config) - config.positions * config.dim
    attention_term = 4 * config.layers * config.dim * context
    return 2 * n + attention_term


# %% misconception="4N" exercise="flops_per_token"
# Backward is taken to cost as much as forward.
def flops_per_token(config, context):
    n = count_parameters(config) - config.positions * config.dim
    attention_term = 8 * config.layers * config.dim * context
    return 4 * n + attention_term


# %% misconception="without the attention term" exercise="flops_per_token"
# 6N, as it is usually quoted.
def flops_per_token(config, context):
    n = count_parameters(config) - config.positions * config.dim
    return 6 * n


# %% misconception="attention forward only" exercise="flops_per_token"
# 6N holds the backward pass, the other term does not.
def flops_per_token(config, context):
    n = count_parameters(config) - config.positions * config.dim
    attention_term = 4 * config.layers * config.dim * context
    return 6 * n + attention_term


# %% misconception="scores without the mix" exercise="flops_per_token"
# Queries times keys, but not weights times values.
def flops_per_token(config, context):
    n = count_parameters(config) - config.positions * config.dim
    attention_term = 6 * config.layers * config.dim * context
    return 6 * n + attention_term


# %% misconception="causal half" exercise="flops_per_token"
# Only what may be seen; not the convention here.
def flops_per_token(config, context):
    n = count_parameters(config) - config.positions * config.dim
    attention_term = 6 * config.layers * config.dim * context + 0
    return 6 * n + attention_term


# %% misconception="position table counted" exercise="flops_per_token"
# All parameters are taken for multiplied.
def flops_per_token(config, context):
    n = count_parameters(config)
    attention_term = 12 * config.layers * config.dim * context
    return 6 * n + attention_term


# %% misconception="both tables left out" exercise="flops_per_token"
# Embeddings are look-ups; but the token table is the output layer too.
def flops_per_token(config, context):
    n = count_parameters(config) - (config.positions + config.vocab_size) * config.dim
    attention_term = 12 * config.layers * config.dim * context
    return 6 * n + attention_term


# %% misconception="a whole sequence" exercise="flops_per_token"
# T squared: the cost of all tokens, not of one.
def flops_per_token(config, context):
    n = count_parameters(config) - config.positions * config.dim
    attention_term = 12 * config.layers * config.dim * context
    return context * (6 * n + attention_term)


# %% misconception="one layer's attention" exercise="flops_per_token"
# L got lost.
def flops_per_token(config, context):
    n = count_parameters(config) - config.positions * config.dim
    attention_term = 12 * config.dim * context
    return 6 * n + attention_term


# %% misconception="attention times heads" exercise="flops_per_token"
# h heads of full width each.
def flops_per_token(config, context):
    n = count_parameters(config) - config.positions * config.dim
    attention_term = config.heads * 12 * config.layers * config.dim * context
    return 6 * n + attention_term


# %% misconception="context of the config" exercise="flops_per_token"
# The longest input instead of the one that is asked about.
def flops_per_token(config, context):
    n = count_parameters(config) - config.positions * config.dim
    attention_term = 12 * config.layers * config.dim * config.positions
    return 6 * n + attention_term


# %% alternative="forward times three" exercise="flops_per_token"
# Backward costs twice what forward costs.
def flops_per_token(config, context):
    n = count_parameters(config) - config.positions * config.dim
    forward = 2 * n + config.layers * 2 * (2 * config.dim * context)
    return 3 * forward


# %% alternative="head by head" exercise="flops_per_token"
# 2 d_h T for the scores of a head and as much for its mix, as PaLM writes it.
def flops_per_token(config, context):
    n = count_parameters(config) - config.positions * config.dim
    attention_term = 12 * config.layers * config.heads * (config.dim // config.heads) * context
    return 6 * n + attention_term


# %% alternative="without count_parameters" exercise="flops_per_token"
# All from the five numbers.
def flops_per_token(config, context):
    d, layers = config.dim, config.layers
    multiplied = config.vocab_size * d + layers * (12 * d * d + 13 * d) + 2 * d
    return 6 * multiplied + 12 * layers * d * context


# %% misconception="a float comes back" exercise="flops_per_token"
# 2.0 and 4.0 make it a float, which is equal to the integer as long as 53 bits are enough.
def flops_per_token(config: GPTConfig, context: int) -> int:
    n = count_parameters(config) - config.positions * config.dim
    forward = 2.0 * n + 4.0 * config.layers * config.dim * context
    return 3 * forward


# %% misconception="int of a float" exercise="flops_per_token"
# Rounded to 53 bits before int sees it.
def flops_per_token(config: GPTConfig, context: int) -> int:
    n = count_parameters(config) - config.positions * config.dim
    return int(6 * n * (1 + 2 * config.layers * config.dim * context / n))


# %% misconception="numpy int64" exercise="flops_per_token"
# Five numbers in an array: wraps above 2^63, and the result is no int.
def flops_per_token(config: GPTConfig, context: int) -> int:
    V, _, d, L, T = np.array([config.vocab_size, config.positions, config.dim, config.layers, context], dtype=np.int64)
    return 6 * (V * d + L * (12 * d * d + 13 * d) + 2 * d) + 12 * L * d * T


# %% alternative="per sequence, divided exactly" exercise="flops_per_token"
# The squares of all heads and layers for a whole sequence; the division by T leaves no rest.
def flops_per_token(config: GPTConfig, context: int) -> int:
    d, T = config.dim, context
    n = count_parameters(config) - config.positions * d
    if T == 0:
        return 6 * n
    sequence = 6 * n * T + config.layers * 3 * (2 * T * T * d + 2 * T * T * d)
    quotient, rest = divmod(sequence, T)
    assert rest == 0
    return quotient
