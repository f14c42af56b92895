// Attention whose weights are dropped out by hash, forward and backward, a few queries of one head at a time.
//
// A row of weights lives in cache only: the backward pass computes it again, from its largest score and its sum. Every
// query is computed by itself, and a key that is masked adds exact zeros, so that neither company nor padding shows
// in a bit of the result.
//
// Threads are OpenMP's: those of PyTorch, which wait awake for their next work and would be in the way of others.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "hash.h"

namespace {

constexpr int kQueries = 8;  // at a time: a vector of keys is loaded once for them

// The exponential of what is at most 0, to about one unit in the last place: no branches, so that it vectorises.
// The polynomial is a minimax fit of (e^r - 1 - r) / r^2 for |r| <= log(2) / 2.
inline float exponential(float x) {
  const float within = x < -87.0f ? -87.0f : x;
  const float shifted = within * 1.44269504f + 12582912.0f;  // rounds to an integer, held in the lowest bits
  const float n = shifted - 12582912.0f;
  const float r = (within - n * 0.693145752f) - n * 1.42860682e-6f;
  float y = 1.97902482e-4f;
  y = y * r + 1.39447593e-3f;
  y = y * r + 8.33349768e-3f;
  y = y * r + 4.16662954e-2f;
  y = y * r + 1.66666657e-1f;
  y = y * r + 5.0e-1f;
  y = y * r * r + r + 1.0f;
  uint32_t bits, power;
  std::memcpy(&bits, &y, sizeof(bits));
  std::memcpy(&power, &shifted, sizeof(power));
  bits += power << 23;
  std::memcpy(&y, &bits, sizeof(y));
  return x < -87.0f ? 0.0f : y;
}
inline double exponential(double x) { return std::exp(x); }

}  // namespace

// What attention.py tells of one call. Strides are in elements, by batch, head, row and, where it is not 1, key.
struct Call {
  const void *query, *key, *value;
  const bool* mask;  // (batch, heads, queries, keys), false where a key is not looked at; or null
  const void* bias;  // likewise, added to the scores; or null
  const uint32_t* hashed;  // (splits); null where nothing is dropped
  int64_t batch, heads, key_heads, queries, keys, size;
  int64_t query_strides[3], key_strides[3], value_strides[3], mask_strides[4], bias_strides[4];
  int64_t rows_a_split;
  int32_t causal, threads;
  uint32_t below;  // a hash below it drops
  double scale, keep_scale;
};

namespace {

// Elements of a row that are computed at once.
template <class T>
constexpr int64_t kLanes = 32 / sizeof(T);

template <class T>
struct Vector {
  typedef T type __attribute__((vector_size(32)));
};

template <class T>
using Lanes = typename Vector<T>::type;

template <class T>
inline Lanes<T> load(const T* from) {
  Lanes<T> lanes;
  std::memcpy(&lanes, from, sizeof(lanes));
  return lanes;
}

template <class T>
inline void store(T* to, const Lanes<T>& lanes) {
  std::memcpy(to, &lanes, sizeof(lanes));
}

template <class T>
inline int64_t padded(int64_t count) {
  return (count + kLanes<T> - 1) / kLanes<T> * kLanes<T>;
}

// A row of weights is as long as a whole number of these: then no loop over it has a slow end.
template <class T>
constexpr int64_t kStretch = 64 / sizeof(T);

template <class T>
inline int64_t stretched(int64_t count) {
  return (count + kStretch<T> - 1) / kStretch<T> * kStretch<T>;
}

template <class T, class Step>
inline void each(int64_t count, const Step& step) {
  for (int64_t begin = 0; begin < count; begin += kStretch<T>)
    for (int64_t i = 0; i < kStretch<T>; ++i) step(begin + i);
}

template <class T>
class Work {
 public:
  // out, sums (each row's largest score, then each one's sum): written forward, read backward. The three gradients: null where they are not wanted.
  Work(const Call& call, T* out, T* sums, const T* grad_out, const int64_t* grad_strides, T* grad_query,
       T* grad_key, T* grad_value)
      : call_(call), out_(out), sums_(sums), grad_out_(grad_out), grad_strides_(grad_strides),
        grad_query_(grad_query), grad_key_(grad_key), grad_value_(grad_value), wide_(stretched<T>(call.keys)),
        deep_(padded<T>(call.size)), key_across_(call.size * wide_), value_across_(call.size * wide_),
        key_(wide_ * deep_), value_(wide_ * deep_), query_(call.size * kQueries), slope_(call.size * kQueries),
        weights_(kQueries * wide_), result_(kQueries * deep_) {
    if (grad_key) grad_key_across_.resize(call.size * wide_);
    if (grad_value) grad_value_across_.resize(call.size * wide_);
  }

