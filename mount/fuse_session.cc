#include "mount/fuse_session.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "mount/device_patience.h"
#include "mount/fuse_ops.h"
#include "mount/libfuse.h"
#include "mount/mountpoint.h"
#include "swarm/base/now.h"

namespace swarmfs::mount {

namespace {

/// Wakes a thread out of its read of the FUSE device. Delivered to threads of ours only.
int wake_signal() { return SIGRTMIN + 7; }

void install_wake_signal() {
  struct sigaction action {};
  action.sa_handler = [](int) {};  // without SA_RESTART: the read must end
  ::sigaction(wake_signal(), &action, nullptr);
}

/// What libfuse and fusermount3 write to stderr while this lives.
class CapturedStderr {
 public:
  CapturedStderr() : file_(::memfd_create("stderr", MFD_CLOEXEC)), saved_(::dup(STDERR_FILENO)) {
    if (file_ >= 0) ::dup2(file_, STDERR_FILENO);
  }
  ~CapturedStderr() { restore(); }
  CapturedStderr(const CapturedStderr&) = delete;
  CapturedStderr& operator=(const CapturedStderr&) = delete;

  /// The first line of it. Once.
  std::string finish() {
    char buffer[1024];
    const ssize_t n = file_ < 0 ? 0 : ::pread(file_, buffer, sizeof buffer, 0);
    restore();
    std::string text(buffer, n > 0 ? static_cast<std::size_t>(n) : 0);
    return text.substr(0, text.find('\n'));
  }

 private:
  void restore() {
    if (saved_ >= 0) ::dup2(saved_, STDERR_FILENO);
    if (saved_ >= 0) ::close(saved_);
    if (file_ >= 0) ::close(file_);
    saved_ = file_ = -1;
  }
  int file_;
  int saved_;
};

std::string mount_options(const FuseOptions& options) {
  std::string text =
      "fsname=swarmfs,subtype=swarmfs,ro,nosuid,nodev,default_permissions,max_read=" +
      std::to_string(options.max_read);
  if (options.allow_other) text += ",allow_other";
  return text;
}

Error mount_error(const std::string& mountpoint, const std::string& said) {
  const auto has = [&](const char* words) { return said.find(words) != std::string::npos; };
  const bool refused = has("ermi") || has("only allowed") || has("access");
  return fail(refused ? ErrorKind::permission : ErrorKind::io,
              "cannot mount on " + mountpoint + ": " +
                  (said.empty() ? "the system did not say why" : said));
}

constexpr auto kGrace = std::chrono::seconds(1);

}  // namespace

struct FuseSession::Impl {
  Impl(fs::Tree& tree, const FuseOptions& o)
      : options(o), bridge{tree,       FuseReads(o.expire_after, o.straddle_after, o.disk_timeout),
                           o.max_read, {},
                           {},         {}} {
    bridge.on_first_open = o.on_first_open;
  }

  Result<> open(const std::string& path);
  void serve(std::atomic<std::uint64_t>& turn);
  void connection_gone();
  void detach_own_mount();
  bool connection_is_dead() const;
  bool wait_ended(std::optional<Duration> at_most);
  void end_threads();
  void destroy();
  void close_device();

  FuseOptions options;
  std::string mountpoint;
  FuseBridge bridge;
  fuse_session* session = nullptr;
  std::optional<unsigned> connection;

