/* Waiting for events in other ways than by rmlx_session_step, and cancelling from a signal handler. */

#define _POSIX_C_SOURCE 200809L

#include "check.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <time.h>

enum { SESSIONS = 12, TOKENS = 10 };

static bool is_readable(const rmlx_waker *waker) {
    struct pollfd wait = {.fd = rmlx_waker_fd(waker), .events = POLLIN};
    CHECK(poll(&wait, 1, 0) >= 0);
    return (wait.revents & POLLIN) != 0;
}

static void steps_that_do_not_wait_for_long(const rmlx_model *model) {
    rmlx_session *session = new_session(model);
    rmlx_event *event = NULL;
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "nothing to step", rmlx_session_try_step(session, &event, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "nothing to step",
                rmlx_session_step_timeout(session, 1, &event, &error));
    rmlx_prompt *prompt = text_prompt("Hello");
    rmlx_generation_options *options = greedy(TOKENS);
    answer whole;
    generate(session, prompt, options, &whole);
    CHECK_OK(rmlx_session_reset(session, &error));
    CHECK_OK(rmlx_session_submit(session, prompt, options, &error));
    size_t count = 0, timeouts = 0;
    for (bool done = false; !done;) {
        rmlx_status status = count % 2 == 0 ? rmlx_session_try_step(session, &event, NULL)
                                            : rmlx_session_step_timeout(session, UINT64_MAX, &event, NULL);
        timeouts += status == RMLX_ERROR_TIMEOUT;
        if (status == RMLX_ERROR_TIMEOUT)
            continue;
        CHECK(status == RMLX_OK);
        uint32_t token = 0;
        if (rmlx_event_token(event, &token))
            CHECK(token == whole.tokens[count++]);
        done = rmlx_event_kind(event) == RMLX_EVENT_FINISH;
        rmlx_event_release(event);
    }
    CHECK(count == TOKENS && timeouts > 0);
    rmlx_generation_options_release(options);
    rmlx_prompt_release(prompt);
    rmlx_session_release(session);
}

