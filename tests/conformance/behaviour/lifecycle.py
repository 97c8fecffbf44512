"""Nodes with a life cycle."""

from __future__ import annotations

import pytest
from lifecycle_msgs.msg import State, Transition, TransitionEvent
from lifecycle_msgs.srv import ChangeState, GetAvailableStates, GetAvailableTransitions, GetState
from rclpy.lifecycle import (
    LifecycleNode,
    LifecycleState,
    ManagedEntity,
    SimpleManagedEntity,
    TransitionCallbackReturn,
)
from std_msgs.msg import String
from waiting import LIMIT_S, result_of, spin_until

SUCCESS, FAILURE, ERROR = (
    TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE, TransitionCallbackReturn.ERROR,
)  # fmt: skip


class Recorder(LifecycleNode):
    """Notes what it is asked for, and answers as told."""

    def __init__(self, name="life", **options):
        self.asked, self.answers = [], {}
        super().__init__(name, **options)

    def _note(self, what, state):
        self.asked.append((what, state.label))
        answer = self.answers.get(what, SUCCESS)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def on_configure(self, state):
        return self._note("configure", state)

    def on_cleanup(self, state):
        return self._note("cleanup", state)

    def on_activate(self, state):
        return self._note("activate", state)

    def on_deactivate(self, state):
        return self._note("deactivate", state)

    def on_shutdown(self, state):
        return self._note("shutdown", state)

    def on_error(self, state):
        return self._note("error", state)


def state(ros, node):
    return call(ros, node, GetState, "get_state").current_state.label


def call(ros, node, srv_type, name, **fields):
    client = node.create_client(srv_type, f"/{node.get_name()}/{name}")
    assert client.wait_for_service(LIMIT_S)
    answer = result_of(node, client.call_async(srv_type.Request(**fields)))
    node.destroy_client(client)
    return answer


def change(ros, node, label="", number=0):
    return call(ros, node, ChangeState, "change_state", transition=Transition(id=number, label=label)).success


