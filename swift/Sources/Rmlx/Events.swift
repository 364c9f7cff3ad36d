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
  var purpose = SessionCore.Purpose.answer

  /// Only the text of the answer, piece by piece.
  public var text: TextStream { TextStream(events: self) }

  /// Begins an answer, with the first call of `next`.
  public func makeAsyncIterator() -> Iterator {
    Iterator(consumer: session.begin(prompt, options, purpose))
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

  /// Held, so that a session that nobody else holds lives until the answer ends.
  private let session: Session
  private let core: SessionCore
  private let prompt: Prompt
  private let options: GenerationOptions
  private let purpose: SessionCore.Purpose
  private let phase = Locked(Phase.new)
  private let cancel = CancelFlag()

  init(
    _ session: Session, _ core: SessionCore, _ prompt: Prompt, _ options: GenerationOptions,
    _ purpose: SessionCore.Purpose
  ) {
    self.session = session
    self.core = core
    self.prompt = prompt
    self.options = options
    self.purpose = purpose
  }

  /// Stops it, if it has not ended.
  func abandon() {
    let last = phase.withLock { phase in
      defer { phase = .over }
      return phase
    }
    if case .running(let submit) = last { core.abandon(submit) }
  }

  /// The next event; nil after the last one.
  func next() async throws(RmlxError) -> Event? {
    let task = withUnsafeCurrentTask { $0?.hashValue }
    let result: Result<Event?, RmlxError> = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        core.async { self.advance(task) { continuation.resume(returning: $0) } }
      }
    } onCancel: {
      cancel.trigger()
      // Before the submit this does nothing, and after it the flag is looked at.
      if case .running(let submit) = phase.withLock({ $0 }) { core.cancel(submit) }
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
    switch phase.withLock({ $0 }) {
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
            phase.withLock { $0 = .over }
            if cancel.isTriggered && finish.reason == .cancelled { throw RmlxError.cancelled }
            return .next(event)
          }
          // A consumer that has gone gets no more; the loop goes on to the answer's end.
          if !cancel.isTriggered { return .next(event) }
        }
      }
    } catch {
      phase.withLock { $0 = .over }
      throw error
    }
  }

  private func begin(_ task: Int?) throws(RmlxError) -> SessionCore.Submit {
    let submit: SessionCore.Submit
    do throws(RmlxError) {
      if cancel.isTriggered { throw RmlxError.cancelled }
      submit = try core.submit(prompt, options, purpose, for: task, cancel)
    } catch {
      phase.withLock { $0 = .over }
      throw error
    }
    phase.withLock { $0 = .running(submit) }
    // A cancel that came during the submit may have been too early for the library.
    if cancel.isTriggered { core.cancel(submit) }
    return submit
  }
}
