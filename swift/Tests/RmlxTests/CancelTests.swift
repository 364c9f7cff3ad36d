import Foundation
import Testing

@testable import Rmlx

/// How an answer is stopped: nothing runs on after its consumer is gone, and the session goes on.
@Suite(.serialized) struct CancelTests {
  /// Asks something that has an answer, which shows that the session is at rest.
  func expectUsable(_ session: Session) async throws {
    #expect(try await session.respond(to: "What is the capital of France?", options: .greedy).text == "Paris")
  }

  @Test func aCancelledTaskStopsWhileItDecodes() async throws {
    let session = Session(try await Model.load(at: demo))
    let seen = Locked(0)
    let task = Task { () throws(RmlxError) -> Bool in
      let events = session.generate("Hello", endless).makeAsyncIterator()
      while try await events.next() != nil { seen.withLock { $0 += 1 } }
      return true
    }
    #expect(try await eventually { seen.withLock { $0 } >= 5 })
    task.cancel()
    let result = await task.result
    #expect(throws: RmlxError.self) { try result.get() }
    if case .failure(let error) = result { #expect((error as? RmlxError)?.code == .cancelled && error.isCancellation) }
    let generated = try session.statistics().generatedTokens
    #expect(generated < 4000 && generated <= seen.withLock { $0 } + 3)
    try await expectUsable(session)
  }

  @Test func aCancelledTaskStopsWhileThePromptIsEvaluated() async throws {
    let model = try await Model.load(at: demo)
    let session = Session(model, options: SessionOptions(prefillChunk: 16))
    // Long enough for many pieces.
    let prompt: Prompt = "\(picture)\(String(repeating: "What colour is the circle? ", count: 150))"
    let total = try await model.countTokens(prompt)
    #expect(total > 500)
    var options = endless
    options.progressEvents = true
    let asked = options
    let reached = Locked(0)
    let task = Task {
      for try await event in session.generate(prompt, asked) {
        if let progress = event.progress { reached.withLock { $0 = progress.done } }
      }
    }
    #expect(try await eventually { reached.withLock { $0 } > 0 })
    task.cancel()
    let result = await task.result
    #expect { try result.get() } throws: { ($0 as? RmlxError)?.code == .cancelled }
    #expect(try session.statistics().generatedTokens == 0)
    #expect(reached.withLock { $0 } < total)
    try await expectUsable(session)
  }

  @Test func aTaskThatIsCancelledBeforeItBeginsDoesNothing() async throws {
    let session = Session(try await Model.load(at: demo))
    let task = Task {
      withUnsafeCurrentTask { $0?.cancel() }
      for try await _ in session.generate("Hello", endless) {}
    }
    let result = await task.result
    #expect { try result.get() } throws: { ($0 as? RmlxError)?.code == .cancelled }
    #expect(try session.statistics().promptTokens == 0)
  }

  @Test func leavingTheLoopStopsTheModel() async throws {
    let session = Session(try await Model.load(at: demo))
    for _ in 0..<3 {
      var seen = 0
      for try await _ in session.generate("Hello", endless) {
        seen += 1
        if seen == 3 { break }
      }
      // What was made ahead, and what the cancel let through.
      try await expectUsable(session)
    }
    for try await _ in session.generate("Hello", endless) { break }
    try await Task.sleep(for: .milliseconds(100))
    let generated = try session.statistics().generatedTokens
    try await Task.sleep(for: .milliseconds(100))
    #expect(try session.statistics().generatedTokens == generated)
    #expect(generated < 20)
  }

  @Test func aThrowInTheLoopStopsTheModel() async throws {
    struct Enough: Error {}
    let session = Session(try await Model.load(at: demo))
    await #expect(throws: Enough.self) {
      for try await _ in session.generate("Hello", endless) { throw Enough() }
    }
    try await expectUsable(session)
  }

  @Test func theSessionsOwnCancelIsAnEnd() async throws {
    let session = Session(try await Model.load(at: demo))
    var reason: Event.Finish.Reason?
    for try await event in session.generate("Hello", endless) {
      session.cancel()
      if let finish = event.finish { reason = finish.reason }
    }
    #expect(reason == .cancelled)
    try await expectUsable(session)
  }

  @Test func theNextAnswerEndsOneThatItsTaskHasLeft() async throws {
    let session = Session(try await Model.load(at: demo))
    // As a loop at the top level of a program, whose iterator stays when the loop is left.
    let left = session.generate("Hello", endless).makeAsyncIterator()
    _ = try await left.next()
    try await expectUsable(session)
    let error = await failure { () async throws(RmlxError) in try await left.next() }
    #expect(error?.code == .cancelled && error?.message.contains("same task") == true)
    #expect(try await left.next() == nil)
  }

  @Test func afterACancelTheNextAnswerBegins() async throws {
    let session = Session(try await Model.load(at: demo))
    let left = session.generate("Hello", endless).makeAsyncIterator()
    _ = try await left.next()
    session.cancel()
    // Of another task, too.
    try await Task { try await expectUsable(session) }.value
    #expect(try await left.next()?.finish?.reason == .cancelled)
    #expect(try await left.next() == nil)
  }

  @Test func aResetDropsTheAnswerInTheMaking() async throws {
    let session = Session(try await Model.load(at: demo))
    let dropped = session.generate("Hello", endless).makeAsyncIterator()
    _ = try await dropped.next()
    try await session.reset()
    #expect(try session.statistics().heldTokens == 0)
    // The next answer is not the dropped one's, whatever becomes of that.
    let next = session.generate("Hello", endless).makeAsyncIterator()
    _ = try await next.next()
    let error = await failure { () async throws(RmlxError) in try await dropped.next() }
    #expect(error?.code == .cancelled)
    #expect(try await dropped.next() == nil)
    #expect(try await next.next() != nil)
  }

  @Test func aSessionThatNobodyElseHoldsAnswersToTheEnd() async throws {
    let model = try await Model.load(at: demo)
    var text = ""
    for try await piece in Session(model).generate("What is the capital of France?", .greedy).text { text += piece }
    #expect(text == "Paris")
  }

  @Test func cancelsAtRandomMomentsLeaveTheSessionUsable() async throws {
    let session = Session(try await Model.load(at: demo), options: SessionOptions(prefillChunk: 16))
    for round in 0..<20 {
      let task = Task {
        for try await _ in session.generate("\(picture)What colour is the circle?", endless) {}
      }
      try await Task.sleep(for: .microseconds(round * round * 300))
      task.cancel()
      let result = await task.result
      #expect { try result.get() } throws: { ($0 as? RmlxError)?.code == .cancelled }
    }
    try await expectUsable(session)
  }

  @Test func swiftsThreadsAreNeverBlocked() async throws {
    // More answers in the making than Swift has threads; a task in between still gets its turn.
    let model = try await Model.load(at: demo)
    let sessions = (0..<16).map { _ in Session(model) }
    let tasks = sessions.map { session in
      Task { for try await _ in session.generate("Hello", endless) {} }
    }
    let clock = ContinuousClock()
    for _ in 0..<10 {
      let start = clock.now
      await Task.detached {}.value
      #expect(clock.now - start < .seconds(20))
    }
    tasks.forEach { $0.cancel() }
    for task in tasks { _ = await task.result }
  }
}
