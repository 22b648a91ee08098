"""Operators that move elements."""

import numpy as np
from onnx import numpy_helper

from frame import FLOAT, INT64, Case, node

SHAPE = (2, 3, 4)


def i64(*values):
    return np.array(values, np.int64)


def reshapes():
    for label, shape in (
        ("rest", (4, -1)),
        ("zero", (0, 4, 3)),
        ("zero-rest", (0, -1)),
        ("flat", (24,)),
        ("more", (1, 2, 3, 2, 2)),
    ):
        for opset in (5, 13, 14, 21):
            yield (
                Case(
                    f"Reshape-{label}-{opset}",
                    [node("Reshape", "x s", "z"), node("Add", "z zero", "y")],
                    {"s": i64(*shape), "zero": np.float32(0)},
                    max(opset, 7),
                    None,
                    shape=SHAPE,
                )
                if opset > 5
                else Case(
                    f"Reshape-{label}-{opset}",
                    [node("Reshape", "x s", "y")],
                    {"s": i64(*shape)},
                    opset,
                    None,
                    shape=SHAPE,
                )
            )
    yield Case(
        "Reshape-allowzero", [node("Reshape", "x s", "y", allowzero=1)], {"s": i64(4, -1)}, 14, None, shape=SHAPE
    )
    yield Case(
        "Reshape-allowzero-0", [node("Reshape", "x s", "y", allowzero=0)], {"s": i64(0, 4, -1)}, 14, None, shape=SHAPE
    )
    for axis in (None, 0, 1, 2, 3, -1, -2):
        given = {} if axis is None else {"axis": axis}
        for opset in (9, 11, 13):
            if opset == 9 and axis in (-1, -2):
                continue
            yield Case(
                f"Flatten-axis{axis}-{opset}",
                [node("Flatten", "x", "y", **given)],
                {},
                opset,
                lambda x, a=1 if axis is None else axis: x.reshape(
                    int(np.prod(x.shape[: a if a >= 0 else 3 + a])) if a else 1, -1
                ),
                shape=SHAPE,
            )
    for label, perm in (
        ("reverse", None),
        ("021", (0, 2, 1)),
        ("120", (1, 2, 0)),
        ("201", (2, 0, 1)),
        ("102", (1, 0, 2)),
    ):
        given = {} if perm is None else {"perm": perm}
        for opset in (1, 13):
            yield Case(
                f"Transpose-{label}-{opset}",
                [node("Transpose", "x", "y", **given)],
                {},
                opset,
                lambda x, p=perm: np.transpose(x, p),
                shape=SHAPE,
            )
    ones = (1, 3, 1, 4)
    for label, axes in (("first", (0,)), ("both", (0, 2)), ("negative", (-2,))):
        f = lambda x, a=axes: np.squeeze(x, a)
        if label != "negative":
            yield Case(
                f"Squeeze-{label}-9",
                [node("Squeeze", "x", "z", axes=list(axes)), node("Transpose", "z", "y")],
                {},
                9,
                lambda x, f=f: np.transpose(f(x)),
                shape=ones,
            )
        yield Case(
            f"Squeeze-{label}-11",
            [node("Squeeze", "x", "z", axes=list(axes)), node("Transpose", "z", "y")],
            {},
            11,
            lambda x, f=f: np.transpose(f(x)),
            shape=ones,
        )
        yield Case(
            f"Squeeze-{label}-13",
            [node("Squeeze", "x a", "z"), node("Transpose", "z", "y")],
            {"a": i64(*axes)},
            13,
            lambda x, f=f: np.transpose(f(x)),
            shape=ones,
        )
    for opset in (9, 11, 13):
        yield Case(
            f"Squeeze-all-{opset}",
            [node("Squeeze", "x", "z"), node("Transpose", "z", "y")],
            {},
            opset,
            lambda x: np.transpose(np.squeeze(x)),
            shape=ones,
        )
    for label, axes in (("first", (0,)), ("two", (1, 3)), ("negative", (-1, -3)), ("unsorted", (3, 0))):
        f = lambda x, a=axes: np.transpose(np.expand_dims(x, a))
        one_by_one = "it inserts one axis after the other" if label == "unsorted" else None
        if label != "negative":
            yield Case(
                f"Unsqueeze-{label}-9",
                [node("Unsqueeze", "x", "z", axes=list(axes)), node("Transpose", "z", "y")],
                {},
                9,
                f,
                shape=SHAPE,
                differs=one_by_one,
            )
        yield Case(
            f"Unsqueeze-{label}-11",
            [node("Unsqueeze", "x", "z", axes=list(axes)), node("Transpose", "z", "y")],
            {},
            11,
            f,
            shape=SHAPE,
            differs=one_by_one,
        )
        yield Case(
            f"Unsqueeze-{label}-13",
            [node("Unsqueeze", "x a", "z"), node("Transpose", "z", "y")],
            {"a": i64(*axes)},
            13,
            f,
            shape=SHAPE,
        )
    for axis in (0, 1, 2, -1):
        for opset in (4, 11, 13):
            if opset == 4 and axis < 0:
                continue
            yield (
                Case(
                    f"Concat-axis{axis}-{opset}",
                    [node("Neg", "x", "n"), node("Concat", "x n x", "y", axis=axis)],
                    {},
                    max(opset, 6),
                    lambda x, a=axis: np.concatenate([x, -x, x], a),
                    shape=SHAPE,
                )
                if opset != 4
                else Case(
                    f"Concat-axis{axis}-{opset}",
                    [node("Concat", "x x x", "y", axis=axis)],
                    {},
                    opset,
                    lambda x, a=axis: np.concatenate([x, x, x], a),
                    shape=SHAPE,
                )
            )
    yield Case(
        "Concat-int64", [node("Concat", "x x", "y", axis=1)], {}, 13, lambda x: np.concatenate([x, x], 1), element=INT64
    )


