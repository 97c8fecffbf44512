"""Images and arm states are matched by their stamps, not by when they arrive."""

from hilam_core.runtime.pairing import Pairing, RateGate

MS = 1_000_000
STREAMS = ["agentview", "eye_in_hand", "joints"]


def feed(pairing, *samples):
    """(stream, stamp in ms, arrival in ms) in order of arrival -> stamps in ms of the sets that came out."""
    sets = []
    for stream, stamp, arrival in samples:
        matched = pairing.add(stream, stamp * MS, arrival * MS, f"{stream}@{stamp}")
        if matched:
            sets.append((matched[0] // MS, matched[1]))
    return sets


def test_exact_pairs_equal_stamps_whatever_the_order_of_arrival():
    sets = feed(
        Pairing(STREAMS),
        *[("joints", 0, 1), ("eye_in_hand", 0, 2), ("agentview", 0, 3)],
        *[("agentview", 50, 51), ("joints", 51, 52), ("eye_in_hand", 50, 53), ("joints", 50, 54)],
    )
    assert [stamp for stamp, _ in sets] == [0, 50]
    assert sets[1][1] == {"agentview": "agentview@50", "eye_in_hand": "eye_in_hand@50", "joints": "joints@50"}


def test_incomplete_set_is_dropped_and_never_comes_out_late():
    pairing = Pairing(STREAMS)
    sets = feed(
        pairing,
        *[("agentview", 0, 1), ("joints", 0, 1)],  # eye_in_hand is late
        *[("agentview", 50, 51), ("joints", 50, 51), ("eye_in_hand", 50, 51)],
        ("eye_in_hand", 0, 52),
    )
    assert [stamp for stamp, _ in sets] == [50]
    assert pairing.dropped == 1


def test_asof_takes_the_nearest_sample_within_tolerance():
    sets = feed(
        Pairing(STREAMS, "asof", tolerance_s=0.01),
        *[("joints", 40, 40), ("joints", 48, 48), ("eye_in_hand", 43, 49), ("agentview", 50, 55)],
    )
    assert sets == [
        (50, {"agentview": "agentview@50", "eye_in_hand": "eye_in_hand@43", "joints": "joints@48"})
    ]


def test_asof_waits_then_holds_a_late_stream_but_not_for_ever():
    pairing = Pairing(STREAMS, "asof", tolerance_s=0.01, wait_s=0.01, hold_s=0.06)
    feed(pairing, ("eye_in_hand", 0, 1), ("joints", 50, 51), ("agentview", 50, 52))
    assert pairing.poll(60 * MS) is None  # still waiting for eye_in_hand
    stamp, samples = pairing.poll(62 * MS)
    assert (stamp, samples["eye_in_hand"]) == (50 * MS, "eye_in_hand@0")
    assert pairing.held == 1
    feed(pairing, ("joints", 100, 101), ("agentview", 100, 102))
    assert pairing.poll(200 * MS) is None  # eye_in_hand@0 is now older than hold_s


def test_reset_ignores_what_was_stamped_before_the_episode():
    pairing = Pairing(["agentview"])
    pairing.reset(after_ns=99 * MS)
    assert [stamp for stamp, _ in feed(pairing, ("agentview", 80, 101), ("agentview", 100, 102))] == [100]


def test_a_dead_stream_does_not_fill_the_memory():
    pairing = Pairing(["agentview", "joints"])
    feed(pairing, *[("agentview", 50 * i, 50 * i) for i in range(1000)])
    assert len(pairing._pending) < 20
    assert len(pairing._samples["agentview"]) < 20


def test_gate_keeps_a_jittery_stream_of_its_own_rate_and_thins_a_faster_one():
    jittery = RateGate(20.0)
    assert all(jittery.passes((50 * i + (-4, 0, 5)[i % 3]) * MS) for i in range(100))
    faster = RateGate(20.0)
    assert sum(faster.passes(round(i * 1e9 / 30)) for i in range(300)) in range(195, 206)
    after_gap = RateGate(20.0)
    passed = [stamp for stamp in (0, 50, 1000, 1010, 1050) if after_gap.passes(stamp * MS)]
    assert passed == [0, 50, 1000, 1050]
    clock_set_back = RateGate(20.0)
    passed = [stamp for stamp in (5000, 5050, 100, 150, 155, 200) if clock_set_back.passes(stamp * MS)]
    assert passed == [5000, 5050, 100, 150, 200]
    fast = RateGate(20.0)
    assert [stamp for stamp in (0, 38, 45, 52, 90) if fast.passes(stamp * MS)] == [0, 38, 90]


def test_a_clock_set_back_starts_pairing_anew_at_once():
    exact = Pairing(["agentview", "joints"])
    late, early = 3_600_000, 1_000  # ms: the clocks of the sensors, and of this node
    sets = feed(exact, ("joints", late, late), ("agentview", late, late))
    sets += feed(exact, ("agentview", late + 50, late + 50))  # waits for its joints, which never come
    sets += feed(exact, ("joints", early, early), ("agentview", early, early))
    assert [stamp for stamp, _ in sets] == [late, early]
    only_the_sensors = Pairing(["agentview", "joints"])
    sets = feed(only_the_sensors, ("joints", late, late), ("agentview", late, late))
    sets += feed(only_the_sensors, ("joints", early, late + 50), ("agentview", early, late + 51))
    sets += feed(only_the_sensors, ("joints", early + 50, late + 100), ("agentview", early + 50, late + 101))
    assert sets[-1][0] == early + 50


def test_what_does_not_pair_says_why():
    pairing = Pairing(STREAMS, "asof", tolerance_s=0.01)
    assert pairing.lacking() == ""
    feed(pairing, ("joints", 100, 100), ("agentview", 100, 100))
    assert pairing.lacking() == "no eye_in_hand came"
    feed(pairing, ("eye_in_hand", 65, 101))
    assert pairing.lacking() == "the nearest eye_in_hand is 35 ms from agentview, the tolerance is 10 ms"
    feed(pairing, ("eye_in_hand", 95, 102))
    assert pairing.lacking() == ""
