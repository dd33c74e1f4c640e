#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_color_sinks.h>

#include <algorithm>
#include <utility>

#include "mount/commands.h"
#include "mount/log_file.h"

namespace swarmfs::mount {

std::shared_ptr<spdlog::logger> Context::make_logger() const {
  spdlog::sink_ptr sink;
  if (log_file.empty()) {
    sink = std::make_shared<spdlog::sinks::stderr_color_sink_mt>();
  } else {
    sink = mount::log_file(log_file);
  }
  auto logger = std::make_shared<spdlog::logger>("swarmfs", std::move(sink));
  static constexpr spdlog::level::level_enum kLevels[] = {
      spdlog::level::err, spdlog::level::warn, spdlog::level::info, spdlog::level::debug};
  logger->set_level(kLevels[static_cast<std::size_t>(std::clamp(verbosity, -1, 2) + 1)]);
  logger->flush_on(spdlog::level::info);
  return logger;
}

}  // namespace swarmfs::mount
