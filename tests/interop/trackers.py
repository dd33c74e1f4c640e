"""The trackers that peers find each other through: opentracker and the one inside swarmfs."""

import re
import shutil
import urllib.parse
import urllib.request

from clients import SWARMFS, SwarmFs
from rig import wait_for

PORT = 6969


class Tracker:
    """Runs on a Host; `url("http")` and `url("udp")` are where to announce."""

    def __init__(self, host):
        self.host = host
        self.proc = None

    def url(self, scheme):
        return f"{scheme}://{self.host.ip4}:{PORT}/announce"

    def seeders(self, info_hash):
        """How many have all of one torrent, as its scrape says; 0 when it does not know it."""
        return self._scrape(info_hash, "complete")

    def peers(self, info_hash):
        """How many take part, likewise."""
        return self._scrape(info_hash, "complete") + self._scrape(info_hash, "incomplete")

    def _scrape(self, info_hash, key):  # BEP 48
        query = urllib.parse.quote_from_bytes(info_hash, safe="")
        try:
            with self.host.inside(), urllib.request.urlopen(
                    f"http://{self.host.ip4}:{PORT}/scrape?info_hash={query}", timeout=5) as reply:
                found = re.search(rb"%d:%bi(\d+)e" % (len(key), key.encode()), reply.read())
        except OSError:
            return 0
        return int(found[1]) if found else 0

    def wait_seeder(self, torrent, timeout=30, procs=()):
        """Until a seeder has announced any of the torrent's hashes."""
        wait_for("a seeder to announce itself",
                 lambda: any(self.seeders(h) for h in torrent.hashes), timeout,
                 [self.proc, *procs])


class OpenTracker(Tracker):
    name = "opentracker"

    @classmethod
    def absent(cls):
        return None if shutil.which("opentracker") else "opentracker is not installed"

    def start(self, hashes):
        """Debian's opentracker serves only the info hashes on its list, as an ordinary user."""
        root = self.host.net.dir / "opentracker"
        root.mkdir()
        (root / "whitelist").write_text("".join(h.hex() + "\n" for h in hashes))
        self.proc = self.host.start(self.name, [
            "opentracker", "-i", self.host.ip4, "-p", PORT, "-P", PORT, "-d", root, "-u", "nobody",
            "-w", "whitelist"])
        wait_for("opentracker to listen", lambda: self.host.listening(PORT), 10, [self.proc])


class EmbeddedTracker(Tracker):
    name = "swarmfs-tracker"
    absent = SwarmFs.absent

    def start(self, hashes):
        del hashes  # it serves every torrent
        self.proc = self.host.start(self.name, [
            SWARMFS, "tracker", "--listen", f"0.0.0.0:{PORT}", "--listen", f"[::]:{PORT}"])
        self.proc.wait_text(r"\n", 10)
        wait_for("the tracker to listen", lambda: self.host.listening(PORT), 10, [self.proc])
