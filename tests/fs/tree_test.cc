#include "fs/tree.h"

#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <thread>

#include "tests/support/fake_source.h"

namespace swarmfs::fs {
namespace {

FileSpec file(std::vector<std::string> path, std::uint64_t length, std::uint32_t index = 0) {
  FileSpec f;
  f.path = std::move(path);
  f.length = length;
  f.index = FileIndex{index};
  return f;
}

TorrentSpec torrent(std::string name, std::vector<FileSpec> files) {
  TorrentSpec spec;
  spec.name = std::move(name);
  std::vector<std::uint64_t> lengths;
  for (const auto& f : files) lengths.push_back(f.length);
  spec.files = std::move(files);
  spec.facts = {{"infohash", "abcd"}, {"format", "v1"}, {"piece_length", "16384"}};
  spec.source = std::make_shared<test::FakeSource>(lengths);
  return spec;
}

/// The inode of a path below the root; 0 if it is not there.
Ino at(const Tree& tree, const std::vector<std::string>& path) {
  Ino ino = kRootIno;
  for (const auto& name : path) {
    const auto next = tree.lookup(ino, name);
    if (!next) return 0;
    ino = *next;
  }
  return ino;
}

std::vector<std::string> names(const Tree& tree, Ino folder, std::uint64_t offset = 0) {
  std::vector<std::string> out;
  tree.list(folder, offset, [&](const char* name, Ino, NodeKind, std::uint64_t) {
    out.emplace_back(name);
    return true;
  });
  return out;
}

TEST(Tree, ShowsFoldersFilesAndLinksWithTheirAttributes) {
  Tree tree(77);
  auto spec = torrent("t", {file({"a", "b", "run"}, 5000), file({"empty"}, 0, 1)});
  spec.files[0].executable = true;
  FileSpec link;
  link.path = {"a", "b", "link"};
  link.kind = NodeKind::symlink;
  link.symlink = {"empty"};
  spec.files.push_back(link);
  spec.mtime = 1234;
  ASSERT_EQ(tree.add_torrent(std::move(spec)).value(), "t");

  const auto run = tree.attributes(at(tree, {"t", "a", "b", "run"}));
  ASSERT_TRUE(run);
  EXPECT_EQ(run->size, 5000U);
  EXPECT_EQ(run->blocks, 10U);
  EXPECT_EQ(run->permissions, 0555U);
  EXPECT_EQ(run->mtime, 1234);
  EXPECT_TRUE(run->final);
  EXPECT_EQ(tree.attributes(at(tree, {"t", "empty"}))->permissions, 0444U);
  EXPECT_EQ(tree.link_target(at(tree, {"t", "a", "b", "link"})), "../../empty");
  EXPECT_EQ(tree.path(at(tree, {"t", "a", "b", "link"})), "t/a/b/link");
  EXPECT_EQ(tree.path(at(tree, {"t"})), "t");
  EXPECT_EQ(tree.path(kRootIno), "");
  EXPECT_EQ(tree.path(Ino{99} << kPartBits), std::nullopt);
  EXPECT_EQ(tree.attributes(at(tree, {"t", "a", "b", "link"}))->size, 11U);
  EXPECT_EQ(tree.attributes(at(tree, {"t"}))->links, 3U);
  EXPECT_EQ(tree.attributes(at(tree, {"t", "a", "b"}))->links, 2U);
  EXPECT_EQ(tree.attributes(kRootIno)->links, 3U);
  EXPECT_EQ(tree.attributes(kRootIno)->mtime, 77);
  EXPECT_EQ(tree.totals().bytes, 5000U);
}

TEST(Tree, ShowsWhatIsHereInBlocksAndProgress) {
  Tree tree(0);
  auto spec = torrent("t", {file({"d", "x"}, 1000), file({"d", "y"}, 3000, 1)});
  auto source = std::static_pointer_cast<test::FakeSource>(spec.source);
  ASSERT_TRUE(tree.add_torrent(std::move(spec)));
  const Ino x = at(tree, {"t", "d", "x"});
  source->set_bytes_here(513);
  EXPECT_EQ(tree.attributes(x)->blocks, 2U);
  EXPECT_FALSE(tree.attributes(x)->final);
  EXPECT_EQ(tree.attribute(x, "user.swarmfs.progress"), "0.5130");
  EXPECT_EQ(tree.attribute(at(tree, {"t", "d"}), "user.swarmfs.progress"), "0.2565");
  source->set_bytes_here(0);
  EXPECT_EQ(tree.attributes(x)->blocks, 0U);
  source->set_bytes_here(2999);
  EXPECT_EQ(tree.attribute(at(tree, {"t", "d", "y"}), "user.swarmfs.progress"), "0.9996");
}

TEST(Tree, AnswersAttributesOnFilesAndFolders) {
  Tree tree(0);
  ASSERT_TRUE(tree.add_torrent(torrent("t", {file({"x"}, 10)})));
  const Ino x = at(tree, {"t", "x"});
  EXPECT_EQ(tree.attribute(x, "user.swarmfs.infohash"), "abcd");
  EXPECT_EQ(tree.attribute(x, "user.swarmfs.pieces"), "##.#");
  EXPECT_EQ(tree.attribute(x, "user.other"), std::nullopt);
  EXPECT_EQ(tree.attribute(x, "infohash"), std::nullopt);
  EXPECT_EQ(tree.attribute(at(tree, {"t"}), "user.swarmfs.format"), "v1");
  EXPECT_EQ(tree.attribute(at(tree, {"t"}), "user.swarmfs.pieces"), std::nullopt);
  for (const Ino ino : {x, at(tree, {"t"})})
    for (const auto& name : tree.attribute_names(ino))
      EXPECT_TRUE(tree.attribute(ino, name)) << name;
  EXPECT_TRUE(tree.attribute_names(kRootIno).empty());
}

TEST(Tree, ShowsASingleFileTorrentAsTheFileItself) {
  Tree tree(0);
  auto spec = torrent("film.mkv", {file({"film.mkv"}, 10)});
  spec.single_file = true;
  ASSERT_TRUE(tree.add_torrent(std::move(spec)));
  const Ino ino = at(tree, {"film.mkv"});
  EXPECT_EQ(tree.attributes(ino)->kind, NodeKind::file);
  EXPECT_EQ(tree.open_target(ino)->length, 10U);
  EXPECT_FALSE(tree.list(ino, 0, [](auto...) { return true; }));
}

TEST(Tree, MakesClashingNamesUnique) {
  Tree tree(0);
  EXPECT_EQ(tree.add_torrent(torrent("t", {file({"a"}, 1)})).value(), "t");
  EXPECT_EQ(tree.add_torrent(torrent("t", {file({"b"}, 1)})).value(), "t (2)");
  EXPECT_EQ(tree.add_torrent(torrent("t", {file({"c"}, 1)})).value(), "t (3)");
  EXPECT_NE(at(tree, {"t (2)", "b"}), 0U);
  // Within a torrent too: a file twice, a file that is a folder elsewhere, a folder twice.
  ASSERT_TRUE(tree.add_torrent(
      torrent("u", {file({"x"}, 1), file({"x"}, 2), file({"x", "y"}, 3), file({"x", "z"}, 4)})));
  EXPECT_EQ(names(tree, at(tree, {"u"})),
            (std::vector<std::string>{".", "..", "x", "x (2)", "x (3)"}));
  EXPECT_EQ(names(tree, at(tree, {"u", "x (3)"})), (std::vector<std::string>{".", "..", "y", "z"}));
}

TEST(Tree, RefusesNamesThatNoFolderCanHold) {
  for (const std::string& bad :
       {std::string(), std::string("."), std::string(".."), std::string("a/b"),
        std::string("a\0b", 3), std::string(256, 'x')}) {
    Tree tree(0);
    EXPECT_FALSE(tree.add_torrent(torrent(bad, {file({"a"}, 1)})));
    const auto inside = tree.add_torrent(torrent("t", {file({"d", bad}, 1)}));
    ASSERT_FALSE(inside);
    EXPECT_EQ(inside.error().kind, ErrorKind::bad_input);
    auto spec = torrent("t", {file({"d"}, 1)});
    spec.files[0].kind = NodeKind::symlink;
    spec.files[0].symlink = {bad};
    EXPECT_FALSE(tree.add_torrent(std::move(spec)));
    EXPECT_EQ(names(tree, kRootIno).size(), 2U) << "a refused torrent leaves nothing";
  }
  Tree tree(0);
  EXPECT_FALSE(tree.add_torrent(torrent("t", {file({}, 1)})));
}

TEST(Tree, ListsFromAnyOffsetTheSameRest) {
  Tree tree(0);
  std::vector<FileSpec> files;
  for (std::uint32_t i = 0; i < 100; ++i) files.push_back(file({"f" + std::to_string(i)}, 1, i));
  ASSERT_TRUE(tree.add_torrent(torrent("t", std::move(files))));
  const Ino folder = at(tree, {"t"});
  const auto all = names(tree, folder);
  ASSERT_EQ(all.size(), 102U);
  std::vector<std::string> piecewise;
  std::uint64_t offset = 0;
  for (bool more = true; more;) {
    more = false;
    int taken = 0;
    tree.list(folder, offset, [&](const char* name, Ino, NodeKind, std::uint64_t next) {
      if (taken++ == 7) return false;
      piecewise.emplace_back(name);
      offset = next;
      more = true;
      return true;
    });
  }
  EXPECT_EQ(piecewise, all);
}

TEST(Tree, ReadsWhileTorrentsComeAndGo) {
  Tree tree(0);
  std::atomic<bool> done{false};
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      while (!done) {
        const Ino stays = at(tree, {"t150", "a"});
        EXPECT_TRUE(stays == 0 || tree.attributes(stays));
        const Ino goes = at(tree, {"t5", "a"});
        const auto found = tree.attributes(goes);
        EXPECT_TRUE(!found || found->size == 1);
        EXPECT_TRUE(names(tree, kRootIno).size() >= 2);
        EXPECT_TRUE(tree.attributes(kRootIno));
      }
    });
  }
  for (int i = 0; i < 200; ++i)
    ASSERT_TRUE(tree.add_torrent(torrent("t" + std::to_string(i), {file({"a"}, 1)})));
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(tree.remove_torrent("t" + std::to_string(i)));
  for (int i = 0; i < 100; ++i)
    ASSERT_TRUE(tree.add_torrent(torrent("t" + std::to_string(i), {file({"a"}, 1)})));
  done = true;
  for (auto& reader : readers) reader.join();
  EXPECT_EQ(names(tree, kRootIno).size(), 202U);
}

