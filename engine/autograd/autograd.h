// Gradients: backward, grad, hooks. Names and defaults as in LibTorch's torch::autograd.
#pragma once
#include <optional>
#include <vector>
#include "../ambient.h"
#include "../tensor.h"
#include "node.h"

namespace sinter::autograd {

/// Sums gradients of `tensors` into the .grad of the leaves they depend on. `grad_tensors` are the gradients of the
/// tensors; empty, or undefined for a tensor of one element: ones. The saved tensors are freed unless `retain_graph`
/// (default: create_graph). With `create_graph` the derivatives are themselves differentiable.
/// @throws AutogradError (no grad_fn, freed graph, changed saved tensor), ShapeError (gradient of another shape).
void backward(const std::vector<Tensor>& tensors, const std::vector<Tensor>& grad_tensors = {},
              std::optional<bool> retain_graph = std::nullopt, bool create_graph = false, const std::vector<Tensor>& inputs = {},
              Loc loc = Loc::current());

/// The gradients of the sum of `outputs` (weighted by `grad_outputs`) with respect to `inputs`; touches no .grad.
/// @throws AutogradError when an input does not require grad or was not used (unless `allow_unused`: undefined then).
std::vector<Tensor> grad(const std::vector<Tensor>& outputs, const std::vector<Tensor>& inputs,
                         const std::vector<Tensor>& grad_outputs = {}, std::optional<bool> retain_graph = std::nullopt,
                         bool create_graph = false, bool allow_unused = false, Loc loc = Loc::current());

/// Runs `hook` on each gradient of `t` as it becomes known, before it is used further; a defined result replaces it.
/// Returns the number for remove_hook. @throws AutogradError when `t` does not require grad.
unsigned register_hook(const Tensor& t, TensorHook hook);
void remove_hook(const Tensor& t, unsigned pos);
/// Keeps the gradient of a tensor that is no leaf in its .grad. @throws AutogradError when `t` does not require grad.
void retain_grad(const Tensor& t);
bool retains_grad(const Tensor& t);
/// Makes `t` a leaf that does not require grad. @throws AutogradError for views.
void detach_in_place(const Tensor& t);

/// Name of the operator that made `t` ("Relu"), "AccumulateGrad" for a leaf that requires grad, "" otherwise.
std::string grad_fn_name(const Tensor& t);

}  // namespace sinter::autograd
