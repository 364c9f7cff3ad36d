import Foundation
import Testing

@testable import Rmlx

/// Answers that stay as they were generated: only what is new is evaluated.
@Suite struct ExactHistoryTests {
  private let thinking = GenerationOptions(maxTokens: 64, temperature: 0, thinking: true, exactHistory: true)

  /// All that is behind a conversation after an answer.
  private func held(_ statistics: Statistics) -> Int { statistics.promptTokens + statistics.generatedTokens }

  @Test func thoughtsAndPicturesAreNotEvaluatedAgain() async throws {
    let model = try await Model.load(at: demo)
    let conversation = Conversation(model, options: thinking)
    let first = try await conversation.respond(to: "\(picture)What colour is the circle?")
    #expect(!first.reasoning.isEmpty)
    let second = try await conversation.respond(to: "What is the capital of Italy?")
    #expect(second.statistics.reusedTokens == held(first.statistics))
    let third = try await conversation.respond(to: "What colour is the background?")
    #expect(third.statistics.reusedTokens == held(second.statistics))
    #expect(third.text.hasSuffix("Blue"))

    // Without the wish the template drops the thoughts.
    var plain = thinking
    plain.exactHistory = nil
    let other = Conversation(model, options: plain)
    let before = try await other.respond(to: "\(picture)What colour is the circle?")
    let after = try await other.respond(to: "What is the capital of Italy?")
    #expect(after.statistics.reusedTokens < held(before.statistics))
  }

  @Test func callsAreNotEvaluatedAgain() async throws {
    let session = Session(try await Model.load(at: demo))
    let options = GenerationOptions(maxTokens: 48, temperature: 0, exactHistory: true)
    var prompt = Prompt([.user("What time is it in Rome?")], tools: [getTime])
    let asked = try await session.respond(to: prompt, options: options)
    prompt.append(asked.message)
    prompt.append(.tool("10:30", for: try #require(asked.toolCalls.first)))
    let told = try await session.respond(to: prompt, options: options)
    #expect(told.text == "It is 10:30." && told.statistics.reusedTokens == held(asked.statistics))
  }

  @Test func aForkKeepsAnswersAsTheyWereGenerated() async throws {
    let conversation = Conversation(try await Model.load(at: demo), options: thinking)
    let first = try await conversation.respond(to: "What is the capital of France?")
    #expect(!first.reasoning.isEmpty)
    let fork = try await conversation.fork()
    for conversation in [fork, conversation] {
      let next = try await conversation.respond(to: "What is the capital of Italy?")
      #expect(next.text.hasSuffix("Rome"))
      #expect(next.statistics.reusedTokens == held(first.statistics))
    }
  }

  @Test func whatDoesNotGoOnHasTheHistoryOfTheTemplate() async throws {
    let session = Session(try await Model.load(at: demo))
    let question: Message = .user("What is the capital of France?")
    let next: Message = .user("What is the capital of Italy?")
    func ids(_ messages: [Message], tools: [ToolDeclaration] = []) async throws -> [TokenID] {
      _ = try await session.respond(to: Prompt(messages, tools: tools), options: thinking)
      return try await session.promptTokens()
    }
    let answer = try await session.respond(to: Prompt([question]), options: thinking).message
    let exact = try await ids([question, answer, next])
    // A conversation that says something else, or tells of tools, or has the answer without its thought.
    let others: [([Message], [ToolDeclaration])] = [
      ([.user("Hello"), answer, next], []), ([question, answer, next], [getTime]),
      ([question, .assistant(answer.content), next], []),
    ]
    for (messages, tools) in others {
      _ = try await session.respond(to: Prompt([question]), options: thinking)
      let changed = try await ids(messages, tools: tools)
      try await session.reset()
      #expect(try await ids(messages, tools: tools) == changed)
      #expect(changed != exact)
    }
    // After a failure and after a reset there is nothing to go on from.
    _ = try await session.respond(to: Prompt([question]), options: thinking)
    let broken: Message = .user("\(ImageInput(data: Data("no picture".utf8)))What is this?")
    let error = await failure { () async throws(RmlxError) in
      try await session.respond(to: Prompt([question, answer, broken]), options: thinking)
    }
    #expect(error?.code == .invalidMedia)
    let plain = try await ids([question, answer, next])
    try await session.reset()
    #expect(try await ids([question, answer, next]) == plain && plain != exact)
  }

  @Test func aFileThatHasChangedIsLookedAtAgain() async throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let file = folder.appendingPathComponent("picture.png")
    try FileManager.default.copyItem(at: root.appendingPathComponent("models/demo/example.png"), to: file)
    let session = Session(try await Model.load(at: demo))
    let options = GenerationOptions(maxTokens: 32, temperature: 0, exactHistory: true)
    func asked() -> Prompt { Prompt([.user("\(ImageInput(url: file))What colour is the circle?")]) }
    let answer = try await session.respond(to: asked(), options: options).message
    try Data("no picture".utf8).write(to: file)
    var prompt = asked()
    prompt.messages += [answer, .user("What colour is the background?")]
    let changed = prompt
    let error = await failure { () async throws(RmlxError) in try await session.respond(to: changed, options: options) }
    #expect(error?.code == .invalidMedia)
  }
}
