// A web server and our engine's side of a web seed, both played by a test: answers are made from
// the torrent's content, unless the test says otherwise, and every block is compared with it.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "swarm/engine/message_framer.h"
#include "swarm/engine/web_seed.h"
#include "swarm/wire/extension.h"
#include "tests/support/test_metainfo.h"

namespace swarmfs::test {

class WebWorld final : public engine::WebSeedHost {
 public:
  using Bounds = std::optional<std::pair<std::uint64_t, std::uint64_t>>;
  struct Get {
    engine::WebLine line;
    std::string url;
    Bounds range;
  };
  struct Answer {
    wire::HttpHead head;
    Bytes body;
    bool cut = false;  ///< the connection ends with it, whole or not
  };

  explicit WebWorld(TestContent c, engine::WebSeedFiles::Kind kind = {},
                    const std::string& url = "http://web.example/pub/")
      : content(std::move(c)),
        files(std::make_shared<const engine::WebSeedFiles>(
            engine::WebSeedFiles::make(*content.metainfo, url, kind).value())),
        seed(files, memory, engine::Scope::global, "web seed http://web.example", *this) {
    seed.start(now);
    Bytes hello;
    wire::append_handshake(hello, {});
    wire::ExtensionHandshake mine;
    mine.ids.lt_donthave = 7;
    wire::append_extended(hello, wire::kExtensionHandshakeId, wire::encode(mine));
    seed.on_wire(hello, now);
  }

  /// The bytes of a file.
  Bytes file(std::uint32_t index) const {
    Bytes out;
    const std::uint64_t length = content.layout().files()[index].length;
    for (const Layout::Span& span : content.layout().spans(FileIndex(index), 0, length)) {
      const Bytes& piece = content.pieces[span.piece.value];
      out.insert(out.end(), piece.begin() + span.begin, piece.begin() + span.begin + span.length);
    }
    return out;
  }
  /// Which file a URL is, by our own list of them.
  std::optional<std::uint32_t> file_of(const std::string& url) const {
    for (std::uint32_t i = 0; i < content.metainfo->files.size(); ++i) {
      const auto& file = content.metainfo->files[i];
      if (!file.pad && file.length > 0 && url.ends_with("/" + file.path.back())) return i;
    }
    return std::nullopt;
  }

  static Answer status(unsigned code, const std::string& body = "") {
    Answer answer;
    answer.head.status = code;
    answer.head.content_length = body.size();
    answer.body.assign(body.begin(), body.end());
    return answer;
  }
  Answer part(std::uint32_t index, std::uint64_t first, std::uint64_t last) const {
    const Bytes all = file(index);
    Answer answer;
    answer.head.status = 206;
    answer.head.content_range = "bytes " + std::to_string(first) + "-" + std::to_string(last) +
                                "/" + std::to_string(all.size());
    answer.body.assign(all.begin() + static_cast<std::ptrdiff_t>(first),
                       all.begin() + static_cast<std::ptrdiff_t>(last) + 1);
    answer.head.content_length = answer.body.size();
    return answer;
  }
  Answer whole(std::uint32_t index) const {
    Answer answer;
    answer.head.status = 200;
    answer.body = file(index);
    answer.head.content_length = answer.body.size();
    return answer;
  }
  Answer right(const Get& get) const {
    const auto index = file_of(get.url);
    if (!index || !get.range) return status(404);
    return part(*index, get.range->first, get.range->second);
  }

  /// Opens what is to be opened, and answers all that is asked, until nothing is.
  void serve(const std::function<Answer(const Get&)>& speak = {}) {
    while (!opening.empty() || !gets.empty()) {
      open_all();
      if (gets.empty()) continue;
      const Get get = gets.front();
      gets.erase(gets.begin());
      answer(get, speak ? speak(get) : right(get));
    }
  }
  void open_all() {
    for (const engine::WebLine line : std::exchange(opening, {}))
      if (lines.contains(line)) seed.on_open(line, server, std::chrono::milliseconds(20), now);
  }
  void answer(const Get& get, const Answer& a) {
    if (!lines.contains(get.line)) return;
    seed.on_head(get.line, a.head, now);
    // In uneven parts, as a network does.
    for (std::size_t at = 0; at < a.body.size() && lines.contains(get.line);) {
      const std::size_t n = std::min<std::size_t>(1 + (at * 7 + 5000) % 9000, a.body.size() - at);
      seed.on_body(get.line, ByteView(a.body).subspan(at, n), now);
      at += n;
    }
    const bool short_of = a.head.content_length && *a.head.content_length > a.body.size();
    if (!short_of && lines.contains(get.line)) seed.on_end(get.line, a.head.keep_alive, now);
    if (a.cut && lines.contains(get.line)) lose(get.line);
  }
  void lose(engine::WebLine line, const std::string& why = "cut") {
    lines.erase(line);
    std::erase_if(gets, [&](const Get& get) { return get.line == line; });
    seed.on_lost(line, why, now);
  }

