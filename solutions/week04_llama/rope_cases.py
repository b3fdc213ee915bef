# %% [markdown]
# # Cases of `rope`: wrong and alternative answers that prove its tests
#
# ## rope_frequencies


# %% misconception="i counts from 1" exercise="rope_frequencies"
# RoFormer writes i = 1 ... d/2, and the minus one in its exponent is easily lost.
def rope_frequencies(head_dim, theta=10000.0):
    if head_dim < 2 or head_dim % 2:
        raise ValueError("head_dim must be even")
    return theta ** -(2 * torch.arange(1, head_dim // 2 + 1, dtype=torch.float32) / head_dim)


# %% misconception="i/d instead of 2i/d" exercise="rope_frequencies"
# There are d/2 of them, so i runs to d/2; the two is forgotten.
def rope_frequencies(head_dim, theta=10000.0):
    if head_dim < 2 or head_dim % 2:
        raise ValueError("head_dim must be even")
    return theta ** -(torch.arange(head_dim // 2, dtype=torch.float32) / head_dim)


# %% misconception="the exponent is positive" exercise="rope_frequencies"
# "Frequencies grow with i" feels natural; these are the wavelengths divided by 2 pi.
def rope_frequencies(head_dim, theta=10000.0):
    if head_dim < 2 or head_dim % 2:
        raise ValueError("head_dim must be even")
    return theta ** (torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim)


# %% misconception="the last frequency is 1/theta" exercise="rope_frequencies"
# A geometric series from 1 to 1/theta, both ends included.
def rope_frequencies(head_dim, theta=10000.0):
    if head_dim < 2 or head_dim % 2:
        raise ValueError("head_dim must be even")
    return torch.logspace(0, -math.log10(theta), head_dim // 2)


# %% misconception="theta is ignored" exercise="rope_frequencies"
# 10000 stands in the paper, so it is typed in.
def rope_frequencies(head_dim, theta=10000.0):
    if head_dim < 2 or head_dim % 2:
        raise ValueError("head_dim must be even")
    return 10000.0 ** -(torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim)


# %% misconception="one for each feature" exercise="rope_frequencies"
# transformers repeats them for both halves in its tables; here there is one for each pair.
def rope_frequencies(head_dim, theta=10000.0):
    if head_dim < 2 or head_dim % 2:
        raise ValueError("head_dim must be even")
    frequencies = theta ** -(torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim)
    return torch.cat((frequencies, frequencies))


# %% misconception="odd sizes are rounded down" exercise="rope_frequencies"
# Integer division makes something of every number.
def rope_frequencies(head_dim, theta=10000.0):
    half = head_dim // 2
    return theta ** -(torch.arange(half, dtype=torch.float32) / max(half, 1))


# %% misconception="computed in bf16" exercise="rope_frequencies"
# The model is in bf16, and the result is cast to fp32 as asked.
def rope_frequencies(head_dim, theta=10000.0):
    if head_dim < 2 or head_dim % 2:
        raise ValueError("head_dim must be even")
    exponents = torch.arange(0, head_dim, 2, dtype=torch.bfloat16) / head_dim
    return (theta**-exponents).float()


# %% misconception="float64 stays" exercise="rope_frequencies"
# NumPy computes in double precision, and nobody casts.
def rope_frequencies(head_dim, theta=10000.0):
    if head_dim < 2 or head_dim % 2:
        raise ValueError("head_dim must be even")
    return torch.from_numpy(theta ** -(np.arange(0, head_dim, 2) / head_dim))


# %% misconception="the course's own function" exercise="rope_frequencies"
# It is in the library, so why write it again?
def rope_frequencies(head_dim, theta=10000.0):
    from llmsys import llama

    if head_dim < 2 or head_dim % 2:
        raise ValueError("head_dim must be even")
    return llama.rope_frequencies(llama.Config(1, head_dim, 1, 1, rope_theta=theta))


# %% misconception="default dtype" exercise="rope_frequencies"
# An integer range divided by an integer has torch's default dtype, which is fp32 on most days.
def rope_frequencies(head_dim: int, theta: float = 10000.0):
    if head_dim < 2 or head_dim % 2:
        raise ValueError("head_dim must be even and at least 2")
    return 1.0 / theta ** (torch.arange(0, head_dim, 2) / head_dim)


# %% misconception="base truncated to int" exercise="rope_frequencies"
# All well-known bases are whole numbers.
def rope_frequencies(head_dim: int, theta: float = 10000.0):
    if head_dim < 2 or head_dim % 2:
        raise ValueError("head_dim must be even and at least 2")
    base = int(theta)
    return base ** (-torch.arange(0, head_dim, 2).float() / head_dim)


# %% misconception="assert instead of raise" exercise="rope_frequencies"
# An assert is shorter; it raises another error.
def rope_frequencies(head_dim: int, theta: float = 10000.0):
    assert head_dim >= 2
    assert head_dim % 2 == 0
    return theta ** (-torch.arange(0, head_dim, 2).float() / head_dim)


# %% alternative="exp of a logarithm" exercise="rope_frequencies"
# As the sinusoidal embeddings are often written.
def rope_frequencies(head_dim, theta=10000.0):
    if head_dim <= 0 or head_dim % 2 != 0:
        raise ValueError(head_dim)
    return torch.exp(-math.log(theta) * torch.arange(0, head_dim, 2).float() / head_dim)


# %% alternative="one over a power, as in Meta's code" exercise="rope_frequencies"
# `freqs = 1.0 / (theta ** (torch.arange(0, dim, 2) / dim))`
def rope_frequencies(head_dim, theta=10000.0):
    if head_dim < 2 or head_dim & 1:
        raise ValueError("even, please")
    return 1.0 / (theta ** (torch.arange(0, head_dim, 2)[: head_dim // 2].float() / head_dim))


# %% alternative="a list in plain Python" exercise="rope_frequencies"
# No tensor before the end.
def rope_frequencies(head_dim, theta=10000.0):
    if head_dim < 2 or head_dim % 2:
        raise ValueError(f"head_dim={head_dim}")
    half = head_dim // 2
    return torch.tensor([theta ** (-i / half) for i in range(half)], dtype=torch.float32)


# %% alternative="numpy, a geometric series" exercise="rope_frequencies"
# A cumulated product of one ratio in fp64; its error is far below eps of fp32.
def rope_frequencies(head_dim: int, theta: float = 10000.0):
    if not (head_dim >= 2 and head_dim % 2 == 0):
        raise ValueError("head_dim")
    ratio = np.full(head_dim // 2, float(theta) ** (-2.0 / head_dim), dtype=np.float64)
    ratio[0] = 1.0
    return torch.from_numpy(np.cumprod(ratio).astype(np.float32))


# %% [markdown]
# ## rotate_complex


# %% misconception="turned the other way" exercise="rotate_complex"
# The sign of the sine is a coin toss. Scores come out right all the same: they depend on n - m then.
def rotate_complex(x, positions, frequencies):
    pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)).contiguous())
    angles = -torch.outer(positions.float(), frequencies)
    return torch.view_as_real(pairs * torch.polar(torch.ones_like(angles), angles)).flatten(-2).to(x.dtype)


# %% misconception="pairs the halves" exercise="rotate_complex"
# The code that one finds first on the web is transformers'.
def rotate_complex(x, positions, frequencies):
    angles = torch.outer(positions.float(), frequencies)
    a, b = x.float().chunk(2, dim=-1)
    return torch.cat((a * angles.cos() - b * angles.sin(), b * angles.cos() + a * angles.sin()), dim=-1).to(x.dtype)


# %% misconception="right pairs, joined as halves" exercise="rotate_complex"
# x[..., ::2] and x[..., 1::2] are taken apart, and put together with cat.
def rotate_complex(x, positions, frequencies):
    angles = torch.outer(positions.float(), frequencies)
    a, b = x.float()[..., ::2], x.float()[..., 1::2]
    return torch.cat((a * angles.cos() - b * angles.sin(), b * angles.cos() + a * angles.sin()), dim=-1).to(x.dtype)


# %% misconception="row number instead of position" exercise="rotate_complex"
# In training the two are the same.
def rotate_complex(x, positions, frequencies):
    pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)).contiguous())
    angles = torch.outer(torch.arange(x.shape[-2]).float(), frequencies)
    return torch.view_as_real(pairs * torch.polar(torch.ones_like(angles), angles)).flatten(-2).to(x.dtype)


# %% misconception="only the first position is looked at" exercise="rotate_complex"
# Positions are consecutive in every model, so the start is all that one needs.
def rotate_complex(x, positions, frequencies):
    start = int(positions[0]) if len(positions) else 0
    pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)).contiguous())
    angles = torch.outer(torch.arange(start, start + x.shape[-2]).float(), frequencies)
    return torch.view_as_real(pairs * torch.polar(torch.ones_like(angles), angles)).flatten(-2).to(x.dtype)


# %% misconception="angles in the dtype of x" exercise="rotate_complex"
# Everything in one dtype looks tidy. bf16 can't count to 300.
def rotate_complex(x, positions, frequencies):
    angles = positions.to(x.dtype)[:, None] * frequencies.to(x.dtype)
    a, b = x[..., ::2], x[..., 1::2]
    cos, sin = angles.cos(), angles.sin()
    return torch.stack((a * cos - b * sin, b * cos + a * sin), dim=-1).flatten(-2)


# %% misconception="products in the dtype of x" exercise="rotate_complex"
# Sines and cosines are computed in fp32, but rounded before they are used, so each entry is rounded four times.
def rotate_complex(x, positions, frequencies):
    angles = torch.outer(positions.float(), frequencies)
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    a, b = x[..., ::2], x[..., 1::2]
    return torch.stack((a * cos - b * sin, b * cos + a * sin), dim=-1).flatten(-2)


# %% misconception="comes out in fp32" exercise="rotate_complex"
# The cast back is forgotten, and from here on the model runs in fp32.
def rotate_complex(x, positions, frequencies):
    pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)).contiguous())
    angles = torch.outer(positions.float(), frequencies)
    return torch.view_as_real(pairs * torch.polar(torch.ones_like(angles), angles)).flatten(-2)


# %% misconception="asks for contiguous memory" exercise="rotate_complex"
# view works on what the test in the notebook passes, and not on a slice.
def rotate_complex(x, positions, frequencies):
    pairs = torch.view_as_complex(x.float().view(*x.shape[:-1], -1, 2))
    angles = torch.outer(positions.float(), frequencies)
    return torch.view_as_real(pairs * torch.polar(torch.ones_like(angles), angles)).flatten(-2).to(x.dtype)


# %% misconception="writes into x" exercise="rotate_complex"
# In place saves memory, and changes what the caller holds.
def rotate_complex(x, positions, frequencies):
    angles = torch.outer(positions.float(), frequencies)
    a, b = x[..., ::2].float(), x[..., 1::2].float()
    a, b = a * angles.cos() - b * angles.sin(), b * angles.cos() + a * angles.sin()
    with torch.no_grad():
        x[..., ::2], x[..., 1::2] = a, b
    return x


# %% misconception="cuts the gradient" exercise="rotate_complex"
# Positions have no gradient, so the whole function is put under no_grad.
@torch.no_grad()
def rotate_complex(x, positions, frequencies):
    pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)).contiguous())
    angles = torch.outer(positions.float(), frequencies)
    return torch.view_as_real(pairs * torch.polar(torch.ones_like(angles), angles)).flatten(-2).to(x.dtype)


# %% misconception="adds the angle instead of turning" exercise="rotate_complex"
# "Position embedding" is read as something that is added.
def rotate_complex(x, positions, frequencies):
    angles = torch.outer(positions.float(), frequencies)
    return (x.float() + torch.stack((angles.cos(), angles.sin()), dim=-1).flatten(-2)).to(x.dtype)


# %% misconception="tables rounded to the model's dtype" exercise="rotate_complex"
# As transformers has it: cosines and sines are made in fp32, then cast, and the products are rounded as well.
def rotate_complex(x, positions, frequencies):
    angles = positions.float()[:, None] * frequencies.float()
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack([a * cos - b * sin, a * sin + b * cos], dim=-1).flatten(-2)


# %% misconception="a table up to the largest position" exercise="rotate_complex"
# Tables are made once in production; the largest of no positions is an error.
def rotate_complex(x, positions, frequencies):
    table = torch.outer(torch.arange(int(positions.max()) + 1, dtype=torch.float32), frequencies)
    turn = torch.polar(torch.ones_like(table), table)[positions]
    pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)).contiguous())
    return torch.view_as_real(pairs * turn).flatten(-2).to(x.dtype)


# %% misconception="no tokens, no reshape" exercise="rotate_complex"
# reshape(-1, ...) can't tell the size of an axis when there are no tokens.
def rotate_complex(x, positions, frequencies):
    length, dim = x.shape[-2:]
    flat = x.float().reshape(-1, length, dim)
    angles = positions.float()[:, None] * frequencies
    cos, sin = angles.cos(), angles.sin()
    a, b = flat[..., 0::2], flat[..., 1::2]
    return torch.stack([a * cos - b * sin, a * sin + b * cos], dim=-1).reshape(x.shape).to(x.dtype)


# %% alternative="real arithmetic" exercise="rotate_complex"
# The 2 x 2 matrix written out, on strided slices.
def rotate_complex(x, positions, frequencies):
    angles = positions[:, None] * frequencies
    even, odd = x[..., 0::2].float(), x[..., 1::2].float()
    cos, sin = angles.cos(), angles.sin()
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(-2).type_as(x)


# %% alternative="complex exponential in double precision" exercise="rotate_complex"
# More digits than needed, rounded once.
def rotate_complex(x, positions, frequencies):
    pairs = torch.complex(x[..., ::2].double(), x[..., 1::2].double())
    turned = pairs * torch.exp(1j * torch.outer(positions.double(), frequencies.double()))
    return torch.view_as_real(turned).flatten(-2).to(x.dtype)


# %% alternative="one matrix for each position and pair" exercise="rotate_complex"
# einsum with (length, half, 2, 2) matrices.
def rotate_complex(x, positions, frequencies):
    angles = torch.outer(positions.float(), frequencies)
    matrix = torch.stack((angles.cos(), -angles.sin(), angles.sin(), angles.cos()), dim=-1).unflatten(-1, (2, 2))
    return torch.einsum("...lhj,lhij->...lhi", x.float().unflatten(-1, (-1, 2)), matrix).flatten(-2).to(x.dtype)


# %% alternative="tables repeated for each feature" exercise="rotate_complex"
# RoFormer's equation 34: x times cosines plus x, swapped and signed, times sines.
def rotate_complex(x, positions, frequencies):
    angles = torch.outer(positions.float(), frequencies).repeat_interleave(2, dim=-1)
    wide = x.float()
    swapped = torch.stack((-wide[..., 1::2], wide[..., ::2]), dim=-1).reshape(wide.shape)
    return (wide * angles.cos() + swapped * angles.sin()).to(x.dtype)


# %% alternative="torch.complex and strided writes" exercise="rotate_complex"
# Every second place of a fresh tensor is written; autograd follows the writes.
def rotate_complex(x, positions, frequencies):
    turn = torch.exp(1j * (positions.float()[:, None] * frequencies))
    z = torch.complex(x[..., ::2].float(), x[..., 1::2].float()) * turn
    y = torch.zeros(x.shape, dtype=torch.float32, device=x.device)
    y[..., ::2] = z.real
    y[..., 1::2] = z.imag
    return y.to(x.dtype)


# %% [markdown]
# ## rotate_half


# %% misconception="pairs the neighbours" exercise="rotate_half"
# The function of 1.3 under another name.
def rotate_half(x, positions, frequencies):
    pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)).contiguous())
    angles = torch.outer(positions.float(), frequencies)
    return torch.view_as_real(pairs * torch.polar(torch.ones_like(angles), angles)).flatten(-2).to(x.dtype)


# %% misconception="angles repeated for neighbours" exercise="rotate_half"
# The tables of one pairing with the rotation of the other: the commonest mixture of the two.
def rotate_half(x, positions, frequencies):
    angles = torch.outer(positions.float(), frequencies).repeat_interleave(2, dim=-1)
    a, b = x.float().chunk(2, dim=-1)
    return (x.float() * angles.cos() + torch.cat((-b, a), dim=-1) * angles.sin()).to(x.dtype)


# %% misconception="the minus on the wrong half" exercise="rotate_half"
# rot([a, b]) = [b, -a] turns the other way.
def rotate_half(x, positions, frequencies):
    angles = torch.outer(positions.float(), frequencies).repeat(1, 2)
    a, b = x.float().chunk(2, dim=-1)
    return (x.float() * angles.cos() + torch.cat((b, -a), dim=-1) * angles.sin()).to(x.dtype)


# %% misconception="no minus at all" exercise="rotate_half"
# Halves are swapped, but a rotation needs a sign.
def rotate_half(x, positions, frequencies):
    angles = torch.outer(positions.float(), frequencies).repeat(1, 2)
    a, b = x.float().chunk(2, dim=-1)
    return (x.float() * angles.cos() + torch.cat((b, a), dim=-1) * angles.sin()).to(x.dtype)


