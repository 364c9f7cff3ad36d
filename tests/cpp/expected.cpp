// rmlx.hpp with RMLX_EXPECTED: every failure is a value, and nothing is thrown.

#define RMLX_EXPECTED
#include "check.hpp"

using rmlx::Event;
using rmlx::Expected;
using rmlx::Media;
using rmlx::Model;
using rmlx::Prompt;
using rmlx::Session;

namespace {

void media_are_understood(const Model &model) {
    Expected<Media> image = Media::image(read_file("models/demo/example.png"));
    CHECK(image);
    Prompt prompt;
    CHECK(prompt.user("What colour is the circle?", *image));
    Expected<Session> session = Session::create(model);
    CHECK(session);
    Expected<rmlx::Response> answer = session->respond(prompt, greedy(16));
    CHECK(answer && answer->text == "Red");
    auto length = [](const std::string &text) { return text.size(); };
    Expected<std::size_t> letters = session->respond_as<std::size_t>(prompt, length, greedy(16));
    CHECK(letters && *letters == 3);
    auto refused = [](const std::string &) -> Expected<int> {
        return rmlx::Error(RMLX_ERROR_INVALID_ARGUMENT, nullptr);
    };
    CHECK(!session->respond_as<int>(prompt, refused, greedy(16)));
}

void tools_are_run(const Model &model) {
    Expected<Session> session = Session::create(model);
    rmlx::Tool clock{"get_time", "Tells the time in a city.",
                     R"({"type": "object", "properties": {"city": {"type": "string", "description": "The city."}}})",
                     [](const std::string &) { return std::string("10:30"); }};
    Prompt prompt;
    CHECK(prompt.user("What time is it in Rome?"));
    Expected<rmlx::Response> answer = session->respond_with_tools(prompt, {clock}, greedy(48));
    CHECK(answer && answer->text == "It is 10:30.");
}

void events_are_gone_through(const Model &model) {
    Expected<Session> session = Session::create(model);
    Prompt prompt;
    CHECK(prompt.user("What is the capital of France?"));
    Expected<rmlx::Answer> answer = session->generate(prompt, greedy(16));
    CHECK(answer);
    std::string text;
    rmlx_finish_reason reason = RMLX_FINISH_NONE;
    for (const Event &event : *answer) {
        text += event.text();
        reason = event.finish_reason();
    }
    CHECK(text == "Paris" && reason == RMLX_FINISH_END_OF_TURN && !answer->error());
    CHECK(answer->is_over() && answer->try_step() && !*answer->try_step());
    CHECK(rmlx::suspend(std::chrono::seconds(60)));
    CHECK(session->generate(prompt, greedy(16)).error().code() == RMLX_ERROR_SUSPENDED);
    CHECK(rmlx::resume());
    // A reset drops the answer under the range, which then says why it ended.
    rmlx::GenerationOptions endless = greedy(100000);
    endless.ignore_eos = true;
    Expected<rmlx::Answer> dropped = session->generate(prompt, endless);
    int seen = 0;
    for (const Event &event : *dropped) {
        static_cast<void>(event);
        if (++seen == 2)
            CHECK(session->reset());
    }
    Expected<Session> fork = session->fork();
    CHECK(fork && fork->truncate(2));
    Expected<rmlx::Answer> ahead = fork->prefill(prompt, greedy(1));
    CHECK(ahead && fork->fork().error().code() == RMLX_ERROR_BUSY);
    CHECK(seen == 2 && dropped->error() && dropped->error()->code() == RMLX_ERROR_INVALID_ARGUMENT);
}

void failures_are_values(const Model &model) {
    Expected<Model> missing = Model::load("there is no such folder");
    CHECK(!missing && missing.error().code() == RMLX_ERROR_NOT_FOUND);
    CHECK(std::string(missing.error().name()) == "RMLX_ERROR_NOT_FOUND");
    CHECK(std::string(missing.error().what()).find("there is no such folder") != std::string::npos);
    CHECK(Media::audio("no sound").error().code() == RMLX_ERROR_INVALID_MEDIA);
    // Of the parts of a message, those after the one that fails are not looked at.
    CHECK(Prompt().user("text", "\xff", "text").error().code() == RMLX_ERROR_INVALID_ARGUMENT);
    Expected<Session> session = Session::create(model);
    Prompt prompt;
    CHECK(prompt.user("Hello"));
    rmlx::GenerationOptions options;
    options.min_p = 2.0f;
    CHECK(session->respond(prompt, options).error().code() == RMLX_ERROR_INVALID_ARGUMENT);
    rmlx::GenerationOptions stops;
    stops.stop = {""};
    CHECK(session->generate(prompt, stops).error().code() == RMLX_ERROR_INVALID_ARGUMENT);
}

} // namespace

int main() {
    Expected<Model> model = Model::load(DEMO);
    CHECK(model);
    media_are_understood(*model);
    tools_are_run(*model);
    events_are_gone_through(*model);
    failures_are_values(*model);
    Expected<rmlx_memory_usage> usage = rmlx::memory_usage();
    CHECK(usage && usage->active > 0);
    return 0;
}
