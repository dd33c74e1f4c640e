#include "mount/kept_orders.h"

#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>

#include "mount/limits_json.h"
#include "swarm/base/hash.h"
#include "swarm/base/hex.h"
#include "swarm/metainfo/write_file.h"

namespace swarmfs::mount {

using nlohmann::json;

KeptOrders::KeptOrders(std::filesystem::path file, const std::string& options)
    : file_(std::move(file)), made_for_(to_hex(sha1(as_bytes(options)))) {
  try {
    load();
  } catch (const json::exception&) {
    clear();
  }
}

void KeptOrders::load() {
  std::ifstream in(file_, std::ios::binary);
  if (!in) return;
  const json kept = json::parse(in);
  if (kept.at("for") != made_for_) return clear();
  if (kept.contains("limits")) limits_ = limits_from(kept.at("limits"), {});
  for (const auto& [hash, order] : kept.at("torrents").items())
    orders_[hash] = {order.at("paused").get<bool>(), limits_from(order.at("limits"), {})};
}

std::optional<Limits> KeptOrders::limits() const {
  const std::lock_guard lock(mutex_);
  return limits_;
}

std::optional<KeptOrders::Order> KeptOrders::of(const std::string& hash) const {
  const std::lock_guard lock(mutex_);
  const auto it = orders_.find(hash);
  return it == orders_.end() ? std::nullopt : std::optional(it->second);
}

Result<> KeptOrders::set_limits(const Limits& limits) {
  {
    const std::lock_guard lock(mutex_);
    limits_ = limits;
  }
  return write();
}

Result<> KeptOrders::set(const std::string& hash, const Order& order) {
  {
    const std::lock_guard lock(mutex_);
    orders_[hash] = order;
  }
  return write();
}

Result<> KeptOrders::forget(const std::string& hash) {
  {
    const std::lock_guard lock(mutex_);
    if (orders_.erase(hash) == 0) return {};
  }
  return write();
}

void KeptOrders::clear() {
  const std::lock_guard writing(writing_);
  const std::lock_guard lock(mutex_);
  limits_.reset();
  orders_.clear();
  std::error_code ignored;
  std::filesystem::remove(file_, ignored);
}

Result<> KeptOrders::write() {
  const std::lock_guard writing(writing_);
  json kept = {{"for", made_for_}, {"torrents", json::object()}};
  {
    const std::lock_guard lock(mutex_);
    if (limits_) kept["limits"] = limits_json(*limits_);
    for (const auto& [hash, order] : orders_)
      kept["torrents"][hash] = {{"paused", order.paused}, {"limits", limits_json(order.limits)}};
  }
  return metainfo::write_file_atomically(file_, as_bytes(kept.dump()));
}

}  // namespace swarmfs::mount
