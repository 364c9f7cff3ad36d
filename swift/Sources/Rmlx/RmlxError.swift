import CRmlx
import Foundation

/// What was wrong, where, and what would be right.
///
/// What throws nothing else says so in its type. Swift keeps that type in a `do` that names it, also in a task:
///
///     Task {
///       do throws(RmlxError) {
///         print(try await session.respond(to: "Hello").text)
///       } catch {
///         print(error.code)
///       }
///     }
///
/// A task that is cancelled gets one of the code ``Code/cancelled``; `error.isCancellation` is true of it, as of Swift's
/// own `CancellationError`.
public struct RmlxError: Error, Hashable, Sendable {
  /// The kind of an error. Later versions may add kinds: treat one that you do not know as a failure like any other.
  public struct Code: RawRepresentable, Hashable, Sendable {
    /// The number that the C library gives the kind; those of this package itself are negative.
    public let rawValue: Int32

    /// Makes a code of its number.
    public init(rawValue: Int32) {
      self.rawValue = rawValue
    }

    /// An argument is out of range, or contradicts another one.
    public static let invalidArgument = Code(rawValue: RMLX_ERROR_INVALID_ARGUMENT)
    /// A file or folder that was named does not exist.
    public static let notFound = Code(rawValue: RMLX_ERROR_NOT_FOUND)
    /// The snapshot folder is incomplete, corrupt or contradicts itself.
    public static let invalidSnapshot = Code(rawValue: RMLX_ERROR_INVALID_SNAPSHOT)
    /// Valid, but not something that this build can do: an unknown architecture, a model that cannot hear, no GPU.
    public static let unsupported = Code(rawValue: RMLX_ERROR_UNSUPPORTED)
    /// Memory ran out, or a limit that you set would be passed.
    public static let outOfMemory = Code(rawValue: RMLX_ERROR_OUT_OF_MEMORY)
    /// The prompt and its media need more positions than the context has.
    public static let contextFull = Code(rawValue: RMLX_ERROR_CONTEXT_FULL)
    /// The operation, or the task that waited for it, was cancelled.
    public static let cancelled = Code(rawValue: RMLX_ERROR_CANCELLED)
    /// The library is suspended (``Library/suspend(deadline:)``).
    public static let suspended = Code(rawValue: RMLX_ERROR_SUSPENDED)
    /// Another operation is running on this session.
    public static let busy = Code(rawValue: RMLX_ERROR_BUSY)
    /// MLX reported a failure.
    public static let backend = Code(rawValue: RMLX_ERROR_BACKEND)
    /// An earlier bug went through this session: reset it, or make another one.
    public static let poisoned = Code(rawValue: RMLX_ERROR_POISONED)
    /// A bug in rmlx was caught. Please report it with message and details.
    public static let panic = Code(rawValue: RMLX_ERROR_PANIC)
    /// Image or audio data cannot be decoded, or is not usable as such.
    public static let invalidMedia = Code(rawValue: RMLX_ERROR_INVALID_MEDIA)
    /// The conversation cannot be rendered: the chat template refused it, or has no place for a medium.
    public static let invalidPrompt = Code(rawValue: RMLX_ERROR_INVALID_PROMPT)
    /// What was waited for did not come in time.
    public static let timeout = Code(rawValue: RMLX_ERROR_TIMEOUT)
    /// A saved session is damaged, or is not of this model.
    public static let invalidSave = Code(rawValue: RMLX_ERROR_INVALID_SAVE)
    /// A file cannot be read or written: no space, no permission, a fault of the disk.
    public static let io = Code(rawValue: RMLX_ERROR_IO)
    /// The model or session has been closed.
    public static let closed = Code(rawValue: -1)
    /// The model went on calling tools for more rounds than were allowed.
    public static let tooManyToolRounds = Code(rawValue: -2)
    /// The answer cannot be read as a value of the type that was asked for.
    public static let unreadableAnswer = Code(rawValue: -3)
    /// No schema can be made of a type.
    public static let noSchema = Code(rawValue: -4)
    /// A ``GenerationOptions/LogitsProcessor`` has thrown an error.
    public static let processorFailed = Code(rawValue: -5)
  }

  /// What kind of failure this is.
  public let code: Code

  /// What went wrong, as a sentence for people.
  public let message: String

  /// What went wrong, for programs. Which members there are depends on the error and may grow.
  public let details: [String: JSONValue]

  /// Makes an error.
  public init(_ code: Code, _ message: String, details: [String: JSONValue] = [:]) {
    self.code = code
    self.message = message
    self.details = details
  }

  init(status: rmlx_status, error: OpaquePointer?) {
    let message = String(cString: rmlx_error_message(error))
    let details = JSONValue(json: String(cString: rmlx_error_details_json(error)))
    self.init(
      Code(rawValue: status), message.isEmpty ? String(cString: rmlx_status_name(status)) : message,
      details: details?.object ?? [:])
  }

  static let closed = RmlxError(.closed, "it has been closed; make another one")
  static let cancelled = RmlxError(.cancelled, "the operation was cancelled")
}

extension RmlxError.Code: CustomStringConvertible {
  /// The name of the code in the C library, such as `RMLX_ERROR_BUSY`.
  public var description: String {
    switch self {
    case .closed: "RMLX_CLOSED"
    case .tooManyToolRounds: "RMLX_TOO_MANY_TOOL_ROUNDS"
    case .unreadableAnswer: "RMLX_UNREADABLE_ANSWER"
    case .noSchema: "RMLX_NO_SCHEMA"
    case .processorFailed: "RMLX_PROCESSOR_FAILED"
    default: String(cString: rmlx_status_name(rawValue))
    }
  }
}

extension RmlxError: CustomStringConvertible, LocalizedError {
  /// The code and the message.
  public var description: String { "\(code): \(message)" }

  /// The message, for alerts.
  public var errorDescription: String? { message }
}

extension Error {
  /// Whether this says that a task was cancelled: Swift's `CancellationError`, or an ``RmlxError`` of the code
  /// ``RmlxError/Code/cancelled``.
  public var isCancellation: Bool {
    self is CancellationError || (self as? RmlxError)?.code == .cancelled
  }
}
