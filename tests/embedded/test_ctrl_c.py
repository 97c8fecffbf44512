"""Ctrl-C in a terminal: nodes, launches and commands end without a traceback."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import time

import pytest

# As the tutorials have it
NODE = """
import sys
import rclpy
from rclpy.executors import ExternalShutdownException
from std_msgs.msg import String

def main():
    try:
        rclpy.init()
        node = rclpy.create_node(sys.argv[1])
        node.create_timer(0.01, lambda: None)
        node.create_publisher(String, "words", 10)
        print(sys.argv[1], "ready", flush=True)
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        rclpy.try_shutdown()

main()
"""
LAUNCH_FILE = """
import sys
from launch import LaunchDescription
from launch_ros.actions import LifecycleNode, Node

def generate_launch_description():
    return LaunchDescription([
        Node(executable=sys.executable, arguments=["{node}", name], output="screen", emulate_tty=True)
        for name in ("one", "two", "three")
    ])
"""


class Terminal:
    """A program in a terminal of its own, whose keys can be pressed."""

    def __init__(self, command: list[str], env: dict[str, str]) -> None:
        self._keys, program_side = pty.openpty()

        def take_terminal() -> None:
            os.setsid()
            fcntl.ioctl(program_side, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(
            command, env=env, stdin=program_side, stdout=program_side, stderr=program_side,
            preexec_fn=take_terminal,
        )  # fmt: skip
        os.close(program_side)
        self.text = ""

    def read(self) -> bool:
        """Whether there may be more."""
        try:
            data = os.read(self._keys, 4096)
        except OSError:  # nobody has the other side open any more
            return False
        self.text += data.decode().replace("\r\n", "\n").replace("^C", "")  # the terminal's own echo
        return bool(data)

    def wait_for(self, pattern: str) -> None:
        while not re.search(pattern, self.text):
            assert self.read(), self.text

    def press_ctrl_c(self) -> None:
        os.write(self._keys, b"\x03")

    def end(self) -> int:
        while self.read():
            pass
        return self.process.wait(120)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._keys)


@pytest.fixture
def terminal(ros_env, tmp_path):
    (tmp_path / "node.py").write_text(NODE)
    (tmp_path / "test.launch.py").write_text(LAUNCH_FILE.replace("{node}", f"{tmp_path}/node.py"))
    open_terminals = []

    def run(*command: str) -> Terminal:
        open_terminals.append(Terminal(list(command), ros_env))
        return open_terminals[-1]

    yield run
    for each in open_terminals:
        each.close()


@pytest.mark.parametrize("times", [1, 3])
def test_nodes_under_a_launch_end_silently(terminal, tmp_path, times):
    launch = terminal("ros2", "launch", str(tmp_path / "test.launch.py"))
    launch.wait_for(r"(?s)(ready\n.*){3}")
    for _ in range(times):
        launch.press_ctrl_c()
        time.sleep(0.05)
    assert launch.end() == 0
    assert "Traceback" not in launch.text
    assert launch.text.count("finished cleanly") == 3, launch.text


def test_a_node_ends_silently(terminal, tmp_path):
    node = terminal(sys.executable, str(tmp_path / "node.py"), "alone")
    node.wait_for("alone ready\n")
    node.press_ctrl_c()
    assert node.end() == 0
    assert node.text == "alone ready\n"


def test_a_package_program_run_by_name_ends_silently(terminal, ros_env, tmp_path):
    (tmp_path / "share/ament_index/resource_index/packages").mkdir(parents=True)
    (tmp_path / "share/ament_index/resource_index/packages/tool").touch()
    program = tmp_path / "lib/tool/talker"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!{sys.executable}\n{NODE}")
    program.chmod(0o755)
    ros_env["AMENT_PREFIX_PATH"] = f"{tmp_path}:{ros_env['AMENT_PREFIX_PATH']}"
    node = terminal("ros2", "run", "tool", "talker", "named")
    node.wait_for("named ready\n")
    node.press_ctrl_c()
    assert node.end() == 0
    assert node.text == "named ready\n"


def test_echo_ends_silently(terminal, tmp_path):
    talker = terminal("ros2", "topic", "pub", "-r", "20", "/words", "std_msgs/msg/String", "{data: hi}")
    echo = terminal("ros2", "topic", "echo", "/words", "std_msgs/msg/String")
    echo.wait_for("data: hi")
    echo.press_ctrl_c()
    assert echo.end() == 130
    assert set(echo.text.splitlines()) == {"data: hi", "---"}
    talker.press_ctrl_c()
    assert talker.end() == 130
    assert "Traceback" not in talker.text


@pytest.mark.parametrize("gap_s", [0.001, 0.005, 0.02])
def test_a_node_that_gets_two_signals_ends_silently(ros_env, gap_s):
    """One from the terminal and one from a launch, the second somewhere in the clean-up."""
    node = subprocess.Popen(
        [sys.executable, "-c", NODE, "twice"],
        env=ros_env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert node.stdout.readline() == "twice ready\n"
    node.send_signal(signal.SIGINT)
    time.sleep(gap_s)
    node.send_signal(signal.SIGINT)
    _, error = node.communicate(timeout=120)
    assert node.returncode in (0, -signal.SIGINT)  # the latter if the interpreter had ended already
    assert error == ""
