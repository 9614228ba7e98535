// The layers and losses that random training programs are made of (layers.inc, losses.inc), and what their code may use.
#pragma once
#include <map>
#include <span>
#include "plan.h"

namespace sinter::test {

/// The parameters and buffers of a model, made when its code first asks for them.
class Weights {
 public:
  explicit Weights(ScalarType dtype) : dtype_(dtype) {}
  /// The layer whose code runs next.
  void enter(size_t layer, bool frozen) { layer_ = layer, frozen_ = frozen; }
  /// Parameter i of the layer, small or near 1; the sizes count only when it is made.
  Tensor operator()(size_t i, const std::vector<int64_t>& sizes) { return parameter(i, sizes, 0); }
  Tensor near_one(size_t i, const std::vector<int64_t>& sizes) { return parameter(i, sizes, 1); }
  Tensor buffer(const std::vector<int64_t>& sizes);
  /// A matrix of an earlier layer with a side of that size; undefined when there is none.
  Tensor tied(int64_t width) const;
  /// x and a number from a statement of the random programs (random/statements.inc) on it.
  Tensor statement(const Tensor& x, int64_t k, double s);
  static std::vector<int64_t> repeated(const Tensor& x, int64_t n);

  /// In the order in which they were made.
  const std::vector<Tensor>& parameters() const { return parameters_; }
  const std::vector<Tensor>& frozen() const { return frozen_parameters_; }
  const std::vector<Tensor>& buffers() const { return buffers_; }

  bool training = true;
  bool compiled = false;  // functions that a layer makes are compiled
  Tensor kept;
  Generator generator{5};

 private:
  Tensor parameter(size_t i, const std::vector<int64_t>& sizes, double mean);
  ScalarType dtype_;
  size_t layer_ = 0;
  bool frozen_ = false;
  std::map<std::pair<size_t, size_t>, Tensor> made_;  // by layer and number
  std::map<size_t, Tensor> made_buffers_;
  std::vector<Tensor> parameters_, frozen_parameters_, buffers_;
};

struct LayerRow {
  int weight;
  const char* name;
  const char* code;
  void (*run)(Tensor& x, Weights& w, int64_t k, double s);
};
std::span<const LayerRow> layer_rows();

struct LossRow {
  int weight;
  const char* name;
  const char* code;
  Tensor (*run)(const Tensor& out, const Tensor& y, const Tensor& t);
};
std::span<const LossRow> loss_rows();

}  // namespace sinter::test
