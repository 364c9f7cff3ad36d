import CRmlx
import Foundation

/// The C session, its thread, and the order of what happens to it: everything but a cancel runs on the queue.
final class SessionCore: Sendable {
  private enum State {
    case unused(Model, SessionOptions)
    case open(Handle)
    case closed
  }

  private let queue = DispatchQueue(label: "rmlx session", qos: .userInitiated)
  private let state: Locked<State>
  /// Whether the FINISH of a submit is still to come. Only the queue looks.
  private let unfinished = Locked(false)

  init(_ model: Model, _ options: SessionOptions) {
    state = Locked(.unused(model, options))
  }

  /// Never waits. The lock keeps the session from being released meanwhile.
  func cancel() {
    state.withLock { state in
      if case .open(let session) = state { rmlx_session_cancel(session.pointer) }
    }
  }

  func statistics() throws(RmlxError) -> Statistics {
    var raw = rmlx_stats()
    raw.struct_size = MemoryLayout<rmlx_stats>.size
    let session: Handle? = try state.withLock { state -> Result<Handle?, RmlxError> in
      switch state {
      case .unused: .success(nil)
      case .open(let session): .success(session)
      case .closed: .failure(.closed)
      }
    }.get()
    if let session {
      try check { error in rmlx_session_stats(session.pointer, &raw, error) }
    }
    return Statistics(raw)
  }

  /// Runs work on the session's thread.
  func run<Value: Sendable>(
    _ work: @escaping @Sendable (OpaquePointer) throws(RmlxError) -> Value
  ) async throws(RmlxError) -> Value {
    try await offPool(queue) { () throws(RmlxError) in
      let session = try self.session()
      return try work(session.pointer)
    }
  }

  func async(_ work: @escaping @Sendable () -> Void) {
    queue.async(execute: work)
  }

  /// Stops the answer in the making, releases the session, and then calls `done`.
  func close(then done: (@Sendable () -> Void)?) {
    cancel()
    queue.async { [self] in
      drain()
      state.withLock { $0 = .closed }
      done?()
    }
  }

  /// Stops the answer that nobody waits for any more.
  func abandon() {
    cancel()
    queue.async { [self] in drain() }
  }

  // What follows runs on the queue.

  func submit(
    _ prompt: Prompt, _ options: GenerationOptions, isCancelled: () -> Bool
  ) throws(RmlxError) {
    let session = try session()
    let raw = rmlx_generation_options_new()
    defer { rmlx_generation_options_release(raw) }
    try options.apply(to: raw)
    try prompt.withRaw(isCancelled: isCancelled) { (prompt) throws(RmlxError) in
      try check { error in rmlx_session_submit(session.pointer, prompt, raw, error) }
    }
    unfinished.withLock { $0 = true }
  }

  /// The next event; nil for one of a kind that this version does not know.
  func step() throws(RmlxError) -> Event? {
    let session = try session()
    var raw: OpaquePointer?
    do {
      try check { error in rmlx_session_step(session.pointer, &raw, error) }
    } catch {
      unfinished.withLock { $0 = false }
      throw error
    }
    guard let raw else { return nil }
    defer { rmlx_event_release(raw) }
    if rmlx_event_kind(raw) == RMLX_EVENT_FINISH {
      unfinished.withLock { $0 = false }
    }
    if let error = rmlx_event_error(raw) {
      throw RmlxError(status: rmlx_error_code(error), error: error)
    }
    return Event(raw)
  }

  /// Steps to the end of an answer that was cancelled.
  private func drain() {
    while unfinished.withLock({ $0 }) {
      // An error also ends it, and there is nobody to hear of it.
      _ = try? step()
    }
  }

  private func session() throws(RmlxError) -> Handle {
    let (model, options): (Model, SessionOptions)
    switch state.withLock({ $0 }) {
    case .open(let session): return session
    case .closed: throw .closed
    case .unused(let unusedModel, let unusedOptions): (model, options) = (unusedModel, unusedOptions)
    }
    let made = try Self.make(model.handle(), options)
    state.withLock { $0 = .open(made) }
    return made
  }

  private static func make(_ model: Handle, _ options: SessionOptions) throws(RmlxError) -> Handle {
    let raw = rmlx_session_options_new()
    defer { rmlx_session_options_release(raw) }
    try options.apply(to: raw)
    var session: OpaquePointer?
    try check { error in rmlx_session_new(model.pointer, raw, &session, error) }
    guard let session else { throw RmlxError(.panic, "no session was made") }
    return Handle(session) { rmlx_session_release($0) }
  }
}
