#include "mutants.h"

#ifdef SINTER_MUTANTS
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace sinter {
namespace {

constexpr const char* kNames[] = {
#define MUTANT(kind, name, breaks, tests) #name,
#include "mutants.def"
#undef MUTANT
};

[[noreturn]] void refuse(const char* name) {
  std::fprintf(stderr, "sinter: there is no mutant '%s' (see runtime/mutants.def)\n", name);
  std::abort();
}

void require_row(const char* name) {
  for (const char* known : kNames)
    if (std::strcmp(known, name) == 0) return;
  refuse(name);
}

/// The mutant that is switched on, or "".
const char* selected() {
  static const char* const name = [] {
    const char* text = std::getenv("SINTER_MUTANT");
    if (text == nullptr || *text == '\0') return "";
    require_row(text);
    return text;
  }();
  return name;
}

[[maybe_unused]] const char* const checked_at_start = selected();

}  // namespace

bool mutant_is_on(const char* name) {
  require_row(name);
  return std::strcmp(selected(), name) == 0;
}

}  // namespace sinter
#endif
