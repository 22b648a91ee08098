"""A Python client, its stubs generated from our .proto files, drives a running worker.

    python tests/python/client.py HOST:PORT DATABASE_URL IMAGE

It does Start, 200 Calls, Status, Metrics and Stop, and prints for the calls how much longer than
predicted they took. It compresses requests, sends one that is too large and one with too short a deadline,
and watches the health of a name that there is not. Needs grpcio and grpcio-tools.
"""

import json
import os
import pathlib
import statistics
import sys
import tempfile
import threading
import time
import urllib.request

# What is measured is the worker: gRPC's own threads, each of which has to wake the next one, would
# otherwise add several tenths of a millisecond on an idle machine. An empty GRPC_EXPERIMENTS in the
# environment measures the client as it comes.
os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_client,-event_engine_listener")

import grpc
from grpc_tools import protoc

PROTO = pathlib.Path(__file__).resolve().parents[2] / "proto" / "controller"
CALLS = 200
# Calls that are made while the client listens; timed ones would wait for the listener's thread.
HEARD = 20


def generate_stubs(folder: str) -> None:
    files = ["common/common.proto", "controller/controller.proto"]
    well_known = pathlib.Path(protoc.__file__).parent / "_proto"
    options = [f"-I{PROTO}", f"-I{well_known}", f"--python_out={folder}", f"--grpc_python_out={folder}"]
    assert protoc.main(["protoc", *options, *files]) == 0
    sys.path.insert(0, folder)


def register(database: str, image: str) -> str:
    body = json.dumps({"image_tag": image, "config": {"timeout": 60}}).encode()
    with urllib.request.urlopen(urllib.request.Request(database, body, method="POST")) as answer:
        assert answer.status == 201
        return json.load(answer)["function_id"]


def refusal(call) -> grpc.StatusCode:
    """The code that a call is refused with."""
    try:
        call()
    except grpc.RpcError as error:
        return error.code()
    raise AssertionError("it was not refused")


def check_compression(address: str, function, common, controller, stub) -> None:
    for compression in (grpc.Compression.Gzip, grpc.Compression.Deflate):
        # The channel compresses every request, and takes answers either way.
        with grpc.insecure_channel(address, compression=compression) as channel:
            worker = stub(channel)
            started = worker.Start(function)
            data = bytes(100_000)
            request = common.CallRequest(function_id=function, instance_id=started.instance_id, data=data)
            response, call = worker.Call.with_call(request)
            assert len(response.data) in (10, len(data)), len(response.data)
            assert "functionprocessingtime" in dict(call.trailing_metadata())
            worker.Metrics(controller.MetricsRequest(nodeID="python" * 100))
            assert worker.Stop(started.instance_id) == started.instance_id


def check_codes(address: str, function, common, stub) -> None:
    with grpc.insecure_channel(address, options=[("grpc.max_send_message_length", -1)]) as channel:
        worker = stub(channel)
        large = common.CallRequest(function_id=function, data=bytes(5 << 20))
        for compression in (None, grpc.Compression.Gzip):
            code = refusal(lambda: worker.Call(large, compression=compression))
            assert code == grpc.StatusCode.RESOURCE_EXHAUSTED, (compression, code)
        small = common.CallRequest(function_id=function)
        code = refusal(lambda: worker.Call(small, timeout=1e-4))
        assert code == grpc.StatusCode.DEADLINE_EXCEEDED, code


def check_health(address: str) -> None:
    # A request is a name in field 1, an answer a state in field 1.
    serving, unknown = b"\x08\x01", b"\x08\x03"
    with grpc.insecure_channel(address) as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        watch = channel.unary_stream("/grpc.health.v1.Health/Watch")
        for name in (b"", b"worker", b"controller.Controller"):
            request = b"\x0a" + bytes([len(name)]) + name
            assert check(request) == next(watch(request)) == serving, name
        assert refusal(lambda: check(b"\x0a\x06nobody")) == grpc.StatusCode.NOT_FOUND
        watching = watch(b"\x0a\x06nobody", timeout=1)
        assert next(watching) == unknown
        # It stays open until its client has seen enough.
        assert refusal(lambda: next(watching)) == grpc.StatusCode.DEADLINE_EXCEEDED


def main(address: str, database: str, image: str) -> None:
    from common import common_pb2 as common
    from controller import controller_pb2 as controller
    from controller import controller_pb2_grpc

    function = common.FunctionID(id=register(database, image))
    worker = controller_pb2_grpc.ControllerStub(grpc.insecure_channel(address))

    started = worker.Start(function)
    assert len(started.instance_id.id) == 12, started
    request = common.CallRequest(instance_id=common.InstanceID(id=function.id), function_id=function)
    late = []
    for number in range(CALLS + 1):
        request.request_id = number
        request.data = str(number).encode()
        began = time.perf_counter_ns()
        response, call = worker.Call.with_call(request)
        took = time.perf_counter_ns() - began
        trailers = {key: int(value) for key, value in call.trailing_metadata() if value.isdigit()}
        assert response.request_id == number
        assert response.instance_id.id == started.instance_id.id
        assert trailers["gotresponsetimestamp"] > trailers["callqueuedtimestamp"]
        # The first one also warms the client up.
        if number > 0:
            late.append(took - trailers["functionprocessingtime"])

    events = []
    stream = worker.Status(controller.StatusRequest(nodeID="python"))
    # The headers come at once: from here on nothing is missed.
    stream.initial_metadata()

    def listen() -> None:
        try:
            for update in stream:
                events.append((update.event, update.instance_id.id, update.function_id.id))
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.CANCELLED, error

    listener = threading.Thread(target=listen)
    listener.start()
    for _ in range(HEARD):
        worker.Call(request)

    metrics = worker.Metrics(controller.MetricsRequest(nodeID="python"))
    assert metrics.used_ram_percent == 0 and not any(metrics.cpu_percent_percpu), metrics
    stopped = worker.Stop(started.instance_id)
    assert stopped.id == started.instance_id.id

    deadline = time.monotonic() + 30
    while not events or events[-1][0] != controller.EVENT_STOP:
        assert time.monotonic() < deadline, events[-3:]
        time.sleep(0.01)
    stream.cancel()
    listener.join()
    kinds = [kind for kind, _, _ in events]
    assert kinds.count(controller.EVENT_CALL) == kinds.count(controller.EVENT_RESPONSE) == HEARD
    assert all(event[1:] == (started.instance_id.id, function.id) for event in events)
    try:
        worker.Stop(started.instance_id)
        raise AssertionError("a stopped instance was stopped again")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.NOT_FOUND, error

    check_compression(address, function, common, controller, controller_pb2_grpc.ControllerStub)
    worker.Start(function)
    check_codes(address, function, common, controller_pb2_grpc.ControllerStub)
    check_health(address)

    median = statistics.median(late) / 1e6
    p99 = sorted(late)[int(0.99 * CALLS)] / 1e6
    assert min(late) >= 0, "a call ended early"
    print(f"{CALLS} calls: observed minus predicted time: median {median:.3f} ms, p99 {p99:.3f} ms")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as stubs:
        generate_stubs(stubs)
        main(*sys.argv[1:])
