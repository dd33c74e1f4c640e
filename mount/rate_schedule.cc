#include "mount/rate_schedule.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

#include "mount/rate_text.h"

namespace swarmfs::mount {
namespace {

constexpr unsigned kDay = 24 * 60;

std::optional<unsigned> number(std::string_view text) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || text.size() > 2 || error != std::errc{} || end != text.data() + text.size())
    return std::nullopt;
  return value;
}

/// Minutes of the day, 24:00 included.
std::optional<unsigned> minute_of(std::string_view text) {
  const auto colon = text.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto hour = number(text.substr(0, colon)), minute = number(text.substr(colon + 1));
  if (!hour || !minute || *minute > 59 || *hour * 60 + *minute > kDay) return std::nullopt;
  return *hour * 60 + *minute;
}

std::optional<unsigned> day_of(std::string_view text) {
  static constexpr std::array<std::string_view, 7> kDays{"mon", "tue", "wed", "thu",
                                                         "fri", "sat", "sun"};
  const auto at = std::find(kDays.begin(), kDays.end(), text);
  if (at == kDays.end()) return std::nullopt;
  return static_cast<unsigned>(at - kDays.begin());
}

/// "mon" or "fri-mon", as bits.
std::optional<unsigned> days_of(std::string_view text) {
  const auto dash = text.find('-');
  const auto first = day_of(text.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : day_of(text.substr(dash + 1));
  if (!first || !last) return std::nullopt;
  unsigned days = 1U << *first;
  for (unsigned day = *first; day != *last;) days |= 1U << (day = (day + 1) % 7);
  return days;
}

}  // namespace

LocalMoment LocalMoment::of(std::time_t time) {
  std::tm local{};
  ::tzset();  // localtime_r() need not look whether the zone is another
  ::localtime_r(&time, &local);
  return {static_cast<unsigned>((local.tm_wday + 6) % 7),
          static_cast<unsigned>(local.tm_hour * 60 + local.tm_min),
          static_cast<unsigned>(local.tm_sec)};
}

Result<RateRule> RateRule::parse(std::string_view given) {
  const auto bad = [&](const std::string& why) {
    return fail(ErrorKind::bad_input, "\"" + std::string(given) + "\": " + why +
                                          "; write a rule like 22:00-07:00,mon-fri=none/500K");
  };
  std::string lower(given);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  const std::string_view text = lower;
  RateRule rule;
  rule.text = lower;
  const auto equals = text.find('=');
  if (equals == std::string_view::npos) return bad("it has no =");
  const std::string_view when = text.substr(0, equals), rates = text.substr(equals + 1);
  const auto comma = when.find(',');
  const std::string_view hours = when.substr(0, comma);
  const auto dash = hours.find('-');
  const auto begin = minute_of(hours.substr(0, dash));
  const auto end =
      dash == std::string_view::npos ? std::nullopt : minute_of(hours.substr(dash + 1));
  if (!begin || !end || *begin == kDay) return bad("its times are no HH:MM-HH:MM");
  rule.begin = *begin;
  rule.end = *end;
  if (comma != std::string_view::npos) rule.days = 0;
  for (auto at = comma; at != std::string_view::npos;) {
    const auto next = when.find(',', at + 1);
    const auto days = days_of(when.substr(at + 1, next - at - 1));
    if (!days) return bad("days are mon, tue, wed, thu, fri, sat and sun");
    rule.days |= *days;
    at = next;
  }
  // A rate may end in /s.
  auto slash = rates.find('/');
  if (slash != std::string_view::npos && rates.substr(slash).starts_with("/s/")) slash += 2;
  if (slash == std::string_view::npos) return bad("it has no rates DOWN/UP");
  const auto down = parse_rate(rates.substr(0, slash)), up = parse_rate(rates.substr(slash + 1));
  if (!down) return bad(down.error().message);
  if (!up) return bad(up.error().message);
  rule.down_bps = *down;
  rule.up_bps = *up;
  return rule;
}

bool RateRule::holds(const LocalMoment& moment) const {
  const auto on = [&](unsigned day) { return (days >> day & 1) != 0; };
  if (begin < end) return on(moment.weekday) && begin <= moment.minute && moment.minute < end;
  // Over midnight; with equal ends a whole day.
  if (moment.minute >= begin) return on(moment.weekday);
  return moment.minute < end && on((moment.weekday + 6) % 7);
}

const RateRule* RateSchedule::find(const LocalMoment& now) const {
  const auto at = std::find_if(rules_.begin(), rules_.end(),
                               [&](const RateRule& rule) { return rule.holds(now); });
  return at == rules_.end() ? nullptr : &*at;
}

std::optional<engine::RateLimits> RateSchedule::change(const LocalMoment& now) {
  const RateRule* const rule = find(now);
  if (last_ == rule) return std::nullopt;
  last_ = rule;
  engine::RateLimits limits = otherwise_;
  if (rule == nullptr) return limits;
  limits.down_bps = rule->down_bps;
  limits.up_bps = rule->up_bps;
  return limits;
}

std::string RateSchedule::rule_at(const LocalMoment& now) const {
  const RateRule* const rule = find(now);
  return rule == nullptr ? "" : rule->text;
}

}  // namespace swarmfs::mount