  void ask(std::vector<wire::BlockRef> blocks) {
    Bytes out;
    for (const wire::BlockRef& block : blocks)
      wire::append_block_ref(out, wire::MessageId::request, block);
    seed.on_wire(out, now);
  }
  void cancel(std::vector<wire::BlockRef> blocks) {
    Bytes out;
    for (const wire::BlockRef& block : blocks)
      wire::append_block_ref(out, wire::MessageId::cancel, block);
    seed.on_wire(out, now);
  }
  std::vector<wire::BlockRef> blocks_of(std::uint32_t piece) const {
    std::vector<wire::BlockRef> out;
    for (std::uint32_t b = 0; b < content.layout().block_count(PieceIndex(piece)); ++b)
      out.push_back(
          {PieceIndex(piece), b * kBlockSize, content.layout().block_size(PieceIndex(piece), b)});
    return out;
  }
  std::vector<wire::BlockRef> all_blocks() const {
    std::vector<wire::BlockRef> out;
    for (std::uint32_t p = 0; p < content.layout().piece_count(); ++p)
      for (const wire::BlockRef& block : blocks_of(p)) out.push_back(block);
    return out;
  }
  bool equals_source(const wire::BlockRef& block, ByteView bytes) const {
    const Bytes& piece = content.pieces[block.piece.value];
    return std::equal(bytes.begin(), bytes.end(), piece.begin() + block.begin,
                      piece.begin() + block.begin + block.length);
  }

  // --- engine::WebSeedHost
  void open(engine::WebLine line, const wire::Url& url, engine::Scope scope) override {
    opened.emplace_back(url.redacted(), scope);
    lines.insert(line);
    opening.push_back(line);
  }
  void get(engine::WebLine line, const wire::Url& url, Bounds range) override {
    gets.push_back({line, url.to_string(), range});
    asked.push_back(gets.back());
  }
  void close(engine::WebLine line) override {
    lines.erase(line);
    std::erase_if(gets, [&](const Get& get) { return get.line == line; });
    ++closed;
  }
  void ready(const Endpoint&, Duration) override { ++introduced; }
  void say(Bytes bytes) override {
    const auto fed = framer.feed(bytes, [this](ByteView frame, bool) {
      hear(frame);
      return true;
    });
    malformed = malformed || !fed;
  }
  void note(std::string line) override { notes.push_back(std::move(line)); }
  void ended(const engine::WebSeedEnd& why) override { end = why; }

  TestContent content;
  std::shared_ptr<const engine::WebSeedFiles> files;
  std::shared_ptr<engine::WebSeedMemory> memory = std::make_shared<engine::WebSeedMemory>();
  TimePoint now = TimePoint{} + std::chrono::hours(1);
  Endpoint server{IpAddress::v4({20, 0, 0, 1}), 80};

  std::set<engine::WebLine> lines;
  std::vector<engine::WebLine> opening;
  std::vector<Get> gets;   ///< not answered yet
  std::vector<Get> asked;  ///< ever
  std::vector<std::pair<std::string, engine::Scope>> opened;
  unsigned closed = 0, introduced = 0;
  std::map<wire::BlockRef, unsigned> came;  ///< blocks with the right bytes
  unsigned wrong = 0;                       ///< and with others
  std::set<wire::BlockRef> rejected;
  std::set<PieceIndex> lost;
  unsigned have_all = 0, unchokes = 0, hash_rejects = 0;
  Bytes bitfield;
  std::vector<std::string> notes;
  std::optional<engine::WebSeedEnd> end;
  bool malformed = false;
  engine::MessageFramer framer{false};
  engine::WebSeed seed;  ///< last: it calls the others from its start

 private:
  void hear(ByteView frame) {
    const auto message = wire::parse_message(frame);
    malformed = malformed || !message;
    if (!message) return;
    if (const auto* piece = std::get_if<wire::Piece>(&*message)) {
      const wire::BlockRef block{piece->piece, piece->begin,
                                 static_cast<std::uint32_t>(piece->data.size())};
      if (equals_source(block, piece->data)) {
        ++came[block];
      } else {
        ++wrong;
      }
    } else if (const auto* reject = std::get_if<wire::Reject>(&*message)) {
      rejected.insert(reject->block);
    } else if (const auto* bits = std::get_if<wire::Bitfield>(&*message)) {
      bitfield.assign(bits->bits.begin(), bits->bits.end());
    } else if (const auto* extended = std::get_if<wire::Extended>(&*message)) {
      if (extended->id == 7) lost.insert(wire::parse_piece(extended->payload).value());
    } else if (std::holds_alternative<wire::HaveAll>(*message)) {
      ++have_all;
    } else if (std::holds_alternative<wire::Unchoke>(*message)) {
      ++unchokes;
    } else if (std::holds_alternative<wire::HashReject>(*message)) {
      ++hash_rejects;
    }
  }
};

}  // namespace swarmfs::test