# %% misconception="row number instead of position" exercise="rotate_half"
# Right in training, wrong with a cache.
def rotate_half(x, positions, frequencies):
    angles = torch.outer(torch.arange(x.shape[-2]).float(), frequencies).repeat(1, 2)
    a, b = x.float().chunk(2, dim=-1)
    return (x.float() * angles.cos() + torch.cat((-b, a), dim=-1) * angles.sin()).to(x.dtype)


# %% misconception="positions count from 1" exercise="rotate_half"
# The first token is number 1. (Scores are the same; the keys in a cache, and the promise, are not.)
def rotate_half(x, positions, frequencies):
    angles = torch.outer(positions.float() + 1, frequencies).repeat(1, 2)
    a, b = x.float().chunk(2, dim=-1)
    return (x.float() * angles.cos() + torch.cat((-b, a), dim=-1) * angles.sin()).to(x.dtype)


# %% misconception="angles in the dtype of x" exercise="rotate_half"
# bf16 can't count to 300.
def rotate_half(x, positions, frequencies):
    angles = (positions.to(x.dtype)[:, None] * frequencies.to(x.dtype)).repeat(1, 2)
    a, b = x.chunk(2, dim=-1)
    return x * angles.cos() + torch.cat((-b, a), dim=-1) * angles.sin()


# %% misconception="products in the dtype of x" exercise="rotate_half"
# As transformers does it, with tables cast to the dtype of x: each entry is rounded four times.
def rotate_half(x, positions, frequencies):
    angles = torch.outer(positions.float(), frequencies).repeat(1, 2)
    a, b = x.chunk(2, dim=-1)
    return x * angles.cos().to(x.dtype) + torch.cat((-b, a), dim=-1) * angles.sin().to(x.dtype)


# %% misconception="comes out in fp32" exercise="rotate_half"
# The cast back is forgotten.
def rotate_half(x, positions, frequencies):
    angles = torch.outer(positions.float(), frequencies).repeat(1, 2)
    a, b = x.chunk(2, dim=-1)
    return x * angles.cos() + torch.cat((-b, a), dim=-1) * angles.sin()


# %% misconception="the course's own function" exercise="rotate_half"
# llmsys.llama has a rotate.
def rotate_half(x, positions, frequencies):
    from llmsys import llama

    angles = torch.outer(positions.float(), frequencies)
    return llama.rotate(x.float(), (angles.cos(), angles.sin())).to(x.dtype)


# %% misconception="writes into x" exercise="rotate_half"
# chunk gives views, and the first half is overwritten before the second is computed from it.
def rotate_half(x, positions, frequencies):
    angles = torch.outer(positions.float(), frequencies)
    a, b = x.chunk(2, dim=-1)
    with torch.no_grad():
        a.copy_(a * angles.cos() - b * angles.sin())
        b.copy_(b * angles.cos() + a * angles.sin())
    return x


# %% misconception="half a gradient" exercise="rotate_half"
# A detach that was meant for the tables sits on the second summand.
def rotate_half(x, positions, frequencies):
    angles = (positions.float()[:, None] * frequencies).repeat(1, 2)
    y = x.float()
    a, b = y.detach().chunk(2, dim=-1)
    return (y * angles.cos() + torch.cat([-b, a], dim=-1) * angles.sin()).to(x.dtype)


# %% misconception="rounded before the sum" exercise="rotate_half"
# Each product is cast back to the model's dtype, and the two are added there.
def rotate_half(x, positions, frequencies):
    angles = positions.float()[:, None] * frequencies
    angles = torch.cat([angles, angles], dim=-1)
    y = x.float()
    a, b = y.chunk(2, dim=-1)
    return (y * angles.cos()).to(x.dtype) + (torch.cat([-b, a], dim=-1) * angles.sin()).to(x.dtype)


# %% misconception="base 10000 always" exercise="rotate_half"
# The frequencies are made on the spot; those that are passed may be scaled, or of another base.
def rotate_half(x, positions, frequencies):
    half = x.shape[-1] // 2
    omega = 10000.0 ** (-torch.arange(half, dtype=torch.float32) / half)
    angles = positions.float()[:, None] * omega
    cos, sin = angles.cos(), angles.sin()
    a, b = x.float().chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1).to(x.dtype)


# %% alternative="as in transformers" exercise="rotate_half"
# x * cos + rotate_half(x) * sin, all in fp32.
def rotate_half(x, positions, frequencies):
    def turn_by_a_quarter(x):
        half = x.shape[-1] // 2
        return torch.cat((-x[..., half:], x[..., :half]), dim=-1)

    angles = positions[:, None].float() @ frequencies[None, :].float()
    angles = torch.cat((angles, angles), dim=-1)
    x32 = x.to(torch.float32)
    return (x32 * torch.cos(angles) + turn_by_a_quarter(x32) * torch.sin(angles)).to(x.dtype)


# %% alternative="complex numbers" exercise="rotate_half"
# The first half is the real part, the second the imaginary one.
def rotate_half(x, positions, frequencies):
    real, imaginary = x.float().chunk(2, dim=-1)
    angles = positions.float()[:, None] * frequencies
    turned = torch.complex(real, imaginary) * torch.complex(angles.cos(), angles.sin())
    return torch.cat((turned.real, turned.imag), dim=-1).to(x.dtype)


# %% alternative="a fresh tensor, filled" exercise="rotate_half"
# Two assignments into an empty tensor; autograd follows them.
def rotate_half(x, positions, frequencies):
    half = len(frequencies)
    angles = torch.einsum("l,h->lh", positions.double(), frequencies.double())
    cos, sin = angles.cos(), angles.sin()
    y = torch.empty(x.shape, dtype=torch.float64)
    y[..., :half] = x[..., :half] * cos - x[..., half:] * sin
    y[..., half:] = x[..., :half] * sin + x[..., half:] * cos
    return y.to(x.dtype)


# %% alternative="roll with signs" exercise="rotate_half"
# A roll by half a head swaps the halves, a vector of signs makes [-b, a].
def rotate_half(x, positions, frequencies):
    half = x.shape[-1] // 2
    angles = torch.outer(positions.float(), frequencies).repeat(1, 2)
    sign = torch.ones(2 * half, device=x.device)
    sign[:half] = -1.0
    y = x.float()
    return torch.addcmul(y * angles.cos(), y.roll(half, dims=-1), sign * angles.sin()).to(x.dtype)


# %% [markdown]
# ## interleaved_to_half


# %% misconception="the other direction" exercise="interleaved_to_half"
# Two reshapes and a transpose: which of the two orders comes first is not seen in any shape.
def interleaved_to_half(weight, heads):
    if weight.shape[0] % (2 * heads):
        raise ValueError("no pairs")
    return weight.unflatten(0, (heads, 2, -1)).transpose(1, 2).flatten(0, 2)


# %% misconception="across all heads" exercise="interleaved_to_half"
# Even rows first, odd rows last, without a look at where heads end.
def interleaved_to_half(weight, heads):
    if weight.shape[0] % (2 * heads):
        raise ValueError("no pairs")
    return torch.cat((weight[::2], weight[1::2]))


# %% misconception="columns instead of rows" exercise="interleaved_to_half"
# nn.Linear keeps (outputs, inputs); the features of a head are outputs, which is easily taken the other way round.
def interleaved_to_half(weight, heads):
    if weight.shape[0] % (2 * heads):
        raise ValueError("no pairs")
    columns = weight.T
    return columns.unflatten(0, (heads, -1, 2)).transpose(1, 2).flatten(0, 2).T


# %% misconception="heads are the inner axis" exercise="interleaved_to_half"
# The rows are taken as (half, 2, heads).
def interleaved_to_half(weight, heads):
    if weight.shape[0] % (2 * heads):
        raise ValueError("no pairs")
    return weight.unflatten(0, (-1, 2, heads)).permute(2, 1, 0, *range(3, weight.ndim + 2)).flatten(0, 2)


# %% misconception="the odd rows first" exercise="interleaved_to_half"
# The two halves are swapped: real parts become imaginary ones, which turns the other way.
def interleaved_to_half(weight, heads):
    if weight.shape[0] % (2 * heads):
        raise ValueError("no pairs")
    return weight.unflatten(0, (heads, -1, 2)).flip(2).transpose(1, 2).flatten(0, 2)


# %% misconception="reshape without a transpose" exercise="interleaved_to_half"
# Changing the shape and back moves nothing.
def interleaved_to_half(weight, heads):
    if weight.shape[0] % (2 * heads):
        raise ValueError("no pairs")
    return (
        weight.reshape(heads, -1, 2, *weight.shape[1:]).reshape(heads, 2, -1, *weight.shape[1:]).reshape(weight.shape)
    )


# %% misconception="rows that don't fit are let through" exercise="interleaved_to_half"
# The head's size is computed with //, and what is left over gets lost or mixed.
def interleaved_to_half(weight, heads):
    d = weight.shape[0] // heads
    order = [h * d + j for h in range(heads) for j in [*range(0, d, 2), *range(1, d, 2)]]
    return weight[order]


