import Foundation
import Testing

@testable import Rmlx

/// Sessions that are forked, cut back, saved and evaluated ahead answer as fresh ones do.
@Suite struct SessionStateTests {
  private let circle: Prompt = [.user("\(picture)What colour is the circle?")]
  private let background: Prompt = [
    .user("\(picture)What colour is the circle?"), .assistant("Red"), .user("What colour is the background?"),
  ]

  @Test func aForkGoesItsOwnWay() async throws {
    let session = Session(try await Model.load(at: demo))
    #expect(try await session.respond(to: circle, options: .greedy).text == "Red")
    let held = try session.statistics().heldTokens
    let fork = try await session.fork()
    #expect(try fork.statistics().heldTokens == held)
    async let one = session.respond(to: "What is the capital of France?", options: .greedy)
    async let other = fork.respond(to: background, options: .greedy)
    #expect(try await one.text == "Paris")
    #expect(try await other.text == "Blue")
    let statistics = try fork.statistics()
    #expect(statistics.reusedTokens > 70 && statistics.encodedMedia == 0)
    await session.close()
    #expect(try await fork.respond(to: circle, options: .greedy).text == "Red")
    // Of a session that has not been used there is a fork, too.
    let empty = try await Session(try await Model.load(at: demo)).fork()
    #expect(try await empty.respond(to: circle, options: .greedy).text == "Red")
  }

  @Test func anAnswerInTheMakingIsInTheWayUnlessItWasLeft() async throws {
    let session = Session(try await Model.load(at: demo))
    let events = session.generate("Hello", endless).makeAsyncIterator()
    _ = try await events.next()
    let fork = await Task { try await session.fork() }.result
    let data = await Task { try await session.savedData() }.result
    let cut = await Task { try await session.truncate(to: 1) }.result
    #expect { try fork.get() } throws: { ($0 as? RmlxError)?.code == .busy }
    #expect { try data.get() } throws: { ($0 as? RmlxError)?.code == .busy }
    #expect { try cut.get() } throws: { ($0 as? RmlxError)?.code == .busy }
    session.cancel()
    _ = try await Task { try await session.fork() }.value
  }

  @Test func whatIsCutBackIsEvaluatedAgain() async throws {
    let session = Session(try await Model.load(at: demo))
    _ = try await session.respond(to: circle, options: .greedy)
    let held = try session.statistics().heldTokens
    #expect(try await session.truncate(to: 100_000) == Truncation(heldTokens: held, tokensToEvaluate: 0))
    // An image is not cut in two.
    let media = try session.statistics().mediaTokens
    let ids = try await session.promptTokens()
    let first = try #require(ids.indices.first { $0 + 1 < ids.count && ids[$0] == ids[$0 + 1] })
    let cut = try await session.truncate(to: first + media / 2)
    #expect(cut.tokensToEvaluate > 0 && cut.heldTokens + cut.tokensToEvaluate == first + media / 2)
    #expect(try session.statistics().heldTokens == cut.heldTokens)
    let again = try await session.respond(to: background, options: .greedy)
    #expect(again.text == "Blue" && again.statistics.reusedTokens <= cut.heldTokens)
    let error = await failure { () async throws(RmlxError) in try await session.truncate(to: -1) }
    #expect(error?.code == .invalidArgument && error?.details["argument"] == "position")
  }

  @Test func whatWasSavedIsGoneOnFrom() async throws {
    let model = try await Model.load(at: demo)
    let session = Session(model)
    _ = try await session.respond(to: circle, options: .greedy)
    try await withFolder { folder in
      let file = folder.appendingPathComponent("session.rmlx")
      try await session.save(to: file)
      let data = try await session.savedData()
      #expect(try Data(contentsOf: file) == data)
      for loaded in [
        try await Session(model, savedAt: file), try await Session(model, saved: data),
      ] {
        let answer = try await loaded.respond(to: background, options: .greedy)
        #expect(answer.text == "Blue" && answer.statistics.encodedMedia == 0 && answer.statistics.reusedTokens > 70)
      }
      var damaged = data
      damaged[damaged.count / 2] ^= 1
      for (bytes, fault) in [(damaged, "damaged"), (Data("nothing of the kind".utf8), "format")] {
        let error = await failure { () async throws(RmlxError) in try await Session(model, saved: bytes) }
        #expect(error?.code == .invalidSave && error?.details["fault"]?.string == fault)
      }
      let none = await failure { () async throws(RmlxError) in try await Session(model, saved: Data()) }
      #expect(none?.code == .invalidSave)
      let small = SessionOptions(contextLength: 8)
      let full = await failure { () async throws(RmlxError) in
        try await Session(model, savedAt: file, options: small)
      }
      #expect(full?.code == .contextFull)
      let missing = folder.appendingPathComponent("none/session.rmlx")
      let nowhere = await failure { () async throws(RmlxError) in try await session.save(to: missing) }
      let nothing = await failure { () async throws(RmlxError) in try await Session(model, savedAt: missing) }
      #expect(nowhere?.code == .notFound && nothing?.code == .notFound)
    }
    let address = try #require(URL(string: "https://example.com/session"))
    let refused = await failure { () async throws(RmlxError) in try await session.save(to: address) }
    #expect(refused?.code == .invalidArgument)
  }