def splits():
    for opset in (2, 11):
        for label, axis, split in (("attribute", 1, [1, 2]), ("equal", 2, None), ("default", None, None)):
            given = {k: v for k, v in (("axis", axis), ("split", split)) if v is not None}
            f = lambda x, a=axis or 0, s=split: (np.split(x, [s[0]], a) if s else np.split(x, 2, a))[1]
            yield Case(f"Split-{label}-{opset}", [node("Split", "x", "a y", **given)], {}, opset, f, shape=SHAPE)
    yield Case(
        "Split-negative-11", [node("Split", "x", "a y", axis=-2, split=[2, 1])], {}, 11, lambda x: x[:, 2:], shape=SHAPE
    )
    for opset in (13, 18):
        for label, axis, split in (("input", 1, [1, 2]), ("negative", -1, [3, 1])):
            yield Case(
                f"Split-{label}-{opset}",
                [node("Split", "x s", "a y", axis=axis)],
                {"s": i64(*split)},
                opset,
                lambda x, a=axis, s=split: np.split(x, [s[0]], a)[1],
                shape=SHAPE,
            )
    yield Case("Split-equal-13", [node("Split", "x", "a y", axis=2)], {}, 13, lambda x: x[:, :, 2:], shape=SHAPE)
    yield Case(
        "Split-number-18",
        [node("Split", "x", "a y", axis=2, num_outputs=2)],
        {},
        18,
        lambda x: x[:, :, 2:],
        shape=SHAPE,
    )
    yield Case(
        "Split-uneven-18", [node("Split", "x", "a y", axis=1, num_outputs=2)], {}, 18, lambda x: x[:, 2:], shape=SHAPE
    )
    yield Case(
        "Split-uneven-first-18",
        [node("Split", "x", "y b", axis=1, num_outputs=2)],
        {},
        18,
        lambda x: x[:, :2],
        shape=SHAPE,
    )
    yield Case(
        "Split-uneven-three-18",
        [node("Split", "x", "a b y", axis=1, num_outputs=3)],
        {},
        18,
        lambda x: x[:, 4:],
        shape=(1, 5),
    )


