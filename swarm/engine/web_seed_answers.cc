// WebSeed: what servers answer, and what becomes of it.
#include <algorithm>
#include <utility>

#include "swarm/engine/web_seed.h"
#include "swarm/wire/extension.h"

namespace swarmfs::engine {

namespace {

bool is_redirect(unsigned status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

bool is_busy(unsigned status) { return status == 429 || status >= 500; }

std::string answered(unsigned status) { return "answered HTTP " + std::to_string(status); }

constexpr std::size_t kLongestNumber = 20;

}  // namespace

WebSeed::Line* WebSeed::find(WebLine id) {
  const auto it = lines_.find(id);
  return it == lines_.end() || ended_ ? nullptr : &it->second;
}

void WebSeed::on_open(WebLine id, const Endpoint& server, Duration rtt, TimePoint now) {
  Line* const line = find(id);
  if (line == nullptr) return;
  line->open = true;
  line->server = server;
  line->rtt = rtt;
  line->heard = now;
  if (!std::exchange(introduced_, true)) {
    host_.ready(server, rtt);
    greet();
  }
  send(now);
}

void WebSeed::on_head(WebLine id, const wire::HttpHead& head, TimePoint now) {
  Line* const line = find(id);
  if (line == nullptr) return;
  line->heard = now;
  if (line->flying.empty()) return trouble(id, "answered without being asked", true, now);
  line->skip = line->after = 0;
  if (is_redirect(head.status)) {
    redirected(*line, head);
  } else if (is_busy(head.status)) {
    return busy(*line, head);
  } else if (head.status != 200 && head.status != 206) {
    failed(*line, answered(head.status));
  } else if (!head.content_encoding.empty() && head.content_encoding != "identity") {
    failed(*line, "is sent compressed, although plain was asked for");
  } else if (head.status == 206) {
    take_part(*line, head);
  } else {
    take_whole(*line, head);
  }
  if (Line* const still = find(id); still != nullptr && still->body == Body::unwanted &&
                                    (!head.content_length || *head.content_length > kDrained)) {
    requeue(*still);
    drop_line(id, true);
  }
  send(now);
}

/// What is wrong with a 206; empty if nothing is.
std::string WebSeed::judge_range(const Range& range, const wire::HttpHead& head) const {
  const auto got = wire::parse_content_range(head.content_range);
  if (files_->kind() == WebSeedFiles::Kind::script) return "answered with a range";
  if (!got) return "answered without saying which bytes";
  if (got->total && *got->total != files_->size(range.source)) return "has another length there";
  if (got->first != range.offset || got->last >= range.offset + range.length)
    return "answered with other bytes than were asked for";
  const std::uint64_t length = got->last - got->first + 1;
  if (head.content_length && *head.content_length != length)
    return "answered with another number of bytes than it says";
  return "";
}

void WebSeed::take_part(Line& line, const wire::HttpHead& head) {
  const std::string wrong = judge_range(line.flying.front(), head);
  if (!wrong.empty()) return failed(line, wrong);
  line.body = Body::wanted;
  worked(line);
}

/// 200: the whole file, from a server that ignores ranges; or what a script was asked for.
void WebSeed::take_whole(Line& line, const wire::HttpHead& head) {
  const Range& range = line.flying.front();
  const bool script = files_->kind() == WebSeedFiles::Kind::script;
  const std::uint64_t whole = script ? range.length : files_->size(range.source);
  std::string wrong;
  if (head.content_length && *head.content_length != whole) {
    wrong = script ? "answered with another number of bytes than was asked for"
                   : "has another length there";
  } else if (!script && range.offset > kNear) {
    wrong = "cannot be had in parts: the server ignores ranges";
  }
  if (!wrong.empty()) return failed(line, wrong);
  line.body = Body::wanted;
  line.skip = script ? 0 : range.offset;
  line.after = script ? 0 : whole - range.offset - range.length;
  worked(line);
}

void WebSeed::worked(const Line& line) {
  const auto moved = memory_->moved.find(line.flying.front().source);
  if (moved != memory_->moved.end()) moved->second.worked = true;
}

void WebSeed::redirected(Line& line, const wire::HttpHead& head) {
  const Range& range = line.flying.front();
  const auto known = memory_->moved.find(range.source);
  // Of several requests that were on their way, the first has said so.
  const bool news = known == memory_->moved.end() || known->second.url == range.url;
  if (news)
    if (const std::string wrong = follow(line, head); !wrong.empty()) return failed(line, wrong);
  ask_again(line);
}

/// Remembers where a redirect leads; or what is wrong with it.
std::string WebSeed::follow(const Line& line, const wire::HttpHead& head) {
  const Range& range = line.flying.front();
  const auto known = memory_->moved.find(range.source);
  const unsigned hops = known == memory_->moved.end() ? 1 : known->second.hops + 1;
  if (files_->kind() == WebSeedFiles::Kind::script) return "redirects, which such seeds do not";
  const auto next = range.url.resolve(head.location);
  if (head.location.empty() || !next || next->scheme == "udp") return "redirects to a bad URL";
  if (range.url.scheme == "https" && next->scheme != "https")
    return "redirects from https to http: refused";
  if (hops > kMaxHops) return "redirects too often";
  const Scope scope = scope_after(line.scope, line.server.address);
  memory_->moved.insert_or_assign(range.source, WebSeedMemory::Moved{*next, scope, hops, false});
  return "";
}

/// What the answer should have brought is asked for once more.
void WebSeed::ask_again(Line& line) {
  const std::deque<Segment> again = std::exchange(line.flying.front().segments, {});
  refuse(line);
  unsent_.insert(unsent_.begin(), again.begin(), again.end());
  last_asked_.reset();
}

void WebSeed::busy(Line& line, const wire::HttpHead& head) {
  // BEP 17 has the seconds in the body.
  const bool in_body = head.status == 503 && head.retry_after.empty() && head.content_length &&
                       *head.content_length <= kLongestNumber &&
                       files_->kind() == WebSeedFiles::Kind::script;
  if (!in_body)
    return end({answered(head.status), wire::parse_retry_after(head.retry_after), false});
  line.body = Body::seconds;
  line.text.clear();
}

/// What comes of the answer is not wanted.
void WebSeed::refuse(Line& line) {
  Range& range = line.flying.front();
  range.segments.clear();
  range.length = 0;
  line.body = Body::unwanted;
}

/// The file is not to be had; unless it was where it had once been redirected to, which is then
/// looked for anew.
void WebSeed::failed(Line& line, const std::string& why) {
  const Range& range = line.flying.front();
  const WebSource source = range.source;
  const auto moved = memory_->moved.find(source);
  const bool was_moved = files_->kind() == WebSeedFiles::Kind::files &&
                         range.url != files_->url(source, range.offset, range.offset);
  if (was_moved && (moved == memory_->moved.end() || moved->second.worked)) {
    if (moved != memory_->moved.end()) memory_->moved.erase(moved);
    return ask_again(line);
  }
  refuse(line);
  lose(source, why);
}

void WebSeed::on_body(WebLine id, ByteView bytes, TimePoint now) {
  Line* const line = find(id);
  if (line == nullptr || bytes.empty()) return;
  line->heard = now;
  rate_.add(bytes.size(), now);
  if (line->body == Body::seconds && line->text.size() < kLongestNumber)
    line->text += as_text(bytes);
  if (line->body != Body::wanted) return;
  const auto skipped = static_cast<std::size_t>(std::min<std::uint64_t>(line->skip, bytes.size()));
  line->skip -= skipped;
  const ByteView rest = deliver(*line, bytes.subspan(skipped));
  if (line->flying.front().length > 0) return;
  // All that was asked for is here; much more of the file is not worth waiting for.
  if (rest.size() <= line->after && line->after <= kDrained) {
    line->after -= rest.size();
    return;
  }
  line->flying.pop_front();
  requeue(*line);
  drop_line(id, true);
  send(now);
}

/// Gives what belongs to the range at the front where it belongs; and back what does not.
ByteView WebSeed::deliver(Line& line, ByteView bytes) {
  Range& range = line.flying.front();
  while (!bytes.empty() && range.length > 0) {
    Segment& segment = range.segments.front();
    const auto n =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(bytes.size(), segment.length));
    if (const auto it = wanted_.find(segment.wanted); it != wanted_.end()) {
      std::copy_n(bytes.begin(), n, it->second.message.begin() + segment.at);
      it->second.missing -= n;
      if (it->second.missing == 0) hand_on(it->first);
    }
    bytes = bytes.subspan(n);
    segment.at += n;
    segment.offset += n;
    segment.length -= n;
    range.offset += n;
    range.length -= n;
    if (segment.length == 0) range.segments.pop_front();
    line.delivered = true;
    memory_->brought += n;
    failures_ = 0;
  }
  return bytes;
}

void WebSeed::on_end(WebLine id, bool kept, TimePoint now) {
  Line* const line = find(id);
  if (line == nullptr || line->flying.empty()) return;
  line->heard = now;
  if (line->body == Body::seconds)
    return end({answered(503), wire::parse_retry_after(line->text), false});
  // A 206 may bring less than was asked for; the rest is asked for again.
  if (line->body == Body::wanted && line->flying.front().length > 0) {
    if (!line->delivered) return trouble(id, "sends less than it was asked for", true, now);
    const auto& rest = line->flying.front().segments;
    unsent_.insert(unsent_.begin(), rest.begin(), rest.end());
    last_asked_.reset();
  }
  line->flying.pop_front();
  line->body = Body::none;
  const bool first = !std::exchange(line->answered, true);
  if (!kept) {
    memory_->one_at_a_time = memory_->one_at_a_time || first;
    requeue(*line);
    drop_line(id, true);
  }
  send(now);
}

void WebSeed::on_lost(WebLine id, const std::string& why, TimePoint now) {
  Line* const line = find(id);
  if (line == nullptr) return;
  if (!line->open) {
    drop_line(id, false);
    one_line_ = true;  // the others may be all that it allows
    if (!introduced_ || ++failures_ >= kMaxFailures) return end({why, std::nullopt, false});
    return send(now);
  }
  // A server may close a connection that it owes nothing on, or after so many answers.
  const bool fair = line->body == Body::none && (line->flying.empty() || line->answered);
  if (!fair) return trouble(id, why, false, now);
  requeue(*line);
  drop_line(id, false);
  send(now);
}

/// What a connection owes is to be asked for again.
void WebSeed::requeue(Line& line) {
  std::deque<Segment> owed;
  for (const Range& range : line.flying)
    for (const Segment& segment : range.segments)
      if (alive(segment)) owed.push_back(segment);
  line.flying.clear();
  unsent_.insert(unsent_.begin(), owed.begin(), owed.end());
  last_asked_.reset();
}

void WebSeed::drop_line(WebLine id, bool close) {
  if (close) host_.close(id);
  lines_.erase(id);
}

/// A connection failed. It is made anew, unless that has failed too often without a byte.
void WebSeed::trouble(WebLine id, const std::string& why, bool close, TimePoint now) {
  Line* const line = find(id);
  if (line == nullptr) return;
  if (!line->delivered) ++failures_;
  requeue(*line);
  drop_line(id, close);
  if (failures_ >= kMaxFailures) return end({why, std::nullopt, false});
  send(now);
}

/// A file that is not to be had, or not in parts: the engine hears of its pieces.
void WebSeed::lose(WebSource source, const std::string& why) {
  if (!memory_->missing.emplace(source, why).second || ended_) return;
  if (memory_->missing.size() <= kHopeless)
    host_.note((files_->kind() == WebSeedFiles::Kind::files ? "file " : "piece ") +
               std::to_string(source.value) + " " + why);
  const bool hopeless = memory_->brought == 0 && memory_->missing.size() >= kHopeless;
  const auto pieces = files_->pieces_of(source);
  const bool all = pieces.first.value == 0 && pieces.end.value == files_->layout().piece_count();
  if (hopeless || all) return end({why, std::nullopt, true});
  std::vector<wire::BlockRef> refused;
  for (const auto& [block, id] : by_block_)
    if (!has(block.piece)) refused.push_back(block);
  for (const wire::BlockRef& block : refused) {
    wanted_.erase(by_block_.at(block));
    by_block_.erase(block);
    reject(block);
  }
  if (dont_have_id_ == 0) return;
  Bytes out;
  for (PieceIndex piece = pieces.first; piece < pieces.end; ++piece)
    wire::append_extended(out, dont_have_id_, wire::encode_piece(piece));
  host_.say(std::move(out));
}

/// A connection on which too much comes that nobody wants any more is cheaper made anew.
void WebSeed::drop_dead(TimePoint now) {
  std::vector<WebLine> dead;
  for (auto& [id, line] : lines_) {
    std::uint64_t junk = 0;
    bool live = false;
    for (const Range& range : line.flying)
      for (const Segment& segment : range.segments) {
        live = live || alive(segment);
        if (!live) junk += segment.length;
      }
    const double trip = rate_.bps(now) * to_seconds(line.rtt);
    if (static_cast<double>(junk) > std::max<double>(kDrained, trip)) dead.push_back(id);
  }
  for (const WebLine id : dead) {
    requeue(lines_.at(id));
    drop_line(id, true);
  }
}

}  // namespace swarmfs::engine
