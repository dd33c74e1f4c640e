#include "swarm/net/name_threads.h"

#include <netdb.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <cstring>
#include <deque>
#include <mutex>
#include <utility>

#include "swarm/net/asio_glue.h"
#include "swarm/net/detached_thread.h"

namespace swarmfs::net {

Result<Addresses> ask_system(const std::string& name) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;  // each address once
  addrinfo* list = nullptr;
  if (const int error = ::getaddrinfo(name.c_str(), nullptr, &hints, &list); error != 0)
    return fail(ErrorKind::not_found, "looking up " + name + ": " + ::gai_strerror(error));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owned(list, &::freeaddrinfo);
  Addresses addresses;
  for (const addrinfo* one = list; one != nullptr; one = one->ai_next) {
    asio::ip::tcp::endpoint endpoint;
    if (one->ai_addrlen > endpoint.capacity()) continue;
    std::memcpy(endpoint.data(), one->ai_addr, one->ai_addrlen);
    const IpAddress address = from_asio(endpoint.address());
    if (std::find(addresses.begin(), addresses.end(), address) == addresses.end())
      addresses.push_back(address);
  }
  if (addresses.empty())
    return fail(ErrorKind::not_found, "looking up " + name + ": it has no address");
  return addresses;
}

NameQuestion::NameQuestion(std::string name)
    : name_(std::move(name)),
      answered_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      addresses_(fail(ErrorKind::timed_out, "looking up " + name_ + ": no answer yet")) {}

Result<Addresses> NameQuestion::take() {
  const std::lock_guard lock(mutex_);
  return std::move(addresses_);
}

void NameQuestion::answer(Result<Addresses> addresses) {
  {
    const std::lock_guard lock(mutex_);
    addresses_ = std::move(addresses);
  }
  const std::uint64_t one = 1;
  // Cannot fail on an eventfd; without one nobody waits.
  if (::write(answered_.get(), &one, sizeof one) < 0) return;
}

struct NameThreads::Shared {
  AskName ask;
  unsigned most = 0;
  std::mutex mutex;
  unsigned running = 0;  ///< threads
  std::deque<std::weak_ptr<NameQuestion>> unasked;
};

NameThreads::NameThreads(AskName ask, unsigned threads) : shared_(std::make_shared<Shared>()) {
  shared_->ask = std::move(ask);
  shared_->most = threads;
}

void NameThreads::run(const std::shared_ptr<Shared>& shared) {
  std::unique_lock lock(shared->mutex);
  while (!shared->unasked.empty()) {
    const auto question = shared->unasked.front().lock();
    shared->unasked.pop_front();
    if (!question) continue;
    lock.unlock();
    question->answer(shared->ask(question->name_));
    lock.lock();
  }
  --shared->running;
}

std::shared_ptr<NameQuestion> NameThreads::ask(std::string name) {
  auto question = std::make_shared<NameQuestion>(std::move(name));
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->unasked.push_back(question);
    if (shared_->running == shared_->most) return question;
    ++shared_->running;
  }
  if (const auto started = run_detached([shared = shared_] { run(shared); }); !started) {
    const std::lock_guard lock(shared_->mutex);
    --shared_->running;
    question->answer(
        fail(ErrorKind::io, "looking up " + question->name_ + ": " + started.error().message));
  }
  return question;
}

}  // namespace swarmfs::net
