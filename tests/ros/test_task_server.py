"""The ExecuteTask action: one task at a time, each with an outcome in words and numbers."""

import os
import signal
import sys
from pathlib import Path

from domains import next_domain

CLIENT = Path(__file__).with_name("demanding_client.py")
START = "start: {suite: libero_object, task: milk, index: 2}"


def test_tasks_are_performed_one_at_a_time_refused_cancelled_and_numbered(workspace, random_checkpoint):
    domain = next_domain()
    launch = workspace.simulate(
        domain, mode="realtime", serve="true", policy=random_checkpoint, output="none"
    )
    client = workspace.start(f"'{sys.executable}' '{CLIENT}'", domain)
    assert client.wait() == 0, client.output
    said = dict(line.split(": ", 1) for line in client.output.splitlines())
    assert said["second accepted"] == "False"
    assert "goal rejected: episode 1 is under way" in launch.output
    assert said["goals cancelled"] == "1"
    # One may be on its way. The commands come to rest too, which the client waits for: within the limits.
    assert int(said["proposals to move after the cancel"]) <= 1
    assert said["first"] == "cancelled: the goal was cancelled"
    assert said["feedback names its episode"] == said["feedback counts"] == "True"
    assert said["missing"].startswith("failed: the simulation refused the start: unknown task 99 in")
    assert said["other scene"] == "timeout: no success within 10 steps (0.5 s)"
    assert said["episodes grow"] == "True"
    assert said["past"] == "episode 1 does not come after episode 3"
    assert launch.process.poll() is None and "Traceback" not in launch.output, launch.output
    launch.interrupt()


def test_a_goal_is_sent_from_a_shell_and_ctrl_c_cancels_it(workspace, random_checkpoint, tmp_path):
    domain = next_domain()
    launch = workspace.simulate(domain, serve="true", policy=random_checkpoint, output=tmp_path)
    task = "task: pick up the milk and place it in the basket"
    goal = workspace.send_goal(domain, f"{{time_limit_s: 1.0, start: {{suite: libero_object, {task}}}}}")
    assert goal.wait() == 1, goal.output  # the goal was aborted
    for words in ("outcome: timeout", "reason: no success within 20 steps (1 s)", "steps: 20"):
        assert words in goal.output
    (folder,) = tmp_path.iterdir()
    assert f"record: {folder}" in goal.output
    goal = workspace.send_goal(domain, "{start: {suite: libero_object, task: '1'}}")
    goal.wait_for("skill_id: 1")
    os.killpg(goal.process.pid, signal.SIGINT)
    goal.wait()
    launch.wait_for(": cancelled after")
