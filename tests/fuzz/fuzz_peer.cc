// What a peer may send, from its first byte on: framer, parser and engine, with whole messages cut
// out of the input and with its raw bytes.
#include <cstdint>
#include <cstdlib>

#include "swarm/engine/torrent.h"
#include "tests/support/test_metainfo.h"

namespace {

using namespace swarmfs;
using namespace std::chrono_literals;

constexpr std::uint32_t kPiece = 2 * kBlockSize;

/// What hashing says of a piece, by its index.
constexpr metainfo::PieceCheck kChecks[] = {
    metainfo::PieceCheck::good, metainfo::PieceCheck::bad,  metainfo::PieceCheck::good,
    metainfo::PieceCheck::bad,  metainfo::PieceCheck::good, metainfo::PieceCheck::contradiction};

/// Answers what the engine asks of its host, later, from a list.
class Host final : public engine::TorrentHost {
 public:
  std::vector<std::pair<PeerId, wire::BlockRef>> blocks;
  std::vector<PieceIndex> hashing, storing, leaves;
  std::size_t sent = 0;

  void send(PeerId, Bytes bytes, SendOrder) override { sent += bytes.size(); }
  void send_block(PeerId peer, const wire::BlockRef& block) override {
    blocks.emplace_back(peer, block);
  }
  void disconnect(PeerId, std::string_view) override {}
  std::optional<PathRtt> path_rtt(PeerId) override { return std::nullopt; }
  void dial(const Endpoint&) override {}
  void hash_piece(PieceIndex piece, std::vector<BlockPtr>) override { hashing.push_back(piece); }
  void keep_block(PieceIndex, std::uint32_t, BlockPtr) override {}
  void keep_piece(PieceIndex piece, std::vector<BlockPtr>) override { storing.push_back(piece); }
  void forget_piece(PieceIndex) override {}
  void load_leaves(PieceIndex piece) override { leaves.push_back(piece); }
  void layer_learnt() override {}
  void read_ready(ReadId) override {}
  void read_failed(ReadId, Error) override {}
  void need_peers() override {}
  void log(int, std::string_view) override {}
};

const test::TestContent& content(unsigned which) {
  static const std::vector<std::uint64_t> kFiles{3 * kPiece + 5, 100, 2 * kPiece};
  static const test::TestContent all[] = {
      test::make_content(metainfo::Format::v1, kPiece, kFiles),
      test::make_content(metainfo::Format::v2, kPiece, kFiles),
      test::make_content(metainfo::Format::hybrid, kPiece, kFiles),
      test::without_layers(test::make_content(metainfo::Format::v2, kPiece, kFiles))};
  return all[which % 4];
}

struct Run {
  Run(const test::TestContent& c, bool seed)
      : torrent_content(c),
        torrent(std::make_shared<metainfo::PieceRoots>(c.metainfo), {}, host,
                seed ? c.all() : c.none(), 7) {}

  PeerId join(std::uint8_t n) {
    wire::Handshake h;
    h.info_hash = torrent_content.metainfo->hashes.primary();
    h.peer_id.fill(n);
    h.fast = h.extended = h.v2 = true;
    const Endpoint from{IpAddress::v4({20, 0, 0, n}), 7000};
    const auto id =
        torrent.add_peer(from, (n & 1) != 0 ? std::optional(h) : std::nullopt, 5ms, now);
    if (!id) return PeerId(0);
    if ((n & 1) == 0) {
      Bytes hello;
      wire::append_handshake(hello, h);
      torrent.on_received(*id, hello, now);
    }
    return *id;
  }
  void answer_host() {
    for (const auto& [peer, block] : std::exchange(host.blocks, {}))
      torrent.on_block_sent(peer, block, block.begin % 3 != 0, now);
    for (const PieceIndex piece : std::exchange(host.hashing, {}))
      torrent.on_piece_hashed(piece, kChecks[piece.value % 6], now);
    for (const PieceIndex piece : std::exchange(host.storing, {}))
      torrent.on_piece_stored(
          piece, piece.value == 2 ? Result<>(fail(ErrorKind::io, "")) : Result<>{}, now);
    for (const PieceIndex piece : std::exchange(host.leaves, {}))
      torrent.on_leaves(piece, torrent_content.leaves(piece), now);
  }

  const test::TestContent& torrent_content;
  Host host;
  TimePoint now = TimePoint{} + 1h;
  engine::Torrent torrent;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::uint8_t flags = data[0];
  Run run(content(flags & 3), (flags & 4) != 0);
  PeerId peers[] = {run.join(1), run.join(2)};
  run.torrent.add_read(ReadId(1), HandleId(1),
                       run.torrent_content.layout().spans(FileIndex(0), 10, 40'000), run.now);
  run.torrent.set_window(HandleId(1), {PieceIndex(1), PieceIndex(0xffffffff)}, run.now);
  // Records: a byte of what to do, a byte of length, then so many bytes of input.
  for (std::size_t at = 1; at + 2 <= size;) {
    const std::uint8_t what = data[at];
    const std::size_t length = std::min<std::size_t>(data[at + 1], size - at - 2);
    const swarmfs::ByteView bytes(data + at + 2, length);
    at += 2 + length;
    PeerId& peer = peers[what & 1];
    run.now += std::chrono::milliseconds(what);
    switch (what >> 1 & 7) {
      case 0:
        run.torrent.on_received(peer, bytes, run.now);
        break;
      case 1:
        run.torrent.on_closed(peer, run.now);
        peer = run.join(static_cast<std::uint8_t>(what));
        break;
      case 2:
        run.now += 3s;
        run.torrent.on_timer(run.now);
        break;
      case 3: {
        // A block with its right bytes, so that pieces are completed.
        if (length < 2) break;
        const swarmfs::PieceIndex piece(bytes[0] % run.torrent_content.layout().piece_count());
        const std::uint32_t block = bytes[1] % run.torrent_content.layout().block_count(piece);
        const auto right = run.torrent_content.block(piece, block);
        swarmfs::Bytes out;
        wire::append_piece_header(out, {piece, block * kBlockSize, right->size});
        append(out, right->view());
        run.torrent.on_received(peer, out, run.now);
        break;
      }
      case 4:
        run.answer_host();
        break;
      default: {
        swarmfs::Bytes out;
        append_be(out, static_cast<std::uint32_t>(length));
        append(out, bytes);
        run.torrent.on_received(peer, out, run.now);
      }
    }
    if (run.host.sent > 64u << 20) std::abort();  // no input of this size deserves that
  }
  run.answer_host();
  (void)run.torrent.stats(run.now);
  return 0;
}
