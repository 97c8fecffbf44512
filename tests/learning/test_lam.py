import numpy as np
import pytest
import torch
from synthetic import write_demonstrations

from hilam_core.cards import make_card
from hilam_core.checkpoint import save_checkpoint
from hilam_core.data import Clip, read_clips, read_demonstrations, split_held_out
from hilam_core.errors import ConfigError, DataError
from hilam_core.lam import (
    CompactConfig,
    CompactLAM,
    FramePairs,
    action_probe,
    evaluate_lam,
    extract_latents,
    load_lam,
    to_input,
)
from hilam_core.lam.compact import warp
from hilam_core.lam.encoder import FrameEncoder
from hilam_core.lam.figures import draw_predictions
from hilam_core.lam.loss import motion_weight
from hilam_core.training import TrainConfig, train

SMALL = CompactConfig(
    image_size=32, target_size=16, latent_dim=8, width=32, encoder_stem=16, encoder_channels=32
)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demos")
    write_demonstrations(folder / "blob_demo.hdf5", episodes=20)
    return folder, read_clips(folder)


@pytest.fixture(scope="module")
def trained(clips, tmp_path_factory):
    items = clips[1]
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = CompactLAM(SMALL)
    pairs = FramePairs(split_held_out(items)[0], 4, 10)
    config = TrainConfig(steps=400, batch_size=32, lr=2e-3, warmup_steps=20, ema_decay=0.98, device="cpu")
    loss = lambda m, batch: m.decoding_loss(batch["now"], batch["future"], motion_gain=20.0)  # noqa: E731
    train(config, model, pairs.sample, loss, tmp_path_factory.mktemp("lam"))
    return model.eval()


def test_map_size_follows_image_size():
    encoder = FrameEncoder(stem=32, channels=96)
    assert encoder(torch.rand(1, 3, 128, 128)).shape == (1, 96, 16, 16)
    assert encoder(torch.rand(1, 3, 64, 64)).shape == (1, 96, 8, 8)


def test_to_input_averages_areas():
    images = np.random.default_rng(0).integers(0, 255, (2, 8, 8, 3), dtype=np.uint8)
    x = to_input(images, 4)
    assert x.shape == (2, 3, 4, 4)
    assert x[1, 2, 0, 1].item() == pytest.approx(images[1, 0:2, 2:4, 2].mean() / 255, abs=1e-6)


def test_pairs_have_the_gap_and_stay_in_their_clip():
    clips = [
        Clip(
            key=f"c{i}",
            frames={"video": np.tile(np.arange(n, dtype=np.uint8)[:, None, None, None], (2, 2, 3))},
        )
        for i, n in enumerate((12, 7))
    ]
    pairs = FramePairs(clips, 4, 6)
    assert len(pairs) == 8 + 3
    batch = pairs.pairs(np.arange(11), np.full(11, 4))
    np.testing.assert_array_equal(batch["now"][:, 0, 0, 0], [*range(8), *range(3)])
    assert (batch["future"] - batch["now"] == 4).all()
    sample = pairs.sample(np.random.default_rng(0), 200)
    gaps = (sample["future"] - sample["now"])[:, 0, 0, 0]
    assert set(gaps) == {4, 5, 6}
    with pytest.raises(DataError, match="c1 has 7 frames"):
        FramePairs(clips, 7, 8)


def test_moving_pixels_weigh_more():
    now = torch.zeros(1, 3, 8, 8)
    future = now.clone()
    future[..., :2, :2] = 1
    weight = motion_weight(now, future, 20.0)
    assert weight.mean().item() == pytest.approx(1, abs=1e-5) and weight[0, 0, 0, 0] > 3 * weight[0, 0, 7, 7]


def test_untrained_fdm_copies_the_frame_but_for_its_mask_and_z_is_normalised():
    model = CompactLAM(SMALL).eval()
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)
    z = model.infer(images, images[::-1])
    torch.testing.assert_close(z.mean(1), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(z.var(1, unbiased=False), torch.ones(4), atol=1e-2, rtol=0)


def test_trained_model_beats_copy_and_uses_z(trained, clips):
    _, held_out = split_held_out(clips[1])
    metrics = evaluate_lam(trained, FramePairs(held_out, 8, 8), 8, count=128)
    assert metrics["gain_over_copy"] > 0.5
    assert metrics["gain_over_shuffled"] > 0.3 and metrics["gain_over_zero"] > 0.3
    assert metrics["psnr_model"] > metrics["psnr_copy"]


def test_latents_of_an_episode_are_the_pairwise_ones_and_predict_actions(trained, clips):
    episodes = read_demonstrations(clips[0], cameras=("agentview",))
    frames = episodes[0].frames["agentview"]
    z = extract_latents(trained, frames, 8, batch_size=16)
    assert z.shape == (len(frames), 8) and (z[-8:] == z[-9]).all()
    pair = trained.infer(frames[5:6], frames[13:14])
    np.testing.assert_allclose(z[5], pair[0].detach(), atol=1e-5)
    rows = [(extract_latents(trained, e.frames["agentview"], 8), e.actions) for e in episodes]
    assert action_probe(rows[:-4], rows[-4:], 8)[:2].mean() > 0.6
    with pytest.raises(DataError, match="too few"):
        extract_latents(trained, frames[:8], 8)


def test_checkpoint_round_trip_and_picture(trained, clips, tmp_path):
    save_checkpoint(tmp_path, trained.state_dict(), make_card("lam", SMALL, {"gap": 8}, {}, {}, seed=0))
    again = load_lam(tmp_path)
    x = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(again.encoder(x), trained.encoder(x))
    assert again.gap == 8
    frames = clips[1][0].frames["agentview"]
    draw_predictions(tmp_path / "predictions.png", again, frames[:3], frames[8:11])
    assert (tmp_path / "predictions.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image_size": 100}, "image_size must be a multiple of 16 from 32 on, got 100"),
        ({"latent_dim": 0}, "latent_dim must be at least 2, got 0"),
        ({"width": 20}, "width must be a multiple of 8, got 20"),
        ({"noise": -0.1}, "noise must not be negative"),
    ],
)
def test_bad_sizes_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        CompactConfig(**settings)


def test_the_probe_gives_no_number_for_actions_that_never_change():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(60, 4))
    actions = np.column_stack([z[:, 0], np.ones(60), np.zeros(60)])
    r2 = action_probe([(z, actions)] * 2, [(z, actions)], gap=1)
    assert r2[0] > 0.9 and np.isnan(r2[1:]).all()


def test_warp_moves_the_image_by_the_flow():
    images = torch.rand(1, 3, 8, 8)
    torch.testing.assert_close(warp(images, torch.zeros(1, 2, 8, 8)), images, atol=1e-5, rtol=0)
    flow = torch.zeros(1, 2, 8, 8)
    flow[:, 0] = 2 / 8  # one pixel: x counts in half images
    torch.testing.assert_close(warp(images, flow)[..., :-1], images[..., 1:], atol=1e-5, rtol=0)
