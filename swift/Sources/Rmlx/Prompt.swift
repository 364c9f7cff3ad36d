import CRmlx

/// A conversation: messages, each of a role and of texts, images and sounds in order.
///
/// It is a value that holds the whole conversation. After an answer, append its message, append the next question, and
/// generate again; what the session already holds is not evaluated again. A ``Conversation`` does that by itself.
///
///     var prompt: Prompt = "What is in \(image)?"
///     let response = try await session.respond(to: prompt)
///     prompt.append(response.message)
///     prompt.append(.user("What colour is it?"))
///
/// Media are parts of a message and never markers in its text: text that spells a special token, such as `<|image|>`,
/// stays text.
public struct Prompt: Hashable, Sendable {
  /// The messages, the oldest first.
  public var messages: [Message]

  /// The tools that the chat template tells the model about.
  public var tools: [ToolDeclaration] = []

  /// Further variables of the chat template, by name.
  public var templateVariables: [String: JSONValue] = [:]

  /// Whether the last message is the assistant's and unfinished: the model goes on with its text, where otherwise a new
  /// answer begins, and the answer is what the model adds.
  public var continuesFinalMessage = false

  /// Token ids, for experts who do without the chat template: only these are evaluated, and the messages may hold media
  /// only, which replace the placeholder tokens among the ids in order.
  public var tokens: [TokenID] = []

  /// Makes a conversation without a message.
  public init() {
    messages = []
  }

  /// Makes a conversation of messages.
  public init(_ messages: [Message], tools: [ToolDeclaration] = []) {
    self.messages = messages
    self.tools = tools
  }

  /// Makes a conversation of one message of the user.
  public init(_ content: Content) {
    self.init([.user(content)])
  }

  /// Makes a conversation of one message of the user.
  @_disfavoredOverload
  public init(_ text: String) {
    self.init(Content(text))
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

extension Prompt {
  /// Makes the C library's prompt, for which media are read and decoded.
  ///
  /// A triggered flag ends that.
  func raw(_ cancel: CancelFlag) throws(RmlxError) -> Handle {
    guard let made = rmlx_prompt_new() else { throw RmlxError(.panic, "no prompt could be made") }
    let raw = Handle(made) { rmlx_prompt_release($0) }
    try write(to: raw, from: 0, cancel)
    return raw
  }

  /// Adds the messages from that one on, and sets all else.
  func write(to raw: Handle, from first: Int, _ cancel: CancelFlag) throws(RmlxError) {
    let raw = raw.pointer
    for message in messages[first...] { try message.add(to: raw, cancel) }
    // Of no bytes where there is none, in place of what an earlier one may have set.
    let tools = tools.isEmpty ? "" : "[" + tools.map(\.json).joined(separator: ",") + "]"
    try check { error in withUTF8(tools) { rmlx_prompt_set_tools_json(raw, $0, $1, error) } }
    let variables = templateVariables.isEmpty ? "" : JSONValue.object(templateVariables).json
    try check { error in withUTF8(variables) { rmlx_prompt_set_template_vars_json(raw, $0, $1, error) } }
    try check { error in rmlx_prompt_set_continue_final_message(raw, continuesFinalMessage, error) }
    if !tokens.isEmpty {
      try check { error in rmlx_prompt_set_tokens(raw, tokens, tokens.count, error) }
    }
  }
}

extension Message {
  fileprivate func add(to raw: OpaquePointer, _ cancel: CancelFlag) throws(RmlxError) {
    if role == .tool {
      try check { error in rmlx_prompt_begin_tool_result(raw, toolCallID, toolName, error) }
    } else {
      try check { error in rmlx_prompt_begin_message(raw, role.rawValue, error) }
    }
    if let reasoning {
      try check { error in withUTF8(reasoning) { rmlx_prompt_add_reasoning(raw, $0, $1, error) } }
    }
    for part in content.parts {
      switch part.kind {
      case .text(let text):
        try check { error in withUTF8(text) { rmlx_prompt_add_text(raw, $0, $1, error) } }
      case .json(let text):
        try check { error in withUTF8(text) { rmlx_prompt_add_json(raw, $0, $1, error) } }
      case .media(let source):
        if cancel.isTriggered { throw .cancelled }
        let media = try source.handle(cancel)
        try check { error in rmlx_prompt_add_media(raw, media.pointer, error) }
      }
    }
    for call in toolCalls {
      try check { error in
        withUTF8(call.arguments) { rmlx_prompt_add_tool_call(raw, call.id, call.name, $0, $1, error) }
      }
    }
  }
}
