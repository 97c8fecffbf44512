"""One preprocessing: what a model is shown of an observation, in training, in evaluation and on the robot."""

import h5py
import numpy as np
import pytest
import torch
from synthetic import write_demonstrations

from hilam_core.data import Clip, read_clips, read_demonstrations
from hilam_core.lam import FramePairs, to_input
from hilam_core.observation import ObservationSpec, RawObservation, prepare_image, preprocess
from hilam_core.policy.batches import PolicyFrames
from hilam_core.skills import SkillBatches

SPEC = ObservationSpec(image_size=32)
SIZES = [(32, 32), (64, 64), (48, 48), (16, 16), (48, 64), (64, 48), (33, 64), (36, 16)]


def smooth_images(count, height, width, seed=0):
    """Random images without sharp edges, on which interpolations can be compared."""
    waves = np.random.default_rng(seed).uniform(0.5, 3, (count, 3, 2))
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)
    images = [[np.sin(a * y + b) * np.cos(b * x * width / height + a) for a, b in image] for image in waves]
    return (127 + 120 * np.moveaxis(np.array(images), 1, -1)).astype(np.uint8)


@pytest.fixture(params=SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def recorded(request, tmp_path):
    """A file of one demonstration whose images have this size."""
    path = write_demonstrations(tmp_path / "turn_on_the_stove_demo.hdf5", episodes=1)
    with h5py.File(path, "r+") as file:
        obs = file["data/demo_0/obs"]
        for seed, camera in enumerate(SPEC.cameras):
            count = len(obs["ee_pos"])
            del obs[f"{camera}_rgb"]
            obs[f"{camera}_rgb"] = smooth_images(count, *request.param, seed)
    return path


def raw_observation(path, t):
    """What the simulation, and the robot's camera drivers, hand over at step t: upright images."""
    with h5py.File(path) as file:
        demo = file["data/demo_0"]
        images = {camera: demo["obs"][f"{camera}_rgb"][t][::-1] for camera in SPEC.cameras}
        quaternion = demo["robot_states"][t, 5:9]
        return RawObservation(images, demo["obs/ee_pos"][t], quaternion, demo["obs/gripper_states"][t])


def test_a_policy_is_shown_the_same_in_training_evaluation_and_on_the_robot(recorded):
    raw = raw_observation(recorded, 5)
    trained = PolicyFrames(read_demonstrations(recorded), SPEC).inputs(np.array([5]))
    simulated = {**raw.images, **{k: v for k, v in vars(raw).items() if k != "images"}}
    evaluated, live = preprocess(RawObservation.from_env(simulated), SPEC), preprocess(raw, SPEC)
    for camera in SPEC.cameras:
        np.testing.assert_array_equal(trained["images"][camera][0], live.images[camera])
        np.testing.assert_array_equal(evaluated.images[camera], live.images[camera])
    np.testing.assert_array_equal(trained["proprio"][0], live.proprio)


def test_a_latent_action_model_is_shown_the_same_in_training_extraction_and_live(recorded):
    clip = read_clips(recorded)[0]
    batch = FramePairs([clip], 1, 1).pairs(np.array([5]), np.array([1]))
    trained = to_input(torch.from_numpy(batch["now"]), SPEC.image_size)
    extracted = to_input(clip.frames["agentview"][3:8], SPEC.image_size)[2:3]
    live = to_input(raw_observation(recorded, 5).images["agentview"][None], SPEC.image_size)
    assert torch.equal(trained, extracted) and torch.equal(trained, live)


def test_both_are_shown_the_same_picture(recorded):
    """To the last rounding where sizes divide or the picture grows, closely elsewhere."""
    image = raw_observation(recorded, 5).images["agentview"]
    for size in (32, 16, 24):
        policy = prepare_image(image, size).astype(float)
        lam = 255 * to_input(image[None], size)[0].permute(1, 2, 0).numpy()
        side = min(image.shape[:2])
        assert np.abs(policy - lam).max() <= (1 if side % size == 0 or side < size else 6)


@pytest.mark.parametrize("side", [16, 32, 48, 64])
def test_square_pictures_are_shown_as_ever(side):
    """What the shipped checkpoints were trained on, written out: a mean over areas, or no change at all."""
    image = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    for size in (s for s in (16, 32) if side % s == 0):
        areas = image.reshape(size, side // size, size, side // size, 3).mean((1, 3))
        assert np.abs(prepare_image(image, size) - areas).max() <= 0.5
        x = to_input(image[None], size)[0].permute(1, 2, 0).numpy()
        np.testing.assert_allclose(x, areas / 255, atol=1e-6)


def test_pictures_that_are_not_square_are_cropped_not_squashed():
    image = np.zeros((32, 64, 3), np.uint8)
    image[8:24, 24:40] = 255  # a square object in the middle
    for shown in (prepare_image(image, 32), to_input(image[None], 32)[0].permute(1, 2, 0).numpy()):
        assert (shown[8:24, 8:24] == shown.max()).all() and (shown > 0).sum() == 16 * 16 * 3


def test_clips_of_several_sizes_are_trained_on_together():
    sizes = [(32, 32), (48, 64), (64, 40)]
    clips = [
        Clip(key=f"{i}.mp4/video", frames={"agentview": smooth_images(3, *size, seed=i)})
        for i, size in enumerate(sizes)
    ]
    batch = FramePairs(clips, 1, 1).pairs(np.array([0, 2, 4]), np.ones(3, int))
    for i, clip in enumerate(clips):
        frames = clip.frames["agentview"]
        for name, frame in (("now", frames[0]), ("future", frames[1])):
            np.testing.assert_array_equal(batch[name][i], prepare_image(frame, 32))


def test_skills_are_learned_from_clips_of_several_sizes():
    clips = [
        Clip(key=f"{i}.mp4/video", frames={"agentview": smooth_images(8, *size, seed=i)})
        for i, size in enumerate([(32, 32), (48, 64)])
    ]
    latents = {clip.key: {"z": np.zeros((8, 4), np.float32), "valid": np.int64(6)} for clip in clips}
    batch = SkillBatches(clips, latents, ("agentview",), gap=2).batch([0, 1], np.random.default_rng(0), 16)
    for row, time, future in zip(batch["rows"], batch["times"], batch["future"], strict=True):
        frame = clips[row].frames["agentview"][time + 3]
        np.testing.assert_array_equal(future, prepare_image(frame, 32))


def test_an_exported_video_shows_what_policies_see(tmp_path):
    """Non-square demonstrations become square videos by the same crop."""
    import export_video

    path = write_demonstrations(tmp_path / "data" / "turn_on_the_stove_demo.hdf5", episodes=1)
    with h5py.File(path, "r+") as file:
        obs = file["data/demo_0/obs"]
        count = len(obs["ee_pos"])
        del obs["agentview_rgb"]
        obs["agentview_rgb"] = smooth_images(count, 48, 64)
    export_video.main(export_video.Config(data=(path,), out=tmp_path / "video"))
    frames = read_clips(tmp_path / "video")[0].frames["agentview"]
    expected = [prepare_image(frame, 48) for frame in read_demonstrations(path)[0].frames["agentview"]]
    assert frames.shape == (count, 48, 48, 3)
    assert np.abs(frames[:].astype(int) - np.stack(expected)).mean() < 4
