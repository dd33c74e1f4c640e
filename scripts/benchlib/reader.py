"""The program that reads a mount and holds the stopwatch; prints one JSON object.

It is a process of its own, started before the client it measures, so that neither Python's start
nor a read that hangs falsifies anything. All times are CLOCK_MONOTONIC, which processes share.

  reader.py first PATH SOURCE             waits for the file, reads its first 4 KiB
  reader.py random PATH SOURCE SEED N     waits, then N cold reads of 4 KiB, each in another MiB
  reader.py sequential PATH SOURCE        waits, then reads it once from start to end
  reader.py warm PATH SOURCE              reads it nine times; then compares all of it
Everything but the timed sequential passes is compared with SOURCE.
"""
import errno
import json
import os
import random
import sys
import time

BLOCK = 4096
CHUNK = 1 << 20


def fail(message):
    sys.exit(f"reader: {message}")


def open_when_there(path, timeout=60):
    """Opens the file as soon as it exists; returns (descriptor, when it was open)."""
    end = time.monotonic() + timeout
    while True:
        try:
            return os.open(path, os.O_RDONLY), time.monotonic()
        except OSError as error:
            if error.errno != errno.ENOENT or time.monotonic() > end:
                fail(f"{path}: {error.strerror}")
            time.sleep(0.001)


def timed_read(fd, source, offset):
    begin = time.monotonic()
    got = os.pread(fd, BLOCK, offset)
    end = time.monotonic()
    if got != os.pread(source, BLOCK, offset):
        fail(f"wrong bytes at {offset}")
    return begin, end


def sequential(fd, size):
    """Reads the file once; returns (begin, end)."""
    buffer = memoryview(bytearray(CHUNK))
    os.lseek(fd, 0, os.SEEK_SET)
    begin, total = time.monotonic(), 0
    while got := os.readv(fd, [buffer]):
        total += got
    end = time.monotonic()
    if total != size:
        fail(f"read {total} bytes of {size}")
    return begin, end


def compare(path, source_path):
    with open(path, "rb") as ours, open(source_path, "rb") as theirs:
        while chunk := theirs.read(CHUNK):
            if ours.read(CHUNK) != chunk:
                fail(f"wrong bytes before {theirs.tell()}")


def main():
    mode, path, source_path = sys.argv[1:4]
    source = os.open(source_path, os.O_RDONLY)
    size = os.fstat(source).st_size
    fd, visible = open_when_there(path)
    result = {"visible": visible}
    if mode == "first":
        result["first"] = timed_read(fd, source, 0)[1]
    elif mode == "random":
        rng = random.Random(int(sys.argv[4]))
        places = rng.sample(range(size >> 20), int(sys.argv[5]))
        offsets = [(p << 20) + BLOCK * rng.randrange((1 << 20) // BLOCK) for p in places]
        spans = [timed_read(fd, source, offset) for offset in offsets]
        result["latencies"] = [end - begin for begin, end in spans]
    elif mode == "sequential":
        result["begin"], result["end"] = sequential(fd, size)
    elif mode == "warm":
        spans = [sequential(fd, size) for _ in range(9)]
        result["seconds"] = sorted(end - begin for begin, end in spans)[4]
        compare(path, source_path)
    else:
        fail(f"unknown mode {mode}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
