// y = r sinh(delta (asinh(a (x - m)) + eps)) + n of every site, its log-determinant, its inverse,
// the score of a density that goes along with it, and the gradients of the map.
//
// The inverse is a map of the same form, with 1 / r, 1 / delta, 1 / a, n, -delta eps and m in the
// places of a, delta, r, m, eps and n. It divides: a rounded reciprocal would be of another map.

#include <algorithm>
#include <cstring>
#include <vector>

#include "functions.h"
#include "tiles.h"

// What sinh_arcsinh.py mirrors
struct Sites {
  int64_t batch, sites, inverse, threads;
  const void* parameters;          // a, delta, r, m, eps, n
  const void* x;                   // (batch, sites)
  const void* score;               // (batch, sites), of the density of x; null: not wanted
  void *y, *log_det;               // (batch, sites), (batch); backward: their gradients, read
  void* score_out;                 // (batch, sites), of the density of y
  void *grad_x, *grad_parameters;  // (batch, sites), (6)
};

namespace {

constexpr int kBlock = 8;       // vectors that are added up in their own precision

template <class T> using Vector = typename Functions<T>::V;
template <class T> constexpr int kLanes = Functions<T>::LANES;

// use(first site, vector, lanes) for all sites of a configuration
template <class T, class Use> INLINE void each(const T* x, int64_t sites, const Use& use) {
  constexpr int W = kLanes<T>;
  Vector<T> v;
  int64_t first = 0;
  for (; first + W <= sites; first += W) {
    std::memcpy(&v, x + first, sizeof(v));
    use(first, v, W);
  }
  if (first == sites) return;
  v = Vector<T>{};
  std::memcpy(&v, x + first, (sites - first) * sizeof(T));
  use(first, v, int(sites - first));
}
template <class T> INLINE Vector<T> load(const T* from, int lanes) {
  Vector<T> v = {};
  std::memcpy(&v, from, lanes * sizeof(T));
  return v;
}
template <class T> INLINE void store(Vector<T> v, T* to, int lanes) {
  std::memcpy(to, &v, lanes * sizeof(T));
}

// In double precision, but for blocks of a few vectors
template <class T> class Sum {
  Vector<T> block = {};
  int n = 0;
  double lane_sums[kLanes<T>] = {};

 public:
  INLINE void add(Vector<T> v, int lanes) {
    for (int lane = lanes; lane < kLanes<T>; ++lane) v[lane] = 0;
    block += v;
    if (++n == kBlock) flush();
  }
  INLINE void flush() {
    for (int lane = 0; lane < kLanes<T>; ++lane) lane_sums[lane] += block[lane];
    block = Vector<T>{};
    n = 0;
  }
  double total() {
    flush();
    double sum = 0;
    for (double of_lane : lane_sums) sum += of_lane;
    return sum;
  }
};

template <class T, bool INVERSE> struct Map {
  using F = Functions<T>;
  using V = Vector<T>;

  const T a, delta, r, m, eps, n;
  const T in, power, out;  // ds/dx, dv/du, dy/dt

  explicit Map(const T* p)
      : a(p[0]), delta(p[1]), r(p[2]), m(p[3]), eps(p[4]), n(p[5]), in(INVERSE ? 1 / r : a),
        power(INVERSE ? 1 / delta : delta), out(INVERSE ? 1 / a : r) {}

  // of one site
  double log_of_scales() const {
    const double sum = std::log(double(a)) + std::log(double(delta)) + std::log(double(r));
    return INVERSE ? -sum : sum;
  }

  // s = sinh u on the side of x, t = sinh v on that of y
  struct At { V s, cosh_u, u, t, cosh_v; };

  static INLINE V abs(V x) { return x < T(0) ? -x : x; }
  static INLINE V with_sign(V of, V size) { return of < T(0) ? -size : size; }

  INLINE At at(V x) const {
    At at;
    at.s = INVERSE ? (x - n) / r : a * (x - m);
    at.cosh_u = F::hypotenuse(at.s);
    // log(|s| + cosh u), to the last digit of a small s, too
    const V size = abs(at.s);
    at.u = with_sign(at.s, F::log1p(size + size * (size / (T(1) + at.cosh_u))));
    const V v = INVERSE ? at.u / delta - eps : delta * (at.u + eps);
    const V half = F::half_expm1(abs(v));
    const V rest = half / (half + (half + T(1)));  // NaN of infinity
    at.t = with_sign(v, half <= F::LARGEST ? half + rest : half);
    at.cosh_v = F::hypotenuse(at.t);
    return at;
  }
  INLINE V y(const At& at) const { return INVERSE ? at.t / a + m : r * at.t + n; }

  // without that of the scales
  INLINE V log_slope(const At& at) const { return F::log(at.cosh_v / at.cosh_u); }

  // (score - d log(dy/dx) / dx) / (dy/dx)
  INLINE V score(const At& at, V score) const {
    const V growth = in / at.cosh_u * (power * (at.t / at.cosh_v) - at.s / at.cosh_u);
    return (score - growth) / (in * power * out * (at.cosh_v / at.cosh_u));
  }
};

template <class T, bool INVERSE> void forward(const Sites& task) {
  const Map<T, INVERSE> map((const T*)task.parameters);
  const double of_scales = double(task.sites) * map.log_of_scales();
  share(std::max<int64_t>(1, std::min(task.threads, task.batch)), task.batch,
        [&](int64_t, int64_t i) {
    const int64_t at = i * task.sites;
    T *y = (T*)task.y + at, *score_out = (T*)task.score_out + at;
    const T* score = task.score ? (const T*)task.score + at : nullptr;
    Sum<T> log_det;
    each((const T*)task.x + at, task.sites, [&](int64_t first, Vector<T> x, int lanes) ALWAYS {
      const auto at = map.at(x);
      store(map.y(at), y + first, lanes);
      log_det.add(map.log_slope(at), lanes);
      if (score) store(map.score(at, load(score + first, lanes)), score_out + first, lanes);
    });
    ((T*)task.log_det)[i] = T(of_scales + log_det.total());
  });
}

template <class T, bool INVERSE> void backward(const Sites& task) {
  const Map<T, INVERSE> map((const T*)task.parameters);
  const int64_t groups = std::min(task.batch, kGroups);
  struct Sums { double in = 0, power = 0, out = 0, before = 0, between = 0, after = 0; };
  std::vector<Sums> sums(groups);
  share(std::max<int64_t>(1, std::min(task.threads, groups)), groups,
        [&](int64_t, int64_t group) {
    Sums& total = sums[group];
    for (int64_t i = group; i < task.batch; i += groups) {
      const int64_t at = i * task.sites;
      const T* of_y = (const T*)task.y + at;
      const T of_log_det = ((const T*)task.log_det)[i];
      T* grad_x = (T*)task.grad_x + at;
      Sum<T> of_s, of_in, of_v, of_power, of_t, of_out;
      each((const T*)task.x + at, task.sites, [&](int64_t first, Vector<T> x, int lanes) ALWAYS {
        const auto at = map.at(x);
        const Vector<T> gy = load(of_y + first, lanes);
        const Vector<T> gv = gy * map.out * at.cosh_v + of_log_det * (at.t / at.cosh_v);
        const Vector<T> gs =
            (map.power * gv - of_log_det * (at.s / at.cosh_u)) / at.cosh_u;
        store(map.in * gs, grad_x + first, lanes);
        of_s.add(gs, lanes);
        of_in.add(gs * at.s, lanes);  // times in
        of_v.add(gv, lanes);
        of_power.add(gv * at.u, lanes);
        of_t.add(gy, lanes);
        of_out.add(gy * at.t, lanes);
      });
      const double of_scales = double(of_log_det) * task.sites;
      total.in += of_in.total() / map.in + of_scales / map.in;
      total.before += of_s.total();
      total.power += of_power.total() + of_scales / map.power;
      total.between += of_v.total();
      total.out += of_out.total() + of_scales / map.out;
      total.after += of_t.total();
    }
  });
  Sums sum;
  for (const Sums& group : sums) {
    sum.in += group.in;
    sum.power += group.power;
    sum.out += group.out;
    sum.before += group.before;
    sum.between += group.between;
    sum.after += group.after;
  }
  T* grad = (T*)task.grad_parameters;
  if (INVERSE) {  // in = 1 / r, power = 1 / delta, out = 1 / a; v = power u - eps
    grad[0] = T(-sum.out * map.out * map.out);
    grad[1] = T(-sum.power * map.power * map.power);
    grad[2] = T(-sum.in * map.in * map.in);
    grad[3] = T(sum.after);
    grad[4] = T(-sum.between);
    grad[5] = T(-sum.before * map.in);
  } else {  // v = power (u + eps)
    grad[0] = T(sum.in);
    grad[1] = T(sum.power + map.eps * sum.between);
    grad[2] = T(sum.out);
    grad[3] = T(-sum.before * map.in);
    grad[4] = T(sum.between * map.power);
    grad[5] = T(sum.after);
  }
}

}  // namespace

extern "C" {

void flowlat_sinh_arcsinh_forward(const Sites* task, int32_t is_double) {
  const auto run = is_double ? (task->inverse ? forward<double, true> : forward<double, false>)
                             : (task->inverse ? forward<float, true> : forward<float, false>);
  run(*task);
}

void flowlat_sinh_arcsinh_backward(const Sites* task, int32_t is_double) {
  const auto run = is_double ? (task->inverse ? backward<double, true> : backward<double, false>)
                             : (task->inverse ? backward<float, true> : backward<float, false>);
  run(*task);
}
}
