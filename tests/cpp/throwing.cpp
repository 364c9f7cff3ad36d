// rmlx.hpp as it is by default: right answers about a picture and a sound, failures thrown, and everything given back,
// however a loop over an answer ends.

#include "check.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <stdexcept>
#include <thread>
#include <type_traits>
#include <vector>

using rmlx::Event;
using rmlx::Media;
using rmlx::Model;
using rmlx::Prompt;
using rmlx::Session;

namespace {

static_assert(!std::is_copy_constructible_v<Model> && std::is_nothrow_move_constructible_v<Model>);
static_assert(!std::is_copy_constructible_v<Session> && std::is_nothrow_move_constructible_v<Session>);
static_assert(!std::is_copy_constructible_v<Media> && std::is_nothrow_move_constructible_v<Media>);
static_assert(!std::is_copy_constructible_v<Prompt> && std::is_nothrow_move_constructible_v<Prompt>);
static_assert(!std::is_copy_constructible_v<Event> && std::is_nothrow_move_constructible_v<Event>);
static_assert(!std::is_copy_constructible_v<rmlx::Answer>);
static_assert(std::is_nothrow_copy_constructible_v<rmlx::Error>, "an exception's copy must not throw");

// The code of the rmlx::Error that the call throws; RMLX_OK if it throws none.
template <typename Call>
rmlx_status thrown(Call call) {
    try {
        call();
    } catch (const rmlx::Error &error) {
        CHECK(std::string(error.what()).size() > 0 && error.details_json().front() == '{');
        return error.code();
    }
    return RMLX_OK;
}

// Keeps the model busy for as long as it is allowed to.
rmlx::GenerationOptions endless() {
    rmlx::GenerationOptions options = greedy(100000);
    options.ignore_eos = true;
    return options;
}

void media_are_understood(const Model &model) {
    Session session = Session::create(model);
    Prompt prompt;
    prompt.user(Media::image(read_file("models/demo/example.png")), "What colour is the circle?");
    CHECK(session.respond(prompt, greedy(16)).text == "Red");
    prompt.assistant("Red");
    prompt.user("What colour is the background?");
    CHECK(session.respond(prompt, greedy(16)).text == "Blue");
    CHECK(session.stats().reused_tokens > 70);
    // What was saved goes on with the picture, which is not encoded again.
    Session loaded = Session::load(model, session.save_to_buffer());
    CHECK(loaded.respond(prompt, greedy(16)).text == "Blue");
    CHECK(loaded.stats().reused_tokens > 70 && loaded.stats().encoded_media == 0);
    CHECK(thrown([&] { Session::load(model, std::vector<std::uint8_t>(100, 7)); }) == RMLX_ERROR_INVALID_SAVE);
    CHECK(thrown([&] { Session::load(model, "no/such/file"); }) == RMLX_ERROR_NOT_FOUND);
    CHECK(thrown([&] { session.save("no/such/folder/file"); }) == RMLX_ERROR_NOT_FOUND);
    Prompt heard;
    heard.user(Media::audio(read_file("models/demo/example.wav")), "Which digit do you hear?");
    CHECK(session.respond(heard, greedy(16)).text == "7");
}

void pixels_and_samples_are_taken() {
    const std::vector<std::uint8_t> bytes(4 * 6 * 3, 200);
    rmlx_pixels pixels{};
    pixels.data = bytes.data();
    pixels.size = bytes.size();
    pixels.width = 6;
    pixels.height = 4;
    pixels.format = RMLX_PIXELS_RGB8;
    Media image = Media::image(pixels);
    CHECK(image.kind() == RMLX_MEDIA_IMAGE && image.width() == 6 && image.height() == 4);
    Media detailed = image.with_soft_token_budget(280);
    CHECK(image.with_pan_and_scan(true).width() == 6);
    CHECK(image.with_pixel_range(1024, 4096).height() == 4);
    CHECK(thrown([&] { static_cast<void>(image.with_pixel_range(2, 1)); }) == RMLX_ERROR_INVALID_ARGUMENT);
    Media shared = detailed.share();
    CHECK(shared.get() == detailed.get());
    std::vector<Media> frames;
    frames.push_back(image.share());
    frames.push_back(detailed.share());
    Media video = Media::video(frames, {0.0, 1.5});
    CHECK(video.kind() == RMLX_MEDIA_VIDEO && video.width() == 0);
    CHECK(thrown([&] { static_cast<void>(Media::video(frames, {0.0})); }) == RMLX_ERROR_INVALID_ARGUMENT);
    CHECK(thrown([&] { static_cast<void>(Media::video(frames, {1.0, 0.0})); }) == RMLX_ERROR_INVALID_MEDIA);
    const std::vector<float> samples(2 * 8000, 0.25f);
    Media sound = Media::audio(samples.data(), 8000, 2, 8000);
    CHECK(sound.kind() == RMLX_MEDIA_AUDIO && sound.seconds() > 0.99 && sound.seconds() < 1.01);
    CHECK(sound.with_split(true).kind() == RMLX_MEDIA_AUDIO);
    CHECK(thrown([&] { static_cast<void>(image.with_split(true)); }) == RMLX_ERROR_INVALID_ARGUMENT);
}

void events_come_in_order(const Model &model) {
    Session session = Session::create(model);
    rmlx::GenerationOptions options = greedy(32);
    options.progress_events = true;
    options.top_logprobs = 2;
    std::string text;
    std::vector<std::uint32_t> tokens;
    bool finished = false;
    for (const Event &event : session.generate(question("What is the capital of France?"), options)) {
        CHECK(!finished);
        if (auto progress = event.progress())
            CHECK(tokens.empty() && progress->first <= progress->second);
        if (auto token = event.token()) {
            tokens.push_back(*token);
            auto top = event.top_logprobs();
            CHECK(top.size() == 2 && top[0].token == *token && top[0].logprob >= top[1].logprob);
            CHECK(event.logprob() == top[0].logprob);
        }
        finished = event.is_finish();
        CHECK(!finished || event.finish_reason() == RMLX_FINISH_END_OF_TURN);
        text += event.text();
    }
    CHECK(finished && text == "Paris");
    CHECK(session.stats().generated_tokens == tokens.size());
    CHECK(model.detokenize(tokens, true) == "Paris");
    CHECK(session.logits().size() > tokens.front());
    CHECK(session.prompt_tokens().size() == model.count_tokens(question("What is the capital of France?")));
}

void a_tool_is_called(const Model &model) {
    Session session = Session::create(model);
    Prompt prompt = question("What time is it in Rome?");
    prompt.set_tools_json(R"([{"type": "function", "function": {"name": "get_time",
        "description": "Tells the time in a city.", "parameters": {"type": "object",
        "properties": {"city": {"type": "string", "description": "The city."}}}}}])");
    std::vector<rmlx::ToolCall> calls;
    std::string shown;
    for (const Event &event : session.generate(prompt, greedy(48))) {
        if (auto delta = event.tool_call_delta())
            shown += delta->arguments;
        if (auto call = event.tool_call())
            calls.push_back(*call);
    }
    CHECK(shown == R"({"city":"Rome"})");
    CHECK(calls.size() == 1 && calls[0].name == "get_time" && calls[0].arguments == R"({"city":"Rome"})");
    session.add_answer_to(prompt);
    prompt.tool_result(calls[0].id, calls[0].name, "10:30");
    rmlx::Response told = session.respond(prompt, greedy(48));
    CHECK(told.text == "It is 10:30." && told.tool_calls.empty() && told.reason == RMLX_FINISH_END_OF_TURN);
    CHECK(Prompt::from_json(R"({"messages": [{"role": "user", "content": "Hello"}]})").get() != nullptr);
    CHECK(thrown([] { static_cast<void>(Prompt::from_json("{}")); }) == RMLX_ERROR_INVALID_ARGUMENT);
}

