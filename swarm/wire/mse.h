// Message Stream Encryption: the handshake that hides a BitTorrent stream, both sides of it.
//
// Sans-IO: bytes come in as they arrive, bytes to send go out; afterwards the stream goes on in RC4
// or plain. Time limits are the caller's. The specification is Vuze's page of that name:
//   1 A->B  Ya, PadA
//   2 B->A  Yb, PadB
//   3 A->B  HASH(req1, S), HASH(req2, SKEY) xor HASH(req3, S),
//           RC4(VC, crypto_provide, len(PadC), PadC, len(IA), IA)
//   4 B->A  RC4(VC, crypto_select, len(PadD), PadD), then the stream
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <utility>

#include "swarm/base/bytes.h"
#include "swarm/base/dh768.h"
#include "swarm/base/hash.h"
#include "swarm/wire/rc4.h"

namespace swarmfs::wire::mse {

/// What the stream may go on in: bits of crypto_provide and crypto_select.
inline constexpr std::uint32_t kPlain = 1;
inline constexpr std::uint32_t kRc4 = 2;

inline constexpr std::size_t kMaxPad = 512;
/// What goes with message 3, at most: rTorrent takes a BitTorrent handshake there and no more.
inline constexpr std::size_t kMaxInitialPayload = 68;

/// Randomness, from whoever has some.
struct Chance {
  std::array<std::uint8_t, 20> exponent{};
  Bytes first_pad;   ///< PadA or PadB: at most kMaxPad
  Bytes second_pad;  ///< PadC or PadD: at most kMaxPad
};

/// HASH(req2, SKEY): by which a responder finds the torrent that is meant.
Sha1Hash torrent_key(const Sha1Hash& info_hash);

/// What both sides have in common.
class Exchange {
 public:
  enum class State : std::uint8_t { under_way, done, failed };
  virtual ~Exchange() = default;

  /// Takes whatever came. Keeps what is payload, so that memory grows with what is given in one
  /// call once it is done; give it no more then.
  void receive(ByteView bytes);
  /// What is to be sent now.
  Bytes take_output() { return std::exchange(output_, {}); }
  /// What came of the stream itself, decrypted.
  Bytes take_payload() { return std::exchange(payload_, {}); }

  State state() const { return state_; }
  /// What was wrong; a line for a log.
  std::string_view why_failed() const { return why_; }
  /// How the rest of the stream is read and written; null: plain. Once done.
  Rc4* reader() { return selected_ == kRc4 ? &*in_ : nullptr; }
  Rc4* writer() { return selected_ == kRc4 ? &*out_ : nullptr; }

 protected:
  Exchange(std::uint32_t allowed, Chance chance);

  /// Goes one step; false if more has to come first.
  virtual bool step() = 0;
  bool fail(std::string_view why);
  bool have(std::size_t bytes) const { return input_.size() - at_ >= bytes; }
  ByteView peek(std::size_t bytes) const { return ByteView(input_).subspan(at_, bytes); }
  void skip(std::size_t bytes) { at_ += bytes; }
  /// The next bytes, decrypted where they stand; have() them.
  ByteView decrypt(std::size_t bytes);
  /// Appends bytes, encrypted.
  void encrypt(ByteView bytes);
  /// Skips to just behind `mark`, which stands at most kMaxPad bytes ahead; false if it does not,
  /// or if more has to come first: see state().
  bool find(ByteView mark);
  bool agree(const dh768::Number& theirs);
  void set_keys(const Sha1Hash& info_hash, std::string_view in, std::string_view out);
  void finish();

  const std::uint32_t allowed_;
  Chance chance_;
  dh768::Number secret_{};
  std::uint32_t selected_ = 0;
  std::optional<Rc4> in_;
  std::optional<Rc4> out_;
  Bytes output_;
  Bytes payload_;

 private:
  Bytes input_;
  std::size_t at_ = 0;  ///< read of input_
  State state_ = State::under_way;
  std::string_view why_;
};

/// Who has opened the connection, to a torrent it names.
class Initiator final : public Exchange {
 public:
  /// `provide`: kRc4, kPlain or both. Also with kRc4 alone, when it is known what the stream will
  /// be in, nothing follows message 3 before the answer: aria2 1.36 loses what it reads along with
  /// it.
  Initiator(const Sha1Hash& info_hash, std::uint32_t provide, Chance chance);

  /// The stream's first bytes, which go with message 3; how many of them were taken. None once that
  /// is sent.
  std::size_t add_initial_payload(ByteView bytes);

 private:
  enum class At : std::uint8_t { key, answer, select, pad };
  bool step() override;
  void send_request();

  At where_ = At::key;
  const Sha1Hash info_hash_;
  Bytes initial_;
  bool sent_ = false;
  std::size_t pad_ = 0;
};

/// Who was connected to.
class Responder final : public Exchange {
 public:
  /// The info hash of the torrent with this torrent_key(), if there is one.
  using FindTorrent = std::function<std::optional<Sha1Hash>(const Sha1Hash& torrent_key)>;

  /// Of what both sides can, RC4 is chosen before plain.
  Responder(std::uint32_t allowed, Chance chance, FindTorrent find);

 private:
  enum class At : std::uint8_t { key, request, torrent, provide, pad, initial };
  bool step() override;
  bool on_key();
  bool on_torrent();
  bool on_provide();
  void answer();

  At where_ = At::key;
  FindTorrent find_torrent_;
  std::uint32_t chosen_ = 0;
  std::size_t pad_ = 0;
  std::size_t initial_ = 0;
};

}  // namespace swarmfs::wire::mse