  @Test func whatIsEvaluatedAheadIsNotEvaluatedAgain() async throws {
    let session = Session(try await Model.load(at: demo))
    var (kinds, reasons) = ([Event.Kind](), [Event.Finish.Reason]())
    for try await event in session.prefill(circle, GenerationOptions(progressEvents: true)) {
      if kinds.last != event.kind { kinds.append(event.kind) }
      if let finish = event.finish { reasons.append(finish.reason) }
    }
    #expect(kinds == [.progress, .finish] && reasons == [.prefilled] && "\(reasons[0])" == "prefilled")
    let answer = try await session.respond(to: circle, options: .greedy)
    #expect(answer.text == "Red" && answer.statistics.encodedMedia == 0)
    #expect(answer.statistics.reusedTokens == answer.statistics.promptTokens - 1)
    let warm = try await session.prewarm(background)
    #expect(warm.generatedTokens == 0 && warm.promptTokens > answer.statistics.promptTokens)
    #expect(try await session.respond(to: background, options: .greedy).text == "Blue")
  }

  @Test func aQuestionDoesNotWaitForWhatIsEvaluatedAhead() async throws {
    let session = Session(try await Model.load(at: demo), options: SessionOptions(prefillChunk: 16))
    let long: Prompt = "\(String(repeating: "What colour is the circle? ", count: 150))"
    let options = GenerationOptions(progressEvents: true)
    let (begun, reason) = (Locked(false), Locked<Event.Finish.Reason?>(nil))
    let ahead = Task {
      for try await event in session.prefill(long, options) {
        begun.withLock { $0 = true }
        if let finish = event.finish { reason.withLock { $0 = finish.reason } }
      }
    }
    #expect(try await eventually { begun.withLock { $0 } })
    #expect(try await session.respond(to: "What is the capital of France?", options: .greedy).text == "Paris")
    try await ahead.value
    #expect(reason.withLock { $0 } == .cancelled)
  }

  @Test func theHistoryStaysExactBehindWhatIsEvaluatedAhead() async throws {
    let session = Session(try await Model.load(at: demo))
    let exact = GenerationOptions(maxTokens: 48, temperature: 0, thinking: true, exactHistory: true)
    let question: Message = .user("What is the capital of France?")
    let asked = try await session.respond(to: Prompt([question]), options: exact)
    #expect(asked.message.reasoning != nil)
    let next = Prompt([question, asked.message, .user("What is the capital of Italy?")])
    try await session.prewarm(next, options: exact)
    let answer = try await session.respond(to: next, options: exact)
    #expect(answer.statistics.reusedTokens == answer.statistics.promptTokens - 1)
    #expect(answer.statistics.promptTokens > asked.statistics.promptTokens + asked.statistics.generatedTokens)
  }

  @Test func theOldestTurnsAreLeftOut() async throws {
    let model = try await Model.load(at: demo)
    var prompt = Prompt()
    for _ in 0..<8 {
      prompt.append(.user("What is the capital of Italy?"))
      prompt.append(.assistant("Rome"))
    }
    prompt.append(.user("What is the capital of France?"))
    let asked = prompt
    let tight = try await model.countTokens(prompt) / 2
    let full = await failure { () async throws(RmlxError) in
      try await Session(model, options: SessionOptions(contextLength: tight)).respond(to: asked)
    }
    #expect(full?.code == .contextFull)
    let session = Session(model, options: SessionOptions(contextLength: tight, checkpoints: 2, keepTurns: 1))
    let answer = try await session.respond(to: prompt, options: .greedy)
    #expect(answer.text == "Paris" && answer.statistics.droppedMessages > 0)
    #expect(answer.statistics.promptTokens < tight && answer.statistics.checkpointBytes >= 0)
    let wrong = Session(model, options: SessionOptions(keepTurns: 0))
    let error = await failure { () async throws(RmlxError) in try await wrong.respond(to: "Hello") }
    #expect(error?.code == .invalidArgument)
  }
}

