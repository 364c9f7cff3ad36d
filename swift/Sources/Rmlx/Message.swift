/// A turn of a conversation: who says what.
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
    /// Tells what a tool has returned.
    public static let tool: Role = "tool"
  }

  /// Who says it.
  public var role: Role
  /// What is said.
  public var content: Content
  /// What the model thought before; of the assistant's messages only. Templates leave most thoughts out of the history.
  public var reasoning: String?
  /// Tools that the model called; of the assistant's messages only.
  public var toolCalls: [ToolCall] = []
  /// The call that a tool's message answers (``ToolCall/id``).
  public var toolCallID: String?
  /// The tool that a tool's message is from. Some templates need it.
  public var toolName: String?

  /// Makes a message.
  public init(role: Role, content: Content) {
    self.role = role
    self.content = content
  }

  /// The text of the message, without what stands between its texts.
  public var text: String { content.text }

  /// A message that says how the model is to behave.
  public static func system(_ content: Content) -> Message { Message(role: .system, content: content) }

  /// A message that asks.
  public static func user(_ content: Content) -> Message { Message(role: .user, content: content) }

  /// A message that the model answered. ``Response/message`` is that of an answer.
  public static func assistant(
    _ content: Content, reasoning: String? = nil, toolCalls: [ToolCall] = []
  ) -> Message {
    var message = Message(role: .assistant, content: content)
    message.reasoning = reasoning
    message.toolCalls = toolCalls
    return message
  }

  /// A message that tells what a tool has returned: texts, or a value of JSON, and media where the template takes them.
  public static func tool(_ content: Content, for call: ToolCall) -> Message {
    var message = Message(role: .tool, content: content)
    message.toolCallID = call.id
    message.toolName = call.name
    return message
  }
}

// A literal is a content, which takes media where they stand in it; these are for texts that are strings already.
extension Message {
  /// A message that says how the model is to behave.
  @_disfavoredOverload
  public static func system(_ text: String) -> Message { .system(Content(text)) }

  /// A message that asks.
  @_disfavoredOverload
  public static func user(_ text: String) -> Message { .user(Content(text)) }

  /// A message that the model answered.
  @_disfavoredOverload
  public static func assistant(_ text: String, reasoning: String? = nil, toolCalls: [ToolCall] = []) -> Message {
    .assistant(Content(text), reasoning: reasoning, toolCalls: toolCalls)
  }

  /// A message that tells what a tool has returned.
  @_disfavoredOverload
  public static func tool(_ text: String, for call: ToolCall) -> Message { .tool(Content(text), for: call) }
}
