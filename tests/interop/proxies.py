"""Proxies for tests: dante, and one that speaks SOCKS5 and CONNECT at one port and wants a login.

Run as a program, `proxies.py ADDRESS PORT [USER PASSWORD]` is the latter. It prints a line for each
connection: what was asked for.
"""

import asyncio
import base64
import ipaddress
import os
import shutil
import struct
import sys

DANTE = """logoutput: stderr
internal: {address} port = 1080
external: {address}
external: lo
external.rotation: route
socksmethod: none
clientmethod: none
user.privileged: root
user.unprivileged: nobody
client pass {{ from: 0/0 to: 0/0 }}
client pass {{ from: ::/0 to: ::/0 }}
socks pass {{ from: 0/0 to: 0/0 command: bind connect udpassociate bindreply udpreply }}
socks pass {{ from: ::/0 to: ::/0 command: bind connect udpassociate bindreply udpreply }}
"""


class Dante:
    """dante-server on a Host: SOCKS5 at port 1080, with UDP ASSOCIATE."""

    def __init__(self, host):
        self.host = host
        self.config = host.net.dir / f"{host.name}-danted.conf"
        self.config.write_text(DANTE.format(address=host.ip4))
        self.start()

    @staticmethod
    def absent():
        path = os.environ.get("PATH", "") + ":/usr/sbin"
        return None if shutil.which("danted", path=path) else "dante-server is not installed"

    def start(self):
        from rig import wait_for
        self.proc = self.host.start("danted", ["/usr/sbin/danted", "-f", self.config, "-p",
                                               self.host.net.dir / f"{self.host.name}-danted.pid"])
        wait_for("dante to listen", lambda: self.host.listening(1080), 10, [self.proc])

    @property
    def url(self):
        return f"socks5://{self.host.ip4}:1080"


class Scripted:
    """This program on a Host, at port 1081 of its IPv4 or IPv6 address."""

    def __init__(self, host, login=(), v6=False):
        self.host, self.login = host, login
        self.address = host.ip6 if v6 else host.ip4
        self.at = f"[{self.address}]:1081" if v6 else f"{self.address}:1081"
        self.start()

    def start(self):
        from rig import wait_for
        self.proc = self.host.start("proxy", [sys.executable, __file__, self.address, 1081,
                                              *self.login])
        wait_for("the proxy to listen", lambda: self.host.listening(1081), 20, [self.proc])

    def asked(self):
        return self.proc.text().splitlines()


async def pipe(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


class Refused(Exception):
    pass


async def socks5(reader, writer, login):
    methods = await reader.readexactly((await reader.readexactly(1))[0])
    method = 2 if login else 0
    if method not in methods:
        writer.write(b"\x05\xff")
        raise Refused("no method")
    writer.write(bytes([5, method]))
    if login:
        words = []
        assert await reader.readexactly(1) == b"\x01"
        for _ in range(2):
            words.append((await reader.readexactly((await reader.readexactly(1))[0])).decode())
        writer.write(b"\x01" + bytes([words != login]))
        if words != login:
            raise Refused("wrong login")
    _, command, _, kind = await reader.readexactly(4)
    if kind == 3:
        host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
    else:
        host = str(ipaddress.ip_address(await reader.readexactly(4 if kind == 1 else 16)))
    port, = struct.unpack("!H", await reader.readexactly(2))
    if command != 1:
        writer.write(b"\x05\x07\0\x01" + bytes(6))
        raise Refused(f"command {command}")
    return host, port, b"\x05\0\0\x01" + bytes(6), b"\x05\x05\0\x01" + bytes(6)


async def http(reader, writer, login):
    head = (b"C" + await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    if login:
        good = "Basic " + base64.b64encode(":".join(login).encode()).decode()
        if f"Proxy-Authorization: {good}" not in head:
            writer.write(b"HTTP/1.1 407 Who are you\r\n\r\n")
            raise Refused("wrong login")
    host, _, port = head[0].split()[1].rpartition(":")
    return host.strip("[]"), int(port), b"HTTP/1.1 200 There\r\nX: y\r\n\r\n", \
        b"HTTP/1.1 502 Not there\r\n\r\n"


async def serve(reader, writer, login):
    try:
        first = await reader.readexactly(1)
        speak = {b"\x05": socks5, b"C": http}[first]
        host, port, yes, no = await speak(reader, writer, login)
        print(f"{speak.__name__} {host}:{port}", flush=True)
        try:
            there, onward = await asyncio.open_connection(host, port)
        except OSError:
            writer.write(no)
            raise
        writer.write(yes)
        await asyncio.gather(pipe(reader, onward), pipe(there, writer))
    except (OSError, EOFError, Refused, KeyError) as e:
        print("refused", e, flush=True)
    finally:
        writer.close()


async def main(address, port, *login):
    server = await asyncio.start_server(lambda r, w: serve(r, w, list(login)), address, int(port))
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
