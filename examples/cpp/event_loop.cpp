// Many answers at once in one thread: a waker tells which sessions have something, and poll(2) waits for it beside whatever
// else the program waits for.
//
//     event_loop SNAPSHOT COUNT QUESTION
//
// asks COUNT sessions the question, and prints each answer with its session's number when it is complete. Build it with
//
//     c++ -std=c++17 event_loop.cpp $(pkg-config --cflags --libs rmlx) -o event_loop

#include <rmlx.hpp>

#include <poll.h>

#include <cstdint>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

namespace {

/// One of the conversations that the loop goes through. The answer goes first: its session must outlive it.
struct Chat {
    rmlx::Session session;
    rmlx::Answer answer;
    std::string text;
};

Chat begin(const rmlx::Model &model, const rmlx::Waker &waker, std::uint64_t number, const rmlx::Prompt &prompt) {
    rmlx::GenerationOptions options;
    options.max_tokens = 64;
    options.temperature = 0.0f;
    rmlx::Session session = rmlx::Session::create(model);
    session.set_waker(waker, number);
    rmlx::Answer answer = session.generate(prompt, options);
    return {std::move(session), std::move(answer), {}};
}

/// Steps one event out of a session, if it has one; whether the answer has ended with it.
bool step(Chat &chat) {
    const std::optional<rmlx::Event> event = chat.answer.try_step();
    if (!event) // not yet: the waker tells when
        return false;
    if (event->kind() != RMLX_EVENT_REASONING)
        chat.text += event->text();
    if (const std::optional<rmlx::Error> error = event->error())
        throw *error;
    return event->is_finish();
}

/// The loop: wait, see who has something, step each of them once.
void run(const rmlx::Waker &waker, std::vector<Chat> &chats) {
    for (std::size_t finished = 0; finished < chats.size();) {
        pollfd wait{waker.fd(), POLLIN, 0};
        if (poll(&wait, 1, -1) < 0) // a real loop has other descriptors here, too
            continue;
        for (std::uint64_t number : waker.take()) {
            if (!step(chats[number]))
                continue;
            std::cout << number << ": " << chats[number].text << '\n';
            ++finished;
        }
    }
}

} // namespace

int main(int argc, char **argv) {
    const unsigned long count = argc == 4 ? std::strtoul(argv[2], nullptr, 10) : 0;
    if (count == 0 || count > 100000) {
        std::cerr << "usage: event_loop SNAPSHOT COUNT QUESTION\n";
        return 2;
    }
    try {
        const rmlx::Model model = rmlx::Model::load(argv[1]);
        const rmlx::Waker waker = rmlx::Waker::create();
        rmlx::Prompt prompt;
        prompt.user(std::string(argv[3]));
        std::vector<Chat> chats;
        for (unsigned long number = 0; number < count; number++)
            chats.push_back(begin(model, waker, number, prompt));
        run(waker, chats);
        return 0;
    } catch (const std::exception &failure) {
        std::cerr << "event_loop: " << failure.what() << '\n';
        return 1;
    }
}
