#include "swarm/base/bencode.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <charconv>
#include <string>
#include <utility>

namespace swarmfs::bencode {
namespace {

Error bad(std::size_t offset, std::string_view what) {
  return fail(ErrorKind::bad_input,
              "bencode: " + std::string(what) + " at byte " + std::to_string(offset));
}

bool is_digit(std::uint8_t c) { return c >= '0' && c <= '9'; }

/// The end of the integer that starts with the 'i' at `at`, its form and range checked.
Result<std::size_t> integer_end(ByteView input, std::size_t at) {
  const std::string_view text = as_text(input);
  const std::size_t end = text.substr(0, std::min(text.size(), at + 22)).find('e', at);
  if (end == std::string_view::npos) return bad(at, "unterminated or too long integer");
  const std::string_view digits = text.substr(at + 1, end - at - 1);
  const std::string_view magnitude = digits.starts_with('-') ? digits.substr(1) : digits;
  if (magnitude.empty()) return bad(at, "integer without digits");
  if (magnitude.front() == '0' && digits.size() > 1) return bad(at, "integer not in shortest form");
  std::int64_t value = 0;
  const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error == std::errc::result_out_of_range) return bad(at, "integer beyond 64 bits");
  if (error != std::errc{} || stop != digits.data() + digits.size()) {
    return bad(at, "integer with a character that is no digit");
  }
  return end + 1;
}

struct StringExtent {
  std::uint32_t header;  ///< bytes of "<length>:"
  std::size_t end;
};

/// The extent of the string whose length starts at `at`, checked against the input's end.
Result<StringExtent> string_extent(ByteView input, std::size_t at) {
  std::size_t i = at;
  std::uint64_t length = 0;
  for (; i < input.size() && is_digit(input[i]); ++i) {
    length = length * 10 + (input[i] - std::uint64_t{'0'});
    if (length > input.size()) return bad(at, "string longer than the input");
  }
  if (i == input.size()) return bad(at, "unterminated string length");
  if (input[i] != ':') return bad(at, "string length without a colon");
  if (input[at] == '0' && i > at + 1) return bad(at, "string length with leading zero");
  ++i;
  if (length > input.size() - i) return bad(at, "string longer than the input");
  return StringExtent{static_cast<std::uint32_t>(i - at), i + length};
}

}  // namespace

Result<Document> Document::parse(ByteView input, const Limits& limits, std::size_t* consumed) {
  struct Open {
    std::uint32_t token;
    bool dict;
    bool has_key = false;  // a key has been read and its value has not
  };
  Document doc;
  doc.input_ = input;
  std::vector<Token>& tokens = doc.tokens_;
  std::vector<Open> open;
  std::size_t at = 0;
  do {
    if (at >= input.size()) return bad(at, "unexpected end");
    const std::uint8_t c = input[at];
    if (c == 'e') {
      if (open.empty()) return bad(at, "unexpected 'e'");
      if (open.back().has_key) return bad(at, "key without a value");
      Token& container = tokens[open.back().token];
      container.end = ++at;
      container.next = static_cast<std::uint32_t>(tokens.size());
      open.pop_back();
      continue;
    }
    if (!open.empty() && open.back().dict) {
      if (!open.back().has_key && !is_digit(c)) return bad(at, "key that is not a string");
      open.back().has_key = !open.back().has_key;
    }
    if (tokens.size() >= limits.tokens) return bad(at, "too many values");
    const auto index = static_cast<std::uint32_t>(tokens.size());
    if (c == 'i') {
      const Result<std::size_t> end = integer_end(input, at);
      if (!end) return end.error();
      tokens.push_back({at, *end, index + 1, 1, Type::integer});
      at = *end;
    } else if (is_digit(c)) {
      const Result<StringExtent> extent = string_extent(input, at);
      if (!extent) return extent.error();
      tokens.push_back({at, extent->end, index + 1, extent->header, Type::string});
      at = extent->end;
    } else if (c == 'l' || c == 'd') {
      if (open.size() >= limits.depth) return bad(at, "nesting too deep");
      tokens.push_back({at, at, index + 1, 1, c == 'd' ? Type::dict : Type::list});
      open.push_back({index, c == 'd'});
      ++at;
    } else {
      return bad(at, "unexpected character");
    }
  } while (!open.empty());
  if (consumed != nullptr) {
    *consumed = at;
  } else if (at != input.size()) {
    return bad(at, "bytes after the end");
  }
  return doc;
}

