/* What changes the logits before a token is drawn: against repetition, and the host's own. */

#define _POSIX_C_SOURCE 200809L

#include "check.h"

#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

/* A token that the tests favour. */
#define LIKED 400

typedef struct {
    pthread_t thread;
    rmlx_session *session;
    size_t calls, ids;
    bool cancels, suspends;
    int32_t returns;
    atomic_int destroyed;
} record;

static void destroy(void *user_data) {
    ((record *)user_data)->destroyed++;
}

/* Leaves nothing but LIKED, and looks at what its own session may do. */
static int32_t leave_one(const uint32_t *ids, size_t id_count, float *logits, size_t logit_count, void *user_data) {
    record *r = user_data;
    CHECK(pthread_equal(pthread_self(), r->thread) && logit_count > LIKED);
    CHECK(r->calls == 0 || (id_count == r->ids + 1 && ids[id_count - 1] == LIKED));
    for (size_t i = 0; i < logit_count; i++) {
        CHECK(isfinite(logits[i]));
        logits[i] = i == LIKED ? 0 : -INFINITY;
    }
    r->calls++;
    r->ids = id_count;
    rmlx_stats stats = {.struct_size = sizeof stats};
    CHECK_OK(rmlx_session_stats(r->session, &stats, &error));
    CHECK(stats.generated_tokens == r->calls - 1);
    CHECK_FAILS(RMLX_ERROR_BUSY, "operation", rmlx_session_reset(r->session, &error));
    if (r->cancels)
        rmlx_session_cancel(r->session);
    if (r->suspends)
        CHECK_OK(rmlx_suspend(20000, NULL, &error));
    return r->returns;
}

static rmlx_generation_options *with_processor(record *r, rmlx_session *session, size_t max_tokens) {
    rmlx_generation_options *options = greedy(max_tokens);
    *r = (record){.thread = pthread_self(), .session = session};
    CHECK_OK(rmlx_generation_options_set_logits_processor(options, leave_one, r, destroy, &error));
    return options;
}

static void check_liked(const answer *a, size_t count, rmlx_finish_reason reason) {
    CHECK(a->count == count && a->reason == reason);
    for (size_t i = 0; i < count; i++)
        CHECK(a->tokens[i] == LIKED);
}

static void a_processor_decides(const rmlx_model *model, const rmlx_prompt *prompt) {
    rmlx_session *session = new_session(model);
    record r;
    rmlx_generation_options *options = with_processor(&r, session, 5);
    answer a;
    generate(session, prompt, options, &a);
    check_liked(&a, 5, RMLX_FINISH_MAX_TOKENS);
    CHECK(r.calls == 5 && r.destroyed == 0);
    /* Once more, and the options are released while they are in use. */
    CHECK_OK(rmlx_session_submit(session, prompt, options, &error));
    rmlx_generation_options_release(options);
    CHECK(r.destroyed == 0);
    r.calls = 0;
    step_to_finish(session, &a);
    check_liked(&a, 5, RMLX_FINISH_MAX_TOKENS);
    CHECK(r.destroyed == 1);
    rmlx_session_release(session);
}

static void a_processor_may_end_the_answer(const rmlx_model *model, const rmlx_prompt *prompt) {
    rmlx_session *session = new_session(model);
    record r;
    rmlx_generation_options *options = with_processor(&r, session, 5);
    r.returns = 3;
    CHECK_OK(rmlx_session_submit(session, prompt, options, &error));
    rmlx_event *event = NULL;
    CHECK_OK(rmlx_session_step(session, &event, &error));
    CHECK(rmlx_event_finish_reason(event) == RMLX_FINISH_ERROR);
    CHECK(rmlx_error_code(rmlx_event_error(event)) == RMLX_ERROR_CANCELLED);
    CHECK(strstr(rmlx_error_details_json(rmlx_event_error(event)), "\"returned\":3") != NULL);
    rmlx_event_release(event);
    /* Or cancel it. */
    r.returns = 0;
    r.cancels = true;
    r.calls = 0;
    answer a;
    generate(session, prompt, options, &a);
    CHECK(a.reason == RMLX_FINISH_CANCELLED && a.count <= 1);
    /* NULL takes it away. */
    CHECK_OK(rmlx_generation_options_set_logits_processor(options, NULL, NULL, NULL, &error));
    CHECK(r.destroyed == 1);
    rmlx_generation_options_release(options);
    check_usable(session);
    rmlx_session_release(session);
}

/* A session that is let go while its row waits. */
static void a_session_may_go_with_its_row(const rmlx_model *model, const rmlx_prompt *prompt) {
    rmlx_session *session = new_session(model);
    record r;
    rmlx_generation_options *options = with_processor(&r, session, 5);
    CHECK_OK(rmlx_session_submit(session, prompt, options, &error));
    rmlx_generation_options_release(options);
    rmlx_session_release(session);
    CHECK(r.calls == 0 && r.destroyed == 1);
}

