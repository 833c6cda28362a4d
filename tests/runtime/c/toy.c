/* A model written by hand: kernels with TVM's packed ABI and their plan.
 *
 *   h = x * w + TOY_BIAS            parallel, workspace, aligned input
 *   g = h[idx]                      parallel, faults on an index out of range
 *   t = sum(h, 1)                   serial; sees h through a view
 *   p = x / 0 where x == 1234567    reports an error through TVM's error function
 *   copy = x,  constant = c         copies
 */
#include <math.h>
#include <string.h>

#include "plan.h"

#ifndef TOY_BUILD_ID
#define TOY_BUILD_ID "toy-build-1"
#endif
#ifndef TOY_BIAS
#define TOY_BIAS 1.0f
#endif
#ifndef TOY_THREADS
#define TOY_THREADS 2
#endif
#ifndef TOY_ARCH
#if defined(__aarch64__)
#define TOY_ARCH "aarch64"
#else
#define TOY_ARCH "x86_64"
#endif
#endif
#ifndef TOY_WORKSPACE /* of one task: (64 + 4032) + (64 + 64) */
#define TOY_WORKSPACE 4224
#endif
#ifndef TOY_TASKS
#define TOY_TASKS 0
#endif
#ifndef TOY_CRC
#define TOY_CRC 0
#endif
#ifndef TOY_POINTER
#define TOY_POINTER 0
#endif
#ifndef TOY_C_OFFSET /* in the weights; a large one makes them big */
#define TOY_C_OFFSET 4096
#endif
#ifndef TOY_ARENA
#define TOY_ARENA (64 + 4 * ROWS * COLUMNS)
#endif
#ifndef TOY_DENSE
#define TOY_DENSE WEIGHTS
#endif
#ifndef TOY_KIND
#define TOY_KIND LRE_STEP_CALL
#endif

enum { ROWS = 8, COLUMNS = 1000, C_OFFSET = TOY_C_OFFSET, WEIGHTS = C_OFFSET + 4 * COLUMNS };

int TVMBackendParallelLaunch(FTVMParallelLambda, void*, int);
int TVMBackendParallelBarrier(int, TVMParallelGroupEnv*);
void* TVMBackendAllocWorkspace(int, int, uint64_t, int, int);
int TVMBackendFreeWorkspace(int, int, void*);
void TVMFFIErrorSetRaisedFromCStrParts(const char*, const char**, int32_t);
int TVMFFIEnvModRegisterSystemLibSymbol(const char*, void*);

static DLTensor* tensor(const TVMFFIAny* args, int index) { return args[index].v_ptr; }

typedef struct Loop {
  const float *x, *w;
  const int64_t* idx;
  float* out;
} Loop;

/* Rows of task `task`, as TVM cuts a parallel loop. */
static void rows_of(int task, const TVMParallelGroupEnv* env, int* begin, int* end) {
  int step = (ROWS + env->num_task - 1) / env->num_task;
  *begin = task * step < ROWS ? task * step : ROWS;
  *end = *begin + step < ROWS ? *begin + step : ROWS;
}

static int scale_rows(int task, TVMParallelGroupEnv* env, void* closure) {
  Loop* loop = closure;
  int begin, end;
  rows_of(task, env, &begin, &end);
  float* row = TVMBackendAllocWorkspace(1, 0, 4 * COLUMNS, 2, 32);
  float* bias = TVMBackendAllocWorkspace(1, 0, 4, 2, 32);
  if (row == NULL || bias == NULL || ((uintptr_t)row | (uintptr_t)bias) % 64 != 0) return -1;
  *bias = TOY_BIAS;
  for (int r = begin; r < end; ++r) {
    for (int c = 0; c < COLUMNS; ++c) row[c] = loop->x[r * COLUMNS + c] * loop->w[c];
    for (int c = 0; c < COLUMNS; ++c) loop->out[r * COLUMNS + c] = row[c] + *bias;
  }
  TVMBackendFreeWorkspace(1, 0, bias);
  TVMBackendFreeWorkspace(1, 0, row);
  return env->num_task <= ROWS && TOY_TASKS == 0 ? TVMBackendParallelBarrier(task, env) : 0;
}