rmlx::Tool clock(std::vector<std::string> &asked) {
    rmlx::Tool tool;
    tool.name = "get_time";
    tool.description = "Tells the time in a city.";
    tool.parameters_json = R"({"type": "object", "properties": {"city": {"type": "string", "description": "The city."}}})";
    tool.run = [&asked](const std::string &arguments) {
        asked.push_back(arguments);
        return std::string("10:30");
    };
    return tool;
}

void tools_are_run(const Model &model) {
    Session session = Session::create(model);
    std::vector<std::string> asked;
    Prompt prompt = question("Tell me the time.");
    rmlx::Response response = session.respond_with_tools(prompt, {clock(asked)}, greedy(48));
    CHECK(response.text == "It is 10:30." && response.tool_calls.empty());
    CHECK(asked == std::vector<std::string>{"{}"});
    // The conversation goes on, with another round trip.
    prompt.user("What time is it in Paris?");
    response = session.respond_with_tools(prompt, {clock(asked)}, greedy(48));
    CHECK(response.text == "It is 10:30." && asked.back() == R"({"city":"Paris"})");
    CHECK(session.stats().reused_tokens > 0);
    // Without a round, the call is the host's to run.
    Prompt again = question("What time is it in Rome?");
    response = session.respond_with_tools(again, {clock(asked)}, greedy(48), 0);
    CHECK(response.reason == RMLX_FINISH_TOOL_CALLS && response.tool_calls.size() == 1 && asked.size() == 2);
    // What a tool throws comes out, and the session goes on.
    rmlx::Tool broken = clock(asked);
    broken.run = [](const std::string &) -> std::string { throw std::runtime_error("no clock"); };
    Prompt doomed = question("What time is it in Rome?");
    try {
        session.respond_with_tools(doomed, {broken}, greedy(48));
        CHECK(false);
    } catch (const std::runtime_error &failure) {
        CHECK(std::string(failure.what()) == "no clock");
    }
    CHECK(rmlx::detail::quoted("a\"\\\n\x1f") == R"("a\"\\\u000a\u001f")");
}

