#include "breaks.h"

namespace sinter {

const BreakInfo& break_info(Break b) {
  static constexpr BreakInfo table[] = {
#define BREAK(name, text, hint) {#name, text, hint},
#include "breaks.def"
#undef BREAK
  };
  return table[static_cast<int>(b)];
}

}  // namespace sinter
