"""Operators that work on each element, with their formulas in double precision."""

import math

import numpy as np

from frame import BOOL, DOUBLE, FLOAT, HALF, INT8, INT32, INT64, UINT8, Case, node

erf = np.vectorize(math.erf)


def sigmoid(x):
    return np.where(
        x < 0, np.exp(np.minimum(x, 0)) / (1 + np.exp(np.minimum(x, 0))), 1 / (1 + np.exp(-np.maximum(x, 0)))
    )


def softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def unary(op, formula, opsets, label="", attributes=None, **more):
    for opset in opsets:
        name = "-".join(part for part in (op, label, str(opset)) if part)
        yield Case(name, [node(op, "x", "y", **(attributes or {}))], opset=opset, formula=formula, **more)


def functions():
    """Functions of one number, without attributes."""
    plain = {
        "Abs": (np.abs, [6, 13]),
        "Ceil": (np.ceil, [6, 13]),
        "Cos": (np.cos, [7, 22]),
        "Erf": (erf, [9, 13]),
        "Exp": (np.exp, [6, 13]),
        "Floor": (np.floor, [6, 13]),
        "HardSwish": (lambda x: x * np.clip(x / 6 + 0.5, 0, 1), [14, 22]),
        "Identity": (lambda x: x, [1, 13, 19]),
        "Mish": (lambda x: x * np.tanh(softplus(x)), [18, 22]),
        "Neg": (np.negative, [6, 13]),
        "Relu": (lambda x: np.maximum(x, 0), [6, 13, 14]),
        "Round": (np.round, [11, 22]),
        "Sigmoid": (sigmoid, [6, 13]),
        "Sign": (np.sign, [9, 13]),
        "Sin": (np.sin, [7, 22]),
        "Softplus": (softplus, [1, 22]),
        "Softsign": (lambda x: x / (1 + np.abs(x)), [1, 22]),
        "Tanh": (np.tanh, [6, 13]),
        "Asinh": (np.arcsinh, [9, 22]),
        "Atan": (np.arctan, [7, 22]),
        "Cosh": (np.cosh, [9, 22]),
        "Sinh": (np.sinh, [9, 22]),
        "Tan": (lambda x: np.tan(x), [7]),
    }
    for op, (formula, opsets) in plain.items():
        yield from unary(op, formula, opsets, differs="single precision" if op == "Tan" else None)
    small = {"scale": 2.0**-3, "shift": -0.125}
    for op, formula in {"Asin": np.arcsin, "Acos": np.arccos, "Atanh": np.arctanh}.items():
        yield from unary(op, formula, [9, 22], **small)
    positive = {"shift": 4.0}
    for op, formula in {"Log": np.log, "Sqrt": np.sqrt, "Reciprocal": lambda x: 1 / x, "Acosh": np.arccosh}.items():
        yield from unary(op, formula, [9 if op == "Acosh" else 6, 13], **positive)
    wide = {"scale": 32.0}
    for op in ("Softplus", "Sigmoid", "Tanh", "Mish", "Softsign", "HardSwish", "Round", "Floor"):
        formula, opsets = plain[op]
        yield from unary(
            op, formula, opsets[-1:], "wide", differs="it overflows" if op in ("Softplus", "Mish") else None, **wide
        )
    huge = {"scale": 2.0**40}
    for op in ("Softplus", "Tanh", "Sigmoid", "Abs", "Sign", "Relu"):
        formula, opsets = plain[op]
        yield from unary(
            op, formula, opsets[-1:], "huge", differs="it overflows" if op in ("Softplus", "Sigmoid") else None, **huge
        )
    # Where the result is small: a sum that begins with 1 loses it.
    yield from unary("Softplus", softplus, [13], "small-result", scale=4.0, shift=-24.0, differs="it loses digits")
    yield from unary(
        "Sigmoid", sigmoid, [13], "small-result", scale=4.0, shift=-24.0, runtime="it is off by up to 8e-7"
    )
    yield from unary("Exp", np.exp, [13], "small-result", scale=4.0, shift=-24.0)
    yield from unary("Tanh", np.tanh, [13], "small", scale=2.0**-12)
    yield from unary(
        "Elu",
        lambda x: np.where(x < 0, np.expm1(np.minimum(x, 0)), x),
        [16],
        "small",
        scale=2.0**-12,
        differs="it loses digits",
    )
    for element, label in ((DOUBLE, "double"), (HALF, "half")):
        for op in (
            "Softplus",
            "Sigmoid",
            "Tanh",
            "Relu",
            "Exp",
            "Erf",
            "Mish",
            "HardSwish",
            "Floor",
            "Round",
            "Abs",
            "Neg",
            "Softsign",
        ):
            formula, opsets = plain[op]
            more = {"scale": 1.0 if op == "Exp" else 4.0} if label == "half" else {}
            yield from unary(
                op,
                formula,
                opsets[-1:],
                label,
                element=element,
                differs="half precision" if label == "half" else None,
                **more,
            )
        positive = {"shift": 4.0}
        for op, formula in {"Log": np.log, "Sqrt": np.sqrt}.items():
            yield from unary(
                op,
                formula,
                [13],
                label,
                element=element,
                differs="half precision" if label == "half" else None,
                **positive,
            )
    for op, formula in {"Abs": np.abs, "Neg": np.negative, "Sign": np.sign}.items():
        for element, label in ((INT64, "int64"), (INT32, "int32")):
            yield from unary(op, formula, [13], label, element=element)
    yield from unary("Relu", lambda x: np.maximum(x, 0), [14], "int32", element=INT32)


