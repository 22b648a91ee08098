#!/usr/bin/env python3
"""Writes several hundred small servable models, one operator with its attributes in each.

    generate.py FOLDER [NAME...]

Needs onnx and numpy. It writes, for each case,

    NAME.onnx  five features in, three numbers out
    NAME.txt   lines of eight numbers: five features, and the right answer for them

Those for which ONNX Runtime is known to give another answer are in FOLDER/onnxruntime-differs.
Each answer is worked out by onnx.reference or from the operator's formula: see frame.py.
"""

import pathlib
import sys

import numpy
import onnx

import elementwise
import networks
import reductions
import shapes


def main():
    folder = pathlib.Path(sys.argv[1])
    beyond = folder / "onnxruntime-differs"
    beyond.mkdir(parents=True, exist_ok=True)
    newest = onnx.defs.onnx_opset_version()
    wanted = sys.argv[2:]
    names, wrong = set(), []
    for group in (elementwise, reductions, shapes, networks):
        for case in group.cases():
            if case.opset > newest or (wanted and not any(case.name.startswith(name) for name in wanted)):
                continue
            if case.name in names:
                raise ValueError(f"two cases are called {case.name}")
            names.add(case.name)
            try:
                with numpy.errstate(all="ignore"):
                    model, lines = case.build()
            except Exception as error:
                if not isinstance(error, ValueError):
                    error.add_note(case.name)
                    raise
                wrong.append(str(error))
                continue
            place = beyond if case.runtime else folder
            (place / f"{case.name}.onnx").write_bytes(model.SerializeToString())
            numpy.savetxt(place / f"{case.name}.txt", lines, fmt="%.17g")
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"{len(names)} models")


if __name__ == "__main__":
    main()
