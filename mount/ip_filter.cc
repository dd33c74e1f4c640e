#include "mount/ip_filter.h"

#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <system_error>

#include "swarm/engine/address_list.h"

namespace swarmfs::mount {

/// zlib tells the packed from the plain by their first bytes.
static Result<std::string> read_list(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored))
    return fail(ErrorKind::bad_input, "--ip-filter " + path + ": is a folder, not a list");
  errno = 0;
  const std::unique_ptr<gzFile_s, int (*)(gzFile)> file(::gzopen(path.c_str(), "rbe"), &::gzclose);
  if (!file) return Error::from_errno(errno != 0 ? errno : ENOMEM, "--ip-filter " + path);
  std::string text;
  for (int got = 1; got > 0;) {
    constexpr std::size_t kChunk = 1 << 20;
    const std::size_t before = text.size();
    text.resize(before + kChunk);
    got = ::gzread(file.get(), text.data() + before, kChunk);
    text.resize(before + static_cast<std::size_t>(std::max(got, 0)));
    if (text.size() > kMaxFilterText)
      return fail(ErrorKind::bad_input, "--ip-filter " + path + ": is too long for a list");
  }
  int error = Z_OK;
  const char* const why = ::gzerror(file.get(), &error);
  if (error == Z_ERRNO) return Error::from_errno(errno, "--ip-filter " + path);
  if (error != Z_OK)
    return fail(ErrorKind::bad_input, "--ip-filter " + path + ": cannot be unpacked: " + why);
  return text;
}

Result<engine::AddressFilterPtr> load_ip_filters(const std::vector<std::string>& paths,
                                                 spdlog::logger& logger) {
  engine::AddressFilter::Builder builder;
  for (const std::string& path : paths) {
    const auto text = read_list(path);
    if (!text) return text.error();
    const auto report = engine::parse_address_list(*text, builder);
    if (!report.first_bad) continue;
    const std::string what = "--ip-filter " + path + ": line " +
                             std::to_string(report.first_bad->number) + ": " +
                             report.first_bad->why;
    if (report.good == 0) return fail(ErrorKind::bad_input, what);
    logger.warn("{}{}", what,
                report.bad == 1 ? "; it was left out"
                                : "; it and " + std::to_string(report.bad - 1) +
                                      " more such lines were left out");
  }
  auto filter = std::make_shared<const engine::AddressFilter>(builder.build());
  logger.info("the IP filter has {} ranges", filter->ranges());
  return engine::AddressFilterPtr(std::move(filter));
}

}  // namespace swarmfs::mount
