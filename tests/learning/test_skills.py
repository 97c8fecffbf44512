import numpy as np
import pytest
import torch

from hilam_core.data import SkillStore
from hilam_core.errors import ConfigError, DataError
from hilam_core.skills import (
    LossConfig,
    Router,
    SkillConfig,
    SkillModel,
    boundary_scores,
    chunk,
    confidence,
    dechunk,
    extract_skills,
    ratio_loss,
    segmentation_report,
)
from hilam_core.skills.evaluate import matches, phase_boundaries
from hilam_core.skills.figures import draw_strip
from hilam_core.skills.model import Route, State, to_frame_rate


def make_model(seed: int = 0, **settings) -> SkillModel:
    """A model whose routers were disturbed, so that both stages cut at irregular places."""
    torch.manual_seed(seed)
    model = SkillModel(SkillConfig(latent_dim=6, width=16, **settings))
    for name, parameter in model.named_parameters():
        if "router" in name or "residual" in name:
            parameter.data += 0.5 * torch.randn_like(parameter)
    return model.eval()


def all_ones(b: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(b, dtype=torch.bool)


# --- the equations ---


def test_router_follows_its_equation_from_identity():
    h = torch.tensor([[[1.0, 0.0], [1.0, 0.0], [0.0, 2.0], [0.0, -3.0], [-1.0, 0.0]]])
    p, b = Router(2)(h, torch.ones(1, 5, dtype=torch.bool))
    # cosines between neighbours: 1, 0, -1, 0
    torch.testing.assert_close(p, torch.tensor([[1.0, 0.0, 0.5, 1.0, 0.5]]))
    assert b.tolist() == [[True, False, True, True, True]]


def test_padding_is_never_a_boundary():
    h, mask = torch.randn(2, 6, 4), torch.tensor([[True] * 6, [True] * 2 + [False] * 4])
    _, b = Router(4)(h, mask)
    assert not b[1, 2:].any()


def test_chunk_keeps_boundary_tokens_in_order():
    h = torch.arange(10.0).reshape(2, 5, 1)
    b = torch.tensor([[True, False, True, False, True], [True, False, False, True, False]])
    tokens, mask = chunk(h, b)
    assert tokens[0, :, 0].tolist() == [0, 2, 4] and tokens[1, :2, 0].tolist() == [5, 8]
    assert mask.tolist() == [[True, True, True], [True, True, False]]


def test_dechunk_matches_a_plain_loop():
    rng = torch.Generator().manual_seed(0)
    p = torch.rand(3, 12, generator=rng)
    p[:, 0] = 1.0
    b = p >= 0.5
    zhat = torch.randn(3, int(b.sum(1).max()), 4, generator=rng)
    out = dechunk(zhat, p, b)
    for i in range(3):
        value, j = torch.zeros(4), 0
        for t in range(12):
            if b[i, t]:
                P = p[i, t].clamp(1e-4, 1 - 1e-4)
                value, j = P * zhat[i, j] + (1 - P) * value, j + 1
            torch.testing.assert_close(out[i, t], value)


def test_confidence_is_one_forward_and_passes_the_gradient():
    p = torch.tensor([0.9, 0.2, 0.6], requires_grad=True)
    c = confidence(p, p >= 0.5)
    assert c.tolist() == [1, 1, 1]
    c.sum().backward()
    assert p.grad.tolist() == [1, -1, 1]


@pytest.mark.parametrize("n", [3.0, 5.0])
def test_ratio_loss_is_one_at_the_target_and_more_elsewhere(n):
    def at(fraction):
        b = torch.arange(600) < fraction * 600
        return ratio_loss(b.float(), b, all_ones(b), n).item()

    assert at(1 / n) == pytest.approx(1, abs=1e-4)
    assert at(0.9) > at(0.6) > at(1 / n)
    b = torch.tensor([True, False, False, False])
    p = torch.tensor([1.0, 0.5, 0.5, 0.0])
    f, g = 0.25, 0.5
    assert ratio_loss(p, b, all_ones(b), 4.0).item() == pytest.approx(4 / 3 * (3 * f * g + (1 - f) * (1 - g)))


def test_composed_boundaries_and_segments_on_the_frame_axis():
    b1 = torch.tensor([[True, False, True, True, False, True]])
    b2 = torch.tensor([[True, False, True, False]])
    z2 = torch.tensor([[[1.0], [1.0], [2.0], [2.0]]])
    p1, p2 = b1.float() * 0.8, torch.tensor([[1.0, 0.3, 0.7, 0.1]])
    first, second = to_frame_rate(
        [Route(p1, b1, torch.randn(1, 6, 1), all_ones(b1)), Route(p2, b2, z2, all_ones(b2))]
    )
    assert first.segment.tolist() == [[1, 1, 2, 3, 3, 4]]
    assert second.b.tolist() == [[True, False, False, True, False, False]]
    assert second.segment.tolist() == [[1, 1, 1, 2, 2, 2]]
    assert second.z[0, :, 0].tolist() == [1, 1, 1, 2, 2, 2]
    torch.testing.assert_close(second.p, torch.tensor([[1.0, 0, 0.3, 0.7, 0, 0.1]]))


# --- the model ---


def test_residual_starts_at_zero():
    model = SkillModel(SkillConfig(latent_dim=6, width=16))
    assert not model.net.residual.weight.any() and model.net.residual.weight.dtype == torch.float32


def test_one_step_at_a_time_equals_the_whole_sequence():
    model, z = make_model(), torch.randn(1, 60, 6)
    with torch.no_grad():
        predicted, routes = model(z)
        frames = to_frame_rate(routes)
        state, numbers = State(), [0, 0]
        for t in range(60):
            y, stepped = model.step(z[0, t], state)
            torch.testing.assert_close(y, predicted[0, t], atol=1e-5, rtol=0)
            torch.testing.assert_close(stepped[0].p[0, 0], routes[0].p[0, t], atol=1e-5, rtol=0)
            numbers[0] += int(stepped[0].b)
            numbers[1] += int(len(stepped) > 1 and bool(stepped[1].b))
            assert numbers == [int(f.segment[0, t]) for f in frames]
            torch.testing.assert_close(stepped[0].zbar[0, 0], frames[0].z[0, t], atol=1e-5, rtol=0)
            if len(stepped) > 1:
                torch.testing.assert_close(stepped[1].zbar[0, 0], frames[1].z[0, t], atol=1e-5, rtol=0)
    assert 5 < numbers[0] < 55 and 1 < numbers[1] < numbers[0], "the comparison needs cuts at both stages"


def test_model_is_causal_and_padding_changes_nothing():
    model, z = make_model(), torch.randn(2, 40, 6)
    with torch.no_grad():
        whole, _ = model(z)
        later = z.clone()
        later[:, 25:] += 1
        torch.testing.assert_close(model(later)[0][:, :25], whole[:, :25], atol=1e-5, rtol=0)
        mask = torch.arange(40) < torch.tensor([[40], [25]])
        padded, _ = model(torch.where(mask[..., None], z, 0), mask)
        torch.testing.assert_close(padded[1, :25], whole[1, :25], atol=1e-5, rtol=0)


def test_routers_get_a_gradient():
    model = make_model()
    predicted, _ = model(torch.randn(2, 40, 6))
    predicted.square().mean().backward()
    for parameter in (model.net.router.query.weight, model.net.inner.router.key.weight):
        assert parameter.grad.abs().max() > 0


@pytest.mark.parametrize("constant", [0.0, 1.0])
def test_constant_input_does_not_split_every_token(constant):
    """An idle robot: without the guard a disturbed router cuts at every step, with it only while features
    settle."""
    z = torch.full((1, 200, 6), constant)

    def cuts(min_change):
        model = make_model(min_change=min_change)
        with torch.no_grad():
            model.net.router.query.weight.copy_(
                -model.net.router.key.weight
            )  # the worst case: p = 1 for equal features
            return int(model(z)[1][0].b[0, 20:].sum())

    assert cuts(0.0) == 180
    assert cuts(0.05) == 0


def test_zero_features_are_no_boundary_with_the_guard():
    h = torch.zeros(1, 10, 4)
    assert Router(4)(h, torch.ones(1, 10, dtype=torch.bool))[1].sum() == 10
    assert Router(4, min_change=0.05)(h, torch.ones(1, 10, dtype=torch.bool))[1].sum() == 1


def test_extracted_skills_are_constant_within_segments_and_cover_the_tail():
    z = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)
    skills = extract_skills(make_model(), z, valid=42)
    for s in (1, 2):
        assert skills[f"z{s}"].shape == (50, 16) and skills[f"b{s}"][0] and not skills[f"b{s}"][42:].any()
        np.testing.assert_array_equal(np.cumsum(skills[f"b{s}"]), skills[f"segment{s}"])
        for number in np.unique(skills[f"segment{s}"]):
            segment = skills[f"z{s}"][skills[f"segment{s}"] == number]
            assert np.ptp(segment, 0).max() == 0
    assert set(np.flatnonzero(skills["b2"])) <= set(np.flatnonzero(skills["b1"]))


