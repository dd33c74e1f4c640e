"""Two behind routers of their own, which nothing new gets through, and one in the open who introduces
them (BEP 55): what is fetched is compared, and has not gone through the one in the open."""

import unittest

import clients
import content
import natlab
import rig


class Holepunch(rig.NetCase):
    limit = 120

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        rig.skip(clients.SwarmFs.absent() or clients.LibTorrent.absent() or natlab.absent())

    def setUp(self):
        super().setUp()
        self.routers = [natlab.Router(self.net, f"router{n}") for n in (1, 2)]
        self.seed_host, self.leech_host = [r.host_inside(f"in{n}")
                                           for n, r in enumerate(self.routers, 1)]
        self.open = self.net.host("open")
        natlab.outside(self.open)
        self.source = content.make_tree(self.net.dir / "data" / "things")
        self.torrent = content.make_torrent(self.source, self.net.dir / "t.torrent", "hybrid")

    def open_address(self):
        return f"{self.open.ip4}:{clients.PORT}"

    def hidden_address(self):
        """Where the seed is, as its router has it: masquerading keeps the number."""
        return f"{self.routers[0].public}:{clients.PORT}"

    def relay_libtorrent(self):
        # Of a torrent that it fetches nothing of, so that nothing goes through it.
        relay = clients.LibTorrent(self.open, utp=True, idle=True)
        relay.download(self.torrent, self.net.dir / "relay")
        relay.wait_listening()
        return relay

    def relay_swarmfs(self):
        relay = clients.SwarmFsMount(self.open)
        relay.download(self.torrent, self.net.dir / "relay", extra=("--utp", "--on-demand"))
        relay.wait_listening()
        return relay

    def meet(self, relay):
        seed = self.seed_host.start("seed", [
            clients.SWARMFS, "seed", self.torrent.path, self.source, "--listen",
            f"0.0.0.0:{clients.PORT}", "--utp", "--no-tcp", "--peer", self.open_address()])
        rig.wait_for("the seed to be met", lambda: self.flows(self.routers[0], self.open.ip4), 20,
                     [seed, relay.proc])
        leech = clients.SwarmFs(self.leech_host)
        out = self.net.dir / "out"
        before = self.open.sent()
        leech.download(self.torrent, out, peers=[self.open_address(), self.hidden_address()],
                       extra=("--utp", "--no-tcp", "-v", "-v", "--timeout", "60"))
        leech.wait_done(80)
        self.assertEqual(content.digest_elsewhere(self.leech_host, out / self.torrent.name),
                         content.digest(self.source))
        self.assertLess(self.open.sent() - before, 200_000, "it went through the relay")

    def flows(self, router, other):
        """Whether a flow of datagrams with another host goes through a router both ways."""
        out = router.host.run(["cat", "/proc/net/nf_conntrack"]).stdout
        return any(other in line and "udp" in line and "UNREPLIED" not in line
                   for line in out.splitlines())

    def test_swarmfs_introduces(self):
        self.meet(self.relay_swarmfs())

    def test_libtorrent_introduces(self):
        self.meet(self.relay_libtorrent())

    def test_nobody_introduces(self):
        """The routers let nothing through by themselves."""
        self.seed_host.start("seed", [
            clients.SWARMFS, "seed", self.torrent.path, self.source, "--listen",
            f"0.0.0.0:{clients.PORT}", "--utp", "--no-tcp"])
        leech = clients.SwarmFs(self.leech_host)
        leech.download(self.torrent, self.net.dir / "out", peers=[self.hidden_address()],
                       extra=("--utp", "--no-tcp", "--timeout", "8"))
        self.assertNotEqual(leech.proc.wait(40), 0)


if __name__ == "__main__":
    unittest.main()
