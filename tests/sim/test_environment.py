"""The environment: LIBERO's own physics, deterministic, quiet, with plain errors."""

import os
import subprocess
import sys
from pathlib import Path

import gymnasium
import mujoco
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from hilam_sim import LiberoEnv, SimError
from hilam_sim.assets import resolve_assets
from hilam_sim.backend import libero_envs
from hilam_sim.env import IDLE_ACTION, SETTLE_STEPS
from hilam_sim.experts import make_expert
from hilam_sim.problem import build_problem
from hilam_sim.tasks import initial_states


def _actions(env, count, seed=0):
    """The expert's first actions from stored state 0: they make contact."""
    env.reset()
    expert, actions = make_expert(env, seed), []
    for _ in range(count):
        actions.append(expert.act()[0])
        env.step(actions[-1])
    return actions


def _replay(env, actions, **reset):
    env.reset(**reset)
    states = [env.get_state()]
    for action in actions:
        env.step(action)
        states.append(env.get_state())
    return np.array(states)


@pytest.fixture(scope="module")
def stock(env):
    """Stock LIBERO after stored state 0 of the same task and the idle steps."""
    stock = libero_envs(resolve_assets("builtin").path).env_wrapper.ControlEnv(
        bddl_file_name=str(env.task.bddl_path), use_camera_obs=False, has_offscreen_renderer=False
    )
    stock.seed(0)
    stock.reset()
    stock.set_init_state(initial_states(env.task)[0])
    for _ in range(SETTLE_STEPS):
        stock.step(IDLE_ACTION)
    yield stock
    stock.close()


def test_exact_states_equal_stock_libero_to_the_bit_and_the_others_closely(env, stock):
    """A whole episode: the can is grasped, carried and dropped into the basket."""
    actions = _actions(env, 140)
    exact = LiberoEnv("libero_object", 3, render=False, assets="builtin", exact=True)
    exact.reset()
    env.reset()
    for action in actions:
        stock.step(action.astype(np.float64))
        observation, *_, info = exact.step(action)
        np.testing.assert_array_equal(exact.get_state(), stock.get_sim_state())
        # Stock observables are sampled 48 ms earlier, in the first substep: compare with the simulation.
        np.testing.assert_array_equal(
            observation["ee_pos"], stock.sim.data.get_site_xpos("gripper0_grip_site")
        )
        np.testing.assert_array_equal(
            observation["ee_quat"][[3, 0, 1, 2]], stock.sim.data.get_body_xquat("robot0_right_hand")
        )
        *_, fast = env.step(action)
        assert info["success"] == fast["success"] == stock.check_success()
        positions = slice(1, 1 + env.model.nq)
        np.testing.assert_allclose(env.get_state()[positions], stock.get_sim_state()[positions], atol=1e-4)
    assert info["success"]


def test_torques_equal_robosuites_controller_in_every_state(env):
    """Its own controller runs beside ours, with the goals of the same actions."""
    actions = _actions(env, 140)
    env.reset()
    ours, theirs = env._stepper._controller, env._robot.controller
    for action in actions:
        theirs.new_update = True
        theirs.set_goal(action[:6].astype(np.float64))
        env.step(action)
        theirs.new_update = True
        expected = theirs.run_controller()
        ours.read()
        np.testing.assert_allclose(ours.torques(), expected, rtol=0, atol=1e-9)


def test_contacts_are_those_robosuite_finds(env):
    from robosuite.environments.base import MujocoEnv

    for action in _actions(env, 140)[::7]:
        env.step(action)
    problem, gripper = env.problem, env.problem.robots[0].gripper
    models = [*problem.objects_dict.values(), gripper]
    names = list(gripper.important_geoms["left_fingerpad"])
    found = 0
    for first in [*models, names, names[0]]:
        for second in [*models, names, None]:
            touching = problem.check_contact(first, second)
            assert touching == MujocoEnv.check_contact(problem, first, second)
            found += touching
    assert found > 3


def test_an_episode_does_not_depend_on_what_was_before(env):
    actions = _actions(env, 50)
    first = _replay(env, actions)
    _replay(env, actions[:30], seed=3, options={"placement": "scattered"})
    np.testing.assert_array_equal(first, _replay(env, actions))
    other = LiberoEnv("libero_object", 3, render=False, assets="builtin")
    np.testing.assert_array_equal(first, _replay(other, actions))


def test_a_state_forgets_what_was_before(env):
    actions = _actions(env, 60)
    state = _replay(env, actions[:40])[-1]

    def follow():
        env.set_state(state)
        return [env.step(action) and env.get_state() for action in actions]

    first = follow()
    env.reset(options={"init_state": 7})
    for action in actions:  # ends with the same command to the fingers
        env.step(np.append(-action[:6], action[6]))
    np.testing.assert_array_equal(first, follow())


