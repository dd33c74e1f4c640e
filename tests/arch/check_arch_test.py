"""Shows that scripts/check_arch.py finds each thing it is there to find, and nothing in good code."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "scripts"))
sys.dont_write_bytecode = True

import check_arch  # noqa: E402


def findings(path, text):
    return [message for _, message in check_arch.check_file(path, text)]


class Includes(unittest.TestCase):
    def assert_bad(self, path, line):
        self.assertEqual(len(findings(path, "// x\n" + line + "\n")), 1, f"{path}: {line}")

    def assert_good(self, path, line):
        self.assertEqual(findings(path, "// x\n" + line + "\n"), [], f"{path}: {line}")

    def test_layers_may_not_include_upwards_or_sideways(self):
        self.assert_bad("swarm/base/a.h", '#include "swarm/wire/b.h"')
        self.assert_bad("swarm/wire/a.h", '#include "swarm/metainfo/b.h"')
        self.assert_bad("swarm/metainfo/a.cc", '#include "swarm/engine/b.h"')
        self.assert_bad("swarm/engine/a.cc", '#include "swarm/net/b.h"')
        self.assert_bad("swarm/net/a.cc", '#include "cache/b.h"')
        self.assert_bad("cache/a.cc", '#include "fs/b.h"')
        self.assert_bad("cache/a.cc", '#include "swarm/metainfo/b.h"')
        self.assert_bad("fs/a.h", '  #  include "cache/b.h"')
        self.assert_bad("fs/a.h", '#include "swarm/net/b.h"')
        self.assert_bad("mount/a.cc", '#include "tests/support/b.h"')
        self.assert_bad("tests/netlab/switch/a.cc", '#include "swarm/base/b.h"')
        self.assert_bad("tests/netlab/switch/a.cc", '#include "tests/support/b.h"')

    def test_layers_may_include_what_the_table_says(self):
        self.assert_good("swarm/engine/a.h", '#include "swarm/wire/b.h"')
        self.assert_good("swarm/engine/a.h", '#include "swarm/metainfo/b.h"')
        self.assert_good("swarm/net/a.h", '#include "swarm/engine/b.h"')
        self.assert_good("cache/a.cc", '#include "cache/b.h"')
        self.assert_good("cache/a.cc", '#include "swarm/base/b.h"')
        self.assert_good("mount/a.cc", '#include "swarm/net/b.h"')
        self.assert_good("tests/sim/a.cc", '#include "swarm/engine/b.h"')
        self.assert_good("tests/netlab/a.cc", '#include "tests/netlab/switch/b.h"')

    def test_a_file_is_named_from_the_top_of_the_tree(self):
        self.assert_bad("fs/a.cc", '#include "tree.h"')
        self.assert_bad("fs/a.cc", '#include "../cache/b.h"')
        self.assert_good("tests/fs/a.cc", '#include "fixtures.h"')

    def test_foreign_headers_stay_in_their_homes(self):
        self.assert_bad("swarm/engine/a.cc", "#include <boost/asio/ip/tcp.hpp>")
        self.assert_bad("mount/a.cc", "#include <boost/asio.hpp>")
        self.assert_bad("cache/a.cc", "#include <boost/beast/http.hpp>")
        self.assert_bad("swarm/net/a.cc", "#include <fuse3/fuse_lowlevel.h>")
        self.assert_bad("fs/a.cc", "#include <fuse_lowlevel.h>")
        self.assert_bad("swarm/engine/a.cc", "#include <spdlog/logger.h>")
        self.assert_bad("swarm/wire/a.cc", "#include <openssl/evp.h>")
        self.assert_bad("swarm/engine/a.cc", "#include <sys/socket.h>")
        self.assert_bad("swarm/engine/a.cc", "#include <mutex>")
        self.assert_bad("swarm/net/a.cc", "#include <linux/if_tun.h>")
        self.assert_good("tests/netlab/switch/a.cc", "#include <linux/if_tun.h>")
        self.assert_good("swarm/net/a.cc", "#include <boost/asio/ip/tcp.hpp>")
        self.assert_bad("mount/a.cc", "#include <boost/asio/ip/tcp.hpp>")
        self.assert_bad("swarm/engine/a.cc", "#include <boost/asio/io_context.hpp>")
        self.assert_good("mount/a.cc", "#include <boost/asio/io_context.hpp>")
        self.assert_good("mount/a.cc", "#include <fuse3/fuse_lowlevel.h>")
        self.assert_good("swarm/base/a.cc", "#include <openssl/evp.h>")
        self.assert_good("swarm/engine/a.h", "#include <boost/system/result.hpp>")
        self.assert_good("swarm/engine/a.h", "#include <vector>")


class Purity(unittest.TestCase):
    def test_clocks_and_randomness_are_found_outside_their_homes(self):
        for text in ("auto t = std::chrono::steady_clock::now();", "Clock::now ()",
                     "std::random_device seed;", "clock_gettime(CLOCK_MONOTONIC, &t);",
                     "RAND_bytes(p, 20);", "x = rand();", '#include "swarm/base/now.h"'):
            for path in ("swarm/engine/a.cc", "swarm/base/a.cc", "cache/a.cc", "fs/a.cc"):
                self.assertEqual(len(findings(path, "// x\n" + text)), 1, f"{path}: {text}")
            for path in ("swarm/net/a.cc", "mount/a.cc", "tests/fs/a.cc", "cache/clock.h"):
                self.assertEqual(findings(path, "// x\n" + text), [], f"{path}: {text}")

    def test_comments_and_strings_do_not_count(self):
        text = '// Clock::now()\n/* random_device\n */ auto s = "Clock::now()"; int n = 1\'000;'
        self.assertEqual(findings("fs/a.cc", text), [])


class Sockets(unittest.TestCase):
    def test_they_are_opened_by_the_route_alone(self):
        for text in ("co_await s.async_connect(to, kAwait);", "asio::connect(s, list);",
                     "int fd = ::socket(AF_INET, SOCK_STREAM, 0);",
                     "socket(PF_INET6 , SOCK_DGRAM, 0)", "getaddrinfo(a, b, c, d);",
                     "tcp::resolver r(io);", "socket.open(where.protocol(), error);",
                     "socket.open(udp::v4());", "acceptor_.bind(tcp::endpoint(a, 1));",
                     "tcp::acceptor a(io, where);", "udp::socket s(io.get_executor(), where);",
                     "socket.connect(tcp::endpoint(a, 1), e);"):
            for path in ("swarm/net/a.cc", "mount/a.cc"):
                self.assertEqual(len(findings(path, "// x\n" + text)), 1, f"{path}: {text}")
            self.assertEqual(findings("swarm/net/route.cc", "// x\n" + text), [], text)
        self.assertEqual(findings("swarm/net/resolver.cc", "// x\ntcp::resolver r(io);"), [])
        self.assertEqual(len(findings("swarm/net/resolver.cc", "// x\ns.async_connect(a, b);")), 1)

    def test_what_opens_none_is_fine(self):
        for text in ("udp::socket socket(executor);", "::socket(AF_UNIX, SOCK_STREAM, 0);",
                     "mux_.connect(endpoint, now());", "transport.connect(to, done);",
                     "Route::connect(route, target, kTimeout)", "file.open(path);",
                     "source.open(content)", "tcp::socket socket;"):
            self.assertEqual(findings("swarm/net/a.cc", "// x\n" + text), [], text)


class Coroutines(unittest.TestCase):
    def count(self, body):
        return len(findings("swarm/net/a.cc", "// x\nTask f() {\n  " + body + "\n}\n"))

    def test_the_shapes_that_gcc_12_miscompiles_are_found(self):
        self.assertEqual(self.count("co_await send(Message{id, payload});"), 1)
        self.assertEqual(self.count("auto r = co_await send({id, payload});"), 1)
        self.assertEqual(self.count("co_await send(std::vector<int>{1, 2}, 3);"), 1)
        self.assertEqual(self.count("co_await post(io, [this, x] { go(x); });"), 1)
        self.assertEqual(self.count("co_await post(io,\n    [&]() mutable { go(); });"), 1)
        self.assertEqual(self.count("if (co_await ready()) go();"), 1)
        self.assertEqual(self.count("while (n < 3 && !co_await ready()) ++n;"), 1)
        self.assertEqual(self.count("switch (co_await next()) { default: go(); }"), 1)

    def test_named_arguments_and_results_are_fine(self):
        self.assertEqual(self.count("const Message m{id, payload};\n  co_await send(m);"), 0)
        self.assertEqual(self.count("const auto go = [this] { run(); };\n  co_await post(go);"), 0)
        self.assertEqual(self.count("const bool ok = co_await ready();\n  if (ok) go();"), 0)
        self.assertEqual(self.count("co_await send(buffers[i], table[j](2));"), 0)
        self.assertEqual(self.count("if (open) {\n    co_await send(m);\n  } else { close(); }"), 0)


class Text(unittest.TestCase):
    def test_long_files_are_found(self):
        self.assertEqual(len(findings("fs/a.cc", "//\n" * 601)), 1)
        self.assertEqual(findings("fs/a.cc", "//\n" * 600), [])
        self.assertEqual(findings("swarm/big.txt", "x\n" * 601), [])

    def test_unfinished_business_and_private_paths_are_found(self):
        for line in ("TO" "DO: later", "# FIX" "ME", "cd /wo" "rk/main", "(/ro" "ot/x)",
                     '"/wo' 'rk"'):
            self.assertEqual(len(findings("README.md", line)), 1, line)
        for line in ("build/work", "$dir/root", "the pieces root", "mount/root.h", "/mnt/work"):
            self.assertEqual(findings("README.md", line), [], line)

    def test_a_header_says_what_it_is(self):
        self.assertEqual(len(findings("fs/a.h", "#pragma once\n")), 1)


class WholeTree(unittest.TestCase):
    def run_on(self, files):
        with tempfile.TemporaryDirectory() as top:
            for name, text in files.items():
                path = pathlib.Path(top, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            return subprocess.run([sys.executable, str(TOP / "scripts/check_arch.py"), top],
                                  capture_output=True, text=True)

    def test_a_bad_file_anywhere_fails_the_run_with_its_line(self):
        for name in ("fs/deep/down/a.cc", "swarm/engine/a.cc"):
            done = self.run_on({"CMakeLists.txt": "", name: "// x\n\n#include <fuse.h>\n"})
            self.assertEqual(done.returncode, 1)
            self.assertTrue(done.stdout.startswith(f"{name}:3: <fuse.h>"), done.stdout)

    def test_a_good_tree_passes_and_a_wrong_place_is_an_error(self):
        self.assertEqual(self.run_on({"CMakeLists.txt": "", "fs/a.h": "// x\n"}).returncode, 0)
        self.assertEqual(self.run_on({"fs/a.h": "// x\n"}).returncode, 2)


if __name__ == "__main__":
    unittest.main()
