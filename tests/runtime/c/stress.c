/* Drives the engine linked with toy.c into one program, for the sanitizers. Prints "ok". */
#define _GNU_SOURCE
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lre.h"

enum { ROWS = 8, COLUMNS = 1000, N = ROWS * COLUMNS };

#define CHECK(condition)                                                              \
  do {                                                                                \
    if (!(condition)) {                                                               \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                 \
      exit(1);                                                                        \
    }                                                                                 \
  } while (0)

typedef struct Run {
  lre_engine* engine;
  lre_tensor inputs[2], outputs[4];
  char* memory;
} Run;

/* `shift` bytes off the boundary, to go through the staging area. */
static void prepare(Run* run, size_t shift) {
  size_t used = 0;
  run->memory = aligned_alloc(64, 1 << 18);
  lre_tensor* all[6] = {run->inputs, run->inputs + 1, run->outputs, run->outputs + 1, run->outputs + 2, run->outputs + 3};
  for (uint32_t i = 0; i < 6; ++i) {
    CHECK((i < 2 ? lre_input(run->engine, i, all[i]) : lre_output(run->engine, i - 2, all[i])) == LRE_OK);
    all[i]->data = run->memory + used + shift;
    used += (all[i]->bytes + 64 + 63) / 64 * 64;
  }
  float* x = run->inputs[0].data;
  for (int i = 0; i < N; ++i) {
    float value = (float)(i % 17);
    memcpy((char*)x + 4 * (size_t)i, &value, 4);
  }
  for (int i = 0; i < ROWS; ++i) {
    int64_t at = (i * 3) % ROWS;
    memcpy((char*)run->inputs[1].data + 8 * i, &at, 8);
  }
}

static lre_status infer(Run* run) { return lre_infer(run->engine, run->inputs, 2, run->outputs, 4); }

static void check(const Run* run) {
  for (int r = 0; r < ROWS; ++r)
    for (int c = 0; c < COLUMNS; ++c) {
      float value, expected = (float)((((r * 3) % ROWS) * COLUMNS + c) % 17) * 2.0f + 1.0f;
      memcpy(&value, (char*)run->outputs[0].data + 4 * (r * COLUMNS + c), 4);
      CHECK(value == expected);
    }
  CHECK(memcmp(run->outputs[2].data, run->inputs[0].data, 4 * N) == 0);
}

static void begin(Run* run, int threads, size_t shift) {
  lre_options options = LRE_OPTIONS_INIT;
  options.threads = threads;
  options.flags = threads == 3 ? LRE_FLUSH_DENORMALS : 0;
  CHECK(lre_create(&options, &run->engine) == LRE_OK);
  prepare(run, shift);
}

static void end(Run* run) {
  lre_destroy(run->engine);
  free(run->memory);
}

static void* many(void* argument) {
  int number = *(int*)argument;
  for (int round = 0; round < 3; ++round) {
    Run run;
    begin(&run, 1 + number % 3, number % 2 ? 4 : 0);
    for (int i = 0; i < 60; ++i) {
      memset(run.outputs[0].data, 0, run.outputs[0].bytes);
      CHECK(infer(&run) == LRE_OK);
      check(&run);
      if (i % 20 == 7) usleep(400); /* long enough for the workers to fall asleep */
    }
    end(&run);
  }
  return NULL;
}

static void at_once(void) {
  pthread_t threads[5];
  int numbers[5];
  for (int i = 0; i < 5; ++i) {
    numbers[i] = i;
    CHECK(pthread_create(&threads[i], NULL, many, &numbers[i]) == 0);
  }
  for (int i = 0; i < 5; ++i) pthread_join(threads[i], NULL);
}

static void* same_engine(void* argument) {
  Run* run = argument;
  Run mine = *run;
  prepare(&mine, 0);
  for (int i = 0; i < 100; ++i) {
    lre_status status = infer(&mine);
    CHECK(status == LRE_OK || status == LRE_ERROR_BUSY);
    if (status == LRE_OK) check(&mine);
  }
  free(mine.memory);
  return NULL;
}

