/* Log and progress callbacks: their threads, their user data, and when that is destroyed. */

#include "check.h"

#include <pthread.h>
#include <stdatomic.h>

typedef struct {
    atomic_int calls, destroyed;
    atomic_bool right_thread;
    pthread_t thread;
    float last;
    rmlx_cancel *cancel;
} record;

static void destroy(void *user_data) {
    ((record *)user_data)->destroyed++;
}

static void log_message(rmlx_log_level level, const char *message, void *user_data) {
    record *r = user_data;
    CHECK(level >= RMLX_LOG_ERROR && level <= RMLX_LOG_INFO && strlen(message) > 0);
    CHECK(strchr(message, '\n') == NULL && !pthread_equal(pthread_self(), r->thread));
    r->calls++;
}

static void the_log_goes_to_its_callback(void) {
    record first = {.thread = pthread_self()}, second = {.thread = pthread_self()};
    CHECK_OK(rmlx_set_log_callback(RMLX_LOG_INFO, log_message, &first, destroy, &error));
    rmlx_model_release(load_model());
    /* What failed has not taken the user data. */
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "level", rmlx_set_log_callback(9, log_message, &second, destroy, &error));
    CHECK(first.destroyed == 0 && second.destroyed == 0);
    CHECK_OK(rmlx_set_log_callback(RMLX_LOG_ERROR, log_message, &second, destroy, &error));
    CHECK(first.destroyed == 1 && first.calls > 0);
    int calls = first.calls;
    rmlx_model_release(load_model());
    CHECK_OK(rmlx_set_log_callback(RMLX_LOG_DEBUG, NULL, NULL, NULL, &error));
    CHECK(first.calls == calls && second.calls == 0 && second.destroyed == 1);
    /* User data without a callback is of no use, and destroyed at once. */
    CHECK_OK(rmlx_set_log_callback(RMLX_LOG_DEBUG, NULL, &second, destroy, &error));
    CHECK(second.destroyed == 2 && first.destroyed == 1);
}

static void progress(float fraction, void *user_data) {
    record *r = user_data;
    CHECK(fraction >= r->last && fraction <= 1);
    CHECK(pthread_equal(pthread_self(), r->thread));
    r->last = fraction;
    r->calls++;
    rmlx_cancel_trigger(r->cancel);
}

static void progress_runs_on_the_thread_that_loads(void) {
    record r = {.thread = pthread_self()}, unused = {.thread = pthread_self()};
    rmlx_load_options *options = rmlx_load_options_new();
    CHECK_OK(rmlx_load_options_set_progress(options, progress, &unused, destroy, &error));
    CHECK_OK(rmlx_load_options_set_progress(options, progress, &r, destroy, &error));
    CHECK(unused.destroyed == 1);
    char *path = fixture("unified-bf16-hf");
    rmlx_model *model = NULL;
    CHECK_OK(rmlx_model_load(path, options, &model, &error));
    CHECK(r.calls > 0 && r.last == 1 && r.destroyed == 0);
    rmlx_model_release(model);
    /* The same options again. */
    r.last = 0;
    CHECK_OK(rmlx_model_load(path, options, &model, &error));
    rmlx_model_release(model);
    rmlx_load_options_release(options);
    CHECK(r.destroyed == 1 && unused.calls == 0);
    free(path);
}

/* A load that is cancelled from its own progress callback. */
static void progress_may_cancel(void) {
    record r = {.thread = pthread_self(), .cancel = rmlx_cancel_new()};
    rmlx_load_options *options = rmlx_load_options_new();
    CHECK_OK(rmlx_load_options_set_progress(options, progress, &r, destroy, &error));
    CHECK_OK(rmlx_load_options_set_cancel(options, r.cancel, &error));
    char *path = fixture("unified-bf16-hf");
    rmlx_model *model = NULL;
    rmlx_status status = rmlx_model_load(path, options, &model, NULL);
    /* Loading runs beside the callback, so a small model may be complete by then. */
    CHECK(status == RMLX_ERROR_CANCELLED || status == RMLX_OK);
    rmlx_model_release(model);
    CHECK_FAILS(RMLX_ERROR_CANCELLED, "cancel", rmlx_model_load(path, options, &model, &error));
    rmlx_load_options_release(options);
    rmlx_cancel_release(r.cancel);
    CHECK(r.destroyed == 1);
    free(path);
}