  std::mutex stop_mutex;  ///< one stop() at a time
  bool stopped = false;
  std::mutex mutex;
  std::condition_variable ended;
  std::size_t serving = 0;             ///< threads in serve(); guarded by mutex
  std::atomic<bool> unmounted{false};  ///< the kernel says that the connection is gone
  std::atomic<bool> ends{false};       ///< threads are to leave
  std::vector<std::thread> threads;
  /// Of each thread, how often it took or finished a request: odd while it is at one.
  std::deque<std::atomic<std::uint64_t>> turns;
  std::vector<std::uint64_t> turns_seen;  ///< by answers()
};

Result<> FuseSession::Impl::open(const std::string& path) {
  std::string words[] = {"swarmfs", "-o", mount_options(options)};
  char* argv[] = {words[0].data(), words[1].data(), words[2].data(), nullptr};
  fuse_args args = FUSE_ARGS_INIT(3, argv);
  CapturedStderr said;
  session = fuse_session_new(&args, &fuse_operations(), sizeof(fuse_lowlevel_ops), &bridge);
  fuse_opt_free_args(&args);
  if (session == nullptr) return mount_error(path, said.finish());
  if (fuse_session_mount(session, path.c_str()) != 0) return mount_error(path, said.finish());
  mountpoint = path;
  const int flags = ::fcntl(fuse_session_fd(session), F_GETFL);
  ::fcntl(fuse_session_fd(session), F_SETFL, flags | O_NONBLOCK);  // serve() says how it waits
  if (const auto entry = mount_on(path)) connection = entry->connection;
  if (options.passthrough) bridge.passthrough.attach(session);
  return {};
}

void FuseSession::Impl::serve(std::atomic<std::uint64_t>& turn) {
  fuse_buf buffer{};
  DevicePatience patience;
  while (!ends && bridge.turn.take()) {
    const int received = fuse_session_receive_buf(session, &buffer);
    if (received == -EAGAIN) {
      if (patience.look_again(now())) {
        ::sched_yield();  // who waits for this processor may be the one who asks next
      } else {
        pollfd device{fuse_session_fd(session), POLLIN, 0};
        ::poll(&device, 1, -1);
      }
    }
    if (received == -EINTR || received == -EAGAIN) continue;
    if (received <= 0) break;  // 0: unmounted or aborted
    patience.taken(now());
    turn.fetch_add(1, std::memory_order_relaxed);
    bridge.passthrough.see_request(
        ByteView(static_cast<const std::uint8_t*>(buffer.mem), static_cast<std::size_t>(received)));
    fuse_session_process_buf(session, &buffer);
    turn.fetch_add(1, std::memory_order_relaxed);
    patience.answered(now());
  }
  bridge.turn.pass();  // the next one finds the same
  std::free(buffer.mem);
  if (!ends) connection_gone();
  const std::lock_guard lock(mutex);
  if (--serving == 0) ended.notify_all();
}

void FuseSession::Impl::connection_gone() {
  // Cut from outside, it leaves a dead mount behind. At once, while the number of the connection
  // can hardly be another's yet.
  if (!unmounted.exchange(true)) detach_own_mount();
  bridge.reads.stop();
}

void FuseSession::Impl::detach_own_mount() {
  const auto entry = mount_on(mountpoint);
  if (entry && entry->connection == connection) static_cast<void>(detach_mount(mountpoint));
}

/// Its number may then be that of another mount, even in the same place.
bool FuseSession::Impl::connection_is_dead() const {
  pollfd device{fuse_session_fd(session), POLLIN, 0};
  return ::poll(&device, 1, 0) > 0 && (device.revents & POLLERR) != 0;
}

bool FuseSession::Impl::wait_ended(std::optional<Duration> at_most) {
  std::unique_lock lock(mutex);
  const auto none = [&] { return serving == 0; };
  if (at_most) return ended.wait_for(lock, *at_most, none);
  ended.wait(lock, none);
  return true;
}

void FuseSession::Impl::end_threads() {
  ends = true;
  bridge.turn.end();
  // A signal can come just before the read it is to end, so again until all have left.
  while (!wait_ended(std::chrono::milliseconds(5))) {
    for (auto& thread : threads) ::pthread_kill(thread.native_handle(), wake_signal());
  }
  for (auto& thread : threads) thread.join();
  threads.clear();
}

void FuseSession::Impl::destroy() {
  // libfuse unmounts by path, which may be another's by now, unless poll() tells it that the
  // connection is dead: then it only frees what it holds. Closing the device cuts the connection
  // if it still lives, and a pipe that nobody reads says in its place that it is dead.
  int pipe[2];
  if (::pipe2(pipe, O_CLOEXEC) == 0) {
    ::close(pipe[0]);
    ::dup3(pipe[1], fuse_session_fd(session), O_CLOEXEC);
    ::close(pipe[1]);
    fuse_session_unmount(session);
  }
  fuse_session_destroy(session);
}

/// Cuts the connection; what is still written to it goes nowhere.
void FuseSession::Impl::close_device() {
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) return;
  ::dup3(null, fuse_session_fd(session), O_CLOEXEC);
  ::close(null);
}

