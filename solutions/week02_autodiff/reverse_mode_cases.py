# %% [markdown]
# # Cases of `reverse_mode`: wrong and alternative answers that prove its tests
#
# ## central_difference


# %% misconception="one-sided difference" exercise="central_difference"
# The definition of a derivative, as in a calculus book, has f(x + h) - f(x).
def central_difference(f, x, h=6e-6):
    if h <= 0:
        raise ValueError("h must be positive")
    return (f(x + h) - f(x)) / h


# %% misconception="divides by h" exercise="central_difference"
# The denominator of the one-sided quotient is kept, but the points are now 2h apart.
def central_difference(f, x, h=6e-6):
    if h <= 0:
        raise ValueError("h must be positive")
    return (f(x + h) - f(x - h)) / h


# %% misconception="divides by two, then multiplies by h" exercise="central_difference"
# "Over 2h" typed as it is spoken.
def central_difference(f, x, h=6e-6):
    if h <= 0:
        raise ValueError("h must be positive")
    return (f(x + h) - f(x - h)) / 2 * h


# %% misconception="smaller must be better" exercise="central_difference"
# In the limit h goes to zero, so a fixed tiny step looks like the most exact choice.
def central_difference(f, x, h=6e-6):
    if h <= 0:
        raise ValueError("h must be positive")
    h = 1e-10
    return (f(x + h) - f(x - h)) / (2 * h)


# %% misconception="a zero step is let through" exercise="central_difference"
# The formula is right; a step of zero ends in ZeroDivisionError and a negative one gives an answer all the same.
def central_difference(f, x, h=6e-6):
    return (f(x + h) - f(x - h)) / (2 * h)


# %% misconception="only a zero step is refused" exercise="central_difference"
# With a negative step the quotient is still right, so why refuse it? The docstring says so.
def central_difference(f, x, h=6e-6):
    if h == 0:
        raise ValueError("h must not be 0")
    return (f(x + h) - f(x - h)) / (2 * h)


# %% misconception="sign of the difference" exercise="central_difference"
# Left minus right.
def central_difference(f, x, h=6e-6):
    if h <= 0:
        raise ValueError("h must be positive")
    return (f(x - h) - f(x + h)) / (2 * h)


# %% misconception="tiny steps are refused together with zero" exercise="central_difference"
# One learns not to compare floats with zero, so a threshold stands in its place.
def central_difference(f, x, h=6e-06):
    if h < 1e-12:
        raise ValueError("h is zero or negative")
    return (f(x + h) - f(x - h)) / (2 * h)


# %% misconception="the step is made relative to a large x" exercise="central_difference"
# Numerical recipes scale the step with x, because x + h must differ from x.
def central_difference(f, x, h=6e-06):
    if h <= 0:
        raise ValueError("h must be above 0")
    step = h * max(1.0, abs(x) / 10)
    return (f(x + step) - f(x - step)) / (2 * step)


# %% misconception="mean of the two one-sided quotients with a third call at x" exercise="central_difference"
# The same number on paper, for one call of f more.
def central_difference(f, x, h=6e-06):
    if h <= 0:
        raise ValueError("h must be above 0")
    middle = f(x)
    right = (f(x + h) - middle) / h
    left = (middle - f(x - h)) / h
    return (right + left) / 2


# %% misconception="values of f kept in float32" exercise="central_difference"
# Single precision is good enough for training, so it should do here.
def central_difference(f, x, h=6e-06):
    if h <= 0:
        raise ValueError("h must be above 0")
    up, down = np.float32(f(x + h)), np.float32(f(x - h))
    return float((up - down) / (2 * h))


# %% misconception="one vectorised call instead of two" exercise="central_difference"
# lambda x: x**2 takes arrays too; math.exp does not.
def central_difference(f, x, h=6e-06):
    if h <= 0:
        raise ValueError("h must be above 0")
    left, right = f(np.array([x - h, x + h]))
    return float(right - left) / (2 * h)


# %% misconception="the absolute value" exercise="central_difference"
# A derivative is a steepness, and steepness has no sign.
def central_difference(f, x, h=6e-6):
    if h <= 0:
        raise ValueError("h must be above 0")
    return abs(f(x + h) - f(x - h)) / (2 * h)


# %% alternative="slope of the line through two points" exercise="central_difference"
# Points first, then the slope of the line through them, with the distance as it was rounded.
def central_difference(f, x, h=6e-6):
    if not h > 0:
        raise ValueError(f"h = {h}")
    left, right = x - h, x + h
    y_left, y_right = f(left), f(right)
    return (y_right - y_left) / (right - left)


# %% alternative="each side weighted" exercise="central_difference"
# The finite-difference stencil [-1/2, 1/2] as a sum.
def central_difference(f, x, h=6e-6):
    if h <= 0.0:
        raise ValueError("step")
    return sum(weight * f(x + side * h) for side, weight in ((1, 0.5 / h), (-1, -0.5 / h)))


# %% alternative="exact fractions" exercise="central_difference"
# The difference of the two floats is taken exactly, and rounded once.
def central_difference(f, x, h=6e-06):
    from fractions import Fraction

    if h <= 0:
        raise ValueError("h must be above 0")
    up, down = (Fraction(float(f(point))) for point in (x + h, x - h))
    return float((up - down) / (2 * Fraction(h)))


# %% [markdown]
# ## dual


# %% misconception="the derivative of a product is the product of the derivatives" exercise="dual"
# The oldest mistake in calculus: Leibniz made it too.
def dual_mul(a, b):
    return Dual(a.value * b.value, a.tangent * b.tangent)


def dual_div(a, b):
    return Dual(a.value / b.value, (a.tangent * b.value - a.value * b.tangent) / b.value**2)


def dual_exp(a):
    return Dual(math.exp(a.value), math.exp(a.value) * a.tangent)


def jvp(f, x, v):
    out = f([Dual(xi, vi) for xi, vi in zip(x, v)])
    return out.value, out.tangent


# %% misconception="quotient rule with the wrong sign" exercise="dual"
# Which of the two products comes first?
def dual_mul(a, b):
    return Dual(a.value * b.value, a.tangent * b.value + a.value * b.tangent)


def dual_div(a, b):
    return Dual(a.value / b.value, (a.value * b.tangent - a.tangent * b.value) / b.value**2)


def dual_exp(a):
    return Dual(math.exp(a.value), math.exp(a.value) * a.tangent)


def jvp(f, x, v):
    out = f([Dual(xi, vi) for xi, vi in zip(x, v)])
    return out.value, out.tangent


# %% misconception="exp without the chain rule" exercise="dual"
# The derivative of exp is exp, and there it stops.
def dual_mul(a, b):
    return Dual(a.value * b.value, a.tangent * b.value + a.value * b.tangent)


def dual_div(a, b):
    return Dual(a.value / b.value, (a.tangent * b.value - a.value * b.tangent) / b.value**2)


def dual_exp(a):
    return Dual(math.exp(a.value), math.exp(a.value))


def jvp(f, x, v):
    out = f([Dual(xi, vi) for xi, vi in zip(x, v)])
    return out.value, out.tangent


# %% misconception="every input seeded with one" exercise="dual"
# Tangent 1 means "differentiate this", so all inputs get it and v is forgotten.
def dual_mul(a, b):
    return Dual(a.value * b.value, a.tangent * b.value + a.value * b.tangent)


def dual_div(a, b):
    return Dual(a.value / b.value, (a.tangent * b.value - a.value * b.tangent) / b.value**2)


def dual_exp(a):
    return Dual(math.exp(a.value), math.exp(a.value) * a.tangent)


def jvp(f, x, v):
    out = f([Dual(xi, 1.0) for xi in x])
    return out.value, out.tangent


# %% misconception="one pass for each input" exercise="dual"
# The whole gradient first, then its product with v: the right number for n times the price.
def dual_mul(a, b):
    return Dual(a.value * b.value, a.tangent * b.value + a.value * b.tangent)


def dual_div(a, b):
    return Dual(a.value / b.value, (a.tangent * b.value - a.value * b.tangent) / b.value**2)


def dual_exp(a):
    return Dual(math.exp(a.value), math.exp(a.value) * a.tangent)


def jvp(f, x, v):
    total = 0.0
    for i in range(len(x)):
        out = f([Dual(xi, 1.0 if j == i else 0.0) for j, xi in enumerate(x)])
        total += v[i] * out.tangent
    return out.value, total


# %% misconception="quotient rule without the square" exercise="dual"
# Divided by b once.
def dual_mul(a, b):
    return Dual(a.value * b.value, a.tangent * b.value + a.value * b.tangent)


def dual_div(a, b):
    return Dual(a.value / b.value, (a.tangent * b.value - a.value * b.tangent) / b.value)


def dual_exp(a):
    return Dual(math.exp(a.value), math.exp(a.value) * a.tangent)


def jvp(f, x, v):
    out = f([Dual(xi, vi) for xi, vi in zip(x, v)])
    return out.value, out.tangent


# %% misconception="only the tangent is returned" exercise="dual"
# The derivative is what one wants, so the value is dropped.
def dual_mul(a, b):
    return Dual(a.value * b.value, a.tangent * b.value + a.value * b.tangent)


def dual_div(a, b):
    return Dual(a.value / b.value, (a.tangent * b.value - a.value * b.tangent) / b.value**2)


def dual_exp(a):
    return Dual(math.exp(a.value), math.exp(a.value) * a.tangent)


def jvp(f, x, v):
    return f([Dual(xi, vi) for xi, vi in zip(x, v)]).tangent


# %% misconception="product rule by logarithmic derivatives" exercise="dual"
# (ab)' = ab (a'/a + b'/b) is right on paper, and divides by a factor that may be 0.
def dual_mul(a, b):
    product = a.value * b.value
    return Dual(product, product * (a.tangent / a.value + b.tangent / b.value))


def dual_div(a, b):
    return Dual(a.value / b.value, (a.tangent * b.value - a.value * b.tangent) / b.value**2)


def dual_exp(a):
    e = math.exp(a.value)
    return Dual(e, e * a.tangent)


def jvp(f, x, v):
    out = f([Dual(p, t) for p, t in zip(x, v, strict=True)])
    return out.value, out.tangent


# %% misconception="f gets a tuple" exercise="dual"
# A generator inside tuple() reads as well; a function that pops or appends needs the list.
def dual_mul(a, b):
    return Dual(a.value * b.value, a.tangent * b.value + a.value * b.tangent)


def dual_div(a, b):
    return Dual(a.value / b.value, (a.tangent * b.value - a.value * b.tangent) / b.value**2)


def dual_exp(a):
    e = math.exp(a.value)
    return Dual(e, e * a.tangent)


def jvp(f, x, v):
    out = f(tuple(Dual(p, t) for p, t in zip(x, v)))
    return out.value, out.tangent


# %% misconception="the exponent is clipped at 20" exercise="dual"
# A guard against overflow that cuts off far too early.
def dual_mul(a, b):
    return Dual(a.value * b.value, a.tangent * b.value + a.value * b.tangent)


def dual_div(a, b):
    return Dual(a.value / b.value, (a.tangent * b.value - a.value * b.tangent) / b.value**2)


def dual_exp(a):
    e = math.exp(max(-20.0, min(20.0, a.value)))
    return Dual(e, e * a.tangent)


def jvp(f, x, v):
    out = f([Dual(p, t) for p, t in zip(x, v, strict=True)])
    return out.value, out.tangent


# %% misconception="a numerator that does not move loses the sign" exercise="dual"
# A short cut for constants over something, written without the chain rule's minus.
def dual_mul(a, b):
    return Dual(a.value * b.value, a.tangent * b.value + a.value * b.tangent)


def dual_div(a, b):
    if a.tangent == 0:
        return Dual(a.value / b.value, a.value * b.tangent / b.value**2)
    return Dual(a.value / b.value, (a.tangent * b.value - a.value * b.tangent) / b.value**2)


def dual_exp(a):
    e = math.exp(a.value)
    return Dual(e, e * a.tangent)


def jvp(f, x, v):
    out = f([Dual(p, t) for p, t in zip(x, v, strict=True)])
    return out.value, out.tangent


# %% misconception="inputs that do not move stay plain floats" exercise="dual"
# "A plain number does not move", so why wrap it? Because f may call its methods.
def dual_mul(a, b):
    return Dual(a.value * b.value, a.tangent * b.value + a.value * b.tangent)


def dual_div(a, b):
    return Dual(a.value / b.value, (a.tangent * b.value - a.value * b.tangent) / b.value**2)


def dual_exp(a):
    e = math.exp(a.value)
    return Dual(e, e * a.tangent)


def jvp(f, x, v):
    out = dual(f([Dual(p, t) if t != 0 else p for p, t in zip(x, v)]))
    return out.value, out.tangent


# %% alternative="dual numbers as 2 x 2 matrices" exercise="dual"
# [[a, a'], [0, a]] multiplies and inverts just like a + a' eps.
def as_matrix(a):
    return np.array([[a.value, a.tangent], [0.0, a.value]])


def from_matrix(m):
    return Dual(float(m[0, 0]), float(m[0, 1]))


def dual_mul(a, b):
    return from_matrix(as_matrix(a) @ as_matrix(b))


def dual_div(a, b):
    return from_matrix(as_matrix(a) @ np.linalg.inv(as_matrix(b)))


def dual_exp(a):
    return from_matrix(np.exp(a.value) * np.array([[1.0, a.tangent], [0.0, 1.0]]))


def jvp(f, x, v):
    out = as_matrix(f([Dual(float(xi), float(vi)) for xi, vi in zip(x, v)]))
    return float(out[1, 1]), float(out[0, 1])


# %% alternative="quotient through the result" exercise="dual"
# With c = a / b, the rule is c' = (a' - c b') / b: one division fewer.
def dual_mul(a, b):
    (a, da), (b, db) = (a.value, a.tangent), (b.value, b.tangent)
    return Dual(a * b, b * da + a * db)


def dual_div(a, b):
    c = a.value / b.value
    return Dual(c, (a.tangent - c * b.tangent) / b.value)


def dual_exp(a):
    e = math.e**a.value
    return Dual(e, a.tangent * e)


def jvp(f, x, v):
    inputs = list(map(Dual, x, v))
    result = f(inputs)
    return (result.value, result.tangent)


# %% alternative="complex step underneath" exercise="dual"
# An imaginary part of 1e-100 behaves like eps: its square is lost in rounding.
def _through_complex(f, *duals):
    tiny = 1e-100
    out = f(*(complex(d.value, d.tangent * tiny) for d in duals))
    return Dual(out.real, out.imag / tiny)


def dual_mul(a, b):
    return _through_complex(lambda p, q: p * q, a, b)


def dual_div(a, b):
    return _through_complex(lambda p, q: p / q, a, b)


def dual_exp(a):
    return _through_complex(lambda p: complex(np.exp(p)), a)


def jvp(f, x, v):
    result = f([Dual(*pair) for pair in zip(x, v)])
    return result.value, result.tangent


