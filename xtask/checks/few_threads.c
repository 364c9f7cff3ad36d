/*
 * A host that may have few threads more: a model is loaded and answers, or that is an error; afterwards, with threads to be had,
 * it answers.
 *
 *     few_threads MODEL IMAGE FREE [USER]
 *
 * USER, a number, is what root becomes first: the limit does not hold for root.
 */

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <rmlx.h>

static const char question[] = "Describe the picture.";
static const char answer[] = "A red circle on a blue background.";

/* The threads of this user's processes, all of which count. */
static rlim_t threads(void)
{
    rlim_t count = 0;
    DIR *processes = opendir("/proc");
    for (struct dirent *entry; processes && (entry = readdir(processes));) {
        char path[300];
        struct stat owner;
        snprintf(path, sizeof path, "/proc/%s/task", entry->d_name);
        if (stat(path, &owner) == 0 && owner.st_uid == getuid() && owner.st_nlink > 2)
            count += owner.st_nlink - 2;
    }
    if (processes)
        closedir(processes);
    return count;
}

static void end(const char *what, rmlx_error *error)
{
    printf("%s: %s\n", what, error ? rmlx_error_message(error) : "no message");
    exit(1);
}

/* Fills in `text` with the answer. Where there is an error, it is one that says what is short. */
static bool ask(const char *folder, const char *picture, char *text, size_t room)
{
    rmlx_error *error = NULL;
    rmlx_model *model = NULL;
    rmlx_media *image = NULL;
    rmlx_session *session = NULL;
    rmlx_prompt *prompt = rmlx_prompt_new();
    rmlx_generation_options *options = rmlx_generation_options_new();
    bool answered = false;
    size_t length = 0;

    rmlx_generation_options_set_temperature(options, 0, NULL);
    if (rmlx_model_load(folder, NULL, &model, &error) != RMLX_OK)
        goto done;
    if (rmlx_image_from_file(picture, NULL, &image, &error) != RMLX_OK)
        goto done;
    if (rmlx_session_new(model, NULL, &session, &error) != RMLX_OK)
        goto done;
    rmlx_prompt_begin_message(prompt, "user", NULL);
    rmlx_prompt_add_media(prompt, image, NULL);
    rmlx_prompt_add_text(prompt, question, strlen(question), NULL);
    if (rmlx_session_submit(session, prompt, options, &error) != RMLX_OK)
        goto done;
    text[0] = 0;
    for (bool last = false; !last;) {
        rmlx_event *event = NULL;
        if (rmlx_session_step(session, &event, &error) != RMLX_OK)
            goto done;
        const char *part = rmlx_event_text(event, NULL);
        if (part && length + strlen(part) < room)
            length += (size_t)snprintf(text + length, room - length, "%s", part);
        last = rmlx_event_kind(event) == RMLX_EVENT_FINISH;
        if (last && rmlx_event_finish_reason(event) == RMLX_FINISH_ERROR) {
            printf("answer ended: %s\n", rmlx_error_message(rmlx_event_error(event)));
            rmlx_event_release(event);
            goto done;
        }
        rmlx_event_release(event);
    }
    answered = true;
done:
    if (error) {
        printf("error %d: %s\n", rmlx_error_code(error), rmlx_error_message(error));
        if (rmlx_error_code(error) != RMLX_ERROR_OUT_OF_MEMORY)
            end("not an error of what is short", error);
        rmlx_error_release(error);
    }
    rmlx_session_release(session);
    rmlx_media_release(image);
    rmlx_model_release(model);
    rmlx_prompt_release(prompt);
    rmlx_generation_options_release(options);
    return answered;
}

int main(int argc, char **argv)
{
    struct rlimit limit;
    rlim_t enough;
    char text[1000];

    if (argc < 4)
        return 2;
    if (argc > 4 && (setgid((gid_t)atoi(argv[4])) || setuid((uid_t)atoi(argv[4]))))
        end("cannot become another user", NULL);
    getrlimit(RLIMIT_NPROC, &limit);
    enough = limit.rlim_cur;
    limit.rlim_cur = threads() + (rlim_t)atoi(argv[3]);
    setrlimit(RLIMIT_NPROC, &limit);
    for (int round = 0; round < 2; round++) {
        if (ask(argv[1], argv[2], text, sizeof text) && strcmp(text, answer))
            end("a wrong answer with few threads", NULL);
    }
    limit.rlim_cur = enough;
    setrlimit(RLIMIT_NPROC, &limit);
    if (!ask(argv[1], argv[2], text, sizeof text) || strcmp(text, answer))
        end("no right answer when threads can be had again", NULL);
    puts("right");
    return 0;
}
