#include "base/ids.h"

#include <openssl/rand.h>

#include <random>
#include <stdexcept>
#include <vector>

namespace spillway {

namespace {

constexpr char kHex[] = "0123456789abcdef";

void append_hex(std::string& out, std::uint64_t value, int digits) {
  for (int shift = (digits - 1) * 4; shift >= 0; shift -= 4) out.push_back(kHex[(value >> shift) & 15]);
}

}  // namespace

std::uint64_t random_u64() {
  thread_local std::mt19937_64 generator = [] {
    std::random_device device;
    std::seed_seq seed{device(), device(), device(), device()};
    return std::mt19937_64(seed);
  }();
  return generator();
}

std::string new_request_id() {
  std::string id;
  id.reserve(28);
  id += "req_";
  append_hex(id, random_u64(), 16);
  append_hex(id, random_u64(), 8);
  return id;
}

std::string random_secret(std::size_t bytes) {
  std::vector<unsigned char> raw(bytes);
  if (RAND_bytes(raw.data(), static_cast<int>(bytes)) != 1) throw std::runtime_error("no random bytes from OpenSSL");
  std::string out;
  for (const unsigned char byte : raw) append_hex(out, byte, 2);
  return out;
}

}  // namespace spillway