# %% misconception="matrices only" exercise="interleaved_to_half"
# A bias has no second axis.
def interleaved_to_half(weight, heads):
    rows, dim = weight.shape
    if rows % (2 * heads):
        raise ValueError("no pairs")
    return weight.view(heads, rows // heads // 2, 2, dim).transpose(1, 2).reshape(rows, dim)


# %% misconception="writes into the weight" exercise="interleaved_to_half"
# The caller's matrix is reordered in place.
def interleaved_to_half(weight, heads):
    if weight.shape[0] % (2 * heads):
        raise ValueError("no pairs")
    weight.copy_(weight.unflatten(0, (heads, -1, 2)).transpose(1, 2).flatten(0, 2).clone())
    return weight


# %% misconception="only evenness is checked" exercise="interleaved_to_half"
# Integer division hides that 13 rows are not 2 heads; the last row is lost.
def interleaved_to_half(weight, heads):
    head_dim = weight.shape[0] // heads
    if head_dim % 2:
        raise ValueError("a head must have an even number of rows")
    order = [h * head_dim + j for h in range(heads) for j in [*range(0, head_dim, 2), *range(1, head_dim, 2)]]
    return weight[order]


# %% misconception="permutation matrix in fp32" exercise="interleaved_to_half"
# A permutation is a matrix; but a product rounds large integers, and 0 times inf is NaN.
def interleaved_to_half(weight, heads):
    rows = weight.shape[0]
    if heads < 1 or rows % (2 * heads):
        raise ValueError("rows")
    d = rows // heads
    order = torch.cat([torch.arange(0, d, 2), torch.arange(1, d, 2)])
    matrix = torch.block_diag(*[torch.eye(d)[order]] * heads)
    return (matrix @ weight.float()).to(weight.dtype)


# %% misconception="odd heads raise something else" exercise="interleaved_to_half"
# Rows that do not divide are left to reshape, which raises a RuntimeError.
def interleaved_to_half(weight, heads):
    if (weight.shape[0] // heads) % 2:
        raise ValueError("odd")
    half = weight.shape[0] // heads // 2
    return weight.reshape(heads, half, 2, *weight.shape[1:]).transpose(1, 2).reshape(weight.shape)


# %% misconception="a bias becomes a column" exercise="interleaved_to_half"
# reshape(rows, -1) gives a bias a second axis.
def interleaved_to_half(weight, heads):
    rows = weight.shape[0]
    if heads < 1 or rows % (2 * heads):
        raise ValueError("rows")
    return weight.reshape(heads, rows // heads // 2, 2, -1).transpose(1, 2).reshape(rows, -1)


# %% misconception="heads of two are refused" exercise="interleaved_to_half"
# Heads of two rows look too small to be reordered; they are right, and stay as they are.
def interleaved_to_half(weight, heads):
    rows = weight.shape[0]
    if heads < 1 or rows % heads or (rows // heads) % 2 or rows // heads < 4:
        raise ValueError("rows")
    return weight.unflatten(0, (heads, -1, 2)).transpose(1, 2).flatten(0, 2)


# %% alternative="a list of row numbers" exercise="interleaved_to_half"
# Slow and plain.
def interleaved_to_half(weight, heads):
    rows = weight.shape[0]
    if rows % heads or (rows // heads) % 2:
        raise ValueError(f"{rows} rows, {heads} heads")
    d = rows // heads
    return weight[[h * d + j for h in range(heads) for j in [*range(0, d, 2), *range(1, d, 2)]]]


# %% alternative="head by head with strided slices" exercise="interleaved_to_half"
# Even rows, then odd rows, of each head.
def interleaved_to_half(weight, heads):
    if len(weight) % (2 * heads) != 0:
        raise ValueError("rows and heads do not fit")
    parts = []
    for head in weight.chunk(heads):
        parts += [head[0::2], head[1::2]]
    return torch.cat(parts)


# %% alternative="as in transformers' converter" exercise="interleaved_to_half"
# view, transpose, reshape, with the trailing axes spelled out.
def interleaved_to_half(weight, heads):
    rows, *rest = weight.shape
    if rows % (heads * 2):
        raise ValueError("bad")
    return weight.reshape(heads, rows // heads // 2, 2, *rest).transpose(1, 2).reshape(rows, *rest)


# %% alternative="scatter to the new places" exercise="interleaved_to_half"
# Computes where each row goes, and writes it there.
def interleaved_to_half(weight, heads):
    rows = weight.shape[0]
    if heads < 1 or rows % heads != 0 or (rows // heads) & 1:
        raise ValueError("not so many heads of an even size")
    d = rows // heads
    r = torch.arange(rows)
    j = r % d
    target = r - j + (j % 2) * (d // 2) + torch.div(j, 2, rounding_mode="floor")
    result = torch.empty_like(weight)
    result[target] = weight
    return result


# %% [markdown]
# ## context_extension


# %% misconception="frequencies multiplied" exercise="context_extension"
# The context gets longer, so something is multiplied.
def interpolated(frequencies, factor):
    return frequencies * factor


def ntk_theta(theta, head_dim, factor):
    return theta * factor ** (head_dim / (head_dim - 2))


def llama3_frequencies(frequencies, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original=8192):
    kept = ((frequencies * original / (2 * math.pi) - low_freq_factor) / (high_freq_factor - low_freq_factor)).clamp(
        0, 1
    )
    return (1 - kept) * frequencies / factor + kept * frequencies


# %% misconception="NTK with theta times the factor" exercise="context_extension"
# Nearly right for 128 features: the exponent is 1.016.
def interpolated(frequencies, factor):
    return frequencies / factor


def ntk_theta(theta, head_dim, factor):
    return theta * factor


def llama3_frequencies(frequencies, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original=8192):
    kept = ((frequencies * original / (2 * math.pi) - low_freq_factor) / (high_freq_factor - low_freq_factor)).clamp(
        0, 1
    )
    return (1 - kept) * frequencies / factor + kept * frequencies


# %% misconception="the inverse exponent of NTK" exercise="context_extension"
# (d - 2) / d is the exponent of the slowest frequency, so it is taken here, too.
def interpolated(frequencies, factor):
    return frequencies / factor


def ntk_theta(theta, head_dim, factor):
    return theta * factor ** ((head_dim - 2) / head_dim)


def llama3_frequencies(frequencies, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original=8192):
    kept = ((frequencies * original / (2 * math.pi) - low_freq_factor) / (high_freq_factor - low_freq_factor)).clamp(
        0, 1
    )
    return (1 - kept) * frequencies / factor + kept * frequencies


# %% misconception="fast and slow swapped" exercise="context_extension"
# High frequency, long wave? The comparison is easily turned round.
def interpolated(frequencies, factor):
    return frequencies / factor


def ntk_theta(theta, head_dim, factor):
    return theta * factor ** (head_dim / (head_dim - 2))


def llama3_frequencies(frequencies, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original=8192):
    kept = ((frequencies * original / (2 * math.pi) - low_freq_factor) / (high_freq_factor - low_freq_factor)).clamp(
        0, 1
    )
    return kept * frequencies / factor + (1 - kept) * frequencies


# %% misconception="no clamp" exercise="context_extension"
# The mixture goes on beyond its ends, and frequencies grow without end.
def interpolated(frequencies, factor):
    return frequencies / factor


def ntk_theta(theta, head_dim, factor):
    return theta * factor ** (head_dim / (head_dim - 2))


def llama3_frequencies(frequencies, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original=8192):
    kept = (frequencies * original / (2 * math.pi) - low_freq_factor) / (high_freq_factor - low_freq_factor)
    return (1 - kept) * frequencies / factor + kept * frequencies


# %% misconception="a step without a mixture" exercise="context_extension"
# Two cases of the three.
def interpolated(frequencies, factor):
    return frequencies / factor


def ntk_theta(theta, head_dim, factor):
    return theta * factor ** (head_dim / (head_dim - 2))


def llama3_frequencies(frequencies, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original=8192):
    return torch.where(frequencies * original / (2 * math.pi) > low_freq_factor, frequencies, frequencies / factor)


# %% misconception="turns without 2 pi" exercise="context_extension"
# Radians are counted as turns.
def interpolated(frequencies, factor):
    return frequencies / factor


def ntk_theta(theta, head_dim, factor):
    return theta * factor ** (head_dim / (head_dim - 2))


def llama3_frequencies(frequencies, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original=8192):
    kept = ((frequencies * original - low_freq_factor) / (high_freq_factor - low_freq_factor)).clamp(0, 1)
    return (1 - kept) * frequencies / factor + kept * frequencies


# %% misconception="mixed by wavelength" exercise="context_extension"
# Linear in the wavelength instead of in the turns: the same ends, other values between them.
def interpolated(frequencies, factor):
    return frequencies / factor


def ntk_theta(theta, head_dim, factor):
    return theta * factor ** (head_dim / (head_dim - 2))


def llama3_frequencies(frequencies, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original=8192):
    wavelength, longest, shortest = 2 * math.pi / frequencies, original / low_freq_factor, original / high_freq_factor
    kept = ((longest - wavelength) / (longest - shortest)).clamp(0, 1)
    return (1 - kept) * frequencies / factor + kept * frequencies


# %% misconception="the arguments of Llama 3.1 typed in" exercise="context_extension"
# Llama 3.2 has factor 32, and tests have others.
def interpolated(frequencies, factor):
    return frequencies / factor


def ntk_theta(theta, head_dim, factor):
    return theta * factor ** (head_dim / (head_dim - 2))


def llama3_frequencies(frequencies, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original=8192):
    kept = ((frequencies * 8192 / (2 * math.pi) - 1) / 3).clamp(0, 1)
    return (1 - kept) * frequencies / factor + kept * frequencies


# %% misconception="interpolates in place" exercise="context_extension"
# /= changes the caller's frequencies.
def interpolated(frequencies, factor):
    frequencies /= factor
    return frequencies


def ntk_theta(theta, head_dim, factor):
    return theta * factor ** (head_dim / (head_dim - 2))


def llama3_frequencies(frequencies, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original=8192):
    kept = ((frequencies * original / (2 * math.pi) - low_freq_factor) / (high_freq_factor - low_freq_factor)).clamp(
        0, 1
    )
    return (1 - kept) * frequencies / factor + kept * frequencies


# %% misconception="nothing at the borders" exercise="context_extension"
# Three strict masks; a frequency exactly on a border is in none of them, and stays 0.
def interpolated(frequencies, factor):
    return frequencies / factor


def ntk_theta(theta, head_dim, factor):
    return theta * factor ** (head_dim / (head_dim - 2))


def llama3_frequencies(frequencies, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original=8192):
    turns = frequencies * original / (2 * math.pi)
    result = torch.zeros_like(frequencies)
    fast, slow = turns > high_freq_factor, turns < low_freq_factor
    between = (turns > low_freq_factor) & (turns < high_freq_factor)
    gamma = (turns - low_freq_factor) / (high_freq_factor - low_freq_factor)
    result[fast] = frequencies[fast]
    result[slow] = frequencies[slow] / factor
    result[between] = ((1 - gamma) * frequencies / factor + gamma * frequencies)[between]
    return result


# %% misconception="fast ones first" exercise="context_extension"
# Cuts by counts, as if the frequencies came sorted.
def interpolated(frequencies, factor):
    return frequencies / factor


def ntk_theta(theta, head_dim, factor):
    return theta * factor ** (head_dim / (head_dim - 2))


def llama3_frequencies(frequencies, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original=8192):
    turns = original * frequencies / (2 * math.pi)
    fast = int((turns >= high_freq_factor).sum())
    slow = int((turns <= low_freq_factor).sum())
    result = frequencies.clone()
    end = len(frequencies) - slow
    gamma = (turns[fast:end] - low_freq_factor) / (high_freq_factor - low_freq_factor)
    result[fast:end] = (1 - gamma) * frequencies[fast:end] / factor + gamma * frequencies[fast:end]
    result[end:] = frequencies[end:] / factor
    return result


# %% misconception="four features are refused" exercise="context_extension"
# Guards against division by zero, and one step too far.
def interpolated(frequencies, factor):
    return frequencies / factor


def ntk_theta(theta, head_dim, factor):
    if head_dim <= 4 or head_dim % 2 or factor <= 1:
        raise ValueError("head_dim must be even and at least 4, factor at least 1")
    return theta * factor ** (head_dim / (head_dim - 2))


def llama3_frequencies(frequencies, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original=8192):
    turns = original * frequencies / (2 * math.pi)
    gamma = ((turns - low_freq_factor) / (high_freq_factor - low_freq_factor)).clamp(0, 1)
    return (1 - gamma) * frequencies / factor + gamma * frequencies


# %% alternative="by wavelength, as in Meta's code" exercise="context_extension"
# One frequency at a time, three cases.
def interpolated(frequencies, factor):
    return (1.0 / factor) * frequencies


def ntk_theta(theta, head_dim, factor):
    return math.exp(math.log(theta) + math.log(factor) * head_dim / (head_dim - 2))


def llama3_frequencies(frequencies, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original=8192):
    new = []
    for freq in frequencies:
        wavelen = 2 * math.pi / freq
        if wavelen < original / high_freq_factor:
            new.append(freq)
        elif wavelen > original / low_freq_factor:
            new.append(freq / factor)
        else:
            smooth = (original / wavelen - low_freq_factor) / (high_freq_factor - low_freq_factor)
            new.append((1 - smooth) * freq / factor + smooth * freq)
    return torch.tensor(new, dtype=frequencies.dtype)


# %% alternative="torch.where twice" exercise="context_extension"
# As transformers does it, in double precision.
def interpolated(frequencies, factor):
    return frequencies.div(factor)


def ntk_theta(theta, head_dim, factor):
    exponent = (head_dim - 2) / head_dim  # of the slowest frequency
    return (theta**exponent * factor) ** (1 / exponent)


def llama3_frequencies(frequencies, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original=8192):
    w = frequencies.double()
    wavelength = 2 * math.pi / w
    smooth = (original / wavelength - low_freq_factor) / (high_freq_factor - low_freq_factor)
    mixed = (1 - smooth) * w / factor + smooth * w
    w = torch.where(
        wavelength > original / low_freq_factor,
        w / factor,
        torch.where(wavelength < original / high_freq_factor, w, mixed),
    )
    return w.float()


# %% alternative="as a multiple of each frequency" exercise="context_extension"
# lerp between 1 / factor and 1.
def interpolated(frequencies, factor):
    return frequencies * (torch.ones_like(frequencies) / factor)


def ntk_theta(theta, head_dim, factor):
    half = head_dim / 2
    return theta * factor ** (half / (half - 1))


def llama3_frequencies(frequencies, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original=8192):
    turns = frequencies * (original / (2 * math.pi))
    share = torch.clamp((turns - low_freq_factor) / (high_freq_factor - low_freq_factor), min=0.0, max=1.0)
    return frequencies * (1 / factor + share * (1 - 1 / factor))


# %% alternative="a multiplier by np.interp, in fp64" exercise="context_extension"
# The multiplier is 1/factor up to low, 1 from high on, and linear in the turns between.
def interpolated(frequencies, factor):
    return (frequencies.double() / factor).to(frequencies.dtype)


def ntk_theta(theta, head_dim, factor):
    pairs = head_dim // 2
    return theta * math.pow(factor, pairs / (pairs - 1))


def llama3_frequencies(frequencies, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original=8192):
    f = frequencies.detach().cpu().numpy().astype(np.float64)
    times = np.interp(f * original / (2 * np.pi), [low_freq_factor, high_freq_factor], [1 / factor, 1.0])
    return torch.from_numpy((f * times).astype(np.float32)).to(frequencies.device)


# %% [markdown]
# ## KVCache


# %% misconception="the length of the first layer" exercise="KVCache"
# Layer 0 is the obvious one to ask; while the model runs it is ahead of the others.
class KVCache:
    def __init__(self, layers):
        self.keys, self.values = [None] * layers, [None] * layers

    def append(self, layer, key, value):
        if self.keys[layer] is not None:
            key, value = torch.cat((self.keys[layer], key), 2), torch.cat((self.values[layer], value), 2)
        self.keys[layer], self.values[layer] = key, value
        return key, value

    def __len__(self):
        return 0 if self.keys[0] is None else self.keys[0].shape[2]

    @property
    def nbytes(self):
        return sum(t.nbytes for t in self.keys + self.values if t is not None)


# %% misconception="returns the new ones only" exercise="KVCache"
# append gives back what it was given.
class KVCache:
    def __init__(self, layers):
        self.keys, self.values = [None] * layers, [None] * layers

    def append(self, layer, key, value):
        if self.keys[layer] is None:
            self.keys[layer], self.values[layer] = key, value
        else:
            self.keys[layer] = torch.cat((self.keys[layer], key), 2)
            self.values[layer] = torch.cat((self.values[layer], value), 2)
        return key, value

    def __len__(self):
        return 0 if self.keys[-1] is None else self.keys[-1].shape[2]

    @property
    def nbytes(self):
        return sum(t.nbytes for t in self.keys + self.values if t is not None)


# %% misconception="joined along the heads" exercise="KVCache"
# dim=1 is the sequence in (batch, length, heads, head_dim), but not here.
class KVCache:
    def __init__(self, layers):
        self.keys, self.values = [None] * layers, [None] * layers

    def append(self, layer, key, value):
        if self.keys[layer] is not None:
            key, value = torch.cat((self.keys[layer], key), 1), torch.cat((self.values[layer], value), 1)
        self.keys[layer], self.values[layer] = key, value
        return key, value

    def __len__(self):
        return 0 if self.keys[-1] is None else self.keys[-1].shape[1]

    @property
    def nbytes(self):
        return sum(t.nbytes for t in self.keys + self.values if t is not None)


# %% misconception="all caches share one list" exercise="KVCache"
# The lists stand in the class, so every cache is the same cache.
class KVCache:
    keys, values = {}, {}

    def __init__(self, layers):
        self.layers = layers

    def append(self, layer, key, value):
        if layer in self.keys:
            key, value = torch.cat((self.keys[layer], key), 2), torch.cat((self.values[layer], value), 2)
        self.keys[layer], self.values[layer] = key, value
        return key, value

    def __len__(self):
        return self.keys[self.layers - 1].shape[2] if self.layers - 1 in self.keys else 0

    @property
    def nbytes(self):
        return sum(t.nbytes for t in (*self.keys.values(), *self.values.values()))


# %% misconception="one pair for all layers" exercise="KVCache"
# The layer is ignored: keys of different layers end up in one row.
class KVCache:
    def __init__(self, layers):
        self.layers, self.key, self.value = layers, None, None

    def append(self, layer, key, value):
        if self.key is not None:
            key, value = torch.cat((self.key, key), 2), torch.cat((self.value, value), 2)
        self.key, self.value = key, value
        return key, value

    def __len__(self):
        return 0 if self.key is None else self.key.shape[2] // self.layers

    @property
    def nbytes(self):
        return 0 if self.key is None else self.key.nbytes + self.value.nbytes


# %% misconception="numbers counted as bytes" exercise="KVCache"
# numel is not nbytes.
class KVCache:
    def __init__(self, layers):
        self.keys, self.values = [None] * layers, [None] * layers

    def append(self, layer, key, value):
        if self.keys[layer] is not None:
            key, value = torch.cat((self.keys[layer], key), 2), torch.cat((self.values[layer], value), 2)
        self.keys[layer], self.values[layer] = key, value
        return key, value

    def __len__(self):
        return 0 if self.keys[-1] is None else self.keys[-1].shape[2]

    @property
    def nbytes(self):
        return sum(t.numel() for t in self.keys + self.values if t is not None)


# %% misconception="four bytes for every number" exercise="KVCache"
# fp32 is assumed; in bf16 it is half.
class KVCache:
    def __init__(self, layers):
        self.keys, self.values = [None] * layers, [None] * layers

    def append(self, layer, key, value):
        if self.keys[layer] is not None:
            key, value = torch.cat((self.keys[layer], key), 2), torch.cat((self.values[layer], value), 2)
        self.keys[layer], self.values[layer] = key, value
        return key, value

    def __len__(self):
        return 0 if self.keys[-1] is None else self.keys[-1].shape[2]

    @property
    def nbytes(self):
        return sum(4 * t.numel() for t in self.keys + self.values if t is not None)


# %% misconception="keys only are counted" exercise="KVCache"
# The factor 2 of the formula is forgotten.
class KVCache:
    def __init__(self, layers):
        self.keys, self.values = [None] * layers, [None] * layers

    def append(self, layer, key, value):
        if self.keys[layer] is not None:
            key, value = torch.cat((self.keys[layer], key), 2), torch.cat((self.values[layer], value), 2)
        self.keys[layer], self.values[layer] = key, value
        return key, value

    def __len__(self):
        return 0 if self.keys[-1] is None else self.keys[-1].shape[2]

    @property
    def nbytes(self):
        return sum(t.nbytes for t in self.keys if t is not None)


# %% misconception="room for a fixed number of tokens, kept in fp32" exercise="KVCache"
# The room is allocated before the dtype is known.
class KVCache:
    def __init__(self, layers):
        self.room, self.used = [None] * layers, [0] * layers

    def append(self, layer, key, value):
        if self.room[layer] is None:
            self.room[layer] = torch.zeros(2, key.shape[0], key.shape[1], 64, key.shape[3])
        start, end = self.used[layer], self.used[layer] + key.shape[2]
        self.room[layer][0, :, :, start:end] = key
        self.room[layer][1, :, :, start:end] = value
        self.used[layer] = end
        return self.room[layer][0, :, :, :end], self.room[layer][1, :, :, :end]

    def __len__(self):
        return self.used[-1]

    @property
    def nbytes(self):
        return sum(r[:, :, :, :u].nbytes for r, u in zip(self.room, self.used, strict=True) if r is not None)


# %% misconception="one token at a time" exercise="KVCache"
# In decoding there is one new token, so the length grows by one a call.
class KVCache:
    def __init__(self, layers):
        self.keys, self.values, self.calls = [None] * layers, [None] * layers, [0] * layers

    def append(self, layer, key, value):
        if self.keys[layer] is not None:
            key, value = torch.cat((self.keys[layer], key), 2), torch.cat((self.values[layer], value), 2)
        self.keys[layer], self.values[layer] = key, value
        self.calls[layer] += 1
        return key, value

    def __len__(self):
        return self.calls[-1]

    @property
    def nbytes(self):
        return sum(t.nbytes for t in self.keys + self.values if t is not None)


# %% misconception="room for 1024" exercise="KVCache"
# Room for as many tokens as the author's tests had.
class KVCache:
    def __init__(self, layers: int):
        self.rooms = [None] * layers
        self.used = [0] * layers

    def append(self, layer, key, value):
        n, new = self.used[layer], key
        total = n + key.shape[2]
        if self.rooms[layer] is None:
            self.rooms[layer] = [
                torch.empty(*new.shape[:2], 1024, new.shape[3], dtype=new.dtype, device=new.device)
                for new in (key, value)
            ]
        for room, new in zip(self.rooms[layer], (key, value)):
            room[:, :, n:total] = new
        self.used[layer] = total
        keys, values = (room[:, :, :total] for room in self.rooms[layer])
        return keys, values

    def __len__(self):
        return self.used[-1]

    @property
    def nbytes(self):
        return sum(
            room[:, :, :n].numel() * room.element_size()
            for n, rooms in zip(self.used, self.rooms)
            if rooms is not None
            for room in rooms
        )


# %% misconception="doubles once" exercise="KVCache"
# Doubling once is enough for one token at a time; a long piece behind a short one does not fit.
class KVCache:
    def __init__(self, layers: int):
        self.rooms = [None] * layers
        self.used = [0] * layers

    def append(self, layer, key, value):
        n, new = self.used[layer], key
        total = n + key.shape[2]
        if self.rooms[layer] is None:
            self.rooms[layer] = [
                torch.empty(*new.shape[:2], max(16, total), new.shape[3], dtype=new.dtype, device=new.device)
                for new in (key, value)
            ]
        elif total > self.rooms[layer][0].shape[2]:
            self.rooms[layer] = [torch.cat([r, torch.empty_like(r)], dim=2) for r in self.rooms[layer]]
        for room, new in zip(self.rooms[layer], (key, value)):
            room[:, :, n:total] = new
        self.used[layer] = total
        keys, values = (room[:, :, :total] for room in self.rooms[layer])
        return keys, values

    def __len__(self):
        return self.used[-1]

    @property
    def nbytes(self):
        return sum(
            room[:, :, :n].numel() * room.element_size()
            for n, rooms in zip(self.used, self.rooms)
            if rooms is not None
            for room in rooms
        )


# %% misconception="the newest end of the room" exercise="KVCache"
# A room filled from its right end is shifted under the views that earlier calls returned.
class KVCache:
    def __init__(self, layers: int):
        self.rooms = [None] * layers
        self.used = [0] * layers

    def append(self, layer, key, value):
        new = key.shape[2]
        total = self.used[layer] + new
        if self.rooms[layer] is None or total > self.rooms[layer][0].shape[2]:
            old = self.rooms[layer]
            self.rooms[layer] = [t.new_zeros(*t.shape[:2], 2 * total + 32, t.shape[3]) for t in (key, value)]
            if old is not None:
                for room, before in zip(self.rooms[layer], old):
                    room[:, :, -before.shape[2] :] = before
        for room, t in zip(self.rooms[layer], (key, value)):
            room[:, :, :-new] = room[:, :, new:].clone()
            room[:, :, -new:] = t
        self.used[layer] = total
        return tuple(room[:, :, -total:] for room in self.rooms[layer])

    def __len__(self):
        return self.used[-1]

    @property
    def nbytes(self):
        return sum(
            room[:, :, :n].numel() * room.element_size()
            for n, rooms in zip(self.used, self.rooms)
            if rooms is not None
            for room in rooms
        )


# %% misconception="bytes of full layers" exercise="KVCache"
# len(cache) times the layers; what the first layers are ahead is missed.
class KVCache:
    def __init__(self, layers: int):
        self.keys = [None] * layers
        self.values = [None] * layers

    def append(self, layer, key, value):
        if self.keys[layer] is not None:
            key = torch.cat([self.keys[layer], key], dim=2)
            value = torch.cat([self.values[layer], value], dim=2)
        self.keys[layer], self.values[layer] = key, value
        return key, value

    def __len__(self):
        last = self.keys[-1]
        return 0 if last is None else last.shape[2]

    @property
    def nbytes(self):
        if self.keys[-1] is None:
            return 0
        return len(self.keys) * 2 * self.keys[-1].nbytes


# %% alternative="room that doubles" exercise="KVCache"
# Each token is copied a constant number of times on average, instead of once a step.
class KVCache:
    def __init__(self, layers):
        self.room = [None] * layers
        self.used = [0] * layers

    def append(self, layer, key, value):
        new = torch.stack((key, value))
        start, end = self.used[layer], self.used[layer] + key.shape[2]
        room = self.room[layer]
        if room is None or room.shape[3] < end:
            bigger = torch.empty(*new.shape[:3], 2 * end, new.shape[4], dtype=key.dtype)
            if room is not None:
                bigger[:, :, :, :start] = room[:, :, :, :start]
            self.room[layer] = room = bigger
        room[:, :, :, start:end] = new
        self.used[layer] = end
        return room[0, :, :, :end], room[1, :, :, :end]

    def __len__(self):
        return min(self.used)

    @property
    def nbytes(self):
        return sum(r[:, :, :, :n].nbytes for r, n in zip(self.room, self.used, strict=True) if r is not None)


# %% alternative="a list of parts, joined when asked" exercise="KVCache"
# Parts are kept as they came.
class KVCache:
    def __init__(self, layers):
        self.parts = [[] for _ in range(layers)]

    def append(self, layer, key, value):
        self.parts[layer].append((key, value))
        keys, values = zip(*self.parts[layer], strict=True)
        return torch.cat(keys, dim=-2), torch.cat(values, dim=-2)

    def __len__(self):
        return min(sum(key.shape[-2] for key, _ in parts) for parts in self.parts)

    @property
    def nbytes(self):
        return sum(t.numel() * t.element_size() for parts in self.parts for pair in parts for t in pair)


# %% alternative="dictionaries that start empty tensors" exercise="KVCache"
# The first append joins to nothing.
class KVCache:
    def __init__(self, layers):
        self.layers = layers
        self.held = {}

    def append(self, layer, key, value):
        empty = key[:, :, :0]
        old_key, old_value = self.held.get(layer, (empty, empty))
        self.held[layer] = torch.cat([old_key, key], dim=2), torch.cat([old_value, value], dim=2)
        return self.held[layer]

    def __len__(self):
        if len(self.held) < self.layers:
            return 0
        return self.held[self.layers - 1][0].size(2)

    @property
    def nbytes(self):
        return sum(key.nbytes + value.nbytes for key, value in self.held.values())


# %% alternative="room that grows" exercise="KVCache"
# Room is kept and filled; only places behind the views that were returned are written.
class KVCache:
    def __init__(self, layers: int):
        self.rooms = [None] * layers
        self.used = [0] * layers

    def append(self, layer, key, value):
        n, new = self.used[layer], key
        total = n + key.shape[2]
        if self.rooms[layer] is None:
            self.rooms[layer] = [
                torch.empty(*new.shape[:2], total + 8, new.shape[3], dtype=new.dtype, device=new.device)
                for new in (key, value)
            ]
        elif total > self.rooms[layer][0].shape[2]:
            grown = []
            for room in self.rooms[layer]:
                bigger = room.new_empty(*room.shape[:2], 2 * total, room.shape[3])
                bigger[:, :, :n] = room[:, :, :n]
                grown.append(bigger)
            self.rooms[layer] = grown
        for room, new in zip(self.rooms[layer], (key, value)):
            room[:, :, n:total] = new
        self.used[layer] = total
        keys, values = (room[:, :, :total] for room in self.rooms[layer])
        return keys, values

    def __len__(self):
        return self.used[-1]

    @property
    def nbytes(self):
        return sum(
            room[:, :, :n].numel() * room.element_size()
            for n, rooms in zip(self.used, self.rooms)
            if rooms is not None
            for room in rooms
        )


# %% [markdown]
# ## Attention
#
# `__init__` is the same in all: it is given.


# %% misconception="is_causal with a cache" exercise="Attention"
# Right for the prompt. With a cache its triangle stands in the upper left corner.
class Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.query = nn.Linear(config.dim, config.heads * config.head_dim, bias=False)
        self.key = nn.Linear(config.dim, config.kv_heads * config.head_dim, bias=False)
        self.value = nn.Linear(config.dim, config.kv_heads * config.head_dim, bias=False)
        self.output = nn.Linear(config.heads * config.head_dim, config.dim, bias=False)

    def forward(self, x, positions, frequencies, cache=None, layer=0):
        q, k, v = (
            project(x).unflatten(-1, (-1, self.config.head_dim)).transpose(1, 2)
            for project in (self.query, self.key, self.value)
        )
        q, k = rotate_half(q, positions, frequencies), rotate_half(k, positions, frequencies)
        if cache is not None:
            k, v = cache.append(layer, k, v)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        return self.output(y.transpose(1, 2).flatten(2))


# %% misconception="no mask when there is a cache" exercise="Attention"
# A single new token may see everything. Two new ones may not see each other's future.
class Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.query = nn.Linear(config.dim, config.heads * config.head_dim, bias=False)
        self.key = nn.Linear(config.dim, config.kv_heads * config.head_dim, bias=False)
        self.value = nn.Linear(config.dim, config.kv_heads * config.head_dim, bias=False)
        self.output = nn.Linear(config.heads * config.head_dim, config.dim, bias=False)

    def forward(self, x, positions, frequencies, cache=None, layer=0):
        q, k, v = (
            project(x).unflatten(-1, (-1, self.config.head_dim)).transpose(1, 2)
            for project in (self.query, self.key, self.value)
        )
        q, k = rotate_half(q, positions, frequencies), rotate_half(k, positions, frequencies)
        if cache is not None:
            k, v = cache.append(layer, k, v)
        causal = cache is None
        y = F.scaled_dot_product_attention(q, k, v, is_causal=causal, enable_gqa=True)
        return self.output(y.transpose(1, 2).flatten(2))


# %% misconception="no mask at all" exercise="Attention"
# It is forgotten; the loss of a training run gets suspiciously low.
class Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.query = nn.Linear(config.dim, config.heads * config.head_dim, bias=False)
        self.key = nn.Linear(config.dim, config.kv_heads * config.head_dim, bias=False)
        self.value = nn.Linear(config.dim, config.kv_heads * config.head_dim, bias=False)
        self.output = nn.Linear(config.heads * config.head_dim, config.dim, bias=False)

    def forward(self, x, positions, frequencies, cache=None, layer=0):
        q, k, v = (
            project(x).unflatten(-1, (-1, self.config.head_dim)).transpose(1, 2)
            for project in (self.query, self.key, self.value)
        )
        q, k = rotate_half(q, positions, frequencies), rotate_half(k, positions, frequencies)
        if cache is not None:
            k, v = cache.append(layer, k, v)
        y = F.scaled_dot_product_attention(q, k, v, enable_gqa=True)
        return self.output(y.transpose(1, 2).flatten(2))


# %% misconception="appended before they are turned" exercise="Attention"
# The cache then holds unturned keys, and the positions passed fit the new ones only.
class Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.query = nn.Linear(config.dim, config.heads * config.head_dim, bias=False)
        self.key = nn.Linear(config.dim, config.kv_heads * config.head_dim, bias=False)
        self.value = nn.Linear(config.dim, config.kv_heads * config.head_dim, bias=False)
        self.output = nn.Linear(config.heads * config.head_dim, config.dim, bias=False)

    def forward(self, x, positions, frequencies, cache=None, layer=0):
        q, k, v = (
            project(x).unflatten(-1, (-1, self.config.head_dim)).transpose(1, 2)
            for project in (self.query, self.key, self.value)
        )
        q = rotate_half(q, positions, frequencies)
        if cache is not None:
            k, v = cache.append(layer, k, v)
        k = rotate_half(k, torch.arange(k.shape[2]), frequencies)
        mask = torch.arange(k.shape[2]) <= positions[:, None]
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)
        return self.output(y.transpose(1, 2).flatten(2))


# %% misconception="the cached keys are turned once more" exercise="Attention"
# All keys that come out of the cache are turned by their positions; the old ones have been.
class Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.query = nn.Linear(config.dim, config.heads * config.head_dim, bias=False)
        self.key = nn.Linear(config.dim, config.kv_heads * config.head_dim, bias=False)
        self.value = nn.Linear(config.dim, config.kv_heads * config.head_dim, bias=False)
        self.output = nn.Linear(config.heads * config.head_dim, config.dim, bias=False)

    def forward(self, x, positions, frequencies, cache=None, layer=0):
        q, k, v = (
            project(x).unflatten(-1, (-1, self.config.head_dim)).transpose(1, 2)
            for project in (self.query, self.key, self.value)
        )
        q, k = rotate_half(q, positions, frequencies), rotate_half(k, positions, frequencies)
        if cache is not None:
            k, v = cache.append(layer, k, v)
        if cache is not None and k.shape[2] > x.shape[1]:
            k = rotate_half(k, torch.arange(k.shape[2]), frequencies)
        mask = torch.arange(k.shape[2]) <= positions[:, None]
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)
        return self.output(y.transpose(1, 2).flatten(2))


# %% misconception="values are turned, too" exercise="Attention"
# q, k and v go through the same lines, so why not the rotation.
class Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.query = nn.Linear(config.dim, config.heads * config.head_dim, bias=False)
        self.key = nn.Linear(config.dim, config.kv_heads * config.head_dim, bias=False)
        self.value = nn.Linear(config.dim, config.kv_heads * config.head_dim, bias=False)
        self.output = nn.Linear(config.heads * config.head_dim, config.dim, bias=False)

    def forward(self, x, positions, frequencies, cache=None, layer=0):
        q, k, v = (
            project(x).unflatten(-1, (-1, self.config.head_dim)).transpose(1, 2)
            for project in (self.query, self.key, self.value)
        )
        q, k, v = (rotate_half(t, positions, frequencies) for t in (q, k, v))
        if cache is not None:
            k, v = cache.append(layer, k, v)
        mask = torch.arange(k.shape[2]) <= positions[:, None]
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)
        return self.output(y.transpose(1, 2).flatten(2))


# %% misconception="keys are not turned" exercise="Attention"
# Turning the queries alone makes scores depend on the query's position, not on the distance.
class Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.query = nn.Linear(config.dim, config.heads * config.head_dim, bias=False)
        self.key = nn.Linear(config.dim, config.kv_heads * config.head_dim, bias=False)
        self.value = nn.Linear(config.dim, config.kv_heads * config.head_dim, bias=False)
        self.output = nn.Linear(config.heads * config.head_dim, config.dim, bias=False)

    def forward(self, x, positions, frequencies, cache=None, layer=0):
        q, k, v = (
            project(x).unflatten(-1, (-1, self.config.head_dim)).transpose(1, 2)
            for project in (self.query, self.key, self.value)
        )
        q = rotate_half(q, positions, frequencies)
        if cache is not None:
            k, v = cache.append(layer, k, v)
        mask = torch.arange(k.shape[2]) <= positions[:, None]
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)
        return self.output(y.transpose(1, 2).flatten(2))


# %% misconception="positions from the shape" exercise="Attention"
# arange(length) is right until there is a cache.
class Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.query = nn.Linear(config.dim, config.heads * config.head_dim, bias=False)
        self.key = nn.Linear(config.dim, config.kv_heads * config.head_dim, bias=False)
        self.value = nn.Linear(config.dim, config.kv_heads * config.head_dim, bias=False)
        self.output = nn.Linear(config.heads * config.head_dim, config.dim, bias=False)

    def forward(self, x, positions, frequencies, cache=None, layer=0):
        q, k, v = (
            project(x).unflatten(-1, (-1, self.config.head_dim)).transpose(1, 2)
            for project in (self.query, self.key, self.value)
        )
        here = torch.arange(x.shape[1])
        q, k = rotate_half(q, here, frequencies), rotate_half(k, here, frequencies)
        if cache is not None:
            k, v = cache.append(layer, k, v)
        mask = torch.arange(k.shape[2]) <= positions[:, None]
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)
        return self.output(y.transpose(1, 2).flatten(2))


# %% misconception="turned before the heads are the outer axis" exercise="Attention"
# (batch, length, heads, head_dim): the axis before the last is heads, and each head gets a position. With as many
# heads as tokens no shape complains.
class Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.query = nn.Linear(config.dim, config.heads * config.head_dim, bias=False)
        self.key = nn.Linear(config.dim, config.kv_heads * config.head_dim, bias=False)
        self.value = nn.Linear(config.dim, config.kv_heads * config.head_dim, bias=False)
        self.output = nn.Linear(config.heads * config.head_dim, config.dim, bias=False)

    def forward(self, x, positions, frequencies, cache=None, layer=0):
        q, k, v = (
            project(x).unflatten(-1, (-1, self.config.head_dim)) for project in (self.query, self.key, self.value)
        )
        q = rotate_half(q, torch.arange(q.shape[2]), frequencies).transpose(1, 2)
        k, v = rotate_half(k, torch.arange(k.shape[2]), frequencies).transpose(1, 2), v.transpose(1, 2)
        if cache is not None:
            k, v = cache.append(layer, k, v)
        mask = torch.arange(k.shape[2]) <= positions[:, None]
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)
        return self.output(y.transpose(1, 2).flatten(2))


# %% misconception="heads cut by a view without a transpose" exercise="Attention"
# (batch, heads, length, head_dim) is reached by shape alone, and mixes tokens with heads.
class Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.query = nn.Linear(config.dim, config.heads * config.head_dim, bias=False)
        self.key = nn.Linear(config.dim, config.kv_heads * config.head_dim, bias=False)
        self.value = nn.Linear(config.dim, config.kv_heads * config.head_dim, bias=False)
        self.output = nn.Linear(config.heads * config.head_dim, config.dim, bias=False)

    def forward(self, x, positions, frequencies, cache=None, layer=0):
        b, n, _ = x.shape
        q, k, v = (project(x).view(b, -1, n, self.config.head_dim) for project in (self.query, self.key, self.value))
        q, k = rotate_half(q, positions, frequencies), rotate_half(k, positions, frequencies)
        if cache is not None:
            k, v = cache.append(layer, k, v)
        mask = torch.arange(k.shape[2]) <= positions[:, None]
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)
        return self.output(y.reshape(b, n, -1))


# %% misconception="key heads repeated in the wrong order" exercise="Attention"
# repeat tiles 0, 1, 0, 1; groups are consecutive: 0, 0, 1, 1.
class Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.query = nn.Linear(config.dim, config.heads * config.head_dim, bias=False)
        self.key = nn.Linear(config.dim, config.kv_heads * config.head_dim, bias=False)
        self.value = nn.Linear(config.dim, config.kv_heads * config.head_dim, bias=False)
        self.output = nn.Linear(config.heads * config.head_dim, config.dim, bias=False)

    def forward(self, x, positions, frequencies, cache=None, layer=0):
        q, k, v = (
            project(x).unflatten(-1, (-1, self.config.head_dim)).transpose(1, 2)
            for project in (self.query, self.key, self.value)
        )
        q, k = rotate_half(q, positions, frequencies), rotate_half(k, positions, frequencies)
        if cache is not None:
            k, v = cache.append(layer, k, v)
        groups = self.config.heads // self.config.kv_heads
        k, v = k.repeat(1, groups, 1, 1), v.repeat(1, groups, 1, 1)
        mask = torch.arange(k.shape[2]) <= positions[:, None]
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.output(y.transpose(1, 2).flatten(2))


# %% misconception="repeated heads go into the cache" exercise="Attention"
# The result is right, and the cache is as large as if there were no groups.
class Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.query = nn.Linear(config.dim, config.heads * config.head_dim, bias=False)
        self.key = nn.Linear(config.dim, config.kv_heads * config.head_dim, bias=False)
        self.value = nn.Linear(config.dim, config.kv_heads * config.head_dim, bias=False)
        self.output = nn.Linear(config.heads * config.head_dim, config.dim, bias=False)

    def forward(self, x, positions, frequencies, cache=None, layer=0):
        q, k, v = (
            project(x).unflatten(-1, (-1, self.config.head_dim)).transpose(1, 2)
            for project in (self.query, self.key, self.value)
        )
        q, k = rotate_half(q, positions, frequencies), rotate_half(k, positions, frequencies)
        groups = self.config.heads // self.config.kv_heads
        k, v = k.repeat_interleave(groups, dim=1), v.repeat_interleave(groups, dim=1)
        if cache is not None:
            k, v = cache.append(layer, k, v)
        mask = torch.arange(k.shape[2]) <= positions[:, None]
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.output(y.transpose(1, 2).flatten(2))


# %% misconception="always layer 0 of the cache" exercise="Attention"
# The argument layer has a default, and is not passed on.
class Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.query = nn.Linear(config.dim, config.heads * config.head_dim, bias=False)
        self.key = nn.Linear(config.dim, config.kv_heads * config.head_dim, bias=False)
        self.value = nn.Linear(config.dim, config.kv_heads * config.head_dim, bias=False)
        self.output = nn.Linear(config.heads * config.head_dim, config.dim, bias=False)

    def forward(self, x, positions, frequencies, cache=None, layer=0):
        q, k, v = (
            project(x).unflatten(-1, (-1, self.config.head_dim)).transpose(1, 2)
            for project in (self.query, self.key, self.value)
        )
        q, k = rotate_half(q, positions, frequencies), rotate_half(k, positions, frequencies)
        if cache is not None:
            k, v = cache.append(0, k, v)
        mask = torch.arange(k.shape[2]) <= positions[:, None]
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)
        return self.output(y.transpose(1, 2).flatten(2))


