// Comparing secrets.
#pragma once

#include <string_view>

namespace nereid {

// Takes as long for a wrong secret of the right length as for the right one.
inline bool SecretEquals(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  unsigned char difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) difference = static_cast<unsigned char>(difference | (a[i] ^ b[i]));
  return difference == 0;
}

}  // namespace nereid
