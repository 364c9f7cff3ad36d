/* Answers: events, options, media, and what a session remembers. */

#include "check.h"

#include <math.h>

/* A prompt of one message with a picture or a sound before the text. */
static rmlx_prompt *media_prompt(rmlx_media *media, const char *text) {
    rmlx_prompt *prompt = rmlx_prompt_new();
    CHECK_OK(rmlx_prompt_begin_message(prompt, "user", &error));
    CHECK_OK(rmlx_prompt_add_media(prompt, media, &error));
    CHECK_OK(rmlx_prompt_add_text(prompt, text, strlen(text), &error));
    return prompt;
}

static rmlx_stats stats_of(rmlx_session *session) {
    rmlx_stats stats = {.struct_size = sizeof stats};
    CHECK_OK(rmlx_session_stats(session, &stats, &error));
    return stats;
}

static bool same_tokens(const answer *a, const answer *b) {
    return a->count == b->count && memcmp(a->tokens, b->tokens, a->count * sizeof a->tokens[0]) == 0;
}

static void text_tokens_and_prompts(const rmlx_model *model) {
    const char *text = "The quick brown fox";
    size_t count = 0, again = 0;
    CHECK_OK(rmlx_model_tokenize(model, text, strlen(text), false, NULL, 0, &count, &error));
    CHECK(count > 0 && count < 64);
    uint32_t ids[64] = {0};
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "room",
                rmlx_model_tokenize(model, text, strlen(text), false, ids, count - 1, &again, &error));
    CHECK(again == count && ids[0] == 0);
    CHECK_OK(rmlx_model_tokenize(model, text, strlen(text), false, ids, 64, &again, &error));
    CHECK(again == count);
    char *back = NULL;
    size_t len = 0;
    CHECK_OK(rmlx_model_detokenize(model, ids, count, false, &back, &len, &error));
    CHECK(strcmp(back, text) == 0 && len == strlen(text));
    rmlx_string_release(back);
    const uint32_t none[] = {4000000000u};
    CHECK_OK(rmlx_model_detokenize(model, none, 1, false, &back, NULL, &error));
    CHECK(strcmp(back, "") == 0);
    rmlx_string_release(back);
    CHECK_OK(rmlx_model_tokenize(model, "<bos>", 5, true, ids, 64, &count, &error));
    CHECK(count == 1 && ids[0] == 2);
    CHECK_OK(rmlx_model_tokenize(model, "<bos>", 5, false, ids, 64, &count, &error));
    CHECK(count > 1);

    rmlx_prompt *prompt = text_prompt("a\0b");
    CHECK_OK(rmlx_prompt_add_text(prompt, "c\0d", 3, &error));
    char *rendered = NULL;
    CHECK_OK(rmlx_model_render_prompt(model, prompt, NULL, &rendered, &len, &error));
    CHECK(strncmp(rendered, "<bos>", 5) == 0 && rendered[len] == '\0' && len > strlen(rendered));
    rmlx_string_release(rendered);
    CHECK_OK(rmlx_model_count_tokens(model, prompt, NULL, &count, &error));
    CHECK(count > 5);
    rmlx_prompt_release(prompt);

    char *info = NULL;
    CHECK_OK(rmlx_model_info_json(model, &info, &error));
    CHECK(strstr(info, "gemma4_unified") != NULL && strstr(info, "\"device\"") != NULL);
    rmlx_string_release(info);
    char *path = fixture("unified-mxfp4");
    CHECK_OK(rmlx_model_inspect(path, &info, &error));
    CHECK(strstr(info, "mxfp4") != NULL);
    rmlx_string_release(info);
    CHECK_OK(rmlx_model_estimate(path, NULL, 100, &info, &error));
    CHECK(strstr(info, "\"context_tokens\":100") != NULL && strstr(info, "\"peak\"") != NULL);
    rmlx_string_release(info);
    free(path);
}