# %% misconception="divided by the square root of dim" exercise="Attention"
# The paper divides by the root of d_k, which is the width of a head.
class Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.query = nn.Linear(config.dim, config.heads * config.head_dim, bias=False)
        self.key = nn.Linear(config.dim, config.kv_heads * config.head_dim, bias=False)
        self.value = nn.Linear(config.dim, config.kv_heads * config.head_dim, bias=False)
        self.output = nn.Linear(config.heads * config.head_dim, config.dim, bias=False)

    def forward(self, x, positions, frequencies, cache=None, layer=0):
        q, k, v = (
            project(x).unflatten(-1, (-1, self.config.head_dim)).transpose(1, 2)
            for project in (self.query, self.key, self.value)
        )
        q, k = rotate_half(q, positions, frequencies), rotate_half(k, positions, frequencies)
        if cache is not None:
            k, v = cache.append(layer, k, v)
        mask = torch.arange(k.shape[2]) <= positions[:, None]
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True, scale=self.config.dim**-0.5)
        return self.output(y.transpose(1, 2).flatten(2))


# %% misconception="sees one token too few" exercise="Attention"
# < instead of <=: a token does not see itself, and the first sees nothing.
class Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.query = nn.Linear(config.dim, config.heads * config.head_dim, bias=False)
        self.key = nn.Linear(config.dim, config.kv_heads * config.head_dim, bias=False)
        self.value = nn.Linear(config.dim, config.kv_heads * config.head_dim, bias=False)
        self.output = nn.Linear(config.heads * config.head_dim, config.dim, bias=False)

    def forward(self, x, positions, frequencies, cache=None, layer=0):
        q, k, v = (
            project(x).unflatten(-1, (-1, self.config.head_dim)).transpose(1, 2)
            for project in (self.query, self.key, self.value)
        )
        q, k = rotate_half(q, positions, frequencies), rotate_half(k, positions, frequencies)
        if cache is not None:
            k, v = cache.append(layer, k, v)
        mask = torch.arange(k.shape[2]) < positions[:, None]
        mask[:, 0] = True
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)
        return self.output(y.transpose(1, 2).flatten(2))


