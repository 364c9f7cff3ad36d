import Foundation

// The shape is that of OpenAI's chat messages, as far as it goes: a conversation of texts can be read from it and written
// for it. Media carry what they are made of.

extension Prompt: Codable {
  private enum CodingKeys: String, CodingKey {
    case messages, tools, tokens
    case templateVariables = "template_vars"
    case continuesFinalMessage = "continue_final_message"
  }

  /// Reads a conversation.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    messages = try container.decode([Message].self, forKey: .messages)
    tools = try container.decodeIfPresent([ToolDeclaration].self, forKey: .tools) ?? []
    templateVariables = try container.decodeIfPresent([String: JSONValue].self, forKey: .templateVariables) ?? [:]
    continuesFinalMessage = try container.decodeIfPresent(Bool.self, forKey: .continuesFinalMessage) ?? false
    tokens = try container.decodeIfPresent([TokenID].self, forKey: .tokens) ?? []
  }

  /// Writes the conversation.
  ///
  /// A medium of a file is written as the file's URL, and any other with its data.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(messages, forKey: .messages)
    if !tools.isEmpty { try container.encode(tools, forKey: .tools) }
    if !templateVariables.isEmpty { try container.encode(templateVariables, forKey: .templateVariables) }
    if continuesFinalMessage { try container.encode(true, forKey: .continuesFinalMessage) }
    if !tokens.isEmpty { try container.encode(tokens, forKey: .tokens) }
  }
}

extension Message: Codable {
  private enum CodingKeys: String, CodingKey {
    case role, content, name
    case reasoning = "reasoning_content"
    case toolCalls = "tool_calls"
    case toolCallID = "tool_call_id"
  }

  /// Reads a message.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    let role = Role(rawValue: try container.decode(String.self, forKey: .role))
    self.init(role: role, content: try container.decodeIfPresent(Content.self, forKey: .content) ?? [])
    reasoning = try container.decodeIfPresent(String.self, forKey: .reasoning)
    toolCalls = try container.decodeIfPresent([ToolCall].self, forKey: .toolCalls) ?? []
    toolCallID = try container.decodeIfPresent(String.self, forKey: .toolCallID)
    toolName = try container.decodeIfPresent(String.self, forKey: .name)
  }

  /// Writes the message.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(role.rawValue, forKey: .role)
    try container.encode(content, forKey: .content)
    try container.encodeIfPresent(reasoning, forKey: .reasoning)
    if !toolCalls.isEmpty { try container.encode(toolCalls, forKey: .toolCalls) }
    try container.encodeIfPresent(toolCallID, forKey: .toolCallID)
    try container.encodeIfPresent(toolName, forKey: .name)
  }
}

extension ToolCall: Codable {
  private enum CodingKeys: String, CodingKey {
    case id, type, function, spelling
  }

  private enum FunctionKeys: String, CodingKey {
    case name, arguments
  }

  /// Reads a call; the arguments are a text that holds an object, or an object.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    let function = try container.nestedContainer(keyedBy: FunctionKeys.self, forKey: .function)
    self.init(
      id: try container.decodeIfPresent(String.self, forKey: .id),
      name: try function.decode(String.self, forKey: .name),
      arguments: try function.decodeIfPresent(JSONText.self, forKey: .arguments)?.text ?? "{}",
      spelling: try container.decodeIfPresent(String.self, forKey: .spelling) ?? "")
  }

  /// Writes the call.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encodeIfPresent(id, forKey: .id)
    try container.encode("function", forKey: .type)
    var function = container.nestedContainer(keyedBy: FunctionKeys.self, forKey: .function)
    try function.encode(name, forKey: .name)
    try function.encode(arguments, forKey: .arguments)
    if !spelling.isEmpty { try container.encode(spelling, forKey: .spelling) }
  }
}

extension ToolDeclaration: Codable {
  /// Reads a declaration: an object, or a text that holds one.
  public init(from decoder: any Decoder) throws {
    self.init(json: try JSONText(from: decoder).text)
  }

  /// Writes the declaration as a text, which keeps the order of its members.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(json)
  }
}

/// A text that holds a value of JSON, or such a value itself.
private struct JSONText: Decodable {
  let text: String

  init(from decoder: any Decoder) throws {
    let value = try JSONValue(from: decoder)
    text = value.string ?? value.json
  }
}

extension Content: Codable {
  /// Reads a text, or the list of parts.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if container.decodeNil() {
      self.init([])
    } else if let text = try? container.decode(String.self) {
      self.init(text)
    } else {
      self.init(try container.decode([Part].self))
    }
  }

  /// Writes one text as such, and anything else as the list of parts.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    if parts.count == 1, let text = parts[0].text {
      try container.encode(text)
    } else {
      try container.encode(parts)
    }
  }
}

extension Part: Codable {
  private enum CodingKeys: String, CodingKey {
    case type, text, json, media
  }

  /// Reads a part.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    let type = try container.decode(String.self, forKey: .type)
    if let media = decoder.userInfo[.media] as? NumberedMedia, container.contains(.media) {
      let index = try container.decode(Int.self, forKey: .media)
      guard let part = media.part(index, type) else {
        throw DecodingError.dataCorruptedError(
          forKey: .media, in: container, debugDescription: "there is no medium \(index) of the type \(type)")
      }
      self = part
      return
    }
    switch type {
    case "text": self = .text(try container.decode(String.self, forKey: .text))
    case "json": self = .json(try container.decode(String.self, forKey: .json))
    default: self.init(kind: .media(try MediaSource(from: decoder)))
    }
  }

  /// Writes the part.
  ///
  /// A medium of a file is written as the file's URL, and any other with its data.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    switch kind {
    case .text(let text):
      try container.encode("text", forKey: .type)
      try container.encode(text, forKey: .text)
    case .json(let text):
      try container.encode("json", forKey: .type)
      try container.encode(text, forKey: .json)
    case .media(let source): try source.encode(to: encoder)
    }
  }
}
