"""Services, clients, and the parameter services with their client and event handler."""

from __future__ import annotations

import threading
import time

import pytest
import rclpy
from rcl_interfaces.msg import Parameter as ParameterMsg
from rcl_interfaces.msg import ParameterDescriptor
from rcl_interfaces.srv import (
    DescribeParameters,
    GetParameters,
    GetParameterTypes,
    ListParameters,
    SetParameters,
    SetParametersAtomically,
)
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.parameter_client import AsyncParameterClient
from rclpy.parameter_event_handler import ParameterEventHandler
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger
from waiting import LIMIT_S, executor_until, result_of, spin_until


@pytest.fixture
def spinning(ros):
    """A node that spins in another thread."""
    node, executor = ros.node("spinning"), SingleThreadedExecutor()
    executor.add_node(node)
    thread = threading.Thread(target=executor.spin, daemon=True)
    thread.start()
    yield node
    executor.shutdown()
    thread.join(LIMIT_S)


# -- calls


def test_a_call_and_its_answer(ros):
    node = ros.node()
    service = node.create_service(SetBool, "flip", lambda req, res: SetBool.Response(success=not req.data))
    client = node.create_client(SetBool, "flip")
    assert client.wait_for_service(LIMIT_S) and client.service_is_ready()
    assert result_of(node, client.call_async(SetBool.Request(data=False))).success is True
    assert (service.srv_name, service.service_name, client.srv_name, client.service_name) == (
        "flip",
        "/flip",
        "flip",
        "/flip",
    )
    assert service.srv_type is client.srv_type is SetBool


def test_waiting_for_a_service_that_never_comes(ros):
    client = ros.node().create_client(Trigger, "nowhere")
    started = time.monotonic()
    assert client.wait_for_service(timeout_sec=0.2) is False and not client.service_is_ready()
    assert time.monotonic() - started < LIMIT_S


def test_a_blocking_call(ros, spinning):
    spinning.create_service(Trigger, "quick", lambda req, res: Trigger.Response(message="here"))
    client = spinning.create_client(Trigger, "quick")
    assert client.wait_for_service(LIMIT_S)
    assert client.call(Trigger.Request()).message == "here"
    assert client.call(Trigger.Request(), timeout_sec=LIMIT_S).message == "here"


def test_a_blocking_call_that_takes_too_long(ros, spinning):
    """None, and the answer that comes later is dropped."""
    client = spinning.create_client(Trigger, "nowhere")
    started = time.monotonic()
    assert client.call(Trigger.Request(), timeout_sec=0.2) is None
    assert 0.15 < time.monotonic() - started < LIMIT_S


def test_requests_are_checked(ros):
    client = ros.node().create_client(Trigger, "x")
    for wrong in (SetBool.Request(), Trigger.Response(), None, {}):
        with pytest.raises(TypeError):
            client.call_async(wrong)
        with pytest.raises(TypeError):
            client.call(wrong)


@pytest.mark.parametrize("wrong", [String, dict, None])
def test_what_is_no_service_type(ros, wrong):
    with pytest.raises((RuntimeError, AttributeError)):
        ros.node().create_client(wrong, "x")
    with pytest.raises((RuntimeError, AttributeError)):
        ros.node().create_service(wrong, "x", print)


@pytest.mark.parametrize("answer", [None, SetBool.Response(), "words"])
def test_a_service_must_return_its_response(ros, answer):
    node = ros.node()
    node.create_service(Trigger, "x", lambda req, res: answer)
    client = node.create_client(Trigger, "x")
    assert client.wait_for_service(LIMIT_S)
    client.call_async(Trigger.Request())
    with pytest.raises(TypeError):
        spin_until(node, lambda: False, LIMIT_S)


def test_a_service_that_raises(ros):
    node = ros.node()

    def fail(request, response):
        raise KeyError("in the service")

    node.create_service(Trigger, "x", fail)
    client = node.create_client(Trigger, "x")
    assert client.wait_for_service(LIMIT_S)
    client.call_async(Trigger.Request())
    with pytest.raises(KeyError):
        spin_until(node, lambda: False, LIMIT_S)


