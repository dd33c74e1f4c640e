#include "mount/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <utility>

#include "mount/exit_codes.h"

namespace swarmfs::mount {

Option Option::required() const { return Option(option_->required()); }

Option Option::type_name(const std::string& name) const { return Option(option_->type_name(name)); }

Option Option::text(const std::string& shown) const { return Option(option_->option_text(shown)); }

Option Option::env(const std::string& variable) const { return Option(option_->envname(variable)); }

Option Option::one_each() const { return Option(option_->allow_extra_args(false)); }

Option Option::range(unsigned least, unsigned most) const {
  return Option(option_->check(CLI::Range(least, most)));
}

Option Option::range(int least, int most) const {
  return Option(option_->check(CLI::Range(least, most)));
}

Option Option::not_negative() const { return Option(option_->check(CLI::NonNegativeNumber)); }

Option Option::check(std::function<Result<>(const std::string&)> fits,
                     const std::string& kind) const {
  const auto objection = [fits = std::move(fits)](const std::string& text) {
    const Result<> fit = fits(text);
    return fit ? std::string() : fit.error().message;
  };
  return Option(option_->check(objection, kind));
}

Option Option::transform(const std::function<std::string(const std::string&)>& replacement) const {
  return Option(option_->transform(replacement));
}

Option Option::shown_default() const { return Option(option_->capture_default_str()); }

Option Option::excludes(Option other) const { return Option(option_->excludes(other.option_)); }

Option Option::hidden() const { return Option(option_->group("")); }

Command Command::add(const std::string& name, const std::string& help) const {
  return Command(app_->add_subcommand(name, help));
}

void Command::at_most_one_below() const { app_->require_subcommand(0, 1); }

Option Command::option(const std::string& names, std::string& into, const std::string& help) const {
  return Option(app_->add_option(names, into, help));
}

Option Command::option(const std::string& names, int& into, const std::string& help) const {
  return Option(app_->add_option(names, into, help));
}

Option Command::option(const std::string& names, unsigned& into, const std::string& help) const {
  return Option(app_->add_option(names, into, help));
}

Option Command::option(const std::string& names, std::optional<unsigned>& into,
                       const std::string& help) const {
  return Option(app_->add_option(names, into, help));
}

Option Command::option(const std::string& names, std::optional<std::int64_t>& into,
                       const std::string& help) const {
  return Option(app_->add_option(names, into, help));
}

Option Command::option(const std::string& names, std::vector<std::string>& into,
                       const std::string& help) const {
  return Option(app_->add_option(names, into, help));
}

/// The library learns of an error by an exception.
static std::function<void(const std::string&)> throwing(const std::string& names,
                                                        Command::Parser parse) {
  return [name = names.substr(names.rfind(',') + 1),
          parse = std::move(parse)](const std::string& text) {
    if (const Result<> parsed = parse(text); !parsed)
      throw CLI::ValidationError(name, parsed.error().message);
  };
}

Option Command::option(const std::string& names, Parser parse, const std::string& help) const {
  return Option(
      app_->add_option_function<std::string>(names, throwing(names, std::move(parse)), help));
}

Option Command::each(const std::string& names, Parser parse, const std::string& help) const {
  return Option(app_->add_option_function<std::vector<std::string>>(
      names,
      [take = throwing(names, std::move(parse))](const std::vector<std::string>& texts) {
        for (const std::string& text : texts) take(text);
      },
      help));
}

Option Command::flag(const std::string& names, bool& into, const std::string& help) const {
  return Option(app_->add_flag(names, into, help));
}

Option Command::flag(const std::string& names, std::function<void()> given,
                     const std::string& help) const {
  return Option(app_->add_flag_callback(names, std::move(given), help));
}

Option Command::counted_flag(const std::string& names, std::function<void(std::int64_t)> given,
                             const std::string& help) const {
  return Option(app_->add_flag_function(names, std::move(given), help));
}

void Command::footer(const std::string& text) const { app_->footer(text); }

void Command::callback(std::function<void()> chosen) const { app_->callback(std::move(chosen)); }

Program::Program(const std::string& name, const std::string& about, const std::string& version)
    : app_(std::make_unique<CLI::App>(about, name)) {
  app_->set_version_flag("--version", version);
  app_->require_subcommand(1);
  app_->fallthrough();
}

Program::~Program() = default;

Command Program::top() const { return Command(app_.get()); }

std::optional<int> Program::parse(std::vector<std::string> arguments) {
  std::reverse(arguments.begin(), arguments.end());  // as the library takes them, less the name
  arguments.pop_back();
  try {
    app_->parse(std::move(arguments));
    return std::nullopt;
  } catch (const CLI::ParseError& e) {
    return app_->exit(e) == 0 ? kOk : kUsage;
  }
}

}  // namespace swarmfs::mount
