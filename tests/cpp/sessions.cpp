// rmlx.hpp: sessions that are forked, cut back, saved, evaluated ahead and waited for; what a host's callback throws; and
// turns of several calls.

#include "check.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <stdexcept>
#include <thread>
#include <vector>

#include <poll.h>

using rmlx::Event;
using rmlx::Media;
using rmlx::Model;
using rmlx::Prompt;
using rmlx::Session;

namespace {

// What the function throws, as text; "" if it throws nothing.
template <typename Call>
std::string thrown(Call call) {
    try {
        call();
    } catch (const std::exception &failure) {
        return failure.what();
    }
    return "";
}

Prompt about_the_picture(bool answered) {
    Prompt prompt;
    prompt.user(Media::image_file("models/demo/example.png"), "What colour is the circle?");
    if (answered) {
        prompt.assistant("Red");
        prompt.user("What colour is the background?");
    }
    return prompt;
}

void a_fork_goes_its_own_way(const Model &model) {
    Session session = Session::create(model);
    CHECK(session.respond(about_the_picture(false), greedy(16)).text == "Red");
    const rmlx_stats before = session.stats();
    Session fork = session.fork();
    CHECK(fork.stats().held_tokens == before.held_tokens);
    // At the same time, in threads of their own.
    std::string other;
    std::thread thread([&] { other = fork.respond(about_the_picture(true), greedy(16)).text; });
    CHECK(session.respond(question("What is the capital of France?"), greedy(16)).text == "Paris");
    thread.join();
    CHECK(other == "Blue" && fork.stats().encoded_media == 0 && fork.stats().reused_tokens > 70);
    {
        Session gone = std::move(session);
    }
    CHECK(fork.respond(about_the_picture(false), greedy(16)).text == "Red");
}

void a_copy_of_a_prompt_is_changed_for_itself(const Model &model) {
    const Prompt question = about_the_picture(false);
    Prompt copy = question.copy();
    copy.assistant("Red");
    copy.user("What colour is the background?");
    Session session = Session::create(model);
    CHECK(session.respond(question, greedy(16)).text == "Red");
    CHECK(session.respond(copy, greedy(16)).text == "Blue");
}

void a_session_is_cut_back_and_evaluated_ahead(const Model &model) {
    Session session = Session::create(model);
    rmlx::GenerationOptions options = greedy(16);
    options.progress_events = true;
    bool progressed = false, prefilled = false;
    for (const Event &event : session.prefill(about_the_picture(true), options)) {
        CHECK(!event.token());
        progressed = progressed || event.progress();
        prefilled = event.finish_reason() == RMLX_FINISH_PREFILLED;
    }
    CHECK(progressed && prefilled);
    CHECK(session.respond(about_the_picture(true), greedy(16)).text == "Blue");
    CHECK(session.stats().reused_tokens + 1 == session.stats().prompt_tokens && session.stats().encoded_media == 0);
    // A picture is not cut in two.
    const std::size_t held = session.stats().held_tokens;
    CHECK(session.truncate(100000) == held);
    CHECK(session.truncate(40) < 40 && session.stats().held_tokens < 40);
    CHECK(session.respond(about_the_picture(true), greedy(16)).text == "Blue");
}

void a_session_is_saved(const Model &model) {
    Session session = Session::create(model);
    CHECK(session.respond(about_the_picture(false), greedy(16)).text == "Red");
    const std::string path = "target/rmlx-cpp-" + std::to_string(std::chrono::steady_clock::now().time_since_epoch().count());
    session.save(path);
    Session loaded = Session::load(model, path);
    CHECK(loaded.stats().held_tokens == session.stats().held_tokens);
    CHECK(loaded.respond(about_the_picture(true), greedy(16)).text == "Blue");
    CHECK(loaded.stats().encoded_media == 0 && loaded.stats().reused_tokens > 70);
    std::vector<std::uint8_t> bytes = session.save_to_buffer();
    const std::string written = read_file(path);
    CHECK(std::equal(bytes.begin(), bytes.end(), written.begin(), written.end(),
                     [](std::uint8_t one, char other) { return one == static_cast<std::uint8_t>(other); }));
    bytes[bytes.size() / 2] ^= 1;
    CHECK(thrown([&] { static_cast<void>(Session::load(model, bytes)); }).size() > 0);
    CHECK(std::remove(path.c_str()) == 0);
}

// One thread, many answers: it sleeps until one of them has something.
void a_waker_tells_of_sessions(const Model &model) {
    constexpr std::size_t COUNT = 5;
    const rmlx::Waker waker = rmlx::Waker::create();
    const rmlx::Waker shared = waker.share();
    CHECK(shared.get() == waker.get() && waker.fd() >= 0 && waker.take().empty());
    std::vector<Session> sessions;
    std::vector<rmlx::Answer> answers;
    std::vector<std::string> texts(COUNT);
    const Prompt prompt = question("What is the capital of France?");
    for (std::size_t i = 0; i < COUNT; i++) {
        sessions.push_back(Session::create(model));
        sessions.back().set_waker(waker, 100 + i);
        answers.push_back(sessions.back().generate(prompt, greedy(16)));
    }
    for (std::size_t finished = 0; finished < COUNT;) {
        pollfd wait{shared.fd(), POLLIN, 0};
        CHECK(poll(&wait, 1, 60000) == 1);
        // Room for fewer than may be ready: the others come with the next call.
        for (std::uint64_t tag : waker.take(2)) {
            std::optional<Event> event = answers.at(tag - 100).try_step();
            if (!event)
                continue;
            texts[tag - 100] += event->text();
            finished += event->is_finish() ? 1 : 0;
        }
    }
    CHECK(texts == std::vector<std::string>(COUNT, "Paris"));
    sessions[0].clear_waker();
    CHECK(sessions[0].respond(prompt, greedy(16)).text == "Paris" && waker.take().empty());
}

// However the answer is gone through, what the processor throws comes out, as what it was; the session goes on.
void what_a_processor_throws_reaches_the_caller(const Model &model) {
    struct Refusal : std::runtime_error {
        using std::runtime_error::runtime_error;
        int number = 7;
    };
    Session session = Session::create(model);
    const Prompt prompt = question("Hello");
    rmlx::GenerationOptions options = greedy(8);
    options.logits_processor = [](const std::uint32_t *, std::size_t, float *, std::size_t) { throw Refusal("no"); };
    bool caught = false;
    try {
        session.respond(prompt, options);
    } catch (const Refusal &refusal) {
        caught = refusal.number == 7;
    }
    CHECK(caught);
    CHECK(thrown([&] {
              for (const Event &event : session.generate(prompt, options))
                  CHECK(!event.is_finish());
          }) == "no");
    CHECK(thrown([&] {
              rmlx::Answer answer = session.generate(prompt, options);
              while (!answer.is_over())
                  answer.step_for(std::chrono::seconds(1));
          }) == "no");
    CHECK(thrown([&] {
              rmlx::Answer answer = session.generate(prompt, options);
              rmlx::Answer moved = std::move(answer);
              while (!moved.is_over())
                  moved.try_step();
          }) == "no");
    CHECK(thrown([&] { rmlx::respond_text(model, "Hello", options); }) == "no");
    // One that nobody steps for throws into nobody's face.
    { auto never_looked_at = session.generate(prompt, options); }
    CHECK(session.respond(question("What is the capital of France?"), greedy(16)).text == "Paris");
    CHECK(rmlx::respond_text(model, "What is the capital of France?", greedy(16)) == "Paris");
}

// Puts texts into the model's mouth, token by token, one in each of its turns; what it likes after them.
struct Script {
    std::vector<std::vector<std::uint32_t>> turns;
    std::size_t turn = 0, start = 0;

