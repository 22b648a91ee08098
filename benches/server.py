#!/usr/bin/env python3
"""Measures the worker against a server that simulates nothing; `just bench-server` runs this.

    server.py HYPERFAKE FLOOR_SERVER [options]

HYPERFAKE is the worker's program, FLOOR_SERVER the one that `benches/floor_server.rs` becomes. Both
serve the whole time, and the client, h2load, calls one or the other: in each round of a shape both
are measured, one right after the other, and which comes first changes from round to round. So what
slows the machine down for a while slows both, and the ratio of the two is worth more than either.

The worker predicts with a model but waits for nothing (`--time-scale 0`), and both answer with as
many bytes. Each answer is checked by its size, because h2load does not look at gRPC's status.

With `--instance` an instance's own address is called, with raw bytes and a method that only the function
knows, and the floor is a bare HTTP/2 server that takes any method, or the same worker's `Call`.
"""

import contextlib
import math
import pathlib
import statistics
import sys
import tempfile

# Nothing but sources belongs into this folder.
sys.dont_write_bytecode = True
import bench
from h2load import (
    Shape,
    call,
    call_request,
    children_cpu_seconds,
    start_instance,
    start_instance_with_address,
    write_body,
)
from servers import (
    HOST,
    ROOT,
    Failed,
    certificate,
    free_ports,
    register,
    serving,
    worker_command,
)

# The sample model, but with the floor's answer: its own setting is to echo the request.
MODEL = [f"{ROOT}/models/hyperfaas-echo.onnx?response=random:10", "hyperfaas-echo"]
BODIES = {"small": 0, "64 KiB": 64 * 1024}
CONNECTIONS = (1, 4, 32)
STREAMS = (1, 16, 64)

# Where instances have addresses of their own: as many instances are started as there are addresses, so
# that each is an instance's.
INSTANCE_RANGE, INSTANCE_HOSTS = "127.77.7.0/30", ("127.77.7.1", "127.77.7.2")

# A method of a function, and the length of its answer: gRPC's 5 bytes and 10.
METHOD, RAW_ANSWER_BYTES = "/bench.Bench/Run", 5 + 10

# How long h2load is to take for each number, and for the percentiles: these come from runs of their
# own, because the log that they need takes h2load a system call for each request.
SAMPLE_SECONDS = 1.0
QUICK_SECONDS = 0.3
LATENCY_SHARE = 0.5
CALIBRATION = "300ms"

# h2load has one thread; this busy, it is the limit.
CLIENT_BUSY = 0.9

# What `--check` asks for.
EXPECTED_SHAPE_RATIO = 0.90
EXPECTED_INSTANCE_RATIO = {"raw": 0.95, "call": 1.0}
LEAST_RATIO = 0.80

# A change to the request path is judged by this shape.
CHECKED_SHAPE = Shape(4, 16)


def calibrate(servers, shape, bodies, seconds):
    """How many calls the faster of the servers answers in so many seconds. Warms them up, too."""
    calibration = ["-D", CALIBRATION]
    rates = [call(server, shape, bodies[server], calibration)[1] for server in servers]
    return shape.calls_for(seconds, max(rates))


def measure_throughput(server, shape, body, calls):
    """One run of so many calls: how fast they were, and what they took of server and client."""
    server_before, client_before = server.cpu_seconds(), children_cpu_seconds()
    calls, rate = call(server, shape, body, ["-n", str(calls)])
    server_cpu = server.cpu_seconds() - server_before
    client_cpu = children_cpu_seconds() - client_before
    client_busy = client_cpu * rate / calls
    return {
        "calls": calls,
        "calls_per_second": rate,
        "cpu_s": server_cpu,
        "cpu_s_per_million": server_cpu / calls * 1e6,
        "rss_bytes": server.resident_bytes(),
        "client_cpu_s": client_cpu,
        "client_busy": client_busy,
        "client_was_limit": client_cpu > server_cpu or client_busy >= CLIENT_BUSY,
    }


def measure_latency(server, shape, body, calls):
    """One run of so many calls: percentiles of the time from a request to the end of its answer."""
    log = body.with_name("h2load.log")
    log.unlink(missing_ok=True)
    calls, _ = call(server, shape, body, ["-n", str(calls), f"--log-file={log}"])
    # Each line is: start in us, HTTP status, duration in us.
    durations = sorted(int(line.split()[2]) for line in log.open(encoding="ascii"))
    log.unlink()
    if len(durations) != calls:
        raise Failed(f"h2load logged {len(durations)} of {calls} calls")
    return {"p50_us": percentile(durations, 0.50), "p99_us": percentile(durations, 0.99)}


def percentile(ordered, share):
    """The least of the values that this share of them does not exceed."""
    return ordered[max(math.ceil(share * len(ordered)), 1) - 1]