  void forward(int64_t batch, int64_t key_head) {
    const int64_t shared_by = call_.heads / call_.key_heads;
    if (call_.queries == 1 && call_.size % kLanes<T> == 0) {
      for (int64_t head = key_head * shared_by; head < (key_head + 1) * shared_by; ++head)
        answer(batch, head, key_head);
      return;
    }
    read(batch, key_head);
    for (int64_t head = key_head * shared_by; head < (key_head + 1) * shared_by; ++head)
      for (int64_t row = 0; row < call_.queries; row += kQueries) {
        const int count = rows(row);
        compare(batch, head, row, count);
        T shares[kQueries];
        for (int i = 0; i < count; ++i) shares[i] = weigh(&weights_[i * wide_], batch, head, row + i);
        multiply(weights_.data(), value_.data());
        for (int i = 0; i < count; ++i) {
          T* out = out_ + place(batch, head, row + i, call_.heads, call_.queries);
          for (int64_t c = 0; c < call_.size; ++c) out[c] = shares[i] * result_[i * deep_ + c];
        }
      }
  }

  void backward(int64_t batch, int64_t key_head) {
    read(batch, key_head);
    std::fill(grad_key_across_.begin(), grad_key_across_.end(), T(0));
    std::fill(grad_value_across_.begin(), grad_value_across_.end(), T(0));
    const int64_t shared_by = call_.heads / call_.key_heads;
    for (int64_t head = key_head * shared_by; head < (key_head + 1) * shared_by; ++head)
      for (int64_t row = 0; row < call_.queries; row += kQueries) descend(batch, head, row, rows(row));
    if (grad_key_) write(grad_key_across_.data(), grad_key_, batch, key_head);
    if (grad_value_) write(grad_value_across_.data(), grad_value_, batch, key_head);
  }

 private:
  int rows(int64_t row) const { return static_cast<int>(std::min<int64_t>(kQueries, call_.queries - row)); }

  // In (batch, length, heads, size): what attention is given and gives lies so in memory.
  int64_t place(int64_t batch, int64_t head, int64_t row, int64_t heads, int64_t length) const {
    return ((batch * length + row) * heads + head) * call_.size;
  }

  // One head's keys and values, by key, across (by element), or both ways: as the products need them.
  void read(int64_t batch, int64_t head) {
    const int64_t *of_keys = call_.key_strides, *of_values = call_.value_strides;
    const T* keys = static_cast<const T*>(call_.key) + batch * of_keys[0] + head * of_keys[1];
    const T* values = static_cast<const T*>(call_.value) + batch * of_values[0] + head * of_values[1];
    across(keys, of_keys[2], key_across_.data());
    if (grad_out_) {
      across(values, of_values[2], value_across_.data());
      by_key(keys, of_keys[2], key_.data());
    } else {
      by_key(values, of_values[2], value_.data());
    }
  }

  void across(const T* __restrict from, int64_t stride, T* __restrict to) const {
    for (int64_t c = 0; c < call_.size; ++c)
      for (int64_t j = 0; j < call_.keys; ++j) to[c * wide_ + j] = from[j * stride + c];
  }

  void by_key(const T* __restrict from, int64_t stride, T* __restrict to) const {
    for (int64_t j = 0; j < call_.keys; ++j)
      for (int64_t c = 0; c < call_.size; ++c) to[j * deep_ + c] = from[j * stride + c];
  }

