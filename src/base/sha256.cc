#include "base/sha256.h"

#include <openssl/evp.h>

#include "base/status.h"

namespace nereid {
namespace {

// Fetched once: OpenSSL 3 otherwise looks the algorithm up at every digest, which costs more than the digest.
const EVP_MD* Algorithm() {
  static const EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  NEREID_CHECK(algorithm != nullptr);
  return algorithm;
}

EVP_MD_CTX* Context(void* context) {
  return static_cast<EVP_MD_CTX*>(context);
}

}  // namespace

Sha256Stream::Sha256Stream() : context_(EVP_MD_CTX_new()) {
  NEREID_CHECK(context_ != nullptr);
  NEREID_CHECK(EVP_DigestInit_ex2(Context(context_), Algorithm(), nullptr) == 1);
}

Sha256Stream::~Sha256Stream() {
  EVP_MD_CTX_free(Context(context_));
}

void Sha256Stream::Add(std::string_view bytes) {
  NEREID_CHECK(EVP_DigestUpdate(Context(context_), bytes.data(), bytes.size()) == 1);
}

Sha256Digest Sha256Stream::Finish() {
  Sha256Digest digest;
  NEREID_CHECK(EVP_DigestFinal_ex(Context(context_), digest.data(), nullptr) == 1);
  NEREID_CHECK(EVP_DigestInit_ex2(Context(context_), nullptr, nullptr) == 1);
  return digest;
}

Sha256Digest Sha256(std::string_view bytes) {
  thread_local Sha256Stream stream;
  stream.Add(bytes);
  return stream.Finish();
}

}  // namespace nereid
