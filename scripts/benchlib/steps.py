"""From the messages on the wire (wiretap.py) to where the time of a start or of a read went."""
import contextlib
import json
import sys

from .stage import HERE

BLOCK = 16 << 10


@contextlib.contextmanager
def tap(stage, seconds):
    """Listens at the client while the block runs; the list it yields has the events afterwards."""
    out = stage.lab.dir / f"wiretap-{len(stage.client.procs)}.json"
    proc = stage.client.start("wiretap", [sys.executable, HERE / "wiretap.py", out, seconds])
    proc.wait_text("listening", 10)
    events = []
    try:
        yield events
    finally:
        proc.stop()
        with contextlib.suppress(OSError):
            events += json.loads(out.read_text())
            out.unlink()


def first(events, since, peer, way, *what):
    """When something was first seen on the wire, or None. A peer of None is any peer."""
    for when, who, direction, *rest in events:
        if when >= since and direction == way and tuple(rest[:len(what)]) == what \
                and (who == peer or (peer is None and who != "tracker")):
            return when
    return None


def last_block(events, since, piece):
    """(when, from whom) the last block of a piece came first: no copy that came later counts."""
    came = {}
    for when, who, direction, *rest in events:
        if when >= since and direction == "in" and rest[0] == "piece" and rest[1] == piece:
            came.setdefault(rest[2], (when, who))
    return max(came.values()) if came else (None, None)


def of_start(events, began, end, by_piece):
    """{step: seconds since the process began}, to the first 4 KiB of piece 0."""
    giver = next((who for when, who, way, *rest in events
                  if when >= began and way == "in" and rest == ["piece", 0, 0]), None)
    steps = {
        "tracker: SYN": first(events, began, "tracker", "out", "syn"),
        "tracker: SYN-ACK": first(events, began, "tracker", "in", "synack"),
        "tracker: answer": first(events, began, "tracker", "in", "http"),
        "first peer: SYN": first(events, began, None, "out", "syn"),
        "the giver of the block: SYN": first(events, began, giver, "out", "syn"),
        "... SYN-ACK": first(events, began, giver, "in", "synack"),
        "... handshake sent": first(events, began, giver, "out", "handshake"),
        "... handshake received": first(events, began, giver, "in", "handshake"),
        "... interested sent": first(events, began, giver, "out", "interested"),
        "... unchoke": first(events, began, giver, "in", "unchoke"),
        "hash request sent, to anybody": first(events, began, None, "out", "hash_request"),
        "block requested, of anybody": first(events, began, None, "out", "request", 0, 0),
        "... block requested": first(events, began, giver, "out", "request", 0, 0),
        "hashes received": first(events, began, None, "in", "hashes"),
        "block: first bytes": first(events, began, giver, "in", "piece_begin", 0, 0),
        "block: whole": first(events, began, giver, "in", "piece", 0, 0),
    }
    if by_piece:
        steps["piece: whole"] = last_block(events, began, 0)[0]
    steps["the reader has it"] = end
    return {k: v - began for k, v in steps.items() if v is not None}


def of_read(events, span, piece_length, by_piece):
    """{step: seconds since the read began} of one read: span is (begin, end, place)."""
    begin, end, place = span
    piece, block = place // piece_length, place % piece_length // BLOCK * BLOCK
    steps = {
        "block requested": first(events, 0, None, "out", "request", piece, block),
        "hash request sent": first(events, begin, None, "out", "hash_request"),
        "hashes received": first(events, begin, None, "in", "hashes"),
        "block: first bytes": first(events, 0, None, "in", "piece_begin", piece, block),
        "block: whole": first(events, 0, None, "in", "piece", piece, block),
    }
    if by_piece:
        steps["piece: whole"] = last_block(events, 0, piece)[0]
        del steps["hash request sent"], steps["hashes received"]
    steps["the reader has it"] = end
    return {k: v - begin for k, v in steps.items() if v is not None}
