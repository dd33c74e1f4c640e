"""What is measured against: files in memory with their torrents, and hosts on tests/netlab.

A Stage is one lab: a tracker, the client and its seeds, each with a link of its own. Round trips
between any two are the same unless a case says otherwise. Everything ends with the Stage.
"""
import contextlib
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile

import libtorrent as lt
from content import make_torrent  # tests/interop
from netlab import Netlab, rig  # tests/netlab

HERE = pathlib.Path(__file__).resolve().parent
LT_PEER = HERE.parents[1] / "tests" / "interop" / "lt_peer.py"
PEER_PORT, TRACKER_PORT, DHT_PORT = 6881, 8000, 7000
DHT_HOSTS, NODES_EACH = 3, 10
TRACKER = f"http://10.77.0.2:{TRACKER_PORT}/announce"  # the first host of a lab
MIB = 1 << 20
DOWN, UP, SEED_UP = "100mbit", "40mbit", "40mbit"
DOWN_BITS, SEED_UP_BITS = 100e6, 40e6
RTT = 0.05


class Material(contextlib.ExitStack):
    """Random files below one folder in /dev/shm, and their torrents. A context manager."""

    def __enter__(self):
        super().__enter__()
        self.folder = pathlib.Path(self.enter_context(
            tempfile.TemporaryDirectory(prefix="swarmfs-bench-", dir="/dev/shm")))
        self._torrents = {}
        return self

    def file(self, name, size):
        """The path of a file of that size, made at the first use."""
        path = self.folder / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            rng = random.Random(name)
            with open(path, "wb") as out:
                for offset in range(0, size, MIB):
                    out.write(rng.randbytes(min(MIB, size - offset)))
        return path

    def torrent(self, name, version, piece):
        """(with the tracker, without one): seeds know no tracker, they are not what is measured."""
        key = (name, version, piece)
        if key not in self._torrents:
            told = self.folder / f"{name}-{version}-{piece}.torrent"
            make_torrent(self.folder / name, told, version, piece, [TRACKER])
            manifest = lt.bdecode(told.read_bytes())
            for word in (b"announce", b"announce-list"):
                manifest.pop(word, None)
            plain = told.with_suffix(".plain")
            plain.write_bytes(lt.bencode(manifest))
            self._torrents[key] = told, plain
        return self._torrents[key]


def link(rtt=RTT, **more):
    """A link such that two hosts with it have that round trip."""
    return {"delay": f"{rtt * 1e6 / 4:.0f}us", **more}


