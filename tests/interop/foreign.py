"""The clients of other projects: qBittorrent, Transmission, aria2 and rTorrent.

Each is started with a configuration of its own in the test's folder: a fixed port, no DHT, no
local discovery, no peer exchange, nothing that leaves the namespace. Everything else stays as
their users have it.
"""

import json
import pathlib
import urllib.parse
import urllib.request

from clients import PORT, SUBJECT, Client, LibTorrent
from rig import wait_for


class QBittorrent(Client):
    name = "qbittorrent"
    program = "qbittorrent-nox"
    versions = ("v1", "v2", "hybrid")
    needs_pads = False
    transports = ("tcp", "utp")
    settings = ""  # further lines of its section BitTorrent

    @classmethod
    def told(cls, transport, encrypted):
        class Told(cls):
            settings = (f"Session\\BTProtocol={'UTP' if transport == 'utp' else 'TCP'}\n"
                        f"Session\\Encryption={1 if encrypted else 2}\n")

        return Told

    def _start(self, torrent, folder):
        config = self.dir / "qBittorrent/config/qBittorrent.conf"
        config.parent.mkdir(parents=True)
        config.write_text(
            "[LegalNotice]\nAccepted=true\n"
            "[Application]\nFileLogger\\Enabled=false\n"
            "[BitTorrent]\n"
            f"Session\\Port={PORT}\nSession\\DHTEnabled=false\nSession\\LSDEnabled=false\n"
            "Session\\PeXEnabled=false\nSession\\QueueingSystemEnabled=false\n"
            f"{self.settings}"
            "[Network]\nPortForwardingEnabled=false\n"
            "[Preferences]\nWebUI\\LocalHostAuth=false\nWebUI\\Port=8080\n"
            "WebUI\\UseUPnP=false\n")
        self.proc = self.host.start(self.name, [
            self.program, f"--profile={self.dir}", f"--save-path={folder}", torrent.path])

    def _state(self):
        try:
            with self.host.inside(), urllib.request.urlopen(
                    "http://127.0.0.1:8080/api/v2/torrents/info", timeout=5) as reply:
                listed = json.load(reply)
        except OSError:
            return None
        return listed[0] if listed else None

    def _wait_complete(self, timeout):
        def complete():
            state = self._state()
            return state and state["progress"] == 1 and state["state"] in ("uploading", "stalledUP")
        wait_for("qbittorrent to have everything", complete, timeout, [self.proc])

    def seed(self, torrent, data):
        self._start(torrent, data)
        self._wait_complete(30)
        self.wait_listening()

    def download(self, torrent, out, peers=()):
        self._start(torrent, out)
        if peers:
            wait_for("qbittorrent to know the torrent", self._state, 20, [self.proc])
            form = urllib.parse.urlencode({"hashes": self._state()["hash"],
                                           "peers": "|".join(peers)}).encode()
            with self.host.inside():
                urllib.request.urlopen("http://127.0.0.1:8080/api/v2/torrents/addPeers", form,
                                       timeout=5).close()

    def wait_done(self, timeout):
        self._wait_complete(timeout)


class Transmission(Client):
    """Version 3.00 takes no hybrid torrents at all ("invalid or corrupt torrent file")."""

    name = "transmission"
    program = "transmission-daemon"
    versions = ("v1",)
    makes_empty_files = False
    # 1 prefers encryption, as installed; peers without it are then tried in plaintext. 0 prefers
    # plaintext: with libtorrent, Debian's build gets no further than the encrypted handshake.
    encryption = 0 if SUBJECT is LibTorrent else 1
    # It would wait about 8 s for an answer by uTP before it tries TCP.
    utp = False
    transports = ("tcp", "utp")

    @classmethod
    def told(cls, transport, encrypted):
        class Told(cls):
            encryption = 2 if encrypted else 0
            utp = transport == "utp"

        return Told

    def __init__(self, host, dht=(), local=False):
        """`dht`: nodes of the hash table to begin with; none: it is not used. `local`: peers are
        sought on the local network too."""
        super().__init__(host)
        self.dht = dht
        self.local = local

    def _start(self, torrent, folder):
        (self.dir / "dht.bootstrap").write_text(
            "".join(node.replace(":", " ") + "\n" for node in self.dht))
        (self.dir / "settings.json").write_text(json.dumps({
            "dht-enabled": bool(self.dht), "lpd-enabled": self.local, "pex-enabled": False,
            "port-forwarding-enabled": False, "peer-port": PORT, "encryption": self.encryption,
            "utp-enabled": self.utp, "rpc-bind-address": "127.0.0.1",
            "download-dir": str(folder), "trash-original-torrent-files": False,
            "ratio-limit-enabled": False, "watch-dir-enabled": False}))
        self.proc = self.host.start(self.name, [
            self.program, "--foreground", "--config-dir", self.dir, "--log-info"])
        wait_for("transmission's RPC", lambda: self._remote("-l") is not None, 20, [self.proc])
        if self._remote("--add", torrent.path) is None:
            raise AssertionError("transmission did not take the torrent\n" + self.proc.tail())

    def _remote(self, *argv):
        done = self.host.run(["transmission-remote", *argv], timeout=20)
        return done.stdout if done.returncode == 0 else None

    def _complete(self):
        info = self._remote("-t", "1", "-i") or ""
        return "Percent Done: 100%" in info and "State: Verifying" not in info

    def seed(self, torrent, data):
        self._start(torrent, data)
        wait_for("transmission to check its data", self._complete, 30, [self.proc], step=0.2)
        self.wait_listening()

    def download(self, torrent, out):
        self._start(torrent, out)

    def wait_done(self, timeout):
        wait_for("transmission to have everything", self._complete, timeout, [self.proc], step=0.2)


