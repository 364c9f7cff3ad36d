/*
 * Asks a model a question that it may call tools for, runs them, and prints the answer:
 *
 *     tools SNAPSHOT QUESTION
 *
 * There is one tool, get_time, whose clock always says 10:30. The answer goes to stdout, the calls go to stderr. Build it
 * with
 *
 *     cc tools.c $(pkg-config --cflags --libs rmlx) -o tools
 */

#include <rmlx.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Turns in a row in which the model may call tools. */
enum { ROUNDS = 8 };

static const char TOOLS[] = "[{\"type\": \"function\", \"function\": {\"name\": \"get_time\","
                            " \"description\": \"Tells the time in a city.\","
                            " \"parameters\": {\"type\": \"object\", \"properties\":"
                            " {\"city\": {\"type\": \"string\", \"description\": \"The city.\"}}}}}]";

/* Prints what failed, and gives the error back. Always false, for `return failed(...)`. */
static bool failed(const char *what, rmlx_error *error) {
    fprintf(stderr, "tools: %s: %s\n", what, rmlx_error_message(error));
    rmlx_error_release(error);
    return false;
}

/* What a tool says. `arguments` is a JSON object, for a JSON library to read. */
static const char *run_tool(const char *name, const char *arguments) {
    fprintf(stderr, "%s %s\n", name, arguments);
    return strcmp(name, "get_time") == 0 ? "10:30" : "There is no such tool.";
}

/* Runs the call that is whole with an event, and adds what came of it to the conversation. */
static bool take_call(const rmlx_event *event, rmlx_prompt *prompt) {
    rmlx_error *error = NULL;
    const char *name = rmlx_event_tool_call_name(event);
    const char *result = run_tool(name, rmlx_event_tool_call_arguments(event));
    if (rmlx_prompt_begin_tool_result(prompt, rmlx_event_tool_call_id(event), name, &error) != RMLX_OK)
        return failed("result", error);
    if (rmlx_prompt_add_text(prompt, result, strlen(result), &error) != RMLX_OK)
        return failed("result", error);
    return true;
}

/* The events with the whole calls of one answer, kept until it has ended: their results come after it. */
typedef struct {
    rmlx_event *events[16];
    size_t count;
} calls;

/* Prints what an event says and keeps it if a call is whole with it; the rest is released. */
static void take_event(rmlx_event *event, calls *kept) {
    const rmlx_event_type kind = rmlx_event_kind(event);
    if (kind == RMLX_EVENT_TEXT || kind == RMLX_EVENT_FINISH) {
        size_t len = 0;
        const char *text = rmlx_event_text(event, &len);
        fwrite(text, 1, len, stdout);
    }
    const rmlx_error *wrong = rmlx_event_error(event);
    if (wrong != NULL)
        fprintf(stderr, "tools: %s\n", rmlx_error_message(wrong));
    if (rmlx_event_tool_call_name(event) != NULL && kept->count < sizeof kept->events / sizeof kept->events[0])
        kept->events[kept->count++] = event;
    else
        rmlx_event_release(event);
}

/* Steps one answer out. */
static bool step_answer(rmlx_session *session, calls *kept, rmlx_finish_reason *reason) {
    rmlx_error *error = NULL;
    do {
        rmlx_event *event = NULL;
        if (rmlx_session_step(session, &event, &error) != RMLX_OK)
            return failed("step", error);
        *reason = rmlx_event_finish_reason(event);
        take_event(event, kept);
    } while (*reason == RMLX_FINISH_NONE);
    return *reason != RMLX_FINISH_ERROR;
}

/* One answer, and the results of what it calls. */
static bool answer(rmlx_session *session, rmlx_prompt *prompt, const rmlx_generation_options *options,
                   rmlx_finish_reason *reason) {
    rmlx_error *error = NULL;
    if (rmlx_session_submit(session, prompt, options, &error) != RMLX_OK)
        return failed("submit", error);
    calls kept = {.count = 0};
    bool well = step_answer(session, &kept, reason);
    if (well && rmlx_prompt_add_answer(prompt, session, &error) != RMLX_OK)
        well = failed("answer", error);
    for (size_t i = 0; i < kept.count; i++) {
        well = well && take_call(kept.events[i], prompt);
        rmlx_event_release(kept.events[i]);
    }
    return well;
}

/* Answers until nothing is called any more. */
static bool converse(const rmlx_model *model, rmlx_prompt *prompt, const rmlx_generation_options *options) {
    rmlx_session *session = NULL;
    rmlx_error *error = NULL;
    if (rmlx_session_new(model, NULL, &session, &error) != RMLX_OK)
        return failed("session", error);
    rmlx_finish_reason reason = RMLX_FINISH_TOOL_CALLS;
    bool well = true;
    for (int round = 0; well && reason == RMLX_FINISH_TOOL_CALLS && round <= ROUNDS; round++)
        well = answer(session, prompt, options, &reason);
    putchar('\n');
    rmlx_session_release(session);
    return well;
}

static bool ask(rmlx_prompt *prompt, const char *question) {
    rmlx_error *error = NULL;
    if (rmlx_prompt_set_tools_json(prompt, TOOLS, strlen(TOOLS), &error) != RMLX_OK ||
        rmlx_prompt_begin_message(prompt, "user", &error) != RMLX_OK ||
        rmlx_prompt_add_text(prompt, question, strlen(question), &error) != RMLX_OK)
        return failed("prompt", error);
    return true;
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: tools SNAPSHOT QUESTION\n");
        return 2;
    }
    rmlx_prompt *prompt = rmlx_prompt_new();
    rmlx_generation_options *options = rmlx_generation_options_new();
    rmlx_model *model = NULL;
    rmlx_error *error = NULL;
    bool well = ask(prompt, argv[2]);
    if (well && rmlx_generation_options_set_max_tokens(options, 256, &error) != RMLX_OK)
        well = failed("options", error);
    if (well && rmlx_model_load(argv[1], NULL, &model, &error) != RMLX_OK)
        well = failed(argv[1], error);
    if (well)
        well = converse(model, prompt, options);
    rmlx_model_release(model);
    rmlx_generation_options_release(options);
    rmlx_prompt_release(prompt);
    return well ? EXIT_SUCCESS : EXIT_FAILURE;
}
