/* rmlx_suspend: nothing is computed after it has returned, and everything goes on as if nothing had been. */

#define _POSIX_C_SOURCE 200809L

#include "check.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

enum { SESSIONS = 4, TOKENS = 120 };

static void wait_milliseconds(long milliseconds) {
    struct timespec time = {.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000};
    nanosleep(&time, NULL);
}

/* Processor time of all threads of the process. */
static double cpu_milliseconds(void) {
    struct timespec time;
    CHECK(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time) == 0);
    return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

static void suspend(void) {
    uint32_t running = 9;
    CHECK_OK(rmlx_suspend(20000, &running, &error));
    CHECK(running == 0);
}

static void resume(void) {
    CHECK_OK(rmlx_resume(&error));
}

/* Nothing moves, as soon as what needs no model has ended: a load reads its tokenizer, and threads of matrix products look
 * for more to do for a moment. Answers would go on for longer than this looks. */
static void check_that_nothing_is_computed(void) {
    double used = 0;
    for (int window = 0; window < 4; window++) {
        double before = cpu_milliseconds();
        wait_milliseconds(80);
        used = cpu_milliseconds() - before;
        if (used <= 8)
            return;
    }
    fprintf(stderr, "%.1f ms of 80 were computed\n", used);
    CHECK(used <= 8);
}

static void *load_later(void *argument) {
    *(rmlx_model **)argument = load_model();
    return NULL;
}

/* Before there is a thread or a model: a load waits, and what needs a model's thread says why it cannot. */
static rmlx_model *before_the_first_model(void) {
    CHECK(rmlx_has_feature("suspend"));
    suspend();
    suspend();
    rmlx_memory_usage usage = {.struct_size = sizeof usage};
    CHECK_FAILS(RMLX_ERROR_SUSPENDED, "rmlx_resume", rmlx_memory_stats(&usage, &error));
    rmlx_model *model = NULL;
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, load_later, &model) == 0);
    wait_milliseconds(100);
    CHECK_FAILS(RMLX_ERROR_SUSPENDED, "rmlx_resume", rmlx_memory_trim(&error));
    check_that_nothing_is_computed();
    resume();
    CHECK(pthread_join(thread, NULL) == 0 && model != NULL);
    resume();
    return model;
}

typedef struct {
    rmlx_session *session;
    answer answer;
} asker;

static void *step_all(void *argument) {
    asker *a = argument;
    step_to_finish(a->session, &a->answer);
    return NULL;
}

static atomic_bool enough;

static void *load_again_and_again(void *argument) {
    atomic_size_t *loads = argument;
    while (!enough) {
        rmlx_model_release(load_model());
        ++*loads;
    }
    return NULL;
}

static rmlx_prompt *question(int number) {
    char text[64];
    snprintf(text, sizeof text, "Question number %d, if you please", number);
    return text_prompt(text);
}

/* Four sessions answer and a fifth thread loads, while the process is suspended again and again. */
static void answers_go_on_with_the_same_tokens(const rmlx_model *model) {
    static asker askers[SESSIONS], expected[SESSIONS];
    /* Every other answer is held to a constraint. */
    rmlx_generation_options *options[2] = {greedy(TOKENS), greedy(TOKENS)};
    const char *letters = "[a-z ]{900}";
    CHECK_OK(rmlx_generation_options_set_constraint(options[1], RMLX_CONSTRAINT_REGEX, letters, strlen(letters), &error));
    for (int i = 0; i < SESSIONS; i++) {
        rmlx_prompt *prompt = question(i);
        expected[i].session = new_session(model);
        generate(expected[i].session, prompt, options[i % 2], &expected[i].answer);
        rmlx_session_release(expected[i].session);
        askers[i].session = new_session(model);
        CHECK_OK(rmlx_session_submit(askers[i].session, prompt, options[i % 2], &error));
        rmlx_prompt_release(prompt);
    }
    atomic_size_t loads = 0;
    pthread_t threads[SESSIONS], loader;
    for (int i = 0; i < SESSIONS; i++)
        CHECK(pthread_create(&threads[i], NULL, step_all, &askers[i]) == 0);
    CHECK(pthread_create(&loader, NULL, load_again_and_again, &loads) == 0);
    for (int round = 0; round < 5; round++) {
        wait_milliseconds(3 + 7 * round);
        suspend();
        check_that_nothing_is_computed();
        resume();
    }
    for (int i = 0; i < SESSIONS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
        const answer *a = &askers[i].answer, *b = &expected[i].answer;
        CHECK(a->reason == (i % 2 ? RMLX_FINISH_CONSTRAINT_CUT : RMLX_FINISH_MAX_TOKENS) && a->count == TOKENS);
        CHECK(memcmp(a->tokens, b->tokens, TOKENS * sizeof a->tokens[0]) == 0);
        rmlx_session_release(askers[i].session);
    }
    enough = true;
    CHECK(pthread_join(loader, NULL) == 0);
    CHECK(loads > 0);
    rmlx_generation_options_release(options[0]);
    rmlx_generation_options_release(options[1]);
}