# %% misconception="keys turned only" exercise="Attention"
# "Positions belong to the keys": scores then depend on the absolute position.
class Attention(nn.Module):
    def __init__(self, config: Config):
        super().__init__()
        self.config = config
        self.query = nn.Linear(config.dim, config.heads * config.head_dim, bias=False)
        self.key = nn.Linear(config.dim, config.kv_heads * config.head_dim, bias=False)
        self.value = nn.Linear(config.dim, config.kv_heads * config.head_dim, bias=False)
        self.output = nn.Linear(config.heads * config.head_dim, config.dim, bias=False)

    def forward(self, x, positions, frequencies, cache=None, layer=0):
        d = self.config.head_dim
        q = self.query(x).unflatten(-1, (-1, d)).transpose(1, 2)
        k = self.key(x).unflatten(-1, (-1, d)).transpose(1, 2)
        v = self.value(x).unflatten(-1, (-1, d)).transpose(1, 2)
        k = rotate_half(k, positions, frequencies)
        if cache is not None:
            k, v = cache.append(layer, k, v)
        mask = torch.arange(k.shape[2], device=x.device) <= positions[:, None]
        group = self.config.heads // self.config.kv_heads
        k, v = k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.output(y.transpose(1, 2).flatten(-2))


# %% misconception="neighbours" exercise="Attention"
# rotate_complex was written first, and works as well: with other weights.
class Attention(nn.Module):
    def __init__(self, config: Config):
        super().__init__()
        self.config = config
        self.query = nn.Linear(config.dim, config.heads * config.head_dim, bias=False)
        self.key = nn.Linear(config.dim, config.kv_heads * config.head_dim, bias=False)
        self.value = nn.Linear(config.dim, config.kv_heads * config.head_dim, bias=False)
        self.output = nn.Linear(config.heads * config.head_dim, config.dim, bias=False)

    def forward(self, x, positions, frequencies, cache=None, layer=0):
        d = self.config.head_dim
        q = self.query(x).unflatten(-1, (-1, d)).transpose(1, 2)
        k = self.key(x).unflatten(-1, (-1, d)).transpose(1, 2)
        v = self.value(x).unflatten(-1, (-1, d)).transpose(1, 2)
        q, k = rotate_complex(q, positions, frequencies), rotate_complex(k, positions, frequencies)
        if cache is not None:
            k, v = cache.append(layer, k, v)
        mask = torch.arange(k.shape[2], device=x.device) <= positions[:, None]
        group = self.config.heads // self.config.kv_heads
        k, v = k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.output(y.transpose(1, 2).flatten(-2))


# %% misconception="token by token into the cache" exercise="Attention"
# A cache is filled one token at a time while decoding, so this is how the prompt goes in. The values are the same.
class Attention(nn.Module):
    def __init__(self, config: Config):
        super().__init__()
        self.config = config
        self.query = nn.Linear(config.dim, config.heads * config.head_dim, bias=False)
        self.key = nn.Linear(config.dim, config.kv_heads * config.head_dim, bias=False)
        self.value = nn.Linear(config.dim, config.kv_heads * config.head_dim, bias=False)
        self.output = nn.Linear(config.heads * config.head_dim, config.dim, bias=False)

    def forward(self, x, positions, frequencies, cache=None, layer=0):
        d = self.config.head_dim
        q = self.query(x).unflatten(-1, (-1, d)).transpose(1, 2)
        k = self.key(x).unflatten(-1, (-1, d)).transpose(1, 2)
        v = self.value(x).unflatten(-1, (-1, d)).transpose(1, 2)
        q, k = rotate_half(q, positions, frequencies), rotate_half(k, positions, frequencies)
        if cache is not None:
            for t in range(x.shape[1]):
                all_k, all_v = cache.append(layer, k[:, :, t : t + 1], v[:, :, t : t + 1])
            k, v = all_k, all_v
        mask = torch.arange(k.shape[2], device=x.device) <= positions[:, None]
        group = self.config.heads // self.config.kv_heads
        k, v = k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.output(y.transpose(1, 2).flatten(-2))


# %% alternative="softmax by hand, heads repeated" exercise="Attention"
# Scores, minus infinity where it may not look, softmax, weighted values.
class Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.query = nn.Linear(config.dim, config.heads * config.head_dim, bias=False)
        self.key = nn.Linear(config.dim, config.kv_heads * config.head_dim, bias=False)
        self.value = nn.Linear(config.dim, config.kv_heads * config.head_dim, bias=False)
        self.output = nn.Linear(config.heads * config.head_dim, config.dim, bias=False)

    def forward(self, x, positions, frequencies, cache=None, layer=0):
        q, k, v = (
            project(x).unflatten(-1, (-1, self.config.head_dim)).transpose(1, 2)
            for project in (self.query, self.key, self.value)
        )
        q, k = rotate_half(q, positions, frequencies), rotate_half(k, positions, frequencies)
        if cache is not None:
            k, v = cache.append(layer, k, v)
        groups = self.config.heads // self.config.kv_heads
        k, v = k.repeat_interleave(groups, dim=1), v.repeat_interleave(groups, dim=1)
        scores = q @ k.mT / math.sqrt(self.config.head_dim)
        future = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool).triu(k.shape[2] - q.shape[2] + 1)
        y = scores.masked_fill(future, -math.inf).softmax(-1) @ v
        return self.output(y.transpose(1, 2).flatten(2))


# %% alternative="is_causal where it is right" exercise="Attention"
# For the prompt torch's own triangle; for a single token none; a mask for the rest.
class Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.query = nn.Linear(config.dim, config.heads * config.head_dim, bias=False)
        self.key = nn.Linear(config.dim, config.kv_heads * config.head_dim, bias=False)
        self.value = nn.Linear(config.dim, config.kv_heads * config.head_dim, bias=False)
        self.output = nn.Linear(config.heads * config.head_dim, config.dim, bias=False)

    def forward(self, x, positions, frequencies, cache=None, layer=0):
        q, k, v = (
            project(x).unflatten(-1, (-1, self.config.head_dim)).transpose(1, 2)
            for project in (self.query, self.key, self.value)
        )
        q, k = rotate_half(q, positions, frequencies), rotate_half(k, positions, frequencies)
        if cache is not None:
            k, v = cache.append(layer, k, v)
        new, total = q.shape[2], k.shape[2]
        if new == total:
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        elif new == 1:
            y = F.scaled_dot_product_attention(q, k, v, enable_gqa=True)
        else:
            mask = torch.full((new, total), -torch.inf).triu(total - new + 1)
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)
        return self.output(y.transpose(1, 2).flatten(2))


# %% alternative="groups as an axis of their own" exercise="Attention"
# einsum over (batch, kv_heads, group, ...): nothing is repeated.
class Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.query = nn.Linear(config.dim, config.heads * config.head_dim, bias=False)
        self.key = nn.Linear(config.dim, config.kv_heads * config.head_dim, bias=False)
        self.value = nn.Linear(config.dim, config.kv_heads * config.head_dim, bias=False)
        self.output = nn.Linear(config.heads * config.head_dim, config.dim, bias=False)

    def forward(self, x, positions, frequencies, cache=None, layer=0):
        c, (b, n, _) = self.config, x.shape
        q = self.query(x).view(b, n, c.heads, c.head_dim).permute(0, 2, 1, 3)
        k = self.key(x).view(b, n, c.kv_heads, c.head_dim).permute(0, 2, 1, 3)
        v = self.value(x).view(b, n, c.kv_heads, c.head_dim).permute(0, 2, 1, 3)
        q, k = (rotate_half(t, positions, frequencies) for t in (q, k))
        if cache is not None:
            k, v = cache.append(layer, k, v)
        q = q.reshape(b, c.kv_heads, c.heads // c.kv_heads, n, c.head_dim)
        scores = torch.einsum("bkgnd,bktd->bkgnt", q, k) * c.head_dim**-0.5
        seen = positions.view(-1, 1) >= torch.arange(k.shape[2]).view(1, -1)
        weights = torch.where(seen, scores, -torch.inf).softmax(dim=-1)
        y = torch.einsum("bkgnt,bktd->bnkgd", weights, v)
        return self.output(y.reshape(b, n, -1))


# %% alternative="a loop over heads" exercise="Attention"
# Query head h uses key head h // group; softmax by hand.
class Attention(nn.Module):
    def __init__(self, config: Config):
        super().__init__()
        self.config = config
        self.query = nn.Linear(config.dim, config.heads * config.head_dim, bias=False)
        self.key = nn.Linear(config.dim, config.kv_heads * config.head_dim, bias=False)
        self.value = nn.Linear(config.dim, config.kv_heads * config.head_dim, bias=False)
        self.output = nn.Linear(config.heads * config.head_dim, config.dim, bias=False)

    def forward(self, x, positions, frequencies, cache=None, layer=0):
        d = self.config.head_dim
        q = self.query(x).unflatten(-1, (-1, d)).transpose(1, 2)
        k = self.key(x).unflatten(-1, (-1, d)).transpose(1, 2)
        v = self.value(x).unflatten(-1, (-1, d)).transpose(1, 2)
        q, k = rotate_half(q, positions, frequencies), rotate_half(k, positions, frequencies)
        if cache is not None:
            k, v = cache.append(layer, k, v)
        allowed = torch.arange(k.shape[2], device=x.device) <= positions[:, None]
        bias = torch.zeros(allowed.shape, device=x.device).masked_fill(~allowed, -torch.inf)
        ys = []
        for h in range(self.config.heads):
            g = h // (self.config.heads // self.config.kv_heads)
            scores = (q[:, h].float() * d**-0.5) @ k[:, g].float().mT + bias
            ys.append((scores.softmax(-1) @ v[:, g].float()).to(x.dtype))
        return self.output(torch.cat(ys, dim=-1))


# %% [markdown]
# ## Llama


# %% misconception="the head is not tied" exercise="Llama"
# Two modules, two matrices.
class Llama(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.dim)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.dim, eps=config.norm_eps)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        self.apply(draw_weights)

    def forward(self, tokens, targets=None, cache=None):
        start = 0 if cache is None else len(cache)
        positions = torch.arange(start, start + tokens.shape[1])
        frequencies = rope_frequencies(self.config.head_dim, self.config.rope_theta)
        if self.config.rope_scaling is not None:
            frequencies = llama3_frequencies(frequencies, **vars(self.config.rope_scaling))
        x = self.embedding(tokens)
        for layer, block in enumerate(self.blocks):
            x = block(x, positions, frequencies, cache, layer)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


# %% misconception="the weights are copied, not shared" exercise="Llama"
# copy_ makes them equal once; training drives them apart.
class Llama(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.dim)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.dim, eps=config.norm_eps)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        if config.tied:
            self.head.weight.data.copy_(self.embedding.weight.data)
        self.apply(draw_weights)

    def forward(self, tokens, targets=None, cache=None):
        start = 0 if cache is None else len(cache)
        positions = torch.arange(start, start + tokens.shape[1])
        frequencies = rope_frequencies(self.config.head_dim, self.config.rope_theta)
        if self.config.rope_scaling is not None:
            frequencies = llama3_frequencies(frequencies, **vars(self.config.rope_scaling))
        x = self.embedding(tokens)
        for layer, block in enumerate(self.blocks):
            x = block(x, positions, frequencies, cache, layer)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


# %% misconception="always tied" exercise="Llama"
# Small models are; big ones are not.
class Llama(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.dim)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.dim, eps=config.norm_eps)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        self.head.weight = self.embedding.weight
        self.apply(draw_weights)

    def forward(self, tokens, targets=None, cache=None):
        start = 0 if cache is None else len(cache)
        positions = torch.arange(start, start + tokens.shape[1])
        frequencies = rope_frequencies(self.config.head_dim, self.config.rope_theta)
        if self.config.rope_scaling is not None:
            frequencies = llama3_frequencies(frequencies, **vars(self.config.rope_scaling))
        x = self.embedding(tokens)
        for layer, block in enumerate(self.blocks):
            x = block(x, positions, frequencies, cache, layer)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


# %% misconception="positions from 0 in every call" exercise="Llama"
# Right without a cache.
class Llama(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.dim)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.dim, eps=config.norm_eps)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        if config.tied:
            self.head.weight = self.embedding.weight
        self.apply(draw_weights)

    def forward(self, tokens, targets=None, cache=None):
        start = 0
        positions = torch.arange(start, start + tokens.shape[1])
        frequencies = rope_frequencies(self.config.head_dim, self.config.rope_theta)
        if self.config.rope_scaling is not None:
            frequencies = llama3_frequencies(frequencies, **vars(self.config.rope_scaling))
        x = self.embedding(tokens)
        for layer, block in enumerate(self.blocks):
            x = block(x, positions, frequencies, cache, layer)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


