#include "compare_ways.h"
#include <map>
#include "../random/compare.h"
#include "world.h"

namespace sinter::test {

namespace {

constexpr Way kWays[] = {Way::Step, Way::Forward, Way::ForwardAndUpdate, Way::Gradients, Way::Sometimes};
constexpr int kNew = 3;  // a situation compiles nothing when it was there so often before

/// Perhaps: then it counts how batches lie in memory.
bool writes_data(const Plan& p) {
  for (const LayerPlan& l : p.layers)
    if (std::string(layer_rows()[static_cast<size_t>(l.kind)].name).ends_with("_")) return true;
  return false;
}

/// How a batch lies and how long it is.
std::string batch_of(const Plan& p, int64_t number) {
  const int64_t per_epoch = (p.rows + p.batch - 1) / p.batch, start = number % per_epoch * p.batch;
  const std::string rows = fmt::format("{} ", std::min(p.batch, p.rows - start));
  return p.slice_inside || writes_data(p) ? fmt::format("from {} {}", start, rows) : rows;
}

/// All that makes a step take another path than another one.
std::string situation_of(const Plan& p, int i) {
  std::string s = fmt::format("{} {} {} ", i == p.reload, i >= p.thaw, i >= p.freeze);
  for (int64_t m = 0; m < p.micro; ++m) s += batch_of(p, i * p.micro + m);
  for (const LayerPlan& l : p.layers) s += fmt::format("{} ", i % l.every);
  return p.evaluate > 0 ? s + fmt::format("{} ", i % p.evaluate) + batch_of(p, i) : s;
}

/// No path of the program depends on values.
bool is_steady(const Plan& p) {
  for (const LayerPlan& l : p.layers)
    if (std::string(layer_rows()[static_cast<size_t>(l.kind)].name) == "branch on a value") return false;
  return true;
}

std::string named(const std::string& difference, const World& world) {
  if (const size_t at = difference.find("v["); at != std::string::npos)
    return difference + " (" + world.name(std::strtoull(difference.c_str() + at + 2, nullptr, 10)) + ")";
  return difference;
}

void count(const World& world, TrainingRates& rates) {
  const CompileStats s = world.stats();
  rates.compiled += s.regions_compiled;
  rates.replayed += s.replays;
  rates.interpreted += s.interpreted;
  rates.fallbacks += s.eager_fallbacks;
}

double share(int64_t part, int64_t all) { return all == 0 ? 1 : static_cast<double>(part) / static_cast<double>(all); }

}  // namespace

std::string compare_ways(const Plan& plan, const Config& config, TrainingRates& rates) {
  const ConfigScope scope(config);
  World eager(plan, Way::Eager);
  GeneratorState before = default_generator().get_state();
  std::vector<std::unique_ptr<World>> worlds;
  for (const Way way : kWays) worlds.push_back(std::make_unique<World>(plan, way));
  const bool plain = config.stress == Stress{} && isa() != Isa::None, counted = plain && is_steady(plan);
  std::map<std::string, int> situations;  // how often one came after another
  std::string found;
  for (int i = 0; i < plan.steps && found.empty(); ++i) {
    default_generator().set_state(before);
    eager.step(i);
    const GeneratorState after = default_generator().get_state();
    const Run want = eager.seen();
    const int known = situations[situation_of(plan, i) + "after " + (i > 0 ? situation_of(plan, i - 1) : "nothing")]++;
    for (size_t w = 0; w < worlds.size() && found.empty(); ++w) {
      World& world = *worlds[w];
      const bool steady =
          counted && i != plan.forget && known >= (kWays[w] == Way::Sometimes ? 2 * kNew : kNew) && !eager.failed();
      ++rates.steps;
      rates.plain += plain;
      rates.steady += steady;
      const int64_t compiled = world.stats().regions_compiled;
      default_generator().set_state(before);
      world.step(i);
      found = named(difference(want, {}, world.seen(), {}), world);
      if (found.empty() && !(after == default_generator().get_state())) found = "state of the generator";
      if (found.empty() && world.stats().verify_failures > 0) found = "a program failed its verification";
      if (found.empty() && steady && world.stats().regions_compiled != compiled)
        found = fmt::format("{} regions compiled in a step with nothing new", world.stats().regions_compiled - compiled);
      if (!found.empty()) found = fmt::format("step {}, {}: {}", i, way_name(kWays[w]), found);
    }
    before = after;
    if (i == plan.forget) situations.clear();
  }
  ++rates.programs;
  rates.finite += eager.finite();
  rates.failing += eager.failed();
  if (plain)
    for (const auto& world : worlds) count(*world, rates);
  return found;
}

double TrainingRates::finite_share() const { return share(finite, programs); }
double TrainingRates::replayed_share() const { return share(replayed, compiled + replayed + interpreted); }
double TrainingRates::steady_share() const { return share(steady, plain); }

std::string TrainingRates::str() const {
  return fmt::format(
      "{} programs trained ({:.1f} % to finite parameters, {:.1f} % threw), {} steps ({:.0f} % of those without stress may not "
      "compile); of the regions "
      "{} "
      "compiled, {} replayed, {} interpreted, {} given up",
      programs, 100 * finite_share(), 100 * share(failing, programs), steps, 100 * steady_share(), compiled, replayed,
      interpreted, fallbacks);
}

}  // namespace sinter::test
