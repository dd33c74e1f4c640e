#include "swarm/base/bencode.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

namespace swarmfs::bencode {
namespace {

bool accepts(std::string_view text) { return Document::parse(as_bytes(text)).has_value(); }

std::string error_of(std::string_view text, const Limits& limits = {}) {
  const auto doc = Document::parse(as_bytes(text), limits);
  return doc ? std::string() : doc.error().message;
}

TEST(Bencode, ReadsEveryType) {
  const std::string text = "d1:ai-42e1:bl3:xyz0:e1:cd1:di0eee";
  const auto doc = Document::parse(as_bytes(text));
  ASSERT_TRUE(doc);
  const Node root = doc->root();
  EXPECT_EQ(root.size(), 3u);
  EXPECT_EQ(root.find("a").integer(), -42);
  const auto items = root.find("b").items();
  ASSERT_EQ(items.size(), 2u);
  EXPECT_EQ(items[0].string(), "xyz");
  EXPECT_EQ(items[1].string(), "");
  EXPECT_EQ(root.find("c").find("d").integer(), 0);
  EXPECT_EQ(as_text(root.find("c").raw()), "d1:di0ee");
  EXPECT_EQ(as_text(root.find("b").raw()), "l3:xyz0:e");
  const auto entries = root.entries();
  ASSERT_EQ(entries.size(), 3u);
  EXPECT_EQ(entries[2].key, "c");
  EXPECT_TRUE(entries[2].value.is_dict());
}

TEST(Bencode, NullNodesAnswerNothing) {
  const auto doc = Document::parse(as_bytes("de"));
  ASSERT_TRUE(doc);
  const Node missing = doc->root().find("x").find("y");
  EXPECT_FALSE(missing);
  EXPECT_FALSE(missing.integer());
  EXPECT_FALSE(missing.string());
  EXPECT_EQ(missing.size(), 0u);
  EXPECT_TRUE(missing.items().empty());
  EXPECT_TRUE(missing.entries().empty());
  EXPECT_TRUE(missing.raw().empty());
}

TEST(Bencode, AcceptsTheWholeRangeOfIntegersAndNoMore) {
  for (const auto value :
       {std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()}) {
    const std::string text = "i" + std::to_string(value) + "e";
    const auto doc = Document::parse(as_bytes(text));
    ASSERT_TRUE(doc) << text;
    EXPECT_EQ(doc->root().integer(), value);
  }
  EXPECT_FALSE(accepts("i9223372036854775808e"));
  EXPECT_FALSE(accepts("i-9223372036854775809e"));
  EXPECT_FALSE(accepts("i99999999999999999999999999999e"));
}

TEST(Bencode, RefusesMalformedValues) {
  for (const char* text : {"",
                           "i",
                           "ie",
                           "i-e",
                           "i-0e",
                           "i00e",
                           "i01e",
                           "i-01e",
                           "i1",
                           "i+1e",
                           "i 1e",
                           "i1.0e",
                           "1",
                           "1:",
                           "2:a",
                           "01:a",
                           "00:",
                           "-1:a",
                           ":a",
                           "l",
                           "d",
                           "e",
                           "li1e",
                           "d1:a",
                           "d1:ae",
                           "di1ei2ee",
                           "dli1eei2ee",
                           "i1ei2e",
                           "lee",
                           "x",
                           "l-e",
                           "1x",
                           "99999999999999999999:a",
                           "18446744073709551617:a",
                           "4294967296:abc",
                           "d1:ai1e1:be"}) {
    EXPECT_FALSE(accepts(text)) << text;
  }
}

TEST(Bencode, ErrorsNameTheOffset) {
  EXPECT_NE(error_of("l3:abci01ee").find("at byte 6"), std::string::npos)
      << error_of("l3:abci01ee");
}

TEST(Bencode, BoundsDepthAndTokens) {
  const std::string deep(1'000'000, 'l');
  EXPECT_NE(error_of(deep).find("deep"), std::string::npos);
  EXPECT_TRUE(accepts(std::string(100, 'l') + std::string(100, 'e')));
  EXPECT_FALSE(accepts(std::string(101, 'l') + std::string(101, 'e')));
  EXPECT_NE(error_of("li1ei2ei3ee", {.depth = 5, .tokens = 3}).find("too many"), std::string::npos);
  EXPECT_EQ(error_of("li1ei2ee", {.depth = 5, .tokens = 3}), "");
}

TEST(Bencode, SaysHowManyBytesItConsumed) {
  const std::string text = "d1:ai1eepayload";
  std::size_t consumed = 0;
  const auto doc = Document::parse(as_bytes(text), {}, &consumed);
  ASSERT_TRUE(doc);
  EXPECT_EQ(text.substr(consumed), "payload");
  EXPECT_FALSE(accepts(text));
}

TEST(Bencode, SeesUnorderedAndRepeatedKeys) {
  const auto ordered = [](std::string_view text) {
    const auto doc = Document::parse(as_bytes(text));
    return doc && doc->root().keys_ordered();
  };
  EXPECT_TRUE(ordered("de"));
  EXPECT_TRUE(ordered("d1:ai1e2:aai1e1:bi1ee"));
  EXPECT_FALSE(ordered("d1:bi1e1:ai1ee"));
  EXPECT_FALSE(ordered("d1:ai1e1:ai1ee"));
  EXPECT_TRUE(ordered("d1:zi1e1:\xffi1ee"));  // bytes compare unsigned
}

TEST(Bencode, EveryTruncationIsRefused) {
  const std::string text = "d1:ai-42e1:bl3:xyz0:e1:cd1:di0eee";
  for (std::size_t n = 0; n < text.size(); ++n) EXPECT_FALSE(accepts(text.substr(0, n))) << n;
}

TEST(Bencode, WriterMakesWhatTheReaderReads) {
  Writer w;
  w.begin_dict().key("a").integer(-7).key("b").begin_list().string("x").string("").end();
  w.key("c").raw(as_bytes("d1:zi1ee")).end();
  const Bytes out = w.take();
  EXPECT_EQ(as_text(out), "d1:ai-7e1:bl1:x0:e1:cd1:zi1eee");
  EXPECT_TRUE(Document::parse(out));
}

}  // namespace
}  // namespace swarmfs::bencode
