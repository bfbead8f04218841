// SHA-256 over data that comes in pieces.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

struct evp_md_ctx_st;

namespace spillway::fleet {

class Sha256 {
 public:
  Sha256();
  void update(const void* data, std::size_t size);
  // 64 lower-case hexadecimal digits of all that was given. Once.
  std::string finish();
  // The same of what was given so far; more may follow.
  [[nodiscard]] std::string digest_so_far() const;

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  static std::string finish(evp_md_ctx_st* context);

  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

// 64 lower-case hexadecimal digits?
bool is_sha256_hex(std::string_view text);

// What such digits mean: 32 bytes, base64 (RFC 4648, 4), as HTTP writes digests. `hex` is valid.
std::string base64_of_hex(std::string_view hex);

}  // namespace spillway::fleet
