"""Launch files run by `ros2 launch`: output, exit codes, errors, signals, and nothing left behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

HEADER = """
import os, signal, sys
from launch import LaunchDescription, LaunchContext
from launch.actions import *
from launch.conditions import *
from launch.event_handlers import *
from launch.substitutions import *
from launch_ros.actions import *
from launch_ros.parameter_descriptions import ParameterValue
"""
SLEEP = 'ExecuteProcess(cmd=["sleep", "600.{marker}"], name="sleeper")'


@pytest.fixture
def write(tmp_path):
    """Writes a launch file from the entities in it; `{marker}` becomes this test run's mark."""

    def write_file(entities: str, before: str = "", name: str = "test.launch.py") -> Path:
        text = f"{HEADER}{before}\ndef generate_launch_description():\n"
        text += f"    return LaunchDescription([{entities}])\n"
        path = tmp_path / name
        path.write_text(text.replace("{marker}", str(os.getpid())))
        return path

    return write_file


@pytest.fixture
def launch(ros_env):
    """Runs `ros2 launch file arguments...`; whatever happens, no marked process may be left."""

    def run(path: Path, *arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            ["ros2", "launch", path, *arguments],
            env=ros_env,
            capture_output=True,
            text=True,
            timeout=120,
        )

    yield run
    assert marked() == []