def activations():
    """Functions of one number, with attributes."""
    for alpha in (None, 1.0, 0.5, 2.0):
        given = {} if alpha is None else {"alpha": alpha}
        a = 1.0 if alpha is None else alpha
        label = "" if alpha is None else f"alpha{alpha}"
        yield from unary(
            "Celu", lambda x, a=a: np.maximum(0, x) + np.minimum(0, a * np.expm1(x / a)), [12], label, given
        )
        yield from unary("Swish", lambda x, a=a: x * sigmoid(a * x), [24], label, given)
        yield from unary(
            "Elu", lambda x, a=a: np.where(x < 0, a * np.expm1(np.minimum(x, 0)), x), [6, 22], label, given
        )
        yield from unary("ThresholdedRelu", lambda x, a=a: np.where(x > a, x, 0), [10, 22], label, given)
        a = 0.01 if alpha is None else alpha
        yield from unary("LeakyRelu", lambda x, a=a: np.where(x < 0, a * x, x), [6, 16], label, given)
    yield from unary(
        "Celu",
        lambda x: np.maximum(0, x) + np.minimum(0, 2 * np.expm1(x / 2)),
        [12],
        "wide",
        {"alpha": 2.0},
        scale=32.0,
        differs="it overflows",
    )
    yield from unary("Elu", lambda x: np.where(x < 0, np.expm1(np.minimum(x, 0)), x), [6], "wide", scale=32.0)
    yield from unary("Swish", lambda x: x * sigmoid(x), [24], "wide", scale=32.0)
    for alpha, gamma in ((None, None), (2.0, 3.0)):
        given = {} if alpha is None else {"alpha": alpha, "gamma": gamma}
        a, g = (1.67326319217681884765625, 1.05070102214813232421875) if alpha is None else (alpha, gamma)
        for opset in (6, 22):
            yield from unary(
                "Selu",
                lambda x, a=a, g=g: g * np.where(x > 0, x, a * np.expm1(np.minimum(x, 0))),
                [opset],
                "" if alpha is None else "given",
                given,
            )
    yield from unary(
        "Selu",
        lambda x: 1.05070102214813232421875
        * np.where(x > 0, x, 1.67326319217681884765625 * np.expm1(np.minimum(x, 0))),
        [6],
        "wide",
        scale=32.0,
    )
    for alpha, beta in ((None, None), (0.25, 0.625)):
        given = {} if alpha is None else {"alpha": alpha, "beta": beta}
        a, b = (0.2, 0.5) if alpha is None else (alpha, beta)
        yield from unary(
            "HardSigmoid",
            lambda x, a=a, b=b: np.clip(a * x + b, 0, 1),
            [6, 22],
            "" if alpha is None else "given",
            given,
        )
    for bias, lambd in ((None, None), (0.25, 1.5), (-0.5, 0.0)):
        given = {} if bias is None else {"bias": bias, "lambd": lambd}
        b, l = (0.0, 0.5) if bias is None else (bias, lambd)
        yield from unary(
            "Shrink",
            lambda x, b=b, l=l: np.where(x < -l, x + b, np.where(x > l, x - b, 0)),
            [9],
            "" if bias is None else f"bias{bias}",
            given,
        )
    exact = lambda x: 0.5 * x * (1 + erf(x / math.sqrt(2)))
    tanh = lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    yield from unary("Gelu", exact, [20], "", {})
    yield from unary("Gelu", exact, [20], "none", {"approximate": "none"})
    yield from unary("Gelu", tanh, [20], "tanh", {"approximate": "tanh"})
    yield from unary("Gelu", exact, [20], "wide", {}, scale=32.0)
    yield from unary("Gelu", tanh, [20], "tanh-wide", {"approximate": "tanh"}, scale=32.0)
    contrib = {"domains": {"com.microsoft": 1}}
    yield Case("microsoft-Gelu", [node("Gelu", "x", "y", "com.microsoft")], formula=exact, **contrib)
    yield Case("microsoft-FastGelu", [node("FastGelu", "x", "y", "com.microsoft")], formula=tanh, **contrib)
    yield Case(
        "microsoft-FastGelu-bias",
        [node("FastGelu", "x bias", "y", "com.microsoft")],
        {"bias": np.float32([0.5, 1, -1, 0.25, 2])},
        formula=lambda x: tanh(x + [0.5, 1, -1, 0.25, 2]),
        **contrib,
    )
    yield Case(
        "microsoft-BiasGelu",
        [node("BiasGelu", "x bias", "y", "com.microsoft")],
        {"bias": np.float32([0.5, 1, -1, 0.25, 2])},
        formula=lambda x: exact(x + [0.5, 1, -1, 0.25, 2]),
        **contrib,
    )
    yield Case(
        "microsoft-QuickGelu",
        [node("QuickGelu", "x", "y", "com.microsoft")],
        formula=lambda x: x * sigmoid(1.702 * x),
        **contrib,
    )
    yield Case(
        "microsoft-QuickGelu-alpha",
        [node("QuickGelu", "x", "y", "com.microsoft", alpha=0.5)],
        formula=lambda x: x * sigmoid(0.5 * x),
        **contrib,
    )
    for label, slope in (
        ("one", [0.25]),
        ("scalar", 0.25),
        ("row", [[0.25, 0.5, -1, 2, 0]]),
        ("columns", [0.25, 0.5, -1, 2, 0]),
    ):
        for opset in (7, 9, 16):
            yield Case(
                f"PRelu-{label}-{opset}",
                [node("PRelu", "x slope", "y")],
                {"slope": np.float32(slope)},
                opset,
                lambda x, s=np.array(slope): np.where(x < 0, s * x, x),
            )


