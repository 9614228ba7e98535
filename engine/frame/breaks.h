// Why a region closes: one enumerated table.
#pragma once
#include <cstdint>

namespace sinter {

enum class Break : uint8_t {
#define BREAK(name, text, hint) name,
#include "breaks.def"
#undef BREAK
  kCount
};

struct BreakInfo {
  const char *name, *text, *hint;
};
const BreakInfo& break_info(Break b);

}  // namespace sinter
