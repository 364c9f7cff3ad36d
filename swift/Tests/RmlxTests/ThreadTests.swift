import Foundation
import XCTest

@testable import Rmlx

/// XCTest runs these one by one and before all others, so that the threads are theirs alone.
final class ThreadTests: XCTestCase {
  #if os(Linux)
    private func threads() throws -> Int {
      let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
      let line = status.split(separator: "\n").first { $0.hasPrefix("Threads:") }
      return Int(line?.split(separator: "\t").last ?? "") ?? 0
    }

    func testAnswersInTheMakingHoldNoThreads() async throws {
      let model = try await Model.load(at: demo)
      let before = try threads()
      let processors = ProcessInfo.processInfo.activeProcessorCount
      let sessions = (0..<24 + 2 * processors).map { _ in Session(model) }
      let seen = Locked(Set<Int>())
      let tasks = sessions.enumerated().map { index, session in
        Task {
          for try await _ in session.generate("Hello", endless) { seen.withLock { _ = $0.insert(index) } }
        }
      }
      let all = try await eventually { seen.withLock { $0.count } == sessions.count }
      XCTAssertTrue(all, "not all of the sessions answer")
      var most = 0
      for _ in 0..<50 {
        most = max(most, try threads())
        try await Task.sleep(for: .milliseconds(10))
      }
      XCTAssertLessThan(most, before + 12 + 2 * processors)
      tasks.forEach { $0.cancel() }
      for task in tasks { _ = await task.result }
    }
  #endif

  func testAPauseIsWaitedForWithoutAnEvent() async throws {
    let session = Session(try await Model.load(at: demo))
    let events = session.generate("What is the capital of France?", endless).makeAsyncIterator()
    _ = try await events.next()
    try Library.suspend()
    let came = Locked(0)
    let task = Task { () throws(RmlxError) -> Bool in
      for _ in 0..<20 {
        _ = try await events.next()
        came.withLock { $0 += 1 }
      }
      return true
    }
    try await Task.sleep(for: .milliseconds(200))
    XCTAssertLessThan(came.withLock { $0 }, 4)
    try Library.resume()
    let went = try await task.value
    XCTAssertTrue(went)
  }

  func testACancelInAPauseIsAnEnd() async throws {
    let session = Session(try await Model.load(at: demo))
    let events = session.generate("Hello", endless).makeAsyncIterator()
    _ = try await events.next()
    try Library.suspend()
    let task = Task { () throws(RmlxError) -> Bool in
      while try await events.next() != nil {}
      return true
    }
    try await Task.sleep(for: .milliseconds(100))
    task.cancel()
    let result = await task.result
    try Library.resume()
    XCTAssertThrowsError(try result.get()) { XCTAssertEqual(($0 as? RmlxError)?.code, .cancelled) }
  }
}
