// Identifiers.
#pragma once

#include <cstdint>
#include <string>

namespace spillway {

// 64 random bits; fast, one generator per thread, seeded by the system. Not for secrets.
std::uint64_t random_u64();

// A new request id, "req_" and 24 hexadecimal digits; unique in practice (96 random bits).
std::string new_request_id();

// `bytes` bytes from the system's generator, as hexadecimal digits; for keys and tokens.
std::string random_secret(std::size_t bytes);

}  // namespace spillway
