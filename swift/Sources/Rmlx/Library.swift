import CRmlx
import Foundation

/// The library that is running: its version, what it can do here, and its log.
public enum Library {
  /// The version of the library, for people.
  public static var version: String { String(cString: rmlx_version()) }

  /// The number of the library's binary interface, which grows when functions are added.
  public static var abiVersion: Int { Int(rmlx_abi_version()) }

  /// Whether the library, on this machine, has a feature: `image`, `audio`, `video`, `gpu`, `metal`,
  /// `suspend`, `session_save`.
  public static func hasFeature(_ name: String) -> Bool { rmlx_has_feature(name) }

  /// Pauses all work of models in the process: returns when none is in flight and none will begin before ``resume()``.
  ///
  /// Answers and loads wait meanwhile; a new answer throws ``RmlxError/Code/suspended``. Calls are not counted: one
  /// ``resume()`` ends them all. This waits, so call it from a place that may; ``AppLifecycle`` does it for an app.
  ///
  /// - Throws: ``RmlxError/Code/timeout`` when the work does not end in time; it is paused as soon as it has.
  public static func suspend(deadline: Duration = .seconds(4)) throws(RmlxError) {
    let milliseconds = min(max(0, deadline / .milliseconds(1)), 1e15)
    try check { error in rmlx_suspend(UInt64(milliseconds), nil, error) }
  }

  /// Lets everything that was paused go on, with the tokens that would have come without the pause.
  public static func resume() throws(RmlxError) {
    try check { error in rmlx_resume(error) }
  }

  /// How much a message of the log matters. A smaller number matters more.
  public struct LogLevel: RawRepresentable, Hashable, Sendable {
    /// The number that the C library gives it.
    public let rawValue: Int32

    /// Makes a level of its number.
    public init(rawValue: Int32) {
      self.rawValue = rawValue
    }

    /// Something failed that no call could throw: a bug that was caught.
    public static let error = LogLevel(rawValue: RMLX_LOG_ERROR)
    /// Something went differently from what you may expect.
    public static let warning = LogLevel(rawValue: RMLX_LOG_WARNING)
    /// What happens, at the rate of loads.
    public static let info = LogLevel(rawValue: RMLX_LOG_INFO)
    /// What happens in detail.
    public static let debug = LogLevel(rawValue: RMLX_LOG_DEBUG)
  }

  /// Sends the log of the whole process to a function, or to nobody with nil, which is how it begins.
  ///
  /// The function is called on a thread of the log's own, one message at a time, and must not use rmlx.
  public static func setLog(
    level: LogLevel = .info, _ handler: (@Sendable (LogLevel, String) -> Void)?
  ) throws(RmlxError) {
    guard let handler else {
      try check { error in rmlx_set_log_callback(level.rawValue, nil, nil, nil, error) }
      return
    }
    let box = Unmanaged.passRetained(Callback<(LogLevel, String)> { handler($0.0, $0.1) })
    do {
      try check { error in
        rmlx_set_log_callback(
          level.rawValue,
          { level, message, userData in
            guard let message else { return }
            let text = String(cString: message)
            Callback<(LogLevel, String)>.from(userData)?.call((LogLevel(rawValue: level), text))
          }, box.toOpaque(),
          { $0.map { Unmanaged<Callback<(LogLevel, String)>>.fromOpaque($0).release() } }, error)
      }
    } catch {
      box.release()
      throw error
    }
  }
}