def clips():
    yield from unary("Clip", lambda x: np.clip(x, -1, 1.5), [6], "both", {"min": -1.0, "max": 1.5})
    yield from unary("Clip", lambda x: np.maximum(x, 0.5), [6], "min", {"min": 0.5})
    yield from unary("Clip", lambda x: np.minimum(x, 0.5), [6], "max", {"max": 0.5})
    yield from unary("Clip", lambda x: x, [6, 11, 13], "none")
    bounds = {"low": np.float32(-1), "high": np.float32(1.5)}
    for opset in (11, 12, 13):
        yield Case(
            f"Clip-both-{opset}", [node("Clip", "x low high", "y")], bounds, opset, lambda x: np.clip(x, -1, 1.5)
        )
        yield Case(
            f"Clip-min-{opset}",
            [node("Clip", "x low", "y")],
            {"low": np.float32(-1)},
            opset,
            lambda x: np.maximum(x, -1),
        )
        empty = node("Clip", "x", "y")
        empty.input.extend(["", "high"])
        yield Case(f"Clip-max-{opset}", [empty], {"high": np.float32(1.5)}, opset, lambda x: np.minimum(x, 1.5))
    yield Case(
        "Clip-crossed-13",
        [node("Clip", "x low high", "y")],
        {"low": np.float32(2), "high": np.float32(-1)},
        13,
        lambda x: np.full_like(x, -1),
    )
    for element, kind, label in (
        (INT64, np.int64, "int64"),
        (INT32, np.int32, "int32"),
        (DOUBLE, np.float64, "double"),
        (INT8, np.int8, "int8"),
    ):
        yield Case(
            f"Clip-{label}-12",
            [node("Clip", "x low high", "y")],
            {"low": kind(-1), "high": kind(2)},
            12,
            lambda x: np.clip(x, -1, 2),
            element=element,
        )


