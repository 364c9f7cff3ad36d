import CRmlx
import Dispatch

/// Stops the work that watches it, from any thread.
///
/// Once triggered it stays so.
final class CancelFlag: Sendable {
  private struct State {
    var isTriggered = false
    var handle: Handle?
  }

  private let state = Locked(State())

  var isTriggered: Bool { state.withLock { $0.isTriggered } }

  /// What the library watches. Lives as long as the flag, and is made when it is first asked for.
  var pointer: OpaquePointer? {
    state.withLock { state in
      if state.handle == nil, let made = rmlx_cancel_new() {
        state.handle = Handle(made) { rmlx_cancel_release($0) }
        if state.isTriggered { rmlx_cancel_trigger(made) }
      }
      return state.handle?.pointer
    }
  }

  func trigger() {
    state.withLock { state in
      state.isTriggered = true
      rmlx_cancel_trigger(state.handle?.pointer)
    }
  }
}

/// Runs work that may block on a thread of its own, and waits for it without holding one of Swift's.
///
/// Cancelling the task triggers the flag that the work gets.
func cancellable<Value: Sendable>(
  _ work: @escaping @Sendable (CancelFlag) throws(RmlxError) -> Value
) async throws(RmlxError) -> Value {
  let cancel = CancelFlag()
  let result: Result<Value, RmlxError> = await withTaskCancellationHandler {
    await withCheckedContinuation { continuation in
      sharedQueue.async {
        continuation.resume(returning: Result { () throws(RmlxError) in try work(cancel) })
      }
    }
  } onCancel: {
    cancel.trigger()
  }
  return try result.get()
}
