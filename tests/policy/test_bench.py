"""The benchmark of learning compares like with like; how fast either is depends on the machine."""

import os

import bench
import pytest
import torch


def test_both_formulations_have_bakus_size_and_learn():
    size = {
        name: sum(p.numel() for p in model.parameters())
        for name, model in (("baku", bench.BakuAsPublished()), ("ours", bench.OurBaku().policy))
    }
    assert size["baku"] == pytest.approx(8.8e6, rel=0.05) and size["ours"] == pytest.approx(
        size["baku"], rel=0.05
    )


@pytest.mark.slow
def test_the_table_names_both_contestants_of_each_contest(tmp_path, capsys):
    threads, cores = torch.get_num_threads(), os.sched_getaffinity(0)
    try:
        bench.main(bench.Config(rounds=1, batch=4, episodes=0, out=tmp_path / "bench.md"))
    finally:
        torch.set_num_threads(threads)
        os.sched_setaffinity(0, cores)
    table = (tmp_path / "bench.md").read_text()
    assert table == capsys.readouterr().out
    for row in ("training step | of 4 samples, float32 |", "(HDF5)", "(pickles)", "skill-model step |"):
        assert row in table
