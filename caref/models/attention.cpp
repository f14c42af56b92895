// Attention whose weights are dropped out by hash, forward and backward, a few queries of one head at a time.
//
// A row of weights lives in cache only: the backward pass computes it again, from its largest score and its sum. Every
// query is computed by itself, and a key that is masked adds exact zeros, so that neither company nor padding shows
// in a bit of the result.
//
// Threads are OpenMP's: those of PyTorch, which wait awake for their next work and would be in the way of others.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <limits>
#include <vector>

#include "hash.h"
#include "lanes.h"

namespace {

constexpr int kQueries = 8;   // at a time: a vector of keys is loaded once for them
constexpr int kTogether = 4;  // rows of weights, or sums, that wait for nothing of each other

// Scores are computed in units of log 2, so that weights are powers of 2.
constexpr double kLog2 = 0.693147180559945309;

}  // namespace

// What attention.py tells of one call. Strides are in elements, by batch, head, row and, where it is not 1, key.
struct Call {
  const void *query, *key, *value;
  const bool* mask;  // (batch, heads, queries, keys), false where a key is not looked at; or null
  const void* bias;  // likewise, added to the scores; or null
  const uint32_t* hashed;  // (splits); null where nothing is dropped
  const int64_t* asked;  // (batch), how many of a row's queries are computed; null for all
  int64_t batch, heads, key_heads, queries, keys, size;
  int64_t query_strides[3], key_strides[3], value_strides[3], mask_strides[4], bias_strides[4];
  int64_t rows_a_split;
  int32_t causal, threads;
  uint32_t below;  // a hash below it drops
  double scale, keep_scale;
};

namespace {

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

template <class T>
class Work {
 public:
  // out, sums (each row's largest score, then each one's sum): written forward, read backward. The three gradients:
  // null where they are not wanted.
  Work(const Call& call, T* out, T* sums, const T* grad_out, const int64_t* grad_strides, T* grad_query,
       T* grad_key, T* grad_value)
      : call_(call), out_(out), sums_(sums), grad_out_(grad_out), grad_strides_(grad_strides),
        grad_query_(grad_query), grad_key_(grad_key), grad_value_(grad_value), wide_(stretched<T>(call.keys)),
        deep_(padded<T>(call.size)), key_across_(call.size * wide_), value_across_(call.size * wide_),
        key_(wide_ * deep_), value_(wide_ * deep_), query_(call.size * kQueries), slope_(call.size * kQueries),
        weights_(kQueries * wide_), result_(kQueries * deep_) {
    for (int lane = 0; lane < kWide<T>; ++lane) places_[lane] = lane * kGolden;
    if (grad_key) grad_key_across_.resize(call.size * wide_);
    if (grad_value) grad_value_across_.resize(call.size * wide_);
  }

  void forward(int64_t batch, int64_t key_head) {
    const int64_t shared_by = call_.heads / call_.key_heads;
    go_to(batch);
    if (call_.queries == 1 && call_.size % kLanes<T> == 0) {
      for (int64_t head = key_head * shared_by; head < (key_head + 1) * shared_by; ++head)
        asked_ ? answer(batch, head, key_head) : clear(out_, batch, head, 0, 1);
      return;
    }
    read(batch, key_head);
    for (int64_t head = key_head * shared_by; head < (key_head + 1) * shared_by; ++head) {
      for (int64_t row = 0; row < asked_; row += kQueries) {
        const int count = rows(row);
        compare(batch, head, row, count);
        T shares[kQueries];
        for (int i = 0; i < count; i += kTogether)
          weigh<kTogether>(&weights_[i * wide_], batch, head, row + i, count - i, shares + i);
        multiply(weights_.data(), value_.data());
        for (int i = 0; i < count; ++i) {
          T* out = out_ + place(batch, head, row + i, call_.heads, call_.queries);
          for (int64_t c = 0; c < call_.size; ++c) out[c] = shares[i] * result_[i * deep_ + c];
        }
      }
      clear(out_, batch, head, asked_, call_.queries);
    }
  }

