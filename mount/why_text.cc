#include "mount/why_text.h"

#include <cstring>
#include <nlohmann/json.hpp>
#include <vector>

#include "mount/json_fields.h"

namespace swarmfs::mount {

namespace {

using nlohmann::json;

constexpr std::size_t kRecentShown = 8;

std::string wait(const json& object, const char* key) {
  return human_wait(number_of(object, key) / 1000);
}

std::string size(const json& object, const char* key) {
  const double value = number_of(object, key);
  return human_size(value > 0 ? static_cast<std::uint64_t>(value) : 0);
}

bool is_true(const json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_boolean() && it->get<bool>();
}

std::string range(const json& read) {
  return text_of(read, "file") + ", " + size(read, "length") + " at " + count_of(read, "offset");
}

std::string peer_words(const json& peer) {
  const std::string client = text_of(peer, "client");
  const double rate = number_of(peer, "rate");
  return text_of(peer, "peer") + (client.empty() ? "" : " (" + client + ")") + ", RTT " +
         wait(peer, "rtt_ms") + (rate > 0 ? ", " + human_rate(rate) : "") +
         (is_true(peer, "choking") ? ", chokes us" : "") +
         (is_true(peer, "snubbed") ? ", stalls" : "");
}

std::string block_lines(const json& block) {
  const std::string what = "      block at " + count_of(block, "begin");
  const auto copies = objects_of(block, "asked_of");
  if (copies.empty()) return what + ": not asked for yet\n";
  std::string text;
  for (const json& copy : copies) {
    text += what + ": asked " + wait(copy, "asked_ms") + " ago of " + peer_words(copy) +
            ", expected within " + wait(copy, "expected_ms") + " behind " +
            size(copy, "queued_before") + "; silent for " + wait(copy, "silent_ms") +
            (copies.size() > 1 ? "; one of " + std::to_string(copies.size()) + " copies" : "") +
            "\n";
  }
  return text;
}

std::string piece_lines(const json& piece) {
  std::string text = "    piece " + count_of(piece, "piece") + ": " +
                     count_of(piece, "blocks_here") + " of " + count_of(piece, "blocks_needed") +
                     " blocks here, " + count_of(piece, "blocks_asked") + " asked for, " +
                     count_of(piece, "blocks_not_asked") +
                     " not; peers that have it: " + count_of(piece, "have_it") +
                     ", choking us: " + count_of(piece, "choke_us") +
                     (is_true(piece, "leaf_hashes") ? "; leaf hashes known" : "");
  const std::string hashes_from = text_of(piece, "hashes_asked_of");
  text += (hashes_from.empty() ? "" : "; hashes asked of " + hashes_from) + "\n";
  const auto blocks = objects_of(piece, "blocks");
  bool asked = false;
  for (const json& block : blocks) {
    if (objects_of(block, "asked_of").empty()) continue;
    asked = true;
    text += block_lines(block);
  }
  // Who is asked is shown with the block; otherwise who could be.
  if (!asked)
    for (const json& peer : objects_of(piece, "peers")) text += "      " + peer_words(peer) + "\n";
  return text;
}

std::string reader_words(const json& read) {
  if (number_of(read, "tid") == 0) return "a process out of sight";
  std::string text = text_of(read, "comm");
  text += (text.empty() ? "pid " : " (pid ") + count_of(read, "pid");
  if (number_of(read, "tid") != number_of(read, "pid")) text += ", thread " + count_of(read, "tid");
  return text_of(read, "comm").empty() ? text : text + ")";
}

std::string waiting_lines(const json& read) {
  std::string text =
      "  " + range(read) + ": " + reader_words(read) + " has waited " + wait(read, "waited_ms");
  if (const auto it = read.find("times_out_ms"); it != read.end() && it->is_number())
    text += ", gives up in " + wait(read, "times_out_ms");
  text += "\n    " + text_of(read, "summary") + "\n";
  for (const json& piece : objects_of(read, "pieces")) text += piece_lines(piece);
  return text;
}

std::string recent_line(const json& past) {
  const auto error = static_cast<int>(number_of(past, "errno"));
  return "    " + range(past) + ": " + wait(past, "waited_ms") + ", " + wait(past, "ended_ms_ago") +
         " ago, " +
         (error == 0 ? "from " + text_of(past, "source") : std::string(std::strerror(error))) +
         ": " + text_of(past, "cause") + "\n";
}

}  // namespace

std::string why_text(const json& why) {
  if (!why.is_object()) return "";
  std::string text = text_of(why, "mountpoint") + "\n";
  const auto waiting = objects_of(why, "waiting");
  for (const json& read : waiting) text += waiting_lines(read);
  const auto all = number_of(why, "waiting_reads");
  if (all > static_cast<double>(waiting.size()))
    text += "  and " +
            std::to_string(static_cast<long long>(all) - static_cast<long long>(waiting.size())) +
            " more\n";
  if (!waiting.empty()) return text;
  const auto recent = objects_of(why, "recent");
  if (recent.empty()) return text + "  no read waits, and none has waited lately\n";
  text += "  no read waits; these have waited lately:\n";
  for (std::size_t i = 0; i < recent.size() && i < kRecentShown; ++i)
    text += recent_line(recent[i]);
  return text;
}

}  // namespace swarmfs::mount