class Aria2(Client):
    """Version 1.36 computes a wrong info hash for hybrid torrents (aria2 issue 1903)."""

    name = "aria2"
    program = "aria2c"
    versions = ("v1",)
    schemes = ("http",)  # it speaks UDP to trackers only with its DHT on
    settings = ()

    @classmethod
    def told(cls, transport, encrypted):
        class Told(cls):
            settings = (("--bt-require-crypto=true", "--bt-min-crypto-level=arc4") if encrypted
                        else ())

        return Told

    def _start(self, torrent, folder, *options):
        self.proc = self.host.start(self.name, [
            self.program, f"--dir={folder}", f"--listen-port={PORT}", "--enable-dht=false",
            "--enable-dht6=false", "--bt-enable-lpd=false", "--enable-peer-exchange=false",
            "--file-allocation=none", "--no-conf=true", "--summary-interval=5",
            "--console-log-level=notice", *self.settings, *options, torrent.path])

    def seed(self, torrent, data):
        self._start(torrent, data, "--check-integrity=true", "--bt-hash-check-seed=true",
                    "--seed-ratio=0.0")
        self.wait_listening()

    def download(self, torrent, out):
        self._start(torrent, out, "--seed-time=0")

    def wait_done(self, timeout):
        status = self.proc.wait(timeout)
        if status != 0:
            raise AssertionError(f"aria2c ended with {status}\n{self.proc.tail()}")


class RTorrent(Client):
    name = "rtorrent"
    program = "rtorrent"
    settings = ""  # further lines of rtorrent.rc

    @classmethod
    def told(cls, transport, encrypted):
        class Told(cls):
            settings = ("protocol.encryption.set = require,require_RC4,allow_incoming,try_outgoing\n"
                        if encrypted else "protocol.encryption.set = none\n")

        return Told

    def _start(self, torrent, folder):
        (self.dir / "session").mkdir()
        done, checked = self.dir / "finished", self.dir / "checked"
        rc = self.dir / "rtorrent.rc"
        rc.write_text(
            "system.daemon.set = true\n"
            f"log.open_file = log, {self.dir}/log\nlog.add_output = info, log\n"
            f"directory.default.set = {folder}\n"
            f"session.path.set = {self.dir}/session\n"
            f"{self.settings}"
            f"network.port_range.set = {PORT}-{PORT}\nnetwork.port_random.set = no\n"
            "dht.mode.set = disable\nprotocol.pex.set = no\ntrackers.use_udp.set = yes\n"
            f'method.set_key = event.download.finished, t1, "execute.nothrow=touch,{done}"\n'
            f'method.set_key = event.download.hash_done, t2, "execute.nothrow=touch,{checked}"\n'
            f"schedule2 = add, 0, 0, ((load.start, {torrent.path}))\n")
        self.done, self.checked = pathlib.Path(done), pathlib.Path(checked)
        self.proc = self.host.start(self.name, [self.program, "-n", "-o", f"import={rc}"])

    def seed(self, torrent, data):
        self._start(torrent, data)
        wait_for("rtorrent to check its data", self.checked.exists, 30, [self.proc])
        self.wait_listening()

    def download(self, torrent, out):
        self._start(torrent, out)

    def wait_done(self, timeout):
        wait_for("rtorrent to have everything", self.done.exists, timeout, [self.proc])


FOREIGN = (QBittorrent, Transmission, Aria2, RTorrent)
