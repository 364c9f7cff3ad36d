// Drives what is behind the views of the example app PhotoChat: load, pick, ask, watch, stop, and each of them while another
// is still going on.

import Foundation

@main @MainActor
enum DriveChat {
  static let model = URL(fileURLWithPath: "models/demo/bf16")
  static let question = "What colour is this?"

  static func main() async throws {
    let chat = Chat()
    chat.load(model)
    await rest(chat)
    try await conversation(chat)
    try await photoDuringAnAnswer(chat)
    try await photoDuringALoad(chat)
    try await loads(chat)
    try await failures(chat)
    try await photosOutOfOrder(chat)

    chat.load(URL(fileURLWithPath: "nowhere"))
    await rest(chat)
    print(chat.failure?.hasPrefix("there is no folder") ?? false, chat.phase)
  }

  static func conversation(_ chat: Chat) async throws {
    chat.pick(try Data(contentsOf: URL(fileURLWithPath: "models/demo/example.png")))
    await ask(chat, "What colour is the circle?")
    await ask(chat, "What colour is the background?")
    print(chat.entries.map(\.text).joined(separator: " "))
    // Stopped before it has said anything; the next question is answered all the same.
    chat.ask("What shape is this?")
    chat.stop()
    await rest(chat)
    await ask(chat, "What colour is the circle?")
    print(chat.entries.last?.text ?? "", chat.failure ?? "no failure")
  }

  /// The photo drops the answer, wherever it is: the next question is about it, and the first of a conversation.
  static func photoDuringAnAnswer(_ chat: Chat) async throws {
    for moment in 0..<12 {
      chat.pick(try photo("red"))
      chat.ask(question)
      if moment < 6 {
        for _ in 0..<moment { await Task.yield() }
      } else {
        while chat.entries.last?.text.isEmpty == true && chat.phase == .answering { await Task.yield() }
        for _ in 6..<moment { await Task.yield() }
      }
      chat.pick(try photo("blue"))
      expect(chat.entries.isEmpty && chat.phase == .ready, "an answer is left, or the chat is not ready")
      if moment % 2 == 0 { await Task.yield() }
      await ask(chat, question)
      expect(chat.entries.count == 2, "\(chat.entries.count) entries of one question, at moment \(moment)")
      says(chat, "blue")
    }
    print("photo during an answer")
  }

  static func photoDuringALoad(_ chat: Chat) async throws {
    for moment in 0..<4 {
      chat.load(model)
      for _ in 0..<(moment * 3) { await Task.yield() }
      chat.pick(try photo("red"))
      chat.pick(try photo("green"))
      expect(chat.isBusy, "a photo has ended the load, at moment \(moment)")
      await ask(chat, question)
      says(chat, "green")
    }
    print("photo during a load")
  }

  /// A load ends an answer and the load before it; one that is stopped leaves a chat that can load again.
  static func loads(_ chat: Chat) async throws {
    chat.pick(try photo("yellow"))
    chat.ask(question)
    chat.load(URL(fileURLWithPath: "nowhere"))
    await Task.yield()
    chat.load(model)
    await ask(chat, question)
    says(chat, "yellow")
    chat.load(model)
    chat.stop()
    await rest(chat)
    expect(chat.failure == nil, "a load that was stopped has failed: \(chat.failure ?? "")")
    chat.load(model)
    await ask(chat, question)
    says(chat, "yellow")
    print("loads")
  }

  /// A question that fails fails no later one, whether the photo or the question was the reason.
  static func failures(_ chat: Chat) async throws {
    chat.pick(Data("no picture".utf8))
    await ask(chat, question)
    expect(chat.failure != nil && chat.photo == nil, "a photo that cannot be decoded is kept")
    chat.failure = nil
    await ask(chat, "What is the capital of France?")
    says(chat, "paris")

    chat.pick(try photo("red"))
    await ask(chat, question)
    await ask(chat, String(repeating: "What colour? ", count: 40_000))
    expect(chat.failure != nil, "a question that is longer than the context is answered")
    expect(chat.entries.count == 2, "a question that failed is shown as one that was asked")
    chat.failure = nil
    await ask(chat, question)
    says(chat, "red")
    expect(chat.entries.count == 4, "\(chat.entries.count) entries of two questions")
    print("failures")
  }

  /// Photos take different times to read. The one that was picked last counts.
  static func photosOutOfOrder(_ chat: Chat) async throws {
    let (slow, fast) = (try photo("red"), try photo("blue"))
    chat.pick {
      // As of one whose reading cannot be cancelled.
      await withCheckedContinuation { done in
        DispatchQueue.global().asyncAfter(deadline: .now() + .milliseconds(50)) { done.resume() }
      }
      return slow
    }
    chat.pick { fast }
    try await Task.sleep(for: .milliseconds(200))
    expect(chat.photo == fast, "the photo that was read last is shown, and not the one that was picked last")
    chat.pick { nil }
    while chat.failure == nil { await Task.yield() }
    expect(chat.photo == fast, "a photo that cannot be read has taken the place of another")
    chat.failure = nil
    print("photos out of order")
  }

  static func photo(_ colour: String) throws -> Data {
    try Data(contentsOf: URL(fileURLWithPath: "tools/accept/\(colour).png"))
  }

  static func ask(_ chat: Chat, _ question: String) async {
    await rest(chat)
    chat.ask(question)
    await rest(chat)
  }

  static func says(_ chat: Chat, _ word: String) {
    let said = chat.entries.last?.text ?? "nothing"
    expect(chat.failure == nil, "a failure: \(chat.failure ?? "")")
    expect(said.lowercased().contains(word), "the answer is \(said), and not \(word)")
  }

  static func expect(_ holds: Bool, _ fault: String) {
    if !holds { print("FAULT:", fault) }
  }

  static func rest(_ chat: Chat) async {
    repeat { try? await Task.sleep(for: .milliseconds(5)) } while chat.isBusy
  }
}
