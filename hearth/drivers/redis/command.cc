#include <openssl/evp.h>

#include <array>
#include <charconv>

#include "hearth/base/assert.h"
#include "hearth/drivers/redis/call.h"
#include "hearth/drivers/redis/client.h"

namespace hearth::redis {
namespace {

// CRC16 XMODEM, polynomial 0x1021, as the Redis Cluster specification has it.
constexpr auto kCrcTable = [] {
  std::array<std::uint16_t, 256> table{};
  for (unsigned byte = 0; byte < table.size(); ++byte) {
    unsigned crc = byte << 8;
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 0x8000u) != 0 ? (crc << 1) ^ 0x1021u : crc << 1;
    table[byte] = static_cast<std::uint16_t>(crc);
  }
  return table;
}();

// The wire format: the number of words, then each with its length.
class WireWriter {
 public:
  WireWriter(std::size_t words, std::size_t bytes) {
    wire_.reserve(bytes + 16 * (words + 1));
    number('*', words);
  }
  void word(std::string_view text) {
    number('$', text.size());
    wire_.append(text).append("\r\n");
  }
  std::string take() { return std::move(wire_); }

 private:
  void number(char kind, std::size_t value) {
    char digits[24];
    auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
    wire_.push_back(kind);
    wire_.append(digits, end).append("\r\n");
  }
  std::string wire_;
};

std::string to_wire(const std::vector<std::string_view>& words) {
  HEARTH_ASSERT(!words.empty());
  std::size_t bytes = 0;
  for (auto word : words) bytes += word.size();
  WireWriter writer(words.size(), bytes);
  for (auto word : words) writer.word(word);
  return writer.take();
}

std::string sha1_hex(std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  HEARTH_ASSERT(EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha1(), nullptr) == 1);
  std::string hex;
  for (unsigned i = 0; i < size; ++i) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    hex += kDigits[digest[i] >> 4];
    hex += kDigits[digest[i] & 15];
  }
  return hex;
}

}  // namespace

std::uint16_t crc16(std::string_view bytes) {
  unsigned crc = 0;
  for (unsigned char byte : bytes) crc = ((crc << 8) & 0xFFFFu) ^ kCrcTable[(crc >> 8) ^ byte];
  return static_cast<std::uint16_t>(crc);
}

std::uint16_t slot_of(std::string_view key) {
  if (auto open = key.find('{'); open != std::string_view::npos) {
    auto close = key.find('}', open + 1);
    if (close != std::string_view::npos && close > open + 1) key = key.substr(open + 1, close - open - 1);
  }
  return crc16(key) % kSlots;
}

Error to_error(const Failure& failure) {
  // Clients read these: no address of a server. What happened to connections is in the log.
  if (failure.kind == Failure::Kind::kNotSent) return {.code = ErrorCode::kUnavailable, .message = "Redis cannot be reached"};
  if (failure.kind == Failure::Kind::kUnknown)
    return {.code = ErrorCode::kUnavailable, .message = "Redis did not answer; whether it happened is not known"};
  if (failure.is("OOM")) return {.code = ErrorCode::kUnavailable, .message = "Redis is out of memory"};
  return {.code = ErrorCode::kInternal, .message = "Redis: " + failure.message};
}

Command::Command(const std::vector<std::string_view>& words, Admission admission)
    : Command(words, words.size() > 1 ? slot_of(words[1]) : std::uint16_t{0}, admission) {}

Command::Command(const std::vector<std::string_view>& words, std::uint16_t slot, Admission admission)
    : wire_(to_wire(words)), slot_(slot), admission_(admission) {
  HEARTH_ASSERT(slot < kSlots);
}

Script::Script(std::string source) : source_(std::move(source)), sha1_(sha1_hex(source_)) {}

Call to_call(Command command) {
  return {.slot = command.slot(), .admission = command.admission(), .wire = std::move(command).wire()};
}

Call to_call(const ScriptCall& call) {
  HEARTH_ASSERT(call.script != nullptr && !call.keys.empty());
  std::size_t bytes = call.script->sha1().size() + 16;
  for (const auto& key : call.keys) bytes += key.size();
  for (const auto& argument : call.arguments) bytes += argument.size();
  WireWriter writer(3 + call.keys.size() + call.arguments.size(), bytes);
  writer.word("EVALSHA");
  writer.word(call.script->sha1());
  writer.word(std::to_string(call.keys.size()));
  for (const auto& key : call.keys) writer.word(key);
  for (const auto& argument : call.arguments) writer.word(argument);
  return {.slot = slot_of(call.keys.front()), .admission = call.admission, .script = call.script, .wire = writer.take()};
}

void send_script_whole(Call& call) {
  constexpr std::string_view kBySha = "$7\r\nEVALSHA\r\n$40\r\n";
  auto begin = call.wire.find(kBySha);
  HEARTH_ASSERT(call.script != nullptr && begin != std::string::npos);
  const auto& source = call.script->source();
  call.wire.replace(begin, kBySha.size() + call.script->sha1().size(), "$4\r\nEVAL\r\n$" + std::to_string(source.size()) + "\r\n" + source);
  call.script = nullptr;
}

}  // namespace hearth::redis
