// What a person sees of compiling: log entries and debug files.
#pragma once
#include <string>
#include <vector>
#include "context.h"

namespace sinter {

/// "recompile #2 of train_step (model.cpp:41): <reason>"; the first variant at an entry is logged as a compile.
void report_recompile(Context& context, const Leaf& leaf, int variant);
/// Graph, program and assembly to the logs and to SINTER_DEBUG_DIR, as asked for. `program` null: interpreted.
void report_compiled(Context& context, const Leaf& leaf, const Region& region, const Program* program);
/// "relu (model.cpp:12) float[4, 5]" for each result that was materialised because something still referenced it.
std::vector<std::string> name_live_outs(const Leaf& leaf, const std::vector<uint64_t>& live);
/// "file.cpp:12" without folders.
std::string place(Loc loc);

}  // namespace sinter