static int scale(void* self, const TVMFFIAny* args, int32_t n, TVMFFIAny* result) {
  (void)self, (void)result;
  Loop loop = {tensor(args, 0)->data, tensor(args, 1)->data, NULL, tensor(args, 2)->data};
  if (n != 3 || args[0].type_index != LRE_ANY_DLTENSOR || tensor(args, 0)->strides[0] != COLUMNS) return -1;
  if (((uintptr_t)loop.x | (uintptr_t)loop.w | (uintptr_t)loop.out) % 64 != 0) {
    const char* parts[] = {"a buffer", NULL, " is not aligned"};
    TVMFFIErrorSetRaisedFromCStrParts("ValueError", parts, 3);
    return -1;
  }
  return TVMBackendParallelLaunch(scale_rows, &loop, TOY_TASKS);
}

static int gather_rows(int task, TVMParallelGroupEnv* env, void* closure) {
  Loop* loop = closure;
  int begin, end;
  rows_of(task, env, &begin, &end);
  for (int r = begin; r < end; ++r) {
    int64_t at = loop->idx[r];
    if (at < 0 || at >= ROWS) at = lre_fault(LRE_FAULT_INDEX, at);
    memcpy(loop->out + r * COLUMNS, loop->x + at * COLUMNS, 4 * COLUMNS);
  }
  return 0;
}

static int gather(void* self, const TVMFFIAny* args, int32_t n, TVMFFIAny* result) {
  (void)self, (void)result, (void)n;
  Loop loop = {tensor(args, 0)->data, NULL, tensor(args, 1)->data, tensor(args, 2)->data};
  return TVMBackendParallelLaunch(gather_rows, &loop, TOY_TASKS);
}

static int total(void* self, const TVMFFIAny* args, int32_t n, TVMFFIAny* result) {
  (void)self, (void)result, (void)n;
  if (tensor(args, 0)->ndim != 1) return -1;
  const float* h = tensor(args, 0)->data;
  float* t = tensor(args, 1)->data;
  for (int r = 0; r < ROWS; ++r) {
    t[r] = 0;
    for (int c = 0; c < COLUMNS; ++c) t[r] += h[r * COLUMNS + c];
    if (isinf(t[r])) {
      const char* parts[] = {"the sum is ", "infinite"};
      TVMFFIErrorSetRaisedFromCStrParts("ValueError", parts, 2);
      return -7;
    }
  }
  return 0;
}

static const int64_t matrix[] = {ROWS, COLUMNS}, rows[] = {ROWS}, flat[] = {ROWS * COLUMNS}, columns[] = {COLUMNS};

enum { X, IDX, W, C, H, G, T, COPY, CONSTANT };

static const LreIo inputs[] = {{"x", LRE_FLOAT, 32, 0, 2, matrix, 64, X}, {"idx", LRE_INT, 64, 0, 1, rows, 8, IDX}};
static const LreIo outputs[] = {{"g", LRE_FLOAT, 32, 0, 2, matrix, 64, G},
                                {"t", LRE_FLOAT, 32, 0, 1, rows, 4, T},
                                {"copy", LRE_FLOAT, 32, 0, 2, matrix, 4, COPY},
                                {"constant", LRE_FLOAT, 32, 0, 1, columns, 4, CONSTANT}};
