"""A small servable model around one operator, and the right answers of the whole.

    input [1,5] -> Mul, Sub -> x [1,5] -> (MatMul, Reshape) -> the operator -> y
      -> (Cast) -> Reshape [1,K] -> MatMul -> Mul, Add -> output [1,3]

What stands around the operator is exact in single precision: the factors are powers of two, and
each column of the first matrix has one number that is not 0. `x` runs from -3 to 5 (times the
case's `scale`) over what a worker sees, and meets 0, halves and ties at the points below.

The right answer is worked out in double precision from the operator's formula, where a case states
one. Otherwise it is onnx.reference's. Where both exist they must agree; a case that knows them to
differ says why.
"""

import math

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

# What one unit of x is in each feature.
UNITS = numpy.array([2.0**14, 2.0**3, 2.0**6, 2.0**3, 2.0**31])
LOWEST = -3.0
OLDEST = 7

# An idle and a busy worker as `hyperfake models check` asks for them, then values of x.
POINTS = [
    numpy.array([0.0, 1.0, 0.0, 0.0, 0.0]),
    numpy.array([640.0, 1.0, 100.0, 50.0, 1e9]),
] + [
    (numpy.array(x) - LOWEST) * UNITS
    for x in (
        [0.0, 0.0, 0.0, 0.0, 0.0],
        [-2.5, -1.5, -0.5, 0.5, 1.5],
        [2.5, 3.5, -0.25, 1.75, -3.0],
        [1.0, -1.0, 2.0, -2.0, 3.0],
        [1.0, 1.0, -1.0, 2.0, 2.0],
        [-0.125, 0.875, 4.0, -2.75, 0.25],
        [4.5, 4.25, 3.75, 4.0, 2.125],
        [-3.0, -2.75, -2.25, -1.0, -1.25],
    )
]

FLOAT, DOUBLE, HALF = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16
INT64, INT32, INT8, UINT8, BOOL = (
    TensorProto.INT64,
    TensorProto.INT32,
    TensorProto.INT8,
    TensorProto.UINT8,
    TensorProto.BOOL,
)


def node(op, inputs, outputs, domain="", **attributes):
    return helper.make_node(op, inputs.split(), outputs.split(), domain=domain, **attributes)


