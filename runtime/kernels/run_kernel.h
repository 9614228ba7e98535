// The eager kernels by family; run_kernel (kernel.h) dispatches to them.
#pragma once
#include "kernel.h"

namespace sinter {

void run_reduce(const KernelArgs& args);     // reduce.cpp
void run_softmax(const KernelArgs& args);    // softmax.cpp
void run_norm(const KernelArgs& args);       // norm.cpp
void run_gemm(const KernelArgs& args);       // gemm.cpp
void run_attention(const KernelArgs& args);  // attention.cpp
void run_copy(const KernelArgs& args);       // copy.cpp
void run_index(const KernelArgs& args);      // index.cpp
void run_loss(const KernelArgs& args);       // loss.cpp
void run_random(const KernelArgs& args);     // random.cpp
void run_creation(const KernelArgs& args);   // creation.cpp

}  // namespace sinter