/// The same of conversations.
@Suite struct ConversationStateTests {
  @Test func aForkGoesItsOwnWay() async throws {
    let conversation = Conversation(try await Model.load(at: demo), options: .greedy)
    #expect(try await conversation.respond(to: "\(picture)What colour is the circle?").text == "Red")
    let fork = try await conversation.fork()
    #expect(fork.prompt == conversation.prompt)
    async let one = conversation.respond(to: "What is the capital of France?")
    let other = try await fork.respond(to: "What colour is the background?")
    #expect(other.text == "Blue" && other.statistics.encodedMedia == 0 && other.statistics.reusedTokens > 70)
    #expect(try await one.text == "Paris")
    #expect(
      conversation.messages.count == 4 && fork.messages.count == 4 && fork.messages[2...] != conversation.messages[2...]
    )
  }

  @Test func whatWasSavedIsGoneOnFromWithWhatWasEvaluated() async throws {
    let model = try await Model.load(at: demo)
    let conversation = Conversation(model, instructions: "Be brief.", options: .greedy)
    #expect(try await conversation.respond(to: "\(picture)What colour is the circle?").text == "Red")
    try await withFolder { parent in
      let folder = parent.appendingPathComponent("chat")
      try await conversation.save(to: folder)
      let later = try await Conversation(model, savedAt: folder, options: .greedy)
      #expect(later.prompt == conversation.prompt && later.restoreFailure == nil)
      let answer = try await later.respond(to: "What colour is the background?")
      #expect(answer.text == "Blue" && answer.statistics.encodedMedia == 0 && answer.statistics.reusedTokens > 70)
      // Over what is there, and then without what was evaluated.
      try await later.save(to: folder)
      try Data("no session".utf8).write(to: folder.appendingPathComponent("session.rmlx"))
      let bare = try await Conversation(model, savedAt: folder, options: .greedy)
      #expect(bare.restoreFailure?.code == .invalidSave && bare.messages.count == 5)
      #expect(try await bare.respond(to: "What is the capital of France?").statistics.reusedTokens == 0)
      try Data("{}".utf8).write(to: folder.appendingPathComponent("prompt.json"))
      let error = await failure { () async throws(RmlxError) in try await Conversation(model, savedAt: folder) }
      #expect(error?.code == .invalidSave && error?.details["path"] != nil)
    }
    let missing = root.appendingPathComponent("there is no such folder")
    let error = await failure { () async throws(RmlxError) in try await Conversation(model, savedAt: missing) }
    #expect(error?.code == .notFound)
    let nowhere = await failure { () async throws(RmlxError) in
      try await conversation.save(to: URL(fileURLWithPath: "/dev/null/chat"))
    }
    #expect(nowhere?.code == .io)
  }

  @Test func theBeginningIsEvaluatedAhead() async throws {
    let clock = Clock(times: ["Rome": "10:30"])
    let conversation = Conversation(
      try await Model.load(at: demo), instructions: "Be brief.", tools: [clock], options: .greedy)
    try await conversation.prewarm()
    let ahead = try conversation.session.statistics()
    #expect(ahead.promptTokens > 0 && ahead.generatedTokens == 0 && conversation.messages.count == 1)
    try await conversation.prewarm("What time is it in Rome?")
    #expect(try await conversation.respond(to: "What time is it in Rome?").text == "It is 10:30.")
    let empty = Conversation(try await Model.load(at: demo))
    try await empty.prewarm()
    #expect(try empty.session.statistics().promptTokens == 0)
    let twice = Conversation(try await Model.load(at: demo), instructions: "Be brief.", tools: [clock, clock])
    let error = await failure { () async throws(RmlxError) in try await twice.prewarm() }
    #expect(error?.code == .invalidArgument)
  }

  /// What the model says is put into its mouth by a processor of its logits; all else is as ever: the library reads its calls,
  /// and the tools are run. The demo model's own answers have one call each.
  @Test func twoCallsOfOneTurnAndTwoRoundTripsAreRun() async throws {
    let model = try await Model.load(at: demo)
    let times = ["Rome": "10:30", "Paris": "10:45", "Tokyo": "17:30"]
    func call(_ city: String) -> String { "<|tool_call>call:get_time{city:<|\"|>\(city)<|\"|>}<tool_call|>" }
    let turns = [call("Rome") + call("Paris") + "<|tool_response>", call("Tokyo") + "<|tool_response>"]
    let conversation = Conversation(model, tools: [Clock(times: times)], options: try saying(turns, model))
    let answer = try await conversation.respond(to: "What time is it in Rome?")
    #expect(answer.reason == .endOfTurn && answer.text.hasPrefix("It is "), "\(answer.text)")
    let messages = conversation.messages
    #expect(messages.map(\.role) == [.user, .assistant, .tool, .tool, .assistant, .tool, .assistant])
    #expect(messages.map { $0.toolCalls.count } == [0, 2, 0, 0, 1, 0, 0])
    #expect(messages.filter { $0.role == .tool }.map(\.text) == ["10:30", "10:45", "17:30"])
    let ids = messages.flatMap(\.toolCalls).map(\.id)
    #expect(ids == messages.filter { $0.role == .tool }.map(\.toolCallID) && Set(ids).count == 3)
    // By itself, it makes two round trips.
    let clock = Clock(times: ["": "10:30", "Paris": "10:30"])
    let own = Conversation(model, tools: [clock], options: .greedy)
    for question in ["Tell me the time.", "What time is it in Paris?"] {
      #expect(try await own.respond(to: question).text == "It is 10:30.")
    }
    #expect(own.messages.flatMap(\.toolCalls).map(\.values) == [[:], ["city": "Paris"]])
  }
}