void answers_become_types(const Model &model) {
    struct Capital {
        explicit Capital(std::string text) : name(std::move(text)) {}
        std::string name;
    };
    Session session = Session::create(model);
    const Prompt prompt = question("What is the capital of France?");
    CHECK(session.respond_as<Capital>(prompt, greedy(16)).name == "Paris");
    auto length = [](const std::string &text) { return text.size(); };
    CHECK(session.respond_as<std::size_t>(prompt, length, greedy(16)) == 5);
    CHECK(thrown([] { static_cast<void>(Media::image_file("no such file")); }) == RMLX_ERROR_NOT_FOUND);
    CHECK(Media::image_file("models/demo/example.png").width() > 0);
    CHECK(Media::audio_file("models/demo/example.wav").seconds() > 0);
    CHECK(Media::image_file("models/demo/example.png").prepare(model).bytes() > 0);
    rmlx::Cancel ended;
    rmlx::MediaOptions bounds;
    bounds.max_pixels = 1;
    bounds.max_seconds = 60;
    bounds.max_bytes = 1 << 20;
    CHECK(thrown([&] { static_cast<void>(Media::image_file("models/demo/example.png", bounds)); }) ==
          RMLX_ERROR_INVALID_MEDIA);
    CHECK(Media::audio_file("models/demo/example.wav", bounds).seconds() > 0);
    ended.trigger();
    bounds.cancel = &ended;
    CHECK(thrown([&] { static_cast<void>(Media::audio_file("models/demo/example.wav", bounds)); }) ==
          RMLX_ERROR_CANCELLED);
    rmlx::LoadOptions options;
    options.chat_template = "{% if %}";
    CHECK(thrown([&] { static_cast<void>(Model::load(DEMO, options)); }) == RMLX_ERROR_INVALID_ARGUMENT);
}

void a_loop_may_be_left(const Model &model) {
    Session session = Session::create(model);
    for (int round = 0; round < 3; round++) {
        int seen = 0;
        for (const Event &event : session.generate(question("Hello"), endless())) {
            static_cast<void>(event);
            if (++seen == 3)
                break;
        }
        CHECK(seen == 3 && session.stats().generated_tokens < 8);
    }
    try {
        for (const Event &event : session.generate(question("Hello"), endless())) {
            static_cast<void>(event);
            throw std::runtime_error("out of the loop");
        }
    } catch (const std::runtime_error &) {
    }
    { auto never_looked_at = session.generate(question("Hello"), endless()); }
    CHECK(session.respond(question("What is the capital of France?"), greedy(16)).text == "Paris");
}

