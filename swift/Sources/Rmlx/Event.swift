import CRmlx

/// One step of an answer.
///
/// Later versions may add cases, and deliver them only to those who ask for them by an option.
public enum Event: Hashable, Sendable {
  /// A token of the answer.
  case text(Token)
  /// A token of what the model thinks before it answers.
  case reasoning(Token)
  /// A tool that the model calls.
  case toolCall(ToolCall)
  /// More of the prompt has been evaluated.
  case progress(Progress)
  /// The answer has ended. This is the last event.
  case finish(Finish)

  /// A token and its text.
  public struct Token: Hashable, Sendable {
    /// The text that it adds: whole characters, or nothing while one is not complete or a stop string may have begun.
    public let text: String
    /// Its number in the vocabulary.
    public let id: UInt32
    /// The natural logarithm of its probability, if ``GenerationOptions/topLogprobs`` asked for it.
    public let logprob: Float?
    /// The likeliest tokens at its place, the likeliest first.
    public let topLogprobs: [TopLogprob]
  }

  /// One of the likeliest tokens at a place.
  public struct TopLogprob: Hashable, Sendable {
    /// Its number in the vocabulary.
    public let id: UInt32
    /// Its text.
    public let text: String
    /// The natural logarithm of its probability.
    public let logprob: Float
  }

  /// A tool that the model calls.
  public struct ToolCall: Hashable, Sendable {
    /// The call as the model wrote it.
    public let text: String
  }

  /// How far the evaluation of the prompt is.
  public struct Progress: Hashable, Sendable {
    /// Tokens that are evaluated.
    public let done: Int
    /// Tokens that there are.
    public let total: Int
  }

  /// How an answer ended.
  public struct Finish: Hashable, Sendable {
    /// Why it ended.
    public let reason: Reason
    /// The last of its text, if some was held back.
    public let text: String
  }

  /// Why an answer ended. An answer that fails throws instead, and so does one whose task is cancelled.
  public struct Reason: RawRepresentable, Hashable, Sendable {
    /// The number that the C library gives it.
    public let rawValue: Int32

    /// Makes a reason of its number.
    public init(rawValue: Int32) {
      self.rawValue = rawValue
    }

    /// The model ended its turn.
    public static let endOfTurn = Reason(rawValue: RMLX_FINISH_END_OF_TURN)
    /// As many tokens as the options allow were generated.
    public static let maxTokens = Reason(rawValue: RMLX_FINISH_MAX_TOKENS)
    /// A stop string appeared.
    public static let stopString = Reason(rawValue: RMLX_FINISH_STOP_STRING)
    /// ``Session/cancel()`` was called.
    public static let cancelled = Reason(rawValue: RMLX_FINISH_CANCELLED)
    /// The context has no position left.
    public static let contextFull = Reason(rawValue: RMLX_FINISH_CONTEXT_FULL)
  }

  /// The text that the event adds to the answer; nil if it adds none.
  public var text: String? {
    switch self {
    case .text(let token): token.text.isEmpty ? nil : token.text
    case .finish(let finish): finish.text.isEmpty ? nil : finish.text
    case .reasoning, .toolCall, .progress: nil
    }
  }
}

extension Event {
  /// Reads an event of the C library; nil for a kind that this version does not know.
  init?(_ event: OpaquePointer) {
    var size = 0
    let text = string(rmlx_event_text(event, &size), size: size)
    switch rmlx_event_kind(event) {
    case RMLX_EVENT_TEXT: self = .text(Token(event, text))
    case RMLX_EVENT_REASONING: self = .reasoning(Token(event, text))
    case RMLX_EVENT_TOOL_CALL: self = .toolCall(ToolCall(text: text))
    case RMLX_EVENT_PROGRESS:
      var (done, total) = (0, 0)
      rmlx_event_progress(event, &done, &total)
      self = .progress(Progress(done: done, total: total))
    case RMLX_EVENT_FINISH:
      self = .finish(Finish(reason: Reason(rawValue: rmlx_event_finish_reason(event)), text: text))
    default: return nil
    }
  }
}

extension Event.Token {
  fileprivate init(_ event: OpaquePointer, _ text: String) {
    var id: UInt32 = 0
    rmlx_event_token(event, &id)
    var logprob: Float = 0
    let hasLogprob = rmlx_event_logprob(event, &logprob)
    let top = (0..<rmlx_event_top_logprob_count(event)).map { index in
      var (id, logprob) = (UInt32(0), Float(0))
      rmlx_event_top_logprob(event, index, &id, &logprob)
      let text = String(cString: rmlx_event_top_logprob_text(event, index))
      return Event.TopLogprob(id: id, text: text, logprob: logprob)
    }
    self.init(text: text, id: id, logprob: hasLogprob ? logprob : nil, topLogprobs: top)
  }
}