def slices():
    for label, starts, ends, axes, steps in (
        ("plain", (1,), (3,), (1,), (1,)),
        ("negative", (-3,), (-1,), (2,), (1,)),
        ("beyond", (1,), (1000,), (2,), (1,)),
        ("far-end", (1,), (2**63 - 1,), (2,), (1,)),
        ("step", (0,), (4,), (2,), (2,)),
        ("step-three", (0,), (4,), (2,), (3,)),
        ("backwards", (3,), (0,), (2,), (-1,)),
        ("reverse", (-1,), (-(2**63) + 1,), (2,), (-1,)),
        ("reverse-two", (-1,), (-100,), (2,), (-2,)),
        ("two", (0, 1), (1, 3), (0, 1), (1, 1)),
        ("negative-axis", (1,), (3,), (-1,), (1,)),
        ("unsorted", (1, 0), (3, 1), (2, 0), (1, 1)),
    ):

        def f(x, starts=starts, ends=ends, axes=axes, steps=steps):
            index = [slice(None)] * 3
            for s, e, a, t in zip(starts, ends, axes, steps):
                index[a] = slice(s, None if t < 0 and e < -50 else e, t)
            return x[tuple(index)]

        plain = all(step == 1 for step in steps)
        if plain and label != "far-end":
            attributes = {"starts": list(starts), "ends": list(ends), "axes": list(axes)}
            if label != "negative-axis":
                yield Case(f"Slice-{label}-1", [node("Slice", "x", "y", **attributes)], {}, 9, f, shape=SHAPE)
        for opset in (10, 11, 13):
            if opset == 10 and (label in ("negative-axis", "reverse", "reverse-two")):
                continue
            c = {"s": i64(*starts), "e": i64(*ends), "a": i64(*axes), "t": i64(*steps)}
            yield Case(f"Slice-{label}-{opset}", [node("Slice", "x s e a t", "y")], c, opset, f, shape=SHAPE)
            if plain and opset == 13:
                yield Case(
                    f"Slice-{label}-no-steps",
                    [node("Slice", "x s e a", "y")],
                    {k: c[k] for k in "sea"},
                    opset,
                    f,
                    shape=SHAPE,
                )
    yield Case(
        "Slice-no-axes-1",
        [node("Slice", "x", "y", starts=[0, 1, 1], ends=[2, 3, 2])],
        {},
        9,
        lambda x: x[0:2, 1:3, 1:2],
        shape=SHAPE,
    )
    yield Case(
        "Slice-no-axes",
        [node("Slice", "x s e", "y")],
        {"s": i64(0, 1, 1), "e": i64(2, 3, 2)},
        13,
        lambda x: x[0:2, 1:3, 1:2],
        shape=SHAPE,
    )
    yield Case(
        "Slice-no-axes-fewer",
        [node("Slice", "x s e", "y")],
        {
            "s": i64(
                1,
            ),
            "e": i64(
                2,
            ),
        },
        13,
        lambda x: x[1:2],
        shape=SHAPE,
    )
    yield Case(
        "Slice-int32",
        [node("Slice", "x s e a", "y")],
        {"s": np.int32([1]), "e": np.int32([3]), "a": np.int32([1])},
        13,
        lambda x: x[:, 1:3],
        shape=SHAPE,
    )
    # What is taken depends on the input.
    yield Case(
        "Slice-at-input",
        [
            node("Greater", "x zero", "p"),
            node("Cast", "p", "q", to=INT64),
            node("Slice", "q a b one", "r"),
            node("Reshape", "r flat", "s"),
            node("Add", "s one", "e"),
            node("Slice", "table s e", "y"),
        ],
        {
            "zero": np.float32(0),
            "a": i64(0),
            "b": i64(1),
            "one": i64(1),
            "flat": i64(-1),
            "table": np.float32([[1, 2, 3], [4, 5, 6]]),
        },
        13,
        lambda x: np.float32([[1, 2, 3], [4, 5, 6]])[int(x[0, 0] > 0)].reshape(1, 3),
    )