/* On Metal they are in the pages of the file; elsewhere MLX cannot take them from there, and they are read. */
static void weights_are_where_they_were_asked_for(void) {
    char *path = fixture("unified-mxfp4");
    const rmlx_weights wishes[] = {RMLX_WEIGHTS_READ, RMLX_WEIGHTS_MAPPED};
    bool metal = rmlx_has_feature("metal");
    for (int i = 0; i < 2; i++) {
        rmlx_load_options *options = rmlx_load_options_new();
        rmlx_model *model = NULL;
        char *info = NULL;
        CHECK_OK(rmlx_load_options_set_weights(options, wishes[i], &error));
        CHECK_OK(rmlx_model_estimate(path, options, 0, &info, &error));
        CHECK((strstr(info, "\"mapped_weights\":0,") == NULL) == (metal && wishes[i] == RMLX_WEIGHTS_MAPPED));
        rmlx_string_release(info);
        CHECK_OK(rmlx_model_load(path, options, &model, &error));
        rmlx_load_options_release(options);
        CHECK_OK(rmlx_model_info_json(model, &info, &error));
        CHECK((strstr(info, "\"mapped_bytes\":0") == NULL) == (metal && wishes[i] == RMLX_WEIGHTS_MAPPED));
        rmlx_string_release(info);
        rmlx_model_release(model);
    }
    free(path);
}

static void limits_are_kept(void) {
    char *path = fixture("unified-bf16-mlx");
    rmlx_load_options *options = rmlx_load_options_new();
    CHECK_OK(rmlx_load_options_set_memory_limit(options, 1000, &error));
    rmlx_model *model = NULL;
    CHECK_FAILS(RMLX_ERROR_OUT_OF_MEMORY, "1000", rmlx_model_load(path, options, &model, &error));
    CHECK_OK(rmlx_load_options_set_memory_limit(options, UINT64_MAX, &error));
    CHECK_OK(rmlx_load_options_set_ignore_system_memory(options, true, &error));
    CHECK_OK(rmlx_load_options_set_context_length(options, 100, &error));
    CHECK_OK(rmlx_load_options_set_media_cache(options, 0, &error));
    CHECK_OK(rmlx_load_options_set_device(options, RMLX_DEVICE_CPU, &error));
    CHECK_OK(rmlx_model_load(path, options, &model, &error));
    char *info = NULL;
    CHECK_OK(rmlx_model_info_json(model, &info, &error));
    CHECK(strstr(info, "\"context_length\":100") != NULL && strstr(info, "\"device\":\"cpu\"") != NULL);
    rmlx_string_release(info);
    rmlx_model_release(model);
    if (!rmlx_has_feature("gpu")) {
        CHECK_OK(rmlx_load_options_set_device(options, RMLX_DEVICE_GPU, &error));
        CHECK_FAILS(RMLX_ERROR_UNSUPPORTED, "GPU", rmlx_model_load(path, options, &model, &error));
    }
    rmlx_load_options_release(options);
    free(path);
}

static void a_template_takes_the_place_of_the_snapshots(void) {
    char *path = fixture("unified-bf16-mlx");
    const char *broken = "ok\n{% if %}", *plain = "{{ messages[0].content }}!";
    rmlx_load_options *options = rmlx_load_options_new();
    rmlx_model *model = NULL;
    CHECK_OK(rmlx_load_options_set_chat_template(options, broken, strlen(broken), &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "chat template of the load options, line 2",
                rmlx_model_load(path, options, &model, &error));
    CHECK(model == NULL);
    CHECK_OK(rmlx_load_options_set_chat_template(options, plain, strlen(plain), &error));
    CHECK_OK(rmlx_model_load(path, options, &model, &error));
    rmlx_prompt *prompt = text_prompt("Hello");
    char *text = NULL;
    CHECK_OK(rmlx_model_render_prompt(model, prompt, NULL, &text, NULL, &error));
    CHECK(strcmp(text, "Hello!") == 0);
    rmlx_string_release(text);
    rmlx_prompt_release(prompt);
    rmlx_model_release(model);
    rmlx_load_options_release(options);
    free(path);
}

int main(void) {
    a_template_takes_the_place_of_the_snapshots();
    the_log_goes_to_its_callback();
    progress_runs_on_the_thread_that_loads();
    progress_may_cancel();
    weights_are_where_they_were_asked_for();
    limits_are_kept();
    return 0;
}
