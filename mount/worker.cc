#include "mount/worker.h"

#include <unistd.h>

#include <csignal>
#include <exception>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "mount/exit_codes.h"
#include "mount/mountpoint.h"
#include "mount/status_text.h"

namespace swarmfs::mount {

namespace {

using namespace std::chrono_literals;

/// For the end of a worker whose supervisor is gone: nobody else would see to it.
constexpr Duration kGrace = 5s;

class Worker {
 public:
  Worker(Link& link, std::shared_ptr<spdlog::logger> logger)
      : link_(link), logger_(std::move(logger)) {}

  int run(MountOptions options, const std::function<void()>& on_visible);

 private:
  LinkListener::Handlers handlers();
  void on_note(Note note);
  void on_mounted(unsigned connection);
  void end_by_force();
  int failed(const Error& error) const;

  Link& link_;
  const std::shared_ptr<spdlog::logger> logger_;
  std::mutex mutex_;                 ///< guards what follows
  MountService* service_ = nullptr;  ///< while it serves
  std::string mountpoint_;
  std::optional<MountEntry> mount_;
};

int Worker::run(MountOptions options, const std::function<void()>& on_visible) {
  // The first of all: from here on the worker does not outlive its supervisor.
  const LinkListener listener(link_, handlers(), kGrace);
  mountpoint_ = options.mountpoint;
  const pid_t supervisor = ::getppid();
  options.supervisor_pid = supervisor;
  options.hooks.on_mounted = [this](unsigned connection) { on_mounted(connection); };
  options.hooks.on_first_open = [this] { link_.send(Note::opened); };
  options.hooks.on_ending = [this] { link_.send(Note::ending); };
  auto service = MountService::start(std::move(options), logger_);
  if (!service) return failed(service.error());
  on_visible();
  const auto serving = [this](MountService* now) {
    const std::lock_guard lock(mutex_);
    service_ = now;
  };
  serving(service->get());
  link_.send(Note::ready);
  const int code = (*service)->run();
  serving(nullptr);
  service->reset();
  // The supervisor would see to a connection that was cut without an unmount.
  if (mount_ && ::getppid() != supervisor) remove_dead_mount(*mount_);
  return code;
}

void Worker::on_mounted(unsigned connection) {
  const auto entry = mount_on(mountpoint_);
  if (entry && entry->connection == connection) mount_ = entry;
  link_.send(Note::mounted, std::to_string(connection));
}

LinkListener::Handlers Worker::handlers() {
  return {
      .on_note = [this](Note note) { on_note(note); },
      .on_gone =
          [this] {
            logger_->error("the supervisor has died: ending");
            ::kill(::getpid(), SIGTERM);  // for MountService::run(), now or when it gets there
          },
      .on_overdue = [this] { end_by_force(); },
  };
}

void Worker::on_note(Note note) {
  const std::lock_guard lock(mutex_);
  if (service_ == nullptr) return;
  if (note == Note::ask_alive) {
    service_->ask_alive([this] { link_.send(Note::alive); });
  } else if (note == Note::ask_status) {
    link_.send(Note::status, status_line(service_->status()));
  } else if (note == Note::reload) {
    service_->reload();
    link_.send(Note::reloaded);
  }
}

void Worker::end_by_force() {
  {
    const std::lock_guard lock(mutex_);
    if (service_ != nullptr) service_->detach();
  }
  logger_->error("it did not end in order within {:.0f} s", to_seconds(kGrace));
  ::_exit(kFailed);  // which cuts the connection
}

int Worker::failed(const Error& error) const {
  link_.send(Note::failed, to_text(error));
  return exit_code_for(error.kind);
}

}  // namespace

int run_worker(Link& link, MountOptions options, const std::shared_ptr<spdlog::logger>& logger,
               const std::function<void()>& on_visible) {
  try {
    return Worker(link, logger).run(std::move(options), on_visible);
  } catch (const std::exception& e) {
    link.send(Note::failed, to_text(fail(ErrorKind::cancelled, e.what())));
    return kFailed;
  }
}

}  // namespace swarmfs::mount
