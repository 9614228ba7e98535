// A region as a flat list of words: equal lists are equal regions, names and source lines apart.
#pragma once
#include <cstdint>
#include <vector>
#include "../frame/region.h"

namespace sinter {

std::vector<uint64_t> region_key(const Region& region);
uint64_t hash_words(const std::vector<uint64_t>& words);

}  // namespace sinter