# %% misconception="positions counted from 1" exercise="Llama"
# The first token is turned by one step.
class Llama(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.dim)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.dim, eps=config.norm_eps)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        if config.tied:
            self.head.weight = self.embedding.weight
        self.apply(draw_weights)

    def forward(self, tokens, targets=None, cache=None):
        start = 0 if cache is None else len(cache)
        positions = torch.arange(start + 1, start + 1 + tokens.shape[1])
        frequencies = rope_frequencies(self.config.head_dim, self.config.rope_theta)
        if self.config.rope_scaling is not None:
            frequencies = llama3_frequencies(frequencies, **vars(self.config.rope_scaling))
        x = self.embedding(tokens)
        for layer, block in enumerate(self.blocks):
            x = block(x, positions, frequencies, cache, layer)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


# %% misconception="frequencies of dim" exercise="Llama"
# One set for the whole width, cut to what a head needs.
class Llama(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.dim)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.dim, eps=config.norm_eps)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        if config.tied:
            self.head.weight = self.embedding.weight
        self.apply(draw_weights)

    def forward(self, tokens, targets=None, cache=None):
        start = 0 if cache is None else len(cache)
        positions = torch.arange(start, start + tokens.shape[1])
        frequencies = rope_frequencies(self.config.dim, self.config.rope_theta)[: self.config.head_dim // 2]
        if self.config.rope_scaling is not None:
            frequencies = llama3_frequencies(frequencies, **vars(self.config.rope_scaling))
        x = self.embedding(tokens)
        for layer, block in enumerate(self.blocks):
            x = block(x, positions, frequencies, cache, layer)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


# %% misconception="theta is left at its default" exercise="Llama"
# rope_frequencies has one, so the config's is easily forgotten.
class Llama(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.dim)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.dim, eps=config.norm_eps)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        if config.tied:
            self.head.weight = self.embedding.weight
        self.apply(draw_weights)

    def forward(self, tokens, targets=None, cache=None):
        start = 0 if cache is None else len(cache)
        positions = torch.arange(start, start + tokens.shape[1])
        frequencies = rope_frequencies(self.config.head_dim)
        if self.config.rope_scaling is not None:
            frequencies = llama3_frequencies(frequencies, **vars(self.config.rope_scaling))
        x = self.embedding(tokens)
        for layer, block in enumerate(self.blocks):
            x = block(x, positions, frequencies, cache, layer)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


# %% misconception="the scaling is ignored" exercise="Llama"
# The config says so, and nothing else does.
class Llama(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.dim)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.dim, eps=config.norm_eps)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        if config.tied:
            self.head.weight = self.embedding.weight
        self.apply(draw_weights)

    def forward(self, tokens, targets=None, cache=None):
        start = 0 if cache is None else len(cache)
        positions = torch.arange(start, start + tokens.shape[1])
        frequencies = rope_frequencies(self.config.head_dim, self.config.rope_theta)
        x = self.embedding(tokens)
        for layer, block in enumerate(self.blocks):
            x = block(x, positions, frequencies, cache, layer)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


# %% misconception="scaling with the default arguments" exercise="Llama"
# llama3_frequencies is called, but not with what stands in the config.
class Llama(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.dim)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.dim, eps=config.norm_eps)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        if config.tied:
            self.head.weight = self.embedding.weight
        self.apply(draw_weights)

    def forward(self, tokens, targets=None, cache=None):
        start = 0 if cache is None else len(cache)
        positions = torch.arange(start, start + tokens.shape[1])
        frequencies = rope_frequencies(self.config.head_dim, self.config.rope_theta)
        if self.config.rope_scaling is not None:
            frequencies = llama3_frequencies(frequencies)
        x = self.embedding(tokens)
        for layer, block in enumerate(self.blocks):
            x = block(x, positions, frequencies, cache, layer)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


# %% misconception="every block uses layer 0 of the cache" exercise="Llama"
# The argument has a default.
class Llama(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.dim)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.dim, eps=config.norm_eps)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        if config.tied:
            self.head.weight = self.embedding.weight
        self.apply(draw_weights)

    def forward(self, tokens, targets=None, cache=None):
        start = 0 if cache is None else len(cache)
        positions = torch.arange(start, start + tokens.shape[1])
        frequencies = rope_frequencies(self.config.head_dim, self.config.rope_theta)
        if self.config.rope_scaling is not None:
            frequencies = llama3_frequencies(frequencies, **vars(self.config.rope_scaling))
        x = self.embedding(tokens)
        for layer, block in enumerate(self.blocks):
            x = block(x, positions, frequencies, cache)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


# %% misconception="the length is read after the first block" exercise="Llama"
# Each block asks the cache where it stands.
class Llama(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.dim)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.dim, eps=config.norm_eps)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        if config.tied:
            self.head.weight = self.embedding.weight
        self.apply(draw_weights)

    def forward(self, tokens, targets=None, cache=None):
        start = 0 if cache is None else len(cache)
        positions = torch.arange(start, start + tokens.shape[1])
        frequencies = rope_frequencies(self.config.head_dim, self.config.rope_theta)
        if self.config.rope_scaling is not None:
            frequencies = llama3_frequencies(frequencies, **vars(self.config.rope_scaling))
        x = self.embedding(tokens)
        for layer, block in enumerate(self.blocks):
            if cache is not None and layer > 0:
                positions = torch.arange(len(cache) + 1, len(cache) + 1 + tokens.shape[1])
            x = block(x, positions, frequencies, cache, layer)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


# %% misconception="the last norm is forgotten" exercise="Llama"
# Pre-norm blocks end without one; the model has one of its own.
class Llama(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.dim)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.dim, eps=config.norm_eps)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        if config.tied:
            self.head.weight = self.embedding.weight
        self.apply(draw_weights)

    def forward(self, tokens, targets=None, cache=None):
        start = 0 if cache is None else len(cache)
        positions = torch.arange(start, start + tokens.shape[1])
        frequencies = rope_frequencies(self.config.head_dim, self.config.rope_theta)
        if self.config.rope_scaling is not None:
            frequencies = llama3_frequencies(frequencies, **vars(self.config.rope_scaling))
        x = self.embedding(tokens)
        for layer, block in enumerate(self.blocks):
            x = block(x, positions, frequencies, cache, layer)
        logits = self.head(x)
        if targets is None:
            return logits
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


# %% misconception="the default eps in the last norm" exercise="Llama"
# nn.RMSNorm takes the dtype's own eps when none is given.
class Llama(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.dim)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.dim)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        if config.tied:
            self.head.weight = self.embedding.weight
        self.apply(draw_weights)

    def forward(self, tokens, targets=None, cache=None):
        start = 0 if cache is None else len(cache)
        positions = torch.arange(start, start + tokens.shape[1])
        frequencies = rope_frequencies(self.config.head_dim, self.config.rope_theta)
        if self.config.rope_scaling is not None:
            frequencies = llama3_frequencies(frequencies, **vars(self.config.rope_scaling))
        x = self.embedding(tokens)
        for layer, block in enumerate(self.blocks):
            x = block(x, positions, frequencies, cache, layer)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


# %% misconception="targets are shifted once more" exercise="Llama"
# nanoGPT's data come shifted, transformers' labels don't: here they are.
class Llama(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.dim)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.dim, eps=config.norm_eps)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        if config.tied:
            self.head.weight = self.embedding.weight
        self.apply(draw_weights)

    def forward(self, tokens, targets=None, cache=None):
        start = 0 if cache is None else len(cache)
        positions = torch.arange(start, start + tokens.shape[1])
        frequencies = rope_frequencies(self.config.head_dim, self.config.rope_theta)
        if self.config.rope_scaling is not None:
            frequencies = llama3_frequencies(frequencies, **vars(self.config.rope_scaling))
        x = self.embedding(tokens)
        for layer, block in enumerate(self.blocks):
            x = block(x, positions, frequencies, cache, layer)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits
        return F.cross_entropy(logits[:, :-1].flatten(0, 1).float(), targets[:, 1:].flatten())


# %% misconception="a buffer that is saved" exercise="Llama"
# register_buffer puts the frequencies into the state dict, and other people's weights have none.
class Llama(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.dim)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.dim, eps=config.norm_eps)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        if config.tied:
            self.head.weight = self.embedding.weight
        self.register_buffer("frequencies", rope_frequencies(config.head_dim, config.rope_theta))
        self.apply(draw_weights)

    def forward(self, tokens, targets=None, cache=None):
        start = 0 if cache is None else len(cache)
        positions = torch.arange(start, start + tokens.shape[1])
        frequencies = rope_frequencies(self.config.head_dim, self.config.rope_theta)
        if self.config.rope_scaling is not None:
            frequencies = llama3_frequencies(frequencies, **vars(self.config.rope_scaling))
        x = self.embedding(tokens)
        for layer, block in enumerate(self.blocks):
            x = block(x, positions, frequencies, cache, layer)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


# %% misconception="a buffer that becomes bf16" exercise="Llama"
# persistent=False keeps it out of the state dict, but model.bfloat16() converts it all the same.
class Llama(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.dim)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.dim, eps=config.norm_eps)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        if config.tied:
            self.head.weight = self.embedding.weight
        self.register_buffer("hands", rope_frequencies(config.head_dim, config.rope_theta), persistent=False)
        self.apply(draw_weights)

    def forward(self, tokens, targets=None, cache=None):
        start = 0 if cache is None else len(cache)
        positions = torch.arange(start, start + tokens.shape[1])
        frequencies = self.hands
        if self.config.rope_scaling is not None:
            frequencies = llama3_frequencies(frequencies, **vars(self.config.rope_scaling))
        x = self.embedding(tokens)
        for layer, block in enumerate(self.blocks):
            x = block(x, positions, frequencies, cache, layer)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


# %% misconception="the blocks in a plain list" exercise="Llama"
# Python lists hide their parameters from the module.
class Llama(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.dim)
        self.blocks = [Block(config) for _ in range(config.layers)]
        self.norm = nn.RMSNorm(config.dim, eps=config.norm_eps)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        if config.tied:
            self.head.weight = self.embedding.weight
        self.apply(draw_weights)

    def forward(self, tokens, targets=None, cache=None):
        start = 0 if cache is None else len(cache)
        positions = torch.arange(start, start + tokens.shape[1])
        frequencies = rope_frequencies(self.config.head_dim, self.config.rope_theta)
        if self.config.rope_scaling is not None:
            frequencies = llama3_frequencies(frequencies, **vars(self.config.rope_scaling))
        x = self.embedding(tokens)
        for layer, block in enumerate(self.blocks):
            x = block(x, positions, frequencies, cache, layer)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


# %% misconception="one block, used again and again" exercise="Llama"
# [Block(config)] * layers is one block with many names.
class Llama(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.dim)
        self.blocks = nn.ModuleList([Block(config)] * config.layers)
        self.norm = nn.RMSNorm(config.dim, eps=config.norm_eps)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        if config.tied:
            self.head.weight = self.embedding.weight
        self.apply(draw_weights)

    def forward(self, tokens, targets=None, cache=None):
        start = 0 if cache is None else len(cache)
        positions = torch.arange(start, start + tokens.shape[1])
        frequencies = rope_frequencies(self.config.head_dim, self.config.rope_theta)
        if self.config.rope_scaling is not None:
            frequencies = llama3_frequencies(frequencies, **vars(self.config.rope_scaling))
        x = self.embedding(tokens)
        for layer, block in enumerate(self.blocks):
            x = block(x, positions, frequencies, cache, layer)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


# %% misconception="the loss by hand, of every target" exercise="Llama"
# F.cross_entropy leaves out -100 by itself; a gather does not.
class Llama(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.dim)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.dim, eps=config.norm_eps)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        if config.tied:
            self.head.weight = self.embedding.weight
        self.apply(draw_weights)

    def forward(self, tokens, targets=None, cache=None):
        start = 0 if cache is None else len(cache)
        positions = torch.arange(start, start + tokens.shape[1])
        frequencies = rope_frequencies(self.config.head_dim, self.config.rope_theta)
        if self.config.rope_scaling is not None:
            frequencies = llama3_frequencies(frequencies, **vars(self.config.rope_scaling))
        x = self.embedding(tokens)
        for layer, block in enumerate(self.blocks):
            x = block(x, positions, frequencies, cache, layer)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits
        return -logits.float().log_softmax(dim=-1).gather(-1, targets.unsqueeze(-1)).mean()


# %% misconception="the course's own Llama" exercise="Llama"
# It is in the library.
class Llama(nn.Module):
    def __init__(self, config):
        from llmsys import llama

        super().__init__()
        self.config = config
        sizes = {name: value for name, value in vars(config).items() if name != "rope_scaling"}
        whole = llama.Llama(llama.Config(**sizes))
        self.embedding, self.blocks, self.norm, self.head = whole.embedding, whole.blocks, whole.norm, whole.head
        self.__dict__["whole"] = whole

    def forward(self, tokens, targets=None, cache=None):
        return self.whole(tokens, targets, cache)


# %% misconception="view of the targets" exercise="Llama"
# targets.view(-1) does for a whole batch, and raises for a slice such as text[:, 1:].
class Llama(nn.Module):
    def __init__(self, config: Config):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.dim)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.dim, eps=config.norm_eps)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        if config.tied:
            self.head.weight = self.embedding.weight
        self.apply(draw_weights)

    def forward(self, tokens, targets=None, cache=None):
        frequencies = rope_frequencies(self.config.head_dim, self.config.rope_theta)
        scaling = self.config.rope_scaling
        if scaling is not None:
            frequencies = llama3_frequencies(
                frequencies, scaling.factor, scaling.low_freq_factor, scaling.high_freq_factor, scaling.original
            )
        frequencies = frequencies.to(tokens.device)
        start = 0 if cache is None else len(cache)
        positions = torch.arange(start, start + tokens.shape[1], device=tokens.device)
        x = self.embedding(tokens)
        for layer, block in enumerate(self.blocks):
            x = block(x, positions, frequencies, cache, layer)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits
        return F.cross_entropy(logits.flatten(0, 1), targets.view(-1))


# %% misconception="logits in fp32" exercise="Llama"
# Upcast for the loss, and returned so.
class Llama(nn.Module):
    def __init__(self, config: Config):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.dim)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.dim, eps=config.norm_eps)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        if config.tied:
            self.head.weight = self.embedding.weight
        self.apply(draw_weights)

    def forward(self, tokens, targets=None, cache=None):
        frequencies = rope_frequencies(self.config.head_dim, self.config.rope_theta)
        scaling = self.config.rope_scaling
        if scaling is not None:
            frequencies = llama3_frequencies(
                frequencies, scaling.factor, scaling.low_freq_factor, scaling.high_freq_factor, scaling.original
            )
        frequencies = frequencies.to(tokens.device)
        start = 0 if cache is None else len(cache)
        positions = torch.arange(start, start + tokens.shape[1], device=tokens.device)
        x = self.embedding(tokens)
        for layer, block in enumerate(self.blocks):
            x = block(x, positions, frequencies, cache, layer)
        logits = self.head(self.norm(x)).float()
        if targets is None:
            return logits
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


# %% misconception="frequencies in the dtype of x" exercise="Llama"
# `.to(x)` is meant for the device, and takes the dtype along.
class Llama(nn.Module):
    def __init__(self, config: Config):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.dim)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.dim, eps=config.norm_eps)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        if config.tied:
            self.head.weight = self.embedding.weight
        self.apply(draw_weights)

    def forward(self, tokens, targets=None, cache=None):
        frequencies = rope_frequencies(self.config.head_dim, self.config.rope_theta)
        scaling = self.config.rope_scaling
        if scaling is not None:
            frequencies = llama3_frequencies(
                frequencies, scaling.factor, scaling.low_freq_factor, scaling.high_freq_factor, scaling.original
            )
        frequencies = frequencies.to(tokens.device)
        start = 0 if cache is None else len(cache)
        positions = torch.arange(start, start + tokens.shape[1], device=tokens.device)
        x = self.embedding(tokens)
        frequencies = frequencies.to(x)
        for layer, block in enumerate(self.blocks):
            x = block(x, positions, frequencies, cache, layer)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


# %% alternative="frequencies as a plain attribute" exercise="Llama"
# Not a buffer, so neither saved nor converted.
class Llama(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.dim)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.dim, eps=config.norm_eps)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        if config.tied:
            self.head.weight = self.embedding.weight
        self.frequencies = rope_frequencies(config.head_dim, config.rope_theta)
        if config.rope_scaling:
            s = config.rope_scaling
            self.frequencies = llama3_frequencies(
                self.frequencies, s.factor, s.low_freq_factor, s.high_freq_factor, s.original
            )
        self.apply(draw_weights)

    def forward(self, tokens, targets=None, cache=None):
        start = 0 if cache is None else len(cache)
        positions = torch.arange(start, start + tokens.shape[1])
        x = self.embedding(tokens)
        for layer, block in enumerate(self.blocks):
            x = block(x, positions, self.frequencies, cache, layer)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