  // One query alone, as in generation: keys and values are read where they lie, once.
  void answer(int64_t batch, int64_t head, int64_t key_head) {
    const int64_t *of_keys = call_.key_strides, *of_values = call_.value_strides;
    const T* keys = static_cast<const T*>(call_.key) + batch * of_keys[0] + key_head * of_keys[1];
    const T* values = static_cast<const T*>(call_.value) + batch * of_values[0] + key_head * of_values[1];
    const T* query =
        static_cast<const T*>(call_.query) + batch * call_.query_strides[0] + head * call_.query_strides[1];
    T *own = result_.data(), *weights = weights_.data();
    for (int64_t c = 0; c < call_.size; ++c) own[c] = static_cast<T>(call_.scale) * query[c];
    reach_ = reach_of(batch, head, 0, 1);
    const int64_t looked_at = std::min(reach_, call_.keys);
    for (int64_t j = 0; j < looked_at; ++j) {
      Lanes<T> products = {};
      for (int64_t c = 0; c < call_.size; c += kLanes<T>) products += load(own + c) * load(keys + j * of_keys[2] + c);
      weights[j] = sum_of(products);
    }
    mask_and_bias(weights, batch, head, 0);
    const T share = weigh(weights, batch, head, 0);
    T* out = out_ + place(batch, head, 0, call_.heads, 1);
    constexpr int together = 4;  // sums that wait for nothing of each other
    for (int64_t c = 0; c < call_.size; c += kLanes<T>) {
      Lanes<T> sums[together] = {};
      int64_t j = 0;
      for (; j + together <= looked_at; j += together)
        for (int k = 0; k < together; ++k) sums[k] += weights[j + k] * load(values + (j + k) * of_values[2] + c);
      for (; j < looked_at; ++j) sums[0] += weights[j] * load(values + j * of_values[2] + c);
      store(out + c, Lanes<T>(share * ((sums[0] + sums[1]) + (sums[2] + sums[3]))));
    }
  }

  static T sum_of(const Lanes<T>& lanes) {
    T parts[kLanes<T>];
    store(parts, lanes);
    for (int64_t apart = kLanes<T> / 2; apart; apart /= 2)
      for (int64_t lane = 0; lane < apart; ++lane) parts[lane] += parts[lane + apart];
    return parts[0];
  }

  // to[i][j] = sum_c from[c][i] across[c][j]
  void product(const T* __restrict from, const T* __restrict across, T* __restrict to) const {
    for (int64_t j = 0; j < reach_; j += kLanes<T>) {
      Lanes<T> sums[kQueries] = {};
      for (int64_t c = 0; c < call_.size; ++c) {
        const Lanes<T> lanes = load(across + c * wide_ + j);
        for (int i = 0; i < kQueries; ++i) sums[i] += from[c * kQueries + i] * lanes;
      }
      for (int i = 0; i < kQueries; ++i) store(to + i * wide_ + j, sums[i]);
    }
  }

  // result[i][c] = sum_j by[i][j] rows[j][c]
  void multiply(const T* __restrict by, const T* __restrict rows) {
    constexpr int together = 4;  // whose sums, of even and of odd keys, fill the registers
    for (int64_t c = 0; c < deep_; c += kLanes<T>)
      for (int i = 0; i < kQueries; i += together) {
        const T* __restrict own[together];
        for (int k = 0; k < together; ++k) own[k] = by + (i + k) * wide_;
        Lanes<T> even[together] = {}, odd[together] = {};
        for (int64_t j = 0; j < reach_; j += 2) {
          const Lanes<T> first = load(rows + j * deep_ + c), second = load(rows + (j + 1) * deep_ + c);
          for (int k = 0; k < together; ++k) {
            even[k] += own[k][j] * first;
            odd[k] += own[k][j + 1] * second;
          }
        }
        for (int k = 0; k < together; ++k) store(&result_[(i + k) * deep_ + c], Lanes<T>(even[k] + odd[k]));
      }
  }

