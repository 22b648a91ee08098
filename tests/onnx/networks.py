"""Products, convolutions, recurrences, control flow, quantised operators, and ai.onnx.ml."""

import numpy as np
from onnx import helper, numpy_helper

from frame import BOOL, DOUBLE, FLOAT, INT8, INT32, INT64, UINT8, Case, node
from elementwise import sigmoid
from reductions import softmax

W = np.float32((np.arange(15) * 7 % 11 - 5) / 4).reshape(5, 3)
B = np.float32([1, -0.5, 0.25])


def products():
    for opset in (7, 9, 11, 13):
        yield Case(f"Gemm-{opset}", [node("Gemm", "x w b", "y")], {"w": W, "b": B}, opset, lambda x: x @ W + B)
        yield Case(
            f"Gemm-transB-{opset}",
            [node("Gemm", "x w b", "y", transB=1)],
            {"w": W.T, "b": B},
            opset,
            lambda x: x @ W + B,
        )
        yield Case(
            f"Gemm-scaled-{opset}",
            [node("Gemm", "x w b", "y", alpha=0.5, beta=-2.0)],
            {"w": W, "b": B},
            opset,
            lambda x: 0.5 * (x @ W) - 2 * B,
        )
    for opset in (11, 13):
        yield Case(
            f"Gemm-no-bias-{opset}", [node("Gemm", "x w", "y", alpha=2.0)], {"w": W}, opset, lambda x: 2 * (x @ W)
        )
    yield Case("Gemm-beta-0", [node("Gemm", "x w b", "y", beta=0.0)], {"w": W, "b": B}, 13, lambda x: x @ W)
    yield Case("Gemm-alpha-0", [node("Gemm", "x w b", "y", alpha=0.0)], {"w": W, "b": B}, 13, lambda x: 0 * (x @ W) + B)
    yield Case(
        "Gemm-transA", [node("Gemm", "x w b", "y", transA=1)], {"w": W, "b": B}, 13, lambda x: x.T @ W + B, shape=(5, 2)
    )
    yield Case(
        "Gemm-both",
        [node("Gemm", "x w b", "y", transA=1, transB=1, alpha=-1.0, beta=0.5)],
        {"w": W.T, "b": B},
        13,
        lambda x: -(x.T @ W) + 0.5 * B,
        shape=(5, 2),
    )
    for label, b in (
        ("scalar", np.float32(0.5)),
        ("one", np.float32([0.5])),
        ("row", B.reshape(1, 3)),
        ("column", np.float32([[0.5], [-1]])),
    ):
        yield Case(
            f"Gemm-bias-{label}",
            [node("Gemm", "x w b", "y")],
            {"w": W, "b": b},
            13,
            lambda x, b=b: x @ W + b,
            shape=(2, 5),
        )
    yield Case(
        "Gemm-double",
        [node("Gemm", "x w b", "y")],
        {"w": W.astype(float), "b": B.astype(float)},
        13,
        lambda x: x @ W + B,
        element=DOUBLE,
    )
    yield Case("Gemm-reversed", [node("Gemm", "w x", "y", transB=1)], {"w": W.T}, 13, lambda x: W.T @ x.T)
    for opset in (1, 9, 13):
        yield Case(f"MatMul-{opset}", [node("MatMul", "x w", "y")], {"w": W}, opset, lambda x: x @ W)
    yield Case("MatMul-vector", [node("MatMul", "x w", "y")], {"w": W[:, 0]}, 13, lambda x: x @ W[:, 0])
    yield Case(
        "MatMul-of-vector",
        [node("Reshape", "x s", "z"), node("MatMul", "z w", "y")],
        {"w": W, "s": np.array([5])},
        13,
        lambda x: x.reshape(5) @ W,
    )
    yield Case("MatMul-batched", [node("MatMul", "x w", "y")], {"w": W[:4]}, 13, lambda x: x @ W[:4], shape=(2, 3, 4))
    many = np.float32((np.arange(24) * 5 % 13 - 6) / 4).reshape(2, 4, 3)
    yield Case("MatMul-batches", [node("MatMul", "x w", "y")], {"w": many}, 13, lambda x: x @ many, shape=(2, 3, 4))
    yield Case("MatMul-broadcast", [node("MatMul", "x w", "y")], {"w": many}, 13, lambda x: x @ many, shape=(3, 4))
    yield Case(
        "MatMul-itself",
        [node("Transpose", "x", "t", perm=[1, 0]), node("MatMul", "x t", "y")],
        {},
        13,
        lambda x: x @ x.T,
        shape=(3, 4),
    )
    yield Case(
        "MatMul-double", [node("MatMul", "x w", "y")], {"w": W.astype(float)}, 13, lambda x: x @ W, element=DOUBLE
    )
    for element, kind, label in ((INT32, np.int32, "int32"), (INT64, np.int64, "int64")):
        yield Case(
            f"MatMul-{label}",
            [node("MatMul", "x w", "y")],
            {"w": (W * 4).astype(kind)},
            13,
            lambda x: x @ (W * 4),
            element=element,
        )
    for label, equation, constants, shape, f in (
        ("product", "ij,jk->ik", {"w": W}, (1, 5), lambda x: x @ W),
        ("implicit", "ij,jk", {"w": W}, (1, 5), lambda x: x @ W),
        ("transposed", "ij,kj->ki", {"w": W.T}, (1, 5), lambda x: (x @ W).T),
        ("sum", "ij->i", {}, (3, 4), lambda x: x.sum(1)),
        ("all", "ij->", {}, (3, 4), lambda x: x.sum()),
        ("order", "ij->ji", {}, (3, 4), lambda x: x.T),
        ("diagonal", "ii->i", {}, (3, 3), lambda x: np.diagonal(x)),
        ("trace", "ii", {}, (3, 3), lambda x: np.trace(x)),
        ("batch", "bij,bjk->bik", {"w": many}, (2, 3, 4), lambda x: x @ many),
        ("ellipsis", "...j,jk->...k", {"w": W[:4]}, (2, 3, 4), lambda x: x @ W[:4]),
        ("outer", "i,j->ij", {"w": B}, (4,), lambda x: np.outer(x, B)),
        ("spaces", "i j , j k -> i k", {"w": W}, (1, 5), lambda x: x @ W),
        ("ellipsis-broadcast", "...ij,...jk->...ik", {"w": W[:4].reshape(1, 4, 3)}, (2, 3, 4), lambda x: x @ W[:4]),
        ("capital", "iJ,Jk->ik", {"w": W}, (1, 5), lambda x: x @ W),
    ):
        yield Case(
            f"Einsum-{label}",
            [node("Einsum", "x w" if constants else "x", "y", equation=equation)],
            constants,
            12,
            f,
            shape=shape,
        )


