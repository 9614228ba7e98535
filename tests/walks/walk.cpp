#include "walk.h"
#include <algorithm>
#include <random>
#include "call.h"
#include "compare.h"
#include "runtime/env.h"

namespace sinter::test {
namespace {

constexpr struct {
  int weight, variants;
} kKnobTable[] = {
#define KNOB(weight, name, variants, ...) {weight, variants},
#define EVENT(weight, name, ...)
#include "changes.inc"
#undef KNOB
#undef EVENT
};
constexpr int kEventWeights[] = {
#define KNOB(weight, name, variants, ...)
#define EVENT(weight, name, ...) weight,
#include "changes.inc"
#undef KNOB
#undef EVENT
};
constexpr int kEvents = static_cast<int>(std::size(kEventWeights)), kChanges = kKnobs + kEvents;
constexpr uint8_t kCall = 0x80, kUndo = 0x81;
static_assert(kChanges < kCall);

int variant_of(const WalkStep& s) { return 1 + s.arg % kKnobTable[s.what].variants; }
/// Which function a call step calls: mostly the first. And how many times.
int function_of(const WalkStep& s) { return s.arg % 4 == 3; }
int times_of(const WalkStep& s) { return 1 + (s.arg / 4) % 3; }
/// Whether the loss a call left is differentiated outside, and the optimizer steps there.
bool backward_after(const WalkStep& s) { return s.arg & 0x80; }

uint8_t pick_change(std::mt19937_64& r) {
  int total = 0;
  for (const auto& k : kKnobTable) total += k.weight;
  for (const int w : kEventWeights) total += w;
  int at = static_cast<int>(r() % static_cast<uint64_t>(total));
  int kind = 0;
  for (; kind < kChanges; ++kind)
    if ((at -= kind < kKnobs ? kKnobTable[kind].weight : kEventWeights[kind - kKnobs]) < 0) break;
  return static_cast<uint8_t>(kind);
}

uint8_t pick_block(std::mt19937_64& r, bool pure) {
  int total = 0;
  for (int b = 0; b < block_count(); ++b) total += block_weight(b);
  for (;;) {
    int at = static_cast<int>(r() % static_cast<uint64_t>(total));
    int block = 0;
    while ((at -= block_weight(block)) >= 0) ++block;
    const auto b = static_cast<uint8_t>(block);
    if (!pure || is_pure({b})) return b;
  }
}

std::vector<uint8_t> named(std::initializer_list<const char*> names) {
  std::vector<uint8_t> out;
  for (const std::string name : names)
    for (int b = 0; b < block_count(); ++b)
      if (name == block_name(b)) out.push_back(static_cast<uint8_t>(b));
  return out;
}

/// Some walks do what programs usually do, the others whatever comes.
std::vector<uint8_t> pick_blocks(std::mt19937_64& r, bool pure, size_t most) {
  std::vector<uint8_t> out;
  if (!pure) switch (r() % 10) {
      case 0:
        out = named({"forward", "squared_loss", "zero_grad", "backward", "optimizer_step", "loss_out"});
        break;
      case 1:
        out = named({"embedding", "class_loss", "backward", "optimizer_step", "zero_grad", "loss_out"});
        break;
      case 2:
        out = named({"forward", "squared_loss", "loss_for_outside"});
        break;
    }
  const size_t n = out.empty() ? 2 + r() % most : r() % 2;
  for (size_t i = 0; i < n; ++i) out.push_back(pick_block(r, pure));
  return out;
}

/// Both worlds, and what is counted of them.
class Pair {
 public:
  Pair(const Walk& walk, WalkCounts& counts)
      : eager(walk.seed, false, walk.blocks), compiled(walk.seed, true, walk.blocks), counts_(counts) {}

  /// Empty, or the first difference. A limit that throws under fullgraph ends the walk.
  std::string step(const WalkStep& s) {
    if (s.what == kCall) {
      std::string d;
      for (int i = 0; i < times_of(s) && d.empty() && !over; ++i) {
        d = call(function_of(s));
        if (d.empty() && !over && backward_after(s)) d = train_outside();
      }
      return d;
    }
    if (s.what == kUndo) {
      if (eager.active.empty()) return {};
      ++counts_.undone;
      return set(eager.active[s.arg % eager.active.size()], 0);
    }
    ++counts_.changes[s.what];
    if (s.what < kKnobs) return set(s.what, variant_of(s));
    const int event = s.what - kKnobs;
    return same(event_name(event), eager.event(event, s.arg), compiled.event(event, s.arg));
  }
  std::string set(int knob, int variant) { return same(knob_name(knob), eager.set(knob, variant), compiled.set(knob, variant)); }
  std::string call(int which) {
    const CompileStats before = compiled.stats();
    const std::string a = eager.call(which), b = compiled.call(which);
    const CompileStats after = compiled.stats();
    count(before, after, !a.empty());
    if (compiled.fullgraph() && b.find("recompile limit was reached") != std::string::npos) return over = true, std::string();
    const std::string d = same("exceptions", a, b);
    return d.empty() ? difference(eager, compiled) : d;
  }
  std::string train_outside() {
    std::string d = same("backward outside", eager.train_outside(), compiled.train_outside());
    return d.empty() ? difference(eager, compiled) : "after backward outside: " + d;
  }
  std::string undo_all() {
    std::string d;
    while (d.empty() && !eager.active.empty()) d = set(eager.active.back(), 0);
    return d;
  }

