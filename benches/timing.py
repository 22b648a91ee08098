#!/usr/bin/env python3
"""Measures how exact the worker's times are, idle and under load; `just bench-timing` runs this.

    timing.py HYPERFAKE [options]

Two questions, in one run:

- How late does a sleep of 1.5 ms end, by the worker's clock, on a bare thread, and with tokio's own
  timer? `hyperfake doctor` sleeps in the three ways in turn.
- How much longer than predicted does a call take, as its client sees it, while other calls keep the
  worker busy? h2load sends those, at shares of what it gets through when nothing holds it back, and
  `hyperfake load` sends a few calls more on a schedule, and looks at each.

Worker and clients are on the same machine, so the errors contain what the clients add themselves.
"""

import contextlib
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

# Nothing but sources belongs into this folder.
sys.dont_write_bytecode = True
import bench
from h2load import Background, Shape, call, call_request, start_instance, write_body
from servers import HOST, Failed, environment, free_ports, register, serving, worker_command

# The predicted run times of the calls that are looked at.
PREDICTED = {"0": 0, "100 us": 100_000, "1 ms": 1_000_000, "10 ms": 10_000_000, "1 s": 10**9}
SHARES = (0, 25, 50, 75)
SHAPE = Shape(4, 16)
CALIBRATION = ["-D", "1s"]
# Calls each second that are looked at, for this long.
PROBE_RATE, PROBE_SECONDS = 500, 8
# How long the background lasts: the looks at the bare thread and the calls take less.
ROUND_SECONDS = 15

# What `--check` asks for.
MOST_OF_A_THREADS = 1.25
MOST_OF_TOKIOS = 0.1
CHECKED_SHARE, MOST_ERROR_NS = 50, 200_000


def run(arguments, what):
    """Runs the program with these arguments and returns the JSON that it prints."""
    done = subprocess.run(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", env=environment()
    )
    try:
        return json.loads(done.stdout)
    except ValueError as error:
        last = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        raise Failed(f"{what} ended with {done.returncode}: {last}") from error


def doctor(hyperfake, rounds):
    """How late the three kinds of sleep end: the medians over some rounds."""
    found = [run([hyperfake, "doctor", "--json"], "hyperfake doctor") for _ in range(rounds)]
    if early := sum(one["clock_early"] for one in found):
        raise Failed(f"hyperfake doctor: {early} sleeps ended early")
    ways = {"clock": "clock_lateness", "thread": "thread_sleep_lateness",
            "tokio": "tokio_sleep_lateness"}
    sleeps = {
        way: {
            key: statistics.median(one[name][key] for one in found)
            for key in ("median_ns", "p99_ns")
        }
        for way, name in ways.items()
    }
    for other in ("thread", "tokio"):
        sleeps[f"clock_to_{other}"] = statistics.median(
            one[ways["clock"]]["median_ns"] / one[ways[other]]["median_ns"] for one in found
        )
    return sleeps


def models(folder):
    """A model for each of the run times, as options."""
    options = []
    for name, runtime in PREDICTED.items():
        model = {"kind": "constant", "runtime_ns": runtime, "cpu_cores": 0.5, "ram_bytes": 8_000_000}
        path = folder / f"{image(name)}.json"
        path.write_text(json.dumps(model), encoding="utf-8")
        options += ["--model", str(path), image(name)]
    return options


def image(name):
    return "runs-" + name.replace(" ", "-")


def probe(hyperfake, address, database_port, seed):
    """Calls of every run time on a schedule; what the client says of each."""
    images = ",".join(image(name) for name in PREDICTED)
    command = [hyperfake, "load", "--json", "--poisson", "--seed", str(seed)]
    command += ["--address", address, "--database-address", f"http://{HOST}:{database_port}"]
    command += ["--connections", "1", "--functions", images]
    command += ["--rate", str(PROBE_RATE), "--duration", f"{PROBE_SECONDS}s"]
    found = run(command, "hyperfake load")
    if not found["valid"]:
        raise Failed(f"hyperfake load: {found['invalid_because']}")
    for function in found["functions"]:
        if function["errors"] or function["early"]:
            raise Failed(f"{function['image']}: {function['errors']}, {function['early']} early")
    return found["functions"]