    void operator()(const std::uint32_t *, std::size_t count, float *logits, std::size_t size) {
        if (turn == turns.size())
            return;
        if (start == 0)
            start = count;
        const std::vector<std::uint32_t> &script = turns[turn];
        const std::size_t at = std::min(count - start, script.size() - 1);
        std::fill(logits, logits + size, -INFINITY);
        logits[script[at]] = 0.0f;
        if (at + 1 == script.size()) {
            turn++;
            start = 0;
        }
    }
};

// The calls are crafted, as the demo model makes one in a turn; that they are read, run, told and answered is the library's.
void two_calls_in_one_turn_and_two_round_trips_are_run(const Model &model) {
    auto call = [](const std::string &city) {
        return "<|tool_call>call:get_time{city:<|\"|>" + city + "<|\"|>}<tool_call|>";
    };
    Script script;
    for (const std::string &text : {call("Rome") + call("Paris") + "<|tool_response>", call("Tokyo") + "<|tool_response>"})
        script.turns.push_back(model.tokenize(text, true));
    rmlx::GenerationOptions options = greedy(100);
    // The options are copied, and the script goes on from turn to turn.
    options.logits_processor = std::ref(script);
    std::vector<std::string> asked;
    rmlx::Tool clock;
    clock.name = "get_time";
    clock.description = "Tells the time in a city.";
    clock.parameters_json = R"({"type": "object", "properties": {"city": {"type": "string", "description": "The city."}}})";
    clock.run = [&](const std::string &arguments) {
        asked.push_back(arguments);
        return std::string("10:30");
    };
    Session session = Session::create(model);
    Prompt prompt = question("What time is it in Rome?");
    rmlx::Response response = session.respond_with_tools(prompt, {clock}, options);
    CHECK(script.turn == 2);
    CHECK((asked == std::vector<std::string>{R"({"city":"Rome"})", R"({"city":"Paris"})", R"({"city":"Tokyo"})"}));
    CHECK(response.text == "It is 10:30." && response.reason == RMLX_FINISH_END_OF_TURN);
    const std::string told = model.render(prompt);
    CHECK(told.find(call("Rome") + call("Paris")) != std::string::npos && told.find(call("Tokyo")) != std::string::npos);
}

void the_library_tells_about_itself() {
    CHECK(!rmlx::version().empty() && rmlx::abi_version() >= RMLX_ABI_VERSION);
    CHECK(rmlx::has_feature("image") && !rmlx::has_feature("telepathy"));
    std::atomic<int> messages{0};
    rmlx::set_log(RMLX_LOG_DEBUG, [&](rmlx_log_level, const char *message) {
        messages += message != nullptr;
        throw std::runtime_error("nobody hears of this");
    });
    static_cast<void>(Model::load(DEMO));
    for (int i = 0; i < 6000 && messages == 0; i++)
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    CHECK(messages > 0);
    rmlx::set_log(RMLX_LOG_INFO, nullptr);
    CHECK(thrown([] { rmlx::set_log(99, [](rmlx_log_level, const char *) {}); }).size() > 0);
}

} // namespace

int main() {
    the_library_tells_about_itself();
    const Model model = Model::load(DEMO);
    a_fork_goes_its_own_way(model);
    a_copy_of_a_prompt_is_changed_for_itself(model);
    a_session_is_cut_back_and_evaluated_ahead(model);
    a_session_is_saved(model);
    a_waker_tells_of_sessions(model);
    what_a_processor_throws_reaches_the_caller(model);
    two_calls_in_one_turn_and_two_round_trips_are_run(model);
    return 0;
}
