// The smallest example: wrap a function, call it, and see what became of it.
#include <sinter/sinter.h>
#include <iostream>

using sinter::Tensor;

int main() {
  // Ordinary C++; every operator is a call that sinter sees.
  auto f = [](Tensor x, Tensor y) { return x.sin() + y.cos(); };
  auto g = sinter::compile(f, {.name = "sincos"});

  sinter::manual_seed(0);
  Tensor x = sinter::randn({2, 3}), y = sinter::randn({2, 3});
  std::cout << "eager\n" << f(x, y) << "\n\ncompiled\n" << g(x, y) << "\n\n";  // the first call records and compiles
  std::cout << "the same to the bit: " << (sinter::equal(f(x, y), g(x, y)) ? "yes" : "no") << "\n\n";

  // Other shapes are another variant (the second one makes sizes symbolic); other values are not.
  for (int64_t n : {3, 4, 5, 6}) g(sinter::randn({n}), sinter::randn({n}));
}
