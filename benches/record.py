#!/usr/bin/env python3
"""Measures what a record costs the worker that writes it; `just bench-record` runs this.

    record.py HYPERFAKE [options]

Two workers serve the whole time, one with `--record FILE` and one without, and h2load calls one or the
other: in each round both are measured, one right after the other, and which comes first changes from
round to round, as in server.py. At the end the worker says on its page of metrics how many calls it
recorded and how many it left out, and the file must have as many rows.
"""

import contextlib
import pathlib
import re
import sys
import tempfile
import time
import urllib.request

# Nothing but sources belongs into this folder.
sys.dont_write_bytecode = True
import bench
from h2load import Shape, call_request, start_instance, write_body
from server import MODEL, measure_shape, milliseconds, shape_of
from servers import HOST, Failed, free_ports, register, serving, worker_command

SHAPES = (Shape(1, 16), Shape(4, 16), Shape(32, 16))
CHECKED_SHAPE = Shape(4, 16)
ENDINGS = ("csv", "jsonl")

SAMPLE_SECONDS = 2.0
QUICK_SECONDS = 0.5

# What `--check` asks for.
LEAST_RATIO = 0.85
LEAST_CALLS_PER_SECOND = 50_000

# How long the last rows may take into the file.
PATIENCE_SECONDS = 10


def counters(port):
    """The numbers of the record on the page of metrics: rows, dropped and unwritten."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(f"http://{HOST}:{port}/metrics", timeout=PATIENCE_SECONDS) as answer:
        page = answer.read().decode()
    found = re.findall(r"^hyperfake_record_(\w+)_total (\d+)$", page, re.MULTILINE)
    return {name: int(number) for name, number in found}


def settled(port):
    """The numbers of the record when they no longer change."""
    deadline, before = time.monotonic() + PATIENCE_SECONDS, None
    while time.monotonic() < deadline:
        now = counters(port)
        if now == before:
            return now
        before = now
        time.sleep(0.5)
    raise Failed(f"the record still changes {PATIENCE_SECONDS} s after the last call")


def rows_of(path):
    """The rows that a file has; no field of this bench has a line feed."""
    with path.open("rb") as file:
        lines = sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))
    return lines - (path.suffix == ".csv")


def measure_ending(arguments, ending):
    """All shapes with a record of this kind. Says on standard error how far it is."""
    ports = free_ports(5)
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        record = folder / f"record.{ending}"
        options = ["--model", *MODEL, "--time-scale", "0", "--seed", "1"]
        command = worker_command(arguments.hyperfake, ports[0], ports[1], options)
        without = stack.enter_context(serving("floor", command, ports[:2], folder))
        options += ["--record", str(record), "--metrics-address", f"{HOST}:{ports[4]}"]
        command = worker_command(arguments.hyperfake, ports[2], ports[3], options)
        recording = stack.enter_context(serving("worker", command, ports[2:], folder))
        functions = [register(port, MODEL[1]) for port in (ports[1], ports[3])]
        if functions[0] != functions[1]:
            raise Failed("the two workers do not give the function the same id")
        for server in (without, recording):
            start_instance(server, functions[0], folder)
        body = write_body(folder, "small", call_request(functions[0], 0))
        bodies = [body, body]
        rows = []
        for shape in arguments.shapes:
            measured = measure_shape(
                without, recording, shape, "small", bodies, arguments.rounds, arguments.seconds
            )
            rows.append({"ending": ending, **measured})
            print(f"{ending}, {shape}: {measured['ratio']['median']:.2f}", file=sys.stderr)
        recorded = settled(ports[4])
        return rows, {"ending": ending, "rows_in_the_file": rows_of(record), **recorded}


def measure(arguments):
    rows, records = [], []
    for ending in arguments.endings:
        measured, recorded = measure_ending(arguments, ending)
        rows += measured
        records.append(recorded)
    return {"rows": rows, "records": records}


def table(rows):
    lines = [
        "| record | connections × streams | without, calls/s | with, calls/s | with / without (min–max) "
        "| without p50 / p99, ms | with p50 / p99, ms | without CPU, s per million | with CPU, s per million |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for measured in rows:
        ratio, both = measured["ratio"], (measured["floor"], measured["worker"])
        cells = [
            f".{measured['ending']}",
            str(shape_of(measured)),
            *(f"{server['calls_per_second']:,.0f}" for server in both),
            f"**{ratio['median']:.2f}** ({ratio['min']:.2f}–{ratio['max']:.2f})",
            *(f"{milliseconds(server['p50_us'])} / {milliseconds(server['p99_us'])}" for server in both),
            *(f"{server['cpu_s_per_million']:.1f}" for server in both),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def explained(found, heading):
    """The tables, and what one has to know to read them."""
    rounds = len(found["rows"][0]["samples"])
    records = [
        f"The .{one['ending']} file got {one['rows_in_the_file']:,} rows; {one['dropped']:,} calls were left "
        f"out because the queue was full and {one['unwritten']:,} because the file could not be written."
        for one in found["records"]
    ]
    return f"""\
{heading}

{table(found["rows"])}

{chr(10).join(records)}

Every number is the median of {rounds} rounds; the ratio is the median of the ratios of the two runs in each
round. The server's CPU time includes that of the thread that writes the rows; h2load, the worker and that
thread share the cores."""


def shortfalls(found):
    """What `--check` has to say against the rows."""
    for measured in found["rows"]:
        shape, ratio = shape_of(measured), measured["ratio"]["median"]
        what = f".{measured['ending']}, {shape}"
        if shape == CHECKED_SHAPE and ratio < LEAST_RATIO:
            yield f"{what}: the ratio is {ratio:.3f}, expected at least {LEAST_RATIO:.2f}"
        rate = measured["worker"]["calls_per_second"]
        if shape == CHECKED_SHAPE and rate < LEAST_CALLS_PER_SECOND:
            yield f"{what}: {rate:,.0f} calls/s, expected at least {LEAST_CALLS_PER_SECOND:,}"
    for one in found["records"]:
        lacks = one["dropped"] + one["unwritten"]
        if lacks or one["rows"] != one["rows_in_the_file"]:
            yield (
                f"the .{one['ending']} file has {one['rows_in_the_file']:,} rows, written were "
                f"{one['rows']:,}, and {lacks:,} calls were left out"
            )


def read_arguments():
    parser = bench.parser(
        "record",
        __doc__.split("\n", 1)[0],
        f"fail when a ratio at {CHECKED_SHAPE} is below {LEAST_RATIO:.2f}, or a call was left out",
    )
    parser.add_argument(
        "hyperfake", type=bench.program, metavar="HYPERFAKE", help="the worker's program"
    )
    parser.add_argument("--quick", action="store_true", help=f"only {CHECKED_SHAPE} and .csv, and shorter")
    arguments = parser.parse_args()
    arguments.shapes = [CHECKED_SHAPE] if arguments.quick else SHAPES
    arguments.endings = ENDINGS[:1] if arguments.quick else ENDINGS
    arguments.seconds = QUICK_SECONDS if arguments.quick else SAMPLE_SECONDS
    return arguments


if __name__ == "__main__":
    arguments = read_arguments()
    chosen = ["--quick"] if arguments.quick else []
    bench.run("record", arguments, chosen, measure, explained, shortfalls)
