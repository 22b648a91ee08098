"""Reductions, choices of elements and normalisations."""

import numpy as np

from frame import DOUBLE, HALF, INT32, INT64, Case, node

SHAPE = (2, 3, 4)


def logsumexp(x, axis, keepdims):
    largest = x.max(axis=axis, keepdims=True)
    total = np.log(np.exp(x - largest).sum(axis=axis, keepdims=True)) + largest
    return total if keepdims else total.reshape(np.sum(x, axis=axis).shape)


REDUCTIONS = {
    "ReduceSum": lambda x, axis, keepdims: x.sum(axis=axis, keepdims=keepdims),
    "ReduceMean": lambda x, axis, keepdims: x.mean(axis=axis, keepdims=keepdims),
    "ReduceMax": lambda x, axis, keepdims: x.max(axis=axis, keepdims=keepdims),
    "ReduceMin": lambda x, axis, keepdims: x.min(axis=axis, keepdims=keepdims),
    "ReduceProd": lambda x, axis, keepdims: x.prod(axis=axis, keepdims=keepdims),
    "ReduceL1": lambda x, axis, keepdims: np.abs(x).sum(axis=axis, keepdims=keepdims),
    "ReduceL2": lambda x, axis, keepdims: np.sqrt((x * x).sum(axis=axis, keepdims=keepdims)),
    "ReduceSumSquare": lambda x, axis, keepdims: (x * x).sum(axis=axis, keepdims=keepdims),
    "ReduceLogSum": lambda x, axis, keepdims: np.log(x.sum(axis=axis, keepdims=keepdims)),
    "ReduceLogSumExp": logsumexp,
}


def reductions():
    for op, formula in REDUCTIONS.items():
        first = 13 if op == "ReduceSum" else 18
        # Their sum must be positive; the row of five is, where it begins at 1.
        more = {"shift": 4.0} if op == "ReduceLogSum" else {"shape": SHAPE}
        for opset in (11, 13, 18):
            for label, axes, keepdims in (
                ("last", (-1,), 1),
                ("two", (0, 1), 0),
                ("all", None, None),
                ("dropped", (1,), 0),
            ):
                if op == "ReduceLogSum":
                    axes = axes and (axes[-1],)
                given = {} if keepdims is None else {"keepdims": keepdims}
                if opset == 11 and label == "last":
                    axes = tuple(axis % (2 if op == "ReduceLogSum" else 3) for axis in axes)
                f = lambda x, f=formula, a=axes, k=keepdims: f(x, a, k is None or bool(k))
                if axes is None:
                    yield Case(f"{op}-{label}-{opset}", [node(op, "x", "y", **given)], {}, opset, f, **more)
                elif opset < first:
                    yield Case(
                        f"{op}-{label}-{opset}", [node(op, "x", "y", axes=list(axes), **given)], {}, opset, f, **more
                    )
                else:
                    yield Case(
                        f"{op}-{label}-{opset}",
                        [node(op, "x axes", "y", **given)],
                        {"axes": np.array(axes)},
                        opset,
                        f,
                        **more,
                    )
        for noop in (0, 1):
            f = (lambda x: x) if noop else (lambda x, f=formula: f(x, None, True))
            # With nothing to reduce the function of each element remains; what it is, onnx.reference and
            # ONNX Runtime see differently before opset 23.
            if noop and op not in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd"):
                continue
            yield Case(f"{op}-noop{noop}-absent", [node(op, "x", "y", noop_with_empty_axes=noop)], {}, 18, f, **more)
            yield Case(
                f"{op}-noop{noop}-empty",
                [node(op, "x axes", "y", noop_with_empty_axes=noop)],
                {"axes": np.zeros(0, np.int64)},
                18,
                f,
                **more,
            )
        yield Case(
            f"{op}-double",
            [node(op, "x axes", "y")],
            {"axes": np.array([1])},
            18,
            lambda x, f=formula: f(x, 1, True),
            element=DOUBLE,
            **more,
        )
        if "Log" not in op and op not in ("ReduceL2", "ReduceMean"):
            for element, label in ((INT64, "int64"), (INT32, "int32")):
                yield Case(
                    f"{op}-{label}",
                    [node(op, "x axes", "y")],
                    {"axes": np.array([1])},
                    18,
                    lambda x, f=formula: f(x, 1, True),
                    element=element,
                    **more,
                )
    for element, label in ((INT64, "int64"), (INT32, "int32")):
        yield Case(
            f"ReduceMean-{label}",
            [node("ReduceMean", "x axes", "y")],
            {"axes": np.array([1])},
            18,
            lambda x: np.trunc(x.mean(axis=1, keepdims=True)),
            element=element,
            shape=SHAPE,
            scale=4.0,
            differs="it rounds down",
        )
    for opset in (11, 18):
        given, inputs, constants = ({"axes": [1]}, "x", {}) if opset < 18 else ({}, "x axes", {"axes": np.array([1])})
        yield Case(
            f"ReduceLogSumExp-wide-{opset}",
            [node("ReduceLogSumExp", inputs, "y", **given)],
            constants,
            opset,
            lambda x: logsumexp(x, 1, True),
            scale=64.0,
            differs="it overflows",
        )
        yield Case(
            f"ReduceLogSumExp-low-{opset}",
            [node("ReduceLogSumExp", inputs, "y", **given)],
            constants,
            opset,
            lambda x: logsumexp(x, 1, True),
            scale=16.0,
            shift=-256.0,
            differs="it loses everything",
        )


