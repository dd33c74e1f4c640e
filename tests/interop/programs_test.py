"""Ordinary programs on a mount whose files are still arriving.

Two libtorrent seeds with limited upload hold a folder; each test mounts it with an empty cache and
starts its program at once. Every test compares with what the same program says of the source.
"""

import hashlib
import json
import os
import pathlib
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import unittest
import zipfile

import clients
import content
import rig

UP = 3 * content.MIB  # of each seed, bytes per second: the 14 MB take a good 2 s
PIECE = 128 * content.KIB

# Reads 160 ranges from 8 threads through one open file, and prints a hash of each.
RANDOM_READS = """
import concurrent.futures, hashlib, os, random, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
size = os.fstat(fd).st_size
rng = random.Random(7)
ranges = [(rng.randrange(size), rng.choice([1, 4096, 10000, 131072, 300000])) for _ in range(160)]
def read(r):
    got = b""
    want = min(r[1], size - r[0])
    while len(got) < want:
        part = os.pread(fd, want - len(got), r[0] + len(got))
        if not part: raise EOFError(r)
        got += part
    return hashlib.sha256(got).hexdigest()
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    print("\\n".join(pool.map(read, ranges)))
assert os.pread(fd, 10, size) == b""
"""

# Hashes a file through mmap, pages touched from the end to the beginning.
MMAP_BACKWARDS = """
import hashlib, mmap, sys
with open(sys.argv[1], "rb") as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as m:
    h = hashlib.sha256()
    for end in range(len(m), 0, -40000):
        h.update(m[max(0, end - 40000):end])
    print(h.hexdigest())
"""


def make_folder(root):
    """A folder of the kinds of files that people open: about 14 MB."""
    content.make_tree(root, files={"big.bin": 4 * content.MIB + 99, "more/second.bin": 2_000_000})
    for number in range(20):
        lines = (f"line {i} of {number}: {hashlib.md5(b'%d' % i).hexdigest()}\n"
                 for i in range(700))
        (root / "text").mkdir(exist_ok=True)
        (root / f"text/{number}.txt").write_text("".join(lines))
    (root / "text/9.txt").open("a").write("the needle\n")
    with zipfile.ZipFile(root / "archive.zip", "w", zipfile.ZIP_DEFLATED) as z:
        z.write(root / "more/second.bin", "first.bin")
        z.write(root / "text/3.txt", "inside/three.txt")
        z.write(root / "more/second.bin", "last.bin")
    with sqlite3.connect(root / "data.sqlite") as db:
        db.execute("create table t (id integer primary key, name text, value integer)")
        db.executemany("insert into t values (?, ?, ?)",
                       ((i, f"name {i * 7919 % 20000}", i * i % 1009) for i in range(20000)))
        db.execute("create index by_name on t (name)")
    db.close()
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=duration=8:size=640x360:rate=25",
         "-f", "lavfi", "-i", "sine=frequency=440:duration=8", "-c:v", "mpeg4", "-q:v", "3", "-c:a",
         "aac", root / "film.mp4"], check=True, timeout=60)
    return root