  // across[c][j] += sum_i by[c][i] weights[i][j]
  void gather(const T* __restrict by, const T* __restrict weights, T* __restrict across) const {
    for (int64_t j = 0; j < reach_; j += kLanes<T>) {
      Lanes<T> lanes[kQueries];
      for (int i = 0; i < kQueries; ++i) lanes[i] = load(weights + i * wide_ + j);
      for (int64_t c = 0; c < call_.size; ++c) {
        Lanes<T> sums = load(across + c * wide_ + j);
        for (int i = 0; i < kQueries; ++i) sums += by[c * kQueries + i] * lanes[i];
        store(across + c * wide_ + j, sums);
      }
    }
  }

  const bool* mask_of(int64_t batch, int64_t head, int64_t row) const {
    const int64_t* strides = call_.mask_strides;
    return call_.mask + batch * strides[0] + head * strides[1] + row * strides[2];
  }

  // How many keys from the first some queries look at, in whole vectors; all where a query looks at none.
  int64_t reach_of(int64_t batch, int64_t head, int64_t row, int count) const {
    int64_t reach = call_.causal ? std::min(row + count, call_.keys) : call_.keys;
    if (call_.mask) {
      int64_t farthest = 0;
      for (int i = 0; i < count; ++i) {
        const bool* mask = mask_of(batch, head, row + i);
        int64_t own = call_.causal ? std::min(row + i + 1, call_.keys) : call_.keys;
        while (own > 0 && !mask[(own - 1) * call_.mask_strides[3]]) --own;
        if (own == 0) return wide_;
        farthest = std::max(farthest, own);
      }
      reach = farthest;
    }
    return stretched<T>(reach);
  }

  void mask_and_bias(T* __restrict scores, int64_t batch, int64_t head, int64_t row) const {
    constexpr T lowest = std::numeric_limits<T>::lowest();
    const int64_t keys = std::min(reach_, call_.keys);
    if (call_.bias) {
      const int64_t *strides = call_.bias_strides, step = strides[3];
      const T* __restrict bias =
          static_cast<const T*>(call_.bias) + batch * strides[0] + head * strides[1] + row * strides[2];
      if (step == 1)
        for (int64_t j = 0; j < keys; ++j) scores[j] += bias[j];
      else
        for (int64_t j = 0; j < keys; ++j) scores[j] += bias[j * step];
    }
    if (call_.mask) {
      const int64_t step = call_.mask_strides[3];
      const bool* __restrict mask = mask_of(batch, head, row);
      const auto look = [=](int64_t j, int64_t at) {
        const T score = scores[j];  // read whatever the mask says, or else this is no vector loop
        scores[j] = mask[at] ? score : lowest;
      };
      if (step == 1)
        for (int64_t j = 0; j < keys; ++j) look(j, j);
      else
        for (int64_t j = 0; j < keys; ++j) look(j, j * step);
    }
    if (call_.causal)
      for (int64_t j = row + 1; j < keys; ++j) scores[j] = lowest;
    for (int64_t j = call_.keys; j < reach_; ++j) scores[j] = -std::numeric_limits<T>::infinity();
  }

  // The scores of some queries.
  void compare(int64_t batch, int64_t head, int64_t row, int count) {
    const T* queries =
        static_cast<const T*>(call_.query) + batch * call_.query_strides[0] + head * call_.query_strides[1];
    const T scale = static_cast<T>(call_.scale);
    if (count < kQueries) std::fill(query_.begin(), query_.end(), T(0));
    for (int i = 0; i < count; ++i)
      for (int64_t c = 0; c < call_.size; ++c)
        query_[c * kQueries + i] = scale * queries[(row + i) * call_.query_strides[2] + c];
    reach_ = reach_of(batch, head, row, count);
    product(query_.data(), key_across_.data(), weights_.data());
    for (int i = 0; i < count; ++i) mask_and_bias(&weights_[i * wide_], batch, head, row + i);
  }

  // Where a row keeps its largest score, and `kept_apart` further its sum.
  T* kept(int64_t batch, int64_t head, int64_t row) const {
    return sums_ + (batch * call_.heads + head) * call_.queries + row;
  }
  int64_t kept_apart() const { return call_.batch * call_.heads * call_.queries; }

