#!/usr/bin/env python3
"""Checks the rules of the tree that a compiler cannot: who may include whom, where clocks and
randomness may be read, the coroutine shapes that GCC 12 miscompiles, and the size of files.

Usage: scripts/check_arch.py [ROOT]. Prints one line per finding; exits 1 if there is any.
Its own tests are in tests/arch. ARCHITECTURE.md has the reasons.
"""
import pathlib
import re
import sys

FOLDERS = ("fs", "swarm", "cache", "mount", "tests", "scripts", ".ci")
MAX_LINES = 600

# A layer is the longest of these that starts a path; it may include files of its own layer and
# of those listed.
LAYERS = {
    "swarm/base": (),
    "swarm/metainfo": ("swarm/base",),
    "swarm/wire": ("swarm/base",),
    "swarm/engine": ("swarm/base", "swarm/metainfo", "swarm/wire"),
    "swarm/dht": ("swarm/base", "swarm/wire"),
    "swarm/utp": ("swarm/base", "swarm/wire"),
    "swarm/nat": ("swarm/base",),
    "swarm/net": ("swarm/base", "swarm/metainfo", "swarm/wire", "swarm/engine", "swarm/dht",
                  "swarm/utp", "swarm/nat"),
    "cache": ("swarm/base",),
    "fs": ("swarm/base",),
    "mount": ("swarm", "cache", "fs"),
    "tests": ("swarm", "cache", "fs", "mount"),
    # A program of its own, which is built without the rest of the tree.
    "tests/netlab": (),
}
# Where headers that are not ours may be used. The first pattern that matches a name decides.
EXTERNAL = (
    (r"fuse", ("mount", "tests/mount")),
    # Who puts the program together owns the event loop; sockets are swarm/net's alone.
    (r"boost/asio/(io_context|any_io_executor|executor_work_guard|post|signal_set|steady_timer)\.hpp",
     ("swarm/net", "mount", "tests")),
    (r"boost/(asio|beast)", ("swarm/net", "tests/net", "tests/support", "tests/interop")),
    (r"boost/(system|assert)/", tuple(LAYERS)),
    (r"boost/", ("swarm/net", "mount", "tests")),
    (r"openssl/", ("swarm/base", "swarm/net", "mount", "tests")),
    (r"(spdlog|fmt)/", ("swarm/net", "mount", "tests")),
    (r"CLI/", ("mount/command_line", "tests/model")),
    (r"nlohmann/", ("mount", "tests")),
    (r"sqlite3", ("cache", "tests")),
    (r"miniupnpc/", ("swarm/net",)),
    (r"(gtest|gmock)/", ("tests",)),
    (r"(sys/(socket|epoll|un)|poll|netdb)\.h", ("swarm/net", "mount", "tests")),
    (r"linux/if(_tun)?\.h", ("tests/netlab",)),
    (r"(thread|mutex|shared_mutex|condition_variable|future)$",
     ("swarm/base", "swarm/metainfo", "swarm/net", "cache", "fs", "mount", "tests")),
)
# Clocks and randomness come from outside, as arguments, except where the program is put together.
IMPURE = re.compile(
    r"::now\s*\(|\brandom_device\b|\bclock_gettime\s*\(|\bgettimeofday\s*\(|\bgetrandom\s*\("
    r"|\bRAND_bytes\s*\(|\bs?rand\s*\(")
IMPURE_HOMES = ("swarm/base/now", "swarm/net", "mount", "tests", "cache/clock")
# Sockets of the internet are opened in one place, which knows where they may go (net::Route).
SOCKETS = re.compile(
    r"\basync_connect\b|\basio::connect\b|\b(?:AF_INET6?|PF_INET6?)\s*,\s*SOCK_"
    r"|\bgetaddrinfo\s*\(|\b(?:tcp|udp)::resolver\b"
    r"|\.(?:open|connect|bind)\s*\([^()]*(?:\([^()]*\))?[^()]*(?:\b(?:v4|v6|protocol)\b|::endpoint\b)"
    r"|\b(?:tcp|udp)::(?:socket|acceptor)\s+\w+\s*[({][^,(){}]*(?:\([^()]*\))?\s*,")
SOCKET_HOMES = ("swarm/net/route", "tests")
RESOLVERS = ("swarm/net/resolver", "swarm/net/name_threads", "swarm/net/bound_lookup")
# Split, so that this file does not contain what it looks for.
MARKERS = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")
PRIVATE_PATHS = re.compile(r"(?<![\w.$})\]*-])/(work|root)(?![\w-])")


def layer_of(path):
    """The layer of a path such as swarm/net/peer.h, or None outside all of them."""
    return max((l for l in LAYERS if within(path, (l,))), key=len, default=None)


def within(path, places):
    """Whether the path is one of the places, lies in one, or has one as its first letters."""
    return any(path == p or path.startswith(p + "/") or path.startswith(p + ".") for p in places)


