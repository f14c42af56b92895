// Every per-position term of an objective, and their gradient, one row of logits at a time.
//
// The formulas are those of divergences.py; what differs is that a row stays in cache between its passes and that
// nothing the size of the logits is kept but the gradient. With u = log(p V), t = p u, q = 1 - p and
//     g(p) = |t|^alpha q^beta,   g'(p) = alpha |t|^(alpha-1) sgn(t) (u + 1) q^beta - beta |t|^alpha q^(beta-1)
// the gradient of sum_v g(p_v) along logit j is p_j (g'(p_j) - sum_v p_v g'(p_v)).
//
// The row's largest probability, the only one that can come near 1, is kept out of the sums and computed in double
// precision from the sum of the others, so that its q keeps its digits. Its p g'(p) is held as A - B / q, A and B
// finite: q^(beta-1) is infinite at p = 1 for beta < 1, while p_j / q, which is what meets B, never exceeds 1.
//
// row_terms_cpu.py compiles this file once for each kind of exponent, ALPHA_KIND and BETA_KIND below.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr int64_t kBlock = 1024;  // elements summed in float before the sum goes on in double

// Twice the exponent, where the power needs no logarithm; else one of these.
[[maybe_unused]] constexpr int kAny = -1;   // any exponent
constexpr int kNone = -2;  // SCED is left out

enum Term { kCe, kUniform, kEntropy, kKl, kSced, kTerms };  // the order of `values` and of the gradients by them

// What the backward pass needs of a row.
struct Row {
  double highest;       // its largest logit
  double log_total;     // log sum exp(z - highest) = -log p of the largest
  double log_q;         // log(1 - p) of the largest
  double kl;            // sum t
  double kl_others;     // sum t without the largest
  double slope_others;  // sum p g'(p) without the largest
  double a, b;          // p g'(p) of the largest is a - b / q
  int64_t top;          // where the largest is
};

template <class To, class From>
inline To bits(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  std::memcpy(&to, &from, sizeof(to));
  return to;
}

inline float load(const float* x) { return *x; }
inline void store(float* to, float x) { *to = x; }

// bfloat16 is the upper half of a float; it is stored rounded to nearest, ties to even.
inline float load(const uint16_t* x) { return bits<float>(static_cast<uint32_t>(*x) << 16); }
inline void store(uint16_t* to, float x) {
  const uint32_t i = bits<uint32_t>(x);
  const uint32_t rounded = (i + 0x7fffu + ((i >> 16) & 1u)) >> 16;
  *to = static_cast<uint16_t>(x != x ? 0x7fc0u : rounded);
}

// exp and log of a float to about one unit in the last place. They have no branches and call nothing, so that the
// compiler vectorises the loops they stand in. The polynomials are minimax fits of (e^r - 1 - r) / r^2 for
// |r| <= log(2) / 2 and of (log(1 + f) - f + f^2 / 2) / f^3 for sqrt(1/2) <= 1 + f < sqrt(2).
constexpr float kLog2High = 0.693145752f, kLog2Low = 1.42860682e-6f;  // n * kLog2High is exact for |n| < 256

inline float exp_(float x) {  // 0 for x < -87, about where floats end; NaN stays NaN
  const float within = x < -87.0f ? -87.0f : (x > 88.0f ? 88.0f : x);
  const float shifted = within * 1.44269504f + 12582912.0f;  // rounds to an integer, held in the lowest bits
  const float n = shifted - 12582912.0f;
  const float r = (within - n * kLog2High) - n * kLog2Low;
  float y = 1.38146131e-3f;
  y = y * r + 8.36870996e-3f;
  y = y * r + 4.16683874e-2f;
  y = y * r + 1.66665207e-1f;
  y = y * r + 4.99999935e-1f;
  y = y * r * r + r + 1.0f;
  const float scaled = bits<float>(bits<uint32_t>(y) + (bits<uint32_t>(shifted) << 23));
  return x < -87.0f ? 0.0f : scaled;
}

