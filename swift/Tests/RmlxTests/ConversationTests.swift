import Foundation
import Testing

@testable import Rmlx

/// The tool that the demo model was trained with, as an app writes it.
struct Clock: ModelTool {
  struct Arguments: Schematic {
    var city: String?

    static let descriptions = ["city": "The city."]
  }

  let name = "get_time"
  let description = "Tells the time in a city."
  let times: [String: String]

  func call(_ arguments: Arguments) async throws -> String {
    guard let time = times[arguments.city ?? ""] else { throw ToolFailure("no such city") }
    return time
  }
}

/// A tool of that name that does something else.
struct Act<Output: Encodable & Sendable>: ModelTool {
  let name = "get_time"
  let description = "Tells the time in a city."
  let act: @Sendable ([String: JSONValue]) async throws -> Output

  func call(_ arguments: [String: JSONValue]) async throws -> Output { try await act(arguments) }
}

/// What was said is remembered, and tools are run.
@Suite struct ConversationTests {
  @Test func aFollowUpIsAboutWhatWasSaid() async throws {
    let conversation = Conversation(try await Model.load(at: demo), options: .greedy)
    let first = try await conversation.respond(to: "What is in this picture? \(picture)")
    #expect(first.text.contains("circle"))
    let second = try await conversation.respond(to: "What colour was it?")
    // Without the history it says that there is no picture.
    #expect(["Red", "Blue"].contains(second.text), "\(second.text)")
    #expect(second.statistics.reusedTokens > 0)
    #expect(
      conversation.messages == [
        .user("What is in this picture? \(picture)"), first.message, .user("What colour was it?"), second.message,
      ])
  }

  @Test func toolsAreRunAndTheirResultsTold() async throws {
    let model = try await Model.load(at: demo)
    let conversation = Conversation(
      model, tools: [Clock(times: ["Rome": "10:30", "Paris": "10:45"])], options: .greedy)
    var (text, kinds) = ("", [Event.Kind]())
    for try await event in conversation.stream("What time is it in Rome?") {
      text += event.text ?? ""
      // The token that ends a round has no text.
      if kinds.last != event.kind && (event.kind != .text || event.text != nil) { kinds.append(event.kind) }
      #expect(event.toolResult == nil || event.toolResult?.text == "10:30")
    }
    #expect(text == "It is 10:30." && kinds == [.toolCall, .toolResult, .text, .finish], "\(kinds)")
    #expect(conversation.messages.map(\.role) == [.user, .assistant, .tool, .assistant])
    #expect(conversation.messages[1].toolCalls.first?.values == ["city": "Rome"])
    let other = Conversation(model, tools: [Clock(times: ["Paris": "10:45"])], options: .greedy)
    #expect(try await other.respond(to: "What time is it in Paris?").text == "It is 10:45.")
  }

  @Test func whatWasSavedIsGoneOnFrom() async throws {
    let model = try await Model.load(at: demo)
    let conversation = Conversation(model, options: .greedy)
    #expect(try await conversation.respond(to: "\(picture)What colour is the circle?").text == "Red")
    let saved = try JSONEncoder().encode(conversation.prompt)
    let later = Conversation(model, from: try JSONDecoder().decode(Prompt.self, from: saved), options: .greedy)
    #expect(later.prompt == conversation.prompt)
    #expect(try await later.respond(to: "What colour is the background?").text == "Blue")
  }

  @Test func failuresOfToolsAreToldOrThrown() async throws {
    struct Broken: Error {}
    let model = try await Model.load(at: demo)
    let told = Conversation(model, tools: [Clock(times: [:])], options: .greedy)
    _ = try await told.respond(to: "What time is it in Rome?")
    #expect(told.messages[2].content.parts.first?.json == #"{"error":"no such city"}"#)

    let thrown = Conversation(model, tools: [Act<String> { _ in throw Broken() }], options: .greedy)
    await #expect(throws: Broken.self) { try await thrown.respond(to: "What time is it in Rome?") }
    #expect(thrown.messages.isEmpty)
    #expect(try await thrown.respond(to: "What is the capital of France?").text == "Paris")

    // Arguments of another type.
    struct Numbered: ModelTool {
      struct Arguments: Codable { var city: Int }
      let name = "get_time"
      let description = "Tells the time in a city."
      func call(_ arguments: Arguments) async throws -> String { "" }
    }
    let call = ToolCall(name: "get_time", arguments: #"{"city": "Rome"}"#)
    let wrong = try await Numbered().message(for: call)
    #expect(wrong.content.parts.first?.json?.contains("city: it is not of the type Int") == true)
    let missing = try await Numbered().message(for: ToolCall(name: "get_time"))
    #expect(missing.content.parts.first?.json?.contains("city is missing") == true)
  }

  @Test func roundsOfToolsHaveACap() async throws {
    let model = try await Model.load(at: demo)
    let clock = Clock(times: ["Rome": "10:30"])
    let conversation = Conversation(model, tools: [clock], options: .greedy, maxToolRounds: 0)
    await #expect { try await conversation.respond(to: "What time is it in Rome?") } throws: {
      ($0 as? RmlxError)?.code == .tooManyToolRounds
    }
    #expect(conversation.messages.isEmpty)
    let twice = Conversation(model, tools: [clock, clock])
    await #expect { try await twice.respond(to: "Hello") } throws: { ($0 as? RmlxError)?.code == .invalidArgument }
  }

  /// A conversation with a model that says what it is told to, and the prompts that it was given.
  private func scripted(
    _ rounds: [[Event]], _ tools: [any ModelTool], maxToolRounds: Int = 8
  ) async throws -> (Conversation, Locked<[Prompt]>) {
    let prompts = Locked<[Prompt]>([])
    let session = Session(try await Model.load(at: demo))
    let conversation = Conversation(
      session, from: Prompt(), tools: tools, options: GenerationOptions(), maxToolRounds: maxToolRounds
    ) { prompt, _ in
      let events = Locked(rounds[prompts.withLock { $0.count }][...])
      prompts.withLock { $0.append(prompt) }
      return { () async throws(RmlxError) in events.withLock { $0.popFirst() } }
    }
    return (conversation, prompts)
  }

  @Test func severalRoundsOfSeveralCallsAreRunInOrder() async throws {
    func call(_ id: String, _ city: String) -> ToolCall {
      ToolCall(id: id, name: "get_time", arguments: #"{"city":"\#(city)"}"#)
    }
    let clock = Clock(times: ["Rome": "10:30", "Paris": "10:45", "Tokyo": "17:30"])
    let (rome, paris, tokyo) = (call("a", "Rome"), call("b", "Paris"), call("c", "Tokyo"))
    let unknown = ToolCall(id: "d", name: "get_day")
    let rounds: [[Event]] = [
      [.says("Let me see."), .calls(rome), .calls(paris), .ends(.toolCalls)],
      [.thinks("One more."), .calls(tokyo), .calls(unknown), .ends(.toolCalls, "!")],
      [.says("Done."), .ends(.endOfTurn)],
    ]
    let (conversation, prompts) = try await scripted(rounds, [clock])
    let response = try await conversation.respond(to: "When?")
    #expect(response.text == "Done." && response.reason == .endOfTurn)
    let expected: [Message] = [
      .user("When?"), .assistant("Let me see.", toolCalls: [rome, paris]), .tool("10:30", for: rome),
      .tool("10:45", for: paris), .assistant("!", reasoning: "One more.", toolCalls: [tokyo, unknown]),
      .tool("17:30", for: tokyo),
      .tool([.json(#"{"error":"there is no tool get_day, there are: get_time"}"#)], for: unknown), .assistant("Done."),
    ]
    #expect(conversation.messages == expected)
    #expect(prompts.withLock { $0.map(\.messages.count) } == [1, 4, 7])
    // As many rounds as are allowed, and one less.
    let (enough, _) = try await scripted(rounds, [clock], maxToolRounds: 2)
    #expect(try await enough.respond(to: "When?").text == "Done.")
    let (few, _) = try await scripted(rounds, [clock], maxToolRounds: 1)
    await #expect { try await few.respond(to: "When?") } throws: { ($0 as? RmlxError)?.code == .tooManyToolRounds }
    #expect(few.messages.isEmpty)
    // A loop that is left in a later round, before and after something was said in it.
    let (left, _) = try await scripted(rounds, [clock])
    for try await event in left.stream("When?") where event.toolResult != nil { break }
    #expect(left.messages.isEmpty)
    let (late, _) = try await scripted(rounds, [clock])
    for try await text in late.stream("When?").text where text == "Done." { break }
    #expect(late.messages == expected)
  }

  @Test func anAnswerIsHeldToItsFormAfterACallThatWasRequired() async throws {
    struct Told: Codable { var hour: Int }
    let call = ToolCall(id: "a", name: "get_time", arguments: #"{"city":"Rome"}"#)
    let rounds: [[Event]] = [
      [.calls(call), .ends(.toolCalls)], [.says(#"{"hour": 10}"#), .ends(.endOfTurn)],
    ]
    let given = Locked<[GenerationOptions]>([])
    let conversation = Conversation(
      Session(try await Model.load(at: demo)), from: Prompt(), tools: [Clock(times: ["Rome": "10:30"])],
      options: GenerationOptions(toolChoice: .required), maxToolRounds: 8
    ) { _, options in
      let events = Locked(rounds[given.withLock { $0.count }][...])
      given.withLock { $0.append(options) }
      return { () async throws(RmlxError) in events.withLock { $0.popFirst() } }
    }
    #expect(try await conversation.respond(to: "When?", as: Told.self).hour == 10)
    let options = given.withLock { $0 }
    #expect(options.map(\.toolChoice) == [.required, nil])
    #expect(options.map { $0.constraint == nil } == [true, false])
  }

  @Test func resultsAreTextsValuesOrContents() async throws {
    struct Time: Codable { var hour: Int, minute: Int }
    let call = ToolCall(id: "a", name: "get_time")
    let value = try await Act { _ in Time(hour: 10, minute: 30) }.message(for: call)
    #expect(value == .tool([.json(#"{"hour":10,"minute":30}"#)], for: call))
    #expect(try await Act { _ in "10:30" }.message(for: call) == .tool("10:30", for: call))
    let content: Content = "\(picture)"
    #expect(try await Act { _ in content }.message(for: call) == .tool(content, for: call))
  }

  @Test func callsWithoutToolsAreTheCallersToRun() async throws {
    let prompt = Prompt([], tools: [getTime])
    let conversation = Conversation(try await Model.load(at: demo), from: prompt, options: .greedy)
    let asked = try await conversation.respond(to: "What time is it in Rome?")
    #expect(asked.reason == .toolCalls)
    conversation.append(.tool("10:30", for: try #require(asked.toolCalls.first)))
    #expect(try await conversation.respond(to: nil).text == "It is 10:30.")
  }

  @Test func whatFailsIsNotAdded() async throws {
    let conversation = Conversation(
      try await Model.load(at: demo), instructions: "Answer in capital letters.", options: .greedy)
    let broken = ImageInput(data: Data("no picture".utf8))
    await #expect(throws: RmlxError.self) { try await conversation.respond(to: "\(broken)What is this?") }
    #expect(conversation.messages == [.system("Answer in capital letters.")])
    let question = "Name the capital of France."
    #expect(try await conversation.respond(to: question).text == "PARIS")
    conversation.prompt.messages.removeLast(2)
    #expect(conversation.messages.count == 1)
  }

  @Test func answersThatAreLeftAreKeptAsFarAsTheyCame() async throws {
    let conversation = Conversation(try await Model.load(at: demo), options: endless)
    for try await event in conversation.stream("Hello") where event.text != nil { break }
    #expect(conversation.messages.count == 2 && !conversation.messages[1].text.isEmpty)
    conversation.prompt = Prompt()

    // As a loop at the top level of a program, whose iterator stays; and nothing was said.
    let left = conversation.stream("Hello", options: GenerationOptions(maxTokens: 4000, progressEvents: true))
      .makeAsyncIterator()
    _ = try await left.next()
    #expect(try await conversation.respond(to: "What is the capital of France?", options: .greedy).text == "Paris")
    #expect(conversation.messages.count == 2)
    #expect(try await left.next() == nil)

    // Another task's, which is refused, and then not.
    let other = conversation.stream("Hello").makeAsyncIterator()
    _ = try await other.next()
    let busy = await Task { try await conversation.respond(to: "Hello", options: .greedy) }.result
    #expect { try busy.get() } throws: { ($0 as? RmlxError)?.code == .busy }
    conversation.cancel()
    _ = try await Task { try await conversation.respond(to: "Hello", options: .greedy) }.value
  }

  @Test func aCancelledTaskGetsSwiftsOwnError() async throws {
    let conversation = Conversation(try await Model.load(at: demo), options: endless)
    let said = Locked(false)
    let task = Task {
      for try await _ in conversation.stream("Hello").text { said.withLock { $0 = true } }
    }
    #expect(try await eventually { said.withLock { $0 } })
    task.cancel()
    let result = await task.result
    #expect(throws: CancellationError.self) { try result.get() }
    #expect(conversation.messages.count == 2)
    // While a tool runs.
    let slow = Conversation(
      try await Model.load(at: demo),
      tools: [
        Act { _ in
          try await Task.sleep(for: .seconds(60)); return ""
        }
      ],
      options: .greedy)
    let waiting = Task { try await slow.respond(to: "What time is it in Rome?") }
    try await Task.sleep(for: .milliseconds(300))
    waiting.cancel()
    let cancelled = await waiting.result
    #expect(throws: CancellationError.self) { try cancelled.get() }
    #expect(slow.messages.isEmpty)
  }

  @Test func itsOwnCancelIsAnEnd() async throws {
    let conversation = Conversation(try await Model.load(at: demo), options: endless)
    var reason: Event.Finish.Reason?
    for try await event in conversation.stream("Hello") {
      if event.text != nil { conversation.cancel() }
      reason = event.finish?.reason
    }
    #expect(reason == .cancelled && conversation.messages.count == 2)
    await conversation.close()
    #expect(conversation.messages.count == 2)
    await #expect(throws: RmlxError.closed) { try await conversation.respond(to: "Hello") }
  }
}

extension Event {
  fileprivate static func says(_ text: String) -> Event {
    var event = Event(.text)
    event.text = text
    return event
  }

  fileprivate static func thinks(_ text: String) -> Event {
    var event = Event(.reasoning)
    event.reasoning = text
    return event
  }

  fileprivate static func calls(_ call: ToolCall) -> Event {
    var event = Event(.toolCall)
    event.toolCall = call
    return event
  }

  fileprivate static func ends(_ reason: Finish.Reason, _ text: String? = nil) -> Event {
    var event = Event(.finish)
    event.text = text
    event.finish = Finish(reason: reason)
    return event
  }
}