/* An event loop steps when it is told, and no sooner: also for the rows, which give no event yet. */
static void a_waker_tells_of_rows(const rmlx_model *model, const rmlx_prompt *prompt) {
    rmlx_waker *waker = NULL;
    CHECK_OK(rmlx_waker_new(&waker, &error));
    rmlx_session *session = new_session(model);
    CHECK_OK(rmlx_session_set_waker(session, waker, 7, &error));
    record r;
    rmlx_generation_options *options = with_processor(&r, session, 5);
    CHECK_OK(rmlx_session_submit(session, prompt, options, &error));
    size_t tokens = 0, rows = 0;
    for (bool done = false; !done;) {
        struct pollfd wait = {.fd = rmlx_waker_fd(waker), .events = POLLIN};
        CHECK(poll(&wait, 1, 60000) == 1);
        uint64_t tag = 0;
        size_t count = 0, calls = r.calls;
        CHECK_OK(rmlx_waker_take(waker, &tag, 1, &count, &error));
        CHECK(count == 1 && tag == 7);
        rmlx_event *event = NULL;
        rmlx_status status = rmlx_session_try_step(session, &event, NULL);
        rows += r.calls - calls;
        if (status == RMLX_ERROR_TIMEOUT) {
            CHECK(r.calls == calls + 1 && event == NULL);
            continue;
        }
        CHECK(status == RMLX_OK);
        tokens += rmlx_event_token(event, NULL);
        done = rmlx_event_kind(event) == RMLX_EVENT_FINISH;
        rmlx_event_release(event);
    }
    CHECK(tokens == 5 && rows == 5);
    rmlx_generation_options_release(options);
    rmlx_session_release(session);
    rmlx_waker_release(waker);
    CHECK(r.destroyed == 1);
}

/* Whatever the processor says while the library is suspended is heeded when it is not any more. */
static void a_processor_may_suspend(const rmlx_model *model, const rmlx_prompt *prompt, int32_t returns) {
    rmlx_session *session = new_session(model);
    record r;
    rmlx_generation_options *options = with_processor(&r, session, 5);
    CHECK_OK(rmlx_session_submit(session, prompt, options, &error));
    rmlx_event *event = NULL;
    r.suspends = true;
    r.returns = returns;
    while (r.calls == 0)
        CHECK_FAILS(RMLX_ERROR_TIMEOUT, "", rmlx_session_step_timeout(session, 10, &event, &error));
    nanosleep(&(struct timespec){.tv_nsec = 50 * 1000000}, NULL);
    CHECK_FAILS(RMLX_ERROR_TIMEOUT, "", rmlx_session_try_step(session, &event, &error));
    CHECK(r.calls == 1);
    r.suspends = false;
    CHECK_OK(rmlx_resume(&error));
    answer a;
    step_to_finish(session, &a);
    if (returns == 0)
        check_liked(&a, 5, RMLX_FINISH_MAX_TOKENS);
    else
        check_liked(&a, 0, RMLX_FINISH_ERROR);
    rmlx_generation_options_release(options);
    CHECK(r.destroyed == 1);
    check_usable(session);
    rmlx_session_release(session);
}

static void repetition_is_kept_in_bounds(const rmlx_model *model, const rmlx_prompt *prompt) {
    rmlx_session *session = new_session(model);
    rmlx_generation_options *options = greedy(24);
    CHECK_OK(rmlx_generation_options_add_logit_bias(options, LIKED, 50, &error));
    answer a;
    generate(session, prompt, options, &a);
    check_liked(&a, 24, RMLX_FINISH_MAX_TOKENS);
    CHECK_OK(rmlx_generation_options_set_loop_detection(options, 4, 8, 6, &error));
    generate(session, prompt, options, &a);
    check_liked(&a, 6, RMLX_FINISH_LOOP);
    CHECK_OK(rmlx_generation_options_set_loop_detection(options, 0, 0, 0, &error));
    CHECK_OK(rmlx_generation_options_set_no_repeat_ngram(options, 2, &error));
    generate(session, prompt, options, &a);
    for (size_t i = 1; i + 1 < a.count; i++)
        for (size_t j = 0; j < i; j++)
            CHECK(a.tokens[i] != a.tokens[j] || a.tokens[i + 1] != a.tokens[j + 1]);
    CHECK(a.count == 24 && a.tokens[0] == LIKED);
    CHECK_OK(rmlx_generation_options_set_no_repeat_ngram(options, 0, &error));
    CHECK_OK(rmlx_generation_options_set_dry(options, 5, 1.75f, 2, 0, &error));
    generate(session, prompt, options, &a);
    size_t liked = 0;
    for (size_t i = 0; i < a.count; i++)
        liked += a.tokens[i] == LIKED;
    CHECK(liked > 2 && liked < 24);
    /* The token as the end of a run: none is seen any more. */
    const uint32_t id = LIKED;
    char *text = NULL;
    size_t len = 0;
    CHECK_OK(rmlx_model_detokenize(model, &id, 1, false, &text, &len, &error));
    CHECK_OK(rmlx_generation_options_add_dry_breaker(options, text, len, &error));
    generate(session, prompt, options, &a);
    check_liked(&a, 24, RMLX_FINISH_MAX_TOKENS);
    rmlx_string_release(text);
    rmlx_generation_options_release(options);
    rmlx_session_release(session);
}

int main(void) {
    rmlx_model *model = load_model();
    rmlx_prompt *prompt = text_prompt("Tell me about the sea.");
    a_processor_decides(model, prompt);
    a_processor_may_end_the_answer(model, prompt);
    a_session_may_go_with_its_row(model, prompt);
    a_waker_tells_of_rows(model, prompt);
    a_processor_may_suspend(model, prompt, 0);
    a_processor_may_suspend(model, prompt, 1);
    repetition_is_kept_in_bounds(model, prompt);
    rmlx_prompt_release(prompt);
    rmlx_model_release(model);
    return 0;
}
