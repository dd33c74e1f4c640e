"""Mounts of many torrents that change while they run, with the real program and a real seed on the
loopback. Mounts are looked at through child processes only, so that one that hangs can be ended.
"""

import errno
import hashlib
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

SWARMFS = os.environ["SWARMFS"]
PATIENCE = 40  # seconds that anything may take on a loaded machine under a sanitizer
MIB = 1 << 20

# Reads a file to its end and prints its hash and the longest time that one read took.
READER = """
import hashlib, os, sys, time
h, worst = hashlib.sha256(), 0.0
fd = os.open(sys.argv[1], os.O_RDONLY)
rounds = int(sys.argv[2])
for _ in range(rounds):
    os.lseek(fd, 0, os.SEEK_SET)
    h = hashlib.sha256()
    while True:
        begun = time.monotonic()
        part = os.read(fd, 65536)
        worst = max(worst, time.monotonic() - begun)
        if not part: break
        h.update(part)
        time.sleep(0.001)
print(h.hexdigest(), worst)
"""

# Says "open", reads a byte at an offset and prints the errno (0: it got it), and does both again for
# every line on stdin.
PROBE = """
import os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
print("open", os.fstat(fd).st_ino, flush=True)
while True:
    try:
        print(0 if os.pread(fd, 1, int(sys.argv[2])) else -1, flush=True)
    except OSError as e:
        print(e.errno, flush=True)
    if not sys.stdin.readline(): break
"""


