"""task_server: performs one task at a time, asked for by the ExecuteTask action."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from hilam_msgs.action import ExecuteTask
from hilam_msgs.msg import (
    CycleTiming,
    LatentSkill,
    Observation,
    Outcome,
    SafetyState,
    SimulationStep,
    Task,
    TeleopState,
)
from hilam_msgs.srv import ResetSimulation
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.duration import Duration
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_srvs.srv import Trigger

from hilam_core.cards import load_card
from hilam_core.conventions import CONTROL_HZ
from hilam_core.errors import HilamError
from hilam_core.runtime.episode import CANCELLED, FAILED, STOPPED, SUCCESS, Episode, Patience, Takeovers
from hilam_core.runtime.health import InputHealth
from hilam_core.runtime.images import image_array
from hilam_core.runtime.peers import Peers
from hilam_core.runtime.record import EpisodeRecorder, RecordedSkill, summary_lines
from hilam_core.runtime.stamps import stamp_to_ns
from hilam_core.runtime.tasks import check_instruction
from hilam_core.runtime.timing import Cycle, TimeAccount, summarize_ms
from hilam_ros import ARM_NODES, STACK_NODES
from hilam_ros.node import LATCHED, StackNode, run_node

LAST_MESSAGES_S = 0.2  # for the timing of the last step to arrive
FEEDBACK_S = 0.2
ACKNOWLEDGE_S = 0.2  # how long the end of a task may take to arrive before the node is gone
WORDS_LAST_S = 10.0  # a goal's rejection stays on /diagnostics; the action itself has no place for words
NO_SKILL = -1


class Performance:
    """One goal on its way: its episode, and what is known and heard of it."""

    def __init__(self, handle: Any, episode: Episode):
        self.handle, self.goal, self.episode = handle, handle.request, episode
        self.number = 0  # of the episode, once the nodes have been heard
        self.instruction = self.goal.instruction
        self.facts: dict[str, Any] = {}
        self.asked = ""  # the service that has been asked and has not answered
        self.announced = self.over = self.concluding = False
        self.limit_s = self.goal.time_limit_s
        self.account = TimeAccount()
        self.recorder: EpisodeRecorder | None = None
        self.step: SimulationStep | None = None
        self.skill_id, self.skill_probability, self.skill_began_s = NO_SKILL, 0.0, 0.0
        self.rates = {name: InputHealth(name) for name in ("observation", "skill", "command")}
        self.takeovers = Takeovers()


class TaskServer(StackNode):
    """Serves `execute_task`: announces the task, begins when all nodes are prepared, ends with the first
    outcome.

    In simulation it resets the arm's world first, and the simulation's judge says when the task is done.
    """

    def __init__(self) -> None:
        super().__init__("task_server")
        self.current: Performance | None = None
        self.action: ActionServer | None = None

    def configure(self) -> None:
        self.simulated = self.parameter("simulated", False, "the arm is a simulation that can be reset")
        self.control_hz = self.parameter("control_hz", float(CONTROL_HZ), "control steps a second")
        start_s = self.parameter("peer_timeout_s", 60.0, "how long the nodes may take to be prepared")
        step_s = self.parameter("step_timeout_s", 10.0, "simulation: how long a step may take")
        self.patience = Patience(start_s, step_s)
        self.output = self.parameter("output", "", "folder for the episodes' folders; empty: no records")
        self.policy = self.parameter("policy", "", "checkpoint folder that episode.json names")
        card = load_card(self.policy, "policy") if self.policy else {}
        self.policy_hash = card.get("weights_sha256")
        self.demonstrates = self.parameter("demonstrate", False, "a person or the expert drives, no policy")
        recorded = self.parameter("record", False, "every episode is recorded")
        nodes = [*ARM_NODES] if self.demonstrates else [*STACK_NODES]
        nodes += ["libero_bridge"] * self.simulated + ["recorder"] * recorded
        self.peers = Peers(nodes)
        self.driver = ""  # who drives by hand
        self.newest = 0
        self.stopped = ""  # why the safety monitor stops the arm
        self.feedback_s = 0.0

        self.claim("task", "outcome")
        self.task_publisher = self.create_publisher(Task, "task", LATCHED)
        self.outcome_publisher = self.create_publisher(Outcome, "outcome", LATCHED)
        self.reset_client = self.create_client(ResetSimulation, "reset_simulation")
        self.begin_client = self.create_client(Trigger, "begin_simulation")
        self.subscribe()
        for service, outcome in (("~/declare_success", SUCCESS), ("~/declare_failure", FAILED)):
            self.create_service(Trigger, service, partial(self.on_declared, outcome))
        self.create_steady_timer(0.05, self.supervise)

    def subscribe(self) -> None:
        """What the nodes and the arm say."""
        reliable = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
        self.create_subscription(DiagnosticArray, "/diagnostics", self.on_diagnostics, 10)
        self.create_subscription(SafetyState, "safety_monitor/state", self.on_safety, LATCHED)
        self.create_subscription(TeleopState, "teleop/state", self.on_teleop, LATCHED)
        self.create_subscription(CycleTiming, "cycle_timing", self.of_now(self.on_cycle), reliable)
        self.create_subscription(LatentSkill, "skill", self.of_now(self.on_skill), reliable)
        self.create_subscription(Observation, "observation", self.of_now(self.on_observation), reliable)
        self.create_subscription(SimulationStep, "simulation_step", self.of_now(self.on_step), reliable)

    def activate(self) -> None:
        """Offer the action: who waits for it finds a server that takes goals."""
        if self.action is None:
            self.action = ActionServer(
                self,
                ExecuteTask,
                "execute_task",
                self.conclude,
                goal_callback=self.on_goal,
                handle_accepted_callback=self.on_accepted,
                cancel_callback=self.on_cancel,
            )

    def on_cleanup(self, state: Any) -> Any:
        """The action server goes too."""
        if self.action is not None:
            self.action.destroy()
            self.action = None
        return super().on_cleanup(state)

    def deactivate(self) -> None:
        """An episode does not go on without its owner."""
        self.finish(FAILED, "task_server was deactivated")

    def newest_episode(self) -> int:
        return self.newest

    def waiting_for(self) -> list[str]:
        """The nodes it has not heard of."""
        silent = self.peers.silent(time.monotonic()) if self.active else []
        return [*super().waiting_for(), *silent]

    # The action

    def on_goal(self, goal: ExecuteTask.Goal) -> GoalResponse:
        """Accept a goal, or reject it with the reason in the log and on /diagnostics."""
        reason = self.objection(goal)
        if not reason:
            return GoalResponse.ACCEPT
        self.get_logger().error(f"goal rejected: {reason}")
        self.note_problem(f"goal rejected: {reason}", WORDS_LAST_S)
        self.report()
        return GoalResponse.REJECT

    def objection(self, goal: ExecuteTask.Goal) -> str:
        """Why a goal cannot be accepted; empty: it can."""
        if not self.active:
            return "task_server is not active"
        if self.stopped:
            return f"the safety monitor has stopped the arm: {self.stopped}"
        if self.current is not None:
            doing = self.current.instruction or self.current.goal.start.task
            return f"episode {self.current.number} is under way: '{doing}'"
        if not (math.isfinite(goal.time_limit_s) and goal.time_limit_s >= 0):
            return f"time_limit_s is {goal.time_limit_s}, must be a number from 0"
        if not self.simulated and goal.start.suite:
            return f"a real arm cannot be reset to {goal.start.suite}, task '{goal.start.task}'"
        if goal.instruction or not self.simulated:
            try:
                check_instruction(goal.instruction)
            except HilamError as error:
                return str(error)
        if self.simulated:
            return "" if goal.start.suite else "the goal has no start, and a simulation is reset to one"
        return "" if goal.time_limit_s else "time_limit_s is 0: nobody would end the episode"

    def on_accepted(self, handle: Any) -> None:
        """A goal's way begins; it stays accepted until `conclude`, so that callbacks run meanwhile."""
        episode = Episode(self.control_hz, self.patience, time.monotonic(), judged=self.simulated)
        self.current = Performance(handle, episode)
        self.supervise()

    def on_cancel(self, handle: Any) -> CancelResponse:
        """Stop the arm at once; the result follows."""
        self.finish(CANCELLED, "the goal was cancelled")
        return CancelResponse.ACCEPT

    def on_declared(
        self, outcome: str, request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        """task_server/declare_success and declare_failure: the operator is the judge."""
        response.success = self.current is not None and self.current.episode.began
        if response.success:
            self.finish(outcome, f"the operator says so, after {self.current.episode.steps} steps")
        else:
            response.message = "no episode is under way"
        return response

    def conclude(self, handle: Any) -> ExecuteTask.Result:
        """The goal's result, once its episode is over."""
        performance, self.current = self.current, None
        assert performance is not None and performance.episode.outcome is not None
        episode, outcome = performance.episode, performance.episode.outcome
        content = self.content(performance)
        # Printed before it is written: a full disk takes nothing away.
        print("\n".join(summary_lines(content)), flush=True)
        result = ExecuteTask.Result(outcome=outcome.name, reason=outcome.reason, episode=performance.number)
        result.steps, result.duration_s = episode.steps, episode.duration_s(time.monotonic())
        if performance.recorder is not None and episode.began:
            try:
                result.record = str(performance.recorder.write(content))
                print(f"written to {result.record}", flush=True)
            except HilamError as error:
                result.reason += f"; its record is lost: {error}"
                self.get_logger().error(str(error))
        if outcome.name == CANCELLED:
            handle.canceled()
        elif outcome.name == SUCCESS:
            handle.succeed()
        else:
            handle.abort()
        return result

    def content(self, performance: Performance) -> dict[str, Any]:
        """The content of episode.json: outcome, setting, and where the time went."""
        episode, outcome, step = performance.episode, performance.episode.outcome, performance.step
        assert outcome is not None
        duration_s = episode.duration_s(time.monotonic())
        names = ("held_steps", "refused_commands", "late_ticks")
        return {
            "name": performance.facts.get("task") or performance.instruction,
            "outcome": outcome.name,
            "reason": outcome.reason,
            "success": outcome.name == SUCCESS,
            "steps": episode.steps,
            "rate_hz": round(episode.steps / duration_s, 2) if duration_s else 0.0,
            "episode": performance.number,
            "instruction": performance.instruction,
            "max_steps": episode.limit_steps,
            "control_hz": self.control_hz,
            "mode": self.mode,
            **performance.facts,
            "policy": self.policy,
            "policy_sha256": self.policy_hash,
            **({name: int(getattr(step, name)) for name in names} if step else {}),
            "taken_over": performance.takeovers.spans,
            "cadence": performance.account.cadence(self.control_hz),
            "latency_ms": {
                stage: summarize_ms(values) for stage, values in performance.account.durations_s().items()
            },
        }

    # The way of an episode

    def supervise(self) -> None:
        """Take the next step of the way: number, reset, announcement, beginning, end."""
        performance, now_s = self.current, time.monotonic()
        if performance is None:
            return
        episode = performance.episode
        lacking = self.peers.unprepared(performance.number, now_s) if performance.announced else []
        lacking = lacking or ([performance.asked] if performance.asked else self.peers.silent(now_s))
        episode.check(now_s, "; ".join(lacking), self.peers.last_words(now_s))
        if episode.outcome:
            self.end_task()
            waited = episode.over_for_s(now_s) > (LAST_MESSAGES_S if episode.began else 0.0)
            if waited and not performance.concluding:
                performance.concluding = True
                performance.handle.execute()
        elif not episode.began and not performance.asked and not lacking:
            self.prepare(performance)
        elif episode.began and now_s - self.feedback_s > FEEDBACK_S:
            self.feedback_s = now_s
            performance.handle.publish_feedback(self.feedback(performance, now_s))

    def prepare(self, performance: Performance) -> None:
        """What comes next before the first observation; nothing is lacking for it."""
        goal = performance.goal
        if performance.number == 0:
            self.newest = max(self.newest, self.peers.newest_episode) + 1
            performance.number = self.newest
            if self.simulated:
                limit = round(goal.time_limit_s * self.control_hz)
                request = ResetSimulation.Request(
                    start=goal.start, episode=performance.number, max_steps=limit
                )
                self.ask(performance, self.reset_client, request, self.on_reset_done)
            else:
                self.announce(performance)
        elif performance.announced:
            if self.simulated:
                self.ask(performance, self.begin_client, Trigger.Request(), self.on_begun)
            performance.episode.begin(time.monotonic(), performance.limit_s)
            performance.takeovers.begin(self.driver, time.monotonic())
            self.get_logger().info(f"episode begins: {performance.instruction}")

    def ask(self, performance: Performance, client: Any, request: Any, then: Callable[[Any], None]) -> None:
        """Call a service of the simulation; `then` gets its response, if the goal is still the same."""
        performance.asked = f"{client.srv_name} has not answered"

        def on_response(future: Any) -> None:
            if self.current is performance and not performance.episode.outcome:
                performance.asked = ""
                then(future.result())

        client.call_async(request).add_done_callback(on_response)

    def on_reset_done(self, response: ResetSimulation.Response) -> None:
        """The simulation is where the episode starts, or cannot be."""
        performance = self.current
        assert performance is not None
        if not response.success:
            self.finish(FAILED, f"the simulation refused the start: {response.message}")
            return
        start = performance.goal.start
        performance.instruction = performance.instruction or response.instruction
        performance.limit_s = response.max_steps / self.control_hz
        performance.facts = {
            "suite": start.suite,
            "task": response.task,
            "placement": start.placement or "stored",
            "init_state": int(start.index),
            "seed": int(start.seed),
            "assets": response.assets,
        }
        self.announce(performance)

    def on_begun(self, response: Trigger.Response) -> None:
        """The simulation has published the first observation, or refused."""
        if not response.success:
            self.finish(FAILED, f"the simulation did not begin: {response.message}")

    def announce(self, performance: Performance) -> None:
        """Tell the nodes the task."""
        performance.announced = True
        if self.output:
            name = performance.facts.get("task") or performance.instruction
            performance.recorder = EpisodeRecorder(
                Path(self.output), name, performance.instruction, self.control_hz
            )
        self.publish_task(performance, active=True)

    def finish(self, name: str, reason: str) -> None:
        """End the episode under way, if there is one that has not ended: the arm holds at once."""
        if self.current is not None:
            self.current.episode.finish(name, reason, time.monotonic())
            self.end_task()

    def end_task(self) -> None:
        """Tell the nodes, once, that the task is over."""
        if self.current is not None and self.current.announced and not self.current.over:
            self.current.over = True
            self.current.takeovers.end(time.monotonic())
            self.publish_outcome(self.current)
            self.publish_task(self.current, active=False)

    def publish_outcome(self, performance: Performance) -> None:
        outcome = performance.episode.outcome
        assert outcome is not None
        msg = Outcome(episode=performance.number, outcome=outcome.name, reason=outcome.reason)
        msg.header.stamp = self.get_clock().now().to_msg()
        self.outcome_publisher.publish(msg)

    def publish_task(self, performance: Performance, active: bool) -> None:
        msg = Task(episode=performance.number, instruction=performance.instruction, active=active)
        msg.header.stamp = self.get_clock().now().to_msg()
        self.task_publisher.publish(msg)

    def end(self) -> None:
        """The arm holds when its task has lost its owner."""
        if self.current is not None:
            self.finish(FAILED, "task_server ended")
            self.task_publisher.wait_for_all_acked(Duration(seconds=ACKNOWLEDGE_S))

    # What is heard

    def of_now(self, callback: Callable[[Performance, Any], None]) -> Callable[[Any], None]:
        """A callback for what belongs to the episode under way; what is of an earlier one is ignored."""

        def on_message(msg: Any) -> None:
            if self.current is not None and msg.episode == self.current.number:
                callback(self.current, msg)

        return on_message

    def on_diagnostics(self, msg: DiagnosticArray) -> None:
        """Note what the nodes say, and go on once all are prepared."""
        for status in msg.status:
            values = {value.key: value.value for value in status.values}
            if "prepared" not in values:
                continue  # of a node that is none of ours
            episode = int(values["episode"]) if "episode" in values else None
            newest, prepared = int(values.get("newest_episode", 0)), values["prepared"] == "yes"
            self.peers.hear(status.name, status.message, prepared, episode, newest, time.monotonic())
        self.supervise()

    def on_safety(self, msg: SafetyState) -> None:
        """A latched stop ends the episode."""
        self.stopped = msg.reason if msg.state == SafetyState.STOPPED else ""
        if self.stopped:
            self.finish(STOPPED, f"by the safety monitor: {self.stopped}")

    def on_teleop(self, msg: TeleopState) -> None:
        """A person has taken over, or given back."""
        self.driver = msg.source if msg.active else ""
        if self.current is not None and self.current.episode.began:
            self.current.takeovers.change(self.driver, time.monotonic())

    def on_step(self, performance: Performance, msg: SimulationStep) -> None:
        """The simulation took a step, and its judge has looked."""
        if performance.episode.outcome is not None:
            return  # it ended while the step was under way
        performance.step = msg
        if performance.recorder is not None:
            performance.recorder.actions.append(np.array(msg.action, np.float32))
        performance.account.add_step(msg.step_s)
        if command_ns := stamp_to_ns(msg.command_stamp):
            performance.account.add_command(command_ns, msg.command_latency_s)
        performance.episode.stepped(msg.step, msg.success, time.monotonic())
        if performance.episode.outcome:
            self.end_task()

    def on_cycle(self, performance: Performance, msg: CycleTiming) -> None:
        """The executor gave a command."""
        names = ("skill_seq", "ingest_s", "plan_s", "act_s", "command_s", "waited_for_skill", "total_s")
        values = {name: getattr(msg, name) for name in names}
        performance.account.add_cycle(Cycle(stamp_to_ns(msg.header.stamp), **values))
        performance.rates["command"].arrived(self.now_ns())
        # What was under way when the episode ended is no step of it.
        if not self.simulated and performance.episode.outcome is None:
            performance.episode.stepped(performance.episode.steps + 1, False, time.monotonic())
            if performance.recorder is not None:
                performance.recorder.actions.append(np.array(msg.action, np.float32))

    def on_skill(self, performance: Performance, msg: LatentSkill) -> None:
        """The planner gave a skill; a segment begins where its boundary probability says so."""
        performance.rates["skill"].arrived(self.now_ns())
        performance.skill_id, performance.skill_probability = msg.id, msg.boundary_probability
        performance.skill_began_s = time.monotonic()
        if performance.recorder is not None:
            skill = RecordedSkill(msg.seq, msg.id, msg.boundary_probability)
            performance.recorder.skills.append(skill)

    def on_observation(self, performance: Performance, msg: Observation) -> None:
        """What the policy sees."""
        performance.rates["observation"].arrived(self.now_ns())
        # Where neither a simulation nor a policy counts the steps.
        if self.demonstrates and not self.simulated and performance.episode.outcome is None:
            performance.episode.stepped(performance.episode.steps + 1, False, time.monotonic())
        if performance.recorder is not None:
            performance.recorder.add_frame(msg.seq, [image_array(image) for image in msg.images])

    def feedback(self, performance: Performance, now_s: float) -> ExecuteTask.Feedback:
        """Where the episode is."""
        rates = {f"{name}_hz": health.rate_hz() for name, health in performance.rates.items()}
        msg = ExecuteTask.Feedback(episode=performance.number, step=performance.episode.steps, **rates)
        msg.skill_id, msg.boundary_probability = performance.skill_id, performance.skill_probability
        msg.skill_age_s = now_s - performance.skill_began_s if performance.skill_id != NO_SKILL else 0.0
        return msg


def main() -> None:
    run_node(TaskServer)
