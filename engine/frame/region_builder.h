// From a closed region to its program.
#pragma once
#include <memory>
#include "context.h"
#include "save_plan.h"

namespace sinter {

/// The region of a leaf as plain data, with the geometry its slots have in this call.
Region build_region(const Leaf& leaf, TensorImpl* const* slots, const Scalar* scalars, const std::vector<int64_t>& free_ints,
                    const RootBits& live, const std::string& name);

/// What a close asks for.
struct WantedProgram {
  const RootBits& live;
  const SavedResults* saves;  // which of the live results only autograd holds; null: nothing may be deferred
  /// Empty unless the region is generalised: all geometry and integers; what these follow from.
  const std::vector<int64_t>&sizes_key, &symbols_key;
};

struct Obtained {
  const ProgramEntry* entry = nullptr;  // null: interpret this time
  const Layout* layout = nullptr;       // of a program for many sizes
  std::unique_ptr<const Layout> own_layout;
};

/// The program to run for this live set and these sizes, compiled if it is time (the first variant at an entry at once,
/// others on second sight). A generalised region is compiled for all sizes at once, where that is possible, and laid out for
/// those of this call; else for each of them. `fresh_leaf`: the leaf was made by this close.
Obtained obtain_program(Context& context, Leaf& leaf, const WantedProgram& wanted, bool fresh_leaf, bool& compiled_now);

}  // namespace sinter