# %% alternative="chain rule by one helper" exercise="dual"
# Every rule is a value, and the sum of partial times tangent.
def _chain(value, *pairs):
    return Dual(value, math.fsum(partial * tangent for partial, tangent in pairs))


def dual_mul(a, b):
    return _chain(a.value * b.value, (b.value, a.tangent), (a.value, b.tangent))


def dual_div(a, b):
    q = a.value / b.value
    return _chain(q, (1 / b.value, a.tangent), (-q / b.value, b.tangent))


def dual_exp(a):
    e = math.exp(a.value)
    return _chain(e, (e, a.tangent))


def jvp(f, x, v):
    match f([Dual(x[i], v[i]) for i in range(len(x))]):
        case Dual(value, tangent):
            return value, tangent


# %% [markdown]
# ## local_derivatives


# %% misconception="a product's factors not crossed" exercise="local_derivatives"
# Each input is handed back its own value.
def local_derivatives(op, a, b, out):
    if op == "+":
        return 1.0, 1.0
    if op == "*":
        return a, b
    if op == "**":
        return (b * a ** (b - 1),)
    if op == "exp":
        return (out,)
    if op == "log":
        return (1 / a,)
    if op == "tanh":
        return (1 - out**2,)
    if op == "relu":
        return (float(a > 0),)
    raise ValueError(op)


# %% misconception="the exponent stays" exercise="local_derivatives"
# n * a ** n: the factor comes down, but the exponent is not lowered.
def local_derivatives(op, a, b, out):
    if op == "+":
        return 1.0, 1.0
    if op == "*":
        return b, a
    if op == "**":
        return (b * out,)
    if op == "exp":
        return (out,)
    if op == "log":
        return (1 / a,)
    if op == "tanh":
        return (1 - out**2,)
    if op == "relu":
        return (float(a > 0),)
    raise ValueError(op)


# %% misconception="tanh from its input" exercise="local_derivatives"
# The formula 1 - t^2 is remembered, but not that t is the output.
def local_derivatives(op, a, b, out):
    if op == "+":
        return 1.0, 1.0
    if op == "*":
        return b, a
    if op == "**":
        return (b * a ** (b - 1),)
    if op == "exp":
        return (out,)
    if op == "log":
        return (1 / a,)
    if op == "tanh":
        return (1 - a**2,)
    if op == "relu":
        return (float(a > 0),)
    raise ValueError(op)


# %% misconception="relu's kink belongs to the right" exercise="local_derivatives"
# out >= 0 is true at 0, and there the docstring promises 0; it is even true for all negative inputs.
def local_derivatives(op, a, b, out):
    if op == "+":
        return 1.0, 1.0
    if op == "*":
        return b, a
    if op == "**":
        return (b * a ** (b - 1),)
    if op == "exp":
        return (out,)
    if op == "log":
        return (1 / a,)
    if op == "tanh":
        return (1 - out**2,)
    if op == "relu":
        return (1.0 if a >= 0 else 0.0,)
    raise ValueError(op)


# %% misconception="exp by the power rule" exercise="local_derivatives"
# x times the power, one less: e^x looks like a power.
def local_derivatives(op, a, b, out):
    if op == "+":
        return 1.0, 1.0
    if op == "*":
        return b, a
    if op == "**":
        return (b * a ** (b - 1),)
    if op == "exp":
        return (a * math.exp(a - 1),)
    if op == "log":
        return (1 / a,)
    if op == "tanh":
        return (1 - out**2,)
    if op == "relu":
        return (float(a > 0),)
    raise ValueError(op)


# %% misconception="logarithm from its output" exercise="local_derivatives"
# exp, tanh and relu use out, so log does too.
def local_derivatives(op, a, b, out):
    if op == "+":
        return 1.0, 1.0
    if op == "*":
        return b, a
    if op == "**":
        return (b * a ** (b - 1),)
    if op == "exp":
        return (out,)
    if op == "log":
        return (1 / out,)
    if op == "tanh":
        return (1 - out**2,)
    if op == "relu":
        return (float(a > 0),)
    raise ValueError(op)


# %% misconception="tanh by cosh" exercise="local_derivatives"
# The textbook's 1 / cosh^2 is right until cosh overflows.
def local_derivatives(op, a, b, out):
    if op == "+":
        return 1.0, 1.0
    if op == "*":
        return b, a
    if op == "**":
        return (b * a ** (b - 1),)
    if op == "exp":
        return (out,)
    if op == "log":
        return (1 / a,)
    if op == "tanh":
        return (1 / math.cosh(a) ** 2,)
    if op == "relu":
        return (float(a > 0),)
    raise ValueError(op)


# %% misconception="the exponent is an input too" exercise="local_derivatives"
# A power has two arguments, so two derivatives come back; but the exponent is a constant here.
def local_derivatives(op, a, b, out):
    if op == "+":
        return 1.0, 1.0
    if op == "*":
        return b, a
    if op == "**":
        return b * a ** (b - 1), out * math.log(a) if a > 0 else 0.0
    if op == "exp":
        return (out,)
    if op == "log":
        return (1 / a,)
    if op == "tanh":
        return (1 - out**2,)
    if op == "relu":
        return (float(a > 0),)
    raise ValueError(op)


# %% misconception="the power through its output" exercise="local_derivatives"
# n * out / a saves a power, and divides by zero where a is 0.
def local_derivatives(op, a, b, out):
    if op == "+":
        return 1.0, 1.0
    if op == "*":
        return b, a
    if op == "**":
        return (b * out / a,)
    if op == "exp":
        return (out,)
    if op == "log":
        return (1 / a,)
    if op == "tanh":
        return (1 - out**2,)
    if op == "relu":
        return (float(a > 0),)
    raise ValueError(op)


# %% misconception="an unknown operation is let through" exercise="local_derivatives"
# A dictionary's get gives None for what it does not know.
def local_derivatives(op, a, b, out):
    rules = {
        "+": lambda: (1.0, 1.0),
        "*": lambda: (b, a),
        "**": lambda: (b * a ** (b - 1),),
        "exp": lambda: (out,),
        "log": lambda: (1 / a,),
        "tanh": lambda: (1 - out**2,),
        "relu": lambda: (1.0 if a > 0 else 0.0,),
    }
    return rules.get(op, lambda: ())()


# %% misconception="all rules are computed, one is picked" exercise="local_derivatives"
# A dictionary of results instead of functions: 1 / a is computed even where nobody asked for it.
def local_derivatives(op, a, b, out):
    if op == "**":
        return (b * a ** (b - 1),)
    rules = {
        "+": (1.0, 1.0),
        "*": (b, a),
        "exp": (out,),
        "log": (1 / a,),
        "tanh": (1 - out**2,),
        "relu": (1.0 if a > 0 else 0.0,),
    }
    if op not in rules:
        raise ValueError(op)
    return rules[op]


# %% misconception="a power of zero has slope zero" exercise="local_derivatives"
# A guard against 0 to a negative power that catches a ** 1 too, whose slope is 1.
def local_derivatives(op, a, b, out):
    if op == "+":
        return (1.0, 1.0)
    if op == "*":
        return (b, a)
    if op == "**":
        return (b * a ** (b - 1) if a != 0 else 0.0,)
    if op == "exp":
        return (out,)
    if op == "log":
        return (1 / a,)
    if op == "tanh":
        return (1 - out**2,)
    if op == "relu":
        return (float(a > 0),)
    raise ValueError(op)


# %% misconception="the exponent is an integer" exercise="local_derivatives"
# The derivative as a product in a loop, which has no place for 0.5 or -1.
def local_derivatives(op, a, b, out):
    if op == "+":
        return (1.0, 1.0)
    if op == "*":
        return (b, a)
    if op == "**":
        slope = float(b)
        for _ in range(int(b) - 1):
            slope *= a
        return (slope,)
    if op == "exp":
        return (out,)
    if op == "log":
        return (1 / a,)
    if op == "tanh":
        return (1 - out**2,)
    if op == "relu":
        return (float(a > 0),)
    raise ValueError(op)


# %% alternative="a table of functions" exercise="local_derivatives"
# One entry for each operation; a missing key is turned into the promised error.
RULES = {
    "+": lambda a, b, out: (1, 1),
    "*": lambda a, b, out: (b, a),
    "**": lambda a, n, out: (n * math.pow(a, n - 1),),
    "exp": lambda a, _, out: (math.exp(a),),
    "log": lambda a, _, out: (a**-1.0,),
    "tanh": lambda a, _, out: ((1 - out) * (1 + out),),
    "relu": lambda a, _, out: (math.copysign(1.0, out) if out else 0.0,),
}


def local_derivatives(op, a, b, out):
    try:
        rule = RULES[op]
    except KeyError:
        raise ValueError(f"unknown operation {op}") from None
    return tuple(float(d) for d in rule(a, b, out))


# %% alternative="through dual numbers" exercise="local_derivatives"
# Forward mode on a single operation gives its local derivatives.
def local_derivatives(op, a, b, out):
    match op:
        case "+":
            return tuple(jvp(lambda x: x[0] + x[1], [a, b], v)[1] for v in ([1.0, 0.0], [0.0, 1.0]))
        case "*":
            return tuple(jvp(lambda x: x[0] * x[1], [a, b], v)[1] for v in ([1.0, 0.0], [0.0, 1.0]))
        case "exp":
            return (jvp(lambda x: x[0].exp(), [a], [1.0])[1],)
        case "**":
            return [b * a ** (b - 1)]
        case "log":
            return [1.0 / a]
        case "tanh":
            return [1.0 - math.tanh(a) * math.tanh(a)]
        case "relu":
            return [np.heaviside(a, 0.0)]
    raise ValueError(op)


# %% alternative="table of functions with the stable sech" exercise="local_derivatives"
# Every exponent is at most 0, so the textbook's formula does not overflow.
def _sech_squared(a):
    e = math.exp(-2 * abs(a))
    return 4 * e / (1 + e) ** 2


_RULES = {
    "+": (lambda a, b, out: 1.0, lambda a, b, out: 1.0),
    "*": (lambda a, b, out: b, lambda a, b, out: a),
    "**": (lambda a, b, out: b * a ** (b - 1),),
    "exp": (lambda a, b, out: math.exp(a),),
    "log": (lambda a, b, out: a**-1.0,),
    "tanh": (lambda a, b, out: _sech_squared(a),),
    "relu": (lambda a, b, out: math.copysign(0.5, a) + 0.5 if a else 0.0,),
}


def local_derivatives(op, a, b, out):
    if op not in _RULES:
        raise ValueError(op)
    return tuple(rule(a, b, out) for rule in _RULES[op])


# %% [markdown]
# ## topological_order


# %% misconception="recursion" exercise="topological_order"
# micrograd's own version, right for every graph that is not deep.
def topological_order(root):
    order, seen = [], set()

    def visit(node):
        if node not in seen:
            seen.add(node)
            for parent in node.parents:
                visit(parent)
            order.append(node)

    visit(root)
    return order


# %% misconception="recursion with a raised limit" exercise="topological_order"
# The error message names the recursion limit, so raise it.
def topological_order(root):
    sys.setrecursionlimit(200_000)
    order, seen = [], set()

    def visit(node):
        if node not in seen:
            seen.add(node)
            for parent in node.parents:
                visit(parent)
            order.append(node)

    visit(root)
    return order


# %% misconception="breadth first, then reversed" exercise="topological_order"
# Level by level from the root, and turned around: wrong as soon as a short way and a long way lead to the same node.
def topological_order(root):
    order, seen, queue = [], {root}, [root]
    for node in queue:
        order.append(node)
        for parent in node.parents:
            if parent not in seen:
                seen.add(parent)
                queue.append(parent)
    return order[::-1]


# %% misconception="a diamond is visited twice" exercise="topological_order"
# Without a set of visited nodes every path is followed. On a chain this is right.
def topological_order(root):
    order, stack = [], [root]
    while stack:
        node = stack.pop()
        order.append(node)
        stack.extend(node.parents)
    return order[::-1]


# %% misconception="every path, then duplicates dropped" exercise="topological_order"
# The right order comes out, after a walk along every path.
def topological_order(root):
    order, stack = [], [root]
    while stack:
        node = stack.pop()
        order.append(node)
        stack.extend(node.parents)
    return list(dict.fromkeys(reversed(order)))


# %% misconception="root first" exercise="topological_order"
# The order in which backward needs the nodes, not the one that was asked for.
def topological_order(root):
    order, seen, stack = [], set(), [(root, False)]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack.extend((p, False) for p in node.parents)
    return order[::-1]


# %% misconception="marked when pushed" exercise="topological_order"
# Preorder with a stack, then reversed; a node is ticked off before the longer way to it is known.
def topological_order(root):
    order, seen, stack = [], {root}, [root]
    while stack:
        node = stack.pop()
        order.append(node)
        for parent in node.parents:
            if parent not in seen:
                seen.add(parent)
                stack.append(parent)
    return order[::-1]


# %% misconception="two-phase stack, marked when pushed" exercise="topological_order"
# The right skeleton, with the check in the wrong place: a shared node waits under its user and comes too late.
def topological_order(root):
    order, seen, stack = [], {root}, [(root, False)]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
            continue
        stack.append((node, True))
        for parent in node.parents:
            if parent not in seen:
                seen.add(parent)
                stack.append((parent, False))
    return order


# %% misconception="the leaves are left out" exercise="topological_order"
# Leaves have nothing to hand on, so they seem not to matter; but they must receive.
def topological_order(root):
    order, seen, stack = [], set(), [(root, False)]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
        elif node not in seen and node.parents:
            seen.add(node)
            stack.append((node, True))
            stack.extend((p, False) for p in node.parents)
    return order


# %% misconception="told apart by name" exercise="topological_order"
# Nodes that print alike are taken for the same.
def topological_order(root):
    order, seen, stack = [], set(), [(root, False)]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
        elif repr(node) not in seen:
            seen.add(repr(node))
            stack.append((node, True))
            stack.extend((p, False) for p in node.parents)
    return order


# %% misconception="what was seen is kept in a list" exercise="topological_order"
# `in` reads the same for a list and for a set; but a list is walked through from its start.
def topological_order(root):
    order, seen, stack = [], [], [(root, False)]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
        elif node not in seen:
            seen.append(node)
            stack.append((node, True))
            for parent in node.parents:
                stack.append((parent, False))
    return order


# %% misconception="the mark is left on the node" exercise="topological_order"
# A flag on the node is quicker than a set, until the second call finds everything visited.
def topological_order(root):
    order, stack = [], [(root, False)]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
        elif not getattr(node, "visited", False):
            node.visited = True
            stack.append((node, True))
            stack.extend((parent, False) for parent in node.parents)
    return order


# %% misconception="a set as default argument" exercise="topological_order"
# A default looks fresh in every call, but lives as long as the function.
def topological_order(root, seen=set()):
    order, stack = [], [(root, False)]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack.extend((parent, False) for parent in node.parents)
    return order