def choices():
    for op, formula in {"ArgMax": np.argmax, "ArgMin": np.argmin}.items():
        for opset in (11, 12, 13):
            for axis in (None, 1, -1):
                for keepdims in (None, 0):
                    given = {k: v for k, v in (("axis", axis), ("keepdims", keepdims)) if v is not None}
                    a = axis or 0
                    yield Case(
                        f"{op}-axis{axis}-keep{keepdims}-{opset}",
                        [node(op, "x", "y", **given)],
                        {},
                        opset,
                        lambda x, f=formula, a=a, k=keepdims: f(x, axis=a, keepdims=k is None),
                        shape=(3, 4),
                    )
        for last in (0, 1):
            yield Case(
                f"{op}-last{last}",
                [node(op, "x", "y", axis=1, select_last_index=last)],
                {},
                13,
                lambda x, f=formula, l=last: (
                    (4 - f(x[:, ::-1], axis=1, keepdims=True)) if l else f(x, axis=1, keepdims=True)
                ),
            )
        yield Case(
            f"{op}-ties",
            [node("Floor", "x", "z"), node(op, "z", "y", axis=1)],
            {},
            13,
            lambda x, f=formula: f(np.floor(x), axis=1, keepdims=True),
        )
        for element, label in ((INT64, "int64"), (INT32, "int32"), (DOUBLE, "double")):
            yield Case(
                f"{op}-{label}",
                [node(op, "x", "y", axis=1)],
                {},
                13,
                lambda x, f=formula: f(x, axis=1, keepdims=True),
                element=element,
            )
    for output, label in ((0, "values"), (1, "indices")):
        outputs = "y other" if output == 0 else "other y"

        def top(x, axis=-1, largest=1, output=output):
            order = np.argsort(-x if largest else x, axis=axis, kind="stable")
            order = np.take(order, range(3), axis=axis)
            return np.take_along_axis(x, order, axis) if output == 0 else order

        k = {"k": np.array([3])}
        yield Case(f"TopK-{label}-attribute", [node("TopK", "x", outputs, k=3)], {}, 9, top)
        for opset in (10, 11, 24):
            yield Case(f"TopK-{label}-{opset}", [node("TopK", "x k", outputs)], k, opset, top)
        for axis in (0, 1, -1):
            yield Case(
                f"TopK-{label}-axis{axis}",
                [node("TopK", "x k", outputs, axis=axis)],
                k,
                11,
                lambda x, a=axis, t=top: t(x, a),
                shape=(4, 5),
            )
        yield Case(
            f"TopK-{label}-smallest", [node("TopK", "x k", outputs, largest=0)], k, 11, lambda x, t=top: t(x, -1, 0)
        )
        yield Case(f"TopK-{label}-sorted", [node("TopK", "x k", outputs, sorted=1)], k, 11, top)
        yield Case(
            f"TopK-{label}-ties",
            [node("Floor", "x", "z"), node("TopK", "z k", outputs)],
            k,
            11,
            lambda x, t=top: t(np.floor(x)),
        )
        yield Case(f"TopK-{label}-int64", [node("TopK", "x k", outputs)], k, 11, lambda x, t=top: t(x), element=INT64)
    # In any order: the sum of the three does not depend on it.
    yield Case(
        "TopK-unsorted",
        [node("TopK", "x k", "v i", sorted=0), node("ReduceMax", "v", "y", axes=[1])],
        {"k": np.array([3])},
        11,
        lambda x: x.max(axis=1, keepdims=True),
    )


def softmax(x, axis):
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def log_softmax(x, axis):
    x = x - x.max(axis=axis, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=axis, keepdims=True))


