"""Actions read off latent actions by a few labels, and policies that learn from them."""

import numpy as np
import pytest
from programs import program
from synthetic import write_demonstrations

from hilam_core.cards import load_card
from hilam_core.data import (
    Clip,
    Episode,
    LabelStore,
    LatentStore,
    first_share,
    labelled_and_rest,
    read_demonstrations,
    require_one_robot,
    split_held_out,
)
from hilam_core.errors import DataError
from hilam_core.lam.decode import (
    HAND,
    as_demonstration,
    explained,
    fit_decoder,
    hand_motion,
    targets_of,
    within_labels,
)

GAP = 4
TRAIN = ["--train.steps", 2, "--train.batch-size", 4, "--train.device", "cpu"]


def latents_of(episode, mix: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What a good inverse dynamics model gives: a mixture of the mean action over the gap, with noise."""
    total = np.cumsum(np.vstack([np.zeros(episode.actions.shape[1]), episode.actions]), 0)
    mean = (total[GAP:] - total[:-GAP])[: len(episode) - GAP] / GAP
    z = np.vstack([mean, np.repeat(mean[-1:], GAP, 0)]) @ mix
    return (z + 0.02 * rng.normal(size=z.shape)).astype(np.float32)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Demonstrations of two tasks and their latent actions."""
    folder = tmp_path_factory.mktemp("decoded")
    for seed, name in enumerate(("ketchup", "butter")):
        file = f"pick_up_the_{name}_and_place_it_in_the_basket_demo.hdf5"
        write_demonstrations(folder / "data/libero_object" / file, episodes=10, seed=seed)
    episodes = read_demonstrations(folder / "data/libero_object")
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(7, 8))
    latents = {e.key: {"z": latents_of(e, mix, rng), "valid": np.int64(len(e) - GAP)} for e in episodes}
    attrs = {"lam": "", "lam_hash": "hand-made", "cameras": ["agentview"], "gap": GAP}
    LatentStore(latents, attrs).write(folder / "data/libero_object/latents.h5")
    result = program("decode_actions", "--share", 0.3, "--steps", 400, "--device", "cpu", cwd=folder)
    assert result.code == 0, result.errors
    return folder


def test_a_few_labels_give_the_actions_of_the_rest(place):
    training, _ = split_held_out(read_demonstrations(place / "data/libero_object"))
    labelled = {e.key for e in first_share(training, 0.3)}
    store = LabelStore.read(place / "data/libero_object/decoded.h5")
    rest = [e for e in training if e.key not in labelled]
    assert set(store) == {e.key for e in rest} and set(store.attrs["labelled"]) == labelled
    decoded = [store[e.key]["labels"] for e in rest]
    assert decoded[0].shape == (len(rest[0]), 7 + HAND)
    r2 = explained([d[:, :7] for d in decoded], [e.actions for e in rest])
    assert (r2[[0, 1, 6]] > 0.7).all(), r2
    assert np.isnan(r2[2:6]).all(), "what never changes has nothing to explain"
    assert set(np.unique(np.concatenate(decoded)[:, 6])) == {-1.0, 1.0}, "a gripper command has two values"


def test_waypoints_follow_from_decoded_motion(place):
    """The path is integrated from decoded velocities: right up to where it starts."""
    training, _ = split_held_out(read_demonstrations(place / "data/libero_object"))
    episode = training[0]
    again = as_demonstration(episode, targets_of(episode), 7)
    path = episode.states["ee_pos"] - episode.states["ee_pos"][0]
    np.testing.assert_allclose(again.states["ee_pos"], path, atol=1e-5)
    np.testing.assert_allclose(hand_motion(again)[:-1], hand_motion(episode)[:-1], atol=1e-5)
    assert again.key == episode.key and again.phases is None and again.has_gripper


def recorded(key: str, **states: np.ndarray) -> Episode:
    return Episode(key=key, frames={}, actions=np.zeros((5, 7), np.float32), states=states)