def test_requests_at_the_same_time(ros):
    node = ros.node()
    node.create_service(SetBool, "x", lambda req, res: SetBool.Response(success=req.data))
    client = node.create_client(SetBool, "x")
    assert client.wait_for_service(LIMIT_S)
    futures = [client.call_async(SetBool.Request(data=i % 3 == 0)) for i in range(6)]
    assert spin_until(node, lambda: all(f.done() for f in futures))
    assert [f.result().success for f in futures] == [True, False, False] * 2


def test_pending_requests(ros):
    client = ros.node().create_client(Trigger, "nowhere")
    future = client.call_async(Trigger.Request())
    assert future in client._pending_requests.values()
    client.remove_pending_request(future)
    assert not client._pending_requests
    client.remove_pending_request(future)
    with pytest.raises(KeyError):
        client.get_pending_request(12345)


def test_a_cancelled_request_is_forgotten(ros):
    client = ros.node().create_client(Trigger, "nowhere")
    future = client.call_async(Trigger.Request())
    future.cancel()
    assert not client._pending_requests


def test_coroutine_services(ros):
    node = ros.node()

    async def answer(request, response):
        response.message = "later"
        return response

    node.create_service(Trigger, "x", answer)
    client = node.create_client(Trigger, "x")
    assert client.wait_for_service(LIMIT_S)
    assert result_of(node, client.call_async(Trigger.Request())).message == "later"


def test_done_callbacks_of_requests_run_in_the_executor(ros):
    node, seen = ros.node(), []
    node.create_service(Trigger, "x", lambda req, res: Trigger.Response(message="m"))
    client = node.create_client(Trigger, "x")
    assert client.wait_for_service(LIMIT_S)
    future = client.call_async(Trigger.Request())
    future.add_done_callback(lambda f: seen.append((f.result().message, threading.current_thread())))
    assert spin_until(node, lambda: seen) and seen == [("m", threading.main_thread())]


# -- services of parameters


@pytest.fixture
def served(ros):
    """A node with parameters, and a function that calls its services from another node."""
    node, caller, executor = ros.node("served"), ros.node("caller"), SingleThreadedExecutor()
    node.declare_parameter("a", 1, ParameterDescriptor(description="the first"))
    node.declare_parameter("deep.b", "x")
    node.declare_parameter("later", Parameter.Type.INTEGER)
    executor.add_node(node)
    executor.add_node(caller)

    def call(srv_type, name, **fields):
        client = caller.create_client(srv_type, f"/served/{name}")
        assert client.wait_for_service(LIMIT_S)
        future = client.call_async(srv_type.Request(**fields))
        assert executor_until(executor, future.done)
        return future.result()

    call.executor, call.caller, call.node = executor, caller, node
    yield call
    executor.shutdown()


def test_getting(served):
    assert [v.integer_value for v in served(GetParameters, "get_parameters", names=["a"]).values] == [1]
    assert list(served(GetParameters, "get_parameters", names=["a", "unknown"]).values) == []
    assert list(served(GetParameters, "get_parameters", names=["later"]).values) == []
    assert list(served(GetParameterTypes, "get_parameter_types", names=["a", "deep.b"]).types) == [2, 4]
    assert list(served(GetParameterTypes, "get_parameter_types", names=["a", "unknown"]).types) == []
    (found,) = served(DescribeParameters, "describe_parameters", names=["a"]).descriptors
    assert (found.name, found.description, found.type) == ("a", "the first", 2)
    assert list(served(DescribeParameters, "describe_parameters", names=["unknown"]).descriptors) == []
    assert sorted(served(ListParameters, "list_parameters", prefixes=["deep"]).result.names) == ["deep.b"]


def test_setting(served):
    def messages(**values):
        return [Parameter(name, value=value).to_parameter_msg() for name, value in values.items()]

    results = served(SetParameters, "set_parameters", parameters=messages(a=5, unknown=1)).results
    assert [r.successful for r in results] == [True, False] and "unknown" in str(
        results[1].reason
    ) + "unknown"
    assert served.node.get_parameter("a").value == 5
    result = served(
        SetParametersAtomically, "set_parameters_atomically", parameters=messages(a=6, unknown=1)
    ).result
    assert not result.successful and served.node.get_parameter("a").value == 5
    result = served(SetParametersAtomically, "set_parameters_atomically", parameters=messages(a=7)).result
    assert result.successful and served.node.get_parameter("a").value == 7
    (result,) = served(SetParameters, "set_parameters", parameters=messages(a="text")).results
    assert not result.successful and "Wrong parameter type" in result.reason
    (result,) = served(SetParameters, "set_parameters", parameters=[ParameterMsg(name="a")]).results
    assert not result.successful