static void one_engine_two_threads(void) {
  Run run;
  begin(&run, 2, 0);
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, same_engine, &run) == 0);
  same_engine(&run);
  pthread_join(thread, NULL);
  end(&run);
}

static void faults_and_arguments(void) {
  Run run;
  begin(&run, 2, 0);
  ((int64_t*)run.inputs[1].data)[3] = 70;
  CHECK(infer(&run) == LRE_ERROR_FAULT);
  CHECK(strstr(lre_error(run.engine), "index 70 out of range") != NULL);
  CHECK(strstr(lre_error(run.engine), "gather_1") != NULL);
  ((int64_t*)run.inputs[1].data)[3] = 1;
  CHECK(infer(&run) == LRE_OK);
  check(&run);
  float* x = run.inputs[0].data;
  x[5] = INFINITY;
  CHECK(infer(&run) == LRE_ERROR_KERNEL);
  CHECK(strstr(lre_error(run.engine), "ValueError: the sum is infinite") != NULL);
  x[5] = 5;
  CHECK(infer(&run) == LRE_OK);

  Run bad = run;
  bad.inputs[0].struct_size = 8;
  CHECK(infer(&bad) == LRE_ERROR_ARGUMENT);
  bad = run, bad.inputs[0].data = NULL;
  CHECK(infer(&bad) == LRE_ERROR_ARGUMENT);
  bad = run, bad.inputs[0].rank = 3;
  CHECK(infer(&bad) == LRE_ERROR_ARGUMENT && strstr(lre_error(run.engine), "rank") != NULL);
  bad = run, bad.inputs[0].rank = -1;
  CHECK(infer(&bad) == LRE_ERROR_ARGUMENT);
  bad = run, bad.inputs[0].shape[1] = 7;
  CHECK(infer(&bad) == LRE_ERROR_ARGUMENT && strstr(lre_error(run.engine), "[8,7]") != NULL);
  bad = run, bad.inputs[1].bits = 32;
  CHECK(infer(&bad) == LRE_ERROR_ARGUMENT);
  bad = run, bad.outputs[1].bytes = 4;
  CHECK(infer(&bad) == LRE_ERROR_ARGUMENT);
  bad = run, bad.outputs[2].data = run.inputs[0].data;
  CHECK(infer(&bad) == LRE_ERROR_ARGUMENT && strstr(lre_error(run.engine), "overlaps") != NULL);
  bad = run, bad.outputs[2].data = run.outputs[0].data;
  CHECK(infer(&bad) == LRE_ERROR_ARGUMENT);
  CHECK(lre_infer(run.engine, run.inputs, 1, run.outputs, 4) == LRE_ERROR_ARGUMENT);
  CHECK(lre_infer(run.engine, NULL, 2, run.outputs, 4) == LRE_ERROR_ARGUMENT);
  CHECK(lre_infer(NULL, run.inputs, 2, run.outputs, 4) == LRE_ERROR_ARGUMENT);
  uint64_t ns[5];
  CHECK(lre_profile(run.engine, run.inputs, 2, run.outputs, 4, ns, 4) == LRE_ERROR_ARGUMENT);
  CHECK(lre_profile(run.engine, run.inputs, 2, run.outputs, 4, NULL, 5) == LRE_ERROR_ARGUMENT);
  CHECK(lre_profile(run.engine, run.inputs, 2, run.outputs, 4, ns, 5) == LRE_OK);
  lre_tensor tensor;
  CHECK(lre_input(run.engine, 2, &tensor) == LRE_ERROR_ARGUMENT);
  CHECK(lre_output(run.engine, 0, NULL) == LRE_ERROR_ARGUMENT);
  lre_step_info step = {.struct_size = sizeof step};
  CHECK(lre_step(run.engine, 5, &step) == LRE_ERROR_ARGUMENT);
  CHECK(lre_step(run.engine, 1, &step) == LRE_OK && strcmp(step.name, "gather_1") == 0);
  lre_engine_info info = {0};
  CHECK(lre_info(run.engine, &info) == LRE_ERROR_ARGUMENT);
  end(&run);

  lre_engine* engine;
  lre_options options = LRE_OPTIONS_INIT;
  options.threads = -1;
  CHECK(lre_create(&options, &engine) == LRE_ERROR_ARGUMENT && engine == NULL);
  options.threads = 100000;
  CHECK(lre_create(&options, &engine) == LRE_ERROR_ARGUMENT);
  options = (lre_options)LRE_OPTIONS_INIT;
  options.struct_size = 4;
  CHECK(lre_create(&options, &engine) == LRE_ERROR_ARGUMENT);
  options = (lre_options)LRE_OPTIONS_INIT;
  options.flags = 1u << 30;
  CHECK(lre_create(&options, &engine) == LRE_ERROR_ARGUMENT);
  options.flags = 0, options.plan = 1;
  CHECK(lre_create(&options, &engine) == LRE_ERROR_ARGUMENT);
  CHECK(lre_create(NULL, NULL) == LRE_ERROR_ARGUMENT);
  lre_destroy(NULL);
}

