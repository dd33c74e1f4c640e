#include "mount/ask_mounts.h"

#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>

#include "mount/control.h"
#include "mount/which_mount.h"

namespace swarmfs::mount {

namespace {

using nlohmann::json;
/// Spelt out where one is made: JSON converts to and from too much.
using Answer = Result<json>;
constexpr Duration kTimeout = std::chrono::seconds(5);

struct Question {
  std::string name;
  std::string (*text)(const json&);
  std::string mountpoint;
  bool as_json = false;
};

Answer answer_of(const std::string& socket, const std::string& name) {
  const auto reply = control_request(socket, name, kTimeout);
  if (!reply) return reply.error();
  json parsed = json::parse(*reply);
  const auto answer = parsed.find(name);
  if (answer == parsed.end() || !answer->is_object())
    return fail(ErrorKind::protocol, "the mount behind " + socket + " sent no " + name);
  return Answer(boost::system::in_place_value, std::move(*answer));
}

Answer answer_on(const std::string& mountpoint, const std::string& name) {
  const auto mount = mount_at(mountpoint);
  if (!mount) return mount.error();
  auto answer = answer_of(mount->socket, name);
  if (!answer && answer.error().kind == ErrorKind::not_found)
    return fail(ErrorKind::not_found, "no swarmfs of yours is mounted on " + mountpoint);
  return answer;
}

int run(const Question& question) {
  json all = json::array();
  int exit_code = kOk;
  if (!question.mountpoint.empty()) {
    auto answer = answer_on(question.mountpoint, question.name);
    if (!answer) return report(answer.error());
    all.push_back(std::move(*answer));
  } else {
    const auto folder = control_folder();
    if (!folder) return report(folder.error());
    for (const auto& socket : control_sockets(*folder)) {
      auto answer = answer_of(socket, question.name);
      if (answer) {
        all.push_back(std::move(*answer));
      } else if (answer.error().kind != ErrorKind::not_found) {  // else left by a dead one
        exit_code = report(answer.error());
      }
    }
  }
  if (question.as_json) {
    const json& shown = question.mountpoint.empty() ? all : all.front();
    std::printf("%s\n", shown.dump(2, ' ', false, json::error_handler_t::replace).c_str());
    return exit_code;
  }
  for (const auto& answer : all) std::fputs(question.text(answer).c_str(), stdout);
  if (all.empty() && exit_code == kOk) std::puts("nothing is mounted");
  return exit_code;
}

}  // namespace

void add_question(Command app, Context& context, const std::string& name, const std::string& help,
                  std::string (*text)(const json&)) {
  const Command command = app.add(name, help);
  // Lives as long as the callback.
  const auto question = std::make_shared<Question>(Question{name, text, {}, false});
  command.option("MOUNTPOINT", question->mountpoint, "Only this mount; default: all of yours");
  command.flag("--json", question->as_json, "Print JSON: an object for MOUNTPOINT, else an array");
  command.callback([question, &context] { context.run = [question] { return run(*question); }; });
}

}  // namespace swarmfs::mount
