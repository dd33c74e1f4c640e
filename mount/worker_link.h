// What a worker and its supervisor tell each other.
//
// A pair of sockets, one message a datagram: a letter, and for some a text. The supervisor believes
// none of it more than it must: a text is a line to show or a number, of bounded length.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "swarm/base/clock.h"
#include "swarm/base/fd.h"
#include "swarm/base/result.h"

namespace swarmfs::mount {

enum class Note : char {
  // The worker says:
  mounted = 'M',   ///< on the mount point; the text is the number of the FUSE connection
  ready = 'R',     ///< the tree is visible and served
  failed = 'F',    ///< why it could not start: to_text() of an Error
  opened = 'O',    ///< a program opens a file, the first one
  alive = 'A',     ///< to ask_alive
  status = 'S',    ///< to ask_status: a line for people
  reloaded = 'L',  ///< to reload
  ending = 'E',    ///< somebody wants it to end, or has unmounted it
  // The supervisor says:
  ask_alive = 'a',
  ask_status = 's',
  reload = 'l',
};

struct Message {
  Note note;
  std::string text;
};

/// How an Error travels as a text, and back: of a text that is none, an io error with it as
/// message.
std::string to_text(const Error& error);
Error error_from_text(std::string_view text);

/// One end. Thread-safe for sending; one thread receives.
class Link {
 public:
  static constexpr std::size_t kMaxText = 1024;

  /// The supervisor's end and the worker's.
  static Result<std::pair<Link, Link>> make_pair();

  /// Never waits: a message that does not fit, or that nobody is there for, is dropped. The text is
  /// cut to kMaxText.
  void send(Note note, std::string_view text = {}) const;
  /// Never waits. Nothing if there is no message.
  std::optional<Message> receive();
  /// True once receive() found that the other end, in every process that had it, is closed.
  bool ended() const { return ended_; }
  /// Readable when a message is there or the other end is closed.
  int fd() const { return fd_.get(); }
  void close() { fd_ = Fd(); }

 private:
  explicit Link(int fd) : fd_(fd) {}
  Fd fd_;
  bool ended_ = false;
};

/// Listens at a worker's end, on a thread of its own.
class LinkListener {
 public:
  struct Handlers {
    /// Called on the listener's thread for what the supervisor says; may take a while.
    std::function<void(Note)> on_note;
    /// The supervisor is gone: asks the worker to end.
    std::function<void()> on_gone;
    /// The worker has not ended within `grace` since then. Should not return.
    std::function<void()> on_overdue;
  };
  /// The link outlives this.
  LinkListener(Link& link, Handlers handlers, Duration grace);
  ~LinkListener();
  LinkListener(const LinkListener&) = delete;
  LinkListener& operator=(const LinkListener&) = delete;

 private:
  void run();
  /// True if the listener is to end.
  bool wait(int fd, int timeout_ms) const;

  Link& link_;
  const Handlers handlers_;
  const Duration grace_;
  Fd end_;  ///< an eventfd
  std::thread thread_;
};

}  // namespace swarmfs::mount
