/* A model whose only kernel opens LAUNCHES empty parallel loops: what a fork-join costs.
 * Output: the number of loops in which every task ran exactly once. */
#include "plan.h"

enum { LAUNCHES = 2000, MOST = 64 };

int TVMBackendParallelLaunch(FTVMParallelLambda, void*, int);

typedef struct Count {
  _Alignas(64) int64_t ran;
} Count;

static int one(int task, TVMParallelGroupEnv* env, void* closure) {
  (void)env;
  ((Count*)closure)[task].ran += 1;
  return 0;
}

static int launches(void* self, const TVMFFIAny* args, int32_t n, TVMFFIAny* result) {
  (void)self, (void)n, (void)result;
  int64_t tasks = *(int64_t*)((DLTensor*)args[0].v_ptr)->data, right = 0;
  for (int i = 0; i < LAUNCHES; ++i) {
    Count counts[MOST] = {{0}};
    if (TVMBackendParallelLaunch(one, counts, (int)tasks) != 0) return -1;
    int64_t sum = 0, most = 0;
    for (int k = 0; k < MOST; ++k) {
      sum += counts[k].ran;
      if (counts[k].ran > most) most = counts[k].ran;
    }
    right += most == 1 && (tasks == 0 || sum == tasks);
  }
  *(int64_t*)((DLTensor*)args[1].v_ptr)->data = right;
  return 0;
}

static const int64_t shape[] = {1};
static const LreIo inputs[] = {{"tasks", LRE_INT, 64, 0, 1, shape, 8, 0}};
static const LreIo outputs[] = {{"right", LRE_INT, 64, 0, 1, shape, 8, 1}};
static const LreBuffer buffers[] = {{LRE_SPACE_HOST, LRE_BUFFER_INPUT, 0, 0, 0, 8, 8, 0},
                                    {LRE_SPACE_HOST, LRE_BUFFER_OUTPUT, 0, 0, 0, 8, 8, 0}};
static const LreArg args[] = {{0, LRE_INT, 64, 1, 1, 0, shape, NULL}, {1, LRE_INT, 64, 1, 1, 0, shape, NULL}};
static const LreStep steps[] = {{LRE_STEP_CALL, 0, 1, 1, launches, args, "launches", "", "test", 0, 0}};
static const LrePlan plan = {0, 0, 1, 1, 2, 1, inputs, outputs, buffers, steps};
static const LrePlan* const plans[] = {&plan};
const LreObject lre_object = {LRE_PLAN_VERSION, 2, "forkjoin", "forkjoin", "{}", "x86_64", 0, 1, NULL, plans,
                              {0, 64, 0, 0, 0, NULL, 0}};
