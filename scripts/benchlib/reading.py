"""What a reader does with a file, and the stopwatch in its hand.

A `file` has read(offset, length) -> bytes; `source` is a descriptor of the same bytes. Every byte
is compared, after its clock has stopped. All times are CLOCK_MONOTONIC, which processes share, in
seconds. Each function returns an object for JSON.
"""
import os
import time

BLOCK = 4096
CHUNK = 128 << 10
# A player shows its first picture once it has this much film, and then reads no further ahead.
START_SECONDS = 0.5
AHEAD_SECONDS = 1.0
LATE_SECONDS = 0.01  # a chunk later than this is a stall; less is the scheduler of a busy machine


class WrongBytes(Exception):
    """The file is not what was published."""


def timed(file, source, offset, length=BLOCK):
    """Reads and compares; (begin, end)."""
    begin = time.monotonic()
    got = file.read(offset, length)
    end = time.monotonic()
    if bytes(got) != os.pread(source, length, offset):
        raise WrongBytes(f"wrong bytes at {offset}")
    return begin, end


def first(file, source):
    return {"first": timed(file, source, 0)[1]}


def random_reads(file, source, places, count, gap, cold_above, settle=0):
    """`count` reads of 4 KiB, `gap` seconds apart, at the first of `places` that are not here yet:
    what takes less than `cold_above` seconds came from this machine, and is left out."""
    file.read(0, BLOCK)
    time.sleep(settle)
    spans, here = [], 0
    for place in places:
        if len(spans) == count:
            break
        begin, end = timed(file, source, place)
        if end - begin < cold_above:
            here += 1
            continue
        spans.append((begin, end, place))
        time.sleep(gap)
    return {"latencies": [end - begin for begin, end, _ in spans], "spans": spans, "here": here}


def seeks(file, source, places, run):
    """Reads `run` bytes in order at 0, then seeks to each place and goes on reading there."""
    latencies = []
    for place in [0, *places]:
        begin, end = timed(file, source, place)
        latencies.append(end - begin)
        for offset in range(place, place + run, CHUNK):
            timed(file, source, offset, CHUNK)
    return {"latencies": latencies[1:]}


def play(file, source, rate, seconds):
    """Plays film of `rate` bytes a second; says when it began and how often and long it stood."""
    total, got = int(rate * seconds), 0
    began = first_at = playing_since = None
    stalls, stalled = [], 0.0  # [(film's time, how long)]
    while got < total:
        length = min(CHUNK, total - got)
        if playing_since is not None:
            due = playing_since + stalled + got / rate
            time.sleep(max(0.0, due - AHEAD_SECONDS - time.monotonic()))
        begin, end = timed(file, source, got, length)
        began = began or begin
        first_at = first_at or end
        if playing_since is not None and end > due + LATE_SECONDS:
            stalls.append((got / rate, end - due))
            stalled += end - due
        got += length
        if playing_since is None and got >= rate * START_SECONDS:
            playing_since = end
    return {"begin": began, "first": first_at, "playing": playing_since, "stalls": len(stalls),
            "stalled": stalled, "stalls_at": stalls}


def sequential(file, source, total):
    """Reads `total` bytes in order; the clock runs from the first bytes on."""
    begin = None
    for offset in range(0, total, CHUNK):
        end = timed(file, source, offset, CHUNK)[1]
        begin = begin or end
    return {"begin": begin, "end": end, "bytes": total - CHUNK}


MODES = {"first": first, "random": random_reads, "seeks": seeks, "play": play,
         "sequential": sequential}