# %% misconception="the parents are used up on the way" exercise="topological_order"
# node.parents serves as the list of what is still to do; afterwards the graph is gone.
def topological_order(root):
    order, seen, stack = [], {root}, [root]
    while stack:
        node = stack[-1]
        if node.parents:
            parent, *rest = node.parents
            node.parents = tuple(rest)
            if parent not in seen:
                seen.add(parent)
                stack.append(parent)
        else:
            order.append(stack.pop())
    return order


# %% alternative="Kahn's algorithm" exercise="topological_order"
# Count the users of each node; take a node when all its users are taken; turn the list around.
def topological_order(root):
    users, found = {root: 0}, [root]
    for node in found:
        for parent in node.parents:
            if parent not in users:
                users[parent] = 0
                found.append(parent)
            users[parent] += 1
    ready, order = [root], []
    while ready:
        node = ready.pop()
        order.append(node)
        for parent in node.parents:
            users[parent] -= 1
            if users[parent] == 0:
                ready.append(parent)
    order.reverse()
    return order


# %% alternative="a stack of iterators" exercise="topological_order"
# What a recursive visit keeps in its frames: the node, and how far it got with its parents.
def topological_order(root):
    order, seen = [], {id(root)}
    path = [(root, iter(root.parents))]
    while path:
        node, rest = path[-1]
        for parent in rest:
            if id(parent) not in seen:
                seen.add(id(parent))
                path.append((parent, iter(parent.parents)))
                break
        else:
            order.append(node)
            path.pop()
    return order


# %% alternative="the standard library" exercise="topological_order"
# graphlib sorts what it is given; collecting the nodes is all that remains.
from graphlib import TopologicalSorter


def topological_order(root):
    graph, waiting = {}, [root]
    while waiting:
        node = waiting.pop()
        if node not in graph:
            graph[node] = node.parents
            waiting.extend(node.parents)
    return list(TopologicalSorter(graph).static_order())


# %% alternative="by depth" exercise="topological_order"
# The longest way from a leaf, settled bottom-up, is a sorting key: a parent's is always smaller.
def topological_order(root):
    depth, stack = {}, [root]
    while stack:
        node = stack[-1]
        todo = [p for p in node.parents if p not in depth]
        if todo:
            stack.append(todo[0])
        else:
            depth[stack.pop()] = 1 + max((depth[p] for p in node.parents), default=0)
    return sorted(depth, key=depth.get)


# %% alternative="recursion on a trampoline of generators" exercise="topological_order"
# Written like the recursion; the suspended generators lie on a list, so Python's own stack stays flat.
def topological_order(root):
    order, seen = [], set()

    def visit(node):
        seen.add(node)
        for parent in node.parents:
            if parent not in seen:
                yield visit(parent)
        order.append(node)

    calls = [visit(root)]
    while calls:
        deeper = next(calls[-1], None)
        if deeper is None:
            calls.pop()
        else:
            calls.append(deeper)
    return order


# %% [markdown]
# ## backward


# %% misconception="overwrites instead of accumulating" exercise="backward"
# A gradient sounds like a value to set. On a tree that is right; a node with two users keeps only its last share.
def backward(root):
    root.grad = 1.0
    for node in reversed(topological_order(root)):
        for parent, d in zip(node.parents, node.partials):
            parent.grad = node.grad * d


# %% misconception="grad is also the messenger" exercise="backward"
# micrograd's way: right once, and after zeroing; without zeroing, old gradients in the middle are handed on again.
def backward(root):
    root.grad += 1.0
    for node in reversed(topological_order(root)):
        for parent, d in zip(node.parents, node.partials):
            parent.grad += node.grad * d


# %% misconception="the root is not seeded" exercise="backward"
# All gradients start at zero, and zero times anything is handed on.
def backward(root):
    arrived = dict.fromkeys(topological_order(root), 0.0)
    for node in reversed(topological_order(root)):
        node.grad += arrived[node]
        for parent, d in zip(node.parents, node.partials):
            arrived[parent] += arrived[node] * d


# %% misconception="from the inputs to the root" exercise="backward"
# The order as it comes, not reversed: nodes hand on what they do not have yet.
def backward(root):
    arrived = dict.fromkeys(topological_order(root), 0.0)
    arrived[root] = 1.0
    for node in topological_order(root):
        for parent, d in zip(node.parents, node.partials):
            arrived[parent] += arrived[node] * d
    for node, g in arrived.items():
        node.grad += g


# %% misconception="zeroes first" exercise="backward"
# Convenient in a training loop, but then two calls no longer add up.
def backward(root):
    nodes = topological_order(root)
    for node in nodes:
        node.grad = 0.0
    root.grad = 1.0
    for node in reversed(nodes):
        for parent, d in zip(node.parents, node.partials):
            parent.grad += node.grad * d


# %% misconception="sets the total at the end" exercise="backward"
# Accumulates within a call, and then writes over what earlier calls left.
def backward(root):
    arrived = {root: 1.0}
    for node in reversed(topological_order(root)):
        node.grad = arrived[node]
        for parent, d in zip(node.parents, node.partials):
            arrived[parent] = arrived.get(parent, 0.0) + arrived[node] * d


# %% misconception="parents as a set" exercise="backward"
# A dictionary from parent to partial: when x is both factors of x * x, one of them is lost.
def backward(root):
    arrived = {root: 1.0}
    for node in reversed(topological_order(root)):
        node.grad += arrived[node]
        for parent, d in dict(zip(node.parents, node.partials)).items():
            arrived[parent] = arrived.get(parent, 0.0) + arrived[node] * d


# %% misconception="recursion along every path" exercise="backward"
# The sum over all paths is the definition of the derivative; there may be 2^40 of them, and they may be deep.
def backward(root, g=1.0):
    root.grad += g
    for parent, d in zip(root.parents, root.partials):
        backward(parent, g * d)


# %% misconception="a stack along every path" exercise="backward"
# No recursion, no topological order, the right sums; but each path is walked alone.
def backward(root):
    stack = [(root, 1.0)]
    while stack:
        node, g = stack.pop()
        node.grad += g
        for parent, d in zip(node.parents, node.partials):
            stack.append((parent, g * d))


# %% misconception="level by level" exercise="backward"
# Breadth first from the root, each node once: a node may hand on before its last share has come.
def backward(root):
    arrived, queue = {root: 1.0}, [root]
    for node in queue:
        node.grad += arrived[node]
        for parent, d in zip(node.parents, node.partials):
            if parent not in arrived:
                arrived[parent] = 0.0
                queue.append(parent)
            arrived[parent] += arrived[node] * d


# %% misconception="new share as difference to the old grad" exercise="backward"
# What arrived in this call is what grad has grown by; beside an old 1e20 that rounds to nothing.
def backward(root):
    order = topological_order(root)
    old = {node: node.grad for node in order}
    root.grad += 1.0
    for node in reversed(order):
        g = node.grad - old[node]
        for parent, partial in zip(node.parents, node.partials, strict=True):
            parent.grad += g * partial


# %% misconception="the place of a parent is searched in the list" exercise="backward"
# A list of sums beside the order; order.index looks for each parent from the start.
def backward(root):
    order = topological_order(root)
    shares = [0.0] * len(order)
    shares[-1] = 1.0
    for i in reversed(range(len(order))):
        node = order[i]
        node.grad += shares[i]
        for parent, partial in zip(node.parents, node.partials):
            shares[order.index(parent)] += shares[i] * partial


# %% misconception="vanishing shares are dropped" exercise="backward"
# Close enough to zero, and it saves work; but 1e-15 may be the whole gradient.
def backward(root):
    arrived = {root: 1.0}
    for node in reversed(topological_order(root)):
        g = arrived.get(node, 0.0)
        if abs(g) < 1e-12:
            continue
        node.grad += g
        for parent, partial in zip(node.parents, node.partials):
            arrived[parent] = arrived.get(parent, 0.0) + g * partial


# %% misconception="shares are booked under the number of the node" exercise="backward"
# node.data as the key: two nodes that hold the same number are taken for one.
def backward(root):
    arrived = {root.data: 1.0}
    for node in reversed(topological_order(root)):
        g = arrived.get(node.data, 0.0)
        node.grad += g
        for parent, partial in zip(node.parents, node.partials):
            arrived[parent.data] = arrived.get(parent.data, 0.0) + g * partial


# %% alternative="old gradients put aside" exercise="backward"
# micrograd's loop on clean gradients; what was there before is added afterwards.
def backward(root):
    nodes = topological_order(root)
    before = [node.grad for node in nodes]
    for node in nodes:
        node.grad = 0.0
    root.grad = 1.0
    for node in reversed(nodes):
        for parent, d in zip(node.parents, node.partials):
            parent.grad += d * node.grad
    for node, old in zip(nodes, before):
        node.grad += old


# %% alternative="a ready queue that counts users" exercise="backward"
# PyTorch's way, without a sorted list: a node is ready when as many shares arrived as it has users.
def backward(root):
    users, found = {root: 0}, [root]
    for node in found:
        for parent in node.parents:
            if parent not in users:
                users[parent] = 0
                found.append(parent)
            users[parent] += 1
    total = dict.fromkeys(found, 0.0)
    total[root] = 1.0
    ready = [root]
    while ready:
        node = ready.pop()
        node.grad = node.grad + total[node]
        for parent, d in zip(node.parents, node.partials):
            total[parent] += total[node] * d
            users[parent] -= 1
            if not users[parent]:
                ready.append(parent)


# %% alternative="pulled, not pushed" exercise="backward"
# Each node collects from its users, instead of the users handing on.
def backward(root):
    order = topological_order(root)
    place = {node: i for i, node in enumerate(order)}
    users = [[] for _ in order]
    for i, node in enumerate(order):
        for parent, d in zip(node.parents, node.partials):
            users[place[parent]].append((i, d))
    bar = np.zeros(len(order))
    bar[-1] = 1.0
    for i in range(len(order) - 2, -1, -1):
        bar[i] = sum(bar[j] * d for j, d in users[i])
    for node, g in zip(order, bar):
        node.grad += float(g)


# %% [markdown]
# ## unbroadcast


# %% misconception="only the axes in front" exercise="unbroadcast"
# The bias of a layer has an axis less; an axis of size 1 that was stretched is forgotten.
def unbroadcast(g, shape):
    while g.ndim > len(shape):
        g = g.sum(axis=0)
    return g


# %% misconception="the stretched axis disappears" exercise="unbroadcast"
# The sum is right, but without keepdims the axis of size 1 is gone.
def unbroadcast(g, shape):
    while g.ndim > len(shape):
        g = g.sum(axis=0)
    stretched = tuple(i for i, n in enumerate(shape) if n == 1)
    return g.sum(axis=stretched)


# %% misconception="mean instead of sum" exercise="unbroadcast"
# Many rows, one bias: an average seems fair. But the shares of all users add up.
def unbroadcast(g, shape):
    while g.ndim > len(shape):
        g = g.mean(axis=0)
    for i, n in enumerate(shape):
        if n == 1:
            g = g.mean(axis=i, keepdims=True)
    return g


# %% misconception="shapes lined up from the left" exercise="unbroadcast"
# Axis by axis from the front, as one reads.
def unbroadcast(g, shape):
    padded = tuple(shape) + (1,) * (g.ndim - len(shape))
    axes = tuple(i for i, (n, m) in enumerate(zip(g.shape, padded)) if n != m)
    return g.sum(axis=axes, keepdims=True).reshape(shape)


# %% misconception="takes one row" exercise="unbroadcast"
# All copies were equal going forward, so any one of them will do going back.
def unbroadcast(g, shape):
    while g.ndim > len(shape):
        g = g[0]
    for i, n in enumerate(shape):
        if n == 1:
            g = np.take(g, [0], axis=i)
    return g


# %% misconception="sums over the batch only" exercise="unbroadcast"
# Written with the bias in mind: if the shapes differ, sum over axis 0.
def unbroadcast(g, shape):
    return g if g.shape == tuple(shape) else g.sum(axis=0)


# %% misconception="the first axis that differs, and then done" exercise="unbroadcast"
# One stretched axis is handled; a second one is not.
def unbroadcast(g, shape):
    while g.ndim > len(shape):
        g = g.sum(axis=0)
    for i, n in enumerate(shape):
        if n == 1 and g.shape[i] > 1:
            return g.sum(axis=i, keepdims=True)
    return g


# %% misconception="stretched means that g is larger there" exercise="unbroadcast"
# Sums where shape says 1 and g says more; but 1 can be stretched to 0, too.
def unbroadcast(g, shape):
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))
    axes = tuple(i for i, n in enumerate(shape) if n == 1 and g.shape[i] > 1)
    return g.sum(axis=axes, keepdims=True) if axes else g


# %% misconception="sums kept in float32" exercise="unbroadcast"
# Gradients need few digits, one hears.
def unbroadcast(g, shape):
    g = g.sum(axis=tuple(range(g.ndim - len(shape))), dtype=np.float32)
    return g.sum(axis=tuple(i for i, n in enumerate(shape) if n == 1), keepdims=True)


# %% misconception="missing values do not count" exercise="unbroadcast"
# nansum keeps the training alive, and hides where the NaN came from.
def unbroadcast(g, shape):
    g = np.nansum(g, axis=tuple(range(g.ndim - len(shape))))
    return np.nansum(g, axis=tuple(i for i, n in enumerate(shape) if n == 1), keepdims=True)


# %% misconception="the leading axes are merged in place" exercise="unbroadcast"
# Assigning to g.shape saves a copy; the caller's array has another shape afterwards.
def unbroadcast(g, shape):
    lead = g.ndim - len(shape)
    if lead > 0:
        g.shape = (-1, *g.shape[lead:])
        g = g.sum(axis=0)
    axes = tuple(i for i, n in enumerate(shape) if n == 1)
    return g.sum(axis=axes, keepdims=True)


# %% misconception="axes are matched by their size" exercise="unbroadcast"
# An axis whose length does not occur in shape must have been added; with (3, 3) and (3,) none seems to be.
def unbroadcast(g, shape):
    axes = tuple(i for i, n in enumerate(g.shape) if n not in shape)
    return g.sum(axis=axes).reshape(shape)


# %% misconception="stretched axes first, counted from the left" exercise="unbroadcast"
# The places of the ones in shape are used while the axes in front still stand.
def unbroadcast(g, shape):
    stretched = tuple(i for i, n in enumerate(shape) if n == 1)
    g = g.sum(axis=stretched, keepdims=True)
    return g.sum(axis=tuple(range(g.ndim - len(shape))))


# %% alternative="one sum, then reshape" exercise="unbroadcast"
# Pad the shape on the left, sum wherever it says 1, and let reshape drop the rest.
def unbroadcast(g, shape):
    padded = (1,) * (np.ndim(g) - len(shape)) + tuple(shape)
    return np.sum(g, axis=tuple(i for i, n in enumerate(padded) if n == 1)).reshape(shape)


