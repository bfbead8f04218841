#include "fleet/models/sha256.h"

#include <openssl/evp.h>

#include <algorithm>
#include <stdexcept>

namespace spillway::fleet {

namespace {

constexpr std::string_view kHex = "0123456789abcdef";

void must(int result) {
  if (result != 1) throw std::runtime_error("OpenSSL cannot compute SHA-256");
}

}  // namespace

void Sha256::Free::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  must(context_ != nullptr ? 1 : 0);
  must(EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr));
}

void Sha256::update(const void* data, std::size_t size) { must(EVP_DigestUpdate(context_.get(), data, size)); }

std::string Sha256::finish() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  must(EVP_DigestFinal_ex(context_.get(), digest, &size));
  std::string out;
  for (unsigned int i = 0; i < size; ++i) {
    out.push_back(kHex[digest[i] >> 4]);
    out.push_back(kHex[digest[i] & 15]);
  }
  return out;
}

bool is_sha256_hex(std::string_view text) {
  return text.size() == 64 && std::ranges::all_of(text, [](char c) { return kHex.find(c) != std::string_view::npos; });
}

}  // namespace spillway::fleet
