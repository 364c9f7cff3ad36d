import CRmlx

extension GenerationOptions {
  /// Changes the logits that the next token is drawn from.
  ///
  ///     options.logitsProcessor = .init { tokens, logits in
  ///       if tokens.last == comma { logits[Int(comma)] = -.infinity }
  ///     }
  ///
  /// It sees each row as the model gave it, before all other options have their effect. An answer with one is slower, as no
  /// token is computed ahead. Tokens that a ``GenerationOptions/constraint`` or the
  /// ``GenerationOptions/thinkingBudget`` demands come without it.
  ///
  /// It runs on a thread of its session's, for one token at a time; answers of other sessions with the same options may be in it
  /// at the same time. It must not wait for its own session.
  ///
  /// Copies are equal, and two that are made apart are not.
  public struct LogitsProcessor: Hashable, Sendable {
    /// Gets the tokens of the prompt and of the answer so far, those of media in their places; and the logits, a number for each
    /// id of the vocabulary, to be changed in place. `-.infinity` forbids a token; another infinity, or no number, ends the answer
    /// with ``RmlxError/Code/invalidArgument``. Neither may be used after it has returned.
    ///
    /// What it throws ends the answer, which then throws it: an ``RmlxError`` as it is, any other error as one of the
    /// code ``RmlxError/Code/processorFailed``.
    public typealias Body =
      @Sendable (
        _ tokens: UnsafeBufferPointer<TokenID>, _ logits: UnsafeMutableBufferPointer<Float>
      ) throws -> Void

    private final class Held: Sendable {
      let body: Body

      init(_ body: @escaping Body) {
        self.body = body
      }
    }

    private let held: Held

    /// Makes a processor.
    public init(_ body: @escaping Body) {
      held = Held(body)
    }

    /// Whether both are copies of one.
    public static func == (one: Self, other: Self) -> Bool { one.held === other.held }

    /// Hashes which one it is.
    public func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(held)) }

    /// Adds it to the C library's options, for one answer. What it throws is kept there.
    func install(in options: OpaquePointer) throws(RmlxError) -> Locked<RmlxError?> {
      let run = ProcessorRun(held.body)
      let retained = Unmanaged.passRetained(run)
      do {
        try check { error in
          rmlx_generation_options_set_logits_processor(
            options,
            { ids, idCount, logits, logitCount, userData in
              guard let userData else { return 1 }
              let run = Unmanaged<ProcessorRun>.fromOpaque(userData).takeUnretainedValue()
              return run.process(
                UnsafeBufferPointer(start: ids, count: idCount),
                UnsafeMutableBufferPointer(start: logits, count: logitCount))
            }, retained.toOpaque(), { $0.map { Unmanaged<ProcessorRun>.fromOpaque($0).release() } }, error)
        }
      } catch {
        retained.release()
        throw error
      }
      return run.failure
    }
  }
}

/// A processor at work for one answer.
private final class ProcessorRun: Sendable {
  let failure = Locked<RmlxError?>(nil)
  private let body: GenerationOptions.LogitsProcessor.Body

  init(_ body: @escaping GenerationOptions.LogitsProcessor.Body) {
    self.body = body
  }

  /// 0 if all is well.
  func process(_ ids: UnsafeBufferPointer<TokenID>, _ logits: UnsafeMutableBufferPointer<Float>) -> Int32 {
    do {
      try body(ids, logits)
      return 0
    } catch {
      let thrown =
        switch error {
        case let error as RmlxError: error
        case is CancellationError: RmlxError.cancelled
        default: RmlxError(.processorFailed, "the logits processor failed: \(error)")
        }
      failure.withLock { $0 = thrown }
      return 1
    }
  }
}
