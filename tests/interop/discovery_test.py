"""Peers found by peers (BEP 11) and on the local network (BEP 14), with libtorrent and
Transmission; and a private torrent (BEP 27), of which a capture shows neither.
"""

import os
import sys
import unittest

import clients
import content
import foreign
import rig

# For a run that may take minutes.
LONG = unittest.skipUnless(os.environ.get("INTEROP_ALL"), "INTEROP_ALL=1 runs it")

LOCAL = {"SWARMFS_NO_LSD": ""}


class Capture:
    """What a host sends and gets, with the text in it, from now on."""

    def __init__(self, host, expression):
        self.out = host.net.dir / f"{host.name}-{len(host.procs)}.cap"
        self.proc = host.start("tcpdump", [
            "sh", "-c", 'exec tcpdump -i eth0 -s 0 -n -l -A --immediate-mode "$1" >"$2"', "sh",
            expression, self.out])
        self.proc.wait_text("listening on", 20)

    def text(self):
        return self.out.read_text(errors="replace")


class DiscoveryCase(rig.NetCase):
    limit = 110

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        rig.skip(clients.SwarmFs.absent() or clients.LibTorrent.absent())

    def setUp(self):
        super().setUp()
        self.me = self.host("me")

    def host(self, name):
        made = self.net.host(name)
        # Clients that leave the interface to the system need a way for the group.
        rig.batch(made.ns, "route add 239.0.0.0/8 dev eth0")
        return made

    def tree(self, size=4 * content.MIB, **kwargs):
        source = content.make_tree(self.net.dir / "data" / "things", files={"a.bin": size})
        torrent = content.make_torrent(source, self.net.dir / "t.torrent", "v1", **kwargs)
        return torrent, content.digest(source)

    def seed(self, torrent, name="seed", **options):
        seed = clients.LibTorrent(self.host(name), **options)
        seed.seed(torrent, self.net.dir / "data")
        return seed

    def start_get(self, torrent, *options, env=None, timeout=80):
        self.out = self.net.dir / f"out{len(self.me.procs)}"
        return self.me.start("get", [clients.SWARMFS, "get", torrent.path, "-o", self.out, "--listen",
                                     f"0.0.0.0:{clients.PORT}", "-v", "-v", "--timeout", timeout,
                                     *options],
                             env=env)

    def finish(self, get, torrent, expected, timeout=90):
        self.assertEqual(get.wait(timeout), 0, get.tail())
        self.assertEqual(content.digest_elsewhere(self.me, self.out / torrent.name), expected)

    def start_mount(self, torrent, *options, env=None, listen=f"0.0.0.0:{clients.PORT}"):
        point = self.net.dir / "mnt"
        point.mkdir()
        mount = self.me.start("mount", [
            clients.SWARMFS, "mount", torrent.path, point, "-f", "--cache-dir", self.net.dir / "cache",
            "--listen", listen, *options],
            env={"XDG_RUNTIME_DIR": str(self.net.dir), **(env or {})})
        rig.wait_for("the mount", lambda: os.path.ismount(point), 10, [mount])
        return point

    def wait_peer(self, point, peer, source, timeout):
        """Until a peer is there, come from that source."""
        def there():
            done = self.me.run(["cat", point / ".swarmfs/peers"], timeout=10)
            lines = [line.split("\t") for line in done.stdout.splitlines()]
            return [line for line in lines if line[1].startswith(peer.ip4 + ":")
                    and line[-1] == source]
        return rig.wait_for(f"{peer.name}, by {source}", there, timeout, step=0.3)


