#!/usr/bin/env python3
"""Trains models of scikit-learn on a made-up law and exports them to ONNX.

    export_sklearn.py FOLDER

Needs scikit-learn and skl2onnx. It writes, for each model,

    NAME.onnx  five features in, three numbers out
    NAME.txt   lines of eight numbers: five features, and what scikit-learn predicts for them
"""

import pathlib
import sys

import numpy
from skl2onnx import to_onnx
from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor
from sklearn.multioutput import MultiOutputRegressor

# Whole numbers up to 2^24, which single precision holds exactly: ONNX computes in it.
LARGEST = [1_000_000, 40, 100, 32, 16_000_000]

MODELS = {
    "forest": RandomForestRegressor(n_estimators=20, max_depth=8, random_state=1),
    "boosting": MultiOutputRegressor(GradientBoostingRegressor(n_estimators=30, random_state=1)),
}


def calls(random, count):
    features = random.integers(0, LARGEST, size=(count, 5), endpoint=True)
    features[:, 1] += 1
    return features.astype(numpy.float32)


def law(features):
    """What a call costs: nanoseconds, cores, bytes."""
    size, instances, active, cores, _ = features.astype(numpy.float64).T
    slowdown = 1 + 0.01 * numpy.maximum(0, active - 4 * instances) + 0.01 * cores
    runtime = (7e6 + 5 * size) * slowdown
    return numpy.stack([runtime, 0.2 + 0.01 * active, 8e6 + 2 * size + 4096 * active], axis=1)


def main():
    folder = pathlib.Path(sys.argv[1])
    random = numpy.random.default_rng(1)
    features = calls(random, 2000)
    questions = calls(random, 100)
    for name, model in MODELS.items():
        model.fit(features, law(features))
        exported = to_onnx(model, features[:1])
        (folder / f"{name}.onnx").write_bytes(exported.SerializeToString())
        numpy.savetxt(folder / f"{name}.txt", numpy.hstack([questions, model.predict(questions)]))


if __name__ == "__main__":
    main()