def convolutions():
    k3 = np.float32([[[1, -0.5, 2]], [[0.5, 1, -1]]])
    for label, given in (
        ("", {}),
        ("pads", {"pads": [1, 1]}),
        ("uneven", {"pads": [2, 0]}),
        ("strides", {"strides": [2]}),
        ("dilations", {"dilations": [2], "pads": [2, 2]}),
        ("same-upper", {"auto_pad": "SAME_UPPER", "strides": [2]}),
        ("same-lower", {"auto_pad": "SAME_LOWER"}),
        ("valid", {"auto_pad": "VALID"}),
        ("notset", {"auto_pad": "NOTSET", "pads": [1, 1]}),
        ("kernel", {"kernel_shape": [3]}),
    ):
        for opset in (7, 11, 22):
            yield Case(
                f"Conv-{label}-{opset}".replace("--", "-"),
                [node("Conv", "x k b", "y", **given)],
                {"k": k3, "b": B[:2]},
                opset,
                None,
                shape=(1, 1, 6),
            )
    yield Case("Conv-no-bias", [node("Conv", "x k", "y")], {"k": k3}, 11, None, shape=(1, 1, 6))
    yield Case("Conv-group", [node("Conv", "x k b", "y", group=2)], {"k": k3, "b": B[:2]}, 11, None, shape=(1, 2, 6))
    yield Case(
        "Conv-two-dimensions",
        [node("Conv", "x k", "y", pads=[1, 0, 0, 1])],
        {"k": np.float32(np.arange(8).reshape(2, 1, 2, 2) / 4 - 1)},
        11,
        None,
        shape=(1, 1, 3, 4),
    )
    yield Case(
        "Conv-double", [node("Conv", "x k", "y")], {"k": k3.astype(float)}, 11, None, shape=(1, 1, 6), element=DOUBLE
    )
    for op in ("MaxPool", "AveragePool", "LpPool"):
        for label, given in (
            ("", {}),
            ("strides", {"strides": [2]}),
            ("pads", {"pads": [1, 1]}),
            ("pads-strides", {"pads": [1, 1], "strides": [2]}),
            ("ceil", {"ceil_mode": 1, "strides": [2]}),
            ("ceil-pads", {"ceil_mode": 1, "strides": [3], "pads": [1, 1]}),
            ("dilations", {"dilations": [2]}),
            ("same-upper", {"auto_pad": "SAME_UPPER", "strides": [2]}),
            ("same-lower", {"auto_pad": "SAME_LOWER", "strides": [2]}),
            ("valid", {"auto_pad": "VALID"}),
            ("include", {"count_include_pad": 1, "pads": [1, 1]}),
            ("include-ceil", {"count_include_pad": 1, "pads": [1, 1], "ceil_mode": 1, "strides": [3]}),
        ):
            if ("include" in label and op != "AveragePool") or (op == "LpPool" and label in ("ceil-pads",)):
                continue
            for opset in (8, 11, 12, 19, 22):
                since = {
                    "MaxPool": {"ceil": 10, "dilations": 10},
                    "AveragePool": {"ceil": 10, "dilations": 19},
                    "LpPool": {"ceil": 18, "dilations": 18},
                }[op]
                if any(opset < version for word, version in since.items() if word in label):
                    continue
                if opset not in (11, 22) and label not in ("", "ceil", "dilations", "pads"):
                    continue
                f = None
                if (op, label) == ("MaxPool", "pads"):
                    # onnx.reference fails on it.
                    f = lambda x: np.stack(
                        [
                            np.pad(x, ((0, 0), (0, 0), (1, 1)), constant_values=-np.inf)[:, :, i : i + 7]
                            for i in range(3)
                        ]
                    ).max(0)
                if (op, label) == ("MaxPool", "same-lower"):
                    # onnx.reference gives one number too few.
                    f = lambda x: np.stack(
                        [
                            np.pad(x, ((0, 0), (0, 0), (1, 1)), constant_values=-np.inf)[:, :, i : i + 7 : 2]
                            for i in range(3)
                        ]
                    ).max(0)
                differs = "it gives too few" if label == "same-lower" and op == "MaxPool" else None
                yield Case(
                    f"{op}-{label}-{opset}".replace("--", "-"),
                    [node(op, "x", "y", kernel_shape=[3], **given)],
                    {},
                    opset,
                    f,
                    shape=(1, 2, 7),
                    differs=differs,
                )
    yield Case(
        "MaxPool-indices", [node("MaxPool", "x", "v y", kernel_shape=[2], strides=[2])], {}, 12, None, shape=(1, 2, 6)
    )
    for op, f in {
        "GlobalAveragePool": lambda x: x.mean((2, 3), keepdims=True),
        "GlobalMaxPool": lambda x: x.max((2, 3), keepdims=True),
        "GlobalLpPool": lambda x: np.sqrt((x * x).sum((2, 3), keepdims=True)),
    }.items():
        yield Case(op, [node(op, "x", "y")], {}, 2, f, shape=(1, 3, 2, 2))
    for p in (1, 2, 3):
        yield Case(
            f"GlobalLpPool-p{p}",
            [node("GlobalLpPool", "x", "y", p=p)],
            {},
            2,
            lambda x, p=p: (np.abs(x) ** p).sum((2, 3), keepdims=True) ** (1 / p),
            shape=(1, 3, 2, 2),
        )
    t3 = np.float32([[[1, -0.5, 2], [0.5, 1, -1]]])
    for label, given in (
        ("", {}),
        ("pads", {"pads": [1, 1]}),
        ("strides", {"strides": [2]}),
        ("output-padding", {"strides": [2], "output_padding": [1]}),
        ("dilations", {"dilations": [2]}),
        ("same-upper", {"auto_pad": "SAME_UPPER", "strides": [2]}),
        ("same-lower", {"auto_pad": "SAME_LOWER", "strides": [2]}),
    ):
        yield Case(
            f"ConvTranspose-{label}",
            [node("ConvTranspose", "x k b", "y", **given)],
            {"k": t3, "b": B[:2]},
            11,
            None,
            shape=(1, 1, 4),
        )


