#include "out_of_memory.h"
#include "error.h"

namespace sinter {

namespace {
/// Never destroyed: static destructors may run out of memory too.
const OutOfMemoryError& prepared() {
  static const auto* error = new OutOfMemoryError("out of memory: no room for the library's own records");
  return *error;
}
[[maybe_unused]] const OutOfMemoryError& at_start = prepared();
}  // namespace

void throw_out_of_memory() { throw prepared(); }  // a copy shares the text

}  // namespace sinter
