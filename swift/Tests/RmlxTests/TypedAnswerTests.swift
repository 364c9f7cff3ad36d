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

  @Test func anAnswerHasTheSchemaWhateverTheModelWouldSay() async throws {
    enum Name: String, Codable, CaseIterable { case red, blue }
    struct Colour: Codable {
      var colour: Name
      var count: UInt8
    }
    let model = try await Model.load(at: demo)
    for seed in 0..<8 {
      let conversation = Conversation(model, options: GenerationOptions(maxTokens: 200, temperature: 1.5, seed: seed))
      _ = try await conversation.respond(to: "\(picture)What colour is the circle?", as: Colour.self)
    }
    struct Endless: Codable { var next: [Endless] }
    await #expect { try await Conversation(model).respond(to: "Hello", as: Endless.self) } throws: {
      ($0 as? RmlxError)?.code == .noSchema
    }
    let session = Session(model)
    let options = GenerationOptions(temperature: 0, constraint: .oneOf(["Green", "Yellow"]))
    let text = try await session.respond(to: "\(picture)What colour is the circle?", options: options).text
    #expect(["Green", "Yellow"].contains(text))
    func answer(_ constraint: GenerationOptions.Constraint) async throws(RmlxError) -> Response {
      try await session.respond(
        to: "Hello", options: GenerationOptions(maxTokens: 64, temperature: 1.5, seed: 1, constraint: constraint))
    }
    #expect(try await answer(.regex("[0-9]{3}-[a-c]")).text.wholeMatch(of: /[0-9]{3}-[a-c]/) != nil)
    #expect(try await answer(.lark("start: \"yes\" | \"no\" \" never\"")).text.wholeMatch(of: /yes|no never/) != nil)
    let three: JSONSchema = .array(of: .integer(in: 7...9), count: 3...3)
    let numbers = try await answer(.json(three)).value(as: [Int].self)
    #expect(numbers.count == 3 && numbers.allSatisfy { (7...9).contains($0) })
    let cut = GenerationOptions(maxTokens: 2, temperature: 0, constraint: .regex("[a-z]{400}"))
    #expect(try await session.respond(to: "Hello", options: cut).reason == .constraintCut)
    let error = await failure { () async throws(RmlxError) in try await answer(.regex("(")) }
    #expect(error?.code == .invalidArgument && error?.details["constraint"] == "regular expression")
  }

  @Test func toolsAreChosen() async throws {
    let session = Session(try await Model.load(at: demo))
    let asked = Prompt([.user("What is the capital of France?")], tools: [getTime])
    let named = GenerationOptions(maxTokens: 64, temperature: 0, toolChoice: .named("get_time"))
    #expect(try await session.respond(to: asked, options: named).toolCalls.first?.name == "get_time")
    let none = GenerationOptions(maxTokens: 64, temperature: 0, toolChoice: .never)
    let time = Prompt([.user("What time is it in Rome?")], tools: [getTime])
    #expect(try await session.respond(to: time, options: none).toolCalls.isEmpty)
    // A call that was required is not required again when its result is there.
    let conversation = Conversation(
      try await Model.load(at: demo), tools: [Clock(times: ["Rome": "10:30"])],
      options: GenerationOptions(maxTokens: 64, temperature: 0, toolChoice: .required))
    #expect(try await conversation.respond(to: "What time is it in Rome?").text == "It is 10:30.")
  }
}