def recurrences():
    activations = {
        "Tanh": np.tanh,
        "Sigmoid": sigmoid,
        "Relu": lambda v: np.maximum(v, 0),
        "HardSigmoid": lambda v: np.clip(0.2 * v + 0.5, 0, 1),
    }
    rng = np.random.default_rng(1)
    gates = {"RNN": 1, "GRU": 3, "LSTM": 4}

    def run(op, x, w, r, b, functions, reset=0, clip=None, peepholes=None, h=None):
        """One direction: x [T, N, I], gates as the standard orders them; every hidden state."""
        f = [activations[name] for name in functions]
        size = r.shape[1]
        h = np.zeros((x.shape[1], size)) if h is None else h
        c = np.zeros_like(h)
        wb, rb = b[: w.shape[0]], b[w.shape[0] :]
        cut = (lambda v: np.clip(v, -clip, clip)) if clip else (lambda v: v)
        steps = []
        for step in x:
            if op == "RNN":
                h = f[0](cut(step @ w.T + h @ r.T + wb + rb))
            elif op == "GRU":
                wz, wr, wh = np.split(step @ w.T + wb, 3, axis=1)
                rz, rr, rh = np.split(r, 3)
                bz, br, bh = np.split(rb, 3)
                z, reset_gate = f[0](cut(wz + h @ rz.T + bz)), f[0](cut(wr + h @ rr.T + br))
                inner = reset_gate * (h @ rh.T + bh) if reset else (reset_gate * h) @ rh.T + bh
                h = (1 - z) * f[1](cut(wh + inner)) + z * h
            else:
                i, o, forget, cell = np.split(step @ w.T + h @ r.T + wb + rb, 4, axis=1)
                p = np.zeros((3, size)) if peepholes is None else peepholes.reshape(3, size)
                i, forget = f[0](cut(i + p[0] * c)), f[0](cut(forget + p[2] * c))
                c = forget * c + i * f[1](cut(cell))
                h = f[0](cut(o + p[1] * c)) * f[2](c)
            steps.append(h)
        return np.array(steps)

    for op, count in gates.items():
        for directions in (1, 2):
            w = np.float32(rng.integers(-4, 5, (directions, count * 3, 2)) / 4)
            r = np.float32(rng.integers(-4, 5, (directions, count * 3, 3)) / 4)
            b = np.float32(rng.integers(-4, 5, (directions, 2 * count * 3)) / 4)
            h0 = np.float32(rng.integers(-4, 5, (directions, 1, 3)) / 4)
            p = np.float32(rng.integers(-4, 5, (directions, 9)) / 4)
            standard = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}[op]
            other = {"RNN": ["Relu"], "GRU": ["HardSigmoid", "Relu"], "LSTM": ["HardSigmoid", "Relu", "Tanh"]}[op]
            kinds = (
                [("forward", {}, {}), ("hidden", {"hidden_size": 3}, {})]
                if directions == 1
                else [("bidirectional", {"direction": "bidirectional"}, {})]
            )
            kinds += [
                ("activations", {"activations": other * directions}, {"functions": other}),
                ("standard", {"activations": standard * directions}, {}),
                ("clip", {"clip": 0.75}, {"clip": 0.75}),
            ]
            if directions == 1:
                kinds += [
                    ("reverse", {"direction": "reverse"}, {"back": True}),
                    ("explicit", {"direction": "forward"}, {}),
                    ("layout", {"layout": 1}, {"batch_first": True}),
                ]
            if op == "GRU":
                kinds += [
                    ("reset", {"linear_before_reset": 1}, {"reset": 1}),
                    ("reset-0", {"linear_before_reset": 0}, {}),
                ]
            if op == "LSTM":
                kinds += [("forget", {"input_forget": 1}, {"skip": True})]
            for label, given, how in kinds:
                if directions == 2 and "direction" not in given:
                    given = {**given, "direction": "bidirectional"}
                    label += "-both"

                def f(x, how=how, w=w, r=r, b=b, op=op, d=directions, h=None, peepholes=None):
                    functions = how.get("functions", standard)
                    x = np.swapaxes(x, 0, 1) if how.get("batch_first") else x
                    results = []
                    for k in range(d):
                        back = k == 1 or how.get("back")
                        steps = run(
                            op,
                            x[::-1] if back else x,
                            w[k],
                            r[k],
                            b[k],
                            functions,
                            how.get("reset", 0),
                            how.get("clip"),
                            None if peepholes is None else peepholes[k],
                            None if h is None else h[k],
                        )
                        results.append(steps[::-1] if back else steps)
                    y = np.stack(results, 1)
                    return np.transpose(y, (2, 0, 1, 3)) if how.get("batch_first") else y

                c = {"w": w, "r": r, "b": b}
                shape = (1, 5, 2) if how.get("batch_first") else (5, 1, 2)
                formula = None if how.get("skip") else f
                if how.get("skip"):
                    continue
                for opset in ((14,) if "layout" in label else (7, 14, 22)):
                    yield Case(
                        f"{op}-{label}-{opset}",
                        [
                            node(
                                op,
                                "x w r b",
                                "y",
                                hidden_size=3,
                                **{k: v for k, v in given.items() if k != "hidden_size"},
                            )
                        ],
                        c,
                        opset,
                        formula,
                        shape=shape,
                        differs="it has one direction and standard functions only",
                    )
                if label == "forward":
                    last = node(op, "x w r b", "unused", hidden_size=3)
                    del last.output[:]
                    last.output.extend(["", "y"])
                    yield Case(
                        f"{op}-last",
                        [last],
                        c,
                        14,
                        lambda x, f=f: f(x)[-1],
                        shape=shape,
                        differs="it has one direction and standard functions only",
                    )
                    bare = node(op, "x w r", "y", hidden_size=3)
                    yield Case(
                        f"{op}-no-bias",
                        [bare],
                        {"w": w, "r": r},
                        14,
                        lambda x, f=f, b=b: f(x, b=b * 0),
                        shape=shape,
                        differs="it has one direction and standard functions only",
                    )
                    start = node(op, "x w r b", "y", hidden_size=3)
                    start.input.extend(["", "h"])
                    yield Case(
                        f"{op}-initial",
                        [start],
                        {**c, "h": h0},
                        14,
                        lambda x, f=f, h0=h0: f(x, h=h0),
                        shape=shape,
                        differs="it has one direction and standard functions only",
                    )
                    if op == "LSTM":
                        peep = node(op, "x w r b", "y", hidden_size=3)
                        peep.input.extend(["", "", "", "p"])
                        yield Case(
                            f"{op}-peepholes",
                            [peep],
                            {**c, "p": p},
                            14,
                            lambda x, f=f, p=p: f(x, peepholes=p),
                            shape=shape,
                            differs="it has one direction and standard functions only",
                        )


