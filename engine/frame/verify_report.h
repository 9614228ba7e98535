// What a person is told about a region that failed its verification.
#pragma once
#include <string>
#include "difference.h"
#include "private_region.h"
#include "verify.h"

namespace sinter {

/// Warns, once per region: what differs where, the region's listing, and where SINTER_DEBUG_DIR has the files to reproduce it
/// (region.txt, graph.txt, program.txt, inputs.txt, scalars.txt, and input_N.bin: elements in logical order).
void report_difference(const VerifiedRun& run, const PrivateRegion& copies, const std::string& what);
/// "result add (model.cpp:12) float[3, 4]: 5 of 12 elements differ, the first at [0, 3]: ...".
std::string describe(const Difference& d, const std::string& name, const TensorImpl& t);

}  // namespace sinter