inline float log_(float x) {  // of normal, positive x
  constexpr int32_t lowest = 0x3f3504f3;  // sqrt(1/2)
  const int32_t i = bits<int32_t>(x) - lowest;
  const float n = static_cast<float>(i >> 23);
  const float f = bits<float>((i & 0x007fffff) + lowest) - 1.0f;
  float y = 6.74660131e-2f;
  y = y * f - 1.16756409e-1f;
  y = y * f + 1.18881747e-1f;
  y = y * f - 1.24055915e-1f;
  y = y * f + 1.42195508e-1f;
  y = y * f - 1.66679964e-1f;
  y = y * f + 2.00021192e-1f;
  y = y * f - 2.50000089e-1f;
  y = y * f + 3.33333135e-1f;
  return n * kLog2High + (f + f * f * (y * f - 0.5f) + n * kLog2Low);
}

struct Power {
  float value, slope;
};

template <int Kind>
inline Power power_of_t(float t, float alpha) {  // |t|^alpha and its slope by t; 0 is the slope at t = 0
  const float size = t < 0 ? -t : t;
  const float sign = t > 0 ? 1.0f : (t < 0 ? -1.0f : 0.0f);
  if constexpr (Kind == 2) return {size, sign};
  if constexpr (Kind == 3) {
    const float root = std::sqrt(size);
    return {size * root, 1.5f * root * sign};
  }
  if constexpr (Kind == 4) return {t * t, 2 * t};
  if constexpr (Kind == 5) {
    const float root = size * std::sqrt(size);
    return {size * root, 2.5f * root * sign};
  }
  const float smallest = std::numeric_limits<float>::min();
  const float lower = exp_((alpha - 1) * log_(size < smallest ? smallest : size));
  return {size * lower, alpha * lower * sign};
}

template <int Kind>
inline Power power_of_q(float q, float beta) {  // q^beta and its slope by q, for q in [1/2, 1]
  if constexpr (Kind == 0) return {1.0f, 0.0f};
  if constexpr (Kind == 1) {
    const float root = std::sqrt(q);
    return {root, 0.5f / root};
  }
  if constexpr (Kind == 2) return {q, 1.0f};
  if constexpr (Kind == 4) return {q * q, 2 * q};
  const float lower = exp_((beta - 1) * log_(q));
  return {q * lower, beta * lower};
}

template <class T>
float highest_of(const T* z, int64_t begin, int64_t end) {
  float highest = -kInfinity;
#pragma omp simd reduction(max : highest)
  for (int64_t v = begin; v < end; ++v) {
    const float x = load(z + v);
    highest = x > highest ? x : highest;
  }
  return highest;
}

struct Largest {
  float first, second;
  int64_t top;
};

template <class T>
Largest two_largest(const T* z, int64_t size) {
  Largest largest{-kInfinity, -kInfinity, 0};
  int64_t block = 0;
  for (int64_t begin = 0; begin < size; begin += kBlock) {
    const float highest = highest_of(z, begin, std::min(begin + kBlock, size));
    if (highest > largest.first) {
      largest.second = largest.first;
      largest.first = highest;
      block = begin;
    } else if (highest > largest.second) {
      largest.second = highest;
    }
  }
  // The block of the largest has given only that one yet.
  const int64_t end = std::min(block + kBlock, size);
  for (largest.top = block; largest.top < end - 1 && load(z + largest.top) != largest.first;) ++largest.top;
  const float beside = std::max(highest_of(z, block, largest.top), highest_of(z, largest.top + 1, end));
  largest.second = std::max(largest.second, beside);
  return largest;
}

// body(begin, end) for every block of [0, size) without `top`.
template <class Body>
inline void for_others(int64_t size, int64_t top, Body body) {
  for (int64_t begin = 0; begin < top; begin += kBlock) body(begin, std::min(begin + kBlock, top));
  for (int64_t begin = top + 1; begin < size; begin += kBlock) body(begin, std::min(begin + kBlock, size));
}

