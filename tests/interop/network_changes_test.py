"""A mount whose network goes and comes back, or is another, among peers that a tracker named."""

import time

import clients
import content
import rig
import trackers
import web_server

PIECE = 256 * content.KIB
PIECES = 200
PLACES = (0, 150, 50, 100, 175)  # far apart, so that nothing is here that was not read


class NetworkChanges(rig.NetCase):
    limit = 120

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        rig.skip(clients.SwarmFsMount.absent() or clients.LibTorrent.absent()
                 or web_server.Nginx.absent())

    def setUp(self):
        super().setUp()
        data = self.net.dir / "data"
        self.file = content.make_tree(data, files={"file.bin": PIECES * PIECE}) / "file.bin"

    def mount(self, torrent, *options):
        self.mounted = clients.SwarmFsMount(self.net.host("mount"))
        self.host = self.mounted.host
        self.mounted.download(torrent, self.net.dir / "mnt", extra=["--on-demand", *options])
        self.path = self.net.dir / "mnt" / "file.bin"
        self.places = list(PLACES)
        self.read()

    def mount_among_peers(self):
        meeting = trackers.EmbeddedTracker(self.net.host("tracker"))
        torrent = content.make_torrent(self.file, self.net.dir / "t.torrent", "v1", PIECE,
                                       [meeting.url("http")])
        meeting.start(torrent.hashes)
        self.seeds = [clients.LibTorrent(self.net.host(f"seed{n}")) for n in (1, 2)]
        for seed in self.seeds:
            seed.seed(torrent, self.file.parent)
        rig.wait_for("both seeds to be known", lambda: meeting.seeders(torrent.hashes[0]) == 2, 30)
        self.mount(torrent)

    def reader(self):
        """Reads a piece that has not been read yet, and says whether it was right."""
        at = self.places.pop(0) * PIECE
        script = (f"a, b = (open(p, 'rb') for p in ({str(self.path)!r}, {str(self.file)!r}))\n"
                  f"a.seek({at}); b.seek({at})\n"
                  f"print('the same' if a.read({PIECE}) == b.read({PIECE}) else 'WRONG')")
        return self.host.start("reader", ["/usr/bin/python3", "-u", "-c", script])

    def read(self, within=10):
        """How long such a read takes, in seconds."""
        began = time.monotonic()
        self.ends(self.reader(), within)
        return time.monotonic() - began

    def ends(self, reader, within):
        self.assertEqual(reader.wait(within + 60), 0, reader.text())
        self.assertEqual(reader.text().strip(), "the same")

    def after_an_outage(self, cut, mend, seconds, within):
        cut()
        time.sleep(2)
        reader = self.reader()
        time.sleep(seconds - 2)
        self.assertIsNone(reader.popen.poll(), "it did not wait")
        mend()
        began = time.monotonic()
        self.ends(reader, within)
        took = time.monotonic() - began
        print(f"a read goes on {took:.1f} s after an outage of {seconds} s")
        self.assertLess(took, within)
        self.assertLess(self.read(), within)

    def test_a_cable_that_is_plugged_in_again(self):
        self.mount_among_peers()
        self.after_an_outage(self.host.cut, self.host.mend, 20, within=8)

    def test_an_outage_that_our_own_interface_does_not_see(self):
        def all_seeds(what):
            for seed in self.seeds:
                what(seed.host)
        self.mount_among_peers()
        self.after_an_outage(lambda: all_seeds(rig.Host.cut), lambda: all_seeds(rig.Host.mend), 20,
                             within=8)

    def test_a_network_that_is_another(self):
        self.mount_among_peers()
        length = self.prefix_length()
        for verb, address in (("del", self.host.ip4), ("add", self.host.ip4 + "9")):
            self.host.run(["ip", "address", verb, f"{address}/{length}", "dev", "eth0"])
        took = self.read()
        print(f"a read takes {took:.1f} s after the address has changed")
        self.assertLess(took, 5)
        self.assertGreaterEqual(self.mounted.status()["torrents"][0]["peers"], 1)

    def test_another_network_of_ipv6_alone(self):
        """For a second or two the system looks whether somebody has that address already."""
        torrent = content.make_torrent(self.file, self.net.dir / "t.torrent", "v1", PIECE)
        seed = clients.LibTorrent(self.net.host("seed"))
        seed.seed(torrent, self.file.parent)
        self.mount(torrent, "--peer", f"[{seed.host.ip6}]:{clients.PORT}")
        self.host.run(["ip", "-4", "address", "flush", "dev", "eth0"])
        self.host.run(["sysctl", "-q", "net.ipv6.conf.eth0.accept_dad=1"])
        self.host.run(["ip", "address", "del", f"{self.host.ip6}/64", "dev", "eth0"])
        self.host.run(["ip", "address", "add", f"{self.host.ip6}9/64", "dev", "eth0"])
        took = self.read()
        print(f"a read takes {took:.1f} s after the IPv6 address has changed")
        self.assertLess(took, 5)

    def test_a_web_seed_alone(self):
        nginx = web_server.Nginx(self.net.host("web"), self.file.parent)
        self.mount(content.make_torrent(self.file, self.net.dir / "t.torrent", "v1", PIECE),
                   "--web-seed", nginx.url)
        self.after_an_outage(self.host.cut, self.host.mend, 30, within=5)

    def prefix_length(self):
        """Of the host's IPv4 network."""
        shown = self.host.run(["ip", "-4", "-o", "address", "show", "dev", "eth0"]).stdout
        return shown.split(self.host.ip4 + "/")[1].split()[0]