def test_the_whole_life(ros):
    node = ros.keep(Recorder())
    for trigger, after in (
        (node.trigger_configure, "inactive"), (node.trigger_activate, "active"),
        (node.trigger_deactivate, "inactive"),
        (node.trigger_cleanup, "unconfigured"), (node.trigger_shutdown, "finalized"),
    ):  # fmt: skip
        assert trigger() == SUCCESS and state(ros, node) == after
    assert node.asked == [
        ("configure", "unconfigured"), ("activate", "inactive"), ("deactivate", "active"),
        ("cleanup", "inactive"),
        ("shutdown", "unconfigured"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "answer, error_answer, after",
    [
        (FAILURE, SUCCESS, "unconfigured"), (ERROR, SUCCESS, "unconfigured"), (ERROR, FAILURE, "finalized"),
        (ERROR, ERROR, "finalized"), (KeyError("x"), SUCCESS, "unconfigured"),
        (KeyError("x"), KeyError("y"), "finalized"),
    ],
)  # fmt: skip
def test_transitions_that_go_wrong(ros, answer, error_answer, after):
    node = ros.keep(Recorder())
    node.answers = {"configure": answer, "error": error_answer}
    assert node.trigger_configure() == (FAILURE if answer is FAILURE else ERROR)
    assert state(ros, node) == after
    assert ("error", "unconfigured") in node.asked or answer is FAILURE


def test_impossible_triggers(ros):
    node = ros.keep(Recorder())
    for trigger in (node.trigger_activate, node.trigger_deactivate, node.trigger_cleanup):
        with pytest.raises(RuntimeError):
            trigger()
    assert node.asked == [] and state(ros, node) == "unconfigured"
    node.trigger_shutdown()
    with pytest.raises(RuntimeError):
        node.trigger_shutdown()
    with pytest.raises(RuntimeError):
        node.trigger_configure()


def test_changes_from_outside(ros):
    node = ros.keep(Recorder())
    assert change(ros, node, "configure") and state(ros, node) == "inactive"
    assert change(ros, node, number=Transition.TRANSITION_ACTIVATE) and state(ros, node) == "active"
    assert not change(ros, node, "nonsense") and state(ros, node) == "active"
    assert change(ros, node, number=Transition.TRANSITION_DEACTIVATE)
    node.answers = {"activate": FAILURE}
    assert not change(ros, node, "activate") and state(ros, node) == "inactive"
    assert change(ros, node, "shutdown") and state(ros, node) == "finalized"


def test_states_and_transitions(ros):
    node = ros.keep(Recorder())
    states = call(ros, node, GetAvailableStates, "get_available_states").available_states
    assert {s.id: s.label for s in states} == {
        0: "unknown", 1: "unconfigured", 2: "inactive", 3: "active", 4: "finalized", 10: "configuring",
        11: "cleaningup", 12: "shuttingdown", 13: "activating", 14: "deactivating", 15: "errorprocessing",
    }  # fmt: skip

    def transitions(name):
        found = call(ros, node, GetAvailableTransitions, name).available_transitions
        return sorted(
            (t.transition.id, t.transition.label, t.start_state.label, t.goal_state.label) for t in found
        )

    assert transitions("get_available_transitions") == [
        (1, "configure", "unconfigured", "configuring"), (5, "shutdown", "unconfigured", "shuttingdown"),
    ]  # fmt: skip
    assert transitions("get_transition_graph") == GRAPH
    node.trigger_configure()
    assert transitions("get_available_transitions") == [
        (2, "cleanup", "inactive", "cleaningup"), (3, "activate", "inactive", "activating"),
        (6, "shutdown", "inactive", "shuttingdown"),
    ]  # fmt: skip


UNCONFIGURED, INACTIVE, ACTIVE, FINALIZED, BROKEN = [
    "unconfigured",
    "inactive",
    "active",
    "finalized",
    "errorprocessing",
]
GRAPH = sorted(
    [(number, label, start, through) for number, label, start, through in (
        (1, "configure", UNCONFIGURED, "configuring"), (2, "cleanup", INACTIVE, "cleaningup"),
        (3, "activate", INACTIVE, "activating"), (4, "deactivate", ACTIVE, "deactivating"),
        (5, "shutdown", UNCONFIGURED, "shuttingdown"), (6, "shutdown", INACTIVE, "shuttingdown"),
        (7, "shutdown", ACTIVE, "shuttingdown"),
    )]
    + [(number + i, f"transition_{end}", through, goal) for number, through, *goals in (
        (10, "configuring", INACTIVE, UNCONFIGURED, BROKEN),
        (20, "cleaningup", UNCONFIGURED, INACTIVE, BROKEN),
        (30, "activating", ACTIVE, INACTIVE, BROKEN), (40, "deactivating", INACTIVE, ACTIVE, BROKEN),
        (50, "shuttingdown", FINALIZED, FINALIZED, BROKEN), (60, BROKEN, UNCONFIGURED, FINALIZED, FINALIZED),
    ) for i, (end, goal) in enumerate(zip(("success", "failure", "error"), goals, strict=True))]
)  # fmt: skip


def test_events(ros):
    node, events = ros.keep(Recorder("eventful")), []
    node.create_subscription(TransitionEvent, "/eventful/transition_event", events.append, 10)
    assert spin_until(node, lambda: node.count_publishers("/eventful/transition_event") == 1)
    node.trigger_configure()
    assert spin_until(node, lambda: len(events) == 2)
    assert [(e.start_state.label, e.goal_state.label) for e in events] == [
        ("unconfigured", "configuring"), ("configuring", "inactive"),
    ]  # fmt: skip
    events.clear()
    node.answers = {"activate": ERROR, "error": SUCCESS}
    node.trigger_activate()
    assert spin_until(node, lambda: len(events) == 3)
    assert [(e.start_state.label, e.goal_state.label) for e in events] == [
        ("inactive", "activating"), ("activating", "errorprocessing"), ("errorprocessing", "unconfigured"),
    ]  # fmt: skip


def test_publishers_that_follow(ros):
    node, seen = ros.keep(LifecycleNode("life")), []
    publisher = node.create_lifecycle_publisher(String, "x", 10)
    node.create_subscription(String, "x", lambda m: seen.append(m.data), 10)
    assert spin_until(node, lambda: publisher.get_subscription_count() == 1)
    assert not publisher.is_activated
    publisher.publish(String(data="too early"))
    node.trigger_configure()
    node.trigger_activate()
    assert publisher.is_activated
    publisher.publish(String(data="now"))
    assert spin_until(node, lambda: seen) and seen == ["now"]
    node.trigger_deactivate()
    publisher.publish(String(data="too late"))
    spin_until(node, lambda: len(seen) > 1, 0.3)
    assert seen == ["now"]
    assert node.destroy_lifecycle_publisher(publisher) and not node.destroy_lifecycle_publisher(publisher)
    with pytest.raises(TypeError):
        node.create_lifecycle_publisher(String, "x", 10, publisher_class=object)


def test_managed_entities(ros):
    class Entity(ManagedEntity):
        asked, answer = [], SUCCESS

        def on_configure(self, state):
            self.asked.append(state.label)
            return self.answer

    node, entity = ros.keep(LifecycleNode("life")), Entity()
    node.add_managed_entity(entity)
    with pytest.raises(TypeError):
        node.add_managed_entity("no entity")
    entity.answer = FAILURE
    assert node.trigger_configure() == FAILURE and entity.asked == ["unconfigured"]
    entity.answer = "words"
    assert node.trigger_configure() == ERROR
    assert state(ros, node) == "unconfigured", "entities handle errors with SUCCESS"


def test_methods_of_active_entities():
    class Entity(SimpleManagedEntity):
        calls = 0

        @SimpleManagedEntity.when_enabled
        def work(self):
            Entity.calls += 1

    entity = Entity()
    entity.work()
    assert entity.on_activate(LifecycleState("inactive", 2)) == SUCCESS
    entity.work()
    entity.on_deactivate(None)
    entity.work()
    assert Entity.calls == 1
    missed = []

    class Loud(SimpleManagedEntity):
        @SimpleManagedEntity.when_enabled(when_not_enabled=lambda: missed.append(1))
        def work(self):
            missed.append("worked")

    Loud().work()
    assert missed == [1]


def test_without_the_interface(ros):
    node = ros.keep(Recorder("quiet", enable_communication_interface=False))
    assert node.trigger_configure() == SUCCESS
    assert not [n for n, _ in node.get_service_names_and_types_by_node("quiet", "/") if "get_state" in n]
    assert State.PRIMARY_STATE_INACTIVE == 2


def test_states_have_a_label_and_a_number():
    found = LifecycleState(label="active", state_id=3)
    assert (found.label, found.state_id) == ("active", 3) and found == LifecycleState("active", 3)
    assert [int(r) if not hasattr(r, "value") else r.value for r in (SUCCESS, FAILURE, ERROR)] == [97, 98, 99]
    assert SUCCESS.to_label() == "transition_success" and ERROR.to_label() == "transition_error"
