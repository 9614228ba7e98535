#include "program.h"

namespace sinter::test {
namespace {

constexpr struct {
  int weight;
  const char* name;
} kSteps[] = {
#define STEP(weight, name, ...) {weight, name},
#include "statements.inc"
#undef STEP
};
constexpr int kKinds = static_cast<int>(std::size(kSteps));

void execute(const Step& st, std::vector<Tensor>& v, double scale) {
  Tensor x = v[st.a % v.size()], y = v[st.b % v.size()], z = v[st.c % v.size()];
  const double s = st.s * scale;
  int kind = 0;
#define RESULT(t) v.push_back(t);
#define STEP(weight, name, ...) \
  if (kind++ == st.kind) {      \
    __VA_ARGS__;                \
    return;                     \
  }
#include "statements.inc"
#undef STEP
#undef RESULT
}

int pick_kind(std::mt19937_64& r) {
  static const int total = [] {
    int t = 0;
    for (const auto& s : kSteps) t += s.weight;
    return t;
  }();
  int at = static_cast<int>(r() % static_cast<uint64_t>(total));
  for (int k = 0; k < kKinds; ++k)
    if ((at -= kSteps[k].weight) < 0) return k;
  return 0;
}

std::string error_kind(const Error& e) {
  const std::string what = e.what();
  return what.substr(0, what.find('\n'));
}

bool same_element(double a, double b) {
  return (std::isnan(a) && std::isnan(b)) || (a == b && std::signbit(a) == std::signbit(b));
}

std::string compare(const Tensor& a, const Tensor& b, const std::string& name) {
  if (a.defined() != b.defined()) return name + ": defined or not";
  if (!a.defined()) return {};
  if (a.dtype() != b.dtype() || !(a.sizes() == b.sizes())) return name + ": shape or dtype";
  if (!(a.strides() == b.strides()) && a.numel() > 0)
    return name + ": strides " + to_string(a.strides()) + " " + to_string(b.strides());
  if (a.storage_offset() != b.storage_offset()) return name + ": storage offset";
  if (a.requires_grad() != b.requires_grad()) return name + ": requires_grad";
  if (a._version() != b._version()) return fmt::format("{}: version {} {}", name, a._version(), b._version());
  if (same_bits(a, b)) return {};
  const Tensor da = a.detach().to(kDouble).reshape({-1}), db = b.detach().to(kDouble).reshape({-1});  // NaN payloads may differ
  for (int64_t i = 0; i < da.numel(); ++i) {
    const double x = da.const_data_ptr<double>()[i], y = db.const_data_ptr<double>()[i];
    if (!same_element(x, y)) return fmt::format("{}[{}]: {} {}", name, i, x, y);
  }
  return {};
}

}  // namespace

Program random_program(uint64_t seed) {
  std::mt19937_64 r(seed);
  Program p;
  p.seed = seed;
  p.backward = r() % 4 == 0;
  static const std::vector<std::vector<int64_t>> shapes = {{3, 4},    {3, 4}, {4, 3}, {4},     {1, 4}, {3, 1},
                                                           {2, 3, 4}, {1},    {},     {17, 5}, {0, 4}, {5, 33}};
  const size_t n = 2 + r() % 3;
  for (size_t i = 0; i < n; ++i) {
    p.shapes.push_back(shapes[r() % (r() % 4 == 0 ? shapes.size() : 4)]);
    static const ScalarType types[] = {kFloat, kFloat, kFloat, kFloat, kDouble, kLong, kBool};
    p.dtypes.push_back(types[r() % std::size(types)]);
    p.forms.push_back(r() % 3 ? 0 : static_cast<int>(r() % 4));
  }
  const size_t length = 3 + r() % 18;
  for (size_t i = 0; i < length; ++i) {
    Step s;
    s.kind = pick_kind(r);
    s.a = static_cast<uint32_t>(r());
    s.b = static_cast<uint32_t>(r());
    s.c = static_cast<uint32_t>(r());
    s.p = static_cast<int64_t>(r() % 8);
    s.q = static_cast<int64_t>(r() % 8);
    s.s = static_cast<double>(static_cast<int64_t>(r() % 17) - 8) / 4;
    p.steps.push_back(s);
  }
  return p;
}

std::vector<Tensor> make_inputs(const Program& p, uint64_t data_seed, int64_t grow) {
  manual_seed(data_seed);
  std::vector<Tensor> inputs;
  for (size_t i = 0; i < p.shapes.size(); ++i) {
    std::vector<int64_t> shape = p.shapes[i];
    if (!shape.empty() && shape[0] > 1) shape[0] += grow;
    Tensor t;
    if (p.forms[i] == 1 && shape.size() >= 2) {
      std::swap(shape[0], shape[shape.size() - 1]);
      t = randn(shape).transpose(0, -1);
    } else if (p.forms[i] == 2 && !shape.empty()) {
      const std::vector<int64_t> full = shape;
      shape[0] = 1;
      t = randn(shape).expand(full);
    } else if (p.forms[i] == 3 && !shape.empty()) {
      shape[0] += 2;
      t = randn(shape).slice(0, 1, shape[0] - 1);
    } else {
      t = randn(shape);
    }
    t = p.dtypes[i] == kBool ? t > 0 : p.dtypes[i] == kLong ? (t * 3).to(kLong) : t.to(p.dtypes[i]);
    if (p.backward && is_floating(p.dtypes[i])) t = t.detach().set_requires_grad(true);
    inputs.push_back(t);
  }
  return inputs;
}

Outcome run_program(const Program& p, std::vector<Tensor>& inputs, double scale) {
  Outcome out;
  std::vector<Tensor> v(inputs.begin(), inputs.end());
  for (size_t i = 0; i < p.steps.size(); ++i) {
    try {
      execute(p.steps[i], v, scale);
      ++out.valid;
    } catch (const Error& e) {
      ++out.invalid;
      out.errors.push_back(std::to_string(i) + ": " + error_kind(e));
    }
  }
  if (p.backward) {
    try {
      Tensor total;
      for (const Tensor& t : v)
        if (t.requires_grad()) total = total.defined() ? total + t.to(kDouble).sum() : t.to(kDouble).sum();
      if (total.defined()) total.backward();
    } catch (const Error& e) { out.errors.push_back("backward: " + error_kind(e)); }
  }
  out.values = std::move(v);
  return out;
}

std::string difference(const Outcome& eager, const Outcome& compiled) {
  if (eager.errors != compiled.errors) {
    for (size_t i = 0;; ++i) {
      const std::string a = i < eager.errors.size() ? eager.errors[i] : "none",
                        b = i < compiled.errors.size() ? compiled.errors[i] : "none";
      if (a != b) return "errors differ:\n  eager    " + a + "\n  compiled " + b;
    }
  }
  if (eager.values.size() != compiled.values.size()) return "number of values";
  for (size_t i = 0; i < eager.values.size(); ++i) {
    if (std::string d = compare(eager.values[i], compiled.values[i], "value " + std::to_string(i)); !d.empty()) return d;
    for (size_t j = 0; j < i; ++j)  // storage identity
      if (eager.values[i].is_alias_of(eager.values[j]) != compiled.values[i].is_alias_of(compiled.values[j]))
        return fmt::format("values {} and {} share memory or not", j, i);
  }
  return {};
}

std::string check_program(const Program& p, int64_t& valid, int64_t& invalid) {
  sinter::reset();  // so that the limit on variants in the process is never reached
  auto g = compile([&p](std::vector<Tensor>& inputs, double scale) { return run_program(p, inputs, scale); }, {.name = "random"});
  for (int call = 0; call < 6; ++call) {
    const int64_t grow = call == 3 || call == 4 ? 2 : 0;
    const double scale = call == 2 ? 1.5 : 1;
    std::vector<Tensor> a = make_inputs(p, p.seed + static_cast<uint64_t>(call / 2), grow);
    std::vector<Tensor> b = make_inputs(p, p.seed + static_cast<uint64_t>(call / 2), grow);
    manual_seed(99);
    const Outcome eager = run_program(p, a, scale);
    const uint64_t counter = Generator::get_default().counter();
    manual_seed(99);
    const Outcome compiled = g(b, scale);
    valid += eager.valid;
    invalid += eager.invalid;
    const std::string where = fmt::format("call {}: ", call);
    if (std::string d = difference(eager, compiled); !d.empty()) return where + d;
    if (counter != Generator::get_default().counter()) return where + "generator state";
    for (size_t i = 0; i < a.size(); ++i) {
      if (std::string d = compare(a[i], b[i], "input " + std::to_string(i)); !d.empty()) return where + d;
      if (p.backward)
        if (std::string d = compare(a[i].grad(), b[i].grad(), "grad " + std::to_string(i)); !d.empty()) return where + d;
    }
  }
  return {};
}

Program reduce(Program p) {
  const auto fails = [](const Program& q) {
    int64_t valid = 0, invalid = 0;
    return !check_program(q, valid, invalid).empty();
  };
  for (bool smaller = true; smaller;) {
    smaller = false;
    for (size_t i = p.steps.size(); i-- > 0;) {
      Program q = p;
      q.steps.erase(q.steps.begin() + static_cast<int64_t>(i));
      if (fails(q)) p = q, smaller = true;
    }
  }
  if (p.backward) {
    Program q = p;
    q.backward = false;
    if (fails(q)) p = q;
  }
  return p;
}

std::string listing(const Program& p) {
  std::string out = fmt::format("seed {}{}\n", p.seed, p.backward ? ", with backward" : "");
  for (size_t i = 0; i < p.shapes.size(); ++i)
    out += fmt::format("  v{} = {}{} form {}\n", i, dtype_short_name(p.dtypes[i]), to_string(p.shapes[i]), p.forms[i]);
  std::vector<Tensor> inputs = make_inputs(p, p.seed, 0), v(inputs);
  for (const Step& s : p.steps) {
    const size_t n = v.size();
    std::string note;
    try {
      execute(s, v, 1);
    } catch (const Error& e) { note = std::string("  # throws ") + e.what(); }
    const std::string result = v.size() > n ? fmt::format("v{} {}", n, to_string(v.back().sizes())) : "";
    out += fmt::format("  {}: x=v{} y=v{} z=v{} p={} q={} s={} -> {}{}\n", kSteps[s.kind].name, s.a % n, s.b % n, s.c % n, s.p,
                       s.q, s.s, result, note);
  }
  return out;
}

}  // namespace sinter::test
