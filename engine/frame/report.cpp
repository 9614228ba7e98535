#include "report.h"
#include <filesystem>
#include <fstream>
#include "../../runtime/env.h"
#include "../../runtime/log.h"
#include "compiled_state.h"
#include "reason.h"

namespace sinter {

static std::string file_name(Loc loc) {
  const std::string file = loc.file;
  return file.substr(file.find_last_of('/') + 1);
}

std::string place(Loc loc) { return fmt::format("{}:{}", file_name(loc), loc.line); }

std::string hint_sentence(Break reason) {
  const std::string hint = break_info(reason).hint;
  return hint.empty() ? hint : " Hint: " + hint + ".";
}

void report_recompile(Context& context, const Leaf& leaf, int variant) {
  if (variant > 1)
    log(LogTopic::Recompiles, "recompile #{} of {}: {}", variant - 1, context.owner().where(), context.miss_reason());
  if (!log_enabled(LogTopic::Guards)) return;
  std::string text = fmt::format("region {} of {}, guards:", leaf.number, context.owner().where());
  for (const std::string& guard : describe_guards(context, leaf)) text += "\n  " + guard;
  log_line(LogTopic::Guards, text);
}

std::vector<std::string> describe_guards(const Context& context, const Leaf& leaf) {
  std::vector<std::string> guards;
  std::vector<int64_t> symbols;
  for (const Event* e : leaf.path)
    for (const InputGuard& g : e->info->guards) {
      const std::string name = name_input(context.slots[g.slot], static_cast<int32_t>(guards.size()), context);
      guards.push_back(fmt::format("{}, first used at {}", describe_guard(g, name, symbols), place(e->info->loc)));
    }
  return guards;
}

std::string region_name(const CompiledState& owner, const Leaf& leaf) {
  std::string name = owner.options.name;
  if (name == kDefaultName) name += fmt::format("_{}_{}", file_name(owner.loc), owner.loc.line);
  return fmt::format("{}_r{}", name, leaf.number);
}

namespace {
void write_file(const std::filesystem::path& path, const std::string& text) {
  std::ofstream out(path);
  out << text;
  if (!out) warn(fmt::format("SINTER_DEBUG_DIR: cannot write {}", path.string()), "debug_dir");
}

void write_debug_files(const std::string& name, const Region& region, const Program* program) {
  std::error_code failure;
  const std::filesystem::path dir = std::filesystem::path(env().debug_dir) / name;
  std::filesystem::create_directories(dir, failure);
  if (failure) return warn(fmt::format("SINTER_DEBUG_DIR: cannot create {}: {}", dir.string(), failure.message()), "debug_dir");
  write_file(dir / "region.txt", to_string(region));
  if (program == nullptr) return;
  write_file(dir / "graph.txt", program->graph.str());
  write_file(dir / "program.txt", program->str());
  for (const auto& [kernel, text] : program->assembly()) write_file(dir / (kernel + ".asm"), text);
}
}  // namespace

void report_compiled(Context& context, const Leaf& leaf, const Region& region, const Program* program) {
  // compile_region has logged passes, plan and code of what was compiled.
  if (program == nullptr && log_enabled(LogTopic::Program))
    log(LogTopic::Program, "{} region {} is interpreted with eager kernels\n{}", context.owner().where(), leaf.number,
        to_string(region));
  if (!env().debug_dir.empty()) write_debug_files(region.name, region, program);
}

std::vector<std::string> name_live_outs(const Leaf& leaf, const RootBits& live) {
  std::vector<std::string> names;
  for (const Leaf::PooledSlot& p : leaf.pooled) {
    if (p.view || !has_root(live, p.root_index)) continue;
    const EventInfo& info = *p.event->info;
    names.push_back(fmt::format("{} ({}) {}{}", event_name(*p.event), place(info.loc), dtype_short_name(info.meta.dtype),
                                to_string(info.meta.sizes)));
  }
  return names;
}

}  // namespace sinter
