# %% [markdown]
# # Cases of `rmsnorm_swiglu`: wrong and alternative answers that prove its tests
#
# ## rms_norm


# %% misconception="the result stays in fp32" exercise="rms_norm"
# The input was cast to fp32 for the arithmetic, and the way back is forgotten.
def rms_norm(x, weight, eps=1e-5):
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * weight


# %% misconception="everything in the input's dtype" exercise="rms_norm"
# The formula as the paper prints it: the squares of fp16 numbers overflow from 256 on.
def rms_norm(x, weight, eps=1e-5):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * weight


# %% misconception="only the mean in fp32" exercise="rms_norm"
# "Accumulate in fp32" read literally: the sum is wide, but the squares are already rounded, or infinite.
def rms_norm(x, weight, eps=1e-5):
    wide = torch.promote_types(x.dtype, torch.float32)
    r = torch.rsqrt(x.pow(2).mean(-1, keepdim=True, dtype=wide) + eps)
    return (x * r).to(x.dtype) * weight


# %% misconception="cast after the weight" exercise="rms_norm"
# One rounding instead of two, so it looks like the better choice. It is Gemma's order, not Llama's.
def rms_norm(x, weight, eps=1e-5):
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    return (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps) * weight).to(x.dtype)


# %% misconception="always through fp32" exercise="rms_norm"
# x.float() is how Meta's code has it; float64 loses half of its digits there.
def rms_norm(x, weight, eps=1e-5):
    wide = x.float()
    return (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps)).to(x.dtype) * weight


# %% misconception="the mean is subtracted" exercise="rms_norm"
# LayerNorm without its bias.
def rms_norm(x, weight, eps=1e-5):
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    wide = wide - wide.mean(-1, keepdim=True)
    return (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps)).to(x.dtype) * weight


# %% misconception="divided by the standard deviation" exercise="rms_norm"
# The mean is not subtracted from x, but it is inside of the variance.
def rms_norm(x, weight, eps=1e-5):
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    return (wide * torch.rsqrt(wide.var(-1, keepdim=True, unbiased=False) + eps)).to(x.dtype) * weight


# %% misconception="eps outside the root" exercise="rms_norm"
# It protects from a division by zero there as well.
def rms_norm(x, weight, eps=1e-5):
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    return (wide / (wide.pow(2).mean(-1, keepdim=True).sqrt() + eps)).to(x.dtype) * weight


# %% misconception="the first axis" exercise="rms_norm"
# Statistics over the batch, as in BatchNorm.
def rms_norm(x, weight, eps=1e-5):
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    return (wide * torch.rsqrt(wide.pow(2).mean(0, keepdim=True) + eps)).to(x.dtype) * weight


# %% misconception="one rms for all rows" exercise="rms_norm"
# mean() without an axis is over everything; with a single row nobody notices.
def rms_norm(x, weight, eps=1e-5):
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    return (wide * torch.rsqrt(wide.pow(2).mean() + eps)).to(x.dtype) * weight


# %% misconception="weight added to one" exercise="rms_norm"
# Gemma stores weight - 1.
def rms_norm(x, weight, eps=1e-5):
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    return (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps)).to(x.dtype) * (1 + weight)


# %% misconception="the length, not the rms" exercise="rms_norm"
# The norm of a vector is the root of the sum of squares.
def rms_norm(x, weight, eps=1e-5):
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    return (wide * torch.rsqrt(wide.pow(2).sum(-1, keepdim=True) + eps)).to(x.dtype) * weight


# %% misconception="the weight is forgotten" exercise="rms_norm"
# It starts as ones, so nothing seems to be missing.
def rms_norm(x, weight, eps=1e-5):
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    return (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps)).to(x.dtype)


# %% misconception="eps as a lower bound" exercise="rms_norm"
# clamp guards a root as well, and changes nothing in most rows.
def rms_norm(x, weight, eps=1e-5):
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    return (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True).clamp(min=eps))).to(x.dtype) * weight


# %% misconception="normalises in place" exercise="rms_norm"
# It saves memory, and for fp32 `wide` is x itself.
def rms_norm(x, weight, eps=1e-5):
    with torch.no_grad():
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        wide *= torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps)
    return wide.to(x.dtype) * weight


# %% misconception="the rms is a constant" exercise="rms_norm"
# Statistics are often detached, as in BatchNorm's running averages.
def rms_norm(x, weight, eps=1e-5):
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    r = torch.rsqrt(wide.detach().pow(2).mean(-1, keepdim=True) + eps)
    return (wide * r).to(x.dtype) * weight


# %% misconception="torch does it" exercise="rms_norm"
# PyTorch has the operator since 2.4.
def rms_norm(x, weight, eps=1e-5):
    return F.rms_norm(x, (x.shape[-1],), weight, eps)


# %% misconception="the course's library does it" exercise="rms_norm"
# llmsys.llama has a module for it.
def rms_norm(x, weight, eps=1e-5):
    import llmsys.llama

    norm = llmsys.llama.RMSNorm(x.shape[-1], eps).to(x.dtype)
    norm.weight = nn.Parameter(weight.detach())
    return norm(x)


# %% misconception="the rms is rounded, and divides in 16 bits" exercise="rms_norm"
# The sum is in fp32, so the work seems to be done; the root goes back to 16 bits too early.
def rms_norm(x, weight, eps=1e-5):
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    rms = torch.sqrt(wide.square().mean(-1, keepdim=True) + eps).to(x.dtype)
    return x / rms * weight


# %% misconception="view of the rows" exercise="rms_norm"
# Rows first, as for a matrix; a transposed x has no such view.
def rms_norm(x, weight, eps=1e-5):
    rows = x.view(-1, x.shape[-1])
    wide = rows.to(torch.promote_types(x.dtype, torch.float32))
    r = torch.rsqrt(wide.square().mean(1, keepdim=True) + eps)
    return ((wide * r).to(x.dtype) * weight).view(x.shape)


# %% misconception="row by row, stacked" exercise="rms_norm"
# Recursion over the leading axes; torch.stack wants at least one row.
def rms_norm(x, weight, eps=1e-5):
    if x.ndim > 1:
        return torch.stack([rms_norm(row, weight, eps) for row in x])
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    return (wide / torch.sqrt((wide * wide).mean() + eps)).to(x.dtype) * weight


# %% alternative="division by a root" exercise="rms_norm"
# The fraction as the paper has it, with the mean spelled out.
def rms_norm(x, weight, eps=1e-5):
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    z = x.to(dtype)
    rms = torch.sqrt((z * z).sum(dim=-1, keepdim=True) / x.shape[-1] + eps)
    return weight * (z / rms).to(x.dtype)


# %% alternative="through the norm of linalg" exercise="rms_norm"
# The mean square is the squared length over the number of features.
def rms_norm(x, weight, eps=1e-5):
    z = x if x.dtype == torch.float64 else x.float()
    length = torch.linalg.vector_norm(z / z.shape[-1] ** 0.5, dim=-1, keepdim=True)
    return (z / (length**2 + eps) ** 0.5).type_as(x).mul(weight)


# %% alternative="an einsum for the squares" exercise="rms_norm"
# A row times itself.
def rms_norm(x, weight, eps=1e-5):
    z = x.to(torch.promote_types(torch.float32, x.dtype))
    square = torch.einsum("...i,...i->...", z, z) / z.size(-1)
    z = z * (square + eps).pow(-0.5).unsqueeze(-1)
    return torch.mul(z.to(x.dtype), weight)


# %% alternative="hypot of a vector norm" exercise="rms_norm"
# The length over the root of d, and eps through hypot.
def rms_norm(x, weight, eps=1e-5):
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    length = torch.linalg.vector_norm(wide, dim=-1, keepdim=True) / math.sqrt(x.shape[-1])
    rms = torch.hypot(length, torch.full_like(length, math.sqrt(eps)))
    return torch.mul((wide / rms).to(x.dtype), weight)


# %% [markdown]
# ## RMSNormFunction


# %% misconception="keeps x in fp32" exercise="RMSNormFunction"
# Backward wants the wide x, and forward has it at hand.
class RMSNormFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, eps):
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        r = torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)
        ctx.save_for_backward(wide, weight, r)
        return (wide * r).to(x.dtype) * weight

    @staticmethod
    def backward(ctx, grad):
        x, weight, r = ctx.saved_tensors
        xhat, g = x * r, grad.to(r.dtype)
        dx = dw = None
        if ctx.needs_input_grad[0]:
            inner = g * weight
            dx = (r * (inner - xhat * (inner * xhat).mean(-1, keepdim=True))).to(grad.dtype)
        if ctx.needs_input_grad[1]:
            dw = (g * xhat).sum_to_size(weight.shape).to(weight.dtype)
        return dx, dw, None


# %% misconception="keeps the normalised x" exercise="RMSNormFunction"
# The formula is written in terms of it. It is a tensor of the size of x that nobody else holds.
class RMSNormFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, eps):
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        r = torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)
        xhat = (wide * r).to(x.dtype)
        ctx.save_for_backward(xhat, weight, r)
        return xhat * weight

    @staticmethod
    def backward(ctx, grad):
        xhat, weight, r = ctx.saved_tensors
        xhat, g = xhat.to(r.dtype), grad.to(r.dtype)
        dx = dw = None
        if ctx.needs_input_grad[0]:
            inner = g * weight
            dx = (r * (inner - xhat * (inner * xhat).mean(-1, keepdim=True))).to(grad.dtype)
        if ctx.needs_input_grad[1]:
            dw = (g * xhat).sum_to_size(weight.shape).to(weight.dtype)
        return dx, dw, None


# %% misconception="tensors as attributes of ctx" exercise="RMSNormFunction"
# ctx is an object, so its attributes look like the place to keep things. Autograd neither sees nor frees them.
class RMSNormFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, eps):
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        ctx.r = torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)
        ctx.x, ctx.weight = x, weight
        return (wide * ctx.r).to(x.dtype) * weight

    @staticmethod
    def backward(ctx, grad):
        x, weight, r = ctx.x, ctx.weight, ctx.r
        xhat, g = x * r, grad.to(r.dtype)
        dx = dw = None
        if ctx.needs_input_grad[0]:
            inner = g * weight
            dx = (r * (inner - xhat * (inner * xhat).mean(-1, keepdim=True))).to(x.dtype)
        if ctx.needs_input_grad[1]:
            dw = (g * xhat).sum_to_size(weight.shape).to(weight.dtype)
        return dx, dw, None


# %% misconception="r is a constant" exercise="RMSNormFunction"
# y = x r w, so its derivative is r w: true only if r did not depend on x.
class RMSNormFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, eps):
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        r = torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)
        ctx.save_for_backward(x, weight, r)
        return (wide * r).to(x.dtype) * weight

    @staticmethod
    def backward(ctx, grad):
        x, weight, r = ctx.saved_tensors
        g = grad.to(r.dtype)
        dx = (g * weight * r).to(x.dtype) if ctx.needs_input_grad[0] else None
        dw = (g * x * r).sum_to_size(weight.shape).to(weight.dtype) if ctx.needs_input_grad[1] else None
        return dx, dw, None


# %% misconception="a sum where the mean belongs" exercise="RMSNormFunction"
# The factor 1/d of the mean square is lost when the root is differentiated.
class RMSNormFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, eps):
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        r = torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)
        ctx.save_for_backward(x, weight, r)
        return (wide * r).to(x.dtype) * weight

    @staticmethod
    def backward(ctx, grad):
        x, weight, r = ctx.saved_tensors
        xhat, g = x * r, grad.to(r.dtype)
        dx = dw = None
        if ctx.needs_input_grad[0]:
            inner = g * weight
            dx = (r * (inner - xhat * (inner * xhat).sum(-1, keepdim=True))).to(x.dtype)
        if ctx.needs_input_grad[1]:
            dw = (g * xhat).sum_to_size(weight.shape).to(weight.dtype)
        return dx, dw, None


# %% misconception="the backward pass of LayerNorm" exercise="RMSNormFunction"
# Last week's formula also subtracts the mean of the gradient. Here nothing subtracted the mean of x.
class RMSNormFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, eps):
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        r = torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)
        ctx.save_for_backward(x, weight, r)
        return (wide * r).to(x.dtype) * weight

    @staticmethod
    def backward(ctx, grad):
        x, weight, r = ctx.saved_tensors
        xhat, g = x * r, grad.to(r.dtype)
        dx = dw = None
        if ctx.needs_input_grad[0]:
            inner = g * weight
            inner = inner - inner.mean(-1, keepdim=True)
            dx = (r * (inner - xhat * (inner * xhat).mean(-1, keepdim=True))).to(x.dtype)
        if ctx.needs_input_grad[1]:
            dw = (g * xhat).sum_to_size(weight.shape).to(weight.dtype)
        return dx, dw, None


