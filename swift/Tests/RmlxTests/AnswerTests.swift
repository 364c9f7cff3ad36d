import CRmlx
import Foundation
import Testing

@testable import Rmlx

/// What the model answers, and how it streams.
@Suite struct AnswerTests {
  @Test func picturesAreUnderstood() async throws {
    let session = Session(try await Model.load(at: demo))
    let answer = try await session.respond(to: "What colour is the circle? \(picture)", options: .greedy)
    #expect(answer.text == "Red")
    #expect(answer.reason == .endOfTurn)
    #expect(answer.statistics.mediaTokens > 0)
    #expect(answer.statistics.encodedMedia == 1)
    let described = try await session.respond(to: ["\(picture)Describe the picture."].asPrompt, options: .greedy)
    #expect(described.text == "A red circle on a blue background.")
  }

  @Test func soundsAreUnderstood() async throws {
    let session = Session(try await Model.load(at: demo))
    let answer = try await session.respond(to: "\(voice)Which digit do you hear?", options: .greedy)
    #expect(answer.text == "7")
  }

  @Test func laterTurnsReuseEarlierOnes() async throws {
    let session = Session(try await Model.load(at: demo))
    var prompt: Prompt = [.user([.image(picture), "What colour is the circle?"])]
    let first = try await session.respond(to: prompt, options: .greedy)
    #expect(first.text == "Red")
    prompt.append(first.message)
    prompt.append(.user("What colour is the background?"))
    let second = try await session.respond(to: prompt, options: .greedy)
    #expect(second.text == "Blue")
    // All but the end of the turn, where the template of an answered turn differs from that of one to be answered.
    #expect(second.statistics.reusedTokens >= first.statistics.promptTokens - 8)
  }

  @Test func eventsStreamInOrder() async throws {
    let session = Session(try await Model.load(at: demo))
    var options = GenerationOptions.greedy
    options.progressEvents = true
    options.topLogprobs = 2
    var (text, tokens, finished) = ("", [TokenID](), false)
    for try await event in session.generate("What is the capital of France?", options) {
      #expect(!finished)
      switch event.kind {
      case .progress:
        let progress = try #require(event.progress)
        #expect(tokens.isEmpty && progress.done <= progress.total)
      case .text:
        let token = try #require(event.token)
        tokens.append(token.id)
        #expect(token.topLogprobs.count == 2 && token.topLogprobs[0].id == token.id)
        #expect(token.logprob == token.topLogprobs[0].logprob)
      case .finish:
        finished = true
        #expect(event.finish?.reason == .endOfTurn && event.token == nil)
      default:
        Issue.record("nothing was to be thought or called: \(event.kind)")
      }
      text += event.text ?? ""
    }
    #expect(finished)
    #expect(text == "Paris")
    #expect(try session.statistics().generatedTokens == tokens.count)
    #expect(try await session.logits().count > 100)
    let model = try await Model.load(at: demo)
    #expect(try model.detokenize(tokens, skipSpecial: true) == "Paris")
    #expect(try await session.promptTokens().count == model.countTokens("What is the capital of France?"))
  }

  @Test func thoughtsAreNotPartOfTheText() async throws {
    let session = Session(try await Model.load(at: demo))
    var options = GenerationOptions.greedy
    options.thinking = true
    let answer = try await session.respond(to: "Name the capital of France.", options: options)
    #expect(answer.text.trimmingCharacters(in: .whitespacesAndNewlines) == "Paris")
    #expect(answer.reasoning.contains("The question is about a capital."))
    var pieces: [String] = []
    for try await piece in session.generate("Name the capital of France.", options).text { pieces.append(piece) }
    #expect(pieces.joined() == answer.text)
    #expect(!pieces.contains(""))
  }

  @Test func optionsReachTheModel() async throws {
    let session = Session(try await Model.load(at: demo))
    let short = try await session.respond(to: "Who are you?", options: GenerationOptions(maxTokens: 2, temperature: 0))
    #expect(short.reason == .maxTokens && short.statistics.generatedTokens == 2)
    let stopped = try await session.respond(
      to: "Who are you?", options: GenerationOptions(temperature: 0, stop: ["demo"]))
    #expect(stopped.reason == .stopString && stopped.text == "I am the rmlx ")
    var forbidding = GenerationOptions.greedy
    let model = try await Model.load(at: demo)
    for token in try model.tokenize("Paris") { forbidding.logitBias[token] = -.infinity }
    let other = try await session.respond(to: "What is the capital of France?", options: forbidding)
    #expect(other.text != "Paris")
    let system: Prompt = [.system("Answer in capital letters."), .user("Name the capital of France.")]
    #expect(try await session.respond(to: system, options: .greedy).text == "PARIS")
    // Variables have Swift's usual types, and a text in one is a prompt.
    let (temperature, limit, question) = (0.0, 1, "What is the capital of France?")
    let options = GenerationOptions(
      temperature: temperature, topK: limit, topP: 1.0, minP: temperature, repetitionPenalty: 1.0, presencePenalty: 0,
      frequencyPenalty: 0, seed: -1, stopTokens: try model.tokenize("Paris"))
    #expect(try await session.respond(to: question, options: options).reason == .stopToken)
    var pieces: [String] = []
    for try await piece in session.generate(question, .greedy).text { pieces.append(piece) }
    #expect(pieces.joined() == "Paris")
  }

