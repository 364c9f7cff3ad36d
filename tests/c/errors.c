/* Statuses, error objects, text and number checks, structures with their size: what every function has in common. */

#include "check.h"

#include <math.h>

static void statuses_have_names(void) {
    CHECK(strcmp(rmlx_status_name(RMLX_OK), "RMLX_OK") == 0);
    CHECK(strcmp(rmlx_status_name(RMLX_ERROR_BUSY), "RMLX_ERROR_BUSY") == 0);
    for (rmlx_status status = RMLX_OK; status <= RMLX_ERROR_INVALID_PROMPT; status++)
        CHECK(strcmp(rmlx_status_name(status), "RMLX_ERROR_UNKNOWN") != 0);
    CHECK(strcmp(rmlx_status_name(-1), "RMLX_ERROR_UNKNOWN") == 0);
}

static void versions_agree(void) {
    CHECK(rmlx_abi_version() == RMLX_ABI_VERSION);
    CHECK(strchr(rmlx_version(), '.') != NULL);
    CHECK(rmlx_has_feature("image") && rmlx_has_feature("audio") && rmlx_has_feature("video"));
    CHECK(!rmlx_has_feature("") && !rmlx_has_feature("telepathy") && !rmlx_has_feature("\xFF"));
    if (rmlx_has_feature("metal"))
        CHECK(rmlx_has_feature("gpu"));
}

/* Outputs are written on success only, errors on failure only. */
static void what_is_written(void) {
    rmlx_model *model = (rmlx_model *)(uintptr_t)0x10;
    rmlx_error *error = NULL;
    CHECK(rmlx_model_load("there is no such folder", NULL, &model, &error) == RMLX_ERROR_NOT_FOUND);
    CHECK(model == (rmlx_model *)(uintptr_t)0x10);
    CHECK(rmlx_error_code(error) == RMLX_ERROR_NOT_FOUND);
    CHECK(strstr(rmlx_error_message(error), "there is no such folder") != NULL);
    CHECK(rmlx_error_details_json(error)[0] == '{');
    rmlx_error *kept = error;
    rmlx_prompt *prompt = rmlx_prompt_new();
    CHECK(rmlx_prompt_begin_message(prompt, "user", &error) == RMLX_OK);
    CHECK(error == kept);
    rmlx_error_release(error);
    /* The error argument is optional. */
    CHECK(rmlx_prompt_begin_message(prompt, "", NULL) == RMLX_ERROR_INVALID_ARGUMENT);
    CHECK(rmlx_model_load("there is no such folder", NULL, &model, NULL) == RMLX_ERROR_NOT_FOUND);
    rmlx_prompt_release(prompt);
}

