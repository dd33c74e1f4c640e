// Bencoding (BEP 3): a bounded, zero-copy reader and an ordered writer.
//
// The reader keeps one flat token per value, so hostile depth or count costs bounded memory,
// and every node knows the exact bytes it was read from (info hashes need those).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "swarm/base/bytes.h"
#include "swarm/base/result.h"

namespace swarmfs::bencode {

struct Limits {
  std::size_t depth = 100;
  std::size_t tokens = 3'000'000;
};

class Document;

/// A value inside a Document: a cheap view, valid while the Document and its input live.
/// A default-constructed or not-found Node is null; every accessor on it answers "nothing".
class Node {
 public:
  Node() = default;
  explicit operator bool() const { return doc_ != nullptr; }
  bool is_integer() const;
  bool is_string() const;
  bool is_list() const;
  bool is_dict() const;
  std::optional<std::int64_t> integer() const;
  std::optional<std::string_view> string() const;
  /// Items of a list or entries of a dict, else 0.
  std::size_t size() const;
  /// Items of a list, in order; empty for anything else. O(n).
  std::vector<Node> items() const;
  struct Entry;
  /// Entries of a dict in the order they stand; empty for anything else. O(n).
  std::vector<Entry> entries() const;
  /// The value under a key of a dict (first match), or null. O(entries).
  Node find(std::string_view key) const;
  /// True when the keys of this dict ascend strictly, byte by byte.
  bool keys_ordered() const;
  /// The bytes this value was read from.
  ByteView raw() const;

 private:
  friend class Document;
  Node(const Document* doc, std::uint32_t token) : doc_(doc), token_(token) {}
  const Document* doc_ = nullptr;
  std::uint32_t token_ = 0;
};

struct Node::Entry {
  std::string_view key;
  Node value;
};

class Document {
 public:
  /// Reads one value. Bytes after it are an error, unless `consumed` is given: then it gets the
  /// length of the value (BEP 9 puts a payload behind a dict). `input` must outlive the Document.
  /// Errors (bad_input) name the offset. Leading zeros, "-0", integers beyond 64 bits, lengths
  /// past the end, non-string keys, depth and token limits are all refused.
  static Result<Document> parse(ByteView input, const Limits& limits = {},
                                std::size_t* consumed = nullptr);
  Node root() const { return Node(this, 0); }
  Document(Document&&) = default;
  Document& operator=(Document&&) = default;

 private:
  friend class Node;
  enum class Type : std::uint8_t { integer, string, list, dict };
  struct Token {
    std::uint64_t begin;   ///< offset of the value's first byte
    std::uint64_t end;     ///< offset past its last byte
    std::uint32_t next;    ///< token after this value and all inside it
    std::uint32_t header;  ///< bytes before a string's content
    Type type;
  };
  Document() = default;
  ByteView input_;
  std::vector<Token> tokens_;
};

/// Appends bencoded values to a buffer. Keys must be given in ascending order (asserted).
class Writer {
 public:
  Writer& integer(std::int64_t value);
  Writer& string(std::string_view value);
  Writer& string(ByteView value) { return string(as_text(value)); }
  Writer& key(std::string_view key);
  Writer& begin_list();
  Writer& begin_dict();
  Writer& end();
  /// Inserts bytes that already are one bencoded value.
  Writer& raw(ByteView value);
  /// The finished document; every begin must have met its end.
  Bytes take();

 private:
  Bytes out_;
  std::vector<std::optional<std::string>> open_;  ///< per open dict its last key; nullopt: list
};

}  // namespace swarmfs::bencode
