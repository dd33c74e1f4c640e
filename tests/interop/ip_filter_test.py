"""--ip-filter, --max-peers and --schedule between real hosts: who is reached, and who is not."""

import gzip
import json
import os
import signal
import time
import unittest

import clients
import content
import rig
import trackers

FILES = {"set/a.bin": 2 * content.MIB, "set/b.bin": 300_001}


class IpFilter(rig.NetCase):
    limit = 90

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        rig.skip(clients.SwarmFsMount.absent())

    def setUp(self):
        super().setUp()
        self.data = content.make_tree(self.net.dir / "data", files=FILES)
        self.torrent = content.make_torrent(self.data / "set", self.net.dir / "t.torrent", "v1",
                                            64 * content.KIB)
        self.seed = clients.SwarmFs(self.net.host("seed"))
        self.leech = clients.SwarmFs(self.net.host("leech"))
        self.list = self.net.dir / "list"
        self.out = self.net.dir / "out"
        self.out.mkdir()

    def block(self, *hosts):
        """Writes a list with these hosts, packed and in eMule's form."""
        lines = [f"{h.ip4} - {h.ip4} , 000 , {h.name}\n" for h in hosts]
        self.list.write_bytes(gzip.compress("".join(["# who\n", *lines]).encode()))

    def reload(self, proc):
        proc.popen.send_signal(signal.SIGHUP)

    def stays_apart(self, seconds=4):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.assertEqual(self.seed.host.connections(self.leech.host), [])
            time.sleep(0.1)

    def test_who_is_blocked_is_not_dialled_until_the_list_says_otherwise(self):
        self.block(self.seed.host)
        self.seed.seed(self.torrent, self.data)
        self.leech.download(self.torrent, self.out, [self.seed.address],
                            extra=["--ip-filter", self.list])
        self.leech.wait_listening()
        self.stays_apart()
        # What is blocked is forgotten, so it has to be named again: by dialling us.
        self.block()
        self.reload(self.leech.proc)
        self.seed.stop()
        self.seed.seed(self.torrent, self.data, extra=["--peer", self.leech.address])
        self.leech.wait_done(40)
        self.assertEqual(content.digest(self.out / "set"), content.digest(self.data / "set"))

    def test_who_is_blocked_is_not_let_in(self):
        self.let_in(())

    def test_who_is_blocked_is_not_let_in_over_utp(self):
        self.let_in(("--utp", "--no-tcp"))

    def let_in(self, flags):
        self.block(self.leech.host)
        self.seed.flags = self.leech.flags = flags
        self.seed.seed(self.torrent, self.data, extra=["--ip-filter", self.list])
        self.leech.download(self.torrent, self.out, [self.seed.address])
        # TCP is refused after it was accepted, so it is bytes that tell, and uTP has nothing else.
        time.sleep(4)
        self.assertTrue(self.leech.proc.alive())
        self.assertLess(self.seed.host.sent(), 100_000)
        self.block()
        self.reload(self.seed.proc)
        self.leech.wait_done(60)

    def test_a_peer_that_gets_blocked_is_dropped(self):
        self.block()
        mounted = clients.SwarmFsMount(self.net.host("mount"))
        self.seed.seed(self.torrent, self.data)
        mounted.download(self.torrent, self.net.dir / "mnt", [self.seed.address],
                         extra=["--ip-filter", self.list, "--on-demand"])
        peers = lambda: mounted.status()["torrents"][0]["peers"]
        rig.wait_for("a peer", lambda: peers() == 1, 20, [mounted.proc])
        self.block(self.seed.host)
        self.reload(mounted.proc)
        rig.wait_for("it to be dropped", lambda: peers() == 0, 10, [mounted.proc])
        self.assertEqual(mounted.host.connections(self.seed.host), [])
        # A list that is gone changes nothing.
        self.list.unlink()
        self.reload(mounted.proc)
        mounted.proc.wait_text("the IP filter stays as it was", 10)
        self.stays_apart(1)

    def test_trackers_are_blocked_too(self):
        tracker = trackers.EmbeddedTracker(self.net.host("tracker"))
        tracker.start([])
        self.torrent = content.make_torrent(
            self.data / "set", self.net.dir / "tracked.torrent", "v1", 64 * content.KIB,
            [tracker.url("http"), tracker.url("udp")])
        self.block(tracker.host)
        self.seed.seed(self.torrent, self.data, extra=["--ip-filter", self.list, "-v"])
        self.seed.proc.wait_text("the IP filter has that address", 20)
        self.assertEqual(self.seed.host.connections(tracker.host), [])

    def test_a_list_that_is_none_is_said_at_once(self):
        self.list.write_text("nothing of use\n")
        done = self.seed.host.run([clients.SWARMFS, "get", self.torrent.path, "-o", self.out,
                                   "--ip-filter", self.list])
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn(f"{self.list}: line 1: ", done.stderr)