@pytest.fixture
def start(ros_env):
    """Starts `ros2 launch file` and waits until `text` is in its output."""
    started = []

    def popen(path: Path, text: str) -> subprocess.Popen:
        process = subprocess.Popen(
            ["ros2", "launch", path], env=ros_env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        started.append(process)
        for line in process.stdout:
            if text in line:
                return process
        raise AssertionError(f"the launch ended without printing {text!r}")

    yield popen
    for process in started:
        process.kill()
        process.wait()


def marked() -> list[str]:
    """Command lines of living processes that carry this test run's marker."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = path.read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if f"600.{os.getpid()}" in text:
            found.append(text)
    return found


def said(result: subprocess.CompletedProcess) -> list[str]:
    """What LogInfo printed."""
    return [line.split(": ", 1)[1] for line in result.stdout.splitlines() if "launch.user" in line]


def gone() -> bool:
    """Whether the marked processes end, on a machine that may be busy."""
    end = time.monotonic() + 60
    while marked() and time.monotonic() < end:
        time.sleep(0.05)
    return not marked()


def test_output_arguments_and_environment(write, launch):
    path = write(
        """
        DeclareLaunchArgument("who", default_value="world", description="whom to greet"),
        SetEnvironmentVariable("GREETING", ["hello ", LaunchConfiguration("who")]),
        ExecuteProcess(cmd=["sh", "-c", "echo $GREETING; echo oops >&2; printf tail"], name="greet",
                       output="screen"),
        ExecuteProcess(cmd=["echo", "unseen"], output="log"),
        LogInfo(msg=["to ", LaunchConfiguration("who")]),
        """
    )
    result = launch(path, "who:=you")
    assert result.returncode == 0
    lines = result.stdout.splitlines()
    assert {"[greet-1] hello you", "[greet-1] oops", "[greet-1] tail"} <= set(lines)
    assert "[INFO] [launch.user]: to you" in lines
    assert not any("unseen" in line for line in lines)
    assert sum("process has finished cleanly" in line for line in lines) == 2

    shown = launch(path, "--show-args").stdout
    assert "'who':\n        whom to greet\n        (default: 'world')" in shown
    assert "declares no argument 'woh', but: who" in launch(path, "woh:=x").stdout


@pytest.mark.parametrize(
    ("entities", "error"),
    [
        ("OpaqueFunction(function=lambda context: 1 / 0)", "ZeroDivisionError: division by zero"),
        (
            'DeclareLaunchArgument("mode", default_value="c", choices=["a"])',
            "'mode': 'c' is not valid, choices: a",
        ),
        ('DeclareLaunchArgument("task")', "launch argument 'task' is required"),
        ('LogInfo(msg=LaunchConfiguration("typo"))', "launch configuration 'typo' does not exist"),
        ('Node(package="rclpyy", executable="x")', "package 'rclpyy' not found"),
        ('Node(package="rclpy", executable="x")', "no executable 'x' in package 'rclpy'"),
        ('ExecuteProcess(cmd=["no-such-program"])', "cannot start 'no-such-program-2'"),
        ('IncludeLaunchDescription("/no/such.launch.py")', "launch file '/no/such.launch.py' does not exist"),
        (
            'ExecuteProcess(cmd=["false"], on_exit=lambda event, context: fail(event))',
            "false-2 ended with exit code 1",
        ),
    ],
)
def test_an_error_is_one_line_and_ends_everything(write, launch, entities, error):
    before = (
        "def fail(event):\n"
        '    raise RuntimeError(f"{event.process_name} ended\\nwith exit code {event.returncode}")\n'
    )
    result = launch(write(f"{SLEEP}, {entities}", before))
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    [line] = [line for line in result.stderr.splitlines() if "Caught exception in launch" in line]
    assert error in line


def test_errors_before_anything_starts(ros_env, tmp_path):
    def error(*arguments: str) -> str:
        result = subprocess.run(
            ["ros2", *arguments], env=ros_env, capture_output=True, text=True, timeout=120
        )
        assert result.returncode == 1, result
        assert result.stderr.count("\n") == 1
        return result.stderr

    broken = tmp_path / "broken.launch.py"
    broken.write_text("import no_such_module\n")
    assert "ModuleNotFoundError: No module named 'no_such_module'" in error("launch", str(broken))
    assert "launch file 'missing.launch.py' does not exist" in error("launch", "missing.launch.py")
    assert "is not of the form name:=value" in error("launch", str(broken), "key=value")
    assert "package 'std_msg' not found" in error("launch", "std_msg", "a.launch.py")
    assert "did you mean std_msgs" in error("pkg", "prefix", "std_msg")
    assert "no executable 'a' in package 'std_msgs'" in error("run", "std_msgs", "a")


def test_the_end_of_one_process_ends_the_launch(write, launch):
    died = launch(
        write(f'{SLEEP}, ExecuteProcess(cmd=["sh", "-c", "exit 3"], name="node", on_exit=Shutdown())')
    )
    assert died.returncode == 0
    assert "[ERROR] [node-2]: process has died [pid" in died.stderr
    assert "exit code 3, cmd 'sh -c 'exit 3''" in died.stderr


def test_event_handlers_and_timers_run_in_order(write, launch):
    path = write(
        """
        RegisterEventHandler(OnProcessStart(target_action=first, on_start=[LogInfo(msg="started")])),
        RegisterEventHandler(OnProcessIO(target_action=first, on_stdout=read)),
        RegisterEventHandler(OnProcessExit(target_action=first, on_exit=[TimerAction(
            period=0.1, actions=[LogInfo(msg="timer"), Shutdown(reason="done")])])),
        RegisterEventHandler(OnShutdown(
            on_shutdown=lambda event, context: [LogInfo(msg="shutdown " + event.reason)])),
        first, TimerAction(period=60.0, actions=[LogInfo(msg="never")]),
        """,
        'first = ExecuteProcess(cmd=["sh", "-c", "echo line; sleep 0.1"], name="first")\n'
        'def read(event): return LogInfo(msg="read " + event.text.decode().strip())\n',
    )
    result = launch(path)
    assert result.returncode == 0
    assert said(result) == ["started", "read line", "timer", "shutdown done"]


def test_conditions_groups_and_includes_keep_their_scope(write, launch):
    write('LogInfo(msg=["got ", LaunchConfiguration("x"), " ", ThisLaunchFile()])', name="other.launch.py")
    path = write(
        """
        SetLaunchConfiguration("x", "outer"),
        GroupAction([SetLaunchConfiguration("x", "inner"), SetEnvironmentVariable("GROUP", "1"),
                     LogInfo(msg=["in group ", LaunchConfiguration("x")])]),
        LogInfo(msg=["after ", LaunchConfiguration("x"), EnvironmentVariable("GROUP", default_value="?")]),
        LogInfo(msg="no", condition=UnlessCondition("true")),
        LogInfo(msg="yes",
                condition=IfCondition(PythonExpression(["len('", LaunchConfiguration("x"), "') == 5"]))),
        IncludeLaunchDescription(PathJoinSubstitution([ThisLaunchFileDir(), "other.launch.py"]),
                                 launch_arguments={"x": "given"}.items()),
        """
    )
    assert said(launch(path)) == [
        "in group inner",
        "after outer?",
        "yes",
        f"got given {path.parent / 'other.launch.py'}",
    ]


def test_a_node_gets_its_name_namespace_parameters_and_remappings(write, launch, tmp_path):
    program = tmp_path / "node.py"
    program.write_text(
        "import sys\nfor a in sys.argv[1:]:\n    print(open(a).read() + a if a.endswith('.yaml') else a)\n"
    )
    path = write(
        f"""
        SetLaunchConfiguration("rate", "20"), SetLaunchConfiguration("name", "007"),
        GroupAction([PushRosNamespace("arm"), SetParameter("use_sim_time", True),
            Node(executable=sys.executable, arguments=["{program}"], name="planner", namespace="left",
                 output="screen", remappings=[("in", "/out")], parameters=["{tmp_path}/own.yaml", {{
                     "rate": LaunchConfiguration("rate"), "gain": 1e-05, "text": "20", "a": {{"b": False}},
                     "label": ParameterValue(LaunchConfiguration("name"), value_type=str)}}])]),
        """
    )
    (tmp_path / "own.yaml").write_text("/**: {ros__parameters: {mine: 1}}\n")
    result = launch(path)
    assert result.returncode == 0, result.stderr
    lines = [line.split("] ", 1)[1] for line in result.stdout.splitlines() if line.startswith("[python")]
    for pair in (["-r", "__node:=planner"], ["-r", "__ns:=/arm/left"], ["-r", "in:=/out"]):
        assert any(lines[i : i + 2] == pair for i in range(len(lines)))
    text = "\n".join(lines)
    assert text.index("use_sim_time: true") < text.index("mine: 1") < text.index("rate: 20")
    for line in ("gain: 1.0e-05", "text: '20'", "label: '007'", "a.b: false"):
        assert line in text
    generated = [line for line in lines if line.endswith(".yaml") and "own.yaml" not in line]
    assert len(generated) == 2
    assert not any(Path(name).exists() for name in generated)


def test_configurations_and_environment_are_pushed_and_popped(write, launch):
    path = write(
        """
        SetLaunchConfiguration("x", "outer"), PushLaunchConfigurations(), PushEnvironment(),
        SetLaunchConfiguration("x", "inner"), SetEnvironmentVariable("PUSHED", "1"),
        LogInfo(msg=["inside ", LaunchConfiguration("x")]), PopEnvironment(), PopLaunchConfigurations(),
        LogInfo(msg=["after ", LaunchConfiguration("x"), EnvironmentVariable("PUSHED", default_value="?")]),
        LogInfo(msg=["any ", AnySubstitution("false", "0", "true"), " ", AnySubstitution("false", "0")]),
        LogInfo(msg=["all ", AllSubstitution("1", "true"), " ", AllSubstitution("1", "true", "false")]),
        """
    )
    assert said(launch(path)) == ["inside inner", "after outer?", "any true false", "all true false"]
    assert "nothing was pushed" in launch(write("PopLaunchConfigurations()")).stderr


def test_the_completion_of_actions_is_an_event(write, launch):
    path = write(
        """
        RegisterEventHandler(OnExecutionComplete(target_action=hello, on_completion=[LogInfo(msg="said")])),
        RegisterEventHandler(OnExecutionComplete(target_action=timer, on_completion=[LogInfo(msg="rang")])),
        RegisterEventHandler(OnExecutionComplete(target_action=first, on_completion=[LogInfo(msg="ended")])),
        hello, first, timer
        """,
        'hello = LogInfo(msg="hello")\n'
        'first = ExecuteProcess(cmd=["sleep", "0.1"], name="first")\n'
        "timer = TimerAction(period=0.5, actions=[])\n",
    )
    result = launch(path)
    assert result.returncode == 0
    assert said(result) == ["hello", "said", "ended", "rang"]


def test_parameters_from_files_go_to_all_nodes_or_to_those_of_a_name(write, launch, tmp_path):
    program = tmp_path / "node.py"
    program.write_text("import sys\nprint(sys.argv[1], [a for a in sys.argv if a.endswith('.yaml')])\n")
    for name in ("common", "left"):
        (tmp_path / f"{name}.yaml").write_text("/**: {ros__parameters: {a: 1}}\n")
    path = write(
        f"""
        GroupAction([
            SetParametersFromFile("{tmp_path}/common.yaml"),
            SetParametersFromFile("{tmp_path}/left.yaml", node_name="left"),
            node("left"), node("right")]),
        node("outside"),
        """,
        "def node(name):\n"
        f"    command = dict(executable=sys.executable, arguments=['{program}', name])\n"
        "    return Node(**command, name=name, output='screen')\n",
    )
    result = launch(path)
    lines = {line.split()[1]: line for line in result.stdout.splitlines() if line.startswith("[python")}
    assert "common.yaml" in lines["left"]
    assert "left.yaml" in lines["left"].split("common.yaml")[1]
    assert "common.yaml" in lines["right"] and "left.yaml" not in lines["right"]
    assert ".yaml" not in lines["outside"]
    missing = launch(write('SetParametersFromFile("/no/such.yaml")'))
    assert "parameter file '/no/such.yaml' does not exist" in missing.stderr


def test_respawn_starts_a_dead_process_again(write, launch):
    path = write('ExecuteProcess(cmd=["sh", "-c", "echo up; exit 1"], name="n", output="screen",'
                 " respawn=True, respawn_delay=0.05, respawn_max_retries=2)")  # fmt: skip
    assert launch(path).stdout.count("[n-1] up") == 3


def test_ctrl_c_escalates_until_the_whole_process_group_is_gone(write, start):
    deaf = "trap '' INT TERM; sleep 600.{marker} & echo deaf; while true; do sleep 0.1; done"
    path = write(f'ExecuteProcess(cmd=["bash", "-c", "{deaf}"], name="deaf", output="screen",'
                 ' sigterm_timeout="0.3", sigkill_timeout="0.3")')  # fmt: skip
    process = start(path, "[deaf-1] deaf")
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    steps = ["sending signal 'SIGINT'", "escalating to 'SIGTERM'", "escalating to 'SIGKILL'", "exit code -9"]
    positions = [output.index(step) for step in steps]
    assert positions == sorted(positions)
    assert gone()


def test_a_second_ctrl_c_is_harder_than_the_first(write, start):
    deaf = "trap '' INT; sleep 600.{marker} & echo deaf; while true; do sleep 0.1; done"
    process = start(write(f'ExecuteProcess(cmd=["bash", "-c", "{deaf}"], name="deaf", output="screen",'
                          ' sigterm_timeout="600")'), "[deaf-1] deaf")  # fmt: skip
    for _ in range(3):
        process.send_signal(signal.SIGINT)
        time.sleep(0.1)
    assert process.poll() is None  # three at once are one
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert output.count("sending signal 'SIGINT'") == output.count("sending signal 'SIGTERM'") == 1
    assert "exit code -15" in output
    assert gone()


def test_ctrl_c_interrupts_a_launch_file_that_is_busy(write, start):
    busy = "import time\ndef busy(context):\n    print('busy', flush=True)\n    time.sleep(600)\n"
    path = write(f"{SLEEP}, TimerAction(period=0.2, actions=[OpaqueFunction(function=busy)])", busy)
    process = start(path, "busy")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert gone()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_however_the_launch_is_ended_its_processes_end_too(write, start, number):
    process = start(write(SLEEP), "process started with pid")
    process.send_signal(number)
    process.communicate(timeout=60)
    assert gone()


def test_a_launch_loads_neither_dds_nor_numpy(write, ros_env):
    """They take longer than all the rest of its start."""
    command = [
        sys.executable,
        "-X",
        "importtime",
        shutil.which("ros2", path=ros_env["PATH"]),
        "launch",
        write(""),
    ]
    result = subprocess.run(command, env=ros_env, capture_output=True, text=True, timeout=120)
    loaded = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines()}
    assert "launch.launch_service" in loaded
    assert loaded.isdisjoint({"cyclonedds", "embedded_dds.dds", "numpy", "rosbags", "yaml"})
