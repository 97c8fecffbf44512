"""Which nodes an episode still waits for."""

from hilam_core.runtime.peers import Peers


def test_an_episode_waits_until_every_node_is_prepared_for_it():
    peers = Peers(["ingest", "planner", "bridge"])
    assert len(peers.silent(now_s=0.0)) == 3
    peers.hear("ingest", "ready", True, episode=3, newest_episode=3, now_s=0.0)
    peers.hear("planner", "ready", True, episode=2, newest_episode=2, now_s=0.0)  # still with the last one
    peers.hear("bridge", "ready", True, episode=None, newest_episode=3, now_s=0.0)  # follows no tasks
    peers.hear("stranger", "broken", False, episode=9, newest_episode=9, now_s=0.0)
    assert peers.silent(now_s=1.0) == []
    assert peers.unprepared(3, now_s=1.0) == ["planner: ready"]
    peers.hear("planner", "waiting for a reader", False, episode=3, newest_episode=3, now_s=1.0)
    assert peers.unprepared(3, now_s=1.0) == ["planner: waiting for a reader"]
    peers.hear("planner", "ready", True, episode=3, newest_episode=3, now_s=2.0)
    assert peers.unprepared(3, now_s=2.0) == []


def test_the_newest_episode_is_known_as_long_as_one_node_has_heard_of_it():
    peers = Peers(["ingest", "planner"])
    peers.hear("ingest", "ready", True, episode=0, newest_episode=7, now_s=0.0)
    peers.hear("planner", "waiting for a task", False, episode=0, newest_episode=0, now_s=0.0)
    assert peers.newest_episode == 7


def test_a_node_that_falls_silent_is_named():
    peers = Peers(["ingest", "planner"])
    for name in ("ingest", "planner"):
        peers.hear(name, "ready", True, episode=1, newest_episode=1, now_s=0.0)
    peers.hear("planner", "ready", True, episode=1, newest_episode=1, now_s=9.0)
    assert peers.unprepared(1, now_s=10.0) == ["ingest: silent for 10 s"]
    assert peers.last_words(now_s=10.0) == "ingest: silent for 10 s; planner: ready"
