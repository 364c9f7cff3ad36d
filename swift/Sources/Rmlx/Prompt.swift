import CRmlx

/// A conversation: messages, each of a role and of texts, images and sounds in order.
///
/// It is a value that holds the whole conversation. After an answer, append it as a message of the assistant, append the
/// next question, and generate again; what the session already holds is not evaluated again.
///
///     var prompt: Prompt = "What is in \(image)?"
///     prompt.append(.assistant("A cat."))
///     prompt.append(.user("What colour is it?"))
///
/// Media are parts of a message and never markers in its text: text that spells a special token, such as `<|image|>`,
/// stays text.
public struct Prompt: Hashable, Sendable {
  /// The messages, the oldest first.
  public var messages: [Message]

  /// The tools that the chat template tells the model about: an array of objects, as the model's template expects them.
  public var tools: JSONValue?

  /// Further variables of the chat template, by name.
  public var templateVariables: [String: JSONValue] = [:]

  /// Token ids, for experts who do without the chat template: only these are evaluated, and the messages may hold media
  /// only, which replace the placeholder tokens among the ids in order.
  public var tokens: [UInt32] = []

  /// Makes a conversation without a message.
  public init() {
    messages = []
  }

  /// Makes a conversation of messages.
  public init(_ messages: [Message], tools: JSONValue? = nil) {
    self.messages = messages
    self.tools = tools
  }

  /// Adds a message to the end.
  public mutating func append(_ message: Message) {
    messages.append(message)
  }
}

extension Prompt: ExpressibleByArrayLiteral {
  /// Makes a conversation of messages.
  public init(arrayLiteral messages: Message...) {
    self.init(messages)
  }
}

extension Prompt: ExpressibleByStringInterpolation {
  /// Makes a conversation of one message of the user.
  public init(stringLiteral value: String) {
    self.init([.user(Content(stringLiteral: value))])
  }

  /// Makes a conversation of one message of the user, with media where they stand in the text.
  public init(stringInterpolation: Content.StringInterpolation) {
    self.init([.user(Content(stringInterpolation: stringInterpolation))])
  }
}

/// Who says what in a conversation.
public struct Message: Hashable, Sendable {
  /// Who says a message, as the model's chat template names the roles.
  public struct Role: RawRepresentable, Hashable, Sendable, ExpressibleByStringLiteral {
    /// The name that the chat template knows.
    public let rawValue: String

    /// Makes a role of its name.
    public init(rawValue: String) {
      self.rawValue = rawValue
    }

    /// Makes a role of its name.
    public init(stringLiteral value: String) {
      self.init(rawValue: value)
    }

    /// Says how the model is to behave.
    public static let system: Role = "system"
    /// Asks.
    public static let user: Role = "user"
    /// Answers: the model.
    public static let assistant: Role = "assistant"
  }

  /// Who says it.
  public var role: Role

  /// What is said.
  public var content: Content

  /// Makes a message.
  public init(role: Role, content: Content) {
    self.role = role
    self.content = content
  }

  /// A message that says how the model is to behave.
  public static func system(_ content: Content) -> Message { Message(role: .system, content: content) }
  /// A message that asks.
  public static func user(_ content: Content) -> Message { Message(role: .user, content: content) }
  /// A message that the model answered.
  public static func assistant(_ content: Content) -> Message { Message(role: .assistant, content: content) }
}

/// What a message says: texts, images and sounds in order.
///
///     let content: Content = ["Compare ", .image(before), " with ", .image(after)]
///     let same: Content = "Compare \(before) with \(after)"
public struct Content: Hashable, Sendable {
  /// The parts in order.
  public var parts: [Part]

  /// Makes a content of its parts.
  public init(_ parts: [Part]) {
    self.parts = parts
  }

  /// Makes a content of a text.
  public init(_ text: String) {
    self.init([.text(text)])
  }
}

extension Content: ExpressibleByArrayLiteral {
  /// Makes a content of its parts.
  public init(arrayLiteral parts: Part...) {
    self.init(parts)
  }
}