/* One thread, many sessions: every event is told of, and none too many. */
static void one_descriptor_tells_of_all_sessions(const rmlx_model *model) {
    rmlx_waker *waker = NULL;
    CHECK_OK(rmlx_waker_new(&waker, &error));
    CHECK(rmlx_waker_fd(waker) >= 0 && rmlx_waker_fd(NULL) == -1 && !is_readable(waker));
    rmlx_session *sessions[SESSIONS];
    size_t tokens[SESSIONS] = {0};
    rmlx_prompt *prompt = text_prompt("Hello");
    rmlx_generation_options *options = greedy(TOKENS);
    for (uint64_t i = 0; i < SESSIONS; i++) {
        sessions[i] = new_session(model);
        CHECK_OK(rmlx_session_set_waker(sessions[i], waker, i + 1000, &error));
        CHECK_OK(rmlx_session_submit(sessions[i], prompt, options, &error));
    }
    for (size_t finished = 0; finished < SESSIONS;) {
        struct pollfd wait = {.fd = rmlx_waker_fd(waker), .events = POLLIN};
        CHECK(poll(&wait, 1, 60000) == 1);
        uint64_t tags[5] = {0};
        size_t count = 0;
        CHECK_OK(rmlx_waker_take(waker, tags, 5, &count, &error));
        CHECK(count > 0 && count <= 5);
        for (size_t i = 0; i < count; i++) {
            CHECK(tags[i] >= 1000 && tags[i] < 1000 + SESSIONS);
            rmlx_event *event = NULL;
            CHECK_OK(rmlx_session_try_step(sessions[tags[i] - 1000], &event, &error));
            tokens[tags[i] - 1000] += rmlx_event_kind(event) == RMLX_EVENT_TEXT;
            finished += rmlx_event_kind(event) == RMLX_EVENT_FINISH;
            rmlx_event_release(event);
        }
    }
    CHECK(!is_readable(waker));
    for (int i = 0; i < SESSIONS; i++) {
        CHECK(tokens[i] == TOKENS);
        rmlx_session_release(sessions[i]);
    }
    uint64_t tag = 0;
    size_t count = 7;
    CHECK_OK(rmlx_waker_take(waker, &tag, 1, &count, &error));
    CHECK(count == 0);
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "capacity", rmlx_waker_take(waker, &tag, 0, &count, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "out_tags", rmlx_waker_take(waker, NULL, 1, &count, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "out_count", rmlx_waker_take(waker, &tag, 1, NULL, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "waker", rmlx_waker_take(NULL, &tag, 1, &count, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "session", rmlx_session_set_waker(NULL, waker, 1, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "out", rmlx_waker_new(NULL, &error));
    rmlx_generation_options_release(options);
    rmlx_prompt_release(prompt);
    rmlx_waker_release(waker);
}

/* A waker that comes late tells of what is there; one that was taken away, or whose event was dropped, tells nothing. */
static void a_waker_may_come_and_go(const rmlx_model *model) {
    rmlx_waker *waker = NULL;
    CHECK_OK(rmlx_waker_new(&waker, &error));
    rmlx_waker *same = rmlx_waker_retain(waker);
    CHECK(same == waker && rmlx_waker_retain(NULL) == NULL);
    rmlx_waker_release(waker);
    rmlx_waker_release(NULL);
    rmlx_session *session = new_session(model);
    rmlx_prompt *prompt = text_prompt("Hello");
    rmlx_generation_options *options = greedy(TOKENS);
    for (int round = 0; round < 3; round++) {
        CHECK_OK(rmlx_session_submit(session, prompt, options, &error));
        CHECK_OK(rmlx_session_set_waker(session, same, 5, &error));
        struct pollfd wait = {.fd = rmlx_waker_fd(same), .events = POLLIN};
        CHECK(poll(&wait, 1, 60000) == 1);
        if (round == 0)
            CHECK_OK(rmlx_session_set_waker(session, NULL, 0, &error));
        if (round < 2)
            CHECK_OK(rmlx_session_reset(session, &error));
        CHECK(is_readable(same) == (round == 2));
    }
    rmlx_session_release(session);
    CHECK(!is_readable(same));
    rmlx_waker_release(same);
    rmlx_generation_options_release(options);
    rmlx_prompt_release(prompt);
}

static rmlx_session *interrupted;
static rmlx_cancel *interrupted_load;
static volatile sig_atomic_t signals;

static void on_alarm(int number) {
    (void)number;
    errno = 77;
    rmlx_session_cancel(interrupted);
    rmlx_cancel_trigger(interrupted_load);
    if (errno == 77)
        signals++;
}

/* The handler interrupts this very thread wherever it is inside the library, with whatever locks it holds there. */
static void a_signal_handler_cancels(const rmlx_model *model) {
    interrupted = new_session(model);
    interrupted_load = rmlx_cancel_new();
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    struct itimerval often = {.it_interval = {.tv_usec = 700}, .it_value = {.tv_usec = 700}};
    CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
    rmlx_prompt *prompt = text_prompt("Hello");
    rmlx_generation_options *options = greedy(400);
    for (int round = 0; round < 60; round++) {
        answer a;
        generate(interrupted, prompt, options, &a);
        CHECK(a.reason == RMLX_FINISH_CANCELLED);
    }
    struct itimerval never = {0};
    CHECK(setitimer(ITIMER_REAL, &never, NULL) == 0);
    CHECK(signals > 60);
    rmlx_load_options *load = rmlx_load_options_new();
    CHECK_OK(rmlx_load_options_set_cancel(load, interrupted_load, &error));
    rmlx_model *none = NULL;
    CHECK_FAILS(RMLX_ERROR_CANCELLED, "cancel", rmlx_model_load("there is none", load, &none, &error));
    rmlx_load_options_release(load);
    rmlx_cancel_release(interrupted_load);
    check_usable(interrupted);
    rmlx_session_release(interrupted);
    rmlx_generation_options_release(options);
    rmlx_prompt_release(prompt);
}

int main(void) {
    rmlx_model *model = load_model();
    steps_that_do_not_wait_for_long(model);
    one_descriptor_tells_of_all_sessions(model);
    a_waker_may_come_and_go(model);
    a_signal_handler_cancels(model);
    rmlx_model_release(model);
    return 0;
}
