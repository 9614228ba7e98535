// What of a region's results is kept for a backward pass, and what is computed again there.
#pragma once
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>
#include "deferred.h"
#include "trie.h"

namespace sinter {

/// How often each tensor is saved by autograd nodes that were made since the sequence number `since` and lead to `results`.
using SavedCounts = std::unordered_map<const TensorImpl*, uint32_t>;
SavedCounts count_saved(const std::vector<TensorImpl*>& results, uint64_t since);

/// Which live results only autograd holds.
struct SavedResults {
  RootBits only;
  SavedCounts counts;
};

/// Whether an entry's program leaves, or defers, all that is live. `saved_only` null: what it defers does not count.
bool covers_live(const ProgramEntry& e, const RootBits& live, const RootBits* saved_only);

struct SavePlan {
  RootBits deferred;                     // empty: nothing is
  RootBits kept;                         // roots nobody asked for, which the deferred ones are computed from
  std::shared_ptr<const Recipe> recipe;  // null: nothing is deferred
};

/// Chooses, by a minimum cut between what exists anyway and what backward needs, the fewest bytes to keep: pointwise results that
/// only autograd holds (`saved_only`, bits over the roots) are computed again where that saves memory. Operands of matrix
/// products, results of everything but pointwise operators, small values, and what is written in place are kept. `live`: roots
/// that somebody holds.
SavePlan plan_saves(const Leaf& leaf, TensorImpl* const* slots, const std::vector<int64_t>& free_ints, const RootBits& live,
                    const RootBits& saved_only, const SavedCounts& saved);

}  // namespace sinter