class Limits(rig.NetCase):
    limit = 90

    def test_max_peers_and_max_connections_hold_and_change(self):
        data = content.make_tree(self.net.dir / "data", files=FILES)
        torrent = content.make_torrent(data / "set", self.net.dir / "t.torrent", "v1",
                                       64 * content.KIB)
        seeds = [clients.SwarmFs(self.net.host(f"seed{i}")) for i in range(4)]
        for seed in seeds:
            seed.seed(torrent, data)
        mounted = clients.SwarmFsMount(self.net.host("mount"))
        mounted.download(torrent, self.net.dir / "mnt", [s.address for s in seeds],
                         extra=["--on-demand", "--max-peers", "3", "--max-connections", "10"])
        peers = lambda: mounted.status()["torrents"][0]["peers"]

        def limit(*argv):
            done = mounted.host.run([clients.SWARMFS, "limit", "--json", *argv],
                                    env={**os.environ, "XDG_RUNTIME_DIR": str(mounted.dir)})
            self.assertEqual(done.returncode, 0, done.stderr)
            return json.loads(done.stdout)[0]

        rig.wait_for("three peers", lambda: peers() == 3, 20, [mounted.proc])
        time.sleep(3)
        self.assertEqual(peers(), 3)
        self.assertEqual(limit()["limits"]["connections"], 10)
        self.assertEqual(limit("--connections", "1", "set")["torrents"][0]["limits"]["connections"],
                         1)
        rig.wait_for("one peer", lambda: peers() == 1, 10, [mounted.proc])
        limit("--connections", "4", "set")
        rig.wait_for("four peers", lambda: peers() == 4, 40, [mounted.proc])
        limit("--connections", "2")
        rig.wait_for("two peers", lambda: peers() == 2, 10, [mounted.proc])
        time.sleep(3)
        self.assertEqual(peers(), 2)

    def test_a_schedule_sets_rates_and_orders_go_before_it(self):
        data = content.make_tree(self.net.dir / "data", files=FILES)
        torrent = content.make_torrent(data / "set", self.net.dir / "t.torrent", "v1",
                                       64 * content.KIB)
        mounted = clients.SwarmFsMount(self.net.host("mount"))
        mounted.download(torrent, self.net.dir / "mnt",
                         extra=["--schedule", "00:00-24:00=1M/500K", "--limit-down", "7M"])
        status = mounted.status()
        self.assertEqual(status["schedule"], {"rule": "00:00-24:00=1m/500k"})
        self.assertEqual((status["limits"]["down"], status["limits"]["up"]), (1 << 20, 500 << 10))
        done = mounted.host.run([clients.SWARMFS, "limit", "--down", "3M"],
                                env={**os.environ, "XDG_RUNTIME_DIR": str(mounted.dir)})
        self.assertEqual(done.returncode, 0, done.stderr)
        time.sleep(61 - time.time() % 60)  # over a minute, when it looks at the clock
        self.assertEqual(mounted.status()["limits"]["down"], 3 << 20)


if __name__ == "__main__":
    unittest.main()
