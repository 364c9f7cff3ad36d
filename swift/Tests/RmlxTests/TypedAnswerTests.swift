import Foundation
import Testing

@testable import Rmlx

/// Answers are values of Swift's types.
@Suite struct TypedAnswerTests {
  /// What the demo model writes where it is asked for JSON.
  struct Answer: Codable, Equatable {
    var answer: String
  }

  @Test func anAnswerIsAValue() async throws {
    let model = try await Model.load(at: demo)
    let prompt: Prompt = [.system("Answer in JSON."), .user("Name the capital of France.")]
    let answer = try await Session(model).respond(to: prompt, as: Answer.self, options: .greedy)
    #expect(answer == Answer(answer: "Paris"))
    let conversation = Conversation(model, instructions: "Answer in JSON.", options: .greedy)
    #expect(try await conversation.respond(to: "Name the capital of France.", as: Answer.self) == answer)
    #expect(conversation.messages.last?.text.contains("Paris") == true)
  }

  @Test func aValueComesAsFarAsItIsMade() async throws {
    let conversation = Conversation(
      try await Model.load(at: demo), instructions: "Answer in JSON.", options: .greedy)
    var values: [Answer] = []
    for try await value in conversation.stream("Name the capital of France.", as: Answer.self) { values.append(value) }
    #expect(values.last == Answer(answer: "Paris") && values.count > 2)
    #expect(values.allSatisfy { "Paris".hasPrefix($0.answer) })
  }

  @Test func anAnswerThatIsCutIsUnreadable() async throws {
    let conversation = Conversation(
      try await Model.load(at: demo), instructions: "Answer in JSON.",
      options: GenerationOptions(maxTokens: 3, temperature: 0))
    let question = "Name the capital of France."
    await #expect { try await conversation.respond(to: question, as: Answer.self) } throws: { error in
      let error = error as? RmlxError
      return error?.code == .unreadableAnswer && error?.details["text"]?.string?.hasPrefix("{") == true
    }
  }
}