# %% misconception="the weight reaches the first term only" exercise="RMSNormFunction"
# The gradient of xhat is grad * weight in both places.
class RMSNormFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, eps):
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        r = torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)
        ctx.save_for_backward(x, weight, r)
        return (wide * r).to(x.dtype) * weight

    @staticmethod
    def backward(ctx, grad):
        x, weight, r = ctx.saved_tensors
        xhat, g = x * r, grad.to(r.dtype)
        dx = dw = None
        if ctx.needs_input_grad[0]:
            dx = (r * (g * weight - xhat * (g * xhat).mean(-1, keepdim=True))).to(x.dtype)
        if ctx.needs_input_grad[1]:
            dw = (g * xhat).sum_to_size(weight.shape).to(weight.dtype)
        return dx, dw, None


# %% misconception="the gradient of weight is averaged" exercise="RMSNormFunction"
# A mean over the rows seems fairer than a sum; the loss has decided that already.
class RMSNormFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, eps):
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        r = torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)
        ctx.save_for_backward(x, weight, r)
        return (wide * r).to(x.dtype) * weight

    @staticmethod
    def backward(ctx, grad):
        x, weight, r = ctx.saved_tensors
        xhat, g = x * r, grad.to(r.dtype)
        dx = dw = None
        if ctx.needs_input_grad[0]:
            inner = g * weight
            dx = (r * (inner - xhat * (inner * xhat).mean(-1, keepdim=True))).to(x.dtype)
        if ctx.needs_input_grad[1]:
            dw = (g * xhat).reshape(-1, weight.numel()).mean(0).to(weight.dtype)
        return dx, dw, None


# %% misconception="summed over the first axis alone" exercise="RMSNormFunction"
# With x of shape (rows, dim) it is right; a batch of sequences has one more axis.
class RMSNormFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, eps):
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        r = torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)
        ctx.save_for_backward(x, weight, r)
        return (wide * r).to(x.dtype) * weight

    @staticmethod
    def backward(ctx, grad):
        x, weight, r = ctx.saved_tensors
        xhat, g = x * r, grad.to(r.dtype)
        dx = dw = None
        if ctx.needs_input_grad[0]:
            inner = g * weight
            dx = (r * (inner - xhat * (inner * xhat).mean(-1, keepdim=True))).to(x.dtype)
        if ctx.needs_input_grad[1]:
            dw = (g * xhat).sum(0).to(weight.dtype)
        return dx, dw, None


# %% misconception="backward in 16 bits" exercise="RMSNormFunction"
# r is cast to the dtype of x before it is kept: half the bytes, and 8 or 11 bits of it.
class RMSNormFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, eps):
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        r = torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)
        ctx.save_for_backward(x, weight)
        ctx.eps = eps
        return (wide * r).to(x.dtype) * weight

    @staticmethod
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        r = torch.rsqrt(x.square().mean(-1, keepdim=True) + ctx.eps)
        xhat = x * r
        dx = dw = None
        if ctx.needs_input_grad[0]:
            inner = grad * weight
            dx = r * (inner - xhat * (inner * xhat).mean(-1, keepdim=True))
        if ctx.needs_input_grad[1]:
            dw = (grad * xhat).sum_to_size(weight.shape)
        return dx, dw, None


# %% misconception="computes what nobody asked for" exercise="RMSNormFunction"
# Autograd drops the surplus gradient, so it does no harm but to the time.
class RMSNormFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, eps):
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        r = torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)
        ctx.save_for_backward(x, weight, r)
        return (wide * r).to(x.dtype) * weight

    @staticmethod
    def backward(ctx, grad):
        x, weight, r = ctx.saved_tensors
        xhat, g = x * r, grad.to(r.dtype)
        inner = g * weight
        dx = (r * (inner - xhat * (inner * xhat).mean(-1, keepdim=True))).to(x.dtype)
        return dx, (g * xhat).sum_to_size(weight.shape).to(weight.dtype), None


# %% misconception="cast after the weight, in the Function" exercise="RMSNormFunction"
# Forward multiplies in fp32 and rounds once.
class RMSNormFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, eps):
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        r = torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)
        ctx.save_for_backward(x, weight, r)
        return (wide * r * weight).to(x.dtype)

    @staticmethod
    def backward(ctx, grad):
        x, weight, r = ctx.saved_tensors
        xhat, g = x * r, grad.to(r.dtype)
        dx = dw = None
        if ctx.needs_input_grad[0]:
            inner = g * weight
            dx = (r * (inner - xhat * (inner * xhat).mean(-1, keepdim=True))).to(x.dtype)
        if ctx.needs_input_grad[1]:
            dw = (g * xhat).sum_to_size(weight.shape).to(weight.dtype)
        return dx, dw, None


# %% misconception="gradients stay in fp32" exercise="RMSNormFunction"
# Autograd casts the gradient of a leaf quietly; the docstring wants the dtype of x.
class RMSNormFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, eps):
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        r = torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)
        ctx.save_for_backward(x, weight, r)
        return (wide * r).to(x.dtype) * weight

    @staticmethod
    def backward(ctx, grad):
        x, weight, r = ctx.saved_tensors
        xhat, g = x * r, grad.to(r.dtype)
        dx = dw = None
        if ctx.needs_input_grad[0]:
            inner = g * weight
            dx = r * (inner - xhat * (inner * xhat).mean(-1, keepdim=True))
        if ctx.needs_input_grad[1]:
            dw = (g * xhat).sum_to_size(weight.shape)
        return dx, dw, None


# %% misconception="r rounded, and all of backward in 16 bits" exercise="RMSNormFunction"
# Forward takes care of its casts, and backward forgets them: r goes to 16 bits as soon as it is read.
class RMSNormFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, eps):
        wide = torch.promote_types(x.dtype, torch.float32)
        r = torch.rsqrt(x.to(wide).square().mean(-1, keepdim=True) + eps)
        ctx.save_for_backward(x, weight, r)
        return (x.to(wide) * r).to(x.dtype) * weight

    @staticmethod
    def backward(ctx, grad):
        x, weight, r = ctx.saved_tensors
        r = r.to(x.dtype)
        x_hat, gw = x * r, grad * weight
        x_bar = w_bar = None
        if ctx.needs_input_grad[0]:
            x_bar = r * (gw - x_hat * (gw * x_hat).mean(-1, keepdim=True))
        if ctx.needs_input_grad[1]:
            w_bar = (grad * x_hat).sum_to_size(weight.shape)
        return x_bar, w_bar, None


# %% misconception="a contiguous copy of x is kept" exercise="RMSNormFunction"
# contiguous() costs nothing where x is contiguous, and a copy of x where it is not.
class RMSNormFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, eps):
        x = x.contiguous()
        wide = torch.promote_types(x.dtype, torch.float32)
        r = torch.rsqrt(x.to(wide).square().mean(-1, keepdim=True) + eps)
        ctx.save_for_backward(x, weight, r)
        return (x.to(wide) * r).to(x.dtype) * weight

    @staticmethod
    def backward(ctx, grad):
        x, weight, r = ctx.saved_tensors
        x_hat, g = x.to(r.dtype) * r, grad.to(r.dtype)
        gw = g * weight.to(r.dtype)
        x_bar = w_bar = None
        if ctx.needs_input_grad[0]:
            x_bar = (r * (gw - x_hat * (gw * x_hat).mean(-1, keepdim=True))).to(x.dtype)
        if ctx.needs_input_grad[1]:
            w_bar = (g * x_hat).sum_to_size(weight.shape).to(weight.dtype)
        return x_bar, w_bar, None


# %% misconception="sum over an empty tuple of axes" exercise="RMSNormFunction"
# All axes but the last; for a vector that is (), and PyTorch sums over everything.
class RMSNormFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, eps):
        wide = torch.promote_types(x.dtype, torch.float32)
        r = torch.rsqrt(x.to(wide).square().mean(-1, keepdim=True) + eps)
        ctx.save_for_backward(x, weight, r)
        return (x.to(wide) * r).to(x.dtype) * weight

    @staticmethod
    def backward(ctx, grad):
        x, weight, r = ctx.saved_tensors
        x_hat, g = x.to(r.dtype) * r, grad.to(r.dtype)
        gw = g * weight.to(r.dtype)
        x_bar = w_bar = None
        if ctx.needs_input_grad[0]:
            x_bar = (r * (gw - x_hat * (gw * x_hat).mean(-1, keepdim=True))).to(x.dtype)
        if ctx.needs_input_grad[1]:
            w_bar = (g * x_hat).sum(dim=tuple(range(x.ndim - 1))).to(weight.dtype)
        return x_bar, w_bar, None


# %% misconception="eps forgotten in backward" exercise="RMSNormFunction"
# r is computed again from x, without the constant.
class RMSNormFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, eps):
        ctx.save_for_backward(x, weight)
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)).to(x.dtype) * weight

    @staticmethod
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        r = torch.rsqrt(wide.square().mean(-1, keepdim=True))
        x_hat, g = wide * r, grad.to(r.dtype)
        gw = g * weight.to(r.dtype)
        x_bar = w_bar = None
        if ctx.needs_input_grad[0]:
            x_bar = (r * (gw - x_hat * (gw * x_hat).mean(-1, keepdim=True))).to(x.dtype)
        if ctx.needs_input_grad[1]:
            w_bar = (g * x_hat).sum_to_size(weight.shape).to(weight.dtype)
        return x_bar, w_bar, None


# %% misconception="x normalised in place in backward" exercise="RMSNormFunction"
# x is cast first, so it seems to be a copy; in fp32 the cast returns x itself.
class RMSNormFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, eps):
        wide = torch.promote_types(x.dtype, torch.float32)
        r = torch.rsqrt(x.to(wide).square().mean(-1, keepdim=True) + eps)
        ctx.save_for_backward(x, weight, r)
        return (x.to(wide) * r).to(x.dtype) * weight

    @staticmethod
    def backward(ctx, grad):
        x, weight, r = ctx.saved_tensors
        x_hat, g = x.detach().to(r.dtype).mul_(r), grad.to(r.dtype)
        gw = g * weight.to(r.dtype)
        x_bar = w_bar = None
        if ctx.needs_input_grad[0]:
            x_bar = (r * (gw - x_hat * (gw * x_hat).mean(-1, keepdim=True))).to(x.dtype)
        if ctx.needs_input_grad[1]:
            w_bar = (g * x_hat).sum_to_size(weight.shape).to(weight.dtype)
        return x_bar, w_bar, None


# %% alternative="keeps no new memory at all" exercise="RMSNormFunction"
# r is one mean away from x: computed again in backward.
class RMSNormFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, eps):
        ctx.eps = eps
        ctx.save_for_backward(x, weight)
        return rms_norm(x, weight, eps)

    @staticmethod
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        dtype, (dim,) = x.dtype, weight.shape
        z = x if dtype == torch.float64 else x.float()
        g = grad.to(z.dtype)
        r = (z.pow(2).mean(-1, keepdim=True) + ctx.eps) ** -0.5
        need_x, need_w, _ = ctx.needs_input_grad
        dx = r * g * weight - r**3 / dim * z * (g * weight * z).sum(-1, keepdim=True) if need_x else None
        dw = (g * z * r).reshape(-1, dim).sum(dim=0) if need_w else None
        return dx if dx is None else dx.to(dtype), dw if dw is None else dw.to(weight.dtype), None


# %% alternative="the rms is kept, and the weight's gradient is a matrix product" exercise="RMSNormFunction"
# Root instead of reciprocal root; ones times (g * xhat) is a sum over rows.
class RMSNormFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, eps):
        z = x.to(torch.promote_types(x.dtype, torch.float32))
        rms = torch.sqrt((z * z).mean(dim=-1) + eps)
        ctx.save_for_backward(weight, rms, x)
        return torch.mul((z / rms[..., None]).type_as(x), weight)

    @staticmethod
    def backward(ctx, grad):
        weight, rms, x = ctx.saved_tensors
        rms = rms.unsqueeze(-1)
        normal_x = x.to(rms.dtype) / rms
        result = [None, None, None]
        if ctx.needs_input_grad[1]:
            product = (grad.to(rms.dtype) * normal_x).flatten(0, -2) if x.ndim > 1 else (grad * normal_x)[None]
            result[1] = (torch.ones(1, len(product), dtype=product.dtype) @ product)[0].type_as(weight)
        if ctx.needs_input_grad[0]:
            g = weight.to(rms.dtype) * grad.to(rms.dtype)
            along = torch.einsum("...d,...d->...", g, normal_x).unsqueeze(-1) / x.shape[-1]
            result[0] = ((g - along * normal_x) / rms).type_as(x)
        return tuple(result)


# %% alternative="lets autograd do it once more" exercise="RMSNormFunction"
# Backward runs the forward pass again on the kept inputs and differentiates that, as checkpointing does.
class RMSNormFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, eps):
        ctx.eps = eps
        ctx.save_for_backward(x, weight)
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)).to(x.dtype) * weight

    @staticmethod
    def backward(ctx, grad):
        dtype = torch.promote_types(grad.dtype, torch.float32)
        x, weight = ctx.saved_tensors
        wide, scale = (t.detach().to(dtype).requires_grad_() for t in (x, weight))
        with torch.enable_grad():
            y = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + ctx.eps) * scale
        wanted = [t for t, needed in zip((wide, scale), ctx.needs_input_grad, strict=False) if needed]
        got = iter(torch.autograd.grad(y, wanted, grad.to(dtype)))
        dx = next(got).to(x.dtype) if ctx.needs_input_grad[0] else None
        dw = next(got).to(weight.dtype) if ctx.needs_input_grad[1] else None
        return dx, dw, None


