"""LeRobot datasets in and out, of a robot with three cameras and five actions; then every stage on one."""

import json
import shutil
from dataclasses import replace

import export_lerobot
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from programs import LAM, SKILLS, program, run_how_to
from synthetic import write_demonstrations

from hilam_core.cards import load_card
from hilam_core.data import (
    Episode,
    LatentStore,
    ReadConfig,
    camera_names,
    content_hash,
    read_clips,
    read_demonstrations,
)
from hilam_core.errors import ConfigError, DataError
from hilam_core.observation import Observation
from hilam_core.policy import load_policy
from hilam_core.runtime.control import ActionExecutor, SkillPlanner

CAMERAS = ("top", "left_wrist", "right_wrist")
TASKS = ("pick up the milk and place it in the basket", "pick up the butter and place it in the basket")
SHORT = ["--train.steps", 2, "--train.batch-size", 4, "--train.device", "cpu"]
FPS = 15


def pictures(episode, camera, steps):
    """A wall whose colour names the episode and the camera, and a bar as wide as the step."""
    frames = np.zeros((steps, 32, 48, 3), np.uint8)
    frames[..., 0], frames[..., 1] = 40 * episode, 60 * camera
    for t in range(steps):
        frames[t, :, : 1 + t % 48] = (200, 200, 255)
    return frames


def make_episodes(count=4, steps=40):
    rng = np.random.default_rng(0)
    return [
        Episode(
            key=f"arm/episode_{i}",
            frames={camera: pictures(i, c, steps + i) for c, camera in enumerate(CAMERAS)},
            fps=FPS,
            instruction=TASKS[i % 2],
            actions=rng.normal(0, 40, (steps + i, 5)).astype(np.float32),  # degrees
            states={"state": rng.normal(size=(steps + i, 6))},
        )
        for i in range(count)
    ]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """(the folder of a dataset, the episodes in it)"""
    folder, episodes = tmp_path_factory.mktemp("lerobot") / "arm", make_episodes()
    export_lerobot.write_dataset(folder, episodes, "arm5")
    return folder, episodes


@pytest.fixture
def dataset(written, tmp_path):
    """A copy of it that a test may damage."""
    shutil.copytree(written[0], tmp_path / "arm", ignore=shutil.ignore_patterns(".frames"))
    return tmp_path / "arm"


def near(frames, expected):
    return np.abs(np.asarray(frames).astype(int) - expected).mean() < 4


def test_what_is_written_is_read(written):
    folder, episodes = written
    assert camera_names(folder) == CAMERAS
    again = read_demonstrations(folder)
    assert [e.key for e in again] == [f"arm/episode_{i}" for i in range(4)]
    for episode, expected in zip(again, episodes, strict=True):
        assert (episode.instruction, episode.fps) == (expected.instruction, FPS)
        np.testing.assert_array_equal(episode.actions, expected.actions)
        np.testing.assert_array_equal(episode.proprio, expected.proprio)
        for camera in CAMERAS:
            assert near(episode.frames[camera], expected.frames[camera])
            assert near(episode.frames[camera][-1], expected.frames[camera][-1])


def test_pictures_are_decoded_when_they_are_looked_at(dataset):
    episodes = read_demonstrations(dataset)
    assert not list(dataset.rglob("*.npy"))
    episodes[2].frames["left_wrist"][7]
    assert len(list(dataset.rglob("*.npy"))) == 1


def test_episodes_cameras_and_rate_are_chosen(written):
    folder, episodes = written
    config = ReadConfig(episodes=(3, 1), fps=5)
    for episode, number in zip(read_demonstrations(folder, ("top",), config), (1, 3), strict=True):
        rows = np.arange(1, len(episodes[number]), 3)[: len(episode)]
        assert episode.key == f"arm/episode_{number}" and episode.fps == 5 and list(episode.frames) == ["top"]
        np.testing.assert_array_equal(episode.actions, episodes[number].actions[rows])
        assert near(episode.frames["top"], episodes[number].frames["top"][rows])
    assert content_hash(read_demonstrations(folder, ("top",), config)) != content_hash(
        read_demonstrations(folder, ("top",), ReadConfig(episodes=(1, 3)))
    )