  void backward(int64_t batch, int64_t key_head) {
    go_to(batch);
    read(batch, key_head);
    std::fill(grad_key_across_.begin(), grad_key_across_.end(), T(0));
    std::fill(grad_value_across_.begin(), grad_value_across_.end(), T(0));
    const int64_t shared_by = call_.heads / call_.key_heads;
    for (int64_t head = key_head * shared_by; head < (key_head + 1) * shared_by; ++head) {
      for (int64_t row = 0; row < asked_; row += kQueries) descend(batch, head, row, rows(row));
      if (grad_query_) clear(grad_query_, batch, head, asked_, call_.queries);
    }
    if (grad_key_) write(grad_key_across_.data(), grad_key_, batch, key_head, static_cast<T>(kLog2));
    if (grad_value_) write(grad_value_across_.data(), grad_value_, batch, key_head, T(1));
  }

 private:
  static Lanes<T> lanes(const T* from) { return load<Lanes<T>>(from); }
  static Wide<T> wide(const T* from) { return load<Wide<T>>(from); }

  int rows(int64_t row) const { return static_cast<int>(std::min<int64_t>(kQueries, asked_ - row)); }

  // In (batch, length, heads, size): what attention is given and gives lies so in memory.
  int64_t place(int64_t batch, int64_t head, int64_t row, int64_t heads, int64_t length) const {
    return ((batch * length + row) * heads + head) * call_.size;
  }

  // Some queries' rows, to 0.
  void clear(T* of_queries, int64_t batch, int64_t head, int64_t begin, int64_t end) const {
    for (int64_t row = begin; row < end; ++row)
      std::fill_n(of_queries + place(batch, head, row, call_.heads, call_.queries), call_.size, T(0));
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
    for (int64_t c = 0; c < call_.size; ++c) own[c] = static_cast<T>(call_.scale / kLog2) * query[c];
    const Sight sight = sight_of(batch, head, 0);
    reach_ = stretched<T>(sight.end);
    const int64_t looked_at = sight.end;
    for (int64_t j = 0; j < looked_at; j += kLanes<T>) {
      Lanes<T> products[kLanes<T>] = {};
      for (int64_t c = 0; c < call_.size; c += kLanes<T>)
        for (int64_t k = 0; k < kLanes<T>; ++k)
          products[k] += lanes(own + c) * lanes(keys + std::min(j + k, looked_at - 1) * of_keys[2] + c);
      store(weights + j, folded<T, kLanes<T>>(products, sum));
    }
    mask_and_bias(weights, batch, head, 0, sight);
    T share;
    weigh<1>(weights, batch, head, 0, 1, &share);
    T* out = out_ + place(batch, head, 0, call_.heads, 1);
    for (int64_t c = 0; c < call_.size; c += kLanes<T>) {
      Lanes<T> sums[kTogether] = {};
      int64_t j = 0;
      for (; j + kTogether <= looked_at; j += kTogether)
        for (int k = 0; k < kTogether; ++k) sums[k] += weights[j + k] * lanes(values + (j + k) * of_values[2] + c);
      for (; j < looked_at; ++j) sums[0] += weights[j] * lanes(values + j * of_values[2] + c);
      store(out + c, Lanes<T>(share * ((sums[0] + sums[1]) + (sums[2] + sums[3]))));
    }
  }

  // to[i][j] = sum_c from[c][i] across[c][j]
  void product(const T* __restrict from, const T* __restrict across, T* __restrict to) const {
    for (int64_t j = 0; j < reach_; j += kWide<T>) {
      Wide<T> sums[kQueries] = {};
      for (int64_t c = 0; c < call_.size; ++c) {
        const Wide<T> of_keys = wide(across + c * wide_ + j);
        for (int i = 0; i < kQueries; ++i) sums[i] += from[c * kQueries + i] * of_keys;
      }
      for (int i = 0; i < kQueries; ++i) store(to + i * wide_ + j, sums[i]);
    }
  }

  // result[i][c] = sum_j by[i][j] rows[j][c]
  void multiply(const T* __restrict by, const T* __restrict rows) {
    for (int64_t c = 0; c < deep_; c += kLanes<T>)
      for (int i = 0; i < kQueries; i += kTogether) {
        const T* __restrict own[kTogether];
        for (int k = 0; k < kTogether; ++k) own[k] = by + (i + k) * wide_;
        Lanes<T> even[kTogether] = {}, odd[kTogether] = {};
        for (int64_t j = 0; j < reach_; j += 2) {
          const Lanes<T> first = lanes(rows + j * deep_ + c), second = lanes(rows + (j + 1) * deep_ + c);
          for (int k = 0; k < kTogether; ++k) {
            even[k] += own[k][j] * first;
            odd[k] += own[k][j + 1] * second;
          }
        }
        for (int k = 0; k < kTogether; ++k) store(&result_[(i + k) * deep_ + c], Lanes<T>(even[k] + odd[k]));
      }
  }

