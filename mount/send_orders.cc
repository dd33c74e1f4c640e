#include "mount/send_orders.h"

#include <cstdio>
#include <utility>

#include "mount/control.h"
#include "mount/exit_codes.h"
#include "mount/report.h"

namespace swarmfs::mount {

using nlohmann::json;
static constexpr Duration kTimeout = std::chrono::seconds(5);

Result<std::vector<WhichMount>> name_or_path(const std::string& text) {
  if (!text.empty())
    if (auto place = mount_of(text)) return std::vector{std::move(*place)};
  const auto folder = control_folder();
  if (!folder) return folder.error();
  std::vector<WhichMount> places;
  for (auto& socket : control_sockets(*folder)) places.push_back({"", std::move(socket), text});
  return places;
}

static Result<json> ask(const WhichMount& place, json request) {
  if (!place.below.empty()) request["path"] = place.below;
  const auto reply = control_send(place.socket, std::move(request), kTimeout);
  if (!reply) return reply.error();
  return Result<json>(boost::system::in_place_value, json::parse(*reply));
}

Result<json> order(const std::vector<WhichMount>& places, json request, const std::string& text) {
  json replies = json::array();
  for (const WhichMount& place : places) {
    auto reply = ask(place, request);
    if (!reply && reply.error().kind == ErrorKind::not_found) continue;
    if (!reply) return reply.error();
    replies.push_back(std::move(*reply));
  }
  if (replies.empty())
    return fail(ErrorKind::not_found,
                text.empty() ? "nothing is mounted"
                             : text + " is neither a torrent of a mount of yours nor on one");
  return Result<json>(boost::system::in_place_value, std::move(replies));
}

Result<json> order_on_path(const std::string& path, json request) {
  const auto place = mount_of(path);
  if (!place) return place.error();
  auto reply = ask(*place, std::move(request));
  if (!reply && reply.error().kind == ErrorKind::not_found)
    return fail(ErrorKind::not_found, path + " is no file or folder of a torrent, or not yours");
  return reply;
}

int answer(const Result<json>& reply, bool as_json, const std::function<void(const json&)>& show) {
  if (!reply) return report(reply.error());
  if (as_json) {
    std::printf("%s\n", reply->dump(2, ' ', false, json::error_handler_t::replace).c_str());
  } else if (reply->is_array()) {
    for (const json& one : *reply) show(one);
  } else {
    show(*reply);
  }
  return kOk;
}

}  // namespace swarmfs::mount
