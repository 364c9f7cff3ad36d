import CRmlx

/// The number of a token in the vocabulary.
public typealias TokenID = UInt32

/// One step of an answer.
///
/// Look at the properties that you are interested in: an event has those of its ``kind``, and the others are nil. Later
/// versions may add kinds and properties, and a client passes over what it does not know:
///
///     if let text = event.text { print(text, terminator: "") }
///     if let call = event.toolCall { print(call.name) }
public struct Event: Hashable, Sendable {
  /// What an event is about. Later versions may add kinds.
  public struct Kind: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    /// The name of the kind.
    public let rawValue: String

    /// Makes a kind of its name.
    public init(rawValue: String) {
      self.rawValue = rawValue
    }

    /// A token of the answer.
    public static let text = Kind(rawValue: "text")
    /// A token of what the model thinks before it answers.
    public static let reasoning = Kind(rawValue: "reasoning")
    /// A token of a call of a tool; the last one of them has the call.
    public static let toolCall = Kind(rawValue: "toolCall")
    /// A tool has been run, by a ``Conversation``.
    public static let toolResult = Kind(rawValue: "toolResult")
    /// More of the prompt has been evaluated. ``GenerationOptions/progressEvents`` asks for these.
    public static let progress = Kind(rawValue: "progress")
    /// The answer has ended. This is the last event.
    public static let finish = Kind(rawValue: "finish")

    /// The name of the kind.
    public var description: String { rawValue }
  }

  /// What the event is about.
  public let kind: Kind
  /// The text that the event adds to the answer: whole characters; nil if it adds none.
  public internal(set) var text: String?
  /// The text that the event adds to what the model thinks; nil if it adds none.
  public internal(set) var reasoning: String?
  /// The token of an answer, a thought or a call.
  public internal(set) var token: Token?
  /// The tool that the model calls, when the call is whole.
  public internal(set) var toolCall: ToolCall?
  /// What the token adds to a call that is being made, to be shown as it comes; nil before the tool's name is known.
  public internal(set) var toolCallDelta: ToolCallDelta?
  /// What a tool has returned: the message of the role ``Message/Role/tool`` that the model is told.
  public internal(set) var toolResult: Message?
  /// How far the evaluation of the prompt is.
  public internal(set) var progress: Progress?
  /// How the answer ended.
  public internal(set) var finish: Finish?

  init(_ kind: Kind) {
    self.kind = kind
  }

  /// A token of an answer.
  public struct Token: Hashable, Sendable {
    /// Its number in the vocabulary.
    public let id: TokenID
    /// The natural logarithm of its probability, if ``GenerationOptions/topLogprobs`` asked for it.
    public let logprob: Float?
    /// The likeliest tokens at its place, the likeliest first.
    public let topLogprobs: [TopLogprob]
  }

  /// One of the likeliest tokens at a place.
  public struct TopLogprob: Hashable, Sendable {
    /// Its number in the vocabulary.
    public let id: TokenID
    /// Its text.
    public let text: String
    /// The natural logarithm of its probability.
    public let logprob: Float
  }

  /// How far the evaluation of the prompt is.
  public struct Progress: Hashable, Sendable {
    /// Tokens that are evaluated.
    public let done: Int
    /// Tokens that there are.
    public let total: Int
  }

  /// How an answer ended. An answer that fails throws instead, and so does one whose task is cancelled.
  public struct Finish: Hashable, Sendable {
    /// Why it ended.
    public let reason: Reason

    /// Why an answer ended. Later versions may add reasons.
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
      /// A stop token appeared.
      public static let stopToken = Reason(rawValue: RMLX_FINISH_STOP_TOKEN)
      /// The model called tools, and waits for their results.
      public static let toolCalls = Reason(rawValue: RMLX_FINISH_TOOL_CALLS)
      /// A limit came before the answer was what ``GenerationOptions/constraint`` asks for.
      public static let constraintCut = Reason(rawValue: RMLX_FINISH_CONSTRAINT_CUT)
      /// ``Session/cancel()`` was called.
      public static let cancelled = Reason(rawValue: RMLX_FINISH_CANCELLED)
      /// The context has no position left.
      public static let contextFull = Reason(rawValue: RMLX_FINISH_CONTEXT_FULL)
      /// It went round in a circle (``GenerationOptions/loopDetection``).
      public static let loop = Reason(rawValue: RMLX_FINISH_LOOP)
      /// The prompt has been evaluated, and no answer was asked for (``Session/prefill(_:_:)``).
      public static let prefilled = Reason(rawValue: RMLX_FINISH_PREFILLED)

      fileprivate static let names: [Reason: String] = [
        .endOfTurn: "endOfTurn", .maxTokens: "maxTokens", .stopString: "stopString", .stopToken: "stopToken",
        .toolCalls: "toolCalls", .constraintCut: "constraintCut", .cancelled: "cancelled", .contextFull: "contextFull",
        .loop: "loop", .prefilled: "prefilled",
      ]
    }
  }
}

extension Event.Finish.Reason: CustomStringConvertible {
  /// The name of the reason, such as `endOfTurn`.
  public var description: String { Self.names[self] ?? "unknown(\(rawValue))" }
}

extension Event {
  /// Reads an event of the C library; nil for a kind that this version does not know.
  init?(_ event: OpaquePointer) {
    var size = 0
    let text = string(rmlx_event_text(event, &size), size: size)
    let added = text.isEmpty ? nil : text
    switch rmlx_event_kind(event) {
    case RMLX_EVENT_TEXT:
      self.init(.text)
      self.text = added
    case RMLX_EVENT_REASONING:
      self.init(.reasoning)
      reasoning = added
    case RMLX_EVENT_TOOL_CALL:
      self.init(.toolCall)
      toolCall = ToolCall(event)
      toolCallDelta = ToolCallDelta(event)
    case RMLX_EVENT_PROGRESS:
      self.init(.progress)
      var (done, total) = (0, 0)
      rmlx_event_progress(event, &done, &total)
      progress = Progress(done: done, total: total)
    case RMLX_EVENT_FINISH:
      self.init(.finish)
      self.text = added
      finish = Finish(reason: Finish.Reason(rawValue: rmlx_event_finish_reason(event)))
    default: return nil
    }
    token = Token(event)
  }

  /// The end of an answer that was cancelled.
  static let cancelled = {
    var event = Event(.finish)
    event.finish = Finish(reason: .cancelled)
    return event
  }()
}

extension Event.Token {
  fileprivate init?(_ event: OpaquePointer) {
    var id: TokenID = 0
    guard rmlx_event_token(event, &id) else { return nil }
    var logprob: Float = 0
    let hasLogprob = rmlx_event_logprob(event, &logprob)
    let top = (0..<rmlx_event_top_logprob_count(event)).map { index in
      var (id, logprob) = (TokenID(0), Float(0))
      rmlx_event_top_logprob(event, index, &id, &logprob)
      let text = String(cString: rmlx_event_top_logprob_text(event, index))
      return Event.TopLogprob(id: id, text: text, logprob: logprob)
    }
    self.init(id: id, logprob: hasLogprob ? logprob : nil, topLogprobs: top)
  }
}