def gathers():
    for label, indices in (
        ("plain", [2, 0]),
        ("negative", [-1, 1]),
        ("scalar", 1),
        ("scalar-negative", -2),
        ("table", [[0, 1], [2, -3]]),
    ):
        for axis in (None, 1, -2):
            given = {} if axis is None else {"axis": axis}
            values = np.array(indices)
            if axis is None:
                values = np.where(values > 1, 1, np.where(values < -2, -2, values))
            for opset in (1, 11, 13):
                if opset == 1 and (axis == -2 or "negative" in label or label == "table"):
                    continue
                yield Case(
                    f"Gather-{label}-axis{axis}-{opset}",
                    [node("Gather", "x i", "y", **given)],
                    {"i": values},
                    opset,
                    lambda x, v=values, a=axis or 0: np.take(x, v, a),
                    shape=SHAPE,
                )
    yield Case(
        "Gather-int32",
        [node("Gather", "x i", "y", axis=1)],
        {"i": np.int32([2, -1])},
        13,
        lambda x: np.take(x, [2, -1], 1),
        shape=SHAPE,
    )
    table = np.float32([[1, 2, 3], [4, 5, 6], [7, 8, 9.5]])
    # Whole numbers from -3 to 2, of which the negative ones count from the end.
    index = [node("Floor", "x", "f"), node("Clip", "f low high", "g"), node("Cast", "g", "i", to=INT64)]
    bounds = {"low": np.float32(-3), "high": np.float32(2), "table": table}
    whole = lambda x: np.clip(np.floor(x), -3, 2).astype(int)
    yield Case("Gather-at-input", [*index, node("Gather", "table i", "y")], bounds, 13, lambda x: table[whole(x)])
    yield Case(
        "GatherElements-at-input",
        [*index, node("Slice", "i a b one", "j"), node("GatherElements", "table j", "y", axis=0)],
        {**bounds, "a": i64(0), "b": i64(3), "one": i64(1)},
        13,
        lambda x: np.take_along_axis(table, whole(x)[:, :3], 0),
    )
    for axis in (None, 1, -1):
        given = {} if axis is None else {"axis": axis}
        values = (
            i64(0, 1, -1, 0).reshape(1, 1, 4)
            if axis is None
            else i64(2, 0, -1, 1).reshape(1, 1, 4) if axis == 1 else i64(3, 0, -1).reshape(1, 1, 3)
        )
        values = np.broadcast_to(values, {None: (1, 3, 4), 1: (2, 1, 4), -1: (2, 3, 3)}[axis])
        for opset in (11, 13):
            yield Case(
                f"GatherElements-axis{axis}-{opset}",
                [node("GatherElements", "x i", "y", **given)],
                {"i": values},
                opset,
                lambda x, v=values, a=axis or 0: np.take_along_axis(x, v, a),
                shape=SHAPE,
            )
    for label, indices, batch in (
        ("rows", [[0], [1]], 0),
        ("cells", [[0, 1], [1, 2]], 0),
        ("elements", [[0, 1, 3], [1, 2, 0]], 0),
        ("negative", [[-1, -2]], 0),
        ("batch", [[1], [2]], 1),
        ("batch-negative", [[-1], [0]], 1),
    ):
        given = {"batch_dims": batch} if batch else {}
        for opset in (11, 12, 13):
            if opset == 11 and batch:
                continue
            f = (
                (lambda x, i=np.array(indices): np.stack([x[tuple(row)] for row in i]))
                if not batch
                else (lambda x, i=np.array(indices): np.stack([x[b][tuple(i[b])] for b in range(2)]))
            )
            yield Case(
                f"GatherND-{label}-{opset}",
                [node("GatherND", "x i", "y", **given)],
                {"i": np.array(indices)},
                opset,
                f,
                shape=SHAPE,
            )
    yield Case(
        "GatherND-at-input",
        [*index, node("Slice", "i a b one", "j"), node("GatherND", "table j", "y")],
        {**bounds, "a": i64(0), "b": i64(1), "one": i64(1)},
        13,
        lambda x: table[whole(x)[0, 0]].reshape(1, 3),
    )