# %% alternative="einsum" exercise="unbroadcast"
# Name the axes, keep the names of those that were not stretched.
def unbroadcast(g, shape):
    axes = list(range(g.ndim))
    lead = g.ndim - len(shape)
    keep = [i for i in axes if i >= lead and shape[i - lead] == g.shape[i]]
    return np.einsum(g, axes, keep).reshape(shape)


# %% alternative="counts where each entry came from" exercise="unbroadcast"
# Broadcast the places of the small array, and add up by place.
def unbroadcast(g, shape):
    size = math.prod(shape)
    places = np.broadcast_to(np.arange(size).reshape(shape), g.shape)
    return np.bincount(places.ravel(), weights=np.ravel(g), minlength=size).reshape(shape)


# %% alternative="recursion over one axis at a time" exercise="unbroadcast"
# First the axes in front, then the first stretched axis that is left; the base case is g itself.
def unbroadcast(g, shape):
    if g.ndim > len(shape):
        return unbroadcast(np.add.reduce(g, axis=0), shape)
    for i, (have, want) in enumerate(zip(g.shape, shape)):
        if have != want:
            return unbroadcast(np.add.reduce(g, axis=i, keepdims=True), shape)
    return g


# %% [markdown]
# ## matmul_vjp


# %% misconception="b is not transposed" exercise="matmul_vjp"
# By analogy with a product of numbers: g * b and g * a.
def matmul_vjp(g, a, b):
    return unbroadcast(g @ b, a.shape), unbroadcast(a @ g, b.shape)


# %% misconception="all axes are transposed" exercise="matmul_vjp"
# .T is the transposition of the formula, for matrices. With a batch it reverses the batch axes too.
def matmul_vjp(g, a, b):
    return unbroadcast(g @ b.T, a.shape), unbroadcast(a.T @ g, b.shape)


# %% misconception="the first two axes are swapped" exercise="matmul_vjp"
# Axes 0 and 1 are the rows and columns of a matrix, but not of a batch.
def matmul_vjp(g, a, b):
    return unbroadcast(g @ b.swapaxes(0, 1), a.shape), unbroadcast(a.swapaxes(0, 1) @ g, b.shape)


# %% misconception="batches are not summed" exercise="matmul_vjp"
# Right for matrices and for equal batches; a weight that is shared by the batch gets a gradient for each example.
def matmul_vjp(g, a, b):
    return g @ b.swapaxes(-1, -2), a.swapaxes(-1, -2) @ g


# %% misconception="the two gradients swapped" exercise="matmul_vjp"
# For square matrices the shapes do not complain.
def matmul_vjp(g, a, b):
    ga = unbroadcast(g @ b.swapaxes(-1, -2), a.shape)
    gb = unbroadcast(a.swapaxes(-1, -2) @ g, b.shape)
    return gb, ga


# %% misconception="order of the factors" exercise="matmul_vjp"
# Transposed rightly, multiplied from the wrong side.
def matmul_vjp(g, a, b):
    return unbroadcast(b.swapaxes(-1, -2) @ g, a.shape), unbroadcast(g @ a.swapaxes(-1, -2), b.shape)


# %% misconception="the batch is always summed" exercise="matmul_vjp"
# Written for a shared weight: a second factor that has a batch of its own loses it.
def matmul_vjp(g, a, b):
    ga = g @ b.swapaxes(-1, -2)
    gb = a.swapaxes(-1, -2) @ g
    return ga.reshape(-1, *ga.shape[-2:]).sum(axis=0), gb.reshape(-1, *gb.shape[-2:]).sum(axis=0)


# %% misconception="missing axes summed, stretched ones not" exercise="matmul_vjp"
# A batch axis of size 1 was broadcast as well.
def matmul_vjp(g, a, b):
    ga, gb = g @ b.swapaxes(-1, -2), a.swapaxes(-1, -2) @ g
    while ga.ndim > a.ndim:
        ga = ga.sum(axis=0)
    while gb.ndim > b.ndim:
        gb = gb.sum(axis=0)
    return ga, gb


# %% misconception="float32 for speed" exercise="matmul_vjp"
# GPUs multiply in few digits, so why not here.
def matmul_vjp(g, a, b):
    a32, b32, g32 = (m.astype(np.float32) for m in (a, b, g))
    return unbroadcast(g32 @ b32.swapaxes(-1, -2), a.shape), unbroadcast(a32.swapaxes(-1, -2) @ g32, b.shape)


# %% misconception="the judge does the work" exercise="matmul_vjp"
# PyTorch knows the answer.
def matmul_vjp(g, a, b):
    leaves = [torch.asarray(m.copy()).requires_grad_() for m in (a, b)]
    out = torch.matmul(*leaves)
    return tuple(d.numpy() for d in torch.autograd.grad(out, leaves, torch.asarray(g.copy())))


# %% misconception="missing axes are added to the inputs in place" exercise="matmul_vjp"
# Assigning to .shape pads the factors with ones, for the caller as well.
def matmul_vjp(g, a, b):
    shape_a, shape_b = a.shape, b.shape
    for m in (a, b):
        if m.ndim < g.ndim:
            m.shape = (1,) * (g.ndim - m.ndim) + m.shape
    return unbroadcast(g @ b.swapaxes(-1, -2), shape_a), unbroadcast(a.swapaxes(-1, -2) @ g, shape_b)


# %% misconception="results live in buffers that are used again" exercise="matmul_vjp"
# Saves allocations; the next call writes over the gradients of the last one.
_buffers = {}


def matmul_vjp(g, a, b):
    def product(which, left, right, shape):
        full = unbroadcast(left @ right, shape)
        buffer = _buffers.setdefault((which, shape), np.empty(shape))
        buffer[...] = full
        return buffer

    return product("a", g, b.swapaxes(-1, -2), a.shape), product("b", a.swapaxes(-1, -2), g, b.shape)


# %% misconception="g is summed before the product" exercise="matmul_vjp"
# Saves work: but a sum of products is not the product of the sums.
def matmul_vjp(g, a, b):
    n, m = g.shape[-2:]
    for_a, for_b = unbroadcast(g, (*a.shape[:-2], n, m)), unbroadcast(g, (*b.shape[:-2], n, m))
    grad_a = for_a @ b.swapaxes(-1, -2)
    grad_b = a.swapaxes(-1, -2) @ for_b
    return unbroadcast(grad_a, a.shape), unbroadcast(grad_b, b.shape)


# %% alternative="einsum" exercise="matmul_vjp"
# The index formulas of the text, literally.
def matmul_vjp(g, a, b):
    ga = np.einsum("...nm,...km->...nk", g, b)
    gb = np.einsum("...nk,...nm->...km", a, g)
    return unbroadcast(ga, a.shape), unbroadcast(gb, b.shape)


# %% alternative="a loop over the batch" exercise="matmul_vjp"
# Broadcast both factors to the full batch, and add each matrix's share where it belongs.
def matmul_vjp(g, a, b):
    ga, gb = np.zeros(a.shape), np.zeros(b.shape)
    batch = g.shape[:-2]
    for place in np.ndindex(batch):
        at_a = tuple(0 if n == 1 else i for i, n in zip(place[len(batch) - (a.ndim - 2) :], a.shape[:-2]))
        at_b = tuple(0 if n == 1 else i for i, n in zip(place[len(batch) - (b.ndim - 2) :], b.shape[:-2]))
        ga[at_a] += g[place].dot(b[at_b].T)
        gb[at_b] += a[at_a].T.dot(g[place])
    return ga, gb


# %% alternative="transposed twice" exercise="matmul_vjp"
# (b g^T)^T is g b^T: the second rule gets by with the first one.
def matmul_vjp(g, a, b):
    def flip(m):
        return np.moveaxis(m, -1, -2)

    ga = flip(np.matmul(b, flip(g)))
    gb = flip(np.matmul(flip(g), a))
    return unbroadcast(ga, a.shape), unbroadcast(gb, b.shape)


# %% alternative="broadcast multiplication and sums" exercise="matmul_vjp"
# No matrix product at all: one axis more, products entry by entry, a sum.
def matmul_vjp(g, a, b):
    grad_a = (g[..., :, None, :] * b[..., None, :, :]).sum(axis=-1)
    grad_b = (a[..., :, :, None] * g[..., :, None, :]).sum(axis=-3)
    return unbroadcast(grad_a, a.shape), unbroadcast(grad_b, b.shape)


# %% [markdown]
# ## reduction_vjps


# %% misconception="the lost axis is not put back" exercise="reduction_vjps"
# Broadcasting looks as if it did the job; it lines shapes up from the right.
def sum_vjp(g, x, axis=None, keepdims=False):
    return np.broadcast_to(g, x.shape)


def mean_vjp(g, x, axis=None, keepdims=False):
    return sum_vjp(g, x, axis, keepdims) * np.size(g) / x.size


def max_vjp(g, x, axis=None, keepdims=False):
    winner = x == x.max(axis=axis, keepdims=True)
    return sum_vjp(g, x, axis, keepdims) * winner / winner.sum(axis=axis, keepdims=True)


# %% misconception="keepdims is ignored" exercise="reduction_vjps"
# The axis is put back although it was never lost.
def sum_vjp(g, x, axis=None, keepdims=False):
    g = np.expand_dims(g, tuple(range(x.ndim)) if axis is None else axis)
    return np.broadcast_to(g, x.shape)


def mean_vjp(g, x, axis=None, keepdims=False):
    return sum_vjp(g, x, axis, keepdims) * np.size(g) / x.size


def max_vjp(g, x, axis=None, keepdims=False):
    winner = x == x.max(axis=axis, keepdims=True)
    return sum_vjp(g, x, axis, keepdims) * winner / winner.sum(axis=axis, keepdims=True)


# %% misconception="the mean does not divide" exercise="reduction_vjps"
# A mean spreads its gradient as a sum does, and the 1/n is forgotten.
def sum_vjp(g, x, axis=None, keepdims=False):
    if not keepdims:
        g = np.expand_dims(g, tuple(range(x.ndim)) if axis is None else axis)
    return np.broadcast_to(g, x.shape)


def mean_vjp(g, x, axis=None, keepdims=False):
    return sum_vjp(g, x, axis, keepdims)


def max_vjp(g, x, axis=None, keepdims=False):
    winner = x == x.max(axis=axis, keepdims=True)
    return sum_vjp(g, x, axis, keepdims) * winner / winner.sum(axis=axis, keepdims=True)


# %% misconception="the mean divides by everything" exercise="reduction_vjps"
# x.size is right for a mean over all axes only.
def sum_vjp(g, x, axis=None, keepdims=False):
    if not keepdims:
        g = np.expand_dims(g, tuple(range(x.ndim)) if axis is None else axis)
    return np.broadcast_to(g, x.shape)


def mean_vjp(g, x, axis=None, keepdims=False):
    return sum_vjp(g, x, axis, keepdims) / x.size


def max_vjp(g, x, axis=None, keepdims=False):
    winner = x == x.max(axis=axis, keepdims=True)
    return sum_vjp(g, x, axis, keepdims) * winner / winner.sum(axis=axis, keepdims=True)


# %% misconception="every winner takes all" exercise="reduction_vjps"
# The mask of the maximum, times g: ties are paid twice.
def sum_vjp(g, x, axis=None, keepdims=False):
    if not keepdims:
        g = np.expand_dims(g, tuple(range(x.ndim)) if axis is None else axis)
    return np.broadcast_to(g, x.shape)


def mean_vjp(g, x, axis=None, keepdims=False):
    return sum_vjp(g, x, axis, keepdims) * np.size(g) / x.size


def max_vjp(g, x, axis=None, keepdims=False):
    return sum_vjp(g, x, axis, keepdims) * (x == x.max(axis=axis, keepdims=True))


# %% misconception="the first winner takes all" exercise="reduction_vjps"
# argmax gives one place, the first. torch.max does so too, but the docstring promises equal shares.
def sum_vjp(g, x, axis=None, keepdims=False):
    if not keepdims:
        g = np.expand_dims(g, tuple(range(x.ndim)) if axis is None else axis)
    return np.broadcast_to(g, x.shape)


def mean_vjp(g, x, axis=None, keepdims=False):
    return sum_vjp(g, x, axis, keepdims) * np.size(g) / x.size