TEST(Tree, RemovesATorrentAndNeverUsesItsInodesAgain) {
  Tree tree(0);
  ASSERT_TRUE(tree.add_torrent(torrent("t", {file({"d", "a"}, 10)})));
  ASSERT_TRUE(tree.add_torrent(torrent("u", {file({"a"}, 5)})));
  const Ino folder = at(tree, {"t"}), a = at(tree, {"t", "d", "a"});
  const auto open = tree.open_target(a);
  EXPECT_FALSE(tree.remove_torrent("none"));
  EXPECT_TRUE(tree.remove_torrent("t"));
  EXPECT_FALSE(tree.remove_torrent("t"));
  EXPECT_EQ(names(tree, kRootIno), (std::vector<std::string>{".", "..", "u"}));
  EXPECT_EQ(tree.totals().bytes, 5U);
  EXPECT_EQ(tree.totals().entries, 2U);
  EXPECT_EQ(tree.attributes(kRootIno)->links, 3U);
  for (const Ino ino : {folder, a}) {
    EXPECT_FALSE(tree.attributes(ino));
    EXPECT_FALSE(tree.path(ino));
    EXPECT_FALSE(tree.open_target(ino));
    EXPECT_FALSE(tree.lookup(ino, "d"));
    EXPECT_FALSE(tree.attribute(ino, "user.swarmfs.progress"));
    EXPECT_FALSE(tree.list(ino, 0, [](auto...) { return true; }));
  }
  EXPECT_TRUE(open->source) << "who has it open keeps the source";
  ASSERT_EQ(tree.add_torrent(torrent("t", {file({"d", "a"}, 10)})).value(), "t");
  EXPECT_NE(at(tree, {"t"}), folder);
  EXPECT_NE(at(tree, {"t", "d", "a"}), a);
  EXPECT_FALSE(tree.attributes(a));
}

