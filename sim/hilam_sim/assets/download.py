"""LIBERO's official assets from their hub, into the place where hf-libero keeps them."""

from __future__ import annotations

import shutil
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from hilam_sim.errors import SimError

HUB_REPOSITORY = "lerobot/libero-assets"
_TIMEOUT_S = 5.0


def download_official(folder: Path, is_whole: Callable[[Path], bool]) -> None:
    """Download the official assets to `folder`, with a progress bar; continues what was interrupted.

    Raises:
        SimError: the hub's client is not installed, the hub cannot be reached or lacks files, a full disk.
    """
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.constants import ENDPOINT
    except ImportError:
        raise SimError("huggingface_hub is not installed") from None
    _check_reachable(ENDPOINT)
    draft = folder.with_name(f"{folder.name}.part")
    try:
        if folder.is_dir() and not draft.exists():
            folder.rename(draft)  # not whole, else nobody had asked
        draft.mkdir(parents=True, exist_ok=True)
        snapshot_download(HUB_REPOSITORY, repo_type="dataset", local_dir=draft)
        if not is_whole(draft):
            raise SimError(f"files are missing in {draft}")
        shutil.rmtree(draft / ".cache", ignore_errors=True)
        draft.rename(folder)
    except Exception as error:  # whatever the client raises: network, quota, disk
        if not is_whole(folder):  # else another process was faster
            raise SimError(str(error).partition("\n")[0]) from None


def _check_reachable(endpoint: str) -> None:
    """Ask once: the client itself tries for minutes."""
    try:
        urllib.request.urlopen(endpoint, timeout=_TIMEOUT_S).close()
    except urllib.error.HTTPError:
        pass  # it answers
    except (OSError, ValueError) as error:
        raise SimError(f"{endpoint} cannot be reached: {getattr(error, 'reason', error)}") from None