class Case:
    """One operator with its attributes.

    nodes      from `x` to `y`
    constants  their initializers
    opset      of the standard operators
    formula    y from x, in double precision
    shape      of x, beside [1,5]
    scale      x is multiplied by it, shift is added: powers of two, or sums of few
    element    of x: it is cast to it
    domains    opsets of other domains
    differs    why onnx.reference is not right
    runtime    why ONNX Runtime is not right
    """

    def __init__(
        self,
        name,
        nodes,
        constants=None,
        opset=17,
        formula=None,
        shape=(1, 5),
        scale=1.0,
        shift=0.0,
        element=FLOAT,
        domains=None,
        differs=None,
        runtime=None,
        functions=(),
    ):
        # Older files have no broadcasting, of which the frame makes use.
        if opset < OLDEST and not name.endswith("-axis-6"):
            name, opset = name.removesuffix(f"-{opset}") + f"-{OLDEST}", OLDEST
        self.name, self.nodes, self.opset, self.formula = name, nodes, opset, formula
        self.constants = {k: numpy.asarray(v) for k, v in (constants or {}).items()}
        self.shape, self.scale, self.shift, self.element = shape, scale, shift, element
        self.domains, self.differs, self.runtime = domains or {}, differs, runtime
        self.functions = list(functions)

    def model(self, nodes, outputs, constants):
        every = {**constants, **self.constants}
        graph = helper.make_graph(
            nodes,
            "operator",
            [helper.make_tensor_value_info("input", FLOAT, [1, 5])],
            outputs,
            [numpy_helper.from_array(value, name) for name, value in every.items()],
        )
        opsets = [helper.make_opsetid("", self.opset)]
        opsets += [helper.make_opsetid(domain, version) for domain, version in self.domains.items()]
        model = helper.make_model(graph, opset_imports=opsets, functions=self.functions)
        # The answers are around 10^6, which would be too many cores.
        helper.set_model_props(model, {"hyperfake.cpu_unit": "millicores"})
        model.ir_version = 8 if self.opset < 19 else 10 if self.opset < 24 else 11
        return model

    def before(self):
        """The nodes that make x, and their constants."""
        scale = (self.scale / UNITS).astype(numpy.float32).reshape(1, 5)
        low = numpy.full((1, 5), -LOWEST * self.scale - self.shift, numpy.float32)
        nodes = [node("Mul", "input frame_scale", "frame_a"), node("Sub", "frame_a frame_low", "frame_b")]
        constants = {"frame_scale": scale, "frame_low": low}
        name = "frame_b"
        if self.shape != (1, 5):
            count = math.prod(self.shape)
            spread = numpy.zeros((5, count), numpy.float32)
            for k in range(count):
                spread[(2 * k + k // 5) % 5, k] = [1.0, 0.5, -1.0, 2.0, -0.25, 1.0, 0.5][k % 7]
            constants |= {"frame_spread": spread, "frame_shape": numpy.array(self.shape)}
            nodes += [
                node("MatMul", f"{name} frame_spread", "frame_c"),
                node("Reshape", "frame_c frame_shape", "frame_d"),
            ]
            name = "frame_d"
        if self.element != FLOAT:
            nodes.append(node("Cast", name, "x", to=self.element))
        else:
            nodes[-1].output[0] = "x"
        return nodes, constants

    def x(self, features):
        """x at a point, as the nodes above make it."""
        x = features.astype(numpy.float32) * (self.scale / UNITS).astype(numpy.float32)
        x = x - numpy.float32(-LOWEST * self.scale - self.shift)
        if self.shape != (1, 5):
            count = math.prod(self.shape)
            factors = numpy.array([1.0, 0.5, -1.0, 2.0, -0.25, 1.0, 0.5], numpy.float32)
            x = numpy.array([x[(2 * k + k // 5) % 5] * factors[k % 7] for k in range(count)])
        x = x.reshape(self.shape)
        return x if self.element == FLOAT else x.astype(helper.tensor_dtype_to_np_dtype(self.element))

    def answers(self):
        """y at each point, in double precision."""
        middle = self.reference()
        found = []
        for features in POINTS:
            x = self.x(features)
            right = None
            if middle is not None:
                right = numpy.asarray(middle(features), dtype=numpy.float64)
            if self.formula is not None:
                with numpy.errstate(all="ignore"):
                    exact = x.astype(numpy.float64) if x.dtype.kind == "f" else x
                    value = numpy.asarray(self.formula(exact), dtype=numpy.float64)
                if right is not None and not self.differs:
                    largest = max(1e-30, numpy.abs(value).max())
                    if value.shape != right.shape or not numpy.allclose(value, right, 1e-4, 1e-5 * largest):
                        raise ValueError(f"{self.name}: at {x} the formula gives {value}, onnx.reference {right}")
                right = value
            if right is None:
                raise ValueError(f"{self.name}: neither a formula nor onnx.reference")
            if not numpy.isfinite(right).all():
                raise ValueError(f"{self.name}: {right} at {x}")
            found.append(right)
        return found

    def reference(self):
        """y by onnx.reference, if it has the operators."""
        nodes, constants = self.before()
        model = self.model(nodes + self.nodes, [onnx.ValueInfoProto(name="y")], constants)
        try:
            evaluator = ReferenceEvaluator(model)
            evaluator.run(["y"], {"input": POINTS[0].astype(numpy.float32).reshape(1, 5)})
        except Exception as error:  # noqa: BLE001 - whatever it cannot do
            if self.formula is None:
                raise ValueError(f"{self.name}: onnx.reference fails: {error}") from error
            return None
        return lambda features: evaluator.run(["y"], {"input": features.astype(numpy.float32).reshape(1, 5)})[0]

    def build(self):
        """The model, and lines of eight numbers: features and the right answer."""
        answers = self.answers()
        count = answers[0].size
        mix = numpy.zeros((count, 3))
        for k in range(count):
            mix[k, k % 3] = 1 + (k * 0.375) % 1
            if count < 3:
                mix[k, :] = [1.0, 1.5, 0.75]
        mixed = numpy.array([answer.reshape(1, -1) @ mix for answer in answers]).reshape(-1, 3)
        # Answers of nanoseconds, cores and bytes that are positive and large enough to matter.
        spread = max(1e-30, numpy.abs(mixed).max())
        factor = 2.0 ** math.ceil(math.log2(2e6 / spread))
        lowest = mixed.min() * factor
        offset = 1000.0 + max(0.0, -1.5 * lowest)
        nodes, constants = self.before()
        nodes += self.nodes
        nodes += [
            node("Cast", "y", "frame_e", to=FLOAT),
            node("Reshape", "frame_e frame_row", "frame_f"),
            node("MatMul", "frame_f frame_mix", "frame_g"),
            node("Mul", "frame_g frame_factor", "frame_h"),
            node("Add", "frame_h frame_offset", "output"),
        ]
        constants |= {
            "frame_row": numpy.array([1, count]),
            "frame_mix": mix.astype(numpy.float32),
            "frame_factor": numpy.full((1, 3), factor, numpy.float32),
            "frame_offset": numpy.full((1, 3), offset, numpy.float32),
        }
        model = self.model(nodes, [helper.make_tensor_value_info("output", FLOAT, [1, 3])], constants)
        right = mixed * factor + numpy.float32(offset)
        return model, numpy.hstack([numpy.array(POINTS), right])