def scatters():
    for reduction in (None, "none", "add", "mul", "max", "min"):
        given = {} if reduction is None else {"reduction": reduction}
        for axis in (None, 1, -1):
            where = {} if axis is None else {"axis": axis}
            indices = i64(1, 0, 0, -1).reshape(1, 4) if axis is None else i64(1, 0, -1).reshape(3, 1)
            updates = np.float32([2, -1.5, 0.5, 3])[: indices.size].reshape(indices.shape)
            for opset in ((11, 13, 18) if reduction is None else (16, 18)):
                if reduction in ("max", "min") and opset < 18:
                    continue
                yield Case(
                    f"ScatterElements-{reduction}-axis{axis}-{opset}",
                    [node("ScatterElements", "x i u", "y", **given, **where)],
                    {"i": indices, "u": updates},
                    opset,
                    None,
                    shape=(3, 4),
                )
        if reduction not in (None, "none"):
            yield Case(
                f"ScatterElements-{reduction}-twice",
                [node("ScatterElements", "x i u", "y", axis=1, **given)],
                {"i": i64(1, 1, 3).reshape(1, 3), "u": np.float32([[2, -1.5, 0.5]])},
                18,
                None,
            )
            yield Case(
                f"ScatterND-{reduction}-twice",
                [node("ScatterND", "x i u", "y", **given)],
                {"i": i64(0, 1, 0, 1, 0, 3).reshape(3, 2), "u": np.float32([2, -1.5, 0.5])},
                18,
                None,
            )
        for label, indices in (("rows", [[1], [0]]), ("cells", [[0, 1], [2, 3]]), ("negative", [[-1], [0]])):
            updates = np.float32([[2, -1, 0.5, 3], [1, 4, -2, 0.25]]) if label != "cells" else np.float32([2, -1.5])
            for opset in ((11, 13, 18) if reduction is None else (16, 18)):
                if reduction in ("max", "min") and opset < 18:
                    continue
                yield Case(
                    f"ScatterND-{reduction}-{label}-{opset}",
                    [node("ScatterND", "x i u", "y", **given)],
                    {"i": np.array(indices), "u": updates},
                    opset,
                    None,
                    shape=(3, 4),
                )
    yield Case(
        "Scatter-9",
        [node("Scatter", "x i u", "y", axis=1)],
        {"i": i64(1, 0, 2).reshape(3, 1), "u": np.float32([[2], [-1], [0.5]])},
        9,
        lambda x: np.float32(x) * [[1, 0, 1, 1], [0, 1, 1, 1], [1, 1, 0, 1]]
        + [[0, 2, 0, 0], [-1, 0, 0, 0], [0, 0, 0.5, 0]],
        shape=(3, 4),
    )


