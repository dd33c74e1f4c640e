"""What the user orders while it runs: rate limits, pause, pins and prefetches, as programs see it."""

import json
import os
import pathlib
import time
import unittest

import clients
import content
import rig
import trackers

BIG, SMALL = 24 * content.MIB, 3 * content.MIB + 77
FILES = {"set/big.bin": BIG, "set/small.bin": SMALL, "set/more/x.bin": content.MIB}
RATE = 2_000_000  # bytes a second
SECONDS = 5


class Orders(rig.NetCase):
    limit = 90

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        rig.skip(clients.SwarmFsMount.absent() or clients.LibTorrent.absent())

    def setUp(self):
        super().setUp()
        data = content.make_tree(self.net.dir / "data", files=FILES)
        self.source = data / "set"
        self.tracker = trackers.EmbeddedTracker(self.net.host("tracker"))
        self.tracker.start([])
        self.torrent = content.make_torrent(self.source, self.net.dir / "t.torrent", "v1",
                                            64 * content.KIB, [self.tracker.url("http")])
        self.seed = clients.LibTorrent(self.net.host("seed"))
        self.seed.seed(self.torrent, data)
        self.mounted = clients.SwarmFsMount(self.net.host("mount"))
        self.point = self.net.dir / "mnt"

    def mount(self, *extra):
        self.mounted.download(self.torrent, self.point, [self.seed.address], extra=extra)
        # Where both have everything already, the seed has gone again.
        rig.wait_for("a peer", lambda: self.status()["peers"] > 0 or self.status()["progress"] == 1,
                     20, [self.mounted.proc])

    def status(self):
        return self.mounted.status()["torrents"][0]

    def swarmfs(self, *argv, status=0, timeout=30):
        done = self.mounted.host.run([clients.SWARMFS, *argv], timeout=timeout,
                                     env={**os.environ, "XDG_RUNTIME_DIR": str(self.mounted.dir)})
        self.assertEqual(done.returncode, status, f"{argv}: {done.stdout}{done.stderr}")
        return done.stdout if status == 0 else done.stderr

    def attribute(self, path, name):
        done = self.mounted.host.run(
            ["/usr/bin/python3", "-c", "import os, sys; sys.stdout.buffer.write("
             f"os.getxattr({str(self.point / 'set' / path)!r}, 'user.swarmfs.{name}'))"])
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def read(self, path):
        done = self.mounted.host.run(["cmp", self.point / "set" / path, self.source / path],
                                     timeout=40)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def rate(self, key):
        """Bytes a second over SECONDS."""
        began, before = time.monotonic(), self.status()[key]
        time.sleep(SECONDS)
        after, ended = self.status()[key], time.monotonic()
        return (after - before) / (ended - began)

    def test_a_limit_is_kept_and_changed_while_it_runs(self):
        self.mount("--limit-down", f"{RATE}")
        self.assertAlmostEqual(self.rate("downloaded"), RATE, delta=RATE * 0.1)
        self.assertEqual(self.status()["state"], "fetching")
        # A reader is not held up by a limit: it would take more than two minutes.
        self.swarmfs("limit", "--down", "100K")
        self.read("big.bin")
        self.swarmfs("limit", "--down", "none", "--up", "1M")
        self.assertEqual(json.loads(self.swarmfs("limit", "--json"))[0]["limits"],
                         {"down": 0, "up": content.MIB, "reads_exempt": True, "connections": 0})
        rig.wait_for("the rest", lambda: self.status()["progress"] == 1, 20)

    def test_an_upload_limit_is_kept(self):
        self.mount()
        rig.wait_for("everything", lambda: self.status()["progress"] == 1, 40)
        self.seed.stop()
        self.swarmfs("limit", "--up", f"{RATE}", "set")
        other = clients.SwarmFs(self.net.host("other"))
        other.download(self.torrent, self.net.dir / "out", [self.mounted.address])
        rig.wait_for("uploads", lambda: self.status()["uploaded"] > 0, 20, [other.proc])
        self.assertAlmostEqual(self.rate("uploaded"), RATE, delta=RATE * 0.1)

    def test_a_pause_ends_all_traffic_and_resume_goes_on(self):
        self.mount("--limit-down", "1M", "--read-timeout", "3")
        rig.wait_for("some of it", lambda: self.status()["downloaded"] > 0, 20)
        rig.wait_for("the tracker to know it", lambda: self.known() == 2, 20)
        self.assertEqual(self.swarmfs("pause", "set"), "paused: set\n")
        rig.wait_for("no connection",
                     lambda: not self.mounted.host.connections(self.seed.host), 10)
        rig.wait_for("the tracker to forget it", lambda: self.known() == 1, 10)
        before = self.status()
        self.assertEqual((before["state"], before["peers"]), ("paused", 0))
        # Reads of what is not here end as if there were no peers.
        reading = ("import os; f = os.open(%r, os.O_RDONLY)\ntry: os.pread(f, 1, %d)\n"
                   "except OSError as e: print(e.errno == 110)"
                   % (str(self.point / "set/big.bin"), BIG - 1))
        done = self.mounted.host.run(["/usr/bin/python3", "-c", reading], timeout=20)
        if self.attribute("big.bin", "pieces")[-1] == ".":
            self.assertEqual(done.stdout, "True\n", done.stderr)
        self.assertIn("the torrent was paused", self.swarmfs("why", self.point))
        self.assertEqual(self.status()["downloaded"], before["downloaded"])
        self.swarmfs("resume")
        self.swarmfs("limit", "--down", "none")
        rig.wait_for("everything", lambda: self.status()["progress"] == 1, 20)
        self.assertEqual(self.status()["state"], "seeding")

    def known(self):
        """How many peers the tracker knows."""
        return self.tracker.peers(self.torrent.hashes[0])

    def test_a_torrent_that_is_removed_says_goodbye_to_its_tracker(self):
        self.mount("--on-demand")
        rig.wait_for("the tracker to know it", lambda: self.known() == 2, 20)
        self.swarmfs("remove", "set")
        rig.wait_for("the tracker to forget it", lambda: self.known() == 1, 10)
        self.swarmfs("add", self.torrent.path)
        rig.wait_for("the tracker to know it again", lambda: self.known() == 2, 20)
        self.assertEqual(self.mounted.unmount(), 0)
        rig.wait_for("the tracker to forget it at the end too", lambda: self.known() == 1, 10)

    def test_pins_are_completed_on_demand_and_remembered(self):
        self.mount("--on-demand")
        self.swarmfs("pin", self.point / "set/small.bin")
        rig.wait_for("the pinned file", lambda: self.attribute("small.bin", "progress") == "1.0000",
                     20, [self.mounted.proc])
        self.assertEqual([self.attribute(f, "pinned") for f in ("small.bin", "big.bin", ".")],
                         ["1", "0", "0"])
        self.assertLess(self.status()["bytes_here"], SMALL + 4 * 64 * content.KIB)
        self.swarmfs("pin", self.point / "set/more")
        # Another process, with the same cache.
        self.assertEqual(self.mounted.unmount(), 0)
        self.mount("--on-demand")
        self.assertEqual([self.attribute(f, "pinned") for f in ("small.bin", "more", "big.bin")],
                         ["1", "1", "0"])
        rig.wait_for("the pinned folder", lambda: self.attribute("more", "progress") == "1.0000",
                     20, [self.mounted.proc])
        self.swarmfs("unpin", self.point / "set")
        self.assertEqual(self.mounted.unmount(), 0)
        self.mount("--on-demand")
        self.assertEqual(self.attribute("small.bin", "pinned"), "0")

    def test_prefetch_fetches_a_range_and_waits_for_it(self):
        self.mount("--on-demand")
        big = self.point / "set/big.bin"
        said = self.swarmfs("prefetch", big, "1M-2M", "--wait")
        self.assertEqual(said, "1 MiB of 1 MiB are here\n")
        pieces = self.attribute("big.bin", "pieces")
        self.assertEqual(pieces.find("#"), 16)
        self.assertLessEqual(pieces.count("#"), 18)
        self.swarmfs("prefetch", big, "-64K", "--wait")
        self.assertEqual(self.attribute("big.bin", "pieces")[-1], "#")
        answer = json.loads(self.swarmfs("prefetch", self.point / "set", "--wait", "--json"))
        self.assertEqual((answer["here"], answer["all"]), (sum(FILES.values()),) * 2)
        for path in FILES:
            self.read(pathlib.Path(path).relative_to("set"))

    def test_who_stops_waiting_leaves_the_rest_to_the_mount(self):
        self.mount("--on-demand", "--limit-down", "1M")
        waiting = self.mounted.host.start(
            "prefetch", [clients.SWARMFS, "prefetch", self.point / "set/small.bin", "--wait"],
            env={"XDG_RUNTIME_DIR": str(self.mounted.dir)})
        rig.wait_for("some of it", lambda: self.status()["downloaded"] > 0, 20)
        self.assertTrue(waiting.alive())
        waiting.stop()
        rig.wait_for("the rest", lambda: self.attribute("small.bin", "progress") == "1.0000", 20)

    def test_what_cannot_be_is_refused_in_one_line(self):
        self.mount("--on-demand")
        for argv, status, words in (
                (["pause", "nobody"], 4, "nobody is neither a torrent"),
                (["pin", self.net.dir], 4, "is not on a swarmfs mount"),
                (["prefetch", self.point / "set/none"], 4, "No such file"),
                (["prefetch", self.point / "set/small.bin", "1G-"], 4, "is in the range 1G-")):
            said = self.swarmfs(*argv, status=status)
            self.assertIn(words, said)
            self.assertEqual(said.count("\n"), 1, said)
        self.assertIn("not a rate", self.swarmfs("limit", "--down", "fast", status=2))
        self.assertIn("no bytes", self.swarmfs("prefetch", self.point, "9-5", status=2))


if __name__ == "__main__":
    unittest.main()
