"""Bags: whole, cut off, on a full disk; and what the recorder puts into which."""

import os
import resource
import signal
import subprocess
import sys

import pytest
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_typestore

from hilam_core.errors import DataError, FileError
from hilam_core.runtime.bags import BagReader, BagWriter, Topic, add_facts, find_bags
from hilam_core.runtime.recorder import (
    FAILED,
    IDLE,
    RECORDING,
    STOPPED,
    Recorder,
    RecorderError,
    complete_recordings,
)

TYPES = get_typestore(Stores.ROS2_JAZZY)
STRING = Topic("/words", "std_msgs/msg/String", "string data\n", TYPES.hash_rihs01("std_msgs/msg/String"))
LATCHED = Topic("/task", "std_msgs/msg/String", "string data\n")
SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND


def encoded(text):
    message = TYPES.types["std_msgs/msg/String"](data=text)
    return bytes(TYPES.serialize_cdr(message, "std_msgs/msg/String"))


def words(path, topic="/words"):
    return [message.data for _, _, message in BagReader(path).messages({topic})]


def write_bag(folder, count=5, text="word {}"):
    folder.mkdir()
    bag = BagWriter(folder, {"instruction": "say it"})
    for i in range(count):
        bag.write(STRING, START + i * SECOND, encoded(text.format(i)))
    return bag


def test_a_bag_is_read_by_us_and_by_others_with_its_facts(tmp_path):
    write_bag(tmp_path / "bag").close({"outcome": ""})
    add_facts(tmp_path / "bag", {"outcome": "success"})
    bag = BagReader(tmp_path / "bag")
    assert bag.complete and bag.counts == {"/words": 5} and bag.end_ns == START + 4 * SECOND
    assert bag.facts == {"instruction": "say it", "outcome": "success"}
    assert words(tmp_path / "bag") == [f"word {i}" for i in range(5)]
    with Reader(tmp_path / "bag") as theirs:  # insists on metadata.yaml
        assert (theirs.message_count, theirs.start_time) == (5, START)
    with AnyReader([tmp_path / "bag"]) as theirs:  # knows the type by its definition in the bag
        (connection,) = theirs.connections
        found = [theirs.deserialize(data, connection.msgtype).data for _, _, data in theirs.messages()]
    assert found == [f"word {i}" for i in range(5)]


def test_what_was_flushed_before_a_kill_is_read_and_said_to_be_incomplete(tmp_path):
    script = (
        "import sys, pathlib; sys.path.insert(0, sys.argv[2]); from test_bags import *\n"
        "bag = write_bag(pathlib.Path(sys.argv[1])); bag.flush()\n"
        "bag.write(STRING, START, encoded('lost')); print('ready', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "bag"), os.path.dirname(__file__)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    bag, whole = BagReader(tmp_path / "bag"), [f"word {i}" for i in range(5)]
    assert not bag.complete and bag.facts == {"instruction": "say it"}
    assert words(tmp_path / "bag") == whole

    assert complete_recordings(tmp_path) == [tmp_path / "bag"]  # as the next recorder does
    assert BagReader(tmp_path / "bag").complete and words(tmp_path / "bag") == whole
    assert BagReader(tmp_path / "bag").facts["unfinished"] == "the recorder was killed"
    with Reader(tmp_path / "bag") as theirs:
        assert (theirs.message_count, theirs.start_time) == (5, START)
    assert sorted(path.name for path in (tmp_path / "bag").iterdir()) == ["bag_0.mcap", "metadata.yaml"]
    assert not complete_recordings(tmp_path)


def test_what_is_still_being_recorded_is_left_alone(tmp_path):
    bag = write_bag(tmp_path / "bag")
    bag.flush()
    assert not complete_recordings(tmp_path)
    bag.close({})
    assert words(tmp_path / "bag")


def test_every_cut_gives_whole_messages_or_one_line(tmp_path):
    write_bag(tmp_path / "bag", count=3).close({})
    content = BagReader(tmp_path / "bag").file.read_bytes()
    whole = [f"word {i}" for i in range(3)]
    cut = tmp_path / "cut.mcap"
    for size in range(0, len(content), 7):
        cut.write_bytes(content[:size])
        try:
            assert not BagReader(cut).complete and words(cut) == whole
        except DataError as error:
            assert str(error) == (
                f"bag '{cut}' has no messages that can be read: it is cut off at its beginning, or no MCAP"
            )
    cut.write_bytes(content)
    assert BagReader(cut).complete


def test_what_is_no_bag_is_named(tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "old_0.db3").write_text("")
    with pytest.raises(DataError, match=r"old' is in sqlite3: convert it to MCAP"):
        BagReader(tmp_path / "old")
    (tmp_path / "x.mcap").write_text("no MCAP")
    with pytest.raises(DataError, match=r"x\.mcap' has no messages that can be read"):
        BagReader(tmp_path / "x.mcap")
    with pytest.raises(DataError, match=r"no bag \(\*\.mcap\) in '.*old'"):
        find_bags([tmp_path / "old"])
    write_bag(tmp_path / "bag").close({})
    assert find_bags([tmp_path]) == [tmp_path / "bag", tmp_path]


@pytest.fixture
def small_disk():
    """Files of this process end at 200 kB, as on a full disk; gives a function that frees it."""
    old, ignored = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def set_free():
        resource.setrlimit(resource.RLIMIT_FSIZE, old)

    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, old[1]))
    yield set_free
    set_free()
    signal.signal(signal.SIGXFSZ, ignored)