def code_only(text):
    """The text with comments, strings and characters blanked; lines stay where they were."""
    token = re.compile(r'//[^\n]*|/\*.*?\*/|R"([^(\s]*)\(.*?\)\1"|"(?:[^"\\\n]|\\.)*"'
                       r"|(?<![\w])'(?:[^'\\\n]|\\.){1,4}'", re.S)
    return token.sub(lambda match: re.sub(r"[^\n]", " ", match.group(0)), text)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def check_includes(path, text):
    """Yields (line, message) for every include that crosses a layer the wrong way."""
    layer = layer_of(path)
    for match in re.finditer(r'^[ \t]*#[ \t]*include[ \t]*(["<])([^">]+)[">]', text, re.M):
        line, name = line_of(text, match.start()), match.group(2)
        if match.group(1) == '"':
            target = layer_of(name)
            if layer == "tests" and "/" not in name:
                continue  # a helper beside the test
            if target is None:
                yield line, f'"{name}": name the file by its path from the top of the tree'
            elif not within(name, (layer,) + LAYERS[layer]):
                yield line, f"{layer} may not include {target} ({name})"
            elif name == "swarm/base/now.h" and not within(path, IMPURE_HOMES):
                yield line, "a clock: time and randomness come in as arguments here"
            continue
        for pattern, homes in EXTERNAL:
            if re.match(pattern, name):
                if not within(path, homes):
                    yield line, f"<{name}> belongs in {', '.join(homes)} only"
                break


def check_impure(path, code):
    if not within(path, IMPURE_HOMES):
        for match in IMPURE.finditer(code):
            yield (line_of(code, match.start()),
                   f"'{match.group(0).strip()}': time and randomness come in as arguments here")


def check_sockets(path, code):
    if within(path, SOCKET_HOMES):
        return
    for match in SOCKETS.finditer(code):
        found = match.group(0)
        if within(path, RESOLVERS) and re.search(r"getaddrinfo|resolver", found):
            continue
        yield (line_of(code, match.start()),
               f"'{found.strip()}': net::Route opens sockets and net::resolve() looks names up, so "
               "that none goes where it may not")


def closing(code, start):
    """The offset just after the bracket that closes the one at start."""
    depth = 0
    for i in range(start, len(code)):
        depth += (code[i] in "([{") - (code[i] in ")]}")
        if depth == 0:
            return i + 1
    return len(code)


def operand_end(code, start):
    """Where the full expression that goes on at start ends: at ';' or an unopened bracket."""
    i = start
    while i < len(code) and code[i] not in ";)]}":
        i = closing(code, i) if code[i] in "([{" else i + 1
    return i


LAMBDA = re.compile(r"(?<![\w\])])\s*\[[^\[\]]+\]\s*(?=[({]|mutable)")
BRACED = re.compile(r"(?:[A-Za-z_][\w:]*(?:<[^;{}]*>)?\s*|[(,]\s*)\{")


def check_coroutines(code):
    """GCC 12 compiles three shapes of co_await into crashes; see ARCHITECTURE.md."""
    for match in re.finditer(r"\b(if|while|switch|for)\s*(?:constexpr\s*)?\(", code):
        head = code[match.end() - 1:closing(code, match.end() - 1)]
        if re.search(r"\bco_await\b", head):
            yield (line_of(code, match.start()),
                   f"co_await in the head of '{match.group(1)}': name its result first")
    for match in re.finditer(r"\bco_await\b", code):
        start = max(code.rfind(c, 0, match.start()) for c in ";{}")
        expression = code[start + 1:operand_end(code, match.end())]
        line = line_of(code, match.start())
        if LAMBDA.search(expression):
            yield line, "a lambda inside a co_await expression: name it first"
        elif BRACED.search(expression):
            yield line, "a braced temporary inside a co_await expression: name it first"


def check_text(text):
    for number, line in enumerate(text.split("\n"), 1):
        if MARKERS.search(line):
            yield number, "unfinished business: do it, or leave the note out"
        if PRIVATE_PATHS.search(line):
            yield number, "a path of somebody's machine"


def check_file(path, text):
    """Yields (line, message) for one file; path is relative to the top, with forward slashes."""
    lines = text.count("\n")
    if lines > MAX_LINES and path.endswith((".cc", ".h", ".py")):
        yield lines, f"{lines} lines: split it (at most {MAX_LINES})"
    yield from check_text(text)
    if not path.endswith((".cc", ".h")) or layer_of(path) is None:
        return
    if path.endswith(".h") and not text.startswith("//"):
        yield 1, "a header opens with a comment that says what it is"
    code = code_only(text)
    yield from check_includes(path, text)
    yield from check_impure(path, code)
    yield from check_sockets(path, code)
    yield from check_coroutines(code)


def files(root):
    """Every file of ours under root: the folders of the project, and what lies at the top."""
    found = [p for p in root.iterdir() if p.is_file() and not p.name.startswith(".git")]
    for folder in FOLDERS:
        found += [p for p in (root / folder).rglob("*") if p.is_file()]
    return sorted(p for p in found if "__pycache__" not in p.parts)


def check_tree(root):
    """Returns the findings for a whole tree, as lines to print."""
    findings = []
    for file in files(root):
        path = file.relative_to(root).as_posix()
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:  # a test's sample, not text
            continue
        findings += [f"{path}:{line}: {message}" for line, message in check_file(path, text)]
    return findings


def main(argv):
    root = pathlib.Path(argv[1] if len(argv) > 1 else pathlib.Path(__file__).parent.parent)
    if not (root / "CMakeLists.txt").is_file():
        print(f"check_arch: {root} is not the top of the tree", file=sys.stderr)
        return 2
    findings = check_tree(root.resolve())
    for finding in findings:
        print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
