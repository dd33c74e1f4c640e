"""What `swarmfs why` says while a program waits: by path and by pid, as text and as JSON."""

import json
import os
import unittest

import clients
import content
import evil_peer
import rig

SIZE = 4 * content.MIB + 77
PIECE = 256 * content.KIB
BLOCK_AT = 2 * content.MIB  # where the waiting reads begin


class Why(rig.NetCase):
    limit = 90

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        rig.skip(clients.SwarmFsMount.absent() or clients.LibTorrent.absent())

    def setUp(self):
        super().setUp()
        self.file = content.make_tree(self.net.dir / "data", files={"file.bin": SIZE}) / "file.bin"
        self.torrent = content.make_torrent(self.file, self.net.dir / "t.torrent", "v1", PIECE)

    def mount(self, peers=(), extra=()):
        self.mounted = clients.SwarmFsMount(self.net.host("mount"))
        self.mounted.download(self.torrent, self.net.dir / "mnt", peers,
                              extra=["--on-demand", *extra])
        self.path = self.net.dir / "mnt" / "file.bin"

    def evil(self, behaviour):
        host = self.net.host("evil")
        peer = host.start("evil", ["/usr/bin/python3", evil_peer.__file__, behaviour,
                                   self.torrent.path, self.file, "--port", clients.PORT])
        peer.wait_text("ready", 10)
        return f"{host.ip4}:{clients.PORT}"

    def reader(self, at=BLOCK_AT):
        """A cat of the file from `at` on, which will wait."""
        script = f"with open({str(self.path)!r}, 'rb') as f: f.seek({at}); f.read(1)"
        return self.mounted.host.start("reader", ["/usr/bin/python3", "-u", "-c", script])

    def why(self, about, *options, status=0):
        done = self.mounted.host.run(
            [clients.SWARMFS, "why", about, *options], timeout=20,
            env={**os.environ, "XDG_RUNTIME_DIR": str(self.mounted.dir)})
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout if status == 0 else done.stderr

    def waiting(self, about, accept):
        """The read at BLOCK_AT once accept(it) holds."""
        def look():
            answer = json.loads(self.why(about, "--json"))
            for read in answer["waiting"]:
                if read["offset"] <= BLOCK_AT < read["offset"] + read["length"] and accept(read):
                    return read
            return None
        return rig.wait_for("the read to wait as it should", look, 30, [self.mounted.proc])

    def check_reader(self, reader, read, summary):
        """The same by path, by the folder above, by pid, and in text."""
        self.assertEqual(read["file"], "file.bin")
        self.assertEqual(read["pid"], reader.popen.pid)
        self.assertEqual(read["comm"], "python3")
        self.assertRegex(read["summary"], summary)
        self.assertGreater(read["times_out_ms"], 0)
        by_pid = json.loads(self.why(reader.popen.pid, "--json"))
        self.assertEqual([m["mountpoint"] for m in by_pid], [str(self.mounted.point)])
        self.assertIn(read["cause"], [r["cause"] for r in by_pid[0]["waiting"]])
        for about in (self.path, self.mounted.point, reader.popen.pid):
            text = self.why(about)
            self.assertIn(f"python3 (pid {reader.popen.pid}", text)
            self.assertRegex(text, summary)

    def test_a_seed_whose_cable_is_cut(self):
        seed = clients.LibTorrent(self.net.host("seed"))
        seed.seed(self.torrent, self.file.parent)
        self.mount([seed.address])
        first = self.mounted.host.run(["head", "-c", "1", self.path], text=False, timeout=30)
        self.assertEqual(len(first.stdout), 1)
        seed.host.cut()
        reader = self.reader()
        read = self.waiting(self.path, lambda r: r["cause"] == "overdue")
        self.assertEqual(read["peer"], seed.address)
        piece = read["pieces"][0]
        self.assertEqual(piece["piece"], BLOCK_AT // PIECE)
        self.assertEqual(piece["blocks_needed"], PIECE // evil_peer.BLOCK)
        copy = piece["blocks"][0]["asked_of"][0]
        self.assertEqual(copy["peer"], seed.address)
        self.assertIn("libtorrent", copy["client"])
        self.assertGreater(copy["silent_ms"], copy["expected_ms"])
        self.check_reader(reader, read, rf"{seed.address} \(libtorrent.*has sent nothing for")
        # The read of before is remembered, with who brought it.
        answer = json.loads(self.why(self.path, "--json"))
        brought = [r for r in answer["recent"] if r["errno"] == 0]
        self.assertTrue(all(r["source"] == "peer" for r in brought), brought)
        status = self.mounted.status()
        self.assertGreaterEqual(status["latency"]["peer"]["count"], 1)
        self.assertGreaterEqual(status["latency"]["first_byte"]["count"], 1)
        reader.kill()

    def test_a_peer_that_chokes(self):
        address = self.evil("Choker")
        self.mount([address])
        reader = self.reader()
        read = self.waiting(self.path, lambda r: r["cause"] == "choked")
        self.assertEqual(read["pieces"][0]["have_it"], 1)
        self.assertEqual(read["pieces"][0]["choke_us"], 1)
        self.assertEqual(read["pieces"][0]["peers"][0]["peer"], address)
        self.check_reader(reader, read, rf"only peer that has piece \d+ chokes us: {address}")
        reader.kill()

    def test_nobody_at_all(self):
        self.mount(extra=["--read-timeout", "4"])
        reader = self.reader()
        read = self.waiting(self.path, lambda r: r["cause"] == "no_peers")
        self.check_reader(reader, read, "no peer is connected and no address of one is known")
        self.assertNotEqual(reader.wait(30), 0)
        # It has waited, and says so with its errno.
        rig.wait_for("no read to wait", lambda: not json.loads(
            self.why(self.path, "--json"))["waiting"], 20, [self.mounted.proc])
        text = self.why(self.path)
        self.assertIn("no read waits; these have waited lately", text)
        self.assertRegex(text, "Connection timed out: no peer was connected")

    def test_what_is_not_ours_is_refused_in_one_line(self):
        self.mount()
        for about, words in ((self.net.dir, "is not on a swarmfs mount"),
                             (self.path.parent / "nothing", "No such file"),
                             (os.getpid(), "has no waiting read"),
                             (2 ** 22 + 7, "there is no process")):
            said = self.why(about, status=4)
            self.assertIn(words, said)
            self.assertEqual(said.count("\n"), 1, said)
        self.assertIn("no read waits, and none has waited lately", self.why(self.mounted.point))


if __name__ == "__main__":
    unittest.main()