def max_vjp(g, x, axis=None, keepdims=False):
    axes = tuple(range(x.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    axes = tuple(a % x.ndim for a in axes)
    rest = tuple(a for a in range(x.ndim) if a not in axes)
    moved = x.transpose(rest + axes)
    flat = moved.reshape(*moved.shape[: len(rest)], -1)
    out = np.zeros_like(flat)
    spread = sum_vjp(g, x, axis, keepdims).transpose(rest + axes).reshape(flat.shape)
    first = np.expand_dims(flat.argmax(-1), -1)
    np.put_along_axis(out, first, np.take_along_axis(spread, first, -1), -1)
    return out.reshape(moved.shape).transpose(np.argsort(rest + axes))


# %% misconception="the winner of the whole array" exercise="reduction_vjps"
# x.max() without the axis: only one row keeps its gradient.
def sum_vjp(g, x, axis=None, keepdims=False):
    if not keepdims:
        g = np.expand_dims(g, tuple(range(x.ndim)) if axis is None else axis)
    return np.broadcast_to(g, x.shape)


def mean_vjp(g, x, axis=None, keepdims=False):
    return sum_vjp(g, x, axis, keepdims) * np.size(g) / x.size


def max_vjp(g, x, axis=None, keepdims=False):
    winner = x == x.max()
    return sum_vjp(g, x, axis, keepdims) * winner / winner.sum()


# %% misconception="one axis at a time only" exercise="reduction_vjps"
# Written for an integer axis; None and tuples were forgotten.
def sum_vjp(g, x, axis=None, keepdims=False):
    if not keepdims and isinstance(axis, int):
        g = np.expand_dims(g, axis)
    return np.broadcast_to(g, x.shape)


def mean_vjp(g, x, axis=None, keepdims=False):
    n = x.size if axis is None else x.shape[axis] if isinstance(axis, int) else np.prod([x.shape[a] for a in axis])
    return sum_vjp(g, x, axis, keepdims) / n


def max_vjp(g, x, axis=None, keepdims=False):
    winner = x == x.max(axis=axis, keepdims=True)
    return sum_vjp(g, x, axis, keepdims) * winner / winner.sum(axis=axis, keepdims=True)


# %% misconception="floats are compared with isclose" exercise="reduction_vjps"
# One learns never to compare floats with ==; here both are the same stored number, or not.
def sum_vjp(g, x, axis=None, keepdims=False):
    if not keepdims:
        g = np.expand_dims(g, tuple(range(x.ndim)) if axis is None else axis)
    return np.broadcast_to(g, x.shape)


def mean_vjp(g, x, axis=None, keepdims=False):
    return sum_vjp(g, x, axis, keepdims) * (np.size(g) / max(x.size, 1))


def max_vjp(g, x, axis=None, keepdims=False):
    winners = np.isclose(x, x.max(axis=axis, keepdims=True))
    return sum_vjp(g, x, axis, keepdims) * winners / winners.sum(axis=axis, keepdims=True)


# %% misconception="axis zero is taken for no axis" exercise="reduction_vjps"
# `if not axis` is true for 0 as well as for None.
def sum_vjp(g, x, axis=None, keepdims=False):
    if not keepdims:
        g = np.expand_dims(g, tuple(range(x.ndim)) if axis is None else axis)
    return np.broadcast_to(g, x.shape)


def mean_vjp(g, x, axis=None, keepdims=False):
    axes = axis if isinstance(axis, tuple) else (axis,)
    n = math.prod(x.shape[k] for k in axes) if axis else x.size
    return sum_vjp(g, x, axis, keepdims) / n


def max_vjp(g, x, axis=None, keepdims=False):
    winners = x == x.max(axis=axis, keepdims=True)
    return sum_vjp(g, x, axis, keepdims) * winners / winners.sum(axis=axis, keepdims=True)


# %% misconception="several axes are several maxima in turn" exercise="reduction_vjps"
# The maximum over two axes is a maximum of maxima, but ties do not share like that.
def sum_vjp(g, x, axis=None, keepdims=False):
    if not keepdims:
        g = np.expand_dims(g, tuple(range(x.ndim)) if axis is None else axis)
    return np.broadcast_to(g, x.shape)


def mean_vjp(g, x, axis=None, keepdims=False):
    return sum_vjp(g, x, axis, keepdims) * (np.size(g) / max(x.size, 1))


def max_vjp(g, x, axis=None, keepdims=False):
    axes = tuple(range(x.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    axes = sorted(k % x.ndim for k in axes)
    if not keepdims:
        g = np.expand_dims(g, tuple(axes))
    steps = [x]
    for k in reversed(axes):
        steps.append(steps[-1].max(axis=k, keepdims=True))
    for k in axes:
        top = steps.pop()
        winners = steps[-1] == top
        g = g * winners / winners.sum(axis=k, keepdims=True)
    return g * np.ones(x.shape)


# %% misconception="shares kept in a float32 mask" exercise="reduction_vjps"
# A half is exact in float32, a third is not.
def sum_vjp(g, x, axis=None, keepdims=False):
    if not keepdims:
        g = np.expand_dims(g, tuple(range(x.ndim)) if axis is None else axis)
    return np.broadcast_to(g, x.shape)


def mean_vjp(g, x, axis=None, keepdims=False):
    return sum_vjp(g, x, axis, keepdims) * (np.size(g) / max(x.size, 1))


def max_vjp(g, x, axis=None, keepdims=False):
    winners = (x == x.max(axis=axis, keepdims=True)).astype(np.float32)
    return sum_vjp(g, x, axis, keepdims) * (winners / winners.sum(axis=axis, keepdims=True))


# %% misconception="broadcast if it fits and put the axis back if not" exercise="reduction_vjps"
# Ask forgiveness, not permission: on a square array the wrong axis fits.
def sum_vjp(g, x, axis=None, keepdims=False):
    try:
        return np.broadcast_to(g, x.shape)
    except ValueError:
        return np.broadcast_to(np.expand_dims(g, axis), x.shape)


def mean_vjp(g, x, axis=None, keepdims=False):
    return sum_vjp(g, x, axis, keepdims) * (np.size(g) / max(x.size, 1))


def max_vjp(g, x, axis=None, keepdims=False):
    winners = x == x.max(axis=axis, keepdims=True)
    return sum_vjp(g, x, axis, keepdims) * winners / winners.sum(axis=axis, keepdims=True)


# %% misconception="axes are put back one after the other as given" exercise="reduction_vjps"
# A loop over expand_dims moves the places of the axes that are still to come.
def sum_vjp(g, x, axis=None, keepdims=False):
    if not keepdims:
        if axis is None:
            axis = tuple(range(x.ndim))
        for one in axis if isinstance(axis, tuple) else (axis,):
            g = np.expand_dims(g, one)
    return np.broadcast_to(g, x.shape)


def mean_vjp(g, x, axis=None, keepdims=False):
    return sum_vjp(g, x, axis, keepdims) * (np.size(g) / max(x.size, 1))


def max_vjp(g, x, axis=None, keepdims=False):
    winners = x == x.max(axis=axis, keepdims=True)
    return sum_vjp(g, x, axis, keepdims) * winners / winners.sum(axis=axis, keepdims=True)


# %% alternative="reshape to the kept shape" exercise="reduction_vjps"
# Whether or not the axes were kept, the kept shape is known, and the order of entries is the same.
def kept(x, axis):
    axes = range(x.ndim) if axis is None else (axis,) if np.isscalar(axis) else axis
    axes = {a % x.ndim for a in axes}
    return tuple(1 if i in axes else n for i, n in enumerate(x.shape))


def sum_vjp(g, x, axis=None, keepdims=False):
    return np.ones_like(x) * np.reshape(g, kept(x, axis))


def mean_vjp(g, x, axis=None, keepdims=False):
    shape = kept(x, axis)
    return np.ones_like(x) * np.reshape(g, shape) * math.prod(shape) / x.size


def max_vjp(g, x, axis=None, keepdims=False):
    best = np.amax(x, axis=axis).reshape(kept(x, axis))
    share = np.where(x >= best, 1.0, 0.0)
    share /= np.sum(share, axis=axis).reshape(best.shape)
    return share * np.reshape(g, best.shape)


# %% alternative="each on its own, axes put back one by one" exercise="reduction_vjps"
# Three functions that share nothing but a loop.
def put_back(g, x, axis, keepdims):
    g = np.array(g)
    if keepdims:
        return g
    axes = range(x.ndim) if axis is None else [axis] if isinstance(axis, int) else axis
    for a in sorted(a if a >= 0 else a + x.ndim for a in axes):
        g = np.expand_dims(g, a)
    return g


def sum_vjp(g, x, axis=None, keepdims=False):
    return np.zeros(x.shape) + put_back(g, x, axis, keepdims)


def mean_vjp(g, x, axis=None, keepdims=False):
    g = put_back(g, x, axis, keepdims)
    ratio = [n / m for n, m in zip(x.shape, g.shape)]
    return np.zeros(x.shape) + g / np.prod(ratio)


def max_vjp(g, x, axis=None, keepdims=False):
    g = put_back(g, x, axis, keepdims)
    is_max = x == x.max(axis=axis, keepdims=True)
    return np.where(is_max, g / is_max.sum(axis=axis, keepdims=True), 0)


# %% alternative="addresses of the output" exercise="reduction_vjps"
# Number the outputs, spread the numbers over x, and look g up by number.
def _address(g, x, axis):
    axes = set(range(x.ndim)) if axis is None else {k % x.ndim for k in np.atleast_1d(np.array(axis, dtype=int))}
    kept = [1 if k in axes else n for k, n in enumerate(x.shape)]
    return np.broadcast_to(np.arange(math.prod(kept)).reshape(kept), x.shape)


def sum_vjp(g, x, axis=None, keepdims=False):
    return np.ravel(g)[_address(g, x, axis)]


def mean_vjp(g, x, axis=None, keepdims=False):
    at = _address(g, x, axis)
    counts = np.bincount(at.ravel(), minlength=np.size(g))
    return (np.ravel(g) / counts)[at]


def max_vjp(g, x, axis=None, keepdims=False):
    at = _address(g, x, axis)
    top = np.full(np.size(g), -np.inf)
    np.maximum.at(top, at.ravel(), x.ravel())
    wins = x == top[at]
    counts = np.bincount(at[wins], minlength=np.size(g))
    return np.where(wins, (np.ravel(g) / counts)[at], 0.0)


# %% alternative="one rule with weights" exercise="reduction_vjps"
# All three are g times weights; the lost axes return by a reshape to the shape with ones.
def _spread(g, x, axis, weights):
    ones = x.sum(axis=axis, keepdims=True).shape
    return np.asarray(g).reshape(ones) * weights


def sum_vjp(g, x, axis=None, keepdims=False):
    return _spread(g, x, axis, np.ones_like(x))


def mean_vjp(g, x, axis=None, keepdims=False):
    ones = np.ones_like(x)
    return _spread(g, x, axis, ones / ones.sum(axis=axis, keepdims=True))


def max_vjp(g, x, axis=None, keepdims=False):
    wins = np.equal(x, np.max(x, axis=axis, keepdims=True)).astype(float)
    return _spread(g, x, axis, wins / np.add.reduce(wins, axis=axis, keepdims=True))


# %% [markdown]
# ## shape_vjps


# %% misconception="the same permutation again" exercise="shape_vjps"
# Swapping twice gives the original, so permuting twice should.
def reshape_vjp(g, shape):
    return g.reshape(shape)


def transpose_vjp(g, axes):
    return g.transpose(tuple(axes)) if len(axes) else g.T


# %% misconception="always reversed" exercise="shape_vjps"
# .T undoes a transposition, of a matrix.
def reshape_vjp(g, shape):
    return g.reshape(shape)


def transpose_vjp(g, axes):
    return g.T


# %% misconception="the permutation read backwards" exercise="shape_vjps"
# Backward means reversed, so the list of axes is reversed.
def reshape_vjp(g, shape):
    return g.reshape(shape)


def transpose_vjp(g, axes):
    return g.transpose(tuple(axes)[::-1]) if len(axes) else g.T


# %% misconception="reshape in Fortran order" exercise="shape_vjps"
# "Backwards" again: the other order of NumPy looks like the inverse.
def reshape_vjp(g, shape):
    return g.reshape(shape, order="F")


def transpose_vjp(g, axes):
    return g.transpose(np.argsort(axes)) if len(axes) else g.T


# %% misconception="changes the shape in place" exercise="shape_vjps"
# Assigning to .shape is quick, and changes the array of another node.
def reshape_vjp(g, shape):
    g.shape = shape
    return g


def transpose_vjp(g, axes):
    return g.transpose(np.argsort(axes)) if len(axes) else g.T


# %% misconception="the order in memory" exercise="shape_vjps"
# ravel(order="K") reads memory as it lies: right for a contiguous array only.
def reshape_vjp(g, shape):
    return g.ravel(order="K").reshape(shape)


def transpose_vjp(g, axes):
    return g.transpose(np.argsort(axes)) if len(axes) else g.T


# %% misconception="no axes means nothing to do" exercise="shape_vjps"
# The empty list stands for all axes in reversed order, not for none.
def reshape_vjp(g, shape):
    return g.reshape(shape)


def transpose_vjp(g, axes):
    return g.transpose(np.argsort(axes)) if len(axes) else g


# %% misconception="only the empty tuple is empty" exercise="shape_vjps"
# axes == () is False for an empty list.
def reshape_vjp(g, shape):
    return g.reshape(shape)


def transpose_vjp(g, axes):
    if axes == ():
        return g.transpose()
    inverse = [0] * len(axes)
    for place, axis in enumerate(axes):
        inverse[axis] = place
    return g if not inverse else g.transpose(inverse)


# %% misconception="the first size is left to minus one" exercise="shape_vjps"
# Right for every batch; an array without axes, or with none of something, has no such size.
def reshape_vjp(g, shape):
    return g.reshape(-1, *shape[1:])


def transpose_vjp(g, axes):
    return g.transpose(np.argsort(axes)) if len(axes) else g.transpose()


# %% misconception="a matrix can only be transposed" exercise="shape_vjps"
# With two axes there seems to be only .T; but (0, 1) leaves them as they are.
def reshape_vjp(g, shape):
    return g.reshape(shape)


def transpose_vjp(g, axes):
    if g.ndim == 2 or len(axes) == 0:
        return g.T
    return g.transpose(np.argsort(axes))


# %% misconception="results are made contiguous" exercise="shape_vjps"
# For speed; np.ascontiguousarray gives an array without axes one axis.
def reshape_vjp(g, shape):
    return np.ascontiguousarray(g.reshape(shape))


def transpose_vjp(g, axes):
    return np.ascontiguousarray(g.transpose(np.argsort(axes)) if len(axes) else g.transpose())


# %% misconception="mutates the list of axes" exercise="shape_vjps"
# The inverse is built by emptying axes, which the engine needs again at the next backward.
def reshape_vjp(g, shape):
    return g.reshape(shape)


def transpose_vjp(g, axes):
    if not len(axes):
        return g.transpose()
    todo = axes if isinstance(axes, list) else list(axes)
    inverse = [0] * len(todo)
    while todo:
        axis = todo.pop()
        inverse[axis] = len(todo)
    return g.transpose(inverse)


# %% misconception="the inverse is cached by the number of axes" exercise="shape_vjps"
# A table filled on first use: the next permutation of as many axes gets the first one's inverse.
def reshape_vjp(g, shape):
    return g.reshape(shape)


_inverses = {}


def transpose_vjp(g, axes):
    if len(axes) == 0:
        return g.transpose()
    if g.ndim not in _inverses:
        _inverses[g.ndim] = np.argsort(axes)
    return g.transpose(_inverses[g.ndim])


# %% misconception="a permutation is a rotation" exercise="shape_vjps"
# (1, 2, 0) moves everything by one place, so everything is moved back.
def reshape_vjp(g, shape):
    return g.reshape(shape)


def transpose_vjp(g, axes):
    if len(axes) == 0:
        return g.T
    return g.transpose(np.roll(np.arange(g.ndim), axes[0]))


# %% alternative="moveaxis" exercise="shape_vjps"
# Axis i of g goes back to place axes[i].
def reshape_vjp(g, shape):
    return np.array(g).reshape(*shape) if shape else np.reshape(g, ())


def transpose_vjp(g, axes):
    axes = tuple(axes) or tuple(range(g.ndim))[::-1]
    return np.moveaxis(g, range(g.ndim), axes)


# %% alternative="the inverse by hand" exercise="shape_vjps"
# inverse[p[i]] = i, in a loop; entries copied one by one into the old shape.
def reshape_vjp(g, shape):
    out = np.empty(shape)
    out.flat = [g[i] for i in np.ndindex(g.shape)]
    return out


def transpose_vjp(g, axes):
    axes = list(axes)
    if not axes:
        axes = list(range(g.ndim - 1, -1, -1))
    inverse = [0] * g.ndim
    for i, axis in enumerate(axes):
        inverse[axis] = i
    return np.array(g.transpose(inverse), order="C")


# %% alternative="einsum and index lookup" exercise="shape_vjps"
# Label the axes of g by the axes they came from, and ask for them in order.
def reshape_vjp(g, shape):
    return np.fromiter(g.flat, dtype=np.float64, count=g.size).reshape(shape)


def transpose_vjp(g, axes):
    axes = list(axes) or list(reversed(range(g.ndim)))
    return np.einsum(g, axes, sorted(axes))


# %% alternative="scatter into an array seen transposed" exercise="shape_vjps"
# Writes through a transposed view of the result, so no inverse is needed.
def reshape_vjp(g, shape):
    out = np.zeros(shape)
    for k, at in zip(range(g.size), np.ndindex(tuple(shape))):
        out[at] = g[np.unravel_index(k, g.shape)]
    return out


def transpose_vjp(g, axes):
    axes = tuple(axes) if len(axes) else tuple(reversed(range(g.ndim)))
    sizes = dict(zip(axes, g.shape))
    out = np.empty([sizes[k] for k in range(g.ndim)])
    out.transpose(axes)[...] = g
    return out


# %% [markdown]
# ## index_vjp


# %% misconception="assignment" exercise="index_vjp"
# The mirror image of reading is writing; of a place that was read twice, the last write stays.
def index_vjp(g, x, index):
    out = np.zeros_like(x)
    out[index] = g
    return out


# %% misconception="plus-equals" exercise="index_vjp"
# Looks like accumulation; NumPy reads all places first and writes them afterwards.
def index_vjp(g, x, index):
    out = np.zeros_like(x)
    out[index] += g
    return out


# %% misconception="adds onto x" exercise="index_vjp"
# A copy of x instead of zeros to start from.
def index_vjp(g, x, index):
    out = x.copy()
    np.add.at(out, index, g)
    return out


# %% misconception="adds into x itself" exercise="index_vjp"
# No copy at all: the values of another node are overwritten.
def index_vjp(g, x, index):
    x[...] = 0
    np.add.at(x, index, g)
    return x


# %% misconception="indexes g" exercise="index_vjp"
# The vjp of indexing is not indexing.
def index_vjp(g, x, index):
    return g[index]


# %% misconception="zeros of the shape of g" exercise="index_vjp"
# The gradient of x has the shape of x, not of what was read.
def index_vjp(g, x, index):
    out = np.zeros_like(g)
    np.add.at(out, index, g)
    return out


# %% misconception="averages repeats" exercise="index_vjp"
# A row that was read twice gets the mean of its two gradients.
def index_vjp(g, x, index):
    total, count = np.zeros_like(x), np.zeros_like(x)
    np.add.at(total, index, g)
    np.add.at(count, index, 1.0)
    return total / np.maximum(count, 1)


# %% misconception="rows only" exercise="index_vjp"
# A loop over a list of row numbers, as in an embedding; masks, slices and tuples are something else.
def index_vjp(g, x, index):
    out = np.zeros_like(x)
    if isinstance(index, slice):
        index = range(*index.indices(len(x)))
    for row, i in zip(g, index):
        out[i] += row
    return out


# %% misconception="bincount for integer lists" exercise="index_vjp"
# bincount adds up repeats, but takes no negative entries.
def index_vjp(g, x, index):
    if x.ndim == 1 and isinstance(index, (list, ndarray)) and np.asarray(index).dtype != bool:
        return np.bincount(np.ravel(index), weights=np.ravel(g), minlength=len(x))
    out = np.zeros(x.shape)
    np.add.at(out, index, g)
    return out


# %% misconception="zeros made as x times zero" exercise="index_vjp"
# Shape and dtype for free; but NaN times 0 is NaN.
def index_vjp(g, x, index):
    out = x * 0
    np.add.at(out, index, g)
    return out


# %% misconception="the embedding gradient in float32" exercise="index_vjp"
# The table of a language model is large, so half the memory is tempting.
def index_vjp(g, x, index):
    out = np.zeros(x.shape, dtype=np.float32)
    np.add.at(out, index, np.asarray(g, dtype=np.float32))
    return out


# %% misconception="a tuple has no repeats" exercise="index_vjp"
# A tuple is one place, so += seems safe; a tuple of lists may name a place twice.
def index_vjp(g, x, index):
    out = np.zeros(x.shape)
    if isinstance(index, tuple):
        out[index] += g
    else:
        np.add.at(out, index, g)
    return out


# %% misconception="a tuple is turned into an array" exercise="index_vjp"
# Tidying up: but (0, 2) is one entry, and [0, 2] are two rows.
def index_vjp(g, x, index):
    if isinstance(index, (list, tuple)):
        index = np.asarray(index)
    out = np.zeros(x.shape)
    np.add.at(out, index, g)
    return out


# %% alternative="bincount over places" exercise="index_vjp"
# Index an array of places, so that each entry of g knows where it came from, and add up by place.
def index_vjp(g, x, index):
    places = np.arange(x.size).reshape(x.shape)[index]
    return np.bincount(np.ravel(places), weights=np.ravel(g), minlength=x.size).reshape(x.shape)


# %% alternative="a loop over single entries" exercise="index_vjp"
# Plain Python: one entry after the other.
def index_vjp(g, x, index):
    places = np.asarray(np.arange(x.size).reshape(x.shape)[index])
    out = [0.0] * x.size
    for place, share in zip(places.ravel().tolist(), np.asarray(g).ravel().tolist()):
        out[place] += share
    return np.array(out).reshape(x.shape)


# %% alternative="a one-hot matrix" exercise="index_vjp"
# Reading is a product with a matrix of zeros and ones; the vjp is the product with its transpose.
def index_vjp(g, x, index):
    places = np.ravel(np.arange(x.size).reshape(x.shape)[index])
    one_hot = np.zeros((places.size, x.size))
    one_hot[np.arange(places.size), places] = 1.0
    return (one_hot.T @ np.ravel(g)).reshape(x.shape)


# %% alternative="sort and reduce by groups" exercise="index_vjp"
# Equal addresses become neighbours, and np.add.reduceat adds each group.
def index_vjp(g, x, index):
    address = np.ravel(np.arange(x.size).reshape(x.shape)[index])
    out = np.zeros(x.size)
    if address.size:
        order = np.argsort(address, kind="stable")
        places, starts = np.unique(address[order], return_index=True)
        out[places] = np.add.reduceat(np.ravel(g)[order], starts)
    return out.reshape(x.shape)


# %% [markdown]
# ## cross_entropy


# %% misconception="the maximum is not subtracted" exercise="cross_entropy"
# The formula as it stands in the book.
def cross_entropy(logits, targets):
    n = len(targets)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    loss = -np.log(p[np.arange(n), targets]).mean()
    gradient = p.copy()
    gradient[np.arange(n), targets] -= 1
    return loss, gradient / n


# %% misconception="the logarithm of a stable softmax" exercise="cross_entropy"
# The softmax is stable, but its small entries are 0, and the logarithm of 0 is infinite.
def cross_entropy(logits, targets):
    n = len(targets)
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    loss = -np.log(p[np.arange(n), targets]).mean()
    p[np.arange(n), targets] -= 1
    return loss, p / n


# %% misconception="probabilities clipped" exercise="cross_entropy"
# log(p + 1e-12) is finite, and wrong for every confident mistake.
def cross_entropy(logits, targets):
    n = len(targets)
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    loss = -np.log(p[np.arange(n), targets] + 1e-12).mean()
    p[np.arange(n), targets] -= 1
    return loss, p / n


# %% misconception="one maximum for the whole batch" exercise="cross_entropy"
# logits.max() without an axis: rows far below the largest one round to 0 / 0.
def cross_entropy(logits, targets):
    n = len(targets)
    z = logits - logits.max()
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    gradient = np.exp(log_p)
    gradient[np.arange(n), targets] -= 1
    return -log_p[np.arange(n), targets].mean(), gradient / n


# %% misconception="the gradient of the sum" exercise="cross_entropy"
# The loss is a mean, the gradient is not divided by the batch size.
def cross_entropy(logits, targets):
    n = len(targets)
    z = logits - logits.max(axis=1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    gradient = np.exp(log_p)
    gradient[np.arange(n), targets] -= 1
    return -log_p[np.arange(n), targets].mean(), gradient


# %% misconception="sum over the batch" exercise="cross_entropy"
# Neither the loss nor the gradient is a mean.
def cross_entropy(logits, targets):
    n = len(targets)
    z = logits - logits.max(axis=1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    gradient = np.exp(log_p)
    gradient[np.arange(n), targets] -= 1
    return -log_p[np.arange(n), targets].sum(), gradient


# %% misconception="every row at every target" exercise="cross_entropy"
# p[:, targets] picks a whole block, not one entry of each row.
def cross_entropy(logits, targets):
    n = len(targets)
    z = logits - logits.max(axis=1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    gradient = np.exp(log_p)
    gradient[:, targets] -= 1
    return -log_p[:, targets].mean(), gradient / n


# %% misconception="subtracts in place" exercise="cross_entropy"
# -= saves memory, and changes the logits of the node before.
def cross_entropy(logits, targets):
    n = len(targets)
    logits -= logits.max(axis=1, keepdims=True)
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    gradient = np.exp(log_p)
    gradient[np.arange(n), targets] -= 1
    return -log_p[np.arange(n), targets].mean(), gradient / n


# %% misconception="softmax over the batch" exercise="cross_entropy"
# axis=0 normalises over the examples instead of the classes.
def cross_entropy(logits, targets):
    n = len(targets)
    z = logits - logits.max(axis=0, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=0, keepdims=True))
    gradient = np.exp(log_p)
    gradient[np.arange(n), targets] -= 1
    return -log_p[np.arange(n), targets].mean(), gradient / n


# %% misconception="the target's entry only" exercise="cross_entropy"
# The loss reads one probability, so only that logit seems to get a gradient.
def cross_entropy(logits, targets):
    n = len(targets)
    z = logits - logits.max(axis=1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    gradient = np.zeros_like(logits)
    gradient[np.arange(n), targets] = np.exp(log_p[np.arange(n), targets]) - 1
    return -log_p[np.arange(n), targets].mean(), gradient / n


# %% misconception="the one-hot matrix is cached by shape" exercise="cross_entropy"
# Batches have the same shape in every step, but not the same targets.
_onehots = {}


def cross_entropy(logits, targets):
    if logits.shape not in _onehots:
        y = np.zeros(logits.shape)
        y[np.arange(len(y)), targets] = 1
        _onehots[logits.shape] = y
    y = _onehots[logits.shape]
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return float(-(y * log_p).sum() / len(y)), (np.exp(log_p) - y) / len(y)


# %% misconception="only positive logits are shifted" exercise="cross_entropy"
# Only large positive numbers overflow; a row far below zero rounds to log 0 instead.
def cross_entropy(logits, targets):
    shifted = logits - np.maximum(logits.max(axis=1, keepdims=True), 0)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    n = len(logits)
    gradient = np.exp(log_p)
    gradient[np.arange(n), targets] -= 1
    return float(-log_p[np.arange(n), targets].mean()), gradient / n


# %% misconception="one-hot matrix as wide as the largest target" exercise="cross_entropy"
# np.eye(targets.max() + 1) is right whenever the last class happens to occur.
def cross_entropy(logits, targets):
    y = np.eye(targets.max() + 1)[targets]
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    n = len(logits)
    return float(-(y * log_p).sum() / n), (np.exp(log_p) - y) / n


# %% misconception="computed in float32" exercise="cross_entropy"
# As on a GPU.
def cross_entropy(logits, targets):
    z = logits.astype(np.float32)
    shifted = z - z.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    n = len(z)
    gradient = np.exp(log_p)
    gradient[np.arange(n), targets] -= 1
    return -log_p[np.arange(n), targets].mean(), gradient / np.float32(n)


# %% alternative="logaddexp" exercise="cross_entropy"
# NumPy's stable log(exp(a) + exp(b)), folded over the classes.
def cross_entropy(logits, targets):
    log_sum = np.logaddexp.reduce(logits, axis=1)
    right = np.take_along_axis(logits, targets[:, None], axis=1)[:, 0]
    one_hot = np.eye(logits.shape[1])[targets]
    return np.mean(log_sum - right), (np.exp(logits - log_sum[:, None]) - one_hot) / logits.shape[0]


# %% alternative="row by row in plain Python" exercise="cross_entropy"
# math.fsum adds the exponentials without rounding error.
def cross_entropy(logits, targets):
    losses, gradient = [], np.empty(logits.shape)
    for i, (row, target) in enumerate(zip(logits.tolist(), targets.tolist())):
        top = max(row)
        total = math.fsum(math.exp(z - top) for z in row)
        losses.append(math.log(total) + top - row[target])
        for j, z in enumerate(row):
            gradient[i, j] = (math.exp(z - top) / total - (j == target)) / len(logits)
    return math.fsum(losses) / len(losses), gradient


# %% alternative="margins against the right class" exercise="cross_entropy"
# -ln p_t = ln(sum of exp(z_j - z_t)), which needs its own maximum; the gradient is p minus one-hot.
def cross_entropy(logits, targets):
    margins = logits - np.choose(targets, logits.T)[:, np.newaxis] if logits.shape[1] < 30 else None
    if margins is None:
        margins = logits - logits[np.arange(len(targets)), targets][:, np.newaxis]
    top = margins.max(axis=1, keepdims=True)
    weights = np.exp(margins - top)
    total = weights.sum(axis=1, keepdims=True)
    loss = np.mean(top + np.log(total))
    one_hot = targets[:, np.newaxis] == np.arange(logits.shape[1])
    return loss, np.subtract(weights / total, one_hot) / len(logits)


# %% alternative="long double with take_along_axis" exercise="cross_entropy"
# More digits inside, float64 outside.
def cross_entropy(logits, targets):
    z = logits.astype(np.longdouble)
    at = np.expand_dims(targets, 1).astype(np.intp)
    z = z - np.max(z, axis=1, keepdims=True)
    weights = np.exp(z)
    norm = weights.sum(axis=1, keepdims=True)
    loss = np.log(norm) - np.take_along_axis(z, at, axis=1)
    gradient = weights / norm
    np.put_along_axis(gradient, at, np.take_along_axis(gradient, at, axis=1) - 1, axis=1)
    return float(loss.mean()), np.asarray(gradient / len(z), dtype=np.float64)


# %% [markdown]
# ## gradcheck


# %% misconception="a gradient of ones" exercise="gradcheck"
# sum(f(x)) is the simplest single number; a vjp that ignores g, or moves it to the wrong place, gets by.
def gradcheck(f, vjp, *inputs, rtol=1e-6, atol=1e-8, h=6e-6):
    g = np.ones(np.shape(f(*inputs)))
    claimed = vjp(g, *inputs)
    if len(claimed) != len(inputs):
        return False
    for k, (x, c) in enumerate(zip(inputs, claimed)):
        if np.shape(c) != x.shape:
            return False
        numerical = np.zeros_like(x)
        for i in np.ndindex(x.shape):
            up, down = x.copy(), x.copy()
            up[i] += h
            down[i] -= h
            diff = f(*inputs[:k], up, *inputs[k + 1 :]) - f(*inputs[:k], down, *inputs[k + 1 :])
            numerical[i] = np.sum(g * diff) / (2 * h)
        if not np.all(np.abs(c - numerical) <= atol + rtol * np.abs(numerical)):
            return False
    return True


# %% misconception="NaN passes" exercise="gradcheck"
# "No error above the tolerance" is true when nothing compares.
def gradcheck(f, vjp, *inputs, rtol=1e-6, atol=1e-8, h=6e-6):
    g = np.random.randn(*np.shape(f(*inputs)))
    claimed = vjp(g, *inputs)
    if len(claimed) != len(inputs):
        return False
    for k, (x, c) in enumerate(zip(inputs, claimed)):
        if np.shape(c) != x.shape:
            return False
        numerical = np.zeros_like(x)
        for i in np.ndindex(x.shape):
            up, down = x.copy(), x.copy()
            up[i] += h
            down[i] -= h
            diff = f(*inputs[:k], up, *inputs[k + 1 :]) - f(*inputs[:k], down, *inputs[k + 1 :])
            numerical[i] = np.sum(g * diff) / (2 * h)
        if np.any(np.abs(c - numerical) > atol + rtol * np.abs(numerical)):
            return False
    return True


# %% misconception="zip stops early" exercise="gradcheck"
# A vjp that forgets an input is never asked about it.
def gradcheck(f, vjp, *inputs, rtol=1e-6, atol=1e-8, h=6e-6):
    g = np.random.randn(*np.shape(f(*inputs)))
    for k, (x, c) in enumerate(zip(inputs, vjp(g, *inputs))):
        if np.shape(c) != x.shape:
            return False
        numerical = np.zeros_like(x)
        for i in np.ndindex(x.shape):
            up, down = x.copy(), x.copy()
            up[i] += h
            down[i] -= h
            diff = f(*inputs[:k], up, *inputs[k + 1 :]) - f(*inputs[:k], down, *inputs[k + 1 :])
            numerical[i] = np.sum(g * diff) / (2 * h)
        if not np.all(np.abs(c - numerical) <= atol + rtol * np.abs(numerical)):
            return False
    return True


# %% misconception="shapes broadcast" exercise="gradcheck"
# allclose broadcasts, so a gradient that was never spread looks right.
def gradcheck(f, vjp, *inputs, rtol=1e-6, atol=1e-8, h=6e-6):
    g = np.random.randn(*np.shape(f(*inputs)))
    claimed = vjp(g, *inputs)
    if len(claimed) != len(inputs):
        return False
    for k, (x, c) in enumerate(zip(inputs, claimed)):
        numerical = np.zeros_like(x)
        for i in np.ndindex(x.shape):
            up, down = x.copy(), x.copy()
            up[i] += h
            down[i] -= h
            diff = f(*inputs[:k], up, *inputs[k + 1 :]) - f(*inputs[:k], down, *inputs[k + 1 :])
            numerical[i] = np.sum(g * diff) / (2 * h)
        if not np.allclose(c, numerical, rtol=rtol, atol=atol):
            return False
    return True


# %% misconception="moves the inputs, and puts them back exactly" exercise="gradcheck"
# The values are restored to the bit; but the result of f may be a view, and an input may be read-only.
def gradcheck(f, vjp, *inputs, rtol=1e-6, atol=1e-8, h=6e-6):
    g = np.random.randn(*np.shape(f(*inputs)))
    claimed = vjp(g, *inputs)
    if len(claimed) != len(inputs):
        return False
    for x, c in zip(inputs, claimed):
        if np.shape(c) != x.shape:
            return False
        numerical = np.zeros_like(x)
        for i in np.ndindex(x.shape):
            old = x[i]
            x[i] = old + h
            up = f(*inputs)
            x[i] = old - h
            down = f(*inputs)
            x[i] = old
            numerical[i] = np.sum(g * (up - down)) / (2 * h)
        if not np.all(np.abs(c - numerical) <= atol + rtol * np.abs(numerical)):
            return False
    return True


# %% misconception="one-sided" exercise="gradcheck"
# One call of f less for each entry; the error of order h is far above the tolerance.
def gradcheck(f, vjp, *inputs, rtol=1e-6, atol=1e-8, h=6e-6):
    y = f(*inputs)
    g = np.random.randn(*np.shape(y))
    claimed = vjp(g, *inputs)
    if len(claimed) != len(inputs):
        return False
    for k, (x, c) in enumerate(zip(inputs, claimed)):
        if np.shape(c) != x.shape:
            return False
        numerical = np.zeros_like(x)
        for i in np.ndindex(x.shape):
            up = x.copy()
            up[i] += h
            numerical[i] = np.sum(g * (f(*inputs[:k], up, *inputs[k + 1 :]) - y)) / h
        if not np.all(np.abs(c - numerical) <= atol + rtol * np.abs(numerical)):
            return False
    return True


# %% misconception="a fixed absolute tolerance" exercise="gradcheck"
# 1e-3 everywhere: too strict for gradients of size 1e8, blind for gradients of size 1e-3.
def gradcheck(f, vjp, *inputs, rtol=1e-6, atol=1e-8, h=6e-6):
    g = np.random.randn(*np.shape(f(*inputs)))
    claimed = vjp(g, *inputs)
    if len(claimed) != len(inputs):
        return False
    for k, (x, c) in enumerate(zip(inputs, claimed)):
        if np.shape(c) != x.shape:
            return False
        numerical = np.zeros_like(x)
        for i in np.ndindex(x.shape):
            up, down = x.copy(), x.copy()
            up[i] += h
            down[i] -= h
            diff = f(*inputs[:k], up, *inputs[k + 1 :]) - f(*inputs[:k], down, *inputs[k + 1 :])
            numerical[i] = np.sum(g * diff) / (2 * h)
        if not np.all(np.abs(c - numerical) < 1e-3):
            return False
    return True


# %% misconception="the mean error" exercise="gradcheck"
# One number for all entries; errors of opposite sign cancel.
def gradcheck(f, vjp, *inputs, rtol=1e-6, atol=1e-8, h=6e-6):
    g = np.random.randn(*np.shape(f(*inputs)))
    claimed = vjp(g, *inputs)
    if len(claimed) != len(inputs):
        return False
    for k, (x, c) in enumerate(zip(inputs, claimed)):
        if np.shape(c) != x.shape:
            return False
        numerical = np.zeros_like(x)
        for i in np.ndindex(x.shape):
            up, down = x.copy(), x.copy()
            up[i] += h
            down[i] -= h
            diff = f(*inputs[:k], up, *inputs[k + 1 :]) - f(*inputs[:k], down, *inputs[k + 1 :])
            numerical[i] = np.sum(g * diff) / (2 * h)
        if not abs(np.mean(c - numerical)) <= atol + rtol * np.mean(np.abs(numerical)):
            return False
    return True


# %% misconception="only the sizes are compared" exercise="gradcheck"
# Everything is flattened first, so a gradient of another shape looks right.
def gradcheck(f, vjp, *inputs, rtol=1e-06, atol=1e-08, h=6e-06):
    g = np.random.default_rng().standard_normal(np.shape(f(*inputs)))
    claimed = vjp(g, *inputs)
    if len(claimed) != len(inputs):
        return False
    for k, (x, c) in enumerate(zip(inputs, claimed)):
        if np.size(c) != x.size:
            return False
        c = np.reshape(c, x.shape)
        for i in np.ndindex(x.shape):
            up, down = x.copy(), x.copy()
            up[i] += h
            down[i] -= h
            difference = f(*inputs[:k], up, *inputs[k + 1 :]) - f(*inputs[:k], down, *inputs[k + 1 :])
            numerical = np.sum(g * difference) / (2 * h)
            if not abs(c[i] - numerical) <= atol + rtol * abs(numerical):
                return False
    return True


# %% misconception="tolerance relative to the claimed gradient" exercise="gradcheck"
# np.allclose with its two arguments the other way round.
def gradcheck(f, vjp, *inputs, rtol=1e-06, atol=1e-08, h=6e-06):
    g = np.random.default_rng().standard_normal(np.shape(f(*inputs)))
    claimed = vjp(g, *inputs)
    if len(claimed) != len(inputs):
        return False
    for k, (x, c) in enumerate(zip(inputs, claimed)):
        if np.shape(c) != x.shape:
            return False
        numerical = np.zeros(x.shape)
        for i in np.ndindex(x.shape):
            up, down = x.copy(), x.copy()
            up[i] += h
            down[i] -= h
            difference = f(*inputs[:k], up, *inputs[k + 1 :]) - f(*inputs[:k], down, *inputs[k + 1 :])
            numerical[i] = np.sum(g * difference) / (2 * h)
        if not np.allclose(numerical, c, rtol=rtol, atol=atol):
            return False
    return True


# %% misconception="g is drawn from 0 to 1" exercise="gradcheck"
# Random is random; but with g above 0 a vjp that takes |g| gets a yes.
def gradcheck(f, vjp, *inputs, rtol=1e-06, atol=1e-08, h=6e-06):
    g = np.random.default_rng().uniform(0.1, 1.0, np.shape(f(*inputs)))
    claimed = vjp(g, *inputs)
    if len(claimed) != len(inputs):
        return False
    for k, (x, c) in enumerate(zip(inputs, claimed)):
        if np.shape(c) != x.shape:
            return False
        numerical = np.zeros(x.shape)
        for i in np.ndindex(x.shape):
            up, down = x.copy(), x.copy()
            up[i] += h
            down[i] -= h
            difference = f(*inputs[:k], up, *inputs[k + 1 :]) - f(*inputs[:k], down, *inputs[k + 1 :])
            numerical[i] = np.sum(g * difference) / (2 * h)
        if not np.all(np.abs(c - numerical) <= atol + rtol * np.abs(numerical)):
            return False
    return True


# %% misconception="entries are moved through ravel of a copy" exercise="gradcheck"
# np.copy keeps the order in memory, and then ravel may be a copy: the move is lost.
def gradcheck(f, vjp, *inputs, rtol=1e-06, atol=1e-08, h=6e-06):
    g = np.random.default_rng().standard_normal(np.shape(f(*inputs)))
    claimed = vjp(g, *inputs)
    if len(claimed) != len(inputs):
        return False
    for k, (x, c) in enumerate(zip(inputs, claimed)):
        if np.shape(c) != x.shape:
            return False
        for i in range(x.size):
            up, down = np.copy(x), np.copy(x)
            up.ravel()[i] += h
            down.ravel()[i] -= h
            difference = f(*inputs[:k], up, *inputs[k + 1 :]) - f(*inputs[:k], down, *inputs[k + 1 :])
            numerical = np.sum(g * difference) / (2 * h)
            if not abs(np.ravel(c)[i] - numerical) <= atol + rtol * abs(numerical):
                return False
    return True


# %% misconception="f always returns an array" exercise="gradcheck"
# f(*inputs).shape: a Python float has none.
def gradcheck(f, vjp, *inputs, rtol=1e-06, atol=1e-08, h=6e-06):
    g = np.random.default_rng().standard_normal(f(*inputs).shape)
    claimed = vjp(g, *inputs)
    if len(claimed) != len(inputs):
        return False
    for k, (x, c) in enumerate(zip(inputs, claimed)):
        if np.shape(c) != x.shape:
            return False
        for i in np.ndindex(x.shape):
            up, down = x.copy(), x.copy()
            up[i] += h
            down[i] -= h
            difference = f(*inputs[:k], up, *inputs[k + 1 :]) - f(*inputs[:k], down, *inputs[k + 1 :])
            numerical = np.sum(g * difference) / (2 * h)
            if not abs(c[i] - numerical) <= atol + rtol * abs(numerical):
                return False
    return True


# %% misconception="the error is measured by the norm of the whole gradient" exercise="gradcheck"
# One relative error for each input: a wrong small entry hides beside large ones.
def gradcheck(f, vjp, *inputs, rtol=1e-06, atol=1e-08, h=6e-06):
    g = np.random.default_rng().standard_normal(np.shape(f(*inputs)))
    claimed = vjp(g, *inputs)
    if len(claimed) != len(inputs):
        return False
    for k, (x, c) in enumerate(zip(inputs, claimed)):
        if np.shape(c) != x.shape:
            return False
        numerical = np.zeros(x.shape)
        for i in np.ndindex(x.shape):
            up, down = x.copy(), x.copy()
            up[i] += h
            down[i] -= h
            difference = f(*inputs[:k], up, *inputs[k + 1 :]) - f(*inputs[:k], down, *inputs[k + 1 :])
            numerical[i] = np.sum(g * difference) / (2 * h)
        if not np.sqrt(np.sum((c - numerical) ** 2)) <= atol + rtol * np.sqrt(np.sum(numerical**2)):
            return False
    return True


# %% misconception="ten entries of each input are enough" exercise="gradcheck"
# A spot check, because central differences are slow.
def gradcheck(f, vjp, *inputs, rtol=1e-06, atol=1e-08, h=6e-06):
    from itertools import islice

    g = np.random.default_rng().standard_normal(np.shape(f(*inputs)))
    claimed = vjp(g, *inputs)
    if len(claimed) != len(inputs):
        return False
    for k, (x, c) in enumerate(zip(inputs, claimed)):
        if np.shape(c) != x.shape:
            return False
        for i in islice(np.ndindex(x.shape), 10):
            up, down = x.copy(), x.copy()
            up[i] += h
            down[i] -= h
            difference = f(*inputs[:k], up, *inputs[k + 1 :]) - f(*inputs[:k], down, *inputs[k + 1 :])
            numerical = np.sum(g * difference) / (2 * h)
            if not abs(c[i] - numerical) <= atol + rtol * abs(numerical):
                return False
    return True


# %% alternative="the whole Jacobian" exercise="gradcheck"
# Columns by central differences, multiplied with g at the end.
def gradcheck(f, vjp, *inputs, rtol=1e-6, atol=1e-8, h=6e-6):
    y = np.array(f(*inputs))
    g = np.random.normal(size=y.shape)
    claims = list(vjp(g, *inputs))
    if len(claims) != len(inputs) or any(np.shape(c) != np.shape(x) for c, x in zip(claims, inputs)):
        return False
    for k, claim in enumerate(claims):
        columns = []
        for j in range(inputs[k].size):
            values = []
            for side in (+h, -h):
                moved = [np.array(x, order="C") for x in inputs]
                moved[k].reshape(-1)[j] += side
                values.append(np.array(f(*moved)).ravel())
            columns.append((values[0] - values[1]) / (2 * h))
        numerical = (np.array(columns).reshape(len(columns), y.size) @ g.ravel()).reshape(claim.shape)
        if not np.allclose(claim, numerical, rtol=rtol, atol=atol):
            return False
    return True


# %% alternative="through central_difference" exercise="gradcheck"
# Each entry as a function of one number, for the function of part 1.
def gradcheck(f, vjp, *inputs, rtol=1e-6, atol=1e-8, h=6e-6):
    g = check.rng(99).standard_normal(np.shape(f(*inputs)))

    def moved_sum(k, i, value):
        moved = inputs[k].copy()
        moved[i] = value
        return float(np.vdot(g, f(*inputs[:k], moved, *inputs[k + 1 :])))

    claims = vjp(g, *inputs)
    return [np.shape(c) for c in claims] == [x.shape for x in inputs] and all(
        abs(claim[i] - slope) <= atol + rtol * abs(slope)
        for k, claim in enumerate(claims)
        for i in np.ndindex(inputs[k].shape)
        for slope in [central_difference(lambda value: moved_sum(k, i, value), float(inputs[k][i]), h)]
    )


# %% alternative="several random directions of g" exercise="gradcheck"
# Two draws instead of one; flat copies instead of index tuples.
def gradcheck(f, vjp, *inputs, rtol=1e-6, atol=1e-8, h=6e-6):
    for seed in range(2):
        g = np.asarray(np.random.default_rng(seed).standard_normal(np.shape(f(*inputs))))
        claims = vjp(g, *inputs)
        if len(claims) != len(inputs):
            return False
        for k, x in enumerate(inputs):
            if np.shape(claims[k]) != x.shape:
                return False
            for j, claim in enumerate(np.ravel(claims[k])):
                step = np.zeros(x.size)
                step[j] = h
                step = step.reshape(x.shape)
                up = np.asarray(f(*inputs[:k], x + step, *inputs[k + 1 :]))
                down = np.asarray(f(*inputs[:k], x - step, *inputs[k + 1 :]))
                numerical = ((up - down) * g).sum() / (2 * h)
                if not abs(claim - numerical) <= atol + rtol * abs(numerical):
                    return False
    return True


# %% alternative="all moves from an identity matrix" exercise="gradcheck"
# Row i of h times the identity moves entry i; allclose is relative to its second argument.
def gradcheck(f, vjp, *inputs, rtol=1e-06, atol=1e-08, h=6e-06):
    g = np.random.default_rng().normal(size=np.shape(f(*inputs)))
    claimed = tuple(vjp(g, *inputs))
    if [np.shape(c) for c in claimed] != [x.shape for x in inputs]:
        return False

    def at(k, moved):
        return np.array(f(*(moved if j == k else x for j, x in enumerate(inputs))))

    for k, x in enumerate(inputs):
        moves = (h * np.eye(x.size)).reshape(x.size, *x.shape)
        numerical = [np.vdot(g, at(k, x + move) - at(k, x - move)) / (2 * h) for move in moves]
        if not np.allclose(np.ravel(claimed[k]), np.array(numerical), rtol=rtol, atol=atol, equal_nan=False):
            return False
    return True


# %% [markdown]
# ## mlp


# %% misconception="relu after the last layer" exercise="mlp"
# A loop over all layers, each the same; the logits can't be negative any more.
def mlp(params, x):
    for w, b in zip(params[0::2], params[1::2]):
        x = (x @ w + b).relu()
    return x


# %% misconception="no nonlinearity" exercise="mlp"
# Layers of matrices alone are one big matrix.
def mlp(params, x):
    for w, b in zip(params[0::2], params[1::2]):
        x = x @ w + b
    return x


# %% misconception="works on the arrays" exercise="mlp"
# NumPy is at hand in .data; the result is right, and nothing was recorded.
def mlp(params, x):
    h = x.data
    for i in range(0, len(params), 2):
        h = h @ params[i].data + params[i + 1].data
        if i + 2 < len(params):
            h = np.maximum(h, 0)
    return Tensor(h)


# %% misconception="relu on the array" exercise="mlp"
# Only relu leaves the tape: the last layer trains, all others stand still.
def mlp(params, x):
    for i in range(0, len(params), 2):
        x = x @ params[i] + params[i + 1]
        if i + 2 < len(params):
            x = Tensor(np.maximum(x.data, 0))
    return x


# %% misconception="two layers, always" exercise="mlp"
# The picture in mind has one hidden layer.
def mlp(params, x):
    w1, b1, w2, b2 = params[:4]
    return (x @ w1 + b1).relu() @ w2 + b2


# %% misconception="without biases" exercise="mlp"
# Weights are what networks are made of.
def mlp(params, x):
    weights = params[0::2]
    for w in weights[:-1]:
        x = (x @ w).relu()
    return x @ weights[-1]


# %% misconception="relu before the bias" exercise="mlp"
# The brackets are in the wrong place.
def mlp(params, x):
    for i in range(0, len(params) - 2, 2):
        x = (x @ params[i]).relu() + params[i + 1]
    return x @ params[-2] + params[-1]


# %% misconception="relu on the input of each layer" exercise="mlp"
# One relu for each layer, put in front: the inputs lose their negative values.
def mlp(params, x):
    for i in range(0, len(params), 2):
        x = x.relu() @ params[i] + params[i + 1]
    return x


# %% misconception="the list of parameters is used up" exercise="mlp"
# pop(0) is handy, once: the second forward pass finds an empty network.
def mlp(params, x):
    while params:
        w, b = params.pop(0), params.pop(0)
        x = x @ w + b
        if params:
            x = x.relu()
    return x


# %% misconception="the last layer is known by its bias object" exercise="mlp"
# `b is not params[-1]` holds until two layers share their parameters.
def mlp(params, x):
    for w, b in zip(params[0::2], params[1::2]):
        x = x @ w + b
        if b is not params[-1]:
            x = x.relu()
    return x


# %% misconception="relu as half of h plus the root of its square" exercise="mlp"
# Right values by recorded operations; the root has no derivative at 0, so backward gives NaN.
def mlp(params, x):
    pairs = list(zip(params[0::2], params[1::2]))
    for k, (w, b) in enumerate(pairs):
        x = x @ w + b
        if k < len(pairs) - 1:
            x = (x + (x**2) ** 0.5) * 0.5
    return x


# %% misconception="negative entries are set to zero in place" exercise="mlp"
# relu means nothing below zero; but the change is not recorded, and gradients flow through what is off.
def mlp(params, x):
    weights, biases = params[0::2], params[1::2]
    for k, (w, b) in enumerate(zip(weights, biases)):
        x = x @ w + b
        if k < len(weights) - 1:
            x.data[x.data < 0] = 0
    return x


# %% misconception="a network is remembered by its number of layers" exercise="mlp"
# The pairs are cached, so that the list is not cut at every step; the next network gets those of the first.
_layers = {}


def mlp(params, x):
    layers = _layers.setdefault(len(params), list(zip(params[0::2], params[1::2])))
    *hidden, (w, b) = layers
    for u, c in hidden:
        x = (x @ u + c).relu()
    return x @ w + b


# %% misconception="the first layer always has a relu" exercise="mlp"
# First layer in front of the loop, last one after it; with a single layer both are the same.
def mlp(params, x):
    h = (x @ params[0] + params[1]).relu()
    for k in range(2, len(params) - 2, 2):
        h = (h @ params[k] + params[k + 1]).relu()
    return h @ params[-2] + params[-1] if len(params) > 2 else h


# %% alternative="recursion from the end" exercise="mlp"
# The last layer on top of a smaller network.
def mlp(params, x):
    *rest, w, b = params
    return (mlp(rest, x).relu() if rest else x) @ w + b


# %% alternative="an index and a flag" exercise="mlp"
# Layer by layer, with a test for the last one; the bias first.
def mlp(params, x):
    layers = len(params) // 2
    for layer in range(layers):
        x = params[2 * layer + 1] + x @ params[2 * layer]
        x = x.relu() if layer != layers - 1 else x
    return x


# %% alternative="functions composed" exercise="mlp"
# reduce over the hidden layers.
from functools import reduce


def mlp(params, x):
    pairs = list(zip(params[::2], params[1::2]))

    def affine(h, pair):
        return h @ pair[0] + pair[1]

    hidden = reduce(lambda h, pair: affine(h, pair).relu(), pairs[:-1], x)
    return affine(hidden, pairs[-1])


# %% alternative="mask instead of relu" exercise="mlp"
# h times the constant (h > 0) has the values and the derivatives of relu, 0 at 0 included.
def mlp(params, x):
    numbers = iter(params)
    h, last = x, len(params) // 2
    for k, w in enumerate(numbers, start=1):
        b = next(numbers)
        h = b + h @ w
        h = h if k == last else h * (h.data > 0).astype(np.float64)
    return h


# %% [markdown]
# ## train


# %% misconception="gradients are not forgotten" exercise="train"
# Nothing crashes; from the second step on each update repeats all the earlier ones.
def train(params, loss, steps, lr):
    losses = []
    for _ in range(steps):
        current = loss()
        current.backward()
        for p in params:
            p.data = p.data - lr * p.grad
        losses.append(float(current.data))
    return losses


# %% misconception="forgotten after the update only" exercise="train"
# Right between the steps; what was left in grad before the first one is used.
def train(params, loss, steps, lr):
    losses = []
    for _ in range(steps):
        current = loss()
        current.backward()
        for p in params:
            p.data = p.data - lr * p.grad
            p.grad = None
        losses.append(float(current.data))
    return losses


# %% misconception="uphill" exercise="train"
# Follow the gradient; but it points to where the loss grows.
def train(params, loss, steps, lr):
    losses = []
    for _ in range(steps):
        for p in params:
            p.grad = None
        current = loss()
        current.backward()
        for p in params:
            p.data = p.data + lr * p.grad
        losses.append(float(current.data))
    return losses


# %% misconception="new tensors in a local name" exercise="train"
# p is rebound in the loop; the list, and the network, keep the old objects.
def train(params, loss, steps, lr):
    losses = []
    for _ in range(steps):
        for p in params:
            p.grad = None
        current = loss()
        current.backward()
        for p in params:
            p = Tensor(p.data - lr * p.grad)
        losses.append(float(current.data))
    return losses


# %% misconception="new tensors in the list" exercise="train"
# The caller's list is filled with new objects, but the loss function still holds the old ones.
def train(params, loss, steps, lr):
    losses = []
    for _ in range(steps):
        for p in params:
            p.grad = None
        current = loss()
        current.backward()
        for i, p in enumerate(params):
            if p.grad is not None:
                params[i] = Tensor(p.data - lr * p.grad)
        losses.append(float(current.data))
    return losses


# %% misconception="the loss after the update" exercise="train"
# A second forward pass tells how good the step was; it was asked for before the step, and once.
def train(params, loss, steps, lr):
    losses = []
    for _ in range(steps):
        for p in params:
            p.grad = None
        loss().backward()
        for p in params:
            p.data = p.data - lr * p.grad
        losses.append(float(loss().data))
    return losses


# %% misconception="one graph for all steps" exercise="train"
# The loss is computed in front of the loop; it never learns that the parameters moved.
def train(params, loss, steps, lr):
    losses = []
    current = loss() if steps else None
    for _ in range(steps):
        for p in params:
            p.grad = None
        current.backward()
        for p in params:
            p.data = p.data - lr * p.grad
        losses.append(float(current.data))
    return losses


# %% misconception="Tensors in the list of losses" exercise="train"
# Keeps every graph of every step alive, which in PyTorch runs out of memory.
def train(params, loss, steps, lr):
    losses = []
    for _ in range(steps):
        for p in params:
            p.grad = None
        current = loss()
        current.backward()
        for p in params:
            p.data = p.data - lr * p.grad
        losses.append(current)
    return losses


# %% misconception="the loss is computed twice" exercise="train"
# Once for the list and once for backward: right values, twice the work.
def train(params, loss, steps, lr):
    losses = []
    for _ in range(steps):
        losses.append(float(loss().data))
        for p in params:
            p.grad = None
        loss().backward()
        for p in params:
            p.data = p.data - lr * p.grad
    return losses


# %% misconception="stops when the loss no longer falls" exercise="train"
# Early stopping is good practice; here it makes the list too short.
def train(params, loss, steps, lr):
    losses = []
    for _ in range(steps):
        for p in params:
            p.grad = None
        out = loss()
        losses.append(float(out.data))
        if len(losses) > 1 and losses[-1] >= losses[-2] - 1e-12:
            break
        out.backward()
        for p in params:
            p.data = p.data - lr * p.grad
    return losses


# %% misconception="the best parameters are put back at the end" exercise="train"
# A checkpoint of the lowest loss; but a step uphill is a step, too.
def train(params, loss, steps, lr):
    losses, best, saved = [], math.inf, None
    for _ in range(steps):
        for p in params:
            p.grad = None
        out = loss()
        out.backward()
        losses.append(float(out.data))
        for p in params:
            p.data = p.data - lr * p.grad
        if losses[-1] < best:
            best, saved = losses[-1], [p.data for p in params]
    for p, data in zip(params, saved or []):
        p.data = data
    return losses


# %% misconception="old gradients are multiplied by zero" exercise="train"
# Zeroing in place saves an array; NaN times 0 is NaN.
def train(params, loss, steps, lr):
    losses = []
    for _ in range(steps):
        for p in params:
            if p.grad is not None:
                p.grad *= 0
        out = loss()
        out.backward()
        losses.append(float(out.data))
        for p in params:
            p.data = p.data - lr * p.grad
    return losses


# %% misconception="the gradient is scaled in place" exercise="train"
# Saves an array; two parameters may share one gradient, which is then scaled twice.
def train(params, loss, steps, lr):
    losses = []
    for _ in range(steps):
        for p in params:
            p.grad = None
        out = loss()
        out.backward()
        losses.append(float(out.data))
        for p in params:
            p.grad *= lr
            p.data = p.data - p.grad
    return losses


# %% misconception="gradients are clipped" exercise="train"
# Good practice elsewhere, and then it is not gradient descent.
def train(params, loss, steps, lr):
    losses = []
    for _ in range(steps):
        for p in params:
            p.grad = None
        out = loss()
        out.backward()
        losses.append(float(out.data))
        for p in params:
            p.data = p.data - lr * np.clip(p.grad, -5.0, 5.0)
    return losses


# %% alternative="in place, with zeros" exercise="train"
# Zeros instead of None, and the update in the array itself.
def train(params, loss, steps, lr):
    history = []
    for _ in range(steps):
        for p in params:
            p.grad = np.zeros_like(p.data)
        now = loss()
        history.append(now.data.item())
        now.backward()
        for p in params:
            p.data -= lr * p.grad
    return history


# %% alternative="a step as a function" exercise="train"
# Losses from a comprehension.
def train(params, loss, steps, lr):
    def step():
        for p in params:
            p.grad = None
        value = loss()
        value.backward()
        for p in params:
            np.subtract(p.data, np.multiply(lr, p.grad), out=p.data)
        return float(value.data)

    return [step() for _ in range(steps)]


# %% alternative="differences of accumulated gradients" exercise="train"
# backward adds to grad, so the new part is what came on top.
def train(params, loss, steps, lr):
    losses = np.zeros(steps)
    for p in params:
        p.grad = np.zeros_like(p.data)
    for t in range(steps):
        before = [np.array(p.grad) for p in params]
        value = loss()
        value.backward()
        losses[t] = value.data
        for p, old in zip(params, before):
            p.data = p.data - lr * (p.grad - old)
    return losses.tolist()


# %% alternative="one long vector" exercise="train"
# All parameters are joined, moved at once, and cut apart again.
def train(params, loss, steps, lr):
    def one_step():
        for p in params:
            p.grad = None
        out = loss()
        out.backward()
        theta = np.concatenate([p.data.ravel() for p in params])
        theta = theta - lr * np.concatenate([np.ravel(p.grad) for p in params])
        cuts = np.cumsum([p.data.size for p in params])[:-1]
        for p, piece in zip(params, np.split(theta, cuts), strict=True):
            p.data = piece.reshape(p.data.shape).copy()
        return float(out.data)

    return [one_step() for _ in range(steps)]