def test_demonstrations_of_libero_keep_their_states(tmp_path):
    write_demonstrations(tmp_path / "data/push_the_blob_demo.hdf5", episodes=2)
    arguments = ("--data", "data", "--out", "lr")
    assert program("export_lerobot", *arguments, cwd=tmp_path).code == 0
    for ours, theirs in zip(*map(read_demonstrations, (tmp_path / "data", tmp_path / "lr")), strict=True):
        np.testing.assert_array_equal(theirs.proprio, ours.proprio)
        for name, values in ours.states.items():
            np.testing.assert_array_equal(theirs.states[name], values)
        assert theirs.has_gripper and theirs.instruction == ours.instruction and theirs.fps == 20
    result = program("export_lerobot", *arguments, cwd=tmp_path)
    assert result.code == 1 and "lr holds a dataset already" in result.errors


def test_pictures_in_the_parquet_file_are_read(dataset):
    """Datasets may hold images instead of videos."""
    import cv2

    info = json.loads((dataset / "meta/info.json").read_text())
    info["features"] = {k: v for k, v in info["features"].items() if not k.startswith("observation.images")}
    info["features"]["observation.image"] = {"dtype": "image", "shape": [3, 32, 48], "names": None}
    (dataset / "meta/info.json").write_text(json.dumps(info))
    path = dataset / "data/chunk-000/file-000.parquet"
    expected = np.concatenate([e.frames["top"] for e in make_episodes()])
    encoded = [
        {"bytes": cv2.imencode(".png", image[..., ::-1])[1].tobytes(), "path": None} for image in expected
    ]
    pq.write_table(pq.read_table(path).append_column("observation.image", pa.array(encoded)), path)
    episodes = read_demonstrations(dataset)
    np.testing.assert_array_equal(np.concatenate([e.frames["image"] for e in episodes]), expected)


def change_info(dataset, **values):
    path = dataset / "meta/info.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def set_action(dataset, value):
    path = dataset / "data/chunk-000/file-000.parquet"
    table = pq.read_table(path)
    rows = table["action"].to_pylist()
    rows[41 + 40 + 3][2] = value
    pq.write_table(table.set_column(0, "action", pa.array(rows)), path)


VIDEO = "videos/observation.images.top/chunk-000/file-000.mp4"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: change_info(d, codebase_version="v2.1"), r"of version v2\.1, not v3\.0: convert it"),
        (lambda d: (d / "meta/info.json").write_text("{}"), "does not describe a LeRobot dataset"),
        (lambda d: (d / VIDEO).unlink(), r"top/chunk-000/file-000\.mp4 is missing from the dataset"),
        (lambda d: set_action(d, np.nan), "episode 2 has action that are not finite at step 3"),
        (
            lambda d: (d / "data/chunk-000/file-000.parquet").write_bytes(b"PAR1"),
            r"file-000\.parquet cannot be read",
        ),
        (lambda d: shutil.rmtree(d / "meta/episodes"), "has no meta/episodes"),
    ],
)
def test_what_is_wrong_with_a_dataset_is_said_in_one_line(dataset, damage, message):
    damage(dataset)
    with pytest.raises(DataError, match=message) as error:
        read_demonstrations(dataset)
    assert str(dataset) in str(error.value) and "\n" not in str(error.value)


def test_a_video_that_broke_off_is_named_when_it_is_read(dataset):
    (dataset / VIDEO).write_bytes((dataset / VIDEO).read_bytes()[:2000])
    with pytest.raises(DataError, match=r"top/chunk-000/file-000\.mp4"):
        read_demonstrations(dataset)[3].frames["top"][0]