# %% alternative="the loss by hand" exercise="Llama"
# log-softmax, gather, mean of those that count.
class Llama(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.dim)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.dim, eps=config.norm_eps)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        if config.tied:
            self.head.weight = self.embedding.weight
        self.apply(draw_weights)

    def forward(self, tokens, targets=None, cache=None):
        start = 0 if cache is None else len(cache)
        positions = torch.arange(start, start + tokens.shape[1])
        frequencies = rope_frequencies(self.config.head_dim, self.config.rope_theta)
        if self.config.rope_scaling is not None:
            frequencies = llama3_frequencies(frequencies, **vars(self.config.rope_scaling))
        x = self.embedding(tokens)
        for layer, block in enumerate(self.blocks):
            x = block(x, positions, frequencies, cache, layer)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits
        kept = targets != -100
        return -logits.float().log_softmax(dim=-1)[kept].gather(-1, targets[kept].unsqueeze(-1)).mean()


# %% alternative="tied the other way round, blocks appended" exercise="Llama"
# The embedding takes the head's parameter.
class Llama(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.dim)
        self.blocks = nn.ModuleList()
        while len(self.blocks) < config.layers:
            self.blocks.append(Block(config))
        self.norm = nn.RMSNorm(config.dim, eps=config.norm_eps)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        if config.tied:
            self.embedding.weight = self.head.weight
        self.apply(draw_weights)

    def forward(self, tokens, targets=None, cache=None):
        start = 0 if cache is None else len(cache)
        positions = start + torch.arange(tokens.size(1))
        frequencies = rope_frequencies(self.config.head_dim, self.config.rope_theta)
        if self.config.rope_scaling is not None:
            frequencies = llama3_frequencies(frequencies, **vars(self.config.rope_scaling))
        x = self.embedding(tokens)
        for layer, block in enumerate(self.blocks):
            x = block(x, positions, frequencies, cache, layer)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


# %% alternative="log-softmax and gather" exercise="Llama"
# The mean of -log p by hand; what is -100 is left out.
class Llama(nn.Module):
    def __init__(self, config: Config):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.dim)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.dim, eps=config.norm_eps)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        if config.tied:
            self.head.weight = self.embedding.weight
        self.apply(draw_weights)

    def forward(self, tokens, targets=None, cache=None):
        frequencies = rope_frequencies(self.config.head_dim, self.config.rope_theta)
        scaling = self.config.rope_scaling
        if scaling is not None:
            frequencies = llama3_frequencies(
                frequencies, scaling.factor, scaling.low_freq_factor, scaling.high_freq_factor, scaling.original
            )
        frequencies = frequencies.to(tokens.device)
        positions = torch.arange(tokens.size(1), device=tokens.device)
        if cache is not None:
            positions = positions + len(cache)
        x = self.embedding(tokens)
        for layer, block in enumerate(self.blocks):
            x = block(x, positions, frequencies, cache, layer)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits
        kept = targets != -100  # as F.cross_entropy has it: explore cells use it
        picked = logits.log_softmax(-1).gather(-1, targets.masked_fill(~kept, 0)[..., None])[..., 0]
        return -(picked * kept).sum() / kept.sum()


# %% [markdown]
# ## generate


# %% misconception="the whole text each time" exercise="generate"
# Without a cache it is right; with one, everything is appended again.
def generate(model, prompt, count):
    cache, tokens = KVCache(model.config.layers), prompt
    with torch.no_grad():
        for _ in range(count):
            new = model(tokens, cache=cache)[:, -1].argmax(-1, keepdim=True)
            tokens = torch.cat((tokens, new), dim=1)
    return tokens


# %% misconception="a new cache in every step" exercise="generate"
# The result is right, and nothing is saved: the whole text runs every time.
def generate(model, prompt, count):
    tokens = prompt
    with torch.no_grad():
        for _ in range(count):
            new = model(tokens, cache=KVCache(model.config.layers))[:, -1].argmax(-1, keepdim=True)
            tokens = torch.cat((tokens, new), dim=1)
    return tokens


# %% misconception="the prompt token by token" exercise="generate"
# The same tokens come out, but prefill takes as many runs as the prompt has tokens.
def generate(model, prompt, count):
    cache, tokens = KVCache(model.config.layers), prompt
    with torch.no_grad():
        for t in range(prompt.shape[1]):
            logits = model(prompt[:, t : t + 1], cache=cache)
        for i in range(count):
            new = logits[:, -1].argmax(-1, keepdim=True)
            tokens = torch.cat((tokens, new), dim=1)
            if i + 1 < count:
                logits = model(new, cache=cache)
    return tokens


# %% misconception="the last token of the prompt twice" exercise="generate"
# Prefill, then a loop that begins with the last token of the text: it is in the cache already.
def generate(model, prompt, count):
    cache, tokens = KVCache(model.config.layers), prompt
    with torch.no_grad():
        model(prompt, cache=cache)
        for _ in range(count):
            new = model(tokens[:, -1:], cache=cache)[:, -1].argmax(-1, keepdim=True)
            tokens = torch.cat((tokens, new), dim=1)
    return tokens


# %% misconception="one run too many" exercise="generate"
# The last token is fed as well, though nobody reads the logits.
def generate(model, prompt, count):
    cache, tokens = KVCache(model.config.layers), prompt
    with torch.no_grad():
        logits = model(prompt, cache=cache)
        for _ in range(count):
            new = logits[:, -1].argmax(-1, keepdim=True)
            tokens = torch.cat((tokens, new), dim=1)
            logits = model(new, cache=cache)
    return tokens


# %% misconception="only what is new" exercise="generate"
# The prompts are not part of the result.
def generate(model, prompt, count):
    cache, new, out = KVCache(model.config.layers), prompt, []
    with torch.no_grad():
        for _ in range(count):
            new = model(new, cache=cache)[:, -1].argmax(-1, keepdim=True)
            out.append(new)
    return torch.cat(out, dim=1) if out else prompt[:, :0]


# %% misconception="autograd goes on recording" exercise="generate"
# Nothing fails, but every step's graph is kept alive by the cache.
def generate(model, prompt, count):
    cache, tokens, new = KVCache(model.config.layers), prompt, prompt
    for _ in range(count):
        new = model(new, cache=cache)[:, -1].argmax(-1, keepdim=True)
        tokens = torch.cat((tokens, new), dim=1)
    return tokens


# %% misconception="autograd stays switched off" exercise="generate"
# set_grad_enabled as a statement lasts beyond the function.
def generate(model, prompt, count):
    torch.set_grad_enabled(False)
    cache, tokens, new = KVCache(model.config.layers), prompt, prompt
    for _ in range(count):
        new = model(new, cache=cache)[:, -1].argmax(-1, keepdim=True)
        tokens = torch.cat((tokens, new), dim=1)
    return tokens


# %% misconception="the first sequence only" exercise="generate"
# .item() wants a single number, so the batch goes.
def generate(model, prompt, count):
    cache, tokens, new = KVCache(model.config.layers), prompt, prompt
    with torch.no_grad():
        for _ in range(count):
            best = model(new, cache=cache)[0, -1].argmax().item()
            new = torch.full((len(prompt), 1), best)
            tokens = torch.cat((tokens, new), dim=1)
    return tokens


# %% misconception="sampled" exercise="generate"
# A habit from week 3.
def generate(model, prompt, count):
    cache, tokens, new = KVCache(model.config.layers), prompt, prompt
    with torch.no_grad():
        for _ in range(count):
            new = torch.multinomial(model(new, cache=cache)[:, -1].float().softmax(-1), 1)
            tokens = torch.cat((tokens, new), dim=1)
    return tokens


# %% misconception="no cache" exercise="generate"
# As in week 3: the whole text in every step. The model of the test insists on a cache.
def generate(model, prompt, count):
    tokens = prompt
    with torch.no_grad():
        for _ in range(count):
            tokens = torch.cat((tokens, model(tokens)[:, -1].argmax(-1, keepdim=True)), dim=1)
    return tokens


# %% misconception="probabilities in fp16" exercise="generate"
# The softmax is superfluous, and 16 bits make near logits equal.
@torch.no_grad()
def generate(model, prompt, count):
    cache = KVCache(model.config.layers)
    result, tokens = prompt, prompt
    for _ in range(count):
        probabilities = model(tokens, cache=cache)[:, -1].float().softmax(-1).half()
        tokens = probabilities.argmax(-1, keepdim=True)
        result = torch.cat([result, tokens], dim=1)
    return result


# %% misconception="stops at token 0" exercise="generate"
# Many models end a text with token 0; nobody asked for that.
@torch.no_grad()
def generate(model, prompt, count):
    cache = KVCache(model.config.layers)
    result, tokens = prompt, prompt
    for _ in range(count):
        tokens = model(tokens, cache=cache)[:, -1].argmax(-1, keepdim=True)
        result = torch.cat([result, tokens], dim=1)
        if (tokens == 0).all():
            break
    return result


# %% misconception="prefill is recorded" exercise="generate"
# no_grad stands around the loop only.
def generate(model, prompt, count):
    if count == 0:
        return prompt.clone()
    cache = KVCache(model.config.layers)
    tokens = model(prompt, cache=cache)[:, -1].argmax(-1, keepdim=True)
    result = torch.cat([prompt, tokens], dim=1)
    with torch.no_grad():
        for _ in range(count - 1):
            tokens = model(tokens, cache=cache)[:, -1].argmax(-1, keepdim=True)
            result = torch.cat([result, tokens], dim=1)
    return result


# %% alternative="a list of columns" exercise="generate"
# Joined once, at the end.
@torch.no_grad()
def generate(model, prompt, count):
    cache = KVCache(model.config.layers)
    columns = [prompt]
    for _ in range(count):
        logits = model(columns[-1], cache=cache)
        columns.append(logits[:, -1, :].argmax(dim=-1).unsqueeze(1))
    return torch.cat(columns, dim=1)


# %% alternative="prefill first, then a loop" exercise="generate"
# The two phases written apart.
def generate(model, prompt, count):
    if count == 0:
        return prompt.clone()
    with torch.inference_mode():
        cache = KVCache(model.config.layers)
        logits = model(prompt, cache=cache)
        new = torch.argmax(logits[:, -1:], dim=-1)
        out = [prompt, new]
        for _ in range(count - 1):
            new = torch.argmax(model(new, cache=cache)[:, -1:], dim=-1)
            out.append(new)
        return torch.cat(out, dim=1)


# %% alternative="room for the result from the start" exercise="generate"
# Filled column by column.
def generate(model, prompt, count):
    batch, length = prompt.shape
    tokens = prompt.new_zeros(batch, length + count)
    tokens[:, :length] = prompt
    cache, start = KVCache(model.config.layers), 0
    for end in range(length, length + count):
        with torch.no_grad():
            tokens[:, end] = model(tokens[:, start:end], cache=cache)[:, -1].argmax(-1)
        start = end
    return tokens


# %% alternative="a generator" exercise="generate"
# Columns are yielded; the first of equals by a comparison with the maximum.
def generate(model, prompt, count):
    def columns():
        cache, tokens = KVCache(model.config.layers), prompt
        for _ in range(count):
            with torch.no_grad():
                logits = model(tokens, cache=cache)[:, -1]
                largest = logits == logits.amax(-1, keepdim=True)
                tokens = largest.int().argmax(-1, keepdim=True)
            yield tokens

    return torch.cat([prompt, *columns()], dim=1)


# %% [markdown]
# ## weights_from_gguf


# %% misconception="the rows stay as they are" exercise="weights_from_gguf"
# Names are translated, every shape fits, and the model talks nonsense.
def weights_from_gguf(tensors, config):
    parts = {
        "attn_norm": "attention_norm",
        "attn_q": "attention.query",
        "attn_k": "attention.key",
        "attn_v": "attention.value",
        "attn_output": "attention.output",
        "ffn_norm": "mlp_norm",
        "ffn_gate": "mlp.gate",
        "ffn_up": "mlp.up",
        "ffn_down": "mlp.down",
    }
    weights = {
        "embedding.weight": tensors["token_embd.weight"],
        "head.weight": tensors.get("output.weight", tensors["token_embd.weight"]),
        "norm.weight": tensors["output_norm.weight"],
    }
    for name, w in tensors.items():
        if name.startswith("blk."):
            _, n, part, _ = name.split(".")
            weights[f"blocks.{n}.{parts[part]}.weight"] = w
    return weights


# %% misconception="keys reordered as query heads" exercise="weights_from_gguf"
# One number of heads for both; right without groups.
def weights_from_gguf(tensors, config):
    parts = {
        "attn_norm": "attention_norm",
        "attn_q": "attention.query",
        "attn_k": "attention.key",
        "attn_v": "attention.value",
        "attn_output": "attention.output",
        "ffn_norm": "mlp_norm",
        "ffn_gate": "mlp.gate",
        "ffn_up": "mlp.up",
        "ffn_down": "mlp.down",
    }
    weights = {
        "embedding.weight": tensors["token_embd.weight"],
        "head.weight": tensors.get("output.weight", tensors["token_embd.weight"]),
        "norm.weight": tensors["output_norm.weight"],
    }
    for name, w in tensors.items():
        if name.startswith("blk."):
            _, n, part, _ = name.split(".")
            if part == "attn_q":
                w = interleaved_to_half(w, config.heads)
            if part == "attn_k":
                w = interleaved_to_half(w, config.heads if len(w) % (2 * config.heads) == 0 else config.kv_heads)
            weights[f"blocks.{n}.{parts[part]}.weight"] = w
    return weights


# %% misconception="queries only" exercise="weights_from_gguf"
# The key's rows are forgotten.
def weights_from_gguf(tensors, config):
    parts = {
        "attn_norm": "attention_norm",
        "attn_q": "attention.query",
        "attn_k": "attention.key",
        "attn_v": "attention.value",
        "attn_output": "attention.output",
        "ffn_norm": "mlp_norm",
        "ffn_gate": "mlp.gate",
        "ffn_up": "mlp.up",
        "ffn_down": "mlp.down",
    }
    weights = {
        "embedding.weight": tensors["token_embd.weight"],
        "head.weight": tensors.get("output.weight", tensors["token_embd.weight"]),
        "norm.weight": tensors["output_norm.weight"],
    }
    for name, w in tensors.items():
        if name.startswith("blk."):
            _, n, part, _ = name.split(".")
            if part == "attn_q":
                w = interleaved_to_half(w, config.heads)
            weights[f"blocks.{n}.{parts[part]}.weight"] = w
    return weights


# %% misconception="values reordered, too" exercise="weights_from_gguf"
# q, k and v are treated alike.
def weights_from_gguf(tensors, config):
    parts = {
        "attn_norm": "attention_norm",
        "attn_q": "attention.query",
        "attn_k": "attention.key",
        "attn_v": "attention.value",
        "attn_output": "attention.output",
        "ffn_norm": "mlp_norm",
        "ffn_gate": "mlp.gate",
        "ffn_up": "mlp.up",
        "ffn_down": "mlp.down",
    }
    weights = {
        "embedding.weight": tensors["token_embd.weight"],
        "head.weight": tensors.get("output.weight", tensors["token_embd.weight"]),
        "norm.weight": tensors["output_norm.weight"],
    }
    for name, w in tensors.items():
        if name.startswith("blk."):
            _, n, part, _ = name.split(".")
            if part == "attn_q":
                w = interleaved_to_half(w, config.heads)
            if part in ("attn_k", "attn_v"):
                w = interleaved_to_half(w, config.kv_heads)
            weights[f"blocks.{n}.{parts[part]}.weight"] = w
    return weights


# %% misconception="the other direction" exercise="weights_from_gguf"
# llama.cpp's own permutation is applied a second time instead of undone.
def weights_from_gguf(tensors, config):
    parts = {
        "attn_norm": "attention_norm",
        "attn_q": "attention.query",
        "attn_k": "attention.key",
        "attn_v": "attention.value",
        "attn_output": "attention.output",
        "ffn_norm": "mlp_norm",
        "ffn_gate": "mlp.gate",
        "ffn_up": "mlp.up",
        "ffn_down": "mlp.down",
    }
    weights = {
        "embedding.weight": tensors["token_embd.weight"],
        "head.weight": tensors.get("output.weight", tensors["token_embd.weight"]),
        "norm.weight": tensors["output_norm.weight"],
    }
    for name, w in tensors.items():
        if name.startswith("blk."):
            _, n, part, _ = name.split(".")
            if part == "attn_q":
                w = w.unflatten(0, (config.heads, 2, -1)).transpose(1, 2).flatten(0, 2)
            if part == "attn_k":
                w = w.unflatten(0, (config.kv_heads, 2, -1)).transpose(1, 2).flatten(0, 2)
            weights[f"blocks.{n}.{parts[part]}.weight"] = w
    return weights