static rmlx_session *saved_and_loaded(const rmlx_model *model, rmlx_session *session) {
    size_t size = 0, written = 0;
    CHECK_OK(rmlx_session_save_to_buffer(session, NULL, 0, &size, &error));
    uint8_t *bytes = malloc(size);
    CHECK(bytes != NULL);
    CHECK_OK(rmlx_session_save_to_buffer(session, bytes, size, &written, &error));
    CHECK(written == size);
    rmlx_session *loaded = NULL;
    CHECK_OK(rmlx_session_load_from_buffer(model, NULL, bytes, size, &loaded, &error));
    free(bytes);
    return loaded;
}

static uint64_t reused(rmlx_session *session) {
    rmlx_stats stats = {.struct_size = sizeof stats};
    CHECK_OK(rmlx_session_stats(session, &stats, &error));
    return stats.reused_tokens;
}

/* Every function that would need work says so or waits for a bounded time; the others do what they do. */
static void calls_meanwhile(const rmlx_model *model) {
    rmlx_session *session = new_session(model), *idle = new_session(model);
    rmlx_prompt *prompt = question(1);
    rmlx_generation_options *options = greedy(TOKENS);
    answer whole, rest;
    generate(idle, prompt, options, &whole);
    rmlx_session *held = new_session(model);
    answer again;
    generate(held, prompt, options, &again);
    uint32_t first = 0, second = 0;
    rmlx_event *event = NULL;
    CHECK_OK(rmlx_session_submit(session, prompt, options, &error));
    CHECK_OK(rmlx_session_step(session, &event, &error));
    CHECK(rmlx_event_token(event, &first));
    rmlx_event_release(event);
    suspend();
    /* What is there is given, and then nothing comes. */
    rmlx_status status;
    size_t given = 0;
    while ((status = rmlx_session_step_timeout(session, 20, &event, NULL)) == RMLX_OK) {
        CHECK(given++ == 0 && rmlx_event_token(event, &second));
        rmlx_event_release(event);
    }
    CHECK(status == RMLX_ERROR_TIMEOUT);
    CHECK_FAILS(RMLX_ERROR_TIMEOUT, "no event", rmlx_session_try_step(session, &event, &error));
    float row[1];
    size_t count = 0;
    CHECK_FAILS(RMLX_ERROR_SUSPENDED, "rmlx_resume", rmlx_session_logits(session, row, 1, &count, &error));
    CHECK_FAILS(RMLX_ERROR_SUSPENDED, "rmlx_resume", rmlx_session_submit(idle, prompt, options, &error));
    char *json = NULL;
    CHECK_FAILS(RMLX_ERROR_SUSPENDED, "rmlx_resume", rmlx_probe(model, &json, &error));
    /* A refused submit has changed nothing. */
    rmlx_stats stats = {.struct_size = sizeof stats};
    CHECK_OK(rmlx_session_stats(idle, &stats, &error));
    CHECK(stats.generated_tokens == TOKENS);
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "nothing to step", rmlx_session_try_step(idle, &event, &error));
    CHECK_OK(rmlx_prompt_add_answer(prompt, idle, &error));
    /* Memory is given back, sessions come and go. */
    rmlx_memory_usage usage = {.struct_size = sizeof usage};
    CHECK_OK(rmlx_memory_stats(&usage, &error));
    CHECK_OK(rmlx_memory_trim(&error));
    CHECK_OK(rmlx_session_reset(idle, &error));
    rmlx_session *another = new_session(model);
    rmlx_session_release(another);
    /* What an app in the background may want most: to keep what it has. */
    CHECK_FAILS(RMLX_ERROR_BUSY, "FINISH", rmlx_session_save_to_buffer(session, NULL, 0, &count, &error));
    rmlx_session *kept = saved_and_loaded(model, held);
    check_that_nothing_is_computed();
    CHECK_FAILS(RMLX_ERROR_SUSPENDED, "rmlx_resume", rmlx_session_submit(kept, prompt, options, &error));
    check_that_nothing_is_computed();
    resume();
    step_to_finish(session, &rest);
    CHECK(rest.count == TOKENS - 1 - given && whole.tokens[0] == first && (given == 0 || whole.tokens[1] == second));
    CHECK(memcmp(rest.tokens, whole.tokens + 1 + given, rest.count * sizeof rest.tokens[0]) == 0);
    check_usable(idle);
    /* The prompt has the answer by now, and both hold what it begins with. */
    add_message(prompt, "user", "And then?");
    answer of_held, of_kept;
    generate(held, prompt, options, &of_held);
    generate(kept, prompt, options, &of_kept);
    CHECK(of_held.count == TOKENS && memcmp(of_held.tokens, of_kept.tokens, TOKENS * sizeof of_held.tokens[0]) == 0);
    /* Of a window that has moved on, only what is seen and a few rows before it are saved. */
    CHECK(reused(kept) > 0 && reused(kept) <= reused(held));
    rmlx_session_release(kept);
    rmlx_session_release(held);
    rmlx_session_release(idle);
    rmlx_session_release(session);
    rmlx_generation_options_release(options);
    rmlx_prompt_release(prompt);
}

