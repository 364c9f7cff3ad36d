import CRmlx
import Foundation

/// A tool that the model calls.
public struct ToolCall: Hashable, Sendable {
  /// By what the result names the call; nil if it has no such name.
  public var id: String?
  /// The name of the tool.
  public var name: String
  /// The arguments: the text of a JSON object, as the model wrote it. That they are what the tool declares is not checked.
  public var arguments: String
  /// The call as the model spelled it; empty for one that no session has delivered.
  public let spelling: String

  /// Makes a call; `arguments` is the text of a JSON object.
  public init(id: String? = nil, name: String, arguments: String = "{}") {
    self.init(id: id, name: name, arguments: arguments, spelling: "")
  }

  init(id: String?, name: String, arguments: String, spelling: String) {
    self.id = id
    self.name = name
    self.arguments = arguments
    self.spelling = spelling
  }

  /// The arguments by name; empty if they are no JSON object.
  public var values: [String: JSONValue] { JSONValue(json: arguments)?.object ?? [:] }

  /// Nil for an event that completes no call.
  init?(_ event: OpaquePointer) {
    guard let name = rmlx_event_tool_call_name(event) else { return nil }
    var size = 0
    self.init(
      id: rmlx_event_tool_call_id(event).map { String(cString: $0) }, name: String(cString: name),
      arguments: rmlx_event_tool_call_arguments(event).map { String(cString: $0) } ?? "{}",
      spelling: string(rmlx_event_text(event, &size), size: size))
  }
}

/// What a token adds to a call of a tool.
///
/// The first event that has one begins the call. All arguments of one call together are those of the whole call, which comes
/// with its last token (``Event/toolCall``). Until then the call is a draft, and nothing to act upon: what turns out to be no
/// call is followed by an event of the kind ``Event/Kind/text`` with its spelling, and then its draft is to be forgotten.
public struct ToolCallDelta: Hashable, Sendable {
  /// By what the result will name the call.
  public let id: String
  /// The name of the tool.
  public let name: String
  /// A piece of JSON, which is often empty.
  public let arguments: String

  /// Nil for an event of no call, or of one whose name is not known yet.
  init?(_ event: OpaquePointer) {
    var (id, name): (UnsafePointer<CChar>?, UnsafePointer<CChar>?) = (nil, nil)
    guard let arguments = rmlx_event_tool_call_delta(event, &id, &name), let id, let name else { return nil }
    self.id = String(cString: id)
    self.name = String(cString: name)
    self.arguments = String(cString: arguments)
  }
}

/// A tool that the chat template tells the model about.
///
/// A ``ModelTool`` makes its own. This one is for whoever runs the tools without a ``Conversation``.
public struct ToolDeclaration: Hashable, Sendable {
  /// The declaration as the chat template gets it: the text of a JSON object.
  public let json: String

  /// Declares a function, in the shape that almost all templates expect.
  public init(name: String, description: String, parameters: JSONSchema) {
    let function = JSONTree.object([
      ("name", .string(name)), ("description", .string(description)), ("parameters", parameters.tree),
    ])
    json = JSONTree.object([("type", .string("function")), ("function", function)]).text
  }

  /// Declares a tool by the text of a JSON object, for templates that expect another shape. That it is one shows when the
  /// prompt is used.
  public init(json: String) {
    self.json = json
  }
}
