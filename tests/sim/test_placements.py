"""Fresh and scattered placements."""

import numpy as np
from hilam_sim.geometry import footprint
from hilam_sim.placements import scatterable


def _positions(env, seeds, placement):
    names = scatterable(env.problem)
    rows = []
    for seed in seeds:
        env.reset(seed=seed, options={"placement": placement})
        rows.append([env.data.xpos[env.problem.obj_body_id[name]].copy() for name in names])
    return np.array(rows)


def test_scattered_targets_cover_the_region_and_fresh_ones_do_not(env):
    scattered, fresh = (_positions(env, range(25), placement) for placement in ("scattered", "fresh"))
    assert (np.ptp(scattered[:, 0, :2], axis=0) > (0.2, 0.25)).all()
    assert (np.ptp(fresh[:, 0, :2], axis=0) < 0.1).all()
    assert (np.ptp(scattered[:, 1:, :2], axis=0) > 0.15).all()
    assert (scattered[..., 2] < 0.1).all()  # nothing hangs in the air or stands on something else


def test_scattered_objects_do_not_touch(env):
    names = list(env.problem.objects_dict)
    for seed in range(10):
        env.reset(seed=seed, options={"placement": "scattered"})
        boxes = [footprint(env.problem, n) + env.data.xpos[env.problem.obj_body_id[n]][:2] for n in names]
        for i, one in enumerate(boxes):
            for other in boxes[:i]:
                assert (one[0] > other[1]).any() or (one[1] < other[0]).any()


def test_the_target_comes_first_and_the_basket_stays(env):
    env.reset()
    names = scatterable(env.problem)
    assert names[0] == "bbq_sauce_1"
    assert "basket_1" not in names
