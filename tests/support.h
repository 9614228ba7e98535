// What tests of frames need: Catch2, all of sinter, bitwise comparison, counts of compiled regions.
#pragma once
#include <catch2/catch.hpp>
#include "bits.h"
#include "frontend/sinter/sinter.h"

namespace sinter::test {

/// Regions compiled, first ones and recompiles, since the object was made or reset.
template <class C>
int64_t compiles(const C& c) {
  return c.stats().regions_compiled;
}

/// What `f` throws, an AutogradError with its type; "" when it does not.
template <class F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const AutogradError& e) { return std::string("AutogradError: ") + e.what(); } catch (const std::exception& e) {
    return e.what();
  }
  return "";
}

}  // namespace sinter::test