def growths():
    for label, shape in (("same", (2, 3, 4)), ("more", (2, 2, 3, 4)), ("one", (1,))):
        for opset in (8, 13):
            yield Case(
                f"Expand-{label}-{opset}",
                [node("Expand", "x s", "y")],
                {"s": i64(*shape)},
                opset,
                lambda x, s=shape: x * np.ones(s),
                shape=SHAPE,
            )
    yield Case(
        "Expand-column", [node("Expand", "x s", "y")], {"s": i64(3, 4)}, 13, lambda x: x * np.ones((3, 4)), shape=(3, 1)
    )
    for opset in (6, 13):
        yield Case(
            f"Tile-{opset}",
            [node("Tile", "x r", "y")],
            {"r": i64(2, 1, 3)},
            opset,
            lambda x: np.tile(x, (2, 1, 3)),
            shape=SHAPE,
        )
    pads = i64(0, 1, 0, 2)
    for mode in (None, "constant", "reflect", "edge"):
        given = {} if mode is None else {"mode": mode}
        f = lambda x, m=mode: np.pad(x, ((0, 0), (1, 2)), m or "constant")
        yield Case(f"Pad-{mode}-2", [node("Pad", "x", "y", pads=[0, 1, 0, 2], **given)], {}, 2, f)
        for opset in (11, 13, 18, 21):
            yield Case(f"Pad-{mode}-{opset}", [node("Pad", "x p", "y", **given)], {"p": pads}, opset, f)
        yield Case(
            f"Pad-{mode}-axes",
            [node("Pad", "x p  a".replace("  ", " none "), "y", **given)],
            {"p": i64(1, 2), "a": i64(-1), "none": np.float32(0)},
            18,
            f,
        )
    yield Case(
        "Pad-wrap",
        [node("Pad", "x p", "y", mode="wrap")],
        {"p": pads},
        19,
        lambda x: np.pad(x, ((0, 0), (1, 2)), "wrap"),
    )
    yield Case(
        "Pad-value-2",
        [node("Pad", "x", "y", pads=[0, 1, 0, 2], value=2.5)],
        {},
        2,
        lambda x: np.pad(x, ((0, 0), (1, 2)), constant_values=2.5),
    )
    yield Case(
        "Pad-value",
        [node("Pad", "x p v", "y")],
        {"p": pads, "v": np.float32(2.5)},
        13,
        lambda x: np.pad(x, ((0, 0), (1, 2)), constant_values=2.5),
    )
    yield Case(
        "Pad-negative-2",
        [node("Pad", "x", "y", pads=[0, -1, 0, 2])],
        {},
        2,
        lambda x: np.pad(x[:, 1:], ((0, 0), (0, 2))),
    )
    yield Case(
        "Pad-negative",
        [node("Pad", "x p", "y")],
        {"p": i64(0, -1, 0, 2)},
        13,
        lambda x: np.pad(x[:, 1:], ((0, 0), (0, 2))),
    )
    yield Case(
        "Pad-reflect-far",
        [node("Pad", "x p", "y", mode="reflect")],
        {"p": i64(0, 4, 0, 4)},
        13,
        lambda x: np.pad(x, ((0, 0), (4, 4)), "reflect"),
    )
    yield Case(
        "Pad-two-axes",
        [node("Pad", "x p", "y")],
        {"p": i64(0, 1, 0, 1, 0, 2)},
        13,
        lambda x: np.pad(x, ((0, 1), (1, 0), (0, 2))),
        shape=SHAPE,
    )
    yield Case(
        "Pad-int64",
        [node("Pad", "x p v", "y")],
        {"p": pads, "v": np.int64(7)},
        13,
        lambda x: np.pad(x, ((0, 0), (1, 2)), constant_values=7),
        element=INT64,
    )
    for upper in (None, 0, 1):
        given = {} if upper is None else {"upper": upper}
        for k in (None, 1, -1):
            f = lambda x, u=upper, k=k: (np.tril if u == 0 else np.triu)(x, k or 0)
            constants = {} if k is None else {"k": np.int64(k)}
            yield Case(
                f"Trilu-upper{upper}-k{k}",
                [node("Trilu", "x" if k is None else "x k", "y", **given)],
                constants,
                14,
                f,
                shape=(3, 4),
            )
    for exclusive in (None, 1):
        for reverse in (None, 1):
            for axis in (0, 1, -1):
                given = {k: v for k, v in (("exclusive", exclusive), ("reverse", reverse)) if v}
                for opset in (11, 14):
                    yield Case(
                        f"CumSum-exclusive{exclusive}-reverse{reverse}-axis{axis}-{opset}",
                        [node("CumSum", "x a", "y", **given)],
                        {"a": np.int64(axis)},
                        opset,
                        None,
                        shape=(3, 4),
                    )
    yield Case(
        "CumSum-int32-axis", [node("CumSum", "x a", "y")], {"a": np.int32(1)}, 14, lambda x: x.cumsum(1), shape=(3, 4)
    )
    yield Case(
        "CumSum-int64",
        [node("CumSum", "x a", "y")],
        {"a": np.int64(1)},
        14,
        lambda x: x.cumsum(1),
        shape=(3, 4),
        element=INT64,
    )
    on = {"d": np.int64(4), "v": np.float32([-1, 2])}
    index = [node("Floor", "x", "f"), node("Cast", "f", "i", to=INT64)]
    for axis in (None, 0, 1, -1, -2):
        given = {} if axis is None else {"axis": axis}
        for opset in (9, 11):
            if opset == 9 and axis == -2:
                continue

            def f(x, a=-1 if axis is None else axis):
                whole = np.floor(x).astype(int)
                whole = np.where(whole < 0, whole + 4, whole)
                hot = np.where(np.arange(4) == whole[..., None], 2, -1)
                return np.moveaxis(hot, -1, a)

            yield Case(
                f"OneHot-axis{axis}-{opset}",
                [*index, node("OneHot", "i d v", "y", **given)],
                on,
                opset,
                f,
                differs="negative indices of opset 9" if opset == 9 else "it wraps those out of range",
            )
    yield Case(
        "OneHot-vector-depth",
        [*index, node("OneHot", "i d v", "y")],
        {"d": i64(4), "v": np.float32([0, 1])},
        11,
        lambda x: np.where(np.arange(4) == np.where(np.floor(x) < 0, np.floor(x) + 4, np.floor(x))[..., None], 1, 0),
        differs="it wraps those out of range",
    )