bool Node::is_integer() const {
  return doc_ && doc_->tokens_[token_].type == Document::Type::integer;
}
bool Node::is_string() const {
  return doc_ && doc_->tokens_[token_].type == Document::Type::string;
}
bool Node::is_list() const { return doc_ && doc_->tokens_[token_].type == Document::Type::list; }
bool Node::is_dict() const { return doc_ && doc_->tokens_[token_].type == Document::Type::dict; }

std::optional<std::int64_t> Node::integer() const {
  if (!is_integer()) return std::nullopt;
  const std::string_view text = as_text(raw());
  std::int64_t value = 0;
  std::from_chars(text.data() + 1, text.data() + text.size() - 1, value);
  return value;
}

std::optional<std::string_view> Node::string() const {
  if (!is_string()) return std::nullopt;
  return as_text(raw()).substr(doc_->tokens_[token_].header);
}

std::size_t Node::size() const {
  if (!is_list() && !is_dict()) return 0;
  const auto& tokens = doc_->tokens_;
  std::size_t count = 0;
  for (std::uint32_t t = token_ + 1; t < tokens[token_].next; t = tokens[t].next) ++count;
  return is_dict() ? count / 2 : count;
}

std::vector<Node> Node::items() const {
  std::vector<Node> out;
  if (!is_list()) return out;
  const auto& tokens = doc_->tokens_;
  for (std::uint32_t t = token_ + 1; t < tokens[token_].next; t = tokens[t].next) {
    out.push_back(Node(doc_, t));
  }
  return out;
}

std::vector<Node::Entry> Node::entries() const {
  std::vector<Entry> out;
  if (!is_dict()) return out;
  const auto& tokens = doc_->tokens_;
  for (std::uint32_t t = token_ + 1; t < tokens[token_].next;) {
    const Node value(doc_, t + 1);  // a key is one token
    out.push_back({*Node(doc_, t).string(), value});
    t = tokens[t + 1].next;
  }
  return out;
}

Node Node::find(std::string_view key) const {
  if (!is_dict()) return {};
  const auto& tokens = doc_->tokens_;
  for (std::uint32_t t = token_ + 1; t < tokens[token_].next; t = tokens[t + 1].next) {
    if (*Node(doc_, t).string() == key) return Node(doc_, t + 1);
  }
  return {};
}

bool Node::keys_ordered() const {
  const std::vector<Entry> all = entries();
  return std::adjacent_find(all.begin(), all.end(), [](const Entry& a, const Entry& b) {
           return a.key >= b.key;
         }) == all.end();
}

ByteView Node::raw() const {
  if (!doc_) return {};
  const Document::Token& token = doc_->tokens_[token_];
  return doc_->input_.subspan(token.begin, token.end - token.begin);
}

static void append_number(Bytes& out, std::int64_t value) {
  std::array<char, 24> digits;
  char* const end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  out.insert(out.end(), digits.data(), end);
}

Writer& Writer::integer(std::int64_t value) {
  out_.push_back('i');
  append_number(out_, value);
  out_.push_back('e');
  return *this;
}

Writer& Writer::string(std::string_view value) {
  append_number(out_, static_cast<std::int64_t>(value.size()));
  out_.push_back(':');
  append(out_, as_bytes(value));
  return *this;
}

Writer& Writer::key(std::string_view key) {
  assert(!open_.empty() && open_.back());
  assert(open_.back()->empty() || *open_.back() < key);
  *open_.back() = key;
  return string(key);
}

Writer& Writer::begin_list() {
  open_.push_back(std::nullopt);
  out_.push_back('l');
  return *this;
}

Writer& Writer::begin_dict() {
  open_.emplace_back(std::in_place);
  out_.push_back('d');
  return *this;
}

Writer& Writer::end() {
  assert(!open_.empty());
  open_.pop_back();
  out_.push_back('e');
  return *this;
}

Writer& Writer::raw(ByteView value) {
  append(out_, value);
  return *this;
}

Bytes Writer::take() {
  assert(open_.empty());
  return std::exchange(out_, {});
}

}  // namespace swarmfs::bencode
