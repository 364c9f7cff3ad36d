/*
 * Many answers at once in one thread: a waker tells which sessions have something, and poll(2) waits for it beside
 * whatever else the program waits for.
 *
 *     event_loop SNAPSHOT COUNT QUESTION
 *
 * asks COUNT sessions the question, and prints each answer with its session's number when it is complete. Build it with
 *
 *     cc event_loop.c $(pkg-config --cflags --libs rmlx) -o event_loop
 */

#define _POSIX_C_SOURCE 200809L

#include <rmlx.h>

#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One of the conversations that the loop goes through. */
typedef struct {
    rmlx_session *session;
    char text[4096];
    size_t length;
} chat;

/* Prints what failed, and gives the error back. Always false, for `return failed(...)`. */
static bool failed(const char *what, rmlx_error *error) {
    fprintf(stderr, "event_loop: %s: %s\n", what, rmlx_error_message(error));
    rmlx_error_release(error);
    return false;
}

/* Makes the session of one chat, which the waker tells of by its number, and begins its answer. */
static bool begin(chat *c, size_t number, const rmlx_model *model, const rmlx_waker *waker, const rmlx_prompt *prompt,
                  const rmlx_generation_options *options) {
    rmlx_error *error = NULL;
    if (rmlx_session_new(model, NULL, &c->session, &error) != RMLX_OK ||
        rmlx_session_set_waker(c->session, waker, number, &error) != RMLX_OK ||
        rmlx_session_submit(c->session, prompt, options, &error) != RMLX_OK)
        return failed("session", error);
    return true;
}

/* Steps one event out of a session that has one. */
static bool step(chat *c, size_t number, size_t *finished) {
    rmlx_error *error = NULL;
    rmlx_event *event = NULL;
    rmlx_status status = rmlx_session_try_step(c->session, &event, &error);
    if (status == RMLX_ERROR_TIMEOUT) { /* not yet: the waker tells when */
        rmlx_error_release(error);
        return true;
    }
    if (status != RMLX_OK)
        return failed("step", error);
    size_t len = 0;
    const char *text = rmlx_event_text(event, &len);
    if (rmlx_event_kind(event) != RMLX_EVENT_REASONING && len < sizeof c->text - c->length) {
        memcpy(c->text + c->length, text, len);
        c->length += len;
    }
    bool well = rmlx_event_error(event) == NULL;
    if (!well)
        fprintf(stderr, "event_loop: %s\n", rmlx_error_message(rmlx_event_error(event)));
    else if (rmlx_event_kind(event) == RMLX_EVENT_FINISH) {
        printf("%zu: %.*s\n", number, (int)c->length, c->text);
        ++*finished;
    }
    rmlx_event_release(event);
    return well;
}

/* The loop: wait, see who has something, step each of them once. */
static bool run(const rmlx_waker *waker, chat *chats, size_t count) {
    size_t finished = 0;
    while (finished < count) {
        struct pollfd wait = {.fd = rmlx_waker_fd(waker), .events = POLLIN};
        if (poll(&wait, 1, -1) < 0) /* a real loop has other descriptors here, too */
            continue;
        uint64_t ready[64];
        size_t ready_count = 0;
        rmlx_error *error = NULL;
        if (rmlx_waker_take(waker, ready, sizeof ready / sizeof ready[0], &ready_count, &error) != RMLX_OK)
            return failed("waker", error);
        for (size_t i = 0; i < ready_count; i++)
            if (!step(&chats[ready[i]], (size_t)ready[i], &finished))
                return false;
    }
    return true;
}

/* Asks as many sessions as there are chats, and goes through their answers. */
static bool ask(const rmlx_model *model, chat *chats, size_t count, const char *question) {
    rmlx_prompt *prompt = rmlx_prompt_new();
    rmlx_generation_options *options = rmlx_generation_options_new();
    rmlx_waker *waker = NULL;
    rmlx_error *error = NULL;
    bool well = rmlx_prompt_begin_message(prompt, "user", &error) == RMLX_OK &&
                rmlx_prompt_add_text(prompt, question, strlen(question), &error) == RMLX_OK &&
                rmlx_generation_options_set_max_tokens(options, 64, &error) == RMLX_OK &&
                rmlx_generation_options_set_temperature(options, 0, &error) == RMLX_OK &&
                rmlx_waker_new(&waker, &error) == RMLX_OK;
    if (!well)
        failed("question", error);
    for (size_t i = 0; well && i < count; i++)
        well = begin(&chats[i], i, model, waker, prompt, options);
    well = well && run(waker, chats, count);
    for (size_t i = 0; i < count; i++)
        rmlx_session_release(chats[i].session);
    rmlx_waker_release(waker);
    rmlx_generation_options_release(options);
    rmlx_prompt_release(prompt);
    return well;
}

int main(int argc, char **argv) {
    unsigned long count = argc == 4 ? strtoul(argv[2], NULL, 10) : 0;
    if (count == 0 || count > 100000) {
        fprintf(stderr, "usage: event_loop SNAPSHOT COUNT QUESTION\n");
        return 2;
    }
    rmlx_model *model = NULL;
    rmlx_error *error = NULL;
    bool well = rmlx_model_load(argv[1], NULL, &model, &error) == RMLX_OK || failed(argv[1], error);
    chat *chats = calloc(count, sizeof *chats);
    well = well && chats != NULL && ask(model, chats, count, argv[3]);
    free(chats);
    rmlx_model_release(model);
    return well ? EXIT_SUCCESS : EXIT_FAILURE;
}
