"""WebTorrent, of npm, in node: Debian has no package of it. It is looked for in the folder that
WEBTORRENT names (where `npm install webtorrent` was run); elsewhere its tests are skipped."""

import os
import pathlib
import shutil

from clients import HERE, PORT, Client


def missing(package):
    """Why a package of npm cannot be used here, or None."""
    home = os.environ.get("WEBTORRENT", "")
    if not shutil.which("node"):
        return "node is not installed"
    if not home or not pathlib.Path(home, "node_modules", package).is_dir():
        return f"WEBTORRENT does not name a folder with npm's {package}"
    return None


class WebTorrent(Client):
    name = "webtorrent"
    versions = ("v1",)
    needs_pads = False
    schemes = ("http",)

    @classmethod
    def told(cls, transport, encrypted):
        class Told(cls):
            secure = encrypted

        return Told

    secure = False

    @classmethod
    def absent(cls):
        return missing("webtorrent")

    def _start(self, torrent, folder, role):
        self.proc = self.host.start(self.name, [
            "node", HERE / "webtorrent_peer.mjs", os.environ["WEBTORRENT"], role, torrent.path, folder, PORT,
            "secure" if self.secure else "plain"])

    def seed(self, torrent, data):
        self._start(torrent, data, "seed")
        self.proc.wait_text("done", 30)
        self.wait_listening()

    def download(self, torrent, out):
        self._start(torrent, out, "download")

    def wait_done(self, timeout):
        self.proc.wait_text("done", timeout)
