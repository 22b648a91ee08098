#!/usr/bin/env python3
"""Trains the models that HyperFaaS's training programs train, and exports them as they do.

    export_trees.py FOLDER [--fixtures]

Needs scikit-learn and skl2onnx. It writes, for each model,

    NAME.onnx  five features in, three numbers out
    NAME.txt   lines of eight numbers: five features, and what scikit-learn predicts for them

hyperFakeModel/random-forest/random_forest.py exports with opset 15 and four pairs of metadata;
hyperFakeModel/ridge-regression/ridge_regression.py exports a scaler and a ridge; the others are what
else scikit-learn has of the kind. With --fixtures it writes the few small models that
predictors/tract/tests/models holds.
"""

import pathlib
import sys

import numpy
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingRegressor,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.tree import DecisionTreeRegressor

INPUTS = [
    "request_size_bytes",
    "function_instances_count",
    "active_function_calls_count",
    "worker_cpu_usage",
    "worker_ram_usage",
]
OUTPUTS = ["function_processing_time_ns", "function_cpu_usage", "function_ram_usage"]

# Whole numbers up to 2^24, which single precision holds exactly.
LARGEST = [1_000_000, 40, 100, 32, 16_000_000]


def boosting(**options):
    return MultiOutputRegressor(GradientBoostingRegressor(random_state=1, **options))


def forest(**options):
    return RandomForestRegressor(random_state=1, **options)


# Name, model, input type.
MODELS = [
    ("ridge", make_pipeline(StandardScaler(), Ridge()), FloatTensorType),
    ("ridge_bare", Ridge(), FloatTensorType),
    ("ridge_double", make_pipeline(StandardScaler(), Ridge()), DoubleTensorType),
    ("linear_each", MultiOutputRegressor(LinearRegression()), FloatTensorType),
    ("linear_each_double", MultiOutputRegressor(LinearRegression()), DoubleTensorType),
    ("forest", forest(n_estimators=20, max_depth=8), FloatTensorType),
    ("forest_unbounded", forest(n_estimators=10, max_features="sqrt"), FloatTensorType),
    ("forest_double", forest(n_estimators=20, max_depth=8), DoubleTensorType),
    ("forest_scaled", make_pipeline(MinMaxScaler(), forest(n_estimators=10, max_depth=6)), FloatTensorType),
    ("forest_each", MultiOutputRegressor(forest(n_estimators=10, max_depth=6)), FloatTensorType),
    ("extra_trees", ExtraTreesRegressor(n_estimators=20, max_depth=8, random_state=1), FloatTensorType),
    ("tree", DecisionTreeRegressor(max_depth=6, random_state=1), FloatTensorType),
    ("boosting", boosting(n_estimators=30), FloatTensorType),
    ("boosting_scaled", make_pipeline(StandardScaler(), boosting(n_estimators=30)), FloatTensorType),
    ("boosting_double", boosting(n_estimators=30), DoubleTensorType),
]

FIXTURES = [
    ("forest", forest(n_estimators=4, max_depth=3), FloatTensorType),
    ("boosting", boosting(n_estimators=3, max_depth=2), FloatTensorType),
    ("ridge", make_pipeline(StandardScaler(), Ridge()), FloatTensorType),
]


def calls(random, count):
    features = random.integers(0, LARGEST, size=(count, 5), endpoint=True)
    features[:, 1] += 1
    return features.astype(numpy.float64)


def law(features):
    """What a call costs: nanoseconds, cores, bytes."""
    size, instances, active, cores, _ = features.T
    slowdown = 1 + 0.01 * numpy.maximum(0, active - 4 * instances) + 0.01 * cores
    runtime = (7e6 + 5 * size) * slowdown
    return numpy.stack([runtime, 0.2 + 0.01 * active, 8e6 + 2 * size + 4096 * active], axis=1)


def settled(model, questions):
    """The questions that the rounding of scaled features cannot put across a threshold.

    Others have no right answer: scikit-learn scales in double precision, the export in single.
    """
    answers = model.predict(questions)
    for factor in (1 - 2e-7, 1 + 2e-7):
        near = model.predict(questions * factor)
        off = numpy.abs(near - answers) > 1e-5 * numpy.abs(answers)
        questions, answers = questions[~off.any(axis=1)], answers[~off.any(axis=1)]
    return questions


def export(model, input_type):
    exported = convert_sklearn(
        model,
        initial_types=[("input", input_type([None, len(INPUTS)]))],
        final_types=[("output", input_type([None, len(OUTPUTS)]))],
        target_opset=15,
    )
    metadata = {
        "features": ",".join(INPUTS),
        "targets": ",".join(OUTPUTS),
        "training_date": "2025-07-01T12:00:00",
        "output_shape": f"[None, {len(OUTPUTS)}]",
    }
    for key, value in metadata.items():
        exported.metadata_props.add(key=key, value=value)
    return exported.SerializeToString()


def main():
    folder = pathlib.Path(sys.argv[1])
    fixtures = "--fixtures" in sys.argv
    random = numpy.random.default_rng(1)
    features = calls(random, 400 if fixtures else 2000)
    questions = calls(random, 12 if fixtures else 100)
    for name, model, input_type in FIXTURES if fixtures else MODELS:
        model.fit(features, law(features))
        (folder / f"{name}.onnx").write_bytes(export(model, input_type))
        asked = settled(model, questions) if name.endswith("_scaled") else questions
        assert len(asked) > 0.7 * len(questions), f"{name} keeps {len(asked)} questions"
        lines = numpy.hstack([asked, model.predict(asked)])
        numpy.savetxt(folder / f"{name}.txt", lines, fmt="%.17g")


if __name__ == "__main__":
    main()