def measure(arguments):
    """Everything. Says on standard error how far it is."""
    port, database_port = free_ports(2)
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        say = lambda text: print(text, file=sys.stderr)
        idle = doctor(arguments.hyperfake, arguments.rounds)
        say(f"clock {idle['clock']['median_ns'] / 1000:.0f} us late")
        command = worker_command(arguments.hyperfake, port, database_port, models(folder))
        worker = stack.enter_context(serving("worker", command, [port, database_port], folder))
        function = register(database_port, image("0"))
        start_instance(worker, function, folder)
        body = write_body(folder, "background", call_request(function, 0))
        rates = [call(worker, SHAPE, body, CALIBRATION)[1] for _ in range(arguments.rounds)]
        capacity = statistics.median(rates)
        say(f"capacity {capacity:,.0f} calls/s")
        rows = []
        for share in SHARES:
            rounds = []
            for seed in range(arguments.rounds):
                rate = capacity * share / 100
                with Background(worker, body, rate, ROUND_SECONDS) as background:
                    thread = doctor(arguments.hyperfake, 1)["thread"]
                    calls = probe(arguments.hyperfake, worker.address, database_port, seed)
                rounds.append((calls, thread, background.rate))
            rows += [row(share, number, name, rounds) for number, name in enumerate(PREDICTED)]
            say(f"{share} %: {rows[-1]['background_calls_per_second']:,.0f} calls/s")
        return {"rounds": arguments.rounds, "idle": idle, "capacity": capacity, "rows": rows}


def row(share, number, predicted, rounds):
    """The medians over the rounds of the calls with one of the run times."""
    functions = [calls[number] for calls, _, _ in rounds]

    def median(kind, quantile):
        return statistics.median(function[kind][quantile] for function in functions)

    return {
        "share": share,
        "background_calls_per_second": statistics.median(rate for _, _, rate in rounds),
        "predicted": predicted,
        "calls": sum(function["answered"] for function in functions),
        **{
            f"{name}_{quantile}_ns": median(kind, quantile)
            for name, kind in (("client", "timing_error_ns"), ("worker", "worker_timing_error_ns"))
            for quantile in ("p50", "p99")
        },
        "thread_p50_ns": statistics.median(thread["median_ns"] for _, thread, _ in rounds),
        "thread_p99_ns": statistics.median(thread["p99_ns"] for _, thread, _ in rounds),
    }


def microseconds(nanoseconds):
    return f"{nanoseconds / 1000:,.0f}"


def tables(found):
    """Both tables in Markdown."""
    idle = found["idle"]
    lines = ["| a sleep of 1.5 ms ends late by, us | median | p99 |", "|---|---:|---:|"]
    names = {"clock": "the worker's clock", "thread": "a bare thread", "tokio": "tokio's timer"}
    for way, name in names.items():
        median, p99 = (microseconds(idle[way][key]) for key in ("median_ns", "p99_ns"))
        lines.append(f"| {name} | {median} | {p99} |")
    lines += [
        "",
        "| load, % of capacity | predicted | calls | longer than predicted, us: median / p99 "
        "| of it on the worker | a bare thread's sleep of 1.5 ms |",
        "|---:|---:|---:|---:|---:|---:|",
    ]
    for one in found["rows"]:
        pairs = [
            f"{microseconds(one[f'{who}_p50_ns'])} / {microseconds(one[f'{who}_p99_ns'])}"
            for who in ("client", "worker", "thread")
        ]
        cells = [f"{one['share']}", one["predicted"], f"{one['calls']:,}", *pairs]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def explained(found, heading):
    idle, rounds = found["idle"], found["rounds"]
    return f"""\
{heading}

{tables(found)}

At idle the worker's clock is {idle['clock_to_thread']:.2f} times as late as a bare thread's sleep and
{idle['clock_to_tokio']:.3f} times as late as tokio's timer (medians of {rounds} runs). The capacity is
{found['capacity']:,.0f} calls/s: what h2load gets through with {SHAPE} calls at once on the
same cores. For the load it sends its share of that from {Background.SHAPE.connections} connections, spread over time, and
takes the CPU only when no other process wants it. Beside it, `hyperfake load` sends {PROBE_RATE} calls a second for
{PROBE_SECONDS} s; medians of {rounds} runs. No call and no sleep ended early: a run with one fails."""


def shortfalls(found):
    """What `--check` has to say against the numbers."""
    idle = found["idle"]
    if idle["clock_to_thread"] > MOST_OF_A_THREADS:
        yield f"the clock is {idle['clock_to_thread']:.2f} times as late as a bare thread's sleep"
    if idle["clock_to_tokio"] > MOST_OF_TOKIOS:
        yield f"the clock is {idle['clock_to_tokio']:.2f} times as late as tokio's timer"
    for one in found["rows"]:
        if one["share"] == CHECKED_SHARE and one["client_p50_ns"] >= MOST_ERROR_NS:
            late = microseconds(one["client_p50_ns"])
            yield f"at {one['share']} %, {one['predicted']}: {late} us longer than predicted"


if __name__ == "__main__":
    parser = bench.parser(
        "timing", __doc__.split("\n", 1)[0], "fail when the times are not as exact as they should be"
    )
    parser.add_argument(
        "hyperfake", type=bench.program, metavar="HYPERFAKE", help="the worker's program"
    )
    bench.run("timing", parser.parse_args(), [], measure, explained, shortfalls)
