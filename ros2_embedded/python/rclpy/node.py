"""Nodes."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from embedded_dds.dds import Qos
from embedded_dds.definitions import type_hash
from embedded_dds.graph import Graph, NodeKey, endpoint_type_hash
from embedded_dds.types import dds_type_name, ros_type_name
from rcl_interfaces.msg import ParameterDescriptor

from rclpy import arguments, logging, names
from rclpy.callback_groups import CallbackGroup, MutuallyExclusiveCallbackGroup, ReentrantCallbackGroup
from rclpy.client import Client
from rclpy.clock import Clock, ROSClock
from rclpy.constants import S_TO_NS
from rclpy.context import Context
from rclpy.destroyable import Destroyable
from rclpy.event_handler import EventSource, PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.exceptions import NameValidationException, NotInitializedException, RCLError
from rclpy.executors import Executor
from rclpy.expand_topic_name import expand_topic_name
from rclpy.guard_condition import GuardCondition
from rclpy.parameter import Parameter
from rclpy.parameters import ParameterMixin
from rclpy.publisher import Publisher
from rclpy.qos import (
    QoSProfile,
    get_qos_profile,
    qos_profile_rosout_default,
    qos_profile_services_default,
)
from rclpy.qos_overriding_options import QoSOverridingOptions, declare_qos_parameters
from rclpy.service import Service
from rclpy.subscription import Subscription, check_callback
from rclpy.time_source import TimeSource
from rclpy.timer import Rate, Timer
from rclpy.topic_endpoint_info import TopicEndpointInfo, TopicEndpointTypeEnum
from rclpy.type_hash import TypeHash
from rclpy.type_support import check_is_valid_msg_type, check_is_valid_srv_type
from rclpy.utilities import get_default_context

HIDDEN_NODE_PREFIX = "_"


class NodeNameNonExistentError(RuntimeError):
    """Raised when a node asked about does not exist."""


class Node(ParameterMixin, Destroyable):
    """A node: everything is made through it, destroyed with it, and announced under its name."""

    def __init__(
        self,
        node_name: str,
        *,
        context: Context | None = None,
        cli_args: list[str] | None = None,
        namespace: str | None = None,
        use_global_arguments: bool = True,
        enable_rosout: bool = True,
        start_parameter_services: bool = True,
        parameter_overrides: list[Parameter] | None = None,
        allow_undeclared_parameters: bool = False,
        automatically_declare_parameters_from_overrides: bool = False,
        enable_logger_service: bool = False,
    ) -> None:
        self.__context = get_default_context() if context is None else context
        if not self.__context.ok():
            raise NotInitializedException("cannot create node")
        self.__executor: Callable[[], Any] = lambda: None
        self.__lock = threading.RLock()
        self._rclpy_sources: tuple[Any, ...] = ()
        self._rclpy_timers: tuple[Timer, ...] = ()
        self.__owned: dict[type, list[Any]] = {
            kind: [] for kind in (Publisher, Subscription, Client, Service, GuardCondition)
        }
        self.__event_sources: dict[Any, EventSource] = {}

        found = [
            arguments.parse(
                ["--ros-args", *cli_args] if cli_args and "--ros-args" not in cli_args else cli_args or []
            )
        ]
        if use_global_arguments:
            found.append(self.__context.arguments)
        self.__remaps = [rule for source in found for rule in source.remaps]
        namespace = namespace or "/"
        namespace = namespace if namespace.startswith("/") else f"/{namespace}"
        names.validate_node_name(node_name)
        names.validate_namespace(namespace)
        self.__name, self.__namespace = names.remap_node(self.__remaps, node_name, namespace)

        self.__logger = logging.get_logger(self.get_fully_qualified_name()[1:].replace("/", "."))
        self.__participant, self.__graph = self.__context.participant, self.__context.graph
        self.__ends = self.__graph.add_node(NodeKey(self.__namespace, self.__name))
        self.__default_callback_group = MutuallyExclusiveCallbackGroup()
        self.__clock = ROSClock()
        self.__clock._listeners.append(self._rclpy_wake)

        self._rclpy_init_parameters(allow_undeclared_parameters)
        for source in reversed(found):
            for name, value in source.overrides(self.get_fully_qualified_name()).items():
                self._rclpy_overrides[name] = self.__override(name, value)
        self._rclpy_overrides |= {p.name: p for p in parameter_overrides or []}

        self.__rosout: Publisher | None = None
        if enable_rosout and self.__context.arguments.rosout:
            from rcl_interfaces.msg import Log

            self.__rosout = self.create_publisher(Log, "/rosout", qos_profile_rosout_default)
            logging._sinks.setdefault(self.__logger.name, []).append(self.__publish_log)
        self._rclpy_start_parameter_events()
        if automatically_declare_parameters_from_overrides:
            given = [(name, p.value, ParameterDescriptor()) for name, p in self._rclpy_overrides.items()]
            self.declare_parameters("", given, ignore_override=True)
        self.__time_source = TimeSource(node=self)
        self.__time_source.attach_clock(self.__clock)
        if start_parameter_services:
            self._rclpy_start_parameter_services()
        if enable_logger_service:
            self.__start_logger_services()

    @staticmethod
    def __override(name: str, value: Any) -> Parameter:
        try:
            return Parameter(name, value=value)
        except TypeError as error:
            raise RuntimeError(f"value given for parameter {name!r}: {error}") from None

    def __publish_log(self, level: int, name: str, message: str, file: str, function: str, line: int) -> None:
        from rcl_interfaces.msg import Log

        if self.__rosout is not None and self.__context.ok():
            stamp = self.__clock.now().to_msg()
            self.__rosout.publish(
                Log(stamp=stamp, level=level, name=name, msg=message, file=file, function=function, line=line)
            )

    def __start_logger_services(self) -> None:
        from rcl_interfaces.msg import LoggerLevel, SetLoggerLevelsResult
        from rcl_interfaces.srv import GetLoggerLevels, SetLoggerLevels

        def get(request: Any, response: Any) -> Any:
            response.levels = [
                LoggerLevel(name=n, level=int(logging.get_logger_level(n))) for n in request.names
            ]
            return response

        def set_(request: Any, response: Any) -> Any:
            for level in request.levels:
                result = SetLoggerLevelsResult(successful=True)
                try:
                    logging.set_logger_level(level.name, level.level)
                except ValueError as error:
                    result = SetLoggerLevelsResult(successful=False, reason=str(error))
                response.results.append(result)
            return response

        self.create_service(GetLoggerLevels, f"{self.__name}/get_logger_levels", get)
        self.create_service(SetLoggerLevels, f"{self.__name}/set_logger_levels", set_)

    # -- names, clock, logger

    def get_name(self) -> str:
        self._check_alive()
        return self.__name

    def get_namespace(self) -> str:
        self._check_alive()
        return self.__namespace

    def get_fully_qualified_name(self) -> str:
        self._check_alive()
        return names.full_node_name(self.__namespace, self.__name)

    def get_logger(self) -> logging.RcutilsLogger:
        return self.__logger

    def get_clock(self) -> Clock:
        return self.__clock

    @property
    def context(self) -> Context:
        return self.__context

    @property
    def default_callback_group(self) -> CallbackGroup:
        return self.__default_callback_group

    @property
    def executor(self) -> Executor | None:
        return self.__executor()

    @executor.setter
    def executor(self, new_executor: Executor | None) -> None:
        current = self.__executor()
        if current is new_executor:
            return
        self.__executor = weakref.ref(new_executor) if new_executor is not None else lambda: None
        if current is not None:
            current.remove_node(self)
        if new_executor is not None:
            new_executor.add_node(self)

    def _rclpy_wake(self) -> None:
        executor = self.__executor()
        if executor is not None:
            executor.wake()

    def __resolve(self, name: str, is_service: bool = False, only_expand: bool = False) -> str:
        self._check_alive()
        return names.resolve(
            self.__remaps, name, self.__name, self.__namespace, is_service=is_service, only_expand=only_expand
        )

    def resolve_topic_name(self, topic: str, *, only_expand: bool = False) -> str:
        """The full name after expansion and remapping; RCLError for a bad name."""
        try:
            return self.__resolve(topic, only_expand=only_expand)
        except NameValidationException as error:
            raise RCLError(str(error)) from None

    def resolve_service_name(self, service: str, *, only_expand: bool = False) -> str:
        """The full name after expansion and remapping; RCLError for a bad name."""
        try:
            return self.__resolve(service, is_service=True, only_expand=only_expand)
        except NameValidationException as error:
            raise RCLError(str(error)) from None

    # -- making things

    def __add(self, thing: Any, *sources: Any) -> None:
        with self.__lock:
            self.__owned[type(thing) if type(thing) in self.__owned else _kind(thing, self.__owned)].append(
                thing
            )
            self._rclpy_sources = (*self._rclpy_sources, *sources)
        for source in sources:
            if source.callback_group is not None:
                source.callback_group.add_entity(source)
        self._rclpy_wake()

    def create_publisher(
        self,
        msg_type: type,
        topic: str,
        qos_profile: QoSProfile | int,
        *,
        callback_group: CallbackGroup | None = None,
        event_callbacks: PublisherEventCallbacks | None = None,
        qos_overriding_options: QoSOverridingOptions | None = None,
        publisher_class: type[Publisher] = Publisher,
    ) -> Publisher:
        qos, name = get_qos_profile(qos_profile), self.__resolve(topic)
        declare_qos_parameters("publisher", self, name, qos, qos_overriding_options)
        check_is_valid_msg_type(msg_type)
        dds_name, dds_type, user_data = self.__topic_on_the_wire(msg_type, name, qos)
        writer = self.__participant.writer(dds_name, dds_type, qos._for_publisher()._to_dds(user_data))
        publisher = publisher_class(self, writer, msg_type, topic, name, qos)
        handlers = (event_callbacks or PublisherEventCallbacks())._handlers(self.__logger, name)
        self.__add(publisher, *self.__events_of(publisher, writer, handlers, callback_group))
        self.__graph.update(self.__ends.writers, writer.gid)
        return publisher

    def create_subscription(
        self,
        msg_type: type,
        topic: str,
        callback: Callable[..., Any],
        qos_profile: QoSProfile | int,
        *,
        callback_group: CallbackGroup | None = None,
        event_callbacks: SubscriptionEventCallbacks | None = None,
        qos_overriding_options: QoSOverridingOptions | None = None,
        raw: bool = False,
    ) -> Subscription:
        qos, name = get_qos_profile(qos_profile), self.__resolve(topic)
        declare_qos_parameters("subscription", self, name, qos, qos_overriding_options)
        check_is_valid_msg_type(msg_type)
        check_callback(callback)
        dds_name, dds_type, user_data = self.__topic_on_the_wire(msg_type, name, qos)
        asked = qos._for_subscription(lambda: [end.qos for end in self.__graph.endpoints(name, writers=True)])
        reader = self.__participant.reader(dds_name, dds_type, asked._to_dds(user_data))
        group = callback_group or self.__default_callback_group
        subscription = Subscription(self, reader, msg_type, topic, name, callback, group, qos, raw)
        handlers = (event_callbacks or SubscriptionEventCallbacks())._handlers(self.__logger, name)
        self.__add(
            subscription, subscription, *self.__events_of(subscription, reader, handlers, callback_group)
        )
        self.__graph.update(self.__ends.readers, reader.gid)
        return subscription

    @staticmethod
    def __topic_on_the_wire(msg_type: Any, name: str, qos: QoSProfile) -> tuple[str, str, bytes]:
        """A topic's name, type and user data as DDS has them."""
        prefix = "" if qos.avoid_ros_namespace_conventions else "rt"
        user_data = f"typehash={type_hash(msg_type._ros_name)};".encode()
        return prefix + name, dds_type_name(msg_type._ros_name), user_data

    def __events_of(
        self, thing: Any, end: Any, handlers: dict[int, Callable], group: CallbackGroup | None
    ) -> list[EventSource]:
        if not handlers:
            return []
        self.__event_sources[thing] = EventSource(end, handlers, group or self.__default_callback_group)
        return [self.__event_sources[thing]]

    def __service_ends(
        self, srv_type: Any, name: str, qos_profile: QoSProfile, role: str
    ) -> tuple[str, Any, Any]:
        check_is_valid_srv_type(srv_type)
        type_name = srv_type._ros_name
        full = self.__resolve(name, is_service=True)
        identity = ".".join(f"{byte:x}" for byte in os.urandom(16))
        user_data = f"{role}id={identity};typehash={type_hash(type_name)};".encode()
        qos: Qos = qos_profile._to_dds(user_data)
        request = f"rq{full}Request", dds_type_name(f"{type_name}_Request")
        reply = f"rr{full}Reply", dds_type_name(f"{type_name}_Response")
        read, write = (request, reply) if role == "service" else (reply, request)
        return full, self.__participant.reader(*read, qos), self.__participant.writer(*write, qos)

    def create_client(
        self,
        srv_type: type,
        srv_name: str,
        *,
        qos_profile: QoSProfile = qos_profile_services_default,
        callback_group: CallbackGroup | None = None,
    ) -> Client:
        full, reader, writer = self.__service_ends(srv_type, srv_name, qos_profile, "client")
        group = callback_group or self.__default_callback_group
        client = Client(self, reader, writer, srv_type, srv_name, full, group, qos_profile)
        self.__add(client, client)
        self.__graph.update(self.__ends.readers, reader.gid)
        self.__graph.update(self.__ends.writers, writer.gid)
        return client

    def create_service(
        self,
        srv_type: type,
        srv_name: str,
        callback: Callable[..., Any],
        *,
        qos_profile: QoSProfile = qos_profile_services_default,
        callback_group: CallbackGroup | None = None,
    ) -> Service:
        full, reader, writer = self.__service_ends(srv_type, srv_name, qos_profile, "service")
        group = callback_group or self.__default_callback_group
        service = Service(self, reader, writer, srv_type, srv_name, full, callback, group, qos_profile)
        self.__add(service, service)
        self.__graph.update(self.__ends.readers, reader.gid)
        self.__graph.update(self.__ends.writers, writer.gid)
        return service

    def create_timer(
        self,
        timer_period_sec: float,
        callback: Callable[..., Any] | None,
        callback_group: CallbackGroup | None = None,
        clock: Clock | None = None,
        autostart: bool = True,
    ) -> Timer:
        clock = clock or self.__clock
        group = callback_group or self.__default_callback_group
        timer = Timer(
            callback,
            group,
            int(float(timer_period_sec) * S_TO_NS),
            clock,
            context=self.__context,
            autostart=autostart,
        )
        timer._wake = self._rclpy_wake
        if clock is not self.__clock and self._rclpy_wake not in clock._listeners:
            clock._listeners.append(self._rclpy_wake)
        with self.__lock:
            self._rclpy_timers = (*self._rclpy_timers, timer)
        group.add_entity(timer)
        self._rclpy_wake()
        return timer

    def create_guard_condition(
        self, callback: Callable[[], Any], callback_group: CallbackGroup | None = None
    ) -> GuardCondition:
        guard = GuardCondition(callback, callback_group or self.__default_callback_group, self.__context)
        self.__add(guard, guard)
        return guard

    def create_rate(self, frequency: float, clock: Clock | None = None) -> Rate:
        if frequency <= 0:
            raise ValueError("frequency must be > 0")
        group = ReentrantCallbackGroup()
        return Rate(self.create_timer(1.0 / frequency, None, group, clock), context=self.__context)

    # -- destroying things

    def __remove(self, kind: type, thing: Any) -> bool:
        with self.__lock:
            if thing not in self.__owned[kind]:
                return False
            self.__owned[kind].remove(thing)
            event = self.__event_sources.pop(thing, None)
            if event is not None:
                event._mark_destroyed()
            self._rclpy_sources = tuple(s for s in self._rclpy_sources if s is not thing and s is not event)
        self._rclpy_wake()
        return True

    def __close_end(self, gids: set[bytes], end: Any) -> None:
        if not self._destroyed:
            self.__graph.update(gids, end.gid, present=False)

    def destroy_publisher(self, publisher: Publisher) -> bool:
        if not self.__remove(Publisher, publisher):
            return False
        self.__close_end(self.__ends.writers, publisher._writer)
        publisher._close()
        return True

    def destroy_subscription(self, subscription: Subscription) -> bool:
        if not self.__remove(Subscription, subscription):
            return False
        self.__close_end(self.__ends.readers, subscription._reader)
        subscription._close()
        return True

    def __destroy_two_way(self, kind: type, thing: Any) -> bool:
        if not self.__remove(kind, thing):
            return False
        self.__close_end(self.__ends.readers, thing._reader)
        self.__close_end(self.__ends.writers, thing._writer)
        thing._close()
        return True

    def destroy_client(self, client: Client) -> bool:
        return self.__destroy_two_way(Client, client)

    def destroy_service(self, service: Service) -> bool:
        return self.__destroy_two_way(Service, service)

    def destroy_timer(self, timer: Timer) -> bool:
        with self.__lock:
            if timer not in self._rclpy_timers:
                return False
            self._rclpy_timers = tuple(other for other in self._rclpy_timers if other is not timer)
        timer.destroy()
        return True

    def destroy_guard_condition(self, guard: GuardCondition) -> bool:
        if not self.__remove(GuardCondition, guard):
            return False
        guard.destroy()
        return True

    def destroy_rate(self, rate: Rate) -> bool:
        found = self.destroy_timer(rate._timer)
        rate.destroy()
        return found

    def destroy_node(self) -> None:
        """Destroys everything made by this node and takes it off the graph."""
        if self._destroyed:
            return
        self._mark_destroyed()
        executor = self.__executor()
        if executor is not None:
            executor.remove_node(self)
        sinks = logging._sinks.get(self.__logger.name, [])
        logging._sinks[self.__logger.name] = [sink for sink in sinks if sink != self.__publish_log]
        self.__graph.remove_node(self.__ends)
        for timer in self._rclpy_timers:
            self.destroy_timer(timer)
        for kind, things in self.__owned.items():
            for thing in list(things):
                self.__remove(kind, thing)
                thing.destroy() if kind is GuardCondition else thing._close()

    @property
    def publishers(self) -> Iterator[Publisher]:
        yield from list(self.__owned[Publisher])

    @property
    def subscriptions(self) -> Iterator[Subscription]:
        yield from list(self.__owned[Subscription])

    @property
    def clients(self) -> Iterator[Client]:
        yield from list(self.__owned[Client])

    @property
    def services(self) -> Iterator[Service]:
        yield from list(self.__owned[Service])

    @property
    def guards(self) -> Iterator[GuardCondition]:
        yield from list(self.__owned[GuardCondition])

    @property
    def timers(self) -> Iterator[Timer]:
        yield from self._rclpy_timers

    # -- the graph

    def __alive_graph(self) -> Graph:
        self._check_alive()
        return self.__graph

    def get_node_names(self) -> list[str]:
        return [name for name, _ in self.get_node_names_and_namespaces()]

    def get_node_names_and_namespaces(self) -> list[tuple[str, str]]:
        return [(key.name, key.namespace) for key, _ in self.__alive_graph().nodes()]

    def get_node_names_and_namespaces_with_enclaves(self) -> list[tuple[str, str, str]]:
        return [(name, namespace, "/") for name, namespace in self.get_node_names_and_namespaces()]

    def get_fully_qualified_node_names(self) -> list[str]:
        return [
            names.full_node_name(namespace, name) for name, namespace in self.get_node_names_and_namespaces()
        ]

    def get_topic_names_and_types(self, no_demangle: bool = False) -> list[tuple[str, list[str]]]:
        return self.__alive_graph().topics(no_demangle)

    def get_service_names_and_types(self) -> list[tuple[str, list[str]]]:
        return self.__alive_graph().services()

    def __by_node(self, node_name: str, node_namespace: str, role: str) -> list[tuple[str, list[str]]]:
        found = self.__alive_graph().of_node(NodeKey(node_namespace, node_name), role)
        if found is None:
            full = names.full_node_name(node_namespace, node_name)
            raise NodeNameNonExistentError(f"cannot get the {role} of nonexistent node {full}")
        return found

    def get_publisher_names_and_types_by_node(
        self, node_name: str, node_namespace: str, no_demangle: bool = False
    ) -> list[tuple[str, list[str]]]:
        return self.__by_node(node_name, node_namespace, "publishers")

    def get_subscriber_names_and_types_by_node(
        self, node_name: str, node_namespace: str, no_demangle: bool = False
    ) -> list[tuple[str, list[str]]]:
        return self.__by_node(node_name, node_namespace, "subscriptions")

    def get_service_names_and_types_by_node(
        self, node_name: str, node_namespace: str
    ) -> list[tuple[str, list[str]]]:
        return self.__by_node(node_name, node_namespace, "services")

    def get_client_names_and_types_by_node(
        self, node_name: str, node_namespace: str
    ) -> list[tuple[str, list[str]]]:
        return self.__by_node(node_name, node_namespace, "clients")

    def __expand(self, name: str) -> str:
        """A name without remapping; ValueError for a bad one."""
        self._check_alive()
        return expand_topic_name(name, self.__name, self.__namespace)

    def count_publishers(self, topic_name: str) -> int:
        return len(self.__alive_graph().endpoints(self.__expand(topic_name), writers=True))

    def count_subscribers(self, topic_name: str) -> int:
        return len(self.__alive_graph().endpoints(self.__expand(topic_name), writers=False))

    def count_services(self, service_name: str) -> int:
        name = f"rq{self.__expand(service_name)}Request"
        return len(self.__alive_graph().endpoints(name, writers=False, mangled=False))

    def count_clients(self, service_name: str) -> int:
        name = f"rq{self.__expand(service_name)}Request"
        return len(self.__alive_graph().endpoints(name, writers=True, mangled=False))

    def __info_by_topic(self, topic_name: str, no_mangle: bool, writers: bool) -> list[TopicEndpointInfo]:
        name = topic_name if no_mangle else self.__resolve(self.__expand(topic_name))
        owners = self.__alive_graph().owners()
        unknown = NodeKey("_NODE_NAMESPACE_UNKNOWN_", "_NODE_NAME_UNKNOWN_")
        return [
            TopicEndpointInfo(
                node_name=owners.get(end.gid, unknown).name,
                node_namespace=owners.get(end.gid, unknown).namespace,
                topic_type=end.type_name if no_mangle else ros_type_name(end.type_name),
                topic_type_hash=_type_hash(endpoint_type_hash(end)),
                endpoint_type=TopicEndpointTypeEnum.PUBLISHER
                if writers
                else TopicEndpointTypeEnum.SUBSCRIPTION,
                endpoint_gid=list(end.gid),
                qos_profile=QoSProfile._from_dds(end.qos),
            )
            for end in self.__alive_graph().endpoints(name, writers, mangled=not no_mangle)
        ]

    def get_publishers_info_by_topic(
        self, topic_name: str, no_mangle: bool = False
    ) -> list[TopicEndpointInfo]:
        return self.__info_by_topic(topic_name, no_mangle, writers=True)

    def get_subscriptions_info_by_topic(
        self, topic_name: str, no_mangle: bool = False
    ) -> list[TopicEndpointInfo]:
        return self.__info_by_topic(topic_name, no_mangle, writers=False)

    def wait_for_node(self, fully_qualified_node_name: str, timeout: float) -> bool:
        """Waits for a node to appear; whether it did."""
        wanted = "/" + fully_qualified_node_name.lstrip("/")
        end = time.monotonic() + timeout
        while self.__context.ok():
            if wanted in self.get_fully_qualified_node_names():
                return True
            if time.monotonic() >= end:
                return False
            time.sleep(0.05)
        return False


def _type_hash(text: str) -> TypeHash:
    """What an endpoint says of its type; version -1 if it says nothing."""
    number = text.removeprefix("RIHS01_")
    return TypeHash() if number == text else TypeHash(1, bytes.fromhex(number))


def _kind(thing: Any, kinds: dict[type, Any]) -> type:
    return next(kind for kind in kinds if isinstance(thing, kind))
