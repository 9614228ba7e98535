// A region as a flat list of words: equal lists are equal regions, names and source lines apart.
#pragma once
#include <cstdint>
#include <vector>
#include "../frame/region.h"
#include "symbols.h"

namespace sinter {

std::vector<uint64_t> region_key(const Region& region);
/// No region's own: which sizes are symbols stands behind the first probe.
std::vector<uint64_t> region_key(const SymbolicRegion& region);
uint64_t hash_words(const std::vector<uint64_t>& words);

}  // namespace sinter
