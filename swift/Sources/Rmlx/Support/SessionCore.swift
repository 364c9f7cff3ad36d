import CRmlx
import Foundation

/// The C session and the order of what happens to it: everything but a cancel runs on the queue.
final class SessionCore: Sendable {
  private enum State {
    case unused(Model, SessionOptions)
    case open(Handle)
    case closed
  }

  /// What a submit is to come to.
  enum Purpose: Sendable {
    case answer
    /// The prompt is evaluated, and not answered.
    case prefill
  }

  /// One submit, from its beginning to its FINISH.
  final class Submit: Sendable {
    fileprivate enum End {
      /// By ``Session/cancel()``, or a prefill by what is asked next.
      case cancelled
      case reset
      /// The task that went through it has begun another one.
      case left
    }

    fileprivate let purpose: Purpose
    /// The task that goes through the answer.
    fileprivate let task: Int?
    fileprivate let isCancelled = Locked(false)
    /// Who ended it before its FINISH was delivered.
    fileprivate let end = Locked<End?>(nil)
    /// What it answers, if the answer is to stay as it was generated.
    fileprivate let asked: ExactPrompt?
    /// The answer to that.
    fileprivate let draft = Locked(Draft())
    /// What the logits processor has thrown.
    fileprivate let thrown: Locked<RmlxError?>?

    fileprivate init(_ purpose: Purpose, task: Int?, _ asked: ExactPrompt?, thrown: Locked<RmlxError?>?) {
      self.purpose = purpose
      self.task = task
      self.asked = asked
      self.thrown = thrown
    }
  }

  /// What a look at a submit comes to.
  enum Step {
    case event(Event)
    /// An event of a kind that this version does not know.
    case unknown
    /// There is none yet.
    case nothing
  }

  /// Without threads of its own: however many sessions there are, no more work than there are processors.
  private let queue = DispatchQueue(
    label: "rmlx session", qos: .userInitiated, target: .global(qos: .userInitiated))
  private let state: Locked<State>
  /// The submit under way: one whose FINISH is still to come. An answer that was dropped must not touch the next one.
  private let current = Locked<Submit?>(nil)
  /// The conversation up to the last answer, if that is to stay as it was generated.
  private let answered: Locked<ExactPrompt?>
  /// Rings when there is something to step.
  private let bell = Bell()

  init(_ model: Model, _ options: SessionOptions) {
    state = Locked(.unused(model, options))
    answered = Locked(nil)
  }

  /// Takes over a session, and the conversation up to its last answer.
  init(_ session: Handle, answered: ExactPrompt? = nil) throws(RmlxError) {
    state = Locked(.open(session))
    self.answered = Locked(answered)
    try Waker.shared().watch(session, bell)
  }

  /// Stops one submit, if it is still under way.
  func cancel(_ submit: Submit) {
    if isCurrent(submit) { cancel() }
  }