class ManyTorrents(unittest.TestCase):
    def setUp(self):
        if not os.path.exists("/dev/fuse"):
            self.skipTest("no /dev/fuse")
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="swarmfs-many-"))
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.procs = []
        self.points = []
        self.addCleanup(self.end_all)
        for name in ("run", "cache", "src", "mnt"):
            (self.dir / name).mkdir()
        (self.dir / "run").chmod(0o700)
        self.env = {**os.environ, "XDG_RUNTIME_DIR": str(self.dir / "run"),
                    "XDG_CACHE_HOME": str(self.dir / "cache"), "LC_ALL": "C.UTF-8"}
        self.point = self.dir / "mnt"
        self.log = self.dir / "log"

    def end_all(self):
        for point in self.points:
            self.run_any("unmount", point)
            subprocess.run(["umount", "-l", point], capture_output=True)
        for proc in self.procs:
            if proc.poll() is None:
                os.killpg(proc.pid, signal.SIGKILL)
            proc.wait(PATIENCE)
            for pipe in (proc.stdin, proc.stdout):
                if pipe:
                    pipe.close()

    # --- the program

    def run_any(self, *argv, timeout=PATIENCE):
        return subprocess.run([SWARMFS, *map(str, argv)], env=self.env, text=True, timeout=timeout,
                              stdin=subprocess.DEVNULL, capture_output=True)

    def ok(self, *argv):
        done = self.run_any(*argv)
        self.assertEqual(done.returncode, 0, f"{argv}: {done.stdout}{done.stderr}")
        return done.stdout

    def refused(self, status, *argv):
        done = self.run_any(*argv)
        self.assertEqual(done.returncode, status, f"{argv}: {done.stdout}{done.stderr}")
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        return done.stderr

    def start(self, argv, **kwargs):
        proc = subprocess.Popen([str(a) for a in argv], env=self.env, text=True,
                                start_new_session=True, **kwargs)
        self.procs.append(proc)
        return proc

    def python(self, script, *argv):
        return self.start([sys.executable, "-c", script, *argv], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE)

    def wait(self, what, predicate, timeout=PATIENCE):
        end = time.monotonic() + timeout
        while True:
            value = predicate()
            if value:
                return value
            if time.monotonic() > end:
                log = self.log.read_text(errors="replace") if self.log.exists() else ""
                self.fail(f"not within {timeout} s: {what}\n{log}")
            time.sleep(0.02)

    # --- what is shared

    def torrent(self, name, size=100_000, into=None):
        """A folder of one file, and its manifest."""
        source = self.dir / "src" / name
        source.mkdir(parents=True)
        (source / "file").write_bytes(random.Random(name).randbytes(size))
        manifest = (into or self.dir) / f"{len(os.listdir(self.dir / 'src'))}.torrent"
        self.ok("publish", source, "-o", manifest)
        return manifest

    def seed(self, manifest, name):
        """Serves a torrent(); returns its address."""
        log = self.dir / f"seed-{len(self.procs)}.log"
        with open(log, "wb") as out:
            self.start([SWARMFS, "-q", "seed", manifest, self.dir / "src" / name, "--json",
                        "--listen", "127.0.0.1:0"], stdout=out)
        ready = self.wait("the seed to be ready", log.read_text)
        return f"127.0.0.1:{json.loads(ready)['port']}"

    def mount(self, *argv, point=None):
        point = point or self.point
        self.points.append(point)
        self.ok("mount", *argv, point, "--listen", "127.0.0.1:0", "-v", "--log-file", self.log)

    def unmount(self, point=None):
        self.ok("unmount", point or self.point)

    def ls(self, *below, point=None):
        out = subprocess.run(["ls", "-A", "--", (point or self.point).joinpath(*below)], text=True,
                             capture_output=True, timeout=PATIENCE)
        self.assertEqual(out.returncode, 0, out.stderr)
        return sorted(out.stdout.splitlines())

    def listed(self):
        return json.loads(self.ok("list", self.point, "--json"))

    def state(self, name):
        return {t["name"]: t["state"] for t in self.listed()["torrents"]}.get(name)

    def same(self, name):
        """The file of a torrent() through the mount is the source's."""
        done = subprocess.run(["cmp", self.point / name / "file", self.dir / "src" / name / "file"],
                              capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def probe(self, name, at=0):
        """A process that has the file open and reads a byte of it; and its inode number."""
        proc = self.python(PROBE, self.point / name / "file", at)
        return proc, int(proc.stdout.readline().split()[1])

    # --- tests

    def test_an_empty_mount_to_which_torrents_are_added(self):
        self.mount()
        self.assertEqual(self.ls(), [])
        self.assertEqual(self.listed()["torrents"], [])
        first = self.torrent("one")
        address = self.seed(first, "one")
        self.unmount()
        self.mount("--peer", address)
        self.assertEqual(self.ok("add", first).strip(), str(self.point / "one"))
        self.assertEqual(self.ls(), ["one"])
        self.same("one")
        self.assertIn("already", self.ok("add", first))
        # Another content of the same name.
        other = self.dir / "other"
        (other / "one").mkdir(parents=True)
        (other / "one/file").write_bytes(b"other")
        self.ok("publish", other / "one", "-o", self.dir / "other.torrent")
        added = json.loads(self.ok("add", self.dir / "other.torrent", "--json"))
        self.assertEqual(added[0]["name"], "one (2)")
        self.assertEqual({t["name"]: t["torrent"] for t in self.listed()["torrents"]},
                         {"one": "one", "one (2)": "one"})
        self.assertIn("one (2) (of one)", self.ok("list"))
        status = json.loads(self.ok("status", self.point, "--json"))
        self.assertEqual([t["name"] for t in status["torrents"]], ["one", "one (2)"])
        self.ok("remove", self.point / "one (2)" / "file")
        self.assertEqual(self.ls(), ["one"])

    def test_what_cannot_be_done_is_refused_in_one_line(self):
        manifest = self.torrent("one")
        self.assertIn("no swarmfs of yours is mounted", self.refused(4, "add", manifest))
        self.mount()
        self.assertIn("nothing.torrent", self.refused(4, "add", self.dir / "nothing.torrent"))
        bad = self.dir / "bad.torrent"
        bad.write_bytes(b"no torrent")
        self.assertIn("bad.torrent", self.refused(3, "add", bad))
        os.mkfifo(self.dir / "fifo")
        self.refused(4, "add", self.dir / "fifo")
        self.assertIn("there is none", self.refused(4, "remove", "one"))
        self.ok("add", manifest)
        self.assertIn('there is "one"', self.refused(4, "remove", "two"))
        self.refused(3, "remove", str(self.point) + "/")
        second = self.dir / "second"
        second.mkdir()
        self.mount(point=second)
        said = self.refused(3, "add", manifest)
        self.assertIn(str(second), said)
        self.assertIn("--to", said)
        self.refused(3, "remove", "one")
        # The cache is in use by the first mount, and that is in nobody's way.
        self.ok("add", manifest, "--to", second)
        self.assertEqual(self.ls(point=second), ["one"])
        self.wait("the torrent to be broken", lambda: "in use by process" in self.ok("list", second))
        done = subprocess.run(["head", "-c1", second / "one/file"], capture_output=True, text=True,
                              timeout=PATIENCE)
        self.assertNotEqual(done.returncode, 0)
        # Once it is free, it is opened when it is brought again.
        self.unmount()
        self.assertNotIn("already", self.ok("add", manifest))
        self.wait("the torrent to open", lambda: "incomplete" in self.ok("list", second))

    def test_a_reader_is_not_disturbed_by_what_comes_and_goes(self):
        manifest = self.torrent("big", 4 * MIB)
        more = [self.torrent(f"more{i}") for i in range(8)]
        self.mount(manifest, "--peer", self.seed(manifest, "big"))
        self.same("big")
        quiet = self.python(READER, self.point / "big/file", 4)
        quiet_sum, quiet_worst = quiet.communicate(timeout=PATIENCE)[0].split()
        reader = self.python(READER, self.point / "big/file", 12)
        while reader.poll() is None:
            for path in more:
                self.ok("add", path)
            self.assertEqual(len(self.ls()), 9)
            for i in range(8):
                self.ok("remove", f"more{i}")
            self.assertEqual(self.ls(), ["big"])
        total, worst = reader.communicate(timeout=PATIENCE)[0].split()
        self.assertEqual(total, quiet_sum)
        source = (self.dir / "src/big/file").read_bytes()
        self.assertEqual(total, hashlib.sha256(source).hexdigest())
        # Fair shares of a loaded machine are what is left.
        self.assertLess(float(worst), max(1.0, 3 * float(quiet_worst)))

    def test_a_removed_torrent_ends_its_readers_and_nothing_else(self):
        manifest, other = self.torrent("gone"), self.torrent("stays")
        self.mount(manifest, other, "--peer", self.seed(other, "stays"))
        self.same("stays")
        readers = [self.probe("gone", 9000 * i) for i in range(10)]
        inode = readers[0][1]
        self.wait("the reads to wait", lambda: json.loads(
            self.ok("why", self.point, "--json"))["waiting_reads"] >= 1)
        begun = time.monotonic()
        self.ok("remove", "gone")
        for proc, _ in readers:
            self.assertEqual(int(proc.stdout.readline()), errno.ESTALE)
        self.assertLess(time.monotonic() - begun, PATIENCE / 4)
        self.assertEqual(self.ls(), ["stays"])
        self.same("stays")
        # It comes back as another: the handles of before never see it.
        self.ok("add", manifest)
        self.wait("it to open", lambda: self.state("gone") == "incomplete")
        back, new_inode = self.probe("gone")
        self.assertNotEqual(new_inode, inode)
        for proc, _ in readers:
            proc.stdin.write("\n")
            proc.stdin.flush()
            self.assertEqual(int(proc.stdout.readline()), errno.ESTALE)
        self.unmount()
        self.assertEqual(int(back.stdout.readline()), errno.ENOTCONN)

    def test_pages_of_a_removed_torrent_are_forgotten(self):
        manifest = self.torrent("one")
        self.mount(manifest, "--peer", self.seed(manifest, "one"))
        self.same("one")
        proc, _ = self.probe("one")
        self.assertEqual(int(proc.stdout.readline()), 0)
        self.ok("remove", "one")
        def stale():
            proc.stdin.write("\n")
            proc.stdin.flush()
            return int(proc.stdout.readline()) == errno.ESTALE
        self.wait("the page to go", stale)

    def test_deletes_what_the_cache_has_of_a_torrent_and_nothing_else(self):
        odd = "-rf $(echo) ..;'\"*"
        manifests = [self.torrent(odd), self.torrent("keep")]
        address = [self.seed(manifests[0], odd), self.seed(manifests[1], "keep")]
        self.mount(*manifests, "--peer", address[0], "--peer", address[1])
        self.same(odd)
        self.same("keep")
        cache = self.dir / "cache/swarmfs"
        hashes = {t["name"]: t["infohash"] for t in self.listed()["torrents"]}
        (cache / "mine").write_text("mine")
        self.ok("remove", "--delete-data", "--", odd)
        self.assertEqual(sorted(os.listdir(cache)), sorted([hashes["keep"], "mine"]))
        self.same("keep")
        self.ok("remove", "keep")
        self.assertEqual(sorted(os.listdir(cache)), sorted([hashes["keep"], "mine"]))
        # What was kept is there at once, and needs nobody to fetch it from.
        for proc in self.procs[:2]:
            os.killpg(proc.pid, signal.SIGKILL)
        self.ok("add", manifests[1])
        self.same("keep")

    def test_a_watched_folder(self):
        folder = self.dir / "in"
        folder.mkdir()
        first, second = self.torrent("one", into=folder), self.torrent("two")
        (folder / "bad.torrent").write_bytes(b"no torrent")
        self.mount(folder)
        self.assertEqual(self.ls(), ["one"])
        broken = self.listed()["broken"]
        self.assertEqual([b["manifest"] for b in broken], [str(folder / "bad.torrent")])
        self.assertIn("bad.torrent  broken: ", self.ok("list"))
        self.assertIn("bad.torrent", self.log.read_text())

        begun = time.monotonic()
        shutil.copy(second, folder / "two.torrent")
        self.wait("it to appear", lambda: self.ls() == ["one", "two"])
        self.assertLess(time.monotonic() - begun, PATIENCE / 8)
        inode = os.stat(self.point / "two").st_ino
        (folder / "two.torrent").rename(folder / "renamed.torrent")
        self.wait("the rename to be seen", lambda: str(folder / "two.torrent") not in str(
            self.listed()))
        self.assertEqual(os.stat(self.point / "two").st_ino, inode, "a rename disturbs nobody")

        # Half a manifest is waited for.
        third = self.torrent("three").read_bytes()
        with open(folder / "three.torrent", "wb") as out:
            out.write(third[:100])
            out.flush()
            time.sleep(0.3)
            self.assertEqual(len(self.listed()["broken"]), 1)
            out.write(third[100:])
        self.wait("it to appear", lambda: "three" in self.ls())
        # Mended in place, and replaced by another.
        shutil.copy(self.torrent("four"), folder / "bad.torrent")
        self.wait("it to appear", lambda: "four" in self.ls())
        self.assertEqual(self.listed()["broken"], [])
        os.replace(self.torrent("five"), folder / "bad.torrent")
        self.wait("the other to appear", lambda: "five" in self.ls() and "four" not in self.ls())
        (folder / "renamed.torrent").unlink()
        self.wait("it to go", lambda: "two" not in self.ls())
        # A command wins over a file that stays, until the file comes again.
        said = self.run_any("remove", "one")
        self.assertEqual(said.returncode, 0, said.stderr)
        self.assertIn(str(first), said.stderr)
        self.assertNotIn("one", self.ls())
        os.utime(first)
        shutil.copy(first, self.dir / "copy")
        os.replace(self.dir / "copy", first)
        self.wait("it to come back", lambda: "one" in self.ls())

    def worker(self, *argv):
        """A mount that stays in the foreground, ready."""
        with open(self.log, "ab") as out:
            proc = self.start([SWARMFS, "-v", "mount", "-f", *argv, self.point, "--listen",
                               "127.0.0.1:0"], stdout=out, stderr=out)
        self.points.append(self.point)
        self.wait("the mount", lambda: self.run_any("status", self.point).returncode == 0)
        return proc

    def crash(self, proc):
        os.killpg(proc.pid, signal.SIGKILL)
        proc.wait(PATIENCE)
        subprocess.run(["umount", "-l", self.point], capture_output=True)

    def orders(self):
        """{torrent: (paused, limits)}, and the limits of all together."""
        self.wait("the torrents", lambda: "opening" not in [
            t["state"] for t in self.listed()["torrents"]])
        limits = json.loads(self.ok("limit", "--json"))[0]
        paused = {t["name"]: t["state"] == "paused"
                  for t in json.loads(self.ok("status", self.point, "--json"))["torrents"]}
        return {t["name"]: (paused[t["name"]], t["limits"]) for t in limits["torrents"]}, \
            limits["limits"]

    def test_pauses_and_limits_outlive_a_crash_and_not_an_unmount(self):
        both = [self.torrent(n) for n in ("one", "two")]
        proc = self.worker(*both)
        fresh = self.orders()
        self.ok("pause", "one")
        self.ok("limit", "--down", "1M", "--no-reads-exempt")
        self.ok("limit", "--up", "2M", "two")
        ordered = self.orders()
        self.assertEqual([ordered[0][n][0] for n in ("one", "two")], [True, False])
        self.assertNotEqual(ordered[1], fresh[1])
        self.crash(proc)
        proc = self.worker(*both)
        self.assertEqual(self.orders(), ordered)
        # What is taken back stays so, and what has left comes back as it was at first.
        self.ok("resume", "one")
        self.ok("remove", "two")
        self.ok("add", both[1])
        ordered = self.orders()
        self.assertEqual(ordered[0], fresh[0])
        self.crash(proc)
        proc = self.worker(*both)
        self.assertEqual(self.orders(), ordered)
        self.ok("pause")
        self.unmount()
        proc.wait(PATIENCE)
        self.worker(*both)
        self.assertEqual(self.orders(), fresh)
        self.unmount()

    def test_what_commands_changed_outlives_a_crash_and_not_an_unmount(self):
        first, second, third = (self.torrent(n) for n in ("one", "two", "three"))
        proc = self.worker(first)
        self.ok("add", second, third)
        self.ok("remove", "one")
        self.ok("remove", "three")
        third.unlink()
        second.unlink()
        self.crash(proc)
        self.worker(first)
        self.assertEqual(self.ls(), ["two"])
        self.unmount()
        self.worker(first)
        self.assertEqual(self.ls(), ["one"])
        self.unmount()
        left = [p for p in (self.dir / "run").rglob("*") if p.is_file() or p.name.endswith(".kept")]
        self.assertEqual(left, [])

    def test_the_hidden_folder(self):
        manifest = self.torrent("one")
        address = self.seed(manifest, "one")
        self.mount(manifest, "--peer", address, "--on-demand")
        self.assertEqual(self.ls(), ["one"])
        self.assertEqual(self.ls(".swarmfs"), ["README", "peers", "status", "torrents"])
        self.assertEqual(self.ls(".swarmfs/torrents"), ["one"])
        def cat(name):
            done = subprocess.run(["cat", self.point / ".swarmfs" / name], capture_output=True,
                                  text=True, timeout=PATIENCE)
            self.assertEqual(done.returncode, 0, done.stderr)
            return done.stdout
        self.assertIn("swarmfs mount", cat("README"))
        self.assertIn("one\n", cat("status"))
        self.assertIn("one\n", cat("torrents/one/status"))
        line = self.wait("the peer", lambda: cat("peers"))
        self.assertEqual(line.split("\t")[:2], ["one", address])
        self.assertIn("swarmfs", line)
        def attribute(name):
            return os.getxattr(self.point / "one/file", f"user.swarmfs.{name}").decode()
        self.assertEqual(attribute("state"), "open")
        self.assertEqual(attribute("peers"), "1")
        self.ok("remove", "one")
        self.wait("it to go", lambda: self.ls(".swarmfs/torrents") == [])

    def test_a_hundred_torrents(self):
        empty = self.worker()
        base = self.memory(empty)
        self.unmount()
        empty.wait(PATIENCE)
        folder = self.dir / "in"
        folder.mkdir()
        template = self.torrent("t000", 20_000).read_bytes()
        # As many contents as names: the name is part of what the info hash is of.
        for i in range(100):
            (folder / f"{i}.torrent").write_bytes(template.replace(b"t000", b"t%03d" % i))
        begun = time.monotonic()
        proc = self.start([SWARMFS, "-q", "mount", "-f", folder, self.point, "--listen",
                           "127.0.0.1:0"])
        self.wait("the names", lambda: len(self.ls()) == 100)
        visible = time.monotonic() - begun
        self.wait("all to open", lambda: {t["state"] for t in self.listed()["torrents"]} ==
                  {"incomplete"})
        opened = time.monotonic() - begun
        time.sleep(1)
        each = (self.memory(proc) - base) / 100
        begun = time.monotonic()
        self.unmount()
        ended = time.monotonic() - begun
        print(f"100 torrents: visible after {visible:.2f} s, open after {opened:.2f} s, "
              f"{each:.0f} KiB each, unmounted in {ended:.2f} s", file=sys.stderr)
        self.assertLess(visible, PATIENCE / 4)
        self.assertLess(ended, PATIENCE / 2)
        if "asan" not in SWARMFS and "tsan" not in SWARMFS:
            self.assertLess(each, 1024)

    def memory(self, proc):
        """KiB of anonymous memory."""
        pid = json.loads(self.ok("status", self.point, "--json"))["pid"]
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1])
        return self.fail(f"no memory of {proc.pid}")


if __name__ == "__main__":
    unittest.main()
