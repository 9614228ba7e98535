// A region whose sizes are symbols: which dimensions they are, and the region at a few assignments of them.
#pragma once
#include <vector>
#include "../frame/region.h"
#include "size_term.h"

namespace sinter {

/// Dimension `dim` of a region input is a symbol. Several dimensions may be the same one.
struct SymbolDim {
  int32_t input, dim, symbol;
  friend bool operator==(const SymbolDim&, const SymbolDim&) = default;
};

struct SymbolicRegion {
  std::vector<SymbolDim> dims;
  Probes probes;
  std::array<Region, kProbes> regions;
};

}  // namespace sinter
