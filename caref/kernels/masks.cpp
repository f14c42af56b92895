// Dropout by hash: what masks.py defines, in one pass over the values. The same code drops gradients.

#include <cstdint>
#include <cstring>

namespace {

constexpr uint32_t kGolden = 0x9E3779B9u;

// MurmurHash3's finaliser.
inline uint32_t mixed(uint32_t h) {
  h = (h ^ (h >> 16)) * 0x85EBCA6Bu;
  h = (h ^ (h >> 13)) * 0xC2B2AE35u;
  return h ^ (h >> 16);
}

template <class To, class From>
inline To bits(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  std::memcpy(&to, &from, sizeof(to));
  return to;
}

struct Bfloat16 {
  uint16_t half;  // the upper half of a float
};

inline float scaled(float x, double by) { return x * static_cast<float>(by); }
inline double scaled(double x, double by) { return x * by; }
inline Bfloat16 scaled(Bfloat16 x, double by) {
  const uint32_t i = bits<uint32_t>(bits<float>(static_cast<uint32_t>(x.half) << 16) * static_cast<float>(by));
  const bool nan = (i & 0x7FFFFFFFu) > 0x7F800000u;
  return {static_cast<uint16_t>(nan ? 0x7FC0u : (i + 0x7FFFu + ((i >> 16) & 1u)) >> 16)};  // nearest, ties to even
}

// One index of all dimensions but the last after another; `hashed` is what the indices so far come to.
template <class T>
void drop(const T* from, T* to, uint32_t hashed, const int64_t* sizes, int dims, uint32_t below, double scale) {
  if (dims == 1) {
    const uint32_t size = static_cast<uint32_t>(sizes[0]);
    for (uint32_t i = 0; i < size; ++i) {
      const bool dropped = (mixed(hashed + i * kGolden) ^ 0x80000000u) < below;
      const T kept = scaled(from[i], scale);
      to[i] = dropped ? T{} : kept;
    }
    return;
  }
  int64_t inside = 1;
  for (int dim = 1; dim < dims; ++dim) inside *= sizes[dim];
  for (int64_t i = 0; i < sizes[0]; ++i)
    drop(from + i * inside, to + i * inside, mixed(hashed + static_cast<uint32_t>(i) * kGolden), sizes + 1, dims - 1,
         below, scale);
}

// from, to: (splits, *sizes); hashed: (splits). Threads share out the rows, splits x sizes[0].
template <class T>
void drop_splits(const T* from, T* to, const uint32_t* hashed, int64_t splits, const int64_t* sizes, int dims,
                 uint32_t below, double scale, int threads) {
  int64_t inside = 1;
  for (int dim = 1; dim < dims; ++dim) inside *= sizes[dim];
  const int64_t rows = splits * sizes[0];
  // The threads are PyTorch's, which wait awake for their next work and would be in the way of others.
#pragma omp parallel for num_threads(threads)
  for (int64_t row = 0; row < rows; ++row) {
    const uint32_t own = mixed(hashed[row / sizes[0]] + static_cast<uint32_t>(row % sizes[0]) * kGolden);
    drop(from + row * inside, to + row * inside, own, sizes + 1, dims - 1, below, scale);
  }
}

}  // namespace

#define DROP(name, T)                                                                                            \
  extern "C" void drop_##name(const void* from, void* to, const uint32_t* hashed, int64_t splits,                \
                              const int64_t* sizes, int dims, uint32_t below, double scale, int threads) {       \
    drop_splits(static_cast<const T*>(from), static_cast<T*>(to), hashed, splits, sizes, dims, below, scale, threads); \
  }

DROP(float32, float)
DROP(float64, double)
DROP(bfloat16, Bfloat16)
