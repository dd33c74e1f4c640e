#include "swarm/wire/mse.h"

#include <algorithm>
#include <functional>
#include <utility>

namespace swarmfs::wire::mse {

namespace {

/// The verification constant, which shows that both have the same keys.
constexpr std::array<std::uint8_t, 8> kVc{};
constexpr std::size_t kSkipped = 1024;

Sha1Hash hash(std::string_view name, ByteView a, ByteView b = {}) {
  Bytes all;
  append(all, as_bytes(name));
  append(all, a);
  append(all, b);
  return sha1(all);
}

}  // namespace

Sha1Hash torrent_key(const Sha1Hash& info_hash) { return hash("req2", info_hash); }

// --- both sides

Exchange::Exchange(std::uint32_t allowed, Chance chance)
    : allowed_(allowed), chance_(std::move(chance)) {}

void Exchange::receive(ByteView bytes) {
  if (state_ == State::failed) return;
  append(input_, bytes);
  while (state_ == State::under_way && step()) continue;
  if (state_ == State::under_way && at_ < input_.size()) return;
  input_.clear();
  at_ = 0;
}

bool Exchange::fail(std::string_view why) {
  state_ = State::failed;
  why_ = why;
  return false;
}

ByteView Exchange::decrypt(std::size_t bytes) {
  const MutableByteView there = MutableByteView(input_).subspan(at_, bytes);
  in_->apply(there);
  at_ += bytes;
  return there;
}

void Exchange::encrypt(ByteView bytes) {
  const std::size_t before = output_.size();
  append(output_, bytes);
  out_->apply(MutableByteView(output_).subspan(before));
}

bool Exchange::find(ByteView mark) {
  const ByteView window = peek(std::min(input_.size() - at_, kMaxPad + mark.size()));
  const auto there = std::search(window.begin(), window.end(), mark.begin(), mark.end());
  if (there == window.end()) {
    if (window.size() == kMaxPad + mark.size()) fail("what should follow the key does not");
    return false;
  }
  skip(static_cast<std::size_t>(there - window.begin()) + mark.size());
  return true;
}

bool Exchange::agree(const dh768::Number& theirs) {
  const auto secret = dh768::shared_secret(theirs, chance_.exponent);
  if (!secret) return fail("a public key that hides nothing");
  secret_ = *secret;
  return true;
}

void Exchange::set_keys(const Sha1Hash& info_hash, std::string_view in, std::string_view out) {
  in_.emplace(hash(in, secret_, info_hash), kSkipped);
  out_.emplace(hash(out, secret_, info_hash), kSkipped);
}

/// What is left of the input belongs to the stream.
void Exchange::finish() {
  const ByteView rest =
      selected_ == kRc4 ? decrypt(input_.size() - at_) : ByteView(input_).subspan(at_);
  append(payload_, rest);
  state_ = State::done;
}

// --- who opens

Initiator::Initiator(const Sha1Hash& info_hash, std::uint32_t provide, Chance chance)
    : Exchange(provide, std::move(chance)), info_hash_(info_hash) {
  append(output_, dh768::public_key(chance_.exponent));
  append(output_, chance_.first_pad);
}

std::size_t Initiator::add_initial_payload(ByteView bytes) {
  if (sent_) return 0;
  const std::size_t taken = std::min(bytes.size(), kMaxInitialPayload - initial_.size());
  append(initial_, bytes.first(taken));
  return taken;
}

bool Initiator::step() {
  switch (where_) {
    case At::key: {
      dh768::Number theirs;
      if (!have(theirs.size())) return false;
      std::ranges::copy(peek(theirs.size()), theirs.begin());
      skip(theirs.size());
      if (!agree(theirs)) return false;
      set_keys(info_hash_, "keyB", "keyA");
      send_request();
      where_ = At::answer;
      return true;
    }
    case At::answer: {
      // Zeros as they encrypt them are their key stream.
      Rc4 ahead = *in_;
      std::array<std::uint8_t, kVc.size()> mark = kVc;
      ahead.apply(mark);
      if (!find(mark)) return false;
      in_ = ahead;
      where_ = At::select;
      return true;
    }
    case At::select: {
      if (!have(6)) return false;
      const ByteView answer = decrypt(6);
      selected_ = load_be<std::uint32_t>(answer.data());
      pad_ = load_be<std::uint16_t>(answer.data() + 4);
      if ((selected_ != kPlain && selected_ != kRc4) || (selected_ & allowed_) == 0)
        return fail("chose an encryption that was not offered");
      if (pad_ > kMaxPad) return fail("a pad that is too long");
      where_ = At::pad;
      return true;
    }
    case At::pad:
      if (!have(pad_)) return false;
      decrypt(pad_);
      finish();
      return false;
  }
  return false;
}

void Initiator::send_request() {
  append(output_, hash("req1", secret_));
  Sha1Hash torrent = torrent_key(info_hash_);
  const Sha1Hash mask = hash("req3", secret_);
  std::ranges::transform(torrent, mask, torrent.begin(), std::bit_xor<>());
  append(output_, torrent);
  Bytes request;
  append(request, kVc);
  append_be(request, allowed_);
  append_be(request, static_cast<std::uint16_t>(chance_.second_pad.size()));
  append(request, chance_.second_pad);
  append_be(request, static_cast<std::uint16_t>(initial_.size()));
  append(request, initial_);
  encrypt(request);
  sent_ = true;
}

// --- who answers

Responder::Responder(std::uint32_t allowed, Chance chance, FindTorrent find)
    : Exchange(allowed, std::move(chance)), find_torrent_(std::move(find)) {}

bool Responder::step() {
  switch (where_) {
    case At::key:
      return on_key();
    case At::request:
      if (!find(hash("req1", secret_))) return false;
      where_ = At::torrent;
      return true;
    case At::torrent:
      return on_torrent();
    case At::provide:
      return on_provide();
    case At::pad:
      if (!have(pad_ + 2)) return false;
      initial_ = load_be<std::uint16_t>(decrypt(pad_ + 2).subspan(pad_).data());
      where_ = At::initial;
      return true;
    case At::initial: {
      if (!have(initial_)) return false;
      append(payload_, decrypt(initial_));  // which is in RC4 whatever follows
      answer();
      selected_ = chosen_;
      finish();
      return false;
    }
  }
  return false;
}

bool Responder::on_key() {
  dh768::Number theirs;
  if (!have(theirs.size())) return false;
  std::ranges::copy(peek(theirs.size()), theirs.begin());
  skip(theirs.size());
  if (!agree(theirs)) return false;
  // libtorrent up to 2.0.11 loses its way where the secret begins with a zero. Theirs is fixed, but
  // ours is not said yet.
  for (int tries = 0; secret_[0] == 0 && tries < 8; ++tries) {
    ++chance_.exponent.back();
    if (!agree(theirs)) return false;
  }
  append(output_, dh768::public_key(chance_.exponent));
  append(output_, chance_.first_pad);
  where_ = At::request;
  return true;
}

bool Responder::on_torrent() {
  Sha1Hash torrent;
  if (!have(torrent.size())) return false;
  const Sha1Hash mask = hash("req3", secret_);
  std::ranges::transform(peek(torrent.size()), mask, torrent.begin(), std::bit_xor<>());
  skip(torrent.size());
  const auto info_hash = find_torrent_(torrent);
  if (!info_hash) return fail("for another torrent");
  set_keys(*info_hash, "keyA", "keyB");
  where_ = At::provide;
  return true;
}

bool Responder::on_provide() {
  constexpr std::size_t kSize = kVc.size() + 6;
  if (!have(kSize)) return false;
  const ByteView request = decrypt(kSize);
  if (!std::ranges::equal(request.first(kVc.size()), kVc)) return fail("its keys are not ours");
  const std::uint32_t both = load_be<std::uint32_t>(request.data() + kVc.size()) & allowed_;
  pad_ = load_be<std::uint16_t>(request.data() + kVc.size() + 4);
  if ((both & (kPlain | kRc4)) == 0) return fail("offers no encryption that is allowed");
  if (pad_ > kMaxPad) return fail("a pad that is too long");
  chosen_ = (both & kRc4) != 0 ? kRc4 : kPlain;
  where_ = At::pad;
  return true;
}

void Responder::answer() {
  Bytes reply;
  append(reply, kVc);
  append_be(reply, chosen_);
  append_be(reply, static_cast<std::uint16_t>(chance_.second_pad.size()));
  append(reply, chance_.second_pad);
  encrypt(reply);
}

}  // namespace swarmfs::wire::mse