static void text_is_utf8(void) {
    rmlx_prompt *prompt = text_prompt("");
    rmlx_error *error = NULL;
    CHECK(rmlx_prompt_add_text(prompt, "ab\xC3\xA4\xFFz", 6, &error) == RMLX_ERROR_INVALID_ARGUMENT);
    CHECK(strstr(rmlx_error_message(error), "byte 4") != NULL);
    CHECK(strstr(rmlx_error_details_json(error), "\"byte\":4") != NULL);
    rmlx_error_release(error);
    /* A character that the length cuts, a lone surrogate, an overlong NUL. */
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "byte 0", rmlx_prompt_add_text(prompt, "\xC3\xA4", 1, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "byte 1", rmlx_prompt_add_text(prompt, "a\xED\xA0\x80", 4, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "byte 0", rmlx_prompt_add_text(prompt, "\xC0\x80", 2, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "`role`", rmlx_prompt_begin_message(prompt, "us\xFFr", &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "`dir`", rmlx_model_load("\xFF", NULL, &(rmlx_model *){NULL}, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "`dir` is empty", rmlx_model_load("", NULL, &(rmlx_model *){NULL}, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "address space",
                rmlx_prompt_add_text(prompt, "a", SIZE_MAX, &error));
    CHECK_OK(rmlx_prompt_add_text(prompt, NULL, 0, &error));
    CHECK_OK(rmlx_prompt_add_text(prompt, "a\0b", 3, &error));
    rmlx_prompt_release(prompt);
}

static void prompts_are_checked(void) {
    rmlx_prompt *prompt = rmlx_prompt_new();
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "rmlx_prompt_begin_message", rmlx_prompt_add_text(prompt, "a", 1, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "not JSON", rmlx_prompt_set_tools_json(prompt, "[", 1, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "array of objects", rmlx_prompt_set_tools_json(prompt, "{}", 2, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "array of objects", rmlx_prompt_set_tools_json(prompt, "[1]", 3, &error));
    CHECK_OK(rmlx_prompt_set_tools_json(prompt, "[{}]", 4, &error));
    CHECK_OK(rmlx_prompt_set_tools_json(prompt, NULL, 0, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "not an object", rmlx_prompt_set_template_vars_json(prompt, "[]", 2, &error));
    CHECK_OK(rmlx_prompt_set_template_vars_json(prompt, "{\"a\":[1,\"b\"]}", 13, &error));
    CHECK_OK(rmlx_prompt_set_template_vars_json(prompt, NULL, 0, &error));
    /* JSON so deep that a recursive reader would run out of stack. */
    size_t deep = 200000;
    char *json = malloc(deep);
    CHECK(json != NULL);
    memset(json, '[', deep);
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "not JSON", rmlx_prompt_set_tools_json(prompt, json, deep, &error));
    free(json);
    rmlx_prompt_release(prompt);
}

static void unknown_numbers_are_refused(void) {
    rmlx_load_options *load = rmlx_load_options_new();
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "unknown value 3", rmlx_load_options_set_device(load, 3, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "unknown value -1", rmlx_load_options_set_device(load, -1, &error));
    CHECK_OK(rmlx_load_options_set_device(load, RMLX_DEVICE_CPU, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "unknown value 3", rmlx_load_options_set_weights(load, 3, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "unknown value 4", rmlx_load_options_set_cache_type(load, 4, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "is 0", rmlx_load_options_set_memory_limit(load, 0, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "is 0", rmlx_load_options_set_context_length(load, 0, &error));
    rmlx_load_options_release(load);
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "unknown value 5", rmlx_set_log_callback(5, NULL, NULL, NULL, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "unknown value 0", rmlx_set_log_callback(0, NULL, NULL, NULL, &error));
    rmlx_session_options *session = rmlx_session_options_new();
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "is 0", rmlx_session_options_set_context_length(session, 0, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "is 0", rmlx_session_options_set_prefill_chunk(session, 0, &error));
    rmlx_session_options_release(session);
}

static void options_are_checked(void) {
    rmlx_generation_options *o = rmlx_generation_options_new();
    const float bad[] = {-1, 101, NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "temperature",
                    rmlx_generation_options_set_temperature(o, bad[i], &error));
        CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "top_p", rmlx_generation_options_set_top_p(o, bad[i], &error));
        CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "min_p", rmlx_generation_options_set_min_p(o, bad[i], &error));
    }
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "repetition_penalty",
                rmlx_generation_options_set_repetition_penalty(o, 0, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "presence_penalty",
                rmlx_generation_options_set_presence_penalty(o, NAN, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "frequency_penalty",
                rmlx_generation_options_set_frequency_penalty(o, 1000, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "max_tokens", rmlx_generation_options_set_max_tokens(o, 0, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "stop", rmlx_generation_options_add_stop(o, "", 0, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "UTF-8", rmlx_generation_options_add_stop(o, "\xFF", 1, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "bias", rmlx_generation_options_add_logit_bias(o, 1, NAN, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "bias", rmlx_generation_options_add_logit_bias(o, 1, INFINITY, &error));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "dry.multiplier",
                    rmlx_generation_options_set_dry(o, bad[i], 1.75f, 2, 0, &error));
        CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "dry.base", rmlx_generation_options_set_dry(o, 1, bad[i], 2, 0, &error));
    }
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "dry.allowed_length",
                rmlx_generation_options_set_dry(o, 1, 1.75f, 0, 0, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "empty", rmlx_generation_options_add_dry_breaker(o, "", 0, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "UTF-8", rmlx_generation_options_add_dry_breaker(o, "\xFF", 1, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "loop", rmlx_generation_options_set_loop_detection(o, 1, 8, 0, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "loop", rmlx_generation_options_set_loop_detection(o, 2, 0, 0, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "loop", rmlx_generation_options_set_loop_detection(o, 2, 4097, 0, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "kind", rmlx_generation_options_set_speculation(o, 7, 0, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "1 to 8",
                rmlx_generation_options_set_speculation(o, RMLX_SPECULATION_PROMPT_LOOKUP, 9, &error));
    /* What was refused left no trace: everything in range still is. */
    CHECK_OK(rmlx_generation_options_set_temperature(o, 0.7f, &error));
    CHECK_OK(rmlx_generation_options_set_top_k(o, 40, &error));
    CHECK_OK(rmlx_generation_options_set_top_p(o, 0.9f, &error));
    CHECK_OK(rmlx_generation_options_set_min_p(o, 0.05f, &error));
    CHECK_OK(rmlx_generation_options_set_repetition_penalty(o, 1.1f, &error));
    CHECK_OK(rmlx_generation_options_set_presence_penalty(o, -0.5f, &error));
    CHECK_OK(rmlx_generation_options_set_frequency_penalty(o, 0.5f, &error));
    CHECK_OK(rmlx_generation_options_set_dry(o, 0.8f, 1.75f, 2, 0, &error));
    CHECK_OK(rmlx_generation_options_set_dry(o, 0, 1, 1, SIZE_MAX, &error));
    CHECK_OK(rmlx_generation_options_add_dry_breaker(o, "\n", 1, &error));
    CHECK_OK(rmlx_generation_options_set_no_repeat_ngram(o, SIZE_MAX, &error));
    CHECK_OK(rmlx_generation_options_set_loop_detection(o, SIZE_MAX, 4096, SIZE_MAX, &error));
    CHECK_OK(rmlx_generation_options_set_loop_detection(o, 0, 0, 0, &error));
    CHECK_OK(rmlx_generation_options_set_speculation(o, RMLX_SPECULATION_PROMPT_LOOKUP, 8, &error));
    CHECK_OK(rmlx_generation_options_set_speculation(o, RMLX_SPECULATION_NONE, SIZE_MAX, &error));
    CHECK_OK(rmlx_generation_options_set_seed(o, UINT64_MAX, &error));
    CHECK_OK(rmlx_generation_options_add_stop(o, "stop", 4, &error));
    CHECK_OK(rmlx_generation_options_add_logit_bias(o, 1, -INFINITY, &error));
    CHECK_OK(rmlx_generation_options_set_top_logprobs(o, 3, &error));
    CHECK_OK(rmlx_generation_options_set_thinking(o, true, &error));
    CHECK_OK(rmlx_generation_options_set_progress_events(o, true, &error));
    rmlx_generation_options_release(o);
}

/* A host that was compiled with another version of the header. */
static void structures_have_their_size(void) {
    union {
        rmlx_memory_usage usage;
        unsigned char bytes[sizeof(rmlx_memory_usage) + 16];
    } u;
    memset(&u, 0xAA, sizeof u);
    u.usage.struct_size = sizeof u;
    CHECK_OK(rmlx_memory_stats(&u.usage, &error));
    CHECK(u.usage.struct_size == sizeof u && u.usage.peak >= u.usage.active);
    for (size_t i = sizeof u.usage; i < sizeof u; i++)
        CHECK(u.bytes[i] == 0);
    /* The first version ended before `media`. */
    const size_t first = offsetof(rmlx_memory_usage, media);
    memset(&u, 0xAA, sizeof u);
    u.usage.struct_size = first;
    CHECK_OK(rmlx_memory_stats(&u.usage, &error));
    CHECK(u.usage.peak >= u.usage.active && u.bytes[first] == 0xAA);
    const size_t bad[] = {0, 1, sizeof(size_t), first - 1, 1 << 20, SIZE_MAX};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        memset(&u, 0xAA, sizeof u);
        u.usage.struct_size = bad[i];
        CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "struct_size", rmlx_memory_stats(&u.usage, &error));
        CHECK(u.bytes[sizeof(size_t)] == 0xAA);
    }
}

int main(void) {
    statuses_have_names();
    versions_agree();
    what_is_written();
    text_is_utf8();
    prompts_are_checked();
    unknown_numbers_are_refused();
    options_are_checked();
    structures_have_their_size();
    return 0;
}
