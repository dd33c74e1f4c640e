"""Reads a file whose pages are forgotten before each pass; prints one JSON object. A process of its
own, so that a read that hangs can be ended.

  files_reader.py sequential PATH PASSES    bytes a second of each pass, in reads of 128 KiB
  files_reader.py random PATH PASSES        seconds of each read of 4 KiB: every page once, shuffled
"""
import json
import os
import random
import sys
import time

PAGE, CHUNK = 4 << 10, 128 << 10


def sequential(fd, size, _):
    buffer = memoryview(bytearray(CHUNK))
    os.lseek(fd, 0, os.SEEK_SET)
    begin, total = time.perf_counter(), 0
    while got := os.readv(fd, [buffer]):
        total += got
    seconds = time.perf_counter() - begin
    if total != size:
        sys.exit(f"read {total} bytes of {size}")
    return [total / seconds]


def shuffled(fd, size, rng):
    pages = list(range(size // PAGE))
    rng.shuffle(pages)
    buffers = [bytearray(PAGE)]
    spans = []
    for page in pages:
        begin = time.perf_counter()
        got = os.preadv(fd, buffers, page * PAGE)
        spans.append(time.perf_counter() - begin)
        if got != PAGE:
            sys.exit(f"read {got} bytes of {PAGE}")
    return spans


def main():
    mode, path, passes = sys.argv[1], sys.argv[2], int(sys.argv[3])
    one_pass = {"sequential": sequential, "random": shuffled}[mode]
    fd = os.open(path, os.O_RDONLY)
    size = os.fstat(fd).st_size
    rng = random.Random(1)
    if mode == "random":
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
    values = []
    for _ in range(passes):
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        values += one_pass(fd, size, rng)
    print(json.dumps(values))


if __name__ == "__main__":
    main()