/* Greedy answers repeat; the next turn goes on where the last one ended. */
static void conversations(const rmlx_model *model) {
    rmlx_session *session = new_session(model);
    rmlx_prompt *prompt = text_prompt("Tell me about the sea.");
    rmlx_generation_options *options = greedy(12);
    answer first, second;
    generate(session, prompt, options, &first);
    CHECK(first.reason == RMLX_FINISH_MAX_TOKENS && first.count == 12);
    rmlx_stats stats = stats_of(session);
    CHECK(stats.generated_tokens == 12 && stats.reused_tokens == 0 && stats.media_tokens == 0);
    CHECK(stats.prompt_tokens > 0 && stats.held_tokens >= stats.prompt_tokens && stats.cache_bytes > 0);
    size_t count = 0;
    CHECK_OK(rmlx_model_count_tokens(model, prompt, NULL, &count, &error));
    CHECK(count == stats.prompt_tokens);
    CHECK_OK(rmlx_session_prompt_tokens(session, NULL, 0, &count, &error));
    CHECK(count == stats.prompt_tokens);

    generate(session, prompt, options, &second);
    CHECK(same_tokens(&first, &second));
    CHECK(stats_of(session).reused_tokens == stats.prompt_tokens - 1);

    add_message(prompt, "assistant", "It is wide.");
    add_message(prompt, "user", "And deep?");
    generate(session, prompt, options, &second);
    CHECK(stats_of(session).reused_tokens > 0 && stats_of(session).prompt_tokens > stats.prompt_tokens);

    CHECK_OK(rmlx_session_reset(session, &error));
    CHECK_OK(rmlx_session_prompt_tokens(session, NULL, 0, &count, &error));
    CHECK(count == 0 && stats_of(session).held_tokens == 0);
    answer fresh;
    generate(session, prompt, options, &fresh);
    CHECK(stats_of(session).reused_tokens == 0 && same_tokens(&fresh, &second));
    rmlx_generation_options_release(options);
    rmlx_prompt_release(prompt);
    rmlx_session_release(session);
}

/* Tokens that are looked up in the prompt are those that come without. */
static void speculation(const rmlx_model *model) {
    rmlx_session *session = new_session(model);
    rmlx_prompt *prompt = text_prompt("The sea is wide. The sea is wide. The sea is wide.");
    rmlx_generation_options *options = greedy(64);
    /* One token again and again: what is looked up is right. */
    CHECK_OK(rmlx_generation_options_add_logit_bias(options, 300, 100, &error));
    answer plain, looked_up;
    generate(session, prompt, options, &plain);
    CHECK(stats_of(session).drafted_tokens == 0);
    CHECK_OK(rmlx_generation_options_set_speculation(options, RMLX_SPECULATION_PROMPT_LOOKUP, 0, &error));
    generate(session, prompt, options, &looked_up);
    CHECK(same_tokens(&plain, &looked_up) && looked_up.reason == RMLX_FINISH_MAX_TOKENS);
    rmlx_stats stats = stats_of(session);
    CHECK(stats.accepted_tokens > 0 && stats.accepted_tokens <= stats.drafted_tokens);
    CHECK_OK(rmlx_generation_options_set_speculation(options, RMLX_SPECULATION_NONE, 0, &error));
    generate(session, prompt, options, &looked_up);
    CHECK(same_tokens(&plain, &looked_up) && stats_of(session).drafted_tokens == 0);
    rmlx_generation_options_release(options);
    rmlx_prompt_release(prompt);
    rmlx_session_release(session);
}

