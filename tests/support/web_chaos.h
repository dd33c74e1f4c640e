// A web seed among whatever a server and an engine may do: driven by bytes, from a fuzzer or a
// random generator. What must hold whatever they are: no block with other bytes than the source's
// while the server sends right ones, each request answered once at most, and bounds kept.
#pragma once

#include <cstdlib>

#include "tests/support/web_world.h"

namespace swarmfs::test {

inline void web_chaos(ByteView input, const TestContent& content) {
  using engine::WebSeedFiles;
  WebWorld world(content);
  const auto blocks = world.all_blocks();
  std::size_t at = 0;
  const auto next = [&]() -> std::size_t { return at < input.size() ? input[at++] : 0; };
  const auto must = [](bool holds) {
    if (!holds) std::abort();
  };
  while (at < input.size()) {
    world.now += std::chrono::milliseconds(next() * 8);
    switch (next() % 8) {
      case 0:
      case 1: {
        std::vector<wire::BlockRef> some;
        const std::size_t first = next() * blocks.size() / 256;
        for (std::size_t b = first; b < std::min(blocks.size(), first + next() % 20); ++b)
          some.push_back(blocks[b]);
        world.ask(some);
        break;
      }
      case 2:
        world.cancel({blocks[next() * blocks.size() / 256]});
        break;
      case 3:
        world.open_all();
        break;
      case 4:
      case 5: {
        if (world.gets.empty()) break;
        const auto get = world.gets.front();
        world.gets.erase(world.gets.begin());
        WebWorld::Answer answer = world.right(get);
        switch (next() % 12) {
          case 0:
            answer = WebWorld::status(static_cast<unsigned>(100 + next() * 2), "words");
            answer.head.location = next() % 2 == 0 ? "/elsewhere/" + get.url.substr(23) : "//";
            answer.head.retry_after = "3";
            break;
          case 1:
            if (const auto file = world.file_of(get.url)) answer = world.whole(*file);
            break;
          case 2:
            answer.body.resize(answer.body.size() * next() / 256);
            answer.cut = true;
            break;
          case 3:
            answer.head.content_length.reset();
            answer.body.resize(answer.body.size() * next() / 256);
            break;
          case 4:
            answer.head.content_range = "bytes 1-2/3";
            break;
          case 5:
            answer.head.keep_alive = false;
            break;
          case 6:
            answer.cut = true;
            break;
          default:
            break;
        }
        world.answer(get, answer);
        break;
      }
      case 6:
        if (!world.lines.empty()) world.lose(*world.lines.begin());
        break;
      case 7: {
        // Bytes of any kind from the engine's side.
        Bytes body;
        for (std::size_t n = next() % 20; n > 0; --n)
          body.push_back(static_cast<std::uint8_t>(next()));
        Bytes out;
        append_be(out, static_cast<std::uint32_t>(body.size()));
        append(out, body);
        world.seed.on_wire(out, world.now);
        if (world.now >= world.seed.deadline()) world.seed.on_timer(world.now);
        break;
      }
    }
    must(world.wrong == 0);
    must(!world.malformed);
    must(world.lines.size() <= engine::WebSeed::kMaxLinesInAll);
    must(!world.end || world.lines.empty());
  }
  if (world.end || !world.memory->missing.empty()) return;
  // From now on the server behaves: everything comes.
  world.came.clear();
  world.ask(blocks);
  world.serve();
  must(world.end || world.came.size() == blocks.size());
}

/// Contents whose files do not end with their pieces.
inline const TestContent& chaos_content(unsigned which) {
  using metainfo::Format;
  static const std::vector<std::uint64_t> kFiles{300'000, 1, 70'000, 4 * kBlockSize, 9};
  static const TestContent all[] = {make_content(Format::v1, 4 * kBlockSize, kFiles),
                                    make_content(Format::v2, 4 * kBlockSize, kFiles),
                                    make_content(Format::hybrid, 4 * kBlockSize, kFiles)};
  return all[which % 3];
}

}  // namespace swarmfs::test
