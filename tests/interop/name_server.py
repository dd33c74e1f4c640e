"""A name server for tests: `name_server.py ADDRESS NAME IP` says that NAME is at IP (an IPv4
address), and that nothing else is there. Prints each question."""

import ipaddress
import socket
import sys


def answer(question, name, ip):
    """To one question of RFC 1035, without its additional records."""
    end = question.index(b"\0", 12) + 5
    labels, at = [], 12
    while question[at]:
        labels.append(question[at + 1:at + 1 + question[at]].decode())
        at += 1 + question[at]
    kind = int.from_bytes(question[at + 1:at + 3], "big")
    known = ".".join(labels).lower() == name
    found = known and kind == 1
    print(".".join(labels), kind, flush=True)
    head = question[:2] + (b"\x81\x80" if known else b"\x81\x83") + b"\0\1" + bytes([0, found])
    record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + ipaddress.ip_address(ip).packed
    return head + b"\0\0\0\0" + question[12:end] + (record if found else b"")


def main(address, name, ip):
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((address, 53))
    print("ready", flush=True)
    while True:
        question, source = server.recvfrom(2048)
        server.sendto(answer(question, name, ip), source)


if __name__ == "__main__":
    main(*sys.argv[1:])