def hardmax(x, axis):
    place = np.expand_dims(np.argmax(x, axis=axis), axis)
    result = np.zeros_like(x)
    np.put_along_axis(result, place, 1, axis)
    return result


def flattened(formula, x, axis):
    rows = int(np.prod(x.shape[: axis % x.ndim])) if axis else 1
    return formula(x.reshape(rows, -1), 1).reshape(x.shape)


def distributions():
    for op, formula in {"Softmax": softmax, "LogSoftmax": log_softmax, "Hardmax": hardmax}.items():
        for axis in (None, 0, 1, 2, -1, -2):
            given = {} if axis is None else {"axis": axis}
            old, new = (1, -1) if axis is None else (axis, axis)
            yield Case(
                f"{op}-axis{axis}-13",
                [node(op, "x", "y", **given)],
                {},
                13,
                lambda x, f=formula, a=new: f(x, a),
                shape=SHAPE,
            )
            for opset in (9, 11):
                if opset == 9 and axis in (-1, -2):
                    continue
                yield Case(
                    f"{op}-axis{axis}-{opset}",
                    [node(op, "x", "y", **given)],
                    {},
                    opset,
                    lambda x, f=formula, a=old: flattened(f, x, a),
                    shape=SHAPE,
                    differs="it has the newest only",
                )
        yield Case(
            f"{op}-wide",
            [node(op, "x", "y")],
            {},
            13,
            lambda x, f=formula: f(x, 1),
            scale=64.0,
            differs="it overflows" if op == "LogSoftmax" else None,
        )
        yield Case(
            f"{op}-wide-11",
            [node(op, "x", "y")],
            {},
            11,
            lambda x, f=formula: f(x, 1),
            scale=64.0,
            differs="it overflows" if op == "LogSoftmax" else None,
        )
        yield Case(f"{op}-double", [node(op, "x", "y")], {}, 13, lambda x, f=formula: f(x, 1), element=DOUBLE)
    yield Case(
        "Softmax-half",
        [node("Softmax", "x", "y")],
        {},
        13,
        lambda x: softmax(x, 1),
        element=HALF,
        differs="half precision",
    )
    yield Case("LogSoftmax-peak", [node("LogSoftmax", "x", "y")], {}, 13, lambda x: log_softmax(x, 1), scale=8.0)


def normalized(x, axes, epsilon=1e-5):
    mean = x.mean(axis=axes, keepdims=True)
    return (x - mean) / np.sqrt(((x - mean) ** 2).mean(axis=axes, keepdims=True) + epsilon)


def standardized(x, axes):
    return (x - x.mean(axis=axes, keepdims=True)) / (x.std(axis=axes, keepdims=True) + 1e-9)


