/* The plan of two kernels that TVM compiled (test_tvm_kernel.py): h = k0(a, b), out = k1(h, b). */
#include "plan.h"

int __tvm_ffi_k0(void*, const TVMFFIAny*, int32_t, TVMFFIAny*);
int __tvm_ffi_k1(void*, const TVMFFIAny*, int32_t, TVMFFIAny*);

static const int64_t square[] = {64, 64}, rows[] = {64};
static const LreIo inputs[] = {{"a", LRE_FLOAT, 32, 0, 2, square, 64, 0}, {"b", LRE_INT, 64, 0, 1, rows, 64, 1}};
static const LreIo outputs[] = {{"out", LRE_FLOAT, 32, 0, 2, square, 64, 2}};
static const LreBuffer buffers[] = {{LRE_SPACE_HOST, LRE_BUFFER_INPUT, 0, 0, 0, 16384, 64, 0},
                                    {LRE_SPACE_HOST, LRE_BUFFER_INPUT, 0, 1, 0, 512, 64, 0},
                                    {LRE_SPACE_HOST, LRE_BUFFER_OUTPUT, 0, 0, 0, 16384, 64, 0},
                                    {LRE_SPACE_HOST, LRE_BUFFER_ARENA, 0, 0, 0, 16384, 64, 0}};
#define SQUARE(buffer) {buffer, LRE_FLOAT, 32, 1, 2, 0, square, NULL}
#define ROWS(buffer) {buffer, LRE_INT, 64, 1, 1, 0, rows, NULL}
static const LreArg args0[] = {SQUARE(0), ROWS(1), SQUARE(3)};
static const LreArg args1[] = {SQUARE(3), ROWS(1), SQUARE(2)};
static const LreStep steps[] = {{LRE_STEP_CALL, 0, 2, 1, __tvm_ffi_k0, args0, "k0", "", "test", 0, 0},
                                {LRE_STEP_CALL, 0, 2, 1, __tvm_ffi_k1, args1, "k1", "", "test", 0, 0}};
static const LrePlan plan = {16384, 16448, 2, 1, 4, 2, inputs, outputs, buffers, steps};
static const LrePlan* const plans[] = {&plan};
const LreObject lre_object = {LRE_PLAN_VERSION, 2, "tvm", "tvm", "{\"inputs\":[]}", "x86_64", 0, 1, NULL, plans,
                              {0, 64, 0, 0, 0, NULL, 0}};