def fill(recorder, count=100):
    for i in range(count):
        recorder.add(STRING, START + i, encoded(f"{i} " + "x" * 9000))
        recorder.flush()


def test_a_full_disk_ends_the_recording_in_words_and_leaves_a_readable_file(tmp_path, small_disk):
    recorder = Recorder(tmp_path, {})
    recorder.start("fill the disk", START, episode=3)
    fill(recorder)
    assert recorder.state == FAILED
    assert recorder.reason == f"cannot write '{BagReader(recorder.folder).file}': File too large"
    kept = words(recorder.folder)
    assert 15 < len(kept) < 25 and [int(text.split()[0]) for text in kept] == list(range(len(kept)))
    recorder.stop("success", "the goal holds")
    assert BagReader(recorder.folder).facts["outcome"] == "success"
    assert BagReader(recorder.folder).facts["unfinished"] == "File too large"
    small_disk()
    recorder.start("go on", START + SECOND)
    recorder.add(STRING, START + 2 * SECOND, encoded("again"))
    recorder.stop()
    assert words(recorder.folder)[-1] == "again"


def test_a_recording_begins_with_what_is_latched_and_with_the_half_second_before(tmp_path):
    recorder = Recorder(tmp_path, {"scale": "{}"})
    recorder.add(LATCHED, START - 90 * SECOND, encoded("old task"), latched=True)
    for tenths in range(20):
        recorder.add(STRING, START + tenths * SECOND // 10, encoded(f"{tenths}"))
    folder = recorder.start("pick up the milk", START + 2 * SECOND)
    assert folder.name.endswith("_pick_up_the_milk") and recorder.state == RECORDING
    recorder.add(STRING, START + 2 * SECOND, encoded("20"))
    recorder.stop("timeout", "too slow")
    assert words(folder) == ["15", "16", "17", "18", "19", "20"]
    assert words(folder, "/task") == ["old task"]
    facts = BagReader(folder).facts
    assert (facts["outcome"], facts["instruction"]) == ("timeout", "pick up the milk")
    assert recorder.duration_s == 0.5


def test_a_recording_is_kept_discarded_or_stays(tmp_path):
    recorder = Recorder(tmp_path, {})
    for work in (recorder.keep, recorder.discard, recorder.finish):
        with pytest.raises(RecorderError):
            work()
    with pytest.raises(RecorderError, match="needs the instruction"):
        recorder.start(" ", START)
    outcomes = {}
    for name in ("kept", "left", "failed", "discarded"):
        folder = recorder.start(name, START)
        recorder.add(STRING, START, encoded(name))
        recorder.stop("failed" if name == "failed" else "")
        assert recorder.state == STOPPED
        if name in ("kept", "failed"):  # the episode's own outcome counts
            recorder.keep()
        elif name == "discarded":
            recorder.discard()
        outcomes[name] = BagReader(folder).facts["outcome"] if folder.exists() else None
    assert outcomes == {"kept": "success", "left": "", "failed": "failed", "discarded": None}
    assert recorder.state == IDLE
    with pytest.raises(FileError, match="cannot write to the folder"):
        Recorder(next(tmp_path.glob("*/metadata.yaml")), {})
