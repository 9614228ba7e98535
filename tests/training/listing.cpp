#include "layers.h"
#include "reduce_plan.h"

namespace sinter::test {

namespace {

const char* optim_name(Optim o) {
  static const char* const names[] = {"SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "NAdam"};
  return names[static_cast<size_t>(o)];
}
const char* schedule_name(Schedule s) {
  static const char* const names[] = {"none",
                                      "StepLR(2, 0.5)",
                                      "MultiStepLR({1, 3, 4}, 0.5)",
                                      "ExponentialLR(0.8)",
                                      "CosineAnnealingLR(4, 1e-4)",
                                      "LinearLR(0.3, 1, 4)",
                                      "OneCycleLR",
                                      "ReduceLROnPlateau(patience 1, factor 0.5)"};
  return names[static_cast<size_t>(s)];
}
const char* clip_name(Clip c) {
  static const char* const names[] = {"", "clip_grad_norm_(parameters, 0.5)", "clip_grad_norm_(parameters, 0.5, infinity)",
                                      "clip_grad_value_(parameters, 0.1)",
                                      "if (!isfinite(clip_grad_norm_(parameters, 0.5, 1).item())) skip the update"};
  return names[static_cast<size_t>(c)];
}

std::string layer_text(const LayerPlan& l) {
  const LayerRow& row = layer_rows()[static_cast<size_t>(l.kind)];
  std::string line = fmt::format("  {{ {}; }}  // {}: k = {}, s = {}", row.code, row.name, l.k, l.s);
  if (l.every > 1) line += fmt::format(", in every step that {} divides", l.every);
  if (l.frozen) line += ", frozen";
  return line + "\n";
}

std::string loop_text(const Plan& p) {
  std::string s;
  const auto line = [&s](bool there, const std::string& text) { s += there ? "  " + text + ";\n" : ""; };
  const std::string zero = p.zero == Zero::Never ? "" : fmt::format("opt.zero_grad({})", p.zero == Zero::ToNone);
  line(p.reload >= 0, fmt::format("if (step == {}) opt.load_state_dict(opt.state_dict())", p.reload));
  line(p.thaw >= 0, fmt::format("if (step == {}) train what is frozen", p.thaw));
  line(p.freeze >= 0, fmt::format("if (step == {}) freeze parameter 0", p.freeze));
  line(!zero.empty() && !p.zero_last, zero);
  line(p.micro > 1, fmt::format("{} times, as far as backward", p.micro));
  line(true, fmt::format("out = net(x){}", p.split ? " in two compiled functions" : ""));
  line(true, fmt::format("loss = {}", loss_rows()[static_cast<size_t>(p.loss)].code));
  line(p.forget >= 0, fmt::format("if (step == {}) sinter::reset()", p.forget));
  line(p.penalty, "for (p : parameters) loss = loss + p.square().sum() * 1e-3");
  line(p.input_penalty, "loss = loss + grad({loss}, {x}, {}, true, true)[0].square().sum() * 0.01");
  line(p.micro > 1, fmt::format("loss = loss * (1.0 / {})", p.micro));
  line(p.scale != 0, fmt::format("loss = loss * {}", p.scale));
  const char* const where = p.thread ? "  // on another thread" : "";
  if (p.other_loss >= 0) {
    line(true, fmt::format("other = ({}) * 0.3", loss_rows()[static_cast<size_t>(p.other_loss)].code));
    line(true, fmt::format("loss.backward({{}}, true); other.backward(){}", where));
  } else {
    line(true, fmt::format("loss.backward(){}", where));
  }
  line(p.scale != 0 && !p.closure, fmt::format("for (p : parameters) p.grad().mul_(1 / {})", p.scale));
  line(p.clip != Clip::None && !p.closure, clip_name(p.clip));
  if (p.closure) s += "  // all of this by opt.step(closure)\n";
  line(true, fmt::format("opt.step(){}", p.only_step ? "" : "  // compiled with what is around it"));
  line(p.average != 0, fmt::format("averages of the parameters: a.mul_({0}).add_(p, 1 - {0})", p.average));
  line(p.schedule != Schedule::None, "scheduler.step()");
  line(!zero.empty() && p.zero_last, zero);
  line(p.evaluate > 0, fmt::format("every {} steps: eval(), net(x) without gradients, train()", p.evaluate));
  return s;
}

}  // namespace

std::string listing(const Plan& p) {
  std::string s = fmt::format("// seed {}: {} steps on {} rows, {} at a time\nx: ", p.seed, p.steps, p.rows, p.batch);
  s += p.tokens > 0 ? fmt::format("[N, {}] words, embedded in {}", p.tokens, p.features)
                    : fmt::format("[N, {}]{}", p.features, p.transposed ? " transposed" : "");
  s += fmt::format(", {}{}{}\n", dtype_name(p.dtype), p.input_grad ? ", requires grad" : "",
                   p.slice_inside ? ", sliced inside" : "");
  s += "net(x) {\n";
  for (const LayerPlan& l : p.layers) s += layer_text(l);
  static const char* const pools[] = {"mean({1})", "flatten(1)", "select(1, -1)"};
  if (p.tokens > 0) s += fmt::format("  x = x.{};\n", pools[p.pool]);
  s += fmt::format("  return linear(x, w, b);  // {} outputs\n}}\n", p.outputs);
  if (p.flat) s += "the parameters are views of one tensor\n";
  if (p.flat_grads) s += "the gradients are views of one tensor, and are zeroed in place\n";
  if (p.hook) s += "parameter 0 has a hook that halves its gradient\n";
  for (const GroupPlan& g : p.groups)
    s += fmt::format("{}(lr {}, momentum or beta1 {}, dampening or decay {}, weight_decay {}{})\n", optim_name(p.optim), g.lr,
                     g.momentum, g.dampening, g.weight_decay,
                     g.flag ? ", nesterov, amsgrad, centered or initial accumulator" : "");
  if (p.schedule != Schedule::None) s += fmt::format("{}\n", schedule_name(p.schedule));
  return s + "step {\n" + loop_text(p) + "}\n";
}

}  // namespace sinter::test