  World eager, compiled;
  bool over = false;

 private:
  static std::string same(const char* what, const std::string& a, const std::string& b) {
    return a == b ? std::string() : std::string(what) + "\n  eager    " + a + "\n  compiled " + b;
  }
  void count(const CompileStats& before, const CompileStats& after, bool thrown) {
    ++counts_.calls;
    counts_.thrown += thrown;
    counts_.compiles += after.regions_compiled - before.regions_compiled;
    counts_.recompiles += after.recompiles - before.recompiles;
    counts_.interpreted += after.interpreted - before.interpreted;
    counts_.fallbacks += after.eager_fallbacks - before.eager_fallbacks;
    counts_.replayed += after.replays > before.replays && after.regions_compiled == before.regions_compiled &&
                        after.interpreted == before.interpreted && after.eager_fallbacks == before.eager_fallbacks;
  }
  WalkCounts& counts_;
};

/// After the walk: one change made and undone again and again. Once both states were seen often enough, nothing compiles.
std::string check_precision(Pair& p, const Walk& walk, WalkCounts& counts) {
  const auto knob = static_cast<int>(walk.seed / 4 % kKnobs);
  const int variant = 1 + static_cast<int>(walk.seed / 4 / kKnobs) % kKnobTable[knob].variants;
  p.compiled.compile_functions();
  const auto visit = [&](int v, int times) {
    std::string d = p.set(knob, v);
    for (int i = 0; i < times && d.empty() && !p.over; ++i) d = p.call(0);
    return d;
  };
  std::string d;
  for (int round = 0; round < 4; ++round)  // the first calls after a change are states of their own: gradients left, ...
    for (int v : {0, variant})
      if (d.empty()) d = visit(v, 2);
  if (!d.empty()) return d;
  const CompileStats before = p.compiled.stats();
  for (int v : {0, variant, 0})
    if (d.empty()) d = visit(v, 2);
  const CompileStats after = p.compiled.stats();
  if (!d.empty() || p.over || before.eager_fallbacks > 0) return d;
  ++counts.precision_checks;
  if (after.regions_compiled == before.regions_compiled && after.eager_fallbacks == 0) return {};
  return fmt::format("precision: {} set and undone compiled {} regions of states seen before", knob_name(knob),
                     after.regions_compiled - before.regions_compiled);
}

}  // namespace

Walk random_walk(uint64_t seed, size_t length) {
  std::mt19937_64 r(seed);
  Walk w;
  w.seed = seed;
  const bool pure = r() % 8 == 0;
  w.blocks = {pick_blocks(r, pure, 6), pick_blocks(r, pure, 4)};
  for (size_t i = 0; i < length; ++i) {
    const uint64_t kind = r() % 10;
    WalkStep s;
    s.arg = static_cast<uint8_t>(r());
    s.what = kind < 5 ? kCall : kind < 7 ? kUndo : pick_change(r);
    w.steps.push_back(s);
  }
  return w;
}

Walk walk_of_bytes(const uint8_t* data, size_t size) {
  size_t at = 0;
  const auto next = [&]() -> uint8_t { return at < size ? data[at++] : 0; };
  Walk w;
  for (int i = 0; i < 4; ++i) w.seed |= static_cast<uint64_t>(next()) << (8 * i);
  for (auto& blocks : w.blocks)
    for (int n = next() % 10; n > 0; --n) blocks.push_back(static_cast<uint8_t>(next() % block_count()));
  while (at + 1 < size && w.steps.size() < 200) {
    const uint8_t what = next(), arg = next();
    w.steps.push_back({static_cast<uint8_t>(what >= 0xc0 ? kUndo : what >= 0x80 ? kCall : what % kChanges), arg});
  }
  return w;
}

std::vector<uint8_t> bytes_of_walk(const Walk& walk) {
  std::vector<uint8_t> out;
  for (int i = 0; i < 4; ++i) out.push_back(static_cast<uint8_t>(walk.seed >> (8 * i)));
  for (const auto& blocks : walk.blocks) {
    out.push_back(static_cast<uint8_t>(blocks.size()));
    out.insert(out.end(), blocks.begin(), blocks.end());
  }
  for (const WalkStep& s : walk.steps) {
    out.push_back(s.what == kUndo ? 0xc0 : s.what);
    out.push_back(s.arg);
  }
  return out;
}

std::string run_walk(const Walk& walk, WalkCounts& counts) {
  counts.changes.resize(kChanges, 0);
  ++counts.walks;
  sinter::reset();  // so that the process's limit on variants counts this walk alone
  Pair p(walk, counts);
  const std::string start = p.eager.configuration();
  for (size_t i = 0; i < walk.steps.size() && !p.over; ++i)
    if (std::string d = p.step(walk.steps[i]); !d.empty()) return fmt::format("step {}: {}", i, d);
  if (std::string d = p.undo_all(); !d.empty()) return d;
  if (p.over) return {};
  if (start != p.eager.configuration())
    return "undoing everything did not bring the world back:\n" + start + "\n" + p.eager.configuration();
  if (std::string d = p.call(0); !d.empty()) return "after undoing everything: " + d;
  if (walk.seed % 4 != 0 || env().recompile_limit < Env().recompile_limit || branches_on_values(walk.blocks[0]) ||
      branches_on_values(walk.blocks[1]))
    return {};
  return check_precision(p, walk, counts);
}

Walk shrink(Walk walk) {
  const auto fails = [](const Walk& w) {
    WalkCounts counts;
    return !run_walk(w, counts).empty();
  };
  const auto drop_from = [&](auto get) {
    bool dropped = false;
    for (size_t chunk = std::max<size_t>(get(walk).size() / 2, 1); chunk > 0; chunk /= 2)
      for (size_t i = get(walk).size(); i-- > 0;) {
        if (i + chunk > get(walk).size()) continue;
        Walk w = walk;
        auto& list = get(w);
        list.erase(list.begin() + static_cast<std::ptrdiff_t>(i), list.begin() + static_cast<std::ptrdiff_t>(i + chunk));
        if (fails(w)) walk = std::move(w), dropped = true;
      }
    return dropped;
  };
  for (bool smaller = true; smaller;) {
    smaller = drop_from([](Walk & w) -> auto& { return w.steps; });
    for (int k = 0; k < 2; ++k) smaller |= drop_from([k](Walk & w) -> auto& { return w.blocks[static_cast<size_t>(k)]; });
  }
  for (WalkStep& s : walk.steps) {  // one call where three were made
    if (s.what != kCall || times_of(s) == 1) continue;
    const uint8_t before = std::exchange(s.arg, static_cast<uint8_t>(s.arg & 0x83));
    if (!fails(walk)) s.arg = before;
  }
  return walk;
}

std::string listing(const Walk& walk) {
  std::string out = fmt::format("seed {}\n", walk.seed);
  for (int k = 0; k < 2; ++k) {
    const auto& blocks = walk.blocks[static_cast<size_t>(k)];
    out += fmt::format("function {}{}:\n", k, is_pure(walk.blocks[0]) && is_pure(walk.blocks[1]) ? " (fullgraph)" : "");
    for (uint8_t b : blocks) out += fmt::format("    {}: {}\n", block_name(b), block_code(b));
  }
  World w(walk.seed, false, walk.blocks);  // only to know what an undo undoes
  for (size_t i = 0; i < walk.steps.size(); ++i) {
    const WalkStep& s = walk.steps[i];
    out += fmt::format("  {:2} ", i);
    if (s.what == kCall) {
      out += fmt::format("call function {}, {} times{}\n", function_of(s), times_of(s),
                         backward_after(s) ? ", backward and optimizer step outside after each" : "");
    } else if (s.what == kUndo) {
      if (w.active.empty()) {
        out += "undo nothing\n";
        continue;
      }
      const int knob = w.active[s.arg % w.active.size()];
      w.knobs[static_cast<size_t>(knob)] = 0;
      std::erase(w.active, knob);
      out += fmt::format("undo {}\n", knob_name(knob));
    } else if (s.what < kKnobs) {
      std::erase(w.active, static_cast<int>(s.what));
      w.active.push_back(s.what);
      out += fmt::format("set {} to {}\n", knob_name(s.what), variant_of(s));
    } else {
      out += fmt::format("event {} ({})\n", event_name(s.what - kKnobs), s.arg);
    }
  }
  std::string bytes;
  for (uint8_t b : bytes_of_walk(walk)) bytes += fmt::format("{:02x}", b);
  return out + "bytes " + bytes + "\n";
}

std::string change_name(size_t kind) {
  const auto k = static_cast<int>(kind);
  return k < kKnobs ? knob_name(k) : event_name(k - kKnobs);
}

}  // namespace sinter::test