def arithmetic():
    """Two inputs: shapes, orders, element types."""
    c = np.float32([2.0, -1.5, 0.5, 3.0, -2.0])
    formulas = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide}
    for op, formula in formulas.items():
        for opset in (7, 13, 14):
            yield Case(f"{op}-{opset}", [node(op, "x c", "y")], {"c": c}, opset, lambda x, f=formula: f(x, c))
        yield Case(f"{op}-scalar", [node(op, "x c", "y")], {"c": c[0]}, 13, lambda x, f=formula: f(x, c[0]))
        yield Case(
            f"{op}-column",
            [node(op, "x c", "y")],
            {"c": c.reshape(5, 1)},
            13,
            lambda x, f=formula: f(x, c.reshape(5, 1)),
        )
        yield Case(f"{op}-reversed", [node(op, "c x", "y")], {"c": c}, 13, lambda x, f=formula: f(c, x), shift=6.0)
        yield Case(
            f"{op}-double",
            [node(op, "x c", "y")],
            {"c": c.astype(float)},
            13,
            lambda x, f=formula: f(x, c),
            element=DOUBLE,
        )
        d = np.array([3, 2, -2, 3, -7])
        integer = formula if op != "Div" else (lambda x, y: np.trunc(x / y))
        for element, kind, label in ((INT64, np.int64, "int64"), (INT32, np.int32, "int32")):
            yield Case(
                f"{op}-{label}",
                [node(op, "x d", "y")],
                {"d": d.astype(kind)},
                13,
                lambda x, f=integer: f(x, d),
                element=element,
                scale=4.0,
                differs="it rounds down" if op == "Div" else None,
            )
        yield Case(
            f"{op}-int64-one",
            [node(op, "x d", "y")],
            {"d": np.array([-3])},
            13,
            lambda x, f=integer: f(x, -3),
            element=INT64,
            scale=4.0,
            differs="it rounds down" if op == "Div" else None,
        )
        yield Case(
            f"{op}-int64-two",
            [node(op, "x d", "y")],
            {"d": np.array([2])},
            13,
            lambda x, f=integer: f(x, 2),
            element=INT64,
            scale=4.0,
            differs="it rounds down" if op == "Div" else None,
        )
        yield Case(f"{op}-itself", [node(op, "x x", "y")], {}, 13, lambda x, f=formula: f(x, x), shift=4.0)
    # More than 2^31.
    large = 2**33 + 1
    for op, formula in {
        "Mul": lambda x: x * large,
        "Div": lambda x: np.trunc(x * 2.0**35 / large),
        "Add": lambda x: x + large,
        "Sub": lambda x: x - large,
    }.items():
        before = [node("Mul", "x e", "z")] if op == "Div" else []
        yield Case(
            f"{op}-int64-large",
            [*before, node(op, "z d" if before else "x d", "y")],
            {"d": np.array([large]), "e": np.array([2**35])},
            13,
            formula,
            element=INT64,
        )
    yield Case(
        "Mul-zero", [node("Mul", "x c", "y")], {"c": np.float32([0, 0, 1, 0, 0])}, 13, lambda x: x * [0, 0, 1, 0, 0]
    )
    yield Case("Add-axis-6", [node("Add", "x c", "y", broadcast=1, axis=1)], {"c": c}, 6, lambda x: x + c)
    for op, formula in {"Max": np.maximum, "Min": np.minimum}.items():
        for opset in (8, 12, 13):
            yield Case(f"{op}-{opset}", [node(op, "x c", "y")], {"c": c}, opset, lambda x, f=formula: f(x, c))
        yield Case(
            f"{op}-three",
            [node(op, "x c d", "y")],
            {"c": c, "d": np.float32(0.25)},
            13,
            lambda x, f=formula: f(f(x, c), 0.25),
        )
        yield Case(f"{op}-one", [node(op, "x", "y")], {}, 13, lambda x: x)
        for element, kind, label in (
            (INT64, np.int64, "int64"),
            (INT32, np.int32, "int32"),
            (DOUBLE, np.float64, "double"),
        ):
            yield Case(
                f"{op}-{label}",
                [node(op, "x d", "y")],
                {"d": np.array([1, -1, 0, 2, 3]).astype(kind)},
                13,
                lambda x, f=formula: f(x, [1, -1, 0, 2, 3]),
                element=element,
            )
    for opset in (8, 13):
        yield Case(
            f"Sum-{opset}", [node("Sum", "x c d", "y")], {"c": c, "d": np.float32(0.25)}, opset, lambda x: x + c + 0.25
        )
        yield Case(
            f"Mean-{opset}",
            [node("Mean", "x c d", "y")],
            {"c": c, "d": np.float32(0.25)},
            opset,
            lambda x: (x + c + 0.25) / 3,
        )
    yield Case("Sum-one", [node("Sum", "x", "y")], {}, 13, lambda x: x)


