"""Proxies and --interface: what is fetched is compared, and a capture on the client's network shows
that not one packet goes anywhere else, also while the proxy or the interface is gone."""

import os
import pathlib
import sys
import time
import unittest

import clients
import content
import proxies
import rig
import trackers
import web_server

# Neighbour discovery and the like are the kernel's own.
OURS = "(ip or (ip6 and not icmp6 and not dst host ff02::16))"

# What still comes for a connection that is closed, the kernel resets by whatever way it would take.
BUT_RESETS = OURS + " and not (ip and tcp[tcpflags] & tcp-rst != 0)"


class Capture:
    """Packets that leave a host by one device and match a filter, from now on."""

    def __init__(self, host, device, expression):
        self.out = host.net.dir / f"{host.name}-{device}-{len(host.procs)}.cap"
        self.proc = host.start("tcpdump", [
            "sh", "-c", 'exec tcpdump -i "$1" -Q out -n -l --immediate-mode "$2" >"$3"', "sh",
            device, expression, self.out])
        self.proc.wait_text("listening on", 20)

    def packets(self):
        return self.out.read_text().splitlines()


# For a run that may take minutes.
LONG = unittest.skipUnless(os.environ.get("INTEROP_ALL"), "INTEROP_ALL=1 runs it")


class Routes(rig.NetCase):
    limit = 110

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        rig.skip(clients.SUBJECT.absent() or clients.LibTorrent.absent() or
                 (None if pathlib.Path("/usr/bin/tcpdump").exists() else "tcpdump is not there"))

    def setUp(self):
        super().setUp()
        self.me = self.net.host("me")
        self.middle = self.net.host("proxy")

    def watch(self, device="eth0"):
        """What leaves the client for anybody but the proxy."""
        return Capture(self.me, device, f"{OURS} and not host {self.middle.ip4} and not host "
                                        f"{self.middle.ip6}")

    def tree(self, version="hybrid", files=None, **kwargs):
        source = content.make_tree(self.net.dir / "data" / "things", files=files)
        torrent = content.make_torrent(source, self.net.dir / "t.torrent", version, **kwargs)
        return torrent, content.digest(source)

    def start_get(self, torrent, *options, env=None, timeout=40):
        self.out = self.net.dir / f"out{len(self.me.procs)}"
        return self.me.start("get", [clients.SWARMFS, "get", torrent.path, "-o", self.out, "-v", "-v",
                                     "--timeout", timeout, *options], env=env)

    def finish(self, get, torrent, expected, timeout=80):
        self.assertEqual(get.wait(timeout), 0, get.tail())
        got = content.digest_elsewhere(self.me, self.out / torrent.name)
        self.assertEqual(got, expected)

    def seed(self, torrent, rate=None, **options):
        seed = clients.LibTorrent(self.net.host("seed"), **options)
        seed.seed(torrent, self.net.dir / "data")
        if rate:
            seed.host.shape(rate)
        return seed

    def tracked(self, scheme, **options):
        """A torrent whose only peer is known to its tracker alone."""
        meeting = trackers.EmbeddedTracker(self.net.host("tracker"))
        torrent, expected = self.tree(trackers=[meeting.url(scheme)])
        meeting.start(torrent.hashes)
        seed = self.seed(torrent, **options)
        meeting.wait_seeder(torrent, procs=[seed.proc])
        return torrent, expected

    def test_the_capture_sees_what_goes_around(self):
        torrent, expected = self.tree()
        seed = self.seed(torrent)
        capture = self.watch()
        self.finish(self.start_get(torrent, "--peer", seed.address), torrent, expected)
        self.assertGreater(len(capture.packets()), 10)

    def test_socks_with_a_udp_tracker(self):
        rig.skip(proxies.Dante.absent())
        torrent, expected = self.tracked("udp")
        proxy = proxies.Dante(self.middle)
        capture = self.watch()
        self.finish(self.start_get(torrent, "--proxy", proxy.url), torrent, expected)
        self.assertEqual(capture.packets(), [])

    @LONG
    def test_utp_through_socks(self):
        rig.skip(proxies.Dante.absent())
        torrent, expected = self.tracked("http", utp=True, **{"no-tcp": True})
        proxy = proxies.Dante(self.middle)
        capture = self.watch()
        self.finish(self.start_get(torrent, "--proxy", proxy.url, "--utp", "--no-tcp"), torrent,
                    expected)
        self.assertEqual(capture.packets(), [])

    @LONG
    def test_the_dht_through_socks_by_name(self):
        rig.skip(proxies.Dante.absent())
        proxy = proxies.Dante(self.middle)
        # The name means this node to the proxy, and nobody to us.
        node = self.middle.start("dht", [clients.SWARMFS, "dht", "--alone", "--listen",
                                         "127.0.0.1:7000"])
        node.wait_text("ready", 20)
        info_hash = "ab" * 20
        told = self.middle.run([clients.SWARMFS, "dht", "get-peers", info_hash, "--announce", 4321,
                                "--dht-bootstrap", "127.0.0.1:7000", "--listen", "127.0.0.1:7001"])
        self.assertEqual(told.returncode, 0, told.stderr)
        capture = self.watch()
        asked = self.me.run([clients.SWARMFS, "dht", "get-peers", info_hash, "--dht-bootstrap",
                             "localhost:7000", "--proxy", proxy.url, "--timeout", 50])
        self.assertIn("127.0.0.1:4321", asked.stdout, asked.stderr)
        self.assertEqual(capture.packets(), [])

    def test_names_are_the_proxys_with_a_password_in_the_environment(self):
        rig.skip(web_server.Nginx.absent())
        torrent, expected = self.tree("v1")
        web_server.Nginx(self.middle, self.net.dir / "data")
        proxy = proxies.Scripted(self.middle, ("me", "sesame%"), v6=True)
        capture = self.watch()
        for scheme in ("socks5", "http"):
            with self.subTest(scheme):
                get = self.start_get(torrent, "--proxy", f"{scheme}://me@{proxy.at}", "--web-seed",
                                     "http://localhost/", env={"SWARMFS_PROXY_PASSWORD": "sesame%"})
                self.finish(get, torrent, expected)
                self.assertIn(f"{'http' if scheme == 'http' else 'socks5'} localhost:80",
                              proxy.asked())
                self.assertNotIn("sesame", get.text())
        self.assertEqual(capture.packets(), [])

    @LONG
    def test_who_is_refused_goes_nowhere(self):
        """A wrong password, no proxy at all, and SOCKS where HTTP is spoken."""
        torrent, _ = self.tree("v1")
        seed = self.seed(torrent)
        proxy = proxies.Scripted(self.middle, ("me", "right"))
        capture = self.watch()
        gets = [self.start_get(torrent, "--peer", seed.address, "--proxy", url, timeout=4)
                for url in (f"socks5://me:wrong@{proxy.at}", f"http://{proxy.at}",
                            f"socks5://{self.middle.ip4}:9")]
        for get in gets:
            # What others may look at does not hold the password for long.
            command = pathlib.Path(f"/proc/{get.popen_pid}/cmdline")
            rig.wait_for("the password to be blotted out",
                         lambda: b"wrong" not in command.read_bytes(), 20, [get])
        for get in gets:
            self.assertEqual(get.wait(40), 6, get.tail())
            self.assertIn(f"{self.middle.ip4}", get.text())
            self.assertNotIn("wrong@", get.text())
        self.assertEqual(capture.packets(), [])

    def test_the_proxy_dies_and_comes_back(self):
        torrent, expected = self.tree("v1", {"big": 12 * content.MIB})
        seed = self.seed(torrent, rate=24_000_000)
        proxy = proxies.Scripted(self.middle)
        capture = self.watch()
        get = self.start_get(torrent, "--peer", seed.address, "--proxy", f"http://{proxy.at}")
        rig.wait_for("a part of it", lambda: seed.host.sent() > 2 * content.MIB, 40, [get])
        proxy.proc.kill()
        proxy.proc.wait(10)
        get.wait_text(r"proxy http://.*refused", 40)
        self.assertTrue(get.alive())
        proxy.start()
        self.finish(get, torrent, expected)
        self.assertEqual(capture.packets(), [])

    def second_device(self, host):
        """Gives a host eth1, on the same network."""
        rig.batch(self.net.ns, f"link add second type veth peer name eth1 netns {host.ns}",
                  "link set second master br0 up")
        # Each address is answered for by its own device alone.
        host.run(["sh", "-c", "echo 1 >/proc/sys/net/ipv4/conf/all/arp_ignore"])
        rig.batch(host.ns, "addr add 10.77.200.1/16 dev eth1", "link set eth1 up")

    @LONG
    def test_names_are_looked_up_by_the_interface(self):
        rig.skip(web_server.Nginx.absent())
        torrent, expected = self.tree("v1")
        nginx = web_server.Nginx(self.net.host("web"), self.net.dir / "data")
        server = self.net.host("names")
        names = server.start("names", [sys.executable, "name_server.py", server.ip4,
                                       "files.example", nginx.host.ip4], cwd=clients.HERE)
        names.wait_text("ready", 20)
        resolv = self.net.dir / "resolv.conf"
        resolv.write_text(f"nameserver {server.ip4}\n")
        self.second_device(self.me)
        other = Capture(self.me, "eth0", BUT_RESETS)
        out = self.net.dir / "out"
        # Its own view of the files, in which it has that name server.
        done = self.me.run(["unshare", "-m", "sh", "-c",
                            'mount --bind "$1" /etc/resolv.conf; shift; exec "$@"', "sh", resolv,
                            clients.SWARMFS, "get", torrent.path, "-o", out, "--interface", "eth1",
                            "--web-seed", "http://files.example/", "--timeout", 40], timeout=90)
        self.assertEqual(done.returncode, 0, done.stderr + names.text())
        self.assertEqual(content.digest_elsewhere(self.me, out / torrent.name), expected)
        self.assertIn("files.example 1", names.text())
        self.assertEqual(other.packets(), [])

    @LONG
    def test_who_listens_on_an_interface_is_back_with_it(self):
        torrent, expected = self.tree("v1")
        self.second_device(self.middle)
        self.middle.start("seed", [clients.SWARMFS, "seed", torrent.path, self.net.dir / "data",
                                   "--interface", "eth1", "--listen", "0.0.0.0:6881", "-v"])
        rig.wait_for("it to listen", lambda: self.middle.listening(6881), 20)
        rig.batch(self.middle.ns, "link del eth1")
        self.second_device(self.middle)  # of the same name, and to the kernel another
        self.finish(self.start_get(torrent, "--peer", "10.77.200.1:6881"), torrent, expected)
        # By its other address it is not there.
        get = self.start_get(torrent, "--peer", f"{self.middle.ip4}:6881", timeout=3)
        self.assertEqual(get.wait(40), 6, get.tail())

    def test_status_says_which_way_it_goes(self):
        rig.skip(clients.SwarmFsMount.absent())
        torrent, _ = self.tree("v1")
        self.second_device(self.me)
        proxy = proxies.Scripted(self.middle, ("me", "secret"))
        mount = clients.SwarmFsMount(self.me)
        mount.download(torrent, self.net.dir / "mnt", extra=(
            "--proxy", f"http://me:secret@{proxy.at}", "--interface", "eth1"))
        self.assertEqual(mount.status()["route"], {
            "proxy": f"http://{proxy.at}", "interface": "eth1", "interface_there": True})
        rig.batch(self.me.ns, "link del eth1")
        self.assertIs(mount.status()["route"]["interface_there"], False)
        self.assertEqual(mount.unmount(), 0)

    @LONG
    def test_an_interface_goes_and_comes_back(self):
        torrent, expected = self.tree("v1", {"big": 12 * content.MIB})
        seed = self.seed(torrent, rate=24_000_000)
        self.second_device(self.me)
        other = Capture(self.me, "eth0", BUT_RESETS)
        for option in ("eth1", "10.77.200.1"):
            with self.subTest(option):
                before = seed.host.sent()
                get = self.start_get(torrent, "--peer", seed.address, "--interface", option)
                rig.wait_for("a part of it",
                             lambda: seed.host.sent() > before + 2 * content.MIB, 40, [get])
                rig.batch(self.me.ns, "link set eth1 down")
                time.sleep(1.5)
                self.assertTrue(get.alive())
                rig.batch(self.me.ns, "link set eth1 up")
                self.finish(get, torrent, expected)
        self.assertEqual(other.packets(), [])
        none = self.me.run([clients.SWARMFS, "get", torrent.path, "-o", self.net.dir / "x",
                            "--interface", "eth7"])
        self.assertEqual(none.returncode, 4, none.stderr)
        self.assertIn("no such interface", none.stderr)


if __name__ == "__main__":
    unittest.main()
