// Faults planted on purpose, to test the tests: tests/mutants.sh switches one on and expects the suite to notice.
#pragma once

#ifdef SINTER_MUTANTS
namespace sinter {
/// Whether the environment variable SINTER_MUTANT names this row of mutants.def; read once. Aborts on a name without a row.
bool mutant_is_on(const char* name);
}  // namespace sinter
#define SINTER_MUTANT(name)                               \
  ([] {                                                   \
    static const bool on = ::sinter::mutant_is_on(#name); \
    return on;                                            \
  }())
#else
/// True while mutant `name` is switched on; the constant false in normal builds, so that nothing of it is left there.
#define SINTER_MUTANT(name) false
#endif