template <class T, int Alpha, int Beta>
Row forward_row(const T* z, int64_t size, int64_t label, float alpha, float beta, float* values, int64_t stride) {
  const Largest largest = two_largest(z, size);
  const float first = largest.first, second = largest.second;
  const int64_t top = largest.top;
  const double log_size = std::log(static_cast<double>(size));

  // Relative to the second largest: relative to the largest, all others might underflow.
  double others = 0, below = 0;
  for_others(size, top, [&](int64_t begin, int64_t end) {
    float sum = 0, distance = 0;
#pragma omp simd reduction(+ : sum, distance)
    for (int64_t v = begin; v < end; ++v) {
      const float x = load(z + v) - second;
      sum += exp_(x);
      distance += x;
    }
    others += sum;
    below += distance;
  });
  const double gap = static_cast<double>(second) - first;
  const double log_others = second == -kInfinity ? -1e30 : gap + std::log(others);
  const double log_total = std::log1p(std::exp(log_others));
  // Of z from the largest; below is NaN where all others are -inf.
  const double mean_distance = second == -kInfinity ? -kInfinity : (below + (size - 1) * gap) / size;

  double kl_others = 0, sced_others = 0, slope_others = 0;
  const float shift = static_cast<float>(log_total), log_v = static_cast<float>(log_size);
  for_others(size, top, [&](int64_t begin, int64_t end) {
    float sum_t = 0, sum_g = 0, sum_slope = 0;
#pragma omp simd reduction(+ : sum_t, sum_g, sum_slope)
    for (int64_t v = begin; v < end; ++v) {
      const float log_p = (load(z + v) - first) - shift;
      const float p = exp_(log_p);
      const float u = (log_p < -1e30f ? -1e30f : log_p) + log_v;  // finite, for p = 0 and log p = -inf
      const float t = p * u;
      sum_t += t;
      if constexpr (Alpha != kNone) {
        const Power by_t = power_of_t<Alpha>(t, alpha), by_q = power_of_q<Beta>(1 - p, beta);
        sum_g += by_t.value * by_q.value;
        sum_slope += p * (by_t.slope * (u + 1) * by_q.value - by_t.value * by_q.slope);
      }
    }
    kl_others += sum_t;
    sced_others += sum_g;
    slope_others += sum_slope;
  });

  const double log_q = log_others - log_total;
  const double p = std::exp(-log_total), u = log_size - log_total, t = p * u, kl = kl_others + t;
  Row row{first, log_total, log_q, kl, kl_others, slope_others, 0, 0, top};
  double sced = 0;
  if constexpr (Alpha != kNone) {
    const double lower = std::pow(std::fabs(t), static_cast<double>(alpha) - 1), by_q = std::exp(beta * log_q);
    sced = sced_others + std::fabs(t) * lower * by_q;
    row.a = alpha * lower * (t > 0 ? 1 : t < 0 ? -1 : 0) * p * (u + 1) * by_q;
    row.b = beta * std::fabs(t) * lower * by_q * p;
  }
  // A row that holds +inf or NaN, or nothing but -inf, is no distribution.
  const double valid = std::isfinite(first) && std::isfinite(log_total) ? 0 : std::nan("");
  row.log_total += valid;
  values[kCe * stride] = (label == top ? 0.0 : static_cast<double>(first) - load(z + label)) + row.log_total;
  values[kUniform * stride] = row.log_total - mean_distance;
  values[kEntropy * stride] = log_size - kl + valid;
  values[kKl * stride] = kl + valid;
  values[kSced * stride] = sced + valid;
  return row;
}

