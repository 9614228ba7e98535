#include "region.h"
#include <fmt/format.h>

namespace sinter {

namespace {

std::string slot_text(const Region& region, int32_t s) {
  if (s < 0) return "none";
  const RegionSlot& slot = region.slots[s];
  std::string text = slot.input >= 0 ? fmt::format("i{}", slot.input) : fmt::format("v{}", s);
  text += fmt::format(" {}{}", dtype_short_name(slot.meta.dtype), to_string(IntArrayRef(slot.meta.sizes)));
  if (slot.wrapped) text += " wrapped";
  return text;
}

std::string event_text(const Region& region, const RegionEvent& e) {
  std::string args;
  for (int32_t s : e.in) args += fmt::format("{}{}", args.empty() ? "" : ", ", slot_text(region, s));
  for (int k = 0; k < e.n_scalars; ++k) args += fmt::format("{}s{}", args.empty() ? "" : ", ", e.first_scalar + k);
  if (!e.ints.empty()) args += fmt::format("{}{}", args.empty() ? "" : ", ", to_string(IntArrayRef(e.ints)));
  if (e.attr != 0) args += fmt::format("; {:#x}", e.attr);
  const std::string_view name = op_info(e.op).name;
  const bool mark = (e.flags & kInplace) && !name.ends_with('_');
  std::string line = fmt::format("  {} = {}{}({})", slot_text(region, e.out), name, mark ? "_" : "", args);
  if (e.loc.line != 0) line += fmt::format("  # {}:{}", e.loc.file, e.loc.line);
  return line + "\n";
}

}  // namespace

std::string to_string(const Region& region) {
  std::string s = fmt::format("region {}{}\n", region.name, region.overlapping_writes ? " (overlapping writes)" : "");
  for (size_t i = 0; i < region.inputs.size(); ++i) s += fmt::format("  {}\n", slot_text(region, region.inputs[i]));
  for (const auto& e : region.events) s += event_text(region, e);
  s += "  live:";
  for (int32_t slot : region.live) s += fmt::format(" v{}", slot);
  return s + "\n";
}

}  // namespace sinter
