"""The operator console's page: what `ConsoleState.view` says, and buttons.

NiceGUI shows texts as texts, never as HTML; those of topics went through `plain` before.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import uvicorn
from fastapi import FastAPI, Response
from nicegui import events, ui

from hilam_core.errors import HilamError
from hilam_core.runtime.console import WINDOW_S, Order, View
from hilam_core.runtime.health import ERROR, WARN
from hilam_ros.console_guard import Guard
from hilam_ros.watching import jpeg

TEXTS_S, PLOTS_S = 0.25, 1.0
PLOT_POINTS = 400  # as many as a plot has pixels
# Of skills in turn; told apart also by those who see red and green alike (Okabe and Ito).
COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")
SAFETY_COLOURS = {"following": "positive", "holding": "warning", "stopped": "negative"}
LEVEL_COLOURS = {WARN: "text-orange-9", ERROR: "text-red-9 font-bold"}
PLACEMENTS = ["stored", "fresh", "scattered"]
RECORDER = ("stop recording", "keep", "discard")
KEYS_HELP = "w s: x · a d: y · r f: z · i k, j l, u o: turn about x, y, z · g: the gripper opens or closes"
# The window repeats which keys are down: one that hangs or is cut off says nothing more. It cannot see a key
# go up while another window has the focus.
KEYS_SCRIPT = """<script>
(() => {
  const down = new Set(), writes = e => ["INPUT", "TEXTAREA"].includes(e.target.tagName)
  const say = () => emitEvent("driving_keys", [...down])
  addEventListener("keydown", e => {
    if (e.key === "Escape" && !e.repeat) emitEvent("escape")
    if (e.repeat || writes(e) || e.ctrlKey || e.altKey || e.metaKey || e.key.length > 1) return
    down.add(e.key.toLowerCase())
    say()
  })
  addEventListener("keyup", e => { if (down.delete(e.key.toLowerCase())) say() })
  addEventListener("blur", () => { if (down.size) { down.clear(); say() } })
  setInterval(() => { if (down.size) say() }, 100)
})()
</script>"""


class Server:
    """Serves the page in a thread of its own.

    console: the node, of which only `view`, `submit`, `picture` and what a button asks for is used.
    """

    def __init__(self, console: Any, listening: socket.socket, token: str, loopback: bool):
        self.console, self.listening = console, listening
        self.pictures = Pictures(console.picture, console.image_hz)
        app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        app.add_api_route("/camera/{index}", self.camera)
        ui.page("/")(lambda: Page(console))
        # Compressing costs more than it saves: most pages are on this machine.
        options = {"gzip_middleware_factory": None, "show_welcome_message": False}
        ui.run_with(app, title="HiLAM", reconnect_timeout=10.0, **options)
        guarded = Guard(app, token, loopback)
        config = uvicorn.Config(
            guarded, log_level="warning", access_log=False, proxy_headers=False, server_header=False
        )
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(
            target=self.server.run, kwargs={"sockets": [listening]}, daemon=True, name="page"
        )

    def start(self) -> None:
        """Serve from now on."""
        if not self.thread.is_alive():
            self.thread.start()

    def stop(self) -> None:
        """Serve no more."""
        self.server.should_exit = True
        self.listening.close()

    def camera(self, index: int) -> Response:
        """The newest image of a camera as a JPEG."""
        try:
            data = self.pictures.jpeg(list(self.console.image_topics)[index])
        except (HilamError, ValueError, IndexError) as error:
            return Response(str(error), 404, media_type="text/plain")
        headers = {"Cache-Control": "no-store"}
        return Response(data, 200 if data else 404, headers, "image/jpeg")


class Pictures:
    """Images as JPEG, each camera at most `image_hz` times a second however many windows ask."""

    def __init__(self, picture: Any, image_hz: float):
        self.picture, self.period_s = picture, 1 / image_hz
        self.lock = threading.Lock()
        self.made: dict[str, tuple[float, bytes]] = {}

    def jpeg(self, camera: str) -> bytes:
        """The newest image; empty before the first one."""
        with self.lock:
            made_s, data = self.made.get(camera, (-self.period_s, b""))
            if time.monotonic() - made_s < self.period_s:
                return data
            image = self.picture(camera)
            data = b"" if image is None else jpeg(image)
            self.made[camera] = (time.monotonic(), data)
            return data


class Page:
    """What one window shows. Its timers end with it."""

    def __init__(self, console: Any):
        self.console = console
        self.fetched = 0
        self.known: tuple[str, ...] = ()
        ui.colors(primary="#0072B2")
        self.header()
        with ui.row().classes("w-full no-wrap items-start"):
            for parts in (
                (self.cameras, self.plots),
                (self.task, self.recording, self.driving),
                (self.health, self.log),
            ):
                with ui.column().classes("w-1/3 gap-2"):
                    for part in parts:
                        part()
        ui.add_head_html(KEYS_SCRIPT)
        ui.on("escape", lambda: console.submit(partial(console.ask, "stop")))
        ui.on("driving_keys", self.on_keys)
        self.show_texts()
        self.show_plots()
        ui.timer(TEXTS_S, self.show_texts)
        ui.timer(PLOTS_S, self.show_plots)
        ui.timer(1 / console.image_hz, self.show_images)

    # What it has

    def header(self) -> None:
        """The arm's state, and the stop."""
        with ui.header().classes("items-center"):
            ui.label("HiLAM").classes("text-h6")
            self.safety = ui.badge("").classes("text-subtitle1 q-pa-sm")
            self.reason = ui.label().classes("grow")
            self.reset = self.button("Reset", partial(self.console.ask, "reset"))
            stop = self.button("STOP (Esc)", partial(self.console.ask, "stop"))
            stop.props("color=negative size=lg")

    def cameras(self) -> None:
        """One image for each camera."""
        self.views = {}
        with ui.row().classes("w-full no-wrap"):
            for camera in self.console.image_topics:
                with ui.card().tight().classes("w-1/2"):
                    image = ui.interactive_image().classes("w-full bg-grey-4").style("min-height: 8em")
                    self.views[camera] = (image, ui.label(camera).classes("q-pa-xs text-caption"))

    def task(self) -> None:
        """What to do, and how it goes."""
        with ui.card().classes("w-full q-pa-sm gap-2"):
            if self.console.simulated:
                scenes = self.console.scenes
                self.scene = ui.select(scenes, label="Scene", value=scenes[0]).classes("w-full")
                with ui.row():
                    self.placement = ui.select(PLACEMENTS, label="Placement", value=PLACEMENTS[0]).classes(
                        "w-32"
                    )
                    self.index = ui.number("Stored state", value=0, min=0, precision=0).classes("w-24")
                    self.seed = ui.number("Seed", value=0, min=0, precision=0).classes("w-24")
            label = "Instruction (empty: the scene's own)" if self.console.simulated else "Instruction"
            self.instruction = ui.input(label).classes("w-full").props("clearable maxlength=500 list=known")
            self.known_list = ui.element("datalist").props("id=known")
            with ui.row().classes("items-center w-full no-wrap"):
                self.limit_s = ui.number("Time limit (s)", value=0 if self.console.simulated else 60, min=0)
                self.limit_s.classes("w-28")
                self.start = self.button("Start", self.order, with_page=True).props("color=positive")
                self.cancel = self.button("Cancel", self.console.cancel_task).props("color=warning")
            self.progress = ui.label().classes("text-subtitle1")
            self.outcome = ui.label()
            with ui.row().classes("items-center"):
                ui.label("The task is")
                self.success = self.button("Done", partial(self.console.ask, "success"))
                self.failure = self.button("Failed", partial(self.console.ask, "failure"))

    def recording(self) -> None:
        """Demonstrations, while a recorder runs."""
        with ui.card().classes("w-full q-pa-sm gap-2"):
            self.recorder = ui.label()
            with ui.row().classes("no-wrap"):
                self.record = self.button("Record", self.start_recording, with_page=True)
                self.recorder_buttons = {
                    name: self.button(name.capitalize(), partial(self.console.ask, name)) for name in RECORDER
                }

    def driving(self) -> None:
        """The arm by keys, while teleop runs."""
        self.driving_card = ui.card().classes("w-full q-pa-sm gap-2")
        with self.driving_card:
            self.drive = ui.switch("Drive the arm with the keys of this window")
            ui.label(KEYS_HELP).classes("text-caption")
            self.driver = ui.label()

    def health(self) -> None:
        """What the nodes say, and which limits were hit."""
        with ui.card().classes("w-full q-pa-sm gap-2"):
            ui.label("Nodes").classes("text-subtitle1")
            self.nodes = ui.column().classes("w-full gap-1")
            self.node_rows: dict[str, ui.label] = {}
        with ui.card().classes("w-full q-pa-sm gap-2"):
            ui.label("Limits hit").classes("text-subtitle1")
            self.limits = ui.label()

    def log(self) -> None:
        """What was asked and answered, newest first."""
        with ui.card().classes("w-full q-pa-sm gap-2"):
            ui.label("Log").classes("text-subtitle1")
            self.notes = ui.label().style("white-space: pre-line").classes("text-caption")

    def plots(self) -> None:
        """The last minute: skills with the probability of a boundary, latency, rates."""
        self.skills = plot("Skill, boundary probability", {"Boundary probability": "#333333"}, 1.0)
        stages = {"Observation to command": COLOURS[4], "Plan": COLOURS[0], "Act": COLOURS[2]}
        self.latency = plot("Latency (ms)", stages)
        self.rates = plot("Rate (Hz)", {"Skills": COLOURS[0], "Commands": COLOURS[4]})

    def button(self, text: str, ask: Any, with_page: bool = False) -> ui.button:
        """A button that gives its work to the node. with_page: its fields are read first."""
        pressed = ask if with_page else (lambda: self.console.submit(ask))
        return ui.button(text, on_click=lambda: pressed()).props("no-wrap")

    # What is asked for

    def order(self) -> None:
        """Start the task that the fields describe."""
        instruction, limit_s = (self.instruction.value or "").strip(), float(self.limit_s.value or 0)
        order = Order(instruction, limit_s)
        if self.console.simulated:
            whole = {name: int(getattr(self, name).value or 0) for name in ("index", "seed")}
            order = Order(instruction, limit_s, self.scene.value, self.placement.value, **whole)
        self.console.submit(partial(self.console.start_task, order))

    def start_recording(self) -> None:
        """Record a demonstration of the instruction in the box."""
        instruction = (self.instruction.value or "").strip()
        self.console.submit(partial(self.console.start_recording, instruction))

    def on_keys(self, event: events.GenericEventArguments) -> None:
        """These keys are down; they count while the switch is on."""
        if self.drive.value:
            keys = [key for key in event.args if isinstance(key, str)]
            self.console.submit(partial(self.console.press, keys))

    # What it shows

    def show_images(self) -> None:
        """Have the browser fetch new images; it takes the next when the last has come."""
        self.fetched += 1
        for index, (image, _) in enumerate(self.views.values()):
            image.set_source(f"/camera/{index}?{self.fetched}")

    def show_texts(self) -> None:
        """Bring all texts and buttons up to date."""
        view: View = self.console.view
        there = view.present
        self.safety.set_text(view.safety or "safety_monitor is not heard")
        self.safety.props(f"color={SAFETY_COLOURS.get(view.safety, 'grey')}")
        self.reason.set_text(view.safety_reason)
        self.reset.set_enabled("safety_monitor" in there and view.safety == "stopped")
        for camera, (_, label) in self.views.items():
            label.set_text(f"{camera}: {view.cameras.get(camera, '')}")
        if view.instructions != self.known:
            self.known = view.instructions
            self.known_list.clear()
            with self.known_list:
                for text in self.known:
                    ui.element("option").props["value"] = text
        self.start.set_enabled("task_server" in there and not view.active)
        self.cancel.set_enabled("task_server" in there)
        self.success.set_enabled(view.active)
        self.failure.set_enabled(view.active)
        doing = f"Episode {view.episode}, step {view.step}: {view.instruction}" if view.active else ""
        self.progress.set_text(doing or "No task is under way")
        self.outcome.set_text(view.outcome)
        recorder = view.recorder if "recorder" in there else None
        said = f"Recorder: {recorder.state} {recorder.text}" if recorder else "No recorder runs"
        self.recorder.set_text(said)
        for button in (self.record, *self.recorder_buttons.values()):
            button.set_enabled(recorder is not None)
        self.driving_card.set_visibility("teleop" in there)
        self.driver.set_text(f"A person drives with {view.driver}" if view.driver else "")
        self.show_nodes(view)
        hits = sorted(view.limits.items(), key=lambda hit: -hit[1])
        self.limits.set_text(", ".join(f"{limit} {count}" for limit, count in hits) or "none")
        self.notes.set_text("\n".join(f"{note.at} {note.text}" for note in reversed(view.notes)))

    def show_nodes(self, view: View) -> None:
        """A line for each node."""
        for node in view.nodes:
            if node.name not in self.node_rows:
                with self.nodes:
                    self.node_rows[node.name] = ui.label()
            row = self.node_rows[node.name]
            row.set_text(f"{node.name}: {node.message}")
            row.classes(replace=f"text-caption {LEVEL_COLOURS.get(node.level, '')}")

    def show_plots(self) -> None:
        """Bring the plots up to date."""
        view: View = self.console.view
        points = [[sample.time_s, sample.boundary_probability] for sample in view.skills]
        areas = [
            [
                {"xAxis": s.start_s - view.now_s, "itemStyle": {"color": COLOURS[s.skill_id % len(COLOURS)]}},
                {"xAxis": s.end_s - view.now_s},
            ]
            for s in view.segments
        ]
        self.skills.options["series"][0]["markArea"] = {"silent": True, "data": areas}
        self.draw(self.skills, view.now_s, [points])
        totals = [[c.time_s, c.total_ms] for c in view.cycles if c.total_ms is not None]
        parts = [[[c.time_s, getattr(c, name)] for c in view.cycles] for name in ("plan_ms", "act_ms")]
        self.draw(self.latency, view.now_s, [totals, *parts])
        flows = [[[r.time_s, r.hz[name]] for r in view.rates] for name in ("skill", "command")]
        self.draw(self.rates, view.now_s, flows)

    def draw(self, chart: ui.echart, now_s: float, lines: Sequence[Sequence[list[float]]]) -> None:
        """Give a plot its lines of [time, value], in seconds before now."""
        for series, line in zip(chart.options["series"], lines, strict=True):
            every = max(1, len(line) // PLOT_POINTS)
            series["data"] = [[round(x - now_s, 2), round(y, 3)] for x, y in line[::every]]
        chart.update()


def plot(title: str, lines: dict[str, str], top: float | None = None) -> ui.echart:
    """An empty plot of the last minute. lines: name and colour of each."""
    series = [
        {"type": "line", "name": name, "data": [], "showSymbol": False, "color": colour}
        for name, colour in lines.items()
    ]
    options = {
        "animation": False,
        "title": {"text": title, "left": 0, "textStyle": {"fontSize": 13}},
        "legend": {"top": 0, "right": 0, "show": len(lines) > 1},
        "grid": {"top": 36, "left": 45, "right": 15, "bottom": 25},
        "xAxis": {"type": "value", "min": -WINDOW_S, "max": 0, "axisLabel": {"formatter": "{value} s"}},
        "yAxis": {"type": "value", "min": 0, "max": top},
        "series": series,
    }
    return ui.echart(options, renderer="svg").classes("w-full").style("height: 11em")