def measure_shape(floor, worker, shape, name, bodies, rounds, seconds):
    """All rounds of one shape with one size of body."""
    bodies = dict(zip((floor, worker), bodies))
    calls = calibrate((floor, worker), shape, bodies, seconds)
    latency_calls = shape.calls_for(LATENCY_SHARE, calls)
    samples = []
    for number in range(rounds):
        order = (floor, worker) if number % 2 == 0 else (worker, floor)
        sample = {"first": order[0].name}
        for server in order:
            sample[server.name] = measure_throughput(server, shape, bodies[server], calls)
        for server in order:
            sample[server.name].update(measure_latency(server, shape, bodies[server], latency_calls))
        samples.append(sample)
    return row(shape, name, samples)


def row(shape, body, samples):
    """The medians over the rounds of a shape."""
    ratios = [
        sample["worker"]["calls_per_second"] / sample["floor"]["calls_per_second"]
        for sample in samples
    ]
    servers = {
        name: {
            key: statistics.median(sample[name][key] for sample in samples)
            for key in samples[0][name]
        }
        for name in ("floor", "worker")
    }
    for numbers in servers.values():
        # The median of truth values: of most rounds.
        numbers["client_was_limit"] = numbers["client_was_limit"] > 0.5
    return {
        "connections": shape.connections,
        "streams": shape.streams,
        "body": body,
        "ratio": {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)},
        **servers,
        "samples": samples,
    }


def shape_of(measured):
    return Shape(measured["connections"], measured["streams"])


COLUMNS = [
    "connections × streams",
    "body",
    "floor, calls/s",
    "worker, calls/s",
    "worker / floor (min–max)",
    "floor p50 / p99, ms",
    "worker p50 / p99, ms",
    "floor CPU, s per million",
    "worker CPU, s per million",
    "floor RSS, MB",
    "worker RSS, MB",
    "client was the limit for",
]
LEFT_ALIGNED = 2


