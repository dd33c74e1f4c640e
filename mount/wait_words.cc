#include "mount/wait_words.h"

#include "mount/format.h"

namespace swarmfs::mount {

using engine::WaitCause;

const char* name_of(WaitCause cause) {
  switch (cause) {
    case WaitCause::handing_over:
      return "handing_over";
    case WaitCause::verifying:
      return "verifying";
    case WaitCause::leaf_hashes:
      return "leaf_hashes";
    case WaitCause::busy:
      return "busy";
    case WaitCause::asked:
      return "asked";
    case WaitCause::overdue:
      return "overdue";
    case WaitCause::probation:
      return "probation";
    case WaitCause::limited:
      return "limited";
    case WaitCause::choked:
      return "choked";
    case WaitCause::nobody_has:
      return "nobody_has";
    case WaitCause::no_peers:
      return "no_peers";
    case WaitCause::layers:
      return "layers";
    case WaitCause::paused:
      return "paused";
  }
  return "";
}

static std::string past_words(WaitCause cause, const engine::WaitTrace& trace) {
  switch (cause) {
    case WaitCause::handing_over:
      return "waited for its turn on this machine";
    case WaitCause::verifying:
      return "its bytes were being checked";
    case WaitCause::leaf_hashes:
      return "the hashes to check it with were missing";
    case WaitCause::busy:
      return "who had it was busy with what was asked before";
    case WaitCause::asked:
    case WaitCause::overdue:
      return (trace.asked_of() ? trace.asked_of()->to_string() : std::string("a peer")) +
             " was asked and sent nothing";
    case WaitCause::probation:
      return "it had failed its hash before and had to come from one peer alone";
    case WaitCause::limited:
      return "the limit for downloads held it back";
    case WaitCause::choked:
      return "everybody who has it choked us";
    case WaitCause::nobody_has:
      return "no connected peer had it";
    case WaitCause::no_peers:
      return "no peer was connected";
    case WaitCause::layers:
      return "the hashes of its pieces were missing";
    case WaitCause::paused:
      return "the torrent was paused";
  }
  return "";
}

std::string words(const engine::WaitTrace& trace, TimePoint end) {
  const auto longest = trace.longest(end);
  std::string text;
  const bool plain = longest.cause == WaitCause::asked && trace.first();
  if (!plain) {
    text = past_words(longest.cause, trace) + " (" + human_wait(to_seconds(longest.took)) + " of " +
           human_wait(to_seconds(end - trace.parked())) + ")";
  }
  if (trace.first()) {
    if (!text.empty()) text += "; ";
    text += "first block from " + trace.first()->from.to_string() + " after " +
            human_wait(to_seconds(trace.first()->after));
  }
  return text;
}

}  // namespace swarmfs::mount