def graph(nodes, inputs, outputs, constants=()):
    value = lambda name, element, shape: helper.make_tensor_value_info(name, element, shape)
    return helper.make_graph(
        nodes,
        "inner",
        [value(*v) for v in inputs],
        [value(*v) for v in outputs],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in dict(constants).items()],
    )


def control():
    one = ("t", FLOAT, [1, 5])
    then = graph([node("Mul", "x two", "t")], [], [one], {"two": np.float32(2)})
    other = graph([node("Sub", "x two", "t")], [], [one], {"two": np.float32(2)})
    pick = [node("Slice", "x a b c", "p"), node("Greater", "p zero", "q"), node("Reshape", "q b", "r")]
    c = {"a": np.array([0]), "b": np.array([1]), "c": np.array([1]), "zero": np.float32(0)}
    for opset in (11, 13, 19):
        yield Case(
            f"If-{opset}",
            [*pick, node("If", "r", "y", then_branch=then, else_branch=other)],
            c,
            opset,
            lambda x: x * 2 if x[0, 0] > 0 else x - 2,
        )
    yield Case(
        "If-true",
        [node("If", "r", "y", then_branch=then, else_branch=other)],
        {"r": np.array(True)},
        13,
        lambda x: x * 2,
    )
    wrong = graph([node("Celu", "x", "t", alpha=2.0)], [], [one])
    yield Case(
        "If-celu",
        [*pick, node("If", "r", "y", then_branch=then, else_branch=wrong)],
        c,
        13,
        lambda x: x * 2 if x[0, 0] > 0 else np.maximum(0, x) + np.minimum(0, 2 * np.expm1(x / 2)),
    )
    body = graph(
        [node("Add", "v x", "w"), node("Identity", "k", "l")],
        [("i", INT64, []), ("k", BOOL, []), ("v", FLOAT, [1, 5])],
        [("l", BOOL, []), ("w", FLOAT, [1, 5])],
    )
    yield Case(
        "Loop", [node("Loop", "n k0 x", "y", body=body)], {"n": np.int64(3), "k0": np.array(True)}, 13, lambda x: 4 * x
    )
    body = graph(
        [node("Add", "s e", "u"), node("Identity", "u", "o")],
        [("s", FLOAT, [4]), ("e", FLOAT, [4])],
        [("u", FLOAT, [4]), ("o", FLOAT, [4])],
    )
    for opset in (9, 11, 16):
        yield Case(
            f"Scan-{opset}",
            [node("Scan", "z x", "last y", body=body, num_scan_inputs=1)],
            {"z": np.zeros(4, np.float32)},
            opset,
            lambda x: x.cumsum(0),
            shape=(3, 4),
        )
        yield Case(
            f"Scan-last-{opset}",
            [node("Scan", "z x", "y all", body=body, num_scan_inputs=1)],
            {"z": np.zeros(4, np.float32)},
            opset,
            lambda x: x.sum(0),
            shape=(3, 4),
        )
    yield Case(
        "Scan-reverse",
        [node("Scan", "z x", "last y", body=body, num_scan_inputs=1, scan_input_directions=[1])],
        {"z": np.zeros(4, np.float32)},
        11,
        lambda x: x[::-1].cumsum(0),
        shape=(3, 4),
        differs="it has one direction only",
    )
    yield Case(
        "Scan-reverse-output",
        [node("Scan", "z x", "last y", body=body, num_scan_inputs=1, scan_output_directions=[1])],
        {"z": np.zeros(4, np.float32)},
        11,
        lambda x: x.cumsum(0)[::-1],
        shape=(3, 4),
        differs="it has one direction only",
    )
    yield Case(
        "Scan-axis",
        [node("Scan", "z x", "last y", body=body, num_scan_inputs=1, scan_input_axes=[1], scan_output_axes=[1])],
        {"z": np.zeros(4, np.float32)},
        11,
        lambda x: x.cumsum(1),
        shape=(4, 3),
        differs="it has one axis only",
    )
    half = helper.make_function(
        "org.example",
        "Halve",
        ["a"],
        ["b"],
        [helper.make_node("Constant", [], ["h"], value_float=0.5), node("Mul", "a h", "b")],
        [helper.make_opsetid("", 17)],
    )
    yield Case(
        "function",
        [node("Halve", "x", "y", "org.example")],
        {},
        17,
        lambda x: x / 2,
        domains={"org.example": 1},
        functions=[half],
    )
    celu = helper.make_function(
        "org.example", "Relu", ["a"], ["b"], [node("Neg", "a", "b")], [helper.make_opsetid("", 17)]
    )
    yield Case(
        "function-named-Relu",
        [node("Relu", "x", "y", "org.example")],
        {},
        17,
        lambda x: -x,
        domains={"org.example": 1},
        functions=[celu],
    )


