"""Who mounts: an ordinary user through fusermount3, root, and mount(8) with a line of fstab."""

import hashlib
import json
import os
import pathlib
import pwd
import stat
import unittest

import clients
import content
import rig

USER = "nobody"
SIZE = 3 * content.MIB + 77
HELPER = pathlib.Path("/sbin/mount.fuse.swarmfs")


class Users(rig.NetCase):
    limit = 90

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        rig.skip(clients.SwarmFs.absent() or clients.LibTorrent.absent())

    def setUp(self):
        super().setUp()
        self.file = content.make_tree(self.net.dir / "data", files={"file.bin": SIZE}) / "file.bin"
        self.sum = hashlib.sha256(self.file.read_bytes()).hexdigest()
        self.torrent = content.make_torrent(self.file, self.net.dir / "t.torrent", "v2")
        self.seed = clients.LibTorrent(self.net.host("seed"))
        self.seed.seed(self.torrent, self.file.parent)
        self.host = self.net.host("here")
        self.home = self.net.dir / "home"
        self.point = self.net.dir / "mnt"
        for folder in (self.home, self.point):
            folder.mkdir()
        self.env = {**os.environ, "HOME": str(self.home), "XDG_RUNTIME_DIR": str(self.home),
                    "XDG_CACHE_HOME": str(self.home / "cache")}

    def be_ordinary(self):
        """Gives the user its folders, and the device that every user has on other machines."""
        for folder in (self.home, self.point):
            os.chown(folder, *self.ids())
        table = pathlib.Path("/etc/mtab")  # fusermount3 wants it; the barest systems lack it
        if not table.exists():
            table.symlink_to("/proc/self/mounts")
            self.addCleanup(table.unlink)
        device = pathlib.Path("/dev/fuse")
        before = stat.S_IMODE(device.stat().st_mode)
        device.chmod(0o666)
        self.addCleanup(device.chmod, before)

    def ids(self):
        entry = pwd.getpwnam(USER)
        return entry.pw_uid, entry.pw_gid

    def run_ok(self, *argv, user=None, timeout=30):
        done = self.host.run(argv, user=user, timeout=timeout, env=self.env)
        self.assertEqual(done.returncode, 0, f"{argv}: {done.stdout}{done.stderr}")
        return done.stdout

    def swarmfs(self, *argv, user=None):
        return self.run_ok(clients.SWARMFS, *argv, user=user)

    def status(self, user=None):
        return json.loads(self.swarmfs("status", self.point, "--json", user=user))

    def check_mount(self, user=None):
        """Mounts as a daemon, reads, unmounts, and does it again without any peer."""
        self.swarmfs("mount", self.torrent.path, self.point, "--peer", self.seed.address, user=user)
        shown = self.run_ok("sha256sum", self.point / "file.bin", user=user)
        self.assertEqual(shown.split()[0], self.sum)
        self.assertEqual(self.run_ok("stat", "-c", "%a %U", self.point / "file.bin", user=user),
                         f"444 {user or 'root'}\n")
        self.assertEqual(self.status(user)["torrents"][0]["progress"], 1)
        refused = self.host.run(["touch", self.point / "new"], user=user)
        self.assertIn("Read-only", refused.stderr)
        self.swarmfs("unmount", self.point, user=user)
        self.assertEqual(rig.mounts_below(self.net.dir), [])

        self.seed.stop()
        self.swarmfs("mount", self.torrent.path, self.point, user=user)
        shown = self.run_ok("sha256sum", self.point / "file.bin", user=user)
        self.assertEqual(shown.split()[0], self.sum)
        self.assertEqual(self.status(user)["torrents"][0]["downloaded"], 0)

    def test_an_ordinary_user(self):
        self.be_ordinary()
        self.check_mount(USER)
        # Its files are its own: root itself is kept out without --allow-other.
        outside = self.host.run(["cat", self.point / "file.bin"])
        self.assertNotEqual(outside.returncode, 0)
        # Without privileges the kernel does not read the disk for us, and nobody notices.
        shown = self.run_ok("sha256sum", self.point / "file.bin", user=USER)
        self.assertEqual(shown.split()[0], self.sum)
        self.assertEqual(self.status(USER)["passthrough_opens"], 0)
        self.run_ok("fusermount3", "-u", self.point, user=USER)

    def test_root(self):
        self.check_mount()
        # Every piece has been verified by the first read: now the kernel reads the disk itself.
        shown = self.run_ok("sha256sum", self.point / "file.bin")
        self.assertEqual(shown.split()[0], self.sum)
        self.assertEqual(self.status()["passthrough_opens"], 1)
        self.swarmfs("unmount", self.point)

    def test_others_may_look_if_asked_for(self):
        self.swarmfs("mount", self.torrent.path, self.point, "--peer", self.seed.address,
                     "--allow-other")
        shown = self.run_ok("sha256sum", self.point / "file.bin", user=USER)
        self.assertEqual(shown.split()[0], self.sum)
        self.run_ok("fusermount3", "-u", self.point)

    def test_a_line_of_fstab(self):
        if HELPER.exists() or HELPER.is_symlink():
            self.skipTest(f"{HELPER} is there already")
        HELPER.symlink_to(pathlib.Path(clients.SWARMFS).resolve())
        self.addCleanup(HELPER.unlink)
        table = self.net.dir / "fstab"
        table.write_text(f"{self.torrent.path} {self.point} fuse.swarmfs "
                         f"noauto,allow_other,_netdev,peer={self.seed.address},"
                         f"cache_dir={self.home}/cache 0 0\n")
        self.run_ok("mount", "--fstab", table, self.point)
        shown = self.run_ok("sha256sum", self.point / "file.bin", user=USER)
        self.assertEqual(shown.split()[0], self.sum)
        self.run_ok("umount", self.point)
        # And typed by hand.
        self.run_ok("mount", "-t", "fuse.swarmfs", self.torrent.path, self.point, "-o",
                    f"on_demand,cache_dir={self.home}/cache")
        self.assertEqual(os.listdir(self.point), ["file.bin"])
        self.run_ok("umount", self.point)


if __name__ == "__main__":
    unittest.main()
