import Foundation

extension Prompt {
  /// Reads a whole conversation in the shape of OpenAI's chat messages: `{"messages": […], "tools": […], "template_vars": {…},
  /// "continue_final_message": false}`.
  ///
  /// A message has "role", "content", "reasoning_content", "tool_calls", "tool_call_id" and "name". A medium is a part
  /// `{"type": "image", "media": 0}`, with "audio" and "video" likewise, and the number counts those of `media` from 0. The
  /// members of tools and of arguments keep their order, in which templates may write them.
  ///
  /// - Throws: ``RmlxError/Code/invalidArgument`` for what is not that, and says where; also for a medium that no message names.
  public init(json: String, media: [Part] = []) throws(RmlxError) {
    guard let tree = JSONTree(json) else {
      throw RmlxError(.invalidArgument, "the conversation is not JSON")
    }
    let used = Locked(Set<Int>())
    let decoder = JSONDecoder()
    decoder.userInfo[.media] = NumberedMedia(parts: media, used: used)
    do {
      self = try decoder.decode(Prompt.self, from: Data(Self.keepingOrder(tree).text.utf8))
    } catch let error as RmlxError {
      throw error
    } catch {
      throw RmlxError(.invalidArgument, "the conversation cannot be read: \(explain(error))")
    }
    let names = used.withLock { $0 }
    if let index = media.indices.first(where: { !names.contains($0) }) {
      throw RmlxError(
        .invalidArgument, "media[\(index)] is in no message: name it by a part with \"media\": \(index)",
        details: ["media_index": .number(Double(index))])
    }
  }

  /// Puts objects whose order matters into texts.
  private static func keepingOrder(_ tree: JSONTree) throws(RmlxError) -> JSONTree {
    let known: Set = ["messages", "tools", "template_vars", "continue_final_message", "tokens"]
    return try tree.members("the conversation", known) { (name, value) throws(RmlxError) in
      guard case .array(let items) = value else { return value }
      switch name {
      case "tools": return .array(items.map { .string($0.text) })
      case "messages":
        var messages: [JSONTree] = []
        for (index, item) in items.enumerated() { messages.append(try message(item, "message \(index)")) }
        return .array(messages)
      default: return value
      }
    }
  }

  private static func message(_ tree: JSONTree, _ place: String) throws(RmlxError) -> JSONTree {
    let known: Set = ["role", "content", "reasoning_content", "tool_calls", "tool_call_id", "name"]
    return try tree.members(place, known) { (name, value) throws(RmlxError) in
      switch (name, value) {
      case ("content", .object): .array([.object([("type", .string("json")), ("json", .string(value.text))])])
      case ("tool_calls", .array(let calls)): .array(calls.map(call))
      default: value
      }
    }
  }

  private static func call(_ tree: JSONTree) -> JSONTree {
    guard case .object(let members) = tree else { return tree }
    return .object(
      members.map { member in
        guard member.name == "function", case .object(let function) = member.value else { return member }
        return (
          member.name,
          .object(
            function.map { part in
              if case .object = part.value { (part.name, .string(part.value.text)) } else { part }
            })
        )
      })
  }
}

extension JSONTree {
  /// The object with other values; one with a member that is not known, and would be lost, is refused.
  fileprivate func members(
    _ place: String, _ known: Set<String>, _ change: (String, JSONTree) throws(RmlxError) -> JSONTree
  ) throws(RmlxError) -> JSONTree {
    guard case .object(let members) = self else {
      throw RmlxError(.invalidArgument, "\(place) is not a JSON object")
    }
    var changed: [(name: String, value: JSONTree)] = []
    for (name, value) in members {
      guard known.contains(name) else {
        throw RmlxError(
          .invalidArgument,
          "\(place) has the member \"\(name)\", and may have \(known.sorted().joined(separator: ", "))",
          details: ["key": .string(name)])
      }
      changed.append((name, try change(name, value)))
    }
    return .object(changed)
  }
}

/// Media that parts name by their number.
struct NumberedMedia: Sendable {
  fileprivate let parts: [Part]
  fileprivate let used: Locked<Set<Int>>

  /// The medium of a number, if it is of that kind.
  func part(_ index: Int, _ kind: String) -> Part? {
    guard parts.indices.contains(index), case .media(let source) = parts[index].kind, source.kind.rawValue == kind
    else {
      return nil
    }
    used.withLock { _ = $0.insert(index) }
    return parts[index]
  }
}

extension CodingUserInfoKey {
  static let media = CodingUserInfoKey(rawValue: "rmlx.media").unsafelyUnwrapped
}

/// What is wrong with a text of JSON, and where.
func explain(_ error: any Error) -> String {
  guard let error = error as? DecodingError else { return "\(error)" }
  let (context, what): (DecodingError.Context, String) =
    switch error {
    case .keyNotFound(let key, let context): (context, "\(key.stringValue) is missing")
    case .valueNotFound(_, let context): (context, "it is null")
    case .typeMismatch(let type, let context): (context, "it is not of the type \(type)")
    case .dataCorrupted(let context): (context, context.debugDescription)
    @unknown default: (DecodingError.Context(codingPath: [], debugDescription: ""), "\(error)")
    }
  let path = context.codingPath.map { $0.intValue.map { "[\($0)]" } ?? $0.stringValue }.joined(separator: ".")
  return path.isEmpty ? what : "\(path): \(what)"
}
