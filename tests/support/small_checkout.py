"""Checkouts with the real setup.sh, runtime and workspace, whose Python packages need no download.

Their one requirement, `borrowed`, shows them the packages of the environment that the tests run in.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
COPIED = ("Makefile", "hilam_core", "sim", "tools", "ros2_embedded", "ros2_ws/src")
PYPROJECT = """
[build-system]
requires = []
build-backend = "editable"
backend-path = ["."]
"""
# What setuptools would do for `pip install -e .`, which cannot be downloaded here.
BACKEND = """
import os, sys
sys.path.insert(0, {folder!r})
from small_checkout import write_wheel

def build_editable(folder, config_settings=None, metadata_directory=None):
    extras = "".join(f"Provides-Extra: {{extra}}\\n" for extra in ("sim", "ros", "dev"))
    needs = {needs!r}
    place = f"{{os.getcwd()}}\\n{{os.getcwd()}}/sim\\n"
    return write_wheel(folder, "hilam", {{"hilam.pth": place}}, extras + needs).name
"""
COMMANDS = "[console_scripts]\ncolcon = colcon_core.command:main\n"


def write_wheel(
    folder: Path | str, name: str, files: dict[str, str | bytes], metadata: str = "", commands: str = ""
) -> Path:
    """A wheel of pure Python; its .dist-info comes first, so that pip writes it before the files."""
    info = f"{name}-0.1.0.dist-info"
    head = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1.0\n{metadata}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        **({f"{info}/entry_points.txt": commands} if commands else {}),
    }
    record = ""
    path = Path(folder) / f"{name}-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for file, content in {**head, **files}.items():
            content = content if isinstance(content, bytes) else content.encode()
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            record += f"{file},sha256={digest},{len(content)}\n"
            wheel.writestr(file, content)
        wheel.writestr(f"{info}/RECORD", f"{record}{info}/RECORD,,\n")
    return path


@dataclass
class Checkout:
    """One checkout on the disk, and a user's shell that has sourced nothing."""

    folder: Path
    wheels: Path
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        kept = {k: os.environ[k] for k in ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR") if k in os.environ}
        return {
            **kept,
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.wheels),
            "PYTHON": sys.executable,
            **self.variables,
        }

    def bash(self, command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env={**self.environment, **variables},
            capture_output=True,
            text=True,
            timeout=300,
        )

    def setup(self, **variables: str) -> str:
        """What `make setup` prints; it must succeed."""
        done = self.bash("tools/setup.sh", **variables)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def refused(self, **variables: str) -> str:
        """The one line with which `make setup` stops."""
        done = self.bash("tools/setup.sh", **variables)
        assert done.returncode == 1, done.stdout + done.stderr
        assert len(done.stderr.splitlines()) == 1 and not done.stdout, done.stdout + done.stderr
        return done.stderr

    def require(self, *names: str) -> None:
        """Requirements beside `borrowed`: as when a pull brings new ones."""
        needs = "".join(f"Requires-Dist: {name}\n" for name in ("borrowed", *names))
        text = BACKEND.format(folder=str(Path(__file__).parent), needs=needs)
        (self.folder / "editable.py").write_text(text)
        (self.folder / "pyproject.toml").write_text(f"{PYPROJECT}# {names}\n")

    def copy(self, folder: Path) -> Checkout:
        subprocess.run(["cp", "-a", self.folder, folder], check=True)
        return Checkout(folder, self.wheels, dict(self.variables))

    @property
    def packages(self) -> Path:
        return next(self.folder.glob(".venv/lib/python3*/site-packages"))


def small_checkout(folder: Path, wheels: Path) -> Checkout:
    """A checkout without an environment; `wheels` is where pip finds packages."""
    for name in COPIED:
        source, copy = REPO / name, folder / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy(source, copy)
    for name in ("setup.py", "constraints.txt"):
        (folder / name).write_text("")
    (folder / "tools" / "no-deps.txt").write_text("borrowed\n")
    wheels.mkdir(exist_ok=True)
    site_packages = sysconfig.get_path("purelib") + "\n"
    write_wheel(wheels, "borrowed", {"borrowed.pth": site_packages}, commands=COMMANDS)
    checkout = Checkout(folder, wheels)
    checkout.require()
    return checkout
