// Drives what is behind the views of the example app PhotoChat: load, pick, ask, watch, stop.

import Foundation

@main @MainActor
enum DriveChat {
  static func main() async throws {
    let chat = Chat()
    chat.load(URL(fileURLWithPath: "models/demo/bf16"))
    try await rest(chat)
    chat.pick(try Data(contentsOf: URL(fileURLWithPath: "models/demo/example.png")))
    for question in ["What colour is the circle?", "What colour is the background?"] {
      chat.ask(question)
      try await rest(chat)
    }
    print(chat.entries.map(\.text).joined(separator: " "))
    // Stopped before it has said anything; the next question is answered all the same.
    chat.ask("What shape is this?")
    chat.stop()
    try await rest(chat)
    chat.ask("What colour is the circle?")
    try await rest(chat)
    print(chat.entries.last?.text ?? "", chat.failure ?? "no failure")
    chat.load(URL(fileURLWithPath: "nowhere"))
    while chat.failure == nil { try await Task.sleep(for: .milliseconds(10)) }
    print(chat.failure?.hasPrefix("there is no folder") ?? false, chat.phase)
  }

  static func rest(_ chat: Chat) async throws {
    while chat.phase != .ready && chat.failure == nil { try await Task.sleep(for: .milliseconds(10)) }
  }
}
