"""A reader of a file in a mount: waits for it, reads it in a mode of reading.py, prints JSON.

It is a process of its own, started before the client it measures, so that neither Python's start
nor a read that hangs falsifies anything. Usage: mount_reader.py MODE PATH SOURCE OPTIONS.
"""
import errno
import json
import os
import sys
import time

import reading

WAIT_SECONDS = 60


class MountFile:
    def __init__(self, fd):
        self._fd = fd

    def read(self, offset, length):
        parts = []
        while length > 0:
            got = os.pread(self._fd, length, offset)
            if not got:
                break
            parts.append(got)
            offset, length = offset + len(got), length - len(got)
        return b"".join(parts)


def open_when_there(path):
    end = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            return os.open(path, os.O_RDONLY)
        except OSError as error:
            if error.errno != errno.ENOENT or time.monotonic() > end:
                raise
            time.sleep(0.001)


def main():
    mode, path, source, options = sys.argv[1:]
    fd = open_when_there(path)
    visible = time.monotonic()
    with open(source, "rb") as original:
        result = reading.MODES[mode](MountFile(fd), original.fileno(), **json.loads(options))
    print(json.dumps({"visible": visible, **result}), flush=True)


if __name__ == "__main__":
    try:
        main()
    except (OSError, reading.WrongBytes) as failure:
        sys.exit(f"reader: {failure}")
