"""Interruptions and machines on which something is missing: mended, or named in one line before the work."""

import os
import shutil
import signal
import subprocess
import time

import pytest
from small_checkout import write_wheel

INDEX_OUT_OF_REACH = {"PIP_NO_INDEX": "0", "PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_RETRIES": "1"}


def kill_setup_when(checkout, happened) -> None:
    """SIGKILL to `make setup` and all of its children as soon as `happened()`."""
    process = subprocess.Popen(
        ["tools/setup.sh"],
        cwd=checkout.folder,
        env=checkout.environment,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 240
    while not happened():
        assert process.poll() is None and time.monotonic() < deadline, "setup ended before it could be killed"
        time.sleep(0.001)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.slow
def test_a_package_half_installed_by_a_killed_pip_is_mended(first, tmp_path):
    checkout = first.copy(tmp_path / "killed")
    checkout.setup()
    files = {f"large/part{n}.py": f"number = {n}\n" for n in range(5000)}
    write_wheel(checkout.wheels, "large", {**files, "large/__init__.py": ""})
    checkout.require("large")
    info = checkout.packages / "large-0.1.0.dist-info"
    kill_setup_when(checkout, (info / "METADATA").exists)
    assert not (info / "RECORD").exists()

    said = checkout.setup()
    assert "large-0.1.0.dist-info was left half installed" in said
    assert (
        checkout.bash(".venv/bin/python -c 'from large import part4999; print(part4999.number)'").stdout
        == "4999\n"
    )
    assert checkout.setup() == ""


@pytest.mark.slow
def test_an_environment_killed_while_it_was_made_is_made_anew(bare):
    kill_setup_when(bare, (bare.folder / ".venv" / "bin" / "python").exists)
    assert "(the one here is not whole)" in bare.setup()
    assert bare.setup() == ""


@pytest.mark.slow
def test_a_broken_pip_and_a_python_that_is_gone_are_noticed(first, tmp_path):
    checkout = first.copy(tmp_path / "broken")
    checkout.setup()
    (checkout.folder / ".venv" / "packages.sha256").unlink()  # as an interrupted installation leaves it
    shutil.rmtree(checkout.packages / "pip" / "_internal")
    assert "(the pip of the one here is broken)" in checkout.setup()
    for python in (checkout.folder / ".venv" / "bin").glob("python*"):
        python.unlink()
    assert "(the Python of the one here is gone)" in checkout.setup()


def test_an_index_out_of_reach_is_named_and_what_was_there_still_runs(first, tmp_path):
    checkout = first.copy(tmp_path / "offline")
    checkout.setup()
    checkout.require("not-there")
    done = checkout.bash("tools/setup.sh", **INDEX_OUT_OF_REACH)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("[setup] no package index answers: check the network")
    assert checkout.bash("source tools/env.sh && python -c 'import hilam_core'").returncode == 0


def test_a_python_of_a_wrong_version_is_named(bare, tmp_path):
    old = tmp_path / "python3.9"
    old.write_text("#!/bin/sh\necho 3.9\n")
    old.chmod(0o755)
    said = bare.refused(PYTHON=str(old))
    assert f"no Python 3.10 to 3.12; tried: {old} (3.9)" in said
    assert "python3.99 (not found)" in bare.refused(PYTHON="python3.99")


def test_a_temporary_folder_that_cannot_be_written_to_is_named(bare, tmp_path):
    assert f"{tmp_path}/none (owner: none) is not writable (No such file" in bare.refused(
        TMPDIR=f"{tmp_path}/none"
    )
    assert not (bare.folder / ".venv").exists()


def test_without_the_right_to_install_the_command_is_printed(first, tmp_path):
    """A machine without OpenGL, a user without sudo."""
    for name, answer in (("ldconfig", ""), ("id", "1000"), ("sudo", None)):
        script = tmp_path / "bin" / name
        script.parent.mkdir(exist_ok=True)
        script.write_text(f"#!/bin/sh\necho {answer}\n" if answer is not None else "#!/bin/sh\nexit 1\n")
        script.chmod(0o755)
    said = first.refused(PATH=f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    assert "headless OpenGL missing. Install with: sudo apt-get install -y libegl1" in said


def mounted(checkout, mount: str) -> str:
    """The one line of setup.sh in a mount namespace of its own, after the shell command `mount`."""
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        pytest.skip("may not mount here")
    command = ["unshare", "-m", "bash", "-c", f"set -e; {mount}; cd .; exec tools/setup.sh"]
    done = subprocess.run(
        command, cwd=checkout.folder, env=checkout.environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stderr.splitlines()[-1]


def test_a_read_only_disk_is_named_before_the_work(bare):
    here = bare.folder
    said = mounted(bare, f"mount --bind {here} {here}; mount -o remount,ro,bind {here}; cd {here}")
    assert said.startswith(f"[setup] {here} (owner: root) is not writable (Read-only file system)")


def on_a_disk_of(size: str, checkout) -> str:
    """Shell commands that lay a disk of `size` over the checkout and the checkout on it."""
    here = f"'{checkout.folder}'"
    mount = f"mount -t tmpfs -o size={size} none {here}"
    return f"cp -a . {here}-copy; {mount}; cp -a {here}-copy/. {here}; cd {here}"


def test_a_disk_too_small_is_named_before_the_work(bare):
    said = mounted(bare, on_a_disk_of("200m", bare))
    assert f"the disk of {bare.folder} has " in said
    assert "MB free, the Python packages need at least 3550 MB there" in said


def test_a_disk_that_becomes_full_is_named(first, tmp_path):
    checkout = first.copy(tmp_path / "full")
    checkout.setup()
    write_wheel(checkout.wheels, "huge", {f"huge/{n}.bin": bytes(1 << 20) for n in range(600)})
    checkout.require("huge")
    said = mounted(checkout, on_a_disk_of("500m", checkout))
    assert said.startswith("[setup] the disk is full:") and f"{checkout.folder} has 0 left" in said