static const LreBuffer buffers[] = {
    {LRE_SPACE_HOST, LRE_BUFFER_INPUT, 0, 0, 0, 4 * ROWS * COLUMNS, 64, 0},
    {LRE_SPACE_HOST, LRE_BUFFER_INPUT, 0, 1, 0, 8 * ROWS, 8, 0},
    {LRE_SPACE_HOST, LRE_BUFFER_WEIGHTS, 0, 0, 0, 4 * COLUMNS, 64, 0},
    {LRE_SPACE_HOST, LRE_BUFFER_WEIGHTS, 0, 0, C_OFFSET, 4 * COLUMNS, 64, 0},
    {LRE_SPACE_HOST, LRE_BUFFER_ARENA, 0, 0, 64, 4 * ROWS * COLUMNS, 64, 0},
    {LRE_SPACE_HOST, LRE_BUFFER_OUTPUT, 0, 0, 0, 4 * ROWS * COLUMNS, 64, 0},
    {LRE_SPACE_HOST, LRE_BUFFER_OUTPUT, 0, 1, 0, 4 * ROWS, 4, 0},
    {LRE_SPACE_HOST, LRE_BUFFER_OUTPUT, 0, 2, 0, 4 * ROWS * COLUMNS, 4, 0},
    {LRE_SPACE_HOST, LRE_BUFFER_OUTPUT, 0, 3, 0, 4 * COLUMNS, 4, 0}};

#define F32(buffer, rank, shape) {buffer, LRE_FLOAT, 32, 1, rank, 0, shape, NULL}
static const LreArg scale_args[] = {F32(X, 2, matrix), F32(W, 1, columns), F32(H, 2, matrix)};
static const LreArg gather_args[] = {F32(H, 2, matrix), {IDX, LRE_INT, 64, 1, 1, 0, rows, NULL}, F32(G, 2, matrix)};
static const LreArg total_args[] = {F32(H, 1, flat), F32(T, 1, rows)};
static const LreArg copy_args[] = {F32(X, 2, matrix), F32(COPY, 1, flat)};
static const LreArg constant_args[] = {F32(C, 1, columns), F32(CONSTANT, 1, columns)};

static const LreStep steps[] = {
    {TOY_KIND, 0, 2, 1, scale, scale_args, "scale_0", "Mul_0,Add_1", "elementwise", 16000, 68000},
    {LRE_STEP_CALL, 0, 2, 1, gather, gather_args, "gather_1", "Gather_2", "gather", 0, 64064},
    {LRE_STEP_CALL, LRE_STEP_SERIAL, 1, 1, total, total_args, "total_2", "ReduceSum_3", "reduce", 8000, 32032},
    {LRE_STEP_COPY, 0, 1, 1, NULL, copy_args, "copy_3", "", "", 0, 64000},
    {LRE_STEP_COPY, 0, 1, 1, NULL, constant_args, "copy_4", "", "", 0, 8000}};

static const LrePlan plan = {TOY_ARENA, TOY_WORKSPACE, 2, 4, 9, 5, inputs, outputs, buffers, steps};
static const LrePlan* const plans[] = {&plan};
#ifdef TOY_FEATURES
static const char* const features[] = {TOY_FEATURES};
#define N_FEATURES (sizeof features / sizeof features[0])
#else
#define features NULL
#define N_FEATURES 0
#endif

#if TOY_POINTER
_Alignas(64) const float toy_weights[WEIGHTS / 4] = {[0 ... WEIGHTS / 4 - 1] = 2.0f};
#else
#define toy_weights NULL
#endif

const LreObject lre_object = {
    LRE_PLAN_VERSION, TOY_THREADS, TOY_BUILD_ID, "toy-model",
    "{\"format\":1,\"model_id\":\"toy-model\",\"build_id\":\"" TOY_BUILD_ID "\",\"data_type\":\"float32\","
    "\"inputs\":[{\"name\":\"x\"},{\"name\":\"idx\",\"max_id\":7}],\"threads\":2}",
    TOY_ARCH, N_FEATURES, 1, features, plans, {WEIGHTS, 64, TOY_CRC != 0, TOY_CRC, 0, toy_weights, TOY_DENSE}};

/* As TVM's objects do. */
__attribute__((constructor)) static void startup(void) { TVMFFIEnvModRegisterSystemLibSymbol("scale", scale); }