static int steps_seen;

static int observer(void* context, uint32_t step, const lre_tensor* outputs, uint32_t n_outputs) {
  CHECK(context == &steps_seen && n_outputs == 1 && outputs[0].data != NULL && (int)step == steps_seen);
  return ++steps_seen == 100;
}

static int own_pool(void* context, int (*task)(int, void*), void* data, int n) {
  ++*(int*)context;
  int error = 0;
  for (int i = n - 1; i >= 0; --i) error |= task(i, data);
  return error;
}

static void hooks(void) {
  Run run;
  begin(&run, 2, 0);
  CHECK(lre_observe(run.engine, observer, &steps_seen) == LRE_OK);
  CHECK(infer(&run) == LRE_OK && steps_seen == 5);
  CHECK(lre_observe(run.engine, NULL, NULL) == LRE_OK);
  CHECK(infer(&run) == LRE_OK && steps_seen == 5);
  end(&run);
#if TOY_TASKS > 0 /* the barrier in toy.c needs tasks that run at the same time */
  int calls = 0;
  lre_options options = LRE_OPTIONS_INIT;
  options.threads = 4;
  options.parallel = own_pool;
  options.parallel_context = &calls;
  CHECK(lre_create(&options, &run.engine) == LRE_OK);
  prepare(&run, 0);
  CHECK(infer(&run) == LRE_OK && calls == 2);
  check(&run);
  end(&run);
#else
  (void)own_pool;
#endif
}

#ifndef NO_FORK /* ThreadSanitizer does not follow threads that are made after fork */
static void in_child(Run* run) {
  for (int i = 0; i < 20; ++i) CHECK(infer(run) == LRE_OK);
  check(run);
  Run other;
  begin(&other, 3, 0);
  CHECK(infer(&other) == LRE_OK);
  check(&other);
  end(&other);
  end(run);
  _exit(0);
}

static void forks(void) {
  for (int round = 0; round < 5; ++round) {
    Run run;
    begin(&run, 2, 0);
    CHECK(infer(&run) == LRE_OK);
    pid_t child = fork();
    if (child == 0) in_child(&run);
    CHECK(infer(&run) == LRE_OK);
    int status = -1;
    waitpid(child, &status, 0);
    CHECK(status == 0);
    CHECK(infer(&run) == LRE_OK);
    check(&run);
    end(&run);
  }
}
#endif

int main(void) {
#ifdef HOLD /* big weights move to huge pages while others infer, fork and end */
  Run held;
  begin(&held, 2, 0);
  usleep(90000);
#endif
  at_once();
  one_engine_two_threads();
  faults_and_arguments();
  hooks();
#ifndef NO_FORK
  forks();
#endif
#ifdef HOLD
  CHECK(infer(&held) == LRE_OK);
  check(&held);
  end(&held);
#endif
  puts("ok");
  return 0;
}
