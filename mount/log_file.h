// Logs that can be rotated, and shared by processes.
#pragma once

#include <spdlog/logger.h>
#include <spdlog/sinks/sink.h>

#include <string>

namespace swarmfs::mount {

/// Appends to a file of this name, which is made if missing, its folder too. Every line is one
/// write, so several processes may append, and nothing is buffered that a fork would double.
/// Throws spdlog_ex if the file cannot be opened.
spdlog::sink_ptr log_file(const std::string& path);

/// Goes on in a new file of the same name, if the logger writes to one: whoever rotates logs has
/// moved the old one away. If there can be no new one, it stays with the old. Thread-safe.
void reopen_log(spdlog::logger& logger);

}  // namespace swarmfs::mount
