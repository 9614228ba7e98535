// From a closed region to its program.
#pragma once
#include "context.h"
#include "save_plan.h"

namespace sinter {

/// The region of a leaf as plain data, with the geometry its slots have in this call.
Region build_region(const Leaf& leaf, TensorImpl* const* slots, const Scalar* scalars, const std::vector<int64_t>& free_ints,
                    const RootBits& live, const std::string& name);

/// The program to run for this live set and these sizes, compiled if it is time (the first variant at an entry at once,
/// others on second sight); null: interpret this time. `fresh_leaf`: the leaf was made by this close. `saves`: which of the live
/// results only autograd holds; null: nothing may be deferred.
const ProgramEntry* obtain_program(Context& context, Leaf& leaf, const RootBits& live, const SavedResults* saves,
                                   std::vector<int64_t> sizes_key, bool fresh_leaf, bool& compiled_now);

}  // namespace sinter
