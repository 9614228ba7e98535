// The builder that math functions are written over: one definition, two instantiations.
//
// Every math function (runtime/math/*.h) and every pointwise operator (runtime/ops/pointwise.h) is a template over a
// builder B. With runtime/math/native_builder.h it is the eager kernel, with codegen/loop/emit_builder.h it is machine
// code; so compiled equals eager bit for bit by construction.
//
// Values are passed by copy as `V` or `auto`: a builder may have one value type for everything (the emitter) or one per
// element type (the native builder: float, double, int64, I32 and masks are different C++ types). Operands of one call
// have one element type unless said otherwise. T is a ScalarType template argument.
//
//   constants        k<T>(double) -> V of element type T (integers are exact up to 2^53);  f32(float) = k<Float>
//                    i32(int32_t) -> V of I32 lanes
//   arithmetic       add sub mul (float32, float64, int64; wrapping)   div sqrt (float32, float64)
//                    neg (float: sign flip) abs (float: sign clear)
//                    fma(a, b, c) = a * b + c rounded once; fnma(a, b, c) = c - a * b rounded once   (float32 only)
//                    scalef(p, n): float32 |p| in [0.5, 4), or up to 256 where n <= 0 and above 2^-30 where n >= -4, n integral,
//                    |n| <= 252: p * 2^n rounded once (subnormal results right). vscalefps, or scalef_by_bits (math/scalef.h)
//                    where there is none min_x86(a, b), max_x86(a, b): b if either is NaN or both are zero (minps/maxps operand
//                    order; float) round_even, trunc, floor (float)
//   compare          eq ne lt le gt ge (float32, float64, int64) -> mask; ordered, except ne
//   masks            mask_and mask_or mask_xor mask_not, on masks and on values of element type Bool;
//                    select(mask, a, b) = mask ? a : b
//   I32 lanes        (internal integer lanes of a float32 value) as_i32(f32) as_f32(i32) to_i32(f32: round to nearest even)
//                    to_f32(i32) i32_add i32_sub i32_and i32_or i32_xor i32_shl(v, k) i32_shr(v, k: logical) i32_sar(v, k)
//                    i32_eq i32_gt -> mask; i32_has(v, bit): the one bit that the constant `bit` has -> mask
//   float bits       bit_and bit_or bit_xor bit_andnot(a, b) = ~a & b, on two values of one float type
//   slow paths       slow_lanes(mask, V fast, V x, float (*fn)(float))   lanes in the mask become fn(x lane), others `fast`
//                    call1(x, fn): every lane through fn: float(float) or double(double)
//                    call2(x, y, fn): the same with two operands, also int64(int64, int64)
//
// Masks and Bool values: a mask has one truth value per lane. A value of element type Bool is the same thing for the
// emitter; the native builder keeps Bool values as bytes 0/1 and masks as wide lanes.
//
// Conversions between element types are no part of an expression: operands arrive in the compute type.
//
// float64 transcendental functions go through call1 with the C library's function: one definition, same bits, no table
// of our own to prove. float32 functions are polynomials here, inside the bounds tests/math_ulp_test.cpp checks.
//
// Math headers hold templates over B only (no plain inline functions): what they instantiate carries the builder's type
// in its name, so code built for one instruction set never stands in for another's.
#pragma once
#include "../dtype.h"

// The native builder wants the expressions inlined into its loops; the emitter does not.
#ifndef SINTER_MATH_INLINE
#define SINTER_MATH_INLINE inline
#endif
