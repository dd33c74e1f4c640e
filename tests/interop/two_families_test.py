"""Hosts with IPv4 alone, with IPv6 alone and with both, in one swarm: who has both carries the bytes
from one side to the other while it arrives. Bytes are compared.
"""

import unittest

import clients
import content
import rig
import trackers

FILES = {"big.bin": 8 * content.MIB + 77, "small.bin": 5}


class TwoFamilies(rig.NetCase):
    limit = 90

    def setUp(self):
        super().setUp()
        rig.skip(clients.SwarmFs.absent() or clients.LibTorrent.absent())
        self.meeting = trackers.EmbeddedTracker(self.net.host("tracker"))
        self.urls = [f"http://{self.meeting.host.ip4}:{trackers.PORT}/announce",
                     f"http://[{self.meeting.host.ip6}]:{trackers.PORT}/announce"]
        self.meeting.start(())

    def host(self, name, without=None):
        host = self.net.host(name)
        if without:
            rig._run(["ip", "-n", host.ns, f"-{without}", "addr", "flush", "dev", "eth0"])
        return host

    def transfer(self, seeder, leech_without, links=False):
        """From a seeder to who has the other family alone, by who has both."""
        source = content.make_tree(self.net.dir / "data" / "tree", files=FILES)
        torrent = content.make_torrent(source, self.net.dir / "t.torrent", "hybrid",
                                       trackers=self.urls)
        seeder.seed(torrent, source.parent)
        listen = ("--listen", f"[::]:{clients.PORT}")  # besides 0.0.0.0
        between = clients.SwarmFs(self.host("between"))
        middle = self.net.dir / "middle"
        middle.mkdir()
        # Slow enough that the other side comes while it has a part.
        between.download(torrent, middle, stay=True, extra=(*listen, "--limit-down", "4M"))
        leech = clients.SwarmFs(self.host("leech", leech_without))
        out = self.net.dir / "out"
        out.mkdir()
        leech.download(torrent, out, extra=listen)
        leech.wait_done(60)
        self.assertEqual(content.digest(out / torrent.name), content.digest(source))

    def test_from_ipv4_to_ipv6(self):
        self.transfer(clients.SwarmFs(self.host("seed", without=6)), 4)

    def test_from_ipv6_to_ipv4(self):
        self.transfer(clients.LibTorrent(self.host("seed", without=4)), 6)


if __name__ == "__main__":
    unittest.main()
