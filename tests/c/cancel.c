/* Cancelling from another thread, at random moments: the answer ends with one FINISH event, and the session goes on. */

#define _POSIX_C_SOURCE 200809L

#include "check.h"

#include <pthread.h>
#include <time.h>

static void wait_microseconds(unsigned microseconds) {
    struct timespec time = {.tv_sec = microseconds / 1000000, .tv_nsec = (long)(microseconds % 1000000) * 1000};
    nanosleep(&time, NULL);
}

/* A sequence that is the same each time, so that a failure can be repeated. */
static unsigned next_random(unsigned *state) {
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

typedef struct {
    rmlx_session *session;
    unsigned delay;
} canceller;

static void *cancel_later(void *argument) {
    canceller *c = argument;
    wait_microseconds(c->delay);
    rmlx_session_cancel(c->session);
    return NULL;
}

/* With a picture and small pieces, so that the cancel hits preparation, encoder, prefill and decoding. */
static void answers_are_cancelled(const rmlx_model *model) {
    rmlx_session_options *pieces = rmlx_session_options_new();
    CHECK_OK(rmlx_session_options_set_prefill_chunk(pieces, 16, &error));
    rmlx_session *session = NULL;
    CHECK_OK(rmlx_session_new(model, pieces, &session, &error));
    rmlx_session_options_release(pieces);
    rmlx_media *image = load_image("media/wide.png");
    rmlx_prompt *prompt = text_prompt("A question that is long enough to be evaluated in more than one piece, I hope.");
    CHECK_OK(rmlx_prompt_add_media(prompt, image, &error));
    rmlx_media_release(image);
    rmlx_generation_options *options = greedy(400);
    unsigned state = 1;
    for (int round = 0; round < 12; round++) {
        CHECK_OK(rmlx_session_reset(session, &error));
        canceller c = {session, next_random(&state) % 300000 / (1u << (round % 6))};
        CHECK_OK(rmlx_session_submit(session, prompt, options, &error));
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, cancel_later, &c) == 0);
        answer a;
        step_to_finish(session, &a);
        CHECK(pthread_join(thread, NULL) == 0);
        CHECK(a.reason == RMLX_FINISH_CANCELLED || (a.reason == RMLX_FINISH_MAX_TOKENS && a.count == 400));
        if (round % 4 == 0)
            check_usable(session);
    }
    rmlx_generation_options_release(options);
    rmlx_prompt_release(prompt);
    rmlx_session_release(session);
}

/* In the midst of the answer: it ends within a token or two. */
static void decoding_stops_at_once(const rmlx_model *model) {
    rmlx_session *session = new_session(model);
    rmlx_prompt *prompt = text_prompt("Hello");
    rmlx_generation_options *options = greedy(400);
    for (int before = 1; before < 20; before += 6) {
        CHECK_OK(rmlx_session_submit(session, prompt, options, &error));
        for (int i = 0; i < before; i++) {
            rmlx_event *event = NULL;
            CHECK_OK(rmlx_session_step(session, &event, &error));
            CHECK(rmlx_event_kind(event) == RMLX_EVENT_TEXT && rmlx_event_tool_call_name(event) == NULL);
            CHECK(rmlx_event_tool_call_delta(event, NULL, NULL) == NULL);
            rmlx_event_release(event);
        }
        canceller c = {session, 0};
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, cancel_later, &c) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
        answer a;
        step_to_finish(session, &a);
        CHECK(a.reason == RMLX_FINISH_CANCELLED && a.count <= 2);
    }
    rmlx_generation_options_release(options);
    rmlx_prompt_release(prompt);
    rmlx_session_release(session);
}

/* Cancelling between steps, twice, and when there is nothing to cancel. */
static void a_cancel_waits_for_nobody(const rmlx_model *model) {
    rmlx_session *session = new_session(model);
    rmlx_session_cancel(session);
    check_usable(session);
    rmlx_prompt *prompt = text_prompt("Hello");
    rmlx_generation_options *options = greedy(400);
    CHECK_OK(rmlx_session_submit(session, prompt, options, &error));
    CHECK_FAILS(RMLX_ERROR_BUSY, "FINISH", rmlx_session_submit(session, prompt, options, &error));
    rmlx_session_cancel(session);
    rmlx_session_cancel(session);
    answer a;
    step_to_finish(session, &a);
    CHECK(a.reason == RMLX_FINISH_CANCELLED && a.count <= 2);
    check_usable(session);
    /* A session that is reset or released in the middle of an answer. */
    CHECK_OK(rmlx_session_submit(session, prompt, options, &error));
    CHECK_OK(rmlx_session_reset(session, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "nothing to step", rmlx_session_step(session, &(rmlx_event *){NULL}, &error));
    check_usable(session);
    CHECK_OK(rmlx_session_submit(session, prompt, options, &error));
    rmlx_session_release(session);
    rmlx_generation_options_release(options);
    rmlx_prompt_release(prompt);
}

static void *trigger_later(void *argument) {
    wait_microseconds(2000);
    rmlx_cancel_trigger(argument);
    return NULL;
}

static void loads_are_cancelled(void) {
    char *path = fixture("unified-bf16-hf");
    for (int round = 0; round < 4; round++) {
        rmlx_cancel *cancel = rmlx_cancel_new();
        rmlx_load_options *options = rmlx_load_options_new();
        CHECK_OK(rmlx_load_options_set_cancel(options, cancel, &error));
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, trigger_later, cancel) == 0);
        rmlx_model *model = NULL;
        rmlx_status status = rmlx_model_load(path, options, &model, NULL);
        CHECK(status == RMLX_OK ? model != NULL : status == RMLX_ERROR_CANCELLED && model == NULL);
        CHECK(pthread_join(thread, NULL) == 0);
        rmlx_model_release(model);
        rmlx_load_options_release(options);
        rmlx_cancel_release(cancel);
    }
    free(path);
}

int main(void) {
    loads_are_cancelled();
    rmlx_model *model = load_model();
    a_cancel_waits_for_nobody(model);
    decoding_stops_at_once(model);
    answers_are_cancelled(model);
    rmlx_model_release(model);
    return 0;
}
