"""A built workspace on whichever ROS 2 is there, and launches in it that leave nothing behind.

With a sourced ROS 2 the tests use that, otherwise the embedded runtime.
"""

import os
import signal
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from domains import next_domain

REPO = Path(__file__).parents[2]
PACKAGES = REPO / "ros2_ws" / "src"
TASK = "0"


@dataclass
class Launch:
    """A running command of the workspace, its output, and every process that descends from it."""

    process: subprocess.Popen
    log: Path
    mark: str

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def processes(self) -> dict[int, str]:
        """Process id -> command line of everything this command started and that still runs."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if self.mark.encode() in (folder / "environ").read_bytes():
                    command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    if command:
                        found[int(folder.name)] = command
            except OSError:
                continue
        return found

    def wait(self, timeout_s: float = 240.0) -> int:
        """Its exit code; everything it started must have ended too."""
        code = self.process.wait(timeout_s)
        assert not self.processes(), f"left behind: {self.processes()}\n{self.output}"
        return code

    def wait_for(self, text: str, timeout_s: float = 180.0) -> None:
        """Until the output contains `text`."""
        deadline = time.monotonic() + timeout_s
        while text not in self.output:
            assert self.process.poll() is None, f"ended before '{text}':\n{self.output}"
            assert time.monotonic() < deadline, f"no '{text}' within {timeout_s} s:\n{self.output}"
            time.sleep(0.1)

    def interrupt(self) -> int:
        """Ctrl-C as a terminal sends it; returns the exit code once the whole tree has ended."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.wait()

    def kill(self) -> None:
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait()


class Workspace:
    """ros2_ws, built; each command runs in a ROS domain of its own."""

    def __init__(self, folder: Path):
        self.folder = folder
        embedded = REPO / "ros2_embedded" / "setup.bash"
        underlay = "true" if "ROS_DISTRO" in os.environ else f"source '{embedded}'"
        self.environment = f"export PATH='{Path(sys.executable).parent}':$PATH && {underlay}"
        self.launches: list[Launch] = []

    def build(self) -> None:
        bases = " ".join(f"--{name}-base {self.folder / name}" for name in ("build", "install"))
        log = f"--log-base {self.folder / 'log'}"
        command = f"{self.environment} && colcon {log} build --base-paths {PACKAGES} {bases}"
        done = subprocess.run(["bash", "-c", command], cwd=self.folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        self.environment += f" && source '{self.folder / 'install' / 'setup.bash'}'"

    def start(self, command: str, domain: int | None = None) -> Launch:
        mark = uuid.uuid4().hex
        log = self.folder / f"{mark}.log"
        domain = domain if domain is not None else next_domain()
        variables = {"HILAM_TEST_MARK": mark, "ROS_DOMAIN_ID": str(domain), "PYTHONUNBUFFERED": "1"}
        variables["XDG_STATE_HOME"] = str(self.folder / f"state_{mark}")  # no test sees another's stop
        with log.open("wb") as out:
            process = subprocess.Popen(
                # Where the tests are killed, nobody else would end the command. Not by SIGINT, which
                # a shell's background jobs ignore.
                ["setpriv", "--pdeathsig", "TERM", "bash", "-c", f"{self.environment} && exec {command}"],
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **variables},
                cwd=self.folder,
                start_new_session=True,
            )
        self.launches.append(Launch(process, log, mark))
        return self.launches[-1]

    def run_node(self, name: str, domain: int | None = None, **parameters: object) -> Launch:
        """A node alone, which configures and activates itself."""
        given = " ".join(f"-p {key}:={value}" for key, value in {"autostart": "true", **parameters}.items())
        return self.start(f"ros2 run hilam_ros {name} --ros-args {given}", domain)

    def send_goal(self, domain: int, goal: str) -> Launch:
        """`ros2 action send_goal` with a goal in YAML, printing feedback, once task_server is ready."""
        health = self.start("ros2 topic echo /diagnostics diagnostic_msgs/msg/DiagnosticArray", domain)
        health.wait_for("name: task_server\n  message: ready\n")
        health.kill()
        command = f"ros2 action send_goal -f /execute_task hilam_msgs/action/ExecuteTask '{goal}'"
        return self.start(command, domain)

    def simulate(self, domain: int | None = None, **arguments: object) -> Launch:
        """The simulation's launch file with arguments; assets that are always there unless told otherwise."""
        given = " ".join(f"{name}:={value}" for name, value in {"assets": "builtin", **arguments}.items())
        return self.start(f"ros2 launch hilam_ros libero_sim.launch.py {given}", domain)
