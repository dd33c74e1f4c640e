// What the command line takes: a thin face over the library that parses it.
//
// That library is all templates and inline classes, and costs each file that includes it many
// seconds. No type of it is in this header, and command_line.cc alone includes it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "swarm/base/result.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace swarmfs::mount {

/// An option, flag or positional argument. A handle, for as long as the Program it belongs to; what
/// its functions say is about the option, and they return the handle so that they can be chained.
class Option {
 public:
  Option required() const;
  /// What the help calls its value, instead of the name of a type.
  Option type_name(const std::string& name) const;
  /// What the help shows instead of all about its value.
  Option text(const std::string& shown) const;
  /// The environment variable that stands in if the command line does not have it.
  Option env(const std::string& variable) const;
  /// One value each time it is given, so that a positional argument can follow it.
  Option one_each() const;
  /// Only from `least` to `most`, both included.
  Option range(unsigned least, unsigned most) const;
  Option range(int least, int most) const;
  Option not_negative() const;
  /// Refuses a value with the message of the error; the help shows `kind` as what fits, if any.
  Option check(std::function<Result<>(const std::string&)> fits,
               const std::string& kind = {}) const;
  /// Replaces each value before anything else looks at it.
  Option transform(const std::function<std::string(const std::string&)>& replacement) const;
  /// The help shows the value that its variable has now.
  Option shown_default() const;
  /// Not together with the other one.
  Option excludes(Option other) const;
  /// Not in the help.
  Option hidden() const;

 private:
  friend class Command;
  explicit Option(CLI::Option* option) : option_(option) {}

  CLI::Option* option_;
};

/// A command and what it takes. A handle, for as long as the Program it belongs to.
///
/// `names` are as in "-o,--output"; without dashes it is a positional argument. Variables that
/// values go into outlive parsing, and keep what they hold if the option is not given. Mistakes in
/// names are ours, and thrown.
class Command {
 public:
  /// Takes the text of a value. An error is shown after the last of the option's names.
  using Parser = std::function<Result<>(const std::string&)>;

  /// A command below this one.
  Command add(const std::string& name, const std::string& help) const;
  /// Of the commands below this one, one may be chosen and none need be.
  void at_most_one_below() const;

  Option option(const std::string& names, std::string& into, const std::string& help) const;
  Option option(const std::string& names, int& into, const std::string& help) const;
  Option option(const std::string& names, unsigned& into, const std::string& help) const;
  Option option(const std::string& names, std::optional<unsigned>& into,
                const std::string& help) const;
  Option option(const std::string& names, std::optional<std::int64_t>& into,
                const std::string& help) const;
  /// Several values; a positional argument takes all that are left.
  Option option(const std::string& names, std::vector<std::string>& into,
                const std::string& help) const;
  Option option(const std::string& names, Parser parse, const std::string& help) const;
  /// Several values, in their order.
  Option each(const std::string& names, Parser parse, const std::string& help) const;

  /// After '!' stands a name that clears it: "--reads-exempt,!--no-reads-exempt".
  Option flag(const std::string& names, bool& into, const std::string& help = {}) const;
  Option flag(const std::string& names, std::function<void()> given, const std::string& help) const;
  /// Says how often it was given, less how often by a name after '!'.
  Option counted_flag(const std::string& names, std::function<void(std::int64_t)> given,
                      const std::string& help) const;

  /// The end of the help.
  void footer(const std::string& text) const;
  /// Called once all is parsed, if this is the chosen command or one above it; those below first.
  void callback(std::function<void()> chosen) const;

 private:
  friend class Program;
  explicit Command(CLI::App* app) : app_(app) {}

  CLI::App* app_;
};

/// The whole command line, which wants one command. Owns everything that has been added to it.
class Program {
 public:
  /// `version` is the line that --version prints.
  Program(const std::string& name, const std::string& about, const std::string& version);
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  ~Program();

  /// Its options are those of all commands.
  Command top() const;
  /// The first of the arguments is the program's name. Nothing: they are right, and callbacks have
  /// been called; otherwise help or an error has been printed, and this is the ExitCode. Throws
  /// what callbacks throw.
  std::optional<int> parse(std::vector<std::string> arguments);

 private:
  std::unique_ptr<CLI::App> app_;
};

}  // namespace swarmfs::mount
