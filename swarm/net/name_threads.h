// Threads that ask the system for the addresses of names: getaddrinfo() waits as long as a name
// server likes, and nobody who ends may wait with it.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "swarm/base/endpoint.h"
#include "swarm/base/fd.h"
#include "swarm/base/result.h"

namespace swarmfs::net {

using Addresses = std::vector<IpAddress>;
/// Asks for the addresses of a name, for as long as it takes. Called in any thread.
using AskName = std::function<Result<Addresses>(const std::string& name)>;

/// getaddrinfo(): never empty, each address once, in the system's order. not_found.
Result<Addresses> ask_system(const std::string& name);

/// One question. Both who asked and the thread that asks may let go of it first.
class NameQuestion {
 public:
  explicit NameQuestion(std::string name);
  /// Readable from the answer on. Belongs to this.
  int fd() const { return answered_.get(); }
  /// What came. Once fd() is readable.
  Result<Addresses> take();

 private:
  friend class NameThreads;
  void answer(Result<Addresses> addresses);

  const std::string name_;
  const Fd answered_;
  std::mutex mutex_;
  Result<Addresses> addresses_;  ///< guarded by mutex_; written before answered_
};

/// Starts a thread whenever one is missing, up to a number; questions beyond wait for one of them.
/// Threads are never waited for: at the end they, and what they share, are left to themselves.
/// Thread-safe.
class NameThreads {
 public:
  NameThreads(AskName ask, unsigned threads);
  /// Whoever lets go of the question before a thread takes it spares it. One that cannot be asked
  /// (no thread, no descriptor) is answered at once with why.
  std::shared_ptr<NameQuestion> ask(std::string name);

 private:
  struct Shared;
  static void run(const std::shared_ptr<Shared>& shared);

  std::shared_ptr<Shared> shared_;
};

}  // namespace swarmfs::net
