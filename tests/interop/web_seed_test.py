"""Web seeds (BEP 19): nginx alone and beside a libtorrent seed, and servers that do things wrong."""

import dataclasses
import os
import subprocess
import sys
import time
import unittest

import clients
import content
import rig
import web_server

SEEK = """import os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
for at in map(int, sys.argv[2:]):
    sys.stdout.buffer.write(os.pread(fd, 4096, at))
"""


class WebSeeds(rig.NetCase):
    limit = 110

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        rig.skip(clients.SUBJECT.absent() or clients.LibTorrent.absent()
                 or web_server.Nginx.absent())

    def get(self, torrent, *options, out="out", timeout=60, env=None):
        """`swarmfs get` on a host of its own: the folder with what came, and all it said."""
        me = self.net.host("get" + out)
        done = me.run([clients.SWARMFS, "get", torrent.path, "-o", self.net.dir / out, "-v",
                       "--timeout", timeout, *options], timeout=timeout + 20,
                      env=os.environ | (env or {}))
        return done, self.net.dir / out

    def bring(self, torrent, expected, *options, **kwargs):
        done, out = self.get(torrent, *options, **kwargs)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(content.digest(out), expected, done.stderr)
        return done.stderr

    def tree(self, version, files=None, **kwargs):
        root = content.make_tree(self.net.dir / "data" / "a folder", files=files)
        torrent = content.make_torrent(root, self.net.dir / f"{version}.torrent", version, **kwargs)
        return torrent, content.digest(root.parent)

    def test_nginx_alone_serves_every_format(self):
        for version in ("v1", "v2", "hybrid"):
            torrent, expected = self.tree(version)
            if version == "v1":
                # It closes each connection after seven answers.
                nginx = web_server.Nginx(self.net.host("web"), self.net.dir / "data", keepalive=7)
            self.bring(torrent, expected, "--web-seed", nginx.url, out=version)

    def test_the_torrents_own_url(self):
        file = content.make_tree(self.net.dir / "data", files={"one file": 3_000_000}) / "one file"
        nginx = web_server.Nginx(self.net.host("web"), self.net.dir / "data")
        path = self.net.dir / "own.torrent"
        subprocess.run([clients.SWARMFS, "publish", file, "-o", path, "--web-seed",
                        nginx.url + "one%20file"], check=True, capture_output=True)
        torrent = content.read_torrent(path)
        self.bring(torrent, content.digest(file.parent))
        before = len(nginx.requests())
        done, _ = self.get(torrent, "--no-web-seeds", out="without", timeout=2)
        self.assertEqual(done.returncode, 6, done.stderr)
        self.assertEqual(len(nginx.requests()), before)

    def test_tls_from_a_server_that_is_vouched_for(self):
        """https://, also for the .torrent itself; an unknown certificate is refused by name."""
        torrent, expected = self.tree("hybrid")
        nginx = web_server.Nginx(self.net.host("web"), self.net.dir, tls=True)
        seed = nginx.secure_url + "data/"
        vouched = {"SSL_CERT_FILE": str(nginx.certificate)}
        self.bring(torrent, expected, "--web-seed", seed, env=vouched)
        self.assertTrue(nginx.requests())
        link = dataclasses.replace(torrent, path=nginx.secure_url + torrent.path.name)
        self.bring(link, expected, "--web-seed", seed, env=vouched, out="link")
        before = len(nginx.requests())
        done, _ = self.get(link, out="stranger", timeout=5)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(f"certificate of {nginx.secure_url[:-1]} does not verify", done.stderr)
        done, _ = self.get(torrent, "--web-seed", seed, out="seed", timeout=3)
        self.assertEqual(done.returncode, 6, done.stderr)
        self.assertIn("does not verify", done.stderr)
        self.assertEqual(len(nginx.requests()), before)

    def test_a_mount_from_a_web_seed_alone(self):
        files = {"big": 24 * content.MIB, "sub/small": 1000}
        torrent, expected = self.tree("v1", files, piece=256 * content.KIB)
        nginx = web_server.Nginx(self.net.host("web"), self.net.dir / "data")
        me = self.net.host("me")
        point = self.net.dir / "m"
        point.mkdir()
        # 2 MB/s, so that a seek that waited for what is under way would show.
        nginx.host.shape(16_000_000)
        mounted = me.run([clients.SWARMFS, "mount", torrent.path, point, "--cache-dir",
                          self.net.dir / "cache", "--web-seed", nginx.url])
        self.assertEqual(mounted.returncode, 0, mounted.stderr)
        places = [0, 20_000_000, 9_000_000, 25_000_000]
        began = time.monotonic()
        read = me.run([sys.executable, "-c", SEEK, point / "a folder" / "big", *places], text=False,
                      timeout=30)
        took = time.monotonic() - began
        data = (self.net.dir / "data" / "a folder" / "big").read_bytes()
        self.assertEqual(read.stdout, b"".join(data[at:at + 4096] for at in places))
        self.assertLess(took, 8, "four reads took as long as most of the file")
        status = me.run([clients.SWARMFS, "status", point]).stdout
        self.assertIn("web seeds 1", status)
        peers = me.run(["cat", point / ".swarmfs" / "peers"]).stdout
        self.assertIn(f"web seed http://{nginx.host.ip4}", peers)
        self.assertEqual(content.digest_elsewhere(me, point / "a folder"),
                         {name.removeprefix("a folder/"): v for name, v in expected.items()})
        self.assertEqual(me.run([clients.SWARMFS, "unmount", point]).returncode, 0)

    def test_beside_a_seed(self):
        torrent, expected = self.tree("hybrid", {"big": 24 * content.MIB})
        nginx = web_server.Nginx(self.net.host("web"), self.net.dir / "data")
        seed = clients.LibTorrent(self.net.host("seed"))
        seed.seed(torrent, self.net.dir / "data")
        for host in (nginx.host, seed.host):
            host.shape(40_000_000)
        self.bring(torrent, expected, "--web-seed", nginx.url, "--peer", seed.address)
        for host in (nginx.host, seed.host):
            self.assertGreater(host.sent(), 3 * content.MIB, f"{host.name} had little part in it")

    def scripted(self, mode, files=None, **kwargs):
        files = files or {"big": 3_000_000, "lacking": 200_000, "x/small": 70_000}
        torrent, expected = self.tree("v1", files)
        server = web_server.Scripted(self.net.host("web"), self.net.dir / "data", mode)
        return server, torrent, expected

    def test_servers_with_ways_of_their_own(self):
        """Redirects, busy at first, bodies that are cut, a connection for each request."""
        for mode in ("moves", "busy", "short", "closes"):
            with self.subTest(mode):
                torrent, expected = self.tree("v1", {"big": 3_000_000, "x/small": 70_000})
                server = web_server.Scripted(self.net.host(mode), self.net.dir / "data", mode)
                self.bring(torrent, expected, "--web-seed", server.url, out=mode)

    def test_a_stall_costs_seconds(self):
        server, torrent, expected = self.scripted("stalls")
        self.bring(torrent, expected, "--web-seed", server.url)

    def test_a_server_without_ranges_serves_small_files(self):
        server, torrent, expected = self.scripted("whole", {"a": 500_000, "b": 70_000})
        self.bring(torrent, expected, "--web-seed", server.url)

    def test_what_one_lacks_another_has(self):
        server, torrent, expected = self.scripted("lacks")
        nginx = web_server.Nginx(self.net.host("nginx"), self.net.dir / "data")
        nginx.host.shape(8_000_000)
        said = self.bring(torrent, expected, "--web-seed", server.url, "--web-seed", nginx.url)
        self.assertIn("answered HTTP 404", said)

    def test_a_liar_is_dropped_and_named(self):
        server, torrent, expected = self.scripted("lies")
        nginx = web_server.Nginx(self.net.host("nginx"), self.net.dir / "data")
        nginx.host.shape(8_000_000)
        said = self.bring(torrent, expected, "--web-seed", server.url, "--web-seed", nginx.url)
        self.assertIn(f"web seed http://{server.host.ip4}:8080 is out", said)


if __name__ == "__main__":
    unittest.main()