extension Content: ExpressibleByStringInterpolation {
  /// Collects what a string literal with media in it is made of.
  public struct StringInterpolation: StringInterpolationProtocol {
    fileprivate var parts: [Part] = []

    /// Begins a literal of about this size.
    public init(literalCapacity: Int, interpolationCount: Int) {
      parts.reserveCapacity(2 * interpolationCount + 1)
    }

    /// Adds a stretch of text.
    public mutating func appendLiteral(_ literal: String) {
      // Pieces of one text are one part, however the literal is cut.
      if case .text(let before)? = parts.last?.kind {
        parts[parts.count - 1] = .text(before + literal)
      } else if !literal.isEmpty {
        parts.append(.text(literal))
      }
    }

    /// Adds an image at this place.
    public mutating func appendInterpolation(_ image: ImageInput) {
      parts.append(.image(image))
    }

    /// Adds a sound at this place.
    public mutating func appendInterpolation(_ audio: AudioInput) {
      parts.append(.audio(audio))
    }

    /// Adds a video at this place.
    public mutating func appendInterpolation(_ video: VideoInput) {
      parts.append(.video(video))
    }

    /// Adds a part at this place.
    public mutating func appendInterpolation(_ part: Part) {
      parts.append(part)
    }

    /// Adds what the value looks like as text.
    public mutating func appendInterpolation(_ value: some CustomStringConvertible) {
      appendLiteral(value.description)
    }
  }

  /// Makes a content of a text.
  public init(stringLiteral value: String) {
    self.init(value)
  }

  /// Makes a content of a text with media where they stand in it.
  public init(stringInterpolation: StringInterpolation) {
    self.init(stringInterpolation.parts)
  }
}

/// A text, an image, a sound or a video in a message.
///
/// Later versions may add kinds.
public struct Part: Hashable, Sendable, ExpressibleByStringLiteral {
  enum Kind: Hashable, Sendable {
    case text(String)
    case media(MediaSource)
  }

  let kind: Kind

  /// A text.
  public static func text(_ text: String) -> Part { Part(kind: .text(text)) }
  /// An image.
  public static func image(_ image: ImageInput) -> Part { Part(kind: .media(image.source)) }
  /// A sound.
  public static func audio(_ audio: AudioInput) -> Part { Part(kind: .media(audio.source)) }

  /// A video.
  public static func video(_ video: VideoInput) -> Part { Part(kind: .media(video.source)) }

  init(kind: Kind) {
    self.kind = kind
  }

  /// Makes a part of a text.
  public init(stringLiteral value: String) {
    self = .text(value)
  }
}

extension Prompt {
  /// Makes the C library's prompt, for which media are read and decoded.
  ///
  /// `isCancelled` is asked between them.
  func withRaw<Result>(
    isCancelled: () -> Bool = { false },
    _ use: (OpaquePointer) throws(RmlxError) -> Result
  ) throws(RmlxError) -> Result {
    guard let raw = rmlx_prompt_new() else { throw RmlxError(.panic, "no prompt could be made") }
    defer { rmlx_prompt_release(raw) }
    for message in messages {
      try check { error in rmlx_prompt_begin_message(raw, message.role.rawValue, error) }
      for part in message.content.parts {
        switch part.kind {
        case .text(let text):
          try check { error in withUTF8(text) { rmlx_prompt_add_text(raw, $0, $1, error) } }
        case .media(let source):
          if isCancelled() { throw .cancelled }
          let media = try source.handle()
          try check { error in rmlx_prompt_add_media(raw, media.pointer, error) }
        }
      }
    }
    if let tools {
      try check { error in withUTF8(tools.json) { rmlx_prompt_set_tools_json(raw, $0, $1, error) } }
    }
    if !templateVariables.isEmpty {
      let json = JSONValue.object(templateVariables).json
      try check { error in withUTF8(json) { rmlx_prompt_set_template_vars_json(raw, $0, $1, error) } }
    }
    if !tokens.isEmpty {
      try check { error in rmlx_prompt_set_tokens(raw, tokens, tokens.count, error) }
    }
    return try use(raw)
  }
}