  // across[c][j] += sum_i by[c][i] weights[i][j]
  void gather(const T* __restrict by, const T* __restrict weights, T* __restrict across) const {
    for (int64_t j = 0; j < reach_; j += kWide<T>) {
      Wide<T> of_rows[kQueries];
      for (int i = 0; i < kQueries; ++i) of_rows[i] = wide(weights + i * wide_ + j);
      for (int64_t c = 0; c < call_.size; ++c) {
        Wide<T> even = wide(across + c * wide_ + j), odd = {};
        for (int i = 0; i < kQueries; i += 2) {
          even += by[c * kQueries + i] * of_rows[i];
          odd += by[c * kQueries + i + 1] * of_rows[i + 1];
        }
        store(across + c * wide_ + j, Wide<T>(even + odd));
      }
    }
  }

  // What a query looks at: no key from `end` on, and of those before it all, unless there are holes.
  struct Sight {
    int64_t end;
    bool holes;
  };

  const bool* mask_of(int64_t batch, int64_t head, int64_t row) const {
    const int64_t* strides = call_.mask_strides;
    return call_.mask + batch * strides[0] + head * strides[1] + row * strides[2];
  }

  // Of the first keys, as far as they go.
  Sight seen(const bool* mask, int64_t keys) const {
    const int64_t step = call_.mask_strides[3];
    int32_t count = 0, end = 0;
    const auto take = [&](int32_t j, int64_t at) {
      count += mask[at];
      end = mask[at] ? j + 1 : end;
    };
    if (step == 1)
      for (int32_t j = 0; j < keys; ++j) take(j, j);
    else
      for (int32_t j = 0; j < keys; ++j) take(j, j * step);
    return {end, count < end};
  }

  // Goes on to a batch row. Most masks are one for all its queries, and seen once.
  void go_to(int64_t batch) {
    alike_ = call_.mask && !call_.mask_strides[1] && !call_.mask_strides[2];
    if (alike_) seen_ = seen(mask_of(batch, 0, 0), call_.keys);
    if (call_.hashed)
      hashed_ = mixed(call_.hashed[batch / call_.rows_a_split] +
                      static_cast<uint32_t>(batch % call_.rows_a_split) * kGolden);
    asked_ = call_.asked ? call_.asked[batch] : call_.queries;
  }

  // A query that is to look at no key looks at all of them, equally masked.
  Sight sight_of(int64_t batch, int64_t head, int64_t row) const {
    const int64_t keys = call_.causal ? std::min(row + 1, call_.keys) : call_.keys;
    if (!call_.mask) return {keys, false};
    Sight sight = alike_ && keys >= seen_.end ? seen_ : seen(mask_of(batch, head, row), keys);
    if (sight.end == 0) sight = {call_.keys, true};
    return sight;
  }

  void mask_and_bias(T* __restrict scores, int64_t batch, int64_t head, int64_t row, const Sight& sight) const {
    const int64_t keys = sight.end;
    if (call_.bias) {
      const int64_t *strides = call_.bias_strides, step = strides[3];
      // A mask that is added may hold the lowest number there is, which in other units is to stay a number.
      const auto added = [](T own) {
        return std::max(static_cast<T>(1 / kLog2) * own, std::numeric_limits<T>::lowest());
      };
      const T* __restrict bias =
          static_cast<const T*>(call_.bias) + batch * strides[0] + head * strides[1] + row * strides[2];
      if (step == 1)
        for (int64_t j = 0; j < keys; ++j) scores[j] += added(bias[j]);
      else
        for (int64_t j = 0; j < keys; ++j) scores[j] += added(bias[j * step]);
    }
    if (sight.holes) {
      const bool* mask = mask_of(batch, head, row);
      for (int64_t j = 0; j < keys; ++j)
        if (!mask[j * call_.mask_strides[3]] || (call_.causal && j > row)) scores[j] = std::numeric_limits<T>::lowest();
    }
    std::fill(scores + keys, scores + reach_, -std::numeric_limits<T>::infinity());
  }

