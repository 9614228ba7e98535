#include "check.h"
#include <algorithm>
#include "compare.h"
#include "engine/passes/passes.h"

namespace sinter::test {

ConfigScope::ConfigScope(const Config& config) : before_(isa()) {
  sinter::reset();  // also keeps the limit on variants in the process out of reach
  set_stress(config.stress);
  set_isa_cap(std::min(config.cap, before_));
}

ConfigScope::~ConfigScope() {
  sinter::reset();
  set_stress({});
  set_isa_cap(before_);
}

namespace {

struct Pair {
  std::vector<Tensor> eager_inputs, compiled_inputs;
  Run eager, compiled;
  std::string difference() const { return test::difference(eager, eager_inputs, compiled, compiled_inputs); }
};

bool ran_out_of_memory(const Run& run) {
  return std::any_of(run.errors.begin(), run.errors.end(),
                     [](const std::string& e) { return e.find("sinter::OutOfMemoryError") != std::string::npos; });
}

/// Passes that a program needs to be right, not only fast: the second fold_views (operands are views of what is no view) and
/// settle_outputs (each output has a value, and a layout, of its own).
bool may_be_off(const std::vector<const char*>& names, size_t i) {
  const std::string name = names[i];
  const bool again = std::find(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(i), name) !=
                     names.begin() + static_cast<std::ptrdiff_t>(i);
  return name != "settle_outputs" && !(name == "fold_views" && again);
}

}  // namespace

std::vector<Config> configurations(uint64_t seed) {
  std::vector<Config> all{{"default", {}, Isa::Avx512}};
  all.push_back({"no fusion", {.fuse = false}});
  const std::vector<const char*> names = pass_names();
  for (size_t i = 0; i < names.size(); ++i)
    if (may_be_off(names, i)) all.push_back({fmt::format("without {} (pass {})", names[i], i), {.skip_passes = 1u << i}});
  const uint64_t kernels = stress_draw(seed, 1) | 1, closes = stress_draw(seed, 2) | 1;
  all.push_back({"kernel stress", {.kernel_seed = kernels}});
  all.push_back({"random closes", {.close_seed = closes}});
  all.push_back({"all stress", {.kernel_seed = kernels, .close_seed = closes}});
  all.push_back({"stress without fusion", {.fuse = false, .kernel_seed = kernels, .close_seed = closes}});
  return all;
}

Isa usual_cap(uint64_t seed) {
  static constexpr Isa rotation[] = {Isa::Avx512, Isa::Avx512, Isa::Avx2,   Isa::Avx512,
                                     Isa::Avx2,   Isa::Avx512, Isa::Avx512, Isa::None};
  return rotation[stress_draw(seed, 3) % std::size(rotation)];
}

std::string check_program(const Program& p, const Config& config, Rates& rates) {
  const ConfigScope scope(config);
  const auto body = [&p](Run& run, const Call& call) { run_body(p, call, run); };
  auto compiled = compile(body, {.name = "random"});
  std::vector<Pair> history;  // results of earlier calls stay alive and must stay as they are
  history.reserve(p.calls.size());
  std::string found;
  for (size_t i = 0; i < p.calls.size() && found.empty(); ++i) {
    const Call& call = p.calls[i];
    Pair now;
    const bool reuse = call.reuse && !history.empty();
    now.eager_inputs = reuse ? history.back().eager_inputs : make_inputs(p, call);
    now.compiled_inputs = reuse ? history.back().compiled_inputs : make_inputs(p, call);
    manual_seed(99);
    now.eager = run_program(p, call, now.eager_inputs, body);
    if (ran_out_of_memory(now.eager)) break;  // compiled code may do without that tensor
    const GeneratorState after_eager = default_generator().get_state();
    manual_seed(99);
    now.compiled = run_program(p, call, now.compiled_inputs, compiled);
    ++rates.calls;
    rates.valid += now.eager.valid;
    rates.invalid += now.eager.invalid;
    found = now.difference();
    if (found.empty() && !(after_eager == default_generator().get_state())) found = "state of the generator";
    if (!found.empty()) found = fmt::format("call {}: {}", i, found);
    history.push_back(std::move(now));
  }
  for (size_t i = 0; i < history.size() && found.empty(); ++i)
    if (found = history[i].difference(); !found.empty()) found = fmt::format("call {}, after all calls: {}", i, found);
  if (isa() != Isa::None && config.stress == Stress{}) rates.count(compiled.state());
  return found;
}

}  // namespace sinter::test
