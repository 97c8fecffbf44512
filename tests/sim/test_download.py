"""Official assets from their hub: only when asked for, whole or not at all; else the ways out in a line."""

import http.server
import sys
import threading
import types
from pathlib import Path

import pytest

from hilam_core.files import cache_folder
from hilam_sim import SimError
from hilam_sim.assets import resolve_assets

WHOLE = ("stable_hope_objects", "stable_scanned_objects", "scenes", "textures", "turbosquid_objects")


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub in this process; `hub.files` is what a download brings, `hub.error` what it raises afterwards."""
    hub = types.ModuleType("huggingface_hub")
    hub.files, hub.error, hub.calls = WHOLE, None, []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    constants = types.ModuleType("huggingface_hub.constants")
    constants.ENDPOINT = f"http://127.0.0.1:{server.server_port}"
    hub.constants = constants

    def snapshot_download(repository, repo_type, local_dir):
        hub.calls.append((repository, repo_type))
        for name in (*hub.files, ".cache"):
            (Path(local_dir) / name).mkdir(exist_ok=True)
        if hub.error:
            raise hub.error

    hub.snapshot_download = snapshot_download
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    monkeypatch.setitem(sys.modules, "huggingface_hub.constants", constants)
    monkeypatch.delenv("LIBERO_ASSETS", raising=False)
    monkeypatch.setenv("HILAM_CACHE", str(cache_folder()))
    monkeypatch.setenv("HOME", str(tmp_path))
    yield hub
    server.shutdown()
    server.server_close()


def test_official_assets_are_downloaded_once_to_hf_liberos_own_place(hub, tmp_path):
    for _ in range(2):
        found = resolve_assets("official")
        assert found.kind == "official"
        assert found.path == tmp_path / ".cache" / "libero" / "assets"
    assert hub.calls == [("lerobot/libero-assets", "dataset")]
    assert sorted(path.name for path in found.path.parent.iterdir()) == ["assets"]
    assert sorted(path.name for path in found.path.iterdir()) == sorted(WHOLE)


def test_auto_never_downloads(hub):
    assert resolve_assets("auto").kind == "builtin"
    assert hub.calls == []


def test_an_interrupted_download_is_not_taken_for_a_whole_one_and_continues(hub, tmp_path):
    hub.files, hub.error = WHOLE[:4], OSError(28, "No space left on device")
    with pytest.raises(SimError, match="No space left on device"):
        resolve_assets("official")
    assert resolve_assets("auto").kind == "builtin"
    hub.files, hub.error = WHOLE[4:], None
    assert sorted(path.name for path in resolve_assets("official").path.iterdir()) == sorted(WHOLE)


def test_a_hub_that_holds_something_else_is_named(hub):
    hub.files = ("textures",)
    for _ in range(2):
        with pytest.raises(SimError, match=r"files are missing in .*assets\.part"):
            resolve_assets("official")


def test_what_hf_libero_left_unfinished_is_continued(hub, tmp_path):
    folder = tmp_path / ".cache" / "libero" / "assets"
    (folder / "textures").mkdir(parents=True)
    (folder / "textures" / "wood.png").write_text("")
    assert (resolve_assets("official").path / "textures" / "wood.png").is_file()


def _check_message(error):
    message = str(error.value)
    assert "\n" not in message
    for way_out in ("LIBERO_ASSETS", "huggingface_hub", "assets='builtin'"):
        assert way_out in message


def test_a_hub_that_cannot_be_reached_is_one_line_with_the_ways_out(hub):
    hub.constants.ENDPOINT = "http://127.0.0.1:9"
    with pytest.raises(SimError, match=r"http://127\.0\.0\.1:9 cannot be reached: .*refused") as error:
        resolve_assets("official")
    _check_message(error)
    assert hub.calls == []


def test_without_the_hubs_client_the_ways_out_are_the_same(hub, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(SimError, match="huggingface_hub is not installed") as error:
        resolve_assets("official")
    _check_message(error)
