#include "mount/log_file.h"

#include <fcntl.h>
#include <spdlog/sinks/base_sink.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <memory>
#include <mutex>
#include <system_error>

#include "swarm/base/fd.h"

namespace swarmfs::mount {

namespace {

class LogFile final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit LogFile(std::string path) : path_(std::move(path)), file_(open()) {
    if (!file_.valid()) spdlog::throw_spdlog_ex("cannot open the log file " + path_, errno);
  }

  void reopen() {
    const std::lock_guard lock(mutex_);
    if (Fd fresh = open(); fresh.valid()) file_ = std::move(fresh);
  }

 private:
  Fd open() const {
    std::error_code ignored;  // open() says what is wrong
    std::filesystem::create_directories(std::filesystem::path(path_).parent_path(), ignored);
    return Fd(::open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666));
  }
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    while (::write(file_.get(), line.data(), line.size()) < 0 && errno == EINTR) {
    }
  }
  void flush_() override {}

  const std::string path_;
  Fd file_;
};

}  // namespace

spdlog::sink_ptr log_file(const std::string& path) { return std::make_shared<LogFile>(path); }

void reopen_log(spdlog::logger& logger) {
  for (const auto& sink : logger.sinks())
    if (const auto file = std::dynamic_pointer_cast<LogFile>(sink)) file->reopen();
}

}  // namespace swarmfs::mount
