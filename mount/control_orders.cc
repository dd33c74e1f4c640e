#include "mount/control_orders.h"

#include <algorithm>
#include <future>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <utility>

#include "mount/answer_by.h"
#include "mount/limits_json.h"
#include "mount/rate_text.h"
#include "mount/torrent_source.h"

namespace swarmfs::mount {

namespace {

using nlohmann::json;
/// How long an engine may take to say how it is.
constexpr Duration kAnswerTime = std::chrono::milliseconds(500);

std::optional<fs::Ino> find(const fs::Tree& tree, std::string_view path) {
  fs::Ino at = fs::kRootIno;
  while (!path.empty()) {
    const std::size_t slash = path.find('/');
    const auto child = tree.lookup(at, path.substr(0, slash));
    if (!child) return std::nullopt;
    at = *child;
    path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
  }
  return at;
}

Result<std::vector<OrderTarget>> targets_of(const OrderContext& context, const json& request) {
  const std::string path = request.value("path", "");
  auto targets = context.targets(path);
  if (targets.empty() && !path.empty())
    return fail(ErrorKind::not_found, "no torrent and no file of one is called " + path);
  return targets;
}

json pause(const OrderContext& context, const json& request, bool paused) {
  const auto targets = targets_of(context, request);
  if (!targets) return refusal(targets.error());
  json torrents = json::array();
  for (const OrderTarget& target : *targets) {
    if (paused) {
      target.content->pause();
    } else {
      target.content->resume();
    }
    context.ordered(*target.content);
    torrents.push_back({{"name", target.name}, {"paused", paused}});
  }
  return {{"torrents", std::move(torrents)}};
}

bool is_rate(const json& value) {
  return value.is_number_unsigned() ||
         (value.is_number_integer() && value.get<std::int64_t>() >= 0);
}

constexpr const char* kLimits[] = {"down", "up", "reads_exempt", "connections"};

json limit(const OrderContext& context, const json& request) {
  for (const char* rate : {"down", "up"})
    if (const auto it = request.find(rate); it != request.end() && !is_rate(*it))
      return refusal({ErrorKind::bad_input, std::string(rate) + " is not a rate"});
  const bool all = request.value("path", "").empty();
  if (const auto it = request.find("connections"); it != request.end()) {
    if (!is_rate(*it) || it->get<std::uint64_t>() > kMostConnections)
      return refusal({ErrorKind::bad_input, "connections is no number of them"});
    if (!all && *it == 0)
      return refusal({ErrorKind::bad_input, "a torrent needs a connection at least; or pause it"});
  }
  const auto targets = targets_of(context, request);
  if (!targets) return refusal(targets.error());
  const bool changes = std::any_of(std::begin(kLimits), std::end(kLimits),
                                   [&](const char* key) { return request.contains(key); });
  if (changes && all) context.set_limits(limits_from(request, context.limits()));
  json torrents = json::array();
  for (const OrderTarget& target : *targets) {
    if (changes && !all) {
      target.content->set_limits(limits_from(request, target.content->limits()));
      context.ordered(*target.content);
    }
    torrents.push_back({{"name", target.name}, {"limits", limits_json(target.content->limits())}});
  }
  return {{"limits", limits_json(context.limits())}, {"torrents", std::move(torrents)}};
}

json pin(const OrderContext& context, const json& request, bool pinned) {
  const auto targets = targets_of(context, request);
  if (!targets) return refusal(targets.error());
  json torrents = json::array();
  for (const OrderTarget& target : *targets) {
    if (const auto kept = target.content->set_pinned(target.files, pinned); !kept)
      return refusal(
          {kept.error().kind,
           "until the mount ends only, since it was not written down: " + kept.error().message});
    torrents.push_back({{"name", target.name}, {"files", target.files.size()}});
  }
  return {{"torrents", std::move(torrents)}};
}

/// What may stand in the way of a torrent's fetching; nothing if the loop is too busy to say.
json surroundings(TorrentContent& content) {
  auto promise = std::make_shared<std::promise<engine::TorrentStats>>();
  auto answer = promise->get_future();
  content.driver().query(
      [promise](const engine::TorrentStats& stats) { promise->set_value(stats); });
  const auto stats = answer_by(std::chrono::steady_clock::now() + kAnswerTime, answer);
  if (!stats) return nullptr;
  return {{"peers", stats->peers},
          {"disk_full", stats->disk_full},
          {"contradicted", stats->contradicted}};
}

json prefetch(const OrderContext& context, const json& request) {
  const auto range = ByteRange::parse(request.value("range", ""));
  if (!range) return refusal(range.error());
  const auto targets = targets_of(context, request);
  if (!targets) return refusal(targets.error());
  const bool ask_only = request.value("ask_only", false);
  TorrentContent::Share sum;
  json torrents = json::array();
  for (const OrderTarget& target : *targets) {
    TorrentContent::Share share;
    for (const FileIndex file : target.files) {
      const auto bytes = range->of(target.content->metainfo().layout.files()[file.value].length);
      if (!ask_only) target.content->prefetch(file, bytes.begin, bytes.end);
      const auto part = target.content->share_here(file, bytes.begin, bytes.end);
      share.here += part.here;
      share.all += part.all;
    }
    sum.here += share.here;
    sum.all += share.all;
    torrents.push_back({{"name", target.name},
                        {"here", share.here},
                        {"all", share.all},
                        {"paused", target.content->paused()},
                        {"swarm", ask_only ? surroundings(*target.content) : json()}});
  }
  return {{"here", sum.here}, {"all", sum.all}, {"torrents", std::move(torrents)}};
}

}  // namespace

/// Null while its store is being opened.
static std::shared_ptr<TorrentContent> content_of(const std::shared_ptr<ContentSource>& source) {
  if (const auto torrent = std::dynamic_pointer_cast<TorrentSource>(source))
    return torrent->content();
  return std::dynamic_pointer_cast<TorrentContent>(source);
}

std::vector<OrderTarget> targets_below(const fs::Tree& tree, const std::string& path) {
  std::vector<OrderTarget> targets;
  const auto top = find(tree, path);
  std::vector<fs::Ino> todo;
  if (top) todo.push_back(*top);
  std::map<const ContentSource*, std::size_t> known;
  while (!todo.empty()) {
    const fs::Ino at = todo.back();
    todo.pop_back();
    tree.list(at, 2, [&](const char*, fs::Ino child, fs::NodeKind, std::uint64_t) {
      todo.push_back(child);
      return true;
    });
    const auto file = tree.open_target(at);
    if (!file) continue;
    const auto [it, fresh] = known.emplace(file->source.get(), targets.size());
    if (fresh) {
      const std::string whole = tree.path(at).value_or("");
      targets.push_back({whole.substr(0, whole.find('/')), content_of(file->source), {}});
    }
    targets[it->second].files.push_back(file->index);
  }
  std::erase_if(targets, [](const OrderTarget& target) { return target.content == nullptr; });
  // As the torrent has them, which is the order in which they are fetched.
  for (OrderTarget& target : targets) std::sort(target.files.begin(), target.files.end());
  std::sort(targets.begin(), targets.end(),
            [](const OrderTarget& a, const OrderTarget& b) { return a.name < b.name; });
  return targets;
}

std::map<std::string, ControlHandler, std::less<>> order_handlers(const OrderContext& context) {
  const auto handler = [&context](auto order) -> ControlHandler {
    return [context, order](const json& request) {
      json reply = order(context, request);
      reply["mountpoint"] = context.mountpoint;
      return reply;
    };
  };
  const auto with = [](auto order, bool on) {
    return
        [order, on](const OrderContext& c, const json& request) { return order(c, request, on); };
  };
  return {{"pause", handler(with(pause, true))},
          {"resume", handler(with(pause, false))},
          {"limit", handler(limit)},
          {"pin", handler(with(pin, true))},
          {"unpin", handler(with(pin, false))},
          {"prefetch", handler(prefetch)}};
}

}  // namespace swarmfs::mount
