/* Sixteen threads at once: each with a session of its own on one model, then all of them on one session. */

#include "check.h"

#include <pthread.h>
#include <stdatomic.h>

enum { THREADS = 16, TOKENS = 6 };

typedef struct {
    const rmlx_model *model;
    rmlx_media *image;
    answer *expected;
} work;

static void ask(rmlx_session *session, rmlx_media *image, answer *a) {
    rmlx_prompt *prompt = text_prompt("Who is there?");
    CHECK_OK(rmlx_prompt_add_media(prompt, image, &error));
    rmlx_generation_options *options = greedy(TOKENS);
    generate(session, prompt, options, a);
    rmlx_generation_options_release(options);
    rmlx_prompt_release(prompt);
}

static void *with_own_session(void *argument) {
    work *w = argument;
    rmlx_model *model = rmlx_model_retain(w->model);
    rmlx_session *session = new_session(model);
    rmlx_model_release(model);
    answer a;
    ask(session, w->image, &a);
    CHECK(a.count == TOKENS && memcmp(a.tokens, w->expected->tokens, TOKENS * sizeof a.tokens[0]) == 0);
    rmlx_session_release(session);
    return NULL;
}

static void sessions_do_not_disturb_each_other(const rmlx_model *model) {
    rmlx_media *image = load_image("media/exact.png");
    answer expected;
    rmlx_session *session = new_session(model);
    ask(session, image, &expected);
    rmlx_session_release(session);
    work w = {model, image, &expected};
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, with_own_session, &w) == 0);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    rmlx_media_release(image);
}

typedef struct {
    rmlx_session *session;
    rmlx_prompt *prompt;
    rmlx_generation_options *options;
    atomic_size_t submitted, tokens, finished, busy;
} shared;

/* Does whatever it may: exactly one thread gets each event, and the others are told that the session is busy. */
static void *with_shared_session(void *argument) {
    shared *s = argument;
    for (int i = 0; i < 40; i++) {
        rmlx_status status = rmlx_session_submit(s->session, s->prompt, s->options, NULL);
        CHECK(status == RMLX_OK || status == RMLX_ERROR_BUSY);
        s->submitted += status == RMLX_OK;
        s->busy += status == RMLX_ERROR_BUSY;
        rmlx_event *event = NULL;
        status = rmlx_session_step(s->session, &event, NULL);
        CHECK(status == RMLX_OK || status == RMLX_ERROR_BUSY || status == RMLX_ERROR_INVALID_ARGUMENT);
        s->busy += status == RMLX_ERROR_BUSY;
        if (status == RMLX_OK) {
            s->tokens += rmlx_event_kind(event) == RMLX_EVENT_TEXT;
            s->finished += rmlx_event_kind(event) == RMLX_EVENT_FINISH;
            rmlx_event_release(event);
        }
        rmlx_stats stats = {.struct_size = sizeof stats};
        CHECK_OK(rmlx_session_stats(s->session, &stats, &error));
        size_t count = 0;
        status = rmlx_session_prompt_tokens(s->session, NULL, 0, &count, NULL);
        CHECK(status == RMLX_OK || status == RMLX_ERROR_BUSY);
    }
    return NULL;
}

static void one_session_is_used_by_one_at_a_time(const rmlx_model *model) {
    shared s = {.session = new_session(model), .prompt = text_prompt("Hello"), .options = greedy(4)};
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, with_shared_session, &s) == 0);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    for (;;) {
        rmlx_event *event = NULL;
        if (rmlx_session_step(s.session, &event, NULL) != RMLX_OK)
            break;
        s.tokens += rmlx_event_kind(event) == RMLX_EVENT_TEXT;
        s.finished += rmlx_event_kind(event) == RMLX_EVENT_FINISH;
        rmlx_event_release(event);
    }
    CHECK(s.submitted > 0 && s.busy > 0);
    CHECK(s.finished == s.submitted && s.tokens == 4 * s.submitted);
    check_usable(s.session);
    rmlx_generation_options_release(s.options);
    rmlx_prompt_release(s.prompt);
    rmlx_session_release(s.session);
}

/* Models come and go on several threads. */
static void *load_and_go(void *argument) {
    (void)argument;
    rmlx_model *model = load_model();
    rmlx_session *session = new_session(model);
    check_usable(session);
    rmlx_model_release(model);
    rmlx_session_release(session);
    return NULL;
}

static void models_are_loaded_side_by_side(void) {
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, load_and_go, NULL) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

int main(void) {
    models_are_loaded_side_by_side();
    rmlx_model *model = load_model();
    sessions_do_not_disturb_each_other(model);
    one_session_is_used_by_one_at_a_time(model);
    rmlx_model_release(model);
    return 0;
}