/* An app that goes to the background may still end its answers, and go on with the session later. */
static void answers_can_be_cancelled_meanwhile(const rmlx_model *model) {
    rmlx_session *sessions[2] = {new_session(model), new_session(model)};
    rmlx_prompt *prompt = question(2);
    rmlx_generation_options *options = greedy(TOKENS);
    for (int i = 0; i < 2; i++) {
        rmlx_event *event = NULL;
        CHECK_OK(rmlx_session_submit(sessions[i], prompt, options, &error));
        CHECK_OK(rmlx_session_step(sessions[i], &event, &error));
        rmlx_event_release(event);
    }
    suspend();
    rmlx_session_cancel(sessions[0]);
    answer a;
    step_to_finish(sessions[0], &a);
    CHECK(a.reason == RMLX_FINISH_CANCELLED);
    check_that_nothing_is_computed();
    resume();
    check_usable(sessions[0]);
    step_to_finish(sessions[1], &a);
    CHECK(a.reason == RMLX_FINISH_MAX_TOKENS);
    rmlx_generation_options_release(options);
    rmlx_prompt_release(prompt);
    rmlx_session_release(sessions[0]);
    rmlx_session_release(sessions[1]);
}

/* A deadline that is too short is said, and the pause comes nevertheless. */
static void a_deadline_that_is_over(const rmlx_model *model) {
    rmlx_session_options *pieces = rmlx_session_options_new();
    CHECK_OK(rmlx_session_options_set_prefill_chunk(pieces, 100000, &error));
    rmlx_session *session = NULL;
    CHECK_OK(rmlx_session_new(model, pieces, &session, &error));
    rmlx_session_options_release(pieces);
    char text[1600];
    memset(text, 0, sizeof text);
    for (size_t i = 0; i + 1 < sizeof text; i++)
        text[i] = "word "[i % 5];
    rmlx_prompt *prompt = text_prompt(text);
    rmlx_generation_options *options = greedy(2);
    CHECK_OK(rmlx_session_submit(session, prompt, options, &error));
    uint32_t running = 9;
    rmlx_status status = RMLX_OK;
    /* The unit may be over, or not have begun. */
    for (int i = 0; i < 50 && status != RMLX_ERROR_TIMEOUT; i++) {
        resume();
        wait_milliseconds(1);
        status = rmlx_suspend(0, &running, NULL);
        CHECK(status == RMLX_OK ? running == 0 : status == RMLX_ERROR_TIMEOUT && running == 1);
    }
    CHECK(status == RMLX_ERROR_TIMEOUT);
    suspend();
    check_that_nothing_is_computed();
    resume();
    answer a;
    step_to_finish(session, &a);
    CHECK(a.count == 2);
    rmlx_generation_options_release(options);
    rmlx_prompt_release(prompt);
    rmlx_session_release(session);
}

int main(void) {
    rmlx_model *model = before_the_first_model();
    calls_meanwhile(model);
    answers_can_be_cancelled_meanwhile(model);
    a_deadline_that_is_over(model);
    answers_go_on_with_the_same_tokens(model);
    rmlx_model_release(model);
    return 0;
}
