#!/usr/bin/python3
"""publish, inspect and verify as a person runs them: output, messages, exit codes; and what
publish wrote, read by libtorrent. Usage: cli_manifest_test.py PATH-OF-SWARMFS"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

import libtorrent as lt

SWARMFS = os.path.abspath(sys.argv.pop(1))
USAGE, BAD_MANIFEST, FILE, MISMATCH = 2, 3, 4, 5


def pattern(seed, length):
    return bytes((i * 7 + i // 251 + seed * 13) & 0xFF for i in range(length))


def write(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(data)


def read(path):
    with open(path, "rb") as f:
        return f.read()


class Commands(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.dir)
        self.tree = os.path.join(self.dir, "tree")
        self.out = os.path.join(self.dir, "out.torrent")
        write(self.tree + "/a.bin", pattern(1, 300_000))
        write(self.tree + "/empty", b"")
        write(self.tree + "/sub/b.bin", pattern(2, 65_536))
        write(self.tree + "/sub/run.sh", b"#!/bin/sh\n")
        os.chmod(self.tree + "/sub/run.sh", 0o755)
        os.symlink("../a.bin", self.tree + "/sub/link")

    def run_it(self, *args, code=0, user=None):
        done = subprocess.run([SWARMFS, *args], capture_output=True, text=True, timeout=120,
                              user=user, errors="replace")
        self.assertEqual(done.returncode, code, f"{args}: {done.stdout}{done.stderr}")
        if code:
            lines = done.stderr.strip().splitlines()
            self.assertTrue(lines, "a failure says why")
            if code != USAGE:
                self.assertEqual(len(lines), 1, done.stderr)
                self.assertTrue(lines[0].startswith("swarmfs: "), done.stderr)
        return done

    def publish(self, *args):
        self.run_it("publish", self.tree, "-o", self.out, *args)
        return lt.torrent_info(self.out)

    def fails(self, code, message, *args, **kw):
        self.assertIn(message, self.run_it(*args, code=code, **kw).stderr)

    # -- round trips ------------------------------------------------------------------------

    def test_libtorrent_reads_what_we_publish(self):
        for fmt in ("v1", "v2", "hybrid"):
            with self.subTest(fmt):
                ti = self.publish("--format", fmt, "--piece-size", "32K", "--private",
                                  "--tracker", "http://one.example/a", "--tracker",
                                  "udp://two.example:1", "--webseed", "http://w.example/",
                                  "--comment", "hello")
                hashes = ti.info_hashes()
                said = json.loads(self.run_it("inspect", "--json", self.out).stdout)
                self.assertEqual(said.get("info_hash_v1"),
                                 str(hashes.v1) if fmt != "v2" else None)
                self.assertEqual(said.get("info_hash_v2"),
                                 str(hashes.v2) if fmt != "v1" else None)
                self.assertEqual(said["format"], fmt)
                self.assertEqual(ti.piece_length(), 32768)
                self.assertEqual(ti.num_pieces(), said["pieces"])
                self.assertTrue(ti.priv())
                self.assertEqual(ti.comment(), "hello")
                self.assertEqual([(t.url, t.tier) for t in ti.trackers()],
                                 [("http://one.example/a", 0), ("udp://two.example:1", 1)])
                self.assertEqual([w["url"].rstrip("/") for w in ti.web_seeds()],
                                 ["http://w.example"])
                fs = ti.files()
                flags = lt.file_storage
                real = {fs.file_path(i): i for i in range(fs.num_files())
                        if not fs.file_flags(i) & flags.flag_pad_file}
                self.assertEqual(set(real), {f["path"] for f in said["files"]})
                self.assertTrue(fs.file_flags(real["tree/sub/run.sh"]) & flags.flag_executable)
                self.assertEqual(fs.symlink(real["tree/sub/link"]), "tree/a.bin")
                self.run_it("verify", self.out, self.tree)

    def test_info_hashes_are_those_libtorrent_would_give(self):
        os.remove(self.tree + "/sub/link")  # which it writes relative to the link
        creator = lt.create_torrent
        for fmt, flag in (("v1", creator.v1_only), ("v2", creator.v2_only), ("hybrid", 0)):
            with self.subTest(fmt):
                storage = lt.file_storage()
                if fmt == "v1":  # in our order; it lists folders as the disk does
                    storage.set_name("tree")
                    for name in ("a.bin", "empty", "sub/b.bin", "sub/run.sh"):
                        size = os.path.getsize(f"{self.tree}/{name}")
                        executable = lt.file_storage.flag_executable if name.endswith("sh") else 0
                        storage.add_file(f"tree/{name}", size, executable, 0, "")
                else:
                    lt.add_files(storage, self.tree)
                ct = lt.create_torrent(storage, 65536, flag)
                lt.set_piece_hashes(ct, self.dir)
                theirs = lt.torrent_info(lt.bdecode(lt.bencode(ct.generate())))
                ours = self.publish("--format", fmt, "--piece-size", "64K")
                self.assertEqual(ours.info_hashes(), theirs.info_hashes())

    def test_output_is_deterministic(self):
        self.publish()
        first = read(self.out)
        for name in ("a.bin", "sub/b.bin"):
            os.utime(f"{self.tree}/{name}", (1, 1))
        self.publish()
        self.assertEqual(first, read(self.out))

    def test_libtorrent_torrents_verify_and_single_files_too(self):
        single = os.path.join(self.dir, "one file.bin")
        write(single, pattern(5, 100_001))
        self.run_it("publish", single, "-o", self.out)
        self.run_it("verify", self.out, single)
        self.run_it("verify", self.out, self.dir)

    # -- verify -----------------------------------------------------------------------------

    def test_verify_names_bad_pieces_and_files(self):
        for fmt in ("v1", "v2", "hybrid"):
            with self.subTest(fmt):
                self.publish("--format", fmt, "--piece-size", "16K")
                data = bytearray(pattern(1, 300_000))
                data[100_000] ^= 1
                write(self.tree + "/a.bin", bytes(data))
                done = self.run_it("verify", self.out, self.tree, code=MISMATCH)
                self.assertIn("bad: tree/a.bin (piece 6)", done.stdout)
                said = json.loads(self.run_it("verify", "--json", self.out, self.tree,
                                              code=MISMATCH).stdout)
                self.assertFalse(said["ok"])
                self.assertEqual(said["bad_pieces"], [6])
                self.assertEqual(said["bad_files"], [{"path": "tree/a.bin", "bad_pieces": [6]}])
                write(self.tree + "/a.bin", pattern(1, 300_000))

    def test_without_piece_layers_the_whole_file_is_checked(self):
        self.publish("--format", "v2", "--piece-size", "32K")
        manifest = lt.bdecode(read(self.out))
        self.assertTrue(manifest.pop(b"piece layers"))
        write(self.out, lt.bencode(manifest))
        self.assertIn("ok: all", self.run_it("verify", self.out, self.tree).stdout)
        data = bytearray(pattern(1, 300_000))
        data[100_000] ^= 1
        write(self.tree + "/a.bin", bytes(data))
        done = self.run_it("verify", self.out, self.tree, code=MISMATCH)
        self.assertIn("bad: tree/a.bin: ", done.stdout)
        self.assertIn("cannot be said which pieces", done.stdout)
        self.assertNotIn("(piece", done.stdout)
        self.assertNotIn("b.bin", done.stdout)
        said = json.loads(self.run_it("verify", "--json", self.out, self.tree,
                                      code=MISMATCH).stdout)
        self.assertEqual(said["bad_pieces"], [])
        self.assertTrue(said["bad_files"][0]["bad_pieces_unknown"])
        self.fails(MISMATCH, "up to 10 of", "verify", self.out, self.tree)
        self.fails(MISMATCH, "no piece layer", "seed", self.out, self.tree)

    def test_verify_tells_missing_from_wrong(self):
        self.publish("--piece-size", "16K")
        os.remove(self.tree + "/sub/b.bin")
        done = self.run_it("verify", self.out, self.tree, code=FILE)
        self.assertIn("bad: tree/sub/b.bin (pieces 19-22): ", done.stdout)
        write(self.tree + "/sub/b.bin", pattern(2, 65_535))
        done = self.run_it("verify", self.out, self.tree, code=MISMATCH)
        self.assertIn("65535 bytes instead of 65536", done.stdout)
        self.fails(FILE, "nowhere", "verify", self.out, self.dir + "/nowhere")
        self.fails(FILE, "a.bin", "verify", self.out, self.tree + "/a.bin")

    # -- bad input --------------------------------------------------------------------------

    def test_usage_errors(self):
        self.run_it("publish", code=USAGE)
        self.run_it("publish", self.tree, code=USAGE)
        for bad in (("--piece-size", "100000"), ("--piece-size", "8K"), ("--piece-size", "x"),
                    ("--piece-size", "1G"), ("--format", "v3"), ("--tracker", "file:///etc"),
                    ("--webseed", "udp://x:1"), ("--no-such-option",)):
            self.run_it("publish", self.tree, "-o", self.out, *bad, code=USAGE)
            self.assertFalse(os.path.exists(self.out))
        self.run_it("inspect", code=USAGE)
        self.run_it("verify", self.out, code=USAGE)
        self.run_it(code=USAGE)
        for command in ("publish", "inspect", "verify"):
            self.assertIn("Usage", self.run_it(command, "--help").stdout)

    def test_publish_refuses_and_leaves_nothing_behind(self):
        before = sorted(os.listdir(self.dir))
        self.fails(FILE, "absent", "publish", self.dir + "/absent", "-o", self.out)
        self.fails(FILE, "no/folder", "publish", self.tree, "-o", self.dir + "/no/folder/x")
        self.fails(FILE, self.tree, "publish", self.tree, "-o", self.tree)
        self.fails(FILE, "inside", "publish", self.tree, "-o", self.tree + "/sub/x.torrent")
        self.fails(FILE, "/proc/x", "publish", self.tree, "-o", "/proc/x.torrent")
        os.mkfifo(self.tree + "/pipe")
        self.fails(FILE, "pipe", "publish", self.tree, "-o", self.out)
        os.remove(self.tree + "/pipe")
        os.symlink("/etc/passwd", self.tree + "/out")
        self.fails(FILE, "/etc/passwd", "publish", self.tree, "-o", self.out)
        os.remove(self.tree + "/out")
        self.assertEqual(before, sorted(os.listdir(self.dir)))
        self.publish()

    @unittest.skipUnless(os.geteuid() == 0, "needs root to become another user")
    def test_permissions_of_others(self):
        os.chmod(self.dir, 0o755)
        os.chmod(self.tree + "/a.bin", 0)
        open_dir = os.path.join(self.dir, "open")
        os.mkdir(open_dir)
        os.chmod(open_dir, 0o777)
        self.fails(FILE, "a.bin", "publish", self.tree, "-o", open_dir + "/x", user=65534)
        self.fails(FILE, "out.torrent", "publish", self.tree, "-o", self.out, user=65534)
        self.publish()
        done = self.run_it("verify", self.out, self.tree, code=FILE, user=65534)
        self.assertIn("bad: tree/a.bin", done.stdout)
        os.chmod(self.out, 0)
        self.fails(FILE, "out.torrent", "inspect", self.out, user=65534)

    def test_manifests_that_are_none(self):
        self.fails(FILE, "absent", "inspect", self.dir + "/absent")
        self.fails(BAD_MANIFEST, self.dir, "inspect", self.dir)
        for name, data in (("empty", b""), ("text", b"hello\n"), ("deep", b"l" * 1_000_000),
                           ("huge", b"d4:info999999999999:x"), ("noinfo", b"de"),
                           ("nul", b"\0" * 1000)):
            write(f"{self.dir}/{name}.torrent", data)
            self.fails(BAD_MANIFEST, f"{name}.torrent", "inspect", f"{self.dir}/{name}.torrent")
            self.run_it("verify", f"{self.dir}/{name}.torrent", self.tree, code=BAD_MANIFEST)
        self.publish()
        whole = read(self.out)
        for length in range(0, len(whole), max(1, len(whole) // 25)):
            write(self.dir + "/cut.torrent", whole[:length])
            self.run_it("inspect", self.dir + "/cut.torrent", code=BAD_MANIFEST)

    def test_names_cannot_drive_the_terminal(self):
        evil = {b"info": {b"name": b"n\x1b]52;c;eA==\x07", b"piece length": 16384,
                          b"pieces": b"h" * 20,
                          b"files": [{b"length": 5, b"path": [b"..", b"\x1b[2Jx\r\n"]}]},
                b"comment": b"c\x1b[31m\xc2\x9b"}
        write(self.out, lt.bencode(evil))
        for args in (("inspect", self.out), ("inspect", "--json", self.out)):
            out = self.run_it(*args).stdout
            self.assertNotIn("\x1b", out)
            self.assertNotIn("\x9b", out if "--json" not in args else "")
            self.assertNotIn("..", out)
        done = self.run_it("verify", self.out, self.tree, code=FILE)
        self.assertNotIn("\x1b", done.stdout + done.stderr)


unittest.main(verbosity=2)