def quantized():
    s, z = {"s": np.float32(0.03125)}, {"z": np.uint8(128)}
    u8 = lambda x, scale=0.03125, zero=128: np.clip(np.round(x / scale) + zero, 0, 255)
    i8 = lambda x, scale=0.03125, zero=3: np.clip(np.round(x / scale) + zero, -128, 127)
    for opset in (10, 13, 19, 21, 23):
        yield Case(f"QuantizeLinear-{opset}", [node("QuantizeLinear", "x s z", "y")], {**s, **z}, opset, u8)
        yield Case(
            f"QuantizeLinear-int8-{opset}", [node("QuantizeLinear", "x s z", "y")], {**s, "z": np.int8(3)}, opset, i8
        )
        yield Case(
            f"QuantizeLinear-no-zero-{opset}", [node("QuantizeLinear", "x s", "y")], s, opset, lambda x: u8(x, zero=0)
        )
        yield Case(
            f"DequantizeLinear-{opset}",
            [node("QuantizeLinear", "x s z", "q"), node("DequantizeLinear", "q s z", "y")],
            {**s, **z},
            opset,
            lambda x: (u8(x) - 128.0) * 0.03125,
        )
    yield Case(
        "QuantizeLinear-ties",
        [node("QuantizeLinear", "x s z", "y")],
        {"s": np.float32(1), "z": np.uint8(8)},
        13,
        lambda x: u8(x, 1, 8),
    )
    # 0.3 and its reciprocal are not exact: a product with the reciprocal rounds some ties elsewhere.
    yield Case(
        "QuantizeLinear-inexact",
        [node("Mul", "x f", "t"), node("QuantizeLinear", "t s z", "y")],
        {"f": np.float32(0.3), "s": np.float32(0.3), "z": np.uint8(8)},
        13,
        lambda x: np.clip(np.round((x.astype(np.float32) * np.float32(0.3)) / np.float32(0.3)) + 8, 0, 255),
    )
    yield Case(
        "QuantizeLinear-inexact-2",
        [node("Mul", "x f", "t"), node("QuantizeLinear", "t s z", "y")],
        {"f": np.float32(0.7), "s": np.float32(0.7), "z": np.int8(8)},
        13,
        lambda x: np.clip(np.round((x.astype(np.float32) * np.float32(0.7)) / np.float32(0.7)) + 8, -128, 127),
    )
    # Every half of a step: what is rounded is a tie, or one digit off it.
    ties = np.float32((np.arange(25) + 0.5) * np.float32(0.05)).reshape(5, 5)
    for element, kind, label in ((UINT8, np.uint8, "uint8"), (INT8, np.int8, "int8")):
        yield Case(
            f"QuantizeLinear-ties-{label}",
            [node("Mul", "x zero", "o"), node("Add", "o t", "h"), node("QuantizeLinear", "h s z", "y")],
            {"zero": np.float32(0), "t": ties, "s": np.float32(0.05), "z": kind(8)},
            13,
            lambda x: np.round(ties / np.float32(0.05)).astype(float) + 8,
        )
    per = {"s": np.float32([0.5, 0.25, 0.125]), "z": np.uint8([128, 100, 90])}
    q = lambda x: np.clip(np.round(x / per["s"].reshape(1, 3, 1)) + per["z"].reshape(1, 3, 1), 0, 255)
    for axis in (None, 1, -2):
        given = {} if axis is None else {"axis": axis}
        yield Case(
            f"QuantizeLinear-axis{axis}", [node("QuantizeLinear", "x s z", "y", **given)], per, 13, q, shape=(2, 3, 4)
        )
        yield Case(
            f"DequantizeLinear-axis{axis}",
            [node("QuantizeLinear", "x s z", "q", **given), node("DequantizeLinear", "q s z", "y", **given)],
            per,
            13,
            lambda x: (q(x) - per["z"].reshape(1, 3, 1).astype(float)) * per["s"].reshape(1, 3, 1),
            shape=(2, 3, 4),
        )
    yield Case("QuantizeLinear-saturate", [node("QuantizeLinear", "x s z", "y", saturate=1)], {**s, **z}, 19, u8)
    yield Case(
        "DequantizeLinear-int32",
        [node("Cast", "x", "q", to=INT32), node("DequantizeLinear", "q s", "y")],
        s,
        13,
        lambda x: np.trunc(x) * 0.03125,
    )
    wq = np.int8((W * 8).astype(int))
    yield Case(
        "DequantizeLinear-weights",
        [node("DequantizeLinear", "wq ws wz", "w", axis=1), node("MatMul", "x w", "y")],
        {"wq": wq, "ws": np.float32([0.125, 0.25, 0.5]), "wz": np.int8([0, 1, -2])},
        13,
        lambda x: x @ ((wq - np.array([0, 1, -2.0])) * [0.125, 0.25, 0.5]),
    )
    yield Case(
        "DequantizeLinear-block",
        [node("DequantizeLinear", "wq ws", "w", axis=0, block_size=3), node("MatMul", "x w", "y")],
        {"wq": np.vstack([wq, wq[:1]]), "ws": np.float32([[0.125, 0.25, 0.5], [1, 0.5, 0.25]])},
        21,
        None,
        shape=(1, 6),
    )
    yield Case("DynamicQuantizeLinear-values", [node("DynamicQuantizeLinear", "x", "y s z")], {}, 11, None, shift=0.5)
    yield Case("DynamicQuantizeLinear-scale", [node("DynamicQuantizeLinear", "x", "q y z")], {}, 11, None, shift=0.5)
    yield Case("DynamicQuantizeLinear-zero", [node("DynamicQuantizeLinear", "x", "q s y")], {}, 11, None, shift=0.5)
    dynamic = [
        node("DynamicQuantizeLinear", "x", "q s z"),
        node("MatMulInteger", "q w z wz", "i"),
        node("Cast", "i", "c", to=FLOAT),
        node("Mul", "c s", "y"),
    ]
    yield Case("MatMulInteger-dynamic", dynamic, {"w": wq, "wz": np.int8(3)}, 11, None, shift=0.5)
    yield Case("MatMulInteger-columns", dynamic, {"w": wq, "wz": np.int8([3, -1, 0])}, 11, None, shift=0.5)
    for element, kind, label in ((UINT8, np.uint8, "uint8"), (INT8, np.int8, "int8")):
        weights = wq if label == "int8" else np.uint8(wq + 20)
        yield Case(
            f"MatMulInteger-{label}",
            [node("MatMulInteger", "x w", "y")],
            {"w": weights},
            10,
            lambda x, w=weights: np.asarray(x).astype(int) @ w.astype(int),
            element=element,
            scale=4.0,
            shift=12.0,
        )
        yield Case(
            f"MatMulInteger-{label}-points",
            [node("MatMulInteger", "x w a b", "y")],
            {"w": weights, "a": kind(5), "b": kind(3)},
            10,
            lambda x, w=weights: (np.asarray(x).astype(int) - 5) @ (w.astype(int) - 3),
            element=element,
            scale=4.0,
            shift=12.0,
        )
    linear = {
        "as_": np.float32(0.05),
        "az": np.uint8(120),
        "w": np.uint8(wq + 20),
        "ws": np.float32(0.125),
        "wz": np.uint8(20),
        "ys": np.float32(0.1),
        "yz": np.uint8(100),
    }
    yield Case(
        "QLinearMatMul",
        [node("QuantizeLinear", "x as_ az", "q"), node("QLinearMatMul", "q as_ az w ws wz ys yz", "y")],
        linear,
        10,
        None,
    )
    yield Case(
        "QLinearMatMul-columns",
        [node("QuantizeLinear", "x as_ az", "q"), node("QLinearMatMul", "q as_ az w ws wz ys yz", "y")],
        {**linear, "ws": np.float32([0.125, 0.25, 0.0625]), "wz": np.uint8([20, 21, 19])},
        10,
        None,
    )
    yield Case(
        "ConvInteger",
        [node("ConvInteger", "x k a", "y")],
        {"k": np.uint8([[[1, 2, 3]]]), "a": np.uint8(3)},
        10,
        lambda x: np.stack([np.convolve(np.asarray(x).astype(int)[0, 0] - 3, [3, 2, 1], "valid")]).reshape(1, 1, 4),
        element=UINT8,
        shape=(1, 1, 6),
        shift=8.0,
    )