TEST(Tree, ListsTheRootFromAnOffsetWhateverCameAndWentMeanwhile) {
  Tree tree(0);
  for (const char* name : {"a", "b", "c", "d"})
    ASSERT_TRUE(tree.add_torrent(torrent(name, {file({"x"}, 1)})));
  std::uint64_t after_b = 0;
  tree.list(kRootIno, 0, [&](const char* name, Ino, NodeKind, std::uint64_t next) {
    if (name == std::string("b")) after_b = next;
    return true;
  });
  EXPECT_TRUE(tree.remove_torrent("a"));
  EXPECT_TRUE(tree.remove_torrent("b"));
  ASSERT_TRUE(tree.add_torrent(torrent("e", {file({"x"}, 1)})));
  EXPECT_EQ(names(tree, kRootIno, after_b), (std::vector<std::string>{"c", "d", "e"}));
  EXPECT_TRUE(tree.remove_torrent("c"));
  EXPECT_EQ(names(tree, kRootIno, after_b), (std::vector<std::string>{"d", "e"}));
}

TEST(TreeInfo, IsFoundByNameAndListedNowhere) {
  Tree tree(7);
  ASSERT_TRUE(tree.add_torrent(torrent("t", {file({"a"}, 1)})));
  EXPECT_EQ(names(tree, kRootIno), (std::vector<std::string>{".", "..", "t"}));
  const Ino folder = at(tree, {".swarmfs"});
  ASSERT_NE(folder, 0U);
  EXPECT_EQ(tree.attributes(folder)->permissions, 0500U);
  EXPECT_EQ(names(tree, folder),
            (std::vector<std::string>{".", "..", "README", "status", "peers", "torrents"}));
  EXPECT_EQ(names(tree, folder, 4), (std::vector<std::string>{"peers", "torrents"}));
  EXPECT_EQ(names(tree, at(tree, {".swarmfs", "torrents"})),
            (std::vector<std::string>{".", "..", "t"}));
  EXPECT_EQ(names(tree, at(tree, {".swarmfs", "torrents", "t"})),
            (std::vector<std::string>{".", "..", "status"}));
  const Ino peers = at(tree, {".swarmfs", "peers"});
  EXPECT_EQ(tree.info_file(peers)->kind, InfoKind::peers);
  EXPECT_EQ(tree.attributes(peers)->permissions, 0400U);
  EXPECT_EQ(tree.path(peers), ".swarmfs/peers");
  EXPECT_FALSE(tree.list(peers, 0, [](auto...) { return true; }));
  const Ino of_t = at(tree, {".swarmfs", "torrents", "t", "status"});
  EXPECT_EQ(tree.info_file(of_t)->torrent, "t");
  EXPECT_EQ(tree.path(of_t), ".swarmfs/torrents/t/status");
  for (const Ino none : {folder, kRootIno, at(tree, {"t"}), at(tree, {"t", "a"})})
    EXPECT_FALSE(tree.info_file(none));
  EXPECT_FALSE(tree.open_target(peers));
  EXPECT_FALSE(tree.attribute(peers, "user.swarmfs.progress"));

  EXPECT_TRUE(tree.remove_torrent("t"));
  EXPECT_FALSE(tree.info_file(of_t));
  EXPECT_FALSE(tree.attributes(of_t));
  EXPECT_EQ(at(tree, {".swarmfs", "torrents", "t"}), 0U);
  EXPECT_EQ(tree.add_torrent(torrent(".swarmfs", {file({"a"}, 1)})).value(), ".swarmfs (2)");
}