template <class T, int Alpha, int Beta>
void backward_row(const T* z, int64_t size, int64_t label, float alpha, float beta, const Row& row, const float* by,
                  int64_t stride, T* grad) {
  const double by_ce = by[kCe * stride], by_uniform = by[kUniform * stride];
  const double by_kl = static_cast<double>(by[kKl * stride]) - by[kEntropy * stride];  // entropy = log V - KL
  const double by_sced = Alpha == kNone ? 0 : by[kSced * stride];
  const double log_size = std::log(static_cast<double>(size)), u_top = log_size - row.log_total;
  const double p_top = std::exp(-row.log_total), q = std::exp(row.log_q);
  const bool certain = q < 1e-30;  // then p_j / q is not computed from p_j, which may have underflowed
  const double odds = certain ? 0 : by_sced * row.b / q;

  const float first = static_cast<float>(row.highest), shift = static_cast<float>(row.log_total);
  const float log_v = static_cast<float>(log_size), kl_weight = by_kl, sced_weight = by_sced;
  const float common = by_ce + by_uniform - by_kl * row.kl - by_sced * (row.slope_others + row.a) + odds;
  const float constant = by_uniform / size;
  const auto slope_at = [=](int64_t v) {
    const float log_p = (load(z + v) - first) - shift;
    const float p = exp_(log_p);
    const float u = (log_p < -1e30f ? -1e30f : log_p) + log_v;
    float slope = common + kl_weight * u;
    if constexpr (Alpha != kNone) {
      const Power by_t = power_of_t<Alpha>(p * u, alpha), by_q = power_of_q<Beta>(1 - p, beta);
      slope += sced_weight * (by_t.slope * (u + 1) * by_q.value - by_t.value * by_q.slope);
    }
    return p * slope - constant;
  };
  float at_label = slope_at(label) - static_cast<float>(by_ce);
#pragma omp simd
  for (int64_t v = 0; v < size; ++v) store(grad + v, slope_at(v));
  if (certain && by_sced * row.b != 0) {
    const float weight = by_sced * row.b, log_others = row.log_total + row.log_q;
    const auto share_at = [=](int64_t v) { return weight * exp_((load(z + v) - first) - log_others); };
    at_label += share_at(label);
#pragma omp simd
    for (int64_t v = 0; v < size; ++v) store(grad + v, slope_at(v) + share_at(v));
  }
  store(grad + label, at_label);  // from its own numbers: what is stored is rounded already, where T is bfloat16
  store(grad + row.top,
        static_cast<float>(by_ce * (label == row.top ? -q : p_top) + by_uniform * (p_top - 1.0 / size) +
                           by_kl * p_top * (u_top * q - row.kl_others) +
                           by_sced * (row.a * q - row.b - p_top * row.slope_others)));
}

// Threads are OpenMP's, which are PyTorch's. Each takes a stretch of rows where there are many: what two rows write
// into `values` lies side by side, in one line of the cache.
template <class Body>
void in_parallel(int64_t rows, int threads, Body body) {
  [[maybe_unused]] const int64_t stretch = std::max<int64_t>(1, std::min<int64_t>(16, rows / (4 * threads)));
#pragma omp parallel for schedule(dynamic, stretch) num_threads(threads)
  for (int64_t n = 0; n < rows; ++n) body(n);
}

template <class T>
void forward(const T* z, const int64_t* labels, int64_t rows, int64_t size, int64_t ignored, float alpha, float beta,
             float* values, Row* state, int threads) {
  in_parallel(rows, threads, [=](int64_t n) {
    if (labels[n] != ignored)
      state[n] = forward_row<T, ALPHA_KIND, BETA_KIND>(z + n * size, size, labels[n], alpha, beta, values + n, rows);
  });
}

template <class T>
void backward(const T* z, const int64_t* labels, int64_t rows, int64_t size, int64_t ignored, float alpha, float beta,
              const Row* state, const float* by, T* grad, int threads) {
  in_parallel(rows, threads, [=](int64_t n) {
    T* row = grad + n * size;
    if (labels[n] == ignored)
      std::memset(row, 0, size * sizeof(T));
    else
      backward_row<T, ALPHA_KIND, BETA_KIND>(z + n * size, size, labels[n], alpha, beta, state[n], by + n, rows, row);
  });
}

}  // namespace

// z, grad: (rows, size). labels: (rows). values, by: (kTerms, rows). state: (rows) of Row. Rows whose label is
// `ignored` are not read; their values are left as they are and their gradient is 0.
#define CAREF_FOR(T, NAME)                                                                                          \
  extern "C" void forward_##NAME(const T* z, const int64_t* labels, int64_t rows, int64_t size, int64_t ignored,    \
                                 float alpha, float beta, float* values, Row* state, int threads) {                 \
    forward(z, labels, rows, size, ignored, alpha, beta, values, state, threads);                                   \
  }                                                                                                                 \
  extern "C" void backward_##NAME(const T* z, const int64_t* labels, int64_t rows, int64_t size, int64_t ignored,   \
                                  float alpha, float beta, const Row* state, const float* by, T* grad, int threads) { \
    backward(z, labels, rows, size, ignored, alpha, beta, state, by, grad, threads);                                \
  }

CAREF_FOR(float, float32)
CAREF_FOR(uint16_t, bfloat16)
extern "C" int64_t row_bytes() { return sizeof(Row); }
