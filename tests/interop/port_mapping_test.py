"""A router's ports, mapped by PCP, NAT-PMP and UPnP on a real miniupnpd: somebody outside dials in,
and what it fetches is compared. Mapped anew when the router has started anew, and given back at the
end."""

import json
import time
import unittest

import clients
import content
import natlab
import rig


class PortMapping(rig.NetCase):
    limit = 100

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        rig.skip(clients.SwarmFs.absent() or clients.LibTorrent.absent() or natlab.absent())

    def setUp(self):
        super().setUp()
        self.router = natlab.Router(self.net, "router")
        self.me = self.router.host_inside("me")
        self.peer = self.net.host("peer")
        natlab.outside(self.peer)
        self.source = content.make_tree(self.net.dir / "data" / "things")
        self.torrent = content.make_torrent(self.source, self.net.dir / "t.torrent", "hybrid")

    def seed(self, *options):
        """Returns when a port is mapped: by which protocol, and to where."""
        self.proc = self.me.start("seed", [
            clients.SWARMFS, "seed", "-v", self.torrent.path, self.source, "--listen", clients.PORT,
            "--utp", *options], env={"SWARMFS_NO_PORT_MAPPING": ""})
        return self.mapped()

    def mapped(self):
        return self.proc.wait_text(r"(PCP|NAT-PMP|UPnP): the router leads (\S+) to us", 30).groups()

    def fetch(self, number=0):
        """Somebody outside dials the router's address."""
        leech = clients.LibTorrent(self.peer)
        out = self.net.dir / f"out{number}"
        out.mkdir()
        leech.download(self.torrent, out, peers=[f"{self.router.public}:{clients.PORT}"])
        leech.wait_done(40)
        self.assertEqual(content.digest_elsewhere(self.peer, out / self.torrent.name),
                         content.digest(self.source))
        leech.stop()

    def assert_given_back(self):
        self.assertIn(f"dport {clients.PORT}", self.router.rules())
        self.assertEqual(self.proc.stop(), 0)
        self.assertNotIn(f"dport {clients.PORT}", self.router.rules())

    def test_pcp_and_the_router_starts_anew(self):
        self.router.serve(upnp=False)
        self.assertEqual(self.seed(), ("PCP", f"{self.router.public}:{clients.PORT}"))
        self.fetch()
        time.sleep(4)  # RFC 6887 8.5: clocks may differ by 2 s before a router has started anew
        self.router.restart(upnp=False)
        rig.wait_for("the port to be mapped again",
                     lambda: self.router.rules().count(f"dport {clients.PORT}") >= 2, 30,
                     [self.proc, self.router.upnpd])
        self.fetch(1)
        self.assert_given_back()

    def test_nat_pmp_where_pcp_is_not_heard(self):
        self.router.serve(upnp=False)
        self.router.nft('table inet deaf { chain input { type filter hook input priority -10; '
                        'udp dport 5351 @th,64,8 2 drop; }\n}')
        self.assertEqual(self.seed(), ("NAT-PMP", f"{self.router.public}:{clients.PORT}"))
        self.fetch()
        self.assert_given_back()

    def test_upnp(self):
        self.router.serve(natpmp=False)
        self.assertEqual(self.seed(), ("UPnP", f"{self.router.public}:{clients.PORT}"))
        self.fetch()
        self.assert_given_back()

    def test_another_has_the_number(self):
        """The number outside is another one then, and a mount says it."""
        other = self.router.host_inside("other")
        self.router.serve()
        self.seed()
        point, cache = self.net.dir / "mnt", self.net.dir / "cache"
        point.mkdir()
        env = {"SWARMFS_NO_PORT_MAPPING": ""}
        mount = other.start("mount", [clients.SWARMFS, "mount", "-f", self.torrent.path, point,
                                      "--cache-dir", cache, "--listen", clients.PORT], env=env)

        def status():
            asked = other.run([clients.SWARMFS, "status", "--json", point])
            found = json.loads(asked.stdout) if asked.returncode == 0 else {}
            found = found[0] if isinstance(found, list) and found else found
            return (found or {}).get("port_mapping", {}).get("tcp") and found

        found = rig.wait_for("a mapped port", status, 30, [mount])["port_mapping"]
        self.assertEqual(found["method"], "PCP")
        self.assertTrue(found["tcp"].startswith(self.router.public + ":"))
        self.assertNotEqual(found["tcp"], f"{self.router.public}:{clients.PORT}")

    def test_not_when_that_is_not_wanted(self):
        self.router.serve()
        proc = self.me.start("seed", [
            clients.SWARMFS, "seed", "-v", self.torrent.path, self.source, "--listen", clients.PORT,
            "--no-port-mapping"], env={"SWARMFS_NO_PORT_MAPPING": ""})
        bound = self.router.host_inside("bound").start("seed", [
            clients.SWARMFS, "seed", "-v", self.torrent.path, self.source, "--listen", clients.PORT,
            "--interface", "eth0"], env={"SWARMFS_NO_PORT_MAPPING": ""})
        proc.wait_text(r"\n", 30)
        bound.wait_text(r"\n", 30)
        with self.assertRaises(AssertionError):
            rig.wait_for("nothing", lambda: "dport" in self.router.rules(), 3)


if __name__ == "__main__":
    unittest.main()