void another_thread_cancels(const Model &model) {
    Session session = Session::create(model);
    std::atomic<bool> begun{false};
    std::thread canceller([&] {
        while (!begun)
            std::this_thread::yield();
        session.cancel();
    });
    rmlx_finish_reason reason = RMLX_FINISH_NONE;
    for (const Event &event : session.generate(question("Hello"), endless())) {
        begun = true;
        reason = event.finish_reason();
    }
    canceller.join();
    CHECK(reason == RMLX_FINISH_CANCELLED);
}

void logits_can_be_changed_and_repetition_bounded(const Model &model) {
    Session session = Session::create(model);
    rmlx::GenerationOptions options = greedy(9);
    options.ignore_eos = true;
    std::size_t calls = 0;
    options.logits_processor = [&](const std::uint32_t *ids, std::size_t count, float *logits, std::size_t size) {
        CHECK(calls == 0 || ids[count - 1] == 40);
        std::fill(logits, logits + size, -INFINITY);
        logits[40] = 1.0f;
        ++calls;
    };
    options.loop_detection = rmlx::LoopDetection{3, 8, 0};
    rmlx_finish_reason reason = RMLX_FINISH_NONE;
    for (const Event &event : session.generate(question("Hello"), options))
        reason = event.finish_reason();
    CHECK(reason == RMLX_FINISH_LOOP && calls == 3);
    options.logits_processor = nullptr;
    options.no_repeat_ngram = 1;
    options.dry = rmlx::Dry{0.8f, 1.75f, 2, 64, {"\n"}};
    std::vector<std::uint32_t> tokens;
    for (const Event &event : session.generate(question("Hello"), options))
        if (auto token = event.token())
            tokens.push_back(*token);
    std::sort(tokens.begin(), tokens.end());
    CHECK(tokens.size() == 9 && std::adjacent_find(tokens.begin(), tokens.end()) == tokens.end());
    options.speculation = rmlx::Speculation{};
    std::vector<std::uint32_t> speculated;
    for (const Event &event : session.generate(question("Hello"), options))
        if (auto token = event.token())
            speculated.push_back(*token);
    std::sort(speculated.begin(), speculated.end());
    CHECK(speculated == tokens);
    options.speculation->most_tokens = 9;
    CHECK(thrown([&] { session.respond(question("Hello"), options); }) == RMLX_ERROR_INVALID_ARGUMENT);
    options.speculation.reset();
    options.dry->breakers.push_back("");
    CHECK(thrown([&] { session.respond(question("Hello"), options); }) == RMLX_ERROR_INVALID_ARGUMENT);
}

void sessions_fork_and_go_back(const Model &model) {
    Session session = Session::create(model);
    for (const Event &event : session.prefill(question("What is the capital of France?"), greedy(16)))
        CHECK(event.finish_reason() == RMLX_FINISH_PREFILLED);
    Session fork = session.fork();
    Session moved = std::move(fork);
    CHECK(moved.respond(question("What is the capital of France?"), greedy(16)).text == "Paris");
    CHECK(moved.stats().reused_tokens + 1 == moved.stats().prompt_tokens);
    CHECK(session.truncate(3) == 3 && session.stats().held_tokens == 3);
    CHECK(session.respond(question("What is the capital of Italy?"), greedy(16)).text == "Rome");
    auto answer = session.generate(question("Hello"), endless());
    CHECK(thrown([&] { static_cast<void>(session.fork()); }) == RMLX_ERROR_BUSY);
    CHECK(thrown([&] { static_cast<void>(session.truncate(0)); }) == RMLX_ERROR_BUSY);
}

void failures_are_thrown(const Model &model) {
    CHECK(thrown([] { static_cast<void>(Model::load("there is no such folder")); }) == RMLX_ERROR_NOT_FOUND);
    CHECK(thrown([] { static_cast<void>(Media::image("no picture")); }) == RMLX_ERROR_INVALID_MEDIA);
    CHECK(thrown([] { Prompt().add("no message"); }) == RMLX_ERROR_INVALID_ARGUMENT);
    CHECK(thrown([] { Prompt().user("\xff"); }) == RMLX_ERROR_INVALID_ARGUMENT);
    Session session = Session::create(model);
    rmlx::GenerationOptions hot;
    hot.temperature = 1000.0f;
    CHECK(thrown([&] { session.respond(question("Hello"), hot); }) == RMLX_ERROR_INVALID_ARGUMENT);
    auto answer = session.generate(question("Hello"), endless());
    CHECK(thrown([&] { session.respond(question("Hello")); }) == RMLX_ERROR_BUSY);
    rmlx::SessionOptions small;
    small.context_length = 4;
    small.checkpoints = 1;
    small.keep_turns = 1;
    Session cramped = Session::create(model, small);
    CHECK(thrown([&] { cramped.respond(question("Hello")); }) == RMLX_ERROR_CONTEXT_FULL);
}