  // A row's scores to the exponentials that are not dropped; what they, divided by the sum of all, are to be
  // multiplied by is given back.
  T weigh(T* scores, int64_t batch, int64_t head, int64_t row) const {
    Lanes<T> lanes = load(scores);
    for (int64_t j = kLanes<T>; j < reach_; j += kLanes<T>) {
      const Lanes<T> others = load(scores + j);
      lanes = others > lanes ? others : lanes;
    }
    T highest = lanes[0];
    for (int64_t lane = 1; lane < kLanes<T>; ++lane) highest = std::max(highest, static_cast<T>(lanes[lane]));
    T* own = kept(batch, head, row);
    own[0] = highest;
    const uint32_t hashed = hash_of(batch, head, row);
    const T total = call_.hashed ? exponentials<true>(scores, highest, hashed) : exponentials<false>(scores, highest, 0);
    own[kept_apart()] = total;
    return static_cast<T>(call_.keep_scale) / total;
  }

  template <bool Drops>
  T exponentials(T* scores, T highest, uint32_t hashed) const {
    const uint32_t below = call_.below;
    T totals[kStretch<T>] = {};
    for (int64_t begin = 0; begin < reach_; begin += kStretch<T>)
      for (int64_t i = 0; i < kStretch<T>; ++i) {
        const T weight = exponential(scores[begin + i] - highest);
        totals[i] += weight;
        scores[begin + i] = Drops && drops(hashed, begin + i, below) ? T(0) : weight;
      }
    T total = 0;
    for (const T part : totals) total += part;
    return total;
  }

  // The same once more: the weights, and those that are left of them.
  template <bool Drops>
  void recall(T* __restrict weights, T* __restrict left, T highest, T total, uint32_t hashed) const {
    const uint32_t below = call_.below;
    const T share = T(1) / total, keep_scale = static_cast<T>(call_.keep_scale);
    each<T>(reach_, [=](int64_t j) {
      const T weight = exponential(weights[j] - highest) * share;
      weights[j] = weight;
      left[j] = Drops && drops(hashed, j, below) ? T(0) : weight * keep_scale;
    });
  }

  static bool drops(uint32_t hashed, int64_t key, uint32_t below) {
    return (mixed(hashed + static_cast<uint32_t>(key) * kGolden) ^ 0x80000000u) < below;
  }

  uint32_t hash_of(int64_t batch, int64_t head, int64_t row) const {
    if (!call_.hashed) return 0;
    const uint32_t of_split = call_.hashed[batch / call_.rows_a_split];
    const uint32_t of_batch = mixed(of_split + static_cast<uint32_t>(batch % call_.rows_a_split) * kGolden);
    return mixed(mixed(of_batch + static_cast<uint32_t>(head) * kGolden) + static_cast<uint32_t>(row) * kGolden);
  }