static void media(const rmlx_model *model) {
    rmlx_session *session = new_session(model);
    rmlx_generation_options *options = greedy(4);
    rmlx_media *image = load_image("media/square.png"), *sound = load_audio("media/chirp.wav");
    answer blind, seeing, hearing;
    rmlx_prompt *prompt = text_prompt("What is it?");
    generate(session, prompt, options, &blind);
    rmlx_prompt_release(prompt);

    prompt = media_prompt(image, "What is it?");
    generate(session, prompt, options, &seeing);
    uint64_t soft = stats_of(session).media_tokens;
    CHECK(soft > 0 && soft <= 70);
    /* The same picture, decoded anew, is the same. */
    rmlx_media *twin = load_image("media/square.png");
    rmlx_prompt_release(prompt);
    prompt = media_prompt(twin, "What is it?");
    generate(session, prompt, options, &hearing);
    CHECK(same_tokens(&seeing, &hearing) && stats_of(session).reused_tokens > soft);
    rmlx_media_release(twin);
    rmlx_prompt_release(prompt);

    prompt = media_prompt(sound, "What is it?");
    generate(session, prompt, options, &hearing);
    CHECK(stats_of(session).media_tokens > 0);
    CHECK_OK(rmlx_prompt_add_media(prompt, image, &error));
    generate(session, prompt, options, &hearing);
    CHECK(stats_of(session).media_tokens > soft);
    rmlx_prompt_release(prompt);

    /* More detail for one picture. */
    rmlx_media *detailed = NULL;
    CHECK_OK(rmlx_image_with_soft_token_budget(image, 280, &detailed, &error));
    prompt = media_prompt(detailed, "What is it?");
    generate(session, prompt, options, &seeing);
    CHECK(stats_of(session).media_tokens > soft && stats_of(session).media_tokens <= 280);
    rmlx_prompt_release(prompt);
    rmlx_media_release(detailed);
    rmlx_media_release(image);
    rmlx_media_release(sound);
    rmlx_generation_options_release(options);
    rmlx_session_release(session);
}

/* The likeliest tokens, and the logits that they come from. */
static void logits_and_logprobs(const rmlx_model *model) {
    rmlx_session *session = new_session(model);
    rmlx_prompt *prompt = text_prompt("Count to three.");
    rmlx_generation_options *options = greedy(3);
    CHECK_OK(rmlx_generation_options_set_top_logprobs(options, 5, &error));
    size_t count = 0;
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "no token", rmlx_session_logits(session, NULL, 0, &count, &error));
    CHECK_OK(rmlx_session_submit(session, prompt, options, &error));
    for (int i = 0; i < 3; i++) {
        rmlx_event *event = NULL;
        CHECK_OK(rmlx_session_step(session, &event, &error));
        uint32_t token = 0, top = 0;
        float logprob = 0, of_top = 0, before = 0;
        CHECK(rmlx_event_token(event, &token) && rmlx_event_logprob(event, &logprob));
        CHECK(rmlx_event_top_logprob_count(event) == 5);
        for (size_t k = 0; k < 5; k++) {
            CHECK(rmlx_event_top_logprob(event, k, &top, &of_top));
            CHECK(of_top <= (k == 0 ? 0 : before) && rmlx_event_top_logprob_text(event, k) != NULL);
            before = of_top;
        }
        CHECK(!rmlx_event_top_logprob(event, 5, &top, &of_top) && top != 0);
        CHECK(strcmp(rmlx_event_top_logprob_text(event, 5), "") == 0);

        CHECK_OK(rmlx_session_logits(session, NULL, 0, &count, &error));
        float *row = malloc(count * sizeof *row);
        CHECK(row != NULL);
        CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "room", rmlx_session_logits(session, row, count - 1, &count, &error));
        CHECK_OK(rmlx_session_logits(session, row, count, &count, &error));
        double sum = 0;
        for (size_t k = 0; k < count; k++)
            sum += exp((double)row[k]);
        CHECK(token < count && fabs((double)row[token] - log(sum) - (double)logprob) < 1e-4);
        free(row);
        rmlx_event_release(event);
    }
    answer rest;
    step_to_finish(session, &rest);
    CHECK(rest.count == 0 && rest.reason == RMLX_FINISH_MAX_TOKENS);
    rmlx_generation_options_release(options);
    rmlx_prompt_release(prompt);
    rmlx_session_release(session);
}

