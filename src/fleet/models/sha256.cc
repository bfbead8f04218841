#include "fleet/models/sha256.h"

#include <openssl/evp.h>

#include <algorithm>
#include <stdexcept>

#include "base/text.h"

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

std::string Sha256::finish() { return finish(context_.get()); }

std::string Sha256::digest_so_far() const {
  const std::unique_ptr<evp_md_ctx_st, Free> copy(EVP_MD_CTX_new());
  must(copy != nullptr ? 1 : 0);
  must(EVP_MD_CTX_copy_ex(copy.get(), context_.get()));
  return finish(copy.get());
}

std::string Sha256::finish(evp_md_ctx_st* context) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  must(EVP_DigestFinal_ex(context, digest, &size));
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

std::string base64_of_hex(std::string_view hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<char>(kHex.find(hex[i]) * 16 + kHex.find(hex[i + 1])));
  }
  return base64(bytes);
}

}  // namespace spillway::fleet