class Stage:
    """A context manager. `seeds` is [{what link() takes}, ...]; `kind` is swarmfs or libtorrent.

    With `dht` there is a hash table of DHT_HOSTS x NODES_EACH nodes, in which the seeds announce
    themselves. `options` are for swarmfs as a client: where the table begins.
    """

    def __init__(self, material, torrent, kind, seeds, binary, cc=None, rtt=RTT, loss=0, dht=False):
        self.material, self.kind, self.cc = material, kind, cc
        self.name = torrent[0]
        self.torrent, self._plain = material.torrent(*torrent)
        self.source = material.folder / self.name
        self._seeds, self._binary, self._rtt, self._loss = seeds, binary, rtt, loss
        self.options, self._dht = [], dht
        self._stack = contextlib.ExitStack()

    def __enter__(self):
        try:
            self._set_up()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *exc):
        self._stack.close()

    def _host(self, name, **how):
        host = self.lab.host(name, **how)
        if self.cc:
            done = host.run(["sysctl", "-qw", f"net.ipv4.tcp_congestion_control={self.cc}"])
            if done.returncode:
                raise RuntimeError(f"--cc {self.cc}: {done.stderr.strip()}")
        return host

    def _set_up(self):
        self.lab = self._stack.enter_context(Netlab())
        tracker = self._host("tracker", **link(self._rtt))
        self.client = self._host("client", **link(self._rtt, up=UP, down=DOWN, loss=self._loss))
        self.seeds = [self._host(f"seed{n}", **link(**{"rtt": self._rtt, "up": SEED_UP,
                                                       "down": DOWN, **how}))
                      for n, how in enumerate(self._seeds, 1)]
        self.peers = [f"{h.ip4}:{PEER_PORT}" for h in self.seeds]
        if f"//{tracker.ip4}:" not in TRACKER:
            raise AssertionError(f"the tracker is {tracker.ip4}, torrents name {TRACKER}")
        tracker.start("tracker", [sys.executable, HERE / "tracker.py", TRACKER_PORT, *self.peers])
        rig.wait_for("the tracker", lambda: tracker.listening(TRACKER_PORT), 10)
        nodes = self._start_table() if self._dht else []
        started = [self._start_seed(host) for host in self.seeds]
        ready = {"libtorrent": '"ready", "have": [1-9]', "swarmfs": "seeding"}[self.kind]
        for proc in started:
            proc.wait_text(ready, 120)
        for host in self.seeds:
            rig.wait_for("a seed", lambda h=host: h.listening(PEER_PORT), 20)
        # The first packets of a path would otherwise wait for ARP, which is two more round trips.
        for host in [tracker, *self.seeds, *nodes]:
            self.client.run(["ping", "-c", 1, "-W", 5, host.ip4])
        if self._dht:
            self._wait_announced(tracker)

    def _start_seed(self, host):
        if self.kind == "libtorrent":
            return host.start("seed", [sys.executable, LT_PEER, self._plain, self.material.folder,
                                       "--port", PEER_PORT])
        return host.start("seed", [self._binary, "seed", self._plain, self.source, "--listen",
                                   f"0.0.0.0:{PEER_PORT}", *self.options])

    def _start_table(self):
        hosts = [self._host(f"nodes{n}", **link(self._rtt)) for n in range(DHT_HOSTS)]
        first = f"{hosts[0].ip4}:{DHT_PORT}"
        for host in hosts:
            begins = ["--alone"] if host is hosts[0] else ["--dht-bootstrap", first]
            listen = [w for i in range(NODES_EACH)
                      for w in ("--listen", f"{host.ip4}:{DHT_PORT + i}")]
            node = host.start("dht", [self._binary, "dht", *listen, *begins])
            node.wait_text("ready", 20)
        self.options = ["--dht-bootstrap", f"{hosts[1].ip4}:{DHT_PORT}"]
        return hosts

    def _wait_announced(self, host):
        """Until whoever asks the table is told of every seed."""
        hashes = lt.torrent_info(str(self.torrent)).info_hashes()
        topic = str(hashes.v1) if hashes.has_v1() else str(hashes.v2)[:40]

        def told():
            done = host.run([self._binary, "dht", "get-peers", topic, "--json", *self.options],
                            timeout=60)
            return len(json.loads(done.stdout or "{}").get("peers", [])) == len(self.seeds)

        rig.wait_for("the seeds in the hash table", told, 120, step=1)

    def measured_rtt(self):
        """What ping says of the way to the first seed, in seconds."""
        done = self.client.run(["ping", "-q", "-c", 5, "-i", 0.2, self.seeds[0].ip4])
        return float(done.stdout.rsplit("=", 1)[1].split("/")[1]) / 1000

    @contextlib.contextmanager
    def scratch(self):
        """An empty folder on the disk with mnt/ and cache/ in it."""
        path = pathlib.Path(tempfile.mkdtemp(dir=self.lab.dir))
        for name in ("mnt", "cache"):
            (path / name).mkdir()
        try:
            yield path
        finally:
            subprocess.run(["umount", "-l", path / "mnt"], capture_output=True, timeout=20)
            subprocess.run(["rm", "-rf", path], timeout=60, check=False)


def congestion_control(cc):
    """The name of what the hosts use."""
    return cc or pathlib.Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip()


def load():
    return os.getloadavg()[0]
