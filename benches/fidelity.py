#!/usr/bin/env python3
"""Measures how wrong fakes of the four functions of examples/functions are; `just fidelity` runs this.

    fidelity.py HYPERFAKE FUNCTIONS [options]

Each function is cloned: measured, fitted, served, and called as it was not called before, beside itself.
HYPERFAKE and FUNCTIONS are the two programs.
"""

import argparse
import datetime
import json
import pathlib
import subprocess
import sys
import time

# Nothing but sources belongs into this folder.
sys.dont_write_bytecode = True
import bench
import report

# What limits each, and the bodies that it is called with.
FUNCTIONS = {
    "echo": ("nothing", "1KiB,16KiB,64KiB"),
    "compress": ("CPU", "1KiB,16KiB,64KiB"),
    "thumbnail": ("memory, CPU", "4KiB,16KiB,64KiB"),
    "sleep": ("time", "1KiB,16KiB,64KiB"),
}

# What is aimed at.
MOST_SCORE = 0.5
COVERAGE = (0.86, 0.94)
# Of the distance of the function from its mean, its distance from itself: with more, nothing can be told.
MOST_NOISE = 0.5


def clone(arguments, name):
    """Clones a function; returns the comparison, and how many seconds it took."""
    folder = arguments.folder / name
    command = [
        arguments.hyperfake, "clone", "--exec", f"{arguments.functions} {name}", "--name", name,
        "--sizes", FUNCTIONS[name][1], "--out", folder, "--seed", str(arguments.seed), "--json",
        *(["--time", arguments.time] if arguments.time else []),
    ]
    began = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.PIPE, encoding="utf-8")
    if not done.stdout:
        sys.exit(f"fidelity: the clone of {name} ended with {done.returncode}")
    # An earlier clone may have left a model of the other kind.
    fitted = max(folder.glob(f"{name}.*.report"), key=lambda path: path.stat().st_mtime)
    chosen = json.loads(fitted.read_text(encoding="utf-8"))
    comparison = json.loads(done.stdout)
    invalid = [check["text"] for check in comparison["checks"] if check["state"] == "invalid"]
    # What is wrong with the measurement was said on standard error.
    if done.returncode != 0:
        invalid.append("the machine was busy with something else, and calls were sent late")
    return {**comparison["functions"][name], "invalid": invalid}, chosen, time.monotonic() - began


def percent(number):
    return "-" if number is None else f"{100 * number:.1f} %"


def milliseconds(nanoseconds):
    return "-" if nanoseconds is None else f"{nanoseconds / 1e6:.3g} ms"


def within(tree, *keys):
    """A part of JSON; None where a part on the way is null."""
    for key in keys:
        tree = None if tree is None else tree[key]
    return tree


def coverages(one):
    """The share of real calls in the model's 90 % interval, in each third of load; None where it has too few calls."""
    thirds = within(one, "by_load", "terciles") or []
    return [within(third, "model_coverage", "p90") for third in thirds]


def shortfalls(found):
    """What is not as it is aimed at."""
    for name, (one, _, _) in found.items():
        for reason in one["invalid"]:
            yield f"{name}: {reason}"
        w1 = within(one, "run_time", "wasserstein")
        if w1 and w1["real"] > MOST_NOISE * w1["mean"]:
            yield f"{name}: the function differs from itself nearly as much as from its mean, so that the score says little"
        if one["score"] is None:
            yield f"{name}: {one['verdict']}"
        elif one["score"] > MOST_SCORE:
            yield f"{name}: the score is {one['score']:.3f}, and not at most {MOST_SCORE}"
        covered_thirds = coverages(one)
        if not covered_thirds:
            yield f"{name}: nothing is known of the 90 % interval"
        for number, covered in enumerate(covered_thirds, 1):
            if covered is None:
                yield f"{name}: third {number} of load has too few calls to judge the 90 % interval"
            elif not COVERAGE[0] <= covered <= COVERAGE[1]:
                yield (
                    f"{name}: the 90 % interval has {percent(covered)} of the calls of third {number} of "
                    f"load, and not {percent(COVERAGE[0])} to {percent(COVERAGE[1])}"
                )


def table(found):
    lines = [
        "| function | limited by | calls | real p50 | p99 | fake p50 | p99 | W1 over the median: fake "
        "| real again | the mean | score | 90 % interval, by thirds of load | model | took |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|---|---:|",
    ]
    for name, (one, fitted, seconds) in found.items():
        run = one["run_time"]
        cells = [
            name, FUNCTIONS[name][0], f"{one['calls']['real']['answered']:,}",
            *(milliseconds(within(run, key, side)) for side in ("real", "fake") for key in ("p50_ns", "p99_ns")),
            *(percent(within(run, "wasserstein", key)) for key in ("fake", "real", "mean")),
            "-" if one["score"] is None else f"**{one['score']:.2f}**", ", ".join(map(percent, coverages(one))) or "-",
            fitted["kind"], f"{seconds:.0f} s",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def text(found):
    heading = f"{report.machine()}, {datetime.date.today().isoformat()}"
    missed = list(shortfalls(found))
    verdict = "\n".join(f"- {one}" for one in missed) if missed else "nothing."
    return f"{heading}\n\n{table(found)}\n\nOutside of the target: {chr(10) * 2 if missed else ''}{verdict}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser("fidelity", description=__doc__.split("\n", 1)[0])
    parser.add_argument("hyperfake", type=bench.program, metavar="HYPERFAKE", help="the worker's program")
    parser.add_argument("functions", type=bench.program, metavar="FUNCTIONS", help="the functions' program")
    parser.add_argument("--only", choices=FUNCTIONS, action="append", help="clone this one; may be repeated")
    parser.add_argument("--time", metavar="DURATION", help="as of hyperfake clone")
    parser.add_argument("--seed", type=int, default=1, help="as of hyperfake clone")
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path("target/fidelity"),
                        help="where the clones are put (target/fidelity)")
    parser.add_argument("--page", type=pathlib.Path, metavar="FILE", help="put the table into this page")
    parser.add_argument("--check", action="store_true", help="fail when something is not as it is aimed at")
    given = parser.parse_args()
    results = {name: clone(given, name) for name in given.only or FUNCTIONS}
    written = text(results)
    print(written)
    if given.page and not given.only:
        report.replace_section(given.page, "fidelity", written)
    if given.check and any(shortfalls(results)):
        sys.exit(1)
