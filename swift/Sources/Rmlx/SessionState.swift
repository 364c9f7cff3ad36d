import CRmlx
import Foundation

/// What a session holds, beyond one answer.
///
/// Each of these ends an answer that nobody goes through any more, and a prefill; an answer of another task that is in the making is
/// ``RmlxError/Code/busy``.
extension Session {
  /// Makes a second session that has been through the same.
  ///
  /// From then on the two go their own ways, also at the same time.
  ///
  /// Nothing is copied, and nothing waited for: what is held is shared, and a session that goes on copies what it writes to, once.
  ///
  ///     let other = try await session.fork()
  ///     async let brief = session.respond(to: prompt + [.user("Say it in a word.")])
  ///     async let long = other.respond(to: prompt + [.user("Say it at length.")])
  public func fork() async throws(RmlxError) -> Session {
    Session(try await core.fork())
  }

  /// Forgets what the session holds from a position on.
  ///
  /// An answer does so by itself where its prompt differs; this is for who wants it sooner.
  ///
  /// Fewer positions may stay than were asked for: an image is never cut in two, and a model with a sliding window goes back to
  /// the nearest position whose state was kept (``SessionOptions/checkpoints``). What is returned says how much that costs.
  ///
  /// - Parameter position: How many positions are to stay. ``promptTokens()`` has those of the prompt, and the answer's follow.
  @discardableResult
  public func truncate(to position: Int) async throws(RmlxError) -> Truncation {
    let wanted: Int = try count(position, "position")
    return try await runAtRest { (session) throws(RmlxError) in
      var before = rmlx_stats()
      before.struct_size = MemoryLayout<rmlx_stats>.size
      try check { error in rmlx_session_stats(session, &before, error) }
      var kept = 0
      try check { error in rmlx_session_truncate(session, wanted, &kept, error) }
      return Truncation(heldTokens: kept, tokensToEvaluate: max(0, min(wanted, Int(before.held_tokens)) - kept))
    }
  }

  /// Evaluates a conversation without answering it: what every conversation of an app begins with, or what has been written so
  /// far.
  ///
  /// The events are ``Event/Kind/progress``, if the options ask for it, and the last one, with
  /// ``Event/Finish/Reason/prefilled``.
  ///
  /// Give it the options of the answer that is to follow. What is asked of the session meanwhile, by whatever task, goes first: the
  /// prefill then ends with ``Event/Finish/Reason/cancelled``, and what it has evaluated is of use all the same.
  ///
  /// With ``GenerationOptions/exactHistory`` a prompt that goes on from it has to begin with it, message by message; any other one has
  /// the template's history. It throws what an answer throws.
  public func prefill(_ prompt: Prompt, _ options: GenerationOptions = GenerationOptions()) -> Events {
    Events(session: self, prompt: prompt, options: options, purpose: .prefill)
  }

  /// Evaluates a conversation without answering it, so that an answer to it, or to one that begins like it, comes sooner.
  ///
  /// It returns when that is done, or when something else is asked of the session; see ``prefill(_:_:)``.
  @discardableResult
  public func prewarm(
    _ prompt: Prompt, options: GenerationOptions = GenerationOptions()
  ) async throws(RmlxError) -> Statistics {
    let events = prefill(prompt, options).makeAsyncIterator()
    while try await events.next() != nil {}
    return try statistics()
  }

  /// Makes a session of what ``save(to:)`` wrote, for the same model: an answer evaluates only what comes after the beginning that
  /// its prompt shares with what was saved, and encodes no image or sound that is in there.
  ///
  /// - Throws: ``RmlxError/Code/notFound``, ``RmlxError/Code/io``, ``RmlxError/Code/invalidSave`` for what is damaged or of
  ///   another model (the error's detail `fault` says which), ``RmlxError/Code/contextFull``. A new session and the whole
  ///   conversation do the same, with more work.
  public convenience init(
    _ model: Model, savedAt file: URL, options: SessionOptions = SessionOptions()
  ) async throws(RmlxError) {
    let path = try path(of: file)
    try await self.init(model, options) { rmlx_session_load($0, $1, path, $2, $3) }
  }

  /// Makes a session of what ``savedData()`` or ``save(to:)`` wrote; otherwise like ``init(_:savedAt:options:)``.
  public convenience init(
    _ model: Model, saved data: Data, options: SessionOptions = SessionOptions()
  ) async throws(RmlxError) {
    try await self.init(model, options) { model, options, out, error in
      data.withUnsafeBytes { bytes in
        // Of no bytes there may be no address, and C wants one.
        let start = bytes.baseAddress ?? UnsafeRawPointer(out)
        return rmlx_session_load_from_buffer(model, options, start, bytes.count, out, error)
      }
    }
  }

  private convenience init(
    _ model: Model, _ options: SessionOptions,
    _ load: @escaping @Sendable (
      OpaquePointer, OpaquePointer, UnsafeMutablePointer<OpaquePointer?>, UnsafeMutablePointer<OpaquePointer?>
    ) -> rmlx_status
  ) async throws(RmlxError) {
    let model = try model.handle()
    let core = try await offPool(sharedQueue) { () throws(RmlxError) in
      try options.withRaw { (options) throws(RmlxError) in
        try SessionCore(SessionCore.made { out, error in load(model.pointer, options, out, error) })
      }
    }
    self.init(core)
  }

  /// Writes what the session holds to a file: tokens, what was evaluated of them, and which images and sounds are among them,
  /// but not their pixels and samples.
  ///
  /// The prompt is a value of its own, to be saved beside it; a ``Conversation`` saves both.
  ///
  /// The file appears whole or not at all. It says what was said to whoever can read it.
  ///
  /// - Throws: ``RmlxError/Code/notFound`` (there is no such folder), ``RmlxError/Code/io``.
  public func save(to file: URL) async throws(RmlxError) {
    let path = try path(of: file)
    try await runAtRest { (session) throws(RmlxError) in
      try check { error in rmlx_session_save(session, path, error) }
    }
  }

  /// What ``save(to:)`` writes.
  public func savedData() async throws(RmlxError) -> Data {
    try await runAtRest { (session) throws(RmlxError) in
      var size = 0
      try check { error in rmlx_session_save_to_buffer(session, nil, 0, &size, error) }
      var data = Data(count: size)
      try check { error in
        data.withUnsafeMutableBytes { room in
          rmlx_session_save_to_buffer(
            session, room.baseAddress?.assumingMemoryBound(to: UInt8.self), room.count, &size, error)
        }
      }
      return data
    }
  }
}

/// What a session holds after it was cut back.
public struct Truncation: Hashable, Sendable {
  /// Positions that it still holds.
  public let heldTokens: Int
  /// Positions before the one that was cut at which it does not hold any more: the next answer evaluates them again.
  public let tokensToEvaluate: Int
}

private func path(of file: URL) throws(RmlxError) -> String {
  guard file.isFileURL else {
    throw RmlxError(.invalidArgument, "\(file) is not the URL of a file")
  }
  return file.path
}