  void descend(int64_t batch, int64_t head, int64_t row, int count) {
    T means[kQueries] = {};
    bool flat = true;
    if (count < kQueries) std::fill(slope_.begin(), slope_.end(), T(0));
    for (int i = 0; i < count; ++i) {
      const T* slope = grad_out_ + batch * grad_strides_[0] + head * grad_strides_[1] + (row + i) * grad_strides_[2];
      const T* out = out_ + place(batch, head, row + i, call_.heads, call_.queries);
      for (int64_t c = 0; c < call_.size; ++c) {
        slope_[c * kQueries + i] = slope[c];
        means[i] += slope[c] * out[c];
        flat &= slope[c] == 0;
      }
    }
    if (flat) {  // queries that no loss comes to: padding
      for (int i = 0; grad_query_ && i < count; ++i)
        std::fill_n(grad_query_ + place(batch, head, row + i, call_.heads, call_.queries), call_.size, T(0));
      return;
    }
    compare(batch, head, row, count);
    left_.resize(kQueries * wide_);
    std::fill(left_.begin() + count * wide_, left_.end(), T(0));
    for (int i = 0; i < count; ++i) {
      T *weights = &weights_[i * wide_], *left = &left_[i * wide_];
      const T* own = kept(batch, head, row + i);
      if (call_.hashed)
        recall<true>(weights, left, own[0], own[kept_apart()], hash_of(batch, head, row + i));
      else
        recall<false>(weights, left, own[0], own[kept_apart()], 0);
    }
    if (grad_value_) gather(slope_.data(), left_.data(), grad_value_across_.data());
    if (!grad_query_ && !grad_key_) return;
    scores_.resize(kQueries * wide_);
    product(slope_.data(), value_across_.data(), scores_.data());
    for (int i = 0; i < count; ++i) {
      const T* __restrict weights = &weights_[i * wide_];
      const T* __restrict left = &left_[i * wide_];
      T* __restrict scores = &scores_[i * wide_];
      const T mean = means[i];
      each<T>(reach_, [=](int64_t j) { scores[j] = left[j] * scores[j] - weights[j] * mean; });
    }
    std::fill(scores_.begin() + count * wide_, scores_.end(), T(0));
    if (grad_key_) gather(query_.data(), scores_.data(), grad_key_across_.data());
    if (!grad_query_) return;
    multiply(scores_.data(), key_.data());
    const T scale = static_cast<T>(call_.scale);
    for (int i = 0; i < count; ++i) {
      T* to = grad_query_ + place(batch, head, row + i, call_.heads, call_.queries);
      for (int64_t c = 0; c < call_.size; ++c) to[c] = scale * result_[i * deep_ + c];
    }
  }

  void write(const T* across, T* to, int64_t batch, int64_t head) const {
    for (int64_t j = 0; j < call_.keys; ++j) {
      T* row = to + place(batch, head, j, call_.key_heads, call_.keys);
      for (int64_t c = 0; c < call_.size; ++c) row[c] = across[c * wide_ + j];
    }
  }

  const Call& call_;
  T *out_, *sums_;
  const T* grad_out_;
  const int64_t* grad_strides_;
  T *grad_query_, *grad_key_, *grad_value_;
  int64_t wide_, deep_, reach_ = 0;
  std::vector<T> key_across_, value_across_, key_, value_, query_, slope_, weights_, result_;
  std::vector<T> grad_key_across_, grad_value_across_, left_, scores_;
};

template <class T>
void forward(const Call& call, T* out, T* sums) {
  std::atomic<int64_t> next{0};
  const auto work = [&] {
    Work<T> own(call, out, sums, nullptr, nullptr, nullptr, nullptr, nullptr);
    for (int64_t unit; (unit = next++) < call.batch * call.key_heads;)
      own.forward(unit / call.key_heads, unit % call.key_heads);
  };
#pragma omp parallel num_threads(call.threads)
  work();
}

template <class T>
void backward(const Call& call, T* out, T* sums, const T* grad_out, const int64_t* grad_strides, T* grad_query,
              T* grad_key, T* grad_value) {
  std::atomic<int64_t> next{0};
  const auto work = [&] {
    Work<T> own(call, out, sums, grad_out, grad_strides, grad_query, grad_key, grad_value);
    for (int64_t unit; (unit = next++) < call.batch * call.key_heads;)
      own.backward(unit / call.key_heads, unit % call.key_heads);
  };
#pragma omp parallel num_threads(call.threads)
  work();
}

}  // namespace

#define ATTENTION(name, T)                                                                                           \
  extern "C" void forward_##name(const Call* call, void* out, void* sums) {                                      \
    forward(*call, static_cast<T*>(out), static_cast<T*>(sums));                                                 \
  }                                                                                                                  \
  extern "C" void backward_##name(const Call* call, void* out, void* sums, const void* grad_out,                 \
                                  const int64_t* grad_strides, void* grad_query, void* grad_key, void* grad_value) { \
    backward(*call, static_cast<T*>(out), static_cast<T*>(sums), static_cast<const T*>(grad_out), grad_strides,  \
             static_cast<T*>(grad_query), static_cast<T*>(grad_key), static_cast<T*>(grad_value));                   \
  }

ATTENTION(float32, float)
ATTENTION(float64, double)
