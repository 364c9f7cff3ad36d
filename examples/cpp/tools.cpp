// Asks a model a question that it may call tools for, runs them, and prints the answer:
//
//     tools SNAPSHOT QUESTION
//
// There is one tool, get_time, whose clock always says 10:30. The answer goes to stdout, the calls go to stderr. Build it
// with
//
//     c++ -std=c++17 tools.cpp $(pkg-config --cflags --libs rmlx) -o tools

#include <rmlx.hpp>

#include <exception>
#include <iostream>
#include <string>

namespace {

rmlx::Tool clock() {
    rmlx::Tool tool;
    tool.name = "get_time";
    tool.description = "Tells the time in a city.";
    tool.parameters_json =
        R"({"type": "object", "properties": {"city": {"type": "string", "description": "The city."}}})";
    // The arguments are a JSON object, for a JSON library to read.
    tool.run = [](const std::string &arguments) {
        std::cerr << "get_time " << arguments << '\n';
        return std::string("10:30");
    };
    return tool;
}

void answer(const std::string &snapshot, const std::string &question) {
    rmlx::Prompt prompt;
    prompt.user(question);
    const rmlx::Model model = rmlx::Model::load(snapshot);
    rmlx::Session session = rmlx::Session::create(model);
    rmlx::GenerationOptions options;
    options.max_tokens = 256;
    std::cout << session.respond_with_tools(prompt, {clock()}, options).text << '\n';
}

} // namespace

int main(int argc, char **argv) {
    if (argc != 3) {
        std::cerr << "usage: tools SNAPSHOT QUESTION\n";
        return 2;
    }
    try {
        answer(argv[1], argv[2]);
        return 0;
    } catch (const std::exception &failure) {
        std::cerr << "tools: " << failure.what() << '\n';
        return 1;
    }
}