# %% alternative="einsum over flattened rows" exercise="RMSNormFunction"
# Rows side by side, their dot products by einsum, r as a flat vector.
class RMSNormFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, eps):
        dim = x.shape[-1]
        rows = x.reshape(math.prod(x.shape[:-1]), dim).to(torch.promote_types(x.dtype, torch.float32))
        r = (torch.einsum("nd,nd->n", rows, rows) / dim + eps).rsqrt()
        ctx.save_for_backward(x, weight, r)
        return (rows * r[:, None]).to(x.dtype).reshape(x.shape) * weight

    @staticmethod
    def backward(ctx, grad):
        x, weight, r = ctx.saved_tensors
        dim = x.shape[-1]
        rows, g = (t.reshape(r.numel(), dim).to(r.dtype) for t in (x, grad))
        result = [None, None, None]
        if ctx.needs_input_grad[0]:
            w = weight.to(r.dtype)
            dots = torch.einsum("nd,nd,d->n", rows, g, w) * r / dim
            result[0] = (r[:, None] * torch.addcmul(g * w, rows, (dots * r)[:, None], value=-1)).to(x.dtype)
            result[0] = result[0].reshape(x.shape)
        if ctx.needs_input_grad[1]:
            result[1] = torch.einsum("nd,nd,n->d", rows, g, r).to(weight.dtype)
        return tuple(result)


# %% [markdown]
# ## norm_cost


# %% misconception="the weight is read for every row" exercise="norm_cost"
# The formula mentions it in every row.
def norm_cost(norm, rows, dim, element_size=2):
    if norm not in ("rms", "layer"):
        raise ValueError(norm)
    k = 2 if norm == "layer" else 1
    operations = 7 * dim + 4 if k == 2 else 4 * dim + 3
    return NormCost((1 + k) * rows * dim * element_size, rows * dim * element_size + 4 * k * rows, rows * operations)


# %% misconception="nothing is kept for backward" exercise="norm_cost"
# Only the result seems to leave the chip.
def norm_cost(norm, rows, dim, element_size=2):
    if norm not in ("rms", "layer"):
        raise ValueError(norm)
    k = 2 if norm == "layer" else 1
    operations = 7 * dim + 4 if k == 2 else 4 * dim + 3
    return NormCost((rows + k) * dim * element_size, rows * dim * element_size, rows * operations)


# %% misconception="statistics in the element size" exercise="norm_cost"
# Everything else has element_size bytes.
def norm_cost(norm, rows, dim, element_size=2):
    if norm not in ("rms", "layer"):
        raise ValueError(norm)
    k = 2 if norm == "layer" else 1
    operations = 7 * dim + 4 if k == 2 else 4 * dim + 3
    return NormCost((rows + k) * dim * element_size, rows * (dim + k) * element_size, rows * operations)


# %% misconception="LayerNorm reads its row twice" exercise="norm_cost"
# Two passes over the row sound like two trips to memory. The row stays on the chip.
def norm_cost(norm, rows, dim, element_size=2):
    if norm not in ("rms", "layer"):
        raise ValueError(norm)
    k = 2 if norm == "layer" else 1
    operations = 7 * dim + 4 if k == 2 else 4 * dim + 3
    return NormCost((k * rows + k) * dim * element_size, rows * dim * element_size + 4 * k * rows, rows * operations)


# %% misconception="LayerNorm without its bias" exercise="norm_cost"
# The bias is easily overlooked, in the bytes and in the operations.
def norm_cost(norm, rows, dim, element_size=2):
    if norm not in ("rms", "layer"):
        raise ValueError(norm)
    k = 2 if norm == "layer" else 1
    operations = 6 * dim + 4 if k == 2 else 4 * dim + 3
    return NormCost((rows + 1) * dim * element_size, rows * dim * element_size + 4 * k * rows, rows * operations)


# %% misconception="a sum of d numbers is d - 1 additions" exercise="norm_cost"
# True on paper; the rules start from an accumulator that is 0.
def norm_cost(norm, rows, dim, element_size=2):
    if norm not in ("rms", "layer"):
        raise ValueError(norm)
    k = 2 if norm == "layer" else 1
    operations = 7 * dim + 2 if k == 2 else 4 * dim + 2
    return NormCost((rows + k) * dim * element_size, rows * dim * element_size + 4 * k * rows, rows * operations)


# %% misconception="operations of each row are left out" exercise="norm_cost"
# They hardly matter for large rows.
def norm_cost(norm, rows, dim, element_size=2):
    if norm not in ("rms", "layer"):
        raise ValueError(norm)
    k = 2 if norm == "layer" else 1
    operations = 7 * dim if k == 2 else 4 * dim
    return NormCost((rows + k) * dim * element_size, rows * dim * element_size + 4 * k * rows, rows * operations)


# %% misconception="two bytes whatever the size" exercise="norm_cost"
# The examples are all in bf16.
def norm_cost(norm, rows, dim, element_size=2):
    if norm not in ("rms", "layer"):
        raise ValueError(norm)
    k = 2 if norm == "layer" else 1
    operations = 7 * dim + 4 if k == 2 else 4 * dim + 3
    return NormCost((rows + k) * dim * 2, rows * dim * 2 + 4 * k * rows, rows * operations)


# %% misconception="anything else is LayerNorm" exercise="norm_cost"
# An else branch catches spelling mistakes as well.
def norm_cost(norm, rows, dim, element_size=2):
    k = 1 if norm == "rms" else 2
    operations = 7 * dim + 4 if k == 2 else 4 * dim + 3
    return NormCost((rows + k) * dim * element_size, rows * dim * element_size + 4 * k * rows, rows * operations)


# %% misconception="substring test of the name" exercise="norm_cost"
# `in` asks a string whether it contains another; "lay" and "" are contained.
def norm_cost(norm, rows, dim, element_size=2):
    if norm not in "rms layer":
        raise ValueError("norm must be rms or layer")
    if norm == "rms":
        parameters, statistics, operations = 1, 1, 4 * dim + 3
    else:
        parameters, statistics, operations = 2, 2, 7 * dim + 4
    return NormCost(
        (rows + parameters) * dim * element_size,
        rows * (dim * element_size + 4 * statistics),
        rows * operations,
    )


# %% misconception="name compared without case" exercise="norm_cost"
# Meant kindly; "RMS" is neither of the two names.
def norm_cost(norm, rows, dim, element_size=2):
    kind = norm.lower().strip()
    if kind == "rms":
        return NormCost((rows + 1) * dim * element_size, rows * (dim * element_size + 4), rows * (4 * dim + 3))
    if kind == "layer":
        return NormCost((rows + 2) * dim * element_size, rows * (dim * element_size + 8), rows * (7 * dim + 4))
    raise ValueError(f"unknown norm: {norm}")


# %% misconception="32-bit integers" exercise="norm_cost"
# Tensor arithmetic with int32, which ends at 2 GiB.
def norm_cost(norm, rows, dim, element_size=2):
    if norm not in ("rms", "layer"):
        raise ValueError(norm)
    k = 1 if norm == "rms" else 2
    n, d, e = (torch.tensor(value, dtype=torch.int32) for value in (rows, dim, element_size))
    operations = n * (4 * d + 3) if k == 1 else n * (7 * d + 4)
    return NormCost(*(int(value) for value in ((n + k) * d * e, n * (d * e + 4 * k), operations)))


# %% alternative="line by line" exercise="norm_cost"
# Each line of the formula adds its operations.
def norm_cost(norm, rows, dim, element_size=2):
    match norm:
        case "rms":
            per_number, per_row, vectors, kept = ["square", "add", "r", "w"], ["divide", "eps", "root"], 1, 1
        case "layer":
            per_number = ["add", "subtract", "square", "add", "r", "w", "b"]
            per_row, vectors, kept = ["divide", "divide", "eps", "root"], 2, 2
        case _:
            raise ValueError(f"no norm called {norm}")
    numbers = rows * dim
    return NormCost(
        read=numbers * element_size + vectors * dim * element_size,
        written=numbers * element_size + 4 * kept * rows,
        operations=numbers * len(per_number) + rows * len(per_row),
    )


# %% alternative="a table, and a plain tuple" exercise="norm_cost"
# A tuple in the order of NormCost is one, for all that reads it.
def norm_cost(norm, rows, dim, element_size=2):
    table = {"rms": (1, 4, 3), "layer": (2, 7, 4)}
    if norm not in table:
        raise ValueError("rms or layer")
    many, each, once = table[norm]
    size = rows * dim * element_size
    return NormCost(size + many * dim * element_size, size + many * rows * 4, (each * dim + once) * rows)


# %% alternative="LayerNorm as RMSNorm and a rest" exercise="norm_cost"
# What centring and the bias add.
def norm_cost(norm, rows, dim, element_size=2):
    rms = NormCost((rows + 1) * dim * element_size, rows * (dim * element_size + 4), rows * (4 * dim + 3))
    if norm == "rms":
        return rms
    if norm == "layer":
        return NormCost(rms.read + dim * element_size, rms.written + 4 * rows, rms.operations + rows * (3 * dim + 1))
    raise ValueError(norm)


# %% alternative="list of operations" exercise="norm_cost"
# The program is written down line by line, and counted.
def norm_cost(norm, rows, dim, element_size=2):
    match norm:
        case "rms":
            program = {"square": dim, "sum": dim, "divide": 1, "eps": 1, "rsqrt": 1, "times r": dim, "times w": dim}
            vectors = ["weight"]
            statistics = ["r"]
        case "layer":
            program = {"sum": dim, "mean": 1, "centre": dim, "square": dim, "sum again": dim, "divide": 1, "eps": 1}
            program |= {"rsqrt": 1, "times r": dim, "times w": dim, "plus b": dim}
            vectors = ["weight", "bias"]
            statistics = ["mean", "r"]
        case _:
            raise ValueError(f"norm is 'rms' or 'layer', not {norm!r}")
    row = dim * element_size
    return NormCost(
        read=rows * row + len(vectors) * row,
        written=rows * (row + 4 * len(statistics)),
        operations=rows * sum(program.values()),
    )


# %% [markdown]
# ## swiglu_hidden


# %% misconception="rounded down" exercise="swiglu_hidden"
# Integer division and multiplication: the usual idiom, in the wrong direction.
def swiglu_hidden(dim, multiple_of=256, multiplier=None):
    hidden = int(8 * dim / 3)
    if multiplier is not None:
        hidden = int(multiplier * hidden)
    return hidden // multiple_of * multiple_of


# %% misconception="rounded to the nearest multiple" exercise="swiglu_hidden"
# round() is what one reaches for. It is right for 4096 and 8192.
def swiglu_hidden(dim, multiple_of=256, multiplier=None):
    hidden = int(8 * dim / 3)
    if multiplier is not None:
        hidden = int(multiplier * hidden)
    return round(hidden / multiple_of) * multiple_of