def powers():
    for opset in (7, 12, 13, 15):
        yield Case(
            f"Pow-{opset}",
            [node("Pow", "x c", "y")],
            {"c": np.float32([2, 3, 1, 0, 2])},
            opset,
            lambda x: x ** np.array([2, 3, 1, 0, 2.0]),
        )
        yield Case(
            f"Pow-root-{opset}",
            [node("Pow", "x c", "y")],
            {"c": np.float32([0.5, -0.5, 1.5, -1, 0.25])},
            opset,
            lambda x: x ** np.array([0.5, -0.5, 1.5, -1, 0.25]),
            shift=4.0,
        )
    for power in (2.0, 3.0, 0.5, -1.0, -2.0, 1.0, 0.0, -0.5):
        yield Case(
            f"Pow-scalar{power}",
            [node("Pow", "x c", "y")],
            {"c": np.float32(power)},
            13,
            lambda x, p=power: x**p,
            shift=4.0,
        )
    yield Case("Pow-square-of-negative", [node("Pow", "x c", "y")], {"c": np.float32(2)}, 13, lambda x: x**2)
    yield Case("Pow-cube-of-negative", [node("Pow", "x c", "y")], {"c": np.float32(3)}, 13, lambda x: x**3)
    yield Case(
        "Pow-int64-exponent",
        [node("Pow", "x c", "y")],
        {"c": np.array([2, 3, 1, 0, -2])},
        13,
        lambda x: x ** np.array([2, 3, 1, 0, -2.0]),
        shift=4.0,
    )
    yield Case(
        "Pow-int32-exponent",
        [node("Pow", "x c", "y")],
        {"c": np.int32([2, 3, 1, 0, 2])},
        13,
        lambda x: x ** np.array([2, 3, 1, 0, 2.0]),
    )
    for element, label in ((INT64, "int64"), (INT32, "int32")):
        kind = np.int64 if element == INT64 else np.int32
        yield Case(
            f"Pow-{label}",
            [node("Pow", "x c", "y")],
            {"c": kind([2, 3, 1, 0, 2])},
            13,
            lambda x: np.asarray(x) ** np.array([2, 3, 1, 0, 2]),
            element=element,
        )
        yield Case(
            f"Pow-{label}-by-float",
            [node("Pow", "x c", "y")],
            {"c": np.float32([2, 3, 1, 0, 2])},
            13,
            lambda x: np.asarray(x).astype(float) ** np.array([2, 3, 1, 0, 2.0]),
            element=element,
        )
        yield Case(
            f"Pow-{label}-by-root",
            [node("Pow", "x c", "y")],
            {"c": np.float32([0.5])},
            13,
            lambda x: np.trunc(np.sqrt(np.asarray(x).astype(float))),
            element=element,
            shift=4.0,
        )
    yield Case(
        "Pow-double",
        [node("Pow", "x c", "y")],
        {"c": np.float64([2, 3, 1, 0, 2])},
        13,
        lambda x: x ** np.array([2, 3, 1, 0, 2.0]),
        element=DOUBLE,
    )
    yield Case(
        "Pow-float-by-double",
        [node("Pow", "x c", "y")],
        {"c": np.float64([2, 3, 1, 0, 2])},
        13,
        lambda x: x ** np.array([2, 3, 1, 0, 2.0]),
    )


