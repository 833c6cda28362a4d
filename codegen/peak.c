/* Prints what this machine can do at most with N threads: float32 Gflop/s of multiply-adds that stay in
 * registers, and GB/s read from memory. To be compiled for the CPU it runs on. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if defined(__AVX512F__)
#define BYTES 64
#elif defined(__AVX__)
#define BYTES 32
#else
#define BYTES 16
#endif

typedef float vector __attribute__((vector_size(BYTES)));
enum { LANES = BYTES / 4, CHAINS = 12, MAX_THREADS = 256 };
static const long ROUNDS = 4000000, READ_BYTES = 192L << 20;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + 1e-9 * t.tv_nsec;
}

static void* multiply_add(void* scale) {
  vector f, s[CHAINS];
  for (int i = 0; i < LANES; ++i) f[i] = *(float*)scale;
  for (int i = 0; i < CHAINS; ++i) s[i] = f * (float)i;
  for (long round = 0; round < ROUNDS; ++round) {
#pragma GCC unroll 12
    for (int i = 0; i < CHAINS; ++i) s[i] = s[i] * f + f;
  }
  vector sum = s[0];
  for (int i = 1; i < CHAINS; ++i) sum += s[i];
  volatile float sink = sum[0];
  (void)sink;
  return NULL;
}

static void* read_all(void* from) {
  const vector* p = from;
  vector a = {0}, b = {0}, c = {0}, d = {0};
  for (long i = 0; i < READ_BYTES / BYTES; i += 4) {
    a += p[i];
    b += p[i + 1];
    c += p[i + 2];
    d += p[i + 3];
  }
  volatile float sink = (a + b + c + d)[0];
  (void)sink;
  return NULL;
}

static double best_of(void* (*work)(void*), void** data, int threads) {
  double best = 1e9;
  pthread_t ids[MAX_THREADS];
  for (int run = 0; run < 6; ++run) {
    double start = now();
    for (int i = 1; i < threads; ++i) pthread_create(&ids[i], NULL, work, data[i]);
    work(data[0]);
    for (int i = 1; i < threads; ++i) pthread_join(ids[i], NULL);
    double seconds = now() - start;
    if (seconds < best) best = seconds;
  }
  return best;
}

int main(int argc, char** argv) {
  int threads = argc > 1 ? atoi(argv[1]) : 1;
  if (threads < 1 || threads > MAX_THREADS) return 2;
  static float scales[MAX_THREADS];
  void *scale[MAX_THREADS], *blocks[MAX_THREADS];
  for (int i = 0; i < threads; ++i) {
    scales[i] = 0.5f;
    scale[i] = &scales[i];
    blocks[i] = aligned_alloc(64, READ_BYTES);
    if (blocks[i] == NULL) return 3;
    memset(blocks[i], 0, READ_BYTES);
  }
  double flops = 2.0 * ROUNDS * CHAINS * LANES * threads;
  printf("%.1f ", flops / best_of(multiply_add, scale, threads) / 1e9);
  printf("%.1f\n", (double)READ_BYTES * threads / best_of(read_all, blocks, threads) / 1e9);
  return 0;
}