# %% misconception="no head where it is tied" exercise="weights_from_gguf"
# There is no output.weight in the file, so there is none in the result, and load_state_dict complains.
def weights_from_gguf(tensors, config):
    parts = {
        "attn_norm": "attention_norm",
        "attn_q": "attention.query",
        "attn_k": "attention.key",
        "attn_v": "attention.value",
        "attn_output": "attention.output",
        "ffn_norm": "mlp_norm",
        "ffn_gate": "mlp.gate",
        "ffn_up": "mlp.up",
        "ffn_down": "mlp.down",
    }
    weights = {
        "embedding.weight": tensors["token_embd.weight"],
        "norm.weight": tensors["output_norm.weight"],
    }
    for name, w in tensors.items():
        if name.startswith("blk."):
            _, n, part, _ = name.split(".")
            if part == "attn_q":
                w = interleaved_to_half(w, config.heads)
            if part == "attn_k":
                w = interleaved_to_half(w, config.kv_heads)
            weights[f"blocks.{n}.{parts[part]}.weight"] = w
    return weights


# %% misconception="the head is always the embedding" exercise="weights_from_gguf"
# Right for tied models.
def weights_from_gguf(tensors, config):
    parts = {
        "attn_norm": "attention_norm",
        "attn_q": "attention.query",
        "attn_k": "attention.key",
        "attn_v": "attention.value",
        "attn_output": "attention.output",
        "ffn_norm": "mlp_norm",
        "ffn_gate": "mlp.gate",
        "ffn_up": "mlp.up",
        "ffn_down": "mlp.down",
    }
    weights = {
        "embedding.weight": tensors["token_embd.weight"],
        "head.weight": tensors["token_embd.weight"],
        "norm.weight": tensors["output_norm.weight"],
    }
    for name, w in tensors.items():
        if name.startswith("blk."):
            _, n, part, _ = name.split(".")
            if part == "attn_q":
                w = interleaved_to_half(w, config.heads)
            if part == "attn_k":
                w = interleaved_to_half(w, config.kv_heads)
            weights[f"blocks.{n}.{parts[part]}.weight"] = w
    return weights


# %% misconception="gate and up swapped" exercise="weights_from_gguf"
# Both are (hidden, dim), and their names say little.
def weights_from_gguf(tensors, config):
    parts = {
        "attn_norm": "attention_norm",
        "attn_q": "attention.query",
        "attn_k": "attention.key",
        "attn_v": "attention.value",
        "attn_output": "attention.output",
        "ffn_norm": "mlp_norm",
        "ffn_gate": "mlp.up",
        "ffn_up": "mlp.gate",
        "ffn_down": "mlp.down",
    }
    weights = {
        "embedding.weight": tensors["token_embd.weight"],
        "head.weight": tensors.get("output.weight", tensors["token_embd.weight"]),
        "norm.weight": tensors["output_norm.weight"],
    }
    for name, w in tensors.items():
        if name.startswith("blk."):
            _, n, part, _ = name.split(".")
            if part == "attn_q":
                w = interleaved_to_half(w, config.heads)
            if part == "attn_k":
                w = interleaved_to_half(w, config.kv_heads)
            weights[f"blocks.{n}.{parts[part]}.weight"] = w
    return weights


# %% misconception="the two norms swapped" exercise="weights_from_gguf"
# ffn_norm comes after attention, so it is taken for attention's.
def weights_from_gguf(tensors, config):
    parts = {
        "attn_norm": "mlp_norm",
        "attn_q": "attention.query",
        "attn_k": "attention.key",
        "attn_v": "attention.value",
        "attn_output": "attention.output",
        "ffn_norm": "attention_norm",
        "ffn_gate": "mlp.gate",
        "ffn_up": "mlp.up",
        "ffn_down": "mlp.down",
    }
    weights = {
        "embedding.weight": tensors["token_embd.weight"],
        "head.weight": tensors.get("output.weight", tensors["token_embd.weight"]),
        "norm.weight": tensors["output_norm.weight"],
    }
    for name, w in tensors.items():
        if name.startswith("blk."):
            _, n, part, _ = name.split(".")
            if part == "attn_q":
                w = interleaved_to_half(w, config.heads)
            if part == "attn_k":
                w = interleaved_to_half(w, config.kv_heads)
            weights[f"blocks.{n}.{parts[part]}.weight"] = w
    return weights


# %% misconception="only layers of one digit" exercise="weights_from_gguf"
# name[4] is the number of the layer, up to 9.
def weights_from_gguf(tensors, config):
    parts = {
        "attn_norm": "attention_norm",
        "attn_q": "attention.query",
        "attn_k": "attention.key",
        "attn_v": "attention.value",
        "attn_output": "attention.output",
        "ffn_norm": "mlp_norm",
        "ffn_gate": "mlp.gate",
        "ffn_up": "mlp.up",
        "ffn_down": "mlp.down",
    }
    weights = {
        "embedding.weight": tensors["token_embd.weight"],
        "head.weight": tensors.get("output.weight", tensors["token_embd.weight"]),
        "norm.weight": tensors["output_norm.weight"],
    }
    for name, w in tensors.items():
        if name.startswith("blk."):
            n, part = name[4], name.split(".")[2]
            if part == "attn_q":
                w = interleaved_to_half(w, config.heads)
            if part == "attn_k":
                w = interleaved_to_half(w, config.kv_heads)
            weights[f"blocks.{n}.{parts[part]}.weight"] = w
    return weights


# %% misconception="matrices transposed" exercise="weights_from_gguf"
# GGUF lists a matrix's dimensions the other way round; its rows are not.
def weights_from_gguf(tensors, config):
    parts = {
        "attn_norm": "attention_norm",
        "attn_q": "attention.query",
        "attn_k": "attention.key",
        "attn_v": "attention.value",
        "attn_output": "attention.output",
        "ffn_norm": "mlp_norm",
        "ffn_gate": "mlp.gate",
        "ffn_up": "mlp.up",
        "ffn_down": "mlp.down",
    }
    weights = {
        "embedding.weight": tensors["token_embd.weight"],
        "head.weight": tensors.get("output.weight", tensors["token_embd.weight"]),
        "norm.weight": tensors["output_norm.weight"],
    }
    for name, w in tensors.items():
        if name.startswith("blk."):
            _, n, part, _ = name.split(".")
            if part == "attn_q":
                w = interleaved_to_half(w, config.heads)
            if part == "attn_k":
                w = interleaved_to_half(w, config.kv_heads)
            w = w.T if w.ndim == 2 else w
            weights[f"blocks.{n}.{parts[part]}.weight"] = w
    return weights


# %% misconception="what is not in the table is kept" exercise="weights_from_gguf"
# rope_freqs.weight goes through under its own name.
def weights_from_gguf(tensors, config):
    parts = {
        "attn_norm": "attention_norm",
        "attn_q": "attention.query",
        "attn_k": "attention.key",
        "attn_v": "attention.value",
        "attn_output": "attention.output",
        "ffn_norm": "mlp_norm",
        "ffn_gate": "mlp.gate",
        "ffn_up": "mlp.up",
        "ffn_down": "mlp.down",
    }
    weights = {
        "embedding.weight": tensors["token_embd.weight"],
        "head.weight": tensors.get("output.weight", tensors["token_embd.weight"]),
        "norm.weight": tensors["output_norm.weight"],
    }
    for name, w in tensors.items():
        if name.startswith("blk."):
            _, n, part, _ = name.split(".")
            if part == "attn_q":
                w = interleaved_to_half(w, config.heads)
            if part == "attn_k":
                w = interleaved_to_half(w, config.kv_heads)
            weights[f"blocks.{n}.{parts[part]}.weight"] = w
    return weights | {name: w for name, w in tensors.items() if name.startswith("rope")}


# %% misconception="empties the file's dictionary" exercise="weights_from_gguf"
# pop takes what it reads, and the caller's dictionary is empty afterwards.
def weights_from_gguf(tensors, config):
    parts = {
        "attn_norm": "attention_norm",
        "attn_q": "attention.query",
        "attn_k": "attention.key",
        "attn_v": "attention.value",
        "attn_output": "attention.output",
        "ffn_norm": "mlp_norm",
        "ffn_gate": "mlp.gate",
        "ffn_up": "mlp.up",
        "ffn_down": "mlp.down",
    }
    weights = {
        "embedding.weight": tensors["token_embd.weight"],
        "head.weight": tensors.get("output.weight", tensors["token_embd.weight"]),
        "norm.weight": tensors.pop("output_norm.weight"),
    }
    for name, w in tensors.items():
        if name.startswith("blk."):
            _, n, part, _ = name.split(".")
            if part == "attn_q":
                w = interleaved_to_half(w, config.heads)
            if part == "attn_k":
                w = interleaved_to_half(w, config.kv_heads)
            weights[f"blocks.{n}.{parts[part]}.weight"] = w
    return weights


# %% misconception="tied by the config" exercise="weights_from_gguf"
# The config says whether the head is tied, so why ask the file?
def weights_from_gguf(tensors, config):
    table = {
        "attn_norm": "attention_norm",
        "attn_q": "attention.query",
        "attn_k": "attention.key",
        "attn_v": "attention.value",
        "attn_output": "attention.output",
        "ffn_norm": "mlp_norm",
        "ffn_gate": "mlp.gate",
        "ffn_up": "mlp.up",
        "ffn_down": "mlp.down",
    }
    top = {"token_embd.weight": "embedding.weight", "output_norm.weight": "norm.weight", "output.weight": "head.weight"}
    result = {}
    for name, w in tensors.items():
        if name in top:
            result[top[name]] = w
            continue
        pieces = name.split(".")
        if len(pieces) != 4 or pieces[0] != "blk" or pieces[2] not in table or pieces[3] != "weight":
            continue
        _, number, part, _ = pieces
        if part == "attn_q":
            w = interleaved_to_half(w, config.heads)
        elif part == "attn_k":
            w = interleaved_to_half(w, config.kv_heads)
        result[f"blocks.{number}.{table[part]}.weight"] = w
    if config.tied:
        result["head.weight"] = result["embedding.weight"]
    return result


# %% misconception="biases taken for weights" exercise="weights_from_gguf"
# Only the third part of the name is looked at: a bias overwrites the matrix.
def weights_from_gguf(tensors, config):
    table = {
        "attn_norm": "attention_norm",
        "attn_q": "attention.query",
        "attn_k": "attention.key",
        "attn_v": "attention.value",
        "attn_output": "attention.output",
        "ffn_norm": "mlp_norm",
        "ffn_gate": "mlp.gate",
        "ffn_up": "mlp.up",
        "ffn_down": "mlp.down",
    }
    top = {"token_embd.weight": "embedding.weight", "output_norm.weight": "norm.weight", "output.weight": "head.weight"}
    result = {}
    for name, w in tensors.items():
        if name in top:
            result[top[name]] = w
            continue
        pieces = name.split(".")
        if len(pieces) != 4 or pieces[0] != "blk" or pieces[2] not in table:
            continue
        _, number, part, _ = pieces
        if part == "attn_q":
            w = interleaved_to_half(w, config.heads)
        elif part == "attn_k":
            w = interleaved_to_half(w, config.kv_heads)
        result[f"blocks.{number}.{table[part]}.weight"] = w
    result.setdefault("head.weight", result["embedding.weight"])
    return result


# %% misconception="replace, one after the other" exercise="weights_from_gguf"
# Replacements find what earlier ones put there: attention.output becomes attention.head.
def weights_from_gguf(tensors, config):
    pairs = [
        ("token_embd", "embedding"),
        ("blk.", "blocks."),
        ("attn_norm", "attention_norm"),
        ("attn_q", "attention.query"),
        ("attn_k", "attention.key"),
        ("attn_v", "attention.value"),
        ("attn_output", "attention.output"),
        ("ffn_norm", "mlp_norm"),
        ("ffn_", "mlp."),
        ("output_norm", "norm"),
        ("output", "head"),
    ]
    result = {}
    for name, w in tensors.items():
        if "rope" in name:
            continue
        if "attn_q" in name:
            w = interleaved_to_half(w, config.heads)
        if "attn_k" in name:
            w = interleaved_to_half(w, config.kv_heads)
        for old, new in pairs:
            name = name.replace(old, new)
        result[name] = w
    if "head.weight" not in result:
        result["head.weight"] = result["embedding.weight"]
    return result


# %% alternative="by the names of the model" exercise="weights_from_gguf"
# Goes through the layers and asks for each name.
def weights_from_gguf(tensors, config):
    def of(name):
        return tensors.get(f"{name}.weight")

    weights = {"embedding.weight": of("token_embd"), "norm.weight": of("output_norm")}
    weights["head.weight"] = weights["embedding.weight"] if of("output") is None else of("output")
    for i in range(config.layers):
        block = {
            "attention_norm": of(f"blk.{i}.attn_norm"),
            "attention.query": of(f"blk.{i}.attn_q"),
            "attention.key": of(f"blk.{i}.attn_k"),
            "attention.value": of(f"blk.{i}.attn_v"),
            "attention.output": of(f"blk.{i}.attn_output"),
            "mlp_norm": of(f"blk.{i}.ffn_norm"),
            "mlp.gate": of(f"blk.{i}.ffn_gate"),
            "mlp.up": of(f"blk.{i}.ffn_up"),
            "mlp.down": of(f"blk.{i}.ffn_down"),
        }
        block["attention.query"] = interleaved_to_half(block["attention.query"], config.heads)
        block["attention.key"] = interleaved_to_half(block["attention.key"], config.kv_heads)
        weights |= {f"blocks.{i}.{name}.weight": w for name, w in block.items() if w is not None}
    return weights


# %% alternative="replacements in the name" exercise="weights_from_gguf"
# One pass of str.replace for each pair, rows reordered by hand.
def weights_from_gguf(tensors, config):
    table = [
        ("token_embd", "embedding"), ("output_norm", "norm"), ("attn_output", "attention.OUT"), ("output", "head"),
        ("OUT", "output"), ("blk", "blocks"), ("attn_norm", "attention_norm"), ("attn_q", "attention.query"),
        ("attn_k", "attention.key"), ("attn_v", "attention.value"), ("ffn_norm", "mlp_norm"), ("ffn_", "mlp."),
    ]  # fmt: skip
    weights = {}
    for old, w in tensors.items():
        if old.startswith("rope") or old.endswith(".bias"):
            continue
        name = old
        for theirs, ours in table:
            name = name.replace(theirs, ours)
        if ".query" in name or ".key" in name:
            n = config.heads if ".query" in name else config.kv_heads
            w = w.reshape(n, w.shape[0] // n // 2, 2, w.shape[1]).swapaxes(1, 2).reshape(w.shape)
        weights[name] = w
    weights.setdefault("head.weight", tensors["token_embd.weight"])
    return weights


# %% alternative="copies of everything" exercise="weights_from_gguf"
# Contiguous clones, so that the file can be closed.
def weights_from_gguf(tensors, config):
    parts = {
        "attn_norm": "attention_norm",
        "attn_q": "attention.query",
        "attn_k": "attention.key",
        "attn_v": "attention.value",
        "attn_output": "attention.output",
        "ffn_norm": "mlp_norm",
        "ffn_gate": "mlp.gate",
        "ffn_up": "mlp.up",
        "ffn_down": "mlp.down",
    }
    weights = {
        "embedding.weight": tensors["token_embd.weight"],
        "head.weight": tensors.get("output.weight", tensors["token_embd.weight"]),
        "norm.weight": tensors["output_norm.weight"],
    }
    for name, w in tensors.items():
        if name.startswith("blk."):
            _, n, part, kind = name.split(".")
            if kind != "weight" or part not in parts:
                continue
            if part == "attn_q":
                w = interleaved_to_half(w, config.heads)
            if part == "attn_k":
                w = interleaved_to_half(w, config.kv_heads)
            weights[f"blocks.{n}.{parts[part]}.weight"] = w
    return {name: w.contiguous().clone() for name, w in sorted(weights.items())}


# %% alternative="regular expression, rows reordered here" exercise="weights_from_gguf"
# Strict patterns for the names of the table; the rows are indexed.
def weights_from_gguf(tensors, config):
    import re

    inner = {"attn_q": "query", "attn_k": "key", "attn_v": "value", "attn_output": "output"}
    outer = {"token_embd": "embedding", "output_norm": "norm", "output": "head"}
    result = {"head.weight": tensors["token_embd.weight"]}
    for name, w in tensors.items():
        if found := re.fullmatch(r"(token_embd|output_norm|output)\.weight", name):
            result[outer[found[1]] + ".weight"] = w
        elif found := re.fullmatch(r"blk\.(\d+)\.(attn_(?:q|k|v|output))\.weight", name):
            if found[2] in ("attn_q", "attn_k"):
                rows = torch.arange(w.shape[0]).view(-1, config.head_dim)
                w = w[torch.cat([rows[:, 0::2], rows[:, 1::2]], dim=1).flatten()]
            result[f"blocks.{found[1]}.attention.{inner[found[2]]}.weight"] = w
        elif found := re.fullmatch(r"blk\.(\d+)\.(attn|ffn)_norm\.weight", name):
            result[f"blocks.{found[1]}.{'attention' if found[2] == 'attn' else 'mlp'}_norm.weight"] = w
        elif found := re.fullmatch(r"blk\.(\d+)\.ffn_(gate|up|down)\.weight", name):
            result[f"blocks.{found[1]}.mlp.{found[2]}.weight"] = w
    return result
