// Vectors of float or double, as GCC and Clang know them on every processor, and what attention computes with them.
//
// What takes several vectors goes through them step by step, one after the other in each step: a vector's own steps
// wait for each other, those of several do not.

#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

namespace {

template <class T, int kBytes>
struct VectorOf {
  typedef T type __attribute__((vector_size(kBytes)));
};

// 32 bytes, which a short row fills; and what a register holds.
template <class T>
using Lanes = typename VectorOf<T, 32>::type;
#ifdef __AVX512F__
constexpr int kRegister = 64;
#else
constexpr int kRegister = 32;
#endif
template <class T>
using Wide = typename VectorOf<T, kRegister>::type;

template <class T>
constexpr int kLanes = 32 / sizeof(T);
template <class T>
constexpr int kWide = kRegister / sizeof(T);

// As many lanes as Wide<T> has, of 32 bits each; and what a comparison of Wide<T> gives.
template <class T>
using Bits = typename VectorOf<uint32_t, 4 * kWide<T>>::type;
template <class T>
using SignedBits = typename VectorOf<int32_t, 4 * kWide<T>>::type;
template <class T>
using Truth = decltype(Wide<T>{} < Wide<T>{});

template <class Read, class T>
inline Read load(const T* from) {
  Read read;
  std::memcpy(&read, from, sizeof(read));
  return read;
}

template <class T, class Written>
inline void store(T* to, const Written& written) {
  std::memcpy(to, &written, sizeof(written));
}

#ifdef __clang__
#define SHUFFLED(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLED(a, b, ...) __builtin_shuffle(a, b, decltype(a < b){__VA_ARGS__})
#endif

// join(every other lane of a and then of b, the lanes between).
template <class Join>
inline Lanes<float> paired(const Lanes<float>& a, const Lanes<float>& b, const Join& join) {
  return join(SHUFFLED(a, b, 0, 2, 4, 6, 8, 10, 12, 14), SHUFFLED(a, b, 1, 3, 5, 7, 9, 11, 13, 15));
}
template <class Join>
inline Lanes<double> paired(const Lanes<double>& a, const Lanes<double>& b, const Join& join) {
  return join(SHUFFLED(a, b, 0, 2, 4, 6), SHUFFLED(a, b, 1, 3, 5, 7));
}

template <class T, int N, class Join>
inline Lanes<T> gathered(const Lanes<T>* each, const Join& join) {
  if constexpr (N == 1)
    return each[0];
  else
    return paired(gathered<T, N / 2>(each, join), gathered<T, N / 2>(each + N / 2, join), join);
}

// All lanes of each of N vectors joined to one number, which is the result's lane of that place; N = 1, 2, 4, ...
template <class T, int N, class Join>
inline Lanes<T> folded(const Lanes<T>* each, const Join& join) {
  Lanes<T> lanes = gathered<T, N>(each, join);
  for (int left = kLanes<T>; left > N; left /= 2) lanes = paired(lanes, lanes, join);
  return lanes;
}

#ifdef __AVX512F__
template <class T, int N, class Join>
inline Lanes<T> folded(const Wide<T>* each, const Join& join) {
  Lanes<T> halves[N][2], joined[N];
  std::memcpy(halves, each, sizeof(halves));
  for (int k = 0; k < N; ++k) joined[k] = join(halves[k][0], halves[k][1]);
  return folded<T, N>(joined, join);
}
#endif

constexpr auto sum = [](const auto& a, const auto& b) { return a + b; };
constexpr auto larger = [](const auto& a, const auto& b) { return a > b ? a : b; };

// 2 to the power of what is at most 0, to about one unit in the last place; of floats from -126 down, where the normal
// ones end, at most 2^-126, and from -127 down exactly 0.
// The polynomial interpolates (2^r - 1) / r at Chebyshev's nodes of |r| <= 1/2.
template <int N>
inline void exponentiate(Wide<float> (&x)[N]) {
  constexpr float coefficients[] = {1.33908633e-3f, 9.61808302e-3f, 5.55035695e-2f, 2.40226507e-1f, 6.93147182e-1f, 1.0f};
  Wide<float> within[N], shifted[N], r[N];
  for (int k = 0; k < N; ++k) within[k] = larger(Wide<float>{} - 127.0f, x[k]);
  for (int k = 0; k < N; ++k) shifted[k] = within[k] + 12582912.0f;  // an integer, in the lowest bits
  for (int k = 0; k < N; ++k) r[k] = within[k] - (shifted[k] - 12582912.0f);
  for (int k = 0; k < N; ++k) x[k] = Wide<float>{} + 1.54531634e-4f;
  for (const float coefficient : coefficients)
    for (int k = 0; k < N; ++k) x[k] = x[k] * r[k] + coefficient;
  // -127 takes the whole exponent from 1.0f, which leaves 0.
  for (int k = 0; k < N; ++k) x[k] = (Wide<float>)((Bits<float>)x[k] + ((Bits<float>)shifted[k] << 23));
}

template <int N>
inline void exponentiate(Wide<double> (&x)[N]) {
  for (int k = 0; k < N; ++k)
    for (int lane = 0; lane < kWide<double>; ++lane) x[k][lane] = std::exp2(x[k][lane]);
}

}  // namespace
