"""What makes inference fast changes no results: fixed places, torch.compile, bfloat16."""

import numpy as np
import pytest
import torch
from programs import program

from hilam_core.errors import ConfigError
from hilam_core.inference import Replayed
from hilam_core.policy import BakuConfig, EncoderConfig, Policy, PolicyConfig
from hilam_core.training import TrainConfig, train

ENCODER = EncoderConfig(channels=(8, 8), keypoints=4, film_dim=8)
SMALL = BakuConfig(encoder=ENCODER, width=16, layers=1, heads=2)


@pytest.fixture(scope="module")
def policy():
    torch.manual_seed(0)
    return Policy(PolicyConfig.hierarchical(8, base=SMALL, image_size=32)).eval().requires_grad_(False)


def inputs(seed, batch=1):
    generator = torch.Generator().manual_seed(seed)
    images = {
        camera: torch.randint(0, 256, (batch, 32, 32, 3), dtype=torch.uint8, generator=generator)
        for camera in SMALL.cameras
    }
    language, skill = (torch.randn(batch, size, generator=generator) for size in (384, 8))
    return images, None, language, skill


def test_calls_in_fixed_places_give_the_same_and_keep_earlier_results(policy):
    """The way a CUDA graph is recorded and replayed, with plain calls in its place."""
    replayed = Replayed(policy._run_low)
    results = [replayed(*inputs(seed)) for seed in range(3)] + [replayed(*inputs(3, batch=2))]
    expected = [policy.act(*inputs(seed)) for seed in range(3)] + [policy.act(*inputs(3, batch=2))]
    for result, wanted in zip(results, expected, strict=True):
        assert torch.equal(result, wanted)
    assert len(replayed.recordings) == 2  # a recording for each shape
    skill, boundary = Replayed(policy._run_high)(*inputs(0)[:3])
    assert torch.equal(skill, policy.plan(*inputs(0)[:3])[0]) and boundary.shape == (1,)


def test_a_prepared_policy_gives_what_it_gave(policy):
    given = inputs(0)
    skill, action = policy.plan(*given[:3])[0], policy.act(*given)
    prepared = policy.prepare()
    assert prepared is policy and torch.equal(policy.act(*given), action)
    policy.prepare(compile="aot_eager")  # traces as inductor does, without its minutes of C++
    torch.testing.assert_close(policy.act(*given), action, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(policy.plan(*given[:3])[0], skill, atol=1e-5, rtol=1e-4)
    policy.prepare(precision="bfloat16")
    rough = policy.act(*given)
    assert not torch.equal(rough, action)
    torch.testing.assert_close(rough, action, atol=0.05, rtol=0.05)
    policy.prepare()


def numbers(rng, n):
    return rng.normal(size=(n, 4)).astype(np.float32)


def squared_error(model, batch):
    return (model(batch) - batch.sum(1, keepdim=True)).square().mean(), {}


def test_a_compiled_training_follows_the_plain_one(tmp_path):
    """Without dropout, of which the compiler draws other numbers."""
    weights = {}
    for name, backend in (("plain", None), ("compiled", "aot_eager")):
        torch.manual_seed(0)
        net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.SiLU(), torch.nn.Linear(8, 1))
        config = TrainConfig(
            steps=5, batch_size=8, warmup_steps=1, device="cpu", precision="float32", compile=backend
        )
        train(config, net, numbers, squared_error, tmp_path / name)
        weights[name] = torch.cat([parameter.detach().flatten() for parameter in net.parameters()])
    torch.testing.assert_close(weights["compiled"], weights["plain"], atol=1e-6, rtol=1e-5)


def test_an_unknown_compiler_is_refused(policy, tmp_path):
    with pytest.raises(ConfigError, match=r"unknown backend of torch.compile 'fast'; choices: .*inductor"):
        policy.prepare(compile="fast")
    result = program("finetune_policy", "--blind", "--train.compile", "fast", cwd=tmp_path)
    assert result.code == 1 and "unknown backend of torch.compile 'fast'" in result.errors
