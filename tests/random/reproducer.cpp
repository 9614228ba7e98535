#include <cctype>
#include <map>
#include "reduce.h"
#include "run.h"
#include "statements.h"

namespace sinter::test {

namespace {

using Names = std::map<std::string, std::string>;

/// Replaces identifiers of a statement's code that are no members by what they stand for.
std::string substitute(const std::string& code, const Names& names) {
  const auto in_word = [&](size_t k) { return std::isalnum(static_cast<unsigned char>(code[k])) || code[k] == '_'; };
  std::string out;
  for (size_t i = 0; i < code.size();) {
    size_t end = i;
    while (end < code.size() && in_word(end)) ++end;
    if (end == i) {
      out += code[i++];
      continue;
    }
    const std::string word = code.substr(i, end - i);
    const bool member = !out.empty() && (out.back() == '.' || out.back() == ':');
    const auto found = names.find(word);
    out += member || found == names.end() ? word : found->second;
    i = end;
  }
  return out;
}

std::string slot(int i) { return fmt::format("v[{}]", i); }

std::string step_code(const Program& p, size_t i, const std::vector<Tensor>& values) {
  const Step& s = p.steps[i];
  const int a = held_slot(values, s.a), b = held_slot(values, s.b), c = held_slot(values, s.c);
  const Names names = {{"x", slot(a)},
                       {"y", slot(b)},
                       {"z", slot(c)},
                       {"p", fmt::format("int64_t{{{}}}", s.p)},
                       {"q", fmt::format("int64_t{{{}}}", s.q)},
                       {"s", fmt::format("({} * scale)", s.s)},
                       {"RESULT", slot(p.result_slot(i)) + " = "}};
  const Statement& statement = statements()[static_cast<size_t>(s.statement)];
  std::string code = substitute(statement.code, names);
  if (!code.ends_with("}")) code += ";";
  if (s.drop_a) code += " " + slot(a) + ".reset();";
  if (p.escapes) return fmt::format("  {{ {} }}\n", code);
  return fmt::format("  try {{ {} }} catch (const std::exception& e) {{ std::cout << \"{}: \" << e.what() << \"\\n\"; }}\n", code,
                     i);
}

std::string list_of(const std::vector<int64_t>& sizes) {
  std::string out;
  for (int64_t s : sizes) out += (out.empty() ? "" : ", ") + std::to_string(s);
  return "{" + out + "}";
}

std::string values_code(const std::vector<int64_t>& sizes, ScalarType type, bool specials) {
  const std::string numbers = "randn(" + list_of(sizes) + ")";
  if (type == kBool) return "(" + numbers + " > 0)";
  if (type == kLong) return "(" + numbers + " * 3).to(kLong)";
  return (specials ? "specials(" + numbers + ")" : numbers) + (type == kDouble ? ".to(kDouble)" : "");
}

std::string input_code(const Input& in, const Call& call, bool cast) {
  std::vector<int64_t> sizes = sizes_for(in, call);
  const std::vector<int64_t> full = sizes;
  std::string view;
  if (in.form == Input::Transposed && sizes.size() >= 2) {
    std::swap(sizes.front(), sizes.back());
    view = ".transpose(0, -1)";
  } else if (in.form == Input::Expanded && !sizes.empty()) {
    sizes[0] = 1;
    view = ".expand(" + list_of(full) + ")";
  } else if (in.form == Input::Sliced && !sizes.empty()) {
    sizes[0] += 2;
    view = fmt::format(".slice(0, 1, {})", sizes[0] - 1);
  } else if (in.form == Input::Strided && !sizes.empty()) {
    sizes.back() *= 2;
    view = ".slice(-1, 0, std::nullopt, 2)";
  }
  return values_code(sizes, dtype_for(in, cast), in.specials) + view;
}

std::string call_inputs(const Program& p, size_t k) {
  const Call& call = p.calls[k];
  std::string out = fmt::format("  if (call == {}) {{\n    manual_seed({});\n", k, call.data + 17);
  for (size_t i = 0; i < p.inputs.size(); ++i)
    out += "    v.push_back(" + input_code(p.inputs[i], call, call.cast_input == static_cast<int>(i)) + ");\n";
  const auto n = static_cast<int>(p.inputs.size());
  if (call.alias != Call::None && call.alias_of < n && call.aliased < n) {
    const Input& in = p.inputs[static_cast<size_t>(call.alias_of)];
    std::vector<int64_t> sizes = sizes_for(in, call);
    if (call.alias == Call::Same || sizes.empty()) {
      out += fmt::format("    v[{}] = v[{}];\n", call.aliased, call.alias_of);
    } else {
      const int64_t rows = sizes[0]++;
      out += fmt::format("    const Tensor base = {};\n    v[{}] = base.slice(0, 0, {});\n    v[{}] = base.slice(0, 1, {});\n",
                         values_code(sizes, dtype_for(in, call.cast_input == call.alias_of), false), call.alias_of, rows,
                         call.aliased, rows + 1);
    }
  }
  for (size_t i = 0; i < p.inputs.size(); ++i)
    if (p.inputs[i].requires_grad != (call.flip_grad == static_cast<int>(i)) &&
        is_floating(dtype_for(p.inputs[i], call.cast_input == static_cast<int>(i))))
      out += fmt::format("    v[{0}] = v[{0}].detach().requires_grad_();\n", i);
  return out + "  }\n";
}

std::string modes_code(const Program& p) {
  std::string out;
  for (size_t k = 0; k < p.calls.size(); ++k) {
    if (p.calls[k].no_grad) out += fmt::format("  AutoGradMode mode{0}(call != {0} && is_grad_enabled());\n", k);
    if (p.calls[k].double_default) out += fmt::format("  DefaultDouble default{0}(call == {0});\n", k);
  }
  return out;
}

std::string body_code(const Program& p) {
  std::string out = fmt::format("void f(std::vector<Tensor>& v, int call, [[maybe_unused]] double scale) {{\n  v.resize({});\n",
                                p.inputs.size() + p.steps.size());
  out += modes_code(p);
  Run run;
  run.values = make_inputs(p, p.calls[0]);
  run.values.resize(p.inputs.size() + p.steps.size());
  for (size_t i = 0; i < p.steps.size(); ++i) {
    out += step_code(p, i, run.values);
    try {
      run_step(p, i, p.calls[0], run.values);
    } catch (const std::exception&) {}
  }
  if (p.backward == Backward::Inside) out += "  backward(v);\n";
  for (size_t i = 0; i < p.steps.size(); ++i)
    if (!p.steps[i].keep) out += "  " + slot(p.result_slot(i)) + ".reset();\n";
  return out + "}\n";
}

constexpr const char* kPreamble = R"(#include <iostream>
#include <limits>
#include <sinter/sinter.h>
#include "engine/autograd/autograd.h"
#include "frontend/nn/set_data.h"
#include "runtime/cpu.h"
#include "runtime/stress.h"
using namespace sinter;
struct HostError : std::runtime_error { using std::runtime_error::runtime_error; };
)";
constexpr const char* kSpecials = R"(Tensor specials(Tensor t) {
  using L = std::numeric_limits<float>;
  const float values[] = {L::quiet_NaN(), L::infinity(), -L::infinity(), -0.0f, L::denorm_min(), 0.0f};
  for (int64_t i = 0, k = 0; i < t.numel(); i += 5, ++k) t.data_ptr<float>()[i] = values[k % 6];
  return t;
}
)";
constexpr const char* kBackward = R"(struct DefaultDouble {
  ScalarType before = default_dtype();
  explicit DefaultDouble(bool on) { if (on) set_default_dtype(kDouble); }
  ~DefaultDouble() { set_default_dtype(before); }
};
void backward(const std::vector<Tensor>& v) {
  Tensor total;
  for (const Tensor& t : v)
    if (t.defined() && t.requires_grad()) total = total.defined() ? total + t.to(kDouble).sum() : t.to(kDouble).sum();
  if (total.defined()) total.backward();
}
)";
constexpr const char* kMain = R"(
template <class F>
std::vector<Tensor> run(F& body, int call, const std::vector<Tensor>* before) {
  std::vector<Tensor> v = before ? *before : inputs(call);
  const std::vector<Tensor> kept = v;
  manual_seed(99);
  try { body(v, call, kScale[call]); } catch (const std::exception& e) { std::cout << "escaped: " << e.what() << "\n"; }
  if (kOutside) backward(v);
  for (const Tensor& t : v)
    if (t.defined()) std::cout << t.str() << " strides " << to_string(t.strides()) << " version " << t._version() << "\n";
  for (const Tensor& t : v)
    if (t.defined() && t.grad().defined()) std::cout << "gradient " << t.grad().str() << "\n";
  return kept;
}