def test_a_client_for_parameters(served, tmp_path):
    client = AsyncParameterClient(served.caller, "served")
    assert client.wait_for_services(LIMIT_S) and client.services_are_ready()

    def result(future):
        assert executor_until(served.executor, future.done)
        return future.result()

    assert "deep.b" in result(client.list_parameters()).result.names
    assert result(client.list_parameters(prefixes=["deep"], depth=1)).result.names == ["deep.b"]
    assert [v.integer_value for v in result(client.get_parameters(["a"])).values] == [1]
    assert [r.successful for r in result(client.set_parameters([Parameter("a", value=3)])).results] == [True]
    assert result(
        client.set_parameters_atomically([Parameter("a", value=4).to_parameter_msg()])
    ).result.successful
    assert list(result(client.get_parameter_types(["a"])).types) == [2]
    assert result(client.describe_parameters(["a"])).descriptors[0].description == "the first"
    assert not result(client.delete_parameters(["a"])).results[0].successful, "static"
    path = tmp_path / "p.yaml"
    path.write_text("/served:\n  ros__parameters: {a: 9, deep: {b: file}}\n")
    assert [r.successful for r in result(client.load_parameter_file(str(path))).results] == [True, True]
    assert served.node.get_parameter("a").value == 9 and served.node.get_parameter("deep.b").value == "file"
    path.write_text("/**:\n  ros__parameters: {a: 10}\n")
    assert result(client.load_parameter_file_atomically(str(path), use_wildcard=True)).result.successful
    seen = []
    client.get_parameters(["a"], callback=lambda future: seen.append(future.result().values[0].integer_value))
    assert executor_until(served.executor, lambda: seen) and seen == [10]
    events = []
    client.on_parameter_event(events.append)
    client.set_parameters([Parameter("a", value=11)])
    assert executor_until(served.executor, lambda: any(e.changed_parameters for e in events))
    assert AsyncParameterClient(served.caller, "nobody").wait_for_services(0.1) is False


def test_a_handler_of_parameter_events(served):
    handler, seen, events = ParameterEventHandler(served.caller), [], []
    first = handler.add_parameter_callback("a", "/served", lambda p: seen.append(p.value.integer_value))
    handler.add_parameter_callback("a", "served", lambda p: seen.append("resolved"))
    handler.add_parameter_callback("other", "/served", lambda p: seen.append("other"))
    everything = handler.add_parameter_event_callback(events.append)
    assert executor_until(served.executor, lambda: served.caller.count_publishers("/parameter_events") == 2)
    served.node.set_parameters([Parameter("a", value=2)])
    assert executor_until(served.executor, lambda: len(seen) == 2)
    assert set(seen) == {2, "resolved"} and events[-1].node == "/served"
    parameter = ParameterEventHandler.get_parameter_from_event(events[-1], "a", "/served")
    assert parameter.value.integer_value == 2
    assert ParameterEventHandler.get_parameter_from_event(events[-1], "a", "/caller") is None
    assert [p.name for p in ParameterEventHandler.get_parameters_from_event(events[-1])] == ["a"]
    handler.remove_parameter_callback(first)
    handler.remove_parameter_event_callback(everything)
    for remove, handle in (
        (handler.remove_parameter_callback, first),
        (handler.remove_parameter_event_callback, everything),
    ):
        with pytest.raises(RuntimeError, match="exist"):
            remove(handle)
    seen.clear()
    served.node.set_parameters([Parameter("a", value=3)])
    assert executor_until(served.executor, lambda: seen) and seen == ["resolved"]
    handler.destroy()


def test_nodes_without_parameter_services(ros):
    node = ros.node("bare", start_parameter_services=False)
    assert not [
        name for name, _ in node.get_service_names_and_types_by_node("bare", "/") if "parameter" in name
    ]
    rclpy.spin_once(node, timeout_sec=0.0)
