// Ledger bytes as a damaged disk may return them: whatever they are, reading them stays inside the record, and a valid one reads back.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "store/record.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nereid::store;
  char bytes[kRecordBytes] = {};
  std::memcpy(bytes, data, std::min(size, sizeof(bytes)));
  Record record;
  for (bool repaired : {false, true}) {
    std::uint64_t sequence = 7;
    if (repaired) {  // a right checksum, so that the fields get past it
      Record changed;
      std::memcpy(&changed, bytes, sizeof(changed));
      Stamp(changed, sequence, 1);
      std::memcpy(bytes, &changed, sizeof(changed));
    }
    if (Inspect(bytes, sequence, record) != SlotState::kValid) continue;
    std::size_t texts = PublicModel(record).size() + TargetName(record).size() + TaskName(record).size();
    if (texts > sizeof(record.texts) || TaskName(record).data() + TaskName(record).size() > record.texts.data() + record.texts.size())
      std::abort();
    Seal seal = SealOf(record);
    if (EncodeSeal(seal).input != record.input) std::abort();
    bytes[100] = static_cast<char>(bytes[100] ^ 1);
    if (Inspect(bytes, sequence, record) == SlotState::kValid) std::abort();
    bytes[100] = static_cast<char>(bytes[100] ^ 1);
  }
  return 0;
}
