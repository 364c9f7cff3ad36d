import Foundation

/// A tool that the model can call, run by a ``Conversation``.
///
///     struct Clock: ModelTool {
///       struct Arguments: Codable { var city: String }
///
///       let name = "get_time"
///       let description = "Tells the time in a city."
///
///       func call(_ arguments: Arguments) async throws -> String {
///         "10:30"
///       }
///     }
///
/// A tool that throws ends the answer: the conversation throws the same error, and is as it was before the question. What
/// the model should hear of, and may answer to, is a ``ToolFailure``. So are arguments that are not what the tool declares,
/// and a tool that there is not: the model is told, and no error is thrown.
public protocol ModelTool: Sendable {
  /// What the tool is told. Without ``argumentsSchema`` of its own, a tool declares what ``JSONSchema/init(of:)`` makes of this
  /// type.
  associatedtype Arguments: Decodable
  /// What the tool returns: a `String` or a ``Content``, or a value that the model gets as JSON.
  associatedtype Output: Encodable

  /// By what the model calls it: letters, digits and underscores.
  var name: String { get }
  /// What it does, for the model.
  var description: String { get }
  /// What the arguments look like.
  var argumentsSchema: JSONSchema { get throws(RmlxError) }

  /// Runs the tool, in the task that goes through the answer.
  func call(_ arguments: Arguments) async throws -> Output
}

extension ModelTool {
  /// What ``JSONSchema/init(of:)`` makes of the type of the arguments.
  public var argumentsSchema: JSONSchema {
    get throws(RmlxError) { try JSONSchema(of: Arguments.self) }
  }

  /// How the chat template tells the model about the tool.
  public var declaration: ToolDeclaration {
    get throws(RmlxError) {
      ToolDeclaration(name: name, description: description, parameters: try argumentsSchema)
    }
  }

  /// Runs the tool for a call, and returns the message that tells the model of the result.
  func message(for call: ToolCall) async throws -> Message {
    let arguments: Arguments
    do {
      arguments = try JSONDecoder.ofAnswers.decode(Arguments.self, from: Data(call.arguments.utf8))
    } catch {
      return .tool(failure: "the arguments are wrong: \(explain(error))", for: call)
    }
    do {
      let output = try await self.call(arguments)
      return .tool(try Self.content(of: output), for: call)
    } catch let failure as ToolFailure {
      return .tool(failure: failure.message, for: call)
    }
  }

  private static func content(of output: Output) throws -> Content {
    if let text = output as? String { return Content(text) }
    if let content = output as? Content { return content }
    let encoder = JSONEncoder()
    encoder.dateEncodingStrategy = .iso8601
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return [.json(String(decoding: try encoder.encode(output), as: UTF8.self))]
  }
}

/// What a tool throws that the model is to be told of, such as a city that is not known.
///
/// The model gets it as `{"error": "…"}`.
public struct ToolFailure: Error, Hashable, Sendable {
  /// What went wrong, for the model.
  public let message: String

  /// Makes a failure.
  public init(_ message: String) {
    self.message = message
  }
}

extension Message {
  static func tool(failure: String, for call: ToolCall) -> Message {
    .tool([.json(JSONTree.object([("error", .string(failure))]).text)], for: call)
  }
}

extension JSONDecoder {
  /// Reads what a model has written by a schema of ``JSONSchema/init(of:)``.
  static var ofAnswers: JSONDecoder {
    let decoder = JSONDecoder()
    decoder.dateDecodingStrategy = .iso8601
    return decoder
  }
}
