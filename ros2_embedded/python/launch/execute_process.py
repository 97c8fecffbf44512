"""Running a process: start, output, signals, respawn; nothing of it is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import shlex
import signal
from collections.abc import Iterable
from typing import Any

from launch.action import Action
from launch.event_handlers import EventHandler, OnProcessExit
from launch.events import Shutdown
from launch.events.process import ProcessExited, ProcessIO, ProcessStarted, ShutdownProcess, SignalProcess
from launch.logging import get_logger, write_output
from launch.substitutions import LaunchConfiguration
from launch.utilities import as_list, to_bool, to_text

_PREFIX = LaunchConfiguration("launch-prefix", default="")
_SIGTERM_TIMEOUT = LaunchConfiguration("sigterm_timeout", default="5")
_SIGKILL_TIMEOUT = LaunchConfiguration("sigkill_timeout", default="5")
_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1
_PIPES_CLOSE_S = 1.0  # how long output may still arrive after a process has ended


class ExecuteProcess(Action):
    """Runs a command as a process group of its own.

    What it writes is shown: all with output `screen` or `both`, stderr alone with `log`, or each as chosen
    by {"stdout": ..., "stderr": ...}. Shutdown sends SIGINT to the group, `sigterm_timeout` seconds later
    SIGTERM, `sigkill_timeout` seconds later SIGKILL.
    """

    def __init__(
        self,
        *,
        cmd: Iterable[Any],
        name: Any = None,
        prefix: Any = _PREFIX,
        cwd: Any = None,
        env: dict[Any, Any] | None = None,
        additional_env: dict[Any, Any] | None = None,
        shell: bool = False,
        sigterm_timeout: Any = _SIGTERM_TIMEOUT,
        sigkill_timeout: Any = _SIGKILL_TIMEOUT,
        emulate_tty: Any = False,
        output: Any = "log",
        output_format: str = "[{this.process_description.final_name}] {line}",
        cached_output: bool = False,
        log_cmd: bool = False,
        on_exit: Any = None,
        respawn: Any = False,
        respawn_delay: float | None = None,
        respawn_max_retries: int = -1,
        condition: Any = None,
    ) -> None:
        super().__init__(condition=condition)
        self.cmd = list(cmd)
        self._name, self._prefix, self._cwd = name, prefix, cwd
        self._env, self._additional_env, self._shell = env, additional_env or {}, shell
        self._timeouts = sigterm_timeout, sigkill_timeout
        self._output, self._log_cmd, self._on_exit = output, log_cmd, on_exit
        self._respawn, self._respawn_left = respawn, respawn_max_retries
        self._respawn_delay_s = respawn_delay or 0.0
        self.process_details: dict[str, Any] | None = None
        self.return_code: int | None = None
        self._task: asyncio.Task | None = None
        self._escalation: asyncio.Task | None = None
        self._ended = asyncio.Event()
        self._stopping = asyncio.Event()

    # What happens in the launch

    def execute(self, context) -> None:
        if context.is_shutdown or self._task:
            return
        details = self.prepare(context)
        if self._on_exit is not None:
            context.register_event_handler(OnProcessExit(target_action=self, on_exit=self._on_exit))
        context.register_event_handler(EventHandler(matcher=self._concerns_me, entities=self._on_event))
        self._task = context.asyncio_loop.create_task(self._run(context, details))

    def get_asyncio_future(self) -> asyncio.Future | None:
        return self._task

    def sub_entities(self) -> list:
        return [] if callable(self._on_exit) else as_list(self._on_exit)

    def prepare(self, context) -> dict[str, Any]:
        """Performs all substitutions; what the process events carry, plus what only this class needs."""
        cmd = [to_text(context, part) for part in self.command(context)]
        env = dict(context.environment) if self._env is None else _texts(context, self._env)
        env |= _texts(context, self._additional_env)
        env.setdefault("PYTHONUNBUFFERED", "1")  # print() of a node appears when it happens
        context.process_count += 1
        program = cmd[0].split()[0] if self._shell else cmd[0]
        name = os.path.basename(program) if self._name is None else to_text(context, self._name)
        self._to_screen = self._screen_streams(context)
        self._timeouts_s = [float(to_text(context, timeout)) for timeout in self._timeouts]
        self._may_respawn = to_bool(context, self._respawn)
        return {
            "action": self,
            "name": f"{name}-{context.process_count}",
            "cmd": shlex.split(to_text(context, self._prefix)) + cmd,
            "cwd": None if self._cwd is None else to_text(context, self._cwd),
            "env": env,
        }

    def command(self, context) -> list[Any]:
        """The command with substitutions."""
        return self.cmd

    def _screen_streams(self, context) -> set[int]:
        """The file descriptors whose output is shown."""
        choice = os.environ.get("OVERRIDE_LAUNCH_PROCESS_OUTPUT", self._output)
        if not isinstance(choice, dict):
            choice = to_text(context, choice)
            choice = {"stdout": choice, "stderr": "screen" if choice == "log" else choice}
        shown = ("screen", "both", "full")
        return {
            fd
            for fd, key in ((1, "stdout"), (2, "stderr"))
            if to_text(context, choice.get(key, "log")) in shown
        }

    # The process

    async def _run(self, context, details: dict[str, Any]) -> None:
        self._logger = get_logger(details["name"])
        try:
            while not context.is_shutdown:
                await self._run_once(context, details)
                if not self._may_respawn or self._respawn_left == 0 or self._stopping.is_set():
                    break
                self._respawn_left -= 1
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), self._respawn_delay_s)
        finally:
            self.kill()

    async def _run_once(self, context, details: dict[str, Any]) -> None:
        cmd, loop = details["cmd"], asyncio.get_running_loop()
        self._ended.clear()
        if self._log_cmd:
            self._logger.info("process details: cmd='%s', cwd='%s'", shlex.join(cmd), details["cwd"])
        protocol = _Protocol(self, context, details)
        options = {
            "stdin": asyncio.subprocess.DEVNULL,
            "cwd": details["cwd"],
            "env": details["env"],
            "start_new_session": True,
            "preexec_fn": _die_with_parent,
        }
        try:
            if self._shell:
                transport, _ = await loop.subprocess_shell(lambda: protocol, " ".join(cmd), **options)
            else:
                transport, _ = await loop.subprocess_exec(lambda: protocol, *cmd, **options)
        except OSError as error:
            raise RuntimeError(f"cannot start '{details['name']}': {error.strerror}: '{cmd[0]}'") from error
        await self._ended.wait()
        self.kill()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(protocol.pipes_closed.wait(), _PIPES_CLOSE_S)
        protocol.flush()
        self.return_code = transport.get_returncode()
        transport.close()
        pid = transport.get_pid()
        if self.return_code == 0:
            self._logger.info("process has finished cleanly [pid %d]", pid)
        else:
            self._logger.error(
                "process has died [pid %d, exit code %d, cmd '%s'].", pid, self.return_code, shlex.join(cmd)
            )
        context.emit_event_sync(ProcessExited(returncode=self.return_code, **self.process_details))

    def kill(self) -> None:
        """Kills whatever is left of the process group, at once."""
        if self.process_details:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process_details["pid"], signal.SIGKILL)

    # Ending it

    def _concerns_me(self, event: Any) -> bool:
        if isinstance(event, (ShutdownProcess, SignalProcess)):
            return event.process_matcher(self)
        return isinstance(event, Shutdown)

    def _on_event(self, event: Any, context) -> None:
        if isinstance(event, SignalProcess):
            self._send(event.signal)
        else:
            self._stopping.set()
            if self.process_details and not self._ended.is_set():
                self._shut_down()

    def _shut_down(self) -> None:
        if self._escalation is None or self._escalation.done():
            self._escalation = asyncio.get_running_loop().create_task(self._escalate())

    async def _escalate(self) -> None:
        sent = signal.SIGINT
        self._send(sent)
        for timeout_s, harder in zip(self._timeouts_s, (signal.SIGTERM, signal.SIGKILL), strict=True):
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._ended.wait(), timeout_s)
            if self._ended.is_set():
                return
            self._logger.error(
                "process[%s] failed to terminate '%g' seconds after receiving '%s', escalating to '%s'",
                self._logger.name, timeout_s, sent.name, harder.name,
            )  # fmt: skip
            sent = harder
            self._send(sent)

    def _send(self, number: signal.Signals) -> None:
        if not self.process_details or self._ended.is_set():
            return
        self._logger.info("sending signal '%s' to process[%s]", number.name, self._logger.name)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process_details["pid"], number)

    # Called by _Protocol

    def _on_start(self, context, details: dict[str, Any]) -> None:
        self.process_details = details
        self._logger.info("process started with pid [%d]", details["pid"])
        context.emit_event_sync(ProcessStarted(**details))
        if context.is_shutdown or self._stopping.is_set():
            self._shut_down()


ExecuteLocal = ExecuteProcess


class _Protocol(asyncio.SubprocessProtocol):
    """Splits output into lines; tells the action when the process has ended."""

    def __init__(self, action: ExecuteProcess, context, details: dict[str, Any]) -> None:
        self._action, self._context, self._details = action, context, details
        self._partial = {1: b"", 2: b""}
        self._open = {1, 2}
        self.pipes_closed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._details = {**self._details, "pid": transport.get_pid()}  # type: ignore[attr-defined]
        self._action._on_start(self._context, self._details)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        *lines, self._partial[fd] = (self._partial[fd] + data).split(b"\n")
        for line in lines:
            self._write(fd, line)
        self._context.emit_event_sync(ProcessIO(**self._details, text=data, fd=fd))

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self._open.discard(fd)
        if not self._open:
            self.pipes_closed.set()

    def process_exited(self) -> None:
        self._action._ended.set()

    def flush(self) -> None:
        """A last line without a line end."""
        for fd, line in self._partial.items():
            if line:
                self._write(fd, line)
        self._partial = {1: b"", 2: b""}

    def _write(self, fd: int, line: bytes) -> None:
        name = self._action._logger.name
        write_output(name, line.decode(errors="replace").rstrip("\r"), fd in self._action._to_screen)


def _texts(context, mapping: dict[Any, Any]) -> dict[str, str]:
    return {to_text(context, key): to_text(context, value) for key, value in mapping.items()}


def _die_with_parent() -> None:
    """In the child: even `kill -9` of the launch leaves no process behind (Linux)."""
    if hasattr(_LIBC, "prctl"):
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