def table(rows):
    """The rows as a Markdown table."""
    rule = ["---"] * LEFT_ALIGNED + ["---:"] * (len(COLUMNS) - LEFT_ALIGNED)
    lines = [COLUMNS, rule, *map(cells, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cells(measured):
    floor, worker, ratio = measured["floor"], measured["worker"], measured["ratio"]
    both = (floor, worker)
    limited = [name for name in ("floor", "worker") if measured[name]["client_was_limit"]]
    return [
        str(shape_of(measured)),
        measured["body"],
        *(f"{server['calls_per_second']:,.0f}" for server in both),
        f"**{ratio['median']:.2f}** ({ratio['min']:.2f}–{ratio['max']:.2f})",
        *(f"{milliseconds(server['p50_us'])} / {milliseconds(server['p99_us'])}" for server in both),
        *(f"{server['cpu_s_per_million']:.1f}" for server in both),
        *(f"{server['rss_bytes'] / 1e6:.1f}" for server in both),
        " and ".join(limited) or "–",
    ]


def milliseconds(us):
    """Three figures, or two decimals where those would be more."""
    return f"{us / 1000:.2f}" if us >= 1000 else f"{us / 1000:.3f}"


def explained(found, heading):
    """The table, and what one has to know to read it."""
    rounds = len(found["rows"][0]["samples"])
    return f"""\
{heading}

{table(found["rows"])}

Every number is the median of {rounds} rounds; the ratio is the median of the ratios of the two runs
in each round, beside it the smallest and the largest. The percentiles come from runs of their own.
RSS is the memory in use after a run: what the shapes above it left is included. The client was the
limit where h2load used more CPU time than the server, or its thread was busy for {CLIENT_BUSY:.0%} of
the run, in most rounds: there the calls/s say more about h2load than about the server, and the CPU
time for each million calls is the number to compare."""


def shortfalls(found):
    """What `--check` has to say against the rows."""
    expected = EXPECTED_INSTANCE_RATIO.get(found["floor"], EXPECTED_SHAPE_RATIO)
    for measured in found["rows"]:
        shape, ratio = shape_of(measured), measured["ratio"]["median"]
        checked = shape == CHECKED_SHAPE and measured["body"] == "small"
        least = expected if checked else LEAST_RATIO
        if ratio < least:
            body = measured["body"]
            yield f"{shape}, {body}: the ratio is {ratio:.3f}, expected at least {least:.2f}"


def measure(arguments):
    """Runs both servers and measures every shape. Says on standard error how far it is."""
    port, database_port, floor_port, instance_port = free_ports(4)
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        own = "router" if arguments.floor == "call" else arguments.floor
        command = [arguments.floor_server, f"{HOST}:{floor_port}", own]
        options = ["--model", *MODEL, "--time-scale", "0"]
        options += ["--instance-addresses", f"{INSTANCE_RANGE}:{instance_port}", "--etcd-listen", "off"]
        scheme = "http"
        if arguments.tls:
            scheme, (cert, key) = "https", certificate(folder)
            command += [cert, key]
            options += ["--tls-cert", cert, "--tls-key", key]
        floor = stack.enter_context(serving("floor", command, [floor_port], folder, scheme))
        command = worker_command(arguments.hyperfake, port, database_port, options)
        ports = [port, database_port]
        worker = stack.enter_context(serving("worker", command, ports, folder, scheme))
        function = register(database_port, MODEL[1])
        start_instance(worker, function, folder)
        if arguments.floor == "call":
            floor = worker.at("floor", worker.address, worker.method, worker.answer_bytes)
        if arguments.instance:
            for _ in INSTANCE_HOSTS:
                start_instance_with_address(worker, function, folder)
            address = f"{INSTANCE_HOSTS[0]}:{instance_port}"
            worker = worker.at("worker", address, METHOD, RAW_ANSWER_BYTES)
        if arguments.floor == "raw":
            floor = floor.at("floor", floor.address, METHOD, RAW_ANSWER_BYTES)
        rows = []
        for name in arguments.bodies:
            calls = write_body(folder, f"{name} by Call", call_request(function, BODIES[name]))
            raw = write_body(folder, f"{name}", bytes(BODIES[name]))
            bodies = [raw if server.method == METHOD else calls for server in (floor, worker)]
            for shape in arguments.shapes:
                measured = measure_shape(
                    floor, worker, shape, name, bodies, arguments.rounds, arguments.seconds
                )
                rows.append(measured)
                print(f"{shape}, {name}: {measured['ratio']['median']:.2f}", file=sys.stderr)
        return {"floor": arguments.floor, "rows": rows}


def shapes(text):
    return sorted({Shape.parse(one) for one in text.split(",")})


def read_arguments():
    parser = bench.parser(
        "server",
        __doc__.split("\n", 1)[0],
        f"fail when a ratio is below {LEAST_RATIO:.2f}, or that of {CHECKED_SHAPE} with small bodies "
        f"below {EXPECTED_SHAPE_RATIO:.2f}; with --instance below "
        + " and ".join(f"{ratio:.2f} of {floor}" for floor, ratio in EXPECTED_INSTANCE_RATIO.items()),
    )
    add = parser.add_argument
    add("hyperfake", type=bench.program, metavar="HYPERFAKE", help="the worker's program")
    add("floor_server", type=bench.program, metavar="FLOOR_SERVER", help="what to compare it with")
    add("--instance", action="store_true",
        help="call an instance's own address instead of Call; small bodies only")
    add("--floor", choices=("router", "short", "raw", "call"),
        help="how the floor finds its handler: by tonic's router, as a bare tonic server does, if not "
             "given, or by the worker's own short way; with --instance, a bare HTTP/2 server that takes "
             "raw bytes, if not given, or the worker's Call")
    add("--tls", action="store_true", help="both servers speak TLS; needs openssl for a certificate")
    add("--quick", action="store_true", help=f"only {CHECKED_SHAPE} with small bodies, and shorter")
    add("--shape", type=shapes, metavar="C×S,…", help="only these connections × streams")
    arguments = parser.parse_args()
    if arguments.quick and arguments.shape:
        parser.error("--quick chooses the shape; --shape does not go with it")
    floors = ("raw", "call") if arguments.instance else ("router", "short")
    arguments.floor = arguments.floor or floors[0]
    if arguments.floor not in floors:
        parser.error(f"--floor {arguments.floor}: expected {' or '.join(floors)} here")
    everything = [Shape(connections, streams) for connections in CONNECTIONS for streams in STREAMS]
    arguments.shapes = [CHECKED_SHAPE] if arguments.quick else arguments.shape or everything
    arguments.bodies = ["small"] if arguments.quick or arguments.instance else list(BODIES)
    arguments.seconds = QUICK_SECONDS if arguments.quick else SAMPLE_SECONDS
    if arguments.check and CHECKED_SHAPE not in arguments.shapes:
        parser.error(f"--check needs the shape {CHECKED_SHAPE}")
    return arguments


def chosen(arguments):
    """The options that choose something other than the usual."""
    if arguments.instance:
        yield "--instance"
    if arguments.floor not in ("router", "raw"):
        yield f"--floor {arguments.floor}"
    if arguments.tls:
        yield "--tls"
    if arguments.quick:
        yield "--quick"
    if arguments.shape:
        yield f"--shape {','.join(map(str, arguments.shape))}"


if __name__ == "__main__":
    arguments = read_arguments()
    bench.run("server", arguments, list(chosen(arguments)), measure, explained, shortfalls)
