import CRmlx
import Foundation

/// The events of an answer, as they come.
///
///     for try await event in session.generate(prompt) {
///       if let text = event.text { print(text, terminator: "") }
///     }
public struct Events: AsyncSequence, Sendable {
  /// What it delivers.
  public typealias Element = Event
  /// What it throws.
  public typealias Failure = RmlxError

  let session: Session
  let prompt: Prompt
  let options: GenerationOptions

  /// Only the text of the answer, piece by piece.
  public var text: TextStream { TextStream(events: self) }

  /// Begins an answer, with the first call of `next`.
  public func makeAsyncIterator() -> Iterator {
    Iterator(consumer: session.begin(prompt, options))
  }

  /// Goes through one answer. Letting go of it stops the model.
  public struct Iterator: AsyncIteratorProtocol, Sendable {
    /// What it delivers.
    public typealias Element = Event
    /// What it throws.
    public typealias Failure = RmlxError

    let consumer: Consumer

    /// The next event; nil after the last one.
    public func next() async throws(RmlxError) -> Event? {
      try await consumer.answer.next()
    }

    /// The next event; nil after the last one.
    @available(macOS 15, iOS 18, tvOS 18, watchOS 11, visionOS 2, *)
    public func next(isolation actor: isolated (any Actor)?) async throws(RmlxError) -> Event? {
      try await consumer.answer.next()
    }
  }
}

/// The text of an answer, as it comes: never an empty piece, and no thought or tool call.
public struct TextStream: AsyncSequence, Sendable {
  /// What it delivers.
  public typealias Element = String
  /// What it throws.
  public typealias Failure = RmlxError

  let events: Events

  /// Begins an answer, with the first call of `next`.
  public func makeAsyncIterator() -> Iterator {
    Iterator(events: events.makeAsyncIterator())
  }

  /// Goes through one answer. Letting go of it stops the model.
  public struct Iterator: AsyncIteratorProtocol, Sendable {
    /// What it delivers.
    public typealias Element = String
    /// What it throws.
    public typealias Failure = RmlxError

    let events: Events.Iterator

    /// The next piece of text; nil after the last one.
    public func next() async throws(RmlxError) -> String? {
      while let event = try await events.next() {
        if let text = event.text { return text }
      }
      return nil
    }

    /// The next piece of text; nil after the last one.
    @available(macOS 15, iOS 18, tvOS 18, watchOS 11, visionOS 2, *)
    public func next(isolation actor: isolated (any Actor)?) async throws(RmlxError) -> String? {
      try await next()
    }
  }
}

/// Whoever goes through an answer.
///
/// It is not held by the work that is under way on the session's queue, so that it goes when the loop is left, and
/// whatever is asked next comes after the stop.
final class Consumer: Sendable {
  let answer: Answer

  init(_ answer: Answer) {
    self.answer = answer
  }

  deinit {
    answer.abandon()
  }
}

/// One answer of a session, from its submit to its last event.
final class Answer: Sendable {
  private enum Phase {
    case new
    case running(SessionCore.Submit)
    case over
  }

  private struct State {
    var phase = Phase.new
    var cancelled = false
  }

  /// Held, so that a session that nobody else holds lives until the answer ends.
  private let session: Session
  private let core: SessionCore
  private let prompt: Prompt
  private let options: GenerationOptions
  private let state = Locked(State())

  init(_ session: Session, _ core: SessionCore, _ prompt: Prompt, _ options: GenerationOptions) {
    self.session = session
    self.core = core
    self.prompt = prompt
    self.options = options
  }

  /// Stops it, if it has not ended.
  func abandon() {
    let phase = state.withLock { state in
      defer { state.phase = .over }
      return state.phase
    }
    if case .running(let submit) = phase { core.abandon(submit) }
  }

  /// The next event; nil after the last one.
  func next() async throws(RmlxError) -> Event? {
    let task = withUnsafeCurrentTask { $0?.hashValue }
    let result: Result<Event?, RmlxError> = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        core.async { self.advance(task) { continuation.resume(returning: $0) } }
      }
    } onCancel: {
      state.withLock { $0.cancelled = true }
      // Before the submit this does nothing, and after it the flag is looked at.
      if case .running(let submit) = state.withLock({ $0.phase }) { core.cancel(submit) }
    }
    return try result.get()
  }

  /// On the session's queue. What is not there yet is not waited for there.
  private func advance(_ task: Int?, _ done: @escaping @Sendable (Result<Event?, RmlxError>) -> Void) {
    do throws(RmlxError) {
      switch try look(task) {
      case .next(let event): done(.success(event))
      case .nothing: core.whenThereIsMore { self.advance(task, done) }
      }
    } catch {
      done(.failure(error))
    }
  }

  private enum Look {
    /// The next event; nil after the last one.
    case next(Event?)
    /// It is not there yet.
    case nothing
  }

  private func look(_ task: Int?) throws(RmlxError) -> Look {
    let submit: SessionCore.Submit
    switch state.withLock({ $0.phase }) {
    case .over: return .next(nil)
    case .running(let running): submit = running
    case .new: submit = try begin(task)
    }
    do throws(RmlxError) {
      while true {
        switch try core.look(submit) {
        case .nothing: return .nothing
        case .unknown: continue
        case .event(let event):
          if let finish = event.finish {
            state.withLock { $0.phase = .over }
            if isCancelled && finish.reason == .cancelled { throw RmlxError.cancelled }
            return .next(event)
          }
          // A consumer that has gone gets no more; the loop goes on to the answer's end.
          if !isCancelled { return .next(event) }
        }
      }
    } catch {
      state.withLock { $0.phase = .over }
      throw error
    }
  }

  private func begin(_ task: Int?) throws(RmlxError) -> SessionCore.Submit {
    let submit: SessionCore.Submit
    do throws(RmlxError) {
      if isCancelled { throw RmlxError.cancelled }
      submit = try core.submit(prompt, options, for: task) { isCancelled }
    } catch {
      state.withLock { $0.phase = .over }
      throw error
    }
    state.withLock { $0.phase = .running(submit) }
    // A cancel that came during the submit may have been too early for the library.
    if isCancelled { core.cancel(submit) }
    return submit
  }

  private var isCancelled: Bool { state.withLock { $0.cancelled } }
}
