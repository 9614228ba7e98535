// Random training programs: what one is. Plain data, so that it can be reduced and printed.
#pragma once
#include <string>
#include <vector>
#include "frontend/sinter/sinter.h"

namespace sinter::test {

/// A row of layers.inc. A layer that does not fit what comes in does nothing, so that any subset of a plan is a plan.
struct LayerPlan {
  int kind = 0;
  int64_t k = 0;      // a width, or what the layer makes of it
  double s = 0.5;     // a factor or probability
  int64_t every = 1;  // applied in every n-th step only: its parameters have no gradient in the others
  bool frozen = false;
};

enum class Optim : uint8_t { SGD, Adam, AdamW, RMSprop, Adagrad, NAdam };
enum class Schedule : uint8_t { None, Step, MultiStep, Exponential, Cosine, Linear, OneCycle, Plateau };
enum class Clip : uint8_t { None, Norm, MaxNorm, Value, ReadNorm };  // ReadNorm: the norm is read, and bad steps are left out
enum class Zero : uint8_t { ToNone, ToZero, Never };

/// Options of one parameter group; each optimizer takes what it has.
struct GroupPlan {
  double lr = 0.05, momentum = 0, dampening = 0, weight_decay = 0;
  bool flag = false;  // nesterov, amsgrad, centered, an initial accumulator
};

struct Plan {
  uint64_t seed = 0;
  // data
  int64_t rows = 8, batch = 4, features = 5, outputs = 3;  // rows % batch rows are the last batch of an epoch
  int64_t tokens = 0;                                      // not 0: inputs are that many indices a row, embedded
  ScalarType dtype = kFloat;
  bool transposed = false;    // rows lie apart in memory
  bool input_grad = false;    // the input requires grad
  bool slice_inside = false;  // the batch is taken inside of what is compiled
  // model
  std::vector<LayerPlan> layers;
  int pool = 0;        // how three dimensions become two: mean, flatten, last
  bool flat = false;   // the parameters share one memory
  bool split = false;  // the forward pass is two compiled functions
  // loss
  int loss = 0, other_loss = -1;  // rows of losses.inc; another one: two backward passes through one graph
  bool penalty = false;           // the squares of the parameters are added
  bool input_penalty = false;     // and those of the gradient of the input (double backward)
  double scale = 0;               // not 0: the loss is multiplied, gradients divided before the update
  bool thread = false;            // the backward pass runs on another thread
  bool hook = false;              // a hook on the first parameter changes its gradient
  // optimizer
  Optim optim = Optim::SGD;
  std::vector<GroupPlan> groups{GroupPlan{}};  // parameters by turns
  Schedule schedule = Schedule::None;
  Clip clip = Clip::None;
  // loop
  int steps = 6;
  int64_t micro = 1;  // gradients of so many batches are accumulated
  Zero zero = Zero::ToNone;
  bool flat_grads = false;  // gradients share one memory from the start; they are never dropped
  bool closure = false;     // the optimizer's step calls what computes the loss; nothing is clipped or scaled
  bool zero_last = false;   // after the update, not before the forward pass
  bool only_step = true;    // the compiled update is opt.step() alone; else with clipping and averages
  double average = 0;       // not 0: moving averages of the parameters
  int64_t evaluate = 0;     // not 0: every so many steps, without gradients, in evaluation mode
  int reload = -1;          // before this step the optimizer loads its own state
  int thaw = -1;            // before this step everything frozen is trained
  int forget = -1;          // in this step everything compiled is forgotten, between a forward and a backward pass
  int freeze = -1;          // before this step the first parameter is frozen
};

}  // namespace sinter::test