def normalizations():
    scale, bias = np.float32([1.0, 0.5, -2.0, 1.5]), np.float32([0.0, 1.0, 0.5, -1.0])
    for opset in (17,):
        yield Case(
            "LayerNormalization",
            [node("LayerNormalization", "x s b", "y")],
            {"s": scale, "b": bias},
            opset,
            lambda x: normalized(x, -1) * scale + bias,
            shape=SHAPE,
        )
        yield Case(
            "LayerNormalization-plain",
            [node("LayerNormalization", "x s", "y")],
            {"s": scale},
            opset,
            lambda x: normalized(x, -1) * scale,
            shape=SHAPE,
        )
        yield Case(
            "LayerNormalization-epsilon",
            [node("LayerNormalization", "x s b", "y", epsilon=0.5)],
            {"s": scale, "b": bias},
            opset,
            lambda x: normalized(x, -1, 0.5) * scale + bias,
            shape=SHAPE,
        )
        two = np.float32(np.arange(12).reshape(3, 4) / 8)
        for axis in (1, -2):
            yield Case(
                f"LayerNormalization-axis{axis}",
                [node("LayerNormalization", "x s b", "y", axis=axis)],
                {"s": two, "b": two},
                opset,
                lambda x: normalized(x, (1, 2)) * two + two,
                shape=SHAPE,
            )
        yield Case(
            "LayerNormalization-stash",
            [node("LayerNormalization", "x s b", "y", stash_type=1)],
            {"s": scale, "b": bias},
            opset,
            lambda x: normalized(x, -1) * scale + bias,
            shape=SHAPE,
        )
        yield Case(
            "LayerNormalization-double",
            [node("LayerNormalization", "x s b", "y")],
            {"s": scale.astype(float), "b": bias.astype(float)},
            opset,
            lambda x: normalized(x, -1) * scale + bias,
            shape=SHAPE,
            element=DOUBLE,
        )
        yield Case(
            "LayerNormalization-mean",
            [node("LayerNormalization", "x s b", "n y")],
            {"s": scale, "b": bias},
            opset,
            lambda x: x.mean(axis=-1, keepdims=True),
            shape=SHAPE,
        )
        yield Case(
            "LayerNormalization-far",
            [node("LayerNormalization", "x s b", "y")],
            {"s": scale, "b": bias},
            opset,
            lambda x: normalized(x, -1) * scale + bias,
            shape=SHAPE,
            scale=2.0**20,
        )
        yield Case(
            "LayerNormalization-near",
            [node("LayerNormalization", "x s b", "y")],
            {"s": scale, "b": bias},
            opset,
            lambda x: normalized(x, -1) * scale + bias,
            shape=SHAPE,
            scale=2.0**-12,
        )
        # A mean of a thousand times the deviation: the difference of two squares loses it.
        yield Case(
            "LayerNormalization-offset",
            [node("LayerNormalization", "x s", "y")],
            {"s": np.float32([1, 0.5, -2, 1.5, 1])},
            opset,
            lambda x: normalized(x, -1) * [1, 0.5, -2, 1.5, 1],
            shift=1024.0,
            differs="single precision",
        )
    c = {
        "s": np.float32([1, 0.5, -2]),
        "b": np.float32([0, 1, 0.5]),
        "m": np.float32([0.5, -1, 2]),
        "v": np.float32([1, 4, 0.25]),
    }

    def batch(x, epsilon=1e-5):
        shape = (1, 3) + (1,) * (x.ndim - 2)
        s, b, m, v = (c[k].astype(float).reshape(shape) for k in "sbmv")
        return (x - m) / np.sqrt(v + epsilon) * s + b

    for opset in (7, 9, 14, 15):
        mixed = "its opset 9 mixes in the statistics of the batch" if opset == 9 else None
        yield Case(
            f"BatchNormalization-{opset}",
            [node("BatchNormalization", "x s b m v", "y")],
            c,
            opset,
            batch,
            shape=SHAPE,
            differs=mixed,
        )
        yield Case(
            f"BatchNormalization-flat-{opset}",
            [node("BatchNormalization", "x s b m v", "y", epsilon=0.5, momentum=0.5)],
            c,
            opset,
            lambda x: batch(x, 0.5),
            shape=(2, 3),
            differs=mixed,
        )
    yield Case(
        "BatchNormalization-inference",
        [node("BatchNormalization", "x s b m v", "y", training_mode=0)],
        c,
        15,
        batch,
        shape=SHAPE,
    )

    def training(x):
        mean, variance = x.mean(axis=(0, 2), keepdims=True), x.var(axis=(0, 2), keepdims=True)
        return (x - mean) / np.sqrt(variance + 1e-5) * c["s"].reshape(1, 3, 1) + c["b"].reshape(1, 3, 1)

    yield Case(
        "BatchNormalization-training",
        [node("BatchNormalization", "x s b m v", "y rm rv", training_mode=1)],
        c,
        15,
        training,
        shape=SHAPE,
    )
    s, b = c["s"].reshape(1, 3, 1), c["b"].reshape(1, 3, 1)
    for opset in (6, 22):
        yield Case(
            f"InstanceNormalization-{opset}",
            [node("InstanceNormalization", "x s b", "y")],
            {"s": c["s"], "b": c["b"]},
            opset,
            lambda x: normalized(x, 2) * s + b,
            shape=SHAPE,
        )
    yield Case(
        "InstanceNormalization-epsilon",
        [node("InstanceNormalization", "x s b", "y", epsilon=0.25)],
        {"s": c["s"], "b": c["b"]},
        6,
        lambda x: normalized(x, 2, 0.25) * s + b,
        shape=SHAPE,
    )

    def grouped(x):
        return normalized(x.reshape(1, 2, -1), 2).reshape(x.shape)

    yield Case(
        "GroupNormalization-21",
        [node("GroupNormalization", "x s b", "y", num_groups=2)],
        {"s": scale, "b": bias},
        21,
        lambda x: grouped(x) * scale.reshape(1, 4, 1) + bias.reshape(1, 4, 1),
        shape=(1, 4, 3),
    )
    yield Case(
        "GroupNormalization-18",
        [node("GroupNormalization", "x s b", "y", num_groups=2)],
        {"s": scale[:2], "b": bias[:2]},
        18,
        lambda x: grouped(x) * np.repeat(scale[:2], 2).reshape(1, 4, 1) + np.repeat(bias[:2], 2).reshape(1, 4, 1),
        shape=(1, 4, 3),
        differs="it has the newest only",
    )
    for opset in (9, 13):
        yield Case(
            f"MeanVarianceNormalization-{opset}",
            [node("MeanVarianceNormalization", "x", "y", axes=[1, 2])],
            {},
            opset,
            lambda x: standardized(x, (1, 2)),
            shape=SHAPE,
        )
    yield Case(
        "MeanVarianceNormalization-default",
        [node("MeanVarianceNormalization", "x", "y")],
        {},
        13,
        lambda x: standardized(x, (0, 2, 3)),
        shape=(2, 1, 3, 2),
    )
    yield Case(
        "MeanVarianceNormalization-offset",
        [node("MeanVarianceNormalization", "x", "y", axes=[1])],
        {},
        13,
        lambda x: standardized(x, 1),
        shift=1024.0,
        differs="it loses digits",
    )
    for axis in (None, 0, 1, -1):
        for p in (None, 1, 2):
            given = {k: v for k, v in (("axis", axis), ("p", p)) if v is not None}
            a = -1 if axis is None else axis
            f = (
                (lambda x, a=a: x / np.abs(x).sum(axis=a, keepdims=True))
                if p == 1
                else (lambda x, a=a: x / np.sqrt((x * x).sum(axis=a, keepdims=True)))
            )
            yield Case(
                f"LpNormalization-axis{axis}-p{p}",
                [node("LpNormalization", "x", "y", **given)],
                {},
                7,
                f,
                shape=(2, 3),
                shift=4.0,
                differs="its L1 adds the numbers themselves" if p == 1 else None,
            )
    yield Case(
        "RMSNormalization",
        [node("RMSNormalization", "x s", "y")],
        {"s": scale},
        23,
        lambda x: x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + 1e-5) * scale,
        shape=SHAPE,
    )
    yield Case(
        "RMSNormalization-axis",
        [node("RMSNormalization", "x s", "y", axis=1, epsilon=0.5)],
        {"s": np.float32(np.arange(12).reshape(3, 4) / 8)},
        23,
        lambda x: x / np.sqrt((x * x).mean(axis=(1, 2), keepdims=True) + 0.5) * (np.arange(12).reshape(3, 4) / 8),
        shape=SHAPE,
    )

    def local(x, size, alpha=0.0001, beta=0.75, bias=1.0):
        padded = np.pad(x * x, ((0, 0), ((size - 1) // 2, size // 2), (0, 0), (0, 0)))
        total = sum(padded[:, k : k + x.shape[1]] for k in range(size))
        return x / (bias + alpha / size * total) ** beta

    for opset in (7, 13):
        yield Case(
            f"LRN-default-{opset}",
            [node("LRN", "x", "y", size=3)],
            {},
            opset,
            lambda x: local(x, 3),
            shape=(1, 4, 2, 1),
            differs="it takes one neighbour too few",
        )
    yield Case(
        "LRN-given",
        [node("LRN", "x", "y", size=3, alpha=0.5, beta=0.5, bias=2.0)],
        {},
        13,
        lambda x: local(x, 3, 0.5, 0.5, 2.0),
        shape=(1, 4, 2, 1),
        differs="it takes one neighbour too few",
    )
    yield Case(
        "LRN-even",
        [node("LRN", "x", "y", size=2, alpha=0.5)],
        {},
        13,
        lambda x: local(x, 2, 0.5),
        shape=(1, 4, 2, 1),
        differs="it takes one neighbour too few",
    )
    contrib = {"domains": {"com.microsoft": 1}}
    yield Case(
        "microsoft-SkipLayerNormalization",
        [node("SkipLayerNormalization", "x k s b", "y", "com.microsoft", epsilon=1e-5)],
        {"k": np.float32(np.arange(12).reshape(1, 3, 4) / 4), "s": scale, "b": bias},
        formula=lambda x: normalized(x + np.arange(12).reshape(1, 3, 4) / 4, -1) * scale + bias,
        shape=(1, 3, 4),
        **contrib,
    )
    yield Case(
        "SimplifiedLayerNormalization",
        [node("SimplifiedLayerNormalization", "x s", "y", epsilon=1e-5)],
        {"s": scale},
        17,
        lambda x: x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + 1e-5) * scale,
        shape=SHAPE,
    )


def cases():
    for group in (reductions, choices, distributions, normalizations):
        yield from group()