/* A seed repeats an answer; a bias of minus infinity forbids a token; a stop string ends the answer before itself. */
static void options_have_effect(const rmlx_model *model) {
    rmlx_session *session = new_session(model);
    rmlx_prompt *prompt = text_prompt("Say something.");
    answer a, b;
    rmlx_generation_options *options = greedy(8);
    CHECK_OK(rmlx_generation_options_set_temperature(options, 1.5f, &error));
    CHECK_OK(rmlx_generation_options_set_seed(options, 7, &error));
    generate(session, prompt, options, &a);
    generate(session, prompt, options, &b);
    CHECK(same_tokens(&a, &b));
    CHECK_OK(rmlx_generation_options_set_seed(options, 8, &error));
    generate(session, prompt, options, &b);
    CHECK(!same_tokens(&a, &b));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "kind", rmlx_generation_options_set_constraint(options, 9, "a", 1, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "tool choice",
                rmlx_generation_options_set_tool_choice(options, RMLX_TOOL_CHOICE_NAMED, NULL, &error));
    CHECK_OK(rmlx_generation_options_set_constraint(options, RMLX_CONSTRAINT_CHOICE, "[\"yes\"]", 7, &error));
    generate(session, prompt, options, &b);
    CHECK(b.reason == RMLX_FINISH_END_OF_TURN && b.text_len == 3 && memcmp(b.text, "yes", 3) == 0);
    CHECK_OK(rmlx_generation_options_set_constraint(options, RMLX_CONSTRAINT_CHOICE, NULL, 0, &error));
    CHECK_OK(rmlx_generation_options_set_tool_choice(options, RMLX_TOOL_CHOICE_REQUIRED, NULL, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "declares no", rmlx_session_submit(session, prompt, options, &error));
    rmlx_generation_options_release(options);

    options = greedy(8);
    generate(session, prompt, options, &a);
    CHECK_OK(rmlx_generation_options_add_logit_bias(options, a.tokens[0], -INFINITY, &error));
    generate(session, prompt, options, &b);
    for (size_t i = 0; i < b.count; i++)
        CHECK(b.tokens[i] != a.tokens[0]);
    rmlx_generation_options_release(options);

    options = greedy(60);
    generate(session, prompt, options, &a);
    size_t cut = a.text_len / 2;
    while (cut < a.text_len && (a.text[cut] & 0xC0) == 0x80)
        cut++;
    size_t len = cut + 1;
    while (len < a.text_len && (a.text[len] & 0xC0) == 0x80)
        len++;
    CHECK(len <= a.text_len && cut > 0);
    CHECK_OK(rmlx_generation_options_add_stop(options, a.text + cut, len - cut, &error));
    generate(session, prompt, options, &b);
    CHECK(b.reason == RMLX_FINISH_STOP_STRING && b.text_len <= cut && memcmp(a.text, b.text, b.text_len) == 0);
    rmlx_generation_options_release(options);

    options = greedy(1);
    CHECK_OK(rmlx_generation_options_add_logit_bias(options, 4000000000u, 1, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "4000000000", rmlx_session_submit(session, prompt, options, &error));
    rmlx_generation_options_release(options);
    options = greedy(1);
    CHECK_OK(rmlx_generation_options_set_top_logprobs(options, 1 << 30, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "top_logprobs", rmlx_session_submit(session, prompt, options, &error));
    rmlx_generation_options_release(options);
    check_usable(session);
    rmlx_prompt_release(prompt);
    rmlx_session_release(session);
}

/* A prompt in small pieces, progress, a context that fills, and one that is too small from the start. */
static void contexts(const rmlx_model *model) {
    rmlx_session_options *small = rmlx_session_options_new();
    CHECK_OK(rmlx_session_options_set_context_length(small, 48, &error));
    CHECK_OK(rmlx_session_options_set_prefill_chunk(small, 8, &error));
    rmlx_session *session = NULL;
    CHECK_OK(rmlx_session_new(model, small, &session, &error));
    rmlx_session_options_release(small);
    rmlx_generation_options *options = greedy(500);
    CHECK_OK(rmlx_generation_options_set_progress_events(options, true, &error));
    rmlx_prompt *prompt = text_prompt("Hello, who are you?");
    answer a;
    generate(session, prompt, options, &a);
    CHECK(a.reason == RMLX_FINISH_CONTEXT_FULL && a.progress_events > 1);
    CHECK(stats_of(session).prompt_tokens + a.count <= 49);
    for (int i = 0; i < 20; i++)
        CHECK_OK(rmlx_prompt_add_text(prompt, "more and more", 13, &error));
    CHECK_FAILS(RMLX_ERROR_CONTEXT_FULL, "48", rmlx_session_submit(session, prompt, options, &error));
    rmlx_generation_options_release(options);
    check_usable(session);
    rmlx_prompt_release(prompt);
    rmlx_session_release(session);
}

/* Ids instead of messages. */
static void raw_tokens(const rmlx_model *model) {
    rmlx_session *session = new_session(model);
    rmlx_prompt *prompt = rmlx_prompt_new();
    rmlx_generation_options *options = greedy(2);
    CHECK_FAILS(RMLX_ERROR_INVALID_PROMPT, "no messages", rmlx_session_submit(session, prompt, options, &error));
    const uint32_t ids[] = {2, 300, 301, 302}, beyond[] = {2, 4000000000u};
    CHECK_OK(rmlx_prompt_set_tokens(prompt, ids, 4, &error));
    answer a;
    generate(session, prompt, options, &a);
    uint32_t seen[8] = {0};
    size_t count = 0;
    CHECK_OK(rmlx_session_prompt_tokens(session, seen, 8, &count, &error));
    CHECK(count == 4 && memcmp(seen, ids, sizeof ids) == 0 && a.count == 2);
    CHECK_OK(rmlx_prompt_set_tokens(prompt, beyond, 2, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "4000000000", rmlx_session_submit(session, prompt, options, &error));
    rmlx_generation_options_release(options);
    check_usable(session);
    rmlx_prompt_release(prompt);
    rmlx_session_release(session);
}

static void one_call_answers(const rmlx_model *model) {
    const char *question = "Hello";
    rmlx_prompt *prompt = text_prompt(question);
    rmlx_session *session = new_session(model);
    rmlx_generation_options *options = greedy(6);
    answer a;
    generate(session, prompt, options, &a);
    char *text = NULL;
    size_t len = 0;
    CHECK_OK(rmlx_respond_text(model, question, strlen(question), options, &text, &len, &error));
    CHECK(len == a.text_len && memcmp(text, a.text, len + 1) == 0);
    rmlx_string_release(text);
    text = NULL;
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "UTF-8", rmlx_respond_text(model, "\xff", 1, NULL, &text, NULL, &error));
    CHECK(text == NULL);
    rmlx_generation_options_release(options);
    rmlx_session_release(session);
    rmlx_prompt_release(prompt);
}

static void the_probe_answers(const rmlx_model *model) {
    char *json = NULL;
    CHECK_OK(rmlx_probe(model, &json, &error));
    CHECK(strstr(json, "\"verdict\"") != NULL && strstr(json, "BrokenNan") == NULL);
    rmlx_string_release(json);
}

int main(void) {
    rmlx_model *model = load_model();
    text_tokens_and_prompts(model);
    conversations(model);
    speculation(model);
    media(model);
    logits_and_logprobs(model);
    options_have_effect(model);
    contexts(model);
    raw_tokens(model);
    one_call_answers(model);
    the_probe_answers(model);
    rmlx_model_release(model);
    return 0;
}
