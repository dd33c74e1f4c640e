// WebSeed: the engine's side, and which ranges are asked for.
#include "swarm/engine/web_seed.h"

#include <algorithm>

#include "swarm/base/bitfield.h"
#include "swarm/wire/extension.h"

namespace swarmfs::engine {

namespace {

constexpr std::size_t kPieceHeader = 13;
constexpr std::uint32_t kLongestBlock = 128 << 10;
/// What a connection must owe before another one is opened for what lies elsewhere.
constexpr std::uint64_t kWorthALine = 64 << 10;

}  // namespace

std::uint64_t WebSeed::Line::bytes() const {
  std::uint64_t sum = 0;
  for (const Range& range : flying) sum += range.length;
  return sum;
}

WebSeed::WebSeed(std::shared_ptr<const WebSeedFiles> files, std::shared_ptr<WebSeedMemory> memory,
                 Scope scope, std::string name, WebSeedHost& host)
    : files_(std::move(files)),
      memory_(std::move(memory)),
      scope_(scope),
      name_(std::move(name)),
      host_(host),
      framer_(true) {}

wire::Handshake WebSeed::handshake(const InfoHashes& hashes, const wire::ClientId& client) {
  wire::Handshake out;
  out.info_hash = hashes.primary();
  out.peer_id = client;
  out.extended = out.fast = true;
  return out;
}

void WebSeed::start(TimePoint) { open_line(files_->base(), scope_); }

void WebSeed::end(WebSeedEnd why) {
  if (std::exchange(ended_, true)) return;
  for (const auto& [id, line] : lines_) host_.close(id);
  lines_.clear();
  unsent_.clear();
  wanted_.clear();
  by_block_.clear();
  host_.ended(why);
}

// --- the engine's side

/// A piece of which some file is missing there is not to be had.
bool WebSeed::has(PieceIndex piece) const {
  if (memory_->missing.empty()) return true;
  const auto parts = files_->parts({piece, 0, files_->layout().piece_size(piece)});
  return std::none_of(parts.begin(), parts.end(), [&](const WebSeedFiles::Part& part) {
    return part.source && memory_->missing.contains(*part.source);
  });
}

void WebSeed::greet() {
  Bytes out;
  if (memory_->missing.empty()) {
    wire::append_plain(out, wire::MessageId::have_all);
  } else {
    Bitfield bits(files_->layout().piece_count());
    for (std::uint32_t i = 0; i < bits.size(); ++i)
      if (has(PieceIndex(i))) bits.set(PieceIndex(i));
    wire::append_bitfield(out, bits.to_wire());
  }
  wire::ExtensionHandshake mine;
  mine.version = name_;
  mine.reqq = kReqq;
  mine.upload_only = true;
  wire::append_extended(out, wire::kExtensionHandshakeId, wire::encode(mine));
  wire::append_plain(out, wire::MessageId::unchoke);
  host_.say(std::move(out));
}

void WebSeed::on_wire(ByteView bytes, TimePoint now) {
  if (ended_) return;
  const auto fed = framer_.feed(bytes, [&](ByteView frame, bool is_handshake) {
    return is_handshake || on_message(frame, now);
  });
  if (!fed) return end({fed.error().message, std::nullopt, false});
  drop_dead(now);
  send(now);
}

bool WebSeed::on_message(ByteView frame, TimePoint now) {
  const auto message = wire::parse_message(frame);
  if (!message) return true;
  if (const auto* request = std::get_if<wire::Request>(&*message)) {
    on_request(request->block);
  } else if (const auto* cancel = std::get_if<wire::Cancel>(&*message)) {
    on_cancel(cancel->block, now);
  } else if (const auto* hashes = std::get_if<wire::HashRequest>(&*message)) {
    Bytes out;
    wire::append_hash_ref(out, wire::MessageId::hash_reject, hashes->ref);
    host_.say(std::move(out));
  } else if (std::holds_alternative<wire::KeepAlive>(*message)) {
    Bytes out;
    wire::append_keep_alive(out);
    host_.say(std::move(out));
  } else if (const auto* extended = std::get_if<wire::Extended>(&*message)) {
    if (extended->id != wire::kExtensionHandshakeId) return true;
    const auto theirs = wire::parse_extension_handshake(extended->payload);
    if (theirs && theirs->ids.lt_donthave) dont_have_id_ = *theirs->ids.lt_donthave;
  }
  return true;
}

void WebSeed::reject(const wire::BlockRef& block) {
  Bytes out;
  wire::append_block_ref(out, wire::MessageId::reject, block);
  host_.say(std::move(out));
}

void WebSeed::on_request(const wire::BlockRef& block) {
  const Layout& layout = files_->layout();
  const bool valid = block.piece.value < layout.piece_count() && block.length > 0 &&
                     block.length <= kLongestBlock &&
                     std::uint64_t{block.begin} + block.length <= layout.piece_size(block.piece);
  if (!valid || wanted_.size() >= kMaxWanted || by_block_.contains(block)) return reject(block);
  const auto parts = files_->parts(block);
  for (const WebSeedFiles::Part& part : parts)
    if (part.source && memory_->missing.contains(*part.source)) return reject(block);
  const WantedId id = next_wanted_++;
  Wanted wanted{block, {}, 0};
  std::uint32_t at = kPieceHeader;
  for (const WebSeedFiles::Part& part : parts) {
    if (part.source) {
      unsent_.push_back({id, at, *part.source, part.offset, part.length});
      wanted.missing += part.length;
    }
    at += part.length;
  }
  wire::append_piece_header(wanted.message, block);
  wanted.message.resize(at);
  by_block_.emplace(block, id);
  wanted_.emplace(id, std::move(wanted));
  if (wanted_.at(id).missing == 0) hand_on(id);  // padding alone
}

void WebSeed::hand_on(WantedId id) {
  auto node = wanted_.extract(id);
  by_block_.erase(node.mapped().block);
  host_.say(std::move(node.mapped().message));
}

void WebSeed::on_cancel(const wire::BlockRef& block, TimePoint) {
  const auto it = by_block_.find(block);
  if (it == by_block_.end()) return;  // it is on its way, or was refused
  wanted_.erase(it->second);
  by_block_.erase(it);
  reject(block);  // BEP 6: each request is answered
}

// --- asking

/// Whether what is to be asked for had better go now.
bool WebSeed::worth_sending() const {
  std::uint64_t owed = 0;
  for (const auto& [id, line] : lines_) owed += line.bytes();
  if (owed == 0 || !last_asked_) return true;
  auto [source, end] = *last_asked_;
  std::uint64_t waiting = 0;
  for (const Segment& segment : unsent_) {
    if (segment.source != source || segment.offset != end) return true;
    end += segment.length;
    waiting += segment.length;
  }
  return waiting * 4 >= owed;
}

void WebSeed::send(TimePoint now) {
  std::erase_if(unsent_, [&](const Segment& segment) { return !alive(segment); });
  if (ended_ || !introduced_ || unsent_.empty() || !worth_sending()) return;
  while (!unsent_.empty()) {
    Range range = take_run();
    WebLine id;
    Line* const line = line_for(range, id);
    if (line == nullptr) {
      unsent_.insert(unsent_.begin(), range.segments.begin(), range.segments.end());
      return;
    }
    if (line->flying.empty()) line->heard = now;
    const std::uint64_t last = range.offset + range.length - 1;
    const wire::Url url = memory_->moved.contains(range.source)
                              ? memory_->moved.at(range.source).url
                              : files_->url(range.source, range.offset, last);
    range.url = url;
    last_asked_ = {range.source, last + 1};
    std::optional<std::pair<std::uint64_t, std::uint64_t>> bytes;
    if (files_->kind() == WebSeedFiles::Kind::files) bytes = {range.offset, last};
    line->flying.push_back(std::move(range));
    host_.get(id, url, bytes);
  }
}

/// The first of what is to be asked for, with all that follows it in the same source.
WebSeed::Range WebSeed::take_run() {
  Range range{unsent_.front().source, unsent_.front().offset, 0, {}, {}};
  while (!unsent_.empty()) {
    const Segment& next = unsent_.front();
    if (next.source != range.source || next.offset != range.offset + range.length) break;
    if (range.length > 0 && range.length + next.length > kMaxRange) break;
    range.length += next.length;
    range.segments.push_back(next);
    unsent_.pop_front();
  }
  return range;
}

WebSeed::Place WebSeed::place_of(const Range& range) const {
  const auto moved = memory_->moved.find(range.source);
  if (moved != memory_->moved.end()) return {moved->second.url, moved->second.scope};
  return {files_->base(), scope_};
}

/// The connection for a range: the one that brings what is before it, or the one that owes least.
/// Another is opened for what lies elsewhere. Nothing until one can take it.
WebSeed::Line* WebSeed::line_for(const Range& range, WebLine& best_id) {
  const Place place = place_of(range);
  const std::string origin = place.url.redacted();
  const std::size_t most = memory_->one_at_a_time ? 1 : kMaxPipelined;
  Line* best = nullptr;
  unsigned lines = 0;
  bool opening = false;
  bool continues = false;
  for (auto& [id, line] : lines_) {
    if (line.origin != origin) continue;
    ++lines;
    opening = opening || !line.open;
    if (!line.open || line.flying.size() >= most || continues) continue;
    const bool before = !line.flying.empty() && line.flying.back().source == range.source &&
                        line.flying.back().offset + line.flying.back().length == range.offset;
    if (best != nullptr && !before && line.bytes() >= best->bytes()) continue;
    best = &line;
    best_id = id;
    continues = before;
  }
  const bool crowded = best == nullptr || (!continues && best->bytes() >= kWorthALine);
  const unsigned allowed = one_line_ ? 1 : memory_->one_at_a_time ? kMaxLinesInAll : kMaxLines;
  if (!crowded || opening || lines >= allowed) return best;
  if (lines_.size() >= kMaxLinesInAll) {
    if (best != nullptr) return best;
    const auto idle = std::find_if(lines_.begin(), lines_.end(), [](const auto& entry) {
      return entry.second.open && entry.second.flying.empty();
    });
    if (idle == lines_.end()) return nullptr;
    drop_line(idle->first, true);
  }
  open_line(place.url, place.scope);
  return best;
}

void WebSeed::open_line(const wire::Url& url, Scope scope) {
  const WebLine id = next_line_;
  ++next_line_;
  Line line;
  line.origin = url.redacted();
  line.scope = scope;
  lines_.emplace(id, std::move(line));
  host_.open(id, url, scope);
}

// --- time

TimePoint WebSeed::deadline() const {
  TimePoint first = TimePoint::max();
  for (const auto& [id, line] : lines_)
    if (line.open && !line.flying.empty()) first = std::min(first, line.heard + kSilence);
  return first;
}

void WebSeed::on_timer(TimePoint now) {
  std::deque<WebLine> silent;
  for (const auto& [id, line] : lines_)
    if (line.open && !line.flying.empty() && now - line.heard >= kSilence) silent.push_back(id);
  for (const WebLine id : silent) trouble(id, "sends nothing", true, now);
}

void WebSeed::pardon(TimePoint now) {
  for (auto& [id, line] : lines_) line.heard = now;
}

}  // namespace swarmfs::engine
