"""Files appear whole or not at all, and what cannot be written is named."""

import os
import subprocess
import sys

import pytest

from hilam_core.errors import FileError
from hilam_core.files import cache_folder, replacing, sole_writer, writable_folder, write_json


def test_a_file_is_replaced_only_when_the_block_ends_well(tmp_path):
    path = tmp_path / "new" / "a.json"
    write_json(path, {"n": 1})
    with pytest.raises(RuntimeError), replacing(path) as draft:
        draft.write_text("half")
        raise RuntimeError
    assert path.read_text() == '{\n  "n": 1\n}\n'
    assert os.listdir(path.parent) == ["a.json"]
    with replacing(path) as draft:
        assert draft.suffix == ".json" and draft.parent == path.parent
        draft.write_text("whole")
    assert path.read_text() == "whole" and path.stat().st_mode & 0o777 == 0o644


def test_a_full_disk_is_named_and_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    message = r"cannot write '.*a\.bin': No space left on device"
    with (
        pytest.raises(FileError, match=message),
        replacing(path),
        open("/dev/full", "wb", buffering=0) as full,
    ):
        full.write(b"x")
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["a.bin"]


def test_an_error_of_another_file_is_not_taken_for_ours(tmp_path):
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "a"):
        (tmp_path / "missing").read_text()


def test_a_folder_that_cannot_be_is_named_before_the_work(tmp_path):
    assert writable_folder(tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(FileError, match=r"cannot write to the folder '.*file"):
            writable_folder(path)


def test_one_rule_says_where_caches_lie(monkeypatch, tmp_path):
    monkeypatch.setenv("HILAM_CACHE", str(tmp_path))
    assert cache_folder("frames", "x") == tmp_path / "frames" / "x"
    monkeypatch.delenv("HILAM_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert str(cache_folder()) == "/somewhere/hilam"


def test_a_user_without_a_home_is_told_what_to_set():
    if os.geteuid() != 0:
        pytest.skip("only root can become a user without a name")
    program = "import os; os.setuid(54321); cache_folder()"
    bare = {k: v for k, v in os.environ.items() if k not in ("HOME", "HILAM_CACHE", "XDG_CACHE_HOME")}
    done = subprocess.run(
        [sys.executable, "-c", f"from hilam_core.files import cache_folder; {program}"],
        env=bare,
        capture_output=True,
        text=True,
    )
    assert done.stderr.splitlines()[-1].endswith("no home folder for caches: set HILAM_CACHE to a folder")


HOLD = """import sys, time
from hilam_core.files import sole_writer
with sole_writer(sys.argv[1]):
    print(flush=True)
    time.sleep(600)"""


def test_a_second_writer_is_refused_and_a_killed_one_leaves_no_lock(tmp_path):
    path = tmp_path / "new" / "a.json"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, path], stdout=subprocess.PIPE)
    try:
        holder.stdout.readline()  # it holds the lock
        with pytest.raises(FileError, match=r"another process is writing '.*a\.json'"), sole_writer(path):
            pass
        with sole_writer(path.with_name("b.json")):  # of one file alone
            pass
    finally:
        holder.kill()
        holder.wait()
    with sole_writer(path):
        write_json(path, 1)
    assert os.listdir(path.parent) == ["a.json"]
    with sole_writer(path):  # and again, after one that ended well
        pass


def test_a_lock_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(FileError, match=r"cannot write '.*file/a\.json'"),
        sole_writer(tmp_path / "file" / "a.json"),
    ):
        pass