def remainders():
    d = [3, 2, -2, 3, -7]
    for element, kind, label in ((INT64, np.int64, "int64"), (INT32, np.int32, "int32")):
        for opset in (10, 13):
            yield Case(
                f"Mod-{label}-{opset}",
                [node("Mod", "x d", "y")],
                {"d": kind(d)},
                opset,
                lambda x: np.mod(x, d),
                element=element,
                scale=4.0,
            )
            yield Case(
                f"Mod-fmod-{label}-{opset}",
                [node("Mod", "x d", "y", fmod=1)],
                {"d": kind(d)},
                opset,
                lambda x: np.fmod(x, d),
                element=element,
                scale=4.0,
            )
    for element, kind, label in ((FLOAT, np.float32, "float"), (DOUBLE, np.float64, "double")):
        yield Case(
            f"Mod-fmod-{label}",
            [node("Mod", "x d", "y", fmod=1)],
            {"d": kind([1.5, 0.75, -2, 3, -0.5])},
            13,
            lambda x: np.fmod(x, [1.5, 0.75, -2, 3, -0.5]),
            element=element,
            scale=4.0,
        )
    yield Case(
        "Mod-uint8",
        [node("Mod", "x d", "y")],
        {"d": np.uint8([3, 2, 2, 3, 7])},
        13,
        lambda x: np.mod(x, np.uint8([3, 2, 2, 3, 7])),
        element=UINT8,
        scale=4.0,
        shift=16.0,
    )


