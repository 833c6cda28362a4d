/* Runs a model from C: loads modelLibrary.so, reads raw inputs, writes raw outputs.
 *
 *   cc -std=c11 -O2 -I runtime/c runtime/c/examples/run_lre.c -o run_lre -ldl
 *   ./run_lre OUT/modelLibrary.so --threads 2 --runs 10 --output-dir results input0.bin input1.bin
 *
 * Inputs stand in the model's order; a missing one is all zeros. Outputs go to <dir>/<index>.bin.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LRE_API /* functions come from dlsym, not from the linker */
#include "lre.h"

enum { MAX_TENSORS = 256 };

static __typeof__(&lre_create) create;
static __typeof__(&lre_destroy) destroy;
static __typeof__(&lre_error) error_text;
static __typeof__(&lre_info) get_info;
static __typeof__(&lre_input) get_input;
static __typeof__(&lre_output) get_output;
static __typeof__(&lre_infer) infer;
static __typeof__(&lre_abi_version) abi_version;

static _Noreturn void die(const char* what, const char* why) {
  fprintf(stderr, "error: %s: %s\n", what, why);
  exit(1);
}

static void* symbol(void* library, const char* name) {
  void* found = dlsym(library, name);
  if (found == NULL) die(name, "not in this library");
  return found;
}

static void load(const char* path) {
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) die("cannot load", dlerror());
  *(void**)&abi_version = symbol(library, "lre_abi_version");
  *(void**)&create = symbol(library, "lre_create");
  *(void**)&destroy = symbol(library, "lre_destroy");
  *(void**)&error_text = symbol(library, "lre_error");
  *(void**)&get_info = symbol(library, "lre_info");
  *(void**)&get_input = symbol(library, "lre_input");
  *(void**)&get_output = symbol(library, "lre_output");
  *(void**)&infer = symbol(library, "lre_infer");
  if (abi_version() != LRE_ABI_VERSION) die(path, "another version of the interface");
}

static void* allocate(size_t bytes) {
  void* memory = aligned_alloc(64, (bytes + 64) / 64 * 64); /* so that the engine need not copy */
  if (memory == NULL) die("memory", "there is none left");
  return memset(memory, 0, bytes);
}

static void read_input(const char* path, lre_tensor* tensor) {
  FILE* file = fopen(path, "rb");
  if (file == NULL) die(path, "cannot be opened");
  if (fread(tensor->data, 1, tensor->bytes, file) != tensor->bytes || fgetc(file) != EOF)
    die(path, "has another size than the input");
  fclose(file);
}

static void write_output(const char* folder, unsigned index, const lre_tensor* tensor) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%u.bin", folder, index);
  FILE* file = fopen(path, "wb");
  if (file == NULL || fwrite(tensor->data, 1, tensor->bytes, file) != tensor->bytes || fclose(file) != 0)
    die(path, "cannot be written");
}

static void print_tensor(const char* kind, const lre_tensor* tensor) {
  printf("%s %s: code %u, %u bits, [", kind, tensor->name, tensor->code, tensor->bits);
  for (int i = 0; i < tensor->rank; ++i) printf("%s%lld", i > 0 ? "," : "", (long long)tensor->shape[i]);
  printf("]\n");
}

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

int main(int argc, char** argv) {
  if (argc < 2) die("usage", "run_lre modelLibrary.so [--threads N] [--runs N] [--output-dir D] [input.bin ...]");
  lre_options options = LRE_OPTIONS_INIT;
  const char *folder = NULL, *files[MAX_TENSORS];
  unsigned runs = 1, n_files = 0;
  for (int i = 2; i < argc; ++i) {
    if (strcmp(argv[i], "--threads") == 0 && i + 1 < argc) options.threads = atoi(argv[++i]);
    else if (strcmp(argv[i], "--runs") == 0 && i + 1 < argc) runs = (unsigned)atoi(argv[++i]);
    else if (strcmp(argv[i], "--output-dir") == 0 && i + 1 < argc) folder = argv[++i];
    else if (n_files < MAX_TENSORS) files[n_files++] = argv[i];
  }

  load(argv[1]);
  options.path = argv[1];
  lre_engine* engine;
  if (create(&options, &engine) != LRE_OK) die(argv[1], error_text(NULL));
  lre_engine_info info = {.struct_size = sizeof info};
  get_info(engine, &info);
  static lre_tensor inputs[MAX_TENSORS], outputs[MAX_TENSORS];
  if (info.n_inputs > MAX_TENSORS || info.n_outputs > MAX_TENSORS) die(argv[1], "too many inputs or outputs");
  if (n_files > info.n_inputs) die(argv[1], "has fewer inputs than files were given");

  for (unsigned i = 0; i < info.n_inputs; ++i) {
    get_input(engine, i, &inputs[i]);
    inputs[i].data = allocate(inputs[i].bytes);
    if (i < n_files) read_input(files[i], &inputs[i]);
    print_tensor("input ", &inputs[i]);
  }
  for (unsigned i = 0; i < info.n_outputs; ++i) {
    get_output(engine, i, &outputs[i]);
    outputs[i].data = allocate(outputs[i].bytes);
    print_tensor("output", &outputs[i]);
  }
  double best = 1e30;
  for (unsigned run = 0; run < runs; ++run) {
    double start = seconds();
    if (infer(engine, inputs, info.n_inputs, outputs, info.n_outputs) != LRE_OK) die("infer", error_text(engine));
    double time = seconds() - start;
    if (time < best) best = time;
  }
  printf("%.3f ms (best of %u, %u threads)\n", best * 1e3, runs, info.threads);
  for (unsigned i = 0; folder != NULL && i < info.n_outputs; ++i) write_output(folder, i, &outputs[i]);

  destroy(engine);
  for (unsigned i = 0; i < info.n_inputs; ++i) free(inputs[i].data);
  for (unsigned i = 0; i < info.n_outputs; ++i) free(outputs[i].data);
  return 0;
}