int main() {
  configure();
  auto eager = f;
  auto compiled = compile(f);
  std::vector<Tensor> a, b;
  for (int call = 0; call < kCalls; ++call) {
    std::cout << "call " << call << " eager\n";
    a = run(eager, call, kReuse[call] ? &a : nullptr);
    std::cout << "call " << call << " compiled\n";
    b = run(compiled, call, kReuse[call] ? &b : nullptr);
  }
}
)";

std::string configuration_code(const Config& config) {
  return fmt::format(
      "void configure() {{\n  set_stress({{.fuse = {}, .skip_passes = {}, .kernel_seed = {}ull, .close_seed = {}ull}});\n"
      "  set_isa_cap(Isa::{});\n}}\n",
      config.stress.fuse, config.stress.skip_passes, config.stress.kernel_seed, config.stress.close_seed,
      config.cap == Isa::Avx512 ? "Avx512"
      : config.cap == Isa::Avx2 ? "Avx2"
                                : "None");
}

}  // namespace

std::string reproducer(const Program& p, const Config& config) {
  std::string scales, reuse, text = fmt::format("// seed {}, {}\n", p.seed, config.name);
  for (const Call& c : p.calls) {
    scales += (scales.empty() ? "" : ", ") + fmt::format("{}", c.scale);
    reuse += std::string(reuse.empty() ? "" : ", ") + (c.reuse && !reuse.empty() ? "true" : "false");
  }
  text += kPreamble;
  std::string helpers = kHelperCode;
  for (size_t at = 0; (at = helpers.find("inline ", at)) != std::string::npos; at += 8) helpers.insert(at, "\n");
  text += helpers.substr(1) + "\n" + kSpecials + kBackward;
  text += fmt::format("constexpr int kCalls = {};\nconstexpr double kScale[] = {{{}}};\nconstexpr bool kReuse[] = {{{}}};\n",
                      p.calls.size(), scales, reuse);
  text += fmt::format("constexpr bool kOutside = {};  // the backward pass runs after the compiled call\n",
                      p.backward == Backward::Outside);
  text += configuration_code(config) + "std::vector<Tensor> inputs(int call) {\n  std::vector<Tensor> v;\n";
  for (size_t k = 0; k < p.calls.size(); ++k) text += call_inputs(p, k);
  return text + "  return v;\n}\n" + body_code(p) + kMain;
}

}  // namespace sinter::test
