// What a person sees of compiling: log entries and debug files.
#pragma once
#include <string>
#include <vector>
#include "context.h"

namespace sinter {

/// "recompile #2 of train_step (model.cpp:41): <reason>"; the first variant at an entry is logged as a compile.
void report_recompile(Context& context, const Leaf& leaf, int variant);
/// Each input's guard: "input 0 'x': f32[10, 5], first used at model.cpp:12". While the region's inputs are bound.
std::vector<std::string> describe_guards(const Context& context, const Leaf& leaf);
/// "train_step_r2", also the name of a debug folder; without a name of its own "compiled_model.cpp_41_r2".
std::string region_name(const CompiledState& owner, const Leaf& leaf);
/// Graph, program and assembly to the logs and to SINTER_DEBUG_DIR, as asked for. `program` null: interpreted.
void report_compiled(Context& context, const Leaf& leaf, const Region& region, const Program* program);
/// "relu (model.cpp:12) float[4, 5]" for each result that was materialised because something still referenced it.
std::vector<std::string> name_live_outs(const Leaf& leaf, const RootBits& live);
/// " Hint: <what to do instead>." for a break; empty where there is none.
std::string hint_sentence(Break reason);
/// "file.cpp:12" without folders.
std::string place(Loc loc);

}  // namespace sinter
