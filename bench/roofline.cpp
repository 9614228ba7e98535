#include "roofline.h"
#include <algorithm>
#include <cmath>
#include <cstdio>
#include "runtime/machine_rates.h"

namespace bench {
namespace {

constexpr double kWidth = 960, kHeight = 600, kLeft = 80, kRight = 24, kTop = 40, kBottom = 64;

/// Two logarithmic axes, whole powers of two on x (flop a byte) and of ten on y (GFLOP/s).
class Axes {
 public:
  Axes(double x_low, double x_high, double y_low, double y_high)
      : x_low_(std::floor(std::log2(x_low))),
        x_high_(std::ceil(std::log2(x_high))),
        y_low_(std::floor(std::log10(y_low))),
        y_high_(std::ceil(std::log10(y_high))) {}
  double x(double v) const { return kLeft + (std::log2(v) - x_low_) / (x_high_ - x_low_) * (kWidth - kLeft - kRight); }
  double y(double v) const {
    return kHeight - kBottom - (std::log10(v) - y_low_) / (y_high_ - y_low_) * (kHeight - kTop - kBottom);
  }
  double left() const { return std::exp2(x_low_); }
  double right() const { return std::exp2(x_high_); }

  void draw(FILE* out) const {
    for (double e = x_low_; e <= x_high_; ++e) {
      line(out, x(std::exp2(e)), kTop, x(std::exp2(e)), kHeight - kBottom, "#ddd", 1);
      const std::string label =
          e < 0 ? "1/" + std::to_string(1 << static_cast<int>(-e)) : std::to_string(1 << static_cast<int>(e));
      text(out, x(std::exp2(e)), kHeight - kBottom + 18, "middle", label);
    }
    for (double e = y_low_; e <= y_high_; ++e) {
      line(out, kLeft, y(std::pow(10, e)), kWidth - kRight, y(std::pow(10, e)), "#ddd", 1);
      char label[32];
      std::snprintf(label, sizeof label, "%g", std::pow(10, e));
      text(out, kLeft - 8, y(std::pow(10, e)) + 4, "end", label);
    }
    text(out, (kLeft + kWidth - kRight) / 2, kHeight - 16, "middle", "floating-point operations a byte of operands");
    std::fprintf(out, "<text x=\"20\" y=\"%g\" text-anchor=\"middle\" transform=\"rotate(-90 20 %g)\">GFLOP/s</text>\n",
                 kHeight / 2, kHeight / 2);
  }
  static void line(FILE* out, double x1, double y1, double x2, double y2, const char* color, double width) {
    std::fprintf(out, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" stroke-width=\"%g\"/>\n", x1, y1, x2,
                 y2, color, width);
  }
  static void text(FILE* out, double x, double y, const char* anchor, const std::string& content) {
    std::fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>\n", x, y, anchor, content.c_str());
  }

 private:
  double x_low_, x_high_, y_low_, y_high_;
};

/// What memory of `rate` bytes a second allows, up to the peak.
void draw_roof(FILE* out, const Axes& axes, const char* name, double rate, double peak, const char* color) {
  const double ridge = std::min(peak / rate, axes.right()), start = axes.left();
  Axes::line(out, axes.x(start), axes.y(start * rate / 1e9), axes.x(ridge), axes.y(std::min(peak, ridge * rate) / 1e9), color, 2);
  char label[96];
  std::snprintf(label, sizeof label, "%s %.0f GB/s", name, rate / 1e9);
  Axes::text(out, axes.x(start) + 6, axes.y(start * rate / 1e9) - 6, "start", label);
}

void draw_points(FILE* out, const Axes& axes, const std::vector<RooflinePoint>& points) {
  std::vector<std::pair<double, double>> labels;  // places taken
  for (const RooflinePoint& p : points) {
    const double x = axes.x(p.flops / p.bytes), y = axes.y(p.flops / p.seconds / 1e9);
    std::fprintf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"#c33\"><title>%s: %.3g GFLOP/s, %.3g us</title></circle>\n",
                 x, y, p.name.c_str(), p.flops / p.seconds / 1e9, p.seconds * 1e6);
    double at = y + 4;
    const auto taken = [&](const auto& l) { return std::fabs(l.first - x) < 110 && std::fabs(l.second - at) < 12; };
    while (std::any_of(labels.begin(), labels.end(), taken)) at += 12;
    labels.emplace_back(x, at);
    Axes::text(out, x + 8, at, "start", p.name);
  }
}

}  // namespace

bool write_roofline(const std::string& path, const std::vector<RooflinePoint>& points) {
  const sinter::machine::Rates& rates = sinter::machine::measured_rates(sinter::isa());
  if (points.empty() || rates.flops_f32 <= 0 || rates.levels[3].rate <= 0) return false;
  double x_low = 1.0 / 16, x_high = 2 * rates.flops_f32 / rates.levels[3].rate, y_low = 1;
  for (const RooflinePoint& p : points) {
    x_low = std::min(x_low, p.flops / p.bytes);
    x_high = std::max(x_high, p.flops / p.bytes);
    y_low = std::min(y_low, p.flops / p.seconds / 1e9);
  }
  const Axes axes(x_low, x_high, y_low, 2 * rates.flops_f32 / 1e9);
  FILE* const out = std::fopen(path.c_str(), "w");
  if (out == nullptr) return false;
  std::fprintf(out,
               "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %g %g\" font-family=\"sans-serif\" font-size=\"12\">\n"
               "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
               kWidth, kHeight);
  axes.draw(out);
  const char* const names[] = {"L1", "L2", "L3", "memory"};
  for (int level = 0; level < 4; ++level)
    draw_roof(out, axes, names[level], rates.levels[level].rate, rates.flops_f32, level == 3 ? "#333" : "#99b");
  const double ridge = rates.flops_f32 / rates.levels[0].rate;
  Axes::line(out, axes.x(std::max(ridge, axes.left())), axes.y(rates.flops_f32 / 1e9), axes.x(axes.right()),
             axes.y(rates.flops_f32 / 1e9), "#333", 2);
  char title[128];
  std::snprintf(title, sizeof title, "%s, one core: multiply-adds of float32 %.0f GFLOP/s", sinter::isa_name(sinter::isa()),
                rates.flops_f32 / 1e9);
  Axes::text(out, axes.x(axes.right()) - 4, axes.y(rates.flops_f32 / 1e9) - 8, "end", title);
  draw_points(out, axes, points);
  std::fputs("</svg>\n", out);
  return std::fclose(out) == 0;
}

}  // namespace bench