class Exchange(DiscoveryCase):
    def test_libtorrent_tells_us_of_a_peer(self):
        torrent, _ = self.tree()
        hub = clients.LibTorrent(self.host("hub"), down=20_000)
        hub.download(torrent, self.net.dir / "hub", peers=[self.seed(torrent, up=20_000).address])
        hub.wait_listening()
        other = clients.LibTorrent(self.host("other"))
        other.download(torrent, self.net.dir / "other", peers=[hub.address])
        rig.wait_for("the others to meet", lambda: other.host.connections(hub.host), 20, [hub.proc])
        # The other hears of us as well: it shall not be the one that dials.
        point = self.start_mount(torrent, "--peer", hub.address, listen="127.0.0.1:6999")
        self.wait_peer(point, other.host, "pex", 30)
        self.wait_peer(point, hub.host, "user", 5)

    def test_we_tell_libtorrent_of_a_peer(self):
        torrent, expected = self.tree()
        seed = self.seed(torrent, up=400_000)
        get = self.start_get(torrent, "--peer", seed.address, "--seed")
        rig.wait_for("us to listen", lambda: self.me.listening(clients.PORT), 10, [get])
        other = clients.LibTorrent(self.host("other"))
        other.download(torrent, self.net.dir / "other", peers=[f"{self.me.ip4}:{clients.PORT}"])
        rig.wait_for("the two to meet", lambda: other.host.connections(seed.host), 30,
                     [get, other.proc])
        other.wait_done(60)

    @LONG
    def test_who_comes_later_is_told_of_with_the_next_message(self):
        torrent, _ = self.tree()
        hub = clients.LibTorrent(self.host("hub"), down=20_000)
        hub.download(torrent, self.net.dir / "hub")
        hub.wait_listening()
        # The one that comes hears of us as well: it shall not be the one that dials.
        point = self.start_mount(torrent, "--peer", hub.address, listen="127.0.0.1:6999")
        self.wait_peer(point, hub.host, "user", 10)
        first = clients.LibTorrent(self.host("first"))
        first.download(torrent, self.net.dir / "first", peers=[hub.address])
        self.wait_peer(point, first.host, "pex", 80)


class LocalNetwork(DiscoveryCase):
    def test_we_hear_of_libtorrent(self):
        torrent, _ = self.tree()
        point = self.start_mount(torrent, env=LOCAL)
        seed = self.seed(torrent, lsd=True, up=100_000)
        self.wait_peer(point, seed.host, "lsd", 30)

    def test_libtorrent_hears_of_us(self):
        torrent, expected = self.tree()
        self.seed(torrent, lsd=True)
        self.finish(self.start_get(torrent, env=LOCAL), torrent, expected)

    def test_two_of_ours_meet(self):
        torrent, expected = self.tree()
        other = self.host("other")
        seed = other.start("seed", [clients.SWARMFS, "seed", torrent.path,
                                    self.net.dir / "data" / torrent.name], env=LOCAL)
        rig.wait_for("it to listen", lambda: other.listening(clients.PORT), 20, [seed])
        self.finish(self.start_get(torrent, env=LOCAL), torrent, expected)

    def test_switched_off_nothing_is_said(self):
        torrent, _ = self.tree()
        capture = Capture(self.me, "udp port 6771")
        get = self.start_get(torrent, "--no-lsd", env=LOCAL, timeout=5)
        rig.wait_for("us to listen", lambda: self.me.listening(clients.PORT), 5, [get])
        get.wait(30)
        self.assertEqual(capture.text(), "")

    @LONG
    def test_transmission(self):
        rig.skip(foreign.Transmission.absent())
        torrent, expected = self.tree()
        seed = foreign.Transmission(self.host("seed"), local=True)
        seed.seed(torrent, self.net.dir / "data")
        self.finish(self.start_get(torrent, env=LOCAL), torrent, expected)


class Private(DiscoveryCase):
    """With everything switched on, and the one peer named by the user."""

    def run_watched(self, private):
        torrent, expected = self.tree(private=private)
        seed = self.seed(torrent, lsd=True, up=1_500_000)  # long enough for all that is said
        node = self.host("node")
        node.start("dht", [clients.SWARMFS, "dht", "--alone", "--listen",
                           "0.0.0.0:6999"]).wait_text("ready", 20)
        capture = Capture(self.me, "udp or tcp")
        get = self.start_get(torrent, "--peer", seed.address, "--encryption", "forbid",
                             "--dht-bootstrap", f"{node.ip4}:6999", env=LOCAL)
        self.finish(get, torrent, expected)
        return capture.text()

    def test_neither_pex_nor_lsd_nor_dht(self):
        seen = self.run_watched(private=True)
        self.assertIn("BitTorrent protocol", seen, "the capture sees the peers")
        sent = [line for line in seen.splitlines() if f"{self.me.ip4}." in line and " UDP" in line]
        self.assertNotIn("ut_pex", seen)
        self.assertEqual([line for line in sent if f" {self.me.ip4}.6881 >" in line
                          or ".6771" in line.split(" > ")[-1]], [])

    def test_the_capture_would_see_them(self):
        seen = self.run_watched(private=False)
        for word in ("ut_pex", "BT-SEARCH", ".6999: UDP"):
            self.assertIn(word, seen)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v", *sys.argv[1:]])