def makings():
    yield Case(
        "Range-float",
        [node("Range", "s l d", "r"), node("Add", "x r", "y")],
        {"s": np.float32(1), "l": np.float32(3.5), "d": np.float32(0.5)},
        11,
        lambda x: x + np.arange(1, 3.5, 0.5),
    )
    yield Case(
        "Range-int64",
        [node("Range", "s l d", "r"), node("Cast", "r", "q", to=FLOAT), node("Add", "x q", "y")],
        {"s": np.int64(10), "l": np.int64(0), "d": np.int64(-2)},
        11,
        lambda x: x + np.arange(10, 0, -2),
    )
    value = lambda array: numpy_helper.from_array(np.array(array), "value")
    yield Case(
        "ConstantOfShape-default",
        [node("ConstantOfShape", "s", "r"), node("Add", "x r", "y")],
        {"s": i64(1, 5)},
        9,
        lambda x: x,
    )
    yield Case(
        "ConstantOfShape-float",
        [node("ConstantOfShape", "s", "r", value=value(np.float32([2.5]))), node("Add", "x r", "y")],
        {"s": i64(1, 5)},
        9,
        lambda x: x + 2.5,
    )
    yield Case(
        "ConstantOfShape-int64",
        [
            node("ConstantOfShape", "s", "r", value=value(i64(3))),
            node("Cast", "r", "q", to=FLOAT),
            node("Add", "x q", "y"),
        ],
        {"s": i64(1, 5)},
        9,
        lambda x: x + 3,
    )
    for label, attributes, expected in (
        ("value", {"value": value(np.float32([1, 2, 3, 4, 5.5]))}, [1, 2, 3, 4, 5.5]),
        ("float", {"value_float": 2.5}, 2.5),
        ("floats", {"value_floats": [1.0, 2.0, 3.0, 4.0, 5.5]}, [1, 2, 3, 4, 5.5]),
    ):
        yield Case(
            f"Constant-{label}",
            [node("Constant", "", "c", **attributes), node("Add", "x c", "y")],
            {},
            13,
            lambda x, e=expected: x + e,
        )
    for label, attributes, expected in (
        ("int", {"value_int": 3}, 3),
        ("ints", {"value_ints": [1, 2, 3, 4, -5]}, [1, 2, 3, 4, -5]),
    ):
        yield Case(
            f"Constant-{label}",
            [node("Constant", "", "c", **attributes), node("Cast", "c", "q", to=FLOAT), node("Add", "x q", "y")],
            {},
            13,
            lambda x, e=expected: x + e,
        )
    for k in (None, 1, -1):
        given = {} if k is None else {"k": k}
        yield Case(
            f"EyeLike-k{k}",
            [node("EyeLike", "x", "e", **given), node("Add", "x e", "y")],
            {},
            9,
            lambda x, k=k: x + np.eye(3, 4, k or 0),
            shape=(3, 4),
        )
    yield Case("EyeLike-dtype", [node("EyeLike", "x", "y", dtype=INT64)], {}, 9, lambda x: np.eye(3, 4), shape=(3, 4))
    for opset, given, expected in (
        (1, {}, SHAPE),
        (13, {}, SHAPE),
        (15, {"start": 1}, SHAPE[1:]),
        (15, {"end": -1}, SHAPE[:-1]),
        (15, {"start": -2, "end": 2}, SHAPE[1:2]),
    ):
        yield Case(
            f"Shape-{'-'.join(given) or 'all'}-{opset}",
            [node("Shape", "x", "y", **given)],
            {},
            opset,
            lambda x, e=expected: np.array(e),
            shape=SHAPE,
        )
    for opset in (1, 13):
        yield Case(
            f"Size-{opset}",
            [node("Size", "x", "s"), node("Cast", "s", "q", to=FLOAT), node("Mul", "x q", "y")],
            {},
            max(opset, 7),
            lambda x: x * 24,
            shape=SHAPE,
        )
    yield Case(
        "NonZero",
        [
            node("Relu", "x", "z"),
            node("NonZero", "z", "n"),
            node("Cast", "n", "q", to=FLOAT),
            node("ReduceSum", "q a", "y"),
        ],
        {"a": i64(1)},
        13,
        lambda x: np.array(np.nonzero(np.maximum(x, 0))).sum(1, keepdims=True),
    )
    for axis in (None, 1, -1):
        given = {} if axis is None else {"axis": axis}
        conditions = [True, False, True, True]
        yield Case(
            f"Compress-axis{axis}",
            [node("Compress", "x c", "y", **given)],
            {"c": np.array(conditions)},
            11,
            lambda x, a=axis: np.compress([True, False, True, True], x, a),
            shape=(3, 4),
        )
    yield Case("DepthToSpace", [node("DepthToSpace", "x", "y", blocksize=2)], {}, 11, None, shape=(1, 8, 1, 3))
    yield Case(
        "DepthToSpace-CRD", [node("DepthToSpace", "x", "y", blocksize=2, mode="CRD")], {}, 13, None, shape=(1, 8, 1, 3)
    )
    yield Case("SpaceToDepth", [node("SpaceToDepth", "x", "y", blocksize=2)], {}, 13, None, shape=(1, 2, 4, 2))
    for opset, given, inputs, constants in (
        (6, {}, "x", {}),
        (7, {}, "x", {}),
        (10, {"ratio": 0.5}, "x", {}),
        (12, {}, "x r", {"r": np.float32(0.5)}),
        (13, {"seed": 3}, "x r t", {"r": np.float32(0.5), "t": np.array(False)}),
    ):
        if opset == 6:
            continue
        yield Case(f"Dropout-{opset}", [node("Dropout", inputs, "y", **given)], constants, opset, lambda x: x)
    yield Case(
        "Dropout-zero", [node("Dropout", "x r t", "y")], {"r": np.float32(0), "t": np.array(True)}, 13, lambda x: x
    )
    yield Case(
        "Upsample-9",
        [node("Upsample", "x s", "y", mode="nearest")],
        {"s": np.float32([1, 1, 2])},
        9,
        lambda x: np.repeat(x, 2, 2),
        shape=SHAPE,
        differs="it does not have it",
    )
    for mode in ("nearest", "linear", "cubic"):
        for transform in (None, "asymmetric", "half_pixel", "align_corners", "pytorch_half_pixel"):
            given = {} if transform is None else {"coordinate_transformation_mode": transform}
            resize = node("Resize", "x", "y", mode=mode, **given)
            resize.input.extend(["", "s"])
            for opset in (13, 18):
                yield Case(
                    f"Resize-{mode}-{transform}-{opset}",
                    [resize],
                    {"s": np.float32([1, 1, 1.5, 2] if mode == "cubic" else [1, 1, 2])},
                    opset,
                    None,
                    shape=(1, 1, 4, 2) if mode == "cubic" else SHAPE,
                )
    for nearest in ("floor", "ceil", "round_prefer_ceil"):
        resize = node("Resize", "x", "y", mode="nearest", nearest_mode=nearest)
        resize.input.extend(["", "s"])
        yield Case(f"Resize-nearest-{nearest}", [resize], {"s": np.float32([1, 1, 1.5])}, 13, None, shape=SHAPE)


def cases():
    for group in (reshapes, splits, slices, gathers, scatters, growths, makings):
        yield from group()
