import numpy as np
import pytest
import torch

from hilam_core.data import SkillStore
from hilam_core.errors import ConfigError, DataError
from hilam_core.skills import (
    Change,
    ChangeRouter,
    CosineRouter,
    LossConfig,
    SkillConfig,
    SkillModel,
    boundary_scores,
    chunk,
    confidence,
    dechunk,
    extract_skills,
    neighbour_report,
    ratio_loss,
    segmentation_report,
    segments_of,
)
from hilam_core.skills.evaluate import matches, nearest_segments, phase_boundaries
from hilam_core.skills.figures import draw_strip
from hilam_core.skills.model import Route, State, WindowAttention, to_frame_rate
from hilam_core.skills.routing import P_MIN, moving_average

PUBLISHED = {"routing": "published", "chunk_lengths": (5.0, 3.0)}


def make_model(seed: int = 0, **settings) -> SkillModel:
    """A model whose routers were disturbed, so that both stages cut at irregular places."""
    torch.manual_seed(seed)
    config = SkillConfig(latent_dim=6, width=16, **{"gap": 4, "chunk_lengths": (5.0, 2.0), **settings})
    model = SkillModel(config)
    for name, parameter in model.named_parameters():
        if "router" in name or "residual" in name:
            parameter.data += 0.5 * torch.randn_like(parameter)
    with torch.no_grad():
        z, told = torch.randn(8, 60, 6), torch.randn(8, config.language_dim)
        model.train()(z, None, told)  # moves the thresholds of the change routers from zero
    return model.eval()


def decisions(router, h: torch.Tensor, strength: torch.Tensor | None = None) -> torch.Tensor:
    """p of the tokens after the first."""
    strength = torch.zeros(*h.shape[:2], 2) if strength is None else strength
    return router(h[:, :-1], h[:, 1:], strength[:, 1:])