TEST(Tree, GivesEveryEntryOfALargeTorrentAnInodeOfItsOwn) {
  Tree tree(0);
  std::vector<FileSpec> files;
  for (std::uint32_t i = 0; i < 61'000; ++i)
    files.push_back(file({"d" + std::to_string(i % 2000), "f" + std::to_string(i)}, 1, i));
  ASSERT_TRUE(tree.add_torrent(torrent("t", std::move(files))));
  std::set<Ino> inodes;
  for (std::uint32_t i = 0; i < 61'000; ++i) {
    const Ino ino = at(tree, {"t", "d" + std::to_string(i % 2000), "f" + std::to_string(i)});
    ASSERT_TRUE(inodes.insert(ino).second);
    ASSERT_EQ(tree.open_target(ino)->index.value, i);
  }
  EXPECT_EQ(tree.totals().entries, 63'001U);
  EXPECT_EQ(tree.attributes(at(tree, {"t"}))->links, 2002U);
}

TorrentSpec waiting(std::string name) {
  TorrentSpec spec;
  spec.name = std::move(name);
  spec.waiting = true;
  spec.files = {file({kWaitingFile}, 0)};
  return spec;
}

TEST(TreeWaiting, ShowsAFolderWithOneText) {
  Tree tree(1000);
  ASSERT_EQ(tree.add_torrent(waiting("film")).value(), "film");
  const Ino text = at(tree, {"film", kWaitingFile});
  ASSERT_NE(text, 0U);
  const auto info = tree.info_file(text);
  ASSERT_TRUE(info);
  EXPECT_EQ(info->kind, InfoKind::waiting);
  EXPECT_EQ(info->torrent, "film");
  EXPECT_EQ(tree.attributes(text)->permissions, 0444U);
  const Ino folder = at(tree, {"film"});
  EXPECT_FALSE(tree.info_file(folder));
  EXPECT_EQ(tree.attribute(folder, "user.swarmfs.state"), "metadata");
  EXPECT_EQ(tree.attribute(folder, "user.swarmfs.progress"), "0.0000");
  EXPECT_EQ(tree.attribute(folder, "user.swarmfs.peers"), "0");
}

TEST(TreeWaiting, GivesItsPlaceToTheTorrent) {
  Tree tree(1000);
  ASSERT_TRUE(tree.add_torrent(waiting("film")));
  ASSERT_TRUE(tree.add_torrent(waiting("other")));
  const Ino text = at(tree, {"film", kWaitingFile});
  // Under the same name, and under another.
  EXPECT_EQ(tree.add_torrent(torrent("film", {file({"a"}, 5)}), "film").value(), "film");
  EXPECT_EQ(tree.add_torrent(torrent("film", {file({"b"}, 5)}), "other").value(), "film (2)");
  EXPECT_FALSE(tree.info_file(text));
  EXPECT_FALSE(tree.attributes(text));
  EXPECT_NE(at(tree, {"film", "a"}), 0U);
  EXPECT_EQ(at(tree, {"film", kWaitingFile}), 0U);
  EXPECT_EQ(at(tree, {"other"}), 0U);
  EXPECT_EQ(tree.totals().bytes, 10U);
}

TEST(TreeWaiting, KeepsItsPlaceWhereTheTorrentCannotBeShown) {
  Tree tree(1000);
  ASSERT_TRUE(tree.add_torrent(waiting("film")));
  EXPECT_FALSE(tree.add_torrent(torrent("a/b", {file({"a"}, 5)}), "film"));
  EXPECT_NE(at(tree, {"film"}), 0U);
}

}  // namespace
}  // namespace swarmfs::fs