# %% misconception="always one multiple more" exercise="swiglu_hidden"
# Down, plus one: wrong only where it is a multiple already.
def swiglu_hidden(dim, multiple_of=256, multiplier=None):
    hidden = int(8 * dim / 3)
    if multiplier is not None:
        hidden = int(multiplier * hidden)
    return (hidden // multiple_of + 1) * multiple_of


# %% misconception="no 2/3" exercise="swiglu_hidden"
# The MLP is four times as wide as the model: true for two matrices.
def swiglu_hidden(dim, multiple_of=256, multiplier=None):
    hidden = 4 * dim
    if multiplier is not None:
        hidden = int(multiplier * hidden)
    return -(-hidden // multiple_of) * multiple_of


# %% misconception="two thirds of dim" exercise="swiglu_hidden"
# The factor 4 got lost.
def swiglu_hidden(dim, multiple_of=256, multiplier=None):
    hidden = int(2 * dim / 3)
    if multiplier is not None:
        hidden = int(multiplier * hidden)
    return -(-hidden // multiple_of) * multiple_of


# %% misconception="multiplier after rounding" exercise="swiglu_hidden"
# The argument stands last, so it is applied last.
def swiglu_hidden(dim, multiple_of=256, multiplier=None):
    hidden = -(-int(8 * dim / 3) // multiple_of) * multiple_of
    return hidden if multiplier is None else int(multiplier * hidden)


# %% misconception="multiplier is ignored" exercise="swiglu_hidden"
# Llama 1 has none.
def swiglu_hidden(dim, multiple_of=256, multiplier=None):
    return -(-int(8 * dim / 3) // multiple_of) * multiple_of


# %% misconception="multiple is always 256" exercise="swiglu_hidden"
# 256 is what the papers speak of.
def swiglu_hidden(dim, multiple_of=256, multiplier=None):
    hidden = int(8 * dim / 3)
    if multiplier is not None:
        hidden = int(multiplier * hidden)
    return -(-hidden // 256) * 256


# %% misconception="the fraction is rounded up" exercise="swiglu_hidden"
# ceil twice: the fraction of 8 dim / 3 is cut off, not rounded up.
def swiglu_hidden(dim, multiple_of=256, multiplier=None):
    hidden = math.ceil(8 * dim / 3)
    if multiplier is not None:
        hidden = int(multiplier * hidden)
    return math.ceil(hidden / multiple_of) * multiple_of


# %% misconception="the fraction is kept until the end" exercise="swiglu_hidden"
# Cutting off once looks more exact than twice.
def swiglu_hidden(dim, multiple_of=256, multiplier=None):
    hidden = int((1.0 if multiplier is None else multiplier) * 8 * dim / 3)
    return -(-hidden // multiple_of) * multiple_of


# %% misconception="returns a float" exercise="swiglu_hidden"
# math.ceil(...) would have given an int; np.ceil gives a float, which nn.Linear refuses.
def swiglu_hidden(dim, multiple_of=256, multiplier=None):
    hidden = int(8 * dim / 3)
    if multiplier is not None:
        hidden = int(multiplier * hidden)
    return float(np.ceil(hidden / multiple_of) * multiple_of)


# %% misconception="cut before doubling" exercise="swiglu_hidden"
# 4 dim / 3 is cut off and then doubled: one less for every third dim.
def swiglu_hidden(dim, multiple_of=256, multiplier=None):
    hidden = 4 * dim // 3 * 2
    if multiplier is not None:
        hidden = int(hidden * multiplier)
    return (hidden + multiple_of - 1) // multiple_of * multiple_of


# %% misconception="rounded after the multiplier" exercise="swiglu_hidden"
# round() goes to the nearest integer; Meta's int() cuts the fraction off.
def swiglu_hidden(dim, multiple_of=256, multiplier=None):
    hidden = 2 * 4 * dim // 3
    if multiplier is not None:
        hidden = round(multiplier * hidden)
    return -(-hidden // multiple_of) * multiple_of


# %% alternative="Meta's own lines" exercise="swiglu_hidden"
# As in the code that was published with the weights.
def swiglu_hidden(dim, multiple_of=256, multiplier=None):
    hidden_dim = int(2 * (4 * dim) / 3)
    if multiplier is not None:
        hidden_dim = int(multiplier * hidden_dim)
    return multiple_of * ((hidden_dim + multiple_of - 1) // multiple_of)


# %% alternative="ceil" exercise="swiglu_hidden"
# Floor and ceil by name.
def swiglu_hidden(dim, multiple_of=256, multiplier=None):
    hidden = math.floor(8 * dim / 3)
    if multiplier:
        hidden = math.floor(hidden * multiplier)
    return math.ceil(hidden / multiple_of) * multiple_of


# %% alternative="adds what is missing" exercise="swiglu_hidden"
# The remainder of the negative is what lacks to the next multiple.
def swiglu_hidden(dim, multiple_of=256, multiplier=None):
    hidden, _ = divmod(8 * dim, 3)
    hidden = int(hidden * (1 if multiplier is None else multiplier))
    return hidden + -hidden % multiple_of


# %% alternative="divmod, with a closure" exercise="swiglu_hidden"
# The remainder says whether there is one multiple more.
def swiglu_hidden(dim, multiple_of=256, multiplier=None):
    def up(n):
        whole, rest = divmod(n, multiple_of)
        return (whole + bool(rest)) * multiple_of

    third = divmod(8 * dim, 3)[0]
    if multiplier is None:
        return up(third)
    return up(math.trunc(third * multiplier))


# %% [markdown]
# ## GatedMLP


# %% misconception="gate and up swapped" exercise="GatedMLP"
# Numbers suggest that w3 comes last, behind the activation.
class GatedMLP(nn.Module):
    def __init__(self, dim, hidden, variant="swiglu"):
        super().__init__()
        self.act = {
            "glu": torch.sigmoid,
            "bilinear": lambda z: z,
            "reglu": F.relu,
            "geglu": F.gelu,
            "swiglu": F.silu,
        }.get(variant)
        if self.act is None:
            raise ValueError(variant)
        self.w1, self.w2, self.w3 = (
            nn.Linear(a, b, bias=False) for a, b in [(dim, hidden), (hidden, dim), (dim, hidden)]
        )

    def forward(self, x):
        return self.w2(self.w1(x) * self.act(self.w3(x)))


# %% misconception="w2 is up, w3 is down" exercise="GatedMLP"
# In the order in which x meets them. Meta numbered them otherwise.
class GatedMLP(nn.Module):
    def __init__(self, dim, hidden, variant="swiglu"):
        super().__init__()
        self.act = {
            "glu": torch.sigmoid,
            "bilinear": lambda z: z,
            "reglu": F.relu,
            "geglu": F.gelu,
            "swiglu": F.silu,
        }.get(variant)
        if self.act is None:
            raise ValueError(variant)
        self.w1, self.w2, self.w3 = (
            nn.Linear(a, b, bias=False) for a, b in [(dim, hidden), (dim, hidden), (hidden, dim)]
        )

    def forward(self, x):
        return self.w3(self.act(self.w1(x)) * self.w2(x))


# %% misconception="activation of the product" exercise="GatedMLP"
# One pair of brackets in the wrong place.
class GatedMLP(nn.Module):
    def __init__(self, dim, hidden, variant="swiglu"):
        super().__init__()
        self.act = {
            "glu": torch.sigmoid,
            "bilinear": lambda z: z,
            "reglu": F.relu,
            "geglu": F.gelu,
            "swiglu": F.silu,
        }.get(variant)
        if self.act is None:
            raise ValueError(variant)
        self.w1, self.w2, self.w3 = (
            nn.Linear(a, b, bias=False) for a, b in [(dim, hidden), (hidden, dim), (dim, hidden)]
        )

    def forward(self, x):
        return self.w2(self.act(self.w1(x) * self.w3(x)))


# %% misconception="biases, as nn.Linear has them" exercise="GatedMLP"
# bias=True is the default, and at initialisation hardly visible.
class GatedMLP(nn.Module):
    def __init__(self, dim, hidden, variant="swiglu"):
        super().__init__()
        self.act = {
            "glu": torch.sigmoid,
            "bilinear": lambda z: z,
            "reglu": F.relu,
            "geglu": F.gelu,
            "swiglu": F.silu,
        }.get(variant)
        if self.act is None:
            raise ValueError(variant)
        self.w1, self.w2, self.w3 = (nn.Linear(a, b) for a, b in [(dim, hidden), (hidden, dim), (dim, hidden)])

    def forward(self, x):
        return self.w2(self.act(self.w1(x)) * self.w3(x))


# %% misconception="GELU by tanh" exercise="GatedMLP"
# GPT-2's approximation; it differs in the fourth digit.
class GatedMLP(nn.Module):
    def __init__(self, dim, hidden, variant="swiglu"):
        super().__init__()
        acts = {"glu": nn.Sigmoid(), "bilinear": nn.Identity(), "reglu": nn.ReLU(), "swiglu": nn.SiLU()}
        acts["geglu"] = nn.GELU(approximate="tanh")
        if variant not in acts:
            raise ValueError(variant)
        self.act = acts[variant]
        self.w1, self.w2, self.w3 = (
            nn.Linear(a, b, bias=False) for a, b in [(dim, hidden), (hidden, dim), (dim, hidden)]
        )

    def forward(self, x):
        return self.w2(self.act(self.w1(x)) * self.w3(x))


# %% misconception="the same gate for every variant" exercise="GatedMLP"
# Llama needs SwiGLU only, so the argument is accepted and not used.
class GatedMLP(nn.Module):
    def __init__(self, dim, hidden, variant="swiglu"):
        super().__init__()
        if variant not in ("glu", "bilinear", "reglu", "geglu", "swiglu"):
            raise ValueError(variant)
        self.w1, self.w2, self.w3 = (
            nn.Linear(a, b, bias=False) for a, b in [(dim, hidden), (hidden, dim), (dim, hidden)]
        )

    def forward(self, x):
        return self.w2(F.silu(self.w1(x)) * self.w3(x))


# %% misconception="swish without its factor" exercise="GatedMLP"
# The sigmoid is the gate; that SiLU multiplies by z once more is forgotten.
class GatedMLP(nn.Module):
    def __init__(self, dim, hidden, variant="swiglu"):
        super().__init__()
        acts = {
            "glu": torch.sigmoid,
            "bilinear": lambda z: z,
            "reglu": F.relu,
            "geglu": F.gelu,
            "swiglu": torch.sigmoid,
        }
        if variant not in acts:
            raise ValueError(variant)
        self.act = acts[variant]
        self.w1, self.w2, self.w3 = (
            nn.Linear(a, b, bias=False) for a, b in [(dim, hidden), (hidden, dim), (dim, hidden)]
        )

    def forward(self, x):
        return self.w2(self.act(self.w1(x)) * self.w3(x))


# %% misconception="an unknown variant is linear" exercise="GatedMLP"
# dict.get with a default is convenient, and turns a spelling mistake into another model.
class GatedMLP(nn.Module):
    def __init__(self, dim, hidden, variant="swiglu"):
        super().__init__()
        acts = {"glu": torch.sigmoid, "reglu": F.relu, "geglu": F.gelu, "swiglu": F.silu}
        self.act = acts.get(variant, lambda z: z)
        self.w1, self.w2, self.w3 = (
            nn.Linear(a, b, bias=False) for a, b in [(dim, hidden), (hidden, dim), (dim, hidden)]
        )

    def forward(self, x):
        return self.w2(self.act(self.w1(x)) * self.w3(x))


# %% misconception="the ordinary MLP" exercise="GatedMLP"
# Up, activation, down; w3 is there and not used.
class GatedMLP(nn.Module):
    def __init__(self, dim, hidden, variant="swiglu"):
        super().__init__()
        self.act = {
            "glu": torch.sigmoid,
            "bilinear": lambda z: z,
            "reglu": F.relu,
            "geglu": F.gelu,
            "swiglu": F.silu,
        }.get(variant)
        if self.act is None:
            raise ValueError(variant)
        self.w1, self.w2, self.w3 = (
            nn.Linear(a, b, bias=False) for a, b in [(dim, hidden), (hidden, dim), (dim, hidden)]
        )

    def forward(self, x):
        return self.w2(self.act(self.w1(x)))


# %% misconception="SiLU by hand, from an exponential that overflows" exercise="GatedMLP"
# z e^z / (1 + e^z) is the same on paper; from z = 89 on it is inf / inf.
class GatedMLP(nn.Module):
    def __init__(self, dim, hidden, variant="swiglu"):
        super().__init__()
        acts = {"glu": torch.sigmoid, "bilinear": lambda z: z, "reglu": F.relu, "geglu": F.gelu}
        acts["swiglu"] = lambda z: z * torch.exp(z) / (1 + torch.exp(z))
        if variant not in acts:
            raise ValueError(variant)
        self.act = acts[variant]
        self.w1, self.w2, self.w3 = (
            nn.Linear(a, b, bias=False) for a, b in [(dim, hidden), (hidden, dim), (dim, hidden)]
        )

    def forward(self, x):
        return self.w2(self.act(self.w1(x)) * self.w3(x))


# %% misconception="substring test of the variant" exercise="GatedMLP"
# `in` asks a string whether it contains another; "lu" and "" are contained.
class GatedMLP(nn.Module):
    def __init__(self, dim, hidden, variant="swiglu"):
        super().__init__()
        acts = {
            "glu": torch.sigmoid,
            "bilinear": lambda z: z,
            "reglu": F.relu,
            "geglu": F.gelu,
            "swiglu": F.silu,
        }
        if variant not in "glu bilinear reglu geglu swiglu":
            raise ValueError(f"unknown variant {variant!r}")
        self.act = acts.get(variant, F.silu)
        self.w1 = nn.Linear(dim, hidden, bias=False)
        self.w2 = nn.Linear(hidden, dim, bias=False)
        self.w3 = nn.Linear(dim, hidden, bias=False)

    def forward(self, x):
        return self.w2(self.act(self.w1(x)) * self.w3(x))


# %% misconception="variant without case" exercise="GatedMLP"
# The papers write SwiGLU, so capital letters are let through.
class GatedMLP(nn.Module):
    def __init__(self, dim, hidden, variant="swiglu"):
        super().__init__()
        variant = variant.lower()
        acts = {
            "glu": torch.sigmoid,
            "bilinear": lambda z: z,
            "reglu": F.relu,
            "geglu": F.gelu,
            "swiglu": F.silu,
        }
        if variant not in acts:
            raise ValueError(f"unknown variant {variant!r}")
        self.act = acts[variant]
        self.w1 = nn.Linear(dim, hidden, bias=False)
        self.w2 = nn.Linear(hidden, dim, bias=False)
        self.w3 = nn.Linear(dim, hidden, bias=False)

    def forward(self, x):
        return self.w2(self.act(self.w1(x)) * self.w3(x))


# %% misconception="activation on the class" exercise="GatedMLP"
# staticmethod keeps a function from being bound; on the class, the last instance decides for all.
class GatedMLP(nn.Module):
    def __init__(self, dim, hidden, variant="swiglu"):
        super().__init__()
        acts = {
            "glu": torch.sigmoid,
            "bilinear": lambda z: z,
            "reglu": F.relu,
            "geglu": F.gelu,
            "swiglu": F.silu,
        }
        if variant not in acts:
            raise ValueError(f"unknown variant {variant!r}")
        GatedMLP.act = staticmethod(acts[variant])
        self.w1 = nn.Linear(dim, hidden, bias=False)
        self.w2 = nn.Linear(hidden, dim, bias=False)
        self.w3 = nn.Linear(dim, hidden, bias=False)

    def forward(self, x):
        return self.w2(self.act(self.w1(x)) * self.w3(x))


# %% misconception="activation in fp32" exercise="GatedMLP"
# Care for 16 bits, at the expense of float64.
class GatedMLP(nn.Module):
    def __init__(self, dim, hidden, variant="swiglu"):
        super().__init__()
        acts = {
            "glu": torch.sigmoid,
            "bilinear": lambda z: z,
            "reglu": F.relu,
            "geglu": F.gelu,
            "swiglu": F.silu,
        }
        if variant not in acts:
            raise ValueError(f"unknown variant {variant!r}")
        self.act = acts[variant]
        self.w1 = nn.Linear(dim, hidden, bias=False)
        self.w2 = nn.Linear(hidden, dim, bias=False)
        self.w3 = nn.Linear(dim, hidden, bias=False)

    def forward(self, x):
        return self.w2(self.act(self.w1(x).float()).to(x.dtype) * self.w3(x))


# %% alternative="modules for the activations" exercise="GatedMLP"
# nn.SiLU and its like have no parameters, so the state_dict stays as it is.
class GatedMLP(nn.Module):
    def __init__(self, dim, hidden, variant="swiglu"):
        super().__init__()
        match variant:
            case "glu":
                self.act = nn.Sigmoid()
            case "bilinear":
                self.act = nn.Identity()
            case "reglu":
                self.act = nn.ReLU()
            case "geglu":
                self.act = nn.GELU()
            case "swiglu":
                self.act = nn.SiLU()
            case _:
                raise ValueError(f"unknown variant {variant}")
        self.w3 = nn.Linear(dim, hidden, bias=False)
        self.w1 = nn.Linear(dim, hidden, bias=False)
        self.w2 = nn.Linear(hidden, dim, bias=False)

    def forward(self, x):
        up, gate = self.w3(x), self.act(self.w1(x))
        return self.w2(up * gate)


# %% alternative="activations by hand" exercise="GatedMLP"
# From sigmoid and erf.
class GatedMLP(nn.Module):
    def __init__(self, dim, hidden, variant="swiglu"):
        super().__init__()
        if variant not in {"glu", "bilinear", "reglu", "geglu", "swiglu"}:
            raise ValueError("no such variant")
        self.variant = variant
        self.w1 = nn.Linear(dim, hidden, False)
        self.w2 = nn.Linear(hidden, dim, False)
        self.w3 = nn.Linear(dim, hidden, False)

    def gate(self, z):
        factors = {
            "glu": lambda: z.sigmoid(),
            "bilinear": lambda: z,
            "reglu": lambda: z.clamp(min=0),
            "geglu": lambda: 0.5 * z * (1 + torch.erf(z * 0.5**0.5)),
            "swiglu": lambda: z * z.sigmoid(),
        }
        return factors[self.variant]()

    def forward(self, x):
        return (self.gate(self.w1(x)) * self.w3(x)) @ self.w2.weight.T


# %% alternative="both projections in one product" exercise="GatedMLP"
# The weights are joined for the call, as serving engines do once and for all.
class GatedMLP(nn.Module):
    def __init__(self, dim, hidden, variant="swiglu"):
        super().__init__()
        self.act = {
            "glu": F.sigmoid,
            "bilinear": lambda z: z,
            "reglu": torch.relu,
            "geglu": F.gelu,
            "swiglu": F.silu,
        }.get(variant)
        if not self.act:
            raise ValueError(variant)
        self.w1, self.w3 = (nn.Linear(dim, hidden, bias=False) for _ in range(2))
        self.w2 = nn.Linear(hidden, dim, bias=False)

    def forward(self, x):
        gate, up = F.linear(x, torch.cat([self.w1.weight, self.w3.weight])).chunk(2, dim=-1)
        return self.w2(self.act(gate).mul(up))


# %% alternative="einsum" exercise="GatedMLP"
# The three products as einsums.
class GatedMLP(nn.Module):
    def __init__(self, dim, hidden, variant="swiglu"):
        super().__init__()
        acts = {"glu": F.sigmoid, "bilinear": torch.clone, "reglu": F.relu, "geglu": F.gelu, "swiglu": F.silu}
        if acts.get(variant) is None:
            raise ValueError("variant")
        self.w1 = nn.Linear(dim, hidden, bias=False)
        self.w3 = nn.Linear(dim, hidden, bias=False)
        self.w2 = nn.Linear(hidden, dim, bias=False)
        self.act = acts[variant]

    def forward(self, x):
        gate = self.act(torch.einsum("...d,hd->...h", x, self.w1.weight))
        up = torch.einsum("...d,hd->...h", x, self.w3.weight)
        return torch.einsum("...h,...h,dh->...d", gate, up, self.w2.weight)


# %% [markdown]
# ## GroupedQueryAttention


# %% misconception="heads dealt out in turn" exercise="GroupedQueryAttention"
# repeat gives 0 1 0 1, where 0 0 1 1 is wanted. The shapes are the same.
class GroupedQueryAttention(nn.Module):
    def __init__(self, dim, heads, kv_heads):
        super().__init__()
        if dim % heads or heads % kv_heads:
            raise ValueError("sizes")
        self.hd, self.g = dim // heads, heads // kv_heads
        self.wq, self.wo = nn.Linear(dim, dim, bias=False), nn.Linear(dim, dim, bias=False)
        self.wk, self.wv = (nn.Linear(dim, kv_heads * self.hd, bias=False) for _ in range(2))

    def forward(self, x, rope=None):
        q, k, v = (w(x).unflatten(-1, (-1, self.hd)).transpose(1, 2) for w in (self.wq, self.wk, self.wv))
        if rope is not None:
            q, k = rope(q), rope(k)
        k, v = k.repeat(1, self.g, 1, 1), v.repeat(1, self.g, 1, 1)
        s = q @ k.transpose(-1, -2) / self.hd**0.5
        s = s.masked_fill(torch.ones_like(s, dtype=torch.bool).triu(1), -math.inf)
        return self.wo((s.softmax(-1) @ v).transpose(1, 2).flatten(2))


# %% misconception="keys shared, values not" exercise="GroupedQueryAttention"
# Only keys take part in the scores, so wv stays as it was.
class GroupedQueryAttention(nn.Module):
    def __init__(self, dim, heads, kv_heads):
        super().__init__()
        if dim % heads or heads % kv_heads:
            raise ValueError("sizes")
        self.hd, self.g = dim // heads, heads // kv_heads
        self.wq, self.wv, self.wo = (nn.Linear(dim, dim, bias=False) for _ in range(3))
        self.wk = nn.Linear(dim, kv_heads * self.hd, bias=False)

    def forward(self, x, rope=None):
        q, k, v = (w(x).unflatten(-1, (-1, self.hd)).transpose(1, 2) for w in (self.wq, self.wk, self.wv))
        if rope is not None:
            q, k = rope(q), rope(k)
        s = q @ k.repeat_interleave(self.g, 1).transpose(-1, -2) / self.hd**0.5
        s = s.masked_fill(torch.ones_like(s, dtype=torch.bool).triu(1), -math.inf)
        return self.wo((s.softmax(-1) @ v).transpose(1, 2).flatten(2))


# %% misconception="rope after the heads are shared out" exercise="GroupedQueryAttention"
# The same numbers, but the rotation runs over copies, and the cache would hold keys that are not turned yet.
class GroupedQueryAttention(nn.Module):
    def __init__(self, dim, heads, kv_heads):
        super().__init__()
        if dim % heads or heads % kv_heads:
            raise ValueError("sizes")
        self.hd, self.g = dim // heads, heads // kv_heads
        self.wq, self.wo = nn.Linear(dim, dim, bias=False), nn.Linear(dim, dim, bias=False)
        self.wk, self.wv = (nn.Linear(dim, kv_heads * self.hd, bias=False) for _ in range(2))

    def forward(self, x, rope=None):
        q, k, v = (w(x).unflatten(-1, (-1, self.hd)).transpose(1, 2) for w in (self.wq, self.wk, self.wv))
        k, v = k.repeat_interleave(self.g, 1), v.repeat_interleave(self.g, 1)
        if rope is not None:
            q, k = rope(q), rope(k)
        s = q @ k.transpose(-1, -2) / self.hd**0.5
        s = s.masked_fill(torch.ones_like(s, dtype=torch.bool).triu(1), -math.inf)
        return self.wo((s.softmax(-1) @ v).transpose(1, 2).flatten(2))


# %% misconception="rope for values too" exercise="GroupedQueryAttention"
# All three are split and transposed alike, so all three are turned alike.
class GroupedQueryAttention(nn.Module):
    def __init__(self, dim, heads, kv_heads):
        super().__init__()
        if dim % heads or heads % kv_heads:
            raise ValueError("sizes")
        self.hd, self.g = dim // heads, heads // kv_heads
        self.wq, self.wo = nn.Linear(dim, dim, bias=False), nn.Linear(dim, dim, bias=False)
        self.wk, self.wv = (nn.Linear(dim, kv_heads * self.hd, bias=False) for _ in range(2))

    def forward(self, x, rope=None):
        q, k, v = (w(x).unflatten(-1, (-1, self.hd)).transpose(1, 2) for w in (self.wq, self.wk, self.wv))
        if rope is not None:
            q, k, v = rope(q), rope(k), rope(v)
        k, v = k.repeat_interleave(self.g, 1), v.repeat_interleave(self.g, 1)
        s = q @ k.transpose(-1, -2) / self.hd**0.5
        s = s.masked_fill(torch.ones_like(s, dtype=torch.bool).triu(1), -math.inf)
        return self.wo((s.softmax(-1) @ v).transpose(1, 2).flatten(2))


# %% misconception="rope is ignored" exercise="GroupedQueryAttention"
# The next lesson provides it.
class GroupedQueryAttention(nn.Module):
    def __init__(self, dim, heads, kv_heads):
        super().__init__()
        if dim % heads or heads % kv_heads:
            raise ValueError("sizes")
        self.hd, self.g = dim // heads, heads // kv_heads
        self.wq, self.wo = nn.Linear(dim, dim, bias=False), nn.Linear(dim, dim, bias=False)
        self.wk, self.wv = (nn.Linear(dim, kv_heads * self.hd, bias=False) for _ in range(2))

    def forward(self, x, rope=None):
        q, k, v = (w(x).unflatten(-1, (-1, self.hd)).transpose(1, 2) for w in (self.wq, self.wk, self.wv))
        k, v = k.repeat_interleave(self.g, 1), v.repeat_interleave(self.g, 1)
        s = q @ k.transpose(-1, -2) / self.hd**0.5
        s = s.masked_fill(torch.ones_like(s, dtype=torch.bool).triu(1), -math.inf)
        return self.wo((s.softmax(-1) @ v).transpose(1, 2).flatten(2))


# %% misconception="split by a view without the transpose" exercise="GroupedQueryAttention"
# view(batch, heads, length, head_dim) has the right shape, and mixes tokens with features.
class GroupedQueryAttention(nn.Module):
    def __init__(self, dim, heads, kv_heads):
        super().__init__()
        if dim % heads or heads % kv_heads:
            raise ValueError("sizes")
        self.hd, self.g = dim // heads, heads // kv_heads
        self.wq, self.wo = nn.Linear(dim, dim, bias=False), nn.Linear(dim, dim, bias=False)
        self.wk, self.wv = (nn.Linear(dim, kv_heads * self.hd, bias=False) for _ in range(2))

    def forward(self, x, rope=None):
        b, t, d = x.shape
        q, k, v = (w(x).reshape(b, -1, t, self.hd) for w in (self.wq, self.wk, self.wv))
        if rope is not None:
            q, k = rope(q), rope(k)
        k, v = k.repeat_interleave(self.g, 1), v.repeat_interleave(self.g, 1)
        s = q @ k.transpose(-1, -2) / self.hd**0.5
        s = s.masked_fill(torch.ones_like(s, dtype=torch.bool).triu(1), -math.inf)
        return self.wo((s.softmax(-1) @ v).reshape(b, t, d))


# %% misconception="joined without the transpose" exercise="GroupedQueryAttention"
# A reshape of (batch, heads, length, head_dim) to (batch, length, dim) goes through and mixes heads with tokens.
class GroupedQueryAttention(nn.Module):
    def __init__(self, dim, heads, kv_heads):
        super().__init__()
        if dim % heads or heads % kv_heads:
            raise ValueError("sizes")
        self.hd, self.g = dim // heads, heads // kv_heads
        self.wq, self.wo = nn.Linear(dim, dim, bias=False), nn.Linear(dim, dim, bias=False)
        self.wk, self.wv = (nn.Linear(dim, kv_heads * self.hd, bias=False) for _ in range(2))

    def forward(self, x, rope=None):
        q, k, v = (w(x).unflatten(-1, (-1, self.hd)).transpose(1, 2) for w in (self.wq, self.wk, self.wv))
        if rope is not None:
            q, k = rope(q), rope(k)
        k, v = k.repeat_interleave(self.g, 1), v.repeat_interleave(self.g, 1)
        s = q @ k.transpose(-1, -2) / self.hd**0.5
        s = s.masked_fill(torch.ones_like(s, dtype=torch.bool).triu(1), -math.inf)
        return self.wo((s.softmax(-1) @ v).reshape(x.shape))


# %% misconception="no causal mask" exercise="GroupedQueryAttention"
# Sharing is what the exercise is about.
class GroupedQueryAttention(nn.Module):
    def __init__(self, dim, heads, kv_heads):
        super().__init__()
        if dim % heads or heads % kv_heads:
            raise ValueError("sizes")
        self.hd, self.g = dim // heads, heads // kv_heads
        self.wq, self.wo = nn.Linear(dim, dim, bias=False), nn.Linear(dim, dim, bias=False)
        self.wk, self.wv = (nn.Linear(dim, kv_heads * self.hd, bias=False) for _ in range(2))

    def forward(self, x, rope=None):
        q, k, v = (w(x).unflatten(-1, (-1, self.hd)).transpose(1, 2) for w in (self.wq, self.wk, self.wv))
        if rope is not None:
            q, k = rope(q), rope(k)
        k, v = k.repeat_interleave(self.g, 1), v.repeat_interleave(self.g, 1)
        s = q @ k.transpose(-1, -2) / self.hd**0.5
        return self.wo((s.softmax(-1) @ v).transpose(1, 2).flatten(2))


# %% misconception="a token does not see itself" exercise="GroupedQueryAttention"
# triu(0) masks the diagonal as well, and the first row has nothing left.
class GroupedQueryAttention(nn.Module):
    def __init__(self, dim, heads, kv_heads):
        super().__init__()
        if dim % heads or heads % kv_heads:
            raise ValueError("sizes")
        self.hd, self.g = dim // heads, heads // kv_heads
        self.wq, self.wo = nn.Linear(dim, dim, bias=False), nn.Linear(dim, dim, bias=False)
        self.wk, self.wv = (nn.Linear(dim, kv_heads * self.hd, bias=False) for _ in range(2))

    def forward(self, x, rope=None):
        q, k, v = (w(x).unflatten(-1, (-1, self.hd)).transpose(1, 2) for w in (self.wq, self.wk, self.wv))
        if rope is not None:
            q, k = rope(q), rope(k)
        k, v = k.repeat_interleave(self.g, 1), v.repeat_interleave(self.g, 1)
        s = q @ k.transpose(-1, -2) / self.hd**0.5
        s = s.masked_fill(torch.ones_like(s, dtype=torch.bool).triu(), -1e9)
        return self.wo((s.softmax(-1) @ v).transpose(1, 2).flatten(2))


# %% misconception="scaled by the width of the model" exercise="GroupedQueryAttention"
# The d of the paper's root is that of a head.
class GroupedQueryAttention(nn.Module):
    def __init__(self, dim, heads, kv_heads):
        super().__init__()
        if dim % heads or heads % kv_heads:
            raise ValueError("sizes")
        self.hd, self.g = dim // heads, heads // kv_heads
        self.wq, self.wo = nn.Linear(dim, dim, bias=False), nn.Linear(dim, dim, bias=False)
        self.wk, self.wv = (nn.Linear(dim, kv_heads * self.hd, bias=False) for _ in range(2))

    def forward(self, x, rope=None):
        q, k, v = (w(x).unflatten(-1, (-1, self.hd)).transpose(1, 2) for w in (self.wq, self.wk, self.wv))
        if rope is not None:
            q, k = rope(q), rope(k)
        k, v = k.repeat_interleave(self.g, 1), v.repeat_interleave(self.g, 1)
        s = q @ k.transpose(-1, -2) / x.shape[-1] ** 0.5
        s = s.masked_fill(torch.ones_like(s, dtype=torch.bool).triu(1), -math.inf)
        return self.wo((s.softmax(-1) @ v).transpose(1, 2).flatten(2))


# %% misconception="softmax from exp, without the maximum" exercise="GroupedQueryAttention"
# Scores of trained models reach the hundreds, and e^400 is infinite.
class GroupedQueryAttention(nn.Module):
    def __init__(self, dim, heads, kv_heads):
        super().__init__()
        if dim % heads or heads % kv_heads:
            raise ValueError("sizes")
        self.hd, self.g = dim // heads, heads // kv_heads
        self.wq, self.wo = nn.Linear(dim, dim, bias=False), nn.Linear(dim, dim, bias=False)
        self.wk, self.wv = (nn.Linear(dim, kv_heads * self.hd, bias=False) for _ in range(2))

    def forward(self, x, rope=None):
        q, k, v = (w(x).unflatten(-1, (-1, self.hd)).transpose(1, 2) for w in (self.wq, self.wk, self.wv))
        if rope is not None:
            q, k = rope(q), rope(k)
        k, v = k.repeat_interleave(self.g, 1), v.repeat_interleave(self.g, 1)
        s = torch.exp(q @ k.transpose(-1, -2) / self.hd**0.5).tril()
        return self.wo((s / s.sum(-1, keepdim=True) @ v).transpose(1, 2).flatten(2))


# %% misconception="torch's attention" exercise="GroupedQueryAttention"
# enable_gqa does the whole exercise.
class GroupedQueryAttention(nn.Module):
    def __init__(self, dim, heads, kv_heads):
        super().__init__()
        if dim % heads or heads % kv_heads:
            raise ValueError("sizes")
        self.hd = dim // heads
        self.wq, self.wo = nn.Linear(dim, dim, bias=False), nn.Linear(dim, dim, bias=False)
        self.wk, self.wv = (nn.Linear(dim, kv_heads * self.hd, bias=False) for _ in range(2))

    def forward(self, x, rope=None):
        q, k, v = (w(x).unflatten(-1, (-1, self.hd)).transpose(1, 2) for w in (self.wq, self.wk, self.wv))
        if rope is not None:
            q, k = rope(q), rope(k)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        return self.wo(y.transpose(1, 2).flatten(2))


# %% misconception="uneven groups are let through" exercise="GroupedQueryAttention"
# 6 // 4 is 1, and the error comes late, if at all.
class GroupedQueryAttention(nn.Module):
    def __init__(self, dim, heads, kv_heads):
        super().__init__()
        self.hd, self.g = dim // heads, heads // kv_heads
        self.wq, self.wo = nn.Linear(dim, dim, bias=False), nn.Linear(dim, dim, bias=False)
        self.wk, self.wv = (nn.Linear(dim, kv_heads * self.hd, bias=False) for _ in range(2))

    def forward(self, x, rope=None):
        q, k, v = (w(x).unflatten(-1, (-1, self.hd)).transpose(1, 2) for w in (self.wq, self.wk, self.wv))
        if rope is not None:
            q, k = rope(q), rope(k)
        k, v = k.repeat_interleave(self.g, 1), v.repeat_interleave(self.g, 1)
        s = q @ k.transpose(-1, -2) / self.hd**0.5
        s = s.masked_fill(torch.ones_like(s, dtype=torch.bool).triu(1), -math.inf)
        return self.wo((s.softmax(-1) @ v).transpose(1, 2).flatten(2))


# %% misconception="mask of the first length" exercise="GroupedQueryAttention"
# The mask is made once and kept; a longer x does not fit it.
class GroupedQueryAttention(nn.Module):
    def __init__(self, dim, heads, kv_heads):
        super().__init__()
        if dim % heads or heads % kv_heads:
            raise ValueError(f"{dim=}, {heads=}, {kv_heads=}")
        self.heads, self.kv_heads, self.head_dim = heads, kv_heads, dim // heads
        self.mask = None
        self.wq = nn.Linear(dim, dim, bias=False)
        self.wk = nn.Linear(dim, kv_heads * self.head_dim, bias=False)
        self.wv = nn.Linear(dim, kv_heads * self.head_dim, bias=False)
        self.wo = nn.Linear(dim, dim, bias=False)

    def forward(self, x, rope=None):
        length = x.shape[1]
        q = self.wq(x).unflatten(-1, (self.heads, self.head_dim)).transpose(1, 2)
        k = self.wk(x).unflatten(-1, (self.kv_heads, self.head_dim)).transpose(1, 2)
        v = self.wv(x).unflatten(-1, (self.kv_heads, self.head_dim)).transpose(1, 2)
        if rope is not None:
            q, k = rope(q), rope(k)
        group = self.heads // self.kv_heads
        k, v = k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1)
        scores = q @ k.mT / math.sqrt(self.head_dim)
        if self.mask is None:
            self.mask = torch.ones(length, length, dtype=torch.bool, device=x.device).triu(1)
        mask = self.mask[:length, :length]
        weights = scores.masked_fill(mask, -math.inf).softmax(-1)
        return self.wo((weights @ v).transpose(1, 2).flatten(2))


# %% misconception="integer root" exercise="GroupedQueryAttention"
# isqrt cuts the root off: right where head_dim is a square.
class GroupedQueryAttention(nn.Module):
    def __init__(self, dim, heads, kv_heads):
        super().__init__()
        if dim % heads or heads % kv_heads:
            raise ValueError(f"{dim=}, {heads=}, {kv_heads=}")
        self.heads, self.kv_heads, self.head_dim = heads, kv_heads, dim // heads
        self.wq = nn.Linear(dim, dim, bias=False)
        self.wk = nn.Linear(dim, kv_heads * self.head_dim, bias=False)
        self.wv = nn.Linear(dim, kv_heads * self.head_dim, bias=False)
        self.wo = nn.Linear(dim, dim, bias=False)

    def forward(self, x, rope=None):
        length = x.shape[1]
        q = self.wq(x).unflatten(-1, (self.heads, self.head_dim)).transpose(1, 2)
        k = self.wk(x).unflatten(-1, (self.kv_heads, self.head_dim)).transpose(1, 2)
        v = self.wv(x).unflatten(-1, (self.kv_heads, self.head_dim)).transpose(1, 2)
        if rope is not None:
            q, k = rope(q), rope(k)
        group = self.heads // self.kv_heads
        k, v = k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1)
        scores = q @ k.mT / math.isqrt(self.head_dim)
        mask = torch.ones(length, length, dtype=torch.bool, device=x.device).triu(1)
        weights = scores.masked_fill(mask, -math.inf).softmax(-1)
        return self.wo((weights @ v).transpose(1, 2).flatten(2))


# %% alternative="an axis for the group, and no copies" exercise="GroupedQueryAttention"
# Queries as (batch, kv_heads, group, length, head_dim); keys and values are broadcast.
class GroupedQueryAttention(nn.Module):
    def __init__(self, dim, heads, kv_heads):
        super().__init__()
        if dim % heads != 0 or heads % kv_heads != 0:
            raise ValueError("heads must divide dim, kv_heads must divide heads")
        self.heads, self.kv_heads, self.head_dim = heads, kv_heads, dim // heads
        self.wv = nn.Linear(dim, kv_heads * self.head_dim, bias=False)
        self.wk = nn.Linear(dim, kv_heads * self.head_dim, bias=False)
        self.wo = nn.Linear(dim, dim, bias=False)
        self.wq = nn.Linear(dim, dim, bias=False)

    def forward(self, x, rope=None):
        batch, length, dim = x.shape
        k = self.wk(x).view(batch, length, self.kv_heads, self.head_dim).transpose(1, 2)
        v = self.wv(x).view(batch, length, self.kv_heads, self.head_dim).transpose(1, 2)
        q = self.wq(x).view(batch, length, self.heads, self.head_dim).transpose(1, 2)
        if rope:
            k = rope(k)
            q = rope(q)
        q = q.reshape(batch, self.kv_heads, -1, length, self.head_dim)
        scores = q @ k[:, :, None].mT * self.head_dim**-0.5
        bias = torch.full((length, length), -torch.inf, dtype=x.dtype).triu(1)
        y = torch.softmax(scores + bias, dim=-1) @ v[:, :, None]
        return self.wo(y.flatten(1, 2).transpose(1, 2).reshape(batch, length, dim))


# %% alternative="einsum" exercise="GroupedQueryAttention"
# The groups as a letter of their own.
class GroupedQueryAttention(nn.Module):
    def __init__(self, dim, heads, kv_heads):
        super().__init__()
        if heads % kv_heads or dim % heads:
            raise ValueError(f"{dim} / {heads} / {kv_heads}")
        self.k, self.g, self.d = kv_heads, heads // kv_heads, dim // heads
        self.wq, self.wk, self.wv, self.wo = (
            nn.Linear(dim, size, bias=False) for size in (dim, kv_heads * self.d, kv_heads * self.d, dim)
        )

    def forward(self, x, rope=None):
        q = self.wq(x).unflatten(2, (self.k * self.g, self.d)).movedim(2, 1)
        k, v = (w(x).unflatten(2, (self.k, self.d)).movedim(2, 1) for w in (self.wk, self.wv))
        if rope is not None:
            k, q = rope(k), rope(q)
        q = q.unflatten(1, (self.k, self.g)) / math.sqrt(self.d)
        scores = torch.einsum("bkgtd,bksd->bkgts", q, k)
        t = x.shape[1]
        later = torch.arange(t)[None, :] > torch.arange(t)[:, None]
        weights = scores.masked_fill(later, float("-inf")).softmax(dim=-1)
        return self.wo(torch.einsum("bkgts,bksd->btkgd", weights, v).flatten(2))


# %% alternative="one head after the other" exercise="GroupedQueryAttention"
# A loop that says which key head is read, with the softmax in fp32 or wider.
class GroupedQueryAttention(nn.Module):
    def __init__(self, dim, heads, kv_heads):
        super().__init__()
        if dim % heads or heads % kv_heads:
            raise ValueError
        self.heads, self.kv_heads, self.hd = heads, kv_heads, dim // heads
        self.wq, self.wo = nn.Linear(dim, dim, False), nn.Linear(dim, dim, False)
        self.wk, self.wv = nn.Linear(dim, kv_heads * self.hd, False), nn.Linear(dim, kv_heads * self.hd, False)

    def forward(self, x, rope=None):
        q = torch.stack(self.wq(x).split(self.hd, -1), 1)
        k = torch.stack(self.wk(x).split(self.hd, -1), 1)
        v = self.wv(x).split(self.hd, -1)
        q, k = (q, k) if rope is None else (rope(q), rope(k))
        mask = torch.tril(torch.ones(x.shape[1], x.shape[1])) == 0
        out = []
        for head in range(self.heads):
            shared = head // (self.heads // self.kv_heads)
            scores = q[:, head] @ k[:, shared].transpose(1, 2) / math.sqrt(self.hd)
            scores = scores.to(torch.promote_types(scores.dtype, torch.float32)).masked_fill(mask, -math.inf)
            out.append(scores.softmax(-1).type_as(x) @ v[shared])
        return self.wo(torch.cat(out, -1))


# %% alternative="token by token, without a mask" exercise="GroupedQueryAttention"
# Each token gets the keys up to its own, so that nothing is to be masked.
class GroupedQueryAttention(nn.Module):
    def __init__(self, dim, heads, kv_heads):
        super().__init__()
        if dim % heads or heads % kv_heads:
            raise ValueError(f"{dim=}, {heads=}, {kv_heads=}")
        self.heads, self.kv_heads, self.head_dim = heads, kv_heads, dim // heads
        self.wq = nn.Linear(dim, dim, bias=False)
        self.wk = nn.Linear(dim, kv_heads * self.head_dim, bias=False)
        self.wv = nn.Linear(dim, kv_heads * self.head_dim, bias=False)
        self.wo = nn.Linear(dim, dim, bias=False)

    def forward(self, x, rope=None):
        length = x.shape[1]
        q = self.wq(x).unflatten(-1, (self.heads, self.head_dim)).transpose(1, 2)
        k = self.wk(x).unflatten(-1, (self.kv_heads, self.head_dim)).transpose(1, 2)
        v = self.wv(x).unflatten(-1, (self.kv_heads, self.head_dim)).transpose(1, 2)
        if rope is not None:
            q, k = rope(q), rope(k)
        group = self.heads // self.kv_heads
        reads = [i // group for i in range(self.heads)]
        k, v = k[:, reads], v[:, reads]
        tokens = []
        for t in range(length):
            scores = torch.einsum("bhd,bhsd->bhs", q[:, :, t], k[:, :, : t + 1]) / self.head_dim**0.5
            tokens.append(torch.einsum("bhs,bhsd->bhd", scores.softmax(-1), v[:, :, : t + 1]).flatten(1))
        return self.wo(torch.stack(tokens, dim=1))


# %% [markdown]
# ## kv_bytes_per_token


# %% misconception="keys alone" exercise="kv_bytes_per_token"
# One of the two is forgotten.
def kv_bytes_per_token(config, dtype=torch.bfloat16):
    return config.layers * config.kv_heads * config.head_dim * dtype.itemsize


# %% misconception="as many heads as queries" exercise="kv_bytes_per_token"
# What multi-head attention would keep.
def kv_bytes_per_token(config, dtype=torch.bfloat16):
    return 2 * config.layers * config.heads * config.head_dim * dtype.itemsize


# %% misconception="the whole width for each head" exercise="kv_bytes_per_token"
# A head has dim / heads numbers.
def kv_bytes_per_token(config, dtype=torch.bfloat16):
    return 2 * config.layers * config.kv_heads * config.dim * dtype.itemsize


# %% misconception="one layer" exercise="kv_bytes_per_token"
# Every layer has keys of its own.
def kv_bytes_per_token(config, dtype=torch.bfloat16):
    return 2 * config.kv_heads * config.head_dim * dtype.itemsize


# %% misconception="always two bytes" exercise="kv_bytes_per_token"
# The default is bf16.
def kv_bytes_per_token(config, dtype=torch.bfloat16):
    return 2 * config.layers * config.kv_heads * config.head_dim * 2


# %% misconception="width over key and value heads" exercise="kv_bytes_per_token"
# kv_heads * (dim / kv_heads) is dim: as if heads became wider when there are fewer of them.
def kv_bytes_per_token(config, dtype=torch.bfloat16):
    return 2 * config.layers * config.kv_heads * (config.dim // config.kv_heads) * dtype.itemsize


# %% misconception="queries are kept too" exercise="kv_bytes_per_token"
# Nobody reads an old query again.
def kv_bytes_per_token(config, dtype=torch.bfloat16):
    return config.layers * (config.heads + 2 * config.kv_heads) * config.head_dim * dtype.itemsize


# %% misconception="finfo" exercise="kv_bytes_per_token"
# finfo knows the bits of floating-point dtypes, and raises for int8.
def kv_bytes_per_token(config, dtype=torch.bfloat16):
    return 2 * config.layers * config.kv_heads * config.head_dim * torch.finfo(dtype).bits // 8


# %% misconception="heads of 128" exercise="kv_bytes_per_token"
# All large Llamas have a head_dim of 128.
def kv_bytes_per_token(config, dtype=torch.bfloat16):
    return 2 * config.layers * config.kv_heads * 128 * dtype.itemsize


# %% alternative="numbers first, then bytes" exercise="kv_bytes_per_token"
# In two steps.
def kv_bytes_per_token(config, dtype=torch.bfloat16):
    numbers = sum(config.kv_heads * config.dim // config.heads for _ in range(config.layers) for _ in "kv")
    return numbers * torch.empty((), dtype=dtype).element_size()


# %% alternative="a cache that is never filled" exercise="kv_bytes_per_token"
# On the meta device a tensor has a size and no memory.
def kv_bytes_per_token(config, dtype=torch.bfloat16):
    shape = (config.layers, 2, config.kv_heads, config.head_dim)
    return torch.empty(shape, dtype=dtype, device="meta").nbytes


# %% alternative="bits" exercise="kv_bytes_per_token"
# Through the bits of the dtype, which has a table for floats and one for integers.
def kv_bytes_per_token(config, dtype=torch.bfloat16):
    bits = (torch.finfo if dtype.is_floating_point else torch.iinfo)(dtype).bits
    return math.prod([2, config.layers, config.kv_heads, config.head_dim, bits]) // 8


# %% alternative="layer by layer" exercise="kv_bytes_per_token"
# A sum over the layers.
def kv_bytes_per_token(config, dtype=torch.bfloat16):
    item = torch.zeros((), dtype=dtype).element_size()
    total = 0
    for _ in range(config.layers):
        for _ in ("key", "value"):
            total += config.kv_heads * config.head_dim * item
    return total


# %% [markdown]
# ## LlamaBlock


# %% misconception="post-norm" exercise="LlamaBlock"
# As in the original Transformer, with the norm behind the sum.
class LlamaBlock(nn.Module):
    def __init__(self, dim, attention, feed_forward, eps=1e-5, norm=RMSNorm):
        super().__init__()
        self.attention_norm, self.ffn_norm = norm(dim, eps), norm(dim, eps)
        self.attention, self.feed_forward = attention, feed_forward

    def forward(self, x, rope=None):
        x = self.attention_norm(x + self.attention(x, rope))
        return self.ffn_norm(x + self.feed_forward(x))


# %% misconception="parallel halves" exercise="LlamaBlock"
# PaLM and GPT-J do this; Llama does not.
class LlamaBlock(nn.Module):
    def __init__(self, dim, attention, feed_forward, eps=1e-5, norm=RMSNorm):
        super().__init__()
        self.attention_norm, self.ffn_norm = norm(dim, eps), norm(dim, eps)
        self.attention, self.feed_forward = attention, feed_forward

    def forward(self, x, rope=None):
        return x + self.attention(self.attention_norm(x), rope) + self.feed_forward(self.ffn_norm(x))


# %% misconception="the stream is replaced by its normalised self" exercise="LlamaBlock"
# x = norm(x) reads well, and the residual connection then carries the wrong x.
class LlamaBlock(nn.Module):
    def __init__(self, dim, attention, feed_forward, eps=1e-5, norm=RMSNorm):
        super().__init__()
        self.attention_norm, self.ffn_norm = norm(dim, eps), norm(dim, eps)
        self.attention, self.feed_forward = attention, feed_forward

    def forward(self, x, rope=None):
        x = self.attention_norm(x)
        x = x + self.attention(x, rope)
        x = self.ffn_norm(x)
        return x + self.feed_forward(x)


# %% misconception="no residual around the MLP" exercise="LlamaBlock"
# The second sum is forgotten.
class LlamaBlock(nn.Module):
    def __init__(self, dim, attention, feed_forward, eps=1e-5, norm=RMSNorm):
        super().__init__()
        self.attention_norm, self.ffn_norm = norm(dim, eps), norm(dim, eps)
        self.attention, self.feed_forward = attention, feed_forward

    def forward(self, x, rope=None):
        h = x + self.attention(self.attention_norm(x), rope)
        return self.feed_forward(self.ffn_norm(h))


# %% misconception="the second sum starts from x" exercise="LlamaBlock"
# What attention wrote reaches the output only through the MLP.
class LlamaBlock(nn.Module):
    def __init__(self, dim, attention, feed_forward, eps=1e-5, norm=RMSNorm):
        super().__init__()
        self.attention_norm, self.ffn_norm = norm(dim, eps), norm(dim, eps)
        self.attention, self.feed_forward = attention, feed_forward

    def forward(self, x, rope=None):
        h = x + self.attention(self.attention_norm(x), rope)
        return x + self.feed_forward(self.ffn_norm(h))


# %% misconception="one norm for both halves" exercise="LlamaBlock"
# The same module twice: the same weight twice.
class LlamaBlock(nn.Module):
    def __init__(self, dim, attention, feed_forward, eps=1e-5, norm=RMSNorm):
        super().__init__()
        self.attention_norm = self.ffn_norm = norm(dim, eps)
        self.attention, self.feed_forward = attention, feed_forward

    def forward(self, x, rope=None):
        h = x + self.attention(self.attention_norm(x), rope)
        return h + self.feed_forward(self.ffn_norm(h))


# %% misconception="norms swapped" exercise="LlamaBlock"
# At initialisation both are ones, so nobody sees it before weights are loaded.
class LlamaBlock(nn.Module):
    def __init__(self, dim, attention, feed_forward, eps=1e-5, norm=RMSNorm):
        super().__init__()
        self.attention_norm, self.ffn_norm = norm(dim, eps), norm(dim, eps)
        self.attention, self.feed_forward = attention, feed_forward

    def forward(self, x, rope=None):
        h = x + self.attention(self.ffn_norm(x), rope)
        return h + self.feed_forward(self.attention_norm(h))


# %% misconception="rope stays behind" exercise="LlamaBlock"
# Without positions the block still runs.
class LlamaBlock(nn.Module):
    def __init__(self, dim, attention, feed_forward, eps=1e-5, norm=RMSNorm):
        super().__init__()
        self.attention_norm, self.ffn_norm = norm(dim, eps), norm(dim, eps)
        self.attention, self.feed_forward = attention, feed_forward

    def forward(self, x, rope=None):
        h = x + self.attention(self.attention_norm(x), None)
        return h + self.feed_forward(self.ffn_norm(h))


# %% misconception="eps stays behind" exercise="LlamaBlock"
# The norm has a default of its own.
class LlamaBlock(nn.Module):
    def __init__(self, dim, attention, feed_forward, eps=1e-5, norm=RMSNorm):
        super().__init__()
        self.attention_norm, self.ffn_norm = norm(dim, 1e-5), norm(dim, 1e-5)
        self.attention, self.feed_forward = attention, feed_forward

    def forward(self, x, rope=None):
        h = x + self.attention(self.attention_norm(x), rope)
        return h + self.feed_forward(self.ffn_norm(h))


# %% misconception="always RMSNorm" exercise="LlamaBlock"
# A Llama has no other norm, so the argument seems to be decoration.
class LlamaBlock(nn.Module):
    def __init__(self, dim, attention, feed_forward, eps=1e-5, norm=RMSNorm):
        super().__init__()
        self.attention_norm, self.ffn_norm = RMSNorm(dim, eps), RMSNorm(dim, eps)
        self.attention, self.feed_forward = attention, feed_forward

    def forward(self, x, rope=None):
        h = x + self.attention(self.attention_norm(x), rope)
        return h + self.feed_forward(self.ffn_norm(h))


# %% misconception="the stream is changed in place" exercise="LlamaBlock"
# += saves memory, and writes into the caller's x.
class LlamaBlock(nn.Module):
    def __init__(self, dim, attention, feed_forward, eps=1e-5, norm=RMSNorm):
        super().__init__()
        self.attention_norm, self.ffn_norm = norm(dim, eps), norm(dim, eps)
        self.attention, self.feed_forward = attention, feed_forward

    def forward(self, x, rope=None):
        x += self.attention(self.attention_norm(x), rope)
        x += self.feed_forward(self.ffn_norm(x))
        return x


# %% misconception="names of one's own" exercise="LlamaBlock"
# norm1 and norm2 are as good as other names, until a checkpoint is loaded.
class LlamaBlock(nn.Module):
    def __init__(self, dim, attention, feed_forward, eps=1e-5, norm=RMSNorm):
        super().__init__()
        self.norm1, self.norm2 = norm(dim, eps), norm(dim, eps)
        self.attention, self.feed_forward = attention, feed_forward

    def forward(self, x, rope=None):
        h = x + self.attention(self.norm1(x), rope)
        return h + self.feed_forward(self.norm2(h))


# %% misconception="eps by keyword" exercise="LlamaBlock"
# nn.LayerNorm calls it eps; another norm may not.
class LlamaBlock(nn.Module):
    def __init__(self, dim, attention, feed_forward, eps=1e-5, norm=RMSNorm):
        super().__init__()
        self.attention_norm = norm(dim, eps=eps)
        self.attention = attention
        self.ffn_norm = norm(dim, eps=eps)
        self.feed_forward = feed_forward

    def forward(self, x, rope=None):
        h = x + self.attention(self.attention_norm(x), rope)
        return h + self.feed_forward(self.ffn_norm(h))


# %% misconception="rope remembered" exercise="LlamaBlock"
# The first rope is kept, to save passing it on.
class LlamaBlock(nn.Module):
    def __init__(self, dim, attention, feed_forward, eps=1e-5, norm=RMSNorm):
        super().__init__()
        self.attention_norm = norm(dim, eps)
        self.rope = None
        self.attention = attention
        self.ffn_norm = norm(dim, eps)
        self.feed_forward = feed_forward

    def forward(self, x, rope=None):
        if rope is not None:
            self.rope = rope
        h = x + self.attention(self.attention_norm(x), self.rope)
        return h + self.feed_forward(self.ffn_norm(h))


# %% alternative="assembled in another order" exercise="LlamaBlock"
# Parts first, the sums the other way round.
class LlamaBlock(nn.Module):
    def __init__(self, dim, attention, feed_forward, eps=1e-5, norm=RMSNorm):
        super().__init__()
        self.feed_forward = feed_forward
        self.ffn_norm = norm(dim, eps)
        self.attention = attention
        self.attention_norm = norm(dim, eps)

    def forward(self, x, rope=None):
        attended = self.attention(self.attention_norm(x), rope)
        stream = torch.add(attended, x)
        return torch.add(self.feed_forward(self.ffn_norm(stream)), stream)


# %% alternative="a helper for the residual" exercise="LlamaBlock"
# Both halves have one form.
class LlamaBlock(nn.Module):
    def __init__(self, dim, attention, feed_forward, eps=1e-5, norm=RMSNorm):
        super().__init__()
        self.add_module("attention", attention)
        self.add_module("feed_forward", feed_forward)
        for name in ("attention_norm", "ffn_norm"):
            self.add_module(name, norm(dim, eps))

    def forward(self, x, rope=None):
        def residual(stream, norm, part):
            return stream + part(norm(stream))

        x = residual(x, self.attention_norm, lambda h: self.attention(h, rope))
        return residual(x, self.ffn_norm, self.feed_forward)


# %% alternative="in place on a copy" exercise="LlamaBlock"
# The first sum makes a new tensor, and only that one is written to.
class LlamaBlock(nn.Module):
    def __init__(self, dim, attention, feed_forward, eps=1e-5, norm=RMSNorm):
        super().__init__()
        self.attention_norm = norm(dim, eps)
        self.ffn_norm = norm(dim, eps)
        self.attention = attention
        self.feed_forward = feed_forward

    def forward(self, x, rope=None):
        h = self.attention(self.attention_norm(x), rope) + x
        out = h.clone()
        out += self.feed_forward(self.ffn_norm(h))
        return out


# %% alternative="a loop over the two halves" exercise="LlamaBlock"
# Both halves are the same three steps.
class LlamaBlock(nn.Module):
    def __init__(self, dim, attention, feed_forward, eps=1e-5, norm=RMSNorm):
        super().__init__()
        parts = {"attention": attention, "feed_forward": feed_forward}
        for name, part in parts.items():
            self.add_module({"attention": "attention_norm", "feed_forward": "ffn_norm"}[name], norm(dim, eps))
            self.add_module(name, part)

    def forward(self, x, rope=None):
        stream = x
        for norm, part in (
            (self.attention_norm, lambda z: self.attention(z, rope)),
            (self.ffn_norm, self.feed_forward),
        ):
            stream = torch.add(part(norm(stream)), stream)
        return stream


# %% [markdown]
# ## count_parameters


# %% misconception="the head is forgotten" exercise="count_parameters"
# Counted as if every model were tied.
def count_parameters(config):
    attention = 2 * config.dim * (config.heads + config.kv_heads) * config.head_dim
    block = attention + 3 * config.dim * config.hidden + 2 * config.dim
    return config.vocab_size * config.dim + config.layers * block + config.dim


# %% misconception="tied is ignored" exercise="count_parameters"
# All Llamas of the table but one have a head of their own.
def count_parameters(config):
    attention = 2 * config.dim * (config.heads + config.kv_heads) * config.head_dim
    block = attention + 3 * config.dim * config.hidden + 2 * config.dim
    return 2 * config.vocab_size * config.dim + config.layers * block + config.dim


# %% misconception="four square matrices of attention" exercise="count_parameters"
# Right for Llama 1.
def count_parameters(config):
    block = 4 * config.dim**2 + 3 * config.dim * config.hidden + 2 * config.dim
    embedding = config.vocab_size * config.dim
    return embedding * (1 if config.tied else 2) + config.layers * block + config.dim


# %% misconception="two matrices in the MLP" exercise="count_parameters"
# Right for GPT-2.
def count_parameters(config):
    attention = 2 * config.dim * (config.heads + config.kv_heads) * config.head_dim
    block = attention + 2 * config.dim * config.hidden + 2 * config.dim
    embedding = config.vocab_size * config.dim
    return embedding * (1 if config.tied else 2) + config.layers * block + config.dim


# %% misconception="norms are too small to count" exercise="count_parameters"
# They vanish in billions with three digits.
def count_parameters(config):
    attention = 2 * config.dim * (config.heads + config.kv_heads) * config.head_dim
    block = attention + 3 * config.dim * config.hidden
    embedding = config.vocab_size * config.dim
    return embedding * (1 if config.tied else 2) + config.layers * block


# %% misconception="no last norm" exercise="count_parameters"
# It belongs to no block.
def count_parameters(config):
    attention = 2 * config.dim * (config.heads + config.kv_heads) * config.head_dim
    block = attention + 3 * config.dim * config.hidden + 2 * config.dim
    embedding = config.vocab_size * config.dim
    return embedding * (1 if config.tied else 2) + config.layers * block


# %% misconception="norms with biases" exercise="count_parameters"
# LayerNorm has two numbers for each feature.
def count_parameters(config):
    attention = 2 * config.dim * (config.heads + config.kv_heads) * config.head_dim
    block = attention + 3 * config.dim * config.hidden + 4 * config.dim
    embedding = config.vocab_size * config.dim
    return embedding * (1 if config.tied else 2) + config.layers * block + 2 * config.dim


# %% misconception="6.7 billion is 12 layers dim squared" exercise="count_parameters"
# The rule of thumb for GPT: 4 dim^2 of attention and 8 dim^2 of MLP.
def count_parameters(config):
    return 12 * config.layers * config.dim**2 + config.vocab_size * config.dim * (1 if config.tied else 2)


# %% misconception="attention without its output projection" exercise="count_parameters"
# q, k and v are what one remembers.
def count_parameters(config):
    attention = config.dim * (config.heads + 2 * config.kv_heads) * config.head_dim
    block = attention + 3 * config.dim * config.hidden + 2 * config.dim
    embedding = config.vocab_size * config.dim
    return embedding * (1 if config.tied else 2) + config.layers * block + config.dim


# %% misconception="the whole model once for each layer" exercise="count_parameters"
# A bracket too far: the embedding is multiplied by the layers.
def count_parameters(config):
    attention = 2 * config.dim * (config.heads + config.kv_heads) * config.head_dim
    block = attention + 3 * config.dim * config.hidden + 2 * config.dim
    embedding = config.vocab_size * config.dim
    return config.layers * (embedding * (1 if config.tied else 2) + block) + config.dim


# %% misconception="hidden by the rule where it is 0" exercise="count_parameters"
# `or` takes 0 for "not given".
def count_parameters(config):
    d = config.dim
    kv = config.kv_heads * config.head_dim
    attention = 2 * d * d + 2 * d * kv
    mlp = 3 * d * (config.hidden or swiglu_hidden(d))
    embedding = config.vocab_size * d
    head = 0 if config.tied else embedding
    return embedding + config.layers * (attention + mlp + 2 * d) + d + head


# %% misconception="one layer at least" exercise="count_parameters"
# A model without blocks looks like a mistake.
def count_parameters(config):
    d = config.dim
    kv = config.kv_heads * config.head_dim
    attention = 2 * d * d + 2 * d * kv
    mlp = 3 * d * config.hidden
    embedding = config.vocab_size * d
    head = 0 if config.tied else embedding
    return embedding + max(1, config.layers) * (attention + mlp + 2 * d) + d + head


# %% misconception="remembered by half of the sizes" exercise="count_parameters"
# A cache whose key lacks sizes that matter.
def count_parameters(config, _known={}):
    key = (config.dim, config.layers, config.vocab_size)
    if key not in _known:
        d = config.dim
        kv = config.kv_heads * config.head_dim
        layer = 2 * d * d + 2 * d * kv + 3 * d * config.hidden + 2 * d
        _known[key] = config.layers * layer + d + (1 if config.tied else 2) * config.vocab_size * d
    return _known[key]


# %% alternative="shapes, one by one" exercise="count_parameters"
# A list of matrices, and the product of each one's shape.
def count_parameters(config):
    d, h, kv = config.dim, config.hidden, config.kv_heads * config.head_dim
    block = [(d, d), (kv, d), (kv, d), (d, d), (h, d), (h, d), (d, h), (d,), (d,)]
    once = [(config.vocab_size, d), (d,)] + ([] if config.tied else [(config.vocab_size, d)])
    return sum(math.prod(shape) for shape in block * config.layers + once)


# %% alternative="one block is really counted" exercise="count_parameters"
# Tensors on the meta device have a size and no memory.
def count_parameters(config):
    def numbers(*shape):
        return torch.empty(shape, device="meta").numel()

    dim, kv = config.dim, config.kv_heads * config.head_dim
    layer = 2 * numbers(dim, dim) + 2 * numbers(dim, kv) + 3 * numbers(dim, config.hidden) + 2 * numbers(dim)
    table = numbers(config.vocab_size, dim)
    return table + layer * config.layers + dim + (0 if config.tied else table)


# %% alternative="factored" exercise="count_parameters"
# dim is a factor of everything.
def count_parameters(c):
    each = 2 * (c.heads + c.kv_heads) * c.head_dim + 3 * c.hidden + 2
    return c.dim * (c.vocab_size * (2 - c.tied) + c.layers * each + 1)


# %% alternative="dim factored out" exercise="count_parameters"
# Everything has a factor of dim.
def count_parameters(config):
    kv = config.head_dim * config.kv_heads
    rows_of_a_layer = 2 * (config.dim + kv + 1) + 3 * config.hidden
    rows = config.vocab_size * (2 - int(config.tied)) + config.layers * rows_of_a_layer + 1
    return config.dim * rows
