/* Processes that fork or exit while rmlx is at work: the child is told, and no end takes long or goes wrong. */

#define _POSIX_C_SOURCE 200809L

#include "check.h"

#include <pthread.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* What the thread of models holds is lost in a forked child, which has no such thread; that is no leak. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) {
    return "detect_leaks=0";
}

static double seconds(void) {
    struct timespec time;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &time) == 0);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Waits for a child, which must end well, and soon. */
static void check_child(pid_t child, double most) {
    CHECK(child > 0);
    double began = seconds();
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    double took = seconds() - began;
    if (took > most)
        fprintf(stderr, "it took %.2f s\n", took);
    CHECK(took <= most);
}

/* Loads until the process ends, which stops the last load. */
static void *load_for_ever(void *argument) {
    char *path = fixture("unified-bf16-mlx");
    for (;;) {
        rmlx_model *model = NULL;
        if (rmlx_model_load(path, NULL, &model, NULL) != RMLX_OK)
            nanosleep(&(struct timespec){.tv_sec = 60}, NULL);
        rmlx_model_release(model);
    }
    free(path);
    return argument;
}

/* What a process still has when it ends. */
static struct {
    rmlx_model *model;
    rmlx_session *sessions[3];
    rmlx_prompt *prompt;
    rmlx_generation_options *options;
} held;

/* Begins some answers, and loads beside them. */
static void begin_to_work(void) {
    held.model = load_model();
    held.prompt = text_prompt("Hello");
    held.options = greedy(400);
    for (int i = 0; i < 3; i++) {
        held.sessions[i] = new_session(held.model);
        CHECK_OK(rmlx_session_submit(held.sessions[i], held.prompt, held.options, &error));
    }
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, load_for_ever, NULL) == 0);
}

/* A process that forks before it uses models is none that was forked; it ends with answers and a load in the making. */
static void exit_in_the_midst_of_work(void) {
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        begin_to_work();
        struct timespec time = {.tv_nsec = 30000000};
        nanosleep(&time, NULL);
        exit(0);
    }
    check_child(child, 20);
}

/* A process may end while it is suspended, too. */
static void exit_while_suspended(void) {
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        begin_to_work();
        CHECK_OK(rmlx_suspend(20000, NULL, &error));
        exit(0);
    }
    check_child(child, 20);
}

/* After models were used: every call says what is wrong, nothing hangs, and the end takes no time. */
static void a_forked_child_is_told(void) {
    rmlx_model *model = load_model();
    rmlx_session *session = new_session(model), *answering = new_session(model);
    rmlx_prompt *prompt = text_prompt("Hello");
    rmlx_generation_options *options = greedy(400);
    CHECK_OK(rmlx_session_submit(answering, prompt, options, &error));
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        rmlx_event *event = NULL;
        rmlx_model *another = NULL;
        rmlx_session *made = NULL;
        float row[1];
        size_t count = 0;
        CHECK_FAILS(RMLX_ERROR_UNSUPPORTED, "fork", rmlx_session_step(answering, &event, &error));
        CHECK_FAILS(RMLX_ERROR_UNSUPPORTED, "fork", rmlx_session_submit(session, prompt, options, &error));
        CHECK_FAILS(RMLX_ERROR_UNSUPPORTED, "fork", rmlx_session_reset(answering, &error));
        CHECK_FAILS(RMLX_ERROR_UNSUPPORTED, "fork", rmlx_session_logits(answering, row, 1, &count, &error));
        CHECK_FAILS(RMLX_ERROR_UNSUPPORTED, "fork", rmlx_session_new(model, NULL, &made, &error));
        CHECK_FAILS(RMLX_ERROR_UNSUPPORTED, "fork", rmlx_model_load("any", NULL, &another, &error));
        CHECK_FAILS(RMLX_ERROR_UNSUPPORTED, "fork", rmlx_suspend(1000, NULL, &error));
        CHECK_FAILS(RMLX_ERROR_UNSUPPORTED, "fork", rmlx_resume(&error));
        CHECK_FAILS(RMLX_ERROR_UNSUPPORTED, "fork", rmlx_memory_trim(&error));
        CHECK_FAILS(RMLX_ERROR_UNSUPPORTED, "fork", rmlx_set_log_callback(RMLX_LOG_INFO, NULL, NULL, NULL, &error));
        rmlx_session_cancel(answering);
        rmlx_session_release(answering);
        rmlx_session_release(session);
        rmlx_model_release(model);
        rmlx_generation_options_release(options);
        rmlx_prompt_release(prompt);
        exit(0);
    }
    check_child(child, 2);
    /* The parent goes on. */
    answer a;
    rmlx_session_cancel(answering);
    step_to_finish(answering, &a);
    check_usable(answering);
    check_usable(session);
    rmlx_session_release(answering);
    rmlx_session_release(session);
    rmlx_model_release(model);
    rmlx_generation_options_release(options);
    rmlx_prompt_release(prompt);
}

int main(void) {
    exit_in_the_midst_of_work();
    exit_while_suspended();
    a_forked_child_is_told();
    return 0;
}
