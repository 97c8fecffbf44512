"""Nodes are configured, activated, deactivated and cleaned up with ROS 2's own commands."""

from domains import next_domain

TWIST = "ros2 topic echo /delta_twist_cmds geometry_msgs/msg/TwistStamped"
ZERO = "linear:\n    x: 0.0\n    y: 0.0\n    z: 0.0\n  angular:\n    x: 0.0\n    y: 0.0\n    z: 0.0\n"


def change(workspace, domain, node, *transitions):
    for transition in transitions:
        done = workspace.start(f"ros2 lifecycle set /{node} {transition}", domain)
        assert done.wait() == 0, done.output


def test_a_deactivated_executor_holds_the_arm_and_goes_on_when_configured_and_activated_again(
    workspace, random_checkpoint, tmp_path
):
    domain = next_domain()
    launch = workspace.simulate(
        domain, mode="realtime", policy=random_checkpoint, output=tmp_path, max_steps=5000
    )
    launch.wait_for("episode begins")
    echo = workspace.start(TWIST, domain)
    echo.wait_for("---\n")
    change(workspace, domain, "action_executor", "deactivate")
    echo.wait_for(ZERO)
    change(workspace, domain, "action_executor", "cleanup")
    assert ZERO in echo.output.split("---\n")[-2]
    change(workspace, domain, "action_executor", "configure", "activate")
    again = workspace.start(TWIST, domain)
    again.wait_for("---\n")
    assert launch.process.poll() is None, launch.output


def test_a_node_that_cannot_be_configured_ends_with_one_line(workspace):
    node = workspace.run_node("skill_planner", policy="/nowhere")
    assert node.wait() == 1
    (error,) = [line for line in node.output.splitlines() if "error:" in line]
    assert "/nowhere" in error and "Traceback" not in node.output
