"""What users get wrong, and machines that are full: a clear line, the right exit code, no hang."""

import errno
import json
import os
import pathlib
import subprocess
import sys
import unittest

import clients
import content
import rig

FAILED, USAGE, BAD_MANIFEST, FILE, MISMATCH, NETWORK, BUSY = range(1, 8)
SIZE = 1 * content.MIB

# Reads 4 KiB and prints the error number and the seconds that it took.
READ_ONCE = """
import os, sys, time
began = time.monotonic()
try:
    os.pread(os.open(sys.argv[1], os.O_RDONLY), 4096, 0)
    print(0, time.monotonic() - began)
except OSError as e:
    print(e.errno, time.monotonic() - began)
"""


class BadUse(rig.NetCase):
    limit = 60

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        rig.skip(clients.SwarmFs.absent() or clients.LibTorrent.absent())

    def setUp(self):
        super().setUp()
        self.host = self.net.host("here")
        self.file = content.make_tree(self.net.dir / "data", files={"file.bin": SIZE}) / "file.bin"
        self.torrent = content.make_torrent(self.file, self.net.dir / "t.torrent", "hybrid")
        self.point = self.net.dir / "mnt"
        self.point.mkdir()
        self.cache = self.net.dir / "cache"

    def swarmfs(self, *argv, timeout=20, **kwargs):
        env = {**os.environ, "XDG_RUNTIME_DIR": str(self.net.dir), "HOME": str(self.net.dir),
               "XDG_CACHE_HOME": str(self.net.dir / "xdg-cache")}
        return self.host.run([clients.SWARMFS, *argv], timeout=timeout, env=env, **kwargs)

    def refused(self, code, naming, *argv, **kwargs):
        """The command fails with `code`, and one line on stderr that names the culprit."""
        done = self.swarmfs(*argv, **kwargs)
        self.assertEqual(done.returncode, code, f"{argv}: {done.stdout}{done.stderr}")
        lines = [l for l in done.stderr.splitlines() if l.strip()]
        self.assertEqual(len(lines), 1, f"one line wanted: {done.stderr}")
        self.assertIn(str(naming), lines[0])
        self.assertEqual(rig.mounts_below(self.net.dir), [])

    def mount_refused(self, code, naming, manifest=None, point=None, **kwargs):
        self.refused(code, naming, "mount", manifest or self.torrent.path, point or self.point,
                     "--cache-dir", self.cache, **kwargs)

    def test_no_peers_ends_the_read_with_ETIMEDOUT(self):
        mount = clients.SwarmFsMount(self.host)
        mount.download(self.torrent, self.point, extra=["--read-timeout", "2"])
        done = self.host.run([sys.executable, "-c", READ_ONCE, self.point / "file.bin"], timeout=20)
        number, seconds = done.stdout.split()
        self.assertEqual(int(number), errno.ETIMEDOUT)
        self.assertGreaterEqual(float(seconds), 1.9)
        self.assertLessEqual(float(seconds), 6)
        # All else still works, and unmounting does not wait for anything.
        self.assertEqual(os.listdir(self.point), ["file.bin"])
        self.assertEqual(mount.unmount(5), 0)

    def test_unmount_while_a_read_waits(self):
        mount = clients.SwarmFsMount(self.host)
        mount.download(self.torrent, self.point)
        reader = self.host.start("reader", [sys.executable, "-c", READ_ONCE,
                                            self.point / "file.bin"])
        with self.assertRaises(AssertionError):  # it waits
            reader.wait(1)
        done = self.swarmfs("unmount", self.point, timeout=15)
        self.assertIn(done.returncode, (0, BUSY), done.stderr)
        if done.returncode == BUSY:
            reader.stop()
            self.assertEqual(self.swarmfs("unmount", self.point, timeout=15).returncode, 0)
        reader.stop()
        mount.proc.wait(10)

    def test_a_reader_that_waits_can_be_killed(self):
        mount = clients.SwarmFsMount(self.host)
        mount.download(self.torrent, self.point)
        reader = self.host.start("cat", ["cat", self.point / "file.bin"])
        with self.assertRaises(AssertionError):
            reader.wait(1)
        reader.kill()
        reader.wait(5)
        self.assertEqual(mount.unmount(10), 0)

    def test_get_with_no_peers_can_be_stopped(self):
        getter = clients.SwarmFs(self.host)
        getter.download(self.torrent, self.net.dir / "out")
        with self.assertRaises(AssertionError):
            getter.proc.wait(2)
        getter.proc.stop(5)
        self.assertNotEqual(getter.proc.popen.returncode, -9, "had to be killed")

    def test_mount_point_missing(self):
        self.mount_refused(FILE, "nowhere", point=self.net.dir / "nowhere")

    def test_mount_point_is_a_file(self):
        self.mount_refused(FILE, self.file, point=self.file)

    def test_mount_point_busy(self):
        """Mounting over a mount that is alive is refused; the first one stays as it was."""
        mount = clients.SwarmFsMount(self.host)
        mount.download(self.torrent, self.point)
        done = self.swarmfs("mount", self.torrent.path, self.point, "--cache-dir",
                            self.net.dir / "other-cache")
        self.assertEqual(done.returncode, BUSY, done.stderr)
        self.assertIn(str(self.point), done.stderr)
        self.assertEqual(len(rig.mounts_below(self.net.dir)), 1)
        self.assertEqual(mount.unmount(), 0)

    def test_cache_in_use(self):
        mount = clients.SwarmFsMount(self.host)
        mount.download(self.torrent, self.point)
        other = self.net.dir / "mnt2"
        other.mkdir()
        done = self.swarmfs("mount", self.torrent.path, other, "--cache-dir", mount.cache)
        self.assertEqual(done.returncode, BUSY, done.stderr)
        self.assertEqual(mount.unmount(), 0)

    def test_manifest_missing(self):
        self.mount_refused(FILE, "absent.torrent", manifest=self.net.dir / "absent.torrent")

    def test_manifest_is_garbage(self):
        bad = self.net.dir / "bad.torrent"
        bad.write_bytes(os.urandom(5000))
        for command in (["mount", bad, self.point], ["inspect", bad], ["verify", bad, self.file],
                        ["seed", bad, self.file], ["get", bad, "-o", self.net.dir / "out"]):
            with self.subTest(command[0]):
                self.refused(BAD_MANIFEST, "bad.torrent", *command)

    def test_manifest_is_cut_short(self):
        bad = self.net.dir / "bad.torrent"
        bad.write_bytes(self.torrent.path.read_bytes()[:-30])
        self.mount_refused(BAD_MANIFEST, "bad.torrent", manifest=bad)

    def test_no_arguments(self):
        for command in ("mount", "get", "seed", "publish"):
            with self.subTest(command):
                self.assertEqual(self.swarmfs(command).returncode, USAGE)

    def test_seed_of_the_wrong_data(self):
        self.file.write_bytes(b"x" * SIZE)
        self.refused(MISMATCH, "file.bin", "seed", self.torrent.path, self.file)

    def test_seed_of_missing_data(self):
        self.refused(FILE, "gone.bin", "seed", self.torrent.path, self.net.dir / "gone.bin")

    def test_publish_of_a_missing_path(self):
        self.refused(FILE, "gone", "publish", self.net.dir / "gone", "-o", self.net.dir / "o")

    def test_unmount_of_what_is_not_mounted(self):
        done = self.swarmfs("unmount", self.point)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(str(self.point), done.stderr)

    def test_port_taken(self):
        """An explicit port that is taken is an error; nobody would find the peer elsewhere."""
        seeder = clients.SwarmFs(self.host)
        seeder.seed(self.torrent, self.file.parent)
        self.refused(BUSY, str(clients.PORT), "seed", self.torrent.path, self.file, "--listen",
                     f"0.0.0.0:{clients.PORT}")

    def test_default_port_taken(self):
        """Nobody chose it, so the next mount takes another, and says which."""
        ports = []
        for number in range(2):
            point = self.net.dir / f"mnt{number}"
            point.mkdir()
            done = self.swarmfs("mount", self.torrent.path, point, "--cache-dir",
                                self.net.dir / f"cache{number}")
            self.assertEqual(done.returncode, 0, done.stderr)
            shown = self.swarmfs("status", point, "--json")
            ports.append(json.loads(shown.stdout)["port"])
            self.assertTrue(self.host.listening(ports[-1]))
        self.assertEqual(ports[0], clients.PORT)
        self.assertNotIn(ports[1], (0, clients.PORT))
        for number in range(2):
            done = self.swarmfs("unmount", self.net.dir / f"mnt{number}")
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_as_nobody_without_permission(self):
        """A cache that may not be written, as an ordinary user."""
        self.cache.mkdir(mode=0o700)
        self.point.chmod(0o777)
        self.mount_refused(FILE, self.cache, user="nobody")

    def test_manifest_that_may_not_be_read(self):
        self.torrent.path.chmod(0o600)
        self.refused(FILE, "t.torrent", "inspect", self.torrent.path, user="nobody")

    def test_full_disk_for_get(self):
        """The disk is too small: it says so and ends, or it would wait for ever."""
        small = self.small_disk(512)
        seeder = clients.LibTorrent(self.net.host("seed"))
        seeder.seed(self.torrent, self.file.parent)
        done = self.swarmfs("get", self.torrent.path, "-o", small / "out", "--peer",
                            seeder.address, timeout=30)
        self.assertEqual(done.returncode, FILE, done.stderr)
        self.assertIn("space", done.stderr.lower())

    def test_full_disk_for_the_cache(self):
        """A mount with no room to keep anything still serves reads: data goes through memory."""
        self.cache = self.small_disk(400)
        seeder = clients.LibTorrent(self.net.host("seed"))
        seeder.seed(self.torrent, self.file.parent)
        mount = clients.SwarmFsMount(self.host)
        mount.cache = self.cache
        mount.download(self.torrent, self.point, [seeder.address],
                       extra=["--read-timeout", "5"])
        done = self.host.run(["sha256sum", self.point / "file.bin"], timeout=30)
        if done.returncode == 0:
            self.assertEqual(done.stdout.split()[0], content.digest(self.file.parent)["file.bin"][1])
        else:  # bounded and honest is the least
            self.assertRegex(done.stderr, "No space|timed out|Input/output")
        self.assertEqual(mount.unmount(), 0)

    def test_get_leaves_what_is_in_the_way_of_a_link(self):
        tree = self.net.dir / "tree"
        tree.mkdir()
        (tree / "file.bin").write_bytes(self.file.read_bytes())
        (tree / "link").symlink_to("file.bin")
        torrent = self.net.dir / "tree.torrent"
        done = self.swarmfs("publish", tree, "-o", torrent)
        self.assertEqual(done.returncode, 0, done.stderr)
        seed = self.host.start("seed", [clients.SWARMFS, "seed", torrent, tree, "--listen", "7001"])
        seed.wait_text("seeding", 20)
        out = self.net.dir / "out"
        (out / "tree").mkdir(parents=True)
        (out / "tree/link").write_text("mine")
        get = ["get", torrent, "-o", out, "--peer", "127.0.0.1:7001"]
        self.refused(FILE, "tree/link", *get)
        self.assertEqual((out / "tree/link").read_text(), "mine")
        (out / "tree/link").unlink()
        done = self.swarmfs(*get)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(os.readlink(out / "tree/link"), "file.bin")
        self.assertEqual((out / "tree/link").read_bytes(), self.file.read_bytes())

    def small_disk(self, kib):
        small = self.net.dir / "small"
        small.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kib}k", "none", small], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", small])
        return small


if __name__ == "__main__":
    unittest.main()
