// Two threads write one variable without a lock: ThreadSanitizer has to stop this program.

import Foundation

final class Unguarded: @unchecked Sendable {
  var count = 0
}

@main
enum Race {
  static func main() {
    let unguarded = Unguarded()
    let done = DispatchSemaphore(value: 0)
    // Threads, and not a queue, which may do all its work on one.
    for _ in 0..<2 {
      Thread.detachNewThread {
        for _ in 0..<10_000 { unguarded.count += 1 }
        done.signal()
      }
    }
    for _ in 0..<2 { done.wait() }
  }
}