def test_a_seed_decides_a_placement_and_leaves_numpy_alone(env):
    np.random.seed(7)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002

    def start(seed, placement):
        env.reset(seed=seed, options={"placement": placement})
        return env.get_state()

    for placement in ("fresh", "scattered"):
        np.testing.assert_array_equal(start(5, placement), start(5, placement))
        assert not np.array_equal(start(5, placement), start(6, placement))
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002
    env.reset(options={"placement": "stored", "init_state": 0})
    zero = env.get_state()
    env.reset(options={"placement": "stored", "init_state": 1})
    assert not np.array_equal(zero, env.get_state())


def test_observations_are_in_the_declared_space(seeing_env):
    observation, info = seeing_env.reset()
    assert seeing_env.observation_space.contains(observation)
    assert info == {"success": False, "progress": 0.0, "steps": 0}
    observation, reward, terminated, truncated, info = seeing_env.step(seeing_env.action_space.sample())
    assert seeing_env.observation_space.contains(observation)
    assert (reward, terminated, truncated, info["steps"]) == (0.0, False, False, 1)


@pytest.mark.parametrize(
    ("key", "camera"), [("agentview", "agentview"), ("eye_in_hand", "robot0_eye_in_hand")]
)
def test_images_are_upright(seeing_env, key, camera):
    """What vanishes from the image when an object is taken away lies where a pinhole camera sees the
    object."""
    env = seeing_env
    with_object, _ = env.reset()
    body = env.problem.obj_body_id["cream_cheese_1"]
    eye = env.data.camera(camera)
    x, y, z = eye.xmat.reshape(3, 3).T @ (env.data.xpos[body] - eye.xpos)
    focal = env.image_size / 2 / np.tan(np.deg2rad(env.model.camera(camera).fovy[0]) / 2)
    expected = np.array([env.image_size / 2 - focal * y / -z, env.image_size / 2 + focal * x / -z])
    state = env.get_state()
    state[1 + env.model.jnt_qposadr[env.model.body(body).jntadr[0]]] += 5.0
    without = env.set_state(state)
    changed = np.abs(with_object[key].astype(int) - without[key]).sum(axis=2) > 30
    assert changed.sum() >= 4
    assert np.argwhere(changed).mean(axis=0) == pytest.approx(expected, abs=2.5)


def test_the_step_limit_truncates(env):
    short = LiberoEnv("libero_object", 3, render=False, assets="builtin", max_steps=2)
    short.reset()
    assert not short.step(np.zeros(7))[3]
    assert short.step(np.zeros(7))[3]
    assert env.max_steps == 280


@pytest.mark.filterwarnings("ignore:.*(Inf|inf|infinity).*")
def test_gymnasium_makes_and_checks_it():
    made = gymnasium.make(
        "hilam_sim/Libero-v0", suite="libero_object", task=3, image_size=32, assets="builtin", max_steps=30
    )
    assert made.unwrapped.instruction == "pick up the bbq sauce and place it in the basket"
    check_env(made.unwrapped)
    observations, _ = made.reset(seed=1, options={"placement": "fresh"})
    assert made.observation_space.contains(observations)
    made.close()


def test_bad_input_is_one_line(env):
    env.reset()
    state = env.get_state()
    state[5] = np.nan
    cases = [
        (lambda: env.step(np.zeros(6)), r"shape \(6,\)"),
        (lambda: env.step(np.full(7, np.nan)), "not finite"),
        (lambda: env.step(np.array([0, 0, -1.5, 0, 0, 0, 1])), r"action\[2\] is -1.5, not in \[-1, 1\]"),
        (lambda: env.reset(options={"placement": "upside down"}), "stored, swapped, fresh, scattered"),
        (lambda: env.reset(options={"init_state": 50}), "choose 0 to 49"),
        (lambda: env.reset(options={"initial_state": 0}), "choose from placement, init_state"),
        (lambda: env.set_state(np.zeros(3)), r"needs \(110,\)"),
        (lambda: env.set_state(state), "index 5"),
        (lambda: env.render(), "render=False"),
        (lambda: LiberoEnv("libero_object", 3, assets="pretty"), "pretty"),
        (lambda: LiberoEnv("libero_object", 3, render_mode="human"), "choose 'rgb_array'"),
        (lambda: LiberoEnv("libero_object", 3, image_size=0), "at least 1 pixel, not 0"),
        (lambda: LiberoEnv("libero_object", 3, render=False, assets="builtin").step(np.zeros(7)), "reset"),
    ]
    for call, message in cases:
        with pytest.raises(SimError, match=message) as error:
            call()
        assert "\n" not in str(error.value)


def _resident_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def test_a_closed_environment_frees_its_memory_and_says_so():
    def build():
        environment = LiberoEnv("libero_object", 3, assets="builtin")
        environment.reset()
        environment.close()
        environment.close()
        return environment

    for _ in range(2):
        closed = build()
    before = _resident_mb()
    for _ in range(4):
        build()
    assert _resident_mb() < before + 25  # one holds 100
    for call in (closed.reset, closed.render, lambda: closed.step(np.zeros(7))):
        with pytest.raises(SimError, match="closed: build a new one"):
            call()


