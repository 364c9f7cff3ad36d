import Foundation
import XCTest

@testable import Rmlx

/// A picture of its own: one that the tests share would keep its handle.
private func fresh() -> ImageInput { ImageInput(url: root.appendingPathComponent("models/demo/example.png")) }

/// What is closed or let go of gives everything back.
///
/// XCTest runs these one by one and before all others, so that the count of live handles is theirs alone.
final class LeakTests: XCTestCase {
  /// Runs the work, and checks that no handle of the library outlives it.
  private func expectNothingLeft(_ work: () async throws -> Void) async throws {
    XCTAssertEqual(Handle.live.withLock { $0 }, 0)
    try await work()
    let none = try await eventually { Handle.live.withLock { $0 } == 0 }
    XCTAssertTrue(none, "\(Handle.live.withLock { $0 }) handles are left")
  }

  func testDeinitReleases() async throws {
    try await expectNothingLeft {
      let session = Session(try await Model.load(at: demo))
      let answer = try await session.respond(to: "\(fresh())What colour is the circle?", options: .greedy)
      XCTAssertEqual(answer.text, "Red")
      XCTAssertGreaterThan(Handle.live.withLock { $0 }, 0)
      withExtendedLifetime(session) {}
    }
  }

  func testCloseReleasesBeforeItReturns() async throws {
    try await expectNothingLeft {
      let model = try await Model.load(at: demo)
      let session = Session(model)
      _ = try await session.respond(to: "Hello", options: .greedy)
      let active = try Memory.usage().active
      XCTAssertEqual(Handle.live.withLock { $0 }, 2)
      await session.close()
      XCTAssertEqual(Handle.live.withLock { $0 }, 1)
      model.close()
      XCTAssertEqual(Handle.live.withLock { $0 }, 0)
      let given = try await eventually { try Memory.usage().active < active / 10 }
      XCTAssertTrue(given, "the weights' memory is not given back")
      withExtendedLifetime((session, model)) {}
    }
  }

  func testAbandonedAnswersReleaseEverything() async throws {
    try await expectNothingLeft {
      for _ in 0..<4 {
        let session = Session(try await Model.load(at: demo))
        for try await _ in session.generate("Hello", endless) { break }
      }
    }
  }

  func testConversationsReleaseEverything() async throws {
    try await expectNothingLeft {
      weak var gone: Conversation?
      do {
        let conversation = Conversation(
          try await Model.load(at: demo), tools: [Clock(times: ["Rome": "10:30"])], options: .greedy)
        gone = conversation
        _ = try await conversation.respond(to: "What time is it in Rome?")
        for try await _ in conversation.stream("Hello", options: endless) { break }
      }
      let isGone = try await eventually { gone == nil }
      XCTAssertTrue(isGone)
    }
  }

  func testCancelledTasksReleaseEverything() async throws {
    try await expectNothingLeft {
      let model = try await Model.load(at: demo)
      for round in 0..<8 {
        let task = Task { for try await _ in Session(model).generate("\(fresh())Hello", endless) {} }
        try await Task.sleep(for: .milliseconds(round * 5))
        task.cancel()
        _ = await task.result
      }
      weak var gone: Session?
      do {
        let session = Session(model)
        gone = session
        let events = session.generate("Hello", endless).makeAsyncIterator()
        _ = try await events.next()
      }
      let isGone = try await eventually { gone == nil }
      XCTAssertTrue(isGone)
    }
  }

  func testForksLoadedSessionsAndProcessorsReleaseEverything() async throws {
    try await expectNothingLeft {
      final class Held: Sendable {}
      weak var gone: Held?
      do {
        let held = Held()
        gone = held
        let model = try await Model.load(at: demo)
        let session = Session(model)
        let image = try await fresh().prepared(for: model)
        _ = try await session.respond(to: "\(image)What colour is the circle?", options: .greedy)
        let fork = try await session.fork()
        let loaded = try await Session(model, saved: session.savedData())
        let options = GenerationOptions(maxTokens: 4, logitsProcessor: .init { _, _ in withExtendedLifetime(held) {} })
        for one in [session, fork, loaded] { _ = try await one.respond(to: "Hello", options: options) }
        try await fork.truncate(to: 2)
        try await loaded.prewarm("Hello there")
      }
      let isGone = try await eventually { gone == nil }
      XCTAssertTrue(isGone, "the processor is left")
    }
  }

  func testFailuresReleaseEverything() async throws {
    try await expectNothingLeft {
      let session = Session(try await Model.load(at: demo))
      let broken: Prompt = "\(ImageInput(data: Data("no picture".utf8)))"
      let error = await failure { () async throws(RmlxError) in try await session.respond(to: broken) }
      XCTAssertEqual(error?.code, .invalidMedia)
      let limit = LoadOptions(memoryLimit: 1000)
      let large = await failure { () async throws(RmlxError) in
        try await Model.load(at: demo, options: limit) { _ in }
      }
      XCTAssertEqual(large?.code, .outOfMemory)
    }
  }
}
