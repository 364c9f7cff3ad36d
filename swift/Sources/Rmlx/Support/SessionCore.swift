import CRmlx
import Foundation

/// The C session, its thread, and the order of what happens to it: everything but a cancel runs on the queue.
final class SessionCore: Sendable {
  private enum State {
    case unused(Model, SessionOptions)
    case open(Handle)
    case closed
  }

  /// Which submit is under way: one whose FINISH is still to come. An answer that was dropped must not touch the next one.
  private struct Submits {
    var last = 0
    var current: Int?
  }

  private let queue = DispatchQueue(label: "rmlx session", qos: .userInitiated)
  private let state: Locked<State>
  private let submits = Locked(Submits())

  init(_ model: Model, _ options: SessionOptions) {
    state = Locked(.unused(model, options))
  }

  /// Stops one submit, if it is still under way.
  func cancel(_ submit: Int) {
    if isCurrent(submit) { cancel() }
  }

  /// Stops whatever is under way.
  ///
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
  func abandon(_ submit: Int) {
    cancel(submit)
    queue.async { [self] in
      if isCurrent(submit) { drain() }
    }
  }

  /// Forgets everything, and drops the answer in the making.
  func reset() async throws(RmlxError) {
    cancel()
    try await run { [self] (session) throws(RmlxError) in
      drain()
      try check { error in rmlx_session_reset(session, error) }
    }
  }

  private func isCurrent(_ submit: Int) -> Bool {
    submits.withLock { $0.current == submit }
  }

  // What follows runs on the queue.

  /// Begins an answer, and returns its number.
  func submit(
    _ prompt: Prompt, _ options: GenerationOptions, isCancelled: () -> Bool
  ) throws(RmlxError) -> Int {
    let session = try session()
    let raw = rmlx_generation_options_new()
    defer { rmlx_generation_options_release(raw) }
    try options.apply(to: raw)
    try prompt.withRaw(isCancelled: isCancelled) { (prompt) throws(RmlxError) in
      try check { error in rmlx_session_submit(session.pointer, prompt, raw, error) }
    }
    return submits.withLock { submits in
      submits.last += 1
      submits.current = submits.last
      return submits.last
    }
  }

  /// The next event of a submit; nil for one of a kind that this version does not know.
  func step(_ submit: Int) throws(RmlxError) -> Event? {
    let session = try session()
    guard isCurrent(submit) else {
      throw RmlxError(.cancelled, "the answer was dropped, because the session was reset")
    }
    var raw: OpaquePointer?
    do {
      try check { error in rmlx_session_step(session.pointer, &raw, error) }
    } catch {
      submits.withLock { $0.current = nil }
      throw error
    }
    guard let raw else { return nil }
    defer { rmlx_event_release(raw) }
    if rmlx_event_kind(raw) == RMLX_EVENT_FINISH {
      submits.withLock { $0.current = nil }
    }
    if let error = rmlx_event_error(raw) {
      throw RmlxError(status: rmlx_error_code(error), error: error)
    }
    return Event(raw)
  }

  /// Steps to the end of an answer that was cancelled.
  private func drain() {
    while let submit = submits.withLock({ $0.current }) {
      // An error also ends it, and there is nobody to hear of it.
      _ = try? step(submit)
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