def test_an_unstable_simulation_is_logged_and_writes_no_file(env, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    env.reset()
    state = env.get_state()
    state[-1] = 1e9
    env.set_state(state)
    env.step(np.zeros(7))
    assert "unstable" in caplog.text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("gl", ["disabled", "osmesa"])
def test_without_gl_the_error_says_what_to_install(gl, monkeypatch):
    if gl == "osmesa" and any(Path("/usr/lib/x86_64-linux-gnu").glob("libOSMesa*")):
        pytest.skip("osmesa is installed")
    monkeypatch.setenv("MUJOCO_GL", gl)
    with pytest.raises(SimError, match="render=False") as error:
        LiberoEnv("libero_object", 3, assets="builtin")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (
            {"__EGL_VENDOR_LIBRARY_FILENAMES": "/none", "MUJOCO_GL": ""},
            "no OpenGL library for off-screen rendering",
        ),
        ({"DISPLAY": "", "MUJOCO_GL": "glfw"}, "OpenGL through MUJOCO_GL=glfw does not work"),
        ({"MUJOCO_GL": "teapot"}, "MUJOCO_GL=teapot is none of egl, osmesa, glfw, disabled"),
        ({"MUJOCO_GL": "egl", "PYOPENGL_PLATFORM": "glx"}, "PYOPENGL_PLATFORM=glx contradict each other"),
        ({"MUJOCO_GL": "", "PYOPENGL_PLATFORM": "x11"}, "PYOPENGL_PLATFORM=x11 cannot render off-screen"),
        ({"MUJOCO_GL": "osmesa"}, "OpenGL through MUJOCO_GL=osmesa does not work"),
        ({"MUJOCO_GL": "", "PYOPENGL_PLATFORM": "osmesa"}, "OpenGL through MUJOCO_GL=osmesa does not work"),
    ],
)
def test_a_machine_without_gl_says_so_and_can_still_simulate(variables, message):
    without_osmesa = "osmesa" in variables.values() or "__EGL_VENDOR_LIBRARY_FILENAMES" in variables
    if without_osmesa and any(Path("/usr/lib/x86_64-linux-gnu").glob("libOSMesa*")):
        pytest.skip("osmesa is installed")
    code = (
        "from hilam_sim import LiberoEnv\n"
        "LiberoEnv(assets='builtin', render=False).reset()\n"
        "LiberoEnv(assets='builtin')"
    )
    inherited = {name: value for name, value in os.environ.items() if name != "PYOPENGL_PLATFORM"}
    done = subprocess.run(
        [sys.executable, "-c", code], env={**inherited, **variables}, capture_output=True, text=True
    )
    assert message in done.stderr.splitlines()[-1]
    assert "SimError" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: "", r"cannot read the problem .*broken.bddl \(Malformed expression\)"),
        (lambda text: text[: len(text) // 2], "cannot read the problem .*Missing close parenthesis"),
        (lambda text: text.replace("bbq_sauce", "unicorn"), "broken.bddl needs 'unicorn'"),
        (lambda text: text.replace("LIBERO_Floor", "LIBERO_Ceiling"), "is a 'libero_ceiling_manipulation'"),
    ],
)
def test_a_broken_problem_file_is_one_line(env, change, message, tmp_path):
    broken = tmp_path / "broken.bddl"
    broken.write_text(change(env.task.bddl_path.read_text()))
    with pytest.raises(SimError, match=message) as error:
        build_problem(broken, resolve_assets("builtin").path, True, 20)
    assert "\n" not in str(error.value)


def test_it_asks_nothing_and_writes_only_to_its_cache(tmp_path):
    home, cache = tmp_path / "home", tmp_path / "cache"
    home.mkdir()
    code = (
        "import sys\n"
        "def refuse_the_log(event, arguments):\n"
        "    if event == 'open' and str(arguments[0]).endswith('robosuite.log'):\n"
        "        sys.exit(f'{arguments[0]} was opened')\n"
        "sys.addaudithook(refuse_the_log)\n"
        "from hilam_sim import LiberoEnv\n"
        "LiberoEnv(image_size=32, assets='builtin').reset()"
    )
    environment = {**os.environ, "HOME": str(home), "HILAM_CACHE": str(cache)}
    moved = (
        "LIBERO_CONFIG_PATH",
        "MESA_SHADER_CACHE_DIR",
        "MPLCONFIGDIR",
        "NUMBA_CACHE_DIR",
        "XDG_CACHE_HOME",
    )
    for name in moved:
        environment.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-B", "-c", code],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(home.rglob("*")) == []
    assert cache.is_dir()


def test_mujoco_is_the_pinned_version():
    """Later versions change box contacts and floors: published numbers would move."""
    assert mujoco.__version__ == "3.3.2"