def logic():
    c = np.float32([0.5, -1.5, 0.0, 2.0, -2.0])
    compare = {
        "Equal": (np.equal, [7, 11, 13, 19]),
        "Greater": (np.greater, [7, 9, 13]),
        "Less": (np.less, [7, 9, 13]),
        "GreaterOrEqual": (np.greater_equal, [12, 16]),
        "LessOrEqual": (np.less_equal, [12, 16]),
    }
    for op, (formula, opsets) in compare.items():
        for opset in opsets:
            if op == "Equal" and opset < 11:
                continue
            yield Case(f"{op}-{opset}", [node(op, "x c", "y")], {"c": c}, opset, lambda x, f=formula: f(x, c))
        yield Case(f"{op}-reversed", [node(op, "c x", "y")], {"c": c}, 16, lambda x, f=formula: f(c, x))
        for element, kind, label in (
            (INT64, np.int64, "int64"),
            (INT32, np.int32, "int32"),
            (DOUBLE, np.float64, "double"),
        ):
            yield Case(
                f"{op}-{label}",
                [node(op, "x d", "y")],
                {"d": kind([1, -1, 0, 2, 3])},
                16,
                lambda x, f=formula: f(x, [1, -1, 0, 2, 3]),
                element=element,
            )
    pair = [node("Greater", "x zero", "a"), node("Less", "x one", "b")]
    limits = {"zero": np.float32(0), "one": np.float32(1)}
    for op, formula in {"And": np.logical_and, "Or": np.logical_or, "Xor": np.logical_xor}.items():
        yield Case(f"{op}-7", [*pair, node(op, "a b", "y")], limits, 13, lambda x, f=formula: f(x > 0, x < 1))
    yield Case("Not-1", [pair[0], node("Not", "a", "y")], limits, 13, lambda x: ~(x > 0))
    for opset in (9, 16):
        yield Case(
            f"Where-{opset}",
            [pair[0], node("Where", "a x c", "y")],
            {**limits, "c": c},
            opset,
            lambda x: np.where(x > 0, x, c),
        )
    yield Case(
        "Where-scalars", [pair[0], node("Where", "a zero one", "y")], limits, 16, lambda x: np.where(x > 0, 0, 1)
    )
    # The logarithm of a negative number is no number; it is not chosen.
    yield Case(
        "Where-not-a-number",
        [pair[0], node("Log", "x", "l"), node("Where", "a l zero", "y")],
        limits,
        16,
        lambda x: np.where(x > 0, np.log(np.where(x > 0, x, 1)), 0),
    )
    yield Case("IsNaN-9", [node("Log", "x", "l"), node("IsNaN", "l", "y")], {}, 9, lambda x: x < 0)
    yield Case("IsNaN-13", [node("Log", "x", "l"), node("IsNaN", "l", "y")], {}, 13, lambda x: x < 0)
    for op, formula in {
        "Max": np.maximum,
        "Min": np.minimum,
        "Relu": lambda l, _: np.maximum(l, 0),
        "Clip": lambda l, _: np.clip(l, -1, 1),
    }.items():
        after = {
            "Max": node("Max", "l zero", "m"),
            "Min": node("Min", "l zero", "m"),
            "Relu": node("Relu", "l", "m"),
            "Clip": node("Clip", "l minus one", "m"),
        }[op]
        yield Case(
            f"{op}-not-a-number",
            [node("Log", "x", "l"), after, node("IsNaN", "m", "y")],
            {**limits, "minus": np.float32(-1)},
            13,
            lambda x: x < 0,
        )
    big = [node("Mul", "x large", "l"), node("Mul", "l large", "m")]
    for positive, negative in ((None, None), (1, 0), (0, 1), (0, 0)):
        given = {} if positive is None else {"detect_positive": positive, "detect_negative": negative}
        p, n = (1, 1) if positive is None else (positive, negative)
        for opset in (10, 20):
            yield Case(
                f"IsInf-{p}{n}{'' if given else '-default'}-{opset}",
                [*big, node("IsInf", "m", "y", **given)],
                {"large": np.float32(1e30)},
                opset,
                lambda x, p=p, n=n: (bool(p) & (x > 0)) | (bool(n) & (x < 0)),
            )
    for op, formula in {"BitwiseAnd": np.bitwise_and, "BitwiseOr": np.bitwise_or, "BitwiseXor": np.bitwise_xor}.items():
        for element, kind, label in ((INT32, np.int32, "int32"), (INT64, np.int64, "int64")):
            yield Case(
                f"{op}-{label}",
                [node(op, "x d", "y")],
                {"d": kind([5, 3, -2, 6, 1])},
                18,
                lambda x, f=formula: f(x, np.array([5, 3, -2, 6, 1])),
                element=element,
                scale=4.0,
            )
    yield Case(
        "BitwiseNot-int32", [node("BitwiseNot", "x", "y")], {}, 18, lambda x: ~np.asarray(x), element=INT32, scale=4.0
    )
    for direction, formula in (
        ("LEFT", lambda x: (x << np.uint8([1, 2, 3, 0, 1]))),
        ("RIGHT", lambda x: x >> np.uint8([1, 2, 3, 0, 1])),
    ):
        yield Case(
            f"BitShift-{direction}",
            [node("BitShift", "x d", "y", direction=direction)],
            {"d": np.uint8([1, 2, 3, 0, 1])},
            11,
            formula,
            element=UINT8,
            scale=2.0,
            shift=8.0,
        )


