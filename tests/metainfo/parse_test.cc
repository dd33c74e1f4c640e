// What parse() refuses, repairs and accepts, field by field.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fixtures.h"
#include "swarm/base/bencode.h"
#include "swarm/metainfo/merkle.h"
#include "swarm/metainfo/metainfo.h"

namespace swarmfs::metainfo {
namespace {

using fixtures::joined;
using testing::HasSubstr;

std::string str(std::string_view text) {
  return std::to_string(text.size()) + ":" + std::string(text);
}
std::string num(std::int64_t n) { return "i" + std::to_string(n) + "e"; }
std::string list(std::initializer_list<std::string> items) {
  std::string out = "l";
  for (const std::string& item : items) out += item;
  return out + "e";
}
using Dict = std::map<std::string, std::string>;  // values already bencoded
std::string dict(const Dict& entries) {
  std::string out = "d";
  for (const auto& [key, value] : entries) out += str(key) + value;
  return out + "e";
}
std::string hashes(std::size_t n) { return str(std::string(20 * n, 'h')); }

std::string v1_file(std::string path, std::int64_t length, std::string attr = "") {
  Dict d{{"path", std::move(path)}, {"length", num(length)}};
  if (!attr.empty()) d["attr"] = str(attr);
  return dict(d);
}
std::string path(std::initializer_list<std::string_view> parts) {
  std::string out = "l";
  for (const std::string_view part : parts) out += str(part);
  return out + "e";
}

Dict v1_single() {
  return {{"name", str("n")},
          {"piece length", num(16384)},
          {"length", num(20'000)},
          {"pieces", hashes(2)}};
}
Dict v1_multi(std::string files, std::size_t pieces) {
  return {{"name", str("n")},
          {"piece length", num(16384)},
          {"files", std::move(files)},
          {"pieces", hashes(pieces)}};
}
std::string v2_file(std::int64_t length, std::string root = std::string(32, 'r')) {
  Dict d{{"length", num(length)}};
  if (!root.empty()) d["pieces root"] = str(root);
  return dict({{"", dict(d)}});
}
Dict v2_of(std::string tree) {
  return {{"name", str("n")},
          {"piece length", num(16384)},
          {"meta version", num(2)},
          {"file tree", std::move(tree)}};
}

Result<Metainfo> parse_dict(const Dict& info, Dict top = {}) {
  top["info"] = dict(info);
  const std::string torrent = dict(top);
  return parse(as_bytes(torrent));
}
std::string error_of(const Dict& info, const Dict& top = {}) {
  const auto m = parse_dict(info, top);
  return m ? "accepted" : m.error().message;
}
Dict with(Dict info, const std::string& key, std::string value) {
  info[key] = std::move(value);
  return info;
}
Dict without(Dict info, const std::string& key) {
  info.erase(key);
  return info;
}

TEST(ParseV1, RefusesWhatIsMissingOrOutOfRange) {
  EXPECT_EQ(error_of(v1_single()), "accepted");
  EXPECT_THAT(error_of(without(v1_single(), "name")), HasSubstr("info.name"));
  EXPECT_THAT(error_of(with(v1_single(), "name", str(""))), HasSubstr("info.name"));
  EXPECT_THAT(error_of(with(v1_single(), "name", num(1))), HasSubstr("info.name"));
  EXPECT_THAT(error_of(without(v1_single(), "length")), HasSubstr("info.length"));
  EXPECT_THAT(error_of(with(v1_single(), "length", num(-1))), HasSubstr("info.length: negative"));
  EXPECT_THAT(error_of(with(v1_single(), "length", num(INT64_MAX))), HasSubstr("info.length"));
  EXPECT_THAT(error_of(with(v1_single(), "length", num(0))), HasSubstr("content"));
  for (const std::int64_t n :
       {std::int64_t{0}, std::int64_t{-1}, std::int64_t{1} << 31, INT64_MAX, INT64_MIN}) {
    EXPECT_THAT(error_of(with(v1_single(), "piece length", num(n))),
                HasSubstr("info.piece length"));
  }
  EXPECT_THAT(error_of(without(v1_single(), "pieces")), HasSubstr("info.pieces"));
  EXPECT_THAT(error_of(with(v1_single(), "pieces", str(std::string(39, 'h')))), HasSubstr("20"));
  EXPECT_THAT(error_of(with(v1_single(), "pieces", hashes(3))), HasSubstr("info.pieces"));
  EXPECT_THAT(error_of(with(v1_single(), "pieces", num(2))), HasSubstr("info.pieces"));
  EXPECT_THAT(error_of(with(v1_single(), "meta version", num(3))), HasSubstr("meta version"));
  EXPECT_THAT(error_of(with(v1_single(), "meta version", str("2"))), HasSubstr("meta version"));
  EXPECT_THAT(error_of(with(v1_single(), "files", num(2))), HasSubstr("info.files"));
}

TEST(ParseV1, RefusesMoreThanTwoToThe21Pieces) {
  Dict info = v1_single();
  info["piece length"] = num(1);
  info["length"] = num((1 << 21) + 1);
  info["pieces"] = hashes((1 << 21) + 1);
  EXPECT_THAT(error_of(info), HasSubstr("larger than its pieces"));
  info["length"] = num(1 << 21);
  info["pieces"] = hashes(1 << 21);
  EXPECT_EQ(error_of(info), "accepted");
}

TEST(ParseV1, RefusesMalformedFileLists) {
  const auto with_file = [](std::string file) {
    return error_of(v1_multi(list({std::move(file)}), 1));
  };
  EXPECT_EQ(with_file(v1_file(path({"a"}), 10)), "accepted");
  EXPECT_THAT(with_file(num(1)), HasSubstr("info.files[0]"));
  EXPECT_THAT(with_file(v1_file(num(1), 10)), HasSubstr("info.files[0].path"));
  EXPECT_THAT(with_file(v1_file(list({num(1)}), 10)), HasSubstr("info.files[0].path"));
  EXPECT_THAT(with_file(v1_file(path({"a"}), -5)), HasSubstr("info.files[0].length"));
  EXPECT_THAT(with_file(dict({{"path", path({"a"})}})), HasSubstr("info.files[0].length"));
  std::string deep = "l";
  for (int i = 0; i < 101; ++i) deep += "1:a";
  EXPECT_THAT(with_file(v1_file(deep + "e", 10)), HasSubstr("100"));
  // Two lengths that overflow together.
  const std::int64_t half = std::int64_t{kMaxPieces} * 16384;
  EXPECT_THAT(error_of(v1_multi(list({v1_file(path({"a"}), half), v1_file(path({"b"}), half)}), 1)),
              HasSubstr("info.files[1].length"));
  EXPECT_THAT(error_of(v1_multi("le", 0)), HasSubstr("content"));
}

TEST(ParseV1, HashesTheInfoDictionaryAsItStands) {
  // Keys out of order and an unknown one: a re-encode would give another hash.
  const std::string info =
      "d6:pieces20:hhhhhhhhhhhhhhhhhhhh4:name1:n6:lengthi5e12:piece lengthi16384e1:ai1ee";
  const std::string torrent = "d4:info" + info + "e";
  const auto m = parse(as_bytes(torrent));
  ASSERT_TRUE(m) << m.error().message;
  EXPECT_EQ(*m->hashes.v1, sha1(as_bytes(info)));
  EXPECT_EQ(as_text(m->info), info);
}

TEST(ParseV1, MakesNamesSafe) {
  const auto m = parse_dict(with(
      v1_multi(list({v1_file(path({"..", "..", "etc", "passwd"}), 1), v1_file(path({"/abs"}), 1),
                     v1_file(path({"a"}), 1), v1_file(path({"a"}), 1), v1_file(path({"a", "b"}), 1),
                     v1_file(path({"..", "."}), 1), v1_file(path({}), 1)}),
               1),
      "name", str("../up")));
  ASSERT_TRUE(m) << m.error().message;
  EXPECT_EQ(m->name, ".._up");
  std::vector<std::string> paths;
  for (const File& f : m->files) paths.push_back(joined(f.path));
  EXPECT_THAT(paths, testing::ElementsAre("etc/passwd", "_abs", "a", "a.1", "a.2/b", "_", "_.1"));
}

TEST(ParseV1, ANameOfDotsBecomesTheInfoHash) {
  const auto m = parse_dict(with(v1_single(), "name", str("..")));
  ASSERT_TRUE(m);
  EXPECT_EQ(m->name.size(), 40u);
  EXPECT_EQ(m->files[0].path, std::vector<std::string>{m->name});
}

TEST(ParseV1, PrefersTheUtf8SpellingsOfNames) {
  const std::string file =
      dict({{"length", num(5)}, {"path", path({"old"})}, {"path.utf-8", path({"new"})}});
  const auto m = parse_dict(with(v1_multi(list({file}), 1), "name.utf-8", str("better")));
  ASSERT_TRUE(m);
  EXPECT_EQ(m->name, "better");
  EXPECT_EQ(joined(m->files[0].path), "new");
}

TEST(ParseV1, ReadsAttributes) {
  const std::string link = dict({{"attr", str("l")},
                                 {"length", num(0)},
                                 {"path", path({"link"})},
                                 {"symlink path", path({"..", "d", "real"})}});
  const auto m = parse_dict(v1_multi(
      list({v1_file(path({"d", "real"}), 10, "x"), v1_file(path({".pad", "6"}), 6, "p"), link}),
      1));
  ASSERT_TRUE(m) << m.error().message;
  EXPECT_TRUE(m->files[0].executable);
  EXPECT_TRUE(m->files[1].pad);
  EXPECT_TRUE(m->layout.files()[1].pad);
  EXPECT_EQ(m->layout.content_size(), 10u);
  EXPECT_EQ(joined(m->files[2].symlink), "d/real");
}

TEST(ParseV1, RefusesLinksThatLeadNowhere) {
  const auto with_target = [](std::string target) {
    const std::string link =
        dict({{"attr", str("l")}, {"path", path({"link"})}, {"symlink path", std::move(target)}});
    return error_of(v1_multi(list({v1_file(path({"a"}), 10), link}), 1));
  };
  EXPECT_EQ(with_target(path({"a"})), "accepted");
  EXPECT_THAT(with_target(path({"..", ".."})), HasSubstr("symlink path"));
  EXPECT_THAT(with_target(path({})), HasSubstr("symlink path"));
  EXPECT_THAT(with_target(str("/etc/passwd")), HasSubstr("symlink path"));
}

TEST(ParseV1, LinkTargetsCountFromTheRootOrElseFromTheLink) {
  const auto link = [](std::string where, std::string target) {
    return dict(
        {{"attr", str("l")}, {"path", std::move(where)}, {"symlink path", std::move(target)}});
  };
  const auto m = parse_dict(v1_multi(
      list({v1_file(path({"d", "real"}), 10), link(path({"d", "one"}), path({"d", "real"})),
            link(path({"d", "two"}), path({"real"})),
            link(path({"d", "e", "3"}), path({"..", "real"})), link(path({"folder"}), path({"d"})),
            link(path({"gone"}), path({"..", "x"}))}),
      1));
  ASSERT_TRUE(m) << m.error().message;
  for (const std::size_t i : {1u, 2u, 3u}) EXPECT_EQ(joined(m->files[i].symlink), "d/real") << i;
  EXPECT_EQ(joined(m->files[4].symlink), "d");
  EXPECT_EQ(joined(m->files[5].symlink), "x");
}

TEST(ParseV2, RefusesWhatIsMissingOrOutOfRange) {
  const std::string tree = dict({{"a", v2_file(10)}});
  EXPECT_EQ(error_of(v2_of(tree)), "accepted");
  EXPECT_THAT(error_of(without(v2_of(tree), "file tree")), HasSubstr("file tree"));
  EXPECT_THAT(error_of(v2_of(num(1))), HasSubstr("file tree"));
  for (const std::int64_t n : {8192, 16383, 49152, 0, -16384}) {
    EXPECT_THAT(error_of(with(v2_of(tree), "piece length", num(n))), HasSubstr("piece length"));
  }
  const auto with_file = [](std::string file) {
    return error_of(v2_of(dict({{"a", std::move(file)}})));
  };
  EXPECT_THAT(with_file(num(1)), HasSubstr("file tree.a"));
  EXPECT_THAT(with_file(dict({{"", num(1)}})), HasSubstr("file tree.a"));
  EXPECT_THAT(with_file(v2_file(-1)), HasSubstr("a.length: negative"));
  EXPECT_THAT(with_file(v2_file(INT64_MAX)), HasSubstr("a.length"));
  EXPECT_THAT(with_file(v2_file(10, "short")), HasSubstr("pieces root"));
  EXPECT_THAT(with_file(v2_file(10, "")), HasSubstr("pieces root"));
  EXPECT_THAT(with_file(v2_file(0, "")), HasSubstr("content"));
  const std::string both = dict({{"", dict({{"length", num(0)}})}, {"b", v2_file(1)}});
  EXPECT_THAT(with_file(both), HasSubstr("a file and a folder"));
  EXPECT_THAT(error_of(v2_of(v2_file(10))), HasSubstr("a file and a folder"));
}

TEST(ParseV2, CountsEveryFileInWholePieces) {
  std::string tree = "d";
  const std::int64_t half = (std::int64_t{kMaxPieces} / 2) * 16384;
  tree += str("a") + v2_file(half - 1) + str("b") + v2_file(half);
  EXPECT_EQ(error_of(v2_of(tree + "e")), "accepted");
  EXPECT_THAT(error_of(v2_of(tree + str("c") + v2_file(1) + "e")), HasSubstr("c.length"));
}

TEST(ParseV2, RefusesUnorderedOrRepeatedNames) {
  EXPECT_THAT(error_of(v2_of("d" + str("b") + v2_file(1) + str("a") + v2_file(1) + "e")),
              HasSubstr("out of order"));
  EXPECT_THAT(error_of(v2_of("d" + str("a") + v2_file(1) + str("a") + v2_file(1) + "e")),
              HasSubstr("out of order"));
}

TEST(ParseV2, ChecksPieceLayersAgainstTheirRoots) {
  const merkle::Hashes layer = {sha256(as_bytes("1")), sha256(as_bytes("2")),
                                sha256(as_bytes("3"))};
  const Sha256Hash root = merkle::root(layer, 0, 2);
  const std::string root_text(as_text(root));
  std::string bytes;
  for (const Sha256Hash& h : layer) bytes += as_text(h);
  const Dict info =
      v2_of(dict({{"a", v2_file(40'000, root_text)}, {"b", v2_file(40'000, root_text)}}));
  const auto layers = [](Dict entries) { return Dict{{"piece layers", dict(entries)}}; };

  const auto m = parse_dict(info, layers({{root_text, str(bytes)}}));
  ASSERT_TRUE(m) << m.error().message;
  EXPECT_EQ(m->piece_roots[1], layer[1]);
  EXPECT_EQ(m->piece_roots[5], layer[2]);  // identical files share a root

  std::string wrong = bytes;
  wrong[40] = static_cast<char>(wrong[40] ^ 1);
  EXPECT_THAT(error_of(info, layers({{root_text, str(wrong)}})), HasSubstr("does not hash"));
  EXPECT_THAT(error_of(info, layers({{root_text, str(bytes.substr(32))}})), HasSubstr("size"));
  EXPECT_THAT(error_of(info, layers({{root_text, str(bytes + bytes)}})), HasSubstr("size"));
  EXPECT_THAT(error_of(info, layers({{root_text, num(1)}})), HasSubstr("piece layers"));
  EXPECT_THAT(error_of(info, layers({{"short", str(bytes)}})), HasSubstr("32 bytes"));
  EXPECT_THAT(error_of(info, layers({{root_text, str(bytes)}, {std::string(32, 'u'), str(bytes)}})),
              HasSubstr("belongs to no file"));
  EXPECT_THAT(error_of(info, {{"piece layers", num(1)}}), HasSubstr("piece layers"));
  const auto lacking = parse_dict(info);
  ASSERT_TRUE(lacking);
  EXPECT_FALSE(lacking->piece_roots[0]);
}

/// A hybrid of a.bin (20,000 bytes), a pad, and b.bin (5 bytes); the arguments vary its v1 side.
Dict hybrid(const std::string& files, std::size_t pieces) {
  Dict info = v1_multi(files, pieces);
  info["meta version"] = num(2);
  info["file tree"] = dict({{"a.bin", v2_file(20'000)}, {"b.bin", v2_file(5)}});
  return info;
}

TEST(ParseHybrid, BothFileListsMustAgree) {
  const std::string a = v1_file(path({"a.bin"}), 20'000);
  const std::string pad = v1_file(path({".pad", "12768"}), 12'768, "p");
  const std::string b = v1_file(path({"b.bin"}), 5);
  const std::string tail = v1_file(path({".pad", "16379"}), 16'379, "p");
  EXPECT_EQ(error_of(hybrid(list({a, pad, b}), 3)), "accepted");
  EXPECT_EQ(error_of(hybrid(list({a, pad, b, tail}), 3)), "accepted");
  EXPECT_THAT(error_of(hybrid(list({a, b}), 2)), HasSubstr("does not start where"));
  EXPECT_THAT(error_of(hybrid(list({b, pad, a}), 3)), HasSubstr("names differ"));
  EXPECT_THAT(error_of(hybrid(list({a, pad, v1_file(path({"c.bin"}), 5)}), 3)),
              HasSubstr("names differ"));
  EXPECT_THAT(error_of(hybrid(list({a, pad, v1_file(path({"b.bin"}), 6)}), 3)),
              HasSubstr("length"));
  EXPECT_THAT(error_of(hybrid(list({a}), 2)), HasSubstr("file tree"));
  EXPECT_THAT(error_of(hybrid(list({a, pad, b, b}), 3)), HasSubstr("info.files"));
  EXPECT_THAT(error_of(hybrid(list({a, v1_file(path({".pad"}), 12'768 + 16'384, "p"), b}), 4)),
              HasSubstr("does not start where"));
  EXPECT_THAT(error_of(hybrid(list({a, pad, b, tail, tail}), 4)), HasSubstr("after the last"));
}

TEST(ParseHybrid, ASingleFileMustBeTheTreesOnlyOne) {
  Dict info = v1_single();
  info["meta version"] = num(2);
  info["file tree"] = dict({{"n", v2_file(20'000)}});
  EXPECT_EQ(error_of(info), "accepted");
  EXPECT_THAT(error_of(with(info, "file tree", dict({{"m", v2_file(20'000)}}))),
              HasSubstr("names differ"));
  EXPECT_THAT(error_of(with(info, "file tree", dict({{"n", v2_file(20'001)}}))),
              HasSubstr("length"));
}

TEST(Parse, RefusesWhatIsNoTorrent) {
  for (const char* text : {"", "i1e", "le", "de", "d4:infoi1ee", "hello", "<html>"}) {
    EXPECT_FALSE(parse(as_bytes(text))) << text;
  }
}

TEST(Parse, ReadsOneTrackerAndOneWebseedInTheirShortForms) {
  const auto m = parse_dict(with(v1_single(), "private", num(1)),
                            {{"announce", str("http://t/")},
                             {"url-list", str("http://w/")},
                             {"httpseeds", list({str("http://s/a.php")})},
                             {"creation date", num(7)},
                             {"created by", str("x\xff")}});
  ASSERT_TRUE(m);
  EXPECT_EQ(m->trackers, (std::vector<std::vector<std::string>>{{"http://t/"}}));
  EXPECT_EQ(m->webseeds, std::vector<std::string>{"http://w/"});
  EXPECT_EQ(m->httpseeds, std::vector<std::string>{"http://s/a.php"});
  EXPECT_TRUE(m->is_private);
  EXPECT_EQ(m->creation_date, 7);
  EXPECT_EQ(m->created_by, "x\xef\xbf\xbd");
}

}  // namespace
}  // namespace swarmfs::metainfo
