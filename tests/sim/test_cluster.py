"""Jobs on a Ray cluster of two nodes: the results of one machine, also where workers or nodes are lost."""

import os
import socket
import sys
from dataclasses import replace

import numpy as np
import pytest
import ray

from hilam_core.errors import DataError
from hilam_sim.cluster import open_pool
from hilam_sim.errors import SimError
from hilam_sim.workers import WorkerError, WorkerPool

pytestmark = pytest.mark.slow

HANDLERS = """
import os, time
from pathlib import Path
from hilam_core.errors import DataError

def make(folder):
    def work(job):
        mark = Path(folder) / f"{job}"
        if job == "dies once" and not mark.exists():
            mark.touch()
            os._exit(1)
        if job == "dies":
            os._exit(1)
        if job == "wrong":
            raise DataError("clip 7 is broken")
        if job == "fails":
            raise RuntimeError("a fault of ours")
        if isinstance(job, int):
            time.sleep(0.3)
        return str(job) * 2
    return work
"""


def node():
    """Settings of a node. Where its agents have ports given, it does not wait for them with a short limit."""
    ports = ("metrics_agent", "metrics_export", "runtime_env_agent", "dashboard_agent_listen")
    return {
        "num_cpus": 1,
        "object_store_memory": 100 * 2**20,
        **{f"{name}_port": _free_port() for name in ports},
    }


def _free_port():
    with socket.socket() as place:
        place.bind(("", 0))
        return place.getsockname()[1]


@pytest.fixture(scope="module")
def cluster():
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        for name, value in (
            ("RAY_agent_register_timeout_ms", "300000"),
            ("RAY_raylet_start_wait_time_s", "300"),
            ("RAY_health_check_timeout_ms", "100000"),  # a busy machine answers late; a dead node not at all
            ("RAY_USAGE_STATS_ENABLED", "0"),
        ):
            patch.setenv(name, value)
        found = Cluster(initialize_head=True, head_node_args={**node(), "include_dashboard": False})
        found.add_node(**node())
        yield found
        ray.shutdown()
        found.shutdown()


@pytest.fixture
def handlers(tmp_path, monkeypatch):
    """A module that the machines of the cluster can import because this process can."""
    (tmp_path / "cluster_handlers.py").write_text(HANDLERS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    import cluster_handlers

    yield cluster_handlers
    del sys.modules["cluster_handlers"]


def results(pool, jobs):
    for job in jobs:
        pool.submit(job, job)
    return {key: value for key, value in (pool.collect() for _ in jobs)}


def test_a_cluster_gives_what_one_machine_gives_whatever_is_lost(cluster, handlers, tmp_path):
    jobs = ["dies once", *range(8)]
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    with WorkerPool(2, handlers.make, (str(tmp_path / "here"),)) as pool:
        here = results(pool, jobs)
    lost = cluster.add_node(**node())
    with open_pool(3, handlers.make, (str(tmp_path / "there"),), cluster.address) as pool:
        for job in jobs:
            pool.submit(job, job)
        there = dict([pool.collect()])
        cluster.remove_node(lost, allow_graceful=False)
        there |= dict(pool.collect() for _ in range(len(jobs) - 1))
        assert pool.pending == 0
    assert there == here and (tmp_path / "there/dies once").exists()


def test_errors_of_jobs_reach_the_program(cluster, handlers, tmp_path, monkeypatch):
    with open_pool(1, handlers.make, (str(tmp_path),), cluster.address) as pool:
        for job, error, message in (
            ("wrong", DataError, "clip 7 is broken"),
            ("fails", WorkerError, "a fault of ours"),
            ("dies", WorkerError, "lost its worker 3 times"),
        ):
            pool.submit(job, job)
            with pytest.raises(error, match=message):
                pool.collect()
        pool.submit("well", "well")
        assert pool.collect() == ("well", "wellwell")
    monkeypatch.setattr(os, "getcwd", lambda: "/no/such/folder")
    with open_pool(1, handlers.make, (str(tmp_path),), cluster.address) as pool:
        pool.submit("any", "any")
        with pytest.raises(SimError, match="has no folder '/no/such/folder': the machines must share it"):
            pool.collect()


def test_latents_and_episodes_are_those_of_one_machine(cluster, tmp_path, monkeypatch):
    import evaluate
    import extract_latents
    from synthetic import write_demonstrations

    from hilam_core.cards import make_card
    from hilam_core.checkpoint import save_checkpoint
    from hilam_core.data import LatentStore
    from hilam_core.lam import CompactConfig, CompactLAM
    from hilam_core.policy import PolicyConfig, random_policy

    monkeypatch.chdir(tmp_path)
    write_demonstrations(tmp_path / "data/a_demo.hdf5", episodes=3)
    shape = CompactConfig(
        image_size=32, target_size=16, latent_dim=8, width=16, encoder_stem=8, encoder_channels=16
    )
    card = make_card("lam", shape, {"gap": 4}, {"cameras": ["agentview"]}, {}, seed=0)
    save_checkpoint(tmp_path / "lam", CompactLAM(shape).state_dict(), card)
    config = extract_latents.Config(
        lam=tmp_path / "lam", data=[tmp_path / "data"], cameras=("agentview",), device="cpu"
    )
    stores = []
    for out, address in (("here.h5", None), ("there.h5", cluster.address)):
        extract_latents.main(replace(config, out=tmp_path / out, ray=address))
        stores.append(LatentStore.read(tmp_path / out))
    for key in stores[0]:
        np.testing.assert_array_equal(stores[0][key]["z"], stores[1][key]["z"])

    policy = random_policy(tmp_path / "policy", PolicyConfig.blind())
    asked = evaluate.Config(
        policy, tasks=("0",), episodes=2, max_steps=3, workers=1, batch=1, assets="builtin"
    )
    for out, address in (("here.json", None), ("there.json", cluster.address)):
        evaluate.main(replace(asked, out=tmp_path / out, ray=address))
    here, there = (evaluate.json.loads((tmp_path / f"{name}.json").read_text()) for name in ("here", "there"))
    assert here["episodes"] == there["episodes"] and len(there["episodes"]) == 2