FuseSession::FuseSession(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<FuseSession>> FuseSession::mount(const std::string& mountpoint,
                                                        fs::Tree& tree, FuseOptions options) {
  const auto path = prepare_mountpoint(mountpoint);
  if (!path) return path.error();
  auto impl = std::make_unique<Impl>(tree, options);
  const auto opened = impl->open(*path);
  std::unique_ptr<FuseSession> session(new FuseSession(std::move(impl)));
  if (!opened) return opened.error();
  return session;
}

FuseSession::~FuseSession() {
  if (impl_->session == nullptr) return;
  stop();
  // Whoever still holds a request would answer it into freed memory: then rather leak. Whoever
  // waits for that answer is let go.
  if (!impl_->bridge.reads.wait_idle(std::chrono::seconds(5))) {
    impl_->close_device();
    static_cast<void>(impl_.release());
    return;
  }
  impl_->destroy();
}

void FuseSession::start(InfoText info) {
  install_wake_signal();
  impl_->bridge.reads.start(impl_->session);
  impl_->bridge.info.start(std::move(info));
  impl_->bridge.watch.start(
      [session = impl_->session](fs::Ino ino) {
        return fuse_lowlevel_notify_inval_inode(session, ino, -1, 0);
      },
      impl_->options.attributes_after);
  impl_->serving = impl_->options.threads;
  for (unsigned i = 0; i < impl_->options.threads; ++i) {
    auto& turn = impl_->turns.emplace_back(0);
    impl_->threads.emplace_back([this, &turn] { impl_->serve(turn); });
  }
}

void FuseSession::wait() { impl_->wait_ended(std::nullopt); }

void FuseSession::stop() {
  const std::lock_guard lock(impl_->stop_mutex);
  if (std::exchange(impl_->stopped, true)) return;
  impl_->bridge.info.stop();
  if (!impl_->mountpoint.empty() && !impl_->unmounted) {
    // While threads serve: what waits for an answer gets one, and nothing new is taken.
    impl_->bridge.reads.stop();
    detach();  // closing the device does the rest
    // Files held open keep the connection; then it is cut.
    if (!impl_->wait_ended(kGrace) && impl_->connection && !impl_->connection_is_dead())
      abort_connection(*impl_->connection);
  }
  impl_->bridge.reads.stop();
  impl_->bridge.watch.stop();
  impl_->end_threads();
}

bool FuseSession::answers() {
  auto& seen = impl_->turns_seen;
  seen.resize(impl_->turns.size());
  bool free = seen.empty();
  const std::thread::id holder = impl_->bridge.turn.holder();
  for (std::size_t i = 0; i < seen.size(); ++i) {
    const std::uint64_t turn = impl_->turns[i].load(std::memory_order_relaxed);
    // The others are free for what the one at the device leaves them.
    const bool counts = holder == std::thread::id() || holder == impl_->threads[i].get_id();
    free = free || (counts && (turn % 2 == 0 || turn != seen[i]));
    seen[i] = turn;
  }
  return free;
}

std::optional<unsigned> FuseSession::connection() const { return impl_->connection; }

// What the kernel does not know it need not forget: errors are as good as success.
void FuseSession::forget_name(const std::string& name) {
  fuse_lowlevel_notify_inval_entry(impl_->session, fs::kRootIno, name.c_str(), name.size());
}

void FuseSession::forget_pages(const ContentSource& source) {
  impl_->bridge.files.forget_run(source);
  for (const fs::Ino ino : impl_->bridge.files.inodes_of(source))
    fuse_lowlevel_notify_inval_inode(impl_->session, ino, 0, 0);
}

void FuseSession::detach() {
  if (!impl_->connection_is_dead()) impl_->detach_own_mount();
}

const std::string& FuseSession::mountpoint() const { return impl_->mountpoint; }

FuseStats FuseSession::stats() const {
  FuseStats stats = impl_->bridge.reads.stats();
  stats.passed = impl_->bridge.passthrough.opened();
  return stats;
}

std::uint64_t FuseSession::waiting(const ContentSource& source) const {
  return impl_->bridge.reads.waiting(&source);
}

std::vector<WaitingRead> FuseSession::waits() const { return impl_->bridge.reads.waits(); }

std::vector<PastWait> FuseSession::recent_waits() const {
  return impl_->bridge.reads.recent_waits();
}

}  // namespace swarmfs::mount