  // The scores of some queries.
  void compare(int64_t batch, int64_t head, int64_t row, int count) {
    const T* queries =
        static_cast<const T*>(call_.query) + batch * call_.query_strides[0] + head * call_.query_strides[1];
    const T scale = static_cast<T>(call_.scale / kLog2);
    if (count < kQueries) std::fill(query_.begin(), query_.end(), T(0));
    for (int i = 0; i < count; ++i)
      for (int64_t c = 0; c < call_.size; ++c)
        query_[c * kQueries + i] = scale * queries[(row + i) * call_.query_strides[2] + c];
    Sight sights[kQueries];
    int64_t farthest = 0;
    for (int i = 0; i < count; ++i) {
      sights[i] = sight_of(batch, head, row + i);
      farthest = std::max(farthest, sights[i].end);
    }
    reach_ = stretched<T>(farthest);
    product(query_.data(), key_across_.data(), weights_.data());
    for (int i = 0; i < count; ++i) mask_and_bias(&weights_[i * wide_], batch, head, row + i, sights[i]);
  }

  // Where a row keeps its largest score, and `kept_apart` further its sum.
  T* kept(int64_t batch, int64_t head, int64_t row) const {
    return sums_ + (batch * call_.heads + head) * call_.queries + row;
  }
  int64_t kept_apart() const { return call_.batch * call_.heads * call_.queries; }

  // The scores of N rows, of which some are wanted, to the exponentials that are not dropped; by `shares` these are to
  // be multiplied to be weights.
  template <int N>
  void weigh(T* scores, int64_t batch, int64_t head, int64_t row, int wanted, T* shares) const {
    Wide<T> largest[N], totals[N] = {};
    for (int k = 0; k < N; ++k) largest[k] = wide(scores + k * wide_);
    for (int64_t j = kWide<T>; j < reach_; j += kWide<T>)
      for (int k = 0; k < N; ++k) largest[k] = larger(wide(scores + k * wide_ + j), largest[k]);
    const Lanes<T> highest = folded<T, N>(largest, larger);
    T highest_of[N];
    uint32_t hashed[N];
    for (int k = 0; k < N; ++k) {
      highest_of[k] = highest[k];
      hashed[k] = hash_of(head, row + k);
    }
    if (call_.hashed)
      exponentials<true>(scores, highest_of, hashed, totals);
    else
      exponentials<false>(scores, highest_of, hashed, totals);
    const Lanes<T> total = folded<T, N>(totals, sum);
    for (int k = 0; k < std::min(N, wanted); ++k) {
      T* own = kept(batch, head, row + k);
      own[0] = highest[k];
      own[kept_apart()] = total[k];
      shares[k] = static_cast<T>(call_.keep_scale) / total[k];
    }
  }

  template <bool Drops, int N>
  void exponentials(T* __restrict scores, const T (&highest)[N], const uint32_t (&hashed)[N], Wide<T> (&totals)[N]) const {
    for (int64_t j = 0; j < reach_; j += kWide<T>) {
      Wide<T> weights[N];
      for (int k = 0; k < N; ++k) weights[k] = wide(scores + k * wide_ + j) - highest[k];
      exponentiate(weights);
      for (int k = 0; k < N; ++k) totals[k] += weights[k];
      if constexpr (Drops) drop(weights, hashed, j);
      for (int k = 0; k < N; ++k) store(scores + k * wide_ + j, weights[k]);
    }
  }

  // The same once more: the weights of N rows, and those that are left of them.
  template <bool Drops, int N>
  void recall(T* __restrict scores, T* __restrict left, const T (&highest)[N], const T (&totals)[N],
              const uint32_t (&hashed)[N]) const {
    const T keep_scale = static_cast<T>(call_.keep_scale);
    T shares[N];
    for (int k = 0; k < N; ++k) shares[k] = T(1) / totals[k];
    for (int64_t j = 0; j < reach_; j += kWide<T>) {
      Wide<T> weights[N];
      for (int k = 0; k < N; ++k) weights[k] = wide(scores + k * wide_ + j) - highest[k];
      exponentiate(weights);
      for (int k = 0; k < N; ++k) weights[k] *= shares[k];
      for (int k = 0; k < N; ++k) store(scores + k * wide_ + j, weights[k]);
      if constexpr (Drops) drop(weights, hashed, j);
      for (int k = 0; k < N; ++k) store(left + k * wide_ + j, Wide<T>(weights[k] * keep_scale));
    }
  }