  /// Stops whatever is under way.
  ///
  /// Never waits. The lock keeps the session from being released meanwhile.
  func cancel() {
    current.withLock { $0 }?.isCancelled.withLock { $0 = true }
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

  /// Runs work on the queue.
  func run<Value: Sendable>(
    _ work: @escaping @Sendable (OpaquePointer) throws(RmlxError) -> Value
  ) async throws(RmlxError) -> Value {
    try await offPool(queue) { () throws(RmlxError) in
      let session = try self.session()
      return try work(session.pointer)
    }
  }

  /// Runs work that needs the session at rest: what nobody goes through any more is ended first, and so is a prefill.
  func runAtRest<Value: Sendable>(
    _ work: @escaping @Sendable (OpaquePointer) throws(RmlxError) -> Value
  ) async throws(RmlxError) -> Value {
    let task = withUnsafeCurrentTask { $0?.hashValue }
    return try await run { [self] (session) throws(RmlxError) in
      try endPrevious(for: task)
      return try work(session)
    }
  }

  /// A second one that has been through the same.
  func fork() async throws(RmlxError) -> SessionCore {
    try await runAtRest { [self] (session) throws(RmlxError) in
      let fork = try Self.made { out, error in rmlx_session_fork(session, out, error) }
      return try SessionCore(fork, answered: answered.withLock { $0 }?.copy())
    }
  }

  func async(_ work: @escaping @Sendable () -> Void) {
    queue.async(execute: work)
  }

  /// Runs work on the queue when another look at a submit may find more than the last one did. Holds no thread meanwhile.
  func whenThereIsMore(_ work: @escaping @Sendable () -> Void) {
    bell.listen { [self] in async(work) }
  }

  /// Stops the answer in the making, releases the session, and then calls `done`.
  func close(then done: (@Sendable () -> Void)?) {
    cancel()
    queue.async { [self] in
      drain(.cancelled)
      // Whoever waits for the answer hears of its end first.
      queue.async { [self] in
        drain(.cancelled)
        state.withLock { $0 = .closed }
        answered.withLock { $0 = nil }
        Waker.forget(bell)
        done?()
      }
    }
  }

  /// Stops the answer that nobody waits for any more.
  func abandon(_ submit: Submit) {
    cancel(submit)
    queue.async { [self] in
      if isCurrent(submit) { drain(.left) }
    }
  }

  /// Forgets everything, and drops the answer in the making.
  func reset() async throws(RmlxError) {
    cancel()
    try await run { [self] (session) throws(RmlxError) in
      drain(.reset)
      answered.withLock { $0 = nil }
      try check { error in rmlx_session_reset(session, error) }
    }
  }

  private func isCurrent(_ submit: Submit) -> Bool {
    current.withLock { $0 === submit }
  }

  // What follows runs on the queue.

  /// Begins an answer for a task.
  func submit(
    _ prompt: Prompt, _ options: GenerationOptions, _ purpose: Purpose, for task: Int?, _ cancel: CancelFlag
  ) throws(RmlxError) -> Submit {
    let session = try session()
    try endPrevious(for: task)
    let exact = try exactPrompt(prompt, options, cancel)
    let thrown = try options.withRaw { (raw) throws(RmlxError) in
      let thrown = try options.logitsProcessor?.install(in: raw)
      let prompt = if let exact { exact.raw } else { try prompt.raw(cancel) }
      try check { error in
        switch purpose {
        case .answer: rmlx_session_submit(session.pointer, prompt.pointer, raw, error)
        case .prefill: rmlx_session_prefill(session.pointer, prompt.pointer, raw, error)
        }
      }
      return thrown
    }
    let submit = Submit(purpose, task: task, exact, thrown: thrown)
    current.withLock { $0 = submit }
    return submit
  }

  /// A prompt whose answer is to stay as it is generated, and which goes on from the last such answer if it can; nil if the
  /// options do not ask for that.
  private func exactPrompt(
    _ prompt: Prompt, _ options: GenerationOptions, _ cancel: CancelFlag
  ) throws(RmlxError) -> ExactPrompt? {
    guard options.exactHistory == true, prompt.tokens.isEmpty else { return nil }
    let last = answered.withLock { answered in
      // Whatever becomes of it, it is no more what it was.
      defer { answered = nil }
      return answered
    }
    return if let last, last.begins(prompt) {
      try last.goingOn(to: prompt, cancel)
    } else {
      try ExactPrompt(prompt, cancel)
    }
  }

  /// Ends an answer that nobody goes through any more: one that was cancelled, or one of the task that now asks for another
  /// one. A loop at the top level of a program does not let go of its iterator when it is left.
  private func endPrevious(for task: Int?) throws(RmlxError) {
    guard let previous = current.withLock({ $0 }) else { return }
    if previous.isCancelled.withLock({ $0 }) || previous.purpose == .prefill {
      cancel()
      drain(.cancelled)
    } else if task != nil && previous.task == task {
      cancel()
      drain(.left)
    } else {
      throw RmlxError(
        .busy,
        "another task's answer is in the making on this session: go through it to its end, or call cancel(), or make "
          + "another session")
    }
  }

  /// The next event of a submit, if it is there. Does not wait.
  func look(_ submit: Submit) throws(RmlxError) -> Step {
    bell.still()
    return try step(submit, rmlx_session_try_step)
  }

  /// One of the C functions that step.
  private typealias Next = (
    OpaquePointer?, UnsafeMutablePointer<OpaquePointer?>?, UnsafeMutablePointer<OpaquePointer?>?
  ) -> rmlx_status

  private func step(_ submit: Submit, _ next: Next) throws(RmlxError) -> Step {
    let session = try session()
    guard isCurrent(submit) else {
      switch submit.end.withLock({ $0 }) {
      case .cancelled: return .event(.cancelled)
      case .left: throw RmlxError(.cancelled, "the answer was dropped, because the same task has begun another one")
      case .reset, nil: throw RmlxError(.cancelled, "the answer was dropped, because the session was reset")
      }
    }
    var raw: OpaquePointer?
    do {
      try check { error in next(session.pointer, &raw, error) }
    } catch {
      if error.code == .timeout { return .nothing }
      current.withLock { $0 = nil }
      throw error
    }
    guard let raw else { return .unknown }
    defer { rmlx_event_release(raw) }
    let isLast = rmlx_event_kind(raw) == RMLX_EVENT_FINISH
    if isLast { current.withLock { $0 = nil } }
    if let error = rmlx_event_error(raw) {
      // Where the processor has thrown, the library only knows that it has ended the answer.
      throw submit.thrown?.withLock { $0 } ?? RmlxError(status: rmlx_error_code(error), error: error)
    }
    guard let event = Event(raw) else { return .unknown }
    if let asked = submit.asked {
      submit.draft.withLock { $0.add(event) }
      if isLast {
        answered.withLock { answered in
          switch submit.purpose {
          case .answer: answered = asked.answered(by: submit.draft.withLock { $0.message }, of: session)
          case .prefill: answered = asked
          }
        }
      }
    }
    return .event(event)
  }

  /// Steps to the end of an answer that was cancelled.
  private func drain(_ end: Submit.End) {
    while let submit = current.withLock({ $0 }) {
      submit.end.withLock { $0 = end }
      // An error also ends it, and there is nobody to hear of it.
      _ = try? step(submit, rmlx_session_step)
    }
    // Whoever went through it looks again, and finds it ended.
    bell.ring()
  }

  private func session() throws(RmlxError) -> Handle {
    let (model, options): (Model, SessionOptions)
    switch state.withLock({ $0 }) {
    case .open(let session): return session
    case .closed: throw .closed
    case .unused(let unusedModel, let unusedOptions): (model, options) = (unusedModel, unusedOptions)
    }
    let made = try Self.make(model.handle(), options)
    try Waker.shared().watch(made, bell)
    state.withLock { $0 = .open(made) }
    return made
  }

  private static func make(_ model: Handle, _ options: SessionOptions) throws(RmlxError) -> Handle {
    try options.withRaw { (options) throws(RmlxError) in
      try made { out, error in rmlx_session_new(model.pointer, options, out, error) }
    }
  }

  /// Takes over the session that the call makes.
  static func made(
    _ call: (UnsafeMutablePointer<OpaquePointer?>, UnsafeMutablePointer<OpaquePointer?>) -> rmlx_status
  ) throws(RmlxError) -> Handle {
    var session: OpaquePointer?
    try check { error in call(&session, error) }
    guard let session else { throw RmlxError(.panic, "no session was made") }
    return Handle(session) { rmlx_session_release($0) }
  }
}