def casts():
    """There and back: `to`, and what happens to fractions and signs."""
    for to, label, formula in (
        (INT64, "int64", np.trunc),
        (INT32, "int32", np.trunc),
        (INT8, "int8", np.trunc),
        (BOOL, "bool", lambda x: x != 0),
        (DOUBLE, "double", lambda x: x),
        (FLOAT, "float", lambda x: x),
        (HALF, "half", lambda x: x.astype(np.float16)),
    ):
        for opset in (9, 13, 19):
            yield Case(
                f"Cast-{label}-{opset}",
                [node("Cast", "x", "y", to=to)],
                {},
                opset,
                formula,
                scale=1.0 if label != "half" else 0.75,
            )
    yield Case("Cast-uint8", [node("Cast", "x", "y", to=UINT8)], {}, 13, np.trunc, shift=4.0)
    for element, label in ((INT64, "int64"), (INT32, "int32"), (DOUBLE, "double"), (HALF, "half"), (BOOL, "bool")):
        for to, other in ((FLOAT, "float"), (DOUBLE, "double"), (INT64, "int64"), (INT32, "int32"), (BOOL, "bool")):
            if label == other:
                continue
            formula = {"float": lambda x: x, "double": lambda x: x, "bool": lambda x: x != 0}.get(
                other, lambda x: np.trunc(x)
            )
            yield Case(
                f"Cast-{label}-to-{other}",
                [node("Cast", "x", "y", to=to)],
                {},
                13,
                lambda x, f=formula: f(np.asarray(x).astype(float)),
                element=element,
            )
    # More than 2^31 and more than 2^24.
    yield Case(
        "Cast-large-int64",
        [
            node("Cast", "x", "i", to=INT64),
            node("Add", "i d", "j"),
            node("Sub", "j d", "k"),
            node("Cast", "k", "y", to=FLOAT),
        ],
        {"d": np.array([2**40 + 1])},
        13,
        np.trunc,
    )
    yield Case(
        "Cast-product-int64",
        [node("Cast", "x", "i", to=INT64), node("Mul", "i d", "y")],
        {"d": np.array([3])},
        13,
        lambda x: 3 * np.trunc(x),
    )
    yield Case("CastLike-int64", [node("CastLike", "x like", "y")], {"like": np.array([1])}, 15, np.trunc)
    yield Case("CastLike-double", [node("CastLike", "x like", "y")], {"like": np.array([1.0])}, 19, lambda x: x)
    yield Case("Cast-saturate-19", [node("Cast", "x", "y", to=DOUBLE, saturate=0)], {}, 19, lambda x: x)


def cases():
    for group in (functions, activations, clips, arithmetic, powers, remainders, logic, casts):
        yield from group()