  // The weights of N rows from key j on, those that are dropped at 0.
  template <int N>
  void drop(Wide<T> (&weights)[N], const uint32_t (&hashed)[N], int64_t j) const {
    const int32_t below = static_cast<int32_t>(call_.below ^ 0x80000000u);  // of hashes with a sign
    Bits<T> hashes[N];
    for (int k = 0; k < N; ++k) hashes[k] = places_ + (hashed[k] + static_cast<uint32_t>(j) * kGolden);
    mix(hashes);
    for (int k = 0; k < N; ++k) {
      const Truth<T> dropped = __builtin_convertvector((SignedBits<T>)hashes[k] < below, Truth<T>);
      weights[k] = dropped ? Wide<T>{} : weights[k];
    }
  }

  uint32_t hash_of(int64_t head, int64_t row) const {
    return mixed(mixed(hashed_ + static_cast<uint32_t>(head) * kGolden) + static_cast<uint32_t>(row) * kGolden);
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
      if (grad_query_) clear(grad_query_, batch, head, row, row + count);
      return;
    }
    compare(batch, head, row, count);
    left_.resize(kQueries * wide_);
    if (count < kQueries) std::fill(left_.begin(), left_.end(), T(0));
    for (int i = 0; i < count; i += kTogether) {
      T highest[kTogether] = {}, totals[kTogether];
      uint32_t hashed[kTogether] = {};
      std::fill(totals, totals + kTogether, std::numeric_limits<T>::infinity());  // no weights where there is no row
      for (int k = 0; k < kTogether && i + k < count; ++k) {
        hashed[k] = hash_of(head, row + i + k);
        highest[k] = kept(batch, head, row + i + k)[0];
        totals[k] = kept(batch, head, row + i + k)[kept_apart()];
      }
      if (call_.hashed)
        recall<true>(&weights_[i * wide_], &left_[i * wide_], highest, totals, hashed);
      else
        recall<false>(&weights_[i * wide_], &left_[i * wide_], highest, totals, hashed);
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
      for (int64_t j = 0; j < reach_; j += kWide<T>)
        store(scores + j, Wide<T>(wide(left + j) * wide(scores + j) - wide(weights + j) * mean));
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

  void write(const T* across, T* to, int64_t batch, int64_t head, T unit) const {
    for (int64_t j = 0; j < call_.keys; ++j) {
      T* row = to + place(batch, head, j, call_.key_heads, call_.keys);
      for (int64_t c = 0; c < call_.size; ++c) row[c] = unit * across[c * wide_ + j];
    }
  }

  const Call& call_;
  T *out_, *sums_;
  const T* grad_out_;
  const int64_t* grad_strides_;
  T *grad_query_, *grad_key_, *grad_value_;
  int64_t wide_, deep_, reach_ = 0;
  uint32_t hashed_ = 0;  // what a batch row's dropout begins with
  Bits<T> places_;  // what the place of each lane's key adds to a hash
  bool alike_ = false;
  Sight seen_ = {};
  int64_t asked_ = 0;  // of the queries, how many are computed
  std::vector<T> key_across_, value_across_, key_, value_, query_, slope_, weights_, result_;
  std::vector<T> grad_key_across_, grad_value_across_, left_, scores_;
};

// Threads take rows of the batch, all heads at once: what two heads write lies side by side, in one line of the cache.
// Where rows are few, they take a head at a time.
template <class Make, class Step>
void share_out(const Call& call, const Make& make, const Step& step) {
  const int64_t heads_at_once = call.batch < 4 * call.threads ? 1 : call.key_heads;
  std::atomic<int64_t> next{0};
#pragma omp parallel num_threads(call.threads)
  {
    auto work = make();
    for (int64_t unit; (unit = next.fetch_add(heads_at_once)) < call.batch * call.key_heads;)
      for (int64_t own = unit; own < unit + heads_at_once; ++own)
        step(work, own / call.key_heads, own % call.key_heads);
  }
}

template <class T>
void forward(const Call& call, T* out, T* sums) {
  share_out(
      call, [&] { return Work<T>(call, out, sums, nullptr, nullptr, nullptr, nullptr, nullptr); },
      [](Work<T>& work, int64_t batch, int64_t key_head) { work.forward(batch, key_head); });
}

template <class T>
void backward(const Call& call, T* out, T* sums, const T* grad_out, const int64_t* grad_strides, T* grad_query,
              T* grad_key, T* grad_value) {
  share_out(
      call, [&] { return Work<T>(call, out, sums, grad_out, grad_strides, grad_query, grad_key, grad_value); },
      [](Work<T>& work, int64_t batch, int64_t key_head) { work.backward(batch, key_head); });
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