def test_no_clip_is_both_labelled_or_held_out_and_decoded():
    """The same demonstrations given as labelled and as unlabelled data: what is known stays what it is."""
    training, held_out = split_held_out([recorded(f"push/demo_{i}") for i in range(20)])
    other = [recorded(f"pull/demo_{i}") for i in range(20)]
    labelled, rest = labelled_and_rest(training, held_out, 0.5, [*training, *held_out, *other])
    keys = [clip.key for clip in rest]
    assert len(labelled) == round(0.5 * len(training)) and len(set(keys)) == len(keys)
    assert not {clip.key for clip in (*labelled, *held_out)} & set(keys)
    assert set(keys) > {clip.key for clip in split_held_out(other)[0]}
    assert held_out, "there is something that could leak"
    assert not {clip.key for clip in labelled_and_rest(training, held_out, 1.0, held_out[:1])[1]}


def test_demonstrations_with_and_without_the_hand_are_not_mixed():
    hand = {"ee_pos": np.zeros((5, 3)), "ee_quat": np.zeros((5, 4)), "gripper_qpos": np.zeros((5, 2))}
    both = [recorded("a/demo_0", **hand), recorded("b/demo_0")]
    require_one_robot(both)
    with pytest.raises(DataError, match=r"b/demo_0 has other numbers .*'pose and fingers': 0"):
        require_one_robot(both, hand=True)


def test_a_video_becomes_a_demonstration():
    clip = Clip(
        key="push.mp4/video", frames={"agentview": np.zeros((9, 4, 4, 3), np.uint8)}, instruction="push"
    )
    labels = np.zeros((9, 7), np.float32)
    episode = as_demonstration(clip, labels, 7)
    assert len(episode) == 9 and episode.instruction == "push" and not episode.has_gripper
    with pytest.raises(DataError, match=r"push.mp4/video: labels \[8, 7\] do not fit 9 steps"):
        as_demonstration(clip, labels[:8], 7)


def test_decoding_is_repeatable_and_stays_within_the_labels():
    rng = np.random.default_rng(0)
    latents = [rng.normal(size=(30, 5)).astype(np.float32) for _ in range(3)]
    targets = [z[:, :2] for z in latents]
    once, again = (fit_decoder(latents, targets, 2, steps=50).decode(latents[0]) for _ in range(2))
    np.testing.assert_array_equal(once, again)
    assert within_labels(np.array([[3.0, 0.2]]), np.array([[0.0, -1.0], [1.0, 1.0]])).tolist() == [[1.0, 1.0]]


def test_a_policy_learns_from_the_share_and_from_decoded_actions(place):
    decoded = ["--decoded", "data/libero_object/decoded.h5"]
    for share, extra, out in ((0.3, decoded, "runs/few"), (0.3, [], "runs/own")):
        result = program("finetune_policy", "--share", share, *extra, *TRAIN, "--out", out, cwd=place)
        assert result.code == 0, result.errors
    few, own = (load_card(place / out)["data"] for out in ("runs/few", "runs/own"))
    assert few["episodes"] == 17 and own["episodes"] == 5
    card = load_card(place / "runs/few")
    assert card["decoded"]["lam_hash"] == "hand-made" and len(card["decoded"]["labelled"]) == 5


def test_labels_of_other_demonstrations_are_refused(place):
    decoded = ["--decoded", "data/libero_object/decoded.h5"]
    result = program("finetune_policy", "--share", 0.1, *decoded, *TRAIN, "--out", "runs/x", cwd=place)
    assert "demonstrations that are not trained on" in result.errors and result.code == 1
    result = program("finetune_policy", "--blind", *decoded, "--out", "runs/x", cwd=place)
    assert "which is all that blind reads" in result.errors
    result = program("decode_actions", "--share", 1, cwd=place)
    assert "nothing to decode: share 1.0 labels all demonstrations" in result.errors
    latents = ["--decoded", "data/libero_object/latents.h5"]
    result = program("finetune_policy", *latents, *TRAIN, "--out", "runs/x", cwd=place)
    assert "holds 'latents', not 'labels'" in result.errors