  @Test func aToolIsCalledAndItsResultIsTold() async throws {
    let model = try await Model.load(at: demo)
    let session = Session(model)
    var prompt = Prompt([.user("What time is it in Rome?")], tools: [getTime])
    var calls: [ToolCall] = []
    var deltas: [ToolCallDelta] = []
    for try await event in session.generate(prompt, .greedy) {
      #expect(event.kind != .toolCall || (event.token != nil && event.text == nil))
      #expect(event.toolCallDelta == nil || event.kind == .toolCall)
      if let delta = event.toolCallDelta { deltas.append(delta) }
      if let call = event.toolCall { calls.append(call) }
    }
    // The call shows as it comes.
    #expect(calls.count == 1 && deltas.count > 1 && deltas.first?.arguments.contains("Rome") == false)
    #expect(deltas.map(\.arguments).joined() == calls.first?.arguments)
    #expect(deltas.allSatisfy { $0.id == calls.first?.id && $0.name == "get_time" })
    let asked = try await session.respond(to: prompt, options: .greedy)
    #expect(asked.reason == .toolCalls && asked.text.isEmpty)
    let call = try #require(asked.toolCalls.first)
    #expect(call.name == "get_time" && call.arguments == #"{"city":"Rome"}"# && call.values == ["city": "Rome"])
    #expect(call.spelling == #"<|tool_call>call:get_time{city:<|"|>Rome<|"|>}<tool_call|>"#)
    // The message of the answer is what the library itself adds to a prompt.
    let own = try await session.renderWithAnswer(prompt, model)
    prompt.append(asked.message)
    #expect(try await model.render(prompt) == own)
    prompt.append(.tool("10:30", for: call))
    let answer = try await session.respond(to: prompt, options: .greedy)
    #expect(answer.text == "It is 10:30." && answer.reason == .endOfTurn)
    #expect(answer.statistics.reusedTokens > 0)
  }

  @Test func aThoughtHasABudget() async throws {
    let session = Session(try await Model.load(at: demo))
    let options = GenerationOptions(temperature: 0, thinking: true, thinkingBudget: 2)
    var (thought, text) = (0, "")
    for try await event in session.generate("Name the capital of France.", options) {
      if event.kind == .reasoning && event.reasoning != nil { thought += 1 }
      text += event.text ?? ""
    }
    #expect(thought <= 2 && !text.isEmpty)
    let model = try await Model.load(at: demo)
    #expect(try await model.render("Hi", options) != model.render("Hi"))
    #expect(try await model.countTokens("Hi", options) > model.countTokens("Hi"))
  }

  @Test func anUnfinishedAnswerGoesOn() async throws {
    let model = try await Model.load(at: demo)
    var prompt: Prompt = [.user("What is the capital of France?"), .assistant("The capital")]
    prompt.continuesFinalMessage = true
    #expect(try await model.render(prompt).hasSuffix("The capital"))
    let answer = try await Session(model).respond(to: prompt, options: GenerationOptions(maxTokens: 8, temperature: 0))
    #expect(!answer.text.hasPrefix("The capital"))
  }

  @Test func reasonsAndKindsHaveNames() {
    #expect("\(Event.Finish.Reason.endOfTurn) \(Event.Finish.Reason(rawValue: 99))" == "endOfTurn unknown(99)")
    #expect("\(Event.Kind.toolCall)" == "toolCall")
  }

  @Test func eachPassIsAnAnswer() async throws {
    let session = Session(try await Model.load(at: demo))
    let events = session.generate("What is the capital of France?", .greedy)
    for _ in 0..<2 {
      var text = ""
      for try await piece in events.text { text += piece }
      #expect(text == "Paris")
    }
  }

  @Test func eightSessionsAnswerAtOnce() async throws {
    let model = try await Model.load(at: demo)
    let questions: [(Prompt, String)] = [
      ("What is the capital of France?", "Paris"), ("\(picture)What colour is the circle?", "Red"),
      ("\(voice)Which digit do you hear?", "7"), ("\(picture)What colour is the background?", "Blue"),
    ]
    try await withThrowingTaskGroup(of: (String, String).self) { group in
      for index in 0..<8 {
        group.addTask {
          let (prompt, expected) = questions[index % questions.count]
          let session = Session(model)
          var text = ""
          for _ in 0..<3 { text = try await session.respond(to: prompt, options: .greedy).text }
          await session.close()
          return (text, expected)
        }
      }
      for try await (text, expected) in group { #expect(text == expected) }
    }
  }
}

extension [Content] {
  fileprivate var asPrompt: Prompt { Prompt(map(Message.user)) }
}

extension Session {
  /// What the template makes of a prompt to which the library has added the last answer.
  fileprivate func renderWithAnswer(_ prompt: Prompt, _ model: Model) async throws(RmlxError) -> String {
    let handle = try model.handle()
    return try await run { (session) throws(RmlxError) in
      let raw = try prompt.raw(CancelFlag())
      try check { error in rmlx_prompt_add_answer(raw.pointer, session, error) }
      var (text, size): (UnsafeMutablePointer<CChar>?, Int) = (nil, 0)
      try check { error in rmlx_model_render_prompt(handle.pointer, raw.pointer, nil, &text, &size, error) }
      defer { rmlx_string_release(text) }
      return string(text, size: size)
    }
  }
}
