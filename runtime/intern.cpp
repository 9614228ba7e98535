#include "intern.h"
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include "at_fork.h"
#include "out_of_memory.h"

extern "C" const char __executable_start[], _end[];  // by the linker: the image that this file is part of

namespace sinter {

namespace {

struct Names {
  std::mutex mutex;
  std::set<std::string, std::less<>> set;  // as many as there are source files; never shrinks
};
Names& names() {
  static auto* n = new Names;  // never destroyed: what is kept refers to it
  return *n;
}
[[maybe_unused]] const bool watched = at_fork::watch(at_fork::Rank::intern, [] { return &names().mutex; });

}  // namespace

Loc interned(Loc loc) {
  if (loc.file >= __executable_start && loc.file < _end) return loc;
  return memory_gate([&] {
    Names& n = names();
    const std::lock_guard lock(n.mutex);
    auto at = n.set.find(std::string_view(loc.file));
    if (at == n.set.end()) at = n.set.emplace(loc.file).first;
    return Loc{at->c_str(), loc.line};
  });
}

}  // namespace sinter