def learned():
    ml = {"domains": {"ai.onnx.ml": 3}}
    for norm, f in (
        ("L1", lambda x: x / np.abs(x).sum(1, keepdims=True)),
        ("L2", lambda x: x / np.sqrt((x * x).sum(1, keepdims=True))),
        ("MAX", lambda x: x / x.max(1, keepdims=True)),
    ):
        yield Case(
            f"Normalizer-{norm}", [node("Normalizer", "x", "y", "ai.onnx.ml", norm=norm)], formula=f, shift=4.0, **ml
        )
    yield Case(
        "Normalizer-MAX-of-negative",
        [node("Normalizer", "x", "y", "ai.onnx.ml", norm="MAX")],
        formula=lambda x: x / x.max(1, keepdims=True),
        shift=-8.0,
        differs="it takes the largest magnitude",
        **ml,
    )
    for targets in (1, 3):
        w = W.T[:targets]
        coefficients = [float(v) for v in w.reshape(-1)]
        yield Case(
            f"LinearRegressor-{targets}",
            [
                node(
                    "LinearRegressor",
                    "x",
                    "y",
                    "ai.onnx.ml",
                    coefficients=coefficients,
                    intercepts=[float(b) for b in B[:targets]],
                    targets=targets,
                )
            ],
            formula=lambda x, w=w, t=targets: x @ w.T + B[:t],
            **ml,
        )
        yield Case(
            f"LinearRegressor-{targets}-plain",
            [node("LinearRegressor", "x", "y", "ai.onnx.ml", coefficients=coefficients, targets=targets)],
            formula=lambda x, w=w: x @ w.T,
            differs="it wants intercepts",
            **ml,
        )
    yield Case(
        "LinearRegressor-post",
        [
            node(
                "LinearRegressor",
                "x",
                "y",
                "ai.onnx.ml",
                coefficients=[float(v) for v in W.T.reshape(-1)],
                targets=3,
                post_transform="SOFTMAX",
            )
        ],
        formula=lambda x: softmax(x @ W, 1),
        differs="it does not have it",
        **ml,
    )
    yield Case(
        "ArrayFeatureExtractor",
        [node("ArrayFeatureExtractor", "x i", "y", "ai.onnx.ml")],
        {"i": np.array([3, 0, 1])},
        formula=lambda x: x[:, [3, 0, 1]],
        **ml,
    )
    yield Case(
        "Scaler",
        [node("Scaler", "x", "y", "ai.onnx.ml", offset=[1.0, 2.0, 3.0, 4.0, 5.0], scale=[0.5, 1.0, 2.0, 1.0, 4.0])],
        formula=lambda x: (x - [1, 2, 3, 4, 5]) * [0.5, 1, 2, 1, 4],
        **ml,
    )


def cases():
    for group in (products, convolutions, recurrences, control, quantized, learned):
        yield from group()