class Programs(rig.NetCase):
    limit = 90

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        why = clients.SwarmFs.absent() or clients.LibTorrent.absent()
        if not why:
            tools = ("ffmpeg", "ffprobe", "sqlite3", "unzip", "rsync")
            why = next((f"{t} is not installed" for t in tools if not shutil.which(t)), None)
        rig.skip(why)
        cls.shared = pathlib.Path(tempfile.mkdtemp(prefix=f"{rig.TMP_PREFIX}{os.getpid()}-"))
        cls.addClassCleanup(shutil.rmtree, cls.shared, ignore_errors=True)
        cls.source = make_folder(cls.shared / "folder")
        cls.torrents = {v: content.make_torrent(cls.source, cls.shared / f"{v}.torrent", v, PIECE)
                        for v in ("v1", "v2", "hybrid")}

    def mount(self, version):
        seeds = [clients.LibTorrent(self.net.host(f"seed{i}"), up=UP) for i in range(2)]
        for seed in seeds:
            seed.seed(self.torrents[version], self.source.parent)
        self.mounted = clients.SwarmFsMount(self.net.host("mount"))
        self.mounted.download(self.torrents[version], self.net.dir / "mnt",
                              [s.address for s in seeds])
        self.root = self.net.dir / "mnt" / self.source.name
        return self.root

    def same(self, *argv, binary=False):
        """Runs a command on the mount and on the source ({} is the root); output must be equal."""
        outputs = []
        for root in (self.root, self.source):
            done = self.mounted.host.run([str(a).replace("{}", str(root)) for a in argv],
                                         timeout=60, text=not binary)
            self.assertEqual(done.returncode, 0, f"{argv}: {done.stderr}")
            out = done.stdout
            outputs.append(out if binary else out.replace(str(root), "{}"))
        self.assertEqual(outputs[0], outputs[1])
        return outputs[0]

    def tearDown(self):
        super().tearDown()
        if not self.failed():
            self.assertEqual(self.mounted.unmount(), 0)

    def test_sha256sum(self):
        self.mount("v1")
        self.same("sha256sum", "{}/big.bin", "{}/film.mp4", "{}/more/second.bin")

    def test_cp(self):
        root = self.mount("v2")
        done = self.mounted.host.run(["cp", "-a", root, self.net.dir / "copy"], timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(content.digest(self.net.dir / "copy"), content.digest(self.source))

    def test_rsync(self):
        root = self.mount("hybrid")
        argv = ["rsync", "-rt", "--checksum", f"{root}/", self.net.dir / "copy"]
        done = self.mounted.host.run(argv, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(content.digest(self.net.dir / "copy"), content.digest(self.source))

    def test_grep(self):
        root = self.mount("v1")
        done = self.mounted.host.run(["grep", "-r", "the needle", root], timeout=60)
        self.assertEqual(done.stdout, f"{root}/text/9.txt:the needle\n")

    def test_unzip_of_one_member(self):
        self.mount("v1")
        self.same("unzip", "-p", "{}/archive.zip", "inside/three.txt")

    def test_sqlite(self):
        self.mount("hybrid")
        uri = "file:{}/data.sqlite?mode=ro&immutable=1"
        self.same("sqlite3", uri, "select value from t where name = 'name 1234'")
        self.same("sqlite3", uri, "pragma integrity_check; select count(*), sum(value) from t")
        # The ordinary way too: locks and the look for a journal have to work.
        self.same("sqlite3", "-readonly", "{}/data.sqlite", "select count(*) from t")

    def test_mmap(self):
        self.mount("v2")
        self.same(sys.executable, "-c", MMAP_BACKWARDS, "{}/big.bin")

    def test_ffprobe(self):
        self.mount("v1")
        shown = self.same("ffprobe", "-v", "error", "-of", "json", "-show_format", "-show_streams",
                          "{}/film.mp4")
        self.assertEqual(len(json.loads(shown)["streams"]), 2)

    def test_ffmpeg_decodes_to_the_end(self):
        self.mount("hybrid")
        frames = self.same("ffmpeg", "-v", "error", "-i", "{}/film.mp4", "-f", "framemd5", "-")
        self.assertGreater(frames.count("\n"), 8 * 25)

    def test_random_reads_from_8_threads_v1(self):
        self.mount("v1")
        self.same(sys.executable, "-c", RANDOM_READS, "{}/big.bin")

    def test_random_reads_from_8_threads_v2(self):
        self.mount("v2")
        self.same(sys.executable, "-c", RANDOM_READS, "{}/big.bin")

    def test_all_at_once(self):
        """Different programs together on one mount."""
        root = self.mount("v1")
        argvs = [["sha256sum", f"{root}/big.bin"], ["grep", "-rc", "needle", f"{root}/text"],
                 ["ffmpeg", "-v", "error", "-i", f"{root}/film.mp4", "-f", "null", "-"],
                 ["unzip", "-tq", f"{root}/archive.zip"],
                 ["sqlite3", "-readonly", f"{root}/data.sqlite", "pragma integrity_check"]]
        procs = [self.mounted.host.start(a[0], a) for a in argvs]
        for proc in procs:
            self.assertEqual(proc.wait(60), 0, proc.tail())
        expected = hashlib.sha256((self.source / "big.bin").read_bytes()).hexdigest()
        self.assertIn(expected, procs[0].text())


if __name__ == "__main__":
    unittest.main()
