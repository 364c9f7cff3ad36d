import XCTest

@testable import Rmlx

/// XCTest runs these one by one and before all others: what is paused here is paused in the whole process.
final class LifecycleTests: XCTestCase {
  func testAnswersWaitInTheBackground() async throws {
    let model = try await Model.load(at: demo)
    let expected = try await Session(model).respond(to: "\(picture)Describe the picture.", options: .greedy).text
    let lifecycle = AppLifecycle()
    let (session, watched) = (Session(model), Session(model))
    lifecycle.watch(watched)
    let events = session.generate("\(picture)Describe the picture.", .greedy).makeAsyncIterator()
    let stopped = watched.generate("Hello", endless).makeAsyncIterator()
    var text = try await events.next()?.text ?? ""
    _ = try await stopped.next()

    XCTAssertTrue(lifecycle.enteredBackground())
    let refused = await failure { () async throws(RmlxError) in try await Session(model).respond(to: "Hello") }
    XCTAssertEqual(refused?.code, .suspended)
    let generated = try session.statistics().generatedTokens
    try await Task.sleep(for: .milliseconds(100))
    XCTAssertEqual(try session.statistics().generatedTokens, generated)
    // What was watched has ended, also before the app comes back.
    var reason: Event.Finish.Reason?
    while let event = try await stopped.next() { reason = event.finish?.reason }
    XCTAssertEqual(reason, .cancelled)

    lifecycle.entersForeground()
    while let event = try await events.next() { text += event.text ?? "" }
    XCTAssertEqual(text, expected)
  }
}