void loads_tell_how_far_they_are() {
    rmlx::LoadOptions options;
    std::vector<float> fractions;
    options.progress = [&](float fraction) { fractions.push_back(fraction); };
    options.device = RMLX_DEVICE_CPU;
    options.media_cache = 0;
    static_cast<void>(Model::load(DEMO, options));
    CHECK(!fractions.empty() && fractions.back() == 1.0f);
    options.progress = [](float) { throw std::runtime_error("stop"); };
    bool stopped = false;
    try {
        static_cast<void>(Model::load(DEMO, options));
    } catch (const std::runtime_error &error) {
        stopped = std::string(error.what()) == "stop";
    }
    CHECK(stopped);
    rmlx::Cancel cancel;
    cancel.trigger();
    rmlx::LoadOptions cancelled;
    cancelled.cancel = &cancel;
    CHECK(thrown([&] { static_cast<void>(Model::load(DEMO, cancelled)); }) == RMLX_ERROR_CANCELLED);
    rmlx::LoadOptions limited;
    limited.memory_limit = 1000;
    limited.ignore_system_memory = true;
    CHECK(thrown([&] { static_cast<void>(Model::load(DEMO, limited)); }) == RMLX_ERROR_OUT_OF_MEMORY);
}

void snapshots_are_described(const Model &model) {
    CHECK(Model::inspect(DEMO).find("gemma4_unified") != std::string::npos);
    CHECK(Model::estimate(DEMO, {}, 100).find("\"context_tokens\":100") != std::string::npos);
    CHECK(model.info_json().find("context_length") != std::string::npos);
    CHECK(model.detokenize(model.tokenize("two words")) == "two words");
    CHECK(model.render(question("Hello")).find("Hello") != std::string::npos);
    Model shared = model.share();
    CHECK(shared.get() == model.get());
}

// Steps that do not wait for long, and a pause in the middle of them.
void an_answer_is_stepped_without_waiting(const Model &model) {
    Session session = Session::create(model);
    rmlx::Answer answer = session.generate(question("What is the capital of France?"), greedy(16));
    std::string text;
    bool paused = false;
    while (!answer.is_over()) {
        std::optional<Event> event = paused ? answer.step_for(std::chrono::seconds(60)) : answer.try_step();
        if (event)
            text += event->text();
        if (event && !paused) {
            rmlx::suspend(std::chrono::seconds(60));
            while (std::optional<Event> ready = answer.try_step())
                text += ready->text();
            CHECK(!answer.step_for(std::chrono::milliseconds(20)));
            CHECK(thrown([&] { static_cast<void>(session.logits()); }) == RMLX_ERROR_SUSPENDED);
            rmlx::resume();
            paused = true;
        }
    }
    CHECK(paused && text == "Paris" && !answer.try_step());
}

} // namespace

int main() {
    loads_tell_how_far_they_are();
    {
        Model model = Model::load(DEMO);
        snapshots_are_described(model);
        media_are_understood(model);
        pixels_and_samples_are_taken();
        events_come_in_order(model);
        a_tool_is_called(model);
        tools_are_run(model);
        answers_become_types(model);
        a_loop_may_be_left(model);
        an_answer_is_stepped_without_waiting(model);
        another_thread_cancels(model);
        logits_can_be_changed_and_repetition_bounded(model);
        sessions_fork_and_go_back(model);
        failures_are_thrown(model);
        CHECK(rmlx::memory_usage().active > 1000000);
    }
    rmlx::set_memory_limits(std::nullopt, 1 << 20);
    rmlx::trim_memory();
    CHECK(rmlx::memory_usage().active < 1000000);
    return 0;
}
