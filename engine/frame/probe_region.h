// A generalised region at sizes nobody has called it with, so that what depends on sizes can be told from what does not.
#pragma once
#include <memory>
#include "../program/symbols.h"
#include "trie.h"

namespace sinter {

/// The free dimensions of a leaf's inputs as symbols; those that are equal in this call are one. `ones`: dimensions of size 1 in
/// this call are symbols too, else they stay 1. Empty: no dimension is free, or there are too many.
std::vector<SymbolDim> symbols_of(const Leaf& leaf, TensorImpl* const* slots, bool ones);

/// `now`, the region of a leaf in this call, with these symbols. Null: the operators refuse sizes that are unrelated.
std::unique_ptr<SymbolicRegion> make_symbolic_region(const Leaf& leaf, std::vector<SymbolDim> symbols, TensorImpl* const* slots,
                                                     const Scalar* scalars, const std::vector<int64_t>& free_ints,
                                                     const Region& now);

}  // namespace sinter