@pytest.mark.parametrize("stages", [1, 3])
def test_as_many_stages_as_there_are_chunk_lengths(stages, tmp_path):
    z = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)
    skills = extract_skills(make_model(chunk_lengths=(3.0,) * stages), z, valid=42)
    attrs = {"lam": "", "lam_hash": "abc", "camera": "agentview", "gap": 8, "stages": stages}
    SkillStore({"a/demo_0": skills}, attrs).write(tmp_path / "skills.h5")
    stored = SkillStore.read(tmp_path / "skills.h5")
    assert stored.stages == stages and stored["a/demo_0"].keys() == skills.keys()
    assert f"z{stages}" in skills and f"z{stages + 1}" not in skills
    draw_strip(tmp_path / "strip.png", np.zeros((50, 8, 8, 3), np.uint8), stored["a/demo_0"], title="a_b")
    assert (tmp_path / "strip.png").stat().st_size > 1000


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_model_fed_what_is_not_finite_says_so(bad):
    model, z = make_model(), torch.zeros(2, 10, 6)
    z[1, 4, 2] = bad
    with pytest.raises(DataError, match=r"not finite, at \[1, 4, 2\]"):
        model(z)
    with pytest.raises(DataError, match="not finite"):
        model.step(z[1, 4], State())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"chunk_lengths": (5.0, 1.0)}, "chunk_lengths must be greater than 1"),
        ({"chunk_lengths": ()}, "chunk_lengths must be greater than 1"),
        ({"width": 0}, "width must be at least 1, got 0"),
        ({"latent_dim": -1}, "latent_dim must be at least 0, got -1"),
        ({"residual_dropout": 1.0}, "residual_dropout in"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        SkillConfig(**settings)


def test_a_model_needs_the_length_of_its_input_and_losses_are_not_negative():
    with pytest.raises(ConfigError, match="latent_dim"):
        SkillModel(SkillConfig())
    with pytest.raises(ConfigError, match=r"loss\.rec must not be negative, got -1"):
        LossConfig(rec=-1)


# --- metrics ---


def test_matches_pairs_one_to_one_within_tolerance():
    assert matches([10, 11, 30], [12, 33], 3) == 2
    assert matches([10, 11], [12], 3) == 1, "two predictions cannot claim the same boundary"
    assert matches([10], [14], 3) == 0


def test_scores_and_baselines():
    phases = ["a"] * 13 + ["b"] * 29 + ["c"] * 18
    assert phase_boundaries(phases) == [13, 42]
    b = np.zeros(60, bool)
    b[[0, 11, 40]] = True
    skills = {"e/demo_0": {"b2": b, "segment2": np.cumsum(b)}}
    report = segmentation_report(skills, {"e/demo_0": phases}, 2, tolerance=3)
    assert report["f1"] == 1.0 and report["even_f1"] == 0.5 and report["random_f1"] < 0.6
    assert report["recall_b"] == report["recall_c"] == 1.0 and "recall_a" not in report
    assert report["segments_per_episode"] == 3 and report["segment_frames_mean"] == 20
    shifted = segmentation_report(skills, {"e/demo_0": phases}, 2, tolerance=3, shift=5)
    assert (
        shifted["f1"] == 1.0 and segmentation_report(skills, {"e/demo_0": phases}, 2, tolerance=1)["f1"] == 0
    )
    assert boundary_scores([([5], [5, 20])], 2) == {
        "precision": 1.0,
        "recall": 0.5,
        "f1": pytest.approx(2 / 3),
    }
