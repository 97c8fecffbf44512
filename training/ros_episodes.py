"""Episodes through the ROS 2 nodes: a launch of the simulation performs a file of goals. Imports no ROS."""

from __future__ import annotations

import json
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from hilam_core.errors import HilamError
from hilam_sim.rollout import EpisodeResult, EpisodeSpec

POLL_S = 0.1
END_S = 15.0  # a launch takes at most 3 s from Ctrl-C to the end of its last process


class RosError(HilamError):
    """The nodes could not be started, or could not go on."""


def perform_in_ros(
    specs: Sequence[EpisodeSpec], settings: Mapping[str, Any], on_result: Callable[[EpisodeResult], None]
) -> None:
    """Run episodes one after the other in one stack of nodes, in lockstep.

    settings: arguments of the launch file; on_result: called as episodes end, in order.

    Raises:
        RosError: no `ros2` command, a launch that ended early, or an episode that could not be performed.
    """
    if not specs:
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines = (json.dumps(make_goal(spec)) for spec in specs)
        (folder / "goals").write_text("".join(f"{line}\n" for line in lines))
        (folder / "results").touch()
        files = {"goals": folder / "goals", "results": folder / "results", "output": "none"}
        given = [f"{key}:={value}" for key, value in {"mode": "lockstep", **files, **settings}.items()]
        with (folder / "log").open("w+") as log, (folder / "results").open() as results:
            launch = start_launch(given, log)
            try:
                rows = read_rows(results, launch)
                for spec, row in zip(specs, rows, strict=False):
                    if row["outcome"] == "failed":
                        raise RosError(f"task {spec.task} of {spec.suite} failed: {row['reason']}")
                    success = row["outcome"] == "success"
                    on_result(EpisodeResult(spec, success, row["steps"], seconds=row["duration_s"]))
                if launch.wait(END_S) != 0:
                    raise RosError(f"the launch ended with {launch.returncode}: {last_error(folder / 'log')}")
            finally:
                end_launch(launch)


def make_goal(spec: EpisodeSpec) -> dict[str, Any]:
    """An episode as the launch's goals name it."""
    start = {"suite": spec.suite, "task": str(spec.task), "placement": spec.placement, "seed": spec.seed}
    told = {"instruction": spec.instruction or "", "max_steps": spec.max_steps or 0}
    return {**start, "index": spec.init_state, **told}


def start_launch(arguments: Sequence[str], log: IO[str]) -> subprocess.Popen:
    """The launch of the simulation, printing into `log`."""
    command = ["ros2", "launch", "hilam_ros", "libero_sim.launch.py", *arguments]
    try:
        return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    except FileNotFoundError:
        raise RosError("no 'ros2' command: source tools/env.sh, or a ROS 2 and the workspace") from None


def read_rows(results: IO[str], launch: subprocess.Popen) -> Iterator[dict[str, Any]]:
    """The results as they come, until the launch has ended."""
    part = ""
    while True:
        ended = launch.poll() is not None  # asked before reading, so that the last line is not missed
        while piece := results.readline():
            part += piece
            if part.endswith("\n"):
                yield json.loads(part)
                part = ""
        if ended:
            return
        time.sleep(POLL_S)


def last_error(log: Path) -> str:
    """What the launch printed last about an error."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return next((line for line in lines if "error: " in line), lines[-1] if lines else "it printed nothing")


def end_launch(launch: subprocess.Popen) -> None:
    """As Ctrl-C would."""
    if launch.poll() is not None:
        return
    launch.send_signal(signal.SIGINT)
    try:
        launch.wait(END_S)
    except subprocess.TimeoutExpired:
        launch.kill()
