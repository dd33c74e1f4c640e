"""Magnet links, info hashes and URLs instead of .torrent files: metadata from other clients and for
them (BEP 9), and what a mount shows while it is waited for. Bytes are compared.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import sys
import unittest

import clients
import content
import rig
import trackers

FILES = {
    "long.bin": 5 * content.MIB + 7,  # in v2: a layer to fetch
    "deep/er/middle.bin": content.PIECE + 1,
    "short.bin": 100,
    # Names enough that the metadata has several pieces of 16 KiB.
    **{f"many/{'x' * 60} {i:04}.bin": 10 for i in range(500)},
}

SWARMFS, MOUNT, LIBTORRENT = clients.SwarmFs, clients.SwarmFsMount, clients.LibTorrent
# who has it, format, who fetches it; those of other projects are in magnet_clients_test.py
CELLS = ((LIBTORRENT, "v1", SWARMFS), (LIBTORRENT, "v2", SWARMFS), (LIBTORRENT, "hybrid", MOUNT),
         (SWARMFS, "hybrid", SWARMFS), (SWARMFS, "v2", MOUNT), (SWARMFS, "v1", LIBTORRENT),
         (SWARMFS, "v2", LIBTORRENT), (SWARMFS, "hybrid", LIBTORRENT))


def link_of(torrent, *parameters):
    """A magnet link, made by hand: neither by swarmfs nor by another client."""
    import libtorrent as lt
    hashes = lt.torrent_info(str(torrent.path)).info_hashes()
    parts = []
    if hashes.has_v1():
        parts.append(f"xt=urn:btih:{hashes.v1}")
    if hashes.has_v2():
        parts.append(f"xt=urn:btmh:1220{hashes.v2}")
    return "magnet:?" + "&".join([*parts, *parameters])


def by_link(torrent, *parameters):
    """The torrent as the clients take it, known by its link alone."""
    return dataclasses.replace(torrent, path=link_of(torrent, *parameters))


class MagnetCase(rig.NetCase):
    limit = 90

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        rig.skip(clients.SwarmFs.absent() or clients.LibTorrent.absent())

    def make(self, version):
        source = content.make_tree(self.net.dir / "data" / "tree", files=FILES)
        self.expected = content.digest(source)
        return content.make_torrent(source, self.net.dir / "t.torrent", version)


class Cells(MagnetCase):
    """Who has the metadata and the files, and who fetches them by a link, through a tracker."""

    def tracker(self, receiver):
        del receiver
        return trackers.EmbeddedTracker

    def cell(self, seeder, version, receiver):
        for needed in (seeder, receiver, self.tracker(receiver)):
            rig.skip(needed.absent())
        torrent = self.make(version)
        meeting = self.tracker(receiver)(self.net.host("tracker"))
        meeting.start(torrent.hashes)
        seed = seeder(self.net.host("seed"))
        peer = [] if isinstance(seed, clients.SwarmFs) else [f"x.pe={seed.address}"]
        if isinstance(seed, clients.SwarmFs):  # it announces itself only where its torrent says
            torrent = content.make_torrent(self.net.dir / "data" / "tree",
                                           self.net.dir / "t.torrent", version,
                                           trackers=[meeting.url("http")])
        data = self.net.dir / "data"
        if seed.needs_pads:
            torrent.write_pads(data)
        seed.seed(torrent, data)
        if not peer:
            meeting.wait_seeder(torrent, procs=[seed.proc])
        leech = receiver(self.net.host("leech"))
        out = self.net.dir / "out"
        out.mkdir()
        leech.download(by_link(torrent, "dn=link", f"tr={meeting.url('http')}", *peer), out)
        leech.wait_done(60)
        root = out / torrent.name
        if isinstance(leech, clients.SwarmFsMount):
            rig.wait_for("the torrent to take the place of its link", root.exists, 30, [leech.proc])
            self.assertFalse((out / "link").exists())
        # libtorrent says it is done a little before its last bytes are in their files.
        with contextlib.suppress(AssertionError):
            rig.wait_for("the files to be written", lambda: content.digest_elsewhere(
                leech.host, root) == self.expected, 5, step=0.3)
        self.assertEqual(content.digest_elsewhere(leech.host, root), self.expected)
        leech.stop()


def add_cells(to, cells):
    for cell in cells:
        def test(self, cell=cell):
            self.cell(*cell)
        name = f"test_{cell[1]}_{cell[0].name}_to_{cell[2].name}"
        test.__name__ = name.replace("-", "_")
        setattr(to, test.__name__, test)


class Metadata(Cells):
    """Filled below."""


add_cells(Metadata, CELLS)


class Links(MagnetCase):
    """What a mount shows of links, and the commands that take them."""

    def setUp(self):
        super().setUp()
        self.torrent = self.make("hybrid")
        self.host = self.net.host("leech")
        self.seed = clients.LibTorrent(self.net.host("seed"))
        self.leech = clients.SwarmFsMount(self.host)
        self.point = self.net.dir / "mnt"
        self.root = self.point / self.torrent.name

    def swarmfs(self, *argv, timeout=30):
        return self.host.run([clients.SWARMFS, *argv], timeout=timeout,
                             env={**os.environ, "XDG_RUNTIME_DIR": str(self.leech.dir)})

    def listed(self):
        done = self.swarmfs("list", "--json", self.point)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)["torrents"]

    def names(self):
        return sorted(self.host.run(["ls", self.point], timeout=5).stdout.split("\n")[:-1])

    def seed_it(self):
        self.seed.seed(self.torrent, self.net.dir / "data")

    def mount(self, what, *extra):
        self.leech.download(dataclasses.replace(self.torrent, path=what), self.point, extra=extra)

    def wait_files(self):
        rig.wait_for("the files", self.root.exists, 30, [self.leech.proc])

    def compare(self):
        self.assertEqual(content.digest_elsewhere(self.host, self.root), self.expected)

    def test_a_link_without_peers_waits_and_the_files_come_when_one_is_there(self):
        link = link_of(self.torrent, "dn=A%20film", f"x.pe={self.seed.address}",
                       "tr=http://10.77.0.99:1/announce")
        self.mount(link)
        self.assertEqual(self.names(), ["A film"])
        text = self.host.run(["cat", self.point / "A film" / "waiting for metadata.txt"], timeout=5)
        self.assertEqual(text.returncode, 0)
        for said in (self.torrent.hashes[0].hex(), "peers connected: 0", "addresses known: 1",
                     "http://10.77.0.99:1"):
            self.assertIn(said, text.stdout)
        self.assertEqual([t["state"] for t in self.listed()], ["metadata"])
        self.assertEqual(self.leech.status()["torrents"][0]["state"], "metadata")
        self.assertIn("metadata", self.swarmfs("status", self.point).stdout)
        # Another torrent is not kept waiting by it, nor ls.
        whole = content.make_tree(self.net.dir / "data" / "other", files={"a": 1000})
        other = content.make_torrent(whole, self.net.dir / "other.torrent", "v1")
        self.assertEqual(self.swarmfs("add", other.path, "--to", self.point).returncode, 0)
        self.assertEqual(self.names(), ["A film", "other"])
        # Whatever kills the worker, the link is still there.
        os.kill(self.leech.status()["pid"], signal.SIGKILL)
        rig.wait_for("the link after the worker's end",
                     lambda: self.names() == ["A film", "other"], 10, [self.leech.proc])
        self.seed_it()
        self.wait_files()
        self.assertEqual(self.names(), ["other", self.torrent.name])
        self.compare()
        self.assertEqual(self.leech.unmount(), 0)
        # The metadata is kept: with nobody there, the next mount has the files at once.
        self.seed.stop()
        self.mount(link)
        self.assertEqual(self.names(), [self.torrent.name])
        self.compare()
        self.assertEqual(self.leech.unmount(), 0)

    def worker(self):
        """Its process id; None while there is none."""
        try:
            return self.leech.status()["pid"]
        except AssertionError:
            return None

    def test_a_link_can_be_removed_while_it_waits(self):
        self.mount(link_of(self.torrent, "dn=gone"))
        done = self.swarmfs("remove", "gone")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.names(), [])
        self.assertEqual(self.listed(), [])
        worker = self.leech.status()["pid"]
        os.kill(worker, signal.SIGKILL)
        rig.wait_for("the next worker", lambda: self.worker() not in (worker, None), 10,
                     [self.leech.proc])
        self.assertEqual(self.names(), [], "it does not come back")
        self.assertEqual(self.leech.unmount(), 0)

    def test_add_takes_info_hashes_and_a_link_twice_is_one_torrent(self):
        self.seed_it()
        self.mount_nothing("--peer", self.seed.address)
        bare = self.torrent.hashes[0].hex()
        done = self.swarmfs("add", bare, "--to", self.point)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.wait_files()
        again = self.swarmfs("add", link_of(self.torrent), "--to", self.point)
        self.assertIn("is there already", again.stdout)
        again = self.swarmfs("add", self.torrent.path, "--to", self.point)
        self.assertIn("is there already", again.stdout)
        self.assertEqual(self.names(), [self.torrent.name])
        self.compare()
        self.assertEqual(self.leech.unmount(), 0)

    def mount_nothing(self, *extra):
        self.point.mkdir()
        self.leech.point = self.point
        self.leech.proc = self.host.start("mount", [
            clients.SWARMFS, "mount", self.point, "-f", "--cache-dir", self.leech.cache,
            "--listen", f"0.0.0.0:{clients.PORT}", *extra],
            env={"XDG_RUNTIME_DIR": str(self.leech.dir)})
        rig.wait_for("the mount", lambda: os.path.ismount(self.point), 10, [self.leech.proc])

    def test_a_url_leads_to_its_torrent_once_its_server_answers(self):
        self.seed_it()
        web = self.net.host("web")
        self.mount(f"http://{web.ip4}:8000/t.torrent", "--peer", self.seed.address)
        self.assertEqual(self.names(), ["t"])
        self.assertEqual([t["state"] for t in self.listed()], ["metadata"])
        web.start("http", [sys.executable, "-m", "http.server", "8000", "-d", self.net.dir])
        self.wait_files()
        self.compare()
        self.assertEqual(self.leech.unmount(), 0)

    def test_a_url_that_leads_to_no_torrent_says_so(self):
        web = self.net.host("web")
        (self.net.dir / "t.torrent").write_text("<html>")
        web.start("http", [sys.executable, "-m", "http.server", "8000", "-d", self.net.dir])
        rig.wait_for("the server", lambda: web.listening(8000), 10)
        url = f"http://{web.ip4}:8000/t.torrent"
        self.mount(url)
        rig.wait_for("the reason", lambda: self.listed()[0]["state"] == "broken", 10)
        self.assertIn("bencode", self.listed()[0]["error"])
        text = self.host.run(["cat", self.point / "t" / "waiting for metadata.txt"], timeout=5)
        self.assertIn("leads to no torrent", text.stdout)
        # Tried again, it is another; the old one goes.
        content.make_torrent(self.net.dir / "data" / "tree", self.net.dir / "t.torrent", "v1")
        done = self.swarmfs("add", url, "--to", self.point)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.wait_files()
        self.assertEqual(self.names(), [self.torrent.name])
        self.assertEqual(self.leech.unmount(), 0)

    def test_wait_returns_with_the_metadata_and_only_the_selected_files_are_fetched(self):
        self.seed_it()
        listed = json.loads(self.swarmfs("inspect", "--json", self.torrent.path).stdout)["files"]
        import libtorrent as lt
        files = lt.torrent_info(str(self.torrent.path)).files()
        wanted = next(i for i in range(files.num_files())
                      if files.file_path(i).endswith("middle.bin"))
        self.assertIn("tree/deep/er/middle.bin", [f["path"] for f in listed])
        link = link_of(self.torrent, f"so={wanted}", f"x.pe={self.seed.address}")
        self.point.mkdir()
        self.leech.point = self.point
        done = self.swarmfs("mount", "--wait", link, self.point, "--cache-dir", self.leech.cache)
        self.addCleanup(lambda: self.swarmfs("unmount", self.point))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.names(), [self.torrent.name])
        middle = self.root / "deep" / "er" / "middle.bin"

        def here(path):
            done = self.host.run(["stat", "-c", "%b %s", path], timeout=5)
            blocks, size = map(int, done.stdout.split())
            return blocks * 512 >= size

        rig.wait_for("the selected file", lambda: here(middle), 20)
        self.assertFalse(here(self.root / "long.bin"))
        self.compare()  # the others come when they are read

    def test_a_watched_folder_may_hold_links(self):
        self.seed_it()
        folder = self.net.dir / "watched"
        folder.mkdir()
        (folder / "film.magnet").write_text(
            link_of(self.torrent, f"x.pe={self.seed.address}") + "\n")
        (folder / "bad.magnet").write_text("magnet:?xt=urn:btih:12\n")
        self.mount(folder)
        self.wait_files()
        self.compare()
        broken = json.loads(self.swarmfs("list", "--json", self.point).stdout)["broken"]
        self.assertEqual([pathlib.Path(b["manifest"]).name for b in broken], ["bad.magnet"])
        (folder / "film.magnet").unlink()
        rig.wait_for("it to go with its file", lambda: self.names() == [], 10)
        self.assertEqual(self.leech.unmount(), 0)

    def test_inspect_verify_and_seed_take_links(self):
        self.seed_it()
        link = link_of(self.torrent, f"x.pe={self.seed.address}")
        shown = json.loads(self.swarmfs("inspect", "--json", link).stdout)
        self.assertEqual(shown["name"], self.torrent.name)
        again = json.loads(self.swarmfs("inspect", "--json", shown["magnet"] +
                                        f"&x.pe={self.seed.address}").stdout)
        self.assertEqual(again["files"], shown["files"])
        done = self.swarmfs("verify", link, self.net.dir / "data" / "tree")
        self.assertEqual(done.returncode, 0, done.stderr)
        nobody = self.swarmfs("inspect", "--metadata-timeout", "1", "00" * 20)
        self.assertEqual(nobody.returncode, 6, nobody.stderr)
        self.assertIn("no metadata", nobody.stderr)
        wrong = self.swarmfs("get", "magnet:?xt=urn:btih:12", "-o", self.net.dir / "x")
        self.assertEqual(wrong.returncode, 3, wrong.stderr)


if __name__ == "__main__":
    unittest.main()