def test_what_is_not_there_is_named(dataset):
    with pytest.raises(DataError, match=r"no camera 'wrist'; there are: top, left_wrist, right_wrist"):
        read_demonstrations(dataset, ("wrist",))
    with pytest.raises(DataError, match="no episode 9, only 0 to 3"):
        read_demonstrations(dataset, config=ReadConfig(episodes=(9,)))
    with pytest.raises(ConfigError, match="fps must be above 0, got 0"):
        ReadConfig(fps=0)


def test_data_of_other_rates_are_not_mixed(dataset, tmp_path):
    write_demonstrations(tmp_path / "push_demo.hdf5", episodes=2)
    with pytest.raises(
        DataError, match=r"episode_0 has 15 frames a second, .*push_demo/demo_0 20: .*--fps 20"
    ):
        read_clips(tmp_path, ())
    assert {clip.fps for clip in read_clips(tmp_path, (), ReadConfig(fps=10))} == {10}


@pytest.fixture(scope="module")
def trained(written, tmp_path_factory):
    """A folder in which the how-to was followed, in small: every stage ran on the dataset."""
    folder = tmp_path_factory.mktemp("stages")
    (folder / "my_dataset").symlink_to(written[0])
    settings = {
        "train_lam": [*LAM, "--train.steps", 2, "--cameras", "top", "left_wrist"],
        "extract_latents": [],
        "train_skills": [*SKILLS, "--train.steps", 2],
        "extract_skills": ["--strips", 1],
        "pretrain_policy": SHORT,
        "finetune_policy": SHORT,
    }
    run_how_to("my LeRobot dataset", settings, folder)
    return folder


def test_every_stage_takes_the_cameras_and_numbers_of_the_data(trained):
    assert LatentStore.read(trained / "runs/arm/latents.h5").lineage.cameras == ("top", "left_wrist")
    policy = load_policy(trained / "runs/arm/policy")
    assert policy.spec.cameras == CAMERAS and policy.low.config.output_dim == 5
    assert not policy.config.unit_actions and not policy.low.config.waypoint
    card = load_card(trained / "runs/arm/policy")
    assert card["data"]["fps"] == FPS and card["metrics"]["low_l1"] > 0


def test_the_policy_acts_in_the_units_of_its_data(trained):
    policy = load_policy(trained / "runs/arm/policy")
    planner, executor = SkillPlanner(policy), ActionExecutor(policy)
    planner.reset(TASKS[0])
    executor.reset(TASKS[0])
    size = policy.spec.image_size
    seen = Observation({camera: np.full((size, size, 3), 90, np.uint8) for camera in CAMERAS})
    action = executor.act(seen, planner.plan(seen), 0)
    assert action.shape == (5,) and np.abs(action).max() > 1, "degrees are not cut off at 1"


def test_robots_are_not_mixed(written, tmp_path):
    shorter = [replace(episode, actions=episode.actions[:, :4]) for episode in written[1]]
    export_lerobot.write_dataset(tmp_path / "arm4", shorter, "arm4")
    arguments = ["--data", written[0], tmp_path / "arm4", "--out", "mixed", *SHORT]
    result = program("finetune_policy", *arguments, cwd=tmp_path)
    assert result.code == 1 and "arm4/episode_0 has other numbers {'action': 4," in result.errors
    assert "than arm/episode_0 {'action': 5," in result.errors


def test_a_blind_policy_reads_the_state_that_the_data_have(written, tmp_path):
    arguments = ["--data", written[0], "--blind", "--out", "blind", *SHORT]
    result = program("finetune_policy", *arguments, cwd=tmp_path)
    assert result.code == 0, result.errors
    blind = load_policy(tmp_path / "blind")
    assert blind.spec.proprio_dim == 6 and blind.spec.cameras == ()


def test_a_stage_refuses_another_rate_than_the_model_learned_from(trained, written):
    arguments = ["--lam", "runs/arm/lam", "--data", written[0], "--fps", 5, "--out", "slow.h5"]
    result = program("extract_latents", *arguments, cwd=trained)
    assert result.code == 1
    assert "arm/episode_0 has 5 frames a second, runs/arm/lam 15: read both with --fps 15" in result.errors
