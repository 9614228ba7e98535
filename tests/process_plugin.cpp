// A shared library with a compiled function in a static object, loaded and unloaded by process_test. Built against the headers
// only: sinter's functions are those of the program.
#include "frontend/sinter/sinter.h"

using namespace sinter;

namespace {

auto& holder() {
  static auto compiled = compile(
      [](const Tensor& x) {
        const Tensor h = x * 2;
        return h.sum().item<float>() > 1e9f ? h : relu(h + 1);
      },
      {.name = "of_the_plugin"});
  return compiled;
}

}  // namespace

extern "C" {
/// A compiled call; its static object is destroyed by dlclose.
void plugin_call(const Tensor& x, Tensor& out) { out = holder()(x); }
/// The same function, recorded into a compiled object of the program.
void plugin_apply(const Tensor& x, Tensor& out) { out = tanh(x - 3) * 2; }
/// A loss whose graph was made here.
void plugin_loss(const Tensor& w, Tensor& loss) {
  const Tensor h = w * w;
  loss = (h.view({h.numel()}) + w.exp().view({h.numel()})).sum();
}
void plugin_explain(const Tensor& x, Explanation& e) { e = explain(holder())(x); }
}
