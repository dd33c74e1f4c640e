// Names that nobody answers for hold up neither other names nor the end.
#include "swarm/net/resolver.h"

#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "swarm/net/asio_glue.h"
#include "swarm/net/name_threads.h"
#include "swarm/net/route.h"

namespace swarmfs::net {
namespace {

using namespace std::chrono_literals;

const IpAddress kAddress = *IpAddress::parse("192.0.2.7");

/// A name server that does not answer for "hangs" until it is let go.
class Server {
 public:
  ~Server() { let_go(); }
  AskName ask() {
    return [state = state_](const std::string& name) -> Result<Addresses> {
      ++state->asked;
      if (name == "nobody") return fail(ErrorKind::not_found, "looking up nobody: no such name");
      if (name.starts_with("hangs")) {
        std::unique_lock lock(state->mutex);
        state->changed.wait(lock, [&] { return state->gone; });
      }
      return Addresses{kAddress};
    };
  }
  void let_go() {
    const std::lock_guard lock(state_->mutex);
    state_->gone = true;
    state_->changed.notify_all();
  }
  int asked() const { return state_->asked; }

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    bool gone = false;
    std::atomic<int> asked = 0;
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

using Answer = std::optional<Result<Addresses>>;

void start(asio::io_context& io, NameThreads& threads, std::string host, Duration timeout,
           Answer& answer) {
  asio::co_spawn(
      io,
      [](NameThreads& t, std::string name, Duration limit, Answer& out) -> asio::awaitable<void> {
        Hosts none;
        out = co_await resolve(Route::plain(), std::move(name), std::move(none), limit, t);
      }(threads, std::move(host), timeout, answer),
      asio::detached);
}

TEST(Resolver, SaysWhatTheSystemSays) {
  Server server;
  NameThreads threads(server.ask(), 2);
  asio::io_context io;
  Answer good, bad, literal;
  start(io, threads, "a.example", 20s, good);
  start(io, threads, "nobody", 20s, bad);
  start(io, threads, "2001:db8::1", 20s, literal);
  io.run();
  ASSERT_TRUE(good && *good);
  EXPECT_EQ(**good, Addresses{kAddress});
  ASSERT_TRUE(bad && !*bad);
  EXPECT_EQ(bad->error().kind, ErrorKind::not_found);
  ASSERT_TRUE(literal && *literal);
  EXPECT_EQ((*literal)->front().to_string(), "2001:db8::1");
  EXPECT_EQ(server.asked(), 2);
}

TEST(Resolver, OneThatHangsTimesOutAndHoldsUpNoOther) {
  Server server;
  NameThreads threads(server.ask(), 2);
  asio::io_context io;
  Answer stuck, other;
  start(io, threads, "hangs", 50ms, stuck);
  start(io, threads, "a.example", 20s, other);
  io.run();
  ASSERT_TRUE(stuck && !*stuck);
  EXPECT_EQ(stuck->error().kind, ErrorKind::timed_out);
  ASSERT_TRUE(other && *other);
}

TEST(Resolver, TheLoopEndsWhileAllHang) {
  Server server;
  std::optional<NameThreads> threads(std::in_place, server.ask(), 2);
  Answer answers[3];
  {
    asio::io_context io;
    for (int i = 0; i < 3; ++i) start(io, *threads, "hangs" + std::to_string(i), 1h, answers[i]);
    while (server.asked() < 2) io.run_for(5ms);
  }
  // Neither the loop nor the threads' owner is there any more when the answers come.
  threads.reset();
  server.let_go();
  for (const Answer& answer : answers) EXPECT_FALSE(answer);
}

TEST(Resolver, WhatNobodyWaitsForAnyMoreIsNotAsked) {
  Server server;
  NameThreads threads(server.ask(), 1);
  const auto first = threads.ask("hangs");
  while (server.asked() < 1) std::this_thread::sleep_for(1ms);
  for (int i = 0; i < 10; ++i) threads.ask("given up");
  const auto last = threads.ask("a.example");
  server.let_go();
  asio::io_context io;
  Answer end;
  start(io, threads, "b.example", 20s, end);  // after the others, as there is one thread
  io.run();
  EXPECT_TRUE(first->take());
  EXPECT_TRUE(last->take());
  EXPECT_EQ(server.asked(), 3);
}

TEST(Resolver, TheSystemKnowsThisMachine) {
  const auto addresses = ask_system("localhost");
  ASSERT_TRUE(addresses) << addresses.error().message;
  for (const IpAddress& address : *addresses)
    EXPECT_TRUE(address.to_string() == "127.0.0.1" || address.to_string() == "::1");
  const auto none = ask_system("no such name");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().kind, ErrorKind::not_found);
}

}  // namespace
}  // namespace swarmfs::net