def all_ones(b: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(b, dtype=torch.bool)


# --- the equations ---


def test_the_published_router_follows_its_equation_from_identity():
    h = torch.tensor([[[1.0, 0.0], [1.0, 0.0], [0.0, 2.0], [0.0, -3.0], [-1.0, 0.0]]])
    # cosines between neighbours: 1, 0, -1, 0
    torch.testing.assert_close(decisions(CosineRouter(2), h), torch.tensor([[0.0, 0.5, 1.0, 0.5]]))


@pytest.mark.parametrize("settings", [PUBLISHED, {}])
def test_the_first_token_is_a_boundary_and_padding_never(settings):
    mask = torch.tensor([[True] * 40, [True] * 12 + [False] * 28])
    _, routes = make_model(**settings)(torch.randn(2, 40, 6), mask)
    assert routes[0].b[:, 0].all() and not routes[0].b[1, 12:].any()


def test_a_change_shows_where_it_is_with_the_announced_delay():
    """Constant latents that change at frame 20: z^l spans k = 4 frames, so it turns at 16 and again at 20."""
    z = torch.zeros(1, 40, 3)
    z[0, 16:20, 0], z[0, 20:, 1] = 1.0, 1.0
    change = Change(window=2, gap=4, distance=3)
    prominence, peak = change(z)[0].unbind(-1)
    assert int(prominence.argmax()) == 20 + change.delay == 27
    assert ((peak >= 0.5) & (prominence > 0)).sum() == 1
    assert not change(torch.ones(1, 40, 3)).any(), "nothing changes"


def test_noise_on_steady_motion_is_less_prominent_than_a_change_as_strong():
    rng = torch.Generator().manual_seed(0)
    z = torch.randn(1, 200, 3, generator=rng)  # s is high all the time
    z[0, 60:] *= 0.02  # and then only where a latent action turns, at 100 and k steps later
    z[0, 100:104, 0] += 1.5
    z[0, 104:, 1] += 1.5
    change = Change(window=2, gap=4, distance=3)
    prominence = change(z)[0, change.delay :, 0]
    assert int(prominence[70:].argmax()) + 70 == 104
    assert prominence[104] > prominence[:50].max()


def test_change_needs_no_more_than_its_memory():
    z, change = torch.randn(1, 80, 3), Change(window=2, gap=4, distance=5)
    whole = change(z)
    for t in (40, 55, 79):
        torch.testing.assert_close(change(z[:, t + 1 - change.memory : t + 1])[:, -1], whole[:, t])


def test_the_change_router_cuts_at_peaks_as_often_as_its_length_says():
    router = ChangeRouter(10.0)
    q = torch.rand(16, 400)
    peak = (q == torch.nn.functional.max_pool1d(q, 7, 1, 3)).float()
    strength, mask = torch.stack([q, peak], -1), torch.ones(16, 400, dtype=torch.bool)
    for _ in range(3):
        router.observe(strength, mask)
    b = decisions(router, strength, strength) >= 0.5
    assert 380 / 12 < b.sum(1).float().mean() < 400 / 9
    assert not (b[:, :-1] & b[:, 1:]).any(), "no bursts"


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


def one_after_the_other(values: torch.Tensor, P: torch.Tensor) -> torch.Tensor:
    """The moving average as its equation says, in a loop."""
    value, found = torch.zeros_like(values[:, 0]), []
    for j in range(values.shape[1]):
        value = P[:, j, None] * values[:, j] + (1 - P[:, j, None]) * value
        found.append(value)
    return torch.stack(found, 1)


@pytest.mark.parametrize("count", [1, 2, 37, 2000])
def test_the_parallel_scan_and_its_gradients_are_those_of_the_loop(count):
    """P of every size, and long at its two clamps, where products of 1 - P vanish or hardly do."""
    rng = torch.Generator().manual_seed(0)
    values = torch.randn(4, count, 3, generator=rng, requires_grad=True)
    P = torch.rand(4, count, generator=rng).clamp(P_MIN, 1 - P_MIN)
    P[1], P[2], P[3, count // 2 :] = P_MIN, 1 - P_MIN, P_MIN
    P.requires_grad_()
    weights = torch.randn(4, count, 3, generator=rng)
    found = []
    for average in (moving_average, one_after_the_other):
        means = average(values, P)
        found.append([means, *torch.autograd.grad((means * weights).sum(), (values, P))])
    for scanned, looped in zip(*found, strict=True):
        torch.testing.assert_close(scanned, looped, atol=1e-6 * float(looped.detach().abs().max()), rtol=1e-4)


def test_padding_reaches_neither_chunks_nor_gradients():
    """Sequences of 2,000 and 3 tokens in one batch: the short one is as alone."""
    p = torch.rand(2, 2000, generator=torch.Generator().manual_seed(0))
    p[:, 0], p[1, 3:] = 1.0, 0.0
    zhat = torch.randn(2, int((p >= 0.5).sum(1).max()), 4)
    whole, alone = zhat.clone().requires_grad_(), zhat[1:, :3].clone().requires_grad_()
    together, single = dechunk(whole, p, p >= 0.5)[1:, :3], dechunk(alone, p[1:, :3], p[1:, :3] >= 0.5)
    torch.testing.assert_close(together, single)
    together.sum().backward()
    single.sum().backward()
    torch.testing.assert_close(whole.grad[1:, :3], alone.grad)
    assert not whole.grad[0].any() and not whole.grad[1, 3:].any()


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


def test_the_instruction_is_read_with_every_latent_action():
    model, z = make_model(language_model="some", language_dim=3), torch.randn(2, 40, 6)
    told = torch.randn(2, 3)
    with torch.no_grad():
        predicted, _ = model(z, None, told)
        assert not torch.allclose(predicted, model(z, None, told.flip(0))[0])
        state = State()
        for t in range(40):
            y, _ = model.step(z[1, t], state, told[1])
            torch.testing.assert_close(y, predicted[1, t], atol=1e-5, rtol=0)


def test_attention_reads_its_window_and_keeps_no_more():
    torch.manual_seed(0)
    attention, x = WindowAttention(8, heads=2, window=5), torch.randn(1, 20, 8)
    y, _ = attention(x, None)
    changed = x.clone()
    changed[:, 10] += 1
    difference = (attention(changed, None)[0] - y).abs().amax((0, 2))
    assert (difference > 1e-4).nonzero().flatten().tolist() == [10, 11, 12, 13, 14]
    state = None
    for t in range(20):
        stepped, state = attention(x[:, t : t + 1], state)
        torch.testing.assert_close(stepped[:, 0], y[:, t], atol=1e-6, rtol=0)
        assert state.shape[1] == min(t + 1, 4)
    with pytest.raises(ConfigError, match="width must be a multiple of attention_heads, got 10 and 4"):
        SkillConfig(width=10, main_kind="attention")


def test_residual_starts_at_zero():
    model = SkillModel(SkillConfig(latent_dim=6, width=16, gap=4))
    assert not model.net.residual.weight.any() and model.net.residual.weight.dtype == torch.float32


ATTENTION = {"stage_kind": "attention", "main_kind": "attention", "attention_window": 7}


@pytest.mark.parametrize("settings", [PUBLISHED, {}, ATTENTION, {**PUBLISHED, "main_kind": "attention"}])
def test_one_step_at_a_time_equals_the_whole_sequence(settings):
    model, z = make_model(**settings), torch.randn(1, 120, 6)
    with torch.no_grad():
        predicted, routes = model(z)
        frames = to_frame_rate(routes)
        state, numbers = State(), [0, 0]
        for t in range(120):
            y, stepped = model.step(z[0, t], state)
            torch.testing.assert_close(y, predicted[0, t], atol=1e-5, rtol=0)
            torch.testing.assert_close(stepped[0].p[0, 0], routes[0].p[0, t], atol=1e-5, rtol=0)
            numbers[0] += int(stepped[0].b)
            numbers[1] += int(len(stepped) > 1 and bool(stepped[1].b))
            assert numbers == [int(f.segment[0, t]) for f in frames]
            torch.testing.assert_close(stepped[0].zbar[0, 0], frames[0].z[0, t], atol=1e-5, rtol=0)
            if len(stepped) > 1:
                torch.testing.assert_close(stepped[1].zbar[0, 0], frames[1].z[0, t], atol=1e-5, rtol=0)
    assert 5 < numbers[0] < 110 and 1 < numbers[1] < numbers[0], "the comparison needs cuts at both stages"


@pytest.mark.parametrize("settings", [PUBLISHED, {}, ATTENTION])
def test_model_is_causal_and_padding_changes_nothing(settings):
    model, z = make_model(**settings), torch.randn(2, 40, 6)
    with torch.no_grad():
        whole, _ = model(z)
        later = z.clone()
        later[:, 25:] += 1
        torch.testing.assert_close(model(later)[0][:, :25], whole[:, :25], atol=1e-5, rtol=0)
        mask = torch.arange(40) < torch.tensor([[40], [25]])
        padded, _ = model(torch.where(mask[..., None], z, 0), mask)
        torch.testing.assert_close(padded[1, :25], whole[1, :25], atol=1e-5, rtol=0)


def test_published_routers_get_a_gradient():
    model = make_model(**PUBLISHED)
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
        model = make_model(min_change=min_change, **PUBLISHED)
        with torch.no_grad():
            model.net.router.query.weight.copy_(
                -model.net.router.key.weight
            )  # the worst case: p = 1 for equal features
            return int(model(z)[1][0].b[0, 20:].sum())

    assert cuts(0.0) == 180
    assert cuts(0.05) == 0
    assert int(make_model()(z)[1][0].b[0, 1:].sum()) == 0, "the default needs no guard"


def test_zero_features_are_no_boundary_with_the_guard():
    h = torch.zeros(1, 10, 4)
    assert (decisions(CosineRouter(4), h) >= 0.5).all()
    assert not (decisions(CosineRouter(4, min_change=0.05), h) >= 0.5).any()


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


def test_extracted_segments_begin_where_the_change_was():
    model = SkillModel(SkillConfig(latent_dim=3, width=16, gap=4, chunk_lengths=(8.0,))).eval()
    model.net.router.threshold.fill_(0.1)
    z = np.zeros((60, 3), np.float32)
    z[16:20, 0] = z[20:48, 1] = 1.0  # a change at frame 20,
    z[48:52, 0] = z[52:, 2] = 1.0  # and one at frame 52, nearer to the end than the model's delay
    skills = extract_skills(model, z, valid=55)
    assert np.flatnonzero(skills["b1"]).tolist() == [0, 20, 52]


@pytest.mark.parametrize("stages", [1, 3])
def test_as_many_stages_as_there_are_chunk_lengths(stages, tmp_path):
    z = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)
    skills = extract_skills(make_model(chunk_lengths=(3.0,) * stages), z, valid=42)
    attrs = {"lam": "", "lam_hash": "abc", "cameras": ["agentview"], "gap": 8, "stages": stages}
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
    with pytest.raises(ConfigError, match="gap must be that of the latent actions, got -1"):
        SkillModel(SkillConfig(latent_dim=6))
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
    report = segmentation_report(skills, {"e/demo_0": phases}, 2, (1, 3))
    assert report["f1@3"] == 1.0 and report["f1@1"] == 0.0
    assert report["even_f1@3"] == 0.5 and report["random_f1@3"] < 0.6
    assert report["recall_b"] == report["recall_c"] == 1.0 and "recall_a" not in report
    assert report["segments_per_episode"] == 3 and report["segment_frames_mean"] == 20
    assert report["one_frame_segments"] == 0
    assert segmentation_report(skills, {"e/demo_0": phases}, 2, (1,), shift=2)["f1@1"] == 1.0
    assert boundary_scores([([5], [5, 20])], 2) == {
        "precision": 1.0,
        "recall": 0.5,
        "f1": pytest.approx(2 / 3),
    }


def test_neighbours_are_the_most_similar_segments_of_other_episodes():
    """Two phases with vectors of their own, in three episodes."""
    rng = np.random.default_rng(0)
    centre = {"reach": np.array([1.0, 0, 0, 0]), "grasp": np.array([0, 1.0, 0, 0])}
    skills, phases = {}, {}
    for i in range(3):
        names = ["reach"] * 6 + ["grasp"] * 4
        z = np.stack([centre[n] for n in names]) + 0.0
        z[:6] += 0.05 * rng.normal(size=4)
        z[6:] += 0.05 * rng.normal(size=4)
        skills[f"e{i}"] = {"z1": z, "segment1": np.array([1] * 6 + [2] * 4)}
        phases[f"e{i}"] = names
    segments = segments_of(skills, phases, 1)
    assert [(s.phase, s.start, s.stop) for s in segments[:2]] == [("reach", 0, 6), ("grasp", 6, 10)]
    for segment, near in zip(segments, nearest_segments(segments, 2), strict=True):
        assert len(near) == 2 and all(segments[j].key != segment.key for j in near)
    report = neighbour_report(segments, 2)
    assert report["purity"] == report["purity_grasp"] == 1.0 and report["purity_chance"] == 0.5
    assert nearest_segments(segments[:2], 2) == [[], []], "one episode has no neighbours"
