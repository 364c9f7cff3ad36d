/*
 * Runs one prompt through llama.cpp and prints what it took, as one line of JSON.
 *
 *     driver MODEL.gguf IDS TOKENS REPEATS THREADS
 *
 * IDS is a file with the prompt's token ids. The fields are those of examples/rust/bench.rs, so that
 * `cargo xtask bench` can put them side by side. Nothing ends an answer but its length.
 */

#define _POSIX_C_SOURCE 200809L

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "llama.h"

#define MAX_RUNS 64

typedef struct {
    llama_token *ids;
    int32_t count;
} Tokens;

/* What one generation took. */
typedef struct {
    double first_token; /* the time of day, ms */
    double ttft_ms;
    double decode_tps;
    double prefill_cpu_ms; /* processor time of all threads */
    double decode_cpu_ms;  /* the same for one token */
} Run;

static void require(bool holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "%s\n", what);
        exit(1);
    }
}

static double clock_ms(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return 1e3 * (double)time.tv_sec + 1e-6 * (double)time.tv_nsec;
}

static double now_ms(void) {
    return clock_ms(CLOCK_MONOTONIC);
}

static double cpu_ms(void) {
    return clock_ms(CLOCK_PROCESS_CPUTIME_ID);
}

static void quiet(enum ggml_log_level level, const char *text, void *user) {
    (void)level, (void)text, (void)user;
}

static Tokens read_ids(const char *path) {
    FILE *file = fopen(path, "r");
    require(file != NULL, "the file of token ids cannot be read");
    Tokens tokens = {NULL, 0};
    int id;
    while (fscanf(file, "%d", &id) == 1) {
        tokens.ids = realloc(tokens.ids, sizeof *tokens.ids * (size_t)(tokens.count + 1));
        require(tokens.ids != NULL, "out of memory");
        tokens.ids[tokens.count++] = id;
    }
    fclose(file);
    require(tokens.count > 0, "there are no token ids");
    return tokens;
}

static llama_token likeliest(struct llama_context *context, int32_t vocabulary) {
    const float *logits = llama_get_logits_ith(context, -1);
    llama_token best = 0;
    for (llama_token id = 1; id < vocabulary; id++)
        if (logits[id] > logits[best])
            best = id;
    return best;
}

/* One greedy generation of exactly so many tokens. */
static Run run(struct llama_context *context, int32_t vocabulary, Tokens prompt, llama_token *out, int tokens) {
    Run run;
    double begin = now_ms(), cpu = cpu_ms();
    llama_memory_clear(llama_get_memory(context), true);
    require(llama_decode(context, llama_batch_get_one(prompt.ids, prompt.count)) == 0, "the prompt failed");
    out[0] = likeliest(context, vocabulary);
    double first = now_ms(), first_cpu = cpu_ms();
    run.first_token = clock_ms(CLOCK_REALTIME);
    run.ttft_ms = first - begin;
    run.prefill_cpu_ms = first_cpu - cpu;
    for (int n = 1; n < tokens; n++) {
        llama_token last = out[n - 1];
        require(llama_decode(context, llama_batch_get_one(&last, 1)) == 0, "a token failed");
        out[n] = likeliest(context, vocabulary);
    }
    run.decode_tps = (tokens - 1) / (now_ms() - first) * 1e3;
    run.decode_cpu_ms = (cpu_ms() - first_cpu) / (tokens - 1);
    return run;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of one field of the runs. */
static double median(const Run *runs, int count, size_t field) {
    double values[MAX_RUNS];
    for (int i = 0; i < count; i++)
        values[i] = *(const double *)((const char *)&runs[i] + field);
    qsort(values, (size_t)count, sizeof *values, ascending);
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

static void print_ids(const char *name, const llama_token *ids, int count) {
    printf(",\"%s\":[", name);
    for (int i = 0; i < count; i++)
        printf("%s%d", i ? "," : "", ids[i]);
    printf("]");
}

int main(int argc, char **argv) {
    require(argc == 6, "usage: driver MODEL.gguf IDS TOKENS REPEATS THREADS");
    const char *started = getenv("RMLX_BENCH_STARTED");
    require(started != NULL, "RMLX_BENCH_STARTED is not set");
    Tokens prompt = read_ids(argv[2]);
    int tokens = atoi(argv[3]), repeats = atoi(argv[4]), threads = atoi(argv[5]);
    require(tokens > 1 && repeats >= 0 && repeats < MAX_RUNS && threads > 0, "a number is out of range");
    llama_log_set(quiet, NULL);

    double loading = now_ms();
    llama_backend_init();
    struct llama_model *model = llama_model_load_from_file(argv[1], llama_model_default_params());
    require(model != NULL, "the model cannot be loaded");
    struct llama_context_params params = llama_context_default_params();
    params.n_ctx = (uint32_t)(prompt.count + tokens + 8);
    params.n_batch = (uint32_t)prompt.count;
    params.n_threads = params.n_threads_batch = threads;
    struct llama_context *context = llama_init_from_model(model, params);
    require(context != NULL, "there is no context");
    double load_ms = now_ms() - loading;
    int32_t vocabulary = llama_vocab_n_tokens(llama_model_get_vocab(model));

    llama_token *answer = malloc(sizeof *answer * (size_t)tokens);
    llama_token *again = malloc(sizeof *again * (size_t)tokens);
    require(answer != NULL && again != NULL, "out of memory");
    Run runs[MAX_RUNS];
    Run cold = run(context, vocabulary, prompt, answer, tokens);
    for (int i = 0; i < repeats; i++)
        runs[i] = run(context, vocabulary, prompt, again, tokens);
    if (repeats == 0)
        runs[0] = cold;
    int count = repeats > 0 ? repeats : 1;

    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double ttft_ms = median(runs, count, offsetof(Run, ttft_ms));
    printf("{\"load_ms\":%.2f,\"first_token_ms\":%.2f,\"first_ttft_ms\":%.2f,\"ttft_ms\":%.2f,\"prefill_tps\":%.2f,"
           "\"decode_tps\":%.3f,\"prefill_cpu_ms\":%.2f,\"decode_cpu_ms\":%.3f,\"peak_rss_bytes\":%lld,"
           "\"prompt_tokens\":%d",
           load_ms, cold.first_token - 1e3 * atof(started), cold.ttft_ms, ttft_ms, prompt.count / ttft_ms * 1e3,
           median(runs, count, offsetof(Run, decode_tps)), median(runs, count, offsetof(Run, prefill_cpu_ms)),
           median(runs, count, offsetof(Run, decode_cpu_ms)), 1024LL * usage.ru_maxrss, prompt.count);
    print_ids("prompt_ids", prompt.ids, prompt.count);
    print_ids("tokens", answer, tokens);
    printf("}\n");

    llama_free(context);
    llama_model_free(model);
    llama_backend_free();
    free(prompt.ids), free(answer), free(again);
    return 0;
}
