"""`--published-size` is BAKU as its authors published it."""

import numpy as np
import pytest
import torch

from hilam_core.errors import ConfigError
from hilam_core.policy import BakuConfig, EncoderConfig, Policy, PolicyConfig, load_policy, save_policy
from hilam_core.runtime.control import TemporalAggregation

BAKU_PARAMETERS = 8_782_470  # of the published code for LIBERO: two cameras, 9 numbers of proprioception
CAMERAS = ("agentview", "eye_in_hand")


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def inputs(batch=2):
    generator = torch.Generator().manual_seed(0)
    images = {
        name: torch.randint(0, 256, (batch, 64, 64, 3), generator=generator, dtype=torch.uint8)
        for name in CAMERAS
    }
    return images, torch.zeros(batch, 8), torch.randn(batch, 384, generator=generator)


def test_it_has_the_published_number_of_parameters():
    policy = Policy(PolicyConfig.flat(BakuConfig(proprio_dim=9)).at_published_size())
    # 0.7% fewer: no linear map between trunk and head, one layer less in the head.
    assert count(policy) == pytest.approx(BAKU_PARAMETERS, rel=0.01)
    # Convolutions and norms of ResNet-18's stem and two layers, FiLM of four blocks, 256 keypoints.
    assert count(policy.low.encoders) == 683_072 + 393_984 + 33_024


def test_one_encoder_serves_both_cameras_and_is_cut_after_the_second_layer():
    level = Policy(PolicyConfig.flat().at_published_size()).eval().low
    (encoder,) = level.encoders.values()
    shapes = []
    encoder.to_keypoints.register_forward_hook(
        lambda _, given, out: shapes.append((given[0].shape, out.shape))
    )
    images, proprio, language = inputs()
    with torch.no_grad():
        before = level(images, proprio, language).chunk
        swapped = dict(zip(CAMERAS, reversed(images.values()), strict=True))
        after = level(swapped, proprio, language).chunk
    assert shapes == [((2, 128, 8, 8), (2, 256, 8, 8))] * 4  # an eighth of 64 px; two cameras, two passes
    assert not torch.equal(before, after)  # positions tell the cameras apart


def test_every_weight_gets_a_gradient():
    policy = Policy(PolicyConfig.hierarchical(4, base=BakuConfig(waypoint=True)).at_published_size())
    images, proprio, language = inputs()
    high = policy.high(images, proprio, language)
    low = policy.low(images, proprio, language, torch.randn(2, 4))
    (high.chunk.sum() + high.boundary_logit.sum() + low.chunk.sum() + low.waypoint.sum()).backward()
    missing = [name for name, weight in policy.named_parameters() if weight.grad is None]
    assert not missing
    assert all(weight.grad.isfinite().all() for weight in policy.parameters())


def test_language_and_skill_condition_the_encoder():
    torch.manual_seed(0)
    level = Policy(PolicyConfig.hierarchical(4).at_published_size()).eval().low
    (encoder,) = level.encoders.values()
    seen = []
    encoder.layers[0].film.register_forward_hook(lambda _, given, __: seen.append(given[1].detach()))
    images, proprio, language = inputs()
    for sentence, skill in (
        (language, torch.zeros(2, 4)),
        (-language, torch.zeros(2, 4)),
        (language, torch.ones(2, 4)),
    ):
        level(images, proprio, sentence, skill)
    assert seen[0].shape == (2, 512)
    assert not torch.equal(seen[0], seen[2]) and not torch.equal(seen[0], seen[4])


def test_aggregation_weighs_the_oldest_prediction_most_by_a_hundredth():
    decay = PolicyConfig.flat().at_published_size().aggregation_decay
    aggregate = TemporalAggregation(chunk=10, decay=decay)
    for step in range(10):
        action = aggregate(np.full((10, 1), float(step)), step)
    weights = np.exp(-0.01 * np.arange(10))  # counted from the oldest
    assert action[0] == pytest.approx((weights * np.arange(10)).sum() / weights.sum())


def test_a_checkpoint_of_it_loads_as_it_was_saved(tmp_path):
    policy = Policy(PolicyConfig.flat().at_published_size()).eval()
    again = load_policy(save_policy(tmp_path, policy))
    images, proprio, language = inputs()
    assert again.config == policy.config
    with torch.no_grad():
        expected = policy.act(images, proprio, language, None)
    assert torch.equal(again.act(images, proprio, language, None), expected)


def test_one_compact_encoder_for_cameras_of_different_patches_is_refused():
    with pytest.raises(ConfigError, match=r"one size of patches, got \(8, 4\)"):
        BakuConfig(shared_encoder=True)
    shared = BakuConfig(shared_encoder=True, patches=(8, 8), encoder=EncoderConfig(channels=(8, 8)))
    assert len(Policy(PolicyConfig.flat(shared)).low.encoders) == 1
