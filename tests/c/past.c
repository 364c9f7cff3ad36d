/* What a session holds, evaluated ahead, forked, cut back, and shortened. */

#include "check.h"

#define MANY 40

static rmlx_stats stats_of(const rmlx_session *session) {
    rmlx_stats stats = {.struct_size = sizeof stats};
    CHECK_OK(rmlx_session_stats((rmlx_session *)session, &stats, &error));
    return stats;
}

/* The tokens of an answer, and how much of its prompt was held. */
static uint64_t ask(rmlx_session *session, const rmlx_prompt *prompt, answer *to) {
    rmlx_generation_options *options = greedy(6);
    generate(session, prompt, options, to);
    rmlx_generation_options_release(options);
    return stats_of(session).reused_tokens;
}

static void check_same(const answer *a, const answer *b) {
    CHECK(a->count == b->count && memcmp(a->tokens, b->tokens, a->count * sizeof a->tokens[0]) == 0);
}

static void evaluated_ahead(const rmlx_model *model) {
    rmlx_session *session = new_session(model);
    rmlx_prompt *prompt = text_prompt("What do you see?");
    rmlx_media *image = load_image("media/tall.png");
    CHECK_OK(rmlx_prompt_add_media(prompt, image, &error));
    CHECK_OK(rmlx_session_prefill(session, prompt, NULL, &error));
    CHECK_FAILS(RMLX_ERROR_BUSY, "FINISH", rmlx_session_prefill(session, prompt, NULL, &error));
    answer a;
    step_to_finish(session, &a);
    CHECK(a.reason == RMLX_FINISH_PREFILLED && a.count == 0 && a.text_len == 0);
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "no answer", rmlx_prompt_add_answer(prompt, session, &error));
    CHECK(stats_of(session).held_tokens == stats_of(session).prompt_tokens);
    CHECK(ask(session, prompt, &a) + 1 == stats_of(session).prompt_tokens);
    CHECK(stats_of(session).encoded_media == 0);
    rmlx_media_release(image);
    rmlx_prompt_release(prompt);
    rmlx_session_release(session);
}

/* Forks outlive what they were made of, and every one answers as a new session does. */
static void forked(const rmlx_model *model) {
    rmlx_session *session = new_session(model), *forks[MANY];
    rmlx_prompt *first = text_prompt("What is a window?");
    answer a, alone, b;
    ask(session, first, &a);
    for (int i = 0; i < MANY; i++)
        CHECK_OK(rmlx_session_fork(i % 2 == 0 ? session : forks[i - 1], &forks[i], &error));
    rmlx_session_release(session);
    add_message(first, "assistant", "A hole.");
    add_message(first, "user", "Why?");
    session = new_session(model);
    CHECK(ask(session, first, &alone) == 0);
    for (int i = 0; i < MANY; i += 9) {
        CHECK(ask(forks[i], first, &b) > 3);
        check_same(&alone, &b);
    }
    rmlx_prompt_release(first);
    rmlx_session_release(session);
    for (int i = 0; i < MANY; i++)
        rmlx_session_release(forks[i]);
}

static void cut_back(const rmlx_model *model) {
    rmlx_session *session = new_session(model);
    rmlx_prompt *prompt = text_prompt("What is a window?");
    answer a, b;
    ask(session, prompt, &a);
    size_t kept = 7;
    CHECK_OK(rmlx_session_truncate(session, 5, &kept, &error));
    CHECK(kept == 5 && stats_of(session).held_tokens == 5);
    CHECK(ask(session, prompt, &b) == 5);
    check_same(&a, &b);
    CHECK_OK(rmlx_session_truncate(session, 0, &kept, &error));
    CHECK(kept == 0 && ask(session, prompt, &b) == 0);
    check_same(&a, &b);
    rmlx_prompt_release(prompt);
    rmlx_session_release(session);
}

/* Older turns go where they do not fit. */
static void shortened(const rmlx_model *model) {
    rmlx_session_options *options = rmlx_session_options_new();
    CHECK_OK(rmlx_session_options_set_context_length(options, 200, &error));
    CHECK_OK(rmlx_session_options_set_checkpoints(options, 2, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "turns", rmlx_session_options_set_keep_turns(options, 0, &error));
    rmlx_session *strict = NULL, *session = NULL;
    CHECK_OK(rmlx_session_new(model, options, &strict, &error));
    CHECK_OK(rmlx_session_options_set_keep_turns(options, 1, &error));
    CHECK_OK(rmlx_session_new(model, options, &session, &error));
    rmlx_session_options_release(options);
    rmlx_prompt *prompt = text_prompt("How many words are in this question?");
    for (int i = 0; i < 20; i++) {
        add_message(prompt, "assistant", "Seven.");
        add_message(prompt, "user", "And in this one?");
    }
    CHECK_FAILS(RMLX_ERROR_CONTEXT_FULL, "200", rmlx_session_submit(strict, prompt, NULL, &error));
    answer a;
    ask(session, prompt, &a);
    uint64_t dropped = stats_of(session).dropped_messages;
    CHECK(dropped > 0 && dropped % 2 == 0 && stats_of(session).prompt_tokens < 200);
    rmlx_prompt_release(prompt);
    rmlx_session_release(strict);
    rmlx_session_release(session);
}

/* A pause refuses what begins work, and nothing else. */
static void paused(const rmlx_model *model) {
    rmlx_session *session = new_session(model), *fork = NULL;
    rmlx_prompt *prompt = text_prompt("What is a window?");
    answer a, b;
    ask(session, prompt, &a);
    CHECK_OK(rmlx_suspend(20000, NULL, &error));
    size_t kept = 0;
    CHECK_OK(rmlx_session_fork(session, &fork, &error));
    CHECK_OK(rmlx_session_truncate(session, 4, &kept, &error));
    CHECK(kept == 4 && stats_of(fork).held_tokens > 4);
    CHECK_FAILS(RMLX_ERROR_SUSPENDED, "rmlx_resume", rmlx_session_prefill(fork, prompt, NULL, &error));
    CHECK_OK(rmlx_resume(&error));
    ask(fork, prompt, &b);
    check_same(&a, &b);
    rmlx_prompt_release(prompt);
    rmlx_session_release(session);
    rmlx_session_release(fork);
}

int main(void) {
    rmlx_model *model = load_model();
    evaluated_ahead(model);
    forked(model);
    cut_back(model);
    shortened(model);
    paused(model);
    rmlx_model_release(model);
    return 0;
}
